"""wq, wj: parameters and bodies, declared."""
from typing import List, Optional

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel

router = APIRouter()


@router.get("/shop/{shop}/goods/{kind}")
async def params(shop: int = Path(ge=1), kind: str = Path(max_length=20),
                 limit: int = Query(20, ge=1, le=100),
                 q: Optional[str] = None, price: float = Query(gt=0)):
    assert (shop, kind, limit, q, price) == (7, "shoes", 10, "abc", 9.5)

    return {"message": "Hello, World!"}


class Task(BaseModel):
    id: int
    title: str
    price: float
    done: bool
    priority: Optional[int]


class Person(BaseModel):
    id: int
    name: str
    email: str
    active: bool
    score: float
    tags: List[str]
    tasks: List[Task]


@router.post("/struct", response_model=Person)
async def struct(person: Person):
    return person


@router.post("/tree")
async def tree(request: Request):
    return await request.json()


@router.post("/text")
async def text(request: Request):
    return Response(await request.body(), media_type="application/json")
