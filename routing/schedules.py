"""Cron expressions: five fields, read in the organisation's reporting zone as Debian's cron reads them.

A job at a set time of day that a clock change skips runs as soon as the clock goes on; one that it repeats runs once.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from governance.errors import InvalidInput

FIELDS = 5
EXAMPLE = "such as 0 6 * * 1-5: at 06:00, Monday to Friday"
# Each turn asks every model every sample, and that costs.
LEAST_PAUSE = timedelta(hours=1)
TURNS_CHECKED = 50


def check(cron: str, *, now: datetime, zone: ZoneInfo) -> str:
    """Return the expression with single spaces. Raises InvalidInput, naming the field at fault."""
    written = " ".join(cron.split())
    if len(written.split()) != FIELDS:
        raise InvalidInput(f"cron: write minute, hour, day, month and weekday, {EXAMPLE}", field="cron")
    try:
        turns = [turn.astimezone(UTC) for turn in islice(CronSim(written, now.astimezone(zone)), TURNS_CHECKED)]
    except CronSimError as error:
        what = str(error).removeprefix("Bad ").replace("-", " ")
        raise InvalidInput(f"cron: the {what} cannot be read; write five fields, {EXAMPLE}", field="cron") from error
    if not turns:
        raise InvalidInput("cron: such a day never comes", field="cron")
    if any(later - earlier < LEAST_PAUSE for earlier, later in pairwise(turns)):
        raise InvalidInput("cron: once an hour is the most; name one minute, such as 0", field="cron")
    return written


def next_after(cron: str, after: datetime, *, zone: ZoneInfo) -> datetime:
    """Return the first turn after a moment, in UTC. For an expression that was checked."""
    for turn in CronSim(cron, after.astimezone(zone)):
        if turn > after:
            return turn.astimezone(UTC)
    raise ValueError(f"{cron!r} never comes")


def words(cron: str) -> str:
    """What an expression says, in words."""
    said = CronSim(cron, datetime.now(UTC)).explain()
    return said[:1].lower() + said[1:]
