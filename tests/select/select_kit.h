#ifndef SELECT_KIT_H
#define SELECT_KIT_H

#include "efx_test.h"

#include "keyed/save_test.h"

#include "efx_aggs.h"
#include "efx_ops.h"
#include "efx_windows.h"

#include <stdio.h>

/* What the tests of windows and the selector share: a query by hand, events in steps, rows as text.
 *
 *   columns   0 a STRING, 1 v LONG (NULL = KIT_NULL), 2 d DOUBLE (v / 2); copy and birth by `a`
 *             where partitioned: births as op_partition makes them
 *   row       "a,v@ts" of the outputs; '#code a' for an error; " | " between events, as the text of
 *             each event's rows in the worked examples
 */
enum { KIT_NULL = INT32_MIN, KIT_AGGS = 8, KIT_OUTS = 8, KIT_TEXT = 1 << 21, KIT_COPIES = 64 };
enum { KIT_A = 0, KIT_V = 1, KIT_D = 2, KIT_COLS = 3 };

struct kit_query {
    const char *window; /* name; NULL = none */
    int64_t p1, p2;     /* its numbers; session: gap, latency; origin: EFX_TS_NONE = none */
    bool session_by_a;
    bool current, expired, partitioned;
    uint32_t n_group;
    struct efx_bx *group[2];
    uint32_t n_aggs;
    struct {
        const char *name;
        struct efx_bx *arg, *filter;
    } agg[KIT_AGGS];
    uint32_t n_out;
    struct efx_bx *out[KIT_OUTS];
    struct efx_bx *having;
    uint32_t n_order;
    struct {
        struct efx_bx *by;
        bool desc, nulls_first;
    } order[2];
    int64_t limit, offset;
    bool limited;
    int64_t ttl_ms;
    bool narrow; /* the first target column is an INT NOT NULL */
    bool system_clock;
    bool kinds_in, sets_in;
};

struct kit_event {
    const char *a; /* NULL: the clock goes on */
    int64_t v;
    int64_t ts_ms;
};

/* Of rows that do not come from the outside: what row i of the next step is. */
struct kit_mark {
    uint8_t kind; /* 0 = current */
    bool set_end;
    bool by_timer; /* a trigger made it: its moment is that of a timer of rank 0 */
};

struct kit {
    struct efx_arena plan, shard;
    struct efx_ctx ctx;
    struct test_mem mem; /* of state */
    struct efx_select_conf conf;
    struct efx_op *op;
    struct kit_query q;
    int64_t window_conf[8];
    uint32_t key_col;
    struct efx_kg_range kg; /* last 0: all */
    char *text;
    size_t n_text;
    int64_t clk_ms;               /* EFX_TS_NONE: not started */
    const struct kit_mark *marks; /* [n] of the steps to come; NULL = current, no sets */
    uint64_t n_turns, n_steps;
    int32_t copy_shift;
    struct {
        char a[48];
        int64_t birth;
    } copy[KIT_COPIES];
    uint32_t n_copies;
    struct test_save saves[256];
    uint32_t n_saves;
};

/* ---- expressions ---- */

static inline struct efx_bx *kit_bx(struct kit *k, enum efx_bx_op op, enum efx_type type,
                                    struct efx_bx *x, struct efx_bx *y)
{
    struct efx_bx *e = EFX_NEW(&k->plan, struct efx_bx);
    *e = (struct efx_bx){.op = op, .type = type, .n_args = (x != NULL) + (y != NULL)};
    e->args = EFX_NEW_N(&k->plan, struct efx_bx *, 2);
    e->args[0] = x;
    e->args[1] = y;
    return e;
}

static inline struct efx_bx *kit_col(struct kit *k, uint32_t col)
{
    static const enum efx_type types[] = {EFX_TYPE_STRING, EFX_TYPE_LONG, EFX_TYPE_DOUBLE};
    struct efx_bx *e = kit_bx(k, EFX_BX_COL, types[col], NULL, NULL);
    e->col = col;
    return e;
}

static inline struct efx_bx *kit_out(struct kit *k, uint32_t col, enum efx_type type)
{
    struct efx_bx *e = kit_bx(k, EFX_BX_COL, type, NULL, NULL);
    e->src = EFX_BX_SRC_OUT;
    e->col = col;
    return e;
}

static inline struct efx_bx *kit_agg(struct kit *k, uint32_t no, enum efx_type type)
{
    struct efx_bx *e = kit_bx(k, EFX_BX_AGG, type, NULL, NULL);
    e->col = no;
    return e;
}

