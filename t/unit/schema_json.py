"""Compares what schema_json.c makes of JSON with pydantic 2, as FastAPI calls
it, where that is installed: values, and errors with their order.

usage: schema_json.py PROGRAM [SEED]; prints TAP.
"""

import sys

sys.path.pop(0)        # this directory has a json.py

import base64
import datetime
import enum
import json
import random
import struct
import subprocess
import uuid
from typing import Annotated, Any, List, Optional

try:
    import pydantic
    from pydantic import BaseModel, BeforeValidator, Field, ValidationError
    assert pydantic.VERSION.startswith('2.')
except Exception:
    print('1..0 # SKIP no pydantic 2 here')
    sys.exit(0)

program = sys.argv[1]
rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)

N = 3000


class Color(str, enum.Enum):
    red = 'red'
    green = 'green'


class Level(str, enum.Enum):
    low = 'low'
    high = 'high'


Real = Annotated[float, Field(allow_inf_nan=False)]


class Item(BaseModel):
    price: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    name: Annotated[str, Field(max_length=8)]
    qty: Annotated[int, Field(ge=-2**31, le=2**31 - 1)] = 1
    parts: List['Item'] = []


class All(BaseModel):
    i: int
    small: Annotated[int, Field(le=127, ge=-128)]
    d: Real
    f: Real
    b: bool
    text: Annotated[str, Field(min_length=2, pattern='^[^x]*$')]
    str_: Annotated[str, Field(alias='a "str"')]
    any: Any
    at: datetime.datetime
    bytes: bytes
    uuid: uuid.UUID
    date: datetime.date
    maybe: Annotated[Optional[int], Field(ge=-5, lt=100)] = None
    flag: Optional[bool]
    ints: Annotated[List[int], Field(min_length=1, max_length=3)]
    texts: Optional[List[str]] = None
    doubles: List[Real]
    bools: List[bool] = [True, False]
    item: Item
    other: Optional[Item] = None
    items: List[Item]
    color: Color
    level: Level
    null: Optional[str] = None


def item(depth=0):
    value = {'price': rand.choice([1, 0.5, 2**64, '2.5', True, 1e-3]),
             'name': rand.choice(['', 'a', 'éé', '12345678'])}
    if rand.random() < .5:
        value['qty'] = rand.choice([0, 5, '7', 3.0, -2**31])
    if rand.random() < .4:
        value['parts'] = [item(depth + 1)
                          for _ in range(rand.randrange(3 - min(depth, 2)))]
    if rand.random() < .2:
        value['more'] = [{'x': 1}, 'y']
    return value


def many(*values):
    return [rand.choice(values) for _ in range(rand.randrange(12))]


good = {
    'i': lambda: rand.choice([0, -1, 5.0, '5', ' 7 ', True, 2**63 - 1,
                              -2**63, '1_000', 1e3, rand.getrandbits(60)]),
    'small': lambda: rand.choice([127, -128, '5', False, -0.0]),
    'd': lambda: rand.choice([0, -0.0, 1.5, '1e3', True, 2**53 + 1, 0.1,
                              1e-320, 2**63, -2**64, 2**64 - 2**11, 10**22,
                              2**1000, 123456789.123456789, 5e22, 5e23,
                              rand.uniform(-1e9, 1e9),
                              rand.getrandbits(62) * 10.0 ** -rand.randrange(
                                  30),
                              struct.unpack('d', rand.randbytes(6)
                                            + b'\x00\x40')[0]]),
    'f': lambda: rand.choice([0, 0.5, 2**63, -2**100, '0.25', 1024]),
    'b': lambda: rand.choice([True, False, 0, 1, 0.0, 1.0, 'yes', 'OFF', 't']),
    'text': lambda: rand.choice(['ab', 'é€', 'a "quote" \\ / \n\t\b\f\r',
                                 '\U0001f600 ', 'long ' * 20, '\x7f\x1f']),
    'a "str"': lambda: rand.choice(['', 'a', 'é', '12345678é', '\u2028']),
    'any': lambda: rand.choice([None, 1, [], {}, {'a': [1, {'b': None}]},
                                'x', 1.5, True]),
    'at': lambda: rand.choice([0, 1700000000, 1700000000000, 1.5, -5,
                               '2026-01-31T10:20:30Z', '2026-01-31',
                               '2026-01-31 10:20:30.123+02:00', '1700000000',
                               1e3]),
    'bytes': lambda: rand.choice(['', 'aGk=', 'AAECAw==', '////']),
    'uuid': lambda: rand.choice([str(uuid.UUID(int=rand.getrandbits(128))),
                                 '{%s}' % uuid.UUID(int=7),
                                 uuid.UUID(int=2**128 - 1).hex.upper()]),
    'date': lambda: rand.choice(['2026-01-31', '2024-02-29', 0, 86400,
                                 '2026-01-31T00:00:00Z', 1700006400000.0]),
    'maybe': lambda: rand.choice([None, -5, 99, '3']),
    'flag': lambda: rand.choice([None, True, 'no']),
    'ints': lambda: [rand.choice([1, '2', 3.0, True])
                     for _ in range(rand.randrange(1, 4))],
    'texts': lambda: rand.choice([None, many('a', '', 'é', 'x\n')]),
    'doubles': lambda: many(1, 0.5, '3', -1e10),
    'bools': lambda: many(True, 0, 'on', False),
    'item': item,
    'other': lambda: rand.choice([None, item()]),
    'items': lambda: [item() for _ in range(rand.randrange(6))],
    'color': lambda: rand.choice(['red', 'green']),
    'level': lambda: rand.choice(['low', 'high']),
    'null': lambda: rand.choice([None, '', 'x']),
}

