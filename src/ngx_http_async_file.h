
/*
 * Copyright (C) the nginx-async authors
 *
 * Files, opened off the loop.
 */

#ifndef _NGX_HTTP_ASYNC_FILE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_FILE_H_INCLUDED_


#include <ngx_http_async_request.h>


/*
 * Opens the file of async_file() in a thread, and notes its size and time.
 * Suspends.  What cannot be opened fails the request with 404 or 403.
 */
async_rc_t ngx_http_async_file_open(async_req_t *req);


#endif /* _NGX_HTTP_ASYNC_FILE_H_INCLUDED_ */
