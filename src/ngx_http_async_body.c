
/*
 * Copyright (C) the nginx-async authors
 *
 * await_body() and await_json(): nginx reads the body, in its own way; what
 * it put into a temporary file is read back by a thread.  async_body() and
 * async_body_json() give what has been read.
 */

#include <ngx_http_async_body.h>
#include <ngx_http_async_param.h>
#include <ngx_http_async_json.h>


/* on the stack of a task that waits */

typedef struct {
    ngx_queue_t         queue;
    ngx_async_waker_t   waker;
} ngx_http_async_body_wait_t;


typedef struct {
    int          fd;
    int          err;
    off_t        pos;
    size_t       len;
    u_char       data[];
} ngx_http_async_pread_t;


typedef struct {
    async_req_t                    *req;
    json_t                         *value;
    ngx_http_async_json_error_t     error;
    ngx_int_t                       rc;
} ngx_http_async_load_t;


static async_rc_t ngx_http_async_body_read(ngx_async_task_t *t,
    async_req_t *req);
static void ngx_http_async_body_start(void *data);
static async_rc_t ngx_http_async_body_refused(ngx_async_task_t *t,
    async_req_t *req);
static void ngx_http_async_body_handler(ngx_http_request_t *r);
static void ngx_http_async_body_stop(void *data);
static void ngx_http_async_body_give_up(ngx_http_request_t *r);
static async_rc_t ngx_http_async_body_join(ngx_async_task_t *t,
    async_req_t *req, ngx_pool_t *pool);
static async_rc_t ngx_http_async_body_pread(ngx_async_task_t *t,
    async_req_t *req, ngx_buf_t *b, u_char *p);
static void ngx_http_async_pread_run(void *data);
static void ngx_http_async_pread_drop(void *data);
static async_rc_t ngx_http_async_body_json(async_req_t *req);
static ngx_uint_t ngx_http_async_is_json(async_req_t *req);
static void ngx_http_async_json_parse(void *data);
static async_rc_t ngx_http_async_json_refused(ngx_http_async_load_t *load);
static async_rc_t ngx_http_async_body_type(async_req_t *req);
static async_rc_t ngx_http_async_body_missing(async_req_t *req);


async_rc_t
await_body_at(async_t *co, const char *site, async_req_t *req,
    async_str_t *body)
{
    async_rc_t  rc;

    body->data = NULL;
    body->len = 0;

    req = ngx_http_async_origin(req);

    rc = ngx_async_enter(co, "await_body", site);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_http_async_body_whole(co, req, req->pool);
    if (rc != ASYNC_OK) {
        return rc;
    }

    *body = req->body;

    return ASYNC_OK;
}


async_rc_t
async_body(async_req_t *req, async_str_t *body)
{
    ngx_http_async_check(req);

    req = ngx_http_async_reader(req);
    *body = req->body;

    if (req->body_state != NGX_HTTP_ASYNC_BODY_WHOLE) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "the body has not been read: use "
                                   "await_body()");
    }

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_body_whole(ngx_async_task_t *t, async_req_t *req,
    ngx_pool_t *pool)
{
    async_rc_t  rc;

    switch (req->body_state) {

    case NGX_HTTP_ASYNC_BODY_WHOLE:
        return ASYNC_OK;

    case NGX_HTTP_ASYNC_BODY_PIECES:
        return ngx_async_set_error(t, ASYNC_ERROR, "the body is being read by "
                                   "await_body_read()");

    case NGX_HTTP_ASYNC_BODY_UNREAD:
        if (req->nginx_rc) {
            /* asked again, nginx would give what it had read until then */
            return ngx_http_async_body_refused(t, req);
        }

        /* fall through */

    case NGX_HTTP_ASYNC_BODY_READING:
        rc = ngx_http_async_body_read(t, req);

        if (rc != ASYNC_OK || req->body_state == NGX_HTTP_ASYNC_BODY_WHOLE) {
            return rc;
        }

        /* fall through */

    default: /* NGX_HTTP_ASYNC_BODY_READ */
        return ngx_http_async_body_join(t, req, pool);
    }
}


/* Several tasks may wait for it; the last one to leave has nginx stop. */

static async_rc_t
ngx_http_async_body_read(ngx_async_task_t *t, async_req_t *req)
{
    async_rc_t  rc;

    if (req->body_state == NGX_HTTP_ASYNC_BODY_UNREAD) {
        req->body_state = NGX_HTTP_ASYNC_BODY_READING;
        ngx_queue_init(&req->body_waiting);

        ngx_async_on_loop(ngx_http_async_body_start, req);

        if (req->nginx_rc) {
            return ngx_http_async_body_refused(t, req);
        }
    }

    rc = (req->body_state == NGX_HTTP_ASYNC_BODY_READING)
             ? ngx_http_async_body_wait(t, &req->body_waiting) : ASYNC_OK;

    if (req->body_state == NGX_HTTP_ASYNC_BODY_READING
        && ngx_queue_empty(&req->body_waiting))
    {
        ngx_async_on_loop(ngx_http_async_body_stop, req);
    }

    return rc;
}


