/* What the planner decides: components, confluences and the order of their inlets, row mode; what
 * is split and what is placed. The programs are those of order.md (E1 … E7) and of language §24. */
#include "efx_test.h"

#include "efx_aggs.h"
#include "efx_plan.h"
#include "efx_windows.h"

#include <string.h>

#define STREAMS                                                                                    \
    "CREATE STREAM S (k STRING, v INT); CREATE STREAM U (k STRING, d INT);"                        \
    "CREATE STREAM A1 (k STRING, v INT); CREATE STREAM B1 (k STRING, v INT);"                      \
    "CREATE TABLE T (k STRING PRIMARY KEY, v INT);"

struct planned {
    struct efx_arena arena;
    struct efx_diags diags;
    struct efx_registry registry;
    struct efx_plan *plan;
};

static struct planned *plan_of(const char *sql, uint32_t n_shards)
{
    static struct planned p;
    struct efx_ast *ast;
    struct efx_program *program;
    memset(&p, 0, sizeof p);
    p.registry = (struct efx_registry){
        .windows = efx_windows, .n_windows = efx_n_windows, .aggs = efx_aggs, .n_aggs = efx_n_aggs};
    efx_arena_init(&p.arena, &efx_mem_libc, SIZE_MAX);
    efx_diags_init(&p.diags, &p.arena, efx_str_of(sql), "test");
    assert_int_equal(efx_parse_program(&p.arena, &p.diags, &ast), EFX_OK);
    enum efx_rc rc = efx_bind_program(&p.arena, &p.registry, ast, &p.diags, NULL, &program);
    if (rc != EFX_OK && p.diags.errors != NULL) {
        print_error("%s", efx_diag_text(&p.diags, p.diags.errors));
    }
    assert_int_equal(rc, EFX_OK);
    struct efx_plan_opts o = {
        .registry = &p.registry, .n_shards = n_shards, .max_partials = 1000, .max_catch_up = 1000};
    assert_int_equal(efx_plan_make(&p.arena, program, &o, &p.diags, &p.plan), EFX_OK);
    return &p;
}

static void done(struct planned *p)
{
    efx_arena_fini(&p->arena);
}

/* The node of a kind with this name, a statement's ("q2: INSERT INTO Out") or an object's. */
static const struct efx_pnode *node_of(const struct planned *p, enum efx_pnode_kind kind,
                                       const char *name)
{
    for (uint32_t i = 0; i < p->plan->n_nodes; i++) {
        const struct efx_pnode *n = p->plan->nodes[i];
        if (n->kind == kind && strncmp(n->name, name, strlen(name)) == 0) {
            return n;
        }
    }
    print_error("no such node: %s\n", name);
    fail();
    return NULL;
}

static const struct efx_pcomponent *component_of(const struct planned *p, const struct efx_pnode *n)
{
    return &p->plan->components[n->component];
}

/* Whose rows come by an inlet. */
static const char *feed_of(const struct planned *p, const struct efx_pnode *n, uint32_t inlet)
{
    for (uint32_t i = 0; i < p->plan->n_nodes; i++) {
        const struct efx_pnode *from = p->plan->nodes[i];
        uint32_t n_edges = from->kind == EFX_P_STREAM ? from->n_consumers : from->n_outlets;
        for (uint32_t e = 0; e < n_edges; e++) {
            struct efx_pedge to = from->kind == EFX_P_STREAM ? from->consumers[e] : from->rows[e];
            if (to.node == n->id && to.inlet == inlet) {
                return from->name;
            }
        }
    }
    return "outside";
}

/* The inlets of a confluence in the order in which they are taken: "q2 q3" by their first word. */
static void merges(const struct planned *p, const struct efx_pnode *n, const char *order)
{
    char text[256] = "";
    assert_true(n->confluence);
    assert_false(component_of(p, n)->row_mode);
    for (uint32_t rank = 0; rank < n->n_inlets; rank++) {
        for (uint32_t i = 0; i < n->n_inlets; i++) {
            if (n->inlet_rank[i] == rank) {
                const char *name = feed_of(p, n, i);
                size_t len = strcspn(name, ":");
                strcat(text, text[0] == '\0' ? "" : " ");
                strncat(text, name, len);
            }
        }
    }
    assert_string_equal(text, order);
}

static void runs_by_row(const struct planned *p, const struct efx_pnode *n, const char *why)
{
    const struct efx_pcomponent *c = component_of(p, n);
    assert_true(c->row_mode);
    if (strstr(c->why, why) == NULL) {
        print_error("%s\n", c->why);
    }
    assert_non_null(strstr(c->why, why));
}

