
/*
 * A radix tree over patterns of URIs.  Literal text shares edges by prefix,
 * a parameter is an edge of its kind, and each node knows the first route at
 * or below it, so that a search leaves out what cannot win any more.
 * Called by the configuration (add) and by the router (match); must not know
 * what a route is for.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http_async_route_tree.h>


typedef struct ngx_http_async_route_s       ngx_http_async_route_t;
typedef struct ngx_http_async_route_node_s  ngx_http_async_route_node_t;


struct ngx_http_async_route_s {
    ngx_http_async_route_t        *next;     /* same shape, declared later */
    ngx_uint_t                     index;    /* place in the declaration   */
    ngx_uint_t                     methods;
    void                          *value;
    ngx_str_t                      pattern;
    ngx_uint_t                     nparams;
    ngx_str_t                     *names;
};


/*
 * The edge that leads into a node is kept in it.  A node behind a parameter
 * is entered at each position of the URI once a match at most, and from the
 * last position to the first: low is the lowest one so far.  It holds by
 * induction.  The root is entered once; a literal adds a constant; and every
 * kind of parameter ends, from one start, at descending positions, and from
 * two starts in one run of its characters, at the same positions above the
 * later start.  So what lies at or above low has been looked at, and a second
 * look would find the same routes with less greedy captures.  For the same
 * reason a run of characters that goes on up to the last start ends where that
 * one ended, and is not read again.
 */

struct ngx_http_async_route_node_s {
    ngx_http_async_route_kind_e    kind;
    ngx_uint_t                     shorter;  /* may go on with characters
                                                that its kind takes, too */
    ngx_uint_t                     first;    /* route at or below here  */
    ngx_str_t                      text;     /* of LITERAL              */

    ngx_http_async_route_t        *routes;   /* which end here          */
    ngx_http_async_route_node_t   *params;   /* edges of parameters ... */
    ngx_http_async_route_node_t   *next;     /* ... in a list           */
    u_char                        *index;    /* first byte to place in
                                                literals plus 1, 256 bytes */
    ngx_array_t                    literals; /* of node pointers        */

    uint64_t                       search;   /* that these belong to:   */
    u_char                        *low;
    u_char                        *start;    /* of the last look ...    */
    u_char                        *end;      /* ... and of its run      */
};


struct ngx_http_async_route_tree_s {
    ngx_pool_t                    *pool;
    ngx_http_async_route_node_t   *root;
    ngx_uint_t                     nroutes;
    uint64_t                       search;
};


typedef struct {
    ngx_http_async_route_match_t  *match;
    u_char                        *last;
    ngx_uint_t                     method;
    ngx_uint_t                     best;     /* index of the match's route */
    ngx_uint_t                     depth;
    uint64_t                       search;
    ngx_str_t                      values[NGX_HTTP_ASYNC_MAX_PARAMS];
} ngx_http_async_route_walk_t;


static ngx_http_async_route_node_t *ngx_http_async_route_node(
    ngx_http_async_route_tree_t *tree, ngx_http_async_route_kind_e kind);
static ngx_http_async_route_node_t *ngx_http_async_route_add_literal(
    ngx_http_async_route_tree_t *tree, ngx_http_async_route_node_t *node,
    ngx_str_t text);
static ngx_http_async_route_node_t *ngx_http_async_route_split(
    ngx_http_async_route_tree_t *tree, ngx_http_async_route_node_t *node,
    ngx_http_async_route_node_t *child, size_t len);
static ngx_int_t ngx_http_async_route_link(ngx_http_async_route_tree_t *tree,
    ngx_http_async_route_node_t *node, ngx_http_async_route_node_t *child);
static ngx_http_async_route_node_t *ngx_http_async_route_add_param(
    ngx_http_async_route_tree_t *tree, ngx_http_async_route_node_t *node,
    ngx_http_async_route_kind_e kind);
static ngx_uint_t ngx_http_async_route_takes(ngx_http_async_route_kind_e kind,
    u_char ch);
static ngx_int_t ngx_http_async_route_add_route(
    ngx_http_async_route_tree_t *tree, ngx_http_async_route_node_t *node,
    ngx_http_async_route_t *route, ngx_array_t *parts, ngx_str_t *error);

