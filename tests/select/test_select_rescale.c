/* A query by key on one shard, then on two, then on one again: in each step the same rows come out
 * as on one shard all the time. Order among shards is the gather's business (efx_batch.h, sub), so
 * the rows of a step are compared as a set. */
#include "select_kit.h"

#include "efx_hash.h"

enum { EVENTS = 240, SHARDS = 2 };

static const char *const names[] = {"x", "y", "z", "a_name_of_more_than_twelve_bytes",
                                    "w", "u", "t"};

static uint32_t group_of(const char *a)
{
    struct efx_cell cell = efx_cell_make(a, (uint32_t)strlen(a));
    struct efx_col col = {EFX_TYPE_STRING, &cell, NULL};
    uint64_t hash;
    efx_keyed_hash(&col, 1, NULL, 1, &hash);
    return efx_hash_key_group(hash);
}

static struct kit *open_query(uint32_t seed, struct efx_kg_range kg)
{
    static const char *const windows[] = {NULL, "time", "tumbling", "session"};
    struct kit *k = kit_new();
    struct kit_query *q = &k->q;
    k->kg = kg;
    q->window = windows[seed % 4];
    q->p1 = 90;
    if (q->window != NULL && strcmp(q->window, "session") == 0) {
        q->p2 = 20;
    } else {
        q->p2 = 7; /* an origin: who finds one without is the core */
    }
    q->expired = seed / 4 % 2 == 1;
    q->n_group = 1;
    q->group[0] = kit_col(k, KIT_A);
    q->n_aggs = 2;
    q->agg[0].name = "sum";
    q->agg[0].arg = kit_col(k, KIT_V);
    q->agg[1].name = "min";
    q->agg[1].arg = kit_col(k, KIT_V);
    q->n_out = 3;
    q->out[0] = kit_col(k, KIT_A);
    q->out[1] = kit_agg(k, 0, EFX_TYPE_LONG);
    q->out[2] = kit_agg(k, 1, EFX_TYPE_LONG);
    kit_open(k);
    return k;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The rows of a step, sorted. */
static void sorted(char *text, char *out)
{
    char *row[1024];
    uint32_t n = 0;
    for (char *at = strtok(text, " "); at != NULL && n < 1024; at = strtok(NULL, " ")) {
        row[n++] = at;
    }
    qsort(row, n, sizeof row[0], by_text);
    out[0] = 0;
    for (uint32_t i = 0; i < n; i++) {
        strcat(strcat(out, " "), row[i]);
    }
}

static void take_text(struct kit *k, char *into)
{
    strcat(into, k->text);
    k->n_text = 0;
    k->text[0] = 0;
}

/* An event, or the clock alone where another shard has it. */
static void step(struct kit *k, const struct kit_event *e)
{
    uint32_t last = k->kg.last == 0 ? 1023 : k->kg.last;
    struct kit_event mine = *e;
    uint32_t g = e->a != NULL ? group_of(e->a) : 0;
    if (e->a != NULL && (g < k->kg.first || g > last)) {
        mine.a = NULL;
    }
    kit_step(k, &mine, 1, true);
}

static void load(struct kit *k, struct kit *const *from, uint32_t n)
{
    struct efx_err err;
    struct efx_kg_range kg = {k->kg.first, k->kg.last == 0 ? 1023 : k->kg.last};
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t s = 0; s < from[i]->n_saves; s++) {
            struct efx_reader r = test_save_chunk(&from[i]->saves[s]);
            assert_int_equal(k->op->vt->load(k->op, kg, &r, &err), EFX_OK);
        }
    }
    assert_int_equal(k->op->vt->load_end(k->op, &err), EFX_OK);
    k->clk_ms = from[0]->clk_ms;
    k->n_turns = from[0]->n_turns;
    k->n_steps = from[0]->n_steps;
}

static void shards__may_change_in_number(void **state)
{
    static char a[1 << 16], b[1 << 16], want[1 << 16], got[1 << 16];
    (void)state;
    for (uint32_t seed = 0; seed < 24; seed++) {
        uint64_t rand = seed;
        struct kit *ref = open_query(seed, (struct efx_kg_range){0, 0});
        struct kit *on[SHARDS] = {open_query(seed, (struct efx_kg_range){0, 0})};
        uint32_t n_on = 1;
        int64_t now = 1000;
        for (uint32_t i = 0; i < EVENTS; i++) {
            now += (int64_t)(efx_test_rand(&rand) % 25);
            struct kit_event e = {names[efx_test_rand(&rand) % 7],
                                  (int64_t)(efx_test_rand(&rand) % 9), now};
            if (i % 40 == 39) {
                struct kit *was[SHARDS] = {on[0], on[1]};
                for (uint32_t s = 0; s < n_on; s++) {
                    kit_save(was[s], 3);
                }
                uint32_t n_was = n_on;
                n_on = n_on == 1 ? 2 : 1;
                for (uint32_t s = 0; s < n_on; s++) {
                    struct efx_kg_range kg = {s * 512, n_on == 1 ? 0 : s * 512 + 511};
                    on[s] = open_query(seed, kg);
                    load(on[s], was, n_was);
                }
                for (uint32_t s = 0; s < n_was; s++) {
                    kit_close(was[s]);
                }
            } else if (i % 20 == 10) {
                for (uint32_t s = 0; s < n_on; s++) {
                    kit_save(on[s], 2);
                }
            }
            a[0] = b[0] = 0;
            step(ref, &e);
            take_text(ref, a);
            for (uint32_t s = 0; s < n_on; s++) {
                step(on[s], &e);
                take_text(on[s], b);
            }
            sorted(a, want);
            sorted(b, got);
            if (strcmp(want, got) != 0) {
                print_message("seed %u, event %u\n", seed, i);
            }
            assert_string_equal(got, want);
        }
        kit_close(ref);
        for (uint32_t s = 0; s < n_on; s++) {
            kit_close(on[s]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shards__may_change_in_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
