"""`journal status | install | remove [--sql]`: the triggers that write the journal."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from realtime import journal, triggers


class Command(BaseCommand):
    help = "Shows, makes or removes the triggers that write the journal. `migrate` makes them too."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["status", "install", "remove"])
        parser.add_argument("--sql", action="store_true", help="only print the SQL, for somebody with more rights")
        parser.add_argument(
            "--restored",
            action="store_true",
            help="with install: this database came from a backup, so everybody must take a new snapshot",
        )
        parser.add_argument("--database", default="default", choices=tuple(connections))

    def handle(self, *args: Any, **options: Any) -> None:
        using = options["database"]
        if options["sql"]:
            for statement in triggers.statements(using, removing=options["action"] == "remove"):
                self.stdout.write(f"{statement};\n")
        elif options["action"] == "remove":
            tables = triggers.remove(using, functions=True)
            self.stdout.write(f"Removed from {_list(tables)}. Changes are not published until `journal install`.")
        elif options["action"] == "install":
            self._install(using, restored=options["restored"])
        else:
            self._status(using)

    def _install(self, using: str, *, restored: bool) -> None:
        if not triggers.dialect(connections[using]).ready():
            raise CommandError("The journal's tables do not exist yet. Try: manage.py migrate realtime")
        made = triggers.install(using)
        if restored:
            journal.renew_identity(using)
        self.stdout.write(f"Installed for {_list(made)}." if made else "Everything was in place.")

    def _status(self, using: str) -> None:
        if not triggers.dialect(connections[using]).ready():
            raise CommandError("The journal's tables do not exist yet. Try: manage.py migrate realtime")
        statuses = triggers.status(using)
        for status in statuses:
            self.stdout.write(f"{status.state:<10} {status.label or '(nobody wants these)'}  {status.table}")
        due, age = journal.pending(using)
        self.stdout.write(f"{due} due, the oldest for {age:.0f} s, {journal.failed(using)} set aside")
        if any(status.state in ("missing", "stale") for status in statuses):
            raise CommandError("Some triggers are missing or stale. Try: manage.py journal install")


def _list(names: list[str]) -> str:
    return ", ".join(names) or "nothing"
