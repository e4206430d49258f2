/* The keyed table against a plain array, over all shapes of keys; its saves against copies made at
 * the mark, loaded into a fresh table as base and chain of deltas, with rows that refer to entries.
 */
#include "efx_keyed.h"
#include "efx_test.h"
#include "keyed/save_test.h"

#include <math.h>
#include <stdio.h>

enum { N_KEYS = 2500, BATCH_MAX = 600, STEPS = 300 };

/* ---- a state with a part in the heap: a counter in a piece of its own */

struct trail {
    uint32_t ref, n;
};

static void trail_init(void *state)
{
    *(struct trail *)state = (struct trail){0};
}

static void trail_fini(const struct efx_states *at, void *state)
{
    struct trail *s = state;
    if (s->n > 0) {
        efx_heap_put(at->heap, s->ref, s->n);
    }
    trail_init(s);
}

static uint32_t trail_save_bytes(const struct efx_states *at, const void *state)
{
    (void)at;
    return ((const struct trail *)state)->n;
}

static void trail_save(const struct efx_states *at, const void *state, struct efx_writer *w)
{
    const struct trail *s = state;
    if (s->n > 0) {
        efx_put_raw(w, efx_heap_at(at->heap, s->ref), s->n);
    }
}

static enum efx_rc trail_set(struct efx_heap *h, struct trail *s, const void *p, uint32_t n)
{
    uint32_t ref;
    EFX_RET(efx_heap_get(h, n, &ref));
    memcpy(efx_heap_at(h, ref), p, n);
    *s = (struct trail){ref, n};
    return EFX_OK;
}

static enum efx_rc trail_load(const struct efx_states *at, void *state, struct efx_reader *r)
{
    struct efx_bytes b = efx_get_view(r, r->left);
    return b.n == 0 ? EFX_OK : trail_set(at->heap, state, b.p, (uint32_t)b.n);
}

static const struct efx_agg_vt trail_vt = {.state_bytes = sizeof(struct trail),
                                           .init = trail_init,
                                           .fini = trail_fini,
                                           .save_bytes = trail_save_bytes,
                                           .save = trail_save,
                                           .load = trail_load};

/* ---- shapes of keys */

struct shape {
    const char *name;
    uint32_t n_cells;
    enum efx_type types[4];
    bool nullable, fixed;
};

