"""Each part renders, says what it shows to those who do not see it, and never lets foreign text become markup."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django import forms
from django.core.paginator import Paginator
from django.template import Context, Template
from django.test import RequestFactory
from django.utils import timezone

from governance.figures import MINUS, NBSP, Rung

NOW = datetime(2026, 11, 22, 13, 40, tzinfo=UTC)
HOSTILE = """<script>alert("x")</script>'"&<img src=x onerror=alert(1)>"""


@pytest.fixture(autouse=True)
def _berlin() -> Iterator[None]:
    with timezone.override("Europe/Berlin"):
        yield


def render(source: str, *, address: str = "/list/", **values: object) -> str:
    """Render a template that has loaded the parts, as a page at ``address`` would."""
    request = RequestFactory().get(address)
    context = Context({"now_": NOW, "request": request, "csrf_token": "token", **values})
    return Template("{% load parts %}" + source).render(context).strip()


def words(html: str) -> str:
    """What is left to read when the tags are gone."""
    return re.sub(r"[ \n]+", " ", re.sub(r"<[^>]+>", " ", html)).strip(" ")


RUNGS = [
    Rung("small", "lexicon", "climbed", confidence=0.31, threshold=0.62, cost=Decimal("0.0000021")),
    Rung("mid", "minilm", "kept", confidence=0.78, threshold=0.62, cost=Decimal("0.0019")),
    Rung("mid", "local", "failed", why="timed out after 4 s", priced=False),
    Rung("frontier", "big", "left_out", why="data is confidential"),
    Rung("frontier", "other", "not_asked", cost=Decimal("0.04")),
    Rung("person", "Customer care", "person", word="waiting for a person"),
]


class ReasonForm(forms.Form):
    """A form with one field of each kind that parts draw differently."""

    reason = forms.CharField(help_text="Voters read this first.")
    mode = forms.ChoiceField(choices=[("observe", "observe"), ("enforce", "enforce")], widget=forms.RadioSelect)
    sure = forms.BooleanField(label="I have read it", required=False)
    hidden = forms.CharField(widget=forms.HiddenInput, required=False)


# Numbers


def test_money_shows_currency_and_keeps_the_exact_amount() -> None:
    html = render("{% money cost 'USD' %}", cost=Decimal("0.0031234567"))
    assert words(html) == f"USD{NBSP}0.00312"
    assert 'value="0.0031234567"' in html
    assert 'title="USD 0.0031234567"' in html


@pytest.mark.parametrize(
    ("tag", "cost", "shown"),
    [
        ("{% money cost 'USD' digits=2 %}", "0.0031", f"under USD{NBSP}0.01"),
        ("{% money cost 'USD' digits=2 bare=True %}", "0.0031", "under 0.01"),
        ("{% money cost 'EUR' bare=True %}", "4812.4", "4,812"),
        ("{% money cost 'USD' about=True %}", "0.04", f"about USD{NBSP}0.04"),
        ("{% money cost 'USD' %}", "-63", f"USD{NBSP}{MINUS}63.00"),
    ],
)
def test_money_forms(tag: str, cost: str, shown: str) -> None:
    assert re.sub(r"<[^>]+>", "", render(tag, cost=Decimal(cost))) == shown


def test_money_without_a_price_is_not_zero() -> None:
    html = render("{% money cost 'USD' %}", cost=None)
    assert words(html) == "not priced"
    assert "unpriced" in html


def test_counts_and_shares() -> None:
    shown = render(
        "{{ n|count }} {{ p|percent }} {{ p|percent:1 }} {{ d|signed }} {{ c|confidence }}",
        n=184220,
        p=0.984,
        d=-31,
        c=0.5,
    )
    assert shown == f"184,220 98{NBSP}% 98.4{NBSP}% {MINUS}31 0.50"
    assert render("{{ n|count }} {{ c|confidence }}", n=None, c=None) == "not known not known"


# Times


