
/*
 * Copyright (C) the nginx-async authors
 *
 * Types of PostgreSQL by number, and arrays: see ngx_http_async_pg_value.h.
 */

#include <ngx_http_async_pg_value.h>


typedef struct {
    uint16_t                    oid;
    uint16_t                    array;        /* zero: there is none */
    ngx_http_async_pg_kind_e    kind;
    const char                 *name;
} ngx_http_async_pg_known_t;


/* from there on the numbers are not the same everywhere */
#define NGX_HTTP_ASYNC_PG_FIRST_DYNAMIC  10000

#define NGX_HTTP_ASYNC_PG_BOX_ARRAY      1020


/* pg_type.dat of the server's source, what is usual first */

static ngx_http_async_pg_known_t  ngx_http_async_pg_known[] = {
    { 23, 1007, NGX_HTTP_ASYNC_PG_IS_INT, "integer" },
    { 20, 1016, NGX_HTTP_ASYNC_PG_IS_INT, "bigint" },
    { 25, 1009, NGX_HTTP_ASYNC_PG_IS_TEXT, "text" },
    { 1043, 1015, NGX_HTTP_ASYNC_PG_IS_TEXT, "varchar" },
    { 16, 1000, NGX_HTTP_ASYNC_PG_IS_BOOL, "boolean" },
    { 1184, 1185, NGX_HTTP_ASYNC_PG_IS_TIMESTAMPTZ, "timestamptz" },
    { 3802, 3807, NGX_HTTP_ASYNC_PG_IS_JSON, "jsonb" },
    { 701, 1022, NGX_HTTP_ASYNC_PG_IS_FLOAT, "float8" },
    { 1700, 1231, NGX_HTTP_ASYNC_PG_IS_NUMERIC, "numeric" },
    { 2950, 2951, NGX_HTTP_ASYNC_PG_IS_TEXT, "uuid" },
    { 1114, 1115, NGX_HTTP_ASYNC_PG_IS_TIMESTAMP, "timestamp" },
    { 1082, 1182, NGX_HTTP_ASYNC_PG_IS_DATE, "date" },
    { 21, 1005, NGX_HTTP_ASYNC_PG_IS_INT, "smallint" },
    { 700, 1021, NGX_HTTP_ASYNC_PG_IS_FLOAT, "float4" },
    { 114, 199, NGX_HTTP_ASYNC_PG_IS_JSON, "json" },
    { 1042, 1014, NGX_HTTP_ASYNC_PG_IS_TEXT, "char" },
    { 17, 1001, NGX_HTTP_ASYNC_PG_IS_BYTES, "bytea" },
    { 1083, 1183, NGX_HTTP_ASYNC_PG_IS_TEXT, "time" },
    { 1186, 1187, NGX_HTTP_ASYNC_PG_IS_INTERVAL, "interval" },
    { 1266, 1270, NGX_HTTP_ASYNC_PG_IS_TIMETZ, "timetz" },
    { 26, 1028, NGX_HTTP_ASYNC_PG_IS_INT, "oid" },
    { 2278, 0, NGX_HTTP_ASYNC_PG_IS_VOID, "void" },
    { 869, 1041, NGX_HTTP_ASYNC_PG_IS_TEXT, "inet" },
    { 19, 1003, NGX_HTTP_ASYNC_PG_IS_TEXT, "name" },
    { 18, 1002, NGX_HTTP_ASYNC_PG_IS_CHAR, "\"char\"" },
    { 22, 1006, NGX_HTTP_ASYNC_PG_IS_TEXT, "int2vector" },
    { 24, 1008, NGX_HTTP_ASYNC_PG_IS_TEXT, "regproc" },
    { 27, 1010, NGX_HTTP_ASYNC_PG_IS_TEXT, "tid" },
    { 28, 1011, NGX_HTTP_ASYNC_PG_IS_TEXT, "xid" },
    { 29, 1012, NGX_HTTP_ASYNC_PG_IS_TEXT, "cid" },
    { 30, 1013, NGX_HTTP_ASYNC_PG_IS_TEXT, "oidvector" },
    { 142, 143, NGX_HTTP_ASYNC_PG_IS_TEXT, "xml" },
    { 600, 1017, NGX_HTTP_ASYNC_PG_IS_TEXT, "point" },
    { 601, 1018, NGX_HTTP_ASYNC_PG_IS_TEXT, "lseg" },
    { 602, 1019, NGX_HTTP_ASYNC_PG_IS_TEXT, "path" },
    { 603, NGX_HTTP_ASYNC_PG_BOX_ARRAY, NGX_HTTP_ASYNC_PG_IS_TEXT, "box" },
    { 604, 1027, NGX_HTTP_ASYNC_PG_IS_TEXT, "polygon" },
    { 628, 629, NGX_HTTP_ASYNC_PG_IS_TEXT, "line" },
    { 650, 651, NGX_HTTP_ASYNC_PG_IS_TEXT, "cidr" },
    { 718, 719, NGX_HTTP_ASYNC_PG_IS_TEXT, "circle" },
    { 774, 775, NGX_HTTP_ASYNC_PG_IS_TEXT, "macaddr8" },
    { 790, 791, NGX_HTTP_ASYNC_PG_IS_TEXT, "money" },
    { 829, 1040, NGX_HTTP_ASYNC_PG_IS_TEXT, "macaddr" },
    { 1033, 1034, NGX_HTTP_ASYNC_PG_IS_TEXT, "aclitem" },
    { 1560, 1561, NGX_HTTP_ASYNC_PG_IS_TEXT, "bit" },
    { 1562, 1563, NGX_HTTP_ASYNC_PG_IS_TEXT, "varbit" },
    { 1790, 2201, NGX_HTTP_ASYNC_PG_IS_TEXT, "refcursor" },
    { 2202, 2207, NGX_HTTP_ASYNC_PG_IS_TEXT, "regprocedure" },
    { 2203, 2208, NGX_HTTP_ASYNC_PG_IS_TEXT, "regoper" },
    { 2204, 2209, NGX_HTTP_ASYNC_PG_IS_TEXT, "regoperator" },
    { 2205, 2210, NGX_HTTP_ASYNC_PG_IS_TEXT, "regclass" },
    { 2206, 2211, NGX_HTTP_ASYNC_PG_IS_TEXT, "regtype" },
    { 2249, 2287, NGX_HTTP_ASYNC_PG_IS_TEXT, "record" },
    { 2275, 1263, NGX_HTTP_ASYNC_PG_IS_TEXT, "cstring" },
    { 2970, 2949, NGX_HTTP_ASYNC_PG_IS_TEXT, "txid_snapshot" },
    { 3220, 3221, NGX_HTTP_ASYNC_PG_IS_TEXT, "pg_lsn" },
    { 3614, 3643, NGX_HTTP_ASYNC_PG_IS_TEXT, "tsvector" },
    { 3615, 3645, NGX_HTTP_ASYNC_PG_IS_TEXT, "tsquery" },
    { 3642, 3644, NGX_HTTP_ASYNC_PG_IS_TEXT, "gtsvector" },
    { 3734, 3735, NGX_HTTP_ASYNC_PG_IS_TEXT, "regconfig" },
    { 3769, 3770, NGX_HTTP_ASYNC_PG_IS_TEXT, "regdictionary" },
    { 3904, 3905, NGX_HTTP_ASYNC_PG_IS_TEXT, "int4range" },
    { 3906, 3907, NGX_HTTP_ASYNC_PG_IS_TEXT, "numrange" },
    { 3908, 3909, NGX_HTTP_ASYNC_PG_IS_TEXT, "tsrange" },
    { 3910, 3911, NGX_HTTP_ASYNC_PG_IS_TEXT, "tstzrange" },
    { 3912, 3913, NGX_HTTP_ASYNC_PG_IS_TEXT, "daterange" },
    { 3926, 3927, NGX_HTTP_ASYNC_PG_IS_TEXT, "int8range" },
    { 4072, 4073, NGX_HTTP_ASYNC_PG_IS_TEXT, "jsonpath" },
    { 4089, 4090, NGX_HTTP_ASYNC_PG_IS_TEXT, "regnamespace" },
    { 4096, 4097, NGX_HTTP_ASYNC_PG_IS_TEXT, "regrole" },
    { 4191, 4192, NGX_HTTP_ASYNC_PG_IS_TEXT, "regcollation" },
    { 4451, 6150, NGX_HTTP_ASYNC_PG_IS_TEXT, "int4multirange" },
    { 4532, 6151, NGX_HTTP_ASYNC_PG_IS_TEXT, "nummultirange" },
    { 4533, 6152, NGX_HTTP_ASYNC_PG_IS_TEXT, "tsmultirange" },
    { 4534, 6153, NGX_HTTP_ASYNC_PG_IS_TEXT, "tstzmultirange" },
    { 4535, 6155, NGX_HTTP_ASYNC_PG_IS_TEXT, "datemultirange" },
    { 4536, 6157, NGX_HTTP_ASYNC_PG_IS_TEXT, "int8multirange" },
    { 5038, 5039, NGX_HTTP_ASYNC_PG_IS_TEXT, "pg_snapshot" },
    { 5069, 271, NGX_HTTP_ASYNC_PG_IS_TEXT, "xid8" },
    { 0, 0, NGX_HTTP_ASYNC_PG_IS_TEXT, NULL }
};


