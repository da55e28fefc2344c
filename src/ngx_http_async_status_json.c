
/*
 * Copyright (C) the nginx-async authors
 *
 * The status as JSON.  Times are seconds, sizes bytes.  Families of figures are
 * told by the tables of their fields, so that who counts need not know of it.
 */

#include <ngx_http_async_schema.h>
#include <ngx_http_async_status.h>
#include <jansson.h>
#include <math.h>


static json_t *ngx_http_async_status_workers(ngx_async_report_t *report);
static json_t *ngx_http_async_status_running(ngx_async_report_t *report,
    ngx_async_stats_worker_t *worker);
static json_t *ngx_http_async_status_family(ngx_async_report_t *report,
    const ngx_async_stats_family_t *family);
static json_t *ngx_http_async_status_row(
    const ngx_async_stats_family_t *family, const uint64_t *sum);
static json_t *ngx_http_async_status_times(const uint64_t *values);
static json_t *ngx_http_async_status_tasks(async_req_t *req,
    ngx_async_report_t *report);
static json_t *ngx_http_async_status_task(async_req_t *req,
    ngx_async_report_task_t *task);
static json_t *ngx_http_async_status_slow(async_req_t *req,
    ngx_async_report_t *report, ngx_uint_t limit);
static json_t *ngx_http_async_status_request(async_req_t *req,
    ngx_async_report_task_t *task);
static json_t *ngx_http_async_status_text(async_req_t *req, ngx_str_t *text);
static json_t *ngx_http_async_status_name(async_req_t *req, char *name);
static json_t *ngx_http_async_status_id(uint64_t id);
static json_t *ngx_http_async_status_iso(time_t sec, ngx_uint_t msec);
static json_t *ngx_http_async_status_msec(int64_t ms);
static json_t *ngx_http_async_status_usec(double usec);


async_rc_t
ngx_http_async_status_json(async_req_t *req, ngx_async_report_t *report,
    const ngx_async_report_ask_t *ask)
{
    json_t                          *status, *rows;
    ngx_uint_t                       n;
    ngx_time_t                      *tp;
    const ngx_async_stats_family_t  *family;

    tp = ngx_timeofday();
    status = json_object();

    /* what fails for want of memory gives NULL, which is left out */

    (void) json_object_set_new(status, "nginx", json_string(NGINX_VERSION));
    (void) json_object_set_new(status, "time",
                               ngx_http_async_status_iso(tp->sec, tp->msec));
    (void) json_object_set_new(status, "generation",
                               json_integer(ngx_async_stats_generation()));
    (void) json_object_set_new(status, "workers",
                               ngx_http_async_status_workers(report));

    for (n = 0; (family = ngx_async_stats_family(n)) != NULL; n++) {
        rows = ngx_http_async_status_family(report, family);

        if (rows) {
            (void) json_object_set_new(status, family->name, rows);
        }
    }

    (void) json_object_set_new(status, "tasks",
                               ngx_http_async_status_tasks(req, report));
    (void) json_object_set_new(status, "slow",
                               ngx_http_async_status_slow(req, report,
                                                          ask->limit));

    return async_json(req, 200, status);
}


static json_t *
ngx_http_async_status_workers(ngx_async_report_t *report)
{
    json_t                     *list;
    ngx_uint_t                  i;
    ngx_async_stats_worker_t   *known;
    ngx_async_report_worker_t  *worker;

    list = json_array();
    worker = report->workers.elts;

    for (i = 0; i < report->workers.nelts; i++) {
        known = &worker[i].known;

        if (!known->lives) {
            continue;
        }

        (void) json_array_append_new(list,
            json_pack("{s:I, s:I, s:I, s:s, s:o, s:o, s:o, s:I}",
                      "pid", (json_int_t) known->pid,
                      "slot", (json_int_t) known->peer.slot,
                      "generation", (json_int_t) known->generation,
                      "state", ngx_http_async_status_state(report, &worker[i]),
                      "started", ngx_http_async_status_iso(known->started, 0),
                      "beat_age",
                      ngx_http_async_status_usec(report->now > known->beat
                                                 ? report->now - known->beat
                                                 : 0),
                      "running", ngx_http_async_status_running(report, known),
                      "tasks", (json_int_t) known->tasks));
    }

    return list;
}


const char *
ngx_http_async_status_state(ngx_async_report_t *report,
    ngx_async_report_worker_t *worker)
{
    if (worker->answered) {
        return worker->known.quitting ? "finishing" : "running";
    }

    return report->now > worker->known.beat + NGX_ASYNC_REPORT_HELD * 1000
           ? "blocked" : "silent";
}


