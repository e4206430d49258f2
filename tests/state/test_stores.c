/* Addresses of stores, and what is wrong with them. */
#include "efx_test.h"

#include "efx_stores.h"
#include "efx_world_real.h"
#include "url.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct parsed {
    struct efx_arena arena;
    struct efx_stores_conf conf;
    enum efx_scheme scheme;
    struct efx_err err;
    enum efx_rc rc;
};

static struct parsed parse(const char *url)
{
    struct parsed p = {.rc = EFX_OK};
    efx_arena_init(&p.arena, &efx_mem_libc, 1 << 20);
    p.rc = efx_state__url_parse(url, &p.conf, &p.arena, &p.scheme, &p.err);
    return p;
}

static void address__of_redis_is_taken_apart(void **state)
{
    (void)state;
    struct parsed p = parse("rediss://us%65r:p%40ss:w@[::1]:7000/5?app=a.b&ttl=60&prefix=x%3A"
                            "&replicas=2&connections=3&deadline_ms=9&ca=/c&cert=/d&key=/e");
    assert_int_equal(p.rc, EFX_OK);
    assert_int_equal(p.scheme, EFX_SCHEME_REDIS);
    assert_true(p.conf.tls);
    assert_string_equal(p.conf.user, "user");
    assert_string_equal(p.conf.password, "p@ss:w");
    assert_string_equal(p.conf.host, "::1");
    assert_int_equal(p.conf.port, 7000);
    assert_int_equal(p.conf.db, 5);
    assert_string_equal(p.conf.app, "a.b");
    assert_string_equal(p.conf.prefix, "x:");
    assert_int_equal(p.conf.ttl, 60);
    assert_int_equal(p.conf.replicas, 2);
    assert_int_equal(p.conf.connections, 3);
    assert_int_equal(p.conf.deadline_ms, 9);
    assert_string_equal(p.conf.ca, "/c");
    efx_arena_fini(&p.arena);
}

static void address__has_defaults(void **state)
{
    (void)state;
    struct parsed p = parse("redis://");
    assert_int_equal(p.rc, EFX_OK);
    assert_false(p.conf.tls);
    assert_string_equal(p.conf.host, "127.0.0.1");
    assert_int_equal(p.conf.port, 6379);
    assert_null(p.conf.password);
    assert_string_equal(p.conf.cluster, "efx");
    assert_string_equal(p.conf.app, "app");
    assert_string_equal(p.conf.prefix, "eventflux:");
    assert_int_equal(p.conf.deadline_ms, 5000);
    assert_int_equal(p.conf.connections, 10);
    efx_arena_fini(&p.arena);
    p = parse("redis://:only@h");
    assert_null(p.conf.user);
    assert_string_equal(p.conf.password, "only");
    assert_string_equal(p.conf.host, "h");
    efx_arena_fini(&p.arena);
}

static void address__of_a_path_may_be_plain(void **state)
{
    static const struct {
        const char *url;
        enum efx_scheme scheme;
        const char *path;
    } good[] = {
        {"/var/lib/efx", EFX_SCHEME_DIR, "/var/lib/efx"},
        {"state", EFX_SCHEME_DIR, "state"},
        {"./a:b", EFX_SCHEME_DIR, "./a:b"},
        {"dir:/a%20b?app=x", EFX_SCHEME_DIR, "/a b"},
        {"sqlite:/a.db", EFX_SCHEME_SQLITE, "/a.db"},
        {"memory:", EFX_SCHEME_MEMORY, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct parsed p = parse(good[i].url);
        assert_int_equal(p.rc, EFX_OK);
        assert_int_equal(p.scheme, good[i].scheme);
        assert_true(p.conf.path == good[i].path || strcmp(p.conf.path, good[i].path) == 0);
        efx_arena_fini(&p.arena);
    }
}

static void mistakes__are_told_with_what_is_right(void **state)
{
    static const struct {
        const char *url, *told;
    } bad[] = {
        {"http://x", "redis://HOST"},
        {"redis://h:0", "1 to 65535"},
        {"redis://h:99999999999999999999", "1 to 65535"},
        {"redis://h/x", "number of a database"},
        {"redis://u:geheim@h?deadline=5", "did you mean 'deadline_ms'"},
        {"redis://u:geheim@h?ttl=-1", "from 0 to"},
        {"redis://u:geheim@h?ttl=", "from 0 to"},
        {"redis://u:geheim%4@h", "%hh"},
        {"redis://u:geheim@h?cert=/x", "together"},
        {"redis://h?app=a/b", "letters, digits"},
        {"dir:/x?app=..", "letters, digits"},
        {"dir:", "names no path"},
        {"dir:/%00", "names no path"},
        {"memory:x", "nothing else"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct parsed p = parse(bad[i].url);
        if (p.rc == EFX_OK || p.err.kind != EFX_KIND_USER ||
            strstr(p.err.msg, bad[i].told) == NULL || strstr(p.err.msg, "geheim") != NULL) {
            fail_msg("%s: %s", bad[i].url, p.err.msg);
        }
        efx_arena_fini(&p.arena);
    }
}

static void address__is_shown_without_its_password(void **state)
{
    static const char *const shown[][2] = {
        {"redis://u:secret@h:1/2?x=y", "redis://u:***@h:1/2?x=y"},
        {"redis://:se:cr@et@h", "redis://:***@h"},
        {"redis://h:6379/a@b:c", "redis://h:6379/a@b:c"},
        {"/a:b@c", "/a:b@c"},
    };
    char out[64];
    (void)state;
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
        efx_stores_url_public(shown[i][0], out, sizeof out);
        assert_string_equal(out, shown[i][1]);
    }
    efx_stores_url_public("redis://u:secret@h", out, 12);
    assert_string_equal(out, "redis://u:*");
}

static void settings__need_not_outlive_the_call(void **state)
{
    struct efx_stores *s = NULL;
    struct efx_err err = {0};
    char app[] = "mine", url[64] = "/tmp/efx-url-XXXXXX", path[128];
    (void)state;
    assert_non_null(mkdtemp(url));
    struct efx_stores_conf conf = {.app = app};
    assert_int_equal(efx_stores_open(&s, url, &conf, efx_world_real(), &err), EFX_OK);
    (void)snprintf(path, sizeof path, "%s/mine/chunks", url);
    memset(app, 'x', 4);
    assert_int_equal(access(path, R_OK), 0);
    efx_stores_close(&s);
    (void)snprintf(path, sizeof path, "rm -r %s", url);
    assert_int_equal(system(path), 0);
}

static void directory__that_cannot_be_made_is_told(void **state)
{
    struct efx_stores *s = NULL;
    struct efx_err err = {0};
    (void)state;
    assert_int_equal(efx_stores_open(&s, "/dev/null/x", NULL, efx_world_real(), &err), EFX_EIO);
    assert_int_equal(err.kind, EFX_KIND_USER);
    assert_non_null(strstr(err.msg, "/dev/null/x"));
    assert_int_equal(efx_stores_open(&s, "sqlite:/dev/null/x", NULL, efx_world_real(), &err),
                     EFX_EIO);
    assert_int_equal(err.kind, EFX_KIND_USER);
    assert_non_null(strstr(err.msg, "/dev/null/x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(address__of_redis_is_taken_apart),
        cmocka_unit_test(address__has_defaults),
        cmocka_unit_test(address__of_a_path_may_be_plain),
        cmocka_unit_test(mistakes__are_told_with_what_is_right),
        cmocka_unit_test(address__is_shown_without_its_password),
        cmocka_unit_test(settings__need_not_outlive_the_call),
        cmocka_unit_test(directory__that_cannot_be_made_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
