"""Compares URLs, references and queries with Python's urllib on random ones.

usage: url.py PROGRAM [SEED]; prints TAP.
"""

import ipaddress
import random
import re
import subprocess
import sys
from urllib.parse import quote, unquote_to_bytes, urlencode, urljoin, urlsplit

program = sys.argv[1]
rand = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)


def run(kind, cases):
    lines = ''.join('%s %s\n' % (kind, ' '.join(w.hex() for w in case))
                    for case in cases)
    return subprocess.run([program, '-'], input=lines.encode(), check=True,
                          stdout=subprocess.PIPE).stdout.split(b'\0')[:-1]


# parsing: by regular expressions, and urlsplit() agrees

schemes = [b'http', b'http', b'https', b'HTTP', b'hTTps', b'ftp', b'', b'httpx']
hosts = [b'a', b'Example.COM', b'127.0.0.1', b'a.b.', b'[::1]', b'[2001:DB8::1]',
         b'', b'a..b', b'[::1%25x]', b'[:1]', b'x_y~z', b'a%62', b'\xc3\xa9',
         b'[1:2:3:4:5:6:7:8]', b'[::1.2.3.4]', b'[::1', b'::1', b'[1::2::3]']
users = [b'', b'', b'', b'u@', b'u:p@', b'u:@', b'a%40b:%3a@', b'%3a@', b'@',
         b'u:%0a@', b'x@y@', b'%zz@']
ports = [b'', b'', b'', b':', b':80', b':443', b':8081', b':0', b':65535',
         b':65536', b':0080', b':x', b':-1']
atoms = [b'/', b'/', b'a', b'b', b'.', b'..', b'?', b'#', b'%41', b'%', b'%e9',
         b'\xc3\xa9', b'\xff', b'"', b'<', b'>', b'^', b'`', b'{', b'|', b'}',
         b'[', b']', b'@', b':', b';', b'=', b'&', b'+', b'~', b"'", b'!']
rare = [b' ', b'\\', b'\n', b'\r', b'\t', b'\0', b'\x7f', b'\x01']


def random_url():
    url = (rand.choice(schemes) + rand.choice([b'://'] * 9 + [b':/', b':'])
           + rand.choice(users) + rand.choice(hosts) + rand.choice(ports)
           + rand.choice([b'', b'/', b'/', b'/', b'?', b'#'])
           + b''.join(rand.choice(atoms) for _ in range(rand.randrange(8))))
    if rand.randrange(12) == 0:
        place = rand.randrange(len(url) + 1)
        url = url[:place] + rand.choice(rare) + url[place:]
    return url


TRIPLETS = re.compile(rb'(?:[^%]|%[0-9a-fA-F]{2})*')


def parse(url):
    """what url.c prints, or None"""
    m = re.fullmatch(rb'(https?)://([^/?#]*)([^?#]*(?:\?[^#]*)?)(?:#.*)?', url,
                     re.I | re.S)
    if not m or re.search(rb'[\x00-\x20\x7f\\]', url):
        return None
    scheme, authority, target = m.groups()
    scheme = scheme.lower()
    user, _, where = authority.rpartition(b'@')
    if not TRIPLETS.fullmatch(user) or not TRIPLETS.fullmatch(target):
        return None
    name, colon, password = user.partition(b':')
    name, password = unquote_to_bytes(name), unquote_to_bytes(password)
    if re.search(rb'[\x00-\x1f\x7f]', name + password) or b':' in name:
        return None
    m = re.fullmatch(rb'(\[[^\]%]*\]|[a-zA-Z0-9._~-]{1,255})(?::([0-9]*))?',
                     where)
    if not m:
        return None
    host, port = m.groups()
    host = host.lower()
    flags = [b'tls'] if scheme == b'https' else []
    if host[:1] == b'[':
        try:
            ipaddress.IPv6Address(host[1:-1].decode())
        except ValueError:
            return None
        flags.append(b'ipv6')
    elif b'' in host.split(b'.')[:-1] or host == b'':
        return None
    if port:
        flags.append(b'port')
        port = int(port)
        if not 1 <= port <= 65535:
            return None
    default = 443 if scheme == b'https' else 80
    port = port or default
    shown = host + (b'' if port == default else b':%d' % port)
    if target[:1] != b'/':
        target = b'/' + target
    target = quote(target, safe="%/?:@!$&'()*+,;=-._~[]").encode()

    # it looks for brackets before it looks for a user
    if not re.search(rb'[][]', user):
        split = urlsplit(url.decode('latin-1'))
        assert split.hostname == host.strip(b'[]').decode(), url
        assert (split.port or default) == port, url

    return b'|'.join([scheme, name + b':' + password if user else b'',
                      host.strip(b'[]'), b'%d' % port, shown, target,
                      b' '.join(flags)])


urls = [random_url() for _ in range(30000)]
expected = [parse(url) for url in urls]
answers = run('p', [(url,) for url in urls])
failed = 0
for url, want, got in zip(urls, expected, answers):
    if want is None and b'|' not in got and len(got) > 5:
        continue
    if want != got:
        failed += 1
        if failed < 10:
            print('# %r: %r, not %r' % (url, got, want))
