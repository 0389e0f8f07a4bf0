"""For servers among faults: what a visible page is told every 5 s is told every second, so that clients who lost their
line without a word notice it soon."""

from tests.promise.settings import *  # noqa: F403  settings are a namespace: the whole of it is wanted here

REALTIME_HEARTBEAT_SECONDS = 1.0
