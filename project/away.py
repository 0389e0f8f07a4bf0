"""The page for a request that failed: a database that is away or full is said as such, and no fault of the page's."""

from __future__ import annotations

import sys

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.defaults import server_error

from realtime.writes import refused

AGAIN_SECONDS = 5


def failed(request: HttpRequest) -> HttpResponse:
    """Django's `handler500`, called while the error is handled. It asks no database, or it would fail like the page."""
    error = sys.exc_info()[1]
    looks = request.method in ("GET", "HEAD")
    if refused(error):
        text = "The database refuses to write." if looks else "The database refuses to write: nothing was changed."
        return _page("Nothing can be saved", text, again=looks)
    if isinstance(error, OperationalError | InterfaceError):
        text = "The database does not answer."
        # A connection that breaks at COMMIT does not tell.
        return _page("One moment", text if looks else f"{text} Look later whether anything was changed.", again=looks)
    return server_error(request)


def _page(title: str, text: str, *, again: bool) -> HttpResponse:
    """`again`: by itself. A form is never sent twice by itself."""
    context = {"title": title, "text": text, "again": AGAIN_SECONDS if again else None}
    response = HttpResponse(render_to_string("away.html", context), status=503)
    response["Retry-After"] = str(AGAIN_SECONDS)
    response["Cache-Control"] = "no-store"
    return response
