/* The node's HTTP from outside, over real sockets, in front of a service that the test makes up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "efx_admin.h"
#include "efx_loop_real.h"
#include "efx_world_real.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a service ---- */

struct fake {
    struct efx_service base;
    bool ready;
    uint32_t app_refs;
};
static struct efx_service_app app = {
    .name = "cards", .sql = "CREATE STREAM S (\"a\" INT);\n", .plan_json = "{\"operators\":[]}"};

static void fake_status(struct efx_service *self, struct efx_status *out)
{
    struct fake *f = (struct fake *)self;
    memset(out, 0, sizeof *out);
    (void)snprintf(out->cluster, sizeof out->cluster, "efx");
    (void)snprintf(out->app, sizeof out->app, "cards");
    (void)snprintf(out->leader, sizeof out->leader, "n1");
    out->epoch = 7;
    out->n_nodes = 2;
    (void)snprintf(out->nodes[0].id, sizeof out->nodes[0].id, "n1");
    out->nodes[0].state = EFX_NODE_RUNNING;
    out->nodes[0].self = true;
    out->nodes[0].key_groups = 512;
    out->nodes[0].lease_left_ms = 1250;
    (void)snprintf(out->nodes[1].id, sizeof out->nodes[1].id, "n2");
    out->nodes[1].state = EFX_NODE_LOST;
    out->store_state = "ok";
    out->rows_in = 1000000000007;
    out->n_alarms = 1;
    (void)snprintf(out->alarms[0], sizeof out->alarms[0], "say \"hello\"\n");
    out->n_kept = 1;
    out->kept[0].no = 41;
    out->ready = f->ready;
    (void)snprintf(out->why_not, sizeof out->why_not, "it restores checkpoint 41");
}

static const struct efx_service_app *fake_app_ref(struct efx_service *self)
{
    ((struct fake *)self)->app_refs++;
    return &app;
}

static void fake_app_unref(struct efx_service *self, const struct efx_service_app *a)
{
    assert_ptr_equal(a, &app);
    ((struct fake *)self)->app_refs--;
}

static const struct efx_service_vt fake_vt = {
    .app_ref = fake_app_ref, .app_unref = fake_app_unref, .status = fake_status};

/* ---- a node: its loop turns on a thread ---- */

struct node {
    struct fake service;
    struct efx_loop *loop;
    struct efx_admin *admin;
    pthread_t thread;
    bool turns;
    uint16_t port;
};

static void *turn(void *arg)
{
    efx_loop_real_run(arg);
    return NULL;
}

static void open_with(struct node *n, const struct efx_admin_conf *how)
{
    struct efx_admin_conf conf = *how;
    struct efx_err err = {0};
    *n = (struct node){.service = {.base = {&fake_vt}}};
    conf.listen = "127.0.0.1:0";
    conf.mem = &efx_mem_libc;
    conf.world = efx_world_real();
    assert_int_equal(efx_loop_real_create(&efx_mem_libc, &n->loop, &err), EFX_OK);
    assert_int_equal(efx_admin_open(&conf, &n->admin, &err), EFX_OK);
    n->port = (uint16_t)strtol(strrchr(efx_admin_address(n->admin), ':') + 1, NULL, 10);
    assert_int_not_equal(n->port, 0);
}

static void begin(struct node *n)
{
    assert_int_equal(pthread_create(&n->thread, NULL, turn, n->loop), 0);
    n->turns = true;
}

static void halt(struct node *n)
{
    efx_loop_real_stop(n->loop);
    assert_int_equal(pthread_join(n->thread, NULL), 0);
    n->turns = false;
}

static void serve(struct node *n, const char *grpc)
{
    struct efx_admin_node of = {.service = &n->service.base, .loop = n->loop, .grpc = grpc};
    struct efx_err err = {0};
    assert_int_equal(efx_admin_serve(n->admin, &of, &err), EFX_OK);
}

static void close_all(struct node *n)
{
    if (n->turns) {
        halt(n);
    }
    efx_admin_close(&n->admin);
    assert_null(n->admin);
    efx_loop_real_destroy(&n->loop);
    assert_int_equal(n->service.app_refs, 0);
}

/* ---- a client ---- */

