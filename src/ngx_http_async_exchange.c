
/*
 * Copyright (C) the nginx-async authors
 *
 * Heads of the responses of others: see ngx_http_async_exchange.h.
 */

#include <ngx_http_async_exchange.h>
#include <ngx_http_async_field.h>


/* what is read at once, and the head at first */
#define NGX_HTTP_ASYNC_READER_SIZE   16384

/* free ones that a worker holds */
#define NGX_HTTP_ASYNC_READERS       32


#define ngx_http_async_exchange_is(field, text)                              \
    ((field)->name.len == sizeof(text) - 1                                   \
     && ngx_strncasecmp((u_char *) (field)->name.data, (u_char *) (text),    \
                        sizeof(text) - 1) == 0)


typedef struct {
    ngx_uint_t                  lengths;
    ngx_uint_t                  codings;
    off_t                       length;
    unsigned                    close:1;
    unsigned                    keep:1;
} ngx_http_async_framing_t;


static async_rc_t ngx_http_async_exchange_one(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, async_response_t *res);
static ngx_http_async_reader_t *ngx_http_async_reader_of(
    ngx_http_async_exchange_t *x);
static void ngx_http_async_reader_reset(ngx_http_async_reader_t *rd,
    async_response_t *res);
static ngx_int_t ngx_http_async_reader_room(ngx_http_async_exchange_t *x,
    async_response_t *res);
static ngx_int_t ngx_http_async_exchange_parse(ngx_http_async_exchange_t *x,
    async_response_t *res);
static void ngx_http_async_exchange_value(ngx_http_request_t *r,
    ngx_str_t *value);
static ngx_int_t ngx_http_async_exchange_copy(ngx_http_async_exchange_t *x,
    async_response_t *res);
static async_rc_t ngx_http_async_exchange_frame(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, async_response_t *res);
static const char *ngx_http_async_exchange_field(ngx_http_async_framing_t *f,
    ngx_http_async_field_t *field);
static void ngx_http_async_exchange_options(ngx_http_async_framing_t *f,
    const char *p);
static async_rc_t ngx_http_async_exchange_large(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x);


/* of this worker */
static ngx_http_async_reader_t  *ngx_http_async_readers;
static ngx_uint_t                ngx_http_async_nreaders;


async_rc_t
ngx_http_async_exchange_head(ngx_async_task_t *t, ngx_http_async_exchange_t *x,
    async_response_t *res, ngx_uint_t interim)
{
    async_rc_t  rc;

    for ( ;; ) {
        rc = ngx_http_async_exchange_one(t, x, res);

        if (rc != ASYNC_OK) {
            return rc;
        }

        if (res->status >= 200) {
            return ngx_http_async_exchange_frame(t, x, res);
        }

        /* nobody has asked to change the protocol */

        if (res->status == 101) {
            return ngx_http_async_exchange_wrong(t, x, "it switches to another "
                                                 "protocol");
        }

        x->interim += x->reader->buf.pos - x->reader->buf.start;

        if (x->interim > x->max_head) {
            return ngx_http_async_exchange_wrong(t, x, "there is no end of "
                                                 "responses of status 1xx");
        }

        if (interim) {
            return ASYNC_OK;
        }
    }
}


async_rc_t
ngx_http_async_exchange_hear(ngx_async_task_t *t, ngx_http_async_exchange_t *x,
    ngx_uint_t *heard)
{
    ssize_t                   n;
    ngx_err_t                 err;
    ngx_http_async_reader_t  *rd;

    *heard = 1;

    if (ngx_http_async_exchange_surplus(x)) {
        return ASYNC_OK;
    }

    rd = ngx_http_async_reader_of(x);

    if (rd == NULL) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    /* what has been taken of it, interim responses, has left no room perhaps */

    rd->buf.start = rd->data;
    rd->buf.pos = rd->data;
    rd->buf.last = rd->data;

    /* a send that has failed may be ahead of the loop, which tells nginx */
    x->conn.connection->read->available = -1;

    n = ngx_async_conn_recv_now(x->conn.connection, rd->buf.last,
                                rd->buf.end - rd->buf.last, &err);

    if (n > 0) {
        x->answered = 1;
        rd->buf.last += n;
        return ASYNC_OK;
    }

    if (n == NGX_AGAIN) {
        *heard = 0;
        return ASYNC_OK;
    }

    return ngx_http_async_exchange_cut(t, x, "without a response, and before "
                                       "all was sent");
}


