
/*
 * Copyright (C) the nginx-async authors
 *
 * The status for Prometheus: its text format 0.0.4, and that of OpenMetrics
 * 1.0.  Families of figures are told by the tables of their fields; a metric is
 * nginx_async_FAMILY_FIELD, with its unit, and "_total" if it is a counter.
 */

#include <ngx_http_async_status.h>
#include <ngx_http_async_value.h>


/* tasks are told by so many pairs of a handler and an await at most */
#define NGX_HTTP_ASYNC_STATUS_GROUPS  256

/* "# HELP " and the like, a name, its help, numbers; texts are apart */
#define NGX_HTTP_ASYNC_STATUS_LINE    1024


typedef struct {
    ngx_pool_t                  *pool;
    u_char                      *start;
    u_char                      *pos;
    u_char                      *end;
    ngx_uint_t                   open;      /* OpenMetrics */
    ngx_uint_t                   failed;    /* no memory */
} ngx_http_async_status_out_t;


/* A row of the family that is being written. */

typedef struct {
    const char                  *name;
    uint64_t                     sum[NGX_ASYNC_STATS_VALUES];
} ngx_http_async_status_sum_t;


/* What a line is of: one label, and the bound of a histogram. */

typedef struct {
    char                         name[128];
    const char                  *label;     /* NULL: it has none */
    const char                  *value;
} ngx_http_async_status_metric_t;


typedef struct {
    ngx_str_t                    handler;
    ngx_str_t                    await;
    ngx_uint_t                   n;
} ngx_http_async_status_group_t;


static async_rc_t ngx_http_async_status_metrics(async_req_t *req,
    ngx_async_report_t *report, ngx_uint_t open);
static void ngx_http_async_status_info(ngx_http_async_status_out_t *out);
static void ngx_http_async_status_states(ngx_http_async_status_out_t *out,
    ngx_async_report_t *report);
static void ngx_http_async_status_groups(ngx_http_async_status_out_t *out,
    ngx_async_report_t *report);
static ngx_int_t ngx_http_async_status_group(ngx_array_t *groups,
    ngx_async_report_task_t *task);
static ngx_int_t ngx_http_async_status_rows(ngx_pool_t *pool,
    ngx_async_report_t *report, const ngx_async_stats_family_t *family,
    ngx_array_t *rows);
static void ngx_http_async_status_field(ngx_http_async_status_out_t *out,
    const ngx_async_stats_family_t *family,
    const ngx_async_stats_field_t *field, ngx_array_t *rows);
static void ngx_http_async_status_histogram(ngx_http_async_status_out_t *out,
    ngx_http_async_status_metric_t *m, const uint64_t *values);
static void ngx_http_async_status_head(ngx_http_async_status_out_t *out,
    const char *name, const char *type, const char *help);
static void ngx_http_async_status_begin(ngx_http_async_status_out_t *out,
    ngx_http_async_status_metric_t *m, const char *suffix, const char *bound);
static void ngx_http_async_status_label(ngx_http_async_status_out_t *out,
    const char *label, const u_char *text, size_t len);
static void ngx_http_async_status_number(ngx_http_async_status_out_t *out,
    ngx_async_stats_unit_e unit, uint64_t n);
static u_char *ngx_http_async_status_seconds(u_char *p, uint64_t usec);
static void ngx_http_async_status_add(ngx_http_async_status_out_t *out,
    const char *fmt, ...);
static u_char *ngx_http_async_status_room(ngx_http_async_status_out_t *out,
    size_t len);


async_rc_t
ngx_http_async_status_prometheus(async_req_t *req, ngx_async_report_t *report,
    const ngx_async_report_ask_t *ask)
{
    return ngx_http_async_status_metrics(req, report, 0);
}


async_rc_t
ngx_http_async_status_openmetrics(async_req_t *req, ngx_async_report_t *report,
    const ngx_async_report_ask_t *ask)
{
    return ngx_http_async_status_metrics(req, report, 1);
}


