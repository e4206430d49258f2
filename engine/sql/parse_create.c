#include "parse.h"

/* CREATE, or DEFINE: streams, tables, windows, triggers, aggregations, functions (language §4). */

/* ---- WITH ---- */

/* string | [ "-" ] number | TRUE | FALSE | ident; kept as text */
static void property_value(struct efx_parse *p, struct efx_ast_prop *prop)
{
    uint32_t from = efx_parse__here(p);
    if (efx_parse__at(p, EFX_TOK_STRING)) {
        prop->value = efx_parse__string(p, "a value");
    } else if (efx_parse__at(p, EFX_TOK_MINUS) || efx_parse__at(p, EFX_TOK_NUMBER) ||
               efx_parse__at(p, EFX_TOK_DECIMAL)) {
        bool minus = efx_parse__accept(p, EFX_TOK_MINUS);
        struct efx_tok t = *efx_parse__tok(p, 0);
        if (t.kind != EFX_TOK_NUMBER && t.kind != EFX_TOK_DECIMAL) {
            efx_parse__expected(p, "a number");
        } else if (!efx_parse__bad_number(p)) {
            efx_parse__advance(p);
        }
        prop->value =
            efx_str_of(efx_parse__kept(p, efx_arena_printf(p->arena, "%s%.*s", minus ? "-" : "",
                                                           (int)t.len, p->text.p + t.off)));
    } else {
        prop->value =
            efx_str_of(efx_parse__name(p, "a value: a string, number, TRUE, FALSE or word").s);
    }
    prop->value_at = efx_parse__since(p, from);
}

/* property = ( ident | string ) "=" value */
static struct efx_ast_prop property(struct efx_parse *p)
{
    struct efx_ast_prop prop = {.key_at = efx_parse__span(efx_parse__tok(p, 0))};
    if (efx_parse__at(p, EFX_TOK_STRING)) {
        prop.key = efx_parse__string(p, "a key").p;
    } else {
        prop.key = efx_parse__name(p, "a key").s;
    }
    if (!efx_parse__accept(p, EFX_TOK_EQ)) {
        bool dotted = efx_parse__at(p, EFX_TOK_DOT) || efx_parse__at(p, EFX_TOK_MINUS);
        efx_parse__expected_hint(p, "'='",
                                 dotted ? "a key with a dot or hyphen needs quotes" : NULL);
    }
    property_value(p, &prop);
    return prop;
}

