"""What the SDK's tests play with: clients of a workflow's key, and programs of their own that hold one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from smallfirst import Smallfirst
from smallfirst.deciding import Deciding
from smallfirst.records import Opened, Standing
from tests.gateway.world import ROOT, Control, World

TEXT = [{"role": "user", "content": "Is this lamp any good?"}]
# The clients that a program of its own is given to begin with.
HEAD = """
import json, os, sys, threading, time
from smallfirst import Smallfirst
given = json.loads(sys.argv[1])
sf = Smallfirst(given["url"], given["key"], root_key=given["root_key"], state_dir=given["state"],
                bundle_seconds=0.1, state_seconds=0.1, raises=True)

def ask_once(sf, **said):
    d = sf.decide(step="topic", **said)
    sf.report(d, usage={"input_tokens": 3, "output_tokens": 1}, outcome="ok")
    return d.id
"""


class Shop:
    """Where an application runs: a control plane that knows its key, and a state directory."""

    def __init__(self, control: Control, world: World, state: Path) -> None:
        self.control, self.world, self.state = control, world, state
        self._made: list[Smallfirst] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._made:
            client.close(1)

    def client(self, slug: str = "open", **options: Any) -> Smallfirst:
        """A client for a workflow's key, which the control plane now expects."""
        self.control.credential = self.world.tokens[slug]
        client = Smallfirst(
            self.control.url,
            self.world.tokens[slug],
            **{
                "root_key": self.world.signer.root_key,
                "state_dir": self.state,
                "bundle_seconds": 0.05,
                "state_seconds": 0.05,
                "raises": True,
                **options,
            },
        )
        self._made.append(client)
        return client

    def program(self, body: str, slug: str = "open") -> subprocess.Popen[str]:
        """Start a program of its own that has a client `sf`; what it prints is to be read."""
        self.control.credential = self.world.tokens[slug]
        given = {
            "url": self.control.url,
            "key": self.world.tokens[slug],
            "root_key": self.world.signer.root_key,
            "state": str(self.state),
        }
        return subprocess.Popen(
            [sys.executable, "-c", HEAD + body, json.dumps(given)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, body: str, slug: str = "open") -> list[str]:
        """The lines that such a program prints until it ends well."""
        program = self.program(body, slug)
        said, _ = program.communicate(timeout=60)
        assert program.returncode == 0
        return said.splitlines()

    def stored(self, kind: str = "decisions") -> list[dict[str, Any]]:
        """What the control plane has: decisions, events, reviews."""
        return self.control.of_kind(kind)


def open_review(client: Smallfirst, d: Deciding, **said: Any) -> Opened:
    """Ask a person, which must go well."""
    review = client.ask_person(d, **said)
    assert review is not None
    return review


def wait_for(client: Smallfirst, review: Opened | str, timeout: float = 20) -> Standing:
    """Wait for a review, which must end."""
    standing = client.wait(review, timeout)
    assert standing is not None
    return standing
