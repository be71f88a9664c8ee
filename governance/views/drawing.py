"""Policies as pages draw them: ladders of rungs and sentences."""

from dataclasses import dataclass

from governance.figures import Rung
from governance.kinds import KINDS
from governance.models import Change, Mode, Model, PolicyVersion, Revision, Workflow
from governance.paths import Difference, differences
from smallfirst.engine import describe
from smallfirst.engine.policy import Policy, Step

MODES = {
    Mode.OBSERVE: "It only observes: the model that a request names answers, and what the policy would do is recorded.",
    Mode.ENFORCE: "It enforces: the policy decides which model answers.",
}


@dataclass(frozen=True)
class Line:
    """One sentence of a policy: as it was and as it will be, None where it is new or gone, and its tier's colour."""

    before: str | None
    after: str | None
    tier: str

    @property
    def text(self) -> str:
        """What it says."""
        return self.after or self.before or ""


def tiers() -> dict[str, str]:
    """The tier of every registered model by its name."""
    return dict(Model.objects.values_list("name", "tier"))


def ladder(step: Step, tier_of: dict[str, str]) -> list[Rung]:
    """A step's rungs as planned, cheapest first, the person last where the step has one."""
    rungs = [
        Rung(
            tier=tier_of.get(rung.model, "small"),
            model=rung.model,
            state="planned",
            threshold=rung.keep_from if rung.keep_from is not None else (step.gate.keep_from if step.gate else None),
            word="then" if position else "first",
        )
        for position, rung in enumerate(step.ladder)
    ]
    if step.review:
        word = "always" if step.review.when == "always" else "if still unsure"
        rungs.append(Rung(tier="person", model=step.review.role, state="planned", word=word))
    return rungs


def steps(workflow: Workflow, policy: Policy) -> list[dict[str, object]]:
    """Each step of the policy with the purpose the workflow gives it and its drawn ladder."""
    tier_of = tiers()
    purposes = {step.name: step.purpose for step in workflow.steps.all()}
    return [
        {
            "name": step.name if step.name != "*" else "any other",
            "purpose": purposes.get(step.name, ""),
            "rungs": ladder(step, tier_of),
            "label": f"Ladder of step {step.name}",
        }
        for step in policy.steps
    ]


def first_ladder(policy: Policy, tier_of: dict[str, str]) -> list[Rung]:
    """The ladder of the first step, for a row in a table."""
    return ladder(policy.steps[0], tier_of) if policy.steps else []


def lines(policy: Policy) -> list[Line]:
    """What the policy says, sentence by sentence."""
    return [Line(text, text, tier or "") for _path, text, tier in describe.sentences(policy)]


def chapters(policy: Policy) -> list[tuple[str, list[Line]]]:
    """What the policy says under headings: for every request, step by step, and its rules."""
    names = {f"steps[{index}]": step.name for index, step in enumerate(policy.steps)}
    named = {rung.model for step in policy.steps for rung in step.ladder}
    found: dict[str, list[Line]] = {}
    for path, text, tier in describe.sentences(policy):
        place = path.partition(".")[0]
        heading = "Every request"
        if place in names:
            heading = f"Step {names[place]}" if names[place] != "*" else "Any other step"
            # What the engine says of a step begins with its name; a model's own name is never spelled another way.
            said = text.partition(", ")[2]
            text = said if said.split()[0] in named else said[:1].upper() + said[1:]
        elif place.startswith("rules"):
            heading = "Rules"
        found.setdefault(heading, []).append(Line(text, text, tier or ""))
    return list(found.items())


def changed(change: Change, *, before: PolicyVersion | None = None) -> list[Line]:
    """What a change's revision changes, in sentences. Needs what that leads to and starts from, with its revision.

    `before` stands for what it starts from, where only an emergency had made that live.
    """
    revision = change.revision
    base = before or revision.starts_from
    said = KINDS[change.kind].difference(base.document if base else None, revision.leads_to.document)
    mode = [] if revision.content else mode_difference(revision, before or revision.base_version)
    return [*mode, *(Line(was, will, "") for was, will in said)]


def paths(revision: Revision, *, before: PolicyVersion | None = None) -> list[Difference]:
    """The same by paths of a revision's document; none for what starts from nothing. `before` is as for `changed`."""
    base = before or revision.starts_from
    return differences(base.document, revision.leads_to.document) if base else []


def mode_difference(revision: Revision, base: PolicyVersion | None) -> list[Line]:
    """What changes from a version in how far the policy decides; nothing where that stays. Needs `base.revision`."""
    before = MODES[Mode(base.revision.mode)] if base else None
    after = MODES[Mode(revision.mode)]
    return [] if before == after else [Line(before, after, "")]


def difference(before: Policy | None, after: Policy) -> list[Line]:
    """What changes from one policy to the next, or all that the first one says."""
    return [Line(each.before, each.after, "") for each in describe.difference(before, after)]
