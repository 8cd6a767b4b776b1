-- The table's state: a row for each item that the table holds, as far as the lake knows.
-- Columns: the key and the item's columns; cdc_extra is typed DynamoDB JSON of what has no column; cdc_sequence, cdc_time (UTC) and cdc_op are of the
-- change that made the item what it is, or of the snapshot's row.
-- Source: changes, snapshots.
CREATE OR REPLACE VIEW "current" AS
WITH ranked AS (
    -- Snapshots in the order of their starts. Changes have whole seconds, so a start is compared with them in whole seconds.
    SELECT
        snapshot_id,
        whole,
        date_trunc('second', started_at) AS cdc_start,
        row_number() OVER (ORDER BY started_at, completed_at, snapshot_id) AS cdc_layer
    FROM snapshots
),
counted AS (
    -- The latest snapshot of the whole table, and those of a part of it that started later: each stands for the keys that it has.
    SELECT snapshot_id, cdc_start, cdc_layer
    FROM ranked
    WHERE cdc_layer >= (SELECT coalesce(max(cdc_layer), 0) FROM ranked WHERE whole)
),
horizon AS (
    -- What was before the whole snapshot does not count. One row, whose start is null without such a snapshot. Objects are looked for from the day
    -- before on: what Firehose writes lies under the hour of the oldest record in the object, so a change of after midnight may lie under the day before.
    SELECT max(cdc_start) AS cdc_start, coalesce(CAST(CAST(max(cdc_start) - INTERVAL '1' DAY AS date) AS varchar), '') AS cdc_day
    FROM ranked
    WHERE whole
),
candidates AS (
    SELECT
        changes."order_id",
        changes."customer_id",
        changes."customer_email",
        changes."product_id",
        changes."product_name",
        changes."product_category",
        changes."quantity",
        changes."price",
        changes."order_status",
        changes."region",
        changes."created_at",
        changes."shipping_address_street",
        changes."shipping_address_city",
        changes."shipping_address_postal_code",
        changes."shipping_address_country",
        changes."items",
        changes."expires_at",
        changes.cdc_extra,
        changes.cdc_sequence,
        changes.cdc_time,
        changes.cdc_op,
        counted.cdc_start,
        counted.cdc_layer
    FROM changes
    CROSS JOIN horizon
    LEFT JOIN counted ON counted.snapshot_id = changes.cdc_snapshot_id
    WHERE changes.dt >= horizon.cdc_day
        AND (horizon.cdc_start IS NULL OR changes.cdc_time >= horizon.cdc_start)
        -- A change of the stream, or what a snapshot that counts found: the item, or that there was none.
        AND (changes.cdc_snapshot_id IS NULL OR (counted.cdc_layer IS NOT NULL AND changes.cdc_op IN ('SNAPSHOT', 'REMOVE')))
),
based AS (
    SELECT candidates.*, max(cdc_start) OVER (PARTITION BY "order_id") AS cdc_base
    FROM candidates
),
placed AS (
    -- Above the latest snapshot that has the key lie the changes since its start, the latest on top; rows of snapshots have sequence zero.
    SELECT based.*, row_number() OVER (PARTITION BY "order_id" ORDER BY cdc_sequence DESC, cdc_layer DESC) AS cdc_place
    FROM based
    WHERE cdc_layer IS NOT NULL OR cdc_base IS NULL OR cdc_time >= cdc_base
)
SELECT
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
    cdc_extra,
    cdc_sequence,
    cdc_time,
    cdc_op
FROM placed
WHERE cdc_place = 1 AND cdc_op <> 'REMOVE';
