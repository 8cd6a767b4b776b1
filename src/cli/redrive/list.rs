//! What is in quarantine, for people and for machines.

use std::fmt::Write as _;

use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::cli::Output;
use crate::clock::rfc3339;
use crate::lake::QuarantineEntry;

/// The entries as a table or as one JSON document.
pub(super) fn text(entries: &[QuarantineEntry], output: Output, with_record: bool) -> serde_json::Result<String> {
    if output == Output::Json {
        let entries: Vec<Value> = entries.iter().map(|entry| value(entry, with_record)).collect();
        return Ok(serde_json::to_string_pretty(&json!({ "count": entries.len(), "entries": entries }))? + "\n");
    }
    Ok(table(entries, with_record))
}

fn value(entry: &QuarantineEntry, with_record: bool) -> Value {
    let mut value = json!({
        "entry": entry.location.as_ref(),
        "origin": entry.origin,
        "shard": entry.shard,
        "position": entry.position.map(|position| position.to_string()),
        "event_id": entry.event_id,
        "key": entry.key.as_ref().map(crate::table::Key::texts),
        "kind": entry.kind,
        "reason": entry.reason,
        "time": rfc3339(entry.time),
        "found_at": entry.found_at.map(rfc3339),
        "version": entry.version,
    });
    if with_record {
        // As text: a number of it might not survive as a value.
        value["record"] = String::from_utf8_lossy(&entry.raw).into();
    }
    value
}

/// One line for each entry, columns under their names, and its reason below it.
fn table(entries: &[QuarantineEntry], with_record: bool) -> String {
    if entries.is_empty() {
        return "nothing of the selection is in quarantine\n".to_owned();
    }
    let rows: Vec<[String; 5]> = std::iter::once(["TIME", "KIND", "KEY", "SHARD", "POSITION"].map(str::to_owned))
        .chain(entries.iter().map(|entry| {
            [
                rfc3339(entry.time),
                entry.kind.to_string(),
                entry.key.as_ref().map_or_else(|| "-".to_owned(), |key| printable(&key.to_string())),
                entry.shard.to_string(),
                entry.position.map_or_else(|| "-".to_owned(), |position| position.to_string()),
            ]
        }))
        .collect();
    let widths: Vec<usize> = (0..5).map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0)).collect();
    let mut out = String::new();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        let _ = writeln!(out, "{}", cells.join("  ").trim_end());
        let Some(entry) = number.checked_sub(1).and_then(|number| entries.get(number)) else { continue };
        let _ = writeln!(out, "    {}", printable(&entry.reason));
        if with_record {
            let record = String::from_utf8_lossy(&entry.raw);
            let one_line = serde_json::from_str::<&RawValue>(&record).is_ok();
            let _ = writeln!(out, "    {}", if one_line { record.into_owned() } else { printable(&record) });
        }
    }
    out
}

/// Without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '\u{fffd}' } else { character }).collect()
}

#[cfg(test)]
mod tests {
    use object_store::path::Path;

    use super::*;
    use crate::event::ShardId;
    use crate::lake::{Kind, Origin};
    use crate::table::Key;

    fn entry(position: &str, kind: Kind) -> QuarantineEntry {
        QuarantineEntry {
            location: Path::from("t/quarantine/dt=2026-11-21/s-1.json"),
            origin: Origin::Capture,
            shard: ShardId::new("s"),
            position: position.parse().ok(),
            event_id: None,
            key: Some(Key::of_texts(vec!["a\u{1b}".into(), "1.5".into()])),
            kind,
            reason: "no \"n\"".to_owned(),
            time: 1_795_230_000,
            found_at: None,
            version: None,
            raw: br#"{"n":1.10}"#.to_vec(),
        }
    }

    #[test]
    fn entries_are_a_table_for_people() {
        let entries = [entry("1", Kind::Behind), entry("none", Kind::DoesNotFit)];
        assert_eq!(
            text(&entries, Output::Text, false).unwrap(),
            "TIME                  KIND          KEY     SHARD  POSITION\n\
             2026-11-21T03:00:00Z  behind        a\u{fffd}/1.5  s      1\n    no \"n\"\n\
             2026-11-21T03:00:00Z  does-not-fit  a\u{fffd}/1.5  s      -\n    no \"n\"\n"
        );
        assert!(text(&entries, Output::Text, true).unwrap().contains(r#"    {"n":1.10}"#));
        assert!(text(&[], Output::Text, false).unwrap().starts_with("nothing"));
    }

    #[test]
    fn entries_are_a_document_for_machines() {
        let read = |with_record| -> Value {
            serde_json::from_str(&text(&[entry("1", Kind::Behind)], Output::Json, with_record).unwrap()).unwrap()
        };
        let told = &read(false)["entries"][0];
        assert_eq!((&told["kind"], &told["key"][1], &told["record"]), (&"behind".into(), &"1.5".into(), &Value::Null));
        assert_eq!(read(true)["entries"][0]["record"], r#"{"n":1.10}"#);
    }
}
