
/*
 * URLs: tables of what they are taken apart into, of what is refused and why,
 * all examples of RFC 3986, 5.4; and, called with "-", a filter for url.py:
 * lines of "KIND HEX..." in, results that end with a zero byte out.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include "ngx_stub.h"
#include <ngx_http_async_url.h>


typedef struct {
    const char  *text;
    const char  *expected;
} url_case_t;


#define LABEL   "a123456789b123456789c123456789d123456789e123456789."
#define TRIPLET "a \"%\" without two hexadecimal digits behind it"
#define PORT    "the port is not from 1 to 65535"
#define IPV6    "a malformed IPv6 address"
#define SCHEME  "the scheme is neither http nor https"
#define NONE    "a character in the host that none has"
#define EMPTY   "an empty label in the host"


/* scheme userinfo host port authority target flags, or why not */

static url_case_t  parsed[] = {
    { "http://a", "http||a|80|a|/|" },
    { "http://a/", "http||a|80|a|/|" },
    { "https://a/", "https||a|443|a|/|tls" },
    { "HTTPS://A.Example/A", "https||a.example|443|a.example|/A|tls" },
    { "http://127.0.0.1:8081/items/5?x=1",
      "http||127.0.0.1|8081|127.0.0.1:8081|/items/5?x=1|port" },
    { "http://a?x", "http||a|80|a|/?x|" },
    { "http://a#x", "http||a|80|a|/|" },
    { "http://a/?", "http||a|80|a|/?|" },
    { "http://a/b?c?d#e?f#g", "http||a|80|a|/b?c?d|" },
    { "http://a/b/../c/./d//e", "http||a|80|a|/b/../c/./d//e|" },

    /* ports */
    { "http://a:/", "http||a|80|a|/|" },
    { "http://a:80/", "http||a|80|a|/|port" },
    { "http://a:443/", "http||a|443|a:443|/|port" },
    { "https://a:443", "https||a|443|a|/|tls port" },
    { "http://a:00081/", "http||a|81|a:81|/|port" },
    { "http://a:65535/", "http||a|65535|a:65535|/|port" },
    { "http://a:65536/", PORT },
    { "http://a:99999999999999999999999/", PORT },
    { "http://a:0/", PORT },
    { "http://a:000/", PORT },
    { "http://a:8x/", PORT },
    { "http://a:+80/", PORT },
    { "http://a:80:80/", PORT },
    { "http://a:8 0/", "a space in it" },

    /* hosts */
    { "http://A-b_c~1.Z./", "http||a-b_c~1.z.|80|a-b_c~1.z.|/|" },
    { "http://a.:81/", "http||a.|81|a.:81|/|port" },
    { "http://" LABEL LABEL LABEL LABEL LABEL "/",
      "http||" LABEL LABEL LABEL LABEL LABEL "|80|"
      LABEL LABEL LABEL LABEL LABEL "|/|" },
    { "http://" LABEL LABEL LABEL LABEL LABEL "z/",
      "the host is longer than 255 characters" },
    { "http://", "no host" },
    { "http:///a", "no host" },
    { "http://:80/", "no host" },
    { "http://?a", "no host" },
    { "http://user@/", "no host" },
    { "http://./", EMPTY },
    { "http://.a/", EMPTY },
    { "http://a..b/", EMPTY },
    { "http://a../", EMPTY },
    { "http://a%62/", NONE },
    { "http://a!/", NONE },
    { "http://a]/", NONE },
    { "http://a,b/", NONE },
    { "http://a<b/", NONE },
    { "http://b\xc3\xbc" "cher.example/",
      "a host beyond ASCII: use its punycode form" },
    { "http://a\xff/", "a host beyond ASCII: use its punycode form" },

    /* what inet_aton() takes for 127.0.0.1 are names here */
    { "http://127.1/", "http||127.1|80|127.1|/|" },
    { "http://0x7f.1/", "http||0x7f.1|80|0x7f.1|/|" },
    { "http://2130706433/", "http||2130706433|80|2130706433|/|" },
    { "http://0177.0.0.1/", "http||0177.0.0.1|80|0177.0.0.1|/|" },

    /* IPv6 */
    { "http://[::1]/", "http||::1|80|[::1]|/|ipv6" },
    { "http://[2001:DB8::A]:81/",
      "http||2001:db8::a|81|[2001:db8::a]:81|/|ipv6 port" },
    { "https://[::ffff:10.0.0.1]:443",
      "https||::ffff:10.0.0.1|443|[::ffff:10.0.0.1]|/|tls ipv6 port" },
    { "http://[::]", "http||::|80|[::]|/|ipv6" },
    { "http://[fe80::1%25eth0]/", "a zone in an IPv6 address" },
    { "http://[fe80::1%eth0]/", "a zone in an IPv6 address" },
    { "http://[]/", IPV6 },
    { "http://[:]/", IPV6 },
    { "http://[1]/", IPV6 },
    { "http://[::1/", IPV6 },
    { "http://[::1", IPV6 },
    { "http://[", IPV6 },
    { "http://[::1]a/", IPV6 },
    { "http://[::1]]/", IPV6 },
    { "http://[::g]/", IPV6 },
    { "http://[v1.x]/", IPV6 },
    { "http://[127.0.0.1]/", IPV6 },
    { "http://[:1:2:3:4:5:6:7:8]/", IPV6 },
    { "http://[1:2:3:4:5:6:7:8:9]/", IPV6 },
    { "http://::1/", "no host" },
    { "http://[::1 ]/", "a space in it" },

    /* users */
    { "http://u:p@a/", "http|u:p|a|80|a|/|" },
    { "http://u@a/", "http|u:|a|80|a|/|" },
    { "http://u:@a/", "http|u:|a|80|a|/|" },
    { "http://:p@a/", "http|:p|a|80|a|/|" },
    { "http://@a/", "http||a|80|a|/|" },
    { "http://u:p:q@a/", "http|u:p:q|a|80|a|/|" },
    { "http://u:p@q@a:81/", "http|u:p@q|a|81|a:81|/|port" },
    { "http://u%40v:%2f%3A%25@a/", "http|u@v:/:%|a|80|a|/|" },
    { "http://\xc3\xa9:%C3%A9@a/", "http|\xc3\xa9:\xc3\xa9|a|80|a|/|" },
    { "http://a/@b", "http||a|80|a|/@b|" },
    { "http://a?@b", "http||a|80|a|/?@b|" },
    { "http://a#@b", "http||a|80|a|/|" },
    { "http://u%3av:p@a/", "a colon in the user" },
    { "http://u%3av@a/", "a colon in the user" },
    { "http://u:%00@a/", "a control character in the user or password" },
    { "http://u:%0d%0a@a/", "a control character in the user or password" },
    { "http://u:%7F@a/", "a control character in the user or password" },
    { "http://u%@a/", TRIPLET },
    { "http://u%4@a/", TRIPLET },
    { "http://u%4x@a/", TRIPLET },
    { "http://u @a/", "a space in it" },
    { "http://u\\@a/", "a backslash in it" },

    /* targets */
    { "http://a/\xc3\xa9?\xe2\x82\xac#\xff",
      "http||a|80|a|/%C3%A9?%E2%82%AC|" },
    { "http://a/\xff\x80", "http||a|80|a|/%FF%80|" },
    { "http://a/\"<>^`{|}?\"<>^`{|}",
      "http||a|80|a|/%22%3C%3E%5E%60%7B%7C%7D?%22%3C%3E%5E%60%7B%7C%7D|" },
    { "http://a?{", "http||a|80|a|/?%7B|" },
    { "http://a/-._~!$&'()*+,;=:@?a[]=/?:@",
      "http||a|80|a|/-._~!$&'()*+,;=:@?a[]=/?:@|" },
    { "http://a/%e9%2F%00", "http||a|80|a|/%e9%2F%00|" },
    { "http://a/%", TRIPLET },
    { "http://a/%4", TRIPLET },
    { "http://a/%4g", TRIPLET },
    { "http://a/?%%41", TRIPLET },
    { "http://a/#%", "http||a|80|a|/|" },

    /* schemes */
    { "", SCHEME },
    { "http", SCHEME },
    { "a", SCHEME },
    { "/a", SCHEME },
    { "//a/", SCHEME },
    { "ftp://a/", SCHEME },
    { "httpx://a/", SCHEME },
    { "httpss://a/", SCHEME },
    { "h", SCHEME },
    { " http://a/", "a space in it" },
    { "http", SCHEME },
    { "http:", "no \"//\" behind the scheme" },
    { "http:/", "no \"//\" behind the scheme" },
    { "http:a", "no \"//\" behind the scheme" },
    { "https:/a/", "no \"//\" behind the scheme" },
    { "http:\\\\a/", "a backslash in it" },

    /* nowhere */
    { "http://a b/", "a space in it" },
    { "http://a/b c", "a space in it" },
    { "http://a/ ", "a space in it" },
    { "http://a/b?c d", "a space in it" },
    { "http://a/b#c d", "a space in it" },
    { "http://a\\b/", "a backslash in it" },
    { "http://a/b\\c", "a backslash in it" },
    { "http://a/b\r\nHost: c", "a control character in it" },
    { "http://a\t/", "a control character in it" },
    { "http://a/\x7f", "a control character in it" },
    { "http://a/#\n", "a control character in it" },
    { "http://unix:/a b", "a space in it" },
    { "http://unix:/a:/b c", "a space in it" },

    /* sockets */
    { "http://unix:/run/x.sock:/uri?x",
      "http||/run/x.sock|0|localhost|/uri?x|local" },
    { "http://unix:run/X.sock:/uri#x",
      "http||run/X.sock|0|localhost|/uri|local" },
    { "HTTP://UNIX:x", "http||x|0|localhost|/|local" },
    { "https://unix:x:", "https||x|0|localhost|/|tls local" },
    { "http://unix:x:?a", "http||x|0|localhost|/?a|local" },
    { "http://unix:x:#a", "http||x|0|localhost|/|local" },
    { "http://unix:x:/{:", "http||x|0|localhost|/%7B:|local" },
    { "http://unix:/a@b%41\xc3\xa9:/c@d",
      "http||/a@b%41\xc3\xa9|0|localhost|/c@d|local" },
    { "http://unix:80/", "http||80/|0|localhost|/|local" },
    { "http://u:p@unix:/x:/y", "http|u:p|/x|0|localhost|/y|local" },
    { "http://unix/", "http||unix|80|unix|/|" },
    { "http://unix", "http||unix|80|unix|/|" },
    { "http://unix.a:80/", "http||unix.a|80|unix.a|/|port" },
    { "http://unix:", "no path of the socket" },
    { "http://unix::/a", "no path of the socket" },
    { "http://unix:/a?b", "no colon between the path of the socket and the "
      "URI" },
    { "http://unix:/a#b", "no colon between the path of the socket and the "
      "URI" },
    { "http://unix:/a:b", "the URI behind the path of the socket does not "
      "begin with a \"/\"" }
};


