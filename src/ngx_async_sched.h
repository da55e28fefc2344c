
/*
 * Copyright (C) the nginx-async authors
 *
 * The loop comes before the threads that share its processors.  Linux only;
 * elsewhere, and where the kernel refuses, nothing changes.
 */

#ifndef _NGX_ASYNC_SCHED_H_INCLUDED_
#define _NGX_ASYNC_SCHED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* The calling thread is the loop of a worker. */
void ngx_async_sched_loop(void);

/* The calling thread is one of a pool; nice: on top of what it has. */
void ngx_async_sched_thread(ngx_int_t nice);


#endif /* _NGX_ASYNC_SCHED_H_INCLUDED_ */
