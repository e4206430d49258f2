/* Checkpoints that come to nothing lose no change (C7): a store that fails at random, reports that
 * the leader does not take, and after each success the state that comes back against a plain model.
 */
#include "efx_test.h"

#include "efx_lib.h"
#include "efx_storage.h"
#include "efx_stores.h"
#include "efx_world_real.h"

#include <stdlib.h>
#include <string.h>

enum { KEYS = 200, ROUNDS = 120 };

static const char SQL[] = "CREATE STREAM T (k INT, v INT);"
                          "CREATE TABLE Held (k INT PRIMARY KEY, v INT);"
                          "INSERT INTO Sums SELECT k, sum(v) AS s FROM T GROUP BY k;"
                          "UPSERT INTO Held SELECT k, v FROM T WHERE v >= 0 ON Held.k = k;"
                          "DELETE FROM Held USING T WHERE Held.k = T.k AND T.v < 0;";

/* ---- a store that fails ---- */

struct faulty {
    struct efx_store base;
    struct efx_store *to;
    uint64_t dice;
    bool fails;
    struct efx_store_vt vt;
};

static enum efx_rc put_chunks(struct efx_store *self, const struct efx_chunk_name *names,
                              const struct efx_bytes *bytes, uint32_t n, struct efx_err *err)
{
    struct faulty *f = (struct faulty *)self;
    if (f->fails && efx_test_rand(&f->dice) % 3 == 0) { /* some are there, some are not */
        (void)!f->to->vt->put_chunks(f->to, names, bytes, n / 2, err);
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "the disk is full");
    }
    return f->to->vt->put_chunks(f->to, names, bytes, n, err);
}

/* No answer: half of the time it was done all the same. */
static enum efx_rc commit_manifest(struct efx_store *self, const struct efx_commit *c,
                                   struct efx_err *err)
{
    struct faulty *f = (struct faulty *)self;
    if (f->fails && efx_test_rand(&f->dice) % 2 == 0) {
        if (efx_test_rand(&f->dice) % 2 == 0) {
            enum efx_rc rc = f->to->vt->commit_manifest(f->to, c, err);
            assert_int_equal(rc, EFX_OK);
        }
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "no answer");
    }
    return f->to->vt->commit_manifest(f->to, c, err);
}

static struct faulty *faulty_of(struct efx_store *to, struct faulty *f)
{
    *f = (struct faulty){.base = *to, .to = to, .dice = 5, .vt = *to->vt};
    f->vt.put_chunks = put_chunks;
    f->vt.commit_manifest = commit_manifest;
    f->base.vt = &f->vt;
    return f;
}

/* All else goes through: the inner store is found by its own pointer. */
static enum efx_rc through_get(struct efx_store *self, const struct efx_chunk_name *name,
                               struct efx_writer *out, struct efx_err *err)
{
    struct faulty *f = (struct faulty *)self;
    return f->to->vt->get_chunk(f->to, name, out, err);
}

static enum efx_rc through_manifest(struct efx_store *self, uint64_t no, struct efx_writer *out,
                                    struct efx_err *err)
{
    struct faulty *f = (struct faulty *)self;
    return f->to->vt->get_manifest(f->to, no, out, err);
}

static enum efx_rc through_list(struct efx_store *self, uint64_t before,
                                struct efx_manifest_info *out, uint32_t *n, struct efx_err *err)
{
    struct faulty *f = (struct faulty *)self;
    return f->to->vt->list_manifests(f->to, before, out, n, err);
}

static enum efx_rc through_chunks(struct efx_store *self, const struct efx_chunk_name *after,
                                  struct efx_chunk_name *out, uint32_t *n, struct efx_err *err)
{
    struct faulty *f = (struct faulty *)self;
    return f->to->vt->list_chunks(f->to, after, out, n, err);
}

static enum efx_rc through_del_chunk(struct efx_store *self, const struct efx_by *by,
                                     const struct efx_chunk_name *name, struct efx_err *err)
{
    struct faulty *f = (struct faulty *)self;
    return f->to->vt->del_chunk(f->to, by, name, err);
}

static enum efx_rc through_del_manifest(struct efx_store *self, const struct efx_by *by,
                                        uint64_t no, struct efx_err *err)
{
    struct faulty *f = (struct faulty *)self;
    return f->to->vt->del_manifest(f->to, by, no, err);
}

/* ---- an app and its model ---- */

struct model {
    int64_t sum[KEYS];
    int32_t held[KEYS]; /* -1 = no row */
};

