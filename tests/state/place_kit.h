#ifndef PLACE_KIT_H
#define PLACE_KIT_H

#include "redis_kit.h"

#include "names.h"

/* Places of every kind for the contract suites: the same test runs over all of them, each time
 * under an app's name that nobody had before.
 */
enum kind { MEMORY = 1, DIRECTORY = 2, REDIS = 4, REDIS_TLS = 8, SQLITE = 16 }; /* bits */
#define ANY     (MEMORY | DIRECTORY | SQLITE | REDIS | REDIS_TLS)
#define DURABLE (ANY & ~MEMORY)
#define LOCKED  (DIRECTORY | SQLITE)

struct place {
    enum kind kind;
    const char *name;
    char app[32];
    struct efx_stores *s; /* open between setup and teardown */
    struct efx_store *store;
    struct efx_coord *coord;
    struct efx_lease leader;
    uint64_t epoch;
};

static struct server kit_plain, kit_tls;

KIT void place_url(const struct place *p, char *out, size_t n)
{
    switch (p->kind) {
    case MEMORY: (void)snprintf(out, n, "memory:"); break;
    case DIRECTORY: (void)snprintf(out, n, "dir:%s/dir?app=%s", kit_folder, p->app); break;
    case SQLITE:
        (void)snprintf(out, n, "sqlite:%s/%s.db?app=%s", kit_folder, p->app, p->app);
        break;
    case REDIS:
        (void)snprintf(out, n, "redis://127.0.0.1:%d?deadline_ms=60000&app=%s", kit_plain.port,
                       p->app);
        break;
    case REDIS_TLS:
        (void)snprintf(
            out, n,
            "rediss://efx:s%%65cret%%40@localhost:%d/3?deadline_ms=60000&app=%s&ca=%s/ca.crt"
            "&cert=%s/client.crt&key=%s/client.key",
            kit_tls.port, p->app, kit_folder, kit_folder, kit_folder);
        break;
    }
}

KIT enum efx_rc place_try(struct place *p, struct efx_err *err)
{
    char url[512];
    place_url(p, url, sizeof url);
    enum efx_rc rc = efx_stores_open(&p->s, url, NULL, efx_world_real(), err);
    if (rc == EFX_OK) {
        p->store = p->s->store;
        p->coord = p->s->coord;
    }
    return rc;
}

KIT void place_open(struct place *p)
{
    struct efx_err err = {0};
    if (place_try(p, &err) != EFX_OK) {
        fail_msg("%s: %s", p->name, err.msg);
    }
}

KIT void place_close(struct place *p)
{
    efx_stores_close(&p->s);
}

KIT void place_reopen(struct place *p)
{
    place_close(p);
    place_open(p);
}

KIT int place_setup(void **state)
{
    static int n_apps;
    static struct place now;
    const struct place *like = *state;
    now = (struct place){.kind = like->kind, .name = like->name};
    (void)snprintf(now.app, sizeof now.app, "app-%d", ++n_apps);
    place_open(&now);
    *state = &now;
    return 0;
}

KIT int place_teardown(void **state)
{
    place_close(*state);
    return 0;
}

/* One test over the kinds that it is for. */
struct kit_test {
    const char *name;
    CMUnitTestFunction run;
    unsigned kinds;
};
#define OVER(kinds_, run_)                                                                         \
    {                                                                                              \
#run_, run_, (kinds_)                                                                      \
    }

KIT int kit_run(const struct kit_test *tests, size_t n_tests, bool in_memory)
{
    static struct place kinds[] = {{.kind = MEMORY, .name = "memory"},
                                   {.kind = DIRECTORY, .name = "directory"},
                                   {.kind = SQLITE, .name = "sqlite"},
                                   {.kind = REDIS, .name = "redis"},
                                   {.kind = REDIS_TLS, .name = "redis with tls"}};
    static struct CMUnitTest all[400];
    static char names[400][120];
    size_t n = 0;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (size_t t = 0; t < n_tests; t++) {
            if (tests[t].kinds & kinds[k].kind) {
                (void)snprintf(names[n], sizeof names[n], "%s: %s", kinds[k].name, tests[t].name);
                all[n] = (struct CMUnitTest){names[n], tests[t].run, place_setup, place_teardown,
                                             &kinds[k]};
                n++;
            }
        }
    }
    kit_begin(in_memory);
    server_start(&kit_plain, SERVER_PLAIN);
    server_start(&kit_tls, SERVER_TLS);
    int rc = _cmocka_run_group_tests("stores", all, n, NULL, NULL);
    server_stop(&kit_plain, SIGTERM);
    server_stop(&kit_tls, SIGTERM);
    kit_end();
    return rc;
}

