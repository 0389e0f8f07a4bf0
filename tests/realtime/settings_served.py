"""The project's settings with the tests' own apps, for servers that run as processes of their own."""

import os

from project.settings import *  # noqa: F403  settings are a namespace: the whole of it is wanted here
from project.settings import INSTALLED_APPS, LOGGING  # changed below

INSTALLED_APPS = [*INSTALLED_APPS, "tests.app", "tests.library"]
if "LOG_LEVEL" in os.environ:
    for logger in (LOGGING["root"], *LOGGING["loggers"].values()):
        logger["level"] = os.environ["LOG_LEVEL"]
