/* The contract of coordination, over each place. */
#include "place_kit.h"

#define CALL(p, method, ...) (p)->coord->vt->method((p)->coord, __VA_ARGS__)

static void lease__is_one_holders(void **state)
{
    struct place *p = *state;
    struct efx_lease a = lease_of("leader", "a"), b = lease_of("leader", "b");
    uint64_t before = boot_ns();
    assert_ok(CALL(p, take, &a, 60000, bytes_of("a's"), &err));
    assert_true(a.term > 0);
    assert_int_equal(a.epoch, 0);
    assert_true(a.ends_ns >= before + 54000000000u && a.ends_ns <= boot_ns() + 54000000000u);
    assert_rc(EFX_ESTALE, CALL(p, take, &b, 60000, bytes_of(""), &err));
    assert_int_equal(b.term, a.term);
    struct efx_lease again = lease_of("leader", "a");
    assert_ok(CALL(p, take, &again, 60000, bytes_of(""), &err));
    assert_int_equal(again.term, a.term); /* it is its own already */
    assert_ok(CALL(p, renew, &a, 60000, bytes_of(""), &err));
    assert_ok(CALL(p, release, &a, &err));
    assert_ok(CALL(p, release, &a, &err));
    assert_rc(EFX_ESTALE, CALL(p, renew, &a, 60000, bytes_of(""), &err));
    assert_ok(CALL(p, take, &b, 60000, bytes_of(""), &err));
    assert_true(b.term > a.term);
    assert_ok(CALL(p, release, &a, &err)); /* an old term's: ends nothing */
    assert_ok(CALL(p, renew, &b, 60000, bytes_of(""), &err));
}

static void lease__ends_by_itself(void **state)
{
    struct place *p = *state;
    struct efx_lease a = lease_of("member:a/1", "a/1"), b = lease_of("member:a/1", "b/1");
    assert_ok(CALL(p, take, &a, 40, bytes_of(""), &err));
    uint64_t term = a.term;
    wait_ms(80);
    assert_rc(EFX_ESTALE, CALL(p, renew, &a, 60000, bytes_of(""), &err));
    assert_ok(CALL(p, take, &b, 60000, bytes_of(""), &err));
    assert_true(b.term > term);
    assert_rc(EFX_ESTALE, CALL(p, take, &a, 60000, bytes_of(""), &err));
    assert_ok(CALL(p, release, &b, &err));
    assert_ok(CALL(p, take, &a, 60000, bytes_of(""), &err));
    assert_true(a.term > b.term); /* its own, again: a new term all the same */
}

static void lease__that_is_renewed_lives_on(void **state)
{
    struct place *p = *state;
    struct efx_lease a = lease_of("leader", "a");
    assert_ok(CALL(p, take, &a, 2000, bytes_of(""), &err));
    assert_ok(CALL(p, renew, &a, 600000, bytes_of(""), &err));
    wait_ms(2100);
    assert_ok(CALL(p, renew, &a, 600000, bytes_of(""), &err));
}

static void lease__is_taken_over_by_naming_its_term(void **state)
{
    struct place *p = *state;
    struct efx_lease a = lease_of("leader", "a"), b = lease_of("leader", "b"), c;
    assert_ok(CALL(p, take, &a, 600000, bytes_of(""), &err));
    b.over = a.term + 1;
    assert_rc(EFX_ESTALE, CALL(p, take, &b, 600000, bytes_of(""), &err));
    b.over = b.term;
    assert_ok(CALL(p, take, &b, 600000, bytes_of(""), &err));
    assert_true(b.term > a.term);
    c = b;
    assert_ok(CALL(p, take, &c, 600000, bytes_of(""), &err)); /* the same call again */
    assert_int_equal(c.term, b.term);
    assert_rc(EFX_ESTALE, CALL(p, renew, &a, 600000, bytes_of(""), &err));
    c = lease_of("leader", "c");
    c.over = a.term; /* comes second */
    assert_rc(EFX_ESTALE, CALL(p, take, &c, 600000, bytes_of(""), &err));
    assert_int_equal(c.term, b.term);
}

