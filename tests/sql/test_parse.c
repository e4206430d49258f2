/* Statements and patterns as trees. */
#include "parse_test.h"

/* ---- statements ---- */

static void parse__create_stream_has_columns_and_properties(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s = parse_one(
        &p, "DEFINE stream \"My Ticks\" (sym VARCHAR(9) NOT NULL, order DECIMAL(8, 2), index INT)\n"
            "WITH (type = source, \"kafka.topic\" = 'it''s ${X}', 'n' = -5, d = 1.50, b = TRUE)");
    assert_int_equal(s->kind, EFX_AST_CREATE_STREAM);
    assert_string_equal(s->name.s, "My Ticks");
    assert_int_equal(s->n_cols, 3);
    assert_true(s->cols[0].not_null && s->cols[0].type.has_args);
    assert_string_equal(s->cols[0].type.name, "VARCHAR");
    assert_string_equal(s->cols[1].name.s, "order");
    assert_string_equal(s->cols[2].name.s, "index");
    static const char *const want[][2] = {{"type", "source"},
                                          {"kafka.topic", "it's ${X}"},
                                          {"n", "-5"},
                                          {"d", "1.50"},
                                          {"b", "TRUE"}};
    assert_int_equal(s->with.n, 5);
    for (uint32_t k = 0; k < 5; k++) {
        assert_string_equal(s->with.v[k].key, want[k][0]);
        assert_true(efx_str_equal(s->with.v[k].value, efx_str_of(want[k][1])));
    }
    parse_end(&p);
}

static void parse__create_table_has_keys(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s = parse_one(
        &p,
        "CREATE TABLE T (a STRING PRIMARY KEY, b INT UNIQUE NOT NULL, c INT INDEX, "
        "index VARCHAR(3), unique INT, primary LONG, d DOUBLE PRECISION, e CHARACTER VARYING(4),"
        "PRIMARY KEY (a, b), CONSTRAINT u UNIQUE (c), INDEX (d), INDEX i (e, a))");
    assert_int_equal(s->n_cols, 8);
    assert_true(s->cols[0].primary_key && s->cols[1].unique && s->cols[1].not_null);
    assert_true(s->cols[2].index);
    assert_string_equal(s->cols[7].type.name, "CHARACTER VARYING");
    assert_int_equal(s->n_keys, 4);
    assert_true(s->keys[0].primary_key && s->keys[1].unique);
    assert_true(!s->keys[2].primary_key && !s->keys[2].unique);
    assert_int_equal(s->keys[3].cols.n, 2);
    assert_string_equal(s->keys[3].cols.v[1].s, "a");
    parse_end(&p);
}

static void parse__create_window_takes_both_spellings(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "CREATE WINDOW W (a INT) WINDOW('length', 5) OUTPUT EXPIRED EVENTS",
        "CREATE WINDOW W (a INT) WINDOW length(5) OUTPUT EXPIRED EVENTS WITH (x = 1)",
        "CREATE WINDOW W (a INT) length(5) OUTPUT expired events",
    };
    for (size_t i = 0; i < 3; i++) {
        struct parsed p;
        struct efx_ast_stmt *s = parse_one(&p, forms[i]);
        assert_int_equal(s->kind, EFX_AST_CREATE_WINDOW);
        assert_string_equal(s->window.kind, "length");
        assert_int_equal(s->window.n_args, 1);
        assert_int_equal(s->window.args[0].expr->i, 5);
        assert_int_equal(s->kinds, EFX_AST_EXPIRED);
        parse_end(&p);
    }
}

