"""`./run manage`: where nothing runs it says so in words, and how to name another installation."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_command_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "SMALLFIRST_STATE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "manage.py", "audit_verify"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert f"No database runs for the installation in {tmp_path}." in done.stderr
    assert "SMALLFIRST_STATE" in done.stderr
    assert "Traceback" not in done.stderr
