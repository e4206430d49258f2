/* Manifest 7 out of manifest 6 and the reports of 7: which parts are still needed.
 *
 *   groups   0 ────────────── 1023
 *   5 base   ██████████████████      needless where 7 says base
 *   6 delta  ░░░░░░░░░░░░░░░░░░      needed on the right
 *   7        base ████│░░░░░ delta   of two members
 *
 * A group's state is its newest base and all deltas behind that. A part stays as long as one of its
 * groups needs it; of a part that stays, chunks leave that none of their groups needs.
 */
#include "ckpt.h"

#include <stdio.h>
#include <stdlib.h>

void efx_ckpt__bases(const struct efx_ckpt_op *op, uint64_t newest[EFX_KEY_GROUPS])
{
    memset(newest, 0, EFX_KEY_GROUPS * sizeof *newest);
    for (uint32_t i = 0; i < op->n_parts; i++) {
        const struct efx_ckpt_part *p = &op->parts[i];
        for (uint32_t g = p->first; p->base && g <= p->last; g++) {
            newest[g] = p->no > newest[g] ? p->no : newest[g];
        }
    }
}

static bool is_needed(const uint64_t *newest, uint64_t no, uint32_t first, uint32_t last)
{
    for (uint32_t g = first; g <= last; g++) {
        if (newest[g] <= no) {
            return true;
        }
    }
    return false;
}

/* Chunks that hang together by `more` stay or leave together. */
static void drop_chunks(struct efx_ckpt_part *p, const uint64_t *newest)
{
    uint32_t kept = 0;
    for (uint32_t i = 0, until; i < p->n_chunks; i = until) {
        bool needed = false;
        for (until = i; until < p->n_chunks; until++) {
            needed =
                needed || is_needed(newest, p->no, p->chunks[until].first, p->chunks[until].last);
            if (!p->chunks[until].more) {
                until++;
                break;
            }
        }
        for (uint32_t k = i; needed && k < until; k++) {
            p->chunks[kept++] = p->chunks[k];
        }
    }
    p->n_chunks = kept;
}

static bool says_the_same(const struct efx_ckpt_part *a, const struct efx_ckpt_part *b)
{
    return a->no == b->no && a->first == b->first && a->last == b->last;
}

/* An empty part before an empty part of the same groups says nothing that the later does not. */
static bool is_idle(const struct efx_ckpt_op *op, uint32_t i)
{
    const struct efx_ckpt_part *p = &op->parts[i];
    if (p->n_chunks > 0 || p->base) {
        return false;
    }
    for (uint32_t k = i + 1; k < op->n_parts; k++) {
        const struct efx_ckpt_part *q = &op->parts[k];
        if (q->first <= p->last && p->first <= q->last) {
            return q->n_chunks == 0 && q->first == p->first && q->last == p->last;
        }
    }
    return false;
}

static void prune(struct efx_ckpt_op *op)
{
    uint64_t newest[EFX_KEY_GROUPS];
    uint32_t kept = 0;
    efx_ckpt__bases(op, newest);
    for (uint32_t i = 0; i < op->n_parts; i++) {
        struct efx_ckpt_part p = op->parts[i];
        if (is_needed(newest, p.no, p.first, p.last)) {
            drop_chunks(&p, newest);
            op->parts[kept++] = p;
        }
    }
    op->n_parts = kept;
    kept = 0;
    for (uint32_t i = 0; i < op->n_parts; i++) {
        if (!is_idle(op, i)) {
            op->parts[kept++] = op->parts[i]; /* behind i nothing has moved yet */
        }
    }
    op->n_parts = kept;
}

/* ---- one operator ---- */

static int by_no(const void *a, const void *b)
{
    const struct efx_ckpt_part *x = a, *y = b;
    return x->no != y->no         ? (x->no < y->no ? -1 : 1)
           : x->first != y->first ? (x->first < y->first ? -1 : 1)
                                  : 0;
}

struct merging {
    struct efx_arena *arena;
    const struct efx_manifest *last;
    const struct efx_report *reports;
    uint32_t n_reports;
    struct efx_manifest *head;
    struct efx_err *err;
};

static const struct efx_ckpt_op *op_of(const struct efx_ckpt_body *b, uint64_t key)
{
    for (uint32_t i = 0; i < b->n_ops; i++) {
        if (b->ops[i].key == key) {
            return &b->ops[i];
        }
    }
    return NULL;
}

static enum efx_rc append(struct merging *m, const struct efx_ckpt_op *from, struct efx_ckpt_op *to)
{
    struct efx_ckpt_op copy;
    EFX_RET(efx_ckpt__copy_op(m->arena, from, &copy));
    for (uint32_t i = 0; i < copy.n_parts; i++) {
        bool there = copy.parts[i].no > m->head->no;
        for (uint32_t k = 0; k < to->n_parts && !there; k++) {
            there = says_the_same(&to->parts[k], &copy.parts[i]);
        }
        if (!there) {
            to->parts[to->n_parts++] = copy.parts[i];
        }
    }
    to->name = copy.name;
    return EFX_OK;
}

