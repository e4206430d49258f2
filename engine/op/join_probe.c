/* Whom a row meets: its key's entry, then the list of the other side.
 *
 *   rows of the slice ─► keys (a column each) ─► entries, in one pass ─► row by row: candidates
 *
 *   row 5  │ held 3 │ held 8 │ spare         slots: pairs to be judged by the residual condition.
 *   row 6  │ held 3 │ spare                  The spare stands for "no partner" (outer joins)
 *
 * WITHIN and what a windowless side has dropped are decided here, by two numbers in the link. A row
 * with a NULL in its key, or one that cannot be computed, has no entry and meets nobody.
 *
 *   Order    candidates in the order in which the other side's rows entered
 *   Limits   a batch of EFX_BATCH_ROWS_MAX slots; a row with more goes on in the next
 */
#include "join.h"

/* ---- keys ---- */

/* Columns of the keys, birth of the copy behind them. */
static const struct efx_col *key_cols(struct op_join *op, uint32_t no, const struct efx_step *step,
                                      const struct efx_rows *in, struct efx_fails *fails)
{
    const struct efx_join_side *conf = &op->conf->side[no];
    struct efx_col *cols = efx_scratch(op->base.ctx, (op->index_conf.n_cells + 1) * sizeof *cols);
    for (uint32_t k = 0; k < op->conf->n_eq; k++) {
        efx_expr_eval(conf->keys[k], op->base.ctx, step, in, &cols[k], fails);
    }
    if (op->partitioned) {
        cols[op->conf->n_eq] = in->b->cols[conf->in.n_cols + 1];
    }
    return cols;
}

/* Rows all of whose keys are there; place[j] = k of the j-th. */
static uint32_t not_null(const struct efx_col *cols, uint32_t n_cols, const struct join_rows *rows,
                         uint32_t *row, uint32_t *place)
{
    uint32_t n = 0;
    for (uint32_t k = 0; k < rows->n; k++) {
        bool all = true;
        for (uint32_t c = 0; c < n_cols; c++) {
            all = all && efx_bit(cols[c].valid, rows->at[k]);
        }
        row[n] = rows->at[k];
        place[n] = k;
        n += all;
    }
    return n;
}

static enum efx_rc ids_of(struct op_join *op, const struct efx_col *cols, const uint32_t *row,
                          uint32_t n, bool make, uint32_t *id)
{
    if (!make) {
        efx_keyed_find(op->index, cols, row, n, id);
        return EFX_OK;
    }
    uint32_t n_new = 0;
    enum efx_rc rc = efx_keyed_ids(op->index, cols, row, n, id, &n_new);
    op->heads = efx_keyed_states(op->index, 0);
    return rc;
}

/* A copy's rows go with the partition's key, whatever they are joined by: its birth says where. */
static void groups_of(const struct op_join *op, const struct efx_col *cols,
                      const struct join_rows *rows, uint32_t *group)
{
    if (op->partitioned) {
        const int64_t *birth = cols[op->conf->n_eq].data;
        for (uint32_t k = 0; k < rows->n; k++) {
            group[k] = (uint32_t)birth[rows->at[k]] & (EFX_KEY_GROUPS - 1);
        }
        return;
    }
    uint64_t *hash = efx_scratch(op->base.ctx, rows->n * sizeof *hash);
    if (op->conf->n_eq > 0) {
        efx_keyed_hash(cols, op->conf->n_eq, rows->at, rows->n, hash);
    }
    for (uint32_t k = 0; k < rows->n; k++) {
        group[k] = op->conf->n_eq > 0 ? efx_hash_key_group(hash[k]) : op->key_group;
    }
}

enum efx_rc efx_join__keys(struct op_join *op, uint32_t no, const struct efx_step *step,
                           const struct join_rows *rows, bool make, struct efx_fails *fails,
                           struct join_keys *out)
{
    struct efx_ctx *ctx = op->base.ctx;
    out->id = efx_scratch(ctx, rows->n * sizeof *out->id);
    out->group = efx_scratch(ctx, rows->n * sizeof *out->group);
    const struct efx_col *cols = key_cols(op, no, step, &rows->in, fails);
    if (make) {
        groups_of(op, cols, rows, out->group);
    }
    bool all = true;
    for (uint32_t c = 0; c < op->conf->n_eq; c++) {
        all = all && cols[c].valid == NULL;
    }
    if (all) {
        return ids_of(op, cols, rows->at, rows->n, make, out->id);
    }
    uint32_t *row = efx_scratch(ctx, rows->n * sizeof *row);
    uint32_t *place = efx_scratch(ctx, rows->n * sizeof *place);
    uint32_t *found = efx_scratch(ctx, rows->n * sizeof *found);
    uint32_t n = not_null(cols, op->conf->n_eq, rows, row, place);
    EFX_RET(ids_of(op, cols, row, n, make, found));
    memset(out->id, 0xFF, rows->n * sizeof *out->id); /* EFX_KEYED_DEAD */
    for (uint32_t j = 0; j < n; j++) {
        out->id[place[j]] = found[j];
    }
    return EFX_OK;
}

