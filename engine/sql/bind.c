/* The binder's frame: memory, names, the run over the statements, and what is looked at when all of
 * them are known — dead-letter streams and loops.
 */
#include "bind.h"

#include "efx_step.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void *efx_bind__new(struct efx_binder *b, size_t n, size_t item_bytes, size_t align)
{
    void *p = efx_arena_alloc(b->arena, n, item_bytes, align);
    if (p == NULL) {
        longjmp(b->no_memory, 1);
    }
    return p;
}

void *efx_bind__grow(struct efx_binder *b, const void *items, uint32_t n, size_t item_bytes)
{
    if (n > 0 && (n & (n - 1)) != 0) {
        return (void *)(uintptr_t)items; /* room up to the next power of two */
    }
    void *more = efx_bind__new(b, n == 0 ? 1 : (size_t)n * 2, item_bytes, 8);
    if (n > 0) {
        memcpy(more, items, n * item_bytes);
    }
    return more;
}

static EFX_PRINTF(2, 0) const char *vfmt(struct efx_binder *b, const char *fmt, va_list args)
{
    va_list again;
    EFX_ASSERT(fmt != NULL);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    size_t room = n < 0 ? 1 : (size_t)n + 1;
    char *text = BIND_NEW_N(b, char, room);
    vsnprintf(text, room, fmt, args);
    return text;
}

const char *efx_bind__fmt(struct efx_binder *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const char *text = vfmt(b, fmt, args);
    va_end(args);
    return text;
}

void efx_bind__absent(struct efx_binder *b, struct efx_span at, const char *hint, const char *fmt,
                      ...)
{
    va_list args;
    va_start(args, fmt);
    const char *msg = vfmt(b, fmt, args);
    va_end(args);
    b->absent = efx_bind__grow(b, b->absent, b->n_absent, sizeof *b->absent);
    b->absent[b->n_absent++] = (struct efx_bind_absent){
        at, msg, hint != NULL ? hint : "leave it out for now: this build does not have it"};
}

struct efx_span efx_bind__end_of(struct efx_span at)
{
    return at.len == 0 ? at : (struct efx_span){at.off + at.len - 1, 1};
}

/* ---- names ---- */

