"""Filters in a real browser: while one chooses, the list, its sentence, its file and what narrows it follow."""

import re

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, expect

from tests import cast as casting
from tests.look.test_pages_browser import sign_in

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
    assert "role=finance" in page.url

    page.locator("input[name=q]").fill("nobody at all")
    expect(page.locator("#list")).to_contain_text("No person matches these filters")
    expect(narrowed.get_by_role("link")).to_have_count(3)
    # All of that without leaving the page; what takes a part away is a link as any other.
    assert page.evaluate("() => window.untouched")
    narrowed.get_by_role("link", name="Take away Role").click()
    expect(page.locator("#narrowed")).not_to_contain_text("Role")
    expect(page.locator("#narrowed")).to_contain_text("nobody at all")
    page.context.close()
