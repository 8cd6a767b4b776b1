-- Loads a table of the lake and keeps its state. Run from top to bottom by a role that owns the schema, has EXECUTE TASK and EXECUTE MANAGED TASK on the
-- account, and USAGE on the storage integration:
--   CREATE SCHEMA IF NOT EXISTS <table>
--   USE SCHEMA <table>
-- LAKE_INTEGRATION stands for the storage integration of your account that may list and read the bucket:
--   CREATE STORAGE INTEGRATION LAKE_INTEGRATION TYPE = EXTERNAL_STAGE STORAGE_PROVIDER = 'S3' ENABLED = TRUE
--     STORAGE_AWS_ROLE_ARN = '<role that may read the bucket>' STORAGE_ALLOWED_LOCATIONS = ('<bucket and prefix>')
-- Instants are TIMESTAMP_LTZ: UTC inside, shown in the session's time zone (ALTER SESSION SET TIMEZONE = 'UTC').

CREATE FILE FORMAT IF NOT EXISTS json_lines
  TYPE = JSON
  COMMENT = 'One JSON object a line, compressed or not';

-- Without logical types Snowflake reads timestamps as bare numbers, of a unit that it guesses.
CREATE FILE FORMAT IF NOT EXISTS parquet_rows
  TYPE = PARQUET
  USE_LOGICAL_TYPE = TRUE
  USE_VECTORIZED_SCANNER = TRUE
  COMMENT = 'Parquet with the types that its files declare';

CREATE STAGE IF NOT EXISTS changes_stage
  URL = 's3://LAKE_BUCKET/sales_orders/changes/'
  STORAGE_INTEGRATION = LAKE_INTEGRATION
  FILE_FORMAT = (FORMAT_NAME = 'parquet_rows');

CREATE STAGE IF NOT EXISTS snapshots_stage
  URL = 's3://LAKE_BUCKET/sales_orders/snapshots/'
  STORAGE_INTEGRATION = LAKE_INTEGRATION
  FILE_FORMAT = (FORMAT_NAME = 'json_lines');

-- Every change that was loaded, as it is in the files. Rows are only ever added.
CREATE TABLE IF NOT EXISTS "CHANGES" (
  cdc_event_id VARCHAR NOT NULL COMMENT 'identifies the change; equal on every copy of it',
  cdc_op VARCHAR NOT NULL COMMENT 'INSERT, MODIFY, REMOVE, or SNAPSHOT for a row of a snapshot',
  cdc_sequence VARCHAR NOT NULL COMMENT 'place in the stream: 40 digits, so that text order is numeric order',
  cdc_time TIMESTAMP_LTZ(3) NOT NULL COMMENT 'when DynamoDB took the change, to the second, UTC',
  cdc_table VARCHAR NOT NULL COMMENT 'the DynamoDB table',
  cdc_shard VARCHAR NOT NULL COMMENT 'the shard of the stream',
  cdc_snapshot_id VARCHAR COMMENT 'the snapshot that the row belongs to',
  cdc_ttl_delete BOOLEAN NOT NULL COMMENT 'whether DynamoDB removed the item because it had expired',
  cdc_changed VARIANT NOT NULL COMMENT 'the attributes that differ between the two images',
  order_id VARCHAR NOT NULL,
  customer_id VARCHAR,
  customer_email VARCHAR COMMENT 'PII',
  product_id VARCHAR,
  product_name VARCHAR,
  product_category VARCHAR,
  quantity NUMBER(19, 0),
  price NUMBER(12, 2),
  order_status VARCHAR,
  region VARCHAR,
  created_at TIMESTAMP_LTZ(6),
  shipping_address_street VARCHAR COMMENT 'PII',
  shipping_address_city VARCHAR COMMENT 'PII',
  shipping_address_postal_code VARCHAR COMMENT 'PII',
  shipping_address_country VARCHAR COMMENT 'PII',
  items VARCHAR,
  expires_at NUMBER(19, 0),
  old_customer_id VARCHAR,
  old_customer_email VARCHAR COMMENT 'PII',
  old_product_id VARCHAR,
  old_product_name VARCHAR,
  old_product_category VARCHAR,
  old_quantity NUMBER(19, 0),
  old_price NUMBER(12, 2),
  old_order_status VARCHAR,
  old_region VARCHAR,
  old_created_at TIMESTAMP_LTZ(6),
  old_shipping_address_street VARCHAR COMMENT 'PII',
  old_shipping_address_city VARCHAR COMMENT 'PII',
  old_shipping_address_postal_code VARCHAR COMMENT 'PII',
  old_shipping_address_country VARCHAR COMMENT 'PII',
  old_items VARCHAR,
  old_expires_at NUMBER(19, 0),
  cdc_extra VARCHAR COMMENT 'typed DynamoDB JSON of what has no column',
  old_cdc_extra VARCHAR COMMENT 'the same of the image before the change'
);

