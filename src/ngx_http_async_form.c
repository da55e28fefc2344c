
/*
 * Copyright (C) the nginx-async authors
 *
 * await_form(): the body of an HTML form, of either encoding.  It comes in
 * pieces; what is in memory at a time is one of them, what async_form_memory
 * allows of a file, and the texts.  A body that has been read already is parsed
 * where it is.  What becomes of the parts is ngx_http_async_form_part.c.
 */

#include <ngx_http_async_body.h>
#include <ngx_http_async_form_reader.h>
#include <ngx_http_async_param.h>
#include <ngx_http_async_query.h>
#include <ngx_http_async_take.h>


static async_rc_t ngx_http_async_form_begin(ngx_async_task_t *t,
    async_req_t *req);
static async_rc_t ngx_http_async_form_type(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_pieces(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_feed(
    ngx_http_async_form_reader_t *reader, u_char *data, size_t len);
static async_rc_t ngx_http_async_form_malformed(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_end(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_urlencoded(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_pair(
    ngx_http_async_form_reader_t *reader, u_char *p, u_char *end);
static ngx_uint_t ngx_http_async_form_is(ngx_str_t *type, const char *name);


async_rc_t
await_form_at(async_t *co, const char *site, async_req_t *req,
    async_form_t **form)
{
    async_rc_t  rc;

    *form = NULL;

    req = ngx_http_async_origin(req);

    rc = ngx_async_enter(co, "await_form", site);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_form_read(co, req);

    if (rc == ASYNC_OK) {
        *form = req->form;
    }

    return rc;
}


async_rc_t
async_form(async_req_t *req, async_form_t **form)
{
    async_rc_t  rc;

    ngx_http_async_check(req);

    *form = NULL;

    req = ngx_http_async_reader(req);

    if (req->form_state == NGX_HTTP_ASYNC_FORM_READING
        || (req->form_state == NGX_HTTP_ASYNC_FORM_UNREAD
            && req->body_state != NGX_HTTP_ASYNC_BODY_WHOLE))
    {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "the form has not "
                                   "been read: use await_form()");
    }

    rc = ngx_http_async_form_read(&req->task, req);

    if (rc == ASYNC_OK) {
        *form = req->form;
    }

    return rc;
}


async_rc_t
ngx_http_async_form_read(ngx_async_task_t *t, async_req_t *req)
{
    async_rc_t  rc;

    if (req->form_state == NGX_HTTP_ASYNC_FORM_UNREAD
        && req->body_state == NGX_HTTP_ASYNC_BODY_READING)
    {
        rc = ngx_http_async_body_whole(t, req, req->pool);
        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    while (req->form_state == NGX_HTTP_ASYNC_FORM_READING) {
        rc = ngx_http_async_body_wait(t, &req->form_waiting);

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    switch (req->form_state) {

    case NGX_HTTP_ASYNC_FORM_READ:
        return ASYNC_OK;

    case NGX_HTTP_ASYNC_FORM_FAILED:
        return ngx_async_set_error(t, ASYNC_ERROR, "the form could not be "
                                   "read before");

    default: /* NGX_HTTP_ASYNC_FORM_UNREAD */
        break;
    }

    if (req->body_state == NGX_HTTP_ASYNC_BODY_PIECES) {
        return ngx_async_set_error(t, ASYNC_ERROR, "the body is being read by "
                                   "await_body_read()");
    }

    req->form_state = NGX_HTTP_ASYNC_FORM_READING;
    ngx_queue_init(&req->form_waiting);

    rc = ngx_http_async_form_begin(t, req);

    req->form_state = (rc == ASYNC_OK) ? NGX_HTTP_ASYNC_FORM_READ
                                       : NGX_HTTP_ASYNC_FORM_FAILED;

    ngx_http_async_body_wake(&req->form_waiting, ASYNC_OK);

    return rc;
}


static async_rc_t
ngx_http_async_form_begin(ngx_async_task_t *t, async_req_t *req)
{
    async_rc_t                     rc;
    ngx_http_async_form_reader_t  *reader;

    reader = ngx_calloc(sizeof(ngx_http_async_form_reader_t), req->pool->log);

    if (reader == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory for the form");
    }

    reader->task = t;
    reader->req = req;
    reader->streams = (req->body_state == NGX_HTTP_ASYNC_BODY_UNREAD
                       && req->r == req->r->main
                       && req->r->request_body == NULL);

    rc = ngx_http_async_form_type(reader);

    if (rc == ASYNC_OK) {
        reader->form = ngx_http_async_form_create(t, req->pool);

        rc = reader->form ? ngx_http_async_form_pieces(reader)
                          : ngx_http_async_form_no_memory(reader);
    }

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_form_end(reader);
    }

    if (rc == ASYNC_OK) {
        req->form = reader->form;
    }

    free(reader->data);
    ngx_free(reader);

    return rc;
}


/* Nothing at all is the form without fields. */

static async_rc_t
ngx_http_async_form_type(ngx_http_async_form_reader_t *reader)
{
    ngx_str_t     type, copy;
    async_str_t   given, len;
    async_req_t  *req;

    req = reader->req;

    given = async_header(req, "Content-Type");

    if (given.data == NULL) {
        len = async_header(req, "Content-Length");

        if ((len.data == NULL || ngx_strcmp(len.data, "0") == 0)
            && async_header(req, "Transfer-Encoding").data == NULL)
        {
            return ASYNC_OK;
        }
    }

    type.data = (u_char *) given.data;
    type.len = given.len;

    if (ngx_http_async_form_is(&type, "application/x-www-form-urlencoded")) {
        return ASYNC_OK;
    }

    if (!ngx_http_async_form_is(&type, "multipart/form-data")) {
        return ngx_http_async_form_refuse(reader, 415, "of another type",
                                          "The body is no form");
    }

    reader->multipart = 1;

    /* it is unquoted where it stands */

    copy.data = ngx_pstrdup(req->pool, &type);
    copy.len = type.len;

    if (copy.data == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    if (ngx_http_async_multipart_init(&reader->parser, &copy, reader->headers,
                                      NGX_HTTP_ASYNC_FORM_HEADERS)
        != NGX_OK)
    {
        return ngx_http_async_form_refuse(reader, 400, "without a boundary",
                                          "Missing boundary in multipart.");
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_pieces(ngx_http_async_form_reader_t *reader)
{
    size_t        n;
    async_rc_t    rc;
    async_req_t  *req;

    req = reader->req;

    if (!reader->streams) {
        rc = ngx_http_async_body_whole(reader->task, req, req->pool);

        return (rc == ASYNC_OK)
                   ? ngx_http_async_form_feed(reader,
                                              (u_char *) req->body.data,
                                              req->body.len)
                   : rc;
    }

    do {
        rc = ngx_http_async_body_piece(reader->task, req, reader->piece,
                                       NGX_HTTP_ASYNC_FORM_PIECE, &n);

        if (rc == ASYNC_OK) {
            rc = ngx_http_async_form_feed(reader, reader->piece, n);
        }
    } while (rc == ASYNC_OK && n);

    return rc;
}


static async_rc_t
ngx_http_async_form_feed(ngx_http_async_form_reader_t *reader, u_char *data,
    size_t len)
{
    ngx_str_t                          piece;
    async_rc_t                         rc;
    ngx_http_async_multipart_event_e   event;

    if (!reader->multipart) {
        return ngx_http_async_form_data(reader, data, len);
    }

    piece.data = data;
    piece.len = len;

    do {
        event = ngx_http_async_multipart_next(&reader->parser, &piece);

        switch (event) {

        case NGX_HTTP_ASYNC_MULTIPART_PART:
            rc = ngx_http_async_form_part(reader);
            break;

        case NGX_HTTP_ASYNC_MULTIPART_DATA:
            rc = ngx_http_async_form_data(reader, reader->parser.data.data,
                                          reader->parser.data.len);
            break;

        case NGX_HTTP_ASYNC_MULTIPART_END:
            rc = ngx_http_async_form_part_end(reader);
            break;

        case NGX_HTTP_ASYNC_MULTIPART_ERROR:
            rc = ngx_http_async_form_malformed(reader);
            break;

        default: /* NGX_HTTP_ASYNC_MULTIPART_MORE */
            rc = ASYNC_OK;
        }

    } while (rc == ASYNC_OK && event != NGX_HTTP_ASYNC_MULTIPART_MORE);

    return rc;
}


static async_rc_t
ngx_http_async_form_malformed(ngx_http_async_form_reader_t *reader)
{
    const char  *detail;

    detail = reader->parser.detail;

    return ngx_http_async_form_refuse(reader, 400, reader->parser.error, "%s",
                            detail ? detail
                                   : "There was an error parsing the body");
}


static async_rc_t
ngx_http_async_form_end(ngx_http_async_form_reader_t *reader)
{
    if (!reader->multipart) {
        return ngx_http_async_form_urlencoded(reader);
    }

    if (ngx_http_async_multipart_complete(&reader->parser)) {
        return ASYNC_OK;
    }

    reader->parser.error = "it ends before its last boundary";

    return ngx_http_async_form_malformed(reader);
}


static async_rc_t
ngx_http_async_form_urlencoded(ngx_http_async_form_reader_t *reader)
{
    u_char      *p, *end, *next;
    async_rc_t   rc;

    if (reader->len == 0) {
        return ASYNC_OK;
    }

    end = reader->data + reader->len;

    for (p = reader->data; p < end; p = next + 1) {

        next = ngx_strlchr(p, end, '&');

        if (next == NULL) {
            next = end;
        }

        rc = (next > p) ? ngx_http_async_form_pair(reader, p, next) : ASYNC_OK;

        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_pair(ngx_http_async_form_reader_t *reader, u_char *p,
    u_char *end)
{
    u_char      *eq, *value;
    async_rc_t   rc;
    ngx_pool_t  *pool;

    rc = ngx_http_async_form_push(reader);

    if (rc != ASYNC_OK) {
        return rc;
    }

    pool = reader->form->pool;
    eq = ngx_strlchr(p, end, '=');

    if (eq == NULL) {
        eq = end;
    }

    value = (eq < end) ? eq + 1 : end;

    if (ngx_http_async_query_decode(pool, &reader->part->name, p, eq) != NGX_OK
        || ngx_http_async_query_decode(pool, &reader->part->text, value, end)
           != NGX_OK)
    {
        return ngx_http_async_form_no_memory(reader);
    }

    return ASYNC_OK;
}


/* Whether that is a media type, whatever its parameters are. */

static ngx_uint_t
ngx_http_async_form_is(ngx_str_t *type, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    return type->data && type->len >= len
           && ngx_strncasecmp(type->data, (u_char *) name, len) == 0
           && (type->len == len || type->data[len] == ';'
               || type->data[len] == ' ' || type->data[len] == '\t');
}
