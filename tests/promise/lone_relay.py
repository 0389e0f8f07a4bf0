"""A relay that believes itself alone, whatever others say: `python -m tests.promise.lone_relay`."""

from __future__ import annotations

import signal

import django


def main() -> None:
    django.setup()
    from realtime.election import Alone
    from realtime.relay import Relay

    relay = Relay(elections=lambda using: Alone())
    signal.signal(signal.SIGTERM, lambda *_: relay.ask_to_stop())
    relay.run()


if __name__ == "__main__":
    main()
