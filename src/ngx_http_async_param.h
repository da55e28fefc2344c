
/*
 * Copyright (C) the nginx-async authors
 *
 * Errors of input, collected for the 422 in the form of FastAPI.
 */

#ifndef _NGX_HTTP_ASYNC_PARAM_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PARAM_H_INCLUDED_


#include <ngx_http_async_request.h>


/*
 * Records one error; "loc" is an array whose first member is "path", "query",
 * "header", "cookie" or "body"; "input" is any value; "ctx" may be NULL.  All
 * three are stolen.  Returns ASYNC_INVALID.
 */
async_rc_t ngx_http_async_invalid_input(async_req_t *req, ngx_str_t *type,
    ngx_str_t *msg, json_t *loc, json_t *input, json_t *ctx);

/* Whether some are recorded, also such as a copy of the request has not. */
ngx_uint_t ngx_http_async_has_errors(async_req_t *req);


#endif /* _NGX_HTTP_ASYNC_PARAM_H_INCLUDED_ */
