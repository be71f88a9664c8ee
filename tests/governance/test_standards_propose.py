"""Standards: proposed for a team or the organisation, live by votes, above the policies of every workflow they hold."""

from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from governance import (
    accounts,
    changes,
    exceptions,
    hindrances,
    inheritance,
    policies,
    serving,
    standards,
    votes,
    workflows,
)
from governance.models import AuditEvent, Change, Content, ContentHead, Notification, NotificationKind, Role
from governance.standards import InvalidStandard
from tests.cast import (
    Cast,
    approve,
    make_cast,
    make_document,
    make_environment,
    make_exceptions,
    make_live,
    make_person,
    make_rules,
    make_standard,
    make_workflow,
)

pytestmark = pytest.mark.django_db
NOT_TFIDF = {"models": ["lexicon", "smollm2"]}
GERMAN = {"name": "No German", "when": [{"type": "language", "is": ["de"]}], "then": {"refuse": "Not in German."}}


@pytest.fixture
def cast() -> Cast:
    """Everybody, and a policy that is live."""
    made = make_cast()
    make_live(made)
    return made


def written() -> tuple[int, ...]:
    """What a refusal must leave as it was."""
    return tuple(each.objects.count() for each in (Change, Content, ContentHead, AuditEvent))


def live(cast: Cast, change: Change) -> Change:
    """Approve a change and make it live."""
    voter = cast.owner if cast.owner.pk in votes.may_vote(change) else cast.lead
    return changes.activate(change=approve(change, voter), by=cast.lead)


def names(cast: Cast) -> list[str]:
    """Whose standards are live."""
    return [each.name for each in standards.live_in(cast.production)]


def test_a_standard_becomes_live_by_votes_and_tells_whose_it_is(cast: Cast) -> None:
    change = make_standard(cast, guards=NOT_TFIDF, rules=[GERMAN])
    assert (change.state, change.place) == ("in_review", "the organisation’s standard in production")
    assert names(cast) == []

    made = live(cast, change)

    (found,) = standards.live_in(cast.production, with_change=True)
    assert (found.name, found.content.number, found.change) == ("the organisation’s standard", 1, made)
    assert found.said == [
        "Of all models only lexicon and smollm2 may be asked.",
        "Rule “No German”: when the language is de, the request is refused with “Not in German.”.",
    ]
    event = AuditEvent.objects.about(made).get(action="changes.activate")
    assert event.summary == "Version 1 of the organisation’s standard in production is live"
    assert event.after is not None
    assert event.after["parts"] == ["guards.models", "rules[No German]"]
    told = Notification.objects.filter(kind=NotificationKind.LIVE).latest("created_at")
    assert {each.person for each in told.deliveries.all()} == {cast.owner, cast.second_lead}


def test_a_teams_standard_holds_for_its_workflows_alone_and_its_people_decide_it(cast: Cast) -> None:
    elsewhere = make_workflow(cast.elsewhere, cast.stranger, "elsewhere")
    change = make_standard(cast, team=cast.team, by=cast.integrator, guards=NOT_TFIDF)
    assert change.place == "the standard of Customer care in production"
    assert Change.objects.visible_to(cast.owner).filter(pk=change.pk).exists()
    assert not Change.objects.visible_to(cast.stranger).filter(pk=change.pk).exists()
    with pytest.raises(accounts.NotPermitted):
        approve(change, cast.stranger)

    live(cast, change)

    inherited = serving.inherited(cast.production)
    assert [len(inherited.held(each)) for each in (cast.workflow, elsewhere)] == [1, 0]
    assert names(cast) == ["the standard of Customer care"]


def test_the_organisations_stands_before_the_teams_and_both_hold(cast: Cast) -> None:
    live(cast, make_standard(cast, team=cast.team, guards={"regions": ["eu"]}))
    live(cast, make_standard(cast, guards=NOT_TFIDF))

    assert names(cast) == ["the organisation’s standard", "the standard of Customer care"]
    document = make_document(0.5, "tf-idf")
    with pytest.raises(policies.InvalidPolicy, match="the organisation’s standard does not allow this model"):
        policies.check(document, workflow=cast.workflow, environment=cast.production)


