"""The site map of the demo: the product's, and a door of its own."""

from django.urls import path

from config import urls
from demo import views

handler500 = urls.handler500

urlpatterns = [
    path("demo/", views.door, name="demo"),
    path("demo/as/<slug:login_name>/", views.become, name="demo_as"),
    *urls.urlpatterns,
]
