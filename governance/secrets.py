"""Whether a provider's key may go where an endpoint is, as far as this process was told: asked when either is entered.

The gateways hold the keys and have the last word, by the same rule (smallfirst/origins.py). What they are told stands
in their environment, so of a name that this process does not know nothing is said here.
"""

from django.conf import settings

from governance.errors import InvalidInput
from smallfirst.origins import NoOrigin, ProviderSecrets, origin_of


def bound() -> ProviderSecrets:
    """The names of providers' keys that this process was told, with the origins they may be sent to."""
    found: ProviderSecrets = settings.PROVIDER_SECRETS
    return found


def check_bound(url: str, secret: str | None, *, field: str = "secret") -> None:
    """Raise InvalidInput for a key (`env:NAME`) that may not be sent to this address; `field` is what to change."""
    name = (secret or "").removeprefix("env:")
    if not url or not name:
        return
    try:
        origin_of(url)
        elsewhere = bool(bound().origins(name))
    except NoOrigin:
        elsewhere = True
    if elsewhere and (refusal := bound().refusal(name, url)):
        raise InvalidInput(f"{field}: {refusal}", field=field)
