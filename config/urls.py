"""The site map."""

from django.urls import include, path, re_path

from config import api, health, metrics, schema
from governance import urls as governance
from ledger import urls as ledger
from routing import urls as routing

handler500 = "config.broken.broken"

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    # What gateways fetch and report.
    path("api/v1/", include(governance.api_urlpatterns)),
    path("api/v1/", include(ledger.api_urlpatterns)),
    path("api/v1/", include(routing.api_urlpatterns)),
    path("api/v1/schema", schema.schema, {"which": "control"}, name="schema"),
    path("api/v1/schema/gateway", schema.schema, {"which": "gateway"}, name="gateway_schema"),
    path("api/docs", schema.reader, {"which": "control"}, name="api_docs"),
    path("api/docs/gateway", schema.reader, {"which": "gateway"}, name="api_docs_gateway"),
    re_path(r"^api/", api.not_found),
    # Pages for people.
    path("", include(governance.urlpatterns)),
    path("", include(ledger.urlpatterns)),
    path("", include(routing.urlpatterns)),
]
