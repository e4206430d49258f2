#include "parse.h"

/* MATCH_RECOGNIZE is recognised by its outline: its parentheses balance, and what the language says
 * it will never have (anchors, unmatched rows, empty matches shown) is refused at once.
 */
static void check(struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0);
    uint16_t after = efx_parse__tok(p, 1)->word;
    struct efx_span at = efx_parse__span(t);
    if (t->kind == EFX_TOK_CARET || t->kind == EFX_TOK_DOLLAR) {
        EFX_PARSE_SAY(p, 1902, at, NULL, "MATCH_RECOGNIZE has no anchors");
    } else if ((t->word == EFX_W_WITH && after == EFX_W_UNMATCHED) ||
               (t->word == EFX_W_SHOW && efx_parse__sees_name(p, 1) &&
                efx_parse__sees(p, 2, EFX_W_MATCHES))) {
        EFX_PARSE_SAY(p, 1902, at, "OMIT EMPTY MATCHES",
                      "MATCH_RECOGNIZE shows neither unmatched rows nor empty matches");
    }
}

struct efx_ast_recognize efx_parse__recognize(struct efx_parse *p)
{
    struct efx_ast_recognize r = {.there = true};
    uint32_t from = efx_parse__here(p), open = 0;
    efx_parse__advance(p);
    if (!efx_parse__at(p, EFX_TOK_LPAREN)) {
        efx_parse__expected(p, "'('");
    }
    do {
        const struct efx_tok *t = efx_parse__tok(p, 0);
        if (t->kind == EFX_TOK_END || t->kind == EFX_TOK_BAD || t->kind == EFX_TOK_SEMICOLON) {
            efx_parse__expected(p, "')'");
            break;
        }
        open += t->kind == EFX_TOK_LPAREN;
        open -= t->kind == EFX_TOK_RPAREN;
        check(p);
        efx_parse__advance(p);
    } while (open > 0);
    r.at = efx_parse__since(p, from);
    return r;
}
