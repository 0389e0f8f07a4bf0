from __future__ import annotations

import gc
import weakref

from realtime.garbage import OFTEN, spare


class Thing:
    me: Thing


def test_what_was_loaded_is_not_looked_at_again_and_the_rest_is() -> None:
    before = gc.get_threshold()
    try:
        spare()
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == OFTEN and gc.isenabled()
        thing = Thing()
        thing.me = thing
        there = weakref.ref(thing)
        del thing
        made = [[number] for number in range(OFTEN[0] * 2)]
        assert made and there() is None
    finally:
        gc.unfreeze()
        gc.set_threshold(*before)