static int dial(uint16_t port)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static char reply[256 * 1024];

/* Sends, reads until the end, closes; the status code, 0 = nothing came. */
static int finish_with(int fd, const char *request)
{
    size_t n = 0;
    (void)send(fd, request, strlen(request), MSG_NOSIGNAL);
    for (ssize_t k = 1; k > 0 && n < sizeof reply - 1; n += (size_t)(k > 0 ? k : 0)) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&p, 1, 20000), 1);
        k = recv(fd, reply + n, sizeof reply - 1 - n, 0);
    }
    reply[n] = '\0';
    (void)close(fd);
    return n < 12 ? 0 : (int)strtol(reply + 9, NULL, 10);
}

static int ask(const struct node *n, const char *how, const char *path)
{
    char request[512];
    (void)snprintf(request, sizeof request,
                   "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", how, path);
    return finish_with(dial(n->port), request);
}

static int get(const struct node *n, const char *path)
{
    return ask(n, "GET", path);
}

static bool says(const char *text)
{
    return strstr(reply, text) != NULL;
}

/* Asks until the code comes; a test that never sees it ends by its time limit. */
static void wait_for(const struct node *n, const char *path, int code)
{
    while (get(n, path) != code) {
        struct efx_world *w = efx_world_real();
        w->clock->sleep_ns(w, 20000000);
    }
}

/* ---- tests ---- */

static void before_there_is_a_node__it_is_alive_and_says_why_it_is_not_ready(void **state)
{
    struct node n;
    (void)state;
    open_with(&n, &(struct efx_admin_conf){0});
    efx_admin_starting(n.admin, "the store is away");
    assert_int_equal(get(&n, "/health"), 200);
    assert_int_equal(get(&n, "/ready"), 503);
    assert_true(says("{\"ready\":false,\"reason\":\"the store is away\"}"));
    assert_int_equal(get(&n, "/api/status"), 503);
    assert_int_equal(get(&n, "/api/plan"), 503);
    assert_int_equal(get(&n, "/metrics"), 200);
    assert_true(says("\nefx_up 0\n"));
    assert_false(says("efx_epoch"));
    close_all(&n);
}

static void ready__follows_the_status_and_tells_its_reason(void **state)
{
    struct node n;
    (void)state;
    open_with(&n, &(struct efx_admin_conf){0});
    begin(&n);
    serve(&n, NULL);
    assert_int_equal(get(&n, "/ready"), 503);
    assert_true(says("\"reason\":\"it restores checkpoint 41\""));
    n.service.ready = true;
    assert_int_equal(get(&n, "/ready"), 200);
    assert_true(says("{\"ready\":true,\"epoch\":7}"));
    close_all(&n);
}

static void the_pages_of_the_api_are_json_of_what_runs(void **state)
{
    struct node n;
    (void)state;
    open_with(&n, &(struct efx_admin_conf){0});
    serve(&n, NULL);
    assert_int_equal(get(&n, "/api/status?pretty=1"), 200);
    assert_true(says("Content-Type: application/json"));
    assert_true(says("\"leader\":\"n1\""));
    assert_true(says("\"rows_in\":1000000000007"));
    assert_true(says("\"id\":\"n2\",\"incarnation\":\"0000000000000000\",\"state\":\"lost\""));
    assert_true(says("\"alarms\":[\"say \\\"hello\\\"\\u000a\"]"));
    assert_int_equal(get(&n, "/api/checkpoints"), 200);
    assert_true(says("{\"kept\":[{\"no\":41,"));
    assert_int_equal(get(&n, "/api/plan"), 200);
    assert_true(says("{\"operators\":[]}"));
    assert_int_equal(get(&n, "/api/app"), 200);
    assert_true(says("\"sql\":\"CREATE STREAM S (\\\"a\\\" INT);\\u000a\""));
    close_all(&n);
}

