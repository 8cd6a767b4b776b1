//! What is wrong with a record, told without its values: reasons are logged, and payloads are not.

use serde_json::error::Category;

/// Characters of a name that a message shows. Names come from the record, which may be anything.
const SHOWN: usize = 64;

/// A name as a message shows it.
pub(crate) fn shown(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What is wrong with JSON, and where. Serde's own words for a value of the wrong kind quote the value; here its kind stands for it.
pub(crate) fn of_json(error: &serde_json::Error) -> String {
    let told = error.to_string();
    // Only these speak of what was found. What does not parse is told by its place, and the messages of this crate's readers hold no value.
    let found = ["invalid type: ", "invalid value: ", "invalid length ", "unknown variant ", "unknown field "];
    match found.into_iter().find_map(|start| told.strip_prefix(start)) {
        Some(found) if error.classify() == Category::Data => {
            // The last one is serde's: the value stands before it.
            let expected = found.rsplit_once(", expected ").map_or(found, |(_, expected)| expected);
            let kind: String = found.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == ' ').collect();
            match kind.trim() {
                "" => format!("a value is not what is expected: {expected}"),
                kind => {
                    format!("{} {kind} is found, expected {expected}", if kind.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" })
                }
            }
        }
        _ => told,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::item_from_json;

    #[test]
    fn a_value_of_the_wrong_kind_is_told_by_its_kind_and_its_place() {
        for (json, told) in [
            (r#"{"mail":"a@b.c"}"#, r#"a string is found, expected an attribute value such as {"S":"text"} at line 1 column 15"#),
            (r#"{"mail":"a, expected b"}"#, r#"a string is found, expected an attribute value such as {"S":"text"} at line 1 column 23"#),
            (r#"{"n":{"N":4711}}"#, "an integer is found, expected a string at line 1 column 14"),
            (r#"{"n":{"N":null}}"#, "a null is found, expected a string at line 1 column 14"),
            (r#"{"n":{"S":["a"]}}"#, "a sequence is found, expected a string at line 1 column 10"),
            (r#"{"t":{"BOOL":1e9}}"#, "a floating point is found, expected a boolean at line 1 column 16"),
        ] {
            assert_eq!(of_json(&item_from_json(json).unwrap_err()), told, "{json}");
        }
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place() {
        for json in [r#"{"mail":{"S":"a@b.c"#, r#"{"mail":{"S":a@b.c}}"#, r#"{"mail":{"S":"a@b.c\ud800"}}"#, "a@b.c"] {
            let told = of_json(&item_from_json(json).unwrap_err());
            assert!(told.contains("column") && !told.contains("a@b"), "{told}");
        }
    }

    #[test]
    fn a_name_without_end_is_shown_by_its_beginning() {
        assert_eq!(shown("cdc_op"), "cdc_op");
        assert_eq!(shown(&"é".repeat(1000)), format!("{}…", "é".repeat(64)));
    }
}
