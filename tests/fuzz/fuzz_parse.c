/* Any bytes, as a program, as an on-demand statement and as an expression: the parser comes back,
 * in bounded memory, with a message for whatever it did not take, and all messages can be printed.
 */
#include "efx_ast.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MEMORY_BYTES_MAX = 256 * 1024 * 1024 };

static void print(const struct efx_diags *d)
{
    for (const struct efx_diag *one = d->errors; one != NULL; one = one->next) {
        EFX_ASSERT(one->msg != NULL && one->at.off <= d->text.n);
        (void)efx_diag_text(d, one);
    }
    for (const struct efx_diag *one = d->warnings; one != NULL; one = one->next) {
        EFX_ASSERT(one->at.off <= d->text.n);
        (void)efx_diag_text(d, one);
    }
    (void)efx_diag_json(d, d->errors);
}

static uint32_t height(const struct efx_ast_expr *e)
{
    uint32_t most = 0;
    for (uint32_t k = 0; k < e->n_args; k++) {
        uint32_t h = height(e->args[k]);
        most = h > most ? h : most;
    }
    EFX_ASSERT(most + 1 <= EFX_AST_HEIGHT_MAX && most < e->height);
    return most + 1;
}

static void statements(const struct efx_ast_stmt *s, const struct efx_diags *d)
{
    for (; s != NULL; s = s->next) {
        EFX_ASSERT(s->kind != 0 && s->at.off + s->at.len <= d->text.n);
        statements(s->body_stmts, d);
        if (s->select != NULL && s->select->where != NULL) {
            (void)height(s->select->where);
        }
        for (uint32_t k = 0; s->select != NULL && k < s->select->n_items; k++) {
            EFX_ASSERT(s->select->items[k].star || s->select->items[k].expr != NULL);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct efx_str text = {(const char *)data, (uint32_t)size};
    for (int how = 0; how < 3; how++) {
        struct efx_arena arena;
        struct efx_diags d;
        efx_arena_init(&arena, &efx_mem_libc, MEMORY_BYTES_MAX);
        efx_diags_init(&d, &arena, text, "fuzz.sql");
        struct efx_ast *ast = NULL;
        struct efx_ast_stmt *s = NULL;
        struct efx_ast_expr *e = NULL;
        enum efx_rc rc = how == 0   ? efx_parse_program(&arena, &d, &ast)
                         : how == 1 ? efx_parse_on_demand(&arena, &d, &s)
                                    : efx_parse_expr(&arena, &d, &e);
        EFX_ASSERT(rc == EFX_OK || rc == EFX_ENOMEM);
        EFX_ASSERT(rc != EFX_OK || ast != NULL || s != NULL || e != NULL || d.n_errors > 0);
        if (rc == EFX_OK && d.n_errors == 0) {
            statements(ast != NULL ? ast->first : s, &d);
        }
        print(&d);
        efx_arena_fini(&arena);
    }
    return 0;
}
