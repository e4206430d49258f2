/* What only Redis can do to us: it dies, hangs, forgets, is full, refuses; and what we ask. */
#include "place_kit.h"

#include <pthread.h>

#define CALL(p, method, ...)  (p)->store->vt->method((p)->store, __VA_ARGS__)
#define COORD(p, method, ...) (p)->coord->vt->method((p)->coord, __VA_ARGS__)

struct lines { /* warnings */
    uint32_t n;
    char text[4][400];
};

static void take_line(void *arg, const char *line)
{
    struct lines *l = arg;
    assert_true(l->n < 4);
    (void)snprintf(l->text[l->n++], sizeof l->text[0], "%s", line);
}

static struct server own; /* of the test that runs */

static enum efx_rc open_on(struct place *p, const char *options, struct lines *lines,
                           struct efx_err *err)
{
    char url[512];
    struct efx_stores_conf conf = {.app = "own"};
    if (lines != NULL) {
        *lines = (struct lines){0};
        conf.warn = take_line;
        conf.warn_arg = lines;
    }
    *p = (struct place){.name = "own"};
    (void)snprintf(url, sizeof url, "redis://127.0.0.1:%d%s", own.port, options);
    enum efx_rc rc = efx_stores_open(&p->s, url, &conf, efx_world_real(), err);
    if (rc == EFX_OK) {
        p->store = p->s->store;
        p->coord = p->s->coord;
    }
    return rc;
}

static int own_setup(void **state)
{
    (void)state;
    own = (struct server){0};
    server_start(&own, SERVER_PLAIN);
    return 0;
}

static int own_teardown(void **state)
{
    (void)state;
    if (own.pid != 0) {
        (void)kill(own.pid, SIGCONT);
        server_stop(&own, SIGKILL);
    }
    return 0;
}

static void own_restart(void)
{
    server_stop(&own, SIGKILL);
    server_launch(&own);
    server_wait(&own);
}

/* The same call again, as C6 wants it. */
#define AGAIN(call)                                                                                \
    do {                                                                                           \
        struct efx_err err = {0};                                                                  \
        enum efx_rc rc_is = EFX_EIO;                                                               \
        for (int n_times = 0; n_times < 200 && rc_is == EFX_EIO; n_times++) {                      \
            rc_is = (call);                                                                        \
        }                                                                                          \
        if (rc_is != EFX_OK) {                                                                     \
            print_error("%s\n", err.msg);                                                          \
        }                                                                                          \
        assert_int_equal(rc_is, EFX_OK);                                                           \
    } while (0)

static void server__that_was_killed_and_is_back_goes_on(void **state)
{
    struct place p;
    (void)state;
    assert_ok(open_on(&p, "", NULL, &err));
    place_found(&p);
    struct efx_chunk_name one = put(&p, 1, "one");
    assert_ok(commit(&p, 0, 1, "one", &err));
    own_restart();
    uint8_t room[16];
    struct efx_writer w = {.p = room, .max = sizeof room};
    assert_ok(CALL(&p, get_chunk, &one, &w, &err)); /* a connection that ended is made anew */
    assert_ok(COORD(&p, renew, &p.leader, 600000, bytes_of(""), &err)); /* its end was kept */
    server_stop(&own, SIGKILL);
    w.n = 0;
    assert_rc(EFX_EIO, CALL(&p, get_chunk, &one, &w, &err));
    assert_rc(EFX_EIO, commit(&p, 1, 2, "two", &err));
    assert_rc(EFX_EIO, COORD(&p, renew, &p.leader, 600000, bytes_of(""), &err));
    server_launch(&own);
    AGAIN(commit(&p, 1, 2, "two", &err));
    AGAIN(COORD(&p, renew, &p.leader, 600000, bytes_of(""), &err));
    place_close(&p);
}

