"""What gateways poll: the bundle and the state of their environment, signed; and simulations for people's programs."""

import json
import re
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal, TypeVar, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.http import HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema
from msgspec import Meta
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView

from governance import accounts, refusals
from governance.api.people import PersonView, answer, person, read
from governance.gateways import GatewayAuthentication, IsGateway, asking
from governance.models import ApiKey, Change, User
from routing import bundles, instances, narrowed, simulations, states
from routing.models import Bundle, Simulation, StateFeed
from routing.stamps import UnsettledError
from smallfirst.instances import BUNDLE, HOST, INSTANCE, PROOF, REFUSED
from smallfirst.seal import Envelope

Document = TypeVar("Document", Bundle, StateFeed)


SEEN = OpenApiParameter(
    "If-None-Match", str, OpenApiParameter.HEADER, description="The `ETag` of the newest that the caller has."
)


SAID = [
    OpenApiParameter(name, str, OpenApiParameter.HEADER, description=words)
    for name, words in (
        (INSTANCE, "A name of the calling process’s own, a UUID; the page Instances tells them apart by it."),
        (HOST, "The host it runs on."),
        (BUNDLE, "The serial of the bundle it has."),
        (PROOF, "What that bundle’s proof came to."),
        (REFUSED, "Why it will not take a newer one, where it refused it."),
    )
]


class TryAgain(APIException):
    """Nothing can be issued in this moment; the gateway goes on with what it has."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_code = "try_again"


class FeedView(APIView):
    """A signed document, or 304 for a gateway that has it. An API key gets its own part of it."""

    authentication_classes = [GatewayAuthentication]
    permission_classes = [IsGateway]

    def answer(
        self,
        request: Request,
        current: Callable[..., Document],
        narrowed: Callable[[Document, ApiKey], bytes],
        whole: Callable[[Document], bytes],
    ) -> HttpResponse:
        """Return the gateway's current document. Raises TryAgain."""
        gateway = asking(request)
        try:
            document = current(gateway.environment, now=timezone.now())
        except UnsettledError as error:
            raise TryAgain(str(error)) from error
        whose = (gateway.key or gateway.environment).pk.hex
        # A bundle is sent again once the audit log shows it; an API key's own brings no proof.
        proved = "-proved" if not gateway.key and _proved(document) else ""
        etag = f'"{whose}-{document.serial}-{document.digest[:16]}{proved}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization"}
        held = parse_etags(request.headers.get("If-None-Match", ""))
        if isinstance(document, Bundle):
            said = instances.read(request.headers, held=_serial(held, whose))
            instances.note(gateway=gateway, said=said, now=timezone.now())
        if etag in held:
            return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        envelope = narrowed(document, gateway.key) if gateway.key else whole(document)
        return HttpResponse(envelope, content_type="application/json", headers=headers)


def _proved(document: Bundle | StateFeed) -> bool:
    return isinstance(document, Bundle) and bundles.prove(document)


def _serial(etags: list[str], whose: str) -> int | None:
    """The serial in the first of these that is of our form; None where none is."""
    found = (re.fullmatch(rf'"{whose}-(\d{{1,18}})-[0-9a-f]{{16}}(?:-proved)?"', etag) for etag in etags)
    return next((int(match[1]) for match in found if match), None)


