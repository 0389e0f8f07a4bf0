"""Locations, memberships, devices, their histories and commands."""

import django.core.validators
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import devices.models


class Migration(migrations.Migration):
    initial = True

    dependencies = (migrations.swappable_dependency(settings.AUTH_USER_MODEL),)

    operations = (
        migrations.CreateModel(
            name="DeviceType",
            fields=[
                ("slug", models.SlugField(primary_key=True, serialize=False)),
                ("name", models.CharField(max_length=100)),
                (
                    "icon",
                    models.CharField(
                        blank=True,
                        max_length=40,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9-]*\\Z", "An icon's name is lower case letters, digits and -."
                            )
                        ],
                    ),
                ),
                ("schema", models.JSONField(blank=True, default=dict, validators=[devices.models.check_schema])),
                (
                    "expected_every",
                    models.PositiveIntegerField(
                        default=60,
                        help_text="Seconds between two reports; a device silent for longer counts as offline.",
                    ),
                ),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="Lease",
            fields=[
                ("name", models.CharField(max_length=50, primary_key=True, serialize=False)),
                ("holder", models.CharField(max_length=64)),
                ("until", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Location",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=100, unique=True)),
                (
                    "timezone",
                    models.CharField(default="UTC", max_length=64, validators=[devices.models.check_timezone]),
                ),
                (
                    "icon",
                    models.CharField(
                        blank=True,
                        max_length=40,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9-]*\\Z", "An icon's name is lower case letters, digits and -."
                            )
                        ],
                    ),
                ),
            ],
            options={
                "ordering": ("name",),
            },
        ),
        migrations.CreateModel(
            name="Device",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "uid",
                    models.CharField(
                        default=devices.models.new_uid,
                        max_length=64,
                        unique=True,
                        validators=[
                            django.core.validators.RegexValidator(
                                "^[a-z0-9][a-z0-9._-]*\\Z", "Lower case letters, digits and . _ - are possible."
                            )
                        ],
                    ),
                ),
                ("name", models.CharField(max_length=100)),
                (
                    "detail",
                    models.CharField(
                        blank=True, help_text="Make, model or place, beside the type's name.", max_length=100
                    ),
                ),
                ("vendor", models.CharField(blank=True, max_length=32)),
                ("vendor_id", models.CharField(blank=True, max_length=100)),
                ("vendor_config", models.JSONField(blank=True, default=dict, validators=[devices.models.check_values])),
                ("enabled", models.BooleanField(default=True)),
                ("desired", models.JSONField(blank=True, default=dict, validators=[devices.models.check_values])),
                ("desired_version", models.BigIntegerField(default=0)),
                ("commanded", models.JSONField(blank=True, default=dict, editable=False)),
                ("reported", models.JSONField(blank=True, default=dict)),
                ("reported_at", models.DateTimeField(blank=True, null=True)),
                ("acked_version", models.BigIntegerField(default=0)),
                ("is_on", models.BooleanField(blank=True, null=True)),
                (
                    "presence",
                    models.CharField(
                        choices=[
                            ("unknown", "Unknown"),
                            ("online", "Online"),
                            ("sleeping", "Sleeping"),
                            ("offline", "Offline"),
                            ("lost", "Lost"),
                        ],
                        default="unknown",
                        max_length=8,
                    ),
                ),
                ("last_seen", models.DateTimeField(blank=True, null=True)),
                ("pending", models.JSONField(blank=True, editable=False, null=True)),
                ("failed", models.JSONField(blank=True, editable=False, null=True)),
                (
                    "type",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="devices", to="devices.devicetype"
                    ),
                ),
                (
                    "location",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        help_text="Without one only staff see it.",
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="devices",
                        to="devices.location",
                    ),
                ),
            ],
            options={
                "ordering": ("name", "pk"),
            },
        ),
        migrations.CreateModel(
            name="Command",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("values", models.JSONField()),
                ("version", models.BigIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("sent", "Sent"),
                            ("acked", "Acked"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("expired", "Expired"),
                            ("cancelled", "Cancelled"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                ("by", models.CharField(blank=True, max_length=150)),
                ("via", models.CharField(max_length=20)),
                ("created_at", models.DateTimeField()),
                ("sent_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("expires_at", models.DateTimeField()),
                ("code", models.CharField(blank=True, max_length=32)),
                ("error", models.CharField(blank=True, max_length=200)),
                (
                    "requested_by",
                    models.ForeignKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "device",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="devices.device"),
                ),
                (
                    "location",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to="devices.location"
                    ),
                ),
            ],
            options={
                "ordering": ("-created_at", "-pk"),
            },
        ),
        migrations.CreateModel(
            name="Attribute",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=32)),
                ("value", models.FloatField()),
                ("units", models.CharField(blank=True, max_length=200)),
                ("valid_at", models.DateTimeField(db_index=True)),
                ("received_at", models.DateTimeField()),
                (
                    "device",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="devices.device"),
                ),
                (
                    "location",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to="devices.location"
                    ),
                ),
            ],
            options={
                "ordering": ("-valid_at", "-pk"),
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("viewer", "viewer: sees"),
                            ("operator", "operator: switches"),
                            ("manager", "manager: changes"),
                        ],
                        default="viewer",
                        max_length=10,
                    ),
                ),
                (
                    "location",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="memberships", to="devices.location"
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Status",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("is_on", models.BooleanField()),
                ("valid_at", models.DateTimeField(db_index=True)),
                ("source", models.CharField(max_length=20)),
                (
                    "device",
                    models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, to="devices.device"),
                ),
                (
                    "location",
                    models.ForeignKey(
                        blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, to="devices.location"
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "statuses",
                "ordering": ("-valid_at", "-pk"),
            },
        ),
        migrations.AddIndex(
            model_name="device",
            index=models.Index(fields=["name", "id"], name="devices_device_name"),
        ),
        migrations.AddIndex(
            model_name="device",
            index=models.Index(fields=["location", "name"], name="devices_device_place"),
        ),
        migrations.AddIndex(
            model_name="device",
            index=models.Index(fields=["presence", "last_seen"], name="devices_device_seen"),
        ),
        migrations.AddIndex(
            model_name="device",
            index=models.Index(
                condition=models.Q(("pending__isnull", False)), fields=["id"], name="devices_device_pending"
            ),
        ),
        migrations.AddConstraint(
            model_name="device",
            constraint=models.UniqueConstraint(
                condition=models.Q(("vendor_id", ""), _negated=True),
                fields=("vendor", "vendor_id"),
                name="devices_device_vendor_once",
            ),
        ),
        migrations.AddIndex(
            model_name="command",
            index=models.Index(fields=["device", "-created_at"], name="devices_command_latest"),
        ),
        migrations.AddIndex(
            model_name="command",
            index=models.Index(fields=["created_at"], name="devices_command_created"),
        ),
        migrations.AddIndex(
            model_name="command",
            index=models.Index(
                condition=models.Q(("state__in", ("queued", "sent", "acked"))),
                fields=["expires_at"],
                name="devices_command_open",
            ),
        ),
        migrations.AddIndex(
            model_name="attribute",
            index=models.Index(fields=["device", "name", "-valid_at"], name="devices_attribute_latest"),
        ),
        migrations.AddIndex(
            model_name="attribute",
            index=models.Index(fields=["device", "-valid_at"], name="devices_attribute_device"),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(fields=("user", "location"), name="devices_membership_once"),
        ),
        migrations.AddIndex(
            model_name="status",
            index=models.Index(fields=["device", "-valid_at"], name="devices_status_latest"),
        ),
    )