static void server__that_hangs_ends_in_the_deadline(void **state)
{
    struct place p;
    (void)state;
    assert_ok(open_on(&p, "?deadline_ms=200", NULL, &err));
    place_found(&p);
    KIT_MUST(kill(own.pid, SIGSTOP) == 0);
    assert_rc(EFX_EIO, commit(&p, 0, 1, "one", &err));
    assert_rc(EFX_EIO, COORD(&p, renew, &p.leader, 600000, bytes_of(""), &err));
    struct efx_bytes large = noise(8 * 1024 * 1024, 1); /* more than sockets take */
    struct efx_chunk_name name = name_of(2, large);
    assert_rc(EFX_EIO, CALL(&p, put_chunks, &name, &large, 1, &err));
    KIT_MUST(kill(own.pid, SIGCONT) == 0);
    /* The first request was on its way and may be done now, before or after this one. */
    AGAIN(commit(&p, 0, 1, "one", &err));
    AGAIN(CALL(&p, put_chunks, &name, &large, 1, &err));
    AGAIN(commit(&p, 1, 2, "two", &err));
    noise_free(large);
    place_close(&p);
}

/* With a deadline of minutes; the bound here is far from both. */
static void call__never_outlasts_the_lease_it_is_about(void **state)
{
    struct place p;
    uint8_t room[64];
    struct efx_writer w = {.p = room, .max = sizeof room};
    (void)state;
    assert_ok(open_on(&p, "?deadline_ms=300000", NULL, &err));
    p.leader = lease_of("leader", "a");
    assert_ok(COORD(&p, take, &p.leader, 2000, bytes_of(""), &err));
    KIT_MUST(kill(own.pid, SIGSTOP) == 0);
    uint64_t before_ns = boot_ns();
    assert_rc(EFX_EIO, COORD(&p, list, "", &w, &err));
    assert_rc(EFX_EIO, COORD(&p, renew, &p.leader, 2000, bytes_of(""), &err));
    assert_true(boot_ns() - before_ns < 100000000000);
    place_close(&p);
}

/* b takes over while a's commit is on its way: done before that, or never. */
static void late_request__of_an_old_term_counts_before_or_never(void **state)
{
    struct place a, b;
    struct efx_manifest_info info = {0};
    uint32_t n = 1;
    (void)state;
    assert_ok(open_on(&a, "?deadline_ms=200", NULL, &err));
    place_found(&a);
    KIT_MUST(kill(own.pid, SIGSTOP) == 0);
    assert_rc(EFX_EIO, commit(&a, 0, 1, "late", &err));
    KIT_MUST(kill(own.pid, SIGCONT) == 0);
    assert_ok(open_on(&b, "", NULL, &err));
    b.leader = lease_of("leader", "b");
    b.leader.over = a.leader.term;
    b.epoch = 1;
    AGAIN(COORD(&b, take, &b.leader, 600000, bytes_of(""), &err));
    assert_ok(CALL(&b, list_manifests, 0, &info, &n, &err));
    if (n == 1) {
        assert_ok(commit(&a, 0, 1, "late", &err));
    } else {
        assert_rc(EFX_ESTALE, commit(&a, 0, 1, "late", &err));
    }
    assert_rc(EFX_ESTALE, commit(&a, info.no, 9, "later", &err));
    assert_ok(commit(&b, info.no, 9, "b's", &err));
    place_close(&a);
    place_close(&b);
}

static void server__that_forgot_is_noticed_by_its_identity(void **state)
{
    struct place p;
    struct efx_hash id = {{5, 5}}, out;
    (void)state;
    server_stop(&own, SIGTERM);
    server_start(&own, SERVER_FORGETS);
    assert_ok(open_on(&p, "", NULL, &err));
    place_found(&p);
    assert_ok(CALL(&p, identity, NULL, &id, &out, &err));
    assert_ok(CALL(&p, identity, NULL, NULL, &out, &err));
    own_restart();
    assert_rc(EFX_EABSENT, CALL(&p, identity, NULL, NULL, &out, &err));
    assert_rc(EFX_ESTALE, commit(&p, 0, 1, "one", &err));
    assert_rc(EFX_ESTALE, COORD(&p, renew, &p.leader, 1000, bytes_of(""), &err));
    assert_int_equal(p.leader.epoch, 0);
    place_close(&p);
}

