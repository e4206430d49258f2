/* The log against a plain array of rows; its saves against copies made at the mark. */
#include "efx_log.h"
#include "efx_test.h"
#include "keyed/save_test.h"

#include <stdio.h>

enum { ROWS_MAX = 60000, BATCH_MAX = 700, N_COLS = 4, GROUPS = 50, BATCH_ROOM = 4096 };

static const enum efx_type types[N_COLS] = {EFX_TYPE_LONG, EFX_TYPE_STRING, EFX_TYPE_BOOL,
                                            EFX_TYPE_FLOAT};

static struct efx_log_conf conf_make(bool all)
{
    return (struct efx_log_conf){.n_cols = N_COLS,
                                 .types = types,
                                 .has_due = all,
                                 .has_group = all,
                                 .has_copy = all,
                                 .key_group = 5};
}

/* A row is told by its seed. */
struct row {
    uint64_t seed;
    bool live;
};

struct model {
    struct row row[ROWS_MAX];
    uint32_t n;
};

static struct efx_ctx ctx;

static int64_t long_of(uint64_t seed)
{
    return (int64_t)(seed * 0x9E3779B97F4A7C15u);
}
static bool null_of(uint64_t seed, uint32_t c)
{
    return c != 2 && (seed / 7 + c) % 11 == 0;
}
static uint32_t group_of(uint64_t seed)
{
    return (uint32_t)(seed % GROUPS);
}

static struct efx_cell text_of(uint64_t seed, char *room)
{
    int n = sprintf(room, seed % 3 == 0 ? "%llu" : "row %llu with a text that is long",
                    (unsigned long long)seed);
    return efx_cell_make(room, (uint32_t)n);
}

struct columns {
    int64_t l[BATCH_ROOM], ts[BATCH_ROOM], due[BATCH_ROOM];
    uint64_t turn[BATCH_ROOM];
    uint32_t group[BATCH_ROOM], copy[BATCH_ROOM], row[BATCH_ROOM];
    struct efx_cell s[BATCH_ROOM];
    uint8_t b[BATCH_ROOM];
    float f[BATCH_ROOM];
    uint64_t valid[N_COLS][BATCH_ROOM / 64];
    char text[BATCH_ROOM][64];
    struct efx_col col[N_COLS];
};
static struct columns in;

/* n rows; with `picked` every second row of the columns is taken, from behind. */
static struct efx_log_rows make_rows(const uint64_t *seed, uint32_t n, bool picked)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = picked ? 2 * (n - 1 - i) : i;
        in.row[i] = at;
        in.l[at] = long_of(seed[i]);
        in.s[at] = text_of(seed[i], in.text[at]);
        in.b[at] = seed[i] % 2;
        in.f[at] = (float)(seed[i] % 1000);
        in.ts[at] = (int64_t)seed[i] + 3;
        in.due[i] = (int64_t)seed[i] + 1000;
        in.turn[i] = seed[i];
        in.group[i] = group_of(seed[i]);
        in.copy[i] = (uint32_t)seed[i] % 9;
        for (uint32_t c = 0; c < N_COLS; c++) {
            efx_bit_put(in.valid[c], at, !null_of(seed[i], c));
        }
    }
    const void *data[N_COLS] = {in.l, in.s, in.b, in.f};
    for (uint32_t c = 0; c < N_COLS; c++) {
        in.col[c] = (struct efx_col){types[c], data[c], c == 2 ? NULL : in.valid[c]};
    }
    return (struct efx_log_rows){.n = n,
                                 .row = picked ? in.row : NULL,
                                 .cols = in.col,
                                 .ts_ms = in.ts,
                                 .due_ms = in.due,
                                 .turn = in.turn,
                                 .group = in.group,
                                 .copy = in.copy};
}

static void assert_slot(uint64_t seed, uint32_t c, const void *slot, bool null)
{
    char room[64];
    assert_int_equal(null, null_of(seed, c));
    if (null) {
        return;
    }
    struct efx_cell text = text_of(seed, room);
    switch (c) {
    case 0: assert_int_equal(*(const int64_t *)slot, long_of(seed)); break;
    case 1: assert_true(efx_cell_equal(slot, &text)); break;
    case 2: assert_int_equal(*(const uint8_t *)slot, seed % 2); break;
    default: assert_true(*(const float *)slot == (float)(seed % 1000)); break;
    }
}

static void assert_row(const struct efx_log *l, uint64_t number, uint64_t seed)
{
    assert_int_equal(efx_log_ts(l, number), (int64_t)seed + 3);
    assert_int_equal(efx_log_turn(l, number), seed);
    for (uint32_t c = 0; c < N_COLS; c++) {
        bool null;
        const void *slot = efx_log_slot(l, number, c, &null);
        assert_slot(seed, c, slot, null);
    }
}

