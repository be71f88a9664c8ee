"""Whether a request comes from a program on this machine: it is let in where others need a token or a password."""

from ipaddress import ip_address
from typing import Final

from django.conf import settings
from django.http import HttpRequest

# What proxies add, and all that begins with X-Forwarded: the peer is then not who asks.
RELAYED: Final = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP", "HTTP_X_CLIENT_IP", "HTTP_TRUE_CLIENT_IP")
RELAYED_AS: Final = "HTTP_X_FORWARDED"


def is_local(request: HttpRequest) -> bool:
    """Whether a program on this machine asks, by itself. A proxy here would ask for anybody."""
    if settings.BEHIND_PROXY or any(name in RELAYED or name.startswith(RELAYED_AS) for name in request.META):
        return False
    try:
        return ip_address(request.META.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False
