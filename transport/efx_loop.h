#ifndef EFX_LOOP_H
#define EFX_LOOP_H

#include "efx_world.h"

/* The one thread on which a node's control plane lives: time, timers, tasks from other threads.
 *
 *   real        libevent, the machine's clocks; `post` wakes it from any thread
 *   simulated   virtual time: whoever drives it runs the next task; the same seed, the same run
 *
 * Everything a node decides happens in tasks of its loop, so no state of it has a lock, and a whole
 * cluster runs in one process by giving each member a loop of one simulation.
 *
 *   Owner    a task is its user's memory and is queued at most once as a timer and once as posted;
 *            inside its own call it is in neither, so it may be set, posted or given back there
 *   Threads  post and now_ns from any thread, the rest on the loop's own
 *   Errors   none: a loop that cannot wait any more is a panic
 */
struct efx_loop;

struct efx_task {
    void (*fn)(void *arg);
    void *arg;
    /* The loop's: */
    struct efx_task *next;
    uint64_t at_ns;
    uint32_t place; /* in the timers' heap, from 1; 0 = is in none */
    bool posted;
};

struct efx_loop_vt {
    uint64_t (*now_ns)(struct efx_loop *self); /* boot-time clock: leases count on it */
    int64_t (*wall_ms)(struct efx_loop *self);
    uint64_t (*random)(struct efx_loop *self);
    /* fn once, not before at_ns; a set task moves. */
    void (*timer_set)(struct efx_loop *self, struct efx_task *t, uint64_t at_ns);
    void (*timer_clear)(struct efx_loop *self, struct efx_task *t);
    /* fn soon, on the loop; nothing if it is posted already. */
    void (*post)(struct efx_loop *self, struct efx_task *t);
    /* Neither a timer nor posted any more: before its memory is given back. On the loop's thread,
     * with nobody left who posts it. */
    void (*cancel)(struct efx_loop *self, struct efx_task *t);
};

struct efx_loop {
    const struct efx_loop_vt *vt;
};

#endif /* EFX_LOOP_H */
