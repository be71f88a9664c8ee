"""Savings: kept answers at the baseline's price of that day, less all that was spent, within stated bounds."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from governance import accounts
from governance.errors import InvalidInput
from governance.figures import money_digits_alike
from governance.models import ApiKey, AuditEvent, Model
from governance.readers import Reader
from ledger import rollups, savings, spend
from ledger.models import Baseline
from ledger.spend import Selection, Show
from tests.ledger.reports import Site, make_site
from tests.pages import file, text

pytestmark = pytest.mark.django_db

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 11, 10, 12, tzinfo=BERLIN)
DAY = date(2026, 11, 10)


@pytest.fixture
def site() -> Site:
    """A site whose three places have prices: 1, 10 and 100 USD for a million tokens of input, twice that of output."""
    made = make_site()
    for place, rate in enumerate((1, 10, 100)):
        made.price(place, input=Decimal(rate), output=Decimal(2 * rate), valid_from=NOON - timedelta(days=30))
    return made


def big(site: Site) -> Model:
    """The dearest model."""
    return site.cast.models[2]


def based(site: Site, *, since: datetime = NOON - timedelta(days=20), **more: object) -> Baseline:
    """Compare with the dearest model, assumed."""
    said = {"assumed": True, "reason": "It was used before", "valid_from": since, "by": site.cast.lead} | more
    return savings.set_baseline(workflow=site.cast.workflow, model=big(site), **said)  # type: ignore[arg-type]


def compared(site: Site, first: date = DAY, last: date = DAY) -> savings.Compared:
    """What the workflow's tasks of a period give."""
    found = savings.by_workflow([site.cast.workflow.pk], first, last, zone=BERLIN)
    return savings.together(found.values())


def report(site: Site, *events: dict[str, Any]) -> None:
    """Report and fold."""
    site.report(list(events), NOON)
    rollups.fold_all(zone=BERLIN)


def test_all_attempts_are_spent_and_only_kept_answers_are_tasks(site: Site) -> None:
    based(site)
    report(
        site,
        site.event(NOON, place=0, kept=False, input_tokens=1000, output_tokens=100),
        site.event(NOON, place=1, kept=True, input_tokens=1000, output_tokens=200),
        site.event(NOON, place=0, kept=True, input_tokens=500, output_tokens=50),
    )

    (saving,) = compared(site).savings

    # 1000 + 2 * 100 and 10 * (1000 + 2 * 200) and 500 + 2 * 50, in millionths of a dollar.
    assert saving.spent == Decimal("0.0158")
    # 1500 tokens in and 250 out at 100 and 200 for a million.
    assert saving.would == Decimal("0.2")
    assert (saving.tasks, saving.unpriced, saving.assumed) == (2, 0, True)
    assert saving.saved == Decimal("0.1842")
    assert (saving.least, saving.most) == (Decimal("0.16") - saving.spent, Decimal("0.25") - saving.spent)
    assert saving.share == Decimal("0.921")


def test_what_was_only_evaluated_is_spent_and_no_task(site: Site, installation_keys: None) -> None:
    based(site)
    measuring, _token = accounts.own_key(
        workflow=site.cast.workflow,
        environment=site.cast.production,
        purpose=ApiKey.Purpose.EVALUATION,
        by=site.cast.owner,
    )
    evaluated = {"key": str(measuring.pk), "kept": True, "input_tokens": 1000, "output_tokens": 0}
    report(
        site,
        site.event(NOON, place=0, kept=True, input_tokens=1000, output_tokens=0),
        site.event(NOON, place=1, **evaluated),
        site.event(NOON, place=2, **evaluated),
    )

    (saving,) = compared(site).savings

    assert (saving.tasks, saving.spent, saving.would) == (1, Decimal("0.111"), Decimal("0.1"))
    assert saving.saved == Decimal("-0.011")
    # Of it 10 and 100 USD for a million tokens were evaluations: the task alone was cheaper.
    assert (saving.evaluated, saving.alone.saved, saving.turned) == (Decimal("0.11"), Decimal("0.099"), True)
    days = {"since": DAY.isoformat(), "until": DAY.isoformat()}
    said = text(as_(site, "finance").get(reverse("savings"), days))
    assert "; evaluations took USD 0.11, the tasks alone cost USD 0.099 less" in said
    assert "0.11 on evaluations" in said
    (line,) = file(as_(site, "finance").get(reverse("savings_csv"), days))
    assert (Decimal(line["spent"]), Decimal(line["spent_on_evaluations"])) == (Decimal("0.111"), Decimal("0.11"))
    assert "the tasks alone cost USD 0.099 less; evaluations took USD 0.11" in said


