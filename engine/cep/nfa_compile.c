/* The tree to elements in a row, and the record of a partial.
 *
 * A chain is its elements in order. Which of them a partial is open for follows from where it
 * stands and how many events it has collected there (nfa_run.c), so no states are listed:
 *
 *   e1{2,3} -> e2? -> e3      at e1 with 1 event    e1
 *                             at e1 with 2          e3 e2 e1     the last is asked first
 *                             at e1 with 3          e3 e2
 *                             at e2                 e3
 *
 * Optional elements behind the last needed one never get an event: the match is there before.
 *
 *   record  │ struct efx_nfa_partial │ nodes │ bound bits │ valid bits │ slots │ aggregates │
 */
#include "nfa_compile.h"

#include "nfa_partial.h"

static enum efx_rc add_elems(struct efx_nfa_compiler *c, const struct efx_nfa_chain *chain)
{
    struct efx_nfa *nfa = c->nfa;
    nfa->n_elems = chain->n;
    while (nfa->n_elems > 1 && chain->events[nfa->n_elems - 1]->min == 0) {
        nfa->n_elems--;
    }
    nfa->elems = EFX_NEW_N(c->arena, struct efx_nfa_elem, nfa->n_elems);
    if (nfa->elems == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t q = 0; q < nfa->n_elems; q++) {
        const struct efx_bpat *p = chain->events[q];
        struct efx_nfa_elem *e = &nfa->elems[q];
        e->input = p->input;
        e->min = p->min;
        e->max = p->max;
        e->starts = q == 0 || (nfa->elems[q - 1].starts && nfa->elems[q - 1].min == 0);
        e->waits = q > 0 || e->min > 1 || (e->max > 1 && nfa->n_elems > 1);
    }
    for (uint32_t q = nfa->n_elems; q-- > 0;) {
        struct efx_nfa_input *in = &nfa->inputs[nfa->elems[q].input];
        in->elems = efx_nfa__grow(c->arena, in->elems, in->n_elems, sizeof *in->elems);
        if (in->elems == NULL) {
            return EFX_ENOMEM;
        }
        in->elems[in->n_elems++] = q;
    }
    return EFX_OK;
}

/* The k-th key of input i: the copy's birth, then PARTITION BY's columns. */
static uint32_t key_val(struct efx_nfa_compiler *c, uint32_t i, uint32_t k)
{
    const struct efx_nfa_conf *conf = c->conf;
    const struct efx_bx *bx;
    if (conf->partitioned && k == 0) {
        bx = efx_nfa__column(c->arena, conf->n_cols[i] + 1, EFX_TYPE_LONG, EFX_TYPE_LONG);
    } else {
        uint32_t by = k - (conf->partitioned ? 1 : 0);
        uint32_t col = c->pattern->key_cols[i].col[by];
        bx = efx_nfa__column(c->arena, col, conf->types[i][col], c->pattern->key_types[by]);
    }
    return bx == NULL ? EFX_NFA_NO : efx_nfa__val(c, i, bx, false);
}

static enum efx_type key_type(const struct efx_nfa_compiler *c, uint32_t k)
{
    if (c->conf->partitioned && k == 0) {
        return EFX_TYPE_LONG;
    }
    return c->pattern->key_types[k - (c->conf->partitioned ? 1 : 0)];
}

