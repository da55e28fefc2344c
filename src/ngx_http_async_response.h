
/*
 * Copyright (C) the nginx-async authors
 *
 * Responses: what handlers have set, and the module's own errors.
 */

#ifndef _NGX_HTTP_ASYNC_RESPONSE_H_INCLUDED_
#define _NGX_HTTP_ASYNC_RESPONSE_H_INCLUDED_


#include <ngx_http_async_request.h>


/*
 * Sends the response of a handler that has ended, or the one that its code
 * stands for, and releases what the handler held.  Gives what a content
 * handler returns.
 */
ngx_int_t ngx_http_async_finish(async_req_t *req);

/* Releases what a handler held whose response is not sent. */
void ngx_http_async_release(async_req_t *req);

/* Sends {"detail": ...} without a handler; extra header field or NULL. */
ngx_int_t ngx_http_async_send_error(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_uint_t status, ngx_keyval_t *header);

/* The same with other words, that need no escape, and n header fields. */
ngx_int_t ngx_http_async_send_detail(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_uint_t status, const char *detail,
    ngx_keyval_t *headers, ngx_uint_t n);

/* Adds a field, unchecked; the name and value are borrowed. */
ngx_int_t ngx_http_async_out_header(ngx_http_request_t *r,
    ngx_http_async_out_t *out, ngx_str_t *name, ngx_str_t *value);

/*
 * Sends a text that outlives the request, without a handler, with status 200
 * and header fields up to one without a name.
 */
ngx_int_t ngx_http_async_send_text(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_str_t *type, ngx_str_t *text,
    ngx_keyval_t *headers);

/* Sends a redirect without a body. */
ngx_int_t ngx_http_async_send_redirect(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_uint_t status, ngx_str_t *location);

/* The header of a response in pieces; length: -1 if it is not known. */
ngx_int_t ngx_http_async_send_header(ngx_http_request_t *r,
    ngx_http_async_out_t *out, off_t length);

/*
 * ngx_http_async_reply.c: JSON text of the request's pool is the response.
 * ASYNC_ERROR: the status is none, of the public call.
 */
async_rc_t ngx_http_async_json_text(async_req_t *req, const char *call,
    int status, ngx_str_t *text);

/*
 * The same: what has been set on a copy of the request is set on it; the memory
 * of "out" lives as long.  ASYNC_ERROR: no memory.
 */
async_rc_t ngx_http_async_merge_out(async_req_t *req,
    ngx_http_async_out_t *out);

/*
 * The same: what is wrong with a field that an app sets, or NULL, and the
 * answer to that; value: or NULL.
 */
const char *ngx_http_async_field_wrong(const char *name, const char *value);
async_rc_t ngx_http_async_field_refused(async_req_t *req, const char *wrong);

/* ngx_http_async_header.c: what nginx is to send of it as the header */
ngx_int_t ngx_http_async_headers(ngx_http_request_t *r,
    ngx_http_async_out_t *out);

/*
 * A field for the response of whoever serves the request.  NGX_DECLINED: that
 * says it by itself.
 */
ngx_int_t ngx_http_async_early_header(ngx_http_request_t *r,
    ngx_table_elt_t *set, ngx_table_elt_t **h);

/*
 * Of a response that an error page answers, the fields alone without which its
 * status is none: challenges, as with nginx's upstreams, and the like.
 */
ngx_int_t ngx_http_async_required(ngx_http_request_t *r,
    ngx_http_async_out_t *out);


#endif /* _NGX_HTTP_ASYNC_RESPONSE_H_INCLUDED_ */
