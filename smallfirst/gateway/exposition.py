"""What /metrics tells, in Prometheus' text format: what this process counted, and how it stands at this moment."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from smallfirst.gateway.feed import Bundle, Feed, GatewayState, Held
from smallfirst.gateway.metrics import Histogram, Metrics
from smallfirst.gateway.reviews import Reviews
from smallfirst.gateway.upload import Uploader
from smallfirst.spool import Spool

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4
PREFIX: Final = "smallfirst_gateway_"


class Exposition(Collector):
    """All metrics of a gateway, read when they are asked for."""

    def __init__(self, metrics: Metrics, *, feed: Feed, spool: Spool, uploader: Uploader, reviews: Reviews) -> None:
        self._metrics = metrics
        self._feed = feed
        self._spool = spool
        self._uploader = uploader
        self._reviews = reviews
        self._process = ProcessCollector(registry=None)

    def text(self) -> bytes:
        """The answer's body."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Yield each family once."""
        yield from self._requests()
        yield from self._attempts()
        yield from self._spooled(datetime.now(UTC))
        yield from self._documents(datetime.now(UTC))
        yield _gauge("reviews_open", "Reviews opened here that have not ended.", len(self._reviews))
        yield from self._process.collect()

    def _requests(self) -> Iterator[Metric]:
        metrics = self._metrics
        requests = _counter("requests", "Requests that are over.", "route", "outcome", "status")
        for labels, count in sorted(metrics.requests.items()):
            requests.add_metric(labels, count)
        yield requests
        # This one apart.
        yield _gauge("requests_in_flight", "Requests being answered.", metrics.in_flight - 1)
        whole = _histogram("request_seconds", "From a request’s start to its end, where a model was asked.", "route")
        first = _histogram("first_byte_seconds", "From a request’s start to its answer’s first byte.", "route")
        added = _histogram("added_seconds", "Of a request, all but waiting for its body and for models.", "route")
        for route, times in sorted(metrics.times.items()):
            _add(whole, [route], times.whole)
            _add(first, [route], times.first_byte)
            _add(added, [route], times.added)
        yield from (whole, first, added)

    def _attempts(self) -> Iterator[Metric]:
        attempts = _counter("attempts", "Attempts at models.", "model", "tier", "outcome")
        seconds = _counter("attempt_seconds", "Time spent in attempts.", "model", "tier")
        tokens = _counter("tokens", "Tokens that models counted, in disjoint kinds.", "model", "tier", "kind")
        costs = _counter("cost", "Cost of attempts where it is known; not the books.", "model", "tier", "currency")
        unpriced = _counter("attempts_unpriced", "Attempts whose cost is not known.", "model", "tier")
        for place, asked in sorted(self._metrics.models.items()):
            for outcome, count in sorted(asked.outcomes.items()):
                attempts.add_metric([*place, outcome], count)
            seconds.add_metric(place, asked.seconds)
            for kind, count in asked.tokens.items():
                tokens.add_metric([*place, kind], count)
            for currency, amount in sorted(asked.costs.items()):
                costs.add_metric([*place, currency], float(amount))
            unpriced.add_metric(place, asked.unpriced)
        yield from (attempts, seconds, tokens, costs, unpriced)

    def _spooled(self, now: datetime) -> Iterator[Metric]:
        oldest = self._spool.oldest()
        age = max(0.0, (now - oldest).total_seconds()) if oldest is not None else 0
        yield _gauge("spool_bytes", "Bytes that the control plane does not have yet.", self._spool.backlog())
        yield _gauge("spool_oldest_seconds", "Since the oldest record that waits; 0 when none does.", age)
        yield _gauge("spool_refused_records", "Records that the control plane refused.", self._spool.refused())
        lag = _histogram("upload_lag_seconds", "From a batch’s oldest record to the control plane having the batch.")
        _add(lag, [], self._metrics.upload_lag)
        yield lag
        failing = self._uploader.silence is not None
        yield _gauge("upload_failing", "1 while the control plane takes no uploads.", failing)

    def _documents(self, now: datetime) -> Iterator[Metric]:
        age = _labelled("document_age_seconds", "Since the control plane confirmed it, or else since it was issued.")
        serial = _labelled("document_serial", "Serial of the document in use.")
        expiry = _labelled("document_expires_timestamp_seconds", "When the document in use expires.")
        failing = _labelled("document_failing", "1 while polls bring nothing usable.")
        for held in (self._feed.bundle, self._feed.state):
            refused = held.refusal is not None and held.refusal.cause != "awaited"
            failing.add_metric([held.purpose], held.silence is not None or refused)
            if held.value is not None:
                age.add_metric([held.purpose], _age(held, now))
                serial.add_metric([held.purpose], held.value.payload.serial)
                expiry.add_metric([held.purpose], held.value.payload.expires_at.timestamp())
        yield from (age, serial, expiry, failing)


def _age(held: Held[Bundle] | Held[GatewayState], now: datetime) -> float:
    if held.confirmed is not None:
        return time.monotonic() - held.confirmed
    return max(0.0, (now - held.value.payload.issued_at).total_seconds()) if held.value else 0.0


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, text, labels=labels)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, value=value)


def _labelled(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, text, labels=["document"])


def _histogram(name: str, text: str, *labels: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(PREFIX + name, text, labels=labels)


def _add(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    """Add a histogram as Prometheus has it: each bucket counts those before it too."""
    bounds = [*map(str, histogram.bounds), "+Inf"]
    family.add_metric(labels, list(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
