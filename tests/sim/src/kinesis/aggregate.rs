//! Records that a producer library has packed into one record.
//!
//! Such a record is a magic number, a protocol buffer and the MD5 of that buffer. What does not hold to this is a plain record of its own.

use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const DIGEST: usize = 16;

/// A record inside of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packed<'a> {
    pub(crate) partition_key: &'a str,
    pub(crate) explicit_hash_key: Option<&'a str>,
    pub(crate) data: &'a [u8],
}

impl Packed<'_> {
    /// The record's place among the hash keys: what the checks need to know.
    #[cfg(any(test, feature = "runner"))]
    pub(crate) fn hash_key(&self) -> u128 {
        let explicit = self.explicit_hash_key.and_then(|key| key.parse().ok());
        explicit.unwrap_or_else(|| u128::from_be_bytes(Md5::digest(self.partition_key).into()))
    }
}

/// Unpacks a record into those that were packed together. `None` when it is a plain record.
pub(crate) fn unpack(record: &[u8]) -> Option<Vec<Packed<'_>>> {
    let (message, digest) = split(record)?;
    (Md5::digest(message)[..] == *digest).then(|| records(message))?
}

/// Unpacks a record as [`unpack`] does, faster, since the digest is believed. `None` when it is a plain record, nothing inside when it looks packed
/// and is not.
#[expect(clippy::option_option, reason = "a plain record and a broken one are two things")]
pub(crate) fn unpack_unchecked(record: &[u8]) -> Option<Option<Vec<Packed<'_>>>> {
    record.starts_with(&MAGIC).then(|| records(split(record)?.0))
}

/// The protocol buffer and its digest.
fn split(record: &[u8]) -> Option<(&[u8], &[u8])> {
    let content = record.strip_prefix(&MAGIC)?;
    content.split_at_checked(content.len().checked_sub(DIGEST)?).filter(|(message, _)| !message.is_empty())
}

fn records(message: &[u8]) -> Option<Vec<Packed<'_>>> {
    let (mut keys, mut hashes, mut packed) = (Vec::new(), Vec::new(), Vec::new());
    let mut message = Message(message);
    while let Some(field) = message.field()? {
        match field {
            (1, Value::Bytes(key)) => keys.push(str::from_utf8(key).ok()?),
            (2, Value::Bytes(hash)) => hashes.push(str::from_utf8(hash).ok()?),
            (3, Value::Bytes(record)) => packed.push(record),
            _ => {}
        }
    }
    // The tables may stand behind the records that refer to them.
    packed.into_iter().map(|record| entry(record, &keys, &hashes)).collect()
}

/// A packed record, which refers to a partition key and perhaps to an explicit hash key, by their numbers.
fn entry<'a>(message: &'a [u8], keys: &[&'a str], hashes: &[&'a str]) -> Option<Packed<'a>> {
    let (mut partition_key, mut explicit_hash_key, mut data) = (None, None, None);
    let mut message = Message(message);
    while let Some(field) = message.field()? {
        match field {
            (1, Value::Number(index)) => partition_key = Some(*keys.get(usize::try_from(index).ok()?)?),
            (2, Value::Number(index)) => explicit_hash_key = Some(*hashes.get(usize::try_from(index).ok()?)?),
            (3, Value::Bytes(bytes)) => data = Some(bytes),
            _ => {}
        }
    }
    Some(Packed { partition_key: partition_key?, explicit_hash_key, data: data? })
}

/// A protocol buffer, read from its front.
struct Message<'a>(&'a [u8]);

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A number of fixed width, which none of the known fields is.
    Fixed,
}

impl<'a> Message<'a> {
    /// The next field's number and value. Nothing inside means the end, nothing at all that this is no protocol buffer.
    #[expect(clippy::option_option, reason = "the outer one is for `?`: there is but one way to be malformed")]
    fn field(&mut self) -> Option<Option<(u64, Value<'a>)>> {
        if self.0.is_empty() {
            return Some(None);
        }
        let tag = self.number()?;
        let value = match tag & 7 {
            0 => Value::Number(self.number()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some(Some((tag >> 3, value)))
    }

    /// Seven bits a byte, the lowest first.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7F) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two records, `pk1` with "A" and `pk2` with "B".
    pub(crate) const PACKED: &[u8] = b"\xf3\x89\x9a\xc2\x0a\x03pk1\x0a\x03pk2\x1a\x05\x08\x00\x1a\x01A\x1a\x05\x08\x01\x1a\x01B\
        \x81\x93\x4b\x9b\xa8\x19\x7e\x94\x5a\xc0\x07\xaf\x3f\x76\x8c\xb9";

    /// A record around a protocol buffer.
    pub(crate) fn sealed(message: &[u8]) -> Vec<u8> {
        [&MAGIC, message, &Md5::digest(message)[..]].concat()
    }

    #[test]
    fn packed_records_come_out_in_order() {
        let packed = |partition_key, data| Packed { partition_key, explicit_hash_key: None, data };
        assert_eq!(unpack(PACKED), Some(vec![packed("pk1", b"A"), packed("pk2", b"B")]));
        assert_eq!(unpack_unchecked(PACKED), Some(unpack(PACKED)));
        assert_eq!(packed("pk1", b"A").hash_key(), 329_398_341_438_914_906_102_347_661_116_985_167_824);
    }

    #[test]
    fn hash_keys_tags_and_unknown_fields_are_understood_in_any_order() {
        let record = b"\x1a\x11\x22\x03\x0a\x01t\x1a\x01C\x10\x00\x08\x00\x25....";
        let message = [&record[..], b"\x39........", b"\x0a\x02pk", b"\x12\x017"].concat();
        let record = sealed(&message);
        let expected = Packed { partition_key: "pk", explicit_hash_key: Some("7"), data: b"C" };
        assert_eq!(unpack(&record), Some(vec![expected]));
        assert_eq!(expected.hash_key(), 7);
    }

    #[test]
    fn whatever_is_malformed_is_a_plain_record() {
        for length in 0..PACKED.len() {
            assert_eq!(unpack(&PACKED[..length]), None, "cut at {length}");
        }
        for position in 0..PACKED.len() {
            let mut changed = PACKED.to_vec();
            changed[position] ^= 1;
            assert_eq!(unpack(&changed), None, "changed at {position}");
        }
        assert_eq!(unpack_unchecked(&PACKED[..18]), Some(None));
        assert_eq!(unpack_unchecked(b"plain"), None);
        for (message, what) in [
            (&b"\x0a\x02pk\x1a\x05\x08\x01\x1a\x01A"[..], "a key that is not in the table"),
            (b"\x0a\x02pk\x1a\x03\x1a\x01A", "no key"),
            (b"\x0a\x02pk\x1a\x02\x08\x00", "no data"),
            (b"\x0a\x02\xff\xff\x1a\x05\x08\x00\x1a\x01A", "a key that is no text"),
            (b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01pk", "a number beyond 64 bits"),
            (b"\x0b", "a group"),
        ] {
            assert_eq!(unpack(&sealed(message)), None, "{what}");
        }
    }
}
