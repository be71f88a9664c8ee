"""What every installation starts with: environments, and with `./run up` a gateway of its own."""

import os
import secrets
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models import Max

from governance import accounts, gateways, registry
from governance.audit import Service
from governance.models import Environment, Gateway, Role, User
from ledger import prices
from routing import keys

BOOTSTRAP = Service("bootstrap")
DEVELOPMENT, PRODUCTION = "development", "production"
# Name, and how many votes a change there needs.
ENVIRONMENTS = ((DEVELOPMENT, 0), (PRODUCTION, 1))
EMBEDDED = "embedded"
# Who sets up alone has to do with everything. He grants others their roles, and himself none.
FOUNDER = (Role.ADMIN, Role.LEAD, Role.REVIEWER, Role.FINANCE, Role.AUDITOR)
FIRST_PERSON, FIRST_ADDRESS = "first-person", "first@smallfirst.example"
CREDENTIAL, DEVELOPMENT_CREDENTIAL = "gateway.credential", "gateway-development.credential"


def run(*, directory: Path, now: datetime) -> list[str]:
    """Make keys (in `directory`), environments and list prices that are missing. Returns what was made, in sentences.

    Raises KeysMissingError when a certificate is due and the root key is kept elsewhere.
    """
    made = [f"wrote {name}" for name in keys.ensure(directory, now=now)]
    made += [f"added the environment {environment}" for environment in _ensure_environments()]
    priced = prices.seed_list_prices(now=now, by=BOOTSTRAP)
    return [*made, f"added {priced} list prices"] if priced else made


@transaction.atomic
def ensure_embedded_gateway(path: Path, url: str, environment: str = PRODUCTION) -> list[str]:
    """Register a gateway that runs beside this installation and write its credential to `path`, for its owner alone.

    `url` is where it is reached. One whose credential is accepted stays. One whose credential is lost is revoked, and
    another takes its place. Returns what was made, in sentences.
    """
    place = Environment.objects.get(name=environment)
    registry.set_gateway_url(environment=place, url=url, by=BOOTSTRAP)
    if path.exists() and gateways.authenticate(path.read_text(encoding="ascii").strip()) is not None:
        return []
    earlier = Gateway.objects.filter(name__startswith=EMBEDDED, environment=place)
    for lost in earlier.filter(revoked_at=None):
        gateways.revoke(gateway=lost, by=BOOTSTRAP, reason="its credential was lost")
    own = EMBEDDED if environment == PRODUCTION else f"{EMBEDDED} in {environment}"
    name = f"{own} {earlier.count() + 1}" if earlier.exists() else own
    gateway, credential = gateways.register(name=name, environment=place, by=BOOTSTRAP)
    # Before the commit: a credential without a gateway is replaced at the next start, a gateway without one is lost.
    _write_private(path, credential)
    return [f"registered the gateway {gateway.name}"]


def ensure_development_gateway(state: Path, url: str) -> list[str]:
    """The same for the gateway that development has where `url` is given. Returns what was made, in sentences."""
    return ensure_embedded_gateway(state / DEVELOPMENT_CREDENTIAL, url, DEVELOPMENT) if url else []


@transaction.atomic
def ensure_first_person(path: Path) -> list[str]:
    """Add one person where there is nobody, and write address and password to `path`, a line each, for its owner alone.

    A password that no longer opens anything is taken out of `path`; the address stays. Returns what was made, in
    sentences.
    """
    if User.objects.exists():
        _forget_first_password(path)
        return []
    _, password = create_person(email=FIRST_ADDRESS, name="First person", roles=FOUNDER)
    _write_private(path, f"{FIRST_ADDRESS}\n{password}")
    return [f"added {FIRST_ADDRESS}"]


@transaction.atomic
def create_person(*, email: str, name: str, roles: Iterable[str]) -> tuple[User, str]:
    """Add a person with roles everywhere; return him and his password, which is kept nowhere.

    Raises InvalidInput for an address in use.
    """
    password = secrets.token_urlsafe(12)
    person = accounts.create_person(email=email, name=name, password=password, by=BOOTSTRAP)
    for each in roles:
        accounts.grant(user=person, role=each, by=BOOTSTRAP)
    return person, password


def _forget_first_password(path: Path) -> None:
    """Keep of the first sign-in its address alone once its password was changed, or the person signs in no more."""
    email, _, password = path.read_text(encoding="ascii").strip().partition("\n") if path.exists() else ("", "", "")
    first = User.objects.filter(email=email, is_active=True).first()
    if password and not (first and first.check_password(password)):
        _write_private(path, email)


def _ensure_environments() -> list[str]:
    made = []
    for name, votes_needed in ENVIRONMENTS:
        if not Environment.objects.filter(name=name).exists():
            last: int = Environment.objects.aggregate(last=Max("position"))["last"] or 0
            registry.add_environment(name=name, votes_needed=votes_needed, position=last + 1, by=BOOTSTRAP)
            made.append(name)
    return made


def _write_private(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
