"""The project's settings without the caps that one machine with thousands of sockets of one user would meet."""

from project.settings import *  # noqa: F403
from project.settings import INSTALLED_APPS

INSTALLED_APPS = [*INSTALLED_APPS, "benchmarks"]
REALTIME_CONNECTIONS_PER_USER = 100_000
REALTIME_CONNECTIONS_PER_ADDRESS = 100_000
# What a benchmark prints is its progress.
LOGGING = {**LOGGING, "root": {"handlers": ["console"], "level": "WARNING"}}  # noqa: F405
