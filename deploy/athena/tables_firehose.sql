CREATE EXTERNAL TABLE IF NOT EXISTS `delivered` (
  `cdc_event_id` string COMMENT 'identifies the change; equal on every copy of it',
  `cdc_op` string COMMENT 'INSERT, MODIFY, REMOVE, or SNAPSHOT for a row of a snapshot',
  `cdc_sequence` string COMMENT 'place in the stream: 40 digits, so that text order is numeric order',
  `cdc_time` timestamp COMMENT 'when DynamoDB took the change, to the second, UTC',
  `cdc_table` string COMMENT 'the DynamoDB table',
  `cdc_shard` string COMMENT 'the shard of the stream',
  `cdc_snapshot_id` string COMMENT 'the snapshot that the row belongs to',
  `cdc_ttl_delete` boolean COMMENT 'whether DynamoDB removed the item because it had expired',
  `cdc_changed` array<string> COMMENT 'the attributes that differ between the two images',
  `order_id` string,
  `customer_id` string,
  `customer_email` string COMMENT 'classification: PII',
  `product_id` string,
  `product_name` string,
  `product_category` string,
  `quantity` bigint,
  `price` decimal(12,2),
  `order_status` string,
  `region` string,
  `created_at` timestamp,
  `shipping_address_street` string COMMENT 'classification: PII',
  `shipping_address_city` string COMMENT 'classification: PII',
  `shipping_address_postal_code` string COMMENT 'classification: PII',
  `shipping_address_country` string COMMENT 'classification: PII',
  `items` string,
  `expires_at` bigint,
  `old_customer_id` string,
  `old_customer_email` string COMMENT 'classification: PII',
  `old_product_id` string,
  `old_product_name` string,
  `old_product_category` string,
  `old_quantity` bigint,
  `old_price` decimal(12,2),
  `old_order_status` string,
  `old_region` string,
  `old_created_at` timestamp,
  `old_shipping_address_street` string COMMENT 'classification: PII',
  `old_shipping_address_city` string COMMENT 'classification: PII',
  `old_shipping_address_postal_code` string COMMENT 'classification: PII',
  `old_shipping_address_country` string COMMENT 'classification: PII',
  `old_items` string,
  `old_expires_at` bigint,
  `cdc_extra` string COMMENT 'typed DynamoDB JSON of what has no column',
  `old_cdc_extra` string COMMENT 'the same of the image before the change',
  `cdc_claim_check` string COMMENT 'where the whole change is, below the folder of the table; the row is a pointer to it',
  `cdc_hash_range` string COMMENT 'hash keys of the shard; the row marks the end of a snapshot'
)
COMMENT 'what Firehose delivered of the DynamoDB table sales_orders'
PARTITIONED BY (
  `dt` string COMMENT 'UTC day of arrival at Firehose of the oldest record in the object, yyyy-MM-dd',
  `hr` string COMMENT 'UTC hour of arrival at Firehose of the oldest record in the object, two digits'
)
STORED AS PARQUET
LOCATION 's3://LAKE_BUCKET/sales_orders/firehose/'
TBLPROPERTIES (
  'classification' = 'parquet',
  'headwater.contract' = 'sales-orders 1.0.0',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.interval' = '1',
  'projection.dt.interval.unit' = 'DAYS',
  'projection.dt.range' = '2026-01-01,NOW',
  'projection.dt.type' = 'date',
  'projection.enabled' = 'true',
  'projection.hr.digits' = '2',
  'projection.hr.range' = '0,23',
  'projection.hr.type' = 'integer',
  'storage.location.template' = 's3://LAKE_BUCKET/sales_orders/firehose/dt=${dt}/hr=${hr}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `claims` (
  `cdc_event_id` string COMMENT 'identifies the change; equal on every copy of it',
  `cdc_op` string COMMENT 'INSERT, MODIFY, REMOVE, or SNAPSHOT for a row of a snapshot',
  `cdc_sequence` string COMMENT 'place in the stream: 40 digits, so that text order is numeric order',
  `cdc_time` timestamp COMMENT 'when DynamoDB took the change, to the second, UTC',
  `cdc_table` string COMMENT 'the DynamoDB table',
  `cdc_shard` string COMMENT 'the shard of the stream',
  `cdc_snapshot_id` string COMMENT 'the snapshot that the row belongs to',
  `cdc_ttl_delete` boolean COMMENT 'whether DynamoDB removed the item because it had expired',
  `cdc_changed` array<string> COMMENT 'the attributes that differ between the two images',
  `order_id` string,
  `customer_id` string,
  `customer_email` string COMMENT 'classification: PII',
  `product_id` string,
  `product_name` string,
  `product_category` string,
  `quantity` bigint,
  `price` decimal(12,2),
  `order_status` string,
  `region` string,
  `created_at` timestamp,
  `shipping_address_street` string COMMENT 'classification: PII',
  `shipping_address_city` string COMMENT 'classification: PII',
  `shipping_address_postal_code` string COMMENT 'classification: PII',
  `shipping_address_country` string COMMENT 'classification: PII',
  `items` string,
  `expires_at` bigint,
  `old_customer_id` string,
  `old_customer_email` string COMMENT 'classification: PII',
  `old_product_id` string,
  `old_product_name` string,
  `old_product_category` string,
  `old_quantity` bigint,
  `old_price` decimal(12,2),
  `old_order_status` string,
  `old_region` string,
  `old_created_at` timestamp,
  `old_shipping_address_street` string COMMENT 'classification: PII',
  `old_shipping_address_city` string COMMENT 'classification: PII',
  `old_shipping_address_postal_code` string COMMENT 'classification: PII',
  `old_shipping_address_country` string COMMENT 'classification: PII',
  `old_items` string,
  `old_expires_at` bigint,
  `cdc_extra` string COMMENT 'typed DynamoDB JSON of what has no column',
  `old_cdc_extra` string COMMENT 'the same of the image before the change'
)
COMMENT 'changes too large for a record, whole, of the DynamoDB table sales_orders'
PARTITIONED BY (
  `dt` string COMMENT 'UTC day of cdc_time, yyyy-MM-dd'
)
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
STORED AS TEXTFILE
LOCATION 's3://LAKE_BUCKET/sales_orders/claims/'
TBLPROPERTIES (
  'classification' = 'json',
  'compressionType' = 'none',
  'headwater.contract' = 'sales-orders 1.0.0',
  'projection.dt.format' = 'yyyy-MM-dd',
  'projection.dt.interval' = '1',
  'projection.dt.interval.unit' = 'DAYS',
  'projection.dt.range' = '2026-01-01,NOW',
  'projection.dt.type' = 'date',
  'projection.enabled' = 'true',
  'storage.location.template' = 's3://LAKE_BUCKET/sales_orders/claims/dt=${dt}/'
);

