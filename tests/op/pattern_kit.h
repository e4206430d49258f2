#ifndef PATTERN_KIT_H
#define PATTERN_KIT_H

#include "efx_test.h"

#include "efx_agg.h"
#include "efx_hash.h"
#include "efx_ops.h"

#include <stdio.h>
#include <stdlib.h>

/* A pattern operator on a bench: trees of expressions made by hand, events in, text out.
 *
 *   streams A, B, C    columns v LONG, k LONG, s STRING; hidden behind them copy and birth
 *   events             gathered into a step, cut into runs of one stream, each a slice of its batch
 *   out                "(1,10) (2,10)", with timestamps "(1,10)@7", expired "-(1,NULL)@11"
 */
enum {
    KIT_COLS = 3,
    KIT_V = 0,
    KIT_K = 1,
    KIT_S = 2,
    KIT_INPUTS = 3,
    KIT_EVENTS_MAX = 512,
    KIT_OUTS_MAX = 12,
    KIT_TEXT_BYTES = 1 << 16
};

/* ---- expressions ---- */

static struct efx_arena kit_arena;

static inline struct efx_bx *kit_bx(struct efx_bx like)
{
    struct efx_bx *bx = EFX_NEW(&kit_arena, struct efx_bx);
    assert_non_null(bx);
    *bx = like;
    return bx;
}

static inline enum efx_type kit_type(uint32_t col)
{
    return col == KIT_S ? EFX_TYPE_STRING : EFX_TYPE_LONG;
}

static inline struct efx_bx *kit_ref(uint32_t src, uint32_t col)
{
    return kit_bx((struct efx_bx){.op = EFX_BX_COL, .type = kit_type(col), .src = src, .col = col});
}

static inline struct efx_bx *kit_at(uint32_t src, uint32_t n, uint32_t col)
{
    struct efx_bx *bx = kit_ref(src, col);
    bx->index = (struct efx_bx_index){.kind = EFX_AST_INDEX_AT, .n = n};
    return bx;
}

static inline struct efx_bx *kit_last(uint32_t src, uint32_t n, uint32_t col)
{
    struct efx_bx *bx = kit_ref(src, col);
    bx->index = (struct efx_bx_index){.kind = EFX_AST_INDEX_LAST, .n = n};
    return bx;
}

static inline struct efx_bx *kit_cand(uint32_t col)
{
    return kit_ref(EFX_BX_SRC_CANDIDATE, col);
}

static inline struct efx_bx *kit_long(int64_t l)
{
    return kit_bx((struct efx_bx){
        .op = EFX_BX_CONST, .type = EFX_TYPE_LONG, .lit = {.type = EFX_TYPE_LONG, .l = l}});
}

static inline struct efx_bx *kit_op(enum efx_bx_op op, enum efx_type type, struct efx_bx *a,
                                    struct efx_bx *b)
{
    struct efx_bx **args = EFX_NEW_N(&kit_arena, struct efx_bx *, 2);
    assert_non_null(args);
    args[0] = a;
    args[1] = b;
    return kit_bx(
        (struct efx_bx){.op = op, .type = type, .n_args = b == NULL ? 1 : 2, .args = args});
}

static inline struct efx_bx *kit_is(enum efx_bx_op op, struct efx_bx *a, struct efx_bx *b)
{
    return kit_op(op, EFX_TYPE_BOOL, a, b);
}

static inline struct efx_bx *kit_and(struct efx_bx *a, struct efx_bx *b)
{
    return a == NULL ? b : b == NULL ? a : kit_is(EFX_BX_AND, a, b);
}

/* ---- aggregates: sum(v) and count(*) over LONG ---- */

struct kit_sum {
    int64_t n, sum;
};

static inline void kit_sum_init(void *state)
{
    *(struct kit_sum *)state = (struct kit_sum){0, 0};
}