/* Slots of the machine and, on each input, what is equated with them. */
static enum efx_rc add_keys(struct efx_nfa_compiler *c)
{
    struct efx_nfa *nfa = c->nfa;
    nfa->n_keys = c->pattern->n_keys + (c->conf->partitioned ? 1 : 0);
    for (uint32_t k = 0; k < nfa->n_keys; k++) {
        struct efx_nfa_slot s = {.type = key_type(c, k), .elem = EFX_NFA_NO, .from = EFX_NFA_NO};
        if (efx_nfa__slot(c, &s) == EFX_NFA_NO) {
            return EFX_ENOMEM;
        }
    }
    nfa->copy_slot = EFX_NFA_NO;
    if (c->conf->partitioned) {
        nfa->copy_slot = efx_nfa__slot(
            c,
            &(struct efx_nfa_slot){.type = EFX_TYPE_INT, .elem = EFX_NFA_NO, .from = EFX_NFA_NO});
    }
    for (uint32_t i = 0; i < nfa->n_inputs; i++) {
        struct efx_nfa_input *in = &nfa->inputs[i];
        in->keys = EFX_NEW_N(c->arena, struct efx_nfa_cmp, nfa->n_keys);
        if (nfa->n_keys > 0 && in->keys == NULL) {
            return EFX_ENOMEM;
        }
        for (uint32_t k = 0; k < nfa->n_keys; k++) {
            in->keys[k] = efx_nfa_cmp_of((struct efx_nfa_cmp){.op = EFX_BX_EQ,
                                                              .val_type = key_type(c, k),
                                                              .slot_type = key_type(c, k),
                                                              .val = key_val(c, i, k),
                                                              .slot = k});
            if (in->keys[k].val == EFX_NFA_NO) {
                return EFX_ENOMEM;
            }
        }
        if (c->conf->partitioned) {
            const struct efx_bx *copy =
                efx_nfa__column(c->arena, c->conf->n_cols[i], EFX_TYPE_INT, EFX_TYPE_INT);
            in->copy_val = copy == NULL ? EFX_NFA_NO : efx_nfa__val(c, i, copy, false);
            if (in->copy_val == EFX_NFA_NO || nfa->copy_slot == EFX_NFA_NO) {
                return EFX_ENOMEM;
            }
        }
    }
    return EFX_OK;
}

static enum efx_rc add_filters(struct efx_nfa_compiler *c, const struct efx_nfa_chain *chain)
{
    struct efx_nfa *nfa = c->nfa;
    for (uint32_t q = 0; q < nfa->n_elems; q++) {
        struct efx_nfa_elem *e = &nfa->elems[q];
        for (uint32_t k = 0; k < nfa->n_keys; k++) {
            e->cmps = efx_nfa__grow(c->arena, e->cmps, e->n_cmps, sizeof *e->cmps);
            if (e->cmps == NULL) {
                return EFX_ENOMEM;
            }
            e->cmps[e->n_cmps++] = nfa->inputs[e->input].keys[k];
        }
        EFX_RET(efx_nfa__filter(c, q, chain->events[q]->filter));
    }
    return EFX_OK;
}

static enum efx_rc add_outs(struct efx_nfa_compiler *c)
{
    struct efx_nfa *nfa = c->nfa;
    const struct efx_nfa_conf *conf = c->conf;
    nfa->n_hidden_outs = conf->keep_hidden && conf->partitioned ? 2 : 0;
    nfa->n_outs = conf->n_outs;
    nfa->outs = EFX_NEW_N(c->arena, struct efx_nfa_ref, (size_t)conf->n_outs + 2);
    if (nfa->outs == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < conf->n_outs; i++) {
        EFX_RET(efx_nfa__ref(c, conf->outs[i], &nfa->outs[i]));
    }
    if (nfa->n_hidden_outs > 0) {
        nfa->outs[conf->n_outs] = (struct efx_nfa_ref){
            .kind = EFX_NFA_REF_SLOT, .type = EFX_TYPE_INT, .n = nfa->copy_slot};
        nfa->outs[conf->n_outs + 1] =
            (struct efx_nfa_ref){.kind = EFX_NFA_REF_SLOT, .type = EFX_TYPE_LONG, .n = 0};
    }
    return EFX_OK;
}

/* Which slots and aggregates an event of each element fills: LAST ones move up from the oldest. */
static enum efx_rc add_sets(struct efx_nfa_compiler *c)
{
    struct efx_nfa *nfa = c->nfa;
    for (uint32_t q = 0; q < nfa->n_elems; q++) {
        struct efx_nfa_elem *e = &nfa->elems[q];
        e->sets = EFX_NEW_N(c->arena, struct efx_nfa_set, (size_t)nfa->n_slots + 1);
        e->aggs = EFX_NEW_N(c->arena, uint32_t, (size_t)nfa->n_aggs + 1);
        if (e->sets == NULL || e->aggs == NULL) {
            return EFX_ENOMEM;
        }
        for (uint32_t s = nfa->n_slots; s-- > 0;) { /* LAST n was made after LAST n - 1 */
            const struct efx_nfa_slot *slot = &nfa->slots[s];
            if (slot->elem == q) {
                e->sets[e->n_sets++] = (struct efx_nfa_set){
                    .slot = s,
                    .val = slot->val,
                    .off = slot->off,
                    .plain = !c->pattern->elems[q].counted && efx_type_width(slot->type) == 8,
                };
            }
        }
        for (uint32_t a = 0; a < nfa->n_aggs; a++) {
            if (nfa->aggs[a].elem == q) {
                e->aggs[e->n_aggs++] = a;
            }
        }
    }
    return EFX_OK;
}

