-- Prices that rise by more than a tenth within ten seconds, and what was traded in each minute.
CREATE STREAM Trades (at TIMESTAMP, symbol STRING, price DOUBLE, size INT)
    WITH ('event.time' = 'at');

INSERT INTO Spikes
SELECT e1.symbol AS symbol, e1.price AS before, e2.price AS after
FROM PATTERN (EVERY e1=Trades
              -> e2=Trades[symbol = e1.symbol AND price > e1.price * 1.1]) WITHIN 10 SEC;

INSERT INTO Minutes
SELECT symbol, sum(size) AS size, max(price) AS high
FROM Trades WINDOW('tumbling', 1 MIN, 0)
GROUP BY symbol;
