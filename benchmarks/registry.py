"""All scenarios, in the order in which they are measured."""

from benchmarks.fanout import FanOut
from benchmarks.many import Many
from benchmarks.scenario import Scenario
from benchmarks.slow import SlowReaders
from benchmarks.storm import Storm
from benchmarks.toggle import Toggle

SCENARIOS: list[Scenario] = [FanOut(), Toggle(), Many(), SlowReaders(), Storm()]
