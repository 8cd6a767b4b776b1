//! The parser's ground: tokens, paths and values. What the expressions are made of stands with each of them.

use super::path::{Path, Step, check_distinct};
use super::token::{Kind, Token, tokens};
use super::{LONGEST, Placeholders, invalid, reserved};
use crate::call::ApiError;
use crate::item::AttributeValue;

/// How deep parentheses, NOTs and functions may nest. AWS names no limit but that of the operators; this one fits the 2 MiB stack of a test's
/// thread with room to spare, at about 22 KB a level in a debug build.
const DEPTH: usize = 40;
/// The most operators and functions in one expression.
const OPERATORS: usize = 300;
/// The highest index of a list's element.
const HIGHEST_INDEX: usize = i32::MAX as usize;

/// Reads one expression.
pub(super) struct Parser<'a> {
    /// Which expression of the request this is, for its errors.
    pub(super) which: &'static str,
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    placeholders: &'a mut Placeholders,
    depth: usize,
    operators: usize,
}

impl<'a> Parser<'a> {
    pub(super) fn new(which: &'static str, text: &'a str, placeholders: &'a mut Placeholders) -> Result<Self, ApiError> {
        if text.is_empty() {
            return Err(invalid(which, "The expression can not be empty;"));
        }
        if text.len() > LONGEST {
            let what = format!("Expression size has exceeded the maximum allowed size; expression size: {}", text.len());
            return Err(invalid(which, what));
        }
        Ok(Self { which, text, tokens: tokens(text), at: 0, placeholders, depth: 0, operators: 0 })
    }

    /// Reads a ProjectionExpression.
    pub(super) fn projection(mut self) -> Result<Vec<Path>, ApiError> {
        let mut paths = vec![self.path()?];
        while self.take(",") {
            paths.push(self.path()?);
        }
        self.end()?;
        check_distinct(self.which, &paths)?;
        Ok(paths)
    }

    pub(super) fn invalid(&self, what: impl std::fmt::Display) -> ApiError {
        invalid(self.which, what)
    }

    fn token(&self) -> Token {
        self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    /// The next token's text.
    pub(super) fn peek(&self) -> &'a str {
        let token = self.token();
        &self.text[token.start..token.end]
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.token().kind == Kind::End
    }

    /// Takes the next token if it is this symbol.
    pub(super) fn take(&mut self, symbol: &str) -> bool {
        let taken = self.token().kind == Kind::Symbol && self.peek() == symbol;
        self.at += usize::from(taken);
        taken
    }

    /// Takes the next token if it is this keyword, in whatever case.
    pub(super) fn take_keyword(&mut self, keyword: &str) -> bool {
        let taken = self.token().kind == Kind::Word && self.peek().eq_ignore_ascii_case(keyword);
        self.at += usize::from(taken);
        taken
    }

    pub(super) fn expect(&mut self, symbol: &str) -> Result<(), ApiError> {
        if self.take(symbol) { Ok(()) } else { Err(self.syntax_error()) }
    }

    pub(super) fn end(&self) -> Result<(), ApiError> {
        if self.is_at_end() { Ok(()) } else { Err(self.syntax_error()) }
    }

    /// The next token cannot stand where it stands.
    pub(super) fn syntax_error(&self) -> ApiError {
        let at = self.at.min(self.tokens.len() - 1);
        let text = if self.is_at_end() { "<EOF>" } else { self.peek() };
        let from = self.tokens[at.saturating_sub(1)];
        let to = self.tokens[(at + 1).min(self.tokens.len() - 1)];
        // Nothing but blanks is its own surroundings.
        let start = if from.kind == Kind::End { 0 } else { from.start };
        let end = if self.is_at_end() && from.kind != Kind::End {
            from.end
        } else if to.kind == Kind::End {
            self.token().end
        } else {
            to.end
        };
        self.invalid(format_args!("Syntax error; token: \"{text}\", near: \"{}\"", &self.text[start..end]))
    }

