#include "random_keyed.h"

/* Programs whose components run in batches, and most of them split by key: each gadget has
 * streams of its own, so nothing ties them together but the streams from outside.
 *
 *   chain      S ─► [filter] ─► GROUP BY key, window ─► projection ─► GROUP BY key ─► Xn
 *   block      PARTITION WITH (k OF S, …): inner stream, windows, patterns, limiters ─► Xn
 *   join       keyed sides, windows or WITHIN ─► second stage
 *   pattern    PARTITION BY k ─► second stage
 *   timers     several statements with one due time ─► one stream
 *   diamond    two ways from one stream, a plain merge ─► [stage]
 */
struct keyed {
    struct text *t;
    struct dice *d;
    int number; /* of the gadget; its streams are X<number>a, X<number>b … */
};

#define PICK(g, list) ((list)[dice((g)->d, (int)(sizeof(list) / sizeof((list)[0])))])

static const char *const base[] = {"S", "A", "B"};
static const char *const filters[] = {"v > 1",     "v IS NOT NULL",      "k <> 'a'",
                                      "v % 2 = 0", "k IS NULL OR v > 2", "l < 6"};
static const char *const timed[] = {
    "WINDOW('time', 20 ms)",      "WINDOW('time', 100 ms)",
    "WINDOW('timeBatch', 20 ms)", "WINDOW('timeBatch', 50 ms, 0)",
    "WINDOW('tumbling', 50 ms)",  "WINDOW('timeBatch', 20 ms, 7)",
    "WINDOW('session', 20 ms)",   "WINDOW('session', 30 ms, k, 10 ms)"};
static const char *const inside[] = {"WINDOW('length', 2)",        "WINDOW('length', 5)",
                                     "WINDOW('lengthBatch', 2)",   "WINDOW('time', 30 ms)",
                                     "WINDOW('timeBatch', 20 ms)", "WINDOW('timeBatch', 50 ms, 0)",
                                     "WINDOW('session', 20 ms)",   ""};
static const char *const aggregates[] = {
    "sum(v)",  "count(*)",          "min(v)",           "max(v)", "first(v)",
    "last(v)", "sum(v) + count(*)", "count(DISTINCT v)"};
static const char *const limits[] = {"OUTPUT FIRST EVERY 2 EVENTS", "OUTPUT FIRST EVERY 30 ms",
                                     "OUTPUT LAST EVERY 50 ms",     "OUTPUT ALL EVERY 50 ms",
                                     "OUTPUT EVERY 3 EVENTS",       "OUTPUT LAST EVERY 3 EVENTS"};
static const char *const kinds[] = {"", "", "ALL EVENTS ", "EXPIRED EVENTS "};

static bool one_in(struct keyed *g, int n)
{
    return dice(g->d, n) == 0;
}

static void limiter(struct keyed *g, int n)
{
    if (one_in(g, n)) {
        put(g->t, " %s", PICK(g, limits));
    }
}

/* k, v, l from rows of k, v, l. */
static void projection(struct keyed *g, const char *from, const char *to)
{
    static const char *const values[] = {"v", "v + 1", "coalesce(v, 0)", "v * 2"};
    put(g->t, "INSERT INTO %s SELECT k AS k, %s AS v, l AS l FROM %s", to, PICK(g, values), from);
    if (one_in(g, 2)) {
        put(g->t, " WHERE %s", PICK(g, filters));
    }
    put(g->t, ";\n");
}

static void groups(struct keyed *g, const char *from, const char *to)
{
    static const char *const keys[] = {"k", "k", "k", "k, l", "l % 3", "l, k"};
    const char *key = PICK(g, keys);
    bool window = !one_in(g, 4);
    put(g->t, "INSERT %sINTO %s SELECT k AS k, %s AS v, l AS l FROM %s",
        window ? PICK(g, kinds) : "", to, PICK(g, aggregates), from);
    put(g->t, " %s", window ? PICK(g, timed) : "");
    if (one_in(g, 3)) {
        put(g->t, " WHERE %s", PICK(g, filters));
    }
    put(g->t, " GROUP BY %s", key);
    if (one_in(g, 4)) {
        put(g->t, " HAVING count(*) > 1");
    }
    limiter(g, 4);
    put(g->t, ";\n");
}

