"""What was set aside is counted every second: without reading the journal."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("realtime", "0001_initial")]  # noqa: RUF012  Django's own form

    operations = [  # noqa: RUF012
        migrations.AddIndex(
            "journal",
            models.Index(
                fields=["label"],
                condition=models.Q(("dirty", True), ("failed", True)),
                name="realtime_journal_failed",
            ),
        ),
    ]
