#include "parse.h"

/* ---- one statement ---- */

static bool starts_statement(uint16_t word)
{
    return word == EFX_W_CREATE || word == EFX_W_DEFINE || word == EFX_W_SELECT ||
           word == EFX_W_INSERT || word == EFX_W_FROM || word == EFX_W_UPDATE ||
           word == EFX_W_DELETE || word == EFX_W_UPSERT || word == EFX_W_PARTITION;
}

static void unknown_statement(struct efx_parse *p)
{
    static const char *const starts[] = {"CREATE", "DEFINE", "INSERT", "SELECT",   "FROM",
                                         "UPDATE", "DELETE", "UPSERT", "PARTITION"};
    const char *hint = NULL;
    if (efx_parse__refuse_statement(p)) {
        return;
    }
    if (efx_parse__at(p, EFX_TOK_WORD)) {
        hint = efx_diag_nearest(p->diags, efx_parse__text(p, efx_parse__tok(p, 0)), starts,
                                sizeof starts / sizeof starts[0]);
    }
    efx_parse__expected_hint(p,
                             p->on_demand ? "SELECT, INSERT, UPDATE, DELETE or UPSERT"
                                          : "a statement (CREATE, INSERT, SELECT, FROM, UPDATE, "
                                            "DELETE, UPSERT or PARTITION)",
                             hint);
}

/* statement = create | query | update | delete | upsert | partition */
static void statement(struct efx_parse *p, struct efx_ast_stmt *s)
{
    uint32_t from = efx_parse__here(p);
    uint16_t word = efx_parse__tok(p, 0)->word;
    if (word == EFX_W_SELECT || word == EFX_W_INSERT || word == EFX_W_FROM) {
        efx_parse__query(p, s);
    } else if (word == EFX_W_UPDATE) {
        efx_parse__update(p, s);
    } else if (word == EFX_W_DELETE) {
        efx_parse__delete(p, s);
    } else if (word == EFX_W_UPSERT) {
        efx_parse__upsert(p, s);
    } else if ((word == EFX_W_CREATE || word == EFX_W_DEFINE) && !p->on_demand) {
        efx_parse__create(p, s);
    } else if (word == EFX_W_PARTITION && !p->on_demand) {
        efx_parse__partition(p, s);
    } else {
        unknown_statement(p);
    }
    s->at = efx_parse__since(p, from);
}

/* ---- after an error ---- */

static void lose(struct efx_parse *p, uint32_t at)
{
    bool signed_ = p->toks[at].kind == EFX_TOK_HASH || p->toks[at].kind == EFX_TOK_BANG;
    const struct efx_tok *t = &p->toks[at + signed_];
    if (t->kind != EFX_TOK_WORD && (t->kind != EFX_TOK_QUOTED || t->len <= 2)) {
        return;
    }
    uint32_t i = p->i;
    p->i = at;
    struct efx_ast_name name = efx_parse__target(p, "");
    p->i = i;
    struct efx_parse_list list = {p->lost.v, p->lost.n, p->lost_max};
    *EFX_PARSE_ADD(p, &list, struct efx_ast_name) = name;
    p->lost = (struct efx_ast_names){list.n, list.v};
    p->lost_max = list.max;
}

static void lose_names(struct efx_parse *p, uint32_t from, uint32_t to)
{
    uint16_t first = p->toks[from].word;
    if ((first == EFX_W_CREATE || first == EFX_W_DEFINE) && from + 2 < to) {
        lose(p, from + 2);
    }
    for (uint32_t i = from; i + 1 < to; i++) {
        if (p->toks[i].word == EFX_W_INTO) {
            lose(p, i + 1);
        }
    }
}

/* The next `;` ends the statement that could not be read, whatever parentheses are open: none may
 * stand in them, and one that was forgotten must not swallow the rest. In a block an END that
 * closes no CASE and is no name (`s.end`, `AS end`) ends it, too. */
static void recover(struct efx_parse *p, uint32_t from, bool in_block)
{
    uint32_t open = 0, i = from;
    for (; p->toks[i].kind != EFX_TOK_END; i++) {
        const struct efx_tok *t = &p->toks[i];
        bool is_name = i > from && (t[-1].kind == EFX_TOK_DOT || t[-1].word == EFX_W_AS);
        bool ends_block = in_block && !is_name && t->word == EFX_W_END;
        if (t->word == EFX_W_CASE && !is_name) {
            open++;
        } else if (t->word == EFX_W_END && !is_name && open > 0) {
            open--;
        } else if (i >= p->i && (t->kind == EFX_TOK_SEMICOLON || ends_block)) {
            break;
        }
    }
    p->stopped = false;
    p->i = i;
    lose_names(p, from, i);
    p->last_end = i > 0 ? p->toks[i - 1].off + p->toks[i - 1].len : 0;
}

