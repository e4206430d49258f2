/* Joins: the examples of the reference, then random runs against nested loops over arrays. */
#include "join_kit.h"

#ifdef KIT_REAL_WINDOWS /* by hand: the windows of engine/window in place of the kit's */
#include "efx_windows.h"
#endif

enum { EVENTS_MAX = 400, PAIRS_MAX = 20000 };

struct kind {    /* of a side in the tests */
    char window; /* 'l' length, 't' time, 0: holds all, '-': holds nothing */
    int64_t n;
};

struct setting {
    struct kind side[2];
    bool self, keyed, residual, outer[2], triggers[2], expired, partitioned;
    bool bare; /* batches bring no moments */
    int64_t within;
};

/* ---- the model: arrays and loops ---- */

struct m_row {
    struct kit_event e;
    bool left; /* its window or side */
    int64_t due;
};

struct m_pair {
    int32_t at[2]; /* row of each side; -1 = NULL */
    bool gone;
};

struct model {
    const struct setting *s;
    struct m_row row[2][EVENTS_MAX];
    uint32_t n_rows[2];
    struct m_pair pair[PAIRS_MAX];
    uint32_t n_pairs;
    struct kit_text out;
    int64_t clk;
};

static void m_put_side(struct model *m, uint32_t no, int32_t at)
{
    if (at < 0) {
        kit_put(&m->out, "NULL,NULL,NULL");
        return;
    }
    const struct kit_event *e = &m->row[no][at].e;
    char text[32];
    kit_text_of(e->v, text);
    kit_put(&m->out, e->k == KIT_NULL ? "NULL," : "%lld,", (long long)e->k);
    kit_put(&m->out, e->v == KIT_NULL ? "NULL,NULL" : "%lld,%s", (long long)e->v, text);
}

static void m_put(struct model *m, char kind, int64_t ts, const int32_t at[2], uint32_t copy,
                  bool last)
{
    kit_put(&m->out, "%c%lld ", kind, (long long)ts);
    m_put_side(m, 0, at[0]);
    kit_put(&m->out, "|");
    m_put_side(m, 1, at[1]);
    if (m->s->partitioned) {
        kit_put(&m->out, "|%u,%d", copy, 100 - (int)copy);
    }
    kit_put(&m->out, "%s\n", last ? "/" : "");
}

static void m_leave(struct model *m, uint32_t no, uint32_t at, int64_t clk)
{
    uint32_t last = 0;
    m->row[no][at].left = true;
    for (int pass = 0; m->s->expired && pass < 2; pass++) {
        for (uint32_t p = 0; p < m->n_pairs; p++) {
            struct m_pair *x = &m->pair[p];
            if (x->gone || x->at[no] != (int32_t)at) {
                continue;
            }
            if (pass == 0) {
                last = p;
            } else {
                m_put(m, '-', clk, x->at, m->row[no][at].e.copy, p == last);
                x->gone = true;
            }
        }
    }
}

/* Time windows until clk: by due, birth, side, arrival. */
static void m_timers(struct model *m, int64_t clk)
{
    for (;;) {
        const struct m_row *best = NULL;
        uint32_t best_no = 0;
        for (uint32_t no = 0; no < 2; no++) {
            for (uint32_t i = 0; m->s->side[no].window == 't' && i < m->n_rows[no]; i++) {
                const struct m_row *r = &m->row[no][i];
                bool before = best == NULL || r->due < best->due ||
                              (r->due == best->due && r->e.copy > best->e.copy);
                if (!r->left && r->due <= clk && before) {
                    best = r;
                    best_no = no;
                }
            }
        }
        if (best == NULL) {
            return;
        }
        m_leave(m, best_no, (uint32_t)(best - m->row[best_no]), best->due);
    }
}

static bool m_match(const struct model *m, const struct kit_event *l, const struct kit_event *r)
{
    const struct setting *s = m->s;
    int64_t apart = l->ts > r->ts ? l->ts - r->ts : r->ts - l->ts;
    return (!s->partitioned || l->copy == r->copy) &&
           (!s->keyed || (l->k == r->k && l->k != KIT_NULL)) &&
           (!s->residual || (l->v != KIT_NULL && r->v != KIT_NULL && l->v < r->v)) &&
           (s->within < 0 || apart <= s->within);
}

