#ifndef WORKER_H
#define WORKER_H

#include "efx_arena.h"
#include "efx_loop.h"

/* Work that waits for others (store, coordination), away from the loop: one thread, jobs in their
 * order, each answered on the loop.
 *
 *   loop   submit(job) ─────────────────────► done(arg)
 *   worker          └► run(arg) ── post ──┘
 *
 *   simulated   no thread: a job runs in a task of the loop, so under a seed it comes at one place
 *
 *   Owner    a job is its user's until done was called
 *   Threads  submit, destroy: the loop's; run: the worker's
 *   Limits   jobs are few: one of each kind is under way at a time, their users see to that
 */
struct node_job {
    void (*run)(void *arg);
    void (*done)(void *arg);
    void *arg;
    struct node_job *next; /* the worker's */
};

struct node_worker;

enum efx_rc node_worker_create(struct efx_mem *mem, struct efx_loop *loop, bool simulated,
                               struct node_worker **out) EFX_MUST_USE;
/* Waits for the job that runs; those that wait are dropped, their done is not called. */
void node_worker_destroy(struct node_worker **w);
void node_worker_submit(struct node_worker *w, struct node_job *job);

#endif /* WORKER_H */
