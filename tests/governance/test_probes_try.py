"""Trying an endpoint: every answer and every fault that a network can bring, told in words; nothing else gets out."""

import asyncio
import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.db import transaction

from governance import accounts, probes, registry
from governance.models import AuditEvent, Endpoint, Probe
from smallfirst.origins import ProviderSecrets, origin_of
from tests.cast import BOOTSTRAP, Cast, make_cast
from tests.gateway.servers import Served

pytestmark = pytest.mark.django_db

SECRET = "a-key-that-nobody-may-see"
Answer = tuple[int, Any]


class Provider(Served):
    """A provider that answers as it is told, and keeps what it was asked."""

    def __init__(self, models: Answer, chat: Answer = (404, {})) -> None:
        super().__init__()
        self.answers = {"/v1/models": models, "/v1/chat/completions": chat}
        self.asked: list[tuple[str, str, str | None]] = []

    def routes(self) -> list[web.RouteDef]:
        """Whatever is asked."""
        return [web.route("*", "/{path:.*}", self.answer)]

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer as told; a callable does it itself."""
        self.asked.append((request.method, request.path, request.headers.get("Authorization")))
        status, body = self.answers.get(request.path, (404, {}))
        if callable(body):
            made: web.StreamResponse = await body(request)
            return made
        if isinstance(body, bytes):
            return web.Response(status=status, body=body)
        return web.json_response(body, status=status)


def listing(*names: str) -> Answer:
    """OpenAI's list of models."""
    return 200, {"object": "list", "data": [{"id": name, "object": "model"} for name in names]}


CHAT: Answer = (200, {"object": "chat.completion", "choices": [{"message": {"content": "H"}}]})


@pytest.fixture
def cast() -> Cast:
    """Everybody, with three models at addresses where nothing answers."""
    return make_cast()


def bind(settings: Any, *urls: str) -> None:
    """Let MODELS_API_KEY go to the origins of these addresses, and to no other."""
    text = ",".join(f"MODELS_API_KEY@{origin_of(url)}" for url in urls)
    settings.PROVIDER_SECRETS = ProviderSecrets.read(text or "MODELS_API_KEY")


@pytest.fixture
def known_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """MODELS_API_KEY is a provider's key that this process has."""
    monkeypatch.setenv("MODELS_API_KEY", SECRET)


def serve(cast: Cast, url: str, secret: str | None = None) -> Endpoint:
    """The endpoint `gpt-small` at an address."""
    return registry.add_endpoint(
        version=cast.models[0].versions.get(),
        provider=Endpoint.objects.all()[0].provider,
        environment=cast.production,
        url=url,
        upstream_model="gpt-small",
        region="eu",
        hosting="self",
        secret=secret,
        by=BOOTSTRAP,
    )


def tried(cast: Cast, url: str, secret: str | None = None) -> Probe:
    """Try an endpoint at an address."""
    return probes.try_endpoint(endpoint=serve(cast, url, secret), by=cast.lead)


@pytest.mark.parametrize(
    ("models", "chat", "outcome", "words"),
    [
        (listing("other", "gpt-small"), CHAT, "listed", "Reached: it lists gpt-small."),
        (
            listing("gpt-smal", "x"),
            CHAT,
            "not_listed",
            "Reached, but it lists no gpt-small; the nearest of the 2 it lists is gpt-smal.",
        ),
        (listing("zzz"), CHAT, "not_listed", "Reached, but it lists no gpt-small; the only one it lists is zzz."),
        ((404, {}), CHAT, "answered", "Reached: gpt-small answered."),
        ((405, {}), CHAT, "answered", "Reached: gpt-small answered."),
        (listing(), CHAT, "answered", "Reached: gpt-small answered."),
        ((200, b"<html>Welcome</html>"), CHAT, "answered", "Reached: gpt-small answered."),
        ((200, {"data": {"id": "gpt-small"}}), CHAT, "answered", "Reached: gpt-small answered."),
        ((200, b"[" * 100_000), CHAT, "answered", "Reached: gpt-small answered."),
        ((200, b" " * 3_000_000), CHAT, "answered", "Reached: gpt-small answered."),
        ((404, {}), (404, {}), "not_found", "has neither models nor chat at this address (404). Does it end in /v1?"),
        ((200, b"<html>"), (200, b"<html>"), "not_found", "not as OpenAI’s API does"),
        ((404, {}), (400, {}), "failed", "a request for one token was answered with 400"),
        ((500, {}), CHAT, "failed", "Reached, but it answered 500."),
        ((404, {}), (503, {}), "failed", "Reached, but it answered 503."),
        ((401, {}), CHAT, "key_missing", "asks for a key (401) and this endpoint names none"),
        ((404, {}), (403, {}), "key_missing", "asks for a key (403) and this endpoint names none"),
    ],
)
def test_what_a_provider_answers_is_told_and_kept(
    cast: Cast, models: Answer, chat: Answer, outcome: str, words: str
) -> None:
    with Provider(models, chat) as provider:
        probe = tried(cast, f"{provider.url}/v1")

    assert (probe.outcome, words in probe.text) == (outcome, True), probe.text
    kept = Probe.objects.get()
    assert (kept.pk, kept.tried_by, kept.url) == (probe.pk, cast.lead, f"{provider.url}/v1")
    event = AuditEvent.objects.about(probe).get()
    assert (event.action, (event.after or {})["outcome"], event.team) == ("probes.try_endpoint", outcome, cast.team.pk)
    assert {(method, path) for method, path, _ in provider.asked} <= {
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
    }


