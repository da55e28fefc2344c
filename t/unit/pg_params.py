"""Compares the placeholders found in random SQL with those of re.

usage: pg_params.py PROGRAM [SEED]; prints TAP.
"""

import random
import re
import subprocess
import sys

program = sys.argv[1]
rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)

# scan.l of PostgreSQL; what is not closed goes to the end

INSIDE = rb"(?:[^'\\]|\\(?:[\s\S]|\Z)|'')*"
GOES_ON = (rb"'(?:[ \t\f]|--[^\n\r]*)*[\n\r](?:[ \t\f\n\r]|--[^\n\r]*)*'")
TOKEN = re.compile(
    rb"(?P<quoted>[eE]'" + INSIDE + rb"(?:" + GOES_ON + INSIDE + rb")*(?:'|\Z)"
    rb"|[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*"
    rb"|'[^']*(?:'|\Z)"
    rb'|"[^"]*(?:"|\Z)'
    rb"|--[^\n\r]*"
    rb"|::)"
    rb"|(?P<comment>/\*)"
    rb"|(?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*)?\$)"
    rb"|\$(?P<number>[0-9]+)"
    rb"|(?<![A-Za-z0-9_\x80-\xff)\]\"'$]):(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    rb"|[\s\S]")


def tokens(sql):
    pos = 0
    while pos < len(sql):
        m = TOKEN.match(sql, pos)
        pos = m.end()
        if m['comment']:
            depth = 1
            while depth and pos < len(sql):
                n = re.compile(rb'/\*|\*/|[\s\S]').match(sql, pos)
                depth += {b'/*': 1, b'*/': -1}.get(n.group(), 0)
                pos = n.end()
        elif m['dollar']:
            end = sql.find(m['dollar'], pos)
            pos = len(sql) if end < 0 else end + len(m['dollar'])
        yield m, sql[m.start():pos]


def by_place(sql):
    found = [m['number'] for m, _ in tokens(sql) if m['number']]
    for number in found:
        if not 1 <= int(number) <= 65535:
            return (b'the SQL has $%s, which is not from $1 to $65535' % number)
    for n in range(1, max(map(int, found), default=0)):
        if n not in map(int, found):
            last = [f for f in found if int(f) == max(map(int, found))][-1]
            return b'the SQL has $%s and no $%d' % (last, n)
    return b'%d' % max(map(int, found), default=0)


def by_name(sql):
    names, out = [], []
    for m, text in tokens(sql):
        if m['number']:
            return (b'the SQL has $%s, but the values have names' % m['number'])
        if m['name']:
            if m['name'] not in names:
                names.append(m['name'])
            text = b'$%d' % (names.index(m['name']) + 1)
        out.append(text)
    return b''.join(out) + b' |' + b','.join(names)


atoms = [b"'", b"'", b"'", b'"', b'\\', b'\\', b"E'", b"e'", b'e', b'$', b'$$',
         b'$a$', b'$a$', b'a', b'_1', b'\xc3\xa9', b'--', b'/*', b'*/', b'/',
         b'*', b'-', b'\n', b'\r', b' ', b'\t', b':', b'::', b'[', b']', b'(',
         b')', b',', b'1', b"' \n '", b"' -- ' \n '", b'=']
places = [b'$1', b'$2', b'$3', b'$01', b'$1']
names = [b':a', b':b', b':a1', b':_', b':A']

cases = []
for i in range(20000):
    kind = rand.choice('pn')
    more = places if kind == 'p' else names
    if rand.randrange(20) == 0:
        more = places + names + [b'$0', b'$65536', b'$70']
    sql = b''.join(rand.choice(more) if rand.randrange(4) == 0
                   else rand.choice(atoms) for _ in range(rand.randrange(20)))
    cases.append((kind, sql))

lines = ''.join('%s %s\n' % (kind, (sql + b'\0').hex()) for kind, sql in cases)
got = subprocess.run([program, '-'], input=lines.encode(), check=True,
                     stdout=subprocess.PIPE).stdout.split(b'\0')[:-1]

bad = len(got) != len(cases)
found = 0
for (kind, sql), result in zip(cases, got):
    expected = by_place(sql) if kind == 'p' else by_name(sql)
    found += expected not in (b'0', sql + b' |')
    if result != expected:
        bad += 1
        if bad < 10:
            print('# %s %r: %r, not %r' % (kind, sql, result, expected))

bad += found < len(cases) / 3
print('%sok 1 - %d texts, %d with placeholders' % ('not ' if bad else '',
                                                   len(cases), found))
print('1..1')
sys.exit(bool(bad))
