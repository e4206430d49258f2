/* The worked examples of language §8 that chains with EVERY at the start can say, and the edges. */
#include "op/pattern_kit.h"

enum { A = 0, B = 1, C = 2, OPEN = UINT32_MAX };

#define ONE(in_)                                                                                   \
    {                                                                                              \
        .input = (in_)                                                                             \
    }
#define IF(in_, f_)                                                                                \
    {                                                                                              \
        .input = (in_), .filter = (f_)                                                             \
    }
#define MANY(in_, m_, n_)                                                                          \
    {                                                                                              \
        .input = (in_), .min = (m_), .max = (n_)                                                   \
    }
#define MANY_IF(in_, m_, n_, f_)                                                                   \
    {                                                                                              \
        .input = (in_), .min = (m_), .max = (n_), .filter = (f_)                                   \
    }
#define V(e) kit_ref((e), KIT_V)
#define CAND kit_cand(KIT_V)
#define ELEMS(...)                                                                                 \
    (const struct kit_elem[])                                                                      \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }
#define OUTS(...)                                                                                  \
    (struct efx_bx *[])                                                                            \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static struct kit *chain(enum kit_every every, uint32_t n, const struct kit_elem *elems,
                         struct efx_bx *const *outs)
{
    return kit_new(kit_pattern(every, n, elems), outs);
}

static void once__matches_once(void **state) /* Ex 54 */
{
    (void)state;
    struct kit *t = chain(KIT_ONCE, 2, ELEMS(ONE(A), ONE(B)), OUTS(V(0), V(1)));
    kit_expect(t, "A1 A2 B10", "(1,10)");
    kit_expect(t, "A3 B11", "");
    kit_free(t);
}

static void every__begins_with_every_event(void **state) /* Ex 55, 56 */
{
    (void)state;
    for (enum kit_every e = KIT_EVERY_FIRST; e <= KIT_EVERY_ALL; e++) {
        struct kit *t = chain(e, 2, ELEMS(ONE(A), ONE(B)), OUTS(V(0), V(1)));
        kit_expect(t, "A1 A2 B10", "(1,10) (2,10)");
        kit_expect(t, "B11", "");
        kit_expect(t, "A3 B12", "(3,12)");
        kit_free(t);
    }
}

static void skip_past_last_row__shares_no_events(void **state) /* Ex 56, 60 */
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_ALL, 2, ELEMS(ONE(A), ONE(B)));
    p->skip_past_last_row = true;
    struct kit *t = kit_new(p, OUTS(V(0), V(1)));
    kit_expect(t, "A1 A2 B10", "(1,10)");
    kit_expect(t, "B11", "");
    kit_expect(t, "A3 A4 B12", "(3,12)");
    kit_free(t);
    p = kit_pattern(KIT_EVERY_ALL, 2, ELEMS(ONE(A), ONE(A)));
    p->skip_past_last_row = true;
    t = kit_new(p, OUTS(V(0), V(1)));
    kit_expect(t, "A1 A2", "(1,2)");
    kit_expect(t, "A3", "");
    kit_expect(t, "A4", "(3,4)");
    kit_free(t);
}

static void every__overlaps_on_one_stream(void **state) /* Ex 59, 60 */
{
    (void)state;
    struct kit *t =
        chain(KIT_EVERY_FIRST, 3, ELEMS(ONE(A), ONE(A), ONE(A)), OUTS(V(0), V(1), V(2)));
    kit_expect(t, "A1 A2", "");
    kit_expect(t, "A3", "(1,2,3)");
    kit_expect(t, "A4", "(2,3,4)");
    kit_expect(t, "A5", "(3,4,5)");
    kit_free(t);
    t = chain(KIT_EVERY_ALL, 2, ELEMS(ONE(A), ONE(A)), OUTS(V(0), V(1)));
    kit_expect(t, "A1 A2 A3 A4", "(1,2) (2,3) (3,4)");
    kit_free(t);
}

static void filter__compares_with_earlier_elements(void **state) /* Ex 61 */
{
    (void)state;
    struct kit *t = chain(
        KIT_EVERY_FIRST, 3,
        ELEMS(ONE(A), IF(A, kit_is(EFX_BX_GT, CAND, V(0))), IF(A, kit_is(EFX_BX_LT, V(1), CAND))),
        OUTS(V(0), V(1), V(2)));
    kit_expect(t, "A1 A5 A3 A9", "(1,5,9)");
    kit_expect(t, "A4 A10", "(5,9,10) (3,9,10)");
    kit_free(t);
}

