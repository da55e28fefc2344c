"""w7: aiohttp's client and httpx, each with one session of kept connections."""
import asyncio
import os

import aiohttp
import httpx
from fastapi import APIRouter

URL = "http://127.0.0.1:%s/json" % os.environ["BACKEND"]
TLS = "https://127.0.0.1:%s/json" % os.environ["BACKEND2"]
KEPT = 256

router = APIRouter()
session = client = None


@router.on_event("startup")
async def connect():
    global session, client

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(
        limit=KEPT, keepalive_timeout=600, ssl=False))
    client = httpx.AsyncClient(limits=httpx.Limits(
        max_connections=KEPT, max_keepalive_connections=KEPT,
        keepalive_expiry=600))


async def fetched(url=URL):
    async with session.get(url) as response:
        return await response.json()


@router.get("/fetch")
async def one():
    return await fetched()


@router.get("/fetch_tls")
async def tls():
    return await fetched(TLS)


@router.get("/fetch3")
async def three():
    return await asyncio.gather(fetched(), fetched(), fetched())


@router.get("/fetch_httpx")
async def one_by_httpx():
    return (await client.get(URL)).json()
