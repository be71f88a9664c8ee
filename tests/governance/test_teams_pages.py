"""Pages of teams: what each owns, who has a role there, adding and renaming one."""

import pytest
from django.urls import reverse

from governance import accounts, workflows
from governance.models import AuditEvent, Team
from tests import cast as casting
from tests.cast import Cast, make_cast
from tests.pages import file, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    """Everybody: Customer care with a workflow and three models, and Elsewhere."""
    return make_cast()


def test_a_team_is_added_and_renamed(cast: Cast) -> None:
    client = signed_in(cast.admin)
    page = text(client.post(reverse("team_new"), {"name": "Returns", "slug": "returns"}, follow=True))
    assert "Returns owns nothing yet" in page
    page = text(client.post(reverse("team_edit", args=["returns"]), {"name": "Returns desk"}, follow=True))
    assert "The team is called Returns desk" in page
    made = Team.objects.get(slug="returns")
    actions = AuditEvent.objects.about(made).newest_first().values_list("action", flat=True)
    assert list(actions) == ["accounts.rename_team", "accounts.create_team"]
    before = AuditEvent.objects.count()
    client.post(reverse("team_edit", args=["returns"]), {"name": "Returns desk"})
    assert AuditEvent.objects.count() == before


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": " "}, "required"),
        ({"name": "Elsewhere"}, "already exists"),
        ({"slug": "elsewhere"}, "already exists"),
        ({"slug": "Not a slug"}, "valid “slug”"),
    ],
)
def test_what_does_not_fit_adds_no_team(cast: Cast, fields: dict[str, str], said: str) -> None:
    given = {"name": "Returns", "slug": "returns", **fields}
    before = (Team.objects.count(), AuditEvent.objects.count())
    answer = signed_in(cast.admin).post(reverse("team_new"), given)
    assert (answer.status_code, said in text(answer)) == (422, True)
    for who, status in (("lead", 403), ("auditor", 403), ("stranger", 403)):
        assert signed_in(cast.people[who]).post(reverse("team_new"), given).status_code == status
    assert (Team.objects.count(), AuditEvent.objects.count()) == before


def test_a_name_in_use_renames_nothing(cast: Cast) -> None:
    address = reverse("team_edit", args=["customer-care"])
    answer = signed_in(cast.admin).post(address, {"name": "Elsewhere"})
    assert (answer.status_code, "already exists" in text(answer)) == (422, True)
    assert signed_in(cast.auditor).post(address, {"name": "Mine"}).status_code == 403
    assert signed_in(cast.lead).post(address, {"name": "Mine"}).status_code == 404
    with pytest.raises(accounts.NotPermitted):
        accounts.rename_team(team=cast.team, name="Mine", by=cast.lead)
    assert Team.objects.get(slug="customer-care").name == "Customer care"


def test_a_page_says_what_a_team_owns_and_who_has_a_role_there(cast: Cast) -> None:
    page = text(signed_in(cast.auditor).get(reverse("team", args=["customer-care"])))
    assert "Customer care owns 1 workflow and 3 models" in page
    for said in ("Customer feedback limited risk", "Lexicon", "Owner workflow owner", "Reviewer reviewer"):
        assert said in page, said
    assert "Finance finance" not in page
    accounts.deactivate(person=cast.reviewer, reason="left", by=cast.admin)
    assert "Reviewer reviewer" not in text(signed_in(cast.auditor).get(reverse("team", args=["customer-care"])))


def test_the_list_counts_sorts_and_files(cast: Cast) -> None:
    casting.make_workflow(cast.elsewhere, cast.owner, "returns")
    workflows.retire(workflow=casting.make_workflow(cast.team, cast.owner, "old"), reason="closed", by=cast.lead)
    client = signed_in(cast.admin)

    def rows(**query: str) -> list[tuple[str, int, int, int]]:
        page = client.get(reverse("teams"), query).context["page"]
        listed = [(each.slug, each.people, each.owned, each.registered) for each in page]
        filed = file(client.get(reverse("teams_csv"), query))
        assert [(row["slug"], row["people"], row["owned"], row["registered"]) for row in filed] == [
            (slug, *map(str, numbers)) for slug, *numbers in listed
        ]
        return listed

    care, elsewhere = ("customer-care", 3, 1, 3), ("elsewhere", 1, 1, 0)
    assert rows() == rows(sort="-people") == [care, elsewhere]
    assert rows(sort="models") == rows(sort="-name") == [elsewhere, care]
    assert rows(q="else") == [elsewhere]
    assert rows(q="nothing") == []
    for name, number in (("people", 3), ("workflows", 1), ("models", 3)):
        shown = client.get(reverse(name), {"team": "customer-care"}).context["page"]
        assert shown.paginator.count == number, name


def test_who_sees_no_accounts_finds_no_team(cast: Cast) -> None:
    for who in ("lead", "owner", "stranger"):
        assert signed_in(cast.people[who]).get(reverse("teams")).status_code == 403
        assert signed_in(cast.people[who]).get(reverse("team", args=["elsewhere"])).status_code == 404
