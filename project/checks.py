"""What `manage.py check` says about the surroundings; `--deploy` adds what only a public server has to care for."""

import ipaddress
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Tags, Warning, register


@register
def front_end(**_: Any) -> list[CheckMessage]:
    missing = [
        name for name in settings.VENDOR_MODULES.values() if not (settings.BASE_DIR / "node_modules" / name).is_dir()
    ]
    if not missing:
        return []
    hint = "npm ci --omit=dev --ignore-scripts, which ./run does by itself."
    return [Warning("The panel's packages are not installed: only the admin works.", hint=hint, id="project.W001")]


@register(Tags.security)
def secret_files(**_: Any) -> list[CheckMessage]:
    return [
        Warning(f"{path} can be read by other users.", hint=f"chmod 600 '{path}'", id="project.W002")
        for path in _secrets(settings.DATA_DIR)
        if stat.S_IMODE(path.stat().st_mode) & 0o077
    ]


@register(Tags.security, deploy=True)
def plain_http(**_: Any) -> list[CheckMessage]:
    if settings.PUBLIC.secure or settings.PUBLIC.loopback or _private(settings.PUBLIC.host):
        return []
    return [
        Warning(
            "MARSHLIGHT_URL is http on a public name: passwords and sessions can be read on the way.",
            hint="Put a proxy with TLS in front (supervisor/nginx.conf) and let MARSHLIGHT_URL begin with https.",
            id="project.W003",
        )
    ]


def _secrets(data: Path) -> Iterator[Path]:
    for name in ("secret-key", "admin-password", "demo-passwords"):
        if (data / name).exists():
            yield data / name


def _private(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_private
    except ValueError:
        return host.endswith((".local", ".lan", ".internal", ".test"))
