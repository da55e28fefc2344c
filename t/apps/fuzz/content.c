
/*
 * What is written to files: it says itself which one of what it is, so that a
 * part of it, or another one, is not taken for it.
 */

#include "fuzz.h"
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>


/* "name.version.length:" and the bytes */
#define HEAD  "%08lx.%04x.%06zx:"


static size_t
fill(uint64_t name, unsigned version, char *data)
{
    size_t    i, len;
    uint64_t  state = seed_of(name, version), word;

    len = draw(&state) % 5 ? draw(&state) % 300
                           : draw(&state) % (CONTENT - 64);
    len += (size_t) snprintf(data, CONTENT, HEAD, (unsigned long) name,
                             version, len);

    for (i = strlen(data); i < len; i += sizeof(word)) {
        word = draw(&state);
        memcpy(data + i, &word, len - i < sizeof(word) ? len - i
                                                       : sizeof(word));
    }

    return len;
}


/* Of this worker alone, until the next call. */

async_str_t
content(uint64_t name, int version)
{
    async_str_t  s;

    static char  data[CONTENT + 8];

    s.data = data;
    s.len = fill(name, (unsigned) version, data);

    return s;
}


/* The version that the data begin with, and its length; 0: none as a whole. */

int
version_of(uint64_t name, const char *data, size_t len, size_t *used)
{
    size_t         size;
    unsigned       version;
    unsigned long  number;

    static char  expected[CONTENT + 8];

    if (len == 0 || sscanf(data, "%8lx.%4x.", &number, &version) != 2
        || number != name)
    {
        return 0;
    }

    size = fill(name, version, expected);

    if (size > len || memcmp(data, expected, size) != 0) {
        return 0;
    }

    *used = size;

    return (int) version;
}


/* Past the module: a file as it is, zero-terminated; -1: it is not there. */

ssize_t
slurp(const char *path, char *data, size_t size)
{
    FILE    *f = fopen(path, "r");
    size_t   n;

    if (f == NULL) {
        return -1;
    }

    n = fread(data, 1, size - 1, f);
    data[n] = '\0';

    (void) fclose(f);

    return (ssize_t) n;
}


/* How many descriptors of this process are of what is below a directory. */

int
open_below(const char *root)
{
    int             n = 0;
    DIR            *dir = opendir("/proc/self/fd");
    char            name[300], path[4096];
    ssize_t         len;
    struct dirent  *e;

    while (dir && (e = readdir(dir)) != NULL) {
        (void) snprintf(name, sizeof(name), "/proc/self/fd/%s", e->d_name);

        len = readlink(name, path, sizeof(path) - 1);

        if (len > 0) {
            path[len] = '\0';
            n += strncmp(path, root, strlen(root)) == 0;
        }
    }

    if (dir) {
        (void) closedir(dir);
    }

    return n;
}