static const struct shape shapes[] = {
    {"long", 1, {EFX_TYPE_LONG}, false, false},
    {"long in one group", 1, {EFX_TYPE_LONG}, false, true},
    {"double, nullable", 1, {EFX_TYPE_DOUBLE}, true, false},
    {"int", 1, {EFX_TYPE_INT}, false, false},
    {"string", 1, {EFX_TYPE_STRING}, false, false},
    {"string, nullable", 1, {EFX_TYPE_STRING}, true, false},
    {"long, string, bool, float",
     4,
     {EFX_TYPE_LONG, EFX_TYPE_STRING, EFX_TYPE_BOOL, EFX_TYPE_FLOAT},
     true,
     false},
    {"int, long", 2, {EFX_TYPE_INT, EFX_TYPE_LONG}, false, false},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static const struct efx_keyed_state states[] = {{NULL, 8}, {&trail_vt, 0}, {NULL, 4}};

static struct efx_keyed_conf conf_of(const struct shape *s)
{
    return (struct efx_keyed_conf){.n_cells = s->n_cells,
                                   .types = s->types,
                                   .nullable = s->nullable,
                                   .n_states = 3,
                                   .states = states,
                                   .ordinals = true,
                                   .key_group = 77,
                                   .fixed_group = s->fixed};
}

/* Columns of keys which[0 .. n-1]. Different keys differ in some cell. */
struct columns {
    struct efx_col col[4];
    _Alignas(64) uint8_t data[4][BATCH_MAX * 16];
    uint64_t valid[4][BATCH_MAX / 64 + 1];
    char text[BATCH_MAX][40];
};

static void make_cell(struct columns *c, const struct shape *s, uint32_t k, uint32_t i,
                      uint32_t key)
{
    bool is_null =
        s->nullable && key % 97 == (s->n_cells == 1 ? 5 : k) && (s->n_cells > 1 || key == 5);
    uint32_t part = s->n_cells < 3 || k == 0 ? key : k == 1 ? key % 50 : key % 2;
    part = s->n_cells == 2 && k == 0 ? key / 3 : part;
    efx_bit_put(c->valid[k], i, !is_null);
    uint8_t *at = c->data[k] + i * efx_type_width(s->types[k]);
    switch (s->types[k]) {
    case EFX_TYPE_INT: *(int32_t *)(void *)at = (int32_t)part - 1000; break;
    case EFX_TYPE_LONG: *(int64_t *)(void *)at = (int64_t)part * 1000003 - 500000; break;
    case EFX_TYPE_FLOAT:
        *(float *)(void *)at = part == 0 ? (i % 2 ? -0.0f : 0.0f) : (float)part;
        break;
    case EFX_TYPE_DOUBLE:
        *(double *)(void *)at = part == 0   ? (i % 2 ? -0.0 : 0.0)
                                : part == 1 ? (i % 2 ? NAN : -NAN)
                                            : part * 0.37;
        break;
    case EFX_TYPE_BOOL: *at = (uint8_t)part; break;
    case EFX_TYPE_STRING: {
        static const char *const forms[] = {"%u", "k%011u", "a longer key %020u"};
        int n = sprintf(c->text[i], forms[part % 3], part);
        ((struct efx_cell *)(void *)c->data[k])[i] = efx_cell_make(c->text[i], (uint32_t)n);
        break;
    }
    case EFX_TYPE_NONE:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT: fail(); break;
    }
    if (is_null) {
        memset(at, 0xAB, s->types[k] == EFX_TYPE_STRING ? 0 : efx_type_width(s->types[k]));
    }
}

static void make_columns(struct columns *c, const struct shape *s, const uint32_t *which,
                         uint32_t n)
{
    for (uint32_t k = 0; k < s->n_cells; k++) {
        for (uint32_t i = 0; i < n; i++) {
            make_cell(c, s, k, i, which[i]);
        }
        c->col[k] = (struct efx_col){
            .type = s->types[k], .data = c->data[k], .valid = s->nullable ? c->valid[k] : NULL};
    }
}

/* ---- the model */

struct model {
    uint64_t value[N_KEYS]; /* 0 = not there */
    uint32_t id[N_KEYS];
    bool dirty[N_KEYS]; /* since the last mark */
};

static struct columns cols;

static void add(struct efx_keyed *t, uint32_t id, uint64_t v)
{
    uint64_t *sum = efx_keyed_state(t, id, 0);
    struct efx_states at = efx_keyed_states(t, 1);
    struct trail *trail = efx_state_at(&at, id);
    *sum += v;
    trail_fini(&at, trail);
    assert_int_equal(trail_set(at.heap, trail, sum, sizeof *sum), EFX_OK);
}

static void step(struct efx_keyed *t, const struct shape *s, struct model *m, uint64_t *rng,
                 uint32_t spread)
{
    static uint32_t which[BATCH_MAX], id[BATCH_MAX];
    uint32_t n = (uint32_t)(efx_test_rand(rng) % BATCH_MAX), n_new, fresh = 0;
    uint32_t before = efx_keyed_n(t);
    for (uint32_t i = 0; i < n; i++) {
        which[i] = (uint32_t)(efx_test_rand(rng) % spread);
    }
    make_columns(&cols, s, which, n);
    assert_int_equal(efx_keyed_ids(t, cols.col, NULL, n, id, &n_new), EFX_OK);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t k = which[i];
        fresh += m->value[k] == 0;
        assert_true(m->value[k] == 0 || m->id[k] == id[i]);
        m->value[k] += i + 1;
        m->id[k] = id[i];
        m->dirty[k] = true;
        add(t, id[i], i + 1);
    }
    assert_int_equal(n_new, fresh);
    assert_int_equal(efx_keyed_n(t), before + fresh);
    for (uint32_t i = (uint32_t)(efx_test_rand(rng) % 80); i > 0; i--) {
        uint32_t k = (uint32_t)(efx_test_rand(rng) % spread);
        if (m->value[k] != 0) {
            efx_keyed_del(t, m->id[k]);
            m->value[k] = 0;
        }
    }
}

static uint64_t value_at(const struct efx_keyed *t, uint32_t id)
{
    const uint64_t *sum = efx_keyed_state(t, id, 0);
    const struct trail *trail = efx_keyed_state(t, id, 1);
    assert_int_equal(trail->n, 8);
    assert_memory_equal(efx_heap_at(efx_keyed_heap(t), trail->ref), sum, 8);
    return *sum;
}

