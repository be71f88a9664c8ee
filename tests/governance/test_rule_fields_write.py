"""The rules of a policy as fields: in order, each with what it has, and nothing lost to the document and back."""

import json
import re
from html import unescape
from typing import Any

import msgspec
import pytest
from django.http import QueryDict
from django.test import Client
from django.urls import reverse
from hypothesis import given, settings

from governance.models import AuditEvent, Change, Revision
from governance.views.policy_fields import PolicyFields
from governance.views.rule_fields import EFFECTS, acted, places_in
from smallfirst import engine
from tests import cast as casting
from tests.engine.strategies import policies
from tests.pages import text

LONG: dict[str, Any] = {
    "name": "Long texts",
    "when": [
        {"type": "step", "is": ["language"]},
        {"type": "data_class", "at_least": "internal"},
        {"type": "risk", "at_least": "limited"},
        {"type": "language", "is": ["de", "fr"]},
        {"type": "tag", "name": "order, paid", "is": ["yes, sure", 'a "few"', "no"]},
        {"type": "input_tokens", "at_least": 200, "at_most": None},
        {"type": "signal", "name": "sentences", "at_least": 3, "at_most": 7.5},
        {"type": "model", "is": ["auto", "lexicon"]},
    ],
    "then": {
        "guards": {"models": ["lexicon", "tf-idf"], "max_cost": "0.0010", "data_class": None},
        "start": "mid",
        "review": True,
        "refuse": None,
        "keep_from": 0.9,
    },
}
GRAVE: dict[str, Any] = {
    "name": "Grave",
    "when": [{"type": "risk", "at_least": "high"}],
    "then": {"refuse": "Not here.\nAsk a person."},
}
MODELS = [(name, name) for name in ("lexicon", "tf-idf", "smollm2")]


def document(*rules: dict[str, Any]) -> dict[str, Any]:
    """The cast's document with some rules."""
    return casting.make_document(0.8) | {"rules": list(rules)}


def sent(form: PolicyFields, **said: Any) -> QueryDict:
    """What a browser sends of a form's fields; `said` are further fields or other values, `__` for a hyphen."""
    data = QueryDict(mutable=True)
    data["base"] = form.base
    data.appendlist("rules", "")
    for place in form.rules.places:
        data.appendlist("rules", place.token)
        data.setlist(f"rule-{place.token}-when", list(place.when))
        data.setlist(f"rule-{place.token}-then", list(place.then))
    for bound in form:
        value = bound.value()
        data[bound.html_name] = "" if value is None else str(value).replace("\n", "\r\n")
    for name, value in said.items():
        if isinstance(value, list):
            data.setlist(name.replace("__", "-"), value)
        else:
            data[name.replace("__", "-")] = value
    return data


def fields(made: dict[str, Any], data: QueryDict | None = None) -> PolicyFields:
    """The form of a document."""
    return PolicyFields(data, document=made, models=MODELS, initial={})


def read(made: dict[str, Any], **said: Any) -> dict[str, Any]:
    """The document that comes of it when a browser sends the fields of one, with something typed."""
    form = fields(made, sent(fields(made), **said))
    assert form.is_valid(), form.errors
    return form.document()


def test_rules_that_nobody_touched_stay_as_they_were() -> None:
    made = document(LONG, GRAVE)
    engine.read_policy(made)
    assert json.dumps(read(made)) == json.dumps(made)
    assert [row.name.value() for row in fields(made).rules.rows] == ["Long texts", "Grave"]


@given(policies())
@settings(max_examples=150, deadline=None)
def test_any_policy_that_nobody_touched_stays_as_it_was(policy: engine.Policy) -> None:
    made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(policy))
    form = fields(made, sent(fields(made)))
    form.is_valid()
    # What the engine would refuse may be missed by the fields first; what they take is what there was.
    if not form.wrong:
        assert form.document() == made


