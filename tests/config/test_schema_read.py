"""The OpenAPI documents: valid, whole, and true of what the control plane and a gateway say."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from html import unescape
from typing import Any

import httpx2
import jsonschema_rs
import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLPattern, URLResolver
from drf_spectacular.validation import validate_schema

from config import reference, schema
from smallfirst.gateway import openapi
from smallfirst.gateway.metrics import route_of
from tests import cast as casting
from tests.gateway.conftest import Site
from tests.gateway.conftest import models as models
from tests.gateway.conftest import site as site
from tests.gateway.world import ask, wait

DOCUMENTS: dict[str, Callable[[], dict[str, Any]]] = {
    "schema": schema.control_plane,
    "gateway_schema": lambda: openapi.document("http://127.0.0.1:8001"),
}
BEARERS = ("$SMALLFIRST_CREDENTIAL", "$SMALLFIRST_API_KEY", "$SMALLFIRST_ACCESS_TOKEN")
# What describes and what reads the description is no part of it.
ABOUT = {"/api/v1/schema", "/api/v1/schema/gateway", "/api/docs", "/api/docs/gateway"}


def addresses(patterns: list[Any], before: str = "") -> Iterator[str]:
    """Every address of the site, its arguments as OpenAPI writes them."""
    for pattern in patterns:
        here = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from addresses(pattern.url_patterns, here)
        elif isinstance(pattern, URLPattern) and "^" not in here:
            yield "/" + re.sub(r"<\w+:pk>", "{id}", here)


@pytest.mark.parametrize("make", DOCUMENTS.values(), ids=DOCUMENTS)
def test_the_document_is_valid_and_refers_to_what_it_holds(make: Callable[[], dict[str, Any]]) -> None:
    document = make()
    validate_schema(document)
    text = json.dumps(document)
    named = set(re.findall(r'"#/components/(\w+)/([\w-]+)"', text))
    assert named
    for part, name in named:
        assert name in document["components"][part]
    for name in document["components"]["schemas"]:
        assert ("schemas", name) in named, f"nothing uses {name}"
        jsonschema_rs.Draft202012Validator(whole(document, name))
    assert "\\A" not in text
    operations = [each for path in document["paths"].values() for each in path.values()]
    assert len({each["operationId"] for each in operations}) == len(operations)
    assert all(each["summary"] for each in operations)


def whole(document: dict[str, Any], name: str) -> dict[str, Any]:
    """A component as a JSON schema that stands alone."""
    return {"$ref": f"#/components/schemas/{name}", "components": document["components"]}


def test_every_address_of_the_api_is_in_it() -> None:
    api = {path for path in addresses(get_resolver().url_patterns) if path.startswith("/api/")} - ABOUT
    document = schema.control_plane()
    assert api | {"/healthz", "/readyz", "/metrics"} == set(document["paths"])
    assert len(api) >= 6


def test_every_route_of_the_gateway_is_in_it() -> None:
    paths = openapi.document("")["paths"]
    routes = {path: route_of(path) for path in paths}
    assert sorted(routes.values()) == ["chat", "embeddings", "healthz", "metrics", "models", "review"]


def read(site: Site, path: str, slug: str = "open") -> httpx2.Response:
    """GET of the gateway, with a workflow's key."""
    return httpx2.get(site.process.url + path, headers={"Authorization": f"Bearer {site.token(slug)}"}, timeout=20)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "title"), [("/api/v1/schema", "control plane"), ("/api/v1/schema/gateway", "gateway")]
)
def test_whoever_makes_a_client_reads_it(client: Client, path: str, title: str) -> None:
    response = client.get(path)
    assert (response.status_code, response["Content-Type"]) == (200, "application/json")
    assert response.json()["info"]["title"] == f"Smallfirst {title}"
    assert client.post(path).status_code == 405


