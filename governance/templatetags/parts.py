"""The vocabulary of every page: `{% load parts %}`; docs/look.md lists the parts and shows how a page is made."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

from django import template
from django.core.paginator import Page
from django.forms import BoundField
from django.template.context import Context, RequestContext
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify

from governance import figures

register = template.Library()

TIER_SET = frozenset(figures.TIERS)
STATES = frozenset({"good", "warn", "bad", "quiet"})


def tier_class(tier: str) -> str:
    """Return the CSS class that carries a tier's colour; an unknown tier has none of its own."""
    return f"tier-{tier}" if tier in TIER_SET else "tier-none"


# Numbers


@register.simple_tag
def money(
    amount: Decimal | int | None,
    currency: str,
    *,
    digits: int | None = None,
    bare: bool = False,
    about: bool = False,
) -> SafeString:
    """`{% money cost "USD" %}`: USD 0.0031; None is "not priced". The exact amount is in the value and the tooltip.

    `digits=2` fixes the decimals, `bare=True` leaves the currency to the column head, `about=True` marks an estimate.
    """
    if amount is None:
        return format_html('<span class="unpriced">{}</span>', "not priced")
    words = figures.money_words(amount, digits=digits)
    if words.startswith("under "):
        label = words if bare else f"under {currency}{figures.NBSP}{words.removeprefix('under ')}"
    else:
        label = words if bare else f"{currency}{figures.NBSP}{words}"
    if about:
        label = f"about {label}"
    exact = f"{Decimal(amount):f}"
    return format_html(
        '<data class="money" value="{}" title="{} {}">{}</data>',
        exact,
        currency,
        exact.replace("-", figures.MINUS),
        label,
    )


@register.simple_tag
def amounts(amounts: Mapping[str, Decimal], *, bare: bool = False) -> SafeString:
    """`{% amounts total.amounts %}`: amounts by currency, a line each; "not priced" where there is none."""
    lines = [money(amount, currency, bare=bare) for currency, amount in amounts.items()] or [money(None, "")]
    return format_html_join(mark_safe("<br>"), "{}", ((line,) for line in lines))


@register.filter
def count(number: int | None) -> str:
    """`{{ n|count }}`: 184,220; None is "not known"."""
    return "not known" if number is None else figures.group_thousands(number)


@register.filter
def percent(fraction: float | Decimal | None, digits: int = 0) -> str:
    """`{{ share|percent }}`, `{{ share|percent:1 }}`: of 1, as 62 %; never 0 % for some, 100 % for not all."""
    return figures.percent_words(fraction, digits=digits)


@register.filter
def signed(number: int | Decimal | None) -> str:
    """`{{ difference|signed }}`: +9, −31, 0."""
    return figures.signed_words(number)


@register.filter
def confidence(value: float | Decimal | None) -> str:
    """`{{ attempt.confidence|confidence }}`: 0.58, with two decimals as on every ladder; None is "not known"."""
    return "not known" if value is None else f"{value:.2f}"


@register.filter
def duration(milliseconds: int | None) -> str:
    """`{{ attempt.latency_ms|duration }}`: 31 ms, 4.2 s, 3 min; None is "not known"."""
    return "not known" if milliseconds is None else figures.duration_words(milliseconds)


# Times


def _time(moment: datetime, words: str, *, kind: str = "", css: str = "") -> SafeString:
    local = moment.astimezone(timezone.get_current_timezone())
    return format_html(
        '<time datetime="{}" title="{}"{}{}>{}</time>',
        moment.isoformat(),
        f"{local:%A} {local.day} {local:%B %Y, %H:%M:%S %Z}",
        format_html(' data-time="{}"', kind) if kind else "",
        format_html(' class="{}"', css) if css else "",
        words,
    )


