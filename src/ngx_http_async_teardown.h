
/*
 * Copyright (C) the nginx-async authors
 *
 * Teardowns: what dependencies and handlers want done when all that depends on
 * them is over.  They lie with the background tasks of their request.
 */

#ifndef _NGX_HTTP_ASYNC_TEARDOWN_H_INCLUDED_
#define _NGX_HTTP_ASYNC_TEARDOWN_H_INCLUDED_


#include <ngx_http_async_background.h>


struct ngx_http_async_teardown_s {
    ngx_http_async_teardown_t     *next;
    const char                    *site;
    async_teardown_pt              fn;
    async_teardown_thread_pt       thread;    /* of the two, one is NULL */
    const char                    *pool;
    void                          *arg;
    size_t                         size;

    /* of the run */
    async_req_t                   *req;
    async_rc_t                     outcome;
};


/*
 * On a coroutine: runs those of b, the last first, shielded.  req: whose
 * response they may set, or NULL.
 */
void ngx_http_async_teardown_run(ngx_async_task_t *t,
    ngx_http_async_background_t *b, async_req_t *req, async_rc_t outcome);

/*
 * What has no task any more gets one of its own: runs them and the cleanups,
 * frees b (or NULL), and then calls done(data).
 */
void ngx_http_async_teardown_late(ngx_http_async_background_t *b,
    ngx_async_defer_t **defers, ngx_async_profile_t *profile,
    async_rc_t outcome, void (*done)(void *data), void *data);

/*
 * On the coroutine, when the handler of the request and all else have ended
 * with rc: what it leaves is held for later, or done now, or dropped.  The code
 * that the request ends with.
 */
async_rc_t ngx_http_async_teardown_end(async_req_t *req, async_rc_t rc);


#endif /* _NGX_HTTP_ASYNC_TEARDOWN_H_INCLUDED_ */
