/* Which code a wrong program gets: one line a program, the codes in order of place. */
#include "efx_test.h"

#include "bind_fakes.h"

#include <stdio.h>

#define S    "CREATE STREAM S (a STRING, v INT);\n"
#define LR   "CREATE STREAM L (id STRING, p INT); CREATE STREAM R (id STRING, q INT);\n"
#define ABC  "CREATE STREAM A (v INT); CREATE STREAM B (v INT); CREATE STREAM C (v INT);\n"
#define U    "CREATE STREAM U (k STRING, v INT);\n"
#define T    "CREATE TABLE Tb (k STRING PRIMARY KEY, v INT);\n"
#define OUT  "INSERT INTO Out SELECT "
#define BODY "BEGIN INSERT INTO O SELECT a FROM S; END"
#define AGGR                                                                                       \
    "CREATE AGGREGATION Ag AS SELECT a, sum(v) AS t FROM S GROUP BY a AGGREGATE EVERY SECONDS;"
#define FILE_ "type = 'source', extension = 'file', "

struct wrong {
    const char *codes;
    const char *program;
};

static const struct wrong wrongs[] = {
    /* declarations */
    {"1101", S "CREATE STREAM S (a INT);"},
    {"1101", S "CREATE TRIGGER S AT START;"},
    {"1102", "CREATE STREAM S (a INT, a INT);"},
    {"1103", "CREATE STREAM S (a STRNG);"},
    {"1103", "CREATE STREAM S (a INT(4));"},
    {"1110", "CREATE TABLE T (a LONG PRIMARY KEY, b INT PRIMARY KEY);"},
    {"1203", "CREATE TABLE T (a LONG, PRIMARY KEY (z));"},
    {"1112", S OUT "a FROM S; CREATE TABLE Out (a STRING);"},
    {"1201", OUT "a FROM S; CREATE STREAM S (a STRING, v INT);"},
    /* properties */
    {"1104", "CREATE STREAM S (a INT) WITH ('late.polic' = 'keep');"},
    {"1105", "CREATE STREAM S (a INT) WITH ('late.policy' = 'foo');"},
    {"1105", "CREATE STREAM S (a LONG) WITH ('event.time' = 'b');"},
    {"1105", "CREATE STREAM S (a LONG) WITH ('watermark.delay' = 'soon');"},
    {"1106", "CREATE STREAM S (a INT) WITH ('error.strategy' = 'dlq');"},
    {"1106", "CREATE STREAM S (a INT) WITH ('late.policy' = 'dlq');"},
    {"1106", "CREATE STREAM S (a INT) WITH (" FILE_ "format = 'json');"},
    {"1106", "CREATE STREAM S (a INT) WITH (" FILE_ "'file.path' = 'x');"},
    {"1105", "CREATE STREAM S (a INT) WITH (" FILE_ "'file.path' = 'x', format = 'json', "
             "'file.start.position' = 'middle');"},
    {"1107", "CREATE STREAM S (a INT) WITH (format = 'json');"},
    {"1107", "CREATE STREAM S (a INT) WITH ('on.error' = 'log', 'fault.stream' = 'true');"},
    {"1107", "CREATE STREAM S (a INT) WITH (type = 'source', extension = 'datagen', "
             "format = 'json');"},
    {"1108", "CREATE STREAM S (a INT) WITH (" FILE_ "'file.path' = 'x', format = 'xml');"},
    {"1108", "CREATE TABLE T (a LONG) WITH (extension = 'foo');"},
    {"1109", "CREATE STREAM S (a INT) WITH ('late.policy' = '${EFX_NO_SUCH}');"},
    {"1201", "CREATE STREAM S (a INT) WITH ('error.strategy' = 'dlq', 'error.dlq.stream' = 'D');"},
    /* names */
    {"1202", LR OUT "id FROM L AS l WINDOW LENGTH(2) JOIN R AS r WINDOW LENGTH(2) ON l.id = r.id"},
    {"1203", S OUT "price FROM S"},
    {"1203 1203", S OUT "x, y FROM S"},
    {"1203", S OUT "b FROM S; INSERT INTO Q SELECT x, y FROM Out"}, /* Out is not known: silent */
    {"1204", S OUT "S.a FROM S AS t"},
    {"1205", S OUT "v, v FROM S"},
    {"1205", S OUT "*, a FROM S"},
    {"1206", S OUT "uper(a) AS b FROM S"},
    {"1206", S OUT "foo:bar(v) AS w FROM S"},
    {"1702", S OUT "a FROM S WHERE a IN S"},
    /* types */
    {"1301", S OUT "a + 1 AS x FROM S"},
    {"1301", S OUT "a FROM S WHERE a IN (1, 2)"},
    {"1301", S OUT "a FROM S WHERE a LIKE v"},
    {"1302", S OUT "a FROM S WHERE v"},
    {"1302", S OUT "a FROM S HAVING v"},
    {"1303", S OUT "NULL AS x FROM S"},
    {"1303", S OUT "CASE WHEN v > 1 THEN 1 ELSE 'x' END AS x FROM S"},
    {"1304", S OUT "CAST(TRUE AS DOUBLE) AS x FROM S"},
    {"1305", S OUT "a FROM S WHERE a LIKE 'x' ESCAPE 'ab'"},
    {"1305", S OUT "a FROM S WHERE a REGEXP '('"},
    {"1305", S OUT "upper(v) AS u FROM S"},
    {"1305", S OUT "sum(a) AS u FROM S"},
    {"1306", S OUT "abs(v, 1) AS u FROM S"},
    {"1306", S OUT "sum(v, 1) AS u FROM S"},
    {"1307", S OUT "a FROM S WHERE sum(v) > 1"},
    {"1307", S OUT "a, sum(v) AS s FROM S GROUP BY 2"},
    {"1307", S OUT "min(DISTINCT v) AS u FROM S"},
    {"1307", S OUT "window_start() AS w FROM S WINDOW LENGTH(2)"},
    {"1308", S OUT "sum(max(v)) AS x FROM S"},
    {"1309", S OUT "a FROM S WINDOW LENGTH(v)"},
    {"1310", S "CREATE STREAM Out (n BOOL);" OUT "v FROM S"},
    {"1311", S "CREATE STREAM Out (a STRING, b STRING);" OUT "a FROM S"},
    {"1311", S "INSERT INTO D (x) SELECT a, v FROM S"},
    /* windows */
    {"1401", S OUT "a FROM S WINDOW('lenght', 5)"},
    {"1402", S OUT "a FROM S WINDOW LENGTH()"},
    {"1402", S OUT "a FROM S WINDOW('timeBatch', 100 ms, 0, TRUE)"},
    {"1403", S OUT "a FROM S WINDOW LENGTH(0)"},
    {"1403", S OUT "a FROM S WINDOW LENGTH('x')"},
    {"1403", S OUT "a FROM S WINDOW TIME(-5)"},
    {"1403", S OUT "a FROM S WINDOW SESSION(100, a, 50, 3)"},
    {"1403", S OUT "a FROM S WINDOW('externalTime', a, 100 ms)"},
    {"1404", S T OUT "S.a FROM S JOIN Tb AS t WINDOW LENGTH(3) ON S.a = t.k"},
    {"1405", S OUT "a FROM S WINDOW('sliding', 1 SEC, 2 SEC)"},
    {"1406", S OUT "a FROM S WINDOW('expression', 'sum(w) < 10')"},
    /* joins */
    {"1501", T OUT "t1.k FROM Tb AS t1 JOIN Tb AS t2"},
    {"1502", LR OUT "p FROM L WINDOW LENGTH(2) JOIN L WINDOW LENGTH(2)"},
    {"1209", LR OUT "p FROM L AS x JOIN R AS x ON p = 1"},
    {"1302", LR OUT "p FROM L JOIN R ON p"},
    {"1505", LR OUT "p FROM L UNIDIRECTIONAL JOIN R UNIDIRECTIONAL ON L.id = R.id"},
    {"1505", LR T OUT "p FROM L JOIN Tb UNIDIRECTIONAL ON id = k"},
    {"1506", LR OUT "p FROM L WINDOW LENGTH(2) JOIN R WINDOW LENGTH(2) USING (p)"},
    {"1205", LR OUT "* FROM L WINDOW LENGTH(2) JOIN R WINDOW LENGTH(2) ON L.id = R.id"},
    /* patterns */
    {"1601", ABC T OUT "e1.v AS a FROM PATTERN (EVERY e1=A -> e2=Tb)"},
    {"1602", ABC OUT "e2.v AS b FROM PATTERN (EVERY e1=A{0} -> e2=B)"},
    {"1602", ABC OUT "e2.v AS b FROM PATTERN (EVERY e1=A{3,2} -> e2=B)"},
    {"1602", ABC OUT "e1.v AS b FROM PATTERN (e1=A*)"},
    {"1602", ABC OUT "e1.v AS b FROM PATTERN (e1=A? AND e2=B)"},
    {"1603", ABC OUT "e1.v AS b FROM PATTERN (EVERY e1=A[v > e2.v] -> e2=B)"},
    {"1604", ABC OUT "e1.v AS b FROM PATTERN (EVERY e1=A -> NOT B)"},
    {"1604", ABC OUT "e1.v AS b FROM PATTERN (EVERY e1=A -> NOT B OR e2=C)"},
    {"1605", ABC OUT "e1.v AS b FROM PATTERN (EVERY e1=A, e2=B)"},
    {"1607", ABC OUT "e1.v AS b FROM PATTERN (e1=A -> e2=B WITHIN 5 ms) WITHIN 6 ms"},
    {"1608", ABC OUT "e1.v AS b FROM PATTERN (e1=A AND EVERY e2=B)"},
    {"1608", ABC OUT "e1.v AS b FROM PATTERN (e1=A -> NOT B -> EVERY e2=C)"},
    {"1608", ABC OUT "e1.v AS b FROM SEQUENCE (e1=A, EVERY e2=B)"},
    {"1609", ABC OUT "e1.v AS b FROM PATTERN (EVERY e1=A -> e1=B)"},
    {"1609", ABC OUT "e1.v AS b FROM PATTERN (e1=A -> NOT e2=B -> e3=C)"},
    {"1610", ABC OUT "e1.v AS b FROM PATTERN (EVERY e1=A) PARTITION BY k"},
    {"1202", ABC OUT "v FROM PATTERN (EVERY e1=A -> e2=B)"},
    {"1202", ABC OUT "B.v AS b FROM PATTERN (EVERY A -> B -> B)"},
    {"1204", ABC OUT "e3.v AS b FROM PATTERN (EVERY e1=A -> e2=B)"},
    /* tables, partitions */
    {"1202", U T "UPDATE Tb SET v = 1 FROM U WHERE k = 'x'"},
    {"1310", U T "UPDATE Tb SET v = 'x' FROM U WHERE Tb.k = U.k"},
    {"1701", U T "DELETE FROM Tb WHERE k = 'x'"},
    {"1702", U T "DELETE FROM U USING Tb WHERE U.k = Tb.k"},
    {"1702", U "UPSERT INTO U SELECT k, v FROM U"},
    {"1703", U T "UPDATE Tb SET v = 1, v = 2 FROM U WHERE Tb.k = U.k"},
    {"1704", U T "UPSERT INTO Tb (v) SELECT v FROM U"},
    {"1705", T OUT "k FROM Tb"},
    {"1203", S "PARTITION WITH (b OF S) " BODY},
    {"1707", S U "PARTITION WITH (a OF S, v OF U) " BODY},
    {"1706", S "PARTITION WITH (a OF S) BEGIN CREATE STREAM M (a INT); END"},
    {"1207", S T "PARTITION WITH (k OF Tb) " BODY},
    {"1104", S "PARTITION WITH (a OF S) WITH ('purge.idl' = '1 sec') " BODY},
    {"1709", S OUT "a FROM #x"},
    {"1709",
     S "PARTITION WITH (a OF S) BEGIN INSERT INTO #I SELECT a FROM S; END; " OUT "a FROM #I"},
    /* output */
    {"1801", S OUT "a FROM S OUTPUT EVERY 0 EVENTS"},
    {"1801", S "INSERT ALL EVENTS INTO O SELECT a FROM S OUTPUT SNAPSHOT EVERY 1 SEC"},
    {"1802", S OUT "a FROM S LIMIT v"},
    {"1802", S OUT "a FROM S LIMIT -1"},
    {"1803", S "INSERT INTO !S SELECT a FROM S"},
    {"1803", S "CREATE TRIGGER Tr AT START; INSERT INTO Tr SELECT v FROM S"},
    /* not built: after everything that is wrong by the reference */
    {"9001", S OUT "a FROM S WINDOW UNIQUE(a)"},
    {"9001", S OUT "median(v) AS m, trim(a) AS t FROM S -- two, at two places"},
    {"1203", S OUT "median(v) AS m, z FROM S"},
    {"9001", S "CREATE WINDOW W (a STRING) LENGTH(3); " OUT "a FROM W"},
    {"1803", S AGGR "INSERT INTO Ag SELECT a FROM S"},
    {"1207", S AGGR "INSERT INTO X SELECT a FROM Ag"},
    {"1307", S "CREATE FUNCTION f(x INT) RETURNS INT AS a; " OUT "f(v) AS z FROM S"},
    {"9001", ABC OUT "e1.v AS b FROM SEQUENCE (EVERY e1=A, e2=B)"},
    {"9001", "CREATE STREAM S (a INT) WITH (type = 'source', extension = 'timer');"},
};

