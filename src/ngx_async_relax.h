
/*
 * Copyright (C) the nginx-async authors
 *
 * Gives back the pages of stacks of tasks that wait for long.
 */

#ifndef _NGX_ASYNC_RELAX_H_INCLUDED_
#define _NGX_ASYNC_RELAX_H_INCLUDED_


#include <ngx_async_task.h>


/* in milliseconds: how often it looks at each task, unless there are many */
#define NGX_ASYNC_RELAX_LAP  5000


/* set as long as there are tasks: by the first of them, then by itself */
extern ngx_event_t  ngx_async_relax_timer;

void ngx_async_relax_init(ngx_cycle_t *cycle);


#endif /* _NGX_ASYNC_RELAX_H_INCLUDED_ */
