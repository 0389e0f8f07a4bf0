"""The library's routes: a scoped one, an open one, and one without a model."""

# ruff: noqa: RUF012  the routers' base class says which attributes belong to the class

from __future__ import annotations

from typing import Any

from realtime.errors import NotAllowed
from realtime.permissions import IsStaff, LoginRequired, login_required
from realtime.routers import ModelRouter, Router, register, verb
from tests.library.models import Membership
from tests.library.serializers import BookSerializer, ChapterSerializer, ShelfSerializer


@register
class BookRouter(ModelRouter):
    """A member sees the books of their shelves, staff sees all."""

    route_name = "book"
    serializer_class = BookSerializer
    filter_fields = {
        "shelf": ["exact", "in"],
        "pages": ["exact", "gt", "lt"],
        "on_loan": ["exact"],
        "title": ["contains"],
    }
    rights_from = {Membership: "user_id"}

    def get_subscription_contexts(self, **kwargs: Any) -> Any:
        if self.user.is_staff:
            return None
        return [{"shelf": pk} for pk in Membership.objects.filter(user=self.user).values_list("shelf", flat=True)]

    @verb
    def lend(self, id: Any, days: int = 14) -> Any:
        book = self.visible_object({"id": id})
        return {"title": book.title, "days": days}


@register
class ShelfRouter(ModelRouter):
    """Written as for SwampDragon, hooks and all."""

    route_name = "shelf"
    serializer_class = "ShelfSerializer"
    permission_classes = []
    model = ShelfSerializer.opts.model
    paginate_by = 2
    exclude_verbs = ["delete"]

    def get_object(self, **kwargs: Any) -> Any:
        return self.model.objects.get(pk=kwargs["id"])

    def get_query_set(self, **kwargs: Any) -> Any:
        return self.model.objects.order_by("name")

    def get_initial(self, verb: str, **kwargs: Any) -> Any:
        return {"room": "hall"} if verb == "create" else {}

    def get_client_context(self, verb: str, **kwargs: Any) -> Any:
        return {"asked": verb}


@register
class ChapterRouter(ModelRouter):
    route_name = "chapter"
    serializer_class = ChapterSerializer
    permission_classes = [LoginRequired(), IsStaff(verbs=["delete"])]


@register
class RoomRouter(Router):
    """No model: verbs of its own, and channels that `publish_data` sends to."""

    route_name = "room"
    valid_verbs = ["ping", "echo", "members", "fail", "crash", "subscribe", "unsubscribe"]
    permission_classes = []

    def ping(self) -> None:
        self.send("pong")

    def echo(self, text: Any, *, loud: bool = False, **kwargs: Any) -> Any:
        return {"text": text, "loud": loud, **kwargs}

    @login_required
    def members(self) -> Any:
        return [self.user.username]

    def fail(self) -> None:
        self.send_error({"fail": ["as asked"]})

    def crash(self) -> None:
        raise ZeroDivisionError

    def get_subscription_channels(self, **kwargs: Any) -> list[str]:
        if kwargs["room"] == "closed":
            raise NotAllowed
        return [f"room-{kwargs['room']}"]