/* with = WITH "(" property { "," property } ")" */
struct efx_ast_props efx_parse__with(struct efx_parse *p)
{
    struct efx_ast_props props = {0};
    struct efx_parse_list list = {0};
    uint32_t from = efx_parse__here(p);
    if (!efx_parse__accept_word(p, EFX_W_WITH)) {
        return props;
    }
    (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
    do {
        struct efx_ast_prop prop = property(p);
        *EFX_PARSE_ADD(p, &list, struct efx_ast_prop) = prop;
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    if (!efx_parse__accept(p, EFX_TOK_RPAREN)) {
        const char *hint =
            efx_parse__sees_name(p, 0) ? "a value of several words needs quotes" : NULL;
        efx_parse__expected_hint(p, "',' or ')'", hint);
    }
    props.v = list.v;
    props.n = list.n;
    props.at = efx_parse__since(p, from);
    return props;
}

/* ---- columns ---- */

/* DEFAULT 0, CHECK (…), FOREIGN KEY …: over to the next `,` or `)` */
static void refuse_constraint(struct efx_parse *p)
{
    const struct efx_tok *t = efx_parse__tok(p, 0);
    EFX_PARSE_SAY(p, 1110, efx_parse__span(t), NULL, "constraint %s is not supported",
                  efx_lex__word_text(t->word));
    uint32_t open = 0;
    while (!efx_parse__at(p, EFX_TOK_END) && !efx_parse__at(p, EFX_TOK_SEMICOLON) &&
           !(open == 0 && (efx_parse__at(p, EFX_TOK_COMMA) || efx_parse__at(p, EFX_TOK_RPAREN)))) {
        open += efx_parse__at(p, EFX_TOK_LPAREN);
        open -= efx_parse__at(p, EFX_TOK_RPAREN);
        efx_parse__advance(p);
    }
}

static bool is_refused_constraint(uint16_t word)
{
    return word == EFX_W_DEFAULT || word == EFX_W_CHECK || word == EFX_W_FOREIGN ||
           word == EFX_W_REFERENCES;
}

/* ident type { NOT NULL | PRIMARY KEY | UNIQUE | INDEX } */
static struct efx_ast_col column(struct efx_parse *p)
{
    struct efx_ast_col c = {0};
    uint32_t from = efx_parse__here(p);
    c.name = efx_parse__name(p, "a column");
    c.type = efx_parse__type(p, true);
    for (;;) {
        if (efx_parse__accept_word(p, EFX_W_NOT)) {
            (void)efx_parse__expect_word(p, EFX_W_NULL);
            c.not_null = true;
        } else if (efx_parse__accept_word(p, EFX_W_PRIMARY)) {
            (void)efx_parse__expect_word(p, EFX_W_KEY);
            c.primary_key = true;
        } else if (efx_parse__accept_word(p, EFX_W_UNIQUE)) {
            c.unique = true;
        } else if (efx_parse__accept_word(p, EFX_W_INDEX)) {
            c.index = true;
        } else if (is_refused_constraint(efx_parse__tok(p, 0)->word)) {
            refuse_constraint(p);
        } else {
            break;
        }
    }
    c.at = efx_parse__since(p, from);
    return c;
}

/* `INDEX (a)` and `INDEX i (a)` are keys, `index VARCHAR(9)` is a column. */
static bool at_index(const struct efx_parse *p)
{
    return efx_parse__at_word(p, EFX_W_INDEX) &&
           (efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN) ||
            (efx_parse__sees_name(p, 1) && efx_parse__sees_kind(p, 2, EFX_TOK_LPAREN) &&
             !efx_parse__sees_kind(p, 3, EFX_TOK_NUMBER)));
}

static bool at_key(const struct efx_parse *p)
{
    uint16_t word = efx_parse__tok(p, 0)->word, after = efx_parse__tok(p, 1)->word;
    uint16_t third = efx_parse__tok(p, 2)->word;
    bool paren = efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN);
    return (word == EFX_W_PRIMARY && after == EFX_W_KEY &&
            efx_parse__sees_kind(p, 2, EFX_TOK_LPAREN)) ||
           (word == EFX_W_UNIQUE && paren) || (word == EFX_W_CHECK && paren) ||
           (word == EFX_W_FOREIGN && after == EFX_W_KEY) || at_index(p) ||
           (word == EFX_W_CONSTRAINT && efx_parse__sees_name(p, 1) &&
            (third == EFX_W_PRIMARY || third == EFX_W_UNIQUE || is_refused_constraint(third)));
}

/* [ CONSTRAINT ident ] ( PRIMARY KEY | UNIQUE ) columns | INDEX [ ident ] columns */
static void key(struct efx_parse *p, struct efx_parse_list *keys)
{
    struct efx_ast_key k = {0};
    uint32_t from = efx_parse__here(p);
    if (efx_parse__accept_word(p, EFX_W_CONSTRAINT)) {
        (void)efx_parse__name(p, "a name");
    }
    if (is_refused_constraint(efx_parse__tok(p, 0)->word)) {
        refuse_constraint(p);
        return;
    }
    if (efx_parse__accept_word(p, EFX_W_PRIMARY)) {
        (void)efx_parse__expect_word(p, EFX_W_KEY);
        k.primary_key = true;
    } else if (efx_parse__accept_word(p, EFX_W_UNIQUE)) {
        k.unique = true;
    } else {
        efx_parse__advance(p);
        if (!efx_parse__at(p, EFX_TOK_LPAREN)) {
            (void)efx_parse__name(p, "a name");
        }
    }
    k.cols = efx_parse__columns(p);
    k.at = efx_parse__since(p, from);
    *EFX_PARSE_ADD(p, keys, struct efx_ast_key) = k;
}

