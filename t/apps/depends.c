
/*
 * Dependencies of t/depends.t and t/depends-blocking.t: each says that it has
 * run, and what it has been given.
 */

#include <ngx_async.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


static void
say(async_req_t *req, const char *what)
{
    async_log(req, ASYNC_LOG_NOTICE, "<%s>", what);
}


static async_rc_t
give(async_req_t *req, const char *name, const char *of)
{
    char    *text;
    size_t   len;

    len = strlen(name) + strlen(of) + 3;
    text = async_alloc(req, len);

    snprintf(text, len, *of ? "%s(%s)" : "%s%s", name, of);
    say(req, text);

    return async_provide(req, text);
}


static const char *
asked(async_req_t *req)
{
    async_str_t  fail;

    fail = async_query(req, "fail");

    return fail.data ? fail.data : "";
}


#define MAY_FAIL(req, name)                                                  \
    if (strcmp(asked(req), name) == 0) {                                     \
        say(req, name " fails");                                             \
        return async_fail(req, 401, name);                                   \
    }


/* a coroutine, a blocking one, and what depends on both */

ASYNC_DEPENDENCY(settings, char)
{
    ASYNC_TRY(await_sleep(co, 1));
    MAY_FAIL(req, "settings");

    return give(req, "settings", "");
}


BLOCKING_DEPENDENCY(session, char, ASYNC_DEPENDS(settings))
{
    MAY_FAIL(req, "session");

    return give(req, "session", settings_of(req));
}


ASYNC_DEPENDENCY(user, char, ASYNC_DEPENDS(session, settings))
{
    ASYNC_TRY(await_yield(co));
    MAY_FAIL(req, "user");

    return give(req, "user", session_of(req));
}


BLOCKING_DEPENDENCY(rights, char, ASYNC_DEPENDS(user))
{
    MAY_FAIL(req, "rights");

    return give(req, "rights", user_of(req));
}


static async_rc_t
answer(async_req_t *req, const char *rights, const char *user)
{
    say(req, "handler");

    return async_json_pack(req, 200, "{s:s, s:s}", "rights", rights, "user",
                           user);
}


ASYNC_HANDLER(both_async, ASYNC_DEPENDS(rights), ASYNC_DEPENDS(user))
{
    return answer(req, rights_of(req), user_of(req));
}


BLOCKING_HANDLER(both_blocking, ASYNC_DEPENDS(rights, user))
{
    return answer(req, rights_of(req), user_of(req));
}


/* one kind only */

ASYNC_HANDLER(only_async, ASYNC_DEPENDS(settings))
{
    return async_text(req, 200, settings_of(req));
}


BLOCKING_HANDLER(async_under_blocking, ASYNC_DEPENDS(settings))
{
    return async_text(req, 200, settings_of(req));
}


BLOCKING_DEPENDENCY(plain, char)
{
    return give(req, "plain", "");
}


ASYNC_HANDLER(blocking_under_async, ASYNC_DEPENDS(plain))
{
    return async_text(req, 200, plain_of(req));
}


BLOCKING_HANDLER(only_blocking, ASYNC_DEPENDS(plain))
{
    return async_text(req, 200, plain_of(req));
}


/* once, and anew */

ASYNC_DEPENDENCY(counter, int64_t)
{
    int64_t         *n;
    static int64_t   runs;

    n = async_alloc(req, sizeof(int64_t));
    *n = ++runs;

    return async_provide(req, n);
}


ASYNC_DEPENDENCY(once, int64_t, ASYNC_DEPENDS(counter))
{
    return async_provide(req, counter_of(req));
}


ASYNC_DEPENDENCY(again, int64_t, ASYNC_DEPENDS_ANEW(counter))
{
    return async_provide(req, counter_of(req));
}


ASYNC_HANDLER(counts, ASYNC_DEPENDS(counter, once, again))
{
    int64_t  first = *counter_of(req);

    return async_json_pack(req, 200, "[I, I]", *once_of(req) - first,
                           *again_of(req) - first);
}


/* what is not provided, and what is not depended on */

ASYNC_DEPENDENCY(nothing, void)
{
    return ASYNC_OK;
}


ASYNC_HANDLER(gets_nothing, ASYNC_DEPENDS(nothing))
{
    return async_json_pack(req, 200, "[b, b]", nothing_of(req) == NULL,
                           settings_of(req) == NULL);
}


