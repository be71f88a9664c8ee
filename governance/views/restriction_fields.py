"""The fields that policies and standards share: guards for all requests, and rules in their order.

What has no field stays as it is in the document that the fields start from. The form carries that document along
(`base`), so that what is typed is read against what was seen.
"""

import copy
import json
import re
from collections.abc import Mapping
from typing import Any

from django import forms

from governance.views import document_fields as kinds
from governance.views.rule_fields import EFFECTS, Place, RuleFields, places_sent


class RestrictionFields(forms.Form):
    """What is never allowed, and what rules do; `effects` are those that a rule may have here."""

    effects: Mapping[str, str] = EFFECTS

    def __init__(
        self,
        data: Any = None,
        *,
        document: dict[str, Any],
        initial: Mapping[str, Any],
        places: tuple[Place, ...] | None = None,
    ) -> None:
        """Make the fields; `places` are the rules in their order, else those sent, else those of the document."""
        super().__init__(data, initial=dict(initial))
        self._base = document
        # What gets the focus when the page is there: the name of a field, or the id of a button.
        self.focus = ""
        self.fields |= {f"guards-{name}": field for name, field in kinds.guard_fields(document.get("guards") or {})}
        shown = places_sent(data) if places is None else places
        self.rules = RuleFields(self, document.get("rules") or (), shown, self.effects)

    def clean(self) -> dict[str, Any]:
        """Nothing of a rule may be lost that was begun."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        self.rules.clean()
        return said

    @property
    def base(self) -> str:
        """The document that the fields start from, as the form carries it."""
        return json.dumps(self._base, ensure_ascii=False)

    @property
    def guards(self) -> list[forms.BoundField]:
        """The fields of what holds for all steps."""
        return [self[name] for name in self.fields if name.startswith("guards-")]

    @property
    def guards_wrong(self) -> bool:
        """Whether something of them cannot be read."""
        return any(field.errors for field in self.guards)

    @property
    def wrong(self) -> list[str]:
        """The names of the fields of the document that cannot be read."""
        return [name for name in self.errors if name.startswith(("step-", "guards-", "rule-"))]

    def document(self) -> dict[str, Any]:
        """Return the base document with what was typed here; what was not sent, or not changed, stays as it was."""
        made = copy.deepcopy(self._base)
        for name, value in kinds.changed(self, "guards-", kinds.guard_fields(made.get("guards") or {})):
            made["guards"] = (made.get("guards") or {}) | {name: value}
        rules = self.rules.document()
        if rules != list(made.get("rules") or ()):
            made["rules"] = rules
        return made

    def field_of(self, path: str) -> str | None:
        """Return the name of the field where a place in the document was written; None where none was."""
        found = self.rules.field_of(path) or re.sub(r"^guards\.(\w+).*", r"guards-\1", path)
        return found if found in self.fields else None

    def place_words(self, name: str) -> str:
        """Return what a field is, as a list of what is wrong names it."""
        return self.rules.words_of(name) or str(self.fields[name].label)
