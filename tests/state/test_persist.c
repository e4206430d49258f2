/* Checkpoints by the public library. */
#include "efx_test.h"

#include "efx/efx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64], url[96];
static const char SQL[] = "CREATE STREAM T (k STRING, v INT);"
                          "INSERT INTO Sums SELECT k, sum(v) AS s FROM T GROUP BY k;";

static int begin(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/efx-persist-XXXXXX");
    assert_non_null(mkdtemp(folder));
    (void)snprintf(url, sizeof url, "dir:%s", folder);
    return 0;
}

static int end(void **state)
{
    char command[96];
    (void)state;
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void take(void *arg, const struct efx_row *row)
{
    *(int64_t *)arg = row->values[1].u.l;
}

static struct efx *start(const char *sql, int64_t *sum)
{
    struct efx *app;
    struct efx_options o = EFX_OPTIONS_INIT;
    struct efx_error err = {0};
    o.clock = EFX_CLOCK_VIRTUAL;
    assert_int_equal(efx_open(&app, sql, &o, &err), EFX_RC_OK);
    assert_int_equal(efx_on(app, "Sums", take, sum), EFX_RC_OK);
    assert_int_equal(efx_start(app, &err), EFX_RC_OK);
    return app;
}

static enum efx_code keep(struct efx *app, const char *restore, struct efx_error *err)
{
    struct efx_persist_options p = EFX_PERSIST_OPTIONS_INIT;
    p.url = url;
    p.restore = restore;
    return efx_persist_open(app, &p, err);
}

static void send(struct efx *app, int32_t v)
{
    assert_int_equal(efx_send(app, "T", 1000, (efx_val[]){EFX_STR("a"), EFX_INT(v)}, 2), EFX_RC_OK);
    assert_int_equal(efx_flush(app), EFX_RC_OK);
}

static void an_app_goes_on_where_its_checkpoint_stood(void **state)
{
    int64_t sum = 0;
    size_t n = 9;
    struct efx_error err = {0};
    (void)state;
    struct efx *app = start(SQL, &sum);
    assert_int_equal(keep(app, NULL, &err), EFX_RC_OK);
    assert_null(efx_restored(app, &n));
    assert_int_equal(n, 0);
    for (int i = 1; i <= 20; i++) {
        send(app, i);
        assert_int_equal(efx_persist(app, &i, sizeof i, &err), EFX_RC_OK);
    }
    send(app, 1000); /* after the last checkpoint: lost with the process */
    efx_close(&app);
    app = start(SQL, &sum);
    assert_int_equal(keep(app, "last", &err), EFX_RC_OK);
    int at = 0;
    const void *p = efx_restored(app, &n);
    assert_int_equal(n, sizeof at);
    memcpy(&at, p, sizeof at);
    assert_int_equal(at, 20);
    send(app, 5);
    assert_int_equal(sum, 215);
    efx_close(&app);
}

static void another_program_is_refused_and_named(void **state)
{
    static const char other[] = "CREATE STREAM T (k STRING, v INT);"
                                "INSERT INTO Sums SELECT k, sum(v + 1) AS s FROM T GROUP BY k;";
    int64_t sum = 0;
    struct efx_error err = {0};
    (void)state;
    struct efx *app = start(SQL, &sum);
    assert_int_equal(keep(app, NULL, &err), EFX_RC_OK);
    send(app, 3);
    assert_int_equal(efx_persist(app, NULL, 0, &err), EFX_RC_OK);
    efx_close(&app);
    app = start(other, &sum);
    assert_int_equal(keep(app, NULL, &err), EFX_RC_SQL);
    assert_non_null(strstr(err.msg, "INSERT INTO Sums"));
    efx_close(&app);
    app = start(other, &sum);
    assert_int_equal(keep(app, "compatible", &err), EFX_RC_OK);
    send(app, 3);
    assert_int_equal(sum, 4);
    efx_close(&app);
}

static void what_is_called_out_of_turn_is_refused(void **state)
{
    int64_t sum = 0;
    struct efx_error err = {0};
    (void)state;
    struct efx *app = start(SQL, &sum);
    assert_int_equal(efx_persist(app, NULL, 0, &err), EFX_RC_USE);
    assert_int_equal(keep(app, "nonsense", &err), EFX_RC_USE);
    assert_int_equal(keep(app, NULL, &err), EFX_RC_OK);
    assert_int_equal(keep(app, NULL, &err), EFX_RC_USE);
    efx_close(&app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_app_goes_on_where_its_checkpoint_stood, begin, end),
        cmocka_unit_test_setup_teardown(another_program_is_refused_and_named, begin, end),
        cmocka_unit_test_setup_teardown(what_is_called_out_of_turn_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
