"""What routing offers below /api/v1/."""

from django.urls import path

from routing import api

api_urlpatterns = [
    path("bundle", api.BundleView.as_view(), name="api_bundle"),
    path("state", api.StateView.as_view(), name="api_state"),
]