/* RFC 3986, 5.4.1 and 5.4.2, against http://a/b/c/d;p?q */

static url_case_t  joined[] = {
    { "g:h", SCHEME },
    { "g", "http://a/b/c/g" },
    { "./g", "http://a/b/c/g" },
    { "g/", "http://a/b/c/g/" },
    { "/g", "http://a/g" },
    { "//g", "http://g" },
    { "?y", "http://a/b/c/d;p?y" },
    { "g?y", "http://a/b/c/g?y" },
    { "#s", "http://a/b/c/d;p?q" },
    { "g#s", "http://a/b/c/g" },
    { "g?y#s", "http://a/b/c/g?y" },
    { ";x", "http://a/b/c/;x" },
    { "g;x", "http://a/b/c/g;x" },
    { "g;x?y#s", "http://a/b/c/g;x?y" },
    { "", "http://a/b/c/d;p?q" },
    { ".", "http://a/b/c/" },
    { "./", "http://a/b/c/" },
    { "..", "http://a/b/" },
    { "../", "http://a/b/" },
    { "../g", "http://a/b/g" },
    { "../..", "http://a/" },
    { "../../", "http://a/" },
    { "../../g", "http://a/g" },

    { "../../../g", "http://a/g" },
    { "../../../../g", "http://a/g" },
    { "/./g", "http://a/g" },
    { "/../g", "http://a/g" },
    { "g.", "http://a/b/c/g." },
    { ".g", "http://a/b/c/.g" },
    { "g..", "http://a/b/c/g.." },
    { "..g", "http://a/b/c/..g" },
    { "./../g", "http://a/b/g" },
    { "./g/.", "http://a/b/c/g/" },
    { "g/./h", "http://a/b/c/g/h" },
    { "g/../h", "http://a/b/c/h" },
    { "g;x=1/./y", "http://a/b/c/g;x=1/y" },
    { "g;x=1/../y", "http://a/b/c/y" },
    { "g?y/./x", "http://a/b/c/g?y/./x" },
    { "g?y/../x", "http://a/b/c/g?y/../x" },
    { "g#s/./x", "http://a/b/c/g" },
    { "g#s/../x", "http://a/b/c/g" },
    { "http:g", "no \"//\" behind the scheme" },

    { "?", "http://a/b/c/d;p?" },
    { "HTTPS://U:p@B:81/../c?d#e", "HTTPS://U:p@B:81/c?d" },
    { "https://b", "https://b" },
    { "//b?c", "http://b?c" },
    { "//", "no host" },
    { "///b", "no host" },
    { "/a//b/../c", "http://a/a//c" },
    { "/..//b", "http://a//b" },
    { ":b", "http://a/b/c/:b" },
    { "1:b", "http://a/b/c/1:b" },
    { "b/c:d", "http://a/b/c/b/c:d" },
    { "javascript:alert(1)", SCHEME },
    { "g\xc3\xa9", "http://a/b/c/g\xc3\xa9" },
    { "a b", "a space in it" },
    { "a#b c", "a space in it" },
    { "/a\r\nb", "a control character in it" },
    { "\\\\b", "a backslash in it" },
    { "/%", TRIPLET },
    { "//b:0/", PORT },
    { "http://unix:/x:/", "a reference to a unix socket" },
    { "//unix:/x:/", "a reference to a unix socket" },
    { "http://u@unix:/x:/", "a reference to a unix socket" },
    { "HTTPS://UNIX:x", "a reference to a unix socket" },
    { "//unix/x", "http://unix/x" }
};


