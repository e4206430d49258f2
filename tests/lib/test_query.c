/* On-demand statements through the public library: text in, rows or a number out (language §12). */
#include "efx_test.h"

#include "efx/efx.h"

#include <stdio.h>
#include <string.h>

static const char program[] = "CREATE STREAM S (k STRING, v INT);"
                              "CREATE TABLE T (k STRING, v INT);"
                              "CREATE TABLE P (k STRING PRIMARY KEY, v INT NOT NULL, d DOUBLE);"
                              "CREATE TABLE R (k STRING, x LONG);"
                              "CREATE STREAM ToT (k STRING, v INT);"
                              "CREATE STREAM ToR (k STRING, x LONG);"
                              "INSERT INTO Out SELECT k, v FROM S;"
                              "INSERT INTO T SELECT k, v FROM ToT;"
                              "INSERT INTO R SELECT k, x FROM ToR;";

struct session {
    struct efx *app;
    struct efx_error err;
    uint64_t changed;
    uint32_t n_rows;
    char rows[8192]; /* "(a,1) (b,NULL)" */
};

static void put_value(struct session *s, const efx_val *v)
{
    size_t n = strlen(s->rows);
    char *to = s->rows + n;
    size_t room = sizeof s->rows - n;
    if (v->null) {
        (void)snprintf(to, room, "NULL");
        return;
    }
    switch (v->type) {
    case EFX_VAL_INT: (void)snprintf(to, room, "%d", v->u.i); break;
    case EFX_VAL_LONG: (void)snprintf(to, room, "%lld", (long long)v->u.l); break;
    case EFX_VAL_FLOAT: (void)snprintf(to, room, "%g", (double)v->u.f); break;
    case EFX_VAL_DOUBLE: (void)snprintf(to, room, "%g", v->u.d); break;
    case EFX_VAL_BOOL: (void)snprintf(to, room, "%s", v->u.b ? "true" : "false"); break;
    case EFX_VAL_STRING:
    case EFX_VAL_BYTES:
    case EFX_VAL_OBJECT: (void)snprintf(to, room, "%.*s", (int)v->u.s.n, v->u.s.p); break;
    }
}

static void take(void *arg, const struct efx_row *row)
{
    struct session *s = arg;
    s->n_rows++;
    if (strlen(s->rows) > sizeof s->rows - 512) {
        return;
    }
    strcat(s->rows, s->rows[0] == '\0' ? "(" : " (");
    for (uint32_t c = 0; c < row->stream->n_columns; c++) {
        strcat(s->rows, c > 0 ? "," : "");
        put_value(s, &row->values[c]);
    }
    strcat(s->rows, ")");
}

static enum efx_code ask(struct session *s, const char *sql)
{
    s->rows[0] = '\0';
    s->n_rows = 0;
    s->changed = 0;
    memset(&s->err, 0, sizeof s->err);
    return efx_query(s->app, sql, take, s, &s->changed, &s->err);
}

static void expect(struct session *s, const char *sql, const char *rows)
{
    enum efx_code code = ask(s, sql);
    if (code != EFX_RC_OK) {
        print_error("%s: EFX-%u %s\n", sql, s->err.efx, s->err.msg);
    }
    assert_int_equal(code, EFX_RC_OK);
    if (strcmp(s->rows, rows) != 0) {
        print_error("%s\n", sql);
    }
    assert_string_equal(s->rows, rows);
}

static void change(struct session *s, const char *sql, uint64_t n)
{
    enum efx_code code = ask(s, sql);
    if (code != EFX_RC_OK || s->changed != n) {
        print_error("%s: EFX-%u %s, changed %llu\n", sql, s->err.efx, s->err.msg,
                    (unsigned long long)s->changed);
    }
    assert_int_equal(code, EFX_RC_OK);
    assert_int_equal(s->changed, n);
}

static void refused(struct session *s, const char *sql, enum efx_code code, uint16_t efx)
{
    enum efx_code got = ask(s, sql);
    if (got != code || s->err.efx != efx) {
        print_error("%s: code %d, EFX-%u %s\n", sql, got, s->err.efx, s->err.msg);
    }
    assert_int_equal(got, code);
    assert_int_equal(s->err.efx, efx);
    assert_true(s->err.msg[0] != '\0');
    assert_int_equal(s->n_rows, 0);
}

