/* Joined rows that are taken out again when a member leaves its window (language §7, Removal).
 *
 *   joined log   0: L3·R8   1: L3·R9   2: L4·R8          each row in the list of each member
 *   L3 leaves    −0 −1                                   in order of entry, once
 *   R8 leaves       −2                                   0 is in no list any more
 *
 * Only members that can leave by a window have lists; a row none of whose members can is put out
 * and forgotten. A script without departures goes out as it was gathered; else every row is put out
 * from the joined log, in the order of the script, so one batch holds both kinds.
 *
 *   Time     a row taken out bears the clock at which its member left, and the moment of the turn
 *            or timer that did it; it forms a row set with the others of that member
 *   Limits   EFX_BATCH_ROWS_MAX rows a batch; departures of one due time are put in the order of
 *            their copies within JOIN_ACTS_MAX
 *   Errors   EFX_ENOMEM
 */
#include "join.h"

#include <stdlib.h>

/* ---- lists ---- */

enum efx_rc efx_join__pairs_fit(struct op_join *op, uint64_t more)
{
    uint64_t head = efx_log_head(op->joined), end = efx_log_end(op->joined);
    if (end - head + more <= op->n_pairs) {
        return EFX_OK;
    }
    uint64_t n_pairs = op->n_pairs == 0 ? 64 : op->n_pairs;
    while (n_pairs < end - head + more) {
        n_pairs *= 2;
    }
    struct join_pair *pair = op->mem->alloc(op->mem, n_pairs * sizeof *pair);
    if (pair == NULL) {
        return EFX_ENOMEM;
    }
    for (uint64_t n = head; op->n_pairs > 0 && n < end; n++) {
        pair[n & (n_pairs - 1)] = *join_pair(op, n);
    }
    if (op->n_pairs > 0) {
        op->mem->free(op->mem, op->pair, op->n_pairs * sizeof *pair);
    }
    op->pair = pair;
    op->n_pairs = n_pairs;
    return EFX_OK;
}

static struct join_ends *pairs_of(const struct op_join *op, uint32_t no, uint64_t member)
{
    const struct join_side *s = &op->side[no];
    return &s->pairs[member & (s->n_ring - 1)];
}

/* p->member is set. */
void efx_join__pair_link(struct op_join *op, uint64_t number)
{
    struct join_pair *p = join_pair(op, number);
    for (uint32_t no = 0; no < 2; no++) {
        p->prev[no] = p->next[no] = 0;
        if (p->member[no] == 0) {
            continue;
        }
        struct join_ends *ends = pairs_of(op, no, p->member[no] - 1);
        p->prev[no] = ends->last;
        if (ends->last != 0) {
            join_pair(op, ends->last - 1)->next[no] = number + 1;
        } else {
            ends->first = number + 1;
        }
        ends->last = number + 1;
    }
}

static void pair_unlink(struct op_join *op, uint64_t number)
{
    struct join_pair *p = join_pair(op, number);
    for (uint32_t no = 0; no < 2; no++) {
        if (p->member[no] == 0) {
            continue;
        }
        struct join_ends *ends = pairs_of(op, no, p->member[no] - 1);
        if (p->prev[no] != 0) {
            join_pair(op, p->prev[no] - 1)->next[no] = p->next[no];
        } else {
            ends->first = p->next[no];
        }
        if (p->next[no] != 0) {
            join_pair(op, p->next[no] - 1)->prev[no] = p->prev[no];
        } else {
            ends->last = p->prev[no];
        }
    }
}

/* ---- remembering ---- */

static uint64_t *tags_of(struct join_run *run, uint32_t no)
{
    struct op_join *op = run->op;
    uint64_t *tag = efx_scratch_zero(op->base.ctx, run->n_slots * sizeof *tag);
    for (uint32_t i = 0; op->side[no].window != NULL && i < run->n_slots; i++) {
        uint64_t number = run->number[no][i];
        tag[i] = number != 0 ? efx_log_turn(op->side[no].log, number - 1) : 0;
    }
    return tag;
}

