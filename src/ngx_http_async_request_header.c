
/*
 * Copyright (C) the nginx-async authors
 *
 * async_set_request_header(): the fields of the request change for whoever
 * serves it.  nginx and its modules keep pointers to fields, so none is moved:
 * the list is made anew of the runs between those that go away.
 */

#include <ngx_http_async_response.h>
#include <ngx_http_async_field.h>


typedef struct {
    async_req_t         *req;
    ngx_str_t            name;
    ngx_str_t            value;        /* no data: is removed */
    ngx_int_t            rc;
} ngx_http_async_request_header_t;


static async_rc_t ngx_http_async_request_header_called(async_t *co,
    void *arg);
static void ngx_http_async_request_header_set(void *data);
static ngx_table_elt_t *ngx_http_async_request_header_make(
    ngx_http_async_request_header_t *set);
static ngx_int_t ngx_http_async_request_header_list(
    ngx_http_async_request_header_t *set, ngx_list_t *list);
static ngx_int_t ngx_http_async_request_header_part(ngx_http_request_t *r,
    ngx_list_t *list, ngx_table_elt_t *h, ngx_uint_t n);
static void ngx_http_async_request_header_unknown(ngx_http_request_t *r,
    ngx_http_header_t *known);
static void ngx_http_async_request_header_flush(ngx_http_request_t *r,
    ngx_table_elt_t *h);


async_rc_t
async_set_request_header(async_req_t *req, const char *name,
    const char *value)
{
    async_rc_t                        rc;
    const char                       *wrong;
    ngx_http_async_request_header_t   set;

    ngx_http_async_check(req);

    wrong = ngx_http_async_field_wrong(name, value);

    if (wrong == NULL
        && (ngx_strcasecmp((u_char *) name, (u_char *) "Host") == 0
            || ngx_strcasecmp((u_char *) name, (u_char *) "Expect") == 0
            || ngx_strcasecmp((u_char *) name, (u_char *) "TE") == 0))
    {
        wrong = "nginx has acted upon this one";
    }

    if (wrong == NULL && !req->early) {
        wrong = "the request is being served";
    }

    if (wrong) {
        return ngx_http_async_field_refused(req, wrong);
    }

    set.req = req;
    set.name.data = (u_char *) name;
    set.name.len = ngx_strlen(name);
    set.value.data = (u_char *) value;
    set.value.len = 0;

    if (value) {
        set.value.len = ngx_strlen(value);
        ngx_http_async_field_trim(&set.value);
    }

    if (req->task.job && ngx_async_thread_self()) {
        rc = ngx_async_thread_call(req->task.job,
                                   ngx_http_async_request_header_called, &set,
                                   req->task.error);
        if (rc != ASYNC_OK) {
            return rc;
        }

    } else if (req->task.job && ngx_async_thread_abandoned(req->task.job)) {
        return ngx_async_set_error(&req->task, ASYNC_CLOSED,
                                   "the request has ended");

    } else {
        ngx_async_on_loop(ngx_http_async_request_header_set, &set);
    }

    return (set.rc == NGX_OK) ? ASYNC_OK
                              : ngx_async_set_error(&req->task, ASYNC_ERROR,
                                                    "no memory");
}


static async_rc_t
ngx_http_async_request_header_called(async_t *co, void *arg)
{
    ngx_async_on_loop(ngx_http_async_request_header_set, arg);

    return ASYNC_OK;
}


static void
ngx_http_async_request_header_set(void *data)
{
    ngx_list_t                        list;
    ngx_table_elt_t                  *h;
    ngx_http_header_t                *known;
    ngx_http_request_t               *r;
    ngx_http_core_main_conf_t        *cmcf;
    ngx_http_async_request_header_t  *set = data;

    r = set->req->r;
    set->rc = NGX_ERROR;

    /* all memory first */

    h = ngx_http_async_request_header_make(set);

    if (h == NULL
        || ngx_http_async_request_header_list(set, &list) != NGX_OK
        || (set->value.data
            && ngx_http_async_request_header_part(r, &list, h, 1) != NGX_OK))
    {
        return;
    }

    if (list.last == NULL) {
        list.part.elts = h;
        list.last = &list.part;
    }

    /* what is added later finds the last part to be full */

    list.nalloc = 1;

    if (list.last->nelts) {
        list.nalloc = list.last->nelts;
    }

    r->headers_in.headers = list;

    if (list.last == &list.part) {
        r->headers_in.headers.last = &r->headers_in.headers.part;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    known = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                          h->key.len);
    if (known) {
        ngx_http_async_request_header_unknown(r, known);
    }

    ngx_http_async_request_header_flush(r, h);

    set->rc = (known && set->value.data)
                  ? known->handler(r, h, known->offset) : NGX_OK;
}


