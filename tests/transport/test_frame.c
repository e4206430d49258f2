/* Known answers of the frames (runtime.md §4), both ways, and hostile bytes. */
#include "efx_frame.h"
#include "efx_test.h"

#include <string.h>

static const uint8_t event_m1[] = {
    0, 0, 0, 0x33, 2, 0, 0, 0, 0, 0, 0, 0, 'm', '1', 3, 0, 0, 0, 0, 0, 0, 0, 1,   2, 3, 1, 0, 0,
    0, 0, 0, 0,    0, 1, 0, 0, 0, 0, 0, 0, 0,   'k', 1, 0, 0, 0, 0, 0, 0, 0, 'v', 0, 0, 0, 0,
};
static const uint8_t heartbeat_hb[] = {
    0, 0, 0, 0x1e, 2, 0, 0, 0, 0, 0, 0, 0, 'h', 'b', 0, 0, 0,
    0, 0, 0, 0,    0, 0, 0, 0, 0, 0, 0, 0, 0,   4,   0, 0, 0,
};
static struct efx_msg_header headers[EFX_FRAME_HEADERS_MAX];

static struct efx_bytes text(const char *s)
{
    return (struct efx_bytes){(const uint8_t *)s, strlen(s)};
}

static enum efx_rc take(const uint8_t *p, size_t n, size_t max, struct efx_msg *out, size_t *used)
{
    return efx_frame_take((struct efx_bytes){p, n}, max, headers, out, used);
}

static void frames__are_the_known_answers(void **state)
{
    (void)state;
    uint8_t bytes[128];
    struct efx_writer w = {.p = bytes, .max = sizeof bytes};
    struct efx_msg_header h = {text("k"), text("v")};
    struct efx_msg m = {.id = text("m1"), .payload = text("\1\2\3"), .n_headers = 1, .headers = &h};
    efx_frame_put(&w, &m);
    assert_int_equal(w.n, sizeof event_m1);
    assert_memory_equal(bytes, event_m1, sizeof event_m1);
    assert_int_equal(efx_frame_bytes(&m) + EFX_FRAME_LENGTH_BYTES, sizeof event_m1);
    w.n = 0;
    efx_frame_put(&w, &(struct efx_msg){.type = EFX_MSG_HEARTBEAT, .id = text("hb")});
    assert_int_equal(w.n, sizeof heartbeat_hb);
    assert_memory_equal(bytes, heartbeat_hb, sizeof heartbeat_hb);
}

static void a_frame__is_read_back_at_any_length(void **state)
{
    (void)state;
    struct efx_msg m;
    size_t used;
    for (size_t n = 0; n < sizeof event_m1; n++) {
        assert_int_equal(take(event_m1, n, 1000, &m, &used), EFX_AGAIN);
        assert_int_equal(used, n < 4 ? 0 : sizeof event_m1);
    }
    assert_int_equal(take(event_m1, sizeof event_m1, 0x33, &m, &used), EFX_OK);
    assert_int_equal(used, sizeof event_m1);
    assert_int_equal(m.type, EFX_MSG_EVENT);
    assert_int_equal(m.id.n, 2);
    assert_memory_equal(m.id.p, "m1", 2);
    assert_int_equal(m.payload.n, 3);
    assert_memory_equal(m.payload.p, "\1\2\3", 3);
    assert_int_equal(m.n_headers, 1);
    assert_true(m.headers[0].key.n == 1 && m.headers[0].key.p[0] == 'k');
    assert_true(m.headers[0].value.n == 1 && m.headers[0].value.p[0] == 'v');
}

static void a_long_frame__is_refused_by_its_length_alone(void **state)
{
    (void)state;
    static const uint8_t announced[] = {0, 0xA0, 0, 1}; /* 10 MiB + 1 */
    struct efx_msg m;
    size_t used;
    assert_int_equal(take(announced, 4, EFX_FRAME_BYTES_MAX, &m, &used), EFX_ELIMIT);
    assert_int_equal(take(announced, 4, EFX_FRAME_NODE_BYTES_MAX, &m, &used), EFX_AGAIN);
    assert_int_equal(take(event_m1, sizeof event_m1, 0x32, &m, &used), EFX_ELIMIT);
}

