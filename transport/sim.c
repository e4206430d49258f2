/* Time and turns of the simulation. A step picks among the members that have something due: by the
 * dice with virtual time, in a circle with real time. With virtual time a task takes task_ns, so a
 * task that posts itself for ever does not stop the clock. */
#define _GNU_SOURCE /* ppoll */
#include "sim.h"

#include "efx_world_real.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000 };

uint64_t efx_sim__random(uint64_t *state)
{
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

uint64_t efx_sim_random(struct efx_sim *sim)
{
    return efx_sim__random(&sim->random);
}

uint64_t efx_sim_now_ns(struct efx_sim *sim)
{
    if (sim->o.real_time) {
        struct efx_world *w = efx_world_real();
        return w->clock->boottime_ns(w) - sim->start_ns;
    }
    return __atomic_load_n(&sim->now_ns, __ATOMIC_RELAXED);
}

static void move_clock(struct efx_sim *sim, uint64_t to_ns)
{
    if (to_ns > sim->now_ns) {
        __atomic_store_n(&sim->now_ns, to_ns, __ATOMIC_RELAXED);
    }
}

/* ---- a member's loop ---- */

static struct efx_sim_member *of_loop(struct efx_loop *self)
{
    return (struct efx_sim_member *)self;
}

static uint64_t loop_now_ns(struct efx_loop *self)
{
    struct efx_sim_member *m = of_loop(self);
    return efx_sim_now_ns(m->sim) + m->boot_ns;
}

static int64_t member_wall_ms(const struct efx_sim_member *m)
{
    if (m->sim->o.real_time) {
        struct efx_world *w = efx_world_real();
        return w->clock->wall_ms(w) + m->skew_ms;
    }
    return m->sim->o.wall_ms + (int64_t)(efx_sim_now_ns(m->sim) / NS_PER_MS) + m->skew_ms;
}

static int64_t loop_wall_ms(struct efx_loop *self)
{
    return member_wall_ms(of_loop(self));
}

static uint64_t member_random(struct efx_sim_member *m)
{
    if (m->sim->o.real_time) {
        struct efx_world *w = efx_world_real();
        return w->dice->random(w);
    }
    return efx_sim__random(&m->random);
}

static uint64_t loop_random(struct efx_loop *self)
{
    return member_random(of_loop(self));
}

static void loop_timer_set(struct efx_loop *self, struct efx_task *t, uint64_t at_ns)
{
    struct efx_sim_member *m = of_loop(self);
    if (!m->dead) {
        efx_tasks__set(&m->tasks, t, at_ns);
    }
}

static void loop_timer_clear(struct efx_loop *self, struct efx_task *t)
{
    efx_tasks__clear(&of_loop(self)->tasks, t);
}

static void loop_cancel(struct efx_loop *self, struct efx_task *t)
{
    efx_tasks__clear(&of_loop(self)->tasks, t);
    efx_tasks__withdraw(&of_loop(self)->tasks, t);
}

/* The driver looks at the posted ones after it has said that it sleeps, and whoever posts looks at
 * `asleep` afterwards: one of the two sees the other. */
static void loop_post(struct efx_loop *self, struct efx_task *t)
{
    struct efx_sim_member *m = of_loop(self);
    struct efx_sim *sim = m->sim;
    if (__atomic_load_n(&m->dead, __ATOMIC_RELAXED) || !efx_tasks__post(&m->tasks, t)) {
        return;
    }
    if (sim->o.real_time && __atomic_load_n(&sim->asleep, __ATOMIC_SEQ_CST)) {
        uint64_t one = 1;
        EFX_ASSERT(write(sim->wake_fd, &one, sizeof one) == (ssize_t)sizeof one);
    }
}

static const struct efx_loop_vt loop_vt = {
    .now_ns = loop_now_ns,
    .wall_ms = loop_wall_ms,
    .random = loop_random,
    .timer_set = loop_timer_set,
    .timer_clear = loop_timer_clear,
    .post = loop_post,
    .cancel = loop_cancel,
};

void efx_sim__at(struct efx_sim_member *m, struct efx_task *t, uint64_t at_ns)
{
    loop_timer_set(&m->loop, t, at_ns + m->boot_ns);
}

/* ---- a member's world ---- */

static struct efx_sim_member *of_world(struct efx_world *w)
{
    return (struct efx_sim_member *)((char *)w - offsetof(struct efx_sim_member, world));
}

static int64_t world_wall_ms(struct efx_world *w)
{
    return member_wall_ms(of_world(w));
}

static uint64_t world_now_ns(struct efx_world *w)
{
    return loop_now_ns(&of_world(w)->loop);
}

static void world_sleep_ns(struct efx_world *w, uint64_t ns)
{
    struct efx_sim *sim = of_world(w)->sim;
    if (sim->o.real_time) {
        struct efx_world *real = efx_world_real();
        real->clock->sleep_ns(real, ns);
    } else {
        move_clock(sim, sim->now_ns + ns);
    }
}

static uint64_t world_random(struct efx_world *w)
{
    return member_random(of_world(w));
}

static const struct efx_clock_vt clock_vt = {
    .wall_ms = world_wall_ms,
    .monotonic_ns = world_now_ns,
    .boottime_ns = world_now_ns,
    .sleep_ns = world_sleep_ns,
};
static const struct efx_dice_vt dice_vt = {.random = world_random};

/* ---- the simulation ---- */

static void with_defaults(struct efx_sim_options *o)
{
    o->wall_ms = o->wall_ms != 0 ? o->wall_ms : 1700000000000;
    o->task_ns = o->task_ns != 0 ? o->task_ns : 1000;
    o->delay_min_ns = o->delay_min_ns != 0 ? o->delay_min_ns : 20000;
    o->delay_max_ns = o->delay_max_ns != 0 ? o->delay_max_ns : NS_PER_MS;
    o->connect_ns = o->connect_ns != 0 ? o->connect_ns : 5000000000;
    o->frame_bytes_max = o->frame_bytes_max != 0 ? o->frame_bytes_max : (size_t)32 << 20;
    o->queue_bytes_max = o->queue_bytes_max != 0 ? o->queue_bytes_max : (size_t)8 << 20;
    o->links_max = o->links_max != 0 ? o->links_max : 1024;
    EFX_ASSERT(o->delay_min_ns <= o->delay_max_ns);
}

static size_t sim_bytes(uint32_t n_members)
{
    return sizeof(struct efx_sim) + n_members * sizeof(struct efx_sim_member);
}

static void member_init(struct efx_sim *sim, uint32_t i)
{
    struct efx_sim_member *m = &sim->members[i];
    m->loop.vt = &loop_vt;
    m->world = (struct efx_world){.clock = &clock_vt, .dice = &dice_vt};
    m->sim = sim;
    m->index = i;
    m->random = efx_sim__random(&sim->random);
    m->boot_ns = sim->o.real_time ? sim->start_ns : efx_sim__random(&sim->random) >> 22;
    efx_tasks__init(&m->tasks, sim->o.mem);
}

enum efx_rc efx_sim_create(const struct efx_sim_options *options, struct efx_sim **out)
{
    EFX_ASSERT(options->n_members > 0 && options->n_members <= EFX_SIM_MEMBERS_MAX);
    struct efx_sim *sim = options->mem->alloc(options->mem, sim_bytes(options->n_members));
    if (sim == NULL) {
        return EFX_ENOMEM;
    }
    memset(sim, 0, sim_bytes(options->n_members));
    sim->o = *options;
    with_defaults(&sim->o);
    sim->random = options->seed;
    sim->net_random = efx_sim__random(&sim->random);
    sim->wake_fd = -1;
    if (options->real_time) {
        struct efx_world *w = efx_world_real();
        sim->start_ns = w->clock->boottime_ns(w);
        sim->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (sim->wake_fd < 0) {
            options->mem->free(options->mem, sim, sim_bytes(options->n_members));
            return EFX_EIO;
        }
    }
    for (uint32_t i = 0; i < options->n_members; i++) {
        member_init(sim, i);
    }
    *out = sim;
    return EFX_OK;
}

void efx_sim_destroy(struct efx_sim **psim)
{
    struct efx_sim *sim = *psim;
    if (sim == NULL) {
        return;
    }
    for (uint32_t i = 0; i < sim->o.n_members; i++) {
        EFX_ASSERT(sim->members[i].nets == NULL);
        efx_tasks__fini(&sim->members[i].tasks);
    }
    efx_sim__net_fini(sim);
    if (sim->wake_fd >= 0) {
        (void)close(sim->wake_fd);
    }
    sim->o.mem->free(sim->o.mem, sim, sim_bytes(sim->o.n_members));
    *psim = NULL;
}

static struct efx_sim_member *member_of(struct efx_sim *sim, uint32_t i)
{
    EFX_ASSERT(i < sim->o.n_members);
    return &sim->members[i];
}

struct efx_loop *efx_sim_loop(struct efx_sim *sim, uint32_t member)
{
    return &member_of(sim, member)->loop;
}

struct efx_world *efx_sim_world(struct efx_sim *sim, uint32_t member)
{
    return &member_of(sim, member)->world;
}

/* ---- steps ---- */

static uint64_t next_ns(const struct efx_sim_member *m, uint64_t now_ns)
{
    if (m->dead || m->paused) {
        return UINT64_MAX;
    }
    if (efx_tasks__any_posted(&m->tasks)) {
        return now_ns;
    }
    uint64_t at_ns = efx_tasks__next_ns(&m->tasks);
    if (at_ns == UINT64_MAX) {
        return at_ns;
    }
    return at_ns < m->boot_ns ? 0 : at_ns - m->boot_ns;
}

/* When the first task of all is due, and how many members have one then or earlier than now. */
static uint64_t look(struct efx_sim *sim, uint64_t now_ns, uint32_t *n_due)
{
    uint64_t first = UINT64_MAX;
    *n_due = 0;
    for (uint32_t i = 0; i < sim->o.n_members; i++) {
        uint64_t at_ns = next_ns(&sim->members[i], now_ns);
        first = at_ns < first ? at_ns : first;
        *n_due += at_ns <= now_ns;
    }
    return first;
}

static struct efx_sim_member *pick(struct efx_sim *sim, uint64_t now_ns, uint32_t n_due)
{
    uint32_t n = sim->o.n_members;
    uint32_t skip = sim->o.real_time ? 0 : (uint32_t)(efx_sim__random(&sim->random) % n_due);
    uint32_t from = sim->o.real_time ? sim->turn++ : 0;
    for (uint32_t i = 0; i < n; i++) {
        struct efx_sim_member *m = &sim->members[(from + i) % n];
        if (next_ns(m, now_ns) <= now_ns && skip-- == 0) {
            return m;
        }
    }
    efx_panic(__FILE__, __LINE__, "nobody is due");
}

static void run_one(struct efx_sim *sim, struct efx_sim_member *m, uint64_t now_ns)
{
    bool timer_first = !efx_tasks__any_posted(&m->tasks) || efx_sim__random(&sim->random) % 2 == 0;
    struct efx_task *t = NULL;
    if (timer_first) {
        t = efx_tasks__next_due(&m->tasks, now_ns + m->boot_ns);
    }
    t = t != NULL ? t : efx_tasks__next_posted(&m->tasks);
    t = t != NULL ? t : efx_tasks__next_due(&m->tasks, now_ns + m->boot_ns);
    EFX_ASSERT(t != NULL);
    t->fn(t->arg);
}

static bool step_until(struct efx_sim *sim, uint64_t until_ns)
{
    uint32_t n_due;
    uint64_t now_ns = efx_sim_now_ns(sim);
    uint64_t first = look(sim, now_ns, &n_due);
    if (n_due == 0) {
        if (sim->o.real_time || first > until_ns || first == UINT64_MAX) {
            return false;
        }
        move_clock(sim, first);
        now_ns = first;
        (void)look(sim, now_ns, &n_due);
    }
    run_one(sim, pick(sim, now_ns, n_due), now_ns);
    if (!sim->o.real_time) {
        move_clock(sim, sim->now_ns + sim->o.task_ns);
    }
    return true;
}

bool efx_sim_step(struct efx_sim *sim)
{
    return step_until(sim, UINT64_MAX);
}

void efx_sim_run(struct efx_sim *sim, uint64_t until_ns)
{
    while (efx_sim_now_ns(sim) <= until_ns && step_until(sim, until_ns)) {
    }
    if (!sim->o.real_time) {
        move_clock(sim, until_ns);
    }
}

void efx_sim_wait(struct efx_sim *sim, uint64_t max_ns)
{
    uint32_t n_due;
    EFX_ASSERT(sim->o.real_time);
    __atomic_store_n(&sim->asleep, true, __ATOMIC_SEQ_CST);
    uint64_t now_ns = efx_sim_now_ns(sim);
    uint64_t first = look(sim, now_ns, &n_due);
    if (n_due == 0) {
        uint64_t ns = first - now_ns < max_ns ? first - now_ns : max_ns;
        struct timespec t = {(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
        struct pollfd p = {.fd = sim->wake_fd, .events = POLLIN};
        (void)ppoll(&p, 1, &t, NULL);
    }
    __atomic_store_n(&sim->asleep, false, __ATOMIC_SEQ_CST);
    uint64_t woken;
    while (read(sim->wake_fd, &woken, sizeof woken) > 0) {
    }
}

/* ---- faults ---- */

void efx_sim_pause(struct efx_sim *sim, uint32_t member, bool paused)
{
    member_of(sim, member)->paused = paused;
}

void efx_sim_kill(struct efx_sim *sim, uint32_t member)
{
    struct efx_sim_member *m = member_of(sim, member);
    if (m->dead) {
        return;
    }
    __atomic_store_n(&m->dead, true, __ATOMIC_RELAXED);
    m->paused = false;
    efx_tasks__drop(&m->tasks);
    efx_sim__net_kill(m);
}

/* What other threads had posted while the member died is forgotten here. */
void efx_sim_revive(struct efx_sim *sim, uint32_t member)
{
    struct efx_sim_member *m = member_of(sim, member);
    if (m->dead) {
        efx_tasks__drop(&m->tasks);
        __atomic_store_n(&m->dead, false, __ATOMIC_RELAXED);
    }
    m->paused = false;
}

bool efx_sim_is_dead(const struct efx_sim *sim, uint32_t member)
{
    EFX_ASSERT(member < sim->o.n_members);
    return sim->members[member].dead;
}

void efx_sim_cut(struct efx_sim *sim, uint32_t from, uint32_t to, uint64_t break_after_ns)
{
    struct efx_sim_member *a = member_of(sim, from), *b = member_of(sim, to);
    sim->cut[from][to] = true;
    efx_sim__net_cut(a, b, break_after_ns);
}

void efx_sim_cut_pair(struct efx_sim *sim, uint32_t a, uint32_t b, uint64_t break_after_ns)
{
    efx_sim_cut(sim, a, b, break_after_ns);
    efx_sim_cut(sim, b, a, break_after_ns);
}

void efx_sim_heal(struct efx_sim *sim, uint32_t a, uint32_t b)
{
    struct efx_sim_member *ma = member_of(sim, a), *mb = member_of(sim, b);
    sim->cut[a][b] = sim->cut[b][a] = false;
    efx_sim__net_heal(ma, mb);
}

void efx_sim_break(struct efx_sim *sim, uint32_t a, uint32_t b)
{
    struct efx_sim_member *ma = member_of(sim, a), *mb = member_of(sim, b);
    efx_sim__net_break(ma, mb);
}

void efx_sim_skew(struct efx_sim *sim, uint32_t member, int64_t wall_ms)
{
    member_of(sim, member)->skew_ms = wall_ms;
}
