/* A save that all units are through with, handed over: pages by operator, groups put together.
 *
 *   unit 0, operator a  ─► pages ─┐
 *   unit 1, operator a  ─► pages ─┴─► a: groups 0 … 1023 ── gather ──► sections in order
 *
 * Units whose key groups touch are one entry; an operator that is not split has one unit.
 */
#include "run.h"

#include "efx_hash.h"

struct save_list {
    uint32_t n_lists;
    struct save_page **first; /* [n_lists] one a unit */
};

struct efx_saved {
    struct efx_arena arena;
    uint64_t no;
    int64_t clock_ms;
    uint8_t *head;
    size_t n_head;
    uint32_t n;
    struct efx_saved_op *ops;
    struct save_list *lists; /* [n] */
};

static struct efx_kg_range range_of(const struct efx_app *app, const struct unit *u, uint32_t node)
{
    return app->plan->nodes[node]->split ? u->kg : (struct efx_kg_range){0, EFX_KEY_GROUPS - 1};
}

static uint64_t list_bytes(const struct save_page *p)
{
    uint64_t n = 0;
    for (; p != NULL; p = p->next) {
        for (uint32_t at = 0; at < p->n;) {
            uint32_t head[2];
            memcpy(head, p->bytes + at, sizeof head);
            n += head[1];
            at += head[1] + (uint32_t)sizeof head;
        }
    }
    return n;
}

static enum efx_rc add(struct efx_saved *s, struct efx_app *app, struct unit *u, uint32_t node)
{
    struct save_log *l = &u->saves[node];
    struct efx_kg_range kg = range_of(app, u, node);
    struct efx_saved_op *op = s->n > 0 ? &s->ops[s->n - 1] : NULL;
    if (op == NULL || op->key != app->op_keys[node] || op->kg.last + 1 != kg.first) {
        op = &s->ops[s->n];
        *op = (struct efx_saved_op){.key = app->op_keys[node],
                                    .name = app->plan->nodes[node]->name,
                                    .version = u->nodes[node].op->vt->schema,
                                    .base = app->save_base[node],
                                    .kg = kg};
        s->lists[s->n].first = EFX_NEW_N(&s->arena, struct save_page *, app->n_units);
        if (s->lists[s->n].first == NULL) {
            return EFX_ENOMEM;
        }
        s->n++;
    }
    op->kg.last = kg.last;
    op->n_bytes += list_bytes(l->first);
    struct save_list *to = &s->lists[s->n - 1];
    to->first[to->n_lists++] = l->first;
    l->first = l->last = NULL;
    return EFX_OK;
}

struct efx_saved *efx_app_save_take(struct efx_app *app)
{
    struct efx_saved *s = efx_mem_libc.alloc(&efx_mem_libc, sizeof *s);
    EFX_ASSERT(efx_app_save_ready(app) && s != NULL);
    *s = (struct efx_saved){.no = app->mark_no,
                            .clock_ms = app->head_clock_ms,
                            .head = app->head,
                            .n_head = app->n_head};
    app->head = NULL;
    app->n_head = 0;
    efx_arena_init(&s->arena, &efx_mem_libc, SIZE_MAX);
    size_t max = (size_t)app->plan->n_nodes * app->n_units + 1;
    s->ops = EFX_NEW_N(&s->arena, struct efx_saved_op, max);
    s->lists = EFX_NEW_N(&s->arena, struct save_list, max);
    EFX_ASSERT(s->ops != NULL && s->lists != NULL);
    for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
        for (uint32_t u = 0; u < app->n_units; u++) {
            if (app->op_keys[i] != 0 && app->units[u].nodes[i].op != NULL) {
                enum efx_rc rc = add(s, app, &app->units[u], i);
                EFX_ASSERT(rc == EFX_OK);
            }
        }
    }
    app->save_waits = false;
    atomic_fetch_add(&app->n_taken, 1);
    return s;
}

void efx_app_save_give(struct efx_app *app, struct efx_saved **saved)
{
    struct efx_saved *s = *saved;
    if (s == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        for (uint32_t k = 0; k < s->lists[i].n_lists; k++) {
            efx_run__pages_free(app, s->lists[i].first[k]);
        }
    }
    efx_mem_libc.free(&efx_mem_libc, s->head, s->n_head);
    efx_arena_fini(&s->arena);
    efx_mem_libc.free(&efx_mem_libc, s, sizeof *s);
    *saved = NULL;
    atomic_fetch_sub(&app->n_taken, 1);
}

uint64_t efx_saved_no(const struct efx_saved *s)
{
    return s->no;
}

struct efx_bytes efx_saved_numbering(const struct efx_saved *s)
{
    return (struct efx_bytes){s->head, s->n_head};
}

int64_t efx_saved_clock_ms(const struct efx_saved *s)
{
    return s->clock_ms;
}

uint32_t efx_saved_n(const struct efx_saved *s)
{
    return s->n;
}

const struct efx_saved_op *efx_saved_at(const struct efx_saved *s, uint32_t i)
{
    return &s->ops[i];
}

/* ---- groups ---- */

typedef void (*record_fn)(void *arg, uint32_t group, const uint8_t *p, uint32_t n);

static void walk(const struct efx_saved *s, uint32_t i, record_fn fn, void *arg)
{
    for (uint32_t k = 0; k < s->lists[i].n_lists; k++) {
        for (const struct save_page *p = s->lists[i].first[k]; p != NULL; p = p->next) {
            for (uint32_t at = 0; at < p->n;) {
                uint32_t head[2];
                memcpy(head, p->bytes + at, sizeof head);
                at += (uint32_t)sizeof head;
                fn(arg, head[0], p->bytes + at, head[1]);
                at += head[1];
            }
        }
    }
}

static void count(void *arg, uint32_t group, const uint8_t *p, uint32_t n)
{
    uint64_t *bytes = arg;
    (void)p;
    bytes[group] += n;
}

void efx_saved_groups(const struct efx_saved *s, uint32_t i, uint64_t *bytes)
{
    memset(bytes, 0, EFX_KEY_GROUPS * sizeof *bytes);
    walk(s, i, count, bytes);
}

struct gathering {
    struct efx_kg_range kg;
    uint8_t *at[EFX_KEY_GROUPS];
};

static void place(void *arg, uint32_t group, const uint8_t *p, uint32_t n)
{
    struct gathering *g = arg;
    if (group >= g->kg.first && group <= g->kg.last) {
        memcpy(g->at[group], p, n);
        g->at[group] += n;
    }
}

void efx_saved_gather(const struct efx_saved *s, uint32_t i, struct efx_kg_range kg, uint8_t *out)
{
    uint64_t bytes[EFX_KEY_GROUPS];
    struct gathering g = {.kg = kg};
    efx_saved_groups(s, i, bytes);
    for (uint32_t k = kg.first; k <= kg.last; k++) {
        if (bytes[k] > 0) {
            uint32_t head[2] = {k, (uint32_t)bytes[k]};
            EFX_ASSERT(bytes[k] <= UINT32_MAX);
            memcpy(out, head, sizeof head);
            g.at[k] = out + sizeof head;
            out += sizeof head + bytes[k];
        }
    }
    walk(s, i, place, &g);
}