/* What follows the first operator with a key. */
static void second(struct keyed *g, const char *from)
{
    char mid[16], to[16];
    snprintf(mid, sizeof mid, "X%dy", g->number);
    snprintf(to, sizeof to, "X%dz", g->number);
    switch (dice(g->d, 5)) {
    case 0: return;
    case 1: projection(g, from, to); break;
    case 2: groups(g, from, to); break;
    default:
        projection(g, from, mid);
        groups(g, mid, to);
        break;
    }
}

static void chain(struct keyed *g)
{
    char a[16], b[16];
    snprintf(a, sizeof a, "X%da", g->number);
    snprintf(b, sizeof b, "X%db", g->number);
    const char *from = PICK(g, base);
    if (one_in(g, 3)) {
        projection(g, from, a);
        from = a;
    }
    groups(g, from, b);
    second(g, b);
}

static void block(struct keyed *g)
{
    const char *from = PICK(g, base), *other = PICK(g, base);
    const char *key = one_in(g, 4) ? "l % 3" : "k";
    int n = 1 + dice(g->d, 3);
    char out[16];
    put(g->t, "PARTITION WITH (%s OF %s", key, from);
    if (other != from && one_in(g, 2)) {
        put(g->t, ", %s OF %s", key, other);
    } else {
        other = from;
    }
    put(g->t, ") BEGIN INSERT INTO #I%d SELECT k, v, l FROM %s %s; ", g->number, from,
        PICK(g, inside));
    for (int i = 0; i < n; i++) {
        char inner[16];
        snprintf(inner, sizeof inner, "#I%d", g->number);
        const char *of = one_in(g, 2) ? inner : one_in(g, 2) ? other : from;
        snprintf(out, sizeof out, "X%d%c", g->number, 'a' + i);
        switch (dice(g->d, 5)) {
        case 0:
            put(g->t,
                "INSERT INTO %s SELECT e2.k AS k, e1.v * 10 + e2.v AS v, e1.l AS l FROM PATTERN "
                "(EVERY e1=%s -> e2=%s[v > e1.v]) WITHIN 40 ms",
                out, inner, other);
            break;
        case 1:
            put(g->t,
                "INSERT INTO %s SELECT x.k AS k, x.v * 10 + y.v AS v, y.l AS l FROM %s AS x "
                "WINDOW('time', 20 ms) JOIN %s AS y WINDOW('length', 2) ON x.v = y.v",
                out, inner, other);
            break;
        default: {
            const char *window = PICK(g, inside);
            put(g->t, "INSERT %sINTO %s SELECT k AS k, %s AS v, l AS l FROM %s %s",
                window[0] != 0 ? PICK(g, kinds) : "", out, one_in(g, 3) ? "v" : PICK(g, aggregates),
                of, window);
            put(g->t, "%s", one_in(g, 3) ? " GROUP BY v" : "");
            break;
        }
        }
        limiter(g, 3);
        put(g->t, "; ");
    }
    put(g->t, "END;\n");
    snprintf(out, sizeof out, "X%da", g->number);
    second(g, out);
}

static void join(struct keyed *g)
{
    static const char *const windows[] = {"WINDOW('time', 20 ms)", "WINDOW('time', 60 ms)",
                                          "WINDOW('time', 5 ms)", "WINDOW('length', 3)"};
    static const char *const types[] = {"JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN"};
    static const char *const conds[] = {"x.k = y.k", "x.k = y.k AND x.v < y.v",
                                        "x.k = y.k AND x.l = y.l", "x.l = y.l"};
    char to[16];
    bool within = one_in(g, 3);
    bool adds = one_in(g, 4);
    snprintf(to, sizeof to, "X%da", g->number);
    put(g->t, "INSERT %sINTO %s SELECT coalesce(x.k, y.k) AS k, ", within ? "" : PICK(g, kinds),
        to);
    put(g->t, "%s AS v, coalesce(x.l, y.l) AS l", adds ? "sum(y.v)" : "x.v * 10 + y.v");
    put(g->t, " FROM %s AS x %s", PICK(g, base), within ? "" : PICK(g, windows));
    put(g->t, " %s %s AS y %s", PICK(g, types), PICK(g, base), within ? "" : PICK(g, windows));
    put(g->t, " ON %s%s", PICK(g, conds), within ? " WITHIN 30 ms" : "");
    put(g->t, "%s", adds ? " GROUP BY x.k" : "");
    limiter(g, 5);
    put(g->t, ";\n");
    second(g, to);
}

