/* The script of a run, and how it becomes rows.
 *
 *   script  probed 5 │ left 2 │ probed 6 …       what happened, in order
 *   slots   5·3 5·8  │        │ 6·8 6·–          candidates, judged all at once
 *   yes     █   ·    │        │  ·   █           6 has found nobody: its spare is put out
 *
 * Columns are gathered once a batch: those of the side that arrives from its batch, the others from
 * the log of the side that holds them; in a self join both roles stand in one batch, so all come
 * from the logs. Without removals the batch goes out as it is, `sel` = yes; with removals the
 * joined rows are remembered and the script is played in order (join_removal.c).
 *
 * A row whose candidates do not fit goes on in the next batch. Its last match waits and is judged
 * there again, so the end of its row set is always in the batch that is put out last.
 *
 * A *plain* join, without residual and removals, has nothing to judge or play: no script is
 * written, candidates are rows.
 *
 *   Errors   a residual that fails is not met; the row that arrived goes out by the error edge once
 *   Limits   EFX_BATCH_ROWS_MAX slots, JOIN_ACTS_MAX acts: then the script is played early
 */
#include "gather.h"
#include "join.h"

void efx_join__run_init(struct join_run *run, struct op_join *op, const struct efx_step *step,
                        const struct efx_batch *in)
{
    struct efx_ctx *ctx = op->base.ctx;
    *run = (struct join_run){.op = op, .step = step, .in = in};
    run->plain = op->plain;
    if (run->plain) {
        run->set_end = efx_scratch_zero(ctx, EFX_BATCH_WORDS * sizeof *run->set_end);
    } else {
        run->act = efx_scratch(ctx, JOIN_ACTS_MAX * sizeof *run->act);
    }
    if (in == NULL) {
        return;
    }
    run->row = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *run->row);
    run->number[0] = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *run->number[0]);
    run->number[1] = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *run->number[1]);
    if (op->can_fail) {
        run->fails.failed = efx_scratch_zero(ctx, efx_words(in->n_rows) * sizeof(uint64_t));
        run->fails.code = efx_scratch(ctx, in->n_rows * sizeof(uint16_t));
    }
}

enum efx_rc efx_join__act(struct join_run *run, struct join_act **out)
{
    if (run->n_acts == JOIN_ACTS_MAX) {
        EFX_RET(efx_join__emit(run));
    }
    *out = &run->act[run->n_acts++];
    return EFX_OK;
}

/* ---- columns ---- */

static void all_null(struct efx_ctx *ctx, const struct efx_join_side *side, uint32_t n,
                     struct efx_col *cols)
{
    const uint64_t *none = efx_scratch_zero(ctx, efx_words(n) * sizeof *none);
    const void *zero = efx_scratch_zero(ctx, n * sizeof(struct efx_cell));
    for (uint32_t c = 0; c < side->in.n_cols; c++) {
        cols[c] = (struct efx_col){.type = side->in.types[c], .data = zero, .valid = none};
    }
}

/* A slot without a row looks at some other slot's row; then its valid bits are taken away. */
static void null_out(struct efx_ctx *ctx, const uint64_t *number, uint32_t n, struct efx_col *cols,
                     uint32_t n_cols)
{
    uint64_t *there = efx_scratch_zero(ctx, efx_words(n) * sizeof *there);
    for (uint32_t i = 0; i < n; i++) {
        there[i / 64] |= (uint64_t)(number[i] != 0) << i % 64;
    }
    for (uint32_t c = 0; c < n_cols; c++) {
        if (cols[c].valid == NULL) {
            cols[c].valid = there;
            continue;
        }
        uint64_t *valid = efx_scratch(ctx, efx_words(n) * sizeof *valid);
        for (uint32_t w = 0; w < efx_words(n); w++) {
            valid[w] = cols[c].valid[w] & there[w];
        }
        cols[c].valid = valid;
    }
}

