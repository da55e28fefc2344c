
/*
 * Copyright (C) the nginx-async authors
 *
 * What a request has been given by its plan: values of dependencies and structs
 * made of it.  A copy of the request, for a thread or for one of several that
 * run together, has one of its own.
 */

#ifndef _NGX_HTTP_ASYNC_GIVEN_H_INCLUDED_
#define _NGX_HTTP_ASYNC_GIVEN_H_INCLUDED_


#include <ngx_http_async_request.h>
#include <ngx_http_async_plan.h>
#include <ngx_http_async_arena.h>


typedef enum {
    NGX_HTTP_ASYNC_GIVEN_NOT = 0,             /* not yet */
    NGX_HTTP_ASYNC_GIVEN_DONE,
    NGX_HTTP_ASYNC_GIVEN_INVALID,             /* the request does not fit */
    NGX_HTTP_ASYNC_GIVEN_UNNEEDED             /* ngx_http_async_handed.c */
} ngx_http_async_given_e;


typedef struct {
    void                       *value;
    ngx_http_async_given_e      state;
    ngx_uint_t                  bound;        /* it ends with the task */
} ngx_http_async_slot_t;


struct ngx_http_async_given_s {
    ngx_http_async_plan_t      *plan;
    ngx_http_async_step_t      *step;         /* whose function runs */
    ngx_http_async_slot_t      *steps;
    ngx_http_async_slot_t      *models;
    ngx_http_async_arena_t     *arena;        /* NULL: it needs none */
    ngx_uint_t                  hands_on;     /* ngx_http_async_handed.c */

    /* what a thread is to run: up to "to"; the first of those together */
    ngx_uint_t                  from;
    ngx_uint_t                  to;
    ngx_uint_t                  group;
};


/* Nothing yet; memory of the pool. */
ngx_int_t ngx_http_async_given_init(ngx_http_async_given_t *given,
    ngx_http_async_plan_t *plan, ngx_pool_t *pool);

/* A copy, with slots of its own; and what is new in it back. */
ngx_int_t ngx_http_async_given_copy(ngx_http_async_given_t *to,
    ngx_http_async_given_t *from, ngx_pool_t *pool);
void ngx_http_async_given_back(ngx_http_async_given_t *to,
    ngx_http_async_given_t *from);

/* The errors of a copy of the request go over. */
async_rc_t ngx_http_async_given_errors(async_req_t *req, async_req_t *copy);

/* The dependency that runs, or ran last, for messages; NULL: none. */
const char *ngx_http_async_given_name(async_req_t *req);

/* What the function of the request, a dependency, has provided. */
void *ngx_http_async_given_value(async_req_t *req);


#endif /* _NGX_HTTP_ASYNC_GIVEN_H_INCLUDED_ */
