/* Parts of the pattern automaton by themselves: wait lists, limits, hashes, the split. */
#include "efx_test.h"

#include "nfa_partial.h"

#include <math.h>
#include <stdlib.h>

enum { IDS = 600, HASHES = 40 };

struct bench {
    struct efx_ctx ctx;
    struct efx_arena arena;
    struct efx_nfa_elem elem;
    struct efx_nfa nfa;
    struct efx_nfa_pool pool;
    uint32_t id[IDS];
};

static int setup(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    assert_non_null(b);
    efx_ctx_init(&b->ctx, &efx_mem_libc);
    efx_arena_init(&b->arena, &efx_mem_libc, SIZE_MAX);
    b->nfa = (struct efx_nfa){.n_elems = 1, .elems = &b->elem, .within_ms = 10};
    b->nfa.bound_off = b->nfa.valid_off = b->nfa.stride =
        (uint32_t)(sizeof(struct efx_nfa_partial) + sizeof(struct efx_nfa_node));
    assert_int_equal(efx_nfa__pool_init(&b->pool, &b->nfa, &b->arena, &efx_mem_libc, &b->ctx),
                     EFX_OK);
    for (uint32_t i = 0; i < IDS; i++) {
        assert_int_equal(efx_nfa__alloc(&b->pool, &b->id[i]), EFX_OK);
    }
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    efx_nfa__pool_fini(&b->pool);
    efx_arena_fini(&b->arena);
    efx_ctx_fini(&b->ctx);
    free(b);
    return 0;
}

/* The list is what `where` says: the ids of that hash, oldest first. */
static void check_list(const struct bench *b, const uint32_t *where, uint32_t hash)
{
    uint32_t node = efx_nfa__find(&b->pool.wait[0], efx_hash_u64(hash));
    for (uint32_t i = 0; i < IDS; i++) {
        if (where[i] == hash) {
            assert_int_equal(node, b->id[i] + 1);
            node = efx_nfa__next(&b->pool, node);
        }
    }
    assert_int_equal(node, 0);
}

static void wait_lists__keep_who_waits_by_age(void **state)
{
    struct bench *b = *state;
    uint32_t where[IDS] = {0}; /* 0 = nowhere */
    uint64_t seed = 5;
    for (uint32_t step = 0; step < 4000; step++) {
        uint32_t i = (uint32_t)(efx_test_rand(&seed) % IDS);
        if (where[i] != 0) {
            efx_nfa__unlink(&b->pool, 0, b->id[i], 0);
            where[i] = 0;
        } else {
            where[i] = 1 + (uint32_t)(efx_test_rand(&seed) % HASHES) * (step % 7 == 0 ? 1 : 50);
            assert_int_equal(efx_nfa__link(&b->pool, 0, b->id[i], 0, efx_hash_u64(where[i])),
                             EFX_OK);
        }
        check_list(b, where, 1 + (uint32_t)(efx_test_rand(&seed) % HASHES) * 50);
        if (where[i] != 0) {
            check_list(b, where, where[i]);
        }
    }
}

static uint32_t least(const struct bench *b, const bool *in)
{
    uint32_t first = EFX_NFA_NO;
    int64_t ms = INT64_MAX;
    for (uint32_t i = 0; i < IDS; i++) {
        const struct efx_nfa_partial *p = efx_nfa__at(&b->pool, b->id[i]);
        if (in[i] && p->first_ms < ms) {
            first = b->id[i];
            ms = p->first_ms;
        }
    }
    return first;
}

static void limits__come_by_time_whatever_the_order_of_arrival(void **state)
{
    struct bench *b = *state;
    bool in[IDS] = {false};
    uint64_t seed = 9;
    for (uint32_t step = 0; step < 6000; step++) {
        uint32_t i = (uint32_t)(efx_test_rand(&seed) % IDS);
        if (in[i]) {
            efx_nfa__due_del(&b->pool, b->id[i]);
        } else {
            uint64_t late = efx_test_rand(&seed) % 3 == 0 ? efx_test_rand(&seed) % 2000 : 0;
            efx_nfa__at(&b->pool, b->id[i])->first_ms = (int64_t)step - (int64_t)late;
            assert_int_equal(efx_nfa__due_add(&b->pool, b->id[i]), EFX_OK);
        }
        in[i] = !in[i];
        uint32_t first = least(b, in);
        assert_int_equal(efx_nfa__due_first(&b->pool), first);
        assert_true(b->pool.dues.least_ms ==
                    (first == EFX_NFA_NO ? EFX_NEVER_MS : efx_nfa__at(&b->pool, first)->first_ms));
    }
}

