"""A request that needs a person: refused with an address to poll, the same each time, until its outcome is there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.gateway.conftest import Site
from tests.gateway.world import Control, Models, Process, World, ask, opened, wait

UNSURE = {model: {"text": "positive", "logprob": -0.9} for model in ("small", "mid", "big")}


def review_of(answer: httpx2.Response) -> dict[str, Any]:
    """What a refusal says of its review."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "review_required"), answer.text
    found: dict[str, Any] = answer.json()["error"]["review"]
    return found


def test_doubt_of_every_model_opens_a_review(site: Site) -> None:
    request = ask(UNSURE, run="r-9", metadata={"step": "sentiment"})
    extension = {
        "review": {
            "title": "Complaint of Mrs Example",
            "url": "https://shop.example/case/9",
            "context": [
                {"label": "Order", "table": {"columns": ["item", "price"], "rows": [["lamp", 20.5]]}},
                {"label": "Mails", "thread": [{"author": "Customer", "text": "Where is it?"}]},
            ],
            "answer": {"type": "label", "options": ["positive", "negative", "mixed"]},
        }
    }
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        site.process.client(site.token("reviewed")).chat.completions.create(
            **request, extra_body={"smallfirst": extension}
        )
    headers = caught.value.response.headers
    told = caught.value.response.json()["error"]["review"]
    assert caught.value.code == "review_required"
    assert headers["x-smallfirst-review"] == told["id"]
    assert headers["x-smallfirst-attempts"] == "3"
    assert headers["x-smallfirst-cost"] == "0.00036"
    assert "x-smallfirst-model" not in headers
    assert told["url"] == f"{site.process.url}/v1/reviews/{told['id']}"
    assert told["respond_by"] < told["expires_at"]

    wait(lambda: told["id"] in site.control.stored, "the review did not come")
    review = site.control.stored[told["id"]]
    assert review["decision"] == headers["x-smallfirst-decision"]
    assert (review["title"], review["role"], review["run"]) == ("Sentiment", "reviewer", "r-9")
    assert review["answer"]["options"] == ["positive", "negative", "mixed"]
    assert review["reason"]["code"] == "unsure"
    wait(lambda: review["decision"] in site.control.stored, "the decision did not come")
    decision = site.control.stored[review["decision"]]
    assert (decision["outcome"], decision["review"], decision["kept_model"]) == ("person", told["id"], None)
    shown = opened(site.world.signer, review)
    assert shown["messages"] == request["messages"]
    assert [(one["model"], one["label"], one["cost"]) for one in shown["attempts"]] == [
        ("small", "positive", "0.00012"),
        ("mid", "positive", "0.00012"),
        ("big", "positive", "0.00012"),
    ]
    assert shown["attempts"][0]["confidence"] == pytest.approx(0.4066, abs=0.001)
    assert (shown["title"], shown["url"]) == ("Complaint of Mrs Example", "https://shop.example/case/9")
    assert [context["label"] for context in shown["context"]] == ["Order", "Mails"]
    for text in (b"Mrs Example", b"shop.example", b"lamp", b"nonce"):
        assert text not in site.process.files()


def test_the_same_request_is_the_same_review_and_asks_no_model_again(site: Site) -> None:
    token, request = site.token("reviewed"), ask(UNSURE, run="one")
    first = site.process.post(token, request)
    asked = len(site.models.asked)
    again = request | {"metadata": {"run": "two"}, "stream": True, "user": "somebody"}
    second = site.process.post(token, dict(reversed(again.items())))
    assert review_of(second) == review_of(first)
    assert second.headers["x-smallfirst-decision"] == first.headers["x-smallfirst-decision"]
    assert second.headers["x-smallfirst-review"] == review_of(first)["id"]
    assert len(site.models.asked) == asked
    # One word more is another request.
    other = site.process.post(token, request | {"temperature": 0.5})
    assert review_of(other)["id"] != review_of(first)["id"]
    assert len(site.models.asked) == asked + 3


@pytest.mark.parametrize("stream", [True, False])
def test_a_persons_answer_reaches_the_application(site: Site, stream: bool) -> None:
    token, request = site.token("reviewed"), ask(UNSURE, stream=stream)
    review = review_of(site.process.post(token, request))
    path = f"/v1/reviews/{review['id']}"
    waiting = site.process.get(token, path)
    assert (waiting.status_code, waiting.json()["status"], waiting.json()["outcome"]) == (200, "open", None)
    assert waiting.json()["completion"] is None
    assert waiting.headers["retry-after"] == "1"
    assert review["id"] not in site.control.delivered

    wait(lambda: review["id"] in site.control.standings, "the review did not come")
    site.control.end_review(review["id"], "answered", by="person", action="answer", answer={"label": "negative"})
    wait(lambda: site.process.get(token, path).json()["status"] == "answered", "the outcome did not come")
    ended = site.process.get(token, path).json()
    assert ended["outcome"]["answer"] == {"label": "negative"}
    assert ended["completion"]["choices"][0]["message"]["content"] == "negative"

    client, asked = site.process.client(token), len(site.models.asked)
    raw = client.chat.completions.with_raw_response.create(**request)
    if stream:
        chunks = list(raw.parse())
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "negative"
        assert {chunk.model for chunk in chunks} == {"person"}
    else:
        completion = raw.parse()
        assert (completion.model, completion.choices[0].message.content) == ("person", "negative")
        assert completion.choices[0].finish_reason == "stop"
    assert (raw.headers["x-smallfirst-model"], raw.headers["x-smallfirst-tier"]) == ("person", "person")
    assert raw.headers["x-smallfirst-review"] == review["id"]
    assert len(site.models.asked) == asked
    wait(lambda: site.control.delivered.count(review["id"]) == 1, "nobody said that it was delivered")


