/* One suite over every transport: the simulated one on both of its clocks, TCP, Unix sockets, TLS,
 * and TLS with certificates on both sides. */
#include "rig.h"

static const enum rig_kind kinds[] = {RIG_SIM, RIG_SIM_REAL, RIG_TCP, RIG_UNIX, RIG_TLS, RIG_MTLS};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

#define FOR_EACH_KIND(r)                                                                           \
    for (struct rig *r = &(struct rig){0}, *end_ = r; r == end_; end_ = NULL)                      \
        for (uint32_t k_ = 0; k_ < KINDS && (*r = (struct rig){.kind = kinds[k_]}, true); k_++)

static uint8_t pattern[12 << 20];

static void fill_pattern(void)
{
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof pattern; i += 8) {
        uint64_t v = efx_test_rand(&seed);
        memcpy(pattern + i, &v, 8);
    }
}

static bool same(struct efx_bytes b, const void *p, size_t n)
{
    return b.n == n && (n == 0 || memcmp(b.p, p, n) == 0);
}

static struct efx_bytes text(const char *s)
{
    return (struct efx_bytes){(const uint8_t *)s, strlen(s)};
}

/* ---- what arrives ---- */

/* Message i of both sides: everything in it follows from i. */
static struct efx_msg numbered(uint32_t i, struct efx_msg_header *headers, char *id)
{
    struct efx_msg m = {.headers = headers, .n_headers = i % 4, .type = (enum efx_msg_type)(i % 6)};
    (void)snprintf(id, 16, "%u", i);
    for (uint32_t h = 0; h < m.n_headers; h++) {
        headers[h].key = text(h % 2 == 0 ? "k" : "schl\xC3\xBCssel");
        headers[h].value = text(id);
    }
    m.id = text(id);
    m.payload = (struct efx_bytes){pattern + i, i * 7 % 3000};
    return m;
}

static void is_next(struct peer *p, const struct efx_msg *msg)
{
    struct efx_msg_header headers[4];
    char id[16];
    struct efx_msg wanted = numbered(p->messages, headers, id);
    assert_true(same(msg->id, wanted.id.p, wanted.id.n));
    assert_true(same(msg->payload, wanted.payload.p, wanted.payload.n));
    assert_int_equal(msg->type, wanted.type);
    assert_int_equal(msg->n_headers, wanted.n_headers);
    for (uint32_t h = 0; h < wanted.n_headers; h++) {
        assert_true(same(msg->headers[h].key, headers[h].key.p, headers[h].key.n));
        assert_true(same(msg->headers[h].value, headers[h].value.p, headers[h].value.n));
    }
}

static void send_next(struct peer *p, uint32_t *n, uint32_t max)
{
    struct efx_msg_header headers[4];
    char id[16];
    while (*n < max) {
        struct efx_msg m = numbered(*n + 1, headers, id);
        enum efx_rc rc = p->of->vt->send(p->link, &m);
        if (rc == EFX_AGAIN) {
            return;
        }
        assert_int_equal(rc, EFX_OK);
        ++*n;
    }
}

static void messages__arrive_whole_and_in_order_both_ways(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        const uint32_t max = 5000;
        struct peer there = {.on_message = is_next}, here = {.on_message = is_next};
        uint32_t from_here = 0, from_there = 0;
        rig_start(r);
        rig_pair(r, &there, &here);
        while (there.messages < max || here.messages < max) {
            send_next(&here, &from_here, max);
            send_next(&there, &from_there, max);
            rig_turn(r);
        }
        struct efx_transport_counts c;
        r->client->vt->counts(r->client, &c);
        assert_int_equal(c.messages_in, max);
        assert_int_equal(c.messages_out, max);
        assert_int_equal(c.links, 1);
        assert_int_equal(c.bytes_in, c.bytes_out);
        rig_stop(r);
    }
}

static void is_pattern(struct peer *p, const struct efx_msg *msg)
{
    (void)p;
    assert_true(same(msg->payload, pattern, msg->payload.n));
}

static void long_messages__arrive_whole(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 65535, 65536, 300000, 5000001, (10u << 20) - 28};
    FOR_EACH_KIND(r)
    {
        struct peer there = {.on_message = is_pattern}, here = {0};
        uint64_t bytes = 0;
        rig_start(r);
        rig_pair(r, &there, &here);
        for (size_t i = 0; i < 2 * sizeof sizes / sizeof sizes[0]; i++) {
            size_t n = sizes[i % (sizeof sizes / sizeof sizes[0])];
            RIG_UNTIL(r, peer_send(&here, pattern, n) != EFX_AGAIN);
            bytes += n;
        }
        RIG_UNTIL(r, there.messages == 2 * sizeof sizes / sizeof sizes[0]);
        assert_int_equal(there.bytes, bytes);
        rig_stop(r);
    }
}

