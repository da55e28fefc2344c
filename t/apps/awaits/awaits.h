
/*
 * What stands in an await of t/awaits.t, and what others.c has of them.
 */

#ifndef _AWAITS_H_INCLUDED_
#define _AWAITS_H_INCLUDED_


#include <ngx_async.h>


/* more than the buffers of a connection hold, as the test has them */
#define MUCH  1000000


typedef struct {
    char                path[400];
} gate_t;


typedef struct {
    async_req_t        *req;
    const char         *id;
    const char         *root;
    gate_t              begin;
    gate_t              gate;

    int                 held;
    async_child_t      *child;
    async_mutex_t       mutex;
    async_semaphore_t   semaphore;
    async_event_t       event;
    async_queue_t       queue;
    async_file_t       *file;
    async_socket_t     *socket;
    async_response_t   *response;
    async_pg_stream_t  *stream;
    async_pg_copy_t    *copy;
    async_pg_listener_t  *listener;
} scene_t;


const char *letters(void);

async_rc_t resolve(async_t *co, void *arg);
async_rc_t tls(async_t *co, void *arg);
async_rc_t will_recv(async_t *co, void *arg);
async_rc_t will_send(async_t *co, void *arg);
async_rc_t receives(async_t *co, void *arg);
async_rc_t recv_all(async_t *co, void *arg);
async_rc_t recv_until(async_t *co, void *arg);
async_rc_t send_all(async_t *co, void *arg);
async_rc_t fetch(async_t *co, void *arg);
async_rc_t fetch_body(async_t *co, void *arg);
async_rc_t fetch_stream(async_t *co, void *arg);
async_rc_t response_read(async_t *co, void *arg);

async_rc_t pg(async_t *co, void *arg);
async_rc_t pg_pipeline(async_t *co, void *arg);
async_rc_t has_connection(async_t *co, void *arg);
async_rc_t pg_begin(async_t *co, void *arg);
async_rc_t pg_begun(async_t *co, void *arg);
async_rc_t pg_commit(async_t *co, void *arg);
async_rc_t pg_stream(async_t *co, void *arg);
async_rc_t pg_streams(async_t *co, void *arg);
async_rc_t pg_next(async_t *co, void *arg);
async_rc_t pg_copy(async_t *co, void *arg);
async_rc_t pg_copies(async_t *co, void *arg);
async_rc_t pg_copy_get(async_t *co, void *arg);
async_rc_t pg_takes(async_t *co, void *arg);
async_rc_t pg_copy_put(async_t *co, void *arg);
async_rc_t pg_takes_one(async_t *co, void *arg);
async_rc_t pg_copy_close(async_t *co, void *arg);
async_rc_t pg_listen(async_t *co, void *arg);
async_rc_t pg_listens(async_t *co, void *arg);
async_rc_t pg_notification(async_t *co, void *arg);


#endif /* _AWAITS_H_INCLUDED_ */
