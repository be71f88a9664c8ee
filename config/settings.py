"""Django's settings, all of them, read from the environment.

Nothing here has a default that would be unsafe in production: what is missing there is named with the way to supply it.
docs/operations says which variables a production installation sets.
"""

import os
import re
import secrets
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from config import logs
from config import state as places
from config.environment import NotASwitchError, flag
from smallfirst import origins


def env_text(name: str, default: str) -> str:
    """A text variable; empty counts as not set."""
    return os.environ.get(name) or default


def env_flag(name: str) -> bool:
    """A switch, "1" or "0", off where nothing is said."""
    try:
        return flag(name)
    except NotASwitchError as error:
        raise ImproperlyConfigured(str(error)) from error


def env_number(name: str, default: int) -> int:
    """A whole number, zero or more."""
    said = env_text(name, str(default))
    if not said.isdecimal():
        raise ImproperlyConfigured(f'{name} is "{said}"; write a whole number')
    return int(said)


def env_list(name: str, default: str) -> list[str]:
    """Values separated by commas."""
    return [word.strip() for word in env_text(name, default).split(",") if word.strip()]


def env_address(name: str, default: str) -> str:
    """An http or https address without a path. Off this machine only https will do, unless debugging."""
    said = env_text(name, default).rstrip("/")
    parts = urlsplit(said)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
        raise ImproperlyConfigured(f'{name} is "{said}"; write an address such as https://smallfirst.example.com')
    if parts.scheme == "http" and parts.hostname not in LOOPBACK and not DEBUG:
        raise ImproperlyConfigured(f'{name} is "{said}": sessions would travel in the open; serve it over https')
    return said


def env_url(name: str) -> str:
    """An https address with a path, or http on this machine; empty when there is none."""
    said = env_text(name, "")
    parts = urlsplit(said)
    if said and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ImproperlyConfigured(f'{name} is "{said}"; write an address such as https://witness.example.com/take')
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise ImproperlyConfigured(f'{name} is "{said}": it would travel in the open; take https')
    return said


def env_token(name: str) -> str:
    """A secret that programs send us; empty when there is none. One that could be guessed is refused."""
    said = env_text(name, "")
    if said and not re.fullmatch(r"[!-~]{20,200}", said):
        raise ImproperlyConfigured(f"{name} must be 20 to 200 random letters, digits and signs, without a space")
    return said


def env_provider_secrets(name: str) -> origins.ProviderSecrets:
    """The names of providers' keys, and the origins that each is bound to."""
    try:
        return origins.ProviderSecrets.read(env_text(name, ""))
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def env_choice(name: str, *choices: str) -> str:
    """One of some words, the first where nothing is said."""
    said = env_text(name, choices[0])
    if said not in choices:
        raise ImproperlyConfigured(f'{name} is "{said}"; write one of {", ".join(choices)}')
    return said


def env_origins(name: str) -> frozenset[str]:
    """Origins (scheme, host and port) separated by commas."""
    try:
        return frozenset(origins.origin_of(each) for each in env_list(name, ""))
    except origins.NoOrigin as error:
        raise ImproperlyConfigured(f"{name}: {error}") from error


def env_zone(name: str, default: str) -> str:
    """The name of a time zone."""
    said = env_text(name, default)
    try:
        ZoneInfo(said)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ImproperlyConfigured(f'{name} is "{said}"; write a zone such as Europe/Berlin') from error
    return said


def django_key(keys: Path) -> str:
    """Signs sessions. Without a file only debugging and the embedded database, which no one else reaches, go on."""
    try:
        return places.read_secret(keys / "django.key")
    except FileNotFoundError as error:
        if DEBUG or "DATABASE_URL" not in os.environ:
            return secrets.token_urlsafe(64)
        raise ImproperlyConfigured(
            f"{keys / 'django.key'} is missing; write 50 or more random characters there, readable by this user alone, "
            "or set SMALLFIRST_KEYS to the directory that holds it"
        ) from error


ROOT = Path(__file__).parents[1]
LOOPBACK = ("127.0.0.1", "localhost", "::1")