/* against http://u:p@unix:run/x.sock:/b/c?q */

static url_case_t  joined_local[] = {
    { "g?h", "http://unix:run/x.sock:/b/g?h" },
    { "/g", "http://unix:run/x.sock:/g" },
    { "../../../g", "http://unix:run/x.sock:/g" },
    { "", "http://unix:run/x.sock:/b/c?q" },
    { "?y", "http://unix:run/x.sock:/b/c?y" },
    { "https://b/", "https://b/" },
    { "//b/", "http://b/" },
    { "http://unix:run/x.sock:/g", "a reference to a unix socket" },
    { "//unix:run/x.sock:/g", "a reference to a unix socket" }
};


static url_case_t  texts[] = {
    { "HTTP://u:p@A:80#b", "http://a/" },
    { "https://[::A]:80/{?b", "https://[::a]:80/%7B?b" },
    { "http://unix:x:?y", "http://unix:x:/?y" },
    { "https://u@unix:/x.sock", "https://unix:/x.sock:/" }
};


static ngx_pool_t  *pool;


static ngx_int_t parse(ngx_http_async_url_t *url, const char *text,
    size_t len, const char **error);
static void print(const char *text, size_t len, FILE *file);
static void print_join(const char *base, const char *ref, size_t len,
    FILE *file);