@pytest.mark.parametrize(
    ("ended", "code"),
    [
        (("answered", {"by": "person", "action": "refuse"}), "review_refused"),
        (("expired", {"by": "expiry", "action": "refuse"}), "review_expired"),
        (("cancelled", {}), "review_cancelled"),
    ],
)
def test_an_end_without_an_answer_is_an_error(site: Site, ended: tuple[str, dict[str, str]], code: str) -> None:
    token, request = site.token("reviewed"), ask(UNSURE)
    review = review_of(site.process.post(token, request))
    wait(lambda: review["id"] in site.control.standings, "the review did not come")
    site.control.end_review(review["id"], ended[0], **ended[1])
    wait(lambda: site.process.post(token, request).status_code == 403, "the outcome did not come")
    error = site.process.post(token, request).json()["error"]
    assert (error["type"], error["code"]) == ("not_allowed", code)
    assert site.process.get(token, f"/v1/reviews/{review['id']}").json()["completion"] is None


def test_the_safe_default_is_no_persons_answer(site: Site) -> None:
    token, request = site.token("defaulting"), ask(UNSURE)
    review = review_of(site.process.post(token, request))
    wait(lambda: review["id"] in site.control.standings, "the review did not come")
    assert site.control.stored[review["id"]]["on_expiry"] == {"action": "answer", "answer": "neutral"}
    site.control.end_review(review["id"], "expired", by="expiry", action="answer", answer={"text": "neutral"})
    wait(lambda: site.process.post(token, request).status_code == 200, "the outcome did not come")
    answer = site.process.post(token, request)
    assert answer.json()["choices"][0]["message"]["content"] == "neutral"
    assert answer.json()["model"] == "safe-default"
    assert "x-smallfirst-tier" not in answer.headers


def test_a_step_that_a_person_always_releases(site: Site) -> None:
    request = ask({"small": {"text": "Dear customer"}}, metadata={"step": "release"}, stream=True)
    review = review_of(site.process.post(site.token("always"), request))
    wait(lambda: review["id"] in site.control.stored, "the review did not come")
    shown = opened(site.world.signer, site.control.stored[review["id"]])
    assert shown["attempts"][0]["text"] == "Dear customer"


def test_another_workflows_key_sees_nothing(site: Site) -> None:
    token, request = site.token("reviewed"), ask(UNSURE)
    review = review_of(site.process.post(token, request))
    assert site.process.get(site.token("gated"), f"/v1/reviews/{review['id']}").status_code == 404
    assert site.process.get("sf_nobody", f"/v1/reviews/{review['id']}").status_code == 401
    # The same words of another workflow are another review.
    other = review_of(site.process.post(site.token("defaulting"), request))
    assert other["id"] != review["id"]


