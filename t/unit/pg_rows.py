"""Compares the rows of real queries with PostgreSQL's own row_to_json(), and,
where that has another form, with what is right; on a private server in a
temporary folder.  Without PostgreSQL nothing is compared.

usage: pg_rows.py PROGRAM [SEED]; prints TAP.
"""

import sys
sys.path.pop(0)        # this directory has a json.py

import atexit
import ctypes
import decimal
import glob
import json
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

program = sys.argv[1]
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 1

found = sorted(glob.glob('/usr/lib/postgresql/*/bin/initdb'),
               key=lambda path: float(path.split('/')[4]))
if not found:
    print('1..0 # SKIP no PostgreSQL here')
    sys.exit()
bin = os.path.dirname(found[-1])

# root's server has no rights

user = pwd.getpwuid(os.getuid()).pw_name
run_as = {}
if os.getuid() == 0:
    names = [u.pw_name for u in pwd.getpwall()]
    user = 'www-data' if 'www-data' in names else 'nobody'
    run_as = {'user': user, 'group': pwd.getpwnam(user).pw_gid,
              'extra_groups': []}

# whoever may enter the folder may enter the server, and that is nobody else

folder = tempfile.mkdtemp(prefix='ngx-async-pg-',
                          dir=None if len(tempfile.gettempdir()) < 60
                          else '/tmp')
atexit.register(shutil.rmtree, folder, ignore_errors=True)
if run_as:
    os.chown(folder, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)

env = {'PATH': os.environ['PATH'], 'LC_ALL': 'C'}
log = open(folder + '/log', 'w+')

if subprocess.call([bin + '/initdb', '-D', folder + '/data', '-A', 'trust',
                    '-E', 'UTF8', '--no-sync', '--no-instructions'], env=env,
                   cwd=folder, stdout=log, stderr=log, **run_as) != 0:
    print('# ' + open(folder + '/log').read().replace('\n', '\n# '))
    print('not ok 1 - initdb\n1..1')
    sys.exit(1)

# it ends with us, whatever happens to us: PR_SET_PDEATHSIG

libc = ctypes.CDLL(None)


def with_us():
    libc.prctl(1, signal.SIGQUIT)


server = subprocess.Popen([bin + '/postgres', '-D', folder + '/data', '-k',
                           folder, '-h', '', '-c', 'fsync=off', '-c',
                           'shared_buffers=16MB'], env=env, cwd=folder,
                          stdout=log, stderr=log, preexec_fn=with_us,
                          **run_as)


def stop():
    server.send_signal(signal.SIGINT)
    server.wait()


atexit.register(stop)

until = time.monotonic() + 60
while (subprocess.call([bin + '/pg_isready', '-q', '-h', folder]) != 0
       and server.poll() is None and time.monotonic() < until):
    time.sleep(0.05)