static json_t *
ngx_http_async_status_running(ngx_async_report_t *report,
    ngx_async_stats_worker_t *worker)
{
    uint64_t     now;
    const char  *name, *family;

    if (worker->running_since == 0) {
        return json_null();
    }

    now = report->now / 1000;

    /* a task of the module's own has no row */

    name = (worker->running < ngx_async_stats_nrows())
           ? ngx_async_stats_row(worker->running, &family) : NULL;

    return json_pack("{s:s?, s:o}", "handler", name, "for",
                     ngx_http_async_status_msec(now > worker->running_since
                                                ? now - worker->running_since
                                                : 0));
}


/* NULL: it has no row. */

static json_t *
ngx_http_async_status_family(ngx_async_report_t *report,
    const ngx_async_stats_family_t *family)
{
    json_t      *rows;
    uint64_t     sum[NGX_ASYNC_STATS_VALUES];
    ngx_uint_t   row, n;
    const char  *name, *of;

    n = ngx_async_stats_nrows();
    rows = NULL;

    for (row = 0; row < n; row++) {

        name = ngx_async_stats_row(row, &of);

        if (ngx_strcmp(of, family->name) != 0) {
            continue;
        }

        ngx_async_stats_sum(family, row, report->lives, sum);

        if (family->label == NULL) {
            return ngx_http_async_status_row(family, sum);
        }

        if (rows == NULL) {
            rows = json_object();
        }

        if (ngx_http_async_status_shown(row, sum)) {
            (void) json_object_set_new(rows, name,
                                       ngx_http_async_status_row(family, sum));
        }
    }

    return rows;
}


ngx_uint_t
ngx_http_async_status_shown(ngx_uint_t row, const uint64_t *sum)
{
    ngx_uint_t  i;

    if (ngx_async_stats_present(row)) {
        return 1;
    }

    for (i = 0; i < NGX_ASYNC_STATS_VALUES; i++) {
        if (sum[i]) {
            return 1;
        }
    }

    return 0;
}


static json_t *
ngx_http_async_status_row(const ngx_async_stats_family_t *family,
    const uint64_t *sum)
{
    json_t                         *row, *value;
    const uint64_t                 *values;
    const ngx_async_stats_field_t  *field;

    row = json_object();

    for (field = family->fields; field->name; field++) {
        values = &sum[field->index];

        value = (field->type == NGX_ASYNC_STATS_HISTOGRAM)
                    ? ngx_http_async_status_times(values)
                : (field->unit == NGX_ASYNC_STATS_USEC)
                    ? ngx_http_async_status_usec(*values)
                    : json_integer((json_int_t) *values);

        (void) json_object_set_new(row, field->name, value);
    }

    return row;
}


static json_t *
ngx_http_async_status_times(const uint64_t *values)
{
    json_t      *buckets;
    uint64_t     n;
    ngx_uint_t   i;

    buckets = json_array();

    for (i = 0; i <= NGX_ASYNC_STATS_BOUNDS; i++) {
        (void) json_array_append_new(buckets,
            json_pack("[o, I]", (i < NGX_ASYNC_STATS_BOUNDS)
                      ? ngx_http_async_status_usec(ngx_async_stats_bounds[i])
                      : json_null(), (json_int_t) values[1 + i]));
    }

    n = ngx_async_stats_ntimes(values);

    if (n == 0) {
        return json_pack("{s:i, s:i, s:n, s:n, s:n, s:o}", "count", 0,
                         "sum", 0, "p50", "p90", "p99", "buckets", buckets);
    }

    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}",
        "count", (json_int_t) n,
        "sum", ngx_http_async_status_usec(values[0]),
        "p50", ngx_http_async_status_usec(ngx_async_stats_quantile(values,
                                                                   0.5)),
        "p90", ngx_http_async_status_usec(ngx_async_stats_quantile(values,
                                                                   0.9)),
        "p99", ngx_http_async_status_usec(ngx_async_stats_quantile(values,
                                                                   0.99)),
        "buckets", buckets);
}


static json_t *
ngx_http_async_status_tasks(async_req_t *req, ngx_async_report_t *report)
{
    json_t                   *list;
    ngx_uint_t                i;
    ngx_async_report_task_t  *task;

    list = json_array();
    task = report->tasks.elts;

    for (i = 0; i < report->tasks.nelts; i++) {
        (void) json_array_append_new(list,
                                 ngx_http_async_status_task(req, &task[i]));
    }

    return json_pack("{s:I, s:I, s:o}", "total", (json_int_t) report->total,
                     "shown", (json_int_t) report->tasks.nelts, "list", list);
}