@register.simple_tag
def ago(moment: datetime | None, *, none: str = "never", now: datetime | None = None) -> SafeString | str:
    """`{% ago row.created_at %}`: 2 hours ago, in 12 min; kept current in the browser, the full time in the tooltip."""
    if moment is None:
        return none
    return _time(moment, figures.relative_words(moment, now=now or timezone.now()), kind="relative")


@register.simple_tag
def at(moment: datetime | None, *, none: str = "never", now: datetime | None = None) -> SafeString | str:
    """`{% at row.recorded_at %}`: 14:24, yesterday 14:24, 22 Nov 14:24, in the viewer's zone."""
    if moment is None:
        return none
    words = figures.moment_words(moment, now=now or timezone.now(), zone=timezone.get_current_timezone())
    return _time(moment, words)


@register.simple_tag
def day(value: date, *, now: datetime | None = None) -> SafeString:
    """`{% day row.day %}`: 22 Nov; a money day is already in the reporting zone and is not moved."""
    today = timezone.localdate(now)
    return format_html('<time datetime="{}">{}</time>', value.isoformat(), figures.day_words(value, today=today))


@register.simple_tag
def due(
    moment: datetime | None, *, soon: int = 60, urgent: int = 15, none: str = "no deadline", now: datetime | None = None
) -> SafeString:
    """`{% due review.due_at %}`: in 12 min, red within `urgent` minutes or when over, amber within `soon` minutes."""
    if moment is None:
        return format_html('<span class="due">{}</span>', none)
    current = now or timezone.now()
    left = moment - current
    level = "bad" if left < timedelta(minutes=urgent) else "warn" if left < timedelta(minutes=soon) else "quiet"
    return _time(moment, figures.relative_words(moment, now=current), kind="relative", css=f"due state {level}")


# Words


@register.simple_tag
def tier(name: str, label: str = "") -> SafeString:
    """`{% tier "mid" %}` or `{% tier attempt.tier attempt.model %}`: the colour of the tier, its word, the model."""
    word = figures.TIER_WORDS.get(name, name)
    return format_html(
        '<span class="chip {}">{}{}</span>',
        tier_class(name),
        word if not label or name in TIER_SET else label,
        format_html(' <span class="chip-label">{}</span>', label) if label and name in TIER_SET else "",
    )


@register.simple_tag
def state(level: str, words: str) -> SafeString:
    """`{% state "good" "holding" %}`: a word that says how it stands; level is good, warn, bad or quiet."""
    if level not in STATES:
        raise ValueError(f"a state is one of {', '.join(sorted(STATES))}, not {level!r}")
    return format_html('<span class="state {}">{}</span>', level, words)


@register.simple_tag
def recorded(yes: bool) -> SafeString:
    """`{% recorded environment.recorded %}`: the badge of what was measured elsewhere and imported."""
    if not yes:
        return SafeString("")
    return format_html(
        '<span class="badge recorded" title="{}">recorded</span>',
        "Measured elsewhere and imported: this installation served none of it",
    )


@register.filter
def notice_level(tag: str) -> str:
    """`{{ message.level_tag|notice_level }}`: Django's message levels as those of a notice."""
    return {"success": "good", "warning": "warn", "error": "bad"}.get(tag, "quiet")


@register.simple_tag
def key(keys: str) -> SafeString:
    """`{% key "a" %}`: the hint for a keyboard shortcut; the element it sits in carries data-key="a"."""
    return format_html('<kbd aria-hidden="true">{}</kbd>', {"enter": "↵"}.get(keys, keys))


@register.simple_tag
def crumbs(*parts: str) -> SafeString:
    """`{% crumbs "Changes" changes_url "48" %}`: label and address in turn, the last label alone is this page."""
    return _render(
        "_parts/crumbs.html", {"links": list(zip(parts[:-1:2], parts[1::2], strict=True)), "here": parts[-1]}
    )


# Drawings