static void count__collects_until_the_next_binds(void **state) /* Ex 62, 63 */
{
    (void)state;
    struct efx_bx **outs =
        OUTS(kit_at(0, 0, KIT_V), kit_at(0, 1, KIT_V), kit_at(0, 2, KIT_V), V(1));
    struct kit *t = chain(KIT_ONCE, 2, ELEMS(MANY(A, 2, 3), ONE(B)), outs);
    kit_expect(t, "A1 B9 A2 B10", "(1,2,NULL,10)");
    kit_free(t);
    t = chain(KIT_ONCE, 2, ELEMS(MANY(A, 2, 3), ONE(B)), outs);
    kit_expect(t, "A1 A2 A3 A4 B10", "(1,2,3,10)");
    kit_free(t);
}

static void count__re_arms_when_complete(void **state) /* Ex 64, 66 */
{
    (void)state;
    struct kit *t =
        chain(KIT_EVERY_FIRST, 2, ELEMS(MANY(A, 2, 3), ONE(B)),
              OUTS(kit_at(0, 0, KIT_V), kit_at(0, 1, KIT_V), kit_at(0, 2, KIT_V), V(1)));
    kit_expect(t, "A1 A2 A3 A4 A5 B10", "(1,2,3,10) (3,4,5,10)");
    kit_free(t);
    t = chain(KIT_EVERY_FIRST, 1, ELEMS(MANY(A, 2, OPEN)),
              OUTS(kit_at(0, 0, KIT_V), kit_at(0, 1, KIT_V)));
    kit_expect(t, "A1 A2", "(1,2)");
    kit_expect(t, "A3 A4", "(3,4)");
    kit_free(t);
}

static void count__from_zero_is_complete_when_reached(void **state) /* Ex 65 */
{
    (void)state;
    struct kit *t = chain(KIT_ONCE, 3, ELEMS(ONE(A), MANY(B, 0, 2), ONE(C)),
                          OUTS(V(0), kit_at(1, 0, KIT_V), kit_agg(1, EFX_NO_COL), V(2)));
    kit_expect(t, "A1 C9", "(1,NULL,0,9)");
    kit_free(t);
}

static void count__with_filters_ignores_what_does_not_fit(void **state) /* Ex 67 */
{
    (void)state;
    struct kit *t =
        chain(KIT_ONCE, 2,
              ELEMS(MANY_IF(A, 2, OPEN, kit_is(EFX_BX_GT, CAND, kit_long(10))),
                    IF(A, kit_is(EFX_BX_LT, CAND, kit_long(5)))),
              OUTS(kit_at(0, 0, KIT_V), kit_last(0, 1, KIT_V), kit_last(0, 0, KIT_V), V(1)));
    kit_expect(t, "A11 A7 A12 A13 A4", "(11,12,13,4)");
    kit_free(t);
}

static void count__in_the_middle_is_of_each_copy(void **state) /* Ex 68 */
{
    (void)state;
    struct kit *t =
        chain(KIT_EVERY_FIRST, 3, ELEMS(ONE(A), MANY(B, 2, 3), ONE(C)),
              OUTS(V(0), kit_at(1, 0, KIT_V), kit_at(1, 1, KIT_V), kit_at(1, 2, KIT_V), V(2)));
    kit_expect(t, "A1 B2 A3 B4 B5 C9", "(1,2,4,5,9) (3,4,5,NULL,9)");
    kit_free(t);
}

static void every__over_an_optional_first(void **state) /* Ex 140 */
{
    (void)state;
    struct kit *t = chain(KIT_EVERY_FIRST, 2, ELEMS(MANY(A, 0, OPEN), ONE(B)),
                          OUTS(kit_at(0, 0, KIT_V), kit_agg(0, EFX_NO_COL), V(1)));
    kit_expect(t, "A1 B2", "(1,1,2) (NULL,0,2)");
    kit_expect(t, "B3", "(NULL,0,3)");
    kit_free(t);
}

