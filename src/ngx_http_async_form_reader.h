
/*
 * Copyright (C) the nginx-async authors
 *
 * A form while it is read, for the two files that do it: ngx_http_async_form.c
 * takes the body apart, ngx_http_async_form_part.c keeps what comes of it.
 */

#ifndef _NGX_HTTP_ASYNC_FORM_READER_H_INCLUDED_
#define _NGX_HTTP_ASYNC_FORM_READER_H_INCLUDED_


#include <ngx_http_async_form.h>
#include <ngx_http_async_multipart.h>


#define NGX_HTTP_ASYNC_FORM_PIECE    (16 * 1024)
#define NGX_HTTP_ASYNC_FORM_HEADERS  (8 * 1024)


typedef struct {
    ngx_async_task_t            *task;
    async_req_t                 *req;
    async_form_t                *form;
    ngx_uint_t                   multipart;
    ngx_uint_t                   streams;     /* it may suspend */
    ngx_http_async_multipart_t   parser;

    /* the part that is being read, and what has come of it; malloc() */
    ngx_http_async_form_part_t  *part;
    u_char                      *data;
    size_t                       len;
    size_t                       size;

    size_t                       texts;       /* bytes of all, with names */
    size_t                       files;       /* of those in memory */

    u_char                       headers[NGX_HTTP_ASYNC_FORM_HEADERS];
    u_char                       piece[NGX_HTTP_ASYNC_FORM_PIECE];
} ngx_http_async_form_reader_t;


/*
 * ngx_http_async_form_part.c.  Each is ASYNC_OK, or it has noted why not for
 * async_error(), and set the response if the form is refused.
 */

/* The parser has read the headers of a part; what comes is this one's. */
async_rc_t ngx_http_async_form_part(ngx_http_async_form_reader_t *reader);

/* A part without anything, as reader->part. */
async_rc_t ngx_http_async_form_push(ngx_http_async_form_reader_t *reader);

/* A piece of a part, or of a body that is urlencoded; may suspend. */
async_rc_t ngx_http_async_form_data(ngx_http_async_form_reader_t *reader,
    u_char *data, size_t len);

/* Nothing more comes of the part; may suspend. */
async_rc_t ngx_http_async_form_part_end(ngx_http_async_form_reader_t *reader);

/* Sets the response: the detail, in nginx's format; "why" is for the handler */
async_rc_t ngx_http_async_form_refuse(ngx_http_async_form_reader_t *reader,
    int status, const char *why, const char *fmt, ...);

/* ASYNC_ERROR, noted */
async_rc_t ngx_http_async_form_no_memory(
    ngx_http_async_form_reader_t *reader);


#endif /* _NGX_HTTP_ASYNC_FORM_READER_H_INCLUDED_ */
