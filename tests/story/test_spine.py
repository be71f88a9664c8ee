"""The whole story on the real services: an unsure request, a person's answer, the ledger, a change."""

import csv
import io
import itertools
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import openai
import pytest
from playwright.sync_api import Browser, FilePayload, Page, Route, expect

from config import state as places
from demo.sentence import DEMO_LABEL, DEMO_SENTENCE, LOWERED_KEEP_FROM, OTHER_SENTENCES

# One after the other on one site (tests/conftest.py TOGETHER): each minute goes on where the one before ended.
pytestmark = [pytest.mark.browser, pytest.mark.processes]

ROOT = Path(__file__).parents[2]
WORKFLOW = "customer-feedback"
# What the sentences truly say that no model is sure of.
TRUE = {DEMO_SENTENCE: DEMO_LABEL, OTHER_SENTENCES[6][0]: "negative", OTHER_SENTENCES[7][0]: "positive"}


@dataclass(frozen=True)
class Site:
    """A running installation as a visitor of `./run up` has it."""

    pages: str
    gateway: str
    state: Path
    password: str
    printed: str

    def client(self) -> openai.OpenAI:
        """The official client with the demo's key."""
        key = places.read_secret(self.state / "demo-key")
        return openai.OpenAI(base_url=f"{self.gateway}/v1", api_key=key, max_retries=0, timeout=60)


@pytest.fixture(scope="module")
def site(free_port: Callable[[], int], state: Path) -> Iterator[Site]:
    """`up`, until the last of these tests has ended."""
    pages, gateway = free_port(), free_port()
    command = [sys.executable, "-m", "config.up", "--port", str(pages), "--gateway-port", str(gateway)]
    kept = {"PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"}
    environment = {
        name: value for name, value in os.environ.items() if name in kept or name.startswith(("PIP_", "UV_"))
    }
    environment |= {"SMALLFIRST_STATE": str(state), "SMALLFIRST_DEMO_TRAFFIC": "0", "PYTHONPATH": str(ROOT)}
    log = state / "up.out"
    with log.open("w") as out:
        up = subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT, cwd=ROOT)
    try:
        _wait(lambda: "Ctrl-C stops everything" in log.read_text() or up.poll() is not None, 300)
        assert up.poll() is None, log.read_text()
        yield Site(
            f"http://127.0.0.1:{pages}",
            f"http://127.0.0.1:{gateway}",
            state,
            places.read_secret(state / "demo-password"),
            log.read_text(),
        )
    finally:
        up.terminate()
        assert up.wait(60) == 0, log.read_text()


@pytest.fixture(autouse=True)
def told(request: pytest.FixtureRequest, site: Site, browser: Browser) -> Iterator[None]:
    """Where a test fails: what every open page shows, and what the installation said last."""
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        for page in (page for context in browser.contexts for page in context.pages):
            sys.stdout.write(f"{page.url}\n{page.locator('main').inner_text()[:1500]}\n")
        sys.stdout.write((site.state / "up.out").read_text()[-4000:])


def _wait(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.2)


def _person(browser: Browser, site: Site, name: str) -> Page:
    page = browser.new_context(base_url=site.pages).new_page()
    page.goto("/sign-in/")
    page.get_by_label("E-mail").fill(f"{name}@harbour-vale.example")
    page.get_by_label("Password").fill(site.password)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("on you")
    return page


def _ask(site: Site, text: str) -> openai.APIStatusError | openai.types.chat.ChatCompletion:
    try:
        return site.client().chat.completions.create(
            model="auto", messages=[{"role": "user", "content": text}], metadata={"step": "sentiment"}
        )
    except openai.APIStatusError as error:
        return error


