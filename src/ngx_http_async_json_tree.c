
/*
 * Copyright (C) the nginx-async authors
 *
 * Trees of jansson's from JSON text: see ngx_http_async_json_tree.h.  A value
 * is put where it belongs as soon as it begins, so that all that is open hangs
 * on the root, and no key has to be kept for long.
 */

#include <ngx_http_async_json_tree.h>


/* an escaped string of that length needs no memory to be unescaped */
#define NGX_HTTP_ASYNC_JSON_TREE_ROOM  128


typedef struct {
    ngx_http_async_json_in_t       in;
    ngx_http_async_json_tree_t    *tree;

    json_t                        *root;
    json_t                        *at;        /* innermost of those open */
    size_t                         n;         /* members that it was given */
    ngx_http_async_json_string_t   key;       /* of the next, in an object */

    json_t                       **open;      /* by depth, from 1 */
    ngx_uint_t                     nopen;
    u_char                        *room;      /* for what is unescaped */
    size_t                         size;

    json_t                        *few[NGX_HTTP_ASYNC_JSON_DEPTH + 1];
    u_char                         text[NGX_HTTP_ASYNC_JSON_TREE_ROOM];
} ngx_http_async_json_make_t;


static ngx_int_t ngx_http_async_json_make(ngx_http_async_json_make_t *m);
static ngx_int_t ngx_http_async_json_make_open(ngx_http_async_json_make_t *m,
    u_char c);
static ngx_int_t ngx_http_async_json_make_more(
    ngx_http_async_json_make_t *m);
static ngx_int_t ngx_http_async_json_make_close(
    ngx_http_async_json_make_t *m);
static ngx_int_t ngx_http_async_json_make_key(ngx_http_async_json_make_t *m);
static ngx_int_t ngx_http_async_json_make_scalar(
    ngx_http_async_json_make_t *m, u_char c);
static ngx_int_t ngx_http_async_json_make_string(
    ngx_http_async_json_make_t *m);
static ngx_int_t ngx_http_async_json_make_number(
    ngx_http_async_json_make_t *m);
static ngx_int_t ngx_http_async_json_make_add(ngx_http_async_json_make_t *m,
    json_t *value);
static ngx_int_t ngx_http_async_json_make_text(ngx_http_async_json_make_t *m,
    ngx_http_async_json_string_t *s, ngx_str_t *text);
static ngx_int_t ngx_http_async_json_make_refuse(
    ngx_http_async_json_make_t *m, const char *why);


ngx_int_t
ngx_http_async_json_tree(ngx_http_async_json_tree_t *tree, ngx_str_t *text,
    json_t **value)
{
    ngx_int_t                   rc;
    ngx_http_async_json_make_t  m;

    ngx_http_async_json_in(&m.in, NULL, text);

    tree->refused = NULL;

    m.tree = tree;
    m.root = NULL;
    m.at = NULL;
    m.n = 0;
    m.open = m.few;
    m.nopen = NGX_HTTP_ASYNC_JSON_DEPTH;
    m.room = m.text;
    m.size = NGX_HTTP_ASYNC_JSON_TREE_ROOM;

    rc = ngx_http_async_json_make(&m);

    if (rc == NGX_OK) {
        ngx_http_async_json_space(&m.in);

        if (m.in.p != m.in.last) {
            rc = NGX_HTTP_ASYNC_JSON_REFUSE;
        }
    }

    if (rc != NGX_OK) {
        json_decref(m.root);
        m.root = NULL;
    }

    if (m.open != m.few) {
        ngx_free(m.open);
    }

    if (m.room != m.text) {
        ngx_free(m.room);
    }

    *value = m.root;

    return rc;
}


/* a state machine, which does not recur */

