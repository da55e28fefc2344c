
/*
 * Copyright (C) the nginx-async authors
 *
 * The parts of a form as they come: texts in memory, files there or in the
 * temporary file of the form, and how many and how large they may be.
 */

#include <ngx_http_async_form_reader.h>


/* what is written to the temporary file at a time */
#define NGX_HTTP_ASYNC_FORM_WRITE  (64 * 1024)

/* the files of a form that are kept in memory take so often form_memory */
#define NGX_HTTP_ASYNC_FORM_FILES  16


static async_rc_t ngx_http_async_form_copy(
    ngx_http_async_form_reader_t *reader, ngx_str_t *to, ngx_str_t *from);
static async_rc_t ngx_http_async_form_file(
    ngx_http_async_form_reader_t *reader, u_char *data, size_t len);
static async_rc_t ngx_http_async_form_spill(
    ngx_http_async_form_reader_t *reader);
static ngx_uint_t ngx_http_async_form_fits(
    ngx_http_async_form_reader_t *reader);
static async_rc_t ngx_http_async_form_keep(
    ngx_http_async_form_reader_t *reader, ngx_str_t *to, u_char *data,
    size_t len);
static async_rc_t ngx_http_async_form_text_bytes(
    ngx_http_async_form_reader_t *reader, size_t len);
static async_rc_t ngx_http_async_form_room(
    ngx_http_async_form_reader_t *reader, size_t len);


async_rc_t
ngx_http_async_form_part(ngx_http_async_form_reader_t *reader)
{
    async_rc_t                   rc;
    async_upload_t              *file;
    ngx_http_async_multipart_t  *parser;

    parser = &reader->parser;

    rc = ngx_http_async_form_push(reader);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_form_copy(reader, &reader->part->name,
                                      &parser->name);
    }

    if (rc != ASYNC_OK || !parser->file) {
        return rc;
    }

    file = ngx_pcalloc(reader->form->pool, sizeof(async_upload_t));

    if (file == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    file->form = reader->form;
    reader->part->file = file;

    rc = ngx_http_async_form_copy(reader, &file->name, &parser->filename);

    if (rc == ASYNC_OK && parser->type.data) {
        rc = ngx_http_async_form_copy(reader, &file->type, &parser->type);
    }

    return rc;
}


