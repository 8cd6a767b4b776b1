//! Decimal numbers as DynamoDB keeps them: up to 38 significant digits at magnitudes from 1E-130 to 9.99…E+125, exact.

use std::cmp::Ordering;
use std::fmt;
use std::ops::Neg;
use std::str::FromStr;

/// The most significant digits that DynamoDB keeps.
const PRECISION: u32 = 38;
/// The power of ten of the largest numbers' first digit.
const LARGEST: i64 = 125;
/// The power of ten of the smallest numbers' first digit.
const SMALLEST: i64 = -130;

/// A number within DynamoDB's limits. Equal values are equal: `1.50` is `1.5`, and there is one zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    /// The significant digits; ten does not divide them, unless they are zero. 38 digits fit in 127 bits.
    digits: u128,
    /// The power of ten that the digits are multiplied by.
    exponent: i32,
}

/// Why a text is no number that DynamoDB takes, or a sum none that it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum NumberError {
    #[error("The parameter cannot be converted to a numeric value")]
    NotNumeric,
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooPrecise,
    #[error("Number overflow. Attempting to store a number with magnitude larger than supported range")]
    Overflow,
    #[error("Number underflow. Attempting to store a number with magnitude smaller than supported range")]
    Underflow,
}

impl Decimal {
    /// Zero.
    pub const ZERO: Self = Self { negative: false, digits: 0, exponent: 0 };

    /// The sum, if DynamoDB can keep it without losing a digit.
    pub fn checked_add(self, other: Self) -> Result<Self, NumberError> {
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if low.digits == 0 || high.digits == 0 {
            return Ok(if low.digits == 0 { high } else { low });
        }
        // The sum ends in the last digit of the number that reaches further down. If the other one, written down to there, outgrows 128 bits
        // (3.4E38), then not even the difference of the two (the lower has at most 38 digits, less than 1E38) fits in 38 digits.
        let scaled = 10_u128.checked_pow(high.exponent.abs_diff(low.exponent)).and_then(|factor| high.digits.checked_mul(factor));
        let scaled = scaled.ok_or(NumberError::TooPrecise)?;
        let (negative, digits) = if high.negative == low.negative {
            (high.negative, scaled.checked_add(low.digits).ok_or(NumberError::TooPrecise)?)
        } else if scaled >= low.digits {
            (high.negative, scaled - low.digits)
        } else {
            (low.negative, low.digits - scaled)
        };
        Self::normal(negative, digits, i64::from(low.exponent))
    }

    /// The difference, if DynamoDB can keep it without losing a digit.
    pub fn checked_sub(self, other: Self) -> Result<Self, NumberError> {
        self.checked_add(-other)
    }

    /// How many significant digits it has in base 100, counted in pairs from the decimal point on; zero has none. DynamoDB stores them so.
    pub fn pairs_of_digits(self) -> u32 {
        if self.digits == 0 {
            return 0;
        }
        let (last, first) = (self.exponent, self.exponent + self.places().cast_signed() - 1);
        first.div_euclid(2).abs_diff(last.div_euclid(2)) + 1
    }

    /// Whether it is less than zero.
    pub fn is_negative(self) -> bool {
        self.negative
    }

    fn normal(negative: bool, mut digits: u128, mut exponent: i64) -> Result<Self, NumberError> {
        if digits == 0 {
            return Ok(Self::ZERO);
        }
        while digits.is_multiple_of(10) {
            digits /= 10;
            exponent += 1;
        }
        let length = digits.ilog10() + 1;
        if length > PRECISION {
            return Err(NumberError::TooPrecise);
        }
        match exponent.saturating_add(i64::from(length) - 1) {
            first if first > LARGEST => Err(NumberError::Overflow),
            first if first < SMALLEST => Err(NumberError::Underflow),
            _ => Ok(Self { negative, digits, exponent: i32::try_from(exponent).map_err(|_| NumberError::Overflow)? }),
        }
    }

    /// How many significant digits it has; zero has one.
    fn places(self) -> u32 {
        self.digits.checked_ilog10().unwrap_or(0) + 1
    }