async_rc_t
ngx_http_async_body_wait(ngx_async_task_t *t, ngx_queue_t *waiting)
{
    async_rc_t                  rc;
    ngx_http_async_body_wait_t  wait;

    wait.waker = ngx_async_waker(t);
    ngx_queue_insert_tail(waiting, &wait.queue);

    rc = ngx_async_wait(t, NGX_ASYNC_FOREVER);

    ngx_queue_remove(&wait.queue);

    return rc;
}


void
ngx_http_async_body_wake(ngx_queue_t *waiting, async_rc_t rc)
{
    ngx_queue_t                 *q;
    ngx_http_async_body_wait_t  *wait;

    for (q = ngx_queue_head(waiting);
         q != ngx_queue_sentinel(waiting);
         q = ngx_queue_next(q))
    {
        wait = ngx_queue_data(q, ngx_http_async_body_wait_t, queue);

        (void) ngx_async_wake(&wait->waker, rc);
    }
}


static void
ngx_http_async_body_start(void *data)
{
    ngx_int_t     rc;
    async_req_t  *req = data;

    rc = ngx_http_read_client_request_body(req->r,
                                           ngx_http_async_body_handler);

    if (rc == NGX_ERROR || rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        req->body_state = NGX_HTTP_ASYNC_BODY_UNREAD;
        req->nginx_rc = rc;

        if (rc == NGX_ERROR) {
            /* only then the reader has kept its reference */
            req->r->main->count--;
            req->nginx_rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_http_async_body_give_up(req->r);

        if (req->result == NULL) {
            ngx_http_async_watch_client(req);
        }
    }
}


static async_rc_t
ngx_http_async_body_refused(ngx_async_task_t *t, async_req_t *req)
{
    return ngx_async_set_error(t, ASYNC_ERROR,
                               "nginx refused the body with %i",
                               req->nginx_rc);
}


static void
ngx_http_async_body_handler(ngx_http_request_t *r)
{
    async_req_t  *req;

    /* the reference of the reader; the handler holds its own */
    r->main->count--;

    req = ngx_http_get_module_ctx(r, ngx_http_async_module);

    req->body_state = NGX_HTTP_ASYNC_BODY_READ;

    if (req->result == NULL) {
        ngx_http_async_watch_client(req);
    }

    ngx_http_async_body_wake(&req->body_waiting, ASYNC_OK);
}


/* The handler has stopped waiting: nginx is to stop reading, too. */

static void
ngx_http_async_body_stop(void *data)
{
    async_req_t         *req = data;
    ngx_http_request_t  *r;

    r = req->r;

    req->body_state = NGX_HTTP_ASYNC_BODY_UNREAD;

    if (ngx_http_get_module_ctx(r, ngx_http_async_module) != req) {
        /* nginx has refused the body, and error_page leads elsewhere */
        req->task.cancel = NGX_ASYNC_ANSWERED;
    }

    if (req->task.cancel == NGX_ASYNC_ANSWERED) {
        /* the request and the reader's reference are nginx's own by now */
        return;
    }

    ngx_http_async_body_give_up(r);

    r->main->count--;
}


/*
 * What has not been read of the body must not be taken for the next request:
 * ngx_http_discard_request_body() leaves a body alone that was asked for.
 */

static void
ngx_http_async_body_give_up(ngx_http_request_t *r)
{
    ngx_event_t  *rev;

    rev = r->connection->read;

    r->read_event_handler = ngx_http_block_reading;

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    r->keepalive = 0;
    r->lingering_close = 1;

#if (NGX_HTTP_V2)
    if (r->stream) {
        /* frames reach the reader whatever the read handler is */
        r->stream->skip_data = 1;
    }
#endif
}


static async_rc_t
ngx_http_async_body_join(ngx_async_task_t *t, async_req_t *req,
    ngx_pool_t *pool)
{
    off_t                     len;
    u_char                   *p, *start;
    async_rc_t                rc;
    ngx_buf_t                *b;
    ngx_chain_t              *cl, *bufs;
    ngx_http_request_body_t  *rb;

    rb = req->r->request_body;

    if (ngx_http_async_body_is_partial(req->r)) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "the body was given up half read");
    }

    bufs = rb ? rb->bufs : NULL;
    len = 0;

    for (cl = bufs; cl; cl = cl->next) {
        len += ngx_buf_size(cl->buf);
    }

    start = (len < NGX_MAX_SIZE_T_VALUE) ? ngx_pnalloc(pool, len + 1) : NULL;
    if (start == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "no memory for a body of %O bytes", len);
    }

    p = start;

    for (cl = bufs; cl; cl = cl->next) {
        b = cl->buf;

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, b->last - b->pos);

        } else if (b->in_file) {
            rc = ngx_http_async_body_pread(t, req, b, p);

            if (rc != ASYNC_OK
                || req->body_state == NGX_HTTP_ASYNC_BODY_WHOLE)
            {
                /* another task may have it by now */
                return rc;
            }

            p += b->file_last - b->file_pos;
        }
    }

    *p = '\0';

    req->body.data = (char *) start;
    req->body.len = p - start;
    req->body_state = NGX_HTTP_ASYNC_BODY_WHOLE;

    return ASYNC_OK;
}


