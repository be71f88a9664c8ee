"""Every page in a real browser: it fits a narrow screen, breaks no policy, names each control, works by keyboard."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.test import Client
from django.urls import reverse
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from governance.models import Review, User
from tests import cast as casting
from tests.architecture.test_roles import MATRIX, Stage, make_stage
from tests.governance.desk import make_desk
from tests.look.tabbing import tab_faults

pytestmark = pytest.mark.browser

# Both screens: width, height, scheme.
WIDE: tuple[int, int, Literal["light", "dark"]] = (1280, 800, "light")
NARROW: tuple[int, int, Literal["light", "dark"]] = (360, 720, "dark")
# The walk of all pages in so many tests, which can go to as many workers.
PARTS = 4
NO_PAGES = ("_csv", "healthz", "readyz", "metrics", "schema")
AXE = {
    "resultTypes": ["violations"],
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]},
}
# What a page must not have: [what, how many].
FAULTS = """() => {
  const shown = (element) => element.getClientRects().length > 0;
  const all = (selector) => [...document.querySelectorAll(selector)];
  const named = (control) => control.labels?.length || control.ariaLabel || control.textContent.trim();
  const inText = (link) => getComputedStyle(link).display === "inline";
  const small = (box) => box.height < 24 || box.width < 24;
  return Object.entries({
    "wider than the screen": document.documentElement.scrollWidth - document.documentElement.clientWidth,
    "headings of the first level": all("h1").length - 1,
    "controls without a name": all("input:not([type=hidden]), select, textarea, button, a[href]")
      .filter((control) => shown(control) && !named(control)).length,
    "drawings without words": all("svg").filter((svg) => !svg.ariaHidden && !svg.ariaLabel).length,
    "targets too small to touch": all("button, .btn, .item, select, textarea, input:not([type=hidden])")
      .filter((control) => shown(control) && !inText(control) && small(control.getBoundingClientRect()))
      .filter((control) => !["checkbox", "radio"].includes(control.type)).length,
    "ids used twice": all("[id]").length - new Set(all("[id]").map((element) => element.id)).size,
  }).filter(([, count]) => count !== 0);
}"""
# What is folded away has to fit and to read as well.
UNFOLDED = """() => document.querySelectorAll("details").forEach((folded) => { folded.open = true; })"""
# Nothing that it loads by itself is still to come: htmx marks what asks, and what is being put in.
STILL = """() => new Promise((done) => {
  let quiet = 0;
  const look = () => {
    const moves = document.querySelector(".htmx-request, .htmx-swapping, .htmx-settling, .htmx-added");
    quiet = moves ? 0 : quiet + 1;
    if (quiet > 3) done();
    else setTimeout(look, 20);
  };
  look();
})"""
# What fades in is read once it stands there.
SETTLED = """() => Promise.all(document.getAnimations()
  .filter((each) => each.effect.getComputedTiming().iterations !== Infinity)
  .map((each) => each.finished.catch(() => null)))"""


def sign_in(page: Page, site: str, person: User) -> None:
    """Give the browser this person's session."""
    client = Client()
    client.force_login(person)
    session = client.cookies[settings.SESSION_COOKIE_NAME].value
    page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": site}])


def show_on(page: Page, screen: tuple[int, int, Literal["light", "dark"]]) -> None:
    """Show what stands in a tab on a screen: its width, height and scheme."""
    width, height, scheme = screen
    page.set_viewport_size({"width": width, "height": height})
    page.emulate_media(color_scheme=scheme)


def narrow(browser: Browser) -> Page:
    """A tab as wide as a small telephone, in the dark scheme, without motion."""
    context = browser.new_context(
        viewport={"width": 360, "height": 720}, color_scheme="dark", reduced_motion="reduce", has_touch=True
    )
    context.set_default_timeout(15_000)
    return context.new_page()


def pages(stage: Stage) -> Iterator[tuple[str, str]]:
    """Each page of the role matrix with the first role that may open it; what gateways and files are has no look."""
    for (name, method), gets in MATRIX.items():
        role = next((role for role, status in gets.items() if status == 200), None)
        api = name.startswith("api_") and not name.startswith("api_docs")
        if method == "get" and role and not api and not name.endswith(NO_PAGES):
            yield name, role


