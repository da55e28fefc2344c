
/*
 * Copyright (C) the nginx-async authors
 *
 * What is told of tasks: the cause of a failure, for async_error() and the
 * log; how much of its stack a function has used; and its overflow.
 */

#include <ngx_async_task.h>
#include <stdarg.h>


void
ngx_async_note_stack(ngx_async_task_t *t, size_t size)
{
    size_t                used;
    ngx_async_profile_t  *profile;

    profile = t->profile;
    used = ngx_async_coro_high_water(t->coro);

    if (used <= profile->stack_used) {
        return;
    }

    profile->stack_used = used;

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, t->log, 0,
                   "async high water of \"%s\": %uz", profile->name, used);

    if (used > size / 4 * 3) {
        ngx_log_error(NGX_LOG_WARN, t->log, 0,
                      "async handler \"%s\" has used %uz of the %uz bytes of "
                      "its stack: raise \"async_stack_size\"",
                      profile->name, used, size);
    }
}


async_rc_t
ngx_async_set_error(ngx_async_task_t *t, async_rc_t rc, const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(t->error, t->error + NGX_ASYNC_ERROR_LEN - 1, fmt, args);
    va_end(args);

    *p = '\0';

    return rc;
}


const char *
async_error(async_t *co)
{
    return (const char *) co->error;
}


const char *
ngx_async_rc_name(ngx_int_t rc)
{
    static const char  *names[] = {
        "ASYNC_OK", "ASYNC_ERROR", "ASYNC_TIMEOUT", "ASYNC_CANCELLED",
        "ASYNC_CLOSED", "ASYNC_BUSY", "ASYNC_INVALID"
    };

    if (rc > 0 || rc < ASYNC_INVALID) {
        return "a code that is none of async_rc_t";
    }

    return names[-rc];
}


/* Runs on the signal stack: only what is async-signal-safe. */

void
ngx_async_note_overflow(ngx_async_coro_t *coro)
{
    u_char            *p, buf[512];
    ngx_async_task_t  *t;

    t = ngx_async_coro_data(coro);

    p = ngx_slprintf(buf, buf + sizeof(buf) - 1,
                     "%V [alert] %P#" NGX_TID_T_FMT ": async handler "
                     "\"%s\" overflowed its stack of %uz bytes; its last "
                     "await is %s at %s; raise \"async_stack_size\" or keep "
                     "large arrays off the stack",
                     &ngx_cached_err_log_time, ngx_pid, ngx_log_tid,
                     t->profile->name,
                     ngx_async_stack_pool_stack_size(coro->pool),
                     t->await ? t->await : "none", t->site ? t->site : "-");
    *p++ = LF;

    (void) ngx_write_fd(ngx_cycle->log->file->fd, buf, p - buf);
}
