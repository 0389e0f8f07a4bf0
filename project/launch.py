"""From an environment with its packages to a running server: what `./run` does after the shell part.

The last step replaces this process by `server.py`; a herald stays behind until the server answers, prints how to get in
and goes.
"""

import argparse
import fcntl
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from project import node, place, progress

ROOT = Path(__file__).resolve().parent.parent
AGAIN = "the same again; if it stays, setup.log in the data directory says more"


def main(words: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="./run")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--no-demo", action="store_true")
    parser.add_argument("--lan", action="store_true")
    parser.add_argument("--ready-file", type=Path)
    parser.add_argument("--link", action="store_true")
    parser.add_argument("--user")
    chosen = parser.parse_args(words)
    data = Path(os.environ["MARSHLIGHT_DATA"])
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    try:
        if chosen.link:
            link(data, chosen.user)
        else:
            start(data, chosen)
    except progress.StepFailed as failure:
        with (data / "setup.log").open("a") as log:
            traceback.print_exception(failure, file=log)
        progress.stop(failure)


# -- starting --------------------------------------------------------------------------------------------------


def start(data: Path, chosen: argparse.Namespace) -> NoReturn:
    refuse_second(data)
    node.packages(ROOT)
    host = "0.0.0.0" if chosen.lan else "127.0.0.1"
    port = find_port(chosen.port, host)
    found = place.on_network(port) if chosen.lan else place.local(port)
    found.put_into_environment()
    with progress.step("Database", AGAIN):
        set_up()
        migrate()
        greeting = make_greeting(data, chosen, port)
    place.current().keep(data)
    if not chosen.no_demo:
        demo(data)
    # The server inherits one end and never writes: when it ends, the herald's end does too.
    alive, held = os.pipe()
    os.set_inheritable(held, True)
    subprocess.run(
        [sys.executable, "-m", "project.herald", str(alive)],
        input=greeting,
        text=True,
        pass_fds=[alive],
        check=True,
        timeout=30,
    )
    server = [sys.executable, str(ROOT / "server.py"), "--port", str(port), "--address", host]
    os.execv(sys.executable, server)


def find_port(wanted: int, host: str) -> int:
    try:
        port = place.free_port(wanted, host)
    except OSError as error:
        raise progress.StepFailed("finding a port", str(error), "./run --port N, with another number") from None
    if port != wanted:
        print(f"Port {wanted} is taken, so it is {port}", flush=True)
    return port


def refuse_second(data: Path) -> None:
    """Two servers with one data directory would each tell only their own clients what changed."""
    if running(data):
        known = place.kept(data)
        where = f" at {known.url}" if known else ""
        raise progress.StepFailed(
            "starting",
            f"a Marshlight runs already on {data}{where}",
            "./run link to sign in there, or ./run --data DIR",
        )


def running(data: Path) -> bool:
    with (data / "server.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def set_up() -> None:
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as error:
        raise progress.StepFailed(
            "reading the settings", str(error), "the same again with that variable corrected"
        ) from None


def migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)


def demo(data: Path) -> None:
    """Once per data directory: what a person deleted of it does not come back with the next start."""
    from django.core.management import call_command

    stamp = data / "demo-loaded"
    if not stamp.exists():
        with progress.step("Demo: 15 simulated devices in 3 locations", "./run --no-demo"):
            call_command("demo", password_file=str(data / "demo-passwords"), verbosity=0)
        stamp.touch()


def make_greeting(data: Path, chosen: argparse.Namespace, port: int) -> str:
    from django.conf import settings

    from project import first_user, herald, signin

    user = first_user.administrator(data)
    password = first_user.password_file(data)
    greeting = herald.Greeting(
        url=settings.MARSHLIGHT_URL,
        link=signin.link(settings.MARSHLIGHT_URL, user),
        user=user.get_username(),
        password_file=str(password) if password.exists() else "",
        port=port,
        qr=chosen.lan,
        ready_file=str(chosen.ready_file or ""),
    )
    return greeting.to_text()


# -- another link ----------------------------------------------------------------------------------------------


def link(data: Path, user: str | None) -> None:
    known = place.kept(data)
    if known is None and "MARSHLIGHT_URL" not in os.environ:
        raise progress.StepFailed("making a link", f"no Marshlight was started on {data} yet", "./run")
    if known is not None and known.missing():
        lacking = ", ".join(known.missing())
        raise progress.StepFailed(
            "making a link", f"the server was started with {lacking}", f"the same with {lacking} set"
        )
    if known is not None:
        known.put_into_environment()
    set_up()
    from django.core.management import CommandError, call_command

    try:
        call_command("link", user=user)
    except CommandError as error:
        raise progress.StepFailed(
            "making a link", str(error), "./run link, without --user, for the administrator"
        ) from None
    if known is not None and not running(data):
        print("No server runs on this data directory now: start ./run first.", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
