"""What a serializer's `Meta` says, read once per class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db.models import Model

EVERYTHING = ("__all__", "*", "all")


@dataclass(frozen=True, slots=True)
class Options:
    model: type[Model]
    publish_fields: tuple[str, ...]
    update_fields: tuple[str, ...]
    id_field: str
    base_channel: str

    @property
    def type(self) -> str:
        """`_type` on the wire."""
        return self.model._meta.model_name or ""


class ReadOptions:
    """Descriptor: `Serializer.opts` and `serializer.opts` are the class's Options; ImproperlyConfigured if wrong."""

    def __get__(self, instance: object, owner: type) -> Options:
        options = owner.__dict__.get("_options")
        if options is None:
            options = _read(owner)
            owner._options = options  # type: ignore[attr-defined]
        found: Options = options
        return found


def _read(owner: type) -> Options:
    meta = getattr(owner, "Meta", None)
    name = f"{owner.__module__}.{owner.__qualname__}"
    model: Any = getattr(meta, "model", None)
    if model is None:
        raise ImproperlyConfigured(f"{name}.Meta.model is missing.")
    if isinstance(model, str):
        try:
            model = apps.get_model(model)
        except (LookupError, ValueError) as error:
            raise ImproperlyConfigured(f"{name}.Meta.model: {error}") from None
    publish_fields = _names(getattr(meta, "publish_fields", ()))
    if not publish_fields or any(field in EVERYTHING for field in publish_fields):
        # A field added to the model later must not become public by itself.
        raise ImproperlyConfigured(f"{name}.Meta.publish_fields must name every field that clients may see.")
    base_channel = getattr(meta, "base_channel", model._meta.model_name)
    if not base_channel or "|" in base_channel or base_channel.startswith("!"):
        raise ImproperlyConfigured(f"{name}.Meta.base_channel must not contain '|' nor begin with '!'.")
    return Options(
        model=model,
        publish_fields=publish_fields,
        update_fields=_names(getattr(meta, "update_fields", ())),
        id_field=getattr(meta, "id_field", "pk"),
        base_channel=base_channel,
    )


def _names(given: Any) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given or ())
