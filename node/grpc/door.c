/* Opening and closing the door: the table of methods, readiness, leaving, the tick. */
#include "door.h"

#include <stdio.h>

static void closed_nothing(struct efx_grpc_call *c, bool cancelled)
{
    (void)c;
    (void)cancelled;
}

void efx_door__add(struct door_table *t, const struct efx_grpc_method *m)
{
    EFX_ASSERT(t->n < DOOR_METHODS_MAX);
    t->v[t->n] = *m;
    if (m->closed == NULL) {
        t->v[t->n].closed = closed_nothing;
    }
    t->n++;
}

static void fill_table(struct efx_door *d)
{
    struct door_table t = {d->methods, 0};
    efx_door__add_submit(&t);
    efx_door__add_rows(&t);
    efx_door__add_info(&t);
    efx_door__add_ops(&t);
    efx_door__add_transport(&t);
    efx_door__add_events(&t);
    efx_door__add_beat(&t);
    efx_door__add_health(&t);
    efx_door__add_reflect(&t);
    for (uint32_t i = 0; i < t.n; i++) {
        t.v[i].arg = d;
    }
    d->n_methods = t.n;
}

/* ---- readiness, leaving ---- */

static void on_ready(void *arg)
{
    efx_door__health_changed(arg);
}

void efx_door_ready(struct efx_door *d, bool ready)
{
    d->ready = ready;
    d->vt->post(d->server, &d->ready_task);
}

static void on_leave(void *arg)
{
    struct efx_door *d = arg;
    efx_door__health_end(d);
    efx_door__submit_leave(d);
    efx_door__rows_leave(d);
    efx_door__relay_leave(d);
    efx_door__events_leave(d);
}

void efx_door_drain(struct efx_door *d, uint64_t ms)
{
    d->leaving = true;
    d->vt->post(d->server, &d->leave_task);
    d->vt->drain(d->server, ms);
}

bool efx_door_is_down(const struct efx_door *d)
{
    return d->vt->is_down(d->server);
}

static void tick(void *arg)
{
    struct efx_door *d = arg;
    uint64_t now_ns = d->vt->now_ns();
    if (now_ns - d->rate_at_ns >= 1000000000) {
        d->rate = (d->n_rows_in - d->rate_rows) * 1000000000 / (now_ns - d->rate_at_ns);
        d->rate_rows = d->n_rows_in;
        d->rate_at_ns = now_ns;
    }
    efx_door__submit_tick(d, now_ns);
    efx_door__rows_tick(d);
    efx_door__events_tick(d);
}

/* ---- open, close ---- */

static void set_opts(struct efx_door *d, const struct efx_door_opts *opts)
{
    d->opts = *opts;
    d->opts.max_calls = opts->max_calls != 0 ? opts->max_calls : 256;
    d->opts.max_message_bytes =
        opts->max_message_bytes != 0 ? opts->max_message_bytes : 4 * 1024 * 1024;
    d->opts.subscribe_bytes = opts->subscribe_bytes != 0 ? opts->subscribe_bytes : 16 * 1024 * 1024;
    d->opts.ack_ms = opts->ack_ms != 0 ? opts->ack_ms : 1000;
    (void)snprintf(d->node, sizeof d->node, "%s", opts->node != NULL ? opts->node : "");
    d->ready_task = (struct efx_grpc_task){.fn = on_ready, .arg = d};
    d->leave_task = (struct efx_grpc_task){.fn = on_leave, .arg = d};
}

static void free_door(struct efx_door *d)
{
    efx_mem_libc.free(&efx_mem_libc, d->methods, DOOR_METHODS_MAX * sizeof *d->methods);
    efx_mem_libc.free(&efx_mem_libc, d, sizeof *d);
}

enum efx_rc efx_door_open(struct efx_door **out, struct efx_service *service,
                          const struct efx_door_opts *opts, struct efx_err *err)
{
    static const char *const open_paths[] = {"/grpc.health.v1.Health/Check",
                                             "/grpc.health.v1.Health/Watch", NULL};
    const struct efx_grpc_vt *vt;
    EFX_RET(efx_grpc_load(&vt, err));
    struct efx_door *d = efx_mem_libc.alloc(&efx_mem_libc, sizeof *d);
    struct efx_grpc_method *methods =
        efx_mem_libc.alloc(&efx_mem_libc, DOOR_METHODS_MAX * sizeof *methods);
    if (d == NULL || methods == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "out of memory");
    }
    memset(d, 0, sizeof *d);
    d->vt = vt;
    d->service = service;
    d->methods = methods;
    set_opts(d, opts);
    fill_table(d);
    struct efx_grpc_serve how = {.address = opts->address,
                                 .tls = opts->tls,
                                 .token = opts->token,
                                 .max_calls = d->opts.max_calls,
                                 .max_message_bytes = d->opts.max_message_bytes,
                                 .n_methods = d->n_methods,
                                 .methods = d->methods,
                                 .open_paths = open_paths,
                                 .tick = tick,
                                 .arg = d};
    enum efx_rc rc = vt->serve(&how, &d->server, err);
    if (rc != EFX_OK) {
        free_door(d);
        return rc;
    }
    *out = d;
    return EFX_OK;
}

const char *efx_door_address(const struct efx_door *d)
{
    return d->vt->address(d->server);
}

void efx_door_close(struct efx_door **d_of)
{
    struct efx_door *d = *d_of;
    if (d != NULL) {
        d->vt->close(&d->server);
        efx_door__json_close(d);
        free_door(d);
        *d_of = NULL;
    }
}

void efx_door_numbers(const struct efx_door *d, struct efx_grpc_numbers *out)
{
    d->vt->numbers(d->server, out);
}
