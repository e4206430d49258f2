/* Tables: the examples of the reference, then random statements against an array of rows. */
#include "join_kit.h"

enum { ROWS_MAX = 600, PORTS = 6, EVENTS_MAX = 400 };
enum { INSERT, UPSERT, UPDATE, DELETE, LOOKUP, MOVE }; /* inlets */

struct setting {
    bool primary, unique, index, not_null;
    bool rest[PORTS], keyed[PORTS], outer, table_first, sets_all;
};

/* ---- the model ---- */

struct m_row {
    int64_t col[2]; /* k, v */
    int64_t text;   /* s is the text of this number; KIT_NULL = NULL */
};

struct model {
    const struct setting *s;
    struct m_row row[ROWS_MAX];
    uint32_t n;
    uint64_t n_duplicates;
    struct kit_text out, errors;
};

static void m_put_values(struct kit_text *t, const struct m_row *r)
{
    char text[32];
    if (r == NULL) {
        kit_put(t, "NULL,NULL,NULL");
        return;
    }
    for (uint32_t c = 0; c < 2; c++) {
        kit_put(t, r->col[c] == KIT_NULL ? "NULL," : "%lld,", (long long)r->col[c]);
    }
    kit_text_of(r->text, text);
    kit_put(t, "%s", r->text == KIT_NULL ? "NULL" : text);
}

static struct m_row m_of(const struct kit_event *e)
{
    return (struct m_row){{e->k, e->v}, e->v};
}

static bool m_matches(const struct model *m, uint32_t port, const struct kit_event *e,
                      const struct m_row *r)
{
    const struct setting *s = m->s;
    bool key = !s->keyed[port] || (e->k != KIT_NULL && e->k == r->col[0]);
    bool rest = !s->rest[port] || (e->v != KIT_NULL && r->col[1] != KIT_NULL && r->col[1] < e->v);
    return key && rest;
}

static bool m_null(const struct model *m, const struct m_row *r)
{
    return (m->s->primary && r->col[0] == KIT_NULL) || (m->s->not_null && r->col[1] == KIT_NULL);
}

static bool m_taken(const struct model *m, const struct m_row *r, const struct m_row *but)
{
    for (uint32_t i = 0; i < m->n; i++) {
        const struct m_row *x = &m->row[i];
        if (x != but && ((m->s->primary && x->col[0] == r->col[0]) ||
                         (m->s->unique && x->col[1] == r->col[1] && r->col[1] != KIT_NULL))) {
            return true;
        }
    }
    return false;
}

static void m_error(struct model *m, const struct kit_event *e)
{
    struct m_row r = m_of(e);
    kit_put(&m->errors, "3102 ");
    m_put_values(&m->errors, &r);
    kit_put(&m->errors, "\n");
}

static void m_insert(struct model *m, const struct kit_event *e)
{
    struct m_row r = m_of(e);
    if (m_null(m, &r)) {
        m_error(m, e);
    } else if (m_taken(m, &r, NULL)) {
        m->n_duplicates++;
    } else {
        assert_true(m->n < ROWS_MAX);
        m->row[m->n++] = r;
    }
}

static struct m_row m_changed(const struct model *m, uint32_t port, const struct kit_event *e,
                              struct m_row r)
{
    if (port == UPSERT) {
        struct m_row new = m_of(e);
        new.col[0] = m->s->sets_all ? new.col[0] : r.col[0];
        return new;
    }
    if (port == MOVE) {
        r.col[0] = e->v;
        return r;
    }
    r.col[1] = r.col[1] == KIT_NULL || e->v == KIT_NULL ? KIT_NULL : r.col[1] + e->v;
    r.text = e->v;
    return r;
}

