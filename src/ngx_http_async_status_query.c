
/*
 * Copyright (C) the nginx-async authors
 *
 * What a request to the location of async_status asks for: the format, by the
 * directive, the query or the header field Accept (RFC 9110, 12.5.1); and which
 * tasks, by the query.
 */

#include <ngx_http_async_query.h>
#include <ngx_http_async_schema.h>
#include <ngx_http_async_status.h>


/* of what a client has sent as much as is said again */
#define NGX_HTTP_ASYNC_STATUS_SHOWN  80

/* of an ask whose limit is not in the query */
#define NGX_HTTP_ASYNC_STATUS_USUAL  ((uint32_t) -1)


typedef ngx_uint_t (*ngx_http_async_status_set_pt)(ngx_async_report_ask_t *ask,
    ngx_str_t *value);

typedef struct {
    ngx_str_t                     name;
    ngx_http_async_status_set_pt  set;        /* gives 0: it is none */
    const char                   *is;
} ngx_http_async_status_filter_t;


static ngx_uint_t ngx_http_async_status_asked(async_req_t *req);
static async_rc_t ngx_http_async_status_set(async_req_t *req,
    ngx_async_report_ask_t *ask, ngx_http_async_query_t *query);
static async_rc_t ngx_http_async_status_no_format(async_req_t *req,
    ngx_str_t *name);
static async_rc_t ngx_http_async_status_refuse(async_req_t *req,
    ngx_str_t *given, const char *before, u_char *after, u_char *last);
static ngx_uint_t ngx_http_async_status_set_handler(
    ngx_async_report_ask_t *ask, ngx_str_t *value);
static ngx_uint_t ngx_http_async_status_set_await(ngx_async_report_ask_t *ask,
    ngx_str_t *value);
static ngx_uint_t ngx_http_async_status_text(char *to, size_t size,
    ngx_str_t *value);
static ngx_uint_t ngx_http_async_status_set_older(ngx_async_report_ask_t *ask,
    ngx_str_t *value);
static ngx_uint_t ngx_http_async_status_set_worker(ngx_async_report_ask_t *ask,
    ngx_str_t *value);
static ngx_uint_t ngx_http_async_status_set_limit(ngx_async_report_ask_t *ask,
    ngx_str_t *value);
static async_rc_t ngx_http_async_status_accept(async_req_t *req,
    const ngx_http_async_status_format_t **format);
static ngx_uint_t ngx_http_async_status_quality(const async_str_t *values,
    ngx_uint_t n, const ngx_http_async_status_format_t *format);
static void ngx_http_async_status_range(const char *p, const char *last,
    const ngx_http_async_status_format_t *format, ngx_uint_t *quality,
    ngx_uint_t *precise);
static ngx_uint_t ngx_http_async_status_fits(const char *type,
    const char *type_end, const char *params, const char *last,
    const ngx_str_t *offered);
static const char *ngx_http_async_status_param(const char *p, const char *last,
    const char *text, size_t len);
static const char *ngx_http_async_status_to(const char *p, const char *last,
    char ch);


static const ngx_http_async_status_filter_t  ngx_http_async_status_filters[] = {
    { ngx_string("handler"), ngx_http_async_status_set_handler,
      "a part of a handler's name" },
    { ngx_string("await"), ngx_http_async_status_set_await,
      "a part of an await's name" },
    { ngx_string("older"), ngx_http_async_status_set_older,
      "a number of seconds" },
    { ngx_string("worker"), ngx_http_async_status_set_worker,
      "the pid of a worker" },
    { ngx_string("limit"), ngx_http_async_status_set_limit,
      "a number from 0 to 1000" },
    { ngx_null_string, NULL, NULL }
};


