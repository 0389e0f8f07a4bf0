from __future__ import annotations

from django.apps import AppConfig


class DevicesConfig(AppConfig):
    name = "devices"
    default_auto_field = "django.db.models.BigAutoField"
    # Run by whatever process serves: `server.py` starts and stops them.
    services = ("devices.sweeper.Sweeper", "devices.simulator.Service")

    def ready(self) -> None:
        from devices import checks  # noqa: F401  importing registers them
