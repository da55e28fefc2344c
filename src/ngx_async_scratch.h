
/*
 * Copyright (C) the nginx-async authors
 *
 * Memory of nginx's pools for what a call needs while it runs: they are used
 * again, since to make one takes longer than most of what is done in it.
 */

#ifndef _NGX_ASYNC_SCRATCH_H_INCLUDED_
#define _NGX_ASYNC_SCRATCH_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Some 1k, and more on demand; to be given back.  NULL: no memory. */
ngx_pool_t *ngx_async_scratch(ngx_log_t *log);

/* Frees all of it; or NULL. */
void ngx_async_scratch_done(ngx_pool_t *pool);


#endif /* _NGX_ASYNC_SCRATCH_H_INCLUDED_ */
