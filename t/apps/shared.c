
/*
 * Shared dictionaries, for t/shared.t and t/shared-life.t.  Each answer is
 * "ok", with the value, or the code and the cause.
 *
 * What a loader does is the argument "mode":
 *
 *     (none)   gives the argument "value"
 *     gate     first waits until the dictionary "control" has the key
 *     fail     the same, and fails
 *     none     leaves no value
 *     self     asks for the key that it loads
 *     child    the same in a child
 *     again    deletes that key before, so that nobody loads it
 *     other    asks for another key of the same dictionary
 *     inner    has a deadline of its own, which passes, at the gate
 */

#include <ngx_async.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>


typedef struct {
    async_req_t  *req;
    const char   *d;
    const char   *key;
    const char   *mode;
} load_t;


static async_rc_t loader(async_t *co, void *arg, async_str_t *value);


static const char *
text(async_req_t *req, const char *name, const char *missing)
{
    async_str_t  s;

    s = async_query(req, name);

    return s.data ? s.data : missing;
}


static int64_t
number(async_req_t *req, const char *name)
{
    return strtoll(text(req, name, "0"), NULL, 10);
}


static const char *
name_of(async_rc_t rc)
{
    static const char *const  names[] = {
        "OK", "ERROR", "TIMEOUT", "CANCELLED", "CLOSED", "BUSY", "INVALID"
    };

    return names[-rc];
}


static async_rc_t
answer(async_t *co, async_req_t *req, async_rc_t rc, const char *value)
{
    char  *out;

    out = async_alloc(req, 512 + (value ? strlen(value) : 0));
    if (out == NULL) {
        return ASYNC_ERROR;
    }

    if (rc == ASYNC_OK) {
        sprintf(out, "ok %s", value ? value : "(absent)");

    } else {
        sprintf(out, "%s %s", name_of(rc), async_error(co));
    }

    return async_text(req, 200, out);
}


ASYNC_HANDLER(pid)
{
    char  out[16];

    sprintf(out, "%d", (int) getpid());

    return async_text(req, 200, out);
}


ASYNC_HANDLER(get)
{
    async_rc_t   rc;
    async_str_t  value;

    rc = async_shared_get(co, text(req, "d", "cache"), text(req, "key", ""),
                          &value);

    if (rc == ASYNC_OK && value.data && strlen(value.data) != value.len) {
        return ASYNC_ERROR;
    }

    return answer(co, req, rc, value.data);
}


/* "size" bytes, or the value */

static async_rc_t
put(async_t *co, async_req_t *req,
    async_rc_t (*call)(async_t *, const char *, const char *, const void *,
                       size_t, int64_t))
{
    char        *data;
    size_t       len;
    const char  *value;

    value = text(req, "value", "");
    len = number(req, "size");
    data = len ? async_alloc(req, len) : NULL;

    if (data) {
        memset(data, 'x', len);

    } else {
        data = (char *) value;
        len = strlen(value);
    }

    return answer(co, req, call(co, text(req, "d", "cache"),
                                text(req, "key", ""), data, len,
                                number(req, "ttl")), "");
}


ASYNC_HANDLER(set) { return put(co, req, async_shared_set); }
ASYNC_HANDLER(add) { return put(co, req, async_shared_add); }


ASYNC_HANDLER(incr)
{
    char        out[24];
    int64_t     n;
    async_rc_t  rc;

    n = 0;
    rc = async_shared_incr(co, text(req, "d", "cache"), text(req, "key", ""),
                           number(req, "by"), number(req, "ttl"), &n);

    sprintf(out, "%lld", (long long) n);

    return answer(co, req, rc, out);
}


ASYNC_HANDLER(delete_key)
{
    return answer(co, req, async_shared_delete(co, text(req, "d", "cache"),
                                               text(req, "key", "")), "");
}


/* Many keys, which push others out. */

ASYNC_HANDLER(fill)
{
    char        key[32], value[200];
    int64_t     i;
    async_rc_t  rc;

    memset(value, 'v', sizeof(value));
    rc = ASYNC_OK;

    for (i = 0; i < number(req, "n") && rc == ASYNC_OK; i++) {
        sprintf(key, "fill %lld", (long long) i);
        rc = async_shared_set(co, text(req, "d", "cache"), key, value,
                              sizeof(value), 0);
    }

    return answer(co, req, rc, "");
}


static async_rc_t
pass_gate(async_t *co, const char *key)
{
    async_str_t  go;

    for ( ;; ) {
        ASYNC_TRY(async_shared_get(co, "control", key, &go));

        if (go.data) {
            return ASYNC_OK;
        }

        ASYNC_TRY(await_sleep(co, 5));
    }
}


