//! Kinesis beside others: aggregated records between headwater and Amazon's library, and a stream whose shards split and merge.

mod aggregation;
mod reshard;