# Who we are and where
DEBUG = env_flag("SMALLFIRST_DEBUG")
DEMO = env_flag("SMALLFIRST_DEMO")
STATE = places.state_path()
KEYS = Path(env_text("SMALLFIRST_KEYS", str(STATE / "keys")))
SECRET_KEY = django_key(KEYS)
PUBLIC_URL = env_address("SMALLFIRST_PUBLIC_URL", "http://127.0.0.1:8000")
GATEWAY_URL = env_address("SMALLFIRST_GATEWAY_URL", "http://127.0.0.1:8001")
# Where `./run up --empty` runs a gateway for development too.
DEVELOPMENT_GATEWAY_URL = env_text("SMALLFIRST_DEVELOPMENT_GATEWAY_URL", "")
# Variables of this process's environment that are keys of providers, and where each may be sent when it is tried.
PROVIDER_SECRETS = env_provider_secrets(origins.VARIABLE)
ALLOWED_HOSTS = env_list("SMALLFIRST_ALLOWED_HOSTS", urlsplit(PUBLIC_URL).hostname or "")
if urlsplit(PUBLIC_URL).scheme != "https":
    ALLOWED_HOSTS += LOOPBACK

# Parts
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "heroicons",
    "pgtrigger",
    "rest_framework",
    "governance",
    "ledger",
    "routing",
]
if DEMO:
    INSTALLED_APPS.append("demo")

MIDDLEWARE = [
    "config.metrics.counted",
    "config.middleware.numbered",
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.limit_body",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    # A view that forgets its permission asks at least for a sign-in.
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "config.middleware.in_circumstances",
    "governance.waiting.in_viewers_zone",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]
# The demo has a door of its own beside the pages of the product.
ROOT_URLCONF = "demo.urls" if DEMO else "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "templates"],
        "OPTIONS": {
            # As template_partials would set it up by itself, without its import of the admin's autodiscovery.
            "loaders": [
                (
                    "template_partials.loader.Loader",
                    [
                        (
                            "django.template.loaders.cached.Loader",
                            [
                                "django.template.loaders.filesystem.Loader",
                                "django.template.loaders.app_directories.Loader",
                            ],
                        )
                    ],
                )
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "governance.waiting.waiting",
            ],
        },
    },
]

# Database: embedded below STATE unless an address is given. The web process turns the pool on (config/wsgi.py);
# Celery's processes must not share one over a fork.
DATABASE_POOL = env_number("SMALLFIRST_DATABASE_POOL", 0)