ASYNC_HANDLER(provides)
{
    if (async_provide(req, "x") == ASYNC_OK) {
        return async_text(req, 200, "provided");
    }

    return async_text(req, 200, async_error(co));
}


/* parameters */

typedef struct {
    int64_t  n;
} n_t;

ASYNC_MODEL(n_params, n_t, ASYNC_FIELD(n_t, n, .in = ASYNC_IN_QUERY));

typedef struct {
    int64_t  id;
} id_t_;

ASYNC_MODEL(id_params, id_t_, ASYNC_FIELD(id_t_, id, .in = ASYNC_IN_PATH));

typedef struct {
    const char  *text;
    int64_t      size;
} note_t;

ASYNC_MODEL(note_model, note_t,
    ASYNC_FIELD(note_t, text),
    ASYNC_FIELD(note_t, size, ASYNC_GE(1))
);


ASYNC_DEPENDENCY(page, int64_t, ASYNC_PARAMS(n_params))
{
    say(req, "page");

    return async_provide(req, &n_params_of(req)->n);
}


/* does not run when page does not */

ASYNC_DEPENDENCY(after_page, int64_t, ASYNC_DEPENDS(page))
{
    say(req, "after_page");

    return async_provide(req, page_of(req));
}


ASYNC_DEPENDENCY(guard, void)
{
    say(req, "guard");

    if (async_header(req, "X-Token").data == NULL) {
        return async_fail(req, 401, "no token");
    }

    return ASYNC_OK;
}


BLOCKING_DEPENDENCY(blocking_guard, void)
{
    say(req, "blocking_guard");

    return ASYNC_OK;
}


#define SAVE                                                                 \
    ASYNC_DEPENDS(after_page, guard, blocking_guard),                        \
    ASYNC_PARAMS(id_params), ASYNC_BODY(note_model)

static async_rc_t
saved(async_req_t *req)
{
    say(req, "saved");

    return async_json_pack(req, 200, "{s:I, s:I, s:s, s:I}", "page",
                           *after_page_of(req), "id", id_params_of(req)->id,
                           "text", note_model_of(req)->text, "size",
                           note_model_of(req)->size);
}


ASYNC_HANDLER(save_async, SAVE)
{
    return saved(req);
}


BLOCKING_HANDLER(save_blocking, SAVE)
{
    return saved(req);
}


/* a body that a dependency declares */

BLOCKING_DEPENDENCY(noted, char, ASYNC_BODY(note_model))
{
    return give(req, "noted", note_model_of(req)->text);
}


BLOCKING_HANDLER(body_before, ASYNC_DEPENDS(plain, noted, settings))
{
    async_str_t  body;

    ASYNC_TRY(async_body(req, &body));

    return async_json_pack(req, 200, "[s, s, I]", noted_of(req),
                           settings_of(req), (json_int_t) body.len);
}


/* a coroutine in the middle of a thread reads it, and a copy beside others */

ASYNC_DEPENDENCY(reads, char)
{
    json_t  *value;

    ASYNC_TRY(await_json(co, req, &value));

    return give(req, "reads", json_string_value(json_object_get(value,
                                                                "text")));
}


BLOCKING_HANDLER(reads_in_thread, ASYNC_DEPENDS(plain, reads))
{
    return async_text(req, 200, reads_of(req));
}


ASYNC_HANDLER(reads_together, ASYNC_DEPENDS_TOGETHER(reads, settings))
{
    return async_text(req, 200, reads_of(req));
}


/* together: the two wait for each other, so that one alone would never end */

static int  meeting[2];

ASYNC_DEPENDENCY(left, char)
{
    MAY_FAIL(req, "left");

    meeting[0]++;

    while (meeting[1] != meeting[0]) {
        if (await_sleep(co, 1) != ASYNC_OK) {
            meeting[0] = meeting[1] = 0;
            say(req, "left is cancelled");
            return ASYNC_CANCELLED;
        }
    }

    (void) async_set_header(req, "X-Order", "left");
    (void) async_add_header(req, "X-All", "left");

    return give(req, "left", "");
}


ASYNC_DEPENDENCY(right, char)
{
    ASYNC_TRY(await_sleep(co, 1));
    MAY_FAIL(req, "right");

    (void) async_set_header(req, "X-Order", "right");
    (void) async_add_header(req, "X-All", "right");
    (void) async_set_header(req, "X-First", NULL);

    meeting[1]++;

    return give(req, "right", "");
}


