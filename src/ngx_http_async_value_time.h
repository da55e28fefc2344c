
/*
 * Dates and times of text, as pydantic 2 reads them.  Pure, as the others of
 * ngx_http_async_value.h.
 */


#ifndef _NGX_HTTP_ASYNC_VALUE_TIME_H_INCLUDED_
#define _NGX_HTTP_ASYNC_VALUE_TIME_H_INCLUDED_


#include <ngx_http_async_value.h>


#define NGX_HTTP_ASYNC_DATE_LEN  (sizeof("1970-01-01") - 1)


/*
 * Milliseconds since 1970, UTC; what has no offset is UTC.  RFC 3339, with
 * "T", "t", "_" or a space, seconds or none; a date, which is its midnight; or
 * a number: seconds since 1970, milliseconds if it is above 2e10.
 *
 * types of error: datetime_from_date_parsing; datetime_parsing for the year 0
 */

ngx_int_t ngx_http_async_value_time(ngx_str_t *text, int64_t *ms,
    ngx_http_async_value_error_t *error);

/*
 * "YYYY-MM-DD", not terminated, of all these, if it is midnight there.
 *
 * types of error: date_from_datetime_parsing, date_from_datetime_inexact;
 * date_parsing for the year 0
 */

ngx_int_t ngx_http_async_value_date(ngx_str_t *text,
    u_char value[NGX_HTTP_ASYNC_DATE_LEN],
    ngx_http_async_value_error_t *error);

/*
 * The same of a number, as JSON has it.  NULL, or what is wrong, in the words
 * of "error".
 */

const char *ngx_http_async_value_unix(double number, int64_t *ms);


#endif /* _NGX_HTTP_ASYNC_VALUE_TIME_H_INCLUDED_ */
