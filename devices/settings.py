"""One place of defaults. `settings.COMMAND_SECONDS` is Django's `DEVICES_COMMAND_SECONDS` if the project sets it.

Read at the time of use, so `override_settings` works.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings

PREFIX = "DEVICES_"


class Settings:
    # A person who flipped a switch looks at it for about so long.
    COMMAND_SECONDS: float = 10.0
    # An overdue wish, a silent device and a wish written straight into the database are noticed after so long.
    SWEEP_SECONDS: float = 0.5
    # A report may be late by half of what was expected, and always by so much: radios retry for seconds.
    SILENCE_SECONDS: float = 10.0
    # Readings of a week are what a chart shows in full; 15 devices fill about 100 MB of SQLite with them.
    HISTORY_DAYS: float = 7.0
    # Who asked for what is worth knowing longer than a reading.
    COMMAND_DAYS: float = 90.0
    # Removed at once, once a minute; more than 1,000 would make every open chart load anew.
    PRUNE_ROWS: int = 500
    # How often the simulator looks at what is wanted.
    SIMULATOR_SECONDS: float = 0.2
    # Whether simulated devices may refuse, keep silent or go offline, each as its own configuration says.
    SIMULATOR_FAULTS: bool = True
    # A number makes the simulated weather repeat itself.
    SIMULATOR_SEED: int | None = None

    def __getattribute__(self, name: str) -> Any:
        return getattr(django_settings, PREFIX + name, super().__getattribute__(name))


settings = Settings()
