"""Publishes to the Channels peer through its own layer, as a Django view would: one `group_send` per change."""

import asyncio
import json
import sys
import time

from channels_redis.pubsub import RedisPubSubChannelLayer

from benchmarks.dialects import message

layer = RedisPubSubChannelLayer(hosts=[sys.argv[1]])


async def main() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        words = json.loads(line)
        for number in words["numbers"]:
            room = str(number % words["rooms"]) if words["rooms"] else words["room"]
            text = message(number, time.monotonic(), room)
            await layer.group_send(room, {"type": "pass.on", "text": text})
        print("sent", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
