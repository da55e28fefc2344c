
/*
 * Copyright (C) the nginx-async authors
 *
 * The log of what is published: see ngx_http_async_channel_log.h.  It knows no
 * channels, and nothing of nginx's requests.
 */

#include <ngx_http_async_channel_log.h>
#include <sys/random.h>


#define ngx_http_async_channel_align(size)  (((size) + 7) & ~(size_t) 7)

#define ngx_http_async_channel_load(p)  __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define ngx_http_async_channel_store(p, value)                               \
    __atomic_store_n(p, value, __ATOMIC_SEQ_CST)


static void ngx_http_async_channel_lock(ngx_http_async_channel_log_t *log);
static void ngx_http_async_channel_repair(ngx_http_async_channel_log_t *log);
static u_char *ngx_http_async_channel_room(ngx_http_async_channel_log_t *log,
    size_t size, uint64_t *place);
static void ngx_http_async_channel_free(ngx_http_async_channel_log_t *log,
    uint64_t end);
static void ngx_http_async_channel_tell(ngx_http_async_channel_log_t *log,
    ngx_http_async_channel_entry_t *e, uint64_t place);
static void ngx_http_async_channel_tell_one(ngx_http_async_channel_log_t *log,
    ngx_uint_t i, ngx_uint_t hash, uint64_t place);
static ngx_uint_t ngx_http_async_channel_wants(
    ngx_http_async_channel_slot_t *slot, ngx_uint_t hash);
static ngx_uint_t ngx_http_async_channel_copied(
    ngx_http_async_channel_reader_t *reader);
static void ngx_http_async_channel_count(
    ngx_http_async_channel_reader_t *reader);
static ngx_uint_t ngx_http_async_channel_at_end(
    ngx_http_async_channel_reader_t *reader);


static ngx_http_async_channel_entry_t *
ngx_http_async_channel_at(ngx_http_async_channel_log_t *log, uint64_t place)
{
    return (ngx_http_async_channel_entry_t *)
               (log->ring + place % log->size);
}


ngx_int_t
ngx_http_async_channel_log_init(ngx_http_async_channel_log_t *log,
    size_t ring, ngx_log_t *error_log)
{
    if (getrandom(&log->machine, sizeof(uint64_t), 0) != sizeof(uint64_t)) {
        ngx_log_error(NGX_LOG_EMERG, error_log, ngx_errno,
                      "getrandom() failed");
        return NGX_ERROR;
    }

    log->size = ring;

    if (ngx_async_robust_init(&log->mutex, error_log) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_robust_init(&log->listens, error_log);
}


ngx_uint_t
ngx_http_async_channel_hash(ngx_str_t *name)
{
    return ngx_murmur_hash2(name->data, name->len)
           % NGX_HTTP_ASYNC_CHANNEL_HASHES;
}


size_t
ngx_http_async_channel_max(ngx_http_async_channel_log_t *log)
{
    return log->size / 8;
}


static void
ngx_http_async_channel_lock(ngx_http_async_channel_log_t *log)
{
    if (ngx_async_robust_lock(&log->mutex)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "async channels: a worker process has ended while it "
                      "published, the log is repaired");

        ngx_http_async_channel_repair(log);
    }
}


/*
 * Numbers are those of the last messages of their hash, of which only that of
 * the last message of all may be behind.
 */

static void
ngx_http_async_channel_repair(ngx_http_async_channel_log_t *log)
{
    uint64_t                         place;
    ngx_uint_t                       i;
    ngx_http_async_channel_entry_t  *e;

    for (place = log->tail; place != log->head; place += e->size) {
        e = ngx_http_async_channel_at(log, place);

        if (e->kind != NGX_HTTP_ASYNC_CHANNEL_FILL) {
            log->numbers[e->hash] = e->number + 1;
        }
    }

    for (i = 0; i < NGX_ASYNC_PEERS; i++) {
        if (log->members[i / 64] & (1ULL << (i % 64))) {
            ngx_async_peer_wake(i);
        }
    }
}