class BundleView(FeedView):
    """The bundle."""

    @extend_schema(
        operation_id="read_bundle",
        summary="Fetch the live policies",
        description="A signed snapshot: its payload is a bundle.",
        parameters=[SEEN, *SAID],
        responses={200: Envelope, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """GET → the envelope of the environment's bundle."""
        return self.answer(request, bundles.current, narrowed.bundle, bundles.sent)


class StateView(FeedView):
    """The state feed."""

    @extend_schema(
        operation_id="read_state",
        summary="Fetch the keys and stops of now",
        description="Signed: its payload is a state.",
        parameters=[SEEN],
        responses={200: Envelope, 304: None},
    )
    def get(self, request: Request) -> HttpResponse:
        """GET → the envelope of the environment's state."""
        return self.answer(request, states.current, narrowed.state, states.sent)


refusals.CODES.update(
    {
        simulations.NothingToCompare: (HTTPStatus.CONFLICT, "nothing_to_compare"),
        simulations.NotPresent: (HTTPStatus.CONFLICT, "not_present"),
        simulations.AlreadyRunning: (HTTPStatus.CONFLICT, "already_running"),
        simulations.VotedOn: (HTTPStatus.CONFLICT, "voted_on"),
        simulations.AlreadyEnded: (HTTPStatus.CONFLICT, "already_ended"),
    }
)

State = Literal["queued", "running", "done", "cancelled", "failed"]


class SimulationBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """On the requests of how many days before now a change is simulated."""

    days: Annotated[int, Meta(ge=1, le=simulations.MOST_DAYS)] = simulations.DAYS


class ToldSimulation(msgspec.Struct, frozen=True, kw_only=True):
    """A simulation: how far it is, and what it found, null until it is done.

    `told` of `requests` are decided again. `digest` is the SHA-256 of `result` in its canonical form (RFC 8785), and
    what a vote by this simulation names. `why_stale` says why it no longer tells what would be now, `trouble` why it
    broke off.
    """

    id: UUID
    url: str
    change: UUID | None
    revision: int | None
    workflow: str
    environment: str
    state: State
    base_version: int
    days: int
    since: datetime
    until: datetime
    requests: int
    told: int
    started_by: str | None
    started_at: datetime
    ended_at: datetime | None
    trouble: str
    why_stale: str
    digest: str
    result: dict[str, Any] | None


class ToldSimulations(msgspec.Struct, frozen=True, kw_only=True):
    """The simulations of a change, the newest first; `why_stale` and `result` are told of one alone."""

    simulations: list[ToldSimulation]


class ChangeSimulationsView(PersonView):
    """The simulations of a change."""

    @extend_schema(
        operation_id="list_simulations",
        summary="List the simulations of a change",
        description="Of all its revisions; `read_simulation` tells what one found.",
        responses=ToldSimulations,
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """GET → the simulations."""
        change = _change(request, person(request), pk)
        found = Simulation.objects.filter(revision__change=change).for_list().order_by("-created_at", "-id")
        return answer(ToldSimulations(simulations=[_told(each) for each in found[:100]]))

    @extend_schema(
        operation_id="simulate_change",
        summary="Simulate a change",
        description="It is worked on in the background: ask `read_simulation` how far it is.",
        request=SimulationBody,
        responses={201: ToldSimulation},
    )
    def post(self, request: Request, pk: UUID) -> HttpResponse:
        """POST a number of days → the simulation that begins."""
        by, sent = person(request, to="simulations.run"), read(request, SimulationBody)
        change = _change(request, by, pk)
        made = simulations.begin(change=change, by=by, now=timezone.now(), days=sent.days)
        return answer(_told(Simulation.objects.for_list().get(pk=made.pk)), HTTPStatus.CREATED)


class SimulationView(PersonView):
    """One simulation."""

    @extend_schema(
        operation_id="read_simulation",
        summary="Read a simulation",
        description="How far it is, or what it found.",
        responses=ToldSimulation,
    )
    def get(self, request: Request, pk: UUID) -> HttpResponse:
        """GET → the simulation."""
        seen = Simulation.objects.visible_to(person(request)).for_list()
        return answer(_told(get_object_or_404(seen.defer(None).defer("so_far"), pk=pk), whole=True))


def _change(request: Request, by: User, pk: UUID) -> Change:
    """A change of a policy whose requests this person may read; raises Http404 and NotPermitted."""
    change = get_object_or_404(Change.objects.visible_to(by).for_list(), pk=pk)
    accounts.require(by, "requests.view", change)
    return change


def _told(found: Simulation, *, whole: bool = False) -> ToldSimulation:
    revision = found.revision
    return ToldSimulation(
        id=found.pk,
        url=settings.PUBLIC_URL.rstrip("/") + reverse("simulation", args=[found.pk]),
        change=revision.change_id if revision else None,
        revision=revision.number if revision else None,
        workflow=found.workflow.slug,
        environment=found.environment.name,
        state=cast("State", found.state),
        base_version=found.base_version.number,
        days=found.days,
        since=found.since,
        until=found.until,
        requests=found.requests,
        told=found.told,
        started_by=found.started_by.name if found.started_by else None,
        started_at=found.created_at,
        ended_at=found.ended_at,
        trouble=found.trouble,
        why_stale=simulations.why_stale(found, now=timezone.now()) if whole else "",
        digest=found.digest,
        result=json.loads(found.result) if whole and found.result else None,
    )
