"""The ledger's tables, by noun."""

from ledger.models.charges import Charge, Rollup
from ledger.models.decisions import Decision
from ledger.models.prices import Price
from ledger.models.savings import Baseline
from ledger.models.usage import UsageEvent, UsageQueue

__all__ = ["Baseline", "Charge", "Decision", "Price", "Rollup", "UsageEvent", "UsageQueue"]