static void leases__are_listed_by_name_with_what_they_say(void **state)
{
    static const char *const names[] = {"member:b/2", "leader", "member:a/1", "member:c/3"};
    struct place *p = *state;
    struct efx_lease gone = lease_of("member:d/4", "d/4");
    uint8_t room[4096];
    struct efx_writer w = {.p = room, .max = sizeof room};
    assert_ok(CALL(p, take, &gone, 20, bytes_of(""), &err));
    uint64_t term[4];
    for (uint32_t i = 0; i < 4; i++) {
        struct efx_lease lease = lease_of(names[i], "holder");
        assert_ok(CALL(p, take, &lease, 60000, bytes_of("old"), &err));
        assert_ok(CALL(p, renew, &lease, 600000, bytes_of(names[i]), &err));
        term[i] = lease.term;
    }
    wait_ms(40);
    assert_ok(CALL(p, list, "member:", &w, &err));
    static const uint32_t order[] = {2, 0, 3};
    struct efx_reader r = {.p = room, .left = w.n};
    struct efx_held held;
    for (uint32_t i = 0; i < 3; i++) {
        const char *name = names[order[i]];
        assert_true(efx_held_next(&r, &held));
        assert_int_equal(held.name.n, strlen(name));
        assert_memory_equal(held.name.p, name, held.name.n);
        assert_int_equal(held.value.n, strlen(name));
        assert_memory_equal(held.value.p, name, held.value.n);
        assert_memory_equal(held.holder.p, "holder", 6);
        assert_int_equal(held.term, term[order[i]]);
        assert_true(held.left_ms > 60000 && held.left_ms <= 600000);
    }
    assert_false(efx_held_next(&r, &held));
    assert_false(r.bad);
    w.n = w.max - 50;
    assert_rc(EFX_ELIMIT, CALL(p, list, "", &w, &err));
    assert_int_equal(w.n, w.max - 50);
}

static void lease__has_bounds(void **state)
{
    struct place *p = *state;
    static uint8_t value[EFX_LEASE_VALUE_MAX + 1];
    struct efx_lease a = lease_of("leader", "a"), none = lease_of("", "a");
    assert_rc(EFX_ELIMIT, CALL(p, take, &a, 1000, (struct efx_bytes){value, sizeof value}, &err));
    assert_rc(EFX_ELIMIT, CALL(p, take, &a, 0, bytes_of(""), &err));
    assert_rc(EFX_EBUG, CALL(p, take, &none, 1000, bytes_of(""), &err));
    memset(value, 'x', sizeof value);
    assert_ok(
        CALL(p, take, &a, EFX_LEASE_MS_MAX, (struct efx_bytes){value, sizeof value - 1}, &err));
    assert_true(a.ends_ns > boot_ns() + (uint64_t)1000 * 86400 * 15 * 1000000);
}

static void assert_record(struct place *p, uint64_t epoch, const char *record)
{
    uint8_t room[64];
    struct efx_writer w = {.p = room, .max = sizeof room};
    uint64_t is = 0;
    assert_ok(CALL(p, get_record, &is, &w, &err));
    assert_int_equal(is, epoch);
    assert_int_equal(w.n, strlen(record));
    assert_memory_equal(room, record, w.n);
}

static void founding__wants_so_many_alive(void **state)
{
    struct place *p = *state;
    struct efx_lease one = lease_of("member:a/1", "a/1"), two = lease_of("member:b/2", "b/2");
    uint8_t room[64];
    struct efx_writer w = {.p = room, .max = sizeof room};
    uint64_t epoch;
    assert_rc(EFX_EABSENT, CALL(p, get_record, &epoch, &w, &err));
    p->leader = lease_of("leader", "a/1");
    assert_ok(CALL(p, take, &p->leader, 600000, bytes_of(""), &err));
    assert_ok(CALL(p, take, &one, 600000, bytes_of(""), &err));
    assert_ok(CALL(p, take, &two, 30, bytes_of(""), &err));
    wait_ms(60); /* b is gone again */
    struct efx_next next = next_of(p, 0, 1, 0, "first");
    next.n_alive_min = 2;
    assert_rc(EFX_AGAIN, CALL(p, next_epoch, &next, &err));
    assert_rc(EFX_EABSENT, CALL(p, get_record, &epoch, &w, &err));
    assert_ok(CALL(p, take, &two, 600000, bytes_of(""), &err));
    assert_ok(CALL(p, next_epoch, &next, &err));
    assert_record(p, 1, "first");
    assert_ok(CALL(p, renew, &one, 600000, bytes_of(""), &err));
    assert_int_equal(one.epoch, 1);
    const char *evicted[] = {"b/2"};
    struct efx_next without = next_of(p, 1, 2, 0, "second");
    without.n_alive_min = 2; /* beside the evicted */
    without.evicted = evicted;
    without.n_evicted = 1;
    assert_rc(EFX_AGAIN, CALL(p, next_epoch, &without, &err));
}

