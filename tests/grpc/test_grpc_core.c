/* The table over gRPC's C core, without any service: an echo, a stream that waits, a token, tasks,
 * leaving, packing. */
#include "efx_test.h"

#include "efx_grpc.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

static const struct efx_grpc_vt *vt;

/* ---- a server ---- */

struct echo { /* of a call of Stream */
    uint32_t n;
};

struct site {
    struct efx_grpc_server *server;
    atomic_uint n_closed, n_cancelled, n_messages, n_tasks, n_ticks;
    atomic_bool waits; /* Stream asks for no further message */
    struct efx_grpc_call *waiting;
};

static void echo(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    size_t size = 0;
    for (uint32_t i = 0; i < n; i++) {
        size += pieces[i].n;
    }
    struct efx_grpc_buf *b = vt->buf(size);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(b->p + b->n, pieces[i].p, pieces[i].n);
        b->n += pieces[i].n;
    }
    vt->send(c, b);
}

static void unary(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    echo(c, pieces, n);
    vt->finish(c, &(struct efx_grpc_status){.code = EFX_GRPC_OK});
}

static void stream(struct efx_grpc_call *c, const struct efx_bytes *pieces, uint32_t n)
{
    struct site *s = c->method->arg;
    ((struct echo *)c->state)->n++;
    s->n_messages++;
    echo(c, pieces, n);
    if (s->waits) {
        s->waiting = c;
    } else {
        vt->next(c);
    }
}

static void half_closed(struct efx_grpc_call *c)
{
    char n[16];
    (void)snprintf(n, sizeof n, "%u", ((struct echo *)c->state)->n);
    struct efx_grpc_status st = {
        .code = EFX_GRPC_ABORTED, .text = "counted", .n_meta = 1, .meta = {{"efx-code", n}}};
    vt->finish(c, &st);
}

static void closed(struct efx_grpc_call *c, bool cancelled)
{
    struct site *s = c->method->arg;
    s->n_closed++;
    s->n_cancelled += cancelled;
}

static void tick(void *arg)
{
    ((struct site *)arg)->n_ticks++;
}

static void open_site(struct site *s, struct efx_grpc_method *methods, const char *token)
{
    struct efx_err err;
    static const char *const open[] = {"/t/Open", NULL};
    memset(s, 0, sizeof *s);
    methods[0] =
        (struct efx_grpc_method){.path = "/t/Echo", .message = unary, .closed = closed, .arg = s};
    methods[1] = (struct efx_grpc_method){.path = "/t/Stream",
                                          .state_bytes = sizeof(struct echo),
                                          .message = stream,
                                          .half_closed = half_closed,
                                          .closed = closed,
                                          .arg = s};
    methods[2] =
        (struct efx_grpc_method){.path = "/t/Open", .message = unary, .closed = closed, .arg = s};
    struct efx_grpc_serve how = {.address = "127.0.0.1:0",
                                 .token = token,
                                 .max_calls = 8,
                                 .max_message_bytes = 8 * 1024 * 1024,
                                 .n_methods = 3,
                                 .methods = methods,
                                 .open_paths = open,
                                 .tick = tick,
                                 .arg = s};
    assert_int_equal(vt->serve(&how, &s->server, &err), EFX_OK);
}

/* ---- a client ---- */

struct seen {
    uint32_t n;
    size_t n_bytes;
    uint8_t last;
    bool ended, holds; /* holds: asks for nothing after a message */
    enum efx_grpc_code code;
    char text[EFX_GRPC_TEXT_BYTES], meta[EFX_GRPC_TEXT_BYTES];
    struct efx_grpc_ccall *call;
};

static void on_message(void *arg, struct efx_grpc_ccall *c, const struct efx_bytes *pieces,
                       uint32_t n)
{
    struct seen *s = arg;
    s->n++;
    for (uint32_t i = 0; i < n; i++) {
        s->n_bytes += pieces[i].n;
        s->last = pieces[i].n > 0 ? pieces[i].p[pieces[i].n - 1] : s->last;
    }
    if (!s->holds) {
        vt->call_next(c);
    }
}

static void on_ended(void *arg, const struct efx_grpc_status *st)
{
    struct seen *s = arg;
    s->ended = true;
    s->code = st->code;
    (void)snprintf(s->text, sizeof s->text, "%s", st->text);
    (void)snprintf(s->meta, sizeof s->meta, "%s", st->n_meta > 0 ? st->meta[0].value : "");
}

static const struct efx_grpc_client_user user = {on_message, NULL, on_ended};

static struct efx_grpc_client *dial(const struct site *s, const char *token)
{
    struct efx_grpc_client *cl;
    struct efx_err err;
    struct efx_grpc_dial how = {
        .target = vt->address(s->server), .token = token, .max_message_bytes = 8 * 1024 * 1024};
    assert_int_equal(vt->dial(&how, &cl, &err), EFX_OK);
    return cl;
}