static void script__that_the_server_lost_is_sent_again(void **state)
{
    struct place p;
    (void)state;
    assert_ok(open_on(&p, "", NULL, &err));
    place_found(&p);
    assert_ok(commit(&p, 0, 1, "one", &err));
    server_must(&own, "SCRIPT FLUSH");
    assert_ok(commit(&p, 1, 2, "two", &err));
    place_close(&p);
}

static void server__that_throws_keys_away_is_refused(void **state)
{
    struct place p;
    struct efx_err told = {0};
    (void)state;
    server_must(&own, "CONFIG SET maxmemory-policy allkeys-lru");
    assert_int_equal(open_on(&p, "", NULL, &told), EFX_EIO);
    assert_int_equal(told.kind, EFX_KIND_USER);
    assert_non_null(strstr(told.msg, "noeviction"));
    server_must(&own, "CONFIG SET maxmemory-policy volatile-lru");
    assert_ok(open_on(&p, "", NULL, &err));
    place_close(&p);
}

static void server__that_may_forget_is_warned_of(void **state)
{
    struct place p;
    struct lines lines;
    (void)state;
    assert_ok(open_on(&p, "", &lines, &err));
    assert_int_equal(lines.n, 0);
    place_close(&p);
    server_must(&own, "CONFIG SET appendfsync everysec");
    assert_ok(open_on(&p, "", &lines, &err));
    assert_int_equal(lines.n, 1);
    assert_non_null(strstr(lines.text[0], "everysec"));
    place_close(&p);
    server_must(&own, "CONFIG SET appendonly no");
    assert_ok(open_on(&p, "", &lines, &err));
    assert_int_equal(lines.n, 1);
    assert_non_null(strstr(lines.text[0], "append-only"));
    place_close(&p);
    server_must(&own, "ACL SETUSER default -config -info");
    assert_ok(open_on(&p, "", &lines, &err));
    assert_int_equal(lines.n, 2); /* what it does not show is said, too */
    place_close(&p);
}

static void server__that_is_full_says_so_and_can_be_read(void **state)
{
    struct place p;
    (void)state;
    assert_ok(open_on(&p, "", NULL, &err));
    place_found(&p);
    struct efx_chunk_name one = put(&p, 1, "one");
    struct efx_bytes large = noise(4 * 1024 * 1024, 1);
    struct efx_chunk_name name = name_of(1, large);
    assert_ok(commit(&p, 0, 1, "one", &err));
    server_must(&own, "CONFIG SET maxmemory 1mb");
    assert_rc(EFX_ELIMIT, CALL(&p, put_chunks, &name, &large, 1, &err));
    assert_rc(EFX_ELIMIT, commit(&p, 1, 2, "two", &err));
    uint8_t room[16];
    struct efx_writer w = {.p = room, .max = sizeof room};
    assert_ok(CALL(&p, get_chunk, &one, &w, &err));
    server_must(&own, "CONFIG SET maxmemory 0");
    assert_ok(CALL(&p, put_chunks, &name, &large, 1, &err));
    assert_ok(commit(&p, 1, 2, "two", &err));
    noise_free(large);
    place_close(&p);
}

static void keys__are_those_of_the_layout(void **state)
{
    static const char *const wanted[] = {"identity",  "epoch",      "leader",
                                         "terms",     "member:a/7", "manifest:00000000000000000003",
                                         "manifests", "chunks",     "leases"};
    struct place p;
    struct efx_hash id = {{5}}, out;
    (void)state;
    assert_ok(open_on(&p, "/2?prefix=mine:&cluster=blue", NULL, &err));
    place_found(&p);
    struct efx_lease member = lease_of("member:a/7", "a/7");
    struct efx_chunk_name one = put(&p, 1, "one");
    assert_ok(CALL(&p, identity, NULL, &id, &out, &err));
    assert_ok(COORD(&p, take, &member, 600000, bytes_of(""), &err));
    assert_ok(commit(&p, 0, 3, "three", &err));
    redisContext *c = redisConnect("127.0.0.1", own.port);
    freeReplyObject(redisCommand(c, "SELECT 2"));
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        redisReply *r = redisCommand(c, "EXISTS mine:{blue/own}:%s", wanted[i]);
        if (r->integer != 1) {
            fail_msg("no key %s", wanted[i]);
        }
        freeReplyObject(r);
    }
    char text[EFX_CHUNK_TEXT + 1];
    efx_state__chunk_text(&one, text);
    redisReply *r = redisCommand(c, "GET mine:{blue/own}:chunk:%s", text);
    assert_string_equal(r->str, "one");
    freeReplyObject(r);
    r = redisCommand(c, "DBSIZE");
    assert_int_equal(r->integer, 10); /* those and no other */
    freeReplyObject(r);
    r = redisCommand(c, "PTTL mine:{blue/own}:member:a/7");
    assert_true(r->integer > 0 && r->integer <= 600000);
    freeReplyObject(r);
    redisFree(c);
    place_close(&p);
}

