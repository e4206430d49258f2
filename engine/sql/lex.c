#include "lex.h"

enum { WORD_BYTES_MAX = 20, TOKENS_FIRST = 256 };

struct lex {
    struct efx_diags *diags;
    const char *p;
    uint32_t n, i;
};

/* ---- words ---- */

static const char *const word_texts[] = {"",
#define WORD_TEXT(word, flags) #word,
                                         EFX_WORDS(WORD_TEXT)
#undef WORD_TEXT
};

static const uint8_t word_flags[] = {0,
#define WORD_FLAGS(word, flags) flags,
                                     EFX_WORDS(WORD_FLAGS)
#undef WORD_FLAGS
};

enum efx_word efx_lex__word(struct efx_str s)
{
    char upper[WORD_BYTES_MAX];
    if (s.n == 0 || s.n >= WORD_BYTES_MAX) {
        return EFX_W_NONE;
    }
    for (uint32_t i = 0; i < s.n; i++) {
        upper[i] = (char)(s.p[i] >= 'a' && s.p[i] <= 'z' ? s.p[i] - ('a' - 'A') : s.p[i]);
    }
    upper[s.n] = '\0';
    uint32_t from = EFX_W_NONE + 1, to = EFX_W_END_OF_LIST;
    while (from < to) {
        uint32_t mid = (from + to) / 2;
        int order = strcmp(upper, word_texts[mid]);
        if (order == 0) {
            return (enum efx_word)mid;
        }
        if (order < 0) {
            to = mid;
        } else {
            from = mid + 1;
        }
    }
    return EFX_W_NONE;
}

uint32_t efx_lex__word_flags(uint16_t word)
{
    return word_flags[word];
}

const char *efx_lex__word_text(uint16_t word)
{
    return word_texts[word];
}

/* ---- code points ---- */

uint32_t efx_lex__code_point(const char *s, uint32_t n, uint32_t *value)
{
    uint32_t c = (unsigned char)s[0];
    if (c < 0x80) {
        *value = c;
        return 1;
    }
    uint32_t len = c >= 0xC2 && c < 0xE0   ? 2
                   : c >= 0xE0 && c < 0xF0 ? 3
                   : c >= 0xF0 && c < 0xF5 ? 4
                                           : 0;
    if (len == 0 || len > n) {
        return 0;
    }
    c &= 0x7Fu >> len;
    for (uint32_t i = 1; i < len; i++) {
        if (((unsigned char)s[i] & 0xC0) != 0x80) {
            return 0;
        }
        c = c << 6 | ((unsigned char)s[i] & 0x3F);
    }
    /* Longer than need be, a half of a pair, or beyond Unicode. */
    if ((len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10FFFF)) ||
        (c >= 0xD800 && c <= 0xDFFF)) {
        return 0;
    }
    *value = c;
    return len;
}

/* Code points from U+0080 that cannot be part of a bare name. */
static const struct {
    uint32_t from, to;
} no_letters[] = {
    {0x80, 0xA9},     {0xAB, 0xB4},       {0xB6, 0xB9},        {0xBB, 0xBF},     {0xD7, 0xD7},
    {0xF7, 0xF7},     {0x1680, 0x1680},   {0x2000, 0x206F},    {0x20A0, 0x20CF}, {0x2190, 0x2BFF},
    {0x2E00, 0x2E7F}, {0x3000, 0x3004},   {0x3008, 0x3020},    {0x3030, 0x3030}, {0xE000, 0xF8FF},
    {0xFE10, 0xFE6F}, {0xFEFF, 0xFF0F},   {0xFF1A, 0xFF20},    {0xFF3B, 0xFF40}, {0xFF5B, 0xFF65},
    {0xFFE0, 0xFFFF}, {0x1F000, 0x1FAFF}, {0xE0000, 0x10FFFF},
};

static bool is_letter(uint32_t c)
{
    if (c < 0x80) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    }
    for (size_t i = 0; i < sizeof no_letters / sizeof no_letters[0]; i++) {
        if (c >= no_letters[i].from && c <= no_letters[i].to) {
            return false;
        }
    }
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static char at(const struct lex *x, uint32_t ahead)
{
    return x->i + ahead < x->n ? x->p[x->i + ahead] : '\0';
}

