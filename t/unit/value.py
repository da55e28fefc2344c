"""Compares value.c's answers with pydantic 2, where it is installed.

usage: value.py PROGRAM [SEED]; prints TAP.
"""

import random
import subprocess
import sys
from typing import Annotated
import uuid

try:
    import pydantic
    from pydantic import Field, TypeAdapter, ValidationError
    assert pydantic.VERSION.startswith('2.')
except Exception:
    print('1..0 # SKIP no pydantic 2 here')
    sys.exit(0)

program = sys.argv[1]
rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)

adapters = {
    'int': TypeAdapter(int),
    'float': TypeAdapter(Annotated[float, Field(allow_inf_nan=False)]),
    'bool': TypeAdapter(bool),
    'uuid': TypeAdapter(uuid.UUID),
}

atoms = {
    'int': ['0', '1', '5', '9', '_', '-', '+', '.', '.0', ' ', '00', '12345',
            '9223372036854775807', '\u00a0', 'x', '\t', '\n', '\u2003', 'e',
            '\u3000', '\x85', '\ufeff', '\u0663', '\0', '\x1f', '\u180e'],
    'float': ['0', '1', '5', '9', '_', '-', '+', '.', 'e', 'E', ' ', '00',
              '12345', '1e3', 'e-3', '\u00a0', 'nan', 'inf', 'inity', 'x',
              '9007199254740993', '308', '\n', '17976931348623157'],
    'bool': ['0', '1', 't', 'f', 'y', 'n', 'o', 'O', 'N', 'F', 'true', 'false',
             'yes', 'es', 'on', 'off', ' ', 'TRUE', 'rUe', '\u017f', '\0'],
    'uuid': ['12345678', '1234', '567812345678', '-', '-', 'abcd', 'ABCDEF01',
             '{', '}', 'urn:uuid:', 'g', '\u00e9', '\u20ac', '1',
             '\U0001f600', ' ', '_'],
}


def reference(kind, text):
    try:
        value = adapters[kind].validate_python(text)
    except ValidationError as e:
        e = e.errors(include_url=False)[0]
        return '%s|%s|%s' % (e['type'], e['msg'],
                             (e.get('ctx') or {}).get('error', ''))
    if kind == 'int':
        if '0-' in text.replace('_', ''):
            # pydantic takes "0-5" for -5: a slip that is not copied
            return ('int_parsing|Input should be a valid integer, unable to '
                    'parse string as an integer|')
        if not -2**63 <= value < 2**63:
            return ('int_parsing_size|Unable to parse input string as an '
                    'integer, exceeded maximum size|')
        return str(value)
    if kind == 'float':
        return '%.17g' % value
    if kind == 'bool':
        return str(int(value))
    return str(value)


def random_uuid():
    text = list(str(uuid.UUID(int=rand.getrandbits(128))))
    for _ in range(rand.choice([0, 0, 1, 1, 2, 3])):
        place = rand.randrange(len(text))
        what = rand.randrange(3)
        if what == 0:
            del text[place]
        elif what == 1:
            text.insert(place, rand.choice('-0aAgé'))
        else:
            text[place] = rand.choice('-0aAgé')
    text = ''.join(text)
    if rand.randrange(5) == 0:
        text = text.replace('-', '')
    return rand.choice(['%s', '%s', '{%s}', 'urn:uuid:%s', '{%s']) % text


def random_float():
    digits = ''.join(rand.choice('0123456789')
                     for _ in range(rand.choice([5, 17, 18, 25, 60, 900])))
    point = rand.randrange(len(digits) + 1)
    return '%s.%se%d' % (digits[:point], digits[point:],
                         rand.randrange(-340, 320))


def halfway():
    """Exactly between two doubles, or a hair more: all digits count."""
    from fractions import Fraction
    import decimal
    m = rand.getrandbits(53) | 1 << 52
    e = rand.randrange(-1074, -53)
    decimal.getcontext().prec = 2000
    d = decimal.Decimal(2 * m + 1) / (decimal.Decimal(2) ** (1 - e))
    return format(d, 'f') + rand.choice(['', '0' * 50, '0' * 50 + '1'])


cases = []
for kind in adapters:
    for _ in range(20000):
        cases.append((kind, ''.join(
            rand.choice(atoms[kind]) for _ in range(rand.randrange(8)))))
cases += [('uuid', random_uuid()) for _ in range(10000)]
cases += [('float', random_float()) for _ in range(10000)]
cases += [('float', halfway()) for _ in range(300)]

lines = ''.join('%s %s\n' % (k, t.encode().hex()) for k, t in cases)
answers = subprocess.run([program, '-'], input=lines.encode(), check=True,
                         stdout=subprocess.PIPE).stdout
# a filter's answers end with a zero byte, which some inputs hold themselves
answers = answers.replace(b'`\0`', b'`<NUL>`').split(b'\0')[:-1]

failed = dict.fromkeys(adapters, 0)
for (kind, text), answer in zip(cases, answers):
    expected = reference(kind, text).replace('`\0`', '`<NUL>`')
    if answer.decode() != expected:
        failed[kind] += 1
        if failed[kind] < 10:
            print('# %s %r: %r, not %r' % (kind, text[:90], answer.decode(),
                                           expected))

print('1..%d' % (len(adapters) + 1))
print('%sok 1 - as many answers as cases'
      % ('' if len(answers) == len(cases) else 'not '))
for n, kind in enumerate(adapters):
    print('%sok %d - %s is as in pydantic %s'
          % ('not ' if failed[kind] else '', n + 2, kind, pydantic.VERSION))