static void m_add_pair(struct model *m, uint32_t no, uint32_t own, int32_t other)
{
    struct m_pair p = {.at = {-1, -1}};
    p.at[no] = (int32_t)own;
    p.at[1 - no] = other;
    assert_true(m->n_pairs < PAIRS_MAX);
    m->pair[m->n_pairs++] = p;
}

static void m_role(struct model *m, uint32_t no, const struct kit_event *e)
{
    const struct setting *s = m->s;
    uint32_t own = m->n_rows[no], n_same = 0, oldest = 0;
    for (uint32_t i = own; i-- > 0;) {
        if (!m->row[no][i].left && (!s->partitioned || m->row[no][i].e.copy == e->copy)) {
            n_same++;
            oldest = i;
        }
    }
    if (s->side[no].window == 'l' && n_same == s->side[no].n) {
        m_leave(m, no, oldest, m->clk);
    }
    m->row[no][own] =
        (struct m_row){.e = *e, .due = e->ts + s->side[no].n, .left = s->side[no].window == '-'};
    m->n_rows[no]++;
    uint32_t from = m->n_pairs;
    for (uint32_t i = 0; s->triggers[no] && i < m->n_rows[1 - no]; i++) {
        const struct m_row *r = &m->row[1 - no][i];
        bool dropped =
            s->side[1 - no].window == 0 && s->within >= 0 && r->e.ts + s->within < m->clk;
        const struct kit_event *l = no == 0 ? e : &r->e, *x = no == 0 ? &r->e : e;
        if (!r->left && !dropped && m_match(m, l, x)) {
            m_add_pair(m, no, own, (int32_t)i);
        }
    }
    if (s->triggers[no] && s->outer[no] && m->n_pairs == from) {
        m_add_pair(m, no, own, -1);
    }
    for (uint32_t p = from; p < m->n_pairs; p++) {
        m_put(m, '+', e->ts, m->pair[p].at, e->copy, p + 1 == m->n_pairs);
    }
    if (s->side[no].window == 't' && m->row[no][own].due <= m->clk) {
        m_leave(m, no, own, m->clk);
    }
}

static void m_event(struct model *m, const struct kit_event *e)
{
    m->clk = e->ts > m->clk ? e->ts : m->clk;
    m_timers(m, m->clk);
    if (m->s->self) {
        m_role(m, 0, e);
        m_role(m, 1, e);
    } else {
        m_role(m, e->inlet, e);
    }
}

/* ---- the engine ---- */

struct bench {
    struct efx_arena arena;
    struct efx_ctx ctx;
    struct test_mem mem;
    struct efx_join_conf conf;
    struct kit_window_conf window[2];
    struct efx_op *op;
    struct efx_op sink;
    struct kit_text out;
    int64_t clk;
    uint64_t turn;
    uint64_t step_no;
    struct test_save chain[64];
    bool is_base[64];
    uint32_t n_chain;
};

static const enum efx_type kit_types[KIT_COLS] = {EFX_TYPE_LONG, EFX_TYPE_LONG, EFX_TYPE_STRING};
static const enum efx_type key_types[1] = {EFX_TYPE_LONG};
static struct bench *the_bench;

static enum efx_rc sink_push(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                             const struct efx_rows *rows)
{
    (void)to;
    (void)inlet;
    (void)step;
    kit_put_rows(&the_bench->out, rows);
    return EFX_OK;
}

static const struct efx_window_vt *window_vt(const char *name)
{
#ifdef KIT_REAL_WINDOWS
    for (uint32_t i = 0; i < efx_n_windows; i++) {
        if (strcmp(efx_windows[i].name, name) == 0) {
            return efx_windows[i].vt;
        }
    }
#endif
    return strcmp(name, "time") == 0 ? &kit_time : &kit_length;
}

static void conf_make(struct bench *x, const struct setting *s)
{
    struct efx_join_conf *c = &x->conf;
    *c = (struct efx_join_conf){.self = s->self,
                                .n_eq = s->keyed ? 1 : 0,
                                .key_types = key_types,
                                .within_ms = s->within,
                                .want_expired = s->expired};
    for (uint32_t no = 0; no < 2; no++) {
        const struct efx_expr **keys = EFX_NEW_N(&x->arena, const struct efx_expr *, 1);
        keys[0] = kit_ref(&x->arena, 0, 0);
        x->window[no].n = s->side[no].n;
        char w = s->side[no].window;
        c->side[no] = (struct efx_join_side){.in = {KIT_COLS, kit_types, s->partitioned},
                                             .window = w == 'l'   ? window_vt("length")
                                                       : w == 't' ? window_vt("time")
                                                                  : NULL,
                                             .window_conf = &x->window[no],
                                             .holds = w != '-',
                                             .triggers = s->triggers[no],
                                             .outer = s->outer[no],
                                             .keys = keys,
                                             .ttl_ms = -1};
    }
    if (s->residual) {
        c->residual = kit_expr(&x->arena, kit_2(&x->arena, EFX_BX_LT, EFX_TYPE_BOOL,
                                                kit_col(&x->arena, 0, 1, EFX_TYPE_LONG),
                                                kit_col(&x->arena, 1, 1, EFX_TYPE_LONG)));
    }
}

