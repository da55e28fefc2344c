
/*
 * Copyright (C) the nginx-async authors
 *
 * What calls on whole files and on open ones have in common: a job with a path.
 */

#ifndef _NGX_HTTP_ASYNC_FILES_H_INCLUDED_
#define _NGX_HTTP_ASYNC_FILES_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_async_disk.h>


typedef struct {
    const char             *await;
    const char             *site;
    const char             *root;
    const char             *path;
    const char             *to;         /* NULL: none */

    /* the job: so large, of which the first is an ngx_async_disk_t */
    size_t                  size;
    ngx_async_thread_pt     run;
    ngx_async_thread_pt     drop;
} ngx_http_async_files_call_t;


/*
 * Opens the await, and makes the job; NULL: *rc says why.  Its data of malloc()
 * are the caller's to free, also in "drop".
 */
void *ngx_http_async_files_job(ngx_async_task_t *t,
    ngx_http_async_files_call_t *call, async_rc_t *rc);

/*
 * Suspends until it is done.  *taken: the job is the caller's, who frees it;
 * otherwise it has been dropped, or will be.
 */
async_rc_t ngx_http_async_files_await(ngx_async_task_t *t, void *job,
    ngx_uint_t *taken);

/* A copy of the data to be written; the failure is noted. */
async_rc_t ngx_http_async_files_copy(ngx_async_task_t *t, ngx_async_disk_t *d,
    const void *data, size_t len);


#endif /* _NGX_HTTP_ASYNC_FILES_H_INCLUDED_ */
