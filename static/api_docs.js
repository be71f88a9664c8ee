// Shows the OpenAPI document that #reader names. It is for reading: nothing is sent from here, so no key is asked for.
(() => {
  const place = document.getElementById("reader");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
  follow();
  dark.addEventListener("change", follow);
  SwaggerUIBundle({
    domNode: place,
    url: place.dataset.document,
    presets: [SwaggerUIBundle.presets.apis],
    layout: "BaseLayout",
    supportedSubmitMethods: [],
    validatorUrl: null,
    deepLinking: true,
    defaultModelsExpandDepth: 0,
  });
})();