static void op_open(struct bench *x)
{
    struct efx_op_open how = {.arena = &x->arena,
                              .mem = &x->mem.base,
                              .ctx = &x->ctx,
                              .n_out = 1,
                              .rank = 4,
                              .key_group = 77,
                              .kg = {0, 1023}};
    struct efx_err err;
    assert_int_equal(efx_op_join_create(&how, &x->conf, &x->op, &err), EFX_OK);
    x->op->out[0].rows = (struct efx_edge){
        .push = sink_push, .to = &x->sink, .needs = EFX_NEEDS_MOMENT | EFX_NEEDS_SUB};
}

static struct bench *bench_open(const struct setting *s)
{
    struct bench *x = calloc(1, sizeof *x);
    x->mem = test_mem_make(UINT32_MAX);
    efx_arena_init(&x->arena, &efx_mem_libc, SIZE_MAX);
    efx_ctx_init(&x->ctx, &efx_mem_libc);
    x->out.p = calloc(1, KIT_TEXT_BYTES);
    the_bench = x;
    conf_make(x, s);
    op_open(x);
    return x;
}

static void bench_close(struct bench *x)
{
    x->op->vt->close(x->op);
    assert_int_equal(x->mem.held_bytes, 0);
    for (uint32_t i = 0; i < x->n_chain; i++) {
        test_save_free(&x->chain[i]);
    }
    efx_ctx_fini(&x->ctx);
    efx_arena_fini(&x->arena);
    free(x->out.p);
    free(x);
}

/* One step: runs of one inlet, a run cut again where the dice say so. */
static void step_run(struct bench *x, const struct setting *s, const struct kit_event *e,
                     uint32_t n, uint64_t *dice)
{
    static struct kit_batch batch[2];
    struct efx_step step = {.no = ++x->step_no,
                            .what = EFX_STEP_EVENTS,
                            .virtual_clock = true,
                            .clk_base_ms = x->clk,
                            .first_turn = x->turn};
    uint32_t place[64];
    kit_batch_init(&batch[0], s->partitioned);
    kit_batch_init(&batch[1], s->partitioned);
    for (uint32_t i = 0; i < n; i++) {
        x->clk = e[i].ts > x->clk ? e[i].ts : x->clk;
        struct kit_batch *b = &batch[e[i].inlet];
        place[i] = b->b.n_rows;
        kit_batch_add(b, &e[i], x->clk, efx_moment_event(x->clk - step.clk_base_ms, 0, i));
        b->b.moment = s->bare ? NULL : b->moment;
    }
    step.clk_last_ms = x->clk;
    for (uint32_t i = 0, until; i < n; i = until) {
        until = i + 1;
        while (until < n && e[until].inlet == e[i].inlet && efx_test_rand(dice) % 5 != 0) {
            until++;
        }
        struct efx_rows rows = {&batch[e[i].inlet].b, place[i], place[until - 1] + 1};
        assert_int_equal(x->op->rows(x->op, e[i].inlet, &step, &rows), EFX_OK);
        assert_int_equal(x->ctx.used_bytes, 0);
    }
    assert_int_equal(x->op->vt->finish(x->op, &step, EFX_MOMENT_END), EFX_OK);
    x->turn += n;
}

