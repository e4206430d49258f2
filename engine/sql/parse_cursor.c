#include "parse.h"

enum { LIST_FIRST = 4, SHOWN_BYTES_MAX = 40 };

_Static_assert(sizeof(struct efx_ast_stmt) <= EFX_PARSE_SPARE_BYTES, "the spare is too small");
_Static_assert(sizeof(struct efx_ast_select) <= EFX_PARSE_SPARE_BYTES, "the spare is too small");

/* ---- tokens ---- */

const struct efx_tok *efx_parse__tok(const struct efx_parse *p, uint32_t ahead)
{
    if (p->stopped) {
        return &p->end;
    }
    return ahead < p->n - p->i ? &p->toks[p->i + ahead] : &p->toks[p->n - 1];
}

void efx_parse__advance(struct efx_parse *p)
{
    if (!p->stopped && p->i + 1 < p->n) {
        p->last_end = p->toks[p->i].off + p->toks[p->i].len;
        p->i++;
    }
}

struct efx_str efx_parse__text(const struct efx_parse *p, const struct efx_tok *t)
{
    return (struct efx_str){p->text.p + t->off, t->len};
}

bool efx_parse__sees_kind(const struct efx_parse *p, uint32_t ahead, enum efx_tok_kind kind)
{
    return efx_parse__tok(p, ahead)->kind == kind;
}

bool efx_parse__sees_name(const struct efx_parse *p, uint32_t ahead)
{
    uint8_t kind = efx_parse__tok(p, ahead)->kind;
    return kind == EFX_TOK_WORD || kind == EFX_TOK_QUOTED;
}

bool efx_parse__touches(const struct efx_parse *p, uint32_t ahead)
{
    if (p->stopped || p->i + ahead == 0 || p->i + ahead >= p->n) {
        return false;
    }
    const struct efx_tok *t = &p->toks[p->i + ahead];
    return t[-1].off + t[-1].len == t->off;
}

bool efx_parse__accept(struct efx_parse *p, enum efx_tok_kind kind)
{
    if (!efx_parse__at(p, kind)) {
        return false;
    }
    efx_parse__advance(p);
    return true;
}

bool efx_parse__accept_word(struct efx_parse *p, enum efx_word word)
{
    if (!efx_parse__at_word(p, word)) {
        return false;
    }
    efx_parse__advance(p);
    return true;
}

bool efx_parse__expect(struct efx_parse *p, enum efx_tok_kind kind, const char *what)
{
    if (efx_parse__accept(p, kind)) {
        return true;
    }
    efx_parse__expected(p, what);
    return false;
}

bool efx_parse__expect_word(struct efx_parse *p, enum efx_word word)
{
    if (efx_parse__accept_word(p, word)) {
        return true;
    }
    efx_parse__expected(p, efx_lex__word_text((uint16_t)word));
    return false;
}

uint32_t efx_parse__here(const struct efx_parse *p)
{
    return efx_parse__tok(p, 0)->off;
}

struct efx_span efx_parse__since(const struct efx_parse *p, uint32_t from)
{
    return (struct efx_span){from, p->last_end > from ? p->last_end - from : 0};
}

struct efx_span efx_parse__span(const struct efx_tok *t)
{
    return (struct efx_span){t->off, t->len};
}

struct efx_span efx_parse__missing(const struct efx_parse *p)
{
    const struct efx_tok *t = &p->toks[p->i];
    return t->kind == EFX_TOK_END ? (struct efx_span){p->last_end, 0} : efx_parse__span(t);
}

/* ---- errors ---- */

void efx_parse__stop(struct efx_parse *p)
{
    if (!p->stopped) {
        p->stopped = true;
        p->end = (struct efx_tok){.kind = EFX_TOK_END, .off = p->last_end};
    }
}