static void within__is_inclusive(void **state) /* Ex 90, 91 */
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)));
    p->within_ms = 10;
    struct kit *t = kit_new(p, OUTS(V(0), V(1)));
    kit_expect(t, "A1@1 A2@5 B9@12", "(2,9)");
    kit_expect(t, "A3@20 B8@30", "(3,8)");
    kit_expect(t, "A4@40 B5@51", "");
    kit_free(t);
    p = kit_pattern(KIT_EVERY_ALL, 2, ELEMS(ONE(A), ONE(B)));
    p->within_ms = 10;
    t = kit_new(p, OUTS(V(0), V(1)));
    kit_expect(t, "A1@1 B@12 A3@26 A4@37 B9@38", "(4,9)");
    kit_free(t);
}

static void within__gives_an_expired_row(void **state) /* Ex 93 */
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)));
    p->root->within_ms = 10;
    struct kit *t = kit_new(p, OUTS(V(0), V(1)));
    t->conf.expired = t->with_ts = true;
    kit_expect(t, "A1@1 !11", "");
    kit_expect(t, "!12", "-(1,NULL)@11");
    kit_expect(t, "A2@20 B3@25 A4@27", "(2,3)@25");
    kit_expect(t, "A5@50", "-(4,NULL)@37");
    kit_free(t);
}

static void within__kills_the_only_partial_for_good(void **state)
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_ONCE, 2, ELEMS(ONE(A), ONE(B)));
    p->within_ms = 10;
    struct kit *t = kit_new(p, OUTS(V(0), V(1)));
    kit_expect(t, "A1@1 A2@20 B3@21", "");
    kit_free(t);
}

static void within__re_arms_an_incomplete_copy_for_this_event(void **state)
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_FIRST, 1, ELEMS(MANY(A, 2, 2)));
    p->within_ms = 10;
    struct kit *t = kit_new(p, OUTS(kit_at(0, 0, KIT_V), kit_at(0, 1, KIT_V)));
    kit_expect(t, "A1@1 A2@20 A3@25", "(2,3)");
    kit_free(t);
}

static void within_events__counts_the_streams_named(void **state) /* Ex 92 */
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)));
    p->root->within_events = 3;
    struct kit *t = kit_new(p, OUTS(V(0), V(1)));
    kit_expect(t, "A1 A2 A3 B9", "(2,9) (3,9)");
    kit_move(t);
    kit_expect(t, "A4 C1 B5", "(4,5)");
    kit_free(t);
}

static void late__timestamps_decide(void **state) /* §16.4 */
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)));
    p->within_ms = 10;
    struct kit *t = kit_new(p, OUTS(V(0), V(1)));
    kit_expect(t, "A1@100 B2@95", "(1,2)");
    kit_expect(t, "A3@100 B4@89", "");
    kit_expect(t, "B5@110", "(3,5)");
    kit_expect(t, "A6@99 B7@105", ""); /* begins beyond its own limit */
    kit_expect(t, "A8@101 B9@111", "(8,9)");
    kit_free(t);
}

static void partition_by__keeps_a_machine_a_key(void **state) /* Ex 95 */
{
    (void)state;
    struct efx_bx *key = kit_ref(EFX_BX_SRC_KEY, 0);
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)));
    kit_partition_by(p, KIT_K);
    key->type = EFX_TYPE_LONG;
    struct kit *t = kit_new(p, OUTS(key, V(0), V(1)));
    kit_expect(t, "A1:1 A2:2 B9:1", "(1,1,9)");
    kit_expect(t, "B8:2", "(2,2,8)");
    kit_expect(t, "A5:-9223372036854775808 B6:-9223372036854775808", "");
    kit_free(t);
    p = kit_pattern(KIT_ONCE, 2, ELEMS(ONE(A), ONE(B)));
    kit_partition_by(p, KIT_K);
    t = kit_new(p, OUTS(key, V(0), V(1)));
    kit_expect(t, "A1:1 A2:2 B9:1 A3:1 B7:1 B8:2 A5:3 B4:3", "(1,1,9) (2,2,8) (3,5,4)");
    kit_free(t);
}

static void partition_by__expired_rows_go_by_creation_of_the_key(void **state)
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)));
    p->within_ms = 10;
    kit_partition_by(p, KIT_K);
    struct kit *t = kit_new(p, OUTS(V(0), V(1)));
    t->conf.expired = true;
    kit_expect(t, "B9:2@1 A1:1@5 A2:2@5 !20", "-(2,NULL) -(1,NULL)");
    kit_free(t);
}

