/* What the parser says about wrong programs, how it goes on, and its limits. */
#include "parse_test.h"

/* ---- errors ---- */

static const struct {
    const char *text;
    uint16_t code;
    const char *under; /* NULL = not looked at */
} wrong[] = {
    {"  -- nothing\n;;", 1004, NULL},
    {"SELEC a FROM S", 1001, "SELEC"},
    {"SELECT a FRM S", 1001, "S"},
    {"SELECT a, FROM S", 1001, "FROM"},
    {"SELECT a FROM S WHERE", 1001, ""},
    {"SELECT a FROM WHERE a > 1", 1001, "WHERE"},
    {"SELECT a FROM S HAVING a > 1 GROUP BY a", 1001, "GROUP"},
    {"SELECT a FROM S AS", 1001, ""},
    {"SELECT a 'x' FROM S", 1001, "'x'"},
    {"INSERT INTO SELECT a FROM S", 1001, "SELECT"},
    {"CREATE STREAM S ()", 1001, ")"},
    {"CREATE STREAM S (a INT) WITH (a.b = 1)", 1001, "."},
    {"CREATE STREAM S (a INT) WITH (a = 1 hour)", 1001, "hour"},
    {"CREATE SOURCE S (a INT)", 1001, "SOURCE"},
    {"FROM L WINDOW length(2) AS l SELECT a", 1001, "AS"},
    {"FROM S[v > 1] SELECT a", 1001, "["},
    {"SELECT \"\" FROM S", 1001, "\"\""},
    {"SELECT 'abc FROM S", 1002, NULL},
    {"SELECT 5f FROM S", 1003, "5f"},
    {"SELECT a FROM S LIMIT 5L", 1003, "5L"},
    {"CREATE STREAM S (a INT) WITH (a = 5x)", 1003, "5x"},
    {"SELECT case FROM S", 1005, "case"},
    {"SELECT not FROM S", 1005, "not"},
    {"SELECT a order FROM S", 1005, "order"},
    {"SELECT a FROM PATTERN (e1=EVERY)", 1005, "EVERY"},
    {"SELECT a FROM S WINDOW('time', 1 MONTH)", 1006, "MONTH"},
    {"SELECT a FROM S WINDOW TIME(INTERVAL 1 YEAR)", 1006, "YEAR"},
    {"SELECT a FROM S WINDOW TIME(0 ms)", 1006, "0 ms"},
    {"SELECT a FROM S WINDOW TIME(5us)", 1006, "us"},
    {"SELECT a FROM S WINDOW TIME(1.5 sec)", 1006, "1.5"},
    {"SELECT a FROM S WINDOW TIME(1 min 30)", 1006, "30"},
    {"SELECT a FROM S WINDOW TIME(9223372036854775807 days)", 1006, NULL},
    {"CREATE TRIGGER t AT EVERY 0", 1006, "0"},
    {"SELECT a FROM A JOIN B WITHIN 0", 1006, "0"},
    {"SELECT a FROM S WHERE a = '\xFF'", 1009, NULL},
    {"SELECT a FROM S \\", 1009, "\\"},
    {"CREATE TABLE T (a INT DEFAULT 0, b INT)", 1110, "DEFAULT"},
    {"CREATE TABLE T (a INT, CHECK (a > 0))", 1110, "CHECK"},
    {"CREATE TABLE T (a INT, FOREIGN KEY (a) REFERENCES U (b))", 1110, "FOREIGN"},
    {"CREATE TABLE T (a INT REFERENCES U (b))", 1110, "REFERENCES"},
    {"SELECT a FROM S WINDOW length(1) WINDOW length(2)", 1404, "WINDOW"},
    {"SELECT a FROM A JOIN B WHERE a WINDOW length(2)", 1404, "WINDOW"},
    {"SELECT a FROM PATTERN (A[v > 1] WINDOW length(2) -> B)", 1404, "WINDOW"},
    {"SELECT a FROM A, B", 1503, ","},
    {"SELECT a FROM A NATURAL JOIN B", 1503, "NATURAL"},
    {"SELECT a FROM A LEFT SEMI JOIN B", 1503, "SEMI"},
    {"SELECT a FROM A ANTI JOIN B", 1503, "ANTI"},
    {"SELECT a FROM A ASOF JOIN B", 1503, "ASOF"},
    {"SELECT a FROM A JOIN LATERAL B", 1503, "LATERAL"},
    {"SELECT a FROM A JOIN (SELECT b FROM B) AS b ON TRUE", 1503, "("},
    {"SELECT a FROM (SELECT b FROM B) AS b JOIN C ON TRUE", 1503, "("},
    {"SELECT a FROM A JOIN PATTERN (B) ON TRUE", 1503, "PATTERN"},
    {"SELECT a FROM PATTERN (B) JOIN C ON TRUE", 1503, "JOIN"},
    {"SELECT a FROM PATTERN (A{} -> B)", 1602, NULL},
    {"SELECT a FROM PATTERN (A{-1} -> B)", 1602, NULL},
    {"SELECT a FROM PATTERN (A{2}{3} -> B)", 1602, NULL},
    {"SELECT a FROM PATTERN (A AND EVERY B)", 1608, "EVERY"},
    {"SELECT a FROM PATTERN (A -> NOT e=B -> C)", 1609, "e"},
    {"SELECT a FROM PATTERN (A -> NOT B AS e -> C)", 1609, "e"},
    {"SELECT a FROM PATTERN (e=A AS f)", 1609, "f"},
    {"UPDATE T SET a = 1 FROM A JOIN B WHERE TRUE", 1701, "JOIN"},
    {"DELETE FROM T USING A, B WHERE TRUE", 1701, ","},
    {"SELECT a FROM S OUTPUT EVERY 0 EVENTS", 1801, "0"},
    {"SELECT a FROM S OUTPUT FIRST EVERY -1 EVENTS", 1801, "-"},
    {"SELECT a FROM S OUTPUT SNAPSHOT EVERY 5 EVENTS", 1801, "5"},
    {"INSERT EXPIRED EVENTS INTO O SELECT a FROM S OUTPUT SNAPSHOT EVERY 5 SEC", 1801, NULL},
    {"SELECT a FROM S MATCH_RECOGNIZE (PATTERN (^ A))", 1902, "^"},
    {"SELECT a FROM S MATCH_RECOGNIZE (ALL ROWS PER MATCH WITH UNMATCHED ROWS)", 1902, "WITH"},
    {"SELECT a FROM S MATCH_RECOGNIZE (ALL ROWS PER MATCH SHOW EMPTY MATCHES)", 1902, "SHOW"},
};

