
/*
 * Copyright (C) the nginx-async authors
 *
 * What guards hand on, see ngx_http_async_handed.h.  The memory is that of an
 * arena each, which lives as long as the request, and as the threads that have
 * taken something of it.
 */

#include <ngx_http_async_handed.h>
#include <ngx_http_async_teardown.h>
#include <ngx_async_thread.h>


#define ngx_http_async_handed_is_good(slot)                                  \
    ((slot)->state == NGX_HTTP_ASYNC_GIVEN_DONE && !(slot)->bound)


/* of one guard: good for the same location, and the same URI */

typedef struct {
    ngx_http_async_given_t       *given;
    ngx_http_async_loc_conf_t    *conf;
    ngx_str_t                     uri;
} ngx_http_async_handed_from_t;


struct ngx_http_async_handed_s {
    ngx_array_t                   from;
    ngx_http_async_background_t  *teardowns;  /* that nobody has taken over */
    ngx_async_profile_t          *profile;    /* of the last guard */
};


static ngx_http_async_handed_t *ngx_http_async_handed_get(async_req_t *req);
static ngx_http_async_handed_from_t *ngx_http_async_handed_find(
    async_req_t *req, ngx_http_async_handed_t *handed, ngx_uint_t i,
    ngx_http_async_slot_t **slot);
static ngx_http_async_slot_t *ngx_http_async_handed_slot(
    ngx_http_async_given_t *given, const async_export_t *exported);
static void ngx_http_async_handed_needed(ngx_http_async_given_t *given,
    u_char *needed);
static ngx_uint_t ngx_http_async_handed_good(ngx_http_async_given_t *given);
static ngx_int_t ngx_http_async_handed_add(async_req_t *req,
    ngx_http_async_phases_t *phases);
static void ngx_http_async_handed_cleanup(void *data);


ngx_uint_t
ngx_http_async_handed_on(async_req_t *req)
{
    ngx_uint_t                  n;
    ngx_http_async_loc_conf_t  *conf;

    if (!req->early
        || (req->plan->steps.nelts == 1
            && !ngx_http_async_is_dependency(req->fn->kind)))
    {
        return 0;
    }

    conf = req->conf;

    n = (conf->handler || conf->routes) ? 1 : 0;
    n += conf->sets ? conf->sets->nelts : 0;
    n += conf->access ? conf->access->nelts : 0;

    return n > 1;
}


ngx_uint_t
ngx_http_async_handed_any(async_req_t *req)
{
    ngx_uint_t                i;
    ngx_http_async_slot_t    *slot;
    ngx_http_async_handed_t  *handed;

    handed = ngx_http_async_handed_get(req);

    for (i = 0; handed && i < req->plan->steps.nelts; i++) {
        if (ngx_http_async_handed_find(req, handed, i, &slot)) {
            return 1;
        }
    }

    return 0;
}


/* Subrequests are not guarded. */

static ngx_http_async_handed_t *
ngx_http_async_handed_get(async_req_t *req)
{
    ngx_http_async_phases_t  *phases;

    if (req->r != req->r->main) {
        return NULL;
    }

    phases = ngx_http_async_find_phases(req->r);

    return phases ? phases->handed : NULL;
}


