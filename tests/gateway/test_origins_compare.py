"""Where a provider's key may go: what looks alike is not the same, and no two readers of an address disagree."""

import re
import string
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from smallfirst.origins import SUPPLIERS, NoOrigin, ProviderSecrets, SecretRefused, origin_of

BOUND = "https://api.openai.com"
KEYS = {"OPENAI_API_KEY": "the-key"}
labels = st.text(string.ascii_letters + string.digits, min_size=1, max_size=12)
hosts = st.lists(labels, min_size=1, max_size=4).map(".".join)
schemes = st.sampled_from(["http", "https", "HTTP", "hTTps"])
ports = st.none() | st.integers(1, 65_535)
paths = st.sampled_from(["", "/", "/v1", "/v1/", "/@evil.example", "/\\evil.example", "?x=1", "#@evil.example"])


def put(scheme: str, host: str, port: int | None, path: str = "") -> str:
    """An address."""
    return f"{scheme}://{host}{'' if port is None else f':{port}'}{path}"


@given(schemes, hosts, ports, paths)
def test_case_path_and_the_usual_port_make_no_difference(scheme: str, host: str, port: int | None, path: str) -> None:
    usual = 443 if scheme.lower() == "https" else 80
    origin = origin_of(put(scheme, host, port, path))
    assert origin == origin_of(put(scheme.lower(), host.lower(), port or usual))
    assert origin_of(origin) == origin


@given(schemes, hosts, ports, schemes, hosts, ports)
def test_two_origins_are_equal_only_in_scheme_host_and_port(
    scheme: str, host: str, port: int | None, other_scheme: str, other_host: str, other_port: int | None
) -> None:
    def parts(scheme: str, host: str, port: int | None) -> tuple[str, str, int]:
        return scheme.lower(), host.lower(), port or (443 if scheme.lower() == "https" else 80)

    same = parts(scheme, host, port) == parts(other_scheme, other_host, other_port)
    assert (origin_of(put(scheme, host, port)) == origin_of(put(other_scheme, other_host, other_port))) is same


@given(st.text(max_size=60) | st.text(string.ascii_letters + string.digits + ".:/@\\[]%#?- \t\n", max_size=60))
def test_what_has_an_origin_leads_there_in_every_reader(rest: str) -> None:
    """The one that connects (yarl, for aiohttp) and Python's own."""
    try:
        origin = origin_of(f"https://{rest}")
    except NoOrigin:
        return
    try:
        # As it is asked for: with a path behind it.
        connected = URL(f"https://{rest.rstrip('/')}/chat/completions")
    except ValueError:
        # Nothing is asked where the reader gives up.
        return
    known = URL(origin)
    assert (connected.scheme, connected.raw_host, connected.port) == (known.scheme, known.raw_host, known.port)
    assert connected.user is connected.password is None
    assert urlsplit(f"https://{rest}").hostname == urlsplit(origin).hostname


@given(st.text(min_size=1, max_size=30), st.sampled_from([*SUPPLIERS, "ANY_KEY"]))
def test_a_key_goes_nowhere_but_to_its_supplier(rest: str, name: str) -> None:
    with pytest.raises(SecretRefused):
        ProviderSecrets.read("").value(f"env:{name}", f"https://{rest}.example/v1", {name: "the-key"})


@pytest.mark.parametrize(
    "url",
    [
        "https://api.openai.com@evil.example/v1",
        "https://user:password@api.openai.com/v1",
        "https://api.openai.com\\@evil.example/v1",
        "https://api.openai.com\t.evil.example/v1",
        "https://api.openai.com./v1",
        "https://api.openai.com%2eevil.example/v1",
        "https://ａpi.openai.com/v1",
        "https://api.openaı.com/v1",
        "https://bücher.example/v1",
        "https://api.openai.com:/v1",
        "https://api.openai.com:0/v1",
        "https://api.openai.com:70000/v1",
        "https://api.openai.com:443٠/v1",
        "https://[fe80::1%25eth0]/v1",
        "https://[::1::1]/v1",
        " https://api.openai.com/v1",
        "https:/api.openai.com/v1",
        "ftp://api.openai.com/v1",
        "//api.openai.com/v1",
        "https://",
        "",
    ],
)
def test_what_could_be_read_in_two_ways_has_no_origin(url: str) -> None:
    with pytest.raises(NoOrigin):
        origin_of(url)
    with pytest.raises(SecretRefused, match=r"^OPENAI_API_KEY is not sent to an address that could be read") as refused:
        ProviderSecrets.read("OPENAI_API_KEY").value("env:OPENAI_API_KEY", url, KEYS)
    assert "the-key" not in refused.value.text


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com",
        "https://openai.com/v1",
        "https://xn--pi-openai-x.com/v1",
    ],
)
def test_what_only_looks_alike_is_refused_and_the_way_out_named(url: str) -> None:
    with pytest.raises(SecretRefused) as refused:
        ProviderSecrets.read("OPENAI_API_KEY").value("env:OPENAI_API_KEY", url, KEYS)
    assert refused.value.code == "secret_not_bound"
    assert f"adds OPENAI_API_KEY@{origin_of(url)} to SMALLFIRST_PROVIDER_SECRETS" in refused.value.text
    assert "the-key" not in refused.value.text


def test_a_name_may_have_several_origins_and_a_bare_one_has_that_of_its_supplier() -> None:
    read = ProviderSecrets.read
    assert read(None).origins("OPENAI_API_KEY") == read("OPENAI_API_KEY").origins("OPENAI_API_KEY") == {BOUND}
    text = (
        " OWN_KEY@http://127.0.0.1:9000/ , OWN_KEY@https://Models.Example:443,OPENAI_API_KEY@https://eu.openai.example,"
    )
    found = read(text)
    assert found.origins("OWN_KEY") == {"http://127.0.0.1:9000", "https://models.example"}
    assert found.origins("OPENAI_API_KEY") == {"https://eu.openai.example"}
    assert found.origins("MISTRAL_API_KEY") == read("OWN_KEY").origins("OWN_KEY") == frozenset()
    assert found.value("env:OWN_KEY", "http://127.0.0.1:9000/v1", {"OWN_KEY": "x"}) == "x"
    with pytest.raises(SecretRefused, match="OWN_KEY is not set"):
        found.value("env:OWN_KEY", "http://127.0.0.1:9000/v1", {"OWN_KEY": ""})
    for reference in ("file:/etc/passwd", "OWN_KEY", "env:", "env:own_key", ""):
        with pytest.raises(SecretRefused, match="names no variable"):
            found.value(reference, "http://127.0.0.1:9000/v1", {"OWN_KEY": "x"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("openai@https://host", "'openai' is no variable’s name"),
        ("KEY@", "begins with no plain origin"),
        ("KEY@host", "begins with no plain origin"),
        ("KEY@https://u@host", "begins with no plain origin"),
        ("KEY@https://host/v1", "write the origin alone, https://host"),
        ("KEY@https://*.host", "begins with no plain origin"),
        ("KEY@https://host;KEY@https://other", "begins with no plain origin"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        ProviderSecrets.read(text)
