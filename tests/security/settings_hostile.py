"""A server as a process of its own, each of whose settings an environment variable of that name may change."""

import ast
import os

from tests.realtime.settings_served import *  # noqa: F403  settings are a namespace: the whole of it is wanted here

for _name, _value in os.environ.items():
    if _name.startswith("REALTIME_"):
        globals()[_name] = ast.literal_eval(_value)
