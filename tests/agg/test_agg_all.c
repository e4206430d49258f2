/* Every aggregate in every shape and type against a slow recomputation: rows enter, leave (the
 * oldest first, or any), are skipped, are NULL; entries start anew; states are saved, loaded and
 * merged.
 *
 * Values are a small domain of each type, told by a number d; d = 0 is NULL. Doubles are multiples
 * of 0.25, so that sums are exact, and NaN, infinities, -0.
 */
#include "agg/agg_test.h"
#include "efx_test.h"
#include "efx_value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DOMAIN = 24, OPS_MAX = 300, CONTENT_MAX = 6000 };

static struct efx_ctx ctx;
static struct efx_heap *heap;
static char texts[DOMAIN][40];

static double double_of(uint32_t d)
{
    switch (d) {
    case 1: return 0.0;
    case 2: return -0.0;
    case 3: return INFINITY;
    case 4: return -INFINITY;
    case 5: return NAN;
    default: return (double)d * 0.5 - 5.75;
    }
}

static void put(enum efx_type type, void *data, uint32_t i, uint32_t d)
{
    switch (type) {
    case EFX_TYPE_INT: ((int32_t *)data)[i] = d == 3 ? INT32_MAX : (int32_t)d - 12; break;
    case EFX_TYPE_LONG:
        ((int64_t *)data)[i] = d == 3 ? INT64_MAX : d == 4 ? INT64_MIN : (int64_t)d - 12;
        break;
    case EFX_TYPE_FLOAT: ((float *)data)[i] = (float)double_of(d); break;
    case EFX_TYPE_DOUBLE: ((double *)data)[i] = double_of(d); break;
    case EFX_TYPE_BOOL: ((uint8_t *)data)[i] = d % 2; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT:
        ((struct efx_cell *)data)[i] = efx_cell_make(texts[d], (uint32_t)strlen(texts[d]));
        break;
    case EFX_TYPE_NONE: break;
    }
}

/* ---- the model: rows of an entry in order of arrival */

struct content {
    uint8_t d[CONTENT_MAX];
    bool skip[CONTENT_MAX];
    uint32_t n;
    uint8_t ever[CONTENT_MAX]; /* all that were seen, for minForever */
    uint32_t n_ever;
};
static struct content contents[STATES];

static struct efx_value value_of(enum efx_type type, uint32_t d)
{
    static union {
        double align;
        uint8_t bytes[16];
    } slot;
    put(type, slot.bytes, 0, d);
    struct efx_col col = {.type = type, .data = slot.bytes};
    struct efx_value v = efx_value_of_col(&col, 0);
    v.s = efx_type_is_cell(type) ? efx_str_of(texts[d]) : v.s;
    return v;
}

static double real_of(const struct efx_value *v)
{
    double real = v->type == EFX_TYPE_FLOAT ? (double)v->f : v->d;
    double whole = v->type == EFX_TYPE_INT ? v->i : (double)v->l;
    return v->type == EFX_TYPE_INT || v->type == EFX_TYPE_LONG ? whole : real;
}

struct expected {
    bool null, fails;
    double real;          /* DOUBLE results */
    int64_t whole;        /* LONG results */
    struct efx_value val; /* results of the argument's type */
};

static bool distinct_before(enum efx_type type, const uint8_t *d, uint32_t i)
{
    struct efx_value v = value_of(type, d[i]);
    for (uint32_t k = 0; k < i; k++) {
        struct efx_value w = value_of(type, d[k]);
        if (efx_value_compare(&v, &w) == 0) {
            return true;
        }
    }
    return false;
}

static void expect_sum(const struct efx_agg_vt *vt, const uint8_t *d, uint32_t n, bool mean,
                       struct expected *e)
{
    __int128 whole = 0;
    double real = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct efx_value v = value_of(vt->in, d[i]);
        whole += v.type == EFX_TYPE_INT ? v.i : v.type == EFX_TYPE_LONG ? v.l : 0;
        real += real_of(&v);
    }
    bool is_whole = vt->in == EFX_TYPE_INT || vt->in == EFX_TYPE_LONG;
    e->null = n == 0;
    e->whole = (int64_t)whole;
    e->fails = is_whole && !mean && whole != (int64_t)whole;
    e->real = (is_whole ? (double)whole : real) / (mean ? (double)n : 1);
}