def test_it_is_true_of_what_a_gateway_says(site: Site) -> None:
    """Each answer of a real gateway, also a refusal, is what the document promises of that status."""
    document = openapi.document("")

    def check(path: str, method: str, response: Any) -> dict[str, Any]:
        promised = document["paths"][path][method]["responses"][str(response.status_code)]
        if "$ref" in promised:
            promised = document["components"]["responses"][promised["$ref"].rsplit("/", 1)[1]]
        body: dict[str, Any] = response.json()
        name = promised["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
        jsonschema_rs.validate(whole(document, name), body, validate_formats=True)
        told = {header for header in response.headers if header.startswith("x-smallfirst-")}
        assert told <= set(document["components"]["headers"])
        return body

    chat = "/v1/chat/completions"
    sent = ask({}, metadata={"step": "topic", "shop": "north"})
    jsonschema_rs.validate(whole(document, "ChatBody"), sent)
    assert check(chat, "post", site.process.post(site.token("open"), sent))["model"] == "small"
    check(chat, "post", site.process.post(site.token("open"), sent | {"messages": []}))
    check(chat, "post", site.process.post("sf_nobody", sent))
    check(chat, "post", site.process.post(site.token("refusing"), sent | {"model": "big"}))
    unsure = {"text": "negative", "logprob": -1.5}
    waiting = site.process.post(site.token("reviewed"), ask({"small": unsure, "mid": unsure, "big": unsure}))
    assert waiting.status_code == 422
    review = check(chat, "post", waiting)["error"]["review"]["id"]
    wait(lambda: read(site, f"/v1/reviews/{review}", "reviewed").status_code == 200)
    check("/v1/reviews/{id}", "get", read(site, f"/v1/reviews/{review}", "reviewed"))
    check("/v1/models", "get", read(site, "/v1/models"))
    check("/healthz", "get", read(site, "/healthz"))


@pytest.mark.parametrize(
    "wrong",
    [{"messages": []}, {"model": ""}, {"top_logprobs": 21}, {"metadata": {"risk": "none"}}, {"metadata": {"a": 1}}],
)
def test_what_a_gateway_refuses_the_document_refuses(site: Site, wrong: dict[str, Any]) -> None:
    body = ask({}) | wrong
    assert site.process.post(site.token("open"), body).status_code == 400
    document = openapi.document("")
    assert not jsonschema_rs.is_valid(whole(document, "ChatBody"), body)
    assert jsonschema_rs.is_valid(whole(document, "ChatBody"), ask({}))


def texts(page: str, pattern: str) -> list[str]:
    """What stands in a page where the pattern has its group, as it is read."""
    return [unescape(each) for each in re.findall(pattern, page)]


@pytest.mark.django_db
@pytest.mark.parametrize("name", ["api_docs", "api_docs_gateway"])
def test_people_read_all_of_it_without_a_script(client: Client, name: str) -> None:
    """Every operation and every field stands there, each link of the page leads to a place of it, its entry is lit."""
    client.force_login(casting.make_cast().integrator)
    with CaptureQueriesContext(connection) as queries:
        page = client.get(reverse(name)).content.decode()
    # Those of the frame alone: the session, who it is, and what he may do.
    assert len(queries) <= 3
    document = DOCUMENTS["schema" if name == "api_docs" else "gateway_schema"]()
    told = [(method, path, each) for path, methods in document["paths"].items() for method, each in methods.items()]
    assert sorted(texts(page, r'<code class="call"><b>(.+?)</code>')) == sorted(
        f"{method.upper()}</b> {path}" for method, path, _ in told
    )
    assert sorted(texts(page, r'<div class="told" id="operation-(\w+)">')) == sorted(
        each["operationId"] for _, _, each in told
    )
    fields = {name for each in document["components"]["schemas"].values() for name in each.get("properties", {})}
    assert fields <= set(texts(page, r"<code>([^<]+)</code></th>"))
    ids = texts(page, r' id="([^"]+)"')
    assert len(set(ids)) == len(ids)
    links = set(texts(page, r' href="#([^"]+)"'))
    assert links <= set(ids)
    assert len(links) > len(told)
    assert page.count("<h1") == 1
    assert "<script" not in page[page.index("<main") :]
    assert re.search(r'href="/api/docs/gateway" aria-current="(page|true)"', page)


@pytest.mark.parametrize("make", DOCUMENTS.values(), ids=DOCUMENTS)
def test_an_example_keeps_to_the_document(make: Callable[[], dict[str, Any]]) -> None:
    document = make()
    operations = [each for group in reference.read(document).groups for each in group.operations]
    bodies = 0
    for operation in operations:
        words = shlex.split(operation.example)
        assert words[0] == "curl"
        assert any(word.endswith(BEARERS) for word in words) == ("v1/" in operation.path)
        if "-d" in words:
            told = document["paths"][operation.path][operation.method.lower()]["requestBody"]
            name = told["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]
            jsonschema_rs.validate(whole(document, name), json.loads(words[words.index("-d") + 1]))
            bodies += 1
    assert bodies >= 2