static void assert_same(const struct efx_keyed *t, const struct shape *s, const struct model *m,
                        uint32_t spread)
{
    uint32_t n = 0, id, live = 0;
    for (uint32_t k = 0; k < spread; k++) {
        make_columns(&cols, s, &k, 1);
        efx_keyed_find(t, cols.col, NULL, 1, &id);
        assert_int_equal(id == EFX_KEYED_DEAD, m->value[k] == 0);
        if (id != EFX_KEYED_DEAD) {
            assert_int_equal(value_at(t, id), m->value[k]);
            n++;
        }
    }
    for (uint32_t i = 0; i < efx_keyed_n_ids(t); i++) {
        live += efx_keyed_is_live(t, i);
    }
    assert_int_equal(efx_keyed_n(t), n);
    assert_int_equal(live, n);
}

static uint32_t spread_of(const struct shape *s)
{
    return s->n_cells == 4 ? 100 : N_KEYS; /* keys of the composite shape are few: see make_cell */
}

static void keyed__agrees_with_a_plain_map(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < N_SHAPES; k++) {
        static struct model m;
        struct efx_keyed_conf conf = conf_of(&shapes[k]);
        struct test_mem mem = test_mem_make(UINT32_MAX);
        struct efx_keyed *t;
        uint64_t rng = k + 1;
        memset(&m, 0, sizeof m);
        assert_int_equal(efx_keyed_create(&mem.base, NULL, &conf, &t), EFX_OK);
        for (uint32_t s = 0; s < 60; s++) {
            step(t, &shapes[k], &m, &rng, spread_of(&shapes[k]));
        }
        assert_same(t, &shapes[k], &m, spread_of(&shapes[k]));
        assert_true(efx_keyed_n_ids(t) <= N_KEYS); /* nothing is saved: dead ids are free at once */
        assert_int_equal(efx_keyed_bytes(t), mem.held_bytes);
        efx_keyed_destroy(&t);
        assert_int_equal(mem.held_bytes, 0);
    }
}

/* ---- saves */

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

static struct efx_keyed *load_chain(struct chain *c, const struct efx_keyed_conf *conf,
                                    struct efx_keyed_ids_out *last)
{
    struct efx_keyed *t;
    static const struct efx_kg_range all = {0, EFX_KEY_GROUPS - 1};
    assert_int_equal(efx_keyed_create(&efx_mem_libc, NULL, conf, &t), EFX_OK);
    for (uint32_t i = 0; i < c->n; i++) {
        struct efx_reader r = test_save_chunk(&c->save[i]), section;
        uint32_t g = 0;
        while (efx_load_next(&r, all, &g, &section)) {
            bool is_last = i + 1 == c->n;
            assert_int_equal(efx_keyed_load(t, g, &section, is_last ? &last[g] : NULL), EFX_OK);
            assert_int_equal(section.left, 0);
        }
        assert_false(r.bad);
    }
    return t;
}

/* Rows that refer to saved entries find them again. */
static void assert_ordinals(const struct efx_keyed *t, const struct efx_keyed *loaded,
                            const struct model *m, const struct efx_keyed_ids_out *ids, bool base)
{
    for (uint32_t k = 0; k < N_KEYS; k++) {
        if (m->value[k] == 0 || (!base && !m->dirty[k])) {
            continue;
        }
        uint32_t ordinal = efx_keyed_ordinal(t, m->id[k]);
        const struct efx_keyed_ids_out *section = &ids[efx_keyed_group(t, m->id[k])];
        assert_true(ordinal < section->n);
        assert_int_equal(value_at(loaded, section->id[ordinal]), m->value[k]);
    }
}

static void check_chain(struct chain *c, const struct efx_keyed *t, const struct shape *s,
                        const struct model *then, bool base)
{
    static struct efx_keyed_ids_out ids[EFX_KEY_GROUPS];
    struct efx_keyed_conf conf = conf_of(s);
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        ids[g] = (struct efx_keyed_ids_out){.mem = &efx_mem_libc};
    }
    struct efx_keyed *loaded = load_chain(c, &conf, ids);
    assert_same(loaded, s, then, spread_of(s));
    assert_ordinals(t, loaded, then, ids, base);
    for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
        efx_mem_libc.free(&efx_mem_libc, ids[g].id, ids[g].n_max * sizeof(uint32_t));
    }
    efx_keyed_destroy(&loaded);
}