static void pattern(struct keyed *g)
{
    static const char *const chains[] = {"EVERY e1=%s -> e2=%s", "EVERY e1=%s -> e2=%s[v > e1.v]",
                                         "EVERY e1=%s{2,3} -> e2=%s",
                                         "EVERY e1=%s[v > 1] -> e2=%s{1,2}"};
    const char *of = PICK(g, chains);
    const char *first = PICK(g, base), *then = PICK(g, base);
    char to[16];
    snprintf(to, sizeof to, "X%da", g->number);
    put(g->t, "INSERT INTO %s SELECT k AS k, e1.v * 10 + e2.v AS v, e1.l AS l FROM PATTERN (", to);
    put(g->t, of, first, then);
    put(g->t, ") WITHIN %d ms PARTITION BY k", 10 + dice(g->d, 60));
    limiter(g, 4);
    put(g->t, ";\n");
    second(g, to);
}

/* Statements that are due at the same times, into one stream. */
static void timers(struct keyed *g)
{
    int n = 2 + dice(g->d, 3);
    char to[16];
    snprintf(to, sizeof to, "X%da", g->number);
    for (int i = 0; i < n; i++) {
        const char *from = PICK(g, base);
        if (one_in(g, 5)) {
            put(g->t, "INSERT INTO %s SELECT k AS k, v AS v, l AS l FROM %s;\n", to, from);
        } else if (one_in(g, 3)) {
            put(g->t,
                "INSERT INTO %s SELECT k AS k, v AS v, l AS l FROM %s GROUP BY k OUTPUT %s "
                "EVERY 50 ms;\n",
                to, from, one_in(g, 2) ? "LAST" : "ALL");
        } else {
            put(g->t,
                "INSERT %sINTO %s SELECT k AS k, sum(v) AS v, l + %d AS l FROM %s "
                "WINDOW('timeBatch', %d ms, 0) GROUP BY k;\n",
                PICK(g, kinds), to, i * 10, from, one_in(g, 2) ? 50 : 100);
        }
    }
    second(g, to);
}

/* Two or three ways to one node that a plain merge puts in order. */
static void diamond(struct keyed *g)
{
    char a[16], b[16], to[16];
    const char *from = PICK(g, base);
    snprintf(a, sizeof a, "X%da", g->number);
    snprintf(b, sizeof b, "X%db", g->number);
    snprintf(to, sizeof to, "X%dc", g->number);
    projection(g, from, a);
    if (one_in(g, 2)) {
        projection(g, from, b);
    } else {
        projection(g, a, b);
    }
    switch (dice(g->d, 4)) {
    case 0:
        put(g->t,
            "INSERT INTO %s SELECT e1.k AS k, e1.v * 10 + e2.v AS v, e2.l AS l FROM PATTERN (EVERY "
            "e1=%s -> e2=%s[v >= e1.v]) WITHIN 30 ms%s;\n",
            to, a, b, one_in(g, 2) ? " PARTITION BY k" : "");
        break;
    case 1:
        put(g->t,
            "INSERT INTO %s SELECT x.k AS k, x.v * 10 + y.v AS v, y.l AS l FROM %s AS x "
            "WINDOW('time', 20 ms) JOIN %s AS y WINDOW('length', 3) ON x.k = y.k;\n",
            to, a, b);
        break;
    default:
        projection(g, a, to);
        projection(g, b, to);
        if (one_in(g, 2)) {
            projection(g, PICK(g, base), to);
        }
        break;
    }
    second(g, to);
}

void efx_random_keyed(struct text *t, struct dice *d)
{
    struct keyed g = {.t = t, .d = d};
    static void (*const gadgets[])(struct keyed *) = {chain, chain,   block,  block,
                                                      join,  pattern, timers, diamond};
    int n = 1 + dice(d, 4);
    put(t, "CREATE STREAM S (k STRING, v INT, l LONG);\n");
    put(t, "CREATE STREAM A (k STRING, v INT, l LONG);\n");
    put(t, "CREATE STREAM B (k STRING, v INT, l LONG);\n");
    for (g.number = 0; g.number < n; g.number++) {
        PICK(&g, gadgets)(&g);
    }
}
