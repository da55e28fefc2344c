"""FastAPI as its documentation teaches it."""
import asyncio
import time

import anyio.to_thread
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect

import fetch
import rows
import shop
import streams

app = FastAPI()

for part in (fetch, rows, shop, streams):
    app.include_router(part.router)


@app.get("/json")
async def hello():
    return {"message": "Hello, World!"}


@app.get("/sleep")
async def sleep():
    await asyncio.sleep(1)
    return {"ok": True}


@app.get("/spawn")
async def spawn():
    total = 0

    async def one():
        nonlocal total
        total += 1

    for _ in range(1000):
        await asyncio.create_task(one())

    return {"sum": total}


@app.get("/gather")
async def gather():
    total = 0

    async def one():
        nonlocal total
        total += 1

    await asyncio.gather(*(one() for _ in range(1000)))

    return {"sum": total}


# functions without "async" run in threads

@app.on_event("startup")
async def threads():
    anyio.to_thread.current_default_thread_limiter().total_tokens = 32


@app.get("/cpu")
def cpu():
    stop, x = time.thread_time_ns() + 1000000, 1

    while time.thread_time_ns() < stop:
        for _ in range(100):
            x = (x * 1103515245 + 12345) & 0x7fffffff

    return {"message": "done"}


@app.get("/block")
def block():
    time.sleep(0.010)
    return {"message": "done"}


@app.get("/noop")
def noop():
    return {"message": "Hello, World!"}


def dep_one():
    return 1


def dep_two():
    return 2


def dep_three():
    return 3


@app.get("/depends")
def depends(one: int = Depends(dep_one), two: int = Depends(dep_two),
            three: int = Depends(dep_three)):
    return {"message": "Hello, World!"}


@app.websocket("/echo")
async def echo(socket: WebSocket):
    await socket.accept()

    try:
        while True:
            await socket.send_bytes(await socket.receive_bytes())
    except WebSocketDisconnect:
        pass


members = []


@app.websocket("/cast")
async def cast(socket: WebSocket):
    await socket.accept()
    members.append(socket)

    try:
        while True:
            data = await socket.receive_bytes()
            for member in members:
                await member.send_bytes(data)
    except WebSocketDisconnect:
        members.remove(socket)