static struct session *start_on(uint32_t shards)
{
    static struct session s;
    memset(&s, 0, sizeof s);
    struct efx_options o = EFX_OPTIONS_INIT;
    o.clock = EFX_CLOCK_VIRTUAL;
    o.shards = shards;
    o.seed = 7;
    assert_int_equal(efx_open(&s.app, program, &o, &s.err), EFX_RC_OK);
    assert_int_equal(efx_start(s.app, NULL), EFX_RC_OK);
    return &s;
}

static struct session *start(void)
{
    struct session *s = start_on(1);
    change(s, "INSERT INTO T VALUES ('x', 1), ('x', 2), ('y', 4)", 3);
    return s;
}

static void stop(struct session *s)
{
    efx_close(&s->app);
}

/* ---- SELECT ---- */

static void example_112__groups_and_aggregates_of_nothing(void **state)
{
    (void)state;
    struct session *s = start();
    expect(s, "SELECT k, sum(v) AS s FROM T GROUP BY k ORDER BY s DESC", "(y,4) (x,3)");
    expect(s, "SELECT count(*) FROM T WHERE v > 9", "(0)");
    expect(s, "SELECT sum(v) FROM T WHERE v > 9", "(NULL)");
    stop(s);
}

static void rows__come_in_insertion_order(void **state)
{
    (void)state;
    struct session *s = start();
    expect(s, "SELECT * FROM T", "(x,1) (x,2) (y,4)");
    expect(s, "SELECT t.v * 2 AS w, k || '!' FROM T AS t WHERE t.v <> 2", "(2,x!) (8,y!)");
    expect(s, "SELECT k FROM T WHERE v > 100", "");
    expect(s, "SELECT k FROM R", "");
    stop(s);
}

static void groups__come_in_first_seen_order(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "INSERT INTO T VALUES (NULL, 5), ('x', NULL), (NULL, 6)", 3);
    expect(s, "SELECT k, count(*) AS n, sum(v) AS s FROM T GROUP BY k",
           "(x,3,3) (y,1,4) (NULL,2,11)");
    expect(s,
           "SELECT CASE WHEN v > 2 THEN 'hi' ELSE 'lo' END AS c, count(*) AS n FROM T "
           "GROUP BY c HAVING n > 1",
           "(lo,3) (hi,3)");
    expect(s, "SELECT k FROM T GROUP BY k HAVING count(v) = 1", "(y)");
    expect(s, "SELECT v % 2 AS odd, max(v) AS m FROM T WHERE v IS NOT NULL GROUP BY v % 2",
           "(1,5) (0,6)");
    expect(s, "SELECT k FROM T WHERE v > 90 GROUP BY k", "");
    stop(s);
}

static void aggregates_without_group__give_one_row(void **state)
{
    (void)state;
    struct session *s = start();
    expect(s, "SELECT count(*), sum(v), avg(v), min(k), max(v) FROM T", "(3,7,2.33333,x,4)");
    expect(s,
           "SELECT count(*), count(x) AS cx, min(v), max(T.k), avg(x) FROM R JOIN T "
           "ON T.k = R.k",
           "(0,0,NULL,NULL,NULL)");
    expect(s, "SELECT count(*) FILTER (WHERE v > 1), sum(v) + 1 FROM T", "(2,8)");
    expect(s, "SELECT count(*) FROM R", "(0)");
    expect(s, "SELECT count(*) FROM R HAVING count(*) > 0", "");
    expect(s, "SELECT count(*) AS n FROM R HAVING n = 0 ORDER BY n LIMIT 1", "(0)");
    expect(s, "SELECT count(*) FROM R LIMIT 0", "");
    expect(s, "SELECT count(*) FROM T OFFSET 1", "");
    expect(s, "SELECT coalesce(sum(v), 0) AS s FROM T WHERE v > 9", "(0)");
    stop(s);
}

