"""Live Django models: what a project imports by the package's own name.

`register`, `publish_data`, `broadcast` and `suppress` are all that an app needs to name. All but the last are looked up
late, because an app's `__init__` may import this package before Django has loaded any model.
"""

from typing import TYPE_CHECKING, Any

# Not looked up late: the submodule of that name would take the attribute's place as soon as anybody imported it.
from realtime.suppress import suppress

if TYPE_CHECKING:
    from realtime.broadcasting import broadcast
    from realtime.journal import publish_data
    from realtime.models import register

__all__ = ["broadcast", "publish_data", "register", "suppress"]

_HOMES = {"broadcast": "realtime.broadcasting", "register": "realtime.models", "publish_data": "realtime.journal"}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