static inline enum efx_rc kit_sum_run(const struct efx_states *at, const struct efx_agg_in *in,
                                      struct efx_agg_out *out)
{
    (void)out;
    for (uint32_t i = 0; i < in->n; i++) {
        struct kit_sum *s = efx_state_at(at, in->id[i]);
        uint32_t row = in->row != NULL ? in->row[i] : i;
        if (in->arg == NULL || efx_bit(in->arg->valid, row)) {
            s->n++;
            s->sum += in->arg == NULL ? 0 : ((const int64_t *)in->arg->data)[row];
        }
    }
    return EFX_OK;
}

static inline enum efx_rc kit_sum_emit(const struct efx_states *at, const uint32_t *id, uint32_t n,
                                       struct efx_agg_out *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct kit_sum *s = efx_state_at(at, id[i]);
        ((int64_t *)out->data)[i] = s->sum;
        efx_bit_put(out->valid, i, s->n > 0);
    }
    return EFX_OK;
}

static inline enum efx_rc kit_count_emit(const struct efx_states *at, const uint32_t *id,
                                         uint32_t n, struct efx_agg_out *out)
{
    for (uint32_t i = 0; i < n; i++) {
        ((int64_t *)out->data)[i] = ((const struct kit_sum *)efx_state_at(at, id[i]))->n;
        efx_bit_put(out->valid, i, true);
    }
    return EFX_OK;
}

static const struct efx_agg_vt kit_sum_vt = {.in = EFX_TYPE_LONG,
                                             .out = EFX_TYPE_LONG,
                                             .state_bytes = sizeof(struct kit_sum),
                                             .init = kit_sum_init,
                                             .run = kit_sum_run,
                                             .emit = kit_sum_emit};
static const struct efx_agg_vt kit_count_vt = {.out = EFX_TYPE_LONG,
                                               .state_bytes = sizeof(struct kit_sum),
                                               .init = kit_sum_init,
                                               .run = kit_sum_run,
                                               .emit = kit_count_emit};

/* sum(e.v); col EFX_NO_COL: count(e) */
static inline struct efx_bx *kit_agg(uint32_t src, uint32_t col)
{
    struct efx_bagg *b = EFX_NEW(&kit_arena, struct efx_bagg);
    assert_non_null(b);
    b->vt = col == EFX_NO_COL ? &kit_count_vt : &kit_sum_vt;
    b->arg = col == EFX_NO_COL ? NULL : kit_cand(col);
    return kit_bx(
        (struct efx_bx){.op = EFX_BX_ELEM_AGG, .type = EFX_TYPE_LONG, .src = src, .elem_agg = b});
}

/* ---- patterns ---- */

struct kit_elem {
    uint32_t input;
    uint32_t min, max; /* 0, 0 = without count */
    struct efx_bx *filter;
};

enum kit_every { KIT_ONCE = 0, KIT_EVERY_FIRST, KIT_EVERY_ALL };

static inline struct efx_bpat *kit_pat(enum efx_ast_pat kind, uint32_t n, struct efx_bpat **kids)
{
    struct efx_bpat *p = EFX_NEW(&kit_arena, struct efx_bpat);
    assert_non_null(p);
    *p = (struct efx_bpat){.kind = kind,
                           .n_kids = n,
                           .kids = kids,
                           .elem = EFX_NO_COL,
                           .within_ms = -1,
                           .within_events = -1,
                           .for_ms = -1};
    return p;
}

static inline struct efx_bpat **kit_kids(uint32_t n)
{
    struct efx_bpat **kids = EFX_NEW_N(&kit_arena, struct efx_bpat *, n);
    assert_non_null(kids);
    return kids;
}