def test_time_is_relative_with_the_whole_time_beside_it() -> None:
    html = render("{% ago moment now=now_ %}", moment=NOW - timedelta(hours=2))
    assert words(html) == "2 hours ago"
    assert 'datetime="2026-11-22T11:40:00+00:00"' in html
    assert 'title="Sunday 22 November 2026, 12:40:00 CET"' in html
    assert 'data-time="relative"' in html


def test_time_is_absolute_in_the_zone_of_the_viewer() -> None:
    assert words(render("{% at moment now=now_ %}", moment=NOW)) == "14:40"
    with timezone.override("America/New_York"):
        assert words(render("{% at moment now=now_ %}", moment=NOW)) == "08:40"


def test_time_that_never_was() -> None:
    assert render("{% ago None none='not yet' %} {% at None %}") == "not yet never"
    assert words(render("{% due None %}")) == "no deadline"


@pytest.mark.parametrize(("minutes", "level"), [(-5, "bad"), (12, "bad"), (50, "warn"), (600, "quiet")])
def test_deadline_grows_louder(minutes: int, level: str) -> None:
    html = render("{% due moment now=now_ %}", moment=NOW + timedelta(minutes=minutes))
    assert f'class="due state {level}"' in html


def test_money_day_is_not_moved_between_zones() -> None:
    with timezone.override("America/New_York"):
        assert words(render("{% day value now=now_ %}", value=NOW.date())) == "22 Nov"


# Words and drawings


def test_tier_has_its_colour_and_the_model() -> None:
    assert 'class="chip tier-mid"' in render("{% tier 'mid' 'minilm' %}")
    assert words(render("{% tier 'mid' 'minilm' %}")) == "mid minilm"
    assert words(render("{% tier 'person' %}")) == "people"
    assert 'class="chip tier-none"' in render("{% tier 'unheard-of' %}")


def test_state_is_one_of_four() -> None:
    assert 'class="state good"' in render("{% state 'good' 'holding' %}")
    with pytest.raises(ValueError, match="bad, good, quiet, warn"):
        render("{% state 'fine' 'holding' %}")


def test_share_bar_fills_its_width_and_reads_out() -> None:
    html = render("{% share_bar counts 'Claims triage' %}", counts={"person": 5, "small": 62, "mid": 24, "frontier": 9})
    widths = [Decimal(width) for width in re.findall(r'<rect[^>]* width="([\d.]+)%"', html)]
    assert sum(widths) == 100
    assert f'aria-label="Claims triage: small 62{NBSP}%, mid 24{NBSP}%, frontier 9{NBSP}%, people 5{NBSP}%"' in html
    assert html.count("<line") == 3


def test_share_bar_of_nothing_says_so() -> None:
    html = render("{% share_bar counts %}", counts={})
    assert 'aria-label="nothing answered yet"' in html
    assert "<rect" not in html


def test_legend_names_every_tier() -> None:
    assert words(render("{% answered_by %}")) == "Answered by small mid frontier people"


def test_ladder_tells_each_rung() -> None:
    shown = words(render("{% ladder rungs 'What happened' %}", rungs=RUNGS))
    assert f"not sure, climbed lexicon sure 0.31 needs 0.62 USD{NBSP}0.0000021" in shown
    assert f"kept minilm sure 0.78 needs 0.62 USD{NBSP}0.0019" in shown
    assert "failed, climbed local timed out after 4 s not priced" in shown
    assert "left out big data is confidential" in shown
    assert f"not asked other about USD{NBSP}0.04" in shown
    assert "waiting for a person Customer care" in shown


def test_ladder_draws_each_rung_in_its_tier() -> None:
    html = render("{% ladder rungs %}", rungs=RUNGS)
    assert re.findall(r'class="rung rung-(\w+) tier-(\w+)"', html) == [(rung.state, rung.tier) for rung in RUNGS]
    assert html.count("rung-mark") == 2
    assert html.count("rung-head") == 1


def test_small_ladder_reads_out_and_fills_what_was_asked() -> None:
    html = render("{% small_ladder rungs %}", rungs=RUNGS)
    assert "lexicon not sure, climbed, minilm kept" in html
    assert html.count("bar-empty") == 2