static void order__sorts_stably_with_nulls_last(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "INSERT INTO T VALUES ('z', NULL), ('a', 2)", 2);
    expect(s, "SELECT k, v FROM T ORDER BY v DESC", "(y,4) (x,2) (a,2) (x,1) (z,NULL)");
    expect(s, "SELECT k, v FROM T ORDER BY v NULLS FIRST, k", "(z,NULL) (x,1) (a,2) (x,2) (y,4)");
    expect(s, "SELECT k FROM T ORDER BY 1 LIMIT 2", "(a) (x)");
    expect(s, "SELECT k, v FROM T ORDER BY v + 0 LIMIT 2 OFFSET 1", "(x,2) (a,2)");
    expect(s, "SELECT v FROM T LIMIT 2", "(1) (2)");
    expect(s, "SELECT v FROM T WHERE v = 4 LIMIT 2", "(4)");
    expect(s, "SELECT v FROM T OFFSET 3", "(NULL) (2)");
    expect(s, "SELECT v FROM T LIMIT 0", "");
    expect(s, "SELECT k, sum(v) AS s FROM T GROUP BY k ORDER BY s DESC LIMIT 1 OFFSET 1", "(x,3)");
    expect(s, "SELECT k FROM R ORDER BY k", "");
    stop(s);
}

static void having_without_groups__judges_each_row(void **state)
{
    (void)state;
    struct session *s = start();
    expect(s, "SELECT v AS w FROM T HAVING w > 1", "(2) (4)");
    expect(s, "SELECT v AS w FROM T HAVING w > 1 ORDER BY w DESC", "(4) (2)");
    stop(s);
}

static void distinct__keeps_the_first_of_equal_rows(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "INSERT INTO T VALUES (NULL, 1), (NULL, 2), ('x', 1), ('x', NULL), ('x', NULL)", 5);
    expect(s, "SELECT DISTINCT k FROM T", "(x) (y) (NULL)");
    expect(s, "SELECT DISTINCT k, v FROM T", "(x,1) (x,2) (y,4) (NULL,1) (NULL,2) (x,NULL)");
    expect(s, "SELECT DISTINCT k FROM T ORDER BY k DESC LIMIT 2", "(y) (x)");
    expect(s, "SELECT DISTINCT k FROM T LIMIT 1 OFFSET 2", "(NULL)");
    expect(s, "SELECT DISTINCT count(*) AS n FROM T GROUP BY k, v ORDER BY n", "(1) (2)");
    expect(s, "SELECT DISTINCT CASE WHEN v = 1 THEN 0.0 ELSE -0.0 END AS z FROM T WHERE v < 3",
           "(0)");
    stop(s);
}

static void many_rows__cross_slabs_and_batches(void **state)
{
    (void)state;
    struct session *s = start_on(1);
    for (int i = 0; i < 10000; i++) {
        efx_val row[] = {EFX_STR("a text that is longer than a cell"), EFX_INT(i)};
        assert_int_equal(efx_send(s->app, "ToT", i, row, 2), EFX_RC_OK);
    }
    expect(s, "SELECT count(*), sum(v), min(v), max(v) FROM T", "(10000,49995000,0,9999)");
    expect(s, "SELECT v FROM T ORDER BY v DESC LIMIT 2 OFFSET 4999", "(5000) (4999)");
    expect(s, "SELECT v FROM T WHERE v % 5000 = 7", "(7) (5007)");
    expect(s, "SELECT v % 3 AS m, count(*) AS n FROM T GROUP BY m", "(0,3334) (1,3333) (2,3333)");
    ask(s, "SELECT k, v FROM T");
    assert_int_equal(s->n_rows, 10000);
    ask(s, "SELECT DISTINCT v FROM T");
    assert_int_equal(s->n_rows, 10000);
    ask(s, "SELECT v FROM T GROUP BY v HAVING v >= 5000");
    assert_int_equal(s->n_rows, 5000);
    change(s, "INSERT INTO R SELECT k, v FROM T", 10000);
    expect(s, "SELECT count(*) FROM T JOIN R ON T.v = R.x WHERE R.x < 5000", "(5000)");
    change(s, "DELETE FROM T WHERE v >= 10", 9990);
    expect(s, "SELECT sum(v) FROM T", "(45)");
    change(s, "INSERT INTO R SELECT k, x FROM R", 10000);
    expect(s, "SELECT count(*) FROM R", "(20000)");
    expect(s, "SELECT count(DISTINCT k) FROM R", "(1)");
    stop(s);
}

