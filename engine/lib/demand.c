/* On-demand statements (language §12): one text, one answer, between two steps.
 *
 *   text ─► parse ─► bind over the program ─► SELECT: rows, kept ─► the caller's function
 *                                            others: the table is changed ─► how many rows
 *
 *   Errors  EFX_RC_SQL with the first message and its code; EFX_RC_DATA: a value failed, nothing
 *           was given or changed; EFX_RC_MEMORY: more than DEMAND_BYTES_MAX of rows
 */
#include "demand.h"

#include "efx_hash.h"

#include <stdatomic.h>
#include <stdio.h>

/* ---- begin, end ---- */

/* uuid() must differ from statement to statement, also where no step lies between them. */
static uint64_t seed_of(const struct demand *d)
{
    static atomic_uint_fast64_t n_statements;
    const struct efx_program *p = d->parts.program;
    uint64_t seed = 0;
    for (uint32_t i = 0; i < p->n_objects; i++) {
        if (d->tables[i] != NULL) {
            seed = efx_app_table(d->parts.app, i)->ctx->seed;
        }
    }
    return efx_hash_mix(seed, atomic_fetch_add(&n_statements, 1));
}

static enum efx_rc begin(struct demand *d, struct efx_diags *diags, const char *sql)
{
    const struct efx_program *p = d->parts.program;
    char *text = efx_arena_str(&d->arena, sql, strlen(sql));
    int64_t *clock_ms = EFX_NEW_N(&d->arena, int64_t, EFX_BATCH_ROWS_MAX);
    d->tables = EFX_NEW_N(&d->arena, const struct efx_table_view *, p->n_objects + 1);
    if (text == NULL || clock_ms == NULL || d->tables == NULL) {
        return EFX_ENOMEM;
    }
    efx_diags_init(diags, &d->arena, efx_str_of(text), "query");
    d->ask = (struct efx_pdemand_ask){&d->arena, p, diags};
    d->step = efx_app_now(d->parts.app);
    for (uint32_t i = 0; i < EFX_BATCH_ROWS_MAX; i++) {
        clock_ms[i] = d->step->clk_last_ms;
    }
    d->clock_ms = clock_ms;
    for (uint32_t i = 0; i < p->n_objects; i++) {
        struct efx_op *table =
            p->objects[i]->kind == EFX_OBJ_TABLE ? efx_app_table(d->parts.app, i) : NULL;
        d->tables[i] = table != NULL ? efx_op_table_view(table) : NULL;
    }
    d->ctx.tables = d->tables;
    d->seed = seed_of(d);
    return EFX_OK;
}

static enum efx_rc compile(struct demand *d, struct efx_diags *diags)
{
    struct efx_ast_stmt *ast = NULL;
    struct efx_bondemand *bound = NULL;
    EFX_RET(efx_parse_on_demand(&d->arena, diags, &ast));
    if (ast == NULL || diags->n_errors > 0) {
        return EFX_ETYPE;
    }
    EFX_RET(
        efx_bind_on_demand(&d->arena, efx_lib_registry(), d->parts.program, ast, diags, &bound));
    d->bound = bound;
    return EFX_OK;
}

/* ---- rows out ---- */

static efx_val val_of(const struct efx_col *c, uint32_t row)
{
    struct efx_value v = efx_value_of_col(c, row);
    efx_val out = {.type = (enum efx_val_type)c->type, .null = v.null};
    if (v.null) {
        return out;
    }
    switch (c->type) {
    case EFX_TYPE_NONE: out.null = true; break;
    case EFX_TYPE_INT: out.u.i = v.i; break;
    case EFX_TYPE_LONG: out.u.l = v.l; break;
    case EFX_TYPE_FLOAT: out.u.f = v.f; break;
    case EFX_TYPE_DOUBLE: out.u.d = v.d; break;
    case EFX_TYPE_BOOL: out.u.b = v.b; break;
    case EFX_TYPE_STRING:
    case EFX_TYPE_BYTES:
    case EFX_TYPE_OBJECT:
        out.u.s.p = v.s.p;
        out.u.s.n = v.s.n;
        break;
    }
    return out;
}

/* DISTINCT is cut here and in `give`, when repeated rows are gone. */
static void give_rows(const struct demand *d, const struct demand_rows *rows,
                      const struct efx_lib_answer *to)
{
    const struct efx_bstmt *s = d->bound->stmt;
    uint64_t n = 0, from = d->bound->distinct && s->offset > 0 ? (uint64_t)s->offset : 0;
    uint64_t max = d->bound->distinct && s->limit >= 0 ? (uint64_t)s->limit : UINT64_MAX;
    uint64_t until = max > UINT64_MAX - from ? UINT64_MAX : from + max;
    for (const struct demand_chunk *k = rows->first; k != NULL && to->rows != NULL; k = k->next) {
        struct efx_batch b = efx_demand__batch(d, k->cols, rows->n_cols, k->n);
        uint64_t before = from > n ? from - n : 0, left = until > n ? until - n : 0;
        uint32_t last = left < k->n ? (uint32_t)left : k->n;
        struct efx_rows slice = {&b, before < k->n ? (uint32_t)before : k->n, last};
        if (slice.from < last) {
            to->rows(to->arg, &slice);
        }
        n += k->n;
    }
}