static void m_write(struct model *m, uint32_t port, const struct kit_event *e)
{
    uint32_t match[ROWS_MAX], n = 0;
    bool failed = false;
    for (uint32_t i = 0; i < m->n; i++) {
        if (m_matches(m, port, e, &m->row[i])) {
            match[n++] = i;
        }
    }
    for (uint32_t i = 0; port != DELETE && i < n; i++) {
        struct m_row *r = &m->row[match[i]];
        struct m_row new = m_changed(m, port, e, *r);
        bool nulls = (m->s->primary && new.col[0] == KIT_NULL) ||
                     (m->s->not_null && port != MOVE && new.col[1] == KIT_NULL);
        failed = failed || nulls;
        if (!nulls && m_taken(m, &new, r)) {
            m->n_duplicates++;
        } else if (!nulls) {
            *r = new;
        }
    }
    for (uint32_t i = n; port == DELETE && i-- > 0;) {
        memmove(&m->row[match[i]], &m->row[match[i] + 1], (m->n - match[i] - 1) * sizeof m->row[0]);
        m->n--;
    }
    if (failed) {
        m_error(m, e);
    }
    if (port == UPSERT && n == 0) {
        m_insert(m, e);
    }
}

static void m_lookup(struct model *m, const struct kit_event *e)
{
    const struct m_row own = m_of(e), *last = NULL;
    for (int pass = 0; pass < 2; pass++) {
        bool any = false;
        for (uint32_t i = 0; i <= m->n; i++) {
            const struct m_row *r = i < m->n ? &m->row[i] : NULL;
            if (r != NULL ? !m_matches(m, LOOKUP, e, r) : any || !m->s->outer) {
                continue;
            }
            any = true;
            if (pass == 0) {
                last = r;
                continue;
            }
            kit_put(&m->out, "+%lld ", (long long)e->ts);
            m_put_values(&m->out, m->s->table_first ? r : &own);
            kit_put(&m->out, "|");
            m_put_values(&m->out, m->s->table_first ? &own : r);
            kit_put(&m->out, r == last ? "/\n" : "\n");
        }
    }
}

static void m_event(struct model *m, const struct kit_event *e)
{
    switch (e->inlet) {
    case INSERT: m_insert(m, e); break;
    case LOOKUP: m_lookup(m, e); break;
    default: m_write(m, e->inlet, e); break;
    }
}

/* ---- the engine ---- */

struct bench {
    struct efx_arena arena;
    struct efx_ctx ctx;
    struct test_mem mem;
    struct efx_bobject object;
    struct efx_schema_col cols[KIT_COLS];
    struct efx_bkey keys[3];
    struct efx_table_port port[PORTS];
    struct efx_table_conf conf;
    struct efx_op *op;
    struct kit_text out, errors, content;
    uint64_t step_no, n_duplicates;
    struct test_save chain[128];
    bool is_base[128];
    uint32_t n_chain;
};

static const enum efx_type kit_types[KIT_COLS] = {EFX_TYPE_LONG, EFX_TYPE_LONG, EFX_TYPE_STRING};
static const uint32_t col_of[KIT_COLS] = {0, 1, 2};
static struct bench *the_bench;

static enum efx_rc push_rows(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                             const struct efx_rows *rows)
{
    (void)to;
    (void)inlet;
    (void)step;
    kit_put_rows(&the_bench->out, rows);
    return EFX_OK;
}

static enum efx_rc push_errors(struct efx_op *to, uint32_t inlet, const struct efx_step *step,
                               const struct efx_rows *in)
{
    (void)to;
    (void)inlet;
    (void)step;
    for (uint32_t i = in->from; i < in->until; i++) {
        if (efx_bit(in->b->sel, i)) {
            kit_put(&the_bench->errors, "%u ", in->b->code[i]);
            for (uint32_t c = 0; c < KIT_COLS; c++) {
                kit_put(&the_bench->errors, "%s", c == 0 ? "" : ",");
                kit_put_value(&the_bench->errors, &in->b->cols[c], i);
            }
            kit_put(&the_bench->errors, "\n");
        }
    }
    return EFX_OK;
}