static inline struct efx_bx *kit_long(struct kit *k, int64_t v)
{
    struct efx_bx *e = kit_bx(k, EFX_BX_CONST, EFX_TYPE_LONG, NULL, NULL);
    e->lit = (struct efx_value){.type = EFX_TYPE_LONG, .l = v};
    return e;
}

static inline uint32_t kit_place(void *arg, const struct efx_bx *ref)
{
    struct kit *k = arg;
    if (ref->op == EFX_BX_AGG) {
        return k->conf.env_agg + ref->col;
    }
    return ref->src == EFX_BX_SRC_OUT ? k->conf.env_out + ref->col : ref->col;
}

static inline const struct efx_expr *kit_expr(struct kit *k, const struct efx_bx *bx)
{
    const struct efx_expr_map map = {.col = kit_place, .arg = k};
    const struct efx_expr *e;
    assert_int_equal(efx_expr_compile(&k->plan, bx, &map, &e), EFX_OK);
    return e;
}

/* ---- what comes out ---- */

static inline void kit_print(struct kit *k, const char *text)
{
    size_t n = strlen(text);
    assert_true(k->n_text + n < KIT_TEXT);
    memcpy(k->text + k->n_text, text, n + 1);
    k->n_text += n;
}

static inline void kit_print_slot(struct kit *k, const struct efx_col *c, uint32_t i)
{
    char buf[128] = "NULL";
    if (efx_bit(c->valid, i)) {
        switch (c->type) {
        case EFX_TYPE_INT: snprintf(buf, sizeof buf, "%d", ((const int32_t *)c->data)[i]); break;
        case EFX_TYPE_LONG:
            snprintf(buf, sizeof buf, "%lld", (long long)((const int64_t *)c->data)[i]);
            break;
        case EFX_TYPE_DOUBLE: snprintf(buf, sizeof buf, "%g", ((const double *)c->data)[i]); break;
        case EFX_TYPE_FLOAT:
            snprintf(buf, sizeof buf, "%g", (double)((const float *)c->data)[i]);
            break;
        case EFX_TYPE_BOOL: snprintf(buf, sizeof buf, "%d", ((const uint8_t *)c->data)[i]); break;
        case EFX_TYPE_STRING:
        case EFX_TYPE_BYTES:
        case EFX_TYPE_OBJECT: {
            const struct efx_cell *cell = &((const struct efx_cell *)c->data)[i];
            snprintf(buf, sizeof buf, "%.*s", (int)cell->len, (const char *)efx_cell_bytes(cell));
            break;
        }
        case EFX_TYPE_NONE: break;
        }
    }
    kit_print(k, buf);
}

static inline enum efx_rc kit_rows(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                                   const struct efx_rows *rows)
{
    struct kit *k = (struct kit *)(void *)to;
    (void)step;
    for (uint32_t i = rows->from; i < rows->until; i++) {
        if (!efx_bit(rows->b->sel, i)) {
            continue;
        }
        char buf[64];
        kit_print(k, " ");
        if (inlet == 1) {
            snprintf(buf, sizeof buf, "#%u ", rows->b->code[i]);
            kit_print(k, buf);
        }
        uint32_t n_cols = inlet == 1 ? 1 : rows->b->n_cols;
        for (uint32_t c = 0; c < n_cols; c++) {
            kit_print(k, c > 0 ? "," : "");
            kit_print_slot(k, &rows->b->cols[c], i);
        }
        snprintf(buf, sizeof buf, "@%lld", (long long)rows->b->ts_ms[i]);
        kit_print(k, buf);
    }
    return EFX_OK;
}

/* ---- opening ---- */

static inline const struct efx_agg_vt *kit_find_agg(const char *name, enum efx_type in)
{
    const struct efx_registry r = {.aggs = efx_aggs, .n_aggs = efx_n_aggs};
    const struct efx_agg_vt *vt = efx_registry_agg(&r, name, in);
    assert_non_null(vt);
    return vt;
}

static inline void kit_window(struct kit *k)
{
    const struct kit_query *q = &k->q;
    const struct efx_registry r = {.windows = efx_windows, .n_windows = efx_n_windows};
    if (q->window == NULL) {
        return;
    }
    k->conf.window = efx_registry_window(&r, q->window);
    assert_non_null(k->conf.window);
    k->conf.window_conf = k->window_conf;
    uint32_t n = 0;
    for (const struct efx_conf_key *key = k->conf.window->base.conf; key->name != NULL; key++) {
        void *at = (uint8_t *)k->window_conf + key->off;
        if (key->kind == EFX_CONF_COLUMNS) {
            k->key_col = KIT_A;
            *(struct efx_conf_cols *)at =
                (struct efx_conf_cols){q->session_by_a ? 1 : 0, &k->key_col};
        } else {
            *(int64_t *)at = n++ == 0 ? q->p1 : q->p2;
        }
    }
}

