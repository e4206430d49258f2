#include "efx_reference.h"
#include "efx_test.h"

#include "efx_eval.h"
#include "efx_moment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The worked examples of language.md through the reference evaluator: what judges the engine must
 * itself give what the text says.
 *
 *   script   "S@1000 a,1; clock 1100; end"   without @ timestamps increase
 *   want     rows of Out (or `of`) a step, steps apart by " | ", "." = none; -(…) is expired;
 *            a table's rows at the end if `of` is a table
 */
struct example {
    const char *name;
    const char *sql;
    const char *script;
    const char *want;
    const char *of;
    bool ts; /* show timestamps */
};

#define S_AV    "CREATE STREAM S (a STRING, v INT); "
#define ABC     "CREATE STREAM A (v INT); CREATE STREAM B (v INT); CREATE STREAM C (v INT); "
#define LR      "CREATE STREAM L (id STRING, p INT); CREATE STREAM R (id STRING, q INT); "
#define PAT(p)  ABC "INSERT INTO Out SELECT e1.v AS x, e2.v AS y FROM PATTERN (" p ")"
#define PAT3(p) ABC "INSERT INTO Out SELECT e1.v AS x, e2.v AS y, e3.v AS z FROM PATTERN (" p ")"
#define KT      "CREATE TABLE T (k STRING PRIMARY KEY, v INT); CREATE STREAM S (k STRING, v INT); "

