
/*
 * Copyright (C) the nginx-async authors
 *
 * Asking the workers for their tasks: see ngx_async_report.h.  Who asks is
 * here; what a worker answers is in ngx_async_report_answer.c.
 */

#include <ngx_async_report_answer.h>


/* milliseconds */
#define NGX_ASYNC_REPORT_LEASE    2000
#define NGX_ASYNC_REPORT_TURN     3000    /* how long it waits for the lease */
#define NGX_ASYNC_REPORT_PAUSE    5
#define NGX_ASYNC_REPORT_TIME     1000    /* and for answers */
#define NGX_ASYNC_REPORT_LOOK     100     /* whether somebody has died */


static async_rc_t ngx_async_report_lease(ngx_async_task_t *t,
    ngx_async_report_zone_t *zone, uint64_t *lease);
static async_rc_t ngx_async_report_ask(ngx_async_task_t *t,
    ngx_async_report_zone_t *zone, const ngx_async_report_ask_t *ask,
    ngx_async_report_t *report, uint64_t *number);
static async_rc_t ngx_async_report_pause(ngx_async_task_t *t,
    ngx_async_waker_t *waker, ngx_msec_t ms);
static ngx_int_t ngx_async_report_workers(ngx_async_report_t *report);
static ngx_uint_t ngx_async_report_pending(ngx_async_report_zone_t *zone,
    ngx_async_report_t *report, uint64_t number);
static ngx_int_t ngx_async_report_collect(ngx_async_report_zone_t *zone,
    ngx_async_report_t *report, uint64_t number, ngx_uint_t limit);
static ngx_int_t ngx_async_report_take(ngx_async_report_answer_t *answer,
    ngx_pid_t pid, ngx_async_report_t *report);
static ngx_int_t ngx_async_report_record(ngx_async_report_record_t *record,
    ngx_pid_t pid, ngx_async_report_t *report);
static void ngx_async_report_states(ngx_async_report_t *report);
static ngx_int_t ngx_async_report_slows(ngx_async_report_zone_t *zone,
    ngx_async_report_t *report);
static int ngx_async_report_by_time(const void *one, const void *two);
static int ngx_async_report_by_end(const void *one, const void *two);


/* of the last task here that has had the lease */
static ngx_async_waker_t  ngx_async_report_waker;