static void from_log(struct join_run *run, uint32_t no, struct efx_col *out)
{
    struct efx_ctx *ctx = run->op->base.ctx;
    const struct join_side *s = &run->op->side[join_held_by(run->op, no)];
    const uint64_t *number = run->number[no];
    uint32_t n = run->n_slots;
    uint64_t any = 0;
    bool holes = false;
    for (uint32_t i = 0; i < n; i++) {
        any = number[i] != 0 ? number[i] : any;
        holes = holes || number[i] == 0;
    }
    if (any == 0) {
        all_null(ctx, s->conf, n, out);
        return;
    }
    uint64_t *rows = efx_scratch(ctx, n * sizeof *rows);
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = (number[i] != 0 ? number[i] : any) - 1;
    }
    struct efx_col *cols = efx_scratch(ctx, s->log_conf.n_cols * sizeof *cols);
    efx_log_gather(s->log, ctx, rows, n, cols, NULL);
    if (holes) {
        null_out(ctx, number, n, cols, s->conf->in.n_cols);
    }
    memcpy(out, cols, s->conf->in.n_cols * sizeof *cols);
}

static void gather(struct join_run *run, struct efx_batch *b)
{
    struct op_join *op = run->op;
    struct efx_ctx *ctx = op->base.ctx;
    uint32_t n_left = op->conf->side[0].in.n_cols, n_right = op->conf->side[1].in.n_cols;
    struct efx_col *cols = efx_scratch(ctx, (n_left + n_right + 2) * sizeof *cols);
    *b = (struct efx_batch){.n_rows = run->n_slots, .n_cols = n_left + n_right, .cols = cols};
    for (uint32_t no = 0; no < 2; no++) {
        struct efx_col *out = cols + (no == 0 ? 0 : n_left);
        if (run->mixed || no != run->probes) {
            from_log(run, no, out);
            continue;
        }
        for (uint32_t c = 0; c < op->conf->side[no].in.n_cols; c++) {
            out[c] = efx_op__gather(ctx, &run->in->cols[c], run->row, run->n_slots);
        }
    }
    if (op->partitioned) {
        b->n_hidden = 2;
        const struct efx_col *hidden = run->in->cols + op->conf->side[run->probes].in.n_cols;
        cols[b->n_cols] = efx_op__gather(ctx, &hidden[0], run->row, run->n_slots);
        cols[b->n_cols + 1] = efx_op__gather(ctx, &hidden[1], run->row, run->n_slots);
    }
    efx_op__inherit(ctx, run->step, run->in, run->row, run->n_slots, op->base.out[0].rows.needs, b);
}

/* ---- judging ---- */

static void fails_of_rows(struct join_run *run, const struct efx_fails *slots)
{
    for (uint32_t i = 0; slots->any && i < run->n_slots; i++) {
        if (efx_bit(slots->failed, i)) {
            efx_fail_row(&run->fails, run->row[i], slots->code[i]);
        }
    }
}

/* yes = candidates that meet the residual; spares are not asked. */
static void meet(struct join_run *run, const struct efx_batch *b, uint64_t *yes)
{
    struct efx_ctx *ctx = run->op->base.ctx;
    uint32_t n_words = efx_words(b->n_rows);
    uint64_t *ask = efx_scratch(ctx, n_words * sizeof *ask);
    memset(ask, 0xFF, n_words * sizeof *ask);
    for (uint32_t a = 0; a < run->n_acts; a++) {
        if (run->act[a].spare) {
            efx_bit_put(ask, run->act[a].until - 1, false);
        }
    }
    struct efx_batch asked = *b;
    asked.sel = ask;
    struct efx_fails slots = {0};
    if (efx_expr_can_fail(run->op->conf->residual)) {
        slots.failed = efx_scratch_zero(ctx, n_words * sizeof *slots.failed);
        slots.code = efx_scratch(ctx, b->n_rows * sizeof *slots.code);
    }
    struct efx_rows all = efx_rows_all(&asked);
    efx_expr_filter(run->op->conf->residual, ctx, run->step, &all, yes, &slots);
    fails_of_rows(run, &slots);
}

static const uint32_t NO_SLOT = UINT32_MAX;

