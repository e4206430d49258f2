#include "efx_differential.h"
#include "efx_test.h"

#include <stdlib.h>
#include <string.h>

/* The generator and the shrinker by themselves; the engine is compared in the driver. */

static void same_seed__gives_the_same_program_and_events(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        char *a = efx_random_program(seed, EFX_FEATURE_ALL);
        char *b = efx_random_program(seed, EFX_FEATURE_ALL);
        struct efx_lines x = efx_random_events(seed, EFX_FEATURE_ALL, 30);
        struct efx_lines y = efx_random_events(seed, EFX_FEATURE_ALL, 30);
        assert_string_equal(a, b);
        for (uint32_t i = 0; i < 30; i++) {
            assert_string_equal(x.v[i], y.v[i]);
        }
        free(a);
        free(b);
        efx_lines_free(&x);
        efx_lines_free(&y);
    }
}

static void every_program__binds_ends_and_equals_itself(void **state)
{
    (void)state;
    const struct efx_differential d = {.engine = &efx_reference_run,
                                       .seed = 1,
                                       .n_programs = 200,
                                       .n_events = 60,
                                       .features_mask = EFX_FEATURE_ALL,
                                       .seconds_max = 20};
    struct efx_differential_result r = efx_differential(&d);
    assert_int_equal(r.n_skipped, 0);
    assert_int_equal(r.n_differences, 0);
    assert_true(r.n_programs > 0 && r.n_rows > 0);
}

/* An engine that loses the rows of O0 with q = 1 or more: the difference that shrinking must keep.
 */
static bool forgetful_run(void *arg, const struct efx_run_how *how, const char *program,
                          const struct efx_lines *events, struct efx_lines *out)
{
    struct efx_lines all = {0};
    bool ok = efx_reference_run.run(arg, how, program, events, &all);
    for (uint32_t i = 0; i < all.n; i++) {
        if (strstr(all.v[i], "\"stream\":\"O0\"") == NULL) {
            efx_lines_add(out, all.v[i]);
        }
    }
    efx_lines_free(&all);
    return ok;
}

static bool forgets(void *arg, const char *program, const struct efx_lines *events)
{
    (void)arg;
    const struct efx_run_how how = {.step_rows = 1, .shards = 1, .drain_ms = 200};
    struct efx_lines want = {0};
    struct efx_lines got = {0};
    char *why = NULL;
    if (efx_reference_run.run(NULL, &how, program, events, &want) &&
        forgetful_run(NULL, &how, program, events, &got)) {
        why = efx_lines_differ(&want, &got);
    }
    efx_lines_free(&want);
    efx_lines_free(&got);
    free(why);
    return why != NULL;
}

static void shrinking__leaves_one_chain_and_few_events(void **state)
{
    (void)state;
    unsigned mask = EFX_FEATURE_WINDOWS;
    uint64_t seed = 1;
    char *program = efx_random_program(seed, mask);
    struct efx_lines events = efx_random_events(seed, mask, 40);
    while (!forgets(NULL, program, &events)) {
        free(program);
        efx_lines_free(&events);
        seed++;
        program = efx_random_program(seed, mask);
        events = efx_random_events(seed, mask, 40);
    }
    efx_shrink(forgets, NULL, &program, &events);
    assert_true(forgets(NULL, program, &events));
    assert_true(events.n <= 4);
    uint32_t inserts = 0;
    for (const char *at = program; (at = strstr(at, "INSERT")) != NULL; at++) {
        inserts++;
    }
    assert_true(inserts <= 4);
    free(program);
    efx_lines_free(&events);
}

static void lines__differ_by_order_within_a_stream_only(void **state)
{
    (void)state;
    struct efx_lines a = {0};
    struct efx_lines b = {0};
    efx_lines_add(&a, "{\"stream\":\"X\",\"ts\":1,\"data\":{\"v\":1.0000000001}}");
    efx_lines_add(&a, "{\"stream\":\"Y\",\"ts\":1,\"data\":{\"v\":2}}");
    efx_lines_add(&b, "{\"stream\":\"Y\",\"ts\":1,\"data\":{\"v\":2}}");
    efx_lines_add(&b, "{\"stream\":\"X\",\"ts\":1,\"data\":{\"v\":1.0}}");
    assert_null(efx_lines_differ(&a, &b));
    efx_lines_add(&b, "{\"stream\":\"X\",\"ts\":1,\"data\":{\"v\":3}}");
    char *why = efx_lines_differ(&a, &b);
    assert_non_null(why);
    free(why);
    efx_lines_free(&a);
    efx_lines_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_seed__gives_the_same_program_and_events),
        cmocka_unit_test(every_program__binds_ends_and_equals_itself),
        cmocka_unit_test(shrinking__leaves_one_chain_and_few_events),
        cmocka_unit_test(lines__differ_by_order_within_a_stream_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
