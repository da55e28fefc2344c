"""w8: asyncpg's pool, which prepares statements by itself."""
import asyncio
import os
import random

import asyncpg
from fastapi import APIRouter

SQL = "SELECT id, randomnumber FROM world WHERE id = $1"
ROWS = 20

router = APIRouter()
pool = None


@router.on_event("startup")
async def make_pool():
    global pool

    # no connection before the first query
    pool = await asyncpg.create_pool(
        host="127.0.0.1", port=int(os.environ["PGPORT"]), user="bench",
        database="bench", ssl=False, min_size=0, max_size=16,
        max_inactive_connection_lifetime=600)


async def one():
    row = await pool.fetchrow(SQL, random.randint(1, 10000))

    return {"id": row[0], "randomNumber": row[1]}


@router.get("/row")
async def row():
    return await one()


@router.get("/rows")
async def rows():
    found = []

    async with pool.acquire() as connection:
        query = await connection.prepare(SQL)

        for _ in range(ROWS):
            row = await query.fetchrow(random.randint(1, 10000))
            found.append({"id": row[0], "randomNumber": row[1]})

    return found


# it has no pipelines: at once on several connections

@router.get("/gathered")
async def gathered():
    return await asyncio.gather(*(one() for _ in range(ROWS)))