static inline struct efx_bpattern *kit_pattern(enum kit_every every, uint32_t n,
                                               const struct kit_elem *elems)
{
    struct efx_bpattern *p = EFX_NEW(&kit_arena, struct efx_bpattern);
    struct efx_belem *names = EFX_NEW_N(&kit_arena, struct efx_belem, n);
    struct efx_bpat **kids = kit_kids(n);
    assert_non_null(p);
    assert_non_null(names);
    for (uint32_t i = 0; i < n; i++) {
        bool counted = elems[i].max != 0;
        kids[i] = kit_pat(EFX_AST_PAT_EVENT, 0, NULL);
        kids[i]->elem = i;
        kids[i]->input = elems[i].input;
        kids[i]->min = counted ? elems[i].min : 1;
        kids[i]->max = counted ? elems[i].max : 1;
        kids[i]->counted = counted;
        kids[i]->filter = elems[i].filter;
        names[i] = (struct efx_belem){.input = elems[i].input, .counted = counted};
    }
    if (every == KIT_EVERY_FIRST) {
        struct efx_bpat **first = kit_kids(1);
        first[0] = kids[0];
        kids[0] = kit_pat(EFX_AST_PAT_EVERY, 1, first);
    }
    struct efx_bpat *root = kit_pat(EFX_AST_PAT_CHAIN, n, kids);
    if (every == KIT_EVERY_ALL) {
        struct efx_bpat **all = kit_kids(1);
        all[0] = root;
        root = kit_pat(EFX_AST_PAT_EVERY, 1, all);
    }
    *p = (struct efx_bpattern){
        .root = root, .within_ms = -1, .within_events = -1, .n_elems = n, .elems = names};
    return p;
}

static inline void kit_partition_by(struct efx_bpattern *p, uint32_t col)
{
    static const enum efx_type types[KIT_COLS] = {EFX_TYPE_LONG, EFX_TYPE_LONG, EFX_TYPE_STRING};
    static const uint32_t cols[KIT_COLS] = {0, 1, 2};
    p->n_keys = 1;
    p->key_types = &types[col];
    p->key_cols = EFX_NEW_N(&kit_arena, struct efx_conf_cols, KIT_INPUTS);
    for (uint32_t i = 0; i < KIT_INPUTS; i++) {
        p->key_cols[i] = (struct efx_conf_cols){.n = 1, .col = &cols[col]};
    }
}

/* ---- the bench ---- */

struct kit_event {
    uint32_t input;
    int64_t ts;
    int64_t v;
    int64_t k;       /* INT64_MIN = NULL */
    const char *s;   /* NULL = NULL */
    bool clock_only; /* nothing but time */
};

struct kit {
    struct efx_ctx ctx;
    struct efx_arena plan;
    struct efx_op sink;
    struct efx_op *op;
    struct efx_pattern_conf conf;
    struct efx_op_in in[KIT_INPUTS];
    const struct efx_bx *outs[KIT_OUTS_MAX];
    bool partitioned;
    bool with_ts;
    struct efx_kg_range kg;
    uint64_t step_no, first_turn;
    int64_t clk_ms;
    char text[KIT_TEXT_BYTES];
    uint32_t n_text;
    uint32_t n_errors;
    uint16_t last_error;
};

static inline void kit_print(struct kit *t, const char *s)
{
    size_t n = strlen(s);
    assert_true(t->n_text + n < KIT_TEXT_BYTES);
    memcpy(t->text + t->n_text, s, n + 1);
    t->n_text += (uint32_t)n;
}

static inline void kit_print_value(struct kit *t, const struct efx_col *c, uint32_t i)
{
    char buf[64];
    if (!efx_bit(c->valid, i)) {
        kit_print(t, "NULL");
    } else if (c->type == EFX_TYPE_STRING) {
        const struct efx_cell *cell = (const struct efx_cell *)c->data + i;
        snprintf(buf, sizeof buf, "%.*s", (int)cell->len, (const char *)efx_cell_bytes(cell));
        kit_print(t, buf);
    } else {
        int64_t l = c->type == EFX_TYPE_BOOL  ? ((const uint8_t *)c->data)[i]
                    : c->type == EFX_TYPE_INT ? ((const int32_t *)c->data)[i]
                                              : ((const int64_t *)c->data)[i];
        snprintf(buf, sizeof buf, "%lld", (long long)l);
        kit_print(t, buf);
    }
}

static inline struct kit *kit_of(struct efx_op *sink)
{
    return (struct kit *)((char *)sink - offsetof(struct kit, sink));
}

