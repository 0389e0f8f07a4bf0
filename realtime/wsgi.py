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


SERVER = ("Server", "Marshlight")


def fit(application: WSGIApplication) -> WSGIApplication:
    """What Django leaves to its server and Tornado 6.6 does not do: header values begin with no blank (cookies do), and
    a HEAD is answered without the body. And Tornado adds its version to what names no server."""

    def fitted(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[[bytes], object]:
            return start_response(status, [*((name, value.strip()) for name, value in headers), SERVER], *rest)

        response = application(environ, start)
        if environ["REQUEST_METHOD"] != "HEAD":
            return response
        if (close := getattr(response, "close", None)) is not None:
            close()
        return ()

    return fitted


class Pages(WSGIContainer):
    """The WSGI application in its own threads, so that a slow page never takes a thread from the verbs."""

    def __init__(self, application: WSGIApplication, executor: Executor) -> None:
        super().__init__(fit(application), executor)