/* Every byte is looked at, those in strings and comments too; the first bad one is reported. */
static void check_utf8(struct lex *x)
{
    for (uint32_t i = 0; i < x->n;) {
        uint32_t c, len = efx_lex__code_point(x->p + i, x->n - i, &c);
        if (len == 0 || c == 0) {
            (void)efx_diag_add(x->diags, 1009, (struct efx_span){i, 1}, NULL,
                               len == 0 ? "byte 0x%02x is not UTF-8" : "byte 0x%02x in the text",
                               (unsigned)(unsigned char)x->p[i]);
            return;
        }
        i += len;
    }
}

/* ---- what stands between tokens ---- */

static bool skip_block(struct lex *x)
{
    uint32_t from = x->i, open = 0;
    while (x->i < x->n) {
        if (at(x, 0) == '/' && at(x, 1) == '*') {
            open++;
            x->i += 2;
        } else if (at(x, 0) == '*' && at(x, 1) == '/') {
            open--;
            x->i += 2;
            if (open == 0) {
                return true;
            }
        } else {
            x->i++;
        }
    }
    (void)efx_diag_add(x->diags, 1002, (struct efx_span){from, 2}, "blocks nest: /* … /* … */ … */",
                       "this comment is not closed");
    return false;
}

/* True if a comment that never ends took the rest of the text. */
static bool skip_space(struct lex *x)
{
    while (x->i < x->n) {
        char c = x->p[x->i];
        if (c == ' ' || (c >= '\t' && c <= '\r')) {
            x->i++;
        } else if (c == '-' && at(x, 1) == '-') {
            while (x->i < x->n && x->p[x->i] != '\n') {
                x->i++;
            }
        } else if (c == '/' && at(x, 1) == '*') {
            if (!skip_block(x)) {
                return true;
            }
        } else {
            return false;
        }
    }
    return false;
}

/* ---- tokens ---- */

static void word(struct lex *x, struct efx_tok *t)
{
    while (x->i < x->n) {
        uint32_t c = 0, len = efx_lex__code_point(x->p + x->i, x->n - x->i, &c);
        bool more = c < 0x80 && (is_digit((char)c) || c == '$' || c == '@');
        if (len == 0 || !(more || is_letter(c))) {
            break;
        }
        x->i += len;
    }
    t->kind = EFX_TOK_WORD;
    t->word = (uint16_t)efx_lex__word((struct efx_str){x->p + t->off, x->i - t->off});
}

static void quoted(struct lex *x, struct efx_tok *t)
{
    char quote = x->p[x->i++];
    for (;; x->i++) {
        if (x->i >= x->n) {
            (void)efx_diag_add(x->diags, 1002, (struct efx_span){t->off, 1}, NULL,
                               quote == '\'' ? "this string is not closed"
                                             : "this quoted name is not closed");
            t->kind = EFX_TOK_BAD;
            return;
        }
        if (x->p[x->i] == quote) {
            x->i++;
            if (at(x, 0) != quote || x->i >= x->n) {
                break;
            }
        }
    }
    t->kind = quote == '\'' ? EFX_TOK_STRING : EFX_TOK_QUOTED;
}

static void digits(struct lex *x)
{
    while (is_digit(at(x, 0))) {
        x->i++;
    }
}

static void number(struct lex *x, struct efx_tok *t)
{
    t->kind = EFX_TOK_NUMBER;
    digits(x);
    if (at(x, 0) == '.' && at(x, 1) != '.') {
        t->kind = EFX_TOK_DECIMAL;
        x->i++;
        digits(x);
    }
    char sign = at(x, 1);
    if ((at(x, 0) == 'e' || at(x, 0) == 'E') &&
        (is_digit(sign) || ((sign == '+' || sign == '-') && is_digit(at(x, 2))))) {
        t->kind = EFX_TOK_DECIMAL;
        x->i += 2;
        digits(x);
    }
}

