"""Standards and exceptions on two connections: one head for each place, one change that wins, votes that count."""

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from governance import changes, standards
from governance.models import Change, ContentHead
from tests.at_once import at_once, while_held
from tests.cast import Cast, approve, make_cast, make_exceptions, make_live, make_standard

LEXICON = {"models": ["lexicon", "smollm2"]}
EUROPE = {"regions": ["eu"]}


@pytest.fixture
def cast(live_database: Any) -> Cast:
    """Everybody, and a policy that is live, committed."""
    made = make_cast()
    make_live(made)
    return made


def said(cast: Cast) -> list[list[str]]:
    """What the live standards say."""
    return [each.said for each in standards.live_in(cast.production)]


def test_the_first_two_proposals_of_a_place_share_one_head(cast: Cast) -> None:
    made = at_once(
        lambda: make_standard(cast, guards=LEXICON), lambda: make_standard(cast, by=cast.lead, guards=EUROPE)
    )
    assert [type(each) for each in made] == [Change, Change]
    assert ContentHead.objects.filter(kind="standard").count() == 1


def test_of_two_that_become_live_at_once_one_goes_stale(cast: Cast) -> None:
    one = approve(make_standard(cast, guards=LEXICON), cast.lead)
    other = approve(make_standard(cast, guards=EUROPE), cast.lead)
    results = at_once(
        lambda: changes.activate(change=one, by=cast.second_lead),
        lambda: changes.activate(change=other, by=cast.second_lead),
    )
    assert sorted(type(each).__name__ for each in results) == ["Change", "StaleBase"]
    states = sorted(Change.objects.filter(kind="standard").values_list("state", flat=True))
    assert states == ["applied", "stale"]
    assert len(said(cast)) == 1


def test_a_vote_that_is_taken_back_keeps_a_standard_from_becoming_live(cast: Cast) -> None:
    change = approve(make_standard(cast, guards=LEXICON), cast.lead)
    digest = change.revision.payload_digest

    def take_back() -> Change:
        return changes.vote(change=change, digest=digest, choice="withdraw", reason="", by=cast.lead)

    result, waited = while_held(take_back, lambda: changes.activate(change=change, by=cast.second_lead))
    assert waited
    assert isinstance(result, changes.NotApproved)
    assert said(cast) == []


def test_exceptions_of_a_workflow_wait_for_each_other(cast: Cast) -> None:
    changes.activate(change=approve(make_standard(cast, guards=LEXICON | EUROPE), cast.lead), by=cast.lead)
    one = approve(make_exceptions(cast, "guards.models"), cast.second_lead)
    other = approve(make_exceptions(cast, "guards.regions"), cast.second_lead)
    result, waited = while_held(
        lambda: changes.activate(change=one, by=cast.lead), lambda: changes.activate(change=other, by=cast.lead)
    )
    assert waited
    assert isinstance(result, changes.StaleBase)
    head = ContentHead.objects.select_related("content").get(kind="exception")
    assert head.content is not None
    assert head.content.document["exceptions"][0]["parts"] == ["guards.models"]


def test_no_sql_gives_a_team_what_was_voted_for_the_organisation(cast: Cast) -> None:
    made = changes.activate(change=approve(make_standard(cast, guards=LEXICON), cast.lead), by=cast.lead)
    content = made.revision.content
    assert content is not None
    insert = """
        INSERT INTO governance_contenthead (id, created_at, kind, environment_id, for_team_id, content_id, change_id)
        VALUES (gen_random_uuid(), now(), 'standard', %s, %s, %s, %s)
    """
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert, [cast.production.pk, cast.team.pk, content.pk, None])
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert, [cast.production.pk, cast.team.pk, content.pk, made.pk])
    assert len(said(cast)) == 1
