"""In servers that the tests start: failpoints, if their surroundings ask for them."""

from __future__ import annotations

import os
from pathlib import Path

from django.apps import AppConfig


class PromiseConfig(AppConfig):
    name = "tests.promise"

    def ready(self) -> None:
        if directory := os.environ.get("PROMISE_POINTS"):
            from tests.promise import points, sabotage

            points.install(Path(directory))
            sabotage.install(Path(directory))
