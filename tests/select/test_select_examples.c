/* The worked examples of language.md, §3, §5, §6, that windows and the selector decide. */
#include "select_kit.h"

static void sum_v(struct kit *k)
{
    k->q.n_aggs = 1;
    k->q.agg[0].name = "sum";
    k->q.agg[0].arg = kit_col(k, KIT_V);
}

/* SELECT sum(v) */
static struct kit *only_sum(const char *window, int64_t p1, int64_t p2, bool all)
{
    struct kit *k = kit_new();
    sum_v(k);
    k->q.window = window;
    k->q.p1 = p1;
    k->q.p2 = p2;
    k->q.expired = all;
    k->q.n_out = 1;
    k->q.out[0] = kit_agg(k, 0, EFX_TYPE_LONG);
    return k;
}

/* SELECT a, sum(v) [GROUP BY a] */
static struct kit *a_and_sum(const char *window, int64_t p1, int64_t p2, bool group)
{
    struct kit *k = only_sum(window, p1, p2, false);
    k->q.n_out = 2;
    k->q.out[1] = k->q.out[0];
    k->q.out[0] = kit_col(k, KIT_A);
    k->q.n_group = group;
    k->q.group[0] = kit_col(k, KIT_A);
    return k;
}

static void ex_8__a_running_sum(void **state)
{
    (void)state;
    struct kit *k = a_and_sum(NULL, 0, 0, false);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1}, {"b", 2, 2}, {"a", 3, 3});
    kit_expect(k, " a,1@1 | b,3@2 | a,6@3 |");
    kit_close(k);
}

static void ex_9__a_running_sum_by_group(void **state)
{
    (void)state;
    struct kit *k = a_and_sum(NULL, 0, 0, true);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1}, {"b", 5, 2}, {"a", 2, 3});
    kit_expect(k, " a,1@1 | b,5@2 | a,3@3 |");
    kit_close(k);
}

static void ex_11__a_batch_shows_its_last_event(void **state)
{
    (void)state;
    struct kit *k = a_and_sum("lengthBatch", 2, 0, false);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1}, {"b", 2, 2}, {"c", 3, 3}, {"d", 4, 4});
    kit_expect(k, " | b,3@2 | | d,7@4 |");
    kit_close(k);
    k = a_and_sum("lengthBatch", 2, 0, false);
    k->q.expired = true;
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1}, {"b", 2, 2}, {"c", 3, 3}, {"d", 4, 4});
    kit_expect(k, " | b,3@2 | | b,NULL@4 d,7@4 |");
    kit_close(k);
}

static void ex_12__having_judges_the_final_row(void **state)
{
    (void)state;
    struct kit *k = only_sum("lengthBatch", 3, 0, false);
    k->q.having = kit_bx(k, EFX_BX_GT, EFX_TYPE_BOOL, kit_agg(k, 0, EFX_TYPE_LONG), kit_long(k, 5));
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1}, {"b", 7, 2}, {"c", -5, 3});
    kit_expect(k, " | | |");
    kit_close(k);
}

static void ex_13__kinds_of_length(void **state)
{
    static const char *const want[3] = {" 1@1 | 3@2 | 5@3 |", " 1@1 | 3@2 | 2@3 5@3 |",
                                        " | | 2@3 |"};
    (void)state;
    for (uint32_t i = 0; i < 3; i++) {
        struct kit *k = only_sum("length", 2, 0, i > 0);
        k->q.current = i < 2;
        kit_open(k);
        KIT_FEED(k, {"a", 1, 1}, {"a", 2, 2}, {"a", 3, 3});
        kit_expect(k, want[i]);
        kit_close(k);
    }
}

static void ex_17__order_and_limit_of_a_part(void **state)
{
    (void)state;
    struct kit *k = a_and_sum("lengthBatch", 5, 0, true);
    k->q.n_order = 1;
    k->q.order[0].by = kit_out(k, 1, EFX_TYPE_LONG);
    k->q.order[0].desc = true;
    k->q.limited = true;
    k->q.limit = 2;
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1}, {"b", 7, 2}, {"c", 3, 3}, {"a", 9, 4}, {"c", 2, 5});
    kit_expect(k, " | | | | a,10@4 b,7@2 |");
    kit_close(k);
}

