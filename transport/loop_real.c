/* The loop sleeps in libevent only after it has said so and has looked once more at what was
 * posted; whoever posts looks at that word afterwards. One of the two sees the other, so a wake
 * costs a system call only if the loop may really sleep. The timerfd is set when the first timer
 * comes earlier than it; if that timer moves away the descriptor fires once for nothing. */
#include "efx_loop_real.h"

#include "efx_world_real.h"
#include "tasks.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

struct loop_real {
    struct efx_loop base;
    struct efx_mem *mem;
    struct efx_tasks tasks;
    struct event_base *events;
    struct event wake_event, timer_event;
    uint64_t armed_ns; /* when the timerfd fires; UINT64_MAX = not */
    int wake_fd, timer_fd;
    bool asleep, stopped;
};

static struct loop_real *of(struct efx_loop *self)
{
    return (struct loop_real *)self;
}

static uint64_t now_ns(struct efx_loop *self)
{
    struct efx_world *w = efx_world_real();
    (void)self;
    return w->clock->boottime_ns(w);
}

static int64_t wall_ms(struct efx_loop *self)
{
    struct efx_world *w = efx_world_real();
    (void)self;
    return w->clock->wall_ms(w);
}

static uint64_t random_u64(struct efx_loop *self)
{
    struct efx_world *w = efx_world_real();
    (void)self;
    return w->dice->random(w);
}

static void timer_set(struct efx_loop *self, struct efx_task *t, uint64_t at_ns)
{
    efx_tasks__set(&of(self)->tasks, t, at_ns);
}

static void timer_clear(struct efx_loop *self, struct efx_task *t)
{
    efx_tasks__clear(&of(self)->tasks, t);
}

static void wake(struct loop_real *l)
{
    if (__atomic_load_n(&l->asleep, __ATOMIC_SEQ_CST)) {
        uint64_t one = 1;
        EFX_ASSERT(write(l->wake_fd, &one, sizeof one) == (ssize_t)sizeof one || errno == EAGAIN);
    }
}

static void post(struct efx_loop *self, struct efx_task *t)
{
    if (efx_tasks__post(&of(self)->tasks, t)) {
        wake(of(self));
    }
}

static void cancel(struct efx_loop *self, struct efx_task *t)
{
    efx_tasks__clear(&of(self)->tasks, t);
    efx_tasks__withdraw(&of(self)->tasks, t);
}

static const struct efx_loop_vt loop_vt = {
    .now_ns = now_ns,
    .wall_ms = wall_ms,
    .random = random_u64,
    .timer_set = timer_set,
    .timer_clear = timer_clear,
    .post = post,
    .cancel = cancel,
};

/* ---- turns ---- */

static void empty(evutil_socket_t fd, short what, void *arg)
{
    uint64_t n;
    (void)what;
    (void)arg;
    EFX_ASSERT(read(fd, &n, sizeof n) == (ssize_t)sizeof n || errno == EAGAIN || errno == EINTR);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct loop_real *l = arg;
    empty(fd, what, NULL);
    l->armed_ns = UINT64_MAX;
}

static void arm(struct loop_real *l, uint64_t at_ns)
{
    if (at_ns >= l->armed_ns) {
        return;
    }
    at_ns = at_ns == 0 ? 1 : at_ns; /* 0 would disarm */
    struct itimerspec t = {
        .it_value = {(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)},
    };
    EFX_ASSERT(timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &t, NULL) == 0);
    l->armed_ns = at_ns;
}

/* What is posted meanwhile waits for the next turn: descriptors get theirs in between. */
static bool run_posted(struct loop_real *l)
{
    bool ran = false;
    struct efx_task *t = efx_tasks__next_posted(&l->tasks);
    while (t != NULL) {
        t->fn(t->arg);
        t = l->tasks.ready == NULL ? NULL : efx_tasks__next_posted(&l->tasks);
        ran = true;
    }
    return ran;
}

static bool run_due(struct loop_real *l)
{
    uint64_t now = now_ns(&l->base);
    struct efx_task *t;
    bool ran = false;
    while ((t = efx_tasks__next_due(&l->tasks, now)) != NULL) {
        t->fn(t->arg);
        ran = true;
    }
    return ran;
}

