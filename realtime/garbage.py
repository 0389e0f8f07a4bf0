"""When Python looks for garbage in cycles. It finds little here: connections are freed as they end, without it.

Left alone it looks at everything that lives whenever a quarter has been added to it. With 10,000 clients that is 0.3 s
in which nobody is served, every few seconds: while they come, and while a busy stream fills its history.
"""

from __future__ import annotations

import gc

# Objects made (less those gone) before the youngest are looked at: more than a busy turn of the loop makes, or what
# ends with the turn is taken for something that stays. Then after how many looks those that were young are looked at
# too, and after how many of these everything. Together half a million objects: 70 MB if all of it were garbage.
OFTEN = (10_000, 5, 10)


def spare() -> None:
    """Called once, when what lives as long as the process has been loaded: that is not looked at again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*OFTEN)