static void parse__window_parameters_can_be_read_both_ways(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s =
        parse_one(&p, "SELECT a FROM S WINDOW('w', 5 SEC, 1 min 30 sec, 90000, 0, a, 'asc', 100ms, "
                      "INTERVAL '5' SECOND, a + 1, -3, 0.5, sum(v) < 10)");
    const struct efx_ast_arg *v = s->select->from.window.args;
    assert_int_equal(s->select->from.window.n_args, 12);
    assert_true(v[0].duration.there && v[0].duration.ms == 5000 && v[0].expr == NULL);
    assert_true(v[1].duration.ms == 90000 && !v[1].duration.bare);
    assert_true(v[2].duration.there && v[2].duration.bare && v[2].duration.ms == 90000);
    assert_int_equal(v[2].expr->i, 90000);
    assert_true(!v[3].duration.there && v[3].expr->i == 0);
    assert_int_equal(v[4].expr->op, EFX_AST_REF);
    assert_int_equal(v[5].expr->lit, EFX_AST_LIT_STRING);
    assert_true(v[6].duration.ms == 100 && v[6].expr == NULL);
    assert_true(v[7].duration.ms == 5000 && v[7].expr->lit == EFX_AST_LIT_INTERVAL);
    assert_true(!v[8].duration.there && v[8].expr->op == EFX_AST_ADD);
    assert_true(!v[9].duration.there && v[9].expr->i == -3);
    assert_true(!v[10].duration.there && v[10].expr->lit == EFX_AST_LIT_DOUBLE);
    assert_int_equal(v[11].expr->op, EFX_AST_LT);
    parse_end(&p);
}

static void parse__create_trigger_takes_its_forms(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s = parse_one(
        &p,
        "CREATE TRIGGER a AT START; CREATE TRIGGER b AT 'Start'; CREATE TRIGGER c AT EVERY 5000 "
        "WITH (x = 1); CREATE TRIGGER d AT CRON '0 * * * * ?'; CREATE TRIGGER e AT '* * * * * ?'");
    static const enum efx_ast_trigger want[] = {EFX_AST_TRIGGER_START, EFX_AST_TRIGGER_START,
                                                EFX_AST_TRIGGER_EVERY, EFX_AST_TRIGGER_CRON,
                                                EFX_AST_TRIGGER_CRON};
    for (size_t i = 0; i < 5; i++, s = s->next) {
        assert_int_equal(s->trigger, want[i]);
        assert_true(i != 2 || (s->every.ms == 5000 && s->every.bare && s->with.n == 1));
        assert_true(i != 3 || efx_str_equal(s->cron, efx_str_of("0 * * * * ?")));
    }
    parse_end(&p);
}

static void parse__create_function_and_aggregation(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s = parse_one(
        &p,
        "CREATE FUNCTION f(x DOUBLE, y INT) RETURNS DOUBLE AS x * 1.8 + y;"
        "define aggregation A from S select sum(v) as t group by k aggregate every minutes, sec;"
        "CREATE AGGREGATION B AS SELECT a FROM S AGGREGATE BY ts EVERY SECONDS ... HOURS");
    assert_int_equal(s->n_cols, 2);
    assert_string_equal(s->params[1].name.s, "y");
    assert_string_equal(s->returns.name, "DOUBLE");
    assert_int_equal(s->body->op, EFX_AST_ADD);
    s = s->next;
    assert_int_equal(s->kind, EFX_AST_CREATE_AGGREGATION);
    assert_int_equal(s->grains, 3);
    assert_int_equal(s->select->n_group, 1);
    s = s->next;
    assert_string_equal(s->agg_by.s, "ts");
    assert_int_equal(s->grains, 7);
    parse_end(&p);
}

static void parse__the_three_spellings_of_a_query_are_one(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "INSERT INTO Out SELECT sym, px p FROM Ticks WINDOW('length', 5) WHERE px > 10",
        "SELECT sym, px AS p FROM Ticks WHERE px > 10 WINDOW length(5) INSERT INTO Out",
        "FROM Ticks WINDOW length(5) WHERE px > 10 SELECT sym, px \"p\" INSERT INTO Out",
        "FROM Ticks WHERE px > 10 WINDOW length(5) SELECT sym, px p INSERT CURRENT EVENTS INTO Out",
    };
    for (size_t i = 0; i < 4; i++) {
        struct parsed p;
        struct efx_ast_stmt *s = parse_one(&p, forms[i]);
        assert_int_equal(s->kind, EFX_AST_QUERY);
        assert_true(s->has_target);
        assert_string_equal(s->name.s, "Out");
        assert_int_equal(s->kinds, i < 3 ? 0 : EFX_AST_CURRENT);
        assert_string_equal(s->select->from.name.s, "Ticks");
        assert_string_equal(s->select->from.window.kind, "length");
        assert_int_equal(s->select->where->op, EFX_AST_GT);
        assert_int_equal(s->select->n_items, 2);
        assert_string_equal(s->select->items[1].alias.s, "p");
        assert_int_equal(s->at.len, strlen(forms[i]));
        parse_end(&p);
    }
}

