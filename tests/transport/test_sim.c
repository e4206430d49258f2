/* The simulation: the same seed gives the same run, time, and each fault as its header says. */
#include "efx_sim.h"
#include "efx_test.h"

#include <stdio.h>
#include <string.h>

enum { MEMBERS = 3 };
#define MS 1000000ull

/* One side of a link and all that it saw, as text: "up 1 2 down(-6)". */
struct side {
    struct efx_link *link;
    struct efx_transport *of;
    char log[4096];
    size_t n;
    uint32_t last;
    bool in_order;
};

struct fixture {
    struct efx_sim *sim;
    struct efx_transport *nets[MEMBERS];
    struct side there[MEMBERS], here;
};

static void note(struct side *s, const char *text)
{
    s->n += (size_t)snprintf(s->log + s->n, sizeof s->log - s->n, "%s ", text);
    assert_true(s->n < sizeof s->log);
}

static void on_up(void *arg, struct efx_link *link)
{
    (void)link;
    note(arg, "up");
}

static void on_message(void *arg, struct efx_link *link, const struct efx_msg *msg)
{
    struct side *s = arg;
    uint32_t v;
    assert_ptr_equal(link, s->link);
    assert_int_equal(msg->payload.n, sizeof v);
    memcpy(&v, msg->payload.p, sizeof v);
    s->in_order = s->in_order && v == s->last + 1;
    s->last = v;
}

static void on_room(void *arg, struct efx_link *link)
{
    (void)link;
    note(arg, "room");
}

static void on_down(void *arg, struct efx_link *link, enum efx_rc why)
{
    struct side *s = arg;
    char text[32];
    (void)link;
    (void)snprintf(text, sizeof text, "down(%d)", (int)why);
    note(s, text);
    s->link = NULL;
}

static const struct efx_link_user user = {on_up, on_message, on_room, on_down};

static void on_accepted(void *arg, struct efx_link *link)
{
    struct side *s = arg;
    *s = (struct side){.link = link, .of = link->of, .in_order = true};
    note(s, "accepted");
    link->of->vt->use(link, &user, s);
}

static void start(struct fixture *f, uint64_t seed)
{
    *f = (struct fixture){0};
    struct efx_sim_options o = {.mem = &efx_mem_libc, .seed = seed, .n_members = MEMBERS};
    assert_int_equal(efx_sim_create(&o, &f->sim), EFX_OK);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "sim:%u", i);
        assert_int_equal(efx_sim_transport(f->sim, i, &f->nets[i]), EFX_OK);
        assert_int_equal(f->nets[i]->vt->listen(f->nets[i], name, on_accepted, &f->there[i], NULL),
                         EFX_OK);
    }
}

static void stop(struct fixture *f)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        if (f->nets[i] != NULL) {
            f->nets[i]->vt->destroy(&f->nets[i]);
        }
    }
    efx_sim_destroy(&f->sim);
}

static void dial(struct fixture *f, uint32_t from, const char *address)
{
    f->here = (struct side){.of = f->nets[from], .in_order = true};
    assert_int_equal(
        f->nets[from]->vt->connect(f->nets[from], address, &user, &f->here, &f->here.link, NULL),
        EFX_OK);
}

static enum efx_rc say(struct side *s, uint32_t v)
{
    struct efx_msg m = {.type = EFX_MSG_EVENT, .payload = {(const uint8_t *)&v, sizeof v}};
    return s->of->vt->send(s->link, &m);
}

static void go(struct fixture *f, uint64_t ms)
{
    efx_sim_run(f->sim, efx_sim_now_ns(f->sim) + ms * MS);
}

/* ---- time and tasks ---- */

struct ticker {
    struct efx_task task;
    struct efx_loop *loop;
    struct fixture *f;
    uint64_t order, at_ns;
    uint32_t n;
};