static uint64_t hash_of(enum efx_type t, const void *data)
{
    struct efx_col col = {.type = t, .data = data};
    uint32_t at = 0;
    uint64_t hash = 1;
    efx_nfa__hash_col(&hash, true, &col, &at, 1);
    assert_true(hash == efx_nfa__hash_value(0, t, data));
    return hash;
}

static void hashes__are_equal_where_values_are(void **state)
{
    (void)state;
    double zeros[] = {0.0, -0.0}, nans[] = {NAN, -NAN};
    int32_t i = -7;
    int64_t l = -7;
    struct efx_cell a = efx_cell_make("a text that is long", 19);
    char copy[] = "a text that is long";
    struct efx_cell c = efx_cell_make(copy, 19);
    assert_true(hash_of(EFX_TYPE_DOUBLE, &zeros[0]) == hash_of(EFX_TYPE_DOUBLE, &zeros[1]));
    assert_true(hash_of(EFX_TYPE_DOUBLE, &nans[0]) == hash_of(EFX_TYPE_DOUBLE, &nans[1]));
    assert_true(hash_of(EFX_TYPE_INT, &i) == hash_of(EFX_TYPE_LONG, &l));
    assert_true(hash_of(EFX_TYPE_STRING, &a) == hash_of(EFX_TYPE_STRING, &c));
}

/* ---- the split ---- */

static struct efx_bx cand = {
    .op = EFX_BX_COL, .type = EFX_TYPE_LONG, .src = EFX_BX_SRC_CANDIDATE, .col = 2};
static struct efx_bx first = {.op = EFX_BX_COL, .type = EFX_TYPE_LONG, .src = 0, .col = 1};
static struct efx_bx *sides[] = {&first, &cand};
static struct efx_bx equation = {
    .op = EFX_BX_EQ, .type = EFX_TYPE_BOOL, .n_args = 2, .args = sides};

static bool splits(bool every, bool counted, struct efx_bx *filter, const struct efx_bx **out)
{
    struct efx_bpat e1 = {.kind = EFX_AST_PAT_EVENT, .within_ms = -1, .within_events = -1};
    struct efx_bpat e2 = e1;
    struct efx_bpat *kids[] = {&e1, &e2};
    struct efx_bpat chain = {
        .kind = EFX_AST_PAT_CHAIN, .n_kids = 2, .kids = kids, .within_ms = -1, .within_events = -1};
    struct efx_bpat *whole[] = {&chain};
    struct efx_bpat all = chain;
    struct efx_belem elems[] = {{.counted = counted}, {.counted = false}};
    struct efx_bpattern p = {.root = every ? &all : &chain,
                             .within_ms = -1,
                             .within_events = -1,
                             .n_elems = 2,
                             .elems = elems};
    struct efx_arena arena;
    all.kind = EFX_AST_PAT_EVERY;
    all.n_kids = 1;
    all.kids = whole;
    e2.filter = filter;
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    bool yes = efx_nfa_split(&arena, &p, out);
    if (yes) {
        assert_int_equal(out[0]->src, EFX_BX_SRC_CANDIDATE);
        assert_int_equal(out[0]->col, 1);
        assert_ptr_equal(out[1], &cand);
    }
    efx_arena_fini(&arena);
    return yes;
}

static void split__wants_every_and_an_equation_with_the_first(void **state) /* §24 */
{
    (void)state;
    const struct efx_bx *out[2];
    assert_true(splits(true, false, &equation, out));
    assert_false(splits(false, false, &equation, out));
    assert_false(splits(true, true, &equation, out));
    assert_false(splits(true, false, NULL, out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wait_lists__keep_who_waits_by_age, setup, teardown),
        cmocka_unit_test_setup_teardown(limits__come_by_time_whatever_the_order_of_arrival, setup,
                                        teardown),
        cmocka_unit_test(hashes__are_equal_where_values_are),
        cmocka_unit_test(split__wants_every_and_an_equation_with_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