static async_rc_t
ngx_http_async_exchange_one(ngx_async_task_t *t, ngx_http_async_exchange_t *x,
    async_response_t *res)
{
    ngx_int_t    rc;
    ngx_buf_t   *b;
    async_rc_t   arc;

    if (x->reader == NULL) {
        /* the memory is not needed before there is something */

        arc = ngx_async_conn_readable(t, &x->conn, x->read_timeout);

        if (arc != ASYNC_OK) {
            return arc;
        }

        if (ngx_http_async_reader_of(x) == NULL) {
            return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        }
    }

    b = &x->reader->buf;
    b->start = b->pos;

    ngx_http_async_reader_reset(x->reader, res);

    for ( ;; ) {
        rc = ngx_http_async_exchange_parse(x, res);

        b = &x->reader->buf;

        /* also one that has come as a whole */

        if ((rc == NGX_OK && (size_t) (b->pos - b->start) > x->max_head)
            || (rc == NGX_AGAIN
                && (size_t) (b->last - b->start) >= x->max_head))
        {
            return ngx_http_async_exchange_large(t, x);
        }

        if (rc == NGX_OK && ngx_http_async_exchange_copy(x, res) == NGX_OK) {
            return ASYNC_OK;
        }

        if (rc == NGX_OK || rc == NGX_ABORT) {
            return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        }

        if (rc == NGX_ERROR) {
            return ngx_http_async_exchange_wrong(t, x, "the head of its "
                                                 "response is malformed");
        }

        if (ngx_http_async_reader_room(x, res) != NGX_OK) {
            return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
        }

        arc = ngx_http_async_exchange_fill(t, x);

        if (arc != ASYNC_OK) {
            return arc;
        }
    }
}


static ngx_http_async_reader_t *
ngx_http_async_reader_of(ngx_http_async_exchange_t *x)
{
    ngx_http_async_reader_t  *rd;

    if (x->reader) {
        return x->reader;
    }

    rd = ngx_http_async_readers;

    if (rd) {
        ngx_http_async_readers = rd->next;
        ngx_http_async_nreaders--;

    } else {
        rd = ngx_alloc(sizeof(ngx_http_async_reader_t)
                       + NGX_HTTP_ASYNC_READER_SIZE, ngx_cycle->log);
        if (rd == NULL) {
            return NULL;
        }

        /* once: the parsers set what they read, but for their state */
        ngx_memzero(&rd->r, sizeof(ngx_http_request_t));
    }

    x->reader = rd;

    ngx_memzero(&rd->buf, sizeof(ngx_buf_t));
    ngx_memzero(&rd->chunked, sizeof(ngx_http_chunked_t));
    rd->framing = 0;
    rd->inside = 0;

    rd->buf.start = rd->data;
    rd->buf.pos = rd->data;
    rd->buf.last = rd->data;
    rd->buf.end = rd->data + NGX_HTTP_ASYNC_READER_SIZE;

    return rd;
}


void
ngx_http_async_exchange_end(ngx_http_async_exchange_t *x)
{
    ngx_http_async_reader_t  *rd;

    rd = x->reader;
    x->reader = NULL;

    if (rd == NULL) {
        return;
    }

    if (ngx_http_async_nreaders == NGX_HTTP_ASYNC_READERS
        || rd->buf.end != rd->data + NGX_HTTP_ASYNC_READER_SIZE)
    {
        ngx_free(rd);
        return;
    }

    rd->next = ngx_http_async_readers;
    ngx_http_async_readers = rd;
    ngx_http_async_nreaders++;
}


static void
ngx_http_async_reader_reset(ngx_http_async_reader_t *rd, async_response_t *res)
{
    ngx_memzero(&rd->status, sizeof(ngx_http_status_t));

    rd->r.state = 0;
    rd->buf.pos = rd->buf.start;
    rd->headed = 0;
    rd->odd = 0;

    res->fields.nelts = 0;
    res->status = 0;
}


/* The parsers have pointers to what they have seen: they begin anew. */

static ngx_int_t
ngx_http_async_reader_room(ngx_http_async_exchange_t *x, async_response_t *res)
{
    size_t                    len, size;
    ngx_http_async_reader_t  *rd;

    rd = x->reader;

    if (rd->buf.last < rd->buf.end) {
        return NGX_OK;
    }

    len = rd->buf.last - rd->buf.start;

    if (rd->buf.start > rd->data) {
        ngx_memmove(rd->data, rd->buf.start, len);

    } else {
        size = 2 * (rd->buf.end - rd->data);

        rd = realloc(rd, sizeof(ngx_http_async_reader_t) + size);
        if (rd == NULL) {
            return NGX_ERROR;
        }

        x->reader = rd;
        rd->buf.end = rd->data + size;
    }

    rd->buf.start = rd->data;
    rd->buf.last = rd->data + len;

    ngx_http_async_reader_reset(rd, res);

    return NGX_OK;
}


