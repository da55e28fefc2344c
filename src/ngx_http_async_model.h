
/*
 * Copyright (C) the nginx-async authors
 *
 * Models: descriptors of an app's structs, made by ASYNC_MODEL().  Pure:
 * allocates nothing, knows no request.
 *
 * An app may have been compiled with fewer attributes than this module has, so
 * fields are taken by ngx_http_async_model_field() only, and an attribute that
 * came after the first version ("optional" is the last of that) is looked at if
 * field_size covers it, or in a copy.  More attributes than the module knows
 * are refused when the app is inspected.
 */

#ifndef _NGX_HTTP_ASYNC_MODEL_H_INCLUDED_
#define _NGX_HTTP_ASYNC_MODEL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

/* the app's own description is no part of the module */
#define NGX_ASYNC_MODULE  1

#include <ngx_async.h>


#define NGX_HTTP_ASYNC_MODEL_ERROR_LEN  1024


#define ngx_http_async_model_field(model, i)                                 \
    ((const async_field_t *) ((u_char *) (model)->fields                     \
                              + (i) * (model)->field_size))

/* what the member is: of a pointer, what it points to; of a list, its items */
#define ngx_http_async_model_kind(field)                                     \
    ((ngx_uint_t) (field)->kind & ASYNC_MEMBER_KIND)

#define ngx_http_async_model_is_pointer(field)                               \
    ((field)->kind & ASYNC_MEMBER_POINTER)
#define ngx_http_async_model_is_list(field)                                  \
    ((field)->kind & ASYNC_MEMBER_LIST)

/* whether null is a value of it */
#define ngx_http_async_model_is_optional(field)                              \
    ((field)->optional || ngx_http_async_model_is_pointer(field))

/* attributes that an older app may not have: see above */

#define ngx_http_async_model_choices(model, field)                           \
    ((model)->field_size >= offsetof(async_field_t, check)                   \
     ? (field)->choices : NULL)

#define ngx_http_async_model_within(model, field)                            \
    ((model)->field_size >= offsetof(async_field_t, in)                      \
     ? (field)->model : NULL)

/* what it is called outside */
#define ngx_http_async_model_name(field)                                     \
    ((field)->name ? (field)->name : (field)->member)


/* NGX_OK, or NGX_DECLINED: the descriptor is wrong, and how. */
ngx_int_t ngx_http_async_model_check(const async_model_t *model,
    u_char error[NGX_HTTP_ASYNC_MODEL_ERROR_LEN]);

/* Says what is wrong, with the model's name and place; NGX_DECLINED. */
ngx_int_t ngx_http_async_model_fail(const async_model_t *model, u_char *error,
    const char *fmt, ...);

/* A field with all of its attributes; those that the app does not have: 0. */
void ngx_http_async_model_copy(const async_model_t *model, ngx_uint_t i,
    async_field_t *field);

/* Makes the fields of the struct absent, and leaves the rest alone. */
void ngx_http_async_model_clear(const async_model_t *model, void *to);

/* How large a value is (of an object, see its model), and its type in C. */
size_t ngx_http_async_model_size(ngx_uint_t kind);
const char *ngx_http_async_model_type(ngx_uint_t kind);

/* The integers of a kind, as far as int64_t has them. */
void ngx_http_async_model_range(ngx_uint_t kind, int64_t *min, int64_t *max);

/*
 * Write a value of a kind.  NGX_DECLINED: it does not fit, and nothing has been
 * written.  A float is rounded, NaN and infinity are values.
 */
ngx_int_t ngx_http_async_model_int(ngx_uint_t kind, void *to, int64_t value);
ngx_int_t ngx_http_async_model_float(ngx_uint_t kind, void *to, double value);


/* An integer of a kind; of uint64_t, the same bits. */

static ngx_inline int64_t
ngx_http_async_model_integer(ngx_uint_t kind, const void *from)
{
    switch (kind) {

    case ASYNC_MEMBER_INT8:
        return *(const int8_t *) from;

    case ASYNC_MEMBER_INT16:
        return *(const int16_t *) from;

    case ASYNC_MEMBER_INT32:
        return *(const int32_t *) from;

    case ASYNC_MEMBER_UINT8:
        return *(const uint8_t *) from;

    case ASYNC_MEMBER_UINT16:
        return *(const uint16_t *) from;

    case ASYNC_MEMBER_UINT32:
        return *(const uint32_t *) from;

    default:
        return *(const int64_t *) from;
    }
}


#endif /* _NGX_HTTP_ASYNC_MODEL_H_INCLUDED_ */