def test_without_a_baseline_or_its_price_no_saving_is_said(site: Site) -> None:
    report(site, site.event(NOON, place=0, kept=True))
    assert compared(site) == savings.Compared((), 1)
    based(site, since=NOON + timedelta(days=1))
    assert compared(site) == savings.Compared((), 1)


def test_a_dearer_answer_is_a_loss_and_said_so(site: Site) -> None:
    savings.set_baseline(
        workflow=site.cast.workflow,
        model=site.cast.models[0],
        assumed=False,
        reason="The word list did it before",
        valid_from=NOON - timedelta(days=1),
        by=site.cast.lead,
    )
    report(site, site.event(NOON, place=2, kept=True, input_tokens=1000, output_tokens=0))
    (saving,) = compared(site).savings
    assert saving.saved == Decimal("0.001") - Decimal("0.1")
    assert (saving.apart, saving.apart_bounds) == (-saving.saved, (-saving.most, -saving.least))
    page = (
        as_(site, "finance")
        .get(reverse("savings"), {"since": DAY.isoformat(), "until": DAY.isoformat()})
        .content.decode()
    )
    assert "more than the baselines" in page


def test_each_day_has_the_baseline_and_the_price_of_its_noon(site: Site) -> None:
    based(site)
    savings.set_baseline(
        workflow=site.cast.workflow,
        model=site.cast.models[1],
        assumed=False,
        reason="Measured",
        valid_from=NOON + timedelta(hours=1),
        tokens_least=Decimal(1),
        tokens_most=Decimal(1),
        by=site.cast.finance,
    )
    report(
        site,
        site.event(NOON, place=0, kept=True, input_tokens=1000, output_tokens=0),
        site.event(NOON + timedelta(hours=3), place=0, kept=True, input_tokens=1000, output_tokens=0),
    )
    later = NOON + timedelta(days=1)
    site.report([site.event(later, place=0, kept=True, input_tokens=1000, output_tokens=0)], later)
    rollups.fold_all(zone=BERLIN)

    (saving,) = compared(site, DAY, DAY + timedelta(days=1)).savings

    assert saving.would == Decimal("0.2") + Decimal("0.01")
    assert saving.would_least == Decimal("0.2") * Decimal("0.8") + Decimal("0.01")
    assert {base.assumed for base in saving.baselines} == {True, False}


def test_each_task_is_listed_as_in_a_saving_or_in_none(site: Site) -> None:
    based(site, since=NOON - timedelta(days=1, hours=1))
    site.price(2, input=Decimal(1), output=None, valid_from=timezone.now() + timedelta(seconds=1))
    days = [NOON + timedelta(days=offset) for offset in (-2, -1, 0)]
    # Before the baseline, twice with it, and then when only one of its rates was known.
    unknown = timezone.now() + timedelta(days=2)
    for at in (*days, days[-1], unknown):
        site.report([site.event(at, place=0), site.event(at, place=1, kept=False)], at)
    rollups.fold_all(zone=BERLIN)

    reader, last = Reader(None), unknown.astimezone(BERLIN).date() + timedelta(days=1)
    found = compared(site, DAY - timedelta(days=9), last)
    listed = {
        show: spend.attempts(reader, Selection(DAY - timedelta(days=9), last), show, zone=BERLIN)
        for show in (Show.COMPARED, Show.COMPARED_RECORDED, Show.UNCOMPARED)
    }

    assert {show: (count, len(events)) for show, (events, count) in listed.items()} == {
        Show.COMPARED: (found.savings[0].tasks, 3),
        Show.COMPARED_RECORDED: (0, 0),
        Show.UNCOMPARED: (found.without, 2),
    }
    assert {event.booked_at for event in listed[Show.UNCOMPARED][0]} == {days[0], unknown}


