"""Django's own admin: what is saved here is on every screen, because it is the same rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from devices import commands, schema
from devices.models import Attribute, Command, Device, DeviceType, Location, Membership, Status
from realtime.errors import RealtimeError

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    Inline = admin.TabularInline[Any, Any]
    ModelForm = forms.ModelForm[Any]
else:  # they take no subscript at run time
    ModelAdmin, Inline, ModelForm = admin.ModelAdmin, admin.TabularInline, forms.ModelForm


class MembershipInline(Inline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Location)
class LocationAdmin(ModelAdmin):
    list_display = ("name", "timezone", "icon")
    list_editable = ("timezone", "icon")
    search_fields = ("name",)
    inlines = (MembershipInline,)


@admin.register(Membership)
class MembershipAdmin(ModelAdmin):
    list_display = ("user", "location", "role")
    list_editable = ("role",)
    list_filter = ("role", "location")
    list_select_related = ("user", "location")
    search_fields = ("user__username", "location__name")
    autocomplete_fields = ("user", "location")


@admin.register(DeviceType)
class DeviceTypeAdmin(ModelAdmin):
    list_display = ("name", "slug", "icon", "expected_every")
    list_editable = ("icon", "expected_every")
    search_fields = ("name", "slug")

    def get_readonly_fields(self, request: HttpRequest, obj: DeviceType | None = None) -> tuple[str, ...]:
        # The slug is the key: saving another one would make a second type and leave the devices with the first.
        return () if obj is None else ("slug",)


class DeviceForm(ModelForm):
    """`desired` in the form is a wish: checked as one, and only for the keys that were changed in this form."""

    class Meta:
        model = Device
        fields = "__all__"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "desired" in self.fields:
            # What was wanted when the page was made: what somebody else asked for since must not be undone.
            self.fields["desired"].show_hidden_initial = True

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        found, wanted = cleaned.get("type"), cleaned.get("desired")
        self.wish: dict[str, Any] = {}
        if found is None or not isinstance(wanted, dict):
            return cleaned
        before = self._before()
        self.wish = {key: value for key, value in wanted.items() if not schema.same(value, before.get(key))}
        if self.wish and (errors := schema.check_wish(found.schema, self.wish)):
            self.add_error(
                "desired", [ValidationError(f"{key}: {said}") for key, told in errors.items() for said in told]
            )
        elif self.wish and not cleaned.get("enabled", self.instance.enabled):
            self.add_error("desired", "This device is disabled.")
        return cleaned

    def _before(self) -> dict[str, Any]:
        if self.instance._state.adding:
            return {}
        field: Any = self["desired"]
        shown = self.data.get(field.html_initial_name)
        try:
            before = field.field.to_python(shown)
        except ValidationError:
            before = None
        return before if isinstance(before, dict) else {}


@admin.register(Device)
class DeviceAdmin(ModelAdmin):
    form = DeviceForm
    list_display = ("name", "type", "location", "is_on", "presence", "last_seen", "enabled")
    list_editable = ("location", "enabled")
    list_filter = ("location", "type", "presence", "is_on", "enabled", "vendor")
    list_select_related = ("type", "location")
    list_per_page = 50
    search_fields = ("name", "uid", "detail", "vendor_id")
    autocomplete_fields = ("type", "location")
    # The device's own side of the truth cannot be edited into something else.
    readonly_fields = (
        "desired_version", "reported", "reported_at", "acked_version", "is_on", "presence", "last_seen", "pending",
        "failed",
    )  # fmt: skip
    fieldsets = (
        (None, {"fields": ("name", "detail", "type", "location", "uid", "enabled")}),
        ("Wanted", {"fields": ("desired", "desired_version", "pending", "failed")}),
        ("Reported", {"fields": ("reported", "reported_at", "acked_version", "is_on", "presence", "last_seen")}),
        ("Vendor", {"classes": ("collapse",), "fields": ("vendor", "vendor_id", "vendor_config")}),
    )
    actions = ("turn_on", "turn_off")

    def save_model(self, request: HttpRequest, obj: Device, form: Any, change: bool) -> None:
        """Everything but `desired` is written; that is asked for, as by anybody else."""
        wish = getattr(form, "wish", {})
        if "desired" in form.fields:
            obj.desired = form.instance._loaded["desired"] if change else {}
        super().save_model(request, obj, form, change)
        if wish:
            try:
                commands.want(obj.pk, wish, user=request.user, via="admin")
            except RealtimeError as error:  # disabled, or of another type, since the form was checked
                self.message_user(request, f"Not asked for: {error.message}", messages.ERROR)

    @admin.action(description="Turn on", permissions=["change"])
    def turn_on(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._switch(request, queryset, True)

    @admin.action(description="Turn off", permissions=["change"])
    def turn_off(self, request: HttpRequest, queryset: QuerySet[Device]) -> None:
        self._switch(request, queryset, False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Device], on: bool) -> None:
        asked = 0
        for device in queryset.order_by("pk"):
            try:
                commands.want(device.pk, {"on": on}, user=request.user, via="admin")
                asked += 1
            except RealtimeError as error:
                said = "; ".join(one for told in (error.data or {}).values() for one in told) or error.message
                self.message_user(request, f"{device}: {said}", messages.WARNING)
        self.message_user(request, f"{asked} asked.")


class ReadOnly(ModelAdmin):
    """What was. Counting all of it for a page of it would take longest."""

    show_full_result_count = False
    list_select_related = ("device", "location")
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Status)
class StatusAdmin(ReadOnly):
    list_display = ("valid_at", "device", "is_on", "source", "location")
    list_filter = ("is_on", "source", "location")
    search_fields = ("device__name", "device__uid")
    date_hierarchy = "valid_at"


@admin.register(Attribute)
class AttributeAdmin(ReadOnly):
    list_display = ("valid_at", "device", "name", "value", "units", "location")
    list_filter = ("location",)
    search_fields = ("device__name", "device__uid", "name")
    date_hierarchy = "valid_at"


@admin.register(Command)
class CommandAdmin(ReadOnly):
    list_display = ("created_at", "device", "values", "state", "by", "via", "ended_at", "error")
    list_filter = ("state", "via", "location")
    search_fields = ("device__name", "device__uid", "by")
    date_hierarchy = "created_at"
