"""Rules of a policy in a real browser: built and moved by keyboard alone, with and without a script."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Browser, Page, expect

from governance.models import Change
from tests import cast as casting
from tests.look.test_pages_browser import AXE, FAULTS, SETTLED, UNFOLDED, narrow, sign_in

pytestmark = pytest.mark.browser


def press(page: Page, selector: str) -> None:
    """Press a button by keyboard, and wait for what it brings."""
    with page.expect_response(lambda each: "show=faults" not in (each.request.post_data or "show=faults")):
        page.locator(selector).press("Enter")


def choose(page: Page, name: str, letters: str) -> None:
    """Choose in a list by typing, as who has no mouse."""
    page.locator(f"[name='{name}']").focus()
    page.keyboard.type(letters)


@pytest.mark.parametrize("scripted", [True, False], ids=["with a script", "without"])
def test_a_rule_is_built_and_moved_by_keyboard(live_site: str, browser: Browser, scripted: bool) -> None:
    cast = casting.make_cast()
    casting.make_live(cast)
    page = browser.new_context(java_script_enabled=scripted).new_page()
    sign_in(page, live_site, cast.lead)
    page.goto(live_site + reverse("change_new", args=[cast.workflow.slug]))
    page.locator("[name=title]").fill("Two rules")
    press(page, "#rules-add")
    expect(page.locator("[name='rule-n1-name']")).to_be_focused()
    page.keyboard.type("Risky")
    choose(page, "rule-n1-add-when", "Risk")
    press(page, "button[value='when n1']")
    expect(page.locator("[name='rule-n1-when-n1-risk-at_least']")).to_be_focused()
    page.keyboard.type("high")
    choose(page, "rule-n1-add-then", "A person")
    press(page, "button[value='then n1']")
    expect(page.locator("[name='rule-n1-add-then']")).to_be_focused()
    press(page, "#rules-add")
    expect(page.locator("[name='rule-n2-name']")).to_be_focused()
    page.keyboard.type("Dear")
    choose(page, "rule-n2-add-then", "Start")
    press(page, "button[value='then n2']")
    expect(page.locator("[name='rule-n2-then-start']")).to_be_focused()
    page.keyboard.type("mid")
    press(page, "#up-n2")
    # At the top there is no way up: the focus is on the way down.
    expect(page.locator("#down-n2")).to_be_focused()
    names = page.locator("#rules .rule [name$='-name']")
    assert [names.nth(place).input_value() for place in range(2)] == ["Dear", "Risky"]
    assert page.locator("[name=title]").input_value() == "Two rules"
    # What Enter in a field presses is the form's own button, not the first button of a rule.
    page.locator("[name=title]").press("Enter")
    page.wait_for_url("**/changes/*/")
    rules = Change.objects.get(title="Two rules").revision.policy.document["rules"]
    assert [(rule["name"], rule["then"]["start"], rule["then"]["review"]) for rule in rules] == [
        ("Dear", "mid", False),
        ("Risky", None, True),
    ]
    page.context.close()


def test_what_is_wrong_is_told_while_one_types_and_leads_to_its_field(live_site: str, browser: Browser) -> None:
    cast = casting.make_cast()
    casting.make_live(cast)
    page = narrow(browser)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    sign_in(page, live_site, cast.lead)
    page.goto(live_site + reverse("change_new", args=[cast.workflow.slug]))
    page.locator("[name='step-0-model-1']").focus()
    page.keyboard.type("lexicon")
    page.keyboard.press("Tab")
    told = page.locator("#faults a")
    expect(told).to_have_text("any other step: asked second")
    told.press("Enter")
    expect(page.locator("[name='step-0-model-1']")).to_be_in_viewport()
    press(page, "#rules-add")
    expect(page.locator("[name='rule-n1-name']")).to_be_focused()
    page.keyboard.type("A")
    choose(page, "rule-n1-add-when", "Tokens")
    press(page, "button[value='when n1']")
    expect(page.locator("[name='rule-n1-when-n1-input_tokens-at_least']")).to_be_focused()
    page.evaluate(UNFOLDED)
    page.evaluate(SETTLED)
    assert page.evaluate(FAULTS) == []
    assert [each["id"] for each in Axe().run(page, options=AXE).response["violations"]] == []
    assert said == []
    page.context.close()