static void ngx_http_async_route_visit(ngx_http_async_route_walk_t *walk,
    ngx_http_async_route_node_t *node, u_char *p);
static ngx_inline ngx_http_async_route_node_t *ngx_http_async_route_child(
    ngx_http_async_route_node_t *node, u_char *p, u_char *last);
static void ngx_http_async_route_accept(ngx_http_async_route_walk_t *walk,
    ngx_http_async_route_t *route);
static void ngx_http_async_route_sweep(ngx_http_async_route_walk_t *walk,
    ngx_http_async_route_node_t *node, u_char *start);
static u_char *ngx_http_async_route_longest(ngx_http_async_route_node_t *node,
    u_char *p, u_char *last);
static u_char *ngx_http_async_route_digits(u_char *p, u_char *last);
static u_char *ngx_http_async_route_float(ngx_http_async_route_node_t *node,
    u_char *p, u_char *last);
static u_char *ngx_http_async_route_uuid(u_char *p, u_char *last);


/* of nodes without literals: saves the search a test, is never written */

static u_char  ngx_http_async_route_no_index[256];


ngx_http_async_route_tree_t *
ngx_http_async_route_tree_create(ngx_pool_t *pool)
{
    ngx_http_async_route_tree_t  *tree;

    tree = ngx_pcalloc(pool, sizeof(ngx_http_async_route_tree_t));
    if (tree == NULL) {
        return NULL;
    }

    tree->pool = pool;

    tree->root = ngx_http_async_route_node(tree, NGX_HTTP_ASYNC_ROUTE_LITERAL);
    if (tree->root == NULL) {
        return NULL;
    }

    return tree;
}


