"""The rules of the house that no tool knows: who may import whom, what files are called, and that each has its test."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("realtime", "devices", "project")

# The pure core: text and values in, frames out. What each of its modules may import of the others.
PURE: dict[str, set[str]] = {
    "errors": set(),
    "limits": set(),
    "rate": set(),
    "protocol": {"errors", "limits"},
    "kinds": set(),
    "change": {"protocol"},
    "filters": {"change", "errors", "kinds", "protocol"},
    "index": {"filters", "intervals"},
    "intervals": set(),
    "streams": {"change", "limits", "protocol"},
    "outbox": {"errors", "limits"},
    "frames": set(),
    "joins": {"change", "errors", "filters", "frames", "protocol"},
    "channel": {"change", "frames", "index", "joins", "protocol"},
    "turn": {"channel", "frames"},
    "snapshots": {"change", "channel", "frames", "joins", "limits", "protocol", "streams", "turn"},
    "hub": {"change", "channel", "frames", "joins", "limits", "protocol", "snapshots", "streams", "turn"},
    "conditions": set(),
    "connection": {"errors", "frames", "joins", "limits", "outbox", "protocol", "rate"},
}
# What the core does not know: frameworks, loops, sockets, threads. (hashlib, logging and the like it may.)
IMPURE = {
    "asyncio", "concurrent", "django", "hiredis", "multiprocessing", "os", "psycopg2", "redis", "select", "socket",
    "sqlite3", "subprocess", "threading", "time", "tornado",
}  # fmt: skip
# The shell around it, where the loop runs. Nothing below may import it, and only it may import Tornado.
SHELL = {
    "calls", "clients", "framing", "handler", "healing", "health", "joining", "judgements", "kicks", "lookout", "node",
    "on_loop", "origin", "process", "server", "shell", "sockjs", "transport", "unpublished", "welcome", "wsgi",
}  # fmt: skip
# What an app may use of the library; `from realtime import …` gives publish_data, suppress and register.
OFFERED = {"errors", "models", "permissions", "registry", "routers", "serializers", "testing"}

# Files without a test file of their own name, and the tests that prove them: an idea was split into several files, or
# is only seen at work. Whoever adds a file adds its test, or its line here.
TESTED_ELSEWHERE: dict[str, list[str]] = {
    "project/cookies.py": ["security/test_identity.py"],
    "project/throttle.py": ["security/test_web.py"],
    # Numbers only.
    "realtime/limits.py": ["realtime/test_connection.py", "realtime/test_streams.py"],
    "realtime/settings.py": ["realtime/test_protocol.py"],
    "realtime/frames.py": ["realtime/test_hub.py"],
    "realtime/joins.py": ["realtime/test_hub.py", "realtime/test_join_model.py"],
    "realtime/channel.py": ["realtime/test_hub.py", "realtime/test_join_model.py"],
    "realtime/turn.py": ["realtime/test_hub.py", "realtime/test_join_model.py"],
    "realtime/snapshots.py": ["realtime/test_hub.py", "realtime/test_join_model.py"],
    "realtime/unpublished.py": ["realtime/test_rights_that_return.py"],
    "realtime/judgements.py": ["realtime/test_kicks.py", "realtime/test_rights_that_return.py"],
    "realtime/bus_memory.py": ["realtime/test_bus.py"],
    "realtime/bus_redis_link.py": ["realtime/test_bus_redis.py"],
    "realtime/bus_redis_scripts.py": ["realtime/test_bus_redis.py"],
    "realtime/bus_redis_wake.py": ["realtime/test_bus_redis.py"],
    "realtime/broadcasting.py": ["realtime/test_on_loop.py"],
    "realtime/election.py": ["realtime/test_relay.py"],
    "realtime/loading.py": ["realtime/test_relay.py"],
    "realtime/mass.py": ["realtime/test_relay.py"],
    "realtime/restores.py": ["realtime/test_relay.py"],
    "realtime/shows.py": ["realtime/test_registry.py", "realtime/test_relay.py"],
    "realtime/answers.py": ["realtime/test_routers.py", "realtime/test_subscriptions.py"],
    "realtime/router.py": ["realtime/test_routers.py"],
    "realtime/model_router.py": ["realtime/test_routers.py"],
    "realtime/pagination.py": ["realtime/test_routers.py"],
    "realtime/serializer.py": ["realtime/test_serializers.py"],
    "realtime/related.py": ["realtime/test_serializers.py"],
    "realtime/object_map.py": ["realtime/test_serializers.py"],
    "realtime/options.py": ["realtime/test_serializers.py"],
    "realtime/validation.py": ["realtime/test_serializers.py"],
    "realtime/names.py": ["realtime/test_serializers.py"],
    "realtime/capture.py": ["realtime/test_testing.py"],
    "realtime/shell.py": ["realtime/test_handler.py", "realtime/test_clients.py"],
    "realtime/process.py": ["realtime/test_handler.py", "realtime/test_server.py"],
    "realtime/welcome.py": ["realtime/test_handler.py"],
    "realtime/admin.py": ["realtime/test_tokens.py"],
    "realtime/management/commands/token.py": ["realtime/test_tokens.py"],
    "realtime/management/commands/relay.py": ["realtime/test_relay_command.py"],
    "server.py": ["realtime/test_server.py"],
    "realtime/management/commands/serve.py": ["existing/test_existing.py"],
    "devices/apps.py": ["devices/test_sweeper.py", "devices/test_simulator.py"],  # what it names runs there
    "devices/history.py": ["devices/test_readings.py", "devices/test_commands.py"],
    "devices/management/commands/demo.py": ["devices/test_demo.py"],
    "devices/management/commands/simulate.py": ["devices/test_simulator.py"],
    "devices/models.py": ["devices/test_commands.py", "devices/test_reports.py"],
    "devices/serializers.py": ["devices/test_routers.py"],
    "devices/rights.py": ["devices/test_routers.py"],
    "devices/lease.py": ["devices/test_simulator.py"],
    "devices/service.py": ["devices/test_sweeper.py"],
    "project/settings.py": ["test_settings.py"],
    "project/first_user.py": ["project/test_signin.py"],
    "project/environment.py": ["test_settings.py", "project/test_checks.py"],
    "project/apps.py": ["project/test_checks.py"],
    "project/management/commands/link.py": ["project/test_signin.py"],
    "project/urls.py": ["project/test_signin.py", "test_run.py"],
    "project/views.py": ["test_run.py", "project/test_hello.py"],
    "project/wsgi.py": ["test_supervisor.py"],
}


@cache
def sources() -> dict[str, ast.Module]:
    """Every source file under version control, with its tree."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    files = sorted(name for name in listed if name.split("/")[0] in (*PACKAGES, "server.py"))
    return {
        name: ast.parse((ROOT / name).read_text(encoding="utf-8"))
        for name in files
        if "migrations" not in name and (ROOT / name).exists()
    }


