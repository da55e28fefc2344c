
/*
 * A store of files below one folder: PUT, GET, DELETE, and lists of folders.
 * The paths are those of the clients; none leaves the folder.
 */

#include <errno.h>
#include <string.h>
#include <ngx_async.h>


/* what client_max_body_size lets in, comes out */
#define MAX_FILE     (10 * 1024 * 1024)
#define MAX_ENTRIES  10000


static const char *
store(async_req_t *req)
{
    return async_param(req, "store").data;
}


/* The answer to a call that has failed. */

static async_rc_t
failed(async_t *co, async_req_t *req, async_rc_t rc)
{
    if (rc != ASYNC_ERROR) {
        return rc;
    }

    switch (async_file_errno(co)) {

    case ENOENT:
    case ENOTDIR:
        return async_fail(req, 404, "no such file");

    case EXDEV:
    case ELOOP:
    case ENXIO:
    case EACCES:
        return async_fail(req, 403, "not yours");

    case EISDIR:
        return async_fail(req, 409, "this is a folder");

    case ENOTEMPTY:
        return async_fail(req, 409, "the folder is not empty");

    case ENAMETOOLONG:
        return async_fail(req, 414, "the name is too long");

    case EFBIG:
        return async_fail(req, 413, "this is too large");

    case ENOSPC:
        return async_fail(req, 507, "the store is full");

    default:
        return rc;
    }
}


static async_rc_t
list(async_t *co, async_req_t *req, const char *path)
{
    int                  folder;
    size_t               i, n;
    json_t              *names;
    async_rc_t           rc;
    async_file_entry_t  *e;

    rc = await_file_list(co, store(req), path[0] ? path : ".", MAX_ENTRIES,
                         &e, &n);
    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    names = json_array();

    for (i = 0; i < n; i++) {
        folder = (e[i].type == ASYNC_FILE_DIRECTORY);

        json_array_append_new(names, json_pack("{s:s%, s:b, s:I}",
            "name", e[i].name.data, e[i].name.len, "folder", folder,
            "size", folder ? 0 : (json_int_t) e[i].bytes));
    }

    return async_json(req, 200, names);
}


ASYNC_HANDLER(read_file)
{
    async_rc_t   rc;
    async_str_t  path, data;

    path = async_path(req, "path");

    if (path.len == 0 || path.data[path.len - 1] == '/') {
        return list(co, req, path.data);
    }

    rc = await_file_read(co, store(req), path.data, MAX_FILE, &data);

    if (rc != ASYNC_OK) {
        return failed(co, req, rc);
    }

    return async_bytes(req, 200, NULL, data.data, data.len);
}


/* The folders on the way to a file, as far as they are not there. */

static async_rc_t
make_folders(async_t *co, async_req_t *req, async_str_t path)
{
    char        *folder, *slash;
    async_rc_t   rc;

    folder = async_alloc(req, path.len + 1);

    if (folder == NULL) {
        return ASYNC_ERROR;
    }

    memcpy(folder, path.data, path.len + 1);

    for (slash = strchr(folder, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';

        rc = await_file_mkdir(co, store(req), folder);

        if (rc != ASYNC_OK && async_file_errno(co) != EEXIST) {
            return failed(co, req, rc);
        }

        *slash = '/';
    }

    return ASYNC_OK;
}


/* 201: it is new.  204: it is another now, of which nobody sees a part. */

ASYNC_HANDLER(write_file)
{
    async_rc_t   rc;
    async_str_t  path, body;

    path = async_path(req, "path");

    ASYNC_TRY(await_body(co, req, &body));
    ASYNC_TRY(make_folders(co, req, path));

    rc = await_file_write(co, store(req), path.data, body.data, body.len,
                          ASYNC_FILE_ATOMIC|ASYNC_FILE_EXCLUSIVE);

    if (rc == ASYNC_OK) {
        return async_empty(req, 201);
    }

    if (async_file_errno(co) != EEXIST) {
        return failed(co, req, rc);
    }

    /* RFC 9110, 13.1.2: only if it is new */

    if (async_header(req, "If-None-Match").data) {
        return async_fail(req, 412, "it is there already");
    }

    rc = await_file_write(co, store(req), path.data, body.data, body.len,
                          ASYNC_FILE_ATOMIC);

    return (rc == ASYNC_OK) ? async_empty(req, 204) : failed(co, req, rc);
}


/* A file, or a folder that is empty: that ends with a slash. */

ASYNC_HANDLER(delete_file)
{
    async_rc_t   rc;
    async_str_t  path;

    path = async_path(req, "path");

    rc = (path.len && path.data[path.len - 1] == '/')
             ? await_file_rmdir(co, store(req), path.data)
             : await_file_remove(co, store(req), path.data);

    return (rc == ASYNC_OK) ? async_empty(req, 204) : failed(co, req, rc);
}
