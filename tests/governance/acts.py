"""The acts that the control plane writes entries of, as its source names them: those of machines too."""

import functools
import re
from pathlib import Path

import governance
import ledger
import routing

# Beside the word, under a constant's name, or chosen between two.
_WRITTEN = re.compile(r"""\b(?:action(?:, \w+)*|ACTION|ISSUE)\s*=[^=\n]*?"[a-z_]+\.[a-z_]+"[^\n]*""")


@functools.cache
def acts_written() -> frozenset[str]:
    """Each as `<noun>.<verb>`. An act that is written otherwise is missed here, and found where its verb is played."""
    folders = [Path(package.__path__[0]) for package in (governance, ledger, routing)]
    lines = (line for folder in folders for path in folder.glob("*.py") for line in _WRITTEN.findall(path.read_text()))
    return frozenset(act for line in lines for act in re.findall(r'"([a-z_]+\.[a-z_]+)"', line))