static inline enum efx_rc kit_create(struct kit *k)
{
    struct efx_op_open how = {.arena = &k->shard,
                              .mem = &k->mem.base,
                              .ctx = &k->ctx,
                              .n_out = 1,
                              .rank = efx_moment_rank(5, EFX_TIMER_OF_WINDOW),
                              .key_group = 77,
                              .kg = {k->kg.first, k->kg.last == 0 ? 1023 : k->kg.last}};
    struct efx_err err;
    enum efx_rc rc = efx_op_select_create(&how, &k->conf, &k->op, &err);
    if (rc != EFX_OK) {
        k->op = NULL;
        return rc;
    }
    k->op->out[0].rows = (struct efx_edge){kit_rows, (struct efx_op *)(void *)k, 0, 3};
    k->op->out[0].errors = (struct efx_edge){kit_rows, (struct efx_op *)(void *)k, 1, 0};
    return EFX_OK;
}

static inline void kit_op(struct kit *k)
{
    assert_int_equal(kit_create(k), EFX_OK);
}

static inline struct kit *kit_new(void)
{
    struct kit *k = efx_mem_libc.alloc(&efx_mem_libc, sizeof *k);
    memset(k, 0, sizeof *k);
    efx_arena_init(&k->plan, &efx_mem_libc, SIZE_MAX);
    efx_arena_init(&k->shard, &efx_mem_libc, SIZE_MAX);
    efx_ctx_init(&k->ctx, &efx_mem_libc);
    k->text = efx_mem_libc.alloc(&efx_mem_libc, KIT_TEXT);
    k->text[0] = 0;
    k->clk_ms = EFX_TS_NONE;
    k->mem = test_mem_make(UINT32_MAX);
    k->q = (struct kit_query){.current = true, .p2 = EFX_TS_NONE, .ttl_ms = -1};
    return k;
}

static inline const struct efx_expr **kit_exprs(struct kit *k, struct efx_bx **bx, uint32_t n)
{
    const struct efx_expr **e = EFX_NEW_N(&k->plan, const struct efx_expr *, n + 1);
    for (uint32_t i = 0; i < n; i++) {
        e[i] = kit_expr(k, bx[i]);
    }
    return e;
}

/* The query k->q is complete. */
static inline void kit_open(struct kit *k)
{
    static const enum efx_type types[] = {EFX_TYPE_STRING, EFX_TYPE_LONG, EFX_TYPE_DOUBLE};
    struct kit_query *q = &k->q;
    struct efx_select_conf *c = &k->conf;
    uint32_t n_in = KIT_COLS + (q->partitioned ? 2 : 0);
    *c = (struct efx_select_conf){
        .in = {KIT_COLS, types, q->partitioned},
        .kinds_in = q->kinds_in,
        .sets_in = q->sets_in,
        .n_group = q->n_group,
        .n_aggs = q->n_aggs,
        .env_agg = n_in,
        .env_out = n_in + q->n_aggs,
        .n_env = n_in + q->n_aggs + q->n_out,
        .n_out = q->n_out,
        .n_order = q->n_order,
        .limit = q->limited ? q->limit : -1,
        .offset = q->offset,
        .current = q->current,
        .expired = q->expired,
        .n_store = q->n_out,
        .group_ttl_ms = q->ttl_ms,
        .errors_read = true,
    };
    kit_window(k);
    c->group = kit_exprs(k, q->group, q->n_group);
    struct efx_select_agg *aggs = EFX_NEW_N(&k->plan, struct efx_select_agg, q->n_aggs + 1);
    for (uint32_t i = 0; i < q->n_aggs; i++) {
        struct efx_bx *arg = q->agg[i].arg, *filter = q->agg[i].filter;
        aggs[i].vt = kit_find_agg(q->agg[i].name, arg != NULL ? arg->type : EFX_TYPE_NONE);
        aggs[i].arg = arg != NULL ? kit_expr(k, arg) : NULL;
        aggs[i].filter = filter != NULL ? kit_expr(k, filter) : NULL;
    }
    c->aggs = aggs;
    c->out = kit_exprs(k, q->out, q->n_out);
    c->having = q->having != NULL ? kit_expr(k, q->having) : NULL;
    struct efx_select_order *order = EFX_NEW_N(&k->plan, struct efx_select_order, 2);
    for (uint32_t i = 0; i < q->n_order; i++) {
        order[i] = (struct efx_select_order){kit_expr(k, q->order[i].by), q->order[i].desc,
                                             q->order[i].nulls_first};
    }
    c->order = order;
    struct efx_bx *store[KIT_OUTS];
    bool *not_null = EFX_NEW_N(&k->plan, bool, KIT_OUTS);
    for (uint32_t i = 0; i < q->n_out; i++) {
        store[i] = kit_out(k, i, q->out[i]->type);
        if (q->narrow && i == 0) {
            store[i] = kit_bx(k, EFX_BX_NARROW, EFX_TYPE_INT, store[i], NULL);
            not_null[i] = true;
        }
    }
    c->store = kit_exprs(k, store, q->n_out);
    c->not_null = not_null;
    kit_op(k);
}

