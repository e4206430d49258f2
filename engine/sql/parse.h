#ifndef PARSE_H
#define PARSE_H

#include "efx_ast.h"
#include "lex.h"

/* What the parser's files share: the cursor, and how errors travel.
 *
 * A syntax error is reported where it is met and stops the statement: from then on every look at
 * the text sees its end, so each rule runs out by itself and no rule checks what another returned.
 * The statement loop then finds the next `;`, and starts the cursor again. Faults that leave the
 * form readable (a bad duration, a number out of range) are reported without stopping.
 *
 *   tokens   SELECT a , b FROM FROM S ;  CREATE …
 *                                ^ error: stopped, all of them see END here
 *                                      ^ resumed
 *
 * Memory that runs out stops for good. Rules then write into a spare node that nobody reads, so
 * that they need not look at each allocation; nothing that was built is followed any more.
 *
 *   parse.c            the statement loop, entries     parse_cursor.c     the cursor, small things
 *   parse_create.c     CREATE                          parse_change.c     UPDATE, DELETE, UPSERT
 *   parse_query.c      SELECT, its clauses, INSERT     parse_source.c     FROM: relations, joins
 *   parse_expr.c       operators                       parse_primary.c    operands
 *   parse_pattern.c    PATTERN, SEQUENCE               parse_recognize.c  MATCH_RECOGNIZE
 *   parse_duration.c   §1.4                            parse_refuse.c     §23
 *   parse_partition.c  PARTITION
 *
 *   Limits  EFX_AST_NESTING_MAX levels of recursion, counted in depth; EFX_AST_HEIGHT_MAX
 *   Source  language.md, appendix A; a rule's comment is its production
 */
enum { EFX_PARSE_SPARE_BYTES = 1280 };

struct efx_parse {
    struct efx_arena *arena;
    struct efx_diags *diags;
    struct efx_str text;
    const struct efx_tok *toks; /* [n], the last one is END */
    uint32_t n, i;
    struct efx_tok end; /* what everybody sees once stopped */
    uint32_t last_end;  /* byte after the token read last */
    uint32_t depth;     /* levels of nesting open here */
    bool in_case;       /* directly inside CASE … END */
    bool no_in;         /* IN is no operator here: POSITION(x IN y) */
    bool on_demand;
    bool stopped, oom;
    struct efx_ast_names lost;
    uint32_t lost_max;
    _Alignas(16) unsigned char spare[EFX_PARSE_SPARE_BYTES];
};

struct efx_parse_list { /* grows by doubling in the arena */
    void *v;
    uint32_t n, max;
};

/* ---- cursor ---- */

const struct efx_tok *efx_parse__tok(const struct efx_parse *p, uint32_t ahead);
void efx_parse__advance(struct efx_parse *p);
struct efx_str efx_parse__text(const struct efx_parse *p, const struct efx_tok *t);

static inline bool efx_parse__at(const struct efx_parse *p, enum efx_tok_kind kind)
{
    return efx_parse__tok(p, 0)->kind == kind;
}

static inline bool efx_parse__at_word(const struct efx_parse *p, enum efx_word word)
{
    return efx_parse__tok(p, 0)->word == word;
}

/* The token `ahead` of the cursor is that word, or any bare or quoted name. */
static inline bool efx_parse__sees(const struct efx_parse *p, uint32_t ahead, enum efx_word word)
{
    return efx_parse__tok(p, ahead)->word == word;
}
bool efx_parse__sees_kind(const struct efx_parse *p, uint32_t ahead, enum efx_tok_kind kind);
bool efx_parse__sees_name(const struct efx_parse *p, uint32_t ahead);
/* The cursor's token and the one before it touch. */
bool efx_parse__touches(const struct efx_parse *p, uint32_t ahead);

bool efx_parse__accept(struct efx_parse *p, enum efx_tok_kind kind);
bool efx_parse__accept_word(struct efx_parse *p, enum efx_word word);
bool efx_parse__expect(struct efx_parse *p, enum efx_tok_kind kind, const char *what);
bool efx_parse__expect_word(struct efx_parse *p, enum efx_word word);
/* Byte at which what comes next begins; the span from there to what was read last. */
uint32_t efx_parse__here(const struct efx_parse *p);
struct efx_span efx_parse__since(const struct efx_parse *p, uint32_t from);
struct efx_span efx_parse__span(const struct efx_tok *t);
/* The place of something that is missing: the token in its stead, or the end of what was read. */
struct efx_span efx_parse__missing(const struct efx_parse *p);

/* ---- errors ---- */

void efx_parse__stop(struct efx_parse *p);
/* Unless stopped: EFX-1001 `unexpected x, expected what` at the cursor, or the code of a form that
 * is recognised and refused; stops. */
void efx_parse__expected(struct efx_parse *p, const char *what);
void efx_parse__expected_hint(struct efx_parse *p, const char *what, const char *hint);
/* Reports unless stopped, and goes on. */
#define EFX_PARSE_SAY(p, code, at, hint, ...)                                                      \
    do {                                                                                           \
        if (!(p)->stopped) {                                                                       \
            (void)efx_diag_add((p)->diags, (code), (at), (hint), __VA_ARGS__);                     \
        }                                                                                          \
    } while (0)
#define EFX_PARSE_FAIL(p, code, at, hint, ...)                                                     \
    do {                                                                                           \
        EFX_PARSE_SAY((p), (code), (at), (hint), __VA_ARGS__);                                     \
        efx_parse__stop(p);                                                                        \
    } while (0)

