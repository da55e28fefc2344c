
/*
 * Copyright (C) the nginx-async authors
 *
 * JSON text into structs: objects, fields and lists.  Errors come in the order
 * of the fields and of the items, whatever that of the text.
 */

#include <ngx_http_async_schema_json.h>


#define NGX_HTTP_ASYNC_SCHEMA_WORD   64

/* items of a list to begin with, in bytes */
#define NGX_HTTP_ASYNC_SCHEMA_ITEMS  64


/* an object of the text */

typedef struct {
    ngx_http_async_schema_t    *schema;
    u_char                     *object;
    u_char                     *start;
    ngx_uint_t                  next;         /* the field to be expected */
    ngx_uint_t                  nseen;
    uint64_t                   *seen;         /* bits */
    uint64_t                    word;
    size_t                      errors;       /* those before it */
    ngx_uint_t                  wrong;
    uint32_t                  (*bounds)[2];   /* by field; NULL: none yet */
} ngx_http_async_schema_members_t;


static size_t ngx_http_async_schema_json_begin(
    ngx_http_async_schema_json_t *r);
static ngx_int_t ngx_http_async_schema_json_end(
    ngx_http_async_schema_json_t *r, size_t first, ngx_int_t rc);
static void ngx_http_async_schema_json_clear(
    ngx_http_async_schema_field_t *f, u_char *object);
static ngx_int_t ngx_http_async_schema_json_refused(
    ngx_http_async_reading_t *reading, ngx_http_async_loc_t *loc,
    ngx_str_t *text);
static ngx_int_t ngx_http_async_schema_json_members(
    ngx_http_async_schema_json_t *r, ngx_http_async_loc_t *loc,
    ngx_http_async_schema_members_t *m);
static ngx_int_t ngx_http_async_schema_json_member(
    ngx_http_async_schema_json_t *r, ngx_http_async_loc_t *loc,
    ngx_http_async_schema_members_t *m, ngx_str_t *key);
static ngx_http_async_schema_field_t *ngx_http_async_schema_json_find(
    ngx_http_async_schema_members_t *m, ngx_str_t *key);
static ngx_int_t ngx_http_async_schema_json_note(
    ngx_http_async_schema_json_t *r, ngx_http_async_schema_members_t *m,
    ngx_uint_t i, size_t first);
static ngx_int_t ngx_http_async_schema_json_absent(
    ngx_http_async_schema_json_t *r, ngx_http_async_loc_t *loc,
    ngx_http_async_schema_members_t *m);
static ngx_int_t ngx_http_async_schema_json_order(
    ngx_http_async_schema_json_t *r, ngx_http_async_schema_members_t *m);
static ngx_int_t ngx_http_async_schema_json_read_field(
    ngx_http_async_schema_json_t *r, ngx_http_async_loc_t *loc,
    ngx_http_async_schema_field_t *f, u_char *object);
static ngx_int_t ngx_http_async_schema_json_list(
    ngx_http_async_schema_json_t *r, ngx_http_async_loc_t *loc,
    ngx_http_async_schema_field_t *f, u_char *object);
static ngx_int_t ngx_http_async_schema_json_items(
    ngx_http_async_schema_json_t *r, ngx_http_async_loc_t *loc,
    ngx_http_async_schema_field_t *f, u_char **items, size_t *n);
static u_char *ngx_http_async_schema_json_item(
    ngx_http_async_schema_json_t *r, ngx_http_async_schema_field_t *f,
    u_char **items, size_t n, size_t *alloc);
static ngx_int_t ngx_http_async_schema_json_one(
    ngx_http_async_schema_json_t *r, ngx_http_async_loc_t *loc,
    ngx_http_async_schema_field_t *f, u_char *to);


ngx_int_t
ngx_http_async_schema_json(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_t *schema,
    ngx_str_t *text, void *object)
{
    ngx_int_t  rc;

    rc = ngx_http_async_schema_json_body(reading, loc, schema, text, object);

    return (rc == NGX_ABORT)
           ? ngx_http_async_schema_json_refused(reading, loc, text) : rc;
}


