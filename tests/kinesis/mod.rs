//! What headwater writes to Kinesis, as others read it.

mod aggregation;
