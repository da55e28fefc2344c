
/*
 * Work for the processor: pictures drawn and blurred by blocking handlers, in
 * a thread pool of their own, while async handlers answer as ever.
 *
 * Pictures are PGM (grey) and PPM (colour), of 8 bits a sample.
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ngx_async.h>


#define MAX_SIDE    4096
#define MAX_DEPTH   100000
#define MAX_RADIUS  100


typedef struct {
    size_t                width;
    size_t                height;
    size_t                channels;       /* 1: PGM, 3: PPM */
    const unsigned char  *samples;
} picture_t;


/* one that is drawn: as it is sent, a header and samples */

typedef struct {
    const char           *type;
    unsigned char        *data;
    unsigned char        *samples;
    size_t                len;
} drawing_t;


/* The rounded square root of a squared sample */

static unsigned char  root[255 * 255 + 1];


/* Each worker makes the table before its first request. */

ASYNC_STARTUP(make_roots)
{
    unsigned  n, r;

    for (n = 0, r = 0; n < sizeof(root); n++) {

        if (n > r * r + r) {
            r++;
        }

        root[n] = (unsigned char) r;
    }

    return ASYNC_OK;
}


/* A number of the query, within bounds */

static async_rc_t
number(async_req_t *req, const char *name, int64_t by_default, int64_t max,
    int64_t *value)
{
    char  detail[64];

    ASYNC_TRY(async_query_int_or(req, name, value, by_default));

    if (*value >= 1 && *value <= max) {
        return ASYNC_OK;
    }

    snprintf(detail, sizeof(detail), "%s must be from 1 to %" PRId64, name,
             max);

    return async_fail(req, 422, detail);
}


/* Before each row: what nobody waits for shall not keep its thread. */

static async_rc_t
still_wanted(async_req_t *req, size_t y)
{
    if (!async_cancelled(req)) {
        return ASYNC_OK;
    }

    async_log(req, ASYNC_LOG_NOTICE, "the picture is given up at row %zu", y);

    return ASYNC_CANCELLED;
}


static async_rc_t
new_drawing(async_req_t *req, size_t width, size_t height, size_t channels,
    drawing_t *drawing)
{
    int     n;
    char    header[64];
    size_t  size;

    n = snprintf(header, sizeof(header), "P%c\n%zu %zu\n255\n",
                 channels == 1 ? '5' : '6', width, height);

    size = width * height * channels;

    drawing->type = channels == 1 ? "image/x-portable-graymap"
                                  : "image/x-portable-pixmap";
    drawing->len = (size_t) n + size;
    drawing->data = async_alloc(req, drawing->len);

    if (drawing->data == NULL) {
        return ASYNC_ERROR;
    }

    memcpy(drawing->data, header, (size_t) n);
    drawing->samples = drawing->data + n;

    return ASYNC_OK;
}


/* A point is black if it stays near zero for so many rounds. */

static unsigned char
shade(double cx, double cy, int64_t depth)
{
    double   x, y, t;
    int64_t  n;

    x = 0;
    y = 0;

    for (n = 0; n < depth; n++) {

        if (x * x + y * y > 4) {
            return (unsigned char) (255 - n % 256);
        }

        t = x * x - y * y + cx;
        y = 2 * x * y + cy;
        x = t;
    }

    return 0;
}


BLOCKING_HANDLER(mandelbrot)
{
    double          step;
    int64_t         x, y, width, height, depth;
    drawing_t       drawing;
    unsigned char  *p;

    ASYNC_TRY(number(req, "width", 640, MAX_SIDE, &width));
    ASYNC_TRY(number(req, "height", 480, MAX_SIDE, &height));
    ASYNC_TRY(number(req, "depth", 256, MAX_DEPTH, &depth));

    ASYNC_TRY(new_drawing(req, (size_t) width, (size_t) height, 1, &drawing));

    p = drawing.samples;
    step = 1.5 / (double) width;

    for (y = 0; y < height; y++) {
        ASYNC_TRY(still_wanted(req, (size_t) y));

        for (x = 0; x < width; x++) {
            *p++ = shade(-0.75 + (double) (2 * x + 1 - width) * step,
                         (double) (2 * y + 1 - height) * step, depth);
        }
    }

    return async_bytes(req, 200, drawing.type, drawing.data, drawing.len);
}


/*
 * A number of a picture's header, with the white space and the comments that
 * must stand before it; NULL if there is none.  The text is zero-terminated.
 */

