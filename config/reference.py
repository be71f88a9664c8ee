"""An OpenAPI document as people read it: operations by noun, every body as a table of its fields. Knows no request."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

Schema = dict[str, Any]

# The variable, after our prefix, whose value an example sends as bearer, by the name of the security scheme.
BEARERS: Final = {
    "credential": "CREDENTIAL",
    "access_token": "ACCESS_TOKEN",
    "key": "API_KEY",
    "metrics": "METRICS_TOKEN",
}
_UUID: Final = "01988f3c-6a52-7c1e-9d40-5b7d1f6e2a90"
_MOMENT: Final = "2026-11-22T09:30:00.000000Z"
# A pattern in words, and a text that fits it.
_PATTERNS: Final[dict[str, tuple[str, str]]] = {
    r"^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$": ("UUID in lower case", _UUID),
    r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$": ("UUID of version 7", _UUID),
    r"^20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z$": (
        "RFC 3339 in UTC, with microseconds",
        _MOMENT,
    ),
    r"^[0-9a-f]{64}$": ("SHA-256 in hex", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    r"^[A-Za-z0-9_-]+$": ("base64url", "c2VhbGVk"),
    r"^[^\x00-\x1f\x7f]+$": ("no control characters", "text"),
    r"^[^\x00]+$": ("no NUL", "text"),
    r"^[^\x00]*$": ("no NUL", "text"),
}
_FORMATS: Final = {"uuid": ("UUID", _UUID), "date-time": ("RFC 3339", _MOMENT)}
_APOSTROPHE: Final = re.compile(r"(?<=[A-Za-z])'(?=[A-Za-z ])")
_PLACES: Final = {"path": "in the path", "query": "in the query", "header": "as a header", "cookie": "as a cookie"}
# Each pair of bounds with the noun that it counts.
_COUNTED: Final = (
    ("minLength", "maxLength", "character"),
    ("minItems", "maxItems", "entry"),
    ("minProperties", "maxProperties", "name"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """A row of a table: `before` is the path that leads to the name, `depth` how many names that path has."""

    name: str
    type: SafeString
    said: SafeString
    bounds: SafeString
    required: bool = False
    before: str = ""
    depth: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """A body: a component, or what stands in the operation itself."""

    name: str
    type: SafeString
    said: SafeString
    bounds: SafeString
    fields: list[Field]

    @property
    def anchor(self) -> str:
        """Where it stands, if several refer to it."""
        return f"shape-{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a status means, and what comes with it: one shape for each kind of content."""

    status: str
    said: SafeString
    headers: list[Field]
    contents: list[tuple[str, Shape]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One method of one path."""

    name: str
    method: str
    path: str
    summary: str
    said: SafeString
    who: SafeString
    parameters: list[Field]
    bodies: list[tuple[str, Shape]]
    answers: list[Answer]
    errors: list[Answer]
    example: str

    @property
    def anchor(self) -> str:
        """Where it stands on the page."""
        return f"operation-{self.name}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """All operations of one noun."""

    name: str
    said: SafeString
    operations: list[Operation] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """A whole document. `shapes` are those that several refer to; every other one stands where it is used."""

    groups: list[Group]
    shapes: list[Shape]


def said(text: str) -> SafeString:
    """Return a sentence as HTML, with what stands in backticks as code and apostrophes as on the other pages."""
    parts = ((n % 2 == 1, part) for n, part in enumerate(text.replace("``", "`").split("`")) if part)
    marked = ((format_html("<code>{}</code>", p) if code else _APOSTROPHE.sub("’", p),) for code, p in parts)
    return format_html_join("", "{}", marked)


def read(document: Schema) -> Reference:
    """Return a document as it is shown. Every `$ref` of it must be in it."""
    return _Reading(document).reference()


class _Reading:
    """One document, while it is read."""

    def __init__(self, document: Schema) -> None:
        self.document = document
        self.schemas: dict[str, Schema] = document["components"]["schemas"]
        counts = Counter(_references(document))
        # A shape that refers to itself is referred to twice, so it is linked and never followed round.
        self.shared = [name for name in self.schemas if counts[name] > 1]

    def reference(self) -> Reference:
        """Groups in the order of the document's tags, others as they come."""
        groups = {
            tag["name"]: Group(name=tag["name"], said=said(tag.get("description", "")))
            for tag in self.document.get("tags", [])
        }
        for path, methods in self.document["paths"].items():
            for method, told in methods.items():
                tag = told["tags"][0]
                group = groups.setdefault(tag, Group(name=tag, said=said("")))
                group.operations.append(self.operation(path, method, told))
        shapes = [self.shape(self.schemas[name], name) for name in self.shared]
        return Reference(groups=[group for group in groups.values() if group.operations], shapes=shapes)

    def operation(self, path: str, method: str, told: Schema) -> Operation:
        """One operation. An answer below 400 is what was asked for, every other an error."""
        answers = [self.answer(status, self.resolved(each)) for status, each in told["responses"].items()]
        return Operation(
            name=told["operationId"],
            method=method.upper(),
            path=path,
            summary=told["summary"],
            said=said(told.get("description", "")),
            who=self.who(told["security"]),
            parameters=[self.parameter(self.resolved(each)) for each in told.get("parameters", [])],
            bodies=self.contents(told.get("requestBody", {})),
            answers=[answer for answer in answers if answer.status < "4"],
            errors=[answer for answer in answers if answer.status >= "4"],
            example=self.example(path, method, told),
        )

    def resolved(self, told: Schema) -> Schema:
        """What a reference names, or what stands there itself."""
        if "$ref" not in told:
            return told
        _, _, part, name = told["$ref"].split("/")
        found: Schema = self.document["components"][part][name]
        return found

    def who(self, security: list[dict[str, list[str]]]) -> SafeString:
        """Who may, in the words of the security schemes."""
        schemes = self.document["components"]["securitySchemes"]
        words = [schemes[name]["description"] for each in security for name in each]
        return said(" ".join(words) or "Everybody, without a credential.")

    def parameter(self, told: Schema) -> Field:
        """A parameter of the path, the query or a header."""
        return Field(
            name=told["name"],
            type=format_html("{}, {}", self.type(told["schema"]), _PLACES[told["in"]]),
            said=said(told.get("description", "")),
            bounds=self.bounds(told["schema"]),
            required=told.get("required", False),
        )

    def answer(self, status: str, told: Schema) -> Answer:
        """One answer with its headers."""
        headers = [
            Field(
                name=name,
                type=self.type(self.resolved(header)["schema"]),
                said=said(self.resolved(header).get("description", "")),
                bounds=self.bounds(self.resolved(header)["schema"]),
            )
            for name, header in told.get("headers", {}).items()
        ]
        words = told.get("description", "")
        return Answer(
            status="any other" if status == "default" else status,
            said=said("" if words == "No response body" else words),
            headers=headers,
            contents=self.contents(told),
        )

    def contents(self, told: Schema) -> list[tuple[str, Shape]]:
        """Each kind of content with its shape; one that several refer to has its name as type and no fields here."""
        return [(kind, self.content(each["schema"])) for kind, each in told.get("content", {}).items()]

    def content(self, schema: Schema) -> Shape:
        """The shape of a body where it stands."""
        name = _named(schema)
        if name in self.shared:
            return Shape(name="", type=self.type(schema), said=said(""), bounds=said(""), fields=[])
        return self.shape(self.resolved(schema), name)

    def shape(self, schema: Schema, name: str) -> Shape:
        """A shape with all its fields."""
        return Shape(
            name=name,
            type=self.type(schema),
            said=said(schema.get("description", "")),
            bounds=self.bounds(schema),
            fields=list(self.fields(schema, ())),
        )

    def fields(self, schema: Schema, path: tuple[str, ...]) -> Iterator[Field]:
        """All fields of an object, each followed by its own; of a list, those of its entries."""
        required = schema.get("required", [])
        named = schema.get("properties", {})
        others = schema.get("additionalProperties")
        for name, told in [*named.items(), *([("any other name", others)] if isinstance(others, dict) else [])]:
            yield Field(
                name=name,
                type=self.type(told),
                said=said(told.get("description") or self.about(told)),
                bounds=self.bounds(told),
                required=name in required,
                before="".join(f"{each}." for each in path),
                depth=len(path),
            )
            for held, suffix in self.held(told, ""):
                yield from self.fields(held, (*path, name + suffix))

    def about(self, schema: Schema) -> str:
        """What the component says of itself that stands here in full."""
        found = [self.resolved(each) for each in _alternatives(schema) if _named(each) not in self.shared]
        inner = [self.about(each["items"]) for each in found if isinstance(each.get("items"), dict)]
        return " ".join(filter(None, [*(each.get("description", "") for each in found), *inner]))

    def held(self, schema: Schema, suffix: str) -> Iterator[tuple[Schema, str]]:
        """The objects within a value, and with `[]` those in lists; not those that several refer to."""
        for each in _alternatives(schema):
            if _named(each) in self.shared:
                continue
            found = self.resolved(each)
            if isinstance(found.get("items"), dict):
                yield from self.held(found["items"], suffix + "[]")
            if "properties" in found or isinstance(found.get("additionalProperties"), dict):
                yield found, suffix

    def type(self, schema: Schema) -> SafeString:
        """The type in JSON's words; the name of a shape that stands elsewhere is a link to it."""
        types = [self.one_type(each) for each in _alternatives(schema)]
        nullable = ["null"] if _is_null(schema) else []
        return format_html_join(" or ", "{}", ((each,) for each in dict.fromkeys([*types, *nullable])))

    def one_type(self, schema: Schema) -> SafeString | str:
        """The type of one alternative."""
        name = _named(schema)
        if name in self.shared:
            return format_html('<a href="#shape-{}">{}</a>', name, name)
        told = self.resolved(schema)
        if told.get("prefixItems"):
            inner = format_html_join(", ", "{}", ((self.type(each),) for each in told["prefixItems"]))
            return format_html("[{}]", inner)
        if told.get("type") == "array":
            return format_html("array of {}", self.type(told.get("items", {})))
        if "type" in told:
            kinds = told["type"] if isinstance(told["type"], list) else [told["type"]]
            return " or ".join(kind for kind in kinds if kind != "null")
        values = told.get("enum", [told["const"]] if "const" in told else [])
        return " or ".join(sorted({_JSON_TYPES[type(value)] for value in values})) or "any"

    def bounds(self, schema: Schema) -> SafeString:
        """What a value must keep to, and what it is when left out."""
        choices = list(_alternatives(schema))
        words = [
            format_html("{}: {}", self.one_type(each), told) if len(choices) > 1 else told
            for each, told in ((each, self.one_bounds(each)) for each in choices)
            if told
        ]
        if schema.get("default") not in (None, [], {}) and schema.get("enum") != [schema["default"]]:
            words.append(format_html("<code>{}</code> if left out", _value(schema["default"])))
        return format_html_join("; ", "{}", ((each,) for each in words))

    def one_bounds(self, schema: Schema) -> SafeString:
        """The bounds of one alternative, and of a list's entries."""
        if _named(schema) in self.shared:
            return mark_safe("")
        told = self.resolved(schema)
        words: list[SafeString | str] = []
        values = told.get("enum", [told["const"]] if "const" in told else [])
        if values:
            words.append(format_html_join(", ", "<code>{}</code>", ((_value(value),) for value in values)))
        for least, most, noun in _COUNTED:
            words += _range(told.get(least), told.get(most), noun)
        words += _range(told.get("minimum"), told.get("maximum"), "")
        if pattern := told.get("pattern"):
            words.append(_PATTERNS[pattern][0] if pattern in _PATTERNS else format_html("<code>{}</code>", pattern))
        if told.get("format") in _FORMATS:
            words.append(_FORMATS[told["format"]][0])
        if told.get("additionalProperties") is False:
            words.append("no other names")
        if isinstance(told.get("items"), dict) and (inner := self.bounds(told["items"])):
            words.append(format_html("each: {}", inner))
        return format_html_join(", ", "{}", ((each,) for each in words))

    def example(self, path: str, method: str, told: Schema) -> str:
        """A call by curl that keeps to the document: what is required, and no more."""
        url = self.document["servers"][0]["url"].rstrip("/") + re.sub(r"\{\w+\}", _UUID, path)
        lines = [f"curl {url}"] if method == "get" else [f"curl -X {method.upper()} {url}"]
        lines += [
            f'-H "Authorization: Bearer $SMALLFIRST_{BEARERS[name]}"' for each in told["security"] for name in each
        ]
        for kind, each in told.get("requestBody", {}).get("content", {}).items():
            body = json.dumps(self.sample(each["schema"], least=1), indent=2, ensure_ascii=False)
            lines += [f'-H "Content-Type: {kind}"', "-d '" + body.replace("'", "'\\''") + "'"]
        return " \\\n  ".join(lines)

    def sample(self, schema: Schema, *, least: int = 0, within: tuple[str, ...] = ()) -> Any:
        """A small value that the schema takes: of an object what it requires, or `least` names; `within` is around."""
        if within and _is_null(schema):
            return None
        around = (*within, *(_named(each) for each in _alternatives(schema)))
        told = self.resolved(next(_alternatives(schema)))
        for known in (schema, told):
            if "examples" in known:
                return known["examples"][0]
            if "const" in known or "enum" in known:
                return known.get("const", known.get("enum", [None])[0])
        match told.get("type"):
            case "object":
                named = told.get("properties", {})
                wanted = told.get("required") or list(named)[:least]
                return {name: self.sample(named[name], within=around) for name in wanted}
            case "array":
                items = told.get("items", {})
                once = items and _named(items) not in filter(None, around)
                return [self.sample(items, within=around)] if once else []
            case "integer" | "number":
                return max(told.get("minimum", 0), 0)
            case "boolean":
                return False
        text = _PATTERNS.get(told.get("pattern", ""), _FORMATS.get(told.get("format", ""), ("", "text")))[1]
        return text[: told.get("maxLength")]


_JSON_TYPES: Final = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def _references(told: Any) -> Iterator[str]:
    """The name of the schema of each `$ref`, as often as it is named."""
    if isinstance(told, dict):
        if name := _named(told):
            yield name
        for each in told.values():
            yield from _references(each)
    elif isinstance(told, list):
        for each in told:
            yield from _references(each)


def _named(schema: Schema) -> str:
    """The component that a schema refers to, or an empty text."""
    reference = schema.get("$ref", "")
    return reference.rsplit("/", 1)[1] if isinstance(reference, str) and "/schemas/" in reference else ""


def _alternatives(schema: Schema) -> Iterator[Schema]:
    """What a value may be, null aside; a schema without a choice is its only one."""
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    yield from (each for each in choices if each.get("type") != "null") if choices else (schema,)


def _is_null(schema: Schema) -> bool:
    """Tell whether a value may be null."""
    choices = schema.get("anyOf") or schema.get("oneOf") or [schema]
    return any(each.get("type") == "null" or "null" in _listed(each.get("type")) for each in choices)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _value(value: Any) -> str:
    """A value as it is told: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _range(least: float | None, most: float | None, noun: str) -> list[str]:
    """Two bounds in words: both, one or none."""
    if least is None and most is None:
        return []
    number = most if most is not None else least
    plural = {"entry": "entries"}.get(noun, f"{noun}s" if noun else "")
    unit = f" {noun if number == 1 else plural}" if noun else ""
    if most is None:
        return [f"at least {least:,}{unit}"]
    if least is None or (noun and least == 0):
        return [f"at most {most:,}{unit}"]
    return [f"{most:,}{unit}"] if least == most else [f"{least:,} to {most:,}{unit}"]
