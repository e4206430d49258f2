/* An app that runs on several members: whose a shard is, and rows that cross between them.
 *
 *   letter    an edge from a shard here to a gather unit elsewhere: rows are encoded at once
 *   packet    all letters of (step, shard, member), sent at the end of the step; also without
 *             rows, since it says that the shard is through with the step
 *   arrived   packets of shards elsewhere, in the order of their steps; the gather unit takes
 *             step n when each of them has come
 *
 *   bytes of a packet   u32 letters │ { u32 exchange │ rows as in efx_wire.h } …
 *
 *   Errors  a packet that does not decode: the app stops (EFX_EPARSE), the node begins anew
 */
#include "run.h"

#include "efx_wire.h"

bool efx_run__shard_here(const struct efx_app *app, uint32_t shard)
{
    const struct efx_app_member *m = app->member;
    return m == NULL || (m->first_shard[m->self] <= shard && shard < m->first_shard[m->self + 1]);
}

static uint32_t member_of(const struct efx_app_member *m, uint32_t shard)
{
    uint32_t i = 0;
    while (m->first_shard[i + 1] <= shard) {
        i++;
    }
    return i;
}

/* One order over all streams needs one place. */
uint32_t efx_run__gather_of(const struct efx_app *app, uint32_t component)
{
    return app->opts.ordered ? 0 : member_of(app->member, component % app->n_shards);
}

enum efx_rc efx_run__open_member(struct efx_app *app)
{
    if (app->member == NULL) {
        return EFX_OK;
    }
    app->listens = EFX_NEW_N(&app->arena, bool, app->member->n + 1);
    app->arrivals = EFX_NEW_N(&app->arena, struct arrivals, app->n_shards + 1);
    return app->listens == NULL || app->arrivals == NULL ? EFX_ENOMEM : EFX_OK;
}

static void arrived_free(struct arrived *a)
{
    efx_mem_libc.free(&efx_mem_libc, a, sizeof *a + a->n_bytes);
}

void efx_run__close_member(struct efx_app *app)
{
    for (uint32_t s = 0; app->arrivals != NULL && s < app->n_shards; s++) {
        for (struct arrived *a = app->arrivals[s].first, *next; a != NULL; a = next) {
            next = a->next;
            arrived_free(a);
        }
    }
    app->arrivals = NULL;
}

/* ---- out ---- */

static enum efx_rc letter_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                               const struct efx_rows *rows)
{
    const struct exchange_op *x = (const struct exchange_op *)op;
    const struct efx_app *app = x->unit->app;
    struct letter *l = &app->units[x->shard].letters[x->x->member];
    (void)inlet;
    (void)step;
    if (efx_rows_count(rows) == 0) {
        return EFX_OK;
    }
    if (l->n == 0) {
        efx_buf_u32(&l->bytes, 0); /* how many, known at the end */
    }
    l->n++;
    efx_buf_u32(&l->bytes, (uint32_t)(x->x - app->exchanges));
    efx_wire_put(&l->bytes, rows);
    return l->bytes.bad ? EFX_ENOMEM : EFX_OK;
}

enum efx_rc efx_run__post_letters(struct unit *u, const struct efx_step *step)
{
    const struct efx_app_member *m = u->app->member;
    for (uint32_t i = 0; i < m->n; i++) {
        struct letter *l = &u->letters[i];
        if (i == m->self || !u->app->listens[i]) {
            continue;
        }
        if (l->n > 0) {
            memcpy(l->bytes.p, &l->n, sizeof l->n);
        }
        m->send(m->arg, i, u->index, step->no, efx_buf_bytes(&l->bytes));
        l->n = 0;
        efx_buf_clear(&l->bytes);
    }
    return EFX_OK;
}

/* ---- in ---- */

enum efx_rc efx_app_receive(struct efx_app *app, uint32_t shard, uint64_t step,
                            struct efx_bytes packet)
{
    if (app->member == NULL || shard >= app->n_shards || app->units[shard].here) {
        return EFX_EPARSE;
    }
    struct arrived *a = efx_mem_libc.alloc(&efx_mem_libc, sizeof *a + packet.n);
    if (a == NULL) {
        return EFX_ENOMEM;
    }
    *a = (struct arrived){.step = step, .n_bytes = packet.n};
    if (packet.n > 0) {
        memcpy(a->bytes, packet.p, packet.n);
    }
    struct arrivals *list = &app->arrivals[shard];
    (void)pthread_mutex_lock(&app->lock);
    if (list->last != NULL) {
        list->last->next = a;
    } else {
        list->first = a;
    }
    list->last = a;
    (void)pthread_mutex_unlock(&app->lock);
    atomic_store_explicit(&app->units[shard].done, step, memory_order_release);
    return EFX_OK;
}

static struct arrived *arrival_take(struct efx_app *app, uint32_t shard, uint64_t step)
{
    struct arrivals *list = &app->arrivals[shard];
    (void)pthread_mutex_lock(&app->lock);
    struct arrived *a = list->first;
    if (a != NULL && a->step == step) {
        list->first = a->next;
        list->last = a->next == NULL ? NULL : list->last;
    } else {
        a = NULL;
    }
    (void)pthread_mutex_unlock(&app->lock);
    return a;
}

static enum efx_rc take_letters(struct efx_app *app, uint32_t shard, const struct efx_step *step,
                                struct efx_reader *r)
{
    uint32_t n = r->left == 0 ? 0 : efx_get_u32(r);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = efx_get_u32(r);
        if (r->bad || at >= app->n_exchanges || app->exchanges[at].packets == NULL) {
            return EFX_EPARSE;
        }
        struct packet *p =
            &app->exchanges[at]
                 .packets[shard * EFX_STEPS_IN_FLIGHT + step->no % EFX_STEPS_IN_FLIGHT];
        struct rows_chunk *k = efx_arena_alloc(&p->arena, 1, sizeof *k, 16);
        if (k == NULL) {
            return EFX_ENOMEM;
        }
        EFX_RET(efx_wire_get(r, &p->arena, &k->b));
        if (p->list.last != NULL) {
            p->list.last->next = k;
        } else {
            p->list.first = k;
        }
        p->list.last = k;
        p->list.n_rows += k->b.n_rows;
    }
    return r->left > 0 ? EFX_EPARSE : EFX_OK;
}

enum efx_rc efx_run__take_arrived(struct unit *u, const struct efx_step *step)
{
    struct efx_app *app = u->app;
    bool listens = app->member != NULL && app->listens[app->member->self];
    for (uint32_t s = 0; listens && s < app->n_shards; s++) {
        if (app->units[s].here) {
            continue;
        }
        struct arrived *a = arrival_take(app, s, step->no);
        if (a == NULL) {
            return EFX_EPARSE;
        }
        struct efx_reader r = {a->bytes, a->n_bytes, false};
        enum efx_rc rc = take_letters(app, s, step, &r);
        arrived_free(a);
        EFX_RET(rc);
    }
    return EFX_OK;
}

const struct efx_op_vt efx_run__letter_vt = {
    .name = "letter", .rows = letter_rows, EFX_RUN__ROWS_ONLY};
