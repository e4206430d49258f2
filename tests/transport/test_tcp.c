/* What only sockets can do wrong: strangers, half frames, peers that stop, descriptors that run
 * out, names, files left over. The other end is mostly a plain socket of the test. */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/un.h>

#define MS 1000000ull

static const uint8_t heartbeat[] = {
    0, 0, 0, 0x1e, 2, 0, 0, 0, 0, 0, 0, 0, 'h', 'b', 0, 0, 0,
    0, 0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0,   4,   0, 0, 0,
};

/* ---- plain sockets ---- */

static int raw_connect(const struct rig *r)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    a.sin_port = htons((uint16_t)strtol(strrchr(r->address, ':') + 1, NULL, 10));
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    }
    return fd;
}

/* The other side has closed it, in whatever way. */
static bool raw_is_closed(int fd)
{
    uint8_t bytes[4096];
    ssize_t n;
    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
    }
    return n == 0 || (n < 0 && errno != EAGAIN);
}

static void raw_send(int fd, const void *p, size_t n)
{
    assert_int_equal(send(fd, p, n, MSG_NOSIGNAL), n);
}

/* Accepted links, each with a peer of its own. */
struct crowd {
    struct rig *rig;
    struct peer *peers;
    uint32_t n, max;
};

static void join_crowd(void *arg, struct efx_link *link)
{
    struct crowd *c = arg;
    assert_true(c->n < c->max);
    struct peer *p = &c->peers[c->n++];
    p->rig = c->rig;
    rig_accepted(p, link);
}

static struct efx_transport_counts counts_of(struct efx_transport *t)
{
    struct efx_transport_counts c;
    t->vt->counts(t, &c);
    return c;
}

static void start_with(struct rig *r, struct efx_tcp_options server)
{
    struct efx_tcp_options client = {.mem = &efx_mem_libc, .connect_ns = server.connect_ns};
    server.mem = &efx_mem_libc;
    r->kind = RIG_TCP;
    rig_loop(r);
    assert_int_equal(efx_tcp_create(r->loop, &server, &r->server, NULL), EFX_OK);
    assert_int_equal(efx_tcp_create(r->loop, &client, &r->client, NULL), EFX_OK);
}

/* ---- strangers ---- */

