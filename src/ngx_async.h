
/*
 * Copyright (C) the nginx-async authors
 *
 * ngx_async.h: the public header of nginx-async, and all that an app includes.
 *
 * An app is a shared object of handlers: linear C functions that nginx runs
 * as coroutines on its event loop.  Compile it with util/async-cc, name it in
 * nginx.conf with "async_app", declare its handlers with "async_route".
 *
 * The header needs neither nginx nor its headers.  All types are opaque, so
 * one binary of an app runs on every nginx that the module was built for.
 * It compiles as C11 and as C++11, and as what came after them.
 *
 * Words used below.  "Suspends": other requests are served meanwhile; locals
 * survive.  "Borrowed": the callee keeps the memory, the caller must not free
 * it, and it lives as long as the request or task unless said otherwise.
 * "Steals": the callee frees the value, also on failure.  "Copies": the
 * caller may reuse its memory at once.
 *
 * Times are in milliseconds, from 0 to ten years.  Any other, as a negative
 * one, is an error of the program: nothing waits then, the awaits that it is
 * for answer ASYNC_ERROR, and async_error() names it with file and line.
 *
 * Threads.  A prototype begins with where it may be called:
 *
 *     ASYNC_AWAIT  suspends; only by the task that its first argument names
 *     ASYNC_LOOP   on the loop only: in handlers, tasks and what they call
 *     ASYNC_ANY    there, and in the thread of a blocking handler with the
 *                  "req" that this handler was given; not with the same "req"
 *                  from two threads at once
 *
 * A module that was built with util/build --debug aborts, with the name of the
 * call, where this does not hold; an await always does.
 */

#ifndef _NGX_ASYNC_H_INCLUDED_
#define _NGX_ASYNC_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <jansson.h>


