"""What a verb says when it refuses, and the one way a row is checked before it is written."""

import unicodedata
from collections.abc import Collection, Sequence
from typing import TypeVar

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, models, transaction

from smallfirst.engine import Problem

Row = TypeVar("Row", bound=models.Model)


class GovernanceError(Exception):
    """A verb refused and wrote nothing. The text says why and what to do; `field` names the input at fault."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidInput(GovernanceError):
    """An input that a table or its constraints do not take."""


class InvalidDocument(GovernanceError):
    """A governed document that is none, or that could not be followed; `problems` names each place and its fix."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        first = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        place = f"{first.path}: " if first.path else ""
        super().__init__(f"{place}{first.message}; {first.fix}{more}", field=first.path or None)
        self.problems = tuple(problems)


def clean(field: str, value: str) -> str:
    """Return text trimmed and in Unicode's composed form (NFC). Raises InvalidInput for what no one can read.

    Line breaks and tabs are text; other control characters, NUL and lone surrogates are not.
    """
    text = unicodedata.normalize("NFC", value).strip()
    for character in text:
        if unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\r\t":
            raise InvalidInput(f"{field}: take out the control character U+{ord(character):04X}", field=field)
    return text


def store(row: Row, *, unchecked: Collection[str] = ()) -> Row:
    """Check a row against its fields and constraints and write it. Raises InvalidInput, naming field and fix.

    `unchecked` fields are left to PostgreSQL: keys of rows that follow in the same transaction, and its own defaults.
    """
    for field in row._meta.concrete_fields:
        value = getattr(row, field.attname)
        if isinstance(value, str) and isinstance(field, (models.CharField, models.TextField)):
            setattr(row, field.attname, clean(field.name, value))
    try:
        row.full_clean(exclude=unchecked)
        with transaction.atomic():
            row.save()
    except ValidationError as error:
        name, messages = next(iter(error.message_dict.items()))
        at_fault = None if name == NON_FIELD_ERRORS else name
        raise InvalidInput(f"{name}: {messages[0]}" if at_fault else messages[0], field=at_fault) from error
    except IntegrityError as error:
        # Someone else wrote the same between the check and the write.
        raise InvalidInput(_constraint_message(row, error)) from error
    return row


def _constraint_message(row: models.Model, error: IntegrityError) -> str:
    diagnosis = getattr(error.__cause__, "diag", None)
    name = getattr(diagnosis, "constraint_name", None)
    for constraint in row._meta.constraints:
        if constraint.name == name:
            return str(constraint.violation_error_message)
    return str(getattr(diagnosis, "message_primary", None) or error)