static void what_the_stream_wrote__is_seen(void **state)
{
    (void)state;
    struct session *s = start_on(1);
    efx_val row[] = {EFX_STR("a"), EFX_INT(3)};
    assert_int_equal(efx_send(s->app, "ToT", 1000, row, 2), EFX_RC_OK);
    expect(s, "SELECT k, v FROM T", "(a,3)");
    expect(s, "SELECT currentTimeMillis() AS t FROM T", "(1000)");
    stop(s);
}

static void events_under_a_tables_name__are_rows(void **state)
{
    (void)state;
    struct session *s = start_on(1);
    efx_val t[] = {EFX_STR("a"), EFX_INT(3)};
    efx_val p[] = {EFX_STR("b"), EFX_INT(4), EFX_NULL};
    assert_int_equal(efx_send(s->app, "T", 1000, t, 2), EFX_RC_OK);
    expect(s, "SELECT k, v FROM T", "(a,3)");
    assert_int_equal(efx_send(s->app, "P", 1000, p, 3), EFX_RC_OK); /* no statement names P */
    expect(s, "SELECT k, v FROM P", "(b,4)");
    stop(s);
}

/* ---- joins ---- */

static void joined(struct session *s)
{
    change(s, "INSERT INTO R VALUES ('x', 10), ('z', 30), (NULL, 40), ('x', 11)", 4);
    change(s, "INSERT INTO T VALUES (NULL, 5)", 1);
}

static void join__takes_pairs_left_rows_first(void **state)
{
    (void)state;
    struct session *s = start();
    joined(s);
    expect(s, "SELECT T.v, R.x FROM T JOIN R ON T.k = R.k", "(1,10) (1,11) (2,10) (2,11)");
    expect(s, "SELECT v, x FROM T JOIN R ON T.k = R.k AND x > 10 WHERE v = 2", "(2,11)");
    expect(s, "SELECT v, x FROM T JOIN R ON T.v * 10 > R.x",
           "(2,10) (2,11) (4,10) (4,30) (4,11) "
           "(5,10) (5,30) (5,40) (5,11)");
    expect(s, "SELECT count(*) FROM T CROSS JOIN R", "(16)");
    expect(s, "SELECT k, v, x FROM T JOIN R USING (k)", "(x,1,10) (x,1,11) (x,2,10) (x,2,11)");
    expect(s, "SELECT a.v, b.v AS w FROM T AS a JOIN T AS b ON a.v = b.v + 1", "(2,1) (5,4)");
    expect(s, "SELECT v, x FROM T JOIN R ON v = x - 9", "(1,10) (2,11)");
    stop(s);
}

static void outer_joins__fill_with_nulls(void **state)
{
    (void)state;
    struct session *s = start();
    joined(s);
    expect(s, "SELECT v, x FROM T LEFT JOIN R ON T.k = R.k",
           "(1,10) (1,11) (2,10) (2,11) (4,NULL) (5,NULL)");
    expect(s, "SELECT v, x FROM T RIGHT JOIN R ON T.k = R.k",
           "(1,10) (1,11) (2,10) (2,11) (NULL,30) (NULL,40)");
    expect(s, "SELECT v, x FROM T FULL JOIN R ON T.k = R.k AND v = 1",
           "(1,10) (1,11) (2,NULL) (4,NULL) (5,NULL) (NULL,30) (NULL,40)");
    expect(s, "SELECT v, x FROM T LEFT JOIN R ON v > x", "(1,NULL) (2,NULL) (4,NULL) (5,NULL)");
    expect(s, "SELECT k, count(x) AS n FROM T LEFT JOIN R USING (k) GROUP BY k ORDER BY n DESC",
           "(x,4) (y,0) (NULL,0)");
    expect(s, "SELECT x FROM P RIGHT JOIN R ON P.k = R.k ORDER BY x DESC LIMIT 1", "(40)");
    expect(s, "SELECT v FROM P LEFT JOIN R ON P.k = R.k", "");
    stop(s);
}