static void parse__a_query_has_all_its_clauses(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s = parse_one(
        &p, "INSERT ALL EVENTS INTO #x (a, b) SELECT *, s.*, #y.*, count(*) FROM S AS s WHERE TRUE "
            "GROUP BY 1, a HAVING count(*) > 1 ORDER BY a DESC NULLS FIRST, 2 NULLS LAST "
            "LIMIT 5 OFFSET 2 OUTPUT LAST EVERY 3 EVENTS");
    const struct efx_ast_select *q = s->select;
    assert_string_equal(s->name.s, "#x");
    assert_int_equal(s->columns.n, 2);
    assert_int_equal(s->kinds, EFX_AST_ALL);
    assert_true(q->items[0].star && q->items[0].qualifier.s == NULL);
    assert_string_equal(q->items[1].qualifier.s, "s");
    assert_string_equal(q->items[2].qualifier.s, "#y");
    assert_string_equal(q->from.alias.s, "s");
    assert_int_equal(q->n_group, 2);
    assert_non_null(q->having);
    assert_true(q->n_order == 2 && q->order[0].desc && q->order[0].nulls_first);
    assert_true(!q->order[1].desc && !q->order[1].nulls_first);
    assert_int_equal(q->limit->i, 5);
    assert_int_equal(q->offset->i, 2);
    assert_true(q->output.kind == EFX_AST_OUTPUT_LAST && q->output.events && q->output.n == 3);
    parse_end(&p);
}

static void parse__joins_chain(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s = parse_one(
        &p, "SELECT a FROM A AS a WINDOW length(2) UNIDIRECTIONAL JOIN B b WINDOW time(1 sec) "
            "ON a.k = b.k WITHIN 5 SECONDS LEFT OUTER JOIN C USING (k, l) CROSS JOIN D "
            "FULL JOIN E ON TRUE RIGHT JOIN V AS v ON a.g = v.g WITHIN a.x, a.y PER a.z");
    const struct efx_ast_select *q = s->select;
    static const enum efx_ast_join want[] = {EFX_AST_JOIN_INNER, EFX_AST_JOIN_LEFT,
                                             EFX_AST_JOIN_CROSS, EFX_AST_JOIN_FULL,
                                             EFX_AST_JOIN_RIGHT};
    assert_true(q->from.unidirectional);
    assert_int_equal(q->n_joins, 5);
    for (uint32_t k = 0; k < 5; k++) {
        assert_int_equal(q->joins[k].kind, want[k]);
    }
    assert_int_equal(q->joins[0].within.ms, 5000);
    assert_string_equal(q->joins[0].right.window.kind, "time");
    assert_int_equal(q->joins[1].using_.n, 2);
    assert_null(q->joins[2].on);
    assert_true(q->joins[4].has_range && q->joins[4].range_end != NULL);
    assert_string_equal(q->joins[4].range_per->name.s, "z");
    parse_end(&p);
}

static void parse__changes_of_tables(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s =
        parse_one(&p, "UPDATE T AS t SET v = t.v + 1, T.w = 2 FROM U AS u WHERE t.k = u.k;"
                      "DELETE FROM T t USING D WHERE t.k = D.k;"
                      "UPSERT INTO T (a, b) SELECT a, b FROM S ON T.k = S.k");
    assert_true(s->kind == EFX_AST_UPDATE && s->n_assigns == 2);
    assert_string_equal(s->alias.s, "t");
    assert_string_equal(s->assigns[1].table.s, "T");
    assert_string_equal(s->assigns[1].column.s, "w");
    assert_string_equal(s->source.alias.s, "u");
    assert_non_null(s->on);
    s = s->next;
    assert_int_equal(s->kind, EFX_AST_DELETE);
    assert_string_equal(s->source.name.s, "D");
    s = s->next;
    assert_true(s->kind == EFX_AST_UPSERT && s->columns.n == 2 && s->on != NULL);
    parse_end(&p);
}

