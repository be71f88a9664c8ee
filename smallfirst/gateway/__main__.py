"""Runs a gateway: `python -m smallfirst.gateway --host 127.0.0.1 --port 8001`, told by its environment."""

import argparse
import os
import sys

import uvicorn

from smallfirst.gateway.app import Gateway
from smallfirst.gateway.logs import write_logs
from smallfirst.gateway.settings import SettingsError, read_settings


def main() -> int:
    """Serve until told to stop: TERM and INT let running requests finish, then upload and leave."""
    parser = argparse.ArgumentParser(prog="python -m smallfirst.gateway", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    arguments = parser.parse_args()
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"smallfirst.gateway: {error}\n")
        return 2
    write_logs(settings.log_level)
    uvicorn.run(
        Gateway(settings),
        host=arguments.host,
        port=arguments.port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=round(settings.drain_seconds),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
