"""What gateways poll: the bundle and the state of their environment, signed."""

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpResponse
from django.utils import timezone
from django.utils.http import parse_etags
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView

from governance.gateways import GatewayAuthentication, IsGateway, asking
from routing import bundles, states
from routing.models import Bundle, StateFeed
from routing.stamps import UnsettledError


class TryAgain(APIException):
    """Nothing can be issued in this moment; the gateway goes on with what it has."""

    status_code = HTTPStatus.SERVICE_UNAVAILABLE
    default_code = "try_again"


class FeedView(APIView):
    """A signed document, or 304 for a gateway that has it."""

    authentication_classes = [GatewayAuthentication]
    permission_classes = [IsGateway]

    def answer(self, request: Request, current: Callable[..., Bundle | StateFeed]) -> HttpResponse:
        """Return the gateway's current document. Raises TryAgain."""
        environment = asking(request).environment
        try:
            document = current(environment, now=timezone.now())
        except UnsettledError as error:
            raise TryAgain(str(error)) from error
        etag = f'"{environment.pk.hex}-{document.serial}-{document.digest[:16]}"'
        headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
        if etag in parse_etags(request.headers.get("If-None-Match", "")):
            return HttpResponse(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        return HttpResponse(document.envelope, content_type="application/json", headers=headers)


class BundleView(FeedView):
    """The bundle."""

    def get(self, request: Request) -> HttpResponse:
        """GET → the envelope of the environment's bundle."""
        return self.answer(request, bundles.current)


class StateView(FeedView):
    """The state feed."""

    def get(self, request: Request) -> HttpResponse:
        """GET → the envelope of the environment's state."""
        return self.answer(request, states.current)
