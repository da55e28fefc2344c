"""Compares what is written of random values and arrays in PostgreSQL's text
form with Python: json, datetime, base64.

usage: pg_write.py PROGRAM [SEED]; prints TAP.
"""

import sys
sys.path.pop(0)        # this directory has a json.py

import base64
import datetime
import json
import random
import subprocess

program = sys.argv[1]
rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)

alphabet = ['a', 'b', ' ', '"', '\\', '/', '\n', '\t', '\r', '\x01', '\x1f',
            '\x7f', 'é', '€', '\U0001f600', '{', '}', ',', 'NULL', 'null',
            "'", 'abcdefgh', 'Hello, World!', ';', '=', '[0:1]=']


def string():
    return ''.join(rand.choice(alphabet) for _ in range(rand.randrange(9)))


def number():
    text = '%d' % rand.randrange(-10 ** rand.randrange(1, 25),
                                 10 ** rand.randrange(1, 25))
    if rand.random() < 0.6:
        text += '.%0*d' % (rand.randrange(1, 30), rand.randrange(10 ** 6))
    return text, json.loads(text)


def moment():
    return (datetime.datetime(1, 1, 1)
            + datetime.timedelta(days=rand.randrange(3652000),
                                 seconds=rand.randrange(86400),
                                 microseconds=rand.choice([0, 1000, 123456])))


def iso(at, sep):
    text = at.isoformat(sep)
    return text.rstrip('0') if '.' in text else text


def zone():
    minutes = rand.choice([0, 0, 60, -480, 330, -210, 765])
    text = '%s%02d' % ('-' if minutes < 0 else '+', abs(minutes) // 60)
    if minutes % 60:
        text += ':%02d' % (abs(minutes) % 60)
    return text, ('Z' if minutes == 0 else
                  text if minutes % 60 else text + ':00')


def timestamptz():
    at, (text, expected) = moment(), zone()
    return iso(at, ' ') + text, iso(at, 'T') + expected


def blob():
    data = rand.randbytes(rand.randrange(20))
    expected = base64.b64encode(data).decode()
    if rand.random() < 0.5:
        return '\\x' + data.hex(), expected
    return ''.join('\\\\' if c == 92 else chr(c) if 32 <= c < 127
                   else '\\%03o' % c for c in data), expected


def interval():
    parts, expected = [], ''
    for name, letter in ('year', 'Y'), ('mon', 'M'), ('day', 'D'):
        n = rand.choice([0, 1, -1, 5, -30])
        if n:
            parts.append('%s%d %s%s' % (
                '+' if n > 0 and '-' in ''.join(parts) else '', n, name,
                '' if n == 1 else 's'))
            expected += '%d%s' % (n, letter)
    us = rand.choice([0, 1, 500000, 3600000000, 3723000000, 10 ** 14])
    sign = rand.choice(['', '-']) if us else ''
    if us or not parts:
        h, m, s = us // 3600000000, us // 60000000 % 60, us // 1000000 % 60
        f = ('.%06d' % (us % 1000000)).rstrip('0') if us % 1000000 else ''
        parts.append('%s%02d:%02d:%02d%s' % (sign, h, m, s, f))
        if us:
            expected += 'T'
            expected += sign + '%dH' % h if h else ''
            expected += sign + '%dM' % m if m else ''
            expected += sign + '%d%sS' % (s, f) if s or f else ''
    return ' '.join(parts), 'P' + (expected or 'T0S')


def of_json():
    value = rand.choice([None, True, 1, 0.5, string(), [string(), {}],
                         {'a': [1, {string(): 2}]}])
    return json.dumps(value, ensure_ascii=rand.random() < 0.5), value


# oid, of the array, and a function that gives text and what JSON has

types = [
    (25, 1009, lambda: (lambda s: (s, s))(string())),
    (20, 1016, lambda: (lambda n: (str(n), n))(rand.randrange(-2**63, 2**63))),
    (701, 1022, lambda: (lambda x: (repr(x), x))(rand.uniform(-1e9, 1e9))),
    (1700, 1231, number),
    (16, 1000, lambda: rand.choice([('t', True), ('f', False)])),
    (1114, 1115, lambda: (lambda at: (iso(at, ' '), iso(at, 'T')))(moment())),
    (1184, 1185, timestamptz),
    (17, 1001, blob),
    (1186, 1187, interval),
    (114, 199, of_json),
    (1700, 1231, lambda: rand.choice([('NaN', None), ('-Infinity', None)])),
]


def quoted(text):
    """As array_out() of the server does."""
    if (text == '' or text.upper() == 'NULL'
            or any(c in '"\\{},; \t\n\r\v\f' for c in text)):
        return '"%s"' % text.replace('\\', '\\\\').replace('"', '\\"')
    return text


def array(one, sizes):
    if not sizes:
        if rand.random() < 0.1:
            return 'NULL', None
        text, expected = one()
        return quoted(text), expected
    items = [array(one, sizes[1:]) for _ in range(sizes[0])]
    return ('{%s}' % ','.join(text for text, _ in items),
            [expected for _, expected in items])


def case():
    oid, of_array, one = rand.choice(types)
    if rand.random() < 0.4:
        return oid, *one()
    sizes = [rand.randrange(1, 4) for _ in range(rand.randrange(1, 5))]
    if rand.random() < 0.1:
        return of_array, '{}', []
    text, expected = array(one, sizes)
    if rand.random() < 0.2:
        text = ''.join('[%d:%d]' % (low, low + n - 1) for n in sizes
                       for low in [rand.randrange(-5, 5)]) + '=' + text
    return of_array, text, expected


def as_tree(value, oid):
    """Integers beyond int64 become doubles there."""
    if isinstance(value, list) and oid not in (114,):
        return [as_tree(v, oid) for v in value]
    if isinstance(value, int) and not -2**63 <= value < 2**63:
        return float(value)
    return value


cases = [case() for _ in range(30000)]
out = subprocess.run([program, '-'], check=True, stdout=subprocess.PIPE,
                     input=''.join('%d %s\n' % (oid, text.encode().hex())
                                   for oid, text, _ in cases).encode()).stdout
failed = {'text': 0, 'tree': 0}

for (oid, text, expected), line in zip(cases, out.decode().split('\n')):
    written, tree = (bytes.fromhex(s).decode() for s in line.split(' '))
    for what, got, wanted in (('text', written, expected),
                              ('tree', tree, as_tree(expected, oid))):
        try:
            same = repr(json.loads(got)) == repr(wanted)
        except ValueError:
            same = False
        if not same:
            failed[what] += 1
            if failed[what] < 5:
                print('# %s of %d: %r: %s, not %r'
                      % (what, oid, text, got, wanted))

print('1..2')
for n, what in enumerate(failed, 1):
    print('%sok %d - %d values as %s' % ('not ' if failed[what] else '', n,
                                         len(cases), what))