@pytest.mark.usefixtures("known_secret")
def test_a_key_at_hand_is_sent_where_it_is_bound_and_stands_nowhere(cast: Cast, settings: Any) -> None:
    with Provider(listing("gpt-small")) as provider:
        bind(settings, provider.url)
        good = tried(cast, f"{provider.url}/v1", "env:MODELS_API_KEY")
    assert good.outcome == "listed"
    assert provider.asked == [("GET", "/v1/models", f"Bearer {SECRET}")]
    with Provider((401, {"error": SECRET})) as provider:
        bind(settings, provider.url)
        refused = tried(cast, f"{provider.url}/v1", "env:MODELS_API_KEY")
    assert (refused.outcome, refused.text) == (
        "key_refused",
        "Reached, but the key in env:MODELS_API_KEY was refused (401).",
    )
    rows = [*Probe.objects.values(), *AuditEvent.objects.values("summary", "reason", "before", "after")]
    assert SECRET not in str(rows)


@pytest.mark.parametrize("variable", ["DJANGO_SETTINGS_MODULE", "DATABASE_URL", "MODELS_API_KEY"])
def test_a_variable_that_is_no_providers_key_is_never_sent(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, SECRET)
    with Provider((401, {})) as provider:
        probe = tried(cast, f"{provider.url}/v1", f"env:{variable}")
    assert [authorization for _, _, authorization in provider.asked] == [None]
    assert probe.outcome == "key_missing"
    assert f"env:{variable} is not bound to any address here." in probe.text
    with Provider(listing("gpt-small")) as provider:
        open_to_all = tried(cast, f"{provider.url}/v1", f"env:{variable}")
    assert (
        open_to_all.text
        == f"Reached: it lists gpt-small. It asked for no key. env:{variable} is not bound to any address here."
    )


@pytest.mark.usefixtures("known_secret")
def test_a_key_bound_elsewhere_stays_here_also_at_an_endpoint_that_was_there_before(cast: Cast, settings: Any) -> None:
    """An operator may bind a key after its endpoint was added: the try is refused the key all the same."""
    with Provider((401, {})) as thief:
        endpoint = serve(cast, f"{thief.url}/v1", "env:MODELS_API_KEY")
        for bound in ([], ["https://models.example"]):
            bind(settings, *bound)
            probe = probes.try_endpoint(endpoint=endpoint, by=cast.lead)
            assert probe.outcome == "key_missing"
            assert (f"adds MODELS_API_KEY@{thief.url} to SMALLFIRST_PROVIDER_SECRETS" in probe.text) is bool(bound)
    assert {authorization for _, _, authorization in thief.asked} == {None}


@pytest.mark.usefixtures("known_secret")
def test_a_redirect_takes_no_key_along(cast: Cast, settings: Any) -> None:
    with Provider(listing("gpt-small")) as thief:

        async def elsewhere(_request: web.Request) -> web.StreamResponse:
            raise web.HTTPTemporaryRedirect(f"{thief.url}/v1/models")

        with Provider((307, elsewhere)) as provider:
            bind(settings, provider.url)
            tried(cast, f"{provider.url}/v1", "env:MODELS_API_KEY")
    assert [authorization for _, _, authorization in provider.asked] == [f"Bearer {SECRET}"]
    assert thief.asked == []


def test_a_redirect_is_not_followed(cast: Cast) -> None:
    with Provider(listing("gpt-small")) as inside:

        async def elsewhere(_request: web.Request) -> web.StreamResponse:
            raise web.HTTPFound(f"{inside.url}/v1/models")

        with Provider((302, elsewhere)) as provider:
            probe = tried(cast, f"{provider.url}/v1")
    assert (probe.outcome, inside.asked) == ("failed", [])
    assert "sends on to another address (302)" in probe.text
    assert inside.url not in probe.text


