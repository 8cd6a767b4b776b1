//! The canonical text of a number.

use super::Number;

/// The longest canonical text without an exponent.
const MAX_PLAIN: usize = 40;

/// The canonical text of a [`Number`], on the stack.
#[derive(Debug, Clone, Copy)]
pub struct NumberText {
    bytes: [u8; Self::CAPACITY],
    len: usize,
}

impl NumberText {
    /// Sign, 39 digits, point and `E-130`, rounded up.
    const CAPACITY: usize = 48;

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }

    pub(super) fn of(number: Number) -> Self {
        let mut text = Self { bytes: [b'0'; Self::CAPACITY], len: 0 };
        let mut buffer = [0; Self::CAPACITY];
        let digits = decimal_digits(number.coefficient.unsigned_abs(), &mut buffer);
        if number.coefficient < 0 {
            text.push(b"-");
        }
        let exponent = isize::from(number.exponent);
        let behind_point = exponent.min(0).unsigned_abs();
        let plain = match behind_point {
            0 => digits.len() + exponent.unsigned_abs(),
            places if places < digits.len() => digits.len() + 1,
            places => places + 2,
        };
        if text.len + plain > MAX_PLAIN {
            text.push_scientific(digits, exponent);
        } else if behind_point == 0 {
            text.push(digits);
            text.zeros(exponent.unsigned_abs());
        } else if behind_point < digits.len() {
            let (whole, fraction) = digits.split_at(digits.len() - behind_point);
            text.push(whole);
            text.push(b".");
            text.push(fraction);
        } else {
            text.push(b"0.");
            text.zeros(behind_point - digits.len());
            text.push(digits);
        }
        text
    }

    fn push_scientific(&mut self, digits: &[u8], exponent: isize) {
        let (first, rest) = digits.split_at(1);
        self.push(first);
        if !rest.is_empty() {
            self.push(b".");
            self.push(rest);
        }
        let power = exponent.saturating_add_unsigned(rest.len());
        self.push(if power < 0 { b"E-" } else { b"E+" });
        let mut buffer = [0; Self::CAPACITY];
        self.push(decimal_digits(power.unsigned_abs() as u128, &mut buffer));
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The buffer is filled with zeros to begin with.
    fn zeros(&mut self, count: usize) {
        self.len += count;
    }
}

/// The decimal digits of `value`, at the end of `buffer`.
fn decimal_digits(value: u128, buffer: &mut [u8; NumberText::CAPACITY]) -> &[u8] {
    let mut start = buffer.len();
    let mut rest = value;
    // 128-bit division is slow and seldom needed.
    while rest > u128::from(u64::MAX) {
        start -= 1;
        buffer[start] = digit(rest % 10);
        rest /= 10;
    }
    let mut rest = u64::try_from(rest).unwrap_or(u64::MAX);
    loop {
        start -= 1;
        buffer[start] = digit(u128::from(rest % 10));
        rest /= 10;
        if rest == 0 {
            return &buffer[start..];
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a remainder of ten is below ten")]
const fn digit(remainder: u128) -> u8 {
    b'0' + remainder as u8
}
