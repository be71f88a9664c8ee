"""What the ledger costs: storing usage, folding it, showing what was spent. See `benchmarks.inside.ledger`."""

import argparse
from collections.abc import Sequence

from benchmarks import installation, machine

parser = argparse.ArgumentParser(prog="./run bench ledger", description="Measure the ledger on a database of its own.")
parser.add_argument("--ingest", type=int, default=50_000, help="events stored in a round of ingest (%(default)s)")
parser.add_argument("--batch", type=int, default=500, help="events of a batch, each in its own commit (%(default)s)")
parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds of ingest (%(default)s)")
parser.add_argument("--events", type=int, default=1_000_000, help="events below the spend page (%(default)s)")
parser.add_argument("--workflows", type=int, default=50, help="that the events belong to (%(default)s)")
parser.add_argument("--views", type=int, default=15, help="times that each page is asked for (%(default)s)")


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    parser.parse_args(words)
    machine.check()
    print(f"ledger: {machine.described()}", flush=True)
    return installation.run_inside("ledger", words)
