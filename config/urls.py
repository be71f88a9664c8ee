"""The site map."""

from django.urls import path, re_path

from config import api, health

urlpatterns = [
    path("healthz", health.healthz),
    path("readyz", health.readyz),
    re_path(r"^api/", api.not_found),
]
