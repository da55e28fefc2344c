"""Compares the router's tree with Starlette's regular expressions, tried one
after another, on random patterns and URIs.

usage: route_tree.py PROGRAM [SEED]; prints TAP.
"""

import random
import re
import subprocess
import sys

program = sys.argv[1]
rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)

# starlette/convertors.py
regex = {
    'str': '[^/]+',
    'path': '.*',
    'int': '[0-9]+',
    'float': r'[0-9]+(\.[0-9]+)?',
    'uuid': '[0-9a-fA-F]{8}-?[0-9a-fA-F]{4}-?[0-9a-fA-F]{4}-?'
            '[0-9a-fA-F]{4}-?[0-9a-fA-F]{12}',
}

literals = ['/', '/', '/', '/', 'a', 'ab', 'b', 'users', 'me', '.json', '.',
            '-', '1', '12', '.5', 'é', '//', 'x/y', 'usage', 'meta']
pieces = literals + ['7', '123', '1.5', 'é', '€', '\n', 'a-b', '/meta', '/',
                     '0.25', '12345678-1234-5678-1234-567812345678',
                     '12345678123456781234567812345678', 'deadbeef', 'ABCDEF']


def pattern():
    parts = ['/']
    names = 0
    for _ in range(rand.randrange(7)):
        if rand.randrange(5) < 2:
            kind = rand.choice(list(regex))
            parts.append((chr(97 + names), kind))
            names += 1
        else:
            parts.append(rand.choice(literals))
    return parts


def text_of(parts):
    return ''.join(p if isinstance(p, str)
                   else '{%s}' % p[0] if p[1] == 'str' and rand.randrange(2)
                   else '{%s:%s}' % p for p in parts)


def regex_of(parts):
    # \Z: Starlette's "$" would take a trailing line feed as well
    return re.compile(''.join(re.escape(p) if isinstance(p, str)
                              else '(?P<%s>%s)' % (p[0], regex[p[1]])
                              for p in parts) + r'\Z')


def uri_for(patterns):
    if rand.randrange(4) == 0:
        return '/' + ''.join(rand.choice(pieces)
                             for _ in range(rand.randrange(6)))
    out = ''
    for p in rand.choice(patterns):
        if isinstance(p, str):
            out += p
        else:
            out += ''.join(rand.choice(pieces)
                           for _ in range(rand.choice([0, 1, 1, 1, 2, 3])))
    if rand.randrange(6) == 0 and len(out) > 1:
        place = rand.randrange(1, len(out))
        out = out[:place] + rand.choice(pieces) + out[place + 1:]
    return out


def reference(routes, method, uri):
    allow = 0
    for n, (methods, compiled) in enumerate(routes):
        m = compiled.match(uri)
        if m:
            if methods & method:
                return ' '.join([str(n)] + ['%s=%s' % kv for kv in
                                            m.groupdict().items()])
            allow |= methods
    return 'allow %d' % allow if allow else '-'


lines = []
expected = []
for _ in range(1500):
    patterns = [pattern() for _ in range(rand.choice([1, 2, 5, 20, 60]))]
    lines.append('reset')
    routes = []
    for parts in patterns:
        methods = rand.choice([1, 1, 1, 2, 3, 4])
        routes.append((methods, regex_of(parts)))
        lines.append('add %d %s' % (methods, text_of(parts).encode().hex()))
    for _ in range(60):
        uri = uri_for(patterns)
        method = rand.choice([1, 1, 1, 2, 4, 0])
        lines.append('match %d %s' % (method, uri.encode().hex()))
        expected.append((reference(routes, method, uri), method, uri,
                         len(lines)))

answers = subprocess.run([program, '-'], check=True, stdout=subprocess.PIPE,
                         input='\n'.join(lines).encode() + b'\n').stdout
answers = [bytes.fromhex(a).decode('utf-8', 'replace')
           for a in answers.decode().split('\n')[:-1]]

failed = 0
for (wanted, method, uri, line), answer in zip(expected, answers):
    if answer != wanted:
        failed += 1
        if failed < 10:
            print('# line %d: %d %r: %r, not %r'
                  % (line, method, uri, answer, wanted))

found = sum(w[0][0].isdigit() for w in expected)
print('1..3')
print('%sok 1 - as many answers as questions'
      % ('' if len(answers) == len(expected) else 'not '))
print('%sok 2 - %d answers as from Python\'s regular expressions'
      % ('not ' if failed else '', len(answers)))
print('%sok 3 - a good part of them found a route (%d)'
      % ('' if found > len(expected) // 4 else 'not ', found))