static void another_protocol__is_closed_and_counted(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer p[4] = {{0}};
    struct crowd crowd = {&r, p, 0, 4};
    uint8_t lies[sizeof heartbeat];
    start_with(&r, (struct efx_tcp_options){0});
    rig_listen(&r, join_crowd, &crowd);
    int good = raw_connect(&r);
    raw_send(good, heartbeat, sizeof heartbeat);
    RIG_UNTIL(&r, p[0].messages == 1);
    int http = raw_connect(&r);
    raw_send(http, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    RIG_UNTIL(&r, p[1].downs == 1 && raw_is_closed(http));
    assert_int_equal(p[1].why, EFX_ELIMIT);
    int liar = raw_connect(&r);
    memcpy(lies, heartbeat, sizeof lies);
    memset(lies + 4, 0xFF, 8);
    raw_send(liar, lies, sizeof lies);
    RIG_UNTIL(&r, p[2].downs == 1 && raw_is_closed(liar));
    assert_int_equal(p[2].why, EFX_EPARSE);
    assert_int_equal(counts_of(r.server).too_long, 1);
    assert_int_equal(counts_of(r.server).malformed, 1);
    raw_send(good, heartbeat, sizeof heartbeat);
    RIG_UNTIL(&r, p[0].messages == 2);
    assert_int_equal(p[0].downs, 0);
    (void)close(good);
    (void)close(http);
    (void)close(liar);
    RIG_UNTIL(&r, p[0].downs == 1);
    assert_int_equal(p[0].why, EFX_DONE);
    rig_stop(&r);
}

static void frames__may_come_in_any_pieces(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer p = {0};
    struct crowd crowd = {&r, &p, 0, 1};
    start_with(&r, (struct efx_tcp_options){0});
    rig_listen(&r, join_crowd, &crowd);
    int fd = raw_connect(&r);
    int on = 1;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    for (size_t piece = 1; piece <= sizeof heartbeat + 3; piece++) {
        uint8_t bytes[3 * sizeof heartbeat];
        uint32_t before = p.messages;
        for (size_t i = 0; i < 3; i++) {
            memcpy(bytes + i * sizeof heartbeat, heartbeat, sizeof heartbeat);
        }
        for (size_t at = 0; at < sizeof bytes; at += piece) {
            raw_send(fd, bytes + at, piece < sizeof bytes - at ? piece : sizeof bytes - at);
            efx_loop_real_turn(r.loop, 0);
        }
        RIG_UNTIL(&r, p.messages == before + 3);
    }
    (void)close(fd);
    rig_stop(&r);
}

static void an_announced_length__takes_no_memory(void **state)
{
    (void)state;
    struct efx_budget budget;
    struct rig r = {.kind = RIG_TCP};
    struct peer p[8] = {{0}};
    struct crowd crowd = {&r, p, 0, 8};
    static const uint8_t announced[] = {0, 0x9F, 0xFF, 0xFF, 0, 0, 0, 0}; /* nearly 10 MiB */
    efx_budget_init(&budget, &efx_mem_libc, 2 << 20);
    rig_loop(&r);
    struct efx_tcp_options o = {.mem = &budget.base};
    assert_int_equal(efx_tcp_create(r.loop, &o, &r.server, NULL), EFX_OK);
    rig_listen(&r, join_crowd, &crowd);
    int fds[8];
    for (uint32_t i = 0; i < 8; i++) {
        fds[i] = raw_connect(&r);
        raw_send(fds[i], announced, sizeof announced);
    }
    RIG_UNTIL(&r, crowd.n == 8);
    rig_idle(&r);
    assert_true(budget.peak_bytes < 1 << 20);
    for (uint32_t i = 0; i < 8; i++) {
        assert_int_equal(p[i].downs, 0);
        (void)close(fds[i]);
    }
    rig_stop(&r);
    assert_int_equal(budget.used_bytes, 0);
}

/* ---- time ---- */

static void a_half_frame__does_not_outlive_its_time(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer p[2] = {{0}};
    struct crowd crowd = {&r, p, 0, 2};
    start_with(&r, (struct efx_tcp_options){.read_ns = 100 * MS});
    rig_listen(&r, join_crowd, &crowd);
    int idle = raw_connect(&r);
    RIG_UNTIL(&r, crowd.n == 1);
    int half = raw_connect(&r);
    raw_send(half, heartbeat, 20);
    RIG_UNTIL(&r, p[1].downs == 1);
    assert_int_equal(p[1].why, EFX_EIO);
    assert_int_equal(counts_of(r.server).timed_out, 1);
    assert_int_equal(counts_of(r.server).broken, 0);
    assert_int_equal(p[0].downs, 0);
    (void)close(idle);
    (void)close(half);
    rig_stop(&r);
}

static void a_client_that_never_reads__is_left(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer p = {0};
    struct crowd crowd = {&r, &p, 0, 1};
    static uint8_t bytes[100000];
    start_with(&r, (struct efx_tcp_options){.write_ns = 200 * MS});
    rig_listen(&r, join_crowd, &crowd);
    int fd = raw_connect(&r);
    RIG_UNTIL(&r, crowd.n == 1);
    while (peer_send(&p, bytes, sizeof bytes) == EFX_OK) {
    }
    RIG_UNTIL(&r, p.downs == 1);
    assert_int_equal(p.why, EFX_EIO);
    assert_int_equal(counts_of(r.server).timed_out, 1);
    (void)close(fd);
    rig_stop(&r);
}

/* A socket that forgets its connection without a word, as a machine does that lost its power. */
static void a_peer_that_vanished__is_noticed_by_the_kernel(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer p = {0};
    struct crowd crowd = {&r, &p, 0, 1};
    int on = 1;
    start_with(&r, (struct efx_tcp_options){.keep_alive_ns = 1000 * MS});
    rig_listen(&r, join_crowd, &crowd);
    int fd = raw_connect(&r);
    RIG_UNTIL(&r, crowd.n == 1);
    if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof on) != 0) {
        print_message("needs CAP_NET_ADMIN\n");
        (void)close(fd);
        rig_stop(&r);
        skip();
    }
    (void)close(fd);
    RIG_UNTIL(&r, p.downs == 1);
    assert_int_equal(p.why, EFX_EIO);
    rig_stop(&r);
}

/* ---- too many ---- */

