"""The web process's entry point: granian --interface wsgi config.wsgi:application."""

import os

from django.core.wsgi import get_wsgi_application

# At least as many connections as the server has threads; only this process keeps a pool.
os.environ.setdefault("SMALLFIRST_DATABASE_POOL", "16")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

application = get_wsgi_application()
