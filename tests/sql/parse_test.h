#ifndef PARSE_TEST_H
#define PARSE_TEST_H

/* What the parser's tests share: a parse with its arena, and trees as text.
 *
 *   a + 1 * 2     (+ a (* 1 2))        EVERY e1=A{2,} -> B    chain[every[e1=A{2,}] B]
 */
#include "efx_ast.h"
#include "efx_test.h"

#include <stdio.h>

struct parsed {
    struct efx_arena arena;
    struct efx_diags diags;
    struct efx_ast *ast;
    struct efx_ast_stmt *stmt; /* on demand */
    struct efx_ast_expr *expr;
};

enum parse_how { PARSE_PROGRAM = 1, PARSE_ON_DEMAND, PARSE_EXPR };

static inline void parse_bytes(struct parsed *p, const char *text, size_t n, enum parse_how how)
{
    *p = (struct parsed){.ast = NULL};
    efx_arena_init(&p->arena, &efx_mem_libc, (size_t)1 << 30);
    efx_diags_init(&p->diags, &p->arena, (struct efx_str){text, (uint32_t)n}, "t.sql");
    enum efx_rc rc = how == PARSE_PROGRAM     ? efx_parse_program(&p->arena, &p->diags, &p->ast)
                     : how == PARSE_ON_DEMAND ? efx_parse_on_demand(&p->arena, &p->diags, &p->stmt)
                                              : efx_parse_expr(&p->arena, &p->diags, &p->expr);
    assert_int_equal(rc, EFX_OK);
}

static inline void parse(struct parsed *p, const char *text, enum parse_how how)
{
    parse_bytes(p, text, strlen(text), how);
}

static inline void parse_end(struct parsed *p)
{
    efx_arena_fini(&p->arena);
}

/* Fails with the first message, if there is any. */
static inline void assert_clean(struct parsed *p, const char *text)
{
    if (p->diags.n_errors > 0) {
        print_error("%s\n%s", text, efx_diag_text(&p->diags, p->diags.errors));
        fail();
    }
}

/* The first statement of a program without errors. */
static inline struct efx_ast_stmt *parse_one(struct parsed *p, const char *text)
{
    parse(p, text, PARSE_PROGRAM);
    assert_clean(p, text);
    assert_non_null(p->ast->first);
    return p->ast->first;
}

struct dump {
    char text[4096];
    size_t n;
};

static inline void dump_add(struct dump *d, const char *fmt, ...) EFX_PRINTF(2, 3);
static inline void dump_add(struct dump *d, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(d->text + d->n, sizeof d->text - d->n, fmt, args);
    va_end(args);
    assert_true(n >= 0 && d->n + (size_t)n < sizeof d->text);
    d->n += (size_t)n;
}

static const char *const dump_ops[] = {
    "",     "lit", "ref", "*all", "neg",   "pos", "not",  "+",    "-",    "*",       "/",
    "%",    "||",  "=",   "<>",   "<",     "<=",  ">",    ">=",   "and",  "or",      "is",
    "betw", "in",  "in",  "like", "ilike", "re",  "case", "cast", "call", "extract", "trim",
};

static inline void dump_literal(struct dump *d, const struct efx_ast_expr *e)
{
    if (e->lit == EFX_AST_LIT_STRING) {
        dump_add(d, "'" EFX_STR_FMT "'", EFX_STR_ARG(e->str));
    } else if (e->lit == EFX_AST_LIT_DOUBLE) {
        dump_add(d, "%.17gd", e->d);
    } else if (e->lit == EFX_AST_LIT_NULL) {
        dump_add(d, "null");
    } else if (e->lit == EFX_AST_LIT_BOOL) {
        dump_add(d, e->i != 0 ? "true" : "false");
    } else {
        dump_add(d, "%lld%s", (long long)e->i, e->lit == EFX_AST_LIT_INTERVAL ? "ms" : "");
    }
}

static inline void dump_ref(struct dump *d, const struct efx_ast_expr *e)
{
    if (e->qualifier.s != NULL) {
        dump_add(d, "%s", e->qualifier.s);
        if (e->index_kind == EFX_AST_INDEX_AT) {
            dump_add(d, "[%u]", (unsigned)e->index);
        } else if (e->index_kind == EFX_AST_INDEX_LAST) {
            dump_add(d, "[last-%u]", (unsigned)e->index);
        }
        dump_add(d, ".");
    }
    dump_add(d, "%s", e->name.s);
}

static inline void dump_expr(struct dump *d, const struct efx_ast_expr *e)
{
    static const char *const is[] = {"", "null", "true", "false", "unknown", "distinct"};
    if (e->op == EFX_AST_LITERAL) {
        dump_literal(d, e);
        return;
    }
    if (e->op == EFX_AST_REF) {
        dump_ref(d, e);
        return;
    }
    dump_add(d, "(%s%s", e->negated ? "!" : "", dump_ops[e->op]);
    if (e->op == EFX_AST_IS) {
        dump_add(d, ":%s", is[e->is]);
    }
    if (e->name.s != NULL) {
        dump_add(d, ":%s%s%s", e->name.s, e->column.s != NULL ? "." : "",
                 e->column.s != NULL ? e->column.s : "");
    }
    if (e->op == EFX_AST_CAST) {
        dump_add(d, ":%s%s", e->type.name, e->type.has_args ? "()" : "");
    }
    dump_add(d, "%s%s%s", e->distinct ? " distinct" : "", e->has_subject ? " subject" : "",
             e->has_else ? " else" : "");
    for (uint32_t k = 0; k < e->n_args; k++) {
        dump_add(d, " ");
        dump_expr(d, e->args[k]);
    }
    if (e->filter != NULL) {
        dump_add(d, " filter ");
        dump_expr(d, e->filter);
    }
    dump_add(d, ")");
}

static inline void dump_bound(struct dump *d, const char *what, const struct efx_ast_bound *b)
{
    if (b->there && b->events) {
        dump_add(d, " %s %lld events", what, (long long)b->n);
    } else if (b->there) {
        dump_add(d, " %s %lldms", what, (long long)b->duration.ms);
    }
}

static inline void dump_pattern(struct dump *d, const struct efx_ast_pattern_node *n)
{
    static const char *const kinds[] = {"", "", "not ", "and", "or", "every", "chain"};
    if (n->kind == EFX_AST_PAT_EVENT || n->kind == EFX_AST_PAT_NOT) {
        dump_add(d, "%s%s%s%s", kinds[n->kind], n->alias.s != NULL ? n->alias.s : "",
                 n->alias.s != NULL ? "=" : "", n->stream.s);
    } else {
        dump_add(d, "%s%s[", n->grouped ? "(" : "", kinds[n->kind]);
        for (uint32_t k = 0; k < n->n_kids; k++) {
            dump_add(d, "%s", k > 0 ? " " : "");
            dump_pattern(d, n->kids[k]);
        }
        dump_bound(d, "within", &n->within);
        dump_add(d, "]%s%s", n->grouped ? ")" : "", n->comma ? "," : "");
    }
    for (uint32_t k = 0; k < n->n_filters; k++) {
        dump_add(d, "[");
        dump_expr(d, n->filters[k]);
        dump_add(d, "]");
    }
    if (n->has_count && n->no_max) {
        dump_add(d, "{%lld,}", (long long)n->min);
    } else if (n->has_count) {
        dump_add(d, "{%lld,%lld}", (long long)n->min, (long long)n->max);
    }
    if (n->for_.there) {
        dump_add(d, " for %lldms", (long long)n->for_.ms);
    }
    dump_bound(d, "behind", &n->within_behind);
}

#endif /* PARSE_TEST_H */
