//! The lake route: a shard's events straight into lake objects.