static const char *codes_of(struct efx_arena *a, const char *program)
{
    struct efx_diags d;
    struct efx_ast *ast;
    struct efx_program *bound = NULL;
    efx_diags_init(&d, a, efx_str_of(program), "test");
    assert_int_equal(efx_parse_program(a, &d, &ast), EFX_OK);
    enum efx_rc rc = efx_bind_program(a, &fake_registry, ast, &d, NULL, &bound);
    assert_true(rc == (d.n_errors > 0 ? EFX_ETYPE : EFX_OK));
    const char *codes = "";
    for (const struct efx_diag *e = d.errors; e != NULL; e = e->next) {
        codes = efx_arena_printf(a, "%s%s%u", codes, codes[0] != '\0' ? " " : "", e->code);
    }
    return codes;
}

/* A line of one code says that the first is this one; of more, that these are all. */
static bool as_said(const char *said, const char *codes)
{
    return strchr(said, ' ') != NULL ? strcmp(said, codes) == 0 : strncmp(said, codes, 4) == 0;
}

static void each_wrong_program__gets_its_code(void **state)
{
    (void)state;
    uint32_t n_bad = 0;
    for (uint32_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        struct efx_arena a;
        efx_arena_init(&a, &efx_mem_libc, 1u << 24);
        const char *codes = codes_of(&a, wrongs[i].program);
        if (!as_said(wrongs[i].codes, codes)) {
            print_error("want %s, got '%s': %s\n", wrongs[i].codes, codes, wrongs[i].program);
            n_bad++;
        }
        efx_arena_fini(&a);
    }
    assert_int_equal(n_bad, 0);
}

