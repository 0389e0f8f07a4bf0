"""From a subscribe call to the plan of a subscription: which changes of which stream, and the objects there are now."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from django.db.models import Model, Q

from realtime import queries
from realtime.answers import Plan, Snapshot
from realtime.arguments import call_hook
from realtime.change import DATA_STREAM
from realtime.errors import BadArgs
from realtime.filters import Filter
from realtime.protocol import Call, Raw, dumps
from realtime.settings import limits

if TYPE_CHECKING:
    from realtime.routers import BaseRouter, ModelRouter
    from realtime.serializers import ModelSerializer

logger = logging.getLogger("realtime.subscriptions")

# Objects read from the database, and held as instances, at a time.
CHUNK = 1000
# Of a client's own name for a subscription; every frame it may be found in repeats it.
NAME_LENGTH = 200


def local_channel(name: Any) -> str:
    """The client's own name for a subscription. BadArgs."""
    if not isinstance(name, str) or not 0 < len(name) <= NAME_LENGTH:
        raise BadArgs("channel is a short text.")
    return name


def entries(call: Call) -> list[Call]:
    """The single calls that a subscribe with a list stands for. BadArgs if it is not such a list."""
    listed = call.args.get("subscriptions")
    if call.verb != "subscribe" or not isinstance(listed, list) or len(call.args) > 1:
        raise BadArgs("subscriptions is a list, and the only argument.")
    calls: list[Call] = []
    for entry in listed:
        route = entry.get("route", call.route) if isinstance(entry, dict) else None
        if not isinstance(route, str) or "subscriptions" in entry:
            raise BadArgs("Each of subscriptions is an object with a route and its arguments.")
        args = {name: value for name, value in entry.items() if name != "route"}
        calls.append(Call("subscribe", route, args, call.callbackname))
    return calls


def data_plan(router: BaseRouter, local: str, args: Mapping[str, Any]) -> Plan:
    """What `publish_data` sends to the channels that the router names."""
    channels = call_hook(router.get_subscription_channels, **args)
    if isinstance(channels, str) or not all(isinstance(channel, str) and channel for channel in channels):
        raise TypeError(f"{type(router).__name__}.get_subscription_channels must return a list of names.")
    return Plan(kind="data", stream=DATA_STREAM, channels=tuple(dict.fromkeys(channels)), local=local)


def model_plan(router: ModelRouter, local: str, args: Mapping[str, Any]) -> Plan:
    """The changes of the router's model that the client asked for and may see."""
    serializer = router.get_serializer_class()
    asked = queries.conditions(
        serializer.opts.model, args, router.filter_fields, id_field=serializer.opts.id_field, limit=router.filter_values
    )
    wanted = scope(router, args).narrowed(asked)
    return Plan(
        kind="model",
        stream=serializer.stream(),
        channels=(wanted.name(serializer.stream()),),
        local=local,
        filter=wanted,
        object_map=serializer.get_object_map(),
        snapshot=lambda: snapshot(serializer, queries.query(wanted), router.snapshot_limit),
    )


def scope(router: ModelRouter, args: Mapping[str, Any]) -> Filter:
    """What the caller may see at all: the router's contexts, any of which suffices."""
    contexts: Any = call_hook(router.get_scope, **args)
    if contexts is None:
        return Filter.everything()
    if isinstance(contexts, Mapping):
        contexts = [contexts]
    serializer = router.get_serializer_class()
    return Filter.everything().either(
        queries.scope_conditions(
            serializer.opts.model,
            context,
            (*router.filter_fields, *router.scope_fields),
            id_field=serializer.opts.id_field,
        )
        for context in _checked(contexts)
    )


def _checked(contexts: Iterable[Any]) -> Iterable[Mapping[str, Any]]:
    for context in contexts:
        if not isinstance(context, Mapping):
            raise TypeError("get_subscription_contexts must return None, a dictionary or a list of dictionaries.")
        yield context


def snapshot(serializer: type[ModelSerializer], wanted: Q, limit: int | None = None) -> Snapshot:
    """The objects and the journal's revisions of their model as of one moment; it blocks no writer.

    With a limit, those that come first by the model's ordering; in the order of their keys all the same.
    """
    from realtime import journal, view

    model: type[Model] = serializer.opts.model
    if limit is not None:
        first = model._base_manager.filter(wanted).order_by(*model._meta.ordering or ())[:limit]
        wanted = Q(pk__in=first.values("pk"))
    with view.consistent():
        rights_due = journal.rights_due()
        revisions = journal.revisions(model._meta.label_lower)
        rows = serializer.get_queryset().filter(wanted).order_by("pk")
        texts = [
            (journal_key(row), dumps(published))
            for row, published in serializer.publish_all(rows.iterator(chunk_size=CHUNK))
        ]
    objects = [(key, Raw(text)) for key, text in texts if _tellable(model, key, text)]
    return Snapshot(objects, revisions, rights_due)


def _tellable(model: type[Model], key: str, text: str) -> bool:
    """The relay sets aside what is too large; one such row must not keep the others from whoever comes."""
    largest = limits().object_bytes
    if len(text) > largest:
        logger.error("%s %s is left out: %d characters of %d", model._meta.label_lower, key, len(text), largest)
    return len(text) <= largest


def journal_key(row: Any) -> str:
    """The object's key as the journal writes it."""
    return str(row.pk)
