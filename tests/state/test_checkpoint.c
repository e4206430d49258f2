/* Reports, manifests, chunks: every way to damage them is noticed; merging keeps what is needed. */
#include "efx_test.h"

#include "efx_checkpoint.h"

#include <stdlib.h>

#include "ckpt.h"

static struct efx_arena arena;

static int begin(void **state)
{
    (void)state;
    efx_arena_init(&arena, &efx_mem_libc, SIZE_MAX);
    return 0;
}

static int end(void **state)
{
    (void)state;
    efx_arena_fini(&arena);
    return 0;
}

static struct efx_bytes text(const char *z)
{
    return (struct efx_bytes){(const uint8_t *)z, strlen(z)};
}

/* ---- packing ---- */

static void packed__comes_back(void **state)
{
    uint64_t dice = 7;
    (void)state;
    for (int round = 0; round < 3000; round++) {
        size_t n = (size_t)(efx_test_rand(&dice) % 900);
        uint32_t zeros = (uint32_t)(efx_test_rand(&dice) % 10);
        uint8_t *p = malloc(n + 1), *out = malloc(efx_ckpt__packed_max(n)), *back = malloc(n + 1);
        for (size_t i = 0; i < n; i++) {
            p[i] = efx_test_rand(&dice) % 10 < zeros ? 0 : (uint8_t)efx_test_rand(&dice);
        }
        size_t packed = efx_ckpt__pack(p, n, out);
        assert_true(packed <= efx_ckpt__packed_max(n));
        assert_true(efx_ckpt__unpack(out, packed, back, n));
        assert_memory_equal(p, back, n);
        if (packed > 0) {
            assert_false(efx_ckpt__unpack(out, packed - 1, back, n) && n == 0);
        }
        free(p);
        free(out);
        free(back);
    }
}

/* Whatever bytes it gets, it stays within its room. */
static void packed__noise_stays_inside(void **state)
{
    uint64_t dice = 9;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        size_t n = (size_t)(efx_test_rand(&dice) % 64), k = (size_t)(efx_test_rand(&dice) % 64);
        uint8_t *p = malloc(n + 1), *out = malloc(k + 1);
        for (size_t i = 0; i < n; i++) {
            p[i] = efx_test_rand(&dice) % 3 == 0 ? 0xFF : (uint8_t)efx_test_rand(&dice);
        }
        (void)efx_ckpt__unpack(p, n, out, k);
        free(p);
        free(out);
    }
}

/* ---- chunks ---- */

