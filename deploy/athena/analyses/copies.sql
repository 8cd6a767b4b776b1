-- Is a change in the lake more than once? None is where headwater writes the lake; Firehose delivers at least once. The views above `changes` do not mind.
--
-- Columns, one row for each operation:
--   cdc_op     INSERT, MODIFY, REMOVE, or SNAPSHOT for rows of snapshots
--   landed     number of rows
--   changes    number of different changes among them
--   copies     rows that repeat another one
--
-- Source view: changes.
SELECT
    cdc_op,
    count(*) AS landed,
    count(DISTINCT cdc_event_id) AS changes,
    count(*) - count(DISTINCT cdc_event_id) AS copies
FROM changes
GROUP BY cdc_op
ORDER BY cdc_op;