    /// The power of ten of the first digit, and the digits brought to 38 places.
    fn magnitude(self) -> (i32, u128) {
        let places = self.places();
        (self.exponent + places.cast_signed(), self.digits * 10_u128.pow(PRECISION - places))
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        // At most 19 digits: always within the limits.
        Self::normal(value < 0, u128::from(value.unsigned_abs()), 0).unwrap_or(Self::ZERO)
    }
}

impl FromStr for Decimal {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).map_or((text, Some(0)), |(mantissa, exponent)| (mantissa, power(exponent)));
        let mut exponent = exponent.ok_or(NumberError::NotNumeric)?;
        let unsigned = mantissa.strip_prefix(['-', '+']).unwrap_or(mantissa);
        let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
        if whole.len() + fraction.len() == 0 || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::NotNumeric);
        }
        let (mut digits, mut length, mut zeros) = (0_u128, 0_u32, 0_u32);
        for digit in whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0') {
            if digit == 0 {
                // Leading zeros count for nothing, trailing ones move the exponent, those between digits are digits.
                zeros += u32::from(length > 0);
            } else {
                length = length.saturating_add(zeros).saturating_add(1);
                if length > PRECISION {
                    return Err(NumberError::TooPrecise);
                }
                digits = digits * 10_u128.pow(zeros + 1) + u128::from(digit);
                zeros = 0;
            }
        }
        let fraction = i64::try_from(fraction.len()).map_err(|_| NumberError::NotNumeric)?;
        exponent = exponent.saturating_sub(fraction).saturating_add(i64::from(zeros));
        Self::normal(mantissa.starts_with('-'), digits, exponent)
    }
}

/// The number behind the `e`. One too large for the type is as good as its largest: no number reaches that far.
fn power(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let power = digits.parse().unwrap_or(i64::from(i32::MAX)).min(i64::from(i32::MAX));
    Some(if text.starts_with('-') { -power } else { power })
}

impl Neg for Decimal {
    type Output = Self;

