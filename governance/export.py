"""Lists as CSV files: streamed, with numbers as numbers and text that no spreadsheet takes for a formula."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse


def csv_response(*, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> StreamingHttpResponse:
    """Answer with a file of this name, its columns and rows, sent while they are read."""
    response = StreamingHttpResponse(_lines(columns, rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def csv_of(rows: "QuerySet[Any]", *, name: str, lookups: Sequence[str]) -> StreamingHttpResponse:
    """Answer with all rows as a file of this name; its column `workflow_slug` holds the lookup `workflow__slug`."""
    cells = rows.prefetch_related(None).values_list(*lookups).iterator(chunk_size=2_000)
    return csv_response(name=name, columns=[lookup.replace("__", "_") for lookup in lookups], rows=cells)


class _Line:
    """What csv writes to: hands each line on."""

    def write(self, line: str) -> str:
        return line


def _lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(columns)
    for row in rows:
        yield writer.writerow([_cell(value) for value in row])


def _cell(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    # Decimal("0E-10") would stand as such.
    return f"{value:f}" if hasattr(value, "as_tuple") else value
