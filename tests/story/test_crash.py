"""kill -9 under traffic, of each process and of all at once: what an application was told stands in the ledger once."""

import os
import signal
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from django.db import connection
from django.db.models import Count, Sum
from django.utils import timezone
from pytest_django import Settings
from pytest_django.plugin import DjangoDbBlocker

from config import state as places
from config.up import processes, services
from config.up.__main__ import start as start_all
from config.up.lock import StateLock
from config.up.processes import Installation, Ports
from config.up.supervisor import Process, Supervisor
from demo import policies
from demo.people import BOOTSTRAP, DOMAIN
from demo.texts import LABELS
from governance import changes, workflows
from governance.models import AuditEvent, Environment, Review, ReviewBody, User, Workflow
from ledger.models import Charge, Decision, Rollup, UsageEvent, UsageQueue
from routing import evaluations, measuring, sample_sets
from routing.models import Evaluation, EvaluationResult
from routing.samples import Row
from tests import cast
from tests.story.applications import GATED, UNGATED, Applications, Sent, wait

pytestmark = pytest.mark.processes

EACH = ("gateway", "worker", "web", "postgres")


class Site:
    """A whole installation as `up` starts it, whose processes can be killed and started again one by one."""

    def __init__(self, installation: Installation, supervisor: Supervisor) -> None:
        self.installation = installation
        self._supervisor = supervisor
        self._postgres = services.Postgres(
            installation.state, services.postgres_binaries(), services.unprivileged_prefix()
        )

    def applications(self) -> Applications:
        """Applications with the demo's key."""
        return Applications(self.installation.gateway_url, places.read_secret(self.installation.state / "demo-key"))

    def health(self) -> dict[str, Any]:
        """What the gateway says of itself."""
        said: dict[str, Any] = httpx2.get(f"{self.installation.gateway_url}/healthz", trust_env=False).json()
        return said

    def kill(self, *names: str) -> None:
        """kill -9, children included."""
        pids = self._supervisor.pids()
        for name in names:
            os.killpg(pids[name], signal.SIGKILL)
        for name in names:
            self._supervisor.forget(name)

    def start(self, *names: str) -> None:
        """Start them all at once, as after a power cut, and wait until they serve. Raises if any other has died."""
        self._supervisor.start(*[self._process(name) for name in names])
        self._supervisor.wait_ready(*names)

    def _process(self, name: str) -> Process:
        control, ports = self.installation.control(), self.installation.ports
        if name == "postgres":
            return self._postgres.process(control)
        if name == "web":
            return processes.web(control, ports.web)
        if name == "worker":
            return processes.worker(control)
        return processes.gateway(self.installation.data_plane(), ports.gateway)

    @contextmanager
    def halfway(self) -> Iterator[None]:
        """Hold everybody in the middle of what he is doing, until left.

        The worker's fold has taken rows from the queue and charged them, and waits for a day's sum that is locked here.
        The gateway has a batch under way: web has stored its reviews and decisions, and waits to store its usage.
        """
        holder = self._postgres.connect(places.DATABASE)
        holder.autocommit = False

        def waits_for(kind: str) -> bool:
            found = holder.execute("SELECT FROM pg_locks WHERE NOT granted AND locktype = %s LIMIT 1", [kind])
            return found.fetchone() is not None

        def fold_waits() -> bool:
            holder.execute("SELECT FROM ledger_rollup FOR UPDATE")
            return waits_for("transactionid")

        try:
            wait(fold_waits, "nothing was folded")
            holder.execute("LOCK TABLE ledger_usageevent IN SHARE MODE")
            wait(lambda: waits_for("relation"), "no usage came")
            yield
        finally:
            holder.close()

    def drain(self) -> None:
        """Wait until the gateway has delivered all and the worker has charged it."""

        def delivered() -> bool:
            spool = self.health()["spool"]
            assert spool["refused_records"] == 0
            return bool(spool["waiting_bytes"] == 0)

        wait(delivered, "the spool was not delivered")
        # This process's connection may be to a server that was killed.
        connection.close()
        wait(lambda: not UsageQueue.objects.exists(), "the queue was not folded")


