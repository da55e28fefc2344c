
/*
 * The tests of the TechEmpower Framework Benchmarks: JSON, plain text, one row
 * of a database, several, a page of rows, and rows that change.
 */

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <ngx_async.h>


#define ROWS_MAX  500
#define WORLDS    10000

#define SELECT_WORLD  "SELECT id, randomnumber FROM world WHERE id = $1"


typedef struct {
    int64_t  id;
    int64_t  number;
} world_t;


ASYNC_HANDLER(json)
{
    return async_json_pack(req, 200, "{s:s}", "message", "Hello, World!");
}


ASYNC_HANDLER(plaintext)
{
    return async_text(req, 200, "Hello, World!");
}


/*
 * Random numbers of a worker: SplitMix64, which has a period of 2^64, from a
 * beginning of the kernel's.
 */

static uint64_t  seed;


ASYNC_STARTUP(begin)
{
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
        return async_task_fail(co, ASYNC_ERROR, "no random numbers");
    }

    /* a connection before the first request */

    return await_pg(co, "db", NULL, "SELECT 1");
}


/* From 1 to WORLDS, each as likely as others but for 5 in 10^16. */

static int64_t
random_world(void)
{
    uint64_t  z;

    z = seed += 0x9e3779b97f4a7c15;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;

    return 1 + (int64_t) (((unsigned __int128) z * WORLDS) >> 64);
}


/*
 * By the benchmark's general rule 7, and rule 6 of several queries: each row
 * has a query of its own, none is left out, and each query has a Sync of its
 * own, which is ASYNC_PG_EACH.  That all are sent before the first is answered
 * is allowed.
 */

static async_rc_t
read_worlds(async_t *co, world_t *world, size_t n)
{
    size_t                 i;
    async_value_t         *id;
    async_pg_statement_t  *s;

    id = async_task_alloc(co, n * sizeof(async_value_t));
    s = async_task_alloc(co, n * sizeof(async_pg_statement_t));

    if (id == NULL || s == NULL) {
        return async_task_fail(co, ASYNC_ERROR, "no memory");
    }

    for (i = 0; i < n; i++) {
        world[i].id = random_world();

        id[i] = ASYNC_INT(world[i].id);

        s[i].sql = SELECT_WORLD;
        s[i].values = &id[i];
        s[i].n = 1;
    }

    ASYNC_TRY(await_pg_pipeline(co, "db", s, n, ASYNC_PG_EACH));

    for (i = 0; i < n; i++) {
        ASYNC_TRY(async_pg_int(co, s[i].result, 0, "randomnumber",
                               &world[i].number));
    }

    return ASYNC_OK;
}


/*
 * When all have been read: a statement a row.  One alone locks one row, and so
 * never waits for somebody who waits for it; as one transaction they would have
 * to be sorted by id.
 */

static async_rc_t
write_worlds(async_t *co, const world_t *world, size_t n)
{
    size_t                 i;
    async_value_t         *v;
    async_pg_statement_t  *s;

    v = async_task_alloc(co, 2 * n * sizeof(async_value_t));
    s = async_task_alloc(co, n * sizeof(async_pg_statement_t));

    if (v == NULL || s == NULL) {
        return async_task_fail(co, ASYNC_ERROR, "no memory");
    }

    for (i = 0; i < n; i++) {
        v[2 * i] = ASYNC_INT(world[i].number);
        v[2 * i + 1] = ASYNC_INT(world[i].id);

        s[i].sql = "UPDATE world SET randomnumber = $1 WHERE id = $2";
        s[i].values = &v[2 * i];
        s[i].n = 2;
    }

    return await_pg_pipeline(co, "db", s, n, ASYNC_PG_EACH);
}


static json_t *
world_json(const world_t *world)
{
    return json_pack("{s:I, s:I}", "id", (json_int_t) world->id,
                     "randomNumber", (json_int_t) world->number);
}


static async_rc_t
respond(async_req_t *req, const world_t *world, size_t n)
{
    size_t   i;
    json_t  *list = json_array();

    for (i = 0; i < n; i++) {

        if (json_array_append_new(list, world_json(&world[i])) != 0) {
            json_decref(list);
            return ASYNC_ERROR;
        }
    }

    return async_json(req, 200, list);
}


/* queries=: what is no number, or not there, or below 1, is 1 */

