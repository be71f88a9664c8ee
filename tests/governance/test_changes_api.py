"""Changes by the API: read, proposed, revised and withdrawn by a person's own program; decided by nobody."""

import json
from datetime import timedelta
from typing import Any

import jsonschema_rs
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config import schema
from governance import access_tokens, accounts, appointments, changes, hindrances, refusals, registry
from governance.errors import GovernanceError
from governance.models import AccessToken, AuditEvent, Change, PolicyHead, Provider, Revision, User, Vote
from tests import cast as casting
from tests.config.test_schema_read import whole
from tests.pages import signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> casting.Cast:
    """The cast with a live policy that keeps answers from 0.8."""
    made = casting.make_cast()
    casting.make_live(made)
    return made


class Program:
    """A person's own program with a token."""

    def __init__(self, person: User, scope: str = "propose") -> None:
        _, self.token = access_tokens.create(name="Job", scope=scope, days=30, confirmed_at=timezone.now(), by=person)
        self.client = Client(raise_request_exception=True)

    def ask(self, method: str, name: str, *args: object, **body: Any) -> Any:
        """Ask an address of the API, and hold the answer against its document."""
        said: dict[str, Any] = {"headers": {"Authorization": f"Bearer {self.token}"}}
        if method == "post":
            said |= {"data": json.dumps(body), "content_type": "application/json"}
        else:
            said |= {"data": body}
        answer = getattr(self.client, method)(reverse(name, args=args), **said)
        promised = OPERATIONS[name, method]["responses"].get(str(answer.status_code), {})
        content = promised.get("content", {}).get("application/json", {}).get("schema", {"$ref": "/Error"})
        kind = content["$ref"].rpartition("/")[2]
        jsonschema_rs.validate(whole(DOCUMENT, kind), answer.json(), validate_formats=True)
        return answer


DOCUMENT = schema.control_plane()
OPERATIONS = {
    (name, method): DOCUMENT["paths"][f"/api/v1/{path}"][method]
    for name, path, methods in (
        ("api_changes", "changes", ("get", "post")),
        ("api_change", "changes/{id}", ("get",)),
        ("api_change_revisions", "changes/{id}/revisions", ("post",)),
        ("api_change_withdrawal", "changes/{id}/withdrawal", ("post",)),
        ("api_change_votes", "changes/{id}/votes", ("post",)),
        ("api_change_activation", "changes/{id}/activation", ("post",)),
        ("api_change_ratification", "changes/{id}/ratification", ("post",)),
        ("api_policies", "policies", ("get",)),
    )
    for method in methods
}


def facts() -> tuple[int, ...]:
    """What a refusal must leave as it was."""
    return tuple(model.objects.count() for model in (Change, Revision, Vote, AuditEvent))


def proposal(cast: casting.Cast, keep_from: float = 0.6, **said: Any) -> dict[str, Any]:
    """A proposal of another threshold."""
    return {
        "workflow": cast.workflow.slug,
        "environment": "production",
        "title": "Keep more",
        "document": casting.make_document(keep_from),
        **said,
    }


def code(answer: Any) -> tuple[int, str]:
    """Status and name of a refusal."""
    return answer.status_code, answer.json()["error"]["code"]


def test_a_program_reads_what_is_live_proposes_and_sees_what_it_needs(cast: casting.Cast) -> None:
    program = Program(cast.integrator)
    (live,) = program.ask("get", "api_policies", workflow=cast.workflow.slug).json()["policies"]
    document = live["document"]
    document["steps"][0]["gate"]["keep_from"] = 0.6
    answer = program.ask("post", "api_changes", **proposal(cast, document=document, note="Fewer cases", mode=None))
    assert answer.status_code == 201
    made = Change.objects.get(title="Keep more")
    told = answer.json()
    assert (told["id"], told["state"], told["digest"]) == (str(made.pk), "in_review", made.revision.payload_digest)
    assert told["document"]["steps"][0]["gate"]["keep_from"] == 0.6
    assert [each["code"] for each in told["hindrances"]] == ["votes_missing"]
    assert told["needs"][0]["text"].startswith("Asked for in production: 0 of 1 vote; waits on")
    assert told["url"].endswith(reverse("change", args=[made.pk]))
    entry = AuditEvent.objects.filter(action="changes.propose").newest_first()[0]
    token = AccessToken.objects.get()
    assert (entry.actor_name, entry.auth_method) == ("Integrator", f"access token sfp_{token.prefix}")