taken = sum(want is not None for want in expected)
print('%sok 1 - URLs are as by regular expressions and urlsplit()'
      % ('not ' if failed or len(answers) != len(urls) else ''))
print('%sok 2 - there were enough that are taken and refused'
      % ('not ' if not 2000 < taken < 28000 else ''))


# references: RFC 3986, 5.2, word for word, and urljoin() where it keeps to it

def without_dots(path):
    out = ''
    while path:
        if path.startswith('../'):
            path = path[3:]
        elif path.startswith('./'):
            path = path[2:]
        elif path.startswith('/./'):
            path = path[2:]
        elif path == '/.':
            path = '/'
        elif path.startswith('/../'):
            path = path[3:]
            out = out[:max(out.rfind('/'), 0)]
        elif path == '/..':
            path = '/'
            out = out[:max(out.rfind('/'), 0)]
        elif path in ('.', '..'):
            path = ''
        else:
            end = path.find('/', 1)
            end = len(path) if end < 0 else end
            out += path[:end]
            path = path[end:]
    return out


def components(ref):
    # the regular expression of RFC 3986, appendix B
    return re.fullmatch(r'(?:([^:/?#]+):)?(?://([^/?#]*))?([^?#]*)'
                        r'(?:\?([^#]*))?(?:#(.*))?', ref).groups()[:4]


def resolve(base, ref):
    b_scheme, b_authority, b_path, b_query = components(base)
    scheme, authority, path, query = components(ref)
    if scheme is None:
        scheme = b_scheme
        if authority is None:
            authority = b_authority
            if path == '':
                path = b_path
                query = b_query if query is None else query
            elif path[0] == '/':
                path = without_dots(path)
            else:
                path = without_dots(b_path[:b_path.rfind('/') + 1] + path)
        else:
            path = without_dots(path)
    else:
        path = without_dots(path)
    return (scheme + '://' + authority + path
            + ('' if query is None else '?' + query))


def some(atoms, n):
    return ''.join(rand.choice(atoms) for _ in range(rand.randrange(n)))


parts = ['a', 'b', 'c.', '.d', '.', '..', '..', '/', '/', '/', '/', ';', 'e=1']
base_parts = ['a', 'b', '/', '/', ';p', '.']


def random_pair():
    base = 'http://h' + rand.choice(['', ':81']) + '/' + some(base_parts, 7)
    base += rand.choice(['', '?q', '?', '?q/../r'])
    ref = some(parts, 8)
    if rand.randrange(5) == 0:
        ref = rand.choice(['//i', 'https://i:82', '//u:p@i', 'HTTP://i']) \
            + '/' + ref
    elif ref.startswith('//'):
        ref = ref.lstrip('/')
    ref += rand.choice(['', '', '?r', '?', '?s/./t']) \
        + rand.choice(['', '', '#f', '#', '#f/../g'])
    return base, ref


pairs = [random_pair() for _ in range(20000)]
answers = run('j', [(base.encode() + b'\0', ref.encode() + b'\0')
                    for base, ref in pairs])
failed = agreed = 0
for (base, ref), got in zip(pairs, answers):
    want = resolve(base, ref)
    if got.decode() != want:
        failed += 1
        if failed < 10:
            print('# %r against %r: %r, not %r' % (ref, base, got, want))
    # it drops empty queries and parameters, folds slashes, and leaves dots in
    # absolute references
    if (re.search(r'\?[^#]', ref) and not base.endswith('?')
            and ';' not in ref and ';' not in base
            and '//' not in base[7:] + ref + want[8:] and '/.' not in base):
        joined = urljoin(base, ref).partition('#')[0]
        if joined == want:
            agreed += 1
        else:
            failed += 1
            if failed < 10:
                print('# urljoin(%r, %r): %r' % (base, ref, joined))
print('%sok 3 - references are as RFC 3986 resolves them, and urljoin()'
      % ('not ' if failed or len(answers) != len(pairs) else ''))
print('%sok 4 - urljoin() was asked often enough (%d)'
      % ('' if agreed > 500 else 'not ', agreed))


# queries

def random_text():
    return bytes(rand.randrange(1, 256) for _ in range(rand.randrange(6)))


cases = []
for _ in range(5000):
    target = rand.choice([b'/', b'/a?b', b'/?', b'/?c=d&'])
    cases.append((target, [(random_text(), random_text())
                           for _ in range(rand.randrange(1, 6))]))
answers = run('q', [[target + b'\0'] + [word + b'\0' for pair in some_pairs
                                        for word in pair]
                    for target, some_pairs in cases])
failed = 0
for (target, some_pairs), got in zip(cases, answers):
    mark = b'?' if b'?' not in target else b'' if target[-1:] in b'?&' else b'&'
    want = target + mark + urlencode(some_pairs, quote_via=quote).encode()
    if got != want:
        failed += 1
        if failed < 10:
            print('# %r: %r, not %r' % (some_pairs, got, want))
print('%sok 5 - queries are as urlencode() writes them'
      % ('not ' if failed or len(answers) != len(cases) else ''))

print('1..5')