/* Appends the rows at pos[] to the joined log; links are made when the script comes to them. */
static enum efx_rc remember(struct join_run *run, const struct efx_batch *b, const uint32_t *pos,
                            uint32_t n)
{
    struct op_join *op = run->op;
    struct efx_ctx *ctx = op->base.ctx;
    uint32_t n_cols = op->joined_conf.n_cols;
    struct efx_col *cols = efx_scratch(ctx, n_cols * sizeof *cols);
    memcpy(cols, b->cols, b->n_cols * sizeof *cols);
    if (op->partitioned) {
        cols[b->n_cols] = b->cols[b->n_cols + 1];
    }
    for (uint32_t no = 0; no < 2; no++) {
        cols[n_cols - 2 + no] = (struct efx_col){.type = EFX_TYPE_LONG, .data = tags_of(run, no)};
    }
    EFX_RET(efx_join__pairs_fit(op, n));
    uint64_t first = efx_log_end(op->joined);
    if (op->pair_base == JOIN_UNDECIDED) {
        uint64_t turn = run->step->first_turn;
        op->pair_base = (turn > op->pair_floor ? turn : op->pair_floor) - first;
    }
    uint64_t *turn = efx_scratch(ctx, n * sizeof *turn);
    uint32_t *group = efx_scratch(ctx, n * sizeof *group);
    for (uint32_t i = 0; i < n; i++) {
        struct join_pair *p = join_pair(op, first + i);
        turn[i] = join_tag(op, op->pair_base, first + i);
        group[i] = op->key_group;
        for (uint32_t no = 0; no < 2; no++) {
            const struct join_side *s = &op->side[no];
            p->member[no] = s->window != NULL ? run->number[no][pos[i]] : 0;
            if (p->member[no] != 0) {
                group[i] = efx_log_group(s->log, p->member[no] - 1);
            }
        }
    }
    struct efx_log_rows rows = {
        .n = n, .row = pos, .cols = cols, .ts_ms = b->ts_ms, .turn = turn, .group = group};
    return efx_log_add(op->joined, &rows);
}

/* Of a row that has just been put in: lists, or it need not be kept. */
static enum efx_rc enter(struct op_join *op, uint64_t number)
{
    const struct join_pair *p = join_pair(op, number);
    efx_join__pair_link(op, number);
    return p->member[0] == 0 && p->member[1] == 0 ? efx_join__gone_add(op, &op->pairs_gone, number)
                                                  : EFX_OK;
}

/* ---- playing ---- */

struct played { /* rows to put out, from the joined log */
    struct join_run *run;
    uint32_t n;
    uint64_t *number; /* [EFX_BATCH_ROWS_MAX] and so on */
    uint8_t *kind;
    int64_t *ts_ms, *clk_ms;
    efx_moment *moment;
    uint64_t *sub;
    int32_t *copy;
    uint64_t *set_end; /* [EFX_BATCH_WORDS] */
};

static void played_init(struct played *p, struct join_run *run)
{
    struct efx_ctx *ctx = run->op->base.ctx;
    *p = (struct played){.run = run};
    p->number = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *p->number);
    p->kind = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *p->kind);
    p->ts_ms = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *p->ts_ms);
    p->clk_ms = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *p->clk_ms);
    p->moment = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *p->moment);
    p->sub = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *p->sub);
    p->copy = efx_scratch(ctx, EFX_BATCH_ROWS_MAX * sizeof *p->copy);
    p->set_end = efx_scratch_zero(ctx, EFX_BATCH_WORDS * sizeof *p->set_end);
}

/* The tags of joined rows: they stay over a load, where numbers begin anew. */
static const uint64_t *tags_at(struct op_join *op, const uint64_t *number, uint32_t n)
{
    uint64_t *tag = efx_scratch(op->base.ctx, (n + 1) * sizeof *tag);
    for (uint32_t i = 0; i < n; i++) {
        tag[i] = efx_log_turn(op->joined, number[i]);
    }
    return tag;
}

