
/*
 * Copyright (C) the nginx-async authors
 *
 * What an app holds and may forget to close: it is when its task ends, or the
 * innermost ASYNC_MEMORY in which it has been opened.  That of a child is its
 * parent's, as its memory is.
 */

#ifndef _NGX_ASYNC_HANDLE_H_INCLUDED_
#define _NGX_ASYNC_HANDLE_H_INCLUDED_


#include <ngx_async_task.h>


/* the first member of what an app holds */

typedef struct {
    ngx_async_end_t       end;
    ngx_async_task_t     *task;           /* NULL: it has ended */
    void                (*close)(void *handle);
} ngx_async_handle_t;


/*
 * So many zeroed bytes of the task's memory, which may outlast the task: that
 * of a request does until its response has been sent.  "close" may be called
 * twice, and does not suspend.  NULL: no memory.
 */
void *ngx_async_handle(ngx_async_task_t *t, size_t size,
    void (*close)(void *handle));

/*
 * The same for what has memory and nothing else.  Where that of the task lasts
 * until its threads are through, so does this.
 */
void *ngx_async_handle_memory(ngx_async_task_t *t, size_t size,
    void (*close)(void *handle));


#endif /* _NGX_ASYNC_HANDLE_H_INCLUDED_ */