static void mark(struct efx_keyed *t, struct chain *c, struct model *m, struct model *then,
                 bool base)
{
    if (base) {
        chain_clear(c);
    }
    c->save[c->n] = test_save_make();
    efx_keyed_mark(t, &(struct efx_mark){.checkpoint = 1, .base = base});
    assert_int_equal(efx_keyed_slice(t, 0, &c->save[c->n++].base), EFX_AGAIN);
    *then = *m;
    memset(m->dirty, 0, sizeof m->dirty);
}

/* Steps between the slices; some saves are restored and gone on with. */
static void save_run(const struct shape *s, uint64_t seed, bool restarts)
{
    static struct model m, then;
    static struct chain c;
    struct efx_keyed_conf conf = conf_of(s);
    struct efx_keyed *t;
    uint64_t rng = seed;
    memset(&m, 0, sizeof m);
    assert_int_equal(efx_keyed_create(&efx_mem_libc, NULL, &conf, &t), EFX_OK);
    for (uint32_t n = 0; n < 14; n++) {
        uint32_t spread = n % 3 == 2 ? spread_of(s) / 8 : spread_of(s);
        bool base = n == 0 || (c.n > 5 && efx_test_rand(&rng) % 3 == 0);
        for (uint32_t i = (uint32_t)(efx_test_rand(&rng) % 3); i > 0; i--) {
            step(t, s, &m, &rng, spread);
        }
        mark(t, &c, &m, &then, base);
        step(t, s, &m, &rng, spread);
        struct efx_save *out = &c.save[c.n - 1].base;
        while (efx_keyed_slice(t, 1 + (uint32_t)(efx_test_rand(&rng) % 400), out) != EFX_DONE) {
            if (efx_test_rand(&rng) % 2 == 0) {
                step(t, s, &m, &rng, spread);
            }
        }
        check_chain(&c, t, s, &then, base);
        if (restarts && n % 4 == 3) { /* what came after the mark is lost */
            static struct efx_keyed_ids_out none[EFX_KEY_GROUPS];
            efx_keyed_destroy(&t);
            for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
                none[g] = (struct efx_keyed_ids_out){.mem = &efx_mem_libc};
            }
            t = load_chain(&c, &conf, none);
            for (uint32_t g = 0; g < EFX_KEY_GROUPS; g++) {
                efx_mem_libc.free(&efx_mem_libc, none[g].id, none[g].n_max * sizeof(uint32_t));
            }
            m = then;
            for (uint32_t k = 0; k < spread_of(s); k++) {
                make_columns(&cols, s, &k, 1);
                efx_keyed_find(t, cols.col, NULL, 1, &m.id[k]);
                m.dirty[k] = true; /* what came in counts as changed */
            }
        }
    }
    chain_clear(&c);
    efx_keyed_destroy(&t);
}

static void keyed__saves_what_was_there_at_the_mark(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < N_SHAPES; k++) {
        save_run(&shapes[k], 40 + k, false);
    }
}

static void keyed__goes_on_with_deltas_after_a_restart(void **state)
{
    (void)state;
    save_run(&shapes[0], 7, true);
    save_run(&shapes[5], 8, true);
}

/* ---- many keys: the index lies in blocks that halves go back to, and is looked at far ahead */

enum { MANY = 300000, MANY_BATCH = 1000 };

/* Keys from .. from + MANY_BATCH - 1, of which every third is asked for twice. */
static struct efx_col many_keys(int64_t from, int64_t *key)
{
    for (uint32_t i = 0; i < MANY_BATCH; i++) {
        key[i] = (from + i) * 7919;
        key[i] = i % 3 == 2 ? key[i - 1] : key[i];
    }
    return (struct efx_col){.type = EFX_TYPE_LONG, .data = key};
}