static void parse__wrong_programs_have_their_code_and_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct parsed p;
        const char *text = wrong[i].text, *under = wrong[i].under;
        parse(&p, text, PARSE_PROGRAM);
        if (p.diags.n_errors != 1 || p.diags.errors->code != wrong[i].code ||
            (under != NULL && (p.diags.errors->at.len != strlen(under) ||
                               memcmp(text + p.diags.errors->at.off, under, strlen(under)) != 0))) {
            print_error("%s\nwants %u, has %u errors:\n%s", text, wrong[i].code, p.diags.n_errors,
                        p.diags.n_errors == 0 ? "" : efx_diag_text(&p.diags, p.diags.errors));
            fail();
        }
        parse_end(&p);
    }
}

static const struct {
    const char *text, *hint;
} refused[] = {
    {"SELECT a FROM S UNION SELECT a FROM T", "several INSERT INTO the same stream"},
    {"SELECT a FROM S WHERE b INTERSECT SELECT a FROM T", "several INSERT INTO"},
    {"SELECT a FROM S x EXCEPT SELECT a FROM T", "several INSERT INTO"},
    {"SELECT a FROM (SELECT a FROM S) AS x", "an intermediate stream"},
    {"WITH x AS (SELECT a FROM S) SELECT a FROM x", "an intermediate stream"},
    {"INSERT INTO S VALUES (1)", "datagen"},
    {"UPSERT INTO S VALUES (1)", "datagen"},
    {"MERGE INTO T USING S ON a WHEN MATCHED THEN DELETE", "UPSERT"},
    {"SELECT DISTINCT a FROM S", "firstUnique"},
    {"SELECT a FROM S GROUP BY ROLLUP (a)", NULL},
    {"SELECT a FROM S GROUP BY a, CUBE (a)", NULL},
    {"SELECT a FROM S GROUP BY GROUPING SETS ((a))", NULL},
    {"SELECT a FROM S QUALIFY a > 1", NULL},
    {"SELECT TOP 5 a FROM S", "LIMIT"},
    {"SELECT a FROM S FETCH FIRST 5 ROWS ONLY", "LIMIT"},
    {"SELECT a FROM S LIMIT 5, 10", "LIMIT a OFFSET b"},
    {"SELECT a FROM S FOR UPDATE", NULL},
    {"SELECT a FROM S TABLESAMPLE BERNOULLI (10)", NULL},
    {"SELECT a FROM S PIVOT (sum(a) FOR b IN (1))", NULL},
    {"CREATE VIEW v AS SELECT a FROM S", NULL},
    {"CREATE OR REPLACE STREAM S (a INT)", NULL},
    {"CREATE TEMPORARY TABLE S (a INT)", NULL},
    {"CREATE STREAM IF NOT EXISTS S (a INT)", NULL},
    {"DROP TABLE T", NULL},
    {"ALTER TABLE T ADD c INT", NULL},
    {"TRUNCATE TABLE T", NULL},
    {"GRANT ALL ON T TO u", NULL},
    {"@app:name('x') CREATE STREAM S (a INT)", "WITH properties"},
    {"SELECT a FROM S#window.length(5)", "WINDOW('"},
    {"CREATE FUNCTION f[javascript] return int { return 1 }", "extensions"},
    {"CREATE FUNCTION f(a INT) RETURNS INT LANGUAGE js AS 'x'", "extensions"},
    {"CREATE STREAM S (a JSON)", NULL},
    {"CREATE STREAM S (a ARRAY<INT>)", NULL},
    {"CREATE STREAM S (a INT[])", NULL},
};

