"""Tokens in the admin: made here, shown once, revoked here; what a token says again is never kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from realtime import tokens
from realtime.models import Token

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Token]
else:
    ModelAdmin = admin.ModelAdmin  # takes no subscript at run time


@admin.register(Token)
class TokenAdmin(ModelAdmin):
    list_display = ("key_id", "name", "user", "state", "created_at", "last_used_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("key_id", "name", f"user__{get_user_model().USERNAME_FIELD}")
    fields = ("user", "name", "expires_at")
    actions = ("revoke",)

    @admin.display(description="state")
    def state(self, row: Token) -> str:
        return tokens.state(row)

    @admin.action(description="Revoke the selected tokens")
    def revoke(self, request: HttpRequest, queryset: QuerySet[Token]) -> None:
        count = queryset.filter(revoked_at=None).update(revoked_at=timezone.now())
        self.message_user(request, f"{count} revoked; their connections are closed within seconds.")

    def get_autocomplete_fields(self, request: HttpRequest) -> tuple[str, ...]:
        # Only where the project's own user model is in the admin and can be searched; otherwise a list of all.
        users = self.admin_site._registry.get(get_user_model())
        return ("user",) if users is not None and users.search_fields else ()

    def get_readonly_fields(self, request: HttpRequest, obj: Token | None = None) -> tuple[str, ...]:
        # A token that changed its user would be somebody's secret acting as somebody else.
        return () if obj is None else ("user",)

    def save_model(self, request: HttpRequest, obj: Token, form: Any, change: bool) -> None:
        if change:
            obj.save(update_fields=["name", "expires_at"])
            return
        row, text = tokens.create(obj.user, obj.name, obj.expires_at)
        obj.pk = row.pk
        obj.refresh_from_db()
        vars(obj)["shown_once"] = text

    def response_add(self, request: HttpRequest, obj: Token, post_url_continue: str | None = None) -> HttpResponse:
        # Not a message: messages travel through a cookie or the session's table.
        context = {**self.admin_site.each_context(request), "title": str(obj), "token": vars(obj)["shown_once"]}
        response = TemplateResponse(request, "realtime/token_made.html", context)
        response["Cache-Control"] = "no-store"
        return response