static void ex_20__a_sum_too_large_is_an_error_of_its_row(void **state)
{
    (void)state;
    struct kit *k = only_sum(NULL, 0, 0, false);
    k->q.narrow = true;
    kit_open(k);
    KIT_FEED(k, {"a", 2000000000, 1}, {"b", 2000000000, 2}, {"c", -3000000000, 3});
    kit_expect(k, " 2000000000@1 | #3101 b@2 | 1000000000@3 |");
    kit_close(k);
}

static void ex_21__max_of_length(void **state)
{
    (void)state;
    struct kit *k = only_sum("length", 2, 0, false);
    k->q.agg[0].name = "max";
    kit_open(k);
    KIT_FEED(k, {"a", 9, 1}, {"a", 1, 2}, {"a", 2, 3});
    kit_expect(k, " 9@1 | 9@2 | 2@3 |");
    kit_close(k);
}

static void ex_22__time(void **state)
{
    (void)state;
    struct kit *k = only_sum("time", 100, 0, true);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1000}, {"a", 2, 1050}, {NULL, 0, 1100}, {NULL, 0, 1160}, {"a", 3, 1170});
    kit_expect(k, " 1@1000 | 3@1050 | 2@1100 | NULL@1150 | 3@1170 |");
    kit_close(k);
}

static void ex_28__groups_in_first_seen_order(void **state)
{
    (void)state;
    struct kit *k = a_and_sum("lengthBatch", 4, 0, true);
    kit_open(k);
    KIT_FEED(k, {"b", 1, 1}, {"a", 2, 2}, {"b", 3, 3}, {"c", 4, 4});
    kit_expect(k, " | | | b,4@3 a,2@2 c,4@4 |");
    kit_close(k);
}

static void ex_29__tumbling(void **state)
{
    (void)state;
    struct kit *k = only_sum("tumbling", 100, EFX_TS_NONE, false);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1000}, {"a", 2, 1050}, {"a", 3, 1100}, {NULL, 0, 1200}, {NULL, 0, 1300},
             {"a", 4, 1310}, {NULL, 0, 1500});
    kit_expect(k, " | | 3@1050 | 3@1100 | | | 4@1310 |");
    kit_close(k);
}

static void ex_30__origin(void **state)
{
    (void)state;
    struct kit *k = only_sum("tumbling", 100, 30, false);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1000}, {"a", 2, 1029}, {"a", 4, 1030}, {NULL, 0, 1130});
    kit_expect(k, " | | 3@1029 | 4@1030 |");
    kit_close(k);
}

static void tumbling__an_empty_batch_after_a_filled_one_lets_it_expire(void **state)
{
    (void)state;
    struct kit *k = only_sum("tumbling", 100, 0, true);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1000}, {"a", 2, 1100}, {NULL, 0, 1500}, {"a", 5, 1550}, {NULL, 0, 1600});
    kit_expect(k, " | 1@1000 | NULL@1200 2@1100 NULL@1300 | | 5@1550 |");
    kit_close(k);
}

static void ex_37__session_by_group(void **state)
{
    (void)state;
    struct kit *k = a_and_sum("session", 100, 0, true);
    k->q.agg[0].name = "count";
    k->q.agg[0].arg = NULL;
    kit_open(k);
    KIT_FEED(k, {"x", 1, 1000}, {"y", 1, 1030}, {"x", 1, 1080}, {NULL, 0, 1130}, {NULL, 0, 1180});
    kit_expect(k, " | | | y,1@1030 | x,2@1080 |");
    kit_close(k);
}

static void ex_38__a_late_event_joins_sessions(void **state)
{
    (void)state;
    struct kit *k = only_sum("session", 100, 50, false);
    k->q.session_by_a = true;
    k->q.agg[0].name = "count";
    k->q.agg[0].arg = NULL;
    kit_open(k);
    KIT_FEED(k, {"x", 1, 1000}, {"x", 1, 1040}, {"x", 1, 1145}, {"x", 1, 1060}, {NULL, 0, 1294},
             {NULL, 0, 1295});
    kit_expect(k, " | | | | | 4@1060 |");
    kit_close(k);
}

