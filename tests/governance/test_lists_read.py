"""Lists of governance: sorted and filtered as asked, and a file that holds the same rows."""

from typing import Any

import pytest
from django.urls import reverse

from governance.models import Change, Review
from tests import cast as casting
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db

LISTS = {"workflows": "lead", "changes": "lead", "reviews": "reviewer", "audit": "auditor"}


@pytest.fixture
def cast() -> casting.Cast:
    """Two workflows, of which one has a policy, changes, keys and reviews."""
    made = casting.make_cast()
    casting.make_live(made)
    casting.make_change(made, 0.6)
    casting.make_change(made, 0.5, by=made.lead)
    for number in range(2):
        casting.make_review(casting.make_key(made, f"Shop {number}")[0])
    casting.make_workflow(made.team, made.lead, "accounts", risk="high")
    return made


def listed(cast: casting.Cast, name: str, **query: str) -> list[Any]:
    """The rows that a list shows to the one who opens it."""
    answer = signed_in(cast.people[LISTS[name]]).get(reverse(name), query)
    assert answer.status_code == 200
    return list(answer.context["page"])


def filed(cast: casting.Cast, name: str, **query: str) -> list[dict[str, str]]:
    """The rows of the list's file."""
    return file(signed_in(cast.people[LISTS[name]]).get(reverse(f"{name}_csv"), query))


@pytest.mark.parametrize(
    ("name", "sort", "column", "attribute"),
    [
        ("workflows", "name", "slug", "slug"),
        ("workflows", "owner", "slug", "slug"),
        ("changes", "title", "number", "number"),
        ("changes", "proposed", "number", "number"),
        ("changes", "state", "number", "number"),
        ("reviews", "opened", "id", "id"),
        ("reviews", "respond", "id", "id"),
        ("audit", "what", "entry_hash", "entry_hash"),
        ("audit", "who", "entry_hash", "entry_hash"),
    ],
)
def test_a_list_and_its_file_have_the_same_rows_in_the_order_asked(
    cast: casting.Cast, name: str, sort: str, column: str, attribute: str
) -> None:
    ways = {}
    for asked in (sort, f"-{sort}"):
        rows = listed(cast, name, sort=asked)
        assert [row[column] for row in filed(cast, name, sort=asked)][:50] == [
            str(getattr(row, attribute)) for row in rows
        ]
        ways[asked] = rows
    assert ways[sort] != ways[f"-{sort}"]
    assert len(ways[sort]) > 1


@pytest.mark.parametrize("name", LISTS)
def test_an_order_that_does_not_exist_is_the_usual_one(cast: casting.Cast, name: str) -> None:
    assert listed(cast, name, sort="password") == listed(cast, name)


def test_changes_are_sorted_by_number_newest_first_and_by_title_when_asked(cast: casting.Cast) -> None:
    assert [each.number for each in listed(cast, "changes")] == sorted(
        Change.objects.values_list("number", flat=True), reverse=True
    )
    titles = [each.title for each in listed(cast, "changes", sort="title")]
    assert titles == sorted(titles)
    assert [row["state"] for row in filed(cast, "changes", state="open")] == ["in_review", "in_review"]


def test_workflows_are_found_by_name_risk_and_the_models_they_name(cast: casting.Cast) -> None:
    assert [each.slug for each in listed(cast, "workflows", q="ACC")] == ["accounts"]
    assert [each.slug for each in listed(cast, "workflows", risk="high")] == ["accounts"]
    assert [each.slug for each in listed(cast, "workflows", model="lexicon")] == ["customer-feedback"]
    assert signed_in(cast.lead).get(reverse("workflows"), {"model": "lex"}).status_code == 422
    assert listed(cast, "workflows", data_class="public") == []
    answer = signed_in(cast.lead).get(reverse("workflows"), {"q": "nothing like it"})
    assert "No workflow matches" in text(answer)
    assert [row["slug"] for row in filed(cast, "workflows", risk="high")] == ["accounts"]


def test_the_file_of_reviews_says_nothing_of_a_case(cast: casting.Cast) -> None:
    Review.objects.update(title="Refund for Jane Doe")
    client = signed_in(cast.reviewer)

    assert "Jane Doe" in text(client.get(reverse("reviews")))
    content = client.get(reverse("reviews_csv"), {"status": "all"}).getvalue().decode()
    assert "Jane" not in content
    assert content.count("customer-feedback") == 2


def test_another_team_finds_nothing_in_the_files(cast: casting.Cast) -> None:
    client = signed_in(cast.stranger)
    for name in ("workflows", "changes", "reviews"):
        assert file(client.get(reverse(f"{name}_csv"))) == []
        assert filed(cast, name) != []


def test_a_list_leads_to_its_file_with_filter_and_order(cast: casting.Cast) -> None:
    page = signed_in(cast.lead).get(reverse("changes"), {"state": "open", "sort": "-title", "page": "1"})
    assert f'href="{reverse("changes_csv")}?state=open&amp;sort=-title"' in page.content.decode()
