/* On-demand statements in a simulated cluster (C22): any member answers, wherever the table is; a
 * statement with a number runs once, however often it is sent and whatever is lost. */
#include "efx_test.h"

#include "sim_cluster.h"

#include "efx/efx.h"

#include <stdio.h>
#include <string.h>

static const char APP[] =
    "CREATE STREAM S (k INT, v LONG);\n"
    "CREATE TABLE Log (v LONG, who STRING);\n"
    "CREATE TABLE Kept (k INT PRIMARY KEY, name STRING);\n"
    "INSERT INTO Counts SELECT k, count(*) AS n, sum(v) AS total FROM S GROUP BY k;\n";

enum { VALUES_MAX = 64, WAIT_MS = 20000 };

struct question {
    struct efx_rows_front front;
    struct efx_rows_call *call;
    uint32_t n_rows, n_cols;
    int64_t values[VALUES_MAX]; /* of the first column, a LONG */
    uint64_t changed, first_row;
    bool is_changed, repeat, ended;
    struct efx_err why;
};

static void on_schema(struct efx_rows_front *self, const struct efx_schema *s,
                      struct efx_bytes resume)
{
    struct question *q = (struct question *)self;
    assert_int_equal(resume.n, 0);
    q->n_cols = s->n_cols;
}

static void on_rows(struct efx_rows_front *self, const struct efx_rows *rows, uint64_t first_row,
                    uint64_t checkpoint, struct efx_bytes resume)
{
    struct question *q = (struct question *)self;
    assert_int_equal(first_row, q->n_rows + 1);
    assert_int_equal(checkpoint + resume.n, 0);
    assert_int_equal(rows->b->n_cols, q->n_cols);
    for (uint32_t i = rows->from; i < rows->until; i++) {
        if (q->n_rows < VALUES_MAX) {
            q->values[q->n_rows] = ((const int64_t *)rows->b->cols[0].data)[i];
        }
        q->n_rows++;
    }
}

static void on_take_back(struct efx_rows_front *self, uint64_t from)
{
    (void)self;
    fail_msg("row %llu of a question was taken back", (unsigned long long)from);
}

static void on_changed(struct efx_rows_front *self, uint64_t n, uint64_t tick, bool repeat)
{
    struct question *q = (struct question *)self;
    assert_true(tick > 0);
    q->is_changed = true;
    q->changed = n;
    q->repeat = repeat;
}

static void on_ended(struct efx_rows_front *self, const struct efx_err *why)
{
    struct question *q = (struct question *)self;
    assert_false(q->ended);
    q->ended = true;
    q->why = *why;
}

static void ask(struct sim_cluster *c, uint32_t member, struct question *q,
                const struct efx_query_ask *how)
{
    struct efx_service *s = efx_node_service(c->members[member].node);
    *q = (struct question){.front = {on_schema, on_rows, on_take_back, on_changed, on_ended}};
    s->vt->query(s, how, &q->front, &q->call);
}

static void wait(struct sim_cluster *c, const struct question *q)
{
    for (uint32_t i = 0; i < WAIT_MS / 10 && !q->ended; i++) {
        sim_run_ms(c, 10);
    }
    assert_true(q->ended);
}

static struct question *answer(struct sim_cluster *c, uint32_t member, const char *sql)
{
    static struct question q;
    struct efx_query_ask how = {.sql = sql, .level = EFX_LEVEL_ACCEPTED};
    ask(c, member, &q, &how);
    wait(c, &q);
    return &q;
}

static struct question *numbered(struct sim_cluster *c, uint32_t member, const char *sql,
                                 uint64_t seq)
{
    static struct question q;
    struct efx_query_ask how = {
        .sql = sql, .level = EFX_LEVEL_COMMITTED, .session = "asker", .seq = seq};
    ask(c, member, &q, &how);
    wait(c, &q);
    return &q;
}

static void open_three(struct sim_cluster *c, uint64_t seed)
{
    sim_open(c, seed, 3, APP);
    for (uint32_t i = 0; i < 3; i++) {
        sim_start(c, i, true);
    }
    assert_true(sim_settle(c, 3, 20000));
}