static void assert_view(const struct efx_log *l, const struct model *m, uint64_t from)
{
    struct efx_col cols[N_COLS];
    const int64_t *ts;
    bool any_dead, dead = false;
    uint32_t n = efx_log_view(l, from, 333, cols, &ts, &any_dead);
    assert_true(n > 0);
    for (uint32_t i = 0; i < n; i++) {
        const struct row *row = &m->row[from + i];
        dead = dead || !row->live;
        if (row->live) {
            assert_int_equal(ts[i], (int64_t)row->seed + 3);
            for (uint32_t c = 0; c < N_COLS; c++) {
                const uint8_t *slot = (const uint8_t *)cols[c].data + i * efx_type_width(types[c]);
                assert_slot(row->seed, c, slot, !efx_bit(cols[c].valid, i));
            }
        }
    }
    assert_int_equal(any_dead, dead);
}

static void assert_gather(const struct efx_log *l, const struct model *m, uint64_t *rng, bool runs)
{
    static uint64_t number[500];
    static int64_t ts[500];
    struct efx_col cols[N_COLS];
    struct efx_ctx_mark at = efx_ctx_begin(&ctx);
    uint32_t n = 0;
    for (uint64_t i = efx_log_head(l); i < efx_log_end(l) && n < 500; i = efx_log_next(l, i)) {
        if (runs || efx_test_rand(rng) % 3 == 0) {
            number[n++] = i;
        }
    }
    efx_log_gather(l, &ctx, number, n, cols, ts);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t seed = m->row[number[i]].seed;
        assert_int_equal(ts[i], (int64_t)seed + 3);
        for (uint32_t c = 0; c < N_COLS; c++) {
            const uint8_t *slot = (const uint8_t *)cols[c].data + i * efx_type_width(types[c]);
            assert_slot(seed, c, slot, !efx_bit(cols[c].valid, i));
        }
    }
    efx_ctx_end(&ctx, at);
}

static void assert_same(const struct efx_log *l, const struct model *m)
{
    uint64_t at = efx_log_head(l);
    assert_int_equal(efx_log_end(l), m->n);
    for (uint32_t i = 0; i < m->n; i++) {
        assert_int_equal(efx_log_is_live(l, i), m->row[i].live);
        if (m->row[i].live) {
            assert_int_equal(at, i);
            assert_row(l, i, m->row[i].seed);
            at = efx_log_next(l, at);
        }
    }
    assert_int_equal(at, efx_log_end(l));
}

static void add(struct efx_log *l, struct model *m, uint64_t *rng)
{
    static uint64_t seed[BATCH_MAX];
    uint32_t n = (uint32_t)(efx_test_rand(rng) % BATCH_MAX);
    uint64_t next = m->n == 0 ? 1 : m->row[m->n - 1].seed + 1;
    n = n < ROWS_MAX - m->n ? n : ROWS_MAX - m->n;
    for (uint32_t i = 0; i < n; i++) {
        seed[i] = next++;
        m->row[m->n++] = (struct row){seed[i], true};
    }
    struct efx_log_rows rows = make_rows(seed, n, efx_test_rand(rng) % 2 == 0);
    assert_int_equal(efx_log_add(l, &rows), EFX_OK);
    assert_int_equal(efx_log_end(l), m->n);
}

/* fifo: from the head; else anywhere. */
static void kill(struct efx_log *l, struct model *m, uint64_t *rng, bool fifo)
{
    uint32_t n = (uint32_t)(efx_test_rand(rng) % BATCH_MAX);
    if (fifo && n % 5 == 0) {
        uint64_t until = efx_log_head(l) + n / 2;
        efx_log_kill_until(l, until);
        for (uint64_t i = 0; i < until && i < m->n; i++) {
            m->row[i].live = false;
        }
        return;
    }
    for (uint32_t i = 0; i < n && efx_log_head(l) < efx_log_end(l); i++) {
        uint64_t at = efx_log_head(l);
        if (!fifo) {
            at += efx_test_rand(rng) % (efx_log_end(l) - at);
        }
        if (efx_log_is_live(l, at)) {
            efx_log_kill(l, at);
            m->row[at].live = false;
        }
    }
}

static void log__agrees_with_a_plain_array(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < 3; k++) {
        static struct model m;
        struct test_mem mem = test_mem_make(UINT32_MAX);
        struct efx_log_conf conf = conf_make(k > 0);
        struct efx_log *l;
        uint64_t rng = 100 + k;
        m.n = 0;
        assert_int_equal(efx_log_create(&mem.base, &conf, &l), EFX_OK);
        for (uint32_t s = 0; s < 120; s++) {
            add(l, &m, &rng);
            kill(l, &m, &rng, k != 2);
            if (s % 10 == 0 && efx_log_head(l) < efx_log_end(l)) {
                assert_view(l, &m, efx_log_head(l));
                assert_view(l, &m, efx_log_end(l) - 1);
                assert_gather(l, &m, &rng, s % 20 == 0);
            }
        }
        assert_same(l, &m);
        efx_log_kill_until(l, UINT64_MAX);
        assert_int_equal(efx_log_head(l), efx_log_end(l));
        assert_true(efx_log_bytes(l) < 400 * 1024);
        assert_int_equal(efx_log_bytes(l), mem.held_bytes);
        efx_log_destroy(&l);
        assert_int_equal(mem.held_bytes, 0);
    }
}

