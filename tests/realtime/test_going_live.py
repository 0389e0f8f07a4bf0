"""A project that exists already goes live: real processes, its own user model, its own keys, and no migration made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from tests.realtime.journal_base import POSTGRESQL

ROOT = Path(__file__).parents[2]

SETTINGS = """
import os
SECRET_KEY = "a-test"
INSTALLED_APPS = ["shop"] + ["django.contrib." + name for name in ("auth", "contenttypes", "sessions", "sites")]
if os.environ.get("LIVE"):
    INSTALLED_APPS.append("realtime")
AUTH_USER_MODEL = "shop.Person"
DATABASES = {"default": %r}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
SITE_ID = 1
"""

MODELS = """
import os, uuid
from django.contrib.auth.models import AbstractUser
from django.db import models

if os.environ.get("LIVE"):
    from realtime.models import SelfPublishModel as Base
else:
    Base = models.Model

class Person(AbstractUser, Base):
    serializer_class = "PersonSerializer"
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)

class Article(Base):
    serializer_class = "ArticleSerializer"
    code = models.CharField(max_length=20, primary_key=True)
    shelf = models.IntegerField(default=0)
"""

SERIALIZERS = """
from django.contrib.sites.models import Site
from realtime import register
from realtime.serializers import ModelSerializer

class PersonSerializer(ModelSerializer):
    class Meta:
        model = "shop.Person"
        publish_fields = ("username",)

class ArticleSerializer(ModelSerializer):
    class Meta:
        model = "shop.Article"
        publish_fields = ("code", "shelf")

class SiteSerializer(ModelSerializer):
    class Meta:
        model = Site
        publish_fields = ("domain",)

register(Site, SiteSerializer)
"""

ROUTERS = """
from realtime import registry
from realtime.routers import ModelRouter
from shop.serializers import ArticleSerializer

@registry.register
class ArticleRouter(ModelRouter):
    route_name = "article"
    serializer_class = ArticleSerializer
    filter_fields = {"shelf": ["exact"]}
"""

WRITE = """
from django.contrib.sites.models import Site
from realtime import journal
from shop.models import Article, Person
journal.mark(journal.read(10_000))
Article.objects.filter(code="old").update(shelf=2)
person = Person.objects.create(username="viewer")
Site.objects.update(domain="example.org")
print(sorted((row.label, row.key == str(person.pk) or row.key, row.before) for row in journal.read()))
"""


@pytest.fixture
def database(tmp_path: Path, django_db_blocker: Any) -> Iterator[dict[str, Any]]:
    """Settings of a database that nobody has migrated yet, of the kind that the tests run on."""
    if not POSTGRESQL:
        options = {"transaction_mode": "IMMEDIATE", "timeout": 30}
        yield {"ENGINE": "realtime.sqlite", "NAME": str(tmp_path / "db.sqlite3"), "OPTIONS": options}
        return
    name = f"going_live_{os.getpid()}"
    with django_db_blocker.unblock():
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        keys = ("ENGINE", "USER", "PASSWORD", "HOST", "PORT")
        yield {key: connection.settings_dict[key] for key in keys} | {"NAME": name}
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


@pytest.mark.e2e
@pytest.mark.database
def test_an_existing_project_goes_live_without_a_migration(tmp_path: Path, database: dict[str, Any]) -> None:
    app = tmp_path / "shop"
    (app / "migrations").mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "migrations/__init__": "",
        "models": MODELS,
        "serializers": SERIALIZERS,
        "routers": ROUTERS,
    }.items():
        (app / f"{name}.py").write_text(text)
    (tmp_path / "shop_settings.py").write_text(SETTINGS % database)

    def django(*words: str, live: bool) -> str:
        environment = {k: v for k, v in os.environ.items() if k not in ("LIVE", "DATABASE_URL")}
        environment |= {"DJANGO_SETTINGS_MODULE": "shop_settings", "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
        if live:
            environment["LIVE"] = "yes"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-m", "django", *words],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    django("makemigrations", "shop", live=False)
    django("migrate", live=False)
    django("shell", "-v0", "-c", "from shop.models import *; Article.objects.create(code='old', shelf=1)", live=False)

    assert "No changes" in django("makemigrations", "--check", live=True)
    django("migrate", live=True)
    assert django("check", "--database", "default", "--fail-level", "WARNING", live=True)
    said = django("shell", "-v0", "-c", WRITE, live=True)
    assert said.strip() == (
        "[('shop.article', 'old', ({'shelf': 1},)), ('shop.person', True, (None,)), ('sites.site', '1', ({},))]"
    )
    assert "installed  sites.site" in django("journal", "status", live=True)

    # And back: without the app the database goes on as it was.
    django("journal", "remove", live=True)
    django("shell", "-v0", "-c", "from shop.models import *; Article.objects.update(shelf=3)", live=False)
