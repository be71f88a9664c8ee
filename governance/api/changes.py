"""Changes for people's own programs: read them, propose, revise and withdraw them. Deciding is for people, on pages."""

from http import HTTPStatus
from typing import Annotated, Any, Literal, NoReturn
from uuid import UUID

import msgspec
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from msgspec import Meta
from rest_framework.request import Request

from governance import change_records, changes
from governance.access_tokens import PersonOnly
from governance.api import told_changes
from governance.api.people import PersonView, answer, person, read
from governance.errors import InvalidInput
from governance.models import Change, Environment, PolicyHead, User, Workflow
from governance.models.accounts import in_scope

# So many changes in one answer, unless fewer are asked for.
MOST = 100
MOST_POLICIES = 200
PEOPLE = "Answers 403 `person_only`: people decide, on the page of the change."

Title = Annotated[str, Meta(min_length=1, max_length=200)]
Note = Annotated[str, Meta(max_length=2_000)]


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another policy for a workflow in an environment: the whole document. `mode` null keeps what is live."""

    workflow: str
    environment: str
    title: Title
    document: dict[str, Any]
    note: Note = ""
    mode: Literal["observe", "enforce"] | None = None


class NewRevision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another form of a change, from what is live now; votes on the one before count no more.

    `digest` is that of the revision that was read: where somebody wrote another since, this one is refused.
    """

    digest: str
    document: dict[str, Any]
    note: Note = ""
    mode: Literal["observe", "enforce"] | None = None


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a change is taken back."""

    reason: Note = ""


def _query(name: str, text: str, kind: type = str) -> OpenApiParameter:
    return OpenApiParameter(name, kind, OpenApiParameter.QUERY, description=text)


class ChangesView(PersonView):
    """The changes that a person may read, and proposing one."""

    @extend_schema(
        operation_id="list_changes",
        summary="List changes",
        description="Those that the token’s person may read, the newest first.",
        parameters=[
            _query("state", "`open`, or one of the states."),
            _query("workflow", "The short name of a workflow."),
            _query("environment", "The name of an environment."),
            _query("before", "Only changes with a smaller number.", int),
            _query("limit", f"So many at most, {MOST} unless said.", int),
        ],
        responses=told_changes.ToldChanges,
    )
    def get(self, request: Request) -> HttpResponse:
        """GET → the changes, a page at a time."""
        limit = _number(request, "limit", MOST)
        found = Change.objects.visible_to(person(request)).for_list()
        state = request.query_params.get("state", "")
        if state == "open":
            found = found.open()
        elif state in Change.State.values:
            found = found.filter(state=state)
        elif state:
            raise InvalidInput(f"state: choose open, {', '.join(Change.State.values)}", field="state")
        for name, path in (("workflow", "workflow__slug"), ("environment", "environment__name")):
            if said := request.query_params.get(name):
                found = found.filter(**{path: said})
        if before := _number(request, "before", 0, most=2**62):
            found = found.filter(number__lt=before)
        return answer(told_changes.lines(list(found[: limit + 1]), limit=limit))

    @extend_schema(
        operation_id="propose_change",
        summary="Propose a change",
        description="It waits for votes, which people give on its page. Where nobody’s vote is needed it is approved, "
        "and a person makes it live.",
        request=Proposal,
        responses={201: told_changes.WholeChange},
    )
    def post(self, request: Request) -> HttpResponse:
        """POST a proposal → the change."""
        by, sent = person(request, to="changes.propose"), read(request, Proposal)
        workflow = Workflow.objects.visible_to(by).filter(slug=sent.workflow).first()
        if workflow is None:
            raise InvalidInput(f"workflow: there is no “{sent.workflow}” that you may read", field="workflow")
        environment = Environment.objects.filter(name=sent.environment).first()
        if environment is None:
            raise InvalidInput(f"environment: there is no “{sent.environment}”", field="environment")
        said: dict[str, Any] = {"document": sent.document, "title": sent.title, "note": sent.note, "mode": sent.mode}
        made = changes.propose(workflow=workflow, environment=environment, by=by, **said)
        return answer(told_changes.whole(_whole(by, made.pk)), HTTPStatus.CREATED)


class ChangeView(PersonView):
    """One change."""

    @extend_schema(
        operation_id="read_change",
        summary="Read a change",
        description="Its present revision, its votes, what it needs, and why it cannot become live now.",
        responses=told_changes.WholeChange,
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """GET → the change."""
        return answer(told_changes.whole(_whole(person(request), pk)))


class ChangeRevisionsView(PersonView):
    """Revisions of a change."""

    @extend_schema(
        operation_id="revise_change",
        summary="Revise a change",
        description="An edit and a rebase are one: the new revision starts from what is live now.",
        request=NewRevision,
        responses={201: told_changes.WholeChange},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        """POST a revision → the change as it is then."""
        by, sent = person(request, to="changes.propose"), read(request, NewRevision)
        found = _whole(by, pk)
        if found.kind != Change.Kind.POLICY:
            raise InvalidInput("This is no change of a policy: revise it on its page.")
        with transaction.atomic():
            held, _head = change_records.lock(found)
            if sent.digest != held.revision.payload_digest:
                number = held.revision.number
                raise changes.DigestMoved(f"Change {held.number} was edited since you read it. Read revision {number}.")
            changes.revise(change=held, document=sent.document, note=sent.note, mode=sent.mode, by=by)
        return answer(told_changes.whole(_whole(by, pk)), HTTPStatus.CREATED)


class ChangeWithdrawalView(PersonView):
    """The end of a change by who wrote it."""

    @extend_schema(
        operation_id="withdraw_change",
        summary="Withdraw a change",
        request=Withdrawal,
        responses=told_changes.WholeChange,
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        """POST a reason → the change as it is then."""
        by, sent = person(request, to="changes.propose"), read(request, Withdrawal)
        changes.withdraw(change=_whole(by, pk), reason=sent.reason, by=by)
        return answer(told_changes.whole(_whole(by, pk)))


class DecidedByPeopleView(PersonView):
    """What only people do: this answers 403 `person_only`, whatever the token's person may do on the page."""

    act = ""

    def refuse(self, request: Request, pk: UUID) -> NoReturn:
        """Raise PersonOnly, and Http404 for a change that the person may not read."""
        found = get_object_or_404(Change.objects.visible_to(person(request)).for_list(), pk=pk)
        where = told_changes.line(found).url
        raise PersonOnly(f"Nobody {self.act} by a token: read the change on its page, and do it there: {where}")


