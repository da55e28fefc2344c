
/*
 * Copyright (C) the nginx-async authors
 *
 * Child tasks, for ngx_async_child.c, which keeps what a parent knows of each,
 * and ngx_async_gather.c, which waits for several.
 */

#ifndef _NGX_ASYNC_CHILD_H_INCLUDED_
#define _NGX_ASYNC_CHILD_H_INCLUDED_


#include <ngx_async_task.h>


typedef enum {
    NGX_ASYNC_GATHER = 0,
    NGX_ASYNC_ALL,
    NGX_ASYNC_ANY
} ngx_async_gather_e;


/* Several that are waited for at once; on the stack of whoever waits. */

typedef struct {
    ngx_async_waker_t         waker;
    ngx_async_gather_e        mode;
    ngx_uint_t                pending;
    async_child_t            *first;          /* the one that has decided it */
    async_child_t            *last;           /* the last one that has failed */
    async_work_t             *won;            /* of await_any() */
} ngx_async_gather_t;


struct async_child_s {
    ngx_queue_t               queue;          /* of the parent; or idle */
    ngx_async_task_t         *parent;
    ngx_async_task_t         *task;           /* NULL: it has ended */
    ngx_async_gather_t       *gather;
    async_work_t             *work;

    async_fn_pt               fn;
    void                     *arg;
    uint64_t                  number;         /* of all of the worker */
    const char               *site;           /* of the spawn */
    u_char                   *sp;             /* the parent's stack there */
    ngx_uint_t                shielded;
    ngx_async_bound_t         bound;          /* a copy: the scope may end */
    ngx_uint_t                bounded;        /* its deadline is a scope's */

    async_rc_t                rc;
    u_char                    error[NGX_ASYNC_ERROR_LEN];
    int                       cause;
};


/* That of the last child of this worker. */
uint64_t ngx_async_child_last(void);

/*
 * Whether it is that task, or descends from a child that this has had since
 * that number.
 */
ngx_uint_t ngx_async_child_since(ngx_async_task_t *t, ngx_async_task_t *of,
    uint64_t number);

/* It has been joined; on the coroutine of the parent. */
void ngx_async_child_free(async_child_t *child);

/* One of them has ended; on the loop's stack. */
void ngx_async_gathered(ngx_async_gather_t *g, async_child_t *child);

/*
 * Until all of them have ended.  rc: the answer if that is not to be ASYNC_OK
 * in any case; then they are cancelled, and so they are when the task is.
 */
async_rc_t ngx_async_gather_wait(ngx_async_task_t *t, ngx_async_gather_t *g,
    async_rc_t rc);


#endif /* _NGX_ASYNC_CHILD_H_INCLUDED_ */