filter = subprocess.Popen([program, 'server', 'host=%s user=%s dbname=postgres'
                           % (folder, user)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)


def query(sql):
    """The text as written, and that of the tree."""
    filter.stdin.write(' '.join(sql.split()).encode() + b'\n')
    filter.stdin.flush()
    line = filter.stdout.readline().decode()
    return [bytes.fromhex(part).decode() for part in line[:-1].split(' ')]


def load(text):
    return json.loads(text, parse_float=decimal.Decimal)


tests = 0


def ok(passed, what):
    global tests
    tests += 1
    print('%sok %d - %s' % ('' if passed else 'not ', tests, what))


def same(got, wanted, what, key=repr):
    """Each row alone, so that a difference can be seen."""
    passed = len(got) == len(wanted)
    for a, b in zip(got, wanted):
        if key(a) != key(b) and passed:
            passed = False
            print('# %r\n# %r' % (a, b))
    ok(passed, what)


def of_tree(value):
    """Numbers are doubles and integers there, others strings."""
    if isinstance(value, dict):
        return {key: of_tree(v) for key, v in value.items()}
    if isinstance(value, list):
        return [of_tree(v) for v in value]
    if isinstance(value, (int, decimal.Decimal)) and value is not True \
            and value is not False:
        if isinstance(value, int) and -2**63 <= value < 2**63:
            return value
        if abs(value) > 1.7976931348623157e308:
            return str(value)
        return float(value)
    return value


def compare(sql, what, change=lambda text: text):
    text, tree = query(sql)
    server, _ = query('SELECT row_to_json(t)::text AS j FROM (%s) t' % sql)
    wanted = [load(change(row['j'])) for row in load(server)]
    same(load(text), wanted, what)
    same(json.loads(tree), of_tree(wanted), what + ', as a tree',
         lambda row: row)


query('SET TimeZone = UTC')
query('SELECT setseed(%s)' % (seed % 1000 / 1000))
query("CREATE TYPE mood AS ENUM ('sad', 'happy')")
query('CREATE DOMAIN positive AS int CHECK (VALUE > 0)')
query('CREATE TYPE pair AS (a int, b text)')

# what depends on random() is in a table, to be read twice

query("""CREATE TABLE sample AS SELECT i,
    (random() * 65535 - 32768)::int2 AS int2,
    (random() * 4294967295 - 2147483648)::int4 AS int4,
    ((random() - 0.5) * 18446744073709550000)::numeric::int8 AS int8,
    ((random() - 0.5) * 10 ^ (random() * 60 - 30))::float4 AS float4,
    (random() - 0.5) * 10 ^ (random() * 600 - 300) AS float8,
    ((random() - 0.5) * 10 ^ (random() * 60 - 30))::numeric AS numeric,
    random() < 0.5 AS bool,
    chr(1 + (random() * 55000)::int) || chr(1 + (random() * 140)::int)
        || md5(i::text) AS text,
    gen_random_uuid() AS uuid,
    timestamp '0001-01-01' + random() * 9000 * interval '365 days' AS at,
    decode(md5(i::text), 'hex') AS bytea,
    make_interval((random() * 20 - 10)::int, (random() * 20 - 10)::int, 0,
                  (random() * 20 - 10)::int, (random() * 20 - 10)::int,
                  (random() * 200 - 100)::int,
                  (random() * 200 - 100)::numeric(9, 6)::float8) AS interval
    FROM generate_series(1, 2000) i""")

compare('SELECT int2, int4, int8 FROM sample', 'integers')
compare("SELECT float4, float8 FROM sample UNION ALL VALUES (0::float4,"
        " '-0'::float8), (1e38, 1e308), (1e-45, 5e-324)", 'floats')
compare("SELECT numeric FROM sample UNION ALL SELECT 10::numeric ^ i FROM"
        " generate_series(-30, 30) i UNION ALL SELECT ('1e' || i)::numeric"
        " FROM generate_series(300, 330) i", 'numerics')
compare('SELECT bool, text, uuid FROM sample', 'texts')
compare('SELECT text::varchar, text::char(9), text::name, uuid::text::xml,'
        " inet '10.0.0.1', cidr '10.0.0.0/8', point '(1,2)', money '1.5',"
        " bit '101', macaddr '08:00:2b:01:02:03', int4range(1, 5),"
        " 'a & b'::tsquery, 'a b'::tsvector, 'happy'::mood, 7::positive,"
        " 1::text::xid, 'pg_class'::regclass, null AS none FROM sample",
        'other types')
compare('SELECT at, at::date AS date, at::time AS time FROM sample',
        'timestamps')
compare("SELECT timestamp 'infinity' AS a, date '-infinity' AS b,"
        " timestamptz 'infinity' AS c, date '12026-01-02' AS d,"
        " timestamp '12026-01-02' AS e, date '0044-03-15 BC' AS f",
        'times that are none')
compare("SELECT '{\"a\": [1, {\"b\": null}]}'::jsonb AS a,"
        " ' [1 ,2.5, \"\\u00e9\\n\" ] '::json AS b, 'null'::json AS c,"
        " jsonb_build_object(text, int4) AS d FROM sample", 'json')
compare("SELECT ARRAY[int4, null, i], ARRAY[[text, ''], ['NULL', null]] AS b,"
        " ARRAY[numeric, 1.50] AS c, ARRAY[at, null] AS d, '{}'::int[] AS e,"
        " ARRAY[bool] AS f, ARRAY[jsonb_build_object(text, i), 'null'] AS g,"
        " '[0:1][3:3]={{1},{2}}'::int[] AS h, ARRAY[uuid] AS k,"
        " ARRAY[[[[[[i]]]]]] AS l, ARRAY[point '(1,2)'] AS m FROM sample",
        'arrays')
compare('SELECT', 'a row without columns')
compare('SELECT 1 AS a WHERE false', 'no rows')

for zone in 'UTC', 'Asia/Kolkata', 'America/New_York':
    query("SET TimeZone = '%s'" % zone)
    compare("SELECT (timestamp '1960-01-01' + (i * 13) * interval '1 day')"
            " AT TIME ZONE 'UTC' AS at FROM sample", 'timestamptz in ' + zone,
            lambda text: text.replace('+00:00"', 'Z"'))

query('SET TimeZone = UTC')
for style in 'hex', 'escape':
    query('SET bytea_output = ' + style)
    got, _ = query("SELECT bytea, encode(bytea, 'base64') AS base64"
                   " FROM sample")
    ok(all(row['bytea'] == row['base64'] for row in load(got)),
       'bytea, written as ' + style)

texts = {}
for style in 'postgres', 'iso_8601':
    query('SET IntervalStyle = ' + style)
    texts[style], _ = query(
        "SELECT interval FROM sample UNION ALL VALUES (interval '0'),"
        " ('1 day'), ('-1 mon'), ('0.000001 s'), ('-1 s'), ('1000 hours')")
same(load(texts['postgres']), load(texts['iso_8601']), 'intervals')

got, _ = query("SELECT oid, 'x'::\"char\" AS c, pg_sleep(0) AS void, ROW(1, 'a b')::pair AS pair,"
               " ARRAY['sad'::mood] AS moods FROM pg_type WHERE oid = 23")
same(load(got), [{'oid': 23, 'c': 'x', 'void': None,
                  'pair': '(1,"a b")', 'moods': '{sad}'}], 'in forms of ours')

got, _ = query("SELECT chr(200)::text AS t, ARRAY[box '(1,1),(0,0)', null] AS"
               " boxes, timetz '21:30+00' AS a, timetz '21:30-08' AS b")
same(load(got), [{'t': 'È', 'boxes': ['(1,1),(0,0)', None],
                  'a': '21:30:00Z', 'b': '21:30:00-08:00'}],
     'boxes, and times with a zone')

got, tree = query('SELECT 1 AS a, 2 AS b, 3 AS a')
ok(got == tree == '[{"a":3,"b":2}]', 'of a name twice the last one counts')

got, tree = query("""SELECT '{"a":1,"a":2}'::json AS a""")
ok(got == '[{"a":{"a":1,"a":2}}]'
   and tree == '"a" of row 0: Duplicate key', 'names twice in json')

filter.stdin.close()
ok(filter.wait() == 0, 'the program ends well')
print('1..%d' % tests)
