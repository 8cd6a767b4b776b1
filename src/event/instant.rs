//! Instants as text: RFC 3339 in UTC with a fixed number of fraction digits, and the form that Athena reads in JSON.

use crate::contract::TimestampFormat;

const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_SECOND: i64 = 1_000_000;
/// Days from 0000-03-01 to 1970-01-01. Years that begin in March have their leap day last.
const EPOCH_FROM_MARCH_0000: i64 = 719_468;
const DAYS_PER_400_YEARS: i64 = 146_097;

/// Microseconds of the last fraction digit that a format has.
pub(super) const fn unit(format: TimestampFormat) -> i64 {
    match format {
        TimestampFormat::Seconds => MICROS_PER_SECOND,
        TimestampFormat::Millis => 1_000,
        TimestampFormat::Micros => 1,
    }
}

/// Fraction digits of a format.
const fn fraction_digits(format: TimestampFormat) -> usize {
    match format {
        TimestampFormat::Seconds => 0,
        TimestampFormat::Millis => 3,
        TimestampFormat::Micros => 6,
    }
}

/// Microseconds since the epoch, if `text` is spelled exactly as [`rfc3339`] spells that instant.
pub(super) fn parse_rfc3339(text: &str, format: TimestampFormat) -> Option<i64> {
    parse_instant(text.strip_suffix('Z')?, b'T', fraction_digits(format))
}

/// Microseconds since the epoch, if `text` is spelled as [`push_sql`] spells an instant with that number of fraction digits; of those
/// with a year of four digits, that is, which are all that an item or a clock can give.
pub(super) fn parse_sql(text: &str, places: usize) -> Option<i64> {
    parse_instant(text, b' ', places)
}

/// Reads what [`push_instant`] writes, of years with four digits.
fn parse_instant(text: &str, separator: u8, places: usize) -> Option<i64> {
    let (date_time, fraction) = text.as_bytes().split_at_checked("YYYY-MM-DDTHH:MM:SS".len())?;
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1, between, h0, h1, b':', i0, i1, b':', s0, s1] = *date_time else {
        return None;
    };
    if between != separator {
        return None;
    }
    let (year, month, day) = (number(&[y0, y1, y2, y3])?, number(&[m0, m1])?, number(&[d0, d1])?);
    let (hour, minute, second) = (number(&[h0, h1])?, number(&[i0, i1])?, number(&[s0, s1])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let micros = match fraction {
        [] if places == 0 => 0,
        [b'.', digits @ ..] if digits.len() == places => match places {
            3 => number(digits)? * 1_000,
            6 => number(digits)?,
            _ => return None,
        },
        _ => return None,
    };
    let days = days_since_epoch(year, month, day);
    // A day that does not exist, such as February 30th, counts as a later one.
    if civil(days) != (year, month, day) {
        return None;
    }
    Some((days * SECONDS_PER_DAY + hour * 3_600 + minute * 60 + second) * MICROS_PER_SECOND + micros)
}

/// The value of decimal digits; few enough not to overflow.
fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |value, digit| digit.is_ascii_digit().then(|| value * 10 + i64::from(digit - b'0')))
}

/// RFC 3339 in UTC; `None` if the format cannot spell the instant: it has a finer fraction, or no year of four digits.
pub(super) fn rfc3339(micros: i64, format: TimestampFormat) -> Option<String> {
    let mut out = Vec::with_capacity("YYYY-MM-DDTHH:MM:SS.ffffffZ".len());
    push_instant(&mut out, micros, b'T', fraction_digits(format));
    out.push(b'Z');
    let text = String::from_utf8(out).ok()?;
    (parse_rfc3339(&text, format) == Some(micros)).then_some(text)
}

/// Appends `YYYY-MM-DD HH:MM:SS.fff…`, the timestamp text that Athena reads, with `places` fraction digits (at most six).
pub(super) fn push_sql(out: &mut Vec<u8>, micros: i64, places: usize) {
    push_instant(out, micros, b' ', places);
}

fn push_instant(out: &mut Vec<u8>, micros: i64, separator: u8, places: usize) {
    let (seconds, micros) = (micros.div_euclid(MICROS_PER_SECOND), micros.rem_euclid(MICROS_PER_SECOND));
    let (days, time) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = civil(days);
    if year < 0 {
        out.push(b'-');
    }
    push_digits(out, year.abs(), if year.abs() > 9_999 { 6 } else { 4 });
    for (before, part) in [(b'-', month), (b'-', day), (separator, time / 3_600), (b':', time / 60 % 60), (b':', time % 60)] {
        out.push(before);
        push_digits(out, part, 2);
    }
    if places > 0 {
        let mut fraction = [0; 6];
        fill_digits(&mut fraction, micros);
        out.push(b'.');
        out.extend_from_slice(&fraction[..places.min(fraction.len())]);
    }
}

fn push_digits(out: &mut Vec<u8>, value: i64, width: usize) {
    let mut digits = [0; 6];
    fill_digits(&mut digits, value);
    out.extend_from_slice(&digits[digits.len() - width..]);
}