#ifdef __cplusplus
extern "C" {
#endif


/* The binary interface: an app runs on modules of the same number. */
#define ASYNC_ABI      3
#define ASYNC_VERSION  "0.1.0"


/* The words that prototypes begin with, see "Threads". */
#define ASYNC_API      __attribute__((visibility("default")))
#define ASYNC_ANY      ASYNC_API
#define ASYNC_LOOP     ASYNC_API
#define ASYNC_AWAIT    ASYNC_API __attribute__((warn_unused_result))


/* The running task, and the request that it answers. */
typedef struct async_s      async_t;
typedef struct async_req_s  async_req_t;


typedef enum {
    ASYNC_OK = 0,
    ASYNC_ERROR = -1,          /* failed; async_error() says why */
    ASYNC_TIMEOUT = -2,        /* a deadline passed */
    ASYNC_CANCELLED = -3,      /* nobody wants the result any more */
    ASYNC_CLOSED = -4,         /* the other side has gone */
    ASYNC_BUSY = -5,           /* a bound is reached, or one waits already */
    ASYNC_INVALID = -6         /* the input is not valid: 422 */
} async_rc_t;


/* What describes functions and structs of an app to the module. */
typedef struct async_export_s     async_export_t;
typedef struct async_attribute_s  async_attribute_t;
typedef struct async_model_s      async_model_t;


/*
 * A string with its length, zero-terminated too.  Absent: data is NULL.
 */
typedef struct {
    const char  *data;
    size_t       len;
} async_str_t;


/* For the getters that the macros below define. */
ASYNC_ANY void *async_dependency_(async_req_t *req,
    const async_export_t *dependency);
ASYNC_ANY const void *async_declared_(async_req_t *req,
    const async_model_t *model);


/*
 * Returns from the calling function with the code of the call unless it is
 * ASYNC_OK.
 */
#define ASYNC_TRY(call)                                                      \
    do {                                                                     \
        async_rc_t  async_rc_ = (call);                                      \
                                                                             \
        if (async_rc_ != ASYNC_OK) {                                         \
            return async_rc_;                                                \
        }                                                                    \
    } while (0)


/*
 * Kinds of functions.
 *
 *     ASYNC_HANDLER(hello)
 *     {
 *         ASYNC_TRY(await_sleep(co, 1000));
 *
 *         return async_text(req, 200, "Hello!");
 *     }
 *
 * defines  async_rc_t hello(async_t *co, async_req_t *req)  and exports it
 * by its name to nginx.conf.
 *
 * What a handler returns becomes the response:
 *
 *     ASYNC_OK         the response that it has set; none set: 500
 *     ASYNC_INVALID    422 with every error that the accessors recorded
 *     ASYNC_TIMEOUT    504
 *     ASYNC_BUSY       503 with Retry-After
 *     ASYNC_CANCELLED  503 at shutdown; otherwise nobody is left to read it
 *     any other        500; the cause goes to the error log
 *
 * with the exception that after async_fail() the response of that is sent,
 * whatever the code.
 *
 * Behind the name it may say what it depends on, takes and gives: see
 * ASYNC_DEPENDENCY() and ASYNC_PARAMS().
 *
 *     ASYNC_TASK(main_task) { ... }
 *
 * defines and exports  async_rc_t main_task(async_t *co, void *arg):  a
 * coroutine without a request, for util/async-run.  Run so, arg points to a
 * "const char *" that is NULL; a string left there is printed as the task's
 * value.  ASYNC_MAIN { ... } is a task that is exported as "main", a name
 * that C reserves; in C it is called async_main().
 */
#define ASYNC_HANDLER(...)                                                   \
    ASYNC_HANDLER_(__VA_ARGS__, ASYNC_NO_MORE_)

#define ASYNC_HANDLER_(name, ...)                                            \
    static async_rc_t name(async_t *co, async_req_t *req);                   \
    ASYNC_ATTRIBUTES_(name, __VA_ARGS__)                                     \
    ASYNC_EXPORT_(name, #name, ASYNC_KIND_HANDLER, name, NULL, NULL, NULL,   \
                  NULL, async_attributes_of_##name)                          \
    static async_rc_t name(ASYNC_UNUSED async_t *co,                         \
        ASYNC_UNUSED async_req_t *req)

#define ASYNC_TASK(name)                                                     \
    static async_rc_t name(async_t *co, void *arg);                          \
    ASYNC_EXPORT(name, #name, ASYNC_KIND_TASK, NULL, NULL, name, NULL)       \
    static async_rc_t name(ASYNC_UNUSED async_t *co, ASYNC_UNUSED void *arg)

#define ASYNC_MAIN                                                           \
    static async_rc_t async_main(async_t *co, void *arg);                    \
    ASYNC_EXPORT(main, "main", ASYNC_KIND_TASK, NULL, NULL, async_main,      \
                 NULL)                                                       \
    static async_rc_t async_main(ASYNC_UNUSED async_t *co,                   \
        ASYNC_UNUSED void *arg)


/*
 *     BLOCKING_HANDLER(report)
 *     {
 *         sleep(5);
 *
 *         return async_text(req, 200, "Done.");
 *     }
 *
 * defines  async_rc_t report(async_req_t *req):  a handler that runs in a
 * thread of the pool that the directive async_thread_pool names, and may
 * block there without delaying anybody else.  It has no "co", so an await in
 * it does not compile; async_call() asks the loop for one.  The body has been
 * read before: see async_body().
 *
 * When the client goes or the deadline passes, the request is answered at
 * once, and the thread runs on with data of its own; what it returns is
 * dropped.  async_cancelled() tells a long computation so.  One that still
 * waits for a thread is skipped.
 *
 * ASYNC_BUSY, that is 503 with Retry-After, is answered when the queue of the
 * pool is full (max_queue of nginx's thread_pool).
 */
#define BLOCKING_HANDLER(...)                                                \
    BLOCKING_HANDLER_(__VA_ARGS__, ASYNC_NO_MORE_)

#define BLOCKING_HANDLER_(name, ...)                                         \
    static async_rc_t name(async_req_t *req);                                \
    ASYNC_ATTRIBUTES_(name, __VA_ARGS__)                                     \
    ASYNC_EXPORT_(name, #name, ASYNC_KIND_BLOCKING, NULL, name, NULL, NULL,  \
                  NULL, async_attributes_of_##name)                          \
    static async_rc_t name(ASYNC_UNUSED async_req_t *req)


/*
 * Dependencies: functions whose values handlers, and other dependencies, use.
 *
 *     ASYNC_DEPENDENCY(current_user, user_t)
 *     {
 *         user_t  *user;
 *         ...
 *         return async_provide(req, user);
 *     }
 *
 *     ASYNC_HANDLER(read_me, ASYNC_DEPENDS(current_user))
 *     {
 *         user_t  *user = current_user_of(req);
 *         ...
 *
 * ASYNC_DEPENDENCY() defines  async_rc_t current_user(async_t *co, async_req_t
 * *req),  a coroutine, and BLOCKING_DEPENDENCY()  async_rc_t name(async_req_t
 * *req),  which runs in a thread as blocking handlers do; either serves either
 * kind of handler.  Both define  user_t *current_user_of(async_req_t *req),
 * which gives the value to who depends on it; for the type "void", void *.
 *
 * What a handler depends on runs before it: what the directive async_depends
 * names, the outermost block first, then what it names itself, in that order,
 * each after what it depends on in turn; one after another, and once a request,
 * however many depend on it.
 *
 *     ASYNC_DEPENDS(name, ...)           up to eight
 *     ASYNC_DEPENDS_TOGETHER(name, ...)  these run at the same time, behind
 *                                        what they depend on in turn; what they
 *                                        change of the response is merged in
 *                                        this order.  The first that fails
 *                                        cancels the others
 *     ASYNC_DEPENDS_ANEW(name, ...)      run once more for who says so, with a
 *                                        value of its own
 *
 * What a dependency returns: ASYNC_OK, or a code that ends the request as the
 * same code of a handler does, async_fail() included; the handler does not run
 * then.  A dependency that the parameters of the request do not fit (see
 * ASYNC_PARAMS() below) does not run; the others do, so that a 401 of one of
 * them comes before a 422, and then the request is answered 422 with every
 * error.
 *
 * In a blocking handler's request, all that comes from the first blocking
 * dependency on runs in one thread, which waits for those that are coroutines.
 * Before another kind of handler, blocking ones that stand side by side share
 * a thread.  Those that run together have each one of its own; and where a body
 * is to be read, a thread ends rather than wait for the client: it is read
 * before the first function that declares it, or before a blocking handler.
 *
 * What a guard (async_access, async_set) of the same location has run is not
 * run again for the next one, nor for the handler, who have its value, and take
 * over the teardowns.  What ends with the guard runs again, with what depends
 * on it: a dependency that has a file, connection, lock or transaction open,
 * has had an error of a database, or has called async_defer(); and one that has
 * asked for a parameter of the path, which guards do not have.
 *
 * nginx -t refuses an app whose dependencies go in a circle.
 */
#define ASYNC_DEPENDENCY(...)                                                \
    ASYNC_DEPENDENCY_(__VA_ARGS__, ASYNC_NO_MORE_)

#define BLOCKING_DEPENDENCY(...)                                             \
    BLOCKING_DEPENDENCY_(__VA_ARGS__, ASYNC_NO_MORE_)

#define ASYNC_DEPENDENCY_(name, type, ...)                                   \
    ASYNC_USE_DEPENDENCY(name, type)                                         \
    ASYNC_DEFINE_DEPENDENCY_(name, type, __VA_ARGS__)

#define BLOCKING_DEPENDENCY_(name, type, ...)                                \
    ASYNC_USE_DEPENDENCY(name, type)                                         \
    BLOCKING_DEFINE_DEPENDENCY_(name, type, __VA_ARGS__)

/*
 * Declares one that another file of the app defines, or this one further down.
 * Stands once a file, outside of functions, in a header that all share, say:
 * what defines it behind that is ASYNC_DEFINE_DEPENDENCY(name, type, ...) or
 * BLOCKING_DEFINE_DEPENDENCY(), otherwise as those above, which are both.
 */
#define ASYNC_USE_DEPENDENCY(name, type)                                     \
    ASYNC_EXTERN_C const async_export_t async_export_of_##name ASYNC_API;    \
    typedef type async_type_of_##name;                                       \
    ASYNC_UNUSED static inline type *                                        \
    name##_of(async_req_t *req)                                              \
    {                                                                        \
        return (type *) async_dependency_(req, &async_export_of_##name);     \
    }

#define ASYNC_DEFINE_DEPENDENCY(...)                                         \
    ASYNC_DEFINE_DEPENDENCY_(__VA_ARGS__, ASYNC_NO_MORE_)

#define BLOCKING_DEFINE_DEPENDENCY(...)                                      \
    BLOCKING_DEFINE_DEPENDENCY_(__VA_ARGS__, ASYNC_NO_MORE_)

/* the second "typedef" compiles if it is of the same type */

#define ASYNC_DEFINE_DEPENDENCY_(name, type, ...)                            \
    typedef type async_type_of_##name;                                       \
    static async_rc_t name(async_t *co, async_req_t *req);                   \
    ASYNC_ATTRIBUTES_(name, ASYNC_TYPE_(type), __VA_ARGS__)                  \
    ASYNC_EXPORT_(name, #name, ASYNC_KIND_DEPENDENCY, name, NULL, NULL,      \
                  NULL, NULL, async_attributes_of_##name)                    \
    static async_rc_t name(ASYNC_UNUSED async_t *co,                         \
        ASYNC_UNUSED async_req_t *req)

#define BLOCKING_DEFINE_DEPENDENCY_(name, type, ...)                         \
    typedef type async_type_of_##name;                                       \
    static async_rc_t name(async_req_t *req);                                \
    ASYNC_ATTRIBUTES_(name, ASYNC_TYPE_(type), __VA_ARGS__)                  \
    ASYNC_EXPORT_(name, #name, ASYNC_KIND_BLOCKING_DEPENDENCY, NULL, name,   \
                  NULL, NULL, NULL, async_attributes_of_##name)              \
    static async_rc_t name(ASYNC_UNUSED async_req_t *req)

/*
 * Sets the value of the dependency that runs; returns ASYNC_OK.  Memory of the
 * request (async_alloc()), of the task, or of the app; a blocking one's only of
 * the first and last.  NULL, also if it is never called, is a value.
 */
ASYNC_ANY async_rc_t async_provide(async_req_t *req, const void *value);

/*
 * What is to be done when all that depends on it is over: the part behind
 * "yield" of a dependency of FastAPI.  Called in a dependency or handler of
 * either kind; those that have been called last are run first.
 *
 *     async_rc_t put_back(async_t *co, async_req_t *req, async_rc_t outcome,
 *         void *arg);
 *
 *     ASYNC_TRY(async_teardown(req, put_back, &state));
 *
 * fn gets a copy of *arg, as that of async_background() does; what that points
 * to is memory of async_background_alloc(), or of the app.
 *
 * If the handler and all else have returned ASYNC_OK, "outcome" is that, and
 * the teardown runs when the response has been sent and the background tasks
 * have ended; "req" is NULL.  If not, "outcome" is the code, and it runs before
 * the response is sent: with "req", it may set another one, by async_json() or
 * async_fail(); the last one counts.  If there is nobody to be answered any
 * more, or a response has begun, "req" is NULL, too; and of a request that has
 * ended before its thread, it runs when that is through, with "req" NULL, as
 * what async_defer() has registered does, which must not use "req" then.
 * Shielded and bounded as that is.
 * The second call is for a function that blocks: it runs in a thread, without
 * the request.
 *
 * What fn returns other than ASYNC_OK is logged; the next one runs.
 * ASYNC_BUSY and ASYNC_ERROR as of async_background(); fn does not run then.
 */
typedef async_rc_t (*async_teardown_pt)(async_t *co, async_req_t *req,
    async_rc_t outcome, void *arg);
typedef async_rc_t (*async_teardown_thread_pt)(async_rc_t outcome, void *arg);

#define async_teardown(req, fn, arg)                                         \
    async_teardown_at(req, ASYNC_SITE, fn, NULL, NULL, arg,                  \
                      ASYNC_SIZEOF_(arg))

#define async_teardown_thread(req, pool, fn, arg)                            \
    async_teardown_at(req, ASYNC_SITE, NULL, fn, pool, arg,                  \
                      ASYNC_SIZEOF_(arg))


/*
 * What handlers and dependencies declare beside, by models (see ASYNC_MODEL()):
 * it is checked before they run, and documented by the directive async_openapi.
 *
 *     ASYNC_HANDLER(create_note, ASYNC_PARAMS(note_params),
 *                   ASYNC_BODY(note_in), ASYNC_RESPONSE(201, note_out))
 *     {
 *         const note_in_t  *in = note_in_of(req);
 *         ...
 *
 *     ASYNC_PARAMS(model)    parameters of path, query, headers, cookies, by
 *                            the fields' attribute "in"
 *     ASYNC_BODY(model)      a JSON body
 *     ASYNC_FORM(model)      a body of an HTML form, of either encoding
 *
 * The struct is made from the request and checked; all errors of all of them
 * together are answered as 422 in the form of FastAPI.  A body that is no JSON
 * and so on is answered as by await_json() and await_form().  In the handler,
 * MODEL_of(req) gives it, memory of the request, and NULL (with a line in the
 * error log) to who has not declared it.
 *
 * For the document alone:
 *
 *     ASYNC_RESPONSE(status, model)
 *     ASYNC_RESPONSE_LIST(status, model)    an array of these
 *     ASYNC_SUMMARY(text)         what it does, in a few words
 *     ASYNC_DESCRIPTION(text)     more of it, in Markdown (CommonMark)
 *     ASYNC_TAG(text)             the group that it is shown in; several
 *     ASYNC_OPERATION(id)         the operationId; otherwise made from the name
 *     ASYNC_DEPRECATED            it is on its way out
 *     ASYNC_HIDDEN                not shown at all
 *     ASYNC_SECURITY_BEARER(name)           the scheme of async_bearer(),
 *     ASYNC_SECURITY_BASIC(name)            async_basic(),
 *     ASYNC_SECURITY_KEY(name, in, key)     and async_api_key(); for who calls
 *                                           them, dependencies above all
 */
#define ASYNC_PARAMS(model)                                                  \
    { ASYNC_ATTRIBUTE_PARAMS, 0, &model, NULL, NULL }
#define ASYNC_BODY(model)                                                    \
    { ASYNC_ATTRIBUTE_BODY, 0, &model, NULL, NULL }
#define ASYNC_FORM(model)                                                    \
    { ASYNC_ATTRIBUTE_FORM, 0, &model, NULL, NULL }
#define ASYNC_RESPONSE(status, model)                                        \
    { ASYNC_ATTRIBUTE_RESPONSE, status, &model, NULL, NULL }
#define ASYNC_RESPONSE_LIST(status, model)                                   \
    { ASYNC_ATTRIBUTE_RESPONSE_LIST, status, &model, NULL, NULL }
#define ASYNC_SUMMARY(text)                                                  \
    { ASYNC_ATTRIBUTE_SUMMARY, 0, NULL, text, NULL }
#define ASYNC_DESCRIPTION(text)                                              \
    { ASYNC_ATTRIBUTE_DESCRIPTION, 0, NULL, text, NULL }
#define ASYNC_TAG(text)                                                      \
    { ASYNC_ATTRIBUTE_TAG, 0, NULL, text, NULL }
#define ASYNC_OPERATION(id)                                                  \
    { ASYNC_ATTRIBUTE_OPERATION, 0, NULL, id, NULL }
#define ASYNC_DEPRECATED                                                     \
    { ASYNC_ATTRIBUTE_DEPRECATED, 0, NULL, NULL, NULL }
#define ASYNC_HIDDEN                                                         \
    { ASYNC_ATTRIBUTE_HIDDEN, 0, NULL, NULL, NULL }
#define ASYNC_SECURITY_BEARER(name)                                          \
    { ASYNC_ATTRIBUTE_BEARER, 0, NULL, name, NULL }
#define ASYNC_SECURITY_BASIC(name)                                           \
    { ASYNC_ATTRIBUTE_BASIC, 0, NULL, name, NULL }
#define ASYNC_SECURITY_KEY(name, in, key)                                    \
    { ASYNC_ATTRIBUTE_KEY, in, NULL, name, key }

#define ASYNC_DEPENDS(...)                                                   \
    ASYNC_EACH_(ASYNC_DEPENDS_, 0, 0, __VA_ARGS__)
#define ASYNC_DEPENDS_TOGETHER(...)                                          \
    ASYNC_EACH_(ASYNC_DEPENDS_, ASYNC_DEPENDS_GROUP,                         \
                ASYNC_DEPENDS_GROUP | ASYNC_DEPENDS_JOINED, __VA_ARGS__)
#define ASYNC_DEPENDS_ANEW(...)                                              \
    ASYNC_EACH_(ASYNC_DEPENDS_, ASYNC_DEPENDS_FRESH, ASYNC_DEPENDS_FRESH,    \
                __VA_ARGS__)


/*
 * Lifecycle: functions that every worker runs by itself, the ones of an app in
 * the order in which they stand in its file.
 *
 *     ASYNC_STARTUP(connect_cache) { ... }
 *     ASYNC_SHUTDOWN(flush_cache) { ... }
 *
 * define  async_rc_t connect_cache(async_t *co),  which may await.
 *
 * Requests to handlers of the app wait while its startup runs.  If a startup
 * function does not return ASYNC_OK, or not within the async_timeout of "http",
 * the log says why, handlers of the app answer 503 with Retry-After, and this
 * function is tried again, after 1 second, then 2, 4 and so on, 30 at most;
 * those after it run when it has succeeded.
 *
 * The shutdown functions of an app whose startup has succeeded run before the
 * worker exits, at a reload too, once all requests and tasks have ended or have
 * been given up; requests that come then are answered 503.  They have what is
 * left of async_shutdown_timeout, a second at least, and half of one at a fast
 * exit.  A code other than ASYNC_OK is logged, and the next one runs.
 */
#define ASYNC_STARTUP(name)                                                  \
    static async_rc_t name(async_t *co);                                     \
    ASYNC_EXPORT(name, #name, ASYNC_KIND_STARTUP, NULL, NULL, NULL, name)    \
    static async_rc_t name(ASYNC_UNUSED async_t *co)

#define ASYNC_SHUTDOWN(name)                                                 \
    static async_rc_t name(async_t *co);                                     \
    ASYNC_EXPORT(name, #name, ASYNC_KIND_SHUTDOWN, NULL, NULL, NULL, name)   \
    static async_rc_t name(ASYNC_UNUSED async_t *co)


/*
 *     ASYNC_PERIODIC(expire_sessions) { ... }
 *
 * defines  async_rc_t expire_sessions(async_t *co),  which the directive
 * async_every has run again and again, as a task without a request and without
 * a deadline.  A code other than ASYNC_OK is logged, and the next run comes
 * when it is due.
 *
 * None begins before the startup of the app has succeeded, or when the worker
 * has been told to go.  One that has begun is waited for within
 * async_shutdown_timeout, then cancelled; at a fast exit, cancelled at once.
 *
 * With worker=one (the default) the function is run by one worker at a time,
 * also while a reload lets the old workers go; when that worker dies, another
 * one goes on.  So what static variables keep from one run to the next may be
 * gone.
 */
#define ASYNC_PERIODIC(name)                                                 \
    static async_rc_t name(async_t *co);                                     \
    ASYNC_EXPORT(name, #name, ASYNC_KIND_PERIODIC, NULL, NULL, NULL, name)   \
    static async_rc_t name(ASYNC_UNUSED async_t *co)


/*
 *     ASYNC_PROCESS(simulate) { simulation_t *s = arg; ... }
 *
 * defines  async_rc_t simulate(void *arg),  which await_process_call() runs in
 * a process of its own.
 */
#define ASYNC_PROCESS(name)                                                  \
    static async_rc_t name(void *arg);                                       \
    ASYNC_EXPORT_(name, #name, ASYNC_KIND_PROCESS, NULL, NULL, NULL, NULL,   \
                  name, NULL)                                                \
    static async_rc_t name(ASYNC_UNUSED void *arg)


/* Awaits.  Each takes the running task first; none may be called elsewhere:
 * that aborts with the name and the place of the call.  Each answers
 *
 *     ASYNC_TIMEOUT    when the deadline of the task has passed,
 *     ASYNC_CANCELLED  when the client has gone (unless the directive
 *                      async_ignore_client_abort is on) or the worker ends,
 *
 * and from then on every later await of the task answers the same at once,
 * so that the function returns.
 */

/*
 * Suspends for the given time, at the resolution of nginx's clock.  Zero: as
 * await_yield().  So what is left until a point in time, which may have passed,
 * is to be taken as zero if it is negative.
 *
 * ASYNC_ERROR: the time is not from 0 to ten years.
 */
#define await_sleep(co, ms)  await_sleep_at(co, ASYNC_SITE, ms)

/*
 * Suspends until the loop has served every event that was ready: for long
 * computations.
 */
#define await_yield(co)      await_yield_at(co, ASYNC_SITE)

/*
 * What time it is: milliseconds since 1970 UTC, as models have times (see
 * ASYNC_FIELD_TIME).  And for how long something takes or may take yet:
 * milliseconds of a clock that nobody sets, and which says nothing by itself.
 *
 * On the loop both stand still while a function does not suspend: they are
 * nginx's, by which sleeps and deadlines count.  In other threads they are the
 * system's.
 */
ASYNC_ANY int64_t async_time_ms(void);
ASYNC_ANY int64_t async_monotonic_ms(void);

/*
 * Suspends until the whole request body has been read (RFC 9110, 6.4), and
 * gives it in one piece: borrowed, zero-terminated, of length zero when
 * there is none.  Bounded by client_max_body_size (nginx answers 413) and
 * client_body_timeout (408).  May be called again, at no cost, and by several
 * tasks of the request at the same time: it is read once.
 *
 * ASYNC_ERROR: it could not be read or held.
 */
#define await_body(co, req, body)  await_body_at(co, ASYNC_SITE, req, body)

/*
 * Suspends as await_body(), and parses the body as JSON (RFC 8259).  *value
 * is borrowed: take json_incref() to give it to a call that steals.
 *
 * ASYNC_INVALID, recorded for the 422: malformed (with the position of the
 * error), empty or null, a Content-Type other than JSON, nested deeper than
 * 100 levels, a name twice in an object, an integer beyond int64_t, a number
 * beyond double, a zero character in a string.
 * ASYNC_ERROR, with 400 set as by async_fail(): not UTF-8.
 */
#define await_json(co, req, value)  await_json_at(co, ASYNC_SITE, req, value)

/*
 * Suspends until there is more of the request body, and reads at most "size"
 * bytes of it into "buf": *n of them, 0 at its end.  So a body of any length is
 * taken at the pace of the handler, in memory of client_body_buffer_size, while
 * client_max_body_size and client_body_timeout hold.  After it, await_body()
 * answers ASYNC_ERROR; after that one, this one reads from its memory.
 *
 * While a body comes that is not awaited, the client's going is not seen.  What
 * the handler leaves unread ends the connection (RFC 9112, 9.3).
 *
 * ASYNC_CLOSED: the client has gone before the end of the body.
 * ASYNC_BUSY: another task reads it just now.
 * ASYNC_ERROR: nginx has refused it (413, 408, 400), and answers so if the
 * handler returns that.
 */
#define await_body_read(co, req, buf, size, n)                               \
    await_body_read_at(co, ASYNC_SITE, req, buf, size, n)

/*
 * The cause of the last await or call of this task that failed, in words;
 * never NULL.  Borrowed until the next failure.  In a blocking handler, which
 * has no task: async_req_error().
 *
 * It is for logs, not for clients: it may name source files of the app, as the
 * cause of an ASYNC_DEADLINE that has passed does, paths and pools.  What the
 * module answers for a code never has it.
 */
ASYNC_LOOP const char *async_error(async_t *co);
ASYNC_ANY const char *async_req_error(async_req_t *req);

/*
 * Notes the cause of a failure of the task's own, in printf()'s format, and
 * returns rc:
 *
 *     return async_task_fail(co, ASYNC_ERROR, "there is no user %d", id);
 *
 * So async_error(), of whoever has called the function or joins the task, and
 * the log tell it as that of an await.  Copies, 159 bytes at most; control
 * characters are escaped.  Does not suspend.  In a thread: async_thread_fail();
 * to tell a client something: async_fail().
 */
ASYNC_LOOP async_rc_t async_task_fail(async_t *co, async_rc_t rc,
    const char *format, ...) __attribute__((format(printf, 3, 4)));


/* Tasks */

typedef async_rc_t (*async_fn_pt)(async_t *co, void *arg);
typedef async_rc_t (*async_thread_pt)(void *arg);
typedef void (*async_cleanup_pt)(async_t *co, void *arg);

/*
 * Has cleanup(co, arg) called when the task ends, whichever way: last
 * registered, first called, before the response is sent.  It may await, also
 * when the task has been cancelled or its deadline has passed: the cleanups of
 * a task have async_cleanup_timeout together, after which their awaits answer
 * ASYNC_TIMEOUT.  It cannot change the code that the handler has returned.
 *
 * By then the function of the task, and whichever has called this, have
 * returned.  So "arg" does not point to a variable on their stack, nor into an
 * ASYNC_MEMORY that has ended, but to what lives as long as the task: memory of
 * async_alloc(), of the request, or of async_task_alloc(), or what is static:
 *
 *     visit_t  *visit = async_alloc(req, sizeof(visit_t));
 *
 *     ASYNC_TRY(visit ? async_defer(co, leave, visit) : ASYNC_ERROR);
 *
 * ASYNC_ERROR: no memory; then the cleanup has been called at once, so that
 * what was acquired is released either way.
 */
ASYNC_LOOP async_rc_t async_defer(async_t *co, async_cleanup_pt cleanup,
    void *arg);

/*
 * The other way round: a blocking handler has fn(co, arg) run on the loop, as
 * a coroutine that may await, and its thread waits until fn has returned.
 * Gives what fn returned, with the cause in async_req_error().  "arg" may point
 * to the stack of the caller.  fn may use "req": its thread rests meanwhile.
 * fn may not wait for a lock that a thread holds across an async_call().  An
 * await that takes a thread itself (files, processes, await_thread()) waits in
 * vain if all threads of its pool are in an async_call(): give such handlers a
 * pool of their own (async_thread_pool).
 *
 * A cleanup that fn registers with async_defer() is called when the request has
 * ended and the thread has returned, so that the thread may use meanwhile what
 * fn has acquired.  It must not use "req": the request may have ended before
 * the thread, and is gone then.  What it needs of it, "arg" has.
 *
 * When the deadline of the request passes or its client goes, the await in
 * which fn waits ends with ASYNC_TIMEOUT or ASYNC_CANCELLED, as in a handler;
 * later calls answer so without running fn.
 *
 * In an async handler it is a call of fn(co, arg) with the handler's task.
 */
ASYNC_ANY async_rc_t async_call(async_req_t *req, async_fn_pt fn, void *arg);

/*
 * Nonzero when nobody wants the result of the handler any more: the client has
 * gone, the deadline or async_shutdown_timeout has passed, or the worker stops
 * at once.  Costs a load.
 */
ASYNC_ANY int async_cancelled(async_req_t *req);


/*
 * Child tasks: structured concurrency.
 *
 * async_spawn() starts fn(co, arg) as a task of its own, beside the caller,
 * which it calls its child; fn begins when the caller awaits next.  Gives the
 * child, for the calls below; NULL: there are async_max_tasks already, or no
 * memory (async_error() tells).
 *
 * A child has the deadline of the caller, and is cancelled when the caller is.
 * It never outlives it: one that nobody has joined when the caller's function
 * returns is cancelled and joined then, and the log names file and line of its
 * async_spawn().  "arg" must live as long as the child, so a function that
 * spawns with an arg on its stack joins before it returns: ASYNC_GROUP does
 * that on every way out.  Memory that the awaits of a child give is that of the
 * caller.
 */
typedef struct async_child_s  async_child_t;

#define async_spawn(co, fn, arg)  async_spawn_at(co, ASYNC_SITE, fn, arg)

/*
 * Suspends until the child has returned, and gives what it has returned, with
 * its cause in async_error().  Only its parent may join it, and once: "child"
 * is gone then.  When the caller is cancelled, so is the child, and it is
 * joined all the same: ASYNC_TIMEOUT and ASYNC_CANCELLED come when it has
 * returned.
 */
#define await_join(co, child)  await_join_at(co, ASYNC_SITE, child)

/*
 * Suspends until the child has returned, and leaves it at that: it is still to
 * be joined, and runs on when this answers ASYNC_TIMEOUT or ASYNC_CANCELLED
 * because of the caller.
 */
#define await_ended(co, child)  await_ended_at(co, ASYNC_SITE, child)

/*
 * Ends the await of a child with ASYNC_CANCELLED, and all its later ones.  One
 * that has not begun will not.  It is joined as ever.  Does not suspend.
 */
ASYNC_LOOP void async_cancel(async_child_t *child);

/*
 * Children that the caller has spawned since, and not joined, are cancelled and
 * joined where the block ends, whichever way it is left.
 *
 *     ASYNC_GROUP(co);
 */
#define ASYNC_GROUP(co)                                                      \
    ASYNC_SCOPE_(async_group_end);                                           \
    async_group_begin(co, &ASYNC_NAME_(async_scope_))

/*
 * Several functions at once.  Each suspends until all of them have returned,
 * and leaves in "rc" what each has returned, in "error" the cause if that is
 * not ASYNC_OK (borrowed, as long as the task; otherwise NULL).
 *
 *     async_work_t  work[] = {
 *         { .fn = fetch_user, .arg = &user },
 *         { .fn = fetch_posts, .arg = &posts },
 *     };
 *
 *     ASYNC_TRY(await_all(co, work, 2));
 *
 * await_all     the first failure cancels the others, and is what it gives
 * await_gather  lets all of them run to their end, and gives ASYNC_OK
 * await_any     the first that returns ASYNC_OK cancels the others, and its
 *               index is in *winner; if none does, -1 and the last failure
 *
 * ASYNC_BUSY: there are not enough tasks; those that have begun are cancelled.
 * ASYNC_TIMEOUT, ASYNC_CANCELLED: the caller is cancelled, as all of them.
 */
typedef struct {
    async_fn_pt   fn;
    void         *arg;
    async_rc_t    rc;
    const char   *error;
} async_work_t;

#define await_all(co, work, n)     await_all_at(co, ASYNC_SITE, work, n)
#define await_gather(co, work, n)  await_gather_at(co, ASYNC_SITE, work, n)
#define await_any(co, work, n, winner)                                       \
    await_any_at(co, ASYNC_SITE, work, n, winner)


/*
 * Deadlines.
 *
 *     ASYNC_DEADLINE(co, 500);
 *
 * bounds every await from there to the end of its block to 500 ms together:
 * then the await answers ASYNC_TIMEOUT, and so does every later one until the
 * block ends; after that the task may go on, with a fallback, say.  Inside of
 * another one the nearer deadline holds.  Children that are spawned inside have
 * it, too.  When the client goes meanwhile, that counts from the end of the
 * block on.
 *
 * await_within() is fn(co, arg) inside of such a block, and gives what that
 * returns.
 *
 * A time that is none (see the top) is an error to the end of the block: its
 * awaits, and await_within(), answer ASYNC_ERROR.
 */
#define ASYNC_DEADLINE(co, ms)                                               \
    ASYNC_SCOPE_(async_deadline_end);                                        \
    async_deadline_begin(co, ASYNC_SITE, &ASYNC_NAME_(async_scope_), ms)

#define await_within(co, ms, fn, arg)                                        \
    await_within_at(co, ASYNC_SITE, ms, fn, arg)

/*
 * The reverse: from here to the end of the block the task is not cancelled, and
 * has these ms instead of its deadline.  What would have cancelled it counts
 * from the end of the block on.  For what must be brought to an end once it has
 * begun.  await_shield() is fn(co, arg) inside of such a block.
 */
#define ASYNC_SHIELD(co, ms)                                                 \
    ASYNC_SCOPE_(async_shield_end);                                          \
    async_shield_begin(co, ASYNC_SITE, &ASYNC_NAME_(async_scope_), ms)

#define await_shield(co, ms, fn, arg)                                        \
    await_shield_at(co, ASYNC_SITE, ms, fn, arg)

/*
 * Memory of a task that lives for long: what its awaits give, and
 * async_task_alloc(), from here to the end of the block is freed there, and
 * children that were spawned inside are cancelled and joined, as by
 * ASYNC_GROUP.  The response and what else is had from "req" is not meant.
 *
 *     for ( ;; ) {
 *         ASYNC_MEMORY(co);
 *         ...
 *     }
 */
#define ASYNC_MEMORY(co)                                                     \
    ASYNC_SCOPE_(async_memory_end);                                          \
    async_memory_begin(co, &ASYNC_NAME_(async_scope_))

/*
 * Memory that lives as long as the task, or until the innermost ASYNC_MEMORY
 * ends; of a child, as that of its parent.  Not zeroed, aligned for any type.
 * NULL: there is none.
 */
ASYNC_LOOP void *async_task_alloc(async_t *co, size_t size);


/*
 * Between tasks of one worker.  All of these are zero to begin with, need no
 * end, and may be static or members of what the app has; they must not move,
 * and not go while somebody waits or holds one.  They know nothing of threads
 * and of other workers.
 *
 * Whoever has waited longest is first.  One that is cancelled while it waits
 * leaves the line, and takes nothing with it: it holds what it has waited for
 * exactly if the await has answered ASYNC_OK.
 */

/*
 * ASYNC_BUSY: the task has it already, and would wait for ever.  One that a
 * task still has when it ends is unlocked, and the log says where it was
 * locked.
 */
typedef struct { void *opaque[6]; } async_mutex_t;

#define await_lock(co, mutex)  await_lock_at(co, ASYNC_SITE, mutex)

/* ASYNC_BUSY: somebody has it. */
ASYNC_LOOP async_rc_t async_try_lock(async_t *co, async_mutex_t *mutex);

/* ASYNC_ERROR: the caller does not hold it. */
ASYNC_LOOP async_rc_t async_unlock(async_t *co, async_mutex_t *mutex);

/* Held from here to the end of the block; if it cannot be had, returns. */
#define ASYNC_LOCK(co, mutex)                                                \
    ASYNC_SCOPE_(async_lock_end);                                            \
    ASYNC_TRY(await_lock_in_at(co, ASYNC_SITE, mutex,                        \
                               &ASYNC_NAME_(async_scope_)))

/*
 * A semaphore: at most "limit" hold it at once.
 *
 *     static async_semaphore_t  four = ASYNC_SEMAPHORE(4);
 */
typedef struct { int64_t limit; void *opaque[3]; } async_semaphore_t;

#define ASYNC_SEMAPHORE(limit)  { limit, { NULL } }

#define await_acquire(co, semaphore)                                         \
    await_acquire_at(co, ASYNC_SITE, semaphore)

/* ASYNC_BUSY: all of it is taken. */
ASYNC_LOOP async_rc_t async_try_acquire(async_t *co,
    async_semaphore_t *semaphore);

/* By whichever task.  ASYNC_ERROR: nobody has acquired it. */
ASYNC_LOOP async_rc_t async_release(async_t *co, async_semaphore_t *semaphore);

/* An event: is set, and wakes all that wait; is set until it is cleared. */
typedef struct { void *opaque[3]; } async_event_t;

#define await_event(co, event)  await_event_at(co, ASYNC_SITE, event)

ASYNC_LOOP void async_event_set(async_t *co, async_event_t *event);
ASYNC_LOOP void async_event_clear(async_t *co, async_event_t *event);
ASYNC_LOOP int async_event_is_set(async_t *co, const async_event_t *event);

/*
 * A queue of pointers, at most "limit" of them.  What is in it when nobody
 * takes it out any more is its user's to free: async_try_get() says when it is
 * empty.  One that goes is to be empty: otherwise it holds memory of its own.
 */
typedef struct { size_t limit; void *opaque[8]; } async_queue_t;

#define ASYNC_QUEUE(limit)  { limit, { NULL } }

/*
 * Puts at the end, waiting while it is full; takes from the front, waiting
 * while it is empty.  ASYNC_CLOSED: it has been closed (and, of a get, is
 * empty).
 */
#define await_put(co, queue, item)  await_put_at(co, ASYNC_SITE, queue, item)
#define await_get(co, queue, item)  await_get_at(co, ASYNC_SITE, queue, item)

/* The same without waiting.  ASYNC_BUSY: it is full, or empty. */
ASYNC_LOOP async_rc_t async_try_put(async_t *co, async_queue_t *queue,
    void *item);
ASYNC_LOOP async_rc_t async_try_get(async_t *co, async_queue_t *queue,
    void **item);

/* How many are in it. */
ASYNC_LOOP size_t async_queue_count(async_t *co, const async_queue_t *queue);

/* No more comes in; what is in it may be taken out.  Wakes all that wait. */
ASYNC_LOOP void async_queue_close(async_t *co, async_queue_t *queue);


/*
 * A response in pieces, of any length.
 *
 * async_stream() chooses status, media type and, if it is known, the length in
 * bytes (-1: it is not) of the response that the first await_send() begins;
 * without it that is 200, application/octet-stream, of unknown length.  Header
 * fields are set before.  The response ends when the handler returns.  If that
 * is not with ASYNC_OK, or less than the length has been sent, it is broken
 * off, so that the client can tell: over HTTP/1.1 the connection closes without
 * the last chunk (RFC 9112, 8), over HTTP/2 the stream is reset.
 *
 * await_send() suspends until the piece is with the kernel: at the pace of the
 * client, so that memory stays flat.  The piece is borrowed until then; one of
 * length 0 sends the header.  From the first one on async_timeout does not
 * count any more, but send_timeout of nginx does.  An await that ends otherwise
 * breaks the response off.
 *
 * ASYNC_CLOSED: the client has gone, or does not read for send_timeout, the
 * response is broken off, or it has no body (HEAD, 204, 304).
 * ASYNC_BUSY: another task sends just now.
 * ASYNC_ERROR: more than the length; in a blocking handler.
 */
ASYNC_LOOP async_rc_t async_stream(async_req_t *req, int status,
    const char *type, int64_t length);

#define await_send(co, req, data, len)                                       \
    await_send_at(co, ASYNC_SITE, req, data, len)

/*
 * Sends a server-sent event (WHATWG HTML, 9.2), of the fields that are set, by
 * the rules of await_send().  Text is UTF-8; data and comment may have several
 * lines.  The first one sets text/event-stream and Cache-Control: no-cache.  A
 * comment alone is a heartbeat.  Browsers that come back tell the last id:
 * async_header(req, "last-event-id").
 *
 *     async_sse_t  event = { .event = "price", .data = text };
 *
 *     ASYNC_TRY(await_sse(co, req, &event));
 */
typedef struct {
    const char  *data;
    const char  *event;
    const char  *id;
    int64_t      retry;        /* milliseconds; 0: not said */
    const char  *comment;
} async_sse_t;

#define await_sse(co, req, event)  await_sse_at(co, ASYNC_SITE, req, event)


/*
 * WebSocket (RFC 6455), on a route of its own:
 *
 *     async_route  WS  "/chat/{room}"  chat;
 *
 *     ASYNC_HANDLER(chat)
 *     {
 *         async_ws_message_t  m;
 *
 *         ASYNC_TRY(await_ws_accept(co, req, NULL));
 *
 *         for ( ;; ) {
 *             ASYNC_TRY(await_ws_recv(co, req, &m));
 *             ASYNC_TRY(await_ws_send(co, req, m.kind, m.data, m.len));
 *         }
 *     }
 *
 * Before it accepts, a handler is one as any other: a response that it sets, as
 * with async_fail(), rejects the client; none is 403.  When it returns after
 * that, the connection is closed with what its code stands for:
 *
 *     ASYNC_OK         1000, normal
 *     ASYNC_CLOSED     nothing: it is closed already
 *     ASYNC_INVALID    1007, what the peer has sent is not valid
 *     ASYNC_BUSY       1013, try again later
 *     ASYNC_CANCELLED  as at a shutdown; otherwise nobody is left to read it
 *     any other        1011; the cause goes to the error log
 *
 * One task may receive while others send: messages go out whole, in the order
 * of the calls.  Pings are answered, and sent, while the handler does something
 * else (async_websocket_ping).
 *
 * When the peer has closed or is lost, await_ws_... answer ASYNC_CLOSED, the
 * receiving one when all that came before has been received.  Whatever else the
 * handler and its children await then is cancelled, as it is for any client
 * that has gone; not with async_ignore_client_abort.  A handler that has been
 * told so by ASYNC_CLOSED first is not: it may await on.
 *
 * At a reload the peer is sent 1012 (come back at once), at a shutdown 1001, by
 * itself, and the same follows when it has answered, or after
 * async_websocket_close_timeout at last.
 *
 * With async_websocket_release nginx's request ends with the handshake; what is
 * asked of it here stays the same, and lives as long as the session.  But
 * async_var() finds nothing then, async_set_var() and await_subrequest() answer
 * ASYNC_CLOSED.
 */
typedef enum {
    ASYNC_WS_TEXT = 1,         /* UTF-8; opcodes of RFC 6455, 11.8 */
    ASYNC_WS_BINARY = 2
} async_ws_kind_t;

/*
 * Borrowed until the next receive of this connection.  "data" is never NULL,
 * and zero-terminated behind its "len" bytes.
 */
typedef struct {
    size_t           size;
    async_ws_kind_t  kind;
    const char      *data;
    size_t           len;
    int              last;     /* of a message in parts; otherwise 1 */
} async_ws_message_t;

/*
 * The first of our subprotocols ("v2.chat, v1.chat") that the client offers, as
 * it stands in ours; NULL: none, or no memory.  For the argument below.
 * Borrowed, of the request.
 */
ASYNC_LOOP const char *async_ws_protocol(async_req_t *req, const char *ours);

/*
 * Suspends until the handshake is sent: 101, with the header fields that have
 * been set, and the subprotocol, NULL for none.  From here on async_timeout
 * does not count any more.
 *
 * ASYNC_INVALID: the request is no WebSocket handshake (RFC 6455, 4.2.1), or of
 * a wrong origin, or it does not offer that subprotocol; the response is 400,
 * 403, 405 or 426, unless the handler sets another one.  ASYNC_BUSY: the worker
 * shuts down.  ASYNC_ERROR: accepted already, or in a subrequest or a guard, or
 * a response has begun; no memory.  ASYNC_CLOSED: the client has gone.
 */
#define await_ws_accept(co, req, protocol)                                   \
    await_ws_accept_at(co, ASYNC_SITE, req, protocol)

/*
 * Suspends until there is a message, whole: of up to
 * async_websocket_max_message bytes; a longer one closes with 1009.
 *
 * ASYNC_CLOSED: the peer has closed (async_ws_close_code() says how), or has
 * broken the protocol, and that has been answered.  ASYNC_BUSY: another task
 * receives.  ASYNC_ERROR: not accepted; no memory.
 */
#define await_ws_recv(co, req, message)                                      \
    await_ws_recv_at(co, ASYNC_SITE, req, message, sizeof(*(message)), 0)

/*
 * The same in parts, as they come, of up to 64 KiB: for messages of any length.
 * message->last is set in the last one of a message, which may be empty.  A
 * character may be cut at the end of a part.
 */
#define await_ws_recv_part(co, req, message)                                 \
    await_ws_recv_at(co, ASYNC_SITE, req, message, sizeof(*(message)), 1)

/*
 * The same, as JSON: *value is borrowed until the next receive.
 * ASYNC_INVALID: it is none, of which async_error() tells; the next one can be
 * received.
 */
#define await_ws_recv_json(co, req, value)                                   \
    await_ws_recv_json_at(co, ASYNC_SITE, req, value)

/*
 * The same, as a struct by its model, see ASYNC_MODEL().  What a struct points
 * to is borrowed until the next receive.
 *
 * ASYNC_INVALID: the message does not fit, or is no JSON.  async_error() tells
 * the first error, and *errors (NULL: not wanted) has all of them, an array as
 * the "detail" of a 422 has it for a body, borrowed until the next receive; the
 * struct's fields are zero then.  The next one can be received: what to do
 * about it is up to the handler, which may send the errors back.  *errors is
 * NULL otherwise.
 */
#define await_ws_recv_into(co, req, model, value, errors)                    \
    await_ws_recv_into_at(co, ASYNC_SITE, req, model, value,                 \
                          ASYNC_SIZEOF_(value), errors)

/*
 * Suspends while more than async_websocket_buffer waits to be sent: a message
 * of less than that is copied.  A longer one is borrowed until the await ends;
 * one that ends otherwise then breaks the connection off, as half a message
 * cannot be taken back.
 *
 * ASYNC_CLOSED: closed, by whichever side, or the peer does not read for
 * send_timeout.  ASYNC_INVALID: the text is not UTF-8; nothing is sent.
 * ASYNC_BUSY: a message in parts is not at its end.  ASYNC_ERROR: not accepted.
 */
#define await_ws_send(co, req, kind, data, len)                              \
    await_ws_send_at(co, ASYNC_SITE, req, kind, data, len, 0)
#define await_ws_send_text(co, req, text)                                    \
    await_ws_send_text_at(co, ASYNC_SITE, req, text)

/* steals "value", also on failure; NULL: ASYNC_ERROR */
#define await_ws_send_json(co, req, value)                                   \
    await_ws_send_json_at(co, ASYNC_SITE, req, value)

/* a struct as JSON, see async_encode(), whose errors it has, too */
#define await_ws_send_model(co, req, model, value)                           \
    await_ws_send_model_at(co, ASYNC_SITE, req, model, value,                \
                           ASYNC_SIZEOF_(value))

/*
 * A message in parts, each a frame, or several where a long one is compressed;
 * "last" is of the last one, which may be empty.  The kind is that of the first
 * one.  ASYNC_BUSY: another task sends such a one.  Nothing else can be sent
 * until it is at its end: a task that ends before that, the handler or a child,
 * ends the WebSocket, with 1011 and a line in the error log.
 */
#define await_ws_send_part(co, req, kind, data, len, last)                   \
    await_ws_send_at(co, ASYNC_SITE, req, kind, data, len,                   \
                     (last) ? ASYNC_WS_LAST_ : ASYNC_WS_PART_)

/*
 * Closes, when the message that is being sent is at its end, and suspends until
 * the peer has answered, for async_websocket_close_timeout at most.  A message
 * in parts is cut off by it.  The code is one that may be sent
 * (RFC 6455, 7.4: 1000 to 1014 but 1004 to 1006, 3000 to 4999), the reason
 * UTF-8 of up to 123 bytes, or NULL.  ASYNC_OK also if it is closed already.
 * ASYNC_ERROR: the code or the reason is none, or it is not accepted.
 */
#define await_ws_close(co, req, code, reason)                                \
    await_ws_close_at(co, ASYNC_SITE, req, code, reason)

/*
 * How the peer has closed: its code; 1005: without one; 1006: the connection
 * was lost, or closed by us; 0: it is open.  Its reason, never NULL.
 */
ASYNC_LOOP int async_ws_close_code(async_req_t *req);
ASYNC_LOOP async_str_t async_ws_close_reason(async_req_t *req);


/*
 * Channels: what is published under a name reaches all who have subscribed to
 * it, in all workers, and on all machines if async_channels leads over
 * PostgreSQL.
 *
 *     async_subscription_t   *s;
 *     async_channel_message_t  m;
 *
 *     ASYNC_TRY(async_subscribe(co, "prices", NULL, &s));
 *
 *     for ( ;; ) {
 *         ASYNC_TRY(await_channel(co, s, &m));
 *         ... m.data, m.len ...
 *     }
 *
 * A name is 1 to 255 bytes.  What one task publishes arrives in its order, and
 * all subscribers on a machine see the same order.  Nothing is kept for those
 * who subscribe later.
 *
 * async_publish() does not suspend; data is copied.  ASYNC_INVALID: the message
 * is longer than a channel takes (an eighth of the size of async_channels; with
 * PostgreSQL 5,000 bytes).  ASYNC_BUSY: too many wait for PostgreSQL.
 * ASYNC_ERROR: the name is none, or there is no async_channels.
 *
 * async_publish_model() publishes a struct as JSON, see async_encode(), whose
 * errors it has, too.
 *
 * async_subscribe() does not suspend: what is published from then on is seen.
 * What is not read waits, in a queue of options->queue messages (0: 256; up to
 * 65,536) and 1 MiB.  When that is full, the oldest are dropped, and "missed"
 * of the next message says how many; or, with ASYNC_CHANNEL_CLOSE, nothing more
 * comes.  The same of what a worker comes too late to read.
 *
 * await_channel() suspends until there is a message, which is borrowed until
 * the next await_channel() of this subscription, in whatever task, until the
 * task that has it calls async_unsubscribe(), or until the subscription is no
 * more.  ASYNC_CLOSED: the subscription has ended so, by async_unsubscribe() in
 * another task, or because the worker shuts down, when all has been received;
 * async_cause() is ASYNC_CAUSE_SHUTDOWN then, and a handler that returns it
 * before it has responded answers with 503, for the client to come again.
 * ASYNC_BUSY: another task waits for this one.
 *
 * A subscription is the task's, that of a child its parent's, until that ends,
 * or the innermost ASYNC_MEMORY in which it has been made, or
 * async_unsubscribe(), which may be called again, or with NULL.
 */
typedef struct async_subscription_s  async_subscription_t;

typedef struct {
    size_t           size;
    const char      *channel;
    const char      *data;     /* zero-terminated behind its "len" bytes */
    size_t           len;
    uint64_t         missed;   /* before this one */
} async_channel_message_t;

#define ASYNC_CHANNEL_CLOSE  1

typedef struct {
    size_t           queue;    /* messages; 0: 256 */
    unsigned         flags;    /* ASYNC_CHANNEL_CLOSE */
} async_subscribe_t;

ASYNC_LOOP async_rc_t async_publish(async_t *co, const char *channel,
    const void *data, size_t len);
#define async_publish_model(co, channel, model, value)                       \
    async_publish_model_(co, channel, model, value, ASYNC_SIZEOF_(value))

#define async_subscribe(co, channel, options, subscription)                  \
    async_subscribe_(co, channel, options, sizeof(async_subscribe_t),        \
                     subscription)

#define await_channel(co, subscription, message)                             \
    await_channel_at(co, ASYNC_SITE, subscription, message,                  \
                     sizeof(*(message)))

ASYNC_LOOP void async_unsubscribe(async_t *co,
    async_subscription_t *subscription);

/*
 * Has all that is published under the name sent to the client of this WebSocket
 * by itself, as messages of the kind, each built once for all who get it.  A
 * client that is slow has a queue, bounded as above; ASYNC_CHANNEL_CLOSE closes
 * it with 1013.  Of ASYNC_WS_TEXT, a message that is not UTF-8 is skipped, with
 * a line in the log, whatever the options; others get it.  A second call for
 * the same channel changes kind and options.  Ends with the connection.
 *
 * ASYNC_ERROR: not accepted, the name is none, no memory.  ASYNC_CLOSED: it is
 * closed, which it is from when the worker shuts down.
 */
#define async_ws_subscribe(co, req, channel, kind, options)                  \
    async_ws_subscribe_(co, req, channel, kind, options,                     \
                        sizeof(async_subscribe_t))

ASYNC_LOOP void async_ws_unsubscribe(async_t *co, async_req_t *req,
    const char *channel);


/*
 * Dictionaries that all workers share, see async_shared.  Keys are of 1 to 255
 * bytes, values of any, up to a quarter of the dictionary.  When it is full,
 * what was used longest ago gives way.  Nothing suspends here but
 * await_shared_get_or(); ttl is in milliseconds, 0: no end.
 *
 * ASYNC_ERROR: there is no such dictionary, or the key is none; no memory.
 * ASYNC_INVALID: the value is too large, or no number.
 *
 * async_shared_get() copies the value into memory of the task, see
 * async_task_alloc(); absent (value->data is NULL) if there is none.  _add()
 * sets only if there is none, otherwise it is ASYNC_BUSY.  _incr() adds to a
 * number, whose ttl stays, or from 0 if there is none, whose ttl is that;
 * *value is the sum, and may be NULL.  A number is got as its digits, and
 * digits that have been set, with "-" or without, are one; beyond 64 bits it is
 * ASYNC_INVALID and stays.  _delete() is ASYNC_OK whether there was one or not.
 */
ASYNC_LOOP async_rc_t async_shared_get(async_t *co, const char *dictionary,
    const char *key, async_str_t *value);
ASYNC_LOOP async_rc_t async_shared_set(async_t *co, const char *dictionary,
    const char *key, const void *data, size_t len, int64_t ttl);
ASYNC_LOOP async_rc_t async_shared_add(async_t *co, const char *dictionary,
    const char *key, const void *data, size_t len, int64_t ttl);
ASYNC_LOOP async_rc_t async_shared_incr(async_t *co, const char *dictionary,
    const char *key, int64_t delta, int64_t ttl, int64_t *value);
ASYNC_LOOP async_rc_t async_shared_delete(async_t *co,
    const char *dictionary, const char *key);

/*
 * The value, or what a loader makes of it, once for all who ask meanwhile in
 * all workers:
 *
 *     static async_rc_t load(async_t *co, void *arg, async_str_t *value);
 *
 *     async_loader_t  loader = { .load = load, .arg = &id, .ttl = 60000 };
 *
 *     ASYNC_TRY(await_shared_get_or(co, "cache", key, &loader, &value));
 *
 * Suspends while it is loaded.  The loader runs in the task that asks first;
 * the value that it leaves is copied.  For "stale" milliseconds after its ttl
 * the old value is still given to those who ask while one loads.
 *
 * If the loader fails, its code and cause are for its task, and for those who
 * wait ASYNC_ERROR with the same cause; who asks then tries again.  It has
 * failed, too, if it leaves no value (absent; an empty one is one).  If its
 * task is cancelled, its deadline has passed, or its worker dies, the next one
 * who waits loads.
 *
 * If the key is set or deleted meanwhile, what the loader leaves is for its
 * task only: who waits has what was set, or loads.  A loader may ask for other
 * keys; for its own that is ASYNC_ERROR.  Two that ask for each other's keys
 * wait for each other, until a deadline ends it.
 */
typedef struct {
    async_rc_t     (*load)(async_t *co, void *arg, async_str_t *value);
    void            *arg;
    int64_t          ttl;      /* 0: no end */
    int64_t          stale;    /* 0: not given when its ttl has passed */
} async_loader_t;

#define await_shared_get_or(co, dictionary, key, loader, value)              \
    await_shared_get_or_at(co, ASYNC_SITE, dictionary, key, loader,          \
                           sizeof(async_loader_t), value)


/*
 * Background tasks: what is to be done after the response, so that the client
 * does not wait for it.  They run in the order of these calls, one after
 * another, once the request is over and its response sent, if the handler has
 * returned ASYNC_OK; the connection serves its next request meanwhile.  They
 * have no deadline, and no client to leave; a worker that shuts down waits for
 * them, for async_shutdown_timeout at most.  A failure is logged, with file and
 * line of the call, and the next one runs.
 *
 *     typedef struct { int64_t user; const char *text; } mail_t;
 *
 *     mail_t  mail = { id, async_background_str(req, text) };
 *
 *     ASYNC_TRY(async_background(req, send_mail, &mail));
 *
 * fn(co, copy) gets a copy of *arg, which is a typed pointer.  What that points
 * to must live long enough: memory of the request does not, that of
 * async_background_alloc() lives until all background tasks of the request have
 * ended.  The second call is for a function that blocks: it runs in a thread,
 * as by await_thread().
 *
 * ASYNC_BUSY: there are async_max_tasks tasks already.  ASYNC_ERROR: no memory.
 */
#define async_background(req, fn, arg)                                       \
    async_background_at(req, ASYNC_SITE, fn, NULL, NULL, arg,                \
                        ASYNC_SIZEOF_(arg))

#define async_background_thread(req, pool, fn, arg)                          \
    async_background_at(req, ASYNC_SITE, NULL, fn, pool, arg,                \
                        ASYNC_SIZEOF_(arg))

/* Not zeroed, aligned for any type.  NULL: there is none. */
ASYNC_ANY void *async_background_alloc(async_req_t *req, size_t size);

/* A copy of the text; NULL of NULL, and if there is no memory. */
ASYNC_ANY const char *async_background_str(async_req_t *req,
    const char *text);


/*
 * Threads.  Suspends while fn(copy) runs in a thread of a pool, and gives what
 * fn has returned; "copy" is one of *arg, which is taken over from it then.
 * So "arg" is a typed pointer, and what it points to may be on the stack; NULL
 * is not one (give any pointer where fn needs nothing).
 *
 *     typedef struct { int n; double result; } sum_t;
 *
 *     sum_t  sum = { 1000, 0 };
 *
 *     ASYNC_TRY(await_thread(co, NULL, compute_sum, &sum));
 *
 * When the await ends otherwise, with ASYNC_TIMEOUT or ASYNC_CANCELLED, *arg is
 * as it was; a function that runs already runs on, with its copy, so what that
 * points to must outlive it: the request and the task do not.
 *
 * "pool" is a thread_pool of nginx.conf, NULL the one of async_thread_pool of
 * the http block.
 *
 * ASYNC_BUSY: its queue is full.  ASYNC_ERROR: there is none of this name.
 */
#define await_thread(co, pool, fn, arg)                                      \
    await_thread_at(co, ASYNC_SITE, pool, fn, arg, ASYNC_SIZEOF_(arg))

/*
 * In the thread, for that fn: notes the cause for async_error() of the caller,
 * as async_task_fail() does, and returns rc; whether the caller has stopped
 * waiting; a line of the log.  Elsewhere they do nothing.
 */
ASYNC_ANY async_rc_t async_thread_fail(async_rc_t rc, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
ASYNC_ANY int async_thread_cancelled(void);


/*
 * Processes.
 *
 *     const char       *argv[] = { "pdftotext", "-", "-", NULL };
 *     async_command_t   command = { .argv = argv, .input = pdf };
 *
 *     ASYNC_TRY(await_process(co, &command));
 *
 * await_process() suspends until the program has ended and has closed its
 * output: ASYNC_OK whatever its exit status is, unless ASYNC_PROCESS_CHECK is
 * asked for.  When the await ends otherwise, the process and all of its process
 * group have been killed and reaped.
 *
 * No shell is between: arguments are passed as they are.  The program gets no
 * descriptor of nginx, default signals, a session of its own (so a process
 * group, too), and the niceness of the threads of the pool of the http block
 * (async_thread_nice), of which one starts it.
 *
 * ASYNC_ERROR: it could not be started, wrote more than "max" to its standard
 * output, or was not successful where that is checked.  ASYNC_BUSY: the queue
 * of the pool is full.
 */
typedef struct {
    /* what is to be run: a program, looked for in PATH if it has no slash, and
       its arguments, NULL at the end.  PATH is that of nginx's workers, and
       "/bin:/usr/bin" without the directive "env PATH" */
    const char *const  *argv;

    /* or a function of ASYNC_PROCESS(), see await_process_call() */
    async_thread_pt     fn;
    void               *arg;
    size_t              arg_size;

    /* "NAME=value", NULL at the end; NULL: what nginx's workers have, which is
       what its directive "env" lets pass */
    const char *const  *env;

    /* relative to nginx's prefix; NULL: that of nginx ("working_directory") */
    const char         *dir;

    async_str_t         input;      /* its standard input; borrowed */
    size_t              max;        /* of output and errors each; 0: 1 MiB */
    int64_t             grace;      /* ms from SIGTERM to SIGKILL; 0: none */
    unsigned            flags;      /* ASYNC_PROCESS_... */

    /* What has come of it, after ASYNC_OK, and after ASYNC_ERROR of a program
       that has run.  Memory of the task, see async_task_alloc(); errors are
       cut at "max". */
    int                 status;     /* its exit status; -1: a signal ended it */
    int                 signal;
    async_str_t         output;     /* its standard output */
    async_str_t         errors;     /* its standard error */
} async_command_t;

/* standard error goes where standard output goes, in the order written */
#define ASYNC_PROCESS_MERGE   1

/* ASYNC_ERROR unless it exits with 0; the cause has its last line of errors */
#define ASYNC_PROCESS_CHECK   2

/* with await_process_open(): await_process_get_errors() reads them */
#define ASYNC_PROCESS_ERRORS  4

#define await_process(co, command)                                           \
    await_process_at(co, ASYNC_SITE, command, sizeof(*(command)))

/*
 * Suspends while fn(copy) runs in a process of its own, and gives what it has
 * returned; "copy" is one of *arg, a typed pointer, which is taken over from it
 * then, as by await_thread().  For what may crash, leak, or needs to be ended
 * in the middle; for what computes, a thread is cheaper.
 *
 * "fn" is one of ASYNC_PROCESS() in any app.  The process begins anew: it loads
 * the app and knows nothing of what the worker has in memory, so pointers in
 * *arg mean nothing there.  It has no loop: of the calls in this header only
 * async_thread_fail() and async_thread_log() do something.  What it prints goes
 * to the log, 4 KiB of it.  When the worker dies, so does it.
 *
 * ASYNC_ERROR: it has ended before it returned (the cause says how).
 */
#define await_process_call(co, fn, arg)                                      \
    await_process_call_at(co, ASYNC_SITE, fn, arg, ASYNC_SIZEOF_(arg))

/*
 * A process in pieces.  It runs while the task goes on; its standard input and
 * output are pipes, with back-pressure.
 *
 *     async_process_t  *p;
 *
 *     ASYNC_TRY(await_process_open(co, &command, &p));
 *     ASYNC_TRY(await_process_put(co, p, data, len));
 *     ASYNC_TRY(async_process_eof(co, p));
 *     ASYNC_TRY(await_process_get(co, p, buf, sizeof(buf), &n));
 *     ASYNC_TRY(await_process_close(co, p, &command));
 *
 * There is no command->input here.  Standard error is collected for
 * await_process_close(), unless ASYNC_PROCESS_ERRORS is set; then it is to be
 * read, as a process that cannot write waits.
 *
 * One that is not closed is killed with its process group when its task ends,
 * or the innermost ASYNC_MEMORY in which it has been started; that of a child
 * with its parent.  Its grace is cut short when the worker ends.
 */
typedef struct async_process_s  async_process_t;

#define await_process_open(co, command, p)                                   \
    await_process_open_at(co, ASYNC_SITE, command, sizeof(*(command)), p)

/*
 * Suspends until all of it is in the pipe; borrowed until then.  ASYNC_CLOSED:
 * the process does not read any more, or async_process_eof() was called.
 * ASYNC_BUSY: another task writes just now.
 */
#define await_process_put(co, p, data, len)                                  \
    await_process_put_at(co, ASYNC_SITE, p, data, len)

/* The process reads the end of its input.  ASYNC_BUSY: a task writes. */
ASYNC_LOOP async_rc_t async_process_eof(async_t *co, async_process_t *p);

/*
 * Suspends until there is something, and reads at most "size" bytes: *n of
 * them, 0 at the end.  ASYNC_BUSY: another task reads the same just now.
 */
#define await_process_get(co, p, buf, size, n)                               \
    await_process_get_at(co, ASYNC_SITE, p, buf, size, n)
#define await_process_get_errors(co, p, buf, size, n)                        \
    await_process_get_errors_at(co, ASYNC_SITE, p, buf, size, n)

/* kill(2) of its process group.  ASYNC_CLOSED: the process has ended. */
ASYNC_LOOP async_rc_t async_process_signal(async_t *co, async_process_t *p,
    int signal);

/*
 * Closes its input and output, and suspends until it has ended; what has come
 * of it is in *command as after await_process().  That may be another command,
 * of which nothing else is looked at; a function's *arg is the one that was
 * opened.  Whatever the answer, the process is gone then, and every call with
 * "p" answers ASYNC_ERROR; but ASYNC_BUSY, another task waits for it, reads or
 * writes, leaves it as it was.
 */
#define await_process_close(co, p, command)                                  \
    await_process_close_at(co, ASYNC_SITE, p, command, sizeof(*(command)))


/*
 * HTTP, of others and of this server.
 *
 *     async_response_t  *res;
 *     json_t            *weather;
 *
 *     ASYNC_TRY(await_fetch(co, "https://example.com/weather", NULL, &res));
 *     ASYNC_TRY(async_raise_for_status(co, res));
 *     ASYNC_TRY(async_response_json(co, res, &weather));
 *
 * await_fetch() suspends until the response (RFC 9110, 9112) is there: whatever
 * its status is, that is ASYNC_OK.  It may be called by every task.
 *
 * The URL: "http://" or "https://", then a host and what else a URL has, or
 * "http://unix:path:/uri", where the path is relative to nginx's prefix.  The
 * host may be the name of an upstream {} of nginx.conf, whose servers are then
 * chosen, counted and kept connected as nginx does; an address; or a name, in
 * /etc/hosts or known to nginx's "resolver".  "user:password@" is sent as Basic
 * credentials (RFC 7617).  Characters beyond ASCII are encoded; a space or a
 * control character is an error, as NULL is.
 *
 * A request that failed is not repeated, except on another address when there
 * was no connection, and on another connection when a kept one turned out to be
 * closed and nothing had come; this, if the method is idempotent (RFC 9110,
 * 9.2.2), and three times at most.
 *
 * await_subrequest() does the same with a location of this server, "/path" or
 * "/path?args", without a connection: as nginx's subrequests do, it also
 * reaches those that are "internal", and no access rule (allow, deny,
 * auth_basic, auth_request) is looked at.  It has the header fields of the
 * client's request but those about its body, Accept-Encoding, Range, and
 * conditions; nginx variables of its own; what its location answers, before
 * gzip and SSI.  One that nobody waits for any more is ended if a handler or a
 * proxy serves it, otherwise it ends by itself and its answer is dropped.  It
 * takes memory of the request until that ends.  A request may have a hundred at
 * once.
 *
 * The response is borrowed, memory of the task (see async_task_alloc()).
 */
typedef struct async_response_s  async_response_t;

/* Gives the next bytes of what is to be sent, *n of them, 0 at the end. */
typedef async_rc_t (*async_source_pt)(async_t *co, void *arg, void *buf,
    size_t size, size_t *n);

typedef struct {
    /* a token (RFC 9110, 5.6.2); NULL: GET, or POST if there is a body */
    const char         *method;

    /* ASYNC_PAIRS("X-Token", token, "Accept", "text/csv").  With a value of
       NULL it is as if the pair were not there; in subrequests, the client's
       field is left out.  Not to be set: Connection, Content-Length, Expect,
       Keep-Alive, Proxy-Connection, TE, Trailer, Transfer-Encoding, Upgrade. */
    const char *const  *headers;

    /* pairs, too: encoded, and put behind the arguments that the URL has */
    const char *const  *query;

    /* What is sent, one of the three: bytes, borrowed; JSON, which is stolen
       and set to NULL; or what a function gives, which may await: "length"
       bytes of it, 0: as many as come, chunked (RFC 9112, 7.1).  The last not
       in subrequests. */
    async_str_t         body;
    json_t             *json;
    async_source_pt     source;
    void               *source_arg;
    int64_t             length;

    /* In ms; 0: none, and those of async_fetch_connect_timeout and so on.  The
       first is for the await as a whole, the others for one wait each.  None of
       them sticks.  In subrequests, only the first. */
    int64_t             timeout;
    int64_t             connect_timeout;
    int64_t             send_timeout;
    int64_t             read_timeout;

    /* of the body that is held, decoded; 0: async_fetch_max_body */
    size_t              max;

    /* How many are followed, 0: none (RFC 9110, 15.4).  Authorization and
       Cookie are left out when it goes to another scheme, host or port. */
    unsigned            redirects;

    unsigned            flags;       /* ASYNC_FETCH_... */

    /* "http://user:password@host:port": through this one (RFC 9110, 9.3.6, for
       https).  async_fetch_allow and async_fetch_deny look at its address, not
       at that of the URL, which may be none of a unix socket then. */
    const char         *proxy;

    /* of the certificate and for SNI; NULL: the host */
    const char         *tls_name;
} async_fetch_t;

/* only the head is awaited: await_response_read() gives the body */
#define ASYNC_FETCH_STREAM  1

/* "Accept-Encoding: gzip" is sent, the answer decoded; not in subrequests */
#define ASYNC_FETCH_DECODE  2

#define await_fetch(co, url, fetch, res)                                     \
    await_fetch_at(co, ASYNC_SITE, url, fetch, ASYNC_FETCH_, res)

#define await_subrequest(co, req, uri, fetch, res)                           \
    await_subrequest_at(co, ASYNC_SITE, req, uri, fetch, ASYNC_FETCH_, res)

/*
 * Names and values by turns.  They are borrowed, as the array is, by the await.
 * In C++ write the array: { "a", "1", NULL }.
 */
#ifndef __cplusplus
#define ASYNC_PAIRS(...)                                                     \
    ((const char *const []) { __VA_ARGS__, NULL, NULL })
#endif

/*
 * What kind of failure the last one was, of these awaits, of those of sockets
 * and of await_channel(), in this task or of a child that it has joined;
 * async_error() has it in words.
 */
typedef enum {
    ASYNC_CAUSE_NONE = 0,          /* of another call */
    ASYNC_CAUSE_REQUEST = 1,       /* ASYNC_ERROR: what was to be sent */
    ASYNC_CAUSE_URL = 2,           /* ASYNC_ERROR: malformed */
    ASYNC_CAUSE_NAME = 3,          /* ASYNC_ERROR: the host is not known */
    ASYNC_CAUSE_DENIED = 4,        /* ASYNC_ERROR: async_fetch_deny */
    ASYNC_CAUSE_CONNECT = 5,       /* ASYNC_ERROR: refused, unreachable */
    ASYNC_CAUSE_TLS = 6,           /* ASYNC_ERROR: handshake, certificate */
    ASYNC_CAUSE_RESET = 7,         /* ASYNC_CLOSED: broken off */
    ASYNC_CAUSE_TIMEOUT = 8,       /* ASYNC_TIMEOUT, of this call alone */
    ASYNC_CAUSE_PROTOCOL = 9,      /* ASYNC_ERROR: that is not HTTP */
    ASYNC_CAUSE_TOO_LARGE = 10,    /* ASYNC_ERROR: head or body */
    ASYNC_CAUSE_REDIRECT = 11,     /* ASYNC_ERROR: too many, or to nowhere */
    ASYNC_CAUSE_STATUS = 12,       /* ASYNC_ERROR: async_raise_for_status() */
    ASYNC_CAUSE_JSON = 13,         /* ASYNC_ERROR: async_response_json() */
    ASYNC_CAUSE_SHUTDOWN = 14      /* ASYNC_CLOSED: of await_channel() */
} async_cause_t;

ASYNC_LOOP async_cause_t async_cause(async_t *co);

ASYNC_LOOP int async_response_status(async_response_t *res);

/* The body, of length zero if there is none, or it is read in pieces. */
ASYNC_LOOP async_str_t async_response_body(async_response_t *res);

/* A field by name, in any case; the first one of several, or absent. */
ASYNC_LOOP async_str_t async_response_header(async_response_t *res,
    const char *name);

/* The i-th field, from 0, as it came.  Returns 0 past the last one, else 1. */
ASYNC_LOOP int async_response_header_at(async_response_t *res, size_t i,
    async_str_t *name, async_str_t *value);

/* The value that it sets for the cookie (RFC 6265, 5.2), or absent. */
ASYNC_LOOP async_str_t async_response_cookie(async_response_t *res,
    const char *name);

/* The URL that has answered, after redirects and without credentials. */
ASYNC_LOOP async_str_t async_response_url(async_response_t *res);

/* ASYNC_ERROR unless the status is from 200 to 299. */
ASYNC_LOOP async_rc_t async_raise_for_status(async_t *co,
    async_response_t *res);

/*
 * The body as JSON (RFC 8259), whatever its Content-Type.  *value is borrowed:
 * take json_incref() to give it to a call that steals.  ASYNC_ERROR for what
 * await_json() does not take, an empty one too.
 */
ASYNC_LOOP async_rc_t async_response_json(async_t *co, async_response_t *res,
    json_t **value);

/*
 * Suspends until there is more of the body: *n bytes, at most "size"; 0 at its
 * end.  The other side is not read from faster than this.
 *
 * ASYNC_CLOSED: broken off before the end.  ASYNC_BUSY: another task reads it.
 * ASYNC_ERROR: what has come is not HTTP, or cannot be decoded.
 */
#define await_response_read(co, res, buf, size, n)                           \
    await_response_read_at(co, ASYNC_SITE, res, buf, size, n)

/*
 * Breaks off what is still to come, and frees the body.  What is not closed is
 * when the task ends, or its innermost ASYNC_MEMORY.  Does not suspend.
 */
ASYNC_LOOP void async_response_close(async_t *co, async_response_t *res);


/*
 * Sockets, for protocols that nobody has wrapped.
 *
 *     async_socket_t  *s;
 *     async_str_t      line;
 *
 *     ASYNC_TRY(await_connect(co, "127.0.0.1:6379", NULL, &s));
 *     ASYNC_TRY(await_send_all(co, s, "PING\r\n", 6));
 *     ASYNC_TRY(await_recv_until(co, s, "\r\n", 512, &line));
 *     async_socket_keep(co, s);
 *
 * await_connect() suspends until there is a connection to "host:port",
 * "[2001:db8::1]:port" or "unix:path", which is relative to nginx's prefix.  A
 * name is looked up in /etc/hosts, then by nginx's "resolver"; its addresses
 * are tried in their order.  NULL is ASYNC_ERROR.
 *
 * One task may receive while another one sends: a second one is ASYNC_BUSY.  A
 * socket that is not closed is when its task ends, or the innermost
 * ASYNC_MEMORY in which it was connected; that of a child with its parent.
 *
 * Timeouts are of one wait each, in ms, and do not stick: 0 for those of
 * async_fetch_connect_timeout, async_fetch_read_timeout and _send_timeout of
 * the location, or of the http block in tasks without a request.  So
 * await_connect() may take resolver_timeout, then connect_timeout for each
 * address of the name, of which there are 16 at most, and once more for TLS;
 * an ASYNC_DEADLINE around it bounds the whole.
 *
 * ASYNC_ERROR: the address, the name, the connection, the certificate; the
 * cause tells.  ASYNC_TIMEOUT: not in time.  ASYNC_CLOSED: the other side has
 * broken off.  After any of these from another call than await_connect(), and
 * after a cancel, the socket is good for nothing but being closed.
 */
typedef struct async_socket_s  async_socket_t;

typedef struct {
    unsigned     flags;              /* ASYNC_SOCKET_TLS */
    const char  *tls_name;           /* of the certificate, and for SNI (RFC
                                        6066, 3); NULL: the host */
    const char  *pool;               /* see async_socket_keep() */
    int64_t      connect_timeout;    /* of each address; of TLS once more */
    int64_t      recv_timeout;
    int64_t      send_timeout;
} async_socket_options_t;

/*
 * TLS from the start (RFC 8446), by the directives async_fetch_ssl_...: the
 * certificate is verified unless async_fetch_ssl_verify is off.
 */
#define ASYNC_SOCKET_TLS  1

#define await_connect(co, address, options, s)                               \
    await_connect_at(co, ASYNC_SITE, address, options, ASYNC_OPTIONS_, s)

/*
 * Suspends until there is something: *n bytes, at most "size"; 0 at the end.
 * An end of TLS that the other side has not told of is ASYNC_CLOSED (RFC 8446,
 * 6.1): it may be that of somebody on the way.
 */
#define await_recv(co, s, buf, size, n)                                      \
    await_recv_at(co, ASYNC_SITE, s, buf, size, n)

/* Suspends until all "len" bytes have come.  ASYNC_CLOSED: the end before. */
#define await_recv_all(co, s, buf, len)                                      \
    await_recv_all_at(co, ASYNC_SITE, s, buf, len)

/*
 * Suspends until the delimiter has come: *text is what stands before it, at
 * most "max" bytes, borrowed until the next call that receives, gives the
 * socket back or closes it.  ASYNC_CLOSED: the end before.  ASYNC_ERROR: not
 * within "max" bytes.
 */
#define await_recv_until(co, s, delimiter, max, text)                        \
    await_recv_until_at(co, ASYNC_SITE, s, delimiter, max, text)

/* Suspends until all is with the kernel; borrowed until then. */
#define await_send_all(co, s, data, len)                                     \
    await_send_all_at(co, ASYNC_SITE, s, data, len)

/* Does not suspend. */
ASYNC_LOOP void async_socket_close(async_t *co, async_socket_t *s);

/*
 * Gives it back, and closes it for the caller: the next await_connect() in this
 * worker to the same address, with the same options and directives, takes it
 * instead of a new connection.  That needs options->pool: any text that says
 * what has been agreed on (the user that has logged in, say).  One on which
 * something has come that nobody received, or a task still waits, is closed.
 * Bounds: async_fetch_keepalive.
 */
ASYNC_LOOP void async_socket_keep(async_t *co, async_socket_t *s);

/* Nonzero if it was kept before: it is logged in, and may have gone stale. */
ASYNC_LOOP int async_socket_reused(async_t *co, async_socket_t *s);


/*
 * Models: what is in a struct.  One descriptor makes the struct from JSON, from
 * parameters, forms and rows, checks it, writes it as JSON, and documents it.
 *
 *     typedef struct {
 *         int64_t       id;
 *         const char   *text;
 *         bool          completed;
 *         int32_t      *priority;
 *         const char  **tags;
 *         size_t        n_tags;
 *     } note_t;
 *
 *     ASYNC_MODEL(note_model, note_t,
 *         ASYNC_FIELD(note_t, id),
 *         ASYNC_FIELD(note_t, text),
 *         ASYNC_FIELD(note_t, completed, ASYNC_WITH(name, "done")),
 *         ASYNC_FIELD(note_t, priority),
 *         ASYNC_LIST(note_t, tags, n_tags)
 *     );
 *
 * defines  const async_model_t note_model,  outside of functions, as constant
 * data.  Its name is unique in the app; another file of it says
 * ASYNC_USE_MODEL(note_model, note_t).  That in a header, or models that name
 * each other: see there.
 *
 * What a member is, the compiler finds out; one that is none of these does not
 * compile:
 *
 *     integers of 8 to 64 bits  int8_t to uint64_t, int, size_t and so on, an
 *                               enum, but char; a value that does not fit is
 *                               an error
 *     bool, float, double
 *     const char *              text, zero-terminated
 *     async_str_t               text with its length, or bytes
 *     json_t *                  any JSON, borrowed
 *     a pointer to a number or  an optional one, NULL: null; memory of the
 *     bool                      task, see async_task_alloc()
 *
 * ASYNC_LIST() is a pointer to items, memory of the task, and a member of type
 * size_t for how many there are.  Items are numbers, bool, const char * and
 * async_str_t; their text is memory of the task, too.  Null is never an item.
 *
 * Members that the model does not name are left alone; in an array that a call
 * makes they are zero.
 *
 * Attributes, any number of them behind the member, each by ASYNC_WITH(), in C
 * also as ".name = ...":
 *
 *     name      how the field is called outside; NULL: as the member
 *     optional  1: may be null, and then is NULL, absent, and NULL with 0 for a
 *               list, of which an empty one is not NULL.  For text, bytes, JSON
 *               and lists; a number is, if it is a pointer to one
 *     type      what the member alone does not tell, async_field_type_t
 *     in        of a parameter: where it is, async_in_t.  A header "x_token"
 *               without a name is "x-token".  What is in the path is always
 *               there, once: it has no default, and is no list
 *     required  1: an optional field must be there, if only as null; the others
 *               must, unless they have a default
 *     default_value, or ASYNC_DEFAULT(text)
 *               of what is not there: its text, as in a query; that of a list,
 *               or of text and so on that JSON alone can write, as JSON
 *     gt, ge, lt, le, or ASYNC_GT(number) and so on
 *               bounds of a number: ">", ">=", "<", "<="; as text.  The range
 *               of its type bounds an integer anyway
 *     min_length, max_length
 *               of text, in characters, and of lists, in items; 0: none
 *     pattern   of text: a regular expression (PCRE2, with the classes of
 *               Unicode) that is somewhere in it, "^...$" for all of it.  What
 *               is not found within a bound of steps, does not match
 *     choices   the only values that text may have, an array with NULL behind
 *               the last.  Of an integer: the names of 0, 1 and so on, as those
 *               of an enum
 *     check     a function of yours, called when all else fits, but not of a
 *               default.  May be called in any thread
 *     title, description, example
 *               for the document; the example as the default is
 *
 * Of lists the attributes but min_length and max_length are those of the items.
 *
 * Structs within structs have a model of their own:
 *
 *     ASYNC_OBJECT(order_t, address, address_model)     a struct, or a pointer
 *                                                       to one: optional
 *     ASYNC_OBJECTS(order_t, items, n_items, item_model)  a list of structs
 *
 * A model may name itself, with a pointer or a list.
 *
 * nginx -t refuses an app of which a model has two fields of one name, fields
 * that overlap or lie outside of the struct, attributes that do not fit, a
 * pattern or default that is none, and names model and field.
 */
typedef enum {
    ASYNC_FIELD_PLAIN = 0,
    ASYNC_FIELD_TIME = 1,      /* int64_t: ms since 1970; RFC 3339 outside */
    ASYNC_FIELD_BYTES = 2,     /* async_str_t: any bytes; base64 outside */
    ASYNC_FIELD_UUID = 3,      /* text: 36 characters in lower case */
    ASYNC_FIELD_DATE = 4       /* text: "2026-01-31" */
} async_field_type_t;

/* where a parameter is */
typedef enum {
    ASYNC_IN_ANY = 0,          /* path if the route names it, else query */
    ASYNC_IN_PATH = 1,
    ASYNC_IN_QUERY = 2,
    ASYNC_IN_HEADER = 3,
    ASYNC_IN_COOKIE = 4
} async_in_t;

/* NULL: the value, of which this is the address, is valid; or what is wrong */
typedef const char *(*async_check_pt)(const void *member);

/* By ASYNC_FIELD() and ASYNC_LIST() only: later versions have more. */
typedef struct {
    const char          *member;
    size_t               offset;
    size_t               count;        /* of a list: offset of its number */
    int                  kind;         /* ASYNC_MEMBER_... */

    int                  type;         /* the attributes */
    const char          *name;
    int                  optional;

    const async_model_t *model;        /* of an object */
    int                  in;           /* ASYNC_IN_... */
    int                  required;
    const char          *default_value;
    const char          *gt;
    const char          *ge;
    const char          *lt;
    const char          *le;
    size_t               min_length;
    size_t               max_length;
    const char          *pattern;
    const char *const   *choices;
    async_check_pt       check;
    const char          *title;
    const char          *description;
    const char          *example;
} async_field_t;

struct async_model_s {
    size_t               size;         /* of this */
    const char          *name;
    const char          *site;
    const char          *type;         /* the struct: its name and size */
    size_t               type_size;
    const async_field_t *fields;
    size_t               field_size;
    size_t               n;
    void               **schema;       /* of the module */
};

#define ASYNC_FIELD(...)    ASYNC_FIELD_(__VA_ARGS__, ASYNC_LAST_)
#define ASYNC_LIST(...)     ASYNC_LIST_(__VA_ARGS__, ASYNC_LAST_)
#define ASYNC_OBJECT(...)   ASYNC_OBJECT_(__VA_ARGS__, ASYNC_LAST_)
#define ASYNC_OBJECTS(...)  ASYNC_OBJECTS_(__VA_ARGS__, ASYNC_LAST_)

#define ASYNC_DEFAULT(text)  ASYNC_WITH(default_value, text)
#define ASYNC_GT(number)     ASYNC_WITH(gt, #number)
#define ASYNC_GE(number)     ASYNC_WITH(ge, #number)
#define ASYNC_LT(number)     ASYNC_WITH(lt, #number)
#define ASYNC_LE(number)     ASYNC_WITH(le, #number)

/*
 * Declares one that another file of the app defines, or this one further down.
 * Stands once a file, outside of functions, in a header that all share, say:
 * what defines it behind that is ASYNC_DEFINE_MODEL(model, type, fields...).
 * ASYNC_MODEL() is both.
 *
 *     ASYNC_USE_MODEL(author_model, author_t)
 *     ASYNC_USE_MODEL(book_model, book_t)
 *
 *     ASYNC_DEFINE_MODEL(author_model, author_t,
 *         ASYNC_OBJECTS(author_t, books, n_books, book_model));
 *     ASYNC_DEFINE_MODEL(book_model, book_t,
 *         ASYNC_OBJECT(book_t, author, author_model));
 */
#define ASYNC_USE_MODEL(model, type)                                         \
    ASYNC_EXTERN_C const async_model_t model;                                \
    typedef type async_type_of_##model;                                      \
    ASYNC_UNUSED static inline const type *                                  \
    model##_of(async_req_t *req)                                             \
    {                                                                        \
        return (const type *) async_declared_(req, &model);                  \
    }

#define ASYNC_MODEL(model, type, ...)                                        \
    ASYNC_USE_MODEL(model, type)                                             \
    ASYNC_DEFINE_MODEL(model, type, __VA_ARGS__)

/* the second "typedef" compiles if it is of the same type */
#define ASYNC_DEFINE_MODEL(model, type, ...)                                 \
    typedef type async_type_of_##model;                                      \
    static void *async_schema_of_##model;                                    \
    static ASYNC_CONST_ async_field_t async_fields_of_##model[] =            \
        { __VA_ARGS__ };                                                     \
    const async_model_t model = {                                            \
        sizeof(async_model_t), #model, ASYNC_SITE, #type, sizeof(type),      \
        async_fields_of_##model, sizeof(async_field_t),                      \
        sizeof(async_fields_of_##model) / sizeof(async_field_t),             \
        &async_schema_of_##model                                             \
    };                                                                       \
    __attribute__((section("async_models"), used))                           \
    static const async_model_t *const async_modelled_##model = &model


/*
 * Structs from the outside, by their model.  What fits is read as pydantic (in
 * its lax mode) reads it; members that the model does not name, and of JSON
 * what the model has no field for, are left alone.  All memory is the
 * request's, in async_into() the task's (see async_task_alloc()).
 *
 * ASYNC_INVALID: all errors are recorded for the 422, but by async_into(), of
 * which async_error() tells the first one.  The struct's fields are zero then,
 * as after any other error: nothing is partly applied.
 *
 * "value" points to the struct; ASYNC_ERROR if it is not as large as the
 * model's.  For who has declared the model, these have been called.
 */

/* The JSON body; suspends as await_json(), the other only parses: it has been
 * read, by an await, or for a blocking handler. */
#define await_json_into(co, req, model, value)                               \
    await_json_into_at(co, ASYNC_SITE, req, model, value,                    \
                       ASYNC_SIZEOF_(value))
#define async_json_into(req, model, value)                                   \
    async_json_into_(req, model, value, ASYNC_SIZEOF_(value))

/* Parameters of path, query, headers and cookies; does not suspend. */
#define async_params_into(req, model, value)                                 \
    async_params_into_(req, model, value, ASYNC_SIZEOF_(value))

/* The form of the body; suspends as await_form(). */
#define await_form_into(co, req, model, value)                               \
    await_form_into_at(co, ASYNC_SITE, req, model, value,                    \
                       ASYNC_SIZEOF_(value))
#define async_form_into(req, model, value)                                   \
    async_form_into_(req, model, value, ASYNC_SIZEOF_(value))

/* Any JSON text, async_response_body() say; does not suspend. */
#define async_into(co, text, model, value)                                   \
    async_into_(co, text, model, value, ASYNC_SIZEOF_(value))

/*
 * Structs as JSON, straight into the response: the fields of the model in their
 * order, nothing else.  So a model with less fields of the same struct keeps
 * the others back.  NULL for "value" is null; so is an optional field that is
 * NULL.  NULL for "values" is an empty list, with n of zero.  Otherwise as
 * async_json().
 *
 * Do not suspend.  ASYNC_ERROR, of which async_error() names the place: what is
 * NULL and not optional, text that is not UTF-8, NaN, infinity, a number or a
 * text that is none of its choices, a time not within the years from 1 to 9999,
 * an upload, and more than 1,000 levels, that is circles, too.  What else the
 * model says of a field is not looked at.
 */
#define async_respond(req, status, model, value)                             \
    async_respond_(req, status, model, value, ASYNC_SIZEOF_(value))
#define async_respond_all(req, status, model, values, n)                     \
    async_respond_all_(req, status, model, values, ASYNC_SIZEOF_(values), n)

/*
 * Of a JSON value that has been made otherwise (an object, or an array of
 * them), the fields of the model: those that are there, in its order, and as
 * they are; within ASYNC_OBJECT() and ASYNC_OBJECTS() the same.  Steals, also
 * on failure.  ASYNC_ERROR for other values, but null.
 */
ASYNC_ANY async_rc_t async_respond_json(async_req_t *req, int status,
    const async_model_t *model, json_t *value);

/* The text of async_respond(), or absent; memory of the task. */
#define async_encode(co, model, value, text)                                 \
    async_encode_(co, model, value, ASYNC_SIZEOF_(value), text)


/*
 * PostgreSQL, by libpq, in pools of connections that the directive async_pg
 * declares, one of each name a worker.
 *
 *     async_pg_result_t  *notes;
 *
 *     ASYNC_TRY(await_pg(co, "db", &notes,
 *                        "SELECT id, text FROM notes WHERE owner = $1",
 *                        ASYNC_TEXT(owner)));
 *
 *     return async_pg_respond(req, 200, notes);
 *
 * await_pg() suspends until a connection is free and the statement has been
 * executed.  Values are passed beside the SQL, never in it: for $1, $2 and so
 * on in their order, or for ":name" by ASYNC_NAMED("name", value), then all of
 * them.  It is one statement, which is prepared once a connection, by its text.
 *
 * The server finds the type of a value by its place: a column that it is stored
 * in or compared with, an operator.  Where there is none, say it: $1::int8.  A
 * colon begins a name unless it is doubled, stands before "=", or right behind
 * a word, a number, a quote or a bracket that closes; nothing is looked for in
 * strings and comments.
 *
 * Inside of a transaction of the task, see await_pg_begin(), it is a statement
 * of that; otherwise it stands alone.  What it changes in its session by words
 * of its SQL (SET, LISTEN, advisory locks and so on) is undone after that; what
 * functions of yours change stays: have them use set_config(name, value, true).
 *
 * Calls that await the database return, beside what any await does:
 *
 *     ASYNC_ERROR    the server has refused it, async_pg_error() has the
 *                    SQLSTATE; or it cannot be sent: the number of values, a
 *                    text that is not UTF-8 or has a zero; or there is no
 *                    connection, async_cause() is ASYNC_CAUSE_CONNECT, or
 *                    ASYNC_CAUSE_NAME: the host is not known; or there is no
 *                    such pool
 *     ASYNC_CLOSED   the connection was lost, async_cause() is
 *                    ASYNC_CAUSE_RESET: whether the statement has been executed
 *                    is not known
 *     ASYNC_BUSY     the queue of the pool is full; or a stream or a COPY has
 *                    the connection of the transaction, see await_pg_stream()
 *     ASYNC_TIMEOUT  no connection was free within acquire_timeout, or made
 *                    within connect_timeout, async_cause() is
 *                    ASYNC_CAUSE_TIMEOUT; this does not stick
 *
 * After any deadline or cancel, the statement is cancelled on the server, but
 * not while somebody else waits on the connection (async_pg ... shared=on).
 *
 * The result is borrowed, memory of the task (see async_task_alloc()), and may
 * be freed before.  It is NULL unless ASYNC_OK.  Who wants none gives NULL for
 * its address.
 */
typedef struct async_pg_result_s  async_pg_result_t;

/*
 * A value of a statement.  What a pointer in it leads to is borrowed until the
 * await ends, but that of ASYNC_JSON(), which is stolen, also on failure.
 *
 *     ASYNC_INT(n)            int64_t
 *     ASYNC_FLOAT(x)          double, also NaN and infinity
 *     ASYNC_BOOL(b)
 *     ASYNC_TEXT(s)           const char * or async_str_t, UTF-8, for each type
 *                             that has a text form: text, uuid, numeric, date,
 *                             inet; NULL or absent: null
 *     ASYNC_BYTES(data, len)  bytea; NULL: null
 *     ASYNC_JSON(value)       json_t *, for json and jsonb
 *     ASYNC_TIME(ms)          milliseconds since 1970, for timestamptz
 *     ASYNC_INTS(p, n)        arrays: of n int64_t, double, const char *
 *     ASYNC_FLOATS(p, n)
 *     ASYNC_TEXTS(p, n)
 *     ASYNC_NULL
 *     ASYNC_NAMED(name, value)  for ":name" in the SQL
 */
typedef enum {
    ASYNC_VALUE_NULL = 0,
    ASYNC_VALUE_INT = 1,
    ASYNC_VALUE_FLOAT = 2,
    ASYNC_VALUE_BOOL = 3,
    ASYNC_VALUE_TEXT = 4,
    ASYNC_VALUE_BYTES = 5,
    ASYNC_VALUE_JSON = 6,
    ASYNC_VALUE_TIME = 7,
    ASYNC_VALUE_INTS = 8,
    ASYNC_VALUE_FLOATS = 9,
    ASYNC_VALUE_TEXTS = 10
} async_value_type_t;

typedef struct {
    async_value_type_t  type;
    const char         *name;        /* NULL: by its place */
    int64_t             integer;     /* INT, BOOL, TIME */
    double              number;      /* FLOAT */
    const void         *data;        /* the others; NULL: null */
    size_t              len;         /* of data: bytes, or items */
} async_value_t;

static inline async_value_t
async_value_(async_value_type_t type, int64_t integer, double number,
    const void *data, size_t len)
{
    async_value_t  value;

    value.type = type;
    value.name = NULL;
    value.integer = integer;
    value.number = number;
    value.data = data;
    value.len = len;

    return value;
}

static inline async_value_t
async_value_cstr_(const char *text)
{
    return async_value_(ASYNC_VALUE_TEXT, 0, 0, text,
                        text ? __builtin_strlen(text) : 0);
}

static inline async_value_t
async_value_str_(async_str_t text)
{
    return async_value_(ASYNC_VALUE_TEXT, 0, 0, text.data, text.len);
}

static inline async_value_t
async_value_named_(const char *name, async_value_t value)
{
    value.name = name;

    return value;
}

#define ASYNC_NULL          async_value_(ASYNC_VALUE_NULL, 0, 0, NULL, 0)
#define ASYNC_INT(n)        async_value_(ASYNC_VALUE_INT, (n), 0, NULL, 0)
#define ASYNC_FLOAT(x)      async_value_(ASYNC_VALUE_FLOAT, 0, (x), NULL, 0)
#define ASYNC_BOOL(b)       async_value_(ASYNC_VALUE_BOOL, !!(b), 0, NULL, 0)
#define ASYNC_BYTES(p, n)   async_value_(ASYNC_VALUE_BYTES, 0, 0, (p), (n))
#define ASYNC_JSON(v)       async_value_(ASYNC_VALUE_JSON, 0, 0, (v), 0)
#define ASYNC_TIME(ms)      async_value_(ASYNC_VALUE_TIME, (ms), 0, NULL, 0)
#define ASYNC_INTS(p, n)    async_value_(ASYNC_VALUE_INTS, 0, 0, (p), (n))
#define ASYNC_FLOATS(p, n)  async_value_(ASYNC_VALUE_FLOATS, 0, 0, (p), (n))
#define ASYNC_TEXTS(p, n)   async_value_(ASYNC_VALUE_TEXTS, 0, 0, (p), (n))
#define ASYNC_NAMED(name, value)  async_value_named_((name), (value))

#ifdef __cplusplus

extern "C++" {

static inline async_value_t
async_value_text_(const char *text)
{
    return async_value_cstr_(text);
}

static inline async_value_t
async_value_text_(async_str_t text)
{
    return async_value_str_(text);
}

}

#define ASYNC_TEXT(s)  async_value_text_(s)

#else

#define ASYNC_TEXT(s)                                                        \
    _Generic((s), async_str_t: async_value_str_,                             \
                  default: async_value_cstr_)(s)

#endif

#ifdef __cplusplus
#define await_pg(co, pool, result, ...)                                      \
    async_pg_(co, ASYNC_SITE, pool, result, __VA_ARGS__)
#else
#define await_pg(co, pool, result, sql, ...)                                 \
    await_pg_at(co, ASYNC_SITE, pool, result, sql,                           \
                ASYNC_VALUES_(__VA_ARGS__))
#endif

/*
 * What the server has said of the last statement of this task, if that failed,
 * or of the connection that it refused, then sqlstate and message alone, such
 * as 28P01 and 53300; NULL: it was nothing of the server.  Borrowed until the
 * task's next await of the database, await_pg_rollback() as well: ask before.
 * await_pg_transaction() leaves that of its function.  Texts are
 * zero-terminated, "" if there is none; for logs, as those of async_error().
 * "size" is that of the struct.
 *
 *     if (strcmp(async_pg_error(co)->sqlstate, "23505") == 0) { ... 409 ... }
 *
 * Codes: "PostgreSQL Error Codes" of its documentation.
 */
typedef struct {
    size_t       size;
    const char  *sqlstate;
    const char  *message;
    const char  *detail;
    const char  *hint;
    const char  *schema;
    const char  *table;
    const char  *column;
    const char  *constraint;
    const char  *datatype;
    int          position;           /* in the SQL, in characters from 1; 0 */
} async_pg_error_t;

ASYNC_LOOP const async_pg_error_t *async_pg_error(async_t *co);

/* whether it is that SQLSTATE: async_pg_failed(co, "23505") */
ASYNC_LOOP int async_pg_failed(async_t *co, const char *sqlstate);

/*
 * Rows, columns, their names (NULL: there is none); rows that an INSERT, UPDATE
 * or so has touched, for a SELECT those that it has given.  After
 * async_pg_free(), and of NULL, there are none.
 */
ASYNC_LOOP size_t async_pg_rows(async_pg_result_t *result);
ASYNC_LOOP size_t async_pg_columns(async_pg_result_t *result);
ASYNC_LOOP const char *async_pg_column(async_pg_result_t *result, size_t i);
ASYNC_LOOP int64_t async_pg_affected(async_pg_result_t *result);

/*
 * A value by row, from 0, and the name of its column, as the server writes it.
 * Absent, and null for _is_null: null, or there is none.  Borrowed, as long as
 * the result; zero-terminated.
 *
 * Here and below a name is that of the server, letter case counts.  If there
 * are several of it, the last one is taken.
 */
ASYNC_LOOP async_str_t async_pg_text(async_pg_result_t *result, size_t row,
    const char *column);
ASYNC_LOOP int async_pg_is_null(async_pg_result_t *result, size_t row,
    const char *column);

/*
 * Typed ones.  ASYNC_ERROR, async_error() tells why: there is no such row or
 * column, it is null, or of another type; then the value is zero.
 *
 *     _int          the integer types, and oid
 *     _float        those, float4, float8 and numeric, which may lose digits;
 *                   a numeric beyond double is an error
 *     _bool         boolean: 0 or 1
 *     _time         timestamptz, timestamp (as of UTC) and date, in ms since
 *                   1970, rounded down; infinity is an error
 *     _bytes        bytea, decoded, zero-terminated; memory of the task, which
 *                   outlives the result
 *     _value_json   json and jsonb, borrowed, as long as the result, and
 *                   parsed once; what await_json() does not take is an error
 */
ASYNC_LOOP async_rc_t async_pg_int(async_t *co, async_pg_result_t *result,
    size_t row, const char *column, int64_t *value);
ASYNC_LOOP async_rc_t async_pg_float(async_t *co, async_pg_result_t *result,
    size_t row, const char *column, double *value);
ASYNC_LOOP async_rc_t async_pg_bool(async_t *co, async_pg_result_t *result,
    size_t row, const char *column, int *value);
ASYNC_LOOP async_rc_t async_pg_time(async_t *co, async_pg_result_t *result,
    size_t row, const char *column, int64_t *value);
ASYNC_LOOP async_rc_t async_pg_bytes(async_t *co, async_pg_result_t *result,
    size_t row, const char *column, async_str_t *value);
ASYNC_LOOP async_rc_t async_pg_value_json(async_t *co,
    async_pg_result_t *result, size_t row, const char *column,
    json_t **value);

/*
 * Rows into structs, by a model: see ASYNC_MODEL().
 *
 *     note_t  note, *notes;
 *     size_t  n;
 *
 *     ASYNC_TRY(async_pg_into(co, result, row, &note_model, &note));
 *     ASYNC_TRY(async_pg_all_into(co, result, &note_model, &notes, &n));
 *
 * Each field takes the column of its name; other columns are left alone.
 *
 *     integers               the integer types, and oid
 *     float, double          those, float4, float8 and numeric, rounded
 *     bool                   boolean
 *     const char *,          each type, as the server writes it; as long as
 *     async_str_t            the result
 *     json_t *               json and jsonb, as long as the result
 *     ASYNC_FIELD_TIME       as async_pg_time()
 *     ASYNC_FIELD_BYTES      bytea, decoded; memory of the task
 *     ASYNC_FIELD_UUID,      uuid, date, or text that is one, in its one form;
 *     ASYNC_FIELD_DATE       as long as the result
 *     integers with choices  text, an enum too, that is the name of one
 *     lists                  arrays of these types, of one dimension
 *     ASYNC_OBJECT(),        json and jsonb, read and checked as a body is;
 *     ASYNC_OBJECTS()        memory of the task
 *
 * Bounds, lengths, patterns, the choices of text and "check" are not looked at,
 * but within JSON.
 *
 * *notes is an array of n, memory of the task, see async_task_alloc(), which
 * outlives the result but for the text and JSON above; NULL if n is zero.  Of
 * many rows, one after another, a block with ASYNC_MEMORY frees what is made.
 *
 * Do not suspend.  ASYNC_ERROR, async_error() names row and column: there is no
 * such row or column, it is of another type, a value does not fit, one is null
 * and the field is not optional.  Then the fields of *value are zero, *notes is
 * NULL, and n is zero.  ASYNC_ERROR, too, but *value is left alone: the struct
 * is not of the size that the model has.
 */
#define async_pg_into(co, result, row, model, value)                         \
    async_pg_into_(co, result, row, model, value, ASYNC_SIZEOF_(value))
#define async_pg_all_into(co, result, model, values, n)                      \
    async_pg_all_into_(co, result, model, values, ASYNC_SIZEOF_(*(values)), n)

/*
 * Rows as JSON, by the types of the columns:
 *
 *     smallint, integer, bigint, oid   a number
 *     float4, float8   a number; NaN and infinity: null
 *     numeric          a number with all its digits; NaN and infinity: null
 *     boolean          true, false
 *     json, jsonb      as they are
 *     timestamp        "2026-11-21T21:30:00.123"
 *     timestamptz      by RFC 3339, in the session's time zone, "Z" for UTC:
 *                      "2026-11-21T21:30:00.123Z"; infinity, years BC, and all
 *                      if DateStyle is not ISO: as the server writes it
 *     date, time       "2026-11-21", "21:30:00"; with a zone "21:30:00Z"
 *     interval         by ISO 8601: "P1Y2M3DT4H5M6.7S", each part with a sign
 *                      of its own, as the server has it for iso_8601
 *     bytea            base64 (RFC 4648, 4), with padding
 *     void             null
 *     arrays of these  arrays, of each dimension; bounds do not show
 *
 * All others are strings, as the server writes them: uuid, enums, inet, ranges,
 * composite types; and arrays of enums and other types that the server does not
 * have from the start (select to_jsonb() of them for more).
 *
 * Of columns with one name the last one counts, in the place of the first.
 *
 * async_pg_json() makes a list of objects, a new reference; of one row an
 * object, or null if there is no such row.  There numeric becomes an integer
 * within int64_t, otherwise a double, beyond that a string; json must be what
 * await_json() takes.  NULL: it is not, or no memory; async_error() tells.
 */
ASYNC_LOOP json_t *async_pg_json(async_t *co, async_pg_result_t *result);
ASYNC_LOOP json_t *async_pg_row_json(async_t *co, async_pg_result_t *result,
    size_t row);

/*
 * The response: a list of all rows as objects, or one row, null if there is no
 * such row.  The text is written at once, no tree is built: numeric keeps its
 * digits, and json the text that was stored, with its white space and names
 * that are there twice.  ASYNC_ERROR as async_json().
 */
ASYNC_LOOP async_rc_t async_pg_respond(async_req_t *req, int status,
    async_pg_result_t *result);
ASYNC_LOOP async_rc_t async_pg_respond_row(async_req_t *req, int status,
    async_pg_result_t *result, size_t row);

/* The rows of n results, one behind the other, as one list. */
ASYNC_LOOP async_rc_t async_pg_respond_all(async_req_t *req, int status,
    async_pg_result_t *const *results, size_t n);

/* Frees it, and what was borrowed of it, before its task ends; or NULL. */
ASYNC_LOOP void async_pg_free(async_t *co, async_pg_result_t *result);

/*
 * Transactions.
 *
 *     ASYNC_TRY(await_pg_begin(co, "db", ASYNC_PG_SERIALIZABLE));
 *     ASYNC_TRY(await_pg(co, "db", NULL, "UPDATE ..."));
 *     ASYNC_TRY(await_pg_commit(co, "db"));
 *
 * All of them suspend.  From begin to commit or rollback, the statements of
 * this task go to one connection; those of its children do not.  A second begin
 * is a savepoint, which has no flags, and its commit or rollback ends that.
 * What is open when the task ends, fails or is cancelled is rolled back.
 *
 * await_pg_transaction() calls fn(co, arg) between the two: it commits if that
 * returns ASYNC_OK, otherwise it rolls back and gives what fn has returned.
 *
 * Return as await_pg().  ASYNC_ERROR: also when there is no transaction, or it
 * has failed: a statement of it was refused, and only a rollback is possible,
 * which a commit of the outermost one then is.  ASYNC_CLOSED of a commit, or a
 * deadline or a cancel while it is on its way: whether it was done is not
 * known; the transaction has ended all the same.
 *
 * So it has after any failure of a rollback that has begun, a deadline and a
 * cancel as well, but ASYNC_BUSY: the server undoes it, at the latest when it
 * sees that the connection is gone.  If that was one of a savepoint, the outer
 * transaction is lost, and only a rollback of that is possible.
 *
 * Flags, beside what the server has by default: one of the two levels,
 * READ_ONLY, and DEFERRABLE, which counts with SERIALIZABLE and READ_ONLY only.
 */
#define ASYNC_PG_REPEATABLE_READ  1
#define ASYNC_PG_SERIALIZABLE     2
#define ASYNC_PG_READ_ONLY        4
#define ASYNC_PG_DEFERRABLE       8

#define await_pg_begin(co, pool, flags)                                      \
    await_pg_begin_at(co, ASYNC_SITE, pool, flags)
#define await_pg_commit(co, pool)    await_pg_commit_at(co, ASYNC_SITE, pool)
#define await_pg_rollback(co, pool)  await_pg_rollback_at(co, ASYNC_SITE, pool)
#define await_pg_transaction(co, pool, flags, fn, arg)                       \
    await_pg_transaction_at(co, ASYNC_SITE, pool, flags, fn, arg)

/*
 * Several statements in one round trip, by libpq's pipeline mode.  Suspends
 * until all of them have been answered.
 *
 *     async_pg_statement_t  s[] = {
 *         ASYNC_PG("INSERT INTO log VALUES ($1)", ASYNC_TEXT(line)),
 *         ASYNC_PG("SELECT count(*) AS n FROM log")
 *     };
 *
 *     ASYNC_TRY(await_pg_pipeline(co, "db", s, 2, 0));
 *     ASYNC_TRY(async_pg_int(co, s[1].result, 0, "n", &n));
 *
 * Each statement is as one of await_pg(), and sees what those before it did.
 * All of them are executed, or none has been: outside of a transaction of the
 * task they are one.  With ASYNC_PG_EACH each stands alone there, and one that
 * fails is no matter to the others; one that has to be prepared again comes
 * behind them.  BEGIN, COMMIT and ROLLBACK are not for a pipeline: see
 * await_pg_begin().
 *
 * The caller fills in sql, values and n, which ASYNC_PG() does in C, for the
 * block that it stands in; what the values lead to is borrowed until the await
 * ends, and JSON is stolen.  The await fills in the rest of each: result, as
 * that of await_pg(); rc; sqlstate, "" if the server did not refuse it.  Those
 * that are not executed since another one failed have ASYNC_CANCELLED.
 *
 * Returns as await_pg(), the rc of the first that failed, and async_pg_error()
 * is of that.  If there was no connection, or it was lost, or a deadline or a
 * cancel came between, that is what it returns, and the rc of all, and their
 * results are lost.  With ASYNC_PG_EACH it is the rc of those that were not
 * answered before, of which some may have been executed; the others keep their
 * own rc and result, also if a transaction is lost with them.
 *
 * Flags: 0, or ASYNC_PG_EACH.
 */
typedef struct {
    const char           *sql;
    const async_value_t  *values;
    size_t                n;
    async_pg_result_t    *result;
    async_rc_t            rc;
    char                  sqlstate[6];
} async_pg_statement_t;

#define ASYNC_PG_EACH  16

#ifndef __cplusplus
#define ASYNC_PG(...)  ASYNC_PG_(__VA_ARGS__, ASYNC_NULL)
#define ASYNC_PG_(sql, ...)  { (sql), ASYNC_PG_VALUES_(__VA_ARGS__), NULL,   \
                               ASYNC_OK, "" }
#endif

#define await_pg_pipeline(co, pool, statements, n, flags)                    \
    await_pg_pipeline_at(co, ASYNC_SITE, pool, statements,                   \
                         sizeof(*(statements)), n, flags)

/*
 * Rows of a result that is larger than memory, one at a time.
 *
 *     async_pg_stream_t  *s;
 *     async_pg_result_t  *row;
 *
 *     ASYNC_TRY(await_pg_stream(co, "db", &s, "SELECT ..."));
 *
 *     for ( ;; ) {
 *         ASYNC_TRY(await_pg_next(co, s, &row));
 *
 *         if (row == NULL) {
 *             break;
 *         }
 *
 *         ... async_pg_text(row, 0, "name") ...
 *     }
 *
 * await_pg_stream() is as await_pg(), and suspends until the first row is
 * there, or the end, or what the server says against it.  await_pg_next()
 * suspends until there is another one: a result of one row, which is borrowed,
 * with what async_pg_text() and its like give of it, until the next call; after
 * the last one it is NULL, then and ever after.  What async_pg_into() makes is
 * memory of the task, as ever.  The server sends no more than a little ahead of
 * what is read, and may itself hold back a few KB of rows until it has more of
 * them.  It may fail in the middle: then the rows before were right, but are
 * not all.  An ASYNC_DEADLINE that passes in await_pg_next() loses no row: it
 * can be called again.
 *
 * A stream has a connection of the pool until it has been read to its end, has
 * been closed, or its task or the innermost ASYNC_MEMORY in which it has been
 * opened ends; in a transaction that of the task, which takes no other
 * statement meanwhile, nor a commit or a savepoint: ASYNC_BUSY.
 * await_pg_stream_close() of one that has not been read to its end cancels it
 * on the server, without a wait, and so whatever it was to store; in a
 * transaction it suspends until the rest has been read and thrown away.
 * await_pg_rollback() closes it, and cancels it for that, also that of a
 * savepoint.  The end of an ASYNC_MEMORY cannot wait: there the transaction is
 * lost, and only a rollback is possible.
 *
 * Children may read it as their parent may, one task at a time: ASYNC_BUSY.
 */
typedef struct async_pg_stream_s  async_pg_stream_t;

#ifdef __cplusplus
#define await_pg_stream(co, pool, stream, ...)                               \
    async_pg_stream_(co, ASYNC_SITE, pool, stream, __VA_ARGS__)
#else
#define await_pg_stream(co, pool, stream, sql, ...)                          \
    await_pg_stream_at(co, ASYNC_SITE, pool, stream, sql,                    \
                       ASYNC_VALUES_(__VA_ARGS__))
#endif

#define await_pg_next(co, stream, row)                                       \
    await_pg_next_at(co, ASYNC_SITE, stream, row)
#define await_pg_stream_close(co, stream)                                    \
    await_pg_stream_close_at(co, ASYNC_SITE, stream)

/*
 * The text of a row as JSON, as async_pg_respond_row() writes it, for those who
 * send it in pieces.  Borrowed, as long as the result.  Absent: there is no
 * such row, or no memory; async_error() tells.
 */
ASYNC_LOOP async_str_t async_pg_row_text(async_t *co,
    async_pg_result_t *result, size_t row);

/*
 * COPY ... TO STDOUT and COPY ... FROM STDIN, which have no values.
 *
 *     async_pg_copy_t  *copy;
 *
 *     ASYNC_TRY(await_pg_copy(co, "db", &copy, "COPY t FROM STDIN"));
 *     ASYNC_TRY(await_pg_copy_put(co, copy, data, len));
 *     ASYNC_TRY(await_pg_copy_close(co, copy, &rows));
 *
 * await_pg_copy_get() suspends until there are data, whole lines unless the
 * format is binary, up to 64 KB of them or a longer one, which are borrowed
 * until the next call, zero-terminated; absent at the end.  A deadline that
 * passes in it loses nothing, as in await_pg_next().
 *
 * await_pg_copy_put() suspends while the server does not read on; data need not
 * be whole lines.  ASYNC_ERROR from it: the server has refused them already,
 * which is often seen before all are sent.  After any failure of it the COPY is
 * cancelled, and there is no more to be put.
 *
 * Only await_pg_copy_close() says that all was stored, or all was read, and how
 * many rows that are, which may be left out: NULL; -1: one TO STDOUT was closed
 * before its end, which is no error, and cancels it.  One FROM STDIN that is
 * not closed stores nothing.  For its connection, and in transactions, it is as
 * a stream, see await_pg_stream(): there one that is not closed makes the
 * transaction fail.
 *
 * ASYNC_ERROR: also for any other statement, which may have been executed then,
 * and for get and put where the other one is meant.
 */
typedef struct async_pg_copy_s  async_pg_copy_t;

#define await_pg_copy(co, pool, copy, sql)                                   \
    await_pg_copy_at(co, ASYNC_SITE, pool, copy, sql)
#define await_pg_copy_get(co, copy, data)                                    \
    await_pg_copy_get_at(co, ASYNC_SITE, copy, data)
#define await_pg_copy_put(co, copy, data, len)                               \
    await_pg_copy_put_at(co, ASYNC_SITE, copy, data, len)
#define await_pg_copy_close(co, copy, rows)                                  \
    await_pg_copy_close_at(co, ASYNC_SITE, copy, rows)

/*
 * LISTEN and NOTIFY.
 *
 *     async_pg_listener_t      *l;
 *     async_pg_notification_t   n;
 *
 *     ASYNC_TRY(await_pg_listen(co, "db", "orders", &l));
 *
 *     for ( ;; ) {
 *         ASYNC_TRY(await_pg_notification(co, l, &n));
 *
 *         ... n.missed ? "look what there is" : n.payload.data ...
 *     }
 *
 * All that a worker listens to in a pool comes by one connection more, which is
 * open while somebody listens.  await_pg_listen() suspends until the server
 * listens: what is notified from then on is seen.  The channel is a name as the
 * server has it, 1 to 63 bytes of UTF-8, letter case counts: "NOTIFY Orders" is
 * to "orders".
 *
 * await_pg_notification() suspends until there is one, which is borrowed until
 * the next call, or the end of the listener.  Those that come meanwhile are
 * kept, 1,000 of them; then the oldest are dropped.  "missed": there may have
 * been others before this point, since the connection was lost and is there
 * again, or since they were dropped; such a one has no payload and no process.
 * It waits while the server is away: use a deadline of your own.
 *
 * A listener is the task's, that of a child its parent's, closed when that
 * ends, or the innermost ASYNC_MEMORY in which it has been opened, or by
 * async_pg_unlisten(), which does not suspend and may be called again, or with
 * NULL.
 *
 * await_pg_listen(): ASYNC_ERROR: the server cannot be reached, or has refused
 * it, of which async_error() tells; the name is none; no memory, or there is no
 * such pool.  A pool that leads to PgBouncer in transaction mode cannot listen,
 * which nobody notices; nor is LISTEN for await_pg().
 * await_pg_notification(): ASYNC_BUSY: another task waits for this listener's.
 * ASYNC_CLOSED: another task has closed it meanwhile.  ASYNC_ERROR: it was
 * closed before.
 */
typedef struct async_pg_listener_s  async_pg_listener_t;

typedef struct {
    size_t       size;
    const char  *channel;
    async_str_t  payload;            /* zero-terminated */
    int          pid;                /* of the server process that notified */
    int          missed;
} async_pg_notification_t;

#define await_pg_listen(co, pool, channel, listener)                         \
    await_pg_listen_at(co, ASYNC_SITE, pool, channel, listener)
#define await_pg_notification(co, listener, notification)                    \
    await_pg_notification_at(co, ASYNC_SITE, listener, notification,         \
                             sizeof(*(notification)))

ASYNC_LOOP void async_pg_unlisten(async_t *co, async_pg_listener_t *listener);


/*
 * Files.  Threads of the pool of the http block (async_thread_pool) do the
 * work; each call suspends until it is done.
 *
 * A path is one below the directory "root", which is relative to nginx's prefix
 * unless it begins with a slash.  The path may come from a user: it cannot
 * leave the root.  One that begins with a slash or has a ".." is refused, and
 * so is one with a symbolic link that leads out; others are followed, by
 * openat2() of Linux 5.6.  Where there is no such call, symbolic links are not
 * followed at all.  ASYNC_ANYWHERE for a root: the path is the program's own
 * and goes where it likes; it is relative to the prefix.  A root of NULL is an
 * error, since that is what a setting gives which is not there.
 *
 * Data are copied: the thread may outlast the await.  Of files that are written
 * nothing half written is left:
 *
 * - a new file that could not be written as a whole is removed again;
 * - with ASYNC_FILE_ATOMIC the file, new or not, is written under another name
 *   in its directory (".async-" and 16 digits), synchronized, and renamed: who
 *   reads sees the old one or the new one, never a part, also after the machine
 *   has crashed.  The directory is synchronized, too, unless the workers may
 *   not read it: what has been answered ASYNC_OK outlasts a crash.  The file
 *   keeps the permissions of the old one, not the owner.  A symbolic link is
 *   replaced, not followed;
 * - what could not be appended as a whole is cut off again, unless others have
 *   appended behind it;
 * - but an existing file that is overwritten without ASYNC_FILE_ATOMIC is lost.
 *
 * New files have the permissions 0644, directories 0755.
 *
 * ASYNC_ERROR: async_error() tells path and cause, async_file_errno() the cause
 * as errno has it.  ASYNC_BUSY: the queue of the pool is full.  ASYNC_TIMEOUT,
 * ASYNC_CANCELLED: a thread that has begun goes on; what is new or ATOMIC may
 * come into being or not, as a whole.
 */
#define ASYNC_FILE_READ       1
#define ASYNC_FILE_WRITE      2      /* what is there is overwritten */
#define ASYNC_FILE_APPEND     4
#define ASYNC_FILE_ATOMIC     8      /* with WRITE */
#define ASYNC_FILE_EXCLUSIVE  16     /* with WRITE: EEXIST if it is there */

extern ASYNC_API const char  async_anywhere[];

#define ASYNC_ANYWHERE  async_anywhere

/*
 * The cause of the last file call of the task if that was ASYNC_ERROR, for
 * instance
 *
 *     ENOENT               there is no such file
 *     EXDEV, ELOOP         a path that is not below its root
 *     ENAMETOOLONG         a path that is too long
 *     EISDIR, ENXIO        no regular file
 *     ENOTDIR              no directory
 *     EEXIST, ENOTEMPTY    there is one already; it is not empty
 *     EACCES, EPERM        not for the user of the workers
 *     EFBIG                larger than the call allows, or than the system does
 *     ENOSPC, EDQUOT       the disk is full
 *
 * or zero: the root could not be opened, there is no memory, or the call is
 * wrong.
 */
ASYNC_LOOP int async_file_errno(async_t *co);

/*
 * The whole file: of "max" bytes at most, larger ones are EFBIG.  *data is
 * borrowed, memory of the task (see async_task_alloc()).
 */
#define await_file_read(co, root, path, max, data)                           \
    await_file_read_at(co, ASYNC_SITE, root, path, max, data)

/* The whole file; flags: ASYNC_FILE_ATOMIC, ASYNC_FILE_EXCLUSIVE, or 0. */
#define await_file_write(co, root, path, data, len, flags)                   \
    await_file_write_at(co, ASYNC_SITE, root, path, data, len, flags)

/* In one piece, also among several who append; makes the file. */
#define await_file_append(co, root, path, data, len)                         \
    await_file_append_at(co, ASYNC_SITE, root, path, data, len)

typedef enum {
    ASYNC_FILE_REGULAR = 1,
    ASYNC_FILE_DIRECTORY = 2,
    ASYNC_FILE_LINK = 3,       /* a symbolic one; in lists only */
    ASYNC_FILE_OTHER = 4
} async_file_type_t;

/* "size" is that of the struct, as far as it has been filled. */
typedef struct {
    size_t       size;
    int64_t      bytes;
    int64_t      mtime;        /* in ms since 1970 */
    int          type;         /* async_file_type_t */
    unsigned     mode;         /* permissions: 0644 */
} async_file_stat_t;

typedef struct {
    size_t       size;
    async_str_t  name;
    int64_t      bytes;
    int64_t      mtime;
    int          type;
} async_file_entry_t;

/* Of what kind a file is, how large and how old; *st is the caller's. */
#define await_file_stat(co, root, path, st)                                  \
    await_file_stat_at(co, ASYNC_SITE, root, path, st, sizeof(*(st)))

/*
 * What is in a directory ("." is the root itself), in the order of the bytes of
 * the names: *entries is an array of *n, borrowed, memory of the task.
 * Symbolic links are not followed; "." and "..", and what is about to be
 * written with ASYNC_FILE_ATOMIC, are left out.  EFBIG: there are more than
 * "max".
 */
#define await_file_list(co, root, path, max, entries, n)                     \
    await_file_list_at(co, ASYNC_SITE, root, path, max, entries,             \
                       sizeof(**(entries)), n)

/* A file, or a symbolic link itself; no directory. */
#define await_file_remove(co, root, path)                                    \
    await_file_remove_at(co, ASYNC_SITE, root, path)

/* A file or a directory; a file that has the new name already is replaced. */
#define await_file_rename(co, root, from, to)                                \
    await_file_rename_at(co, ASYNC_SITE, root, from, to)

/* A directory, in one that is there; it must be empty to be removed. */
#define await_file_mkdir(co, root, path)                                     \
    await_file_mkdir_at(co, ASYNC_SITE, root, path)
#define await_file_rmdir(co, root, path)                                     \
    await_file_rmdir_at(co, ASYNC_SITE, root, path)

/*
 * A file in pieces.
 *
 *     async_file_t  *f;
 *
 *     ASYNC_TRY(await_file_open(co, root, path,
 *                               ASYNC_FILE_WRITE|ASYNC_FILE_ATOMIC, &f));
 *     ASYNC_TRY(await_file_put(co, f, data, len));
 *     ASYNC_TRY(await_file_close(co, f));
 *
 * "flags" is one of READ, WRITE and APPEND, and for WRITE also ATOMIC and
 * EXCLUSIVE.  A file that is not closed is when its task ends, or the innermost
 * ASYNC_MEMORY in which it has been opened; if it was to be written and is new
 * or ATOMIC, it is not kept then: only await_file_close() says that it is
 * whole.
 *
 * One call at a time: ASYNC_BUSY while another one runs, which is also so when
 * the await has ended before its thread.
 */
typedef struct async_file_s  async_file_t;

#define await_file_open(co, root, path, flags, f)                            \
    await_file_open_at(co, ASYNC_SITE, root, path, flags, f)

/* The next bytes, "size" of them; fewer only at the end, and none past it. */
#define await_file_get(co, f, buf, size, n)                                  \
    await_file_get_at(co, ASYNC_SITE, f, buf, size, n)

/*
 * Written wholly, or, unless ASYNC_BUSY, the file is good for nothing but being
 * closed.
 */
#define await_file_put(co, f, data, len)                                     \
    await_file_put_at(co, ASYNC_SITE, f, data, len)

/*
 * Tells also what has been found out late, and whether all has been written;
 * if not, what is new or ATOMIC has been removed.  The file is closed then,
 * whatever the answer, and every call answers ASYNC_ERROR; but ASYNC_BUSY
 * leaves it as it was.
 */
#define await_file_close(co, f)  await_file_close_at(co, ASYNC_SITE, f)


/*
 * The error log of nginx, at its levels.  The line is that of printf(), with
 * the client, the request and so on as nginx adds them; control characters are
 * escaped, and what is longer than 1,500 bytes is cut.  Lines of a thread are
 * written by the loop, in their order.
 */
typedef enum {
    ASYNC_LOG_ERROR = 4,       /* this request failed */
    ASYNC_LOG_WARN = 5,        /* the operator should look */
    ASYNC_LOG_NOTICE = 6,
    ASYNC_LOG_INFO = 7,        /* the client's fault */
    ASYNC_LOG_DEBUG = 8
} async_log_level_t;

ASYNC_ANY void async_log(async_req_t *req, async_log_level_t level,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* the same in a thread of await_thread() */
ASYNC_ANY void async_thread_log(async_log_level_t level, const char *format,
    ...) __attribute__((format(printf, 2, 3)));

/* and for a task without a request */
ASYNC_LOOP void async_task_log(async_t *co, async_log_level_t level,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/*
 * The value of the directive async_param of the http block, for tasks without
 * a request; or absent.  Borrowed for ever.
 */
ASYNC_LOOP async_str_t async_task_param(async_t *co, const char *key);


/* The request.  Strings are borrowed and live as long as the request. */

/* The method as received: "GET". */
ASYNC_ANY async_str_t async_method(async_req_t *req);

/* The path, decoded and normalized as nginx's $uri. */
ASYNC_ANY async_str_t async_uri(async_req_t *req);

/* All after the "?", as received; absent without one. */
ASYNC_ANY async_str_t async_query_string(async_req_t *req);

/* A header field by name, in any case; the first one of several. */
ASYNC_ANY async_str_t async_header(async_req_t *req, const char *name);

/*
 * The i-th header field, from 0, in the order received.  Returns 0 past the
 * last one, else 1.
 */
ASYNC_ANY int async_header_at(async_req_t *req, size_t i, async_str_t *name,
    async_str_t *value);

/*
 * A cookie by name (RFC 6265, 5.4), the last of several, without the space
 * around.  Of a value in double quotes, what is between them, where \" is a
 * quote, and \012 the byte of that octal number.
 */
ASYNC_ANY async_str_t async_cookie(async_req_t *req, const char *name);

/* The address of the client in text, as nginx's $remote_addr. */
ASYNC_ANY async_str_t async_client(async_req_t *req);

/* The value of the directive async_param for this location; or absent. */
ASYNC_ANY async_str_t async_param(async_req_t *req, const char *key);

/*
 * The body and its JSON, as await_body() and await_json() give them, without
 * suspending: in a blocking handler, before which it has been read, or after
 * those.  ASYNC_ERROR: it has not been read.
 */
ASYNC_ANY async_rc_t async_body(async_req_t *req, async_str_t *body);
ASYNC_ANY async_rc_t async_body_json(async_req_t *req, json_t **value);

/*
 * An nginx variable by name, without the "$"; absent if it has no value.  A
 * blocking handler waits for the loop to give it.
 */
ASYNC_ANY async_str_t async_var(async_req_t *req, const char *name);

/*
 * Sets an nginx variable; copies.  ASYNC_ERROR: there is none of this name,
 * or it cannot be set.  A blocking handler waits for the loop to do it.
 */
ASYNC_ANY async_rc_t async_set_var(async_req_t *req, const char *name,
    const char *value);

/*
 * Memory that lives as long as the request; not zeroed, aligned for any
 * type.  NULL when there is none.
 */
ASYNC_ANY void *async_alloc(async_req_t *req, size_t size);


/*
 * Parameters of the path and the query, as the route's pattern names them.
 *
 * The plain accessors give the text, decoded.  The typed ones parse it by the
 * rules of pydantic (FastAPI): they answer ASYNC_INVALID and record the error
 * for the 422 when it is missing or does not fit, and set the value to zero.
 * The "_or" ones give the default instead when it is missing.
 *
 * To report all errors of a request together, call them all, then
 * ASYNC_TRY(async_valid(req)).
 *
 * Text is as the client sent it with the plain ones, UTF-8 or not; the typed
 * "_str" ones replace what is not UTF-8 by U+FFFD, as pydantic does.
 *
 * Of a query parameter that is repeated the last one counts.  "+" is a space
 * in the query, and itself in the path (WHATWG URL, application/x-www-form-
 * urlencoded).
 */
ASYNC_ANY async_str_t async_path(async_req_t *req, const char *name);
ASYNC_ANY async_rc_t async_path_str(async_req_t *req, const char *name,
    async_str_t *value);
ASYNC_ANY async_rc_t async_path_int(async_req_t *req, const char *name,
    int64_t *value);
ASYNC_ANY async_rc_t async_path_float(async_req_t *req, const char *name,
    double *value);
ASYNC_ANY async_rc_t async_path_bool(async_req_t *req, const char *name,
    int *value);
/* 36 characters in lower case, whatever form it came in */
ASYNC_ANY async_rc_t async_path_uuid(async_req_t *req, const char *name,
    async_str_t *value);

ASYNC_ANY async_str_t async_query(async_req_t *req, const char *name);
ASYNC_ANY async_rc_t async_query_str(async_req_t *req, const char *name,
    async_str_t *value);
ASYNC_ANY async_rc_t async_query_int(async_req_t *req, const char *name,
    int64_t *value);
ASYNC_ANY async_rc_t async_query_float(async_req_t *req, const char *name,
    double *value);
ASYNC_ANY async_rc_t async_query_bool(async_req_t *req, const char *name,
    int *value);
ASYNC_ANY async_rc_t async_query_uuid(async_req_t *req, const char *name,
    async_str_t *value);

ASYNC_ANY async_rc_t async_query_int_or(async_req_t *req, const char *name,
    int64_t *value, int64_t value_or);
ASYNC_ANY async_rc_t async_query_float_or(async_req_t *req, const char *name,
    double *value, double value_or);
ASYNC_ANY async_rc_t async_query_bool_or(async_req_t *req, const char *name,
    int *value, int value_or);
/* value_or is borrowed from the caller and may be NULL: absent */
ASYNC_ANY async_rc_t async_query_str_or(async_req_t *req, const char *name,
    async_str_t *value, const char *value_or);

/*
 * All values of a repeated query parameter, in their order.  Returns their
 * number; *values is borrowed, and NULL for none or without memory.
 */
ASYNC_ANY size_t async_query_list(async_req_t *req, const char *name,
    const async_str_t **values);

/* ASYNC_INVALID when an accessor or await_json() has recorded an error. */
ASYNC_ANY async_rc_t async_valid(async_req_t *req);


/*
 * The form of the body: application/x-www-form-urlencoded, or
 * multipart/form-data (RFC 7578).  Suspends until it has come, as await_body().
 * Texts are in memory, files up to async_form_memory; larger ones go to a
 * temporary file as they come, which goes with the request.
 *
 *     async_form_t  *form;
 *
 *     ASYNC_TRY(await_form(co, req, &form));
 *     title = async_form_text(form, "title");
 *     photo = async_form_file(form, "photo");
 *
 * ASYNC_ERROR, with the response set: 400 for what is malformed, 413 past
 * client_max_body_size, async_form_max_parts and async_form_max_text, 415 for
 * another Content-Type.  A request without body and Content-Type has the form
 * without fields.  Otherwise as await_body().
 *
 * async_form() does not suspend: for blocking handlers, and after an await;
 * ASYNC_ERROR if the body has not been read.  Of a body that await_body() or a
 * blocking handler has in memory all files are in memory, too.
 *
 * All of it lives as long as the request.
 */
typedef struct async_form_s    async_form_t;
typedef struct async_upload_s  async_upload_t;

#define await_form(co, req, form)  await_form_at(co, ASYNC_SITE, req, form)

ASYNC_ANY async_rc_t async_form(async_req_t *req, async_form_t **form);

/* The last field of the name that is no file; or absent. */
ASYNC_ANY async_str_t async_form_text(async_form_t *form, const char *name);

/* The i-th of the name, from 0, in the order sent; or absent. */
ASYNC_ANY async_str_t async_form_text_at(async_form_t *form, const char *name,
    size_t i);

/*
 * The last part of the name that is a file, which is one with a file name; or
 * the i-th; or NULL.  What browsers send where no file has been chosen, with
 * neither name nor content, is none.
 */
ASYNC_ANY async_upload_t *async_form_file(async_form_t *form,
    const char *name);
ASYNC_ANY async_upload_t *async_form_file_at(async_form_t *form,
    const char *name, size_t i);

/* The file's name as sent, of which nothing may be believed; its directories
 * are cut off.  Its Content-Type as sent; absent: none was. */
ASYNC_ANY async_str_t async_upload_name(async_upload_t *file);
ASYNC_ANY async_str_t async_upload_type(async_upload_t *file);
ASYNC_ANY int64_t async_upload_size(async_upload_t *file);

/* All of it, if it is in memory; absent: read it, or save it.  Who wants all,
 * whatever it is, reads until 0. */
ASYNC_ANY async_str_t async_upload_data(async_upload_t *file);

/*
 * Suspends: the next bytes of it, *n of them, less than "size" only at its end,
 * 0 behind that.  One task reads at a time, another one gets ASYNC_BUSY; each
 * upload has one place where reading goes on.
 */
#define await_upload_read(co, file, buf, size, n)                            \
    await_upload_read_at(co, ASYNC_SITE, file, buf, size, n)

/* The same for the thread of a blocking handler, which waits for the disk; on
 * the loop ASYNC_ERROR if the upload is in a file. */
ASYNC_ANY async_rc_t async_upload_read(async_req_t *req, async_upload_t *file,
    void *buf, size_t size, size_t *n);

/* Suspends: a copy of all of it below a directory, as await_file_write(). */
#define await_upload_save(co, file, root, path, flags)                       \
    await_upload_save_at(co, ASYNC_SITE, file, root, path, flags)


/*
 * Who asks.  Each takes what the client has sent, or fails the request with 401
 * and WWW-Authenticate (ASYNC_ERROR, as async_fail()); whether it is right, the
 * caller finds out, by async_equal() where that is a comparison.
 *
 * A token: "Authorization: Bearer TOKEN" (RFC 6750, 2.1).  A user's name and
 * password: "Authorization: Basic" (RFC 7617), in UTF-8; the name has no ":".
 * A key: the header, query parameter or cookie of that name.
 */
ASYNC_ANY async_rc_t async_bearer(async_req_t *req, async_str_t *token);
ASYNC_ANY async_rc_t async_basic(async_req_t *req, const char *realm,
    async_str_t *user, async_str_t *password);
ASYNC_ANY async_rc_t async_api_key(async_req_t *req, async_in_t in,
    const char *name, async_str_t *key);

/*
 * Whether two texts are the same, in a time that does not tell how much of them
 * is; nor does it hide their lengths.  Absent ones are equal to none.
 */
ASYNC_ANY int async_equal(async_str_t one, const char *two);

/*
 * A header field of the request, for whoever serves it after a guard (directive
 * async_access) or behind what gives a variable (async_set): proxy_pass sends
 * it on, nginx's variables and the functions that run next see it; a blocking
 * function sees what there was when it began.  Replaces those of the same name;
 * NULL removes.  Copies.  ASYNC_ERROR, with nothing changed, as of
 * async_set_header(), also for Host, Expect and TE, which nginx has acted upon;
 * and in whatever else than such a function, and what that depends on, since
 * the request is served by then, or shares the fields of its main request.
 */
ASYNC_ANY async_rc_t async_set_request_header(async_req_t *req,
    const char *name, const char *value);


/*
 * The response.  The last call counts; it is sent when the handler returns.
 * Each answers ASYNC_OK, or ASYNC_ERROR when the response cannot be made
 * (the cause is logged, and the client gets 500), so that
 * "return async_json(...)" says all.  A status is from 200 to 599; 204, 205
 * and 304 have no body (RFC 9110, 15.3.5, 15.3.6, 15.4.5).
 */

/*
 * Compact UTF-8 JSON, application/json.  Steals the value.  NULL (as of a
 * json_pack() that failed), NaN, infinity and nesting deeper than 1,000
 * levels are errors.
 */
ASYNC_ANY async_rc_t async_json(async_req_t *req, int status, json_t *value);

/*
 * The same from a format and arguments, those of jansson's json_pack()
 * ("Building Values" in its documentation), without making the value:
 *
 *     return async_json_pack(req, 200, "{s:i, s:s?}", "id", id, "name", name);
 *
 * Strings are copied, "O" lends, "o" steals.  ASYNC_ERROR for what json_pack()
 * refuses, and for what async_json() does; async_error() names the place in
 * the format, counted from 1.  A name twice in an object is not noticed: both
 * members are written.
 *
 * Neither the compiler nor the call can check that the arguments are of the
 * types that the format tells: "i" and "b" take int, "I" json_int_t (cast an
 * int64_t), "f" double, "s#" a string and an int, "s%" one and a size_t.  A
 * wrong one is undefined, as with printf().  If the format has a letter that
 * does not exist, values of "o" behind it leak.
 */
ASYNC_ANY async_rc_t async_json_pack(async_req_t *req, int status,
    const char *format, ...);

/* Zero-terminated text; copies.  text/plain and text/html, in UTF-8. */
ASYNC_ANY async_rc_t async_text(async_req_t *req, int status,
    const char *text);
ASYNC_ANY async_rc_t async_html(async_req_t *req, int status,
    const char *html);

/* Any bytes of any media type (NULL: application/octet-stream); copies. */
ASYNC_ANY async_rc_t async_bytes(async_req_t *req, int status,
    const char *type, const void *data, size_t len);

/* A response without a body. */
ASYNC_ANY async_rc_t async_empty(async_req_t *req, int status);

/*
 * A file, opened by a thread after the handler has returned and sent with
 * sendfile(): with ranges and conditional requests (RFC 9110, 13 and 14),
 * and a media type by the "types" directive unless Content-Type is set.
 * The path is relative to nginx's prefix; copies.  What is no regular file
 * gives 404, what may not be read 403.  The caller answers for paths that
 * come from users.
 */
ASYNC_ANY async_rc_t async_file(async_req_t *req, int status,
    const char *path);

/*
 * A redirect (status 301, 302, 303, 307 or 308) with the Location as given:
 * a relative one stays relative (RFC 9110, 10.2.2).
 */
ASYNC_ANY async_rc_t async_redirect(async_req_t *req, int status,
    const char *location);

/*
 * Fails the request with a status of 400 to 599 and {"detail": ...}.
 * Always answers ASYNC_ERROR, so that "return async_fail(...)" ends the
 * handler and whoever called it.  The text is copied; the JSON form steals.
 */
ASYNC_ANY async_rc_t async_fail(async_req_t *req, int status,
    const char *detail);
ASYNC_ANY async_rc_t async_fail_json(async_req_t *req, int status,
    json_t *detail);

/*
 * A header field of the response that the handler makes: "set" replaces
 * those of the same name, "add" adds one.  Copies.  A NULL value removes.
 *
 * ASYNC_ERROR, with a log line that names the handler: the name is no token
 * (RFC 9110, 5.1), the value has a CR, LF, NUL or other control character
 * (5.5), or the field is one that nginx makes: Connection, Content-Length,
 * Date, Keep-Alive, Trailer, Transfer-Encoding, Upgrade.
 */
ASYNC_ANY async_rc_t async_set_header(async_req_t *req, const char *name,
    const char *value);
ASYNC_ANY async_rc_t async_add_header(async_req_t *req, const char *name,
    const char *value);

/*
 * Adds Set-Cookie (RFC 6265, 4.1).  The attributes are text such as
 * "Path=/; Max-Age=3600; Secure; HttpOnly"; NULL: "Path=/; SameSite=Lax".
 * ASYNC_ERROR as async_set_header(), also for a name or value that RFC 6265
 * does not allow: encode it first.
 */
ASYNC_ANY async_rc_t async_set_cookie(async_req_t *req, const char *name,
    const char *value, const char *attributes);

/*
 * An entry of Server-Timing (W3C) beside those of async_server_timing: what
 * something has taken, in milliseconds, to the microsecond; below zero: no
 * duration.  The description, or NULL, is shown by browsers in place of the
 * name.  Copies.  Does nothing where the response is not to tell times.
 *
 * ASYNC_ERROR, with a log line that names the handler: the name is no token
 * (RFC 9110, 5.6.2), the duration is no finite number or more than 1e15, or the
 * description has a control character.
 */
ASYNC_ANY async_rc_t async_timing(async_req_t *req, const char *name,
    double ms, const char *description);


/* What the macros above stand on; not for direct use. */

#define ASYNC_UNUSED      __attribute__((unused))
#define ASYNC_TEXT_(x)    #x
#define ASYNC_LINE_(x)    ASYNC_TEXT_(x)
#define ASYNC_SITE        __FILE__ ":" ASYNC_LINE_(__LINE__)

/* sizeof(*p), but for "void *", of which nobody knows what to copy */
#ifdef __cplusplus
#define ASYNC_SIZEOF_(p)     sizeof(*(p))
#else
#define ASYNC_SIZEOF_(p)                                                     \
    (sizeof(*(p))                                                            \
     + 0 * sizeof(char [__builtin_types_compatible_p(__typeof__(p), void *)  \
                        ? -1 : 1]))
#endif

#define ASYNC_JOIN_(a, b)    a##b
#define ASYNC_JOIN2_(a, b)   ASYNC_JOIN_(a, b)
#define ASYNC_NAME_(prefix)  ASYNC_JOIN2_(prefix, __LINE__)

/* what a block has to undo; the first word is "co" */
typedef struct { void *opaque[10]; } async_scope_t;

#define ASYNC_SCOPE_(end)                                                    \
    async_scope_t ASYNC_NAME_(async_scope_) __attribute__((cleanup(end))) =  \
        { { NULL } }

/* the attributes of a handler or a dependency */

enum {
    ASYNC_ATTRIBUTE_NONE = 0,
    ASYNC_ATTRIBUTE_DEPENDS = 1,
    ASYNC_ATTRIBUTE_PARAMS = 2,
    ASYNC_ATTRIBUTE_BODY = 3,
    ASYNC_ATTRIBUTE_FORM = 4,
    ASYNC_ATTRIBUTE_RESPONSE = 5,
    ASYNC_ATTRIBUTE_RESPONSE_LIST = 6,
    ASYNC_ATTRIBUTE_SUMMARY = 7,
    ASYNC_ATTRIBUTE_DESCRIPTION = 8,
    ASYNC_ATTRIBUTE_TAG = 9,
    ASYNC_ATTRIBUTE_OPERATION = 10,
    ASYNC_ATTRIBUTE_DEPRECATED = 11,
    ASYNC_ATTRIBUTE_HIDDEN = 12,
    ASYNC_ATTRIBUTE_BEARER = 13,
    ASYNC_ATTRIBUTE_BASIC = 14,
    ASYNC_ATTRIBUTE_KEY = 15,
    ASYNC_ATTRIBUTE_TYPE = 16  /* of a dependency's value */
};

/* the number of ASYNC_ATTRIBUTE_DEPENDS */

enum {
    ASYNC_DEPENDS_GROUP = 1,   /* together with others */
    ASYNC_DEPENDS_JOINED = 2,  /* with the one before */
    ASYNC_DEPENDS_FRESH = 4    /* anew */
};

struct async_attribute_s {
    int          kind;         /* ASYNC_ATTRIBUTE_... */
    int          number;       /* status, async_in_t, ASYNC_DEPENDS_... */
    const void  *data;         /* the model, or the dependency */
    const char  *text;
    const char  *more;
};

#define ASYNC_NO_MORE_  { ASYNC_ATTRIBUTE_NONE, 0, NULL, NULL, NULL }

#define ASYNC_TYPE_(type)  { ASYNC_ATTRIBUTE_TYPE, 0, NULL, #type, NULL }

#define ASYNC_ATTRIBUTES_(name, ...)                                         \
    static const async_attribute_t async_attributes_of_##name[] =            \
        { __VA_ARGS__ };

#define ASYNC_DEPENDS_(flags, name)                                          \
    { ASYNC_ATTRIBUTE_DEPENDS, flags, &async_export_of_##name, #name, NULL }

/* f(first, a), f(others, b), f(others, c) ..., of up to eight */

#define ASYNC_EACH_(f, first, others, ...)                                   \
    ASYNC_JOIN2_(ASYNC_EACH_, ASYNC_COUNT_(__VA_ARGS__))                     \
        (f, first, others, __VA_ARGS__)

#define ASYNC_COUNT_(...)                                                    \
    ASYNC_NINTH_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define ASYNC_NINTH_(a, b, c, d, e, f, g, h, n, ...)  n

#define ASYNC_EACH_1(f, x, o, a)       f(x, a)
#define ASYNC_EACH_2(f, x, o, a, ...)                                        \
    f(x, a), ASYNC_EACH_1(f, o, o, __VA_ARGS__)
#define ASYNC_EACH_3(f, x, o, a, ...)                                        \
    f(x, a), ASYNC_EACH_2(f, o, o, __VA_ARGS__)
#define ASYNC_EACH_4(f, x, o, a, ...)                                        \
    f(x, a), ASYNC_EACH_3(f, o, o, __VA_ARGS__)
#define ASYNC_EACH_5(f, x, o, a, ...)                                        \
    f(x, a), ASYNC_EACH_4(f, o, o, __VA_ARGS__)
#define ASYNC_EACH_6(f, x, o, a, ...)                                        \
    f(x, a), ASYNC_EACH_5(f, o, o, __VA_ARGS__)
#define ASYNC_EACH_7(f, x, o, a, ...)                                        \
    f(x, a), ASYNC_EACH_6(f, o, o, __VA_ARGS__)
#define ASYNC_EACH_8(f, x, o, a, ...)                                        \
    f(x, a), ASYNC_EACH_7(f, o, o, __VA_ARGS__)

ASYNC_ANY async_rc_t async_teardown_at(async_req_t *req, const char *site,
    async_teardown_pt fn, async_teardown_thread_pt thread, const char *pool,
    const void *arg, size_t size);

ASYNC_AWAIT async_rc_t await_json_into_at(async_t *co, const char *site,
    async_req_t *req, const async_model_t *model, void *value, size_t size);
ASYNC_ANY async_rc_t async_json_into_(async_req_t *req,
    const async_model_t *model, void *value, size_t size);
ASYNC_ANY async_rc_t async_params_into_(async_req_t *req,
    const async_model_t *model, void *value, size_t size);
ASYNC_AWAIT async_rc_t await_form_into_at(async_t *co, const char *site,
    async_req_t *req, const async_model_t *model, void *value, size_t size);
ASYNC_ANY async_rc_t async_form_into_(async_req_t *req,
    const async_model_t *model, void *value, size_t size);
ASYNC_LOOP async_rc_t async_into_(async_t *co, async_str_t text,
    const async_model_t *model, void *value, size_t size);
ASYNC_ANY async_rc_t async_respond_(async_req_t *req, int status,
    const async_model_t *model, const void *value, size_t size);
ASYNC_ANY async_rc_t async_respond_all_(async_req_t *req, int status,
    const async_model_t *model, const void *values, size_t size, size_t n);
ASYNC_LOOP async_rc_t async_encode_(async_t *co, const async_model_t *model,
    const void *value, size_t size, async_str_t *text);

ASYNC_AWAIT async_rc_t await_form_at(async_t *co, const char *site,
    async_req_t *req, async_form_t **form);
ASYNC_AWAIT async_rc_t await_upload_read_at(async_t *co, const char *site,
    async_upload_t *file, void *buf, size_t size, size_t *n);
ASYNC_AWAIT async_rc_t await_upload_save_at(async_t *co, const char *site,
    async_upload_t *file, const char *root, const char *path, unsigned flags);

ASYNC_LOOP async_child_t *async_spawn_at(async_t *co, const char *site,
    async_fn_pt fn, void *arg);
ASYNC_AWAIT async_rc_t await_join_at(async_t *co, const char *site,
    async_child_t *child);
ASYNC_AWAIT async_rc_t await_ended_at(async_t *co, const char *site,
    async_child_t *child);
ASYNC_LOOP void async_group_begin(async_t *co, async_scope_t *scope);
ASYNC_LOOP void async_group_end(async_scope_t *scope);
ASYNC_AWAIT async_rc_t await_all_at(async_t *co, const char *site,
    async_work_t *work, size_t n);
ASYNC_AWAIT async_rc_t await_gather_at(async_t *co, const char *site,
    async_work_t *work, size_t n);
ASYNC_AWAIT async_rc_t await_any_at(async_t *co, const char *site,
    async_work_t *work, size_t n, int *winner);

ASYNC_LOOP void async_deadline_begin(async_t *co, const char *site,
    async_scope_t *scope, int64_t ms);
ASYNC_LOOP void async_deadline_end(async_scope_t *scope);
ASYNC_AWAIT async_rc_t await_within_at(async_t *co, const char *site,
    int64_t ms, async_fn_pt fn, void *arg);
ASYNC_LOOP void async_shield_begin(async_t *co, const char *site,
    async_scope_t *scope, int64_t ms);
ASYNC_LOOP void async_shield_end(async_scope_t *scope);
ASYNC_AWAIT async_rc_t await_shield_at(async_t *co, const char *site,
    int64_t ms, async_fn_pt fn, void *arg);
ASYNC_LOOP void async_memory_begin(async_t *co, async_scope_t *scope);
ASYNC_LOOP void async_memory_end(async_scope_t *scope);

ASYNC_AWAIT async_rc_t await_lock_at(async_t *co, const char *site,
    async_mutex_t *mutex);
ASYNC_AWAIT async_rc_t await_lock_in_at(async_t *co, const char *site,
    async_mutex_t *mutex, async_scope_t *scope);
ASYNC_LOOP void async_lock_end(async_scope_t *scope);
ASYNC_AWAIT async_rc_t await_acquire_at(async_t *co, const char *site,
    async_semaphore_t *semaphore);
ASYNC_AWAIT async_rc_t await_event_at(async_t *co, const char *site,
    async_event_t *event);
ASYNC_AWAIT async_rc_t await_put_at(async_t *co, const char *site,
    async_queue_t *queue, void *item);
ASYNC_AWAIT async_rc_t await_get_at(async_t *co, const char *site,
    async_queue_t *queue, void **item);

ASYNC_AWAIT async_rc_t await_send_at(async_t *co, const char *site,
    async_req_t *req, const void *data, size_t len);
ASYNC_AWAIT async_rc_t await_sse_at(async_t *co, const char *site,
    async_req_t *req, const async_sse_t *event);
/* parts of a message */
#define ASYNC_WS_PART_  1
#define ASYNC_WS_LAST_  2

ASYNC_AWAIT async_rc_t await_ws_accept_at(async_t *co, const char *site,
    async_req_t *req, const char *protocol);
ASYNC_AWAIT async_rc_t await_ws_recv_at(async_t *co, const char *site,
    async_req_t *req, async_ws_message_t *message, size_t size, int part);
ASYNC_AWAIT async_rc_t await_ws_recv_json_at(async_t *co, const char *site,
    async_req_t *req, json_t **value);
ASYNC_AWAIT async_rc_t await_ws_send_at(async_t *co, const char *site,
    async_req_t *req, async_ws_kind_t kind, const void *data, size_t len,
    int part);
ASYNC_AWAIT async_rc_t await_ws_send_text_at(async_t *co, const char *site,
    async_req_t *req, const char *text);
ASYNC_AWAIT async_rc_t await_ws_send_json_at(async_t *co, const char *site,
    async_req_t *req, json_t *value);
ASYNC_AWAIT async_rc_t await_ws_recv_into_at(async_t *co, const char *site,
    async_req_t *req, const async_model_t *model, void *value, size_t size,
    json_t **errors);
ASYNC_AWAIT async_rc_t await_ws_send_model_at(async_t *co, const char *site,
    async_req_t *req, const async_model_t *model, const void *value,
    size_t size);
ASYNC_AWAIT async_rc_t await_ws_close_at(async_t *co, const char *site,
    async_req_t *req, int code, const char *reason);

ASYNC_LOOP async_rc_t async_publish_model_(async_t *co, const char *channel,
    const async_model_t *model, const void *value, size_t size);
ASYNC_LOOP async_rc_t async_subscribe_(async_t *co, const char *channel,
    const async_subscribe_t *options, size_t size,
    async_subscription_t **subscription);
ASYNC_AWAIT async_rc_t await_channel_at(async_t *co, const char *site,
    async_subscription_t *subscription, async_channel_message_t *message,
    size_t size);
ASYNC_LOOP async_rc_t async_ws_subscribe_(async_t *co, async_req_t *req,
    const char *channel, async_ws_kind_t kind,
    const async_subscribe_t *options, size_t size);

ASYNC_AWAIT async_rc_t await_shared_get_or_at(async_t *co, const char *site,
    const char *dictionary, const char *key, const async_loader_t *loader,
    size_t size, async_str_t *value);

ASYNC_ANY async_rc_t async_background_at(async_req_t *req, const char *site,
    async_fn_pt fn, async_thread_pt thread, const char *pool, void *arg,
    size_t size);
ASYNC_AWAIT async_rc_t await_thread_at(async_t *co, const char *site,
    const char *pool, async_thread_pt fn, void *arg, size_t size);

ASYNC_AWAIT async_rc_t await_process_at(async_t *co, const char *site,
    async_command_t *command, size_t size);
ASYNC_AWAIT async_rc_t await_process_call_at(async_t *co, const char *site,
    async_thread_pt fn, void *arg, size_t size);
ASYNC_AWAIT async_rc_t await_process_open_at(async_t *co, const char *site,
    async_command_t *command, size_t size, async_process_t **p);
ASYNC_AWAIT async_rc_t await_process_put_at(async_t *co, const char *site,
    async_process_t *p, const void *data, size_t len);
ASYNC_AWAIT async_rc_t await_process_get_at(async_t *co, const char *site,
    async_process_t *p, void *buf, size_t size, size_t *n);
ASYNC_AWAIT async_rc_t await_process_get_errors_at(async_t *co,
    const char *site, async_process_t *p, void *buf, size_t size, size_t *n);
ASYNC_AWAIT async_rc_t await_process_close_at(async_t *co, const char *site,
    async_process_t *p, async_command_t *command, size_t size);

/* how large the options are for the caller */
#define ASYNC_FETCH_  sizeof(async_fetch_t)

ASYNC_AWAIT async_rc_t await_fetch_at(async_t *co, const char *site,
    const char *url, async_fetch_t *fetch, size_t size,
    async_response_t **res);
ASYNC_AWAIT async_rc_t await_subrequest_at(async_t *co, const char *site,
    async_req_t *req, const char *uri, async_fetch_t *fetch, size_t size,
    async_response_t **res);
ASYNC_AWAIT async_rc_t await_response_read_at(async_t *co, const char *site,
    async_response_t *res, void *buf, size_t size, size_t *n);

/* how large the options are for the caller */
#define ASYNC_OPTIONS_  sizeof(async_socket_options_t)

ASYNC_AWAIT async_rc_t await_connect_at(async_t *co, const char *site,
    const char *address, const async_socket_options_t *options, size_t size,
    async_socket_t **s);
ASYNC_AWAIT async_rc_t await_recv_at(async_t *co, const char *site,
    async_socket_t *s, void *buf, size_t size, size_t *n);
ASYNC_AWAIT async_rc_t await_recv_all_at(async_t *co, const char *site,
    async_socket_t *s, void *buf, size_t len);
ASYNC_AWAIT async_rc_t await_recv_until_at(async_t *co, const char *site,
    async_socket_t *s, const char *delimiter, size_t max, async_str_t *text);
ASYNC_AWAIT async_rc_t await_send_all_at(async_t *co, const char *site,
    async_socket_t *s, const void *data, size_t len);

ASYNC_LOOP async_rc_t async_pg_into_(async_t *co, async_pg_result_t *result,
    size_t row, const async_model_t *model, void *value, size_t size);
ASYNC_LOOP async_rc_t async_pg_all_into_(async_t *co,
    async_pg_result_t *result, const async_model_t *model, void *values,
    size_t size, size_t *n);
ASYNC_AWAIT async_rc_t await_pg_at(async_t *co, const char *site,
    const char *pool, async_pg_result_t **result, const char *sql,
    const async_value_t *values, size_t n);
ASYNC_AWAIT async_rc_t await_pg_begin_at(async_t *co, const char *site,
    const char *pool, unsigned flags);
ASYNC_AWAIT async_rc_t await_pg_commit_at(async_t *co, const char *site,
    const char *pool);
ASYNC_AWAIT async_rc_t await_pg_rollback_at(async_t *co, const char *site,
    const char *pool);
ASYNC_AWAIT async_rc_t await_pg_transaction_at(async_t *co, const char *site,
    const char *pool, unsigned flags, async_fn_pt fn, void *arg);

ASYNC_AWAIT async_rc_t await_pg_pipeline_at(async_t *co, const char *site,
    const char *pool, async_pg_statement_t *statements, size_t size, size_t n,
    unsigned flags);
ASYNC_AWAIT async_rc_t await_pg_stream_at(async_t *co, const char *site,
    const char *pool, async_pg_stream_t **stream, const char *sql,
    const async_value_t *values, size_t n);
ASYNC_AWAIT async_rc_t await_pg_next_at(async_t *co, const char *site,
    async_pg_stream_t *stream, async_pg_result_t **row);
ASYNC_AWAIT async_rc_t await_pg_stream_close_at(async_t *co, const char *site,
    async_pg_stream_t *stream);
ASYNC_AWAIT async_rc_t await_pg_copy_at(async_t *co, const char *site,
    const char *pool, async_pg_copy_t **copy, const char *sql);
ASYNC_AWAIT async_rc_t await_pg_copy_get_at(async_t *co, const char *site,
    async_pg_copy_t *copy, async_str_t *data);
ASYNC_AWAIT async_rc_t await_pg_copy_put_at(async_t *co, const char *site,
    async_pg_copy_t *copy, const void *data, size_t len);
ASYNC_AWAIT async_rc_t await_pg_copy_close_at(async_t *co, const char *site,
    async_pg_copy_t *copy, int64_t *rows);
ASYNC_AWAIT async_rc_t await_pg_listen_at(async_t *co, const char *site,
    const char *pool, const char *channel, async_pg_listener_t **listener);
ASYNC_AWAIT async_rc_t await_pg_notification_at(async_t *co, const char *site,
    async_pg_listener_t *listener, async_pg_notification_t *notification,
    size_t size);

/* the values, behind one that makes the array not empty; how many */
#ifdef __cplusplus

extern "C++" {

template <typename... V>
static inline async_rc_t
async_pg_(async_t *co, const char *site, const char *pool,
    async_pg_result_t **result, const char *sql, V... v)
{
    const async_value_t  values[] = { ASYNC_NULL, v... };

    return await_pg_at(co, site, pool, result, sql, values + 1, sizeof...(v));
}

template <typename... V>
static inline async_rc_t
async_pg_stream_(async_t *co, const char *site, const char *pool,
    async_pg_stream_t **stream, const char *sql, V... v)
{
    const async_value_t  values[] = { ASYNC_NULL, v... };

    return await_pg_stream_at(co, site, pool, stream, sql, values + 1,
                              sizeof...(v));
}

}

#else

#define ASYNC_VALUES_(...)                                                   \
    (const async_value_t []) { ASYNC_NULL, __VA_ARGS__ } + 1,                \
    sizeof((const async_value_t []) { ASYNC_NULL, __VA_ARGS__ })             \
    / sizeof(async_value_t) - 1

/* the same with one that makes the arguments not empty behind them */
#define ASYNC_PG_VALUES_(...)                                                \
    (const async_value_t []) { __VA_ARGS__ },                                \
    sizeof((const async_value_t []) { __VA_ARGS__ })                         \
    / sizeof(async_value_t) - 1

#endif

ASYNC_AWAIT async_rc_t await_file_read_at(async_t *co, const char *site,
    const char *root, const char *path, size_t max, async_str_t *data);
ASYNC_AWAIT async_rc_t await_file_write_at(async_t *co, const char *site,
    const char *root, const char *path, const void *data, size_t len,
    unsigned flags);
ASYNC_AWAIT async_rc_t await_file_append_at(async_t *co, const char *site,
    const char *root, const char *path, const void *data, size_t len);
ASYNC_AWAIT async_rc_t await_file_stat_at(async_t *co, const char *site,
    const char *root, const char *path, async_file_stat_t *st, size_t size);
ASYNC_AWAIT async_rc_t await_file_list_at(async_t *co, const char *site,
    const char *root, const char *path, size_t max,
    async_file_entry_t **entries, size_t size, size_t *n);
ASYNC_AWAIT async_rc_t await_file_remove_at(async_t *co, const char *site,
    const char *root, const char *path);
ASYNC_AWAIT async_rc_t await_file_rename_at(async_t *co, const char *site,
    const char *root, const char *from, const char *to);
ASYNC_AWAIT async_rc_t await_file_mkdir_at(async_t *co, const char *site,
    const char *root, const char *path);
ASYNC_AWAIT async_rc_t await_file_rmdir_at(async_t *co, const char *site,
    const char *root, const char *path);
ASYNC_AWAIT async_rc_t await_file_open_at(async_t *co, const char *site,
    const char *root, const char *path, unsigned flags, async_file_t **f);
ASYNC_AWAIT async_rc_t await_file_get_at(async_t *co, const char *site,
    async_file_t *f, void *buf, size_t size, size_t *n);
ASYNC_AWAIT async_rc_t await_file_put_at(async_t *co, const char *site,
    async_file_t *f, const void *data, size_t len);
ASYNC_AWAIT async_rc_t await_file_close_at(async_t *co, const char *site,
    async_file_t *f);

ASYNC_AWAIT async_rc_t await_sleep_at(async_t *co, const char *site,
    int64_t ms);
ASYNC_AWAIT async_rc_t await_yield_at(async_t *co, const char *site);
ASYNC_AWAIT async_rc_t await_body_at(async_t *co, const char *site,
    async_req_t *req, async_str_t *body);
ASYNC_AWAIT async_rc_t await_body_read_at(async_t *co, const char *site,
    async_req_t *req, void *buf, size_t size, size_t *n);
ASYNC_AWAIT async_rc_t await_json_at(async_t *co, const char *site,
    async_req_t *req, json_t **value);


/* Models: of what kind a member or an item is, found by the compiler. */
enum {
    ASYNC_MEMBER_INT8 = 1,
    ASYNC_MEMBER_INT16 = 2,
    ASYNC_MEMBER_INT32 = 3,
    ASYNC_MEMBER_INT64 = 4,
    ASYNC_MEMBER_UINT8 = 5,
    ASYNC_MEMBER_UINT16 = 6,
    ASYNC_MEMBER_UINT32 = 7,
    ASYNC_MEMBER_UINT64 = 8,
    ASYNC_MEMBER_BOOL = 9,
    ASYNC_MEMBER_FLOAT = 10,
    ASYNC_MEMBER_DOUBLE = 11,
    ASYNC_MEMBER_TEXT = 12,
    ASYNC_MEMBER_STR = 13,
    ASYNC_MEMBER_JSON = 14,
    ASYNC_MEMBER_OBJECT = 15,
    ASYNC_MEMBER_UPLOAD = 16,

    ASYNC_MEMBER_KIND = 31,
    ASYNC_MEMBER_POINTER = 32,
    ASYNC_MEMBER_LIST = 64
};

#define ASYNC_LONG_                                                          \
    (sizeof(long) == 8 ? ASYNC_MEMBER_INT64 : ASYNC_MEMBER_INT32)
#define ASYNC_ULONG_                                                         \
    (sizeof(long) == 8 ? ASYNC_MEMBER_UINT64 : ASYNC_MEMBER_UINT32)

#define ASYNC_FIELD_(type, member, ...)                                      \
    ASYNC_MEMBER_(#member, offsetof(type, member), 0,                        \
                  ASYNC_KIND_(((type *) 0)->member), __VA_ARGS__)
#define ASYNC_LIST_(type, member, count, ...)                                \
    ASYNC_MEMBER_(#member, offsetof(type, member),                           \
                  offsetof(type, count) * ASYNC_SIZE_T_(((type *) 0)->count),\
                  ASYNC_ITEM_(((type *) 0)->member), __VA_ARGS__)
#define ASYNC_OBJECT_(type, member, model, ...)                              \
    ASYNC_NESTED_(#member, offsetof(type, member), 0,                        \
                  ASYNC_OF_MODEL_(((type *) 0)->member,                      \
                                  async_type_of_##model),                    \
                  &model, __VA_ARGS__)
#define ASYNC_OBJECTS_(type, member, count, model, ...)                      \
    ASYNC_NESTED_(#member, offsetof(type, member),                           \
                  offsetof(type, count) * ASYNC_SIZE_T_(((type *) 0)->count),\
                  ASYNC_OF_MODELS_(((type *) 0)->member,                     \
                                   async_type_of_##model),                   \
                  &model, __VA_ARGS__)

#ifdef __cplusplus

extern "C++" {

template <typename T> struct async_number_;

template <typename T, bool is_enum> struct async_enum_ {
    static_assert(sizeof(T) == 0, "a model knows no members of this type");
};

template <typename T> struct async_enum_<T, true>
    : async_number_<__underlying_type(T)> { };

template <typename T> struct async_number_ : async_enum_<T, __is_enum(T)> { };

#define ASYNC_NUMBER_(type, kind)                                            \
    template <> struct async_number_<type> {                                 \
        static constexpr int value = kind;                                   \
    }

ASYNC_NUMBER_(signed char, ASYNC_MEMBER_INT8);
ASYNC_NUMBER_(short, ASYNC_MEMBER_INT16);
ASYNC_NUMBER_(int, ASYNC_MEMBER_INT32);
ASYNC_NUMBER_(long, ASYNC_LONG_);
ASYNC_NUMBER_(long long, ASYNC_MEMBER_INT64);
ASYNC_NUMBER_(unsigned char, ASYNC_MEMBER_UINT8);
ASYNC_NUMBER_(unsigned short, ASYNC_MEMBER_UINT16);
ASYNC_NUMBER_(unsigned, ASYNC_MEMBER_UINT32);
ASYNC_NUMBER_(unsigned long, ASYNC_ULONG_);
ASYNC_NUMBER_(unsigned long long, ASYNC_MEMBER_UINT64);
ASYNC_NUMBER_(bool, ASYNC_MEMBER_BOOL);
ASYNC_NUMBER_(float, ASYNC_MEMBER_FLOAT);
ASYNC_NUMBER_(double, ASYNC_MEMBER_DOUBLE);

template <typename T> struct async_kind_ : async_number_<T> { };

template <typename T> struct async_kind_<T *> {
    static constexpr int value = async_number_<T>::value
                                 | ASYNC_MEMBER_POINTER;
};

template <typename T> struct async_kind_<const T *> : async_kind_<T *> { };

template <> struct async_kind_<const char *> {
    static constexpr int value = ASYNC_MEMBER_TEXT;
};

template <> struct async_kind_<async_str_t> {
    static constexpr int value = ASYNC_MEMBER_STR;
};

template <> struct async_kind_<json_t *> {
    static constexpr int value = ASYNC_MEMBER_JSON;
};

template <> struct async_kind_<async_upload_t *> {
    static constexpr int value = ASYNC_MEMBER_UPLOAD;
};

/* the struct of the model, a pointer to one, and a list of them */

template <typename T, typename M> struct async_object_ {
    static_assert(sizeof(T) == 0, "it is of another type than its model's");
};

template <typename M> struct async_object_<M, M> {
    static constexpr int value = ASYNC_MEMBER_OBJECT;
    static constexpr int list = -1;
};

template <typename M> struct async_object_<M *, M> {
    static constexpr int value = ASYNC_MEMBER_OBJECT | ASYNC_MEMBER_POINTER;
    static constexpr unsigned list = ASYNC_MEMBER_OBJECT | ASYNC_MEMBER_LIST;
};

template <typename M> struct async_object_<const M *, M>
    : async_object_<M *, M> { };

template <typename T> struct async_item_ : async_number_<T> { };

template <> struct async_item_<const char *> : async_kind_<const char *> { };
template <> struct async_item_<async_str_t> : async_kind_<async_str_t> { };
template <> struct async_item_<async_upload_t *>
    : async_kind_<async_upload_t *> { };

template <typename T> struct async_list_ {
    static_assert(sizeof(T) == 0, "a list is a pointer to its items");
};

template <typename T> struct async_list_<T *> {
    static constexpr int value = async_item_<T>::value | ASYNC_MEMBER_LIST;
};

template <typename T> struct async_list_<const T *> : async_list_<T *> { };

template <typename T> struct async_count_ {
    static_assert(sizeof(T) == 0, "how many there are is told by a size_t");
};

template <> struct async_count_<size_t> { static constexpr int value = 1; };

/* in C++11 a model is made when the app is loaded, later on it is constant */
#if (__cplusplus >= 201402L)
#define ASYNC_CONSTEXPR_  constexpr
#define ASYNC_CONST_      constexpr
#else
#define ASYNC_CONSTEXPR_  inline
#define ASYNC_CONST_      const
#endif

template <typename T> struct async_attribute_ {
    typedef T           type;
    T async_field_t::  *attribute;
    T                   value;
};

template <typename T> ASYNC_CONSTEXPR_ async_attribute_<T>
async_with_(T async_field_t::*attribute,
    typename async_attribute_<T>::type value)
{
    return async_attribute_<T>{ attribute, value };
}

ASYNC_CONSTEXPR_ async_field_t
async_field_(async_field_t field, int)
{
    return field;
}

template <typename T, typename... More> ASYNC_CONSTEXPR_ async_field_t
async_field_(async_field_t field, async_attribute_<T> with, More... more)
{
    field.*(with.attribute) = with.value;

    return async_field_(field, more...);
}

}

#define ASYNC_LAST_         0
#define ASYNC_KIND_(x)      async_kind_<decltype(x)>::value
#define ASYNC_ITEM_(x)      async_list_<decltype(x)>::value
#define ASYNC_SIZE_T_(x)    async_count_<decltype(x)>::value

#define ASYNC_WITH(attribute, value)                                         \
    async_with_(&async_field_t::attribute, value)

#define ASYNC_MEMBER_(member, offset, count, kind, ...)                      \
    ASYNC_NESTED_(member, offset, count, kind, NULL, __VA_ARGS__)

#define ASYNC_NESTED_(member, offset, count, kind, model, ...)               \
    async_field_(async_field_t{ member, offset, count, kind, 0, NULL, 0,     \
                                model, 0, 0, NULL, NULL, NULL, NULL, NULL,   \
                                0, 0, NULL, NULL, NULL, NULL, NULL, NULL },  \
                 __VA_ARGS__)

#define ASYNC_OF_MODEL_(x, type)   async_object_<decltype(x), type>::value
#define ASYNC_OF_MODELS_(x, type)                                            \
    (int { async_object_<decltype(x), type>::list })

#else

#define ASYNC_CONST_        const
#define ASYNC_LAST_

/* by their address, since an array would become a pointer */

#define ASYNC_NUMBERS_(qualifier, p, flag)                                   \
    qualifier signed char p: ASYNC_MEMBER_INT8 | (flag),                     \
    qualifier short p: ASYNC_MEMBER_INT16 | (flag),                          \
    qualifier int p: ASYNC_MEMBER_INT32 | (flag),                            \
    qualifier long p: ASYNC_LONG_ | (flag),                                  \
    qualifier long long p: ASYNC_MEMBER_INT64 | (flag),                      \
    qualifier unsigned char p: ASYNC_MEMBER_UINT8 | (flag),                  \
    qualifier unsigned short p: ASYNC_MEMBER_UINT16 | (flag),                \
    qualifier unsigned p: ASYNC_MEMBER_UINT32 | (flag),                      \
    qualifier unsigned long p: ASYNC_ULONG_ | (flag),                        \
    qualifier unsigned long long p: ASYNC_MEMBER_UINT64 | (flag),            \
    qualifier _Bool p: ASYNC_MEMBER_BOOL | (flag),                           \
    qualifier float p: ASYNC_MEMBER_FLOAT | (flag),                          \
    qualifier double p: ASYNC_MEMBER_DOUBLE | (flag)

#define ASYNC_KIND_(x)                                                       \
    _Generic(&(x),                                                           \
             ASYNC_NUMBERS_(, *, 0),                                         \
             ASYNC_NUMBERS_(, **, ASYNC_MEMBER_POINTER),                     \
             ASYNC_NUMBERS_(const, **, ASYNC_MEMBER_POINTER),                \
             const char **: ASYNC_MEMBER_TEXT,                               \
             async_str_t *: ASYNC_MEMBER_STR,                                \
             json_t **: ASYNC_MEMBER_JSON,                                   \
             async_upload_t **: ASYNC_MEMBER_UPLOAD)

#define ASYNC_ITEM_(x)                                                       \
    _Generic(&(x),                                                           \
             ASYNC_NUMBERS_(, **, ASYNC_MEMBER_LIST),                        \
             ASYNC_NUMBERS_(const, **, ASYNC_MEMBER_LIST),                   \
             const char ***: ASYNC_MEMBER_TEXT | ASYNC_MEMBER_LIST,          \
             const char *const **: ASYNC_MEMBER_TEXT | ASYNC_MEMBER_LIST,    \
             async_str_t **: ASYNC_MEMBER_STR | ASYNC_MEMBER_LIST,           \
             const async_str_t **: ASYNC_MEMBER_STR | ASYNC_MEMBER_LIST,     \
             async_upload_t ***: ASYNC_MEMBER_UPLOAD | ASYNC_MEMBER_LIST)

#define ASYNC_OF_MODEL_(x, type)                                             \
    _Generic(&(x),                                                           \
             type *: ASYNC_MEMBER_OBJECT,                                    \
             type **: ASYNC_MEMBER_OBJECT | ASYNC_MEMBER_POINTER,            \
             const type **: ASYNC_MEMBER_OBJECT | ASYNC_MEMBER_POINTER)

#define ASYNC_OF_MODELS_(x, type)                                            \
    _Generic(&(x),                                                           \
             type **: ASYNC_MEMBER_OBJECT | ASYNC_MEMBER_LIST,               \
             const type **: ASYNC_MEMBER_OBJECT | ASYNC_MEMBER_LIST)

#define ASYNC_SIZE_T_(x)    _Generic(&(x), size_t *: 1)

#define ASYNC_WITH(attribute_, value_)  .attribute_ = value_

#define ASYNC_MEMBER_(member_, offset_, count_, kind_, ...)                  \
    { .member = member_, .offset = offset_, .count = count_, .kind = kind_,  \
      __VA_ARGS__ }

#define ASYNC_NESTED_(member_, offset_, count_, kind_, model_, ...)          \
    { .member = member_, .offset = offset_, .count = count_, .kind = kind_,  \
      .model = model_, __VA_ARGS__ }

#endif


enum {
    ASYNC_KIND_HANDLER = 1,
    ASYNC_KIND_TASK = 2,
    ASYNC_KIND_BLOCKING = 3,
    ASYNC_KIND_STARTUP = 4,
    ASYNC_KIND_SHUTDOWN = 5,
    ASYNC_KIND_PERIODIC = 6,
    ASYNC_KIND_PROCESS = 7,
    ASYNC_KIND_DEPENDENCY = 8,
    ASYNC_KIND_BLOCKING_DEPENDENCY = 9
};


typedef async_rc_t (*async_handler_pt)(async_t *co, async_req_t *req);
typedef async_rc_t (*async_blocking_pt)(async_req_t *req);
typedef async_rc_t (*async_hook_pt)(async_t *co);


struct async_export_s {
    size_t                             size;
    int                                kind;
    const char                        *name;
    const char                        *site;
    async_handler_pt                   handler;
    async_blocking_pt                  blocking;
    async_fn_pt                        task;
    async_hook_pt                      hook;
    async_thread_pt                    process;
    const async_attribute_t           *attributes;   /* up to that of none */
};


typedef struct {
    size_t                             size;
    unsigned                           abi;
    const char                        *version;
    const async_export_t *const       *exports;
    const async_export_t *const       *exports_end;
    const async_model_t *const        *models;
    const async_model_t *const        *models_end;
} async_app_t;


/*
 * Each export is a symbol, so that the linker refuses a name that is defined
 * twice, and a pointer in a section of its own, so that the module can list
 * them.  The section's bounds are in the one symbol "async_app".
 */
#define ASYNC_EXPORT(symbol, text, kind, handler, blocking, task, hook)      \
    ASYNC_EXPORT_(symbol, text, kind, handler, blocking, task, hook, NULL,   \
                  NULL)

#define ASYNC_EXPORT_(symbol, text, kind, handler, blocking, task, hook,     \
    process, attributes)                                                     \
    ASYNC_EXTERN_C const async_export_t async_export_of_##symbol ASYNC_API;  \
    const async_export_t async_export_of_##symbol = {                        \
        sizeof(async_export_t), kind, text, ASYNC_SITE, handler, blocking,   \
        task, hook, process, attributes                                      \
    };                                                                       \
    __attribute__((section("async_exports"), used))                          \
    static const async_export_t *const async_exported_##symbol =             \
        &async_export_of_##symbol;

extern const async_export_t *const __start_async_exports[]
    __attribute__((weak, visibility("hidden")));
extern const async_export_t *const __stop_async_exports[]
    __attribute__((weak, visibility("hidden")));
extern const async_model_t *const __start_async_models[]
    __attribute__((weak, visibility("hidden")));
extern const async_model_t *const __stop_async_models[]
    __attribute__((weak, visibility("hidden")));

#ifndef NGX_ASYNC_MODULE

extern const async_app_t async_app ASYNC_API __attribute__((weak));
const async_app_t async_app = {
    sizeof(async_app_t), ASYNC_ABI, ASYNC_VERSION,
    __start_async_exports, __stop_async_exports,
    __start_async_models, __stop_async_models
};

#endif


#ifdef __cplusplus
}
#define ASYNC_EXTERN_C  extern "C"
#else
#define ASYNC_EXTERN_C  extern
#endif


#endif /* _NGX_ASYNC_H_INCLUDED_ */
