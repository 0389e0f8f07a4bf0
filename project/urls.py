"""Addresses of the project; `/ws`, `/data` and `/healthz` belong to server.py."""

from django.contrib import admin
from django.templatetags.static import static
from django.urls import path
from django.views.generic import RedirectView

from project import signin, views

urlpatterns = [
    path("", views.panel, name="panel"),
    path("device/<int:pk>/", views.panel, name="panel-device"),
    path("signin/", views.SignIn.as_view(), name="signin"),
    path("signout/", views.SignOut.as_view(), name="signout"),
    path("hello/", signin.Hello.as_view(), name="hello"),
    path("admin/", admin.site.urls),
    # The admin's pages name no icon, so browsers ask here.
    path("favicon.ico", RedirectView.as_view(url=static("frontend/favicon.svg"))),
]

handler500 = "project.away.failed"
