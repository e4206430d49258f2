/* Random patterns against a matcher that does what language §8 says, word by word: a list of
 * partials that keep all their events, every event offered to each, no hashing, no slots.
 *
 * Each run: a random pattern, 200 events, cut into random steps and slices, the state moved into a
 * fresh operator between some of them; the text of all rows must be the same.
 */
#include "op/pattern_kit.h"

enum { EVENTS = 200, ELEMS_MAX = 4, TAKEN_MAX = 64, PARTIALS_MAX = 4096 };

struct value {
    bool null;
    bool text;
    int64_t l;
    const char *s;
};

struct partial {
    bool live;
    int64_t first_ms;
    uint64_t order;
    uint32_t first_no; /* its first event among its key's */
    uint32_t pos, count;
    uint32_t n[ELEMS_MAX];
    uint16_t took[ELEMS_MAX][EVENTS];
    struct value key;
};

struct naive {
    const struct efx_bpattern *p;
    const struct efx_bpat *e[ELEMS_MAX];
    uint32_t n_elems; /* without optional ones at the end */
    bool every, expired, partitioned;
    int64_t within_ms, within_events, clk_ms;
    uint32_t key_col; /* EFX_NO_COL = none */
    const struct kit_event *events;
    struct partial *all; /* [PARTIALS_MAX] in order of age */
    uint32_t n_all;
    struct value seen[EVENTS]; /* keys, in order of creation */
    uint32_t n_seen;
    uint32_t n_events[EVENTS + 1]; /* by place of key; without key 0 */
    struct kit *out;
};

static struct value column(const struct kit_event *e, uint32_t col)
{
    if (col == KIT_V) {
        return (struct value){.l = e->v};
    }
    if (col == KIT_K) {
        return (struct value){.null = e->k == INT64_MIN, .l = e->k};
    }
    return (struct value){.null = e->s == NULL, .text = true, .s = e->s};
}

static int order(struct value a, struct value b)
{
    return a.text ? strcmp(a.s, b.s) : (a.l > b.l) - (a.l < b.l);
}

static struct value truth(int b) /* -1 = NULL */
{
    return (struct value){.null = b < 0, .l = b};
}

static struct value eval(const struct naive *n, const struct efx_bx *bx, const struct partial *p,
                         const struct kit_event *cand);

static struct value reference(const struct naive *n, const struct efx_bx *bx,
                              const struct partial *p, const struct kit_event *cand)
{
    if (bx->src == EFX_BX_SRC_CANDIDATE) {
        return column(cand, bx->col);
    }
    if (bx->src == EFX_BX_SRC_KEY) {
        return p->key;
    }
    uint32_t held = p == NULL ? 0 : p->n[bx->src], at = bx->index.n;
    if (bx->index.kind == EFX_AST_INDEX_LAST) {
        at = held - 1 - at;
    }
    if (at >= held) {
        return truth(-1);
    }
    return column(&n->events[p->took[bx->src][at]], bx->col);
}

static struct value aggregate(const struct naive *n, const struct efx_bx *bx,
                              const struct partial *p)
{
    struct value sum = {.null = bx->elem_agg->arg != NULL};
    for (uint32_t i = 0; p != NULL && i < p->n[bx->src]; i++) {
        sum.null = false;
        sum.l += bx->elem_agg->arg == NULL ? 1 : n->events[p->took[bx->src][i]].v;
    }
    return sum;
}

