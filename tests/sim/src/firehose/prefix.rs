//! The prefix of objects' names: text with expressions such as `!{timestamp:yyyy-MM-dd}`.

use jiff::Timestamp;

use super::name::digest;
use crate::call::ApiError;

/// How long a prefix may become.
const LONGEST: usize = 512;
/// What is appended when the prefix does not tell the time by itself: yyyy/MM/dd/HH/.
const HOURLY: &str = "%Y/%m/%d/%H/";
const RANDOM_LENGTH: usize = 11;

/// The prefix of the objects of one destination.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Prefix(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    /// A time, as `strftime` wants it.
    Time(String),
    Random,
    /// The kind of error, which only a prefix of error outputs can tell.
    ErrorType,
}

impl Prefix {
    /// Reads the prefix of records that are delivered.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        let parts = parts(text).map_err(|why| refused(text, &why))?;
        if parts.contains(&Part::ErrorType) {
            return Err(refused(text, "error-output-type is for ErrorOutputPrefix only"));
        }
        let prefix = Self(parts);
        // The values of expressions have the same length at all times.
        if prefix.evaluate(0, "").len() > LONGEST {
            return Err(refused(text, &format!("it becomes longer than {LONGEST} characters")));
        }
        Ok(prefix)
    }

    pub(super) fn has_expressions(&self) -> bool {
        has_expressions(&self.0)
    }

    /// The prefix for a time (milliseconds since the epoch). `seed` is where random strings come from.
    pub(super) fn evaluate(&self, time: i64, seed: &str) -> String {
        let mut text = String::new();
        for (place, part) in self.0.iter().enumerate() {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Time(format) => text.push_str(&at(time, format)),
                Part::Random => text.push_str(&digest(&format!("{seed}/{place}"))[..RANDOM_LENGTH]),
                Part::ErrorType => {}
            }
        }
        if !self.0.iter().any(|part| matches!(part, Part::Time(_))) {
            text.push_str(&at(time, HOURLY));
        }
        text
    }
}

/// Checks the prefix of records that cannot be delivered. There are none here, so that nothing remains of it.
pub(super) fn check_error_prefix(text: &str) -> Result<(), ApiError> {
    let parts = parts(text).map_err(|why| refused(text, &why))?;
    if has_expressions(&parts) && !parts.contains(&Part::ErrorType) {
        return Err(refused(text, "an ErrorOutputPrefix with expressions must contain !{firehose:error-output-type}"));
    }
    Ok(())
}

/// A time as text, in UTC.
pub(super) fn at(time: i64, format: &str) -> String {
    Timestamp::from_millisecond(time).unwrap_or_default().strftime(format).to_string()
}

fn has_expressions(parts: &[Part]) -> bool {
    parts.iter().any(|part| !matches!(part, Part::Text(_)))
}

fn refused(prefix: &str, why: &str) -> ApiError {
    ApiError::new("InvalidArgumentException", format!("The prefix '{prefix}' is not valid: {why}"))
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, expression)) = rest.split_once("!{") {
        let (expression, behind) = expression.split_once('}').ok_or("an expression has no end")?;
        parts.push(Part::Text(before.to_owned()));
        parts.push(match expression.split_once(':') {
            Some(("timestamp", pattern)) => Part::Time(strftime(pattern)?),
            Some(("firehose", "random-string")) => Part::Random,
            Some(("firehose", "error-output-type")) => Part::ErrorType,
            _ => return Err(format!("there is no expression '{expression}'")),
        });
        rest = behind;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(parts)
}

