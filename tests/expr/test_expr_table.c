/* IN table and EXISTS against a table made of plain arrays. */
#include "expr_test.h"

/* A table (k STRING, v INT) of a few rows, scanned in batches of two; `n_scans` counts. */
struct table {
    struct efx_table_view view;
    uint32_t n;
    const struct efx_value *k, *v;
    uint32_t *n_scans;
};

static bool has(const struct efx_table_view *self, uint32_t col, const struct efx_col *x,
                uint32_t i)
{
    const struct table *t = (const struct table *)self;
    const struct efx_value want = efx_value_of_col(x, i);
    bool found = false;
    for (uint32_t r = 0; r < t->n; r++) {
        const struct efx_value *v = col == 0 ? &t->k[r] : &t->v[r];
        found = found || (!v->null && efx_value_compare(v, &want) == 0);
    }
    return found;
}

static bool scan(const struct efx_table_view *self, struct efx_ctx *ctx, uint64_t *from,
                 struct efx_batch *out)
{
    const struct table *t = (const struct table *)self;
    if (*from >= t->n) {
        return false;
    }
    ++*t->n_scans;
    uint32_t n = t->n - (uint32_t)*from < 2 ? 1 : 2;
    struct efx_col *cols = efx_scratch(ctx, 2 * sizeof *cols);
    struct efx_cell *k = efx_scratch(ctx, n * sizeof *k);
    int32_t *v = efx_scratch(ctx, n * sizeof *v);
    uint64_t *valid = efx_scratch_zero(ctx, 8);
    int64_t *ts = efx_scratch_zero(ctx, n * sizeof *ts);
    for (uint32_t i = 0; i < n; i++) {
        efx_value_to_slot(&t->k[*from + i], k, NULL, i);
        efx_value_to_slot(&t->v[*from + i], v, valid, i);
    }
    cols[0] = (struct efx_col){EFX_TYPE_STRING, k, NULL};
    cols[1] = (struct efx_col){EFX_TYPE_INT, v, valid};
    *out = (struct efx_batch){.n_rows = n, .n_cols = 2, .cols = cols, .ts_ms = ts};
    *from += n;
    return true;
}

struct rig {
    struct xt *x;
    struct table table;
    const struct efx_table_view *tables[4];
    struct efx_bobject object;
    uint32_t n_scans;
    struct efx_value k[5], v[5];
};

/* Rows (x,5) (y,NULL) (z,1) (w,7) (x,8); the stream (a STRING, v INT, l LONG). */
static void open_rig(struct rig *r)
{
    static const char *const keys[] = {"x", "y", "z", "w", "x"};
    static const int32_t values[] = {5, 0, 1, 7, 8};
    *r = (struct rig){.x = xt_open()};
    for (uint32_t i = 0; i < 5; i++) {
        r->k[i] = xt_v_str(keys[i]);
        r->v[i] = xt_v_int(values[i]);
    }
    r->v[1] = efx_value_null(EFX_TYPE_INT);
    r->table = (struct table){{has, scan}, 5, r->k, r->v, &r->n_scans};
    r->tables[2] = &r->table.view;
    r->x->ctx.tables = r->tables;
    r->object = (struct efx_bobject){.kind = EFX_OBJ_TABLE, .id = 2, .schema = {.n_cols = 2}};
    const struct efx_value a[] = {xt_v_str("x"), xt_v_str("y"), xt_v_str("q"),
                                  efx_value_null(EFX_TYPE_STRING), xt_v_str("x")};
    const struct efx_value v[] = {xt_v_int(1), xt_v_int(1), xt_v_int(1), xt_v_int(1), xt_v_int(9)};
    const struct efx_value l[] = {xt_v_long(1), xt_v_long(3000000000), xt_v_long(1),
                                  xt_v_long(3000000000), xt_v_long(7)};
    xt_put(r->x, 0, 5, a);
    xt_put(r->x, 1, 5, v);
    xt_put(r->x, 2, 5, l);
}

static struct efx_bx *row_col(struct xt *x, uint32_t col)
{
    struct efx_bx *e = xt_bx(x, EFX_BX_COL, col == 0 ? EFX_TYPE_STRING : EFX_TYPE_INT, 0, NULL);
    e->src = EFX_BX_SRC_ROW;
    e->col = col;
    return e;
}

/* want: T, F, N = NULL, ! = 3101, one letter a row. */
static void is(struct rig *r, struct efx_bx *bx, const char *want)
{
    const struct efx_expr *e = xt_compile(r->x, bx);
    for (uint32_t i = 0; i < 5; i++) {
        uint16_t code;
        struct efx_value v = xt_eval_at(r->x, e, i, &code);
        char have = code == 3101 ? '!' : v.null ? 'N' : v.b ? 'T' : 'F';
        assert_int_equal(have, want[i]);
    }
    uint64_t yes = 0;
    const struct efx_rows rows = efx_rows_all(&r->x->b);
    xt_fails_reset(r->x);
    efx_expr_filter(e, &r->x->ctx, &r->x->step, &rows, &yes, &r->x->fails);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(yes >> i & 1, want[i] == 'T');
    }
}

