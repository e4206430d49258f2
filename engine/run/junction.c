/* Junctions, doors, outlets and exchanges: what stands between operators.
 *
 *   junction   a stream's rows go to its consumers in order of definition. In row mode one row goes
 *              through all of them before the next; a row that comes back to a stream in delivery
 *              waits until that delivery has ended (language §3.3)
 *   door       keeps the rows of a confluence's inlets until its turn in the pass
 *   outlet     hands rows to whoever listens outside, at once or at the step's end in one order
 *   exchange   copies rows into the packet of this step for the gather unit
 */
#include "run.h"

/* Outside, rows show their kind; whoever reads the stream sees every row as current (§3.6). */
static enum efx_rc to_all(struct junction *j, const struct efx_step *step,
                          const struct efx_rows *rows)
{
    for (uint32_t e = 0; e < j->n_outlets; e++) {
        EFX_RET(efx_edge_push(&j->edges[e], step, rows));
    }
    struct efx_batch b = *rows->b;
    b.kind = NULL;
    b.set_end = NULL;
    b.number = NULL;
    struct efx_rows current = {&b, rows->from, rows->until};
    for (uint32_t e = j->n_outlets; e < j->n_edges; e++) {
        EFX_RET(efx_edge_push(&j->edges[e], step, &current));
    }
    return EFX_OK;
}

/* Behind a partition that multiplies rows each consumer takes all copies of a turn's row first. */
static enum efx_rc copies_by_row(struct junction *j, const struct efx_step *step,
                                 const struct efx_rows *rows)
{
    for (uint32_t e = 0; e < j->n_edges; e++) {
        for (uint32_t i = rows->from; i < rows->until; i++) {
            if (efx_bit(rows->b->sel, i)) {
                struct efx_rows one = {rows->b, i, i + 1};
                EFX_RET(efx_edge_push(&j->edges[e], step, &one));
            }
        }
    }
    return EFX_OK;
}

static enum efx_rc by_row(struct junction *j, const struct efx_step *step,
                          const struct efx_rows *rows)
{
    if (j->n->copies) {
        return copies_by_row(j, step, rows);
    }
    for (uint32_t i = rows->from; i < rows->until; i++) {
        if (efx_bit(rows->b->sel, i)) {
            struct efx_rows one = {rows->b, i, i + 1};
            EFX_RET(to_all(j, step, &one));
        }
    }
    return EFX_OK;
}

static bool loop_is_over(struct junction *j, const struct efx_step *step,
                         const struct efx_rows *rows, uint64_t n)
{
    efx_moment m = rows->b->moment != NULL ? rows->b->moment[rows->from] : 0;
    if (j->looped_step != step->no || j->looped_moment != m) {
        j->looped_step = step->no;
        j->looped_moment = m;
        j->n_looped = 0;
    }
    j->n_looped += n;
    return j->n_looped > j->unit->app->opts.loop_max_rows;
}

/* A loop: what comes back while this stream delivers waits behind what waits already. */
static enum efx_rc deliver(struct junction *j, const struct efx_step *step,
                           const struct efx_rows *rows)
{
    if (j->busy) {
        if (loop_is_over(j, step, rows, efx_rows_count(rows))) {
            j->unit->errors.report(&j->unit->errors, j->n->object->id, 3105, 1);
            return EFX_OK;
        }
        return efx_rows__add(&j->waiting, &j->base.ctx->step, rows, false);
    }
    j->busy = true;
    enum efx_rc rc = by_row(j, step, rows);
    while (rc == EFX_OK && j->waiting.first != NULL) {
        struct rows_chunk *k = j->waiting.first;
        j->waiting.first = k->next;
        if (k->next == NULL) {
            j->waiting.last = NULL;
        }
        struct efx_rows next = efx_rows_all(&k->b);
        rc = by_row(j, step, &next);
    }
    j->busy = false;
    return rc;
}

static enum efx_rc junction_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                                 const struct efx_rows *rows)
{
    struct junction *j = (struct junction *)op;
    (void)inlet;
    op->n_rows_in += efx_rows_count(rows);
    return j->by_row ? deliver(j, step, rows) : to_all(j, step, rows);
}

/* The step's own batches live as long as what waits at a door. */
static bool is_of_step(const struct efx_step *step, const struct efx_rows *rows)
{
    for (uint32_t i = 0; i < step->n_batches; i++) {
        const struct efx_batch *own = &step->batches[i], *b = rows->b;
        if (own->cols == b->cols && own->ts_ms == b->ts_ms && own->clk_ms == b->clk_ms &&
            own->moment == b->moment) {
            return true;
        }
    }
    return false;
}

static enum efx_rc door_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                             const struct efx_rows *rows)
{
    struct node_rt *rt = ((struct door *)op)->rt;
    if (rt->direct) {
        return rt->op->rows(rt->op, inlet, step, rows);
    }
    return efx_rows__add(&rt->in[inlet], &op->ctx->step, rows, is_of_step(step, rows));
}

static enum efx_rc outlet_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                               const struct efx_rows *rows)
{
    struct outlet_op *o = (struct outlet_op *)op;
    struct efx_app *app = o->unit->app;
    (void)inlet;
    (void)step;
    op->n_rows_in += efx_rows_count(rows);
    if (app->opts.ordered) {
        return efx_rows__add(&o->list, &op->ctx->step, rows, false);
    }
    if (app->out_fn[o->object] != NULL) {
        bool many = app->n_shards > 1;
        if (many) {
            (void)pthread_mutex_lock(&app->out_lock);
        }
        app->out_fn[o->object](app->out_arg[o->object], app->plan->program->objects[o->object],
                               rows);
        if (many) {
            (void)pthread_mutex_unlock(&app->out_lock);
        }
    }
    return EFX_OK;
}

static enum efx_rc exchange_rows(struct efx_op *op, uint32_t inlet, const struct efx_step *step,
                                 const struct efx_rows *rows)
{
    struct exchange_op *x = (struct exchange_op *)op;
    (void)inlet;
    struct packet *p =
        &x->x->packets[x->shard * EFX_STEPS_IN_FLIGHT + step->no % EFX_STEPS_IN_FLIGHT];
    return efx_rows__add(&p->list, &p->arena, rows, false);
}

const struct efx_op_vt efx_run__junction_vt = {
    .name = "stream", .rows = junction_rows, EFX_RUN__ROWS_ONLY};
const struct efx_op_vt efx_run__door_vt = {.name = "merge", .rows = door_rows, EFX_RUN__ROWS_ONLY};
const struct efx_op_vt efx_run__outlet_vt = {
    .name = "output", .rows = outlet_rows, EFX_RUN__ROWS_ONLY};
const struct efx_op_vt efx_run__exchange_vt = {
    .name = "exchange", .rows = exchange_rows, EFX_RUN__ROWS_ONLY};