/* What follows a statement that was read: true if the next one may begin here. */
static bool separator(struct efx_parse *p, bool in_block, bool is_query)
{
    uint16_t word = efx_parse__tok(p, 0)->word;
    if (efx_parse__at(p, EFX_TOK_SEMICOLON) || efx_parse__at(p, EFX_TOK_END) ||
        (in_block && (word == EFX_W_END || starts_statement(word)))) {
        return true;
    }
    bool clause = is_query && (word == EFX_W_INSERT || word == EFX_W_FROM);
    bool resume = starts_statement(word) && !clause;
    efx_parse__expected_hint(p, is_query ? "';' or a further clause" : "';'",
                             resume ? "statements end with ';'" : NULL);
    if (resume) {
        p->stopped = false;
    }
    return resume;
}

struct efx_ast_stmt *efx_parse__stmts(struct efx_parse *p, bool in_block)
{
    struct efx_ast_stmt *first = NULL, **last = &first, *s = NULL;
    uint32_t depth = p->depth;
    while (!p->oom) {
        while (efx_parse__accept(p, EFX_TOK_SEMICOLON)) {
        }
        if (efx_parse__at(p, EFX_TOK_END) || (in_block && efx_parse__at_word(p, EFX_W_END))) {
            break;
        }
        uint32_t from = p->i;
        if (s == NULL) {
            s = EFX_PARSE_NEW(p, struct efx_ast_stmt);
        }
        statement(p, s);
        bool is_query = s->select != NULL, read = !p->stopped;
        if (read) {
            *last = s;
            last = &s->next;
            s = NULL;
        } else if (!p->oom) {
            *s = (struct efx_ast_stmt){0}; /* serves the next one */
        }
        if (!read || !separator(p, in_block, is_query)) {
            if (!p->oom) {
                recover(p, from, in_block);
            }
            p->depth = depth;
            p->in_case = false;
            p->no_in = false;
        }
    }
    return first;
}

/* ---- entries ---- */

static enum efx_rc start(struct efx_parse *p, struct efx_arena *arena, struct efx_diags *diags)
{
    static const struct efx_tok nothing = {.kind = EFX_TOK_END};
    *p = (struct efx_parse){.arena = arena, .diags = diags, .text = diags->text};
    if (diags->text.n > EFX_SQL_BYTES_MAX) {
        (void)efx_diag_add(diags, 1010, (struct efx_span){0, 0}, NULL,
                           "the program has %u bytes, the limit is %u", (unsigned)diags->text.n,
                           (unsigned)EFX_SQL_BYTES_MAX);
        p->toks = &nothing;
        p->n = 1;
        return EFX_OK;
    }
    struct efx_tok *toks = NULL;
    EFX_RET(efx_lex__run(arena, diags, &toks, &p->n));
    p->toks = toks;
    return EFX_OK;
}

static void check_not_empty(struct efx_parse *p, bool is_empty)
{
    if (is_empty && p->diags->n_errors == 0) {
        (void)efx_diag_add(p->diags, 1004, (struct efx_span){0, 0}, NULL, "the program is empty");
    }
}

enum efx_rc efx_parse_program(struct efx_arena *arena, struct efx_diags *diags,
                              struct efx_ast **out)
{
    struct efx_parse p;
    EFX_RET(start(&p, arena, diags));
    struct efx_ast *ast = EFX_PARSE_NEW(&p, struct efx_ast);
    struct efx_ast_stmt *first = efx_parse__stmts(&p, false);
    if (p.oom) {
        return EFX_ENOMEM;
    }
    check_not_empty(&p, first == NULL);
    ast->first = first;
    ast->lost = p.lost;
    *out = ast;
    return EFX_OK;
}

enum efx_rc efx_parse_on_demand(struct efx_arena *arena, struct efx_diags *diags,
                                struct efx_ast_stmt **out)
{
    struct efx_parse p;
    EFX_RET(start(&p, arena, diags));
    p.on_demand = true;
    struct efx_ast_stmt *s = EFX_PARSE_NEW(&p, struct efx_ast_stmt);
    bool is_empty = efx_parse__at(&p, EFX_TOK_END);
    if (!is_empty) {
        statement(&p, s);
        (void)efx_parse__accept(&p, EFX_TOK_SEMICOLON);
        (void)efx_parse__expect(&p, EFX_TOK_END, "the end of the one statement");
    }
    if (p.oom) {
        return EFX_ENOMEM;
    }
    check_not_empty(&p, is_empty);
    *out = is_empty || p.stopped ? NULL : s;
    return EFX_OK;
}

enum efx_rc efx_parse_expr(struct efx_arena *arena, struct efx_diags *diags,
                           struct efx_ast_expr **out)
{
    struct efx_parse p;
    EFX_RET(start(&p, arena, diags));
    struct efx_ast_expr *e = efx_parse__expr(&p);
    (void)efx_parse__expect(&p, EFX_TOK_END, "the end of the expression");
    if (p.oom) {
        return EFX_ENOMEM;
    }
    *out = p.stopped ? NULL : e;
    return EFX_OK;
}
