"""Runs TensorZero's HTTP gateway, which its package carries; for the Python of the peer's own environment.

`python tensorzero_gateway.py CONFIG_FILE` prints the address and serves until killed. It keeps no records: TensorZero
writes those to a database of its own, which is left out, to its advantage.
"""

import signal
import sys

from tensorzero import _start_http_gateway


def main() -> None:
    """Start it and wait."""
    gateway = _start_http_gateway(
        config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
    )
    print(gateway.base_url, flush=True)
    signal.pause()


if __name__ == "__main__":
    main()