static async_rc_t
in_child(async_t *co, void *arg)
{
    async_str_t     value;
    load_t         *load = arg;
    async_loader_t  loading = { .load = loader, .arg = load };

    return await_shared_get_or(co, load->d, load->key, &loading, &value);
}


static async_rc_t
asks_again(async_t *co, load_t *load, async_str_t *value)
{
    load_t          inner = *load;
    async_child_t  *child;
    async_loader_t  loading = { .load = loader, .arg = &inner };

    if (strcmp(load->mode, "again") == 0) {
        inner.mode = "again";
        ASYNC_TRY(async_shared_delete(co, load->d, load->key));
        return await_shared_get_or(co, load->d, load->key, &loading, value);
    }

    if (strcmp(load->mode, "child") == 0) {
        child = async_spawn(co, in_child, load);
        return child ? await_join(co, child) : ASYNC_ERROR;
    }

    inner.mode = "";

    if (strcmp(load->mode, "other") == 0) {
        inner.key = "another";
    }

    return await_shared_get_or(co, load->d, inner.key, &loading, value);
}


static async_rc_t
loader(async_t *co, void *arg, async_str_t *value)
{
    load_t      *load = arg;
    char        *copy;
    const char  *mode = load->mode;

    async_task_log(co, ASYNC_LOG_NOTICE, "<load %s %d>", load->key,
                   (int) getpid());

    if (strcmp(mode, "gate") == 0 || strcmp(mode, "fail") == 0) {
        ASYNC_TRY(pass_gate(co, load->key));
    }

    if (strcmp(mode, "inner") == 0) {
        ASYNC_DEADLINE(co, 100);
        return pass_gate(co, load->key);
    }

    if (strcmp(mode, "fail") == 0) {
        ASYNC_TRY(await_yield(co));
        return async_task_fail(co, ASYNC_CLOSED, "no luck");
    }

    if (strcmp(mode, "none") == 0) {
        return ASYNC_OK;
    }

    if (strcmp(mode, "self") == 0 || strcmp(mode, "child") == 0
        || strcmp(mode, "other") == 0 || strcmp(mode, "again") == 0)
    {
        return asks_again(co, load, value);
    }

    value->len = number(load->req, "size");

    if (value->len == 0) {
        value->len = strlen(text(load->req, "value", "loaded"));
    }

    copy = async_task_alloc(co, value->len + 1);
    if (copy == NULL) {
        return ASYNC_ERROR;
    }

    memset(copy, 'x', value->len);
    strncpy(copy, text(load->req, "value", "loaded"), value->len);
    value->data = copy;

    return ASYNC_OK;
}


ASYNC_HANDLER(load)
{
    load_t          l = { req, text(req, "d", "cache"), text(req, "key", ""),
                          text(req, "mode", "") };
    async_rc_t      rc;
    async_str_t     value;
    async_loader_t  loading = { .load = loader, .arg = &l,
                                .ttl = number(req, "ttl"),
                                .stale = number(req, "stale") };

    rc = await_shared_get_or(co, l.d, l.key, &loading, &value);

    if (rc == ASYNC_CANCELLED || rc == ASYNC_TIMEOUT) {
        async_task_log(co, ASYNC_LOG_NOTICE, "<%s %s>", name_of(rc), l.key);
    }

    return answer(co, req, rc, value.data);
}


typedef struct {
    load_t       load;
    async_rc_t   rc;
    async_str_t  value;
} crowd_t;


static async_rc_t
one_of_crowd(async_t *co, void *arg)
{
    crowd_t        *c = arg;
    async_loader_t  loading = { .load = loader, .arg = &c->load };

    return await_shared_get_or(co, c->load.d, c->load.key, &loading,
                               &c->value);
}


/* A child that was there before a loader is not of that loader. */

ASYNC_HANDLER(before)
{
    async_rc_t      rc;
    async_str_t     value;
    async_child_t  *child;
    crowd_t         c = { .load = { req, "cache", text(req, "key", ""), "" } };
    async_loader_t  loading = { .load = loader, .arg = &c.load };

    c.load.mode = text(req, "mode", "");

    child = async_spawn(co, one_of_crowd, &c);
    if (child == NULL) {
        return ASYNC_ERROR;
    }

    ASYNC_TRY(await_shared_get_or(co, "cache", c.load.key, &loading, &value));

    rc = await_join(co, child);

    return answer(co, req, rc, c.value.data);
}


/* A loader for each of 600 keys at once. */

