"""How a document becomes what people read: each shape once, and none followed round for ever."""

from typing import Any

import pytest

from config import reference


def document(schemas: dict[str, Any], *bodies: str, **schemes: str) -> dict[str, Any]:
    """A document with an operation for each body, open to whoever has one of the schemes."""

    def operation(name: str, number: int) -> dict[str, Any]:
        schema = {"$ref": f"#/components/schemas/{name}"}
        return {
            "tags": ["things"],
            "operationId": f"send_{number}",
            "summary": "Send",
            "security": [{scheme: []} for scheme in schemes],
            "requestBody": {"content": {"application/json": {"schema": schema}}},
            "responses": {"204": {"description": ""}, "default": {"description": "`code` says it."}},
        }

    return {
        "servers": [{"url": "https://here.example/"}],
        "paths": {f"/{number}": {"post": operation(name, number)} for number, name in enumerate(bodies)},
        "components": {
            "schemas": schemas,
            "securitySchemes": {name: {"description": text} for name, text in schemes.items()},
        },
    }


def test_a_shape_of_one_body_stands_there_with_what_it_holds() -> None:
    leaf = {"type": "object", "description": "A leaf.", "properties": {"size": {"type": "integer", "minimum": 1}}}
    tree = {
        "type": "object",
        "properties": {"leaves": {"type": "array", "items": {"$ref": "#/components/schemas/Leaf"}, "maxItems": 9}},
        "required": ["leaves"],
    }
    told = reference.read(document({"Tree": tree, "Leaf": leaf}, "Tree", key="A `key`."))
    operation = told.groups[0].operations[0]
    (_, shape) = operation.bodies[0]
    leaves, size = shape.fields
    assert (leaves.name, leaves.type, leaves.required, leaves.said) == ("leaves", "array of object", True, "A leaf.")
    assert leaves.bounds == "at most 9 entries"
    assert (size.before, size.name, size.depth, size.bounds) == ("leaves[].", "size", 1, "at least 1")
    assert operation.who == "A <code>key</code>."
    assert [each.status for each in operation.errors] == ["any other"]
    assert "https://here.example/0" in operation.example
    assert told.shapes == []


def test_a_shape_of_two_bodies_is_told_once_and_linked() -> None:
    told = reference.read(document({"Leaf": {"type": "object", "properties": {"a": {"const": 1}}}}, "Leaf", "Leaf"))
    assert [shape.name for shape in told.shapes] == ["Leaf"]
    for operation in told.groups[0].operations:
        ((_, shape),) = operation.bodies
        assert shape.type == '<a href="#shape-Leaf">Leaf</a>'
        assert shape.fields == []
        assert operation.who == "Everybody, without a credential."


@pytest.mark.parametrize("between", [(), ("Branch",)], ids=["in itself", "in what it holds"])
def test_a_shape_that_holds_itself_ends(between: tuple[str, ...]) -> None:
    names = ("Tree", *between)
    schemas = {
        name: {
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": f"#/components/schemas/{held}"}, {"type": "null"}]}},
        }
        for name, held in zip(names, (*names[1:], "Tree"), strict=True)
    }
    told = reference.read(document(schemas, "Tree"))
    assert [shape.name for shape in told.shapes] == ["Tree"]
    last = told.shapes[0].fields[-1]
    assert (last.name, last.type) == ("next", '<a href="#shape-Tree">Tree</a> or null')
    assert "null" in told.groups[0].operations[0].example


@pytest.mark.parametrize(
    ("schema", "kind", "bounds"),
    [
        ({"type": ["string", "null"]}, "string or null", ""),
        ({"enum": ["a", "b"], "default": "a"}, "string", "<code>a</code>, <code>b</code>; <code>a</code> if left out"),
        ({"enum": [1], "default": 1}, "integer", "<code>1</code>"),
        ({"type": "integer", "minimum": 0, "maximum": 1000}, "integer", "0 to 1,000"),
        ({"type": "string", "minLength": 1}, "string", "at least 1 character"),
        ({"type": "string", "pattern": "^<$"}, "string", "<code>^&lt;$</code>"),
        (
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 2}]},
            "string or array of string",
            "array of string: at least 2 entries",
        ),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"const": True}]}, "[string, boolean]", ""),
        ({}, "any", ""),
    ],
)
def test_a_field_is_told_in_words(schema: dict[str, Any], kind: str, bounds: str) -> None:
    body = {"type": "object", "properties": {"it": schema}}
    ((_, shape),) = reference.read(document({"Body": body}, "Body")).groups[0].operations[0].bodies
    (told,) = shape.fields
    assert (told.type, told.bounds) == (kind, bounds)