def test_it_is_listed_by_state_and_place_a_page_at_a_time(cast: casting.Cast) -> None:
    made = [casting.make_change(cast, keep_from) for keep_from in (0.5, 0.6, 0.7)]
    program = Program(cast.auditor, "read")
    first = program.ask("get", "api_changes", state="open", limit=2).json()
    assert [each["number"] for each in first["changes"]] == [made[2].number, made[1].number]
    rest = program.ask("get", "api_changes", state="open", limit=2, before=first["before"]).json()
    assert ([each["number"] for each in rest["changes"]], rest["before"]) == ([made[0].number], None)
    assert program.ask("get", "api_changes", state="applied").json()["changes"][0]["state"] == "applied"
    assert program.ask("get", "api_changes", workflow="nothing").json()["changes"] == []
    for wrong in ({"state": "odd"}, {"limit": "0"}, {"limit": "x"}, {"before": "-1"}):
        answer = program.ask("get", "api_changes", **wrong)
        assert code(answer) == (400, "invalid_request")
        assert answer.json()["error"]["param"] in wrong


def test_it_is_revised_from_what_was_read_and_withdrawn(cast: casting.Cast) -> None:
    program = Program(cast.integrator)
    told = program.ask("post", "api_changes", **proposal(cast)).json()
    said = {"digest": told["digest"], "document": casting.make_document(0.65), "note": "Less"}
    revised = program.ask("post", "api_change_revisions", told["id"], **said)
    assert (revised.status_code, revised.json()["revision"], revised.json()["note"]) == (201, 2, "Less")
    before = facts()
    again = program.ask("post", "api_change_revisions", told["id"], **said)
    assert code(again) == (409, "digest_moved")
    assert "Read revision 2" in again.json()["error"]["message"]
    assert facts() == before
    gone = program.ask("post", "api_change_withdrawal", told["id"], reason="Not needed")
    assert gone.json()["state"] == "withdrawn"
    assert [each["code"] for each in gone.json()["hindrances"]] == ["not_open"]
    assert code(program.ask("post", "api_change_withdrawal", told["id"])) == (409, "not_open")


@pytest.mark.parametrize("name", ["api_change_votes", "api_change_activation", "api_change_ratification"])
def test_nobody_decides_by_a_token_whatever_his_role(cast: casting.Cast, name: str) -> None:
    change = casting.approve(casting.make_change(cast, 0.6), cast.owner)
    before = facts()
    for person in (cast.lead, cast.owner, cast.second_lead, cast.integrator):
        answer = Program(person).ask("post", name, change.pk, digest=change.revision.payload_digest, choice="approve")
        assert code(answer) == (403, "person_only")
        assert reverse("change", args=[change.pk]) in answer.json()["error"]["message"]
    assert Program(cast.stranger).ask("post", name, change.pk).status_code == 404
    # Nothing but the tokens was made.
    assert facts() == (*before[:3], before[3] + AccessToken.objects.count())
    assert Change.objects.get(pk=change.pk).state == Change.State.APPROVED


def test_what_needs_nobodys_vote_is_approved_and_not_made_live(cast: casting.Cast) -> None:
    free = casting.make_environment("sandbox", votes_needed=0)
    for model in cast.models:
        casting.serve(model, free)
    told = Program(cast.lead).ask("post", "api_changes", **proposal(cast, environment="sandbox")).json()
    assert (told["state"], told["hindrances"]) == ("approved", [])
    assert not PolicyHead.objects.filter(environment=free).exists()


