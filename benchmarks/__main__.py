"""`./run bench NAME [options]`: one command for each measure; the last lines of each are JSON, one a measure."""

import sys

from benchmarks import audit, decide, gateway, ledger, pages, simulation, start
from benchmarks.measures import Void
from config.up.install import InstallError
from config.up.services import ServiceUnavailableError
from config.up.supervisor import NotReadyError, ProcessDiedError

COMMANDS = {
    "gateway": gateway.main,
    "decide": decide.main,
    "ledger": ledger.main,
    "start": start.main,
    "pages": pages.main,
    "audit": audit.main,
    "simulation": simulation.main,
}

FAILURES = (Void, InstallError, NotReadyError, ProcessDiedError, ServiceUnavailableError, TimeoutError)


def main() -> int:
    """Run the one that is named."""
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        print(f"usage: ./run bench {'|'.join(COMMANDS)} [options]; --help after a name tells its options")
        return 2
    try:
        return COMMANDS[sys.argv[1]](sys.argv[2:])
    except FAILURES as error:
        print(f"nothing was measured: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
