
/*
 * A tree of tasks at random, and what is known of it: see tree.c.  A node is a
 * task; what is noted of it is what may have happened to it so far, and what
 * has happened for sure.
 */

#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <ngx_async.h>
#include <sys/types.h>


#define NODES    64                           /* of a tree, at most */
#define ITEMS    256
#define CLEANUPS 4                            /* of a node, beside the last */
#define NESTED   3                            /* blocks in blocks */
#define WIDTH    200                          /* trees at a time, at most */
#define MUTEXES  2
#define KINDS    64                           /* of what is wrong */

#define FILES    2
#define CHANGES  24                           /* of one of them, at most */
#define CONTENT  6000                         /* bytes, at most */

/* as t/fuzz.t configures them */
#define THREADS      4
#define FEW_THREADS  1
#define FEW_QUEUE    4


typedef struct tree_s  tree_t;
typedef struct node_s  node_t;
typedef struct work_s  work_t;


/* For what outlives its tree: where it was, to be drawn again */

typedef struct {
    uint64_t      seed;                       /* of the request */
    int           tree;                       /* in it */
    int           node;
} origin_t;


typedef enum {
    ITEM_NEW = 0,
    ITEM_OFFERED,
    ITEM_IN,
    ITEM_REFUSED,
    ITEM_TAKEN
} item_e;


/* Several that are waited for at once */

typedef struct {
    int           any;                        /* else all, or gather */
    int           all;
    int           decided;
    int           first;                      /* to end with ASYNC_OK */
    int           late;                       /* the order is not known */
} group_t;


typedef struct {
    node_t       *node;
    int           number;
} cleanup_t;


/* What becomes of a file, and from when to when: see file.c */

enum { NOTHING = -1 };

typedef struct {
    int           to;                         /* its version; 0: not there */
    int           begun;
    int           ended;
    int           sure;
    int           exclusive;                  /* and it was not there before */
} change_t;


typedef struct file_s  file_t;

struct file_s {
    file_t       *next;
    origin_t      origin;
    uint64_t      name;
    int           appended;
    int           open;                       /* changes that are not sure */
    int           nchanges;
    change_t      changes[CHANGES];
};


struct node_s {
    tree_t       *tree;
    node_t       *parent;
    node_t       *sibling;                    /* spawned before */
    node_t       *children;
    group_t      *group;
    int           index;                      /* in the group */

    uint64_t      random;
    int           budget;                     /* of tasks below it */
    int           depth;

    async_child_t  *handle;                   /* NULL: joined, or about to be */

    int           begun;
    int           ended;
    int           endless;                    /* until it is cancelled */
    int           in_cleanup;                 /* spawned there */
    int           has_late;                   /* has spawned there */
    async_rc_t    rc;

    /* what may have happened to it */
    int           cancelled;
    int           joining;
    int           shielded;                   /* spawned inside of a shield */
    int           unreached;                  /* the same, for good */

    /* what has happened to it, for sure */
    int           told;

    /* where it is */
    int           shield;
    int           cleaning;
    int64_t       deadline;                   /* zero: none but the request's */
    int           base;                       /* the request's holds, too */
    async_rc_t    stuck;                      /* what awaits answer from now */

    int           ncleanups;
    int           to_clean;                   /* how many of them are left */
    cleanup_t     cleanups[CLEANUPS + 1];

    int           last_seq[2];                /* of each queue */
    unsigned      holds;                      /* mutexes, a bit each */
    unsigned      leaves;
};


struct tree_s {
    async_req_t  *req;
    uint64_t      seed;                       /* of the request */
    int           number;                     /* in it */
    int64_t       base;                       /* deadline; zero: none */
    const char   *root;                       /* of its files */
    file_t       *files[FILES];

    async_mutex_t      mutex[MUTEXES];
    node_t            *holder[MUTEXES];

    async_semaphore_t  semaphore[2];
    int64_t            taken[2];

    async_event_t      event[2];
    int                set[2];
    int                sets[2];

    async_queue_t      queue[2];
    int                closed[2];
    int                next_seq[2];

    int           nitems;
    int           state[ITEMS];
    int           seq[ITEMS];

    int           nnodes;
    node_t        nodes[NODES];
};


/* of the worker */

