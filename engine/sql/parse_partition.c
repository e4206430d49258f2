#include "parse.h"

/* PARTITION … BEGIN … END (language §10). An error in the head does not keep the body unread. */

/* The parentheses at the cursor hold a list: `(a, b) OF S`, not `(a + b) * 2 OF S`. */
static bool at_list(const struct efx_parse *p)
{
    if (!efx_parse__at(p, EFX_TOK_LPAREN)) {
        return false;
    }
    uint32_t open = 0;
    for (uint32_t k = 0;; k++) {
        uint8_t kind = efx_parse__tok(p, k)->kind;
        open += kind == EFX_TOK_LPAREN;
        open -= kind == EFX_TOK_RPAREN;
        if (kind == EFX_TOK_COMMA && open == 1) {
            return true;
        }
        if (open == 0 || kind == EFX_TOK_END || kind == EFX_TOK_SEMICOLON) {
            return false;
        }
    }
}

/* AS string { OR expr AS string }, behind the first expression */
static void labels(struct efx_parse *p, struct efx_ast_part *part, struct efx_ast_expr *first)
{
    struct efx_parse_list list = {0};
    struct efx_ast_label label = {.cond = first};
    do {
        if (list.n > 0) {
            label.cond = efx_parse__expr(p);
        }
        (void)efx_parse__expect_word(p, EFX_W_AS);
        label.label = efx_parse__string(p, "a label in quotes");
        *EFX_PARSE_ADD(p, &list, struct efx_ast_label) = label;
    } while (efx_parse__accept_word(p, EFX_W_OR));
    part->labels = list.v;
    part->n_labels = list.n;
}

/* part = ( expr | "(" expr { "," expr } ")" | label { OR label } ) OF ident;
 * part-by = ( expr { "," expr } | label { OR label } ) OF ident */
static struct efx_ast_part part(struct efx_parse *p, bool by)
{
    struct efx_ast_part one = {0};
    struct efx_parse_list list = {0};
    uint32_t from = efx_parse__here(p);
    if (at_list(p)) {
        efx_parse__advance(p);
        efx_parse__exprs(p, &list);
        (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    } else {
        struct efx_ast_expr *first = efx_parse__expr(p);
        if (efx_parse__at_word(p, EFX_W_AS)) {
            labels(p, &one, first);
        } else {
            *EFX_PARSE_ADD(p, &list, struct efx_ast_expr *) = first;
            if (by && efx_parse__accept(p, EFX_TOK_COMMA)) {
                efx_parse__exprs(p, &list);
            }
        }
    }
    one.exprs = list.v;
    one.n_exprs = list.n;
    (void)efx_parse__expect_word(p, EFX_W_OF);
    one.stream = efx_parse__name(p, "a stream");
    one.at = efx_parse__since(p, from);
    return one;
}

/* PARTITION ( WITH "(" part { "," part } ")" | BY part-by ) [ with ] BEGIN */
static void head(struct efx_parse *p, struct efx_ast_stmt *s)
{
    struct efx_parse_list parts = {0};
    efx_parse__advance(p);
    if (efx_parse__accept_word(p, EFX_W_BY)) {
        struct efx_ast_part one = part(p, true);
        *EFX_PARSE_ADD(p, &parts, struct efx_ast_part) = one;
    } else {
        if (!efx_parse__accept_word(p, EFX_W_WITH)) {
            efx_parse__expected(p, "WITH or BY");
        }
        (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
        do {
            struct efx_ast_part one = part(p, false);
            *EFX_PARSE_ADD(p, &parts, struct efx_ast_part) = one;
        } while (efx_parse__accept(p, EFX_TOK_COMMA));
        (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    }
    s->parts = parts.v;
    s->n_parts = parts.n;
    s->with = efx_parse__with(p);
    (void)efx_parse__expect_word(p, EFX_W_BEGIN);
}

/* After an error in the head: behind BEGIN, if one comes before the next `;`. */
static bool find_begin(struct efx_parse *p)
{
    for (uint32_t i = p->i; p->toks[i].kind != EFX_TOK_END; i++) {
        if (p->toks[i].kind == EFX_TOK_SEMICOLON) {
            return false;
        }
        if (p->toks[i].word == EFX_W_BEGIN) {
            p->stopped = false;
            p->i = i;
            efx_parse__advance(p);
            return true;
        }
    }
    return false;
}

/* partition = … BEGIN { statement [ ";" ] } END */
void efx_parse__partition(struct efx_parse *p, struct efx_ast_stmt *s)
{
    s->kind = EFX_AST_PARTITION;
    if (efx_parse__enter(p)) {
        uint32_t depth = p->depth;
        head(p, s);
        bool lost = p->stopped;
        if (!p->oom && (!lost || find_begin(p))) {
            p->depth = depth;
            p->in_case = false;
            p->no_in = false;
            s->body_stmts = efx_parse__stmts(p, true);
            if (!efx_parse__accept_word(p, EFX_W_END)) {
                efx_parse__expected(p, "END");
            }
            if (lost) {
                efx_parse__stop(p);
            }
        }
    }
    efx_parse__leave(p);
}
