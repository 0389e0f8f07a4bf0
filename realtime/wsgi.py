"""Django's pages behind Tornado: the same port serves the admin and the WebSockets.

Made for the embedded default. Behind nginx the pages belong to gunicorn, and this answers almost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from tornado.wsgi import WSGIContainer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def strip_headers(application: WSGIApplication) -> WSGIApplication:
    """Tornado 6.6 refuses header values that begin with a blank, and Django writes cookies with one."""

    def stripped(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            return start_response(status, [(name, value.strip()) for name, value in headers], *rest)

        return application(environ, start)

    return stripped


class Pages(WSGIContainer):
    """The WSGI application in its own threads, so that a slow page never takes a thread from the verbs."""

    def __init__(self, application: WSGIApplication, executor: Executor) -> None:
        super().__init__(strip_headers(application), executor)