static void deleted__stays_readable_for_its_ttl(void **state)
{
    struct place p;
    uint8_t room[16];
    struct efx_writer w = {.p = room, .max = sizeof room};
    (void)state;
    assert_ok(open_on(&p, "?ttl=600", NULL, &err));
    place_found(&p);
    struct efx_chunk_name one = put(&p, 1, "one"), kept = put(&p, 1, "kept");
    assert_ok(commit(&p, 0, 1, "one", &err));
    assert_ok(commit(&p, 1, 2, "two", &err));
    struct efx_by by = by_of(&p);
    assert_ok(CALL(&p, del_chunk, &by, &one, &err));
    assert_ok(CALL(&p, del_manifest, &by, 1, &err));
    assert_ok(CALL(&p, get_chunk, &one, &w, &err));
    struct efx_chunk_name out[3];
    uint32_t n = 3;
    assert_ok(CALL(&p, list_chunks, NULL, out, &n, &err)); /* so nobody deletes it twice */
    assert_int_equal(n, 1);
    assert_int_equal(efx_state__chunk_cmp(&out[0], &kept), 0);
    char text[EFX_CHUNK_TEXT + 1];
    efx_state__chunk_text(&one, text);
    redisReply *r = server_do(&own, "TTL eventflux:{efx/own}:chunk:%s", text);
    assert_true(r->integer > 0 && r->integer <= 600);
    freeReplyObject(r);
    r = server_do(&own, "TTL eventflux:{efx/own}:manifest:00000000000000000001");
    assert_true(r->integer > 0 && r->integer <= 600);
    freeReplyObject(r);
    efx_state__chunk_text(&kept, text);
    r = server_do(&own, "TTL eventflux:{efx/own}:chunk:%s", text);
    assert_int_equal(r->integer, -1);
    freeReplyObject(r);
    place_close(&p);
}

static void replicas__must_have_it_before_it_counts(void **state)
{
    struct place p;
    (void)state;
    assert_ok(open_on(&p, "?replicas=1&deadline_ms=300", NULL, &err));
    p.leader = lease_of("leader", "a");
    assert_ok(COORD(&p, take, &p.leader, 600000, bytes_of(""), &err));
    struct efx_next next = next_of(&p, 0, 1, 0, "record 1");
    assert_rc(EFX_EIO, COORD(&p, next_epoch, &next, &err));
    place_close(&p);

    struct server replica = {0};
    (void)snprintf(replica.extra[0], sizeof replica.extra[0], "--replicaof");
    (void)snprintf(replica.extra[1], sizeof replica.extra[1], "127.0.0.1");
    (void)snprintf(replica.extra[2], sizeof replica.extra[2], "%d", own.port);
    server_must(&own, "CONFIG SET repl-diskless-sync-delay 0");
    server_start(&replica, SERVER_PLAIN);
    assert_ok(open_on(&p, "?replicas=1&deadline_ms=2000", NULL, &err));
    p.leader = lease_of("leader", "a");
    assert_ok(COORD(&p, take, &p.leader, 600000, bytes_of(""), &err));
    AGAIN(COORD(&p, next_epoch, &next, &err)); /* done before, but counts only now */
    p.epoch = 1;
    (void)put(&p, 1, "one");
    assert_ok(commit(&p, 0, 1, "one", &err));
    KIT_MUST(kill(replica.pid, SIGSTOP) == 0);
    assert_rc(EFX_EIO, commit(&p, 1, 2, "two", &err));
    KIT_MUST(kill(replica.pid, SIGCONT) == 0);
    AGAIN(commit(&p, 1, 2, "two", &err));
    redisReply *r = server_do(&replica, "GET eventflux:{efx/own}:manifest:00000000000000000002");
    assert_string_equal(r->str, "two");
    freeReplyObject(r);
    place_close(&p);
    server_stop(&replica, SIGKILL);
}