def database(url: str) -> dict[str, object]:
    """Django's description of the database at a postgresql:// address. Parameters Django has no word for are kept."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    described: dict[str, object] = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.pop("dbname", places.DATABASE),
        "USER": parts.pop("user", ""),
        "PASSWORD": parts.pop("password", ""),
        "HOST": parts.pop("host", ""),
        "PORT": parts.pop("port", ""),
        "CONN_HEALTH_CHECKS": True,
        "CONN_MAX_AGE": 0 if DATABASE_POOL else 60,
    }
    pool = {"pool": {"min_size": 2, "max_size": DATABASE_POOL, "timeout": 10}} if DATABASE_POOL else {}
    return described | {"OPTIONS": {**parts, **pool}}


DATABASES = {"default": database(env_text("DATABASE_URL", places.database_url(STATE)))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
BROKER_URL = env_text("BROKER_URL", places.broker_url(STATE))
# Each takes one of the worker's processes, which other tasks wait for too.
EVALUATION_CHUNKS_AT_ONCE = env_number("SMALLFIRST_EVALUATION_CHUNKS_AT_ONCE", 1)
# Where each checkpoint of the audit log is held as well: a file, a clone whose remote is elsewhere, an address.
AUDIT_ANCHORS = {
    "file": env_text("SMALLFIRST_AUDIT_ANCHOR_FILE", str(STATE / "checkpoints.txt")),
    "git": env_text("SMALLFIRST_AUDIT_ANCHOR_GIT", ""),
    "webhook": env_url("SMALLFIRST_AUDIT_ANCHOR_WEBHOOK"),
}

# Notifications. Without a mail server no e-mail is sent, but the demo and what is served on this machine write files.
EMAIL_HOST = env_text("SMALLFIRST_EMAIL_HOST", "")
EMAIL_SECURITY = env_choice("SMALLFIRST_EMAIL_SECURITY", "starttls", "tls", "none")
EMAIL_USE_TLS = EMAIL_SECURITY == "starttls"
EMAIL_USE_SSL = EMAIL_SECURITY == "tls"
EMAIL_PORT = env_number("SMALLFIRST_EMAIL_PORT", {"starttls": 587, "tls": 465, "none": 25}[EMAIL_SECURITY])
EMAIL_HOST_USER = env_text("SMALLFIRST_EMAIL_USER", "")
EMAIL_HOST_PASSWORD = env_text("SMALLFIRST_EMAIL_PASSWORD", "")
EMAIL_TIMEOUT = 5
EMAIL_FILE_PATH = STATE / "mail"
EMAIL_DOMAIN = urlsplit(PUBLIC_URL).hostname or "localhost"
DEFAULT_FROM_EMAIL = env_text("SMALLFIRST_EMAIL_FROM", f"Smallfirst <smallfirst@{EMAIL_DOMAIN}>")
EMAIL_TO_FILES = not EMAIL_HOST and (DEMO or urlsplit(PUBLIC_URL).scheme != "https")
SENDS_EMAIL = bool(EMAIL_HOST) or EMAIL_TO_FILES
EMAIL_BACKEND = f"django.core.mail.backends.{'filebased' if EMAIL_TO_FILES else 'smtp'}.EmailBackend"
# Where webhooks may lead beside the public internet, and over http.
WEBHOOK_ORIGINS = env_origins("SMALLFIRST_WEBHOOK_ORIGINS")
# What waits is told once more after so long, and again after as long.
REMIND_VOTERS_HOURS = env_number("SMALLFIRST_REMIND_VOTERS_HOURS", 24)
REMIND_TAKERS_MINUTES = env_number("SMALLFIRST_REMIND_TAKERS_MINUTES", 60)

# People
AUTH_USER_MODEL = "governance.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "sign_in"

# Browser. Whether cookies and redirects insist on https follows from the public address, so it cannot be forgotten.
SECURE = urlsplit(PUBLIC_URL).scheme == "https"
SECURE_SSL_REDIRECT = SECURE
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = int(timedelta(days=365).total_seconds()) if SECURE else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE
SECURE_HSTS_PRELOAD = SECURE
BEHIND_PROXY = env_flag("SMALLFIRST_BEHIND_PROXY")
if BEHIND_PROXY:
    # Only where a proxy sets this header itself: anyone else could claim that the request came over https.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Other programs on this host set a "sessionid" too, and cookies know no ports.
SESSION_COOKIE_NAME = "smallfirst_session"
SESSION_COOKIE_AGE = int(timedelta(hours=12).total_seconds())
SESSION_COOKIE_SECURE = SECURE
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_NAME = "smallfirst_csrf"
CSRF_COOKIE_SECURE = SECURE
# Scripts read the token from the page, so the cookie itself is nothing to them.
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "connect-src": ["'self'"],
        "font-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}
# Whoever sends it reads /metrics from anywhere; without it only programs on this machine do.
METRICS_TOKEN = env_token("SMALLFIRST_METRICS_TOKEN")
# A usage batch of 1,000 events of 4 kB and some room. config.middleware refuses larger bodies of every kind.
DATA_UPLOAD_MAX_MEMORY_SIZE = 8 * 1024 * 1024

# Files
STATIC_URL = "static/"
STATIC_ROOT = STATE / "static"
STATICFILES_DIRS = [ROOT / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = DEBUG

# API
REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "EXCEPTION_HANDLER": "config.api.problem",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Smallfirst control plane",
    "VERSION": "1",
    "DESCRIPTION": "What gateways and SDKs fetch and report, and what people’s own programs read and propose. "
    "Applications talk to a gateway, not to this.",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["config.schema.completed"],
    "TAGS": [
        {"name": "bundle", "description": "The live policies, signed."},
        {"name": "state", "description": "Keys and stops, signed."},
        {"name": "usage", "description": "Attempts, and what they used."},
        {"name": "decisions", "description": "What was decided, and from what."},
        {"name": "reviews", "description": "What a person decides."},
        {"name": "policies", "description": "What is live, to start a proposal from."},
        {"name": "changes", "description": "Read, proposed, revised and withdrawn; decided by people alone."},
        {"name": "simulations", "description": "What a change would have done."},
        {"name": "operation", "description": "For those who run the control plane."},
    ],
}

# Times and money. Stored in UTC; a day of money begins at midnight in the reporting zone.
LANGUAGE_CODE = "en"
USE_I18N = False
USE_TZ = True
TIME_ZONE = "UTC"
REPORTING_TIME_ZONE = env_zone("SMALLFIRST_REPORTING_TIME_ZONE", "Europe/Berlin")
CURRENCY = "USD"

# Logs: one JSON object a line on standard error
LOGGING = logs.configure(level="DEBUG" if DEBUG else "INFO")
