//! Several user records in one Kinesis record, in the format of Amazon's Kinesis Producer Library.
//!
//! ```text
//! record      = F3 89 9A C2, message, MD5 of the message (16 bytes)
//! message     = { partition key (1) } { explicit hash key (2) } { user record (3) }
//! user record = index of its partition key (1) [ index of its explicit hash key (2) ] data (3) { tag (4) }
//! ```
//!
//! Message and user records are Protocol Buffers with the field numbers in parentheses; an index counts from 0 in the table that the
//! repeated keys make. The format is described on the page `aggregation-format.md` of amazon-kinesis-producer. The Kinesis Client
//! Library, Firehose and the de-aggregators for Lambda read it.
//!
//! An [`Aggregate`] is packed by what it is told and knows nothing of shards. Its records must belong to one shard: the Kinesis Client
//! Library throws away a user record whose key belongs to another shard than the one that it was read from. No explicit hash keys are
//! written, so that the partition key alone says where a user record belongs.

mod unpack;
mod wire;

use std::collections::HashMap;

use bytes::Bytes;
use md5::{Digest, Md5};

pub use self::unpack::{Unpacked, UserRecord, unpack};
use self::wire::{BYTES, VARINT, push_varint, tag, varint_size};

/// What an aggregated record begins with.
const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
/// The length of an MD5.
const DIGEST_SIZE: usize = 16;
/// The size of each tag, for the field numbers of this format.
const TAG_SIZE: usize = varint_size(tag(message::USER_RECORD, BYTES));

/// Field numbers of the message.
mod message {
    pub(super) const PARTITION_KEY: u64 = 1;
    pub(super) const EXPLICIT_HASH_KEY: u64 = 2;
    pub(super) const USER_RECORD: u64 = 3;
}

/// Field numbers of a user record.
mod user_record {
    pub(super) const PARTITION_KEY_INDEX: u64 = 1;
    pub(super) const EXPLICIT_HASH_KEY_INDEX: u64 = 2;
    pub(super) const DATA: u64 = 3;
}

/// User records being packed into one Kinesis record, in the order in which they are pushed.
///
/// ```
/// use headwater::route::aggregate::{Aggregate, Unpacked, unpack};
///
/// let mut aggregate = Aggregate::default();
/// for line in ["{\"n\":1}\n", "{\"n\":2}\n"] {
///     if aggregate.size_with("order/7", line.as_bytes()) <= 51_200 {
///         aggregate.push("order/7", line.as_bytes());
///     }
/// }
/// let record = aggregate.finish();
/// let Unpacked::Aggregated(lines) = unpack(&record) else { panic!("the record is not aggregated") };
/// assert_eq!(lines[1].data, b"{\"n\":2}\n");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Aggregate {
    /// The index of each partition key in the table.
    indices: HashMap<Box<str>, u64>,
    /// The table of partition keys, encoded.
    keys: Vec<u8>,
    /// The user records, encoded.
    records: Vec<u8>,
    len: usize,
}

impl Aggregate {
    /// How many user records there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no user record.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The exact size in bytes of what [`finish`](Self::finish) makes.
    pub fn size(&self) -> usize {
        MAGIC.len() + self.keys.len() + self.records.len() + DIGEST_SIZE
    }

    /// The exact [`size`](Self::size) once this user record is pushed as well.
    pub fn size_with(&self, partition_key: &str, data: &[u8]) -> usize {
        let (index, key_field) = match self.indices.get(partition_key) {
            Some(&index) => (index, 0),
            None => (self.indices.len() as u64, bytes_field_size(partition_key.len())),
        };
        self.size() + key_field + bytes_field_size(user_record_size(index, data))
    }

    /// Packs one more user record.
    pub fn push(&mut self, partition_key: &str, data: &[u8]) {
        let index = self.index(partition_key);
        let out = &mut self.records;
        push_varint(out, tag(message::USER_RECORD, BYTES));
        push_varint(out, user_record_size(index, data) as u64);
        push_varint(out, tag(user_record::PARTITION_KEY_INDEX, VARINT));
        push_varint(out, index);
        push_bytes_field(out, user_record::DATA, data);
        self.len += 1;
    }

    /// The Kinesis record's data. Without a user record, readers take it for a plain record.
    pub fn finish(self) -> Bytes {
        let digest = Md5::new().chain_update(&self.keys).chain_update(&self.records).finalize();
        let mut record = Vec::with_capacity(self.size());
        for part in [&MAGIC[..], &self.keys, &self.records, &digest] {
            record.extend_from_slice(part);
        }
        record.into()
    }