static void parse__forms_outside_the_language_say_what_to_write_instead(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct parsed p;
        parse(&p, refused[i].text, PARSE_PROGRAM);
        if (p.diags.n_errors != 1 || p.diags.errors->code != 1901 ||
            (refused[i].hint != NULL && strstr(p.diags.errors->hint, refused[i].hint) == NULL)) {
            print_error("%s\n%s", refused[i].text,
                        p.diags.n_errors == 0 ? "" : efx_diag_text(&p.diags, p.diags.errors));
            fail();
        }
        parse_end(&p);
    }
}

static void parse__words_of_refused_forms_are_good_names(void **state)
{
    (void)state;
    static const char *const programs[] = {
        "SELECT qualify, top, fetch, pivot, over, collate FROM S",
        "SELECT a over FROM S qualify WHERE qualify.a > 1",
        "SELECT a collate, b at, c similar FROM S fetch",
        "SELECT rollup, cube, grouping FROM S GROUP BY rollup, cube, grouping",
        "SELECT pattern.a FROM pattern JOIN sequence ON pattern.a = sequence.b",
        "CREATE STREAM select (from INT, where STRING, end LONG, case DOUBLE)",
        "SELECT s.from, s.where, s.end AS as FROM \"select\" AS s",
        "SELECT timestamp, value, first, last, count, key, index, type, user FROM S",
        "SELECT a FROM S ORDER BY desc DESC, asc, nulls NULLS LAST",
        "SELECT e.v FROM PATTERN (or=A -> and=B AND not_=C)",
    };
    for (size_t i = 0; i < sizeof programs / sizeof programs[0]; i++) {
        struct parsed p;
        (void)parse_one(&p, programs[i]);
        parse_end(&p);
    }
}

static void parse__several_errors_are_found_in_one_pass(void **state)
{
    (void)state;
    struct parsed p;
    parse(&p,
          "CREATE STREAM A (a INT;\n"
          "SELECT sum(a FROM A INSERT INTO B;\n"
          "PARTITION WITH (a OF) BEGIN\n"
          "  INSERT INTO C SELECT CASE WHEN a THEN b END AS end FROM A WHERE;\n"
          "  INSERT INTO D SELECT a b c FROM A\n"
          "END;\n"
          "INSERT INTO E SELECT a FROM A WINDOW TIME(1 MONTH);\n"
          "CREATE STREAM F (a INT)\n"
          "CREATE STREAM G (a INT) INSERT INTO H SELECT a FROM G;\n"
          "SELECT a FROM F",
          PARSE_PROGRAM);
    static const struct {
        uint16_t code;
        uint32_t line;
    } want[] = {{1001, 1}, {1001, 2}, {1001, 3}, {1001, 4},
                {1001, 5}, {1006, 7}, {1001, 9}, {1001, 9}};
    const struct efx_diag *d = p.diags.errors;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++, d = d->next) {
        uint32_t line, column;
        assert_non_null(d);
        efx_diag_place(&p.diags, d->at.off, &line, &column);
        assert_int_equal(d->code, want[i].code);
        assert_int_equal(line, want[i].line);
    }
    assert_null(d);
    /* What could be read is there: E, F, G, H and the last query. */
    uint32_t n = 0;
    for (const struct efx_ast_stmt *s = p.ast->first; s != NULL; s = s->next) {
        n++;
    }
    assert_int_equal(n, 5);
    static const char *const lost[] = {"A", "B", "C", "D"};
    for (size_t i = 0; i < 4; i++) {
        bool found = false;
        for (uint32_t k = 0; k < p.ast->lost.n; k++) {
            found = found || strcmp(p.ast->lost.v[k].s, lost[i]) == 0;
        }
        assert_true(found);
    }
    parse_end(&p);
}