static json_t *
ngx_http_async_status_task(async_req_t *req, ngx_async_report_task_t *task)
{
    const char  *state;

    state = (task->state == NGX_ASYNC_NEW) ? "new"
            : (task->state == NGX_ASYNC_RUNNING) ? "running"
            : (task->state == NGX_ASYNC_READY) ? "ready" : "waiting";

    return json_pack("{s:o, s:o, s:I, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o,"
                     " s:o}",
        "id", ngx_http_async_status_id(task->id),
        "parent", ngx_http_async_status_id(task->parent),
        "worker", (json_int_t) task->worker,
        "handler", ngx_http_async_status_text(req, &task->handler),
        "state", state,
        "await", ngx_http_async_status_text(req, &task->await),
        "at", ngx_http_async_status_text(req, &task->site),
        "for", ngx_http_async_status_msec(task->waited),
        "age", ngx_http_async_status_msec(task->age),
        "deadline", task->bounded ? ngx_http_async_status_msec(task->deadline)
                                  : json_null(),
        "request", ngx_http_async_status_request(req, task),
        "client", ngx_http_async_status_text(req, &task->client));
}


static json_t *
ngx_http_async_status_slow(async_req_t *req, ngx_async_report_t *report,
    ngx_uint_t limit)
{
    json_t                   *list;
    ngx_uint_t                i;
    ngx_async_report_slow_t  *slow;

    list = json_array();
    slow = report->slow.elts;

    for (i = 0; i < report->slow.nelts && i < limit; i++) {
        (void) json_array_append_new(list,
            json_pack("{s:I, s:o, s:o, s:o, s:o, s:o}",
                "worker", (json_int_t) slow[i].worker,
                "handler", ngx_http_async_status_name(req, slow[i].handler),
                "await", ngx_http_async_status_name(req, slow[i].await),
                "at", ngx_http_async_status_name(req, slow[i].site),
                "held", ngx_http_async_status_msec(slow[i].held),
                "ago",
                ngx_http_async_status_usec(report->now > slow[i].ended
                                           ? report->now - slow[i].ended
                                           : 0)));
    }

    return list;
}


static json_t *
ngx_http_async_status_request(async_req_t *req, ngx_async_report_task_t *task)
{
    ngx_str_t  line;

    if (task->method.len == 0) {
        return json_null();
    }

    line.len = task->method.len + 1 + task->uri.len;
    line.data = ngx_pnalloc(req->pool, line.len);

    if (line.data == NULL) {
        return NULL;
    }

    ngx_sprintf(line.data, "%V %V", &task->method, &task->uri);

    return ngx_http_async_status_text(req, &line);
}


/* Of another process, and of clients: UTF-8 or not, and cut anywhere. */

static json_t *
ngx_http_async_status_text(async_req_t *req, ngx_str_t *text)
{
    ngx_str_t  whole, valid;

    if (text->len == 0) {
        return json_null();
    }

    whole.data = text->data;
    whole.len = ngx_async_whole(text->data, text->len);

    if (ngx_http_async_schema_utf8(req->pool, &whole, &valid) != NGX_OK) {
        return NULL;
    }

    return json_stringn((char *) valid.data, valid.len);
}


static json_t *
ngx_http_async_status_name(async_req_t *req, char *name)
{
    ngx_str_t  text;

    text.data = (u_char *) name;
    text.len = ngx_strlen(name);

    return ngx_http_async_status_text(req, &text);
}


static json_t *
ngx_http_async_status_id(uint64_t id)
{
    u_char  *p, text[NGX_INT64_LEN];

    if (id == 0) {
        return json_null();
    }

    p = ngx_sprintf(text, "%xL", id);

    return json_stringn((char *) text, p - text);
}


static json_t *
ngx_http_async_status_iso(time_t sec, ngx_uint_t msec)
{
    u_char    *p, text[sizeof("2026-01-01T10:00:00.123Z")];
    ngx_tm_t   tm;

    ngx_gmtime(sec, &tm);

    p = ngx_snprintf(text, sizeof(text), "%4d-%02d-%02dT%02d:%02d:%02d.%03uiZ",
                     tm.ngx_tm_year, tm.ngx_tm_mon, tm.ngx_tm_mday,
                     tm.ngx_tm_hour, tm.ngx_tm_min, tm.ngx_tm_sec, msec);

    return json_stringn((char *) text, p - text);
}


static json_t *
ngx_http_async_status_msec(int64_t ms)
{
    return json_real((double) ms / 1000);
}


static json_t *
ngx_http_async_status_usec(double usec)
{
    return json_real(rint(usec) / 1000000);
}