def test_silence_and_drips_end_in_time(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SECONDS", 0.4)

    async def silent(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        raise AssertionError

    async def dripping(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        while True:
            await answer.write(b" ")
            await asyncio.sleep(0.05)

    for way in (silent, dripping):
        with Provider((200, way)) as provider:
            assert tried(cast, f"{provider.url}/v1").outcome == "timeout"


def test_a_name_that_is_looked_up_for_ever_ends_in_time(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "SECONDS", 0.2)
    held = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: held.wait(20))
    probe = tried(cast, "http://models.example.com/v1")
    held.set()
    assert (probe.outcome, probe.text) == ("timeout", "No answer within 0 seconds.")


def test_a_closed_port_a_host_that_is_not_and_a_broken_line_are_told_apart(
    cast: Cast, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    closed = tried(cast, f"http://127.0.0.1:{port}/v1")
    assert (closed.outcome, closed.text) == (
        "refused",
        f"The connection was refused: nothing listens at 127.0.0.1:{port}.",
    )
    with socket.create_server(("127.0.0.1", 0)) as server:

        def broken() -> None:
            connection, _ = server.accept()
            connection.recv(100)
            connection.sendall(b"SSH-2.0-OpenSSH_9\r\n")
            connection.close()

        thread = threading.Thread(target=broken)
        thread.start()
        other = tried(cast, f"http://127.0.0.1:{server.getsockname()[1]}/v1")
        thread.join()
    assert other.outcome == "failed"
    assert "SSH" not in other.text

    def nowhere(*_given: Any, **_more: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)
    assert tried(cast, "http://models.invalid/v1").text == "There is no host models.invalid."


@pytest.fixture
def self_signed(tmp_path: Path) -> ssl.SSLContext:
    """A server's context whose certificate nobody stands behind."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.mark.usefixtures("known_secret")
def test_what_is_not_secure_gets_no_key(cast: Cast, self_signed: ssl.SSLContext, settings: Any) -> None:
    with Provider(listing("gpt-small")) as plain:
        bind(settings, plain.url.replace("http:", "https:"))
        no_tls = tried(cast, plain.url.replace("http:", "https:") + "/v1", "env:MODELS_API_KEY")
    assert (no_tls.outcome, plain.asked) == ("tls", [])
    assert "Is it http instead of https?" in no_tls.text

    with socket.create_server(("127.0.0.1", 0)) as server:
        received: list[bytes] = []

        def handshake() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    received.append(self_signed.wrap_socket(connection, server_side=True).recv(1000))
                except (ssl.SSLError, OSError):
                    received.append(b"")

        thread = threading.Thread(target=handshake)
        thread.start()
        bind(settings, f"https://127.0.0.1:{server.getsockname()[1]}")
        untrusted = tried(cast, f"https://127.0.0.1:{server.getsockname()[1]}/v1", "env:MODELS_API_KEY")
        thread.join()
    assert untrusted.outcome == "tls"
    assert "certificate of 127.0.0.1" in untrusted.text
    assert "self-signed certificate" in untrusted.text
    assert received == [b""]


@pytest.mark.parametrize(
    "host",
    ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "metadata.example.com", "169.254.43518", "2852039166"],
)
def test_link_local_addresses_are_never_asked(cast: Cast, monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    looked_up = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("169.254.169.254", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [looked_up])
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("connected"))
    probe = tried(cast, f"http://{host}/latest")
    assert (probe.outcome, probe.text) == (
        "forbidden",
        "Link-local addresses are never asked: no model is served there.",
    )


@pytest.mark.parametrize("who", ["owner", "reviewer", "finance", "integrator", "auditor", "admin", "stranger"])
def test_who_may_not_edit_the_endpoint_has_nothing_asked(cast: Cast, who: str) -> None:
    with Provider(listing("gpt-small")) as provider:
        endpoint = serve(cast, f"{provider.url}/v1")
        before = AuditEvent.objects.count()
        with pytest.raises(accounts.NotPermitted):
            probes.try_endpoint(endpoint=endpoint, by=cast.people[who])
    assert (provider.asked, Probe.objects.count(), AuditEvent.objects.count()) == ([], 0, before)


def test_a_grant_for_another_environment_does_not_do(cast: Cast) -> None:
    elsewhere = registry.add_environment(name="staging", votes_needed=0, position=900, by=BOOTSTRAP)
    accounts.grant(user=cast.owner, role="lead", environment=elsewhere, by=BOOTSTRAP)
    with Provider(listing("gpt-small")) as provider, pytest.raises(accounts.NotPermitted):
        probes.try_endpoint(endpoint=serve(cast, f"{provider.url}/v1"), by=cast.owner)
    assert provider.asked == []


def test_no_transaction_waits_for_a_network(cast: Cast) -> None:
    with Provider(listing("gpt-small")) as provider:
        endpoint = serve(cast, f"{provider.url}/v1")
        with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
            probes.try_endpoint(endpoint=endpoint, by=cast.lead)
    assert (provider.asked, Probe.objects.count()) == ([], 0)


def test_the_newest_of_each_endpoint_is_shown(cast: Cast, free_port: Callable[[], int]) -> None:
    endpoint = serve(cast, f"http://127.0.0.1:{free_port()}/v1")
    probes.try_endpoint(endpoint=endpoint, by=cast.lead)
    last = probes.try_endpoint(endpoint=endpoint, by=cast.lead)
    assert list(Probe.objects.newest()) == [last]
    assert (last.level, Probe(outcome="listed").level, Probe(outcome="key_missing").level) == ("bad", "good", "warn")