@register.simple_tag
def share_bar(amounts: Mapping[str, Decimal | int], label: str = "") -> SafeString:
    """`{% share_bar counts_by_tier "Claims triage" %}`: one bar cut by tier, from a mapping tier → count or money."""
    shares = figures.cut_shares(amounts.items())
    drawn = [(share, tier_class(share.tier)) for share in shares]
    words = figures.share_words(shares) if shares else "nothing answered yet"
    return _render("_parts/share_bar.html", {"shares": drawn, "words": f"{label}: {words}" if label else words})


@register.simple_tag
def interval(share: float, low: float, high: float, label: str, tier_name: str = "") -> SafeString:
    """`{% interval 0.65 0.61 0.69 "lexicon" "small" %}`: a share of 1 with its bounds, on a line from 0 to 100 %."""
    values: dict[str, object] = {
        "words": f"{label}: {figures.percent_words(share)}, {figures.range_words(low, high)}",
        "css": tier_class(tier_name),
        "low": f"{low * 100:.1f}%",
        "wide": f"{(high - low) * 100:.1f}%",
        "at": f"{share * 100:.1f}%",
    }
    return _render("_parts/interval.html", values)


@register.filter
def bounds(low: float, high: float) -> str:
    """`{{ score.low|bounds:score.high }}`: the bounds of a share, as 61 to 69."""
    return figures.range_words(low, high)


@register.simple_tag
def tier_days(days: Sequence[tuple[date, Mapping[str, int]]], label: str) -> SafeString:
    """`{% tier_days days "Answered by" %}`: one bar a day, cut by tier and as high as the day's count.

    `days` are (day, counts by tier) in order. The words say the extent; the numbers stand in a table beside it.
    """
    columns = figures.stack_days([counts for _day, counts in days])
    drawn = [[(part, tier_class(part.tier)) for part in column] for column in columns]
    most = max((sum(counts.values()) for _day, counts in days), default=0)
    values = {"columns": drawn, "width": len(days) * figures.DAY_WIDTH, "most": most, "label": label}
    if days:
        values |= {"first": days[0][0], "last": days[-1][0]}
    return _render("_parts/tier_days.html", values)


@register.inclusion_tag("_parts/answered_by.html")
def answered_by(label: str = "Answered by") -> dict[str, object]:
    """`{% answered_by %}`: the legend of the tier colours, below a table or chart that uses them."""
    return {"tiers": figures.TIERS, "label": label}


@register.inclusion_tag("_parts/ladder.html")
def ladder(rungs: Sequence[figures.Rung], label: str = "Ladder") -> dict[str, object]:
    """`{% ladder rungs "What happened" %}`: the rungs rising, each filled to its confidence against its threshold."""
    return {
        "label": label,
        "rungs": [(drawn, tier_class(drawn.rung.tier)) for drawn in figures.draw_ladder(rungs)],
    }


@register.simple_tag
def small_ladder(rungs: Sequence[figures.Rung]) -> SafeString:
    """`{% small_ladder rungs %}`: the same ladder the size of a word, for a row; asked rungs are filled."""
    words = ", ".join(f"{rung.model} {rung.words}".strip() for rung in rungs)
    bars: list[dict[str, object]] = []
    for place, rung in enumerate(rungs):
        height = round(7 + 12 * place / max(len(rungs) - 1, 2))
        filled = rung.asked or rung.state in ("person", "planned")
        head = 20 - height + 1 if rung.tier == "person" else 0
        top = 20 - height + (5 if head else 0)
        # An outline is drawn half a pixel inside, where a filled bar has its edge.
        inset = 0 if filled else 0.5
        bars.append(
            {
                "x": place * 7 + inset,
                "y": top + inset,
                "width": 5 - 2 * inset,
                "height": 20 - top - 2 * inset,
                "middle": place * 7 + 2.5,
                "head": head,
                "css": tier_class(rung.tier),
                "filled": filled,
            }
        )
    return _render("_parts/small_ladder.html", {"bars": bars, "width": max(len(rungs) * 7 - 2, 1), "words": words})