def test_what_was_paid_in_another_currency_stands_in_no_saving(site: Site) -> None:
    based(site)
    site.price(1, input=Decimal(3), output=Decimal(3), currency="EUR", valid_from=timezone.now() + timedelta(seconds=1))
    report(site, site.event(NOON, place=0))
    later = timezone.now() + timedelta(days=1)
    site.report([site.event(later, place=1)], later)
    rollups.fold_all(zone=BERLIN)
    until = later.astimezone(BERLIN).date()
    assert compared(site, DAY, until) == savings.Compared((), 2)
    assert savings.stretches(None, DAY, until, zone=BERLIN) == []
    assert spend.attempts(Reader(None), Selection(DAY, until), Show.UNCOMPARED, zone=BERLIN)[1] == 2


@pytest.mark.parametrize(
    ("amounts", "digits"),
    [(("0.006", "0.00634", "0.00551"), 5), (("0.0003", "-5.2", "5.3"), 2), (("950.5", "700", "1200"), 0), (("0",), 2)],
)
def test_a_saving_and_its_bounds_are_written_in_as_many_decimals(amounts: tuple[str, ...], digits: int) -> None:
    assert money_digits_alike(Decimal(amount) for amount in amounts) == digits


def test_a_page_its_file_and_the_verb_say_the_same(site: Site) -> None:
    based(site)
    report(site, site.event(NOON, place=0, kept=True, input_tokens=2_000_000, output_tokens=100_000))
    (saving,) = compared(site).savings
    days = {"since": DAY.isoformat(), "until": DAY.isoformat()}
    page = as_(site, "finance").get(reverse("savings"), days).content.decode()
    assert f'value="{saving.saved:f}"' in page
    assert "assumed" in page
    assert "It was used before" in page
    lines = b"".join(as_(site, "finance").get(reverse("savings_csv"), days)).decode().splitlines()
    named = dict(zip(lines[0].split(","), lines[1].split(","), strict=True))
    assert (Decimal(named["saved"]), Decimal(named["saved_least"])) == (saving.saved, saving.least)


def test_finance_sets_a_baseline_on_its_page(site: Site) -> None:
    address = reverse("baseline_new", args=[site.cast.workflow.slug])
    said = {
        "model": str(big(site).pk),
        "assumed": "on",
        "tokens_least": "0.9",
        "tokens_most": "1.1",
        "reason": "What we paid for until June",
    }
    answer = as_(site, "finance").post(address, said | {"reason": ""})
    assert answer.status_code == 422
    assert not Baseline.objects.exists()
    assert as_(site, "finance").post(address, said).status_code == 302
    made = Baseline.objects.get()
    assert (made.model, made.assumed, made.created_by) == (big(site), True, site.cast.finance)
    event = AuditEvent.objects.about(made).get()
    assert (event.action, event.reason) == ("savings.set_baseline", "What we paid for until June")
    # The next one begins from it; its reason is said anew.
    form = as_(site, "finance").get(address).context["form"]
    assert [str(form[name].value()) for name in ("model", "tokens_least", "tokens_most")] == [
        str(big(site).pk),
        "0.900",
        "1.100",
    ]
    assert form["reason"].value() is None


@pytest.mark.parametrize("who", ["owner", "reviewer", "integrator", "auditor", "admin", "stranger"])
def test_others_set_none(site: Site, who: str) -> None:
    with pytest.raises(accounts.NotPermitted):
        based(site, by=site.cast.people[who])
    assert not Baseline.objects.exists()


def test_a_baseline_never_changes_and_never_reaches_back(site: Site) -> None:
    made = based(site)
    with pytest.raises(InvalidInput, match="begins then or later"):
        based(site, since=NOON - timedelta(days=25))
    with pytest.raises(InvalidInput, match="reason"):
        based(site, since=NOON, reason=" ")
    with pytest.raises(InvalidInput, match="ratio"):
        based(site, since=NOON, tokens_least=Decimal(2))
    assert list(Baseline.objects.values_list("pk", "valid_until")) == [(made.pk, None)]
    with pytest.raises(IntegrityError, match="keep their"), transaction.atomic():
        Baseline.objects.filter(pk=made.pk).update(assumed=False)


def as_(site: Site, who: str) -> Client:
    """A browser in which this person is signed in."""
    client = Client()
    client.force_login(site.cast.people[who])
    return client