static void without_descriptors__accepting_goes_on_later(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer p[64] = {{0}};
    struct crowd crowd = {&r, p, 0, 64};
    struct rlimit was, low;
    int fds[64], n = 0;
    start_with(&r, (struct efx_tcp_options){0});
    rig_listen(&r, join_crowd, &crowd);
    fds[n++] = raw_connect(&r);
    RIG_UNTIL(&r, crowd.n == 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    low = was;
    low.rlim_cur = (rlim_t)fds[0] + 12;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int fd;
    while (n < 60 && (fd = raw_connect(&r)) >= 0) { /* until the test itself has none left */
        fds[n++] = fd;
    }
    RIG_UNTIL(&r, counts_of(r.server).no_descriptors > 2);
    assert_true(counts_of(r.server).refused > 0);
    raw_send(fds[0], heartbeat, sizeof heartbeat);
    RIG_UNTIL(&r, p[0].messages == 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    uint32_t before = crowd.n;
    fd = raw_connect(&r);
    raw_send(fd, heartbeat, sizeof heartbeat);
    RIG_UNTIL(&r, crowd.n > before && p[crowd.n - 1].messages == 1);
    (void)close(fd);
    for (int i = 0; i < n; i++) {
        (void)close(fds[i]);
    }
    rig_stop(&r);
}

static void thousands_of_idle_links__cost_little(void **state)
{
    (void)state;
    enum { WANTED = 4000 };
    static struct peer p[WANTED + 1];
    static int fds[WANTED];
    struct efx_budget budget;
    struct rig r = {.kind = RIG_TCP};
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    uint32_t n = limit.rlim_cur < 2 * WANTED + 100 ? ((uint32_t)limit.rlim_cur - 100) / 2 : WANTED;
    assert_true(n >= 200);
    struct crowd crowd = {&r, p, 0, n + 1};
    efx_budget_init(&budget, &efx_mem_libc, SIZE_MAX);
    rig_loop(&r);
    struct efx_tcp_options o = {.mem = &budget.base, .links_max = n + 1};
    assert_int_equal(efx_tcp_create(r.loop, &o, &r.server, NULL), EFX_OK);
    rig_listen(&r, join_crowd, &crowd);
    for (uint32_t i = 0; i < n; i++) {
        fds[i] = raw_connect(&r);
        assert_true(fds[i] >= 0);
        RIG_UNTIL(&r, crowd.n == i + 1);
    }
    assert_true(budget.used_bytes / n < 8192);
    int fd = raw_connect(&r);
    for (uint32_t i = 0; i < 100; i++) {
        raw_send(fd, heartbeat, sizeof heartbeat);
    }
    RIG_UNTIL(&r, p[n].messages == 100);
    (void)close(fd);
    for (uint32_t i = 0; i < n; i++) {
        (void)close(fds[i]);
    }
    RIG_UNTIL(&r, counts_of(r.server).links == 0);
    rig_stop(&r);
    assert_int_equal(budget.used_bytes, 0);
}

/* ---- memory ---- */

struct stingy { /* the n-th allocation and all later ones fail */
    struct efx_mem base;
    uint32_t left;
};

static void *stingy_alloc(struct efx_mem *self, size_t bytes)
{
    struct stingy *s = (struct stingy *)self;
    return s->left == 0 ? NULL : (s->left--, efx_mem_libc.alloc(&efx_mem_libc, bytes));
}

static void stingy_free(struct efx_mem *self, void *p, size_t bytes)
{
    (void)self;
    efx_mem_libc.free(&efx_mem_libc, p, bytes);
}

static void an_allocator_that_says_no__ends_links_only(void **state)
{
    (void)state;
    static uint8_t bytes[300000];
    for (uint32_t n = 0; n < 30; n++) {
        struct stingy mem = {{stingy_alloc, stingy_free}, n};
        struct rig r = {.kind = RIG_TCP};
        struct peer there = {.rig = &r}, here = {.rig = &r};
        struct efx_tcp_options o = {.mem = &mem.base};
        struct efx_link *link;
        rig_loop(&r);
        if (efx_tcp_create(r.loop, &o, &r.server, NULL) == EFX_OK) {
            rig_listen(&r, rig_accepted, &there);
            here.of = r.server;
            if (r.server->vt->connect(r.server, r.address, &rig_user, &here, &link, NULL) ==
                EFX_OK) {
                here.link = link;
                RIG_UNTIL(&r, here.downs == 1 || (here.ups == 1 && there.ups == 1));
            }
            for (uint32_t i = 0; i < 3 && here.link != NULL; i++) {
                enum efx_rc rc = peer_send(&here, bytes, i == 1 ? sizeof bytes : 10);
                assert_true(rc == EFX_OK || rc == EFX_ENOMEM || rc == EFX_EIO);
                rig_idle(&r);
            }
        }
        rig_stop(&r);
    }
}

/* ---- addresses ---- */

static void names__are_asked_for(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer there = {.rig = &r}, here = {0}, lost = {0}, closed = {0};
    start_with(&r, (struct efx_tcp_options){0});
    rig_listen(&r, rig_accepted, &there);
    char by_name[128];
    (void)snprintf(by_name, sizeof by_name, "localhost%s", strrchr(r.address, ':'));
    (void)snprintf(r.address, sizeof r.address, "%s", by_name);
    rig_dial(&r, &here);
    RIG_UNTIL(&r, here.ups == 1);
    (void)snprintf(r.address, sizeof r.address, "no-such-host.invalid:1");
    rig_dial(&r, &lost);
    RIG_UNTIL(&r, lost.downs == 1);
    assert_int_equal(lost.why, EFX_EIO);
    rig_dial(&r, &closed);
    peer_close(&closed, false);
    rig_dial(&r, &closed);
    rig_stop(&r); /* while it is asked for */
    assert_int_equal(closed.downs, 0);
}

static void wrong_addresses__are_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",      "host",   "host:", ":port",  "host:99999999",
                                        "a:b:1", "[::1:5", "unix:", "[::1]5", "host:-1"};
    struct rig r = {0};
    start_with(&r, (struct efx_tcp_options){0});
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct efx_link *link;
        struct efx_err err;
        assert_int_equal(r.client->vt->connect(r.client, wrong[i], &rig_user, NULL, &link, &err),
                         EFX_EPARSE);
        assert_non_null(strstr(err.msg, wrong[i]));
        assert_int_equal(r.server->vt->listen(r.server, wrong[i], rig_accepted, NULL, &err),
                         EFX_EPARSE);
    }
    assert_int_equal(counts_of(r.client).links, 0);
    rig_stop(&r);
}

