/* CRC-32C by its known answers, and payloads that are smaller, checked, damaged, too long. */
#include "efx_crc32c.h"
#include "efx_payload.h"
#include "efx_test.h"

#include <string.h>

static uint8_t bytes[100000];

static void crc__gives_the_known_answers(void **state)
{
    (void)state;
    uint8_t b[32];
    assert_int_equal(efx_crc32c(0, "", 0), 0);
    assert_int_equal(efx_crc32c(0, "123456789", 9), 0xE3069283);
    memset(b, 0, sizeof b);
    assert_int_equal(efx_crc32c(0, b, 32), 0x8A9136AA);
    memset(b, 0xFF, sizeof b);
    assert_int_equal(efx_crc32c(0, b, 32), 0x62A8AB43);
    for (uint8_t i = 0; i < 32; i++) {
        b[i] = i;
    }
    assert_int_equal(efx_crc32c(0, b, 32), 0x46DD794E);
}

static void crc__is_the_same_by_tables_and_in_parts(void **state)
{
    (void)state;
    uint64_t seed = 1;
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)efx_test_rand(&seed);
    }
    static const size_t sizes[] = {0, 1, 7, 8, 9, 63, 4096, 12287, 12288, 12289, 40000, 99990};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t off = 0; off < 3; off++) {
            uint32_t whole = efx_crc32c(0, bytes + off, sizes[i]);
            assert_int_equal(whole, efx_crc32c_by_tables(0, bytes + off, sizes[i]));
            size_t part = sizes[i] / 3;
            uint32_t first = efx_crc32c(0, bytes + off, part);
            assert_int_equal(whole, efx_crc32c(first, bytes + off + part, sizes[i] - part));
        }
    }
}

static struct efx_msg sent(const struct efx_payload_packed *p)
{
    return (struct efx_msg){
        .payload = p->payload, .n_headers = p->n_headers, .headers = p->headers};
}

static void payloads__come_back_smaller_if_it_pays(void **state)
{
    (void)state;
    struct efx_payload *to, *from;
    struct efx_payload_packed packed;
    struct efx_bytes raw = {bytes, sizeof bytes}, back;
    assert_int_equal(efx_payload_create(&efx_mem_libc, 1024, &to), EFX_OK);
    assert_int_equal(efx_payload_create(&efx_mem_libc, 1024, &from), EFX_OK);
    for (uint32_t i = 0; i < 4; i++) { /* long: dull, random; short: dull; none */
        uint64_t seed = i;
        for (size_t k = 0; k < sizeof bytes; k++) {
            bytes[k] = i == 1 ? (uint8_t)efx_test_rand(&seed) : (uint8_t)(k / 100);
        }
        raw.n = i < 2 ? sizeof bytes : i == 2 ? 1023 : 0;
        efx_payload_pack(to, raw, &packed);
        assert_int_equal(packed.n_headers, i == 0 ? 2 : 1);
        assert_true(i == 0 ? packed.payload.n < raw.n / 10 : packed.payload.p == raw.p);
        struct efx_msg m = sent(&packed);
        assert_int_equal(efx_payload_unpack(from, &m, raw.n, &back), EFX_OK);
        assert_int_equal(back.n, raw.n);
        assert_memory_equal(back.p, bytes, raw.n);
        if (raw.n > 0) {
            assert_int_equal(efx_payload_unpack(from, &m, raw.n - 1, &back), EFX_ELIMIT);
        }
    }
    efx_payload_destroy(&to);
    efx_payload_destroy(&from);
}

static void every_flipped_bit__is_noticed(void **state)
{
    (void)state;
    struct efx_payload *p;
    struct efx_payload_packed packed;
    struct efx_bytes back;
    assert_int_equal(efx_payload_create(&efx_mem_libc, 1024, &p), EFX_OK);
    memset(bytes, 'x', sizeof bytes);
    efx_payload_pack(p, (struct efx_bytes){bytes, 5000}, &packed);
    assert_int_equal(packed.n_headers, 2);
    uint8_t damaged[128];
    size_t n = packed.payload.n;
    assert_true(n <= sizeof damaged);
    memcpy(damaged, packed.payload.p, n);
    packed.payload.p = damaged;
    struct efx_msg m = sent(&packed);
    for (size_t bit = 0; bit < n * 8; bit++) {
        damaged[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(efx_payload_unpack(p, &m, 5000, &back), EFX_EPARSE);
        damaged[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(efx_payload_unpack(p, &m, 5000, &back), EFX_OK);
    packed.length[0]++; /* a length that lies */
    assert_int_equal(efx_payload_unpack(p, &m, 50000, &back), EFX_EPARSE);
    packed.length[0] = 'x';
    assert_int_equal(efx_payload_unpack(p, &m, 50000, &back), EFX_EPARSE);
    m.n_headers = 0;
    assert_int_equal(efx_payload_unpack(p, &m, 50000, &back), EFX_EPARSE);
    efx_payload_destroy(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc__gives_the_known_answers),
        cmocka_unit_test(crc__is_the_same_by_tables_and_in_parts),
        cmocka_unit_test(payloads__come_back_smaller_if_it_pays),
        cmocka_unit_test(every_flipped_bit__is_noticed),
    };
    return cmocka_run_group_tests_name("payload", tests, NULL, NULL);
}