static const char *
header_number(const char *p, size_t *value)
{
    const char  *start;

    for (start = p; *p && strchr(" \t\n\v\f\r#", *p); /* void */ ) {
        p += *p == '#' ? strcspn(p, "\n\r") : 1;
    }

    if (p == start || *p < '0' || *p > '9') {
        return NULL;
    }

    for (*value = 0; *p >= '0' && *p <= '9'; p++) {
        if (*value <= MAX_SIDE) {          /* more is too much, anyway */
            *value = *value * 10 + (size_t) (*p - '0');
        }
    }

    return p;
}


static async_rc_t
read_picture(async_req_t *req, picture_t *picture)
{
    char         detail[128];
    size_t       levels, len, size;
    const char  *p;
    async_str_t  body;

    ASYNC_TRY(async_body(req, &body));

    if (strncmp(body.data, "P5", 2) != 0 && strncmp(body.data, "P6", 2) != 0) {
        return async_fail(req, 400, "the body must be a PGM (P5) or PPM (P6) "
                                    "picture");
    }

    if ((p = header_number(body.data + 2, &picture->width)) == NULL
        || (p = header_number(p, &picture->height)) == NULL
        || (p = header_number(p, &levels)) == NULL
        || *p == '\0' || strchr(" \t\n\v\f\r", *p) == NULL)
    {
        return async_fail(req, 400, "the header of the picture is malformed");
    }

    p++;                                   /* then there are only samples */

    if (levels != 255) {
        return async_fail(req, 422, "the greatest sample must be 255");
    }

    if (picture->width == 0 || picture->height == 0) {
        return async_fail(req, 422, "the picture has no pixels");
    }

    if (picture->width > MAX_SIDE || picture->height > MAX_SIDE) {
        return async_fail(req, 413, "the picture is wider or higher than 4096 "
                                    "pixels");
    }

    picture->channels = body.data[1] == '5' ? 1 : 3;
    picture->samples = (const unsigned char *) p;

    size = picture->width * picture->height * picture->channels;
    len = (size_t) (body.data + body.len - p);

    if (len != size) {
        snprintf(detail, sizeof(detail), "the picture should have %zu bytes "
                 "of samples, not %zu", size, len);
        return async_fail(req, 400, detail);
    }

    return ASYNC_OK;
}


/* The place beside "at" by k, or the last one before the border */

static size_t
beside(size_t at, int64_t k, size_t len)
{
    int64_t  i = (int64_t) at + k;

    return i < 0 ? 0 : i < (int64_t) len ? (size_t) i : len - 1;
}


/*
 * A row of the picture, blurred.  A sample is about the square root of its
 * light, and it is light that is mixed; the nearer, the more.
 */

static void
blur_row(const picture_t *in, size_t y, int64_t radius, uint32_t *mixed,
    unsigned char *out)
{
    size_t                i, row, channel;
    int64_t               k;
    uint32_t              weight;
    uint64_t              sum, total;
    const unsigned char  *from;

    row = in->width * in->channels;
    memset(mixed, 0, row * sizeof(uint32_t));

    /* up and down: 255 * 255 * (MAX_RADIUS + 1)^2 fits */

    for (k = -radius; k <= radius; k++) {
        weight = (uint32_t) (radius + 1 - llabs(k));
        from = in->samples + beside(y, k, in->height) * row;

        for (i = 0; i < row; i++) {
            mixed[i] += weight * from[i] * from[i];
        }
    }

    /* and to the sides */

    total = (uint64_t) ((radius + 1) * (radius + 1));
    total *= total;

    for (i = 0; i < row; i++) {
        channel = i % in->channels;
        sum = 0;

        for (k = -radius; k <= radius; k++) {
            sum += (uint64_t) (radius + 1 - llabs(k))
                   * mixed[beside(i / in->channels, k, in->width)
                           * in->channels + channel];
        }

        out[i] = root[(sum + total / 2) / total];
    }
}


BLOCKING_HANDLER(blur)
{
    size_t      y, row;
    int64_t     radius;
    uint32_t   *mixed;
    picture_t   in;
    drawing_t   out;

    ASYNC_TRY(number(req, "radius", 5, MAX_RADIUS, &radius));
    ASYNC_TRY(read_picture(req, &in));

    ASYNC_TRY(new_drawing(req, in.width, in.height, in.channels, &out));

    row = in.width * in.channels;
    mixed = async_alloc(req, row * sizeof(uint32_t));

    if (mixed == NULL) {
        return ASYNC_ERROR;
    }

    for (y = 0; y < in.height; y++) {
        ASYNC_TRY(still_wanted(req, y));
        blur_row(&in, y, radius, mixed, out.samples + y * row);
    }

    return async_bytes(req, 200, out.type, out.data, out.len);
}


/* Not a thread's work: it answers while all of them draw. */

ASYNC_HANDLER(hello)
{
    return async_json(req, 200, json_pack("{s:s}", "message", "Hello!"));
}