/* ---- limits ---- */

static void a_longer_message_than_allowed__is_refused_by_the_sender(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {0}, here = {0};
        rig_start(r);
        rig_pair(r, &there, &here);
        here.of->vt->limits(here.link, 1028, 0);
        assert_int_equal(peer_send(&here, pattern, 1001), EFX_ELIMIT);
        assert_int_equal(peer_send(&here, pattern, 1000), EFX_OK);
        RIG_UNTIL(r, there.messages == 1);
        rig_stop(r);
    }
}

static void a_longer_message_than_allowed__ends_the_link_of_the_receiver(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {0}, here = {0};
        rig_start(r);
        rig_pair(r, &there, &here);
        there.of->vt->limits(there.link, 1028, 0);
        assert_int_equal(peer_send(&here, pattern, 1000), EFX_OK);
        assert_int_equal(peer_send(&here, pattern, 1001), EFX_OK);
        RIG_UNTIL(r, there.downs == 1 && here.downs == 1);
        assert_int_equal(there.messages, 1);
        assert_int_equal(there.why, EFX_ELIMIT);
        assert_true(here.why == EFX_EIO || (r->kind == RIG_UNIX && here.why == EFX_DONE));
        struct efx_transport_counts c;
        r->server->vt->counts(r->server, &c);
        assert_int_equal(c.too_long, 1);
        assert_int_equal(c.links, 0);
        rig_stop(r);
    }
}

static void limits__may_be_raised_for_one_link(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {.on_message = is_pattern}, here = {0};
        rig_start(r);
        rig_pair(r, &there, &here);
        here.of->vt->limits(here.link, EFX_FRAME_NODE_BYTES_MAX, 0);
        there.of->vt->limits(there.link, EFX_FRAME_NODE_BYTES_MAX, 0);
        assert_int_equal(peer_send(&here, pattern, sizeof pattern), EFX_OK);
        RIG_UNTIL(r, there.messages == 1);
        assert_int_equal(there.bytes, sizeof pattern);
        rig_stop(r);
    }
}

static void a_full_queue__says_again_and_room_comes(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {.on_message = is_pattern}, here = {0};
        r->queue_bytes_max = 1 << 20;
        rig_start(r);
        rig_pair(r, &there, &here);
        there.of->vt->hold(there.link, true);
        uint32_t sent = 0;
        for (uint32_t quiet = 0; quiet < 50;
             quiet++) { /* until the kernel's buffers are full, too */
            while (peer_send(&here, pattern, 10000) == EFX_OK) {
                sent++;
                quiet = 0;
            }
            rig_idle(r);
        }
        assert_true(sent >= 100 && sent < 5000);
        assert_int_equal(there.messages, 0);
        uint32_t rooms = here.rooms;
        there.of->vt->hold(there.link, false);
        RIG_UNTIL(r, there.messages == sent && here.rooms > rooms);
        assert_int_equal(peer_send(&here, pattern, 10000), EFX_OK);
        RIG_UNTIL(r, there.messages == sent + 1);
        rig_stop(r);
    }
}

static void hold_now(struct peer *p, const struct efx_msg *msg)
{
    (void)msg;
    p->of->vt->hold(p->link, true);
}

static void a_held_link__stops_between_two_messages(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {.on_message = hold_now}, here = {0};
        rig_start(r);
        rig_pair(r, &there, &here);
        for (uint32_t i = 1; i <= 20; i++) {
            assert_int_equal(peer_send(&here, &i, sizeof i), EFX_OK);
        }
        for (uint32_t i = 1; i <= 20; i++) {
            RIG_UNTIL(r, there.messages == i);
            rig_idle(r);
            assert_int_equal(there.messages, i);
            there.of->vt->hold(there.link, false);
        }
        rig_stop(r);
    }
}

static void links__are_refused_above_their_number_and_the_others_go_on(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {0}, here = {0}, late = {0}, again = {0};
        r->links_max = 1;
        rig_start(r);
        rig_pair(r, &there, &here);
        if (r->sim != NULL) {
            struct efx_link *none; /* one limit for all members */
            assert_int_equal(
                r->client->vt->connect(r->client, r->address, &rig_user, &late, &none, NULL),
                EFX_ELIMIT);
        } else {
            rig_dial(r, &late);
            RIG_UNTIL(r, late.downs == 1);
            assert_true(late.why == EFX_EIO || (r->kind == RIG_UNIX && late.why == EFX_DONE));
            struct efx_transport_counts c;
            r->server->vt->counts(r->server, &c);
            assert_int_equal(c.refused, 1);
        }
        assert_int_equal(peer_send(&here, "x", 1), EFX_OK);
        RIG_UNTIL(r, there.messages == 1);
        peer_close(&here, true);
        RIG_UNTIL(r, there.downs == 1);
        rig_dial(r, &again);
        RIG_UNTIL(r, again.ups == 1 && there.link != NULL);
        rig_stop(r);
    }
}

