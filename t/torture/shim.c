
/*
 * Preloaded into nginx by NginxAsync::Torture::Allocations: the n-th allocation
 * of the module's fails.  Counted is what the module, or an app or library that
 * it has called, asks malloc() and its like for, in whatever thread, and what
 * the module asks nginx's pools, lists and arrays for, which have memory in
 * store and would ask malloc() rarely.
 *
 * The file that TORTURE_CONTROL names is mapped by all processes; the test
 * writes there which process is meant, and at which count.
 */

#define _GNU_SOURCE

#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>


#define FRAMES   40
#define MODULE   "ngx_http_async_module"


typedef struct {
    char            file[200];
    uint64_t        offset;
} frame_t;


/* as NginxAsync::Torture::Control has it */

typedef struct {
    _Atomic int32_t  pid;           /* 0: nobody */
    _Atomic int32_t  failed;        /* how many have, since it was armed */
    _Atomic int64_t  left;          /* until the first one that fails */
    int64_t          burst;         /* that many fail in a row */
    char             what[32];
    int64_t          n;
    frame_t          frames[FRAMES];
} control_t;


typedef struct {
    const char  *name;
    void        *ours;
    void       **real;
} wrapped_t;


static control_t          *control;
static _Atomic uintptr_t   first, last;       /* addresses of the module */
static __thread int        inside __attribute__((tls_model("initial-exec")));

/* what dlsym() asks for before we know the allocator */
static char                early[16384];
static _Atomic size_t      early_used;

static void  *(*real_malloc)(size_t);
static void  *(*real_calloc)(size_t, size_t);
static void  *(*real_realloc)(void *, size_t);
static void   (*real_free)(void *);
static int    (*real_posix_memalign)(void **, size_t, size_t);
static void  *(*real_memalign)(size_t, size_t);
static void  *(*real_aligned_alloc)(size_t, size_t);
static void  *(*real_mmap)(void *, size_t, int, int, int, off_t);
static void  *(*real_dlopen)(const char *, int);

static void   look_up(void);
static void   empty_pools(void);


__attribute__((constructor)) static void
start(void)
{
    int          fd;
    void        *frame[2];
    const char  *file;

    look_up();

    file = getenv("TORTURE_CONTROL");
    fd = file ? open(file, O_RDWR|O_CLOEXEC) : -1;

    if (fd == -1) {
        return;
    }

    /* the first call loads a library */
    backtrace(frame, 2);

    control = real_mmap(NULL, sizeof(control_t), PROT_READ|PROT_WRITE,
                        MAP_SHARED, fd, 0);
    close(fd);

    if (control == MAP_FAILED) {
        abort();
    }

    empty_pools();
}


static void
look_up(void)
{
    if (real_malloc) {
        return;
    }

    inside++;

    real_calloc = dlsym(RTLD_NEXT, "calloc");
    real_realloc = dlsym(RTLD_NEXT, "realloc");
    real_free = dlsym(RTLD_NEXT, "free");
    real_posix_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    real_memalign = dlsym(RTLD_NEXT, "memalign");
    real_aligned_alloc = dlsym(RTLD_NEXT, "aligned_alloc");
    real_mmap = dlsym(RTLD_NEXT, "mmap");
    real_dlopen = dlsym(RTLD_NEXT, "dlopen");
    real_malloc = dlsym(RTLD_NEXT, "malloc");

    inside--;
}


static void *
early_alloc(size_t size)
{
    size_t  at;

    size = (size + 15) & ~(size_t) 15;
    at = atomic_fetch_add(&early_used, size);

    return at + size <= sizeof(early) ? early + at : NULL;
}


static int
is_early(void *p)
{
    return (char *) p >= early && (char *) p < early + sizeof(early);
}


static void
note(const char *what, void **frame, int n)
{
    Dl_info  info;

    strncpy(control->what, what, sizeof(control->what) - 1);
    control->n = 0;

    for (int i = 1; i < n && i < FRAMES; i++) {
        frame_t  *to = &control->frames[control->n];

        if (dladdr(frame[i], &info) && info.dli_fname) {
            strncpy(to->file, info.dli_fname, sizeof(to->file) - 1);
            to->offset = (uintptr_t) frame[i] - (uintptr_t) info.dli_fbase;
            control->n++;
        }
    }
}


/* Whether this one is to fail.  "own": the module itself has called. */

static int
fails(const char *what, int own)
{
    int      n, i;
    void    *frame[FRAMES];
    int64_t  left;

    if (control == NULL || inside || control->pid == 0
        || control->pid != getpid())
    {
        return 0;
    }

    inside++;

    n = backtrace(frame, FRAMES);

    for (i = 0; !own && i < n; i++) {
        own = (uintptr_t) frame[i] >= first && (uintptr_t) frame[i] < last;
    }

    left = own ? atomic_fetch_sub(&control->left, 1) : 0;

    if (left <= 0 && own && left > -control->burst) {
        if (left == 0) {
            note(what, frame, n);
        }

        control->failed++;

    } else {
        own = 0;
    }

    inside--;

    return own;
}