/* A checkpoint; with `restore`, the operator is made anew from the chain of all of them. */
static void checkpoint(struct bench *x, bool base, bool restore)
{
    struct efx_mark mark = {x->n_chain + 1, base};
    struct test_save *save = &x->chain[x->n_chain++];
    assert_true(x->n_chain < 64);
    *save = test_save_make();
    x->op->vt->mark(x->op, &mark);
    assert_true(x->op->vt->slice(x->op, 0, &save->base) >= 0);
    while (x->op->vt->slice(x->op, 3, &save->base) != EFX_DONE) {
    }
    if (!restore) {
        return;
    }
    uint32_t first = x->n_chain - 1;
    while (first > 0 && !x->is_base[first]) {
        first--;
    }
    x->op->vt->close(x->op);
    op_open(x);
    struct efx_err err = {0};
    for (uint32_t i = first; i < x->n_chain; i++) {
        struct efx_reader r = test_save_chunk(&x->chain[i]);
        assert_int_equal(x->op->vt->load(x->op, (struct efx_kg_range){0, 1023}, &r, &err), EFX_OK);
    }
    assert_int_equal(x->op->vt->load_end(x->op, &err), EFX_OK);
}

/* ---- examples ---- */

struct feed {
    struct bench *x;
    const struct setting *s;
    uint64_t dice;
};

static void feed(struct feed *f, uint32_t inlet, int64_t ts, int64_t k, int64_t v)
{
    struct kit_event e = {.inlet = inlet, .ts = ts, .k = k, .v = v};
    step_run(f->x, f->s, &e, 1, &f->dice);
}

static const char *rows_of(struct feed *f)
{
    static char text[4096];
    strcpy(text, f->x->out.p);
    f->x->out.n = 0;
    f->x->out.p[0] = 0;
    return text;
}

static void example_44__pairs_leave_with_their_first_member(void **state)
{
    (void)state;
    struct setting s = {.side = {{'l', 2}, {'l', 2}},
                        .keyed = true,
                        .expired = true,
                        .triggers = {true, true},
                        .within = -1};
    struct feed f = {bench_open(&s), &s, 1};
    feed(&f, 0, 1, 1, 2);
    assert_string_equal(rows_of(&f), "");
    feed(&f, 1, 2, 1, 10);
    assert_string_equal(rows_of(&f), "+2 1,2,s2|1,10,s10/\n");
    feed(&f, 0, 3, 1, 4);
    assert_string_equal(rows_of(&f), "+3 1,4,s4|1,10,s10/\n");
    feed(&f, 0, 4, 2, 6);
    assert_string_equal(rows_of(&f), "-4 1,2,s2|1,10,s10/\n");
    feed(&f, 1, 5, 2, 20);
    assert_string_equal(rows_of(&f), "+5 2,6,s6|2,20,s20/\n");
    feed(&f, 1, 6, 1, 30);
    assert_string_equal(rows_of(&f), "-6 1,4,s4|1,10,s10/\n+6 1,4,s4|1,30,s30/\n");
    bench_close(f.x);
}

static void example_45__left_join_gives_nulls_once(void **state)
{
    (void)state;
    struct setting s = {.side = {{'l', 5}, {'l', 5}},
                        .keyed = true,
                        .outer = {true, false},
                        .triggers = {true, true},
                        .within = -1};
    struct feed f = {bench_open(&s), &s, 1};
    feed(&f, 0, 1, 1, 2);
    assert_string_equal(rows_of(&f), "+1 1,2,s2|NULL,NULL,NULL/\n");
    feed(&f, 1, 2, 1, 10);
    assert_string_equal(rows_of(&f), "+2 1,2,s2|1,10,s10/\n");
    feed(&f, 1, 3, 26, 8);
    assert_string_equal(rows_of(&f), "");
    feed(&f, 0, 4, 2, 2);
    assert_string_equal(rows_of(&f), "+4 2,2,s2|NULL,NULL,NULL/\n");
    bench_close(f.x);
}

static void example_46__rows_come_in_order_of_the_other_side(void **state)
{
    (void)state;
    struct setting s = {.side = {{'l', 2}, {'l', 2}},
                        .keyed = true,
                        .expired = true,
                        .triggers = {true, true},
                        .within = -1};
    struct feed f = {bench_open(&s), &s, 1};
    feed(&f, 0, 1, 1, 2);
    feed(&f, 1, 2, 1, 10);
    feed(&f, 0, 3, 1, 4);
    rows_of(&f);
    feed(&f, 1, 4, 1, 20);
    assert_string_equal(rows_of(&f), "+4 1,2,s2|1,20,s20\n+4 1,4,s4|1,20,s20/\n");
    feed(&f, 0, 5, 1, 6);
    assert_string_equal(rows_of(&f), "-5 1,2,s2|1,10,s10\n-5 1,2,s2|1,20,s20/\n"
                                     "+5 1,6,s6|1,10,s10\n+5 1,6,s6|1,20,s20/\n");
    bench_close(f.x);
}