void
ngx_http_async_channel_write(ngx_http_async_channel_log_t *log,
    ngx_http_async_channel_kind_e kind, ngx_str_t *name, ngx_str_t *data)
{
    size_t                           size;
    u_char                          *p;
    uint64_t                         place;
    ngx_http_async_channel_entry_t  *e;

    size = sizeof(ngx_http_async_channel_entry_t) + name->len + data->len;
    size = ngx_http_async_channel_align(size);

    ngx_http_async_channel_lock(log);

    p = ngx_http_async_channel_room(log, size, &place);

    e = (ngx_http_async_channel_entry_t *) p;

    e->size = size;
    e->kind = kind;
    e->name = name->len;
    e->len = data->len;
    e->hash = (kind == NGX_HTTP_ASYNC_CHANNEL_LOST)
              ? NGX_HTTP_ASYNC_CHANNEL_HASHES
              : ngx_http_async_channel_hash(name);
    e->number = log->numbers[e->hash];

    p = ngx_cpymem(e + 1, name->data, name->len);
    ngx_memcpy(p, data->data, data->len);

    /* from here on it is published */
    ngx_http_async_channel_store(&log->head, place + size);

    log->numbers[e->hash] = e->number + 1;

    ngx_http_async_channel_tell(log, e, place);

    ngx_async_robust_unlock(&log->mutex);
}


/* Entries are in one piece: what is too short for one at the end is filled. */

static u_char *
ngx_http_async_channel_room(ngx_http_async_channel_log_t *log, size_t size,
    uint64_t *place)
{
    size_t                           left;
    ngx_http_async_channel_entry_t  *e;

    *place = log->head;
    left = log->size - log->head % log->size;

    if (left < size) {
        ngx_http_async_channel_free(log, *place + left + size);

        /* of which there may be no more than the first members */

        e = ngx_http_async_channel_at(log, *place);

        e->size = left;
        e->kind = NGX_HTTP_ASYNC_CHANNEL_FILL;

        *place += left;

    } else {
        ngx_http_async_channel_free(log, *place + size);
    }

    return (u_char *) ngx_http_async_channel_at(log, *place);
}


/* Readers see that the oldest have gone before these are written over. */

static void
ngx_http_async_channel_free(ngx_http_async_channel_log_t *log, uint64_t end)
{
    uint64_t  tail;

    tail = log->tail;

    while (end - tail > log->size) {
        tail += ngx_http_async_channel_at(log, tail)->size;
    }

    ngx_http_async_channel_store(&log->tail, tail);

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}


/*
 * One that has been woken, and has not come to the place that it was woken for,
 * is not woken again: it reads on to the head before it rests.  It is told
 * first, and then this is noted: a second time does no harm.
 */

static void
ngx_http_async_channel_tell(ngx_http_async_channel_log_t *log,
    ngx_http_async_channel_entry_t *e, uint64_t place)
{
    uint64_t    members;
    ngx_uint_t  i, word;

    for (word = 0; word < NGX_ASYNC_PEERS / 64; word++) {

        for (members = log->members[word]; members; members &= members - 1) {
            i = 64 * word + __builtin_ctzll(members);

            if (i != ngx_async_peer_self.slot) {
                ngx_http_async_channel_tell_one(log, i, e->hash, place);
            }
        }
    }
}


static void
ngx_http_async_channel_tell_one(ngx_http_async_channel_log_t *log,
    ngx_uint_t i, ngx_uint_t hash, uint64_t place)
{
    uint64_t                        seen;
    ngx_http_async_channel_slot_t  *slot;

    slot = &log->slots[i];
    seen = ngx_http_async_channel_load(&slot->seen);

    if (seen != NGX_HTTP_ASYNC_CHANNEL_RESTS
        && slot->woken <= seen
        && (ngx_http_async_channel_wants(slot, hash)
            || place - seen > log->size / 2))
    {
        ngx_async_peer_wake(i);
        slot->woken = place + 1;
    }
}


