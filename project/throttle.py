"""Who tries too many passwords waits a while: django-axes counts, here is from where it was tried and what is answered.

A one-time link (`./run link`) signs in meanwhile, so nobody can lock the owner out by guessing.
"""

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def address(request: HttpRequest) -> str:
    """Where the request comes from. Behind our proxy it is the last address the proxy wrote: what stands before that
    is the client's own word; without a proxy all of the header is."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.PUBLIC.secure else ""
    return forwarded.rpartition(",")[2].strip() or request.META.get("REMOTE_ADDR", "")


def locked(request: HttpRequest, response: HttpResponse, credentials: object) -> HttpResponse:
    """The same page for names that exist and names that do not."""
    seconds = int(settings.AXES_COOLOFF_TIME.total_seconds())
    answer = render(request, "locked.html", {"minutes": seconds // 60}, status=429)
    answer["Retry-After"] = str(seconds)
    return answer