@pytest.fixture(scope="module")
def site(free_port: Callable[[], int], state: Path, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    """The demo's installation, running; Django's default connection is to its database."""
    with ExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        for name in ("DATABASE_URL", "MIGRATION_DATABASE_URL", "BROKER_URL"):
            environment.delenv(name)
        installation = Installation(state, Ports(*(free_port() for _ in range(5))), demo=True)
        lock = StateLock(state, installation.pages_url)
        stack.callback(lock.release)
        places.make_secrets(installation.keys)
        supervisor = stack.enter_context(
            Supervisor(places.make_private(installation.state / "log"), hold=[lock.fileno()])
        )
        start_all(installation, supervisor)
        stack.enter_context(django_db_blocker.unblock())
        connection.close()
        environment.setitem(connection.settings_dict, "NAME", places.DATABASE)
        environment.setitem(connection.settings_dict, "HOST", str(places.sockets_path(state)))
        stack.callback(connection.close)
        running = Site(installation, supervisor)
        add_ungated_step(running)
        yield running


def add_ungated_step(site: Site) -> None:
    """Give the demo's policy a step whose answers are kept whatever they are, and wait until the gateway has it."""
    before = site.health()["bundle"]["serial"]
    workflow = Workflow.objects.get(slug="customer-feedback")
    workflows.add_step(workflow=workflow, name=UNGATED, purpose="Reads without being judged", by=BOOTSTRAP)
    policy = policies.customer_feedback()
    policy["steps"].append({"name": UNGATED, "ladder": [{"model": "lexicon"}]})
    lead = User.objects.get(email=f"lead@{DOMAIN}")
    change = changes.propose(
        workflow=workflow,
        environment=Environment.objects.get(name="production"),
        document=policy,
        title="A step without a gate",
        note="Its streams are passed on as they come",
        by=lead,
    )
    changes.activate(change=cast.approve(change, workflow.owner), by=lead)
    wait(lambda: site.health()["bundle"]["serial"] > before, "the gateway did not take up the policy")


@pytest.mark.parametrize("killed", [*((name,) for name in EACH), EACH], ids="-".join)
def test_what_dies_halfway_is_counted_once(site: Site, killed: tuple[str, ...]) -> None:
    check(site, killed, site.halfway())


def test_what_dies_at_any_moment_is_counted_once(site: Site) -> None:
    """Unlike halfway, when nothing is acknowledged any more, the last acknowledgements are milliseconds old."""
    check(site, EACH, nullcontext())


def test_an_evaluation_asks_what_is_missing_after_its_worker_is_killed(site: Site, settings: Settings) -> None:
    settings.KEYS = site.installation.keys
    workflow = Workflow.objects.get(slug="customer-feedback")
    rows = [Row([{"role": "user", "content": f"Chair {number} is comfortable"}], "positive") for number in range(150)]
    sample_set = sample_sets.create(
        step=workflow.steps.get(name=GATED),
        name="Chairs",
        source="Written for this",
        licence="MIT",
        rows=rows,
        labels=LABELS,
        by=workflow.owner,
    )
    production = Environment.objects.get(name="production")
    made = evaluations.start(sample_set=sample_set, environment=production, by=workflow.owner, now=timezone.now())
    results = EvaluationResult.objects.filter(evaluation=made)
    wait(lambda: results.count() > 20, "nothing was asked")

    site.kill("worker")
    before = set(results.values_list("pk", flat=True))
    assert 20 < len(before) < made.asks
    site.start("worker")

    wait(lambda: not Evaluation.objects.active().exists(), "the evaluation came to no end")
    made = Evaluation.objects.for_list().get(pk=made.pk)
    assert (made.state, made.trouble) == ("done", "")
    pairs = Counter(results.values_list("sample__position", "model"))
    assert pairs == Counter((position, model) for position in range(1, 151) for model in made.ladder)
    # What was written before its death stands as it was.
    assert before <= set(results.values_list("pk", flat=True))
    assert {(each.n, each.errors + each.timeouts) for each in made.scores.all()} == {(150, 0)}
    # Every answer is a decision of the evaluation's own key. Of those under way at its death some were asked again.
    site.drain()
    decisions = set(Decision.objects.filter(run=f"evaluation {made.pk}").values_list("pk", flat=True))
    assert set(results.values_list("decision", flat=True)) <= decisions
    assert made.asks <= len(decisions) <= made.asks + measuring.ASKS_AT_ONCE
    check_sums()


def check(site: Site, killed: tuple[str, ...], moment: AbstractContextManager[None]) -> None:
    """Kill under traffic at this moment, start again, let the traffic go on, and audit what is left of it."""
    with site.applications() as applications:
        applications.wait_for(40)
        with moment:
            site.kill(*killed)
        if "gateway" not in killed:
            # It needs none of the others.
            applications.wait_for(40)
        site.start(*killed)
        applications.wait_for(40)
    sent = applications.sent
    assert applications.odd == []
    assert any(one.cut for one in sent) == ("gateway" in killed)
    every_kind = {(GATED, stream, status) for stream in (False, True) for status in (200, 422)}
    every_kind |= {(UNGATED, stream, 200) for stream in (False, True)}
    assert {(one.step, one.stream, one.told.status) for one in sent if one.told} == every_kind

    site.drain()
    check_requests(sent)
    check_reviews(sent)
    check_sums()


def check_requests(sent: list[Sent]) -> None:
    """Each request stands whole or not at all, and never twice; an answered one stands as its application was told."""
    decisions: dict[str | None, list[Decision]] = defaultdict(list)
    for decision in Decision.objects.filter(run__in=[one.run for one in sent]):
        decisions[decision.run].append(decision)
    events: dict[str | None, list[UsageEvent]] = defaultdict(list)
    for event in UsageEvent.objects.filter(run__in=[one.run for one in sent]).order_by("attempt"):
        events[event.run].append(event)
    amounts = {charge.pk: charge.amount or Decimal(0) for charge in Charge.objects.all()}
    for one in sent:
        stand = decisions[one.run]
        attempts = [(decision.id, number) for decision in stand for number in range(len(decision.attempts))]
        assert len(stand) <= 1, one
        assert [(event.decision_id, event.attempt) for event in events[one.run]] == attempts, one
        told = one.told
        if told is None:
            continue
        assert [decision.id for decision in stand] == ([] if told.again else [told.decision]), one
        assert len(attempts) == told.attempts, one
        assert (told.cost is None) == (told.again or (one.step == UNGATED and one.stream)), one
        if told.cost is not None:
            assert sum(amounts[event.id] for event in events[one.run]) == told.cost, one


def check_reviews(sent: list[Sent]) -> None:
    """Each request that goes to a person is one review, however often it was sent, with one body and one entry."""
    asked = [(one.text, one.told.decision, one.told.review) for one in sent if one.told and one.told.status == 422]
    assert len(asked) == len({text for text, _decision, _review in asked})
    decisions = Decision.objects.filter(outcome="person", pk__in=[decision for _text, decision, _review in asked])
    assert {(decision.id, str(decision.review_id)) for decision in decisions} == {told[1:] for told in asked}
    reviews = {str(review) for review in Review.objects.values_list("pk", flat=True)}
    assert {review for _text, _decision, review in asked} <= reviews
    assert Review.objects.values("request_digest").distinct().count() == len(reviews)
    assert Counter(str(body.pk) for body in ReviewBody.objects.all()) == Counter(reviews)
    opened = AuditEvent.objects.filter(action="reviews.open", object_type="review")
    assert Counter(opened.values_list("object_id", flat=True)) == Counter(reviews)


def check_sums() -> None:
    """Each attempt ever made has one charge, and the sums of the days are theirs."""
    tokens = {f"{kind}_tokens": Sum(f"{kind}_tokens") for kind in ("input", "output", "cache_read", "cache_write")}
    made = UsageEvent.objects.aggregate(events=Count("id"), **tokens)
    charged = Charge.objects.aggregate(events=Count("id"), amount=Sum("amount"))
    kept = {"kept": UsageEvent.objects.filter(kept=True).count()}
    assert made["events"] == charged["events"]
    assert Rollup.objects.aggregate(kept=Sum("kept"), events=Sum("events"), amount=Sum("amount"), **tokens) == (
        made | charged | kept
    )