static struct expected expect(const struct efx_agg_vt *vt, const struct content *c)
{
    static uint8_t d[CONTENT_MAX], once[CONTENT_MAX];
    struct expected e = {.null = true};
    const char *name = vt->base.name;
    bool ever = strstr(name, "Forever") != NULL;
    bool wants_once = strstr(name, "istinct") != NULL;
    uint32_t n = 0, n_once = 0, n_true = 0;
    for (uint32_t i = 0; i < (ever ? c->n_ever : c->n); i++) {
        if (ever || (!c->skip[i] && (vt->in == EFX_TYPE_NONE || c->d[i] != 0))) {
            d[n++] = ever ? c->ever[i] : c->d[i];
        }
    }
    for (uint32_t i = 0; i < n && vt->in != EFX_TYPE_NONE; i++) {
        n_true += d[i] % 2;
        if (wants_once && !distinct_before(vt->in, d, i)) {
            once[n_once++] = d[i];
        }
    }
    if (strcmp(name, "count") == 0) {
        e = (struct expected){.whole = n};
    } else if (strstr(name, "istinctCount") != NULL || strcmp(name, "count distinct") == 0) {
        e = (struct expected){.whole = n_once};
    } else if (strncmp(name, "sum", 3) == 0 || strncmp(name, "avg", 3) == 0) {
        bool distinct = strstr(name, "distinct") != NULL;
        expect_sum(vt, distinct ? once : d, distinct ? n_once : n, name[0] == 'a', &e);
    } else if (strcmp(name, "and") == 0 || strcmp(name, "or") == 0) {
        e = (struct expected){.val = {.type = EFX_TYPE_BOOL}};
        e.val.b = n_true > 0 && (name[0] == 'o' || n_true == n);
    } else if (n > 0) {
        uint32_t best = name[0] == 'l' ? n - 1 : 0;
        for (uint32_t i = 1; i < n && name[0] == 'm'; i++) {
            struct efx_value a = value_of(vt->in, d[i]);
            struct efx_value b = value_of(vt->in, d[best]);
            int order = efx_value_compare(&a, &b);
            best = (name[1] == 'i' ? order < 0 : order > 0) ? i : best;
        }
        e = (struct expected){.val = value_of(vt->in, d[best])};
    }
    return e;
}

static bool same_real(double a, double b)
{
    return (isnan(a) && isnan(b)) || a == b;
}

static void assert_result(const struct efx_agg_vt *vt, const struct expected *e, const void *data,
                          uint32_t i, bool valid, bool failed)
{
    struct efx_col col = {.type = vt->out, .data = data};
    assert_int_equal(failed, e->fails);
    assert_int_equal(valid, !e->null && !e->fails);
    if (!valid) {
        return;
    }
    struct efx_value v = efx_value_of_col(&col, i);
    const char *name = vt->base.name;
    bool own = name[0] == 'm' || name[0] == 'f' || name[0] == 'l' || vt->out == EFX_TYPE_BOOL;
    if (own) {
        assert_int_equal(efx_value_compare(&v, &e->val), 0);
    } else if (vt->out == EFX_TYPE_LONG) {
        assert_int_equal(v.l, e->whole);
    } else {
        assert_true(same_real(v.d, e->real));
    }
}

/* ---- ops */

struct ops {
    uint32_t n;
    uint32_t id[OPS_MAX], row[OPS_MAX];
    uint64_t leaves[OPS_MAX / 64 + 1], skip[OPS_MAX / 64 + 1], fresh[OPS_MAX / 64 + 1];
    _Alignas(64) uint8_t arg[OPS_MAX * 16];
    _Alignas(64) uint8_t left[OPS_MAX * 16];
    uint64_t arg_valid[OPS_MAX / 64 + 1], left_valid[OPS_MAX / 64 + 1];
};
static struct ops ops;
static struct expected want[OPS_MAX];

enum order { ORDER_NONE, ORDER_FIFO, ORDER_ANY };

static void take_out(struct content *c, uint32_t at)
{
    memmove(c->d + at, c->d + at + 1, c->n - at - 1);
    memmove(c->skip + at, c->skip + at + 1, c->n - at - 1);
    c->n--;
}

/* Any row, but of equal ones the oldest: ops tell values only. */
static uint32_t some_row(const struct efx_agg_vt *vt, const struct content *c, uint64_t *rng)
{
    uint32_t at = (uint32_t)(efx_test_rand(rng) % c->n);
    for (uint32_t i = 0; i < at && vt->in != EFX_TYPE_NONE; i++) {
        bool same = c->d[i] == c->d[at];
        if (vt->in == EFX_TYPE_BOOL) {
            same = (c->d[i] == 0) == (c->d[at] == 0) && c->d[i] % 2 == c->d[at] % 2;
        }
        if (same && c->skip[i] == c->skip[at]) {
            return i;
        }
    }
    return at;
}

