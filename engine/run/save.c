/* Saves of one process: a mark is a step, entries follow in slices (order.md's cut).
 *
 *   operator ── room(group, n) ──► page: │ group, n, bytes │ group, n, bytes │ …   of its unit
 *
 * What an operator saves is appended as it comes, whatever its group: the shard writes one place in
 * memory, and whoever takes the save puts the groups together. Pages come from a list of the app
 * and return to it.
 *
 *   Limits   a page holds PAGE_BYTES, or one longer record; PAGES_KEPT rest in the list
 *   Threads  a unit's part: whoever holds its word. The list of pages has a lock
 */
#include "run.h"

#include <sched.h>
#include <time.h>

enum { PAGE_BYTES = 64 * 1024, RECORD_HEAD = 8 };

/* ---- pages ---- */

static struct save_page *page_new(struct efx_app *app, uint32_t bytes)
{
    struct save_page *p = NULL;
    uint32_t max = bytes > PAGE_BYTES ? bytes : PAGE_BYTES;
    if (max == PAGE_BYTES) {
        (void)pthread_mutex_lock(&app->page_lock);
        p = app->free_pages;
        app->free_pages = p != NULL ? p->next : NULL;
        (void)pthread_mutex_unlock(&app->page_lock);
    }
    if (p == NULL) {
        p = efx_mem_libc.alloc(&efx_mem_libc, sizeof *p + max);
        EFX_ASSERT(p != NULL); /* room never says no */
    }
    p->next = NULL;
    p->n = 0;
    p->max = max;
    return p;
}

/* Pages of the usual size rest for the next save. */
void efx_run__pages_free(struct efx_app *app, struct save_page *first)
{
    (void)pthread_mutex_lock(&app->page_lock);
    while (first != NULL) {
        struct save_page *p = first;
        first = p->next;
        if (p->max == PAGE_BYTES) {
            p->next = app->free_pages;
            app->free_pages = p;
        } else {
            efx_mem_libc.free(&efx_mem_libc, p, sizeof *p + p->max);
        }
    }
    (void)pthread_mutex_unlock(&app->page_lock);
}

static void *save_room(struct efx_save *self, uint32_t key_group, uint32_t bytes)
{
    struct save_log *l = (struct save_log *)self;
    struct save_page *p = l->last;
    EFX_ASSERT(bytes <= UINT32_MAX - RECORD_HEAD);
    if (l->discard && p != NULL && p->max >= bytes + RECORD_HEAD) {
        p->n = 0;
    }
    if (p == NULL || bytes + RECORD_HEAD > p->max - p->n) {
        p = page_new(l->app, bytes + RECORD_HEAD);
        *(l->last != NULL ? &l->last->next : &l->first) = p;
        l->last = p;
    }
    uint8_t *at = p->bytes + p->n;
    uint32_t head[2] = {key_group, bytes};
    memcpy(at, head, sizeof head);
    p->n += bytes + RECORD_HEAD;
    return at + RECORD_HEAD;
}

enum efx_rc efx_run__save_open(struct efx_app *app)
{
    uint32_t n = app->plan->n_nodes + 1;
    app->save_base = EFX_NEW_N(&app->arena, bool, n);
    app->base_next = EFX_NEW_N(&app->arena, bool, n);
    app->load.no = EFX_NEW_N(&app->arena, uint64_t, n);
    app->load.missing = EFX_NEW_N(&app->arena, const char *, n);
    if (app->save_base == NULL || app->base_next == NULL || app->load.no == NULL ||
        app->load.missing == NULL) {
        return EFX_ENOMEM;
    }
    return efx_run__op_keys(app);
}

void efx_run__save_close(struct efx_app *app)
{
    EFX_ASSERT(app->n_taken == 0); /* given back before */
    for (uint32_t u = 0; app->units != NULL && u < app->n_units; u++) {
        for (uint32_t i = 0; app->units[u].saves != NULL && i < app->plan->n_nodes; i++) {
            efx_run__pages_free(app, app->units[u].saves[i].first);
        }
    }
    while (app->free_pages != NULL) {
        struct save_page *p = app->free_pages;
        app->free_pages = p->next;
        efx_mem_libc.free(&efx_mem_libc, p, sizeof *p + p->max);
    }
    efx_mem_libc.free(&efx_mem_libc, app->head, app->n_head);
    app->head = NULL;
}

/* ---- a unit's part ---- */

static uint64_t ns_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void note_stop(struct unit *u, uint64_t from)
{
    uint64_t took = ns_now() - from;
    u->longest_stop_ns = took > u->longest_stop_ns ? took : u->longest_stop_ns;
}

/* At the mark: every operator raises its stamp and gets its log; nothing else is copied yet. */
void efx_run__save_mark(struct unit *u, const struct efx_mark *mark)
{
    uint64_t from = ns_now();
    EFX_ASSERT(!u->saving);
    for (uint32_t i = 0; i < u->app->plan->n_nodes; i++) {
        struct efx_op *op = u->nodes[i].op;
        if (op == NULL || u->app->op_keys[i] == 0) {
            continue;
        }
        struct save_log *l = &u->saves[i];
        struct efx_mark own = {mark->checkpoint, u->app->save_base[i]};
        l->base.room = save_room;
        l->app = u->app;
        op->vt->mark(op, &own);
        (void)op->vt->slice(op, 0, &l->base);
    }
    u->saving = true;
    u->save_no++;
    u->save_at = 0;
    note_stop(u, from);
}

