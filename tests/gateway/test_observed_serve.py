"""A workflow whose policy is only watched: served as asked, streamed at once, and what the policy would do recorded."""

from typing import Any

import msgspec
import pytest

from smallfirst import engine
from tests.gateway.conftest import Site
from tests.gateway.test_chat_answer import UNSURE, decision_of, events_of, said
from tests.gateway.test_review_open import review_of
from tests.gateway.world import Control, Process, World, ask, wait

LADDER = ["small", "mid", "big"]


def named(script: dict[str, Any] | str, model: str = "big", **more: Any) -> dict[str, Any]:
    """A request that names its model, as before anybody watched it."""
    return ask(script, **more) | {"model": model}


def test_the_named_model_answers_whatever_the_policy_thinks_of_it(site: Site) -> None:
    client = site.process.client(site.token("watched"))
    raw = client.chat.completions.with_raw_response.create(**named({"big": said("perhaps", UNSURE)}))

    answer = raw.parse()
    assert (answer.model, answer.choices[0].message.content) == ("big", "perhaps")
    assert raw.headers["x-smallfirst-model"] == "big"
    assert raw.headers["x-smallfirst-tier"] == "frontier"
    assert raw.headers["x-smallfirst-policy"] == "7"
    assert raw.headers["x-smallfirst-attempts"] == "1"
    decision = decision_of(site, raw.headers["x-smallfirst-decision"])
    assert (decision["outcome"], decision["kept_model"]) == ("kept", "big")
    assert decision["observed"] == {"model": "small", "tier": "small", "ladder": LADDER, "clause": None}
    (event,) = events_of(site, decision["id"], 1)
    assert (event["model"], event["model_requested"], event["kept"]) == ("big", "big", True)


def test_it_streams_while_the_model_still_speaks(site: Site) -> None:
    client = site.process.client(site.token("watched"))
    request = named({"big": {"text": "one two three", "break_after": 1, "break_with": "hang"}})
    with client.chat.completions.with_streaming_response.create(stream=True, **request) as raw:
        first = next(iter(raw.parse()))
        decision = raw.headers["x-smallfirst-decision"]
    assert first.choices[0].delta.content == "one"
    assert decision_of(site, decision)["observed"]["ladder"] == LADDER


def test_a_rule_that_would_refuse_is_recorded_and_does_not_act(site: Site) -> None:
    answer = site.process.post(site.token("watched"), named({}, metadata={"risk": "high"}))
    assert answer.status_code == 200
    observed = decision_of(site, answer.headers["x-smallfirst-decision"])["observed"]
    assert observed == {"model": None, "tier": None, "ladder": [], "clause": "rule"}


def test_the_models_clearance_holds(site: Site) -> None:
    asked = len(site.models.asked)
    answer = site.process.post(site.token("watched"), named({}, metadata={"data_class": "confidential"}))
    assert (answer.status_code, answer.json()["error"]["clause"]) == (403, "data_class")
    assert decision_of(site, answer.headers["x-smallfirst-decision"])["observed"]["clause"] == "data_class"
    assert len(site.models.asked) == asked


def test_auto_leaves_the_choice_to_the_policy(site: Site) -> None:
    script = {"small": said("positive", UNSURE), "mid": said("positive", -0.01)}
    answer = site.process.post(site.token("watched"), ask(script))
    assert answer.json()["model"] == "mid"
    assert "observed" not in decision_of(site, answer.headers["x-smallfirst-decision"])


def test_a_name_that_nobody_registered_is_refused_as_ever(site: Site) -> None:
    answer = site.process.post(site.token("watched"), named({}, "nobody"))
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_all_models_may_be_named(site: Site) -> None:
    names = {model.id for model in site.process.client(site.token("watched")).models.list()}
    assert names == {"auto", "small", "mid", "big", "mute", "patient", "free"}


def test_the_uploaded_decision_replays_under_the_snapshot_it_names(site: Site) -> None:
    answer = site.process.post(site.token("watched"), named({}))
    sent = decision_of(site, answer.headers["x-smallfirst-decision"])
    snapshot = engine.read_snapshot(site.world.snapshot().encode())
    decision = msgspec.convert(sent, engine.Decision)
    assert engine.encode(engine.replay(decision, snapshot)) == engine.encode(decision)


@pytest.mark.parametrize("model", ["big", "auto"])
def test_a_review_from_before_answers_only_what_is_left_to_the_policy(
    control: Control, world: World, gateway: Process, model: str
) -> None:
    unsure = {name: said("positive", UNSURE) for name in LADDER}
    request = ask(unsure) | {"model": model}
    review_of(gateway.post(world.tokens["reviewed"], request))
    row = next(row for row in world.workflows if row["slug"] == "reviewed")
    row["mode"] = "observe"
    world.bundle_serial += 1
    control.publish(world)
    wait(lambda: gateway.health()["bundle"]["serial"] == world.bundle_serial, "the bundle did not come")

    again = gateway.post(world.tokens["reviewed"], request)

    assert again.status_code == (200 if model == "big" else 422)
