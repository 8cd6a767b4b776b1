-- How far orders get: how many reached each step of an order's life, and how many were cancelled on the way.
--
-- Counted are all orders that changed, or that the table holds; those included that were deleted or expired. An order that reached a step counts for the
-- steps before it too, whether or not the change to them was seen.
--
-- Columns, one row a step:
--   step                  1 to 5, in the order of the steps
--   order_status          placed, paid, shipped, delivered; and returned, which follows delivered
--   orders                number of orders that reached the step
--   percent_of_placed     of the orders that were placed, rounded half up to hundredths; null where there are none
--   percent_of_previous   of the orders that reached the step before, likewise; null on the first step
--   cancelled             number of orders that were cancelled when this was the furthest step that they had reached
--
-- Source views: silver_changes, silver_current.
CREATE OR REPLACE VIEW order_status_funnel AS
WITH seen AS (
    SELECT order_id, order_status FROM silver_changes WHERE cdc_op <> 'REMOVE'
    UNION ALL
    SELECT order_id, old_order_status FROM silver_changes WHERE cdc_op <> 'INSERT'
    UNION ALL
    SELECT order_id, order_status FROM silver_current
),
lives AS (
    SELECT
        order_id,
        max(CASE order_status WHEN 'returned' THEN 5 WHEN 'delivered' THEN 4 WHEN 'shipped' THEN 3 WHEN 'paid' THEN 2 ELSE 1 END) AS furthest,
        max(CASE order_status WHEN 'cancelled' THEN 1 ELSE 0 END) AS cancelled
    FROM seen
    GROUP BY order_id
),
reached AS (
    SELECT
        count(*) AS placed,
        count(*) FILTER (WHERE furthest >= 2) AS paid,
        count(*) FILTER (WHERE furthest >= 3) AS shipped,
        count(*) FILTER (WHERE furthest >= 4) AS delivered,
        count(*) FILTER (WHERE furthest >= 5) AS returned,
        count(*) FILTER (WHERE furthest = 1 AND cancelled = 1) AS cancelled_1,
        count(*) FILTER (WHERE furthest = 2 AND cancelled = 1) AS cancelled_2,
        count(*) FILTER (WHERE furthest = 3 AND cancelled = 1) AS cancelled_3,
        count(*) FILTER (WHERE furthest = 4 AND cancelled = 1) AS cancelled_4,
        count(*) FILTER (WHERE furthest = 5 AND cancelled = 1) AS cancelled_5
    FROM lives
),
steps AS (
    -- A row a step of the one row of numbers, which is named once: engines compute what is named again once more, and Athena bills for it.
    SELECT
        step,
        order_status,
        CASE step WHEN 1 THEN placed WHEN 2 THEN paid WHEN 3 THEN shipped WHEN 4 THEN delivered ELSE returned END AS orders,
        placed,
        CASE step WHEN 2 THEN placed WHEN 3 THEN paid WHEN 4 THEN shipped WHEN 5 THEN delivered END AS previous,
        CASE step WHEN 1 THEN cancelled_1 WHEN 2 THEN cancelled_2 WHEN 3 THEN cancelled_3 WHEN 4 THEN cancelled_4 ELSE cancelled_5 END AS cancelled
    FROM reached
    CROSS JOIN (VALUES (1, 'placed'), (2, 'paid'), (3, 'shipped'), (4, 'delivered'), (5, 'returned')) AS names (step, order_status)
)
SELECT
    CAST(step AS bigint) AS step,
    order_status,
    orders,
    CAST(CAST(100 * orders AS decimal(20, 2)) / nullif(placed, 0) AS decimal(5, 2)) AS percent_of_placed,
    CAST(CAST(100 * orders AS decimal(20, 2)) / nullif(previous, 0) AS decimal(5, 2)) AS percent_of_previous,
    cancelled
FROM steps;
