/* What right programs become: types, conversions, names, targets, sources. */
#include "efx_test.h"

#include "bind_fakes.h"

struct bound {
    struct efx_arena arena;
    struct efx_diags diags;
    struct efx_program *p;
};

static struct bound *bind(const char *program)
{
    static struct bound b;
    struct efx_ast *ast;
    efx_arena_init(&b.arena, &efx_mem_libc, 1u << 24);
    efx_diags_init(&b.diags, &b.arena, efx_str_of(program), "test");
    assert_int_equal(efx_parse_program(&b.arena, &b.diags, &ast), EFX_OK);
    enum efx_rc rc = efx_bind_program(&b.arena, &fake_registry, ast, &b.diags, NULL, &b.p);
    if (rc != EFX_OK) {
        print_error("%s\n", efx_diag_text(&b.diags, b.diags.errors));
    }
    assert_int_equal(rc, EFX_OK);
    return &b;
}

static void done(struct bound *b)
{
    efx_arena_fini(&b->arena);
}

static const struct efx_bstmt *last(const struct bound *b)
{
    return b->p->stmts[b->p->n_stmts - 1];
}

static const struct efx_bobject *object(const struct bound *b, const char *name)
{
    for (uint32_t i = 0; i < b->p->n_objects; i++) {
        if (strcmp(b->p->objects[i]->schema.name, name) == 0) {
            return b->p->objects[i];
        }
    }
    return NULL;
}

static bool warned(const struct bound *b, uint16_t code)
{
    for (const struct efx_diag *w = b->diags.warnings; w != NULL; w = w->next) {
        if (w->code == code) {
            return true;
        }
    }
    return false;
}

#define S   "CREATE STREAM S (a STRING, v INT); "
#define N   "CREATE STREAM S (i INT, l LONG, f FLOAT, d DOUBLE); "
#define OUT "INSERT INTO Out SELECT "

static void literals__have_the_types_of_the_reference(void **state)
{
    (void)state;
    struct bound *b = bind(S OUT "7 AS a, 3000000000 AS b, 1e5 AS c, -2147483648 AS d FROM S");
    const struct efx_schema *s = &object(b, "Out")->schema;
    assert_int_equal(s->cols[0].type, EFX_TYPE_INT);
    assert_int_equal(s->cols[1].type, EFX_TYPE_LONG);
    assert_int_equal(s->cols[2].type, EFX_TYPE_DOUBLE);
    assert_int_equal(s->cols[3].type, EFX_TYPE_INT);
    done(b);
}

static void output_names__follow_the_column_the_function_or_the_place(void **state)
{
    (void)state;
    struct bound *b = bind(S OUT "a, S.v, COUNT(*), v + 1, CAST(v AS LONG), v::DOUBLE, "
                                 "char_LENGTH(a), 'x' AS y FROM S");
    static const char *const names[] = {"a",    "v",      "count",       "expr_3",
                                        "cast", "expr_5", "char_length", "y"};
    const struct efx_schema *s = &object(b, "Out")->schema;
    assert_int_equal(s->n_cols, 8);
    for (uint32_t i = 0; i < 8; i++) {
        assert_string_equal(s->cols[i].name, names[i]);
    }
    done(b);
}

static void comparison__brings_both_sides_to_one_type_or_long_and_double(void **state)
{
    (void)state;
    struct bound *b =
        bind(N OUT "i = l AS a, i = f AS b, l = f AS c, l = d AS d, f = f AS e FROM S");
    static const enum efx_type want[][2] = {{EFX_TYPE_LONG, EFX_TYPE_LONG},
                                            {EFX_TYPE_DOUBLE, EFX_TYPE_DOUBLE},
                                            {EFX_TYPE_LONG, EFX_TYPE_DOUBLE},
                                            {EFX_TYPE_LONG, EFX_TYPE_DOUBLE},
                                            {EFX_TYPE_FLOAT, EFX_TYPE_FLOAT}};
    for (uint32_t i = 0; i < 5; i++) {
        const struct efx_bx *x = last(b)->out[i].expr;
        assert_int_equal(x->op, EFX_BX_EQ);
        assert_int_equal(x->args[0]->type, want[i][0]);
        assert_int_equal(x->args[1]->type, want[i][1]);
    }
    done(b);
}

