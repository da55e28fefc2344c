
/*
 * Copyright (C) the nginx-async authors
 *
 * COPY: data both ways, no faster than the other side.  How it begins and ends
 * is in ngx_http_async_pg_copy.c, data to us in ngx_http_async_pg_copy_get.c,
 * data from us in ngx_http_async_pg_copy_put.c; this is what they share.
 */

#ifndef _NGX_HTTP_ASYNC_PG_COPY_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_COPY_H_INCLUDED_


#include <ngx_http_async_pg_hold.h>


typedef enum {
    NGX_HTTP_ASYNC_PG_COPY_NEW = 0,
    NGX_HTTP_ASYNC_PG_COPY_TO,                /* us */
    NGX_HTTP_ASYNC_PG_COPY_FROM,
    NGX_HTTP_ASYNC_PG_COPY_END,
    NGX_HTTP_ASYNC_PG_COPY_FAILED,
    NGX_HTTP_ASYNC_PG_COPY_CLOSED
} ngx_http_async_pg_copy_e;


struct async_pg_copy_s {
    ngx_http_async_pg_hold_t    hold;
    ngx_http_async_pg_copy_e    state;
    int64_t                     rows;

    /* to us: lines of libpq, one that is lent, and one that is the next */
    char                       *lent;
    char                       *line;
    size_t                      len;
    ngx_uint_t                  last;         /* there is no next */
    char                       *buf;          /* or several, in one piece */

    size_t                      unsent;       /* at most */
    size_t                      turn;         /* since it has suspended */
};


/*
 * Opens an await on one in that state.  ASYNC_ERROR: it is in another, and the
 * error says in which.
 */
async_rc_t ngx_http_async_pg_copy_enter(ngx_async_task_t *t,
    const char *await, const char *site, async_pg_copy_t *copy,
    ngx_http_async_pg_copy_e state);

/*
 * Suspends until there are lines: as many as have come.  At the end "data" is
 * left alone, and copy->rows is known.
 */
async_rc_t ngx_http_async_pg_copy_get(ngx_async_task_t *t,
    async_pg_copy_t *copy, async_str_t *data);

/*
 * Suspends.  Ends the data from us, with a failure of that reason unless "why"
 * is NULL, and then as _finish().
 */
async_rc_t ngx_http_async_pg_copy_end(ngx_async_task_t *t,
    async_pg_copy_t *copy, const char *why);

/* Suspends.  Gives what the server says of the whole, behind the data. */
async_rc_t ngx_http_async_pg_copy_finish(ngx_async_task_t *t,
    async_pg_copy_t *copy);

/* Moves it to a state in which it has no connection, and gives that back. */
void ngx_http_async_pg_copy_done(async_pg_copy_t *copy,
    ngx_http_async_pg_copy_e state);


#endif /* _NGX_HTTP_ASYNC_PG_COPY_H_INCLUDED_ */
