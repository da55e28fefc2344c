
/*
 * Copyright (C) the nginx-async authors
 *
 * What a worker answers to who asks for its tasks, on its event loop: those
 * that have been longest where they are, as many as are asked for and fit.
 * And what it notes by itself: what has held its loop.
 */

#include <ngx_async_report_answer.h>


/* of a URI as much as helps to know it */
#define NGX_ASYNC_REPORT_URI  512


/* tasks of this worker in the making of an answer: the least one first */

typedef struct {
    ngx_async_task_t           *task;
    int64_t                     waited;
} ngx_async_report_pick_t;


typedef struct {
    ngx_async_report_ask_t      ask;
    ngx_uint_t                  matching;
    ngx_uint_t                  n;
    ngx_async_report_pick_t     picks[NGX_ASYNC_REPORT_LIMIT];
} ngx_async_report_picks_t;


static void ngx_async_report_woken(void);
static void ngx_async_report_answer(ngx_async_report_zone_t *zone,
    uint64_t number);
static void ngx_async_report_visit(ngx_async_task_t *t, void *data);
static int64_t ngx_async_report_waited(ngx_async_task_t *t);
static void ngx_async_report_pick(ngx_async_report_picks_t *picks,
    ngx_async_task_t *t, int64_t waited);
static void ngx_async_report_sink(ngx_async_report_picks_t *picks);
static int ngx_async_report_by_wait(const void *one, const void *two);
static size_t ngx_async_report_write(u_char *p, u_char *last,
    ngx_async_report_pick_t *pick);
static void ngx_async_report_text(ngx_str_t *to, const char *text, size_t max);
static void ngx_async_report_keep(char *to, const char *text, size_t size);


static ngx_async_report_about_pt  ngx_async_report_about;
static ngx_async_report_picks_t   ngx_async_report_picks;
static uint64_t                   ngx_async_report_done;


ngx_int_t
ngx_async_report_init(ngx_async_report_about_pt about)
{
    typedef char  fits[sizeof(ngx_async_report_zone_t) <= NGX_ASYNC_STATS_AREA
                       ? 1 : -1] __attribute__((unused));

    if (ngx_async_stats_area() == NULL) {
        return NGX_OK;
    }

    ngx_async_report_about = about;
    ngx_async_report_done = 0;

    return ngx_async_on_wake(ngx_async_report_woken);
}


static void
ngx_async_report_woken(void)
{
    uint64_t                  number;
    ngx_async_report_zone_t  *zone;

    zone = ngx_async_stats_area();

    if (zone == NULL) {
        return;
    }

    for ( ;; ) {
        number = __atomic_load_n(&zone->number, __ATOMIC_SEQ_CST);

        if (number == 0 || number == ngx_async_report_done) {
            break;
        }

        ngx_async_report_picks.ask = zone->ask;

        __atomic_thread_fence(__ATOMIC_SEQ_CST);

        if (__atomic_load_n(&zone->number, __ATOMIC_SEQ_CST) == number) {
            ngx_async_report_answer(zone, number);

            if (zone->asker != ngx_async_peer_self.slot) {
                ngx_async_peer_wake(zone->asker);
            }
        }
    }

    ngx_async_report_answered();
}


