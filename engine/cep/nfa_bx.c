/* Expressions of a pattern: what they mention, conjuncts, and the flattening of the tree.
 *
 * A form is named for what it may become: an operand that mentions one event bound before and
 * nothing else can be computed when that event binds; one that mentions only the candidate, for all
 * rows of a slice at once. NOW and tables count as the candidate: their value is that of the turn
 * in which the filter is asked.
 */
#include "nfa_bx.h"

static void note(struct efx_nfa_mention *m, uint32_t src, bool last, uint32_t n)
{
    if (m->elem && (m->src != src || m->last != last || m->n != n)) {
        m->mixed = true;
    }
    m->elem = true;
    m->src = src;
    m->last = last;
    m->n = n;
}

static void note_ref(const struct efx_bx *bx, const struct efx_bpattern *pattern,
                     struct efx_nfa_mention *m)
{
    if (bx->src == EFX_BX_SRC_CANDIDATE || (bx->src == EFX_BX_SRC_NONE)) {
        m->cand = true;
    } else if (bx->src == EFX_BX_SRC_KEY) {
        m->elem = m->mixed = true;
    } else if (bx->src < pattern->n_elems) {
        bool indexed = pattern->elems[bx->src].counted && bx->op == EFX_BX_COL;
        note(m, bx->src, indexed && bx->index.kind == EFX_AST_INDEX_LAST,
             indexed && bx->index.kind != EFX_AST_INDEX_NONE ? bx->index.n : 0);
    }
}

void efx_nfa__mention(const struct efx_bx *bx, const struct efx_bpattern *pattern,
                      struct efx_nfa_mention *m)
{
    /* Everything else mentions what its arguments do. */
    if (bx->op == EFX_BX_COL || bx->op == EFX_BX_EVENT_TS) {
        note_ref(bx, pattern, m);
    } else if (bx->op == EFX_BX_ELEM_AGG || bx->op == EFX_BX_IS_BOUND) {
        m->elem = m->mixed = true;
    } else if (bx->op == EFX_BX_NOW || bx->op == EFX_BX_UUID || bx->op == EFX_BX_IN_TABLE ||
               bx->op == EFX_BX_EXISTS) {
        m->cand = true;
    }
    for (uint32_t i = 0; i < bx->n_args; i++) {
        efx_nfa__mention(bx->args[i], pattern, m);
    }
}

static struct efx_bx *copy(struct efx_arena *arena, const struct efx_bx *bx)
{
    struct efx_bx *c = EFX_NEW(arena, struct efx_bx);
    if (c == NULL) {
        return NULL;
    }
    *c = *bx;
    if (bx->op == EFX_BX_COL && bx->src != EFX_BX_SRC_ROW) {
        c->src = EFX_BX_SRC_CANDIDATE;
        c->index = (struct efx_bx_index){.kind = EFX_AST_INDEX_NONE};
    } else if (bx->op == EFX_BX_EVENT_TS) {
        c->src = EFX_BX_SRC_NONE;
    }
    if (bx->n_args == 0) {
        return c;
    }
    c->args = EFX_NEW_N(arena, struct efx_bx *, bx->n_args);
    if (c->args == NULL) {
        return NULL;
    }
    for (uint32_t i = 0; i < bx->n_args; i++) {
        c->args[i] = copy(arena, bx->args[i]);
        if (c->args[i] == NULL) {
            return NULL;
        }
    }
    return c;
}

const struct efx_bx *efx_nfa__localise(struct efx_arena *arena, const struct efx_bx *bx)
{
    return copy(arena, bx);
}

bool efx_nfa__same(const struct efx_bx *a, const struct efx_bx *b)
{
    if (a == b) {
        return true;
    }
    if (a->op != b->op || a->type != b->type || a->n_args != b->n_args) {
        return false;
    }
    if (a->op == EFX_BX_COL) {
        return a->src == b->src && a->col == b->col && a->index.kind == b->index.kind &&
               a->index.n == b->index.n;
    }
    if (a->op == EFX_BX_CONST) {
        return !a->lit.null && !b->lit.null && a->lit.type == b->lit.type &&
               efx_value_compare(&a->lit, &b->lit) == 0 && a->lit.type != EFX_TYPE_DOUBLE &&
               a->lit.type != EFX_TYPE_FLOAT;
    }
    return a->op == EFX_BX_CAST && efx_nfa__same(a->args[0], b->args[0]);
}