struct efx_bind_name *efx_bind__find(struct efx_binder *b, const char *name)
{
    for (uint32_t i = 0; i < b->n_names; i++) {
        struct efx_bind_name *n = b->names[i];
        bool seen = n->partition == EFX_NO_COL || n->partition == b->partition;
        if (seen && strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

struct efx_bind_name *efx_bind__name_add(struct efx_binder *b, const struct efx_ast_name *name)
{
    struct efx_bind_name *n = BIND_NEW(b, struct efx_bind_name);
    *n = (struct efx_bind_name){.name = name->s,
                                .at = name->at,
                                .kind = EFX_NAME_OBJECT,
                                .partition = name->s[0] == '#' ? b->partition : EFX_NO_COL};
    b->names = efx_bind__grow(b, b->names, b->n_names, sizeof *b->names);
    b->names[b->n_names++] = n;
    return n;
}

static struct efx_stream_conf plain_conf(void)
{
    return (struct efx_stream_conf){
        .role = EFX_ROLE_INTERNAL,
        .event_time_col = EFX_NO_COL,
        .watermark_delay_ms = -1,
        .watermark_idle_ms = -1,
        .late = EFX_LATE_KEEP,
        .state_ttl_ms = -1,
        .errors = EFX_ERRORS_DROP,
        .dlq_fallback = EFX_ERRORS_DROP,
        .error_log_level = "warn",
        .async_buffer = 4096,
        .pressure = EFX_PRESSURE_BLOCK,
        .async_timeout_ms = 1000,
        .async_max_delay_ms = 1000,
        .async_failure_threshold = 100,
        .async_recovery_ms = 1000,
    };
}

struct efx_bobject *efx_bind__object_add(struct efx_binder *b, struct efx_bind_name *name,
                                         enum efx_bobject_kind kind,
                                         const struct efx_schema *schema)
{
    struct efx_program *p = b->program;
    if (p->n_objects == EFX_STREAMS_MAX) {
        efx_diag_add(b->diags, 1010, name->at, NULL, "more than %d streams and tables",
                     EFX_STREAMS_MAX);
        return NULL;
    }
    struct efx_bobject *o = BIND_NEW(b, struct efx_bobject);
    *o = (struct efx_bobject){.kind = kind,
                              .id = p->n_objects,
                              .schema = *schema,
                              .declared = name->declared,
                              .at = name->at,
                              .conf = plain_conf(),
                              .partition = name->partition};
    o->schema.name = name->name;
    p->objects = efx_bind__grow(b, p->objects, p->n_objects, sizeof *p->objects);
    p->objects[p->n_objects++] = o;
    name->object = o;
    return o;
}

void efx_bind__unknown(struct efx_binder *b, const struct efx_ast_name *name)
{
    if (b->lenient) {
        return;
    }
    const char **names = BIND_NEW_N(b, const char *, b->n_names + 1);
    for (uint32_t i = 0; i < b->n_names; i++) {
        names[i] = b->names[i]->name;
    }
    const char *hint = efx_diag_nearest(b->diags, efx_str_of(name->s), names, b->n_names);
    efx_diag_add(b->diags, 1201, name->at,
                 hint != NULL ? hint : "it must be created by a statement before this one",
                 "unknown stream or table '%s'", name->s);
}

/* ---- statements ---- */

void efx_bind__stmt(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    switch (s->kind) {
    case EFX_AST_CREATE_STREAM:
    case EFX_AST_CREATE_TABLE:
    case EFX_AST_CREATE_WINDOW:
    case EFX_AST_CREATE_TRIGGER:
    case EFX_AST_CREATE_AGGREGATION:
    case EFX_AST_CREATE_FUNCTION: efx_bind__create(b, s); break;
    case EFX_AST_QUERY:
    case EFX_AST_UPSERT: efx_bind__query(b, s); break;
    case EFX_AST_UPDATE:
    case EFX_AST_DELETE: efx_bind__update(b, s); break;
    case EFX_AST_PARTITION: efx_bind__partition(b, s); break;
    case EFX_AST_INSERT_VALUES:
        efx_diag_add(b->diags, 1901, s->at, "use an on-demand query, or a datagen source",
                     "INSERT … VALUES does not stand in programs");
        break;
    }
}

static const char *stmt_text(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    const char *target = s->has_target ? s->name.s : "OutputStream";
    switch (s->kind) {
    case EFX_AST_UPSERT: return efx_bind__fmt(b, "UPSERT INTO %s", s->name.s);
    case EFX_AST_UPDATE: return efx_bind__fmt(b, "UPDATE %s", s->name.s);
    case EFX_AST_DELETE: return efx_bind__fmt(b, "DELETE FROM %s", s->name.s);
    case EFX_AST_INSERT_VALUES: return efx_bind__fmt(b, "INSERT INTO %s", s->name.s);
    case EFX_AST_QUERY:
    case EFX_AST_CREATE_STREAM:
    case EFX_AST_CREATE_TABLE:
    case EFX_AST_CREATE_WINDOW:
    case EFX_AST_CREATE_TRIGGER:
    case EFX_AST_CREATE_AGGREGATION:
    case EFX_AST_CREATE_FUNCTION:
    case EFX_AST_PARTITION: break;
    }
    return efx_bind__fmt(b, "INSERT INTO %s", target);
}

struct efx_bstmt *efx_bind__stmt_add(struct efx_binder *b, const struct efx_ast_stmt *s)
{
    struct efx_program *p = b->program;
    struct efx_bstmt *st = BIND_NEW(b, struct efx_bstmt);
    *st = (struct efx_bstmt){.kind = EFX_STMT_SINGLE,
                             .id = p->n_stmts,
                             .at = s->at,
                             .partition = b->partition,
                             .within_ms = -1,
                             .limit = -1,
                             .current = s->kinds != EFX_AST_EXPIRED,
                             .expired = s->kinds == EFX_AST_EXPIRED || s->kinds == EFX_AST_ALL};
    st->name = efx_bind__fmt(b, "q%u: %s", p->n_stmts + 1, stmt_text(b, s));
    if (!b->on_demand) {
        p->stmts = efx_bind__grow(b, p->stmts, p->n_stmts, sizeof *p->stmts);
        p->stmts[p->n_stmts++] = st;
    }
    return st;
}

/* ---- when all is known ---- */

static const struct {
    const char *name;
    enum efx_type type;
} dlq_cols[] = {{"originalEvent", EFX_TYPE_STRING}, {"errorMessage", EFX_TYPE_STRING},
                {"errorType", EFX_TYPE_STRING},     {"timestamp", EFX_TYPE_LONG},
                {"attemptCount", EFX_TYPE_INT},     {"streamName", EFX_TYPE_STRING}};
enum { N_DLQ_COLS = sizeof dlq_cols / sizeof *dlq_cols };

static bool has_dlq_cols(const struct efx_schema *s)
{
    bool same = s->n_cols == N_DLQ_COLS;
    for (uint32_t i = 0; same && i < N_DLQ_COLS; i++) {
        same =
            strcmp(s->cols[i].name, dlq_cols[i].name) == 0 && s->cols[i].type == dlq_cols[i].type;
    }
    return same;
}

static void find_dlq(struct efx_binder *b, struct efx_bind_name *of)
{
    struct efx_ast_name name = {efx_bind__fmt(b, EFX_STR_FMT, EFX_STR_ARG(of->dlq.value)),
                                of->dlq.value_at};
    struct efx_bind_name *n = efx_bind__find(b, name.s);
    if (n == NULL) {
        efx_bind__unknown(b, &name);
        return;
    }
    if (n->object == NULL || of->object == NULL) {
        return;
    }
    const struct efx_bobject *dlq = n->object;
    if (dlq->kind != EFX_OBJ_STREAM || !has_dlq_cols(&dlq->schema)) {
        efx_diag_add(b->diags, 1111, name.at,
                     "it needs originalEvent STRING, errorMessage STRING, errorType STRING, "
                     "timestamp LONG, attemptCount INT, streamName STRING",
                     "'%s' does not have the columns of a DLQ stream", name.s);
    } else if (dlq == of->object || dlq->conf.errors == EFX_ERRORS_DLQ) {
        efx_diag_add(b->diags, 1111, name.at, NULL, "DLQ stream '%s' sends its own errors to a DLQ",
                     name.s);
    }
    of->object->conf.dlq = dlq;
}

/* Do rows of `from` reach `to` by statements before number n? `seen`: one place an object. */
static bool reaches(const struct efx_program *p, const struct efx_bobject *from,
                    const struct efx_bobject *to, uint32_t n, bool *seen)
{
    if (from == to) {
        return true;
    }
    if (from == NULL || seen[from->id]) {
        return false;
    }
    seen[from->id] = true;
    for (uint32_t i = 0; i < n; i++) {
        const struct efx_bstmt *s = p->stmts[i];
        bool reads = false;
        for (uint32_t k = 0; k < s->n_inputs; k++) {
            reads = reads || s->inputs[k].object == from;
        }
        bool streams = s->target.object != NULL && s->target.object->kind == EFX_OBJ_STREAM;
        if (reads && streams && reaches(p, s->target.object, to, n, seen)) {
            return true;
        }
    }
    return false;
}

/* 2801 at the statement that closes the loop. */
static void warn_loops(struct efx_binder *b)
{
    struct efx_program *p = b->program;
    bool *seen = BIND_NEW_N(b, bool, p->n_objects + 1);
    for (uint32_t i = 0; i < p->n_stmts; i++) {
        const struct efx_bstmt *s = p->stmts[i];
        const struct efx_bobject *t = s->target.object;
        if (t == NULL || t->kind != EFX_OBJ_STREAM) {
            continue;
        }
        for (uint32_t k = 0; k < s->n_inputs; k++) {
            memset(seen, 0, p->n_objects * sizeof *seen);
            if (s->inputs[k].object != NULL && reaches(p, t, s->inputs[k].object, i, seen)) {
                efx_diag_add(b->diags, 2801, s->at, NULL,
                             "rows of '%s' come back to '%s': a loop, ended by loop.max_rows",
                             t->schema.name, s->inputs[k].object->schema.name);
                break;
            }
        }
    }
}

static void finish(struct efx_binder *b)
{
    for (uint32_t i = 0; i < b->n_names; i++) {
        if (b->names[i]->dlq.key != NULL) {
            find_dlq(b, b->names[i]);
        }
    }
    for (uint32_t i = 0, right = b->diags->n_errors == 0; right && i < b->n_absent; i++) {
        efx_diag_add(b->diags, 9001, b->absent[i].at, b->absent[i].hint, "%s", b->absent[i].msg);
    }
    if (b->diags->n_errors == 0) {
        warn_loops(b);
    }
}

static const char *from_environment(const char *name)
{
    return getenv(name);
}

enum efx_rc efx_bind_program(struct efx_arena *plan, const struct efx_registry *registry,
                             const struct efx_ast *ast, struct efx_diags *diags,
                             const char *(*env)(const char *), struct efx_program **out)
{
    struct efx_binder *b = EFX_NEW(plan, struct efx_binder);
    struct efx_program *program = EFX_NEW(plan, struct efx_program);
    if (b == NULL || program == NULL) {
        return EFX_ENOMEM;
    }
    b->arena = plan;
    b->registry = registry;
    b->diags = diags;
    b->env = env != NULL ? env : from_environment;
    b->program = program;
    b->partition = EFX_NO_COL;
    b->lenient = diags->n_errors > 0;
    program->text = diags->text;
    if (setjmp(b->no_memory) != 0) {
        return EFX_ENOMEM;
    }
    for (const struct efx_ast_stmt *s = ast->first; s != NULL; s = s->next) {
        efx_bind__stmt(b, s);
    }
    finish(b);
    if (diags->n_errors > 0) {
        return EFX_ETYPE;
    }
    *out = b->program;
    return EFX_OK;
}
