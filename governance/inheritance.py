"""What another standard or exception does to the policies that are live: whom it holds, and who could not serve.

One under which a live policy that serves now could serve no more is refused with the reason: that policy is changed
first, or its workflow excepted from the part.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.utils import timezone

from governance import exceptions, policies, serving, standards
from governance.models import Change, Environment, Mode, PolicyHead, Team, Workflow
from governance.serving import Inherited
from governance.standards import InvalidStandard
from smallfirst import engine
from smallfirst.engine import Problem, Standard

# Of so many workflows at most a refusal says that they could not serve.
MOST_TOLD = 20


@dataclass(frozen=True)
class Effect:
    """What a change of a standard does to one workflow.

    `new`, `gone` and `other` are the parts that hold for it only after, only before, or otherwise; `excepted` those of
    the new ones from which it is excepted. `problems` say why its live policy could not serve.
    """

    workflow: Workflow
    new: tuple[str, ...]
    gone: tuple[str, ...]
    other: tuple[str, ...]
    excepted: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def touched(self) -> bool:
        """Whether anything else holds for it afterwards."""
        return bool(self.new or self.gone or self.other)

    @property
    def said(self) -> str:
        """What, in a sentence."""
        told = [
            f"{verb} {standards.parts_said(parts)}"
            for verb, parts in (
                ("is newly held to", self.new),
                ("is held no more to", self.gone),
                ("is held to another form of", self.other),
            )
            if parts
        ]
        text = f"It {', '.join(told)}" if told else "Nothing changes for it"
        if self.excepted:
            text += f"; it is excepted from {standards.parts_said(self.excepted)}"
        return f"{text}."


def check_standard(change: Change, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a standard in full. Raises InvalidStandard, naming every place at fault."""
    environment = _environment(change)
    ends = any(each.said for each in standards.live_in(environment) if _is_of(each.team, change))
    return standards.full(standards.checked(document, policies.registry(environment), ends=ends))


def refuse_unserved(change: Change, document: Mapping[str, Any]) -> None:
    """Raise InvalidStandard where a live policy that serves now could not under it; it can be proposed all the same.

    So whoever cannot follow yet is excepted, or changes his policy, while it is voted on.
    """
    broken = [each for each in effects(change, document) if each.problems]
    problems = [
        Problem(
            "",
            f"the policy of {each.workflow.name} could not serve: {each.problems[0].message}",
            f"change that policy first, or except {each.workflow.name} from the part",
        )
        for each in broken[:MOST_TOLD]
    ]
    if len(broken) > MOST_TOLD:
        problems.append(Problem("", f"{len(broken) - MOST_TOLD} more could not serve", "mend these first"))
    if problems:
        raise InvalidStandard(problems)


def check_exceptions(change: Change, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of exceptions in full. Raises InvalidExceptions, naming every place at fault."""
    found, environment = exceptions.checked(change, document), _environment(change)
    workflow = change.workflow
    if workflow is None:
        raise LookupError("exceptions are those of a workflow")
    now = serving.inherited(environment)
    then = replace(
        now, exceptions={**now.exceptions, workflow.pk: exceptions.by_level(found, exceptions.day_of(timezone.now()))}
    )
    heads = _heads(environment).filter(workflow=workflow)
    problems = [
        Problem(
            "", f"its live policy could not serve: {each.message}", "change that policy first, or keep the exception"
        )
        for head in heads
        for each in _broken(head, policies.registry(environment), now, then)
    ]
    if problems:
        raise exceptions.InvalidExceptions(problems)
    return exceptions.full(found)


def effects(change: Change, document: Mapping[str, Any]) -> list[Effect]:
    """Return what a document at the place of a change of a standard does to each workflow it holds for, by name.

    Those are the workflows with a live policy there, all or the team's. Eight queries, however many there are.
    """
    environment = _environment(change)
    now = serving.inherited(environment)
    then = replace(now, standards=standards.instead(now.standards, change, document))
    before = next((each.standard for each in now.standards if _is_of(each.team, change)), standards.EMPTY)
    after, level = standards.read(document), standards.level(change.for_team)
    registry = policies.registry(environment)
    heads = _heads(environment)
    if change.for_team_id is not None:
        heads = heads.filter(workflow__team=change.for_team_id)
    found = []
    for head in heads:
        without = now.exceptions.get(head.workflow_id, {}).get(level, set())
        problems = tuple(_broken(head, registry, now, then))
        found.append(_effect(head.workflow, before.without(without), after.without(without), after, problems))
    return found


def _effect(
    workflow: Workflow, before: Standard, after: Standard, whole: Standard, problems: tuple[Problem, ...]
) -> Effect:
    old, new = (dict(engine.standard_sentences(each)) for each in (before, after))
    return Effect(
        workflow=workflow,
        new=tuple(key for key in new if key not in old),
        gone=tuple(key for key in old if key not in new),
        other=tuple(key for key in new if key in old and new[key] != old[key]),
        excepted=tuple(key for key in whole.part_keys() if key not in new),
        problems=problems,
    )


def _broken(head: PolicyHead, registry: engine.Registry, now: Inherited, then: Inherited) -> Iterator[Problem]:
    """What would keep a live policy from serving that does not keep it now."""
    policy = policies.read(head.version.document)
    after = then.above(head.workflow).problems(policy, registry)
    if head.mode == Mode.OBSERVE:
        # Where a policy is only watched, standards hold without their reviews.
        after = [each for each in after if not each.path.endswith(".review")]
    if after:
        yield from serving.newly(now.above(head.workflow).problems(policy, registry), after)


def _heads(environment: Environment) -> Any:
    heads = PolicyHead.objects.of_workflows_in_use().filter(environment=environment)
    return heads.select_related("workflow__team", "version").order_by("workflow__name")


def _environment(change: Change) -> Environment:
    if change.environment is None:
        raise LookupError("standards and exceptions are those of an environment")
    return change.environment


def _is_of(team: Team | None, change: Change) -> bool:
    return (team.pk if team else None) == change.for_team_id
