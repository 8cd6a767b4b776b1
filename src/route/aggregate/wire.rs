//! As much of Protocol Buffers' encoding as aggregated records need.

/// The wire type of integers: base 128, the lowest digit first, the high bit set on all bytes but the last.
pub(super) const VARINT: u64 = 0;
/// The wire type of what carries its length: bytes, texts and messages.
pub(super) const BYTES: u64 = 2;
const FIXED64: u64 = 1;
const FIXED32: u64 = 5;

const WIRE_TYPE_BITS: u32 = 3;
const WIRE_TYPE_MASK: u64 = (1 << WIRE_TYPE_BITS) - 1;
const DIGIT_BITS: u32 = 7;
/// An integer of 64 bits has at most ten digits of seven bits.
const LONGEST_VARINT: u32 = u64::BITS.div_ceil(DIGIT_BITS);

/// What stands before each field's value.
pub(super) const fn tag(number: u64, wire_type: u64) -> u64 {
    number << WIRE_TYPE_BITS | wire_type
}

/// How many bytes an integer takes.
pub(super) const fn varint_size(value: u64) -> usize {
    // Zero has one digit, too.
    (u64::BITS - (value | 1).leading_zeros()).div_ceil(DIGIT_BITS) as usize
}

/// Appends an integer.
pub(super) fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    while value > 0x7F {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= DIGIT_BITS;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
}

/// The bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    /// Of a wire type that this format has no use for.
    Other,
}

/// The fields of a message, as number and value, in the order in which they stand. Ends behind what is malformed.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let tag = self.varint()?;
        let value = match tag & WIRE_TYPE_MASK {
            VARINT => Value::Varint(self.varint()?),
            BYTES => {
                let length = self.varint()?;
                Value::Bytes(self.bytes(length)?)
            }
            FIXED64 => self.bytes(8).map(|_| Value::Other)?,
            FIXED32 => self.bytes(4).map(|_| Value::Other)?,
            // Groups nest without a length. They were given up long before this format was made.
            _ => return Err(Malformed),
        };
        match tag >> WIRE_TYPE_BITS {
            0 => Err(Malformed),
            number => Ok((number, value)),
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0_u64;
        for position in 0..LONGEST_VARINT {
            let (&byte, rest) = self.rest.split_first().ok_or(Malformed)?;
            self.rest = rest;
            let (digit, shift) = (u64::from(byte & 0x7F), position * DIGIT_BITS);
            value |= digit << shift;
            // The tenth digit has room for one bit.
            if value >> shift != digit {
                return Err(Malformed);
            }
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        let (bytes, rest) = usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length)).ok_or(Malformed)?;
        self.rest = rest;
        Ok(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(message: &[u8]) -> Vec<Result<(u64, Value<'_>), Malformed>> {
        Fields::of(message).collect()
    }

    #[test]
    fn every_wire_type_of_use_is_read() {
        let message = b"\x08\x96\x01\x12\x02hi\x19ABCDEFGH\x25ABCD\x28\x00";
        let expected = [
            Ok((1, Value::Varint(150))),
            Ok((2, Value::Bytes(b"hi"))),
            Ok((3, Value::Other)),
            Ok((4, Value::Other)),
            Ok((5, Value::Varint(0))),
        ];
        assert_eq!(fields(message), expected);
    }

    #[test]
    fn what_is_cut_off_is_malformed() {
        for message in [&b"\x08"[..], b"\x88", b"\x08\x96", b"\x12\x02h", b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01h", b"\x19ABCDEFG"]
        {
            assert_eq!(fields(message), [Err(Malformed)], "{message:x?}");
        }
    }

    #[test]
    fn groups_and_field_zero_are_malformed_and_end_the_message() {
        for message in [b"\x0b\x0c\x08\x01", b"\x0e\x00\x08\x01", b"\x02\x00\x08\x01"] {
            assert_eq!(fields(message), [Err(Malformed)], "{message:x?}");
        }
    }

    #[test]
    fn an_integer_has_64_bits() {
        assert_eq!(fields(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), [Ok((1, Value::Varint(u64::MAX)))]);
        assert_eq!(fields(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"), [Err(Malformed)]);
        assert_eq!(fields(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00"), [Err(Malformed)]);
    }

    proptest! {
        #[test]
        fn an_integer_is_read_as_it_was_written(number in 1_u64..1 << 61, bits in 0..u64::BITS, value: u64) {
            let (tag, value) = (tag(number, VARINT), value >> bits);
            let mut message = Vec::new();
            push_varint(&mut message, tag);
            push_varint(&mut message, value);
            prop_assert_eq!(message.len(), varint_size(tag) + varint_size(value));
            prop_assert_eq!(fields(&message), [Ok((number, Value::Varint(value)))]);
        }
    }
}