optional = ['maybe', 'texts', 'bools', 'other', 'null']

bad = [None, True, False, 0, 1, 2, -129, 300, 1.5, 2.0, -0.5, 1e20, 2**63 - 1,
       '', 'x', 'yes', '5', '5.5', 'nan', 'é', 'blue', '2026-13-01',
       '2026-01-31T25:00:00', '12345678-1234', -1e20, 1e15, -1e15, 12345.6789, 'a' * 40, [], [1], ['x', 'y'],
       [1, 2, 3, 4], ['x', 1, 2, 'y'], [None], [[1]], {}, {'name': 'a'},
       {'price': 'x', 'name': 5, 'qty': 1.5}, [{'price': 0, 'name': 'x'}, 5],
       [{}, {'parts': [{'price': 1}]}], {'price': 1, 'parts': [1, 2]}, 1e10,
       2**63, -2**64, 10**22]


def document():
    names = list(good)
    value = {name: good[name]() for name in names
             if name not in optional or rand.random() < .7}
    for _ in range(rand.choice([0, 0, 1, 1, 2, 3, 8])):
        name = rand.choice(names)
        if rand.random() < .3:
            value.pop(name, None)
        else:
            value[name] = rand.choice(bad)
    if rand.random() < .3:
        value['unknown'] = rand.choice(bad)
    if rand.random() < .5:
        items = list(value.items())
        rand.shuffle(items)
        value = dict(items)
    return rand.choice(bad) if rand.random() < .01 else value


def text_of(value):
    return json.dumps(value, ensure_ascii=rand.random() < .5,
                      separators=rand.choice([(',', ':'), (', ', ': '),
                                              (' ,\t', ' :\r')]))


def plain(value):
    """As schema_json.c shows it."""
    if isinstance(value, BaseModel):
        return {field.alias or name: plain(getattr(value, name))
                for name, field in type(value).model_fields.items()}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.timezone.utc)
        since = value - datetime.datetime(1970, 1, 1,
                                          tzinfo=datetime.timezone.utc)
        return since // datetime.timedelta(milliseconds=1)
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, bytes):
        return list(base64.b64decode(value))
    if isinstance(value, list):
        return [plain(v) for v in value]
    return value


def reference(value):
    try:
        made = All.__pydantic_validator__.validate_python(
            value, from_attributes=True)
    except ValidationError as e:
        errors = json.loads(e.json(include_url=False))
        for error in errors:
            error['loc'].insert(0, 'body')
        return {'errors': as_shown(errors)}
    value = plain(made)
    # the member is a float
    value['f'] = struct.unpack('f', struct.pack('f', value['f']))[0]
    return {'ok': value}


def same(one, two):
    """Exactly; 1 and 1.0 and True are different, 0.0 and -0.0 as well."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[k], two[k])
                                                for k in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    return type(one) is type(two) and repr(one) == repr(two)


# as an input, an integer beyond int64_t is a real number
def as_shown(value):
    if isinstance(value, dict):
        return {k: as_shown(v) for k, v in value.items()}
    if isinstance(value, list):
        return [as_shown(v) for v in value]
    return float(value) if is_wide(value) else value


def is_wide(value):
    return type(value) is int and not -2**63 <= value < 2**63


# pydantic's bytes are those of the text, ours are in base64; and its integers
# have no end
def differs(value):
    if not isinstance(value, dict):
        return False
    if is_wide(value.get('i')) or is_wide(value.get('any')):
        return True
    data = value.get('bytes')
    return isinstance(data, str) and data not in ('', 'aGk=', 'AAECAw==',
                                                  '////')


values = []
while len(values) < N:
    value = document()
    if not differs(value):
        values.append(value)

texts = [text_of(value) for value in values]
answers = subprocess.run([program, 'read'], input='\n'.join(texts) + '\n',
                         capture_output=True, encoding='utf-8')

lines = answers.stdout.split('\n')[:-1]
failed = 0

print('1..3')

if answers.returncode or len(lines) != N:
    print('# status', answers.returncode, len(lines), 'of', N, 'lines')
    print('# ' + answers.stderr[-2000:].replace('\n', '\n# '))
    print('not ok 1 - it answers each text')
    print('not ok 2\nnot ok 3')
    sys.exit(0)

print('ok 1 - it answers each text')

kinds = {'ok': 0, 'errors': 0}

for text, line in zip(texts, lines):
    expected = reference(json.loads(text))
    got = json.loads(line)
    kinds[next(iter(expected))] += 1
    if not same(got, expected):
        failed += 1
        if failed <= 5:
            print('# text', text[:2000])
            for what, value, other in (('got ', got, expected),
                                       ('want', expected, got)):
                other = other.get('errors', [])
                value = value.get('errors') or [value]
                print('#', what, repr([e for e in value
                                       if e not in other])[:2000])

print('not ' if failed else '', 'ok 2 - %d texts as pydantic has them, %d of '
      'them valid' % (N, kinds['ok']), sep='')
print('not ' if min(kinds.values()) < N / 10 else '',
      'ok 3 - there are both kinds', sep='')
