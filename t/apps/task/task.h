
/*
 * Handlers of t/task.t: child tasks and scopes.  What happens in which order
 * is noted in the log, in angle brackets; a code is noted as tell() puts it.
 */

#ifndef _TASK_H_INCLUDED_
#define _TASK_H_INCLUDED_


#include <ngx_async.h>


#define HOUR  3600000

#define say(co, ...)  async_task_log(co, ASYNC_LOG_NOTICE, "<" __VA_ARGS__)

/* a block in the middle of a function, that a scope may end with */
#define SCOPE  for (int once_ = 1; once_; once_ = 0)


typedef struct {
    char         text[4096];
    size_t       len;
} out_t;


/* What a child does */

typedef struct {
    char         name[8];
    int64_t      ms;           /* for which it sleeps */
    int          fails;        /* then, and with this number in its error */
    int          defers;       /* a cleanup that awaits */
    int          keeps;        /* answers ASYNC_OK although it is cancelled */
    int          silent;
} job_t;


const char  *name_of(async_rc_t rc);
void  put(out_t *out, const char *text);
void  tell(out_t *out, const char *what, async_rc_t rc, const char *error);
void  answer(async_t *co, out_t *out, const char *what, async_rc_t rc);

async_rc_t  fail(async_t *co, int number);

/* for children: fails with *(int *) arg, sleeps for *(int64_t *) arg ms, and
   does the job that arg is */
async_rc_t  fails_arg(async_t *co, void *arg);
async_rc_t  naps(async_t *co, void *arg);
async_rc_t  run(async_t *co, void *arg);


#endif /* _TASK_H_INCLUDED_ */
