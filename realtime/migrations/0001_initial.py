"""The journal, the database's identity and tokens; on PostgreSQL also the counter of revisions."""

from typing import Any

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def prepare(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    # Owned by no column, so TRUNCATE ... RESTART IDENTITY leaves it alone: a revision must never come twice.
    schema_editor.execute("CREATE SEQUENCE realtime_revision")
    # Rows are updated all the time and few in number: the default thresholds would let a poll read mostly dead rows.
    schema_editor.execute(
        "ALTER TABLE realtime_journal SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, "
        "autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 1000, autovacuum_vacuum_cost_delay = 0, "
        "fillfactor = 70)"
    )


def undo(apps: Any, schema_editor: Any) -> None:
    from realtime.triggers import dialect

    for statement in dialect(schema_editor.connection).drop_functions():
        schema_editor.execute(statement)
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP SEQUENCE realtime_revision")


class Migration(migrations.Migration):
    initial = True

    dependencies = [  # noqa: RUF012  Django's own form
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [  # noqa: RUF012
        migrations.CreateModel(
            name="DatabaseIdentity",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("identity", models.CharField(blank=True, default="", max_length=32)),
                ("revision", models.BigIntegerField(default=0)),
                ("silent", models.TextField(blank=True, default="")),
            ],
        ),
        migrations.CreateModel(
            name="Journal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "kind",
                    models.PositiveSmallIntegerField(
                        choices=[(0, "object"), (1, "whole stream"), (2, "event"), (3, "control")]
                    ),
                ),
                ("label", models.TextField()),
                ("key", models.TextField()),
                ("revision", models.BigIntegerField()),
                ("dirty", models.BooleanField()),
                ("before", models.TextField()),
                ("payload", models.TextField(null=True)),
                ("failed", models.BooleanField()),
                ("at", models.DateTimeField()),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("dirty", True), ("failed", False)),
                        fields=["revision"],
                        name="realtime_journal_due",
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("kind", "label", "key"), name="realtime_journal_key")],
            },
        ),
        migrations.CreateModel(
            name="Token",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                ("key_id", models.CharField(max_length=16)),
                ("digest", models.CharField(max_length=64, unique=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("last_used_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="realtime_tokens",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.RunPython(prepare, undo),
    ]
