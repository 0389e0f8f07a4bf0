"""Settings of the project. The surroundings choose: DATABASE_URL, REDIS_URL, MARSHLIGHT_URL, MARSHLIGHT_DATA.

`DATABASE_URL`     PostgreSQL or SQLite; without it SQLite in the data directory
`REDIS_URL`        the bus between processes; without it one process serves everyone
`MARSHLIGHT_URL`   the address people open; its scheme and host decide cookies, HSTS, hosts and origins
`MARSHLIGHT_HOSTS` more names of this machine, separated by commas
`MARSHLIGHT_DATA`  the data directory; `var` beside this folder without it
`SECRET_KEY`       only where several machines must share one; else kept in the data directory
"""

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

from csp.constants import NONCE, NONE, SELF

from project import environment

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = environment.directory(Path(os.environ.get("MARSHLIGHT_DATA") or BASE_DIR / "var"))
SECRET_KEY = os.environ.get("SECRET_KEY") or environment.secret_key(DATA_DIR)
DEBUG = False  # never: a page with a stack trace tells strangers too much, and errors are in the log

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "axes",
    "realtime",
    "devices",
    "project",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "csp.middleware.CSPMiddleware",
    # Before whatever may refuse: refusals are pages too.
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "project.cookies.without_nonsense",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "project.urls"
WSGI_APPLICATION = "project.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"

# -- database and bus ------------------------------------------------------------------------------------------

DATABASES = {"default": environment.database(os.environ.get("DATABASE_URL", ""), DATA_DIR)}
REDIS_URL = environment.bus(os.environ.get("REDIS_URL", ""))

# -- public address --------------------------------------------------------------------------------------------

PUBLIC = environment.address(os.environ.get("MARSHLIGHT_URL") or "http://127.0.0.1:8000")
MARSHLIGHT_URL = PUBLIC.origin()
ALLOWED_HOSTS = environment.hosts(PUBLIC, os.environ.get("MARSHLIGHT_HOSTS", ""))
# Pages of these origins may open a WebSocket and post forms; all of them are this server.
MARSHLIGHT_ORIGINS = [PUBLIC.origin(host.strip("[]")) for host in ALLOWED_HOSTS]
CSRF_TRUSTED_ORIGINS = MARSHLIGHT_ORIGINS

if PUBLIC.secure:
    # TLS ends at a proxy, which must set this header itself (supervisor/nginx.conf does).
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$"]  # asked by monitors on this machine, past the proxy
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
# HSTS for subdomains and preload lists binds sites that are not this one; who wants it says so at the proxy.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

_sockets = [PUBLIC.origin(host.strip("[]"), scheme="wss" if PUBLIC.secure else "ws") for host in ALLOWED_HOSTS]
CONTENT_SECURITY_POLICY: dict[str, Any] = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF, NONCE],  # the import map is an inline script
        "connect-src": [SELF, *_sockets],  # Safari before 15.4 does not count WebSockets as 'self'
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"

# -- sign-in ---------------------------------------------------------------------------------------------------

LOGIN_URL = "signin"
LOGIN_REDIRECT_URL = "panel"
LOGOUT_REDIRECT_URL = "signin"
SESSION_COOKIE_AGE = 14 * 24 * 3600
# The first only counts and refuses; who somebody is, the second knows.
AUTHENTICATION_BACKENDS = ["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"]
# Ten mistakes are more than people make, and 120 guesses an hour find no password that the validators accept.
AXES_FAILURE_LIMIT = 10
AXES_COOLOFF_TIME = timedelta(minutes=5)
AXES_LOCKOUT_PARAMETERS = ["username", "ip_address"]  # either of them, each counted by itself
# Or a guesser who goes on would keep the owner out for as long.
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_CLIENT_IP_CALLABLE = "project.throttle.address"
AXES_LOCKOUT_CALLABLE = "project.throttle.locked"
AXES_DISABLE_ACCESS_LOG = True  # who signed in when is in the user's row; a table of it would grow for ever
AXES_VERBOSE = False
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]

# -- static files ----------------------------------------------------------------------------------------------

# Served as they are; the import map in project/templates/panel.html names the same prefixes.
VENDOR_MODULES = {
    "vendor/lit": "lit",
    "vendor/lit-html": "lit-html",
    "vendor/lit-element": "lit-element",
    "vendor/reactive-element": "@lit/reactive-element",
    "vendor/uplot": "uplot/dist",
}
_static = {"frontend": BASE_DIR / "frontend"} | {
    prefix: BASE_DIR / "node_modules" / package for prefix, package in VENDOR_MODULES.items()
}
STATIC_URL = "/static/"
STATICFILES_DIRS = [(prefix, str(path)) for prefix, path in _static.items() if path.is_dir()]
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 0  # names carry no hash, so browsers ask each time; the answer is a 304

MEDIA_ROOT = DATA_DIR / "media"  # whoever adds a file field stores nothing beside the sources

# -- log -------------------------------------------------------------------------------------------------------

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "project.log.LineFormatter"}},
    "filters": {"without_trace": {"()": "project.log.WithoutTrace"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        # Django's own handlers print to the console only while debugging, and mail to nobody.
        "django": {"handlers": [], "level": "INFO"},
        # At DEBUG, which somebody turns on to look for something else.
        "django.template": {"filters": ["without_trace"]},
        # One line per request is what a proxy's log is for; addresses can carry secrets; and what fails says so itself.
        "tornado.access": {"level": "CRITICAL"},
        # A trace for every scanner that guesses names.
        "django.security.DisallowedHost": {"handlers": [], "level": "CRITICAL"},
    },
}
