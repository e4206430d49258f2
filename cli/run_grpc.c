/* efx run --grpc: the app behind the services of a node, in this process and on this loop. */
#include "run.h"

#include <stdio.h>
#include <string.h>

enum { LEAVE_MS = 5000, GO_ON_MS = 300 }; /* callers that look for another node are answered */

static const char *name_of(const char *path, char *out, size_t max)
{
    const char *slash = strrchr(path, '/');
    const char *from = slash != NULL ? slash + 1 : path;
    const char *dot = strrchr(from, '.');
    int n = (int)(dot != NULL && dot > from ? dot - from : (ptrdiff_t)strlen(from));
    (void)snprintf(out, max, "%.*s", n, strcmp(path, "-") == 0 ? "app" : from);
    return out;
}

int run_grpc_open(struct run_grpc *g, struct efx *app, const char *path,
                  const struct run_grpc_opts *opts)
{
    struct efx_err err = {0};
    char name[64];
    if (opts->address == NULL) {
        return opts->cert == NULL && opts->key == NULL && opts->ca == NULL
                   ? -1
                   : cli_fail(CLI_USER,
                              "efx run: --tls-cert, --tls-key and --tls-ca are of --grpc");
    }
    enum efx_rc rc =
        efx_solo_open(&g->alone, app, name_of(path, name, sizeof name), efx_lib_sql(app), &err);
    return rc == EFX_OK ? -1 : cli_fail(CLI_FAILED, "efx run: %s", err.msg);
}

int run_grpc_serve(struct run_grpc *g, const struct run_grpc_opts *opts)
{
    struct efx_err err = {0};
    struct efx_door_opts how = {.address = opts->address,
                                .tls = {.cert = opts->cert, .key = opts->key, .ca = opts->ca},
                                .token = opts->token,
                                .node = "alone"};
    if (g->alone == NULL) {
        return -1;
    }
    if (efx_door_open(&g->door, efx_solo_service(g->alone), &how, &err) != EFX_OK) {
        return cli_fail(err.kind == EFX_KIND_USER ? CLI_USER : CLI_FAILED, "efx run: %s", err.msg);
    }
    efx_door_ready(g->door, true);
    (void)fprintf(stderr, "efx: gRPC on %s\n", efx_door_address(g->door));
    return -1;
}

bool run_grpc_pump(struct run_grpc *g)
{
    return g->alone != NULL && efx_solo_pump(g->alone);
}

void run_grpc_leave(struct run_grpc *g)
{
    struct efx_world *w = efx_world_real();
    if (g->door == NULL || efx_door_is_down(g->door)) {
        return;
    }
    uint64_t until_ns = w->clock->monotonic_ns(w) + (uint64_t)GO_ON_MS * 1000000;
    bool left = false;
    efx_door_drain(g->door, LEAVE_MS);
    while (!efx_door_is_down(g->door)) {
        if (!left && w->clock->monotonic_ns(w) >= until_ns) {
            left = true;
            efx_solo_leave(g->alone);
        }
        if (!efx_solo_pump(g->alone)) {
            w->clock->sleep_ns(w, 1000000);
        }
    }
    (void)efx_solo_pump(g->alone);
}

void run_grpc_close(struct run_grpc *g)
{
    run_grpc_leave(g);
    efx_door_close(&g->door);
    efx_solo_close(&g->alone);
}
