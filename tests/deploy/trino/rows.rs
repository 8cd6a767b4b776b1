//! Rows of both engines in one spelling, so that they can be compared.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::support::trino::Answer;

/// How many rows a failing comparison shows of each side.
const SHOWN: usize = 5;

/// Values as text by their columns; `None` is null.
pub(super) type Row = BTreeMap<String, Option<String>>;

/// What Trino answered.
pub(super) fn of_trino(answer: &Answer) -> Vec<Row> {
    let row = |values: &Vec<Value>| {
        let text = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        };
        answer.columns.iter().zip(values).map(|((name, kind), value)| (name.clone(), text(value).map(|text| instant(text, kind)))).collect()
    };
    answer.rows.iter().map(row).collect()
}

/// Trino's timestamps have as many places as their type.
fn instant(text: String, kind: &str) -> String {
    if !kind.starts_with("timestamp") {
        return text;
    }
    assert!(!kind.contains("time zone"), "{kind}: instants are UTC here, without saying so");
    let (seconds, places) = text.split_once('.').unwrap_or((&text, ""));
    format!("{seconds}.{places:0<3}")
}

/// What `headwater query --output json` printed. Its instants are cut to milliseconds, as Athena and Trino cut them.
pub(super) fn of_headwater(printed: &str) -> Vec<Row> {
    let rows: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error} in {printed}"));
    let text = |value: &RawValue| match serde_json::from_str(value.get()).unwrap() {
        Value::Null => None,
        Value::String(text) => Some(match (text.ends_with('Z'), text.parse::<Timestamp>()) {
            (true, Ok(instant)) => instant.strftime("%Y-%m-%d %H:%M:%S.%3f").to_string(),
            _ => text,
        }),
        // The token itself: a decimal keeps its digits.
        Value::Number(_) | Value::Bool(_) => Some(value.get().to_owned()),
        other => Some(other.to_string()),
    };
    rows.into_iter().map(|row| row.into_iter().map(|(name, value)| (name, text(&value))).collect()).collect()
}

/// Leaves columns out.
pub(super) fn without(mut rows: Vec<Row>, columns: &[&str]) -> Vec<Row> {
    for row in &mut rows {
        for column in columns {
            assert!(row.remove(*column).is_some(), "no column {column} in {row:?}");
        }
    }
    rows
}

/// Panics unless both engines gave the same rows, and some. They have to be in the same order if the statement says so.
pub(super) fn assert_equal(what: &str, ordered: bool, mut trino: Vec<Row>, mut headwater: Vec<Row>) {
    assert!(!headwater.is_empty(), "{what} has no rows, so that nothing is compared");
    if !ordered {
        trino.sort();
        headwater.sort();
    }
    if trino == headwater {
        return;
    }
    let only = |rows: &[Row], others: &[Row]| {
        let rows: Vec<String> = rows.iter().filter(|row| !others.contains(row)).take(SHOWN).map(|row| format!("{row:?}")).collect();
        rows.join("\n")
    };
    panic!(
        "{what}: {} rows of Trino, {} of headwater query.\nOf Trino alone, such as:\n{}\nOf headwater query alone, such as:\n{}",
        trino.len(),
        headwater.len(),
        only(&trino, &headwater),
        only(&headwater, &trino)
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(rows: Vec<Vec<Value>>) -> Vec<Row> {
        let columns = [("day", "date"), ("at", "timestamp(3)"), ("price", "decimal(38, 2)"), ("n", "bigint"), ("list", "array(varchar)")];
        of_trino(&Answer { columns: columns.map(|(name, kind)| (name.to_owned(), kind.to_owned())).into(), rows })
    }

    fn row(price: &str) -> Vec<Row> {
        answer(vec![vec![json!("2026-11-21"), json!("2026-11-21 10:00:00.123"), json!(price), json!(7), json!(["a", "b"])]])
    }

    #[test]
    fn rows_of_both_engines_have_one_spelling() {
        let printed = r#"[{"day":"2026-11-21","at":"2026-11-21T10:00:00.123456Z","price":12345678901234567890123456789012345.10,"n":7,"list":["a","b"]}]"#;
        assert_equal("the row", true, row("12345678901234567890123456789012345.10"), of_headwater(printed));
    }

    #[test]
    #[should_panic(expected = "1 rows of Trino, 1 of headwater query")]
    fn one_digit_is_a_difference() {
        assert_equal("the row", false, row("1.10"), row("1.11"));
    }

    #[test]
    #[should_panic(expected = "2 rows of Trino, 1 of headwater query")]
    fn a_copy_is_a_difference() {
        assert_equal("the row", false, [row("1"), row("1")].concat(), row("1"));
    }

    #[test]
    #[should_panic(expected = "has no rows")]
    fn nothing_equals_nothing_by_no_means() {
        assert_equal("nothing", false, Vec::new(), Vec::new());
    }
}
