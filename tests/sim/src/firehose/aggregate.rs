//! Records that a producer library has packed into one Kinesis record.
//!
//! Such a record is a magic number, a protocol buffer and the MD5 of that buffer. What does not hold to this is a plain record of its own.

use bytes::Bytes;
use md5::{Digest, Md5};

const MAGIC: [u8; 4] = [0xF3, 0x89, 0x9A, 0xC2];
const DIGEST: usize = 16;

/// Unpacks a record into the bytes of those that were packed together. `None` when it is a plain record.
pub(super) fn unpack(record: &Bytes) -> Option<Vec<Bytes>> {
    let content = record.strip_prefix(&MAGIC)?;
    let (message, digest) = content.split_at_checked(content.len().checked_sub(DIGEST)?)?;
    if message.is_empty() || Md5::digest(message)[..] != *digest {
        return None;
    }
    let (mut keys, mut hashes, mut packed) = (0, 0, Vec::new());
    let mut message = Message(message);
    while let Some(field) = message.field()? {
        match field {
            (1 | 2, Value::Bytes(text)) if str::from_utf8(text).is_err() => return None,
            (1, Value::Bytes(_)) => keys += 1,
            (2, Value::Bytes(_)) => hashes += 1,
            (3, Value::Bytes(sub)) => packed.push(sub),
            _ => {}
        }
    }
    // The tables may stand behind the records that refer to them.
    packed.into_iter().map(|sub| data(sub, keys, hashes, record)).collect()
}

/// The bytes of a packed record, which refers to a partition key and perhaps to an explicit hash key, by their numbers.
fn data(message: &[u8], keys: u64, hashes: u64, whole: &Bytes) -> Option<Bytes> {
    let (mut has_key, mut data) = (false, None);
    let mut message = Message(message);
    while let Some(field) = message.field()? {
        match field {
            (1, Value::Number(index)) if index < keys => has_key = true,
            (2, Value::Number(index)) if index < hashes => {}
            (1 | 2, Value::Number(_)) => return None,
            (3, Value::Bytes(bytes)) => data = Some(whole.slice_ref(bytes)),
            _ => {}
        }
    }
    data.filter(|_| has_key)
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
pub(super) mod tests {
    use super::*;

    /// Two records, `pk1` with "A" and `pk2` with "B".
    pub(in crate::firehose) const PACKED: &[u8] =
        b"\xf3\x89\x9a\xc2\x0a\x03pk1\x0a\x03pk2\x1a\x05\x08\x00\x1a\x01A\x1a\x05\x08\x01\x1a\x01B\
        \x81\x93\x4b\x9b\xa8\x19\x7e\x94\x5a\xc0\x07\xaf\x3f\x76\x8c\xb9";

    fn sealed(message: &[u8]) -> Bytes {
        [&MAGIC, message, &Md5::digest(message)[..]].concat().into()
    }

    #[test]
    fn packed_records_come_out_in_order() {
        assert_eq!(unpack(&Bytes::from_static(PACKED)), Some(vec![Bytes::from_static(b"A"), Bytes::from_static(b"B")]));
    }

    #[test]
    fn hash_keys_tags_and_unknown_fields_are_understood_in_any_order() {
        let record = b"\x1a\x11\x22\x03\x0a\x01t\x1a\x01C\x10\x00\x08\x00\x25....";
        let message = [&record[..], b"\x39........", b"\x0a\x02pk", b"\x12\x017"].concat();
        assert_eq!(unpack(&sealed(&message)), Some(vec![Bytes::from_static(b"C")]));
    }

    #[test]
    fn whatever_is_malformed_is_a_plain_record() {
        let whole = Bytes::from_static(PACKED);
        for length in 0..whole.len() {
            assert_eq!(unpack(&whole.slice(..length)), None, "cut at {length}");
        }
        for position in 0..whole.len() {
            let mut changed = whole.to_vec();
            changed[position] ^= 1;
            assert_eq!(unpack(&changed.into()), None, "changed at {position}");
        }
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