static size_t
queries(async_req_t *req)
{
    int64_t  n;

    (void) async_query_int(req, "queries", &n);

    return n < 1 ? 1 : n > ROWS_MAX ? ROWS_MAX : (size_t) n;
}


ASYNC_HANDLER(db)
{
    world_t             world;
    async_pg_result_t  *row;

    world.id = random_world();

    ASYNC_TRY(await_pg(co, "db", &row, SELECT_WORLD, ASYNC_INT(world.id)));
    ASYNC_TRY(async_pg_int(co, row, 0, "randomnumber", &world.number));

    return async_json(req, 200, world_json(&world));
}


ASYNC_HANDLER(several)
{
    size_t   n = queries(req);
    world_t  world[ROWS_MAX];

    ASYNC_TRY(read_worlds(co, world, n));

    return respond(req, world, n);
}


ASYNC_HANDLER(updates)
{
    size_t   i, n = queries(req);
    world_t  world[ROWS_MAX];

    ASYNC_TRY(read_worlds(co, world, n));

    for (i = 0; i < n; i++) {
        world[i].number = random_world();
    }

    ASYNC_TRY(write_worlds(co, world, n));

    return respond(req, world, n);
}


typedef struct {
    async_str_t  id;
    async_str_t  message;
} fortune_t;


#define HEAD  "<!DOCTYPE html><html><head><title>Fortunes</title></head>"    \
              "<body><table><tr><th>id</th><th>message</th></tr>"
#define FOOT  "</table></body></html>"

/* around the texts of a row */
#define ROW   "<tr><td></td><td></td></tr>"

/* "&quot;" for one character */
#define ESCAPED_MAX  6


static int
by_message(const void *a, const void *b)
{
    const fortune_t  *one = a, *two = b;

    return strcmp(one->message.data, two->message.data);
}


/* Those of the table, and one more. */

static async_rc_t
read_fortunes(async_t *co, fortune_t **fortune, size_t *n)
{
    size_t              i;
    async_pg_result_t  *rows;

    ASYNC_TRY(await_pg(co, "db", &rows, "SELECT id, message FROM fortune"));

    *n = async_pg_rows(rows);
    *fortune = async_task_alloc(co, (*n + 1) * sizeof(fortune_t));

    if (*fortune == NULL) {
        return async_task_fail(co, ASYNC_ERROR, "no memory");
    }

    for (i = 0; i < *n; i++) {
        (*fortune)[i].id = async_pg_text(rows, i, "id");
        (*fortune)[i].message = async_pg_text(rows, i, "message");
    }

    (*fortune)[i].id.data = "0";
    (*fortune)[i].message.data = "Additional fortune added at request time.";

    *n += 1;

    return ASYNC_OK;
}


static char *
put_escaped(char *to, const char *text)
{
    for (/* void */ ; *text; text++) {

        switch (*text) {
        case '&':
            to = stpcpy(to, "&amp;");
            break;
        case '<':
            to = stpcpy(to, "&lt;");
            break;
        case '>':
            to = stpcpy(to, "&gt;");
            break;
        case '"':
            to = stpcpy(to, "&quot;");
            break;
        case '\'':
            to = stpcpy(to, "&#39;");
            break;
        default:
            *to++ = *text;
        }
    }

    return to;
}


static size_t
page_size(const fortune_t *fortune, size_t n)
{
    size_t  i, size = sizeof(HEAD FOOT);

    for (i = 0; i < n; i++) {
        size += sizeof(ROW) + strlen(fortune[i].id.data)
                + ESCAPED_MAX * strlen(fortune[i].message.data);
    }

    return size;
}


ASYNC_HANDLER(fortunes)
{
    char       *page, *p;
    size_t      i, n;
    fortune_t  *fortune;

    ASYNC_TRY(read_fortunes(co, &fortune, &n));

    qsort(fortune, n, sizeof(fortune_t), by_message);

    page = async_alloc(req, page_size(fortune, n));

    if (page == NULL) {
        return async_task_fail(co, ASYNC_ERROR, "no memory");
    }

    p = stpcpy(page, HEAD);

    for (i = 0; i < n; i++) {
        p = stpcpy(p, "<tr><td>");
        p = stpcpy(p, fortune[i].id.data);
        p = stpcpy(p, "</td><td>");
        p = put_escaped(p, fortune[i].message.data);
        p = stpcpy(p, "</td></tr>");
    }

    (void) stpcpy(p, FOOT);

    return async_html(req, 200, page);
}
