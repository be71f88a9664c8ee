"""Approval rules: what a change needs before it becomes live, the groups that are asked, and when nothing becomes live.

They are one document, governed as a policy is: changed by a change, in force by votes. Which rule applies and what it
asks for is said by the database alone (migrations 0002 and later), to pages and to the triggers of heads alike.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from governance import canonical
from governance.errors import InvalidDocument
from governance.models import ContentHead, ContentKind, Environment, Grant, User
from governance.permissions import roles_with
from smallfirst.engine import Problem
from smallfirst.engine.policy import Clause, DataClass, Name
from smallfirst.engine.reading import shape_problem
from smallfirst.engine.words import listed, plural

# The parts of a policy that a rule can single out, as they are said.
PARTS = {
    "mode": "whether it observes or enforces",
    "pin": "what a named model means",
    "guards": "guards",
    "rules": "rules",
    "ladder": "ladders",
    "start": "where triage starts",
    "gate": "gates",
    "review": "reviews",
    "limits": "limits",
}
# The kinds of changes that a rule can single out, as they are said.
KINDS = {
    "policy": "policies",
    "workflow": "workflow entries",
    "model": "model admissions",
    "standard": "standards",
    "exception": "exceptions from standards",
}
Slug = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"\A[a-z0-9]+(-[a-z0-9]+)*\Z")]
Votes = Annotated[int, Meta(ge=0, le=20)]


class When(Clause, frozen=True, kw_only=True):
    """Which changes a rule is for; an empty list asks nothing, and all of them must hold.

    `parts` are those of policies. Changes of approval rules themselves stand under no rule: one that nobody can follow
    could never be taken back.
    """

    kinds: tuple[Literal["policy", "workflow", "model", "standard", "exception"], ...] = ()
    environments: tuple[Slug, ...] = ()
    risks: tuple[Literal["minimal", "limited", "high"], ...] = ()
    data_classes: tuple[DataClass, ...] = ()
    parts: tuple[Literal["mode", "pin", "guards", "rules", "ladder", "start", "gate", "review", "limits"], ...] = ()


class OfGroup(Clause, frozen=True, kw_only=True):
    """How many of the votes must come from the members of a group."""

    group: Slug
    votes: Annotated[int, Meta(ge=1, le=20)] = 1


class ApprovalRule(Clause, frozen=True, kw_only=True):
    """What the changes it is for need: votes in all, votes of groups among them, minutes of rest, days until it ends.

    Rest, hours and days count from the moment the newest revision was written. Without `due_hours` no vote is due, and
    without `expires_days` a change never expires.
    `checks` must hold when it becomes live, and approvals count that saw the newest; a first version needs none.
    """

    name: Name
    when: When = When()
    votes: Votes = 1
    groups: Annotated[tuple[OfGroup, ...], Meta(max_length=20)] = ()
    cool_off_minutes: Annotated[int, Meta(ge=0, le=10_080)] = 0
    due_hours: Annotated[int, Meta(ge=1, le=8_760)] | None = None
    expires_days: Annotated[int, Meta(ge=1, le=365)] | None = None
    checks: Annotated[tuple[Literal["simulation"], ...], Meta(max_length=1)] = ()


class Group(Clause, frozen=True, kw_only=True):
    """People whose votes a rule can ask for; `members` are their keys."""

    name: Slug
    title: Name
    members: Annotated[tuple[UUID, ...], Meta(max_length=200)] = ()


class Freeze(Clause, frozen=True, kw_only=True):
    """A time, its end not included, in which nothing becomes live; in all environments where none is named."""

    name: Name
    environments: tuple[Slug, ...] = ()
    start: Annotated[datetime, Meta(tz=True)]
    end: Annotated[datetime, Meta(tz=True)]


class ApprovalRules(Clause, frozen=True, kw_only=True):
    """The whole document. The first rule that matches a change holds for it."""

    format: Literal[1] = 1
    groups: Annotated[tuple[Group, ...], Meta(max_length=100)] = ()
    rules: Annotated[tuple[ApprovalRule, ...], Meta(max_length=100)] = ()
    freezes: Annotated[tuple[Freeze, ...], Meta(max_length=100)] = ()


class InvalidApprovalRules(InvalidDocument):
    """The document is none of approval rules, or one that nobody could follow."""


def read(document: Mapping[str, Any]) -> ApprovalRules:
    """Return the rules a document holds. Raises InvalidApprovalRules for one of the wrong shape."""
    try:
        return msgspec.convert(document, ApprovalRules)
    except msgspec.ValidationError as error:
        raise InvalidApprovalRules([shape_problem("", error)]) from error


def check(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document in full, with every default written out. Raises InvalidApprovalRules, naming all at fault."""
    try:
        canonical.encode(document)
    except (ValueError, RecursionError) as error:
        raise InvalidApprovalRules([Problem("", f"it has no exact JSON form ({error})", "correct it")]) from error
    rules = read(document)
    problems = [*_group_problems(rules), *_rule_problems(rules), *_freeze_problems(rules)]
    if problems:
        raise InvalidApprovalRules(problems)
    full: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(rules))
    return full