/* ---- order.md, worked examples ---- */

static void e1__the_way_round_comes_first_if_its_query_does(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "INSERT INTO M SELECT k, v FROM S;"
                                        "INSERT INTO Out SELECT k, 'viaM' AS p FROM M;"
                                        "INSERT INTO Out SELECT k, 'direct' AS p FROM S;",
                                1);
    const struct efx_pnode *out = node_of(p, EFX_P_STREAM, "Out");
    merges(p, out, "q2 q3");
    assert_true(component_of(p, out)->needs_moment);
    assert_false(component_of(p, out)->loop);
    done(p);
    p = plan_of(STREAMS "INSERT INTO Out SELECT k, 'direct' AS p FROM S;"
                        "INSERT INTO M SELECT k, v FROM S;"
                        "INSERT INTO Out SELECT k, 'viaM' AS p FROM M;",
                1);
    merges(p, node_of(p, EFX_P_STREAM, "Out"), "q1 q3");
    done(p);
}

static void e2__a_pattern_takes_its_streams_in_order_of_their_queries(void **state)
{
    (void)state;
    struct planned *p = plan_of(
        STREAMS "INSERT INTO A SELECT v FROM S WHERE v > 0; INSERT INTO B SELECT v FROM S WHERE "
                "v < 5; INSERT INTO P SELECT a.v AS x, b.v AS y FROM PATTERN (EVERY (a=A -> b=B)) "
                "WITHIN 1 SEC;",
        1);
    merges(p, node_of(p, EFX_P_PATTERN, "q3"), "A B");
    done(p);
    p = plan_of(STREAMS
                "INSERT INTO B SELECT v FROM S WHERE v < 5; INSERT INTO A SELECT v FROM S WHERE "
                "v > 0; INSERT INTO P SELECT a.v AS x, b.v AS y FROM PATTERN (EVERY (a=A -> b=B)) "
                "WITHIN 1 SEC;",
                1);
    merges(p, node_of(p, EFX_P_PATTERN, "q3"), "B A");
    done(p);
}

static void e3__a_table_takes_writers_and_readers_in_passes(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "UPSERT INTO T SELECT k, v FROM S;"
                                        "INSERT INTO Out SELECT S.k, T.v FROM S JOIN T ON "
                                        "S.k = T.k;",
                                1);
    const struct efx_pnode *t = node_of(p, EFX_P_TABLE, "T");
    merges(p, t, "outside q1 S");
    assert_int_equal(t->n_inlets, 3);
    assert_int_equal(component_of(p, t)->n_nodes,
                     component_of(p, node_of(p, EFX_P_PROJECT, "q2"))->n_nodes);
    done(p);
    p = plan_of(STREAMS "INSERT INTO Out SELECT S.k, T.v FROM S JOIN T ON S.k = T.k;"
                        "UPSERT INTO T SELECT k, v FROM S;",
                1);
    merges(p, node_of(p, EFX_P_TABLE, "T"), "outside S q2");
    done(p);
    p = plan_of(STREAMS "UPSERT INTO T SELECT k, d FROM U;"
                        "INSERT INTO Out SELECT S.k, T.v FROM S JOIN T ON S.k = T.k;",
                1);
    assert_false(component_of(p, node_of(p, EFX_P_TABLE, "T"))->row_mode);
    done(p);
}

static void e4__a_read_that_reaches_its_own_write_runs_by_row(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "INSERT INTO M SELECT S.k, S.v + T.v AS v FROM S JOIN T "
                                        "ON S.k = T.k; UPSERT INTO T SELECT k, v FROM M;",
                                1);
    runs_by_row(p, node_of(p, EFX_P_TABLE, "T"), "loop");
    assert_true(component_of(p, node_of(p, EFX_P_TABLE, "T"))->loop);
    done(p);
    p = plan_of(STREAMS "UPDATE T SET v = T.v + U.d FROM U WHERE T.k = U.k;", 1);
    assert_false(component_of(p, node_of(p, EFX_P_TABLE, "T"))->row_mode);
    done(p);
}