/* One op; shuffled rows, plain: nothing special. */
static void make_op(const struct efx_agg_vt *vt, uint32_t i, uint32_t id, enum order order,
                    bool plain, uint64_t *rng)
{
    struct content *c = &contents[id];
    bool fresh = !plain && efx_test_rand(rng) % 40 == 0;
    ops.id[i] = id;
    ops.row[i] = OPS_MAX - 1 - i;
    efx_bit_put(ops.fresh, i, fresh);
    c->n = fresh ? 0 : c->n;
    bool leaves = order != ORDER_NONE && c->n > 0 && efx_test_rand(rng) % 9 < (c->n > 40 ? 6 : 4);
    uint32_t d, row = ops.row[i];
    bool skip;
    uint32_t at = leaves && order == ORDER_ANY ? some_row(vt, c, rng) : 0;
    leaves = leaves && !(plain && (c->skip[at] || c->d[at] == 0));
    if (leaves) {
        d = c->d[at];
        skip = c->skip[at];
        take_out(c, at);
        put(vt->in, ops.left, row, d);
        efx_bit_put(ops.left_valid, row, d != 0);
    } else {
        d = (uint32_t)(efx_test_rand(rng) % DOMAIN);
        d = plain && d == 0 ? 7 : d;
        skip = !plain && efx_test_rand(rng) % 10 == 0;
        if (c->n < CONTENT_MAX) {
            c->d[c->n] = (uint8_t)d;
            c->skip[c->n++] = skip;
        }
        if (!skip && d != 0 && c->n_ever < CONTENT_MAX) {
            c->ever[c->n_ever++] = (uint8_t)d;
        }
        put(vt->in, ops.arg, row, d);
        efx_bit_put(ops.arg_valid, row, d != 0);
    }
    efx_bit_put(ops.leaves, i, leaves);
    efx_bit_put(ops.skip, i, skip);
    want[i] = expect(vt, c);
}

static void run_ops(const struct efx_agg_vt *vt, struct states *s, enum order order, bool plain,
                    uint64_t *rng)
{
    _Alignas(64) static uint8_t data[OPS_MAX * 16];
    uint64_t valid[OPS_MAX / 64 + 1], failed[OPS_MAX / 64 + 1] = {0};
    uint16_t code[OPS_MAX];
    uint32_t one = (uint32_t)(efx_test_rand(rng) % 3);
    bool same_id = efx_test_rand(rng) % 2 == 0;
    ops.n = (uint32_t)(efx_test_rand(rng) % 150);
    memset(ops.leaves, 0, sizeof ops.leaves);
    for (uint32_t i = 0; i < ops.n; i++) {
        make_op(vt, i, same_id ? one : (uint32_t)(efx_test_rand(rng) % 3), order, plain, rng);
    }
    struct efx_col arg = {vt->in, ops.arg, plain ? NULL : ops.arg_valid};
    struct efx_col left = {vt->in, ops.left, plain ? NULL : ops.left_valid};
    bool none = vt->in == EFX_TYPE_NONE;
    struct efx_agg_in in = {.n = ops.n,
                            .id = ops.id,
                            .row = ops.row,
                            .arg = none ? NULL : &arg,
                            .left = none ? NULL : &left,
                            .leaves = order == ORDER_NONE ? NULL : ops.leaves,
                            .skip = plain ? NULL : ops.skip,
                            .fresh = plain ? NULL : ops.fresh};
    struct efx_agg_out out = {.data = data, .valid = valid, .fails = {failed, code, false}};
    bool wanted = efx_test_rand(rng) % 4 != 0;
    assert_int_equal(vt->run(&s->at, &in, wanted ? &out : NULL), EFX_OK);
    for (uint32_t i = 0; i < ops.n && wanted; i++) {
        bool fails = efx_bit(failed, i);
        assert_result(vt, &want[i], data, i, efx_bit(valid, i), fails);
        assert_true(!fails || code[i] == 3104);
    }
}

static void check_emit(const struct efx_agg_vt *vt, struct states *s)
{
    _Alignas(64) uint8_t data[STATES * 16];
    uint64_t valid = 0, failed = 0;
    uint16_t code[STATES];
    const uint32_t id[] = {2, 0, 1};
    struct efx_agg_out out = {.data = data, .valid = &valid, .fails = {&failed, code, false}};
    assert_int_equal(vt->emit(&s->at, id, 3, &out), EFX_OK);
    for (uint32_t i = 0; i < 3; i++) {
        struct expected e = expect(vt, &contents[id[i]]);
        assert_result(vt, &e, data, i, efx_bit(&valid, i), efx_bit(&failed, i));
    }
}

