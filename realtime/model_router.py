"""A router for one model: lists, single objects, writes and subscriptions, all within what the caller may see."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from django.core.exceptions import ImproperlyConfigured, ObjectDoesNotExist
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import DataError, IntegrityError, connections, router, transaction
from django.db.models import Model, QuerySet, RestrictedError
from django.db.models.deletion import ProtectedError

from realtime import queries, registry, subscriptions
from realtime.answers import Plan
from realtime.arguments import call_hook
from realtime.errors import BadArgs, Conflict, Invalid, NotAllowed, NotFound
from realtime.fields import read_value
from realtime.filters import Filter
from realtime.pagination import page_of
from realtime.related import NO_OBJECT, relation
from realtime.router import BaseRouter
from realtime.serializers import ModelSerializer, resolve_serializer
from realtime.validation import ModelValidationError, ValidationError

logger = logging.getLogger("realtime.routers")


class ModelRouter(BaseRouter):
    """`get_subscription_contexts` decides what a caller may see: in subscriptions, in lists and in every write."""

    model: ClassVar[type[Model] | None] = None
    # The class or its name; without it, what the model publishes itself through.
    serializer_class: ClassVar[type[ModelSerializer] | str | None] = None
    # Field → lookups that clients may filter by.
    filter_fields: ClassVar[Mapping[str, Sequence[str]]] = {}
    # Further fields of the model's own table that contexts use.
    scope_fields: ClassVar[Sequence[str]] = ()
    # Of a list in a client's filter; without it REALTIME_FILTER_VALUES.
    filter_values: ClassVar[int | None] = None
    paginate_by: ClassVar[int | None] = None
    # Of a snapshot, the first by the model's ordering; for histories, the whole of which nobody wants at once.
    snapshot_limit: ClassVar[int | None] = None
    # Arguments that say which object is meant, and are never values to write.
    lookup_args: ClassVar[Sequence[str]] = ("id", "pk")

    @classmethod
    def get_serializer_class(cls) -> type[ModelSerializer]:
        if cls.serializer_class is not None:
            return resolve_serializer(cls.serializer_class, cls.__module__)
        own = None if cls.model is None else registry.serializers().get(cls.model)
        if own is None:
            raise ImproperlyConfigured(f"{cls.__module__}.{cls.__qualname__}.serializer_class is missing.")
        return own

    @classmethod
    def get_model(cls) -> type[Model]:
        return cls.model or cls.get_serializer_class().opts.model

    # Read from the database after the last write of this call.
    _stored: ModelSerializer | None = None

    # Hooks

    def get_subscription_contexts(self, **kwargs: Any) -> Mapping[str, Any] | list[Mapping[str, Any]] | None:
        """What the caller may see: conditions, or a list of them of which one must hold ([]: nothing), or None:
        everything. Fields are those of `filter_fields` and `scope_fields`."""
        return None

    def get_scope(self, **kwargs: Any) -> Mapping[str, Any] | list[Mapping[str, Any]] | None:
        """The contexts as every verb applies them. Override it where a verb's arguments do not tell the contexts."""
        contexts: Any = call_hook(self.get_subscription_contexts, **kwargs)
        return contexts  # type: ignore[no-any-return]

    def get_query_set(self, **kwargs: Any) -> Any:
        """The objects of `get_list`, before they are narrowed to the scope; by default what the filters ask for."""
        opts = self.get_serializer_class().opts
        asked = queries.conditions(
            opts.model, kwargs, self.filter_fields, id_field=opts.id_field, limit=self.filter_values
        )
        return opts.model._default_manager.filter(queries.query(Filter.everything().narrowed(asked)))

    def get_object(self, **kwargs: Any) -> Any:
        """The object that the arguments mean; by default the one with this `id`."""
        opts = self.get_serializer_class().opts
        wanted = next((kwargs[name] for name in self.lookup_args if name in kwargs), None)
        # What is shown of it comes along, which would be asked for anyway; but no list that a write may make untrue.
        found = self.get_serializer_class().prefetched(opts.model._default_manager.all()).prefetch_related(None)
        return found.get(**{opts.id_field: self._key(wanted)})

    def get_initial(self, verb: str, **kwargs: Any) -> Mapping[str, Any]:
        """Values that the server sets, whatever the client may set."""
        return {}

    def get_update_data(self, obj: Any, **kwargs: Any) -> Mapping[str, Any]:
        """What to write to the locked object; merge here what must not be replaced."""
        return kwargs

    def check_written(self, obj: Any, **kwargs: Any) -> None:
        """Inside the transaction, after the write and before `created` or `updated`: NotAllowed undoes it.

        By default nobody writes into what they may not see: not by creating there, nor by moving an object there.
        Override it where seeing begins with what `created` does.
        """
        if not self._visible([obj], kwargs):
            raise NotAllowed

    def created(self, obj: Any, **kwargs: Any) -> None:
        """Inside the transaction, after the write. Replies with the object."""
        self._succeed(self.fresh(obj).serialize(), None, kwargs)

    def updated(self, obj: Any, **kwargs: Any) -> None:
        """Inside the transaction; `updated_fields` and `past_state` are given. Replies with the fields that changed."""
        stored, self._stored = self._stored or self.fresh(obj), None
        self._succeed(stored.serialize(fields=kwargs.get("updated_fields")), None, kwargs)

    def deleted(self, obj: Any, obj_id: Any, **kwargs: Any) -> None:
        """Inside the transaction, after the deletion. Replies with the object as it was."""
        self._succeed(self.past_state, None, kwargs)

    def on_error(self, errors: dict[str, list[str]]) -> None:
        """Reply to what is not valid; nothing was written."""
        raise Invalid(data=errors)

    # Verbs

    def get_list(self, **kwargs: Any) -> Any:
        objects = self._narrowed(call_hook(self.get_query_set, **kwargs), kwargs)
        if self.paginate_by:
            objects, page = page_of(objects, self.paginate_by, self.context.get("page", 1))
            self._update_client_context({"page": page})
        call_hook(self.send_list, objects, **kwargs)
        return objects

    def send_list(self, object_list: Iterable[Any], **kwargs: Any) -> None:
        serializer = self.get_serializer_class()
        if isinstance(object_list, QuerySet):
            object_list = serializer.prefetched(object_list)
        self._succeed([published for _, published in serializer.publish_all(object_list)], None, kwargs)

    def get_single(self, **kwargs: Any) -> Any:
        obj = self.visible_object(kwargs)
        call_hook(self.send_single, obj, **kwargs)
        return obj

    def send_single(self, obj: Any, **kwargs: Any) -> None:
        self.serializer = self.get_serializer_class()(instance=obj)
        self._succeed(self.serializer.serialize(), None, kwargs)

    def create(self, **kwargs: Any) -> Any:
        initial = call_hook(self.get_initial, "create", **kwargs)
        if subscriptions.scope(self, kwargs) == Filter.nothing():
            raise NotAllowed
        try:
            self._refuse_unseen(kwargs)
            with self._writing():
                self.serializer = self.get_serializer_class()(data=kwargs, initial=initial, caller=self.caller)
                obj = self.serializer.save()
                call_hook(self.check_written, obj, **kwargs)
                call_hook(self.created, obj, **kwargs)
        except ValidationError as error:
            return self.on_error(error.get_error_dict())
        return obj

    def update(self, **kwargs: Any) -> Any:
        values = {name: value for name, value in kwargs.items() if name not in self.lookup_args}
        try:
            with self._writing():
                obj = self.visible_object(kwargs, lock=True)
                self._refuse_unseen(values)
                initial = call_hook(self.get_initial, "update", **kwargs)
                data = call_hook(self.get_update_data, obj, **values)
                serializer = self.get_serializer_class()
                past_state = serializer(instance=obj).publish()
                self.serializer = serializer(instance=obj, data=data, initial=initial, caller=self.caller)
                self.serializer.save()
                call_hook(self.check_written, obj, **kwargs)
                stored = self.fresh(obj)
                now = stored.publish()
                # Another `updated` may write before it calls ours.
                self._stored = stored if type(self).updated is ModelRouter.updated else None
                changed = [name for name, value in now.items() if past_state.get(name) != value]
                call_hook(self.updated, obj, updated_fields=changed, past_state=past_state)
        except ValidationError as error:
            return self.on_error(error.get_error_dict())
        return obj

    def delete(self, **kwargs: Any) -> None:
        with self._writing():
            obj = self.visible_object(kwargs, lock=True)
            self.serializer = self.get_serializer_class()(instance=obj)
            self.past_state = self.serializer.publish()
            obj_id = obj.pk
            obj.delete()
            # Django forgets the key of a deleted instance; the hook may want to name it.
            obj.pk = obj_id
            call_hook(self.deleted, obj, obj_id, **kwargs)

    def make_plan(self, local: str, args: Mapping[str, Any]) -> Plan:
        return subscriptions.model_plan(self, local, args)

    # For verbs of an app's own

    def visible_object(self, kwargs: Mapping[str, Any], *, lock: bool = False) -> Any:
        """The object that the arguments mean, if the caller may see it; NotFound does not tell one from the other.

        With `lock`, call it in a transaction: nobody else changes the row before that ends.
        """
        obj = self._seen(kwargs)
        using = router.db_for_write(type(obj))
        if lock and connections[using].features.has_select_for_update:
            # Without a row lock, two writers read the same state and the later one writes the earlier one's fields
            # back. SQLite needs none: its transactions are IMMEDIATE, so writers take turns from the start.
            rows = type(obj)._base_manager.using(using).select_for_update().filter(pk=obj.pk)
            if not rows.values_list("pk", flat=True):
                raise NotFound
            obj = self._seen(kwargs)
        return obj

    def fresh(self, obj: Any) -> ModelSerializer:
        """A serializer of the row as it is stored: what was assigned is not always what a column keeps."""
        serializer = self.get_serializer_class()
        stored = serializer.get_queryset().filter(pk=obj.pk).first()
        fresh = serializer(instance=obj if stored is None else stored)
        self.serializer = fresh
        return fresh

    # Private

    def _seen(self, kwargs: Mapping[str, Any]) -> Any:
        try:
            for name in ("id", "pk"):
                if name in kwargs:
                    self._key(kwargs[name])
            obj = call_hook(self.get_object, **kwargs)
        except ObjectDoesNotExist:
            raise NotFound from None
        if obj is None or not self._visible([obj], kwargs):
            raise NotFound
        return obj

    def _key(self, value: Any) -> Any:
        """The value as the id field's own type. BadArgs for what can be no id, NotFound for what no id can be."""
        opts = self.get_serializer_class().opts
        field = registry.column_field(opts.model, opts.id_field)
        if value is None or field is None:
            raise BadArgs("The argument 'id' is missing.")
        kind = queries.kind_of(field)
        if isinstance(value, bool | list | dict | float):
            raise BadArgs("This is not an id.")
        try:
            read = read_value(queries.target(field), value)
        except DjangoValidationError:
            raise BadArgs("This is not an id.") from None
        try:
            return read if kind is None else kind.parse(read)
        except ValueError:
            raise NotFound from None

    def _visible(self, objects: Sequence[Any], kwargs: Mapping[str, Any]) -> set[Any]:
        """The keys of those of the objects that the scope lets pass."""
        scope = subscriptions.scope(self, kwargs)
        keys = {obj.pk for obj in objects}
        if scope == Filter.everything():
            return keys
        rows = self.get_model()._base_manager.using(router.db_for_write(self.get_model()))
        return set(rows.filter(queries.query(scope), pk__in=keys).values_list("pk", flat=True))

    def _refuse_unseen(self, kwargs: Mapping[str, Any]) -> None:
        """Refuse foreign keys that lead out of the scope in the words for objects that do not exist, and before
        anything else is looked at: no answer tells which of the two it was."""
        scope = subscriptions.scope(self, kwargs)
        for name, value in kwargs.items():
            found = relation(self.get_model(), name)
            kind = None if found is None or found.own is None else queries.kind_of(found.own)
            try:
                read = None if value is None or kind is None else kind.parse(value)
            except ValueError:
                continue  # the serializer says so
            if kind is not None and not any(
                all(condition.passes(read) for condition in alternative if condition.field == name)
                for alternative in scope.alternatives
            ):
                raise ModelValidationError({name: [NO_OBJECT]})

    def _narrowed(self, objects: Any, kwargs: Mapping[str, Any]) -> Any:
        if isinstance(objects, QuerySet) and not objects.query.is_sliced:
            scope = subscriptions.scope(self, kwargs)
            return objects if scope == Filter.everything() else objects.filter(queries.query(scope))
        listed = list(objects)
        visible = self._visible(listed, kwargs)
        return [obj for obj in listed if obj.pk in visible]

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            with transaction.atomic(using=router.db_for_write(self.get_model())):
                yield
        except (ProtectedError, RestrictedError) as error:
            raise Conflict("Other objects still need this one.") from error
        except IntegrityError as error:
            logger.info("%s: the database refused a write: %s", self.get_name(), error)
            raise Conflict from error
        except DataError as error:
            logger.info("%s: the database refused a value: %s", self.get_name(), error)
            raise ModelValidationError({"__all__": ["A value cannot be stored."]}) from error