static void e5__a_split_window_feeds_a_placed_one(void **state)
{
    (void)state;
    struct planned *p = plan_of(
        STREAMS "INSERT ALL EVENTS INTO M SELECT k, sum(v) AS s FROM S WINDOW('time', 100 MS) "
                "GROUP BY k; INSERT INTO Out SELECT k, s FROM M WINDOW('length', 3);",
        2);
    const struct efx_pnode *first = node_of(p, EFX_P_SELECT, "q1");
    const struct efx_pnode *second = node_of(p, EFX_P_SELECT, "q2");
    assert_int_equal(first->component, second->component);
    assert_true(first->split && first->emits_by_timer && first->many);
    assert_false(second->split);
    assert_non_null(strstr(second->placed_why, "length window counts all keys"));
    const struct efx_pcomponent *c = component_of(p, first);
    assert_true(c->split && c->needs_moment && !c->row_mode);
    assert_int_equal(c->n_sources, 1);
    assert_int_equal(c->sources[0].n_keys, 1);
    assert_int_equal(efx_expr_col(c->sources[0].keys[0]), 0);
    done(p);
}

static void e6__a_flush_on_two_ways_keeps_its_rows_together(void **state)
{
    (void)state;
    struct planned *p = plan_of(
        STREAMS "INSERT INTO M SELECT k, sum(v) AS x FROM S WINDOW('tumbling', 1 MIN, 0) GROUP BY "
                "k; INSERT INTO Alerts SELECT k, x FROM M WHERE x > 100;"
                "INSERT INTO Alerts SELECT k, x FROM M WHERE x > 50;",
        1);
    runs_by_row(p, node_of(p, EFX_P_STREAM, "Alerts"), "timer");
    done(p);
}

static void e7__a_limiter_sees_the_merged_order(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "INSERT INTO M SELECT k, v FROM S WHERE v > 1;"
                                        "INSERT INTO M SELECT k, v FROM S;"
                                        "INSERT INTO Out SELECT k, v FROM M OUTPUT ALL EVERY 3 "
                                        "EVENTS;",
                                1);
    merges(p, node_of(p, EFX_P_STREAM, "M"), "q1 q2");
    const struct efx_pnode *limit = node_of(p, EFX_P_LIMIT, "q3");
    assert_true(limit->many);
    assert_false(limit->emits_by_timer);
    done(p);
}

/* ---- components, confluences, row mode ---- */

static void streams_from_outside__bind_nothing_together(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "INSERT INTO X SELECT k FROM S;"
                                        "INSERT INTO Y SELECT k FROM S;",
                                1);
    const struct efx_pnode *x = node_of(p, EFX_P_STREAM, "X");
    assert_int_not_equal(x->component, node_of(p, EFX_P_STREAM, "Y")->component);
    assert_false(component_of(p, x)->needs_moment);
    assert_false(x->confluence);
    done(p);
}

static void what_is_written_inside__binds_its_readers(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "INSERT INTO S SELECT k, d FROM U;"
                                        "INSERT INTO X SELECT k FROM S;"
                                        "INSERT INTO Y SELECT k FROM S;",
                                1);
    const struct efx_pnode *s = node_of(p, EFX_P_STREAM, "S");
    assert_int_equal(node_of(p, EFX_P_STREAM, "X")->component,
                     node_of(p, EFX_P_STREAM, "Y")->component);
    merges(p, s, "outside q1");
    done(p);
}

static void several_rows_of_one_event__run_by_row(void **state)
{
    (void)state;
    struct planned *p = plan_of(
        STREAMS "INSERT INTO M SELECT S.k, U.d FROM S WINDOW('length', 2) JOIN U "
                "WINDOW('length', 2) ON S.k = U.k; INSERT INTO X SELECT k FROM M WHERE d > 1;"
                "INSERT INTO X SELECT k FROM M;",
        1);
    assert_true(component_of(p, node_of(p, EFX_P_STREAM, "X"))->row_mode);
    done(p);
}

static void loops_and_tables_inside_expressions__run_by_row(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "INSERT INTO M SELECT k, v FROM S;"
                                        "INSERT INTO N SELECT k, v FROM M WHERE v > 0;"
                                        "INSERT INTO M SELECT k, v - 1 AS v FROM N;",
                                1);
    runs_by_row(p, node_of(p, EFX_P_STREAM, "M"), "loop");
    done(p);
    p = plan_of(STREAMS "UPSERT INTO T SELECT k, v FROM S;"
                        "INSERT INTO Out SELECT k FROM S WHERE k IN T;",
                1);
    runs_by_row(p, node_of(p, EFX_P_FILTER, "q2"), "reads a table inside an expression");
    assert_int_equal(node_of(p, EFX_P_FILTER, "q2")->component,
                     node_of(p, EFX_P_TABLE, "T")->component);
    done(p);
}