static void session__expired_rows_follow(void **state)
{
    (void)state;
    struct kit *k = a_and_sum("session", 100, 0, false);
    k->q.expired = true;
    kit_open(k);
    KIT_FEED(k, {"x", 1, 1000}, {"y", 2, 1050}, {"z", 4, 1500});
    kit_expect(k, " | | y,3@1050 y,NULL@1150 |");
    kit_close(k);
}

static void ex_101_and_102__partition(void **state)
{
    (void)state;
    struct kit *k = a_and_sum(NULL, 0, 0, false);
    k->q.partitioned = true;
    kit_open(k);
    KIT_FEED(k, {"x", 1, 1}, {"y", 2, 2}, {"x", 3, 3});
    kit_expect(k, " x,1@1 | y,2@2 | x,4@3 |");
    kit_close(k);
    k = a_and_sum("lengthBatch", 2, 0, false);
    k->q.partitioned = true;
    kit_open(k);
    KIT_FEED(k, {"x", 1, 1}, {"y", 2, 2}, {"x", 3, 3}, {"y", 4, 4});
    kit_expect(k, " | | x,4@3 | y,6@4 |");
    kit_close(k);
}

static void ex_124_and_125__late_rows(void **state)
{
    (void)state;
    struct kit *k = only_sum("time", 100, 0, true);
    kit_open(k);
    KIT_FEED(k, {NULL, 0, 1200}, {"a", 7, 1050});
    kit_expect(k, " | 7@1050 NULL@1200 |");
    kit_close(k);
    k = only_sum("tumbling", 100, EFX_TS_NONE, false);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1000}, {"a", 2, 1110}, {"a", 5, 1050}, {NULL, 0, 1200});
    kit_expect(k, " | 1@1000 | | 7@1050 |");
    kit_close(k);
}

static void ex_130__nulls(void **state)
{
    (void)state;
    struct kit *k = only_sum("length", 3, 0, false);
    k->q.n_aggs = 3;
    k->q.agg[1].name = "count";
    k->q.agg[1].arg = kit_col(k, KIT_V);
    k->q.agg[2].name = "count";
    k->q.n_out = 3;
    k->q.out[1] = kit_agg(k, 1, EFX_TYPE_LONG);
    k->q.out[2] = kit_agg(k, 2, EFX_TYPE_LONG);
    kit_open(k);
    KIT_FEED(k, {"a", 4, 1}, {"a", 5, 2}, {"a", KIT_NULL, 3}, {"a", KIT_NULL, 4},
             {"a", KIT_NULL, 5});
    kit_expect(k, " 4,1,1@1 | 9,2,2@2 | 9,2,3@3 | 5,1,3@4 | NULL,0,3@5 |");
    kit_close(k);
}

static void ex_131__filter_and_distinct(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    k->q.n_aggs = 2;
    k->q.agg[0].name = "count";
    k->q.agg[0].filter = kit_bx(k, EFX_BX_GT, EFX_TYPE_BOOL, kit_col(k, KIT_V), kit_long(k, 9));
    k->q.agg[1].name = "distinctCount";
    k->q.agg[1].arg = kit_col(k, KIT_A);
    k->q.n_out = 2;
    k->q.out[0] = kit_agg(k, 0, EFX_TYPE_LONG);
    k->q.out[1] = kit_agg(k, 1, EFX_TYPE_LONG);
    kit_open(k);
    KIT_FEED(k, {"x", 5, 1}, {"y", 20, 2}, {"x", 30, 3});
    kit_expect(k, " 0,1@1 | 1,2@2 | 2,2@3 |");
    kit_close(k);
}

static void ex_132__first_last_min(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    k->q.window = "length";
    k->q.p1 = 2;
    static const char *const names[] = {"first", "last", "min"};
    k->q.n_aggs = k->q.n_out = 3;
    for (uint32_t i = 0; i < 3; i++) {
        k->q.agg[i].name = names[i];
        k->q.agg[i].arg = kit_col(k, KIT_A);
        k->q.out[i] = kit_agg(k, i, EFX_TYPE_STRING);
    }
    kit_open(k);
    KIT_FEED(k, {"b", 1, 1}, {"a", 1, 2}, {"c", 1, 3});
    kit_expect(k, " b,b,b@1 | b,a,a@2 | a,c,a@3 |");
    kit_close(k);
}