static struct value eval(const struct naive *n, const struct efx_bx *bx, const struct partial *p,
                         const struct kit_event *cand)
{
    if (bx->op == EFX_BX_COL) {
        return reference(n, bx, p, cand);
    }
    if (bx->op == EFX_BX_CONST) {
        return (struct value){.l = bx->lit.l};
    }
    if (bx->op == EFX_BX_ELEM_AGG) {
        return aggregate(n, bx, p);
    }
    if (bx->op == EFX_BX_IS_BOUND) {
        return truth(p != NULL && p->n[bx->src] > 0);
    }
    struct value a = eval(n, bx->args[0], p, cand);
    if (bx->op == EFX_BX_IS_NULL) {
        return truth(a.null);
    }
    struct value b = eval(n, bx->args[1], p, cand);
    if (bx->op == EFX_BX_AND) {
        bool no = (!a.null && a.l == 0) || (!b.null && b.l == 0);
        return no ? truth(0) : truth(a.null || b.null ? -1 : 1);
    }
    if (bx->op == EFX_BX_OR) {
        bool yes = (!a.null && a.l != 0) || (!b.null && b.l != 0);
        return yes ? truth(1) : truth(a.null || b.null ? -1 : 0);
    }
    if (a.null || b.null) {
        return truth(-1);
    }
    if (bx->op == EFX_BX_ADD) {
        return (struct value){.l = a.l + b.l};
    }
    int c = order(a, b);
    return truth(bx->op == EFX_BX_EQ   ? c == 0
                 : bx->op == EFX_BX_NE ? c != 0
                 : bx->op == EFX_BX_LT ? c < 0
                 : bx->op == EFX_BX_LE ? c <= 0
                 : bx->op == EFX_BX_GT ? c > 0
                                       : c >= 0);
}

static bool accepts(const struct naive *n, uint32_t q, const struct partial *p,
                    const struct kit_event *cand)
{
    if (n->e[q]->input != cand->input) {
        return false;
    }
    struct value v = n->e[q]->filter == NULL ? truth(1) : eval(n, n->e[q]->filter, p, cand);
    return !v.null && v.l != 0;
}

/* The last element that is open behind p: the first that needs an event, if those before are done.
 */
static uint32_t open_until(const struct naive *n, uint32_t pos, uint32_t count)
{
    uint32_t q = pos;
    while (q + 1 < n->n_elems && (q == pos ? count : 0) >= n->e[q]->min) {
        q++;
    }
    return q;
}

static void print_row(struct naive *n, const struct partial *p, bool expired, int64_t ts)
{
    struct kit *t = n->out;
    char buf[64];
    kit_print(t, t->n_text > 0 ? " " : "");
    kit_print(t, expired ? "-(" : "(");
    for (uint32_t i = 0; i < t->conf.n_outs; i++) {
        struct value v = eval(n, t->outs[i], p, NULL);
        snprintf(buf, sizeof buf, "%lld", (long long)v.l);
        kit_print(t, i == 0 ? "" : ",");
        kit_print(t, v.null ? "NULL" : v.text ? v.s : buf);
    }
    if (n->partitioned) {
        snprintf(buf, sizeof buf, ",%llu,%llu", (unsigned long long)p->order,
                 (unsigned long long)p->order);
        kit_print(t, buf);
    }
    snprintf(buf, sizeof buf, ")@%lld", (long long)ts);
    kit_print(t, buf);
}

static uint32_t key_place(struct naive *n, struct value key)
{
    for (uint32_t i = 0; i < n->n_seen; i++) {
        if (order(n->seen[i], key) == 0) {
            return i;
        }
    }
    n->seen[n->n_seen] = key;
    return n->n_seen++;
}

static void expire(struct naive *n)
{
    for (;;) {
        struct partial *first = NULL;
        for (uint32_t i = 0; i < n->n_all && n->within_ms >= 0; i++) {
            struct partial *p = &n->all[i];
            if (p->live && p->first_ms + n->within_ms < n->clk_ms &&
                (first == NULL || p->first_ms < first->first_ms ||
                 (p->first_ms == first->first_ms && p->order < first->order))) {
                first = p;
            }
        }
        if (first == NULL) {
            return;
        }
        if (n->expired) {
            print_row(n, first, true, first->first_ms + n->within_ms);
        }
        first->live = false;
    }
}

static bool complete(const struct naive *n, const struct partial *p)
{
    return p->pos + 1 == n->n_elems && p->count >= n->e[p->pos]->min;
}

static bool same_key(const struct naive *n, const struct partial *p, struct value key)
{
    return n->key_col == EFX_NO_COL || order(p->key, key) == 0;
}