static uint32_t last_yes(const uint64_t *yes, uint32_t from, uint32_t until)
{
    while (until > from) {
        if (efx_bit(yes, --until)) {
            return until;
        }
    }
    return NO_SLOT;
}

/* Decides about spares, marks ends of row sets; returns the slot that waits for the next batch. */
static uint32_t settle(struct join_run *run, uint64_t *yes, uint64_t *set_end)
{
    for (uint32_t a = 0; a < run->n_acts; a++) {
        const struct join_act *act = &run->act[a];
        if (act->did != JOIN_PROBED) {
            continue;
        }
        uint32_t spare = act->spare ? 1 : 0;
        uint32_t last = last_yes(yes, act->from, act->until - spare);
        if (act->spare && last == NO_SLOT) {
            last = act->until - 1;
            efx_bit_put(yes, last, true);
        }
        if (act->open) { /* always the script's last */
            if (last != NO_SLOT) {
                efx_bit_put(yes, last, false);
            }
            return last;
        }
        if (last != NO_SLOT) {
            efx_bit_put(set_end, last, true);
        }
    }
    return NO_SLOT;
}

static enum efx_rc put_out(struct join_run *run, struct efx_batch *b, const uint64_t *yes)
{
    struct op_join *op = run->op;
    struct efx_rows rows = efx_rows_all(b);
    b->sel = yes;
    uint32_t n = efx_rows_count(&rows);
    if (n == 0) {
        return EFX_OK;
    }
    if (n == b->n_rows) {
        b->sel = NULL;
    }
    op->base.n_rows_out += n;
    return efx_edge_push(&op->base.out[0].rows, run->step, &rows);
}

static enum efx_rc judge(struct join_run *run, uint32_t *waits)
{
    struct op_join *op = run->op;
    struct efx_ctx *ctx = op->base.ctx;
    struct efx_batch b = {0};
    uint32_t n_words = efx_words(run->n_slots);
    uint64_t *yes = efx_scratch_zero(ctx, n_words * sizeof *yes);
    uint64_t *set_end = efx_scratch_zero(ctx, n_words * sizeof *set_end);
    if (run->n_slots > 0) {
        gather(run, &b);
        if (op->conf->residual != NULL) {
            meet(run, &b, yes);
        } else {
            for (uint32_t w = 0; w < n_words; w++) {
                yes[w] = efx_word(NULL, w, run->n_slots);
            }
        }
        *waits = settle(run, yes, set_end);
        b.set_end = set_end;
    }
    return op->removes ? efx_join__play(run, &b, yes) : put_out(run, &b, yes);
}

static enum efx_rc emit_plain(struct join_run *run)
{
    struct op_join *op = run->op;
    if (run->n_slots == 0) {
        return EFX_OK;
    }
    struct efx_ctx_mark mark = efx_ctx_begin(op->base.ctx);
    struct efx_batch b;
    gather(run, &b);
    b.set_end = run->set_end;
    op->base.n_rows_out += b.n_rows;
    struct efx_rows rows = efx_rows_all(&b);
    enum efx_rc rc = efx_edge_push(&op->base.out[0].rows, run->step, &rows);
    efx_ctx_end(op->base.ctx, mark);
    run->n_slots = 0;
    memset(run->set_end, 0, EFX_BATCH_WORDS * sizeof *run->set_end);
    return rc;
}

enum efx_rc efx_join__emit(struct join_run *run)
{
    if (run->plain) {
        return emit_plain(run);
    }
    struct efx_ctx *ctx = run->op->base.ctx;
    uint32_t waits = NO_SLOT;
    if (run->n_acts > 0) {
        struct efx_ctx_mark mark = efx_ctx_begin(ctx);
        enum efx_rc rc = judge(run, &waits);
        efx_ctx_end(ctx, mark);
        EFX_RET(rc);
    }
    run->n_acts = run->n_slots = 0;
    if (waits != NO_SLOT) {
        run->row[0] = run->row[waits];
        run->number[0][0] = run->number[0][waits];
        run->number[1][0] = run->number[1][waits];
        run->n_slots = 1;
    }
    return EFX_OK;
}
