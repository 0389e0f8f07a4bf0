"""Cookies that no browser of ours holds are as good as none."""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse


def without_nonsense(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware, before Django's sessions: a session key with a NUL, which a quoted cookie can carry, is asked of the
    database as it is, and PostgreSQL answers with an error instead of with nobody."""

    def answer(request: HttpRequest) -> HttpResponse:
        if "\0" in request.COOKIES.get(settings.SESSION_COOKIE_NAME, ""):
            del request.COOKIES[settings.SESSION_COOKIE_NAME]
        return get_response(request)

    return answer