def test_a_request_no_model_is_sure_of_is_answered_by_a_person_and_the_policy_is_changed(
    site: Site, browser: Browser
) -> None:
    # The printed line works as it stands.
    curl = re.search(r"^\s*curl .*?(?=\n\n)", site.printed, re.MULTILINE | re.DOTALL)
    assert curl, site.printed
    said = subprocess.run(["sh", "-c", curl.group()], capture_output=True, text=True, timeout=60, check=True).stdout
    assert json.loads(said[said.index("{") :])["error"]["code"] == "review_required"

    # The client is told that a person is needed, with the address to poll, and the same request is the same review.
    refused = _ask(site, DEMO_SENTENCE)
    assert isinstance(refused, openai.APIStatusError)
    assert (refused.status_code, refused.code) == (422, "review_required")
    assert refused.response.headers["x-smallfirst-attempts"] in ("0", "3")
    review = refused.response.headers["x-smallfirst-review"]
    again = _ask(site, DEMO_SENTENCE)
    assert isinstance(again, openai.APIStatusError)
    assert again.response.headers["x-smallfirst-review"] == review
    body = refused.response.json()["error"]
    key = {"authorization": f"Bearer {places.read_secret(site.state / 'demo-key')}"}
    assert httpx2.get(body["review"]["url"], headers=key).json()["status"] == "open"

    # The reviewer takes it, sees why it is here, answers with one key.
    reviewer = _person(browser, site, "reviewer")
    _wait(lambda: _has_case(reviewer), 20)
    reviewer.get_by_role("button", name="Take the next").click()
    expect(reviewer.locator("main")).to_contain_text(DEMO_SENTENCE)
    expect(reviewer.locator("main")).to_contain_text("Why you see this")
    for model in ("lexicon", "tfidf", "minilm"):
        expect(reviewer.locator("main")).to_contain_text(model)
    reviewer.get_by_role("button", name="negative").click()
    expect(reviewer.locator("main")).to_contain_text("Answered")

    # The client polls and has the answer; sent again, the request is answered.
    _wait(lambda: httpx2.get(body["review"]["url"], headers=key).json()["status"] == "answered", 20)
    assert httpx2.get(body["review"]["url"], headers=key).json()["outcome"]["answer"] == {"label": "negative"}
    answered = _ask(site, DEMO_SENTENCE)
    assert not isinstance(answered, openai.APIStatusError)
    assert answered.choices[0].message.content == "negative"
    assert answered.model == "person"

    # The three attempts stand in the ledger once, with tokens, price and workflow.
    finance = _person(browser, site, "finance")
    _wait(lambda: _attempts(finance) == 3, 30)
    expect(finance.locator("main")).to_contain_text("Customer feedback")

    # Labelled samples are put to each model of the ladder. Some the policy answers, the others go to a person.
    owner = _person(browser, site, "owner")
    _evaluate(owner)
    expect(owner.get_by_role("row", name="The policy as a whole")).to_contain_text("100 % (61 to 100)")

    # The lead lowers the threshold, and reads what it would have done to the samples.
    lead = _person(browser, site, "lead")
    lead.goto(f"/workflows/{WORKFLOW}/change/")
    lead.get_by_label("What changes, in one line").fill("Keep answers from a lower confidence")
    lead.get_by_label("sentiment: keep an answer from confidence").fill(str(LOWERED_KEEP_FROM))
    lead.get_by_role("button", name="Submit for approval").click()
    expect(lead.locator("main")).to_contain_text("0 of 1 vote; waits on")
    expect(lead.get_by_role("button", name="Approve")).to_have_count(0)
    expect(lead.locator("#evaluated")).to_contain_text("on 9 samples evaluated")
    expect(lead.locator("#evaluated")).to_contain_text("models would answer 2 samples where a person decides now")
    expect(lead.locator("#evaluated").get_by_role("row", name="sent to a person")).to_contain_text("22 points less")
    # What it would have done with the requests that were asked is simulated by itself meanwhile.
    expect(lead.locator("#simulated")).to_contain_text("It holds until", timeout=30_000)

    # Another person reads the same, and approves exactly that content.
    owner.goto(lead.url.removeprefix(site.pages))
    expect(owner.get_by_role("row", name="right, where a person decides now")).to_contain_text("50 % (9 to 91)")
    owner.get_by_role("button", name="Approve").click()
    expect(owner.locator("main")).to_contain_text("is live")

    # Within seconds the same words stop one rung earlier. Each time with one space more: a request that was sent before
    # the gateway took up the policy is a review, and stays that one.
    spaces = itertools.count(1)

    def stops_earlier() -> bool:
        return not isinstance(_ask(site, DEMO_SENTENCE + " " * next(spaces)), openai.APIStatusError)

    _wait(stops_earlier, 15)
    same = DEMO_SENTENCE + " " * next(spaces)
    earlier = site.client().chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": same}], metadata={"step": "sentiment"}
    )
    assert int(earlier.headers["x-smallfirst-attempts"]) < 4
    assert earlier.headers["x-smallfirst-policy"] != refused.response.headers["x-smallfirst-policy"]
    assert "x-smallfirst-review" not in earlier.headers

    # The auditor finds each step.
    auditor = _person(browser, site, "auditor")
    auditor.goto("/audit/")
    for act in ("changes.propose", "changes.vote", "changes.activate", "reviews.answer", "reviews.claim"):
        expect(auditor.locator("main")).to_contain_text(act)


