/* Random walks of a cluster on virtual time: members are killed and come back, sleep, are cut from
 * each other, leave in order, while clients submit with sessions. A seed is a run.
 *
 *   at every tick of the walk   epochs only grow; of one epoch all members know one leader
 *   at its end                  all healed: every row of every client is committed, and counts once
 *   a reader at COMMITTED       goes from node to node with its token and sees each count of each
 *                               key once and in order
 *
 *   test_sim_cluster_random [--seeds N] [--first S] [--members M]      EFX_SIM_VERBOSE=1 tells all
 */
#include "efx_test.h"

#include "sim_cluster.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char APP[] =
    "CREATE STREAM S (k INT, v LONG);\n"
    "CREATE STREAM Counts (k INT, n LONG, total LONG)"
    " WITH ('type' = 'sink', 'extension' = 'grpc');\n"
    "INSERT INTO Counts SELECT k, count(*) AS n, sum(v) AS total FROM S GROUP BY k;\n";

static uint64_t seeds = 200, first_seed = 1000;
static uint32_t members = 3;

struct reader {
    struct efx_rows_front front;
    struct efx_rows_call *call;
    struct walk *of;
    uint32_t at;
    bool busy, leaves; /* a call is begun; what comes is not looked at any more */
    uint8_t token[64];
    size_t n_token;
    uint64_t checkpoint;
    int64_t next[SIM_KEYS]; /* count that comes next */
    uint32_t n_calls;
};

struct walk {
    struct sim_cluster c;
    uint64_t seed;
    bool asleep[SIM_NODES_MAX];
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX];
    uint64_t epoch;
    struct reader reader;
};

static uint32_t draw(struct walk *w, uint32_t n)
{
    return (uint32_t)(efx_sim_random(w->c.sim) % n);
}

static void say(struct walk *w, const char *what, uint32_t a, uint32_t b)
{
    if (w->c.verbose) {
        fprintf(stderr, "%8.3f seed %llu: %s %u %u\n", (double)efx_sim_now_ns(w->c.sim) / 1e9,
                (unsigned long long)w->seed, what, a, b);
    }
}

/* Members that the walk has not taken away. */
static uint32_t n_well(const struct walk *w)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < members; i++) {
        n += w->c.members[i].up && !w->asleep[i];
    }
    return n;
}

static void heal(struct walk *w)
{
    for (uint32_t i = 0; i < members; i++) {
        for (uint32_t k = 0; k < members; k++) {
            if (w->cut[i][k]) {
                w->cut[i][k] = false;
                efx_sim_heal(w->c.sim, i, k);
            }
        }
        if (w->asleep[i]) {
            w->asleep[i] = false;
            efx_sim_pause(w->c.sim, i, false);
        }
    }
}

/* A node that has given up by itself (it was too long away) is started again, as an operator or
 * Kubernetes would. */
static void revive(struct walk *w)
{
    for (uint32_t i = 0; i < members; i++) {
        struct sim_member *m = &w->c.members[i];
        if (m->up && m->ended) {
            say(w, "gave up", i, 0);
            sim_kill(&w->c, i);
        }
        if (!m->up) {
            say(w, "start", i, 0);
            sim_start(&w->c, i, true);
        }
    }
}

static void disturb(struct walk *w)
{
    uint32_t i = draw(w, members), k = (i + 1 + draw(w, members - 1)) % members;
    bool enough = n_well(w) > members / 2 + 1 || (members == 1);
    switch (draw(w, 7)) {
    case 0:
        if (w->c.members[i].up && enough) {
            say(w, "kill", i, 0);
            sim_kill(&w->c, i);
            w->asleep[i] = false;
        }
        break;
    case 1:
        if (w->c.members[i].up && !w->asleep[i] && enough) {
            say(w, "sleep", i, 0);
            w->asleep[i] = true;
            efx_sim_pause(w->c.sim, i, true);
        }
        break;
    case 2:
        if (w->c.members[i].up && w->c.members[k].up && !w->cut[i][k]) {
            say(w, "cut", i, k);
            w->cut[i][k] = w->cut[k][i] = true;
            efx_sim_cut_pair(w->c.sim, i, k, draw(w, 2) * 300000000u);
        }
        break;
    case 3:
        say(w, "break", i, k);
        efx_sim_break(w->c.sim, i, k);
        break;
    case 4: revive(w); break;
    default: heal(w); break;
    }
}