/// Translates a pattern of Java's DateTimeFormatter: the letters of calendar and clock, text in single quotes, signs as they are.
fn strftime(pattern: &str) -> Result<String, String> {
    let mut format = String::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        if let Some(quoted) = rest.strip_prefix('\'') {
            let end = closing_quote(quoted).ok_or("a quotation in a timestamp has no end")?;
            let literal = if end == 0 { "'".to_owned() } else { quoted[..end].replace("''", "'") };
            format.push_str(&literal.replace('%', "%%"));
            rest = &quoted[end + 1..];
            continue;
        }
        let length = rest.chars().take_while(|character| *character == first).map(char::len_utf8).sum();
        let (run, behind) = rest.split_at(length);
        format.push_str(match run {
            "yyyy" | "uuuu" => "%Y",
            "yy" | "uu" => "%y",
            "MM" => "%m",
            "dd" => "%d",
            "HH" => "%H",
            "mm" => "%M",
            "ss" => "%S",
            _ if first.is_ascii_alphabetic() => return Err(format!("'{run}' in a timestamp is not supported")),
            _ if first == '%' => "%%",
            _ => run,
        });
        rest = behind;
    }
    Ok(format)
}

/// Where a quotation ends. Two quotes inside stand for one; two of them without anything between end at once, and stand for one too.
fn closing_quote(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let quote = from + text[from..].find('\'')?;
        if !text[quote + 1..].starts_with('\'') {
            return Some(quote);
        }
        from = quote + 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinesis::testing::START;

    /// 2026-11-19T07:08:09Z
    const TIME: i64 = START + (7 * 3_600 + 8 * 60 + 9) * 1_000;

    fn evaluated(text: &str) -> String {
        Prefix::parse(text).unwrap().evaluate(TIME, "seed")
    }

    #[test]
    fn the_hour_is_appended_unless_the_prefix_tells_the_time() {
        for (text, expected) in [
            ("", "2026/11/19/07/"),
            ("orders/", "orders/2026/11/19/07/"),
            ("!{timestamp:yyyy}/", "2026/"),
            ("dt=!{timestamp:yyyy-MM-dd}/hr=!{timestamp:HH}/", "dt=2026-11-19/hr=07/"),
            ("!{timestamp:'year='yyyy'/month='MM'/'yy}", "year=2026/month=11/26"),
            ("!{timestamp:HH:mm:ss'''o''clock'}", "07:08:09'o'clock"),
            ("!{timestamp:HH''mm}/", "07'08/"),
            ("100%/!{timestamp:dd%'%d'}", "100%/19%%d"),
        ] {
            assert_eq!(evaluated(text), expected, "{text}");
        }
    }

    #[test]
    fn random_strings_have_eleven_characters_and_depend_on_the_seed_and_the_place() {
        let prefix = Prefix::parse("!{firehose:random-string}/!{firehose:random-string}/").unwrap();
        let text = prefix.evaluate(TIME, "seed");
        let strings: Vec<&str> = text.split('/').take(2).collect();
        assert!(strings.iter().all(|string| string.len() == 11));
        assert_ne!(strings[0], strings[1]);
        assert!(text.ends_with("/2026/11/19/07/"));
        assert_eq!(prefix.evaluate(TIME, "seed"), text);
        assert_ne!(prefix.evaluate(TIME, "other"), text);
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused() {
        for text in [
            "!{timestamp:yyyy",
            "!{timestamp:YYYY}",
            "!{timestamp:'year}",
            "!{firehose:error-output-type}/",
            "!{partitionKeyFromQuery:customer}/",
            "!{now}",
            &"x".repeat(499),
        ] {
            assert_eq!(Prefix::parse(text).unwrap_err().code, "InvalidArgumentException", "{text}");
        }
        assert!(Prefix::parse(&"x".repeat(498)).is_ok());
    }

    #[test]
    fn an_error_prefix_with_expressions_tells_the_kind_of_error() {
        for text in ["", "errors/", "errors/!{firehose:error-output-type}/!{timestamp:yyyy}/"] {
            assert_eq!(check_error_prefix(text), Ok(()), "{text}");
        }
        assert!(check_error_prefix("errors/!{timestamp:yyyy}/").is_err());
    }
}
