//! The reader of aggregated records, of our own and of any other producer.

use md5::{Digest, Md5};

use super::wire::{Fields, Malformed, Value};
use super::{DIGEST_SIZE, MAGIC, message, user_record};

/// What the data of a Kinesis record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unpacked<'a> {
    /// One user record, which is the data itself.
    Plain,
    /// The user records of an aggregated record. Their sub-sequence numbers count from 0. A producer may have sent none.
    Aggregated(Vec<UserRecord<'a>>),
}

/// A record as the producer was given it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserRecord<'a> {
    /// The partition key.
    pub partition_key: &'a str,
    /// The decimal hash key that the producer placed the record by, instead of by the partition key.
    pub explicit_hash_key: Option<&'a str>,
    /// The content.
    pub data: &'a [u8],
}

/// Unpacks the data of a Kinesis record.
///
/// What does not hold to the format in every byte is [`Unpacked::Plain`]: another beginning, another MD5, a message that does not parse,
/// a key that is not UTF-8, a user record without data or with a key that the table does not have. So a record is unpacked whole or not
/// at all, and what is damaged meets the reader as one record that makes no sense, instead of as fewer records.
///
/// Takes time and memory in proportion to the data.
pub fn unpack(data: &[u8]) -> Unpacked<'_> {
    match message(data).map(user_records) {
        Some(Ok(records)) => Unpacked::Aggregated(records),
        Some(Err(Malformed)) | None => Unpacked::Plain,
    }
}

/// The message of a record that begins and ends as an aggregated record does.
fn message(data: &[u8]) -> Option<&[u8]> {
    let (message, digest) = data.strip_prefix(&MAGIC)?.split_last_chunk::<DIGEST_SIZE>()?;
    (!message.is_empty() && Md5::digest(message)[..] == digest[..]).then_some(message)
}

fn user_records(message: &[u8]) -> Result<Vec<UserRecord<'_>>, Malformed> {
    let tables = Tables::of(message)?;
    let mut records = Vec::new();
    for field in Fields::of(message) {
        if let (message::USER_RECORD, Value::Bytes(record)) = field? {
            records.push(tables.user_record(record)?);
        }
    }
    Ok(records)
}

/// The keys of a message. They may stand behind the user records that refer to them.
#[derive(Default)]
struct Tables<'a> {
    partition_keys: Vec<&'a str>,
    explicit_hash_keys: Vec<&'a str>,
}

impl<'a> Tables<'a> {
    fn of(message: &'a [u8]) -> Result<Self, Malformed> {
        let mut tables = Self::default();
        for field in Fields::of(message) {
            match field? {
                (message::PARTITION_KEY, Value::Bytes(key)) => tables.partition_keys.push(text(key)?),
                (message::EXPLICIT_HASH_KEY, Value::Bytes(key)) => tables.explicit_hash_keys.push(text(key)?),
                // User records, and what later versions of the format may bring.
                _ => {}
            }
        }
        Ok(tables)
    }