static void what_is_not_there_is_404_and_nothing_can_be_changed(void **state)
{
    static const char *const ways[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    struct node n;
    (void)state;
    open_with(&n, &(struct efx_admin_conf){0});
    serve(&n, NULL);
    assert_int_equal(get(&n, "/nothing\"here"), 404);
    assert_true(says("Content-Type: application/json"));
    assert_true(says("{\"error\":\"nothing is at "));
    assert_int_equal(get(&n, "/healthy"), 404);
    assert_int_equal(get(&n, "/"), 404);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(ask(&n, ways[i], "/api/status"), 405);
        assert_true(says("Allow: GET, HEAD"));
    }
    assert_int_equal(ask(&n, "HEAD", "/health"), 200);
    assert_false(says("alive"));
    close_all(&n);
}

static void a_body_or_head_that_is_too_long_is_refused_and_counted(void **state)
{
    struct node n;
    (void)state;
    open_with(&n, &(struct efx_admin_conf){.body_bytes_max = 1000});
    serve(&n, NULL);
    assert_int_equal(finish_with(dial(n.port), "POST /health HTTP/1.1\r\nHost: x\r\n"
                                               "Content-Length: 1001\r\n\r\n"),
                     413);
    char *request = malloc(40000);
    (void)snprintf(request, 40000, "GET /health HTTP/1.1\r\nX: %030000d\r\n\r\n", 0);
    assert_int_not_equal(finish_with(dial(n.port), request), 200);
    free(request);
    assert_int_equal(finish_with(dial(n.port), "nonsense\r\n\r\n"), 400);
    assert_int_equal(get(&n, "/metrics"), 200);
    assert_true(says("efx_limit_reached_total{limit=\"http.max_body_bytes\"} 1\n"));
    assert_true(says("efx_http_requests_total{code=\"413\"} 1\n"));
    close_all(&n);
}