async_rc_t
ngx_http_async_status_query(async_req_t *req, ngx_async_report_ask_t *ask,
    const ngx_http_async_status_format_t **format)
{
    async_rc_t               rc;
    ngx_uint_t               i;
    ngx_array_t             *args;
    ngx_http_async_query_t  *query;

    ngx_memzero(ask, sizeof(ngx_async_report_ask_t));
    ask->limit = NGX_HTTP_ASYNC_STATUS_USUAL;

    *format = req->conf->status->format;

    args = ngx_http_async_query_split(req->pool, &req->r->args);
    if (args == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    query = args->elts;

    for (i = 0; i < args->nelts; i++) {

        if (ngx_http_async_status_asked(req)
            && query[i].name.len == sizeof("format") - 1
            && ngx_strncmp(query[i].name.data, "format", 6) == 0)
        {
            *format = ngx_http_async_status_find(&query[i].value);

            if (*format == NULL) {
                return ngx_http_async_status_no_format(req, &query[i].value);
            }

            continue;
        }

        rc = ngx_http_async_status_set(req, ask, &query[i]);
        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    if (*format == NULL) {
        rc = ngx_http_async_status_accept(req, format);
        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    if (ask->limit == NGX_HTTP_ASYNC_STATUS_USUAL) {
        ask->limit = ngx_max((*format)->limit, 0);
    }

    return ASYNC_OK;
}


/* Whether the query may say a format: a page has to ask for another one. */

static ngx_uint_t
ngx_http_async_status_asked(async_req_t *req)
{
    const ngx_http_async_status_format_t  *format;

    format = req->conf->status->format;

    return format == NULL || format->limit < 0;
}


static async_rc_t
ngx_http_async_status_set(async_req_t *req, ngx_async_report_ask_t *ask,
    ngx_http_async_query_t *query)
{
    u_char                                *p, *last, after[256];
    const ngx_http_async_status_filter_t  *filter;

    last = after + sizeof(after) - 1;

    for (filter = ngx_http_async_status_filters; filter->name.len; filter++) {

        if (filter->name.len != query->name.len
            || ngx_strncmp(filter->name.data, query->name.data,
                           query->name.len) != 0)
        {
            continue;
        }

        if (filter->set(ask, &query->value)) {
            return ASYNC_OK;
        }

        p = ngx_slprintf(after, last, "\" is no \"%V\", which is %s",
                         &filter->name, filter->is);

        return ngx_http_async_status_refuse(req, &query->value, "\"", after,
                                            p);
    }

    p = ngx_slprintf(after, last, "\", there are");

    for (filter = ngx_http_async_status_filters; filter->name.len; filter++) {
        p = ngx_slprintf(p, last, " \"%V\",", &filter->name);
    }

    if (!ngx_http_async_status_asked(req)) {
        p = ngx_slprintf(p - 1, last, "; the location has one format");

    } else {
        p = ngx_slprintf(p - 1, last, " and \"format\"");
    }

    return ngx_http_async_status_refuse(req, &query->name,
                                        "there is no parameter \"", after, p);
}


static async_rc_t
ngx_http_async_status_no_format(async_req_t *req, ngx_str_t *name)
{
    u_char  *p, *last, after[256];

    last = after + sizeof(after) - 1;

    p = ngx_slprintf(after, last, "\": it is ");
    p = ngx_http_async_status_names(p, last);

    return ngx_http_async_status_refuse(req, name, "there is no format \"",
                                        after, p);
}


/* What a client has sent may be long, and need not be UTF-8. */

static async_rc_t
ngx_http_async_status_refuse(async_req_t *req, ngx_str_t *given,
    const char *before, u_char *after, u_char *last)
{
    u_char     text[1024];
    ngx_str_t  cut, valid;

    cut.data = given->data;
    cut.len = ngx_min(given->len, NGX_HTTP_ASYNC_STATUS_SHOWN);
    cut.len = ngx_async_whole(cut.data, cut.len);

    if (ngx_http_async_schema_utf8(req->pool, &cut, &valid) != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    ngx_snprintf(text, sizeof(text), "%s%V%*s%Z", before, &valid,
                 (size_t) (last - after), after);

    return async_fail(req, 400, (char *) text);
}


static ngx_uint_t
ngx_http_async_status_set_handler(ngx_async_report_ask_t *ask,
    ngx_str_t *value)
{
    return ngx_http_async_status_text(ask->handler, sizeof(ask->handler),
                                      value);
}


static ngx_uint_t
ngx_http_async_status_set_await(ngx_async_report_ask_t *ask, ngx_str_t *value)
{
    return ngx_http_async_status_text(ask->await, sizeof(ask->await), value);
}


static ngx_uint_t
ngx_http_async_status_text(char *to, size_t size, ngx_str_t *value)
{
    if (value->len >= size) {
        return 0;
    }

    (void) ngx_cpystrn((u_char *) to, value->data, value->len + 1);

    return 1;
}


static ngx_uint_t
ngx_http_async_status_set_older(ngx_async_report_ask_t *ask, ngx_str_t *value)
{
    ngx_int_t  ms;

    ms = ngx_atofp(value->data, value->len, 3);

    if (ms == NGX_ERROR) {
        return 0;
    }

    ask->older = ms;

    return 1;
}


static ngx_uint_t
ngx_http_async_status_set_worker(ngx_async_report_ask_t *ask, ngx_str_t *value)
{
    ngx_int_t  pid;

    pid = ngx_atoi(value->data, value->len);

    if (pid <= 0 || pid > NGX_MAX_INT32_VALUE) {
        return 0;
    }

    ask->worker = pid;

    return 1;
}


static ngx_uint_t
ngx_http_async_status_set_limit(ngx_async_report_ask_t *ask, ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_atoi(value->data, value->len);

    if (n == NGX_ERROR || n > NGX_ASYNC_REPORT_LIMIT) {
        return 0;
    }

    ask->limit = n;

    return 1;
}


/* The format that is wanted most; of equal ones the first. */

static async_rc_t
ngx_http_async_status_accept(async_req_t *req,
    const ngx_http_async_status_format_t **format)
{
    ngx_int_t                              n;
    ngx_uint_t                             quality, best;
    const async_str_t                     *values;
    const ngx_http_async_status_format_t  *f;

    n = ngx_http_async_header_list(req, "Accept", &values);

    if (n == NGX_ERROR) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    *format = ngx_http_async_status_formats;
    best = 0;

    for (f = ngx_http_async_status_formats; f->name.len; f++) {
        quality = ngx_http_async_status_quality(values, n, f);

        if (quality > best) {
            best = quality;
            *format = f;
        }
    }

    return ASYNC_OK;
}


/* In thousandths: that of the media range which says most of it. */

static ngx_uint_t
ngx_http_async_status_quality(const async_str_t *values, ngx_uint_t n,
    const ngx_http_async_status_format_t *format)
{
    ngx_uint_t   i, quality, precise;
    const char  *p, *comma, *last;

    quality = 0;
    precise = 0;

    for (i = 0; i < n; i++) {
        p = values[i].data;
        last = p + values[i].len;

        for ( /* void */ ; p < last; p = comma + 1) {
            comma = ngx_http_async_status_to(p, last, ',');

            ngx_http_async_status_range(p, comma, format, &quality, &precise);
        }
    }

    return quality;
}


static void
ngx_http_async_status_range(const char *p, const char *last,
    const ngx_http_async_status_format_t *format, ngx_uint_t *quality,
    ngx_uint_t *precise)
{
    ngx_int_t    n;
    ngx_uint_t   i, fits, q;
    const char  *end, *params, *digits;

    while (p < last && (*p == ' ' || *p == '\t')) {
        p++;
    }

    params = ngx_http_async_status_to(p, last, ';');

    for (end = params; end > p && (end[-1] == ' ' || end[-1] == '\t'); end--) {
        /* void */
    }

    fits = 0;

    for (i = 0; format->types[i].len; i++) {
        n = ngx_http_async_status_fits(p, end, params, last,
                                       &format->types[i]);
        fits = ngx_max(fits, (ngx_uint_t) n);
    }

    if (fits <= *precise) {
        return;
    }

    q = 1000;
    digits = ngx_http_async_status_param(params, last, "q=", 2);

    if (digits) {
        for (end = digits; end < last && (*end == '.' || (*end >= '0'
                                          && *end <= '9')); end++)
        {
            /* void */
        }

        n = ngx_atofp((u_char *) digits, end - digits, 3);
        q = (n == NGX_ERROR) ? 0 : n;
    }

    *precise = fits;
    *quality = q;
}


/* 0: it does not; else the more, the more it says */

static ngx_uint_t
ngx_http_async_status_fits(const char *type, const char *type_end,
    const char *params, const char *last, const ngx_str_t *offered)
{
    u_char  *semicolon, *slash;
    size_t   len;

    len = type_end - type;

    if (len == 3 && ngx_strncmp(type, "*/*", 3) == 0) {
        return 1;
    }

    slash = (u_char *) ngx_strchr(offered->data, '/') + 1;

    if (len == (size_t) (slash - offered->data) + 1 && type[len - 1] == '*'
        && ngx_strncasecmp((u_char *) type, offered->data, len - 1) == 0)
    {
        return 2;
    }

    semicolon = (u_char *) ngx_strchr(offered->data, ';');

    if (len != (semicolon ? (size_t) (semicolon - offered->data)
                          : offered->len)
        || ngx_strncasecmp((u_char *) type, offered->data, len) != 0)
    {
        return 0;
    }

    if (semicolon == NULL) {
        return 3;
    }

    return ngx_http_async_status_param(params, last, (char *) semicolon + 1,
                                       ngx_strlen(semicolon + 1))
           ? 4 : 0;
}


/* What stands behind ";" and the text; NULL: nothing does. */

static const char *
ngx_http_async_status_param(const char *p, const char *last, const char *text,
    size_t len)
{
    while (p < last) {

        /* at a semicolon */

        for (p++; p < last && (*p == ' ' || *p == '\t'); p++) { /* void */ }

        if ((size_t) (last - p) >= len
            && ngx_strncasecmp((u_char *) p, (u_char *) text, len) == 0)
        {
            return p + len;
        }

        p = ngx_http_async_status_to(p, last, ';');
    }

    return NULL;
}


static const char *
ngx_http_async_status_to(const char *p, const char *last, char ch)
{
    while (p < last && *p != ch) {
        p++;
    }

    return p;
}
