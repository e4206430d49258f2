/* A binary heap with places kept in the tasks, and a lock-free stack turned round by its reader. */
#include "tasks.h"

enum { HEAP_FIRST = 64 };

void efx_tasks__init(struct efx_tasks *ts, struct efx_mem *mem)
{
    *ts = (struct efx_tasks){.mem = mem};
}

void efx_tasks__drop(struct efx_tasks *ts)
{
    while (efx_tasks__next_posted(ts) != NULL) {
    }
    for (uint32_t i = 1; i <= ts->n; i++) {
        ts->heap[i].task->place = 0;
    }
    ts->n = 0;
}

void efx_tasks__fini(struct efx_tasks *ts)
{
    efx_tasks__drop(ts);
    if (ts->heap != NULL) {
        ts->mem->free(ts->mem, ts->heap, (ts->max + 1) * sizeof *ts->heap);
    }
    *ts = (struct efx_tasks){.mem = ts->mem};
}

/* ---- posted ---- */

bool efx_tasks__post(struct efx_tasks *ts, struct efx_task *t)
{
    if (__atomic_exchange_n(&t->posted, true, __ATOMIC_ACQ_REL)) {
        return false;
    }
    struct efx_task *top = __atomic_load_n(&ts->posted, __ATOMIC_RELAXED);
    do {
        t->next = top;
    } while (!__atomic_compare_exchange_n(&ts->posted, &top, t, true, __ATOMIC_SEQ_CST,
                                          __ATOMIC_RELAXED));
    return true;
}

bool efx_tasks__any_posted(const struct efx_tasks *ts)
{
    return ts->ready != NULL || __atomic_load_n(&ts->posted, __ATOMIC_SEQ_CST) != NULL;
}

static void take_posted(struct efx_tasks *ts)
{
    struct efx_task *t = __atomic_exchange_n(&ts->posted, NULL, __ATOMIC_ACQUIRE);
    struct efx_task *oldest = NULL, *newest = t;
    while (t != NULL) {
        struct efx_task *below = t->next;
        t->next = oldest;
        oldest = t;
        t = below;
    }
    if (ts->ready == NULL) {
        ts->ready = oldest;
    } else {
        ts->ready_last->next = oldest;
    }
    ts->ready_last = newest != NULL ? newest : ts->ready_last;
}

struct efx_task *efx_tasks__next_posted(struct efx_tasks *ts)
{
    if (ts->ready == NULL) {
        take_posted(ts);
    }
    struct efx_task *t = ts->ready;
    if (t != NULL) {
        ts->ready = t->next;
        /* Not a mere store: it must see what those did who found the task posted already. */
        (void)__atomic_exchange_n(&t->posted, false, __ATOMIC_ACQ_REL);
    }
    return t;
}

void efx_tasks__withdraw(struct efx_tasks *ts, struct efx_task *t)
{
    if (!__atomic_load_n(&t->posted, __ATOMIC_ACQUIRE)) {
        return;
    }
    take_posted(ts);
    struct efx_task *before = NULL;
    for (struct efx_task *at = ts->ready; at != t; at = at->next) {
        EFX_ASSERT(at != NULL);
        before = at;
    }
    if (before == NULL) {
        ts->ready = t->next;
    } else {
        before->next = t->next;
    }
    ts->ready_last = ts->ready_last == t ? before : ts->ready_last;
    __atomic_store_n(&t->posted, false, __ATOMIC_RELEASE);
}

/* ---- timers ---- */

static bool before(const struct efx_tasks_timer *a, const struct efx_tasks_timer *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->turn < b->turn);
}

static void place(struct efx_tasks *ts, uint32_t at, struct efx_tasks_timer e)
{
    ts->heap[at] = e;
    e.task->place = at;
}

static void sift(struct efx_tasks *ts, uint32_t at, struct efx_tasks_timer e)
{
    for (; at > 1 && before(&e, &ts->heap[at / 2]); at /= 2) {
        place(ts, at, ts->heap[at / 2]);
    }
    for (uint32_t down = at * 2; down <= ts->n; down = at * 2) {
        down += down < ts->n && before(&ts->heap[down + 1], &ts->heap[down]);
        if (!before(&ts->heap[down], &e)) {
            break;
        }
        place(ts, at, ts->heap[down]);
        at = down;
    }
    place(ts, at, e);
}

static void grow(struct efx_tasks *ts)
{
    uint32_t max = ts->max == 0 ? HEAP_FIRST : ts->max * 2;
    void *heap = efx_mem_grow(ts->mem, ts->heap, (ts->max + 1) * sizeof *ts->heap,
                              (max + 1) * sizeof *ts->heap);
    if (heap == NULL) {
        efx_panic(__FILE__, __LINE__, "no memory for a loop's timers");
    }
    ts->heap = heap;
    ts->max = max;
}

void efx_tasks__set(struct efx_tasks *ts, struct efx_task *t, uint64_t at_ns)
{
    if (t->place == 0) {
        if (ts->n == ts->max) {
            grow(ts);
        }
        t->place = ++ts->n;
    }
    t->at_ns = at_ns;
    sift(ts, t->place, (struct efx_tasks_timer){at_ns, ts->turn++, t});
}

void efx_tasks__clear(struct efx_tasks *ts, struct efx_task *t)
{
    uint32_t at = t->place;
    if (at == 0) {
        return;
    }
    EFX_ASSERT(at <= ts->n && ts->heap[at].task == t);
    t->place = 0;
    struct efx_tasks_timer last = ts->heap[ts->n--];
    if (at <= ts->n) {
        sift(ts, at, last);
    }
}

uint64_t efx_tasks__next_ns(const struct efx_tasks *ts)
{
    return ts->n == 0 ? UINT64_MAX : ts->heap[1].at_ns;
}

struct efx_task *efx_tasks__next_due(struct efx_tasks *ts, uint64_t now_ns)
{
    if (efx_tasks__next_ns(ts) > now_ns || ts->n == 0) {
        return NULL;
    }
    struct efx_task *t = ts->heap[1].task;
    efx_tasks__clear(ts, t);
    return t;
}