static struct efx_table_port port_make(struct bench *x, const struct setting *s, uint32_t port)
{
    static const enum efx_port_kind kinds[PORTS] = {EFX_PORT_INSERT, EFX_PORT_UPSERT,
                                                    EFX_PORT_UPDATE, EFX_PORT_DELETE,
                                                    EFX_PORT_LOOKUP, EFX_PORT_UPDATE};
    struct efx_arena *a = &x->arena;
    const struct efx_expr **keys = EFX_NEW_N(a, const struct efx_expr *, 1);
    const struct efx_expr **sets = EFX_NEW_N(a, const struct efx_expr *, KIT_COLS);
    const struct efx_expr **insert = EFX_NEW_N(a, const struct efx_expr *, KIT_COLS);
    keys[0] = kit_ref(a, 0, 0);
    struct efx_table_port p = {.kind = kinds[port],
                               .in = {KIT_COLS, kit_types, false},
                               .n_eq = s->keyed[port] && port != INSERT,
                               .eq_cols = col_of,
                               .keys = keys,
                               .key_types = kit_types,
                               .outer = s->outer,
                               .table_first = s->table_first,
                               .insert = insert};
    if (s->rest[port] && port != INSERT) {
        p.rest = kit_expr(a, kit_2(a, EFX_BX_LT, EFX_TYPE_BOOL, kit_col(a, 1, 1, EFX_TYPE_LONG),
                                   kit_col(a, 0, 1, EFX_TYPE_LONG)));
    }
    for (uint32_t c = 0; c < KIT_COLS; c++) {
        insert[c] = kit_ref(a, 0, c);
    }
    if (port == UPSERT) {
        uint32_t first = s->sets_all ? 0 : 1;
        p.n_sets = KIT_COLS - first;
        p.set_cols = col_of + first;
        p.sets = insert + first;
    } else if (port == UPDATE) {
        sets[0] = kit_expr(a, kit_2(a, EFX_BX_ADD, EFX_TYPE_LONG, kit_col(a, 1, 1, EFX_TYPE_LONG),
                                    kit_col(a, 0, 1, EFX_TYPE_LONG)));
        sets[1] = kit_ref(a, 0, 2);
        p.n_sets = 2;
        p.set_cols = col_of + 1;
        p.sets = sets;
    } else if (port == MOVE) {
        sets[0] = kit_ref(a, 0, 1);
        p.n_sets = 1;
        p.set_cols = col_of;
        p.sets = sets;
    }
    return p;
}

static void op_open(struct bench *x)
{
    struct efx_op_open how = {.arena = &x->arena,
                              .mem = &x->mem.base,
                              .ctx = &x->ctx,
                              .n_out = PORTS,
                              .key_group = 5,
                              .kg = {0, 1023}};
    assert_int_equal(efx_op_table_create(&how, &x->conf, &x->op), EFX_OK);
    for (uint32_t p = 0; p < PORTS; p++) {
        x->op->out[p].rows.push = push_rows;
        x->op->out[p].errors.push = push_errors;
    }
}

static struct bench *bench_open(const struct setting *s)
{
    static const char *names[KIT_COLS] = {"k", "v", "s"};
    struct bench *x = calloc(1, sizeof *x);
    x->mem = test_mem_make(UINT32_MAX);
    efx_arena_init(&x->arena, &efx_mem_libc, SIZE_MAX);
    efx_ctx_init(&x->ctx, &efx_mem_libc);
    x->out.p = calloc(1, KIT_TEXT_BYTES);
    x->errors.p = calloc(1, KIT_TEXT_BYTES);
    x->content.p = calloc(1, KIT_TEXT_BYTES);
    the_bench = x;
    for (uint32_t c = 0; c < KIT_COLS; c++) {
        x->cols[c] = (struct efx_schema_col){names[c], kit_types[c], c == 1 && s->not_null, false};
    }
    if (s->primary) {
        x->keys[x->object.n_keys++] = (struct efx_bkey){true, false, {1, col_of}};
    }
    if (s->unique) {
        x->keys[x->object.n_keys++] = (struct efx_bkey){false, true, {1, col_of + 1}};
    }
    if (s->index) {
        x->keys[x->object.n_keys++] = (struct efx_bkey){false, false, {2, col_of}};
    }
    x->object.keys = x->keys;
    x->object.schema = (struct efx_schema){"T", KIT_COLS, x->cols};
    for (uint32_t p = 0; p < PORTS; p++) {
        x->port[p] = port_make(x, s, p);
    }
    x->conf = (struct efx_table_conf){&x->object, PORTS, x->port};
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
    free(x->errors.p);
    free(x->content.p);
    free(x);
}

