
/*
 * Copyright (C) the nginx-async authors
 *
 * Functions of apps in processes of their own.  The process runs nginx's own
 * binary with this module preloaded, whose constructor takes over before
 * main(): so the app finds the symbols that it was linked for, and nothing else
 * is to be installed.  It gets
 *
 *     3    memory that both sides have mapped: the record below
 *     4    the private copy of the app, see ngx_http_async_app.h
 *     5    this module's file
 *
 * and the variable NGX_HTTP_ASYNC_PROCESS_ENV, the index of the function.
 */

#ifndef _NGX_HTTP_ASYNC_PROCESS_H_INCLUDED_
#define _NGX_HTTP_ASYNC_PROCESS_H_INCLUDED_


#include <ngx_http_async_app.h>
#include <ngx_async_process.h>


#define NGX_HTTP_ASYNC_PROCESS_ENV     "NGX_ASYNC_PROCESS"

#define NGX_HTTP_ASYNC_PROCESS_MAX     (1024 * 1024)

/* of a name in async_error() */
#define NGX_HTTP_ASYNC_PROCESS_SHOWN   60

/* beside ASYNC_PROCESS_...: standard output is standard error, for the log */
#define NGX_HTTP_ASYNC_PROCESS_TO_LOG  0x8000


typedef enum {
    NGX_HTTP_ASYNC_PROCESS_NEW = 0,
    NGX_HTTP_ASYNC_PROCESS_BEGUN,
    NGX_HTTP_ASYNC_PROCESS_FAILED,            /* the error says why */
    NGX_HTTP_ASYNC_PROCESS_RETURNED
} ngx_http_async_process_state_e;


typedef struct {
    char                        version[sizeof(ASYNC_VERSION)];
    size_t                      size;         /* of all of it */
    pid_t                       parent;
    int                         state;
    async_rc_t                  rc;
    u_char                      error[NGX_ASYNC_ERROR_LEN];

    /* the argument */
    size_t                      arg_size;
    max_align_t                 arg[];
} ngx_http_async_process_record_t;


/*
 * A process that runs, on the stack of an await or in a handle, and what the
 * command asked for that has started it.  A function may have written anywhere
 * in the record: nothing there is believed.
 */

typedef struct {
    ngx_async_process_t              *process;
    ngx_http_async_process_record_t  *record;     /* NULL: of a program */
    void                             *arg;
    size_t                            arg_size;
    size_t                            max;
    unsigned                          flags;

    /* for messages */
    size_t                            name_len;
    u_char                            name[NGX_HTTP_ASYNC_PROCESS_SHOWN];
} ngx_http_async_running_t;


/* What is wrong with a command; flags: those that the call takes. */
async_rc_t ngx_http_async_process_wrong(ngx_async_task_t *t,
    const async_command_t *command, unsigned flags);

/*
 * Starts it, and has its errors collected unless they are to be read.  pieces:
 * its input is a pipe in any case.  ASYNC_OK: *run is the caller's.
 */
async_rc_t ngx_http_async_process_start(ngx_async_task_t *t,
    async_command_t *command, ngx_uint_t pieces,
    ngx_http_async_running_t *run);

/* Nothing has come of it so far. */
void ngx_http_async_process_nothing(async_command_t *command);

/*
 * Suspends until it has ended (collected: and all has come), puts into the
 * command what has come of it, and lets go of it.  If the await ends otherwise,
 * it is killed, and its group with it.
 */
async_rc_t ngx_http_async_process_ending(ngx_async_task_t *t,
    async_command_t *command, ngx_http_async_running_t *run,
    ngx_uint_t collected);

/* Lets go of it at once; one that runs is killed. */
void ngx_http_async_process_let_go(ngx_http_async_running_t *run);


/* When apps are configured: this module's file is opened. */
ngx_int_t ngx_http_async_process_conf(ngx_conf_t *cf);

/* In a worker. */
ngx_int_t ngx_http_async_process_init(ngx_cycle_t *cycle,
    ngx_http_async_main_conf_t *mcf);

/* That of nginx, zero-terminated. */
extern const char  *ngx_http_async_process_prefix;

/* The function that ASYNC_PROCESS() has exported; NULL: none has. */
ngx_http_async_fn_t *ngx_http_async_process_find(async_thread_pt fn,
    ngx_uint_t *index);

/* The record as memory of both; *fd: for the process.  NULL: errno. */
ngx_http_async_process_record_t *ngx_http_async_process_record(void *arg,
    size_t size, int *fd);

/* A descriptor of this module's file; -1: it is part of the binary. */
extern int  ngx_http_async_process_module;

/* In the process: the record, else NULL. */
extern ngx_http_async_process_record_t  *ngx_http_async_process_self;


#endif /* _NGX_HTTP_ASYNC_PROCESS_H_INCLUDED_ */
