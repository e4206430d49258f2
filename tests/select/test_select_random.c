/* Random queries over random events: the same rows, however events are cut into steps and steps
 * into slices, and whatever is saved and started anew between two steps. The reference run takes
 * every event alone; what its rows must be, the worked examples pin. */
#include "select_kit.h"

enum { EVENTS = 300, QUERIES = 120 };

static const char *const names[] = {
    "x", "y", "z", "a name of more than twelve bytes", "another name of that kind", "w"};

struct plan { /* of a query: everything follows from the seed */
    uint64_t seed;
    uint32_t n_names;
    int64_t stride_ms;
    bool late;
};

static uint32_t below(uint64_t *rand, uint32_t n)
{
    return (uint32_t)(efx_test_rand(rand) % n);
}

static void window_choose(struct kit *k, uint64_t *r)
{
    static const char *const windows[] = {NULL,          "length",    "time",
                                          "lengthBatch", "timeBatch", "session"};
    struct kit_query *q = &k->q;
    q->window = windows[below(r, 6)];
    bool counts = q->window != NULL && strncmp(q->window, "length", 6) == 0;
    q->p1 = counts ? 1 + below(r, below(r, 3) == 0 ? 40 : 6) : 20 + below(r, 200);
    if (q->window != NULL && strcmp(q->window, "session") == 0) {
        q->p2 = below(r, 2) == 0 ? 0 : below(r, 100);
        q->session_by_a = below(r, 2) == 0;
    } else if (below(r, 2) == 0) {
        q->p2 = below(r, 1000);
    }
}

static void aggs_choose(struct kit *k, uint64_t *r)
{
    static const struct {
        const char *name;
        uint32_t col; /* KIT_COLS: none */
        enum efx_type out;
    } aggs[] = {
        {"sum", KIT_V, EFX_TYPE_LONG},    {"count", KIT_COLS, EFX_TYPE_LONG},
        {"max", KIT_V, EFX_TYPE_LONG},    {"min", KIT_A, EFX_TYPE_STRING},
        {"avg", KIT_D, EFX_TYPE_DOUBLE},  {"first", KIT_V, EFX_TYPE_LONG},
        {"last", KIT_A, EFX_TYPE_STRING}, {"distinctCount", KIT_V, EFX_TYPE_LONG},
        {"count", KIT_V, EFX_TYPE_LONG},
    };
    struct kit_query *q = &k->q;
    q->n_aggs = below(r, 4);
    for (uint32_t i = 0; i < q->n_aggs; i++) {
        uint32_t at = below(r, sizeof aggs / sizeof aggs[0]);
        q->agg[i].name = aggs[at].name;
        q->agg[i].arg = aggs[at].col == KIT_COLS ? NULL : kit_col(k, aggs[at].col);
        if (q->agg[i].arg != NULL && aggs[at].col == KIT_V && below(r, 3) == 0) {
            q->agg[i].arg = kit_bx(k, EFX_BX_ADD, EFX_TYPE_LONG, q->agg[i].arg, kit_long(k, 1));
        }
        if (below(r, 4) == 0) {
            q->agg[i].filter =
                kit_bx(k, EFX_BX_GT, EFX_TYPE_BOOL, kit_col(k, KIT_V), kit_long(k, 3));
        }
        q->out[q->n_out++] = kit_agg(k, i, aggs[at].out);
    }
}

static void query_choose(struct kit *k, const struct plan *p)
{
    uint64_t rand = p->seed, *r = &rand;
    struct kit_query *q = &k->q;
    window_choose(k, r);
    aggs_choose(k, r);
    q->partitioned = below(r, 3) == 0;
    q->system_clock = below(r, 4) == 0;
    q->n_group = below(r, 3);
    q->group[0] = below(r, 3) > 0 ? kit_col(k, KIT_A) : kit_col(k, KIT_V);
    q->group[1] = kit_bx(k, EFX_BX_MOD, EFX_TYPE_LONG, kit_col(k, KIT_V), kit_long(k, 3));
    q->expired = below(r, 2) == 0;
    q->current = !q->expired || below(r, 3) > 0;
    if (below(r, 2) == 0 || q->n_out == 0) {
        q->out[q->n_out++] = kit_col(k, KIT_A);
    }
    if (below(r, 2) == 0) {
        q->out[q->n_out++] = kit_col(k, KIT_V);
    }
    if (below(r, 4) == 0) {
        q->having = kit_bx(k, EFX_BX_GT, EFX_TYPE_BOOL, kit_col(k, KIT_V), kit_long(k, 1));
    }
    if (below(r, 3) == 0) {
        q->n_order = 1;
        q->order[0].by = kit_col(k, KIT_V);
        q->order[0].desc = below(r, 2) == 0;
        q->order[0].nulls_first = below(r, 2) == 0;
        q->limited = below(r, 2) == 0;
        q->limit = 1 + below(r, 4);
        q->offset = below(r, 2);
    }
    if (q->window == NULL && below(r, 4) == 0) {
        q->ttl_ms = 30;
    }
    kit_open(k);
}

