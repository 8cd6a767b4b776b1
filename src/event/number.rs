//! DynamoDB numbers as exact decimals.
//!
//! A number has at most 38 significant digits and a magnitude from 1E-130 to 9.99…E+125 (or is zero), so it is held as an `i128`
//! coefficient and a power of ten: nothing is rounded, whatever the conversion. Two spellings of one value are one [`Number`] and have
//! one canonical text: plain digits when these take at most 40 characters, else `d.dddE±x`.

mod text;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

pub use self::text::NumberText;

/// Significant digits of a DynamoDB number ("Supported data types and naming rules in Amazon DynamoDB").
pub const MAX_DIGITS: u32 = 38;
/// Decimal exponents of the smallest and of the largest magnitude (same page).
const MIN_MAGNITUDE: i64 = -130;
const MAX_MAGNITUDE: i64 = 125;

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
        let mut exponent = -i16::from(scale);
        let mut coefficient = unscaled;
        // 128-bit division is slow and seldom needed.
        while i64::try_from(coefficient).is_err() && coefficient % 10 == 0 {
            coefficient /= 10;
            exponent += 1;
        }
        if let Ok(mut small) = i64::try_from(coefficient) {
            while small % 10 == 0 {
                small /= 10;
                exponent += 1;
            }
            coefficient = small.into();
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
        let shift = usize::try_from(self.exponent + i16::from(scale)).ok()?;
        let unscaled = self.coefficient.checked_mul(*POWERS.get(shift)?)?;
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

#[cfg(test)]
mod tests;
