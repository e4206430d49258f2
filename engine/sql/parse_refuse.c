#include "parse.h"

/* What is recognised only to be refused (language §23), and what to write instead.
 *
 * Nearly all these words are good names as well. A form is taken for one where its next token shows
 * that no name is meant: `FROM S QUALIFY WHERE …` has an alias, `FROM S QUALIFY n > 1` has not.
 */
enum { NEXT_ANY = 1, NEXT_PAREN, NEXT_OPERAND, NEXT_NAME_OR_PAREN, NEXT_WORD };

static const struct {
    uint16_t word;
    uint16_t next_word; /* of NEXT_WORD */
    uint8_t next;
    const char *what;
    const char *hint;
} forms[] = {
    {EFX_W_UNION, 0, NEXT_ANY, "UNION", "several INSERT INTO the same stream"},
    {EFX_W_INTERSECT, 0, NEXT_ANY, "INTERSECT", "several INSERT INTO the same stream"},
    {EFX_W_EXCEPT, 0, NEXT_ANY, "EXCEPT", "several INSERT INTO the same stream"},
    {EFX_W_QUALIFY, 0, NEXT_OPERAND, "QUALIFY", "HAVING, or a second query"},
    {EFX_W_FETCH, EFX_W_FIRST, NEXT_WORD, "FETCH FIRST", "LIMIT n OFFSET m"},
    {EFX_W_FETCH, EFX_W_NEXT, NEXT_WORD, "FETCH NEXT", "LIMIT n OFFSET m"},
    {EFX_W_FOR, EFX_W_UPDATE, NEXT_WORD, "FOR UPDATE", NULL},
    {EFX_W_TABLESAMPLE, 0, NEXT_NAME_OR_PAREN, "TABLESAMPLE", NULL},
    {EFX_W_PIVOT, 0, NEXT_PAREN, "PIVOT", "aggregates with FILTER (WHERE …)"},
    {EFX_W_UNPIVOT, 0, NEXT_PAREN, "UNPIVOT", "several INSERT INTO the same stream"},
    {EFX_W_LATERAL, 0, NEXT_ANY, "LATERAL", "an intermediate stream"},
    {EFX_W_OVER, 0, NEXT_NAME_OR_PAREN, "a window function, OVER (…)",
     "a WINDOW clause or a pattern"},
    {EFX_W_COLLATE, 0, NEXT_OPERAND, "COLLATE", "lower or upper on both sides"},
    {EFX_W_AT, EFX_W_TIME, NEXT_WORD, "AT TIME ZONE", "formatDate takes a time zone"},
    {EFX_W_SIMILAR, EFX_W_TO, NEXT_WORD, "SIMILAR TO", "REGEXP"},
};

void efx_parse__refuse(struct efx_parse *p, struct efx_span at, const char *what, const char *hint)
{
    EFX_PARSE_FAIL(p, 1901, at, hint, "not in the language: %s", what);
}

/* A name or literal that is no clause's first word. */
static bool sees_name(const struct efx_parse *p, uint32_t ahead)
{
    const struct efx_tok *t = efx_parse__tok(p, ahead);
    uint32_t flags = efx_lex__word_flags(t->word) & (EFX_WORD_ALIAS | EFX_WORD_EXPR);
    return t->kind == EFX_TOK_QUOTED || (t->kind == EFX_TOK_WORD && flags == 0);
}

static bool sees_operand(const struct efx_parse *p, uint32_t ahead)
{
    uint8_t kind = efx_parse__tok(p, ahead)->kind;
    return kind == EFX_TOK_LPAREN || kind == EFX_TOK_STRING || kind == EFX_TOK_NUMBER ||
           kind == EFX_TOK_DECIMAL || sees_name(p, ahead);
}

static bool sees(const struct efx_parse *p, uint8_t next, uint16_t next_word)
{
    bool paren = efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN);
    return next == NEXT_ANY || (next == NEXT_PAREN && paren) ||
           (next == NEXT_OPERAND && sees_operand(p, 1)) ||
           (next == NEXT_NAME_OR_PAREN && (paren || sees_name(p, 1))) ||
           (next == NEXT_WORD && efx_parse__tok(p, 1)->word == next_word);
}

static int find(const struct efx_parse *p)
{
    uint16_t word = efx_parse__tok(p, 0)->word;
    for (size_t k = 0; word != EFX_W_NONE && k < sizeof forms / sizeof forms[0]; k++) {
        if (forms[k].word == word && sees(p, forms[k].next, forms[k].next_word)) {
            return (int)k;
        }
    }
    return -1;
}

bool efx_parse__refused_form(const struct efx_parse *p)
{
    return find(p) >= 0;
}

static bool is_shift(const struct efx_parse *p, uint8_t kind)
{
    return (kind == EFX_TOK_LT || kind == EFX_TOK_GT) && p->i > 0 && efx_parse__touches(p, 0) &&
           p->toks[p->i - 1].kind == kind;
}

/* `WITHIN GROUP` and `ORDER BY` belong to aggregates only; parse_primary.c looks for them. */
bool efx_parse__refuse_form(struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0);
    uint8_t kind = t->kind;
    int k = find(p);
    const char *what = NULL, *hint = NULL;
    if (k >= 0) {
        what = forms[k].what;
        hint = forms[k].hint;
    } else if (kind == EFX_TOK_AMPERSAND || kind == EFX_TOK_BAR || kind == EFX_TOK_CARET ||
               kind == EFX_TOK_TILDE || is_shift(p, kind)) {
        what = "bit operators";
    } else if (kind == EFX_TOK_QUESTION || kind == EFX_TOK_DOLLAR ||
               (kind == EFX_TOK_COLON && efx_parse__sees_name(p, 1))) {
        what = "placeholders";
    } else if (kind == EFX_TOK_AT) {
        what = "annotations";
        hint = "WITH properties";
    } else {
        return false;
    }
    efx_parse__refuse(p, efx_parse__span(t), what, hint);
    return true;
}

bool efx_parse__refuse_statement(struct efx_parse *p)
{
    static const struct {
        uint16_t word;
        const char *what;
        const char *hint;
    } statements[] = {
        {EFX_W_WITH, "WITH … AS (common table expressions)", "an intermediate stream"},
        {EFX_W_MERGE, "MERGE", "UPSERT"},
        {EFX_W_DROP, "DROP", "leave the definition out of the program"},
        {EFX_W_ALTER, "ALTER", "change the definition itself"},
        {EFX_W_TRUNCATE, "TRUNCATE", "DELETE"},
        {EFX_W_GRANT, "GRANT", NULL},
        {EFX_W_REVOKE, "REVOKE", NULL},
    };
    const struct efx_tok *t = efx_parse__tok(p, 0);
    for (size_t k = 0; k < sizeof statements / sizeof statements[0]; k++) {
        if (statements[k].word == t->word) {
            efx_parse__refuse(p, efx_parse__span(t), statements[k].what, statements[k].hint);
            return true;
        }
    }
    return efx_parse__refuse_form(p);
}