    /// The partition key's index in the table, where it is entered once.
    fn index(&mut self, partition_key: &str) -> u64 {
        if let Some(&index) = self.indices.get(partition_key) {
            return index;
        }
        let index = self.indices.len() as u64;
        self.indices.insert(partition_key.into(), index);
        push_bytes_field(&mut self.keys, message::PARTITION_KEY, partition_key.as_bytes());
        index
    }
}

fn push_bytes_field(out: &mut Vec<u8>, number: u64, bytes: &[u8]) {
    push_varint(out, tag(number, BYTES));
    push_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// The size of a user record without its own tag and length.
fn user_record_size(index: u64, data: &[u8]) -> usize {
    TAG_SIZE + varint_size(index) + bytes_field_size(data.len())
}

/// The size of a field of so many bytes, with its tag and length.
fn bytes_field_size(bytes: usize) -> usize {
    TAG_SIZE + varint_size(bytes as u64) + bytes
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    /// What the format's other implementations make of `pk1` → `A`, `pk2` → `B`.
    pub(super) const TWO_RECORDS: &[u8] = b"\xf3\x89\x9a\xc2\
        \x0a\x03pk1\x0a\x03pk2\x1a\x05\x08\x00\x1a\x01A\x1a\x05\x08\x01\x1a\x01B\
        \x81\x93\x4b\x9b\xa8\x19\x7e\x94\x5a\xc0\x07\xaf\x3f\x76\x8c\xb9";

    pub(super) fn aggregate(records: &[(impl AsRef<str>, impl AsRef<[u8]>)]) -> Aggregate {
        let mut aggregate = Aggregate::default();
        for (key, data) in records {
            aggregate.push(key.as_ref(), data.as_ref());
        }
        aggregate
    }

    /// User records with few and with many keys, and data on both sides of where its length takes another byte.
    pub(super) fn user_records(count: Range<usize>) -> impl Strategy<Value = Vec<(String, Vec<u8>)>> {
        let key = prop_oneof!["[a-c]", "\\PC{0,140}", "k[0-9]{3}"];
        let data = prop_oneof![9 => vec(any::<u8>(), 0..8), 9 => vec(any::<u8>(), 110..140), 1 => Just(vec![7; 20_000])];
        vec((key, data), count)
    }

    #[test]
    fn two_records_are_encoded_as_other_libraries_do() {
        assert_eq!(&aggregate(&[("pk1", "A"), ("pk2", "B")]).finish()[..], TWO_RECORDS);
    }

    #[test]
    fn a_partition_key_stands_in_the_table_once() {
        let one = aggregate(&[("order/7", "A")]);
        let two = aggregate(&[("order/7", "A"), ("order/7", "A")]);
        assert_eq!(two.size() - one.size(), "\x1a\x05\x08\x00\x1a\x01A".len());
        assert_eq!((one.len(), two.len()), (1, 2));
    }

    #[test]
    fn an_aggregate_without_records_is_a_plain_record() {
        let aggregate = Aggregate::default();
        assert!(aggregate.is_empty());
        assert_eq!(aggregate.size(), 20);
        assert_eq!(unpack(&aggregate.finish()), Unpacked::Plain);
    }

    #[test]
    fn an_index_above_127_takes_two_bytes() {
        let mut aggregate = Aggregate::default();
        for n in 0..129 {
            aggregate.push(&n.to_string(), b"");
        }
        let [one_byte, two_bytes, new_key] = ["127", "128", "129"].map(|key| aggregate.size_with(key, b""));
        assert_eq!(two_bytes - one_byte, 1);
        assert_eq!(new_key - two_bytes, "\x0a\x03129".len());
        aggregate.push("128", b"");
        assert_eq!(aggregate.size(), two_bytes);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_size_is_known_before_a_record_is_pushed(records in user_records(1..200)) {
            let mut aggregate = Aggregate::default();
            for (key, data) in &records {
                let size = aggregate.size_with(key, data);
                aggregate.push(key, data);
                prop_assert_eq!(aggregate.size(), size);
            }
            prop_assert_eq!(aggregate.len(), records.len());
            let size = aggregate.size();
            prop_assert_eq!(aggregate.finish().len(), size);
        }

        #[test]
        fn what_was_packed_is_unpacked_in_order(records in user_records(1..200)) {
            let packed = aggregate(&records).finish();
            let expected = records.iter().map(|(partition_key, data)| UserRecord { partition_key, explicit_hash_key: None, data });
            prop_assert_eq!(unpack(&packed), Unpacked::Aggregated(expected.collect()));
        }
    }
}