static void assert_sane(struct walk *w)
{
    for (uint32_t i = 0; i < members; i++) {
        if (sim_ready(&w->c, i)) {
            uint64_t epoch = sim_status(&w->c, i)->epoch;
            w->epoch = epoch > w->epoch ? epoch : w->epoch;
        }
    }
}

/* ---- the reader ---- */

static void keep(struct reader *r, struct efx_bytes token)
{
    if (token.n > 0) {
        assert_true(token.n <= sizeof r->token);
        memcpy(r->token, token.p, token.n);
        r->n_token = token.n;
    }
}

static void on_schema(struct efx_rows_front *self, const struct efx_schema *s,
                      struct efx_bytes resume)
{
    struct reader *r = (struct reader *)self;
    assert_int_equal(s->n_cols, 3);
    if (!r->leaves) {
        keep(r, resume);
    }
}

static void on_rows(struct efx_rows_front *self, const struct efx_rows *rows, uint64_t first_row,
                    uint64_t checkpoint, struct efx_bytes resume)
{
    struct reader *r = (struct reader *)self;
    const int32_t *k = rows->b->cols[0].data;
    const int64_t *n = rows->b->cols[1].data;
    (void)first_row;
    if (r->leaves) {
        return;
    }
    assert_true(checkpoint >= r->checkpoint && resume.n > 0);
    r->checkpoint = checkpoint;
    for (uint32_t i = rows->from; i < rows->until; i++) {
        if (n[i] != r->next[k[i]]) {
            fail_msg("seed %llu: checkpoint %llu gives count %lld of key %d, expected %lld",
                     (unsigned long long)r->of->seed, (unsigned long long)checkpoint,
                     (long long)n[i], k[i], (long long)r->next[k[i]]);
        }
        r->next[k[i]]++;
    }
    keep(r, resume);
}

static void on_take_back(struct efx_rows_front *self, uint64_t from)
{
    const struct reader *r = (struct reader *)self;
    fail_msg("seed %llu: committed row %llu was taken back", (unsigned long long)r->of->seed,
             (unsigned long long)from);
}

static void on_end(struct efx_rows_front *self, const struct efx_err *why)
{
    struct reader *r = (struct reader *)self;
    if (!r->leaves && why->rc != EFX_AGAIN) {
        fail_msg("seed %llu: the reader was ended: %d %s", (unsigned long long)r->of->seed,
                 (int)why->rc, why->msg);
    }
    r->busy = false;
}

static void read_on(struct walk *w)
{
    struct reader *r = &w->reader;
    if (r->busy && !r->leaves && draw(w, 4) == 0 && w->c.members[r->at].up) {
        struct efx_service *s = efx_node_service(w->c.members[r->at].node);
        r->leaves = true;
        s->vt->rows_cancel(s, r->call);
    }
    uint32_t at = draw(w, members);
    if (r->busy || !sim_ready(&w->c, at)) {
        return;
    }
    struct efx_service *s = efx_node_service(w->c.members[at].node);
    struct efx_subscribe_ask how = {
        .stream = "Counts", .level = EFX_LEVEL_COMMITTED, .resume = {r->token, r->n_token}};
    r->front = (struct efx_rows_front){on_schema, on_rows, on_take_back, NULL, on_end};
    r->at = at;
    r->busy = true;
    r->leaves = false;
    r->n_calls++;
    s->vt->subscribe(s, &how, &r->front, &r->call);
}

