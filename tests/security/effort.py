"""How hard generated tests try: a little in every run, `HYPOTHESIS_PROFILE=long` for a night."""

import os

from hypothesis import HealthCheck, settings

LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"


def examples(count: int, **more: object) -> settings:
    """So many examples, fifty times as many in a long run; the machine may be slow."""
    return settings(
        max_examples=count * (50 if LONG else 1),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
        **more,  # type: ignore[arg-type]  whatever else hypothesis knows
    )