ngx_uint_t
ngx_http_async_body_is_partial(ngx_http_request_t *r)
{
    ngx_http_request_body_t  *rb;

    rb = r->request_body;

    /* over HTTP/2 nothing may be left to come, yet not all has been saved */

    return rb && (rb->rest > 0
                  || (rb->rest == 0 && rb->post_handler && !rb->last_saved));
}


static async_rc_t
ngx_http_async_body_pread(ngx_async_task_t *t, async_req_t *req,
    ngx_buf_t *b, u_char *p)
{
    int                      fd;
    size_t                   len;
    async_rc_t               rc;
    ngx_http_async_pread_t  *job;

    len = b->file_last - b->file_pos;

    job = ngx_async_thread_job(sizeof(ngx_http_async_pread_t) + len,
                               ngx_http_async_pread_run,
                               ngx_http_async_pread_drop,
                               req->task.profile, req->task.log);
    if (job == NULL) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "no memory for a body of %uz bytes", len);
    }

    job->pos = b->file_pos;
    job->len = len;

    /* of its own, since the thread may outlive the request */

    fd = fcntl(b->file->fd, F_DUPFD_CLOEXEC, 0);

    if (fd == -1) {
        ngx_async_thread_free(job);
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "no descriptor for the body's file");
    }

    job->fd = fd;

    rc = ngx_async_thread_await(t, req->conf->thread_pool, job);

    if (rc != ASYNC_OK) {
        return rc;
    }

    if (job->err) {
        ngx_log_error(NGX_LOG_CRIT, req->task.log, job->err,
                      "reading the body back from \"%V\" failed",
                      &b->file->name);
        rc = ngx_async_set_error(&req->task, ASYNC_ERROR,
                                 "the body could not be read back");

    } else {
        ngx_memcpy(p, job->data, len);
    }

    ngx_http_async_pread_drop(job);
    ngx_async_thread_free(job);

    return rc;
}


static void
ngx_http_async_pread_run(void *data)
{
    size_t                   done;
    ssize_t                  n;
    ngx_http_async_pread_t  *job = data;

    for (done = 0; done < job->len; done += n) {

        n = pread(job->fd, job->data + done, job->len - done,
                  job->pos + (off_t) done);

        if (n > 0) {
            continue;
        }

        if (n == -1 && errno == EINTR) {
            n = 0;
            continue;
        }

        job->err = (n == 0) ? EIO : errno;
        return;
    }
}


static void
ngx_http_async_pread_drop(void *data)
{
    ngx_http_async_pread_t  *job = data;

    (void) close(job->fd);
}


