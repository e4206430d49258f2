/* File descriptors: as many as the system gives, a watch over them, and a listener that died.
 *
 * When accept fails for want of a descriptor the core's listener stops for ever, without a word. So
 * the limit is raised at the start, descriptors are counted once a second, and after they were all
 * in use and some came free again the server is given another listener: the old core closes its
 * port and finishes the calls that it has, a new one takes the address. Clients that waited in the
 * dead port's queue connect anew by themselves.
 *
 *   files   ────────── used up ──────────── free again ──────────►
 *   port    core 1 (its accept may be dead)  │ core 1 goes, core 2 listens
 *
 *   Limits   RLIMIT_NOFILE
 *   Errors   the address cannot be taken again: tried each second; n_relistens does not grow, and
 *            the node's own health check fails, which is what a probe is for
 *   Source   dependencies.md §1.3, number 15
 */
#include "grpc_in.h"

#include <dirent.h>
#include <string.h>
#include <sys/resource.h>

enum {
    LOOK_MS = 1000,
    FILES_NEAR = 2,   /* so few left: an accept may have failed between two looks */
    FILES_SPARE = 16, /* so many left: worth listening again */
};

void efx_grpc__files_raise(struct files_watch *w)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) {
        return;
    }
    if (r.rlim_cur < r.rlim_max) {
        struct rlimit more = {r.rlim_max, r.rlim_max};
        r.rlim_cur = setrlimit(RLIMIT_NOFILE, &more) == 0 ? r.rlim_max : r.rlim_cur;
    }
    w->max = r.rlim_cur > UINT32_MAX ? UINT32_MAX : (uint32_t)r.rlim_cur;
}

/* 0: it cannot even be looked at, for want of a descriptor. */
static uint32_t count_files(void)
{
    uint32_t n = 0;
    DIR *d = opendir("/proc/self/fd");
    if (d == NULL) {
        return 0;
    }
    while (readdir(d) != NULL) {
        n++;
    }
    (void)closedir(d);
    return n > 3 ? n - 3 : 1; /* `.`, `..`, and the one that looks */
}

static void listen_again(struct efx_grpc_server *s)
{
    struct efx_err err;
    if (s->cores != NULL) {
        efx_grpc__core_stop(s->cores);
    }
    if (efx_grpc__core_open(s, s->port, &err) == EFX_OK) {
        s->files.was_full = false;
        s->n_relistens++;
    }
}

void efx_grpc__server_tick_files(struct efx_grpc_server *s, uint64_t now_ns)
{
    struct files_watch *w = &s->files;
    if (now_ns - w->looked_ns < (uint64_t)LOOK_MS * 1000000) {
        return;
    }
    w->looked_ns = now_ns;
    uint32_t n = count_files();
    w->n_files = n == 0 ? w->max : n;
    w->was_full = w->was_full || w->n_files + FILES_NEAR >= w->max;
    if (w->was_full && w->n_files + FILES_SPARE < w->max && !s->draining) {
        listen_again(s);
    }
}