static inline enum efx_rc kit_rows(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                                   const struct efx_rows *rows)
{
    (void)inlet;
    (void)step;
    struct kit *t = kit_of(to);
    uint32_t at[EFX_BATCH_ROWS_MAX], n = efx_rows_list(rows, at);
    for (uint32_t j = 0; j < n; j++) {
        char buf[32];
        if (t->n_text > 0) {
            kit_print(t, " ");
        }
        kit_print(t, efx_batch_kind(rows->b, at[j]) == EFX_ROW_EXPIRED ? "-(" : "(");
        for (uint32_t c = 0; c < rows->b->n_cols + rows->b->n_hidden; c++) {
            kit_print(t, c == 0 ? "" : ",");
            kit_print_value(t, &rows->b->cols[c], at[j]);
        }
        snprintf(buf, sizeof buf, t->with_ts ? ")@%lld" : ")", (long long)rows->b->ts_ms[at[j]]);
        kit_print(t, buf);
    }
    return EFX_OK;
}

static inline enum efx_rc kit_errors(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                                     const struct efx_rows *rows)
{
    (void)inlet;
    (void)step;
    struct kit *t = kit_of(to);
    uint32_t at[EFX_BATCH_ROWS_MAX], n = efx_rows_list(rows, at);
    t->n_errors += n;
    t->last_error = n > 0 ? rows->b->code[at[n - 1]] : t->last_error;
    return EFX_OK;
}

static inline void kit_make_op(struct kit *t)
{
    struct efx_op_open how = {.arena = &t->plan,
                              .mem = &efx_mem_libc,
                              .ctx = &t->ctx,
                              .n_out = 1,
                              .rank = efx_moment_rank(3, EFX_TIMER_OF_PATTERN),
                              .key_group = 7,
                              .kg = t->kg};
    assert_int_equal(efx_op_pattern_create(&how, &t->conf, &t->op, NULL), EFX_OK);
    t->op->out[0].rows = (struct efx_edge){
        .push = kit_rows, .to = &t->sink, .needs = EFX_NEEDS_MOMENT | EFX_NEEDS_SUB};
    t->op->out[0].errors = (struct efx_edge){.push = kit_errors, .to = &t->sink};
}

/* Out: what `outs` names, up to a NULL. */
static inline struct kit *kit_new(const struct efx_bpattern *p, struct efx_bx *const *outs)
{
    static const enum efx_type types[KIT_COLS] = {EFX_TYPE_LONG, EFX_TYPE_LONG, EFX_TYPE_STRING};
    struct kit *t = calloc(1, sizeof *t);
    assert_non_null(t);
    efx_ctx_init(&t->ctx, &efx_mem_libc);
    efx_arena_init(&t->plan, &efx_mem_libc, SIZE_MAX);
    t->kg = (struct efx_kg_range){0, EFX_KEY_GROUPS - 1};
    t->clk_ms = 0;
    t->conf = (struct efx_pattern_conf){.pattern = p,
                                        .n_inputs = KIT_INPUTS,
                                        .in = t->in,
                                        .outs = t->outs,
                                        .max_partials = 10000000};
    for (uint32_t i = 0; i < KIT_INPUTS; i++) {
        t->in[i] = (struct efx_op_in){.n_cols = KIT_COLS, .types = types};
    }
    while (outs[t->conf.n_outs] != NULL) {
        assert_true(t->conf.n_outs < KIT_OUTS_MAX);
        t->outs[t->conf.n_outs] = outs[t->conf.n_outs];
        t->conf.n_outs++;
    }
    return t;
}

static inline void kit_free(struct kit *t)
{
    if (t->op != NULL) {
        t->op->vt->close(t->op);
    }
    efx_arena_fini(&t->plan);
    efx_ctx_fini(&t->ctx);
    free(t);
}

struct kit_batch { /* one stream's rows of a step */
    uint32_t n;
    int64_t v[KIT_EVENTS_MAX], k[KIT_EVENTS_MAX], birth[KIT_EVENTS_MAX];
    int32_t copy[KIT_EVENTS_MAX];
    struct efx_cell s[KIT_EVENTS_MAX];
    uint64_t k_valid[KIT_EVENTS_MAX / 64], s_valid[KIT_EVENTS_MAX / 64];
    int64_t ts[KIT_EVENTS_MAX], clk[KIT_EVENTS_MAX];
    efx_moment moment[KIT_EVENTS_MAX];
    struct efx_col cols[KIT_COLS + 2];
    struct efx_batch b;
};