static void join__carries_a_row_over_batches(void **state)
{
    (void)state;
    struct session *s = start_on(1);
    for (int i = 0; i < 3000; i++) {
        efx_val row[] = {EFX_STR("r"), EFX_INT(i)};
        assert_int_equal(efx_send(s->app, "ToT", i, row, 2), EFX_RC_OK);
    }
    change(s, "INSERT INTO R VALUES ('r', 0), ('q', 1), ('r', 2)", 3);
    expect(s, "SELECT R.x, count(v) AS n, count(*) AS m FROM R LEFT JOIN T ON T.k = R.k GROUP BY x",
           "(0,3000,3000) (1,0,1) (2,3000,3000)");
    expect(s, "SELECT count(*) FROM R LEFT JOIN T ON T.v > R.x + 2997", "(4)");
    expect(s, "SELECT R.x, T.v FROM R LEFT JOIN T ON T.v > R.x + 2997",
           "(0,2998) (0,2999) (1,2999) (2,NULL)");
    expect(s, "SELECT count(*) FROM T FULL JOIN R ON T.v = R.x AND T.k = R.k", "(3001)");
    stop(s);
}

/* ---- membership ---- */

static void membership__sees_all_tables(void **state)
{
    (void)state;
    for (uint32_t shards = 1; shards <= 3; shards++) {
        struct session *s = start_on(shards);
        change(s, "INSERT INTO T VALUES ('x', 1), ('y', 4)", 2);
        change(s, "INSERT INTO P VALUES ('y', 9, 0.5)", 1);
        expect(s, "SELECT k FROM T WHERE k IN P", "(y)");
        expect(s, "SELECT k FROM T WHERE (P.v > T.v AND P.k <> T.k) IN P", "(x)");
        change(s, "UPDATE T SET v = 0 WHERE k IN P", 1);
        expect(s, "SELECT k, v FROM T", "(x,1) (y,0)");
        change(s, "DELETE FROM T WHERE k NOT IN P", 1);
        expect(s, "SELECT k, v FROM T", "(y,0)");
        stop(s);
    }
}

/* ---- changes ---- */

static void insert__counts_what_came_in(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "INSERT INTO P (v, k) VALUES (1, 'a'), (2, 'b')", 2);
    change(s, "INSERT INTO P VALUES ('a', 7, 1.5), ('c', 3, 2)", 1);
    expect(s, "SELECT * FROM P", "(a,1,NULL) (b,2,NULL) (c,3,2)");
    change(s, "INSERT INTO R SELECT k, v FROM T WHERE v > 1 ORDER BY v DESC", 2);
    expect(s, "SELECT * FROM R", "(y,4) (x,2)");
    change(s, "INSERT INTO P (k, v) SELECT k, sum(v) AS s FROM T GROUP BY k", 2);
    expect(s, "SELECT k, v FROM P WHERE k > 'c'", "(x,3) (y,4)");
    change(s, "INSERT INTO R (x) VALUES (1 + 2 * 3)", 1);
    expect(s, "SELECT k, x FROM R WHERE k IS NULL", "(NULL,7)");
    change(s, "INSERT INTO R SELECT k, v FROM T WHERE v > 99", 0);
    stop(s);
}

static void insert_of_itself__sees_the_rows_before(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "INSERT INTO T SELECT k, v + 10 FROM T", 3);
    expect(s, "SELECT v FROM T", "(1) (2) (4) (11) (12) (14)");
    stop(s);
}

static void upsert__sets_or_inserts(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "UPSERT INTO P VALUES ('a', 1, 0.5), ('b', 2, 0.5), ('a', 3, NULL)", 3);
    expect(s, "SELECT * FROM P", "(a,3,NULL) (b,2,0.5)");
    change(s, "UPSERT INTO P (k, v) VALUES ('b', 8), ('c', 9)", 2);
    expect(s, "SELECT * FROM P", "(a,3,NULL) (b,8,0.5) (c,9,NULL)");
    change(s, "UPSERT INTO T VALUES ('x', 0) ON T.k = k", 2);
    expect(s, "SELECT * FROM T", "(x,0) (x,0) (y,4)");
    change(s, "UPSERT INTO T VALUES ('q', 0) ON T.k = k AND T.v < 100", 1);
    expect(s, "SELECT count(*) FROM T", "(4)");
    change(s, "UPSERT INTO P (k, v) SELECT k, v + 1 AS v FROM T WHERE v = 4", 1);
    expect(s, "SELECT * FROM P WHERE k = 'y'", "(y,5,NULL)");
    stop(s);
}

