"""The project's settings without the caps that one machine with a thousand sockets of one user would meet."""

from project.settings import *  # noqa: F403

REALTIME_CONNECTIONS_PER_USER = 100_000
REALTIME_CONNECTIONS_PER_ADDRESS = 100_000
