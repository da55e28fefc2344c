
/*
 * Robust mutexes: the owner dies, and those who wait die, also where the kernel
 * can wake nobody in their place.
 */

#define _GNU_SOURCE

#include <ngx_config.h>
#include <ngx_core.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "ngx_stub.h"
#include <ngx_async_robust.h>


/* what a process that waits ends with */
#define HAD_IT     10
#define REPAIRS    11

#define ROUNDS     20

/* s: nobody waits longer */
#define TOO_LONG   30


static ngx_cycle_t       cycle;
static ngx_log_t         error_log;
static pthread_mutex_t  *mutex;

volatile ngx_cycle_t  *ngx_cycle = &cycle;


/* A process that takes the mutex, and ends with it or without. */

static pid_t
another(int keeps)
{
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        int  status;

        alarm(TOO_LONG);

        status = ngx_async_robust_lock(mutex) ? REPAIRS : HAD_IT;

        if (!keeps) {
            ngx_async_robust_unlock(mutex);
        }

        _exit(status);
    }

    return pid;
}


/* It sleeps in futex(). */

static void
sleeps(pid_t pid)
{
    int   fd, n;
    char  path[64], text[32];

    sprintf(path, "/proc/%d/syscall", (int) pid);

    for ( ;; ) {
        fd = open(path, O_RDONLY);
        n = read(fd, text, sizeof(text) - 1);
        close(fd);

        text[n > 0 ? n : 0] = '\0';

        if (atoi(text) == SYS_futex && strchr("0123456789", text[0])) {
            return;
        }

        usleep(1000);
    }
}


static int
ends_with(pid_t pid)
{
    int  status;

    if (waitpid(pid, &status, 0) != pid) {
        return -1;
    }

    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}


static void
owners(void)
{
    pid_t  a, b;

    ngx_stub_ok(ngx_async_robust_lock(mutex) == 0, "a mutex is taken");
    ngx_stub_ok(ngx_async_robust_trylock(mutex) == NGX_AGAIN,
                "... by one, who lives");

    a = another(0);
    sleeps(a);
    ngx_async_robust_unlock(mutex);
    ngx_stub_ok(ends_with(a) == HAD_IT, "... another one waits for it");

    ngx_stub_ok(ends_with(another(1)) == HAD_IT, "an owner ends");
    ngx_stub_ok(ngx_async_robust_trylock(mutex) == NGX_DONE,
                "... the next one is told");
    ngx_async_robust_unlock(mutex);

    ngx_stub_ok(ends_with(another(1)) == HAD_IT, "another owner ends");
    ngx_stub_ok(ends_with(another(1)) == REPAIRS,
                "... and who is told ends, too");
    ngx_stub_ok(ngx_async_robust_lock(mutex) == 1,
                "... which the next one is told");

    a = another(1);
    b = another(0);
    sleeps(a);
    sleeps(b);
    ngx_async_robust_unlock(mutex);

    a = ends_with(a);
    b = ends_with(b);

    ngx_stub_ok((a == HAD_IT && b == REPAIRS) || (a == REPAIRS && b == HAD_IT)
                || (a == HAD_IT && b == HAD_IT),
                "an owner ends while another one waits: %d %d", a, b);

    ngx_async_robust_lock(mutex);
    ngx_async_robust_unlock(mutex);
}


/* What runs when nothing else would, on the same processor as this one. */

static void
idles(pid_t pid)
{
    cpu_set_t           set;
    struct sched_param  param;

    CPU_ZERO(&set);
    CPU_SET(sched_getcpu(), &set);
    memset(&param, 0, sizeof(param));

    if (sched_setaffinity(0, sizeof(set), &set) != 0
        || sched_setaffinity(pid, sizeof(set), &set) != 0
        || sched_setscheduler(pid, SCHED_IDLE, &param) != 0)
    {
        ngx_stub_ok(0, "a process that idles: %s", strerror(errno));
    }
}


/*
 * The first who waits is woken, and dies before it runs; meanwhile the mutex is
 * another's again, who knows of nobody that waits.
 */

static void
those_who_wait(void)
{
    int        i, had;
    pid_t      first, second;
    cpu_set_t  set;

    (void) sched_getaffinity(0, sizeof(set), &set);

    for (had = 0, i = 0; i < ROUNDS && had == i; i++) {
        (void) ngx_async_robust_lock(mutex);

        first = another(0);
        sleeps(first);

        second = another(0);
        sleeps(second);

        idles(first);

        ngx_async_robust_unlock(mutex);
        (void) ngx_async_robust_lock(mutex);
        kill(first, SIGKILL);

        (void) ends_with(first);

        ngx_async_robust_unlock(mutex);

        had += (ends_with(second) == HAD_IT);

        (void) sched_setaffinity(0, sizeof(set), &set);
    }

    ngx_stub_ok(had == ROUNDS, "one who was woken dies, the next one has the "
                "mutex: %d of %d", had, ROUNDS);
}


int
main(void)
{
    mutex = mmap(NULL, sizeof(pthread_mutex_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    alarm(2 * TOO_LONG);

    ngx_stub_ok(ngx_async_robust_init(mutex, &error_log) == NGX_OK,
                "a mutex is made");

    owners();
    those_who_wait();

    return ngx_stub_done();
}
