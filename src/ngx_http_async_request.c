
/*
 * Copyright (C) the nginx-async authors
 *
 * The life of a handler's request: start, suspension, end, and the client or
 * nginx itself ending it before.
 *
 * While handlers of a request, or of its subrequests, are suspended
 *
 *   - each holds a reference in r->main->count, as nginx's asynchronous
 *     content handlers do; in an earlier phase that is the one that the request
 *     has had from the beginning, with which nginx goes on afterwards;
 *   - together they hold one in r->main->blocked.  ngx_http_terminate_request()
 *     frees a request whatever its count, but not a blocked one: it runs the
 *     cleanups, ours cancels the handlers, and the request is finalized again
 *     by the last of them.  (One for all, since the field has eight bits.)
 *
 * So "r" may be used as long as the handler runs.
 */

#include <ngx_http_async_request.h>
#include <ngx_http_async_trace.h>
#include <ngx_http_async_vars.h>


/* One a main request, from the first handler on; owned by its cleanup. */

struct ngx_http_async_main_s {
    ngx_http_cleanup_t          cleanup;
    ngx_http_request_t         *r;
    ngx_queue_t                 suspended;    /* of async_req_t */
    ngx_uint_t                  subrequests;  /* ngx_http_async_capture.c */
    ngx_http_async_phases_t     phases;
    unsigned                    terminated:1;
};


static ngx_http_async_main_t *ngx_http_async_find_main(ngx_http_request_t *r);
static ngx_http_async_main_t *ngx_http_async_get_main(ngx_http_request_t *r);
static void ngx_http_async_cancel(ngx_http_async_main_t *main,
    ngx_http_request_t *r, ngx_async_reason_e reason);
static ngx_int_t ngx_http_async_begin(async_req_t *req, ngx_int_t *rc);
static void ngx_http_async_suspended(async_req_t *req);
static void ngx_http_async_resume(async_req_t *req);
static void ngx_http_async_body(ngx_async_task_t *t);
static void ngx_http_async_done(ngx_async_task_t *t);
static void ngx_http_async_count(async_req_t *req, ngx_int_t rc);
static void ngx_http_async_cleanup(void *data);


/* of this worker: the header filter has work only if there are some */
static ngx_uint_t  ngx_http_async_nsuspended;


async_req_t *
ngx_http_async_create(ngx_http_request_t *r, ngx_http_async_loc_conf_t *conf,
    ngx_http_async_fn_t *fn, ngx_http_async_run_pt run,
    ngx_http_async_finish_pt finish)
{
    return ngx_http_async_create_beside(r, conf, fn, run, finish, r->pool, 0);
}


async_req_t *
ngx_http_async_create_beside(ngx_http_request_t *r,
    ngx_http_async_loc_conf_t *conf, ngx_http_async_fn_t *fn,
    ngx_http_async_run_pt run, ngx_http_async_finish_pt finish,
    ngx_pool_t *home, size_t size)
{
    async_req_t            *req;
    ngx_http_async_main_t  *main;

    main = ngx_http_async_get_main(r);
    if (main == NULL) {
        return NULL;
    }

    if (!ngx_queue_empty(&main->suspended)) {
        /* an internal redirect has left the handler that ran for r before */
        ngx_http_async_cancel(main, r, NGX_ASYNC_ANSWERED);
    }

    req = fn->app ? ngx_async_task_create_beside(ngx_http_async_body,
                                                 ngx_http_async_done,
                                                 &fn->profile,
                                                 r->connection->log, size)
                  : ngx_async_task_create_over(ngx_http_async_body,
                                               ngx_http_async_done,
                                               &fn->profile,
                                               r->connection->log);
    if (req == NULL) {
        return NULL;
    }

    req->r = r;
    req->conf = conf;
    req->fn = fn;
    req->run = run;
    req->finish = finish;
    req->main = main;
    req->out.fd = NGX_INVALID_FILE;

    req->task.deadline = ngx_current_msec + conf->timeout;
    req->task.pool = home;
    req->pool = home;
    req->home = home;

    ngx_http_set_ctx(r, req, ngx_http_async_module);

    if (conf->trace) {
        ngx_http_async_trace_begin(r);
    }

    if (ngx_http_async_measures) {
        /* without memory it goes on, and is not measured */
        (void) ngx_http_async_record_begin(req);
    }

    return req;
}


