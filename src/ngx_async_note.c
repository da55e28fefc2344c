
/*
 * Copyright (C) the nginx-async authors
 *
 * What is told of tasks: the cause of a failure, for async_error() and the
 * log; lines of the log; how long a function has held the loop, and how much of
 * its stack it has used; its overflow.
 */

#include <ngx_async_report.h>
#include <ngx_async_thread.h>
#include <stdarg.h>


#define NGX_ASYNC_LINE_LEN  1500


static const ngx_async_stats_field_t  ngx_async_profile_fields[] = {
    { NGX_ASYNC_PROFILE_STARTED, "started", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Tasks started, with those spawned by it" },
    { NGX_ASYNC_PROFILE_ALIVE, "alive", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Tasks that have not ended" },
    { NGX_ASYNC_PROFILE_FINISHED, "finished", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Tasks that have ended by themselves" },
    { NGX_ASYNC_PROFILE_CANCELLED, "cancelled", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Tasks that have ended cancelled" },
    { NGX_ASYNC_PROFILE_TIMED_OUT, "timed_out", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Tasks that have ended past their deadline" },
    { NGX_ASYNC_PROFILE_SHED, "shed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Tasks refused since there were too many" },
    { NGX_ASYNC_PROFILE_SLOW, "slow", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER,
      "Stretches that held the event loop longer than async_slow" },
    { NGX_ASYNC_PROFILE_LONGEST, "slow_max", NGX_ASYNC_STATS_HIGH,
      NGX_ASYNC_STATS_USEC, "The longest of them" },
    { NGX_ASYNC_PROFILE_STACK, "stack_max", NGX_ASYNC_STATS_HIGH,
      NGX_ASYNC_STATS_BYTES, "The most stack that a task has used" },
    { NGX_ASYNC_PROFILE_TIME, "time", NGX_ASYNC_STATS_HISTOGRAM,
      NGX_ASYNC_STATS_USEC, "How long tasks have lived" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_async_profile_family = {
    "handler", "handler", ngx_async_profile_fields
};


static const ngx_async_stats_field_t  ngx_async_tasks_fields[] = {
    { NGX_ASYNC_TASKS_ALIVE, "alive", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER,
      "Tasks that have not ended, with the module's own" },
    { NGX_ASYNC_TASKS_MAX, "max", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER,
      "How many there may be, async_max_tasks of each worker" },
    { NGX_ASYNC_TASKS_SHED, "shed", NGX_ASYNC_STATS_COUNT,
      NGX_ASYNC_STATS_NUMBER, "Tasks refused since there were too many" },
    { NGX_ASYNC_TASKS_BACKGROUND, "background", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER,
      "Tasks that work on after a response, or will" },
    { NGX_ASYNC_TASKS_DEFERS, "defers", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Cleanups that wait for the end of a task" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_async_tasks_family = {
    "task", NULL, ngx_async_tasks_fields
};


static const ngx_async_stats_field_t  ngx_async_stacks_fields[] = {
    { NGX_ASYNC_STACKS_MADE, "made", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Stacks that have been made" },
    { NGX_ASYNC_STACKS_USED, "used", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Stacks that tasks have" },
    { NGX_ASYNC_STACKS_IDLE, "idle", NGX_ASYNC_STATS_GAUGE,
      NGX_ASYNC_STATS_NUMBER, "Free stacks that have kept their pages" },
    { NGX_ASYNC_STACKS_SIZE, "size", NGX_ASYNC_STATS_SAME,
      NGX_ASYNC_STATS_BYTES, "How much stack a task has, async_stack_size" },
    { NGX_ASYNC_STACKS_HIGHEST, "used_max", NGX_ASYNC_STATS_HIGH,
      NGX_ASYNC_STATS_BYTES, "The most stack that a task has used" },
    { 0, NULL, 0, 0, NULL }
};

const ngx_async_stats_family_t  ngx_async_stacks_family = {
    "stack", NULL, ngx_async_stacks_fields
};


static void ngx_async_line(ngx_str_t *line, const char *format, va_list args);
static ngx_uint_t ngx_async_level(ngx_uint_t level);
static void ngx_async_log_line(ngx_async_task_t *t, ngx_uint_t level,
    ngx_err_t err, ngx_str_t *line);


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

    if (profile->stats.values
        && used > profile->stats.values[NGX_ASYNC_PROFILE_STACK])
    {
        ngx_async_stats_set(&profile->stats, NGX_ASYNC_PROFILE_STACK, used);
    }

    if (used > ngx_async_stacks->values[NGX_ASYNC_STACKS_HIGHEST]) {
        ngx_async_stats_set(ngx_async_stacks, NGX_ASYNC_STACKS_HIGHEST, used);
    }

    ngx_log_debug2(NGX_LOG_DEBUG_CORE, t->log, 0,
                   "async high water of \"%s\": %uz", profile->name, used);

    if (used > size / 4 * 3) {
        ngx_log_error(NGX_LOG_WARN, t->log, 0,
                      "async handler \"%s\" has used %uz of the %uz bytes of "
                      "its stack: raise \"async_stack_size\"",
                      profile->name, used, size);
    }
}


void
ngx_async_note_end(ngx_async_task_t *t)
{
    ngx_uint_t          how;
    ngx_async_stats_t  *stats;

    stats = &t->profile->stats;

    how = t->cancel ? NGX_ASYNC_PROFILE_CANCELLED
          : t->reason == NGX_ASYNC_DEADLINE ? NGX_ASYNC_PROFILE_TIMED_OUT
          : NGX_ASYNC_PROFILE_FINISHED;

    ngx_async_stats_count(stats, how);
    stats->values[NGX_ASYNC_PROFILE_ALIVE]--;

    if (t->parent == NULL) {
        ngx_async_stats_time(stats, NGX_ASYNC_PROFILE_TIME,
                             (uint64_t) (ngx_current_msec - t->started)
                             * 1000);
    }
}


async_rc_t
ngx_async_set_error(ngx_async_task_t *t, async_rc_t rc, const char *fmt, ...)
{
    u_char            *p;
    va_list            args;
    ngx_async_task_t  *self;

    va_start(args, fmt);
    p = ngx_vslprintf(t->error, t->error + NGX_ASYNC_ERROR_LEN - 1, fmt, args);
    va_end(args);

    t->error[ngx_async_whole(t->error, p - t->error)] = '\0';
    t->cause = ASYNC_CAUSE_NONE;

    /* the running task is to know it, too: a child, or a call from a thread */

    self = ngx_async_task_self();

    if (self && self != t) {
        ngx_memcpy(self->error, t->error, NGX_ASYNC_ERROR_LEN);
    }

    return rc;
}


async_rc_t
ngx_async_because(ngx_async_task_t *t, async_cause_t cause, async_rc_t rc)
{
    t->cause = cause;

    return rc;
}


async_cause_t
async_cause(async_t *co)
{
    ngx_async_check_task(co);

    return co->cause;
}


async_rc_t
async_task_fail(async_t *co, async_rc_t rc, const char *format, ...)
{
    u_char   error[NGX_ASYNC_ERROR_LEN];
    va_list  args;

    ngx_async_check_task(co);

    va_start(args, format);
    ngx_async_verror(error, format, args);
    va_end(args);

    return ngx_async_set_error(co, rc, "%s", error);
}


void
ngx_async_verror(u_char *error, const char *format, va_list args)
{
    u_char     buf[NGX_ASYNC_LINE_LEN];
    ngx_str_t  line;

    line.data = buf;
    ngx_async_line(&line, format, args);

    (void) ngx_cpystrn(error, buf, ngx_min(line.len + 1, NGX_ASYNC_ERROR_LEN));
}


/* UTF-8: a character is a first byte and one to three of 10xxxxxx. */

size_t
ngx_async_whole(const u_char *text, size_t len)
{
    size_t  n, more;

    for (n = len; n > 0 && len - n < 3 && (text[n - 1] & 0xC0) == 0x80; n--) {
        /* void */
    }

    if (n == 0 || text[n - 1] < 0xC0) {
        return len;
    }

    more = (text[n - 1] >= 0xF0) ? 3 : (text[n - 1] >= 0xE0) ? 2 : 1;

    return (len - n < more) ? n - 1 : len;
}


const char *
async_error(async_t *co)
{
    ngx_async_check_task(co);

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


void
ngx_async_note_slow(ngx_async_task_t *t, const char *await, const char *site,
    ngx_msec_t held)
{
    ngx_async_profile_t  *profile;

    profile = t->profile;
    profile->slow++;

    if (held > profile->longest) {
        profile->longest = held;
    }

    if (profile->stats.values) {
        ngx_async_stats_count(&profile->stats, NGX_ASYNC_PROFILE_SLOW);

        if (held * 1000 > profile->stats.values[NGX_ASYNC_PROFILE_LONGEST]) {
            ngx_async_stats_set(&profile->stats, NGX_ASYNC_PROFILE_LONGEST,
                                held * 1000);
        }
    }

    ngx_async_report_slow(t, await, site, held);

    ngx_log_error(NGX_LOG_WARN, t->log, 0,
                  "async \"%s\" held the loop for %M ms after %s%s%s; so far "
                  "%ui times, %M ms at most",
                  profile->name, held, await ? await : "its start",
                  site ? " at " : "", site ? site : "", profile->slow,
                  profile->longest);
}


void
ngx_async_log(ngx_async_task_t *t, ngx_uint_t level, ngx_err_t err,
    const char *fmt, ...)
{
    u_char     buf[NGX_ASYNC_LINE_LEN];
    va_list    args;
    ngx_str_t  line;

    line.data = buf;

    va_start(args, fmt);
    line.len = ngx_vslprintf(buf, buf + NGX_ASYNC_LINE_LEN, fmt, args) - buf;
    va_end(args);

    ngx_async_log_line(t, level, err, &line);
}


static void
ngx_async_log_line(ngx_async_task_t *t, ngx_uint_t level, ngx_err_t err,
    ngx_str_t *line)
{
    if (t->job) {
        ngx_async_thread_log(t->job, level, err, line);
        return;
    }

    ngx_log_error(level, t->log, err, "%V", line);
}


/* printf()'s format; a line must stay one line, whatever a client has sent */

static void
ngx_async_line(ngx_str_t *line, const char *format, va_list args)
{
    int      n;
    u_char   text[NGX_ASYNC_LINE_LEN], *buf;

    buf = line->data;

    n = vsnprintf((char *) text, NGX_ASYNC_LINE_LEN, format, args);

    if (n < 0) {
        n = ngx_sprintf(text, "a line that vsnprintf() cannot make%Z") - text
            - 1;
    }

    n = ngx_min(n, NGX_ASYNC_LINE_LEN - 1);

    line->len = ngx_async_printable(buf, buf + NGX_ASYNC_LINE_LEN, text, n)
                - buf;
}


u_char *
ngx_async_printable(u_char *p, u_char *last, const u_char *text, size_t len)
{
    for ( /* void */ ; len; text++, len--) {

        if (*text >= 0x20 && *text != 0x7f) {
            if (p == last) {
                break;
            }

            *p++ = *text;
            continue;
        }

        if (p + sizeof("\\xHH") - 1 > last) {
            break;
        }

        p = ngx_sprintf(p, "\\x%02Xd", (int) *text);
    }

    return p;
}


static ngx_uint_t
ngx_async_level(ngx_uint_t level)
{
    return (level < ASYNC_LOG_ERROR || level > ASYNC_LOG_DEBUG)
               ? ASYNC_LOG_ERROR : level;
}


void
ngx_async_vlog(ngx_async_task_t *t, ngx_uint_t level, const char *format,
    va_list args)
{
    u_char     buf[NGX_ASYNC_LINE_LEN];
    ngx_str_t  line;

    line.data = buf;
    ngx_async_line(&line, format, args);

    ngx_async_log_line(t, ngx_async_level(level), 0, &line);
}


void
ngx_async_thread_vlog(void *data, ngx_uint_t level, const char *format,
    va_list args)
{
    u_char     buf[NGX_ASYNC_LINE_LEN];
    ngx_str_t  line;

    line.data = buf;
    ngx_async_line(&line, format, args);

    ngx_async_thread_log(data, ngx_async_level(level), 0, &line);
}


void
async_task_log(async_t *co, async_log_level_t level, const char *format, ...)
{
    va_list  args;

    ngx_async_check_task(co);

    va_start(args, format);
    ngx_async_vlog(co, level, format, args);
    va_end(args);
}


#if (NGX_ASYNC_DEBUG)

void
ngx_async_check_loop(const char *call)
{
    if (!ngx_async_is_loop()) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "%s() is for the loop only, and was called in another "
                      "thread", call);
        ngx_abort();
    }
}

#endif


/* Runs on the signal stack: only what is async-signal-safe. */

void
ngx_async_note_overflow(ngx_async_coro_t *coro)
{
    u_char            *p, buf[512];
    ngx_async_task_t  *t;

    t = ngx_async_task_of(coro);

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