def test_ladder_without_rungs_draws_nothing() -> None:
    assert "<li" not in render("{% ladder rungs %}{% small_ladder rungs %}", rungs=[])


def test_sentence_marks_what_changes() -> None:
    html = render("{% sentence before after 'small' 'classify' %}", before="kept from 0.62", after="kept from 0.55")
    assert "tier-small" in html
    assert words(html) == "classify · kept from removed: 0.62 added: 0.55"
    assert re.search(r"<del>.*0\.62</del>", html)
    assert re.search(r"<ins>.*0\.55</ins>", html)


def test_sentence_that_stays_says_so_and_one_that_is_new_is_all_new() -> None:
    assert words(render("{% sentence 'same' 'same' %}")) == "same Unchanged."
    assert words(render("{% sentence None 'new words' %}")) == "added: new words"
    assert words(render("{% sentence 'old words' None %}")) == "removed: old words"


def test_sentence_that_is_not_compared_says_nothing_of_change() -> None:
    html = render("{% said 'Data stays in the EU.' 'person' %}")
    assert words(html) == "Data stays in the EU."
    assert "tier-person" in html


def test_planned_ladder_shows_what_each_rung_needs_and_claims_nothing() -> None:
    planned = [Rung("small", "lexicon", "planned", threshold=0.62), Rung("person", "Reviewer", "planned")]
    html = render("{% ladder rungs 'Plan' %}", rungs=planned)
    assert words(html) == "lexicon needs 0.62 Reviewer"
    assert "rung-fill" not in html
    assert "bar-empty" not in render("{% small_ladder rungs %}", rungs=planned)


@pytest.mark.parametrize(
    ("tag", "level"), [("success", "good"), ("warning", "warn"), ("error", "bad"), ("info", "quiet")]
)
def test_message_levels_are_those_of_a_notice(tag: str, level: str) -> None:
    assert render("{{ tag|notice_level }}", tag=tag) == level


# Lists and forms


def test_column_head_sorts_and_keeps_the_filter() -> None:
    html = render("{% th 'Spend' 'spend' num=True %}", address="/list/?q=a%26b&page=4")
    assert 'href="?q=a%26b&amp;sort=spend"' in html
    assert 'class="n"' in html
    assert "aria-sort" not in html


def test_column_head_turns_its_order() -> None:
    up = render("{% th 'Spend' 'spend' %}", address="/list/?sort=spend")
    assert 'aria-sort="ascending"' in up
    assert 'href="?sort=-spend"' in up
    down = render("{% th 'Spend' 'spend' %}", address="/list/?sort=-spend")
    assert 'aria-sort="descending"' in down
    assert 'href="?sort=spend"' in down


def test_column_head_without_order_is_no_link() -> None:
    assert "<a" not in render("{% th 'Owner' wide=True %}")


def test_paginator_keeps_the_filter() -> None:
    html = render("{% paginator page 'reviews' %}", address="/list/?q=a&page=2", page=Paginator(range(60), 25).page(2))
    assert words(html).startswith("26 to 50 of 60 reviews")
    assert 'href="?q=a&amp;page=1"' in html
    assert 'href="?q=a&amp;page=3"' in html


@pytest.mark.parametrize(
    ("names", "rows", "shown"),
    [
        ("'reviews'", 7, "7 reviews"),
        ("'reviews'", 1, "1 review"),
        ("'entries' 'entry'", 1, "1 entry"),
        ("'rows'", 0, "0 rows"),
    ],
)
def test_paginator_of_one_page_only_counts(names: str, rows: int, shown: str) -> None:
    html = render(f"{{% paginator page {names} %}}", page=Paginator(range(rows), 25).page(1))
    assert words(html) == shown
    assert "<a" not in html


def test_field_ties_help_and_error_to_its_control() -> None:
    html = render("{% field form.reason %}", form=ReasonForm({"reason": ""}))
    assert 'aria-describedby="id_reason_helptext id_reason_error"' in html
    assert 'aria-invalid="true"' in html
    assert 'id="id_reason_helptext"' in html
    assert 'id="id_reason_error"' in html
    assert '<label for="id_reason">' in html
    assert "This field is required." in words(html)


