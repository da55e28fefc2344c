
/*
 * Copyright (C) the nginx-async authors
 *
 * Values of statements as text, as PostgreSQL's input functions read it.  Pure:
 * allocates nothing, depends on no locale, keeps no state.
 */

#ifndef _NGX_HTTP_ASYNC_PG_LITERAL_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PG_LITERAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_async.h>


/*
 * Bytes to write it in, at most, with a zero byte.  Of text: 0 if it has that
 * already.
 */
size_t ngx_http_async_pg_literal_room(const async_value_t *value);

/*
 * Writes INT, FLOAT, TIME and arrays that are not NULL, with a zero byte, and
 * returns where that is.  NULL: it has no such form, *why is the end of a
 * sentence, and *item the number from 1 of the item that it is about, or 0 if
 * it is the whole value.
 */
u_char *ngx_http_async_pg_literal(u_char *p, const async_value_t *value,
    const char **why, size_t *item);

/* NULL: it is UTF-8 without a zero byte; otherwise as *why */
const char *ngx_http_async_pg_literal_fault(const char *text, size_t len);


#endif /* _NGX_HTTP_ASYNC_PG_LITERAL_H_INCLUDED_ */