static void test_parse(void);
static void test_join(const char *base, url_case_t *cases, ngx_uint_t n);
static void test_bytes(void);
static void test_query(void);
static void test_text(void);
static void test_origin(void);
static void test_no_memory(void);
static ngx_int_t all(void);
static int filter(void);
static int repeat(ngx_uint_t n);


int
main(int argc, char **argv)
{
    int  rc;

    pool = ngx_create_pool(4096, NULL);

    if (argc == 2 && strcmp(argv[1], "-") == 0) {
        rc = filter();
        ngx_destroy_pool(pool);

        return rc;
    }

    /* for whoever counts instructions */

    if (argc == 2) {
        return repeat(atoi(argv[1]));
    }

    test_parse();
    test_bytes();
    test_join("http://a/b/c/d;p?q", joined, sizeof(joined) / sizeof(joined[0]));
    test_join("http://u:p@unix:run/x.sock:/b/c?q", joined_local,
              sizeof(joined_local) / sizeof(joined_local[0]));
    test_query();
    test_text();
    test_origin();
    test_no_memory();

    ngx_destroy_pool(pool);

    return ngx_stub_done();
}


/* of a text of exactly its size, which is gone afterwards */

static ngx_int_t
parse(ngx_http_async_url_t *url, const char *text, size_t len,
    const char **error)
{
    char       *copy;
    ngx_int_t   rc;

    copy = malloc(len ? len : 1);
    memcpy(copy, text, len);

    rc = ngx_http_async_url_parse(pool, url, copy, len, error);

    memset(copy, 'x', len);
    free(copy);

    return rc;
}


