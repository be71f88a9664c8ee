"""What every installation starts with: environments, and with `./run up` a gateway of its own."""

import os
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.models import Max

from governance import gateways, registry
from governance.audit import Service
from governance.models import Environment, Gateway
from ledger import prices
from routing import keys

BOOTSTRAP = Service("bootstrap")
# Name, and how many votes a change there needs.
ENVIRONMENTS = (("development", 0), ("production", 1))
PRODUCTION = "production"
EMBEDDED = "embedded"
CREDENTIAL = "gateway.credential"


def run(*, directory: Path, now: datetime) -> list[str]:
    """Make keys (in `directory`), environments and list prices that are missing. Returns what was made, in sentences.

    Raises KeysMissingError when a certificate is due and the root key is kept elsewhere.
    """
    made = [f"wrote {name}" for name in keys.ensure(directory, now=now)]
    made += [f"added the environment {environment}" for environment in _ensure_environments()]
    priced = prices.seed_list_prices(now=now, by=BOOTSTRAP)
    return [*made, f"added {priced} list prices"] if priced else made


@transaction.atomic
def ensure_embedded_gateway(path: Path, url: str) -> list[str]:
    """Register the gateway that runs beside this installation and write its credential to `path`, for its owner alone.

    `url` is where it is reached. One whose credential is accepted stays. One whose credential is lost is revoked, and
    another takes its place. Returns what was made, in sentences.
    """
    production = Environment.objects.get(name=PRODUCTION)
    registry.set_gateway_url(environment=production, url=url, by=BOOTSTRAP)
    if path.exists() and gateways.authenticate(path.read_text(encoding="ascii").strip()) is not None:
        return []
    earlier = Gateway.objects.filter(name__startswith=EMBEDDED)
    for lost in earlier.filter(revoked_at=None):
        gateways.revoke(gateway=lost, by=BOOTSTRAP, reason="its credential was lost")
    name = f"{EMBEDDED} {earlier.count() + 1}" if earlier.exists() else EMBEDDED
    gateway, credential = gateways.register(name=name, environment=production, by=BOOTSTRAP)
    # Before the commit: a credential without a gateway is replaced at the next start, a gateway without one is lost.
    _write_private(path, credential)
    return [f"registered the gateway {gateway.name}"]


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