static ngx_uint_t
ngx_http_async_channel_wants(ngx_http_async_channel_slot_t *slot,
    ngx_uint_t hash)
{
    if (hash == NGX_HTTP_ASYNC_CHANNEL_HASHES) {
        return 1;
    }

    return (ngx_http_async_channel_load(&slot->wants[hash / 64])
            >> (hash % 64)) & 1;
}


void
ngx_http_async_channel_join(ngx_http_async_channel_reader_t *reader,
    ngx_http_async_channel_log_t *log)
{
    ngx_uint_t  i;

    reader->log = log;

    i = ngx_async_peer_self.slot;

    if (i < NGX_ASYNC_PEERS) {
        reader->slot = &log->slots[i];
    }

    ngx_http_async_channel_lock(log);

    if (reader->slot) {
        /* of who has had it before, who may have died */
        ngx_memzero(reader->slot, sizeof(ngx_http_async_channel_slot_t));
        ngx_http_async_channel_rest(reader);
        log->members[i / 64] |= 1ULL << (i % 64);
    }

    ngx_async_robust_unlock(&log->mutex);
}


void
ngx_http_async_channel_leave(ngx_http_async_channel_reader_t *reader)
{
    ngx_uint_t  i;

    if (reader->slot == NULL) {
        return;
    }

    i = ngx_async_peer_self.slot;

    ngx_http_async_channel_lock(reader->log);

    reader->log->members[i / 64] &= ~(1ULL << (i % 64));

    ngx_async_robust_unlock(&reader->log->mutex);

    reader->slot = NULL;
}


void
ngx_http_async_channel_rest(ngx_http_async_channel_reader_t *reader)
{
    if (reader->slot) {
        ngx_http_async_channel_store(&reader->slot->seen,
                                     NGX_HTTP_ASYNC_CHANNEL_RESTS);
    }
}


void
ngx_http_async_channel_begin(ngx_http_async_channel_reader_t *reader)
{
    ngx_http_async_channel_log_t  *log;

    log = reader->log;

    reader->passed = 0;
    reader->again = 0;

    ngx_http_async_channel_lock(log);

    reader->place = log->head;
    ngx_memcpy(reader->numbers, log->numbers, sizeof(log->numbers));

    if (reader->slot) {
        ngx_http_async_channel_store(&reader->slot->seen, reader->place);
    }

    ngx_async_robust_unlock(&log->mutex);
}


void
ngx_http_async_channel_want(ngx_http_async_channel_reader_t *reader,
    ngx_uint_t hash, ngx_uint_t wanted)
{
    uint64_t  bit, *word;

    if (reader->slot == NULL) {
        return;
    }

    word = &reader->slot->wants[hash / 64];
    bit = 1ULL << (hash % 64);

    ngx_http_async_channel_store(word, wanted ? *word | bit : *word & ~bit);
}


uint64_t
ngx_http_async_channel_head(ngx_http_async_channel_log_t *log)
{
    return ngx_http_async_channel_load(&log->head);
}


ngx_int_t
ngx_http_async_channel_next(ngx_http_async_channel_reader_t *reader)
{
    ngx_http_async_channel_entry_t  *e;

    for ( ;; ) {

        if (ngx_http_async_channel_at_end(reader)) {
            return NGX_AGAIN;
        }

        e = ngx_http_async_channel_at(reader->log, reader->place);

        /* the rest of one that fills may be beyond the ring */

        ngx_memcpy(&reader->entry, e,
                   offsetof(ngx_http_async_channel_entry_t, len));

        if (!ngx_http_async_channel_copied(reader)) {
            continue;
        }

        if (reader->entry.kind == NGX_HTTP_ASYNC_CHANNEL_FILL) {
            reader->place += reader->entry.size;
            continue;
        }

        ngx_memcpy(&reader->entry, e, sizeof(ngx_http_async_channel_entry_t));
        ngx_memcpy(reader->name, e + 1, ngx_min(reader->entry.name,
                                                NGX_HTTP_ASYNC_CHANNEL_NAME));

        if (ngx_http_async_channel_copied(reader)) {
            break;
        }
    }

    reader->name[reader->entry.name] = '\0';
    reader->missed = reader->entry.number
                     - reader->numbers[reader->entry.hash];

    return NGX_OK;
}


