# usage: python3 ws.py BASE: what Python's websockets gets, as JSON; then one that
# stays, until it is closed.  Used by t/ws-clients.t.

import asyncio
import json
import os
import random
import ssl
import sys

import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatusCode

base = sys.argv[1]
deflate = sys.argv[2] == "deflate"
lengths = [0, 1, 125, 126, 127, 65535, 65536, 1 << 20]


def opened(path, **options):
    if base.startswith("wss:"):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        options["ssl"] = context
    return websockets.connect(base + path, max_size=1 << 24,
        compression="deflate" if deflate else None, open_timeout=30, **options)


class Pinged(websockets.WebSocketClientProtocol):
    def __init__(self, **options):
        super().__init__(**options)
        self.asked, self.three = 0, asyncio.Event()

    async def pong(self, data=b""):
        await super().pong(data)
        self.asked += 1
        if self.asked == 3:
            self.three.set()


async def closed(ws):
    try:
        while True:
            await ws.recv()
    except ConnectionClosed as error:
        return [error.code, error.reason, error.rcvd is not None]


async def talk():
    result = {}
    strange = "a\u00e4\u20ac\U0001f600\0\ufffe\uffffz"
    long = "some text, again and again; \u20ac " * 100000

    async with opened("/echo", subprotocols=["v9.test", "v1.test", "v2.test"]) as ws:
        result["protocol"] = ws.subprotocol
        result["extensions"] = [type(e).__name__ for e in ws.extensions]
        await ws.send("hello")
        result["text"] = await ws.recv()
        await ws.send(strange)
        result["unicode"] = await ws.recv() == strange

        result["binary"] = []
        for length in lengths:
            for data in bytes(length), random.Random(length).randbytes(length):
                await ws.send(data)
                if await ws.recv() == data:
                    result["binary"].append(length)

        await ws.send(long)
        result["long"] = await ws.recv() == long

        result["many"] = 0
        await asyncio.gather(*[ws.send("message number %d" % i) for i in range(1000)])
        for i in range(1000):
            result["many"] += await ws.recv() == "message number %d" % i

        await (await ws.ping("are you there"))
        await ws.send(["in ", "three ", "fragments"])
        result["fragments"] = await ws.recv()
        await ws.pong("not asked for")
        await ws.send("and on")
        result["unasked"] = await ws.recv()

        await ws.close(4000, "done")
        result["close"] = [ws.close_code, ws.close_reason]

    async with opened("/parts") as ws:
        result["none"] = ws.subprotocol
        await ws.send(long)
        result["parts"] = await ws.recv() == long

    async with opened("/closes") as ws:
        result["last"] = await ws.recv()
        result["closes"] = await closed(ws)

    for path in "returns", "fails":
        async with opened("/" + path) as ws:
            result[path] = await closed(ws)

    # each but the first is sent because the one before has been answered
    async with opened("/pinged", create_protocol=Pinged) as ws:
        await asyncio.wait_for(ws.three.wait(), 30)
        result["pings"] = 3

    async with opened("/short") as ws:
        await ws.send("x" * 1001)
        result["short"] = await closed(ws)

    try:
        await opened("/refuses")
    except InvalidStatusCode as error:
        result["refuses"] = [error.status_code, error.headers["Content-Type"]]

    return result


async def main():
    print(json.dumps(await talk()), flush=True)

    async with opened("/echo") as ws:
        print("stays", flush=True)
        print(json.dumps(await closed(ws)), flush=True)


asyncio.run(main())
