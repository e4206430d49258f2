/* What the library tells of a program: schemas as JSON, the plan with its reasons. Facts are looked
 * for, not whole texts. */
#include "efx_test.h"

#include "efx/efx.h"

#include <string.h>

#define STREAMS                                                                                    \
    "CREATE STREAM S (k STRING, v INT); CREATE STREAM U (k STRING, d DOUBLE);"                     \
    "CREATE TABLE T (k STRING PRIMARY KEY, v LONG);"

static struct efx *open_on(const char *sql, uint32_t shards)
{
    struct efx *app;
    struct efx_options o = EFX_OPTIONS_INIT;
    o.clock = EFX_CLOCK_VIRTUAL;
    o.shards = shards;
    (void)efx_open(&app, sql, &o, NULL);
    return app;
}

static void says(const char *text, const char *fact)
{
    if (strstr(text, fact) == NULL) {
        print_error("not said: %s\n%s\n", fact, text);
        fail();
    }
}

static void says_not(const char *text, const char *fact)
{
    if (strstr(text, fact) != NULL) {
        print_error("said: %s\n%s\n", fact, text);
        fail();
    }
}

/* Braces and quotes pair up: a JSON text that nobody cut. */
static void is_whole(const char *json)
{
    int depth = 0;
    bool quoted = false;
    for (const char *p = json; *p != '\0'; p++) {
        if (quoted) {
            if (*p == '\\') {
                p++;
            } else {
                quoted = *p != '"';
            }
            continue;
        }
        quoted = *p == '"';
        depth += (*p == '{' || *p == '[') - (*p == '}' || *p == ']');
        assert_true(depth > 0 || p[1] == '\0');
    }
    assert_int_equal(depth, 0);
    assert_false(quoted);
}

/* ---- check ---- */

static void check__lists_schemas_and_queries(void **state)
{
    (void)state;
    struct efx *app = open_on(STREAMS "INSERT INTO Out SELECT k, v * 1.5 AS w FROM S;"
                                      "UPSERT INTO T SELECT k, v FROM S;",
                              1);
    assert_string_equal(
        efx_check_json(app),
        "{\"streams\":{\"S\":[{\"name\":\"k\",\"type\":\"STRING\"},{\"name\":\"v\",\"type\":"
        "\"INT\"}],\"U\":[{\"name\":\"k\",\"type\":\"STRING\"},{\"name\":\"d\",\"type\":"
        "\"DOUBLE\"}],\"Out\":[{\"name\":\"k\",\"type\":\"STRING\"},{\"name\":\"w\",\"type\":"
        "\"DOUBLE\"}]},\"tables\":{\"T\":[{\"name\":\"k\",\"type\":\"STRING\"},{\"name\":\"v\","
        "\"type\":\"LONG\"}]},\"queries\":[{\"name\":\"q1: INSERT INTO Out\",\"target\":\"Out\"},"
        "{\"name\":\"q2: UPSERT INTO T\",\"target\":\"T\"}],\"warnings\":[]}");
    efx_close(&app);
}

static void check__gives_warnings_with_their_place(void **state)
{
    (void)state;
    struct efx *app = open_on("CREATE STREAM S (k STRING);\n"
                              "INSERT INTO Out SELECT k, count(*) AS n FROM S GROUP BY k;",
                              1);
    const char *json = efx_check_json(app);
    is_whole(json);
    says(json, "\"warnings\":[{\"code\":\"EFX-2201\",\"line\":2,");
    efx_close(&app);
}

static void check__gives_errors_alone(void **state)
{
    (void)state;
    struct efx *app = open_on("CREATE STREAM S (k STRING);\n"
                              "INSERT INTO Out SELECT kk FROM S;\n"
                              "INSERT INTO Y SELECT k FROM \"a\"\"b\";",
                              1);
    const char *json = efx_check_json(app);
    is_whole(json);
    static const char head[] = "{\"errors\":[{\"code\":\"EFX-1203\",\"line\":2,\"column\":24,";
    assert_int_equal(strncmp(json, head, sizeof head - 1), 0);
    says(json, "EFX-1201");
    says(json, "a\\\"b");
    says_not(json, "streams");
    says(efx_explain(app, false, false), "EFX-1203");
    efx_close(&app);
}

static void check__leaves_inner_streams_inside(void **state)
{
    (void)state;
    struct efx *app = open_on(STREAMS "PARTITION WITH (k OF S) BEGIN INSERT INTO #I SELECT k, v "
                                      "FROM S; INSERT INTO Out SELECT k FROM #I; END;",
                              1);
    says_not(efx_check_json(app), "\"#I\":");
    says(efx_check_json(app), "\"Out\":");
    efx_close(&app);
}

