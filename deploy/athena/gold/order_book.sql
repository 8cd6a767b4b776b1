-- Every order that counts for the figures: the orders that the table holds, and those that it no longer holds because they expired (DynamoDB deletes an
-- order some time after expires_at). So what was sold stays sold. An order that the shop deleted is gone from here too.
--
-- Columns, one row an order:
--   order_id, customer_id, product_id, product_name, product_category, order_status, region   as in the contract
--   quantity     pieces
--   price        of one piece, in the shop's currency
--   amount       price * quantity, in the shop's currency; null where one of them is missing or did not fit its column
--   created_at   when the order was placed (UTC)
--   expired      whether the table no longer holds it
--
-- Source views: silver_current, silver_changes.
CREATE OR REPLACE VIEW order_book AS
SELECT
    order_id,
    customer_id,
    product_id,
    product_name,
    product_category,
    order_status,
    region,
    quantity,
    price,
    CAST(price * quantity AS decimal(38, 2)) AS amount,
    created_at,
    false AS expired
FROM silver_current
UNION ALL
SELECT
    order_id,
    old_customer_id,
    old_product_id,
    old_product_name,
    old_product_category,
    old_order_status,
    old_region,
    old_quantity,
    old_price,
    CAST(old_price * old_quantity AS decimal(38, 2)),
    old_created_at,
    true
FROM (
    -- The last that the lake knows of each order, whatever it is: an order that expired and was made again is not here because of its first end.
    SELECT silver_changes.*, row_number() OVER (PARTITION BY order_id ORDER BY cdc_sequence DESC) AS cdc_place
    FROM silver_changes
) AS latest
WHERE cdc_place = 1
    AND cdc_op = 'REMOVE'
    AND cdc_ttl_delete
    AND NOT EXISTS (SELECT 1 FROM silver_current WHERE silver_current.order_id = latest.order_id);