static void in_list__has_one_type_on_the_left(void **state)
{
    (void)state;
    struct bound *b = bind(N OUT "i IN (1, 2.5, 3000000000) AS a FROM S");
    const struct efx_bx *x = last(b)->out[0].expr;
    assert_int_equal(x->args[0]->type, EFX_TYPE_LONG);
    assert_int_equal(x->args[1]->type, EFX_TYPE_LONG);
    assert_int_equal(x->args[2]->type, EFX_TYPE_DOUBLE);
    assert_int_equal(x->args[3]->type, EFX_TYPE_LONG);
    done(b);
}

static void division__is_double_and_and_is_flat(void **state)
{
    (void)state;
    struct bound *b = bind(N OUT "i / l AS a FROM S WHERE i > 1 AND l > 2 AND d > 3");
    assert_int_equal(last(b)->out[0].expr->type, EFX_TYPE_DOUBLE);
    assert_int_equal(last(b)->where->op, EFX_BX_AND);
    assert_int_equal(last(b)->where->n_args, 3);
    done(b);
}

static void declared_target__takes_by_position_or_list_and_narrows(void **state)
{
    (void)state;
    struct bound *b = bind(N "CREATE STREAM O (n INT, x STRING, w DOUBLE); "
                             "INSERT INTO O (w, n) SELECT i, sum(l) AS s FROM S");
    const struct efx_btarget *t = &last(b)->target;
    assert_int_equal(t->store[0]->op, EFX_BX_NARROW);
    assert_int_equal(t->store[0]->args[0]->src, EFX_BX_SRC_OUT);
    assert_int_equal(t->store[0]->args[0]->col, 1);
    assert_int_equal(t->store[1]->op, EFX_BX_CONST);
    assert_true(t->store[1]->lit.null);
    assert_int_equal(t->store[2]->op, EFX_BX_CAST);
    assert_true(warned(b, 2302));
    done(b);
}

static void null_output__takes_the_columns_type(void **state)
{
    (void)state;
    struct bound *b = bind(S "CREATE STREAM O (n LONG); INSERT INTO O SELECT NULL FROM S");
    assert_int_equal(last(b)->out[0].expr->type, EFX_TYPE_LONG);
    assert_true(last(b)->out[0].expr->lit.null);
    done(b);
}

static void having__looks_among_the_outputs_first_and_shares_aggregates(void **state)
{
    (void)state;
    struct bound *b = bind(S OUT "a, v * 10 AS v, sum(v) AS s FROM S HAVING v > 25 AND sum(v) > 5");
    const struct efx_bstmt *st = last(b);
    const struct efx_bx *first = st->having->args[0], *second = st->having->args[1];
    assert_int_equal(first->args[0]->src, EFX_BX_SRC_OUT);
    assert_int_equal(first->args[0]->col, 1);
    assert_int_equal(st->n_aggs, 1);
    assert_int_equal(second->args[0]->op, EFX_BX_AGG);
    assert_int_equal(st->aggs[0].arg->src, 0); /* the input column, not the output */
    done(b);
}

static void group_by__takes_a_column_an_alias_or_a_position(void **state)
{
    (void)state;
    struct bound *b =
        bind(S OUT "upper(a) AS a, v + 1 AS w, count(*) AS n FROM S GROUP BY a, w, 1");
    const struct efx_bstmt *st = last(b);
    assert_int_equal(st->group[0]->op, EFX_BX_COL);
    assert_ptr_equal(st->group[1], st->out[1].expr);
    assert_ptr_equal(st->group[2], st->out[0].expr);
    assert_true(warned(b, 2201));
    done(b);
}