def test_a_visitor_tries_a_sentence_and_his_open_tab_receives_what_a_reviewer_answers(
    site: Site, browser: Browser
) -> None:
    # He picks what is offered, and its ladder lights up with what each rung said and cost.
    integrator = _person(browser, site, "integrator")
    integrator.get_by_role("link", name="Follow").click()
    expect(integrator.get_by_role("heading", level=1)).to_contain_text("in the last hour")
    integrator.goto("/trials/")
    # The look at what is offered there takes long: what is sent ends it, or it would come in over the answer.
    looks: list[Route] = []
    integrator.route(re.compile(r"/trials/\?.*place="), lambda look: looks.append(look))
    integrator.get_by_label("Where").select_option(label="Customer feedback, sentiment")
    integrator.get_by_role("button", name=OTHER_SENTENCES[0][0]).click()
    integrator.get_by_role("button", name="Send it").click()
    answer = integrator.get_by_label("What came of it")
    # The key for trials is new: the gateway learns of it within seconds, and the page sends again by itself.
    expect(answer).to_contain_text("lexicon answered", timeout=30_000)
    expect(answer).to_contain_text("lexicon answered at once", timeout=30_000)
    expect(answer.locator(".rung-kept")).to_contain_text("lexicon")
    assert [look.request.failure for look in looks] == ["net::ERR_ABORTED"]
    integrator.unroute_all()

    # He types one that no model is sure of, also below the lowered threshold.
    unsure = next(text for text, model, _label in OTHER_SENTENCES if model == "person")
    integrator.get_by_label("What the application would send").fill(f"{unsure} (seriously)")
    integrator.get_by_role("button", name="Send it").click()
    expect(answer).to_contain_text("Waiting for a person", timeout=30_000)
    expect(answer.locator(".rung-climbed")).to_have_count(3, timeout=30_000)
    expect(answer.locator(".rung-person")).to_contain_text("waiting for a person")

    # The reviewer answers with one key; the tab that waits receives it.
    reviewer = _person(browser, site, "reviewer")
    _wait(lambda: _takes(reviewer, "(seriously)"), 60)
    reviewer.keyboard.press("3")
    expect(reviewer.locator("main")).to_contain_text("Answered")
    expect(answer).to_contain_text("answered", timeout=30_000)
    expect(answer.locator("blockquote")).to_contain_text("negative", timeout=30_000)
    expect(answer.locator(".rung-person")).to_contain_text("answered", timeout=30_000)

    # His request has a page, replayed to the same bytes, and leads to its review.
    answer.get_by_role("link", name="All of this request").click()
    expect(integrator.get_by_role("heading", level=1)).to_contain_text("Reviewer answered after")
    expect(integrator.locator("main")).to_contain_text("decided again: the same, byte for byte")
    integrator.get_by_role("link", name="Its review").click()
    expect(integrator.get_by_role("link", name="The request behind it")).to_have_count(1)

    # Who follows sees it as the newest.
    integrator.goto("/follow/")
    expect(integrator.locator("#newest")).to_contain_text("answered after")


def test_finance_follows_money_down_to_the_attempts_and_sees_what_the_baseline_would_have_taken(
    site: Site, browser: Browser
) -> None:
    for text, model, _label in OTHER_SENTENCES:
        if model != "person":
            assert not isinstance(_ask(site, text), openai.APIStatusError)
    finance = _person(browser, site, "finance")

    def counted() -> bool:
        finance.goto("/spend/attempts/?show=kept")
        return finance.locator("tbody tr").count() >= 6

    _wait(counted, 30)

    # What was saved stands with its bounds, its baseline and how it was found.
    finance.goto("/")
    saved = finance.locator("#month div", has_text="less than the baselines, assumed")
    expect(saved).to_contain_text(re.compile(r"USD\s[\d.]+ ?[−\d.]+ to [\d.]+, by the tokens of\s+\d+\s+kept answers"))
    saved.get_by_role("link").first.click()
    expect(finance.get_by_role("heading", level=1)).to_contain_text("less than the baselines")
    expect(finance.locator("main")).to_contain_text("Every kept answer’s tokens at the baseline’s price of that day")
    expect(finance.locator("dl.facts").first).to_contain_text("the baselines would have taken")
    workflow = finance.get_by_role("row", name="Customer feedback")
    expect(workflow).to_contain_text("assumed")
    expect(workflow).to_contain_text("Priced but never called")

    # What was spent goes down from the workflow to its steps, their models and days.
    finance.goto("/")
    finance.locator("#month div", has_text="spent").get_by_role("link").first.click()
    expect(finance.get_by_role("heading", level=1)).to_contain_text("AI cost USD")
    for row in ("Customer feedback", "sentiment", "Word list"):
        finance.locator("tbody tr", has_text=row).locator("a.title").click()
    expect(finance.get_by_role("heading", level=2, name="By day")).to_be_visible()
    attempts = finance.locator("tbody tr").first.locator("td[data-label=Attempts] a")
    number = attempts.inner_text()
    attempts.click()
    expect(finance.get_by_role("heading", level=1)).to_contain_text(f"{number} attempts in")
    expect(finance.locator("tbody tr")).to_have_count(int(number))

    # Each attempt leads to its request: what it cost, and what the baseline would have taken for it.
    kept = finance.locator("tbody tr", has=finance.locator(".state", has_text="kept"))
    kept.first.get_by_role("link").first.click()
    expect(finance.get_by_role("heading", level=1)).to_contain_text("answered")
    expect(finance.locator("main")).to_contain_text(
        re.compile(r"the baseline\s+assumed\s*, would have taken about USD\s[\d.]+ for this answer, [\d.]+ to [\d.]+")
    )


