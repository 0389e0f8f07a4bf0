"""First come, first served."""

import os
import threading
import time
from pathlib import Path

from realtime.sqlite.turn import Turn, turn_of

LIMIT = 10.0


def test_served_in_the_order_of_asking() -> None:
    turn = Turn()
    assert turn.take(0)
    served: list[int] = []

    def ask(number: int) -> None:
        assert turn.take(LIMIT)
        served.append(number)
        turn.give()

    threads = []
    for number in range(5):
        threads.append(threading.Thread(target=ask, args=(number,)))
        threads[-1].start()
        deadline = time.monotonic() + LIMIT
        while turn.waiting <= number and time.monotonic() < deadline:
            time.sleep(0.001)
    turn.give()
    for thread in threads:
        thread.join(LIMIT)
    assert served == [0, 1, 2, 3, 4]


def test_who_gives_up_leaves_the_line() -> None:
    turn = Turn()
    assert turn.take(0)
    assert not turn.take(0.01)
    assert turn.waiting == 0
    turn.give()
    assert turn.take(0)


def test_one_turn_per_file_under_whatever_name(tmp_path: Path) -> None:
    file = tmp_path / "db"
    (tmp_path / "link").symlink_to(file)
    assert turn_of(str(file)) is turn_of(f"{tmp_path}/./db")
    assert turn_of(str(file)) is turn_of(str(tmp_path / "link"))
    assert turn_of(str(file)) is not turn_of(str(tmp_path / "other"))


def test_a_forked_child_does_not_wait_for_a_thread_it_does_not_have(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    assert turn_of(path).take(0)
    child = os.fork()
    if child == 0:
        os._exit(0 if turn_of(path).take(1) else 1)
    assert os.waitpid(child, 0)[1] == 0
    turn_of(path).give()
