"""The API as OpenAPI documents, and the page that shows them: what programs may send here, and at a gateway."""

import json
from functools import cache
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.extensions import OpenApiAuthenticationExtension, OpenApiSerializerExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent

from config import reference
from smallfirst.gateway import openapi

_ERROR: Final = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "message": {"type": "string"},
                "type": {"enum": ["invalid_request_error", "server_error"]},
                "code": {"type": "string", "description": "The name of the refusal, which stays."},
                "param": {"type": ["string", "null"], "description": "The field at fault, as a path."},
                "problems": {
                    "type": "array",
                    "description": "With `invalid_document`: everything that is wrong with it.",
                    "items": {
                        "type": "object",
                        "properties": {name: {"type": "string"} for name in ("path", "message", "fix")},
                        "required": ["path", "message", "fix"],
                    },
                },
            },
            "required": ["message", "type", "code", "param"],
        }
    },
    "required": ["error"],
}


class StructExtension(OpenApiSerializerExtension):
    """Lets `extend_schema` name the structs that read and write our JSON."""

    target_class = "msgspec.Struct"
    match_subclasses = True

    def get_name(self, auto_schema: AutoSchema, direction: str) -> str:
        """Return the struct's name."""
        return str(self.target.__name__)

    def map_serializer(self, auto_schema: AutoSchema, direction: str) -> dict[str, Any]:
        """Return its schema, and register those of what it holds."""
        found = openapi.schemas_of(self.target)
        own = found.pop(self.target.__name__)
        for name, schema in found.items():
            part = ResolvedComponent(name, ResolvedComponent.SCHEMA, schema, name)
            auto_schema.registry.register_on_missing(part)
        return own


class CredentialExtension(OpenApiAuthenticationExtension):
    """How gateways and SDKs are known."""

    target_class = "governance.gateways.GatewayAuthentication"
    name = "credential"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Return the scheme."""
        text = "A gateway’s credential (`sfg_…`), or an API key (`sf_…`) for its own part."
        return {"type": "http", "scheme": "bearer", "description": text}


class AccessTokenExtension(OpenApiAuthenticationExtension):
    """How people's own programs are known."""

    target_class = "governance.api.people.TokenAuthentication"
    name = "access_token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Return the scheme."""
        text = "An access token (`sfp_…`), which a person makes on the page of his account."
        return {"type": "http", "scheme": "bearer", "description": text}


def completed(result: dict[str, Any], **_: object) -> dict[str, Any]:
    """Add what holds for every operation, and the addresses that are no part of REST framework's."""
    for operations in result["paths"].values():
        for operation in operations.values():
            if "304" in operation["responses"]:
                operation["responses"]["304"]["description"] = "Nothing is newer; without a body."
            operation["responses"] |= {
                "401": _says("The credential is unknown or was revoked.", "Error"),
                "default": _says("What is wrong, in OpenAI’s error shape.", "Error"),
            }
    result["paths"] |= {
        "/healthz": _plain("healthz", "Ask whether the process answers", {"200": {"description": "It does."}}),
        "/readyz": _plain(
            "readyz",
            "Ask whether it can do its work",
            {
                "200": {"description": "Database and broker are reachable."},
                "503": {"description": "`missing` names which is not."},
            },
        ),
        "/metrics": _plain(
            "metrics",
            "Read the metrics",
            {
                "200": {"description": "In the text format of Prometheus."},
                "401": _says("Ask from the same machine, or send `SMALLFIRST_METRICS_TOKEN` as bearer.", "Error"),
            },
        ),
    }
    result["paths"]["/metrics"]["get"]["security"] = [{}, {"metrics": []}]
    result["components"]["securitySchemes"]["metrics"] = {
        "type": "http",
        "scheme": "bearer",
        "description": "`SMALLFIRST_METRICS_TOKEN`. Programs on the same machine need none.",
    }
    result["components"]["schemas"]["Error"] = _ERROR
    return result


def _says(description: str, name: str) -> dict[str, Any]:
    reference = {"$ref": openapi.REFERENCE.format(name=name)}
    return {"description": description, "content": {openapi.JSON: {"schema": reference}}}


def _plain(name: str, summary: str, responses: dict[str, Any]) -> dict[str, Any]:
    return {
        "get": {
            "tags": ["operation"],
            "operationId": name,
            "summary": summary,
            "security": [{}],
            "responses": responses,
        }
    }


def control_plane() -> dict[str, Any]:
    """Return the document of this control plane."""
    document: dict[str, Any] = SchemaGenerator().get_schema(public=True)
    return document | {"servers": [{"url": settings.PUBLIC_URL}]}


@cache
def _document(which: str) -> dict[str, Any]:
    """A document, made once a process: ours takes seconds."""
    return control_plane() if which == "control" else openapi.document(settings.GATEWAY_URL)


@cache
def _encoded(which: str) -> bytes:
    return json.dumps(_document(which), indent=2, ensure_ascii=False).encode()


@cache
def _read(which: str) -> reference.Reference:
    return reference.read(_document(which))


@require_safe
@login_not_required
@cache_control(max_age=300, public=True)
def schema(_request: HttpRequest, which: str) -> HttpResponse:
    """A document, for whoever makes a client of it; it tells nothing of this installation but two addresses."""
    return HttpResponse(_encoded(which), content_type="application/json")


@require_safe
def reader(request: HttpRequest, which: str) -> HttpResponse:
    """A document, to be read by people."""
    return render(request, "api_docs.html", {"which": which, "reference": _read(which)})