static void consumers__stand_in_the_order_of_their_definition(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "INSERT INTO X SELECT k FROM S;"
                                        "INSERT INTO Y SELECT k FROM S WHERE v > 1;",
                                1);
    const struct efx_pnode *s = node_of(p, EFX_P_STREAM, "S");
    assert_int_equal(s->n_consumers, 2);
    assert_int_equal(s->consumers[0].node, node_of(p, EFX_P_PROJECT, "q1")->id);
    assert_int_equal(s->consumers[1].node, node_of(p, EFX_P_FILTER, "q2")->id);
    done(p);
}

/* ---- language §24: split or placed ---- */

static void is_split(const char *sql, enum efx_pnode_kind kind, uint32_t key_col)
{
    struct planned *p = plan_of(sql, 2);
    const struct efx_pnode *n = node_of(p, kind, kind == EFX_P_PARTITION ? "partition" : "q1");
    const struct efx_pcomponent *c = component_of(p, n);
    if (!n->split) {
        print_error("%s\nplaced: %s\n", sql, n->placed_why);
    }
    assert_true(n->split);
    assert_true(c->split && c->n_sources > 0);
    if (key_col == EFX_NO_COL) {
        assert_int_equal(c->sources[0].n_keys, 0);
    } else {
        assert_int_equal(c->sources[0].n_keys, 1);
        assert_int_equal(efx_expr_col(c->sources[0].keys[0]), key_col);
    }
    done(p);
}

static void is_placed(const char *sql, enum efx_pnode_kind kind)
{
    struct planned *p = plan_of(sql, 2);
    const struct efx_pnode *n = node_of(p, kind, "q1");
    if (n->split) {
        print_error("split: %s\n", sql);
    }
    assert_false(n->split);
    assert_non_null(n->placed_why);
    done(p);
}

static void filters_and_projections__are_split_by_anything(void **state)
{
    (void)state;
    is_split(STREAMS "INSERT INTO X SELECT k FROM S WHERE v > 1;", EFX_P_FILTER, EFX_NO_COL);
    is_split(STREAMS "INSERT INTO X SELECT k, v + 1 AS w FROM S;", EFX_P_PROJECT, EFX_NO_COL);
}

static void groups__are_split_by_their_columns(void **state)
{
    (void)state;
    is_split(STREAMS "INSERT INTO X SELECT k, sum(v) AS s FROM S GROUP BY k;", EFX_P_SELECT, 0);
    is_split(STREAMS "INSERT INTO X SELECT k, sum(v) AS s FROM S WINDOW('time', 1 SEC) GROUP BY k;",
             EFX_P_SELECT, 0);
    is_split(STREAMS "INSERT INTO X SELECT k, sum(v) AS s FROM S WINDOW('tumbling', 1 MIN, 0) "
                     "GROUP BY k;",
             EFX_P_SELECT, 0);
    is_split(STREAMS "INSERT INTO X SELECT k, sum(v) AS s FROM S WINDOW('timeBatch', 1 MIN) "
                     "WHERE v > 1 GROUP BY k;",
             EFX_P_SELECT, 0);
    is_split(STREAMS "INSERT INTO X SELECT v, count(*) AS n FROM S GROUP BY v;", EFX_P_SELECT, 1);
}

static void blocks_and_keyed_patterns__are_split_by_their_keys(void **state)
{
    (void)state;
    is_split(STREAMS "PARTITION WITH (k OF S) BEGIN INSERT INTO X SELECT k, sum(v) AS s FROM S "
                     "WINDOW('length', 100); END;",
             EFX_P_PARTITION, 0);
    is_split(STREAMS "INSERT INTO X SELECT a.v AS x, b.v AS y FROM PATTERN (EVERY (a=A1 -> b=B1)) "
                     "WITHIN 1 MIN PARTITION BY k;",
             EFX_P_PATTERN, 0);
}

static void joins_by_equality__are_split_by_the_equated_columns(void **state)
{
    (void)state;
    is_split(STREAMS "INSERT INTO X SELECT S.k, v, d FROM S WINDOW('time', 1 SEC) JOIN U "
                     "WINDOW('time', 1 SEC) ON S.k = U.k;",
             EFX_P_JOIN, 0);
    is_split(STREAMS "INSERT INTO X SELECT S.k, v, d FROM S JOIN U ON S.k = U.k WITHIN 1 SEC;",
             EFX_P_JOIN, 0);
}