static ngx_int_t
ngx_http_async_json_make(ngx_http_async_json_make_t *m)
{
    u_char      c;
    ngx_int_t   rc;

value:

    ngx_http_async_json_space(&m->in);

    c = (m->in.p < m->in.last) ? *m->in.p : '\0';

    if (c == '{' || c == '[') {
        rc = ngx_http_async_json_make_open(m, c);
        if (rc != NGX_OK) {
            return rc;
        }

        ngx_http_async_json_space(&m->in);

        if (ngx_http_async_json_next_is(&m->in, c + 2)) {   /* "{}", "[]" */
            m->in.p++;
            goto close;
        }

        goto member;
    }

    rc = ngx_http_async_json_make_scalar(m, c);
    if (rc != NGX_OK) {
        return rc;
    }

next:

    if (m->at == NULL) {
        return NGX_OK;
    }

    ngx_http_async_json_space(&m->in);

    c = (m->in.p < m->in.last) ? *m->in.p++ : '\0';

    if (c == (json_is_object(m->at) ? '}' : ']')) {
        goto close;
    }

    if (c != ',') {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

member:

    if (json_is_object(m->at)) {
        rc = ngx_http_async_json_make_key(m);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    goto value;

close:

    if (ngx_http_async_json_make_close(m) != NGX_OK) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    goto next;
}


/* a key that was there before has replaced a member: there are less of them */

#define ngx_http_async_json_make_twice(m)                                    \
    (json_is_object((m)->at) && json_object_size((m)->at) != (m)->n)


static ngx_int_t
ngx_http_async_json_make_open(ngx_http_async_json_make_t *m, u_char c)
{
    json_t     *value;
    ngx_int_t   rc;

    if (m->in.depth == m->tree->max_depth) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    if (m->in.depth == m->nopen
        && ngx_http_async_json_make_more(m) != NGX_OK)
    {
        return NGX_ERROR;
    }

    value = (c == '{') ? json_object() : json_array();

    rc = ngx_http_async_json_make_add(m, value);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_async_json_make_twice(m)) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    m->open[++m->in.depth] = value;
    m->at = value;
    m->n = 0;
    m->in.p++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_make_more(ngx_http_async_json_make_t *m)
{
    json_t  **open;

    open = malloc((NGX_HTTP_ASYNC_JSON_MAX_DEPTH + 1) * sizeof(json_t *));
    if (open == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(open, m->few, sizeof(m->few));

    m->open = open;
    m->nopen = NGX_HTTP_ASYNC_JSON_MAX_DEPTH;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_make_close(ngx_http_async_json_make_t *m)
{
    if (ngx_http_async_json_make_twice(m)) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    if (--m->in.depth == 0) {
        m->at = NULL;
        return NGX_OK;
    }

    m->at = m->open[m->in.depth];
    m->n = json_is_object(m->at) ? json_object_size(m->at) : 0;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_make_key(ngx_http_async_json_make_t *m)
{
    ngx_str_t  name;

    ngx_http_async_json_space(&m->in);

    if (!ngx_http_async_json_next_is(&m->in, '"')
        || ngx_http_async_json_string(&m->in, &m->key) != NGX_OK)
    {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    if (m->tree->exact) {
        if (ngx_http_async_json_make_text(m, &m->key, &name) != NGX_OK) {
            return NGX_ERROR;
        }

        if (json_object_getn(m->at, (char *) name.data, name.len)) {
            return ngx_http_async_json_make_refuse(m, "Duplicate key");
        }
    }

    ngx_http_async_json_space(&m->in);

    if (!ngx_http_async_json_next_is(&m->in, ':')) {
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    m->in.p++;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_make_scalar(ngx_http_async_json_make_t *m, u_char c)
{
    json_t     *value;
    ngx_int_t   rc;

    switch (c) {

    case '"':
        return ngx_http_async_json_make_string(m);

    case 'n':
        rc = ngx_http_async_json_word(&m->in, "null", 4);
        value = json_null();
        break;

    case 't':
        rc = ngx_http_async_json_word(&m->in, "true", 4);
        value = json_true();
        break;

    case 'f':
        rc = ngx_http_async_json_word(&m->in, "false", 5);
        value = json_false();
        break;

    case '-': case '0': case '1': case '2': case '3': case '4': case '5':
    case '6': case '7': case '8': case '9':
        return ngx_http_async_json_make_number(m);

    default:
        return NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    return (rc == NGX_OK) ? ngx_http_async_json_make_add(m, value) : rc;
}


static ngx_int_t
ngx_http_async_json_make_string(ngx_http_async_json_make_t *m)
{
    ngx_int_t                      rc;
    ngx_str_t                      text;
    ngx_http_async_json_string_t   s;

    rc = ngx_http_async_json_string(&m->in, &s);

    if (rc == NGX_OK) {
        rc = ngx_http_async_json_make_text(m, &s, &text);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_http_async_json_make_add(m,
                       json_stringn_nocheck((char *) text.data, text.len));
}


static ngx_int_t
ngx_http_async_json_make_number(ngx_http_async_json_make_t *m)
{
    double                         real;
    int64_t                        integer;
    ngx_http_async_json_number_t   n;

    n.text.len = 0;

    if (ngx_http_async_json_number(&m->in, &n) != NGX_OK) {

        /* of a number that is one, the length is known */

        return n.text.len ? ngx_http_async_json_make_refuse(m,
                                                       "Number out of range")
                          : NGX_HTTP_ASYNC_JSON_REFUSE;
    }

    if (!n.real) {
        if (ngx_http_async_json_integer(&n, &integer) == NGX_OK) {
            return ngx_http_async_json_make_add(m, json_integer(integer));
        }

        if (!m->tree->wide) {
            return ngx_http_async_json_make_refuse(m, "Number out of range");
        }
    }

    if (ngx_http_async_json_real(&n, &real) != NGX_OK) {
        return ngx_http_async_json_make_refuse(m, "Number out of range");
    }

    return ngx_http_async_json_make_add(m, json_real(real));
}


/* jansson steals the value, though it may fail */

static ngx_int_t
ngx_http_async_json_make_add(ngx_http_async_json_make_t *m, json_t *value)
{
    ngx_str_t  key;

    if (value == NULL) {
        return NGX_ERROR;
    }

    if (m->at == NULL) {
        m->root = value;
        return NGX_OK;
    }

    if (!json_is_object(m->at)) {
        return json_array_append_new(m->at, value) ? NGX_ERROR : NGX_OK;
    }

    if (ngx_http_async_json_make_text(m, &m->key, &key) != NGX_OK) {
        json_decref(value);
        return NGX_ERROR;
    }

    m->n++;

    return json_object_setn_new_nocheck(m->at, (char *) key.data, key.len,
                                        value)
           ? NGX_ERROR : NGX_OK;
}


/* where it stands, if nothing is escaped, else good until the next call */

static ngx_int_t
ngx_http_async_json_make_text(ngx_http_async_json_make_t *m,
    ngx_http_async_json_string_t *s, ngx_str_t *text)
{
    u_char  *room;

    *text = s->raw;

    if (!s->escaped) {
        return NGX_OK;
    }

    if (s->raw.len > m->size) {
        room = realloc((m->room == m->text) ? NULL : m->room, s->raw.len);
        if (room == NULL) {
            return NGX_ERROR;
        }

        m->room = room;
        m->size = s->raw.len;
    }

    text->data = m->room;
    text->len = ngx_http_async_json_unescape(&s->raw, m->room);

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_json_make_refuse(ngx_http_async_json_make_t *m,
    const char *why)
{
    m->tree->refused = why;
    m->tree->end = m->in.p;

    return NGX_HTTP_ASYNC_JSON_REFUSE;
}
