"""What happens to every request: what is refused before a view sees it, and what the audit log learns of the rest."""

from collections.abc import Callable
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from structlog.contextvars import bound_contextvars

from config import api
from config.peers import address_of
from governance import audit

GetResponse = Callable[[HttpRequest], HttpResponse]

# Where a request keeps its number: no header of a sender's ever stands under such a name.
NUMBER: Final = "smallfirst.number"


def limit_body(get_response: GetResponse) -> GetResponse:
    """Refuse bodies above DATA_UPLOAD_MAX_MEMORY_SIZE bytes with 413, unread.

    Django checks that size only where a view asks for `request.body`; REST framework's parsers read past it. Without a
    content-length WSGI hands no body on, so nothing slips by.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        length = request.META.get("CONTENT_LENGTH") or "0"
        if length.isdecimal() and int(length) <= limit:
            return get_response(request)
        return api.error(413, "body_too_large", f"The body may hold {limit} bytes; send smaller batches.")

    return middleware


def numbered(get_response: GetResponse) -> GetResponse:
    """Give each request a number: in every line of the log that it leads to, and back as `x-request-id`.

    It is ours, never the sender's.
    """

    def middleware(request: HttpRequest) -> HttpResponse:
        number = request.META[NUMBER] = str(uuid4())
        with bound_contextvars(request_id=number):
            response = get_response(request)
        response.headers["x-request-id"] = number
        return response

    return middleware


def number_of(request: HttpRequest) -> str:
    """The number of a request; empty before it has one."""
    return str(request.META.get(NUMBER, ""))


def in_circumstances(get_response: GetResponse) -> GetResponse:
    """Let audit entries say by which request an act came, from where, and how its sender was known."""

    def middleware(request: HttpRequest) -> HttpResponse:
        method = (
            "session" if request.user.is_authenticated else "token" if "HTTP_AUTHORIZATION" in request.META else None
        )
        with audit.during(request_id=number_of(request), ip=address_of(request), auth_method=method):
            return get_response(request)

    return middleware
