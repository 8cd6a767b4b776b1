-- What was sold up to and including each day, by category of product and in all.
--
-- Columns, one row for each day and category with an order that stands (see daily_revenue):
--   day                             date (UTC)
--   product_category                text
--   revenue                         of that day, the shop's currency
--   cumulative_revenue              of the category since the first day, the shop's currency
--   cumulative_orders               number of the category's orders since the first day
--   cumulative_revenue_of_all       of all categories since the first day, the shop's currency
--
-- Source view: daily_revenue.
CREATE OR REPLACE VIEW cumulative_revenue AS
SELECT
    day,
    product_category,
    revenue,
    CAST(sum(revenue) OVER (PARTITION BY product_category ORDER BY day) AS decimal(38, 2)) AS cumulative_revenue,
    CAST(sum(orders) OVER (PARTITION BY product_category ORDER BY day) AS bigint) AS cumulative_orders,
    CAST(sum(revenue) OVER (ORDER BY day) AS decimal(38, 2)) AS cumulative_revenue_of_all
FROM daily_revenue
WHERE day IS NOT NULL;