static void send(struct efx_grpc_ccall *c, size_t n, int byte)
{
    struct efx_grpc_buf *b = vt->buf(n);
    memset(b->p, byte, n);
    b->n = n;
    vt->call_send(c, b);
}

static void wait_end(struct efx_grpc_client *cl, const struct seen *s)
{
    for (int i = 0; i < 3000 && !s->ended; i++) {
        (void)vt->poll(cl, 20);
    }
    assert_true(s->ended);
}

static void ask(struct efx_grpc_client *cl, const char *path, size_t n, struct seen *s)
{
    memset(s, 0, sizeof *s);
    struct efx_grpc_ccall *c = vt->call(cl, path, 30000, &user, s);
    send(c, n, 'x');
    vt->call_half_close(c);
    wait_end(cl, s);
}

/* ---- tests ---- */

static void messages_of_any_length_come_back(void **state)
{
    static const size_t lengths[] = {0, 1, 23, 24, 70000, 5 * 1024 * 1024};
    struct site s;
    struct efx_grpc_method methods[3];
    struct seen seen;
    (void)state;
    open_site(&s, methods, NULL);
    struct efx_grpc_client *cl = dial(&s, NULL);
    for (uint32_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        ask(cl, "/t/Echo", lengths[i], &seen);
        assert_int_equal(seen.code, EFX_GRPC_OK);
        assert_int_equal(seen.n, 1);
        assert_int_equal(seen.n_bytes, lengths[i]);
    }
    ask(cl, "/t/Echo", 9 * 1024 * 1024, &seen);
    assert_int_equal(seen.code, EFX_GRPC_RESOURCE_EXHAUSTED);
    ask(cl, "/t/Nothing", 1, &seen);
    assert_int_equal(seen.code, EFX_GRPC_UNIMPLEMENTED);
    vt->hang_up(&cl);
    vt->close(&s.server);
    assert_int_equal(s.n_closed, 7);
}

static void a_stream_keeps_its_order_and_its_state(void **state)
{
    struct site s;
    struct efx_grpc_method methods[3];
    struct seen seen = {0};
    (void)state;
    open_site(&s, methods, NULL);
    struct efx_grpc_client *cl = dial(&s, NULL);
    struct efx_grpc_ccall *c = vt->call(cl, "/t/Stream", 0, &user, &seen);
    for (int i = 0; i < 500; i++) {
        send(c, 100, i % 250);
    }
    vt->call_half_close(c);
    wait_end(cl, &seen);
    assert_int_equal(seen.code, EFX_GRPC_ABORTED);
    assert_string_equal(seen.text, "counted");
    assert_string_equal(seen.meta, "500");
    assert_int_equal(seen.n, 500);
    assert_int_equal(seen.last, 249);
    vt->hang_up(&cl);
    vt->close(&s.server);
}

static void go_on(void *arg)
{
    struct site *s = arg;
    s->n_tasks++;
    s->waits = false;
    vt->next(s->waiting);
}

/* The window closes: what is sent stays with the sender until the server asks for more. */
static void who_asks_for_nothing_is_sent_nothing(void **state)
{
    enum { MESSAGES = 64, BYTES = 1024 * 1024 };
    struct site s;
    struct efx_grpc_method methods[3];
    struct seen seen = {0};
    (void)state;
    open_site(&s, methods, NULL);
    s.waits = true;
    struct efx_grpc_client *cl = dial(&s, NULL);
    struct efx_grpc_ccall *c = vt->call(cl, "/t/Stream", 0, &user, &seen);
    for (int i = 0; i < MESSAGES; i++) {
        send(c, BYTES, 'x');
    }
    for (int i = 0; i < 30; i++) {
        (void)vt->poll(cl, 20);
    }
    assert_int_equal(s.n_messages, 1);
    assert_true(vt->call_queued(c) > (size_t)MESSAGES * BYTES / 2);
    struct efx_grpc_task task = {.fn = go_on, .arg = &s};
    vt->post(s.server, &task);
    vt->call_half_close(c);
    wait_end(cl, &seen);
    assert_int_equal(seen.n, MESSAGES);
    assert_int_equal(s.n_tasks, 1);
    vt->hang_up(&cl);
    vt->close(&s.server);
}

static void a_token_is_asked_for(void **state)
{
    struct site s;
    struct efx_grpc_method methods[3];
    struct seen seen;
    static const char *const wrong[] = {NULL, "", "secre", "secrez", "secretx"};
    (void)state;
    open_site(&s, methods, "secret");
    for (uint32_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct efx_grpc_client *cl = dial(&s, wrong[i]);
        ask(cl, "/t/Echo", 1, &seen);
        assert_int_equal(seen.code, EFX_GRPC_UNAUTHENTICATED);
        ask(cl, "/t/Open", 1, &seen);
        assert_int_equal(seen.code, EFX_GRPC_OK);
        vt->hang_up(&cl);
    }
    struct efx_grpc_client *cl = dial(&s, "secret");
    ask(cl, "/t/Echo", 1, &seen);
    assert_int_equal(seen.code, EFX_GRPC_OK);
    vt->hang_up(&cl);
    struct efx_grpc_numbers n;
    vt->numbers(s.server, &n);
    assert_int_equal(n.n_auth_refused, sizeof wrong / sizeof *wrong);
    vt->close(&s.server);
}

