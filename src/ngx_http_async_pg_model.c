
/*
 * Copyright (C) the nginx-async authors
 *
 * Rows into structs: see ngx_http_async_pg_model.h.
 */

#include <ngx_http_async_pg_source.h>
#include <ngx_http_async_value_time.h>


/* so many fields cost no memory */
#define NGX_HTTP_ASYNC_PG_FEW  16


static ngx_int_t ngx_http_async_pg_fill_row(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *sources, u_char *to);
static ngx_int_t ngx_http_async_pg_fill_field(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, u_char *to);
static ngx_int_t ngx_http_async_pg_fill_object(
    ngx_http_async_pg_fill_t *fill, ngx_http_async_pg_source_t *s,
    ngx_str_t *text, u_char *to);
static ngx_int_t ngx_http_async_pg_fill_list(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, u_char *to);
static ngx_int_t ngx_http_async_pg_fill_count(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, size_t *n);
static ngx_int_t ngx_http_async_pg_fill_items(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, u_char *to, u_char *copy);
static ngx_int_t ngx_http_async_pg_fill_value(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, void *to);
static ngx_int_t ngx_http_async_pg_fill_int(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, void *to);
static ngx_int_t ngx_http_async_pg_fill_choice(
    ngx_http_async_pg_fill_t *fill, ngx_http_async_pg_source_t *s,
    ngx_str_t *text, void *to);
static ngx_int_t ngx_http_async_pg_fill_float(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, void *to);
static ngx_int_t ngx_http_async_pg_fill_text(
    ngx_http_async_pg_fill_t *fill, ngx_http_async_pg_source_t *s,
    ngx_str_t *text, const char **to);
static ngx_int_t ngx_http_async_pg_fill_form(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text);
static ngx_int_t ngx_http_async_pg_fill_str(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, async_str_t *to);
static ngx_int_t ngx_http_async_pg_fill_json(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, json_t **to);
static ngx_int_t ngx_http_async_pg_fill_fail(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, const char *fmt, ...);
static ngx_int_t ngx_http_async_pg_fill_no_memory(
    ngx_http_async_pg_fill_t *fill);


ngx_int_t
ngx_http_async_pg_fill(ngx_http_async_pg_fill_t *fill)
{
    size_t                       i;
    u_char                      *to;
    ngx_int_t                    rc;
    ngx_http_async_pg_source_t  *sources, few[NGX_HTTP_ASYNC_PG_FEW];

    fill->item = -1;
    sources = few;

    if (fill->model->n > NGX_HTTP_ASYNC_PG_FEW) {
        /* not of the pool, which frees nothing small */
        sources = malloc(fill->model->n * sizeof(ngx_http_async_pg_source_t));

        if (sources == NULL) {
            return ngx_http_async_pg_fill_no_memory(fill);
        }
    }

    rc = NGX_OK;

    for (i = 0; i < fill->model->n && rc == NGX_OK; i++) {
        rc = ngx_http_async_pg_source(fill, &sources[i], i);
    }

    to = fill->to;

    for (i = 0; i < fill->n && rc == NGX_OK; i++) {
        rc = ngx_http_async_pg_fill_row(fill, sources, to);

        to += fill->model->type_size;
        fill->row++;
    }

    if (sources != few) {
        free(sources);
    }

    return rc;
}