async_rc_t
await_json_at(async_t *co, const char *site, async_req_t *req, json_t **value)
{
    async_rc_t  rc;

    *value = NULL;

    req = ngx_http_async_origin(req);

    rc = ngx_async_enter(co, "await_json", site);
    if (rc != ASYNC_OK) {
        return rc;
    }

    if (req->json_rc != ASYNC_OK) {
        /* the error has been recorded, and is reported once */
        return ngx_async_set_error(&req->task, req->json_rc,
                                   "the body was no valid JSON");
    }

    if (req->json == NULL) {

        rc = ngx_http_async_body_whole(co, req, req->pool);
        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ngx_http_async_body_value(req, value);
}


async_rc_t
async_body_json(async_req_t *req, json_t **value)
{
    async_rc_t   rc;
    async_str_t  body;

    ngx_http_async_check(req);

    *value = NULL;

    req = ngx_http_async_reader(req);

    rc = async_body(req, &body);

    return (rc == ASYNC_OK) ? ngx_http_async_body_value(req, value) : rc;
}


async_rc_t
ngx_http_async_body_value(async_req_t *req, json_t **value)
{
    if (req->json_rc != ASYNC_OK) {
        /* the error has been recorded, and is reported once */
        return ngx_async_set_error(&req->task, req->json_rc,
                                   "the body was no valid JSON");
    }

    if (req->json == NULL) {
        req->json_rc = ngx_http_async_body_json(req);

        if (req->json_rc != ASYNC_OK) {
            return req->json_rc;
        }
    }

    *value = req->json;

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_body_is_json(async_req_t *req)
{
    json_t  *value;

    if (req->json_rc == ASYNC_OK && req->body.len
        && ngx_http_async_is_json(req))
    {
        return ASYNC_OK;
    }

    return ngx_http_async_body_value(req, &value);
}


static async_rc_t
ngx_http_async_body_json(async_req_t *req)
{
    ngx_http_async_load_t  load;

    if (req->body.len == 0) {
        return ngx_http_async_body_missing(req);
    }

    if (!ngx_http_async_is_json(req)) {
        return ngx_http_async_body_type(req);
    }

    load.req = req;

    /* jansson recurs when it frees what came of a text at fault */

    ngx_async_on_loop(ngx_http_async_json_parse, &load);

    if (load.rc != NGX_OK) {
        return ngx_http_async_json_refused(&load);
    }

    req->json = load.value;

    return json_is_null(req->json) ? ngx_http_async_body_missing(req)
                                   : ASYNC_OK;
}


/* application/json, or a subtype with the suffix +json (RFC 6839, 3.1) */

static ngx_uint_t
ngx_http_async_is_json(async_req_t *req)
{
    size_t      len;
    u_char     *p;
    ngx_str_t  *type;

    if (req->in) {
        type = &req->in->content_type;

    } else if (req->r->headers_in.content_type) {
        type = &req->r->headers_in.content_type->value;

    } else {
        return 0;
    }

    p = type->data;

    for (len = 0; len < type->len; len++) {
        if (p[len] == ';' || p[len] == ' ' || p[len] == '\t') {
            break;
        }
    }

    if (len < sizeof("application/") - 1
        || ngx_strncasecmp(p, (u_char *) "application/",
                           sizeof("application/") - 1) != 0)
    {
        return 0;
    }

    p += sizeof("application/") - 1;
    len -= sizeof("application/") - 1;

    return (len == 4 && ngx_strncasecmp(p, (u_char *) "json", 4) == 0)
           || (len > 5 && ngx_strncasecmp(p + len - 5, (u_char *) "+json", 5)
                          == 0);
}


static void
ngx_http_async_json_parse(void *data)
{
    ngx_http_async_load_t  *load = data;

    load->rc = ngx_http_async_json_load((u_char *) load->req->body.data,
                                        load->req->body.len,
                                        NGX_HTTP_ASYNC_JSON_DEPTH,
                                        &load->value, &load->error);
}


static async_rc_t
ngx_http_async_json_refused(ngx_http_async_load_t *load)
{
    json_t       *loc, *ctx;
    async_req_t  *req;

    static ngx_str_t  type = ngx_string("json_invalid");
    static ngx_str_t  msg = ngx_string("JSON decode error");

    req = load->req;

    if (load->rc == NGX_ERROR) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR,
                                   "no memory for the JSON of the body");
    }

    switch (load->error.kind) {

    case NGX_HTTP_ASYNC_JSON_EMPTY:
        return ngx_http_async_body_missing(req);

    case NGX_HTTP_ASYNC_JSON_UTF8:
        return async_fail(req, 400, "There was an error parsing the body");

    default:
        loc = json_pack("[s, I]", "body",
                        (json_int_t) load->error.position);
        ctx = json_pack("{s:s}", "error", load->error.text);

        return ngx_http_async_invalid_input(req, &type, &msg, loc,
                                            json_object(), ctx);
    }
}


static async_rc_t
ngx_http_async_body_type(async_req_t *req)
{
    json_t       *input;
    async_str_t   given;

    static ngx_str_t  type = ngx_string("content_type");
    static ngx_str_t  msg =
                        ngx_string("Content-Type should be application/json");

    given = async_header(req, "Content-Type");
    input = given.data ? json_stringn(given.data, given.len) : NULL;

    return ngx_http_async_invalid_input(req, &type, &msg,
                                        json_pack("[s]", "body"),
                                        input ? input : json_null(), NULL);
}


static async_rc_t
ngx_http_async_body_missing(async_req_t *req)
{
    static ngx_str_t  type = ngx_string("missing");
    static ngx_str_t  msg = ngx_string("Field required");

    return ngx_http_async_invalid_input(req, &type, &msg,
                                        json_pack("[s]", "body"),
                                        json_null(), NULL);
}
