
/*
 * Copyright (C) the nginx-async authors
 *
 * From a thread to the loop: small messages, handled by the loop in the order
 * in which each thread has posted them.  Knows neither tasks nor jobs.
 */

#ifndef _NGX_ASYNC_MAIL_H_INCLUDED_
#define _NGX_ASYNC_MAIL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>


typedef struct ngx_async_mail_s  ngx_async_mail_t;

/* on the loop; the message is the handler's from then on */
typedef void (*ngx_async_mail_pt)(ngx_async_mail_t *m);


/* The first member of a message, which its poster owns until it is handled. */

struct ngx_async_mail_s {
    ngx_async_mail_t   *next;
    ngx_async_mail_pt   handler;
};


ngx_int_t ngx_async_mail_init(ngx_cycle_t *cycle);
void ngx_async_mail_exit(void);

/* Any thread. */
void ngx_async_mail_post(ngx_async_mail_t *m);

/* The loop: handles at once whatever has been posted before. */
void ngx_async_mail_drain(void);


#endif /* _NGX_ASYNC_MAIL_H_INCLUDED_ */
