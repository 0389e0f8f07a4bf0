"""Which rights a changed row concerns, when the row itself is not published: a `Control` per row of a watch.

The rules, for a model that is watched because of rights (`registry.watch`, a router's `rights_from`):

* a row of the user model: that user's subscriptions are judged anew;
* a row of which a column that names users is kept: the subscriptions of the users named before and now;
* a row of django.contrib.auth otherwise (groups, permissions): everybody's;
* anything else (sessions, tokens, credentials): nobody's subscriptions, but all identities are asked whether they hold.

A model that is watched only because others show its rows (`shows`) concerns no rights.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Field, Model

from realtime import registry, values
from realtime.change import Control
from realtime.fields import publish_value
from realtime.journal import Row

RIGHTS = "rights"
IDENTITY = "identity"


class Judge:
    """Made once per process, after the registry is filled."""

    def __init__(self) -> None:
        shown = set(registry.shows())
        rights = registry.rights()
        self._user_model = get_user_model()
        self._user_fields: dict[type[Model], list[Field[Any, Any]]] = {}
        self._concerning: set[type[Model]] = set()
        for watch in registry.watches():
            declared = {item.column for item in rights.get(watch.model, ())}
            fields = [
                field
                for field in watch.model._meta.concrete_fields
                if field.column in declared or (field.column in watch.columns and self._names_users(field))
            ]
            self._user_fields[watch.model] = fields
            if watch.model in rights or watch.model not in shown or fields:
                self._concerning.add(watch.model)

    def controls(self, model: type[Model], rows: Iterable[Row]) -> list[tuple[Row, Control]]:
        """What these rows of a watch mean, read in the view they were read in; empty if they concern no rights."""
        if model not in self._concerning:
            return []
        rows = list(rows)
        fields = self._user_fields[model]
        if issubclass(model, self._user_model):
            return [(row, Control((publish_value(row.pk),), RIGHTS)) for row in rows]
        if fields:
            now = self._named_now(model, fields, [row.pk for row in rows])
            return [(row, Control(self._users(model, fields, row, now.get(row.pk, ())), RIGHTS)) for row in rows]
        return [(row, self.everybody(model)) for row in rows]

    def everybody(self, model: type[Model]) -> Control:
        """What it means when nobody can say which rows of the model changed."""
        named = issubclass(model, self._user_model) or bool(self._user_fields.get(model))
        return Control(None, RIGHTS if named or model._meta.app_label == "auth" else IDENTITY)

    def concerns(self, model: type[Model]) -> bool:
        return model in self._concerning

    def _names_users(self, field: Field[Any, Any]) -> bool:
        target = field.related_model
        return isinstance(target, type) and issubclass(target, self._user_model)

    def _named_now(self, model: type[Model], fields: list[Field[Any, Any]], keys: list[Any]) -> dict[Any, list[Any]]:
        columns = [str(field.column) for field in fields]
        return {
            found.pk: list(values.wire_values(found, columns).values())
            for found in model._base_manager.filter(pk__in=keys).only(*(field.name for field in fields))
        }

    def _users(
        self, model: type[Model], fields: list[Field[Any, Any]], row: Row, now: Iterable[Any]
    ) -> tuple[Any, ...]:
        names = {field.name for field in fields}
        named = list(now)
        for state in row.before:
            named += [value for name, value in (values.to_wire(model, state) or {}).items() if name in names]
        return tuple(sorted({user for user in named if user is not None}, key=str))