static void update__computes_from_the_old_row(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "UPDATE T SET v = v + 10 WHERE k = 'x'", 2);
    expect(s, "SELECT * FROM T", "(x,11) (x,12) (y,4)");
    change(s, "UPDATE T AS t SET v = NULL, k = t.k || '2'", 3);
    expect(s, "SELECT * FROM T", "(x2,NULL) (x2,NULL) (y2,NULL)");
    change(s, "UPDATE T SET v = 1 WHERE v > 0", 0);
    change(s, "INSERT INTO P VALUES ('a', 1, NULL), ('b', 2, NULL)", 2);
    change(s, "UPDATE P SET k = 'b' WHERE k = 'a'", 0); /* the key is there already */
    expect(s, "SELECT k FROM P", "(a) (b)");
    stop(s);
}

static void delete__takes_what_meets_the_condition(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "DELETE FROM T WHERE v = 2 OR v = 4", 2);
    expect(s, "SELECT * FROM T", "(x,1)");
    change(s, "DELETE FROM T", 1);
    change(s, "DELETE FROM T", 0);
    expect(s, "SELECT count(*) FROM T", "(0)");
    stop(s);
}

static void uuid__differs_from_row_to_row_and_query_to_query(void **state)
{
    (void)state;
    struct session *s = start_on(1);
    change(s, "INSERT INTO P VALUES (uuid(), 1, 0), (uuid(), 2, 0)", 2);
    change(s, "INSERT INTO P VALUES (uuid(), 3, 0)", 1);
    expect(s, "SELECT count(DISTINCT k) FROM P", "(3)");
    change(s, "INSERT INTO T SELECT uuid() AS k, v FROM P", 3);
    change(s, "UPDATE T SET k = uuid()", 3);
    expect(s, "SELECT count(DISTINCT k) FROM T", "(3)");
    stop(s);
}

/* ---- errors ---- */

static void wrong_statements__say_what_is_wrong(void **state)
{
    (void)state;
    struct session *s = start();
    refused(s, "", EFX_RC_SQL, 1004);
    refused(s, "SELEKT k FROM T", EFX_RC_SQL, 1001);
    refused(s, "SELECT k FROM Nowhere", EFX_RC_SQL, 1201);
    refused(s, "SELECT z FROM T", EFX_RC_SQL, 1203);
    refused(s, "SELECT k FROM S", EFX_RC_SQL, 1207);
    refused(s, "SELECT k FROM T WINDOW LENGTH(3)", EFX_RC_SQL, 1207);
    refused(s, "SELECT k FROM T OUTPUT EVERY 3 EVENTS", EFX_RC_SQL, 1207);
    refused(s, "SELECT k FROM T WHERE v = 'x'", EFX_RC_SQL, 1301);
    refused(s, "INSERT INTO T VALUES ('a')", EFX_RC_SQL, 1311);
    refused(s, "INSERT INTO S VALUES ('a', 1)", EFX_RC_SQL, 1702);
    refused(s, "UPSERT INTO T VALUES ('a', 1)", EFX_RC_SQL, 1704);
    refused(s, "UPDATE T SET z = 1", EFX_RC_SQL, 1703);
    refused(s, "SELECT T.v FROM T JOIN R ON T.k = R.k JOIN P ON P.k = T.k", EFX_RC_SQL, 9001);
    expect(s, "SELECT count(*) FROM T", "(3)"); /* and the app goes on */
    stop(s);
}