static void parse__partitions_take_their_forms(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s = parse_one(
        &p,
        "PARTITION WITH (a OF S, (a, b) OF T, (a + b) * 2 OF U, v < 3 AS 'l' OR v > 2 AS 'h' OF V)"
        " WITH ('purge.idle' = '1 hour') BEGIN SELECT a FROM S INSERT INTO #x "
        "INSERT INTO O SELECT a FROM #x; END;"
        "PARTITION BY a, b OF S BEGIN FROM S SELECT CASE WHEN a THEN 1 END AS end END");
    assert_int_equal(s->n_parts, 4);
    assert_int_equal(s->parts[0].n_exprs, 1);
    assert_int_equal(s->parts[1].n_exprs, 2);
    assert_int_equal(s->parts[2].n_exprs, 1);
    assert_int_equal(s->parts[3].n_labels, 2);
    assert_true(efx_str_equal(s->parts[3].labels[1].label, efx_str_of("h")));
    assert_string_equal(s->parts[3].stream.s, "V");
    assert_int_equal(s->with.n, 1);
    assert_string_equal(s->body_stmts->name.s, "#x");
    assert_string_equal(s->body_stmts->next->select->from.name.s, "#x");
    assert_null(s->body_stmts->next->next);
    assert_int_equal(s->next->parts[0].n_exprs, 2);
    parse_end(&p);
}

static void parse__on_demand_statements(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum efx_ast_stmt_kind kind;
    } good[] = {
        {"SELECT DISTINCT k, sum(v) AS s FROM T GROUP BY k ORDER BY s DESC;", EFX_AST_QUERY},
        {"SELECT * FROM A WITHIN '2026-06-** **:**:**' PER 'hours' WHERE g = 'x'", EFX_AST_QUERY},
        {"SELECT * FROM A AS a WITHIN 1000, 2000 PER 'sec' JOIN T ON a.k = T.k", EFX_AST_QUERY},
        {"INSERT INTO T (a, b) VALUES (1, 'x'), (2, NULL)", EFX_AST_INSERT_VALUES},
        {"INSERT INTO T SELECT * FROM U", EFX_AST_QUERY},
        {"UPSERT INTO T VALUES (1) ON T.k = 1", EFX_AST_INSERT_VALUES},
        {"UPSERT INTO T SELECT * FROM U", EFX_AST_UPSERT},
        {"UPDATE T SET v = 1", EFX_AST_UPDATE},
        {"DELETE FROM T", EFX_AST_DELETE},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct parsed p;
        parse(&p, good[i].text, PARSE_ON_DEMAND);
        assert_clean(&p, good[i].text);
        assert_int_equal(p.stmt->kind, good[i].kind);
        assert_true(i != 3 || (p.stmt->n_rows == 2 && p.stmt->n_row_values == 2));
        assert_true((i != 1 && i != 2) || p.stmt->select->has_range);
        parse_end(&p);
    }
    static const struct {
        const char *text;
        uint16_t code;
    } bad[] = {{"", 1004},
               {"SELECT a FROM T; SELECT b FROM T", 1001},
               {"CREATE TABLE T (a INT)", 1001},
               {"INSERT INTO T VALUES (1), (1, 2)", 1311},
               {"SELECT a FROM T INSERT INTO U", 1001}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct parsed p;
        parse(&p, bad[i].text, PARSE_ON_DEMAND);
        assert_int_equal(p.diags.errors->code, bad[i].code);
        assert_null(p.stmt);
        parse_end(&p);
    }
}

/* ---- patterns ---- */

static void pattern(const char *text, const char *want)
{
    struct parsed p;
    struct dump d = {.n = 0};
    char program[1024];
    (void)snprintf(program, sizeof program, "SELECT * FROM %s", text);
    const struct efx_ast_stmt *s = parse_one(&p, program);
    dump_pattern(&d, s->select->pattern->root);
    assert_string_equal(d.text, want);
    parse_end(&p);
}

static void pattern__elements_and_precedence(void **state)
{
    (void)state;
    pattern("PATTERN (e1=A -> B AS e2)", "chain[e1=A e2=B]");
    pattern("PATTERN (EVERY e1=A[v > 1]{2,} -> e2=B)", "chain[every[e1=A[(> v 1)]{2,}] e2=B]");
    pattern("PATTERN (A{2,3}[v > 1][w] -> B{4} -> C{,5})",
            "chain[A[(> v 1)][w]{2,3} B{4,4} C{0,5}]");
    pattern("SEQUENCE (EVERY A+, B* -> C?)", "chain[every[A{1,}] B{0,} C{0,1}],");
    pattern("PATTERN (A<2> -> B<2:3> -> C<2:> -> D<:3>)", "chain[A{2,2} B{2,3} C{2,} D{0,3}]");
    pattern("PATTERN (EVERY A AND B OR C AND NOT D -> E)",
            "chain[every[or[and[A B] and[C not D]]] E]");
    pattern("PATTERN (NOT A[v > 1] FOR 100 ms -> B)", "chain[not A[(> v 1)] for 100ms B]");
    pattern("PATTERN (EVERY (A -> B) -> #C -> !D)", "chain[every[(chain[A B])] #C !D]");
    pattern("PATTERN ((A -> B) AND C)", "chain[and[(chain[A B]) C]]");
}