    fn user_record(&self, message: &'a [u8]) -> Result<UserRecord<'a>, Malformed> {
        let (mut partition_key, mut explicit_hash_key, mut data) = (None, None, None);
        for field in Fields::of(message) {
            match field? {
                (user_record::PARTITION_KEY_INDEX, Value::Varint(index)) => partition_key = Some(entry(&self.partition_keys, index)?),
                (user_record::EXPLICIT_HASH_KEY_INDEX, Value::Varint(index)) => {
                    explicit_hash_key = Some(entry(&self.explicit_hash_keys, index)?);
                }
                (user_record::DATA, Value::Bytes(bytes)) => data = Some(bytes),
                // Tags, which say nothing that a change event needs.
                _ => {}
            }
        }
        let (Some(partition_key), Some(data)) = (partition_key, data) else { return Err(Malformed) };
        Ok(UserRecord { partition_key, explicit_hash_key, data })
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    str::from_utf8(bytes).map_err(|_| Malformed)
}

fn entry<'a>(table: &[&'a str], index: u64) -> Result<&'a str, Malformed> {
    usize::try_from(index).ok().and_then(|index| table.get(index)).copied().ok_or(Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::tests::{TWO_RECORDS, aggregate, user_records};
    use super::*;

    /// A user record with no data takes a tag and a length, the index's tag and value, the data's tag and length.
    const SMALLEST_USER_RECORD: usize = 6;

    /// A record with this message and all that belongs around it.
    fn sealed(message: &[u8]) -> Vec<u8> {
        [&MAGIC[..], message, &Md5::digest(message)[..]].concat()
    }

    fn plain(partition_key: &'static str, data: &'static [u8]) -> UserRecord<'static> {
        UserRecord { partition_key, explicit_hash_key: None, data }
    }

    /// Messages of which many are right: a few keys and user records in any order, now and then with bytes that mean nothing.
    fn likely_messages() -> impl Strategy<Value = Vec<u8>> {
        let user_record = (0_u8..4, vec(any::<u8>(), 0..4)).prop_map(|(index, data)| {
            let length = u8::try_from(data.len()).unwrap();
            [&[0x1A, length + 4, 0x08, index, 0x1A, length], &data[..]].concat()
        });
        let field = prop_oneof![8 => Just(b"\x0a\x01k".to_vec()), 8 => user_record, 1 => vec(any::<u8>(), 1..8)];
        vec(field, 1..12).prop_map(|fields| fields.concat())
    }

    #[test]
    fn two_records_of_another_library_are_read() {
        assert_eq!(unpack(TWO_RECORDS), Unpacked::Aggregated(vec![plain("pk1", b"A"), plain("pk2", b"B")]));
    }

    #[test]
    fn an_explicit_hash_key_belongs_to_the_records_that_name_it() {
        let message = b"\x0a\x01k\x12\x010\x12\x0242\x1a\x07\x08\x00\x10\x01\x1a\x01A\x1a\x05\x08\x00\x1a\x01B";
        let first = UserRecord { explicit_hash_key: Some("42"), ..plain("k", b"A") };
        assert_eq!(unpack(&sealed(message)), Unpacked::Aggregated(vec![first, plain("k", b"B")]));
    }

    #[test]
    fn tables_may_stand_behind_the_records() {
        let message = b"\x1a\x05\x08\x01\x1a\x01A\x0a\x01j\x0a\x01k";
        assert_eq!(unpack(&sealed(message)), Unpacked::Aggregated(vec![plain("k", b"A")]));
    }

    #[test]
    fn tags_and_unknown_fields_are_passed_over() {
        let message = b"\x20\x07\x0a\x01k\x2a\x03new\x1a\x0f\x22\x06\x0a\x01t\x12\x01v\x08\x00\x28\x09\x1a\x01A\x0d1234";
        assert_eq!(unpack(&sealed(message)), Unpacked::Aggregated(vec![plain("k", b"A")]));
    }

    #[test]
    fn the_last_value_of_a_field_counts() {
        let message = b"\x0a\x01j\x0a\x01k\x1a\x0a\x08\x00\x1a\x01A\x08\x01\x1a\x01B";
        assert_eq!(unpack(&sealed(message)), Unpacked::Aggregated(vec![plain("k", b"B")]));
    }

    #[test]
    fn a_message_without_records_has_none() {
        assert_eq!(unpack(&sealed(b"\x0a\x01k")), Unpacked::Aggregated(Vec::new()));
    }

    #[test]
    fn what_only_looks_like_an_aggregated_record_is_plain() {
        let cases: [(&str, Vec<u8>); 13] = [
            ("nothing", Vec::new()),
            ("a line", b"{\"cdc_op\":\"INSERT\"}\n".to_vec()),
            ("magic alone", MAGIC.to_vec()),
            ("magic and too little for a digest", [&MAGIC[..], &[0; 15]].concat()),
            ("no message", sealed(b"")),
            ("a partition key that the table does not have", sealed(b"\x0a\x01k\x1a\x05\x08\x01\x1a\x01A")),
            ("an explicit hash key that the table does not have", sealed(b"\x0a\x01k\x1a\x07\x08\x00\x10\x00\x1a\x01A")),
            ("an index of 64 bits", sealed(b"\x0a\x01k\x1a\x0e\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a\x01A")),
            ("no partition key", sealed(b"\x0a\x01k\x1a\x03\x1a\x01A")),
            ("no data", sealed(b"\x0a\x01k\x1a\x02\x08\x00")),
            ("a key that is not UTF-8", sealed(b"\x0a\x01\xff\x1a\x05\x08\x00\x1a\x01A")),
            ("a record cut off", sealed(b"\x0a\x01k\x1a\x05\x08\x00\x1a")),
            ("a record that is cut off inside", sealed(b"\x0a\x01k\x1a\x05\x08\x00\x1a\x02A")),
        ];
        for (case, data) in cases {
            assert_eq!(unpack(&data), Unpacked::Plain, "{case}");
        }
    }

    #[test]
    fn half_a_million_keys_are_not_searched_for_each_record() {
        let keys = b"\x0a\x00".repeat(500_000);
        let records = b"\x1a\x06\x08\x9f\xc2\x1e\x1a\x00".repeat(100_000);
        assert_eq!(unpack(&sealed(&[&keys[..], &records].concat())), Unpacked::Aggregated(vec![plain("", b""); 100_000]));
    }

    proptest! {
        #[test]
        fn any_bytes_without_the_digest_are_plain(data in vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(unpack(&data), Unpacked::Plain);
            let with_magic = [&MAGIC[..], &data].concat();
            prop_assert_eq!(unpack(&with_magic), Unpacked::Plain);
        }

        #[test]
        fn any_message_is_read_without_panic_and_gives_no_more_than_it_holds(
            message in prop_oneof![vec(any::<u8>(), 1..100), likely_messages()],
        ) {
            if let Unpacked::Aggregated(records) = unpack(&sealed(&message)) {
                let data: usize = records.iter().map(|record| record.data.len()).sum();
                prop_assert!(records.len() * SMALLEST_USER_RECORD + data <= message.len());
            }
        }

        #[test]
        fn a_damaged_record_is_plain(records in user_records(1..20), at: Index, bit in 0..u8::BITS, cut: Index) {
            let packed = aggregate(&records).finish();
            let mut damaged = packed.to_vec();
            damaged[at.index(packed.len())] ^= 1_u8 << bit;
            prop_assert_eq!(unpack(&damaged), Unpacked::Plain);
            prop_assert_eq!(unpack(&packed[..cut.index(packed.len())]), Unpacked::Plain);
        }

        #[test]
        fn a_damaged_message_with_its_own_digest_gives_no_more_than_it_holds(records in user_records(1..20), at: Index, byte: u8, cut: Index) {
            let packed = aggregate(&records).finish();
            let mut damaged = packed[MAGIC.len()..packed.len() - DIGEST_SIZE].to_vec();
            damaged.truncate(1 + cut.index(damaged.len()));
            let at = at.index(damaged.len());
            damaged[at] = byte;
            if let Unpacked::Aggregated(records) = unpack(&sealed(&damaged)) {
                let data: usize = records.iter().map(|record| record.data.len()).sum();
                prop_assert!(records.len() * SMALLEST_USER_RECORD + data <= damaged.len());
            }
        }
    }
}
