
/*
 * The log of channels: rings of all sizes that wrap, readers that are passed
 * by, and writers that die: each is stepped to another instruction of a write
 * and killed there, and the log must be whole, with the message or without.
 */

#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_http_async_channel_log.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>


/* every so many instructions a writer dies; all with TEST_NGINX_LONG */
#ifdef __SANITIZE_ADDRESS__
#define STRIDE   307
#else
#define STRIDE   19
#endif

#define RING     1024


static ngx_cycle_t                      cycle;
static ngx_log_t                        error_log;
static ngx_uint_t                      *wakes;      /* also of those who die */
static ngx_uint_t                       died;
static ngx_http_async_channel_reader_t  reader, successor;

volatile ngx_cycle_t  *ngx_cycle = &cycle;
ngx_pid_t              ngx_pid;
ngx_async_peer_t       ngx_async_peer_self = { 0, 1 };


uint32_t
ngx_murmur_hash2(u_char *data, size_t len)
{
    uint32_t  h;

    for (h = 0; len; len--) {
        h = h * 31 + *data++;
    }

    return h;
}


void
ngx_async_peer_wake(ngx_uint_t slot)
{
    (void) slot;

    (*wakes)++;
}


/* the module's own, counted (ld --wrap) */

ngx_uint_t __real_ngx_async_robust_lock(pthread_mutex_t *mutex);
ngx_uint_t __wrap_ngx_async_robust_lock(pthread_mutex_t *mutex);


ngx_uint_t
__wrap_ngx_async_robust_lock(pthread_mutex_t *mutex)
{
    ngx_uint_t  owner_died;

    owner_died = __real_ngx_async_robust_lock(mutex);
    died += owner_died;

    return owner_died;
}