@register.inclusion_tag("_parts/sentence.html")
def said(text: str, tier_name: str = "", step: str = "") -> dict[str, object]:
    """`{% said "Data stays in the EU." %}`: one sentence of a policy as it stands."""
    return {
        "step": step,
        "tier_class": tier_class(tier_name) if tier_name else "",
        "passages": [figures.Passage("same", text)],
        "unchanged": False,
    }


@register.inclusion_tag("_parts/sentence.html")
def sentence(before: str | None, after: str | None, tier_name: str = "", step: str = "") -> dict[str, object]:
    """`{% sentence before after "small" "classify" %}`: one sentence of a policy, with what was removed and added.

    None where it did not exist before or does not any more; equal sentences are followed by "Unchanged.".
    """
    return {
        "step": step,
        "tier_class": tier_class(tier_name) if tier_name else "",
        "passages": figures.compare_words(before or "", after or ""),
        "unchanged": before == after,
    }


# Lists and forms


@register.simple_tag(takes_context=True)
def th(context: RequestContext, label: str, sort: str = "", *, num: bool = False, wide: bool = False) -> SafeString:
    """`{% th "Spend" "spend" num=True %}`: a column head; with `sort` it is a link that sets ?sort=spend, then -spend.
    `wide=True` drops the column on a narrow screen."""
    css = " ".join(name for name, wanted in (("n", num), ("wide", wide)) if wanted)
    values: dict[str, object] = {"label": label, "css": css, "sort": sort}
    if sort:
        query = context["request"].GET.copy()
        current = query.get("sort", "")
        for place in ("page", "before", "after"):
            query.pop(place, None)
        query["sort"] = f"-{sort}" if current == sort else sort
        values["href"] = f"?{query.urlencode()}"
        values["direction"] = {sort: "ascending", f"-{sort}": "descending"}.get(current, "")
    return _render("_parts/th.html", values)


@register.inclusion_tag("_parts/paginator.html", takes_context=True)
def paginator(
    context: RequestContext, page: "Page[object]", noun: str, one: str = "", *, export: str = ""
) -> dict[str, object]:
    """`{% paginator page "reviews" %}`: where one is in a long list and the way on; filter and sort stay.

    `export` names the URL that gives the same list as a file.
    """
    request = context["request"]
    query = request.GET.copy()
    query.pop("page", None)
    return {
        "page": page,
        "noun": noun,
        "one": one or noun.removesuffix("s"),
        "request": request,
        "export": f"{reverse(export)}?{query.urlencode()}".removesuffix("?") if export else "",
    }


@register.inclusion_tag("_parts/field.html")
def field(bound: BoundField) -> dict[str, object]:
    """`{% field form.reason %}`: label, control, help and error, tied together for screen readers."""
    return {"field": bound, "kind": slugify(bound.widget_type)}


@register.simple_tag(takes_context=True)
def nav_item(
    context: Context, name: str, label: str, icon: str, waiting: int | None = None, noun: str = "", also: str = ""
) -> SafeString:
    """An entry of the side navigation, only for those who may open its page; home is for everybody signed in.

    `noun` is whose `.view` act opens the page, where that is not its own name; `also` a page that belongs to it.
    """
    request = context.get("request")
    person = getattr(request, "user", None)
    at_home = name == "home" and person is not None and person.is_authenticated
    if not at_home and (noun or name) not in (context.get("may_see") or ()):
        return SafeString("")
    href, path = reverse(name), context["request"].path
    under = tuple(each for each in (href, also and reverse(also)) if each not in ("", "/"))
    here = "page" if path == href else "true" if path.startswith(under) else ""
    return _render(
        "_parts/nav_item.html", {"href": href, "label": label, "icon": icon, "waiting": waiting, "here": here}
    )


def _render(name: str, values: dict[str, object]) -> SafeString:
    return render_to_string(name, values)