static void
print(const char *text, size_t len, FILE *file)
{
    ngx_str_t             *s[5];
    ngx_int_t              rc;
    ngx_uint_t             i;
    const char            *error;
    ngx_http_async_url_t   url;

    error = "no error";
    rc = parse(&url, text, len, &error);

    if (rc != NGX_OK) {
        fputs(rc == NGX_DECLINED ? error : "no memory", file);
        return;
    }

    s[0] = &url.scheme;
    s[1] = &url.userinfo;
    s[2] = &url.host;
    s[3] = &url.authority;
    s[4] = &url.target;

    for (i = 0; i < 5; i++) {
        if (strlen((char *) s[i]->data) != s[i]->len) {
            fputs("not terminated", file);
            return;
        }
    }

    fprintf(file, "%s|%s|%s|%u|%s|%s|", url.scheme.data, url.userinfo.data,
            url.host.data, (unsigned) url.port, url.authority.data,
            url.target.data);

    s[0]->data = (u_char *) (url.tls ? " tls" : "");
    s[1]->data = (u_char *) (url.local ? " local" : "");
    s[2]->data = (u_char *) (url.ipv6 ? " ipv6" : "");
    s[3]->data = (u_char *) (url.explicit_port ? " port" : "");

    for (i = 0, len = 0; i < 4; i++) {
        if (*s[i]->data) {
            fputs((char *) s[i]->data + (len == 0), file);
            len = 1;
        }
    }
}


static void
print_join(const char *base, const char *ref, size_t len, FILE *file)
{
    char                  *copy;
    ngx_int_t              rc;
    ngx_str_t              text;
    const char            *error;
    ngx_http_async_url_t   url;

    if (parse(&url, base, strlen(base), &error) != NGX_OK) {
        fputs("not a base", file);
        return;
    }

    copy = malloc(len ? len : 1);
    memcpy(copy, ref, len);

    rc = ngx_http_async_url_join(pool, &url, copy, len, &text, &error);
    free(copy);

    if (rc != NGX_OK) {
        fputs(rc == NGX_DECLINED ? error : "no memory", file);
        return;
    }

    if (strlen((char *) text.data) != text.len) {
        fputs("not terminated", file);
        return;
    }

    fputs((char *) text.data, file);
}


static void
test_parse(void)
{
    char        line[2048];
    FILE       *file;
    ngx_uint_t  i;

    for (i = 0; i < sizeof(parsed) / sizeof(parsed[0]); i++) {
        memset(line, 0, sizeof(line));
        file = fmemopen(line, sizeof(line) - 1, "w");
        print(parsed[i].text, strlen(parsed[i].text), file);
        fclose(file);

        ngx_stub_ok(strcmp(line, parsed[i].expected) == 0,
                    "case %d of parsing is %s", (int) i, parsed[i].expected);

        if (strcmp(line, parsed[i].expected) != 0) {
            printf("# got %s\n", line);
        }
    }
}