/* true = nothing more may happen to this event. */
static bool put(struct naive *n, struct partial *p, uint32_t q, uint32_t i, struct value key)
{
    p->count = p->pos == q ? p->count + 1 : 1;
    p->pos = q;
    p->took[q][p->n[q]++] = (uint16_t)i;
    if (!complete(n, p)) {
        return false;
    }
    print_row(n, p, false, n->events[i].ts);
    p->live = false;
    for (uint32_t k = 0; n->p->skip_past_last_row && n->every && k < n->n_all; k++) {
        if (n->all[k].live && same_key(n, &n->all[k], key)) {
            n->all[k].live = false;
        }
    }
    return n->p->skip_past_last_row;
}

static bool offer(struct naive *n, uint32_t i, struct value key, bool *armed)
{
    const struct kit_event *e = &n->events[i];
    for (uint32_t k = 0, n_all = n->n_all; k < n_all; k++) {
        struct partial *p = &n->all[k];
        if (!p->live || !same_key(n, p, key)) {
            continue;
        }
        bool fresh = p->pos == 0 && p->count < n->e[0]->min;
        *armed = *armed || fresh;
        if (n->within_ms >= 0 &&
            (e->ts > p->first_ms + n->within_ms || e->ts < p->first_ms - n->within_ms)) {
            continue;
        }
        for (uint32_t q = open_until(n, p->pos, p->count) + 1; q-- > p->pos;) {
            bool room = q != p->pos || p->count < n->e[q]->max;
            if (room && accepts(n, q, p, e)) {
                if (put(n, p, q, i, key)) {
                    return true;
                }
                break;
            }
        }
    }
    return false;
}

static void take(struct naive *n, uint32_t i)
{
    const struct kit_event *e = &n->events[i];
    n->clk_ms = e->ts > n->clk_ms ? e->ts : n->clk_ms;
    expire(n);
    if (e->clock_only) {
        return;
    }
    struct value key = {.null = false};
    if (n->key_col != EFX_NO_COL) {
        key = column(e, n->key_col);
        if (key.null) {
            return;
        }
    }
    uint32_t place = n->key_col == EFX_NO_COL ? 0 : key_place(n, key);
    uint32_t number = ++n->n_events[place];
    for (uint32_t k = 0; k < n->n_all && n->within_events >= 0; k++) {
        if (same_key(n, &n->all[k], key) && number - n->all[k].first_no >= n->within_events) {
            n->all[k].live = false;
        }
    }
    bool armed = false;
    if (offer(n, i, key, &armed) || armed) {
        return;
    }
    for (uint32_t k = 0; k < n->n_all && !n->every; k++) {
        if (same_key(n, &n->all[k], key)) {
            return; /* the one there ever is */
        }
    }
    for (uint32_t q = open_until(n, 0, 0) + 1; q-- > 0;) {
        if (accepts(n, q, NULL, e)) {
            struct partial *p = &n->all[n->n_all++];
            *p = (struct partial){
                .live = true, .first_ms = e->ts, .first_no = number, .pos = q, .key = key};
            p->order = n->partitioned ? (uint64_t)key.l : n->key_col == EFX_NO_COL ? i : place;
            put(n, p, q, i, key);
            if (p->live && n->within_ms >= 0) {
                expire(n);
            }
            return;
        }
    }
}

/* ---- random patterns ---- */

static uint64_t seed;

static uint32_t below(uint32_t n)
{
    return (uint32_t)(efx_test_rand(&seed) % n);
}

static struct efx_bx *some_ref(const struct kit_elem *elems, uint32_t q, uint32_t col)
{
    uint32_t src = q == 0 ? 0 : below(q);
    if (elems[src].max != 0 && src < q && below(2) == 0) {
        return below(2) == 0 ? kit_at(src, below(3), col) : kit_last(src, below(3), col);
    }
    return kit_ref(src, col);
}

