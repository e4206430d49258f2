#ifndef WORDS_H
#define WORDS_H

/* The words the grammar knows, in alphabetical order, and what is particular about them as names
 * (language, appendix B). A word is a keyword only where the grammar asks for it; everywhere else
 * it is a name.
 *
 *   EXPR     needs quotes as a bare column in an expression
 *   IN_CASE  the same, inside CASE only
 *   ALIAS    needs AS (or quotes) as an alias
 *   GOES_ON  may follow a finished operand: `5 AND` is no duration with a wrong unit
 */
enum { EFX_WORD_EXPR = 1, EFX_WORD_IN_CASE = 2, EFX_WORD_ALIAS = 4, EFX_WORD_GOES_ON = 8 };

/* clang-format off */
#define EFX_WORDS(X) \
    X(AFTER, EFX_WORD_GOES_ON) \
    X(AGGREGATE, EFX_WORD_ALIAS) \
    X(AGGREGATION, 0) \
    X(ALL, 0) \
    X(ALTER, 0) \
    X(AND, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(ANTI, EFX_WORD_ALIAS) \
    X(ANY, 0) \
    X(ARRAY, 0) \
    X(AS, EFX_WORD_EXPR | EFX_WORD_ALIAS | EFX_WORD_GOES_ON) \
    X(ASC, 0) \
    X(ASOF, EFX_WORD_ALIAS) \
    X(AT, EFX_WORD_GOES_ON) \
    X(BEGIN, EFX_WORD_ALIAS) \
    X(BETWEEN, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(BOTH, 0) \
    X(BY, 0) \
    X(CASE, EFX_WORD_EXPR) \
    X(CAST, 0) \
    X(CHAR, 0) \
    X(CHARACTER, 0) \
    X(CHECK, 0) \
    X(COLLATE, EFX_WORD_GOES_ON) \
    X(CONSTRAINT, 0) \
    X(CONTAINS, EFX_WORD_GOES_ON) \
    X(CREATE, 0) \
    X(CRON, 0) \
    X(CROSS, EFX_WORD_ALIAS) \
    X(CUBE, 0) \
    X(CURRENT, 0) \
    X(DATE, 0) \
    X(DAY, 0) \
    X(DAYS, 0) \
    X(DEFAULT, 0) \
    X(DEFINE, 0) \
    X(DELETE, 0) \
    X(DESC, 0) \
    X(DISTINCT, 0) \
    X(DOUBLE, 0) \
    X(DROP, 0) \
    X(ELSE, EFX_WORD_IN_CASE | EFX_WORD_GOES_ON) \
    X(END, EFX_WORD_ALIAS | EFX_WORD_IN_CASE | EFX_WORD_GOES_ON) \
    X(ESCAPE, EFX_WORD_GOES_ON) \
    X(EVENTS, 0) \
    X(EVERY, 0) \
    X(EXCEPT, EFX_WORD_ALIAS) \
    X(EXISTS, EFX_WORD_EXPR) \
    X(EXPIRED, 0) \
    X(EXTRACT, 0) \
    X(FALSE, EFX_WORD_EXPR) \
    X(FETCH, 0) \
    X(FILTER, 0) \
    X(FIRST, 0) \
    X(FOR, EFX_WORD_ALIAS) \
    X(FOREIGN, 0) \
    X(FROM, EFX_WORD_EXPR | EFX_WORD_ALIAS) \
    X(FULL, EFX_WORD_ALIAS) \
    X(FUNCTION, 0) \
    X(GRANT, 0) \
    X(GROUP, EFX_WORD_ALIAS) \
    X(GROUPING, 0) \
    X(HAVING, EFX_WORD_ALIAS) \
    X(HOUR, 0) \
    X(HOURS, 0) \
    X(IF, 0) \
    X(ILIKE, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(IN, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(INDEX, 0) \
    X(INNER, EFX_WORD_ALIAS) \
    X(INSERT, EFX_WORD_ALIAS) \
    X(INTERSECT, EFX_WORD_ALIAS) \
    X(INTERVAL, 0) \
    X(INTO, EFX_WORD_EXPR) \
    X(IS, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(JOIN, EFX_WORD_ALIAS) \
    X(JSON, 0) \
    X(JSONB, 0) \
    X(KEY, 0) \
    X(LANGUAGE, 0) \
    X(LAST, 0) \
    X(LATERAL, EFX_WORD_ALIAS) \
    X(LEADING, 0) \
    X(LEFT, EFX_WORD_ALIAS) \
    X(LIKE, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(LIMIT, EFX_WORD_ALIAS) \
    X(MAP, 0) \
    X(MATCH, 0) \
    X(MATCHES, 0) \
    X(MATCH_RECOGNIZE, EFX_WORD_ALIAS) \
    X(MERGE, 0) \
    X(MIN, 0) \
    X(MINS, 0) \
    X(MINUTE, 0) \
    X(MINUTES, 0) \
    X(MONTH, 0) \
    X(MONTHS, 0) \
    X(NATURAL, EFX_WORD_ALIAS) \
    X(NEXT, 0) \
    X(NOT, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(NULL, EFX_WORD_EXPR) \
    X(NULLS, 0) \
    X(OF, EFX_WORD_GOES_ON) \
    X(OFFSET, EFX_WORD_ALIAS) \
    X(ON, EFX_WORD_EXPR | EFX_WORD_ALIAS) \
    X(OR, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(ORDER, EFX_WORD_ALIAS) \
    X(OUTER, 0) \
    X(OUTPUT, EFX_WORD_ALIAS) \
    X(OVER, 0) \
    X(PARTITION, EFX_WORD_ALIAS) \
    X(PAST, 0) \
    X(PATTERN, 0) \
    X(PER, EFX_WORD_ALIAS) \
    X(PIVOT, 0) \
    X(POSITION, 0) \
    X(PRECISION, 0) \
    X(PRIMARY, 0) \
    X(QUALIFY, 0) \
    X(REFERENCES, 0) \
    X(REGEXP, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(REPLACE, 0) \
    X(RETURNS, 0) \
    X(REVOKE, 0) \
    X(RIGHT, EFX_WORD_ALIAS) \
    X(RLIKE, EFX_WORD_EXPR | EFX_WORD_GOES_ON) \
    X(ROLLUP, 0) \
    X(ROW, 0) \
    X(SEC, 0) \
    X(SECOND, 0) \
    X(SECONDS, 0) \
    X(SECS, 0) \
    X(SELECT, EFX_WORD_EXPR | EFX_WORD_ALIAS) \
    X(SEMI, EFX_WORD_ALIAS) \
    X(SEQUENCE, 0) \
    X(SET, EFX_WORD_ALIAS) \
    X(SETS, 0) \
    X(SHOW, 0) \
    X(SIMILAR, EFX_WORD_GOES_ON) \
    X(SKIP, 0) \
    X(SNAPSHOT, 0) \
    X(SOME, 0) \
    X(START, 0) \
    X(STREAM, 0) \
    X(STRUCT, 0) \
    X(SUBSTRING, 0) \
    X(TABLE, 0) \
    X(TABLESAMPLE, 0) \
    X(TEMP, 0) \
    X(TEMPORARY, 0) \
    X(THEN, EFX_WORD_IN_CASE | EFX_WORD_GOES_ON) \
    X(TIME, 0) \
    X(TIMESTAMP, 0) \
    X(TO, 0) \
    X(TOP, 0) \
    X(TRAILING, 0) \
    X(TRIGGER, 0) \
    X(TRIM, 0) \
    X(TRUE, EFX_WORD_EXPR) \
    X(TRUNCATE, 0) \
    X(UNIDIRECTIONAL, EFX_WORD_ALIAS) \
    X(UNION, EFX_WORD_ALIAS) \
    X(UNIQUE, 0) \
    X(UNKNOWN, 0) \
    X(UNMATCHED, 0) \
    X(UNPIVOT, 0) \
    X(UPDATE, 0) \
    X(UPSERT, EFX_WORD_ALIAS) \
    X(USING, EFX_WORD_EXPR | EFX_WORD_ALIAS) \
    X(VALUES, 0) \
    X(VARYING, 0) \
    X(VIEW, 0) \
    X(WHEN, EFX_WORD_IN_CASE | EFX_WORD_GOES_ON) \
    X(WHERE, EFX_WORD_EXPR | EFX_WORD_ALIAS) \
    X(WINDOW, EFX_WORD_ALIAS) \
    X(WITH, EFX_WORD_GOES_ON) \
    X(WITHIN, EFX_WORD_ALIAS) \
    X(YEAR, 0) \
    X(YEARS, 0) \
    X(ZONE, 0)
/* clang-format on */

enum efx_word {
    EFX_W_NONE = 0, /* a word that is none of these */
#define EFX_WORD_ENUM(word, flags) EFX_W_##word,
    EFX_WORDS(EFX_WORD_ENUM)
#undef EFX_WORD_ENUM
        EFX_W_END_OF_LIST,
};

#endif /* WORDS_H */