-- The lines of the objects, as they are.
CREATE TABLE IF NOT EXISTS snapshot_markers (line VARIANT NOT NULL);

-- Completed snapshots, each once.
CREATE VIEW IF NOT EXISTS snapshots AS
SELECT
  line:snapshot_id::VARCHAR AS snapshot_id,
  line:table::VARCHAR AS "TABLE",
  line:started_at::TIMESTAMP_LTZ AS started_at,
  line:completed_at::TIMESTAMP_LTZ AS completed_at,
  line:rows::NUMBER(19, 0) AS "ROWS",
  COALESCE(line:whole::BOOLEAN, TRUE) AS whole
FROM snapshot_markers
QUALIFY ROW_NUMBER() OVER (PARTITION BY line:snapshot_id::VARCHAR ORDER BY line:completed_at::VARCHAR) = 1;

-- One row for each item that there is. Follows from changes and snapshots: to make it anew, truncate it and run CREATE OR REPLACE STREAM
-- arrived_changes with SHOW_INITIAL_ROWS = TRUE, which is also what a stream needs that was left unread for too long.
CREATE TABLE IF NOT EXISTS current_items (
  order_id VARCHAR NOT NULL,
  customer_id VARCHAR,
  customer_email VARCHAR,
  product_id VARCHAR,
  product_name VARCHAR,
  product_category VARCHAR,
  quantity NUMBER(19, 0),
  price NUMBER(12, 2),
  order_status VARCHAR,
  region VARCHAR,
  created_at TIMESTAMP_LTZ(6),
  shipping_address_street VARCHAR,
  shipping_address_city VARCHAR,
  shipping_address_postal_code VARCHAR,
  shipping_address_country VARCHAR,
  items VARCHAR,
  expires_at NUMBER(19, 0),
  cdc_extra VARCHAR,
  cdc_sequence VARCHAR NOT NULL,
  cdc_time TIMESTAMP_LTZ(3) NOT NULL,
  cdc_op VARCHAR NOT NULL,
  cdc_event_id VARCHAR NOT NULL,
  PRIMARY KEY (order_id)
);

-- The items, with the columns that they have in headwater query. CURRENT is one of Snowflake's own words, hence the quotes.
CREATE VIEW IF NOT EXISTS "CURRENT" AS
SELECT
  order_id,
  customer_id,
  customer_email,
  product_id,
  product_name,
  product_category,
  quantity,
  price,
  order_status,
  region,
  created_at,
  shipping_address_street,
  shipping_address_city,
  shipping_address_postal_code,
  shipping_address_country,
  items,
  expires_at,
  cdc_extra,
  cdc_sequence,
  cdc_time,
  cdc_op
FROM current_items;

-- The changes that arrived since the task ran last.
CREATE STREAM IF NOT EXISTS arrived_changes
  ON TABLE "CHANGES"
  APPEND_ONLY = TRUE;

-- The snapshots that completed since then.
CREATE STREAM IF NOT EXISTS arrived_markers
  ON TABLE snapshot_markers
  APPEND_ONLY = TRUE;

-- Asks of each key that anything arrived of what all its rows say, and makes the item's row so. It never compares with what the row was:
-- a late change loses against the later one that is there, a repeated one changes nothing, whatever the order of files.
-- When a snapshot completes, every key is asked, so that items which it does not have go. So do those whose rows are loaded after the marker,
-- until they are.
CREATE TASK IF NOT EXISTS merge_current_items
  SCHEDULE = '1 MINUTE'
  USER_TASK_MANAGED_INITIAL_WAREHOUSE_SIZE = 'XSMALL'
  WHEN SYSTEM$STREAM_HAS_DATA('arrived_changes') OR SYSTEM$STREAM_HAS_DATA('arrived_markers')