static struct efx_bx *some_condition(const struct kit_elem *elems, uint32_t q)
{
    static const enum efx_bx_op ops[] = {EFX_BX_LT, EFX_BX_LE, EFX_BX_GT, EFX_BX_GE, EFX_BX_NE};
    enum efx_bx_op op = ops[below(5)];
    uint32_t kind = below(q == 0 ? 3 : 10);
    if (kind == 0) {
        return kit_is(op, kit_cand(KIT_V), kit_long(below(10)));
    }
    if (kind <= 2 && elems[q].max != 0) { /* own element */
        struct efx_bx *last = kit_last(q, below(2), KIT_V);
        return kit_is(EFX_BX_OR, kit_is(EFX_BX_IS_NULL, last, NULL),
                      kit_is(op, kit_cand(KIT_V), last));
    }
    if (kind <= 2) {
        return kit_is(EFX_BX_NE, kit_cand(KIT_K), kit_long(below(4)));
    }
    if (kind <= 5) {
        uint32_t col = below(2) == 0 ? KIT_K : KIT_S;
        struct efx_bx *bound = some_ref(elems, q, col), *own = kit_cand(col);
        return below(2) == 0 ? kit_is(EFX_BX_EQ, bound, own) : kit_is(EFX_BX_EQ, own, bound);
    }
    if (kind <= 7) {
        return kit_is(op, kit_cand(KIT_V), some_ref(elems, q, KIT_V));
    }
    if (kind == 8) {
        struct efx_bx *sum =
            kit_op(EFX_BX_ADD, EFX_TYPE_LONG, some_ref(elems, q, KIT_V), kit_long(below(3)));
        return kit_is(op, sum, kit_cand(KIT_V));
    }
    uint32_t src = below(q);
    if (elems[src].max != 0) {
        return kit_is(op, kit_agg(src, below(2) == 0 ? KIT_V : EFX_NO_COL), kit_cand(KIT_V));
    }
    return kit_is(EFX_BX_OR, kit_is(op, kit_cand(KIT_V), some_ref(elems, q, KIT_V)),
                  kit_is(EFX_BX_EQ, kit_cand(KIT_K), kit_long(1)));
}

static void some_elem(struct kit_elem *elems, uint32_t q)
{
    struct kit_elem *e = &elems[q];
    *e = (struct kit_elem){.input = below(2)};
    if (below(3) == 0) {
        e->min = below(4);
        e->max = below(3) == 0 ? UINT32_MAX : e->min + below(3);
        e->max = e->max == 0 ? 1 : e->max;
    }
    for (uint32_t i = below(3); i > 0; i--) {
        e->filter = kit_and(e->filter, some_condition(elems, q));
    }
}

static void make_pattern(struct naive *n, struct kit **out)
{
    struct kit_elem elems[ELEMS_MAX];
    struct efx_bx *outs[KIT_OUTS_MAX + 1] = {NULL};
    uint32_t n_elems = 1 + below(ELEMS_MAX), n_outs = 0, needs = 0;
    enum kit_every every = (enum kit_every)below(3);
    for (uint32_t q = 0; q < n_elems; q++) {
        some_elem(elems, q);
        needs += elems[q].max == 0 || elems[q].min > 0 ? 1 : 0;
    }
    if (needs == 0) {
        elems[n_elems - 1] = (struct kit_elem){.input = 1};
    }
    struct efx_bpattern *p = kit_pattern(every, n_elems, elems);
    for (uint32_t q = 0; q < n_elems; q++) {
        n->e[q] = q == 0 && every == KIT_EVERY_FIRST ? p->root->kids[0]->kids[0]
                  : every == KIT_EVERY_ALL           ? p->root->kids[0]->kids[q]
                                                     : p->root->kids[q];
        outs[n_outs++] = kit_ref(q, below(2) == 0 ? KIT_V : KIT_S);
        if (elems[q].max != 0) {
            outs[n_outs++] = below(2) == 0 ? kit_agg(q, KIT_V) : kit_last(q, below(2), KIT_V);
        }
    }
    n->n_elems = n_elems;
    while (n->n_elems > 1 && n->e[n->n_elems - 1]->min == 0) {
        n->n_elems--;
    }
    p->within_ms = below(2) == 0 ? -1 : 3 + (int64_t)below(20);
    p->within_events = p->within_ms < 0 && below(4) == 0 ? 1 + (int64_t)below(8) : -1;
    p->skip_past_last_row = below(4) == 0;
    n->p = p;
    n->every = every != KIT_ONCE;
    n->within_ms = p->within_ms;
    n->within_events = p->within_events;
    n->expired = p->within_ms >= 0 && below(2) == 0;
    n->key_col = EFX_NO_COL;
    n->partitioned = below(5) == 0;
    if (n->partitioned) {
        n->key_col = KIT_K;
    } else if (below(3) == 0) {
        n->key_col = below(2) == 0 ? KIT_K : KIT_S;
        kit_partition_by(p, n->key_col);
    }
    *out = kit_new(p, outs);
    (*out)->with_ts = true;
    (*out)->conf.expired = n->expired;
    (*out)->partitioned = (*out)->conf.keep_hidden = n->partitioned;
    for (uint32_t i = 0; i < KIT_INPUTS; i++) {
        (*out)->in[i].partitioned = n->partitioned;
    }
}