ngx_int_t
ngx_http_async_start(async_req_t *req)
{
    ngx_int_t  rc;

    if (ngx_http_async_begin(req, &rc) == NGX_OK) {
        return rc;
    }

    /* nginx takes away one for what a content handler returns */
    req->r->main->count++;

    return NGX_DONE;
}


ngx_int_t
ngx_http_async_start_early(async_req_t *req, ngx_int_t *rc)
{
    ngx_http_request_t  *r;

    r = req->r;
    req->early = 1;

    if (ngx_http_async_begin(req, rc) == NGX_OK) {
        return NGX_OK;
    }

    /* an event of the connection is not to run the phases */
    if (r->write_event_handler == ngx_http_core_run_phases) {
        r->write_event_handler = ngx_http_request_empty_handler;
    }

    return NGX_AGAIN;
}


/* NGX_OK: it has ended with *rc; NGX_AGAIN: it is suspended */

static ngx_int_t
ngx_http_async_begin(async_req_t *req, ngx_int_t *rc)
{
    /* set by ngx_http_async_done() if the handler ends without suspending */
    *rc = NGX_DONE;
    req->result = rc;

    if (ngx_async_task_run(&req->task) == NGX_DONE) {
        return NGX_OK;
    }

    req->result = NULL;
    ngx_http_async_suspended(req);

    return NGX_AGAIN;
}


static void
ngx_http_async_suspended(async_req_t *req)
{
    ngx_http_request_t     *r;
    ngx_http_async_main_t  *main;

    r = req->r;
    main = req->main;

    if (ngx_queue_empty(&main->suspended)) {
        r->main->blocked++;
    }

    ngx_queue_insert_tail(&main->suspended, &req->queue);
    ngx_http_async_nsuspended++;

    if (req->body_state != NGX_HTTP_ASYNC_BODY_READING) {
        ngx_http_async_watch_client(req);
    }
}


void
ngx_http_async_watch_client(async_req_t *req)
{
    ngx_event_t         *rev;
    ngx_http_request_t  *r;

    r = req->r;

    if (req->ws) {
        /* its events are those of the session */
        return;
    }

    if (r->reading_body) {
        /* the reader of the body sees it */
        return;
    }

    if (req->conf->ignore_client_abort || r->post_action) {
        r->read_event_handler = ngx_http_block_reading;
        return;
    }

    r->read_event_handler = ngx_http_test_reading;

    /* what has come before is not told again */

    rev = r->connection->read;

    if (rev->ready || rev->pending_eof || r->connection->error) {
        ngx_post_event(rev, &ngx_posted_events);
    }
}


async_req_t *
ngx_http_async_req_of(ngx_async_task_t *t)
{
    while (t->parent) {
        t = t->parent;
    }

    return (t->body == ngx_http_async_body) ? (async_req_t *) t : NULL;
}


static void
ngx_http_async_body(ngx_async_task_t *t)
{
    async_req_t  *req = (async_req_t *) t;

    req->rc = req->run(req);
}


/* On the loop's stack; the task is freed when this returns. */

