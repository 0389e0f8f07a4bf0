"""What the apps have declared: routes, publishing models, and which columns and other rows those depend on.

Everything here is filled while `<app>.serializers` and `<app>.routers` are imported (`autodiscover`) and only read
afterwards, so no lock is needed. Names are resolved late: a declaration may stand before the models are loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.utils.module_loading import autodiscover_modules

if TYPE_CHECKING:
    from django.db.models import Field, Model

    from realtime.kinds import Kind
    from realtime.routers import BaseRouter, ModelRouter
    from realtime.serializers import ModelSerializer
    from realtime.shows import Rights, Shown
    from realtime.triggers import Watch

routes: dict[str, type[BaseRouter]] = {}
publishers: dict[type[Model], type[ModelSerializer] | str] = {}
_watched: dict[tuple[type[Model], tuple[str, ...], tuple[str, ...] | None], tuple[str, ...]] = {}

EVENTS = ("insert", "update", "delete")


def autodiscover() -> None:
    """Import every app's `serializers` and `routers`; an error in one of them is the app's own and stops the start."""
    autodiscover_modules("serializers")
    autodiscover_modules("routers")


# Declaring


def register(router_class: type[BaseRouter]) -> type[BaseRouter]:
    """Offer a router under its `route_name`; also works as a class decorator. ImproperlyConfigured if taken."""
    name = router_class.get_name()
    taken = routes.setdefault(name, router_class)
    if taken is not router_class:
        raise ImproperlyConfigured(
            f"The route {name!r} is declared twice: by {_dotted(taken)} and by {_dotted(router_class)}."
        )
    return router_class


def publish(model: type[Model], serializer_class: type[ModelSerializer] | str) -> None:
    """Make a model publish its changes through this serializer, without touching the model's own code."""
    publishers[model] = serializer_class


def watch(
    model: type[Model],
    columns: Iterable[str] = (),
    on: Iterable[str] | None = None,
    events: Iterable[str] = EVENTS,
) -> None:
    """Journal this model's changes although it publishes nothing; `columns` keep their old values, `on` says
    whose change counts (None: any)."""
    _watched[(model, tuple(columns), None if on is None else tuple(on))] = tuple(events)


# Reading


def serializers() -> dict[type[Model], type[ModelSerializer]]:
    """Each concrete model that publishes, with its serializer resolved to a class."""
    from realtime.models import SelfPublishModel
    from realtime.serializers import resolve_serializer

    found: dict[type[Model], type[ModelSerializer]] = {}
    for model in apps.get_models():
        named: Any = publishers.get(model)
        if named is None and issubclass(model, SelfPublishModel) and not model._meta.proxy:
            named = getattr(model, "serializer_class", None)
        if named is not None:
            found[model] = resolve_serializer(named, model.__module__)
    return found


def model_routers(model: type[Model]) -> Iterator[type[ModelRouter]]:
    """The registered routers that serve this model."""
    from realtime.routers import ModelRouter

    concrete = model._meta.concrete_model
    for router in routes.values():
        if issubclass(router, ModelRouter) and router.get_model()._meta.concrete_model is concrete:
            yield router


def filter_columns(model: type[Model]) -> tuple[str, ...]:
    """The table columns whose old values decide who must hear of a change; `journal` keeps them in `before`.

    They are those of the routers' `filter_fields` and `scope_fields`, and of the serializer's `id_field` when that is
    not the key: the `id` of a deleted object is told from it. Names that no column has are left to `problems`.
    """
    fields: set[Field[Any, Any] | None] = set()
    for router in model_routers(model):
        id_field = router.get_serializer_class().opts.id_field
        fields |= {column_field(model, name, id_field) for name in (*router.filter_fields, *router.scope_fields)}
    serializer = serializers().get(model)
    if serializer is not None and (shown_as := column_field(model, serializer.opts.id_field)) is not model._meta.pk:
        fields.add(shown_as)
    return tuple(sorted(field.column for field in fields if field is not None and field.column is not None))


def kinds(model: type[Model]) -> dict[str, Kind]:
    """By public name, the kind of every filter column's values as they are stored; for `filters.typed`."""
    from realtime import queries

    return queries.kinds(model)


def column_field(model: type[Model], name: str, id_field: str = "pk") -> Field[Any, Any] | None:
    """The field of the model's own table that a public name means: `id` is the serializer's id field, `location_id` is
    `location`; None if there is none."""
    if name == "id":
        name = id_field
    if name == "pk":
        return model._meta.pk
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return next((f for f in model._meta.concrete_fields if f.attname == name), None)
    return field if field in model._meta.concrete_fields else None  # type: ignore[return-value]


def shows() -> dict[type[Model], list[Shown]]:
    """By model whose rows are shown inside other objects: which objects those are."""
    from realtime.shows import shown

    by_source: dict[type[Model], list[Shown]] = {}
    for model, serializer in serializers().items():
        for item in shown(model, serializer):
            by_source.setdefault(item.source, []).append(item)
    return by_source


def rights() -> dict[type[Model], list[Rights]]:
    """By model that rights depend on: the column that says whose."""
    from realtime.shows import Rights, resolve

    by_source: dict[type[Model], list[Rights]] = {}
    for router in routes.values():
        for source, column in router.rights_from.items():
            model = resolve(source)
            item = Rights(source=model, column=column)
            if item not in by_source.setdefault(model, []):
                by_source[model].append(item)
    return by_source


def watches() -> list[Watch]:
    """One watch per model whose changes matter though they are not published themselves, everybody's wishes united."""
    from realtime.triggers import Watch

    wishes: list[tuple[type[Model], tuple[str, ...], tuple[str, ...] | None, tuple[str, ...]]] = [
        (model, columns, on, events) for (model, columns, on), events in _watched.items()
    ]
    for source, items in shows().items():
        wishes += [(source, item.columns, item.on, EVENTS) for item in items]
    for source, whose in rights().items():
        wishes += [(source, (item.column,), None, EVENTS) for item in whose]
    united: list[Watch] = []
    for model in dict.fromkeys(wish[0] for wish in wishes):
        of_model = [wish for wish in wishes if wish[0] is model]
        on = None if any(w[2] is None for w in of_model) else tuple(sorted({c for w in of_model for c in w[2] or ()}))
        united.append(
            Watch(
                model=model,
                label=f"watch:{model._meta.label_lower}",
                columns=tuple(sorted({c for w in of_model for c in w[1]})),
                on=on,
                events=frozenset(e for w in of_model for e in w[3]),
            )
        )
    return united


def problems() -> Iterator[tuple[str, str, str]]:
    """(id, message, hint) of every declaration that cannot be kept; `checks` turns them into system checks."""
    from realtime.declarations import problems as found

    return found()


def _dotted(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