static ngx_http_async_channel_log_t *
make(size_t ring)
{
    ngx_http_async_channel_log_t  *log;

    log = mmap(NULL, ngx_http_async_channel_log_size(ring),
               PROT_READ|PROT_WRITE, MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    if (log == MAP_FAILED
        || ngx_http_async_channel_log_init(log, ring, &error_log) != NGX_OK)
    {
        abort();
    }

    memset(&reader, 0, sizeof(reader));
    ngx_http_async_channel_join(&reader, log);
    ngx_http_async_channel_begin(&reader);

    return log;
}


static void
drop(ngx_http_async_channel_log_t *log)
{
    munmap(log, ngx_http_async_channel_log_size(log->size));
}


/* A message whose bytes follow from its number. */

static void
say(ngx_http_async_channel_log_t *log, const char *channel, ngx_uint_t number,
    size_t len)
{
    u_char     data[RING];
    size_t     i;
    ngx_str_t  name, text;

    for (i = 0; i < len; i++) {
        data[i] = (u_char) (number + i);
    }

    name.data = (u_char *) channel;
    name.len = strlen(channel);
    text.data = data;
    text.len = len;

    ngx_http_async_channel_write(log, NGX_HTTP_ASYNC_CHANNEL_MESSAGE, &name,
                                 &text);
}


/* The number of the next one; -1: there is none; -2: it is not whole. */

static ngx_int_t
hear(uint64_t *missed)
{
    u_char  data[RING];
    size_t  i;

    do {
        if (ngx_http_async_channel_next(&reader) != NGX_OK) {
            return -1;
        }

    } while (ngx_http_async_channel_data(&reader, data) != NGX_OK);

    *missed = reader.missed;

    ngx_http_async_channel_pass(&reader);

    for (i = 1; i < reader.entry.len; i++) {
        if (data[i] != (u_char) (data[0] + i)) {
            return -2;
        }
    }

    return data[0];
}


/* What is between the oldest place and the head are entries, one by one. */

static ngx_uint_t
whole(ngx_http_async_channel_log_t *log)
{
    uint64_t                         place;
    ngx_http_async_channel_entry_t  *e;

    for (place = log->tail; place < log->head; place += e->size) {
        e = (ngx_http_async_channel_entry_t *) (log->ring + place % log->size);

        if (e->size == 0 || e->size % 8 || place % log->size + e->size
                                           > log->size)
        {
            return 0;
        }

        if (e->kind == NGX_HTTP_ASYNC_CHANNEL_MESSAGE
            && log->numbers[e->hash] <= e->number)
        {
            return 0;
        }
    }

    return place == log->head && log->head - log->tail <= log->size;
}


static void
wraps(void)
{
    size_t                         len;
    uint64_t                       missed;
    ngx_uint_t                     i, bad;
    ngx_http_async_channel_log_t  *log;

    log = make(RING);
    bad = 0;

    for (i = 0; i < 5000; i++) {
        len = 1 + i * 37 % ngx_http_async_channel_max(log);
        say(log, (i % 3) ? "a" : "bcd", i, len);

        bad += (hear(&missed) != (ngx_int_t) (u_char) i || missed
                || !whole(log));
    }

    ngx_stub_ok(bad == 0, "5000 messages of all lengths, one by one");
    ngx_stub_ok(hear(&missed) == -1, "... and no other");

    drop(log);
}


static void
is_passed(void)
{
    uint64_t                       missed, all, heard;
    ngx_int_t                      n;
    ngx_uint_t                     i;
    ngx_http_async_channel_log_t  *log;

    log = make(RING);
    all = heard = 0;

    for (i = 0; i < 2000; i++) {
        say(log, "a", i, 50);

        if (i % 97 == 0) {
            while ((n = hear(&missed)) >= 0) {
                all += missed;
                heard++;
            }
        }
    }

    while ((n = hear(&missed)) >= 0) {
        all += missed;
        heard++;
    }

    ngx_stub_ok(n == -1, "a reader that is passed by hears what is whole");
    ngx_stub_ok(all > 1000 && heard > 100 && all + heard == 2000,
                "... and knows exactly what it has missed");

    drop(log);
}


/* Of a name whose messages have all gone, and no other one comes. */

static void
is_passed_quietly(void)
{
    uint64_t                       missed, place;
    ngx_int_t                      n;
    ngx_uint_t                     i, told, hash;
    ngx_str_t                      name = ngx_string("quiet");
    ngx_http_async_channel_log_t  *log;

    log = make(RING);
    hash = ngx_http_async_channel_hash(&name);

    say(log, "quiet", 1, 8);
    say(log, "quiet", 2, 8);

    for (i = 0; i < 100; i++) {
        say(log, "a", i, 50);
    }

    ngx_stub_ok(!ngx_http_async_channel_passed(&reader, &place),
                "a reader does not know at once that it is passed by");

    (void) hear(&missed);

    ngx_stub_ok(!ngx_http_async_channel_passed(&reader, &place),
                "... nor what it has missed before it has read the rest");

    /* what comes then is no part of that */
    say(log, "quiet", 3, 8);

    for (told = 0; !told && (n = hear(&missed)) >= 0; /* void */) {
        told = ngx_http_async_channel_passed(&reader, &place);
    }

    ngx_stub_ok(told && ngx_http_async_channel_missing(&reader, hash) == 2
                && place <= log->head,
                "... but then, without another one of that name");
    ngx_stub_ok(ngx_http_async_channel_missing(&reader, hash) == 0
                && !ngx_http_async_channel_passed(&reader, &place),
                "... once");
    ngx_stub_ok(hear(&missed) == 3 && missed == 0, "... and not with the next");

    /* passed by again and again, before it has come to the head */

    for (i = told = 0; i < 4; i++) {
        say(log, "quiet", 4, 8);
        for (n = 0; n < 100; n++) {
            say(log, "a", n, 50);
        }

        (void) hear(&missed);

        if (ngx_http_async_channel_passed(&reader, &place)) {
            told += ngx_http_async_channel_missing(&reader, hash);
        }
    }

    ngx_stub_ok(told == 3, "it is told while it is passed by again and again");

    do {
        if (ngx_http_async_channel_passed(&reader, &place)) {
            told += ngx_http_async_channel_missing(&reader, hash);
        }

    } while (hear(&missed) >= 0);

    if (ngx_http_async_channel_passed(&reader, &place)) {
        told += ngx_http_async_channel_missing(&reader, hash);
    }

    ngx_stub_ok(told == 4, "... and all in the end");

    drop(log);
}


static void
is_woken(void)
{
    uint64_t                       missed;
    ngx_str_t                      name = ngx_string("a");
    ngx_uint_t                     i;
    ngx_http_async_channel_log_t  *log;

    log = make(RING);

    /* another worker writes */
    ngx_async_peer_self.slot = 1;

    *wakes = 0;
    say(log, "a", 1, 8);
    ngx_stub_ok(*wakes == 0, "nobody is woken who does not want it");

    (void) hear(&missed);
    ngx_http_async_channel_want(&reader, ngx_http_async_channel_hash(&name),
                                1);

    say(log, "a", 2, 8);
    say(log, "a", 3, 8);
    ngx_stub_ok(*wakes == 1, "who does is woken once");

    while (hear(&missed) >= 0) { /* void */ }

    say(log, "a", 4, 8);
    ngx_stub_ok(*wakes == 2, "... and again when it has read all");

    while (hear(&missed) >= 0) { /* void */ }

    for (i = 0; i < RING / 2 / 40; i++) {
        say(log, "other", i, 8);
    }

    ngx_stub_ok(*wakes == 2, "not for another channel");

    for (i = 0; i < 4; i++) {
        say(log, "other", i, 8);
    }

    ngx_stub_ok(*wakes == 3, "... but when it lags by half of the ring");

    while (hear(&missed) >= 0) { /* void */ }
    ngx_http_async_channel_rest(&reader);

    for (i = 0; i < 100; i++) {
        say(log, "a", i, 8);
    }

    ngx_stub_ok(*wakes == 3, "who rests is left alone");

    ngx_async_peer_self.slot = 0;
    drop(log);
}


/* A child that writes "len" bytes, after so many steps of it; 1: it was done */

static int
dies(ngx_http_async_channel_log_t *log, size_t len, ngx_uint_t steps)
{
    int    status;
    pid_t  pid;

    pid = fork();

    if (pid == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0) {
            raise(SIGSTOP);
            say(log, "a", 200, len);
        }

        _exit(0);
    }

    if (pid == -1 || waitpid(pid, &status, 0) == -1 || !WIFSTOPPED(status)) {
        return -1;
    }

    while (steps--) {
        if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == -1
            || waitpid(pid, &status, 0) == -1)
        {
            return -1;
        }

        if (WIFEXITED(status)) {
            return 1;
        }
    }

    kill(pid, SIGKILL);

    return (waitpid(pid, &status, 0) == pid) ? 0 : -1;
}


