"""All scenarios, in the order in which they are measured."""

from benchmarks.fanout import FanOut
from benchmarks.filters import Filters
from benchmarks.many import Many
from benchmarks.save import Save
from benchmarks.scenario import Scenario
from benchmarks.slow import SlowReaders
from benchmarks.storm import Storm
from benchmarks.toggle import Toggle
from benchmarks.writers import Writers

SCENARIOS: list[Scenario] = [FanOut(), Toggle(), Many(), SlowReaders(), Storm(), Save(), Writers(), Filters()]
