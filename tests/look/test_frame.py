"""The frame: a way past the navigation, one heading, one landmark, this page marked, no dead entry."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.test import RequestFactory, override_settings
from django.urls import path


def _page(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


urlpatterns = [
    path("", _page, name="home"),
    path("reviews/", _page, name="reviews"),
    path("spend/", _page, name="spend"),
    path("savings/", _page, name="savings"),
    path("account/", _page, name="account"),
    path("sign-in/", _page, name="sign_in"),
    path("sign-out/", _page, name="sign_out"),
]


class SignedIn:
    """A person as far as the frame looks at one."""

    is_authenticated = True

    def __str__(self) -> str:
        return "Ada <Lovelace>"


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=__name__):
        yield


def frame(address: str = "/", *, signed_in: bool = True, **values: object) -> str:
    """The frame around the page that says there is no page."""
    request: Any = RequestFactory().get(address)
    if signed_in:
        request.user = SignedIn()
        values = {"may_see": {"reviews", "spend"}} | values
    return render_to_string("404.html", values, request=request)


def test_frame_has_one_heading_one_landmark_and_a_way_past_the_navigation() -> None:
    html = frame()
    assert html.startswith("<!doctype html>")
    assert len(re.findall(r"<h1\b", html)) == 1
    assert len(re.findall(r"<main\b", html)) == 1
    assert re.search(r"<body[^>]*>\s*<a class=\"skip\" href=\"#main\">", html)
    assert 'id="live"' in html


def test_frame_marks_this_page_and_the_section_of_a_page_below() -> None:
    assert re.findall(r'href="([^"]+)" aria-current="(\w+)"', frame("/reviews/")) == [("/reviews/", "page")]
    assert re.findall(r'href="([^"]+)" aria-current="(\w+)"', frame("/reviews/7/")) == [("/reviews/", "true")]
    assert re.findall(r'href="([^"]+)" aria-current="(\w+)"', frame("/")) == [("/", "page")]


def test_frame_has_entries_only_for_pages_one_may_open() -> None:
    assert re.findall(r'class="item" href="([^"]+)"', frame(may_see={"spend"})) == ["/", "/spend/", "/savings/"]
    assert re.findall(r'class="item" href="([^"]+)"', frame(may_see=set())) == ["/"]


def test_frame_shows_a_stranger_only_the_door() -> None:
    html = frame(signed_in=False)
    assert 'class="item"' not in html
    assert 'href="/sign-in/"' in html


def test_frame_counts_what_waits_and_hides_nothing_that_waits() -> None:
    html = frame(waiting={"home": 3, "reviews": 1200, "changes": 0})
    assert re.findall(r'class="waiting">([\d,]+)<', html) == ["3", "1,200"]


def test_signing_out_is_a_form() -> None:
    html = frame()
    assert re.search(r'<form method="post" action="/sign-out/"><input type="hidden" name="csrfmiddlewaretoken"', html)
    assert "Ada &lt;Lovelace&gt;" in html
    assert "sign-out" not in frame(signed_in=False)


def test_sign_in_ties_its_errors_and_lists_no_one_outside_a_demo() -> None:
    html = render_to_string("governance/sign_in.html", {}, request=RequestFactory().get("/"))
    assert "Who to be in the demo" not in html
    person = {"name": "Reviewer", "purpose": "answers", "email": "reviewer@harbour-vale.example"}
    html = render_to_string("governance/sign_in.html", {"demo_people": [person]}, request=RequestFactory().get("/"))
    assert 'data-value="reviewer@harbour-vale.example"' in html


@pytest.mark.parametrize("name", ["400", "403", "403_csrf", "404", "500"])
def test_dead_end_says_what_to_do_next(name: str) -> None:
    html = render_to_string(f"{name}.html")
    assert len(re.findall(r"<h1\b", html)) == 1
    assert 'href="/"' in html
    assert name[:3] in html


def test_refusal_says_what_it_takes() -> None:
    assert "the role auditor &amp; more" in render_to_string(
        "403.html", {"exception": "It takes the role auditor & more."}
    )