static void
ngx_async_report_answer(ngx_async_report_zone_t *zone, uint64_t number)
{
    u_char                     *p, *last;
    size_t                      size;
    ngx_uint_t                  i;
    ngx_async_report_picks_t   *picks;
    ngx_async_report_answer_t  *answer;

    ngx_async_report_done = number;

    picks = &ngx_async_report_picks;
    answer = &zone->answers[ngx_async_peer_self.slot];

    picks->ask.handler[NGX_ASYNC_REPORT_HANDLER - 1] = '\0';
    picks->ask.await[NGX_ASYNC_REPORT_AWAIT - 1] = '\0';
    picks->ask.limit = ngx_min(picks->ask.limit, NGX_ASYNC_REPORT_LIMIT);
    picks->matching = 0;
    picks->n = 0;

    if (picks->ask.worker == 0 || picks->ask.worker == (uint32_t) ngx_pid) {
        ngx_async_each(ngx_async_report_visit, picks);
    }

    ngx_qsort(picks->picks, picks->n, sizeof(ngx_async_report_pick_t),
              ngx_async_report_by_wait);

    __atomic_store_n(&answer->number, 0, __ATOMIC_SEQ_CST);

    p = answer->bytes;
    last = p + NGX_ASYNC_REPORT_BYTES;

    for (i = 0; i < picks->n; i++) {
        size = ngx_async_report_write(p, last, &picks->picks[i]);

        if (size == 0) {
            break;
        }

        p += size;
    }

    answer->used = p - answer->bytes;
    answer->life = ngx_async_peer_self.life;
    answer->quitting = (ngx_exiting || ngx_quit || ngx_terminate);
    answer->tasks = ngx_async_ntasks;
    answer->matching = picks->matching;

    /* gauges that are set each second only */
    ngx_async_stats_refresh();

    __atomic_store_n(&answer->number, number, __ATOMIC_RELEASE);
}


static void
ngx_async_report_visit(ngx_async_task_t *t, void *data)
{
    int64_t                    waited;
    ngx_async_report_picks_t  *picks = data;

    waited = ngx_async_report_waited(t);

    if (waited < (int64_t) picks->ask.older
        || (picks->ask.handler[0]
            && ngx_strstr(t->profile->name, picks->ask.handler) == NULL)
        || (picks->ask.await[0]
            && (t->await == NULL
                || ngx_strstr(t->await, picks->ask.await) == NULL)))
    {
        return;
    }

    picks->matching++;

    ngx_async_report_pick(picks, t, waited);
}


static int64_t
ngx_async_report_waited(ngx_async_task_t *t)
{
    ngx_msec_int_t  ms;

    switch (t->state) {

    case NGX_ASYNC_WAITING:
    case NGX_ASYNC_READY:
        /* one that has not begun has not been suspended either */
        ms = ngx_current_msec - (t->since ? t->since : t->started);
        break;

    case NGX_ASYNC_NEW:
        ms = ngx_current_msec - t->started;
        break;

    default:
        ms = 0;
    }

    return ngx_max(ms, 0);
}


/* A heap of so many as are asked for: the least one is the first to go. */

static void
ngx_async_report_pick(ngx_async_report_picks_t *picks, ngx_async_task_t *t,
    int64_t waited)
{
    ngx_uint_t                i, up;
    ngx_async_report_pick_t  *pick, one;

    pick = picks->picks;

    if (picks->n == picks->ask.limit) {

        if (picks->n && waited > pick[0].waited) {
            pick[0].task = t;
            pick[0].waited = waited;
            ngx_async_report_sink(picks);
        }

        return;
    }

    i = picks->n++;
    pick[i].task = t;
    pick[i].waited = waited;

    while (i > 0) {
        up = (i - 1) / 2;

        if (pick[up].waited <= pick[i].waited) {
            break;
        }

        one = pick[up];
        pick[up] = pick[i];
        pick[i] = one;
        i = up;
    }
}


static void
ngx_async_report_sink(ngx_async_report_picks_t *picks)
{
    ngx_uint_t                i, least;
    ngx_async_report_pick_t  *pick, one;

    pick = picks->picks;
    i = 0;

    for ( ;; ) {
        least = 2 * i + 1;

        if (least >= picks->n) {
            return;
        }

        if (least + 1 < picks->n
            && pick[least + 1].waited < pick[least].waited)
        {
            least++;
        }

        if (pick[i].waited <= pick[least].waited) {
            return;
        }

        one = pick[i];
        pick[i] = pick[least];
        pick[least] = one;
        i = least;
    }
}


static int
ngx_async_report_by_wait(const void *one, const void *two)
{
    const ngx_async_report_pick_t  *a = one;
    const ngx_async_report_pick_t  *b = two;

    return (a->waited < b->waited) - (a->waited > b->waited);
}