static void a_lost_statement__makes_unknown_names_silent(void **state)
{
    (void)state;
    struct efx_arena a;
    efx_arena_init(&a, &efx_mem_libc, 1u << 24);
    assert_string_equal(codes_of(&a, "CREATE STREAM S (a STRING,, b INT); " OUT "a FROM S"),
                        "1001");
    efx_arena_fini(&a);
}

static void out_of_memory__is_an_answer(void **state)
{
    (void)state;
    struct efx_arena text;
    efx_arena_init(&text, &efx_mem_libc, 1u << 24);
    struct efx_diags d;
    struct efx_ast *ast;
    efx_diags_init(&d, &text, efx_str_of(S OUT "a, v + 1 AS w FROM S WINDOW LENGTH(3)"), "test");
    assert_int_equal(efx_parse_program(&text, &d, &ast), EFX_OK);
    enum efx_rc rc = EFX_ENOMEM;
    for (size_t limit = 0; rc != EFX_OK; limit += 512) {
        struct efx_arena plan;
        struct efx_program *p = NULL;
        efx_arena_init(&plan, &efx_mem_libc, limit);
        rc = efx_bind_program(&plan, &fake_registry, ast, &d, NULL, &p);
        assert_true(rc == EFX_OK || rc == EFX_ENOMEM);
        efx_arena_fini(&plan);
    }
    efx_arena_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_wrong_program__gets_its_code),
        cmocka_unit_test(a_lost_statement__makes_unknown_names_silent),
        cmocka_unit_test(out_of_memory__is_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
