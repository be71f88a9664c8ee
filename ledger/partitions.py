"""Monthly partitions of the large tables: made ahead of time, so that rows find their place when their month begins."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db import connection

AHEAD = 3
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def lowest_id(moment: datetime) -> UUID:
    """The lowest UUID of a moment's millisecond, as `ledger_floor` has it: every UUIDv7 made then or later is above."""
    return UUID(int=max((moment - EPOCH) // timedelta(milliseconds=1), 0) << 80)


def ensure(*, first: date, last: date) -> list[str]:
    """Make the partitions of the months from `first` to `last`, both included, that are missing; return their names.

    Rows that came before their month had a partition move into it. Run as often as you like, by the application too:
    a function of the tables' owner does the work (migration 0002). Raises OperationalError when other transactions
    hold a table for more than five seconds; the next run does it then.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_ensure_partitions(%s, %s)", [first, last])
        return [name for (name,) in cursor.fetchall()]


def ensure_ahead(*, today: date, months: int = AHEAD) -> list[str]:
    """Make the partitions of this month (UTC) and of the `months` after it; return the names of those made."""
    ahead = today.month - 1 + months
    return ensure(first=today, last=date(today.year + ahead // 12, ahead % 12 + 1, 1))
