
/*
 * Copyright (C) the nginx-async authors
 *
 * await_form(): the body of an HTML form, of either encoding.  It comes in
 * pieces; what is in memory at a time is one of them, what async_form_memory
 * allows of a file, and the texts.  A body that has been read already is parsed
 * where it is.
 */

#include <ngx_http_async_body.h>
#include <ngx_http_async_form.h>
#include <ngx_http_async_multipart.h>
#include <ngx_http_async_param.h>
#include <ngx_http_async_query.h>
#include <ngx_http_async_take.h>


#define NGX_HTTP_ASYNC_FORM_PIECE    (16 * 1024)
#define NGX_HTTP_ASYNC_FORM_HEADERS  (8 * 1024)

/* what is written to the temporary file at a time */
#define NGX_HTTP_ASYNC_FORM_WRITE    (64 * 1024)

/* the files of a form that are kept in memory take so often form_memory */
#define NGX_HTTP_ASYNC_FORM_FILES    16


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
static async_rc_t ngx_http_async_form_part(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_push(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_data(
    ngx_http_async_form_reader_t *reader, u_char *data, size_t len);
static async_rc_t ngx_http_async_form_file(
    ngx_http_async_form_reader_t *reader, u_char *data, size_t len);
static async_rc_t ngx_http_async_form_spill(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_part_end(
    ngx_http_async_form_reader_t *reader);
static ngx_uint_t ngx_http_async_form_fits(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_keep(
    ngx_http_async_form_reader_t *reader, ngx_str_t *to);
static async_rc_t ngx_http_async_form_text_bytes(
    ngx_http_async_form_reader_t *reader, size_t len);
static async_rc_t ngx_http_async_form_room(
    ngx_http_async_form_reader_t *reader, size_t len);
static async_rc_t ngx_http_async_form_urlencoded(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_pair(
    ngx_http_async_form_reader_t *reader, u_char *p, u_char *end);
static async_rc_t ngx_http_async_form_copy(
    ngx_http_async_form_reader_t *reader, ngx_str_t *to, ngx_str_t *from);
static async_rc_t ngx_http_async_form_no_memory(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_refuse(
    ngx_http_async_form_reader_t *reader, int status, const char *why,
    const char *fmt, ...);
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

    if (req->form_state == NGX_HTTP_ASYNC_FORM_UNREAD
        && req->body_state != NGX_HTTP_ASYNC_BODY_WHOLE)
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

    switch (req->form_state) {

    case NGX_HTTP_ASYNC_FORM_READ:
        return ASYNC_OK;

    case NGX_HTTP_ASYNC_FORM_READING:
        return ngx_async_set_error(t, ASYNC_BUSY, "another task reads the "
                                   "form");

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

    if (req->body_state == NGX_HTTP_ASYNC_BODY_READING) {
        return ngx_async_set_error(t, ASYNC_BUSY, "the body is being read "
                                   "already");
    }

    req->form_state = NGX_HTTP_ASYNC_FORM_READING;

    rc = ngx_http_async_form_begin(t, req);

    req->form_state = (rc == ASYNC_OK) ? NGX_HTTP_ASYNC_FORM_READ
                                       : NGX_HTTP_ASYNC_FORM_FAILED;

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
ngx_http_async_form_part(ngx_http_async_form_reader_t *reader)
{
    async_rc_t                   rc;
    async_upload_t              *file;
    ngx_http_async_multipart_t  *parser;

    parser = &reader->parser;

    rc = ngx_http_async_form_push(reader);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_form_copy(reader, &reader->part->name,
                                      &parser->name);
    }

    if (rc != ASYNC_OK || !parser->file) {
        return rc;
    }

    file = ngx_pcalloc(reader->form->pool, sizeof(async_upload_t));

    if (file == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    file->form = reader->form;
    reader->part->file = file;

    rc = ngx_http_async_form_copy(reader, &file->name, &parser->filename);

    if (rc == ASYNC_OK && parser->type.data) {
        rc = ngx_http_async_form_copy(reader, &file->type, &parser->type);
    }

    return rc;
}


static async_rc_t
ngx_http_async_form_push(ngx_http_async_form_reader_t *reader)
{
    ngx_uint_t                   max;
    ngx_http_async_form_part_t  *part;

    max = reader->req->conf->form_max_parts;

    if (reader->form->parts.nelts == max) {
        return ngx_http_async_form_refuse(reader, 413, "with too many parts",
                                          "Too many fields. Maximum number of "
                                          "fields is %ui.", max);
    }

    part = ngx_array_push(&reader->form->parts);

    if (part == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    ngx_memzero(part, sizeof(ngx_http_async_form_part_t));

    reader->part = part;

    return ASYNC_OK;
}


/* A piece of a part, or of a body that is urlencoded. */

static async_rc_t
ngx_http_async_form_data(ngx_http_async_form_reader_t *reader, u_char *data,
    size_t len)
{
    async_rc_t  rc;

    if (reader->part && reader->part->file) {
        return ngx_http_async_form_file(reader, data, len);
    }

    rc = ngx_http_async_form_text_bytes(reader, len);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_form_room(reader, reader->len + len);
    }

    if (rc == ASYNC_OK) {
        ngx_memcpy(reader->data + reader->len, data, len);
        reader->len += len;
    }

    return rc;
}


static async_rc_t
ngx_http_async_form_file(ngx_http_async_form_reader_t *reader, u_char *data,
    size_t len)
{
    size_t      n, full;
    async_rc_t  rc;

    full = NGX_MAX_SIZE_T_VALUE;

    if (reader->streams) {
        full = ngx_max(reader->req->conf->form_memory,
                       NGX_HTTP_ASYNC_FORM_WRITE);
    }

    while (len) {

        if (reader->len == full) {
            rc = ngx_http_async_form_spill(reader);

            if (rc != ASYNC_OK) {
                return rc;
            }
        }

        n = ngx_min(len, full - reader->len);

        rc = ngx_http_async_form_room(reader, reader->len + n);

        if (rc != ASYNC_OK) {
            return rc;
        }

        ngx_memcpy(reader->data + reader->len, data, n);

        reader->len += n;
        data += n;
        len -= n;
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_spill(ngx_http_async_form_reader_t *reader)
{
    async_rc_t                 rc;
    async_upload_t            *file;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(reader->req->r, ngx_http_core_module);
    file = reader->part->file;

    if (!file->in_file) {
        file->in_file = 1;
        file->offset = reader->form->size;
    }

    rc = ngx_http_async_form_write(reader->task, reader->form,
                                   &clcf->client_body_temp_path->name,
                                   &reader->data, reader->len);

    if (rc != ASYNC_OK) {
        reader->size = 0;
        return rc;
    }

    file->size += (off_t) reader->len;
    reader->len = 0;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_part_end(ngx_http_async_form_reader_t *reader)
{
    async_rc_t                   rc;
    async_upload_t              *file;
    ngx_http_async_form_part_t  *part;

    part = reader->part;
    file = part->file;

    if (file == NULL) {
        rc = ngx_http_async_form_keep(reader, &part->text);

    } else if (file->name.len == 0 && reader->len == 0 && !file->in_file) {
        /* browsers send this of an input where no file was chosen */
        reader->form->parts.nelts--;
        rc = ASYNC_OK;

    } else if (ngx_http_async_form_fits(reader)) {
        file->size = (off_t) reader->len;
        reader->files += reader->len;

        rc = ngx_http_async_form_keep(reader, &file->data);

    } else {
        rc = reader->len ? ngx_http_async_form_spill(reader) : ASYNC_OK;
    }

    reader->part = NULL;
    reader->len = 0;

    return rc;
}


/* Whether the file that has ended may stay in memory. */

static ngx_uint_t
ngx_http_async_form_fits(ngx_http_async_form_reader_t *reader)
{
    size_t  memory;

    if (!reader->streams) {
        return 1;
    }

    memory = reader->req->conf->form_memory;

    return !reader->part->file->in_file && reader->len <= memory
           && (reader->files + reader->len) / NGX_HTTP_ASYNC_FORM_FILES
              <= memory;
}


/* What has come of the part: zero-terminated. */

static async_rc_t
ngx_http_async_form_keep(ngx_http_async_form_reader_t *reader, ngx_str_t *to)
{
    to->data = ngx_pnalloc(reader->form->pool, reader->len + 1);

    if (to->data == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    if (reader->len) {
        ngx_memcpy(to->data, reader->data, reader->len);
    }

    to->data[reader->len] = '\0';
    to->len = reader->len;

    return ASYNC_OK;
}


/* So much more of names and texts. */

static async_rc_t
ngx_http_async_form_text_bytes(ngx_http_async_form_reader_t *reader,
    size_t len)
{
    size_t  max;

    max = reader->req->conf->form_max_text;

    if (len > max - reader->texts) {
        return ngx_http_async_form_refuse(reader, 413, "with too much text",
                           "Fields exceeded maximum size of %uzKB.",
                           (max + 1023) / 1024);
    }

    reader->texts += len;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_room(ngx_http_async_form_reader_t *reader, size_t len)
{
    u_char  *p;
    size_t   size;

    if (len <= reader->size) {
        return ASYNC_OK;
    }

    size = ngx_max(len, reader->size * 2);

    p = realloc(reader->data, size);

    if (p == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    reader->data = p;
    reader->size = size;

    return ASYNC_OK;
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


static async_rc_t
ngx_http_async_form_copy(ngx_http_async_form_reader_t *reader, ngx_str_t *to,
    ngx_str_t *from)
{
    async_rc_t  rc;

    rc = ngx_http_async_form_text_bytes(reader, from->len + 1);

    if (rc != ASYNC_OK) {
        return rc;
    }

    to->data = ngx_pnalloc(reader->form->pool, from->len + 1);

    if (to->data == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    if (from->len) {
        ngx_memcpy(to->data, from->data, from->len);
    }

    to->data[from->len] = '\0';
    to->len = from->len;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_no_memory(ngx_http_async_form_reader_t *reader)
{
    return ngx_async_set_error(reader->task, ASYNC_ERROR, "no memory for the "
                               "form");
}


/* Sets the response: the detail, in nginx's format; "why" is for the handler */

static async_rc_t
ngx_http_async_form_refuse(ngx_http_async_form_reader_t *reader, int status,
    const char *why, const char *fmt, ...)
{
    u_char       detail[NGX_ASYNC_ERROR_LEN], *p;
    va_list      args;
    async_rc_t   rc;

    va_start(args, fmt);
    p = ngx_vslprintf(detail, detail + sizeof(detail) - 1, fmt, args);
    va_end(args);

    *p = '\0';

    rc = async_fail(reader->req, status, (char *) detail);

    if (rc == ASYNC_ERROR && reader->req->out.failed) {
        (void) ngx_async_set_error(reader->task, rc, "the form was refused "
                                   "with %d: %s", status, why);
    }

    return rc;
}


/* Whether that is a media type, whatever its parameters are. */

static ngx_uint_t
ngx_http_async_form_is(ngx_str_t *type, const char *name)
{
    size_t  len;

    len = ngx_strlen(name);

    return type->len >= len
           && ngx_strncasecmp(type->data, (u_char *) name, len) == 0
           && (type->len == len || type->data[len] == ';'
               || type->data[len] == ' ' || type->data[len] == '\t');
}