/* ---- what tests say ------------------------------------------------------------------------ */

KIT struct efx_bytes bytes_of(const char *z)
{
    return (struct efx_bytes){(const uint8_t *)z, strlen(z)};
}

#define assert_ok(call)                                                                            \
    do {                                                                                           \
        struct efx_err err = {0};                                                                  \
        enum efx_rc rc_is = (call);                                                                \
        if (rc_is != EFX_OK) {                                                                     \
            print_error("rc %d: %s\n", (int)rc_is, err.msg);                                       \
        }                                                                                          \
        assert_int_equal(rc_is, EFX_OK);                                                           \
    } while (0)
/* A failure always says what it is about. */
#define assert_rc(rc_wanted, call)                                                                 \
    do {                                                                                           \
        struct efx_err err = {0};                                                                  \
        enum efx_rc rc_is = (call);                                                                \
        if (rc_is != (rc_wanted)) {                                                                \
            print_error("rc %d: %s\n", (int)rc_is, err.msg);                                       \
        }                                                                                          \
        assert_int_equal(rc_is, (rc_wanted));                                                      \
        assert_true(err.msg[0] != '\0');                                                           \
        assert_int_equal(err.rc, (rc_wanted));                                                     \
    } while (0)

KIT struct efx_lease lease_of(const char *name, const char *holder)
{
    struct efx_lease lease = {0};
    (void)snprintf(lease.name, sizeof lease.name, "%s", name);
    (void)snprintf(lease.holder, sizeof lease.holder, "%s", holder);
    return lease;
}

KIT uint64_t boot_ns(void)
{
    return efx_world_real()->clock->boottime_ns(efx_world_real());
}

/* Until the place's clock, too, has passed what ended at the latest `ms` from now. */
KIT void wait_ms(int ms)
{
    uint64_t until = boot_ns() + (uint64_t)ms * 1000000;
    while (boot_ns() < until) {
        struct timespec t = {0, 1000000};
        (void)nanosleep(&t, NULL);
    }
}

KIT struct efx_next next_of(const struct place *p, uint64_t from, uint64_t to, uint64_t start,
                            const char *record)
{
    return (struct efx_next){
        .from = from, .to = to, .start = start, .leader = &p->leader, .record = bytes_of(record)};
}

/* Founded, and led by "a". */
KIT void place_found(struct place *p)
{
    p->leader = lease_of("leader", "a");
    assert_ok(p->coord->vt->take(p->coord, &p->leader, 600000, bytes_of("here"), &err));
    struct efx_next next = next_of(p, 0, 1, 0, "record 1");
    assert_ok(p->coord->vt->next_epoch(p->coord, &next, &err));
    p->epoch = 1;
}

KIT struct efx_by by_of(const struct place *p)
{
    return (struct efx_by){p->epoch, &p->leader};
}

KIT enum efx_rc commit(struct place *p, uint64_t last, uint64_t no, const char *text,
                       struct efx_err *err)
{
    struct efx_commit c = {by_of(p), last, no, bytes_of(text)};
    return p->store->vt->commit_manifest(p->store, &c, err);
}

/* n bytes from a seed, on the heap. */
KIT struct efx_bytes noise(size_t n, uint64_t seed)
{
    uint8_t *p = malloc(n + 8);
    assert_non_null(p);
    for (size_t i = 0; i < n; i += 8) {
        uint64_t v = efx_test_rand(&seed);
        memcpy(p + i, &v, 8);
    }
    return (struct efx_bytes){p, n};
}

KIT void noise_free(struct efx_bytes b)
{
    free((void *)(uintptr_t)b.p);
}

KIT struct efx_chunk_name name_of(uint64_t no, struct efx_bytes b)
{
    return (struct efx_chunk_name){no, efx_state__hash(b)};
}

KIT struct efx_chunk_name put(struct place *p, uint64_t no, const char *text)
{
    struct efx_bytes b = bytes_of(text);
    struct efx_chunk_name name = name_of(no, b);
    assert_ok(p->store->vt->put_chunks(p->store, &name, &b, 1, &err));
    return name;
}

#endif /* PLACE_KIT_H */
