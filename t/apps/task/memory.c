
/*
 * ASYNC_MEMORY: what a block allocates is there to its end, and not for longer.
 */

#include "task.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>


static void *
filled(async_t *co, size_t size, int byte)
{
    void  *p = async_task_alloc(co, size);

    return p ? memset(p, byte, size) : NULL;
}


static int
is_filled(const void *p, size_t size, int byte)
{
    size_t  i;

    for (i = 0; i < size; i++) {
        if (((const unsigned char *) p)[i] != byte) {
            return 0;
        }
    }

    return 1;
}


/* ?turns= of 10 kB each */

ASYNC_HANDLER(memory)
{
    int       ok;
    char     *small, *large;
    int64_t   i, turns;

    (void) async_query_int_or(req, "turns", &turns, 0);

    ok = 1;
    small = filled(co, 100, 'a');
    large = filled(co, 100000, 'b');

    for (i = 0; i < turns; i++) {
        ASYNC_MEMORY(co);

        ok &= filled(co, 10000, 'c') != NULL;
        ok &= (uintptr_t) async_task_alloc(co, 1) % _Alignof(max_align_t) == 0;

        if (i % 1000 == 0) {
            ASYNC_TRY(await_yield(co));
        }
    }

    ok &= is_filled(small, 100, 'a') && is_filled(large, 100000, 'b');

    return async_text(req, 200, ok ? "intact\n" : "not intact\n");
}


/* uses the memory of the block to its end */

static void
memory_cleanup(async_t *co, void *arg)
{
    async_rc_t  rc = await_sleep(co, 20);

    say(co, "cleaned %s %s>", name_of(rc),
        is_filled(arg, 10000, 'd') ? "intact" : "overwritten");
}


static async_rc_t
memory_user(async_t *co, void *arg)
{
    ASYNC_TRY(async_defer(co, memory_cleanup, arg));

    return await_sleep(co, HOUR);
}


static async_rc_t
memory_giver(async_t *co, void *arg)
{
    ASYNC_TRY(await_yield(co));

    *(void **) arg = filled(co, 10000, 'e');

    return ASYNC_OK;
}


ASYNC_HANDLER(memory_children)
{
    void  *given;

    SCOPE {
        ASYNC_MEMORY(co);

        (void) async_spawn(co, memory_user, filled(co, 10000, 'd'));

        ASYNC_TRY(await_join(co, async_spawn(co, memory_giver, &given)));

        say(co, "given %s>", is_filled(given, 10000, 'e') ? "intact"
                                                          : "overwritten");
    }

    say(co, "left>");

    return async_text(req, 200, "children\n");
}


/* what is given to the response, and had from the request, in a block */

ASYNC_HANDLER(memory_response)
{
    char         *text;
    async_str_t   body, again;

    SCOPE {
        ASYNC_MEMORY(co);

        ASYNC_TRY(await_body(co, req, &body));

        text = filled(co, 100001, 'x');
        text[100000] = '\0';

        ASYNC_TRY(async_set_header(req, "X-Text", text + 99900));
        ASYNC_TRY(async_text(req, 200, text));

        memset(text, 'y', 100000);
    }

    (void) filled(co, 100001, 'z');

    ASYNC_TRY(await_body(co, req, &again));

    say(co, "%.*s, %s>", (int) again.len, again.data,
        again.data == body.data ? "the same" : "another");

    return ASYNC_OK;
}


/* nested blocks, left in the middle */

static async_rc_t
memory_leaver(async_t *co, void *arg)
{
    char  *p;

    ASYNC_MEMORY(co);

    p = filled(co, 5000, 'f');

    SCOPE {
        ASYNC_MEMORY(co);

        (void) filled(co, 5000, 'g');
    }

    *(int *) arg = is_filled(p, 5000, 'f');

    return fail(co, 7);
}


ASYNC_HANDLER(memory_nested)
{
    int    ok;
    char  *p;
    out_t  out = { "", 0 };

    p = filled(co, 5000, 'h');

    answer(co, &out, "left", memory_leaver(co, &ok));
    put(&out, ok && is_filled(p, 5000, 'h') ? "intact\n" : "not intact\n");

    return async_text(req, 200, out.text);
}
