"""The web process's entry point: granian --interface wsgi config.wsgi:application."""

import os

from django.core.wsgi import get_wsgi_application
from django.urls import get_resolver

from smallfirst import structs

# At least as many connections as the server has threads; only this process keeps a pool.
os.environ.setdefault("SMALLFIRST_DATABASE_POOL", "16")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
# Loads every view, which the first request would else do, so that all that is decoded is known; then come the threads.
get_resolver().url_patterns  # noqa: B018
structs.prepare()