static void tick(void *arg)
{
    struct ticker *t = arg;
    t->order = t->order * 3 + efx_sim_random(t->f->sim) % 3;
    t->at_ns = efx_sim_now_ns(t->f->sim);
    if (++t->n < 50) {
        t->loop->vt->timer_set(t->loop, &t->task, t->loop->vt->now_ns(t->loop) + 10 * MS);
    }
}

static void timers__fire_in_order_and_not_before_their_time(void **state)
{
    struct fixture f;
    struct ticker a = {0}, b = {0}, c = {0};
    (void)state;
    start(&f, 1);
    struct efx_loop *loop = efx_sim_loop(f.sim, 0);
    a = (struct ticker){.task = {.fn = tick, .arg = &a}, .loop = loop, .f = &f, .n = 49};
    b = (struct ticker){.task = {.fn = tick, .arg = &b}, .loop = loop, .f = &f, .n = 49};
    c = (struct ticker){.task = {.fn = tick, .arg = &c}, .loop = loop, .f = &f, .n = 49};
    uint64_t now = loop->vt->now_ns(loop);
    loop->vt->timer_set(loop, &a.task, now + 30 * MS);
    loop->vt->timer_set(loop, &b.task, now + 10 * MS);
    loop->vt->timer_set(loop, &c.task, now + 20 * MS);
    loop->vt->timer_set(loop, &b.task, now + 40 * MS);
    loop->vt->timer_clear(loop, &c.task);
    assert_true(efx_sim_step(f.sim));
    assert_int_equal(a.n, 50);
    assert_int_equal(a.at_ns, 30 * MS);
    assert_true(efx_sim_step(f.sim));
    assert_int_equal(b.n, 50);
    assert_false(efx_sim_step(f.sim));
    assert_int_equal(c.n, 49);
    stop(&f);
}

static void a_posted_task__runs_once_and_may_be_cancelled(void **state)
{
    struct fixture f;
    struct ticker t[5];
    (void)state;
    start(&f, 2);
    struct efx_loop *loop = efx_sim_loop(f.sim, 1);
    for (uint32_t i = 0; i < 5; i++) {
        t[i] = (struct ticker){.task = {.fn = tick, .arg = &t[i]}, .loop = loop, .f = &f, .n = 50};
        loop->vt->post(loop, &t[i].task);
        loop->vt->post(loop, &t[i].task);
    }
    loop->vt->cancel(loop, &t[0].task);
    loop->vt->cancel(loop, &t[2].task);
    loop->vt->cancel(loop, &t[4].task);
    while (efx_sim_step(f.sim)) {
    }
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(t[i].n, i % 2 == 1 ? 51 : 50);
    }
    stop(&f);
}

static void clocks_of_members__do_not_agree_and_walls_can_be_skewed(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 3);
    struct efx_loop *a = efx_sim_loop(f.sim, 0), *b = efx_sim_loop(f.sim, 1);
    struct efx_world *w = efx_sim_world(f.sim, 1);
    assert_true(a->vt->now_ns(a) != b->vt->now_ns(b));
    assert_int_equal(a->vt->wall_ms(a), 1700000000000);
    efx_sim_skew(f.sim, 1, -5000);
    assert_int_equal(w->clock->wall_ms(w), 1700000000000 - 5000);
    uint64_t before = w->clock->boottime_ns(w);
    w->clock->sleep_ns(w, 7 * MS);
    assert_int_equal(w->clock->boottime_ns(w), before + 7 * MS);
    assert_int_equal(b->vt->now_ns(b), before + 7 * MS);
    stop(&f);
}

/* ---- links ---- */

static uint64_t run_of(uint64_t seed)
{
    struct fixture f;
    struct ticker t[MEMBERS];
    uint64_t digest = 0;
    start(&f, seed);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct efx_loop *loop = efx_sim_loop(f.sim, i);
        t[i] = (struct ticker){.task = {.fn = tick, .arg = &t[i]}, .loop = loop, .f = &f};
        loop->vt->post(loop, &t[i].task);
    }
    dial(&f, 0, "sim:1");
    go(&f, 20);
    for (uint32_t i = 1; i <= 100; i++) {
        assert_int_equal(say(&f.here, i), EFX_OK);
    }
    go(&f, 100);
    assert_int_equal(f.there[1].last, 100);
    assert_true(f.there[1].in_order);
    go(&f, 1000);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        digest = digest * 31 + t[i].order + t[i].at_ns;
    }
    stop(&f);
    return digest;
}

