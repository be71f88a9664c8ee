"""What gateways exchange about reviews, in JSON."""

from collections.abc import Mapping
from typing import IO, Any
from uuid import UUID

import msgspec
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import review_records
from governance.gateways import GatewayAuthentication, IsGateway, asking
from governance.models import Review
from smallfirst.records import BatchError, Receipt, ReviewBatch, Standing, read_reviews


class BytesParser(BaseParser):
    """Hands the body on as it came: its records are read one by one, each with its own faults."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, bytes]:
        """Return the body, whose size config.middleware bounds, under the name `body`."""
        return {"body": stream.read()}


class ReviewsView(APIView):
    """Cases that gateways open and outcomes that they have delivered."""

    authentication_classes = [GatewayAuthentication]
    permission_classes = [IsGateway]
    parser_classes = [BytesParser]

    @extend_schema(
        operation_id="report_reviews",
        summary="Open reviews, and tell which outcomes were delivered",
        description="Each is stored, known already by its id, or named in the answer with its fault.",
        request=ReviewBatch,
        responses=Receipt,
    )
    def post(self, request: Request) -> Response:
        """POST {"reviews", "delivered"} → {"accepted", "repeated", "refused": [{"id", "field", "message"}]}."""
        gateway = asking(request)
        sent: Any = request.data
        try:
            opened, delivered = read_reviews(sent.get("body", b""))
        except BatchError as error:
            raise ValidationError({error.field or "non_field_errors": [error.message]}) from error
        now = timezone.now()
        receipts = (
            review_records.open_many(batch=opened, gateway=gateway, now=now),
            review_records.deliver_many(batch=delivered, gateway=gateway, now=now),
        )
        return Response(
            {
                "accepted": sum(receipt.accepted for receipt in receipts),
                "repeated": sum(receipt.repeated for receipt in receipts),
                "refused": [msgspec.to_builtins(refused) for receipt in receipts for refused in receipt.refused],
            }
        )


class ReviewView(APIView):
    """One review of the gateway's environment, or of the API key that asks."""

    authentication_classes = [GatewayAuthentication]
    permission_classes = [IsGateway]

    @extend_schema(
        operation_id="read_review",
        summary="Ask how a review stands",
        description="Of the gateway’s environment, or of the API key that asks. `outcome` is null until it has ended.",
        responses=Standing,
    )
    def get(self, request: Request, pk: UUID) -> Response:
        """GET → how it stands: see `review_records.standing`; outcome is null until it has ended."""
        here = Review.objects.told_to(asking(request)).select_related("body")
        return Response(review_records.standing(get_object_or_404(here, pk=pk)), headers={"Cache-Control": "no-store"})