/* Most elements that a partial is open for at once. */
static uint32_t open_max(const struct efx_nfa *nfa)
{
    uint32_t most = 1;
    for (uint32_t p = 0; p < nfa->n_elems; p++) {
        uint32_t open = nfa->elems[p].max > 1 ? 1 : 0, q = p + 1;
        for (; q < nfa->n_elems; q++) {
            open++;
            if (nfa->elems[q].min > 0) {
                break;
            }
        }
        most = open > most ? open : most;
    }
    return most;
}

static void lay_out(struct efx_nfa *nfa)
{
    uint32_t n_nodes = open_max(nfa) + (nfa->gate ? 1 : 0);
    while (1u << nfa->node_shift < n_nodes) {
        nfa->node_shift++;
    }
    uint32_t off = (uint32_t)sizeof(struct efx_nfa_partial) +
                   ((uint32_t)sizeof(struct efx_nfa_node) << nfa->node_shift);
    nfa->bound_off = off;
    off += efx_words(nfa->n_elems_text) * 8;
    nfa->valid_off = off;
    off += efx_words(nfa->n_slots) * 8;
    for (uint32_t i = 0; i < nfa->n_slots; i++) {
        nfa->slots[i].off = off;
        off += efx_nfa_slot_bytes(nfa->slots[i].type);
    }
    for (uint32_t i = 0; i < nfa->n_aggs; i++) {
        nfa->aggs[i].off = off;
        off += nfa->aggs[i].vt->state_bytes;
    }
    nfa->stride = off;
}

static bool has_equation(const struct efx_nfa *nfa, const struct efx_nfa_elem *e, uint32_t slot)
{
    for (uint32_t i = 0; i < e->n_corr; i++) {
        if (e->cmps[nfa->n_keys + i].slot == slot) {
            return true;
        }
    }
    return false;
}

/* Every later element equated with e1 by one column: state belongs to that column's key groups. */
static void add_split(struct efx_nfa_compiler *c)
{
    struct efx_nfa *nfa = c->nfa;
    nfa->split_slot = EFX_NFA_NO;
    if (nfa->n_keys > 0 || !nfa->every || nfa->skip_past_last_row || nfa->within_events >= 0 ||
        nfa->n_elems < 2 || c->pattern->elems[0].counted) {
        return;
    }
    const struct efx_nfa_elem *second = &nfa->elems[1];
    for (uint32_t k = second->n_corr; k-- > 0;) { /* the first one that all have stays */
        uint32_t slot = second->cmps[k].slot;
        bool all = nfa->slots[slot].elem == 0;
        for (uint32_t q = 2; q < nfa->n_elems; q++) {
            all = all && has_equation(nfa, &nfa->elems[q], slot);
        }
        nfa->split_slot = all ? slot : nfa->split_slot;
    }
}

static enum efx_rc compile(struct efx_nfa_compiler *c, const struct efx_nfa_chain *chain)
{
    struct efx_nfa *nfa = c->nfa;
    nfa->inputs = EFX_NEW_N(c->arena, struct efx_nfa_input, nfa->n_inputs);
    c->input_of = EFX_NEW_N(c->arena, uint32_t, c->pattern->n_elems);
    if (nfa->inputs == NULL || c->input_of == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t i = 0; i < nfa->n_inputs; i++) {
        nfa->inputs[i].n_cols = c->conf->n_cols[i] + (c->conf->partitioned ? 2 : 0);
    }
    for (uint32_t i = 0; i < c->pattern->n_elems; i++) {
        c->input_of[i] = c->pattern->elems[i].input;
    }
    EFX_RET(add_elems(c, chain));
    EFX_RET(add_keys(c));
    EFX_RET(add_filters(c, chain));
    EFX_RET(add_outs(c));
    add_split(c);
    bool key_order = c->conf->expired && c->pattern->n_keys > 0;
    nfa->stubs = key_order || nfa->within_events >= 0;
    nfa->gate = !nfa->every || nfa->skip_past_last_row || nfa->stubs;
    lay_out(nfa);
    return add_sets(c);
}