    fn neg(self) -> Self {
        Self { negative: !self.negative && self.digits != 0, ..self }
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| if number.digits == 0 { 0 } else { 1 - 2 * i8::from(number.negative) };
        sign(self).cmp(&sign(other)).then_with(|| match self.negative {
            false if self.digits == 0 => Ordering::Equal,
            false => self.magnitude().cmp(&other.magnitude()),
            true => other.magnitude().cmp(&self.magnitude()),
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Decimal {
    /// Plain digits without an exponent and without needless zeros, as DynamoDB answers.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negative {
            f.write_str("-")?;
        }
        let digits = self.digits.to_string();
        let behind = usize::try_from(-self.exponent).unwrap_or(0);
        if self.exponent >= 0 {
            let zeros = usize::try_from(self.exponent).unwrap_or(0);
            write!(f, "{digits}{:0<zeros$}", "")
        } else if let Some(whole) = digits.len().checked_sub(behind).filter(|whole| *whole > 0) {
            write!(f, "{}.{}", &digits[..whole], &digits[whole..])
        } else {
            write!(f, "0.{digits:0>behind$}")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_lose_needless_zeros_and_exponents() {
        for (given, kept) in [
            ("01", "1"),
            ("1.50", "1.5"),
            ("-0", "0"),
            ("0e500", "0"),
            ("+5", "5"),
            ("1.", "1"),
            (".5", "0.5"),
            ("1E+5", "100000"),
            ("123e-20", "0.00000000000000000123"),
            ("-12.30E1", "-123"),
            ("1234567890123456789012345678901234567800", "1234567890123456789012345678901234567800"),
        ] {
            assert_eq!(number(given).to_string(), kept, "{given}");
        }
        assert_eq!(number("9.99e125").to_string().len(), 126);
        assert_eq!(number("100e-132").to_string(), format!("0.{}1", "0".repeat(129)));
    }

    #[test]
    fn what_dynamodb_cannot_keep_is_refused() {
        for text in ["", "abc", "-", ".", "1e", "e5", "1 ", " 1", "1_0", "0x1", "1e5.0", "--1", "1.2.3", "NaN", "١"] {
            assert_eq!(text.parse::<Decimal>(), Err(NumberError::NotNumeric), "{text}");
        }
        for (text, error) in [
            ("1e126", NumberError::Overflow),
            ("-1e126", NumberError::Overflow),
            ("1e99999999999999999999", NumberError::Overflow),
            ("9.9e-131", NumberError::Underflow),
            ("1e-99999999999999999999", NumberError::Underflow),
            ("123456789012345678901234567890123456789", NumberError::TooPrecise),
            ("1.00000000000000000000000000000000000001", NumberError::TooPrecise),
        ] {
            assert_eq!(text.parse::<Decimal>(), Err(error), "{text}");
        }
        assert_eq!(number("-1.5E-130").places(), 2);
    }

    #[test]
    fn pairs_of_digits_stand_as_the_decimal_point_has_them() {
        for (text, pairs) in
            [("0", 0), ("12", 1), ("1.2", 2), ("123", 2), ("1000", 1), ("0.12", 1), ("0.012", 2), ("0.001", 1), ("-12345", 3)]
        {
            assert_eq!(number(text).pairs_of_digits(), pairs, "{text}");
        }
    }

    #[test]
    fn sums_are_exact_or_refused() {
        let sum = |left, right| number(left).checked_add(number(right)).map(|sum| sum.to_string());
        assert_eq!(sum("1e37", "-0.5").unwrap(), "9999999999999999999999999999999999999.5");
        assert_eq!(sum("99999999999999999999999999999999999999", "1").unwrap(), format!("1{}", "0".repeat(38)));
        assert_eq!(sum("0.1", "-0.1").unwrap(), "0");
        assert_eq!(sum("1e125", "0").unwrap(), sum("0", "1e125").unwrap());
        assert_eq!(sum("1e38", "1"), Err(NumberError::TooPrecise));
        assert_eq!(sum("5", "1e125"), Err(NumberError::TooPrecise));
        assert_eq!(sum("9e125", "9e125"), Err(NumberError::Overflow));
        assert_eq!(sum("1.1e-130", "-1e-130"), Err(NumberError::Underflow));
        assert_eq!(number("5").checked_sub(number("7")), Ok(number("-2")));
    }

    /// A number of few digits around zero, so that sums meet, carry and cancel.
    fn small() -> impl Strategy<Value = (i128, i32)> {
        (-10_000_i128..10_000, -6_i32..6)
    }

    fn scaled((digits, exponent): (i128, i32)) -> i128 {
        digits * 10_i128.pow((exponent + 6).unsigned_abs())
    }

    fn decimal((digits, exponent): (i128, i32)) -> Decimal {
        number(&format!("{digits}e{exponent}"))
    }

    proptest! {
        #[test]
        fn sums_and_order_are_those_of_integers(left in small(), right in small()) {
            let (left, right, sum) = (decimal(left), decimal(right), scaled(left) + scaled(right));
            prop_assert_eq!(left.checked_add(right), Ok(number(&format!("{sum}e-6"))));
            prop_assert_eq!(left.cmp(&right), left.checked_sub(right).unwrap().cmp(&Decimal::ZERO));
        }

        #[test]
        fn order_is_that_of_the_scaled_integers(left in small(), right in small()) {
            prop_assert_eq!(decimal(left).cmp(&decimal(right)), scaled(left).cmp(&scaled(right)));
        }

        #[test]
        fn every_number_survives_its_own_text(digits in 0_u128..10_u128.pow(38), exponent in -130_i32..=88, negative: bool) {
            let given: Decimal = format!("{}{digits}e{exponent}", if negative { "-" } else { "" }).parse().unwrap();
            prop_assert_eq!(number(&given.to_string()), given);
            prop_assert_eq!(-(-given), given);
            prop_assert_eq!(given.checked_sub(given), Ok(Decimal::ZERO));
        }

        #[test]
        fn addition_can_be_undone(left in 0_u128..10_u128.pow(38), right in 0_u128..10_u128.pow(30), lower in -9_i32..9) {
            let (left, right) = (number(&left.to_string()), number(&format!("-{right}e{lower}")));
            if let Ok(sum) = left.checked_add(right) {
                prop_assert_eq!(sum, right.checked_add(left).unwrap());
                prop_assert_eq!(sum.checked_sub(right), Ok(left));
            }
        }
    }
}
