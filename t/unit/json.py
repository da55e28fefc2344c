"""Compares what is loaded and written with Python's json, and numbers with
repr(), on random doubles, documents and broken documents.

usage: json.py PROGRAM [SEED]; prints TAP.
"""

import sys
sys.path.pop(0)        # this directory has a json.py

import json
import math
import random
import struct
import subprocess

program = sys.argv[1]
rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)


def run(lines):
    out = subprocess.run([program, '-'], check=True, stdout=subprocess.PIPE,
                         input='\n'.join(lines).encode() + b'\n').stdout
    return out.decode().split('\n')[:-1]


tests = 0


def ok(failed, total, what):
    global tests
    tests += 1
    print('%sok %d - %d %s' % ('not ' if failed or not total else '', tests,
                               total, what))


# doubles

def bits(d):
    return struct.unpack('<Q', struct.pack('<d', d))[0]


def double(b):
    return struct.unpack('<d', struct.pack('<Q', b))[0]


doubles = []
for e in range(-1074, 1024):
    b = bits(2.0 ** e)
    doubles += [double(b), double(b + 1), double(b - 1 if b else 0)]
for e in range(-330, 309):
    doubles += [float('%de%d' % (m, e)) for m in (1, 2, 5, 9, 123, 99999)]
for _ in range(30000):
    doubles.append(double(rand.getrandbits(64)))
for _ in range(20000):
    doubles.append(round(rand.uniform(-1e6, 1e6), rand.randrange(12)))
    doubles.append(rand.random())
    doubles.append(rand.randrange(10 ** rand.randrange(1, 19))
                   / 10 ** rand.randrange(25))
    doubles.append(float(rand.getrandbits(rand.randrange(1, 70))))
    doubles.append(double(rand.getrandbits(52) >> rand.randrange(52)))
doubles = [d for d in doubles if math.isfinite(d)]

failed = 0
for d, text in zip(doubles, run('real %016x' % bits(d) for d in doubles)):
    if text != repr(d):
        failed += 1
        if failed < 10:
            print('# %r: %s' % (d, text))
ok(failed, len(doubles), 'doubles are written as by repr()')


# documents

alphabet = ['a', 'b', ' ', '"', '\\', '/', '\n', '\t', '\r', '\b', '\f',
            '\x01', '\x1f', '\x7f', 'é', '\u2028', '€', '\U0001f600', '{', '[',
            'abcdefgh', 'Hello, World!', '\x80', '\uffff', "'", '<']


def string():
    return ''.join(rand.choice(alphabet)
                   for _ in range(rand.choice([0, 1, 3, 9, 20, 60])))


def document(depth):
    what = rand.randrange(10 if depth else 7)
    if what == 0:
        return rand.choice([None, True, False])
    if what == 1:
        return rand.randrange(-2 ** 63, 2 ** 63)
    if what == 2:
        return rand.randrange(-1000, 1000)
    if what == 3:
        return rand.choice(doubles)
    if what < 7:
        return string()
    n = rand.choice([0, 1, 2, 3, 8])
    if what == 7:
        return [document(depth - 1) for _ in range(n)]
    return {string(): document(depth - 1) for _ in range(n)}


documents = [document(rand.randrange(7)) for _ in range(8000)]
documents += [[document(3) for _ in range(2000)], ['x' * 500000],
              {'k%d' % n: n for n in range(5000)}]
lines = ['echo ' + json.dumps(d, ensure_ascii=bool(rand.randrange(2)),
                              indent=rand.choice([None, 1])).encode().hex()
         for d in documents]

failed = 0
for d, text in zip(documents, run(lines)):
    wanted = json.dumps(d, ensure_ascii=False, allow_nan=False,
                        separators=(',', ':'))
    if bytes.fromhex(text).decode() != wanted:
        failed += 1
        if failed < 10:
            print('# %s: %s' % (wanted[:200], bytes.fromhex(text)[:200]))
ok(failed, len(documents), 'documents are written as by json.dumps()')


# broken documents

class Refused(Exception):
    pass


def pairs(items):
    keys = [k for k, _ in items]
    if len(set(keys)) != len(keys):
        raise Refused
    return dict(items)


def integer(text):
    if not -2 ** 63 <= int(text) < 2 ** 63:
        raise Refused
    return int(text)


def real(text):
    if math.isinf(float(text)):
        raise Refused
    return float(text)


def constant(text):
    raise Refused


def refused_string(value):
    if isinstance(value, str):
        return '\0' in value or any('\ud800' <= c <= '\udfff' for c in value)
    if isinstance(value, dict):
        return any(refused_string(k) or refused_string(v)
                   for k, v in value.items())
    return isinstance(value, list) and any(map(refused_string, value))


def reference(text):
    try:
        json.loads(text)
    except json.JSONDecodeError as e:
        return 'syntax %d %s' % (e.pos, e.msg)
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_int=integer,
                           parse_float=real, parse_constant=constant)
    except Refused:
        return None
    return None if refused_string(value) else json.dumps(
        value, ensure_ascii=False, separators=(',', ':'))


snippets = ['"', '\\', '{', '}', '[', ']', ',', ':', '0', '1', '-', '.', 'e',
            '+', 'null', 'true', 'nul', 'u', '\\u', '\\u12', '\\ud800',
            '\\udc00', '\\u0000', '\\u00e9', '\n', ' ', '\x01', 'é', '\0',
            '1e999', '123456789012345678901234567890', '"a":', '\\x', '\\n',
            '"a"', '\U0001f600', '01', '1.', '.5', '1e', '1e+', '/', "'"]

broken = []
while len(broken) < 60000:
    if rand.randrange(3):
        text = json.dumps(document(3), ensure_ascii=bool(rand.randrange(2)),
                          indent=rand.choice([None, None, 1]))[:300]
        for _ in range(rand.randrange(1, 4)):
            place = rand.randrange(len(text) + 1)
            text = (text[:place] + rand.choice(snippets + ['', ''])
                    + text[place + rand.randrange(3):])
    else:
        text = ''.join(rand.choice(snippets)
                       for _ in range(rand.randrange(1, 12)))
    # what Python takes and a standard does not
    if text and 'NaN' not in text and 'Infinity' not in text:
        broken.append(text)

failed = refused = 0
for text, answer in zip(broken, run('load ' + t.encode().hex()
                                    for t in broken)):
    wanted = reference(text)
    answer = bytes.fromhex(answer).decode()
    refused += wanted is None
    # the first thing refused may stand before the first error
    if answer.startswith('refused '):
        place = int(answer.split()[1])
        good = (wanted is None or 'Unterminated' in wanted
                or wanted.startswith('syntax')
                and int(wanted.split()[1]) > place)
    else:
        good = answer == wanted
    if not good:
        failed += 1
        if failed < 10:
            print('# %r: %r, not %r' % (text, answer, wanted))
ok(failed, len(broken), 'broken documents are told as by json.loads(), '
   'or refused (%d)' % refused)

print('1..%d' % tests)
