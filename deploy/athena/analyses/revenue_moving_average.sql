-- How does revenue develop beyond the ups and downs of a week? Revenue of each day and its average over the seven days that end with it.
--
-- Days without an order have no row, and count as zero in the averages of the days behind them. On the first six days the average is over the days since the
-- first one.
--
-- Columns, one row for each day with an order that stands (see daily_revenue):
--   day                  date (UTC)
--   orders               number of orders
--   revenue              the shop's currency
--   days                 how many days the average is over, 1 to 7
--   average_of_7_days    revenue a day, the shop's currency, rounded half up to cents
--
-- Source view: daily_revenue.
WITH days AS (
    SELECT day, CAST(sum(orders) AS bigint) AS orders, CAST(sum(revenue) AS decimal(38, 2)) AS revenue
    FROM daily_revenue
    WHERE day IS NOT NULL
    GROUP BY day
),
weeks AS (
    SELECT
        day,
        orders,
        revenue,
        CAST(sum(revenue) OVER (ORDER BY day RANGE BETWEEN INTERVAL '6' DAY PRECEDING AND CURRENT ROW) AS decimal(38, 2)) AS revenue_of_7_days,
        min(day) OVER () AS first_day
    FROM days
),
counted AS (
    SELECT
        day,
        orders,
        revenue,
        revenue_of_7_days,
        CASE
            WHEN day >= first_day + INTERVAL '6' DAY THEN 7
            WHEN day = first_day + INTERVAL '5' DAY THEN 6
            WHEN day = first_day + INTERVAL '4' DAY THEN 5
            WHEN day = first_day + INTERVAL '3' DAY THEN 4
            WHEN day = first_day + INTERVAL '2' DAY THEN 3
            WHEN day = first_day + INTERVAL '1' DAY THEN 2
            ELSE 1
        END AS days
    FROM weeks
)
SELECT day, orders, revenue, CAST(days AS bigint) AS days, CAST(revenue_of_7_days / days AS decimal(38, 2)) AS average_of_7_days
FROM counted
ORDER BY day;
