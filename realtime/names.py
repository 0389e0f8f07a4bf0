"""Serializers by their names, so that models and serializers can name each other before both are loaded."""

from __future__ import annotations

import sys
from functools import cache
from typing import TYPE_CHECKING

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

if TYPE_CHECKING:
    from realtime.serializers import ModelSerializer


def resolve_serializer(named: type[ModelSerializer] | str, module: str) -> type[ModelSerializer]:
    """The class meant by 'ClassName' in `module` or its app's serializers, 'app.ClassName' or a full dotted path."""
    return named if not isinstance(named, str) else _found(named, module)


@cache
def _found(named: str, module: str) -> type[ModelSerializer]:
    from realtime.serializers import ModelSerializer

    path, _, name = named.rpartition(".")
    if path and path in apps.app_configs:
        path = f"{apps.get_app_config(path).module.__name__}.serializers"  # type: ignore[union-attr]
    elif not path:
        app = apps.get_containing_app_config(module)
        path = module if hasattr(sys.modules.get(module), name) or app is None else f"{app.name}.serializers"
    try:
        found = import_string(f"{path}.{name}")
    except ImportError as error:
        raise ImproperlyConfigured(f"There is no serializer {named!r} for {module}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, ModelSerializer)):
        raise ImproperlyConfigured(f"{path}.{name} is not a ModelSerializer.")
    return found
