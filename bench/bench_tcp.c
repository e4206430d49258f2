/* 100-byte events over the frames of a link, a thread with its own loop on each side: each event a
 * frame of its own, and batches of 1,000 events a frame, as nodes send them.
 *
 *   bench_tcp [--seconds S] [--json FILE]
 *
 * Rates are of what arrived; CPU is of both threads. Goal: 10 M events/s on one core each side. */
#include "efx_loop_real.h"
#include "efx_sim.h"
#include "efx_tcp.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EVENT_BYTES = 100, BATCH = 1000, TURN_MESSAGES = 4096 };

struct side {
    struct efx_loop *loop;
    struct efx_transport *net;
    struct efx_link *link;
    struct efx_task send;
    size_t message_bytes;
    uint64_t events_per_message;
    uint64_t events, wanted;
    pthread_t thread;
    double cpu_s;
};

static uint8_t payload[EVENT_BYTES * BATCH];

static double now_s(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(bool holds, const char *what)
{
    if (!holds) {
        (void)fprintf(stderr, "bench_tcp: %s\n", what);
        exit(1);
    }
}

static void send_some(void *arg)
{
    struct side *s = arg;
    struct efx_msg m = {.payload = {payload, s->message_bytes}};
    for (uint32_t i = 0; i < TURN_MESSAGES; i++) {
        if (s->events >= s->wanted || s->net->vt->send(s->link, &m) != EFX_OK) {
            return; /* room comes */
        }
        s->events += s->events_per_message;
    }
    s->loop->vt->post(s->loop, &s->send);
}

static void on_up(void *arg, struct efx_link *link)
{
    struct side *s = arg;
    s->link = link;
    send_some(s);
}

static void on_room(void *arg, struct efx_link *link)
{
    (void)link;
    send_some(arg);
}

static void on_message(void *arg, struct efx_link *link, const struct efx_msg *msg)
{
    struct side *s = arg;
    (void)link;
    (void)msg;
    s->events += s->events_per_message;
    if (s->events >= s->wanted) {
        s->loop->vt->post(s->loop, &s->send);
    }
}

static void on_down(void *arg, struct efx_link *link, enum efx_rc why)
{
    (void)arg;
    (void)link;
    must(why == EFX_DONE, "a link broke");
}

static const struct efx_link_user user = {on_up, on_message, on_room, on_down};

static void on_accepted(void *arg, struct efx_link *link)
{
    link->of->vt->use(link, &user, arg);
}

static void stop_loop(void *arg)
{
    struct side *s = arg;
    efx_loop_real_stop(s->loop);
}

static void *run(void *arg)
{
    struct side *s = arg;
    efx_loop_real_run(s->loop);
    s->cpu_s = now_s(CLOCK_THREAD_CPUTIME_ID);
    return NULL;
}

static void make(struct side *s, uint32_t socket_bytes)
{
    struct efx_tcp_options o = {.mem = &efx_mem_libc, .socket_bytes = socket_bytes};
    must(efx_loop_real_create(&efx_mem_libc, &s->loop, NULL) == EFX_OK, "no loop");
    must(efx_tcp_create(s->loop, &o, &s->net, NULL) == EFX_OK, "no transport");
}

struct figure {
    double events_per_s, send_ns, receive_ns; /* CPU an event */
};

static struct figure measure(const char *address, uint64_t events_per_message, uint64_t wanted,
                             uint32_t socket_bytes)
{
    struct side from = {.events_per_message = events_per_message, .wanted = wanted};
    from.message_bytes = EVENT_BYTES * events_per_message;
    struct side to = from;
    make(&from, socket_bytes);
    make(&to, socket_bytes);
    from.send = (struct efx_task){.fn = send_some, .arg = &from};
    to.send = (struct efx_task){.fn = stop_loop, .arg = &to};
    must(to.net->vt->listen(to.net, address, on_accepted, &to, NULL) == EFX_OK, "cannot listen");
    must(from.net->vt->connect(from.net, to.net->vt->address(to.net), &user, &from, &from.link,
                               NULL) == EFX_OK,
         "cannot connect");
    double start = now_s(CLOCK_MONOTONIC);
    must(pthread_create(&to.thread, NULL, run, &to) == 0, "no thread");
    must(pthread_create(&from.thread, NULL, run, &from) == 0, "no thread");
    (void)pthread_join(to.thread, NULL);
    double took = now_s(CLOCK_MONOTONIC) - start;
    efx_loop_real_stop(from.loop);
    (void)pthread_join(from.thread, NULL);
    from.net->vt->destroy(&from.net);
    to.net->vt->destroy(&to.net);
    efx_loop_real_destroy(&from.loop);
    efx_loop_real_destroy(&to.loop);
    double n = (double)to.events;
    return (struct figure){n / took, from.cpu_s * 1e9 / n, to.cpu_s * 1e9 / n};
}

/* The same in one thread over the simulation in real time, as `efx run --nodes` does. */
static struct figure measure_sim(uint64_t events_per_message, uint64_t wanted)
{
    struct side from = {.events_per_message = events_per_message, .wanted = wanted};
    struct efx_sim *sim;
    struct efx_sim_options o = {.mem = &efx_mem_libc, .n_members = 2, .real_time = true};
    from.message_bytes = EVENT_BYTES * events_per_message;
    struct side to = from;
    must(efx_sim_create(&o, &sim) == EFX_OK, "no simulation");
    from.loop = efx_sim_loop(sim, 0);
    to.loop = efx_sim_loop(sim, 1);
    must(efx_sim_transport(sim, 0, &from.net) == EFX_OK, "no transport");
    must(efx_sim_transport(sim, 1, &to.net) == EFX_OK, "no transport");
    from.send = (struct efx_task){.fn = send_some, .arg = &from};
    to.wanted = UINT64_MAX;
    must(to.net->vt->listen(to.net, "sim:to", on_accepted, &to, NULL) == EFX_OK, "cannot listen");
    must(from.net->vt->connect(from.net, "sim:to", &user, &from, &from.link, NULL) == EFX_OK,
         "cannot connect");
    double start = now_s(CLOCK_MONOTONIC), cpu_s = now_s(CLOCK_THREAD_CPUTIME_ID);
    while (to.events < wanted) {
        must(efx_sim_step(sim), "the simulation stands still");
    }
    double took = now_s(CLOCK_MONOTONIC) - start;
    cpu_s = now_s(CLOCK_THREAD_CPUTIME_ID) - cpu_s;
    from.net->vt->destroy(&from.net);
    to.net->vt->destroy(&to.net);
    efx_sim_destroy(&sim);
    double n = (double)to.events;
    return (struct figure){n / took, cpu_s * 1e9 / n / 2, cpu_s * 1e9 / n / 2};
}

static void show(FILE *json, const char *name, struct figure f, bool last)
{
    (void)printf(
        "%-28s %8.1f M events/s %8.0f MB/s   CPU an event: send %5.1f ns, receive %5.1f ns\n", name,
        f.events_per_s / 1e6, f.events_per_s * EVENT_BYTES / 1e6, f.send_ns, f.receive_ns);
    if (json != NULL) {
        (void)fprintf(
            json, " \"%s\": {\"events_per_s\": %.0f, \"send_ns\": %.2f, \"receive_ns\": %.2f}%s\n",
            name, f.events_per_s, f.send_ns, f.receive_ns, last ? "" : ",");
    }
}

int main(int argc, char **argv)
{
    double seconds = 1;
    FILE *json = NULL;
    char path[64];
    for (int i = 1; i < argc; i += 2) {
        bool is_json = strcmp(argv[i], "--json") == 0;
        if (i + 1 == argc || (!is_json && strcmp(argv[i], "--seconds") != 0)) {
            (void)fprintf(stderr, "usage: bench_tcp [--seconds S] [--json FILE]\n");
            return 2;
        }
        seconds = is_json ? seconds : strtod(argv[i + 1], NULL);
        json = is_json ? fopen(argv[i + 1], "w") : json;
        must(!is_json || json != NULL, "cannot write the file for --json");
    }
    for (size_t i = 0; i < sizeof payload; i++) {
        payload[i] = (uint8_t)(i * 31);
    }
    uint64_t single = (uint64_t)(seconds * 10e6), batched = (uint64_t)(seconds * 30e6);
    (void)snprintf(path, sizeof path, "unix:/tmp/efx-bench-%d", (int)getpid());
    if (json != NULL) {
        (void)fprintf(json, "{\n");
    }
    show(json, "tcp, an event a frame", measure("127.0.0.1:0", 1, single, 1 << 20), false);
    show(json, "tcp, 1,000 events a frame", measure("127.0.0.1:0", BATCH, batched, 1 << 20), false);
    show(json, "  with 64 KiB buffers", measure("127.0.0.1:0", BATCH, batched, 64 << 10), false);
    show(json, "unix, an event a frame", measure(path, 1, single, 1 << 20), false);
    show(json, "unix, 1,000 events a frame", measure(path, BATCH, batched, 1 << 20), false);
    show(json, "simulated, an event a frame", measure_sim(1, single), false);
    show(json, "simulated, 1,000 a frame", measure_sim(BATCH, batched), true);
    if (json != NULL) {
        (void)fprintf(json, "}\n");
        must(fclose(json) == 0, "cannot write the file for --json");
    }
    return 0;
}
