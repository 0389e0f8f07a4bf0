"""The panel's page and the way in and out of it; everything on the page itself comes over the WebSocket."""

from django.contrib.auth import views as auth_views
from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache


@never_cache
@login_required
def panel(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """The same page for every screen: the address is read by the script.

    `pk` is only there because the address has it; which device it is, and whether the reader may see it, the live
    collection decides.
    """
    if finders.find("vendor/lit/index.js") is None:
        return render(request, "no_modules.html", status=503)
    return render(request, "panel.html")


class SignIn(auth_views.LoginView):
    template_name = "signin.html"
    redirect_authenticated_user = True


class SignOut(auth_views.LogoutView):
    """POST only, so that no picture or link elsewhere signs anybody out."""