static inline void kit_close(struct kit *k)
{
    if (k->op != NULL) {
        k->op->vt->close(k->op);
    }
    assert_int_equal(k->mem.held_bytes, 0);
    for (uint32_t i = 0; i < k->n_saves; i++) {
        test_save_free(&k->saves[i]);
    }
    efx_mem_libc.free(&efx_mem_libc, k->text, KIT_TEXT);
    efx_ctx_fini(&k->ctx);
    efx_arena_fini(&k->shard);
    efx_arena_fini(&k->plan);
    efx_mem_libc.free(&efx_mem_libc, k, sizeof *k);
}

/* ---- steps ---- */

enum { KIT_STEP_MAX = 2048 };

struct kit_step {
    struct efx_step step;
    struct efx_batch b;
    struct efx_col cols[5];
    struct efx_cell a[KIT_STEP_MAX];
    int64_t v[KIT_STEP_MAX], birth[KIT_STEP_MAX], ts[KIT_STEP_MAX], clk[KIT_STEP_MAX];
    double d[KIT_STEP_MAX];
    int32_t copy[KIT_STEP_MAX];
    uint64_t valid[KIT_STEP_MAX / 64], set_end[KIT_STEP_MAX / 64];
    uint8_t kind[KIT_STEP_MAX];
    efx_moment moment[KIT_STEP_MAX];
};

static inline void kit_copy(struct kit *k, const char *a, uint64_t turn, int32_t *copy,
                            int64_t *birth)
{
    uint32_t i = 0;
    while (i < k->n_copies && strcmp(k->copy[i].a, a) != 0) {
        i++;
    }
    if (i == k->n_copies) {
        assert_true(i < KIT_COPIES);
        snprintf(k->copy[i].a, sizeof k->copy[i].a, "%s", a);
        k->copy[i].birth = (int64_t)((turn + 1) << 10);
        k->n_copies++;
    }
    *copy = (int32_t)i + k->copy_shift;
    *birth = k->copy[i].birth;
}

