"""The demo's applications as clients: what they ask, in which runs, when they hold back, and when they end."""

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from uuid import UUID, uuid4

import httpx2
import pytest

from demo.sentence import OTHER_SENTENCES
from demo.texts import Sample
from demo.traffic import FEEDBACK, LISTENING, OPEN_AT_MOST, SCREEN, Applications, Desk, Texts

KEYS = {FEEDBACK: "feedback-key", SCREEN: "screen-key", LISTENING: "listening-key"}


def samples(kind: str, label: str) -> list[Sample]:
    return [Sample(f"{kind}-{number}", f"{kind} {number}", label) for number in range(20)]


ASKED = Texts(
    comments=samples("comment", "negative"),
    posts=samples("post", "neutral"),
    honest=samples("honest", "benign"),
    attacks=samples("attack", "attack"),
)


class Gateway:
    """Answers as the gateway does, and keeps what it was asked. `says` maps a step to its answer; None is a review."""

    def __init__(self, says: dict[str, str | None] | None = None) -> None:
        self.says: dict[str, str | None] = {"language": "en", "sentiment": "positive", "reply": None} | (says or {})
        self.asked: list[dict[str, str]] = []
        self.fetched: list[tuple[str, str]] = []
        self.refuses: set[str] = set()
        self.answers = self.reviews = 200
        self.down = False

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        """One request."""
        if self.down:
            raise httpx2.ConnectError("nobody listens", request=request)
        key = request.headers["authorization"].removeprefix("Bearer ")
        if key in self.refuses:
            return httpx2.Response(401, json={"error": {"code": "invalid_api_key"}})
        if request.method == "GET":
            self.fetched.append((key, request.url.path))
            return httpx2.Response(self.reviews, json={"status": "answered"})
        body = json.loads(request.content)
        self.asked.append({"key": key, "model": body["model"], "text": body["messages"][0]["content"]})
        self.asked[-1] |= body["metadata"]
        if self.answers != 200:
            return httpx2.Response(self.answers, json={"error": {"code": "not_allowed"}})
        said = self.says.get(body["metadata"]["step"], "positive")
        if said is None:
            return httpx2.Response(422, json={"error": {"code": "review_required"}})
        return httpx2.Response(200, json={"choices": [{"message": {"content": said}}]})


def applications(
    gateway: Gateway,
    waiting: Callable[[str, str], int] = lambda _slug, _step: 0,
    unfetched: Callable[[str], list[UUID]] = lambda _slug: [],
    pause: Callable[[float], None] = lambda _seconds: None,
    keys: dict[str, str] = KEYS,
) -> Applications:
    client = httpx2.Client(base_url="http://gateway.test", transport=httpx2.MockTransport(gateway))
    return Applications(client, keys=keys, asked=ASKED, desk=Desk(waiting, unfetched), draw=Random(7), pause=pause)


def only(slug: str) -> dict[str, str]:
    return {slug: KEYS[slug]}


def test_each_application_asks_with_its_own_key_for_its_own_step() -> None:
    gateway = Gateway()
    asking = applications(gateway)
    visits = Counter(asking.visit() for _ in range(200))
    assert visits[FEEDBACK] > visits[LISTENING] > visits[SCREEN] > 20
    steps = {(each["key"], each["step"], each["model"]) for each in gateway.asked}
    assert steps == {
        ("feedback-key", "language", "auto"),
        ("feedback-key", "sentiment", "auto"),
        ("screen-key", "screen", "auto"),
        ("listening-key", "mention", "minilm"),
    }
    screened = [each["text"].split()[0] for each in gateway.asked if each["step"] == "screen"]
    assert 0 < screened.count("attack") < screened.count("honest") / 3


def test_a_complaint_is_one_run_of_three_steps() -> None:
    gateway = Gateway({"sentiment": "negative"})
    asking = applications(gateway, keys=only(FEEDBACK))
    asking.visit()
    asking.visit()
    assert [each["step"] for each in gateway.asked] == ["language", "sentiment", "reply"] * 2
    first, second = gateway.asked[:3], gateway.asked[3:]
    assert len({each["run"] for each in first}) == len({each["run"] for each in second}) == 1
    assert first[0]["run"] != second[0]["run"]
    assert first[0]["text"] == first[1]["text"]
    assert first[0]["text"] in first[2]["text"]


