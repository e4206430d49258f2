/* A cluster under a seed: founding, three members, clients with sessions, and losses. Whatever
 * happens, every row that was told `committed` counts once. */
#include "efx_test.h"

#include "sim_cluster.h"

#include <stdio.h>
#include <stdlib.h>

static const char APP[] =
    "CREATE STREAM S (k INT, v LONG);\n"
    "INSERT INTO Counts SELECT k, count(*) AS n, sum(v) AS total FROM S GROUP BY k;\n";

/* What an independent count of the clients' rows gives. */
static void assert_counts(struct sim_cluster *c)
{
    int64_t counts[SIM_KEYS] = {0}, sums[SIM_KEYS] = {0};
    for (uint32_t i = 0; i < c->n_clients; i++) {
        for (uint64_t row = 1; row <= c->clients[i].target; row++) {
            uint32_t key = (uint32_t)((row * 7 + i) % SIM_KEYS);
            counts[key]++;
            sums[key] += (int64_t)row;
        }
    }
    for (uint32_t k = 0; k < SIM_KEYS; k++) {
        assert_int_equal(c->counts[k], counts[k]);
        assert_int_equal(c->sums[k], sums[k]);
    }
}

static void one_member_founds_and_counts(void **state)
{
    (void)state;
    struct sim_cluster c;
    sim_open(&c, 1, 1, APP);
    sim_start(&c, 0, true);
    assert_true(sim_settle(&c, 1, 10000));
    sim_client_open(&c, 0, 0, 1000);
    assert_true(sim_commit_all(&c, 20000));
    assert_counts(&c);
    sim_close(&c);
}

static void three_members_share_a_stream(void **state)
{
    (void)state;
    struct sim_cluster c;
    sim_open(&c, 2, 3, APP);
    for (uint32_t i = 0; i < 3; i++) {
        sim_start(&c, i, true);
    }
    assert_true(sim_settle(&c, 3, 20000));
    for (uint32_t i = 0; i < 3; i++) {
        sim_client_open(&c, i, i, 1500);
    }
    assert_true(sim_commit_all(&c, 30000));
    assert_counts(&c);
    sim_close(&c);
}

static void a_member_is_killed_and_comes_back(void **state)
{
    (void)state;
    for (uint64_t seed = 10; seed < 16; seed++) {
        struct sim_cluster c;
        sim_open(&c, seed, 3, APP);
        for (uint32_t i = 0; i < 3; i++) {
            sim_start(&c, i, true);
        }
        assert_true(sim_settle(&c, 3, 20000));
        for (uint32_t i = 0; i < 3; i++) {
            sim_client_open(&c, i, i, 3000);
        }
        sim_run_ms(&c, 200 + efx_sim_random(c.sim) % 2000);
        uint32_t victim = (uint32_t)(efx_sim_random(c.sim) % 3);
        sim_kill(&c, victim);
        assert_true(sim_settle(&c, 2, 20000));
        sim_run_ms(&c, efx_sim_random(c.sim) % 1000);
        sim_start(&c, victim, true);
        assert_true(sim_settle(&c, 3, 20000));
        assert_true(sim_commit_all(&c, 60000));
        assert_counts(&c);
        sim_close(&c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_member_founds_and_counts),
        cmocka_unit_test(three_members_share_a_stream),
        cmocka_unit_test(a_member_is_killed_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
