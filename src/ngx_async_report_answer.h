
/*
 * Copyright (C) the nginx-async authors
 *
 * Between who asks, ngx_async_report.c, and who answers: what lies in shared
 * memory.  No pointer does: the apps of each worker are its own.
 */

#ifndef _NGX_ASYNC_REPORT_ANSWER_H_INCLUDED_
#define _NGX_ASYNC_REPORT_ANSWER_H_INCLUDED_


#include <ngx_async_report.h>


/* of one answer */
#define NGX_ASYNC_REPORT_BYTES  (256 * 1024)

/* slow stretches that are kept of each slot */
#define NGX_ASYNC_REPORT_SLOW   32

#define NGX_ASYNC_REPORT_ALIGN  8

/* handler, await, site, method, URI, client */
#define NGX_ASYNC_REPORT_TEXTS  6


typedef struct {
    uint32_t                   size;         /* with the texts behind it */
    uint16_t                   lengths[NGX_ASYNC_REPORT_TEXTS];
    uint32_t                   state;
    uint32_t                   bounded;
    uint64_t                   id;
    uint64_t                   parent;
    int64_t                    waited;
    int64_t                    age;
    int64_t                    deadline;
} ngx_async_report_record_t;


typedef struct {
    uint64_t                   number;       /* of the ask; written last */
    uint32_t                   life;         /* of the slot */
    uint32_t                   quitting;
    uint32_t                   tasks;        /* how many there are */
    uint32_t                   matching;
    uint64_t                   used;
    u_char                     bytes[NGX_ASYNC_REPORT_BYTES];
} ngx_async_report_answer_t;


typedef struct {
    uint32_t                   version;      /* odd: it is being written */
    ngx_async_report_slow_t    slow;
} ngx_async_report_held_t;


typedef struct {
    uint64_t                   lease;
    uint64_t                   last;         /* number that was given */
    uint64_t                   number;       /* 0: there is no ask */
    uint32_t                   asker;
    ngx_async_report_ask_t     ask;

    uint32_t                   nslow[NGX_ASYNC_PEERS];
    ngx_async_report_held_t    slow[NGX_ASYNC_PEERS][NGX_ASYNC_REPORT_SLOW];
    ngx_async_report_answer_t  answers[NGX_ASYNC_PEERS];
} ngx_async_report_zone_t;


/* Whether that worker has answered. */

static ngx_inline ngx_uint_t
ngx_async_report_has(ngx_async_report_zone_t *zone, ngx_async_peer_t *peer,
    uint64_t number)
{
    ngx_async_report_answer_t  *answer;

    answer = &zone->answers[peer->slot];

    return __atomic_load_n(&answer->number, __ATOMIC_ACQUIRE) == number
           && answer->life == peer->life;
}


/* On the loop: somebody may have answered. */
void ngx_async_report_answered(void);


#endif /* _NGX_ASYNC_REPORT_ANSWER_H_INCLUDED_ */