static void events_make(const struct plan *p, struct kit_event *e)
{
    uint64_t rand = p->seed + 1;
    int64_t now = 1000;
    for (uint32_t i = 0; i < EVENTS; i++) {
        now += below(&rand, 3) == 0 ? 0 : below(&rand, (uint32_t)p->stride_ms);
        e[i] = (struct kit_event){names[below(&rand, p->n_names)], below(&rand, 8), now};
        if (below(&rand, 12) == 0) {
            e[i].v = KIT_NULL;
        }
        if (below(&rand, 25) == 0) {
            now += below(&rand, 400);
            e[i] = (struct kit_event){NULL, 0, now};
        } else if (p->late && below(&rand, 6) == 0) {
            e[i].ts_ms -= below(&rand, 150);
        }
    }
}

enum how { ALONE, WHOLE, BY_ROW, RESTARTED };

static char *run(const struct plan *p, const struct kit_event *e, enum how how, uint64_t seed)
{
    struct kit *k = kit_new();
    uint64_t rand = seed;
    query_choose(k, p);
    for (uint32_t i = 0, n; i < EVENTS; i += n) {
        n = how == ALONE ? 1 : 1 + below(&rand, below(&rand, 3) == 0 ? 120 : 7);
        n = n < EVENTS - i ? n : EVENTS - i;
        bool by_row = how == BY_ROW || (how == RESTARTED && below(&rand, 2) == 0);
        kit_step(k, e + i, n, by_row);
        if (how == RESTARTED && below(&rand, 4) == 0) {
            kit_save(k, 1 + below(&rand, 20));
            if (below(&rand, 3) == 0) {
                kit_restart(k);
            }
        }
    }
    char *text = strdup(k->text);
    kit_close(k);
    return text;
}

static void tell(const struct plan *p, const char *want, const char *got, uint64_t seed,
                 enum how how)
{
    struct kit *k = kit_new();
    query_choose(k, p);
    const struct kit_query *q = &k->q;
    size_t at = 0;
    while (want[at] != 0 && want[at] == got[at]) {
        at++;
    }
    size_t from = at < 60 ? 0 : at - 60;
    print_message("EFX_TEST_SEED=%llu, way %d\n%s(%lld, %lld)%s%s%s%s, %u keys, %u aggregates "
                  "(%s), %s%s%s\nat %zu\nwant …%.160s\ngot  …%.160s\n",
                  (unsigned long long)seed, (int)how, q->window != NULL ? q->window : "none",
                  (long long)q->p1, (long long)q->p2, q->current ? " current" : "",
                  q->expired ? " expired" : "", q->partitioned ? " partitioned" : "",
                  q->system_clock ? " system clock" : "", q->n_group, q->n_aggs,
                  q->n_aggs > 0 ? q->agg[0].name : "", q->having != NULL ? "having " : "",
                  q->n_order > 0 ? "ordered " : "", q->ttl_ms >= 0 ? "ttl" : "", at, want + from,
                  got + from);
    kit_close(k);
}

static void rows__are_the_same_however_they_are_cut_and_saved(void **state)
{
    (void)state;
    struct kit_event e[EVENTS];
    const char *one = getenv("EFX_TEST_SEED");
    uint64_t first = one != NULL ? strtoull(one, NULL, 10) : 1;
    for (uint64_t seed = first; seed < (one != NULL ? first + 1 : QUERIES); seed++) {
        struct plan p = {.seed = seed * 7919,
                         .n_names = 1 + (uint32_t)(seed % 6),
                         .stride_ms = seed % 5 == 0 ? 200 : 12,
                         .late = seed % 3 != 0};
        events_make(&p, e);
        char *want = run(&p, e, ALONE, seed);
        for (enum how how = WHOLE; how <= RESTARTED; how++) {
            char *got = run(&p, e, how, seed + how);
            if (strcmp(want, got) != 0) {
                tell(&p, want, got, seed, how);
                fail();
            }
            free(got);
        }
        free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows__are_the_same_however_they_are_cut_and_saved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