static void in_table__asks_the_column_and_passes_null_on(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct xt *x = r.x;
    struct efx_bx *in = xt_1(x, EFX_BX_IN_TABLE, EFX_TYPE_BOOL, xt_col(x, 0));
    in->table = &r.object;
    is(&r, in, "TTFNT");
    is(&r, xt_1(x, EFX_BX_NOT, EFX_TYPE_BOOL, in), "FFTNF");
    struct efx_bx *seven = xt_1(x, EFX_BX_IN_TABLE, EFX_TYPE_BOOL, XT_INT(7));
    seven->table = &r.object;
    seven->col = 1;
    is(&r, seven, "TTTTT");
    xt_close(x);
}

static void exists__finds_a_row_that_makes_it_true(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct xt *x = r.x;
    struct efx_bx *key = xt_2(x, EFX_BX_EQ, EFX_TYPE_BOOL, row_col(x, 0), xt_col(x, 0));
    struct efx_bx *more = xt_2(x, EFX_BX_GT, EFX_TYPE_BOOL, row_col(x, 1), xt_col(x, 1));
    struct efx_bx *cond = xt_2(x, EFX_BX_AND, EFX_TYPE_BOOL, key, more);
    struct efx_bx *exists = xt_1(x, EFX_BX_EXISTS, EFX_TYPE_BOOL, cond);
    exists->table = &r.object;
    is(&r, exists, "TFFFF");
    is(&r, xt_1(x, EFX_BX_NOT, EFX_TYPE_BOOL, exists), "FTTTT");
    xt_close(x);
}

static void exists__stops_at_the_first_batch_with_a_hit(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct xt *x = r.x;
    struct efx_bx *cond = xt_2(x, EFX_BX_EQ, EFX_TYPE_BOOL, row_col(x, 0), XT_STR("x"));
    struct efx_bx *exists = xt_1(x, EFX_BX_EXISTS, EFX_TYPE_BOOL, cond);
    exists->table = &r.object;
    uint16_t code;
    assert_true(xt_eval_at(x, xt_compile(x, exists), 0, &code).b);
    assert_int_equal(r.n_scans, 1);
    xt_close(x);
}

static void exists__sees_the_time_of_the_streams_row(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct xt *x = r.x;
    struct efx_bx *ts = xt_bx(x, EFX_BX_EVENT_TS, EFX_TYPE_LONG, 0, NULL);
    ts->src = EFX_BX_SRC_NONE;
    struct efx_bx *late = xt_2(x, EFX_BX_GE, EFX_TYPE_BOOL, ts, XT_LONG(1002));
    struct efx_bx *exists = xt_1(x, EFX_BX_EXISTS, EFX_TYPE_BOOL, late);
    exists->table = &r.object;
    is(&r, exists, "FFTTT");
    xt_close(x);
}

static void exists__fails_where_the_condition_does_and_is_never_true(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct xt *x = r.x;
    struct efx_bx *narrow = xt_1(x, EFX_BX_NARROW, EFX_TYPE_INT, xt_col(x, 2));
    struct efx_bx *cond = xt_2(x, EFX_BX_EQ, EFX_TYPE_BOOL, row_col(x, 1), narrow);
    struct efx_bx *exists = xt_1(x, EFX_BX_EXISTS, EFX_TYPE_BOOL, cond);
    exists->table = &r.object;
    is(&r, exists, "T!T!T");
    struct efx_bx *first = xt_2(x, EFX_BX_EQ, EFX_TYPE_BOOL, xt_col(x, 0), XT_STR("y"));
    is(&r, xt_2(x, EFX_BX_AND, EFX_TYPE_BOOL, first, exists), "F!F!F");
    xt_close(x);
}

static void times__are_taken_from_the_batch(void **state)
{
    (void)state;
    struct rig r;
    open_rig(&r);
    struct xt *x = r.x;
    const int64_t clk[] = {5, 6, 7, 8, 9};
    uint16_t code;
    struct efx_bx *now = xt_bx(x, EFX_BX_NOW, EFX_TYPE_LONG, 0, NULL);
    assert_int_equal(xt_eval_at(x, xt_compile(x, now), 2, &code).l, 1002);
    x->b.clk_ms = clk;
    assert_int_equal(xt_eval_at(x, xt_compile(x, now), 2, &code).l, 7);
    const struct efx_expr *col = xt_compile(x, xt_col(x, 1));
    assert_int_equal(efx_expr_col(col), 1);
    assert_int_equal(efx_expr_col(xt_compile(x, now)), EFX_NO_COL);
    xt_close(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_table__asks_the_column_and_passes_null_on),
        cmocka_unit_test(exists__finds_a_row_that_makes_it_true),
        cmocka_unit_test(exists__stops_at_the_first_batch_with_a_hit),
        cmocka_unit_test(exists__sees_the_time_of_the_streams_row),
        cmocka_unit_test(exists__fails_where_the_condition_does_and_is_never_true),
        cmocka_unit_test(times__are_taken_from_the_batch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
