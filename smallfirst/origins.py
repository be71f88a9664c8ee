"""Where a provider's key may go: each is bound, by whoever runs the process, to the origins it may be sent to.

Who registers an endpoint chooses both its address and the name of its key. If any key went to any address, he could
have the key of another team sent to a machine of his own. So the name is bound to origins (scheme, host and port) in
the environment of every process that sends keys, in `SMALLFIRST_PROVIDER_SECRETS`, which no page changes.
"""

import ipaddress
import re
from collections.abc import Mapping
from typing import Final, Literal, Self

import msgspec

VARIABLE: Final = "SMALLFIRST_PROVIDER_SECRETS"
# Narrower than any standard, so that no two readers of an address disagree on where it leads: ASCII, no user before the
# host, no escape in it, no dot after it. What follows the authority is not looked at.
AUTHORITY: Final = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?(?=[/?#]|\Z)",
    re.ASCII | re.IGNORECASE,
)
NAME: Final = re.compile(r"[A-Z][A-Z0-9_]*", re.ASCII)
PORTS: Final = {"http": 80, "https": 443}
# What the suppliers' own clients read, and where those go. A name listed without an origin goes there, if it is one.
SUPPLIERS: Final = {
    "ANTHROPIC_API_KEY": "https://api.anthropic.com",
    "CEREBRAS_API_KEY": "https://api.cerebras.ai",
    "DEEPSEEK_API_KEY": "https://api.deepseek.com",
    "FIREWORKS_API_KEY": "https://api.fireworks.ai",
    "GEMINI_API_KEY": "https://generativelanguage.googleapis.com",
    "GROQ_API_KEY": "https://api.groq.com",
    "MISTRAL_API_KEY": "https://api.mistral.ai",
    "OPENAI_API_KEY": "https://api.openai.com",
    "OPENROUTER_API_KEY": "https://openrouter.ai",
    "TOGETHER_API_KEY": "https://api.together.xyz",
    "XAI_API_KEY": "https://api.x.ai",
}


class NoOrigin(ValueError):
    """An address that is not plainly one: what would be sent there is not sent."""


class SecretRefused(Exception):
    """A provider's key is not sent. `code` is for records; the text names the variable and the fix, never the key."""

    def __init__(self, code: Literal["no_secret", "secret_not_bound"], text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def origin_of(url: str) -> str:
    """The origin of an http or https address: scheme and host in lower case, the port where it is not the usual one.

    Raises NoOrigin for what two programs might read differently: a user before the host, a host that is not ASCII (an
    international name is written `xn--…`), a dot after it.
    """
    found = AUTHORITY.match(url)
    if found is None:
        raise NoOrigin(f"{url[:200]!r} begins with no plain origin, such as https://host or http://host:8080")
    scheme, host, port = found["scheme"].lower(), found["host"].lower(), int(found["port"] or 0)
    if host.startswith("["):
        try:
            host = f"[{ipaddress.IPv6Address(host[1:-1]).compressed}]"
        except ValueError as error:
            raise NoOrigin(f"{host} is no IPv6 address") from error
    if port > 65_535 or (found["port"] and not port):
        raise NoOrigin(f"{port} is no port")
    return f"{scheme}://{host}" if not port or port == PORTS[scheme] else f"{scheme}://{host}:{port}"


class ProviderSecrets(msgspec.Struct, frozen=True):
    """The names of providers' keys, each with the origins it may be sent to; with none it goes nowhere."""

    bound: dict[str, frozenset[str]]

    @classmethod
    def read(cls, text: str | None) -> Self:
        """Read `NAME@ORIGIN` and `NAME`, with commas; a name may stand several times.

        A name without an origin is bound to that of its supplier where SUPPLIERS knows it. Without any text those are
        all that is bound. Raises ValueError for what is neither; the message says how it is written.
        """
        bound: dict[str, frozenset[str]] = {}
        for entry in filter(None, (part.strip() for part in (text or ",".join(SUPPLIERS)).split(","))):
            name, at, address = entry.partition("@")
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no variable’s name; write NAME@https://host")
            given = {_bare(name, address)} if at else {SUPPLIERS[name]} if name in SUPPLIERS else set()
            bound[name] = bound.get(name, frozenset()) | given
        return cls(bound)

    def origins(self, name: str) -> frozenset[str]:
        """Where a variable's value may be sent."""
        return self.bound.get(name, frozenset())

    def value(self, reference: str, url: str, environ: Mapping[str, str]) -> str:
        """The key that `env:NAME` names, to be sent to an address. Raises SecretRefused."""
        kind, _, name = reference.partition(":")
        if kind != "env" or not NAME.fullmatch(name):
            raise SecretRefused("no_secret", f"{reference} names no variable; write env:NAME.")
        if refusal := self.refusal(name, url):
            raise SecretRefused("secret_not_bound", refusal)
        if not environ.get(name):
            raise SecretRefused("no_secret", f"{name} is not set where it would be sent from.")
        return environ[name]

    def refusal(self, name: str, url: str) -> str | None:
        """Why a variable's value may not be sent to an address, and what to do; None where it may."""
        try:
            origin = origin_of(url)
        except NoOrigin:
            return (
                f"{name} is not sent to an address that could be read in two ways. Write the host alone, in ASCII, "
                "without a user before it and a dot after it."
            )
        if origin in self.origins(name):
            return None
        return (
            f"{name} may not be sent to {origin}. If its key belongs there, whoever runs this adds {name}@{origin} to "
            f"{VARIABLE} and restarts."
        )


def _bare(name: str, address: str) -> str:
    """The origin that an entry names; an address with a path would promise more than is compared."""
    origin = origin_of(address)
    if AUTHORITY.fullmatch(address.removesuffix("/")) is None:
        raise ValueError(f"{name} is bound to {address!r}; write the origin alone, {origin}")
    return origin