/* Every group has exactly one part of this number. */
static enum efx_rc check_whole(const struct merging *m, const struct efx_ckpt_op *op)
{
    uint32_t next = 0;
    for (uint32_t i = 0; i < op->n_parts; i++) {
        if (op->parts[i].no != m->head->no) {
            continue;
        }
        if (op->parts[i].first != next) {
            break;
        }
        next = op->parts[i].last + 1;
    }
    return next == EFX_KEY_GROUPS
               ? EFX_OK
               : EFX_FAIL(m->err, EFX_EBUG, EFX_KIND_BUG, 0,
                          "checkpoint %llu: key group %u of %s was saved by none or by two",
                          (unsigned long long)m->head->no, next, op->name);
}

static enum efx_rc merge_op(struct merging *m, uint64_t key, struct efx_ckpt_op *to)
{
    const struct efx_ckpt_op *old = m->last != NULL ? op_of(&m->last->body, key) : NULL;
    size_t max = old != NULL ? old->n_parts : 0;
    for (uint32_t i = 0; i < m->n_reports; i++) {
        const struct efx_ckpt_op *op = op_of(&m->reports[i].body, key);
        max += op != NULL ? op->n_parts : 0;
    }
    *to = (struct efx_ckpt_op){.key = key,
                               .parts = EFX_NEW_N(m->arena, struct efx_ckpt_part, max + 1)};
    if (to->parts == NULL) {
        return efx_ckpt__no_memory(m->err);
    }
    enum efx_rc rc = old != NULL ? append(m, old, to) : EFX_OK;
    for (uint32_t i = 0; i < m->n_reports && rc == EFX_OK; i++) {
        const struct efx_ckpt_op *op = op_of(&m->reports[i].body, key);
        rc = op != NULL ? append(m, op, to) : EFX_OK;
    }
    if (rc != EFX_OK) {
        return efx_ckpt__no_memory(m->err);
    }
    qsort(to->parts, to->n_parts, sizeof *to->parts, by_no);
    prune(to);
    return check_whole(m, to);
}

static int by_key(const void *a, const void *b)
{
    const struct efx_ckpt_op *x = a, *y = b;
    return x->key < y->key ? -1 : x->key > y->key;
}

static enum efx_rc merge_ops(struct merging *m)
{
    struct efx_ckpt_body *b = &m->head->body;
    size_t max = 0;
    for (uint32_t i = 0; i < m->n_reports; i++) {
        max += m->reports[i].body.n_ops;
    }
    b->ops = EFX_NEW_N(m->arena, struct efx_ckpt_op, max + 1);
    if (b->ops == NULL) {
        return efx_ckpt__no_memory(m->err);
    }
    for (uint32_t i = 0; i < m->n_reports; i++) {
        for (uint32_t k = 0; k < m->reports[i].body.n_ops; k++) {
            uint64_t key = m->reports[i].body.ops[k].key;
            if (op_of(b, key) == NULL) {
                EFX_RET(merge_op(m, key, &b->ops[b->n_ops]));
                b->n_ops++;
            }
        }
    }
    qsort(b->ops, b->n_ops, sizeof *b->ops, by_key);
    return EFX_OK;
}

/* ---- the rest ---- */

static enum efx_rc add_named(struct merging *m, const struct efx_ckpt_bytes *from, bool weak,
                             struct efx_ckpt_bytes *to, uint32_t *n)
{
    for (uint32_t i = 0; i < *n; i++) {
        if (strcmp(to[i].name, from->name) != 0) {
            continue;
        }
        bool same =
            to[i].bytes.n == from->bytes.n &&
            (from->bytes.n == 0 || memcmp(to[i].bytes.p, from->bytes.p, from->bytes.n) == 0);
        return weak || same ? EFX_OK
                            : EFX_FAIL(m->err, EFX_EBUG, EFX_KIND_BUG, 0,
                                       "checkpoint %llu: members disagree about %s",
                                       (unsigned long long)m->head->no, from->name);
    }
    struct efx_ckpt_bytes *b = &to[(*n)++];
    uint8_t *p = efx_arena_bytes(m->arena, from->bytes.n + 1);
    b->name = efx_arena_str(m->arena, from->name, strlen(from->name));
    if (p == NULL || b->name == NULL) {
        return efx_ckpt__no_memory(m->err);
    }
    if (from->bytes.n > 0) {
        memcpy(p, from->bytes.p, from->bytes.n);
    }
    b->bytes = (struct efx_bytes){p, from->bytes.n};
    return EFX_OK;
}

