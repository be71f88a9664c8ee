"""Who asks the control plane for documents: which process, on which host, of which version of this program."""

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import uuid_utils

# That of pyproject.toml, which this program may run without.
VERSION: Final = "0.1.0"
# Names of the headers of a poll; the version is in the User-Agent.
INSTANCE, HOST = "Smallfirst-Instance", "Smallfirst-Host"
BUNDLE, PROOF, REFUSED = "Smallfirst-Bundle", "Smallfirst-Proof", "Smallfirst-Refused"
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


def seen(*, serial: int | None, proof: str, refused: str) -> dict[str, str]:
    """What a poll says of the bundle in use: its serial, what its proof came to, why a newer one was refused, if so."""
    said = {BUNDLE: "" if serial is None else str(serial), PROOF: proof, REFUSED: refused}
    return {name: value for name, value in said.items() if value}


def asking(etag: str | None, seen: Mapping[str, str]) -> dict[str, str]:
    """The headers of a poll for a document of which the process has this one."""
    return {**seen, **({"If-None-Match": etag} if etag else {})}


def headers(*, program: str, name: str) -> dict[str, str]:
    """What a poll says of who asks: one line each, ASCII."""
    host = "".join(each for each in platform.node() if each.isascii() and each.isprintable())[:MOST_HOST]
    return {"User-Agent": f"{program}/{VERSION}", INSTANCE: name, HOST: host}