static void a_slow_reader__does_not_disturb_another(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer slow_there = {0}, slow_here = {0}, there = {0}, here = {0};
        r->queue_bytes_max = 1 << 20;
        rig_start(r);
        rig_pair(r, &slow_there, &slow_here);
        slow_there.of->vt->hold(slow_there.link, true);
        struct efx_link *slow = slow_there.link;
        slow_there.link = NULL; /* for the next one that is accepted */
        rig_dial(r, &here);
        RIG_UNTIL(r, slow_there.link != NULL && here.ups == 1);
        there.link = slow_there.link;
        there.of = r->server;
        there.of->vt->use(there.link, &rig_user, &there);
        slow_there.link = slow;
        uint32_t sent = 0;
        while (there.messages < 1000) {
            (void)peer_send(&slow_here, pattern, 10000);
            if (sent < 1000 && peer_send(&here, pattern, 1000) == EFX_OK) {
                sent++;
            }
            rig_turn(r);
        }
        assert_int_equal(slow_there.messages, 0);
        assert_int_equal(slow_here.downs, 0);
        rig_stop(r);
    }
}

static void text_that_is_not_utf8__is_refused(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {0}, here = {0};
        struct efx_msg_header h = {text("k"), text("\xC0\x80")};
        struct efx_msg m = {.id = text("\xFF")};
        rig_start(r);
        rig_pair(r, &there, &here);
        assert_int_equal(here.of->vt->send(here.link, &m), EFX_EPARSE);
        m = (struct efx_msg){.headers = &h, .n_headers = 1};
        assert_int_equal(here.of->vt->send(here.link, &m), EFX_EPARSE);
        rig_stop(r);
    }
}

/* ---- how links begin and end ---- */

static void nobody_there__is_absent(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {0}, here = {0};
        rig_start(r);
        rig_listen(r, rig_accepted, &there);
        r->server->vt->destroy(&r->server);
        rig_dial(r, &here);
        enum efx_rc rc = peer_send(&here, "x", 1); /* it may be known already */
        assert_true(rc == EFX_AGAIN || rc == EFX_EIO);
        RIG_UNTIL(r, here.downs == 1);
        assert_int_equal(here.why, EFX_EABSENT);
        assert_int_equal(here.ups, 0);
        rig_stop(r);
    }
}

static void closing_in_order__lets_everything_arrive_first(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {.on_message = is_pattern}, here = {0};
        rig_start(r);
        rig_pair(r, &there, &here);
        assert_int_equal(peer_send(&there, pattern, 100000), EFX_OK); /* never read */
        for (uint32_t i = 0; i < 300; i++) {
            assert_int_equal(peer_send(&here, pattern, 10000), EFX_OK);
        }
        peer_close(&here, true);
        RIG_UNTIL(r, there.downs == 1);
        assert_int_equal(there.messages, 300);
        assert_int_equal(there.why, EFX_DONE);
        struct efx_transport_counts c;
        do {
            rig_turn(r);
            r->client->vt->counts(r->client, &c);
        } while (c.links > 0);
        assert_int_equal(here.downs, 0);
        rig_stop(r);
    }
}

static void closing_at_once__breaks_the_other_end(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {0}, here = {0};
        rig_start(r);
        rig_pair(r, &there, &here);
        peer_close(&here, false);
        RIG_UNTIL(r, there.downs == 1);
        assert_true(there.why == EFX_EIO || (r->kind == RIG_UNIX && there.why == EFX_DONE));
        rig_stop(r);
    }
}

static void closing_before_it_is_up__is_silent(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {0}, here = {0}, second = {0};
        there.rig = r;
        rig_start(r);
        rig_listen(r, rig_accepted, &there);
        rig_dial(r, &here);
        peer_close(&here, true);
        rig_idle(r);
        assert_int_equal(here.ups + here.downs, 0);
        RIG_UNTIL(r, there.ups == there.downs);
        rig_dial(r, &second);
        RIG_UNTIL(r, second.ups == 1 && there.link != NULL);
        rig_stop(r);
    }
}

