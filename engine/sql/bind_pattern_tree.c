/* Third pass over a pattern: the tree that the engine runs, if it runs it (see bind_pattern.c). */
#include "bind_pattern.h"

static bool absent(struct efx_pat *p, struct efx_span at, const char *what, const char *hint)
{
    efx_bind__absent(p->b, at, hint, "%s not built yet", what);
    return false;
}

static struct efx_bpat *node(struct efx_pat *p, enum efx_ast_pat kind, struct efx_span at,
                             uint32_t n_kids)
{
    struct efx_bpat *n = BIND_NEW(p->b, struct efx_bpat);
    *n = (struct efx_bpat){.kind = kind,
                           .at = at,
                           .n_kids = n_kids,
                           .kids = BIND_NEW_N(p->b, struct efx_bpat *, n_kids + 1),
                           .elem = EFX_NO_COL,
                           .input = EFX_NO_COL,
                           .min = 1,
                           .max = 1,
                           .within_ms = -1,
                           .within_events = -1,
                           .for_ms = -1};
    return n;
}

static struct efx_bpat *event(struct efx_pat *p, const struct efx_ast_pattern_node *n)
{
    uint32_t i = 0;
    while (p->elems[i].node != n) {
        i++;
    }
    struct efx_bpat *e = node(p, EFX_AST_PAT_EVENT, n->at, 0);
    e->elem = i;
    e->input = p->elems[i].input;
    e->filter = p->elems[i].filter;
    e->counted = n->has_count;
    if (n->has_count) {
        e->min = (uint32_t)n->min;
        e->max = n->no_max ? UINT32_MAX : (uint32_t)n->max;
    }
    return e;
}

/* Bounds around the whole hold together: the least counts. */
static bool bound_whole(struct efx_pat *p, const struct efx_ast_bound *bound)
{
    if (!bound->there) {
        return true;
    }
    int64_t *least = bound->events ? &p->made->within_events : &p->made->within_ms;
    int64_t own = bound->events ? bound->n : bound->duration.ms;
    *least = *least < 0 || own < *least ? own : *least;
    if (p->made->within_events >= 0 && p->made->within_ms >= 0) {
        return absent(p, bound->at, "WITHIN d together with WITHIN n EVENTS is", "one of them");
    }
    return true;
}

static bool takes(struct efx_pat *p, const struct efx_ast_pattern_node *n)
{
    switch (n->kind) {
    case EFX_AST_PAT_EVENT: return true;
    case EFX_AST_PAT_NOT: return absent(p, n->at, "NOT in a pattern is", NULL);
    case EFX_AST_PAT_AND: return absent(p, n->at, "AND in a pattern is", NULL);
    case EFX_AST_PAT_OR: return absent(p, n->at, "OR in a pattern is", "one query each");
    case EFX_AST_PAT_EVERY:
        return absent(p, n->at, "EVERY but at the start of a pattern is",
                      "EVERY before the first element, or around the chain");
    case EFX_AST_PAT_CHAIN:
        return absent(p, n->at, "a group inside a pattern is", "one chain: a -> b -> c");
    }
    return false;
}

struct shape {
    const struct efx_ast_pattern_node *chain;
    bool every; /* around it */
};

/* Takes off parentheses around the whole, and EVERY before them. */
static bool unwrap(struct efx_pat *p, struct shape *s)
{
    for (;;) {
        const struct efx_ast_pattern_node *n = s->chain;
        if (!bound_whole(p, &n->within) || !bound_whole(p, &n->within_behind)) {
            return false;
        }
        const struct efx_ast_pattern_node *only = n->n_kids == 1 ? n->kids[0] : NULL;
        if (only != NULL && only->kind == EFX_AST_PAT_EVERY && only->n_kids == 1 &&
            only->kids[0]->kind == EFX_AST_PAT_CHAIN) {
            if (s->every) {
                return absent(p, only->at, "EVERY inside EVERY is", NULL);
            }
            s->every = true;
            s->chain = only->kids[0];
        } else if (only != NULL && only->kind == EFX_AST_PAT_CHAIN) {
            s->chain = only;
        } else {
            return true;
        }
    }
}

/* EVERY e1=A, also with parentheses around the element. */
static const struct efx_ast_pattern_node *every_event(const struct efx_ast_pattern_node *n)
{
    if (n->kind != EFX_AST_PAT_EVERY) {
        return NULL;
    }
    n = n->kids[0];
    while (n->kind == EFX_AST_PAT_CHAIN && n->n_kids == 1 && !n->within.there &&
           !n->within_behind.there) {
        n = n->kids[0];
    }
    return n->kind == EFX_AST_PAT_EVENT ? n : NULL;
}

static bool chain(struct efx_pat *p, const struct shape *s, struct efx_bpat *out)
{
    bool ok = true;
    for (uint32_t i = 0; i < s->chain->n_kids; i++) {
        const struct efx_ast_pattern_node *kid = s->chain->kids[i];
        const struct efx_ast_pattern_node *started = i == 0 ? every_event(kid) : NULL;
        if (started != NULL && s->every) {
            return absent(p, kid->at, "EVERY inside EVERY is", NULL);
        }
        if (started != NULL) {
            out->kids[0] = node(p, EFX_AST_PAT_EVERY, kid->at, 1);
            out->kids[0]->kids[0] = event(p, started);
        } else if (takes(p, kid)) {
            out->kids[i] = event(p, kid);
        } else {
            ok = false;
        }
    }
    return ok;
}

void efx_bind__pattern_tree(struct efx_pat *p)
{
    struct shape s = {.chain = p->ast->root};
    if (p->ast->sequence) {
        absent(p, p->ast->at, "SEQUENCE is", "PATTERN");
        return;
    }
    if (!bound_whole(p, &p->ast->within) || !unwrap(p, &s)) {
        return;
    }
    struct efx_bpat *made = node(p, EFX_AST_PAT_CHAIN, s.chain->at, s.chain->n_kids);
    if (!chain(p, &s, made)) {
        return;
    }
    if (!s.every) {
        p->made->root = made;
        return;
    }
    struct efx_bpat *root = node(p, EFX_AST_PAT_CHAIN, p->ast->root->at, 1);
    root->kids[0] = node(p, EFX_AST_PAT_EVERY, s.chain->at, 1);
    root->kids[0]->kids[0] = made->n_kids == 1 ? made->kids[0] : made;
    p->made->root = root;
}