class VotesView(DecidedByPeopleView):
    """Votes."""

    act = "votes"

    @extend_schema(
        operation_id="vote_on_change", summary="Vote", description=PEOPLE, request=None, responses={403: None}
    )
    def post(self, request: Request, pk: UUID) -> NoReturn:
        """POST → 403."""
        self.refuse(request, pk)


class ActivationView(DecidedByPeopleView):
    """Making a change live."""

    act = "makes a change live"

    @extend_schema(
        operation_id="activate_change", summary="Activate", description=PEOPLE, request=None, responses={403: None}
    )
    def post(self, request: Request, pk: UUID) -> NoReturn:
        """POST → 403."""
        self.refuse(request, pk)


class RatificationView(DecidedByPeopleView):
    """Later words on what became live single-handed."""

    act = "ratifies"

    @extend_schema(
        operation_id="ratify_change", summary="Ratify", description=PEOPLE, request=None, responses={403: None}
    )
    def post(self, request: Request, pk: UUID) -> NoReturn:
        """POST → 403."""
        self.refuse(request, pk)


class PoliciesView(PersonView):
    """The policies that are live."""

    @extend_schema(
        operation_id="list_policies",
        summary="Read the live policies",
        description="The documents from which a proposal starts.",
        parameters=[
            _query("workflow", "The short name of a workflow."),
            _query("environment", "The name of an environment."),
        ],
        responses=told_changes.ToldPolicies,
    )
    def get(self, request: Request) -> HttpResponse:
        """GET → the policies that are live."""
        heads = PolicyHead.objects.select_related("workflow", "environment", "version")
        found = in_scope(heads, person(request), "workflows.view", "workflow__team")
        for name, path in (("workflow", "workflow__slug"), ("environment", "environment__name")):
            if said := request.query_params.get(name):
                found = found.filter(**{path: said})
        ordered = found.order_by("workflow__slug", "environment__position")
        return answer(told_changes.policies(list(ordered[:MOST_POLICIES])))


def _whole(by: User, pk: UUID) -> Change:
    """A change that this person may read. Raises Http404."""
    return get_object_or_404(Change.objects.visible_to(by).for_page(), pk=pk)


def _number(request: Request, name: str, otherwise: int, *, most: int = MOST) -> int:
    """A number of the query. Raises InvalidInput."""
    said = request.query_params.get(name, "")
    if not said:
        return otherwise
    if not (said.isdecimal() and len(said) < 20 and 1 <= int(said) <= most):
        raise InvalidInput(f"{name}: write a whole number from 1 to {most}", field=name)
    return int(said)
