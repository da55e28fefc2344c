/* Handlers for t/file.t: files as the query names them. */

#include <ngx_async.h>


/* ?path=P&status=N&type=T */

ASYNC_HANDLER(send)
{
    int64_t      status;
    async_str_t  path, type;

    ASYNC_TRY(async_query_str(req, "path", &path));
    ASYNC_TRY(async_query_int_or(req, "status", &status, 200));

    type = async_query(req, "type");

    if (type.data) {
        ASYNC_TRY(async_set_header(req, "Content-Type", type.data));
    }

    return async_file(req, status, path.data);
}


/* the file is opened after the handler: what comes later counts */

ASYNC_HANDLER(changed)
{
    ASYNC_TRY(async_file(req, 200, "html/a.txt"));

    return async_text(req, 200, "no file");
}


ASYNC_HANDLER(tagged)
{
    ASYNC_TRY(async_set_header(req, "ETag", "\"mine\""));
    ASYNC_TRY(async_set_header(req, "Last-Modified",
                               "Mon, 01 Jan 2024 00:00:00 GMT"));

    return async_file(req, 200, "html/a.txt");
}