static enum efx_rc played_push(struct played *p)
{
    struct op_join *op = p->run->op;
    struct efx_ctx *ctx = op->base.ctx;
    if (p->n == 0) {
        return EFX_OK;
    }
    struct efx_ctx_mark mark = efx_ctx_begin(ctx);
    uint32_t needs = op->base.out[0].rows.needs;
    uint32_t n_visible = op->joined_conf.n_cols - 2 - (op->partitioned ? 1 : 0);
    struct efx_col *cols = efx_scratch(ctx, (op->joined_conf.n_cols + 1) * sizeof *cols);
    int64_t *own_ts_ms = efx_scratch(ctx, p->n * sizeof *own_ts_ms);
    efx_log_gather(op->joined, ctx, p->number, p->n, cols, own_ts_ms);
    if (op->partitioned) { /* copy in front of birth */
        cols[n_visible + 1] = cols[n_visible];
        cols[n_visible] = (struct efx_col){.type = EFX_TYPE_INT, .data = p->copy};
    }
    struct efx_batch b = {
        .n_rows = p->n,
        .n_cols = n_visible,
        .n_hidden = op->partitioned ? 2 : 0,
        .cols = cols,
        .ts_ms = p->ts_ms,
        .clk_ms = p->clk_ms,
        .kind = p->kind,
        .moment = (needs & EFX_NEEDS_MOMENT) != 0 ? p->moment : NULL,
        .sub = (needs & EFX_NEEDS_SUB) != 0 ? p->sub : NULL,
        .set_end = p->set_end,
        .number = tags_at(op, p->number, p->n),
    };
    op->base.n_rows_out += p->n;
    struct efx_rows rows = efx_rows_all(&b);
    enum efx_rc rc = efx_edge_push(&op->base.out[0].rows, p->run->step, &rows);
    efx_ctx_end(ctx, mark);
    p->n = 0;
    memset(p->set_end, 0, EFX_BATCH_WORDS * sizeof *p->set_end);
    return rc;
}

/* A slot's row as current. */
static enum efx_rc play_entry(struct played *p, const struct efx_batch *b, uint32_t slot,
                              uint64_t number)
{
    struct join_run *run = p->run;
    if (p->n == EFX_BATCH_ROWS_MAX) {
        EFX_RET(played_push(p));
    }
    uint32_t i = p->n++;
    p->number[i] = number;
    p->kind[i] = EFX_ROW_CURRENT;
    p->ts_ms[i] = b->ts_ms[slot];
    p->clk_ms[i] = efx_batch_clk_ms(b, slot);
    p->moment[i] = b->moment != NULL ? b->moment[slot] : 0;
    p->sub[i] = b->sub != NULL ? b->sub[slot] : 0;
    p->copy[i] = run->op->partitioned ? ((const int32_t *)b->cols[b->n_cols].data)[slot] : 0;
    if (efx_bit(b->set_end, slot)) {
        efx_bit_put(p->set_end, i, true);
    }
    return enter(run->op, number);
}

/* What orders a row among shards: nothing where an event did it; else its copy's birth, or the
 * side, the left one before the right, and the turn of the event that left. */
static uint64_t sub_of(const struct op_join *op, const struct join_act *act, uint64_t number)
{
    if (efx_moment_is_event(act->moment)) {
        return 0;
    }
    if (!op->partitioned) {
        return (uint64_t)act->side << 63 | (act->turn & UINT64_MAX >> 1);
    }
    const int64_t *birth = efx_log_slot(op->joined, number, op->joined_conf.n_cols - 3, NULL);
    return (uint64_t)*birth;
}

static enum efx_rc play_left(struct played *p, const struct join_act *act)
{
    struct op_join *op = p->run->op;
    const struct join_ends *ends = pairs_of(op, act->side, act->number);
    while (ends->first != 0) {
        uint64_t number = ends->first - 1;
        if (p->n == EFX_BATCH_ROWS_MAX) {
            EFX_RET(played_push(p));
        }
        uint32_t i = p->n++;
        p->number[i] = number;
        p->kind[i] = EFX_ROW_EXPIRED;
        p->ts_ms[i] = p->clk_ms[i] = act->clk_ms;
        p->moment[i] = act->moment;
        p->sub[i] = sub_of(op, act, number);
        p->copy[i] = (int32_t)act->copy;
        pair_unlink(op, number);
        EFX_RET(efx_join__gone_add(op, &op->pairs_gone, number));
        if (ends->first == 0) {
            efx_bit_put(p->set_end, i, true);
        }
    }
    return EFX_OK;
}

static enum efx_rc play_script(struct join_run *run, const struct efx_batch *b, const uint64_t *yes,
                               uint64_t first)
{
    struct played p;
    played_init(&p, run);
    for (uint32_t a = 0; a < run->n_acts; a++) {
        const struct join_act *act = &run->act[a];
        if (act->did == JOIN_LEFT) {
            EFX_RET(play_left(&p, act));
            continue;
        }
        for (uint32_t slot = act->from; slot < act->until; slot++) {
            if (efx_bit(yes, slot)) {
                EFX_RET(play_entry(&p, b, slot, first++));
            }
        }
    }
    return played_push(&p);
}