static void aggregates__over_a_counted_element(void **state) /* Ex 96 */
{
    (void)state;
    struct kit *t = chain(KIT_ONCE, 1, ELEMS(MANY(A, 3, 3)),
                          OUTS(kit_agg(0, EFX_NO_COL), kit_agg(0, KIT_V), kit_last(0, 0, KIT_V)));
    kit_expect(t, "A10 A20 A60", "(3,90,60)");
    kit_free(t);
    t = chain(KIT_EVERY_FIRST, 2,
              ELEMS(MANY(A, 1, OPEN), IF(B, kit_is(EFX_BX_GT, CAND, kit_agg(0, KIT_V)))),
              OUTS(kit_agg(0, KIT_V), V(1)));
    kit_expect(t, "A1 A2 B2 B4", "(3,4) (2,4)");
    kit_free(t);
}

static void own_filter__sees_the_events_before(void **state)
{
    (void)state;
    struct efx_bx *first = kit_is(EFX_BX_IS_NULL, kit_last(0, 0, KIT_V), NULL);
    struct efx_bx *rising = kit_is(EFX_BX_GT, CAND, kit_last(0, 0, KIT_V));
    struct kit *t =
        chain(KIT_EVERY_FIRST, 2, ELEMS(MANY_IF(A, 3, 3, kit_is(EFX_BX_OR, first, rising)), ONE(B)),
              OUTS(kit_at(0, 0, KIT_V), kit_at(0, 1, KIT_V), kit_at(0, 2, KIT_V), V(1)));
    kit_expect(t, "A5 A3 A6 A6 A9 B1", "(5,6,9,1)");
    kit_free(t);
}

static void null__equals_nothing(void **state)
{
    (void)state;
    struct kit *t =
        chain(KIT_EVERY_FIRST, 2,
              ELEMS(ONE(A), IF(B, kit_is(EFX_BX_EQ, kit_cand(KIT_K), kit_ref(0, KIT_K)))),
              OUTS(V(0), V(1)));
    kit_expect(t, "A1:-9223372036854775808 A2:4 B3:-9223372036854775808 B4:4", "(2,4)");
    kit_free(t);
}

static void correlation__keeps_ages_in_order(void **state)
{
    (void)state;
    struct efx_bx *same = kit_is(EFX_BX_EQ, kit_ref(0, KIT_K), kit_cand(KIT_K));
    struct kit *t =
        chain(KIT_EVERY_FIRST, 3,
              ELEMS(ONE(A), IF(B, kit_and(same, kit_is(EFX_BX_GT, CAND, V(0)))), IF(C, same)),
              OUTS(V(0), V(1), V(2)));
    kit_expect(t, "A7:1 A3:1 A1:2 B5:1 B8:1 C1:2 C9:1", "(7,8,9) (3,5,9)");
    kit_free(t);
}

static void limit__of_partials_refuses_the_event(void **state)
{
    (void)state;
    struct kit *t = chain(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)), OUTS(V(0), V(1)));
    t->conf.max_partials = 2;
    kit_expect(t, "A1 A2 A3 B4", "(1,4) (2,4)");
    assert_int_equal(t->n_errors, 1);
    assert_int_equal(t->last_error, 3106);
    kit_expect(t, "A5 B6", "(5,6)");
    kit_free(t);
}

static void copies_of_a_partition__do_not_meet(void **state)
{
    (void)state;
    struct efx_bpattern *p = kit_pattern(KIT_ONCE, 2, ELEMS(ONE(A), ONE(B)));
    struct kit *t = kit_new(p, OUTS(V(0), V(1)));
    t->partitioned = t->conf.keep_hidden = true;
    for (uint32_t i = 0; i < KIT_INPUTS; i++) {
        t->in[i].partitioned = true;
    }
    kit_expect(t, "A1:1 A2:2 B8:2 B9:1 A3:1 B4:1", "(2,8,2,2) (1,9,1,1)");
    kit_free(t);
}

static void optional_end__is_the_match_when_reached(void **state)
{
    (void)state;
    struct kit *t =
        chain(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), MANY(B, 0, 2)), OUTS(V(0), kit_at(1, 0, KIT_V)));
    kit_expect(t, "A1 B2 A3", "(1,NULL) (3,NULL)");
    kit_free(t);
}

