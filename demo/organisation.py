"""Harbour & Vale: its people, models, workflows and keys, made through the same verbs that the pages call.

So its policies are proposed by one person and approved by another, and every act stands in the audit log. What `up`
prints, and what the demo's own traffic needs, is written to files in the state directory.
"""

import json
import secrets
import shlex
from datetime import datetime
from pathlib import Path

from django.db import transaction

from config import state as places
from demo import baselines, people, processes, register
from demo.people import BOOTSTRAP, PEOPLE
from demo.recorded import world
from demo.register import Servers
from demo.sentence import DEMO_SENTENCE
from governance import accounts
from governance.models import ApiKey, Environment, User, Workflow

# The application that asks, and the file with its key; the first one stands in the line that `up` prints.
APPLICATIONS = {
    "customer-feedback": ("Feedback form", "demo-key"),
    "message-screen": ("Shop assistant", "demo-key-message-screen"),
    "social-listening": ("Post counter", "demo-key-social-listening"),
}


def seed(*, state: Path, servers: Servers, gateway_url: str, now: datetime) -> None:
    """Make what is missing, follow the servers' addresses, write demo-people, demo-curl, demo-door and the keys."""
    password = _password(state / "demo-password")
    _door(state / "demo-door")
    production = Environment.objects.get(name="production")
    with transaction.atomic():
        people.make(password)
        register.register(servers=servers, environment=production, now=now)
        for process in processes.LIVE:
            processes.make(process, production, now=now)
        world.make(now=now)
        for workflow in Workflow.objects.filter(slug__in=[each.slug for each in processes.ALL]):
            baselines.make(workflow, now=now)
    register.follow(servers)
    tokens = {slug: _token(slug, name, state / file) for slug, (name, file) in APPLICATIONS.items()}
    width = max(len(person.email) for person in PEOPLE)
    lines = "".join(f"{person.email.ljust(width)}  {person.purpose}\n" for person in PEOPLE)
    (state / "demo-people").write_text(lines)
    places.write_secret(state / "demo-curl", curl(gateway_url, tokens["customer-feedback"]))


def curl(gateway_url: str, token: str) -> str:
    """The command line that asks what no model is sure of."""
    body = json.dumps(
        {
            "model": "auto",
            "metadata": {"step": "sentiment"},
            "messages": [{"role": "user", "content": DEMO_SENTENCE}],
        },
        ensure_ascii=False,
    )
    return (
        f"curl -s {gateway_url}/v1/chat/completions -H 'authorization: Bearer {token}' \\\n"
        f"  -H 'content-type: application/json' -d {shlex.quote(body)}\n"
    )


def _password(path: Path) -> str:
    try:
        return places.read_secret(path)
    except FileNotFoundError:
        # Three groups that one can type from a terminal into a browser.
        letters = "abcdefghjkmnpqrstuvwxyz"
        chosen = "-".join("".join(secrets.choice(letters) for _ in range(5)) for _ in range(3))
    with transaction.atomic():
        for person in User.objects.filter(email__in=[each.email for each in PEOPLE]):
            accounts.set_password(person=person, password=chosen, by=BOOTSTRAP)
    places.write_secret(path, chosen)
    return chosen


def _door(path: Path) -> None:
    """What opens the door of the demo; only who reads it here, or where `up` prints it, has it."""
    if not path.exists():
        places.write_secret(path, secrets.token_urlsafe(32))


def _token(slug: str, name: str, path: Path) -> str:
    """An API key of the demo. It is shown once, so a lost file means a new key and the end of the old one."""
    workflow = Workflow.objects.get(slug=slug)
    try:
        token = places.read_secret(path)
    except FileNotFoundError:
        token = ""
    mine = ApiKey.objects.filter(workflow=workflow, name=name, revoked_at=None)
    if mine.filter(sha256=accounts.token_sha256(token)).exists():
        return token
    with transaction.atomic():
        for key in mine:
            accounts.revoke_key(key=key, by=BOOTSTRAP, reason="Its file is lost")
        _key, token = accounts.create_key(
            workflow=workflow, environment=Environment.objects.get(name="production"), name=name, by=BOOTSTRAP
        )
        places.write_secret(path, token)
    return token
