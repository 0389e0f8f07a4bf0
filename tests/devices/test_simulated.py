from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

from devices.simulated import Refusal, Report, Simulated
from tests.devices.base import DIMMER


def device(faults: bool = True, seed: int = 1, **config: Any) -> Simulated:
    return Simulated(DIMMER, config, {"on": False, "level": 40}, random.Random(seed), faults)


def test_it_obeys_after_its_delay_and_says_so() -> None:
    lamp = device(delay=2)
    assert lamp.hear({"on": True}, 1, 10)
    assert lamp.act(10)[0].version == 0  # its first report, of how things still are
    assert lamp.act(11.9) == []
    (said,) = lamp.act(12)
    assert isinstance(said, Report)
    assert (said.values["on"], said.version) == (True, 1)


def test_it_hears_a_wish_once() -> None:
    lamp = device()
    assert lamp.hear({"on": True}, 1, 0)
    assert not lamp.hear({"on": True}, 1, 0.1)
    lamp.act(5)
    assert not lamp.hear({"on": True}, 1, 5)


def test_a_newer_wish_replaces_the_one_it_was_about_to_obey() -> None:
    lamp = device(delay=1)
    lamp.hear({"on": True}, 1, 0)
    assert lamp.hear({"on": False}, 2, 0.5)
    lamp.act(0.5)
    (said,) = lamp.act(1.5)
    assert isinstance(said, Report)
    assert (said.values["on"], said.version) == (False, 2)


def test_it_acknowledges_a_version_that_asks_for_what_is_already_so() -> None:
    lamp = device()
    assert lamp.hear({"on": False}, 3, 0)
    (said,) = lamp.act(1)
    assert said.version == 3


def test_it_reports_at_its_pace_without_being_asked() -> None:
    lamp = device(every=5)
    spoke = [second / 10 for second in range(1000) if lamp.act(second / 10)]
    assert all(4 <= later - earlier <= 6.1 for earlier, later in pairwise(spoke))
    assert 17 <= len(spoke) <= 25


def test_what_cannot_be_set_is_not_obeyed() -> None:
    lamp = device()
    lamp.act(0)
    assert not lamp.hear({"power": 5, "unknown": 1}, 0, 1)


def test_one_that_refuses_says_so_and_stays_as_it_is() -> None:
    lamp = device(refuse=1)
    lamp.hear({"on": True}, 1, 0)
    assert lamp.act(1) == [Refusal(1)]
    assert lamp.values["on"] is False


def test_one_that_keeps_silent_goes_on_reporting_the_old_version() -> None:
    lamp = device(silent=1, every=3)
    lamp.hear({"on": True}, 1, 0)
    said = [word for second in range(10) for word in lamp.act(second)]
    assert {(word.version, word.values["on"]) for word in said if isinstance(word, Report)} == {(0, False)}
    assert not lamp.hear({"on": True}, 1, 11)
    assert lamp.hear({"on": False}, 2, 12)


def test_without_faults_everything_is_obeyed() -> None:
    lamp = device(faults=False, refuse=1, silent=1, offline=True, outages=10**6)
    assert lamp.hear({"on": True}, 1, 0)
    assert [word.version for word in lamp.act(1)] == [1]


def test_one_that_is_offline_hears_and_says_nothing() -> None:
    lamp = device(offline=True)
    assert not lamp.hear({"on": True}, 1, 0)
    assert [lamp.act(second) for second in range(5)] == [[]] * 5


def test_after_an_outage_it_comes_back_and_hears_the_wish_again() -> None:
    lamp = device(outages=10**9, outage=30, every=1)
    lamp.act(0)
    lamp.hear({"on": True}, 1, 0.1)
    assert lamp.act(1) == []  # with so many outages an hour there is one by now
    assert not lamp.reachable(20)
    lamp.config = {"every": 1}
    assert lamp.hear({"on": True}, 1, 31.1)
    assert [word.version for word in lamp.act(32)] == [1]


def test_its_button_changes_it_by_itself() -> None:
    lamp = device(presses=10**9)
    lamp.act(0)
    (said,) = lamp.act(1)
    assert isinstance(said, Report)
    assert said.values["on"] is True


def test_readings_stay_in_bounds_and_wander() -> None:
    schema = {"t": {"kind": "number", "min": 0, "max": 10, "decimals": 2}}
    probe = Simulated(schema, {"every": 1, "readings": {"t": {"around": 9.5, "noise": 1}}}, {}, random.Random(3))
    seen = [word.values["t"] for second in range(500) for word in probe.act(second) if isinstance(word, Report)]
    assert len(set(seen)) > 50
    assert 0 <= min(seen) <= max(seen) <= 10
    assert 8 < sum(seen) / len(seen) <= 10


def test_a_consumer_draws_nothing_while_it_is_off() -> None:
    lamp = device(readings={"power": {"on": 100, "noise": 1}}, every=1, delay=0)
    (off,) = lamp.act(0)
    lamp.hear({"on": True, "level": 50}, 1, 1)
    (on,) = lamp.act(1)
    assert isinstance(off, Report) and isinstance(on, Report)
    assert off.values["power"] == 0
    assert 40 < on.values["power"] < 60


def test_the_same_seed_lives_the_same_life() -> None:
    def life(seed: int) -> list[Any]:
        lamp = device(seed=seed, outages=200, refuse=0.5, presses=500, readings={"power": {"on": 40, "noise": 3}})
        said = []
        for tenth in range(600):
            lamp.hear({"on": tenth % 70 < 35}, tenth // 35 + 1, tenth / 10)
            said.append(lamp.act(tenth / 10))
        return said

    assert life(5) == life(5)
    assert life(5) != life(6)


def test_a_configuration_of_nonsense_counts_as_none() -> None:
    lamp = device(delay="soon", every=None, outages=[1])
    lamp.hear({"on": True}, 1, 0)
    assert lamp.act(0.6)[0].version == 1
