//! An expression's tokens.

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a keyword or a function.
    Word,
    /// `#name`.
    NameHolder,
    /// `:value`.
    ValueHolder,
    /// Digits.
    Number,
    /// An operator or punctuation.
    Symbol,
    /// A character that begins nothing.
    Stray,
    /// The expression's end.
    End,
}

/// A token and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Cuts an expression into tokens; the last one is its end.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(first) = text[start..].chars().next() {
        if first.is_ascii_whitespace() {
            start += 1;
            continue;
        }
        let rest = &text[start..];
        let word = |from: usize| from + rest[from..].bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let (kind, length) = match first {
            'a'..='z' | 'A'..='Z' => (Kind::Word, word(1)),
            '#' if word(1) > 1 => (Kind::NameHolder, word(1)),
            ':' if word(1) > 1 => (Kind::ValueHolder, word(1)),
            '0'..='9' => (Kind::Number, rest.bytes().take_while(u8::is_ascii_digit).count()),
            '<' if rest.starts_with("<>") || rest.starts_with("<=") => (Kind::Symbol, 2),
            '>' if rest.starts_with(">=") => (Kind::Symbol, 2),
            '=' | '<' | '>' | '(' | ')' | '[' | ']' | ',' | '.' | '+' | '-' => (Kind::Symbol, 1),
            _ => (Kind::Stray, first.len_utf8()),
        };
        tokens.push(Token { kind, start, end: start + length });
        start += length;
    }
    tokens.push(Token { kind: Kind::End, start: text.len(), end: text.len() });
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_falls_into_tokens() {
        let text = "size(#a.b_1[10])<>:v2 AND _é";
        let found: Vec<_> = tokens(text).iter().map(|token| (token.kind, &text[token.start..token.end])).collect();
        assert_eq!(
            found,
            [
                (Kind::Word, "size"),
                (Kind::Symbol, "("),
                (Kind::NameHolder, "#a"),
                (Kind::Symbol, "."),
                (Kind::Word, "b_1"),
                (Kind::Symbol, "["),
                (Kind::Number, "10"),
                (Kind::Symbol, "]"),
                (Kind::Symbol, ")"),
                (Kind::Symbol, "<>"),
                (Kind::ValueHolder, ":v2"),
                (Kind::Word, "AND"),
                (Kind::Stray, "_"),
                (Kind::Stray, "é"),
                (Kind::End, ""),
            ]
        );
    }
}