static void window__gets_its_conf_by_the_option_table(void **state)
{
    (void)state;
    struct bound *b = bind(S OUT "a FROM S WINDOW('session', 100 ms, a, 50)");
    const struct fake_conf *c = last(b)->inputs[0].window.conf;
    assert_ptr_equal(last(b)->inputs[0].window.vt, &fake_session_window);
    assert_int_equal(c->a, 100);
    assert_int_equal(c->cols.n, 1);
    assert_int_equal(c->cols.col[0], 0);
    assert_int_equal(c->b, 50);
    assert_true(warned(b, 2401));
    done(b);
    b = bind(S OUT "a FROM S WINDOW TUMBLING(1 SEC)");
    c = last(b)->inputs[0].window.conf;
    assert_false(last(b)->inputs[0].window.has_origin);
    assert_true(c->b == EFX_TS_NONE);
    done(b);
    b = bind(S OUT "a FROM S WINDOW TUMBLING(1 SEC, -5)");
    c = last(b)->inputs[0].window.conf;
    assert_true(last(b)->inputs[0].window.has_origin);
    assert_int_equal(c->b, -5);
    done(b);
}

static void using__merges_the_column_at_its_left_place(void **state)
{
    (void)state;
    struct bound *b =
        bind("CREATE STREAM L (p INT, id STRING); CREATE STREAM R (id STRING, q INT); " OUT
             "* FROM L WINDOW LENGTH(2) FULL JOIN R WINDOW LENGTH(2) USING (id)");
    const struct efx_bstmt *st = last(b);
    assert_int_equal(st->n_out, 3);
    assert_string_equal(st->out[1].name, "id");
    assert_int_equal(st->out[1].expr->op, EFX_BX_COALESCE);
    assert_string_equal(st->out[2].name, "q");
    assert_int_equal(st->on->op, EFX_BX_EQ);
    done(b);
}

static void pattern__numbers_elements_and_streams(void **state)
{
    (void)state;
    struct bound *b = bind("CREATE STREAM A (v INT); CREATE STREAM B (v INT); " OUT
                           "count(e1) AS n, e1[last].v AS l, e2.v AS b FROM "
                           "PATTERN (EVERY (e1=A{2,} -> e2=B[v > avg(e1.v)] -> A)) WITHIN 5 SEC");
    const struct efx_bstmt *st = last(b);
    const struct efx_bpat *every = st->pattern->root->kids[0], *chain = every->kids[0];
    assert_int_equal(st->n_inputs, 2);
    assert_int_equal(st->pattern->n_elems, 3);
    assert_int_equal(every->kind, EFX_AST_PAT_EVERY);
    assert_int_equal(chain->n_kids, 3);
    assert_int_equal(chain->kids[0]->min, 2);
    assert_int_equal(chain->kids[0]->max, UINT32_MAX);
    assert_int_equal(chain->kids[2]->input, 0);
    assert_int_equal(st->pattern->within_ms, 5000);
    assert_int_equal(st->out[0].expr->op, EFX_BX_ELEM_AGG);
    assert_int_equal(st->out[1].expr->index.kind, EFX_AST_INDEX_LAST);
    const struct efx_bx *f = chain->kids[1]->filter;
    assert_int_equal(f->args[0]->op, EFX_BX_CAST);
    assert_int_equal(f->args[0]->args[0]->src, EFX_BX_SRC_CANDIDATE);
    assert_int_equal(f->args[1]->op, EFX_BX_ELEM_AGG);
    assert_int_equal(f->args[1]->elem_agg->arg->src, EFX_BX_SRC_CANDIDATE);
    assert_int_equal(st->n_aggs, 0);
    done(b);
}

static void pattern_keys__are_columns_of_their_own(void **state)
{
    (void)state;
    struct bound *b = bind("CREATE STREAM A (v INT, k INT); CREATE STREAM B (k LONG, v INT); " OUT
                           "k, e2.v AS b FROM PATTERN (EVERY e1=A -> e2=B) PARTITION BY k");
    const struct efx_bpattern *p = last(b)->pattern;
    assert_int_equal(p->key_types[0], EFX_TYPE_LONG);
    assert_int_equal(p->key_cols[0].col[0], 1);
    assert_int_equal(p->key_cols[1].col[0], 0);
    assert_int_equal(last(b)->out[0].expr->src, EFX_BX_SRC_KEY);
    done(b);
}