async_rc_t
ngx_http_async_form_push(ngx_http_async_form_reader_t *reader)
{
    ngx_uint_t                   max;
    ngx_http_async_form_part_t  *part;

    max = reader->req->conf->form_max_parts;

    if (reader->form->parts.nelts == max) {
        return ngx_http_async_form_refuse(reader, 413, "with too many parts",
                                          "Too many fields. Maximum number of "
                                          "fields is %ui.", max);
    }

    part = ngx_array_push(&reader->form->parts);

    if (part == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    ngx_memzero(part, sizeof(ngx_http_async_form_part_t));

    reader->part = part;

    return ASYNC_OK;
}


/* What a header of the part says. */

static async_rc_t
ngx_http_async_form_copy(ngx_http_async_form_reader_t *reader, ngx_str_t *to,
    ngx_str_t *from)
{
    async_rc_t  rc;

    rc = ngx_http_async_form_text_bytes(reader, from->len + 1);

    return (rc == ASYNC_OK)
               ? ngx_http_async_form_keep(reader, to, from->data, from->len)
               : rc;
}


async_rc_t
ngx_http_async_form_data(ngx_http_async_form_reader_t *reader, u_char *data,
    size_t len)
{
    async_rc_t  rc;

    if (reader->part && reader->part->file) {
        return ngx_http_async_form_file(reader, data, len);
    }

    rc = ngx_http_async_form_text_bytes(reader, len);

    if (rc == ASYNC_OK) {
        rc = ngx_http_async_form_room(reader, reader->len + len);
    }

    if (rc == ASYNC_OK) {
        ngx_memcpy(reader->data + reader->len, data, len);
        reader->len += len;
    }

    return rc;
}


static async_rc_t
ngx_http_async_form_file(ngx_http_async_form_reader_t *reader, u_char *data,
    size_t len)
{
    size_t      n, full;
    async_rc_t  rc;

    full = NGX_MAX_SIZE_T_VALUE;

    if (reader->streams) {
        full = ngx_max(reader->req->conf->form_memory,
                       NGX_HTTP_ASYNC_FORM_WRITE);
    }

    while (len) {

        if (reader->len == full) {
            rc = ngx_http_async_form_spill(reader);

            if (rc != ASYNC_OK) {
                return rc;
            }
        }

        n = ngx_min(len, full - reader->len);

        rc = ngx_http_async_form_room(reader, reader->len + n);

        if (rc != ASYNC_OK) {
            return rc;
        }

        ngx_memcpy(reader->data + reader->len, data, n);

        reader->len += n;
        data += n;
        len -= n;
    }

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_spill(ngx_http_async_form_reader_t *reader)
{
    async_rc_t                 rc;
    async_upload_t            *file;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(reader->req->r, ngx_http_core_module);
    file = reader->part->file;

    if (!file->in_file) {
        file->in_file = 1;
        file->offset = reader->form->size;
    }

    rc = ngx_http_async_form_write(reader->task, reader->form,
                                   &clcf->client_body_temp_path->name,
                                   &reader->data, reader->len);

    if (rc != ASYNC_OK) {
        reader->size = 0;
        return rc;
    }

    file->size += (off_t) reader->len;
    reader->len = 0;

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_form_part_end(ngx_http_async_form_reader_t *reader)
{
    async_rc_t                   rc;
    async_upload_t              *file;
    ngx_http_async_form_part_t  *part;

    part = reader->part;
    file = part->file;

    if (file == NULL) {
        rc = ngx_http_async_form_keep(reader, &part->text, reader->data,
                                      reader->len);

    } else if (file->name.len == 0 && reader->len == 0 && !file->in_file) {
        /* browsers send this of an input where no file was chosen */
        reader->form->parts.nelts--;
        rc = ASYNC_OK;

    } else if (ngx_http_async_form_fits(reader)) {
        file->size = (off_t) reader->len;
        reader->files += reader->len;

        rc = ngx_http_async_form_keep(reader, &file->data, reader->data,
                                      reader->len);

    } else {
        rc = reader->len ? ngx_http_async_form_spill(reader) : ASYNC_OK;
    }

    reader->part = NULL;
    reader->len = 0;

    return rc;
}


/* Whether the file that has ended may stay in memory. */

static ngx_uint_t
ngx_http_async_form_fits(ngx_http_async_form_reader_t *reader)
{
    size_t  memory;

    if (!reader->streams) {
        return 1;
    }

    memory = reader->req->conf->form_memory;

    return !reader->part->file->in_file && reader->len <= memory
           && (reader->files + reader->len) / NGX_HTTP_ASYNC_FORM_FILES
              <= memory;
}


/* Zero-terminated, in the memory of the form. */

static async_rc_t
ngx_http_async_form_keep(ngx_http_async_form_reader_t *reader, ngx_str_t *to,
    u_char *data, size_t len)
{
    to->data = ngx_pnalloc(reader->form->pool, len + 1);

    if (to->data == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    if (len) {
        ngx_memcpy(to->data, data, len);
    }

    to->data[len] = '\0';
    to->len = len;

    return ASYNC_OK;
}


/* So much more of names and texts. */

static async_rc_t
ngx_http_async_form_text_bytes(ngx_http_async_form_reader_t *reader,
    size_t len)
{
    size_t  max;

    max = reader->req->conf->form_max_text;

    if (len > max - reader->texts) {
        return ngx_http_async_form_refuse(reader, 413, "with too much text",
                           "Fields exceeded maximum size of %uzKB.",
                           (max + 1023) / 1024);
    }

    reader->texts += len;

    return ASYNC_OK;
}


static async_rc_t
ngx_http_async_form_room(ngx_http_async_form_reader_t *reader, size_t len)
{
    u_char  *p;
    size_t   size;

    if (len <= reader->size) {
        return ASYNC_OK;
    }

    size = ngx_max(len, reader->size * 2);

    p = realloc(reader->data, size);

    if (p == NULL) {
        return ngx_http_async_form_no_memory(reader);
    }

    reader->data = p;
    reader->size = size;

    return ASYNC_OK;
}


async_rc_t
ngx_http_async_form_no_memory(ngx_http_async_form_reader_t *reader)
{
    return ngx_async_set_error(reader->task, ASYNC_ERROR, "no memory for the "
                               "form");
}


async_rc_t
ngx_http_async_form_refuse(ngx_http_async_form_reader_t *reader, int status,
    const char *why, const char *fmt, ...)
{
    u_char       detail[NGX_ASYNC_ERROR_LEN], *p;
    va_list      args;
    async_rc_t   rc;

    va_start(args, fmt);
    p = ngx_vslprintf(detail, detail + sizeof(detail) - 1, fmt, args);
    va_end(args);

    *p = '\0';

    rc = async_fail(reader->req, status, (char *) detail);

    if (rc == ASYNC_ERROR && reader->req->out.failed) {
        (void) ngx_async_set_error(reader->task, rc, "the form was refused "
                                   "with %d: %s", status, why);
    }

    return rc;
}