static void step_run(struct bench *x, const struct kit_event *e, uint32_t n, uint64_t *dice)
{
    static struct kit_batch batch[PORTS];
    struct efx_step step = {.no = ++x->step_no,
                            .what = EFX_STEP_EVENTS,
                            .virtual_clock = true,
                            .clk_base_ms = 0,
                            .clk_last_ms = 1,
                            .first_turn = x->step_no * 100};
    uint32_t place[64];
    for (uint32_t p = 0; p < PORTS; p++) {
        kit_batch_init(&batch[p], false);
    }
    for (uint32_t i = 0; i < n; i++) {
        place[i] = batch[e[i].inlet].b.n_rows;
        kit_batch_add(&batch[e[i].inlet], &e[i], e[i].ts, efx_moment_event(0, 0, i));
    }
    for (uint32_t i = 0, until; i < n; i = until) {
        until = i + 1;
        while (until < n && e[until].inlet == e[i].inlet && efx_test_rand(dice) % 6 != 0) {
            until++;
        }
        struct efx_rows rows = {&batch[e[i].inlet].b, place[i], place[until - 1] + 1};
        assert_int_equal(x->op->rows(x->op, e[i].inlet, &step, &rows), EFX_OK);
        assert_int_equal(x->ctx.used_bytes, 0);
    }
}

/* The content through the view, as text. */
static const char *content(struct bench *x)
{
    const struct efx_table_view *view = efx_op_table_view(x->op);
    struct efx_ctx_mark mark = efx_ctx_begin(&x->ctx);
    struct efx_batch b;
    uint64_t from = 0;
    x->content.n = 0;
    x->content.p[0] = 0;
    while (view->scan(view, &x->ctx, &from, &b)) {
        for (uint32_t i = 0; i < b.n_rows; i++) {
            for (uint32_t c = 0; efx_bit(b.sel, i) && c < b.n_cols; c++) {
                kit_put(&x->content, "%s", c == 0 ? "" : ",");
                kit_put_value(&x->content, &b.cols[c], i);
            }
            kit_put(&x->content, "%s", efx_bit(b.sel, i) ? "\n" : "");
        }
    }
    efx_ctx_end(&x->ctx, mark);
    return x->content.p;
}

