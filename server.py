#!/usr/bin/env python
"""Starts a server process: pages and WebSockets on one port, relay and background services beside them."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
    import django
    from django.core.exceptions import ImproperlyConfigured

    try:
        django.setup()
    except ImproperlyConfigured as error:
        sys.exit(f"Settings: {error}")
    from realtime.server import main as serve

    serve(sys.argv[1:])


if __name__ == "__main__":
    main()
