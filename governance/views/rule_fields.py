"""The rules of a policy or a standard as fields: in their order, each with the conditions and the effects that it has.

A rule, a condition and an effect each have a token, which names its fields and stays while others move: the number
that it had in the document the fields start from, or `n` and a number for a new one. Hidden fields of one name, in
order, say which rules there are (`rules`), and which conditions and effects each of them has.
"""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from django import forms
from django.http import QueryDict

from governance.models import DataClass, Tier
from governance.views import document_fields as kinds
from smallfirst.engine import policy as shape

CONDITIONS = {
    "step": "Step",
    "data_class": "Data class",
    "risk": "Risk",
    "language": "Language",
    "tag": "Tag of the request",
    "input_tokens": "Tokens of the input",
    "signal": "Signal of the text",
    "model": "Model asked for",
}
EFFECTS = {
    "refuse": "Refuse the request",
    "review": "A person releases the answer",
    "start": "Start the ladder at a tier",
    "keep_from": "Keep answers from another confidence",
    "guards-data_class": "Ask only models cleared for a class",
    "guards-regions": "Ask only in some regions",
    "guards-hosting": "Ask only models hosted in some way",
    "guards-licences": "Ask only models under some licences",
    "guards-models": "Ask only some models",
    "guards-max_cost": "Limit the cost of a request",
    "guards-max_latency_ms": "Limit the time of a request",
}
GUARD = "guards-"
MOST_RULES, MOST_CONDITIONS = 200, 20
TOKEN = re.compile(r"n?[0-9]{1,4}")
CONDITION_TOKEN = re.compile(rf"(n?[0-9]{{1,4}})-({'|'.join(CONDITIONS)})")
MISSING = {"required": "Fill this in, or remove the line."}