/* ---- explain ---- */

static void explain__names_state_and_its_bound(void **state)
{
    (void)state;
    struct efx *app = open_on(
        STREAMS "INSERT INTO A SELECT k, sum(v) AS s FROM S WINDOW('length', 7) WHERE v > 1 GROUP "
                "BY k;"
                "INSERT INTO B SELECT k, v FROM S OUTPUT LAST EVERY 5 SEC;"
                "INSERT INTO C SELECT S.k, v, d FROM S WINDOW('time', 90 SEC) JOIN U ON S.k = U.k;"
                "INSERT INTO D SELECT a.v AS x, b.v AS y FROM PATTERN (EVERY (a=S -> b=S)) WITHIN "
                "2 MIN;"
                "INSERT INTO E SELECT k, count(*) AS n FROM S GROUP BY k;"
                "INSERT INTO F SELECT k, count(*) AS n FROM S WINDOW('tumbling', 1 MIN) GROUP BY "
                "k;",
        1);
    const char *text = efx_explain(app, false, false);
    says(text, "q1: INSERT INTO A");
    says(text, "v > 1");
    says(text, "WINDOW('length', 7) · GROUP BY k");
    says(text, "at most 7 rows");
    says(text, "one row");
    says(text, "left: time, the rows of 90 sec");
    says(text, "right: all events, for ever");
    says(text, "partial matches, at most 10000000, each for 2 min");
    says(text, "an entry for each group, kept for ever");
    says(text, "an entry for each group of the open batch");
    efx_close(&app);
}

static void explain__says_what_is_split_and_by_what(void **state)
{
    (void)state;
    static const char sql[] =
        STREAMS "INSERT INTO A SELECT k, sum(v) AS s FROM S WINDOW('tumbling', 1 MIN, 0) GROUP BY "
                "k;"
                "INSERT INTO B SELECT v % 3 AS m, count(*) AS n FROM S GROUP BY v % 3;"
                "INSERT INTO C SELECT S.k, v, d FROM S WINDOW('time', 1 SEC) JOIN U WINDOW('time', "
                "1 SEC) ON S.k = U.k;";
    for (uint32_t shards = 1; shards <= 2; shards++) {
        struct efx *app = open_on(sql, shards);
        const char *text = efx_explain(app, false, false);
        says(text, "split   by k");
        says(text, "split   by v % 3");
        says(text, "from outside S by k, U by k");
        says_not(text, "to split it");
        efx_close(&app);
    }
}

static void explain__says_why_something_is_placed_and_what_would_split_it(void **state)
{
    (void)state;
    struct efx *app = open_on(
        STREAMS "INSERT INTO A SELECT k, sum(v) AS s FROM S WINDOW('length', 100) GROUP BY k;"
                "INSERT INTO B SELECT sum(v) AS s FROM S;"
                "INSERT INTO C SELECT s + 1 AS t FROM B;"
                "INSERT INTO D SELECT S.k, v, d FROM S WINDOW('time', 1 SEC) JOIN U WINDOW('time', "
                "1 SEC) ON v > d;"
                "INSERT INTO E SELECT a.v AS x, b.v AS y FROM PATTERN (EVERY (a=S -> b=S)) WITHIN "
                "2 MIN;",
        1);
    const char *text = efx_explain(app, false, false);
    says(text, "placed  length window counts all keys; to split it: PARTITION WITH (k OF S)");
    says(text, "to split it: GROUP BY a key, or PARTITION WITH (key OF S)");
    says(text, "to split it: split what it follows");
    says(text, "to split it: an equality of both sides in ON");
    says(text, "to split it: PARTITION BY, or a PARTITION block");
    efx_close(&app);
}

static void explain__names_modes_and_merges(void **state)
{
    (void)state;
    struct efx *app = open_on(STREAMS "INSERT INTO M SELECT k, v FROM S;"
                                      "INSERT INTO Out SELECT k, v FROM M;"
                                      "INSERT INTO Out SELECT k, v FROM S;"
                                      "UPSERT INTO T SELECT k, v FROM S;"
                                      "INSERT INTO In SELECT k FROM S WHERE k IN T;",
                              1);
    const char *text = efx_explain(app, false, false);
    says(text, "stream Out merges by (moment, inlet): q2: INSERT INTO Out, q3: INSERT INTO Out");
    says(text, "whole batches, edges carry moments");
    says(text, "row by row: q5: INSERT INTO In reads a table inside an expression");
    says(text, "placed  its component runs row by row");
    efx_close(&app);
    app = open_on(STREAMS "INSERT INTO M SELECT k, v FROM S; INSERT INTO M SELECT k, v FROM M;", 1);
    says(efx_explain(app, false, false), "row by row: a loop of streams");
    efx_close(&app);
}

