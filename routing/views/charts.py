"""How often a model is right at each confidence, as counts by tenths and as a drawing."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from django.db.models import Avg, Count, FloatField, Q
from django.db.models.functions import Cast, Floor, Least

from routing.models import Evaluation, EvaluationResult

TENTHS = 10
WIDE, HIGH = 24, 72
# Fewer than this say little; they are drawn paler.
FEW = 20


@dataclass(frozen=True)
class Tenth:
    """The answers of one model whose confidence lies in one tenth, from `tenth`/10 on."""

    tenth: int
    n: int
    right: int
    sure: float

    @property
    def share(self) -> float:
        """How many of them are right, of 1."""
        return self.right / self.n

    @property
    def few(self) -> bool:
        """Whether too few to say much."""
        return self.n < FEW

    @property
    def x(self) -> int:
        """Left edge of the bar."""
        return self.tenth * WIDE

    @property
    def wide(self) -> int:
        """Width of the bar."""
        return WIDE - 3

    @property
    def end(self) -> int:
        """Right edge of the bar."""
        return self.x + self.wide

    @property
    def y(self) -> float:
        """Top of the bar."""
        return round(HIGH - self.high, 1)

    @property
    def high(self) -> float:
        """Height of the bar: the share that is right."""
        return round(max(HIGH * self.share, 1), 1)

    @property
    def mark(self) -> float:
        """Where the bar would end if answers were as often right as they are sure."""
        return round(HIGH - HIGH * self.sure, 1)

    @property
    def words(self) -> str:
        """The tenth as people write it."""
        return words(self.tenth)


# In which tenth of confidence an answer lies, 0 to 9.
TENTH = Least(Floor(Cast("confidence", FloatField()) * TENTHS), TENTHS - 1.0)


def reliability(evaluation: Evaluation) -> dict[str, list[Tenth]]:
    """Return, for each model that told how sure it was, its answers by tenths of confidence, rising; one query."""
    rows = (
        EvaluationResult.objects.filter(evaluation=evaluation, outcome="ok", confidence__isnull=False)
        .annotate(tenth=TENTH)
        .values_list("model", "tenth")
        .annotate(n=Count("pk"), right=Count("pk", filter=Q(correct=True)), sure=Avg("confidence"))
        .order_by("tenth")
    )
    found: dict[str, list[Tenth]] = {}
    for model, place, n, right, sure in rows:
        found.setdefault(model, []).append(Tenth(int(place), n, right, sure))
    return {model: found[model] for model in evaluation.ladder if model in found}


def words(tenth: int) -> str:
    """A tenth as people write it: 0.9 to 1.0."""
    return f"{tenth / TENTHS:.1f} to {(tenth + 1) / TENTHS:.1f}"


def as_table(found: Mapping[str, Iterable[Tenth]]) -> list[tuple[str, list[tuple[str, Tenth | None]]]]:
    """The same as rows, the surest first: the tenth in words, then each model with its answers there, if any."""
    by_model = {model: {each.tenth: each for each in tenths} for model, tenths in found.items()}
    places = sorted({place for tenths in by_model.values() for place in tenths}, reverse=True)
    return [(words(place), [(model, tenths.get(place)) for model, tenths in by_model.items()]) for place in places]
