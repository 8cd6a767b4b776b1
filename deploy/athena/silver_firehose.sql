-- The history for analysts: a row for each change of an item, each once, typed by the contract, with classified columns masked. Rows of snapshots, which
-- tell what an item was rather than that it changed, are not among them.
-- Columns: which change it is (cdc_event_id), what was done (cdc_op: INSERT, MODIFY, REMOVE), the order of changes (cdc_sequence), when (cdc_time, UTC),
-- whether the item had expired (cdc_ttl_delete), the names of the attributes that differ, masked columns' included
-- (cdc_changed), the key, the item's columns after the change, and before it (old_); dt and hr are the day and hour (UTC) of the first arrival (of the oldest record in the object).
-- Source: changes.
CREATE OR REPLACE VIEW silver_changes AS
SELECT
    cdc_event_id,
    cdc_op,
    cdc_sequence,
    cdc_time,
    cdc_ttl_delete,
    cdc_changed,
    "order_id",
    "customer_id",
    CASE WHEN "customer_email" IS NOT NULL THEN '***' END AS "customer_email",
    "product_id",
    "product_name",
    "product_category",
    "quantity",
    "price",
    "order_status",
    "region",
    "created_at",
    CASE WHEN "shipping_address_street" IS NOT NULL THEN '***' END AS "shipping_address_street",
    CASE WHEN "shipping_address_city" IS NOT NULL THEN '***' END AS "shipping_address_city",
    CASE WHEN "shipping_address_postal_code" IS NOT NULL THEN '***' END AS "shipping_address_postal_code",
    CASE WHEN "shipping_address_country" IS NOT NULL THEN '***' END AS "shipping_address_country",
    "items",
    "expires_at",
    "old_customer_id",
    CASE WHEN "old_customer_email" IS NOT NULL THEN '***' END AS "old_customer_email",
    "old_product_id",
    "old_product_name",
    "old_product_category",
    "old_quantity",
    "old_price",
    "old_order_status",
    "old_region",
    "old_created_at",
    CASE WHEN "old_shipping_address_street" IS NOT NULL THEN '***' END AS "old_shipping_address_street",
    CASE WHEN "old_shipping_address_city" IS NOT NULL THEN '***' END AS "old_shipping_address_city",
    CASE WHEN "old_shipping_address_postal_code" IS NOT NULL THEN '***' END AS "old_shipping_address_postal_code",
    CASE WHEN "old_shipping_address_country" IS NOT NULL THEN '***' END AS "old_shipping_address_country",
    "old_items",
    "old_expires_at",
    dt,
    hr
FROM (
    SELECT changes.*, row_number() OVER (PARTITION BY cdc_event_id ORDER BY dt, hr) AS cdc_copy
    FROM changes
    WHERE cdc_snapshot_id IS NULL
) AS numbered
WHERE cdc_copy = 1;