async_rc_t
ngx_async_report_wait(ngx_async_task_t *t, ngx_pool_t *pool,
    const ngx_async_report_ask_t *ask, ngx_async_report_t *report)
{
    uint64_t                  lease, held, number;
    async_rc_t                rc;
    ngx_async_report_zone_t  *zone;

    if (ngx_array_init(&report->workers, pool, 8,
                       sizeof(ngx_async_report_worker_t)) != NGX_OK
        || ngx_array_init(&report->tasks, pool, 32,
                          sizeof(ngx_async_report_task_t)) != NGX_OK
        || ngx_array_init(&report->slow, pool, 8,
                          sizeof(ngx_async_report_slow_t)) != NGX_OK)
    {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    rc = ngx_async_enter(t, "the workers", "async_status");
    if (rc != ASYNC_OK) {
        return rc;
    }

    zone = ngx_async_stats_area();

    if (zone == NULL) {
        return ngx_async_set_error(t, ASYNC_BUSY, "this worker is not among "
                                   "the %ui that know each other",
                                   ngx_async_npeers);
    }

    rc = ngx_async_report_lease(t, zone, &lease);
    if (rc != ASYNC_OK) {
        return rc;
    }

    rc = ngx_async_report_ask(t, zone, ask, report, &number);

    if (rc == ASYNC_OK
        && (ngx_async_report_collect(zone, report, number, ask->limit) != NGX_OK
            || ngx_async_report_slows(zone, report) != NGX_OK))
    {
        rc = ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    held = lease;

    if (!__atomic_compare_exchange_n(&zone->lease, &held, 0, 0,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)
        && rc == ASYNC_OK)
    {
        /* this loop was held, and another one has asked since */
        rc = ngx_async_set_error(t, ASYNC_BUSY, "it took too long");
    }

    if (rc == ASYNC_OK) {
        ngx_async_report_states(report);
    }

    return rc;
}


/* What lies there is when it runs out, in microseconds: it comes only once. */

static async_rc_t
ngx_async_report_lease(ngx_async_task_t *t, ngx_async_report_zone_t *zone,
    uint64_t *lease)
{
    uint64_t           now, until, held;
    async_rc_t         rc;
    ngx_async_waker_t  nobody;

    now = ngx_async_stats_clock();
    until = now + NGX_ASYNC_REPORT_TURN * 1000;

    for ( ;; ) {
        held = __atomic_load_n(&zone->lease, __ATOMIC_RELAXED);
        *lease = ngx_max(now, held) + NGX_ASYNC_REPORT_LEASE * 1000;

        if (held <= now
            && __atomic_compare_exchange_n(&zone->lease, &held, *lease, 0,
                                           __ATOMIC_ACQ_REL,
                                           __ATOMIC_RELAXED))
        {
            return ASYNC_OK;
        }

        if (now >= until) {
            return ngx_async_set_error(t, ASYNC_BUSY, "others have been asking "
                                       "for %d ms", NGX_ASYNC_REPORT_TURN);
        }

        rc = ngx_async_report_pause(t, &nobody, NGX_ASYNC_REPORT_PAUSE);
        if (rc != ASYNC_OK) {
            return rc;
        }

        now = ngx_async_stats_clock();
    }
}


static async_rc_t
ngx_async_report_ask(ngx_async_task_t *t, ngx_async_report_zone_t *zone,
    const ngx_async_report_ask_t *ask, ngx_async_report_t *report,
    uint64_t *number)
{
    uint64_t                    until;
    async_rc_t                  rc;
    ngx_uint_t                  i;
    ngx_async_report_worker_t  *worker;

    *number = __atomic_add_fetch(&zone->last, 1, __ATOMIC_RELAXED);

    if (ngx_async_report_workers(report) != NGX_OK) {
        return ngx_async_set_error(t, ASYNC_ERROR, "no memory");
    }

    /* zero while it is written: who reads it then looks again when woken */

    __atomic_store_n(&zone->number, 0, __ATOMIC_SEQ_CST);
    zone->asker = ngx_async_peer_self.slot;
    zone->ask = *ask;
    __atomic_store_n(&zone->number, *number, __ATOMIC_SEQ_CST);

    worker = report->workers.elts;

    for (i = 0; i < report->workers.nelts; i++) {
        ngx_async_peer_wake(worker[i].known.peer.slot);
    }

    until = report->now + NGX_ASYNC_REPORT_TIME * 1000;

    while (ngx_async_report_pending(zone, report, *number)
           && ngx_async_stats_clock() < until)
    {
        rc = ngx_async_report_pause(t, &ngx_async_report_waker,
                                    NGX_ASYNC_REPORT_LOOK);
        if (rc != ASYNC_OK) {
            return rc;
        }
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_async_report_pause(ngx_async_task_t *t, ngx_async_waker_t *waker,
    ngx_msec_t ms)
{
    ngx_int_t  rc;

    *waker = ngx_async_waker(t);

    rc = ngx_async_wait(t, ms);

    return (rc == NGX_ASYNC_ELAPSED) ? ASYNC_OK : rc;
}


void
ngx_async_report_answered(void)
{
    if (ngx_async_report_waker.task) {
        (void) ngx_async_wake(&ngx_async_report_waker, ASYNC_OK);
    }
}


/* Those that live now: who starts meanwhile is not asked. */

static ngx_int_t
ngx_async_report_workers(ngx_async_report_t *report)
{
    ngx_uint_t                  slot;
    ngx_async_stats_worker_t    known;
    ngx_async_report_worker_t  *worker;

    report->now = ngx_async_stats_clock();
    report->total = 0;

    ngx_memzero(report->lives, NGX_ASYNC_PEERS);

    for (slot = 0; slot < NGX_ASYNC_PEERS; slot++) {

        if (ngx_async_stats_worker(slot, &known) != NGX_OK || !known.lives) {
            continue;
        }

        worker = ngx_array_push(&report->workers);
        if (worker == NULL) {
            return NGX_ERROR;
        }

        worker->known = known;
        worker->answered = 0;

        report->lives[slot] = 1;
    }

    return NGX_OK;
}


/* Whether somebody may still answer. */

static ngx_uint_t
ngx_async_report_pending(ngx_async_report_zone_t *zone,
    ngx_async_report_t *report, uint64_t number)
{
    uint64_t                    held;
    ngx_uint_t                  i;
    ngx_async_report_worker_t  *worker;

    worker = report->workers.elts;

    for (i = 0; i < report->workers.nelts; i++) {

        if (ngx_async_report_has(zone, &worker[i].known.peer, number)) {
            continue;
        }

        if (worker[i].known.peer.slot == ngx_async_peer_self.slot) {
            /* its beat may be late, but it runs */
            return 1;
        }

        held = worker[i].known.beat + NGX_ASYNC_REPORT_HELD * 1000;

        if (held > report->now
            && ngx_async_peer_lives(worker[i].known.peer))
        {
            return 1;
        }
    }

    return 0;
}


static ngx_int_t
ngx_async_report_collect(ngx_async_report_zone_t *zone,
    ngx_async_report_t *report, uint64_t number, ngx_uint_t limit)
{
    ngx_uint_t                  i;
    ngx_async_report_worker_t  *worker;
    ngx_async_report_answer_t  *answer;

    worker = report->workers.elts;

    for (i = 0; i < report->workers.nelts; i++) {

        if (!ngx_async_report_has(zone, &worker[i].known.peer, number)) {
            continue;
        }

        answer = &zone->answers[worker[i].known.peer.slot];

        worker[i].answered = 1;
        worker[i].known.tasks = answer->tasks;
        worker[i].known.quitting = (answer->quitting != 0);

        report->total += answer->matching;

        if (ngx_async_report_take(answer, worker[i].known.pid, report)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_qsort(report->tasks.elts, report->tasks.nelts,
              sizeof(ngx_async_report_task_t), ngx_async_report_by_time);

    report->tasks.nelts = ngx_min(report->tasks.nelts, limit);

    return NGX_OK;
}


/* Nothing that lies there is trusted: it may be written anew meanwhile. */

static ngx_int_t
ngx_async_report_take(ngx_async_report_answer_t *answer, ngx_pid_t pid,
    ngx_async_report_t *report)
{
    size_t                      pos, used, size;
    ngx_async_report_record_t  *record;

    used = ngx_min(answer->used, NGX_ASYNC_REPORT_BYTES);
    pos = 0;

    while (used - pos >= sizeof(ngx_async_report_record_t)) {

        record = (ngx_async_report_record_t *) (answer->bytes + pos);
        size = record->size;

        if (size < sizeof(ngx_async_report_record_t) || size > used - pos
            || size % NGX_ASYNC_REPORT_ALIGN)
        {
            break;
        }

        record = ngx_palloc(report->tasks.pool, size);
        if (record == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(record, answer->bytes + pos, size);
        record->size = size;

        if (ngx_async_report_record(record, pid, report) != NGX_OK) {
            return NGX_ERROR;
        }

        pos += size;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_report_record(ngx_async_report_record_t *record, ngx_pid_t pid,
    ngx_async_report_t *report)
{
    u_char                   *p;
    size_t                    left;
    ngx_str_t                *texts[NGX_ASYNC_REPORT_TEXTS];
    ngx_uint_t                i;
    ngx_async_report_task_t  *task;

    task = ngx_array_push(&report->tasks);
    if (task == NULL) {
        return NGX_ERROR;
    }

    task->id = record->id;
    task->parent = record->parent;
    task->worker = pid;
    task->state = record->state;
    task->waited = record->waited;
    task->age = record->age;
    task->deadline = record->deadline;
    task->bounded = record->bounded;

    texts[0] = &task->handler;
    texts[1] = &task->await;
    texts[2] = &task->site;
    texts[3] = &task->method;
    texts[4] = &task->uri;
    texts[5] = &task->client;

    p = (u_char *) (record + 1);
    left = record->size - sizeof(ngx_async_report_record_t);

    for (i = 0; i < NGX_ASYNC_REPORT_TEXTS; i++) {
        texts[i]->data = p;
        texts[i]->len = ngx_min(record->lengths[i], left);

        p += texts[i]->len;
        left -= texts[i]->len;
    }

    return NGX_OK;
}


/* As they are now: who has answered shows by that that its loop runs. */

static void
ngx_async_report_states(ngx_async_report_t *report)
{
    ngx_uint_t                  i;
    ngx_async_stats_worker_t    now;
    ngx_async_report_worker_t  *worker;

    ngx_async_stats_refresh();

    report->now = ngx_async_stats_clock();
    worker = report->workers.elts;

    for (i = 0; i < report->workers.nelts; i++) {

        if (ngx_async_stats_worker(worker[i].known.peer.slot, &now) != NGX_OK
            || now.peer.life != worker[i].known.peer.life)
        {
            continue;
        }

        worker[i].known.lives = now.lives;
        worker[i].known.beat = now.beat;
        worker[i].known.running = now.running;
        worker[i].known.running_since = now.running_since;
    }
}


/* Also of workers that are gone: their slots keep them. */

static ngx_int_t
ngx_async_report_slows(ngx_async_report_zone_t *zone,
    ngx_async_report_t *report)
{
    uint32_t                  before;
    ngx_uint_t                slot, i;
    ngx_async_report_slow_t  *slow;
    ngx_async_report_held_t  *held;

    for (slot = 0; slot < NGX_ASYNC_PEERS; slot++) {

        if (zone->nslow[slot] == 0) {
            continue;
        }

        for (i = 0; i < NGX_ASYNC_REPORT_SLOW; i++) {
            held = &zone->slow[slot][i];

            before = __atomic_load_n(&held->version, __ATOMIC_ACQUIRE);

            if (before == 0 || before & 1) {
                /* nothing; or it is being written, if by one that has died */
                continue;
            }

            slow = ngx_array_push(&report->slow);
            if (slow == NULL) {
                return NGX_ERROR;
            }

            *slow = held->slow;

            __atomic_thread_fence(__ATOMIC_ACQUIRE);

            if (__atomic_load_n(&held->version, __ATOMIC_RELAXED) != before) {
                report->slow.nelts--;
                continue;
            }

            slow->handler[NGX_ASYNC_REPORT_HANDLER - 1] = '\0';
            slow->await[NGX_ASYNC_REPORT_AWAIT - 1] = '\0';
            slow->site[NGX_ASYNC_REPORT_SITE - 1] = '\0';
        }
    }

    ngx_qsort(report->slow.elts, report->slow.nelts,
              sizeof(ngx_async_report_slow_t), ngx_async_report_by_end);

    return NGX_OK;
}


static int
ngx_async_report_by_time(const void *one, const void *two)
{
    const ngx_async_report_task_t  *a = one;
    const ngx_async_report_task_t  *b = two;

    return (a->waited < b->waited) - (a->waited > b->waited);
}


static int
ngx_async_report_by_end(const void *one, const void *two)
{
    const ngx_async_report_slow_t  *a = one;
    const ngx_async_report_slow_t  *b = two;

    return (a->ended < b->ended) - (a->ended > b->ended);
}