@cache
def imported(name: str, *, late: bool) -> set[str]:
    """Modules, absolute and dotted, that a file imports when it is loaded; with `late`, also inside functions.

    What only a type checker reads is not imported.
    """
    found: set[str] = set()
    for node in running(sources()[name], late=late):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                package = Path(name).parts[: -node.level]
                base = ".".join([*package, *([base] if base else [])])
            found.add(base)
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def running(tree: ast.AST, *, late: bool) -> Iterator[ast.AST]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if not late and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        yield node
        yield from running(node, late=late)


def modules_of(package: str, name: str, *, late: bool) -> set[str]:
    """The modules of a package, by their first name below it, that a file imports."""
    known = {Path(other).parts[1].removesuffix(".py") for other in sources() if other.startswith(f"{package}/")}
    parts = {tuple(module.split(".")) for module in imported(name, late=late)}
    return {part[1] for part in parts if part[0] == package and len(part) > 1 and part[1] in known}


@pytest.mark.parametrize("module", PURE)
def test_the_core_imports_no_framework_loop_or_socket(module: str) -> None:
    assert not {name.split(".")[0] for name in imported(f"realtime/{module}.py", late=True)} & IMPURE


@pytest.mark.parametrize("module", PURE)
def test_imports_of_the_core_point_one_way(module: str) -> None:
    assert modules_of("realtime", f"realtime/{module}.py", late=True) <= PURE[module]


