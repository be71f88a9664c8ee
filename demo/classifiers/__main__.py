"""`python -m demo.classifiers --port P` serves the models; `--report` measures them on texts that none has seen."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import uvicorn

from config.state import state_path
from demo.classifiers.server import Application, Preparation

KEY = "SMALLFIRST_DEMO_MODELS_KEY"


def main() -> int:
    """Run what the command line asks for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m demo.classifiers", description=__doc__)
    asked = parser.add_mutually_exclusive_group(required=True)
    asked.add_argument("--port", type=int, help="serve on this port")
    asked.add_argument("--report", action="store_true", help="print accuracy, calibration, speed and the cascade")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on (%(default)s)")
    arguments = parser.parse_args()
    if arguments.report:
        # Statistics take a second to import, which serving need not pay.
        root = Path(__file__).parents[2]
        return subprocess.run([sys.executable, "-m", "demo.classifiers.report"], cwd=root, check=False).returncode
    key = os.environ.get(KEY)
    if not key:
        parser.error(f"{KEY} is not set: callers present it as their API key")
    return serve(arguments.host, arguments.port, key)


def serve(host: str, port: int, key: str) -> int:
    """Serve until TERM or Ctrl-C, then finish what is running; 1 if the models cannot be made ready."""

    def stop() -> None:
        server.should_exit = True

    preparation = Preparation(state_path() / "models", on_failure=stop)
    settings = uvicorn.Config(
        Application(key, preparation),
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    server = uvicorn.Server(settings)
    server.run()
    return 1 if preparation.failed else 0


if __name__ == "__main__":
    sys.exit(main())