static void upsert_on__sees_outputs_sources_and_the_table(void **state)
{
    (void)state;
    struct bound *b = bind("CREATE STREAM U (k STRING, v INT); CREATE TABLE T (k STRING, v INT); "
                           "UPSERT INTO T (v) SELECT v FROM U ON T.k = U.k");
    const struct efx_bstmt *st = last(b);
    assert_int_equal(st->n_out, 2); /* v, and the hidden k */
    assert_int_equal(st->upsert_on->args[0]->src, 1);
    assert_int_equal(st->upsert_on->args[1]->src, 0);
    assert_int_equal(st->upsert_on->args[1]->col, 1);
    assert_false(st->upsert_sets[0]);
    assert_true(st->upsert_sets[1]);
    done(b);
}

static void upsert_without_on__compares_the_primary_key(void **state)
{
    (void)state;
    struct bound *b = bind("CREATE STREAM U (v INT, k STRING); "
                           "CREATE TABLE T (k STRING PRIMARY KEY, v INT); "
                           "UPSERT INTO T SELECT k, v FROM U");
    const struct efx_bx *on = last(b)->upsert_on;
    assert_int_equal(on->op, EFX_BX_EQ);
    assert_int_equal(on->args[0]->src, 1);
    assert_int_equal(on->args[1]->col, 0);
    done(b);
}

static void membership__asks_the_column_or_the_rows(void **state)
{
    (void)state;
    struct bound *b =
        bind(S "CREATE TABLE T (k STRING PRIMARY KEY, n INT); " OUT
               "a IN T AS x, (T.k = a AND T.n > v) IN T AS y, v * 1.5 IN T.n AS z FROM S");
    const struct efx_bout *out = last(b)->out;
    assert_int_equal(out[0].expr->op, EFX_BX_IN_TABLE);
    assert_int_equal(out[0].expr->col, 0);
    assert_int_equal(out[1].expr->op, EFX_BX_EXISTS);
    assert_int_equal(out[2].expr->op, EFX_BX_CASE); /* the column would have to be converted */
    done(b);
}

static void partition__brings_keys_to_common_types(void **state)
{
    (void)state;
    struct bound *b = bind(
        S "CREATE STREAM U (k LONG); PARTITION WITH (v OF S, k OF U) BEGIN "
          "INSERT INTO #I SELECT a FROM S; INSERT INTO O SELECT a FROM #I; END; " OUT "a FROM O");
    const struct efx_bpartition *p = &b->p->partitions[0];
    assert_int_equal(p->n_keys, 1);
    assert_int_equal(p->key_types[0], EFX_TYPE_LONG);
    assert_int_equal(p->parts[0].exprs[0]->type, EFX_TYPE_LONG);
    assert_int_equal(p->first_stmt, 0);
    assert_int_equal(p->n_stmts, 2);
    assert_int_equal(object(b, "#I")->partition, 0);
    assert_int_equal(b->p->stmts[1]->partition, 0);
    assert_int_equal(b->p->stmts[2]->partition, EFX_NO_COL);
    done(b);
}

static void fault_stream__is_made_by_its_first_reader(void **state)
{
    (void)state;
    struct bound *b = bind("CREATE STREAM S (a STRING NOT NULL) WITH ('on.error' = 'stream'); " OUT
                           "a, _error FROM !S");
    const struct efx_bobject *f = object(b, "!S");
    assert_ptr_equal(f->fault_of, object(b, "S"));
    assert_ptr_equal(object(b, "S")->fault, f);
    assert_int_equal(f->schema.n_cols, 2);
    assert_false(f->schema.cols[0].not_null);
    assert_true(object(b, "S")->conf.to_fault_stream);
    done(b);
}

