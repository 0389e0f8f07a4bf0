"""What apps declare, read through for what cannot work: each problem is found at the start, not by a user."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.db.models import Model

from realtime import queries, registry
from realtime.filters import LOOKUPS
from realtime.model_router import ModelRouter
from realtime.related import Relation, dotted_relations, relation
from realtime.router import BaseRouter
from realtime.serializers import ModelSerializer
from realtime.shows import follow, followable, resolve

Problem = tuple[str, str, str]


def problems() -> Iterator[Problem]:
    """(id, message, hint), models first. An id that begins with `realtime.E` must stop the start."""
    try:
        by_model = registry.serializers()
        for serializer in by_model.values():
            _ = serializer.opts
        for router in registry.routes.values():
            if issubclass(router, ModelRouter):
                _ = router.get_serializer_class().opts
    except ImproperlyConfigured as error:
        # Nothing below makes sense before this is put right.
        yield "realtime.E101", str(error), "Name the model and every field that clients may see in Meta."
        return
    for model, serializer in by_model.items():
        yield from _of_serializer(model, serializer)
    for router in registry.routes.values():
        yield from _of_router(router)
        if issubclass(router, ModelRouter):
            yield from _of_model_router(router, by_model)


def _of_serializer(model: type[Model], serializer: type[ModelSerializer]) -> Iterator[Problem]:
    name = _dotted(serializer)
    opts = serializer.opts
    for field in opts.publish_fields:
        first = field.replace("__", ".").split(".")[0]
        if not (_has(opts.model, field) or _has(opts.model, first)):
            yield "realtime.E102", f"{name} publishes {field!r}, which {model._meta.label} does not have.", ""
    for field in opts.update_fields:
        found = relation(opts.model, field)
        if found is None and not _is_concrete(opts.model, field):
            yield "realtime.E103", f"{name} lets clients set {field!r}, which is no field of {model._meta.label}.", ""
    for path, source in serializer.shows.items():
        yield from _of_show(model, name, path, source)
    declared = {"__".join(p.replace(".", "__").split("__")[: n + 1]) for p in serializer.shows for n in range(9)}
    for path, step in _shown_paths(serializer, "", frozenset()):
        if step is not None and not followable(step):
            yield (
                "realtime.E106",
                f"{name} shows {path!r}, whose other side no foreign key names: its changes would go unnoticed.",
                "Leave it out, or publish it by a model of its own.",
            )
        elif path not in declared:
            yield (
                "realtime.E105",
                f"{name} shows {path!r}, but nothing says that a change there must be published.",
                f"Add {path!r} with its model to `shows`, or publish only the key.",
            )


def _of_show(model: type[Model], name: str, path: str, source: Any) -> Iterator[Problem]:
    found = follow(model, path)
    if found is None:
        yield "realtime.E106", f"{name}.shows names {path!r}, which no relation of {model._meta.label} leads to.", ""
        return
    try:
        wrong = source is not None and all(item.source is not resolve(source) for item in found)
    except LookupError:
        wrong = True
    if wrong:
        yield "realtime.E106", f"{name}.shows says {source!r} of {path!r}, which leads elsewhere.", ""


def _shown_paths(
    serializer: type[ModelSerializer], prefix: str, above: frozenset[type[ModelSerializer]]
) -> Iterator[tuple[str, Relation | None]]:
    """Each path whose rows, not only keys, are part of what the serializer publishes."""
    above = above | {serializer}
    for name in serializer.opts.publish_fields:
        step = relation(serializer.opts.model, name)
        if step is None:
            walked = prefix
            for part in dotted_relations(serializer.opts.model, name):
                yield walked + part.name, part
                walked += f"{part.name}__"
            continue
        if not followable(step):
            yield prefix + name, step
        nested = serializer.related_serializer(name)
        if nested is not None and nested not in above:
            yield prefix + name, step
            yield from _shown_paths(nested, f"{prefix}{name}__", above)


def _of_router(router: type[BaseRouter]) -> Iterator[Problem]:
    name = _dotted(router)
    for verb in sorted(router.verbs()):
        if verb.startswith("_") or not callable(getattr(router, verb, None)):
            yield "realtime.E111", f"{name} offers the verb {verb!r}, which is no method of it.", ""
    for source, column in router.rights_from.items():
        try:
            columns = {field.column for field in resolve(source)._meta.concrete_fields}
        except (LookupError, ValueError):
            yield "realtime.E110", f"{name}.rights_from names {source!r}, which is no model.", ""
            continue
        if column not in columns:
            yield "realtime.E110", f"{name}.rights_from: {resolve(source)._meta.label} has no column {column!r}.", ""


def _of_model_router(
    router: type[ModelRouter], by_model: dict[type[Model], type[ModelSerializer]]
) -> Iterator[Problem]:
    name, serializer = _dotted(router), router.get_serializer_class()
    model = serializer.opts.model
    if router.get_model() is not model:
        yield "realtime.E109", f"{name}.model is not the model of its serializer.", "Leave `model` out."
    if "subscribe" in router.verbs() and by_model.get(model) is not serializer:
        yield (
            "realtime.E108",
            f"{name} offers subscriptions, but {model._meta.label} does not publish through {serializer.__name__}.",
            f"Make it the model's serializer_class, or add 'subscribe' to exclude_verbs of {router.__name__}.",
        )
    for field, lookups in [*router.filter_fields.items(), *((field, ()) for field in router.scope_fields)]:
        column = registry.column_field(model, field, serializer.opts.id_field)
        if column is None:
            hint = "Filters and rights use columns of the model's own table; keep a copy of the value there."
            yield "realtime.E107", f"{name} filters by {field!r}, which is no column of {model._meta.label}.", hint
            continue
        kind = queries.kind_of(column)
        if kind is None and field not in router.filter_fields:
            continue  # its old values are kept all the same; a context that names it says itself that it cannot
        if kind is None:
            yield "realtime.E107", f"{name} filters by {field!r}, whose type no filter can compare.", ""
            continue
        if isinstance(lookups, str):
            yield "realtime.E107", f"{name}.filter_fields[{field!r}] must be a list of lookups.", ""
            continue
        for lookup in lookups:
            if lookup not in LOOKUPS or lookup not in kind.lookups:
                hint = f"Possible are {', '.join(kind.lookups)}."
                yield "realtime.E107", f"{name} filters by {field}__{lookup}, which a {kind.name} does not have.", hint


def _has(model: type[Model], name: str) -> bool:
    return hasattr(model, name) or _is_concrete(model, name) or relation(model, name) is not None


def _is_concrete(model: type[Model], name: str) -> bool:
    try:
        field = model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return field in model._meta.concrete_fields


def _dotted(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