# What each role gets who asks by a token that proposes: reading, proposing, and another's change withdrawn.
ROLES = {
    "lead": (200, 201, 403),
    "owner": (200, 201, 403),
    "integrator": (200, 201, 403),
    "reviewer": (200, 403, 403),
    "finance": (200, 403, 403),
    "auditor": (200, 403, 403),
    "admin": (200, 403, 403),
    "stranger": (404, 400, 404),
}


@pytest.mark.parametrize(("role", "gets"), ROLES.items())
def test_each_role_gets_what_it_gets_on_the_pages(cast: casting.Cast, role: str, gets: tuple[int, int, int]) -> None:
    change = casting.make_change(cast, 0.7, by=cast.second_lead)
    program = Program(cast.people[role])
    got = (
        program.ask("get", "api_change", change.pk).status_code,
        program.ask("post", "api_changes", **proposal(cast)).status_code,
        program.ask("post", "api_change_withdrawal", change.pk).status_code,
    )
    assert got == gets


def test_a_token_that_reads_only_proposes_nothing(cast: casting.Cast) -> None:
    change = casting.make_change(cast, 0.7, by=cast.lead)
    program = Program(cast.lead, "read")
    before = facts()
    assert code(program.ask("post", "api_changes", **proposal(cast))) == (403, "token_scope")
    assert code(program.ask("post", "api_change_withdrawal", change.pk)) == (403, "token_scope")
    assert facts() == before


@pytest.mark.parametrize("header", [None, "Bearer sfp_nothing", "Basic x", "Bearer sf_x", "Bearer"])
def test_without_a_token_that_works_nothing_is_told(cast: casting.Cast, header: str | None) -> None:
    client = signed_in(cast.lead)
    headers = {"Authorization": header} if header else {}
    for name in ("api_changes", "api_policies"):
        answer = client.get(reverse(name), headers=headers)
        assert code(answer) == (401, "invalid_access_token")
        assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("said", "status", "name", "param"),
    [
        ({"workflow": "nothing"}, 400, "invalid_request", "workflow"),
        ({"environment": "nowhere"}, 400, "invalid_request", "environment"),
        ({"title": ""}, 400, "invalid_request", "title"),
        ({"mode": "dream"}, 400, "invalid_request", "mode"),
        ({"colour": "blue"}, 400, "invalid_request", "colour"),
        ({"document": 7}, 400, "invalid_request", "document"),
        ({"document": {"format": 1}}, 422, "invalid_document", "pin"),
        ({"document": casting.make_document(0.6, "gpt-9")}, 422, "invalid_document", "steps[0].ladder[0].model"),
        ({"document": casting.make_document(0.8), "mode": "enforce"}, 409, "nothing_changes", None),
    ],
)
def test_bad_input_is_named(
    cast: casting.Cast, said: dict[str, Any], status: int, name: str, param: str | None
) -> None:
    program = Program(cast.lead)
    before = facts()
    answer = program.ask("post", "api_changes", **proposal(cast, **said))
    assert code(answer) == (status, name)
    assert answer.json()["error"]["param"] == param
    if status == 422:
        assert answer.json()["error"]["problems"][0]["fix"]
    assert facts() == before


def test_what_is_no_json_is_said(cast: casting.Cast) -> None:
    program = Program(cast.lead)
    for body in ("{", "[]", "\xff", "[" * 100_000):
        answer = program.client.post(
            reverse("api_changes"),
            body,
            content_type="application/json",
            headers={"Authorization": f"Bearer {program.token}"},
        )
        assert code(answer) == (400, "invalid_request")


