
/*
 * Copyright (C) the nginx-async authors
 *
 * Forms: what has been read of a body, and the temporary file of its uploads.
 *
 * A form has memory of its own, since a thread may have it longer than the
 * request.  Whoever needs it holds it; the last one who lets go frees it.  The
 * counting is the loop's, or that of the thread that makes the form.
 */

#ifndef _NGX_HTTP_ASYNC_FORM_H_INCLUDED_
#define _NGX_HTTP_ASYNC_FORM_H_INCLUDED_


#include <ngx_http_async_request.h>


struct async_upload_s {
    async_form_t         *form;
    ngx_str_t             name;
    ngx_str_t             type;
    off_t                 size;
    off_t                 pos;          /* how much of it has been read */
    ngx_str_t             data;         /* of one in memory */
    off_t                 offset;       /* of the others, in the form's file */

    unsigned              in_file:1;
    unsigned              busy:1;       /* a thread reads it for a task */
};


typedef struct {
    ngx_str_t             name;
    async_upload_t       *file;         /* NULL: it is a text */
    ngx_str_t             text;
} ngx_http_async_form_part_t;


struct async_form_s {
    ngx_pool_t           *pool;
    ngx_log_t             log;          /* of the pool: says nothing */
    ngx_uint_t            refs;
    ngx_async_profile_t  *profile;
    ngx_array_t           parts;        /* of ngx_http_async_form_part_t */

    /* all uploads that are too large for memory, one behind another; -1 */
    int                   fd;
    off_t                 size;
};


/* NULL: no memory.  Held by the pool. */
async_form_t *ngx_http_async_form_create(ngx_async_task_t *t,
    ngx_pool_t *pool);

/* Held by the pool, too, until that is destroyed on the loop. */
ngx_int_t ngx_http_async_form_hold(async_form_t *form, ngx_pool_t *pool);

/* Lets go of what has been held by refs++; data: the form. */
void ngx_http_async_form_release(void *data);

/* The i-th of the name, of texts or of files, or the last; NULL. */

#define NGX_HTTP_ASYNC_FORM_LAST  ((size_t) -1)

ngx_http_async_form_part_t *ngx_http_async_form_find(async_form_t *form,
    ngx_str_t *name, ngx_uint_t file, size_t i);

/*
 * Appends to the form's file; suspends.  *data is memory of malloc(), which is
 * away meanwhile, and gone unless ASYNC_OK.
 */
async_rc_t ngx_http_async_form_write(ngx_async_task_t *t, async_form_t *form,
    ngx_str_t *dir, u_char **data, size_t len);


#endif /* _NGX_HTTP_ASYNC_FORM_H_INCLUDED_ */