static void parse__the_size_of_a_program_is_limited(void **state)
{
    (void)state;
    enum { MAX = 1024 * 1024 };
    static char text[MAX + 2];
    memset(text, ' ', sizeof text - 1);
    memcpy(text, "SELECT a FROM S", 15);
    struct parsed p;
    parse_bytes(&p, text, MAX, PARSE_PROGRAM);
    assert_int_equal(p.diags.n_errors, 0);
    parse_end(&p);
    parse_bytes(&p, text, MAX + 1, PARSE_PROGRAM);
    assert_int_equal(p.diags.errors->code, 1010);
    assert_int_equal(p.diags.n_errors, 1);
    parse_end(&p);
}

static void parse__patterns_and_blocks_nest_to_the_limit(void **state)
{
    (void)state;
    static const struct {
        const char *begin, *open, *middle, *close, *end;
    } forms[] = {
        {"SELECT a FROM PATTERN (", "(", "A", ")", ")"},
        {"", "PARTITION BY a OF S BEGIN ", "SELECT a FROM S", " END", ""},
    };
    for (size_t i = 0; i < 2; i++) {
        for (int levels = 200; levels <= 201; levels++) {
            static char text[16 * 1024];
            strcpy(text, forms[i].begin);
            for (int k = 0; k < levels; k++) {
                strcat(text, forms[i].open);
            }
            strcat(text, forms[i].middle);
            for (int k = 0; k < levels; k++) {
                strcat(text, forms[i].close);
            }
            strcat(text, forms[i].end);
            struct parsed p;
            parse(&p, text, PARSE_PROGRAM);
            assert_int_equal(p.diags.n_errors > 0, levels == 201);
            assert_true(levels == 200 || p.diags.errors->code == 1007);
            parse_end(&p);
        }
    }
}

/* ---- memory ---- */

struct failing { /* says no at request number `fail_at` */
    struct efx_mem base;
    uint32_t n, fail_at;
};

static void *failing_alloc(struct efx_mem *self, size_t bytes)
{
    struct failing *f = (struct failing *)self;
    return f->n++ == f->fail_at ? NULL : efx_mem_libc.alloc(&efx_mem_libc, bytes);
}

static void failing_free(struct efx_mem *self, void *p, size_t bytes)
{
    (void)self;
    efx_mem_libc.free(&efx_mem_libc, p, bytes);
}

static void parse__memory_that_runs_out_is_reported(void **state)
{
    (void)state;
    static char text[256 * 1024];
    size_t n = 0;
    while (n < sizeof text - 1024) {
        n += (size_t)snprintf(
            text + n, sizeof text - n,
            "CREATE TABLE T (a INT, \"b\" STRING, PRIMARY KEY (a)) WITH (x = 'y');"
            "INSERT INTO #O SELECT a + 1 AS b, f(a, 'it''s') FROM S WINDOW length(5) JOIN B ON a "
            "IN "
            "(1, 2) WHERE a OR b GROUP BY a ORDER BY a;"
            "SELECT * FROM PATTERN (EVERY e1=A[v > 1]{2} -> (B AND C));"
            "PARTITION WITH (a OF S) BEGIN SELECT CASE WHEN a THEN b END FROM S; END;");
    }
    for (uint32_t k = 0;; k++) {
        struct failing f = {{failing_alloc, failing_free}, 0, k};
        struct efx_arena arena;
        struct efx_diags diags;
        struct efx_ast *ast = NULL;
        efx_arena_init(&arena, &f.base, (size_t)1 << 30);
        efx_diags_init(&diags, &arena, (struct efx_str){text, (uint32_t)n}, "t.sql");
        enum efx_rc rc = efx_parse_program(&arena, &diags, &ast);
        assert_int_equal(rc, f.n > k ? EFX_ENOMEM : EFX_OK);
        assert_int_equal(ast != NULL, rc == EFX_OK);
        efx_arena_fini(&arena);
        if (rc == EFX_OK) {
            assert_true(k > 8);
            break;
        }
    }
}

