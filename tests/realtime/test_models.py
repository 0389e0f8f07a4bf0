"""What publishes itself, and under which names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import realtime
from realtime.models import DatabaseIdentity, Journal, Token, published, register
from tests.app.models import Label, Place, Tagging, Thing, ThingProxy
from tests.app.serializers import PlaceSerializer, ThingSerializer


def test_models_publish_by_mixin_or_by_registration() -> None:
    found = published()
    assert found[Thing].serializer is ThingSerializer
    assert found[Place].serializer is PlaceSerializer
    assert Label not in found
    assert Tagging not in found


def test_a_proxy_publishes_as_its_model() -> None:
    assert ThingProxy not in published()


def test_names_and_columns() -> None:
    thing = published()[Thing]
    assert (thing.model, thing.label, thing.stream) == (Thing, "app.thing", "thing")
    assert thing.columns == ("on", "place_id", "size")
    assert published()[Place].columns == ()


def test_the_packages_own_names() -> None:
    from realtime import journal

    assert realtime.register is register
    assert realtime.publish_data is journal.publish_data
    with pytest.raises(AttributeError):
        _ = realtime.nothing  # type: ignore[attr-defined]


def test_the_package_can_be_imported_before_django_is_set_up() -> None:
    code = "import realtime; realtime.suppress; import sys; assert 'django.db.models' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=Path(__file__).parents[2])


def test_rows_say_what_they_are() -> None:
    assert str(Journal(label="app.thing", key="5", revision=7)) == "app.thing 5 at revision 7"
    assert str(DatabaseIdentity(identity="x")) == "x"
    assert str(Token(name="panel", key_id="ab")) == "panel (ab)"
