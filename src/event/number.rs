//! DynamoDB numbers as exact decimals.
//!
//! A number has at most 38 significant digits and a magnitude from 1E-130 to 9.99…E+125 (or is zero), so it is held as an `i128`
//! coefficient and a power of ten: nothing is rounded, whatever the conversion. Two spellings of one value are one [`Number`] and have
//! one canonical text: plain digits when these take at most 40 characters, else `d.dddE±x`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// Significant digits of a DynamoDB number ("Supported data types and naming rules in Amazon DynamoDB").
pub const MAX_DIGITS: u32 = 38;
/// Decimal exponents of the smallest and of the largest magnitude (same page).
const MIN_MAGNITUDE: i64 = -130;
const MAX_MAGNITUDE: i64 = 125;
/// The longest canonical text without an exponent.
const MAX_PLAIN: usize = 40;

/// Powers of ten that an `i128` holds.
const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut i = 1;
    while i < powers.len() {
        powers[i] = powers[i - 1] * 10;
        i += 1;
    }
    powers
};

/// An exact decimal: `coefficient × 10^exponent`, without trailing zeros in the coefficient; zero is `0 × 10^0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    coefficient: i128,
    exponent: i16,
}

/// The text is not a number that DynamoDB can hold.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum InvalidNumber {
    /// Not the syntax of a decimal number.
    #[error("'{0}' is not a decimal number")]
    Syntax(String),
    /// More than 38 significant digits.
    #[error("'{0}' has more than {MAX_DIGITS} significant digits")]
    Digits(String),
    /// Outside 1E-130 … 9.99E+125.
    #[error("the magnitude of '{0}' is outside 1E-130 to 9.99E+125")]
    Magnitude(String),
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self { coefficient: 0, exponent: 0 };

    /// Reads any spelling: sign, leading and trailing zeros, point, exponent.
    pub fn parse(text: &str) -> Result<Self, InvalidNumber> {
        let syntax = || InvalidNumber::Syntax(text.to_owned());
        let (negative, unsigned) = match text.as_bytes() {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            all => (false, all),
        };
        let mut coefficient = 0_i128;
        let mut significant = 0_usize;
        // Zeros behind the last other digit: they count only once another digit follows.
        let mut zeros = 0_usize;
        let mut fraction: Option<i64> = None;
        let mut any_digit = false;
        let mut power = 0_i64;
        for (i, &byte) in unsigned.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    any_digit = true;
                    if let Some(places) = &mut fraction {
                        *places += 1;
                    }
                    if byte != b'0' {
                        significant += zeros + 1;
                        if significant > MAX_DIGITS as usize {
                            return Err(InvalidNumber::Digits(text.to_owned()));
                        }
                        coefficient = coefficient * POWERS[zeros + 1] + i128::from(byte - b'0');
                        zeros = 0;
                    } else if coefficient != 0 {
                        zeros += 1;
                    }
                }
                b'.' if fraction.is_none() => fraction = Some(0),
                b'e' | b'E' => {
                    power = parse_exponent(&unsigned[i + 1..]).ok_or_else(syntax)?;
                    break;
                }
                _ => return Err(syntax()),
            }
        }
        if !any_digit {
            return Err(syntax());
        }
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        let magnitude = || InvalidNumber::Magnitude(text.to_owned());
        let shift = i64::try_from(zeros).map_err(|_| magnitude())? - fraction.unwrap_or(0);
        let exponent = power.saturating_add(shift);
        let leading = exponent.saturating_add(i64::try_from(significant).map_err(|_| magnitude())? - 1);
        if !(MIN_MAGNITUDE..=MAX_MAGNITUDE).contains(&leading) {
            return Err(magnitude());
        }
        let exponent = i16::try_from(exponent).map_err(|_| magnitude())?;
        Ok(Self { coefficient: if negative { -coefficient } else { coefficient }, exponent })
    }

    /// The decimal `unscaled × 10^-scale`.
    pub fn from_unscaled(unscaled: i128, scale: u8) -> Self {
        if unscaled == 0 {
            return Self::ZERO;
        }
        let (mut coefficient, mut exponent) = (unscaled, -i16::from(scale));
        while coefficient % 10 == 0 {
            coefficient /= 10;
            exponent += 1;
        }
        Self { coefficient, exponent }
    }

    /// The value as a 64-bit integer, if it is one.
    pub fn to_i64(self) -> Option<i64> {
        let power = POWERS.get(usize::try_from(self.exponent).ok()?)?;
        i64::try_from(self.coefficient.checked_mul(*power)?).ok()
    }

    /// The value as an unscaled decimal of that precision and scale, if it fits exactly.
    pub fn to_unscaled(self, precision: u8, scale: u8) -> Option<i128> {
        let shift = usize::try_from(self.exponent + i16::from(scale)).ok();
        if self.coefficient == 0 {
            return Some(0);
        }
        let unscaled = self.coefficient.checked_mul(*POWERS.get(shift?)?)?;
        let limit = POWERS.get(usize::from(precision))?;
        (unscaled.unsigned_abs() < limit.unsigned_abs()).then_some(unscaled)
    }

    /// The canonical text.
    pub fn text(self) -> NumberText {
        NumberText::of(self)
    }

    /// Decimal digits of the coefficient; 1 for zero.
    fn digits(self) -> u32 {
        self.coefficient.unsigned_abs().checked_ilog10().unwrap_or(0) + 1
    }
}