static void what_looks_at_all_keys__is_placed(void **state)
{
    (void)state;
    is_placed(STREAMS "INSERT INTO X SELECT k, sum(v) AS s FROM S WINDOW('length', 100) "
                      "GROUP BY k;",
              EFX_P_SELECT);
    is_placed(STREAMS "INSERT INTO X SELECT k, sum(v) AS s FROM S WINDOW('lengthBatch', 10) "
                      "GROUP BY k;",
              EFX_P_SELECT);
    is_placed(STREAMS "INSERT INTO X SELECT sum(v) AS s FROM S;", EFX_P_SELECT);
    is_placed(STREAMS "INSERT INTO X SELECT k, sum(v) AS s FROM S WINDOW('tumbling', 1 MIN, 0) "
                      "GROUP BY k ORDER BY s LIMIT 3;",
              EFX_P_SELECT);
    is_placed(STREAMS "INSERT INTO X SELECT k, v FROM S OUTPUT FIRST EVERY 3 EVENTS;", EFX_P_LIMIT);
    is_placed(STREAMS "INSERT INTO X SELECT a.v AS x, b.v AS y FROM PATTERN (EVERY (a=A1 -> b=B1)) "
                      "WITHIN 1 MIN;",
              EFX_P_PATTERN);
    is_placed(STREAMS "INSERT INTO X SELECT S.k, v, d FROM S WINDOW('time', 1 SEC) JOIN U "
                      "WINDOW('time', 1 SEC) ON v > d;",
              EFX_P_JOIN);
    is_placed(STREAMS "INSERT INTO X SELECT S.k, v, d FROM S WINDOW('length', 5) JOIN U "
                      "WINDOW('time', 1 SEC) ON S.k = U.k;",
              EFX_P_JOIN);
}

static void what_follows__stays_split_while_the_key_is_the_same(void **state)
{
    (void)state;
    struct planned *p = plan_of(STREAMS "INSERT INTO M SELECT k, v FROM S WHERE v > 1;"
                                        "INSERT INTO X SELECT k, sum(v) AS s FROM M GROUP BY k;"
                                        "INSERT INTO Y SELECT v, count(*) AS n FROM M GROUP BY v;",
                                2);
    const struct efx_pnode *x = node_of(p, EFX_P_SELECT, "q2"), *y = node_of(p, EFX_P_SELECT, "q3");
    assert_false(x->split && y->split); /* one component has one key */
    done(p);
    p = plan_of(STREAMS "INSERT INTO M SELECT k, sum(v) AS s FROM S GROUP BY k;"
                        "INSERT INTO X SELECT k, max(s) AS m FROM M GROUP BY k;"
                        "INSERT INTO Y SELECT s, count(*) AS n FROM M GROUP BY s;",
                2);
    assert_true(node_of(p, EFX_P_SELECT, "q1")->split);
    assert_true(node_of(p, EFX_P_SELECT, "q2")->split);
    assert_false(node_of(p, EFX_P_SELECT, "q3")->split);
    done(p);
}

static void one_shard__splits_nothing(void **state)
{
    (void)state;
    struct planned *p =
        plan_of(STREAMS "INSERT INTO X SELECT k, sum(v) AS s FROM S GROUP BY k;", 1);
    const struct efx_pnode *n = node_of(p, EFX_P_SELECT, "q1");
    assert_false(n->split);
    assert_false(component_of(p, n)->split);
    done(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(e1__the_way_round_comes_first_if_its_query_does),
        cmocka_unit_test(e2__a_pattern_takes_its_streams_in_order_of_their_queries),
        cmocka_unit_test(e3__a_table_takes_writers_and_readers_in_passes),
        cmocka_unit_test(e4__a_read_that_reaches_its_own_write_runs_by_row),
        cmocka_unit_test(e5__a_split_window_feeds_a_placed_one),
        cmocka_unit_test(e6__a_flush_on_two_ways_keeps_its_rows_together),
        cmocka_unit_test(e7__a_limiter_sees_the_merged_order),
        cmocka_unit_test(streams_from_outside__bind_nothing_together),
        cmocka_unit_test(what_is_written_inside__binds_its_readers),
        cmocka_unit_test(several_rows_of_one_event__run_by_row),
        cmocka_unit_test(loops_and_tables_inside_expressions__run_by_row),
        cmocka_unit_test(consumers__stand_in_the_order_of_their_definition),
        cmocka_unit_test(filters_and_projections__are_split_by_anything),
        cmocka_unit_test(groups__are_split_by_their_columns),
        cmocka_unit_test(blocks_and_keyed_patterns__are_split_by_their_keys),
        cmocka_unit_test(joins_by_equality__are_split_by_the_equated_columns),
        cmocka_unit_test(what_looks_at_all_keys__is_placed),
        cmocka_unit_test(what_follows__stays_split_while_the_key_is_the_same),
        cmocka_unit_test(one_shard__splits_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
