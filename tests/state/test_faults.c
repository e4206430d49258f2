/* Faults on the way to a place, and what the place's rules make of them: members that lead in turns
 * over a way that loses, delays and repeats, on virtual time under a seed.
 */
#include "efx_test.h"

#include "efx_faults.h"
#include "efx_stores.h"
#include "names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a world whose time is the test's ------------------------------------------------------- */

static uint64_t virtual_ns;

static int64_t wall_ms(struct efx_world *w)
{
    (void)w;
    return (int64_t)(virtual_ns / 1000000);
}

static uint64_t same_ns(struct efx_world *w)
{
    (void)w;
    return virtual_ns;
}

static void sleep_ns(struct efx_world *w, uint64_t ns)
{
    (void)w;
    virtual_ns += ns;
}

static const struct efx_clock_vt virtual_clock = {
    .wall_ms = wall_ms, .monotonic_ns = same_ns, .boottime_ns = same_ns, .sleep_ns = sleep_ns};
static struct efx_world virtual = {.clock = &virtual_clock};

struct member {
    struct efx_stores *s;
    struct efx_faults f;
    struct efx_lease leader;
    uint64_t epoch; /* 0: has not gone through next_epoch in this term */
};

static void member_open(struct member *m, struct efx_local *place, const char *name,
                        const struct efx_faults_conf *conf, uint64_t seed)
{
    struct efx_err err = {0};
    *m = (struct member){0};
    assert_int_equal(efx_memory_place_open(place, &m->s, &virtual, &err), EFX_OK);
    efx_faults_open(&m->f, m->s->store, m->s->coord, conf, seed);
    (void)snprintf(m->leader.name, sizeof m->leader.name, "leader");
    (void)snprintf(m->leader.holder, sizeof m->leader.holder, "%s", name);
}

static void member_close(struct member *m)
{
    efx_faults_close(&m->f);
    efx_stores_close(&m->s);
}

static struct efx_bytes bytes_of(const char *z)
{
    return (struct efx_bytes){(const uint8_t *)z, strlen(z)};
}

static enum efx_rc take(struct member *m)
{
    return m->f.coord.vt->take(&m->f.coord, &m->leader, 2000, bytes_of("v"), NULL);
}

static enum efx_rc next_epoch(struct member *m, uint64_t from, uint64_t start, const char *record)
{
    struct efx_next next = {.from = from,
                            .to = from + 1,
                            .start = start,
                            .leader = &m->leader,
                            .record = bytes_of(record)};
    return m->f.coord.vt->next_epoch(&m->f.coord, &next, NULL);
}

static enum efx_rc commit(struct member *m, uint64_t last, uint64_t no, const char *text)
{
    struct efx_commit c = {{m->epoch, &m->leader}, last, no, bytes_of(text)};
    return m->f.store.vt->commit_manifest(&m->f.store, &c, NULL);
}

/* ---- each fault ----------------------------------------------------------------------------- */

static const struct efx_faults_conf never = {0}, before = {.lost_before = 1000},
                                    answer = {.answer_lost = 1000},
                                    late = {.late = 1000, .late_ns_max = 1000000000};

struct pair { /* one behind faults, and one who sees what is there */
    struct efx_local *place;
    struct member a, truth;
};

static struct pair pair_open(const struct efx_faults_conf *conf)
{
    static struct pair p;
    virtual_ns = 1000000000;
    assert_int_equal(efx_memory_place_create(&p.place, &virtual, &efx_mem_libc), EFX_OK);
    member_open(&p.truth, p.place, "truth", &never, 1);
    member_open(&p.a, p.place, "a", &never, 1);
    assert_int_equal(take(&p.a), EFX_OK);
    assert_int_equal(next_epoch(&p.a, 0, 0, "one"), EFX_OK);
    p.a.epoch = 1;
    p.a.f.conf = *conf;
    return p;
}

static void pair_close(struct pair *p)
{
    member_close(&p->a);
    member_close(&p->truth);
    efx_memory_place_unref(&p->place);
}

/* The manifest there, as text; "" if none. */
static const char *manifest(struct member *m, uint64_t no)
{
    static char text[64];
    struct efx_writer w = {.p = (uint8_t *)text, .max = sizeof text - 1};
    enum efx_rc rc = m->f.to_store->vt->get_manifest(m->f.to_store, no, &w, NULL);
    text[rc == EFX_OK ? w.n : 0] = '\0';
    return text;
}

