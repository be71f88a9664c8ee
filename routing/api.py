"""What gateways poll: the bundle and the state of their environment, signed."""

import re
from collections.abc import Callable
from http import HTTPStatus
from typing import TypeVar

from django.http import HttpResponse
from django.utils import timezone
from django.utils.http import parse_etags
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView

from governance.gateways import GatewayAuthentication, IsGateway, asking
from governance.models import ApiKey
from routing import bundles, instances, narrowed, states
from routing.models import Bundle, StateFeed
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
        (INSTANCE, "A name of the calling process's own, a UUID; the page Instances tells them apart by it."),
        (HOST, "The host it runs on."),
        (BUNDLE, "The serial of the bundle it has."),
        (PROOF, "What that bundle's proof came to."),
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
