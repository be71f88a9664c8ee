"""Where a request comes from, and whether from a program on this machine: that is let in where others need a token."""

from ipaddress import ip_address
from typing import Final

from django.conf import settings
from django.http import HttpRequest

# What proxies add, and all that begins with X-Forwarded: the peer is then not who asks.
RELAYED: Final = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_TRUE_CLIENT_IP")
RELAYED_AS: Final = "HTTP_X_FORWARDED"


def is_local(request: HttpRequest) -> bool:
    """Whether a program on this machine asks, by itself. A proxy here would ask for anybody.

    A relay of TCP adds no header and cannot be told from one: what matters must ask for more than this.
    """
    if settings.BEHIND_PROXY or any(name in RELAYED or name.startswith(RELAYED_AS) for name in request.META):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def address_of(request: HttpRequest) -> str | None:
    """The address of who asks. Behind a proxy that is the last one it added to X-Forwarded-For, as it saw it itself."""
    peer = request.META.get("REMOTE_ADDR") or None
    if not settings.BEHIND_PROXY:
        return peer
    # What stands before the last comma the caller may have written himself. Without any, all would share the proxy's.
    seen = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
    return seen or None
