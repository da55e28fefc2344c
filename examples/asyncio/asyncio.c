
/*
 * Coroutines without a server, as Python's asyncio runs them.
 *
 * A task is a function that may await and answers no request.  It runs by
 *
 *     util/async-run examples/asyncio/asyncio.c main
 */

#include <stdio.h>
#include <ngx_async.h>


/* Its value goes to where its caller says; async-run prints it. */

ASYNC_TASK(fetch_data)
{
    const char  **data = arg;

    ASYNC_TRY(await_sleep(co, 5000));

    *data = "Data received";

    return ASYNC_OK;
}


/* asyncio.run(main()).  Other tasks would run while this one waits. */

ASYNC_MAIN
{
    const char  *data = NULL;

    ASYNC_TRY(fetch_data(co, &data));      /* data = await fetch_data() */

    printf("%s\n", data);

    return ASYNC_OK;
}


/* Runs to the await, pauses there, and goes on where it was. */

ASYNC_TASK(my_coroutine)
{
    printf("Step 1\n");

    ASYNC_TRY(await_sleep(co, 1000));      /* pauses here */

    printf("Step 2\n");

    return ASYNC_OK;
}


/* What stands after an await runs only when that has completed. */

ASYNC_TASK(example)
{
    printf("Before await\n");

    ASYNC_TRY(await_sleep(co, 3000));

    printf("After await\n");

    return ASYNC_OK;
}
