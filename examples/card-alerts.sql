-- Alerts over a stream of card payments. scripts/demo.sh runs this over three million of them and
-- compares every row with what plain loops find (examples/payments/check_payments.c).

CREATE STREAM Payments (
    ts       TIMESTAMP,
    card     STRING NOT NULL,
    merchant INT,
    cents    LONG,
    country  STRING
) WITH ('event.time' = 'ts');                  -- time is what the payments say

CREATE TABLE Blocked (merchant INT PRIMARY KEY, reason STRING);

-- A sliding sum: more than 2,000.00 on one card within an hour.
INSERT INTO HighSpend
SELECT card, count(*) AS payments, sum(cents) AS cents
FROM Payments WINDOW('time', 1 HOUR)
GROUP BY card
HAVING sum(cents) > 200000;

-- A pattern: a card is tried with a small payment, then used for a large one within a minute.
INSERT INTO TriedCards
SELECT e1.card AS card, e1.cents AS first_cents, e2.cents AS cents, e2.ts - e1.ts AS after_ms
FROM PATTERN (EVERY e1=Payments[cents < 200]
              -> e2=Payments[card = e1.card AND cents > 50000]) WITHIN 1 MIN;

-- A join: payments to merchants in the table.
INSERT INTO BlockedPayments
SELECT p.card AS card, p.merchant AS merchant, p.cents AS cents, b.reason AS reason
FROM Payments AS p JOIN Blocked AS b ON p.merchant = b.merchant;

-- A partition: each card has its own copy of what is inside. Of its last ten payments the newest is
-- more than two thirds.
PARTITION WITH (card OF Payments)
BEGIN
    INSERT INTO #LastTen
    SELECT card, cents, sum(cents) AS ten, count(*) AS n
    FROM Payments WINDOW('length', 10);

    INSERT INTO Unusual
    SELECT card, cents, ten FROM #LastTen WHERE n = 10 AND cents * 3 > ten * 2;
END;

-- A report: what was paid in each country, hour by hour.
INSERT INTO Hourly
SELECT country, count(*) AS payments, sum(cents) AS cents
FROM Payments WINDOW('tumbling', 1 HOUR, 0)
GROUP BY country;