static void keyed__keeps_many_keys(void **state)
{
    (void)state;
    static uint32_t id_of[MANY];
    struct shape s = {"many", 1, {EFX_TYPE_LONG}, false, false};
    struct efx_keyed_conf conf = conf_of(&s);
    struct test_mem mem = test_mem_make(UINT32_MAX);
    struct efx_keyed *t;
    int64_t key[MANY_BATCH];
    uint32_t id[MANY_BATCH], found[MANY_BATCH], n_new;
    size_t full = 0;
    assert_int_equal(efx_keyed_create(&mem.base, NULL, &conf, &t), EFX_OK);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t from = 0; from < MANY; from += MANY_BATCH) {
            struct efx_col col = many_keys(from, key);
            efx_keyed_find(t, &col, NULL, MANY_BATCH, found);
            assert_int_equal(found[0], EFX_KEYED_DEAD);
            assert_int_equal(efx_keyed_ids(t, &col, NULL, MANY_BATCH, id, &n_new), EFX_OK);
            assert_int_equal(n_new, MANY_BATCH - MANY_BATCH / 3);
            memcpy(id_of + from, id, sizeof id);
        }
        for (uint32_t from = 0; from < MANY; from += MANY_BATCH) {
            struct efx_col col = many_keys(from, key);
            efx_keyed_find(t, &col, NULL, MANY_BATCH, found);
            assert_memory_equal(found, id_of + from, sizeof found);
        }
        assert_int_equal(efx_keyed_bytes(t), mem.held_bytes);
        full = round == 0 ? mem.held_bytes : full;
        assert_true(mem.held_bytes <= full + full / 8); /* memory of the first round serves again */
        for (uint32_t i = 0; i < MANY; i++) {
            if (i % MANY_BATCH % 3 != 2) {
                efx_keyed_del(t, id_of[i]);
            }
        }
        assert_int_equal(efx_keyed_n(t), 0);
    }
    efx_keyed_destroy(&t);
    assert_int_equal(mem.held_bytes, 0);
}

/* ---- the rest */

static void keyed__of_no_key_has_one_entry(void **state)
{
    (void)state;
    struct shape s = {"none", 0, {EFX_TYPE_NONE}, false, false};
    struct efx_keyed_conf conf = conf_of(&s);
    struct efx_keyed *t, *loaded;
    struct test_save save = test_save_make();
    uint32_t id[3] = {9, 9, 9}, n_new, g = 0;
    assert_int_equal(efx_keyed_create(&efx_mem_libc, NULL, &conf, &t), EFX_OK);
    assert_int_equal(efx_keyed_n(t), 1);
    assert_int_equal(efx_keyed_ids(t, NULL, NULL, 3, id, &n_new), EFX_OK);
    assert_int_equal(id[0] | id[1] | id[2] | n_new, 0);
    add(t, 0, 5);
    efx_keyed_mark(t, &(struct efx_mark){1, false});
    assert_int_equal(efx_keyed_slice(t, 0, &save.base), EFX_AGAIN);
    efx_keyed_touch(t, 0);
    add(t, 0, 6);
    assert_int_equal(efx_keyed_slice(t, 10, &save.base), EFX_DONE);
    assert_int_equal(save.n, 1);
    assert_int_equal(efx_keyed_create(&efx_mem_libc, NULL, &conf, &loaded), EFX_OK);
    struct efx_reader r = test_save_chunk(&save), section;
    assert_true(efx_load_next(&r, (struct efx_kg_range){0, 1023}, &g, &section));
    assert_int_equal(g, 77);
    assert_int_equal(efx_keyed_load(loaded, g, &section, NULL), EFX_OK);
    assert_int_equal(value_at(loaded, 0), 5);
    efx_keyed_reset(loaded, 0);
    assert_int_equal(*(uint64_t *)efx_keyed_state(loaded, 0, 0), 0);
    efx_keyed_destroy(&t);
    efx_keyed_destroy(&loaded);
    test_save_free(&save);
}

static void keyed__gives_keys_back(void **state)
{
    (void)state;
    for (uint32_t k = 0; k < N_SHAPES; k++) {
        const struct shape *s = &shapes[k];
        struct efx_keyed_conf conf = conf_of(s);
        struct efx_keyed *t;
        uint32_t which[64], id[64], n_new;
        assert_int_equal(efx_keyed_create(&efx_mem_libc, NULL, &conf, &t), EFX_OK);
        for (uint32_t i = 0; i < 64; i++) {
            which[i] = i;
        }
        make_columns(&cols, s, which, 64);
        assert_int_equal(efx_keyed_ids(t, cols.col, NULL, 64, id, &n_new), EFX_OK);
        for (uint32_t i = 2; i < 64; i++) { /* 0 and 1 are normalised: -0, NaN */
            for (uint32_t c = 0; c < s->n_cells; c++) {
                struct efx_cell slot = {0};
                bool valid = efx_keyed_key(t, id[i], c, &slot);
                assert_int_equal(valid, efx_bit(cols.col[c].valid, i));
                const uint8_t *v = cols.data[c] + i * efx_type_width(s->types[c]);
                if (valid && s->types[c] == EFX_TYPE_STRING) {
                    assert_true(efx_cell_equal(&slot, (const struct efx_cell *)(const void *)v));
                } else if (valid && s->types[c] != EFX_TYPE_FLOAT) {
                    assert_memory_equal(&slot, v, efx_type_width(s->types[c]));
                }
            }
        }
        efx_keyed_destroy(&t);
    }
}