/* Out and into a state that init has made. */
static void save_and_load(const struct efx_agg_vt *vt, struct states *s, uint32_t id)
{
    void *state = efx_state_at(&s->at, id);
    if (vt->fini == NULL) {
        return;
    }
    uint32_t n = vt->save_bytes(&s->at, state);
    uint8_t *bytes = malloc(n);
    struct efx_writer w = {.p = bytes, .max = n};
    vt->save(&s->at, state, &w);
    assert_true(!w.full && w.n == n);
    vt->fini(&s->at, state);
    vt->init(state);
    struct efx_reader r = {.p = bytes, .left = n};
    assert_int_equal(vt->load(&s->at, state, &r), EFX_OK);
    assert_true(!r.bad && r.left == 0);
    if (n > 4) { /* cut short: refused, or at least no harm */
        struct states other;
        states_init(&other, vt, heap, &ctx);
        r = (struct efx_reader){.p = bytes, .left = n - 1};
        (void)vt->load(&other.at, efx_state_at(&other.at, 0), &r);
        states_fini(&other, vt);
    }
    free(bytes);
}

/* Entry 1 takes over the rows of entry 0, which are older, in front: 0 = 0 then 1. */
static void merge_some(const struct efx_agg_vt *vt, struct states *s)
{
    struct content *a = &contents[0], *b = &contents[1];
    if (a->n + b->n > CONTENT_MAX / 2 || a->n_ever + b->n_ever > CONTENT_MAX / 2) {
        return;
    }
    assert_int_equal(vt->merge(&s->at, efx_state_at(&s->at, 0), efx_state_at(&s->at, 1)), EFX_OK);
    memcpy(a->d + a->n, b->d, b->n);
    memcpy(a->skip + a->n, b->skip, b->n);
    memcpy(a->ever + a->n_ever, b->ever, b->n_ever);
    a->n += b->n;
    a->n_ever += b->n_ever;
}

static void check(const struct efx_agg_vt *vt, enum order order, uint64_t seed)
{
    struct states s;
    uint64_t rng = seed;
    memset(contents, 0, sizeof contents);
    states_init(&s, vt, heap, &ctx);
    for (uint32_t k = 0; k < 25; k++) {
        run_ops(vt, &s, order, k % 5 == 4, &rng);
        efx_arena_reset(&ctx.step);
        if (k % 4 == 0) {
            check_emit(vt, &s);
            save_and_load(vt, &s, k / 4 % 3);
        }
        if (k % 7 == 6) {
            merge_some(vt, &s);
            check_emit(vt, &s);
        }
    }
    states_fini(&s, vt);
}

static void say(const struct efx_agg_vt *vt, const char *shape)
{
    if (getenv("EFX_TEST_TELL") != NULL) {
        printf("%s(%s) %s\n", vt->base.name, efx_type_name(vt->in), shape);
    }
}

static void agg__agrees_with_the_content(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < efx_n_aggs; i++) {
        const struct efx_agg_vt *vt = efx_aggs[i];
        bool ever = strstr(vt->base.name, "Forever") != NULL;
        assert_true(vt->state_bytes % 8 == 0 && vt->state_bytes <= STATE_MAX);
        say(vt, "default");
        check(vt, ORDER_FIFO, i + 1);
        check(vt, ORDER_NONE, i + 1000);
        if (vt->base.traits.removal == EFX_REMOVAL_INVERTIBLE || ever) {
            check(vt, ORDER_ANY, i + 2000);
        }
        if (vt->any_order != NULL) {
            say(vt, "any order");
            check(vt->any_order, ORDER_ANY, i + 3000);
            check(vt->any_order, ORDER_FIFO, i + 4000);
        }
        if (vt->running != NULL) {
            say(vt, "running");
            check(vt->running, ORDER_NONE, i + 5000);
        }
    }
}

static void agg__is_named_once_a_type(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < efx_n_aggs; i++) {
        assert_ptr_equal(agg_find(efx_aggs[i]->base.name, efx_aggs[i]->in), efx_aggs[i]);
        assert_true(efx_aggs[i]->base.abi == EFX_ABI && efx_aggs[i]->base.help != NULL);
        assert_true((efx_aggs[i]->fini == NULL) == (efx_aggs[i]->load == NULL));
    }
    assert_null(agg_find("sum", EFX_TYPE_STRING));
    assert_non_null(agg_find("sum distinct", EFX_TYPE_LONG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agg__agrees_with_the_content),
        cmocka_unit_test(agg__is_named_once_a_type),
    };
    efx_ctx_init(&ctx, &efx_mem_libc);
    for (uint32_t d = 0; d < DOMAIN; d++) {
        static const char *const forms[] = {"%u", "twelve%06u", "a text that is longer %u"};
        sprintf(texts[d], forms[d % 3], d);
    }
    if (efx_heap_create(&efx_mem_libc, &heap) != EFX_OK) {
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    efx_heap_destroy(&heap);
    efx_ctx_fini(&ctx);
    return failed;
}
