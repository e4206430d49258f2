/* The heap against pieces that remember what was written into them. */
#include "efx_heap.h"
#include "efx_test.h"
#include "keyed/save_test.h"

enum { PIECES = 3000, STEPS = 60000 };

struct piece {
    uint32_t ref, bytes;
    uint8_t mark;
};

static struct piece pieces[PIECES];

static void fill(struct efx_heap *h, const struct piece *p)
{
    memset(efx_heap_at(h, p->ref), p->mark, p->bytes);
}

static void assert_kept(struct efx_heap *h, const struct piece *p)
{
    const uint8_t *b = efx_heap_at(h, p->ref);
    assert_int_equal((uintptr_t)b % 8, 0);
    for (uint32_t i = 0; i < p->bytes; i++) {
        assert_int_equal(b[i], p->mark);
    }
}

static uint32_t some_bytes(uint64_t *rng)
{
    uint32_t r = (uint32_t)efx_test_rand(rng);
    switch (r % 50) {
    case 0: return 1 + r / 64 % 200000;
    case 1: return 1 + r / 64 % 40000;
    case 2:
    case 3: return 1 + r / 64 % 3000;
    default: return 1 + r / 64 % 300;
    }
}

static void heap__keeps_what_is_in_its_pieces(void **state)
{
    (void)state;
    struct test_mem mem = test_mem_make(UINT32_MAX);
    struct efx_heap *h;
    uint64_t rng = 1;
    assert_int_equal(efx_heap_create(&mem.base, &h), EFX_OK);
    for (uint32_t s = 0; s < STEPS; s++) {
        struct piece *p = &pieces[efx_test_rand(&rng) % PIECES];
        if (p->bytes != 0) {
            assert_kept(h, p);
            efx_heap_put(h, p->ref, p->bytes);
            p->bytes = 0;
        } else if (s < STEPS / 2 || s % 3 == 0) {
            p->bytes = some_bytes(&rng);
            p->mark = (uint8_t)efx_test_rand(&rng);
            assert_int_equal(efx_heap_get(h, p->bytes, &p->ref), EFX_OK);
            assert_int_not_equal(p->ref, 0);
            fill(h, p);
        }
    }
    for (uint32_t i = 0; i < PIECES; i++) {
        if (pieces[i].bytes != 0) {
            assert_kept(h, &pieces[i]);
            efx_heap_put(h, pieces[i].ref, pieces[i].bytes);
            pieces[i].bytes = 0;
        }
    }
    assert_int_equal(efx_heap_bytes(h), mem.held_bytes);
    assert_true(mem.held_bytes < 80 * 1024); /* drained: one page and the directory */
    efx_heap_destroy(&h);
    assert_int_equal(mem.held_bytes, 0);
}

static void heap__has_a_class_for_every_size(void **state)
{
    (void)state;
    struct efx_heap *h;
    assert_int_equal(efx_heap_create(&efx_mem_libc, &h), EFX_OK);
    uint32_t before = 0, before_bytes = 0;
    for (uint32_t n = 1; n < 70000; n = n < 2000 ? n + 1 : n + 97) {
        uint32_t ref;
        assert_int_equal(efx_heap_get(h, n, &ref), EFX_OK);
        memset(efx_heap_at(h, ref), (int)n, n);
        if (before != 0) {
            const uint8_t *b = efx_heap_at(h, before);
            assert_int_equal(b[0], (uint8_t)before_bytes);
            assert_int_equal(b[before_bytes - 1], (uint8_t)before_bytes);
        }
        before = ref;
        before_bytes = n;
    }
    efx_heap_destroy(&h);
}

static void heap__is_whole_after_memory_ended(void **state)
{
    (void)state;
    for (uint32_t k = 1; k < 12; k++) {
        struct test_mem mem = test_mem_make(k);
        struct efx_heap *h;
        uint32_t ref, n = 0;
        assert_int_equal(efx_heap_create(&mem.base, &h), EFX_OK);
        while (n < 400 && efx_heap_get(h, 5000, &ref) == EFX_OK) {
            memset(efx_heap_at(h, ref), 7, 5000);
            n++;
        }
        mem.fail_at = UINT32_MAX;
        assert_int_equal(efx_heap_get(h, 100000, &ref), EFX_OK);
        efx_heap_put(h, ref, 100000);
        assert_int_equal(efx_heap_get(h, 8, &ref), EFX_OK);
        efx_heap_destroy(&h);
        assert_int_equal(mem.held_bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap__keeps_what_is_in_its_pieces),
        cmocka_unit_test(heap__has_a_class_for_every_size),
        cmocka_unit_test(heap__is_whole_after_memory_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
