-- Do customers come back? Customers by the month of their first order, and what they ordered in that month and in those that followed.
--
-- Counted are orders that stand (see daily_revenue); months are UTC.
--
-- Columns, one row for each cohort and month in which one of its customers ordered:
--   cohort                 first day of the month of the customers' first orders
--   cohort_customers       number of customers in the cohort
--   months_since_first     0 for the month of the first order
--   customers              number of customers of the cohort who ordered in that month
--   retention_percent      customers in percent of cohort_customers, rounded half up to hundredths
--   orders                 number of orders of the cohort in that month
--   revenue                of these orders, the shop's currency
--
-- Source view: order_book.
WITH standing AS (
    SELECT customer_id, CAST(date_trunc('month', created_at) AS date) AS ordered_in, amount
    FROM order_book
    WHERE order_status IN ('placed', 'paid', 'shipped', 'delivered') AND customer_id IS NOT NULL AND created_at IS NOT NULL
),
firsts AS (
    SELECT customer_id, min(ordered_in) AS cohort FROM standing GROUP BY customer_id
),
sizes AS (
    SELECT cohort, count(*) AS cohort_customers FROM firsts GROUP BY cohort
),
months AS (
    SELECT
        firsts.cohort,
        12 * (CAST(extract(YEAR FROM standing.ordered_in) AS bigint) - CAST(extract(YEAR FROM firsts.cohort) AS bigint))
            + CAST(extract(MONTH FROM standing.ordered_in) AS bigint) - CAST(extract(MONTH FROM firsts.cohort) AS bigint) AS months_since_first,
        standing.customer_id,
        standing.amount
    FROM standing
    JOIN firsts ON firsts.customer_id = standing.customer_id
)
SELECT
    months.cohort,
    sizes.cohort_customers,
    months.months_since_first,
    count(DISTINCT months.customer_id) AS customers,
    CAST(CAST(100 * count(DISTINCT months.customer_id) AS decimal(20, 2)) / sizes.cohort_customers AS decimal(5, 2)) AS retention_percent,
    count(*) AS orders,
    CAST(coalesce(sum(months.amount), 0) AS decimal(38, 2)) AS revenue
FROM months
JOIN sizes ON sizes.cohort = months.cohort
GROUP BY months.cohort, sizes.cohort_customers, months.months_since_first
ORDER BY months.cohort, months.months_since_first;
