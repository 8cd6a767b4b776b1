//! GetRecords bodies into stream records, in one streaming pass.