/* "before" bytes are in the ring when it comes */

static int
dying(size_t before, size_t len)
{
    int                            rc;
    uint64_t                       missed, head;
    ngx_int_t                      n;
    ngx_str_t                      name = ngx_string("a");
    ngx_uint_t                     steps, stride, i, bad, with, without;
    ngx_uint_t                     unheard;
    ngx_http_async_channel_log_t  *log;

    bad = with = without = unheard = died = 0;
    stride = getenv("TEST_NGINX_LONG") ? 1 : STRIDE;

    for (steps = 1, rc = 0; rc == 0; steps += stride) {

        log = make(RING);

        for (i = 0; log->head < before; i++) {
            say(log, (i % 2) ? "a" : "b", i, 8 + i % 5 * 8);
        }

        ngx_http_async_channel_begin(&reader);
        ngx_http_async_channel_want(&reader,
                                    ngx_http_async_channel_hash(&name), 1);

        *wakes = 0;
        head = log->head;

        ngx_async_peer_self.slot = 1;

        rc = dies(log, len, steps);

        if (rc == -1) {
            ngx_async_peer_self.slot = 0;
            drop(log);
            return -1;
        }

        /* in whose place there is another worker */
        memset(&successor, 0, sizeof(successor));
        ngx_http_async_channel_join(&successor, log);
        unheard += (log->head != head && *wakes == 0);
        ngx_http_async_channel_leave(&successor);

        ngx_async_peer_self.slot = 0;

        /* who comes next */
        say(log, "a", 100, 24);

        n = hear(&missed);

        if (n == 200) {
            with++;
            bad += (missed != 0);
            n = hear(&missed);

        } else {
            without++;
        }

        bad += (n != 100 || missed || hear(&missed) != -1 || !whole(log));

        drop(log);
    }

    ngx_stub_ok(bad == 0, "%d writers died with %d bytes at %d: whole",
                (int) (with + without), (int) len, (int) before);
    ngx_stub_ok(with && without && died,
                "... %d times without the message, %d with it, %d times in "
                "the lock", (int) without, (int) with, (int) died);
    ngx_stub_ok(unheard == 0, "... those who want it are woken: %d were not",
                (int) unheard);

    return 0;
}


int
main(void)
{
    cycle.log = &error_log;

    wakes = mmap(NULL, sizeof(ngx_uint_t), PROT_READ|PROT_WRITE,
                 MAP_SHARED|MAP_ANONYMOUS, -1, 0);

    wraps();
    is_passed();
    is_passed_quietly();
    is_woken();

    if (dying(0, 40) == -1) {
        ngx_stub_ok(1, "no ptrace here: writers are not killed");
        return ngx_stub_done();
    }

    /* the oldest ones give way; the ring wraps, and is filled before */

    (void) dying(3000, 100);
    (void) dying(RING - 60, 120);

    return ngx_stub_done();
}