/* ---- saves: group g is in section g * 20, with ordinal g / 2 */

static uint32_t section_of(void *arg, uint32_t group)
{
    (void)arg;
    return group % 25 * 20;
}

static uint32_t ordinal_of(void *arg, uint32_t group)
{
    (void)arg;
    return group / 25;
}

static const struct efx_log_refs refs = {section_of, ordinal_of, NULL};

struct chain {
    struct test_save save[64];
    uint32_t n;
};

static void chain_clear(struct chain *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        test_save_free(&c->save[i]);
    }
    c->n = 0;
}

/* Ids in the new table: ordinal o of section s has id 1000 + s / 20 + 25 * o: 1000 + group. */
static struct efx_log *load_chain(struct chain *c, const struct efx_log_conf *conf,
                                  struct efx_kg_range kg)
{
    struct efx_log *l;
    assert_int_equal(efx_log_create(&efx_mem_libc, conf, &l), EFX_OK);
    for (uint32_t i = 0; i < c->n; i++) {
        struct efx_reader r = test_save_chunk(&c->save[i]), section;
        uint32_t g;
        while (efx_load_next(&r, kg, &g, &section)) {
            uint32_t id[2] = {1000 + g / 20, 1000 + g / 20 + 25};
            struct efx_keyed_ids_out ids = {.id = id, .n = 2};
            assert_int_equal(efx_log_load(l, g, &section, conf->has_group ? &ids : NULL), EFX_OK);
            assert_int_equal(section.left, 0);
        }
        assert_false(r.bad);
    }
    assert_int_equal(efx_log_settle(l), EFX_OK);
    return l;
}

static void assert_restored(const struct efx_log *l, const struct model *then, bool has_all,
                            struct efx_kg_range kg)
{
    uint64_t at = efx_log_head(l);
    for (uint32_t i = 0; i < then->n; i++) {
        uint64_t seed = then->row[i].seed;
        uint32_t section = has_all ? section_of(NULL, group_of(seed)) : 5;
        if (!then->row[i].live || section < kg.first || section > kg.last) {
            continue;
        }
        assert_row(l, at, seed);
        if (has_all) {
            assert_int_equal(efx_log_group(l, at), 1000 + group_of(seed));
            assert_int_equal(efx_log_due(l, at), (int64_t)seed + 1000);
            assert_int_equal(efx_log_copy(l, at), seed % 9);
        }
        at = efx_log_next(l, at);
    }
    assert_int_equal(at, efx_log_end(l));
}

static void save_run(bool all, bool fifo, bool restarts, uint64_t seed)
{
    static struct model m, then;
    static struct chain c;
    struct efx_log_conf conf = conf_make(all);
    const struct efx_kg_range whole = {0, 1023}, part = {0, 200};
    struct efx_log *l;
    uint64_t rng = seed;
    m.n = 0;
    assert_int_equal(efx_log_create(&efx_mem_libc, &conf, &l), EFX_OK);
    for (uint32_t n = 0; n < 20; n++) {
        bool base = n == 0 || (c.n > 5 && efx_test_rand(&rng) % 3 == 0);
        for (uint32_t i = (uint32_t)(efx_test_rand(&rng) % 4); i > 0; i--) {
            add(l, &m, &rng);
            kill(l, &m, &rng, fifo);
        }
        if (base) {
            chain_clear(&c);
        }
        c.save[c.n] = test_save_make();
        struct efx_save *out = &c.save[c.n++].base;
        efx_log_mark(l, &(struct efx_mark){1, base});
        assert_int_equal(efx_log_slice(l, 0, &refs, out), EFX_AGAIN);
        then = m;
        kill(l, &m, &rng, fifo);
        uint32_t some = 1 + (uint32_t)(efx_test_rand(&rng) % 300);
        while (efx_log_slice(l, some, &refs, out) != EFX_DONE) {
            kill(l, &m, &rng, fifo);
            if (efx_test_rand(&rng) % 4 == 0) {
                add(l, &m, &rng);
            }
        }
        struct efx_log *loaded = load_chain(&c, &conf, whole);
        assert_restored(loaded, &then, all, whole);
        efx_log_destroy(&loaded);
        loaded = load_chain(&c, &conf, part);
        assert_restored(loaded, &then, all, part);
        efx_log_destroy(&loaded);
        if (restarts && n % 5 == 4) {
            efx_log_destroy(&l);
            l = load_chain(&c, &conf, whole);
            uint32_t k = 0; /* rows are numbered anew */
            for (uint32_t i = 0; i < then.n; i++) {
                if (then.row[i].live) {
                    m.row[k++] = then.row[i];
                }
            }
            m.n = k;
        }
    }
    chain_clear(&c);
    efx_log_destroy(&l);
}

