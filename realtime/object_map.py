"""SwampDragon's object map: how published objects hang together, for clients that keep them in one store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from realtime.related import relation

if TYPE_CHECKING:
    from realtime.serializers import ModelSerializer

Pairs = set[tuple[type["ModelSerializer"], type["ModelSerializer"]]]


def get_object_map(serializer: type[ModelSerializer], seen: Pairs | None = None) -> list[dict[str, Any]]:
    """One entry per related serializer, depth first; a pair of serializers stands once, so cycles end."""
    seen = set() if seen is None else seen
    graph: list[dict[str, Any]] = []
    for child, name in serializer.get_related_serializers():
        found = relation(serializer.opts.model, name)
        if found is None or (serializer, child) in seen:
            continue
        seen.add((serializer, child))
        graph.append(
            {
                "parent_type": serializer.opts.type,
                "child_type": child.opts.type,
                "via": found.via,
                "prop_name": name,
                "is_collection": found.many,
            }
        )
        graph += get_object_map(child, seen)
    return graph
