"""How the journal follows the schema: triggers go before migrations run and come back, anew, after them."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate, pre_migrate


class RealtimeConfig(AppConfig):
    name = "realtime"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from realtime import checks, registry, wake, watched  # noqa: F401  importing the checks registers them

        registry.autodiscover()
        watched.declare()
        wake.watch_connections()
        pre_migrate.connect(_before_migrations, sender=self, dispatch_uid="realtime.triggers")
        # Of no single sender: the apps are told in turn, and only behind the last one is everybody's table complete.
        post_migrate.connect(_after_migrations, dispatch_uid="realtime.triggers")


def _before_migrations(using: str, plan: Any = (), **kwargs: Any) -> None:
    # SQLite drops the triggers of a table that it rebuilds without a word, and refuses to drop a column that one names.
    if plan:
        from realtime import triggers

        triggers.remove(using)


def _after_migrations(app_config: AppConfig, using: str, **kwargs: Any) -> None:
    told = [config for config in apps.get_app_configs() if config.models_module is not None]
    if app_config is not told[-1] or using != "default":
        return
    from django.db import connections

    from realtime import journal, triggers
    from realtime.models import DatabaseIdentity, Journal

    if not triggers.dialect(connections[using]).ready():
        return  # `migrate realtime zero`
    triggers.install(using)
    if not DatabaseIdentity.objects.using(using).exclude(identity="").exists():
        # A new database, or one that was emptied (`flush`, also between tests): all epochs are new, and what the
        # journal says of the rows that were removed concerns nobody.
        Journal.objects.using(using).all().delete()
        journal.renew_identity(using)
