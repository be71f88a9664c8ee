"""A key's purpose comes from the state alone: an evaluation measures one model, a trial is served like work."""

import openai
import pytest

from tests.gateway.conftest import Site
from tests.gateway.test_chat_answer import UNSURE, decision_of, events_of, said
from tests.gateway.world import ask


def test_an_evaluation_gets_what_the_named_model_says_and_how_sure_it_was(site: Site) -> None:
    script = {"mid": said("perhaps", UNSURE)}
    answer = site.process.post(site.token("reviewed:evaluation"), ask(script) | {"model": "mid"})

    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "perhaps"
    assert answer.json()["choices"][0]["logprobs"] is None
    assert answer.headers["x-smallfirst-model"] == "mid"
    assert float(answer.headers["x-smallfirst-confidence"]) == pytest.approx(0.4066, abs=0.0001)
    assert "x-smallfirst-review" not in answer.headers
    decision = decision_of(site, answer.headers["x-smallfirst-decision"])
    assert (decision["outcome"], decision["kept_model"], decision["facts"]["purpose"]) == ("kept", "mid", "evaluation")
    (event,) = events_of(site, decision["id"], 1)
    assert event["key"] != site.world.key("reviewed")
    assert event["kept"]


def test_an_evaluation_never_ends_at_a_person(site: Site) -> None:
    answer = site.process.post(
        site.token("always:evaluation"), ask({}, metadata={"step": "release"}) | {"model": "small"}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("model", ["auto", "patient"])
def test_an_evaluation_must_name_a_rung(site: Site, model: str) -> None:
    asked = len(site.models.asked)
    answer = site.process.post(site.token("refusing:evaluation"), ask({}) | {"model": model})
    assert (answer.status_code, answer.json()["error"]["clause"]) == (403, "pin")
    assert len(site.models.asked) == asked


def test_an_evaluation_is_refused_by_rules_as_work_is(site: Site) -> None:
    token = site.token("ruled:evaluation")
    answer = site.process.post(token, ask({}, metadata={"risk": "high"}) | {"model": "small"})
    assert (answer.status_code, answer.json()["error"]["clause"]) == (403, "rule")


def test_an_evaluation_key_sees_the_rungs(site: Site) -> None:
    names = {model.id for model in site.process.client(site.token("refusing:evaluation")).models.list()}
    assert names == {"small", "mid", "big"}


def test_a_trial_is_decided_as_work_is_and_says_so(site: Site) -> None:
    refused = site.process.post(site.token("refusing:trial"), ask({}) | {"model": "big"})
    assert (refused.status_code, refused.json()["error"]["clause"]) == (403, "pin")
    answer = site.process.post(site.token("refusing:trial"), ask({}))
    assert answer.status_code == 200
    assert decision_of(site, answer.headers["x-smallfirst-decision"])["facts"]["purpose"] == "trial"


def test_no_caller_says_what_his_key_is_for(site: Site) -> None:
    request = ask({}, metadata={"purpose": "evaluation"}) | {"purpose": "evaluation", "model": "big"}
    refused = site.process.post(site.token("refusing"), request)
    assert (refused.status_code, refused.json()["error"]["clause"]) == (403, "pin")
    facts = decision_of(site, refused.headers["x-smallfirst-decision"])["facts"]
    assert "purpose" not in facts
    assert facts["tags"] == [["purpose", "evaluation"]]


def test_the_official_client_reads_the_confidence(site: Site) -> None:
    client: openai.OpenAI = site.process.client(site.token("reviewed:evaluation"))
    request = ask({"small": said("positive", -1e-7)}) | {"model": "small"}
    raw = client.chat.completions.with_raw_response.create(**request)
    assert raw.headers["x-smallfirst-confidence"] == "0.999999900000005"
    unknown = client.chat.completions.with_raw_response.create(**ask({"small": said("x")}) | {"model": "small"})
    assert "x-smallfirst-confidence" not in unknown.headers
