"""What the audit log costs those who write, and how soon an entry is sealed. See `benchmarks.inside.audit`."""

import argparse
from collections.abc import Sequence

from benchmarks import installation, machine

parser = argparse.ArgumentParser(
    prog="./run bench audit", description="Measure the audit log on a database of its own."
)
parser.add_argument("--writers", type=int, default=8, help="processes that write at once (%(default)s)")
parser.add_argument("--seconds", type=float, default=10, help="that they write in each turn (%(default)s)")
parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of all turns (%(default)s)")
parser.add_argument("--entries", type=int, default=1_000_000, help="of the log that is verified (%(default)s)")


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    parser.parse_args(words)
    machine.check()
    print(f"audit: {machine.described()}", flush=True)
    return installation.run_inside("audit", words)