static void explain__has_the_same_facts_as_json(void **state)
{
    (void)state;
    struct efx *app = open_on(STREAMS "INSERT INTO M SELECT k || '\"' AS k, v FROM S;"
                                      "INSERT INTO Out SELECT k, v FROM M;"
                                      "INSERT INTO Out SELECT k, v FROM S;"
                                      "INSERT INTO A SELECT k, sum(v) AS s FROM S "
                                      "WINDOW('length', 100) GROUP BY k;",
                              1);
    const char *json = efx_explain(app, true, false);
    is_whole(json);
    says(json, "{\"statements\":[{\"name\":\"q1: INSERT INTO M\",\"text\":\"INSERT INTO M SELECT");
    says(json, "k || '\\\"' AS k");
    says(json, "\"keeps\":\"at most 100 rows, and an entry for each of their groups\"");
    says(json, "\"placed\":\"length window counts all keys\","
               "\"to_split\":\"PARTITION WITH (k OF S)\"");
    says(json, "\"split_by\":\"any row\"");
    says(json, "\"mode\":\"whole batches\",\"why\":null,\"moments\":true");
    says(json, "\"name\":\"Out\",\"by\":\"moment, inlet\",\"order\":[\"q2: INSERT INTO Out\","
               "\"q3: INSERT INTO Out\"]");
    says(json, "\"shared\":[{\"name\":\"T\"");
    says_not(json, "rows_in");
    efx_close(&app);
}

static void explain__draws_a_graph(void **state)
{
    (void)state;
    struct efx *app = open_on(STREAMS "INSERT INTO Out SELECT k AS \"a\"\"b\", v FROM S "
                                      "WHERE v > 1;",
                              1);
    const char *dot = efx_explain_dot(app, false);
    assert_int_equal(strncmp(dot, "digraph plan {", 14), 0);
    says(dot, "[label=\"filter\\nq1: INSERT INTO Out");
    says(dot, "[label=\"stream\\nS\", shape=ellipse]");
    says(dot, " -> n");
    assert_string_equal(dot + strlen(dot) - 2, "}\n");
    efx_close(&app);
}

static void analyze__counts_rows_and_bytes(void **state)
{
    (void)state;
    struct efx *app = open_on(STREAMS "INSERT INTO Out SELECT k, sum(v) AS s FROM S WHERE v > 2 "
                                      "GROUP BY k;",
                              1);
    assert_int_equal(efx_start(app, NULL), EFX_RC_OK);
    for (int i = 0; i < 10; i++) {
        efx_val row[] = {EFX_STR("x"), EFX_INT(i)};
        assert_int_equal(efx_send(app, "S", i, row, 2), EFX_RC_OK);
    }
    assert_int_equal(efx_flush(app), EFX_RC_OK);
    const char *text = efx_explain(app, false, true);
    says(text, "rows    10 in, 7 out, 0 failed");
    says(text, "rows    7 in, 7 out, 0 failed");
    says_not(text, "7 in, 7 out, 0 failed; 0 bytes"); /* the selector has a group */
    is_whole(efx_explain(app, true, true));
    says(efx_explain(app, true, true), "\"rows_in\":10,\"rows_out\":7,\"rows_failed\":0");
    says(efx_explain_dot(app, true), "\\n10 in, 7 out");
    efx_close(&app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check__lists_schemas_and_queries),
        cmocka_unit_test(check__gives_warnings_with_their_place),
        cmocka_unit_test(check__gives_errors_alone),
        cmocka_unit_test(check__leaves_inner_streams_inside),
        cmocka_unit_test(explain__names_state_and_its_bound),
        cmocka_unit_test(explain__says_what_is_split_and_by_what),
        cmocka_unit_test(explain__says_why_something_is_placed_and_what_would_split_it),
        cmocka_unit_test(explain__names_modes_and_merges),
        cmocka_unit_test(explain__has_the_same_facts_as_json),
        cmocka_unit_test(explain__draws_a_graph),
        cmocka_unit_test(analyze__counts_rows_and_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
