
/*
 * Copyright (C) the nginx-async authors
 *
 * Times as RFC 3339 has them.  Pure: allocates nothing, and may be used in any
 * thread.
 */

#ifndef _NGX_HTTP_ASYNC_MODEL_TIME_H_INCLUDED_
#define _NGX_HTTP_ASYNC_MODEL_TIME_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* "2026-01-31T12:00:00.5Z" is shorter by five */
#define NGX_HTTP_ASYNC_MODEL_TIME_LEN  (sizeof("2026-01-31T12:00:00.123Z") - 1)


/*
 * Milliseconds since 1970 in UTC; returns the end.  NULL: not within the years
 * from 1 to 9999.  There must be room for NGX_HTTP_ASYNC_MODEL_TIME_LEN bytes.
 */
u_char *ngx_http_async_model_time(u_char *p, int64_t ms);


#endif /* _NGX_HTTP_ASYNC_MODEL_TIME_H_INCLUDED_ */
