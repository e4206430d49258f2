#include "sessions.h"

#include "efx_hash.h"

#include <stdlib.h>

void node_sessions_init(struct node_sessions *s, struct efx_mem *mem, uint32_t limit)
{
    *s = (struct node_sessions){.mem = mem, .limit = limit};
}

void node_sessions_fini(struct node_sessions *s)
{
    if (s->max > 0) {
        s->mem->free(s->mem, s->v, s->max * sizeof *s->v);
    }
    if (s->n_slots > 0) {
        s->mem->free(s->mem, s->slots, s->n_slots * sizeof *s->slots);
    }
    node_sessions_init(s, s->mem, s->limit);
}

/* ---- the index ---- */

static uint32_t *slot_of(struct node_sessions *s, struct efx_bytes name)
{
    uint32_t at = (uint32_t)efx_hash_bytes(name.p, (uint32_t)name.n) & (s->n_slots - 1);
    while (s->slots[at] != 0) {
        const struct node_session *e = &s->v[s->slots[at] - 1];
        if (strlen(e->name) == name.n && memcmp(e->name, name.p, name.n) == 0) {
            break;
        }
        at = (at + 1) & (s->n_slots - 1);
    }
    return &s->slots[at];
}

static struct efx_bytes name_of(const struct node_session *e)
{
    return (struct efx_bytes){(const uint8_t *)e->name, strlen(e->name)};
}

static void index_all(struct node_sessions *s)
{
    memset(s->slots, 0, s->n_slots * sizeof *s->slots);
    for (uint32_t i = 0; i < s->n; i++) {
        *slot_of(s, name_of(&s->v[i])) = i + 1;
    }
}

static enum efx_rc grow(struct node_sessions *s)
{
    if (s->n < s->max) {
        return EFX_OK;
    }
    uint32_t max = s->max == 0 ? 64 : s->max * 2, n_slots = max * 2;
    struct node_session *v = efx_mem_grow(s->mem, s->v, s->max * sizeof *v, max * sizeof *v);
    if (v == NULL) {
        return EFX_ENOMEM;
    }
    s->v = v;
    s->max = max;
    uint32_t *slots = s->mem->alloc(s->mem, n_slots * sizeof *slots);
    if (slots == NULL) {
        return EFX_ENOMEM;
    }
    if (s->n_slots > 0) {
        s->mem->free(s->mem, s->slots, s->n_slots * sizeof *slots);
    }
    s->slots = slots;
    s->n_slots = n_slots;
    index_all(s);
    return EFX_OK;
}

struct node_session *node_sessions_find(struct node_sessions *s, struct efx_bytes name)
{
    uint32_t at = s->n_slots == 0 ? 0 : *slot_of(s, name);
    return at == 0 ? NULL : &s->v[at - 1];
}

static enum efx_rc add(struct node_sessions *s, struct efx_bytes name, struct node_session **out)
{
    if (s->n >= s->limit) {
        return EFX_ELIMIT;
    }
    EFX_RET(grow(s));
    struct node_session *e = &s->v[s->n];
    memset(e, 0, sizeof *e);
    memcpy(e->name, name.p, name.n);
    e->next_seq = 1;
    *slot_of(s, name) = ++s->n;
    *out = e;
    return EFX_OK;
}

/* ---- what ticks do ---- */

enum efx_rc node_sessions_open(struct node_sessions *s, const struct node_session_open *how,
                               struct node_session **out, bool *known)
{
    struct node_session *e = node_sessions_find(s, how->name);
    *known = e != NULL;
    if (e == NULL) {
        EFX_RET(add(s, how->name, &e));
    }
    if (how->opening != 0 && how->opening < e->opening) {
        return EFX_ESTALE;
    }
    e->opening = how->opening;
    e->call = how->call;
    e->used_ms = how->wall_ms;
    *out = e;
    return EFX_OK;
}

enum efx_rc node_sessions_rows(struct node_sessions *s, struct efx_bytes name, uint64_t call,
                               uint64_t first_seq, uint32_t n, int64_t wall_ms, uint32_t *skip)
{
    struct node_session *e = node_sessions_find(s, name);
    if (e == NULL || e->call != call) {
        return EFX_ESTALE;
    }
    e->used_ms = wall_ms;
    if (first_seq > e->next_seq) {
        return EFX_EDATA;
    }
    uint64_t old = e->next_seq - first_seq;
    *skip = old < n ? (uint32_t)old : n;
    e->next_seq += n - *skip;
    return EFX_OK;
}

enum efx_rc node_sessions_ask(struct node_sessions *s, struct efx_bytes name, uint64_t seq,
                              int64_t wall_ms, uint64_t *next_seq)
{
    struct node_session *e = node_sessions_find(s, name);
    if (e == NULL) {
        EFX_RET(add(s, name, &e));
    }
    e->used_ms = wall_ms;
    enum efx_rc rc = seq == e->next_seq ? EFX_OK : seq < e->next_seq ? EFX_DONE : EFX_EDATA;
    e->next_seq += rc == EFX_OK;
    *next_seq = e->next_seq;
    return rc;
}

void node_sessions_close(struct node_sessions *s, struct efx_bytes name, uint64_t call)
{
    struct node_session *e = node_sessions_find(s, name);
    if (e != NULL && e->call == call) {
        e->call = 0;
    }
}

void node_sessions_forget_idle(struct node_sessions *s, int64_t before_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->v[i].call != 0 || s->v[i].used_ms >= before_ms) {
            s->v[n++] = s->v[i];
        }
    }
    if (n < s->n) {
        s->n = n;
        index_all(s);
    }
}

/* ---- the section ---- */

static int by_name(const void *a, const void *b)
{
    const struct node_session *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

void node_sessions_put(const struct node_sessions *s, struct efx_buf *to)
{
    size_t bytes = (s->n + 1) * sizeof(struct node_session *);
    const struct node_session **list = s->mem->alloc(s->mem, bytes);
    to->bad = to->bad || list == NULL;
    if (list == NULL) {
        return;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        list[i] = &s->v[i];
    }
    qsort(list, s->n, sizeof *list, by_name);
    efx_buf_u32(to, s->n);
    for (uint32_t i = 0; i < s->n; i++) {
        efx_buf_text(to, list[i]->name, strlen(list[i]->name));
        efx_buf_u64(to, list[i]->next_seq);
        efx_buf_u64(to, list[i]->call);
        efx_buf_u64(to, list[i]->opening);
        efx_buf_i64(to, list[i]->used_ms);
    }
    s->mem->free(s->mem, list, bytes);
}

enum efx_rc node_sessions_get(struct node_sessions *s, struct efx_bytes bytes, bool calls)
{
    struct efx_reader r = {bytes.p, bytes.n, false};
    uint32_t n = efx_get_u32(&r);
    for (uint32_t i = 0; i < n && !r.bad; i++) {
        struct efx_bytes name = efx_get_text(&r);
        if (r.bad || name.n == 0 || name.n > EFX_SESSION_BYTES_MAX ||
            node_sessions_find(s, name) != NULL) {
            return EFX_EPARSE;
        }
        struct node_session *e;
        EFX_RET(add(s, name, &e));
        e->next_seq = efx_get_u64(&r);
        e->call = efx_get_u64(&r);
        e->opening = efx_get_u64(&r);
        e->used_ms = efx_get_i64(&r);
        e->call = calls ? e->call : 0;
    }
    return r.bad || r.left > 0 ? EFX_EPARSE : EFX_OK;
}