/* ---- malloc() and its like */

void *
malloc(size_t size)
{
    if (real_malloc == NULL) {
        return early_alloc(size);
    }

    if (fails("malloc", 0)) {
        errno = ENOMEM;
        return NULL;
    }

    return real_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    if (real_malloc == NULL) {
        return early_alloc(n * size);
    }

    if (fails("calloc", 0)) {
        errno = ENOMEM;
        return NULL;
    }

    return real_calloc(n, size);
}


void *
realloc(void *p, size_t size)
{
    void  *new;

    if (real_malloc == NULL || is_early(p)) {
        new = real_malloc ? real_malloc(size) : early_alloc(size);

        if (new && p) {
            size_t  known = early + sizeof(early) - (char *) p;
            memcpy(new, p, size < known ? size : known);
        }

        return new;
    }

    /* one that makes a block smaller is not expected to fail, but may */

    if (size && fails("realloc", 0)) {
        errno = ENOMEM;
        return NULL;
    }

    return real_realloc(p, size);
}


void
free(void *p)
{
    if (p && !is_early(p) && real_free) {
        real_free(p);
    }
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    look_up();

    return fails("posix_memalign", 0)
           ? ENOMEM : real_posix_memalign(p, alignment, size);
}


void *
memalign(size_t alignment, size_t size)
{
    look_up();

    if (fails("memalign", 0)) {
        errno = ENOMEM;
        return NULL;
    }

    return real_memalign(alignment, size);
}


void *
aligned_alloc(size_t alignment, size_t size)
{
    look_up();

    if (fails("aligned_alloc", 0)) {
        errno = ENOMEM;
        return NULL;
    }

    return real_aligned_alloc(alignment, size);
}


void *
mmap(void *p, size_t size, int prot, int flags, int fd, off_t offset)
{
    if (real_mmap == NULL) {
        return (void *) syscall(SYS_mmap, p, size, prot, flags, fd, offset);
    }

    if (fails("mmap", 0)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }

    return real_mmap(p, size, prot, flags, fd, offset);
}


/* ---- nginx's, as the module calls them */