static void request__lost_before_does_nothing(void **state)
{
    struct pair p = pair_open(&before);
    (void)state;
    assert_int_equal(commit(&p.a, 0, 1, "m"), EFX_EIO);
    assert_string_equal(manifest(&p.truth, 1), "");
    assert_int_equal(p.a.f.n_faults, 1);
    pair_close(&p);
}

static void answer__lost_leaves_it_done(void **state)
{
    struct pair p = pair_open(&answer);
    (void)state;
    uint64_t term = p.a.leader.term;
    assert_int_equal(commit(&p.a, 0, 1, "m"), EFX_EIO);
    assert_string_equal(manifest(&p.truth, 1), "m");
    assert_int_equal(p.a.f.coord.vt->release(&p.a.f.coord, &p.a.leader, NULL), EFX_EIO);
    assert_int_equal(take(&p.a), EFX_EIO);
    assert_int_equal(p.a.leader.term, term); /* nor did it hear of the new one */
    p.a.f.conf = never;
    assert_int_equal(take(&p.a), EFX_OK);
    assert_int_equal(p.a.leader.term, term + 1);
    pair_close(&p);
}

static void request__that_is_late_keeps_its_bytes(void **state)
{
    struct pair p = pair_open(&late);
    char text[] = "manifest", chunk[] = "chunk";
    struct efx_bytes b = bytes_of(chunk);
    struct efx_chunk_name name = {1, efx_state__hash(b)};
    struct efx_store *to = p.truth.f.to_store;
    uint8_t room[16];
    struct efx_writer w = {.p = room, .max = sizeof room};
    (void)state;
    assert_int_equal(p.a.f.store.vt->put_chunks(&p.a.f.store, &name, &b, 1, NULL), EFX_EIO);
    assert_int_equal(commit(&p.a, 0, 1, text), EFX_EIO);
    memset(text, 'x', 8);
    memset(chunk, 'x', 5);
    assert_int_equal(to->vt->get_chunk(to, &name, &w, NULL), EFX_EABSENT);
    assert_string_equal(manifest(&p.truth, 1), "");
    virtual_ns += 1000000000;
    efx_faults_settle(&p.a.f, false);
    assert_int_equal(to->vt->get_chunk(to, &name, &w, NULL), EFX_OK);
    assert_memory_equal(room, "chunk", 5);
    assert_string_equal(manifest(&p.truth, 1), "manifest");

    const char *evicted[] = {"b"};
    struct efx_lease b_lease = {.name = "member:b", .holder = "b"};
    struct efx_coord *coord = p.truth.f.to_coord;
    assert_int_equal(coord->vt->take(coord, &b_lease, 60000, b, NULL), EFX_OK);
    struct efx_next next = {.from = 1,
                            .to = 2,
                            .start = 1,
                            .leader = &p.a.leader,
                            .record = b,
                            .evicted = evicted,
                            .n_evicted = 1};
    assert_int_equal(p.a.f.coord.vt->next_epoch(&p.a.f.coord, &next, NULL), EFX_EIO);
    evicted[0] = "nobody";
    efx_faults_settle(&p.a.f, true);
    assert_int_equal(coord->vt->renew(coord, &b_lease, 60000, b, NULL), EFX_ESTALE);
    assert_int_equal(b_lease.epoch, 2);
    pair_close(&p);
}

static void request__that_comes_in_another_term_is_refused(void **state)
{
    struct pair p = pair_open(&late);
    (void)state;
    assert_int_equal(commit(&p.a, 0, 1, "late"), EFX_EIO);
    p.truth.leader.over = p.a.leader.term;
    assert_int_equal(take(&p.truth), EFX_OK);
    efx_faults_settle(&p.a.f, true);
    assert_string_equal(manifest(&p.truth, 1), "");
    pair_close(&p);
}