ngx_int_t
ngx_http_async_schema_json_body(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_t *schema,
    ngx_str_t *text, void *object)
{
    size_t                        first;
    ngx_int_t                     rc;
    ngx_http_async_schema_json_t  r;

    ngx_http_async_model_clear(schema->model, object);

    r.reading = reading;
    r.shown = NGX_HTTP_ASYNC_SCHEMA_SHOWN + 2 * text->len;

    ngx_http_async_json_in(&r.in, reading->pool, text);

    first = ngx_http_async_schema_json_begin(&r);
    rc = ngx_http_async_schema_json_object(&r, loc, schema, object);
    rc = ngx_http_async_schema_json_end(&r, first, rc);

    if (rc != NGX_OK) {
        ngx_http_async_model_clear(schema->model, object);
    }

    return rc;
}


ngx_int_t
ngx_http_async_schema_json_field(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *object)
{
    size_t                        first;
    ngx_int_t                     rc;
    ngx_http_async_schema_json_t  r;

    ngx_http_async_schema_json_clear(f, object);

    r.reading = reading;
    r.shown = NGX_HTTP_ASYNC_SCHEMA_SHOWN + 2 * text->len;

    ngx_http_async_json_in(&r.in, reading->pool, text);

    first = ngx_http_async_schema_json_begin(&r);
    rc = ngx_http_async_schema_json_read_field(&r, loc, f, object);
    rc = ngx_http_async_schema_json_end(&r, first, rc);

    if (rc != NGX_OK) {
        ngx_http_async_schema_json_clear(f, object);
    }

    return (rc == NGX_ABORT)
           ? ngx_http_async_schema_json_refused(reading, loc, text) : rc;
}


/* Around what is the whole text: how many errors there were before. */

static size_t
ngx_http_async_schema_json_begin(ngx_http_async_schema_json_t *r)
{
    ngx_http_async_json_space(&r->in);

    return ngx_http_async_schema_json_errors(r);
}


static ngx_int_t
ngx_http_async_schema_json_end(ngx_http_async_schema_json_t *r, size_t first,
    ngx_int_t rc)
{
    if (rc == NGX_OK || rc == NGX_DECLINED) {
        ngx_http_async_json_space(&r->in);

        if (r->in.p != r->in.last) {
            rc = NGX_ABORT;
        }
    }

    if (rc == NGX_ABORT) {
        /* what is no JSON has no values, right or wrong */
        ngx_http_async_schema_json_drop(r, first);
    }

    return rc;
}


static void
ngx_http_async_schema_json_clear(ngx_http_async_schema_field_t *f,
    u_char *object)
{
    if (f->list) {
        ngx_memzero(object + f->field->count, sizeof(size_t));
    }

    ngx_memzero(object + f->field->offset,
                (f->list || f->pointer) ? sizeof(void *) : f->size);
}


static ngx_int_t
ngx_http_async_schema_json_refused(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_str_t *text)
{
    json_t                       *value;
    ngx_int_t                     rc;
    ngx_http_async_loc_t          place;
    ngx_http_async_json_error_t   error;

    static ngx_str_t  msg = ngx_string("JSON decode error");

    rc = ngx_http_async_json_load(text->data, text->len, 0, &value, &error);

    if (rc != NGX_DECLINED) {
        json_decref(value);
        return NGX_ERROR;
    }

    place.up = loc;
    ngx_str_null(&place.name);
    place.index = error.position;

    return ngx_http_async_reading_fail(reading, &place, "json_invalid", &msg,
                                       json_object(),
                                       json_pack("{s:s}", "error",
                                                 error.text));
}