static enum efx_rc merge_named(struct merging *m)
{
    struct efx_ckpt_body *b = &m->head->body;
    size_t max_s = 0, max_p = m->last != NULL ? m->last->body.n_positions : 0;
    for (uint32_t i = 0; i < m->n_reports; i++) {
        max_s += m->reports[i].body.n_sections;
        max_p += m->reports[i].body.n_positions;
    }
    b->sections = EFX_NEW_N(m->arena, struct efx_ckpt_bytes, max_s + 1);
    b->positions = EFX_NEW_N(m->arena, struct efx_ckpt_bytes, max_p + 1);
    if (b->sections == NULL || b->positions == NULL) {
        return efx_ckpt__no_memory(m->err);
    }
    for (uint32_t i = 0; i < m->n_reports; i++) {
        const struct efx_ckpt_body *from = &m->reports[i].body;
        for (uint32_t k = 0; k < from->n_sections; k++) {
            EFX_RET(add_named(m, &from->sections[k], false, b->sections, &b->n_sections));
        }
        for (uint32_t k = 0; k < from->n_positions; k++) {
            EFX_RET(add_named(m, &from->positions[k], false, b->positions, &b->n_positions));
        }
    }
    for (uint32_t k = 0; m->last != NULL && k < m->last->body.n_positions; k++) {
        EFX_RET(add_named(m, &m->last->body.positions[k], true, b->positions, &b->n_positions));
    }
    return EFX_OK;
}

static bool same_receipt(const struct efx_ckpt_receipt *a, const struct efx_ckpt_receipt *b)
{
    return a->no == b->no && a->part == b->part && strcmp(a->sink, b->sink) == 0 &&
           a->bytes.n == b->bytes.n &&
           (a->bytes.n == 0 || memcmp(a->bytes.p, b->bytes.p, a->bytes.n) == 0);
}

static enum efx_rc merge_receipts(struct merging *m)
{
    struct efx_ckpt_body *b = &m->head->body, given = *b, copy;
    size_t max = b->n_receipts;
    for (uint32_t i = 0; i < m->n_reports; i++) {
        max += m->reports[i].body.n_receipts;
    }
    b->receipts = EFX_NEW_N(m->arena, struct efx_ckpt_receipt, max + 1);
    b->n_receipts = 0;
    if (b->receipts == NULL) {
        return efx_ckpt__no_memory(m->err);
    }
    for (uint32_t i = 0; i <= m->n_reports; i++) {
        const struct efx_ckpt_body *from = i == 0 ? &given : &m->reports[i - 1].body;
        struct efx_ckpt_body only = {.n_receipts = from->n_receipts, .receipts = from->receipts};
        if (efx_ckpt__copy_body(m->arena, &only, &copy) != EFX_OK) {
            return efx_ckpt__no_memory(m->err);
        }
        for (uint32_t k = 0; k < copy.n_receipts; k++) {
            bool there = false;
            for (uint32_t j = 0; j < b->n_receipts && !there; j++) {
                there = same_receipt(&b->receipts[j], &copy.receipts[k]);
            }
            if (!there) {
                b->receipts[b->n_receipts++] = copy.receipts[k];
            }
        }
    }
    return EFX_OK;
}

enum efx_rc efx_manifest_merge(struct efx_arena *arena, const struct efx_manifest *last,
                               const struct efx_report *reports, uint32_t n_reports,
                               struct efx_manifest *head, struct efx_err *err)
{
    struct merging m = {arena, last, reports, n_reports, head, err};
    head->clock_ms = EFX_TS_NONE;
    for (uint32_t i = 0; i < n_reports; i++) {
        if (reports[i].no != head->no || reports[i].epoch != head->epoch) {
            return EFX_FAIL(err, EFX_ESTALE, EFX_KIND_ENV, 0,
                            "the report of %s is of checkpoint %llu in epoch %llu",
                            reports[i].member, (unsigned long long)reports[i].no,
                            (unsigned long long)reports[i].epoch);
        }
        head->clock_ms =
            reports[i].clock_ms > head->clock_ms ? reports[i].clock_ms : head->clock_ms;
    }
    EFX_RET(merge_receipts(&m));
    EFX_RET(merge_ops(&m));
    return merge_named(&m);
}

/* ---- names of revisions ---- */

void efx_revision_name(const struct efx_manifest *m, char out[EFX_REVISION_BYTES])
{
    (void)snprintf(out, EFX_REVISION_BYTES, "%lld_%llu_%s", (long long)m->committed_ms,
                   (unsigned long long)m->no, m->app);
}

uint64_t efx_revision_no(const char *name)
{
    char *end;
    long long ms = strtoll(name, &end, 10);
    if (end == name || *end != '_' || ms < 0) {
        return 0;
    }
    const char *from = end + 1;
    unsigned long long no = strtoull(from, &end, 10);
    return end == from || *end != '_' || *from < '0' || *from > '9' ? 0 : no;
}