static void place__that_is_away_comes_back(void **state)
{
    struct pair p = pair_open(&never);
    (void)state;
    p.a.f.away_until_ns = virtual_ns + 500;
    p.a.f.conf.timeout_ns = 300;
    assert_int_equal(commit(&p.a, 0, 1, "m"), EFX_EIO);
    assert_int_equal(commit(&p.a, 0, 1, "m"), EFX_EIO); /* each took its time */
    assert_int_equal(commit(&p.a, 0, 1, "m"), EFX_OK);
    efx_memory_place_lose(p.place);
    assert_int_equal(commit(&p.a, 1, 2, "m"), EFX_ESTALE);
    struct efx_hash out;
    assert_int_equal(p.a.f.store.vt->identity(&p.a.f.store, NULL, NULL, &out, NULL), EFX_EABSENT);
    pair_close(&p);
}

/* ---- leaders in turns ----------------------------------------------------------------------- */

enum { MEMBERS = 3, STEPS = 600, SEEDS = 400, TEXT = 32, KNOWN = 1000 };

struct known { /* what somebody was told */
    uint64_t no;
    char text[TEXT];
    bool stands; /* OK; else refused: must never be there */
};

struct run {
    struct efx_local *place;
    struct member m[MEMBERS];
    struct known known[KNOWN];
    uint32_t n_known;
    struct {
        uint64_t epoch, start;
    } begun[KNOWN];
    uint32_t n_begun;
    uint64_t seed, epoch_seen, n_texts;
    struct { /* what a member asks until it is answered, the same bytes each time */
        bool asks_commit, asks_next;
        uint64_t from, last, no;
        char text[TEXT];
    } ask[MEMBERS];
};

static void told(struct run *r, uint32_t i, bool stands)
{
    assert_true(r->n_known < KNOWN);
    struct known *k = &r->known[r->n_known++];
    k->no = r->ask[i].no;
    k->stands = stands;
    memcpy(k->text, r->ask[i].text, TEXT);
    if (stands) {
        assert_string_equal(manifest(&r->m[i], k->no), k->text);
    }
}

static void down(struct run *r, uint32_t i)
{
    r->m[i].epoch = 0;
    r->m[i].leader.term = 0;
    r->ask[i].asks_commit = r->ask[i].asks_next = false;
}

static enum efx_rc newest(struct member *m, uint64_t *no)
{
    struct efx_manifest_info info;
    uint32_t n = 1;
    enum efx_rc rc = m->f.store.vt->list_manifests(&m->f.store, 0, &info, &n, NULL);
    *no = rc == EFX_OK && n == 1 ? info.no : 0;
    return rc;
}

static void step_next(struct run *r, uint32_t i)
{
    struct member *m = &r->m[i];
    if (!r->ask[i].asks_next) {
        uint8_t room[TEXT];
        struct efx_writer w = {.p = room, .max = sizeof room};
        uint64_t from = 0;
        enum efx_rc rc = m->f.coord.vt->get_record(&m->f.coord, &from, &w, NULL);
        if (rc == EFX_EIO || newest(m, &r->ask[i].last) != EFX_OK) {
            return;
        }
        r->ask[i].from = rc == EFX_OK ? from : 0;
        (void)snprintf(r->ask[i].text, TEXT, "record %d", (int)r->n_texts++);
        r->ask[i].asks_next = true;
    }
    enum efx_rc rc = next_epoch(m, r->ask[i].from, r->ask[i].last, r->ask[i].text);
    if (rc == EFX_ESTALE) {
        down(r, i);
    } else if (rc == EFX_OK) {
        r->ask[i].asks_next = false;
        m->epoch = r->ask[i].from + 1;
        r->ask[i].no = r->ask[i].last;
        assert_true(r->n_begun < KNOWN);
        r->begun[r->n_begun].epoch = m->epoch;
        r->begun[r->n_begun++].start = r->ask[i].last;
    }
}

static void step_commit(struct run *r, uint32_t i)
{
    struct member *m = &r->m[i];
    if (!r->ask[i].asks_commit) {
        r->ask[i].last = r->ask[i].no;
        r->ask[i].no++;
        (void)snprintf(r->ask[i].text, TEXT, "manifest %d", (int)r->n_texts++);
        r->ask[i].asks_commit = true;
    }
    enum efx_rc rc = commit(m, r->ask[i].last, r->ask[i].no, r->ask[i].text);
    if (rc == EFX_OK) {
        told(r, i, true);
        r->ask[i].asks_commit = false;
    } else if (rc == EFX_ESTALE) {
        told(r, i, false);
        down(r, i);
    }
}

