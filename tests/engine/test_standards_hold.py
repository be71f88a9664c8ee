"""Standards: what an organisation and a team set above the policies of their workflows."""

from typing import Any

import msgspec
import pytest

from smallfirst import engine
from smallfirst.engine import Held, PolicyError, Refusal, Registry
from smallfirst.engine.policy import Guards, LanguageIs, Restriction, Standard, StandardRule, StepIs
from tests.engine.made import (
    LEXICON,
    attempted,
    concluded,
    left_out_of,
    make_document,
    make_facts,
    make_plan,
    make_policy,
    make_review,
    make_rule,
    make_snapshot,
    make_standard,
    make_step,
    models_of,
    planned,
    refused,
    with_standards,
)

GERMAN = LanguageIs(is_=("de",))
OURS = make_standard(
    guards=Guards(hosting=("self",)),
    rules=(StandardRule(name="no German", when=(GERMAN,), then=Restriction(refuse="German is for people.")),),
)
CARE = make_standard(2, "the standard of Care", guards=Guards(licences=("MIT",)))
BOTH = with_standards(OURS, CARE)


def held(*without: str, of: Any = OURS) -> tuple[Held, ...]:
    return (Held(standard=of.id, without=without),)


def test_the_standards_of_organisation_and_team_narrow_together_and_say_which_did() -> None:
    plan = planned(registry=BOTH)

    assert models_of(plan) == ["lexicon"]
    assert left_out_of(plan) == {
        "minilm": ("licence", "the standard of Care does not allow licence Apache-2.0"),
        "grand": ("hosting", "the organisation’s standard does not allow hosted models"),
    }


def test_a_standard_holds_only_for_the_workflows_that_it_is_held_by() -> None:
    assert models_of(planned(registry=BOTH, standards=())) == ["lexicon", "minilm", "grand"]
    assert models_of(planned(registry=BOTH, standards=held(of=CARE))) == ["lexicon"]


def test_a_rule_of_a_standard_fires_before_the_policys_and_is_named_with_whose_it_is() -> None:
    policy = make_policy(rules=(make_rule("care", when=(GERMAN,), start="mid"),))
    refusal = refused(policy, facts=make_facts(language="de"), registry=BOTH)

    assert (refusal.clause, refusal.text) == ("rule", "German is for people.")
    assert refusal.rules == ("no German (the organisation’s standard)", "care")


def test_who_is_excepted_from_a_part_is_held_to_the_others() -> None:
    from_hosting = planned(registry=BOTH, standards=held("guards.hosting"), facts=make_facts(language="fr"))
    assert models_of(from_hosting) == ["lexicon", "minilm", "grand"]
    refused(registry=BOTH, standards=held("guards.hosting"), facts=make_facts(language="de"))

    from_rule = planned(registry=BOTH, standards=held("rules[no German]"), facts=make_facts(language="de"))
    assert models_of(from_rule) == ["lexicon", "minilm"]


def test_an_exception_from_a_part_that_no_standard_has_changes_nothing() -> None:
    assert planned(registry=BOTH, standards=held("guards.regions", "rules[gone]")) == planned(
        registry=BOTH, standards=held()
    )


def test_a_rule_of_a_standard_can_ask_for_a_person() -> None:
    always = StandardRule(name="a person looks", when=(StepIs(is_=("sentiment",)),), then=Restriction(review=True))
    registry = with_standards(make_standard(rules=(always,)))
    reviewed = planned(make_policy(make_step(review=make_review())), registry=registry)

    assert reviewed.review is not None
    assert reviewed.review.when == "always"
    assert reviewed.review_rule == "a person looks (the organisation’s standard)"


