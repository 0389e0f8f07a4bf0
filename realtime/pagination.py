"""Pages of a list, numbered from 1, with SwampDragon's description of a page."""

from __future__ import annotations

from typing import Any

from django.core.paginator import EmptyPage, Paginator

from realtime.errors import BadArgs


def page_of(objects: Any, size: int, number: Any = 1) -> tuple[Any, dict[str, Any]]:
    """(the objects of that page, its description); BadArgs unless the page exists. An empty list has one page."""
    if isinstance(number, bool) or not isinstance(number, int):
        raise BadArgs("_page is a whole number.")
    if getattr(objects, "ordered", True) is False:
        # Without an order a database may show one row on two pages and another on none.
        objects = objects.order_by("pk")
    paginator: Any = Paginator(objects, size)
    try:
        page = paginator.page(number)
    except EmptyPage:
        raise BadArgs("There is no such page.") from None
    return page.object_list, {
        "page": page.number,
        "page_count": paginator.num_pages,
        "has_next": page.has_next(),
        "has_previous": page.has_previous(),
    }