static const struct {
    char text[4];
    uint8_t kind;
} marks[] = {
    /* Longer ones first. */
    {"...", EFX_TOK_ELLIPSIS}, {"->", EFX_TOK_ARROW},    {"||", EFX_TOK_BARS},
    {"::", EFX_TOK_CAST},      {"==", EFX_TOK_EQ},       {"<>", EFX_TOK_NE},
    {"!=", EFX_TOK_NE},        {"<=", EFX_TOK_LE},       {">=", EFX_TOK_GE},
    {"(", EFX_TOK_LPAREN},     {")", EFX_TOK_RPAREN},    {"[", EFX_TOK_LBRACKET},
    {"]", EFX_TOK_RBRACKET},   {"{", EFX_TOK_LBRACE},    {"}", EFX_TOK_RBRACE},
    {",", EFX_TOK_COMMA},      {";", EFX_TOK_SEMICOLON}, {".", EFX_TOK_DOT},
    {"+", EFX_TOK_PLUS},       {"-", EFX_TOK_MINUS},     {"*", EFX_TOK_STAR},
    {"/", EFX_TOK_SLASH},      {"%", EFX_TOK_PERCENT},   {"=", EFX_TOK_EQ},
    {"<", EFX_TOK_LT},         {">", EFX_TOK_GT},        {":", EFX_TOK_COLON},
    {"#", EFX_TOK_HASH},       {"!", EFX_TOK_BANG},      {"?", EFX_TOK_QUESTION},
    {"$", EFX_TOK_DOLLAR},     {"@", EFX_TOK_AT},        {"|", EFX_TOK_BAR},
    {"&", EFX_TOK_AMPERSAND},  {"^", EFX_TOK_CARET},     {"~", EFX_TOK_TILDE},
};

static void mark(struct lex *x, struct efx_tok *t)
{
    for (size_t k = 0; k < sizeof marks / sizeof marks[0]; k++) {
        uint32_t len = (uint32_t)strlen(marks[k].text);
        if (x->n - x->i >= len && memcmp(x->p + x->i, marks[k].text, len) == 0) {
            t->kind = marks[k].kind;
            x->i += len;
            return;
        }
    }
    uint32_t c, len = efx_lex__code_point(x->p + x->i, x->n - x->i, &c);
    t->kind = EFX_TOK_BAD;
    if (len != 0 && c >= 0x20) {
        (void)efx_diag_add(x->diags, 1009, (struct efx_span){x->i, len}, NULL,
                           "character '%.*s' has no meaning here", (int)len, x->p + x->i);
    } else if (len != 0 && c != 0) {
        (void)efx_diag_add(x->diags, 1009, (struct efx_span){x->i, len}, NULL,
                           "control character 0x%02x in the text", (unsigned)c);
    }
    x->i += len == 0 ? 1 : len;
}

static void next(struct lex *x, struct efx_tok *t)
{
    *t = (struct efx_tok){.off = x->i};
    uint32_t c;
    if (x->i >= x->n) {
        t->kind = EFX_TOK_END;
    } else if (x->p[x->i] == '\'' || x->p[x->i] == '"' || x->p[x->i] == '`') {
        quoted(x, t);
    } else if (is_digit(at(x, 0)) || (at(x, 0) == '.' && is_digit(at(x, 1)))) {
        number(x, t);
    } else if (efx_lex__code_point(x->p + x->i, x->n - x->i, &c) > 0 && is_letter(c)) {
        word(x, t);
    } else {
        mark(x, t);
    }
    t->len = x->i - t->off;
}

enum efx_rc efx_lex__run(struct efx_arena *arena, struct efx_diags *d, struct efx_tok **out,
                         uint32_t *n)
{
    struct lex x = {.diags = d, .p = d->text.p, .n = d->text.n};
    struct efx_tok *v = NULL;
    uint32_t max = 0;
    *n = 0;
    check_utf8(&x);
    if (x.n >= 3 && memcmp(x.p, "\xEF\xBB\xBF", 3) == 0) {
        x.i = 3;
    }
    for (bool more = true; more;) {
        if (*n == max) {
            uint32_t wider = max == 0 ? TOKENS_FIRST : max * 2;
            struct efx_tok *w = EFX_NEW_N(arena, struct efx_tok, wider);
            if (w == NULL) {
                return EFX_ENOMEM;
            }
            if (max > 0) {
                memcpy(w, v, max * sizeof *v);
            }
            v = w;
            max = wider;
        }
        bool lost = skip_space(&x);
        struct efx_tok *t = &v[(*n)++];
        next(&x, t);
        if (lost && t->kind == EFX_TOK_END) {
            t->kind = EFX_TOK_BAD; /* and once more round, for the END */
        } else {
            more = t->kind != EFX_TOK_END;
        }
    }
    *out = v;
    return EFX_OK;
}

/* ---- contents ---- */

struct efx_str efx_lex__unquote(struct efx_arena *arena, struct efx_str token)
{
    char quote = token.p[0];
    char *p = efx_arena_bytes(arena, token.n);
    uint32_t n = 0;
    if (p == NULL) {
        return (struct efx_str){NULL, 0};
    }
    for (uint32_t i = 1; i + 1 < token.n; i++) {
        p[n++] = token.p[i];
        i += token.p[i] == quote;
    }
    p[n] = '\0';
    return (struct efx_str){p, n};
}