async_rc_t
ngx_http_async_exchange_fill(ngx_async_task_t *t, ngx_http_async_exchange_t *x)
{
    size_t                    n;
    async_rc_t                rc;
    ngx_http_async_reader_t  *rd;

    rd = x->reader;

    rc = ngx_async_conn_recv(t, &x->conn, rd->buf.last,
                             rd->buf.end - rd->buf.last, x->read_timeout, &n);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (n == 0) {
        return ngx_http_async_exchange_cut(t, x, x->answered
                                           ? "before the end of its response"
                                           : "without a response");
    }

    x->answered = 1;
    rd->buf.last += n;

    return ASYNC_OK;
}


/* NGX_OK, NGX_AGAIN, NGX_ERROR: that is not HTTP; NGX_ABORT: no memory */

static ngx_int_t
ngx_http_async_exchange_parse(ngx_http_async_exchange_t *x,
    async_response_t *res)
{
    ngx_int_t                 rc;
    ngx_str_t                 name, value;
    ngx_http_request_t       *r;
    ngx_http_async_reader_t  *rd;

    rd = x->reader;
    r = &rd->r;

    /* nginx's debug log */
    r->connection = x->conn.connection;

    if (!rd->headed) {
        rc = ngx_http_parse_status_line(r, &rd->buf, &rd->status);

        if (rc != NGX_OK) {
            return rc;
        }

        /* nginx lets spaces pass between the digits: start is of the last 3 */

        if (rd->status.http_version / 1000 != 1 || rd->status.code < 100
            || rd->status.code > 599
            || rd->status.start[0] == ' ' || rd->status.start[1] == ' ')
        {
            return NGX_ERROR;
        }

        rd->headed = 1;
        r->state = 0;
    }

    for ( ;; ) {
        rc = ngx_http_parse_header_line(r, &rd->buf, 1);

        if (rc == NGX_HTTP_PARSE_HEADER_DONE) {
            res->status = rd->status.code;
            return NGX_OK;
        }

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        /* nginx lets names pass that are none, and lines without a colon */

        if (rc != NGX_OK || r->header_name_end == r->header_name_start
            || *r->header_name_end != ':')
        {
            return NGX_ERROR;
        }

        rd->odd |= r->invalid_header;

        name.data = r->header_name_start;
        name.len = r->header_name_end - r->header_name_start;

        ngx_http_async_exchange_value(r, &value);

        if (ngx_http_async_fetched_field(res, &name, &value) != NGX_OK) {
            return NGX_ABORT;
        }
    }
}


/* nginx takes off spaces alone, RFC 9110, 5.6.3, has tabs, too. */