static void reader_open(struct walk *w)
{
    w->reader.of = w;
    for (uint32_t k = 0; k < SIM_KEYS; k++) {
        w->reader.next[k] = 1;
    }
    for (uint32_t i = 0; i < 1000 && w->reader.n_token == 0; i++) {
        read_on(w);
        sim_run_ms(&w->c, 10);
    }
    assert_true(w->reader.n_token > 0);
}

/* Until it has seen all that is committed. */
static void assert_read(struct walk *w)
{
    bool all = false;
    for (uint32_t i = 0; i < 600 && !all; i++) {
        all = true;
        for (uint32_t k = 0; k < SIM_KEYS; k++) {
            all = all && w->reader.next[k] == w->c.counts[k] + 1;
        }
        read_on(w);
        sim_run_ms(&w->c, 100);
    }
    if (!all) {
        fail_msg("seed %llu: the reader has not seen all rows: key 0 %lld of %lld",
                 (unsigned long long)w->seed, (long long)w->reader.next[0] - 1,
                 (long long)w->c.counts[0]);
    }
}

static void assert_counts(struct walk *w)
{
    int64_t counts[SIM_KEYS] = {0}, sums[SIM_KEYS] = {0};
    for (uint32_t i = 0; i < w->c.n_clients; i++) {
        for (uint64_t row = 1; row <= w->c.clients[i].target; row++) {
            uint32_t key = (uint32_t)((row * 7 + i) % SIM_KEYS);
            counts[key]++;
            sums[key] += (int64_t)row;
        }
    }
    for (uint32_t k = 0; k < SIM_KEYS; k++) {
        if (w->c.counts[k] != counts[k] || w->c.sums[k] != sums[k]) {
            fail_msg("seed %llu: key %u has %lld rows, not %lld", (unsigned long long)w->seed, k,
                     (long long)w->c.counts[k], (long long)counts[k]);
        }
    }
}

static void walk(uint64_t seed)
{
    static struct walk w;
    memset(&w, 0, sizeof w);
    w.seed = seed;
    sim_open(&w.c, seed, members, APP);
    for (uint32_t i = 0; i < members; i++) {
        sim_start(&w.c, i, true);
    }
    if (!sim_settle(&w.c, members, 30000)) {
        fail_msg("seed %llu: the cluster does not form", (unsigned long long)seed);
    }
    reader_open(&w);
    for (uint32_t i = 0; i < 3; i++) {
        sim_client_open(&w.c, i, i % members, 4000);
    }
    uint32_t n = 3 + draw(&w, 8);
    for (uint32_t i = 0; i < n; i++) {
        read_on(&w);
        sim_run_ms(&w.c, 50 + draw(&w, 1500));
        disturb(&w);
        assert_sane(&w);
    }
    heal(&w);
    revive(&w);
    if (!sim_settle(&w.c, members, 60000)) {
        revive(&w);
        if (!sim_settle(&w.c, members, 60000)) {
            fail_msg("seed %llu: the cluster does not come together again",
                     (unsigned long long)seed);
        }
    }
    if (!sim_commit_all(&w.c, 120000)) {
        fail_msg("seed %llu: %llu of %llu rows of client 0 are committed", (unsigned long long)seed,
                 (unsigned long long)w.c.clients[0].committed,
                 (unsigned long long)w.c.clients[0].target);
    }
    assert_counts(&w);
    assert_read(&w);
    w.reader.leaves = true;
    sim_close(&w.c);
}

static void whatever_happens_rows_count_once(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < seeds; i++) {
        walk(first_seed + i);
    }
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t v = strtoull(argv[i + 1], NULL, 10);
        seeds = strcmp(argv[i], "--seeds") == 0 ? v : seeds;
        first_seed = strcmp(argv[i], "--first") == 0 ? v : first_seed;
        members = strcmp(argv[i], "--members") == 0 ? (uint32_t)v : members;
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(whatever_happens_rows_count_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