static void groups__forget_after_their_time_to_live(void **state)
{
    (void)state;
    struct kit *k = a_and_sum(NULL, 0, 0, true);
    k->q.ttl_ms = 100;
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1000}, {"b", 2, 1050}, {"a", 3, 1100}, {"b", 4, 1151}, {"a", 5, 1201});
    kit_expect(k, " a,1@1000 | b,2@1050 | a,4@1100 | b,4@1151 | a,5@1201 |");
    kit_close(k);
}

static void row_sets__of_a_join_are_sorted_and_cut(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    k->q.sets_in = true;
    k->q.n_out = 2;
    k->q.out[0] = kit_col(k, KIT_A);
    k->q.out[1] = kit_col(k, KIT_V);
    k->q.n_order = 1;
    k->q.order[0].by = kit_out(k, 1, EFX_TYPE_LONG);
    k->q.limited = true;
    k->q.limit = 2;
    k->q.offset = 1;
    kit_open(k);
    const struct kit_event e[] = {{"a", 5, 1}, {"b", KIT_NULL, 1}, {"c", 3, 1}, {"d", 5, 1},
                                  {"e", 1, 2}, {"f", 9, 3},        {"g", 8, 3}};
    const struct kit_mark in_set = {0, false, false}, last = {0, true, false};
    const struct kit_mark marks[] = {in_set, in_set, in_set, last, last, in_set, last};
    k->marks = marks;
    kit_step(k, e, 7, false);
    kit_expect(k, " a,5@1 d,5@1 f,9@3");
    kit_step(k, e, 7, true);
    kit_expect(k, " a,5@1 d,5@1 f,9@3");
    kit_close(k);
}

static void kinds__that_arrive_are_taken_out(void **state)
{
    (void)state;
    struct kit *k = a_and_sum(NULL, 0, 0, true);
    k->q.kinds_in = true;
    k->q.expired = true;
    kit_open(k);
    const struct kit_event e[] = {{"a", 5, 10}, {"b", 1, 11}, {"a", 5, 12},
                                  {"a", 7, 13}, {"a", 0, 14}, {"b", 2, 15}};
    const struct kit_mark in = {0, false, false}, out = {EFX_ROW_EXPIRED, false, false},
                          reset = {EFX_ROW_RESET, false, false};
    const struct kit_mark marks[] = {in, in, out, in, reset, in};
    k->marks = marks;
    kit_step(k, e, 6, false);
    kit_expect(k, " a,5@10 b,1@11 a,NULL@12 a,7@13 b,2@15");
    kit_close(k);
}

/* A row on the boundary belongs to the next batch even if a trigger of that time made it, which
 * comes before the window's timer; a late one is still counted. */
static void tumbling__rows_of_earlier_timers_on_the_boundary(void **state)
{
    static const struct kit_mark by_timer = {0, false, true};
    (void)state;
    for (uint32_t expired = 0; expired < 2; expired++) {
        struct kit *k = only_sum("tumbling", 100, 0, expired == 1);
        k->marks = &by_timer;
        kit_open(k);
        KIT_FEED(k, {"a", 1, 1000}, {"a", 2, 1050}, {"a", 4, 1100}, {"a", 8, 1150}, {NULL, 0, 1190},
                 {"a", 16, 1200});
        kit_expect(k, expired == 0 ? " | | 3@1050 | | | 12@1150 |"
                                   : " | | 3@1050 | | | NULL@1200 12@1150 |");
        kit_close(k);
        k = only_sum("tumbling", 100, 0, expired == 1);
        kit_open(k);
        KIT_FEED(k, {"a", 1, 1000}, {"a", 2, 1099});
        k->marks = &by_timer;
        k->clk_ms = 1100; /* its timer has yet to fire */
        KIT_FEED(k, {"a", 4, 1050});
        kit_expect(k, " | | 7@1050 |");
        kit_close(k);
    }
}

