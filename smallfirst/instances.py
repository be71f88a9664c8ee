"""Who asks the control plane for documents: which process, on which host, of which version of this program."""

import platform
import re
from pathlib import Path
from typing import Final

import uuid_utils

# That of pyproject.toml, which this program may run without.
VERSION: Final = "0.1.0"
# Names of the headers of a poll; the version is in the User-Agent.
INSTANCE, HOST, PROOF = "Smallfirst-Instance", "Smallfirst-Host", "Smallfirst-Proof"
NAME: Final = re.compile(r"\A[0-9a-f-]{36}\Z")
MOST_HOST: Final = 120


def kept_name(directory: Path) -> str:
    """The name of the program that keeps its state here, the same after every restart.

    Raises OSError where the directory holds none and cannot be written.
    """
    file = directory / "instance"
    try:
        name = file.read_text(encoding="ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        name = ""
    if not NAME.match(name):
        name = new_name()
        file.write_text(f"{name}\n", encoding="ascii")
    return name


def new_name() -> str:
    """A name for a process that keeps none."""
    return str(uuid_utils.uuid7())


def seen(*, etag: str | None, proof: str | None) -> dict[str, str]:
    """What a poll says of what the process has: the newest document's ETag, and what its proof comes to."""
    said = {"If-None-Match": etag, PROOF: proof}
    return {name: value for name, value in said.items() if value}


def headers(*, program: str, name: str) -> dict[str, str]:
    """What a poll says of who asks: one line each, ASCII."""
    host = "".join(each for each in platform.node() if each.isascii() and each.isprintable())[:MOST_HOST]
    return {"User-Agent": f"{program}/{VERSION}", INSTANCE: name, HOST: host}