static async_rc_t
ngx_http_async_status_metrics(async_req_t *req, ngx_async_report_t *report,
    ngx_uint_t open)
{
    ngx_uint_t                       n;
    ngx_array_t                      rows;
    ngx_http_async_status_out_t      out;
    const ngx_async_stats_field_t   *field;
    const ngx_async_stats_family_t  *family;

    ngx_memzero(&out, sizeof(ngx_http_async_status_out_t));

    out.pool = req->pool;
    out.open = open;

    ngx_http_async_status_info(&out);
    ngx_http_async_status_states(&out, report);
    ngx_http_async_status_groups(&out, report);

    for (n = 0; (family = ngx_async_stats_family(n)) != NULL; n++) {

        if (ngx_http_async_status_rows(req->pool, report, family, &rows)
            != NGX_OK)
        {
            out.failed = 1;
            break;
        }

        for (field = family->fields; rows.nelts && field->name; field++) {
            ngx_http_async_status_field(&out, family, field, &rows);
        }

        ngx_array_destroy(&rows);
    }

    if (open) {
        ngx_http_async_status_add(&out, "# EOF\n");
    }

    if (out.failed) {
        return ngx_async_set_error(&req->task, ASYNC_ERROR, "no memory");
    }

    return async_bytes(req, 200,
                       open ? "application/openmetrics-text; version=1.0.0; "
                              "charset=utf-8"
                            : "text/plain; version=0.0.4; charset=utf-8",
                       out.start, out.pos - out.start);
}


static void
ngx_http_async_status_info(ngx_http_async_status_out_t *out)
{
    ngx_http_async_status_head(out, "nginx_async_build_info", "gauge",
                               "The versions that run");
    ngx_http_async_status_add(out, "nginx_async_build_info{version=\"%s\","
                              "nginx_version=\"%s\"} 1\n", ASYNC_VERSION,
                              NGINX_VERSION);

    ngx_http_async_status_head(out, "nginx_async_generation", "gauge",
                               "Which configuration this is since the start");
    ngx_http_async_status_add(out, "nginx_async_generation %ui\n",
                              ngx_async_stats_generation());
}


static void
ngx_http_async_status_states(ngx_http_async_status_out_t *out,
    ngx_async_report_t *report)
{
    ngx_uint_t                  i, state, n[4];
    ngx_async_report_worker_t  *worker;

    static const char  *states[4] = {
        "running", "finishing", "blocked", "silent"
    };

    ngx_memzero(n, sizeof(n));

    worker = report->workers.elts;

    for (i = 0; i < report->workers.nelts; i++) {

        for (state = 0; worker[i].known.lives && state < 4; state++) {
            n[state] += ngx_strcmp(states[state],
                            ngx_http_async_status_state(report, &worker[i]))
                        == 0;
        }
    }

    ngx_http_async_status_head(out, "nginx_async_workers", "gauge",
                               "Worker processes by their state");

    for (state = 0; state < 4; state++) {
        ngx_http_async_status_add(out,
                                  "nginx_async_workers{state=\"%s\"} %ui\n",
                                  states[state], n[state]);
    }
}


/*
 * The total is right: who is not among those that are told of counts for no
 * handler.
 */

static void
ngx_http_async_status_groups(ngx_http_async_status_out_t *out,
    ngx_async_report_t *report)
{
    ngx_uint_t                      i, others;
    ngx_array_t                     groups;
    ngx_async_report_task_t        *task;
    ngx_http_async_status_group_t  *group;

    if (ngx_array_init(&groups, out->pool, 32,
                       sizeof(ngx_http_async_status_group_t))
        != NGX_OK)
    {
        out->failed = 1;
        return;
    }

    task = report->tasks.elts;
    others = report->total - report->tasks.nelts;

    for (i = 0; i < report->tasks.nelts; i++) {
        switch (ngx_http_async_status_group(&groups, &task[i])) {

        case NGX_OK:
            break;

        case NGX_DECLINED:
            others++;
            break;

        default:
            out->failed = 1;
            return;
        }
    }

    ngx_http_async_status_head(out, "nginx_async_tasks", "gauge",
                               "Tasks by their handler and the await that they"
                               " are in, of the 1000 that wait longest; others"
                               " have no handler here");

    group = groups.elts;

    for (i = 0; i < groups.nelts; i++) {
        ngx_http_async_status_add(out, "nginx_async_tasks{");
        ngx_http_async_status_label(out, "handler", group[i].handler.data,
                                    group[i].handler.len);
        ngx_http_async_status_add(out, ",");
        ngx_http_async_status_label(out, "await", group[i].await.data,
                                    group[i].await.len);
        ngx_http_async_status_add(out, "} %ui\n", group[i].n);
    }

    ngx_http_async_status_add(out,
                              "nginx_async_tasks{handler=\"\",await=\"\"} "
                              "%ui\n", others);
}


/* NGX_DECLINED: there are so many groups. */

