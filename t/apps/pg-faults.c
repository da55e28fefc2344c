/*
 * Handlers of t/pg-faults.t: what a database is asked for by the query, and
 * what has come of it.
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static async_rc_t
failed(async_t *co, async_req_t *req, async_rc_t rc)
{
    return async_json_pack(req, 200, "{s:i, s:s, s:s}", "rc", rc, "error",
                           async_error(co), "sqlstate", async_pg_error(co)
                           ? async_pg_error(co)->sqlstate : "");
}


/* /sql?q= */

ASYNC_HANDLER(sql)
{
    async_rc_t          rc;
    async_str_t         q;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_str(req, "q", &q));

    rc = await_pg(co, "db", &result, q.data);

    return (rc == ASYNC_OK) ? async_pg_respond(req, 200, result)
                            : failed(co, req, rc);
}


/* /stream?q= and /copy?q=: how many rows, or lines */

ASYNC_HANDLER(stream)
{
    int64_t             n = 0;
    async_rc_t          rc;
    async_str_t         q;
    async_pg_stream_t  *s;
    async_pg_result_t  *row;

    ASYNC_TRY(async_query_str(req, "q", &q));

    rc = await_pg_stream(co, "db", &s, q.data);

    while (rc == ASYNC_OK) {
        rc = await_pg_next(co, s, &row);

        if (rc == ASYNC_OK && row == NULL) {
            return async_json_pack(req, 200, "{s:I}", "rows", (json_int_t) n);
        }

        n++;
    }

    return failed(co, req, rc);
}


ASYNC_HANDLER(copy)
{
    async_rc_t        rc;
    async_str_t       q;
    async_pg_copy_t  *c;

    ASYNC_TRY(async_query_str(req, "q", &q));

    rc = await_pg_copy(co, "db", &c, q.data);

    return rc ? failed(co, req, rc) : async_text(req, 200, "copies");
}


/*
 * /stops?q=: a stream in a transaction, or behind ?savepoint, of whose end
 * nobody waits for long; and what a second rollback says
 */

ASYNC_HANDLER(stops)
{
    async_rc_t          rc;
    async_str_t         q;
    async_pg_stream_t  *s;

    ASYNC_TRY(async_query_str(req, "q", &q));
    ASYNC_TRY(await_pg_begin(co, "db", 0));

    if (async_query(req, "savepoint").data) {
        ASYNC_TRY(await_pg_begin(co, "db", 0));
    }

    ASYNC_TRY(await_pg_stream(co, "db", &s, q.data));

    {
        ASYNC_DEADLINE(co, 300);

        rc = await_pg_rollback(co, "db");
    }

    return async_json_pack(req, 200, "[i, i]", rc,
                           await_pg_rollback(co, "db"));
}


/*
 * /texts?of=: so many different texts, some of them twice, in a transaction
 * if there is ?begin; of those that are right
 */

ASYNC_HANDLER(texts)
{
    char                text[100];
    int64_t             i, k, n, m, of, right = 0;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_int(req, "of", &of));

    if (async_query(req, "begin").data) {
        ASYNC_TRY(await_pg_begin(co, "db", 0));
    }

    for (i = 0; i < of; i++) {
        ASYNC_MEMORY(co);

        /* the one before it again, and an old one */
        k = (i % 10 == 8) ? i - 1 : (i % 10 == 9) ? i % 500 : i;

        snprintf(text, sizeof(text), "SELECT %lld::int8 AS n, $1::int8 AS m",
                 (long long) k);

        ASYNC_TRY(await_pg(co, "db", &result, text, ASYNC_INT(i)));
        ASYNC_TRY(async_pg_int(co, result, 0, "n", &n));
        ASYNC_TRY(async_pg_int(co, result, 0, "m", &m));

        right += (n == k && m == i);
    }

    ASYNC_TRY(await_pg(co, "db", &result, "SELECT count(*) AS n "
                       "FROM pg_prepared_statements"));
    ASYNC_TRY(async_pg_int(co, result, 0, "n", &m));

    return async_json_pack(req, 200, "{s:I, s:I}", "right", (json_int_t) right,
                           "prepared", (json_int_t) m);
}


/* /large?mb=&how=: so many, as a parameter, a result, or both, one value */