def stands(cast: casting.Cast, change: Change, program: Program) -> dict[str, str]:
    """What keeps a change, by the API; its page says the same sentences."""
    told = program.ask("get", "api_change", change.pk).json()
    found = {each["code"]: each["text"] for each in [*told["hindrances"], *told["warnings"]]}
    page = text(signed_in(cast.second_lead).get(reverse("change", args=[change.pk])))
    for name, said in found.items():
        if name not in hindrances.OF_VOTES:
            assert said in page
    return found


def test_each_thing_that_keeps_a_change_has_its_own_name_and_sentence(cast: casting.Cast) -> None:
    program = Program(cast.auditor, "read")
    change = casting.approve(casting.make_change(cast, 0.6), cast.owner)
    assert stands(cast, change, program) == {}

    # A voter who left.
    accounts.deactivate(person=cast.owner, reason="Left", by=cast.admin)
    found = stands(cast, change, program)
    assert found["vote_lost"] == "Owner approved it, but may no longer sign in: that counts no more."
    assert found["votes_missing"] == "It has 0 of 1 votes."
    accounts.reactivate(person=cast.owner, reason="Back", by=cast.admin)

    # A model that the policy names is gone.
    extra = casting.make_model("extra", "small", cast.owner, cast.team, Provider.objects.all()[0], cast.production)
    changes.activate(change=casting.approve(casting.make_admission(cast, extra), cast.owner), by=cast.lead)
    place: dict[str, Any] = {"workflow": cast.workflow, "environment": cast.production, "mode": "enforce"}
    said: dict[str, Any] = {"document": casting.make_document(0.6, "extra"), "title": "Another model", "note": ""}
    held = changes.propose(by=cast.integrator, **place, **said)
    assert "invalid_document" not in stands(cast, held, program)
    registry.retire(model=extra, reason="Worn out", by=casting.BOOTSTRAP)
    gone = stands(cast, held, program)["invalid_document"]
    assert gone.startswith("As it is, it cannot serve: steps[0].ladder[0].model: no model is called “extra”; use one")


def test_freezes_rests_and_simulations_have_theirs(cast: casting.Cast) -> None:
    now = timezone.now()
    rule = {"name": "Look first", "votes": 1, "checks": ["simulation"], "cool_off_minutes": 60}
    days = {"start": (now - timedelta(days=1)).isoformat(), "end": (now + timedelta(days=1)).isoformat()}
    casting.make_rules(cast, rule, freezes=[{"name": "Christmas trade", **days}])
    change = casting.make_change(cast, 0.6)
    found = stands(cast, change, Program(cast.auditor, "read"))
    assert found["simulation_missing"].endswith("It has not been simulated yet: simulate it first.")
    assert found["resting"].startswith("It rests until")
    assert found["frozen"].startswith("Christmas trade lets nothing become live until")


def test_a_clash_and_a_base_that_moved_have_theirs(cast: casting.Cast) -> None:
    program = Program(cast.auditor, "read")
    first = casting.approve(casting.make_change(cast, 0.6), cast.owner)
    second = casting.approve(casting.make_change(cast, 0.7), cast.owner)
    moment = timezone.now() + timedelta(hours=1)
    appointments.appoint(change=first, digest=first.revision.payload_digest, at=moment, by=cast.lead)
    found = stands(cast, second, program)
    assert found["appointment_clash"].startswith(f"Change {first.number} is to become live for Customer feedback in")
    with pytest.raises(appointments.AppointmentClash):
        appointments.appoint(change=second, digest=second.revision.payload_digest, at=moment, by=cast.lead)
    changes.activate(change=first, by=cast.lead)
    found = stands(cast, second, program)
    assert found["stale_base"].endswith("Revise it first.")


def test_every_refusal_of_a_verb_on_changes_has_a_name() -> None:
    def kinds(of: type[GovernanceError]) -> set[type[GovernanceError]]:
        return {of}.union(*(kinds(each) for each in of.__subclasses__()))

    named = [refusals.code_of(kind)[1] for kind in kinds(changes.ChangeError)]
    assert len(set(named)) == len(named)