static void an_argument_that_fails__costs_its_row_only(void **state)
{
    (void)state;
    struct kit *k = a_and_sum("length", 2, 0, false);
    k->q.agg[0].arg = kit_bx(k, EFX_BX_NARROW, EFX_TYPE_INT, kit_col(k, KIT_V), NULL);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1}, {"b", 3000000000, 2}, {"c", 5, 3});
    kit_expect(k, " a,1@1 | #3101 b@2 | c,5@3 |");
    kit_close(k);
}

static void a_group_key_that_fails__does_not_enter(void **state)
{
    (void)state;
    struct kit *k = a_and_sum("lengthBatch", 2, 0, true);
    k->q.group[0] = kit_bx(k, EFX_BX_NARROW, EFX_TYPE_INT, kit_col(k, KIT_V), NULL);
    kit_open(k);
    KIT_FEED(k, {"a", 1, 1}, {"b", 3000000000, 2}, {"c", 1, 3});
    kit_expect(k, " | #3101 b@2 | c,2@3 |");
    kit_close(k);
}

/* Every request for memory is refused once: the call says so and nothing is lost or leaked. */
static void memory__may_be_refused_anywhere(void **state)
{
    static const char *const windows[] = {NULL,          "length",   "time",
                                          "lengthBatch", "tumbling", "session"};
    const struct kit_event e[] = {{"x", 1, 1000},
                                  {"a text of more than twelve bytes", 2, 1010},
                                  {"x", 3, 1100},
                                  {"y", 4, 1300},
                                  {NULL, 0, 1700}};
    (void)state;
    for (uint32_t i = 0; i < 24; i++) {
        enum efx_rc rc = EFX_ENOMEM;
        for (uint32_t at = 0; rc != EFX_OK; at++) {
            struct kit *k = a_and_sum(windows[i % 6], 2, EFX_TS_NONE, i / 6 % 2 == 1);
            k->q.p1 = i % 6 == 2 || i % 6 > 3 ? 50 : 2;
            k->q.p2 = i % 6 == 5 ? 0 : k->q.p2;
            k->q.expired = i % 2 == 0;
            k->q.partitioned = i / 12 == 1;
            kit_open(k);
            k->op->vt->close(k->op);
            k->mem = test_mem_make(at);
            rc = kit_create(k);
            rc = rc == EFX_OK ? kit_try(k, e, 5, at % 2 == 0) : rc;
            assert_true(rc == EFX_OK || rc == EFX_ENOMEM);
            kit_close(k);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ex_8__a_running_sum),
        cmocka_unit_test(ex_9__a_running_sum_by_group),
        cmocka_unit_test(ex_11__a_batch_shows_its_last_event),
        cmocka_unit_test(ex_12__having_judges_the_final_row),
        cmocka_unit_test(ex_13__kinds_of_length),
        cmocka_unit_test(ex_17__order_and_limit_of_a_part),
        cmocka_unit_test(ex_20__a_sum_too_large_is_an_error_of_its_row),
        cmocka_unit_test(ex_21__max_of_length),
        cmocka_unit_test(ex_22__time),
        cmocka_unit_test(ex_28__groups_in_first_seen_order),
        cmocka_unit_test(ex_29__tumbling),
        cmocka_unit_test(ex_30__origin),
        cmocka_unit_test(tumbling__an_empty_batch_after_a_filled_one_lets_it_expire),
        cmocka_unit_test(ex_37__session_by_group),
        cmocka_unit_test(ex_38__a_late_event_joins_sessions),
        cmocka_unit_test(session__expired_rows_follow),
        cmocka_unit_test(ex_101_and_102__partition),
        cmocka_unit_test(ex_124_and_125__late_rows),
        cmocka_unit_test(ex_130__nulls),
        cmocka_unit_test(ex_131__filter_and_distinct),
        cmocka_unit_test(ex_132__first_last_min),
        cmocka_unit_test(groups__forget_after_their_time_to_live),
        cmocka_unit_test(row_sets__of_a_join_are_sorted_and_cut),
        cmocka_unit_test(kinds__that_arrive_are_taken_out),
        cmocka_unit_test(tumbling__rows_of_earlier_timers_on_the_boundary),
        cmocka_unit_test(an_argument_that_fails__costs_its_row_only),
        cmocka_unit_test(a_group_key_that_fails__does_not_enter),
        cmocka_unit_test(memory__may_be_refused_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
