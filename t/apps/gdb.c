
/*
 * Tasks that hang, each in another way, for t/gdb.t: they end when the client
 * leaves.  Functions between a handler and its await are not inlined, as those
 * of a real app would not be.
 */

#include <ngx_async.h>
#include <unistd.h>


#define NOINLINE  __attribute__((noinline))


typedef struct {
    int           number;
    const char   *title;
} note_t;


static async_event_t  never;


static NOINLINE async_rc_t
wait_for_note(async_t *co, note_t *note)
{
    async_rc_t  rc;

    rc = await_sleep(co, 3600 * 1000);      /* the sleep */
    note->number++;

    return rc;
}


static NOINLINE async_rc_t
read_note(async_t *co, const char *title)
{
    async_rc_t  rc;
    note_t      note = { 42, title };

    rc = wait_for_note(co, &note);          /* the call of the sleep */

    return (note.number == 43) ? rc : ASYNC_ERROR;
}


ASYNC_HANDLER(sleeps)
{
    async_rc_t  rc;

    rc = read_note(co, "first");            /* the call of the reader */

    return (rc == ASYNC_OK) ? async_text(req, 200, "slept\n") : rc;
}


ASYNC_HANDLER(fetches)
{
    async_response_t  *res;
    const char        *url = async_param(req, "url").data;

    ASYNC_TRY(await_fetch(co, url, NULL, &res));    /* the fetch */

    return async_text(req, 200, "fetched\n");
}


static NOINLINE async_rc_t
child(async_t *co, void *arg)
{
    async_rc_t  rc;

    rc = await_event(co, &never);           /* the await of the child */
    *(int *) arg = 1;

    return rc;
}


ASYNC_HANDLER(joins)
{
    int             done = 0;
    async_child_t  *one;

    ASYNC_GROUP(co);

    one = async_spawn(co, child, &done);    /* the spawn */

    ASYNC_TRY(await_join(co, one));         /* the join */

    return async_text(req, 200, "joined\n");
}


static NOINLINE void
poll_a_device(async_req_t *req)
{
    while (!async_cancelled(req)) {
        (void) usleep(10000);               /* the thread */
    }
}


BLOCKING_HANDLER(blocks)
{
    poll_a_device(req);

    return async_text(req, 200, "done\n");
}


/* holds the loop until the file of "until" is there */

static NOINLINE void
spin(const char *file)
{
    while (access(file, F_OK) == -1) {
        (void) usleep(10000);               /* the loop */
    }
}


ASYNC_HANDLER(holds)
{
    spin(async_param(req, "until").data);

    return async_text(req, 200, "released\n");
}


ASYNC_HANDLER(hello)
{
    return async_text(req, 200, "hello\n");
}