bool efx_run__save_slice(struct unit *u, uint32_t budget)
{
    if (!u->saving) {
        return true;
    }
    uint64_t from = ns_now();
    enum efx_rc rc = EFX_DONE;
    while (rc != EFX_AGAIN && u->save_at < u->app->plan->n_nodes) {
        struct efx_op *op = u->nodes[u->save_at].op;
        if (op != NULL && u->app->op_keys[u->save_at] != 0) {
            rc = op->vt->slice(op, budget, &u->saves[u->save_at].base);
        } else {
            rc = EFX_DONE;
        }
        u->save_at += rc != EFX_AGAIN;
    }
    u->saving = rc == EFX_AGAIN;
    note_stop(u, from);
    if (!u->saving) {
        atomic_store_explicit(&u->saved_no, u->save_no, memory_order_release);
    }
    return !u->saving;
}

/* ---- the mark ---- */

static enum efx_rc keep_head(struct efx_app *app)
{
    size_t n = efx_run__numbering_bytes(app);
    uint8_t *p = efx_mem_libc.alloc(&efx_mem_libc, n);
    if (p == NULL) {
        return EFX_ENOMEM;
    }
    struct efx_writer w = {.p = p, .max = n};
    efx_run__numbering_put(app, &w);
    EFX_ASSERT(!w.full && w.n == n);
    efx_mem_libc.free(&efx_mem_libc, app->head, app->n_head);
    app->head = p;
    app->n_head = n;
    app->head_clock_ms = app->clock_ms;
    return EFX_OK;
}

static enum efx_rc publish_mark(struct efx_app *app, uint64_t no, bool base)
{
    for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
        app->save_base[i] = base || app->base_next[i];
        app->base_next[i] = false;
    }
    struct step_slot *s = efx_run__slot(app, EFX_STEP_MARK);
    s->step.mark = (struct efx_mark){no, base};
    if (app->clock_ms == EFX_TS_NONE) {
        s->step.clk_base_ms = s->step.clk_last_ms = EFX_TS_NONE; /* nothing is due */
    }
    EFX_RET(efx_run__selections(app, s));
    app->save_no++;
    app->mark_no = no;
    efx_run__publish(app);
    return EFX_OK;
}

enum efx_rc efx_app_mark(struct efx_app *app, uint64_t no, bool base)
{
    if (app->save_waits || app->n_taken > 1) {
        return EFX_AGAIN;
    }
    EFX_RET(efx_app_submit(app));
    EFX_RET(keep_head(app));
    app->save_waits = true;
    return publish_mark(app, no, base);
}

void efx_app_base_next(struct efx_app *app, uint64_t key)
{
    for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
        app->base_next[i] = app->base_next[i] || key == 0 || app->op_keys[i] == key;
    }
}

static bool all_saved(const struct efx_app *app)
{
    bool all = true;
    for (uint32_t u = 0; u < app->n_units && all; u++) {
        const struct unit *unit = &app->units[u];
        all = !unit->here ||
              atomic_load_explicit(&unit->saved_no, memory_order_acquire) == app->save_no;
    }
    return all;
}

bool efx_app_save_under_way(const struct efx_app *app)
{
    return app->save_waits;
}

bool efx_app_save_ready(const struct efx_app *app)
{
    return app->save_waits && all_saved(app);
}

uint64_t efx_app_steps(const struct efx_app *app)
{
    return app->next_no - 1;
}

/* Somebody else who runs the unit slices it himself. */
void efx_app_save_pump(struct efx_app *app, uint32_t budget_rows)
{
    for (uint32_t i = 0; i < app->n_units; i++) {
        struct unit *u = &app->units[i];
        unsigned free_word = 0;
        if (!u->here || atomic_load_explicit(&u->saved_no, memory_order_acquire) == app->save_no ||
            !atomic_compare_exchange_strong(&u->owner, &free_word, 1)) {
            continue;
        }
        (void)efx_run__save_slice(u, budget_rows);
        atomic_store_explicit(&u->owner, 0, memory_order_release);
    }
}

void efx_app_save_wait(struct efx_app *app)
{
    efx_run__wait_done(app);
    while (!all_saved(app)) {
        if (atomic_load(&app->stopped)) { /* units skip their steps, the mark's too */
            return;
        }
        efx_app_save_pump(app, 1u << 30);
        (void)sched_yield();
    }
}

/* ---- a save whose bytes nobody wants ---- */

enum efx_rc efx_app_save_begin(struct efx_app *app, bool base)
{
    for (uint32_t u = 0; u < app->n_units; u++) {
        for (uint32_t i = 0; i < app->plan->n_nodes; i++) {
            app->units[u].saves[i].discard = true;
        }
    }
    EFX_RET(efx_app_submit(app));
    return publish_mark(app, app->mark_no + 1, base);
}

bool efx_app_saving(const struct efx_app *app, uint64_t *longest_stop_ns)
{
    for (uint32_t u = 0; u < app->n_units; u++) {
        if (longest_stop_ns != NULL && app->units[u].longest_stop_ns > *longest_stop_ns) {
            *longest_stop_ns = app->units[u].longest_stop_ns;
        }
    }
    return !all_saved(app);
}
