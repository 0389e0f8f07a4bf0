"""A small project that was not written for Marshlight: it works, goes live by a few lines, and goes back.

`shop/` is that project. It runs in processes of its own, copied to where its files may be changed; its database is made
by its own migrations, and nothing of it is migrated on the way there or back.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.realtime.serving import LIMIT, Peer, peer, until

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

# All of it, for the first model. The others below need as much each.
SETTINGS = """
INSTALLED_APPS += ["realtime"]
"""
ROUTERS = """
import realtime
from realtime.routers import ModelRouter, register
from realtime.serializers import ModelSerializer
from stock.models import Product

class ProductSerializer(ModelSerializer):
    class Meta:
        model = Product
        publish_fields = ("name", "price", "supplier")

realtime.register(Product, ProductSerializer)

@register
class ProductRouter(ModelRouter):
    route_name = "product"
    serializer_class = ProductSerializer
"""
MORE = """
from django.contrib.sites.models import Site
from people.models import Person
from stock.models import Order, Supplier

class SupplierSerializer(ModelSerializer):
    class Meta:
        model = Supplier
        publish_fields = ("name",)

class PersonSerializer(ModelSerializer):
    class Meta:
        model = Person
        publish_fields = ("full_name",)

class OrderSerializer(ModelSerializer):
    class Meta:
        model = Order
        publish_fields = ("product", "buyer", "pieces")

    @classmethod
    def get_queryset(cls):
        return cls.prefetched(Order.objects.all())

class SiteSerializer(ModelSerializer):
    class Meta:
        model = Site
        publish_fields = ("domain",)

for serializer in (SupplierSerializer, PersonSerializer, OrderSerializer, SiteSerializer):
    realtime.register(serializer.Meta.model, serializer)
    name = serializer.Meta.model._meta.model_name
    register(type(f"{name}Router", (ModelRouter,), {"route_name": name, "serializer_class": serializer}))
"""
SEED = """
from people.models import Person
from stock.models import Order, Product, Supplier
person = Person.objects.create_user("buyer@example.org", full_name="Buyer", is_staff=True)
supplier = Supplier.objects.create(name="Mill")
product = Product.objects.create(code="A/1", name="Flour", price="1.50", supplier=supplier)
Order.objects.create(product=product, buyer=person, done=True)
"""
WRITE = """
from django.contrib.sites.models import Site
from people.models import Person
from stock.models import *
product = Product.objects.get()
Product.objects.update(price="2.00")
Supplier.objects.create(name="Dairy")
LargeOrder.objects.create(product=product, buyer=Person.objects.get(), pieces=500)
Imported.objects.create(code="B/2", name="Saffron", price="9.90", supplier=product.supplier, duty="3.00")
Person.objects.update(full_name="Another")
Site.objects.update(domain="shop.example.org")
"""


class Shop:
    """The project's files, its database, and what may be done with both."""

    def __init__(self, directory: Path, database: str, interpreter: list[str]) -> None:
        self.root = directory / "shop"
        shutil.copytree(HERE / "shop", self.root, ignore=shutil.ignore_patterns("__pycache__"))
        self.database = database
        self.interpreter = interpreter

    @property
    def environment(self) -> dict[str, str]:
        cleared = ("DJANGO_SETTINGS_MODULE", "REDIS_URL", "MARSHLIGHT_URL", "MARSHLIGHT_DATA")
        kept = {name: value for name, value in os.environ.items() if name not in cleared}
        return {**kept, "DATABASE_URL": self.database, "PYTHONPATH": str(ROOT)}

    def manage(self, *words: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert bool(done.returncode) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def shell(self, program: str) -> str:
        return self.manage("shell", "-v0", "-c", program)

    def sql(self, statement: str) -> str:
        """By the database's own program."""
        done = subprocess.run([*self.interpreter, statement], capture_output=True, text=True, check=True, timeout=LIMIT)
        return done.stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")

    def append(self, name: str, text: str) -> None:
        self.write(name, (self.root / name).read_text(encoding="utf-8") + text)

    @contextlib.contextmanager
    def served(self) -> Iterator[int]:
        ready = self.root / "ready"
        ready.unlink(missing_ok=True)
        words = ["serve", "--port", "0", "--ready-file", str(ready)]
        with (self.root / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "manage.py", *words], cwd=self.root, env=self.environment, stdout=log, stderr=log
            )
        try:
            until(lambda: ready.exists() or process.poll() is not None, "a server's start")
            yield int(json.loads(ready.read_text())["port"])
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                ended = process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
        assert ended == 0, (self.root / "log").read_text()
        assert "Traceback" not in (self.root / "log").read_text()


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """The shop after some years: migrated, with rows, and working without us."""
    if request.param == "sqlite":
        path = tmp_path / "shop.sqlite3"
        program = services.program("sqlite3", "sqlite3")
        made = Shop(tmp_path, f"sqlite:///{path}", [program, "-cmd", ".timeout 5000", str(path)])
    else:
        server: services.Postgres = request.getfixturevalue("postgres")
        name = f"shop_{os.getpid()}"
        program = services.program("psql", "postgresql-client")
        psql = [program, "-XAtq", "-v", "ON_ERROR_STOP=1"]
        url = server.url.rpartition("/")[0]
        subprocess.run([*psql, "-d", server.url, "-c", f"CREATE DATABASE {name}"], check=True)
        made = Shop(tmp_path, f"{url}/{name}", [*psql, "-d", f"{url}/{name}", "-c"])
    made.manage("makemigrations", "people", "stock")
    made.manage("migrate")
    made.shell(SEED)
    yield made
    if request.param == "postgresql":
        subprocess.run([*psql, "-d", server.url, "-c", f"DROP DATABASE {name}"], check=True)


