/* Subscriptions at level COMMITTED in a simulated cluster (C21): which streams, which tokens, and
 * that no more is kept than promised. The walk of test_sim_cluster_random.c reads over losses. */
#include "efx_test.h"

#include "sim_cluster.h"

#include <string.h>

static const char APP[] =
    "CREATE STREAM S (k INT, v LONG);\n"
    "CREATE STREAM Counts (k INT, n LONG, total LONG)"
    " WITH ('type' = 'sink', 'extension' = 'grpc');\n"
    "INSERT INTO Counts SELECT k, count(*) AS n, sum(v) AS total FROM S GROUP BY k;\n"
    "INSERT INTO Others SELECT k, n, total FROM Counts;\n";

struct reader {
    struct efx_rows_front front;
    struct efx_rows_call *call;
    uint64_t n_rows;
    uint8_t token[64];
    size_t n_token;
    bool ended;
    struct efx_err why;
};

static void on_schema(struct efx_rows_front *self, const struct efx_schema *s,
                      struct efx_bytes resume)
{
    struct reader *r = (struct reader *)self;
    assert_int_equal(s->n_cols, 3);
    memcpy(r->token, resume.p, resume.n);
    r->n_token = resume.n;
}

static void on_rows(struct efx_rows_front *self, const struct efx_rows *rows, uint64_t first_row,
                    uint64_t checkpoint, struct efx_bytes resume)
{
    struct reader *r = (struct reader *)self;
    assert_int_equal(first_row, r->n_rows + 1);
    assert_true(checkpoint > 0 && resume.n > 0 && resume.n <= sizeof r->token);
    r->n_rows += rows->until - rows->from;
    memcpy(r->token, resume.p, resume.n);
    r->n_token = resume.n;
}

static void on_ended(struct efx_rows_front *self, const struct efx_err *why)
{
    struct reader *r = (struct reader *)self;
    r->ended = true;
    r->why = *why;
}

static void open_reader(struct sim_cluster *c, uint32_t member, const char *stream,
                        struct efx_bytes resume, struct reader *r)
{
    struct efx_service *s = efx_node_service(c->members[member].node);
    struct efx_subscribe_ask ask = {
        .stream = stream, .level = EFX_LEVEL_COMMITTED, .resume = resume};
    *r = (struct reader){.front = {on_schema, on_rows, NULL, NULL, on_ended}};
    s->vt->subscribe(s, &ask, &r->front, &r->call);
    sim_run_ms(c, 500);
}

static void open_three(struct sim_cluster *c, uint64_t seed)
{
    sim_open(c, seed, 3, APP);
    for (uint32_t i = 0; i < 3; i++) {
        sim_start(c, i, true);
    }
    assert_true(sim_settle(c, 3, 20000));
}

static void only_grpc_sinks_are_kept(void **state)
{
    (void)state;
    struct sim_cluster c;
    struct reader r;
    open_three(&c, 61);
    open_reader(&c, 1, "Others", (struct efx_bytes){0}, &r);
    assert_int_equal(r.why.rc, EFX_EDATA);
    open_reader(&c, 1, "Nothing", (struct efx_bytes){0}, &r);
    assert_int_equal(r.why.rc, EFX_EABSENT);
    open_reader(&c, 1, "Counts", (struct efx_bytes){(const uint8_t *)"no token", 8}, &r);
    assert_int_equal(r.why.rc, EFX_EPARSE);
    sim_close(&c);
}

static void tokens_are_good_as_long_as_promised(void **state)
{
    (void)state;
    struct sim_cluster c;
    struct reader first, again, late, old;
    open_three(&c, 62);
    sim_run_ms(&c, 2500); /* a checkpoint, so that the place has a number */
    open_reader(&c, 0, "Counts", (struct efx_bytes){0}, &first);
    assert_false(first.ended);
    struct efx_bytes begin = {first.token, first.n_token};
    uint8_t token[64];
    memcpy(token, begin.p, begin.n);
    begin.p = token;
    sim_client_open(&c, 0, 0, 700);
    assert_true(sim_commit_all(&c, 20000));
    sim_run_ms(&c, 500);
    assert_int_equal(first.n_rows, 700);
    open_reader(&c, 2, "Counts", begin, &again); /* all of it once more, elsewhere */
    assert_int_equal(again.n_rows, 700);
    struct efx_bytes behind = {again.token, again.n_token};
    open_reader(&c, 1, "Counts", behind, &late);
    assert_int_equal(late.n_rows, 0);
    assert_false(late.ended);
    sim_run_ms(&c, 15000); /* more than the ten checkpoints that are kept */
    open_reader(&c, 1, "Counts", begin, &old);
    assert_int_equal(old.why.rc, EFX_DONE);
    sim_client_open(&c, 0, 0, 900);
    assert_true(sim_commit_all(&c, 20000));
    sim_run_ms(&c, 500);
    assert_int_equal(late.n_rows, 200); /* who stays is not behind */
    assert_int_equal(first.n_rows, 900);
    sim_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_grpc_sinks_are_kept),
        cmocka_unit_test(tokens_are_good_as_long_as_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