static void keyed__hashes_alike_whatever_the_table(void **state)
{
    (void)state;
    const int32_t i[] = {-5, 7};
    const int64_t l[] = {-5, 7};
    const float f[] = {-0.0f, 0.5f};
    const double d[] = {0.0, 0.5};
    const uint64_t valid = 3;
    const struct efx_col c[] = {{EFX_TYPE_INT, i, NULL},
                                {EFX_TYPE_LONG, l, &valid},
                                {EFX_TYPE_FLOAT, f, NULL},
                                {EFX_TYPE_DOUBLE, d, &valid}};
    for (uint32_t k = 0; k < 4; k += 2) {
        uint64_t a[2], b[2];
        const uint32_t row[] = {1, 0};
        efx_keyed_hash(&c[k], 1, NULL, 2, a);
        efx_keyed_hash(&c[k + 1], 1, row, 2, b);
        assert_true(a[0] == b[1] && a[1] == b[0] && a[0] != a[1]);
    }
}

static void keyed__is_whole_after_memory_ended(void **state)
{
    (void)state;
    const struct shape *s = &shapes[6];
    static const uint32_t composite = 100;
    struct efx_keyed_conf conf = conf_of(s);
    for (uint32_t fail_at = 0; fail_at < 90; fail_at++) {
        struct test_mem mem = test_mem_make(fail_at);
        struct efx_keyed *t;
        static struct model m;
        uint32_t which[100], id[100], n_new;
        memset(&m, 0, sizeof m);
        if (efx_keyed_create(&mem.base, NULL, &conf, &t) != EFX_OK) {
            assert_int_equal(mem.held_bytes, 0);
            continue;
        }
        for (uint32_t i = 0; i < composite; i++) {
            which[i] = i;
        }
        make_columns(&cols, s, which, composite);
        enum efx_rc rc = efx_keyed_ids(t, cols.col, NULL, composite, id, &n_new);
        assert_true(rc == EFX_OK || rc == EFX_ENOMEM);
        assert_int_equal(efx_keyed_n(t), n_new);
        mem.fail_at = UINT32_MAX;
        assert_int_equal(efx_keyed_ids(t, cols.col, NULL, composite, id, &n_new), EFX_OK);
        for (uint32_t i = 0; i < composite; i++) {
            add(t, id[i], i + 1);
            m.value[i] = i + 1;
        }
        assert_same(t, s, &m, composite);
        assert_int_equal(efx_keyed_bytes(t), mem.held_bytes);
        efx_keyed_destroy(&t);
        assert_int_equal(mem.held_bytes, 0);
    }
}

static void keyed__refuses_what_is_no_save(void **state)
{
    (void)state;
    struct efx_keyed_conf conf = conf_of(&shapes[0]);
    for (uint32_t cut = 0; cut < 60; cut++) {
        struct efx_keyed *t;
        uint8_t bytes[64];
        for (uint32_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)(i == 0 ? 1 : i * 37 + cut);
        }
        struct efx_reader section = {.p = bytes, .left = cut == 0 ? 1 : cut};
        assert_int_equal(efx_keyed_create(&efx_mem_libc, NULL, &conf, &t), EFX_OK);
        assert_int_equal(efx_keyed_load(t, 3, &section, NULL), EFX_EPARSE);
        efx_keyed_destroy(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keyed__agrees_with_a_plain_map),
        cmocka_unit_test(keyed__saves_what_was_there_at_the_mark),
        cmocka_unit_test(keyed__goes_on_with_deltas_after_a_restart),
        cmocka_unit_test(keyed__keeps_many_keys),
        cmocka_unit_test(keyed__of_no_key_has_one_entry),
        cmocka_unit_test(keyed__gives_keys_back),
        cmocka_unit_test(keyed__hashes_alike_whatever_the_table),
        cmocka_unit_test(keyed__is_whole_after_memory_ended),
        cmocka_unit_test(keyed__refuses_what_is_no_save),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