def test_standards_hold_too_where_a_policy_is_only_watched_but_for_their_reviews() -> None:
    reviews = StandardRule(name="a person looks", then=Restriction(review=True, guards=Guards(licences=("MIT",))))
    ours = make_standard(guards=Guards(hosting=("self",)), rules=(*OURS.standard.rules, reviews))
    policy = make_policy(make_step(review=make_review()))

    def asked(model: str, **facts: Any) -> engine.Plan | Refusal:
        registry = with_standards(ours)
        return make_plan(policy, registry=registry, mode="observe", facts=make_facts(model=model, **facts))

    served = asked("lexicon")
    assert isinstance(served, engine.Plan)
    assert (models_of(served), served.review) == (["lexicon"], None)
    for model, clause in (("grand", "hosting"), ("minilm", "licence")):
        kept_out = asked(model)
        assert isinstance(kept_out, Refusal)
        assert kept_out.clause == clause
    german = asked("lexicon", language="de")
    assert isinstance(german, Refusal)
    assert german.clause == "rule"


def test_a_request_is_told_by_which_standards_it_was_decided_and_from_what_it_was_excepted() -> None:
    standards = (Held(standard=OURS.id, without=("guards.hosting", "rules[no German]")), Held(standard=CARE.id))
    snapshot = make_snapshot(registry=BOTH, standards=standards)

    reasons = engine.explain(concluded(snapshot, [attempted(0, LEXICON, confidence=0.9)]), snapshot)

    told = [reason for reason in reasons if reason.code == "standard"]
    assert [reason.sentence for reason in told] == [
        "Version 1 of the organisation’s standard held, without the hosting and rule “no German”, "
        "from which the workflow is excepted.",
        "Version 2 of the standard of Care held.",
    ]
    assert told[0].facts == {"standard": "the organisation’s standard", "version": 1}


def test_the_parts_of_a_standard_are_named_as_its_sentences_are() -> None:
    narrow = Guards(data_class="internal", regions=("eu",), max_cost="0.01", max_latency_ms=2000)
    rules = (*OURS.standard.rules, StandardRule(name="x]", then=Restriction(review=True)))
    standard = Standard(format=1, guards=narrow, rules=rules)

    sentences = engine.standard_sentences(standard)

    assert tuple(key for key, _text in sentences) == standard.part_keys()
    assert dict(sentences)["guards.regions"] == "Only endpoints in eu are asked."
    assert dict(sentences)["rules[no German]"] == (
        "Rule “no German”: when the language is de, the request is refused with “German is for people.”."
    )
    assert [engine.part_named(key) for key in standard.part_keys()] == [
        *("the clearance of models", "the regions", "the cost of a request", "the time of a request"),
        *("rule “no German”", "rule “x]”"),
    ]
    assert standard.without(standard.part_keys()) == Standard(format=1)


@pytest.mark.parametrize(
    ("document", "path", "message"),
    [
        ({"format": 1, "steps": []}, "steps", "there is no such field"),
        ({"format": 1, "rules": [{"name": "x", "then": {"start": "mid"}}]}, "rules[0].then.start", "there is no such"),
        ({"format": 1, "rules": [{"name": "x", "then": {}}, {"then": {}}]}, "rules[1].name", "this field is missing"),
        ({"format": 1, "guards": {"hosting": ["moon"]}}, "guards.hosting[0]", "“moon” is not allowed here"),
        ({"format": 2}, "format", "2 is not allowed here"),
    ],
)
def test_what_has_not_the_shape_of_a_standard_is_refused_by_place(
    document: dict[str, Any], path: str, message: str
) -> None:
    """A standard makes no choices: these are the policy's."""
    with pytest.raises(PolicyError) as refusal:
        engine.read_standard(document)

    assert [problem.path for problem in refusal.value.problems] == [path]
    assert message in refusal.value.problems[0].message


def test_a_snapshot_with_standards_is_read_from_its_text() -> None:
    document = make_document(make_policy(), BOTH)

    read = engine.read_snapshot(msgspec.json.encode(document))

    assert [each.name for each in read.workflows[document.workflows[0].id].standards] == [OURS.name, CARE.name]
    assert Registry(models=(), endpoints=(), prices=()).standards == ()