/* Copies of a partition are served in the order of their births, each left side before right; the
 * windows list what leaves at one due time side by side. */
struct departure {
    int64_t birth;
    uint32_t at;
    struct join_act act;
};

static int by_birth(const void *a, const void *b)
{
    const struct departure *x = a, *y = b;
    if (x->birth != y->birth) {
        return x->birth < y->birth ? -1 : 1;
    }
    return (x->at > y->at) - (x->at < y->at);
}

static void sort_departures(struct join_run *run, uint32_t from, uint32_t until)
{
    const struct op_join *op = run->op;
    struct efx_ctx_mark mark = efx_ctx_begin(op->base.ctx);
    struct departure *d = efx_scratch(op->base.ctx, (until - from) * sizeof *d);
    for (uint32_t a = from; a < until; a++) {
        const struct join_act *act = &run->act[a];
        const struct join_side *s = &op->side[act->side];
        d[a - from] = (struct departure){.at = a, .act = *act};
        memcpy(&d[a - from].birth, efx_log_slot(s->log, act->number, s->log_conf.n_cols - 1, NULL),
               sizeof(int64_t));
    }
    qsort(d, until - from, sizeof *d, by_birth);
    for (uint32_t a = from; a < until; a++) {
        run->act[a] = d[a - from].act;
    }
    efx_ctx_end(op->base.ctx, mark);
}

static void order_copies(struct join_run *run)
{
    for (uint32_t a = 0, until; a < run->n_acts; a = until) {
        const struct join_act *act = &run->act[a];
        until = a + 1;
        if (act->did != JOIN_LEFT || efx_moment_is_event(act->moment)) {
            continue;
        }
        while (until < run->n_acts && run->act[until].did == JOIN_LEFT &&
               run->act[until].moment == act->moment) {
            until++;
        }
        if (until - a > 1) {
            sort_departures(run, a, until);
        }
    }
}

/* Nobody has left: the batch as it was gathered. */
static enum efx_rc push_entries(struct join_run *run, const struct efx_batch *b,
                                const uint64_t *yes, uint32_t n, uint64_t first)
{
    struct op_join *op = run->op;
    uint64_t *tag = efx_scratch_zero(op->base.ctx, (b->n_rows + 1) * sizeof *tag);
    for (uint32_t i = 0, slot = 0; i < n; i++, slot++) {
        while (!efx_bit(yes, slot)) {
            slot++;
        }
        tag[slot] = efx_log_turn(op->joined, first + i);
        EFX_RET(enter(op, first + i));
    }
    if (n == 0) {
        return EFX_OK;
    }
    struct efx_batch out = *b;
    out.number = tag;
    uint8_t *kind = efx_scratch(op->base.ctx, b->n_rows);
    memset(kind, EFX_ROW_CURRENT, b->n_rows);
    out.kind = kind;
    out.sel = n == b->n_rows ? NULL : yes;
    op->base.n_rows_out += n;
    struct efx_rows rows = efx_rows_all(&out);
    return efx_edge_push(&op->base.out[0].rows, run->step, &rows);
}

enum efx_rc efx_join__play(struct join_run *run, const struct efx_batch *b, const uint64_t *yes)
{
    struct op_join *op = run->op;
    uint32_t *pos = efx_scratch(op->base.ctx, EFX_BATCH_ROWS_MAX * sizeof *pos);
    uint64_t first = efx_log_end(op->joined);
    uint32_t n = 0;
    if (run->n_slots > 0) {
        struct efx_batch kept = *b;
        kept.sel = yes;
        struct efx_rows rows = efx_rows_all(&kept);
        n = efx_rows_list(&rows, pos);
    }
    if (n > 0) {
        EFX_RET(remember(run, b, pos, n));
    }
    if (op->partitioned) {
        order_copies(run);
    }
    for (uint32_t a = 0; a < run->n_acts; a++) {
        if (run->act[a].did == JOIN_LEFT) {
            return play_script(run, b, yes, first);
        }
    }
    return push_entries(run, b, yes, n, first);
}