static void
test_join(const char *base, url_case_t *cases, ngx_uint_t n)
{
    char        line[2048];
    FILE       *file;
    ngx_uint_t  i;

    for (i = 0; i < n; i++) {
        memset(line, 0, sizeof(line));
        file = fmemopen(line, sizeof(line) - 1, "w");
        print_join(base, cases[i].text, strlen(cases[i].text), file);
        fclose(file);

        ngx_stub_ok(strcmp(line, cases[i].expected) == 0,
                    "reference %d against %s is %s", (int) i, base,
                    cases[i].expected);

        if (strcmp(line, cases[i].expected) != 0) {
            printf("# got %s\n", line);
        }
    }
}


/* each byte at each place of a URL: controls and others are refused anywhere */

static void
test_bytes(void)
{
    int                    c, refused;
    char                   text[] = "http://u:p@[::1]:81/b?c#d";
    size_t                 i;
    ngx_int_t              rc;
    ngx_uint_t             bad;
    const char            *error;
    ngx_http_async_url_t   url;

    bad = 0;

    for (i = 0; i < sizeof(text) - 1; i++) {
        char  was = text[i];

        for (c = 0; c < 256; c++) {
            text[i] = (char) c;
            rc = parse(&url, text, sizeof(text) - 1, &error);
            refused = (c <= ' ' || c == '\\' || c == 0x7f);

            if (rc != NGX_OK && rc != NGX_DECLINED) {
                bad++;

            } else if (rc == NGX_DECLINED && error == NULL) {
                bad++;

            } else if (refused && rc != NGX_DECLINED) {
                bad++;

            } else if (refused
                       && strcmp(error, c == ' ' ? "a space in it"
                                        : c == '\\' ? "a backslash in it"
                                        : "a control character in it")
                          != 0)
            {
                printf("# byte %d at %d: %s\n", c, (int) i, error);
                bad++;
            }
        }

        text[i] = was;
    }

    ngx_stub_ok(bad == 0, "no control, space or backslash at any place");
}


static void
test_query(void)
{
    char                once[64];
    ngx_str_t           target;
    ngx_uint_t          i;

    static const char *const  none[] = { NULL };
    static const char *const  left[] = { "a", NULL, "b", NULL, NULL, NULL };
    static const char *const  two[] = { "a", "1", "b", NULL, "c d", "\xc3\xa9/",
                                        NULL, NULL };
    static const char *const  empty[] = { "", "", NULL };

    static const struct {
        const char         *target;
        const char *const  *pairs;
        const char         *expected;
    } cases[] = {
        { "/", none, "/" },
        { "/?x", left, "/?x" },
        { "/", two, "/?a=1&c%20d=%C3%A9%2F" },
        { "/?", two, "/?a=1&c%20d=%C3%A9%2F" },
        { "/?x", two, "/?x&a=1&c%20d=%C3%A9%2F" },
        { "/?x=1&", two, "/?x=1&a=1&c%20d=%C3%A9%2F" },
        { "/", empty, "/?=" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        strcpy(once, cases[i].target);
        target.data = (u_char *) once;
        target.len = strlen(once);

        ngx_stub_ok(ngx_http_async_url_query(pool, &target, cases[i].pairs)
                    == NGX_OK
                    && ngx_stub_is(&target, cases[i].expected)
                    && strlen((char *) target.data) == target.len,
                    "%s with arguments is %s", cases[i].target,
                    cases[i].expected);
    }
}


static void
test_text(void)
{
    ngx_str_t              text;
    ngx_uint_t             i;
    const char            *error;
    ngx_http_async_url_t   url;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        parse(&url, texts[i].text, strlen(texts[i].text), &error);

        ngx_stub_ok(ngx_http_async_url_text(pool, &url, &text) == NGX_OK
                    && ngx_stub_is(&text, texts[i].expected)
                    && text.data[text.len] == '\0',
                    "%s as text is %s", texts[i].text, texts[i].expected);
    }
}


