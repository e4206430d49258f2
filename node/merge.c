#include "merge.h"

#include "efx_builder_wire.h"

struct cursor { /* what a member has brought */
    const struct node_merge_item *next, *end;
    struct efx_builder *b;
    bool open;
    uint32_t turn;
    int64_t clock_ms; /* of the turn at hand */
};

struct node_merge {
    struct efx_arena keep;
    struct efx_app *app;
    const struct efx_schema *const *schemas;
    uint32_t n_streams, max_batch;
    bool virtual_clock;
    struct cursor *cursors; /* [EFX_STATUS_NODES_MAX] */
};

enum efx_rc node_merge_create(struct efx_app *app, const struct efx_schema *const *schemas,
                              uint32_t n_streams, uint32_t max_batch, bool virtual_clock,
                              struct node_merge **out)
{
    struct node_merge *m = efx_mem_libc.alloc(&efx_mem_libc, sizeof *m);
    if (m == NULL) {
        return EFX_ENOMEM;
    }
    *m = (struct node_merge){.app = app,
                             .schemas = schemas,
                             .n_streams = n_streams,
                             .max_batch = max_batch,
                             .virtual_clock = virtual_clock};
    efx_arena_init(&m->keep, &efx_mem_libc, SIZE_MAX);
    m->cursors = EFX_NEW_N(&m->keep, struct cursor, EFX_STATUS_NODES_MAX);
    *out = m;
    return m->cursors == NULL ? EFX_ENOMEM : EFX_OK;
}

void node_merge_close(struct node_merge *m)
{
    for (uint32_t i = 0; m != NULL && m->cursors != NULL && i < EFX_STATUS_NODES_MAX; i++) {
        if (m->cursors[i].b != NULL) {
            efx_builder_close(m->cursors[i].b);
            m->cursors[i].b = NULL;
        }
    }
}

void node_merge_destroy(struct node_merge **m_of)
{
    struct node_merge *m = *m_of;
    if (m == NULL) {
        return;
    }
    efx_arena_fini(&m->keep);
    efx_mem_libc.free(&efx_mem_libc, m, sizeof *m);
    *m_of = NULL;
}

/* The clock that the turn at hand would have. */
static void look(const struct node_merge *m, struct cursor *c)
{
    if (!m->virtual_clock) {
        c->clock_ms = c->next[-1].wall_ms;
        return;
    }
    int64_t ts_ms = efx_app_turn_ts_ms(m->app, c->b, c->turn);
    if (ts_ms != EFX_TS_NONE && ts_ms > c->clock_ms) {
        c->clock_ms = ts_ms;
    }
}

/* The next turn is at hand; false: there is none. */
static enum efx_rc advance(struct node_merge *m, struct cursor *c, bool *any)
{
    while (!c->open || c->turn == c->b->n_turns) {
        if (c->open) {
            efx_builder_clear(c->b);
            c->open = false;
        }
        if (c->next == c->end) {
            *any = false;
            return EFX_OK;
        }
        if (c->b == NULL) {
            EFX_RET(efx_builder_create(&m->keep, &efx_mem_libc, m->schemas, m->n_streams,
                                       m->max_batch, &c->b));
        }
        struct efx_reader r = {c->next->rows.p, c->next->rows.n, false};
        EFX_RET(efx_builder_get(&r, c->b));
        c->turn = c->next->skip;
        c->next++;
        c->open = true;
    }
    look(m, c);
    *any = true;
    return EFX_OK;
}

static enum efx_rc append(struct node_merge *m, struct cursor *c, uint32_t until)
{
    while (c->turn < until) {
        struct efx_builder *to = efx_app_builder(m->app);
        uint32_t room = m->max_batch - to->n_turns;
        if (room == 0) {
            EFX_RET(efx_app_submit(m->app));
            continue;
        }
        uint32_t n = until - c->turn < room ? until - c->turn : room;
        EFX_RET(efx_builder_append(to, c->b, c->turn, c->turn + n));
        c->turn += n;
    }
    return EFX_OK;
}

/* Everything of one builder as it lies, if nothing stands before it. */
static enum efx_rc give_whole(struct node_merge *m, struct cursor *c)
{
    if (c->turn > 0) {
        return append(m, c, c->b->n_turns);
    }
    EFX_RET(efx_app_submit(m->app));
    c->open = false;
    return efx_app_submit_builder(m->app, &c->b);
}

/* Turns of `c` that come before any of the others. */
static enum efx_rc take_run(struct node_merge *m, uint32_t at, uint32_t n)
{
    struct cursor *c = &m->cursors[at];
    uint32_t other = n;
    for (uint32_t i = 0; i < n; i++) {
        if (i != at && m->cursors[i].open &&
            (other == n || m->cursors[i].clock_ms < m->cursors[other].clock_ms)) {
            other = i;
        }
    }
    if (other == n || !m->virtual_clock) {
        return give_whole(m, c);
    }
    int64_t limit = m->cursors[other].clock_ms;
    uint32_t until = c->turn;
    struct cursor probe = *c;
    do {
        probe.turn = ++until;
        if (until < c->b->n_turns) {
            look(m, &probe);
        }
    } while (until < c->b->n_turns &&
             (probe.clock_ms < limit || (probe.clock_ms == limit && at < other)));
    return append(m, c, until);
}

enum efx_rc node_merge_run(struct node_merge *m, const struct node_merge_item *items, uint32_t n)
{
    uint32_t n_cursors = 0, n_open = 0;
    int64_t base_ms = efx_app_clock_ms(m->app);
    for (uint32_t i = 0; i < n;) {
        struct cursor *c = &m->cursors[n_cursors++];
        c->next = &items[i];
        while (i < n && items[i].member == c->next->member) {
            i++;
        }
        c->end = &items[i];
        c->clock_ms = base_ms;
        bool any;
        EFX_RET(advance(m, c, &any));
        n_open += any;
    }
    while (n_open > 0) {
        uint32_t least = n_cursors;
        for (uint32_t i = 0; i < n_cursors; i++) {
            struct cursor *c = &m->cursors[i];
            if (c->open && (least == n_cursors || c->clock_ms < m->cursors[least].clock_ms)) {
                least = i;
            }
        }
        EFX_RET(take_run(m, least, n_cursors));
        bool any;
        EFX_RET(advance(m, &m->cursors[least], &any));
        n_open -= !any;
    }
    return efx_app_submit(m->app);
}