ngx_int_t
ngx_http_async_route_tree_add(ngx_http_async_route_tree_t *tree,
    ngx_str_t *pattern, ngx_uint_t methods, void *value, ngx_str_t *error)
{
    ngx_uint_t                    i;
    ngx_array_t                  *parts;
    ngx_http_async_route_t       *route;
    ngx_http_async_route_node_t  *node;
    ngx_http_async_route_part_t  *part;

    ngx_str_null(error);

    route = ngx_pcalloc(tree->pool, sizeof(ngx_http_async_route_t));
    if (route == NULL) {
        return NGX_ERROR;
    }

    route->index = tree->nroutes;
    route->methods = methods;
    route->value = value;

    route->pattern.len = pattern->len;
    route->pattern.data = ngx_pnalloc(tree->pool, pattern->len + 1);
    if (route->pattern.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(route->pattern.data, pattern->data, pattern->len);

    parts = ngx_http_async_route_parse(tree->pool, &route->pattern, error);
    if (parts == NULL) {
        return error->data ? NGX_DECLINED : NGX_ERROR;
    }

    node = tree->root;
    part = parts->elts;

    /* the root stands behind the "/" that all patterns start with */

    part[0].text.data++;
    part[0].text.len--;

    for (i = 0; i < parts->nelts; i++) {

        if (part[i].kind == NGX_HTTP_ASYNC_ROUTE_LITERAL) {
            node = ngx_http_async_route_add_literal(tree, node, part[i].text);

        } else {
            node = ngx_http_async_route_add_param(tree, node, part[i].kind);
        }

        if (node == NULL) {
            return NGX_ERROR;
        }
    }

    return ngx_http_async_route_add_route(tree, node, route, parts, error);
}


static ngx_http_async_route_node_t *
ngx_http_async_route_node(ngx_http_async_route_tree_t *tree,
    ngx_http_async_route_kind_e kind)
{
    ngx_http_async_route_node_t  *node;

    node = ngx_pcalloc(tree->pool, sizeof(ngx_http_async_route_node_t));
    if (node == NULL) {
        return NULL;
    }

    node->kind = kind;
    node->first = tree->nroutes;
    node->index = ngx_http_async_route_no_index;

    return node;
}


static ngx_http_async_route_node_t *
ngx_http_async_route_add_literal(ngx_http_async_route_tree_t *tree,
    ngx_http_async_route_node_t *node, ngx_str_t text)
{
    size_t                         len;
    ngx_uint_t                     place;
    ngx_http_async_route_node_t   *child, **children;

    while (text.len) {
        place = node->index[text.data[0]];

        if (place == 0) {
            child = ngx_http_async_route_node(tree,
                                              NGX_HTTP_ASYNC_ROUTE_LITERAL);
            if (child == NULL) {
                return NULL;
            }

            child->text = text;

            if (ngx_http_async_route_link(tree, node, child) != NGX_OK) {
                return NULL;
            }

            return child;
        }

        children = node->literals.elts;
        child = children[place - 1];

        for (len = 1; len < text.len && len < child->text.len; len++) {
            if (text.data[len] != child->text.data[len]) {
                break;
            }
        }

        if (len < child->text.len) {
            child = ngx_http_async_route_split(tree, node, child, len);
            if (child == NULL) {
                return NULL;
            }
        }

        text.data += len;
        text.len -= len;
        node = child;
    }

    return node;
}


/* puts a node of the first len bytes between node and child */

static ngx_http_async_route_node_t *
ngx_http_async_route_split(ngx_http_async_route_tree_t *tree,
    ngx_http_async_route_node_t *node, ngx_http_async_route_node_t *child,
    size_t len)
{
    ngx_http_async_route_node_t  *middle, **children;

    middle = ngx_http_async_route_node(tree, NGX_HTTP_ASYNC_ROUTE_LITERAL);
    if (middle == NULL) {
        return NULL;
    }

    middle->first = child->first;
    middle->text.data = child->text.data;
    middle->text.len = len;

    children = node->literals.elts;
    children[node->index[child->text.data[0]] - 1] = middle;

    child->text.data += len;
    child->text.len -= len;

    if (ngx_http_async_route_link(tree, middle, child) != NGX_OK) {
        return NULL;
    }

    return middle;
}


static ngx_int_t
ngx_http_async_route_link(ngx_http_async_route_tree_t *tree,
    ngx_http_async_route_node_t *node, ngx_http_async_route_node_t *child)
{
    ngx_http_async_route_node_t  **place;

    if (node->index == ngx_http_async_route_no_index) {
        node->index = ngx_pcalloc(tree->pool, 256);
        if (node->index == NULL) {
            return NGX_ERROR;
        }

        if (ngx_array_init(&node->literals, tree->pool, 1,
                           sizeof(ngx_http_async_route_node_t *))
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    place = ngx_array_push(&node->literals);
    if (place == NULL) {
        return NGX_ERROR;
    }

    /* a literal has no braces, so 254 is the most: one byte holds it */

    *place = child;
    node->index[child->text.data[0]] = node->literals.nelts;

    if (ngx_http_async_route_takes(node->kind, child->text.data[0])) {
        node->shorter = 1;
    }

    return NGX_OK;
}


static ngx_http_async_route_node_t *
ngx_http_async_route_add_param(ngx_http_async_route_tree_t *tree,
    ngx_http_async_route_node_t *node, ngx_http_async_route_kind_e kind)
{
    ngx_http_async_route_node_t  *child, **last;

    for (last = &node->params; *last; last = &(*last)->next) {
        if ((*last)->kind == kind) {
            return *last;
        }
    }

    child = ngx_http_async_route_node(tree, kind);
    if (child == NULL) {
        return NULL;
    }

    *last = child;

    if (node->kind != NGX_HTTP_ASYNC_ROUTE_LITERAL
        && node->kind != NGX_HTTP_ASYNC_ROUTE_UUID)
    {
        node->shorter = 1;
    }

    return child;
}


/* whether a parameter of the kind could have had one more such character */

static ngx_uint_t
ngx_http_async_route_takes(ngx_http_async_route_kind_e kind, u_char ch)
{
    switch (kind) {

    case NGX_HTTP_ASYNC_ROUTE_STR:
        return ch != '/';

    case NGX_HTTP_ASYNC_ROUTE_INT:
        return ngx_http_async_route_is_digit(ch);

    case NGX_HTTP_ASYNC_ROUTE_FLOAT:
        return ngx_http_async_route_is_digit(ch) || ch == '.';

    case NGX_HTTP_ASYNC_ROUTE_PATH:
        return ch != LF;

    default:
        return 0;
    }
}


static ngx_int_t
ngx_http_async_route_add_route(ngx_http_async_route_tree_t *tree,
    ngx_http_async_route_node_t *node, ngx_http_async_route_t *route,
    ngx_array_t *parts, ngx_str_t *error)
{
    ngx_uint_t                     i, taken;
    ngx_http_async_route_t        *other, **last;
    ngx_http_async_route_part_t   *part;

    route->names = ngx_palloc(tree->pool, parts->nelts * sizeof(ngx_str_t));
    if (route->names == NULL) {
        return NGX_ERROR;
    }

    part = parts->elts;

    for (i = 0; i < parts->nelts; i++) {
        if (part[i].kind != NGX_HTTP_ASYNC_ROUTE_LITERAL) {
            route->names[route->nparams++] = part[i].text;
        }
    }

    taken = 0;
    other = NULL;

    for (last = &node->routes; *last; last = &(*last)->next) {
        taken |= (*last)->methods;

        if (other == NULL && ((*last)->methods & route->methods)) {
            other = *last;
        }
    }

    if (route->methods & ~taken) {
        *last = route;
        tree->nroutes++;
    }

    if (other) {
        ngx_http_async_route_error(tree->pool, error,
                             "\"%V\" was declared before and takes %s of "
                             "the requests", &other->pattern,
                             (route->methods & ~taken) ? "some" : "all");
        return (route->methods & ~taken) ? NGX_AGAIN : NGX_BUSY;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_async_route_tree_match(ngx_http_async_route_tree_t *tree,
    ngx_str_t *uri, ngx_uint_t method, ngx_http_async_route_match_t *match)
{
    ngx_http_async_route_walk_t  walk;

    match->value = NULL;
    match->allow = 0;
    match->nparams = 0;

    if (uri->len == 0 || uri->data[0] != '/') {
        return NGX_DECLINED;
    }

    walk.match = match;
    walk.last = uri->data + uri->len;
    walk.method = method;
    walk.best = tree->nroutes;
    walk.depth = 0;
    walk.search = ++tree->search;

    ngx_http_async_route_visit(&walk, tree->root, uri->data + 1);

    if (walk.best < tree->nroutes) {
        return NGX_OK;
    }

    return match->allow ? NGX_ABORT : NGX_DECLINED;
}


/*
 * Goes on from a node that was reached at p.  The literal way comes first,
 * since it costs least and lets the rest be left out; it recurs only where a
 * parameter stands beside it.
 */

static void
ngx_http_async_route_visit(ngx_http_async_route_walk_t *walk,
    ngx_http_async_route_node_t *node, u_char *p)
{
    u_char                       *last;
    ngx_http_async_route_node_t  *child;

    if (node->first >= walk->best) {
        return;
    }

    last = walk->last;

    for ( ;; ) {
        child = NULL;

        if (p < last) {
            child = ngx_http_async_route_child(node, p, last);

        } else if (node->routes) {
            ngx_http_async_route_accept(walk, node->routes);
        }

        if (node->params) {
            break;
        }

        if (child == NULL) {
            return;
        }

        p += child->text.len;
        node = child;
    }

    if (child) {
        ngx_http_async_route_visit(walk, child, p + child->text.len);
    }

    for (node = node->params; node; node = node->next) {
        ngx_http_async_route_sweep(walk, node, p);
    }
}


static ngx_inline ngx_http_async_route_node_t *
ngx_http_async_route_child(ngx_http_async_route_node_t *node, u_char *p,
    u_char *last)
{
    u_char                        *text;
    size_t                         len;
    ngx_uint_t                     place;
    ngx_http_async_route_node_t   *child, **children;

    place = node->index[*p];

    if (place == 0) {
        return NULL;
    }

    children = node->literals.elts;
    child = children[place - 1];
    len = child->text.len;

    if (len > (size_t) (last - p)) {
        return NULL;
    }

    text = child->text.data;

    if (len > 8) {
        return ngx_memcmp(text, p, len) ? NULL : child;
    }

    /* the first byte is equal; for a few more a call costs too much */

    while (--len) {
        if (text[len] != p[len]) {
            return NULL;
        }
    }

    return child;
}


static void
ngx_http_async_route_accept(ngx_http_async_route_walk_t *walk,
    ngx_http_async_route_t *route)
{
    ngx_uint_t                     i;
    ngx_http_async_route_match_t  *match;

    match = walk->match;

    for ( /* void */ ; route; route = route->next) {
        match->allow |= route->methods;

        if ((route->methods & walk->method) && route->index < walk->best) {
            break;
        }
    }

    if (route == NULL) {
        return;
    }

    walk->best = route->index;

    match->value = route->value;
    match->nparams = route->nparams;

    for (i = 0; i < route->nparams; i++) {
        match->params[i].name = route->names[i];
        match->params[i].value = walk->values[i];
    }
}


/*
 * Tries the ends of a parameter that starts here, the longest first, leaving
 * out those at which the node was entered before.
 */

static void
ngx_http_async_route_sweep(ngx_http_async_route_walk_t *walk,
    ngx_http_async_route_node_t *node, u_char *start)
{
    u_char     *p, *least;
    ngx_str_t  *value;

    if (node->first >= walk->best) {
        return;
    }

    if (node->search != walk->search) {
        node->search = walk->search;
        node->low = NULL;
        node->start = walk->last;
        node->end = walk->last;
    }

    p = ngx_http_async_route_longest(node, start, walk->last);

    node->start = start;
    node->end = p;

    least = (node->kind == NGX_HTTP_ASYNC_ROUTE_PATH) ? start : start + 1;

    if (p < least) {
        return;
    }

    if (!node->shorter) {
        least = p;
    }

    if (node->low && p >= node->low) {
        p = node->low - 1;
    }

    value = &walk->values[walk->depth++];
    value->data = start;

    for ( /* void */ ; p >= least; p--) {

        node->low = p;

        /* neither inside a character, nor "1." as a float */

        if ((p < walk->last && (*p & 0xc0) == 0x80)
            || (node->kind == NGX_HTTP_ASYNC_ROUTE_FLOAT && p[-1] == '.'))
        {
            continue;
        }

        value->len = p - start;

        ngx_http_async_route_visit(walk, node, p);
    }

    walk->depth--;
}


/* the end of the longest parameter from p; p itself, if it is empty or none */

static u_char *
ngx_http_async_route_longest(ngx_http_async_route_node_t *node, u_char *p,
    u_char *last)
{
    u_char  *end;

    switch (node->kind) {

    case NGX_HTTP_ASYNC_ROUTE_STR:
        end = memchr(p, '/', node->start - p);
        break;

    case NGX_HTTP_ASYNC_ROUTE_PATH:

        /* Python's "." takes no line feed: no path parameter has one */

        end = memchr(p, LF, node->start - p);
        break;

    case NGX_HTTP_ASYNC_ROUTE_INT:
        end = ngx_http_async_route_digits(p, node->start);
        end = (end < node->start) ? end : NULL;
        break;

    case NGX_HTTP_ASYNC_ROUTE_FLOAT:
        return ngx_http_async_route_float(node, p, last);

    default: /* NGX_HTTP_ASYNC_ROUTE_UUID */
        return ngx_http_async_route_uuid(p, last);
    }

    return end ? end : node->end;
}


static u_char *
ngx_http_async_route_digits(u_char *p, u_char *last)
{
    while (p < last && ngx_http_async_route_is_digit(*p)) {
        p++;
    }

    return p;
}


static u_char *
ngx_http_async_route_float(ngx_http_async_route_node_t *node, u_char *p,
    u_char *last)
{
    u_char  *end, *fraction;

    end = ngx_http_async_route_digits(p, node->start);

    if (end == node->start && node->end > node->start) {
        return node->end;
    }

    if (end == p || end == last || *end != '.') {
        return end;
    }

    fraction = ngx_http_async_route_digits(end + 1, last);

    return (fraction > end + 1) ? fraction : end;
}


/* 8-4-4-4-12 hexadecimal digits, each hyphen optional, as in Starlette */

static u_char *
ngx_http_async_route_uuid(u_char *p, u_char *last)
{
    u_char      c, *start;
    ngx_uint_t  n;

    start = p;

    for (n = 0; n < 32; n++) {

        if (p < last && *p == '-' && (n == 8 || n == 12 || n == 16 || n == 20))
        {
            p++;
        }

        if (p == last) {
            return start;
        }

        c = ngx_tolower(*p);

        if (!ngx_http_async_route_is_digit(c) && (c < 'a' || c > 'f')) {
            return start;
        }

        p++;
    }

    return p;
}