/* Whoever publishes then sees that it has read all, or it sees that. */

static ngx_uint_t
ngx_http_async_channel_at_end(ngx_http_async_channel_reader_t *reader)
{
    uint64_t  head;

    head = ngx_http_async_channel_load(&reader->log->head);

    if (reader->place != head || reader->slot == NULL) {
        return reader->place == head;
    }

    if (reader->slot->seen != head) {
        ngx_http_async_channel_store(&reader->slot->seen, head);
        head = ngx_http_async_channel_load(&reader->log->head);
    }

    return reader->place == head;
}


/* Whether what has been copied was there; if not, it goes on at the oldest. */

static ngx_uint_t
ngx_http_async_channel_copied(ngx_http_async_channel_reader_t *reader)
{
    ngx_http_async_channel_log_t  *log;

    __atomic_thread_fence(__ATOMIC_ACQUIRE);

    log = reader->log;

    if (ngx_http_async_channel_load(&log->tail) <= reader->place) {
        return 1;
    }

    ngx_http_async_channel_lock(log);

    reader->place = log->tail;
    reader->resumed = reader->place;

    if (reader->passed) {
        /* first that is told, which would never be if this began anew */
        reader->again = 1;

    } else {
        ngx_http_async_channel_count(reader);
    }

    ngx_async_robust_unlock(&log->mutex);

    return 0;
}


/* In the lock: what it should know of when it comes to the head. */

static void
ngx_http_async_channel_count(ngx_http_async_channel_reader_t *reader)
{
    ngx_http_async_channel_log_t  *log;

    log = reader->log;

    reader->passed = 1;
    reader->again = 0;
    reader->head = log->head;
    ngx_memcpy(reader->counts, log->numbers, sizeof(log->numbers));
}


ngx_uint_t
ngx_http_async_channel_passed(ngx_http_async_channel_reader_t *reader,
    uint64_t *place)
{
    if (reader->again && !reader->passed) {
        ngx_http_async_channel_lock(reader->log);
        ngx_http_async_channel_count(reader);
        ngx_async_robust_unlock(&reader->log->mutex);
    }

    if (!reader->passed || reader->place < reader->head) {
        return 0;
    }

    reader->passed = 0;
    *place = ngx_min(reader->resumed, reader->head);

    return 1;
}


uint64_t
ngx_http_async_channel_missing(ngx_http_async_channel_reader_t *reader,
    ngx_uint_t hash)
{
    uint64_t  n, *number;

    number = &reader->numbers[hash];

    if (*number >= reader->counts[hash]) {
        return 0;
    }

    n = reader->counts[hash] - *number;
    *number = reader->counts[hash];

    return n;
}


ngx_int_t
ngx_http_async_channel_data(ngx_http_async_channel_reader_t *reader,
    u_char *to)
{
    u_char  *from;

    from = (u_char *) ngx_http_async_channel_at(reader->log, reader->place);
    from += sizeof(ngx_http_async_channel_entry_t) + reader->entry.name;

    ngx_memcpy(to, from, reader->entry.len);

    return ngx_http_async_channel_copied(reader) ? NGX_OK : NGX_AGAIN;
}


void
ngx_http_async_channel_pass(ngx_http_async_channel_reader_t *reader)
{
    reader->numbers[reader->entry.hash] = reader->entry.number + 1;
    reader->place += reader->entry.size;

    if (reader->slot) {
        ngx_http_async_channel_store(&reader->slot->seen, reader->place);
    }
}