static void data_errors__fail_the_whole_statement(void **state)
{
    (void)state;
    struct session *s = start();
    change(s, "INSERT INTO P VALUES ('a', 1, 1e12), ('b', 2, 3)", 2);
    refused(s, "INSERT INTO P VALUES ('c', 3, NULL), ('d', NULL, NULL)", EFX_RC_DATA, 3102);
    refused(s, "INSERT INTO P VALUES ('c', 3, NULL), (NULL, 4, NULL)", EFX_RC_DATA, 3102);
    refused(s, "INSERT INTO P (k, v) SELECT k, NULL AS v FROM T", EFX_RC_DATA, 3102);
    refused(s, "INSERT INTO T SELECT k, d FROM P", EFX_RC_DATA, 3101);
    refused(s, "INSERT INTO T VALUES ('a', 1), ('b', 3000000000)", EFX_RC_DATA, 3101);
    refused(s, "UPDATE P SET v = d", EFX_RC_DATA, 3101);
    refused(s, "UPDATE P SET v = NULL WHERE k = 'b'", EFX_RC_DATA, 3102);
    refused(s, "UPSERT INTO P (k, v) VALUES ('z', 1), ('a', NULL)", EFX_RC_DATA, 3102);
    refused(s, "SELECT v FROM P WHERE k REGEXP k || '['", EFX_RC_DATA, 3301);
    refused(s, "SELECT count(*) FROM P GROUP BY k REGEXP k || '['", EFX_RC_DATA, 3301);
    refused(s, "SELECT P.v FROM P JOIN T ON P.k REGEXP T.k || '['", EFX_RC_DATA, 3301);
    expect(s, "SELECT * FROM P", "(a,1,1e+12) (b,2,3)");
    expect(s, "SELECT count(*) FROM T", "(3)");
    stop(s);
}

static void a_large_change__is_whole_or_not_at_all(void **state)
{
    (void)state;
    struct session *s = start_on(1);
    for (int i = 0; i < 5000; i++) {
        efx_val row[] = {EFX_STR("k"), EFX_LONG(i == 4900 ? 3000000000 : i)};
        assert_int_equal(efx_send(s->app, "ToR", i, row, 2), EFX_RC_OK);
    }
    refused(s, "INSERT INTO T SELECT k, x FROM R", EFX_RC_DATA, 3101);
    expect(s, "SELECT count(*) FROM T", "(0)");
    refused(s, "UPSERT INTO T SELECT k, x FROM R ON T.v = x", EFX_RC_DATA, 3101);
    expect(s, "SELECT count(*) FROM T", "(0)");
    change(s, "INSERT INTO T SELECT k, x FROM R WHERE x < 5000", 4999);
    refused(s, "UPDATE T SET v = v + 2147480000.0", EFX_RC_DATA, 3101);
    expect(s, "SELECT max(v) FROM T", "(4999)");
    refused(s, "UPSERT INTO P (k, d) SELECT k, x FROM R ON P.k = k", EFX_RC_SQL, 9001);
    stop(s);
}

static void before_the_start__nothing_can_be_asked(void **state)
{
    (void)state;
    struct session s = {0};
    assert_int_equal(efx_open(&s.app, program, NULL, NULL), EFX_RC_OK);
    assert_int_equal(ask(&s, "SELECT k FROM T"), EFX_RC_USE);
    efx_close(&s.app);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(example_112__groups_and_aggregates_of_nothing),
        cmocka_unit_test(rows__come_in_insertion_order),
        cmocka_unit_test(groups__come_in_first_seen_order),
        cmocka_unit_test(aggregates_without_group__give_one_row),
        cmocka_unit_test(order__sorts_stably_with_nulls_last),
        cmocka_unit_test(having_without_groups__judges_each_row),
        cmocka_unit_test(distinct__keeps_the_first_of_equal_rows),
        cmocka_unit_test(many_rows__cross_slabs_and_batches),
        cmocka_unit_test(what_the_stream_wrote__is_seen),
        cmocka_unit_test(events_under_a_tables_name__are_rows),
        cmocka_unit_test(join__takes_pairs_left_rows_first),
        cmocka_unit_test(outer_joins__fill_with_nulls),
        cmocka_unit_test(join__carries_a_row_over_batches),
        cmocka_unit_test(membership__sees_all_tables),
        cmocka_unit_test(insert__counts_what_came_in),
        cmocka_unit_test(insert_of_itself__sees_the_rows_before),
        cmocka_unit_test(upsert__sets_or_inserts),
        cmocka_unit_test(update__computes_from_the_old_row),
        cmocka_unit_test(delete__takes_what_meets_the_condition),
        cmocka_unit_test(uuid__differs_from_row_to_row_and_query_to_query),
        cmocka_unit_test(wrong_statements__say_what_is_wrong),
        cmocka_unit_test(data_errors__fail_the_whole_statement),
        cmocka_unit_test(a_large_change__is_whole_or_not_at_all),
        cmocka_unit_test(before_the_start__nothing_can_be_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