AS
MERGE INTO current_items AS item
USING (
  WITH marked AS (
    SELECT
      snapshot_id,
      whole,
      DATE_TRUNC('SECOND', started_at) AS start_time,
      ROW_NUMBER() OVER (ORDER BY started_at, completed_at, snapshot_id) AS layer
    FROM snapshots
  ),
  -- The latest snapshot of the whole table, and those of parts of it that started later.
  counted AS (
    SELECT snapshot_id, start_time, layer
    FROM marked
    WHERE layer >= (SELECT COALESCE(MAX(CASE WHEN whole THEN layer END), 0) FROM marked)
  ),
  touched AS (
    SELECT order_id FROM arrived_changes
    UNION
    SELECT order_id FROM "CHANGES" WHERE EXISTS (SELECT 1 FROM arrived_markers)
    UNION
    SELECT order_id FROM current_items WHERE EXISTS (SELECT 1 FROM arrived_markers)
  ),
  -- Of each key the rows that count, and which snapshot is its base: of those that have it, the one that started last.
  candidates AS (
    SELECT
      change.order_id,
      change.customer_id,
      change.customer_email,
      change.product_id,
      change.product_name,
      change.product_category,
      change.quantity,
      change.price,
      change.order_status,
      change.region,
      change.created_at,
      change.shipping_address_street,
      change.shipping_address_city,
      change.shipping_address_postal_code,
      change.shipping_address_country,
      change.items,
      change.expires_at,
      change.cdc_extra,
      change.cdc_sequence,
      change.cdc_time,
      change.cdc_event_id,
      change.cdc_op,
      counted.layer AS cdc_layer,
      MAX(counted.layer) OVER (PARTITION BY change.order_id) AS cdc_base_layer,
      MAX(counted.start_time) OVER (PARTITION BY change.order_id) AS cdc_base_time
    FROM "CHANGES" AS change
    INNER JOIN touched ON touched.order_id = change.order_id
    LEFT JOIN counted ON counted.snapshot_id = change.cdc_snapshot_id
    WHERE (change.cdc_snapshot_id IS NULL OR (counted.layer IS NOT NULL AND change.cdc_op IN ('SNAPSHOT', 'REMOVE')))
      AND change.cdc_time >= (
        SELECT COALESCE(MAX(CASE WHEN whole THEN start_time END), '1970-01-01T00:00:00Z'::TIMESTAMP_LTZ) FROM marked
      )
  ),
  words AS (
    SELECT *
    FROM candidates
    WHERE cdc_layer = cdc_base_layer OR (cdc_layer IS NULL AND (cdc_base_time IS NULL OR cdc_time >= cdc_base_time))
    QUALIFY ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY cdc_sequence DESC) = 1
  )
  -- Of a key that nothing is said of any more there is no item.
  SELECT
    touched.order_id,
    words.customer_id,
    words.customer_email,
    words.product_id,
    words.product_name,
    words.product_category,
    words.quantity,
    words.price,
    words.order_status,
    words.region,
    words.created_at,
    words.shipping_address_street,
    words.shipping_address_city,
    words.shipping_address_postal_code,
    words.shipping_address_country,
    words.items,
    words.expires_at,
    words.cdc_extra,
    words.cdc_sequence,
    words.cdc_time,
    words.cdc_event_id,
    COALESCE(words.cdc_op, 'REMOVE') AS cdc_op
  FROM touched
  LEFT JOIN words ON words.order_id = touched.order_id
) AS word
ON item.order_id = word.order_id
WHEN MATCHED AND word.cdc_op = 'REMOVE' THEN DELETE
WHEN MATCHED AND item.cdc_event_id <> word.cdc_event_id THEN UPDATE SET
  customer_id = word.customer_id,
  customer_email = word.customer_email,
  product_id = word.product_id,
  product_name = word.product_name,
  product_category = word.product_category,
  quantity = word.quantity,
  price = word.price,
  order_status = word.order_status,
  region = word.region,
  created_at = word.created_at,
  shipping_address_street = word.shipping_address_street,
  shipping_address_city = word.shipping_address_city,
  shipping_address_postal_code = word.shipping_address_postal_code,
  shipping_address_country = word.shipping_address_country,
  items = word.items,
  expires_at = word.expires_at,
  cdc_extra = word.cdc_extra,
  cdc_sequence = word.cdc_sequence,
  cdc_time = word.cdc_time,
  cdc_event_id = word.cdc_event_id,
  cdc_op = word.cdc_op
WHEN NOT MATCHED AND word.cdc_op <> 'REMOVE' THEN INSERT (
  order_id,
  customer_id,
  customer_email,
  product_id,
  product_name,
  product_category,
  quantity,
  price,
  order_status,
  region,
  created_at,
  shipping_address_street,
  shipping_address_city,
  shipping_address_postal_code,
  shipping_address_country,
  items,
  expires_at,
  cdc_extra,
  cdc_sequence,
  cdc_time,
  cdc_event_id,
  cdc_op
) VALUES (
  word.order_id,
  word.customer_id,
  word.customer_email,
  word.product_id,
  word.product_name,
  word.product_category,
  word.quantity,
  word.price,
  word.order_status,
  word.region,
  word.created_at,
  word.shipping_address_street,
  word.shipping_address_city,
  word.shipping_address_postal_code,
  word.shipping_address_country,
  word.items,
  word.expires_at,
  word.cdc_extra,
  word.cdc_sequence,
  word.cdc_time,
  word.cdc_event_id,
  word.cdc_op
);