static void example_47__only_the_unidirectional_side_gives_rows(void **state)
{
    (void)state;
    struct setting s = {
        .side = {{'-', 0}, {'l', 2}}, .keyed = true, .triggers = {true, false}, .within = -1};
    struct feed f = {bench_open(&s), &s, 1};
    feed(&f, 1, 1, 1, 10);
    feed(&f, 0, 2, 1, 2);
    assert_string_equal(rows_of(&f), "+2 1,2,s2|1,10,s10/\n");
    feed(&f, 1, 3, 1, 12);
    assert_string_equal(rows_of(&f), "");
    feed(&f, 0, 4, 1, 4);
    assert_string_equal(rows_of(&f), "+4 1,4,s4|1,10,s10\n+4 1,4,s4|1,12,s12/\n");
    bench_close(f.x);
}

static void example_48__in_a_self_join_a_row_meets_itself_once(void **state)
{
    (void)state;
    struct setting s = {
        .side = {{'l', 3}, {'l', 3}}, .self = true, .triggers = {true, true}, .within = -1};
    struct feed f = {bench_open(&s), &s, 1};
    feed(&f, 0, 1, 1, 2);
    assert_string_equal(rows_of(&f), "+1 1,2,s2|1,2,s2/\n");
    feed(&f, 0, 2, 1, 4);
    assert_string_equal(rows_of(&f), "+2 1,4,s4|1,2,s2/\n+2 1,2,s2|1,4,s4\n+2 1,4,s4|1,4,s4/\n");
    bench_close(f.x);
}

static void example_49__within_is_decided_by_timestamps(void **state)
{
    (void)state;
    struct setting s = {.keyed = true, .triggers = {true, true}, .within = 5000};
    struct feed f = {bench_open(&s), &s, 1};
    feed(&f, 0, 1000, 1, 2);
    feed(&f, 1, 6000, 1, 8);
    assert_string_equal(rows_of(&f), "+6000 1,2,s2|1,8,s8/\n");
    feed(&f, 1, 6001, 1, 10);
    assert_string_equal(rows_of(&f), "");
    bench_close(f.x);
}

/* ---- random ---- */

static struct kind kind_make(uint64_t *dice)
{
    switch (efx_test_rand(dice) % 5) {
    case 0:
    case 1: return (struct kind){'l', 1 + (int64_t)(efx_test_rand(dice) % 6)};
    case 2:
    case 3: return (struct kind){'t', 1 + (int64_t)(efx_test_rand(dice) % 30)};
    default: return (struct kind){0, 0};
    }
}

static struct setting setting_make(uint64_t *dice)
{
    uint64_t r = efx_test_rand(dice);
    struct setting s = {.side = {kind_make(dice), kind_make(dice)},
                        .self = r % 3 == 0,
                        .keyed = (r >> 8) % 4 != 0,
                        .residual = (r >> 12) % 2 == 0,
                        .outer = {(r >> 16) % 2 == 0, (r >> 17) % 2 == 0},
                        .triggers = {true, true},
                        .expired = (r >> 20) % 2 == 0,
                        .partitioned = (r >> 24) % 4 == 0,
                        .bare = (r >> 26) % 4 == 0,
                        .within = -1};
    s.side[1] = (r >> 50) % 3 == 0 ? s.side[0] : s.side[1];
    if ((r >> 28) % 3 == 0 || s.side[0].window == 0 || s.side[1].window == 0) {
        s.within = (int64_t)(r >> 32) % 20;
    }
    if ((r >> 40) % 4 == 0) { /* only one side triggers */
        uint32_t no = (r >> 44) % 2;
        s.triggers[1 - no] = false;
        s.outer[1 - no] = false;
        if ((r >> 45) % 2 == 0) {
            s.side[no] = (struct kind){'-', 0};
        }
    }
    return s;
}

static uint32_t events_make(const struct setting *s, struct kit_event *e, uint64_t *dice)
{
    uint32_t n = 50 + (uint32_t)(efx_test_rand(dice) % 150);
    int64_t ts = 1000;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t r = efx_test_rand(dice);
        ts += (int64_t)(r % 4);
        e[i] = (struct kit_event){.inlet = s->self ? 0 : (r >> 8) % 3 == 0,
                                  .ts = ts,
                                  .k = (r >> 12) % 12 == 0 ? KIT_NULL : (int64_t)(r >> 16) % 4,
                                  .v = (r >> 20) % 12 == 0 ? KIT_NULL : (int64_t)(r >> 24) % 9,
                                  .copy = s->partitioned ? (uint32_t)(r >> 28) % 3 : 0};
        if ((r >> 32) % 8 == 0) { /* late */
            e[i].ts -= (int64_t)(r >> 36) % 25;
        }
    }
    return n;
}

