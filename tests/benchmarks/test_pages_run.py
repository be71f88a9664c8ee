"""The benchmark of lists: it finds every page by itself, and takes the worst."""

from pathlib import Path

import pytest
from django.urls import get_resolver, path
from django.urls.resolvers import URLPattern, URLResolver
from django.views.generic import TemplateView

from benchmarks.inside import pages
from benchmarks.inside.looking import View
from tests.benchmarks.lines import bench


@pytest.mark.processes
def test_it_runs_on_a_database_of_its_own(tmp_path: Path) -> None:
    """Every record must be taken and every page shown, else it would say so."""
    measures = bench(tmp_path, "pages", "--workflows", "3", "--requests", "20", "--views", "1")

    assert list(measures) == ["pages.milliseconds", "pages.queries", "pages.size"]
    assert measures["pages.milliseconds"]["value"] > 0
    assert measures["pages.queries"]["value"] > 0
    assert measures["pages.size"]["value"] > 1


def test_pages_are_those_of_the_site_map_that_need_nothing_more() -> None:
    found = list(pages.addresses(get_resolver().url_patterns))

    assert {"/", "/workflows/", "/changes/", "/reviews/", "/audit/", "/spend/", "/spend/attempts/"} <= set(found)
    assert not [each for each in found if each.startswith("/api/") or "<" in each]


def test_nested_site_maps_are_walked() -> None:
    leaf = path("list/<int:number>/", TemplateView.as_view()), path("list/", TemplateView.as_view())
    inner: list[URLPattern | URLResolver] = [path("more/", (list(leaf), "app", "app"))]

    assert list(pages.addresses(inner)) == ["/more/list/"]


def test_the_worst_page_counts_and_home_is_no_list() -> None:
    views = [
        View("/", 50, 40, 30, 10, 20, 5_000),
        View("/slow/", 310, 300, 200, 90, 9, 6_000),
        View("/large/", 20, 20, 20, 0, 11, 120_000),
    ]

    slowest, most, largest = pages.measures(views, 2_000, 100_000)

    assert (slowest.value, slowest.met) == (310, False)
    assert slowest.title == "slowest page at 2,000 workflows and 100,000 requests: /slow/"
    assert (most.value, most.met) == (11, True)
    assert (largest.value, largest.met) == (120, False)