/* One level of nesting down; false = too deep (EFX-1007, stopped). Paired with leave either way. */
bool efx_parse__enter(struct efx_parse *p);
void efx_parse__leave(struct efx_parse *p);

/* parse_refuse.c: a form of §23 begins at the cursor. _form only looks; both report EFX-1901. */
bool efx_parse__refused_form(const struct efx_parse *p);
bool efx_parse__refuse_form(struct efx_parse *p);
bool efx_parse__refuse_statement(struct efx_parse *p);
void efx_parse__refuse(struct efx_parse *p, struct efx_span at, const char *what, const char *hint);

/* ---- memory ---- */

void *efx_parse__new(struct efx_parse *p, size_t bytes, size_t align);
#define EFX_PARSE_NEW(p, T) ((T *)efx_parse__new((p), sizeof(T), _Alignof(T)))
/* A zeroed new last item. */
void *efx_parse__add(struct efx_parse *p, struct efx_parse_list *list, size_t bytes, size_t align);
#define EFX_PARSE_ADD(p, list, T) ((T *)efx_parse__add((p), (list), sizeof(T), _Alignof(T)))
const char *efx_parse__copy(struct efx_parse *p, const char *s, size_t n);
/* s, or out of memory and "" if it is NULL. */
const char *efx_parse__kept(struct efx_parse *p, const char *s);

/* ---- small things ---- */

/* ident: a bare word, any keyword included, or a quoted name. */
struct efx_ast_name efx_parse__name(struct efx_parse *p, const char *what);
struct efx_ast_name efx_parse__target(struct efx_parse *p, const char *what); /* [ # | ! ] ident */
struct efx_ast_names efx_parse__names(struct efx_parse *p, const char *what); /* a, b, … */
struct efx_ast_names efx_parse__columns(struct efx_parse *p);                 /* ( a, b, … ) */
/* [ [ AS ] ident ]; .s NULL = none */
struct efx_ast_name efx_parse__alias(struct efx_parse *p);
struct efx_str efx_parse__string(struct efx_parse *p, const char *what);
/* uint; EFX-1003 if it does not fit or a letter follows. */
int64_t efx_parse__uint(struct efx_parse *p, const char *what);
/* The number at the cursor is directly followed by a letter: EFX-1003, stops. */
bool efx_parse__bad_number(struct efx_parse *p);
struct efx_ast_type efx_parse__type(struct efx_parse *p, bool in_column);
/* Skips to behind the bracket that closes the one at the cursor; false = none does. */
bool efx_parse__skip_brackets(struct efx_parse *p);

/* ---- rules ---- */

struct efx_ast_expr *efx_parse__expr(struct efx_parse *p);
struct efx_ast_expr *efx_parse__sum(struct efx_parse *p);
struct efx_ast_expr *efx_parse__primary(struct efx_parse *p);
void efx_parse__exprs(struct efx_parse *p, struct efx_parse_list *list); /* e, e, … */
struct efx_ast_expr *efx_parse__node(struct efx_parse *p, enum efx_ast_op op,
                                     struct efx_span op_at);
/* Takes up to 3 operands, NULL-terminated. */
void efx_parse__args(struct efx_parse *p, struct efx_ast_expr *e, struct efx_ast_expr *a,
                     struct efx_ast_expr *b, struct efx_ast_expr *c);
/* Sets the place and the height of what is complete now. */
struct efx_ast_expr *efx_parse__done(struct efx_parse *p, struct efx_ast_expr *e, uint32_t from);

struct efx_ast_duration efx_parse__duration(struct efx_parse *p, const char *what);
bool efx_parse__at_duration(const struct efx_parse *p); /* uint unit, not bare */
struct efx_ast_expr *efx_parse__interval(struct efx_parse *p);
struct efx_ast_arg efx_parse__arg(struct efx_parse *p);
struct efx_ast_bound efx_parse__bound(struct efx_parse *p);

struct efx_ast_select *efx_parse__select(struct efx_parse *p);
void efx_parse__source(struct efx_parse *p, struct efx_ast_select *s);
struct efx_ast_relation efx_parse__relation(struct efx_parse *p);
struct efx_ast_window efx_parse__window(struct efx_parse *p);
struct efx_ast_window efx_parse__kind_call(struct efx_parse *p, uint32_t from);
bool efx_parse__at_join(const struct efx_parse *p);
struct efx_ast_pattern *efx_parse__pattern(struct efx_parse *p);
struct efx_ast_recognize efx_parse__recognize(struct efx_parse *p);
enum efx_ast_kinds efx_parse__kinds(struct efx_parse *p); /* [ kinds EVENTS ] */
struct efx_ast_props efx_parse__with(struct efx_parse *p);
bool efx_parse__at_kinds(const struct efx_parse *p);

/* Statements fill *s, whose kind they set. */
void efx_parse__create(struct efx_parse *p, struct efx_ast_stmt *s);
void efx_parse__query(struct efx_parse *p, struct efx_ast_stmt *s);
void efx_parse__values(struct efx_parse *p, struct efx_ast_stmt *s);
void efx_parse__update(struct efx_parse *p, struct efx_ast_stmt *s);
void efx_parse__delete(struct efx_parse *p, struct efx_ast_stmt *s);
void efx_parse__upsert(struct efx_parse *p, struct efx_ast_stmt *s);
void efx_parse__partition(struct efx_parse *p, struct efx_ast_stmt *s);
/* parse.c: statements up to END of a block, or to the end of the text. */
struct efx_ast_stmt *efx_parse__stmts(struct efx_parse *p, bool in_block);

#endif /* PARSE_H */
