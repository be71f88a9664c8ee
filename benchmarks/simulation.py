"""What a simulation of a change costs, over very many past requests. See `benchmarks.inside.simulation`."""

import argparse
from collections.abc import Sequence

from benchmarks import installation, machine

parser = argparse.ArgumentParser(
    prog="./run bench simulation", description="Measure simulations on a database of its own."
)
parser.add_argument("--requests", type=int, default=1_000_000, help="of the past (%(default)s)")
parser.add_argument(
    "--sample", type=int, default=5_000, help="of them that the engine decides, one by one (%(default)s)"
)
parser.add_argument("--rounds", type=int, default=5, help="of each measure (%(default)s)")
parser.add_argument("--rules", type=int, default=20, help="of the policy (%(default)s)")


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    parser.parse_args(words)
    machine.check()
    print(f"simulation: {machine.described()}", flush=True)
    return installation.run_inside("simulation", words)
