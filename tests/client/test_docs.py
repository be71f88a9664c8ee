"""The example of docs/sdk.md is run as it stands there."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from smallfirst.origins import origin_of
from tests.client.shop import Shop
from tests.gateway.world import ROOT, SECRET, new_id, wait


def example() -> str:
    """The program in the page."""
    (found,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "sdk.md").read_text(), re.DOTALL)
    return str(found)


def start(shop: Shop, tmp_path: Path, script: Mapping[str, object]) -> subprocess.Popen[str]:
    """The program, beside models that do as the script says."""
    shop.control.credential = shop.world.tokens["reviewed"]
    (tmp_path / "example.py").write_text(example())
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "SMALLFIRST_URL": shop.control.url,
        "SMALLFIRST_KEY": shop.world.tokens["reviewed"],
        "SMALLFIRST_ROOT_KEY": shop.world.signer.root_key,
        "SMALLFIRST_SDK_STATE": str(shop.state),
        "TEST_MODELS_KEY": SECRET,
        "SMALLFIRST_PROVIDER_SECRETS": f"TEST_MODELS_KEY@{origin_of(shop.world.models_url)}",
        "COMMENT": json.dumps({"nonce": new_id(), **script}),
    }
    return subprocess.Popen(
        [sys.executable, tmp_path / "example.py"], env=environment, stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("failing", [{"status": 500}, {"fault": "close"}, {"status": 400}])
def test_the_example_climbs_over_failures_to_a_sure_answer(
    shop: Shop, tmp_path: Path, failing: dict[str, object]
) -> None:
    script = {"small": failing, "small-2": failing, "mid": {"text": "negative", "logprob": -0.01}}
    program = start(shop, tmp_path, script)
    said, _ = program.communicate(timeout=60)
    assert (program.returncode, said) == (0, "negative\n")
    (decision,) = shop.stored()
    assert (decision["outcome"], decision["kept_model"], decision["step"]) == ("kept", "mid", "sentiment")


def test_the_example_asks_a_person_and_takes_his_answer(shop: Shop, tmp_path: Path) -> None:
    unsure = {"text": "negative", "logprob": -1.5}
    program = start(shop, tmp_path, {"small": unsure, "mid": unsure, "big": unsure})
    wait(lambda: len(shop.control.standings) == 1)
    (review,) = shop.control.standings
    shop.control.end_review(review, "answered", by="person", action="answer", answer={"label": "positive"})
    said, _ = program.communicate(timeout=60)
    assert (program.returncode, said) == (0, "positive\n")
    assert shop.control.delivered == [review]