static const struct example examples[] = {
    {"8", S_AV "INSERT INTO Out SELECT a, sum(v) AS s FROM S", "S a,1; S b,2; S a,3",
     "(a,1) | (b,3) | (a,6)", NULL, false},
    {"9", S_AV "INSERT INTO Out SELECT a, sum(v) AS s FROM S GROUP BY a", "S a,1; S b,5; S a,2",
     "(a,1) | (b,5) | (a,3)", NULL, false},
    {"10",
     "CREATE STREAM S (a STRING); INSERT INTO M SELECT a FROM S; INSERT INTO Out SELECT a, 'viaM' "
     "AS p FROM M; INSERT INTO Out SELECT a, 'direct' AS p FROM S",
     "S x; S y", "(x,viaM) (x,direct) | (y,viaM) (y,direct)", NULL, false},
    {"11",
     S_AV
     "INSERT INTO Out SELECT a, sum(v) AS s FROM S WINDOW('lengthBatch', 2); INSERT ALL EVENTS "
     "INTO Out2 SELECT a, sum(v) AS s FROM S WINDOW('lengthBatch', 2)",
     "S a,1; S b,2; S c,3; S d,4", ". | (b,3) | . | (d,7)", NULL, false},
    {"11 all",
     S_AV "INSERT ALL EVENTS INTO Out SELECT a, sum(v) AS s FROM S WINDOW('lengthBatch', 2)",
     "S a,1; S b,2; S c,3; S d,4", ". | (b,3) | . | -(b,NULL) (d,7)", NULL, false},
    {"12",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT sum(v) AS s FROM S WINDOW('lengthBatch', 3) "
     "HAVING sum(v) > 5",
     "S 1; S 7; S -5", ". | . | .", NULL, false},
    {"13",
     "CREATE STREAM S (v INT); INSERT ALL EVENTS INTO Out SELECT sum(v) AS s FROM S "
     "WINDOW('length', 2)",
     "S 1; S 2; S 3", "(1) | (3) | -(2) (5)", NULL, false},
    {"13 expired",
     "CREATE STREAM S (v INT); INSERT EXPIRED EVENTS INTO Out SELECT sum(v) AS s FROM S "
     "WINDOW('length', 2)",
     "S 1; S 2; S 3", ". | . | -(2)", NULL, false},
    {"15",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT sum(v) AS s FROM S WINDOW('length', 2) WHERE "
     "v > 1",
     "S 1; S 2; S 3; S 4", ". | (2) | (5) | (7)", NULL, false},
    {"16",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT CASE WHEN v > 9 THEN 'hi' ELSE 'lo' END AS "
     "c, "
     "count(*) AS n FROM S GROUP BY c HAVING n > 1",
     "S 5; S 20; S 7; S 30", ". | . | (lo,2) | (hi,2)", NULL, false},
    {"17",
     S_AV
     "INSERT INTO Out SELECT a, sum(v) AS s FROM S WINDOW('lengthBatch', 5) GROUP BY a ORDER BY "
     "s DESC LIMIT 2",
     "S a,1; S b,7; S c,3; S a,9; S c,2", ". | . | . | . | (a,10) (b,7)", NULL, false},
    {"18",
     "CREATE STREAM Ticks (sym STRING, px DOUBLE); SELECT sym, px * 2 AS p2 FROM Ticks INSERT INTO "
     "D; "
     "SELECT p2 FROM D WHERE p2 > 5 INSERT INTO Out",
     "Ticks a,2; Ticks b,3", ". | (6.0)", NULL, false},
    {"19",
     "CREATE STREAM S (a STRING); CREATE STREAM Out (a INT, b STRING); INSERT INTO Out (b) SELECT "
     "a "
     "FROM S",
     "S x", "(NULL,x)", NULL, false},
    {"20",
     "CREATE STREAM L (l LONG); CREATE STREAM Out (n INT); INSERT INTO Out SELECT sum(l) AS n FROM "
     "L",
     "L 2000000000; L 2000000000", "(2000000000) | .", NULL, false},
    {"21", "CREATE STREAM S (v INT); INSERT INTO Out SELECT max(v) AS m FROM S WINDOW('length', 2)",
     "S 9; S 1; S 2", "(9) | (9) | (2)", NULL, false},
    {"22",
     "CREATE STREAM S (v INT); INSERT ALL EVENTS INTO Out SELECT sum(v) AS s FROM S WINDOW('time', "
     "100 ms)",
     "S@1000 1; S@1050 2; clock 1100; clock 1160; S@1170 3",
     "(1)@1000 | (3)@1050 | -(2)@1100 | -(NULL)@1150 | (3)@1170", NULL, true},
    {"28", S_AV "INSERT INTO Out SELECT a, sum(v) AS s FROM S WINDOW('lengthBatch', 4) GROUP BY a",
     "S b,1; S a,2; S b,3; S c,4", ". | . | . | (b,4) (a,2) (c,4)", NULL, false},
    {"29",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT sum(v) AS s FROM S WINDOW('tumbling', 100 "
     "ms); "
     "INSERT ALL EVENTS INTO Out2 SELECT sum(v) AS s FROM S WINDOW('tumbling', 100 ms)",
     "S@1000 1; S@1050 2; S@1100 3; clock 1200; clock 1300; S@1310 4; clock 1500",
     ". | . | (3) | (3) | . | . | (4)", NULL, false},
    {"30",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT sum(v) AS s FROM S WINDOW('tumbling', 100 "
     "ms, "
     "30 ms)",
     "S@1000 1; S@1029 2; S@1030 4; clock 1130", ". | . | (3) | (4)", NULL, false},
    {"37",
     "CREATE STREAM S (a STRING); INSERT INTO Out SELECT a, count(*) AS c FROM S WINDOW "
     "SESSION(100 "
     "ms) GROUP BY a",
     "S@1000 x; S@1030 y; S@1080 x; clock 1130; clock 1180", ". | . | . | (y,1) | (x,2)", NULL,
     false},
    {"38",
     "CREATE STREAM S (a STRING); INSERT INTO Out SELECT count(*) AS c FROM S WINDOW('session', "
     "100 "
     "ms, a, 50 ms)",
     "S@1000 x; S@1040 x; S@1145 x; S@1060 x; clock 1295", ". | . | . | . | (4)", NULL, false},
    {"44",
     LR "INSERT ALL EVENTS INTO Out SELECT l.p, r.q FROM L AS l WINDOW('length', 2) JOIN R AS r "
        "WINDOW('length', 2) ON l.id = r.id",
     "L a,1; R a,10; L a,2; L b,3; R b,20; R a,30",
     ". | (1,10) | (2,10) | -(1,10) | (3,20) | -(2,10) (2,30)", NULL, false},
    {"45",
     LR "INSERT INTO Out SELECT l.p, r.q FROM L AS l WINDOW('length', 5) LEFT JOIN R AS r "
        "WINDOW('length', 5) ON l.id = r.id",
     "L a,1; R a,10; R z,9; L b,2", "(1,NULL) | (1,10) | . | (2,NULL)", NULL, false},
    {"46",
     LR "INSERT INTO Out SELECT sum(l.p) AS p, sum(r.q) AS q, count(*) AS c FROM L AS l "
        "WINDOW('length', 2) JOIN R AS r WINDOW('length', 2) ON l.id = r.id",
     "L a,1; R a,10; L a,2; R a,20; L a,3",
     ". | (1,10,1) | (3,20,2) | (4,40,3) (6,60,4) | (7,40,3) (10,60,4)", NULL, false},
    {"47",
     LR
     "INSERT INTO Out SELECT l.p, r.q FROM L AS l UNIDIRECTIONAL JOIN R AS r WINDOW('length', 2) "
     "ON l.id = r.id",
     "R a,10; L a,1; R a,11; L a,2", ". | (1,10) | . | (2,10) (2,11)", NULL, false},
    {"48",
     "CREATE STREAM L (v INT); INSERT INTO Out SELECT x.v AS a, y.v AS b FROM L AS x "
     "WINDOW('length', 3) JOIN L AS y WINDOW('length', 3)",
     "L 1; L 2", "(1,1) | (2,1) (1,2) (2,2)", NULL, false},
    {"49",
     "CREATE STREAM A (k STRING, v INT); CREATE STREAM B (k STRING, v INT); INSERT INTO Out SELECT "
     "A.v AS a, B.v AS b FROM A JOIN B ON A.k = B.k WITHIN 5 SECONDS",
     "A@1000 k,1; B@6000 k,7; B@6001 k,8", ". | (1,7) | .", NULL, false},
    {"50",
     "CREATE STREAM A (k STRING, v INT); CREATE STREAM B (k STRING, v INT); INSERT INTO Out SELECT "
     "A.v AS a, B.v AS b FROM A WINDOW('tumbling', 1 SEC) JOIN B WINDOW('tumbling', 1 SEC) ON A.k "
     "= "
     "B.k",
     "A@0 k,1; B@300 k,7; clock 1000; A@1200 k,2; B@1300 k,8; clock 2000",
     ". | . | (1,7) | . | . | (2,8)", NULL, false},
    {"138",
     LR "INSERT ALL EVENTS INTO Out SELECT count(*) AS c, sum(r.q) AS s FROM L AS l "
        "WINDOW('lengthBatch', 2) JOIN R AS r WINDOW('length', 2) ON l.id = r.id",
     "R a,1; R a,2; L a,1; L a,1; R a,5; L a,1; L a,1",
     ". | . | . | (4,6) | -(3,5) -(2,4) (3,9) (4,14) | . | -(0,NULL) (4,14)", NULL, false},
    {"139",
     LR
     "INSERT ALL EVENTS INTO Out SELECT l.p, r.q FROM L AS l WINDOW('lengthBatch', 2) JOIN R AS r "
     "WINDOW('lengthBatch', 2) ON l.id = r.id",
     "L a,1; L b,2; R a,10; R b,20; L a,3; L a,4; R a,30; R a,40",
     ". | . | . | (1,10) (2,20) | . | -(1,10) -(2,20) (3,10) (4,10) | . | -(3,10) -(4,10) (3,30) "
     "(4,30) (3,40) (4,40)",
     NULL, false},
    {"54", PAT("e1=A -> e2=B"), "A 1; A 2; B 10; A 3; B 11", ". | . | (1,10) | . | .", NULL, false},
    {"55", PAT("EVERY e1=A -> e2=B"), "A 1; A 2; B 10; B 11; A 3; B 12",
     ". | . | (1,10) (2,10) | . | . | (3,12)", NULL, false},
    {"56", PAT("EVERY (e1=A -> e2=B)"), "A 1; A 2; B 10", ". | . | (1,10) (2,10)", NULL, false},
    {"56 skip", PAT("EVERY (e1=A -> e2=B)") " AFTER MATCH SKIP PAST LAST ROW",
     "A 1; A 2; B 10; B 11; A 3; A 4; B 12", ". | . | (1,10) | . | . | . | (3,12)", NULL, false},
    {"57", PAT3("e1=A -> EVERY e2=B -> e3=C"), "A 1; A 2; B 10; B 11; C 9; B 12; C 8",
     ". | . | . | . | (1,10,9) (1,11,9) | . | (1,12,8)", NULL, false},
    {"58", PAT3("EVERY (e1=A -> e2=B) -> e3=C"), "A 1; B 10; A 2; A 3; B 11; C 9",
     ". | . | . | . | . | (1,10,9) (2,11,9) (3,11,9)", NULL, false},
    {"59", PAT3("EVERY e1=A -> e2=A -> e3=A"), "A 1; A 2; A 3; A 4; A 5",
     ". | . | (1,2,3) | (2,3,4) | (3,4,5)", NULL, false},
    {"60", PAT("EVERY (e1=A -> e2=A)"), "A 1; A 2; A 3; A 4", ". | (1,2) | (2,3) | (3,4)", NULL,
     false},
    {"60 skip", PAT("EVERY (e1=A -> e2=A)") " AFTER MATCH SKIP PAST LAST ROW", "A 1; A 2; A 3; A 4",
     ". | (1,2) | . | (3,4)", NULL, false},
    {"61", PAT3("EVERY e1=A -> e2=A[v > e1.v] -> e3=A[v > e2.v]"), "A 1; A 5; A 3; A 9; A 4; A 10",
     ". | . | . | (1,5,9) | . | (5,9,10) (3,9,10)", NULL, false},
    {"62",
     ABC "INSERT INTO Out SELECT e1[0].v AS a, e1[1].v AS b, e1[2].v AS c, e2.v AS d FROM PATTERN "
         "(e1=A{2,3} -> e2=B)",
     "A 1; B 9; A 2; B 10", ". | . | . | (1,2,NULL,10)", NULL, false},
    {"63",
     ABC
     "INSERT INTO Out SELECT e1[0].v AS a, e1[last - 1].v AS b, e1[last].v AS c, e2.v AS d FROM "
     "PATTERN (e1=A{2,3} -> e2=B)",
     "A 1; A 2; A 3; A 4; B 10", ". | . | . | . | (1,2,3,10)", NULL, false},
    {"64",
     ABC "INSERT INTO Out SELECT e1[0].v AS a, e1[1].v AS b, e1[2].v AS c, e2.v AS d FROM PATTERN "
         "(EVERY e1=A{2,3} -> e2=B)",
     "A 1; A 2; A 3; A 4; A 5; B 10", ". | . | . | . | . | (1,2,3,10) (3,4,5,10)", NULL, false},
    {"65",
     ABC "INSERT INTO Out SELECT e1.v AS a, count(e2) AS n, e3.v AS c FROM PATTERN (e1=A -> "
         "e2=B{0,2} -> e3=C)",
     "A 1; C 9", ". | (1,0,9)", NULL, false},
    {"66", ABC "INSERT INTO Out SELECT e1[0].v AS a, e1[1].v AS b FROM PATTERN (EVERY e1=A{2,})",
     "A 1; A 2; A 3; A 4", ". | (1,2) | . | (3,4)", NULL, false},
    {"67",
     ABC "INSERT INTO Out SELECT e1[0].v AS a, e1[1].v AS b, e1[2].v AS c, e2.v AS d FROM PATTERN "
         "(e1=A[v > 10]{2,} -> e2=A[v < 5])",
     "A 11; A 7; A 12; A 13; A 4", ". | . | . | . | (11,12,13,4)", NULL, false},
    {"68",
     ABC "INSERT INTO Out SELECT e1.v AS a, count(e2) AS n, sum(e2.v) AS s, e3.v AS c FROM PATTERN "
         "(EVERY e1=A -> e2=B{2,3} -> e3=C)",
     "A 1; B 2; A 3; B 4; B 5; C 9", ". | . | . | . | . | (1,3,11,9) (3,2,9,9)", NULL, false},
    {"140",
     ABC "INSERT INTO Out SELECT count(e1) AS n, e1[0].v AS a, e2.v AS b FROM PATTERN (EVERY e1=A* "
         "-> e2=B)",
     "A 1; B 2; B 3", ". | (1,1,2) (0,NULL,2) | (0,NULL,3)", NULL, false},
    {"90", PAT("EVERY e1=A -> e2=B") " WITHIN 10 ms",
     "A@1 1; A@5 2; B@12 9; A@20 3; B@30 8; A@40 4; B@51 7", ". | . | (2,9) | . | (3,8) | . | .",
     NULL, false},
    {"91", PAT("EVERY (e1=A -> e2=B)") " WITHIN 10 ms", "A@1 1; B@12 7; A@26 3; A@37 4; B@38 9",
     ". | . | . | . | (4,9)", NULL, false},
    {"92", PAT("EVERY e1=A -> e2=B WITHIN 3 EVENTS"), "A 1; A 2; A 3; B 9",
     ". | . | . | (2,9) (3,9)", NULL, false},
    {"93",
     ABC "INSERT ALL EVENTS INTO Out SELECT e1.v AS a, e2.v AS b FROM PATTERN (EVERY e1=A -> e2=B) "
         "WITHIN 10 ms",
     "A@1 1; clock 11; clock 12", ". | . | -(1,NULL)@11", NULL, true},
    {"94", PAT3("(e1=A -> e2=B WITHIN 10 ms) -> e3=C"), "A@1 1; B@5 2; C@900 3", ". | . | (1,2,3)",
     NULL, false},
    {"95",
     "CREATE STREAM A (k STRING, v INT); CREATE STREAM B (k STRING, v INT); INSERT INTO Out SELECT "
     "k, e1.v AS a, e2.v AS b FROM PATTERN (EVERY e1=A -> e2=B) PARTITION BY k",
     "A x,1; A y,2; B x,9; B y,8", ". | . | (x,1,9) | (y,2,8)", NULL, false},
    {"96",
     ABC "INSERT INTO Out SELECT count(e1) AS n, avg(e1.v) AS m, e1[last].v AS l FROM PATTERN "
         "(e1=A{3})",
     "A 10; A 20; A 60", ". | . | (3,30.0,60)", NULL, false},
    {"97",
     ABC "INSERT INTO Out SELECT count(*) AS n, sum(e2.v) AS s FROM PATTERN (EVERY e1=A -> e2=B)",
     "A 1; A 2; B 10", ". | . | (1,10) (2,20)", NULL, false},
    {"101", S_AV "PARTITION WITH (a OF S) BEGIN INSERT INTO Out SELECT a, sum(v) AS s FROM S; END",
     "S x,1; S y,2; S x,3", "(x,1) | (y,2) | (x,4)", NULL, false},
    {"102",
     S_AV "PARTITION WITH (a OF S) BEGIN INSERT INTO Out SELECT a, sum(v) AS s FROM S "
          "WINDOW('lengthBatch', 2); END",
     "S x,1; S y,2; S x,3; S y,4", ". | . | (x,4) | (y,6)", NULL, false},
    {"103",
     "CREATE STREAM S (v INT); PARTITION WITH (v < 10 AS 'low' OR v >= 5 AS 'high' OF S) BEGIN "
     "INSERT INTO Out SELECT v, count(*) AS c FROM S; END",
     "S 1; S 7; S 20; S NULL", "(1,1) | (7,2) (7,1) | (20,2) | .", NULL, false},
    {"104",
     "CREATE STREAM S (region STRING, item STRING, v INT); PARTITION WITH (region OF S, item OF S) "
     "BEGIN INSERT INTO Out SELECT sum(v) AS s FROM S; END",
     "S eu,pen,1; S eu,ink,2; S eu,pen,3", "(1) | (2) | (4)", NULL, false},
    {"105", KT "INSERT INTO T SELECT * FROM S", "S x,1; S x,2", "(x,1)", "T", false},
    {"106",
     "CREATE TABLE T (k STRING, a INT, b INT); CREATE STREAM U (k STRING); UPDATE T SET a = b, b = "
     "a "
     "FROM U WHERE T.k = U.k",
     "T x,1,2; U x", "(x,2,1)", "T", false},
    {"107",
     "CREATE TABLE T (k STRING, v INT); CREATE STREAM U (k STRING, d INT); UPDATE T SET v = T.v + "
     "U.d FROM U WHERE T.k = U.k",
     "T x,1; U x,5; U z,5", "(x,6)", "T", false},
    {"108",
     "CREATE TABLE T (k STRING, v INT); CREATE STREAM S (k STRING, v INT); UPSERT INTO T SELECT k, "
     "v "
     "FROM S ON T.k = S.k",
     "S x,1; S x,2; S y,3", "(x,2) (y,3)", "T", false},
    {"109",
     "CREATE TABLE T (k STRING, v INT); CREATE STREAM D (k STRING); DELETE FROM T USING D WHERE "
     "T.k "
     "= D.k",
     "T x,2; T y,3; D x", "(y,3)", "T", false},
    {"110",
     "CREATE TABLE Counts (k STRING PRIMARY KEY, n LONG); CREATE STREAM S (k STRING); UPSERT INTO "
     "Counts SELECT k, count(*) AS n FROM S GROUP BY k",
     "S x; S y; S x", "(x,2) (y,1)", "Counts", false},
    {"111", KT "CREATE STREAM Q (a STRING); INSERT INTO Out SELECT a FROM Q WHERE a IN T",
     "T x,5; Q x; Q y", ". | (x) | .", NULL, false},
    {"111 condition",
     KT
     "CREATE STREAM Q (a STRING, v INT); INSERT INTO Out SELECT a FROM Q WHERE (T.k = a AND T.v > "
     "v) IN T",
     "T x,5; Q x,1; Q x,9", ". | (x) | .", NULL, false},
    {"116", "CREATE STREAM S (v INT); INSERT INTO Out SELECT v FROM S OUTPUT ALL EVERY 3 EVENTS",
     "S 1; S 2; S 3; S 4; S 5; S 6; S 7; end",
     ". | . | (1) (2) (3) | . | . | (4) (5) (6) | . | (7)", NULL, false},
    {"117", "CREATE STREAM S (v INT); INSERT INTO Out SELECT v FROM S OUTPUT FIRST EVERY 3 EVENTS",
     "S 1; S 2; S 3; S 4; S 5; S 6; S 7; end", "(1) | . | . | (4) | . | . | (7) | .", NULL, false},
    {"117 last",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT v FROM S OUTPUT LAST EVERY 3 EVENTS",
     "S 1; S 2; S 3; S 4; S 5; S 6; S 7; end", ". | . | (3) | . | . | (6) | . | (7)", NULL, false},
    {"118",
     S_AV "INSERT INTO Out SELECT a, sum(v) AS s FROM S GROUP BY a OUTPUT FIRST EVERY 3 EVENTS",
     "S a,1; S b,2; S a,3; S a,4; S a,5", "(a,1) | (b,2) | . | . | (a,13)", NULL, false},
    {"118 last",
     S_AV "INSERT INTO Out SELECT a, sum(v) AS s FROM S GROUP BY a OUTPUT LAST EVERY 3 EVENTS",
     "S a,1; S b,2; S a,3", ". | . | (a,4) (b,2)", NULL, false},
    {"119", "CREATE STREAM S (a STRING); INSERT INTO Out SELECT a FROM S OUTPUT FIRST EVERY 200 ms",
     "S@0 a; S@50 b; S@150 c; S@250 d", "(a) | . | . | (d)", NULL, false},
    {"119 last",
     "CREATE STREAM S (a STRING); INSERT INTO Out SELECT a FROM S OUTPUT LAST EVERY 200 ms",
     "S@0 a; S@50 b; clock 200; clock 400", ". | . | (b) | .", NULL, false},
    {"121",
     "CREATE STREAM S (v INT); CREATE TRIGGER Beat AT EVERY 5 SECONDS; INSERT INTO Out SELECT "
     "triggered_time AS t FROM Beat; INSERT INTO Out SELECT v AS t FROM S",
     "S@1000 1; S@6000 2; S@12000 3", "(1) | (6000) (2) | (11000) (3)", NULL, false},
    {"123",
     "CREATE STREAM S (t LONG) WITH ('event.time' = 't', 'watermark.delay' = '5 sec'); INSERT INTO "
     "Out SELECT t FROM S",
     "S 10000; S 12000; S 11000; S 20000", ". | . | . | (10000) (11000) (12000)", NULL, false},
    {"124",
     "CREATE STREAM S (v INT); CREATE STREAM X (v INT); INSERT ALL EVENTS INTO Out SELECT sum(v) "
     "AS "
     "s FROM S WINDOW('time', 100 ms)",
     "X@1200 0; S@1050 7", ". | (7)@1050 -(NULL)@1200", NULL, true},
    {"125",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT sum(v) AS s FROM S WINDOW('tumbling', 100 "
     "ms)",
     "S@1000 1; S@1110 2; S@1050 5; clock 1200", ". | (1) | . | (7)", NULL, false},
    {"126",
     "CREATE STREAM S (k STRING, l LONG) WITH ('on.error' = 'stream'); CREATE STREAM O (n INT); "
     "INSERT INTO O (n) SELECT l AS n FROM S; INSERT INTO Out SELECT k, substring(_error, 1, 8) AS "
     "e FROM !S",
     "S a,7; S b,3000000000; S c,1", ". | (b,EFX-3101) | .", NULL, false},
    {"130",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT sum(v) AS s, count(v) AS c, count(*) AS n "
     "FROM "
     "S WINDOW('length', 3)",
     "S 4; S 5; S NULL; S NULL; S NULL", "(4,1,1) | (9,2,2) | (9,2,3) | (5,1,3) | (NULL,0,3)", NULL,
     false},
    {"131",
     S_AV
     "INSERT INTO Out SELECT count(*) FILTER (WHERE v > 9) AS hi, count(DISTINCT a) AS d FROM S",
     "S x,5; S y,20; S x,30", "(0,1) | (1,2) | (2,2)", NULL, false},
    {"132",
     "CREATE STREAM S (a STRING); INSERT INTO Out SELECT first(a) AS f, last(a) AS l, min(a) AS m "
     "FROM S WINDOW('length', 2)",
     "S b; S a; S c", "(b,b,b) | (b,a,a) | (a,c,a)", NULL, false},
    {"133",
     "CREATE STREAM S (d DOUBLE); INSERT INTO Out SELECT sum(d) AS s FROM S WINDOW('length', 1)",
     "S 0.1; S 0.2; S 0.3", "(0.1) | (0.2) | (0.3)", NULL, false},
    {"windows in a row: at one boundary the first one's flush is in the second one's batch",
     "CREATE STREAM S (v INT); INSERT INTO M SELECT sum(v) AS s FROM S WINDOW('tumbling', 100 ms, "
     "0); "
     "INSERT INTO Out SELECT sum(s) AS s, count(*) AS n FROM M WINDOW('tumbling', 200 ms, 0)",
     "S@10 1; S@110 2; clock 200; S@210 4; S@310 8; clock 400", ". | . | (3,2) | . | . | (12,2)",
     NULL, false},
    {"a flush at a tick is released by that tick",
     "CREATE STREAM S (v INT); INSERT INTO Out SELECT sum(v) AS s FROM S WINDOW('tumbling', 100 "
     "ms, "
     "0) OUTPUT ALL EVERY 100 ms",
     "S@0 1; clock 100; S@150 2; clock 200; clock 300", ". | (1) | . | (2) | .", NULL, false},
    {"an event on a boundary that a trigger brought belongs to the next batch",
     "CREATE STREAM S (v INT); CREATE TRIGGER Beat AT EVERY 100 ms; INSERT INTO Out SELECT "
     "count(*) "
     "AS n FROM Beat WINDOW('tumbling', 200 ms, 0)",
     "S@0 1; clock 200; clock 400; clock 600", ". | (1) | (2) | (2)", NULL, false},
};

struct bench { /* one example running */
    struct efx_arena arena;
    struct efx_program *p;
    struct efx_reference *r;
    int64_t now_ms;
    uint32_t shown;
    char got[4096];
};

static const struct efx_bobject *object(const struct bench *b, const char *name)
{
    for (uint32_t i = 0; i < b->p->n_objects; i++) {
        if (strcmp(b->p->objects[i]->schema.name, name) == 0) {
            return b->p->objects[i];
        }
    }
    fail_msg("no object %s", name);
    return NULL;
}

static void compile(struct bench *b, const struct example *e)
{
    struct efx_diags diags;
    struct efx_ast *ast;
    efx_arena_init(&b->arena, &efx_mem_libc, SIZE_MAX);
    efx_diags_init(&diags, &b->arena, efx_str_of(e->sql), e->name);
    enum efx_rc rc = efx_parse_program(&b->arena, &diags, &ast);
    if (rc == EFX_OK) {
        rc = efx_bind_program(&b->arena, &efx_reference_registry, ast, &diags, NULL, &b->p);
    }
    if (diags.n_errors > 0 && diags.errors->code == 9001) {
        print_message("Ex %s: %s\n", e->name, diags.errors->msg);
        efx_arena_fini(&b->arena);
        skip(); /* the binder does not let it through yet; the reference knows it */
    }
    if (rc != EFX_OK || diags.n_errors > 0) {
        fail_msg("Ex %s: %s", e->name,
                 diags.errors != NULL ? efx_diag_text(&diags, diags.errors) : "does not bind");
    }
    const char *why;
    b->r = efx_reference_create(b->p, &why);
    if (b->r == NULL) {
        fail_msg("Ex %s: not known: %s", e->name, why);
    }
}

static void show(struct bench *b, const char *fmt, const char *text)
{
    size_t n = strlen(b->got);
    snprintf(b->got + n, sizeof b->got - n, fmt, text);
}

static void show_value(struct bench *b, const struct efx_value *v)
{
    struct efx_value s;
    efx_eval_cast(v, EFX_TYPE_STRING, &b->arena, &s);
    show(b, "%s", v->null ? "NULL" : efx_arena_str(&b->arena, s.s.p, s.s.n));
}

static void show_row(struct bench *b, const struct efx_reference_row *row, bool ts)
{
    size_t n = strlen(b->got);
    show(b, "%s(", n > 0 && b->got[n - 1] != ' ' ? " " : "");
    if (row->expired) {
        b->got[strlen(b->got) - 1] = 0;
        show(b, "%s", "-(");
    }
    for (uint32_t i = 0; i < row->n; i++) {
        show(b, "%s", i > 0 ? "," : "");
        show_value(b, &row->values[i]);
    }
    show(b, "%s", ")");
    if (ts) {
        show(b, "@%s", efx_arena_printf(&b->arena, "%lld", (long long)row->ts_ms));
    }
}

static void show_step(struct bench *b, const struct example *e, bool first)
{
    uint32_t n;
    const struct efx_reference_row *rows = efx_reference_rows(b->r, &n);
    uint32_t of = object(b, e->of != NULL ? e->of : "Out")->id;
    bool any = false;
    show(b, "%s", first ? "" : " | ");
    for (; b->shown < n; b->shown++) {
        if (rows[b->shown].stream == of) {
            show_row(b, &rows[b->shown], e->ts);
            any = true;
        }
    }
    show(b, "%s", any ? "" : ".");
}

/* "S@1000 a,1" */
static void send(struct bench *b, char *step)
{
    char *data = strchr(step, ' ');
    *data++ = 0;
    char *at = strchr(step, '@');
    int64_t ts_ms = b->now_ms + 1;
    if (at != NULL) {
        *at = 0;
        ts_ms = strtoll(at + 1, NULL, 10);
    }
    b->now_ms = ts_ms > b->now_ms ? ts_ms : b->now_ms;
    const struct efx_bobject *o = object(b, step);
    struct efx_value v[16];
    for (uint32_t i = 0; i < o->schema.n_cols; i++) {
        size_t n = strcspn(data, ",");
        struct efx_value text = {.type = EFX_TYPE_STRING, .s = {data, (uint32_t)n}};
        v[i] = efx_value_null(o->schema.cols[i].type);
        if (n != 4 || strncmp(data, "NULL", 4) != 0) {
            efx_eval_cast(&text, o->schema.cols[i].type, &b->arena, &v[i]);
        }
        data += n + (data[n] == ',');
    }
    efx_reference_send(b->r, o->id, ts_ms, v);
}

static void step(struct bench *b, char *text)
{
    if (strncmp(text, "clock ", 6) == 0) {
        int64_t to = strtoll(text + 6, NULL, 10);
        efx_reference_advance(b->r, to - b->now_ms);
        b->now_ms = to;
    } else if (strcmp(text, "end") == 0) {
        efx_reference_finish(b->r, 0);
    } else {
        send(b, text);
    }
}

static void run_example(const struct example *e)
{
    struct bench b = {0};
    compile(&b, e);
    bool table = e->of != NULL && object(&b, e->of)->kind == EFX_OBJ_TABLE;
    char *script = efx_arena_str(&b.arena, e->script, strlen(e->script));
    bool first = true;
    for (char *at = script; at != NULL; first = false) {
        char *end = strstr(at, "; ");
        if (end != NULL) {
            *end = 0;
        }
        step(&b, at);
        if (!table) {
            show_step(&b, e, first);
        }
        at = end != NULL ? end + 2 : NULL;
    }
    uint32_t n = 0;
    const struct efx_reference_row *rows =
        table ? efx_reference_table(b.r, object(&b, e->of)->id, &n) : NULL;
    for (uint32_t i = 0; i < n; i++) {
        show_row(&b, &rows[i], false);
    }
    if (strcmp(b.got, e->want) != 0) {
        print_error("Ex %s\n  want %s\n  got  %s\n", e->name, e->want, b.got);
    }
    assert_string_equal(b.got, e->want);
    efx_reference_destroy(b.r);
    efx_arena_fini(&b.arena);
}

static void run_state(void **state)
{
    run_example(*state);
}

int main(void)
{
    enum { N = sizeof examples / sizeof examples[0] };
    static struct CMUnitTest tests[N];
    for (uint32_t i = 0; i < N; i++) {
        tests[i] = (struct CMUnitTest){.name = examples[i].name,
                                       .test_func = run_state,
                                       .initial_state = (void *)(uintptr_t)&examples[i]};
    }
    return _cmocka_run_group_tests("examples of language.md", tests, N, NULL, NULL);
}
