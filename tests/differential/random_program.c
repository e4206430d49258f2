#include "efx_random_program.h"

#include "random_keyed.h"
#include "random_text.h"

#include <stdlib.h>
#include <string.h>

/* One random program: declarations of what every program may use, then statements by dice.
 *
 *   S A B    (k STRING, v INT, l LONG)     few keys, small values, NULLs
 *   M0 M1 M2 (k STRING, v LONG)            between
 *   O0 O1    (k STRING, v LONG, d DOUBLE, q INT)  q = number of the query, so that producers of one
 *                                          stream can be told apart
 *   N        (k STRING, n INT)             target of narrowing
 *   T U      tables: key, and without key
 */
struct gen {
    struct text *t;
    struct dice *d;
    unsigned mask;
    int n_queries;
};

static bool on(const struct gen *g, unsigned feature)
{
    return (g->mask & feature) != 0;
}

static bool one_in(struct gen *g, int n)
{
    return dice(g->d, n) == 0;
}

static const char *const base[] = {"S", "A", "B"};
static const char *const mid[] = {"M0", "M1", "M2"};
static const char *const windows[] = {"WINDOW('length', 1)",    "WINDOW('length', 2)",
                                      "WINDOW('length', 5)",    "WINDOW('time', 20 ms)",
                                      "WINDOW('time', 100 ms)", "WINDOW('time', 1 ms)"};
static const char *const batches[] = {
    "WINDOW('lengthBatch', 2)",  "WINDOW('lengthBatch', 3)",      "WINDOW('lengthBatch', 7)",
    "WINDOW('tumbling', 50 ms)", "WINDOW('timeBatch', 20 ms, 0)", "WINDOW('tumbling', 100 ms, 7)"};
static const char *const sessions[] = {"WINDOW('session', 20 ms)", "WINDOW('session', 50 ms, k)",
                                       "WINDOW('session', 30 ms, k, 15 ms)"};
static const char *const filters[] = {"v > 1",           "v IS NOT NULL",    "k <> 'a'",
                                      "v % 2 = 0",       "k = 'a' OR v < 3", "v BETWEEN 1 AND 4",
                                      "k IN ('a', 'b')", "NOT (v = 2)",      "k IS NULL OR v > 2"};
static const char *const scalars[] = {"v",  "v + 1",          "v * 2",
                                      "-v", "coalesce(v, 0)", "CASE WHEN v > 2 THEN 1 ELSE v END"};
static const char *const aggregates[] = {"sum(v)",
                                         "count(*)",
                                         "count(v)",
                                         "min(v)",
                                         "max(v)",
                                         "first(v)",
                                         "last(v)",
                                         "distinctCount(k)",
                                         "count(DISTINCT v)",
                                         "sum(DISTINCT v)",
                                         "sum(v) FILTER (WHERE v > 1)",
                                         "count(*) FILTER (WHERE k = 'a')",
                                         "sum(v) + count(*)"};
static const char *const doubles[] = {"avg(v)", "sum(v * 0.1)", "max(v) / 2", "min(v * 0.5)",
                                      "avg(DISTINCT v)"};
#define PICK(g, list) ((list)[dice((g)->d, (int)(sizeof(list) / sizeof((list)[0])))])

/* A stream of a level below; level 0 are the base streams. */
static const char *source_below(struct gen *g, int level)
{
    int at = dice(g->d, level + 1);
    return at == 0 || one_in(g, 3) ? PICK(g, base) : mid[at - 1];
}

static int target_level(struct gen *g)
{
    return one_in(g, 2) ? 3 : dice(g->d, 3); /* 0 … 2: M0 … M2, 3: an output */
}

static const char *kinds(struct gen *g, bool leaves)
{
    static const char *const of[] = {"", "", "ALL EVENTS ", "EXPIRED EVENTS "};
    return leaves && on(g, EFX_FEATURE_EXPIRED) ? PICK(g, of) : "";
}

static void into(struct gen *g, int level, const char *kind)
{
    if (level < 3) {
        put(g->t, "INSERT %sINTO %s ", kind, mid[level]);
    } else {
        put(g->t, "INSERT %sINTO O%d ", kind, dice(g->d, 2));
    }
}

