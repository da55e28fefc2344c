
/*
 * Paths below a root without openat2(): a table, and random paths, of which
 * none may be opened that the kernel would not open there, nor another file.
 */

#define NGX_ASYNC_NO_OPENAT2  1

#include "../../src/ngx_async_beneath.c"
#include "ngx_stub.h"
#include <linux/openat2.h>


typedef struct {
    const char  *path;
    int          err;        /* 0: opened */
} beneath_case_t;


static beneath_case_t  cases[] = {
    { ".", 0 }, { "./", 0 }, { "a", 0 }, { "./a", 0 }, { "d/b", 0 },
    { "d//b", 0 }, { "d/./b", 0 }, { "d/", 0 }, { "d//", 0 }, { "d/e/c", 0 },
    { "", ENOENT }, { "none", ENOENT }, { "none/a", ENOENT },
    { "a/", ENOTDIR }, { "a/b", ENOTDIR },
    { "/", EXDEV }, { "/etc/passwd", EXDEV }, { "//a", EXDEV },
    { "..", EXDEV }, { "../a", EXDEV }, { "d/..", EXDEV },
    { "d/../a", EXDEV }, { "d/../../x", EXDEV }, { "./..", EXDEV },
    { "d/../", EXDEV }, { "none/../a", EXDEV },
    { "...", ENOENT }, { "..a", ENOENT }, { "a..", ENOENT },
    { "in", ELOOP }, { "in/b", ENOTDIR }, { "in/", ENOTDIR },
    { "out", ELOOP }, { "out/passwd", ENOTDIR }, { "d/up", ELOOP },
    { "loop", ELOOP }, { "loop/a", ENOTDIR }
};


static int
openat2_of_kernel(int base, const char *path, int flags)
{
    struct open_how  how;

    memset(&how, 0, sizeof(how));
    how.flags = (unsigned) flags;
    how.resolve = RESOLVE_BENEATH|RESOLVE_NO_MAGICLINKS;

    return (int) syscall(SYS_openat2, base, path, &how, sizeof(how));
}


static void
make(int base, const char *name)
{
    int  fd;

    fd = openat(base, name, O_CREAT|O_WRONLY, 0600);
    ngx_stub_ok(fd != -1, "%s is made", name);
    (void) close(fd);
}


/* whether what the walk opens is what the kernel opens */

static ngx_uint_t
agrees(int base, const char *path, ngx_uint_t *opened)
{
    int          walked, resolved, flags;
    ngx_uint_t   same;
    struct stat  a, b;

    flags = (random() % 2) ? O_PATH : O_RDONLY|O_NONBLOCK;

    walked = ngx_async_beneath_open(base, path, flags, 0);
    resolved = openat2_of_kernel(base, path, flags|O_CLOEXEC);

    same = 1;

    if (walked != -1) {
        (*opened)++;

        same = resolved != -1 && fstat(walked, &a) == 0
               && fstat(resolved, &b) == 0
               && a.st_dev == b.st_dev && a.st_ino == b.st_ino;

        (void) close(walked);
    }

    if (resolved != -1) {
        (void) close(resolved);
    }

    return same;
}


static void
random_paths(int base)
{
    char         path[1000], *p;
    ngx_uint_t   i, j, opened, wrong;

    static const char  *names[] = {
        "a", "d", "e", "b", "c", ".", "..", "", "in", "out", "up", "loop", "/"
    };

    if (openat2_of_kernel(base, ".", O_PATH) == -1 && errno == ENOSYS) {
        ngx_stub_ok(1, "random paths: no openat2() to compare with");
        return;
    }

    opened = 0;
    wrong = 0;

    for (i = 0; i < 200000; i++) {
        p = path;

        for (j = 0; j <= (ngx_uint_t) random() % 5; j++) {
            p += sprintf(p, "%s%s", j ? "/" : "", names[random() % 13]);
        }

        if (random() % 8 == 0) {
            (void) sprintf(p, "/");
        }

        if (!agrees(base, path, &opened)) {
            ngx_stub_ok(0, "\"%s\" is what the kernel opens", path);
            wrong++;
        }
    }

    ngx_stub_ok(wrong == 0, "random paths are opened as by the kernel");
    ngx_stub_ok(opened > 1000, "... and not too few");
}