CREATE EXTERNAL TABLE IF NOT EXISTS `snapshot_markers` (
  `snapshot_id` string COMMENT 'as in cdc_snapshot_id',
  `table` string COMMENT 'the DynamoDB table',
  `started_at` string COMMENT 'RFC 3339, UTC; changes from then on lie above its rows',
  `completed_at` string COMMENT 'RFC 3339, UTC; its last row was durable',
  `rows` bigint COMMENT 'how many rows it has',
  `whole` boolean COMMENT 'whether its rows are the whole table; absent means true'
)
COMMENT 'complete snapshots of the DynamoDB table sales_orders'
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
STORED AS TEXTFILE
LOCATION 's3://LAKE_BUCKET/sales_orders/snapshots/'
TBLPROPERTIES (
  'classification' = 'json',
  'compressionType' = 'none',
  'headwater.contract' = 'sales-orders 1.0.0'
);

-- Every change and every row of a snapshot that Firehose delivered. A change may be there more than once: Firehose delivers at least once.
-- Columns: those of the lake; dt and hr are the day and hour (UTC) in which the oldest record of the same object
-- arrived, or those of the change itself where it was too large for a record.
-- Source: delivered, claims.
CREATE OR REPLACE VIEW changes AS
SELECT
    cdc_event_id,
    cdc_op,
    cdc_sequence,
    cdc_time,
    cdc_table,
    cdc_shard,
    cdc_snapshot_id,
    cdc_ttl_delete,
    cdc_changed,
    "order_id",
    "customer_id",
    "customer_email",
    "product_id",
    "product_name",
    "product_category",
    "quantity",
    "price",
    "order_status",
    "region",
    "created_at",
    "shipping_address_street",
    "shipping_address_city",
    "shipping_address_postal_code",
    "shipping_address_country",
    "items",
    "expires_at",
    "old_customer_id",
    "old_customer_email",
    "old_product_id",
    "old_product_name",
    "old_product_category",
    "old_quantity",
    "old_price",
    "old_order_status",
    "old_region",
    "old_created_at",
    "old_shipping_address_street",
    "old_shipping_address_city",
    "old_shipping_address_postal_code",
    "old_shipping_address_country",
    "old_items",
    "old_expires_at",
    cdc_extra,
    old_cdc_extra,
    dt,
    hr
FROM delivered
-- Neither pointers to claims, nor what announces the end of a snapshot.
WHERE cdc_claim_check IS NULL AND cdc_op <> 'SNAPSHOT_END'
UNION ALL
SELECT
    cdc_event_id,
    cdc_op,
    cdc_sequence,
    cdc_time,
    cdc_table,
    cdc_shard,
    cdc_snapshot_id,
    cdc_ttl_delete,
    cdc_changed,
    "order_id",
    "customer_id",
    "customer_email",
    "product_id",
    "product_name",
    "product_category",
    "quantity",
    "price",
    "order_status",
    "region",
    "created_at",
    "shipping_address_street",
    "shipping_address_city",
    "shipping_address_postal_code",
    "shipping_address_country",
    "items",
    "expires_at",
    "old_customer_id",
    "old_customer_email",
    "old_product_id",
    "old_product_name",
    "old_product_category",
    "old_quantity",
    "old_price",
    "old_order_status",
    "old_region",
    "old_created_at",
    "old_shipping_address_street",
    "old_shipping_address_city",
    "old_shipping_address_postal_code",
    "old_shipping_address_country",
    "old_items",
    "old_expires_at",
    cdc_extra,
    old_cdc_extra,
    dt,
    substr(CAST(cdc_time AS varchar), 12, 2) AS hr
FROM claims;

-- Completed snapshots of the table.
-- Columns: its id (cdc_snapshot_id of its rows), the table, when it started and completed (UTC), how many rows it has, and whether it is of the whole
-- table: then what is not among its rows was not there.
-- Source: snapshot_markers.
CREATE OR REPLACE VIEW snapshots AS
SELECT
    snapshot_id,
    "table",
    CAST(substr(replace(replace(started_at, 'T', ' '), 'Z', ''), 1, 23) AS timestamp) AS started_at,
    CAST(substr(replace(replace(completed_at, 'T', ' '), 'Z', ''), 1, 23) AS timestamp) AS completed_at,
    "rows",
    coalesce(whole, true) AS whole
FROM snapshot_markers;