/* The select list for a target: key, value, and for outputs a DOUBLE and the query's number. */
static void list(struct gen *g, int level, const char *k, const char *v, const char *d)
{
    put(g->t, "SELECT %s AS k, %s AS v", k, v);
    if (level >= 3) {
        put(g->t, ", %s AS d, %d AS q", d, g->n_queries);
    }
}

static void limiter(struct gen *g)
{
    static const char *const of[] = {"OUTPUT EVERY 3 EVENTS",       "OUTPUT ALL EVERY 2 EVENTS",
                                     "OUTPUT FIRST EVERY 2 EVENTS", "OUTPUT LAST EVERY 3 EVENTS",
                                     "OUTPUT ALL EVERY 40 ms",      "OUTPUT FIRST EVERY 30 ms",
                                     "OUTPUT LAST EVERY 25 ms"};
    if (on(g, EFX_FEATURE_LIMITERS) && one_in(g, 4)) {
        put(g->t, " %s", PICK(g, of));
    }
}

static void table_filter(struct gen *g, char *buf, size_t n)
{
    static const char *const of[] = {"k IN T", "k NOT IN T", "v IN T.v",
                                     "(T.k = k AND T.v > v) IN T", "k IN U.k"};
    snprintf(buf, n, "%s", PICK(g, of));
}

static void where(struct gen *g)
{
    char in_table[64];
    if (!one_in(g, 2)) {
        return;
    }
    if (on(g, EFX_FEATURE_TABLES) && one_in(g, 4)) {
        table_filter(g, in_table, sizeof in_table);
        put(g->t, " WHERE %s", in_table);
    } else {
        put(g->t, " WHERE %s", PICK(g, filters));
    }
}

/* Filter, projection, aggregates, windows: one stream. `from` NULL = choose one below. */
static void single(struct gen *g, const char *from, int level)
{
    int window = dice(g->d, 4);
    bool slides = window == 1 && on(g, EFX_FEATURE_WINDOWS);
    bool batch = window == 2 && on(g, EFX_FEATURE_BATCHES);
    bool session = window == 3 && on(g, EFX_FEATURE_SESSIONS);
    bool adds = one_in(g, 2);
    bool groups = one_in(g, 2);
    into(g, level, kinds(g, slides || batch || session));
    list(g, level, one_in(g, 6) ? "'x'" : "k", adds ? PICK(g, aggregates) : PICK(g, scalars),
         adds ? PICK(g, doubles) : "v / 2");
    put(g->t, " FROM %s", from != NULL ? from : source_below(g, level));
    put(g->t, " %s", slides ? PICK(g, windows) : batch ? PICK(g, batches) : "");
    put(g->t, "%s", session ? PICK(g, sessions) : "");
    where(g);
    put(g->t, "%s", groups ? " GROUP BY k" : "");
    if (adds && one_in(g, 4)) {
        put(g->t, " HAVING %s", one_in(g, 2) ? "count(*) > 1" : "sum(v) IS NOT NULL");
    }
    if ((batch || session) && one_in(g, 2)) {
        put(g->t, " ORDER BY v %s, k LIMIT %d", one_in(g, 2) ? "DESC" : "NULLS FIRST",
            1 + dice(g->d, 3));
        put(g->t, "%s", one_in(g, 3) ? " OFFSET 1" : "");
    }
    limiter(g);
}

static void side_window(struct gen *g, bool within, bool slides)
{
    if (within) {
        return;
    }
    if (!slides && on(g, EFX_FEATURE_BATCHES) && one_in(g, 5)) {
        put(g->t, " %s", PICK(g, batches));
    } else {
        put(g->t, " %s", PICK(g, windows));
    }
}

static const char *joined_value(struct gen *g)
{
    if (on(g, EFX_FEATURE_LATER) && one_in(g, 2)) {
        return one_in(g, 2) ? "first(y.v)" : "last(x.v)";
    }
    return one_in(g, 2) ? "count(*)" : "sum(y.v)";
}