static void founding__is_refused_where_something_stands(void **state)
{
    struct place *p = *state;
    place_found(p);
    struct efx_next other = next_of(p, 0, 1, 0, "another founding");
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &other, &err));
    assert_record(p, 1, "record 1");
}

static void founding__may_begin_above_what_was_lost(void **state)
{
    struct place *p = *state;
    p->leader = lease_of("leader", "a");
    assert_ok(CALL(p, take, &p->leader, 600000, bytes_of(""), &err));
    struct efx_next next = next_of(p, 0, 5000000000, 0, "again");
    assert_ok(CALL(p, next_epoch, &next, &err));
    assert_record(p, 5000000000, "again");
    assert_ok(CALL(p, renew, &p->leader, 600000, bytes_of(""), &err));
    assert_int_equal(p->leader.epoch, 5000000000);
    next = next_of(p, 5000000000, 5000000002, 0, "skips one");
    assert_rc(EFX_EBUG, CALL(p, next_epoch, &next, &err));
}

static void epoch__needs_from_leader_term_and_start(void **state)
{
    struct place *p = *state;
    place_found(p);
    struct efx_next next = next_of(p, 2, 3, 0, "skipped");
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &next, &err));
    next = next_of(p, 1, 2, 4, "no manifest 4");
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &next, &err));
    assert_ok(commit(p, 0, 4, "four", &err));
    next = next_of(p, 1, 2, 0, "there is one");
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &next, &err));
    struct efx_lease old = p->leader;
    old.term--;
    next = next_of(p, 1, 2, 4, "old term");
    next.leader = &old;
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &next, &err));
    struct efx_lease member = lease_of("member:a", "a");
    assert_ok(CALL(p, take, &member, 600000, bytes_of(""), &err));
    next.leader = &member;
    assert_rc(EFX_EBUG, CALL(p, next_epoch, &next, &err));
    assert_record(p, 1, "record 1");
    next = next_of(p, 1, 2, 4, "right");
    assert_ok(CALL(p, next_epoch, &next, &err));
    assert_record(p, 2, "right");
    assert_ok(CALL(p, release, &p->leader, &err));
    next = next_of(p, 2, 3, 4, "nobody leads");
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &next, &err));
}

static void epoch__asked_for_twice_is_made_once(void **state)
{
    struct place *p = *state;
    place_found(p);
    struct efx_next next = next_of(p, 1, 2, 0, "two"), other = next_of(p, 1, 2, 0, "2");
    assert_ok(CALL(p, next_epoch, &next, &err));
    assert_ok(CALL(p, next_epoch, &next, &err));
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &other, &err));
    assert_ok(CALL(p, release, &p->leader, &err));
    assert_ok(CALL(p, next_epoch, &next, &err)); /* it was done, though its time is over */
    struct efx_lease old = p->leader;
    assert_ok(CALL(p, take, &p->leader, 600000, bytes_of(""), &err));
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &next, &err)); /* not this term's doing */
    struct efx_next three = next_of(p, 2, 3, 0, "three");
    assert_ok(CALL(p, next_epoch, &three, &err));
    next.leader = &old;
    assert_rc(EFX_ESTALE, CALL(p, next_epoch, &next, &err));
    assert_record(p, 3, "three");
}

