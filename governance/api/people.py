"""How people's own programs are known, and what they are told where a verb refuses."""

from typing import Any, NoReturn, TypeVar

import msgspec
from django.http import HttpResponse
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import APIException, AuthenticationFailed, NotAuthenticated
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import access_tokens, audit, refusals
from governance.api.reviews import BytesParser
from governance.errors import GovernanceError, InvalidInput
from governance.models import AccessToken, User
from smallfirst.engine.reading import shape_problem

Body = TypeVar("Body", bound=msgspec.Struct)
MISSING = "Send Authorization: Bearer sfp_…, an access token that you make on the page of your account."


class Refused(APIException):
    """A verb refused; config.api tells it with the name that governance.refusals has for it."""

    def __init__(self, error: GovernanceError) -> None:
        super().__init__(str(error))
        self.status_code, self.name = refusals.code_of(type(error))
        self.told = refusals.told(error)


class TokenFailed(AuthenticationFailed):
    """No access token that opens anything."""

    name = "invalid_access_token"


class TokenAuthentication(BaseAuthentication):
    """`Authorization: Bearer sfp_…`: the request comes from a program of the token's person, who is `request.user`."""

    def authenticate(self, request: Request) -> tuple[User, AccessToken] | None:
        """Return the person and the token, None without one. Raises AuthenticationFailed."""
        scheme, _, text = get_authorization_header(request).decode("latin-1").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer":
            raise TokenFailed(MISSING)
        try:
            token = access_tokens.authenticate(text.strip())
        except access_tokens.TokenRefused as error:
            raise TokenFailed(str(error)) from error
        audit.known_by(f"access token {access_tokens.PREFIX}{token.prefix}")
        return token.person, token

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


class ByToken(BasePermission):
    """Programs of people alone may call this, each by an access token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        """Whether a person's program asks."""
        return isinstance(request.auth, AccessToken)


class PersonView(APIView):
    """What a person's own program may call."""

    authentication_classes = [TokenAuthentication]
    permission_classes = [ByToken]
    parser_classes = [BytesParser]

    def permission_denied(self, request: Request, message: str | None = None, code: str | None = None) -> NoReturn:
        """Ask for a token: none came along."""
        raise TokenFailed(MISSING)

    def handle_exception(self, exc: Exception) -> Response:
        """Let a verb's refusal be told by its own name."""
        return super().handle_exception(Refused(exc) if isinstance(exc, GovernanceError) else exc)


def person(request: Request, *, to: str = "") -> User:
    """Return whose program asks. Raises NotAuthenticated, and TokenTooNarrow where the token leaves out the act."""
    token: Any = request.auth
    if not isinstance(token, AccessToken):
        raise NotAuthenticated
    if to:
        access_tokens.reach(token, to)
    return token.person


def read(request: Request, kind: type[Body]) -> Body:
    """Return what was sent. Raises InvalidInput, naming the field at fault and its fix."""
    sent: Any = request.data
    try:
        return msgspec.json.decode(sent.get("body", b"") or b"{}", type=kind)
    except msgspec.ValidationError as error:
        found = shape_problem("", error)
        raise InvalidInput(f"{found.path or 'body'}: {found.message}; {found.fix}", field=found.path or None) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput("Send one JSON object.") from error


def answer(told: msgspec.Struct, status: int = 200) -> HttpResponse:
    """Return it as JSON, which nobody keeps: what holds now may not in a moment."""
    body = msgspec.json.encode(told)
    return HttpResponse(body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"})
