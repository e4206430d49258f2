-- The sample app of compose.yaml: what each card has spent.
CREATE STREAM Payments (card STRING, amount DOUBLE);

INSERT INTO Totals
SELECT card, count(*) AS n, sum(amount) AS total
FROM Payments
GROUP BY card;
