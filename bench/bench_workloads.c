#include "bench_workloads.h"

#include <string.h>

#define BID                                                                                        \
    "CREATE STREAM Bid (auction LONG, bidder LONG, price LONG, ts TIMESTAMP, key LONG) "           \
    "WITH ('event.time' = 'ts');\n"

#define PATTERN(above)                                                                             \
    BID "INSERT INTO Out SELECT e1.bidder AS bidder, e1.price AS p1, e2.price AS p2\n"             \
        "FROM PATTERN (EVERY e1=Bid[price > " above "]\n"                                          \
        "    -> e2=Bid[bidder = e1.bidder AND price < e1.price]) WITHIN 1 SECOND;\n"

const struct bench_workload bench_workloads[] = {
    {.name = "project",
     .sql = BID "INSERT INTO Out SELECT auction, bidder, 0.908 * price AS price, ts FROM Bid;\n",
     .n_cols = 4,
     .loop = bench_loop_project,
     .expected = {10000000, 0xbbeb547c9ee1a2f5, 0xd01b0c9d507db4ec}},
    {.name = "filter",
     .sql = BID "INSERT INTO Out SELECT auction, price FROM Bid WHERE auction % 123 = 0;\n",
     .n_cols = 2,
     .loop = bench_loop_filter,
     .expected = {81957, 0xa995b802d422ff3c, 0x0b7b1f318b153340}},
    {.name = "tumbling",
     .sql = BID "INSERT INTO Out SELECT auction, count(*) AS n\n"
                "FROM Bid WINDOW('tumbling', 10 SEC) GROUP BY auction;\n",
     .n_cols = 2,
     .loop = bench_loop_tumbling,
     .expected = {587347, 0x1acb32a5ddc6feae, 0x1c6ad859fa807ae4}},
    {.name = "length_avg",
     .sql = BID "INSERT INTO Out SELECT avg(price) AS a FROM Bid WINDOW('length', 1000);\n",
     .n_cols = 1,
     .loop = bench_loop_length_avg,
     .expected = {10000000, 0x09489d708be2feb7, 0xc16b81cffcea09e3}},
    {.name = "length_max",
     .sql = BID "INSERT INTO Out SELECT max(price) AS m FROM Bid WINDOW('length', 1000);\n",
     .n_cols = 1,
     .loop = bench_loop_length_max,
     .expected = {10000000, 0xc2ddc44dedd106a9, 0xfcda1660ffaa1c35}},
    {.name = "sliding",
     .sql = BID "INSERT INTO Out SELECT auction, avg(price) AS a, count(*) AS n\n"
                "FROM Bid WINDOW('sliding', 1 SEC) GROUP BY auction;\n",
     .n_cols = 3,
     .loop = bench_loop_sliding,
     .expected = {10000000, 0x8c346e6b4068de59, 0xf62f08ab868e2422}},
    {.name = "running",
     .sql =
         BID "INSERT INTO Out SELECT key, sum(price) AS s, count(*) AS n FROM Bid GROUP BY key;\n",
     .n_cols = 3,
     .loop = bench_loop_running,
     .expected = {10000000, 0x9d4caa801a6aeb21, 0xa6dd29dadae53358}},
    {.name = "pattern",
     .sql = PATTERN("94371840"),
     .n_cols = 3,
     .loop = bench_loop_pattern,
     .expected = {98206, 0x1c1ddf55eb13f078, 0x9a88c0a0deb7d8c9}},
    {.name = "pattern10",
     .sql = PATTERN("26214400"),
     .n_cols = 3,
     .loop = bench_loop_pattern10,
     .expected = {977343, 0x4eae8887ee53523d, 0x5e1059ad5c6a6a26}},
    {.name = "join",
     .sql = BID "CREATE STREAM Auction (id LONG, seller LONG, category LONG, ts TIMESTAMP) "
                "WITH ('event.time' = 'ts');\n"
                "INSERT INTO Out SELECT b.auction AS auction, b.bidder AS bidder,\n"
                "    b.price AS price, a.seller AS seller, a.category AS category\n"
                "FROM Bid AS b WINDOW('sliding', 1 SEC)\n"
                "JOIN Auction AS a WINDOW('sliding', 1 SEC) ON b.auction = a.id;\n",
     .n_cols = 5,
     .auctions = true,
     .loop = bench_loop_join,
     .expected = {9999994, 0x9d30007771c94196, 0xa499e46661353c69}},
    {.name = "self_join",
     .sql =
         BID "INSERT INTO Cold SELECT auction, bidder, price FROM Bid WHERE auction % 100 <> 0;\n"
             "INSERT INTO Out SELECT a.auction AS auction, a.bidder AS ab, a.price AS ap,\n"
             "    b.bidder AS bb, b.price AS bp\n"
             "FROM Cold AS a WINDOW('length', 100)\n"
             "JOIN Cold AS b WINDOW('length', 100) ON a.auction = b.auction;\n",
     .n_cols = 5,
     .loop = bench_loop_self_join,
     .expected = {13386457, 0x1218ab2d53401e26, 0xdf0fc7a77c4a02f2}},
    {.name = "lookup",
     .sql = BID "CREATE TABLE Items (id LONG PRIMARY KEY, category LONG, reserve LONG);\n"
                "INSERT INTO Out SELECT b.auction AS auction, b.price AS price,\n"
                "    i.category AS category, i.reserve AS reserve\n"
                "FROM Bid AS b JOIN Items AS i ON b.key = i.id;\n",
     .n_cols = 4,
     .items = true,
     .loop = bench_loop_lookup,
     .expected = {8999664, 0x5be29846eb341811, 0x263c47891147cdae}},
    {.name = "partition",
     .sql = BID "PARTITION WITH (key % 100000 OF Bid)\n"
                "BEGIN INSERT INTO Out SELECT key % 100000 AS k, sum(price) AS s\n"
                "FROM Bid WINDOW('length', 10); END;\n",
     .n_cols = 2,
     .loop = bench_loop_partition,
     .expected = {10000000, 0x3fbb0d80c78d7824, 0xd5edd669f62195e1}},
    {.name = "upsert",
     .sql = BID "CREATE TABLE Last (k LONG PRIMARY KEY, price LONG, bidder LONG);\n"
                "UPSERT INTO Last SELECT key AS k, price, bidder FROM Bid;\n",
     .read_back = "SELECT * FROM Last",
     .n_cols = 3,
     .loop = bench_loop_upsert,
     .expected = {999959, 0x2215cb0703f50f31, 0x55404ec80b264543}},
    {.name = "distinct",
     .sql = BID "INSERT INTO Out SELECT distinctCount(bidder) AS d\n"
                "FROM Bid WINDOW('tumbling', 1 SEC);\n",
     .n_cols = 1,
     .loop = bench_loop_distinct,
     .expected = {99, 0xf61d1393c50c7434, 0x3a474d9349f61749}},
};
const int bench_n_workloads = sizeof bench_workloads / sizeof *bench_workloads;

const struct bench_workload *bench_workload_named(const char *name)
{
    for (int w = 0; w < bench_n_workloads; w++) {
        if (strcmp(bench_workloads[w].name, name) == 0) {
            return &bench_workloads[w];
        }
    }
    return NULL;
}
