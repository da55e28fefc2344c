"""FastAPI as its documentation teaches it."""
import asyncio

from fastapi import FastAPI

app = FastAPI()


@app.get("/json")
async def hello():
    return {"message": "Hello, World!"}


@app.get("/sleep")
async def sleep():
    await asyncio.sleep(1)
    return {"ok": True}
