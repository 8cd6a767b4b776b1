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