static void state__comes_back_after_a_save(void **state)
{
    (void)state;
    struct efx_bx *same = kit_is(EFX_BX_EQ, kit_ref(0, KIT_K), kit_cand(KIT_K));
    struct efx_bpattern *p = kit_pattern(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), IF(B, same)));
    p->within_ms = 10;
    struct kit *t = kit_new(p, OUTS(V(0), kit_ref(0, KIT_S), V(1)));
    kit_expect(t, "A1:1@1 A2:2@2 A3:1@3", "");
    kit_move(t);
    kit_expect(t, "B9:1@4", "(1,x,9) (3,x,9)");
    kit_move(t);
    kit_expect(t, "B8:2@12", "(2,x,8)");
    kit_free(t);
}

static void save__shows_the_mark_not_what_came_after(void **state)
{
    (void)state;
    struct kit *t = chain(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)), OUTS(V(0), V(1)));
    kit_feed(t, "A1 A2");
    struct kit_save *s = kit_save_begin(t);
    kit_expect(t, "A3 B9 A4", "(1,9) (2,9) (3,9)");
    kit_save_rest(t, s);
    t->op->vt->close(t->op);
    kit_make_op(t);
    kit_load_from(t, s);
    assert_int_equal(t->op->vt->load_end(t->op, NULL), EFX_OK);
    kit_expect(t, "B5", "(1,5) (2,5)");
    kit_save_fini(s);
    kit_free(t);
}

static void save__voids_what_an_earlier_one_had(void **state)
{
    (void)state;
    struct kit *t = chain(KIT_EVERY_FIRST, 2, ELEMS(ONE(A), ONE(B)), OUTS(V(0), V(1)));
    kit_feed(t, "A1 A2");
    struct kit_save *base = kit_save_begin(t);
    kit_save_rest(t, base);
    kit_feed(t, "B3");
    struct kit_save *delta = kit_save_begin(t);
    kit_save_rest(t, delta);
    t->op->vt->close(t->op);
    kit_make_op(t);
    kit_load_from(t, base);
    kit_load_from(t, delta);
    assert_int_equal(t->op->vt->load_end(t->op, NULL), EFX_OK);
    kit_expect(t, "B5", "");
    kit_save_fini(base);
    kit_save_fini(delta);
    kit_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once__matches_once),
        cmocka_unit_test(every__begins_with_every_event),
        cmocka_unit_test(skip_past_last_row__shares_no_events),
        cmocka_unit_test(every__overlaps_on_one_stream),
        cmocka_unit_test(filter__compares_with_earlier_elements),
        cmocka_unit_test(count__collects_until_the_next_binds),
        cmocka_unit_test(count__re_arms_when_complete),
        cmocka_unit_test(count__from_zero_is_complete_when_reached),
        cmocka_unit_test(count__with_filters_ignores_what_does_not_fit),
        cmocka_unit_test(count__in_the_middle_is_of_each_copy),
        cmocka_unit_test(every__over_an_optional_first),
        cmocka_unit_test(within__is_inclusive),
        cmocka_unit_test(within__gives_an_expired_row),
        cmocka_unit_test(within__kills_the_only_partial_for_good),
        cmocka_unit_test(within__re_arms_an_incomplete_copy_for_this_event),
        cmocka_unit_test(within_events__counts_the_streams_named),
        cmocka_unit_test(late__timestamps_decide),
        cmocka_unit_test(partition_by__keeps_a_machine_a_key),
        cmocka_unit_test(partition_by__expired_rows_go_by_creation_of_the_key),
        cmocka_unit_test(aggregates__over_a_counted_element),
        cmocka_unit_test(own_filter__sees_the_events_before),
        cmocka_unit_test(null__equals_nothing),
        cmocka_unit_test(correlation__keeps_ages_in_order),
        cmocka_unit_test(limit__of_partials_refuses_the_event),
        cmocka_unit_test(copies_of_a_partition__do_not_meet),
        cmocka_unit_test(optional_end__is_the_match_when_reached),
        cmocka_unit_test(state__comes_back_after_a_save),
        cmocka_unit_test(save__shows_the_mark_not_what_came_after),
        cmocka_unit_test(save__voids_what_an_earlier_one_had),
    };
    return cmocka_run_group_tests(tests, kit_setup, kit_teardown);
}
