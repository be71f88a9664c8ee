"""Batches of records from gateways: how they are read, what may be said of whom, how new rows are stored at once."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import msgspec
from django.db import connection, transaction

from governance.models import ApiKey, Endpoint, Gateway
from smallfirst.records import RefusedRecord

MOST_RECORDS = 5_000


class Located(Protocol):
    """What every record says of where it belongs, by id."""

    @property
    def id(self) -> str: ...
    @property
    def workflow(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def key(self) -> str: ...


R = TypeVar("R", bound=msgspec.Struct)


class _Identity(msgspec.Struct):
    """As much of a faulty record as may still be readable."""

    id: str | None = None


def decode(batch: Sequence[msgspec.Raw], kind: type[R]) -> tuple[list[R], list[RefusedRecord]]:
    """Return the records of a batch, each read on its own: the sound ones, and what is wrong with the others."""
    decoder = msgspec.json.Decoder(kind)
    sound: list[R] = []
    refused: list[RefusedRecord] = []
    for raw in batch:
        try:
            sound.append(decoder.decode(raw))
        except msgspec.DecodeError as error:
            refused.append(_named(raw, error))
    return sound, refused


def _named(raw: msgspec.Raw, error: msgspec.DecodeError) -> RefusedRecord:
    text = str(error)
    found = re.search(r" - at `\$\.?(.*)`$", text)
    path = found[1] if found else ""
    message = text[: found.start()] if found else text
    # A missing or unknown field stands in the message, the object it belongs to in the path.
    member = re.search(r"field `([^`]+)`", message)
    field = ".".join(part for part in (path, member[1] if member else "") if part)
    try:
        identity = (msgspec.json.decode(raw, type=_Identity).id or "")[:64] or None
    except msgspec.DecodeError:
        identity = None
    return RefusedRecord(id=identity, field=field, message=f"{message}.")


@dataclass(frozen=True)
class Known:
    """What the control plane knows of the keys and endpoints that a batch names."""

    environment: str
    workflow_of: dict[str, str]
    endpoints: frozenset[str]
    only_key: str | None

    @classmethod
    def of(cls, gateway: Gateway, *, keys: Iterable[str], endpoints: Iterable[str] = ()) -> Self:
        """Look them up in the gateway's environment, in at most two queries.

        A revoked key counts: what it did before is owed.
        """
        here = gateway.environment_id
        found = ApiKey.objects.filter(environment=here, id__in=set(keys)).values_list("id", "workflow_id")
        served = set(endpoints)
        places = Endpoint.objects.filter(environment=here, id__in=served).values_list("id", flat=True)
        return cls(
            str(here),
            {str(key): str(workflow) for key, workflow in found},
            frozenset(map(str, places)) if served else frozenset(),
            str(gateway.key_id) if gateway.key_id else None,
        )

    def fault(self, record: Located) -> tuple[str, str] | None:
        """Return field and message if a gateway of this environment may not say this, else None."""
        if record.environment != self.environment:
            return "environment", "This gateway’s credential belongs to another environment."
        if self.only_key not in (None, record.key):
            return "key", "An API key reports for itself alone."
        workflow = self.workflow_of.get(record.key)
        if workflow is None:
            return "key", "No key of this environment has this id."
        if workflow != record.workflow:
            return "workflow", "The key belongs to another workflow."
        return None


def store(*, table: str, columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Any]], insert: str) -> int:
    """Copy rows into a temporary twin of a table and run `insert`, which reads them there as `incoming`.

    `columns` are names with PostgreSQL types. Returns how many rows `insert` wrote; all are written, or none.
    """
    names = ", ".join(name for name, _ in columns)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMPORARY TABLE incoming (LIKE {table})")
        with cursor.copy(f"COPY incoming ({names}) FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types([kind for _, kind in columns])
            for row in rows:
                copy.write_row(row)
        cursor.execute(insert.format(columns=names))
        written: int = cursor.rowcount
        cursor.execute("DROP TABLE incoming")
        return written