def live() -> ApprovalRules:
    """Return the rules in force, empty ones where none were ever made; one query."""
    head = ContentHead.objects.select_related("content").get(kind=ContentKind.APPROVAL_RULES)
    return read(head.content.document) if head.content else ApprovalRules()


def sentences(documents: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Return what each of some documents says, sentences by key; one query."""
    read_ones = [read(document) for document in documents]
    names = names_of(*read_ones)
    return [dict(_sentences(rules, names)) for rules in read_ones]


def names_of(*documents: ApprovalRules) -> dict[UUID, str]:
    """Return the names of all members of groups; one query."""
    members = {member for rules in documents for group in rules.groups for member in group.members}
    return dict(User.objects.filter(pk__in=members).values_list("pk", "name"))


def _sentences(rules: ApprovalRules, names: Mapping[UUID, str]) -> Iterator[tuple[str, str]]:
    titles = {group.name: group.title for group in rules.groups}
    for number, rule in enumerate(rules.rules, start=1):
        yield f"rule {rule.name}", f"{number}. {rule.name}: {_asked(rule, titles)} for {for_whom(rule.when)}."
    if len(rules.rules) > 1:
        yield "order", "The first rule that matches holds; an environment’s own number of votes is always the least."
    for group in rules.groups:
        people = listed([names.get(member, "somebody unknown") for member in group.members])
        yield f"group {group.name}", f"{group.title}: {people or 'nobody'}."
    for freeze in rules.freezes:
        where = listed(list(freeze.environments)) or "any environment"
        yield (
            f"freeze {freeze.name}",
            f"{freeze.name}: nothing becomes live in {where} from {_moment(freeze.start)} to {_moment(freeze.end)}.",
        )


def asked(rule: ApprovalRule, rules: ApprovalRules) -> str:
    """Return what a rule asks for, as a part of a sentence."""
    return _asked(rule, {group.name: group.title for group in rules.groups})


def _asked(rule: ApprovalRule, titles: Mapping[str, str]) -> str:
    said = [plural(rule.votes, "vote")]
    for each in rule.groups:
        title = titles.get(each.group, each.group)
        said.append(f"{'all' if each.votes == rule.votes else each.votes} of them from {title}")
    if rule.votes == 1 and len(rule.groups) == 1:
        said = [f"1 vote from {titles.get(rule.groups[0].group, rule.groups[0].group)}"]
    if "simulation" in rule.checks:
        said.append("by a simulation that holds")
    if rule.cool_off_minutes:
        said.append(f"after a rest of {plural(rule.cool_off_minutes, 'minute')}")
    if rule.due_hours:
        said.append(f"due within {plural(rule.due_hours, 'hour')}")
    if rule.expires_days:
        said.append(f"within {plural(rule.expires_days, 'day')}")
    return ", ".join(said)


def for_whom(when: When) -> str:
    """Return which changes a rule is for, as a part of a sentence."""
    of = [PARTS[each] for each in when.parts] or [KINDS[each] for each in when.kinds]
    said = [f"changes of {listed(of, 'or')}" if of else "any change"]
    if when.environments:
        said.append(f"in {listed(list(when.environments), 'or')}")
    if when.risks:
        said.append(f"where the risk is {listed(list(when.risks), 'or')}")
    if when.data_classes:
        said.append(f"{'and' if when.risks else 'where'} the data is {listed(list(when.data_classes), 'or')}")
    return " ".join(said)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%-d %B %Y %H:%M UTC")


def _group_problems(rules: ApprovalRules) -> Iterator[Problem]:
    members = {member for group in rules.groups for member in group.members}
    voters = set(
        Grant.objects.in_force()
        .filter(user__in=members, role__in=roles_with("changes.vote"), user__is_active=True)
        .values_list("user_id", flat=True)
    )
    names = names_of(rules)
    yield from _twice("groups", [group.name for group in rules.groups])
    for index, group in enumerate(rules.groups):
        for member in group.members:
            if member not in voters:
                who = names.get(member, "somebody unknown")
                message = f"{who} may vote on no change"
                yield Problem(f"groups[{index}].members", message, "name people who hold a role that votes")


def _of_no_workflow(path: str, when: When) -> Iterator[Problem]:
    """Risk and data class are those of a workflow: asked of what is about none, they would never match."""
    for name in ("risks", "data_classes"):
        if getattr(when, name) and when.kinds and set(when.kinds) <= {"model", "standard"}:
            message = "models and standards are about no workflow, whose risk and data class these are"
            yield Problem(f"{path}.{name}", message, "name none, or another kind beside them")


def _rule_problems(rules: ApprovalRules) -> Iterator[Problem]:
    known = set(Environment.objects.values_list("name", flat=True))
    sizes = {group.name: len(set(group.members)) for group in rules.groups}
    yield from _twice("rules", [rule.name for rule in rules.rules])
    for index, rule in enumerate(rules.rules):
        path = f"rules[{index}]"
        if rule.due_hours and rule.expires_days and rule.due_hours > 24 * rule.expires_days:
            message = "votes would be due after it has expired"
            yield Problem(f"{path}.due_hours", message, "ask for them earlier, or let it wait for more days")
        yield from _unknown_environments(f"{path}.when", rule.when.environments, known)
        if rule.when.parts and rule.when.kinds and "policy" not in rule.when.kinds:
            message = "only policies have these parts, and the rule is for none"
            yield Problem(f"{path}.when.parts", message, "name no parts, or policies among the kinds")
        yield from _of_no_workflow(f"{path}.when", rule.when)
        for place, asked_of in enumerate(rule.groups):
            size = sizes.get(asked_of.group)
            where = f"{path}.groups[{place}]"
            if size is None:
                yield Problem(f"{where}.group", f"there is no group {asked_of.group}", "name one of `groups`")
            elif asked_of.votes > size:
                message = f"{asked_of.group} has only {plural(size, 'member')}"
                yield Problem(f"{where}.votes", message, "ask for fewer votes, or add members")
            if asked_of.votes > rule.votes:
                message = f"{asked_of.group} alone is asked for more votes than the rule"
                yield Problem(f"{path}.votes", message, f"ask for {asked_of.votes} or more in all")


def _freeze_problems(rules: ApprovalRules) -> Iterator[Problem]:
    known = set(Environment.objects.values_list("name", flat=True))
    yield from _twice("freezes", [freeze.name for freeze in rules.freezes])
    for index, freeze in enumerate(rules.freezes):
        yield from _unknown_environments(f"freezes[{index}]", freeze.environments, known)
        if freeze.end <= freeze.start:
            yield Problem(f"freezes[{index}].end", "it ends before it begins", "choose a later end")


def _unknown_environments(path: str, named: tuple[str, ...], known: set[str]) -> Iterator[Problem]:
    for name in named:
        if name not in known:
            yield Problem(
                f"{path}.environments", f"there is no environment {name}", f"use {listed(sorted(known), 'or')}"
            )


def _twice(path: str, names: list[str]) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield Problem(f"{path}[{index}].name", f"{name} stands here twice", "give each a name of its own")
