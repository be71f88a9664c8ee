"""Pages of the ledger, and what it offers below /api/v1/."""

from django.urls import path

from governance.addresses import MODEL
from ledger import api
from ledger.views import attempts, desk, prices, savings, setup, spend

urlpatterns = [
    path("spend/", spend.spend, name="spend"),
    path("spend/export.csv", spend.spend_csv, name="spend_csv"),
    path("setup/", setup.setup, name="setup"),
    path("spend/month/", desk.month_facts, name="month_facts"),
    path("spend/month/saved/", desk.month_saved, name="month_saved"),
    path("spend/month/requests/", desk.month_requests, name="month_requests"),
    path("spend/answered/", desk.answered, name="answered"),
    path("spend/workflows/<slug:slug>/", desk.workflow_figures, name="workflow_figures"),
    path("savings/", savings.savings_list, name="savings"),
    path("savings/export.csv", savings.savings_csv, name="savings_csv"),
    path("savings/<slug:slug>/baseline/", savings.baseline_new, name="baseline_new"),
    path(f"models/{MODEL}/-/prices/", prices.model_prices, name="model_prices"),
    path("endpoints/<uuid:pk>/price/", prices.price_new, name="price_new"),
    path("spend/attempts/", attempts.attempts, name="spend_attempts"),
    path("spend/attempts/export.csv", attempts.attempts_csv, name="spend_attempts_csv"),
]

api_urlpatterns = [
    path("usage", api.UsageView.as_view(), name="api_usage"),
    path("decisions", api.DecisionsView.as_view(), name="api_decisions"),
]