static void run_random(uint64_t seed, bool saves)
{
    uint64_t dice = seed;
    static struct model m;
    struct setting s = setting_make(&dice);
    struct kit_event e[EVENTS_MAX];
    uint32_t n = events_make(&s, e, &dice);
    memset(&m, 0, sizeof m);
    m.s = &s;
    m.out.p = calloc(1, KIT_TEXT_BYTES);
    for (uint32_t i = 0; i < n; i++) {
        m_event(&m, &e[i]);
    }
    struct bench *x = bench_open(&s);
    for (uint32_t i = 0; i < n;) {
        uint32_t len = 1 + (uint32_t)(efx_test_rand(&dice) % 40);
        len = len < n - i ? len : n - i;
        step_run(x, &s, e + i, len, &dice);
        i += len;
        if (saves && efx_test_rand(&dice) % 3 == 0) {
            bool base = x->n_chain == 0 || efx_test_rand(&dice) % 3 == 0;
            x->is_base[x->n_chain] = base;
            checkpoint(x, base, efx_test_rand(&dice) % 2 == 0);
        }
    }
    if (strcmp(x->out.p, m.out.p) != 0) {
        size_t at = 0;
        while (x->out.p[at] == m.out.p[at]) {
            at++;
        }
        at = at > 300 ? at - 300 : 0;
        print_error(
            "seed %llu sides %c%lld %c%lld self %d keyed %d residual %d outer %d%d triggers "
            "%d%d expired %d part %d within %lld\n--- engine\n%.600s\n--- model\n%.600s\n",
            (unsigned long long)seed, s.side[0].window ? s.side[0].window : '0',
            (long long)s.side[0].n, s.side[1].window ? s.side[1].window : '0',
            (long long)s.side[1].n, s.self, s.keyed, s.residual, s.outer[0], s.outer[1],
            s.triggers[0], s.triggers[1], s.expired, s.partitioned, (long long)s.within,
            x->out.p + at, m.out.p + at);
        fail();
    }
    bench_close(x);
    free(m.out.p);
}

static void random_joins__give_the_rows_of_nested_loops(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        run_random(seed, false);
    }
}

static void random_joins__go_on_after_restores(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1300; seed++) {
        run_random(seed, true);
    }
}

/* More partners than fit into a batch: one row set, ended once. */
static void a_row_with_many_partners__is_one_row_set(void **state)
{
    (void)state;
    struct setting s = {.side = {{0, 0}, {0, 0}},
                        .keyed = true,
                        .residual = true,
                        .outer = {true, true},
                        .triggers = {true, true},
                        .within = 1000000};
    struct feed f = {bench_open(&s), &s, 1};
    for (uint32_t i = 0; i < 9000; i++) {
        feed(&f, 1, 1000, 1, i < 5000 ? 4 : 2);
        f.x->out.n = 0;
    }
    feed(&f, 0, 1001, 1, 2);
    uint32_t n_rows = 0, n_ends = 0;
    for (const char *p = f.x->out.p; *p != 0; p++) {
        n_rows += *p == '\n';
        n_ends += *p == '/';
    }
    assert_int_equal(n_rows, 5000);
    assert_int_equal(n_ends, 1);
    assert_string_equal(f.x->out.p + f.x->out.n - 2, "/\n");
    bench_close(f.x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_44__pairs_leave_with_their_first_member),
        cmocka_unit_test(example_45__left_join_gives_nulls_once),
        cmocka_unit_test(example_46__rows_come_in_order_of_the_other_side),
        cmocka_unit_test(example_47__only_the_unidirectional_side_gives_rows),
        cmocka_unit_test(example_48__in_a_self_join_a_row_meets_itself_once),
        cmocka_unit_test(example_49__within_is_decided_by_timestamps),
        cmocka_unit_test(a_row_with_many_partners__is_one_row_set),
        cmocka_unit_test(random_joins__give_the_rows_of_nested_loops),
        cmocka_unit_test(random_joins__go_on_after_restores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
