
/*
 * Bytes of base64 text (RFC 4648), as pydantic 2 reads them from JSON.  Pure,
 * as the others of ngx_http_async_value.h.
 */


#ifndef _NGX_HTTP_ASYNC_VALUE_BASE64_H_INCLUDED_
#define _NGX_HTTP_ASYNC_VALUE_BASE64_H_INCLUDED_


#include <ngx_http_async_value.h>


/*
 * Either alphabet, but not both at once; "=" at the end or not.  value->data
 * has room for as many bytes as text has characters.
 *
 * type of error: bytes_invalid_encoding, of which error->ctx is the member
 * "encoding_error" of "ctx"
 */

ngx_int_t ngx_http_async_value_base64(ngx_str_t *text, ngx_str_t *value,
    ngx_http_async_value_error_t *error);


#endif /* _NGX_HTTP_ASYNC_VALUE_BASE64_H_INCLUDED_ */