static void chunk__notices_every_flip_and_cut(void **state)
{
    uint8_t raw[3000], back[3000], *bytes = NULL;
    struct efx_ckpt_chunk c;
    struct efx_ckpt_chunk_in in = {.no = 3, .op = 99, .version = 1, .first = 2, .last = 40};
    (void)state;
    for (size_t i = 0; i < sizeof raw; i++) {
        raw[i] = i % 5 == 0 ? (uint8_t)(i * 31) : 0;
    }
    struct efx_bytes given = {raw, sizeof raw};
    assert_int_equal(efx_chunk_encode(&in, given, &efx_mem_libc, &c, &bytes, NULL), EFX_OK);
    struct efx_bytes stored = {bytes, c.stored_bytes};
    assert_int_equal(efx_chunk_decode(&c, 99, stored, back, NULL), EFX_OK);
    assert_memory_equal(raw, back, sizeof raw);
    assert_int_equal(efx_chunk_decode(&c, 98, stored, back, NULL), EFX_EPARSE);
    for (uint32_t i = 0; i < c.stored_bytes * 8; i++) {
        struct efx_err err = {0};
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(efx_chunk_decode(&c, 99, stored, back, &err), EFX_EPARSE);
        assert_non_null(strstr(err.msg, "00000000000000000003-"));
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (uint32_t n = 0; n < c.stored_bytes; n++) {
        assert_int_equal(efx_chunk_decode(&c, 99, (struct efx_bytes){bytes, n}, back, NULL),
                         EFX_EPARSE);
    }
    struct efx_ckpt_chunk other = c; /* sound, in another's place */
    other.first = 3;
    assert_int_equal(efx_chunk_decode(&other, 99, stored, back, NULL), EFX_EPARSE);
    efx_mem_libc.free(&efx_mem_libc, bytes, c.stored_bytes);
}

/* ---- manifests ---- */

static struct efx_ckpt_chunk chunk(uint64_t no, uint32_t first, uint32_t last)
{
    struct efx_ckpt_chunk c = {.name = {.no = no},
                               .first = first,
                               .last = last,
                               .raw_bytes = 10,
                               .packed_bytes = 9,
                               .stored_bytes = 60};
    c.name.hash.b[0] = (uint8_t)no;
    c.name.hash.b[1] = (uint8_t)first;
    c.name.hash.b[2] = (uint8_t)(first >> 8);
    return c;
}

static void add_part(struct efx_ckpt_op *op, uint64_t no, bool base, uint32_t first, uint32_t last,
                     bool empty)
{
    struct efx_ckpt_part *p = &op->parts[op->n_parts++];
    *p = (struct efx_ckpt_part){.no = no, .base = base, .version = 1, .first = first, .last = last};
    p->chunks = EFX_NEW_N(&arena, struct efx_ckpt_chunk, 3);
    if (!empty) {
        uint32_t middle = (first + last) / 2;
        p->chunks[p->n_chunks++] = chunk(no, first, middle);
        p->chunks[p->n_chunks++] = chunk(no, middle + 1, last);
    }
}

static void one_op(struct efx_ckpt_body *b, uint64_t key)
{
    b->ops = EFX_NEW_N(&arena, struct efx_ckpt_op, 4);
    b->n_ops = 1;
    b->ops[0] = (struct efx_ckpt_op){.key = key, .name = "q1: INSERT INTO Out"};
    b->ops[0].parts = EFX_NEW_N(&arena, struct efx_ckpt_part, 16);
}

static struct efx_report report(uint64_t no, const char *member)
{
    struct efx_report r = {.no = no, .epoch = 1, .member = member, .clock_ms = 5};
    one_op(&r.body, 7);
    return r;
}

static enum efx_rc merge(const struct efx_manifest *last, const struct efx_report *r, uint32_t n,
                         uint64_t no, struct efx_manifest *out)
{
    *out = (struct efx_manifest){.no = no, .epoch = 1, .app = "app", .committed_ms = 1000};
    return efx_manifest_merge(&arena, last, r, n, out, NULL);
}

static struct efx_manifest some_manifest(void)
{
    struct efx_manifest m;
    struct efx_report r = report(1, "a");
    struct efx_ckpt_bytes section = {"numbering", text("abc")}, position = {"source:T", text("p")};
    struct efx_ckpt_receipt receipt = {"Out", 0, 1, text("receipt")};
    add_part(&r.body.ops[0], 1, true, 0, 1023, false);
    r.body.sections = &section;
    r.body.positions = &position;
    r.body.receipts = &receipt;
    r.body.n_sections = r.body.n_positions = r.body.n_receipts = 1;
    assert_int_equal(merge(NULL, &r, 1, 1, &m), EFX_OK);
    return m;
}

static void manifest__comes_back(void **state)
{
    struct efx_manifest m = some_manifest(), back;
    uint8_t *bytes;
    size_t n;
    (void)state;
    assert_int_equal(efx_manifest_encode(&m, &efx_mem_libc, &bytes, &n, NULL), EFX_OK);
    assert_int_equal(efx_manifest_decode((struct efx_bytes){bytes, n}, &arena, &back, NULL),
                     EFX_OK);
    assert_int_equal(back.no, 1);
    assert_string_equal(back.app, "app");
    assert_int_equal(back.clock_ms, 5);
    assert_int_equal(back.body.n_ops, 1);
    assert_int_equal(back.body.ops[0].parts[0].n_chunks, 2);
    assert_string_equal(back.body.receipts[0].sink, "Out");
    assert_int_equal(efx_ckpt_section(&back.body, "numbering")->bytes.n, 3);
    assert_non_null(efx_ckpt_position(&back.body, "source:T"));
    char name[EFX_REVISION_BYTES];
    efx_revision_name(&back, name);
    assert_string_equal(name, "1000_1_app");
    assert_int_equal(efx_revision_no(name), 1);
    assert_int_equal(efx_revision_no("1000_x_app"), 0);
    assert_int_equal(efx_revision_no("last"), 0);
    efx_mem_libc.free(&efx_mem_libc, bytes, n);
}

static void manifest__notices_every_flip_and_cut(void **state)
{
    struct efx_manifest m = some_manifest(), back;
    uint8_t *bytes;
    size_t n;
    (void)state;
    assert_int_equal(efx_manifest_encode(&m, &efx_mem_libc, &bytes, &n, NULL), EFX_OK);
    for (size_t i = 0; i < n * 8; i++) {
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_equal(efx_manifest_decode((struct efx_bytes){bytes, n}, &arena, &back, NULL),
                         EFX_EPARSE);
        bytes[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (size_t k = 0; k < n; k++) {
        assert_int_equal(efx_manifest_decode((struct efx_bytes){bytes, k}, &arena, &back, NULL),
                         EFX_EPARSE);
    }
    efx_mem_libc.free(&efx_mem_libc, bytes, n);
}

/* Bytes that lie, with the right hash at their end: the decoder itself must hold. */
static void manifest__lies_with_a_right_hash_are_refused_or_harmless(void **state)
{
    struct efx_manifest m = some_manifest(), back;
    uint8_t *bytes;
    size_t n;
    uint64_t dice = 3;
    (void)state;
    assert_int_equal(efx_manifest_encode(&m, &efx_mem_libc, &bytes, &n, NULL), EFX_OK);
    uint8_t *lie = malloc(n);
    for (int round = 0; round < 20000; round++) {
        memcpy(lie, bytes, n);
        for (uint64_t k = efx_test_rand(&dice) % 4 + 1; k > 0; k--) {
            size_t at = (size_t)(efx_test_rand(&dice) % (n - EFX_HASH_BYTES));
            lie[at] = efx_test_rand(&dice) % 2 == 0 ? 0xFF : (uint8_t)efx_test_rand(&dice);
        }
        struct efx_hash h = efx_ckpt__hash(lie, n - EFX_HASH_BYTES);
        memcpy(lie + n - EFX_HASH_BYTES, h.b, sizeof h.b);
        enum efx_rc rc = efx_manifest_decode((struct efx_bytes){lie, n}, &arena, &back, NULL);
        assert_true(rc == EFX_OK || rc == EFX_EPARSE);
        efx_arena_reset(&arena);
    }
    free(lie);
    efx_mem_libc.free(&efx_mem_libc, bytes, n);
}

static void report__comes_back_and_notices_damage(void **state)
{
    struct efx_report r = report(4, "node-1/0123456789abcdef"), back;
    uint8_t *bytes;
    size_t n;
    (void)state;
    add_part(&r.body.ops[0], 3, false, 0, 511, false);
    add_part(&r.body.ops[0], 4, false, 0, 511, true);
    assert_int_equal(efx_report_encode(&r, &efx_mem_libc, &bytes, &n, NULL), EFX_OK);
    assert_int_equal(efx_report_decode((struct efx_bytes){bytes, n}, &arena, &back, NULL), EFX_OK);
    assert_string_equal(back.member, r.member);
    assert_int_equal(back.body.ops[0].n_parts, 2);
    for (size_t i = 0; i < n; i++) {
        bytes[i] ^= 4;
        assert_int_equal(efx_report_decode((struct efx_bytes){bytes, n}, &arena, &back, NULL),
                         EFX_EPARSE);
        bytes[i] ^= 4;
        assert_int_equal(efx_report_decode((struct efx_bytes){bytes, i}, &arena, &back, NULL),
                         EFX_EPARSE);
    }
    efx_mem_libc.free(&efx_mem_libc, bytes, n);
}

/* ---- merging ---- */

static void merge__deltas_join_their_base_and_a_base_replaces_all(void **state)
{
    struct efx_manifest one, two, three;
    struct efx_report r1 = report(1, ""), r2 = report(2, ""), r3 = report(3, "");
    (void)state;
    add_part(&r1.body.ops[0], 1, true, 0, 1023, false);
    add_part(&r2.body.ops[0], 2, false, 0, 1023, false);
    add_part(&r3.body.ops[0], 3, true, 0, 1023, false);
    assert_int_equal(merge(NULL, &r1, 1, 1, &one), EFX_OK);
    assert_int_equal(merge(&one, &r2, 1, 2, &two), EFX_OK);
    assert_int_equal(two.body.ops[0].n_parts, 2);
    assert_int_equal(two.body.ops[0].parts[0].no, 1);
    assert_int_equal(merge(&two, &r3, 1, 3, &three), EFX_OK);
    assert_int_equal(three.body.ops[0].n_parts, 1);
    assert_int_equal(three.body.ops[0].parts[0].no, 3);
}

static void merge__of_two_members_a_base_replaces_its_own_groups_only(void **state)
{
    struct efx_manifest one, two;
    struct efx_report r1 = report(1, "");
    struct efx_report both[2] = {report(2, "a"), report(2, "b")};
    (void)state;
    add_part(&r1.body.ops[0], 1, true, 0, 1023, false); /* chunks of 0..511 and 512..1023 */
    add_part(&both[0].body.ops[0], 2, true, 0, 599, false);
    add_part(&both[1].body.ops[0], 2, false, 600, 1023, false);
    assert_int_equal(merge(NULL, &r1, 1, 1, &one), EFX_OK);
    assert_int_equal(merge(&one, both, 2, 2, &two), EFX_OK);
    assert_int_equal(two.body.ops[0].n_parts, 3);
    assert_int_equal(two.body.ops[0].parts[0].no, 1);
    assert_int_equal(two.body.ops[0].parts[0].n_chunks, 1);
    assert_int_equal(two.body.ops[0].parts[0].chunks[0].first, 512);
}

static void merge__parts_of_an_aborted_checkpoint_come_with_the_next(void **state)
{
    struct efx_manifest one, three;
    struct efx_report r1 = report(1, ""), r3 = report(3, "");
    (void)state;
    add_part(&r1.body.ops[0], 1, true, 0, 1023, false);
    add_part(&r3.body.ops[0], 2, false, 0, 1023, false); /* 2 was stored, never committed */
    add_part(&r3.body.ops[0], 3, false, 0, 1023, false);
    assert_int_equal(merge(NULL, &r1, 1, 1, &one), EFX_OK);
    assert_int_equal(merge(&one, &r3, 1, 3, &three), EFX_OK);
    assert_int_equal(three.body.ops[0].n_parts, 3);
    assert_int_equal(three.body.ops[0].parts[1].no, 2);
}

static void merge__a_report_sent_twice_counts_once(void **state)
{
    struct efx_manifest one;
    struct efx_report r = report(1, "a");
    (void)state;
    add_part(&r.body.ops[0], 1, true, 0, 1023, false);
    struct efx_report twice[2] = {r, r};
    assert_int_equal(merge(NULL, twice, 2, 1, &one), EFX_OK);
    assert_int_equal(one.body.ops[0].n_parts, 1);
}

static void merge__groups_that_nobody_saved_are_an_error(void **state)
{
    struct efx_manifest one;
    struct efx_report r = report(1, "a");
    (void)state;
    add_part(&r.body.ops[0], 1, true, 0, 499, false);
    add_part(&r.body.ops[0], 1, true, 501, 1023, false);
    assert_int_equal(merge(NULL, &r, 1, 1, &one), EFX_EBUG);
}

static void merge__members_that_disagree_are_an_error(void **state)
{
    struct efx_manifest one;
    struct efx_report both[2] = {report(1, "a"), report(1, "b")};
    struct efx_ckpt_bytes x = {"clock", text("1")}, y = {"clock", text("2")};
    (void)state;
    add_part(&both[0].body.ops[0], 1, true, 0, 511, false);
    add_part(&both[1].body.ops[0], 1, true, 512, 1023, false);
    both[0].body.n_sections = both[1].body.n_sections = 1;
    both[0].body.sections = &x;
    both[1].body.sections = &y;
    assert_int_equal(merge(NULL, both, 2, 1, &one), EFX_EBUG);
    both[1].body.sections = &x;
    assert_int_equal(merge(NULL, both, 2, 1, &one), EFX_OK);
    assert_int_equal(one.body.n_sections, 1);
}

static void merge__an_operator_nobody_reports_leaves(void **state)
{
    struct efx_manifest one, two;
    struct efx_report r1 = report(1, ""), r2 = report(2, "");
    (void)state;
    add_part(&r1.body.ops[0], 1, true, 0, 1023, false);
    assert_int_equal(merge(NULL, &r1, 1, 1, &one), EFX_OK);
    r2.body.ops[0].key = 8;
    add_part(&r2.body.ops[0], 2, true, 0, 1023, false);
    assert_int_equal(merge(&one, &r2, 1, 2, &two), EFX_OK);
    assert_int_equal(two.body.n_ops, 1);
    assert_int_equal(two.body.ops[0].key, 8);
}

static void merge__idle_operators_do_not_grow(void **state)
{
    struct efx_manifest m, next;
    struct efx_report r = report(1, "");
    (void)state;
    add_part(&r.body.ops[0], 1, true, 0, 1023, false);
    assert_int_equal(merge(NULL, &r, 1, 1, &m), EFX_OK);
    for (uint64_t no = 2; no < 50; no++) {
        struct efx_report idle = report(no, "");
        add_part(&idle.body.ops[0], no, false, 0, 1023, true);
        assert_int_equal(merge(&m, &idle, 1, no, &next), EFX_OK);
        m = next;
    }
    assert_int_equal(m.body.ops[0].n_parts, 2);
    assert_int_equal(m.body.ops[0].parts[1].no, 49);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(packed__comes_back, begin, end),
        cmocka_unit_test_setup_teardown(packed__noise_stays_inside, begin, end),
        cmocka_unit_test_setup_teardown(chunk__notices_every_flip_and_cut, begin, end),
        cmocka_unit_test_setup_teardown(manifest__comes_back, begin, end),
        cmocka_unit_test_setup_teardown(manifest__notices_every_flip_and_cut, begin, end),
        cmocka_unit_test_setup_teardown(manifest__lies_with_a_right_hash_are_refused_or_harmless,
                                        begin, end),
        cmocka_unit_test_setup_teardown(report__comes_back_and_notices_damage, begin, end),
        cmocka_unit_test_setup_teardown(merge__deltas_join_their_base_and_a_base_replaces_all,
                                        begin, end),
        cmocka_unit_test_setup_teardown(merge__of_two_members_a_base_replaces_its_own_groups_only,
                                        begin, end),
        cmocka_unit_test_setup_teardown(merge__parts_of_an_aborted_checkpoint_come_with_the_next,
                                        begin, end),
        cmocka_unit_test_setup_teardown(merge__a_report_sent_twice_counts_once, begin, end),
        cmocka_unit_test_setup_teardown(merge__groups_that_nobody_saved_are_an_error, begin, end),
        cmocka_unit_test_setup_teardown(merge__members_that_disagree_are_an_error, begin, end),
        cmocka_unit_test_setup_teardown(merge__an_operator_nobody_reports_leaves, begin, end),
        cmocka_unit_test_setup_teardown(merge__idle_operators_do_not_grow, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
