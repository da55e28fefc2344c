
/*
 * Copyright (C) the nginx-async authors
 *
 * Schemas: models made ready for use, once a worker: names measured, bounds and
 * defaults parsed, patterns compiled.  And how a value is read by one, from
 * text (parameters, forms, defaults) or from JSON, with errors in the form of
 * pydantic.  Pure: knows no request, and may be used in any thread.
 */

#ifndef _NGX_HTTP_ASYNC_SCHEMA_H_INCLUDED_
#define _NGX_HTTP_ASYNC_SCHEMA_H_INCLUDED_


#include <ngx_http_async_model.h>


typedef struct ngx_http_async_schema_s  ngx_http_async_schema_t;


/* a field; what else its reading needs, ngx_http_async_schema.c adds */

typedef struct {
    const async_field_t        *field;
    ngx_str_t                   name;         /* outside */
    ngx_uint_t                  kind;         /* ASYNC_MEMBER_..., bare */
    size_t                      size;         /* of the value, or an item */
    ngx_http_async_schema_t    *schema;       /* of an object */

    unsigned                    list:1;
    unsigned                    pointer:1;
    unsigned                    nullable:1;
    unsigned                    required:1;
} ngx_http_async_schema_field_t;


struct ngx_http_async_schema_s {
    const async_model_t            *model;
    ngx_http_async_schema_field_t  *fields;
    ngx_uint_t                      n;
};


/* where a value is, for the errors: on the stack of whoever reads */

typedef struct ngx_http_async_loc_s  ngx_http_async_loc_t;

struct ngx_http_async_loc_s {
    ngx_http_async_loc_t       *up;           /* NULL: the first, "body" */
    ngx_str_t                   name;         /* no data: an index */
    ngx_uint_t                  index;
};


typedef struct {
    ngx_pool_t                 *pool;         /* of what is made */
    json_t                     *errors;       /* an array, or NULL: none yet */
} ngx_http_async_reading_t;


/* made by ngx_http_async_schema_make(), before anything is read by it */
#define ngx_http_async_schema(model)                                         \
    ((ngx_http_async_schema_t *) *(model)->schema)


/*
 * NGX_OK; NGX_DECLINED: the descriptor is wrong, and how, beyond what
 * ngx_http_async_model_check() sees; NGX_ERROR.  Those of its objects are made
 * with it, circles included.
 */
ngx_int_t ngx_http_async_schema_make(const async_model_t *model,
    ngx_pool_t *pool, u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN]);


/*
 * Records an error; input and ctx (or NULL) are stolen.  Returns NGX_DECLINED,
 * or NGX_ERROR without memory.
 */
ngx_int_t ngx_http_async_reading_fail(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, const char *type, ngx_str_t *msg,
    json_t *input, json_t *ctx);


/*
 * All of these: NGX_OK, with what "to" points to written; NGX_DECLINED, with at
 * least one error recorded; NGX_ERROR without memory.
 *
 * "to" is where the value is: of a pointer and of a list, what it points to.
 */

/* One value (of a list, an item) of text, as a query has it; constrained. */
ngx_int_t ngx_http_async_schema_text(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *to);

/*
 * Bounds, lengths, pattern, choices and check of a value that has been read.
 * "input" is called for the error, and gives a new value.
 */
typedef json_t *(*ngx_http_async_input_pt)(void *data);

ngx_int_t ngx_http_async_schema_constrain(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, void *to,
    ngx_http_async_input_pt input, void *data);

/* The same for the number of a list's items. */
ngx_int_t ngx_http_async_schema_count(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, size_t n,
    ngx_http_async_input_pt input, void *data);

/*
 * What a struct has in a field that is not there: its default, nothing, or the
 * error "missing" with that input, which is stolen.
 */
ngx_int_t ngx_http_async_schema_absent(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, void *object,
    json_t *input);

/* An object of JSON text into a struct. */
ngx_int_t ngx_http_async_schema_json(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_t *schema,
    ngx_str_t *text, void *object);

/* A value of any field of JSON text, lists included: of defaults and forms. */
ngx_int_t ngx_http_async_schema_json_field(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *object);


#endif /* _NGX_HTTP_ASYNC_SCHEMA_H_INCLUDED_ */
