"""Pages as a browser asks for them, timed inside the server."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import psycopg
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from benchmarks import machine
from benchmarks.measures import Void
from config import state as places
from governance.models import User


@dataclass(frozen=True)
class View:
    """One page: milliseconds from request to whole answer, median and least; queries, bytes.

    ``busy`` is the median of what this process computed, ``database`` the mean of what the database's server did: the
    rest is waiting, for a disk or on a machine that others use too for a processor.
    """

    title: str
    milliseconds: float
    fastest: float
    busy: float
    database: float
    queries: int
    size: int


def browser(reader: User) -> Client:
    """A browser in which this person is signed in."""
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(reader)
    return client


def look(client: Client, title: str, path: str, asked: Mapping[str, str], times: int) -> View:
    """Ask for a page once to count its queries, then so many times. Raises Void unless it is shown."""
    machine.say(f"looking at {title}")
    with CaptureQueriesContext(connection) as queries:
        answer = client.get(path, asked)
    if answer.status_code != HTTPStatus.OK:
        raise Void(f"{path} answers {answer.status_code}")
    # Counted before anything else is asked: every request forgets the queries of the one before.
    counted = len(queries)
    wall, busy = [], []
    server = _server()
    before = machine.cpu_seconds(server)
    for _ in range(times):
        began, began_busy = time.perf_counter(), time.process_time()
        client.get(path, asked)
        wall.append((time.perf_counter() - began) * 1000)
        busy.append((time.process_time() - began_busy) * 1000)
    database = (machine.cpu_seconds(server) - before) / times * 1000
    found = (statistics.median(wall), min(wall), statistics.median(busy), database)
    return View(title, *found, counted, len(answer.content))


def _server() -> int:
    """The process of the database's server, which starts one for each connection and for each part of a query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (backend,) = cursor.fetchone() or (0,)
    return machine.parent(backend)


def settle() -> None:
    """Vacuum and analyse, as the database would have by itself after a while."""
    machine.say("vacuuming")
    with psycopg.connect(places.database_url(settings.STATE, "postgres"), autocommit=True) as server:
        server.execute("VACUUM (ANALYZE)")