static void one_seed__gives_one_run(void **state)
{
    (void)state;
    assert_true(run_of(7) == run_of(7));
    assert_true(run_of(7) != run_of(8));
}

static void messages_of_two_links__overtake_each_other(void **state)
{
    (void)state;
    bool first = false, second = false;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture f;
        start(&f, seed);
        dial(&f, 0, "sim:1");
        go(&f, 100);
        struct side one = f.here;
        f.here.link->of->vt->use(f.here.link, &user, &one);
        dial(&f, 0, "sim:2");
        go(&f, 100);
        assert_int_equal(say(&one, 1), EFX_OK);
        assert_int_equal(say(&f.here, 1), EFX_OK);
        while (f.there[1].last == 0 && f.there[2].last == 0) {
            assert_true(efx_sim_step(f.sim));
        }
        first |= f.there[1].last == 1;
        second |= f.there[2].last == 1;
        stop(&f);
    }
    assert_true(first && second);
}

/* ---- faults ---- */

static void a_killed_member__breaks_its_links_and_refuses_new_ones(void **state)
{
    (void)state;
    uint32_t fewest = UINT32_MAX, most = 0;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct fixture f;
        start(&f, seed);
        dial(&f, 0, "sim:1");
        go(&f, 100);
        for (uint32_t i = 1; i <= 10; i++) {
            assert_int_equal(say(&f.there[1], i), EFX_OK);
        }
        efx_sim_kill(f.sim, 1);
        assert_true(efx_sim_is_dead(f.sim, 1));
        assert_int_equal(say(&f.there[1], 11), EFX_EIO);
        go(&f, 500);
        assert_string_equal(f.here.log, "up down(-6) ");
        assert_true(f.here.in_order);
        assert_string_equal(f.there[1].log, "accepted ");
        fewest = f.here.last < fewest ? f.here.last : fewest;
        most = f.here.last > most ? f.here.last : most;
        dial(&f, 0, "sim:1");
        go(&f, 100);
        assert_string_equal(f.here.log, "down(-7) ");
        f.nets[1]->vt->destroy(&f.nets[1]);
        efx_sim_revive(f.sim, 1);
        assert_int_equal(efx_sim_transport(f.sim, 1, &f.nets[1]), EFX_OK);
        assert_int_equal(f.nets[1]->vt->listen(f.nets[1], "sim:1", on_accepted, &f.there[1], NULL),
                         EFX_OK);
        dial(&f, 2, "sim:1");
        go(&f, 100);
        assert_string_equal(f.here.log, "up ");
        assert_string_equal(f.there[1].log, "accepted ");
        stop(&f);
    }
    assert_true(fewest < 4 && most > 6);
}

static void a_paused_member__keeps_its_links_and_reads_later(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 5);
    efx_sim_pause(f.sim, 1, true);
    dial(&f, 0, "sim:1");
    go(&f, 100);
    assert_string_equal(f.here.log, "up ");
    assert_int_equal(say(&f.here, 1), EFX_OK);
    go(&f, 60000);
    assert_string_equal(f.here.log, "up ");
    assert_string_equal(f.there[1].log, "");
    efx_sim_pause(f.sim, 1, false);
    go(&f, 100);
    assert_string_equal(f.there[1].log, "accepted ");
    assert_int_equal(f.there[1].last, 1);
    stop(&f);
}

