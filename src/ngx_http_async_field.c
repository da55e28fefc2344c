
/*
 * Copyright (C) the nginx-async authors
 *
 * Header fields: see ngx_http_async_field.h.
 */

#include <ngx_http_async_field.h>


static const uint32_t  ngx_http_async_tchar[] = {
    0x00000000, /* 0000 0000 0000 0000  0000 0000 0000 0000 */

                /* ?>=< ;:98 7654 3210  /.-, +*)( '&%$ #"!  */
    0x03ff6cfa, /* 0000 0011 1111 1111  0110 1100 1111 1010 */

                /* _^]\ [ZYX WVUT SRQP  ONML KJIH GFED CBA@ */
    0xc7fffffe, /* 1100 0111 1111 1111  1111 1111 1111 1110 */

                /*  ~}| {zyx wvut srqp  onml kjih gfed cba` */
    0x57ffffff, /* 0101 0111 1111 1111  1111 1111 1111 1111 */

    0, 0, 0, 0
};


ngx_uint_t
ngx_http_async_is_tchar(u_char ch)
{
    return (ngx_http_async_tchar[ch >> 5] & (1U << (ch & 0x1f))) != 0;
}


ngx_uint_t
ngx_http_async_is_token(const char *p)
{
    return ngx_http_async_is_tokens((const u_char *) p, ngx_strlen(p));
}


ngx_uint_t
ngx_http_async_is_tokens(const u_char *p, size_t len)
{
    size_t  i;

    for (i = 0; i < len; i++) {
        if (!ngx_http_async_is_tchar(p[i])) {
            return 0;
        }
    }

    return len > 0;
}


ngx_uint_t
ngx_http_async_has_control(const char *p)
{
    for ( /* void */ ; *p; p++) {
        if (((u_char) *p < ' ' && *p != '\t') || *p == 0x7f) {
            return 1;
        }
    }

    return 0;
}


ngx_uint_t
ngx_http_async_has_controls(const u_char *p, size_t len)
{
    size_t    i;
    uint64_t  word, low;

    /* eight at once, as long as all are printable, or beyond ASCII */

    for (i = 0; i + 8 <= len; i += 8) {
        ngx_memcpy(&word, p + i, 8);

        low = word & 0x7f7f7f7f7f7f7f7f;

        /* the high bit says that a byte is not below 32, and is not 127 */

        low = (low + 0x6060606060606060) & ~(low + 0x0101010101010101);

        if (((low | word) & 0x8080808080808080) != 0x8080808080808080) {
            break;
        }
    }

    for ( /* void */ ; i < len; i++) {
        if ((p[i] < ' ' && p[i] != '\t') || p[i] == 0x7f) {
            return 1;
        }
    }

    return 0;
}


/* no part of a value (RFC 9110, 5.5), and an error in HTTP/2 (RFC 9113) */

void
ngx_http_async_field_trim(ngx_str_t *value)
{
    while (value->len
           && (value->data[0] == ' ' || value->data[0] == '\t'))
    {
        value->data++;
        value->len--;
    }

    while (value->len
           && (value->data[value->len - 1] == ' '
               || value->data[value->len - 1] == '\t'))
    {
        value->len--;
    }
}


ngx_int_t
ngx_http_async_field_item(ngx_str_t *list, ngx_str_t *item)
{
    u_char  *p, *end;

    if (list->data == NULL) {
        return NGX_DONE;
    }

    end = list->data + list->len;
    p = ngx_strlchr(list->data, end, ',');

    item->data = list->data;
    item->len = (p ? p : end) - list->data;

    list->data = p ? p + 1 : NULL;
    list->len = p ? (size_t) (end - p - 1) : 0;

    ngx_http_async_field_trim(item);

    return NGX_OK;
}


ngx_uint_t
ngx_http_async_field_is(const ngx_table_elt_t *h, const ngx_str_t *name)
{
    return h->key.len == name->len
           && ngx_strncasecmp(h->key.data, name->data, name->len) == 0;
}


ngx_table_elt_t *
ngx_http_async_field_next(ngx_list_part_t **part, ngx_uint_t *i)
{
    ngx_table_elt_t  *h;

    do {
        while (*i >= (*part)->nelts) {

            if ((*part)->next == NULL) {
                return NULL;
            }

            *part = (*part)->next;
            *i = 0;
        }

        h = (ngx_table_elt_t *) (*part)->elts + (*i)++;

        /* other modules remove fields by setting the hash to zero */

    } while (h->hash == 0);

    return h;
}


ngx_table_elt_t *
ngx_http_async_field_find(ngx_list_part_t *part, const char *name)
{
    ngx_str_t         key;
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    key.data = (u_char *) name;
    key.len = ngx_strlen(name);
    i = 0;

    do {
        h = ngx_http_async_field_next(&part, &i);
    } while (h && !ngx_http_async_field_is(h, &key));

    return h;
}
