"""Compares query.c's answers with Python: queries with urllib's parse_qsl(),
cookies with http.cookies, as Starlette calls them.

usage: query.py PROGRAM [SEED]; prints TAP.
"""

import http.cookies
import random
import subprocess
import sys
from urllib.parse import parse_qsl

program = sys.argv[1]
rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)

parts = {
    'q': ['a', 'b', '=', '=', '&', '&', '+', '%', '%4', '%41', '%zz', '%00',
          '%C3%a9', '\xe9', ' ', ';', '%26', '%3d', '"', '\\'],
    'c': ['a', 'b', '=', 'a=', 'b="', '; ', ';', '"', '"', '\\', '\\"',
          '\\\\', '\\101', '\\012', '\\400', '\\08', '\\377', ' ', '\t',
          '\xe9', ',', '%41', '\\1'],
}


def hexed(text):
    return text.encode('latin-1').hex()


def reference(kind, text, name):
    if kind == 'q':
        pairs = parse_qsl(text, keep_blank_values=True, encoding='latin-1')
        return ''.join(f'{hexed(k)}={hexed(v)}&' for k, v in pairs)

    found = ''

    for part in text.split(';'):
        key, eq, value = part.partition('=')

        if eq and key.strip(' \t') == name:
            value = http.cookies._unquote(value.strip(' \t'))
            found = '=' + hexed(value)

    return found


cases = []

for _ in range(40000):
    kind = rand.choice('qc')
    text = ''.join(rand.choices(parts[kind], k=rand.randrange(1, 14)))
    cases.append((kind, text, rand.choice('ab')))

lines = [f'{kind} {hexed(text)} {hexed(name)}' for kind, text, name in cases]

answers = subprocess.run([program, 'filter'], input='\n'.join(lines) + '\n',
                         stdout=subprocess.PIPE, check=True,
                         encoding='ascii').stdout.split('\n')

wrong = [(case, answer) for case, answer in zip(cases, answers)
         if answer != reference(*case)]

for kind, title in (('q', 'queries'), ('c', 'cookies')):
    n = sum(case[0] == kind for case in cases)
    bad = [w for w in wrong if w[0][0] == kind]

    print('not ' * bool(bad) + f'ok - {n} {title}')

    for case, answer in bad[:5]:
        print(f'# {case}: {answer} instead of {reference(*case)}')

print('1..2')