static void log__saves_what_lived_at_the_mark(void **state)
{
    (void)state;
    save_run(true, true, false, 11);
    save_run(true, false, false, 12);
    save_run(false, true, false, 13);
    save_run(false, false, false, 14);
}

static void log__goes_on_with_deltas_after_a_restart(void **state)
{
    (void)state;
    save_run(false, true, true, 15);
    save_run(false, false, true, 16);
}

static void log__puts_rows_of_two_shards_in_order(void **state)
{
    (void)state;
    static uint64_t seed[2][40];
    struct efx_log_conf conf = conf_make(false);
    struct efx_log *l[2], *both;
    struct test_save save = test_save_make();
    for (uint32_t k = 0; k < 2; k++) {
        conf.key_group = 10 + k;
        assert_int_equal(efx_log_create(&efx_mem_libc, &conf, &l[k]), EFX_OK);
        for (uint32_t i = 0; i < 40; i++) {
            seed[k][i] = 100 + 2 * i + k;
        }
        struct efx_log_rows rows = make_rows(seed[k], 40, false);
        assert_int_equal(efx_log_add(l[k], &rows), EFX_OK);
        efx_log_kill(l[k], 0);
        efx_log_mark(l[k], &(struct efx_mark){1, true});
        assert_int_equal(efx_log_slice(l[k], 1000, NULL, &save.base), EFX_DONE);
        efx_log_destroy(&l[k]);
    }
    assert_int_equal(efx_log_create(&efx_mem_libc, &conf, &both), EFX_OK);
    struct efx_reader r = test_save_chunk(&save), section;
    uint32_t g;
    while (efx_load_next(&r, (struct efx_kg_range){0, 1023}, &g, &section)) {
        assert_int_equal(efx_log_load(both, g, &section, NULL), EFX_OK);
    }
    assert_int_equal(efx_log_settle(both), EFX_OK);
    assert_int_equal(efx_log_end(both), 78);
    for (uint32_t i = 0; i < 78; i++) {
        assert_int_equal(efx_log_turn(both, i), 102 + i);
    }
    efx_log_destroy(&both);
    test_save_free(&save);
}

static void log__keeps_the_rows_before_memory_ended(void **state)
{
    (void)state;
    static struct model m;
    struct efx_log_conf conf = conf_make(true);
    for (uint32_t fail_at = 0; fail_at < 40; fail_at++) {
        struct test_mem mem = test_mem_make(fail_at);
        struct efx_log *l;
        static uint64_t seed[BATCH_MAX];
        uint64_t next = 1;
        m.n = 0;
        if (efx_log_create(&mem.base, &conf, &l) != EFX_OK) {
            assert_int_equal(mem.held_bytes, 0);
            continue;
        }
        for (uint32_t b = 0; b < 8; b++) {
            for (uint32_t i = 0; i < BATCH_MAX; i++) {
                seed[i] = next++;
            }
            struct efx_log_rows rows = make_rows(seed, BATCH_MAX, b % 2 == 0);
            enum efx_rc rc = efx_log_add(l, &rows);
            uint64_t added = efx_log_end(l) - m.n;
            assert_true(rc == EFX_OK ? added == BATCH_MAX : rc == EFX_ENOMEM && added < BATCH_MAX);
            for (uint32_t i = 0; i < added; i++) {
                m.row[m.n++] = (struct row){seed[i], true};
            }
            next = seed[0] + added;
        }
        assert_same(l, &m);
        mem.fail_at = UINT32_MAX;
        uint64_t rng = fail_at;
        add(l, &m, &rng);
        kill(l, &m, &rng, false);
        assert_same(l, &m);
        assert_int_equal(efx_log_bytes(l), mem.held_bytes);
        efx_log_destroy(&l);
        assert_int_equal(mem.held_bytes, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log__agrees_with_a_plain_array),
        cmocka_unit_test(log__saves_what_lived_at_the_mark),
        cmocka_unit_test(log__goes_on_with_deltas_after_a_restart),
        cmocka_unit_test(log__puts_rows_of_two_shards_in_order),
        cmocka_unit_test(log__keeps_the_rows_before_memory_ended),
    };
    efx_ctx_init(&ctx, &efx_mem_libc);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    efx_ctx_fini(&ctx);
    return failed;
}
