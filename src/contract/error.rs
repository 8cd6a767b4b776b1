//! What is wrong with a contract, all of it, each with its place in the document.

use std::fmt;

/// A place in a document; both counts start at 1, columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Position {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// One thing that is wrong with a contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[error("{at}: {path}{}{problem}: {help}", if path.is_empty() { "" } else { ": " })]
pub struct ContractError {
    /// Where in the text.
    #[serde(flatten)]
    pub at: Position,
    /// Where in the document, such as `schema[0].properties[3].physicalType`; empty for the document as a whole.
    pub path: String,
    /// What is wrong.
    pub problem: String,
    /// What is expected, or what to do.
    pub help: String,
}

/// Everything that is wrong with a contract, in the order of the text. Never empty.
///
/// `Display` gives one line for each error: `file:line:column: path: problem: help`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ContractErrors {
    file: String,
    errors: Vec<ContractError>,
}

impl ContractErrors {
    /// The file, as the caller named it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The errors, in the order of the text.
    pub fn errors(&self) -> &[ContractError] {
        &self.errors
    }
}

impl fmt::Display for ContractErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, error) in self.errors.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{error}", self.file)?;
        }
        Ok(())
    }
}

/// Collects errors while a document is checked.
#[derive(Debug, Default)]
pub(super) struct Problems(Vec<ContractError>);

impl Problems {
    /// Notes an error.
    pub(super) fn add(&mut self, at: Position, path: impl Into<String>, problem: impl Into<String>, help: impl Into<String>) {
        self.0.push(ContractError { at, path: path.into(), problem: problem.into(), help: help.into() });
    }

    /// Whether nothing was noted.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value, unless errors were noted.
    pub(super) fn or<T>(self, file: &str, value: T) -> Result<T, ContractErrors> {
        if self.is_empty() { Ok(value) } else { Err(self.into_errors(file)) }
    }

    /// What was noted, in the order of the text.
    pub(super) fn into_errors(mut self, file: &str) -> ContractErrors {
        self.0.sort_by_key(|error| error.at);
        ContractErrors { file: file.to_owned(), errors: self.0 }
    }
}

/// `a`, `a or b`, `a, b or c`.
pub(super) fn either<T: fmt::Display>(alternatives: &[T]) -> String {
    match alternatives {
        [] => "nothing".to_owned(),
        [one] => one.to_string(),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(ToString::to_string).collect();
            format!("{} or {last}", first.join(", "))
        }
    }
}