static void stream_properties__become_conf(void **state)
{
    (void)state;
    struct bound *b =
        bind("CREATE STREAM S (a STRING, ts TIMESTAMP) WITH (type = 'source', "
             "extension = 'file', 'file.path' = '/${EFX_NO_SUCH:tmp}/x', format = 'json', "
             "'event.time' = 'ts', 'watermark.delay' = '5 sec', 'state.ttl' = '1 hour');");
    const struct efx_stream_conf *c = &object(b, "S")->conf;
    const struct fake_conf *file = c->connector_conf;
    assert_int_equal(c->role, EFX_ROLE_SOURCE);
    assert_string_equal(file->text, "/tmp/x");
    assert_string_equal(file->more, "beginning");
    assert_int_equal(file->a, 500);
    assert_true(file->flag);
    assert_int_equal(c->event_time_col, 1);
    assert_int_equal(c->watermark_delay_ms, 5000);
    assert_int_equal(c->state_ttl_ms, 3600000);
    assert_true(b->p->event_time);
    done(b);
}

static void warnings__say_what_has_no_effect_or_no_end(void **state)
{
    (void)state;
    struct bound *b = bind(S OUT "a FROM S ORDER BY v LIMIT 2");
    assert_true(warned(b, 2402));
    done(b);
    b = bind(S OUT "a FROM S WINDOW LENGTHBATCH(3) ORDER BY v LIMIT 2");
    assert_false(warned(b, 2402));
    done(b);
    b = bind(S "CREATE STREAM R (b STRING); " OUT "a FROM S JOIN R ON a = b");
    assert_true(warned(b, 2501));
    done(b);
    b = bind(S "CREATE TABLE T (b STRING); " OUT "a FROM S RIGHT JOIN T ON a = b");
    assert_true(warned(b, 2502));
    assert_false(warned(b, 2501));
    done(b);
    b = bind(S "INSERT INTO M SELECT a FROM S; INSERT INTO S SELECT a, 1 AS v FROM M");
    assert_true(warned(b, 2801));
    done(b);
    b = bind(S OUT "e1.v AS a FROM PATTERN (e1=S -> e2=S{2,5})");
    assert_true(warned(b, 2601) && warned(b, 2602) && warned(b, 2603));
    done(b);
    b = bind("CREATE STREAM S (f FLOAT, x DECIMAL(9, 2)); " OUT "f FROM S WHERE f = 0.1");
    assert_true(warned(b, 2301) && warned(b, 2101));
    done(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals__have_the_types_of_the_reference),
        cmocka_unit_test(output_names__follow_the_column_the_function_or_the_place),
        cmocka_unit_test(comparison__brings_both_sides_to_one_type_or_long_and_double),
        cmocka_unit_test(in_list__has_one_type_on_the_left),
        cmocka_unit_test(division__is_double_and_and_is_flat),
        cmocka_unit_test(declared_target__takes_by_position_or_list_and_narrows),
        cmocka_unit_test(null_output__takes_the_columns_type),
        cmocka_unit_test(having__looks_among_the_outputs_first_and_shares_aggregates),
        cmocka_unit_test(group_by__takes_a_column_an_alias_or_a_position),
        cmocka_unit_test(window__gets_its_conf_by_the_option_table),
        cmocka_unit_test(using__merges_the_column_at_its_left_place),
        cmocka_unit_test(pattern__numbers_elements_and_streams),
        cmocka_unit_test(pattern_keys__are_columns_of_their_own),
        cmocka_unit_test(upsert_on__sees_outputs_sources_and_the_table),
        cmocka_unit_test(upsert_without_on__compares_the_primary_key),
        cmocka_unit_test(membership__asks_the_column_or_the_rows),
        cmocka_unit_test(partition__brings_keys_to_common_types),
        cmocka_unit_test(fault_stream__is_made_by_its_first_reader),
        cmocka_unit_test(stream_properties__become_conf),
        cmocka_unit_test(warnings__say_what_has_no_effect_or_no_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