async_rc_t
ngx_http_async_handed_take(async_req_t *req)
{
    u_char                        *needed;
    ngx_uint_t                     i;
    ngx_http_async_slot_t         *slot;
    ngx_http_async_given_t        *given;
    ngx_http_async_handed_t       *handed;
    ngx_http_async_handed_from_t  *from, *last;

    given = req->given;
    handed = ngx_http_async_handed_get(req);
    last = NULL;

    needed = ngx_pcalloc(req->pool, given->plan->steps.nelts);
    if (needed == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    for (i = 0; i < given->plan->steps.nelts; i++) {

        from = ngx_http_async_handed_find(req, handed, i, &slot);

        if (from == NULL) {
            continue;
        }

        given->steps[i] = *slot;

        if (given->arena && from != last
            && ngx_http_async_arena_hold(from->given->arena,
                                         given->arena->pool) != NGX_OK)
        {
            return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
        }

        last = from;
    }

    ngx_http_async_handed_needed(given, needed);

    if (handed->teardowns) {
        ngx_http_async_background_join(&req->background, handed->teardowns);
        handed->teardowns = NULL;
    }

    return ASYNC_OK;
}


/* What only those need that are there already has nothing to do. */

static void
ngx_http_async_handed_needed(ngx_http_async_given_t *given, u_char *needed)
{
    ngx_uint_t              i, n;
    ngx_http_async_use_t   *use;
    ngx_http_async_step_t  *step;

    i = given->plan->steps.nelts;
    needed[i - 1] = 1;

    while (i--) {

        if (given->steps[i].state == NGX_HTTP_ASYNC_GIVEN_DONE) {
            continue;
        }

        if (!needed[i]) {
            given->steps[i].state = NGX_HTTP_ASYNC_GIVEN_UNNEEDED;
            continue;
        }

        step = ngx_http_async_plan_step(given->plan, i);
        use = step->uses.elts;

        for (n = 0; n < step->uses.nelts; n++) {
            needed[use[n].step] = 1;
        }
    }
}


/* NULL: the step is to run */

static ngx_http_async_handed_from_t *
ngx_http_async_handed_find(async_req_t *req, ngx_http_async_handed_t *handed,
    ngx_uint_t i, ngx_http_async_slot_t **slot)
{
    ngx_str_t                     *uri;
    ngx_uint_t                     n;
    ngx_http_async_step_t         *step;
    ngx_http_async_handed_from_t  *from;

    uri = &req->r->uri;
    step = ngx_http_async_plan_step(req->plan, i);

    if (step->anew || !ngx_http_async_is_dependency(step->exported->kind)) {
        return NULL;
    }

    from = handed->from.elts;

    for (n = 0; n < handed->from.nelts; n++) {

        if (from[n].conf != req->conf || from[n].uri.len != uri->len
            || ngx_memcmp(from[n].uri.data, uri->data, uri->len) != 0)
        {
            continue;
        }

        *slot = ngx_http_async_handed_slot(from[n].given, step->exported);

        if (*slot) {
            return &from[n];
        }
    }

    return NULL;
}


static ngx_http_async_slot_t *
ngx_http_async_handed_slot(ngx_http_async_given_t *given,
    const async_export_t *exported)
{
    ngx_uint_t              i;
    ngx_http_async_step_t  *step;

    for (i = 0; i < given->plan->steps.nelts; i++) {

        step = ngx_http_async_plan_step(given->plan, i);

        if (step->exported == exported && !step->anew
            && ngx_http_async_handed_is_good(&given->steps[i]))
        {
            return &given->steps[i];
        }
    }

    return NULL;
}


void
ngx_http_async_handed_mark(async_req_t *req, ngx_uint_t from, ngx_uint_t to,
    ngx_async_end_t *ends, ngx_async_defer_t *defers)
{
    ngx_uint_t        bound;
    ngx_async_end_t  *end;

    /* a transaction is in what a task has of databases */

    bound = (req->task.defers != defers || req->task.pg || req->path_asked);

    for (end = req->task.ends; end && end != ends && !bound; end = end->next) {
        /* threads that have been through the loop have memory there only */
        bound = !ngx_async_thread_is_kept(end);
    }

    for ( /* void */ ; from < to; from++) {
        req->given->steps[from].bound = bound;
    }
}


async_rc_t
ngx_http_async_handed_keep(async_req_t *req)
{
    ngx_http_async_given_t   *given;
    ngx_http_async_phases_t  *phases;

    given = req->given;

    if (given == NULL || !given->hands_on || given->arena->threads
        || !ngx_http_async_handed_good(given))
    {
        return ASYNC_OK;
    }

    phases = ngx_http_async_phases(req->r);

    if (phases == NULL || ngx_http_async_handed_add(req, phases) != NGX_OK) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    return ASYNC_OK;
}


/* Whether there is a value that may be handed on. */

static ngx_uint_t
ngx_http_async_handed_good(ngx_http_async_given_t *given)
{
    ngx_uint_t              i, n, any;
    ngx_http_async_use_t   *use;
    ngx_http_async_step_t  *step;
    ngx_http_async_slot_t  *slot;

    any = 0;

    for (i = 0; i < given->plan->steps.nelts; i++) {

        step = ngx_http_async_plan_step(given->plan, i);
        slot = &given->steps[i];
        use = step->uses.elts;

        /* its value may be made of theirs */

        for (n = 0; n < step->uses.nelts; n++) {
            slot->bound |= given->steps[use[n].step].bound;
        }

        if (ngx_http_async_handed_is_good(slot) && !step->anew
            && ngx_http_async_is_dependency(step->exported->kind))
        {
            any = 1;
        }
    }

    return any;
}


static ngx_int_t
ngx_http_async_handed_add(async_req_t *req, ngx_http_async_phases_t *phases)
{
    ngx_pool_cleanup_t            *cln;
    ngx_http_async_handed_t       *handed;
    ngx_http_async_handed_from_t  *from;

    handed = phases->handed;

    if (handed == NULL) {
        cln = ngx_pool_cleanup_add(req->r->pool,
                                   sizeof(ngx_http_async_handed_t));
        if (cln == NULL) {
            return NGX_ERROR;
        }

        handed = cln->data;
        ngx_memzero(handed, sizeof(ngx_http_async_handed_t));

        if (ngx_array_init(&handed->from, req->r->pool, 2,
                           sizeof(ngx_http_async_handed_from_t)) != NGX_OK)
        {
            return NGX_ERROR;
        }

        cln->handler = ngx_http_async_handed_cleanup;
        phases->handed = handed;
    }

    from = ngx_array_push(&handed->from);
    if (from == NULL) {
        return NGX_ERROR;
    }

    from->given = req->given;
    from->conf = req->conf;
    from->uri = req->r->uri;

    if (ngx_http_async_arena_json(req->given->arena, req) != NGX_OK) {
        return NGX_ERROR;
    }

    handed->profile = req->task.profile;

    return ngx_http_async_background_split(&handed->teardowns, req);
}


/* The request is being freed. */

static void
ngx_http_async_handed_cleanup(void *data)
{
    ngx_http_async_handed_t  *handed = data;

    if (handed->teardowns) {
        ngx_http_async_teardown_late(handed->teardowns, NULL, handed->profile,
                                     ASYNC_OK, NULL, NULL);
    }
}
