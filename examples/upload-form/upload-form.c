/*
 * A page with a form: a title, a text, a photo and any number of other files.
 * What is sent is checked by a model, saved below a folder, and listed.
 */

#include <ngx_async.h>
#include <errno.h>
#include <string.h>


typedef struct {
    const char       *title;
    const char       *text;
    async_upload_t   *photo;
    async_upload_t  **files;
    size_t            n_files;
} post_t;


ASYNC_MODEL(post_model, post_t,
    ASYNC_FIELD(post_t, title, ASYNC_WITH(max_length, 60)),
    ASYNC_FIELD(post_t, text, ASYNC_DEFAULT("")),
    ASYNC_FIELD(post_t, photo),
    ASYNC_LIST(post_t, files, n_files, ASYNC_WITH(optional, 1),
               ASYNC_WITH(max_length, 10))
);


static const char  page[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<meta charset=\"utf-8\">\n"
    "<title>Uploads</title>\n"
    "<form method=\"post\" enctype=\"multipart/form-data\">\n"
    "<p><label>Title <input name=\"title\" required></label>\n"
    "<p><label>Text <textarea name=\"text\"></textarea></label>\n"
    "<p><label>Photo <input name=\"photo\" type=\"file\"></label>\n"
    "<p><label>Files <input name=\"files\" type=\"file\" multiple></label>\n"
    "<p><button>Send</button>\n"
    "</form>\n";


ASYNC_HANDLER(show_page)
{
    (void) co;

    return async_html(req, 200, page);
}


/* A name as clients give it is no name of a file here: it gets a plain one. */

static const char *
plain_name(async_req_t *req, async_upload_t *file)
{
    char         *name;
    size_t        i;
    async_str_t   given;

    given = async_upload_name(file);
    name = async_alloc(req, given.len + sizeof("_"));

    if (name == NULL) {
        return NULL;
    }

    name[0] = '_';

    for (i = 0; i < given.len; i++) {
        name[i + 1] = (memchr("\0/\\", given.data[i], 3)
                       || (unsigned char) given.data[i] < ' ')
                          ? '_' : given.data[i];
    }

    name[i + 1] = '\0';

    /* one that begins with a dot would be hidden, or mean a folder */
    return (given.len && given.data[0] != '.') ? name + 1 : name;
}


static async_rc_t
save(async_t *co, async_req_t *req, async_upload_t *file, json_t *saved)
{
    json_t      *entry;
    async_rc_t   rc;
    async_str_t  store = async_param(req, "store");
    const char  *name = plain_name(req, file);

    entry = name ? json_pack("{s:s, s:I}", "name", name, "size",
                             (json_int_t) async_upload_size(file)) : NULL;

    if (json_array_append_new(saved, entry) != 0) {
        return async_fail(req, 400, "the name of a file is not UTF-8");
    }

    rc = await_upload_save(co, file, store.data, name, ASYNC_FILE_ATOMIC);

    if (rc == ASYNC_ERROR && async_file_errno(co) == ENAMETOOLONG) {
        return async_fail(req, 400, "the name of a file is too long");
    }

    return rc;
}


ASYNC_HANDLER(take_post)
{
    size_t      i;
    post_t      post;
    json_t     *saved;
    async_rc_t  rc;

    ASYNC_TRY(await_form_into(co, req, &post_model, &post));

    saved = json_array();
    rc = save(co, req, post.photo, saved);

    for (i = 0; i < post.n_files && rc == ASYNC_OK; i++) {
        rc = save(co, req, post.files[i], saved);
    }

    if (rc != ASYNC_OK) {
        json_decref(saved);
        return rc;
    }

    return async_json(req, 201, json_pack("{s:s, s:s, s:o}", "title",
                                          post.title, "text", post.text,
                                          "saved", saved));
}


ASYNC_HANDLER(list_files)
{
    size_t               i, n;
    json_t              *list;
    async_str_t          store = async_param(req, "store");
    async_file_entry_t  *entries;

    ASYNC_TRY(await_file_list(co, store.data, ".", 10000, &entries, &n));

    list = json_array();

    for (i = 0; i < n; i++) {
        json_array_append_new(list, json_pack("{s:s%, s:I}",
                              "name", entries[i].name.data,
                              entries[i].name.len,
                              "size", (json_int_t) entries[i].bytes));
    }

    return async_json(req, 200, list);
}
