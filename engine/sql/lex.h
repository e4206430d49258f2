#ifndef LEX_H
#define LEX_H

#include "efx_diag.h"
#include "words.h"

/* Text to tokens, all at once (language §1).
 *
 *   SELECT px*2. FROM "my stream"  →  WORD(SELECT) WORD * NUMBER WORD(FROM) QUOTED
 *
 * What a token means is the parser's business: `-5`, `100ms`, `#x`, `e1[last]` are several tokens
 * each, and a NUMBER is its bytes. Comments and white space leave no token; the array ends with
 * EFX_TOK_END.
 *
 *   Owner   the arena; texts are offsets into the program
 *   Limits  a token takes at least one byte, so their number is bounded by EFX_SQL_BYTES_MAX
 *   Errors  1002, 1009 are reported here and leave an EFX_TOK_BAD, about which the parser is silent
 *   Source  language §1.1-1.3; letters "of any script" are all code points from U+0080 but the
 *           blocks of punctuation, symbols and private use
 */
enum { EFX_SQL_BYTES_MAX = 1024 * 1024 };

enum efx_tok_kind {
    EFX_TOK_END = 1,
    EFX_TOK_BAD,
    EFX_TOK_WORD,   /* bare; `word` says which keyword it could be */
    EFX_TOK_QUOTED, /* "name" or `name` */
    EFX_TOK_STRING,
    EFX_TOK_NUMBER,  /* digits only */
    EFX_TOK_DECIMAL, /* with point or exponent */
    EFX_TOK_LPAREN,
    EFX_TOK_RPAREN,
    EFX_TOK_LBRACKET,
    EFX_TOK_RBRACKET,
    EFX_TOK_LBRACE,
    EFX_TOK_RBRACE,
    EFX_TOK_COMMA,
    EFX_TOK_SEMICOLON,
    EFX_TOK_DOT,
    EFX_TOK_ELLIPSIS,
    EFX_TOK_PLUS,
    EFX_TOK_MINUS,
    EFX_TOK_STAR,
    EFX_TOK_SLASH,
    EFX_TOK_PERCENT,
    EFX_TOK_EQ,
    EFX_TOK_NE,
    EFX_TOK_LT,
    EFX_TOK_LE,
    EFX_TOK_GT,
    EFX_TOK_GE,
    EFX_TOK_ARROW,
    EFX_TOK_BARS /* || */,
    EFX_TOK_CAST /* :: */,
    EFX_TOK_COLON,
    EFX_TOK_HASH,
    EFX_TOK_BANG,
    EFX_TOK_QUESTION,
    EFX_TOK_DOLLAR,
    EFX_TOK_AT,
    EFX_TOK_BAR,
    EFX_TOK_AMPERSAND,
    EFX_TOK_CARET,
    EFX_TOK_TILDE,
};

struct efx_tok {
    uint8_t kind;  /* enum efx_tok_kind */
    uint16_t word; /* enum efx_word, of EFX_TOK_WORD */
    uint32_t off, len;
};

/* The tokens of d->text (at most EFX_SQL_BYTES_MAX bytes); reports into d. */
enum efx_rc efx_lex__run(struct efx_arena *arena, struct efx_diags *d, struct efx_tok **out,
                         uint32_t *n) EFX_MUST_USE;

/* The keyword of that spelling, any case, or EFX_W_NONE; its flags; its spelling in capitals. */
enum efx_word efx_lex__word(struct efx_str s);
uint32_t efx_lex__word_flags(uint16_t word);
const char *efx_lex__word_text(uint16_t word);

/* Contents of a QUOTED or STRING token without its quotes, doubled ones made single, in the arena
 * and NUL-terminated; .p NULL = no memory. */
struct efx_str efx_lex__unquote(struct efx_arena *arena, struct efx_str token);

/* Bytes of the code point at s (n > 0 bytes), 0 = not UTF-8. */
uint32_t efx_lex__code_point(const char *s, uint32_t n, uint32_t *value);

#endif /* LEX_H */