@dataclass(frozen=True)
class Place:
    """A rule where it stands: its token, those of its conditions, and its effects."""

    token: str
    when: tuple[str, ...] = ()
    then: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A condition or an effect on the page: its token, what it is, and its fields."""

    token: str
    title: str
    fields: list[forms.BoundField]


@dataclass(frozen=True)
class RuleRow:
    """A rule on the page."""

    token: str
    number: int
    first: bool
    last: bool
    name: forms.BoundField
    when: list[Line]
    then: list[Line]
    add_when: forms.BoundField
    add_then: forms.BoundField


def places_in(rules: Sequence[Mapping[str, Any]]) -> tuple[Place, ...]:
    """Return the rules of a document as they stand."""
    return tuple(
        Place(
            str(number),
            tuple(f"{place}-{each['type']}" for place, each in enumerate(rule.get("when") or ())),
            tuple(effect for effect in EFFECTS if _has(_effect(rule, effect))),
        )
        for number, rule in enumerate(rules)
    )


def places_sent(data: Any) -> tuple[Place, ...] | None:
    """Return the rules that were sent, in their order; None where the form had none of their fields."""
    if not isinstance(data, QueryDict) or "rules" not in data:
        return None
    found = dict.fromkeys(token for token in data.getlist("rules") if TOKEN.fullmatch(token))
    return tuple(
        Place(
            token,
            tuple(
                dict.fromkeys(each for each in data.getlist(f"rule-{token}-when") if CONDITION_TOKEN.fullmatch(each))
            )[:MOST_CONDITIONS],
            tuple(effect for effect in EFFECTS if effect in data.getlist(f"rule-{token}-then")),
        )
        for token in list(found)[:MOST_RULES]
    )


def acted(places: tuple[Place, ...], data: QueryDict) -> tuple[tuple[Place, ...], str]:
    """Do with the rules what a button says, and return them with the name of what is to have the focus then.

    `rules-act` is `add`, or one of up, down, remove, when, then with a token, or drop with those of a rule and a line.
    """
    act, token, line = [*data.get("rules-act", "").split(" "), "", ""][:3]
    here = next((at for at, each in enumerate(places) if each.token == token), None)
    if act == "add":
        fresh = _fresh(each.token for each in places)
        return ((*places, Place(fresh)), f"rule-{fresh}-name") if len(places) < MOST_RULES else (places, "rules-add")
    if here is None:
        return places, "rules-add"
    rule = places[here]
    match act:
        case "up" | "down":
            return _moved(places, here, -1 if act == "up" else 1)
        case "remove":
            left = places[:here] + places[here + 1 :]
            return left, f"rule-{left[min(here, len(left) - 1)].token}-name" if left else "rules-add"
        case "when" | "then":
            changed, focus = _with_line(rule, act, data.get(f"rule-{token}-add-{act}", ""))
        case "drop":
            changed = replace(
                rule,
                when=tuple(each for each in rule.when if each != line),
                then=tuple(each for each in rule.then if each != line),
            )
            focus = f"rule-{token}-add-{'then' if line in rule.then else 'when'}"
        case _:
            changed, focus = rule, f"rule-{token}-name"
    return (*places[:here], changed, *places[here + 1 :]), focus


class RuleFields:
    """The fields of all rules in a form, which are made here and read here."""

    def __init__(
        self,
        form: forms.Form,
        rules: Sequence[Mapping[str, Any]],
        places: tuple[Place, ...] | None,
        effects: Mapping[str, str],
    ) -> None:
        """Add the fields; `rules` are those of the document that the form starts from, None places as they stand.

        `effects` are those that may be added.
        """
        self.form, self.effects = form, effects
        self.places = places_in(rules) if places is None else places
        self._base = {str(number): rule for number, rule in enumerate(rules)}
        for place in self.places:
            form.fields |= dict(self._fields_of(place))
        if form.is_bound and places is None:
            # What was not sent stays as it was, and nothing of it is missed.
            for name in [name for name in form.fields if name.startswith("rule-")]:
                form.fields[name].required = False

    @property
    def rows(self) -> list[RuleRow]:
        """The rules as the page shows them."""
        return [self._row(number, place) for number, place in enumerate(self.places)]

    def clean(self) -> None:
        """A condition or an effect that was chosen and not added would be lost."""
        for place in self.places:
            for name in (f"rule-{place.token}-add-when", f"rule-{place.token}-add-then"):
                if self.form.cleaned_data.get(name):
                    self.form.add_error(name, "Add it, or choose none.")

    def document(self) -> list[dict[str, Any]]:
        """Return the rules with what was typed; what was not changed stays as it was."""
        return [self._made(place) for place in self.places]

    def field_of(self, path: str) -> str | None:
        """Return the name of the field where a place in the document was written, such as `rules[0].when[1].is[0]`."""
        found = re.match(r"rules\[(\d+)\]\.?(.*)", path)
        if found is None or int(found[1]) >= len(self.places):
            return None
        place = self.places[int(found[1])]
        prefix, rest = f"rule-{place.token}", re.sub(r"\[\d+\]$", "", found[2])
        condition = re.match(r"when\[(\d+)\]\.?(\w*)", found[2])
        if condition and int(condition[1]) < len(place.when):
            names = [name for name, _ in self._condition(place, place.when[int(condition[1])])]
            named = f"{prefix}-when-{place.when[int(condition[1])]}-{condition[2]}"
            return named if named in names else next(iter(names), None)
        guards = [each for each in place.then if each.startswith(GUARD)]
        if rest == "then.guards" and guards:
            return f"{prefix}-then-{guards[0]}"
        effect = f"{prefix}-then-{rest.removeprefix('then.').replace('.', '-')}"
        if effect in self.form.fields:
            return effect
        return f"{prefix}-add-{rest.partition('.')[0]}" if rest.startswith(("when", "then")) else f"{prefix}-name"

    def words_of(self, name: str) -> str:
        """Return what a field of a rule is, as it is named in a list of what is wrong; empty for any other."""
        for number, place in enumerate(self.places, start=1):
            prefix = f"rule-{place.token}-"
            if not name.startswith(prefix):
                continue
            titles = {f"{prefix}when-{token}-": CONDITIONS[token.partition("-")[2]] for token in place.when}
            titles |= {f"{prefix}then-{effect}": EFFECTS[effect] for effect in place.then}
            title = next((said for start, said in titles.items() if name.startswith(start)), None)
            return f"Rule {number}: {title or self.form.fields[name].label}"
        return ""

    def _row(self, number: int, place: Place) -> RuleRow:
        prefix, bound = f"rule-{place.token}", self.form.__getitem__

        def condition(token: str) -> Line:
            title = CONDITIONS[token.partition("-")[2]]
            return Line(token, title, [bound(name) for name, _ in self._condition(place, token)])

        return RuleRow(
            place.token,
            number + 1,
            number == 0,
            number == len(self.places) - 1,
            bound(f"{prefix}-name"),
            [condition(token) for token in place.when],
            [
                Line(effect, EFFECTS[effect], [bound(f"{prefix}-then-{effect}")] if effect != "review" else [])
                for effect in place.then
            ],
            bound(f"{prefix}-add-when"),
            bound(f"{prefix}-add-then"),
        )

    def _fields_of(self, place: Place) -> Iterator[tuple[str, forms.Field]]:
        prefix, rule = f"rule-{place.token}", self._base.get(place.token, {})
        yield f"{prefix}-name", _text("Name", rule.get("name"), "Decisions name it as their reason.")
        for token in place.when:
            yield from self._condition(place, token)
        for effect in place.then:
            if effect != "review":
                yield f"{prefix}-then-{effect}", _effect_field(effect, rule)
        left = [("", "none"), *((each, title) for each, title in self.effects.items() if each not in place.then)]
        yield f"{prefix}-add-when", kinds.choice("A further condition", [("", "none"), *CONDITIONS.items()], "")
        yield f"{prefix}-add-then", kinds.choice("A further effect", left, "")

    def _condition(self, place: Place, token: str) -> Iterator[tuple[str, forms.Field]]:
        kind = token.partition("-")[2]
        for name, field in _condition_fields(kind, self._condition_before(place, token)):
            if field.required:
                field.error_messages |= MISSING
            yield f"rule-{place.token}-when-{token}-{name}", field

    def _condition_before(self, place: Place, token: str) -> Mapping[str, Any]:
        """What a condition was before it was edited, empty for a new one."""
        number, _, kind = token.partition("-")
        known = list(self._base.get(place.token, {}).get("when") or ())
        said: Mapping[str, Any] = known[int(number)] if number.isdecimal() and int(number) < len(known) else {}
        return said if said.get("type") == kind else {}

    def _made(self, place: Place) -> dict[str, Any]:
        prefix = f"rule-{place.token}"
        rule = copy.deepcopy(dict(self._base.get(place.token, {"name": "", "when": [], "then": {}})))
        name = self.form.fields[f"{prefix}-name"]
        rule |= dict(kinds.changed(self.form, f"{prefix}-", iter([("name", name)])))
        conditions = [self._made_condition(place, token) for token in place.when]
        if conditions != list(rule.get("when") or ()):
            rule["when"] = conditions
        for effect in EFFECTS:
            self._put_effect(rule, place, effect)
        return rule

    def _made_condition(self, place: Place, token: str) -> dict[str, Any]:
        kind, before = token.partition("-")[2], self._condition_before(place, token)
        typed = kinds.changed(
            self.form, f"rule-{place.token}-when-{token}-", iter(list(_condition_fields(kind, before)))
        )
        return {"type": kind, **copy.deepcopy(dict(before)), **dict(typed)}

    def _put_effect(self, rule: dict[str, Any], place: Place, effect: str) -> None:
        before, value = _effect(rule, effect), None
        if effect in place.then and effect == "review":
            value = True
        elif effect in place.then:
            field, prefix = _effect_field(effect, rule), f"rule-{place.token}-then-"
            value = dict(kinds.changed(self.form, prefix, iter([(effect, field)]))).get(effect, before)
        if value == before or (effect not in place.then and not _has(before)):
            return
        if not effect.startswith(GUARD):
            rule["then"] = {**rule["then"], effect: False if effect == "review" and value is None else value}
            return
        guards = {**(rule["then"].get("guards") or {}), effect.removeprefix(GUARD): value}
        rule["then"] = {**rule["then"], "guards": guards if any(each is not None for each in guards.values()) else None}


def _moved(places: tuple[Place, ...], here: int, step: int) -> tuple[tuple[Place, ...], str]:
    """A rule one place on; the focus stays on the button that moved it, at the end on the other one."""
    token, there = places[here].token, here + step
    if not 0 <= there < len(places):
        return places, f"rule-{token}-name"
    order = list(places)
    order[here], order[there] = order[there], order[here]
    at_end = there in (0, len(places) - 1)
    up = step < 0
    return tuple(order), f"{'up' if up != at_end else 'down'}-{token}"


def _with_line(rule: Place, part: str, chosen: str) -> tuple[Place, str]:
    """A rule with one more condition or effect, and the first field of it."""
    prefix = f"rule-{rule.token}"
    if part == "then" and chosen in EFFECTS and chosen not in rule.then:
        then = tuple(each for each in EFFECTS if each in (*rule.then, chosen))
        return replace(rule, then=then), f"{prefix}-then-{chosen}" if chosen != "review" else f"{prefix}-add-then"
    if part == "when" and chosen in CONDITIONS and len(rule.when) < MOST_CONDITIONS:
        token = f"{_fresh(each.partition('-')[0] for each in rule.when)}-{chosen}"
        first = next(name for name, _ in _condition_fields(chosen, {}))
        return replace(rule, when=(*rule.when, token)), f"{prefix}-when-{token}-{first}"
    return rule, f"{prefix}-add-{part}"


def _fresh(tokens: Iterator[str]) -> str:
    """A token that none of the new ones has."""
    return f"n{max([0, *(int(each[1:]) for each in tokens if each.startswith('n'))]) + 1}"


def _effect(rule: Mapping[str, Any], effect: str) -> Any:
    """What a rule says of an effect."""
    then = rule.get("then") or {}
    held = (then.get("guards") or {}) if effect.startswith(GUARD) else then
    return held.get(effect.removeprefix(GUARD))


def _has(said: Any) -> bool:
    """Whether a rule does what is said of an effect."""
    return said is not None and said is not False


def _condition_fields(kind: str, said: Mapping[str, Any]) -> Iterator[tuple[str, forms.Field]]:
    """The fields of a condition, as the document names them."""
    match kind:
        case "data_class":
            yield "at_least", _word("is this or a graver one", DataClass.values, said.get("at_least"))
        case "risk":
            yield "at_least", _word("is this or a graver one", shape.RISKS, said.get("at_least"))
        case "input_tokens":
            yield from ((name, _tokens(label, said.get(name))) for name, label in _BOUNDS)
        case "signal":
            yield "name", _word("of", get_args(shape.SignalName), said.get("name"))
            yield from ((name, _bound(label, said.get(name))) for name, label in _BOUNDS)
        case _:
            if kind == "tag":
                yield "name", _text("called", said.get("name"), "")
            text = f"{kinds.SEPARATED} auto: the request leaves the choice." if kind == "model" else kinds.SEPARATED
            yield "is", kinds.names("is one of", said.get("is"), text, required=True)


_BOUNDS = (("at_least", "at least"), ("at_most", "at most"))


def _effect_field(effect: str, rule: Mapping[str, Any]) -> forms.Field:
    before = _effect(rule, effect)
    field: forms.Field
    match effect:
        case "refuse":
            field = kinds.Text(
                label="saying",
                max_length=2_000,
                initial=before,
                help_text="The application is told this.",
                widget=forms.Textarea(attrs={"rows": 2}),
            )
        case "start":
            field = _word("at", Tier.values, before)
        case "keep_from":
            field = kinds.threshold("from", before, "Between 0 and 1.", required=True)
        case _:
            guards = (rule.get("then") or {}).get("guards") or {}
            field = dict(kinds.guard_fields(guards, required=True))[effect.removeprefix(GUARD)]
    field.error_messages |= MISSING
    return field


def _text(label: str, value: str | None, help_text: str) -> kinds.Text:
    return kinds.Text(label=label, max_length=200, initial=value, help_text=help_text)


def _word(label: str, words: Sequence[str], value: str | None) -> forms.ChoiceField:
    return kinds.choice(label, [("", "Choose one"), *((each, each) for each in words)], value or "", required=True)


def _tokens(label: str, value: int | None) -> forms.IntegerField:
    return forms.IntegerField(label=label, required=False, initial=value, min_value=0, max_value=100_000_000)


def _bound(label: str, value: float | None) -> kinds.Bound:
    exact = forms.NumberInput(attrs={"step": "any", "inputmode": "decimal"})
    return kinds.Bound(label=label, required=False, initial=value, widget=exact)
