-- What was sold on each day, by category of product.
--
-- Revenue is price * quantity of the orders that were placed on that day (UTC) and stand: placed, paid, shipped or delivered. An order that is cancelled or
-- returned later leaves the day on which it was placed, so past days may still fall; one that expires does not leave it.
--
-- Columns, one row for each day and category with an order that stands:
--   day                     date (UTC); null where created_at could not be read
--   product_category        text; '(none)' for orders without one
--   revenue                 the shop's currency, exact
--   orders                  number of orders
--   average_order_value     the shop's currency, rounded half up to cents; null where no order has an amount
--   customers               number of different customers; a customer counts in each category and on each day, so these do not add up
--   orders_without_amount   orders that add nothing to revenue, because price or quantity is missing or did not fit its column
--
-- Source view: order_book.
CREATE OR REPLACE VIEW daily_revenue AS
SELECT
    CAST(created_at AS date) AS day,
    coalesce(product_category, '(none)') AS product_category,
    CAST(coalesce(sum(amount), 0) AS decimal(38, 2)) AS revenue,
    count(*) AS orders,
    -- Decimals have two places here on every engine before the one rounding.
    CAST(CAST(sum(amount) AS decimal(38, 2)) / nullif(count(amount), 0) AS decimal(38, 2)) AS average_order_value,
    count(DISTINCT customer_id) AS customers,
    count(*) - count(amount) AS orders_without_amount
FROM order_book
WHERE order_status IN ('placed', 'paid', 'shipped', 'delivered')
GROUP BY CAST(created_at AS date), coalesce(product_category, '(none)');