static void checkpoint(struct bench *x, bool base, bool restore, const struct kit_event *between,
                       uint32_t n, uint64_t *dice)
{
    struct efx_mark mark = {x->n_chain + 1, base};
    struct test_save *save = &x->chain[x->n_chain];
    assert_true(x->n_chain < 128);
    x->is_base[x->n_chain++] = base;
    *save = test_save_make();
    x->op->vt->mark(x->op, &mark);
    assert_true(x->op->vt->slice(x->op, 0, &save->base) >= 0);
    for (uint32_t i = 0; x->op->vt->slice(x->op, 4, &save->base) != EFX_DONE; i++) {
        if (i < n) { /* changes while the save is running */
            step_run(x, &between[i], 1, dice);
        }
    }
    if (!restore) {
        return;
    }
    uint32_t first = x->n_chain - 1;
    while (first > 0 && !x->is_base[first]) {
        first--;
    }
    x->n_duplicates += efx_op_table_duplicates(x->op);
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

static void feed(struct bench *x, uint32_t inlet, int64_t k, int64_t v)
{
    uint64_t dice = 1;
    struct kit_event e = {.inlet = inlet, .ts = 7, .k = k, .v = v};
    step_run(x, &e, 1, &dice);
}

static const struct setting plain = {.primary = true,
                                     .keyed = {true, true, true, true, true, true}};

static void example_105__a_key_that_exists_is_dropped_and_counted(void **state)
{
    (void)state;
    struct bench *x = bench_open(&plain);
    feed(x, INSERT, 1, 2);
    feed(x, INSERT, 1, 4);
    assert_string_equal(content(x), "1,2,s2\n");
    assert_int_equal(efx_op_table_duplicates(x->op), 1);
    feed(x, INSERT, KIT_NULL, 4);
    assert_string_equal(x->errors.p, "3102 NULL,4,s4\n");
    bench_close(x);
}

static void example_106__right_hand_sides_are_of_the_old_row(void **state)
{
    (void)state;
    struct setting s = plain;
    struct bench *x = bench_open(&s);
    const uint32_t cols[2] = {0, 1};
    const struct efx_expr *sets[2] = {kit_ref(&x->arena, 1, 1), kit_ref(&x->arena, 1, 0)};
    x->port[UPDATE].n_sets = 2;
    x->port[UPDATE].set_cols = cols;
    x->port[UPDATE].sets = sets;
    x->op->vt->close(x->op);
    op_open(x);
    feed(x, INSERT, 1, 2);
    feed(x, UPDATE, 1, 0);
    assert_string_equal(content(x), "2,1,s2\n");
    bench_close(x);
}

static void example_107_to_110__updates_upserts_deletes(void **state)
{
    (void)state;
    struct bench *x = bench_open(&plain);
    feed(x, INSERT, 1, 2);
    feed(x, UPDATE, 1, 4);
    assert_string_equal(content(x), "1,6,s4\n");
    feed(x, UPDATE, 9, 5);
    assert_string_equal(content(x), "1,6,s4\n");
    feed(x, UPSERT, 1, 8);
    feed(x, UPSERT, 2, 10);
    assert_string_equal(content(x), "1,8,s8\n2,10,s10\n");
    feed(x, DELETE, 1, 0);
    assert_string_equal(content(x), "2,10,s10\n");
    bench_close(x);
}

static void example_51_and_52__a_row_passes_through(void **state)
{
    (void)state;
    struct setting s = plain;
    s.outer = true;
    struct bench *x = bench_open(&s);
    feed(x, INSERT, 7, 2);
    feed(x, LOOKUP, 7, 4);
    assert_string_equal(x->out.p, "+7 7,4,s4|7,2,s2/\n");
    x->out.n = 0;
    feed(x, LOOKUP, 8, 4);
    assert_string_equal(x->out.p, "+7 8,4,s4|NULL,NULL,NULL/\n");
    bench_close(x);
}

static void example_111__membership(void **state)
{
    (void)state;
    struct bench *x = bench_open(&plain);
    const struct efx_table_view *view = efx_op_table_view(x->op);
    const int64_t l[2] = {5, 6};
    const double d[3] = {5.0, 5.5, 1e300};
    const struct efx_cell t[1] = {efx_cell_make("s4", 2)};
    const struct efx_col longs = {EFX_TYPE_LONG, l, NULL}, doubles = {EFX_TYPE_DOUBLE, d, NULL};
    const struct efx_col texts = {EFX_TYPE_STRING, t, NULL};
    feed(x, INSERT, 5, 4);
    assert_true(view->has(view, 0, &longs, 0));
    assert_false(view->has(view, 0, &longs, 1));
    assert_true(view->has(view, 0, &doubles, 0));
    assert_false(view->has(view, 0, &doubles, 1));
    assert_false(view->has(view, 0, &doubles, 2));
    assert_true(view->has(view, 2, &texts, 0));
    feed(x, DELETE, 5, 4);
    assert_false(view->has(view, 2, &texts, 0));
    feed(x, INSERT, 6, 4);
    assert_true(view->has(view, 2, &texts, 0));
    bench_close(x);
}

static void on_demand_statements__are_atomic(void **state)
{
    (void)state;
    struct bench *x = bench_open(&plain);
    static struct kit_batch b;
    struct efx_step step = {.no = 1, .what = EFX_STEP_EVENTS};
    struct efx_err err = {0};
    uint64_t n = 0;
    feed(x, INSERT, 1, 2);
    feed(x, INSERT, 2, 2);
    kit_batch_init(&b, false);
    kit_batch_add(&b, &(struct kit_event){.k = 2, .v = 6}, 0, 0);
    kit_batch_add(&b, &(struct kit_event){.k = 3, .v = 8}, 0, 0);
    struct efx_rows rows = efx_rows_all(&b.b);
    assert_int_equal(efx_op_table_change(x->op, &x->port[UPSERT], &step, &rows, &n, &err), EFX_OK);
    assert_int_equal(n, 2);
    assert_string_equal(content(x), "1,2,s2\n2,6,s6\n3,8,s8\n");
    kit_batch_add(&b, &(struct kit_event){.k = KIT_NULL, .v = 8}, 0, 0);
    rows = efx_rows_all(&b.b);
    assert_int_equal(efx_op_table_change(x->op, &x->port[INSERT], &step, &rows, &n, &err),
                     EFX_EDATA);
    assert_int_equal(err.code, 3102);
    assert_string_equal(content(x), "1,2,s2\n2,6,s6\n3,8,s8\n");
    struct efx_table_port all = x->port[MOVE]; /* k = NULL for every row */
    all.n_eq = 0;
    kit_batch_init(&b, false);
    kit_batch_add(&b, &(struct kit_event){.k = 0, .v = KIT_NULL}, 0, 0);
    rows = efx_rows_all(&b.b);
    assert_int_equal(efx_op_table_change(x->op, &all, &step, &rows, &n, &err), EFX_EDATA);
    assert_string_equal(content(x), "1,2,s2\n2,6,s6\n3,8,s8\n");
    all = x->port[DELETE];
    all.n_eq = 0;
    assert_int_equal(efx_op_table_change(x->op, &all, &step, &rows, &n, &err), EFX_OK);
    assert_int_equal(n, 3);
    assert_string_equal(content(x), "");
    bench_close(x);
}

/* ---- random ---- */

static struct setting setting_make(uint64_t *dice)
{
    uint64_t r = efx_test_rand(dice);
    struct setting s = {.primary = r % 2 == 0,
                        .unique = (r >> 1) % 4 == 0,
                        .index = (r >> 3) % 2 == 0,
                        .not_null = (r >> 4) % 3 == 0,
                        .outer = (r >> 8) % 2 == 0,
                        .table_first = (r >> 9) % 2 == 0,
                        .sets_all = (r >> 10) % 2 == 0};
    for (uint32_t p = 0; p < PORTS; p++) {
        s.rest[p] = (r >> (12 + 2 * p)) % 4 == 0;
        s.keyed[p] = (r >> (32 + 2 * p)) % 4 != 0;
    }
    return s;
}

static struct kit_event event_make(uint64_t *dice, uint64_t bias)
{
    static const uint32_t inlets[12] = {INSERT, INSERT, INSERT, UPSERT, UPSERT, UPSERT,
                                        UPDATE, UPDATE, DELETE, LOOKUP, LOOKUP, MOVE};
    uint64_t r = efx_test_rand(dice);
    uint64_t pick = (r >> 20) % 3 == 0 ? bias % 12 : r % 12;
    return (struct kit_event){.inlet = inlets[pick],
                              .ts = 7,
                              .k = (r >> 8) % 15 == 0 ? KIT_NULL : (int64_t)(r >> 12) % 12,
                              .v = (r >> 24) % 15 == 0 ? KIT_NULL : (int64_t)(r >> 28) % 9};
}

static void compare(const struct bench *x, const struct model *m, uint64_t seed, const char *what,
                    const char *engine, const char *model)
{
    (void)x;
    const struct setting *s = m->s;
    if (strcmp(engine, model) == 0) {
        return;
    }
    print_error("seed %llu primary %d unique %d index %d not_null %d outer %d all %d\n%s\n--- "
                "engine\n%.800s\n--- model\n%.800s\n",
                (unsigned long long)seed, s->primary, s->unique, s->index, s->not_null, s->outer,
                s->sets_all, what, engine, model);
    fail();
}

static void run_random(uint64_t seed, bool saves)
{
    uint64_t dice = seed;
    static struct model m;
    struct setting s = setting_make(&dice);
    memset(&m, 0, sizeof m);
    m.s = &s;
    m.out.p = calloc(1, KIT_TEXT_BYTES);
    m.errors.p = calloc(1, KIT_TEXT_BYTES);
    struct kit_text rows = {0, calloc(1, KIT_TEXT_BYTES)};
    struct bench *x = bench_open(&s);
    for (uint32_t step = 0; step < 12; step++) {
        struct kit_event e[60];
        uint32_t n = 1 + (uint32_t)(efx_test_rand(&dice) % 50);
        uint64_t bias = efx_test_rand(&dice);
        for (uint32_t i = 0; i < n; i++) {
            e[i] = event_make(&dice, i % 6 == 0 ? bias++ : bias);
            if (saves && e[i].inlet == LOOKUP) {
                e[i].inlet = UPSERT;
            }
            m_event(&m, &e[i]);
        }
        step_run(x, e, n, &dice);
        if (saves && efx_test_rand(&dice) % 2 == 0) {
            bool restore = efx_test_rand(&dice) % 2 == 0;
            bool base = x->n_chain == 0 || efx_test_rand(&dice) % 3 == 0;
            struct kit_event between[20];
            uint32_t n_between = restore ? 0 : 20; /* what comes while it is saved is lost by it */
            for (uint32_t i = 0; i < n_between; i++) {
                between[i] = event_make(&dice, bias);
            }
            uint64_t before = x->step_no;
            checkpoint(x, base, restore, between, n_between, &dice);
            for (uint32_t i = 0; i < x->step_no - before; i++) {
                m_event(&m, &between[i]);
            }
        }
        rows.n = 0;
        rows.p[0] = 0;
        for (uint32_t i = 0; i < m.n; i++) {
            m_put_values(&rows, &m.row[i]);
            kit_put(&rows, "\n");
        }
        compare(x, &m, seed, "content", content(x), rows.p);
    }
    compare(x, &m, seed, "rows", x->out.p, m.out.p);
    compare(x, &m, seed, "errors", x->errors.p, m.errors.p);
    assert_int_equal(x->n_duplicates + efx_op_table_duplicates(x->op), m.n_duplicates);
    bench_close(x);
    free(m.out.p);
    free(m.errors.p);
    free(rows.p);
}

static void random_statements__do_what_an_array_does(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        run_random(seed, false);
    }
}