ASYNC_DEPENDENCY(first, void)
{
    (void) async_set_header(req, "X-First", "first");
    return async_set_header(req, "X-Order", "first");
}


#define MEET  ASYNC_DEPENDS(first), ASYNC_DEPENDS_TOGETHER(left, right)

ASYNC_HANDLER(meets, MEET)
{
    return async_json_pack(req, 200, "[s, s]", left_of(req), right_of(req));
}


BLOCKING_HANDLER(meets_blocking, ASYNC_DEPENDS(plain), MEET)
{
    return async_json_pack(req, 200, "[s, s]", left_of(req), right_of(req));
}


/* so do these, in threads */

static pthread_mutex_t  lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t   arrived = PTHREAD_COND_INITIALIZER;
static int              here;

static void
rendezvous(void)
{
    int  all;

    pthread_mutex_lock(&lock);

    all = here - here % 2 + 2;
    here++;
    pthread_cond_broadcast(&arrived);

    while (here < all) {
        pthread_cond_wait(&arrived, &lock);
    }

    pthread_mutex_unlock(&lock);
}


BLOCKING_DEPENDENCY(thread_one, char)
{
    rendezvous();
    (void) async_add_header(req, "X-All", "one");
    return give(req, "one", "");
}


BLOCKING_DEPENDENCY(thread_two, char)
{
    rendezvous();
    (void) async_add_header(req, "X-All", "two");
    return give(req, "two", "");
}


#define THREADS  ASYNC_DEPENDS_TOGETHER(thread_one, settings, thread_two)

ASYNC_HANDLER(threads, THREADS)
{
    return async_json_pack(req, 200, "[s, s, s]", thread_one_of(req),
                           settings_of(req), thread_two_of(req));
}


BLOCKING_HANDLER(threads_blocking, ASYNC_DEPENDS(plain), THREADS)
{
    return async_json_pack(req, 200, "[s, s, s, s]", plain_of(req),
                           thread_one_of(req), settings_of(req),
                           thread_two_of(req));
}


/* which thread: one for all of a blocking handler */

static async_rc_t
where(async_req_t *req)
{
    pthread_t  *self;

    self = async_alloc(req, sizeof(pthread_t));
    *self = pthread_self();

    return async_provide(req, self);
}


BLOCKING_DEPENDENCY(where_a, pthread_t) { return where(req); }
ASYNC_DEPENDENCY(where_loop, pthread_t) { return where(req); }
BLOCKING_DEPENDENCY(where_b, pthread_t) { return where(req); }
BLOCKING_DEPENDENCY(where_c, pthread_t) { return where(req); }

BLOCKING_HANDLER(one_thread,
    ASYNC_DEPENDS(where_a, where_loop, where_b, where_c))
{
    pthread_t  self = pthread_self();

    return async_json_pack(req, 200, "[b, b, b, b]",
                           pthread_equal(self, *where_a_of(req)) != 0,
                           pthread_equal(self, *where_loop_of(req)) != 0,
                           pthread_equal(self, *where_b_of(req)) != 0,
                           pthread_equal(self, *where_c_of(req)) != 0);
}


ASYNC_HANDLER(one_thread_async, ASYNC_DEPENDS(where_a, where_b, where_loop))
{
    pthread_t  self = pthread_self();

    return async_json_pack(req, 200, "[b, b, b]",
                           pthread_equal(*where_a_of(req), *where_b_of(req))
                           != 0,
                           pthread_equal(self, *where_a_of(req)) != 0,
                           pthread_equal(self, *where_loop_of(req)) != 0);
}


/* of the configuration */

ASYNC_DEPENDENCY(outer, char)  { return give(req, "outer", ""); }
ASYNC_DEPENDENCY(middle, char) { return give(req, "middle", ""); }
BLOCKING_DEPENDENCY(inner, char, ASYNC_DEPENDS(outer))
{
    return give(req, "inner", outer_of(req));
}

ASYNC_HANDLER(configured, ASYNC_DEPENDS(settings))
{
    return async_json_pack(req, 200, "[s, s]", outer_of(req), inner_of(req));
}


/* a response of a dependency; a code; nothing */

ASYNC_DEPENDENCY(codes, void)
{
    async_str_t  code = async_query(req, "code");

    return code.data ? -(async_rc_t) (code.data[0] - '0') : ASYNC_OK;
}

ASYNC_HANDLER(coded, ASYNC_DEPENDS(codes))
{
    return async_text(req, 200, "coded");
}
