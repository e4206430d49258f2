/* Template: run and emit of one aggregate for one C type. No guard on purpose; undefines what it
 * was given, but STATE.
 *
 *   FN      prefix of what is made: FN_run, FN_emit        STATE   type of the state
 *   CTYPE   of an argument; not defined: values do not matter, only whether they are NULL
 *   OTYPE   of a result
 *   ENTER   (at, STATE *, CTYPE)  enum efx_rc              LEAVE   the same
 *   RESET   (at, STATE *)
 *   VALUE   (at, const STATE *, OTYPE *, struct efx_fails *, i)  bool: not NULL
 *
 * Ops go in blocks of 64, one word of each bitmap. A block in which nothing special happens takes a
 * loop without tests; the state of a single entry is a local, so it stays in registers. A NULL slot
 * is never read, so NaN in it harms nobody. What a loop reads of its arguments is copied first: the
 * compiler cannot know that a state is none of them.
 */
#define RUN(f) AGG_CAT(FN, f)

struct RUN(view) { /* what a loop over ops reads */
    struct efx_states states;
    const uint32_t *id, *row;
    const void *arg, *left; /* values of rows that enter, that leave */
};

AGG_INLINE struct RUN(view) RUN(look)(const struct efx_states *at, const struct efx_agg_in *in)
{
    const struct efx_col *left = in->left != NULL ? in->left : in->arg;
    return (struct RUN(view)){*at, in->id, in->row, in->arg == NULL ? NULL : in->arg->data,
                              left == NULL ? NULL : left->data};
}

AGG_INLINE STATE *RUN(state)(const struct RUN(view) * v, STATE *one, uint32_t i)
{
    return one != NULL ? one : (STATE *)efx_state_at(&v->states, v->id[i]);
}

AGG_INLINE enum efx_rc RUN(op)(const struct efx_states *at, const struct RUN(view) * in, STATE *s,
                               uint32_t row, bool leaves)
{
#ifdef CTYPE
    CTYPE v = ((const CTYPE *)(leaves ? in->left : in->arg))[row];
    return leaves ? LEAVE(at, s, v) : ENTER(at, s, v);
#else
    (void)in;
    (void)row;
    return leaves ? LEAVE(at, s, 0) : ENTER(at, s, 0);
#endif
}

AGG_INLINE bool RUN(is_valid)(const struct efx_agg_in *in, uint32_t row, bool leaves)
{
    const struct efx_col *col = leaves && in->left != NULL ? in->left : in->arg;
    return col == NULL || efx_bit(col->valid, row);
}

/* Ops from .. until - 1 of one word; `special`: some of skip, fresh, NULL can be. */
AGG_INLINE enum efx_rc RUN(block)(const struct efx_states *at, const struct efx_agg_in *in,
                                  struct efx_agg_out *out, uint32_t from, uint32_t until,
                                  STATE *one, bool may_leave, bool special)
{
    uint64_t leave_w = may_leave && in->leaves != NULL ? in->leaves[from / 64] : 0;
    uint64_t skip_w = special && in->skip != NULL ? in->skip[from / 64] : 0;
    uint64_t fresh_w = special && in->fresh != NULL ? in->fresh[from / 64] : 0;
    uint64_t valid = 0;
    bool wanted = out != NULL && out->data != NULL;
    const struct RUN(view) view = RUN(look)(at, in);
    OTYPE *data = wanted ? out->data : NULL;
    for (uint32_t i = from; i < until; i++) {
        STATE *s = RUN(state)(&view, one, i);
        uint32_t row = view.row == NULL ? i : view.row[i];
        bool leaves = may_leave && (leave_w >> (i % 64) & 1) != 0;
        if (special && (fresh_w >> (i % 64) & 1) != 0) {
            RESET(at, s);
        }
        if (!special || ((skip_w >> (i % 64) & 1) == 0 && RUN(is_valid)(in, row, leaves))) {
            EFX_RET(RUN(op)(at, &view, s, row, leaves));
        }
        if (wanted) {
            valid |= (uint64_t)VALUE(at, s, data + i, &out->fails, i) << (i % 64);
        }
    }
    if (wanted) {
        out->valid[from / 64] = valid;
    }
    return EFX_OK;
}

/* A block of rows that leave, at whose values nobody looks. */
AGG_INLINE enum efx_rc RUN(leave_block)(const struct efx_states *at, const struct efx_agg_in *in,
                                        struct efx_agg_out *out, uint32_t from, uint32_t until,
                                        STATE *one)
{
    const struct RUN(view) view = RUN(look)(at, in);
    for (uint32_t i = from; i < until; i++) {
        STATE *s = RUN(state)(&view, one, i);
        EFX_RET(RUN(op)(at, &view, s, view.row == NULL ? i : view.row[i], true));
    }
    if (out != NULL && out->data != NULL) {
        out->valid[from / 64] = UINT64_MAX;
    }
    return EFX_OK;
}

