
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


/* in the order in which pydantic looks at them */

typedef enum {
    NGX_HTTP_ASYNC_BOUND_LE = 0,
    NGX_HTTP_ASYNC_BOUND_LT,
    NGX_HTTP_ASYNC_BOUND_GE,
    NGX_HTTP_ASYNC_BOUND_GT,
    NGX_HTTP_ASYNC_BOUNDS
} ngx_http_async_bound_e;


typedef struct {
    int64_t                     integer;      /* of an integer */
    double                      number;       /* of the others */
    ngx_str_t                   text;         /* for words; no data: none */
} ngx_http_async_bound_t;


/* a field: a copy of what the app has, and what its reading needs */

typedef struct {
    const async_field_t        *field;
    ngx_str_t                   name;         /* outside */
    ngx_uint_t                  kind;         /* ASYNC_MEMBER_..., bare */
    size_t                      size;         /* of the value, or an item */
    ngx_http_async_schema_t    *schema;       /* of an object */

    ngx_http_async_bound_t      bounds[NGX_HTTP_ASYNC_BOUNDS];
    void                       *pattern;      /* pcre2_code *; NULL: none */
    ngx_str_t                  *choices;      /* NULL: any value */
    ngx_uint_t                  nchoices;
    ngx_str_t                   expected;     /* "'red' or 'blue'" */
    void                       *value;        /* the default; NULL: read it */
    async_check_pt              check;

    unsigned                    list:1;
    unsigned                    pointer:1;
    unsigned                    nullable:1;
    unsigned                    required:1;
    unsigned                    bounded:1;    /* has a bound */
} ngx_http_async_schema_field_t;


struct ngx_http_async_schema_s {
    const async_model_t            *model;
    ngx_http_async_schema_field_t  *fields;
    ngx_uint_t                      n;
    ngx_http_async_schema_t        *next;     /* made by the same call */
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
    size_t                      told;         /* bytes of their words */
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
 * Whether a handler may declare the model as that, ASYNC_ATTRIBUTE_PARAMS,
 * _BODY or _FORM: NGX_OK, or NGX_DECLINED, and why not.
 */
ngx_int_t ngx_http_async_schema_fits(const async_model_t *model,
    int attribute, u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN]);


/*
 * Records an error; input and ctx (or NULL) are stolen.  Returns NGX_DECLINED,
 * or NGX_ERROR without memory.  Past so many of them, or bytes of their words
 * and places, it counts as recorded: what a client sends must not become a
 * response many times as large.  The first one always is.
 */
#define NGX_HTTP_ASYNC_READING_ERRORS  1000
#define NGX_HTTP_ASYNC_READING_TOLD    262144

#define ngx_http_async_reading_is_full(reading)                              \
    (json_array_size((reading)->errors) >= NGX_HTTP_ASYNC_READING_ERRORS     \
     || ((reading)->told >= NGX_HTTP_ASYNC_READING_TOLD                      \
         && json_array_size((reading)->errors) > 0))

ngx_int_t ngx_http_async_reading_fail(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, const char *type, ngx_str_t *msg,
    json_t *input, json_t *ctx);


/* The first one in words, zero-terminated before "last". */
void ngx_http_async_reading_words(ngx_http_async_reading_t *reading, u_char *p,
    u_char *last);


/*
 * All of these: NGX_OK, with what "to" points to written; NGX_DECLINED, with at
 * least one error recorded; NGX_ERROR without memory.
 *
 * "to" is where the value is: of a pointer and of a list, what it points to.
 */

/*
 * Where the value of a field goes, in a struct: memory is made for a pointer,
 * and for the n items of a list, which may be none.  NULL: no memory.
 */
void *ngx_http_async_schema_place(ngx_http_async_reading_t *reading,
    ngx_http_async_schema_field_t *f, void *object);
void *ngx_http_async_schema_items(ngx_http_async_reading_t *reading,
    ngx_http_async_schema_field_t *f, void *object, size_t n);

/*
 * One value (of a list, an item) of text, as a query has it; constrained.  The
 * text is zero-terminated and lives as long as what is made: it may become the
 * value as it is.  Not of objects and uploads.
 */
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

/*
 * An integer into a member that may be smaller, and has no choices;
 * constrained, as above.
 */
ngx_int_t ngx_http_async_schema_int(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, int64_t value,
    void *to, ngx_http_async_input_pt input, void *data);

/* The same of an integer beyond int64_t, of which uint64_t has some. */
ngx_int_t ngx_http_async_schema_wide(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *to, ngx_http_async_input_pt input, void *data);

/* A choice into an integer. */
ngx_int_t ngx_http_async_schema_index(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *to, ngx_http_async_input_pt input, void *data);

/* The same as of integers, of a number that is finite. */
ngx_int_t ngx_http_async_schema_float(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f, double value,
    void *to, ngx_http_async_input_pt input, void *data);

/*
 * The same for the number of a list's items.  For pydantic, too many are an
 * error before the items are read, too few once all of them are valid.
 */
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

/* The text itself if it is UTF-8, or a copy with U+FFFD for what is none. */
ngx_int_t ngx_http_async_schema_utf8(ngx_pool_t *pool, ngx_str_t *text,
    ngx_str_t *valid);

/* Text as the input of an error: a new string; null without memory. */
json_t *ngx_http_async_schema_input(ngx_pool_t *pool, ngx_str_t *text);

/* An object of JSON text into a struct. */
ngx_int_t ngx_http_async_schema_json(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_t *schema,
    ngx_str_t *text, void *object);

/* A value of any field of JSON text, lists included: of defaults and forms. */
ngx_int_t ngx_http_async_schema_json_field(ngx_http_async_reading_t *reading,
    ngx_http_async_loc_t *loc, ngx_http_async_schema_field_t *f,
    ngx_str_t *text, void *object);


#endif /* _NGX_HTTP_ASYNC_SCHEMA_H_INCLUDED_ */
