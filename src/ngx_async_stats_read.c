
/*
 * Copyright (C) the nginx-async authors
 *
 * Figures over all workers, for who reads them: see ngx_async_stats.h.
 */

#include <ngx_async_stats_zone.h>


static uint32_t ngx_async_stats_newest(const u_char *lives);


ngx_uint_t
ngx_async_stats_nrows(void)
{
    return ngx_async_stats_shared ? ngx_async_stats_shared->nrows : 0;
}


const char *
ngx_async_stats_row(ngx_uint_t row, const char **family)
{
    ngx_async_stats_name_t  *name;

    name = &ngx_async_stats_shared->names[row];

    *family = name->family;

    return name->name;
}


ngx_int_t
ngx_async_stats_worker(ngx_uint_t slot, ngx_async_stats_worker_t *worker)
{
    ngx_async_stats_slot_t  *s;

    s = &ngx_async_stats_shared->slots[slot];

    if (s->pid == 0) {
        return NGX_DECLINED;
    }

    worker->peer.slot = slot;
    worker->peer.life = s->life;
    worker->pid = s->pid;
    worker->generation = s->generation;
    worker->started = s->started;
    worker->tasks = s->tasks;
    worker->beat = s->beat;
    worker->running = s->running.row;
    worker->running_since = s->running.since;
    worker->quitting = (s->running.quitting != 0);
    worker->lives = ngx_async_peer_lives(worker->peer);

    return NGX_OK;
}


const uint64_t *
ngx_async_stats_values(ngx_uint_t slot, ngx_uint_t row)
{
    if (ngx_async_stats_shared == NULL
        || row >= ngx_async_stats_shared->nrows)
    {
        return NULL;
    }

    return ngx_async_stats_shared->values[slot][row];
}


/* Of the workers that run, while those of a reload before finish. */

static uint32_t
ngx_async_stats_newest(const u_char *lives)
{
    uint32_t    newest;
    ngx_uint_t  slot;

    newest = 0;

    for (slot = 0; slot < NGX_ASYNC_PEERS; slot++) {
        if (lives[slot]) {
            newest = ngx_max(newest,
                             ngx_async_stats_shared->slots[slot].generation);
        }
    }

    return newest;
}


void
ngx_async_stats_sum(const ngx_async_stats_family_t *family, ngx_uint_t row,
    const u_char *lives, uint64_t sum[NGX_ASYNC_STATS_VALUES])
{
    uint32_t                        newest;
    ngx_uint_t                      i, n, slot;
    const uint64_t                 *values;
    const ngx_async_stats_field_t  *field;

    ngx_memzero(sum, sizeof(ngx_async_stats_row_t));

    newest = ngx_async_stats_newest(lives);

    for (slot = 0; slot < NGX_ASYNC_PEERS; slot++) {

        if (ngx_async_stats_shared->slots[slot].pid == 0) {
            continue;
        }

        values = ngx_async_stats_shared->values[slot][row];

        for (field = family->fields; field->name; field++) {

            if (!lives[slot] && (field->type == NGX_ASYNC_STATS_GAUGE
                                 || field->type == NGX_ASYNC_STATS_SAME))
            {
                continue;
            }

            if (field->type == NGX_ASYNC_STATS_NEWEST
                && (!lives[slot]
                    || ngx_async_stats_shared->slots[slot].generation
                       != newest))
            {
                continue;
            }

            n = ngx_async_stats_span(field);

            for (i = field->index; i < field->index + n; i++) {

                if (field->type == NGX_ASYNC_STATS_HIGH
                    || field->type == NGX_ASYNC_STATS_SAME
                    || field->type == NGX_ASYNC_STATS_NEWEST)
                {
                    sum[i] = ngx_max(sum[i], values[i]);

                } else {
                    sum[i] += values[i];
                }
            }
        }
    }
}


uint64_t
ngx_async_stats_ntimes(const uint64_t *values)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i <= NGX_ASYNC_STATS_BOUNDS; i++) {
        n += values[1 + i];
    }

    return n;
}


/* In between it is as if the times were spread evenly, as Prometheus has it. */

double
ngx_async_stats_quantile(const uint64_t *values, double part)
{
    double      rank, low;
    ngx_uint_t  i;

    rank = part * ngx_async_stats_ntimes(values);
    low = 0;

    for (i = 0; i < NGX_ASYNC_STATS_BOUNDS; i++) {

        if (rank <= values[1 + i] && values[1 + i]) {
            return low + (ngx_async_stats_bounds[i] - low) * rank
                         / values[1 + i];
        }

        rank -= values[1 + i];
        low = ngx_async_stats_bounds[i];
    }

    /* above the last bound nothing is known */

    return rank > 0 ? low : 0;
}
