/* Who runs what: units are taken by an owner word and run the steps in the order of their numbers.
 *
 *   bringing thread   publishes a step; runs it at once if it is small or there are no workers;
 *   helps
 *                     when EFX_STEPS_IN_FLIGHT steps are under way
 *   worker            sleeps until steps queue up, then takes any unit that can go on
 *   gather unit       takes step n when every shard is through with n
 */
#include "run.h"

#include <sched.h>

enum { INLINE_TURNS = 256, SPIN = 200 };

static uint64_t least_done(const struct efx_app *app)
{
    uint64_t least = UINT64_MAX;
    for (uint32_t i = 0; i < app->n_units; i++) {
        uint64_t d = atomic_load_explicit(&app->units[i].done, memory_order_acquire);
        least = app->units[i].here && d < least ? d : least;
    }
    return least;
}

static bool ready(const struct unit *u, uint64_t no)
{
    const struct efx_app *app = u->app;
    if (atomic_load_explicit(&app->published, memory_order_acquire) < no) {
        return false;
    }
    bool all = app->member == NULL || app->listens[app->member->self];
    for (uint32_t s = 0; u->gather && s < app->n_shards; s++) {
        if ((all || app->units[s].here) &&
            atomic_load_explicit(&app->units[s].done, memory_order_acquire) < no) {
            return false;
        }
    }
    return true;
}

void efx_run__fail(struct efx_app *app, enum efx_rc rc, const char *what)
{
    (void)pthread_mutex_lock(&app->lock);
    if (!atomic_exchange(&app->stopped, true)) {
        enum efx_kind kind = rc == EFX_EDATA  ? EFX_KIND_DATA
                             : rc == EFX_EBUG ? EFX_KIND_BUG
                                              : EFX_KIND_ENV;
        (void)EFX_FAIL(&app->err, rc, kind, 0, "%s",
                       rc == EFX_ENOMEM ? "out of memory for state (state.max_bytes)" : what);
    }
    (void)pthread_mutex_unlock(&app->lock);
}

/* At most `steps` of them, so that who brings steps soon brings the next ones. */
static bool run_unit(struct unit *u, uint32_t steps)
{
    struct efx_app *app = u->app;
    uint64_t no = atomic_load_explicit(&u->done, memory_order_acquire) + 1;
    if (!ready(u, no)) {
        return false;
    }
    unsigned free_word = 0;
    if (!atomic_compare_exchange_strong(&u->owner, &free_word, 1)) {
        return false;
    }
    bool any = false;
    for (no = atomic_load_explicit(&u->done, memory_order_relaxed) + 1; steps > 0 && ready(u, no);
         no++, steps--) {
        const struct step_slot *slot = &app->slots[no % EFX_STEPS_IN_FLIGHT];
        if (!atomic_load(&app->stopped)) {
            enum efx_rc rc = efx_run__pass(u, slot);
            if (rc != EFX_OK) {
                efx_run__fail(app, rc,
                              rc == EFX_EDATA
                                  ? "a data error on a stream with error.strategy = fail"
                                  : "an operator failed");
            }
        }
        atomic_store_explicit(&u->done, no, memory_order_release);
        any = true;
    }
    atomic_store_explicit(&u->owner, 0, memory_order_release);
    return any;
}

bool efx_run__work(struct efx_app *app, uint32_t steps)
{
    bool any = false;
    for (uint32_t i = app->n_units; i-- > 0;) { /* later stages first */
        any = (app->units[i].here && run_unit(&app->units[i], steps)) || any;
    }
    return any;
}

static void help_until(struct efx_app *app, uint64_t no)
{
    while (least_done(app) < no) {
        if (efx_run__work(app, 1)) {
            continue;
        }
        if (app->member == NULL || app->member->wait == NULL) {
            (void)sched_yield();
        } else if (!app->member->wait(app->member->arg)) {
            efx_run__fail(app, EFX_ESTALE, "the epoch has ended");
            return;
        }
    }
}

/* The slot that the next step will use is free when the step before in it is done. */
void efx_run__wait_room(struct efx_app *app)
{
    if (app->next_no > EFX_STEPS_IN_FLIGHT) {
        help_until(app, app->next_no - EFX_STEPS_IN_FLIGHT);
    }
}

uint64_t efx_app_done(const struct efx_app *app)
{
    return least_done(app);
}

void efx_run__wait_done(struct efx_app *app)
{
    help_until(app, atomic_load(&app->published));
}

static void wake(struct efx_app *app)
{
    (void)pthread_mutex_lock(&app->lock);
    if (app->n_asleep > 0) {
        (void)pthread_cond_signal(&app->work);
    }
    (void)pthread_mutex_unlock(&app->lock);
}

void efx_run__publish(struct efx_app *app)
{
    uint64_t no = app->next_no++;
    uint16_t n_turns = app->slots[no % EFX_STEPS_IN_FLIGHT].step.n_turns;
    atomic_store_explicit(&app->published, no, memory_order_release);
    if (app->n_workers == 0 && app->member == NULL) {
        help_until(app, no);
    } else if (app->n_workers == 0 || n_turns < INLINE_TURNS) {
        while (efx_run__work(app, 1)) {
        }
    } else {
        wake(app);
    }
}

static void *worker(void *arg)
{
    struct efx_app *app = arg;
    uint32_t idle = 0;
    for (;;) {
        if (efx_run__work(app, EFX_STEPS_IN_FLIGHT)) {
            idle = 0;
            continue;
        }
        if (++idle < SPIN) {
            (void)sched_yield();
            continue;
        }
        (void)pthread_mutex_lock(&app->lock);
        while (!app->closing && least_done(app) == atomic_load(&app->published)) {
            app->n_asleep++;
            (void)pthread_cond_wait(&app->work, &app->lock);
            app->n_asleep--;
        }
        bool closing = app->closing;
        (void)pthread_mutex_unlock(&app->lock);
        if (closing) {
            return NULL;
        }
        idle = 0;
    }
}

enum efx_rc efx_run__start_workers(struct efx_app *app)
{
    app->workers = EFX_NEW_N(&app->arena, pthread_t, app->opts.n_workers + 1);
    if (app->workers == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < app->opts.n_workers; i++) {
        if (pthread_create(&app->workers[i], NULL, worker, app) != 0) {
            return EFX_EIO;
        }
        app->n_workers++;
    }
    return EFX_OK;
}

void efx_run__stop_workers(struct efx_app *app)
{
    (void)pthread_mutex_lock(&app->lock);
    app->closing = true;
    (void)pthread_cond_broadcast(&app->work);
    (void)pthread_mutex_unlock(&app->lock);
    for (uint32_t i = 0; i < app->n_workers; i++) {
        (void)pthread_join(app->workers[i], NULL);
    }
    app->n_workers = 0;
}