def open_page(page: Page, address: str) -> str | None:
    """Open a page and wait for the parts that it loads by itself; its markup, or None where it does not open."""
    answer = page.goto(address, wait_until="load")
    page.evaluate(STILL)
    return answer.text() if answer and answer.status == 200 else None


def faults_of(page: Page, axe: Axe) -> dict[str, Any]:
    """What is wrong with the page as it stands: ours, and what axe knows."""
    page.evaluate(SETTLED)
    faults: dict[str, Any] = dict(page.evaluate(FAULTS))
    for violation in axe.run(page, options=AXE).response["violations"]:
        faults[violation["id"]] = [node["html"][:160] for node in violation["nodes"]][:3]
    return faults


@pytest.mark.usefixtures("installation_keys")
@pytest.mark.parametrize("part", range(PARTS))
def test_every_page_fits_reads_and_breaks_no_rule(live_site: str, browser: Browser, part: int) -> None:
    """On both screens, in both schemes: no fault of ours, none that axe knows (WCAG 2.2 AA), nothing in the console.

    And by the Tab key alone all that acts is reached, as it is read, and one sees where one is.
    """
    stage = make_stage()
    page = browser.new_context(reduced_motion="reduce", has_touch=True).new_page()
    said: list[str] = []

    def note(message: ConsoleMessage) -> None:
        # A part of a page names no icon, so that the browser asks for one by itself.
        if message.type == "error" and not message.location["url"].endswith("/favicon.ico"):
            said.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: said.append(f"{page.url}: {error}"))
    axe, found, who = Axe(), {}, ""
    for name, role in sorted(pages(stage), key=lambda each: each[1])[part::PARTS]:
        if role != who and stage.people[role]:
            sign_in(page, live_site, stage.people[role])
            who = role
        show_on(page, WIDE)
        html = open_page(page, live_site + stage.path(name))
        assert html is not None, name
        if "<html" not in html:
            # A part of another page, seen there.
            continue
        faults: dict[str, Any] = {"by Tab": wrong} if (wrong := tab_faults(page)) else {}
        page.evaluate(UNFOLDED)
        faults |= faults_of(page, axe)
        show_on(page, NARROW)
        faults |= {f"narrow, {fault}": what for fault, what in faults_of(page, axe).items()}
        if faults:
            found[name] = faults
    assert found == {}
    assert said == []
    page.context.close()


def test_the_narrow_menu_and_the_keys_work_without_a_mouse(live_site: str, browser: Browser) -> None:
    cast = casting.make_cast()
    page = narrow(browser)
    sign_in(page, live_site, cast.owner)
    page.goto(live_site)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    menu = page.get_by_role("button", name="Menu")
    expect(page.get_by_role("link", name="Workflows")).to_be_hidden()
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Workflows")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    expect(menu).to_have_attribute("aria-expanded", "false")
    page.set_viewport_size({"width": 1280, "height": 800})
    page.keyboard.press("?")
    keys = page.get_by_role("dialog", name="Keys")
    expect(keys).to_be_visible()
    keys.get_by_label("Single keys act on this computer").uncheck()
    page.keyboard.press("Escape")
    page.goto(live_site + reverse("workflows"))
    page.keyboard.press("j")
    assert page.evaluate("document.activeElement.tagName") == "BODY"
    expect(page.locator("h1")).to_have_text(re.compile("workflow"))
    page.context.close()


@pytest.mark.usefixtures("installation_keys")
def test_a_key_that_is_held_answers_one_case(live_site: str, browser: Browser) -> None:
    """A key repeats while it is held, and the next case comes in less time than it takes to let go."""
    desk = make_desk()
    first = desk.claimed(opened_at=desk.now - timedelta(minutes=5))
    second, third = desk.open(opened_at=desk.now - timedelta(minutes=3)), desk.open()
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    sign_in(page, live_site, desk.reviewer)
    page.goto(live_site + reverse("review", args=[first.pk]))
    page.keyboard.down("1")
    page.wait_for_url(live_site + reverse("review", args=[second.pk]))
    page.keyboard.down("1")
    page.keyboard.up("1")
    expect(page.locator(".answer")).to_have_attribute("data-once", "")
    # Two presses before the next page is there send one answer.
    page.locator(".answer button").first.evaluate("(button) => { button.click(); button.click(); }")
    page.wait_for_url(live_site + reverse("review", args=[third.pk]))
    assert list(Review.objects.filter(status="answered").order_by("opened_at")) == [first, second]
    page.context.close()
