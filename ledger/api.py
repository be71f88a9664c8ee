"""What gateways report: batches of usage events and decisions, in JSON."""

import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import IO, Annotated, Any, Protocol, TypeVar

import msgspec
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from msgspec import Meta
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance.gateways import GatewayAuthentication, IsGateway, asking
from governance.models import Gateway
from ledger import batches, decisions, usage
from smallfirst.records import Decision, Receipt, Record, UsageEvent

# 5,000 events of 4 kB and room to spare; a compressed batch may not swell beyond it.
MOST_BYTES = 24 * 1024 * 1024
GZIP_WINDOW = 16 + zlib.MAX_WBITS


class TooLarge(APIException):
    """A batch that must be sent in parts."""

    status_code = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    default_code = "batch_too_large"


class UnknownEncoding(APIException):
    """A content-encoding that is not understood here."""

    status_code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    default_code = "unsupported_encoding"


class BatchParser(BaseParser):
    """Hands the body on as bytes, unpacked if it came as gzip, never more of them than a batch may have."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, bytes]:
        """Return the body as `body`. Raises TooLarge, UnknownEncoding, and ParseError for what is not gzip."""
        body = stream.read(MOST_BYTES + 1)
        request: Request = (parser_context or {})["request"]
        encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if encoding == "gzip":
            body = _unpacked(body)
        elif encoding != "identity":
            raise UnknownEncoding(f'Content-Encoding is "{encoding}": send the body plain or as gzip.')
        if len(body) > MOST_BYTES:
            raise TooLarge(f"A batch may have {MOST_BYTES:,} bytes of JSON: send it in parts.")
        return {"body": body}


def _unpacked(body: bytes) -> bytes:
    unpacker = zlib.decompressobj(GZIP_WINDOW)
    try:
        plain = unpacker.decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise ParseError("Content-Encoding says gzip, but the body is not.") from error
    if len(plain) <= MOST_BYTES and not unpacker.eof:
        raise ParseError("The gzip stream ends too early: send the whole of it.")
    return plain


class _Usage(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


class _Decisions(msgspec.Struct, forbid_unknown_fields=True):
    decisions: list[msgspec.Raw]


class UsageBatch(Record, frozen=True, kw_only=True):
    """Attempts as they are reported. Each is read by itself, so a broken one takes no other with it."""

    events: Annotated[tuple[UsageEvent, ...], Meta(max_length=batches.MOST_RECORDS)]


class DecisionBatch(Record, frozen=True, kw_only=True):
    """Decisions as they are reported. Each is read by itself, so a broken one takes no other with it."""

    decisions: Annotated[tuple[Decision, ...], Meta(max_length=batches.MOST_RECORDS)]


B = TypeVar("B", _Usage, _Decisions)


class _Record(Protocol):
    def __call__(self, *, batch: Sequence[msgspec.Raw], gateway: Gateway, now: datetime) -> Receipt: ...


class BatchView(APIView):
    """A batch of records from a gateway: each stored, or named in the answer with its fault. Repeating is harmless."""

    authentication_classes = [GatewayAuthentication]
    permission_classes = [IsGateway]
    parser_classes = [BatchParser]

    def take(self, request: Request, batch: list[msgspec.Raw], record: _Record) -> Response:
        """Record the batch and answer what became of it. Raises TooLarge."""
        if len(batch) > batches.MOST_RECORDS:
            raise TooLarge(
                f"A batch holds at most {batches.MOST_RECORDS:,} records, this one {len(batch):,}: send it in parts."
            )
        receipt = record(batch=batch, gateway=asking(request), now=timezone.now())
        return Response(msgspec.to_builtins(receipt))


class UsageView(BatchView):
    """POST {"events": […]} → {"accepted", "repeated", "refused": [{"id", "field", "message"}]}."""

    @extend_schema(
        operation_id="report_usage",
        summary="Report attempts",
        description="Each is stored, known already by its id, or named in the answer with its fault.",
        request=UsageBatch,
        responses=Receipt,
    )
    def post(self, request: Request) -> Response:
        """Store usage events."""
        return self.take(request, _read(request, _Usage).events, usage.record)


class DecisionsView(BatchView):
    """POST {"decisions": […]} → {"accepted", "repeated", "refused": [{"id", "field", "message"}]}."""

    @extend_schema(
        operation_id="report_decisions",
        summary="Report decisions",
        description="Each is stored, known already by its id, or named in the answer with its fault.",
        request=DecisionBatch,
        responses=Receipt,
    )
    def post(self, request: Request) -> Response:
        """Store decisions."""
        return self.take(request, _read(request, _Decisions).decisions, decisions.record)


def _read(request: Request, kind: type[B]) -> B:
    parsed: Any = request.data
    try:
        return msgspec.json.decode(parsed.get("body", b""), type=kind)
    except msgspec.DecodeError as error:
        raise ParseError(f"The body is not a batch: {error}.") from error