static void count(void *arg)
{
    (*(uint32_t *)arg)++;
}

enum { POSTERS = 4, POSTS = 2000 };

struct poster {
    struct site *site;
    struct efx_grpc_task tasks[POSTS];
};

static uint32_t n_counted; /* by the server's thread */

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (uint32_t i = 0; i < POSTS; i++) {
        p->tasks[i] = (struct efx_grpc_task){.fn = count, .arg = &n_counted};
        vt->post(p->site->server, &p->tasks[i]);
    }
    return NULL;
}

static void tasks_of_many_threads_all_run(void **state)
{
    static struct poster posters[POSTERS];
    struct site s;
    struct efx_grpc_method methods[3];
    pthread_t threads[POSTERS];
    (void)state;
    open_site(&s, methods, NULL);
    for (uint32_t i = 0; i < POSTERS; i++) {
        posters[i].site = &s;
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    for (uint32_t i = 0; i < POSTERS; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    vt->close(&s.server); /* what was posted runs before it ends */
    assert_int_equal(n_counted, POSTERS * POSTS);
}

static void a_drain_waits_for_calls_and_then_does_not(void **state)
{
    struct site s;
    struct efx_grpc_method methods[3];
    struct seen seen = {0};
    (void)state;
    open_site(&s, methods, NULL);
    struct efx_grpc_client *cl = dial(&s, NULL);
    struct efx_grpc_ccall *c = vt->call(cl, "/t/Stream", 0, &user, &seen);
    send(c, 1, 'a');
    while (seen.n == 0) {
        (void)vt->poll(cl, 20);
    }
    vt->drain(s.server, 1000);
    assert_false(vt->is_down(s.server));
    send(c, 1, 'b'); /* a call that is open goes on */
    while (seen.n < 2) {
        (void)vt->poll(cl, 20);
    }
    while (!vt->is_down(s.server)) {
        (void)vt->poll(cl, 20);
    }
    wait_end(cl, &seen);
    assert_int_not_equal(seen.code, EFX_GRPC_OK);
    assert_int_equal(s.n_cancelled, 1);
    vt->hang_up(&cl);
    vt->close(&s.server);
    assert_true(s.n_ticks > 0);
}

static void what_is_packed_is_unpacked(void **state)
{
    uint8_t text[5000], *packed, *plain;
    size_t n_packed, n_plain;
    (void)state;
    for (uint32_t i = 0; i < sizeof text; i++) {
        text[i] = (uint8_t)(i / 9);
    }
    for (int how = EFX_GRPC_PACKING_NONE; how <= EFX_GRPC_PACKING_ZSTD; how++) {
        struct efx_bytes in = {text, sizeof text}, bad;
        enum efx_grpc_packing p = (enum efx_grpc_packing)how;
        assert_int_equal(vt->pack(p, in, &packed, &n_packed), EFX_OK);
        bad = (struct efx_bytes){packed, n_packed};
        assert_int_equal(vt->unpack(p, bad, sizeof text, &plain, &n_plain), EFX_OK);
        assert_int_equal(n_plain, sizeof text);
        assert_memory_equal(plain, text, sizeof text);
        efx_mem_libc.free(&efx_mem_libc, plain, n_plain);
        assert_int_equal(vt->unpack(p, bad, sizeof text - 1, &plain, &n_plain), EFX_ELIMIT);
        if (p != EFX_GRPC_PACKING_NONE) {
            bad.n /= 2;
            assert_int_equal(vt->unpack(p, bad, sizeof text, &plain, &n_plain), EFX_EPARSE);
        }
        efx_mem_libc.free(&efx_mem_libc, packed, n_packed);
    }
}

static int load(void **state)
{
    struct efx_err err;
    (void)state;
    return efx_grpc_load(&vt, &err) == EFX_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_any_length_come_back),
        cmocka_unit_test(a_stream_keeps_its_order_and_its_state),
        cmocka_unit_test(who_asks_for_nothing_is_sent_nothing),
        cmocka_unit_test(a_token_is_asked_for),
        cmocka_unit_test(tasks_of_many_threads_all_run),
        cmocka_unit_test(a_drain_waits_for_calls_and_then_does_not),
        cmocka_unit_test(what_is_packed_is_unpacked),
    };
    return cmocka_run_group_tests(tests, load, NULL);
}
