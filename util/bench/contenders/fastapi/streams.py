"""w5, w6d, w6u, wv: bodies in pieces."""
import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, StreamingResponse

EVENT = b'data: {"message":"Hello, World!"}\n\n'
PIECE = bytes(65536)

router = APIRouter()


async def repeated(piece, n):
    for _ in range(n):
        yield piece


@router.get("/pieces")
async def pieces(mib: int = 16):
    return StreamingResponse(repeated(PIECE, 16 * mib), headers={
        "Content-Length": str(mib << 20)})


@router.put("/swallow", response_class=PlainTextResponse)
async def swallow(request: Request):
    async for piece in request.stream():
        pass

    return "done"


# uvloop sends what it has at the end of a turn of the loop

async def apart(piece, n):
    for _ in range(n):
        yield piece
        await asyncio.sleep(0)


@router.get("/events")
async def events():
    return StreamingResponse(apart(EVENT, 100),
                             media_type="text/event-stream")


@router.get("/events_at_once")
async def events_at_once():
    return StreamingResponse(repeated(EVENT, 100),
                             media_type="text/event-stream")