static ngx_table_elt_t *
ngx_http_async_request_header_make(ngx_http_async_request_header_t *set)
{
    u_char           *p;
    ngx_pool_t       *pool;
    ngx_table_elt_t  *h;

    pool = set->req->r->pool;

    h = ngx_pcalloc(pool, sizeof(ngx_table_elt_t));

    /* nginx terminates all of them by zeros */

    p = ngx_pnalloc(pool, 2 * (set->name.len + 1) + set->value.len + 1);

    if (h == NULL || p == NULL) {
        return NULL;
    }

    h->key.data = p;
    h->key.len = set->name.len;
    p = ngx_cpymem(p, set->name.data, set->name.len);
    *p++ = '\0';

    h->lowcase_key = p;
    h->hash = ngx_hash_strlow(p, set->name.data, set->name.len);
    p += set->name.len;
    *p++ = '\0';

    h->value.data = p;
    h->value.len = set->value.len;
    p = ngx_cpymem(p, set->value.data, set->value.len);
    *p = '\0';

    return h;
}


/* The fields of other names, where they are; last: NULL if there are none. */

static ngx_int_t
ngx_http_async_request_header_list(ngx_http_async_request_header_t *set,
    ngx_list_t *list)
{
    ngx_uint_t           i, start;
    ngx_list_part_t     *part;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = set->req->r;

    *list = r->headers_in.headers;
    ngx_memzero(&list->part, sizeof(ngx_list_part_t));
    list->last = NULL;

    for (part = &r->headers_in.headers.part; part; part = part->next) {

        h = part->elts;
        start = 0;

        for (i = 0; i <= part->nelts; i++) {

            if (i < part->nelts
                && !ngx_http_async_field_is(&h[i], &set->name))
            {
                continue;
            }

            if (ngx_http_async_request_header_part(r, list, &h[start],
                                                   i - start) != NGX_OK)
            {
                return NGX_ERROR;
            }

            start = i + 1;
        }
    }

    return NGX_OK;
}


/* Who goes through such a list expects no part but the first to be empty. */

static ngx_int_t
ngx_http_async_request_header_part(ngx_http_request_t *r, ngx_list_t *list,
    ngx_table_elt_t *h, ngx_uint_t n)
{
    ngx_list_part_t  *part;

    if (n == 0) {
        return NGX_OK;
    }

    if (list->last == NULL) {
        part = &list->part;

    } else {
        part = ngx_palloc(r->pool, sizeof(ngx_list_part_t));
        if (part == NULL) {
            return NGX_ERROR;
        }

        list->last->next = part;
    }

    part->elts = h;
    part->nelts = n;
    part->next = NULL;

    list->last = part;

    return NGX_OK;
}


/* What nginx knows of the field that was there before. */

static void
ngx_http_async_request_header_unknown(ngx_http_request_t *r,
    ngx_http_header_t *known)
{
    void                   *place;
    ngx_http_headers_in_t  *in;

    in = &r->headers_in;
    place = (u_char *) in + known->offset;

#if (nginx_version < 1023000)

    if (place == &in->cookies
#if (NGX_HTTP_X_FORWARDED_FOR)
        || place == &in->x_forwarded_for
#endif
       )
    {
        ngx_memzero(place, sizeof(ngx_array_t));
        return;
    }

#endif

    *(ngx_table_elt_t **) place = NULL;

    if (known->offset == offsetof(ngx_http_headers_in_t, user_agent)) {
        in->msie = 0;
        in->msie6 = 0;
        in->opera = 0;
        in->gecko = 0;
        in->chrome = 0;
        in->safari = 0;
        in->konqueror = 0;
    }

    if (known->offset == offsetof(ngx_http_headers_in_t, authorization)) {
        /* decoded when it is first asked for */
        ngx_str_null(&in->user);
        ngx_str_null(&in->passwd);
    }
}


/* Variables that have been read already keep their values otherwise. */

static void
ngx_http_async_request_header_flush(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    u_char                      c;
    size_t                      n;
    ngx_uint_t                  i;
    ngx_http_variable_t        *v;
    ngx_http_core_main_conf_t  *cmcf;

    static const size_t  prefix = sizeof("http_") - 1;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    v = cmcf->variables.elts;

    for (i = 0; i < cmcf->variables.nelts; i++) {

        if (v[i].name.len != prefix + h->key.len
            || ngx_strncmp(v[i].name.data, "http_", prefix) != 0)
        {
            continue;
        }

        for (n = 0; n < h->key.len; n++) {
            c = h->lowcase_key[n];

            if (v[i].name.data[prefix + n] != (c == '-' ? '_' : c)) {
                break;
            }
        }

        if (n == h->key.len) {
            r->variables[i].valid = 0;
            r->variables[i].not_found = 0;
        }
    }
}
