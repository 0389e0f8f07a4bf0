"""What a committed row looks like to whoever may see it: rules written here once more, not the serializers' own."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """What an object shows of a row of another table: wire name → column there."""

    table: str
    column: str
    names: Mapping[str, str]


@dataclass(frozen=True)
class Kind:
    """Objects of one stream: wire name → column of their own table, and what they show of others."""

    table: str
    names: Mapping[str, str]
    #: The column with the location that decides who sees it; None: its user alone does.
    place: str | None
    parts: tuple[Part, ...] = ()

    @property
    def wire_names(self) -> set[str]:
        return {"_type", *self.names, *(name for part in self.parts for name in part.names)}


def _same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


KINDS: dict[str, Kind] = {
    "device": Kind(
        "devices_device",
        {
            **_same(
                "id", "uid", "name", "detail", "enabled", "desired", "desired_version", "reported", "reported_at",
                "acked_version", "is_on", "presence", "last_seen", "pending", "failed",
            ),
            "type": "type_id",
            "location": "location_id",
        },
        "location_id",
        (
            Part("devices_devicetype", "type_id", {"type_name": "name", "icon": "icon", "schema": "schema"}),
            Part("devices_location", "location_id", {"location_name": "name"}),
        ),
    ),
    "location": Kind("devices_location", _same("id", "name", "timezone", "icon"), "id"),
    "membership": Kind(
        "devices_membership", {"id": "id", "user": "user_id", "location": "location_id", "role": "role"}, None
    ),
}  # fmt: skip

# Whose history decides what is shown, and to whom.
USERS, MEMBERSHIPS = "auth_user", "devices_membership"
TABLES = (*dict.fromkeys([*(k.table for k in KINDS.values()), "devices_devicetype", MEMBERSHIPS, USERS]),)


def print_of(values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> str:
    """A text that two states share when and only when they are equal; `names`: wire name → key in `values`."""
    chosen = values if names is None else {name: values[key] for name, key in names.items()}
    return json.dumps(_plain(chosen), sort_keys=True)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case float() if value.is_integer():
            return int(value)
    return value


# -- rows as databases tell them ---------------------------------------------------------------------------------


def moment(text: str) -> str:
    """A date-time in whichever way the database or the wire writes it, in one way; naive ones are UTC."""
    found = datetime.datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC).isoformat()


#: Columns that need a word about how they are read; the others are what they are.
FLAGS = {"enabled", "is_on", "is_staff", "is_active", "is_superuser"}
DOCUMENTS = {"desired", "commanded", "reported", "pending", "failed", "schema", "vendor_config"}
MOMENTS = {"reported_at", "last_seen"}


def read(raw: Mapping[str, Any]) -> dict[str, Any]:
    """A row as an audit kept it, as Python: SQLite keeps documents as text, flags as numbers."""
    found = dict(raw)
    for name in FLAGS & found.keys():
        found[name] = None if found[name] is None else bool(found[name])
    for name in DOCUMENTS & found.keys():
        if isinstance(found[name], str):
            found[name] = json.loads(found[name])
    for name in MOMENTS & found.keys():
        found[name] = None if found[name] is None else moment(found[name])
    return found


def shown(data: Mapping[str, Any]) -> dict[str, Any]:
    """An object as it came over the wire, made comparable with rows."""
    return {name: moment(v) if name in MOMENTS and isinstance(v, str) else v for name, v in data.items()}