static void a_cut__holds_messages_until_it_is_healed(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 6);
    dial(&f, 0, "sim:1");
    go(&f, 100);
    efx_sim_cut(f.sim, 0, 1, 0);
    assert_int_equal(say(&f.here, 1), EFX_OK);
    assert_int_equal(say(&f.there[1], 1), EFX_OK);
    go(&f, 60000);
    assert_int_equal(f.here.last, 1); /* the other direction is open */
    assert_int_equal(f.there[1].last, 0);
    efx_sim_heal(f.sim, 0, 1);
    go(&f, 100);
    assert_int_equal(f.there[1].last, 1);
    assert_string_equal(f.here.log, "up ");
    stop(&f);
}

static void a_cut__breaks_links_after_a_while_and_lets_connects_time_out(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 7);
    dial(&f, 0, "sim:1");
    go(&f, 100);
    efx_sim_cut_pair(f.sim, 0, 1, 1000 * MS);
    go(&f, 400);
    assert_string_equal(f.here.log, "up ");
    go(&f, 1000);
    assert_string_equal(f.here.log, "up down(-6) ");
    assert_string_equal(f.there[1].log, "accepted down(-6) ");
    efx_sim_kill(f.sim, 1);
    dial(&f, 0, "sim:1");
    go(&f, 4000);
    assert_string_equal(f.here.log, ""); /* not even that nobody is there */
    go(&f, 2000);
    assert_string_equal(f.here.log, "down(-6) ");
    efx_sim_heal(f.sim, 0, 1);
    dial(&f, 0, "sim:1");
    go(&f, 100);
    assert_string_equal(f.here.log, "down(-7) ");
    stop(&f);
}

static void a_broken_pair__loses_its_links_but_can_connect(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 8);
    dial(&f, 0, "sim:1");
    go(&f, 100);
    efx_sim_break(f.sim, 1, 0);
    go(&f, 100);
    assert_string_equal(f.here.log, "up down(-6) ");
    assert_string_equal(f.there[1].log, "accepted down(-6) ");
    dial(&f, 0, "sim:1");
    go(&f, 100);
    assert_string_equal(f.here.log, "up ");
    stop(&f);
}

/* ---- real time ---- */

static void real_time__needs_no_clock_to_be_moved(void **state)
{
    struct fixture f = {0};
    (void)state;
    struct efx_sim_options o = {.mem = &efx_mem_libc, .n_members = 2, .real_time = true};
    assert_int_equal(efx_sim_create(&o, &f.sim), EFX_OK);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(efx_sim_transport(f.sim, i, &f.nets[i]), EFX_OK);
    }
    assert_int_equal(f.nets[1]->vt->listen(f.nets[1], "sim:b", on_accepted, &f.there[1], NULL),
                     EFX_OK);
    dial(&f, 0, "sim:b");
    uint32_t sent = 0;
    while (f.there[1].last < 100000) {
        while (f.here.n != 0 && sent < 100000 && say(&f.here, sent + 1) == EFX_OK) {
            sent++;
        }
        if (!efx_sim_step(f.sim)) {
            efx_sim_wait(f.sim, 1000 * MS);
        }
    }
    assert_true(f.there[1].in_order);
    stop(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers__fire_in_order_and_not_before_their_time),
        cmocka_unit_test(a_posted_task__runs_once_and_may_be_cancelled),
        cmocka_unit_test(clocks_of_members__do_not_agree_and_walls_can_be_skewed),
        cmocka_unit_test(one_seed__gives_one_run),
        cmocka_unit_test(messages_of_two_links__overtake_each_other),
        cmocka_unit_test(a_killed_member__breaks_its_links_and_refuses_new_ones),
        cmocka_unit_test(a_paused_member__keeps_its_links_and_reads_later),
        cmocka_unit_test(a_cut__holds_messages_until_it_is_healed),
        cmocka_unit_test(a_cut__breaks_links_after_a_while_and_lets_connects_time_out),
        cmocka_unit_test(a_broken_pair__loses_its_links_but_can_connect),
        cmocka_unit_test(real_time__needs_no_clock_to_be_moved),
    };
    return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
