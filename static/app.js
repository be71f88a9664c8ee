// Smallfirst's own script: menu, dialogs, keys, times, notices. Every page works without it; nothing here decides anything.
"use strict";

const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];

// Menu of the narrow frame.
function setMenu(open) {
  const button = one(".menu");
  if (!button) return;
  button.setAttribute("aria-expanded", String(open));
  if (open) one(".drawer a")?.focus();
}

// A text that appears: in the corner for those who see it, in the live region for those who hear it.
function say(text) {
  const live = one("#live");
  live.textContent = "";
  requestAnimationFrame(() => { live.textContent = text; });
}

function notice(level, text) {
  // What is polled for fails again and again; once is enough.
  if (all("#toasts .notice").some((known) => one("div", known).textContent === text)) return;
  const toast = document.createElement("div");
  toast.className = `notice ${["good", "warn", "bad"].includes(level) ? level : "quiet"}`;
  const words = document.createElement("div");
  words.textContent = text;
  const close = document.createElement("button");
  close.className = "btn-link";
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => toast.remove());
  toast.append(words, close);
  one("#toasts").append(toast);
  say(text);
  // What went wrong stays until it is closed.
  if (level !== "bad") setTimeout(() => toast.remove(), 8000);
}

// Relative times stay true while a page stands open; the words are those of governance.figures.relative_words.
function relativeWords(moment, now) {
  const seconds = Math.trunc((moment - now) / 1000);
  const size = Math.abs(seconds);
  if (size < 10) return "just now";
  let words;
  if (size < 60) words = `${size} s`;
  else if (size < 3600) words = `${Math.floor(size / 60)} min`;
  else if (size < 86400) words = size < 7200 ? "1 hour" : `${Math.floor(size / 3600)} hours`;
  else words = size < 172800 ? "1 day" : `${Math.floor(size / 86400)} days`;
  return seconds > 0 ? `in ${words}` : `${words} ago`;
}

function refreshTimes() {
  const now = Date.now();
  for (const time of all('time[data-time="relative"]')) {
    const words = relativeWords(Date.parse(time.dateTime), now);
    if (time.textContent !== words) time.textContent = words;
  }
}

// A table that overflows and holds nothing to focus can still be scrolled with the arrow keys.
function letScroll() {
  for (const area of all(".scroll")) {
    if (area.scrollWidth > area.clientWidth && !one("a[href], button, input, select, textarea", area)) area.tabIndex = 0;
  }
}

// Keys: an element with data-key="a" is clicked or focused by that key; "?" lists them. Single keys can be switched off.
const keysAllowed = () => localStorage.getItem("keys") !== "off";
const isTyping = (target) => target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
const isShown = (element) => element.getClientRects().length > 0 && !element.disabled;

function keyName(element) {
  const copy = element.cloneNode(true);
  all("kbd", copy).forEach((hint) => hint.remove());
  return element.dataset.keyName || element.getAttribute("aria-label") || copy.textContent.trim() || element.placeholder || "";
}

function openDialog(id) {
  const dialog = document.getElementById(id);
  if (!dialog || dialog.open) return;
  if (id === "keys") {
    const list = one(".keys", dialog);
    list.replaceChildren();
    const known = all("[data-key]").filter(isShown).map((element) => [element.dataset.key, keyName(element)]);
    if (one("[data-rows]")) known.push(["j", "Next row"], ["k", "Previous row"]);
    for (const [key, name] of known) {
      const term = document.createElement("dt");
      const hint = document.createElement("kbd");
      hint.textContent = key;
      term.append(hint);
      const words = document.createElement("dd");
      words.textContent = name;
      list.append(term, words);
    }
    one("#keys-on", dialog).checked = keysAllowed();
  }
  dialog.showModal();
}

function moveRow(step) {
  const links = all("[data-rows] > *").map((row) => one("a.title", row) ?? one("a, button", row));
  const rows = links.filter((link) => link && isShown(link));
  const here = rows.indexOf(document.activeElement);
  rows[Math.min(Math.max(here + step, 0), rows.length - 1)]?.focus();
}

function onKey(event) {
  if (event.key === "Escape" && one('.menu[aria-expanded="true"]')) {
    setMenu(false);
    one(".menu").focus();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    if (!event.repeat) all('[data-key="ctrl+enter"]').find(isShown)?.click();
    return;
  }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  if (one("dialog[open]")) return;
  if (event.key !== "?" && !keysAllowed()) return;
  const target = all("[data-key]").find((element) => element.dataset.key === event.key && isShown(element));
  if (target) {
    event.preventDefault();
    // A key that is held acts once: what it would do next may be on a page that nobody has read.
    if (event.repeat) return;
    if (isTyping(target)) target.focus();
    else target.click();
  } else if (one("[data-rows]") && (event.key === "j" || event.key === "k")) {
    event.preventDefault();
    moveRow(event.key === "j" ? 1 : -1);
  }
}