typedef struct {
    int           alive;                      /* nodes that have not ended */
    int           trees_alive;
    long          trees;
    long          tasks;
    long          cleanups;
    long          items_left;
    long          joins_refused;
    long          threads_returned;
    long          threads_skipped;
    long          threads_told;
    long          files_refused;
    long          awaits[7];                  /* by the code, negated */
    long          violations;
} counts_t;


/* of a block, to go back to */

typedef struct {
    int64_t       deadline;
    int           base;
    int           shield;
    async_rc_t    stuck;
} place_t;


extern counts_t  counts;


#define expect(cond, n, ...)  expect_of(cond, origin_of(n), __VA_ARGS__)

#define expect_of(cond, origin, ...)                                         \
    do {                                                                     \
        if (!(cond)) {                                                       \
            wrong(origin, __VA_ARGS__);                                      \
        }                                                                    \
    } while (0)


/* model.c */

uint64_t  seed_of(uint64_t a, uint64_t b);
uint64_t  draw(uint64_t *state);
int  below(node_t *n, int limit);
int64_t  now(void);
const char  *name_of(async_rc_t rc);
origin_t  origin_of(const node_t *n);
void  wrong(origin_t origin, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
json_t  *wrongs(void);

int  may_be_marked(const node_t *n);
int  may_be_cancelled(const node_t *n);
int  may_time_out(const node_t *n);
int  is_bounded(const node_t *n);
void  tell(node_t *n);
int  must_refuse(const node_t *n);
int  is_refused(node_t *n, const char *await, int must, async_rc_t rc);

place_t  place_of(const node_t *n);
void  deadline_begins(node_t *n, int ms);
void  deadline_ends(node_t *n, place_t p);
void  shield_begins(node_t *n, int ms);
void  shield_ends(node_t *n, place_t p);
void  children_go(node_t *n, node_t *mark);
void  children_gone(node_t *n, node_t *mark, const char *where);

/* node.c */

async_rc_t  node_body(async_t *co, void *arg);
async_rc_t  block(async_t *co, node_t *n, int nested);
async_rc_t  do_yield(async_t *co, node_t *n);
async_rc_t  do_defer(async_t *co, node_t *n);

/* block.c */

async_rc_t  do_deadline(async_t *co, node_t *n, int nested);
async_rc_t  do_shield(async_t *co, node_t *n, int nested);
async_rc_t  do_memory(async_t *co, node_t *n, int nested);
async_rc_t  do_group(async_t *co, node_t *n, int nested);

/* sync.c */

void  sync_init(tree_t *t, node_t *root);
void  sync_check(async_t *co, tree_t *t);
void  mutex_given(node_t *n, int i);
async_rc_t  do_mutex(async_t *co, node_t *n, int nested);
async_rc_t  do_semaphore(async_t *co, node_t *n, int nested);
async_rc_t  do_event(async_t *co, node_t *n);
async_rc_t  do_put(async_t *co, node_t *n);
async_rc_t  do_get(async_t *co, node_t *n);
async_rc_t  do_close(async_t *co, node_t *n);

/* child.c */

node_t  *spawn(async_t *co, node_t *n);
async_rc_t  join(async_t *co, node_t *n, node_t *c);
async_rc_t  wait_for(async_t *co, node_t *n, node_t *c);
async_rc_t  do_spawn(async_t *co, node_t *n);
async_rc_t  do_join(async_t *co, node_t *n);
async_rc_t  do_several(async_t *co, node_t *n);
async_rc_t  do_cancel(node_t *n);

/* late.c */

async_rc_t  endless(async_t *co, node_t *n);
async_rc_t  do_late(async_t *co, node_t *n);
async_rc_t  do_vain(async_t *co, node_t *n);

/* thread.c */

async_rc_t  do_thread(async_t *co, node_t *n);
void  threads_check(void);

/* content.c */

async_str_t  content(uint64_t name, int version);
int  version_of(uint64_t name, const char *data, size_t len, size_t *used);
ssize_t  slurp(const char *path, char *data, size_t size);
int  open_below(const char *root);

/* file.c */

async_rc_t  do_file(async_t *co, node_t *n);
uint64_t  new_name(void);
int  files_init(tree_t *t);
void  files_end(tree_t *t);
void  files_check(const char *root);

/* folder.c */

async_rc_t  do_folder(async_t *co, node_t *n);
void  folders_check(const char *root);

/* fence.c */

size_t  bytes_in_use(void);


#endif /* _FUZZ_H_INCLUDED_ */