/* Looks at the descriptors, and sleeps until until_ns if nothing else is to be done. */
static void look(struct loop_real *l, uint64_t until_ns)
{
    uint64_t next = efx_tasks__next_ns(&l->tasks);
    next = until_ns < next ? until_ns : next;
    if (until_ns != 0 && next != UINT64_MAX) {
        arm(l, next);
    }
    __atomic_store_n(&l->asleep, true, __ATOMIC_SEQ_CST);
    bool stay = until_ns == 0 || efx_tasks__any_posted(&l->tasks) ||
                __atomic_load_n(&l->stopped, __ATOMIC_SEQ_CST);
    EFX_ASSERT(event_base_loop(l->events, EVLOOP_ONCE | (stay ? EVLOOP_NONBLOCK : 0)) >= 0);
    __atomic_store_n(&l->asleep, false, __ATOMIC_SEQ_CST);
}

void efx_loop_real_turn(struct efx_loop *loop, uint64_t max_ns)
{
    struct loop_real *l = of(loop);
    bool ran = run_posted(l);
    ran = run_due(l) || ran;
    uint64_t now = now_ns(loop);
    look(l, ran || max_ns == 0 ? 0 : max_ns < UINT64_MAX - now ? now + max_ns : UINT64_MAX);
}

void efx_loop_real_run(struct efx_loop *loop)
{
    struct loop_real *l = of(loop);
    while (!__atomic_exchange_n(&l->stopped, false, __ATOMIC_SEQ_CST)) {
        (void)run_posted(l);
        (void)run_due(l);
        look(l, UINT64_MAX);
    }
}

void efx_loop_real_stop(struct efx_loop *loop)
{
    __atomic_store_n(&of(loop)->stopped, true, __ATOMIC_SEQ_CST);
    wake(of(loop));
}

struct event_base *efx_loop_real_base(struct efx_loop *loop)
{
    EFX_ASSERT(efx_loop_is_real(loop));
    return of(loop)->events;
}

bool efx_loop_is_real(const struct efx_loop *loop)
{
    return loop->vt == &loop_vt;
}

/* ---- making ---- */

static struct event_base *make_base(void)
{
    struct event_config *c = event_config_new();
    if (c == NULL) {
        return NULL;
    }
    (void)event_config_set_flag(c, EVENT_BASE_FLAG_NOLOCK);
    struct event_base *base = event_base_new_with_config(c);
    event_config_free(c);
    return base;
}

static bool watch(struct loop_real *l, struct event *e, int fd, event_callback_fn fn)
{
    return fd >= 0 && event_assign(e, l->events, fd, EV_READ | EV_PERSIST, fn, l) == 0 &&
           event_add(e, NULL) == 0;
}

void efx_loop_real_destroy(struct efx_loop **loop)
{
    if (*loop == NULL) {
        return;
    }
    struct loop_real *l = of(*loop);
    efx_tasks__fini(&l->tasks);
    if (l->events != NULL) {
        event_base_free(l->events);
    }
    if (l->wake_fd >= 0) {
        (void)close(l->wake_fd);
    }
    if (l->timer_fd >= 0) {
        (void)close(l->timer_fd);
    }
    l->mem->free(l->mem, l, sizeof *l);
    *loop = NULL;
}

enum efx_rc efx_loop_real_create(struct efx_mem *mem, struct efx_loop **out, struct efx_err *err)
{
    struct loop_real *l = mem->alloc(mem, sizeof *l);
    if (l == NULL) {
        return EFX_FAIL(err, EFX_ENOMEM, EFX_KIND_ENV, 0, "no memory for a loop");
    }
    *l = (struct loop_real){.base = {&loop_vt}, .mem = mem, .armed_ns = UINT64_MAX};
    efx_tasks__init(&l->tasks, mem);
    l->events = make_base();
    l->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->events == NULL || !watch(l, &l->wake_event, l->wake_fd, empty) ||
        !watch(l, &l->timer_event, l->timer_fd, on_timer)) {
        struct efx_loop *half = &l->base;
        efx_loop_real_destroy(&half);
        return EFX_FAIL(err, EFX_EIO, EFX_KIND_ENV, 0, "no descriptors for a loop: %m");
    }
    *out = &l->base;
    return EFX_OK;
}
