"""Runs a benchmark as `./run bench` does and reads the lines it ends with."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KEYS = {"measure", "value", "unit", "goal", "met", "peer", "peer_value"}


def bench(state: Path, *words: str) -> dict[str, dict[str, Any]]:
    """Its measures by name; fails unless it ends well and its last lines are JSON, each of them whole."""
    ours = ("SMALLFIRST_", "DATABASE_URL", "MIGRATION_DATABASE_URL", "BROKER_URL", "DJANGO_SETTINGS_MODULE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *words],
        cwd=ROOT,
        env=environment | {"SMALLFIRST_STATE": str(state), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.stdout.splitlines()[-len(found) :] == [line for line in done.stdout.splitlines() if line[:1] == "{"]
    assert found
    for measure in found:
        assert set(measure) == KEYS
        assert (measure["met"] is None) == (measure["goal"] is None or measure["value"] is None)
    return {measure["measure"]: measure for measure in found}