struct test {
    uint64_t dice;
    struct efx *app;
    struct efx_stores *stores;
    struct faulty store;
    struct efx_lease leader;
    struct efx_storage *storage;
    struct model now, stood; /* stood: as of the newest manifest */
    int64_t seen[KEYS];
    uint64_t no, last;
};

static void take(void *arg, const struct efx_row *row)
{
    struct test *t = arg;
    t->seen[row->values[0].u.i] = row->values[1].u.l;
}

static void start(struct test *t, uint32_t shards)
{
    struct efx_options o = EFX_OPTIONS_INIT;
    struct efx_error err = {0};
    o.clock = EFX_CLOCK_VIRTUAL;
    o.shards = shards;
    if (efx_open(&t->app, SQL, &o, &err) != EFX_RC_OK) {
        fail_msg("%s\n%s", err.msg, efx_messages(t->app));
    }
    assert_int_equal(efx_on(t->app, "Sums", take, t), EFX_RC_OK);
    assert_int_equal(efx_start(t->app, &err), EFX_RC_OK);
}

static void open_place(struct test *t)
{
    struct efx_err err = {0};
    assert_int_equal(efx_stores_open(&t->stores, "memory:", NULL, efx_world_real(), &err), EFX_OK);
    struct efx_coord *c = t->stores->coord;
    struct efx_bytes value = {(const uint8_t *)"x", 1};
    strcpy(t->leader.name, "leader");
    strcpy(t->leader.holder, "test/0000000000000001");
    assert_int_equal(c->vt->take(c, &t->leader, 1000000, value, &err), EFX_OK);
    struct efx_next next = {.to = 1, .leader = &t->leader, .record = value};
    assert_int_equal(c->vt->next_epoch(c, &next, &err), EFX_OK);
    struct faulty *f = faulty_of(t->stores->store, &t->store);
    f->vt.get_chunk = through_get;
    f->vt.get_manifest = through_manifest;
    f->vt.list_manifests = through_list;
    f->vt.list_chunks = through_chunks;
    f->vt.del_chunk = through_del_chunk;
    f->vt.del_manifest = through_del_manifest;
}

static void open_storage(struct test *t, bool commits)
{
    struct efx_storage_conf conf = {.store = &t->store.base,
                                    .world = efx_world_real(),
                                    .app = efx_lib_app(t->app),
                                    .name = "app",
                                    .member = "m",
                                    .commits = commits,
                                    .retain = 3,
                                    .by = {1, &t->leader},
                                    .last = t->last};
    assert_int_equal(efx_storage_open(&conf, &t->storage, NULL), EFX_OK);
}

static void send(struct test *t, int32_t k, int32_t v)
{
    (void)efx_send(t->app, "T", 1000, (efx_val[]){EFX_INT(k), EFX_INT(v)}, 2);
    t->now.sum[k] += v;
    t->now.held[k] = v >= 0 ? v : -1;
}

static void some_events(struct test *t)
{
    uint32_t n = (uint32_t)(efx_test_rand(&t->dice) % 60);
    for (uint32_t i = 0; i < n; i++) {
        send(t, (int32_t)(efx_test_rand(&t->dice) % KEYS),
             (int32_t)(efx_test_rand(&t->dice) % 100) - 30);
    }
    (void)efx_flush(t->app);
}

static void put(struct test *t)
{
    struct efx_app *app = efx_lib_app(t->app);
    assert_int_equal(efx_app_mark(app, ++t->no, false), EFX_OK);
    some_events(t); /* between the mark and its slices */
    efx_app_save_wait(app);
    struct efx_storage_job job = {.saved = efx_app_save_take(app), .epoch = 1};
    assert_int_equal(efx_storage_put(t->storage, &job), EFX_OK);
}

/* ---- what comes back ---- */

static void count_held(void *arg, const struct efx_row *row)
{
    int32_t *held = arg;
    held[row->values[0].u.i] = row->values[1].u.i;
}

static void compare(struct test *t)
{
    int32_t held[KEYS];
    struct efx_error err = {0};
    for (int k = 0; k < KEYS; k++) {
        held[k] = -1;
    }
    assert_int_equal(efx_query(t->app, "SELECT k, v FROM Held", count_held, held, NULL, &err),
                     EFX_RC_OK);
    assert_memory_equal(held, t->stood.held, sizeof held);
    for (int k = 0; k < KEYS; k++) {
        t->seen[k] = -12345;
        (void)efx_send(t->app, "T", 1000, (efx_val[]){EFX_INT(k), EFX_INT(0)}, 2);
    }
    (void)efx_flush(t->app);
    for (int k = 0; k < KEYS; k++) {
        assert_int_equal(t->seen[k], t->stood.sum[k]);
    }
}

