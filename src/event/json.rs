//! JSON string escaping for the writers of this module.

/// Hands `text` to `push` as the inside of a JSON string: in as few runs as possible, with `"`, `\` and control characters escaped.
pub(super) fn escaped(text: &str, mut push: impl FnMut(&str)) {
    let needs_escape = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    // Without an early exit the compiler vectorises this scan, and most strings need nothing more.
    if !text.as_bytes().iter().fold(false, |any, byte| any | needs_escape(byte)) {
        return push(text);
    }
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| needs_escape(byte)) {
        push(&text[clean..at]);
        clean = at + 1;
        match byte {
            b'"' => push("\\\""),
            b'\\' => push("\\\\"),
            b'\n' => push("\\n"),
            b'\r' => push("\\r"),
            b'\t' => push("\\t"),
            control => push(&format!("\\u{control:04x}")),
        }
    }
    push(&text[clean..]);
}

/// Appends `text` as a JSON string.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    escaped(text, |run| out.push_str(run));
    out.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_reads_back(text in any::<String>()) {
            let mut json = String::new();
            push_string(&mut json, &text);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }

    #[test]
    fn every_ascii_character_reads_back() {
        let text: String = (0_u8..128).map(char::from).collect();
        let mut json = String::new();
        push_string(&mut json, &text);
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        assert!(!json.bytes().any(|b| b < 0x20), "a line of NDJSON stays one line");
    }
}