static void parse__a_tight_arena_never_crashes(void **state)
{
    (void)state;
    static const char text[] =
        "CREATE TABLE T (a INT, b DOUBLE PRECISION, INDEX i (a)) WITH (x = -5);"
        "INSERT INTO O (a) SELECT POSITION('x' IN a), trim(both from b), -(-a)::INT, a NOT LIKE "
        "'x' "
        "ESCAPE 'y', ns:f(1) FROM S WINDOW('time', 5 SEC) LEFT JOIN #B ON a BETWEEN 1 AND 2 OR c "
        "OR d;"
        "UPDATE T SET a = 1 FROM U WHERE b; UPSERT INTO T SELECT a FROM U ON b;"
        "SELECT a FROM SEQUENCE (EVERY A{2,}, NOT B FOR 5 SEC OR C) WITHIN 5 EVENTS PARTITION BY k;"
        "PARTITION WITH (v < 3 AS 'l' OR v > 2 AS 'h' OF S, (a, b) OF T) BEGIN SELECT x FROM S END;"
        "SELEC oops; SELECT a b c FROM S; SELECT case FROM S";
    struct efx_mem small = efx_mem_libc;
    for (size_t limit = 0; limit < 80 * 1024; limit += 1024) {
        struct efx_arena arena;
        struct efx_diags diags;
        struct efx_ast *ast = NULL;
        efx_arena_init(&arena, &small, limit);
        arena.chunk_bytes = 512; /* fine steps: the next ones double */
        efx_diags_init(&diags, &arena, efx_str_of(text), "t.sql");
        enum efx_rc rc = efx_parse_program(&arena, &diags, &ast);
        assert_true(rc == EFX_OK || rc == EFX_ENOMEM);
        assert_true(rc != EFX_OK || diags.n_errors == 3);
        efx_arena_fini(&arena);
    }
}

/* ---- the reference's own examples ---- */

