"""The product's processes: their commands, environments, and how each is known to be ready."""

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from config import state as places
from config.up.services import clean_environment
from config.up.supervisor import Process
from routing.keys import audit_public_key, root_public_key
from smallfirst.origins import SUPPLIERS, VARIABLE

ROOT = Path(__file__).parents[2]
# What only the control plane may know; the data plane has no database.
CONTROL_ONLY = (
    "DATABASE_URL",
    "MIGRATION_DATABASE_URL",
    "BROKER_URL",
    "SMALLFIRST_KEYS",
    "SMALLFIRST_METRICS_TOKEN",
    "SMALLFIRST_EMAIL_PASSWORD",
)


@dataclass(frozen=True)
class Ports:
    """The TCP ports, all on 127.0.0.1. The models' are used by the demo alone, development's gateway without it."""

    web: int
    gateway: int
    classifiers: int
    smollm2: int
    development: int


@dataclass(frozen=True)
class Installation:
    """One installation as `up` runs it. `traffic`: the demo's past is imported, and requests of its own go on."""

    state: Path
    ports: Ports
    demo: bool
    traffic: bool = False

    @property
    def keys(self) -> Path:
        """The directory of the key files."""
        return Path(os.environ.get("SMALLFIRST_KEYS") or self.state / "keys")

    @property
    def pages_url(self) -> str:
        """The address of the pages."""
        return os.environ.get("SMALLFIRST_PUBLIC_URL") or f"http://127.0.0.1:{self.ports.web}"

    @property
    def control_url(self) -> str:
        """Where the gateways find the control plane: behind a proxy with TLS there, for it answers nothing else."""
        return self.pages_url if self.pages_url.startswith("https:") else f"http://127.0.0.1:{self.ports.web}"

    @property
    def gateway_url(self) -> str:
        """The address of the gateway."""
        return os.environ.get("SMALLFIRST_GATEWAY_URL") or f"http://127.0.0.1:{self.ports.gateway}"

    @property
    def development_url(self) -> str:
        """The address of development's gateway, where a first policy needs nobody's vote; empty where none runs."""
        return "" if self.demo else f"http://127.0.0.1:{self.ports.development}"

    def common(self) -> dict[str, str]:
        """What every process gets."""
        return clean_environment() | {
            "PYTHONUNBUFFERED": "1",
            # A crash in native code leaves in the log where it happened.
            "PYTHONFAULTHANDLER": "1",
            "SMALLFIRST_STATE": str(self.state),
            "SMALLFIRST_PUBLIC_URL": self.pages_url,
            "SMALLFIRST_GATEWAY_URL": self.gateway_url,
        }

    def control(self) -> dict[str, str]:
        """What web, worker, beat and the commands of manage.py get."""
        embedded = {
            "DATABASE_URL": places.database_url(self.state),
            "MIGRATION_DATABASE_URL": places.database_url(self.state, places.MIGRATOR_ROLE),
        }
        broker = {"BROKER_URL": places.broker_url(self.state)}
        return {
            **self.common(),
            **({} if os.environ.get("DATABASE_URL") else embedded),
            **({} if os.environ.get("BROKER_URL") else broker),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "SMALLFIRST_KEYS": str(self.keys),
            "SMALLFIRST_DEMO": "1" if self.demo else "0",
            "SMALLFIRST_DEVELOPMENT_GATEWAY_URL": self.development_url,
            **self._provider_secrets(),
        }

    def data_plane(self, *, development: bool = False) -> dict[str, str]:
        """What production's gateway gets, or development's: the public halves of two keys, its endpoints' secrets.

        Raises KeysMissingError before `manage.py bootstrap` has run.
        """
        name = "gateway-development" if development else "gateway"
        return {
            **self._shared(),
            "SMALLFIRST_CONTROL_URL": self.control_url,
            "SMALLFIRST_GATEWAY_CREDENTIAL_FILE": str(self.state / f"{name}.credential"),
            "SMALLFIRST_ROOT_KEY": root_public_key(self.keys),
            "SMALLFIRST_AUDIT_KEY": audit_public_key(self.keys),
            "SMALLFIRST_GATEWAY_STATE": str(self.state / name),
            **({"SMALLFIRST_GATEWAY_URL": self.development_url} if development else {}),
            **self._provider_secrets(),
        }

    def models(self) -> dict[str, str]:
        """What the demo's model servers get."""
        return {**self._shared(), **self._models_key()}

    def _shared(self) -> dict[str, str]:
        return {name: value for name, value in self.common().items() if name not in CONTROL_ONLY}

    def _provider_secrets(self) -> dict[str, str]:
        """Binds the key of the demo's models to where they listen, beside what the environment binds or the usual."""
        if not self.demo:
            return {}
        usual = os.environ.get(VARIABLE) or ",".join(SUPPLIERS)
        ports = (self.ports.classifiers, self.ports.smollm2)
        bound = [f"SMALLFIRST_DEMO_MODELS_KEY@http://127.0.0.1:{port}" for port in ports]
        return {VARIABLE: ",".join([usual, *bound]), **self._models_key()}

    def _models_key(self) -> dict[str, str]:
        return {"SMALLFIRST_DEMO_MODELS_KEY": places.read_secret(self.keys / "demo-models.key")}


