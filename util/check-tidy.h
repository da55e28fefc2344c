
/*
 * Copyright (C) the nginx-async authors
 *
 * What "util/check tidy" has clang's analyzer read before each file.  The
 * analyzer knows one file at a time, and of a list no more than it has seen
 * put there: it takes the head that was freed for the head once more.  So who
 * looks into a queue gets something of which it knows nothing.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_async_task.h>


ngx_uint_t ngx_tidy_empty(const ngx_queue_t *h);
ngx_queue_t *ngx_tidy_member(const ngx_queue_t *q);
void ngx_tidy_out(const ngx_queue_t *q);

/* what is in a queue is not lost */
extern ngx_queue_t  *ngx_tidy_in;


#undef ngx_queue_empty
#undef ngx_queue_head
#undef ngx_queue_last
#undef ngx_queue_next
#undef ngx_queue_prev
#undef ngx_queue_remove
#undef ngx_queue_insert_head
#undef ngx_queue_insert_tail

#define ngx_queue_empty(h)           ngx_tidy_empty(h)
#define ngx_queue_head(h)            ngx_tidy_member(h)
#define ngx_queue_last(h)            ngx_tidy_member(h)
#define ngx_queue_next(q)            ngx_tidy_member(q)
#define ngx_queue_prev(q)            ngx_tidy_member(q)
#define ngx_queue_remove(q)          ngx_tidy_out(q)
#define ngx_queue_insert_head(h, q)  ngx_tidy_in = (q)
#define ngx_queue_insert_tail(h, q)  ngx_tidy_in = (q)


/* both are of another file, and return the code that they are given */

#define ngx_async_set_error(t, rc, ...)                                      \
    ((void) (ngx_async_set_error)(t, rc, __VA_ARGS__), (rc))

#define ngx_async_because(t, cause, rc)                                      \
    ((void) (ngx_async_because)(t, cause, rc), (rc))