static void
ngx_http_async_exchange_value(ngx_http_request_t *r, ngx_str_t *value)
{
    u_char  *p, *last;

    p = r->header_start;
    last = r->header_end;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (p < last && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    value->data = p;
    value->len = last - p;
}


/* The fields are in the reader so far: now in memory of the response. */

static ngx_int_t
ngx_http_async_exchange_copy(ngx_http_async_exchange_t *x,
    async_response_t *res)
{
    char                    *p;
    ngx_buf_t               *b;
    ptrdiff_t                shift;
    ngx_uint_t               i;
    ngx_http_async_field_t  *f;

    b = &x->reader->buf;

    p = ngx_pnalloc(res->pool, b->pos - b->start);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(p, b->start, b->pos - b->start);

    f = res->fields.elts;
    shift = p - (char *) b->start;

    for (i = 0; i < res->fields.nelts; i++) {

        /* the colon, and the end of the line, make room for the zeros */

        f[i].name.data += shift;
        f[i].value.data += shift;

        ((char *) f[i].name.data)[f[i].name.len] = '\0';
        ((char *) f[i].value.data)[f[i].value.len] = '\0';
    }

    return NGX_OK;
}


/* RFC 9112, 6.3 */

static async_rc_t
ngx_http_async_exchange_frame(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, async_response_t *res)
{
    ngx_uint_t                 i, version;
    const char                *wrong;
    ngx_http_async_field_t    *field;
    ngx_http_async_framing_t   framing;

    ngx_memzero(&framing, sizeof(ngx_http_async_framing_t));

    version = x->reader->status.http_version;

    field = res->fields.elts;

    for (i = 0, wrong = NULL; i < res->fields.nelts && wrong == NULL; i++) {

        wrong = (x->reader->odd
                 && !ngx_http_async_is_token(field[i].name.data))
                ? "a field's name is no token"
                : ngx_http_async_exchange_field(&framing, &field[i]);
    }

    if (wrong == NULL && framing.codings
        && (framing.lengths || version < 1001))
    {
        wrong = framing.lengths ? "it has Content-Length and Transfer-Encoding"
                                : "Transfer-Encoding in HTTP/1.0";
    }

    if (wrong) {
        return ngx_http_async_exchange_wrong(t, x, wrong);
    }

    x->persistent = (version >= 1001) ? !framing.close
                                      : framing.keep && !framing.close;

    if (x->head || res->status == 204 || res->status == 304
        || (x->tunnel && res->status < 300))
    {
        x->state = NGX_HTTP_ASYNC_EXCHANGE_DONE;

    } else if (framing.codings) {
        x->state = NGX_HTTP_ASYNC_EXCHANGE_CHUNKED;
        x->left = 0;

    } else if (framing.lengths) {
        x->left = framing.length;
        x->state = x->left ? NGX_HTTP_ASYNC_EXCHANGE_LENGTH
                           : NGX_HTTP_ASYNC_EXCHANGE_DONE;

    } else {
        x->state = NGX_HTTP_ASYNC_EXCHANGE_CLOSE;
        x->persistent = 0;
    }

    return ASYNC_OK;
}


/* What is wrong with it; NULL: nothing. */

static const char *
ngx_http_async_exchange_field(ngx_http_async_framing_t *f,
    ngx_http_async_field_t *field)
{
    u_char  *value;

    value = (u_char *) field->value.data;

    if (ngx_http_async_has_controls(value, field->value.len)) {
        return "a field has a control character";
    }

    if (ngx_http_async_exchange_is(field, "Content-Length")) {

        f->length = ngx_atoof(value, field->value.len);

        return f->lengths++ ? "it has two Content-Lengths"
               : (f->length == NGX_ERROR) ? "its Content-Length is no number"
               : NULL;
    }

    if (ngx_http_async_exchange_is(field, "Transfer-Encoding")) {

        return f->codings++ ? "it has two Transfer-Encodings"
               : ngx_strcasecmp(value, (u_char *) "chunked") != 0
                 ? "its Transfer-Encoding is another one than chunked"
               : NULL;
    }

    if (ngx_http_async_exchange_is(field, "Connection")) {
        ngx_http_async_exchange_options(f, field->value.data);
    }

    return NULL;
}


static void
ngx_http_async_exchange_options(ngx_http_async_framing_t *f, const char *p)
{
    size_t  len;

    for ( /* void */ ; *p; p += len) {

        p += strspn(p, " \t,");
        len = strcspn(p, " \t,");

        if (len == 5 && ngx_strncasecmp((u_char *) p, (u_char *) "close", 5)
                        == 0)
        {
            f->close = 1;

        } else if (len == 10
                   && ngx_strncasecmp((u_char *) p, (u_char *) "keep-alive", 10)
                      == 0)
        {
            f->keep = 1;
        }
    }
}


size_t
ngx_http_async_exchange_surplus(ngx_http_async_exchange_t *x)
{
    return x->reader ? x->reader->buf.last - x->reader->buf.pos : 0;
}


async_rc_t
ngx_http_async_exchange_cut(ngx_async_task_t *t, ngx_http_async_exchange_t *x,
    const char *when)
{
    return ngx_async_because(t, ASYNC_CAUSE_RESET,
                             ngx_async_set_error(t, ASYNC_CLOSED, "%s has "
                                                 "closed the connection %s",
                                                 x->conn.name, when));
}


static async_rc_t
ngx_http_async_exchange_large(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x)
{
    return ngx_async_because(t, ASYNC_CAUSE_TOO_LARGE,
                             ngx_async_set_error(t, ASYNC_ERROR, "%s: the head "
                                       "of its response is larger than %uz "
                                       "bytes (async_fetch_max_head)",
                                       x->conn.name, x->max_head));
}


async_rc_t
ngx_http_async_exchange_wrong(ngx_async_task_t *t,
    ngx_http_async_exchange_t *x, const char *what)
{
    return ngx_async_because(t, ASYNC_CAUSE_PROTOCOL,
                             ngx_async_set_error(t, ASYNC_ERROR, "%s is not "
                                                 "understood: %s",
                                                 x->conn.name, what));
}