static void
ngx_http_async_done(ngx_async_task_t *t)
{
    ngx_int_t               rc;
    async_req_t            *req;
    ngx_connection_t       *c;
    ngx_http_request_t     *r;
    ngx_http_async_main_t  *main;

    req = (async_req_t *) t;

    r = req->r;

    if (t->meter) {
        ngx_async_meter_end(t);
    }

    if (r == NULL) {
        rc = req->finish(req);

        if (req->route) {
            ngx_http_async_count(req, rc);
        }

        return;
    }

    if (ngx_http_get_module_ctx(r, ngx_http_async_module) == req) {
        ngx_http_set_ctx(r, NULL, ngx_http_async_module);
    }

    if (req->result) {
        *req->result = req->finish(req);

        if (req->route) {
            ngx_http_async_count(req, *req->result);
        }

        return;
    }

    c = r->connection;
    main = req->main;

    ngx_queue_remove(&req->queue);
    ngx_http_async_nsuspended--;

    if (ngx_queue_empty(&main->suspended)) {
        r->main->blocked--;
    }

    req->gone = main->terminated || t->cancel == NGX_ASYNC_ANSWERED;

    rc = req->finish(req);

    if (req->route) {
        ngx_http_async_count(req, rc);
    }

    if (req->gone) {
        /* an error ends a terminated request; otherwise nginx goes on */
        rc = main->terminated ? NGX_ERROR : NGX_DONE;
    }

    if (req->early && rc == NGX_DECLINED) {
        ngx_http_async_resume(req);

    } else {
        ngx_http_finalize_request(r, rc);
    }

    ngx_http_run_posted_requests(c);
}


ngx_int_t
ngx_http_async_part(async_req_t *req)
{
    ngx_http_request_t     *r;
    ngx_http_async_main_t  *main;

    r = req->r;
    main = req->main;

    if (req->holds || req->result || main->terminated || main->subrequests
        || ngx_queue_head(&main->suspended) != &req->queue
        || ngx_queue_last(&main->suspended) != &req->queue
        || main->phases.handed || r != r->main || r->count != 1
        || r->blocked != 1 || r->out || r->postponed || r->posted_requests
        || r->reading_body || r->discard_body || r->connection->buffered
        || r->connection->data != r)
    {
        return NGX_DECLINED;
    }

    ngx_queue_remove(&req->queue);
    ngx_http_async_nsuspended--;
    r->main->blocked--;

    ngx_http_set_ctx(r, NULL, ngx_http_async_module);

    req->r = NULL;
    req->main = NULL;

    return NGX_OK;
}


async_rc_t
ngx_http_async_parted(ngx_async_task_t *t)
{
    return ngx_async_set_error(t, ASYNC_CLOSED, "nginx's request has ended "
                               "with the handshake, see "
                               "\"async_websocket_release\"");
}


/* The handler has ended. */

static void
ngx_http_async_count(async_req_t *req, ngx_int_t rc)
{
    ngx_async_stats_less(req->route, NGX_HTTP_ASYNC_ROUTE_ALIVE);

    if (req->r == NULL) {
        ngx_async_stats_count(req->route, NGX_HTTP_ASYNC_ROUTE_1XX);

    } else if (req->gone) {
        ngx_async_stats_count(req->route, NGX_HTTP_ASYNC_ROUTE_NONE);

    } else {
        ngx_http_async_count_answer(req->r, req->route, rc);
    }

    ngx_async_stats_time(req->route, NGX_HTTP_ASYNC_ROUTE_TIME,
                         (uint64_t) (ngx_current_msec - req->task.started)
                         * 1000);
}


void
ngx_http_async_count_answer(ngx_http_request_t *r, ngx_async_stats_t *stats,
    ngx_int_t rc)
{
    ngx_uint_t  status;

    /* if it is not sent, nginx makes the response */

    status = (!r->header_sent && rc > 0) ? (ngx_uint_t) rc
                                         : r->headers_out.status;

    ngx_async_stats_count(stats, (status >= 100 && status < 600)
                                 ? NGX_HTTP_ASYNC_ROUTE_1XX + status / 100 - 1
                                 : NGX_HTTP_ASYNC_ROUTE_NONE);
}


/* nginx goes on with the phase handler that has suspended */

static void
ngx_http_async_resume(async_req_t *req)
{
    ngx_http_request_t  *r;

    r = req->r;

    if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    r->read_event_handler = ngx_http_block_reading;
    r->write_event_handler = ngx_http_core_run_phases;

    req->main->phases.resumed = 1;

    ngx_http_core_run_phases(r);
}


