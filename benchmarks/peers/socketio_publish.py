"""Publishes to the python-socketio peer as an external process does: `emit` of a write-only manager."""

import json
import sys
import time

import socketio

from benchmarks.dialects import thing

manager = socketio.RedisManager(sys.argv[1], write_only=True)

if __name__ == "__main__":
    for line in sys.stdin:
        words = json.loads(line)
        for number in words["numbers"]:
            room = str(number % words["rooms"]) if words["rooms"] else words["room"]
            manager.emit("change", thing(number, time.monotonic(), room), room=room)
        print("sent", flush=True)