def test_any_gateway_tells_of_a_review_and_then_asks_no_model_for_it(
    site: Site, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    token, request = site.token("reviewed"), ask(UNSURE)
    review = review_of(site.process.post(token, request))
    wait(lambda: review["id"] in site.control.standings, "the review did not come")
    process = Process(
        control=site.control.url,
        world=site.world,
        state=tmp_path / "gateway",
        port=free_port(),
    )
    with process as other:
        other.start()
        path = f"/v1/reviews/{review['id']}"
        assert other.get(site.token("gated"), path).status_code == 404
        told = other.get(token, path)
        assert (told.status_code, told.json()["status"]) == (200, "open")
        asked = len(site.models.asked)
        assert review_of(other.post(token, request))["id"] == review["id"]
        site.control.end_review(review["id"], "answered", by="person", action="answer", answer={"label": "negative"})
        wait(lambda: other.post(token, request).status_code == 200, "the outcome did not come")
        assert other.get(token, path).json()["outcome"]["answer"] == {"label": "negative"}
        assert len(site.models.asked) == asked
        wait(lambda: site.control.delivered.count(review["id"]) == 1, "nobody said that it was delivered")


def test_fields_are_told_as_json(site: Site) -> None:
    token, request = site.token("reviewed"), ask(UNSURE)
    review = review_of(site.process.post(token, request))
    wait(lambda: review["id"] in site.control.standings, "the review did not come")
    fields = {"label": "x", "amount": 12.5}
    site.control.end_review(review["id"], "answered", by="person", action="answer", answer={"fields": fields})
    wait(lambda: site.process.post(token, request).status_code == 200, "the outcome did not come")
    assert json.loads(site.process.post(token, request).json()["choices"][0]["message"]["content"]) == fields


def test_what_no_person_could_be_shown_is_refused_before_it_costs(site: Site) -> None:
    asked = len(site.models.asked)
    answer = site.process.post(site.token("reviewed"), ask("x" * 1_100_000))
    assert (answer.status_code, answer.json()["error"]["param"]) == (413, "messages")
    assert "1000000 bytes" in answer.json()["error"]["message"]
    assert len(site.models.asked) == asked


def test_a_model_without_probabilities_is_not_sure(site: Site) -> None:
    request = ask({"mute": {"text": "positive", "logprob": -0.01}})
    review_of(site.process.post(site.token("mute"), request))
    sent = next(body for body in reversed(site.models.asked) if body["messages"] == request["messages"])
    assert "logprobs" not in sent


def test_a_review_outlives_its_gateway_and_the_control_plane(
    gateway: Process, control: Control, world: World, models: Models
) -> None:
    control.down = True
    token, request = world.tokens["reviewed"], ask(UNSURE)
    review = review_of(gateway.post(token, request))
    gateway.kill()
    gateway.start()
    asked = len(models.asked)
    assert review_of(gateway.post(token, request)) == review
    assert gateway.get(token, f"/v1/reviews/{review['id']}").json()["status"] == "open"
    assert len(models.asked) == asked
    control.down = False
    wait(lambda: review["id"] in control.standings, "the review did not come")
    control.end_review(review["id"], "answered", by="person", action="answer", answer={"text": "Yes."})
    wait(lambda: gateway.post(token, request).status_code == 200, "the outcome did not come")
    assert gateway.post(token, request).json()["choices"][0]["message"]["content"] == "Yes."


def test_an_outcome_that_was_fetched_ahead_survives_the_control_plane(
    control: Control, world: World, tmp_path: Path, free_port: Callable[[], int]
) -> None:
    """Nobody asks between the person's answer and the failure, and the application still gets it."""
    control.publish(world)
    state = tmp_path / "gateway"
    environ = {"SMALLFIRST_GATEWAY_REVIEW_SECONDS": "0.05"}
    made = Process(control=control.url, world=world, state=state, port=free_port(), **environ)
    with made as gateway:
        gateway.start()
        request = ask(UNSURE)
        review = review_of(gateway.post(world.tokens["reviewed"], request))
        wait(lambda: review["id"] in control.standings, "the review did not come")
        control.end_review(review["id"], "answered", by="person", action="answer", answer={"text": "Yes."})
        wait(lambda: gateway.health()["open_reviews"] == 0, "the outcome was not fetched")
        control.down = True
        assert gateway.post(world.tokens["reviewed"], request).json()["model"] == "person"


def test_a_refused_review_can_be_opened_again(gateway: Process, control: Control, world: World) -> None:
    control.refuse.add("held-back")
    token = world.tokens["reviewed"]
    request = ask(UNSURE, metadata={"step": "held-back"})
    review = review_of(gateway.post(token, request))
    aside = gateway.state / "spool" / "refused" / f"review-{review['id']}.json"
    wait(aside.exists, "the refused review is not aside")
    assert json.loads(aside.read_text())["message"] == "not known here"
    wait(lambda: gateway.get(token, f"/v1/reviews/{review['id']}").status_code == 404, "it still waits")
    control.refuse.clear()
    assert review_of(gateway.post(token, request))["id"] == review["id"]
    wait(lambda: review["id"] in control.standings, "the review did not come")


def test_a_review_is_told_to_its_key_and_once_that_is_revoked_to_those_of_its_workflow(
    gateway: Process, control: Control, world: World
) -> None:
    first, second = world.tokens["reviewed"], world.add_key("reviewed")
    world.state_serial += 1
    control.publish(world)
    wait(lambda: gateway.get(second, "/v1/models").status_code == 200, "the key did not come")
    path = f"/v1/reviews/{review_of(gateway.post(first, ask(UNSURE)))['id']}"
    assert gateway.get(first, path).status_code == 200
    assert gateway.get(second, path).status_code == 404
    world.keys = [key for key in world.keys if key["id"] != world.key("reviewed")]
    world.state_serial += 1
    control.publish(world)
    wait(lambda: gateway.get(first, path).status_code == 401, "the key is not revoked")
    assert gateway.get(second, path).json()["status"] == "open"
    assert gateway.get(world.tokens["gated"], path).status_code == 404