uint32_t efx_nfa__conjuncts(const struct efx_bx *bx, const struct efx_bx **out, uint32_t n_max)
{
    if (bx->op != EFX_BX_AND) {
        if (n_max > 0) {
            out[0] = bx;
        }
        return 1;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < bx->n_args; i++) {
        n += efx_nfa__conjuncts(bx->args[i], n < n_max ? out + n : out, n < n_max ? n_max - n : 0);
    }
    return n;
}

const struct efx_bx *efx_nfa__column(struct efx_arena *arena, uint32_t col, enum efx_type from,
                                     enum efx_type type)
{
    struct efx_bx *ref = EFX_NEW(arena, struct efx_bx);
    if (ref == NULL) {
        return NULL;
    }
    *ref = (struct efx_bx){.op = EFX_BX_COL, .type = from, .src = EFX_BX_SRC_CANDIDATE, .col = col};
    if (from == type) {
        return ref;
    }
    struct efx_bx *cast = EFX_NEW(arena, struct efx_bx);
    struct efx_bx **args = EFX_NEW_N(arena, struct efx_bx *, 1);
    if (cast == NULL || args == NULL) {
        return NULL;
    }
    args[0] = ref;
    *cast = (struct efx_bx){.op = EFX_BX_CAST, .type = type, .n_args = 1, .args = args};
    return cast;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static bool only_events(const struct efx_bpat *p)
{
    for (uint32_t i = 0; i < p->n_kids; i++) {
        if (p->kids[i]->kind != EFX_AST_PAT_EVENT) {
            return false;
        }
    }
    return p->n_kids > 0;
}

/* `EVERY e1=A -> e2=B` comes as CHAIN(EVERY(e1), e2): its kids behind the first stay, the first is
 * the event inside. */
static bool every_first(struct efx_arena *arena, const struct efx_bpat *p,
                        struct efx_nfa_chain *out)
{
    struct efx_bpat **events = EFX_NEW_N(arena, struct efx_bpat *, p->n_kids);
    if (events == NULL) {
        return false;
    }
    struct efx_bpat *first = p->kids[0]->kids[0];
    while (first->kind == EFX_AST_PAT_CHAIN && first->n_kids == 1 && first->within_ms < 0 &&
           first->within_events < 0) {
        first = first->kids[0];
    }
    events[0] = first;
    for (uint32_t i = 1; i < p->n_kids; i++) {
        events[i] = p->kids[i];
    }
    struct efx_bpat flat = *p;
    flat.kids = events;
    out->every = true;
    out->n = p->n_kids;
    out->events = events;
    return p->kids[0]->within_ms < 0 && p->kids[0]->within_events < 0 && only_events(&flat);
}

bool efx_nfa__chain(struct efx_arena *arena, const struct efx_bpattern *p,
                    struct efx_nfa_chain *out)
{
    const struct efx_bpat *at = p->root;
    *out = (struct efx_nfa_chain){.within_ms = p->within_ms, .within_events = p->within_events};
    while (at->kind != EFX_AST_PAT_EVENT) {
        out->within_ms = least(out->within_ms, at->within_ms);
        out->within_events = least(out->within_events, at->within_events);
        if (at->kind == EFX_AST_PAT_CHAIN && at->n_kids > 1) {
            if (at->kids[0]->kind == EFX_AST_PAT_EVERY && !out->every) {
                return every_first(arena, at, out);
            }
            out->n = at->n_kids;
            out->events = at->kids;
            return only_events(at);
        }
        if (at->kind != EFX_AST_PAT_CHAIN && at->kind != EFX_AST_PAT_EVERY) {
            return false;
        }
        out->every = out->every || at->kind == EFX_AST_PAT_EVERY;
        if (at->kids[0]->kind == EFX_AST_PAT_EVENT) {
            out->n = 1;
            out->events = at->kids;
            return true;
        }
        at = at->kids[0];
    }
    struct efx_bpat **only = EFX_NEW_N(arena, struct efx_bpat *, 1);
    if (only == NULL) {
        return false;
    }
    only[0] = p->root;
    out->n = 1;
    out->events = only;
    return true;
}
