#!/usr/bin/python3

"""
Writes calls of check() in C for t/unit/pack.c: formats of json_pack() with
arguments of the types that they tell, drawn at random.  A call is written, as
C cannot make one of types that are known at run time only.

    pack_cases.py SEED COUNT

jansson itself must survive what it is asked: behind a wrong bracket it reads
on out of step with its arguments.  So formats with numbers or values in them
are broken only where it keeps in step, and those of strings anywhere.
"""

import random
import sys

SPACES = ['', '', '', ' ', ',', ':', ', ', '\t', '\n', ' : ']

STRINGS = ['', 'a', 'abc', 'message', 'Hello, World!', 'quote"slash\\/',
           'tab\tnew\nline\x01\x1f\x7f', 'café', '€uro', '\U0001f600',
           'seven77', 'eight888', 'é' * 5, 'x' * 200, '"' * 40, 'y' * 1500,
           'long ascii before the é and behind']

BROKEN = [b'\xff', b'abc\xc3', b'\xc0\xaf', b'\xed\xa0\x80', b'12345678\x80',
          b'\xf4\x90\x80\x80', b'exactly8\xe2\x82', b'"\\\x80']

DOUBLES = ['0.0', '-0.0', '1.0', '0.1', '1e300', '5e-324', '1.0 / 3', '1e16',
           '123456.789']

INTS = ['0', '-1', '1', '42', 'INT_MAX', 'INT_MIN']
LONGS = ['0', '-7', 'INT64_MAX', 'INT64_MIN', '4294967296']

VALUES = 8          # values[] of pack.c; the last ones have no JSON form


class Case:
    def __init__(self):
        self.args = []
        self.keys = 0

    def space(self):
        return random.choice(SPACES)

    def quote(self, data):
        if isinstance(data, str):
            data = data.encode()

        return '"' + ''.join('\\%03o' % c for c in data) + '"'

    def data(self):
        if random.random() < 0.03:
            return random.choice(BROKEN)

        return random.choice(STRINGS).encode()

    def part(self, letter, data):
        """One part of a string: its letter and perhaps a length."""
        form = random.choice(['', '', '#', '%'])

        if random.random() < 0.02:
            self.args.append('NULL')
        else:
            self.args.append(self.quote(data))

        if form:
            n = len(data)

            if letter == '+' and random.random() < 0.2:
                n = max(0, n - 1)

            self.args.append('(%s) %d' % ('int' if form == '#' else 'size_t',
                                          n))

        return letter + self.space() * (form != '') + form

    def string(self):
        if random.random() < 0.3:
            form = random.choice('?*')
            self.args.append('NULL' if random.random() < 0.4
                             else self.quote(self.data()))
            return 's' + self.space() + form

        text = self.part('s', self.data())

        while random.random() < 0.15:
            text += self.space() + self.part('+', self.data())

        return text

    def split(self):
        """A character whose bytes lie in two parts."""
        self.args += ['"a\\303"', '"\\251b"']
        return 's+'

    def key(self):
        self.keys += 1
        return self.part('s', b'%d-' % self.keys + self.data())

    def tree(self):
        letter = random.choice('oO')
        give = 'given' if letter == 'o' else 'lent'
        form = random.choice(['', '', '?', '*'])

        if random.random() < (0.4 if form else 0.03):
            self.args.append('(json_t *) NULL')
        else:
            last = VALUES if random.random() < 0.05 else VALUES - 2
            self.args.append('%s(%d)' % (give, random.randrange(last)))

        return letter + self.space() * (form != '') + form

    def number(self):
        letter = random.choice('bbiiIIf')

        if letter == 'f':
            self.args.append(random.choice(['NAN', 'INFINITY'])
                             if random.random() < 0.05
                             else random.choice(DOUBLES))
        elif letter == 'I':
            self.args.append('(json_int_t) ' + random.choice(LONGS))
        else:
            self.args.append(random.choice(INTS))

        return letter

    def value(self, depth):
        kind = random.random()

        if depth < 6 and kind < 0.3:
            return self.container(depth + 1)

        if kind < 0.6:
            return self.split() if random.random() < 0.05 else self.string()

        if kind < 0.75:
            return self.tree()

        return 'n' if kind < 0.8 else self.number()

    def container(self, depth):
        array = random.random() < 0.5
        text = '[' if array else '{'

        for _ in range(random.choice([0, 1, 1, 2, 3, 5])):
            text += self.space()

            if array:
                if random.random() < 0.01:
                    text += self.wrong(text, 'xX?*\r') + self.space()
            else:
                text += self.key() + self.space()

            text += self.value(depth)

        return text + self.space() + (']' if array else '}')

    def wrong(self, text, signs):
        """One that asks for no argument where it stands."""
        if text.rstrip(' ,:\t\n')[-1:] in tuple('s?*+#%'):
            signs = signs.replace('#', '').replace('+', '')

        return random.choice(signs)

    def typed(self):
        text = (self.space() + (self.container(1) if random.random() < 0.9
                                else self.value(0)) + self.space())

        if random.random() < 0.05:
            return text + self.wrong(text, 'nx]}[{?*+#')

        if random.random() < 0.05:
            text = text[:random.randrange(len(text) + 1)]
            del self.args[sum(c in 's+#%biIfoO' for c in text):]

        return text

    def strings(self):
        """Brackets, "s" and its signs in any order; every argument fits."""
        text = ''.join(random.choice('[[{{]]}}sssssssss?*+,: nx')
                       for _ in range(random.randrange(1, 16)))

        if random.random() < 0.5:
            text = random.choice(['[%s]', '{%s}', '[[%s]]']) % text

        self.args = ['NULL' if random.random() < 0.1
                     else '"%d-%s"' % (i, random.choice(['', 'abc']))
                     for i in range(24)]

        return text


def odd(text):
    """What jansson 2.14 takes for a value that it leaves out."""
    text = text.translate({ord(c): None for c in ' ,:\t\n'})

    return '{*' in text


def main():
    random.seed(int(sys.argv[1]))
    count = int(sys.argv[2])
    cases = []

    while len(cases) < count:
        case = Case()
        text = case.strings() if len(cases) % 3 == 0 else case.typed()

        if not odd(text):
            cases.append('    check(%s, %s);\n' % (
                case.quote(text), ', '.join(case.args or ['0'])))

    for i in range(0, count, 100):
        print('static void\ncases_%d(void)\n{\n%s}\n' % (
            i, ''.join(cases[i:i + 100])))

    print('static void\ncases(void)\n{\n%s}' % ''.join(
        '    cases_%d();\n' % i for i in range(0, count, 100)))


main()