    /// Takes a function's name if one comes next: a word before an opening parenthesis, which is taken with it.
    pub(super) fn take_function(&mut self) -> Option<&'a str> {
        let opens = self.tokens.get(self.at + 1).is_some_and(|next| &self.text[next.start..next.end] == "(");
        let name = self.peek();
        (self.token().kind == Kind::Word && opens && !is_keyword(name)).then(|| {
            self.at += 2;
            name
        })
    }

    /// Takes a value's placeholder if one comes next, and gives the value.
    pub(super) fn take_value(&mut self) -> Result<Option<AttributeValue>, ApiError> {
        if self.token().kind != Kind::ValueHolder {
            return Ok(None);
        }
        let key = self.peek();
        self.at += 1;
        let undefined = "An expression attribute value used in expression is not defined; attribute value";
        self.placeholders.value(key).map(Some).ok_or_else(|| invalid(self.which, format_args!("{undefined}: {key}")))
    }

    pub(super) fn path(&mut self) -> Result<Path, ApiError> {
        let mut steps = vec![self.field()?];
        loop {
            if self.take(".") {
                steps.push(self.field()?);
            } else if self.take("[") {
                if self.token().kind != Kind::Number {
                    return Err(self.syntax_error());
                }
                let index = self.peek();
                let within = index.parse().ok().filter(|index| *index <= HIGHEST_INDEX);
                let error = || self.invalid(format_args!("List index is not within the allowable range; index: [{index}]"));
                steps.push(Step::Element(within.ok_or_else(error)?));
                self.at += 1;
                self.expect("]")?;
            } else {
                return Ok(Path(steps));
            }
        }
    }

    fn field(&mut self) -> Result<Step, ApiError> {
        let name = self.peek();
        let name = match self.token().kind {
            Kind::NameHolder => {
                let undefined = "An expression attribute name used in the document path is not defined; attribute name";
                self.placeholders.name(name).ok_or_else(|| invalid(self.which, format_args!("{undefined}: {name}")))?
            }
            Kind::Word if is_keyword(name) => return Err(self.syntax_error()),
            Kind::Word if reserved::is_reserved(name) => {
                return Err(self.invalid(format_args!("Attribute name is a reserved keyword; reserved keyword: {name}")));
            }
            Kind::Word => name.to_owned(),
            _ => return Err(self.syntax_error()),
        };
        self.at += 1;
        Ok(Step::Field(name))
    }

    /// Counts an operator or function.
    pub(super) fn count_operator(&mut self) -> Result<(), ApiError> {
        self.operators += 1;
        if self.operators <= OPERATORS {
            return Ok(());
        }
        Err(self.invalid(format_args!("The expression contains too many operators; operator count: {}", self.operators)))
    }

    /// Goes a level down, with [`Self::ascend`] on the way back.
    pub(super) fn descend(&mut self) -> Result<(), ApiError> {
        self.depth += 1;
        if self.depth <= DEPTH { Ok(()) } else { Err(self.invalid("The expression is nested too deeply")) }
    }

    pub(super) fn ascend(&mut self) {
        self.depth -= 1;
    }
}

fn is_keyword(word: &str) -> bool {
    ["AND", "OR", "NOT", "BETWEEN", "IN", "SET", "REMOVE", "ADD", "DELETE"].iter().any(|keyword| keyword.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn projection(text: &str) -> Result<Vec<String>, String> {
        let mut placeholders = Placeholders::default();
        let paths = Parser::new("ProjectionExpression", text, &mut placeholders).and_then(Parser::projection);
        paths
            .map(|paths| paths.iter().map(ToString::to_string).collect())
            .map_err(|error| error.message.replace("Invalid ProjectionExpression: ", ""))
    }

    #[test]
    fn paths_lead_through_maps_and_lists() {
        assert_eq!(projection("a, b.c_1 [ 0 ][12] . d").unwrap(), ["[a]", "[b, c_1, [0], [12], d]"]);
    }

    #[test]
    fn errors_show_the_token_and_its_surroundings() {
        for (text, error) in [
            ("n,", r#"Syntax error; token: "<EOF>", near: ",""#),
            ("n m", r#"Syntax error; token: "m", near: "n m""#),
            (":n", r#"Syntax error; token: ":n", near: ":n""#),
            ("a..b", r#"Syntax error; token: ".", near: "..b""#),
            ("l[-1]", r#"Syntax error; token: "-", near: "[-1""#),
            ("_a", r#"Syntax error; token: "_", near: "_a""#),
            ("a-b", r#"Syntax error; token: "-", near: "a-b""#),
            ("  ", r#"Syntax error; token: "<EOF>", near: "  ""#),
            ("", "The expression can not be empty;"),
            ("a.Name", "Attribute name is a reserved keyword; reserved keyword: Name"),
            ("l[99999999999]", "List index is not within the allowable range; index: [99999999999]"),
        ] {
            assert_eq!(projection(text).unwrap_err(), error, "{text}");
        }
        let long = format!("a{}", "b".repeat(LONGEST));
        assert_eq!(projection(&long).unwrap_err(), "Expression size has exceeded the maximum allowed size; expression size: 4097");
    }
}
