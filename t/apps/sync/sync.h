
/*
 * Handlers of t/sync.t.  Most play a scene among child tasks, and answer what
 * has happened in which order; ?on= says at what they stand in line: mutex,
 * semaphore, event, get or put.
 */

#ifndef _SYNC_H_INCLUDED_
#define _SYNC_H_INCLUDED_


#include <ngx_async.h>


typedef enum {
    MUTEX,
    SEMAPHORE,
    EVENT,
    GET,                                      /* from an empty queue */
    PUT                                       /* into a full one */
} kind_t;


typedef struct {
    kind_t             kind;
    async_mutex_t      mutex;
    async_semaphore_t  semaphore;
    async_event_t      event;
    async_queue_t      queue;

    int                waiting;
    size_t             len;
    char               trace[8192];
} line_t;


typedef struct {
    line_t            *line;
    int                id;
    int64_t            ms;                    /* its deadline; zero: none */
    int                seen;                  /* of whoever waits for it */
    async_child_t     *child;
} waiter_t;


extern int  numbers[1000];                    /* what the queues carry */


const char  *name_of(async_rc_t rc);
void  note(line_t *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
async_rc_t  answer(async_req_t *req, line_t *l);

void  line_init(line_t *l, kind_t kind);
line_t  *line_of(async_req_t *req);
kind_t  kind_of(async_req_t *req);
int64_t  number_of(async_req_t *req, const char *name, int64_t n);

async_rc_t  occupy(async_t *co, line_t *l);
async_rc_t  stand(async_t *co, line_t *l, int id, int *item);
async_rc_t  leave(async_t *co, line_t *l);
async_rc_t  let_go(async_t *co, line_t *l, int n);
const char  *state_of(async_t *co, line_t *l);

async_rc_t  yields(async_t *co, int n);
void  join(async_t *co, async_child_t *child);

async_rc_t  begin_waiters(async_t *co, line_t *l, waiter_t *w, int n, int late,
    int64_t ms);
async_rc_t  waiter(async_t *co, void *arg);
async_rc_t  waiter_stands(async_t *co, waiter_t *w);


#endif /* _SYNC_H_INCLUDED_ */