static void one_connection_too_many_is_told_so_and_there_is_room_when_others_leave(void **state)
{
    struct node n;
    int held[4];
    (void)state;
    open_with(&n, &(struct efx_admin_conf){.connections_max = 4});
    serve(&n, NULL);
    for (uint32_t i = 0; i < 4; i++) {
        held[i] = dial(n.port);
    }
    assert_int_equal(get(&n, "/health"), 503);
    assert_true(says("http.max_connections"));
    (void)close(held[0]);
    wait_for(&n, "/health", 200);
    for (uint32_t i = 1; i < 4; i++) { /* one that is held and silent is served when it asks */
        assert_int_equal(
            finish_with(held[i], "GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            503);
    }
    wait_for(&n, "/metrics", 200);
    assert_false(says("efx_limit_reached_total{limit=\"http.max_connections\"} 0\n"));
    for (uint32_t i = 0; i < 100; i++) { /* nothing of them stays */
        (void)close(dial(n.port));
    }
    while (wait_for(&n, "/metrics", 200), !says("efx_http_connections 1\n")) {
    }
    close_all(&n);
}

static void health__falls_with_a_loop_that_does_not_turn_and_comes_back(void **state)
{
    struct node n;
    (void)state;
    open_with(&n, &(struct efx_admin_conf){.silent_ms = 400});
    begin(&n);
    serve(&n, NULL);
    wait_for(&n, "/health", 200);
    halt(&n);
    wait_for(&n, "/health", 503);
    assert_true(says("the node's loop has not turned for"));
    begin(&n);
    wait_for(&n, "/health", 200);
    close_all(&n);
}

struct grpc { /* answers health checks, or only takes connections */
    int listener;
    pthread_t thread;
    bool answers;
};

static void *be_grpc(void *arg)
{
    struct grpc *g = arg;
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    static const uint8_t headers[] = {0, 0, 1, 1, 4, 0, 0, 0, 1, 0x88};
    for (int fd; (fd = accept(g->listener, NULL, NULL)) >= 0;) {
        uint8_t in[512];
        if (recv(fd, in, sizeof in, 0) > 24 && memcmp(in, "PRI * HTTP/2.0", 14) == 0) {
            (void)send(fd, settings, sizeof settings, MSG_NOSIGNAL);
            (void)send(fd, headers, sizeof headers, MSG_NOSIGNAL);
        }
        (void)recv(fd, in, sizeof in, 0);
        (void)close(fd);
    }
    return NULL;
}

static void grpc_open(struct grpc *g, char *address, size_t n)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    g->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(g->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(g->listener, 64), 0);
    assert_int_equal(getsockname(g->listener, (struct sockaddr *)&at, &len), 0);
    (void)snprintf(address, n, "127.0.0.1:%u", ntohs(at.sin_port));
    assert_int_equal(pthread_create(&g->thread, NULL, be_grpc, g), 0);
}

static void grpc_stop(struct grpc *g) /* still takes connections: the kernel does */
{
    (void)shutdown(g->listener, SHUT_RD);
    assert_int_equal(pthread_join(g->thread, NULL), 0);
}

static void health__falls_when_the_own_grpc_address_does_not_answer(void **state)
{
    struct node n;
    struct grpc g;
    char address[64];
    (void)state;
    grpc_open(&g, address, sizeof address);
    open_with(&n, &(struct efx_admin_conf){.silent_ms = 400});
    begin(&n);
    serve(&n, address);
    while (wait_for(&n, "/metrics", 200), says("efx_grpc_probes_total 0\n")) {
    }
    assert_int_equal(get(&n, "/health"), 200);
    assert_true(get(&n, "/metrics") == 200 && says("efx_grpc_probes_missed_total 0\n"));
    grpc_stop(&g);
    wait_for(&n, "/health", 503);
    assert_true(says("has not answered the last"));
    (void)close(g.listener);
    close_all(&n);
}

static uint32_t n_metrics;

static void one_metric(void *arg, const char *name, const char *type, const char *labels,
                       const char *help)
{
    char head[512];
    bool total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
    (void)arg;
    assert_int_equal(total, strcmp(type, "counter") == 0);
    (void)snprintf(head, sizeof head, "# HELP %s %s\n# TYPE %s %s\n%s%s", name, help, name, type,
                   name, labels[0] == '\0' ? " " : "{");
    assert_true(says(head));
    n_metrics++;
}

static void every_metric_of_the_table_is_there_in_the_form_of_prometheus(void **state)
{
    struct node n;
    (void)state;
    open_with(&n, &(struct efx_admin_conf){0});
    serve(&n, NULL);
    assert_int_equal(get(&n, "/metrics"), 200);
    efx_admin_metrics(one_metric, NULL);
    assert_true(n_metrics > 30);
    assert_true(says("\nefx_epoch 7\n"));
    assert_true(says("\nefx_leader 1\n"));
    assert_true(says("\nefx_key_groups 512\n"));
    assert_true(says("\nefx_lease_seconds_left 1.250\n"));
    assert_true(says("\nefx_rows_in_total 1000000000007\n"));
    assert_false(says("\nprocess_resident_memory_bytes 0\n"));
    close_all(&n);
}

static void an_address_that_is_none_or_is_taken_is_refused(void **state)
{
    struct node n;
    char taken[64];
    struct efx_err err = {0};
    struct efx_admin *second = NULL;
    (void)state;
    open_with(&n, &(struct efx_admin_conf){0});
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%u", n.port);
    struct efx_admin_conf conf = {.listen = taken, .mem = &efx_mem_libc, .world = efx_world_real()};
    assert_int_equal(efx_admin_open(&conf, &second, &err), EFX_EIO);
    assert_int_equal(err.kind, EFX_KIND_ENV);
    conf.listen = "127.0.0.1";
    assert_int_equal(efx_admin_open(&conf, &second, &err), EFX_EPARSE);
    assert_int_equal(err.kind, EFX_KIND_USER);
    assert_null(second);
    close_all(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_there_is_a_node__it_is_alive_and_says_why_it_is_not_ready),
        cmocka_unit_test(ready__follows_the_status_and_tells_its_reason),
        cmocka_unit_test(the_pages_of_the_api_are_json_of_what_runs),
        cmocka_unit_test(what_is_not_there_is_404_and_nothing_can_be_changed),
        cmocka_unit_test(a_body_or_head_that_is_too_long_is_refused_and_counted),
        cmocka_unit_test(one_connection_too_many_is_told_so_and_there_is_room_when_others_leave),
        cmocka_unit_test(health__falls_with_a_loop_that_does_not_turn_and_comes_back),
        cmocka_unit_test(health__falls_when_the_own_grpc_address_does_not_answer),
        cmocka_unit_test(every_metric_of_the_table_is_there_in_the_form_of_prometheus),
        cmocka_unit_test(an_address_that_is_none_or_is_taken_is_refused),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
