"""Lists: their rows in the order the address asks for, a page of them at a time."""

from collections.abc import Mapping
from typing import Any, TypeVar

from django.core.paginator import Page, Paginator
from django.db.models import F, QuerySet
from django.http import HttpRequest

ROWS = 50

Rows = TypeVar("Rows", bound="QuerySet[Any]")
Row = TypeVar("Row")


def in_order(rows: Rows, request: HttpRequest, columns: Mapping[str, str], usual: str = "") -> Rows:
    """Return the rows by the column that `?sort=` names, turned round by a leading minus.

    `columns` leads from the names of sortable columns to lookups. Any other text gives the order of the column `usual`
    or, without one, that of the rows themselves. What is not known stands last in both directions.
    """
    wanted = request.GET.get("sort", "")
    if wanted.removeprefix("-") not in columns:
        wanted = usual
    if not wanted:
        return rows
    column = F(columns[wanted.removeprefix("-")])
    turned = wanted.startswith("-")
    # Equal rows keep one order, or a row could stand on two pages and another one on none.
    return rows.order_by(column.desc(nulls_last=True) if turned else column.asc(nulls_last=True), "pk")


def page_of(rows: "QuerySet[Any, Row]", request: HttpRequest) -> Page[Row]:
    """Return the page that `?page=` names, else the first."""
    return Paginator(rows, ROWS).get_page(request.GET.get("page"))