/* Gives its size, or 0 if there is no room. */

static size_t
ngx_async_report_write(u_char *p, u_char *last, ngx_async_report_pick_t *pick)
{
    size_t                      size;
    ngx_str_t                   texts[NGX_ASYNC_REPORT_TEXTS];
    ngx_uint_t                  i;
    ngx_async_task_t           *t;
    ngx_async_report_about_t    about;
    ngx_async_report_record_t  *record;

    t = pick->task;

    ngx_memzero(&about, sizeof(ngx_async_report_about_t));
    ngx_async_report_about(t, &about);

    ngx_async_report_text(&texts[0], t->profile->name,
                          NGX_ASYNC_REPORT_HANDLER);
    ngx_async_report_text(&texts[1], t->await, NGX_ASYNC_REPORT_AWAIT);
    ngx_async_report_text(&texts[2], t->site, NGX_ASYNC_REPORT_SITE);

    texts[3] = about.method;
    texts[3].len = ngx_min(texts[3].len, 32);
    texts[4] = about.uri;
    texts[4].len = ngx_min(texts[4].len, NGX_ASYNC_REPORT_URI);
    texts[5] = about.client;
    texts[5].len = ngx_min(texts[5].len, NGX_SOCKADDR_STRLEN);

    size = sizeof(ngx_async_report_record_t);

    for (i = 0; i < NGX_ASYNC_REPORT_TEXTS; i++) {
        size += texts[i].len;
    }

    size = ngx_align(size, NGX_ASYNC_REPORT_ALIGN);

    if (size > (size_t) (last - p)) {
        return 0;
    }

    record = (ngx_async_report_record_t *) p;

    /* the top of its stack is nobody else's */

    record->size = size;
    record->state = t->state;
    record->id = (uintptr_t) t >> 12;
    record->parent = (uintptr_t) t->parent >> 12;
    record->waited = pick->waited;
    record->age = (ngx_msec_int_t) (ngx_current_msec - t->started);
    record->bounded = (t->deadline != 0);
    record->deadline = t->deadline
                       ? (ngx_msec_int_t) (t->deadline - ngx_current_msec) : 0;

    p += sizeof(ngx_async_report_record_t);

    for (i = 0; i < NGX_ASYNC_REPORT_TEXTS; i++) {
        record->lengths[i] = texts[i].len;
        p = ngx_cpymem(p, texts[i].data, texts[i].len);
    }

    return size;
}


static void
ngx_async_report_text(ngx_str_t *to, const char *text, size_t max)
{
    to->data = (u_char *) (text ? text : "");
    to->len = ngx_min(ngx_strlen(to->data), max);
}


void
ngx_async_report_slow(ngx_async_task_t *t, const char *await,
    const char *site, ngx_msec_t held)
{
    uint32_t                  slot, version;
    ngx_async_report_zone_t  *zone;
    ngx_async_report_held_t  *h;

    zone = ngx_async_stats_area();

    if (zone == NULL) {
        return;
    }

    slot = ngx_async_peer_self.slot;
    h = &zone->slow[slot][zone->nslow[slot]++ % NGX_ASYNC_REPORT_SLOW];

    /* even when it is whole, also over one that was never finished; not zero */

    version = (h->version | 1) + 3;

    __atomic_store_n(&h->version, version - 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    h->slow.worker = ngx_pid;
    h->slow.held = held;
    h->slow.ended = ngx_async_stats_clock();

    ngx_async_report_keep(h->slow.handler, t->profile->name,
                          NGX_ASYNC_REPORT_HANDLER);
    ngx_async_report_keep(h->slow.await, await, NGX_ASYNC_REPORT_AWAIT);
    ngx_async_report_keep(h->slow.site, site, NGX_ASYNC_REPORT_SITE);

    __atomic_store_n(&h->version, version, __ATOMIC_RELEASE);
}


static void
ngx_async_report_keep(char *to, const char *text, size_t size)
{
    (void) ngx_cpystrn((u_char *) to, (u_char *) (text ? text : ""), size);
}
