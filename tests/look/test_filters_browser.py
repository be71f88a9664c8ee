"""Filters in a real browser: while one chooses, the list, its sentence, its file and what narrows it follow."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, expect

from tests import cast as casting
from tests.look.test_pages_browser import narrow, sign_in

pytestmark = pytest.mark.browser


def test_a_chosen_filter_narrows_all_that_the_page_says_of_the_list(live_site: str, browser: Browser) -> None:
    cast = casting.make_cast()
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    sign_in(page, live_site, cast.admin)
    page.goto(live_site + reverse("people"), wait_until="networkidle")
    everybody = page.locator("h1").inner_text()
    page.evaluate("() => { window.untouched = true; }")

    page.locator("select[name=role]").focus()
    page.locator("select[name=role]").select_option("finance")

    narrowed = page.locator("#narrowed")
    expect(narrowed).to_contain_text("Role: Finance")
    expect(page.locator("h1")).not_to_have_text(everybody)
    expect(page.locator("#list tbody tr")).to_have_count(1)
    expect(page.get_by_role("link", name="Export CSV")).to_have_attribute("href", re.compile("role=finance"))
    expect(page.locator("select[name=role]")).to_be_focused()
    # What says nothing is not in the address.
    assert page.url.endswith("?role=finance")

    page.locator("input[name=q]").fill("nobody at all")
    expect(page.locator("#list")).to_contain_text("No person matches these filters")
    expect(narrowed.get_by_role("link")).to_have_count(3)
    # All of that without leaving the page; what takes a part away is a link as any other.
    assert page.evaluate("() => window.untouched")
    narrowed.get_by_role("link", name="Take away Role").click()
    expect(page.locator("#narrowed")).not_to_contain_text("Role")
    expect(page.locator("#narrowed")).to_contain_text("nobody at all")
    page.context.close()


def test_on_a_narrow_screen_filters_fold_away_and_say_how_many_are_set(live_site: str, browser: Browser) -> None:
    cast = casting.make_cast()
    page = narrow(browser)
    sign_in(page, live_site, cast.admin)
    page.goto(live_site + reverse("people"), wait_until="networkidle")
    role, folds = page.locator("select[name=role]"), page.locator("summary", has_text="Filters")
    expect(role).to_be_hidden()

    folds.focus()
    page.keyboard.press("Enter")
    role.select_option("finance")

    expect(folds).to_have_text("Filters, 1 set")
    expect(role).to_be_visible()
    # Where something narrows the list, it stands open; and on a wide screen always.
    page.reload(wait_until="networkidle")
    expect(role).to_be_visible()
    page.goto(live_site + reverse("people"), wait_until="networkidle")
    expect(role).to_be_hidden()
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(role).to_be_visible()
    expect(folds).to_be_hidden()
    page.context.close()


def test_a_form_that_is_sent_whole_says_only_what_is_set(live_site: str, browser: Browser) -> None:
    cast = casting.make_cast()
    page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
    sign_in(page, live_site, cast.finance)
    page.goto(live_site + reverse("spend_attempts"), wait_until="networkidle")
    page.locator("select[name=show]").select_option("late")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url(re.compile("show=late"))
    assert re.search(r"[?&][a-z]+=(&|$)", page.url) is None
    page.context.close()
