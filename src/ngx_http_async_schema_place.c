
/*
 * Copyright (C) the nginx-async authors
 *
 * Where the value of a field goes in a struct, and what is there without one:
 * its default, nothing, or the error that it is missing.
 */

#include <ngx_http_async_json.h>
#include <ngx_http_async_schema.h>


static ngx_int_t ngx_http_async_schema_default(
    ngx_http_async_reading_t *reading, ngx_http_async_loc_t *loc,
    ngx_http_async_schema_field_t *f, void *object);
static ngx_uint_t ngx_http_async_schema_depth(ngx_http_async_loc_t *loc);


void *
ngx_http_async_schema_place(ngx_http_async_reading_t *reading,
    ngx_http_async_schema_field_t *f, void *object)
{
    void  *value;

    if (!f->pointer) {
        return (u_char *) object + f->field->offset;
    }

    value = ngx_pcalloc(reading->pool, f->size);

    *(void **) ((u_char *) object + f->field->offset) = value;

    return value;
}


void *
ngx_http_async_schema_items(ngx_http_async_reading_t *reading,
    ngx_http_async_schema_field_t *f, void *object, size_t n)
{
    u_char  *p = object;
    void    *items;

    /* an empty list is not an absent one */

    if (n > NGX_MAX_SIZE_T_VALUE / ngx_max(f->size, 1)) {
        return NULL;
    }

    items = ngx_pcalloc(reading->pool, ngx_max(n * f->size, 1));

    if (items) {
        *(void **) (p + f->field->offset) = items;
        *(size_t *) (p + f->field->count) = n;
    }

    return items;
}


ngx_int_t
ngx_http_async_schema_absent(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, void *object,
    json_t *input)
{
    u_char  *p = object;

    static ngx_str_t  msg = ngx_string("Field required");

    if (f->required) {
        return ngx_http_async_reading_fail(reading, loc, "missing", &msg,
                                           input, NULL);
    }

    json_decref(input);

    if (f->field->default_value) {
        return ngx_http_async_schema_default(reading, loc, f, object);
    }

    ngx_memzero(p + f->field->offset,
                (f->list || f->pointer) ? sizeof(void *) : f->size);

    if (f->list) {
        ngx_memzero(p + f->field->count, sizeof(size_t));
    }

    return NGX_OK;
}


/* It has been found to be valid; what may be changed is made anew. */

static ngx_int_t
ngx_http_async_schema_default(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, void *object)
{
    void       *to;
    ngx_str_t   text;

    static ngx_str_t  cyclic = ngx_string("Recursion error - a default holds "
                                          "itself");

    text.data = (u_char *) f->field->default_value;
    text.len = ngx_strlen(f->field->default_value);

    if (f->list || f->kind == ASYNC_MEMBER_OBJECT) {

        /* only while schemas are made: what passes then, does later */

        if (ngx_http_async_schema_depth(loc) > NGX_HTTP_ASYNC_JSON_DEPTH) {
            return ngx_http_async_reading_fail(reading, loc, "recursion_loop",
                                               &cyclic, json_null(), NULL);
        }

        return ngx_http_async_schema_json_field(reading, loc, f, &text,
                                                object);
    }

    to = ngx_http_async_schema_place(reading, f, object);

    if (to == NULL) {
        return NGX_ERROR;
    }

    if (f->kind == ASYNC_MEMBER_JSON || f->value == NULL) {
        /* or while schemas are made, and it is not made yet */
        return ngx_http_async_schema_text(reading, loc, f, &text, to);
    }

    ngx_memcpy(to, f->value, f->size);

    return NGX_OK;
}


static ngx_uint_t
ngx_http_async_schema_depth(ngx_http_async_loc_t *loc)
{
    ngx_uint_t  n;

    for (n = 0; loc; loc = loc->up) {
        n++;
    }

    return n;
}