/* ---- candidates ---- */

struct judge {               /* what a pair is held against before the residual */
    int64_t within_ms;       /* -1 = none */
    int64_t ttl_ms;          /* of the other side's rows; -1 = it drops none */
    int64_t time_ms, clk_ms; /* of the row that arrived */
};

static inline uint64_t apart(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static inline bool meets(const struct judge *j, int64_t held_ms)
{
    if (j->within_ms >= 0 && apart(held_ms, j->time_ms) > (uint64_t)j->within_ms) {
        return false;
    }
    return j->ttl_ms < 0 || held_ms >= j->clk_ms ||
           apart(held_ms, j->clk_ms) <= (uint64_t)j->ttl_ms;
}

/* The batch is full in the middle of a row's candidates: the rest in the next one. */
static enum efx_rc go_on(struct join_run *run)
{
    struct join_act act = run->act[run->n_acts - 1];
    run->act[run->n_acts - 1].until = run->n_slots;
    run->act[run->n_acts - 1].open = true;
    EFX_RET(efx_join__emit(run));
    act.from = 0;
    run->act[run->n_acts++] = act;
    return EFX_OK;
}

static inline void slot_put(struct join_run *run, uint32_t no, uint32_t row, uint64_t own,
                            uint64_t other)
{
    run->row[run->n_slots] = row;
    run->number[no][run->n_slots] = own;
    run->number[1 - no][run->n_slots] = other;
    run->n_slots++;
}

static inline enum efx_rc slot_add(struct join_run *run, uint32_t no, uint32_t row, uint64_t own,
                                   uint64_t other)
{
    if (run->n_slots == EFX_BATCH_ROWS_MAX) {
        EFX_RET(go_on(run));
    }
    slot_put(run, no, row, own, other);
    return EFX_OK;
}

/* All who meet are matches: the last of them ends the row set. A full batch goes out only when
 * another match has come, so it never ends a set too early. */
static enum efx_rc probe_plain(struct join_run *run, uint32_t no, uint32_t row, uint64_t own,
                               uint64_t held, const struct join_side *other, const struct judge *j)
{
    const bool all = j->within_ms < 0 && j->ttl_ms < 0;
    bool any = false;
    while (held != 0) {
        const struct join_link *l = join_link(other, held - 1);
        if (all || meets(j, l->time_ms)) {
            if (run->n_slots == EFX_BATCH_ROWS_MAX) {
                EFX_RET(efx_join__emit(run));
            }
            slot_put(run, no, row, own, held);
            any = true;
        }
        held = l->next;
    }
    if (!any && run->op->conf->side[no].outer) {
        if (run->n_slots == EFX_BATCH_ROWS_MAX) {
            EFX_RET(efx_join__emit(run));
        }
        slot_put(run, no, row, own, 0);
        any = true;
    }
    uint32_t last = run->n_slots - 1;
    if (any) {
        run->set_end[last / 64] |= (uint64_t)1 << last % 64;
    }
    return EFX_OK;
}

enum efx_rc efx_join__probe(struct join_run *run, uint32_t no, uint32_t row, uint32_t id,
                            uint64_t own)
{
    struct op_join *op = run->op;
    uint32_t by = join_held_by(op, 1 - no);
    const struct join_side *other = &op->side[by];
    uint64_t held = id == EFX_KEYED_DEAD ? 0 : join_ends(op, id, by)->first;
    bool outer = op->conf->side[no].outer;
    if (held == 0 && !outer) {
        return EFX_OK;
    }
    struct judge j = {.within_ms = op->conf->within_ms,
                      .ttl_ms = other->drops ? other->ttl_ms : -1,
                      .time_ms = efx_step_time_ms(run->step, run->in, row),
                      .clk_ms = efx_batch_clk_ms(run->in, row)};
    if (run->plain) {
        return probe_plain(run, no, row, own, held, other, &j);
    }
    struct join_act *act;
    EFX_RET(efx_join__act(run, &act));
    *act = (struct join_act){
        .did = JOIN_PROBED, .side = (uint8_t)no, .row = row, .from = run->n_slots};
    while (held != 0) {
        const struct join_link *l = join_link(other, held - 1);
        if (meets(&j, l->time_ms)) {
            EFX_RET(slot_add(run, no, row, own, held));
        }
        held = l->next;
    }
    act = &run->act[run->n_acts - 1];
    if (outer && (op->conf->residual != NULL || act->from == run->n_slots)) {
        EFX_RET(slot_add(run, no, row, own, 0));
        act = &run->act[run->n_acts - 1];
        act->spare = true;
    }
    act->until = run->n_slots;
    if (act->from == act->until) {
        run->n_acts--;
    }
    return EFX_OK;
}