static inline void kit_put(struct kit *t, struct kit_batch *b, const struct kit_event *e,
                           const struct efx_step *step, uint32_t turn)
{
    uint32_t i = b->n++;
    b->v[i] = e->v;
    b->k[i] = e->k;
    efx_bit_put(b->k_valid, i, e->k != INT64_MIN);
    efx_bit_put(b->s_valid, i, e->s != NULL);
    b->s[i] = e->s == NULL ? efx_cell_make("", 0) : efx_cell_make(e->s, (uint32_t)strlen(e->s));
    b->copy[i] = (int32_t)(e->k & 0xFF);
    b->birth[i] = e->k & 0xFF; /* in a PARTITION by k: every k was born at turn k */
    t->clk_ms = e->ts > t->clk_ms ? e->ts : t->clk_ms;
    b->ts[i] = e->ts;
    b->clk[i] = t->clk_ms;
    b->moment[i] = efx_moment_event(t->clk_ms - step->clk_base_ms, 0, turn);
}

static inline void kit_close_batch(const struct kit *t, struct kit_batch *b)
{
    b->cols[KIT_V] = (struct efx_col){.type = EFX_TYPE_LONG, .data = b->v};
    b->cols[KIT_K] = (struct efx_col){.type = EFX_TYPE_LONG, .data = b->k, .valid = b->k_valid};
    b->cols[KIT_S] = (struct efx_col){.type = EFX_TYPE_STRING, .data = b->s, .valid = b->s_valid};
    b->cols[KIT_COLS] = (struct efx_col){.type = EFX_TYPE_INT, .data = b->copy};
    b->cols[KIT_COLS + 1] = (struct efx_col){.type = EFX_TYPE_LONG, .data = b->birth};
    b->b = (struct efx_batch){.n_rows = b->n,
                              .n_cols = KIT_COLS,
                              .n_hidden = t->partitioned ? 2 : 0,
                              .cols = b->cols,
                              .ts_ms = b->ts,
                              .clk_ms = b->clk,
                              .moment = b->moment};
}

/* One step; slices end where the stream changes, and after `max` rows. */
static inline void kit_step(struct kit *t, const struct kit_event *e, uint32_t n, uint32_t max)
{
    struct efx_step step = {.no = t->step_no++,
                            .first_turn = t->first_turn,
                            .clk_base_ms = t->clk_ms,
                            .what = EFX_STEP_EVENTS,
                            .virtual_clock = true};
    struct kit_batch *b = calloc(KIT_INPUTS, sizeof *b);
    uint32_t from[KIT_INPUTS] = {0};
    assert_true(n <= KIT_EVENTS_MAX);
    assert_non_null(b);
    if (t->op == NULL) {
        kit_make_op(t);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (e[i].clock_only) {
            t->clk_ms = e[i].ts > t->clk_ms ? e[i].ts : t->clk_ms;
        } else {
            kit_put(t, &b[e[i].input], &e[i], &step, i);
        }
    }
    step.clk_last_ms = t->clk_ms;
    for (uint32_t i = 0; i < KIT_INPUTS; i++) {
        kit_close_batch(t, &b[i]);
    }
    for (uint32_t i = 0; i < n;) {
        uint32_t run = 1, input = e[i].input;
        if (e[i].clock_only) {
            i++;
            continue;
        }
        while (i + run < n && run < max && e[i + run].input == input && !e[i + run].clock_only) {
            run++;
        }
        struct efx_rows rows = {.b = &b[input].b, .from = from[input], .until = from[input] + run};
        assert_int_equal(t->op->rows(t->op, input, &step, &rows), EFX_OK);
        from[input] += run;
        i += run;
    }
    if (t->op->vt->next_due_ms(t->op) <= step.clk_last_ms) {
        assert_int_equal(t->op->vt->finish(t->op, &step, EFX_MOMENT_END), EFX_OK);
    }
    t->first_turn += n;
    efx_arena_reset(&t->ctx.step);
    free(b);
}

