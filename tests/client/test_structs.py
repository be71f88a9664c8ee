"""What is decoded in threads is prepared before there are any: two threads that decode a type first end the process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# msgspec reads a class's annotations through this function of its own, once, when it first needs its fields.
LATE = """
import sys, msgspec
late = []
def seen(frame, event, _):
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        late.append(str(frame.f_locals.get("obj")))
kinds, waiting = [], msgspec.Struct.__subclasses__()
while waiting:
    kinds.append(waiting.pop())
    waiting += kinds[-1].__subclasses__()
class Unknown(msgspec.Struct):
    name: str = ""
sys.setprofile(seen)
for kind in [*kinds, Unknown]:
    try:
        msgspec.json.Decoder(kind)
    except TypeError:
        late = [name for name in late if name != str(kind)]
sys.setprofile(None)
print(len(kinds), *late, sep="\\n")
"""


@pytest.mark.parametrize(
    ("served", "kinds"), [("smallfirst.client", 60), ("config.wsgi", 150)], ids=["the SDK", "the web server"]
)
def test_no_struct_waits_for_its_first_decoding(served: str, kinds: int, tmp_path: Path) -> None:
    """None but the one that was defined afterwards, which shows that a late one would be found."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import {served}\n{LATE}"],
        cwd=ROOT,
        env=os.environ | {"SMALLFIRST_STATE": str(tmp_path), "SMALLFIRST_DEMO": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found, *late = run.stdout.splitlines()
    assert int(found) >= kinds
    assert late == ["<class '__main__.Unknown'>"]