def test_one_that_keeps_a_live_policy_from_serving_waits_until_it_is_excepted(cast: Cast) -> None:
    change = approve(make_standard(cast, guards={"hosting": ["hosted"]}), cast.lead)
    before = written()
    with pytest.raises(InvalidStandard) as refusal:
        changes.activate(change=change, by=cast.second_lead)
    (problem,) = refusal.value.problems
    assert "the policy of Customer feedback could not serve: this step can never serve" in problem.message
    assert "except Customer feedback from the part" in problem.fix
    assert (written(), names(cast)) == (before, [])
    (told,) = [each.text for each in hindrances.of(change, votes.standing(change), now=timezone.now())]
    assert told.startswith("As it is, it cannot serve: the policy of Customer feedback could not serve")

    live(cast, make_exceptions(cast, "guards.hosting"))
    changes.activate(change=change, by=cast.second_lead)

    assert names(cast) == ["the organisation’s standard"]
    assert serving.inherited(cast.production).held(cast.workflow)[0].without == ("guards.hosting",)
    before = written()
    with pytest.raises(exceptions.InvalidExceptions, match="its live policy could not serve"):
        make_exceptions(cast)
    assert written() == before


def test_what_cannot_serve_already_keeps_no_standard_from_becoming_wider(cast: Cast) -> None:
    strict = {"models": ["lexicon"], "hosting": ["hosted"]}
    change = approve(make_standard(cast, guards=strict), cast.lead)
    live(cast, make_exceptions(cast, "guards.hosting"))
    changes.activate(change=change, by=cast.second_lead)
    wider = approve(make_standard(cast, guards={"models": ["lexicon"], "regions": ["us"]}), cast.lead)
    with pytest.raises(InvalidStandard):
        changes.activate(change=wider, by=cast.second_lead)
    # Serving now, it would not under this one; when the exception is over, it does not anyhow.
    with time_machine.travel(timezone.now() + timedelta(days=40), tick=False):
        assert serving.inherited(cast.production).held(cast.workflow)[0].without == ()
        changes.activate(change=wider, by=cast.second_lead)
    assert standards.live_in(cast.production)[0].content.number == 2


def test_a_review_that_a_standard_asks_for_keeps_no_policy_from_being_watched(cast: Cast) -> None:
    document = make_document(0.5)
    document["steps"][0]["review"] = None
    watched = changes.propose(
        mode="observe",
        workflow=cast.workflow,
        environment=cast.production,
        document=document,
        title="Watch",
        note="",
        by=cast.integrator,
    )
    live(cast, watched)
    live(cast, make_standard(cast, rules=[{"name": "A person looks", "then": {"review": True}}]))
    assert names(cast) == ["the organisation’s standard"]


