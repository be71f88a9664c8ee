"""What a gateway is told by its environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from smallfirst.held import WhenUnproved
from smallfirst.origins import VARIABLE, ProviderSecrets
from smallfirst.proofs import LogKey, read_keys

WhenExpired = Literal["serve", "refuse"]


class SettingsError(Exception):
    """A variable of the environment is missing or wrong; the message names it and the fix."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the control plane is, whom to trust, where to keep things; periods in seconds.

    ``when_expired``: what to do with requests once a bundle or state is past its signed expiry and no newer one has
    come. ``serve`` goes on under the last approved policy and says so in /healthz; ``refuse`` answers 503.
    ``when_unproved``: what to do with a bundle whose issue the audit log of ``audit_keys`` does not show. ``warn``
    obeys it, logs it and says so in /healthz; ``refuse`` goes on with the last one that was proved.
    """

    control_url: str
    credential_file: Path
    root_key: str
    state: Path
    public_url: str
    provider_secrets: ProviderSecrets
    bundle_seconds: float = 2.0
    state_seconds: float = 1.0
    review_seconds: float = 3.0
    upload_seconds: float = 0.25
    drain_seconds: float = 30.0
    when_expired: WhenExpired = "serve"
    audit_keys: tuple[LogKey, ...] = ()
    when_unproved: WhenUnproved = "warn"
    log_level: str = "INFO"


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings; raise SettingsError naming the variable."""
    try:
        when_expired = msgspec.convert(environ.get("SMALLFIRST_GATEWAY_WHEN_EXPIRED", "serve"), WhenExpired)
    except msgspec.ValidationError:
        raise SettingsError("SMALLFIRST_GATEWAY_WHEN_EXPIRED must be serve or refuse") from None
    audit_keys, when_unproved = _proofs(environ)
    log_level = environ.get("SMALLFIRST_GATEWAY_LOG_LEVEL", "INFO")
    if log_level not in ("DEBUG", "INFO", "WARNING", "ERROR"):
        raise SettingsError("SMALLFIRST_GATEWAY_LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR")
    return Settings(
        control_url=_address(environ, "SMALLFIRST_CONTROL_URL"),
        credential_file=Path(_required(environ, "SMALLFIRST_GATEWAY_CREDENTIAL_FILE")),
        root_key=_required(environ, "SMALLFIRST_ROOT_KEY"),
        state=Path(_required(environ, "SMALLFIRST_GATEWAY_STATE")),
        public_url=_address(environ, "SMALLFIRST_GATEWAY_URL"),
        provider_secrets=_provider_secrets(environ),
        bundle_seconds=_seconds(environ, "SMALLFIRST_GATEWAY_BUNDLE_SECONDS", 2.0),
        state_seconds=_seconds(environ, "SMALLFIRST_GATEWAY_STATE_SECONDS", 1.0),
        review_seconds=_seconds(environ, "SMALLFIRST_GATEWAY_REVIEW_SECONDS", 3.0),
        upload_seconds=_seconds(environ, "SMALLFIRST_GATEWAY_UPLOAD_SECONDS", 0.25),
        drain_seconds=_seconds(environ, "SMALLFIRST_GATEWAY_DRAIN_SECONDS", 30.0),
        when_expired=when_expired,
        audit_keys=audit_keys,
        when_unproved=when_unproved,
        log_level=log_level,
    )


def _proofs(environ: Mapping[str, str]) -> tuple[tuple[LogKey, ...], WhenUnproved]:
    """The audit log's keys, and what to do with a bundle that it does not show."""
    try:
        keys = read_keys(environ.get("SMALLFIRST_AUDIT_KEY", ""))
    except ValueError as error:
        raise SettingsError(f"SMALLFIRST_AUDIT_KEY {error}") from None
    try:
        wanted = msgspec.convert(environ.get("SMALLFIRST_GATEWAY_UNPROVED", "warn"), WhenUnproved)
    except msgspec.ValidationError:
        raise SettingsError("SMALLFIRST_GATEWAY_UNPROVED must be warn or refuse") from None
    if wanted == "refuse" and not keys:
        raise SettingsError("set SMALLFIRST_AUDIT_KEY, which SMALLFIRST_GATEWAY_UNPROVED=refuse needs")
    return keys, wanted


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "").strip()
    if not value:
        raise SettingsError(f"set {name}")
    return value


def _address(environ: Mapping[str, str], name: str) -> str:
    value = _required(environ, name).rstrip("/")
    if not value.startswith(("http://", "https://")):
        raise SettingsError(f"{name} must begin with http:// or https://")
    return value


def _provider_secrets(environ: Mapping[str, str]) -> ProviderSecrets:
    try:
        return ProviderSecrets.read(environ.get(VARIABLE))
    except ValueError as error:
        raise SettingsError(f"{VARIABLE}: {error}") from None


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    try:
        value = float(environ.get(name, default))
    except ValueError:
        raise SettingsError(f"{name} must be a number of seconds") from None
    if not 0.01 <= value <= 3600:
        raise SettingsError(f"{name} must be between 0.01 and 3600 seconds")
    return value