static enum efx_rc give(struct demand *d, const struct demand_rows *rows,
                        const struct efx_lib_answer *to)
{
    const struct efx_bstmt *s = d->bound->stmt;
    struct efx_column *cols = EFX_NEW_N(&d->arena, struct efx_column, rows->n_cols + 1);
    efx_val *values = EFX_NEW_N(&d->arena, efx_val, rows->n_cols + 1);
    if (cols == NULL || values == NULL) {
        return EFX_ENOMEM;
    }
    for (uint32_t c = 0; c < rows->n_cols; c++) {
        cols[c] = (struct efx_column){s->out[c].name, (enum efx_val_type)rows->types[c]};
    }
    struct efx_stream stream = {.name = "query", .n_columns = rows->n_cols, .columns = cols};
    struct efx_row row = {&stream, d->step->clk_last_ms, false, values};
    if (to->columns != NULL) {
        to->columns(to->arg, &stream);
    }
    give_rows(d, rows, to);
    uint64_t n = 0, from = d->bound->distinct && s->offset > 0 ? (uint64_t)s->offset : 0;
    uint64_t max = d->bound->distinct && s->limit >= 0 ? (uint64_t)s->limit : UINT64_MAX;
    for (const struct demand_chunk *k = rows->first; k != NULL && to->row != NULL; k = k->next) {
        for (uint32_t i = 0; i < k->n; i++, n++) {
            if (n < from || n - from >= max) {
                continue;
            }
            for (uint32_t c = 0; c < rows->n_cols; c++) {
                values[c] = val_of(&k->cols[c], i);
            }
            to->row(to->arg, &row);
        }
    }
    return EFX_OK;
}

static enum efx_rc run(struct demand *d, const struct efx_lib_answer *to, uint64_t *changed)
{
    uint64_t n = 0;
    struct demand_rows rows = {0};
    if (d->bound->stmt->target.object != NULL) {
        EFX_RET(efx_demand__change(d, &n));
    } else {
        EFX_RET(efx_demand__select(d, &rows));
        EFX_RET(give(d, &rows, to));
    }
    if (changed != NULL) {
        *changed = n;
    }
    return EFX_OK;
}

/* ---- the answer ---- */

static enum efx_code answer(const struct demand *d, enum efx_rc rc, const struct efx_diags *diags,
                            struct efx_error *err)
{
    struct efx_error e = {.code = EFX_RC_BUG, .efx = d->err.code};
    const char *msg = d->err.msg;
    switch (rc) {
    case EFX_OK:
    case EFX_AGAIN:
    case EFX_DONE: return EFX_RC_OK;
    case EFX_ENOMEM:
    case EFX_ELIMIT:
        e.code = EFX_RC_MEMORY;
        msg = msg[0] != '\0' ? msg : "the query needs more memory than it may have";
        break;
    case EFX_EPARSE:
    case EFX_ETYPE:
        e.code = EFX_RC_SQL;
        if (diags->errors != NULL) {
            e.efx = diags->errors->code;
            msg = diags->errors->msg;
        }
        break;
    case EFX_EDATA: e.code = EFX_RC_DATA; break;
    case EFX_EIO:
    case EFX_EABSENT:
    case EFX_ESTALE: e.code = EFX_RC_ENV; break;
    case EFX_EBUG: break;
    }
    (void)snprintf(e.msg, sizeof e.msg, "%s", msg[0] != '\0' ? msg : "the query failed");
    if (err != NULL) {
        *err = e;
    }
    return e.code;
}

enum efx_code efx_lib__query(struct efx *app, const char *sql, const struct efx_lib_answer *to,
                             uint64_t *changed, struct efx_error *err)
{
    struct demand d;
    struct efx_diags diags = {0};
    memset(&d, 0, sizeof d);
    d.parts = efx_lib__parts(app);
    efx_arena_init(&d.arena, &efx_mem_libc, DEMAND_BYTES_MAX);
    efx_ctx_init(&d.ctx, &efx_mem_libc);
    enum efx_rc rc = begin(&d, &diags, sql);
    rc = rc == EFX_OK ? compile(&d, &diags) : rc;
    rc = rc == EFX_OK ? run(&d, to, changed) : rc;
    enum efx_code code = answer(&d, rc, &diags, err);
    efx_ctx_fini(&d.ctx);
    efx_arena_fini(&d.arena);
    return code;
}

enum efx_code efx_lib_look(struct efx *app, const char *sql, struct efx_lib_look *out,
                           struct efx_error *err)
{
    struct demand d;
    struct efx_diags diags = {0};
    memset(&d, 0, sizeof d);
    *out = (struct efx_lib_look){0};
    d.parts = efx_lib__parts(app);
    efx_arena_init(&d.arena, &efx_mem_libc, DEMAND_BYTES_MAX);
    char *text = efx_arena_str(&d.arena, sql, strlen(sql));
    enum efx_rc rc = text == NULL ? EFX_ENOMEM : EFX_OK;
    if (rc == EFX_OK) {
        efx_diags_init(&diags, &d.arena, efx_str_of(text), "query");
        rc = compile(&d, &diags);
    }
    uint32_t first = EFX_NO_COL;
    for (uint32_t i = 0; rc == EFX_OK && i < d.bound->n_uses; i++) {
        first = d.bound->uses[i]->id < first ? d.bound->uses[i]->id : first;
    }
    if (rc == EFX_OK) {
        out->changes = d.bound->stmt->target.object != NULL;
        out->all_here = efx_lib_started(app);
    }
    for (uint32_t i = 0; rc == EFX_OK && efx_lib_started(app) && i < d.bound->n_uses; i++) {
        bool here = efx_app_table(d.parts.app, d.bound->uses[i]->id) != NULL;
        out->first_here = out->first_here || (here && d.bound->uses[i]->id == first);
        out->all_here = out->all_here && here;
    }
    enum efx_code code = answer(&d, rc, &diags, err);
    efx_arena_fini(&d.arena);
    return code;
}