static void any_member_answers(void **state)
{
    (void)state;
    struct sim_cluster c;
    open_three(&c, 21);
    struct question *q;
    for (uint32_t i = 0; i < 3; i++) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "INSERT INTO Log VALUES (%u, 'x')", 10 + i);
        q = answer(&c, i, sql);
        assert_int_equal(q->why.rc, EFX_OK);
        assert_int_equal(q->changed, 1);
    }
    for (uint32_t i = 0; i < 3; i++) {
        q = answer(&c, i, "SELECT v, who FROM Log ORDER BY v");
        assert_int_equal(q->why.rc, EFX_OK);
        assert_int_equal(q->n_rows, 3);
        assert_int_equal(q->n_cols, 2);
        assert_int_equal(q->values[0], 10);
        assert_int_equal(q->values[2], 12);
    }
    q = answer(&c, 1, "SELECT v FROM Log WHERE v > 100");
    assert_int_equal(q->why.rc, EFX_OK);
    assert_int_equal(q->n_rows, 0);
    assert_int_equal(q->n_cols, 1); /* the columns come where no row does */
    assert_int_equal(answer(&c, 2, "DELETE FROM Log WHERE v > 10")->changed, 2);
    assert_int_equal(answer(&c, 0, "SELECT v FROM Log")->n_rows, 1);
    sim_close(&c);
}

static void many_rows_come_in_batches(void **state)
{
    (void)state;
    struct sim_cluster c;
    open_three(&c, 22);
    static char sql[200000];
    size_t n = (size_t)snprintf(sql, sizeof sql, "INSERT INTO Log VALUES ");
    for (uint32_t i = 0; i < 9000; i++) {
        n += (size_t)snprintf(sql + n, sizeof sql - n, "%s(%u,'a')", i == 0 ? "" : ",", i);
    }
    assert_int_equal(answer(&c, 0, sql)->changed, 9000);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(answer(&c, i, "SELECT v, who FROM Log")->n_rows, 9000);
        struct question *q = answer(&c, i, "SELECT DISTINCT v FROM Log LIMIT 20 OFFSET 4090");
        assert_int_equal(q->n_rows, 20);
        assert_int_equal(q->values[0], 4090);
        assert_int_equal(q->values[19], 4109);
    }
    sim_close(&c);
}

static void what_does_not_bind_is_refused(void **state)
{
    (void)state;
    struct sim_cluster c;
    open_three(&c, 23);
    struct question *q = answer(&c, 1, "SELECT nothing FROM Log");
    assert_int_equal(q->why.rc, EFX_EPARSE);
    assert_int_not_equal(q->why.code, 0);
    assert_int_equal(answer(&c, 1, "SELECT FROM WHERE")->why.rc, EFX_EPARSE);
    q = numbered(&c, 1, "INSERT INTO Log VALUES (1, 'x')", 5);
    assert_int_equal(q->why.rc, EFX_DONE); /* a gap: row 1 comes first */
    assert_int_equal(answer(&c, 0, "SELECT v FROM Log")->n_rows, 0);
    sim_close(&c);
}

static void a_number_runs_once(void **state)
{
    (void)state;
    struct sim_cluster c;
    open_three(&c, 24);
    struct question *q = numbered(&c, 0, "INSERT INTO Log VALUES (1, 'x')", 1);
    assert_int_equal(q->why.rc, EFX_OK);
    assert_int_equal(q->changed, 1);
    assert_false(q->repeat);
    q = numbered(&c, 2, "INSERT INTO Log VALUES (1, 'x')", 1);
    assert_int_equal(q->why.rc, EFX_OK);
    assert_true(q->repeat);
    assert_int_equal(answer(&c, 1, "SELECT v FROM Log")->n_rows, 1);
    sim_close(&c);
}

