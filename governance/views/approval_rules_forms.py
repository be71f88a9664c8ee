"""Approval rules as forms: rules, groups and freezes, each a row, and back to the one document they are."""

from datetime import UTC, datetime
from typing import Any

from django import forms
from django.http import QueryDict
from django.utils import timezone

from governance.approval_rules import KINDS, PARTS, ApprovalRules
from governance.models import DataClass, Environment, Grant, Risk, User
from governance.permissions import roles_with
from governance.views.forms import AboutForm

# Where a rule stands whose place is left open.
LAST = 1_001
WHEN = ("kinds", "environments", "risks", "data_classes", "parts")


def _several(label: str, choices: Any = (), help_text: str = "") -> forms.MultipleChoiceField:
    """Boxes of which any number may be ticked."""
    return forms.MultipleChoiceField(
        label=label, required=False, choices=choices, widget=forms.CheckboxSelectMultiple, help_text=help_text
    )


def _offer(form: forms.Form, name: str, choices: list[tuple[str, str]]) -> None:
    field = form.fields[name]
    if isinstance(field, forms.MultipleChoiceField):
        field.choices = choices


class RuleForm(forms.Form):
    """One rule: which changes it is for, and what they need."""

    name = forms.CharField(label="Name", max_length=200, help_text="Such as High risk in production.")
    place = forms.IntegerField(
        label="Place", required=False, min_value=1, max_value=1_000, help_text="1 is tried first; empty is last."
    )
    kinds = _several("For changes of", list(KINDS.items()), "None chosen asks nothing, here and below.")
    environments = _several("In")
    risks = _several("Where the risk is", Risk.choices)
    data_classes = _several("Where the data is", DataClass.choices)
    parts = _several("Of policies, those that touch", list(PARTS.items()))
    votes = forms.IntegerField(label="Votes needed", min_value=0, max_value=20, initial=1)
    groups = forms.CharField(
        label="Of them from groups",
        required=False,
        max_length=400,
        help_text="Short names, with a number where it is not one: legal, security 2.",
    )
    checks = _several("After", [("simulation", "a simulation that holds, which those who approve have seen")])
    cool_off_minutes = forms.IntegerField(
        label="Minutes of rest before it can become live", required=False, min_value=0, max_value=10_080
    )
    due_hours = forms.IntegerField(
        label="Hours within which votes are due",
        required=False,
        min_value=1,
        max_value=8_760,
        help_text="Voters are reminded at half of them, near their end and when they are over. Empty: no hour.",
    )
    expires_days = forms.IntegerField(
        label="Days after which it expires", required=False, min_value=1, max_value=365, help_text="Empty: never."
    )

    def __init__(self, *args: Any, environments: list[str], **kwargs: Any) -> None:
        """Offer the environments there are."""
        super().__init__(*args, **kwargs)
        _offer(self, "environments", [(name, name) for name in environments])

    def clean_groups(self) -> list[dict[str, Any]]:
        """Read `legal, security 2`."""
        found = []
        for said in filter(None, (part.strip() for part in self.cleaned_data["groups"].split(","))):
            name, _, votes = said.partition(" ")
            if votes and not votes.strip().isdecimal():
                raise forms.ValidationError(f"“{said}” is no group with a number: write such as legal 2.")
            found.append({"group": name, "votes": int(votes or 1)})
        return found

    def document(self) -> dict[str, Any]:
        """Return the rule as the document has it."""
        said = self.cleaned_data
        rule = {
            "name": said["name"],
            "when": {name: said[name] for name in WHEN},
            "votes": said["votes"],
            "groups": said["groups"],
            "checks": said["checks"],
            "cool_off_minutes": said["cool_off_minutes"] or 0,
        }
        return rule | {name: said[name] for name in ("due_hours", "expires_days") if said[name]}


class GroupForm(forms.Form):
    """A group of people whose votes rules ask for."""

    name = forms.SlugField(label="Short name", max_length=60, widget=forms.TextInput(attrs={"class": "mono"}))
    title = forms.CharField(label="Name", max_length=200)
    members = _several("Members", help_text="Everybody who holds a role that votes.")

    def __init__(self, *args: Any, voters: list[tuple[str, str]], **kwargs: Any) -> None:
        """Offer the people who may vote."""
        super().__init__(*args, **kwargs)
        _offer(self, "members", voters)

    def document(self) -> dict[str, Any]:
        """Return the group as the document has it."""
        return {name: self.cleaned_data[name] for name in ("name", "title", "members")}