static void epoch__ends_the_leases_of_the_evicted(void **state)
{
    struct place *p = *state;
    struct efx_lease a = lease_of("member:a", "a"), b = lease_of("member:b", "b"),
                     c = lease_of("member:c", "c");
    const char *evicted[] = {"nobody", "b"};
    place_found(p);
    assert_ok(CALL(p, take, &a, 600000, bytes_of(""), &err));
    assert_ok(CALL(p, take, &b, 600000, bytes_of(""), &err));
    assert_ok(CALL(p, take, &c, 600000, bytes_of(""), &err));
    struct efx_next next = next_of(p, 1, 2, 0, "without b");
    next.evicted = evicted;
    next.n_evicted = 2;
    next.n_alive_min = 2;
    assert_ok(CALL(p, next_epoch, &next, &err));
    assert_ok(CALL(p, renew, &a, 600000, bytes_of(""), &err));
    assert_ok(CALL(p, renew, &c, 600000, bytes_of(""), &err));
    assert_int_equal(a.epoch, 2);
    assert_rc(EFX_ESTALE, CALL(p, renew, &b, 600000, bytes_of(""), &err));
    assert_int_equal(b.epoch, 2); /* so it knows at once */
    uint64_t term = b.term;
    assert_ok(CALL(p, take, &b, 600000, bytes_of(""), &err));
    assert_true(b.term > term);
}

static void record__of_the_largest_size_goes_and_comes(void **state)
{
    struct place *p = *state;
    struct efx_bytes b = noise(EFX_RECORD_MAX + 1, 5);
    place_found(p);
    struct efx_next next = {.from = 1, .to = 2, .leader = &p->leader, .record = b};
    assert_rc(EFX_ELIMIT, CALL(p, next_epoch, &next, &err));
    next.record.n--;
    assert_ok(CALL(p, next_epoch, &next, &err));
    assert_ok(CALL(p, next_epoch, &next, &err));
    uint64_t epoch = 0;
    struct efx_writer w = {.p = malloc(next.record.n), .max = next.record.n};
    assert_ok(CALL(p, get_record, &epoch, &w, &err));
    assert_int_equal(w.n, next.record.n);
    assert_memory_equal(w.p, b.p, w.n);
    assert_rc(EFX_ELIMIT, CALL(p, get_record, &epoch, &w, &err));
    assert_int_equal(w.n, next.record.n);
    free(w.p);
    noise_free(b);
}

static void epoch_and_terms__survive_a_restart(void **state)
{
    struct place *p = *state;
    place_found(p);
    struct efx_next two = next_of(p, 1, 2, 0, "two");
    assert_ok(CALL(p, next_epoch, &two, &err));
    uint64_t term = p->leader.term;
    assert_ok(CALL(p, release, &p->leader, &err));
    place_reopen(p);
    assert_record(p, 2, "two");
    assert_ok(CALL(p, next_epoch, &two, &err)); /* done before */
    assert_ok(CALL(p, take, &p->leader, 600000, bytes_of(""), &err));
    assert_true(p->leader.term > term);
    assert_int_equal(p->leader.epoch, 2);
    struct efx_next three = next_of(p, 2, 3, 0, "three");
    assert_ok(CALL(p, next_epoch, &three, &err));
}

int main(void)
{
    static const struct kit_test tests[] = {
        OVER(ANY, lease__is_one_holders),
        OVER(ANY, lease__ends_by_itself),
        OVER(ANY, lease__that_is_renewed_lives_on),
        OVER(ANY, lease__is_taken_over_by_naming_its_term),
        OVER(ANY, leases__are_listed_by_name_with_what_they_say),
        OVER(ANY, lease__has_bounds),
        OVER(ANY, founding__wants_so_many_alive),
        OVER(ANY, founding__is_refused_where_something_stands),
        OVER(ANY, founding__may_begin_above_what_was_lost),
        OVER(ANY, epoch__needs_from_leader_term_and_start),
        OVER(ANY, epoch__asked_for_twice_is_made_once),
        OVER(ANY, epoch__ends_the_leases_of_the_evicted),
        OVER(ANY, record__of_the_largest_size_goes_and_comes),
        OVER(DURABLE, epoch_and_terms__survive_a_restart),
    };
    return kit_run(tests, sizeof tests / sizeof tests[0], false);
}
