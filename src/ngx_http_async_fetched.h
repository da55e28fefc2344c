
/*
 * Copyright (C) the nginx-async authors
 *
 * What others have answered: async_response_t, filled by await_fetch() and
 * await_subrequest().
 */

#ifndef _NGX_HTTP_ASYNC_FETCHED_H_INCLUDED_
#define _NGX_HTTP_ASYNC_FETCHED_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_async_handle.h>


typedef struct {
    async_str_t                 name;
    async_str_t                 value;
} ngx_http_async_field_t;


struct async_response_s {
    ngx_async_handle_t          handle;
    ngx_pool_t                 *pool;         /* of the task */

    ngx_uint_t                  status;
    ngx_array_t                 fields;       /* of ngx_http_async_field_t */
    async_str_t                 url;
    json_t                     *json;

    /* the body, zero-terminated, in "size" bytes of the pool */
    u_char                     *body;
    size_t                      len;
    size_t                      size;

    /*
     * Of one that is read in pieces, until its end: "read" is what
     * await_response_read() does, "drop" gives up what is still to come, and
     * is called once.
     */
    async_rc_t                (*read)(ngx_async_task_t *t,
                                      async_response_t *res, void *buf,
                                      size_t size, size_t *n);
    void                      (*drop)(async_response_t *res);
    void                       *source;

    unsigned                    streams:1;    /* it was asked for in pieces */
    unsigned                    reads:1;      /* a task does */
    unsigned                    broken:1;     /* it has not come to its end */
};


/* An empty one, a handle of the task; NULL: no memory. */
async_response_t *ngx_http_async_fetched(ngx_async_task_t *t);

/* Frees what it holds, before its task ends. */
void ngx_http_async_fetched_free(async_response_t *res);

/* Adds a field: zero-terminated strings that live as long as the pool. */
ngx_int_t ngx_http_async_fetched_field(async_response_t *res, ngx_str_t *name,
    ngx_str_t *value);

/* Makes room for so many bytes more, and a zero; or adds them. */
ngx_int_t ngx_http_async_fetched_room(async_response_t *res, size_t len);
ngx_int_t ngx_http_async_fetched_add(async_response_t *res,
    const void *data, size_t len);

/*
 * ngx_http_async_fetch_options.c: the options, of "size" bytes for the caller,
 * or NULL, as those of this version.  Refuses times, names and values that are
 * none.  JSON is "body" then, text of the task's memory, and its media type is
 * in *type; NULL: nothing is known of that.
 */
async_rc_t ngx_http_async_fetch_options(ngx_async_task_t *t,
    async_fetch_t *given, size_t size, async_fetch_t *fetch,
    const char **type);

/* Frees what would be stolen, of an await that is refused. */
void ngx_http_async_fetch_forget(async_fetch_t *given);


#endif /* _NGX_HTTP_ASYNC_FETCHED_H_INCLUDED_ */
