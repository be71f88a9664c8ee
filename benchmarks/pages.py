"""What lists cost where there is much to list. See `benchmarks.inside.pages`."""

import argparse
from collections.abc import Sequence

from benchmarks import installation, machine

parser = argparse.ArgumentParser(prog="./run bench pages", description="Measure every list on a database of its own.")
parser.add_argument("--workflows", type=int, default=2_000, help="in the register, with keys (%(default)s)")
parser.add_argument("--requests", type=int, default=100_000, help="decided and folded (%(default)s)")
parser.add_argument("--views", type=int, default=10, help="times that each page is asked for (%(default)s)")


def main(words: Sequence[str]) -> int:
    """Measure and report."""
    parser.parse_args(words)
    machine.check()
    print(f"pages: {machine.described()}", flush=True)
    return installation.run_inside("pages", words)