/// The digits behind an `E`: an optional sign and at least one digit. Absurd powers saturate and are refused by magnitude.
fn parse_exponent(bytes: &[u8]) -> Option<i64> {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let power = digits.iter().fold(0_i64, |power, digit| power.saturating_mul(10).saturating_add(i64::from(digit - b'0')));
    Some(if negative { -power } else { power })
}

/// The canonical text of a number: borrowed when it is spelled canonically already.
pub fn canonical(text: &str) -> Result<Cow<'_, str>, InvalidNumber> {
    let canonical = Number::parse(text)?.text();
    Ok(if canonical.as_str() == text { Cow::Borrowed(text) } else { Cow::Owned(canonical.as_str().to_owned()) })
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::from_unscaled(value.into(), 0)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = self.coefficient.signum();
        let by_sign = sign.cmp(&other.coefficient.signum());
        if by_sign.is_ne() || sign == 0 {
            return by_sign;
        }
        let leading = |n: &Self| i64::from(n.exponent) + i64::from(n.digits());
        // Brought to 38 digits, coefficients of one leading magnitude compare as integers.
        let aligned = |n: &Self| n.coefficient.unsigned_abs() * POWERS[MAX_DIGITS.saturating_sub(n.digits()) as usize].unsigned_abs();
        let magnitude = leading(self).cmp(&leading(other)).then_with(|| aligned(self).cmp(&aligned(other)));
        if sign < 0 { magnitude.reverse() } else { magnitude }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

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

    fn of(number: Number) -> Self {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text).unwrap()
    }

    #[test]
    fn spellings_of_one_value_have_one_canonical_text() {
        for (spellings, expected) in [
            (&["0", "-0", "0.000", "0E+90", "+0", "00"][..], "0"),
            (&["1", "01", "1.0", "1.", "10E-1", "0.1e1"], "1"),
            (&["-12.50", "-12.5", "-125E-1", "-0012.500"], "-12.5"),
            (&["1000", "1E3", "1E+3", "0.001E6"], "1000"),
            (&[".5", "0.5", "5E-1"], "0.5"),
            (&["1E+39", "1000000000000000000000000000000000000000"], "1000000000000000000000000000000000000000"),
            (&["1E+40"], "1E+40"),
            (&["-1E+39"], "-1E+39"),
            (&["1E-38", "0.00000000000000000000000000000000000001"], "0.00000000000000000000000000000000000001"),
            (&["1E-39"], "1E-39"),
            (&["123E+123", "1.23E125"], "1.23E+125"),
            (&["1E-130"], "1E-130"),
            (&["99999999999999999999999999999999999999E+88"], "9.9999999999999999999999999999999999999E+125"),
            (&["12345678901234567890123456789012345678"], "12345678901234567890123456789012345678"),
            (&["-0.12345678901234567890123456789012345678"], "-1.2345678901234567890123456789012345678E-1"),
        ] {
            for spelling in spellings {
                assert_eq!(canonical(spelling).unwrap(), expected, "{spelling}");
            }
        }
    }

    #[test]
    fn what_dynamodb_cannot_hold_is_refused() {
        for text in ["", "-", ".", "E5", "1E", "1E+", "1e5x", "0x1", "1 ", " 1", "1..2", "1.2.3", "NaN", "Infinity", "--1", "１"] {
            assert!(matches!(Number::parse(text), Err(InvalidNumber::Syntax(_))), "{text}");
        }
        let digits = format!("1{}1", "0".repeat(37));
        assert!(matches!(Number::parse(&digits), Err(InvalidNumber::Digits(_))));
        for text in ["1E+126", "1E-131", "1E+99999999999999999999", "-1E-99999999999999999999"] {
            assert!(matches!(Number::parse(text), Err(InvalidNumber::Magnitude(_))), "{text}");
        }
        assert!(matches!(Number::parse(&format!("1{}", "0".repeat(126))), Err(InvalidNumber::Magnitude(_))));
    }

    #[test]
    fn order_is_numeric() {
        let ascending =
            ["-1E+125", "-10", "-9.5", "-9", "-1E-130", "0", "1E-130", "0.5", "1", "9", "9.5", "10", "11", "99", "1E+40", "1.5E+125"];
        for pair in ascending.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn integers_fit_exactly_or_not_at_all() {
        assert_eq!(number("9223372036854775807").to_i64(), Some(i64::MAX));
        assert_eq!(number("-9223372036854775808").to_i64(), Some(i64::MIN));
        assert_eq!(number("9223372036854775808").to_i64(), None);
        assert_eq!(number("1.0").to_i64(), Some(1));
        assert_eq!(number("12E5").to_i64(), Some(1_200_000));
        assert_eq!(number("1.5").to_i64(), None);
        assert_eq!(number("1E+125").to_i64(), None);
        assert_eq!(Number::from(-1_200_i64), number("-1200"));
    }

    #[test]
    fn decimals_fit_exactly_or_not_at_all() {
        assert_eq!(number("1234.56").to_unscaled(12, 2), Some(123_456));
        assert_eq!(number("9999999999.99").to_unscaled(12, 2), Some(999_999_999_999));
        assert_eq!(number("10000000000").to_unscaled(12, 2), None, "eleven digits before the point");
        assert_eq!(number("0.001").to_unscaled(12, 2), None, "a third digit behind it");
        assert_eq!(number("0").to_unscaled(1, 0), Some(0));
        assert_eq!(number("-99999999999999999999999999999999999999").to_unscaled(38, 0), Some(1 - POWERS[38]));
        assert_eq!(number("1E+125").to_unscaled(38, 2), None);
        assert_eq!(number("1E-130").to_unscaled(38, 38), None);
    }

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_number(coefficient in -POWERS[38] + 1..POWERS[38], exponent in -130_i32..=88) {
            let spelled = format!("{coefficient}E{exponent}");
            let parsed = number(&spelled);
            prop_assert_eq!(number(parsed.text().as_str()), parsed);
            let text = parsed.to_string();
            prop_assert!(matches!(canonical(&text), Ok(Cow::Borrowed(canonical)) if canonical == text));
        }

        #[test]
        fn unscaled_decimals_come_back(unscaled in -POWERS[38] + 1..POWERS[38], scale in 0_u8..=38) {
            let built = Number::from_unscaled(unscaled, scale);
            prop_assert_eq!(built.to_unscaled(38, scale), Some(unscaled));
            prop_assert_eq!(number(&built.to_string()), built);
        }

        #[test]
        fn order_agrees_with_subtraction(a in any::<i32>(), b in any::<i32>(), scale_a in 0_u8..6, scale_b in 0_u8..6) {
            let scaled = |n: i32, scale: u8| i128::from(n) * POWERS[usize::from(6 - scale)];
            let (left, right) = (Number::from_unscaled(a.into(), scale_a), Number::from_unscaled(b.into(), scale_b));
            prop_assert_eq!(left.cmp(&right), scaled(a, scale_a).cmp(&scaled(b, scale_b)));
        }
    }
}