static ngx_int_t
ngx_http_async_pg_fill_row(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *sources, u_char *to)
{
    int                          row;
    ngx_int_t                    rc;
    ngx_str_t                    text;
    ngx_http_async_pg_source_t  *s;

    row = (int) fill->row;

    for (s = sources; s < sources + fill->model->n; s++) {

        text.len = PQgetlength(fill->result, row, s->column);

        if (text.len == 0 && PQgetisnull(fill->result, row, s->column)) {

            if (!ngx_http_async_model_is_optional(s->field)) {
                return ngx_http_async_pg_fill_fail(fill, s,
                                         "null, which \"%s\" does not allow",
                                         fill->model->name);
            }

            continue;
        }

        text.data = (u_char *) PQgetvalue(fill->result, row, s->column);

        rc = ngx_http_async_pg_fill_field(fill, s, &text, to);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_fill_field(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, u_char *to)
{
    void  *value;

    if (s->object) {
        return ngx_http_async_pg_fill_object(fill, s, text, to);
    }

    if (ngx_http_async_model_is_list(s->field)) {
        return ngx_http_async_pg_fill_list(fill, s, text, to);
    }

    if (!ngx_http_async_model_is_pointer(s->field)) {
        return ngx_http_async_pg_fill_value(fill, s, text,
                                            to + s->field->offset);
    }

    value = ngx_palloc(fill->pool, ngx_http_async_model_size(s->kind));
    if (value == NULL) {
        return ngx_http_async_pg_fill_no_memory(fill);
    }

    *(void **) (to + s->field->offset) = value;

    return ngx_http_async_pg_fill_value(fill, s, text, value);
}


/* JSON: a struct, a pointer to one, or a list of them */

static ngx_int_t
ngx_http_async_pg_fill_object(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, u_char *to)
{
    u_char                    words[NGX_HTTP_ASYNC_PG_ERROR_LEN];
    ngx_int_t                 rc;
    ngx_http_async_loc_t      loc;
    ngx_http_async_reading_t  reading;

    loc.up = NULL;
    loc.name = s->object->name;
    loc.index = 0;

    reading.pool = fill->pool;
    reading.errors = NULL;
    reading.told = 0;

    rc = ngx_http_async_schema_json_field(&reading, &loc, s->object, text, to);

    if (rc == NGX_DECLINED) {
        ngx_http_async_reading_words(&reading, words, words + sizeof(words));

        rc = ngx_http_async_pg_fill_fail(fill, s, "JSON that does not fit: %s",
                                         words);

    } else if (rc == NGX_ERROR) {
        rc = ngx_http_async_pg_fill_no_memory(fill);
    }

    json_decref(reading.errors);

    return rc;
}


static ngx_int_t
ngx_http_async_pg_fill_list(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, u_char *to)
{
    size_t      n;
    u_char     *copy, *items;
    ngx_int_t   rc;

    rc = ngx_http_async_pg_fill_count(fill, s, text, &n);
    if (rc != NGX_OK) {
        return rc;
    }

    /* an empty list is not NULL, and the memory of a task is never empty */

    items = ngx_palloc(fill->pool,
                       ngx_max(n, 1) * ngx_http_async_model_size(s->kind));
    if (items == NULL) {
        return ngx_http_async_pg_fill_no_memory(fill);
    }

    copy = NULL;

    if (s->kind >= ASYNC_MEMBER_TEXT || s->choices) {

        /* brackets and commas leave room for the zeros */

        copy = ngx_pnalloc(fill->pool, text->len);
        if (copy == NULL) {
            return ngx_http_async_pg_fill_no_memory(fill);
        }
    }

    rc = ngx_http_async_pg_fill_items(fill, s, text, items, copy);
    fill->item = -1;

    *(void **) (to + s->field->offset) = items;
    *(size_t *) (to + s->field->count) = n;

    return rc;
}


static ngx_int_t
ngx_http_async_pg_fill_count(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, size_t *n)
{
    ngx_http_async_pg_array_t  a;

    *n = 0;

    ngx_http_async_pg_array(&a, text, s->delimiter);

    for ( ;; ) {
        switch (ngx_http_async_pg_array_next(&a)) {

        case NGX_HTTP_ASYNC_PG_ARRAY_OPEN:
            if (a.depth > 1) {
                return ngx_http_async_pg_fill_fail(fill, s,
                                              "an array of more dimensions");
            }

            break;

        case NGX_HTTP_ASYNC_PG_ARRAY_ITEM:
            (*n)++;
            break;

        case NGX_HTTP_ASYNC_PG_ARRAY_NULL:
            fill->item = *n;
            return ngx_http_async_pg_fill_fail(fill, s, "null");

        case NGX_HTTP_ASYNC_PG_ARRAY_CLOSE:
            break;

        case NGX_HTTP_ASYNC_PG_ARRAY_END:
            return NGX_OK;

        case NGX_HTTP_ASYNC_PG_ARRAY_BAD:
            return ngx_http_async_pg_fill_fail(fill, s, "a malformed array");
        }
    }
}


static ngx_int_t
ngx_http_async_pg_fill_items(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, u_char *to, u_char *copy)
{
    ngx_int_t                   rc;
    ngx_str_t                   item;
    ngx_http_async_pg_array_t   a;
    ngx_http_async_pg_array_e   next;

    ngx_http_async_pg_array(&a, text, s->delimiter);

    fill->item = 0;

    for ( ;; ) {
        next = ngx_http_async_pg_array_next(&a);

        if (next == NGX_HTTP_ASYNC_PG_ARRAY_END) {
            return NGX_OK;
        }

        if (next != NGX_HTTP_ASYNC_PG_ARRAY_ITEM) {
            continue;
        }

        item = a.item;

        if (copy) {
            item.data = copy;
            item.len = ngx_http_async_pg_unescape(&a.item, copy);

            copy += item.len;
            *copy++ = '\0';
        }

        rc = ngx_http_async_pg_fill_value(fill, s, &item, to);
        if (rc != NGX_OK) {
            return rc;
        }

        to += ngx_http_async_model_size(s->kind);
        fill->item++;
    }
}


static ngx_int_t
ngx_http_async_pg_fill_value(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, void *to)
{
    switch (s->kind) {

    case ASYNC_MEMBER_BOOL:
        *(_Bool *) to = (text->len && text->data[0] == 't');
        return NGX_OK;

    case ASYNC_MEMBER_FLOAT:
    case ASYNC_MEMBER_DOUBLE:
        return ngx_http_async_pg_fill_float(fill, s, text, to);

    case ASYNC_MEMBER_TEXT:
        return ngx_http_async_pg_fill_text(fill, s, text, to);

    case ASYNC_MEMBER_STR:
        return ngx_http_async_pg_fill_str(fill, s, text, to);

    case ASYNC_MEMBER_JSON:
        return ngx_http_async_pg_fill_json(fill, s, text, to);

    default:
        return s->choices ? ngx_http_async_pg_fill_choice(fill, s, text, to)
                          : ngx_http_async_pg_fill_int(fill, s, text, to);
    }
}


static ngx_int_t
ngx_http_async_pg_fill_int(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, void *to)
{
    int64_t  value;

    if (s->field->type == ASYNC_FIELD_TIME) {

        if (ngx_http_async_pg_time(text, to) != NGX_OK) {
            return ngx_http_async_pg_fill_fail(fill, s,
                                         "\"%V\", not a time by DateStyle ISO",
                                         text);
        }

        return NGX_OK;
    }

    if (ngx_http_async_pg_integer(text, &value) != NGX_OK
        || ngx_http_async_model_int(s->kind, to, value) != NGX_OK)
    {
        return ngx_http_async_pg_fill_fail(fill, s, "%V, beyond %s", text,
                                           ngx_http_async_model_type(s->kind));
    }

    return NGX_OK;
}


/* there are no more choices than the integer has values */

static ngx_int_t
ngx_http_async_pg_fill_choice(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, void *to)
{
    int64_t  i;

    for (i = 0; s->choices[i]; i++) {

        if (ngx_strlen(s->choices[i]) == text->len
            && ngx_memcmp(s->choices[i], text->data, text->len) == 0)
        {
            return ngx_http_async_model_int(s->kind, to, i);
        }
    }

    return ngx_http_async_pg_fill_fail(fill, s,
                                       "\"%V\", which is none of its choices",
                                       text);
}


static ngx_int_t
ngx_http_async_pg_fill_float(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, void *to)
{
    double  value;

    if (ngx_http_async_pg_number(text, &value) != NGX_OK
        || ngx_http_async_model_float(s->kind, to, value) != NGX_OK)
    {
        return ngx_http_async_pg_fill_fail(fill, s, "beyond %s",
                                           ngx_http_async_model_type(s->kind));
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_fill_text(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, const char **to)
{
    ngx_int_t  rc;
    ngx_str_t  form;

    form = *text;

    rc = ngx_http_async_pg_fill_form(fill, s, &form);

    if (rc == NGX_OK) {
        *to = (char *) form.data;
    }

    return rc;
}


/* a UUID and a date in the one form that they have; other text as it is */

static ngx_int_t
ngx_http_async_pg_fill_form(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text)
{
    u_char                        *p, form[NGX_HTTP_ASYNC_UUID_LEN];
    size_t                         len;
    ngx_int_t                      rc;
    ngx_http_async_value_error_t   error;

    if (s->field->type == ASYNC_FIELD_UUID) {
        len = NGX_HTTP_ASYNC_UUID_LEN;
        rc = ngx_http_async_value_uuid(text, form, &error);

    } else if (s->field->type == ASYNC_FIELD_DATE) {
        len = NGX_HTTP_ASYNC_DATE_LEN;
        rc = ngx_http_async_value_date(text, form, &error);

    } else {
        return NGX_OK;
    }

    if (rc != NGX_OK) {
        return ngx_http_async_pg_fill_fail(fill, s, "\"%V\", not %s", text,
                                           s->field->type == ASYNC_FIELD_UUID
                                           ? "a UUID"
                                           : "a date by DateStyle ISO");
    }

    if (text->len == len && ngx_memcmp(text->data, form, len) == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(fill->pool, len + 1);
    if (p == NULL) {
        return ngx_http_async_pg_fill_no_memory(fill);
    }

    ngx_memcpy(p, form, len);
    p[len] = '\0';

    text->data = p;
    text->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_fill_str(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, async_str_t *to)
{
    u_char     *bytes;
    ngx_int_t   rc;
    ngx_str_t   form;

    if (s->field->type != ASYNC_FIELD_BYTES) {
        form = *text;

        rc = ngx_http_async_pg_fill_form(fill, s, &form);

        if (rc == NGX_OK) {
            to->data = (char *) form.data;
            to->len = form.len;
        }

        return rc;
    }

    bytes = text->data;

    if (fill->item < 0) {

        bytes = ngx_pnalloc(fill->pool, text->len + 1);
        if (bytes == NULL) {
            return ngx_http_async_pg_fill_no_memory(fill);
        }
    }

    /* never longer than their text */

    if (ngx_http_async_pg_bytes(text, bytes, &to->len) != NGX_OK) {
        return ngx_http_async_pg_fill_fail(fill, s, "malformed bytea");
    }

    bytes[to->len] = '\0';
    to->data = (char *) bytes;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_pg_fill_json(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, ngx_str_t *text, json_t **to)
{
    json_t                      **lent;
    ngx_int_t                     rc;
    ngx_http_async_json_error_t   error;

    lent = ngx_http_async_pg_lent(fill->lent, fill->result, fill->row,
                                  s->column);
    if (lent == NULL) {
        return ngx_http_async_pg_fill_no_memory(fill);
    }

    if (*lent == NULL) {

        rc = ngx_http_async_json_load(text->data, text->len, 0, lent, &error);

        if (rc == NGX_ERROR) {
            return ngx_http_async_pg_fill_no_memory(fill);
        }

        if (rc == NGX_DECLINED) {
            return ngx_http_async_pg_fill_fail(fill, s,
                                          "JSON that is refused: %s at "
                                          "character %uz", error.text,
                                          error.position);
        }
    }

    *to = *lent;

    return NGX_OK;
}


/* "age" of row 3 is ... */

static ngx_int_t
ngx_http_async_pg_fill_fail(ngx_http_async_pg_fill_t *fill,
    ngx_http_async_pg_source_t *s, const char *fmt, ...)
{
    u_char   *p, *last;
    va_list   args;

    p = fill->error;
    last = p + NGX_HTTP_ASYNC_PG_ERROR_LEN - 1;

    p = ngx_slprintf(p, last, "%s(): ", fill->call);

    if (fill->item >= 0) {
        p = ngx_slprintf(p, last, "item %uz of ", (size_t) fill->item);
    }

    p = ngx_slprintf(p, last, "\"%s\" of row %uz is ",
                     ngx_http_async_model_name(s->field), fill->row);

    va_start(args, fmt);
    p = ngx_vslprintf(p, last, fmt, args);
    va_end(args);

    *p = '\0';

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_async_pg_fill_no_memory(ngx_http_async_pg_fill_t *fill)
{
    ngx_sprintf(fill->error, "%s(): no memory%Z", fill->call);

    return NGX_ERROR;
}