/* "(" item { "," item } ")" of streams, tables, windows alike; the binder knows which may what */
static void columns(struct efx_parse *p, struct efx_ast_stmt *s)
{
    struct efx_parse_list cols = {0}, keys = {0};
    (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
    do {
        if (at_key(p)) {
            key(p, &keys);
        } else {
            struct efx_ast_col c = column(p);
            *EFX_PARSE_ADD(p, &cols, struct efx_ast_col) = c;
        }
    } while (efx_parse__accept(p, EFX_TOK_COMMA));
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    s->cols = cols.v;
    s->n_cols = cols.n;
    s->keys = keys.v;
    s->n_keys = keys.n;
}

/* ---- the kinds ---- */

static void create_stream_or_table(struct efx_parse *p, struct efx_ast_stmt *s)
{
    columns(p, s);
    s->with = efx_parse__with(p);
}

/* WINDOW ident "(" … ")" ( window | kind-call ) [ OUTPUT kinds EVENTS ] [ with ] */
static void create_window(struct efx_parse *p, struct efx_ast_stmt *s)
{
    columns(p, s);
    if (efx_parse__at_word(p, EFX_W_WINDOW)) {
        s->window = efx_parse__window(p);
    } else if (efx_parse__sees_name(p, 0) && efx_parse__sees_kind(p, 1, EFX_TOK_LPAREN)) {
        s->window = efx_parse__kind_call(p, efx_parse__here(p));
    } else {
        efx_parse__expected(p, "WINDOW('kind', …)");
    }
    if (efx_parse__accept_word(p, EFX_W_OUTPUT)) {
        s->kinds = efx_parse__kinds(p);
        if (s->kinds == 0) {
            efx_parse__expected(p, "CURRENT EVENTS, EXPIRED EVENTS or ALL EVENTS");
        }
    }
    s->with = efx_parse__with(p);
}

/* TRIGGER ident AT ( START | EVERY duration | CRON string | string ) [ with ] */
static void create_trigger(struct efx_parse *p, struct efx_ast_stmt *s)
{
    (void)efx_parse__expect_word(p, EFX_W_AT);
    if (efx_parse__accept_word(p, EFX_W_START)) {
        s->trigger = EFX_AST_TRIGGER_START;
    } else if (efx_parse__accept_word(p, EFX_W_EVERY)) {
        s->trigger = EFX_AST_TRIGGER_EVERY;
        s->every = efx_parse__duration(p, "a duration");
    } else {
        bool cron = efx_parse__accept_word(p, EFX_W_CRON);
        s->cron_at = efx_parse__span(efx_parse__tok(p, 0));
        s->cron = efx_parse__string(p, cron ? "a cron text in quotes" : "START, EVERY or CRON");
        s->trigger = !cron && efx_str_equal_ci(s->cron, efx_str_of("start")) ? EFX_AST_TRIGGER_START
                                                                             : EFX_AST_TRIGGER_CRON;
    }
    s->with = efx_parse__with(p);
}

/* Bit of a grain's word; 0 = is none. */
static uint32_t grain_bit(uint16_t word)
{
    static const struct {
        uint16_t word;
        uint8_t bit;
    } grains[] = {
        {EFX_W_SEC, 0},   {EFX_W_SECS, 0},   {EFX_W_SECOND, 0}, {EFX_W_SECONDS, 0},
        {EFX_W_MIN, 1},   {EFX_W_MINS, 1},   {EFX_W_MINUTE, 1}, {EFX_W_MINUTES, 1},
        {EFX_W_HOUR, 2},  {EFX_W_HOURS, 2},  {EFX_W_DAY, 3},    {EFX_W_DAYS, 3},
        {EFX_W_MONTH, 4}, {EFX_W_MONTHS, 4}, {EFX_W_YEAR, 5},   {EFX_W_YEARS, 5},
    };
    for (size_t k = 0; k < sizeof grains / sizeof grains[0]; k++) {
        if (grains[k].word == word) {
            return 1u << grains[k].bit;
        }
    }
    return 0;
}

static uint32_t grain(struct efx_parse *p)
{
    uint32_t bit = grain_bit(efx_parse__tok(p, 0)->word);
    if (bit == 0) {
        efx_parse__expected(p, "SECONDS, MINUTES, HOURS, DAYS, MONTHS or YEARS");
    } else {
        efx_parse__advance(p);
    }
    return bit;
}

/* grains = grain { "," grain } | grain "..." grain */
static uint32_t grains(struct efx_parse *p)
{
    uint32_t bits = grain(p);
    if (efx_parse__accept(p, EFX_TOK_ELLIPSIS)) {
        uint32_t last = grain(p);
        uint32_t low = bits < last ? bits : last, high = bits < last ? last : bits;
        return (high << 1) - low;
    }
    while (efx_parse__accept(p, EFX_TOK_COMMA)) {
        bits |= grain(p);
    }
    return bits;
}

/* AGGREGATION ident [ with ] [ AS ] select AGGREGATE [ BY ident ] EVERY grains */
static void create_aggregation(struct efx_parse *p, struct efx_ast_stmt *s)
{
    s->with = efx_parse__with(p);
    (void)efx_parse__accept_word(p, EFX_W_AS);
    s->select = efx_parse__select(p);
    (void)efx_parse__expect_word(p, EFX_W_AGGREGATE);
    if (efx_parse__accept_word(p, EFX_W_BY)) {
        s->agg_by = efx_parse__name(p, "a column");
    }
    (void)efx_parse__expect_word(p, EFX_W_EVERY);
    s->grains = grains(p);
}

/* FUNCTION ident "(" [ ident type { "," ident type } ] ")" RETURNS type AS expr */
static void create_function(struct efx_parse *p, struct efx_ast_stmt *s)
{
    struct efx_parse_list params = {0};
    if (efx_parse__at(p, EFX_TOK_LBRACKET)) {
        efx_parse__refuse(p, efx_parse__missing(p), "script functions in other languages",
                          "extensions");
    }
    (void)efx_parse__expect(p, EFX_TOK_LPAREN, "'('");
    if (!efx_parse__at(p, EFX_TOK_RPAREN)) {
        do {
            struct efx_ast_col c = {0};
            uint32_t from = efx_parse__here(p);
            c.name = efx_parse__name(p, "a parameter");
            c.type = efx_parse__type(p, true);
            c.at = efx_parse__since(p, from);
            *EFX_PARSE_ADD(p, &params, struct efx_ast_col) = c;
        } while (efx_parse__accept(p, EFX_TOK_COMMA));
    }
    (void)efx_parse__expect(p, EFX_TOK_RPAREN, "',' or ')'");
    s->params = params.v;
    s->n_cols = params.n;
    (void)efx_parse__expect_word(p, EFX_W_RETURNS);
    s->returns = efx_parse__type(p, true);
    if (efx_parse__at_word(p, EFX_W_LANGUAGE)) {
        efx_parse__refuse(p, efx_parse__missing(p), "script functions in other languages",
                          "extensions");
    }
    (void)efx_parse__expect_word(p, EFX_W_AS);
    s->body = efx_parse__expr(p);
}

/* ---- the choice ---- */

static void refuse_create(struct efx_parse *p)
{
    uint16_t word = efx_parse__tok(p, 0)->word;
    struct efx_span at = efx_parse__span(efx_parse__tok(p, 0));
    if (word == EFX_W_OR && efx_parse__sees(p, 1, EFX_W_REPLACE)) {
        efx_parse__refuse(p, at, "OR REPLACE", "change the definition itself");
    } else if (word == EFX_W_TEMPORARY || word == EFX_W_TEMP) {
        efx_parse__refuse(p, at, "TEMPORARY", "a name lives as long as the program");
    } else if (word == EFX_W_VIEW) {
        efx_parse__refuse(p, at, "CREATE VIEW", "a query that inserts into a stream");
    }
}

/* create = ( CREATE | DEFINE ) ( STREAM | TABLE | WINDOW | TRIGGER | AGGREGATION | FUNCTION ) … */
void efx_parse__create(struct efx_parse *p, struct efx_ast_stmt *s)
{
    static const struct {
        uint16_t word;
        uint8_t kind;
        void (*rest)(struct efx_parse *p, struct efx_ast_stmt *s);
    } kinds[] = {
        {EFX_W_STREAM, EFX_AST_CREATE_STREAM, create_stream_or_table},
        {EFX_W_TABLE, EFX_AST_CREATE_TABLE, create_stream_or_table},
        {EFX_W_WINDOW, EFX_AST_CREATE_WINDOW, create_window},
        {EFX_W_TRIGGER, EFX_AST_CREATE_TRIGGER, create_trigger},
        {EFX_W_AGGREGATION, EFX_AST_CREATE_AGGREGATION, create_aggregation},
        {EFX_W_FUNCTION, EFX_AST_CREATE_FUNCTION, create_function},
    };
    efx_parse__advance(p);
    refuse_create(p);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        if (!efx_parse__accept_word(p, (enum efx_word)kinds[k].word)) {
            continue;
        }
        s->kind = (enum efx_ast_stmt_kind)kinds[k].kind;
        if (efx_parse__at_word(p, EFX_W_IF) && efx_parse__sees(p, 1, EFX_W_NOT)) {
            efx_parse__refuse(p, efx_parse__missing(p), "IF NOT EXISTS", "a name is defined once");
        }
        s->name = efx_parse__name(p, "a name");
        kinds[k].rest(p, s);
        return;
    }
    efx_parse__expected(p, "STREAM, TABLE, WINDOW, TRIGGER, AGGREGATION or FUNCTION");
}
