-- When the price of a product changed, by what the orders say: an order that was placed, or mended, at another price than the order of the same product that
-- was placed or mended before it.
--
-- Columns, one row a change of price:
--   product_id, product_name   the product; its name as in that order
--   changed_at                 when the order was written (UTC, whole seconds)
--   previous_price             of one piece, in the shop's currency
--   price                      of one piece from then on, likewise
--   difference                 price less previous_price, likewise
--   percent                    difference in percent of previous_price, rounded half away from zero to hundredths; null where that was zero
--   order_id, cdc_event_id     the order that shows it, and its change
--
-- Source view: silver_changes.
CREATE OR REPLACE VIEW price_changes AS
WITH observed AS (
    SELECT
        product_id,
        product_name,
        cdc_time,
        cdc_sequence,
        price,
        order_id,
        cdc_event_id,
        lag(price) OVER (PARTITION BY product_id ORDER BY cdc_time, cdc_sequence, cdc_event_id) AS previous_price
    FROM silver_changes
    WHERE product_id IS NOT NULL
        AND price IS NOT NULL
        AND (cdc_op = 'INSERT' OR (cdc_op = 'MODIFY' AND price IS DISTINCT FROM old_price))
)
SELECT
    product_id,
    product_name,
    cdc_time AS changed_at,
    previous_price,
    price,
    CAST(price - previous_price AS decimal(38, 2)) AS difference,
    CAST(CAST(100 * (price - previous_price) AS decimal(38, 2)) / nullif(previous_price, 0) AS decimal(38, 2)) AS percent,
    order_id,
    cdc_event_id
FROM observed
WHERE price <> previous_price;
