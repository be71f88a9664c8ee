"""What a gateway counts of its own work, since its process began; `exposition` says it in Prometheus' words.

A request adds to plain numbers, all on the event loop's thread, and formats nothing. No label comes from a caller:
routes and outcomes are fixed words, statuses ours, and of models the first MOST_MODELS that were asked have their own.
"""

from bisect import bisect_left
from collections import Counter
from decimal import Decimal
from typing import Final

from smallfirst.engine.compiled import Rates
from smallfirst.engine.policy import Tier
from smallfirst.gateway.attempts import Attempt
from smallfirst.gateway.exchange import Exchange
from smallfirst.gateway.upstream import Usage, cost_of

MOST_MODELS: Final = 100
# The model of all attempts above that.
OTHERS: Final = "other models"

# Upper bounds of the buckets, seconds.
WHOLE: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ADDED: Final = (0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
LAG: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)


class Histogram:
    """How many times fell below each bound, and their sum, in seconds."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Times:
    """How long the requests of one route took, those for which a model was asked."""

    def __init__(self) -> None:
        self.whole = Histogram(WHOLE)
        self.first_byte = Histogram(WHOLE)
        self.added = Histogram(ADDED)


class Asked:
    """What one model was asked for at one tier; `costs` by currency, of the attempts whose cost is known."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self.seconds = 0.0
        self.tokens: Counter[str] = Counter()
        self.costs: dict[str, Decimal] = {}
        self.unpriced = 0

    def add(self, outcome: str, seconds: float, usage: Usage, cost: tuple[Decimal, str] | None) -> None:
        """Count one attempt; tokens that are not known count nothing, and leave the attempt unpriced."""
        self.outcomes[outcome] += 1
        self.seconds += seconds
        self.tokens["input"] += usage.input_tokens or 0
        self.tokens["output"] += usage.output_tokens or 0
        self.tokens["cache_read"] += usage.cache_read_tokens
        self.tokens["cache_write"] += usage.cache_write_tokens
        if cost is None:
            self.unpriced += 1
        else:
            amount, currency = cost
            self.costs[currency] = self.costs.get(currency, Decimal(0)) + amount


class Metrics:
    """The counts of one gateway process."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, str, str]] = Counter()
        self.in_flight = 0
        self.times: dict[str, Times] = {}
        self.models: dict[tuple[str, Tier], Asked] = {}
        self.upload_lag = Histogram(LAG)

    def ended(self, exchange: Exchange, outcome: str) -> None:
        """Count a request that is over: `answered`, `left` by its caller, `stopped` with us, or an error's code."""
        route = "chat_stream" if exchange.streamed else route_of(exchange.path)
        self.requests[route, outcome, str(exchange.status or "none")] += 1
        if not exchange.asked:
            return
        times = self.times.get(route)
        if times is None:
            times = self.times[route] = Times()
        whole = exchange.seconds
        times.whole.add(whole)
        times.added.add(max(0.0, whole - exchange.waited))
        if exchange.first_byte is not None:
            times.first_byte.add(exchange.first_byte)

    def attempted(self, attempt: Attempt, seconds: float, rates: Rates | None) -> None:
        """Count an attempt, whatever came of it."""
        place = attempt.endpoint.model, attempt.tier
        asked = self.models.get(place)
        if asked is None:
            if len(self.models) >= MOST_MODELS:
                place = OTHERS, attempt.tier
            asked = self.models.setdefault(place, Asked())
        asked.add(attempt.outcome, seconds, attempt.usage, cost_of(attempt.usage, rates))


def route_of(path: str) -> str:
    """What a path is for, as one of a few words."""
    if path.startswith("/v1/reviews/"):
        return "review"
    return _ROUTES.get(path, "other")


_ROUTES: Final = {
    "/v1/chat/completions": "chat",
    "/v1/embeddings": "embeddings",
    "/v1/models": "models",
    "/healthz": "healthz",
    "/metrics": "metrics",
}