def test_the_table_of_the_core_has_no_circle() -> None:
    done: set[str] = set()
    while more := {module for module, below in PURE.items() if module not in done and below <= done}:
        done |= more

    assert done == set(PURE)


@pytest.mark.parametrize("package", PACKAGES)
def test_loading_a_module_never_comes_back_to_it(package: str) -> None:
    """Late imports inside functions may, where the registry must be filled first; loading order may not matter."""
    below = {
        Path(name).stem: modules_of(package, name, late=False) - {Path(name).stem}
        for name in sources()
        if name.startswith(f"{package}/") and name.count("/") == 1 and not name.endswith("__init__.py")
    }
    done: set[str] = set()
    while more := {module for module, needs in below.items() if module not in done and needs & below.keys() <= done}:
        done |= more

    assert not below.keys() - done


def inner() -> list[str]:
    shell = {*(f"realtime/{module}.py" for module in SHELL), "realtime/management/commands/serve.py"}
    return [name for name in sources() if name.startswith("realtime/") and name not in shell]


@pytest.mark.parametrize("name", inner())
def test_nothing_below_the_shell_knows_it_or_tornado(name: str) -> None:
    assert not modules_of("realtime", name, late=True) & SHELL
    assert "tornado" not in {module.split(".")[0] for module in imported(name, late=True)}


@pytest.mark.parametrize("name", [name for name in sources() if name.startswith("realtime/")])
def test_the_library_knows_no_app(name: str) -> None:
    assert not {module.split(".")[0] for module in imported(name, late=True)} & {"devices", "project"}


@pytest.mark.parametrize("name", [name for name in sources() if not name.startswith("realtime/bus")])
def test_only_the_bus_knows_redis(name: str) -> None:
    assert not {module.split(".")[0] for module in imported(name, late=True)} & {"redis", "hiredis"}


@pytest.mark.parametrize("name", [name for name in sources() if name.startswith("devices/")])
def test_devices_use_what_the_library_offers(name: str) -> None:
    assert modules_of("realtime", name, late=True) <= OFFERED


def test_the_server_is_never_told_of_devices() -> None:
    for name in ("server.py", "realtime/server.py"):
        assert "devices" not in (ROOT / name).read_text(encoding="utf-8")


def test_no_file_is_named_after_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "common", "misc"}

    assert not [name for name in sources() if nothing & {part.removesuffix(".py") for part in Path(name).parts}]


@pytest.mark.parametrize("name", sources())
def test_no_file_is_longer_than_one_idea(name: str) -> None:
    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) <= 400


def test_every_source_file_has_a_test_file_or_a_reason() -> None:
    missing = [
        name
        for name in sources()
        if not name.endswith("__init__.py") and name not in TESTED_ELSEWHERE and not where_tested(Path(name))
    ]

    assert not missing


def where_tested(source: Path) -> list[Path]:
    """Its mirror below tests/; a command's test may also stand beside those of its package, as test_command_NAME."""
    mirror = ROOT / "tests" / source.with_name(f"test_{source.name}")
    command = ROOT / "tests" / source.parts[0] / f"test_command_{source.name}"
    return [path for path in (mirror, command) if path.exists()]


@pytest.mark.parametrize("name", TESTED_ELSEWHERE)
def test_a_file_tested_elsewhere_is_there_and_so_are_its_tests(name: str) -> None:
    assert name in sources()
    assert not where_tested(Path(name)), "it has a test of its own by now"
    assert all((ROOT / "tests" / test).exists() for test in TESTED_ELSEWHERE[name])
