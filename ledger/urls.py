"""Pages of the ledger, and what it offers below /api/v1/."""

from django.urls import path

from ledger import api
from ledger.views import attempts, spend

urlpatterns = [
    path("spend/", spend.spend, name="spend"),
    path("spend/export.csv", spend.spend_csv, name="spend_csv"),
    path("spend/attempts/", attempts.attempts, name="spend_attempts"),
    path("spend/attempts/export.csv", attempts.attempts_csv, name="spend_attempts_csv"),
]

api_urlpatterns = [
    path("usage", api.UsageView.as_view(), name="api_usage"),
    path("decisions", api.DecisionsView.as_view(), name="api_decisions"),
]