static void assert_refused(const char *url, enum efx_kind kind, const char *because)
{
    char whole[512];
    struct efx_stores *s = NULL;
    struct efx_err err = {0};
    (void)snprintf(whole, sizeof whole, url, kit_tls.port, kit_folder, kit_folder, kit_folder);
    assert_int_equal(efx_stores_open(&s, whole, NULL, efx_world_real(), &err), EFX_EIO);
    if (err.kind != kind || strstr(err.msg, because) == NULL) {
        fail_msg("%s: kind %d: %s", url, (int)err.kind, err.msg);
    }
    assert_null(strstr(err.msg, "secret"));
}

static void tls_and_rights__are_checked(void **state)
{
    (void)state;
    assert_refused("rediss://efx:secret%%40@localhost:%d/?ca=%s/rogue.crt&cert=%s/client.crt"
                   "&key=%s/client.key",
                   EFX_KIND_USER, "certificate is refused");
    assert_refused("rediss://efx:secret%%40@127.0.0.2:%d/?ca=%s/ca.crt&cert=%s/client.crt"
                   "&key=%s/client.key",
                   EFX_KIND_ENV, "refused"); /* nobody listens there */
    assert_refused("rediss://efx:secret%%40@localhost:%d/?ca=%s/ca.crt&cert=%s/nobody.crt"
                   "&key=%s/client.key",
                   EFX_KIND_USER, "nobody.crt");
    assert_refused("rediss://efx:secret@localhost:%d/?ca=%s/ca.crt&cert=%s/client.crt"
                   "&key=%s/client.key",
                   EFX_KIND_USER, "WRONGPASS");
    assert_refused("rediss://efx:secret%%40@localhost:%d/?prefix=foreign:&ca=%s/ca.crt"
                   "&cert=%s/client.crt&key=%s/client.key&app=x",
                   EFX_KIND_USER, "NOPERM");
    assert_refused("redis://localhost:%d/", EFX_KIND_ENV, "connection ended");
}

static void certificate__must_be_for_the_host(void **state)
{
    struct server other = {0};
    (void)state;
    (void)snprintf(other.extra[0], sizeof other.extra[0], "--tls-cert-file");
    (void)snprintf(other.extra[1], sizeof other.extra[1], "%s/other.crt", kit_folder);
    (void)snprintf(other.extra[2], sizeof other.extra[2], "--tls-key-file");
    (void)snprintf(other.extra[3], sizeof other.extra[3], "%s/other.key", kit_folder);
    server_start(&other, SERVER_TLS);
    int port = kit_tls.port;
    kit_tls.port = other.port;
    assert_refused("rediss://efx:secret%%40@localhost:%d/?ca=%s/ca.crt&cert=%s/client.crt"
                   "&key=%s/client.key",
                   EFX_KIND_USER, "ostname mismatch");
    kit_tls.port = port;
    server_stop(&other, SIGKILL);
}

static void host__that_is_not_there_is_named(void **state)
{
    struct efx_stores *s = NULL;
    struct efx_err err = {0};
    (void)state;
    assert_int_equal(efx_stores_open(&s, "redis://no-such-host.invalid?deadline_ms=3000", NULL,
                                     efx_world_real(), &err),
                     EFX_EIO);
    assert_int_equal(err.kind, EFX_KIND_ENV);
    assert_non_null(strstr(err.msg, "no-such-host.invalid"));
}

