"""What is refused before any view sees it."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from config import api

GetResponse = Callable[[HttpRequest], HttpResponse]


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