static void a_taken_address__is_refused(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer there = {0};
    struct efx_err err;
    start_with(&r, (struct efx_tcp_options){0});
    rig_listen(&r, rig_accepted, &there);
    assert_int_equal(r.client->vt->listen(r.client, r.address, rig_accepted, &there, &err),
                     EFX_EIO);
    assert_non_null(strstr(err.msg, r.address));
    rig_stop(&r);
}

static void a_socket_file_left_over__is_taken_and_a_live_one_is_not(void **state)
{
    (void)state;
    struct rig r = {.kind = RIG_UNIX};
    struct peer there = {.rig = &r}, here = {0};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    rig_start(&r);
    memcpy(a.sun_path, r.address + 5, strlen(r.address + 5));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    (void)close(fd);
    rig_pair(&r, &there, &here);
    assert_int_equal(r.client->vt->listen(r.client, r.address, rig_accepted, &there, NULL),
                     EFX_EIO);
    r.server->vt->destroy(&r.server);
    assert_int_not_equal(access(r.address + 5, F_OK), 0);
    rig_stop(&r);
}

static void ipv6__works_where_there_is_any(void **state)
{
    (void)state;
    struct rig r = {0};
    struct peer there = {.rig = &r}, here = {0};
    start_with(&r, (struct efx_tcp_options){0});
    (void)snprintf(r.address, sizeof r.address, "[::1]:0");
    if (r.server->vt->listen(r.server, r.address, rig_accepted, &there, NULL) != EFX_OK) {
        print_message("this machine has no IPv6\n");
        rig_stop(&r);
        skip();
    }
    (void)snprintf(r.address, sizeof r.address, "%s", r.server->vt->address(r.server));
    rig_dial(&r, &here);
    RIG_UNTIL(&r, here.ups == 1 && there.ups == 1);
    rig_stop(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_protocol__is_closed_and_counted),
        cmocka_unit_test(frames__may_come_in_any_pieces),
        cmocka_unit_test(an_announced_length__takes_no_memory),
        cmocka_unit_test(a_half_frame__does_not_outlive_its_time),
        cmocka_unit_test(a_client_that_never_reads__is_left),
        cmocka_unit_test(a_peer_that_vanished__is_noticed_by_the_kernel),
        cmocka_unit_test(without_descriptors__accepting_goes_on_later),
        cmocka_unit_test(thousands_of_idle_links__cost_little),
        cmocka_unit_test(an_allocator_that_says_no__ends_links_only),
        cmocka_unit_test(names__are_asked_for),
        cmocka_unit_test(wrong_addresses__are_named),
        cmocka_unit_test(a_taken_address__is_refused),
        cmocka_unit_test(a_socket_file_left_over__is_taken_and_a_live_one_is_not),
        cmocka_unit_test(ipv6__works_where_there_is_any),
    };
    return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
