"""A page by the Tab key alone: whether all that acts is reached, as it is read, and one sees where one is."""

from playwright.sync_api import Page

# Marks all that can be reached, of radio buttons one a group, in the order in which it stands on the page.
MARK = """() => {
  const shown = (element) => element.checkVisibility({ visibilityProperty: true });
  const groups = new Set();
  const reached = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
    .filter((element) => shown(element) && !element.disabled && element.tabIndex >= 0)
    .filter((element) => {
      if (element.type !== "radio") return true;
      const group = [...document.querySelectorAll(`input[type=radio][name="${element.name}"]`)]
        .filter((each) => each.form === element.form);
      const chosen = group.find((each) => each.checked) ?? group[0];
      return element === chosen;
    });
  reached.forEach((element, place) => { element.dataset.place = place; });
  return reached.length;
}"""
# Where one is, and what is wrong with how it is shown.
HERE = """() => {
  const element = document.activeElement;
  if (!element || element === document.body || element.dataset.place === undefined) return [null, ""];
  const style = getComputedStyle(element);
  const box = element.getBoundingClientRect();
  const wrong = [];
  if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) wrong.push("no ring");
  if (box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth) wrong.push("out of sight");
  const line = element.getClientRects()[0];
  const over = document.elementFromPoint(line.left + line.width / 2, line.top + line.height / 2);
  if (!wrong.length && over && !element.contains(over) && !over.contains(element) && !over.closest("label")) {
    wrong.push(`covered by ${over.outerHTML.slice(0, 60)}`);
  }
  return [Number(element.dataset.place), wrong.length ? `${element.outerHTML.slice(0, 100)}: ${wrong}` : ""];
}"""


def tabbed(page: Page) -> tuple[list[int], int, list[str]]:
    """Press Tab from the top to the end: the places as they were reached, how many there are, and what was wrong."""
    there: int = page.evaluate(MARK)
    reached: list[int] = []
    wrong: list[str] = []
    for _ in range(3 * there + 20):
        page.keyboard.press("Tab")
        place, fault = page.evaluate(HERE)
        if place is None:
            if reached and reached[-1] == there - 1:
                break
            continue
        # A day has several parts to stop at.
        if reached and reached[-1] == place:
            continue
        if reached and place == 0:
            break
        reached.append(place)
        if fault:
            wrong.append(fault)
    return reached, there, wrong


def tab_faults(page: Page) -> list[str]:
    """What is wrong with a page for one who goes through it by the Tab key."""
    reached, there, wrong = tabbed(page)
    return wrong if reached == list(range(there)) else [*wrong, f"reached {reached} of {there}"]