static void lengths_that_lie__are_refused(void **state)
{
    (void)state;
    static const size_t lengths_at[] = {4, 14, 25, 33, 42};
    uint8_t bytes[sizeof event_m1];
    struct efx_msg m;
    size_t used;
    for (size_t i = 0; i < sizeof lengths_at / sizeof lengths_at[0]; i++) {
        memcpy(bytes, event_m1, sizeof bytes);
        memset(bytes + lengths_at[i], 0xFF, 8);
        assert_int_equal(take(bytes, sizeof bytes, 1000, &m, &used), EFX_EPARSE);
        memcpy(bytes, event_m1, sizeof bytes);
        bytes[lengths_at[i]]++;
        assert_int_equal(take(bytes, sizeof bytes, 1000, &m, &used), EFX_EPARSE);
    }
    memcpy(bytes, event_m1, sizeof bytes);
    bytes[sizeof bytes - 4] = 6; /* no such type */
    assert_int_equal(take(bytes, sizeof bytes, 1000, &m, &used), EFX_EPARSE);
    static const uint8_t short_frame[] = {0, 0, 0, 27};
    assert_int_equal(take(short_frame, 4, 1000, &m, &used), EFX_EPARSE);
}

static void more_headers_than_allowed__are_refused(void **state)
{
    (void)state;
    static uint8_t bytes[16 * (EFX_FRAME_HEADERS_MAX + 1) + 64];
    static struct efx_msg_header many[EFX_FRAME_HEADERS_MAX + 1];
    struct efx_writer w = {.p = bytes, .max = sizeof bytes};
    struct efx_msg m = {.n_headers = EFX_FRAME_HEADERS_MAX, .headers = many};
    size_t used;
    assert_int_equal(efx_frame_check(&m), EFX_OK);
    efx_frame_put(&w, &m);
    assert_int_equal(take(bytes, w.n, sizeof bytes, &m, &used), EFX_OK);
    m = (struct efx_msg){.n_headers = EFX_FRAME_HEADERS_MAX + 1, .headers = many};
    assert_int_equal(efx_frame_check(&m), EFX_EPARSE);
    w.n = 0;
    efx_frame_put(&w, &m);
    assert_int_equal(take(bytes, w.n, sizeof bytes, &m, &used), EFX_EPARSE);
}

static void text__is_strict_utf8(void **state)
{
    (void)state;
    static const char *const good[] = {"",
                                       "a",
                                       "\xC2\x80",
                                       "\xE0\xA0\x80",
                                       "\xED\x9F\xBF",
                                       "\xEE\x80\x80",
                                       "\xF0\x90\x80\x80",
                                       "\xF4\x8F\xBF\xBF"};
    static const char *const bad[] = {"\x80",
                                      "\xC1\xBF",
                                      "\xC2",
                                      "\xC2\x7F",
                                      "\xE0\x9F\xBF",
                                      "\xED\xA0\x80",
                                      "\xE1\x80",
                                      "\xF0\x8F\xBF\xBF",
                                      "\xF4\x90\x80\x80",
                                      "\xF5\x80\x80\x80",
                                      "\xFF",
                                      "ab\xE2\x82"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct efx_msg m = {.id = text(good[i])};
        assert_int_equal(efx_frame_check(&m), EFX_OK);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct efx_msg m = {.id = text(bad[i])};
        assert_int_equal(efx_frame_check(&m), EFX_EPARSE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames__are_the_known_answers),
        cmocka_unit_test(a_frame__is_read_back_at_any_length),
        cmocka_unit_test(a_long_frame__is_refused_by_its_length_alone),
        cmocka_unit_test(lengths_that_lie__are_refused),
        cmocka_unit_test(more_headers_than_allowed__are_refused),
        cmocka_unit_test(text__is_strict_utf8),
    };
    return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