static void pattern__within_belongs_to_what_it_stands_behind(void **state)
{
    (void)state;
    pattern("PATTERN (A -> B WITHIN 5 SEC)", "chain[A B within 5000ms]");
    pattern("PATTERN ((A -> B WITHIN 10 ms) -> C)", "chain[(chain[A B within 10ms]) C]");
    pattern("PATTERN (EVERY (A -> B) WITHIN 3 EVENTS -> C)",
            "chain[every[(chain[A B]) behind 3 events] C]");
    pattern("PATTERN (A -> (B -> C) WITHIN 5 SEC)", "chain[A (chain[B C]) within 5000ms]");
    pattern("PATTERN ((A -> (B -> C) WITHIN 1 SEC AND D) WITHIN 2 SEC)",
            "chain[(chain[A and[(chain[B C]) behind 1000ms D]]) within 2000ms]");
}

static void pattern__clauses_follow_the_parentheses(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s =
        parse_one(&p, "SELECT k FROM SEQUENCE (A, B) WITHIN 5 MIN AFTER MATCH SKIP PAST LAST ROW "
                      "PARTITION BY k, l WHERE k > 1 INSERT EXPIRED EVENTS INTO O;"
                      "FROM PATTERN (A) WITHIN 100 AFTER MATCH SKIP TO NEXT ROW SELECT *");
    const struct efx_ast_pattern *pt = s->select->pattern;
    assert_true(pt->sequence && pt->skip_past_last_row && pt->root->comma);
    assert_int_equal(pt->within.duration.ms, 300000);
    assert_int_equal(pt->partition_by.n, 2);
    pt = s->next->select->pattern;
    assert_true(!pt->sequence && !pt->skip_past_last_row && pt->within.duration.bare);
    parse_end(&p);
}

static void pattern__recognize_is_skipped(void **state)
{
    (void)state;
    struct parsed p;
    struct efx_ast_stmt *s = parse_one(
        &p, "SELECT * FROM Ticks MATCH_RECOGNIZE ( PARTITION BY sym ORDER BY ts MEASURES "
            "FIRST(A.px) AS top ONE ROW PER MATCH AFTER MATCH SKIP PAST LAST ROW "
            "PATTERN (A (B | {- C -})+? PERMUTE(D, E){,3}) WITHIN 1 HOUR SUBSET X = (D, U) "
            "DEFINE D AS px < PREV(px) ) AS m WHERE top > 1 INSERT INTO Vees");
    assert_true(s->select->recognize.there);
    assert_string_equal(s->select->from.alias.s, "m");
    assert_string_equal(s->name.s, "Vees");
    parse_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse__create_stream_has_columns_and_properties),
        cmocka_unit_test(parse__create_table_has_keys),
        cmocka_unit_test(parse__create_window_takes_both_spellings),
        cmocka_unit_test(parse__window_parameters_can_be_read_both_ways),
        cmocka_unit_test(parse__create_trigger_takes_its_forms),
        cmocka_unit_test(parse__create_function_and_aggregation),
        cmocka_unit_test(parse__the_three_spellings_of_a_query_are_one),
        cmocka_unit_test(parse__a_query_has_all_its_clauses),
        cmocka_unit_test(parse__joins_chain),
        cmocka_unit_test(parse__changes_of_tables),
        cmocka_unit_test(parse__partitions_take_their_forms),
        cmocka_unit_test(parse__on_demand_statements),
        cmocka_unit_test(pattern__elements_and_precedence),
        cmocka_unit_test(pattern__within_belongs_to_what_it_stands_behind),
        cmocka_unit_test(pattern__clauses_follow_the_parentheses),
        cmocka_unit_test(pattern__recognize_is_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
