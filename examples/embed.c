/* A program of one's own around the engine: opens an app, listens to a stream, sends events.
 *
 *   cc embed.c $(pkg-config --cflags --libs efx) -o embed
 */
#include <efx/efx.h>

#include <stdio.h>

static const char sql[] =
    "CREATE STREAM Readings (sensor STRING, celsius DOUBLE);"
    "INSERT INTO Rising SELECT e1.sensor AS sensor, e1.celsius AS low, e2.celsius AS high"
    "  FROM PATTERN (EVERY e1=Readings"
    "                -> e2=Readings[sensor = e1.sensor AND celsius > e1.celsius + 10]) WITHIN 1 "
    "MIN;";

static void print_row(void *arg, const struct efx_row *row)
{
    const efx_val *v = row->values; /* ours until we return */
    (void)arg;
    printf("%lld ms: %.*s rose from %.1f to %.1f\n", (long long)row->ts_ms, (int)v[0].u.s.n,
           v[0].u.s.p, v[1].u.d, v[2].u.d);
}

int main(void)
{
    struct efx *app;
    struct efx_error err = {0};
    struct efx_options options = EFX_OPTIONS_INIT;
    options.clock = EFX_CLOCK_VIRTUAL; /* time is what the events say */
    enum efx_code code = efx_open(&app, sql, &options, &err);
    if (code == EFX_RC_OK) {
        code = efx_on(app, "Rising", print_row, NULL);
    }
    if (code == EFX_RC_OK) {
        code = efx_start(app, &err);
    }
    static const double cellar[] = {12.5, 13.0, 24.5, 25.0};
    for (int i = 0; code == EFX_RC_OK && i < 4; i++) {
        efx_val values[] = {EFX_STR("cellar"), EFX_DOUBLE(cellar[i])};
        code = efx_send(app, "Readings", 1000 * i, values, 2);
    }
    if (code == EFX_RC_OK) {
        code = efx_finish(app, 0);
    }
    if (code != EFX_RC_OK) {
        (void)fprintf(stderr, "embed: %s\n%s", err.msg, app != NULL ? efx_messages(app) : "");
    }
    efx_close(&app);
    return code == EFX_RC_OK ? 0 : 1;
}