ngx_http_async_phases_t *
ngx_http_async_phases(ngx_http_request_t *r)
{
    ngx_http_async_main_t  *main;

    main = ngx_http_async_get_main(r);

    return main ? &main->phases : NULL;
}


ngx_http_async_phases_t *
ngx_http_async_find_phases(ngx_http_request_t *r)
{
    ngx_http_async_main_t  *main;

    main = ngx_http_async_find_main(r);

    return main ? &main->phases : NULL;
}


void
ngx_http_async_answered(ngx_http_request_t *r)
{
    ngx_http_async_main_t  *main;

    if (ngx_http_async_nsuspended == 0) {
        return;
    }

    main = ngx_http_async_find_main(r);

    if (main) {
        ngx_http_async_cancel(main, r, NGX_ASYNC_ANSWERED);
    }
}


void
ngx_http_async_stop(ngx_http_request_t *r)
{
    ngx_http_async_main_t  *main;

    main = ngx_http_async_find_main(r);

    if (main) {
        ngx_http_async_cancel(main, r, NGX_ASYNC_PARENT);
    }
}


ngx_uint_t *
ngx_http_async_subrequests(async_req_t *req)
{
    return &req->main->subrequests;
}


ngx_int_t
ngx_http_async_last_cleanup(async_req_t *req, ngx_http_cleanup_t *cln)
{
    ngx_http_async_main_t  *main;

    main = req->main;

    if (main->terminated) {
        return NGX_DECLINED;
    }

    cln->next = main->cleanup.next;
    main->cleanup.next = cln;

    return NGX_OK;
}


/* r: of this request only; NULL: of all that belong to the main request. */

static void
ngx_http_async_cancel(ngx_http_async_main_t *main, ngx_http_request_t *r,
    ngx_async_reason_e reason)
{
    async_req_t  *req;
    ngx_queue_t  *q;

    for (q = ngx_queue_head(&main->suspended);
         q != ngx_queue_sentinel(&main->suspended);
         q = ngx_queue_next(q))
    {
        req = ngx_queue_data(q, async_req_t, queue);

        if (reason == NGX_ASYNC_ANSWERED && req->out.started) {
            /* by the handler itself */
            continue;
        }

        if (r == NULL || req->r == r) {
            ngx_async_task_cancel(&req->task, reason);
        }
    }
}


static ngx_http_async_main_t *
ngx_http_async_find_main(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    /* not the module's context: nginx clears that on internal redirects */

    for (cln = r->main->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_async_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


static ngx_http_async_main_t *
ngx_http_async_get_main(ngx_http_request_t *r)
{
    ngx_http_async_main_t  *main;

    main = ngx_http_async_find_main(r);

    if (main) {
        return main;
    }

    main = ngx_palloc(r->pool, sizeof(ngx_http_async_main_t));
    if (main == NULL) {
        return NULL;
    }

    main->r = r->main;
    main->subrequests = 0;
    main->terminated = 0;
    ngx_memzero(&main->phases, sizeof(ngx_http_async_phases_t));
    ngx_queue_init(&main->suspended);

    main->cleanup.handler = ngx_http_async_cleanup;
    main->cleanup.data = main;
    main->cleanup.next = r->main->cleanup;
    r->main->cleanup = &main->cleanup;

    return main;
}


#if (NGX_ASYNC_DEBUG)

void
ngx_http_async_check_req(async_req_t *req, const char *call)
{
    if (req->task.job == NULL) {
        ngx_async_check_loop(call);
        return;
    }

    if (!ngx_async_is_loop() && ngx_async_thread_self() != req->task.job) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "%s() was called in another thread than that of its "
                      "blocking handler", call);
        ngx_abort();
    }
}

#endif


/*
 * Run by ngx_http_terminate_request(), and, when no handler is suspended any
 * more, by ngx_http_free_request().
 */

static void
ngx_http_async_cleanup(void *data)
{
    ngx_http_async_main_t  *main = data;

    main->terminated = 1;

    ngx_http_async_cancel(main, NULL, NGX_ASYNC_CLIENT);
}