static void join(struct gen *g)
{
    static const char *const types[] = {"JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN"};
    static const char *const conds[] = {"x.k = y.k", "x.k = y.k AND x.v < y.v", "x.v = y.v",
                                        "x.v < y.v"};
    int level = target_level(g);
    bool within = one_in(g, 4);
    bool adds = one_in(g, 3);
    bool one_way = one_in(g, 8);
    const char *kind = kinds(g, !within);
    into(g, level, kind);
    list(g, level, "coalesce(x.k, y.k)", adds ? joined_value(g) : "coalesce(x.v, 0) * 10 + y.v",
         adds ? "avg(x.v)" : "x.v / 2");
    const char *left = source_below(g, level);
    const char *right = source_below(g, level);
    put(g->t, " FROM %s AS x", left);
    side_window(g, within, one_way);
    put(g->t, "%s", one_way ? " UNIDIRECTIONAL" : "");
    put(g->t, " %s %s AS y", PICK(g, types), right);
    side_window(g, within, one_way);
    put(g->t, " ON %s%s", PICK(g, conds), within ? " WITHIN 30 ms" : "");
    put(g->t, "%s", one_in(g, 4) ? " WHERE x.v IS NOT NULL" : "");
    put(g->t, "%s", adds && one_in(g, 2) ? " GROUP BY x.k" : "");
    bool self = strcmp(left, right) == 0 && !one_way; /* its row sets are not built */
    if (on(g, EFX_FEATURE_LATER) && kind[0] == 0 && one_in(g, 4) && !self) {
        put(g->t, " ORDER BY v %s, k LIMIT %d", one_in(g, 2) ? "DESC" : "NULLS FIRST",
            1 + dice(g->d, 3));
    }
    limiter(g);
}

static void table_join(struct gen *g)
{
    int level = target_level(g);
    into(g, level, "");
    list(g, level, "x.k", one_in(g, 2) ? "t.v" : "count(*)", "avg(t.v)");
    put(g->t, " FROM %s AS x %s %s AS t", source_below(g, level),
        one_in(g, 2) ? "JOIN" : "LEFT JOIN", one_in(g, 2) ? "T" : "U");
    put(g->t, " ON %s", one_in(g, 3) ? "t.v > x.v" : "t.k = x.k");
    put(g->t, "%s", one_in(g, 4) ? " ORDER BY v DESC, k LIMIT 2" : "");
}

static void table_change(struct gen *g)
{
    const char *from = source_below(g, 2);
    switch (dice(g->d, 6)) {
    case 0: put(g->t, "INSERT INTO T SELECT k, v FROM %s WHERE k IS NOT NULL", from); break;
    case 1: put(g->t, "UPSERT INTO T SELECT k, v FROM %s WHERE k IS NOT NULL", from); break;
    case 2:
        put(g->t, "UPSERT INTO T SELECT k, count(*) AS v FROM %s WHERE k IS NOT NULL GROUP BY k",
            from);
        break;
    case 3: put(g->t, "UPDATE T SET v = T.v + s.v FROM %s AS s WHERE T.k = s.k", from); break;
    case 4: put(g->t, "DELETE FROM T USING %s AS s WHERE T.k = s.k AND s.v > 3", from); break;
    default: put(g->t, "UPSERT INTO U SELECT k, v FROM %s ON U.k = k AND U.v > 2", from); break;
    }
}

static void pattern(struct gen *g, const char *first, const char *second, int level)
{
    static const char *const chains[] = {"EVERY e1=%s -> e2=%s",
                                         "EVERY e1=%s -> e2=%s[k = e1.k]",
                                         "EVERY (e1=%s -> e2=%s[v > e1.v])",
                                         "e1=%s -> e2=%s",
                                         "EVERY e1=%s[v > 1] -> e2=%s{1,2}",
                                         "EVERY e1=%s{2,3} -> e2=%s",
                                         "EVERY e1=%s{2} -> e2=%s[v > e1[last].v]",
                                         "EVERY e1=%s -> e2=%s{0,2} -> e3=S[v > 2]",
                                         "EVERY e1=%s -> e2=%s -> e3=A[k = e1.k]"};
    static const char *const more[] = {"EVERY (e1=%s -> e2=%s) -> e3=A",
                                       "e1=%s -> EVERY e2=%s -> e3=B[v >= e2.v]"};
    bool nests = on(g, EFX_FEATURE_MORE_PATTERNS) && one_in(g, 4);
    bool expires = on(g, EFX_FEATURE_EXPIRED) && one_in(g, 4);
    bool keyed = one_in(g, 4);
    into(g, level, expires ? "ALL EVENTS " : "");
    list(g, level, keyed ? "k" : "e1.k",
         one_in(g, 5) ? "count(*)" : "e1.v * 10 + coalesce(e2.v, 0)",
         one_in(g, 3) ? "avg(e1.v)" : "e2.v / 2");
    put(g->t, " FROM PATTERN (");
    put(g->t, nests ? PICK(g, more) : PICK(g, chains), first, second);
    if (on(g, EFX_FEATURE_LATER) && one_in(g, 4)) {
        put(g->t, ") WITHIN %d EVENTS", 2 + dice(g->d, 8));
    } else {
        put(g->t, ") WITHIN %d ms", 10 + dice(g->d, 60));
    }
    if (on(g, EFX_FEATURE_LATER) && one_in(g, 4)) {
        put(g->t, " AFTER MATCH SKIP PAST LAST ROW");
    }
    put(g->t, "%s", keyed ? " PARTITION BY k" : "");
    limiter(g);
}