def test_no_team_lets_itself_off_what_binds_all(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    live(cast, make_standard(cast, team=cast.team, guards={"regions": ["eu"]}))
    change = make_exceptions(cast, "guards.models")
    for person, waits in ((cast.owner, False), (cast.lead, True)):
        assert Change.objects.awaiting(person).filter(pk=change.pk).exists() is waits
    assert votes.why_not_vote(change, cast.owner).startswith("Who votes for the whole organisation")
    before = written()
    with pytest.raises(accounts.NotPermitted, match="votes on exceptions from its standard"):
        approve(change, cast.owner)
    assert written() == before
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM governance_voters(%s) JOIN governance_user u ON u.id = user_id", [change.pk])
        assert {name for (name,) in cursor.fetchall()} == {"Lead", "Second lead"}
    changes.withdraw(change=change, by=cast.integrator)

    own = make_exceptions(cast, "guards.regions", standard="team")
    assert Change.objects.awaiting(cast.owner).filter(pk=own.pk).exists()
    changes.activate(change=approve(own, cast.owner), by=cast.lead)
    assert [each.deviation.standard for each in exceptions.live()] == ["team"]


def test_an_exception_ends_no_term_of_a_policy(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    live(cast, make_exceptions(cast, "guards.models"))
    (term,) = Change.objects.terms()
    assert term.until is None


def test_everybody_who_is_bound_may_read_the_change_that_binds_him(cast: Cast) -> None:
    change = make_standard(cast, guards=NOT_TFIDF)
    for person in (cast.owner, cast.stranger, cast.auditor):
        assert Change.objects.visible_to(person).filter(pk=change.pk).exists()
    assert not Change.objects.visible_to(make_person("Nobody yet")).filter(pk=change.pk).exists()


def test_one_that_became_impossible_while_it_waited_is_refused_when_it_is_to_become_live(cast: Cast) -> None:
    narrow = {"models": ["lexicon", "tf-idf"]}
    change = approve(make_standard(cast, guards=narrow), cast.lead)
    only = changes.propose(
        mode="enforce",
        workflow=cast.workflow,
        environment=cast.production,
        document=make_document(0.5, "smollm2"),
        title="Only the strongest",
        note="",
        by=cast.integrator,
    )
    changes.activate(change=approve(only, cast.owner), by=cast.lead)
    before = written()
    with pytest.raises(InvalidStandard, match="could not serve"):
        changes.activate(change=change, by=cast.second_lead)
    assert (written(), names(cast)) == (before, [])


@pytest.mark.parametrize(
    ("parts", "path", "message"),
    [
        ({"guards": {"models": ["nobody"]}}, "guards.models[0]", "no model is called “nobody”"),
        ({"guards": {"regions": []}}, "guards.regions", "an empty list allows nothing"),
        ({"steps": []}, "steps", "there is no such field"),
        ({"rules": [GERMAN, GERMAN]}, "rules[1].name", "rule “No German” stands twice"),
        ({"rules": [GERMAN | {"then": {"start": "mid"}}]}, "rules[0].then.start", "there is no such field"),
        ({"guards": {"max_cost": "\x00"}}, "guards.max_cost", "not an amount of money"),
    ],
)
def test_bad_input_is_named_by_place_and_nothing_is_written(
    cast: Cast, parts: dict[str, Any], path: str, message: str
) -> None:
    before = written()
    with pytest.raises(InvalidStandard) as refusal:
        make_standard(cast, **parts)
    assert [(each.path, each.message) for each in refusal.value.problems] == [(path, message)]
    assert written() == before


def test_only_who_may_propose_there_does_and_the_same_twice_says_so(cast: Cast) -> None:
    before = written()
    with pytest.raises(accounts.NotPermitted):
        make_standard(cast, by=cast.integrator, guards=NOT_TFIDF)  # Of a team alone.
    with pytest.raises(accounts.NotPermitted):
        make_standard(cast, team=cast.elsewhere, by=cast.integrator, guards=NOT_TFIDF)
    with pytest.raises(accounts.NotPermitted):
        make_standard(cast, by=cast.finance, guards=NOT_TFIDF)
    assert written() == before
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    before = written()
    with pytest.raises(changes.NothingChanges):
        make_standard(cast, guards=NOT_TFIDF)
    assert written() == before


def test_an_author_does_not_pass_his_own_and_the_database_counts_by_itself(cast: Cast) -> None:
    change = make_standard(cast, guards=NOT_TFIDF)
    with pytest.raises(changes.OwnHand):
        approve(change, cast.second_lead)
    with pytest.raises(changes.NotApproved):
        changes.activate(change=change, by=cast.lead)
    head = ContentHead.objects.get(kind="standard")
    head.change, head.content = change, change.revision.content
    with pytest.raises(IntegrityError, match="only to the content of an applied change"), transaction.atomic():
        head.save()
    assert names(cast) == []


def test_a_head_of_another_place_takes_no_content_of_this_one(cast: Cast) -> None:
    made = live(cast, make_standard(cast, guards=NOT_TFIDF))
    other = ContentHead(kind="standard", environment=cast.production, for_team=cast.team)
    other.content, other.change = made.revision.content, made
    with pytest.raises(IntegrityError), transaction.atomic():
        other.save()


def test_another_version_makes_open_changes_of_its_place_stale_and_no_others(cast: Cast) -> None:
    ours, teams = make_standard(cast, guards=NOT_TFIDF), make_standard(cast, team=cast.team, guards=NOT_TFIDF)
    development = make_environment("development", 0)
    apart = changes.propose_standard(
        environment=development, team=None, document={"format": 1, "rules": [GERMAN]}, title="x", note="", by=cast.lead
    )
    live(cast, make_standard(cast, rules=[GERMAN]))
    states = {each.pk: each.state for each in Change.objects.filter(pk__in=[ours.pk, teams.pk, apart.pk])}
    assert states == {ours.pk: "stale", teams.pk: "in_review", apart.pk: "approved"}


def test_one_that_restricts_nothing_ends_a_standard(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    ended = live(cast, make_standard(cast))
    assert ended.revision.leads_to.number == 2
    (found,) = standards.live_in(cast.production)
    assert found.said == []


def test_a_rule_can_ask_more_of_standards_than_of_policies(cast: Cast) -> None:
    make_rules(cast, {"name": "Standards", "when": {"kinds": ["standard"]}, "votes": 2})
    assert make_standard(cast, guards=NOT_TFIDF).revision.rule["votes_needed"] == 2


def test_its_effect_on_each_workflow_is_told(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF, rules=[GERMAN]))
    live(cast, make_exceptions(cast, "rules[No German]"))
    other = make_workflow(cast.team, cast.owner, "returns")
    made = changes.propose(
        mode="enforce",
        workflow=other,
        environment=cast.production,
        document=make_document(0.5, "smollm2"),
        title="x",
        note="",
        by=cast.integrator,
    )
    live(cast, made)
    change = make_standard(cast, guards={"regions": ["eu"]}, rules=[GERMAN | {"then": {"refuse": "No."}}])

    told = inheritance.effects(change, change.revision.leads_to.document)

    assert [each.workflow.slug for each in told] == ["customer-feedback", "returns"]
    first, second = told
    assert (first.new, first.gone, first.other) == (("guards.regions",), ("guards.models",), ())
    assert first.excepted == ("rules[No German]",)
    assert second.other == ("rules[No German]",)
    assert second.said == (
        "It is newly held to the regions, is held no more to the allowed models, "
        "is held to another form of rule “No German”."
    )
    assert "it is excepted from rule “No German”" in first.said
    assert all(each.touched and not each.problems for each in told)


def test_an_exception_lets_a_workflow_off_until_its_last_day(cast: Cast) -> None:
    narrow = {"models": ["lexicon", "tf-idf"]}
    live(cast, make_standard(cast, guards=narrow))
    strong = make_document(0.5, "smollm2")
    with pytest.raises(policies.InvalidPolicy):
        policies.check(strong, workflow=cast.workflow, environment=cast.production)

    change = make_exceptions(cast, "guards.models")
    assert (change.state, change.place) == ("in_review", "the exceptions of Customer feedback in production")
    made = live(cast, change)

    policies.check(strong, workflow=cast.workflow, environment=cast.production)
    (found,) = exceptions.live()
    assert found.said == "Excepted from the allowed models of the organisation’s standard."
    assert (found.owner, found.change) == (cast.owner, made)
    with time_machine.travel(timezone.now() + timedelta(days=30), tick=False):
        policies.check(strong, workflow=cast.workflow, environment=cast.production)
    with time_machine.travel(timezone.now() + timedelta(days=32), tick=False):
        assert exceptions.live()[0].deviation.until < exceptions.day_of(timezone.now())
        with pytest.raises(policies.InvalidPolicy):
            policies.check(strong, workflow=cast.workflow, environment=cast.production)


@pytest.mark.parametrize(
    ("parts", "said", "path", "message"),
    [
        (["guards.regions"], {}, "parts[0]", "the organisation’s standard has no part “guards.regions” here"),
        (["guards.models"], {"standard": "team"}, "parts[0]", "the team’s standard has no part"),
        (["guards.models"] * 2, {}, "parts[1]", "another exception names this part"),
        (["guards.models"], {"reason": " "}, "reason", "nothing says why"),
        (["guards.models"], {"until": "2020-01-01"}, "until", "that day is over"),
        (["guards.models"], {"until": "2099-01-01"}, "until", "that is more than 366 days ahead"),
        (["guards.models"], {"owner": "00000000-0000-7000-8000-000000000000"}, "owner", "nobody who may sign in"),
        (["guards.models"], {"reason": "a\x07b"}, "reason", "take out the control character"),
    ],
)
def test_an_exception_says_from_what_why_who_answers_and_until_when(
    cast: Cast, parts: list[str], said: dict[str, Any], path: str, message: str
) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    before = written()
    with pytest.raises(exceptions.InvalidExceptions) as refusal:
        make_exceptions(cast, *parts, **said)
    problem = refusal.value.problems[0]
    assert (problem.path, message in problem.message) == (f"exceptions[0].{path}", True), problem
    assert written() == before


def test_an_owner_who_left_in_the_meantime_keeps_an_exception_from_becoming_live(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    leaver = make_person("Leaver", Role.OWNER, cast.team)
    change = approve(make_exceptions(cast, "guards.models", owner=str(leaver.pk)), cast.lead)
    accounts.deactivate(person=leaver, reason="left", by=cast.admin)
    with pytest.raises(exceptions.InvalidExceptions, match="nobody who may sign in answers for it"):
        changes.activate(change=change, by=cast.lead)
    assert exceptions.live() == []


def test_nothing_of_a_retired_workflow_is_excepted_any_more(cast: Cast) -> None:
    live(cast, make_standard(cast, guards=NOT_TFIDF))
    live(cast, make_exceptions(cast, "guards.models"))
    assert [each.workflow for each in exceptions.live(cast.production)] == [cast.workflow]
    workflows.retire(workflow=cast.workflow, reason="done", by=cast.lead)
    assert exceptions.live(cast.production) == []
    with pytest.raises(changes.WorkflowRetired):
        make_exceptions(cast)


def test_raw_sql_moves_no_standard(cast: Cast) -> None:
    made = live(cast, make_standard(cast, guards=NOT_TFIDF))
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("UPDATE governance_contenthead SET content_id = NULL WHERE change_id = %s", [made.pk])
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE governance_contenthead SET for_team_id = %s WHERE change_id = %s", [cast.team.pk, made.pk]
        )
    assert names(cast) == ["the organisation’s standard"]