static void
parents(int base)
{
    int          fd;
    char         name[NGX_ASYNC_BENEATH_NAME], path[PATH_MAX + 1];
    struct stat  st, d;

    ngx_stub_ok(fstatat(base, "d", &d, 0) == 0, "d is there");

    fd = ngx_async_beneath_parent(base, "d//new", name, 0);
    ngx_stub_ok(fd != -1 && fstat(fd, &st) == 0 && st.st_ino == d.st_ino
                && strcmp(name, "new") == 0, "the parent of d//new");
    (void) close(fd);

    fd = ngx_async_beneath_parent(base, "new//", name, 1);
    ngx_stub_ok(fd != -1 && strcmp(name, "new") == 0, "the parent of new//");
    (void) close(fd);

    ngx_stub_ok(ngx_async_beneath_parent(base, "new/", name, 0) == -1
                && errno == EISDIR, "a file that ends with a slash");
    ngx_stub_ok(ngx_async_beneath_parent(base, "in/new", name, 0) == -1
                && errno == ENOTDIR, "a link on the way");
    ngx_stub_ok(ngx_async_beneath_parent(base, "d/../new", name, 0) == -1
                && errno == EXDEV, "\"..\" on the way");
    ngx_stub_ok(ngx_async_beneath_parent(base, "", name, 0) == -1
                && errno == ENOENT, "nothing");
    ngx_stub_ok(ngx_async_beneath_parent(AT_FDCWD, "///", name, 1) == -1
                && errno == EISDIR, "slashes only");

    memset(path, 'n', sizeof(path));

    path[255] = '\0';
    fd = ngx_async_beneath_parent(base, path, name, 0);
    ngx_stub_ok(fd != -1 && strlen(name) == 255, "the longest name");
    (void) close(fd);

    path[255] = 'n';
    path[256] = '\0';
    ngx_stub_ok(ngx_async_beneath_parent(base, path, name, 0) == -1
                && errno == ENAMETOOLONG, "... and one more");

    path[256] = 'n';
    path[PATH_MAX] = '\0';
    ngx_stub_ok(ngx_async_beneath_parent(base, path, name, 0) == -1
                && errno == ENAMETOOLONG, "a path that is too long");
    ngx_stub_ok(ngx_async_beneath_parent(AT_FDCWD, path, name, 0) == -1
                && errno == ENAMETOOLONG, "... without a root, too");
}


int
main(void)
{
    int          fd, base;
    char         dir[] = "/tmp/ngx-async-beneath-XXXXXX", command[100];
    ngx_uint_t   i;

    ngx_stub_ok(mkdtemp(dir) != NULL, "a root");

    base = open(dir, O_PATH|O_DIRECTORY);

    ngx_stub_ok(mkdirat(base, "d", 0700) == 0
                && mkdirat(base, "d/e", 0700) == 0
                && symlinkat("d", base, "in") == 0
                && symlinkat("/etc", base, "out") == 0
                && symlinkat("../a", base, "d/up") == 0
                && symlinkat("loop", base, "loop") == 0, "what is in it");

    make(base, "a");
    make(base, "d/b");
    make(base, "d/e/c");

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        fd = ngx_async_beneath_open(base, cases[i].path, O_RDONLY|O_NONBLOCK,
                                    0);

        ngx_stub_ok(cases[i].err ? fd == -1 && errno == cases[i].err
                                 : fd != -1,
                    "\"%s\"", cases[i].path);
        (void) close(fd);
    }

    fd = ngx_async_beneath_open(base, "new/", O_CREAT|O_WRONLY, 0600);
    ngx_stub_ok(fd == -1, "no file with a slash is made");

    fd = ngx_async_beneath_open(base, "in", O_PATH, 0);
    ngx_stub_ok(fd == -1 && errno == ELOOP, "a link is not opened by itself");

    parents(base);
    random_paths(base);

    (void) close(base);
    (void) sprintf(command, "rm -r %s", dir);
    ngx_stub_ok(system(command) == 0, "all is removed");

    return ngx_stub_done();
}