#define WRAP(name, parameters, arguments)                                    \
    static void *(*real_##name) parameters;                                  \
                                                                             \
    static void *                                                            \
    our_##name parameters                                                    \
    {                                                                        \
        return fails(#name, 1) ? NULL : real_##name arguments;               \
    }

WRAP(ngx_palloc, (void *pool, size_t size), (pool, size))
WRAP(ngx_pnalloc, (void *pool, size_t size), (pool, size))
WRAP(ngx_pcalloc, (void *pool, size_t size), (pool, size))
WRAP(ngx_pmemalign, (void *pool, size_t size, size_t alignment),
     (pool, size, alignment))
WRAP(ngx_create_pool, (size_t size, void *log), (size, log))
WRAP(ngx_pool_cleanup_add, (void *pool, size_t size), (pool, size))
WRAP(ngx_http_cleanup_add, (void *r, size_t size), (r, size))
WRAP(ngx_array_create, (void *pool, uintptr_t n, size_t size),
     (pool, n, size))
WRAP(ngx_array_push, (void *array), (array))
WRAP(ngx_array_push_n, (void *array, uintptr_t n), (array, n))
WRAP(ngx_list_create, (void *pool, uintptr_t n, size_t size), (pool, n, size))
WRAP(ngx_list_push, (void *list), (list))
WRAP(ngx_create_temp_buf, (void *pool, size_t size), (pool, size))
WRAP(ngx_alloc_chain_link, (void *pool), (pool))
WRAP(ngx_chain_get_free_buf, (void *pool, void *free), (pool, free))
WRAP(ngx_slab_alloc_locked, (void *pool, size_t size), (pool, size))
WRAP(ngx_slab_alloc, (void *pool, size_t size), (pool, size))


#define WRAPPED(name)  { #name, our_##name, (void **) &real_##name }

static const wrapped_t  wrapped[] = {
    WRAPPED(ngx_palloc),
    WRAPPED(ngx_pnalloc),
    WRAPPED(ngx_pcalloc),
    WRAPPED(ngx_pmemalign),
    WRAPPED(ngx_create_pool),
    WRAPPED(ngx_pool_cleanup_add),
    WRAPPED(ngx_http_cleanup_add),
    WRAPPED(ngx_array_create),
    WRAPPED(ngx_array_push),
    WRAPPED(ngx_array_push_n),
    WRAPPED(ngx_list_create),
    WRAPPED(ngx_list_push),
    WRAPPED(ngx_create_temp_buf),
    WRAPPED(ngx_alloc_chain_link),
    WRAPPED(ngx_chain_get_free_buf),
    WRAPPED(ngx_slab_alloc_locked),
    WRAPPED(ngx_slab_alloc)
};


/*
 * All that asks a pool, nginx's own code too, gets a piece by itself:
 * ngx_pmemalign() does that, and registers it.  A jump to these functions stands
 * where nginx's begin.
 */

static void *
palloc(void *pool, size_t size)
{
    return real_ngx_pmemalign(pool, size, 16);
}


static void *
pcalloc(void *pool, size_t size)
{
    void  *p = palloc(pool, size);

    return p ? memset(p, 0, size) : NULL;
}


static void
jump(const char *name, void *to)
{
    Dl_info     info;
    ElfW(Sym)  *symbol;
    void       *at = dlsym(RTLD_DEFAULT, name);
    uintptr_t   size = sysconf(_SC_PAGESIZE);
    uintptr_t   page = (uintptr_t) at & ~(size - 1);

#if defined(__x86_64__)
    unsigned char  code[] = { 0xff, 0x25, 0, 0, 0, 0 };   /* jmp *(%rip) */
#elif defined(__aarch64__)
    uint32_t       code[] = { 0x58000050, 0xd61f0200 };   /* ldr x16; br x16 */
#endif

    /* a command that this nginx runs inherits us */

    if (at == NULL) {
        return;
    }

    /* with NGX_DEBUG_PALLOC a function may be too short, and is right as it is */

    if (!dladdr1(at, &info, (void **) &symbol, RTLD_DL_SYMENT)
        || symbol->st_size < sizeof(code) + sizeof(void *))
    {
        return;
    }

    if (mprotect((void *) page, 2 * size, PROT_READ|PROT_WRITE|PROT_EXEC)
        == -1)
    {
        abort();
    }

    memcpy(at, code, sizeof(code));
    memcpy((char *) at + sizeof(code), &to, sizeof(void *));

    (void) mprotect((void *) page, 2 * size, PROT_READ|PROT_EXEC);
    __builtin___clear_cache((char *) at, (char *) at + 32);
}


static void
empty_pools(void)
{
    real_ngx_pmemalign = dlsym(RTLD_DEFAULT, "ngx_pmemalign");

    jump("ngx_palloc", palloc);
    jump("ngx_pnalloc", palloc);
    jump("ngx_pcalloc", pcalloc);
}


/* A slot of the module's global offset table leads to us. */

static void
redirect(void **slot, const char *name)
{
    uintptr_t  size = sysconf(_SC_PAGESIZE);
    uintptr_t  page = (uintptr_t) slot & ~(size - 1);

    for (size_t i = 0; i < sizeof(wrapped) / sizeof(wrapped_t); i++) {

        if (strcmp(wrapped[i].name, name) != 0 || *slot == wrapped[i].ours) {
            continue;
        }

        *wrapped[i].real = dlsym(RTLD_DEFAULT, name);

        if (mprotect((void *) page, size, PROT_READ|PROT_WRITE) == -1) {
            abort();
        }

        *slot = wrapped[i].ours;
    }
}


static void
redirect_all(struct dl_phdr_info *info)
{
    size_t       i, n = 0, plt = 0;
    const char  *names = NULL;
    ElfW(Dyn)   *d = NULL;
    ElfW(Sym)   *symbols = NULL;
    ElfW(Rela)  *rela = NULL, *jumps = NULL;

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_DYNAMIC) {
            d = (void *) (info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        }
    }

    /* glibc has relocated these */

    for ( /* void */ ; d && d->d_tag != DT_NULL; d++) {
        switch (d->d_tag) {
        case DT_STRTAB:    names = (void *) d->d_un.d_ptr; break;
        case DT_SYMTAB:    symbols = (void *) d->d_un.d_ptr; break;
        case DT_RELA:      rela = (void *) d->d_un.d_ptr; break;
        case DT_RELASZ:    n = d->d_un.d_val / sizeof(ElfW(Rela)); break;
        case DT_JMPREL:    jumps = (void *) d->d_un.d_ptr; break;
        case DT_PLTRELSZ:  plt = d->d_un.d_val / sizeof(ElfW(Rela)); break;
        }
    }

    for (i = 0; i < n + plt; i++) {
        ElfW(Rela)  *one = i < n ? &rela[i] : &jumps[i - n];
        size_t       symbol = ELF64_R_SYM(one->r_info);

        if (symbol) {
            redirect((void **) (info->dlpi_addr + one->r_offset),
                     names + symbols[symbol].st_name);
        }
    }
}


static int
find_module(struct dl_phdr_info *info, size_t size, void *data)
{
    uintptr_t  end = 0;

    (void) size;
    (void) data;

    if (strstr(info->dlpi_name, MODULE) == NULL) {
        return 0;
    }

    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr)  *p = &info->dlpi_phdr[i];

        if (p->p_type == PT_LOAD && p->p_vaddr + p->p_memsz > end) {
            end = p->p_vaddr + p->p_memsz;
        }
    }

    first = info->dlpi_addr;
    last = info->dlpi_addr + end;

    redirect_all(info);

    return 1;
}


void *
dlopen(const char *file, int flags)
{
    void  *handle;

    look_up();

    handle = real_dlopen(file, flags);

    if (handle && control && file && strstr(file, MODULE)) {
        dl_iterate_phdr(find_module, NULL);
    }

    return handle;
}
