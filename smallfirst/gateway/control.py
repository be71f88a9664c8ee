"""The control plane as a gateway sees it: a few authenticated calls that may fail at any time."""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

from smallfirst import instances
from smallfirst.held import Answer as Answer
from smallfirst.held import Unreachable as Unreachable

SECONDS: Final = 10.0


class ControlPlane:
    """A client with the gateway's own credential. Its file is read each time, so a new one needs no restart."""

    def __init__(self, *, url: str, credential_file: Path, name: str) -> None:
        """`name` is that of this process among those that share the credential."""
        self._url = url
        self._headers = instances.headers(program="smallfirst-gateway", name=name)
        self._credential_file = credential_file
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=8, keepalive_timeout=4)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def get(
        self, path: str, *, etag: str | None = None, seen: Mapping[str, str] | None = None, seconds: float = SECONDS
    ) -> Answer:
        """GET a path of the API; raise Unreachable. `seen` is what the poll says of the bundle in use."""
        return await self._call("GET", path, instances.asking(etag, seen or {}), None, seconds)

    async def post(self, path: str, body: bytes, *, seconds: float = SECONDS) -> Answer:
        """POST JSON to a path of the API; raise Unreachable."""
        return await self._call("POST", path, {"Content-Type": "application/json"}, body, seconds)

    async def _call(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None, seconds: float
    ) -> Answer:
        try:
            credential = self._credential_file.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            raise Unreachable("no_credential") from None
        try:
            async with self._session.request(
                method,
                f"{self._url}{path}",
                data=body,
                headers={"Authorization": f"Bearer {credential}", **self._headers, **headers},
                timeout=aiohttp.ClientTimeout(total=seconds, sock_connect=min(seconds, 5.0)),
                allow_redirects=False,
            ) as response:
                return Answer(response.status, await response.read(), response.headers.get("ETag"))
        except TimeoutError:
            raise Unreachable("timeout") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # ValueError: a credential file with a line break inside makes no header.
            raise Unreachable(type(error).__name__) from None