static void step(struct run *r)
{
    uint32_t i = (uint32_t)(efx_test_rand(&r->seed) % MEMBERS);
    struct member *m = &r->m[i];
    uint64_t dice = efx_test_rand(&r->seed) % 100;
    virtual_ns += efx_test_rand(&r->seed) % 150 * 1000000;
    if (dice < 3) {
        virtual_ns += 3000000000; /* all leases end */
    } else if (dice < 6) {
        m->f.away_until_ns = virtual_ns + efx_test_rand(&r->seed) % 4000000000;
    }
    if (m->leader.term == 0) {
        m->leader.over = dice < 20 ? efx_test_rand(&r->seed) % 20 : 0;
        if (take(m) != EFX_OK) {
            m->leader.term = 0;
        }
    } else if (m->epoch == 0) {
        step_next(r, i);
    } else if (dice < 50) {
        step_commit(r, i);
    } else if (m->f.coord.vt->renew(&m->f.coord, &m->leader, 2000, bytes_of("v"), NULL) ==
                   EFX_ESTALE &&
               !r->ask[i].asks_commit) {
        down(r, i);
    }
    uint8_t room[TEXT];
    struct efx_writer w = {.p = room, .max = sizeof room};
    uint64_t epoch = 0;
    struct efx_coord *c = m->f.to_coord;
    if (c->vt->get_record(c, &epoch, &w, NULL) == EFX_OK) {
        assert_true(epoch >= r->epoch_seen);
        r->epoch_seen = epoch;
    }
}

static void check_end(struct run *r, uint32_t *n_manifests)
{
    static struct efx_manifest_info info[EFX_LIST_MAX];
    uint32_t n = EFX_LIST_MAX;
    struct efx_store *s = r->m[0].f.to_store;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        efx_faults_settle(&r->m[i].f, true);
    }
    for (uint32_t i = 0; i < r->n_known; i++) {
        const struct known *k = &r->known[i];
        if (k->stands != (strcmp(manifest(&r->m[0], k->no), k->text) == 0)) {
            fail_msg("'%s' was %s", k->text, k->stands ? "committed" : "refused");
        }
    }
    assert_int_equal(s->vt->list_manifests(s, 0, info, &n, NULL), EFX_OK);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(info[i].no, n - i); /* none is skipped */
        for (uint32_t k = 0; k < r->n_begun; k++) {
            assert_true((info[i].no > r->begun[k].start) == (info[i].epoch >= r->begun[k].epoch));
        }
    }
    *n_manifests += n;
}

static void leaders__in_turns_lose_nothing_that_was_told(void **state)
{
    static const struct efx_faults_conf bad = {
        .lost_before = 100, .answer_lost = 100, .late = 150, .late_ns_max = 6000000000};
    static struct run r;
    uint32_t n_manifests = 0, n_refused = 0, n_faults = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        static const char *const names[MEMBERS] = {"a", "b", "c"};
        r = (struct run){.seed = seed};
        virtual_ns = 1000000000;
        assert_int_equal(efx_memory_place_create(&r.place, &virtual, &efx_mem_libc), EFX_OK);
        for (uint32_t i = 0; i < MEMBERS; i++) {
            member_open(&r.m[i], r.place, names[i], &bad, seed * 10 + i);
        }
        for (int i = 0; i < STEPS; i++) {
            step(&r);
        }
        check_end(&r, &n_manifests);
        for (uint32_t i = 0; i < r.n_known; i++) {
            n_refused += !r.known[i].stands;
        }
        for (uint32_t i = 0; i < MEMBERS; i++) {
            n_faults += (uint32_t)r.m[i].f.n_faults;
            member_close(&r.m[i]);
        }
        efx_memory_place_unref(&r.place);
    }
    print_message("%u manifests, %u refused, %u faults\n", n_manifests, n_refused, n_faults);
    assert_true(n_manifests > SEEDS && n_refused > SEEDS / 4 && n_faults > SEEDS * 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request__lost_before_does_nothing),
        cmocka_unit_test(answer__lost_leaves_it_done),
        cmocka_unit_test(request__that_is_late_keeps_its_bytes),
        cmocka_unit_test(request__that_comes_in_another_term_is_refused),
        cmocka_unit_test(place__that_is_away_comes_back),
        cmocka_unit_test(leaders__in_turns_lose_nothing_that_was_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