void efx_parse__expected_hint(struct efx_parse *p, const char *what, const char *hint)
{
    if (p->stopped) {
        return;
    }
    const struct efx_tok *t = efx_parse__tok(p, 0);
    if (t->kind == EFX_TOK_BAD) {
        efx_parse__stop(p); /* the lexer has said it */
    } else if (efx_parse__refuse_form(p)) {
        return;
    } else if (t->kind == EFX_TOK_END) {
        EFX_PARSE_FAIL(p, 1001, efx_parse__missing(p), hint, "the text ends, expected %s", what);
    } else {
        struct efx_str s = efx_parse__text(p, t);
        bool cut = s.n > SHOWN_BYTES_MAX;
        while (cut && (s.n > SHOWN_BYTES_MAX || ((unsigned char)s.p[s.n] & 0xC0) == 0x80)) {
            s.n--;
        }
        const char *quote = t->kind == EFX_TOK_STRING ? "" : "'";
        EFX_PARSE_FAIL(p, 1001, efx_parse__span(t), hint,
                       "unexpected %s" EFX_STR_FMT "%s%s, expected %s", quote, EFX_STR_ARG(s),
                       cut ? "…" : "", quote, what);
    }
}

void efx_parse__expected(struct efx_parse *p, const char *what)
{
    efx_parse__expected_hint(p, what, NULL);
}

bool efx_parse__enter(struct efx_parse *p)
{
    p->depth++;
    if (p->depth > EFX_AST_NESTING_MAX) {
        EFX_PARSE_FAIL(p, 1007, efx_parse__missing(p), NULL, "nested more than %d levels deep",
                       (int)EFX_AST_NESTING_MAX);
        return false;
    }
    return !p->stopped;
}

void efx_parse__leave(struct efx_parse *p)
{
    p->depth--;
}

/* ---- memory ---- */

static void *out_of_memory(struct efx_parse *p)
{
    p->oom = true;
    efx_parse__stop(p);
    memset(p->spare, 0, sizeof p->spare);
    return p->spare;
}

void *efx_parse__new(struct efx_parse *p, size_t bytes, size_t align)
{
    void *one = p->oom ? NULL : efx_arena_alloc(p->arena, 1, bytes, align);
    return one == NULL ? out_of_memory(p) : one;
}

void *efx_parse__add(struct efx_parse *p, struct efx_parse_list *list, size_t bytes, size_t align)
{
    if (list->n == list->max) {
        uint32_t max = list->max == 0 ? LIST_FIRST : list->max * 2;
        void *v = p->oom ? NULL : efx_arena_alloc(p->arena, max, bytes, align);
        if (v == NULL) {
            return out_of_memory(p);
        }
        if (list->n > 0) {
            memcpy(v, list->v, list->n * bytes);
        }
        list->v = v;
        list->max = max;
    }
    return (unsigned char *)list->v + bytes * list->n++;
}

const char *efx_parse__copy(struct efx_parse *p, const char *s, size_t n)
{
    return efx_parse__kept(p, p->oom ? NULL : efx_arena_str(p->arena, s, n));
}

const char *efx_parse__kept(struct efx_parse *p, const char *s)
{
    if (s == NULL) {
        (void)out_of_memory(p);
        return "";
    }
    return s;
}

/* ---- names ---- */

static struct efx_str unquote(struct efx_parse *p, const struct efx_tok *t)
{
    struct efx_str s = efx_lex__unquote(p->arena, efx_parse__text(p, t));
    if (s.p == NULL) {
        (void)out_of_memory(p);
        return (struct efx_str){"", 0};
    }
    return s;
}

struct efx_ast_name efx_parse__name(struct efx_parse *p, const char *what)
{
    struct efx_tok t = *efx_parse__tok(p, 0);
    struct efx_ast_name name = {.at = efx_parse__span(&t)};
    if (t.kind == EFX_TOK_WORD) {
        name.s = efx_parse__copy(p, p->text.p + t.off, t.len);
    } else if (t.kind == EFX_TOK_QUOTED) {
        if (t.len <= 2) {
            EFX_PARSE_FAIL(p, 1001, name.at, NULL, "a name cannot be empty");
        }
        name.s = unquote(p, &t).p;
    } else {
        efx_parse__expected_hint(
            p, what,
            t.kind == EFX_TOK_STRING ? "names stand in double quotes, or without any" : NULL);
        name.s = "";
        return name;
    }
    efx_parse__advance(p);
    return name;
}