ASYNC_HANDLER(large)
{
    char               *text;
    int64_t             mb;
    const char         *how;
    async_pg_result_t  *result;

    ASYNC_TRY(async_query_int(req, "mb", &mb));

    mb <<= 20;
    how = async_query(req, "how").data;

    if (strcmp(how, "rows") == 0) {
        ASYNC_TRY(await_pg(co, "db", &result, "SELECT repeat('x', 1000) "
                           "FROM generate_series(1, $1::int8 / 1000)",
                           ASYNC_INT(mb)));
        return async_text(req, 200, "large");
    }

    if (strcmp(how, "result") == 0) {
        ASYNC_TRY(await_pg(co, "db", &result, "SELECT repeat('x', $1::int4)",
                           ASYNC_INT(mb)));
        return async_text(req, 200, "large");
    }

    text = malloc(mb + 1);

    if (text == NULL) {
        return ASYNC_ERROR;
    }

    memset(text, 'x', mb);
    text[mb] = '\0';

    if (await_pg(co, "db", &result, "SELECT length($1::text)",
                 ASYNC_TEXT(text)) != ASYNC_OK)
    {
        free(text);
        return ASYNC_ERROR;
    }

    free(text);

    return async_text(req, 200, "large");
}


/* /values: texts that mean something elsewhere come back as they are */

static const char *const  texts_of[] = {
    "'; DROP TABLE v; --", "\\'; DROP TABLE v; --", "''", "\"", "\\", "\\\\",
    "$1", "$$; DROP TABLE v; $$", ":s", "::int", "/* ", "--", "E'\\'", "{", "}",
    "{NULL}", "NULL", ",", "\",\"", "\t\n\r\x01\x7f", "\xf0\x9f\x90\x8d", "",
    " "
};


#define N_TEXTS  (sizeof(texts_of) / sizeof(texts_of[0]))


static int
is_row(async_t *co, async_rc_t rc, async_pg_result_t *result, const char *text)
{
    const char  *seen;

    seen = (rc == ASYNC_OK) ? async_pg_text(result, 0, "s").data : NULL;

    if (seen && strcmp(seen, text) == 0) {
        return 1;
    }

    async_task_log(co, ASYNC_LOG_ERROR, "<\"%s\" has become \"%s\": %s>", text,
                   seen ? seen : "nothing", rc ? async_error(co) : "");

    return 0;
}


ASYNC_HANDLER(values)
{
    size_t              i;
    int64_t             wrong = 0;
    async_rc_t          rc;
    const char         *s;
    async_pg_result_t  *r;

    for (i = 0; i < N_TEXTS; i++) {
        s = texts_of[i];

        rc = await_pg(co, "db", &r, "SELECT $1::text AS s", ASYNC_TEXT(s));
        wrong += !is_row(co, rc, r, s);

        rc = await_pg(co, "db", &r, "SELECT ':s' || :s AS s FROM (SELECT 1) "
                      "AS x WHERE ':s' <> :s OR true",
                      ASYNC_NAMED("s", ASYNC_TEXT(s)));
        wrong += (rc != ASYNC_OK
                  || strcmp(async_pg_text(r, 0, "s").data + 2, s) != 0);

        rc = await_pg(co, "db", &r, "SELECT ($1::text[])[2] AS s",
                      ASYNC_TEXTS(((const char *[]) { "a", s, "b" }), 3));
        wrong += !is_row(co, rc, r, s);

        rc = await_pg(co, "db", &r, "SELECT ($1::jsonb)->>0 AS s",
                      ASYNC_JSON(json_pack("[s]", s)));
        wrong += !is_row(co, rc, r, s);

        rc = await_pg(co, "db", &r, "SELECT convert_from($1::bytea, 'UTF8') "
                      "AS s", ASYNC_BYTES(s, strlen(s)));
        wrong += !is_row(co, rc, r, s);
    }

    return async_json_pack(req, 200, "{s:I}", "wrong", (json_int_t) wrong);
}


/* /wrong_text: how texts that are none are refused, alone and in lists */

ASYNC_HANDLER(wrong_text)
{
    size_t       i;
    json_t      *list;
    async_str_t  text;
    async_rc_t   rc;

    static const async_str_t  wrong[] = {
        { "\xff", 1 }, { "a\xc3", 2 }, { "\xed\xa0\x80", 3 },
        { "\xc0\x80", 2 }, { "a\0b", 3 }
    };

    list = json_array();

    for (i = 0; i < 2 * sizeof(wrong) / sizeof(wrong[0]); i++) {
        text = wrong[i / 2];

        rc = (i % 2 == 0)
             ? await_pg(co, "db", NULL, "INSERT INTO v (s) VALUES ($1)",
                        ASYNC_TEXT(text))
             : await_pg(co, "db", NULL, "INSERT INTO v (s) VALUES (:s || 'x')",
                        ASYNC_NAMED("s", ASYNC_TEXT(text)));

        json_array_append_new(list, json_string(rc == ASYNC_ERROR
                                                ? async_error(co) : "taken"));
    }

    return async_json(req, 200, list);
}