static void random_statements__go_on_after_restores(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1300; seed++) {
        run_random(seed, true);
    }
}

/* Many rows, most of them deleted: order and keys outlive compaction. */
static void compaction__keeps_order_and_keys(void **state)
{
    (void)state;
    struct setting s = plain;
    s.index = true;
    struct bench *x = bench_open(&s);
    for (int64_t k = 0; k < 9000; k++) {
        feed(x, UPSERT, k, k % 7);
    }
    for (int64_t k = 0; k < 9000; k++) {
        if (k % 10 != 0) {
            feed(x, DELETE, k, 0);
        }
    }
    struct kit_text want = {0, calloc(1, KIT_TEXT_BYTES)};
    for (int64_t k = 0; k < 9000; k += 10) {
        struct m_row r = {{k, k % 7}, k % 7};
        m_put_values(&want, &r);
        kit_put(&want, "\n");
    }
    feed(x, DELETE, -1, 0);
    assert_string_equal(content(x), want.p);
    feed(x, INSERT, 8990, 0);
    assert_int_equal(efx_op_table_duplicates(x->op), 1);
    feed(x, LOOKUP, 4500, 1);
    assert_string_equal(x->out.p, "+7 4500,1,s1 with a long tail|4500,6,s6/\n");
    free(want.p);
    bench_close(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_105__a_key_that_exists_is_dropped_and_counted),
        cmocka_unit_test(example_106__right_hand_sides_are_of_the_old_row),
        cmocka_unit_test(example_107_to_110__updates_upserts_deletes),
        cmocka_unit_test(example_51_and_52__a_row_passes_through),
        cmocka_unit_test(example_111__membership),
        cmocka_unit_test(on_demand_statements__are_atomic),
        cmocka_unit_test(compaction__keeps_order_and_keys),
        cmocka_unit_test(random_statements__do_what_an_array_does),
        cmocka_unit_test(random_statements__go_on_after_restores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
