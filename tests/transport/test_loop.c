/* The loop of this machine: timers, posts from other threads, and how it stops. */
#include "efx_loop_real.h"
#include "efx_test.h"

#include <pthread.h>
#include <string.h>

enum { THREADS = 4, TASKS = 64, POSTS = 20000 };

struct counter {
    struct efx_task task;
    struct efx_loop *loop;
    uint64_t n, order;
    struct counter *after;
    uint64_t *clock;
};

static void count(void *arg)
{
    struct counter *c = arg;
    c->n++;
    if (c->clock != NULL) {
        c->order = ++*c->clock;
    }
}

static void timers__come_in_order_and_not_too_early(void **state)
{
    (void)state;
    struct efx_loop *loop;
    struct counter c[50];
    uint64_t clock = 0;
    assert_int_equal(efx_loop_real_create(&efx_mem_libc, &loop, NULL), EFX_OK);
    uint64_t start = loop->vt->now_ns(loop);
    for (uint32_t i = 0; i < 50; i++) {
        c[i] = (struct counter){.task = {.fn = count, .arg = &c[i]}, .clock = &clock};
        uint64_t at_ns = start + (i * 37 % 50) * 300000;
        loop->vt->timer_set(loop, &c[i].task, at_ns + 1000000000);
        loop->vt->timer_set(loop, &c[i].task, at_ns);
    }
    loop->vt->timer_clear(loop, &c[0].task);
    loop->vt->cancel(loop, &c[1].task);
    while (clock < 48) {
        efx_loop_real_turn(loop, 1000000000);
    }
    assert_true(loop->vt->now_ns(loop) - start >= 49 * 300000);
    assert_int_equal(c[0].n + c[1].n, 0);
    for (uint32_t i = 2; i < 50; i++) {
        uint32_t due = i * 37 % 50, before = 0;
        for (uint32_t k = 2; k < 50; k++) {
            before += k * 37 % 50 < due;
        }
        assert_int_equal(c[i].n, 1);
        assert_int_equal(c[i].order, before + 1);
    }
    efx_loop_real_destroy(&loop);
}

struct poster {
    struct efx_loop *loop;
    struct counter *counters; /* [TASKS], shared by all */
    struct efx_task last;
    uint32_t *left;
    pthread_t thread;
};

static void one_less(void *arg)
{
    struct poster *p = arg;
    if (--*p->left == 0) {
        efx_loop_real_stop(p->loop);
    }
}

static void *post_many(void *arg)
{
    struct poster *p = arg;
    for (uint32_t i = 0; i < POSTS; i++) {
        struct efx_task *t = &p->counters[i % TASKS].task;
        p->loop->vt->post(p->loop, t);
    }
    p->loop->vt->post(p->loop, &p->last);
    return NULL;
}

static void posts_of_many_threads__all_run(void **state)
{
    (void)state;
    struct efx_loop *loop;
    struct counter c[TASKS];
    struct poster p[THREADS];
    uint32_t left = THREADS;
    assert_int_equal(efx_loop_real_create(&efx_mem_libc, &loop, NULL), EFX_OK);
    for (uint32_t i = 0; i < TASKS; i++) {
        c[i] = (struct counter){.task = {.fn = count, .arg = &c[i]}};
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        p[i] = (struct poster){.loop = loop, .counters = c, .left = &left};
        p[i].last = (struct efx_task){.fn = one_less, .arg = &p[i]};
        assert_int_equal(pthread_create(&p[i].thread, NULL, post_many, &p[i]), 0);
    }
    efx_loop_real_run(loop);
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(p[i].thread, NULL), 0);
    }
    for (uint32_t i = 0; i < TASKS; i++) {
        assert_true(c[i].n > 0 && c[i].n <= THREADS * (POSTS / TASKS + 1));
    }
    efx_loop_real_destroy(&loop);
}

/* One thread at a time hands a task over and waits until it ran: each wake counts. */
static void *ping(void *arg)
{
    struct poster *p = arg;
    for (uint32_t i = 1; i <= 2000; i++) {
        p->loop->vt->post(p->loop, &p->counters[0].task);
        while (__atomic_load_n(&p->counters[0].n, __ATOMIC_ACQUIRE) < i) {
        }
    }
    efx_loop_real_stop(p->loop);
    return NULL;
}

static void count_for_others(void *arg)
{
    struct counter *c = arg;
    __atomic_fetch_add(&c->n, 1, __ATOMIC_RELEASE);
}

static void a_sleeping_loop__never_misses_a_post(void **state)
{
    (void)state;
    struct efx_loop *loop;
    struct counter c = {.task = {.fn = count_for_others, .arg = &c}};
    assert_int_equal(efx_loop_real_create(&efx_mem_libc, &loop, NULL), EFX_OK);
    struct poster p = {.loop = loop, .counters = &c};
    assert_int_equal(pthread_create(&p.thread, NULL, ping, &p), 0);
    efx_loop_real_run(loop);
    assert_int_equal(pthread_join(p.thread, NULL), 0);
    assert_int_equal(c.n, 2000);
    efx_loop_real_destroy(&loop);
}

static void post_again(void *arg)
{
    struct counter *c = arg;
    if (++c->n < 100) {
        c->loop->vt->post(c->loop, &c->task);
    }
}

static void a_task__may_post_itself(void **state)
{
    (void)state;
    struct efx_loop *loop;
    struct counter c = {.task = {.fn = post_again, .arg = &c}};
    assert_int_equal(efx_loop_real_create(&efx_mem_libc, &loop, NULL), EFX_OK);
    c.loop = loop;
    loop->vt->post(loop, &c.task);
    for (uint32_t i = 1; i <= 100; i++) {
        efx_loop_real_turn(loop, 0);
        assert_int_equal(c.n, i); /* once a turn: others get theirs in between */
    }
    efx_loop_real_stop(loop);
    efx_loop_real_run(loop); /* the stop that came before counts */
    efx_loop_real_destroy(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers__come_in_order_and_not_too_early),
        cmocka_unit_test(posts_of_many_threads__all_run),
        cmocka_unit_test(a_sleeping_loop__never_misses_a_post),
        cmocka_unit_test(a_task__may_post_itself),
    };
    return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