class FreezeForm(forms.Form):
    """A time in which nothing becomes live."""

    name = forms.CharField(label="Name", max_length=200, help_text="Such as Christmas trade.")
    environments = _several("In", help_text="None chosen is all of them.")
    start = forms.DateTimeField(label="From")
    end = forms.DateTimeField(label="Until")

    def __init__(self, *args: Any, environments: list[str], **kwargs: Any) -> None:
        """Offer the environments there are."""
        super().__init__(*args, **kwargs)
        _offer(self, "environments", [(name, name) for name in environments])
        for name in ("start", "end"):
            kind = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")
            self.fields[name].widget = kind
            self.fields[name].help_text = f"Time in {timezone.get_current_timezone_name()}."

    def document(self) -> dict[str, Any]:
        """Return the freeze as the document has it, in UTC."""
        said = self.cleaned_data
        return {
            "name": said["name"],
            "environments": said["environments"],
            "start": _utc(said["start"]),
            "end": _utc(said["end"]),
        }


class RulesForms:
    """The whole document as one page of forms; `add` is the kind of row that one more empty one is wanted of."""

    def __init__(self, given: QueryDict | None, rules: ApprovalRules, about: dict[str, Any]) -> None:
        """Start from rules; with `given` from what was typed."""
        adds = given is not None and "add" in given
        typed: dict[str, Any] = dict(given.items()) if adds and given is not None else about
        self.about = AboutForm(None if adds else given, initial=typed)
        names = list(Environment.objects.serving().values_list("name", flat=True))
        self.rules = _rows(RuleForm, "rules", given, _rule_rows(rules), environments=names)
        self.groups = _rows(GroupForm, "groups", given, _group_rows(rules), voters=_voters())
        self.freezes = _rows(FreezeForm, "freezes", given, _freeze_rows(rules), environments=names)

    @property
    def parts(self) -> "list[tuple[str, str, str, forms.BaseFormSet[Any]]]":
        """Heading, the word for one, what it is for, and the rows."""
        return [
            (
                "Rules",
                "rule",
                "What a change needs. An environment’s own number of votes is always the least.",
                self.rules,
            ),
            ("Groups", "group", "People whose votes rules ask for.", self.groups),
            ("Freezes", "freeze", "Times in which nothing becomes live; approval rules do.", self.freezes),
        ]

    def is_valid(self) -> bool:
        """Whether every row fits, each asked so that each says its faults."""
        return all([self.about.is_valid(), self.rules.is_valid(), self.groups.is_valid(), self.freezes.is_valid()])

    def document(self) -> dict[str, Any]:
        """Return the document that was typed. For valid forms."""
        ordered = sorted(_kept(self.rules), key=lambda row: row.cleaned_data["place"] or LAST)
        return {
            "format": 1,
            "rules": [row.document() for row in ordered],
            "groups": [row.document() for row in _kept(self.groups)],
            "freezes": [row.document() for row in _kept(self.freezes)],
        }


def _rows(form: type[forms.Form], prefix: str, given: QueryDict | None, rows: list[dict[str, Any]], **also: Any) -> Any:
    """The rows of one kind. While one more is asked for, nothing is said yet of what was typed in the others."""
    adds = given.get("add") if given is not None else None
    if adds is None:
        make = forms.formset_factory(form, extra=0 if rows else 1, can_delete=True, max_num=100)
        return make(given, prefix=prefix, initial=rows, form_kwargs=also)
    typed = forms.formset_factory(form, can_delete=True, max_num=100)(given, prefix=prefix, form_kwargs=also)
    rows = [{name: row[name].value() for name in row.fields} for row in typed if row.has_changed()]
    more = 1 if adds == prefix.removesuffix("s") or not rows else 0
    return forms.formset_factory(form, extra=more, can_delete=True, max_num=100)(
        prefix=prefix, initial=rows, form_kwargs=also
    )


def _kept(rows: Any) -> list[Any]:
    """The rows that were filled in and not taken out."""
    return [row for row in rows if (row.initial or row.has_changed()) and not row.cleaned_data.get("DELETE")]


def _rule_rows(rules: ApprovalRules) -> list[dict[str, Any]]:
    return [
        {
            "name": rule.name,
            "place": number,
            **{name: list(getattr(rule.when, name)) for name in WHEN},
            "votes": rule.votes,
            "groups": ", ".join(
                each.group if each.votes == 1 else f"{each.group} {each.votes}" for each in rule.groups
            ),
            "checks": list(rule.checks),
            "cool_off_minutes": rule.cool_off_minutes or None,
            "due_hours": rule.due_hours,
            "expires_days": rule.expires_days,
        }
        for number, rule in enumerate(rules.rules, start=1)
    ]


def _group_rows(rules: ApprovalRules) -> list[dict[str, Any]]:
    return [
        {"name": group.name, "title": group.title, "members": [str(member) for member in group.members]}
        for group in rules.groups
    ]


def _freeze_rows(rules: ApprovalRules) -> list[dict[str, Any]]:
    return [
        {"name": each.name, "environments": list(each.environments), "start": each.start, "end": each.end}
        for each in rules.freezes
    ]


def _voters() -> list[tuple[str, str]]:
    voting = Grant.objects.in_force().filter(role__in=roles_with("changes.vote"))
    people = User.objects.filter(pk__in=voting.values("user"), is_active=True).order_by("name")
    return [(str(key), name) for key, name in people.values_list("pk", "name")]


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