@pytest.mark.parametrize("label", ["positive", "neutral", None])
def test_what_is_no_complaint_gets_no_reply(label: str | None) -> None:
    gateway = Gateway({"sentiment": label})
    applications(gateway, keys=only(FEEDBACK)).visit()
    assert [each["step"] for each in gateway.asked] == ["language", "sentiment"]


@pytest.mark.parametrize(
    ("slug", "full", "asked"),
    [
        (FEEDBACK, "sentiment", ["language", "sentiment", "reply"]),
        (FEEDBACK, "reply", ["language", "sentiment"]),
        (SCREEN, "screen", []),
        (LISTENING, "sentiment", ["mention"]),
    ],
)
def test_it_holds_back_while_people_have_enough_to_decide(slug: str, full: str, asked: list[str]) -> None:
    gateway = Gateway({"sentiment": "negative"})

    def waiting(of: str, step: str) -> int:
        assert of == slug
        return OPEN_AT_MOST[step] if step == full else OPEN_AT_MOST[step] - 1

    applications(gateway, waiting, keys=only(slug)).visit()
    assert [each["step"] for each in gateway.asked] == asked
    if full == "sentiment" and slug == FEEDBACK:
        assert gateway.asked[1]["text"] in {text for text, model, _label in OTHER_SENTENCES if model != "person"}


def test_with_enough_to_decide_it_sends_what_models_answered_before() -> None:
    gateway = Gateway({"sentiment": "positive"})
    room = [True]
    asking = applications(
        gateway,
        lambda _slug, step: 0 if room[0] else OPEN_AT_MOST[step],
        keys=only(FEEDBACK),
    )
    asking.visit()
    gateway.says["sentiment"] = None
    asking.visit()
    known, unsure = gateway.asked[0]["text"], gateway.asked[2]["text"]
    assert known != unsure
    room[0] = False
    gateway.says["sentiment"] = "positive"
    for _ in range(5):
        asking.visit()
    sent = {each["text"] for each in gateway.asked[4:]}
    assert unsure not in sent
    assert sent <= {known, *(text for text, model, _label in OTHER_SENTENCES if model != "person")}
    assert len({each["run"] for each in gateway.asked[4:]}) == 5


def test_it_fetches_what_was_decided_with_the_key_that_asked() -> None:
    gateway, decided = Gateway(), [uuid4() for _ in range(6)]
    applications(gateway, unfetched=lambda _slug: decided, keys=only(SCREEN)).visit()
    # A few at a time, before it asks for more.
    assert gateway.fetched == [("screen-key", f"/v1/reviews/{each}") for each in decided[:4]]
    assert len(gateway.asked) == 1


def test_a_revoked_key_ends_its_application_and_the_last_one_all() -> None:
    gateway = Gateway()
    paused: list[float] = []

    def pause(seconds: float) -> None:
        paused.append(seconds)
        gateway.refuses = {"feedback-key"} if len(paused) < 100 else set(KEYS.values())

    applications(gateway, pause=pause).run()
    late = gateway.asked[40:]
    assert {each["key"] for each in late} == {"screen-key", "listening-key"}
    assert 100 <= len(paused) < 140


@pytest.mark.parametrize("code", [400, 403, 404, 409, 422, 429, 500, 502, 503])
def test_only_401_speaks_of_the_key(code: int) -> None:
    """Any other refusal is of one request: it has no answer, and the application asks on with what comes next."""
    gateway = Gateway({"sentiment": "negative"})
    asking = applications(gateway, keys=only(FEEDBACK))
    gateway.answers = code
    asking.visit()
    assert [each["step"] for each in gateway.asked] == ["language", "sentiment"]
    gateway.answers = 200
    asking.visit()
    assert [each["step"] for each in gateway.asked[2:]] == ["language", "sentiment", "reply"]


@pytest.mark.parametrize("code", [403, 404, 410, 503])
def test_a_review_that_was_not_answered_is_fetched_and_the_application_asks_on(code: int) -> None:
    gateway, ended = Gateway(), uuid4()
    gateway.reviews = code
    applications(gateway, unfetched=lambda _slug: [ended], keys=only(SCREEN)).visit()
    assert gateway.fetched == [("screen-key", f"/v1/reviews/{ended}")]
    assert [each["step"] for each in gateway.asked] == ["screen"]


def test_a_gateway_that_does_not_answer_is_asked_again_later() -> None:
    gateway = Gateway()
    asking = applications(gateway)
    gateway.down = True
    asking.visit()
    assert gateway.asked == []
    gateway.down = False
    asking.visit()
    assert gateway.asked