static ngx_http_async_pg_known_t *ngx_http_async_pg_find(ngx_uint_t oid);


/* NULL: it is not known */

static ngx_http_async_pg_known_t *
ngx_http_async_pg_find(ngx_uint_t oid)
{
    ngx_http_async_pg_known_t  *k;

    if (oid == 0 || oid >= NGX_HTTP_ASYNC_PG_FIRST_DYNAMIC) {
        return NULL;
    }

    for (k = ngx_http_async_pg_known; k->name; k++) {
        if (k->oid == oid || k->array == oid) {
            return k;
        }
    }

    return NULL;
}


ngx_http_async_pg_type_t
ngx_http_async_pg_type(ngx_uint_t oid)
{
    ngx_http_async_pg_type_t    type;
    ngx_http_async_pg_known_t  *k;

    type.kind = NGX_HTTP_ASYNC_PG_IS_TEXT;
    type.delimiter = 0;

    k = ngx_http_async_pg_find(oid);

    if (k) {
        type.kind = k->kind;

        if (k->array == oid) {
            type.delimiter = (oid == NGX_HTTP_ASYNC_PG_BOX_ARRAY) ? ';' : ',';
        }
    }

    return type;
}


const char *
ngx_http_async_pg_type_name(ngx_uint_t oid,
    u_char buf[NGX_HTTP_ASYNC_PG_PLAIN_LEN])
{
    ngx_http_async_pg_known_t  *k;

    k = ngx_http_async_pg_find(oid);

    if (k && k->oid == oid) {
        return k->name;
    }

    if (k) {
        (void) ngx_sprintf(buf, "%s[]%Z", k->name);

    } else {
        (void) ngx_sprintf(buf, "of the type with oid %ui%Z", oid);
    }

    return (const char *) buf;
}