def test_an_auditor_follows_a_request_through_every_record(site: Site, browser: Browser) -> None:
    auditor = _person(browser, site, "auditor")
    main, heading = auditor.locator("main"), auditor.get_by_role("heading", level=1)
    listed = auditor.goto(f"/requests/?workflow={WORKFLOW}&outcome=person&sort=when")
    assert listed is not None
    assert listed.ok, listed.status
    expect(heading).to_contain_text("Customer feedback that went to a person")
    auditor.locator("tbody tr").first.locator("a.title").click()
    request = auditor.url

    # The decision with its attempts, decided again from what is stored.
    expect(heading).to_contain_text("Reviewer answered after")
    expect(main).to_contain_text("decided again: the same, byte for byte")
    expect(auditor.locator("table tbody tr")).to_have_count(3)

    # The case, and who opened, took and answered it.
    auditor.get_by_role("link", name="Its review").click()
    expect(main).to_contain_text("by Reviewer")
    expect(main).to_contain_text("The text of this case is closed")
    auditor.get_by_role("link", name="Its record in the audit log").click()
    for act in ("reviews.open", "reviews.claim", "reviews.answer"):
        expect(main).to_contain_text(act)

    # The policy version it was decided under, and the change that made it live with its votes.
    auditor.goto(request)
    auditor.get_by_role("link", name="version 1", exact=True).click()
    expect(main).to_contain_text("An answer is kept from confidence 0.80")
    auditor.goto(request)
    auditor.get_by_role("link", name=re.compile("change")).click()
    expect(main).to_contain_text("1 of 1 vote")
    expect(main).to_contain_text("counts")
    auditor.get_by_role("link", name="Its record in the audit log").click()
    for act in ("changes.propose", "changes.vote", "changes.activate"):
        expect(main).to_contain_text(act)

    # He reads everything, may take the log along, and changes nothing.
    expect(main.get_by_role("button").filter(has_not_text=re.compile("Filter|Export the log"))).to_have_count(0)


def _evaluate(owner: Page) -> None:
    """Upload the sentences as a sample set of the step, evaluate it, and stay on the page until it is through."""
    lines = [(text, label or TRUE[text]) for text, _model, label in OTHER_SENTENCES] + [(DEMO_SENTENCE, DEMO_LABEL)]
    table = io.StringIO()
    csv.writer(table).writerows([("text", "label"), *lines])
    owner.goto("/sample-sets/new/")
    owner.get_by_label("Step").select_option(label="Customer feedback: sentiment")
    owner.get_by_label("Name").fill("What customers wrote")
    upload = FilePayload(name="sentences.csv", mimeType="text/csv", buffer=table.getvalue().encode())
    owner.get_by_label("File").set_input_files(upload)
    owner.get_by_label("Where the texts come from").fill("Written for the demo")
    owner.get_by_label("On which terms they are used").fill("MIT")
    owner.get_by_role("button", name="Upload").click()
    expect(owner.get_by_role("heading", level=1)).to_contain_text("9 samples to measure sentiment")
    owner.get_by_role("button", name="Evaluate now").click()
    expect(owner.get_by_role("heading", level=1)).to_contain_text("The policy answers 67", timeout=60_000)


def _takes(reviewer: Page, words: str) -> bool:
    """Whether the case with these words is at hand; one that was there before it is answered."""
    negative = reviewer.get_by_role("button", name="negative")
    if negative.count() == 0:
        if not _has_case(reviewer):
            return False
        with reviewer.expect_navigation():
            reviewer.get_by_role("button", name="Take the next").click()
    if words in reviewer.locator("main").inner_text():
        return True
    with reviewer.expect_navigation():
        negative.click()
    return False


def _has_case(page: Page) -> bool:
    page.goto("/reviews/")
    return page.get_by_role("button", name="Take the next").count() == 1


def _attempts(page: Page) -> int:
    page.goto("/spend/attempts/")
    return page.locator("tbody tr").count()
