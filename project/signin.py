"""Signing in by a link that works once, for a quarter of an hour.

The key travels in the address's fragment, which browsers keep to themselves: it is in no request line, no log and no
Referer. The page's script posts it; opening the link alone changes nothing, so link previews cannot use it up.
"""

import re

from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.auth.tokens import PasswordResetTokenGenerator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.http import base36_to_int
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

LIFETIME = 15 * 60  # seconds: long enough to walk to the other room's screen, too short to be found in a drawer
PK = re.compile(r"[0-9]{1,10}")


class LinkKeys(PasswordResetTokenGenerator):
    """Keys bound to a user's password and last sign-in: any sign-in and any new password ends them."""

    key_salt = "project.signin.LinkKeys"

    def make_key(self, user: User) -> str:
        return f"{user.pk}:{self.make_token(user)}"

    def user_of(self, key: str) -> User | None:
        """The user whose key this is, or None: unknown, used, too old and inactive look the same."""
        pk, _, token = key.partition(":")
        user = User.objects.filter(pk=pk, is_active=True).first() if PK.fullmatch(pk) else None
        if user is None:
            return None
        return user if self.check_token(user, token) and self._age(token) <= LIFETIME else None

    def claim(self, key: str) -> User | None:
        """As `user_of`, and the key is used up: of two who bring it at the same moment one gets the user."""
        user = self.user_of(key)
        if user is None:
            return None
        unused = User.objects.filter(pk=user.pk, last_login=user.last_login)
        return user if unused.update(last_login=timezone.now()) else None

    def _age(self, token: str) -> int:
        return self._num_seconds(self._now()) - base36_to_int(token.partition("-")[0])

    def _make_hash_value(self, user: User, timestamp: int) -> str:
        # Django drops the fraction of last_login, so that a key would work again within the second of its first use.
        return f"{super()._make_hash_value(user, timestamp)}{user.last_login and user.last_login.isoformat()}"


keys = LinkKeys()


@method_decorator([never_cache, sensitive_post_parameters("key")], name="dispatch")
class Hello(View):
    """The page behind the link. GET shows a button and signs nobody in; POST with the key does."""

    def get(self, request: HttpRequest) -> HttpResponse:
        return render(request, "hello.html")

    def post(self, request: HttpRequest) -> HttpResponse:
        user = keys.claim(request.POST.get("key", ""))
        if user is None:
            return render(request, "hello.html", {"refused": True}, status=403)
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("panel")


def link(origin: str, user: User) -> str:
    """The whole address for `user`, to be printed once and kept nowhere."""
    return f"{origin}{reverse('hello')}#{keys.make_key(user)}"
