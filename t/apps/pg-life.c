
/*
 * The handler of t/pg-life.t and t/pg-torture.t: what the body says, line by
 * line, in one task.  It answers with a list of what each line has come to:
 * rows, or an object of rc, error and sqlstate.
 *
 *     sql SQL            a statement
 *     bytes SQL          ... with one value: bytes, text or null
 *     text SQL
 *     null SQL
 *     pause SQL          a statement that a deadline of 100 ms ends
 *     shield SQL         ... behind that deadline, in a shield
 *     begin, commit, rollback
 *     transaction        await_pg_transaction() of the lines up to "end", or to
 *                        "fail", which is a failure
 *     try                "ok" from here on, whatever fails up to "end"
 *     child SQL          in a child, which is joined
 *     other SQL          in the pool "other"
 *     defer SQL          when the task ends; then what it has come to is logged
 *     free               all memory of the statement before
 */

#include <ngx_async.h>
#include <stdio.h>
#include <string.h>


typedef struct {
    const char         *text;        /* what is left of it */
    json_t             *list;
    int                 level;
} script_t;


typedef struct {
    const char         *pool;
    const char         *sql;
    async_value_t       value;
    size_t              n;
    json_t             *answer;
} statement_t;


static async_rc_t lines(async_t *co, script_t *s);


static json_t *
outcome(async_t *co, async_rc_t rc)
{
    const async_pg_error_t  *error = async_pg_error(co);

    if (rc == ASYNC_OK) {
        return json_string("ok");
    }

    return json_pack("{s:i, s:s, s:s}", "rc", (int) rc, "error",
                     async_error(co), "sqlstate", error ? error->sqlstate : "");
}


static async_rc_t
executes(async_t *co, void *arg)
{
    async_rc_t          rc;
    statement_t        *s = arg;
    async_pg_result_t  *result;

    rc = await_pg_at(co, ASYNC_SITE, s->pool, &result, s->sql, &s->value, s->n);

    if (rc == ASYNC_OK) {
        s->answer = async_pg_json(co, result);
        async_pg_free(co, result);

    } else {
        s->answer = outcome(co, rc);
    }

    return rc;
}


static void
at_end(async_t *co, void *arg)
{
    async_rc_t  rc;

    rc = await_pg(co, "db", NULL, arg);
    async_task_log(co, ASYNC_LOG_NOTICE, "<at the end: %d>", rc);

    rc = await_pg_rollback(co, "db");
    async_task_log(co, ASYNC_LOG_NOTICE, "<rolled back: %d>", rc);
}


static async_rc_t
child(async_t *co, statement_t *st)
{
    async_rc_t      rc;
    async_child_t  *child;

    child = async_spawn(co, executes, st);
    rc = child ? await_join(co, child) : ASYNC_ERROR;

    if (st->answer == NULL) {
        st->answer = outcome(co, rc);
    }

    return rc;
}


static async_rc_t
pauses(async_t *co, statement_t *st, int shield)
{
    ASYNC_DEADLINE(co, 100);

    if (shield) {
        (void) !await_sleep(co, 3600000);

        ASYNC_SHIELD(co, 5000);

        return executes(co, st);
    }

    return executes(co, st);
}


static async_rc_t
statement(async_t *co, script_t *s, const char *word, char *sql)
{
    async_rc_t   rc;
    statement_t  st = { .pool = "db", .sql = sql, .n = 1 };

    if (strcmp(word, "bytes") == 0) {
        st.value = ASYNC_BYTES("a\0b", 3);

    } else if (strcmp(word, "text") == 0) {
        st.value = ASYNC_TEXT("text");

    } else if (strcmp(word, "null") == 0) {
        st.value = ASYNC_NULL;

    } else {
        st.n = 0;
    }

    if (strcmp(word, "other") == 0) {
        st.pool = "other";
    }

    if (strcmp(word, "defer") == 0) {
        rc = async_defer(co, at_end, sql);
        st.answer = outcome(co, rc);

    } else if (strcmp(word, "child") == 0) {
        rc = child(co, &st);

    } else if (strcmp(word, "pause") == 0 || strcmp(word, "shield") == 0) {
        rc = pauses(co, &st, word[0] == 's');

    } else {
        rc = executes(co, &st);
    }

    json_array_append_new(s->list, st.answer);

    return rc;
}


static async_rc_t
block(async_t *co, void *arg)
{
    return lines(co, arg);
}


/* To the end of the block, or the first line that fails. */

static void
skip(script_t *s, int level)
{
    char  line[1000];

    while (s->level > level && sscanf(s->text, " %999[^\n]", line) == 1) {
        s->text = strstr(s->text, line) + strlen(line);

        if (strcmp(line, "end") == 0 || strcmp(line, "fail") == 0) {
            s->level--;

        } else if (strcmp(line, "transaction") == 0
                   || strcmp(line, "try") == 0)
        {
            s->level++;
        }
    }
}


static async_rc_t
word_of(async_t *co, script_t *s, const char *word)
{
    int         level;
    async_rc_t  rc;

    level = s->level;

    if (strcmp(word, "begin") == 0) {
        rc = await_pg_begin(co, "db", 0);

    } else if (strcmp(word, "commit") == 0) {
        rc = await_pg_commit(co, "db");

    } else if (strcmp(word, "rollback") == 0) {
        rc = await_pg_rollback(co, "db");

    } else if (strcmp(word, "try") == 0) {
        s->level++;

        /* of it the script sees no failure */
        (void) !lines(co, s);
        skip(s, level);

        return ASYNC_OK;

    } else {
        s->level++;
        rc = await_pg_transaction(co, "db", 0, block, s);
        skip(s, level);
    }

    json_array_append_new(s->list, outcome(co, rc));

    return rc;
}


static async_rc_t
lines(async_t *co, script_t *s)
{
    char        *line;
    char         word[20];
    int          at;
    size_t       len;
    async_rc_t   rc;

    for ( ;; ) {
        s->text += strspn(s->text, "\n");
        len = strcspn(s->text, "\n");

        if (len == 0) {
            return ASYNC_OK;
        }

        line = async_task_alloc(co, len + 1);

        if (line == NULL) {
            return ASYNC_ERROR;
        }

        memcpy(line, s->text, len);
        line[len] = '\0';
        s->text += len;

        at = 0;

        if (sscanf(line, "%19s %n", word, &at) != 1) {
            return ASYNC_ERROR;
        }

        if (strcmp(word, "end") == 0 || strcmp(word, "fail") == 0) {
            s->level--;
            return (word[0] == 'e') ? ASYNC_OK : ASYNC_ERROR;
        }

        async_task_log(co, ASYNC_LOG_NOTICE, "<does %s>", word);

        rc = line[at] ? statement(co, s, word, line + at)
                      : word_of(co, s, word);

        /* at the top, it goes on */

        if (rc != ASYNC_OK && s->level) {
            return rc;
        }
    }
}


ASYNC_HANDLER(run)
{
    script_t     s;
    async_str_t  body;

    ASYNC_TRY(await_body(co, req, &body));

    s.text = body.data;
    s.level = 0;
    s.list = json_array();

    (void) !lines(co, &s);

    return async_json(req, 200, s.list);
}


BLOCKING_HANDLER(blocking)
{
    return async_text(req, 200, "from a thread");
}