@given(policies(), policies())
@settings(max_examples=60, deadline=None)
def test_the_rules_of_one_policy_are_typed_into_another(one: engine.Policy, other: engine.Policy) -> None:
    """Whatever the base holds, what is sent of the rules is what comes out."""
    wanted: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(one))
    base: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(other)) | {"rules": []}
    data = sent(fields(wanted))
    for name in ("rules", "base"):
        data.pop(name)
    renamed = {
        name.replace("rule-", "rule-n", 1): [_fresh(each) for each in values] if name.endswith("-when") else values
        for name, values in data.lists()
        if name.startswith("rule-")
    }
    typed = QueryDict(mutable=True)
    typed.setlist("rules", ["", *(f"n{place.token}" for place in fields(wanted).rules.places)])
    for name, values in renamed.items():
        typed.setlist(re.sub(r"-when-(\d)", r"-when-n\1", name), values)
    form = fields(base, typed)
    form.is_valid()
    if not form.wrong:
        assert [_said(rule) for rule in form.document()["rules"]] == [_said(rule) for rule in wanted["rules"]]


def _fresh(token: str) -> str:
    return f"n{token}"


def _said(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule without what says nothing."""
    then = {name: each for name, each in rule["then"].items() if each not in (None, False)}
    if "guards" in then:
        then["guards"] = {name: each for name, each in then["guards"].items() if each is not None}
    when = [{name: each for name, each in condition.items() if each is not None} for condition in rule["when"]]
    return {"name": rule["name"], "when": when, "then": {name: each for name, each in then.items() if each != {}}}


@pytest.mark.parametrize(
    ("name", "value", "path", "found"),
    [
        ("rule-0-name", "Longer", ("name",), "Longer"),
        ("rule-0-when-0-step-is", "language, sentiment", ("when", 0, "is"), ["language", "sentiment"]),
        ("rule-0-when-1-data_class-at_least", "public", ("when", 1, "at_least"), "public"),
        ("rule-0-when-2-risk-at_least", "high", ("when", 2, "at_least"), "high"),
        ("rule-0-when-3-language-is", "de", ("when", 3, "is"), ["de"]),
        ("rule-0-when-4-tag-name", "order", ("when", 4, "name"), "order"),
        ("rule-0-when-4-tag-is", '"yes, sure",x', ("when", 4, "is"), ["yes, sure", "x"]),
        ("rule-0-when-5-input_tokens-at_most", "900", ("when", 5, "at_most"), 900),
        ("rule-0-when-6-signal-at_least", "", ("when", 6, "at_least"), None),
        ("rule-0-when-6-signal-name", "words", ("when", 6, "name"), "words"),
        ("rule-0-when-7-model-is", "tf-idf", ("when", 7, "is"), ["tf-idf"]),
        ("rule-0-then-start", "frontier", ("then", "start"), "frontier"),
        ("rule-0-then-keep_from", "0.5", ("then", "keep_from"), 0.5),
        ("rule-0-then-guards-models", "smollm2", ("then", "guards", "models"), ["smollm2"]),
        ("rule-0-then-guards-max_cost", "2", ("then", "guards", "max_cost"), "2"),
        ("rule-1-then-refuse", "Never.", None, "Never."),
    ],
)
def test_what_is_typed_stands_in_its_place(name: str, value: str, path: tuple[Any, ...] | None, found: Any) -> None:
    made = document(LONG, GRAVE)
    after = read(made, **{name: value})
    place: Any = after["rules"][0] if path else after["rules"][1]["then"]["refuse"]
    for part in path or ():
        place = place[part]
    assert place == found
    engine.read_policy(after)
    # All else is as it was.
    assert after["rules"][1 if path else 0] == (GRAVE if path else LONG)
    assert {key: each for key, each in after.items() if key != "rules"} == {
        key: each for key, each in made.items() if key != "rules"
    }


def test_what_is_taken_out_is_gone() -> None:
    after = read(document(LONG, GRAVE), rule__0__when=["2-risk"], rule__0__then=["start"])["rules"][0]
    assert after["when"] == [LONG["when"][2]]
    assert after["then"] == {"guards": None, "start": "mid", "review": False, "refuse": None, "keep_from": None}
    assert read(document(LONG, GRAVE), rules=["", "1"])["rules"] == [GRAVE]
    assert read(document(LONG, GRAVE), rules=["", "1", "0"])["rules"] == [GRAVE, LONG]
    assert read(document(LONG, GRAVE), rules=[""])["rules"] == []


def test_a_rule_is_built_from_nothing_by_its_buttons() -> None:
    form = fields(casting.make_document(0.8))
    for act, chosen in (
        ("add", {}),
        ("when n1", {"rule__n1__add__when": "tag"}),
        ("then n1", {"rule__n1__add__then": "guards-regions"}),
        ("then n1", {"rule__n1__add__then": "review"}),
    ):
        data = sent(form, rules__act=act, **chosen)
        places, focus = acted(form.rules.places, data)
        form = PolicyFields(document=casting.make_document(0.8), models=MODELS, initial={}, places=places)
        assert focus in form.fields
    said = {"rule-n1-name": "Paid", "rule-n1-when-n1-tag-name": "order", "rule-n1-when-n1-tag-is": "paid"}
    bound = fields(casting.make_document(0.8), sent(form, **said, **{"rule-n1-then-guards-regions": "eu"}))
    assert bound.is_valid(), bound.errors
    assert bound.document()["rules"] == [
        {
            "name": "Paid",
            "when": [{"type": "tag", "name": "order", "is": ["paid"]}],
            "then": {"guards": {"regions": ["eu"]}, "review": True},
        }
    ]


@pytest.mark.parametrize(
    ("act", "order", "focus"),
    [
        ("down 0", "102", "down-0"),
        ("down 1", "021", "up-1"),
        ("up 1", "102", "down-1"),
        ("up 2", "021", "up-2"),
        ("up 0", "012", "rule-0-name"),
        ("remove 1", "02", "rule-2-name"),
        ("remove 2", "01", "rule-1-name"),
        ("up 9", "012", "rules-add"),
        ("fly 0", "012", "rule-0-name"),
        ("", "012", "rules-add"),
    ],
)
def test_rules_move_and_the_focus_stays_with_them(act: str, order: str, focus: str) -> None:
    places = places_in([GRAVE, LONG, GRAVE])
    after, on = acted(places, QueryDict(f"rules-act={act}"))
    assert ("".join(place.token for place in after), on) == (order, focus)


def test_what_is_missing_or_begun_is_said_at_its_field() -> None:
    made = document(LONG, GRAVE)
    wrong = {
        "rule-0-name": "",
        "rule-0-when-0-step-is": " , ",
        "rule-0-when-3-language-is": '"de',
        "rule-0-then-keep_from": "much",
        "rule-1-add-then": "review",
    }
    form = fields(made, sent(fields(made), **wrong))
    assert not form.is_valid()
    assert set(form.wrong) == set(wrong)


def test_tokens_of_somebody_elses_making_change_nothing_else() -> None:
    made = document(GRAVE)
    data = sent(fields(made), rules=["", "0", "0", "77", "x", "1e9"], rule__0__when=["0-risk", "0-fly", "5-step"])
    form = fields(made, data)
    assert [place.token for place in form.rules.places] == ["0", "77"]
    assert not form.is_valid()
    assert set(form.errors) == {"rule-0-when-5-step-is", "rule-77-name"}


def test_a_place_in_the_document_leads_to_its_field() -> None:
    form = fields(document(LONG, GRAVE))
    assert [
        form.field_of(path)
        for path in (
            "rules[0].name",
            "rules[0].when[0].is[1]",
            "rules[0].when[6].at_most",
            "rules[0].when[6]",
            "rules[0].when",
            "rules[0].then",
            "rules[0].then.review",
            "rules[0].then.guards",
            "rules[0].then.guards.models[1]",
            "rules[1].then.refuse",
            "rules[9].name",
            "steps[0].ladder[1].model",
            "steps[0].ladder[2].keep_from",
            "steps[0].gate.labels",
            "steps[0].review.when",
            "guards.regions",
            "pin",
        )
    ] == [
        "rule-0-name",
        "rule-0-when-0-step-is",
        "rule-0-when-6-signal-at_most",
        "rule-0-when-6-signal-name",
        "rule-0-add-when",
        "rule-0-add-then",
        "rule-0-add-then",
        "rule-0-then-guards-models",
        "rule-0-then-guards-models",
        "rule-1-then-refuse",
        None,
        "step-0-model-1",
        "step-0-rung-2",
        "step-0-labels",
        "step-0-when",
        "guards-regions",
        None,
    ]


def test_every_effect_of_the_engine_has_a_field() -> None:
    guards = {f"guards-{name}" for name in engine.policy.Guards.__struct_fields__}
    assert set(EFFECTS) == guards | set(engine.policy.Then.__struct_fields__) - {"guards"}


@pytest.fixture
def cast() -> casting.Cast:
    """The cast with a live policy."""
    made = casting.make_cast()
    casting.make_live(made)
    return made


@pytest.fixture
def lead(cast: casting.Cast) -> Client:
    """The lead's browser."""
    client = Client()
    client.force_login(cast.lead)
    return client


def facts() -> tuple[int, ...]:
    """What a look or a refusal must leave as it was."""
    return tuple(model.objects.count() for model in (Change, Revision, AuditEvent))


ABOUT = {"title": "Rules", "note": "For paid orders", "mode": "enforce"}
NEW = {"rules": ["", "n1"], "rule-n1-name": "Risky", "rule-n1-when": "n1-risk", "rule-n1-then": ["review"]}


@pytest.mark.django_db
def test_a_button_of_a_rule_keeps_all_that_was_typed(cast: casting.Cast, lead: Client) -> None:
    before, address = facts(), reverse("change_new", args=[cast.workflow.slug])
    said = ABOUT | NEW | {"step-0": "much", "rule-n1-when-n1-risk-at_least": "high", "rules-act": "add"}
    answer = lead.post(address, said)
    page = unescape(answer.content.decode())
    assert answer.status_code == 200
    for kept in ('value="much"', 'value="Risky"', '<option value="high" selected>', "For paid orders", 'value="Rules"'):
        assert kept in page
    assert 'name="rules" value="n2"' in page
    assert "Enter a number" not in page
    assert facts() == before


@pytest.mark.django_db
def test_a_rule_is_proposed_without_a_line_of_json(cast: casting.Cast, lead: Client) -> None:
    address = reverse("change_new", args=[cast.workflow.slug])
    lead.post(address, ABOUT | NEW | {"rule-n1-when-n1-risk-at_least": "high"})
    change = Change.objects.select_related("revision__version").get(title="Rules")
    (rule,) = change.revision.policy.document["rules"]
    assert (rule["name"], rule["when"]) == ("Risky", [{"type": "risk", "at_least": "high"}])
    assert (rule["then"]["review"], rule["then"]["guards"]) == (True, None)
    page = text(lead.get(reverse("change", args=[change.pk])))
    assert "Rule “Risky”: when the risk is high or graver, a person releases the answer." in page
    # Read from what is stored, with nothing typed, it is the same.
    stored = change.revision.policy.document
    assert read(stored) == stored


@pytest.mark.django_db
def test_what_the_engine_refuses_stands_at_its_field(cast: casting.Cast, lead: Client) -> None:
    before, address = facts(), reverse("change_new", args=[cast.workflow.slug])
    said = {"rules": ["", "n1"], "rule-n1-name": "Tag", "rule-n1-when": "n1-input_tokens"}
    answer = lead.post(address, ABOUT | said)
    page = unescape(answer.content.decode())
    assert answer.status_code == 422
    assert "Not submitted: the policy has 2 problems" in page
    assert '<a href="#id_rule-n1-when-n1-input_tokens-at_least">Rule 1: Tokens of the input</a>' in page
    assert "The condition has no bound: give at_least, at_most or both." in page
    assert '<a href="#id_rule-n1-add-then">' in page
    assert 'value="Tag"' in page
    assert facts() == before


@pytest.mark.django_db
def test_it_is_looked_at_while_it_is_typed(cast: casting.Cast, lead: Client) -> None:
    before, address = facts(), reverse("change_new", args=[cast.workflow.slug])
    for said, found in (
        ({"step-0": "0.6"}, "problem"),
        ({"step-0": "2"}, "less than or equal to 1"),
        ({"step-0-model-1": "lexicon"}, "lexicon is a rung already"),
    ):
        answer = lead.post(address, {"show": "faults", "mode": "enforce", **said})
        assert answer.status_code == 200
        said_of_it = answer.content.decode().partition('id="faults"')[2].partition("</form>")[0].partition("<form")[0]
        assert (found in said_of_it) is (found != "problem")
        assert "This field is required" not in said_of_it
    answer = lead.post(address, {"show": "faults", "whole": "1", "text": "{", "mode": "enforce"})
    assert "not JSON" in text(answer)
    assert facts() == before


@pytest.mark.django_db
def test_from_the_document_one_goes_back_to_fields_with_what_was_typed(cast: casting.Cast, lead: Client) -> None:
    address = reverse("change_new", args=[cast.workflow.slug])
    typed = ABOUT | {"whole": "1", "show": "fields", "text": json.dumps(document(GRAVE) | {"pin": "refuse"})}
    answer = lead.post(address, typed)
    page = unescape(answer.content.decode())
    assert answer.status_code == 200
    for kept in ('value="Grave"', "Ask a person.", 'value="Rules"', "For paid orders", '"pin": "refuse"'):
        assert kept in page
    # What it started from is the document that was typed, not the one that is live.
    base = json.dumps(document(GRAVE) | {"pin": "refuse"})
    lead.post(address, ABOUT | {"base": base, "step-0": "0.7"})
    made = Change.objects.select_related("revision__version").get(title="Rules").revision.policy.document
    assert (made["pin"], made["steps"][0]["gate"]["keep_from"], made["rules"][0]["name"]) == ("refuse", 0.7, "Grave")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"show": "whole", "step-0": "much"}, 'value="much"'),
        ({"show": "fields", "whole": "1", "text": "{"}, "not JSON"),
        ({"show": "fields", "whole": "1", "text": '{"format": 1, "steps": 7}'}, "It has no fields yet"),
        ({"show": "fields", "whole": "1", "text": "[]"}, "one JSON object"),
    ],
)
def test_what_cannot_be_read_stays_in_its_view(
    cast: casting.Cast, lead: Client, said: dict[str, str], found: str
) -> None:
    before = facts()
    answer = lead.post(reverse("change_new", args=[cast.workflow.slug]), ABOUT | said)
    page = unescape(answer.content.decode())
    assert answer.status_code == 422
    assert found in page
    assert "Not changed to the other view" in page
    assert "For paid orders" in page
    assert facts() == before


@pytest.mark.django_db
@pytest.mark.parametrize("base", ["", "{", "7", "[" * 100_000, '{"format": 2}'])
def test_a_base_that_is_no_policy_is_not_looked_at(cast: casting.Cast, lead: Client, base: str) -> None:
    lead.post(reverse("change_new", args=[cast.workflow.slug]), ABOUT | {"base": base, "step-0": "0.6"})
    made = Change.objects.select_related("revision__version").get(title="Rules").revision.policy.document
    assert made["steps"][0]["gate"]["keep_from"] == 0.6