def test_field_that_is_well_has_no_error() -> None:
    html = render("{% field form.reason %}", form=ReasonForm({"reason": "cheaper", "mode": "observe"}))
    assert "aria-invalid" not in html
    assert "_error" not in html


def test_field_of_choices_is_one_group() -> None:
    html = render("{% field form.mode %}", form=ReasonForm())
    assert html.count("<fieldset") == html.count("</fieldset>") == 1
    assert "<legend>Mode</legend>" in html


def test_field_that_is_hidden_is_only_its_control() -> None:
    assert render("{% field form.hidden %}", form=ReasonForm()).startswith('<input type="hidden"')


def test_tick_stands_inside_its_label() -> None:
    assert re.search(
        r'<label for="id_sure"><input type="checkbox"[^>]*> I have read it</label>',
        render("{% field form.sure %}", form=ReasonForm()),
    )


def test_crumbs_end_here() -> None:
    html = render("{% crumbs 'Changes' '/changes/' '48' %}")
    assert '<a href="/changes/">Changes</a>' in html
    assert '<li aria-current="page">48</li>' in html


# Foreign text

EVERY_PART_WITH_FOREIGN_TEXT = [
    "{% money cost x %}",
    "{% money cost x digits=2 %}",
    "{% tier x %}",
    "{% tier 'mid' x %}",
    "{% state 'good' x %}",
    "{% key x %}",
    "{% crumbs x x x %}",
    "{% share_bar shares x %}",
    "{% ladder rungs x %}",
    "{% small_ladder rungs %}",
    "{% sentence x 'b' %}",
    "{% said x x x %}",
    "{% sentence 'a' x 'small' x %}",
    "{% sentence x x %}",
    "{% th x x %}",
    "{% paginator page x %}",
    "{% ago None none=x %}",
    "{% at None none=x %}",
    "{% due None none=x %}",
    "{% field form.reason %}",
    "{% include '_parts/empty.html' with title=x text=x href=x action=x %}",
    "{% include '_parts/notice.html' with level='bad' title=x text=x %}",
    "{% include '_parts/notice.html' with level=x title=x text=x %}",
    "{% include '_parts/masked.html' with shown=x what=x reveal_url=x %}",
    "{% include '_parts/filter_bar.html' with form=form target=x %}",
    "{% include '_parts/mark.html' with size=x missing=x %}",
]


@pytest.mark.parametrize("part", EVERY_PART_WITH_FOREIGN_TEXT)
def test_foreign_text_stays_text(part: str) -> None:
    form = ReasonForm({"reason": HOSTILE})
    form.fields["reason"].label = form.fields["reason"].help_text = HOSTILE
    form.add_error("reason", HOSTILE)
    html = render(
        part,
        address="/list/?sort=%22%3E%3Cscript%3E&q=%22%3E%3Cscript%3E",
        x=HOSTILE,
        cost=Decimal("0.001"),
        shares={HOSTILE: 3, "small": 1},
        rungs=[Rung(HOSTILE, HOSTILE, "kept", why=HOSTILE, word=HOSTILE, currency=HOSTILE, cost=Decimal(1))],
        page=Paginator(range(60), 25).page(2),
        form=form,
    )
    assert "<script" not in html
    assert "<img" not in html
    assert 'onerror="' not in html
    assert re.findall(r"&(?!amp;|lt;|gt;|quot;|#x27;|#39;|nbsp;)", html) == []


def test_text_that_is_hidden_is_not_in_the_page() -> None:
    html = render(
        "{% include '_parts/masked.html' with shown='●●●● 2281' what='reference' reveal_url='/reveal/' %}",
        secret="4111 1111",
    )
    assert "4111" not in html
    assert 'method="post"' in html
    assert 'hx-post="/reveal/"' in html
    assert words(html) == "●●●● 2281 reveal reference"
