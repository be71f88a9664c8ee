"""The gateway's wire as an OpenAPI 3.1 document, out of the types that read it."""

import re
from typing import Any, Final, get_args

import msgspec

from smallfirst.gateway.embeddings import MOST_INPUTS, EmbeddingsBody
from smallfirst.gateway.wire import CONSUMED, TAGS, ChatBody, Metadata
from smallfirst.proofs import Finding

VERSION: Final = "3.1.0"
REFERENCE: Final = "#/components/schemas/{name}"
JSON: Final = "application/json"

Schema = dict[str, Any]


def schemas_of(*structs: type[msgspec.Struct]) -> dict[str, Schema]:
    """Return the JSON schema of each struct and of all that they hold, by class name."""
    _, found = msgspec.json.schema_components(structs, ref_template=REFERENCE)
    return {name: _told(schema) for name, schema in found.items()}


def _told(schema: Any) -> Any:
    """A schema as other languages read it: patterns with their anchors, texts without our line breaks."""
    if isinstance(schema, list):
        return [_told(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: _told(value) for name, value in schema.items()}
    if isinstance(told.get("pattern"), str):
        told["pattern"] = re.sub(r"\\Z$", "$", re.sub(r"^\\A", "^", told["pattern"]))
    if isinstance(told.get("description"), str):
        told["description"] = " ".join(told["description"].replace("``", "`").split())
    return told


def document(url: str) -> Schema:
    """Return the document of the gateway at an address."""
    return {
        "openapi": VERSION,
        "info": {
            "title": "Smallfirst gateway",
            "version": "1",
            "description": "OpenAI’s wire, under the policies that people approved. Point an OpenAI client here, with "
            "an API key; `model: auto` lets the policy choose. docs/gateway.md says more.",
        },
        "servers": [{"url": url}],
        "tags": [
            {"name": "models", "description": "What applications ask for."},
            {"name": "reviews", "description": "What a person decides."},
            {"name": "operation", "description": "For those who run the gateway; without a key."},
        ],
        "paths": _asked() | _operated(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key, `sf_…`."}},
            "schemas": _schemas(),
            "headers": _HEADERS,
            "responses": _RESPONSES,
        },
    }


def _asked() -> Schema:
    """What applications ask for with their keys."""
    asked = {name: {"$ref": f"#/components/headers/{name}"} for name in _HEADERS}
    refused = {status: {"$ref": f"#/components/responses/{name}"} for status, name in _REFUSED.items()}
    return {
        "/v1/chat/completions": {
            "post": {
                **_operation("models", "chat", "Answer a chat", "Asks models up the ladder until one is sure enough."),
                "requestBody": _body("ChatBody"),
                "responses": {
                    "200": {
                        "description": "The answer of the model that `model` names; with `stream`, its events.",
                        "headers": asked,
                        "content": {
                            JSON: {"schema": _ref("ChatCompletion")},
                            "text/event-stream": {"schema": {"type": "string"}},
                        },
                    },
                    **refused,
                },
            }
        },
        "/v1/embeddings": {
            "post": {
                **_operation("models", "embeddings", "Embed texts", "Asks the next endpoint only where one fails."),
                "requestBody": _body("EmbeddingsBody"),
                "responses": {"200": {**_says("The vectors.", "Embeddings"), "headers": asked}, **refused},
            }
        },
        "/v1/models": {
            "get": {
                **_operation("models", "models", "List the models", "`auto`, and those this key may name now."),
                "responses": {"200": _says("OpenAI’s list.", "Models"), **_only(refused, "401", "503")},
            }
        },
        "/v1/reviews/{id}": {
            "get": {
                **_operation(
                    "reviews", "review", "Ask how a review stands", "`completion` is there once it is answered."
                ),
                "parameters": [
                    {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}
                ],
                "responses": {"200": _says("How it stands.", "Review"), **_only(refused, "401", "404", "503")},
            }
        },
    }


def _operated() -> Schema:
    """What those ask who run the gateway."""
    return {
        "/healthz": {
            "get": {
                **_operation(
                    "operation", "healthz", "Ask whether it can decide", "And under what, and how old that is."
                ),
                "security": [],
                "responses": {"200": _says("It can.", "Health"), "503": _says("Not yet; `reason` says why.", "Health")},
            }
        },
        "/metrics": {
            "get": {
                **_operation("operation", "metrics", "Read the metrics", "In the text format of Prometheus."),
                "security": [],
                "responses": {
                    "200": {"description": "The metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
                },
            }
        },
    }


def _operation(tag: str, name: str, summary: str, description: str) -> Schema:
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "description": description,
        "security": [{"key": []}],
    }


def _ref(name: str) -> Schema:
    return {"$ref": REFERENCE.format(name=name)}


def _body(name: str) -> Schema:
    return {"required": True, "content": {JSON: {"schema": _ref(name)}}}


def _says(description: str, name: str) -> Schema:
    return {"description": description, "content": {JSON: {"schema": _ref(name)}}}


def _only(responses: Schema, *statuses: str) -> Schema:
    return {status: responses[status] for status in statuses}


def _schemas() -> dict[str, Schema]:
    """Bodies as they are read, with what is checked beside their types; answers as they are made."""
    found = schemas_of(ChatBody, EmbeddingsBody, Metadata)
    facts = found.pop("Metadata")["properties"]
    metadata = {
        "type": ["object", "null"],
        "description": f"Facts; every other name is a tag, at most {TAGS}. Class and risk can only rise.",
        "properties": {name: _without_null(schema) for name, schema in facts.items()},
        "additionalProperties": {"type": "string", "maxLength": 500},
    }
    for name in ("ChatBody", "EmbeddingsBody"):
        found[name]["properties"]["metadata"] = metadata
    chat, embeddings = found["ChatBody"]["properties"], found["EmbeddingsBody"]["properties"]
    chat["model"]["description"] = embeddings["model"]["description"] = "`auto`, or a registered model’s name: a pin."
    chat[CONSUMED[2]]["description"] = "As `smallfirst.review`, in one field; say it once."
    for name in CONSUMED[1:]:
        del embeddings[name]  # refused there
    embeddings["input"] = _INPUT
    found["ChatBody"]["examples"] = [
        {"model": "auto", "messages": [{"role": "user", "content": "Where is my parcel?"}]}
    ]
    found["EmbeddingsBody"]["examples"] = [{"model": "auto", "input": "Where is my parcel?"}]
    return found | _ANSWERS


def _without_null(schema: Schema) -> Schema:
    """A fact's schema: it is a text or left out."""
    if "anyOf" not in schema:
        return schema
    return next(dict(each) for each in schema["anyOf"] if each.get("type") != "null")


_TEXT: Final[Schema] = {"type": "string"}
_MOMENT: Final[Schema] = {"type": "string", "format": "date-time"}
_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_TOKENS: Final[Schema] = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
_INPUT: Final[Schema] = {
    "description": "A text, texts, the tokens of one text, or the tokens of several.",
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1, "maxItems": MOST_INPUTS},
        _TOKENS,
        {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": MOST_INPUTS},
    ],
}


