/* Waits grow, are capped, vary, and begin anew after a good try. */
#include "efx_reconnect.h"
#include "efx_sim.h"
#include "efx_test.h"

static void waits__double_to_the_cap_with_jitter(void **state)
{
    (void)state;
    struct efx_sim *sim;
    struct efx_sim_options o = {.mem = &efx_mem_libc, .seed = 9, .n_members = 1};
    assert_int_equal(efx_sim_create(&o, &sim), EFX_OK);
    struct efx_loop *loop = efx_sim_loop(sim, 0);
    static const uint64_t longest[] = {20, 40, 80, 160, 250, 250, 250};
    uint64_t kinds = 0, last = 0;
    for (uint32_t run = 0; run < 100; run++) {
        struct efx_reconnect r = {.first_ns = 20, .cap_ns = 250};
        for (uint32_t i = 0; i < 7; i++) {
            uint64_t ns = efx_reconnect_wait_ns(&r, loop);
            assert_in_range(ns, longest[i] / 2, longest[i]);
            kinds += ns != last;
            last = ns;
        }
        efx_reconnect_good(&r);
        assert_in_range(efx_reconnect_wait_ns(&r, loop), 10, 20);
    }
    assert_true(kinds > 600);
    efx_sim_destroy(&sim);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(waits__double_to_the_cap_with_jitter)};
    return cmocka_run_group_tests_name("reconnect", tests, NULL, NULL);
}