/* Events as "A1 A2 B10@7 !20": letter is the stream, number is v, @ the timestamp, ! the clock. */
static inline void kit_feed(struct kit *t, const char *s)
{
    while (*s != '\0') {
        struct kit_event e = {.ts = t->clk_ms, .k = 1, .s = "x"};
        char *end;
        if (*s == ' ') {
            s++;
            continue;
        }
        if (*s == '!') {
            e.clock_only = true;
            e.ts = strtoll(s + 1, &end, 10);
        } else {
            e.input = (uint32_t)(*s - 'A');
            e.v = strtoll(s + 1, &end, 10);
            if (*end == ':') { /* :k */
                e.k = strtoll(end + 1, &end, 10);
            }
            if (*end == '@') {
                e.ts = strtoll(end + 1, &end, 10);
            }
        }
        s = end;
        kit_step(t, &e, 1, 1);
    }
}

static inline void kit_expect(struct kit *t, const char *events, const char *out)
{
    t->n_text = 0;
    t->text[0] = '\0';
    kit_feed(t, events);
    assert_string_equal(t->text, out);
}

/* ---- save and load ---- */

struct kit_save {
    struct efx_save base;
    uint8_t *p[EFX_KEY_GROUPS];
    uint32_t n[EFX_KEY_GROUPS], max[EFX_KEY_GROUPS];
};

static inline void *kit_room(struct efx_save *self, uint32_t g, uint32_t bytes)
{
    struct kit_save *s = (struct kit_save *)self;
    assert_true(g < EFX_KEY_GROUPS);
    if (s->n[g] + bytes > s->max[g]) {
        s->max[g] = (s->n[g] + bytes) * 2;
        s->p[g] = realloc(s->p[g], s->max[g]);
        assert_non_null(s->p[g]);
    }
    s->n[g] += bytes;
    return s->p[g] + s->n[g] - bytes;
}

static inline void kit_load_from(struct kit *t, const struct kit_save *s)
{
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        if (s->n[g] == 0) {
            continue;
        }
        size_t n = s->n[g] + 8;
        uint8_t *bytes = malloc(n);
        assert_non_null(bytes);
        memcpy(bytes, &g, 4);
        memcpy(bytes + 4, &s->n[g], 4);
        memcpy(bytes + 8, s->p[g], s->n[g]);
        struct efx_reader r = {.p = bytes, .left = n};
        assert_int_equal(t->op->vt->load(t->op, t->kg, &r, NULL), EFX_OK);
        free(bytes);
    }
}

static inline void kit_save_fini(struct kit_save *s)
{
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        free(s->p[g]);
    }
    free(s);
}

static inline struct kit_save *kit_save_begin(struct kit *t)
{
    struct kit_save *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->base.room = kit_room;
    t->op->vt->mark(t->op, &(struct efx_mark){.checkpoint = 1});
    (void)t->op->vt->slice(t->op, 0, &s->base);
    return s;
}

static inline void kit_save_rest(struct kit *t, struct kit_save *s)
{
    while (t->op->vt->slice(t->op, 3, &s->base) == EFX_AGAIN) {
    }
}

/* The operator's state moves into a fresh one. */
static inline void kit_move(struct kit *t)
{
    struct kit_save *s = kit_save_begin(t);
    kit_save_rest(t, s);
    t->op->vt->close(t->op);
    kit_make_op(t);
    kit_load_from(t, s);
    assert_int_equal(t->op->vt->load_end(t->op, NULL), EFX_OK);
    kit_save_fini(s);
}

static inline int kit_setup(void **state)
{
    (void)state;
    efx_arena_init(&kit_arena, &efx_mem_libc, SIZE_MAX);
    return 0;
}

static inline int kit_teardown(void **state)
{
    (void)state;
    efx_arena_fini(&kit_arena);
    return 0;
}

#endif /* PATTERN_KIT_H */
