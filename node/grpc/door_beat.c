/* Heartbeat: how this node does, and its cluster. */
#include "door.h"

#include "efx/efx.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t cpu_us(void)
{
    struct rusage u;
    (void)getrusage(RUSAGE_SELF, &u);
    return (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
           (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* Percent of all cores since the heartbeat before. */
static float cpu_percent(struct efx_door *d)
{
    uint64_t now_us = cpu_us(), now_ns = d->vt->now_ns();
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    double wall_us = (double)(now_ns - d->cpu_at_ns) / 1000.0 * (double)(cores < 1 ? 1 : cores);
    double used_us = (double)(now_us - d->cpu_us);
    bool first = d->cpu_at_ns == 0;
    d->cpu_us = now_us;
    d->cpu_at_ns = now_ns;
    return first || wall_us <= 0 ? 0 : (float)(used_us * 100.0 / wall_us);
}

static float memory_percent(void)
{
    unsigned long long pages = 0, rss = 0, limit = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f != NULL) {
        (void)!fscanf(f, "%llu %llu", &pages, &rss);
        (void)fclose(f);
    }
    double all = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    f = fopen("/sys/fs/cgroup/memory.max", "r");
    if (f != NULL) {
        if (fscanf(f, "%llu", &limit) == 1 && (double)limit < all) {
            all = (double)limit;
        }
        (void)fclose(f);
    }
    return all <= 0 ? 0 : (float)((double)rss * (double)sysconf(_SC_PAGESIZE) * 100.0 / all);
}

static void put_status(struct efx_door *d, struct efx_arena *a, const struct efx_status *st,
                       Eventflux__Transport__NodeStatus *out)
{
    struct efx_grpc_numbers numbers;
    d->vt->numbers(d->server, &numbers);
    eventflux__transport__node_status__init(out);
    out->health = d->ready && st->ready ? EVENTFLUX__TRANSPORT__NODE_HEALTH__NODE_HEALTH_HEALTHY
                                        : EVENTFLUX__TRANSPORT__NODE_HEALTH__NODE_HEALTH_DEGRADED;
    out->cpu_usage = cpu_percent(d);
    out->memory_usage = memory_percent();
    out->active_connections = (int32_t)numbers.n_calls;
    out->events_per_second = (int64_t)d->rate;
    out->version = efx_door__text(a, efx_version());
}

static void put_cluster(struct efx_arena *a, const struct efx_status *st,
                        Eventflux__Transport__ClusterInfo *out)
{
    eventflux__transport__cluster_info__init(out);
    out->cluster_id = efx_door__text(a, st->cluster);
    out->total_nodes = (int32_t)st->n_nodes;
    for (uint32_t i = 0; i < st->n_nodes; i++) {
        out->healthy_nodes += st->nodes[i].state == EFX_NODE_RUNNING;
    }
    out->leader_node = efx_door__text(a, st->leader);
    out->cluster_version = efx_door__text(a, efx_version());
}

static void heartbeat(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct efx_door *d = door_of(c);
    struct efx_arena a;
    Eventflux__Transport__HeartbeatResponse r;
    eventflux__transport__heartbeat_response__init(&r);
    Eventflux__Transport__NodeStatus status;
    Eventflux__Transport__ClusterInfo cluster;
    efx_arena_init(&a, &efx_mem_libc, SIZE_MAX);
    struct efx_status *st = NULL;
    if (efx_door__read(c, &eventflux__transport__heartbeat_request__descriptor, pieces, n, &a) !=
        NULL) {
        st = efx_door__status(d);
    }
    if (st != NULL) {
        put_status(d, &a, st, &status);
        put_cluster(&a, st, &cluster);
        r.server_timestamp = efx_door__wall_ms();
        r.server_node_id = d->node;
        r.server_status = &status;
        r.cluster_info = &cluster;
        efx_door__answer(c, &r.base);
    } else if (!c->over) {
        efx_door__finish_as(c, EFX_GRPC_RESOURCE_EXHAUSTED, 4005, "out of memory", NULL);
    }
    efx_door__status_free(st);
    efx_arena_fini(&a);
}

void efx_door__add_beat(struct door_table *t)
{
    efx_door__add(t, &(struct efx_grpc_method){.path = "/eventflux.transport.Transport/Heartbeat",
                                               .message = heartbeat});
}