/* A new app from the newest manifest; it is compared and thrown away, `t` goes on with its own. */
static void check_restore(struct test *t)
{
    struct test other = {.stood = t->stood};
    struct efx_arena a;
    struct efx_manifest m;
    struct efx_restore_info info;
    struct efx_err err = {0};
    struct efx_restore_opts opts = {.kg = {0, EFX_KEY_GROUPS - 1}, .placed = true};
    start(&other, 1 + (uint32_t)(efx_test_rand(&t->dice) % 3));
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    if (efx_checkpoint_restore(t->stores->store, 0, efx_lib_app(other.app), &opts, &a, &m, &info,
                               &err) != EFX_OK) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(m.no, t->last);
    compare(&other);
    efx_arena_fini(&a);
    efx_close(&other.app);
}

static int begin(void **state)
{
    static struct test t;
    t = (struct test){.dice = 77};
    memset(t.now.held, 0xFF, sizeof t.now.held);
    start(&t, 2);
    open_place(&t);
    *state = &t;
    return 0;
}

static int end(void **state)
{
    struct test *t = *state;
    efx_storage_close(&t->storage);
    efx_close(&t->app);
    efx_stores_close(&t->stores);
    return 0;
}

static void commits__what_failed_comes_with_the_next(void **state)
{
    struct test *t = *state;
    uint32_t stood = 0, failed = 0;
    open_storage(t, true);
    for (int round = 0; round < ROUNDS; round++) {
        struct efx_storage_outcome o;
        some_events(t);
        struct model at = t->now;
        t->store.fails = efx_test_rand(&t->dice) % 3 != 0;
        put(t);
        assert_true(efx_storage_wait(t->storage, &o));
        failed += o.rc != EFX_OK;
        if (o.rc == EFX_OK) {
            t->stood = at;
            t->last = o.no;
            stood++;
            check_restore(t);
        }
    }
    assert_true(stood > ROUNDS / 4 && failed > ROUNDS / 10);
}

/* The leader takes a report or does not; the member's chunks are there either way. */
static void reports__void_ones_stay_in_the_chain(void **state)
{
    struct test *t = *state;
    struct efx_arena arena[2];
    struct efx_manifest last = {0}, m;
    uint32_t at = 0, stood = 0, empty = 0;
    efx_arena_init(&arena[0], &efx_mem_libc, SIZE_MAX);
    efx_arena_init(&arena[1], &efx_mem_libc, SIZE_MAX);
    open_storage(t, false);
    for (int round = 0; round < ROUNDS; round++) {
        struct efx_storage_outcome o;
        struct efx_report r;
        struct efx_err err = {0};
        some_events(t);
        struct model now = t->now;
        t->store.fails = efx_test_rand(&t->dice) % 4 == 0;
        put(t);
        assert_true(efx_storage_wait(t->storage, &o));
        bool stands = o.rc == EFX_OK && efx_test_rand(&t->dice) % 2 == 0;
        if (stands) {
            struct efx_arena *a = &arena[at ^= 1];
            uint8_t *bytes;
            size_t n;
            efx_arena_reset(a);
            assert_int_equal(efx_report_decode(o.report, a, &r, &err), EFX_OK);
            m = (struct efx_manifest){.no = o.no, .epoch = 1, .app = "app"};
            if (efx_manifest_merge(a, t->last != 0 ? &last : NULL, &r, 1, &m, &err) != EFX_OK) {
                fail_msg("%s", err.msg);
            }
            assert_int_equal(efx_manifest_encode(&m, &efx_mem_libc, &bytes, &n, &err), EFX_OK);
            struct efx_commit c = {{1, &t->leader}, t->last, o.no, {bytes, n}};
            assert_int_equal(t->stores->store->vt->commit_manifest(t->stores->store, &c, &err),
                             EFX_OK);
            efx_mem_libc.free(&efx_mem_libc, bytes, n);
            last = m;
            t->last = o.no;
            t->stood = now;
            stood++;
        }
        empty += o.rc == EFX_OK && !stands;
        efx_storage_settled(t->storage, o.no, stands);
        if (stands) {
            struct efx_by by = {1, &t->leader};
            assert_int_equal(efx_retention(t->stores->store, &by, 3, round % 5 == 0, &err), EFX_OK);
            check_restore(t);
        }
    }
    assert_true(stood > ROUNDS / 5 && empty > ROUNDS / 5);
    efx_arena_fini(&arena[0]);
    efx_arena_fini(&arena[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(commits__what_failed_comes_with_the_next, begin, end),
        cmocka_unit_test_setup_teardown(reports__void_ones_stay_in_the_chain, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
