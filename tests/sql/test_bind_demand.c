/* On-demand statements over a bound program. */
#include "efx_test.h"

#include "bind_fakes.h"

static const char program[] = "CREATE STREAM S (k STRING, v INT); "
                              "CREATE TABLE T (k STRING PRIMARY KEY, v LONG, w DOUBLE); "
                              "CREATE TABLE R (k STRING, x INT);";

struct asked {
    struct efx_arena arena;
    struct efx_diags diags;
    struct efx_bondemand *d;
    uint16_t code; /* the first error's; 0 = none */
};

static struct asked *ask(const char *text)
{
    static struct asked a;
    struct efx_ast *ast;
    struct efx_ast_stmt *stmt = NULL;
    struct efx_program *p;
    struct efx_diags of_program;
    efx_arena_init(&a.arena, &efx_mem_libc, 1u << 24);
    efx_diags_init(&of_program, &a.arena, efx_str_of(program), "test");
    assert_int_equal(efx_parse_program(&a.arena, &of_program, &ast), EFX_OK);
    assert_int_equal(efx_bind_program(&a.arena, &fake_registry, ast, &of_program, NULL, &p),
                     EFX_OK);
    efx_diags_init(&a.diags, &a.arena, efx_str_of(text), "query");
    assert_int_equal(efx_parse_on_demand(&a.arena, &a.diags, &stmt), EFX_OK);
    a.code = 0;
    if (stmt != NULL) {
        enum efx_rc rc = efx_bind_on_demand(&a.arena, &fake_registry, p, stmt, &a.diags, &a.d);
        assert_true(rc == (a.diags.n_errors > 0 ? EFX_ETYPE : EFX_OK));
    }
    if (a.diags.errors != NULL) {
        a.code = a.diags.errors->code;
    }
    return &a;
}

static uint16_t code_of(const char *text)
{
    struct asked *a = ask(text);
    uint16_t code = a->code;
    efx_arena_fini(&a->arena);
    return code;
}

static void select__reads_tables_and_joins_of_them(void **state)
{
    (void)state;
    struct asked *a = ask("SELECT DISTINCT k, sum(v) AS s FROM T AS t WHERE v > 1 GROUP BY k "
                          "ORDER BY s DESC LIMIT 3");
    assert_int_equal(a->code, 0);
    assert_true(a->d->distinct);
    assert_null(a->d->stmt->target.object);
    assert_int_equal(a->d->stmt->limit, 3);
    assert_int_equal(a->d->stmt->n_aggs, 1);
    efx_arena_fini(&a->arena);
    assert_int_equal(code_of("SELECT T.k, x FROM T JOIN R ON T.k = R.k"), 0);
}

static void values__are_of_the_columns_types(void **state)
{
    (void)state;
    struct asked *a = ask("INSERT INTO T (v, k) VALUES (1, 'a'), (2, 'b')");
    assert_int_equal(a->code, 0);
    assert_int_equal(a->d->n_value_rows, 2);
    assert_int_equal(a->d->values[1][0]->type, EFX_TYPE_STRING);
    assert_int_equal(a->d->values[1][1]->type, EFX_TYPE_LONG);
    assert_int_equal(a->d->values[1][1]->lit.l, 2);
    assert_true(a->d->values[1][2]->lit.null);
    efx_arena_fini(&a->arena);
}

static void changes__mention_the_row_as_source_one(void **state)
{
    (void)state;
    struct asked *a = ask("UPDATE T SET v = v + 1 WHERE T.k = 'a'");
    assert_int_equal(a->code, 0);
    assert_int_equal(a->d->stmt->kind, EFX_STMT_UPDATE);
    assert_int_equal(a->d->stmt->n_inputs, 0);
    assert_int_equal(a->d->stmt->n_sets, 1);
    assert_int_equal(a->d->stmt->where->args[0]->src, 1);
    efx_arena_fini(&a->arena);
    assert_int_equal(code_of("DELETE FROM T WHERE v > 3"), 0);
    assert_int_equal(code_of("DELETE FROM T"), 0);
    a = ask("UPSERT INTO T (k, v) VALUES ('a', 1)");
    assert_int_equal(a->code, 0);
    assert_true(a->d->stmt->upsert);
    assert_int_equal(a->d->stmt->upsert_on->args[1]->src, 0);
    assert_int_equal(a->d->stmt->upsert_on->args[1]->col, 0);
    assert_true(a->d->stmt->upsert_sets[1]);
    assert_false(a->d->stmt->upsert_sets[2]);
    efx_arena_fini(&a->arena);
    assert_int_equal(code_of("INSERT INTO R SELECT k, 1 AS x FROM T"), 0);
}

static void wrong_ones__get_their_code(void **state)
{
    (void)state;
    assert_int_equal(code_of("SELECT k FROM S"), 1207);
    assert_int_equal(code_of("SELECT k FROM T WINDOW LENGTH(3)"), 1207);
    assert_int_equal(code_of("SELECT k FROM T OUTPUT EVERY 3 EVENTS"), 1207);
    assert_int_equal(code_of("SELECT z FROM T"), 1203);
    assert_int_equal(code_of("SELECT k FROM X"), 1201);
    assert_int_equal(code_of("INSERT INTO T VALUES ('a', 1)"), 1311);
    assert_int_equal(code_of("INSERT INTO T VALUES (1, 1, 1)"), 1310);
    assert_int_equal(code_of("INSERT INTO S VALUES ('a', 1)"), 1702);
    assert_int_equal(code_of("UPSERT INTO R VALUES ('a', 1)"), 1704);
    assert_int_equal(code_of("UPDATE T SET z = 1"), 1703);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(select__reads_tables_and_joins_of_them),
        cmocka_unit_test(values__are_of_the_columns_types),
        cmocka_unit_test(changes__mention_the_row_as_source_one),
        cmocka_unit_test(wrong_ones__get_their_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