def step(environment: Mapping[str, str], title: str, *command: str, vital: bool = True) -> Process:
    """A command of manage.py that ends by itself; nothing else ends for the failure of one that is not vital."""
    return Process(
        name=command[0],
        title=title,
        command=[sys.executable, str(ROOT / "manage.py"), *command],
        environment=environment,
        directory=ROOT,
        once=True,
        vital=vital,
    )


def web(environment: Mapping[str, str], port: int) -> Process:
    """The pages and the API: one worker process with threads, so that each scrape of /metrics meets the same counts.

    Who needs more web processes gives each a port of its own and scrapes each, as config/metrics.py says.
    """
    command = [
        *("-m", "granian", "--interface", "wsgi", "--no-ws", "--workers", "1", "--blocking-threads", "8"),
        # A crash of what serves is not the end of all else; one right after another is.
        "--respawn-failed-workers",
        *("--host", "127.0.0.1", "--port", str(port), "config.wsgi:application"),
    ]
    # It answers to its own name alone.
    host = urlsplit(environment.get("SMALLFIRST_PUBLIC_URL", "")).hostname or "127.0.0.1"
    return _serving("web", "the web server", command, environment, port, "/readyz", host)


def gateway(environment: Mapping[str, str], port: int, *, development: bool = False) -> Process:
    """The data plane of production, or of development."""
    command = ["-m", "smallfirst.gateway", "--host", "127.0.0.1", "--port", str(port)]
    if development:
        return _serving("gateway-development", "development’s gateway", command, environment, port, "/healthz")
    return _serving("gateway", "the gateway", command, environment, port, "/healthz")


def demo_models(environment: Mapping[str, str], name: str, port: int) -> Process:
    """One of the demo's model servers."""
    return _serving(
        name, f"the demo’s {name}", ["-m", f"demo.{name}", "--port", str(port)], environment, port, "/health"
    )


def worker(environment: Mapping[str, str]) -> Process:
    """Runs the tasks."""
    # One worker has nobody to gossip with, and starts two seconds sooner.
    options = ("--concurrency", "2", "--loglevel", "INFO", "--without-gossip", "--without-mingle")
    return _celery("worker", "the worker", environment, options, b" ready.")


def beat(environment: Mapping[str, str]) -> Process:
    """Sends the tasks that happen by themselves."""
    return _celery("beat", "the schedule", environment, ("--loglevel", "INFO", "--pidfile="), b"beat: Starting...")


def _celery(name: str, title: str, environment: Mapping[str, str], options: Sequence[str], says: bytes) -> Process:
    return Process(
        name=name,
        title=title,
        command=[sys.executable, "-m", "celery", "--app", "config.celery", "--quiet", name, *options],
        environment=environment,
        directory=ROOT,
        says=says,
    )


def _serving(
    name: str,
    title: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    port: int,
    path: str,
    host: str = "127.0.0.1",
) -> Process:
    return Process(
        name=name,
        title=title,
        command=[sys.executable, *command],
        environment=environment,
        directory=ROOT,
        ready=lambda _pid: answers(port, path, host),
    )


def answers(port: int, path: str, host: str = "127.0.0.1") -> bool:
    """Whether a GET on this machine, under the name of `host`, is answered with 200."""
    # Not urllib: it would take the user's proxy settings to heart.
    request = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        request.request("GET", path, headers={"Host": host})
        return request.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        request.close()