static void block(struct gen *g, int number)
{
    const char *from = source_below(g, 1);
    int n = 1 + dice(g->d, 3);
    if (one_in(g, 3)) {
        put(g->t, "PARTITION WITH (v < 3 AS 'low' OR v > 1 AS 'high' OF %s) BEGIN ", from);
    } else {
        put(g->t, "PARTITION WITH (k OF %s) BEGIN ", from);
    }
    put(g->t, "INSERT INTO #I%d SELECT k, v FROM %s", number, from);
    put(g->t, "%s; ", one_in(g, 2) ? " WHERE v > 0" : " WINDOW('length', 2)");
    for (int i = 0; i < n; i++) {
        char inner[16];
        snprintf(inner, sizeof inner, "#I%d", number);
        const char *of = one_in(g, 2) ? inner : one_in(g, 4) ? "B" : from;
        int level = 2 + dice(g->d, 2);
        g->n_queries++;
        if (on(g, EFX_FEATURE_PATTERNS) && one_in(g, 4)) {
            pattern(g, inner, from, level);
        } else {
            single(g, of, level);
        }
        put(g->t, "; ");
    }
    put(g->t, "END");
}

static void faults(struct gen *g)
{
    put(g->t, "INSERT INTO N SELECT k, l AS n FROM F;\n");
    put(g->t, "INSERT INTO M0 SELECT k, l %% 7 AS v FROM !F;\n");
    put(g->t, "INSERT INTO Bad SELECT k, substring(_error, 1, 8) AS e FROM !F;\n");
    put(g->t, "INSERT INTO F SELECT k, l FROM %s", PICK(g, base));
    put(g->t, "%s", one_in(g, 2) ? " WHERE v > 0" : "");
}

static void loops(struct gen *g)
{
    put(g->t, "INSERT INTO L SELECT k, v FROM %s WHERE v > 0 AND v < 5;\n", PICK(g, base));
    put(g->t, "INSERT INTO M1 SELECT k, v FROM L;\n");
    put(g->t, "INSERT INTO L SELECT k, v - 1 AS v FROM L WHERE v > 0;\n");
    if (one_in(g, 2)) {
        put(g->t, "INSERT INTO L2 SELECT k, v - 1 AS v FROM L WHERE v > 1;\n");
        put(g->t, "INSERT INTO L SELECT k, v - 1 AS v FROM L2;\n");
    }
    put(g->t, "INSERT INTO M2 SELECT k, v FROM L");
}

static void declarations(struct gen *g)
{
    put(g->t, "CREATE STREAM S (k STRING, v INT, l LONG);\n");
    put(g->t, "CREATE STREAM A (k STRING, v INT, l LONG);\n");
    put(g->t, "CREATE STREAM B (k STRING, v INT, l LONG);\n");
    put(g->t, "CREATE STREAM M0 (k STRING, v LONG);\n");
    put(g->t, "CREATE STREAM M1 (k STRING, v LONG);\n");
    put(g->t, "CREATE STREAM M2 (k STRING, v LONG);\n");
    put(g->t, "CREATE STREAM L (k STRING, v LONG);\n");
    put(g->t, "CREATE STREAM L2 (k STRING, v LONG);\n");
    put(g->t, "CREATE STREAM F (k STRING, l LONG) WITH ('on.error' = 'stream');\n");
    put(g->t, "CREATE STREAM N (k STRING, n INT);\n");
    put(g->t, "CREATE STREAM O0 (k STRING, v LONG, d DOUBLE, q INT);\n");
    put(g->t, "CREATE STREAM O1 (k STRING, v LONG, d DOUBLE, q INT);\n");
    put(g->t, "CREATE TABLE T (k STRING PRIMARY KEY, v LONG);\n");
    put(g->t, "CREATE TABLE U (k STRING, v LONG);\n");
    if (on(g, EFX_FEATURE_TRIGGERS)) {
        put(g->t, "CREATE TRIGGER Tick AT EVERY %d ms;\n", 15 + dice(g->d, 60));
        put(g->t, "CREATE TRIGGER Go AT START;\n");
    }
}

