
/*
 * Copyright (C) the nginx-async authors
 *
 * Which column a field of a struct is read from: see
 * ngx_http_async_pg_source.h.
 */

#include <ngx_http_async_pg_source.h>


/* what a field takes */

typedef struct {
    ngx_uint_t                  kinds;        /* zero: any */
    const char                 *one;
    const char                 *many;
} ngx_http_async_pg_wants_t;


static const ngx_http_async_pg_wants_t *ngx_http_async_pg_wants(
    ngx_http_async_pg_source_t *s);
static ngx_int_t ngx_http_async_pg_no_upload(ngx_http_async_pg_fill_t *fill,
    const char *name);
static ngx_int_t ngx_http_async_pg_no_source(ngx_http_async_pg_fill_t *fill,
    const char *name);


static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_int = {
    NGX_HTTP_ASYNC_PG_INTS, "an integer", "integers"
};

static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_float = {
    NGX_HTTP_ASYNC_PG_FLOATS, "a number", "numbers"
};

static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_bool = {
    NGX_HTTP_ASYNC_PG_BOOLS, "boolean", "booleans"
};

static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_time = {
    NGX_HTTP_ASYNC_PG_TIMES, "a timestamp or date", "timestamps or dates"
};

static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_bytes = {
    NGX_HTTP_ASYNC_PG_BYTEAS, "bytea", "bytea"
};

static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_json = {
    NGX_HTTP_ASYNC_PG_JSONS, "json or jsonb", "json or jsonb"
};

/* a string column may hold these, too */

static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_uuid = {
    1 << NGX_HTTP_ASYNC_PG_IS_TEXT, "a UUID", "UUIDs"
};

static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_date = {
    1 << NGX_HTTP_ASYNC_PG_IS_DATE | 1 << NGX_HTTP_ASYNC_PG_IS_TEXT,
    "a date", "dates"
};

static const ngx_http_async_pg_wants_t  ngx_http_async_pg_wants_text = {
    0, "text", "text"
};


ngx_int_t
ngx_http_async_pg_source(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_uint_t i)
{
    Oid                               oid;
    u_char                           *p, *last;
    u_char                            buf[NGX_HTTP_ASYNC_PG_PLAIN_LEN];
    ngx_uint_t                        list;
    const char                       *name;
    ngx_http_async_pg_type_t          type;
    const ngx_http_async_pg_wants_t  *wants;

    s->field = ngx_http_async_model_field(fill->model, i);
    s->kind = ngx_http_async_model_kind(s->field);
    s->choices = (s->kind < ASYNC_MEMBER_BOOL)
                 ? ngx_http_async_model_choices(fill->model, s->field) : NULL;
    s->object = NULL;

    name = ngx_http_async_model_name(s->field);

    if (s->kind == ASYNC_MEMBER_UPLOAD) {
        return ngx_http_async_pg_no_upload(fill, name);
    }

    if (s->kind == ASYNC_MEMBER_OBJECT) {
        s->object = &ngx_http_async_schema(fill->model)->fields[i];
    }

    s->column = ngx_http_async_pg_column(fill->result, name);

    if (s->column < 0) {
        return ngx_http_async_pg_no_source(fill, name);
    }

    oid = PQftype(fill->result, s->column);
    type = ngx_http_async_pg_type(oid);
    list = ngx_http_async_model_is_list(s->field) && s->object == NULL;
    wants = ngx_http_async_pg_wants(s);

    s->delimiter = type.delimiter;

    if ((wants->kinds == 0 || wants->kinds & 1 << type.kind)
        && (list ? type.delimiter != 0
                 : wants->kinds == 0 || type.delimiter == 0))
    {
        return NGX_OK;
    }

    last = fill->error + NGX_HTTP_ASYNC_PG_ERROR_LEN - 1;

    p = ngx_slprintf(fill->error, last, "%s(): \"%s\" is %s, not %s%s",
                     fill->call, name, ngx_http_async_pg_type_name(oid, buf),
                     list ? "an array of " : "",
                     list ? wants->many : wants->one);
    *p = '\0';

    return NGX_DECLINED;
}


static const ngx_http_async_pg_wants_t *
ngx_http_async_pg_wants(ngx_http_async_pg_source_t *s)
{
    switch (s->field->type) {

    case ASYNC_FIELD_TIME:
        return &ngx_http_async_pg_wants_time;

    case ASYNC_FIELD_BYTES:
        return &ngx_http_async_pg_wants_bytes;

    case ASYNC_FIELD_UUID:
        return &ngx_http_async_pg_wants_uuid;

    case ASYNC_FIELD_DATE:
        return &ngx_http_async_pg_wants_date;

    default:
        break;
    }

    switch (s->kind) {

    case ASYNC_MEMBER_BOOL:
        return &ngx_http_async_pg_wants_bool;

    case ASYNC_MEMBER_FLOAT:
    case ASYNC_MEMBER_DOUBLE:
        return &ngx_http_async_pg_wants_float;

    case ASYNC_MEMBER_TEXT:
    case ASYNC_MEMBER_STR:
        return &ngx_http_async_pg_wants_text;

    case ASYNC_MEMBER_JSON:
    case ASYNC_MEMBER_OBJECT:
        return &ngx_http_async_pg_wants_json;

    default:
        return s->choices ? &ngx_http_async_pg_wants_text
                          : &ngx_http_async_pg_wants_int;
    }
}


static ngx_int_t
ngx_http_async_pg_no_upload(ngx_http_async_pg_fill_t *fill, const char *name)
{
    ngx_snprintf(fill->error, NGX_HTTP_ASYNC_PG_ERROR_LEN,
                 "%s(): \"%s\" is an upload, which no column is%Z",
                 fill->call, name);

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_async_pg_no_source(ngx_http_async_pg_fill_t *fill, const char *name)
{
    u_char     *p, *last;
    ngx_str_t   best;

    last = fill->error + NGX_HTTP_ASYNC_PG_ERROR_LEN - 1;

    p = ngx_slprintf(fill->error, last,
                     "%s(): there is no column \"%s\", which \"%s\" names",
                     fill->call, name, fill->model->name);

    if (ngx_http_async_pg_near(fill->result, name, &best) == NGX_OK) {
        p = ngx_slprintf(p, last, ", did you mean \"%V\"?", &best);
    }

    *p = '\0';

    return NGX_DECLINED;
}