static void close_self(struct peer *p)
{
    peer_close(p, true);
}

static void close_at_third(struct peer *p, const struct efx_msg *msg)
{
    assert_true(same(msg->payload, pattern, msg->payload.n));
    if (p->messages == 3) {
        peer_close(p, p->rig->links_max != 0);
        assert_true(same(msg->payload, pattern, msg->payload.n)); /* lives as long as the call */
    }
}

static void a_link__may_be_closed_in_its_own_callbacks(void **state)
{
    (void)state;
    for (uint32_t in_order = 0; in_order < 2; in_order++) {
        FOR_EACH_KIND(r)
        {
            struct peer there = {.on_message = close_at_third}, here = {0}, second = {0};
            r->links_max = in_order * 10;
            rig_start(r);
            rig_pair(r, &there, &here);
            for (uint32_t i = 0; i < 10; i++) {
                assert_int_equal(peer_send(&here, pattern, i == 2 ? 500000 : 1000), EFX_OK);
            }
            RIG_UNTIL(r, here.downs == 1);
            assert_int_equal(there.messages, 3);
            assert_int_equal(there.downs, 0);
            there.on_up = close_self;
            second.on_up = close_self;
            rig_dial(r, &second);
            RIG_UNTIL(r, second.ups + second.downs == 1);
            rig_idle(r);
            rig_stop(r);
        }
    }
}

static void not_wanted(void *arg, struct efx_link *link)
{
    (void)link;
    ++*(uint32_t *)arg;
}

static void a_link_that_nobody_uses__is_closed(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer here = {0};
        uint32_t n = 0;
        rig_start(r);
        rig_listen(r, not_wanted, &n);
        rig_dial(r, &here);
        RIG_UNTIL(r, here.downs == 1);
        assert_int_equal(n, 1);
        rig_stop(r);
    }
}

static void addresses__are_told_and_wrong_ones_refused(void **state)
{
    (void)state;
    FOR_EACH_KIND(r)
    {
        struct peer there = {0}, here = {0};
        struct efx_link *none;
        struct efx_err err;
        rig_start(r);
        rig_pair(r, &there, &here);
        assert_string_equal(here.of->vt->peer(here.link), r->address);
        assert_true(strlen(there.of->vt->peer(there.link)) > 0);
        assert_int_equal(
            r->client->vt->connect(r->client, "nonsense", &rig_user, NULL, &none, &err),
            EFX_EPARSE);
        assert_non_null(strstr(err.msg, "nonsense"));
        assert_int_equal(there.of->vt->peer_is_member(there.link), r->kind == RIG_MTLS);
        assert_int_equal(here.of->vt->peer_is_member(here.link), r->kind == RIG_MTLS);
        struct efx_bytes names = here.of->vt->peer_names(here.link);
        if (r->kind == RIG_TLS || r->kind == RIG_MTLS) {
            assert_true(same(names, "localhost\000127.0.0.1\000spiffe://efx/a", 35));
        } else {
            assert_int_equal(names.n, 0);
        }
        names = there.of->vt->peer_names(there.link);
        assert_true(r->kind == RIG_MTLS ? same(names, "client.efx\00010.1.2.3", 20) : names.n == 0);
        rig_stop(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages__arrive_whole_and_in_order_both_ways),
        cmocka_unit_test(long_messages__arrive_whole),
        cmocka_unit_test(a_longer_message_than_allowed__is_refused_by_the_sender),
        cmocka_unit_test(a_longer_message_than_allowed__ends_the_link_of_the_receiver),
        cmocka_unit_test(limits__may_be_raised_for_one_link),
        cmocka_unit_test(a_full_queue__says_again_and_room_comes),
        cmocka_unit_test(a_held_link__stops_between_two_messages),
        cmocka_unit_test(links__are_refused_above_their_number_and_the_others_go_on),
        cmocka_unit_test(a_slow_reader__does_not_disturb_another),
        cmocka_unit_test(text_that_is_not_utf8__is_refused),
        cmocka_unit_test(nobody_there__is_absent),
        cmocka_unit_test(closing_in_order__lets_everything_arrive_first),
        cmocka_unit_test(closing_at_once__breaks_the_other_end),
        cmocka_unit_test(closing_before_it_is_up__is_silent),
        cmocka_unit_test(a_link__may_be_closed_in_its_own_callbacks),
        cmocka_unit_test(a_link_that_nobody_uses__is_closed),
        cmocka_unit_test(addresses__are_told_and_wrong_ones_refused),
    };
    fill_pattern();
    return cmocka_run_group_tests_name("transport", tests, NULL, NULL);
}