def go_live(shop: Shop) -> None:
    shop.append("settings.py", SETTINGS)
    shop.write("stock/routers.py", ROUTERS + MORE)
    assert "No changes" in shop.manage("makemigrations", "--check")
    shop.manage("migrate")


def triggers(shop: Shop) -> str:
    if shop.database.startswith("sqlite"):
        return shop.sql("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'")
    return shop.sql(
        "SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) +"
        " (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"
    )


def seen(client: Peer, count: int) -> dict[tuple[str, str], dict[str, Any]]:
    """The next changes, by type and action."""
    changes = [client.change() for _ in range(count)]
    return {(change["data"]["_type"], change["action"]): change["data"] for change in changes}


def test_the_first_model_goes_live_by_ten_lines() -> None:
    lines = [line for line in (SETTINGS + ROUTERS).splitlines() if line.strip()]

    assert len([line for line in lines if "import" not in line]) <= 10


def test_it_goes_live_and_back_without_a_migration_of_its_own(shop: Shop) -> None:
    before = shop.sql("SELECT count(*) FROM django_migrations WHERE app IN ('people', 'stock')")
    untouched = {name: (shop.root / name).read_text() for name in ("settings.py", "stock/models.py")}
    go_live(shop)
    token = shop.manage("token", "create", "buyer@example.org").split()[-1]
    with shop.served() as port, peer(port, token=token) as client:
        assert client.call("whoami", "session")["data"]["user"]["username"] == "buyer@example.org"
        snapshots = {name: client.subscribe(name, name)["data"] for name in ROUTES}
        assert [product["id"] for product in snapshots["product"]] == ["A/1"]
        assert snapshots["order"] == []  # its manager hides what is done

        shop.shell(WRITE)
        heard = seen(client, 6)
        assert heard["product", "updated"]["price"] == "2.00"
        assert heard["supplier", "created"]["name"] == "Dairy"
        assert heard["order", "created"]["pieces"] == 500  # written through the proxy
        assert heard["product", "created"]["id"] == "B/2"  # as the parent's row of a child
        assert heard["person", "updated"]["full_name"] == "Another"
        assert heard["site", "updated"]["domain"] == "shop.example.org"

        shop.sql("UPDATE stock_product SET name = 'Rye' WHERE code = 'A/1'")
        assert client.change()["data"]["name"] == "Rye"
        shop.sql("UPDATE stock_order SET done = NOT done WHERE pieces = 500")
        assert client.change()["action"] == "deleted"
        shop.sql("DELETE FROM stock_supplier WHERE name = 'Dairy'")
        gone = client.change()
        assert (gone["action"], gone["data"]["id"]) == ("deleted", heard["supplier", "created"]["id"])
        until(lambda: "0 due" in shop.manage("journal", "status"), "publishing everything")
    assert triggers(shop) != "0"

    # And back.
    shop.manage("journal", "remove")
    assert triggers(shop) == "0"
    (shop.root / "stock/routers.py").unlink()
    for name, text in untouched.items():
        shop.write(name, text)
    shop.shell("from stock.models import *; Product.objects.update(name='Wheat'); Order._base_manager.all().delete()")
    shop.sql("UPDATE stock_product SET price = 3")
    shop.manage("migrate")
    shop.manage("check", "--database", "default")
    assert shop.sql("SELECT count(*) FROM stock_product WHERE name = 'Wheat' AND price = 3") == "2"
    assert shop.sql("SELECT count(*) FROM django_migrations WHERE app IN ('people', 'stock')") == before
    assert triggers(shop) == "0"


ROUTES = ("product", "supplier", "person", "order", "site")


def test_a_model_with_its_parents_table_is_refused_by_name(shop: Shop) -> None:
    go_live(shop)
    shop.append(
        "stock/routers.py",
        """
from stock.models import Imported

class ImportedSerializer(ModelSerializer):
    class Meta:
        model = Imported
        publish_fields = ("duty",)

realtime.register(Imported, ImportedSerializer)
""",
    )
    for words in (["check"], ["serve", "--port", "0"]):
        said = shop.manage(*words, fails=True)
        assert "realtime.E002" in said
        assert "stock.Imported inherits the table of stock.Product" in said


def test_the_admin_lists_tokens_by_whatever_users_are_called(shop: Shop) -> None:
    go_live(shop)
    shop.manage("token", "create", "buyer@example.org", "--name", "till")
    assert "till" in shop.manage("token", "list", "buyer@example.org")
    said = shop.shell(
        """
from django.test import Client
from people.models import Person
client = Client(headers={"host": "127.0.0.1"})
Person.objects.update(is_superuser=True)
client.force_login(Person.objects.get())
for path in ("?q=buyer", "add/"):
    print(client.get(f"/admin/realtime/token/{path}").status_code)
"""
    )
    assert said.split() == ["200", "200"]
