"""What the demo is made of: three rooms, fifteen simulated devices, and how each of them behaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Seconds between kept readings: an hour is 120 points of a chart.
RECORD = 30
# Simulated devices report every 3 s.
EXPECTED = 5


def number(label: str, unit: str, **more: Any) -> dict[str, Any]:
    return {"kind": "number", "label": label, "unit": unit, "record": RECORD, **more}


TEMPERATURE = number("Temperature", "°C", min=-40, max=85, decimals=1)
HUMIDITY = number("Humidity", "%", min=0, max=100, decimals=0)
BATTERY = {"kind": "number", "label": "Battery", "unit": "%", "min": 0, "max": 100, "decimals": 0}
POWER = number("Power", "W", min=0, max=4000, decimals=0)
SWITCH = {"kind": "bool", "label": "Switch", "writable": True}
LEVEL = number("Brightness", "%", min=0, max=100, step=1, decimals=0, writable=True, main=True)

# slug → name, icon, schema
TYPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "thermometer": ("Temperature", "thermometer", {"temperature": {**TEMPERATURE, "main": True}, "battery": BATTERY}),
    "hygrometer": ("Humidity", "droplets", {"humidity": {**HUMIDITY, "main": True}, "battery": BATTERY}),
    "climate": (
        "Temperature",
        "thermometer",
        {"temperature": {**TEMPERATURE, "main": True}, "humidity": HUMIDITY, "battery": BATTERY},
    ),
    "fan": ("Relay", "fan", {"on": {**SWITCH, "main": True}, "power": POWER}),
    "pump": ("Relay", "waves", {"on": {**SWITCH, "main": True}, "power": POWER}),
    "dimmer": ("Dimmer", "lightbulb", {"on": SWITCH, "level": LEVEL, "power": POWER}),
    "lamp": ("Dimmer", "lamp", {"on": SWITCH, "level": LEVEL, "power": POWER}),
    "vent": ("Actuator", "door-open", {"on": {**SWITCH, "main": True, "words": ["Closed", "Open"]}}),
    "plug": ("Plug", "plug", {"on": SWITCH, "power": {**POWER, "main": True}}),
    "compressor": ("Plug", "zap", {"on": SWITCH, "power": {**POWER, "main": True}}),
    "pressure": (
        "Pressure",
        "gauge",
        {"pressure": number("Pressure", "bar", min=0, max=16, decimals=2, main=True)},
    ),
    "light": ("Relay", "lamp-ceiling", {"on": {**SWITCH, "main": True}, "power": POWER}),
    "humidifier": ("Relay", "waves", {"on": {**SWITCH, "main": True}, "power": POWER}),
    "controller": (
        "Controller",
        "cpu",
        {"on": SWITCH, "current": number("Current", "A", min=0, max=32, decimals=1, main=True)},
    ),
}

LOCATIONS = {"Greenhouse": "sprout", "Workshop": "wrench", "Living room": "sofa"}


@dataclass(frozen=True)
class Demo:
    """One device. `values` is how it begins, `config` how it behaves (see `devices.simulated`)."""

    location: str
    name: str
    type: str
    detail: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    # Minutes for which nothing has been heard of it; None: it is there.
    silent: int | None = None

    @property
    def uid(self) -> str:
        words = "".join(c if c.isalnum() else " " for c in f"{self.location} {self.name}".lower()).split()
        return "-".join(words)


def reads(**readings: dict[str, Any]) -> dict[str, Any]:
    return {"readings": readings}


def watts(on: float) -> dict[str, Any]:
    return reads(power={"on": on, "noise": on * 0.01})


DEVICES = (
    Demo(
        "Greenhouse", "North bench air", "thermometer", "SHT41",
        {"temperature": 24.3, "battery": 86},
        reads(temperature={"around": 24, "swing": 3, "noise": 0.05}, battery={"around": 86, "noise": 0}),
    ),
    Demo("Greenhouse", "Exhaust fan", "fan", "41 W", {"on": True, "power": 41}, watts(41)),
    Demo("Greenhouse", "Drip pump", "pump", "zone 1", {"on": False, "power": 0}, watts(55)),
    Demo("Greenhouse", "Grow light", "dimmer", "0–10 V", {"on": True, "level": 60, "power": 72}, watts(120)),
    Demo("Greenhouse", "Vent window", "vent", "", {"on": False}, {"silent": 0.5, "delay": 1.5}),
    Demo(
        "Workshop", "Bench sockets", "plug", "6 outlets",
        {"on": True, "power": 318}, reads(power={"on": 318, "noise": 12}),
    ),
    Demo("Workshop", "Compressor", "compressor", "1.5 kW", {"on": False, "power": 0}, watts(1480)),
    Demo(
        "Workshop", "Air pressure", "pressure", "Analog in 3",
        {"pressure": 7.82}, reads(pressure={"around": 7.8, "swing": 0.3, "hours": 1, "noise": 0.01}),
    ),
    Demo("Workshop", "Ceiling light", "light", "2 gangs", {"on": True, "power": 68}, watts(68)),
    Demo(
        "Workshop", "CNC controller", "controller", "ESP32 · fw 1.8.2",
        {"on": True, "current": 7.1}, {"offline": True}, silent=22,
    ),
    Demo("Living room", "Reading lamp", "lamp", "", {"on": True, "level": 35, "power": 4}, watts(12)),
    Demo(
        "Living room", "Hallway", "climate", "humidity",
        {"temperature": 21.6, "humidity": 49, "battery": 71},
        {
            **reads(
                temperature={"around": 21.5, "swing": 1, "noise": 0.04},
                humidity={"around": 49, "swing": 4, "noise": 0.2},
                battery={"around": 71, "noise": 0},
            ),
            "outages": 3,
            "outage": 45,
        },
    ),
    Demo("Living room", "TV & amp", "plug", "", {"on": True, "power": 3}, watts(3.1)),
    Demo("Living room", "Humidifier", "humidifier", "", {"on": False, "power": 0}, {**watts(28), "refuse": 0.3}),
    Demo(
        "Living room", "Humidity", "hygrometer", "SHT41",
        {"humidity": 47, "battery": 71},
        reads(humidity={"around": 47, "swing": 5, "noise": 0.2}, battery={"around": 71, "noise": 0}),
    ),
)  # fmt: skip

# user → role by location. The living room shows what a screen looks like to somebody who may only look.
USERS = {
    "operator": {"Greenhouse": "operator", "Workshop": "operator", "Living room": "viewer"},
    "viewer": dict.fromkeys(LOCATIONS, "viewer"),
}


def chosen(count: int) -> list[Demo]:
    """The first `count` devices; beyond the fifteen they repeat with a number, to try what many are like."""
    found = list(DEVICES[:count])
    while len(found) < count:
        one = DEVICES[len(found) % len(DEVICES)]
        name = f"{one.name} {len(found) // len(DEVICES) + 1}"
        found.append(Demo(one.location, name, one.type, one.detail, one.values, one.config, one.silent))
    return found