struct efx_ast_name efx_parse__target(struct efx_parse *p, const char *what)
{
    uint32_t from = efx_parse__here(p);
    bool inner = efx_parse__at(p, EFX_TOK_HASH), fault = efx_parse__at(p, EFX_TOK_BANG);
    if (!inner && !fault) {
        return efx_parse__name(p, what);
    }
    efx_parse__advance(p);
    struct efx_ast_name name = efx_parse__name(p, what);
    name.s = efx_parse__kept(p, efx_arena_printf(p->arena, "%c%s", inner ? '#' : '!', name.s));
    name.at = efx_parse__since(p, from);
    return name;
}

struct efx_ast_names efx_parse__names(struct efx_parse *p, const char *what)
{
    struct efx_parse_list list = {0};
    do {
        struct efx_ast_name name = efx_parse__name(p, what);
        *EFX_PARSE_ADD(p, &list, struct efx_ast_name) = name;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    return (struct efx_ast_names){list.n, list.v};
}

struct efx_ast_names efx_parse__columns(struct efx_parse *p)
{
    (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
    struct efx_ast_names names = efx_parse__names(p, "a column");
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    return names;
}

struct efx_ast_name efx_parse__alias(struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0);
    if (efx_parse__accept_word(p, EFX_W_AS)) {
        return efx_parse__name(p, "a name");
    }
    if (t->kind == EFX_TOK_QUOTED ||
        (t->kind == EFX_TOK_WORD && (efx_lex__word_flags(t->word) & EFX_WORD_ALIAS) == 0 &&
         !efx_parse__refused_form(p))) {
        return efx_parse__name(p, "a name");
    }
    return (struct efx_ast_name){0};
}

/* ---- literals outside expressions ---- */

struct efx_str efx_parse__string(struct efx_parse *p, const char *what)
{
    struct efx_tok t = *efx_parse__tok(p, 0);
    if (t.kind != EFX_TOK_STRING) {
        efx_parse__expected(p, what);
        return (struct efx_str){"", 0};
    }
    efx_parse__advance(p);
    return unquote(p, &t);
}

bool efx_parse__bad_number(struct efx_parse *p)
{
    uint8_t kind = efx_parse__tok(p, 0)->kind;
    if ((kind != EFX_TOK_NUMBER && kind != EFX_TOK_DECIMAL) ||
        !efx_parse__sees_kind(p, 1, EFX_TOK_WORD) || !efx_parse__touches(p, 1)) {
        return false;
    }
    const struct efx_tok *t = efx_parse__tok(p, 0);
    struct efx_str s = {p->text.p + t->off, t->len + efx_parse__tok(p, 1)->len};
    EFX_PARSE_FAIL(p, 1003, ((struct efx_span){t->off, s.n}),
                   "a number has no suffix; a name begins with a letter or '_'",
                   "bad number '%.*s%s'", (int)(s.n > SHOWN_BYTES_MAX ? t->len : s.n), s.p,
                   s.n > SHOWN_BYTES_MAX ? "…" : "");
    return true;
}

int64_t efx_parse__uint(struct efx_parse *p, const char *what)
{
    struct efx_tok t = *efx_parse__tok(p, 0);
    int64_t value = 1;
    if (t.kind != EFX_TOK_NUMBER) {
        efx_parse__expected(p, what);
    } else if (!efx_parse__bad_number(p)) {
        if (!efx_str_i64(efx_parse__text(p, &t), &value)) {
            EFX_PARSE_SAY(p, 1003, efx_parse__span(&t), NULL, "number beyond 64 bits");
            value = 1;
        }
        efx_parse__advance(p);
    }
    return value;
}

bool efx_parse__skip_brackets(struct efx_parse *p)
{
    uint32_t open = 0;
    do {
        uint8_t kind = efx_parse__tok(p, 0)->kind;
        if (kind == EFX_TOK_END || kind == EFX_TOK_BAD || kind == EFX_TOK_SEMICOLON) {
            return false;
        }
        open += kind == EFX_TOK_LPAREN || kind == EFX_TOK_LBRACKET || kind == EFX_TOK_LBRACE;
        open -= kind == EFX_TOK_RPAREN || kind == EFX_TOK_RBRACKET || kind == EFX_TOK_RBRACE;
        efx_parse__advance(p);
    } while (open > 0);
    return true;
}

/* ---- types ---- */

/* Words that follow a column's type; any other is taken as a second word of its name, so that the
 * binder can say which types there are. */
static bool ends_type(uint16_t word)
{
    return word == EFX_W_NOT || word == EFX_W_NULL || word == EFX_W_PRIMARY ||
           word == EFX_W_UNIQUE || word == EFX_W_INDEX || word == EFX_W_DEFAULT ||
           word == EFX_W_CHECK || word == EFX_W_FOREIGN || word == EFX_W_REFERENCES ||
           word == EFX_W_CONSTRAINT || word == EFX_W_COLLATE || word == EFX_W_AS ||
           word == EFX_W_WITH || word == EFX_W_LANGUAGE || word == EFX_W_ARRAY;
}

static bool is_second_word(const struct efx_parse *p, uint16_t first, bool in_column)
{
    uint16_t second = efx_parse__tok(p, 0)->word;
    return (first == EFX_W_DOUBLE && second == EFX_W_PRECISION) ||
           ((first == EFX_W_CHARACTER || first == EFX_W_CHAR) && second == EFX_W_VARYING) ||
           (in_column && efx_parse__at(p, EFX_TOK_WORD) && !ends_type(second) &&
            (efx_lex__word_flags(second) & (EFX_WORD_ALIAS | EFX_WORD_EXPR)) == 0);
}

static bool is_refused_type(uint16_t word)
{
    return word == EFX_W_ARRAY || word == EFX_W_STRUCT || word == EFX_W_MAP || word == EFX_W_JSON ||
           word == EFX_W_JSONB;
}

static const char *upper(struct efx_parse *p, struct efx_ast_name first, struct efx_ast_name second)
{
    size_t n_first = strlen(first.s), n_second = second.s == NULL ? 0 : strlen(second.s);
    char *s = p->oom ? NULL : efx_arena_bytes(p->arena, n_first + n_second + 2);
    if (s == NULL) {
        (void)out_of_memory(p);
        return "";
    }
    size_t n = n_first;
    memcpy(s, first.s, n_first);
    if (second.s != NULL) {
        s[n++] = ' ';
        memcpy(s + n, second.s, n_second);
        n += n_second;
    }
    s[n] = '\0';
    for (size_t i = 0; i < n; i++) {
        s[i] = (char)(s[i] >= 'a' && s[i] <= 'z' ? s[i] - ('a' - 'A') : s[i]);
    }
    return s;
}

/* type = ident [ ident ] [ "(" uint [ "," uint ] ")" ] */
struct efx_ast_type efx_parse__type(struct efx_parse *p, bool in_column)
{
    struct efx_ast_type type = {0};
    uint32_t from = efx_parse__here(p);
    uint16_t word = efx_parse__tok(p, 0)->word;
    struct efx_ast_name first = efx_parse__name(p, "a type"), second = {0};
    if (is_second_word(p, word, in_column)) {
        second = efx_parse__name(p, "a type");
    }
    if (efx_parse__accept(p, EFX_TOK_LPAREN)) {
        type.has_args = true;
        (void)efx_parse__uint(p, "a length");
        if (efx_parse__accept(p, EFX_TOK_COMMA)) {
            (void)efx_parse__uint(p, "a number of decimals");
        }
        (void)efx_parse__expect(p, EFX_TOK_RPAREN, "')'");
    }
    if (is_refused_type(word) || efx_parse__at(p, EFX_TOK_LBRACKET) ||
        efx_parse__at_word(p, EFX_W_ARRAY)) {
        efx_parse__refuse(p, first.at, "array, struct, map and JSON types",
                          "keep the text in a STRING; json_value reads its members");
    }
    type.name = upper(p, first, second);
    type.at = efx_parse__since(p, from);
    return type;
}
