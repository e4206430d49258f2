#include "ref.h"

/* Lists and memory of the reference evaluator: one arena, nothing given back before the end. */

void *ref_alloc(struct efx_reference *r, size_t n, size_t bytes)
{
    void *p = efx_arena_alloc(&r->arena, n > 0 ? n : 1, bytes, 16);
    EFX_ASSERT(p != NULL);
    return p;
}

void ref_list_insert(struct efx_reference *r, struct ref_list *l, uint32_t at, void *item)
{
    if (l->n == l->cap) {
        uint32_t cap = l->cap == 0 ? 4 : l->cap * 2;
        void **v = REF_NEW_N(r, void *, cap);
        if (l->n > 0) {
            memcpy(v, l->v, l->n * sizeof *v);
        }
        l->v = v;
        l->cap = cap;
    }
    memmove(l->v + at + 1, l->v + at, (l->n - at) * sizeof *l->v);
    l->v[at] = item;
    l->n++;
}

void ref_list_add(struct efx_reference *r, struct ref_list *l, void *item)
{
    ref_list_insert(r, l, l->n, item);
}

void ref_list_remove(struct ref_list *l, uint32_t at)
{
    l->n--;
    memmove(l->v + at, l->v + at + 1, (l->n - at) * sizeof *l->v);
}

bool ref_list_drop(struct ref_list *l, const void *item)
{
    for (uint32_t i = 0; i < l->n; i++) {
        if (l->v[i] == item) {
            ref_list_remove(l, i);
            return true;
        }
    }
    return false;
}

struct ref_list ref_list_copy(struct efx_reference *r, const struct ref_list *l)
{
    struct ref_list copy = {0};
    for (uint32_t i = 0; i < l->n; i++) {
        ref_list_add(r, &copy, l->v[i]);
    }
    return copy;
}

const struct ref_event *ref_event_make(struct efx_reference *r, int64_t ts_ms,
                                       const struct efx_value *v)
{
    struct ref_event *e = REF_NEW(r, struct ref_event);
    *e = (struct ref_event){.ts_ms = ts_ms, .no = ++r->n_made, .v = v};
    return e;
}
