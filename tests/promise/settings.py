"""What the servers of these tests run with: the tests' apps, counted statements, and a history that can be outrun."""

from tests.realtime.settings_served import *  # noqa: F403  settings are a namespace: the whole of it is wanted here
from tests.realtime.settings_served import INSTALLED_APPS  # changed below

INSTALLED_APPS = [*INSTALLED_APPS, "tests.promise"]
REALTIME_HISTORY_CHANGES = 600