def _object(required: dict[str, Schema], **optional: Schema) -> Schema:
    """An object that has these fields and may have more."""
    return {"type": "object", "properties": required | optional, "required": list(required)}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


_DOCUMENT_AGE: Final[dict[str, Schema]] = {
    "age": {"enum": ["fresh", "stale", "expired", "none"]},
    "serial": _or_null(_COUNT),
    "issued_at": _or_null(_MOMENT),
    "expires_at": _or_null(_MOMENT),
    "confirmed_seconds_ago": _or_null(_COUNT),
    "problem": _or_null(_TEXT),
    "refused": _or_null(_TEXT),
}

_ANSWERS: Final[dict[str, Schema]] = {
    "ChatCompletion": _object(
        {"object": {"const": "chat.completion"}, "model": _TEXT},
        id=_TEXT,
        created={"type": "integer"},
        choices={
            "type": "array",
            "items": _object(
                {"message": _object({"role": _TEXT}, content=_or_null(_TEXT))},
                index=_COUNT,
                finish_reason=_or_null(_TEXT),
            ),
        },
        usage=_or_null(_object({}, prompt_tokens=_COUNT, completion_tokens=_COUNT, total_tokens=_COUNT)),
    ),
    "Embeddings": _object(
        {"object": {"const": "list"}, "data": {"type": "array", "items": {"type": "object"}}, "model": _TEXT}
    ),
    "Models": _object(
        {
            "object": {"const": "list"},
            "data": {
                "type": "array",
                "items": _object(
                    {"id": _TEXT, "object": {"const": "model"}, "created": {"type": "integer"}, "owned_by": _TEXT}
                ),
            },
        }
    ),
    "Review": _object(
        {
            "id": _TEXT,
            "object": {"const": "review"},
            "url": _TEXT,
            "decision": _TEXT,
            "status": {"enum": ["open", "claimed", "answered", "expired", "cancelled"]},
            "opened_at": _MOMENT,
            "respond_by": _MOMENT,
            "expires_at": _MOMENT,
            "outcome": _or_null(
                _object(
                    {
                        "by": {"enum": ["person", "expiry"]},
                        "action": {"enum": ["answer", "refuse"]},
                        "answer": {"description": "As the review’s form asks for it; null where there is none."},
                        "ended_at": _MOMENT,
                    }
                )
            ),
            "completion": _or_null(_ref("ChatCompletion")),
        }
    ),
    "Health": _object(
        {
            "status": {"enum": ["ok", "starting", "expired"]},
            "reason": _or_null(_TEXT),
            "bundle": _object(_DOCUMENT_AGE | {"proof": _or_null({"enum": [*get_args(Finding), "awaited"]})}),
            "state": _object(_DOCUMENT_AGE),
            "spool": _object({"waiting_bytes": _COUNT, "refused_records": _COUNT}),
            "upload": _object({"problem": _or_null(_TEXT), "last_success_seconds_ago": _or_null(_COUNT)}),
            "open_reviews": _COUNT,
        }
    ),
    "Error": _object(
        {
            "error": _object(
                {"message": _TEXT, "type": _TEXT, "code": _TEXT, "param": _or_null(_TEXT)},
                clause={"type": "string", "description": "Which guard or rule refused."},
                review=_object({"id": _TEXT, "url": _TEXT, "respond_by": _MOMENT, "expires_at": _MOMENT}),
            )
        }
    ),
}

