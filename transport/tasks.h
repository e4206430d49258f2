#ifndef TASKS_H
#define TASKS_H

#include "efx_arena.h"
#include "efx_loop.h"

/* What both loops are made of: timers in a heap, and a list of tasks that any thread may add to.
 *
 *   posted   newest first, a stack that other threads push to without a lock
 *   ready    oldest first, the loop's own; refilled with all of `posted` when it is asked for more
 *   heap     from place 1; ties in the order in which they were set
 *
 *   Owner    tasks are their users'; the heap's room is from mem
 *   Limits   none: a heap that cannot grow is a panic, like a loop that cannot wait
 *   Threads  efx_tasks__post any, the rest one
 */
struct efx_tasks_timer {
    uint64_t at_ns, turn;
    struct efx_task *task;
};

struct efx_tasks {
    struct efx_mem *mem;
    struct efx_tasks_timer *heap; /* [max + 1] */
    uint32_t n, max;
    uint64_t turn;
    struct efx_task *posted;
    struct efx_task *ready, *ready_last;
};

void efx_tasks__init(struct efx_tasks *ts, struct efx_mem *mem);
/* Forgets all tasks; they may be set and posted again. */
void efx_tasks__drop(struct efx_tasks *ts);
void efx_tasks__fini(struct efx_tasks *ts);

/* False: it is posted already. */
bool efx_tasks__post(struct efx_tasks *ts, struct efx_task *t);
bool efx_tasks__any_posted(const struct efx_tasks *ts);
/* Takes it out of the list if it is there; O(posted). */
void efx_tasks__withdraw(struct efx_tasks *ts, struct efx_task *t);
/* The oldest posted one, or NULL. */
struct efx_task *efx_tasks__next_posted(struct efx_tasks *ts);

void efx_tasks__set(struct efx_tasks *ts, struct efx_task *t, uint64_t at_ns);
void efx_tasks__clear(struct efx_tasks *ts, struct efx_task *t);
/* When the first timer is due; UINT64_MAX = there is none. */
uint64_t efx_tasks__next_ns(const struct efx_tasks *ts);
/* The first timer if it is due, taken out, or NULL. */
struct efx_task *efx_tasks__next_due(struct efx_tasks *ts, uint64_t now_ns);

#endif /* TASKS_H */