ngx_int_t
ngx_http_async_schema_json_object(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_t *schema,
    u_char *object)
{
    size_t                            size;
    ngx_int_t                         rc;
    ngx_http_async_schema_members_t   m;

    if (!ngx_http_async_json_next_is(&r->in, '{')) {
        return ngx_http_async_schema_json_wrong(r, loc,
                   "model_attributes_type", "Input should be a valid "
                   "dictionary or object to extract fields from", r->in.p);
    }

    m.schema = schema;
    m.object = object;
    m.start = r->in.p;
    m.next = 0;
    m.nseen = 0;
    m.seen = &m.word;
    m.word = 0;
    m.errors = ngx_http_async_schema_json_errors(r);
    m.wrong = 0;
    m.bounds = NULL;

    if (schema->n > NGX_HTTP_ASYNC_SCHEMA_WORD) {
        size = (schema->n / NGX_HTTP_ASYNC_SCHEMA_WORD + 1) * sizeof(uint64_t);

        m.seen = ngx_pcalloc(r->reading->pool, size);
        if (m.seen == NULL) {
            return NGX_ERROR;
        }
    }

    rc = ngx_http_async_schema_json_members(r, loc, &m);
    if (rc != NGX_OK) {
        return rc;
    }

    if (m.nseen < schema->n) {
        rc = ngx_http_async_schema_json_absent(r, loc, &m);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return m.wrong ? ngx_http_async_schema_json_order(r, &m) : NGX_OK;
}


/* NGX_OK: they have been read, with or without errors */

static ngx_int_t
ngx_http_async_schema_json_members(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_members_t *m)
{
    size_t     keys;
    ngx_int_t  rc;
    ngx_str_t  key;

    keys = r->in.nkeys;

    rc = ngx_http_async_json_enter(&r->in);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_async_json_space(&r->in);

    if (!ngx_http_async_json_next_is(&r->in, '}')) {

        for ( ;; ) {
            rc = ngx_http_async_json_key(&r->in, &key);
            if (rc != NGX_OK) {
                return rc;
            }

            rc = ngx_http_async_schema_json_member(r, loc, m, &key);
            if (rc != NGX_OK) {
                return rc;
            }

            ngx_http_async_json_space(&r->in);

            if (!ngx_http_async_json_next_is(&r->in, ',')) {
                break;
            }

            r->in.p++;
        }

        if (!ngx_http_async_json_next_is(&r->in, '}')) {
            return NGX_HTTP_ASYNC_JSON_REFUSE;
        }
    }

    r->in.p++;
    ngx_http_async_json_leave(&r->in);

    return ngx_http_async_json_forget(&r->in, keys);
}


static ngx_int_t
ngx_http_async_schema_json_member(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_members_t *m,
    ngx_str_t *key)
{
    size_t                          first;
    uint64_t                        bit, *seen;
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_http_async_loc_t            place;
    ngx_http_async_schema_field_t  *f;

    f = ngx_http_async_schema_json_find(m, key);

    if (f == NULL) {
        rc = ngx_http_async_json_keep(&r->in, key);

        return (rc == NGX_OK) ? ngx_http_async_json_skip(&r->in) : rc;
    }

    i = f - m->schema->fields;
    m->next = i + 1;

    seen = &m->seen[i / NGX_HTTP_ASYNC_SCHEMA_WORD];
    bit = (uint64_t) 1 << i % NGX_HTTP_ASYNC_SCHEMA_WORD;

    if (*seen & bit) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    *seen |= bit;
    m->nseen++;

    place.up = loc;
    place.name = f->name;
    place.index = 0;

    ngx_http_async_json_space(&r->in);

    first = ngx_http_async_schema_json_errors(r);
    rc = ngx_http_async_schema_json_read_field(r, &place, f, m->object);

    return (rc == NGX_DECLINED)
           ? ngx_http_async_schema_json_note(r, m, i, first) : rc;
}


static ngx_http_async_schema_field_t *
ngx_http_async_schema_json_find(ngx_http_async_schema_members_t *m,
    ngx_str_t *key)
{
    ngx_uint_t                      i, n;
    ngx_http_async_schema_field_t  *f;

    /* most texts have the order of the model */

    n = m->schema->n;
    f = m->schema->fields + m->next;

    for (i = 0; i < n; i++, f++) {

        if (f >= m->schema->fields + n) {
            f = m->schema->fields;
        }

        if (f->name.len == key->len
            && ngx_memcmp(f->name.data, key->data, key->len) == 0)
        {
            return f;
        }
    }

    return NULL;
}


/* which errors are those of a field */

static ngx_int_t
ngx_http_async_schema_json_note(ngx_http_async_schema_json_t *r,
    ngx_http_async_schema_members_t *m, ngx_uint_t i, size_t first)
{
    m->wrong = 1;

    if (m->bounds == NULL) {
        m->bounds = ngx_pcalloc(r->reading->pool,
                                m->schema->n * sizeof(m->bounds[0]));
        if (m->bounds == NULL) {
            return NGX_ERROR;
        }
    }

    m->bounds[i][0] = (uint32_t) first;
    m->bounds[i][1] = (uint32_t) ngx_http_async_schema_json_errors(r);

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_schema_json_absent(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_members_t *m)
{
    size_t                          first, missing;
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_http_async_loc_t            place;
    ngx_http_async_schema_field_t  *f;

    missing = ngx_http_async_schema_json_errors(r);
    place.up = loc;
    place.index = 0;

    for (i = 0; i < m->schema->n; i++) {
        f = &m->schema->fields[i];

        if (m->seen[i / NGX_HTTP_ASYNC_SCHEMA_WORD]
            & (uint64_t) 1 << i % NGX_HTTP_ASYNC_SCHEMA_WORD)
        {
            continue;
        }

        first = ngx_http_async_schema_json_errors(r);
        place.name = f->name;

        rc = ngx_http_async_schema_absent(r->reading, &place, f, m->object,
                                          json_null());

        if (rc == NGX_DECLINED) {
            rc = ngx_http_async_schema_json_note(r, m, i, first);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_http_async_schema_json_blame(r, missing, m->start);
}


/* NGX_DECLINED: the errors of an object stand in the order of its fields */

static ngx_int_t
ngx_http_async_schema_json_order(ngx_http_async_schema_json_t *r,
    ngx_http_async_schema_members_t *m)
{
    json_t      *order, *errors;
    uint32_t     j;
    ngx_int_t    rc;
    ngx_uint_t   i;

    errors = r->reading->errors;
    order = json_array();

    for (i = 0; i < m->schema->n; i++) {
        for (j = m->bounds[i][0]; j < m->bounds[i][1]; j++) {

            if (json_array_append(order, json_array_get(errors, j)) != 0) {
                json_decref(order);
                return NGX_ERROR;
            }
        }
    }

    ngx_http_async_schema_json_drop(r, m->errors);

    rc = (json_array_extend(errors, order) == 0) ? NGX_DECLINED : NGX_ERROR;

    json_decref(order);

    return rc;
}


static ngx_int_t
ngx_http_async_schema_json_read_field(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    u_char *object)
{
    u_char     *to;
    ngx_int_t   rc;

    if (f->nullable && ngx_http_async_json_next_is(&r->in, 'n')) {
        return ngx_http_async_json_word(&r->in, "null", 4);
    }

    if (f->list) {
        return ngx_http_async_schema_json_list(r, loc, f, object);
    }

    if (!f->pointer) {
        return ngx_http_async_schema_json_one(r, loc, f,
                                              object + f->field->offset);
    }

    to = ngx_pcalloc(r->reading->pool, f->size);
    if (to == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_async_schema_json_one(r, loc, f, to);

    if (rc == NGX_OK) {
        *(void **) (object + f->field->offset) = to;
    }

    return rc;
}


/*
 * As in pydantic, the number of a list that is too long is its only error, and
 * that of one that is too short comes when its items have none.
 */

static ngx_int_t
ngx_http_async_schema_json_list(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    u_char *object)
{
    size_t                            n, first;
    u_char                           *items;
    ngx_int_t                         rc;
    ngx_http_async_schema_json_at_t   at = { r, r->in.p };

    if (!ngx_http_async_json_next_is(&r->in, '[')) {
        return ngx_http_async_schema_json_wrong(r, loc, "list_type",
                                                "Input should be a valid list",
                                                at.start);
    }

    first = ngx_http_async_schema_json_errors(r);

    rc = ngx_http_async_schema_json_items(r, loc, f, &items, &n);
    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    if (f->field->max_length && n > f->field->max_length) {
        ngx_http_async_schema_json_drop(r, first);
        rc = NGX_OK;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_async_schema_count(r->reading, loc, f, n,
                                         ngx_http_async_schema_json_show, &at);
    }

    if (rc == NGX_OK) {
        *(void **) (object + f->field->offset) = items;
        *(size_t *) (object + f->field->count) = n;
    }

    return rc;
}


static ngx_int_t
ngx_http_async_schema_json_items(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    u_char **items, size_t *n)
{
    size_t                 alloc;
    u_char                *to;
    ngx_int_t              rc, all;
    ngx_http_async_loc_t   place;

    *items = NULL;
    *n = 0;
    alloc = 0;
    all = NGX_OK;

    place.up = loc;
    ngx_str_null(&place.name);

    rc = ngx_http_async_json_enter(&r->in);
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_async_json_space(&r->in);

    if (ngx_http_async_json_next_is(&r->in, ']')) {

        /* an empty list is not NULL */

        *items = ngx_palloc(r->reading->pool, sizeof(void *));
        if (*items == NULL) {
            return NGX_ERROR;
        }

        goto done;
    }

    for ( ;; ) {
        ngx_http_async_json_space(&r->in);

        if (f->field->max_length && *n >= f->field->max_length) {
            rc = ngx_http_async_json_skip(&r->in);

        } else {
            to = ngx_http_async_schema_json_item(r, f, items, *n, &alloc);
            if (to == NULL) {
                return NGX_ERROR;
            }

            place.index = *n;
            rc = ngx_http_async_schema_json_one(r, &place, f, to);
        }

        if (rc == NGX_DECLINED) {
            all = NGX_DECLINED;

        } else if (rc != NGX_OK) {
            return rc;
        }

        (*n)++;

        ngx_http_async_json_space(&r->in);

        if (!ngx_http_async_json_next_is(&r->in, ',')) {
            break;
        }

        r->in.p++;
    }

    if (!ngx_http_async_json_next_is(&r->in, ']')) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

done:

    r->in.p++;
    ngx_http_async_json_leave(&r->in);

    return all;
}


/* where item n is to be, zeros; they may move to where there is more room */

static u_char *
ngx_http_async_schema_json_item(ngx_http_async_schema_json_t *r,
    ngx_http_async_schema_field_t *f, u_char **items, size_t n, size_t *alloc)
{
    size_t       more;
    u_char      *to;
    ngx_pool_t  *pool;

    if (n == *alloc) {
        pool = r->reading->pool;

        more = n ? 2 * n : NGX_HTTP_ASYNC_SCHEMA_ITEMS / f->size;
        more = ngx_max(more, 2);

        to = ngx_palloc(pool, more * f->size);
        if (to == NULL) {
            return NULL;
        }

        if (n) {
            ngx_memcpy(to, *items, n * f->size);
            (void) ngx_pfree(pool, *items);
        }

        *items = to;
        *alloc = more;
    }

    to = *items + n * f->size;
    ngx_memzero(to, f->size);

    return to;
}


static ngx_int_t
ngx_http_async_schema_json_one(ngx_http_async_schema_json_t *r,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, u_char *to)
{
    ngx_int_t                         rc;
    ngx_http_async_schema_json_at_t   at = { r, r->in.p };

    if (ngx_http_async_reading_is_full(r->reading)) {
        rc = ngx_http_async_json_skip(&r->in);
        return (rc == NGX_OK) ? NGX_DECLINED : rc;
    }

    if (f->kind != ASYNC_MEMBER_OBJECT) {
        return ngx_http_async_schema_json_value(r, loc, f, to);
    }

    rc = ngx_http_async_schema_json_object(r, loc, f->schema, to);

    return (rc == NGX_OK && f->check)
           ? ngx_http_async_schema_constrain(r->reading, loc, f, to,
                                         ngx_http_async_schema_json_show, &at)
           : rc;
}