static void make_events(struct kit_event *e, bool null_keys)
{
    static const char *const texts[] = {"a", "b", "a text of more than twelve",
                                        "another long text"};
    int64_t ts = 0;
    for (uint32_t i = 0; i < EVENTS; i++) {
        ts += below(3) == 0 ? 0 : below(4);
        e[i] = (struct kit_event){.input = below(8) == 0 ? 2 : below(2),
                                  .ts = below(6) == 0 ? ts - below(30) : ts,
                                  .v = below(10),
                                  .k = null_keys && below(10) == 0 ? INT64_MIN : 1 + below(3),
                                  .s = below(10) == 0 ? NULL : texts[below(4)],
                                  .clock_only = below(20) == 0};
        e[i].ts = e[i].ts < 0 ? 0 : e[i].ts;
    }
}

static void run_engine(struct kit *t, const struct kit_event *e)
{
    bool rows = below(4) == 0;
    for (uint32_t i = 0; i < EVENTS;) {
        uint32_t n = 1 + below(below(2) == 0 ? 5 : 100);
        n = n > EVENTS - i ? EVENTS - i : n;
        kit_step(t, e + i, n, rows ? 1 : 1 + below(20));
        i += n;
        if (below(6) == 0) {
            kit_move(t);
        }
    }
}

static void one_run(uint64_t number, struct partial *all)
{
    struct kit_event events[EVENTS];
    struct naive n = {.events = events, .all = all};
    struct kit *t, *expected = calloc(1, sizeof *expected);
    assert_non_null(expected);
    seed = number * 7919 + 1;
    efx_arena_init(&kit_arena, &efx_mem_libc, SIZE_MAX);
    make_pattern(&n, &t);
    make_events(events, !n.partitioned);
    expected->conf = t->conf;
    memcpy(expected->outs, t->outs, sizeof t->outs);
    n.out = expected;
    for (uint32_t i = 0; i < EVENTS; i++) {
        take(&n, i);
    }
    run_engine(t, events);
    if (strcmp(t->text, expected->text) != 0) {
        print_error("seed %llu\n", (unsigned long long)number);
    }
    assert_string_equal(t->text, expected->text);
    kit_free(t);
    free(expected);
    efx_arena_fini(&kit_arena);
}

static void patterns__match_as_the_text_says(void **state)
{
    (void)state;
    struct partial *all = calloc(PARTIALS_MAX, sizeof *all);
    assert_non_null(all);
    const char *one = getenv("EFX_TEST_SEED"), *many = getenv("EFX_TEST_RUNS");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 0;
    uint64_t runs = one != NULL ? 1 : many != NULL ? strtoull(many, NULL, 10) : 400;
    for (uint64_t i = 0; i < runs; i++) {
        one_run(first + i, all);
    }
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns__match_as_the_text_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