enum { THREADS = 6, PUTS = 40 };

struct worker {
    struct place *p;
    uint64_t seed;
    int failed;
};

static void *put_and_get(void *arg)
{
    struct worker *w = arg;
    static const uint32_t sizes[] = {1, 3000, 300000};
    for (uint64_t i = 0; i < PUTS; i++) {
        struct efx_bytes b = noise(sizes[i % 3], w->seed * 1000 + i);
        struct efx_chunk_name name = name_of(1, b);
        struct efx_writer out = {.p = malloc(b.n), .max = b.n};
        struct efx_lease lease = lease_of("member:x", "x");
        w->failed += CALL(w->p, put_chunks, &name, &b, 1, NULL) != EFX_OK;
        w->failed += COORD(w->p, take, &lease, 60000, bytes_of("v"), NULL) != EFX_OK;
        w->failed += CALL(w->p, get_chunk, &name, &out, NULL) != EFX_OK;
        w->failed += out.n != b.n || memcmp(out.p, b.p, b.n) != 0;
        free(out.p);
        noise_free(b);
    }
    return NULL;
}

static void threads__share_few_connections(void **state)
{
    struct place p;
    struct worker workers[THREADS];
    pthread_t thread[THREADS];
    (void)state;
    assert_ok(open_on(&p, "?connections=2&deadline_ms=60000", NULL, &err));
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){&p, i, 0};
        KIT_MUST(pthread_create(&thread[i], NULL, put_and_get, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        KIT_MUST(pthread_join(thread[i], NULL) == 0);
        assert_int_equal(workers[i].failed, 0);
    }
    redisReply *r = server_do(&own, "INFO clients");
    const char *n = strstr(r->str, "connected_clients:");
    assert_non_null(n);
    assert_true(strtol(n + 18, NULL, 10) <= 4); /* two, one for leases, and this one */
    freeReplyObject(r);
    place_close(&p);
}

static void foreign_key__is_no_state(void **state)
{
    struct place p;
    (void)state;
    assert_ok(open_on(&p, "", NULL, &err));
    place_found(&p);
    server_must(&own, "SET eventflux:{efx/own}:manifests hello");
    assert_rc(EFX_EPARSE, commit(&p, 0, 1, "one", &err));
    server_must(&own, "DEL eventflux:{efx/own}:manifests");
    server_must(&own, "ZADD eventflux:{efx/own}:manifests 0 hello");
    uint32_t n = 1;
    struct efx_manifest_info info;
    assert_rc(EFX_EPARSE, CALL(&p, list_manifests, 0, &info, &n, &err));
    place_close(&p);
}

int main(void)
{
#define OWN(f) cmocka_unit_test_setup_teardown(f, own_setup, own_teardown)
    const struct CMUnitTest tests[] = {
        OWN(server__that_was_killed_and_is_back_goes_on),
        OWN(server__that_hangs_ends_in_the_deadline),
        OWN(call__never_outlasts_the_lease_it_is_about),
        OWN(late_request__of_an_old_term_counts_before_or_never),
        OWN(server__that_forgot_is_noticed_by_its_identity),
        OWN(script__that_the_server_lost_is_sent_again),
        OWN(server__that_throws_keys_away_is_refused),
        OWN(server__that_may_forget_is_warned_of),
        OWN(server__that_is_full_says_so_and_can_be_read),
        OWN(keys__are_those_of_the_layout),
        OWN(deleted__stays_readable_for_its_ttl),
        OWN(replicas__must_have_it_before_it_counts),
        OWN(threads__share_few_connections),
        OWN(foreign_key__is_no_state),
        cmocka_unit_test(tls_and_rights__are_checked),
        cmocka_unit_test(certificate__must_be_for_the_host),
        cmocka_unit_test(host__that_is_not_there_is_named),
    };
    kit_begin(false);
    server_start(&kit_tls, SERVER_TLS);
    int rc = cmocka_run_group_tests_name("redis", tests, NULL, NULL);
    server_stop(&kit_tls, SIGTERM);
    kit_end();
    return rc;
}