static ngx_int_t
ngx_http_async_status_group(ngx_array_t *groups, ngx_async_report_task_t *task)
{
    ngx_uint_t                      i;
    ngx_http_async_status_group_t  *group;

    if (task->handler.len == 0) {
        return NGX_DECLINED;
    }

    group = groups->elts;

    for (i = 0; i < groups->nelts; i++) {

        if (group[i].handler.len == task->handler.len
            && group[i].await.len == task->await.len
            && ngx_memcmp(group[i].handler.data, task->handler.data,
                          task->handler.len) == 0
            && ngx_memcmp(group[i].await.data, task->await.data,
                          task->await.len) == 0)
        {
            group[i].n++;
            return NGX_OK;
        }
    }

    if (groups->nelts == NGX_HTTP_ASYNC_STATUS_GROUPS) {
        return NGX_DECLINED;
    }

    group = ngx_array_push(groups);
    if (group == NULL) {
        return NGX_ERROR;
    }

    group->handler = task->handler;
    group->await = task->await;
    group->n = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_async_status_rows(ngx_pool_t *pool, ngx_async_report_t *report,
    const ngx_async_stats_family_t *family, ngx_array_t *rows)
{
    ngx_uint_t                    row, n;
    const char                   *name, *of;
    ngx_http_async_status_sum_t  *sum;

    if (ngx_array_init(rows, pool, 8, sizeof(ngx_http_async_status_sum_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    n = ngx_async_stats_nrows();

    for (row = 0; row < n; row++) {

        name = ngx_async_stats_row(row, &of);

        if (ngx_strcmp(of, family->name) != 0) {
            continue;
        }

        sum = ngx_array_push(rows);
        if (sum == NULL) {
            return NGX_ERROR;
        }

        sum->name = name;
        ngx_async_stats_sum(family, row, report->lives, sum->sum);

        if (!ngx_http_async_status_shown(row, sum->sum)) {
            rows->nelts--;
        }
    }

    return NGX_OK;
}


static void
ngx_http_async_status_field(ngx_http_async_status_out_t *out,
    const ngx_async_stats_family_t *family,
    const ngx_async_stats_field_t *field, ngx_array_t *rows)
{
    ngx_uint_t                       i;
    const char                      *type, *suffix;
    ngx_http_async_status_sum_t     *row;
    ngx_http_async_status_metric_t   m;

    static const char  *units[] = { "", "_bytes", "_seconds" };

    type = (field->type == NGX_ASYNC_STATS_COUNT) ? "counter"
           : (field->type == NGX_ASYNC_STATS_HISTOGRAM) ? "histogram"
           : "gauge";
    suffix = (field->type == NGX_ASYNC_STATS_COUNT) ? "_total" : "";

    /* OpenMetrics describes what has the name without "_total" */

    (void) ngx_snprintf((u_char *) m.name, sizeof(m.name),
                        "nginx_async_%s_%s%s%s%Z", family->name, field->name,
                        units[field->unit], out->open ? "" : suffix);

    ngx_http_async_status_head(out, m.name, type, field->help);

    if (!out->open) {
        suffix = "";
    }

    m.label = family->label;
    row = rows->elts;

    for (i = 0; i < rows->nelts; i++) {
        m.value = row[i].name;

        if (field->type == NGX_ASYNC_STATS_HISTOGRAM) {
            ngx_http_async_status_histogram(out, &m,
                                            &row[i].sum[field->index]);
            continue;
        }

        ngx_http_async_status_begin(out, &m, suffix, NULL);
        ngx_http_async_status_number(out, field->unit,
                                     row[i].sum[field->index]);
    }
}


static void
ngx_http_async_status_histogram(ngx_http_async_status_out_t *out,
    ngx_http_async_status_metric_t *m, const uint64_t *values)
{
    u_char      bound[NGX_INT64_LEN + sizeof(".000000")];
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i <= NGX_ASYNC_STATS_BOUNDS; i++) {

        if (i < NGX_ASYNC_STATS_BOUNDS) {
            *ngx_http_async_status_seconds(bound, ngx_async_stats_bounds[i])
                = '\0';
        } else {
            (void) ngx_cpystrn(bound, (u_char *) "+Inf", sizeof(bound));
        }

        n += values[1 + i];

        ngx_http_async_status_begin(out, m, "_bucket", (char *) bound);
        ngx_http_async_status_number(out, NGX_ASYNC_STATS_NUMBER, n);
    }

    ngx_http_async_status_begin(out, m, "_sum", NULL);
    ngx_http_async_status_number(out, NGX_ASYNC_STATS_USEC, values[0]);

    ngx_http_async_status_begin(out, m, "_count", NULL);
    ngx_http_async_status_number(out, NGX_ASYNC_STATS_NUMBER, n);
}


static void
ngx_http_async_status_head(ngx_http_async_status_out_t *out, const char *name,
    const char *type, const char *help)
{
    ngx_http_async_status_add(out, "# HELP %s %s.\n# TYPE %s %s\n", name, help,
                              name, type);
}


/* Up to the number. */

static void
ngx_http_async_status_begin(ngx_http_async_status_out_t *out,
    ngx_http_async_status_metric_t *m, const char *suffix, const char *bound)
{
    ngx_http_async_status_add(out, "%s%s", m->name, suffix);

    if (m->label) {
        ngx_http_async_status_add(out, "{");
        ngx_http_async_status_label(out, m->label, (u_char *) m->value,
                                    ngx_strlen(m->value));
    }

    if (bound) {
        ngx_http_async_status_add(out, "%sle=\"%s\"", m->label ? "," : "{",
                                  bound);
    }

    ngx_http_async_status_add(out, (m->label || bound) ? "} " : " ");
}


/*
 * Labels are UTF-8.  Other bytes become \xff, and not all the same, since a
 * page with two equal labels is refused as a whole.
 */

static void
ngx_http_async_status_label(ngx_http_async_status_out_t *out,
    const char *label, const u_char *text, size_t len)
{
    size_t   n;
    u_char  *p, *src, *end;

    p = ngx_http_async_status_room(out, ngx_strlen(label) + len * 5
                                        + sizeof("=\"\""));
    if (p == NULL) {
        return;
    }

    src = (u_char *) text;
    end = src + ngx_async_whole(src, len);

    p = ngx_sprintf(p, "%s=\"", label);

    for ( /* void */ ; src < end; src += n) {
        n = ngx_http_async_value_utf8(src, end);

        if (n == 0) {
            n = 1;
            p = ngx_sprintf(p, "\\\\x%02xi", (ngx_uint_t) *src);

        } else if (*src == '\n') {
            p = ngx_cpymem(p, "\\n", 2);

        } else {
            if (*src == '"' || *src == '\\') {
                *p++ = '\\';
            }

            p = ngx_cpymem(p, src, n);
        }
    }

    *p++ = '"';

    out->pos = p;
}


static void
ngx_http_async_status_number(ngx_http_async_status_out_t *out,
    ngx_async_stats_unit_e unit, uint64_t n)
{
    u_char  *p, text[NGX_INT64_LEN + sizeof(".000000")];

    p = (unit == NGX_ASYNC_STATS_USEC) ? ngx_http_async_status_seconds(text, n)
                                       : ngx_sprintf(text, "%uL", n);

    ngx_http_async_status_add(out, "%*s\n", (size_t) (p - text), text);
}


/* As OpenMetrics wants bounds: "0.0025", "10.0" */

static u_char *
ngx_http_async_status_seconds(u_char *p, uint64_t usec)
{
    p = ngx_sprintf(p, "%uL.%06uL", usec / 1000000, usec % 1000000);

    while (p[-1] == '0' && p[-2] != '.') {
        p--;
    }

    return p;
}


static void
ngx_http_async_status_add(ngx_http_async_status_out_t *out, const char *fmt,
    ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_http_async_status_room(out, NGX_HTTP_ASYNC_STATUS_LINE);
    if (p == NULL) {
        return;
    }

    va_start(args, fmt);
    out->pos = ngx_vslprintf(p, p + NGX_HTTP_ASYNC_STATUS_LINE, fmt, args);
    va_end(args);
}


/* NULL: no memory. */

static u_char *
ngx_http_async_status_room(ngx_http_async_status_out_t *out, size_t len)
{
    size_t   size, used;
    u_char  *more;

    if (out->failed) {
        return NULL;
    }

    used = out->pos - out->start;
    size = out->end - out->start;

    if (len <= size - used) {
        return out->pos;
    }

    size = ngx_max(2 * size, 64 * 1024) + len;

    more = ngx_palloc(out->pool, size);
    if (more == NULL) {
        out->failed = 1;
        return NULL;
    }

    if (used) {
        ngx_memcpy(more, out->start, used);
        (void) ngx_pfree(out->pool, out->start);
    }

    out->start = more;
    out->pos = more + used;
    out->end = more + size;

    return out->pos;
}