_HEADERS: Final[Schema] = {
    f"x-smallfirst-{name}": {"description": description, "schema": _TEXT}
    for name, description in (
        ("decision", "The decision’s id, by which the control plane shows it."),
        ("policy", "The number of the policy version that decided."),
        ("attempts", "How many attempts were made."),
        ("model", "The registered model that answered."),
        ("tier", "Its tier."),
        ("cost", "Of all attempts, in US dollars or with its currency; absent where it is not known."),
        ("confidence", "What a gate saw of the answer, from 0 to 1."),
        ("review", "The review’s id, where a person is asked."),
    )
}

_RESPONSES: Final[Schema] = {
    "Invalid": _says("`invalid_request`: `param` names the field, the message the fix.", "Error"),
    "Unknown": _says("`invalid_api_key`.", "Error"),
    "NotAllowed": _says(
        "`not_allowed`: `clause` says which guard or rule. `review_refused`, `review_expired`, `review_cancelled`: "
        "the review ended without an answer.",
        "Error",
    ),
    "ReviewRequired": _says(
        "`review_required`: a person decides; poll `review.url` or send the request again.", "Error"
    ),
    "NoModel": _says("`no_model_available`: try again after `retry-after` seconds.", "Error"),
}
_REFUSED: Final = {
    "400": "Invalid",
    "401": "Unknown",
    "403": "NotAllowed",
    "404": "Invalid",
    "408": "Invalid",
    "413": "Invalid",
    "422": "ReviewRequired",
    "503": "NoModel",
}