-- The items, classified columns masked: whether there is a text is kept, the text is not.
CREATE SECURE VIEW IF NOT EXISTS silver_current AS
SELECT
  order_id,
  customer_id,
  CASE WHEN customer_email IS NOT NULL THEN '***' END AS customer_email,
  product_id,
  product_name,
  product_category,
  quantity,
  price,
  order_status,
  region,
  created_at,
  CASE WHEN shipping_address_street IS NOT NULL THEN '***' END AS shipping_address_street,
  CASE WHEN shipping_address_city IS NOT NULL THEN '***' END AS shipping_address_city,
  CASE WHEN shipping_address_postal_code IS NOT NULL THEN '***' END AS shipping_address_postal_code,
  CASE WHEN shipping_address_country IS NOT NULL THEN '***' END AS shipping_address_country,
  items,
  expires_at,
  cdc_sequence,
  cdc_time,
  cdc_op
FROM current_items;

-- Every change of the stream once, masked likewise; not the rows of snapshots. cdc_changed shows names of attributes.
CREATE SECURE VIEW IF NOT EXISTS silver_changes AS
SELECT
  cdc_event_id,
  cdc_op,
  cdc_sequence,
  cdc_time,
  cdc_ttl_delete,
  cdc_changed,
  order_id,
  customer_id,
  CASE WHEN customer_email IS NOT NULL THEN '***' END AS customer_email,
  product_id,
  product_name,
  product_category,
  quantity,
  price,
  order_status,
  region,
  created_at,
  CASE WHEN shipping_address_street IS NOT NULL THEN '***' END AS shipping_address_street,
  CASE WHEN shipping_address_city IS NOT NULL THEN '***' END AS shipping_address_city,
  CASE WHEN shipping_address_postal_code IS NOT NULL THEN '***' END AS shipping_address_postal_code,
  CASE WHEN shipping_address_country IS NOT NULL THEN '***' END AS shipping_address_country,
  items,
  expires_at,
  old_customer_id,
  CASE WHEN old_customer_email IS NOT NULL THEN '***' END AS old_customer_email,
  old_product_id,
  old_product_name,
  old_product_category,
  old_quantity,
  old_price,
  old_order_status,
  old_region,
  old_created_at,
  CASE WHEN old_shipping_address_street IS NOT NULL THEN '***' END AS old_shipping_address_street,
  CASE WHEN old_shipping_address_city IS NOT NULL THEN '***' END AS old_shipping_address_city,
  CASE WHEN old_shipping_address_postal_code IS NOT NULL THEN '***' END AS old_shipping_address_postal_code,
  CASE WHEN old_shipping_address_country IS NOT NULL THEN '***' END AS old_shipping_address_country,
  old_items,
  old_expires_at
FROM "CHANGES"
WHERE cdc_snapshot_id IS NULL
QUALIFY ROW_NUMBER() OVER (PARTITION BY cdc_event_id ORDER BY cdc_time) = 1;

-- What is there already. Snowflake knows for 64 days which files it has loaded, and passes over them.
COPY INTO "CHANGES"
FROM @changes_stage
PATTERN = '.*[.]parquet'
FILE_FORMAT = (FORMAT_NAME = 'parquet_rows')
MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;

-- What comes from now on, told by the bucket's notifications to the queue that SHOW PIPES names as notification_channel.
-- A file that comes between both is loaded by ALTER PIPE changes_pipe REFRESH, which may be run at any time.
CREATE PIPE IF NOT EXISTS changes_pipe
  AUTO_INGEST = TRUE
AS
COPY INTO "CHANGES"
FROM @changes_stage
PATTERN = '.*[.]parquet'
FILE_FORMAT = (FORMAT_NAME = 'parquet_rows')
MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE;

-- What is there already. Snowflake knows for 64 days which files it has loaded, and passes over them.
COPY INTO snapshot_markers
FROM @snapshots_stage
PATTERN = '.*[.]json'
FILE_FORMAT = (FORMAT_NAME = 'json_lines');

-- What comes from now on, told by the bucket's notifications to the queue that SHOW PIPES names as notification_channel.
-- A file that comes between both is loaded by ALTER PIPE snapshots_pipe REFRESH, which may be run at any time.
CREATE PIPE IF NOT EXISTS snapshots_pipe
  AUTO_INGEST = TRUE
AS
COPY INTO snapshot_markers
FROM @snapshots_stage
PATTERN = '.*[.]json'
FILE_FORMAT = (FORMAT_NAME = 'json_lines');

ALTER TASK merge_current_items RESUME;