enum efx_rc efx_nfa_compile(struct efx_arena *arena, const struct efx_nfa_conf *conf,
                            const struct efx_nfa **out, struct efx_err *err)
{
    const struct efx_bpattern *p = conf->pattern;
    struct efx_nfa_chain chain;
    if (p->sequence || !efx_nfa__chain(arena, p, &chain) ||
        (chain.within_ms >= 0 && chain.within_events >= 0)) {
        return EFX_FAIL(err, EFX_ETYPE, EFX_KIND_USER, 9001,
                        "this form of PATTERN is not built yet");
    }
    struct efx_nfa *nfa = EFX_NEW(arena, struct efx_nfa);
    if (nfa == NULL) {
        return EFX_ENOMEM;
    }
    nfa->every = chain.every;
    nfa->skip_past_last_row = p->skip_past_last_row;
    nfa->expired = conf->expired && chain.within_ms >= 0;
    nfa->partitioned = conf->partitioned;
    nfa->within_ms = chain.within_ms;
    nfa->within_events = chain.within_events;
    nfa->n_inputs = conf->n_inputs;
    nfa->n_elems_text = p->n_elems;
    struct efx_nfa_compiler c = {.arena = arena, .conf = conf, .pattern = p, .nfa = nfa};
    EFX_RET(compile(&c, &chain));
    *out = nfa;
    return EFX_OK;
}

/* The nth equation of the element's filter with e1; its own side, *first gets e1's. */
static const struct efx_bx *equation(const struct efx_bpattern *p, const struct efx_bpat *e,
                                     uint32_t nth, const struct efx_bx **first)
{
    const struct efx_bx *parts[64];
    uint32_t n = e->filter == NULL ? 0 : efx_nfa__conjuncts(e->filter, parts, 64);
    for (uint32_t i = 0; i < n && i < 64; i++) {
        if (parts[i]->op != EFX_BX_EQ || parts[i]->args[0]->type != parts[i]->args[1]->type) {
            continue;
        }
        for (uint32_t s = 0; s < 2; s++) {
            struct efx_nfa_mention row = {.cand = false}, bound = {.cand = false};
            efx_nfa__mention(parts[i]->args[1 - s], p, &row);
            efx_nfa__mention(parts[i]->args[s], p, &bound);
            if (row.cand && !row.elem && bound.elem && !bound.cand && !bound.mixed &&
                bound.src == 0 && nth-- == 0) {
                *first = parts[i]->args[s];
                return parts[i]->args[1 - s];
            }
        }
    }
    return NULL;
}

static const struct efx_bx *equation_with(const struct efx_bpattern *p, const struct efx_bpat *e,
                                          const struct efx_bx *first)
{
    const struct efx_bx *side, *own;
    for (uint32_t i = 0; (own = equation(p, e, i, &side)) != NULL; i++) {
        if (efx_nfa__same(side, first)) {
            return own;
        }
    }
    return NULL;
}

bool efx_nfa_split(struct efx_arena *arena, const struct efx_bpattern *p,
                   const struct efx_bx **sides)
{
    struct efx_nfa_chain chain;
    if (p->sequence || p->n_keys > 0 || p->skip_past_last_row ||
        !efx_nfa__chain(arena, p, &chain) || chain.within_events >= 0 || !chain.every ||
        chain.n < 2 || p->elems[0].counted) {
        return false;
    }
    const struct efx_bx *first;
    for (uint32_t i = 0; (sides[1] = equation(p, chain.events[1], i, &first)) != NULL; i++) {
        bool all = true;
        for (uint32_t q = 2; q < chain.n; q++) {
            sides[q] = equation_with(p, chain.events[q], first);
            all = all && sides[q] != NULL;
        }
        sides[0] = efx_nfa__localise(arena, first);
        if (all && sides[0] != NULL) {
            return true;
        }
    }
    return false;
}