static void statement(struct gen *g, int number)
{
    int level = target_level(g);
    g->n_queries++;
    switch (dice(g->d, 12)) {
    case 0:
    case 1:
        if (on(g, EFX_FEATURE_JOINS)) {
            join(g);
            return;
        }
        break;
    case 2:
    case 3:
        if (on(g, EFX_FEATURE_TABLES)) {
            one_in(g, 2) ? table_change(g) : table_join(g);
            return;
        }
        break;
    case 4:
    case 5:
        if (on(g, EFX_FEATURE_PATTERNS)) {
            pattern(g, source_below(g, level), source_below(g, level), level);
            return;
        }
        break;
    case 6:
        if (on(g, EFX_FEATURE_PARTITIONS)) {
            block(g, number);
            return;
        }
        break;
    case 7:
        if (on(g, EFX_FEATURE_TRIGGERS)) {
            into(g, level, "");
            list(g, level, "'t'", one_in(g, 2) ? "count(*)" : "triggered_time", "1.5");
            put(g->t, " FROM %s", one_in(g, 3) ? "Go" : "Tick");
            return;
        }
        break;
    default: break;
    }
    single(g, NULL, level);
}

char *efx_random_program(uint64_t seed, unsigned features_mask)
{
    struct dice d = {seed * 2 + 1};
    struct text t = {0};
    struct gen g = {.t = &t, .d = &d, .mask = features_mask};
    if (on(&g, EFX_FEATURE_KEYED) && seed % 2 == 0) {
        efx_random_keyed(&t, &d);
        return t.s;
    }
    declarations(&g);
    int n = 3 + dice(&d, 8);
    int loop_at = on(&g, EFX_FEATURE_LOOPS) && one_in(&g, 4) ? dice(&d, n) : -1;
    int fault_at = on(&g, EFX_FEATURE_FAULTS) && one_in(&g, 3) ? dice(&d, n) : -1;
    for (int i = 0; i < n; i++) {
        if (i == loop_at) {
            loops(&g);
            put(&t, ";\n");
        }
        if (i == fault_at) {
            faults(&g);
            put(&t, ";\n");
        }
        statement(&g, i);
        put(&t, ";\n");
    }
    return t.s;
}

struct efx_lines efx_random_events(uint64_t seed, unsigned features_mask, uint32_t n)
{
    static const char *const keys[] = {"\"a\"", "\"b\"", "\"c\"", "\"a\"", "null"};
    static const int gaps[] = {0, 0, 0, 1, 1, 2, 5, 10, 20, 50, 300};
    struct dice d = {seed * 2 + 1};
    struct efx_lines lines = {0};
    int64_t now = 1000;
    while (lines.n < n) {
        struct text t = {0};
        if ((features_mask & EFX_FEATURE_ADVANCE) != 0 && lines.n > 0 && dice(&d, 12) == 0) {
            int by = 1 + gaps[dice(&d, 11)] * 2;
            now += by;
            put(&t, "{\"advance\":%d}", by);
        } else {
            now += gaps[dice(&d, 11)];
            bool late = (features_mask & EFX_FEATURE_LATE) != 0 && dice(&d, 8) == 0;
            int64_t ts = late ? now - 1 - dice(&d, 60) : now;
            put(&t, "{\"stream\":\"%s\",\"ts\":%lld,\"data\":[%s,", base[dice(&d, 3)],
                (long long)ts, keys[dice(&d, 5)]);
            if (dice(&d, 8) == 0) {
                put(&t, "null,");
            } else {
                put(&t, "%d,", dice(&d, 7) - 1);
            }
            put(&t, "%lld]}",
                dice(&d, 5) == 0 ? 3000000000ll + dice(&d, 9) : (long long)dice(&d, 9));
        }
        efx_lines_add(&lines, t.s);
        free(t.s);
    }
    return lines;
}