fn fill_digits(digits: &mut [u8; 6], value: i64) {
    let mut rest = value;
    for digit in digits.iter_mut().rev() {
        #[expect(clippy::cast_sign_loss, reason = "a remainder of ten of a value that is not negative")]
        let remainder = (rest % 10) as u8;
        *digit = b'0' + remainder;
        rest /= 10;
    }
}

/// Days since the epoch of a date of the proleptic Gregorian calendar.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (cycle, year) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = days_before_month(month) + day - 1;
    cycle * DAYS_PER_400_YEARS + year * 365 + year / 4 - year / 100 + day_of_year - EPOCH_FROM_MARCH_0000
}

/// Year, month and day of a number of days since the epoch.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH_FROM_MARCH_0000;
    let (cycle, day) = (days.div_euclid(DAYS_PER_400_YEARS), days.rem_euclid(DAYS_PER_400_YEARS));
    // Leap days are taken out before dividing: one in 4 years, none in 100, one in 400.
    let year = (day - day / 1_460 + day / 36_524 - day / (DAYS_PER_400_YEARS - 1)) / 365;
    let day_of_year = day - (year * 365 + year / 4 - year / 100);
    let month = (day_of_year * 5 + 2) / 153;
    let day = day_of_year - days_before_month(month) + 1;
    let year = cycle * 400 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

/// Days before the month, counted from March as month 0: lengths repeat 31, 30, 31, 30, 31, which makes 153 days.
const fn days_before_month(month: i64) -> i64 {
    (month * 153 + 2) / 5
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FORMATS: [TimestampFormat; 3] = [TimestampFormat::Seconds, TimestampFormat::Millis, TimestampFormat::Micros];

    #[test]
    fn known_instants() {
        for (text, format, micros) in [
            ("1970-01-01T00:00:00Z", TimestampFormat::Seconds, 0),
            ("2026-11-21T03:00:00.123Z", TimestampFormat::Millis, 1_795_230_000_123_000),
            ("2000-02-29T23:59:59.999999Z", TimestampFormat::Micros, 951_868_799_999_999),
            ("1969-12-31T23:59:59.999999Z", TimestampFormat::Micros, -1),
            ("0001-01-01T00:00:00Z", TimestampFormat::Seconds, -62_135_596_800_000_000),
            ("9999-12-31T23:59:59Z", TimestampFormat::Seconds, 253_402_300_799_000_000),
        ] {
            assert_eq!(parse_rfc3339(text, format), Some(micros), "{text}");
            assert_eq!(rfc3339(micros, format).as_deref(), Some(text));
        }
    }

    #[test]
    fn another_spelling_is_no_instant() {
        for text in [
            "",
            "Z",
            "2026-11-21",
            "2026-11-21T03:00:00",
            "2026-11-21 03:00:00Z",
            "2026-11-21t03:00:00Z",
            "2026-11-21T03:00:00z",
            "2026-11-21T03:00:00+00:00",
            "2026-11-21T03:00:00.Z",
            "2026-11-21T03:00:00.1Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T23:60:00Z",
            "2026-11-21T23:59:60Z",
            "+026-11-21T03:00:00Z",
            "２026-11-21T03:00:0Z",
        ] {
            for format in FORMATS {
                assert_eq!(parse_rfc3339(text, format), None, "{text}");
            }
        }
        assert_eq!(parse_rfc3339("2026-11-21T03:00:00.123Z", TimestampFormat::Seconds), None);
        assert_eq!(parse_rfc3339("2026-11-21T03:00:00Z", TimestampFormat::Millis), None);
        assert_eq!(rfc3339(1, TimestampFormat::Millis), None, "a microsecond has no text of three digits");
        assert_eq!(rfc3339(i64::MAX, TimestampFormat::Micros), None, "a year of six digits");
    }

    #[test]
    fn the_text_that_athena_reads_is_no_rfc_3339() {
        let (sql, micros) = ("2026-11-21 03:00:00.123", 1_795_230_000_123_000);
        assert_eq!(parse_sql(sql, 3), Some(micros));
        assert_eq!(parse_sql("2026-11-21 03:00:00.123000", 6), Some(micros));
        for (text, places) in
            [(sql, 0), (sql, 6), ("2026-11-21 03:00:00", 3), ("2026-11-21T03:00:00.123", 3), ("2026-11-21 03:00:00.123Z", 3)]
        {
            assert_eq!(parse_sql(text, places), None, "{text}");
        }
        assert_eq!(parse_rfc3339("2026-11-21 03:00:00.123Z", TimestampFormat::Millis), None);
    }

    proptest! {
        #[test]
        fn every_instant_of_four_digit_years_comes_back(seconds in -62_135_596_800_i64..=253_402_300_799, micros in 0_i64..1_000_000) {
            let micros = seconds * MICROS_PER_SECOND + micros;
            let text = rfc3339(micros, TimestampFormat::Micros).unwrap();
            prop_assert_eq!(parse_rfc3339(&text, TimestampFormat::Micros), Some(micros));
            let mut sql = Vec::new();
            push_sql(&mut sql, micros, 6);
            prop_assert_eq!(parse_sql(std::str::from_utf8(&sql).unwrap(), 6), Some(micros));
            prop_assert_eq!(text, jiff::Timestamp::from_microsecond(micros).unwrap().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string());
        }
    }
}