/* "[0:2]=" of bounds that are not the usual ones is skipped */

void
ngx_http_async_pg_array(ngx_http_async_pg_array_t *a, ngx_str_t *text,
    u_char delimiter)
{
    a->p = text->data;
    a->last = text->data + text->len;
    a->before = NGX_HTTP_ASYNC_PG_ARRAY_END;
    a->depth = 0;
    a->delimiter = delimiter;
    a->escaped = 0;

    if (text->len && *a->p == '[') {
        while (a->p < a->last && *a->p++ != '=') { /* void */ }
    }
}


ngx_http_async_pg_array_e
ngx_http_async_pg_array_next(ngx_http_async_pg_array_t *a)
{
    const u_char               *start;
    ngx_http_async_pg_array_e   before;

    before = a->before;

    if (a->depth == 0 && before != NGX_HTTP_ASYNC_PG_ARRAY_END) {
        return (a->p == a->last) ? NGX_HTTP_ASYNC_PG_ARRAY_END
                                 : NGX_HTTP_ASYNC_PG_ARRAY_BAD;
    }

    if (a->p == a->last) {
        return NGX_HTTP_ASYNC_PG_ARRAY_BAD;
    }

    if (*a->p == '}' && a->depth) {
        a->p++;
        a->depth--;
        return a->before = NGX_HTTP_ASYNC_PG_ARRAY_CLOSE;
    }

    if (a->depth && before != NGX_HTTP_ASYNC_PG_ARRAY_OPEN
        && (*a->p++ != a->delimiter || a->p == a->last))
    {
        return NGX_HTTP_ASYNC_PG_ARRAY_BAD;
    }

    if (*a->p == '{') {
        a->p++;
        a->before = NGX_HTTP_ASYNC_PG_ARRAY_OPEN;

        return (a->depth++ == NGX_HTTP_ASYNC_PG_MAX_DIM)
               ? NGX_HTTP_ASYNC_PG_ARRAY_BAD : NGX_HTTP_ASYNC_PG_ARRAY_OPEN;
    }

    if (a->depth == 0) {
        return NGX_HTTP_ASYNC_PG_ARRAY_BAD;
    }

    a->before = NGX_HTTP_ASYNC_PG_ARRAY_ITEM;
    a->escaped = 0;

    if (*a->p == '"') {

        for (start = ++a->p; a->p < a->last && *a->p != '"'; a->p++) {
            if (*a->p == '\\') {
                a->escaped = 1;
                a->p++;
            }
        }

        if (a->p >= a->last) {
            return NGX_HTTP_ASYNC_PG_ARRAY_BAD;
        }

        a->item.data = (u_char *) start;
        a->item.len = a->p++ - start;

        return NGX_HTTP_ASYNC_PG_ARRAY_ITEM;
    }

    start = a->p;

    while (a->p < a->last && *a->p != a->delimiter && *a->p != '}') {
        a->p++;
    }

    a->item.data = (u_char *) start;
    a->item.len = a->p - start;

    if (a->item.len == 0) {
        return NGX_HTTP_ASYNC_PG_ARRAY_BAD;
    }

    return (a->item.len == 4 && ngx_memcmp(start, "NULL", 4) == 0)
           ? NGX_HTTP_ASYNC_PG_ARRAY_NULL : NGX_HTTP_ASYNC_PG_ARRAY_ITEM;
}


size_t
ngx_http_async_pg_unescape(ngx_str_t *item, u_char *to)
{
    u_char  *p, *last, *start;

    start = to;
    last = item->data + item->len;

    for (p = item->data; p < last; p++) {
        if (*p == '\\') {
            p++;
        }

        *to++ = *p;
    }

    return to - start;
}