/* Committed changes with numbers, sent again until they are answered, while members are killed. */
static void changes(uint64_t seed)
{
    enum { N = 25 };
    struct sim_cluster c;
    struct question q = {.ended = true};
    char sql[64];
    open_three(&c, seed);
    sim_client_open(&c, 0, 0, 1500);
    uint32_t down = 3, at = 0;
    for (uint64_t seq = 1; seq <= N;) {
        uint32_t dice = (uint32_t)(efx_sim_random(c.sim) % 6);
        if (dice == 0 && down == 3) {
            down = (uint32_t)(efx_sim_random(c.sim) % 3);
            sim_kill(&c, down);
        } else if (dice == 1 && down < 3) {
            sim_start(&c, down, true);
            down = 3;
        }
        if (c.members[at].ended || !sim_ready(&c, at)) {
            at = (at + 1) % 3;
            sim_run_ms(&c, 50);
            continue;
        }
        struct efx_query_ask how = {
            .sql = sql, .level = EFX_LEVEL_COMMITTED, .session = "asker", .seq = seq};
        (void)snprintf(sql, sizeof sql, "INSERT INTO Log VALUES (%u, 'x')", (unsigned)seq);
        ask(&c, at, &q, &how);
        for (uint32_t i = 0; i < WAIT_MS / 10 && !q.ended; i++) {
            sim_run_ms(&c, 10);
            if (efx_sim_random(c.sim) % 150 == 0 && down == 3) {
                down = (uint32_t)(efx_sim_random(c.sim) % 3);
                sim_kill(&c, down);
            }
        }
        assert_true(q.ended);
        if (q.why.rc == EFX_OK) {
            seq++;
        } else if (q.why.rc != EFX_AGAIN) {
            fail_msg("seed %llu: %d %s", (unsigned long long)seed, (int)q.why.rc, q.why.msg);
        }
        at = (uint32_t)(efx_sim_random(c.sim) % 3);
    }
    if (down < 3) {
        sim_start(&c, down, true);
    }
    assert_true(sim_settle(&c, 3, 30000));
    const struct question *all = answer(&c, 1, "SELECT v FROM Log ORDER BY v");
    assert_int_equal(all->why.rc, EFX_OK);
    if (all->n_rows != N) {
        fail_msg("seed %llu: %u rows", (unsigned long long)seed, all->n_rows);
    }
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(all->values[i], i + 1);
    }
    assert_true(sim_commit_all(&c, 60000));
    sim_close(&c);
}

static void changes_count_once_over_losses(void **state)
{
    (void)state;
    for (uint64_t seed = 400; seed < 420; seed++) {
        changes(seed);
    }
}

static void connectors_are_refused(void **state)
{
    (void)state;
    struct sim_cluster c;
    struct efx_node *node = NULL;
    struct efx_err err = {0};
    struct efx_transport *transport;
    sim_open(&c, 25, 1, APP);
    assert_int_equal(efx_sim_transport(c.sim, 0, &transport), EFX_OK);
    struct efx_node_conf conf = {.id = "n0",
                                 .cluster = "test",
                                 .app_name = "app",
                                 .sql = "CREATE STREAM S (k INT);\n"
                                        "CREATE STREAM Out (k INT) WITH ('type' = 'sink', "
                                        "'extension' = 'log');\n"
                                        "INSERT INTO Out SELECT k FROM S;\n",
                                 .loop = efx_sim_loop(c.sim, 0),
                                 .transport = transport,
                                 .world = efx_sim_world(c.sim, 0),
                                 .mem = &efx_mem_libc,
                                 .clock = EFX_CLOCK_SYSTEM,
                                 .simulated = true};
    assert_int_equal(efx_node_create(&conf, &node, &err), EFX_ETYPE);
    assert_int_equal(err.code, 9001);
    assert_non_null(strstr(err.msg, "'Out'"));
    assert_null(node);
    transport->vt->destroy(&transport);
    sim_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_member_answers),
        cmocka_unit_test(many_rows_come_in_batches),
        cmocka_unit_test(what_does_not_bind_is_refused),
        cmocka_unit_test(a_number_runs_once),
        cmocka_unit_test(changes_count_once_over_losses),
        cmocka_unit_test(connectors_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