static const char *const examples[] = {
    "CREATE STREAM Ticks (sym STRING NOT NULL, px DOUBLE, ts TIMESTAMP) "
    "WITH ('event.time' = 'ts');"
    "DEFINE TABLE Accounts (id LONG PRIMARY KEY, owner STRING, INDEX (owner));"
    "CREATE WINDOW Recent (sym STRING, px DOUBLE) WINDOW('time', 1 MIN) OUTPUT ALL EVENTS;"
    "CREATE TRIGGER Beat AT EVERY 5 SECONDS; -- §15\n"
    "CREATE AGGREGATION Vol AS SELECT sym, sum(px) AS t FROM Ticks GROUP BY sym "
    "AGGREGATE EVERY SECONDS ... DAYS;  -- §13\n"
    "CREATE FUNCTION f(x DOUBLE) RETURNS DOUBLE AS x * 1.8 + 32;",
    "INSERT INTO Out SELECT sym, px FROM Ticks WINDOW('length', 5) WHERE px > 10;"
    "SELECT sym, px FROM Ticks WHERE px > 10 WINDOW LENGTH(5) INSERT INTO Out;"
    "FROM Ticks WINDOW LENGTH(5) WHERE px > 10 SELECT sym, px INSERT INTO Out;",
    "SELECT e1.px AS p1, e2.px AS p2 FROM PATTERN (EVERY e1=Ticks[px > 10] -> "
    "e2=Ticks[sym = e1.sym AND px > e1.px * 1.1]) WITHIN 5 MIN INSERT INTO Jumps;",
    "SELECT * FROM Ticks MATCH_RECOGNIZE ( PARTITION BY sym ORDER BY ts MEASURES FIRST(A.px) AS "
    "top, LAST(D.px) AS low, LAST(U.px) AS back, MATCH_NUMBER() AS n ONE ROW PER MATCH AFTER "
    "MATCH SKIP PAST LAST ROW PATTERN (A D+ U) WITHIN 1 HOUR SUBSET X = (D, U) DEFINE D AS px < "
    "PREV(px), U AS px > PREV(px) ) INSERT INTO Vees;",
    "PARTITION WITH (sym OF Ticks, s OF Orders) WITH ('purge.idle' = '1 hour', 'purge.interval' "
    "= '1 min') BEGIN INSERT INTO #Avg SELECT sym, avg(px) AS a FROM Ticks WINDOW('length', 10);"
    "INSERT INTO Alerts SELECT sym, a FROM #Avg WHERE a > 100; END;",
    "CREATE AGGREGATION Vol WITH ('retention.seconds' = '1 hour') AS SELECT sym, sum(qty) AS "
    "total, avg(px) AS ap, px AS lastpx FROM Ticks WHERE qty > 0 GROUP BY sym AGGREGATE BY ts "
    "EVERY SECONDS ... YEARS; define aggregation AggName from InputStream select sum(value) as "
    "total group by category aggregate every seconds, minutes;",
    "SELECT 7 AS a, 3000000000 AS b, 1e5 AS c, -2147483648 AS d FROM S",
    "SELECT CASE WHEN v > 9 THEN 'hi' ELSE 'lo' END AS c, count(*) AS n FROM S GROUP BY c "
    "HAVING n > 1",
    "SELECT a, sum(v) AS s FROM S WINDOW('lengthBatch', 5) GROUP BY a ORDER BY s DESC LIMIT 2",
    "FROM L AS l UNIDIRECTIONAL JOIN R AS r WINDOW('length', 2) ON l.id = r.id SELECT *",
    "SELECT * FROM A JOIN B ON A.k = B.k WITHIN 5 SECONDS",
    "SELECT s.pid, s.score FROM Ask JOIN Scores AS s ORDER BY s.score DESC LIMIT 2",
    "SELECT a FROM Q JOIN A AS a ON Q.g = a.g WITHIN Q.from, Q.to PER Q.grain",
    "SELECT * FROM SEQUENCE (EVERY e1=A, e2=A[e2[last].v IS NULL OR v >= e2[last].v]+, "
    "e3=A[v < e2[last].v])",
    "PARTITION WITH (v < 10 AS 'low' OR v >= 5 AS 'high' OF S) BEGIN SELECT v FROM S END",
    "UPDATE T SET a = b, b = a FROM U WHERE T.k = U.k; DELETE FROM T USING D WHERE T.k = D.k;"
    "UPSERT INTO T SELECT k, v FROM S ON T.k = S.k;"
    "UPSERT INTO Counts SELECT k, count(*) AS n FROM S GROUP BY k",
    "CREATE STREAM S (k STRING, l LONG) WITH ('on.error' = 'stream'); INSERT INTO O (n) SELECT l "
    "AS n FROM S; INSERT INTO Bad SELECT k, _error FROM !S;",
    "SELECT count(*) FILTER (WHERE v > 9) AS hi, count(DISTINCT a) AS d FROM S",
    "SELECT a FROM S WINDOW('tumbling', 1 MIN, 0) GROUP BY k OUTPUT FIRST EVERY 200 ms",
    "SELECT a FROM S WINDOW EXPRESSIONBATCH('count() <= 2', TRUE)",
    "SELECT a FROM Q WHERE (T.k = a AND T.v > v) IN T",
};

static void parse__the_examples_of_the_reference_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        struct parsed p;
        (void)parse_one(&p, examples[i]);
        assert_int_equal(p.diags.n_warnings, 0);
        parse_end(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parse__wrong_programs_have_their_code_and_place),
        cmocka_unit_test(parse__forms_outside_the_language_say_what_to_write_instead),
        cmocka_unit_test(parse__words_of_refused_forms_are_good_names),
        cmocka_unit_test(parse__several_errors_are_found_in_one_pass),
        cmocka_unit_test(parse__the_size_of_a_program_is_limited),
        cmocka_unit_test(parse__patterns_and_blocks_nest_to_the_limit),
        cmocka_unit_test(parse__memory_that_runs_out_is_reported),
        cmocka_unit_test(parse__a_tight_arena_never_crashes),
        cmocka_unit_test(parse__the_examples_of_the_reference_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
