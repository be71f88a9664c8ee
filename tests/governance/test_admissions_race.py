"""Admissions on two connections: nothing is asked that was not agreed, whatever comes between; no superuser admits."""

from typing import Any

from psycopg import errors

from config.up.services import Postgres
from governance import admissions, changes, registry, suspensions
from governance.models import Change, ContentHead, Endpoint, Suspension
from tests.at_once import at_once, while_held
from tests.cast import approve, make_admission, make_cast, make_change, make_live, serve
from tests.governance.test_entries_race import APPLY, AUDIT

MOVE = """
    UPDATE governance_contenthead SET change_id = %(change)s, content_id = (
        SELECT r.content_id FROM governance_change c JOIN governance_revision r ON r.id = c.revision_id
        WHERE c.id = %(change)s
    ) WHERE model_version_id = (SELECT model_version_id FROM governance_change WHERE id = %(change)s)
"""
ELSEWHERE = "UPDATE governance_endpoint SET url = 'https://evil.example/v1' WHERE id = %(endpoint)s"


def agreed_everywhere() -> bool:
    """Whether each endpoint that may be asked stands in what is live, as it is."""
    served = {str(each.pk): each.url for each in Endpoint.objects.filter(active=True).admitted()}
    live = {}
    for head in ContentHead.objects.filter(kind="model", content__isnull=False).select_related("content"):
        assert head.content is not None
        live.update({each["endpoint"]: each["url"] for each in head.content.document["endpoints"]})
    return served.items() <= live.items()


def test_of_two_admissions_that_become_live_exactly_one_does(live_database: Any) -> None:
    cast = make_cast()
    make_live(cast)
    one, other = (approve(make_admission(cast, cast.models[0], cost=cost), cast.owner) for cost in ("1", "2"))
    results = at_once(
        lambda: changes.activate(change=one, by=cast.lead), lambda: changes.activate(change=other, by=cast.owner)
    )
    (winner,) = [each for each in results if isinstance(each, Change)]
    assert [type(each) for each in results if each is not winner] == [changes.StaleBase]
    assert agreed_everywhere()


def test_what_smallfirst_sets_up_waits_for_an_admission_that_becomes_live_and_adds_nothing_to_it(
    live_database: Any,
) -> None:
    cast = make_cast()
    make_live(cast)
    change = approve(make_admission(cast, cast.models[0], cost="1"), cast.owner)
    _result, waited = while_held(
        lambda: changes.activate(change=change, by=cast.lead), lambda: serve(cast.models[0], cast.production)
    )
    assert waited
    assert Endpoint.objects.filter(version__model=cast.models[0]).count() == 2
    assert Endpoint.objects.served_in(cast.production).filter(version__model=cast.models[0]).count() == 1
    assert agreed_everywhere()


def test_an_address_moves_not_while_it_is_being_agreed(live_database: Any) -> None:
    cast = make_cast()
    make_live(cast)
    version = cast.models[0].versions.get()
    added = registry.add_endpoint(
        version=version, provider=Endpoint.objects.all()[0].provider, environment=cast.production, by=cast.lead,
        url="https://models.example.com/v1", upstream_model="x", region="eu", hosting="self",
    )  # fmt: skip
    change = approve(make_admission(cast, cast.models[0]), cast.owner)
    at_once(
        lambda: changes.activate(change=change, by=cast.lead),
        lambda: registry.move_endpoint(endpoint=added, url="https://elsewhere.example.com/v1", by=cast.lead),
    )
    assert agreed_everywhere()


def test_a_condition_that_breaks_while_it_is_attested_anew_suspends_only_what_broke_it(live_database: Any) -> None:
    cast = make_cast()
    make_live(cast)
    head = ContentHead.objects.get(model_version__model=cast.models[0])
    change = approve(make_admission(cast, cast.models[0], cost="9"), cast.owner)
    told = {"condition": "cost", "limit": "USD 1", "figure": "USD 2", "evidence": ""}
    result, waited = while_held(
        lambda: changes.activate(change=change, by=cast.lead), lambda: suspensions.suspend(head=head, **told)
    )
    assert waited
    assert result is None
    assert not Suspension.objects.exists()


def test_two_turns_suspend_once(live_database: Any) -> None:
    cast = make_cast()
    head = ContentHead.objects.get(model_version__model=cast.models[0])
    told = {"condition": "cost", "limit": "USD 1", "figure": "USD 2", "evidence": ""}
    results = at_once(*[lambda: suspensions.suspend(head=head, **told)] * 3)
    assert [each for each in results if isinstance(each, Suspension)] == [Suspension.objects.get()]


def test_a_superuser_of_the_database_admits_nothing_and_leads_no_endpoint_elsewhere(
    live_database: Any, postgres: Postgres
) -> None:
    cast = make_cast()
    make_change(cast)
    make_live(cast)
    change = make_admission(cast, cast.models[0], cost="9")
    endpoint = Endpoint.objects.get(version__model=cast.models[0])
    given = {"change": change.pk, "endpoint": endpoint.pk}
    approved = "UPDATE governance_change SET state = 'approved' WHERE id = %(change)s"
    refused: list[str] = []
    with postgres.connect(live_database.name) as admin:
        for statements in ((approved, APPLY, MOVE), (MOVE,), (ELSEWHERE,)):
            try:
                with admin.transaction():
                    admin.execute(AUDIT, {"noun": "change", "about": str(change.pk)})
                    admin.execute(AUDIT, {"noun": "endpoint", "about": str(endpoint.pk)})
                    for statement in statements:
                        admin.execute(statement, given)
            except errors.CheckViolation as error:
                refused.append(str(error.diag.message_primary))
    assert refused == [
        f"change {change.number} has 0 of 1 votes, 0 against",
        "a content head moves only to the content of an applied change of its place",
        "an endpoint says otherwise than what is agreed of it",
    ]
    assert admissions.names(endpoint)
    assert agreed_everywhere()
