
/*
 * Copyright (C) the nginx-async authors
 *
 * Why awaits of a task are refused: cancels, which stick, and deadlines, to the
 * end of their scope; and shields, which keep both off for a while.  Ends waits
 * by waking them; resumes and suspends nothing.
 */

#include <ngx_async_task.h>


void
ngx_async_task_cancel(ngx_async_task_t *t, ngx_async_reason_e reason)
{
    if (t->cancel != NGX_ASYNC_KEEP || t->state == NGX_ASYNC_DONE) {
        return;
    }

    t->cancel = reason;

    if (t->shield == NULL) {
        ngx_async_stop(t, reason);
    }

    if (t->children.next) {
        ngx_async_cancel_children(t, reason, t->shield == NULL);
    }
}


void
ngx_async_stop(ngx_async_task_t *t, ngx_async_reason_e reason)
{
    ngx_async_waker_t  w;

    if (t->reason != NGX_ASYNC_KEEP) {
        return;
    }

    t->reason = reason;

    ngx_log_debug3(NGX_LOG_DEBUG_CORE, t->log, 0,
                   "async cancel \"%s\" at %s, reason:%d",
                   t->profile->name, t->site ? t->site : "-", reason);

    w.task = t;
    w.ticket = t->ticket;

    (void) ngx_async_wake(&w, (reason == NGX_ASYNC_DEADLINE)
                                  ? ASYNC_TIMEOUT : ASYNC_CANCELLED);
}


void
ngx_async_set_deadline(ngx_async_task_t *t, ngx_msec_t deadline,
    const ngx_async_bound_t *bound)
{
    if (t->timer.timer_set) {
        ngx_del_timer(&t->timer);
    }

    if (t->unbound && bound == NULL) {
        /* that of a request which has none any more */
        deadline = 0;
    }

    t->deadline = deadline;
    t->bound = bound;
}


void
ngx_async_unbind(ngx_async_task_t *t)
{
    t->unbound = 1;

    if (t->bound == NULL) {

        if (t->timer.timer_set && t->timer_is_deadline) {
            ngx_del_timer(&t->timer);
        }

        t->deadline = 0;
    }

    if (t->children.next) {
        ngx_async_unbind_children(t);
    }
}


void
ngx_async_shield(ngx_async_task_t *t, ngx_async_shield_t *shield,
    ngx_msec_t timeout, const ngx_async_bound_t *bound)
{
    shield->outer = t->shield;
    shield->reason = t->reason;
    shield->deadline = t->deadline;
    shield->bound = t->bound;

    ngx_time_update();

    t->shield = shield;
    t->reason = NGX_ASYNC_KEEP;

    ngx_async_set_deadline(t, (timeout == NGX_ASYNC_FOREVER)
                                  ? 0 : ngx_current_msec + timeout, bound);
}


void
ngx_async_unshield(ngx_async_task_t *t)
{
    ngx_async_shield_t  *shield;

    shield = t->shield;

    t->shield = shield->outer;
    t->reason = shield->reason;

    ngx_async_set_deadline(t, shield->deadline, shield->bound);

    if (t->shield == NULL && t->cancel != NGX_ASYNC_KEEP) {

        if (t->reason == NGX_ASYNC_KEEP) {
            t->reason = t->cancel;
        }

        if (t->children.next) {
            ngx_async_cancel_children(t, t->cancel, 1);
        }
    }
}


async_rc_t
ngx_async_refusal(ngx_async_task_t *t)
{
    const ngx_async_bound_t  *b;

    b = t->bound;

    switch (t->reason) {

    case NGX_ASYNC_DEADLINE:

        if (b == NULL) {
            return ngx_async_set_error(t, ASYNC_TIMEOUT,
                                       "the deadline has passed");
        }

        if (b->site == NULL) {
            return ngx_async_set_error(t, ASYNC_TIMEOUT, "\"%s\" has passed",
                                       b->what);
        }

        return ngx_async_set_error(t, ASYNC_TIMEOUT, "the %L ms of %s at %s "
                                   "have passed", b->ms, b->what, b->site);

    case NGX_ASYNC_BAD_TIME:
        return ngx_async_refusal_time(t, b);

    case NGX_ASYNC_CLIENT:
        return ngx_async_set_error(t, ASYNC_CANCELLED, "the client has gone");

    case NGX_ASYNC_SHUTDOWN:
        return ngx_async_set_error(t, ASYNC_CANCELLED,
                                   "the worker is shutting down");

    case NGX_ASYNC_PARENT:
        return ngx_async_set_error(t, ASYNC_CANCELLED,
                                   "its parent has cancelled it");

    default: /* NGX_ASYNC_ANSWERED */
        return ngx_async_set_error(t, ASYNC_CANCELLED, "the request has been "
                                   "answered by nginx");
    }
}


async_rc_t
ngx_async_refusal_time(ngx_async_task_t *t, const ngx_async_bound_t *bound)
{
    return ngx_async_set_error(t, ASYNC_ERROR, "%L ms, of %s at %s, is not "
                               "from 0 to ten years", bound->ms, bound->what,
                               bound->site);
}
