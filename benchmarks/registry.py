"""All scenarios, in the order in which they are measured."""

from benchmarks.fanout import FanOut
from benchmarks.scenario import Scenario
from benchmarks.toggle import Toggle

SCENARIOS: list[Scenario] = [FanOut(), Toggle()]
