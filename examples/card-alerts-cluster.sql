-- Alerts over a stream of card payments, on a cluster: every statement is keyed by the card, so each
-- node works on its share of the cards. scripts/demo.sh runs this on three nodes and kills one.

CREATE STREAM Payments (card STRING NOT NULL, cents LONG, merchant INT, country STRING);

-- A running total: everything that was paid with a card. One row for each payment.
INSERT INTO Totals
SELECT card, count(*) AS payments, sum(cents) AS cents
FROM Payments
GROUP BY card;

-- A pattern: a card is tried with a small payment, then used for a large one.
INSERT INTO TriedCards
SELECT e1.card AS card, e1.cents AS first_cents, e2.cents AS cents, e2.country AS country
FROM PATTERN (EVERY e1=Payments[cents < 200] -> e2=Payments[cents > 50000]) WITHIN 1 HOUR
PARTITION BY card;

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
