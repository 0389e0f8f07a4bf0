"""The library's tables; it has migrations because one of them refers to the user's."""

# ruff: noqa: RUF012  as Django writes it

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Book",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=40)),
                ("secret", models.CharField(blank=True, default="", max_length=40)),
                ("pages", models.IntegerField(default=1)),
                ("price", models.DecimalField(blank=True, decimal_places=2, max_digits=8, null=True)),
                ("rating", models.FloatField(blank=True, null=True)),
                ("on_loan", models.BooleanField(default=False)),
                ("due", models.DateTimeField(blank=True, null=True)),
                ("code", models.UUIDField(blank=True, null=True)),
                ("extra", models.JSONField(blank=True, default=dict)),
                ("cover", models.FileField(blank=True, upload_to="")),
                ("changed_at", models.DateTimeField(auto_now=True)),
            ],
        ),
        migrations.CreateModel(
            name="Keyword",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("word", models.CharField(max_length=20)),
            ],
        ),
        migrations.CreateModel(
            name="Shelf",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=20, unique=True)),
                ("room", models.CharField(blank=True, default="", max_length=20)),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.CreateModel(
            name="Chapter",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=20)),
                (
                    "book",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="chapters", to="library.book"
                    ),
                ),
            ],
            options={
                "ordering": ("id",),
            },
        ),
        migrations.AddField(
            model_name="book",
            name="keywords",
            field=models.ManyToManyField(blank=True, to="library.keyword"),
        ),
        migrations.CreateModel(
            name="Loan",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("book", models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, to="library.book")),
            ],
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("user", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to=settings.AUTH_USER_MODEL)),
                ("shelf", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="library.shelf")),
            ],
        ),
        migrations.AddField(
            model_name="book",
            name="shelf",
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, to="library.shelf"),
        ),
        migrations.AddConstraint(
            model_name="book",
            constraint=models.UniqueConstraint(fields=("shelf", "title"), name="library_book_title"),
        ),
        migrations.AddConstraint(
            model_name="book",
            constraint=models.UniqueConstraint(
                condition=models.Q(("secret", ""), _negated=True), fields=("secret",), name="library_book_secret"
            ),
        ),
        migrations.AddConstraint(
            model_name="book",
            constraint=models.CheckConstraint(condition=models.Q(("pages__gte", 0)), name="library_book_pages"),
        ),
    ]