ASYNC_HANDLER(flights)
{
    int       i;
    char     *key;
    crowd_t  *c;

    c = async_alloc(req, 600 * sizeof(crowd_t));
    if (c == NULL) {
        return ASYNC_ERROR;
    }

    for (i = 0; i < 600; i++) {
        key = async_alloc(req, 32);
        if (key == NULL) {
            return ASYNC_ERROR;
        }

        sprintf(key, "flight %d", i);
        c[i].load = (load_t) { req, "cache", key, "gate" };

        if (async_spawn(co, one_of_crowd, &c[i]) == NULL) {
            return ASYNC_ERROR;
        }
    }

    return await_sleep(co, 600000);
}


/*
 * Loads that fail, each with one who waits for it; how many of those had the
 * cause.
 */

ASYNC_HANDLER(failures)
{
    int             i, n;
    char            out[16];
    async_str_t     value;
    async_child_t  *child;
    crowd_t         c = { .load = { req, "cache", text(req, "key", ""),
                                    "fail" } };
    async_loader_t  loading = { .load = loader, .arg = &c.load };

    for (n = 0, i = 0; i < number(req, "n"); i++) {
        child = async_spawn(co, one_of_crowd, &c);

        if (child == NULL
            || await_shared_get_or(co, "cache", c.load.key, &loading, &value)
               != ASYNC_CLOSED)
        {
            return ASYNC_ERROR;
        }

        n += (await_join(co, child) == ASYNC_ERROR
              && strcmp(async_error(co), "no luck") == 0);
    }

    sprintf(out, "%d", n);

    return answer(co, req, ASYNC_OK, out);
}


/* A hundred tasks of one worker at once; how many got the value. */

ASYNC_HANDLER(crowd)
{
    int            i, n;
    char           out[16];
    crowd_t        crowd[100];
    async_child_t *children[100];

    for (i = 0; i < 100; i++) {
        crowd[i].load = (load_t) { req, text(req, "d", "cache"),
                                   text(req, "key", ""),
                                   text(req, "mode", "") };
        crowd[i].value.data = NULL;

        children[i] = async_spawn(co, one_of_crowd, &crowd[i]);

        if (children[i] == NULL) {
            return ASYNC_ERROR;
        }
    }

    async_log(req, ASYNC_LOG_NOTICE, "<crowd %d>", (int) getpid());

    for (n = 0, i = 0; i < 100; i++) {
        n += (await_join(co, children[i]) == ASYNC_OK
              && crowd[i].value.data
              && strcmp(crowd[i].value.data, text(req, "value", "loaded"))
                 == 0);
    }

    sprintf(out, "%d", n);

    return answer(co, req, ASYNC_OK, out);
}


/*
 * Counts and sets many times, for workers that are killed.  What is got must be
 * of its key.
 */

ASYNC_HANDLER(churn)
{
    int           i;
    char          key[32], value[1024];
    int64_t       n, done;
    unsigned      seed;
    async_str_t   got;

    seed = getpid();
    done = 0;
    memset(value, 'c', sizeof(value));

    for ( ;; ) {
        for (i = 0; i < 200; i++) {
            seed = seed * 1103515245 + 12345;
            n = (seed >> 8) % 400;

            sprintf(key, "churn %lld", (long long) n);

            if (seed >> 30) {
                n = sprintf(value, "%s ", key);
                value[n] = 'c';
                ASYNC_TRY(async_shared_set(co, "cache", key, value,
                                           n + (seed >> 20) % 800, 0));

            } else {
                ASYNC_TRY(async_shared_get(co, "cache", key, &got));

                if (got.data && strncmp(got.data, key, strlen(key)) != 0) {
                    return async_text(req, 200, "a value is another's");
                }
            }

            ASYNC_TRY(async_shared_incr(co, "cache", "count", 1, 0, &n));
            done++;
        }

        ASYNC_TRY(await_yield(co));

        if (done >= number(req, "n")) {
            return answer(co, req, ASYNC_OK, "");
        }
    }
}


/* What is wrong is answered, and nothing else happens. */

ASYNC_HANDLER(wrong)
{
    async_rc_t      rc;
    async_str_t     value;
    const char     *what = text(req, "what", "");
    async_loader_t  loading = { .load = loader };

    if (strcmp(what, "ttl") == 0) {
        rc = async_shared_set(co, "cache", "k", "v", 1, -5);
        return answer(co, req, rc, "");
    }

    if (strcmp(what, "loader") == 0) {
        loading.load = NULL;
    }

    if (strcmp(what, "loader-ttl") == 0) {
        loading.ttl = -7;
    }

    rc = await_shared_get_or(co, "cache", "k", &loading, &value);

    return answer(co, req, rc, value.data);
}
