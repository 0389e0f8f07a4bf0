"""From journal rows to what the bus is given: objects as they are now, serialised, each with what it was before.

Everything here reads, in the one consistent view in which the rows were read; nothing writes and nothing is published.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError, connections, transaction
from django.db.models import Model

from realtime import journal, registry, values
from realtime.bus import Publication
from realtime.change import CONTROL_STREAM, CREATED, DATA_STREAM, DELETED, UPDATED, Change, Control, encode
from realtime.controls import Judge
from realtime.fields import publish_value
from realtime.journal import Row
from realtime.models import PublishedModel, published
from realtime.prepared import Prepared

logger = logging.getLogger("realtime.relay")

# How often a step is given up because the database failed on one model, before that is taken for the model's own fault.
PATIENCE = 3


@dataclass
class Load:
    """What one step of the relay will do, in the order of the fields."""

    #: Too much changed, or more states than are kept: these become one resync of their label, in the journal.
    collapsing: list[Row] = field(default_factory=list)
    #: Objects to mark as changed because what they show has.
    touching: list[tuple[type[Model], set[Any]]] = field(default_factory=list)
    #: Whose rights are judged anew, before anything else is published.
    controls: list[Publication] = field(default_factory=list)
    publications: list[Publication] = field(default_factory=list)
    #: Streams that begin anew.
    renewing: set[str] = field(default_factory=set)
    #: Rows that are done when all this is acknowledged.
    done: list[Row] = field(default_factory=list)
    #: Rows to be set aside, each with why.
    failing: list[tuple[Row, Exception]] = field(default_factory=list)


class Spoiled(Exception):
    """An error of the database ended the view; load the same rows again, in another one."""


class Loader:
    """Knows what is published and who depends on what; made once, after the registry is filled."""

    def __init__(self, body_limit: int, using: str = "default", *, bold: bool = False) -> None:
        """`bold`: no savepoint around each model, which saves two round trips, until an error raises Spoiled."""
        self._using = using
        self._bold = bold
        self._careful = not bold
        self._body_limit = body_limit
        self._models: dict[str, PublishedModel] = {one.label: one for one in published().values()}
        self._streams = {one.model: one.stream for one in self._models.values()}
        self._shows = registry.shows()
        self._judge = Judge()
        self._troubles: Counter[str] = Counter()
        self._prepared: dict[str, Prepared] = defaultdict(Prepared)

    @property
    def streams(self) -> list[str]:
        """Every stream that the relay may publish on."""
        return [DATA_STREAM, CONTROL_STREAM, *self._streams.values()]

    def stream(self, label: str) -> str:
        return self._models[label].stream

    def load(self, rows: Sequence[Row]) -> Load:
        """Call it in the view in which `rows` were read. Raises django.db.Error when the database does not answer."""
        load = Load()
        watched: dict[type[Model], list[Row]] = defaultdict(list)
        objects: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            model = journal.model_of(row.label)
            if row.kind in (journal.EVENT, journal.CONTROL):
                stream, target = (
                    (DATA_STREAM, load.publications) if row.kind == journal.EVENT else (CONTROL_STREAM, load.controls)
                )
                target.append(Publication(stream, row.key, row.revision, row.payload or ""))
                load.done.append(row)
            elif row.overflow:
                load.collapsing.append(row)
            elif row.kind == journal.WHOLE:
                self._whole(load, row, model)
            elif row.label.startswith(journal.WATCH) and model is not None:
                watched[model].append(row)
            elif row.label in self._models:
                objects[row.label].append(row)
            else:
                load.done.append(row)  # of a model that no longer publishes, or is gone
        for model, its_rows in watched.items():
            self._watched(load, model, its_rows)
        for label, its_rows in objects.items():
            if self._models[label].stream not in load.renewing:  # else they come in the new epoch, with the next step
                self._objects(load, self._models[label], its_rows)
        self._careful = not self._bold
        return load

    # -- resyncs and watches -----------------------------------------------------------------------------------------

    def _whole(self, load: Load, row: Row, model: type[Model] | None) -> None:
        load.done.append(row)
        if not row.label.startswith(journal.WATCH):
            if row.label in self._models:
                load.renewing.add(self._models[row.label].stream)
        elif model is not None:
            if self._judge.concerns(model):
                load.controls.append(_control(row, self._judge.everybody(model)))
            shown_in = {self._streams[item.model] for item in self._shows.get(model, ()) if item.model in self._streams}
            load.renewing |= shown_in

    def _watched(self, load: Load, model: type[Model], rows: list[Row]) -> None:
        for row, control in self._judge.controls(model, rows):
            load.controls.append(_control(row, control))
        before = [state for row in rows for state in row.before]
        for item in self._shows.get(model, ()):
            keys = item.pks({row.pk for row in rows}, before)
            if keys:
                load.touching.append((item.model, keys))
        load.done += rows

    # -- objects -----------------------------------------------------------------------------------------------------

    def _objects(self, load: Load, one: PublishedModel, rows: list[Row]) -> None:
        try:
            with transaction.atomic(using=self._using) if self._careful else nullcontext():
                self._serialise(load, one, rows)
            return
        except DatabaseError as error:
            if not self._careful:
                self._careful = True
                raise Spoiled from error
            self._be_patient(one.label, error)
        except Exception:
            logger.debug("%s is loaded one by one, because not all of it can be", one.label, exc_info=True)
        for row in rows:
            try:
                with transaction.atomic(using=self._using):
                    self._serialise(load, one, [row])
            except Exception as error:
                self._be_patient(one.label, error)
                load.failing.append((row, error))
        self._troubles.pop(one.label, None)

    def _be_patient(self, label: str, error: Exception) -> None:
        """Raise it again if it may be the database's fault: a lost connection always, a busy one a few times."""
        if isinstance(error, InterfaceError | OperationalError):
            self._troubles[label] += 1
            if connections[self._using].needs_rollback or self._troubles[label] < PATIENCE:
                raise error

    def _serialise(self, load: Load, one: PublishedModel, rows: list[Row]) -> None:
        """All or nothing: what an exception leaves behind in `load` is nothing."""
        found = {instance.pk: instance for instance in self._find(one, [row.pk for row in rows])}
        publications: list[Publication] = []
        failing: list[tuple[Row, Exception]] = []
        done: list[Row] = []
        for row in rows:
            try:
                change = self._change(one, row, found.get(row.pk))
                if change is not None:
                    publications.append(self._publication(change))
                done.append(row)
            except DatabaseError:
                raise
            except Exception as error:
                failing.append((row, error))
        load.publications += publications
        load.failing += failing
        load.done += done

    def _find(self, one: PublishedModel, keys: list[Any]) -> Iterable[Model]:
        queryset = one.serializer.get_queryset().using(self._using)
        if len(keys) == 1:
            return self._prepared[one.label].find(queryset, keys[0])
        # In no order: it would take Django as long to write it down as the rest of the statement.
        return queryset.filter(pk__in=keys).order_by()

    def _change(self, one: PublishedModel, row: Row, instance: Model | None) -> Change | None:
        """None if there is nothing to tell: it never was, and is not."""
        before = tuple(values.to_wire(one.model, state) for state in row.before)
        existed = any(state is not None for state in before)
        opts = one.serializer.opts
        if instance is None:
            if not existed:
                return None
            gone = (
                publish_value(row.pk)
                if opts.id_field in ("pk", one.model._meta.pk.name)
                else _last(before, opts.id_field)
            )
            return Change(one.stream, row.key, row.revision, DELETED, None, None, before, gone, opts.type)
        data = one.serializer(instance=instance).serialize()
        assert data is not None
        now = values.wire_values(instance, one.columns)
        # Without any known state it is an update: old clients ignore a second "created" of an object that they have.
        action = UPDATED if existed or not before else CREATED
        return Change(one.stream, row.key, row.revision, action, data, now, before, data["id"], opts.type)

    def _publication(self, change: Change) -> Publication:
        body = encode(change)
        if len(body) > self._body_limit:
            raise ValueError(f"{len(body)} characters are more than a client can be told at once ({self._body_limit})")
        return Publication(change.stream, change.key, change.revision, body)


def _control(row: Row, control: Control) -> Publication:
    # Hashed, because a session's key would open that session, and Redis is read by more people than the database.
    key = hashlib.sha256(f"{row.label}:{row.key}".encode()).hexdigest()[:32]
    return Publication(CONTROL_STREAM, key, row.revision, encode(control))


def _last(before: Iterable[dict[str, Any] | None], name: str) -> Any:
    """What clients knew the object by."""
    return next((state[name] for state in reversed(list(before)) if state and name in state), None)
