"""The error shape of the JSON API: {"error": {"message", "type", "code", "param"}}, as the gateway has it."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler

from governance.api.people import Refused

CODES = {
    HTTPStatus.BAD_REQUEST: "invalid_request",
    HTTPStatus.UNAUTHORIZED: "invalid_api_key",
    HTTPStatus.FORBIDDEN: "not_allowed",
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.CONFLICT: "conflict",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    HTTPStatus.TOO_MANY_REQUESTS: "too_many_requests",
}


def body(status: int, code: str, message: str, param: str | None = None) -> dict[str, dict[str, Any]]:
    """The error object. `param` names the field that is wrong, as a path such as `events.3.id`."""
    kind = "server_error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


def error(status: int, code: str, message: str, param: str | None = None) -> JsonResponse:
    """An error response for callers outside REST framework."""
    return JsonResponse(body(status, code, message, param), status=status)


def problem(raised: Exception, context: Mapping[str, Any]) -> Response | None:
    """REST framework's exception handler: its own exceptions in our shape; all others are a defect and go on."""
    if isinstance(raised, Http404):
        raised = exceptions.NotFound()
    elif isinstance(raised, PermissionDenied):
        raised = exceptions.PermissionDenied()
    response = exception_handler(raised, dict(context))
    if response is None or not isinstance(raised, exceptions.APIException):
        return response
    if isinstance(raised, Refused):
        told = dict(raised.told)
        response.data = body(raised.status_code, raised.name, told.pop("message"), told.pop("param"))
        response.data["error"] |= told
        return response
    param, message = _first(raised.detail)
    code = getattr(raised, "name", None) or CODES.get(HTTPStatus(response.status_code), raised.default_code)
    response.data = body(response.status_code, code, message, param or None)
    return response


@csrf_exempt
@login_not_required
def not_found(_request: HttpRequest, *_args: object, **_kwargs: object) -> JsonResponse:
    """An address below /api/ that names nothing."""
    return error(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address.")


def _first(detail: Any, path: str = "") -> tuple[str, str]:
    """The path and text of the first complaint in REST framework's nested detail."""
    if isinstance(detail, dict):
        name, inner = next(iter(detail.items()))
        return _first(inner, path if name == "non_field_errors" else f"{path}.{name}".strip("."))
    if isinstance(detail, list):
        # A list of complaints about one field, or one entry per item with the good ones empty.
        place, inner = next((place, inner) for place, inner in enumerate(detail) if inner)
        return _first(inner, f"{path}.{place}".strip(".") if isinstance(inner, dict) else path)
    return path, str(detail)