/* One step of n events, row by row or at once. */
static inline enum efx_rc kit_try(struct kit *k, const struct kit_event *e, uint32_t n, bool by_row)
{
    struct kit_step *s = efx_mem_libc.alloc(&efx_mem_libc, sizeof *s);
    memset(s, 0, sizeof *s);
    uint32_t rows = 0;
    int64_t base = k->clk_ms == EFX_TS_NONE ? e[0].ts_ms : k->clk_ms, clk = base;
    for (uint32_t i = 0; i < n; i++) {
        clk = e[i].ts_ms > clk ? e[i].ts_ms : clk;
        if (e[i].a == NULL) {
            continue;
        }
        uint32_t r = rows++;
        s->a[r] = efx_cell_make(e[i].a, (uint32_t)strlen(e[i].a));
        s->v[r] = e[i].v == KIT_NULL ? 0 : e[i].v;
        s->d[r] = (double)s->v[r] / 2;
        efx_bit_put(s->valid, r, e[i].v != KIT_NULL);
        s->ts[r] = e[i].ts_ms;
        s->clk[r] = clk;
        s->kind[r] = k->marks == NULL || k->marks[i].kind == 0 ? EFX_ROW_CURRENT : k->marks[i].kind;
        efx_bit_put(s->set_end, r, k->marks != NULL && k->marks[i].set_end);
        s->moment[r] = k->marks != NULL && k->marks[i].by_timer
                           ? efx_moment_timer(clk - base, 0)
                           : efx_moment_event(clk - base, 0, i);
        kit_copy(k, e[i].a, k->n_turns + i, &s->copy[r], &s->birth[r]);
    }
    s->cols[0] = (struct efx_col){EFX_TYPE_STRING, s->a, NULL};
    s->cols[1] = (struct efx_col){EFX_TYPE_LONG, s->v, s->valid};
    s->cols[2] = (struct efx_col){EFX_TYPE_DOUBLE, s->d, s->valid};
    s->cols[3] = (struct efx_col){EFX_TYPE_INT, s->copy, NULL};
    s->cols[4] = (struct efx_col){EFX_TYPE_LONG, s->birth, NULL};
    s->step = (struct efx_step){.no = k->n_steps++,
                                .first_turn = k->n_turns,
                                .clk_base_ms = base,
                                .clk_last_ms = clk,
                                .what = EFX_STEP_EVENTS,
                                .virtual_clock = !k->q.system_clock,
                                .n_turns = (uint16_t)n};
    s->b = (struct efx_batch){.n_rows = rows,
                              .n_cols = KIT_COLS,
                              .n_hidden = k->q.partitioned ? 2 : 0,
                              .cols = s->cols,
                              .ts_ms = s->ts,
                              .clk_ms = s->clk,
                              .moment = s->moment,
                              .kind = k->q.kinds_in ? s->kind : NULL,
                              .set_end = k->q.sets_in ? s->set_end : NULL};
    enum efx_rc rc = EFX_OK;
    for (uint32_t from = 0, until; from < rows && rc == EFX_OK; from = until) {
        until = by_row ? from + 1 : rows;
        struct efx_rows in = {&s->b, from, until};
        rc = k->op->vt->rows(k->op, 0, &s->step, &in);
    }
    if (rc == EFX_OK && k->op->vt->next_due_ms(k->op) <= clk) {
        rc = k->op->vt->finish(k->op, &s->step, EFX_MOMENT_END);
    }
    k->clk_ms = clk;
    k->n_turns += n;
    efx_arena_reset(&k->ctx.step);
    efx_mem_libc.free(&efx_mem_libc, s, sizeof *s);
    return rc;
}

static inline void kit_step(struct kit *k, const struct kit_event *e, uint32_t n, bool by_row)
{
    assert_int_equal(kit_try(k, e, n, by_row), EFX_OK);
}

/* One event a step, "|" behind each. */
static inline void kit_feed(struct kit *k, const struct kit_event *e, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        kit_step(k, &e[i], 1, true);
        kit_print(k, " |");
    }
}

static inline void kit_expect(struct kit *k, const char *text)
{
    assert_string_equal(k->text, text);
    k->n_text = 0;
    k->text[0] = 0;
}

#define KIT_FEED(k, ...)                                                                           \
    do {                                                                                           \
        const struct kit_event list_[] = {__VA_ARGS__};                                            \
        kit_feed((k), list_, (uint32_t)(sizeof list_ / sizeof list_[0]));                          \
    } while (0)

/* ---- saves ---- */

/* Marks and saves whole (slices of a few rows). */
static inline void kit_save(struct kit *k, uint32_t budget)
{
    struct efx_mark mark = {k->n_saves + 1, k->n_saves == 0};
    struct test_save *s = &k->saves[k->n_saves++];
    *s = test_save_make();
    k->op->vt->mark(k->op, &mark);
    enum efx_rc rc = k->op->vt->slice(k->op, 0, &s->base);
    for (; rc == EFX_AGAIN;) {
        rc = k->op->vt->slice(k->op, budget, &s->base);
    }
    assert_int_equal(rc, EFX_DONE);
}

/* A new instance from what was saved. */
static inline void kit_restart(struct kit *k)
{
    struct efx_err err;
    k->op->vt->close(k->op);
    kit_op(k);
    for (uint32_t i = 0; i < k->n_saves; i++) {
        struct efx_reader r = test_save_chunk(&k->saves[i]);
        assert_int_equal(k->op->vt->load(k->op, (struct efx_kg_range){0, 1023}, &r, &err), EFX_OK);
    }
    assert_int_equal(k->op->vt->load_end(k->op, &err), EFX_OK);
    for (uint32_t i = 0; i < k->n_saves; i++) {
        test_save_free(&k->saves[i]);
    }
    k->n_saves = 0;
    k->copy_shift = (k->copy_shift + 7) % 20; /* copies have other ids now */
}

#endif /* SELECT_KIT_H */