static void
test_origin(void)
{
    ngx_uint_t             i;
    const char            *error;
    ngx_http_async_url_t   a, b;

    static const struct {
        const char  *a, *b;
        ngx_uint_t   same;
    } cases[] = {
        { "http://a/b", "HTTP://u:p@A:80/c", 1 },
        { "https://a/", "https://a:443/", 1 },
        { "http://a/", "https://a/", 0 },
        { "http://a:443/", "https://a:443/", 0 },
        { "http://a/", "http://a:81/", 0 },
        { "http://a/", "http://a./", 0 },
        { "http://a/", "http://b/", 0 },
        { "http://a/", "http://aa/", 0 },
        { "http://[::A]/", "http://[::a]/", 1 },
        { "http://unix:a:/b", "http://unix:a:/c", 1 },
        { "http://unix:a:/b", "http://unix:A:/b", 0 },
        { "http://unix:a:/b", "http://a/b", 0 },
        { "http://unix:a", "https://unix:a", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        parse(&a, cases[i].a, strlen(cases[i].a), &error);
        parse(&b, cases[i].b, strlen(cases[i].b), &error);

        ngx_stub_ok(ngx_http_async_url_same_origin(&a, &b) == cases[i].same
                    && ngx_http_async_url_same_origin(&b, &a) == cases[i].same,
                    "%s and %s are %s origin", cases[i].a, cases[i].b,
                    cases[i].same ? "of one" : "not of one");
    }
}


static void
test_no_memory(void)
{
    ngx_int_t              n;
    const char            *error;
    ngx_http_async_url_t   url;

    ngx_stub_allocations = 1;

    ngx_stub_ok(parse(&url, "http://U:p@[::A]:81/{", 21, &error) == NGX_OK,
                "one allocation is enough");

    for (n = 0; n < 20; n++) {
        ngx_stub_allocations = n;

        if (all() == NGX_OK) {
            break;
        }
    }

    ngx_stub_allocations = -1;

    ngx_stub_ok(n == 5, "each of %d allocations may fail", (int) n);
}


static ngx_int_t
all(void)
{
    ngx_str_t              text;
    const char            *error;
    ngx_http_async_url_t   url;

    static const char *const  pairs[] = { "a", "b", NULL };

    if (ngx_http_async_url_parse(pool, &url, "http://a", 8, &error) != NGX_OK
        || ngx_http_async_url_query(pool, &url.target, pairs) != NGX_OK
        || ngx_http_async_url_join(pool, &url, "b", 1, &text, &error) != NGX_OK
        || ngx_http_async_url_text(pool, &url, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static int
filter(void)
{
    char         *line, *hex, *pairs[64];
    size_t        size;
    ngx_str_t     words[64], target;
    ngx_uint_t    i, n;

    line = NULL;
    size = 0;

    while (getline(&line, &size, stdin) > 0) {

        /* a word ends with a zero byte of its own, for the pairs and bases */

        for (n = 0, hex = strchr(line, ' ');
             hex && n < 64;
             hex = strchr(hex + 1, ' '))
        {
            words[n++] = ngx_stub_unhex(hex + 1);
        }

        if (line[0] == 'p') {
            print((char *) words[0].data, words[0].len, stdout);

        } else if (line[0] == 'j') {
            print_join((char *) words[0].data, (char *) words[1].data,
                       words[1].len - 1, stdout);

        } else {
            for (i = 1; i < n; i++) {
                pairs[i - 1] = (char *) words[i].data;
            }

            pairs[n - 1] = NULL;

            target.data = words[0].data;
            target.len = words[0].len - 1;

            if (ngx_http_async_url_query(pool, &target,
                                         (const char *const *) pairs)
                == NGX_OK)
            {
                fwrite(target.data, 1, target.len, stdout);
            }
        }

        putchar(0);

        for (i = 0; i < n; i++) {
            free(words[i].data);
        }
    }

    free(line);

    return 0;
}


static int
repeat(ngx_uint_t n)
{
    ngx_uint_t             i;
    const char            *error;
    ngx_http_async_url_t   url;

    static const char  text[] = "http://127.0.0.1:8081/items/5?x=1";

    for (i = 0; i < n; i++) {
        if (ngx_http_async_url_parse(pool, &url, text, sizeof(text) - 1,
                                     &error)
            != NGX_OK)
        {
            return 1;
        }
    }

    ngx_destroy_pool(pool);

    return 0;
}
