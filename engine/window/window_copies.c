/* Partition copies, timers, lists of row numbers. */
#include "window.h"

/* ---- copies ---- */

enum efx_rc efx_window__copies_open(struct win_copies *c, const struct efx_window_open *how,
                                    const struct efx_keyed_state *state)
{
    static const enum efx_type birth = EFX_TYPE_LONG;
    c->how = how;
    c->state = *state;
    c->conf = (struct efx_keyed_conf){
        .n_cells = how->copy_col != EFX_NO_COL,
        .types = &birth,
        .n_states = 1,
        .states = &c->state,
        .key_group = how->key_group,
        .birth_group = how->copy_col != EFX_NO_COL,
    };
    return efx_keyed_create(how->mem, how->ctx, &c->conf, &c->table);
}

void efx_window__copies_close(struct win_copies *c)
{
    if (c->how == NULL) {
        return;
    }
    efx_keyed_destroy(&c->table);
    if (c->map != NULL) {
        c->how->mem->free(c->how->mem, c->map, c->n_map * sizeof *c->map);
        c->map = NULL;
    }
}

enum efx_rc efx_window__copy_by_birth(struct win_copies *c, int64_t birth, uint32_t *id)
{
    struct efx_col key = {EFX_TYPE_LONG, &birth, NULL};
    uint32_t n_new;
    return efx_keyed_ids(c->table, &key, NULL, 1, id, &n_new);
}

static enum efx_rc map_grow(struct win_copies *c, uint32_t copy)
{
    struct efx_mem *mem = c->how->mem;
    uint32_t n = c->n_map == 0 ? 64 : c->n_map;
    while (n <= copy) {
        n *= 2;
    }
    void *more = c->map == NULL
                     ? mem->alloc(mem, n * sizeof *c->map)
                     : efx_mem_grow(mem, c->map, c->n_map * sizeof *c->map, n * sizeof *c->map);
    if (more == NULL) {
        return EFX_ENOMEM;
    }
    c->map = more;
    memset(c->map + c->n_map, 0xFF, (n - c->n_map) * sizeof *c->map);
    c->n_map = n;
    return EFX_OK;
}

enum efx_rc efx_window__copy_of(struct win_copies *c, const struct efx_batch *b, uint32_t i,
                                uint32_t *id)
{
    if (c->conf.n_cells == 0) {
        *id = 0;
        efx_keyed_touch(c->table, 0);
        return EFX_OK;
    }
    uint32_t copy = ((const uint32_t *)b->cols[c->how->copy_col].data)[i];
    int64_t birth = ((const int64_t *)b->cols[c->how->copy_col + 1].data)[i];
    if (copy >= c->n_map) {
        EFX_RET(map_grow(c, copy));
    }
    *id = c->map[copy];
    if (efx_keyed_is_live(c->table, *id) && efx_window__birth(c, *id) == birth) {
        efx_keyed_touch(c->table, *id);
        return EFX_OK;
    }
    EFX_RET(efx_window__copy_by_birth(c, birth, id));
    c->map[copy] = *id;
    return EFX_OK;
}

int64_t efx_window__birth(const struct win_copies *c, uint32_t id)
{
    int64_t birth = 0;
    if (c->conf.n_cells > 0) {
        (void)efx_keyed_key(c->table, id, 0, &birth);
    }
    return birth;
}

/* ---- timers ---- */

static bool before(const struct win_timer *a, const struct win_timer *b)
{
    if (a->due_ms != b->due_ms) {
        return a->due_ms < b->due_ms;
    }
    return a->birth != b->birth ? a->birth < b->birth : a->no < b->no;
}

enum efx_rc efx_window__timer_add(struct win_timers *t, const struct win_timer *timer)
{
    if (t->n == t->n_max) {
        uint32_t max = t->n_max == 0 ? 64 : t->n_max * 2;
        size_t bytes = sizeof *t->heap;
        void *more = t->heap == NULL ? t->mem->alloc(t->mem, max * bytes)
                                     : efx_mem_grow(t->mem, t->heap, t->n_max * bytes, max * bytes);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        t->heap = more;
        t->n_max = max;
    }
    uint32_t i = t->n++;
    for (; i > 0 && before(timer, &t->heap[(i - 1) / 2]); i = (i - 1) / 2) {
        t->heap[i] = t->heap[(i - 1) / 2];
    }
    t->heap[i] = *timer;
    return EFX_OK;
}

void efx_window__timer_pop(struct win_timers *t)
{
    struct win_timer last = t->heap[--t->n];
    uint32_t i = 0;
    for (uint32_t kid = 1; kid < t->n; kid = 2 * i + 1) {
        kid += kid + 1 < t->n && before(&t->heap[kid + 1], &t->heap[kid]);
        if (!before(&t->heap[kid], &last)) {
            break;
        }
        t->heap[i] = t->heap[kid];
        i = kid;
    }
    t->heap[i] = last; /* of an empty heap: nobody looks */
}

void efx_window__timers_close(struct win_timers *t)
{
    if (t->heap != NULL) {
        t->mem->free(t->mem, t->heap, t->n_max * sizeof *t->heap);
        t->heap = NULL;
    }
}

/* ---- lists of row numbers ---- */

enum efx_rc efx_window__rows_add(struct efx_mem *mem, struct win_rows *r, uint64_t number)
{
    if (r->n == r->n_max) {
        uint32_t max = r->n_max == 0 ? 8 : r->n_max * 2;
        void *more = r->number == NULL ? mem->alloc(mem, max * sizeof number)
                                       : efx_mem_grow(mem, r->number, r->n_max * sizeof number,
                                                      max * sizeof number);
        if (more == NULL) {
            return EFX_ENOMEM;
        }
        r->number = more;
        r->n_max = max;
    }
    r->number[r->n++] = number;
    return EFX_OK;
}

void efx_window__rows_free(struct efx_mem *mem, struct win_rows *r)
{
    if (r->number != NULL) {
        mem->free(mem, r->number, r->n_max * sizeof *r->number);
    }
    *r = (struct win_rows){0};
}