AGG_INLINE enum efx_rc RUN(blocks)(const struct efx_states *at, const struct efx_agg_in *in,
                                   struct efx_agg_out *out, STATE *one)
{
    bool nulls = (in->arg != NULL && in->arg->valid != NULL) ||
                 (in->left != NULL && in->left->valid != NULL);
    enum efx_rc rc = EFX_OK;
    for (uint32_t from = 0; from < in->n && rc == EFX_OK; from += 64) {
        uint32_t until = in->n - from < 64 ? in->n : from + 64;
        bool leave = in->leaves != NULL && in->leaves[from / 64] != 0;
        bool special = nulls || (in->skip != NULL && in->skip[from / 64] != 0) ||
                       (in->fresh != NULL && in->fresh[from / 64] != 0);
        bool all_leave =
            leave && in->quiet && in->leaves[from / 64] == efx_word(NULL, from / 64, in->n);
        if (special) {
            rc = RUN(block)(at, in, out, from, until, one, true, true);
        } else if (all_leave) {
            rc = RUN(leave_block)(at, in, out, from, until, one);
        } else if (leave) {
            rc = RUN(block)(at, in, out, from, until, one, true, false);
        } else {
            rc = RUN(block)(at, in, out, from, until, one, false, false);
        }
    }
    return rc;
}

/* Pairs from .. until - 1 of one word; *gone: rows of left that went out before. `whole`: there is
 * no NULL, and every op takes a row out. */
AGG_INLINE enum efx_rc RUN(pair_block)(const struct efx_states *at, const struct efx_agg_in *in,
                                       struct efx_agg_out *out, uint32_t from, uint32_t until,
                                       STATE *one, uint32_t *gone, bool whole)
{
    uint64_t leave_w = in->leaves == NULL ? 0 : in->leaves[from / 64];
    uint64_t valid = 0;
    bool wanted = out != NULL && out->data != NULL;
    const struct RUN(view) view = RUN(look)(at, in);
    OTYPE *data = wanted ? out->data : NULL;
    for (uint32_t i = from; i < until; i++) {
        STATE *s = RUN(state)(&view, one, i);
        uint32_t row = view.row == NULL ? i : view.row[i];
        if (whole || (leave_w >> (i % 64) & 1) != 0) {
            if (whole || RUN(is_valid)(in, *gone, true)) {
                EFX_RET(RUN(op)(at, &view, s, *gone, true));
            }
            ++*gone;
        }
        if (whole || RUN(is_valid)(in, row, false)) {
            EFX_RET(RUN(op)(at, &view, s, row, false));
        }
        if (wanted) {
            valid |= (uint64_t)VALUE(at, s, data + i, &out->fails, i) << (i % 64);
        }
    }
    if (wanted) {
        out->valid[from / 64] = valid;
    }
    return EFX_OK;
}

AGG_INLINE enum efx_rc RUN(pairs)(const struct efx_states *at, const struct efx_agg_in *in,
                                  struct efx_agg_out *out, STATE *one)
{
    bool nulls = (in->arg != NULL && in->arg->valid != NULL) ||
                 (in->left != NULL && in->left->valid != NULL);
    uint32_t gone = 0;
    enum efx_rc rc = EFX_OK;
    for (uint32_t from = 0; from < in->n && rc == EFX_OK; from += 64) {
        uint32_t until = in->n - from < 64 ? in->n : from + 64;
        bool all = in->leaves != NULL && in->leaves[from / 64] == efx_word(NULL, from / 64, in->n);
        rc = all && !nulls ? RUN(pair_block)(at, in, out, from, until, one, &gone, true)
                           : RUN(pair_block)(at, in, out, from, until, one, &gone, false);
    }
    return rc;
}

static enum efx_rc RUN(run)(const struct efx_states *at, const struct efx_agg_in *in,
                            struct efx_agg_out *out)
{
    if (in->n > 1 && agg_one_id(in)) {
        STATE *s = efx_state_at(at, in->id[0]);
        STATE local = *s;
        enum efx_rc rc =
            in->pairs ? RUN(pairs)(at, in, out, &local) : RUN(blocks)(at, in, out, &local);
        *s = local;
        return rc;
    }
    return in->pairs ? RUN(pairs)(at, in, out, NULL) : RUN(blocks)(at, in, out, NULL);
}

static enum efx_rc RUN(emit)(const struct efx_states *at, const uint32_t *id, uint32_t n,
                             struct efx_agg_out *out)
{
    for (uint32_t i = 0; i < n; i++) {
        const STATE *s = efx_state_at(at, id[i]);
        bool valid = VALUE(at, s, (OTYPE *)out->data + i, &out->fails, i);
        efx_bit_put(out->valid, i, valid);
    }
    return EFX_OK;
}

#undef RUN
#undef FN
#undef CTYPE
#undef OTYPE
#undef ENTER
#undef LEAVE
#undef RESET
#undef VALUE