function onClick(event) {
  const button = event.target.closest("button");
  if (!button) return;
  if (button.matches(".menu")) setMenu(button.getAttribute("aria-expanded") !== "true");
  if (button.dataset.opens) openDialog(button.dataset.opens);
  if (button.dataset.holds) hold(button);
  if (button.dataset.closes !== undefined) button.closest("dialog")?.close();
  if (button.dataset.copies) {
    const text = document.getElementById(button.dataset.copies).textContent.trim();
    navigator.clipboard.writeText(text).then(() => say("Copied"), () => say("Could not copy"));
  }
  if (button.dataset.fills) {
    const input = one(`[name="${CSS.escape(button.dataset.fills)}"]`);
    input.value = button.dataset.value;
    one("input[type=password]", input.form)?.focus();
  }
}

// What asks again by itself stands still while nobody sees it and, where it says so, while one looks closer or wants it to.
function isHeld(area) {
  if (document.hidden) return true;
  if (area.dataset.held === undefined) return false;
  return area.matches(":hover") || area.contains(document.activeElement) || !!one(`[data-holds="${area.id}"][aria-pressed="true"]`);
}

function hold(button) {
  const held = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(held));
  button.firstChild.textContent = held ? "Go on " : "Pause ";
}

// The mark climbs while an answer is awaited.
let awaited = 0;
function await_(change) {
  awaited = Math.max(awaited + change, 0);
  document.documentElement.toggleAttribute("data-busy", awaited > 0);
}

// A page that shows a secret once: reloading it leads on, and sends no form again.
const leadsOn = one("[data-reload]");
if (leadsOn) history.replaceState(null, "", leadsOn.dataset.reload);

// A form with data-once is sent once, however often its button is pressed before the next page is there.
function sendOnce(event) {
  const form = event.target;
  if (form.dataset.once === undefined) return;
  if (form.dataset.once === "sent") event.preventDefault();
  form.dataset.once = "sent";
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
document.addEventListener("submit", sendOnce);
// Only what is set stands in the address of a list.
document.addEventListener("formdata", (event) => {
  if (!event.target.matches(".filters")) return;
  for (const [name, value] of [...event.formData]) if (value === "") event.formData.delete(name);
});
// Who comes back by the browser's button may send it again.
window.addEventListener("pageshow", () => all("[data-once]").forEach((form) => { form.dataset.once = ""; }));
document.addEventListener("change", (event) => {
  if (event.target.id === "keys-on") localStorage.setItem("keys", event.target.checked ? "on" : "off");
});
const polls = (event) => event.detail.elt.dataset?.polls !== undefined;
document.addEventListener("htmx:beforeRequest", (event) => {
  if (!polls(event)) await_(1);
  else if (isHeld(event.detail.elt)) event.preventDefault();
});
document.addEventListener("htmx:afterRequest", (event) => { if (!polls(event)) await_(-1); });
// A session that has ended answers with the way to sign in, which is no part of this page.
document.addEventListener("htmx:beforeSwap", (event) => {
  if (new URL(event.detail.xhr.responseURL).pathname === "/sign-in/") {
    event.detail.shouldSwap = false;
    location.reload();
  }
});
document.addEventListener("htmx:afterSwap", () => { refreshTimes(); letScroll(); });
document.addEventListener("htmx:responseError", (event) => {
  notice("bad", `The server answered ${event.detail.xhr.status}. Reload the page to see what was saved.`);
});
document.addEventListener("htmx:sendError", () => notice("bad", "The server could not be reached. Reload the page to see what was saved."));
// A view says something with the header HX-Trigger: {"notice": {"level": "good", "text": "…"}}.
document.addEventListener("notice", (event) => notice(event.detail.level, event.detail.text));
// Where an address leads into something folded, it opens, also where the browser does not do so by itself.
const unfold = () => {
  const place = location.hash && document.getElementById(location.hash.slice(1));
  const folded = place && place.closest("details:not([open])");
  if (folded) {
    folded.open = true;
    place.scrollIntoView();
  }
};
window.addEventListener("hashchange", unfold);
unfold();
setInterval(refreshTimes, 15000);
window.addEventListener("resize", letScroll);
letScroll();
