//! What can be wrong with a line.

use std::str::Utf8Error;

/// The line is not a change event of the table. It is to be quarantined; the message names the member and holds no value of it.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// JSON is UTF-8.
    #[error("the record is not UTF-8; does anything but headwater write to the stream?")]
    Encoding(#[source] Utf8Error),
    /// Something else than an object.
    #[error("the record is {found} where a JSON object is expected; does anything but headwater write to the stream?")]
    NoObject {
        /// What it is.
        found: &'static str,
    },
    /// Broken JSON, or something behind the object.
    #[error("the record is not one JSON object; was it cut short, or does anything but headwater write to the stream?")]
    Malformed(#[source] serde_json::Error),
    /// A member that the schema does not know.
    #[error(
        "the member '{member}' is not in this stage's schema of table '{table}': what wrote the record runs a newer contract; deploy this \
         stage with it first, then redrive the record"
    )]
    Unknown {
        /// The member.
        member: String,
        /// The table.
        table: String,
    },
    /// A member that is there twice.
    #[error("the member '{member}' is given twice, so that its value is uncertain")]
    Duplicate {
        /// The member.
        member: String,
    },
    /// A metadata or key member that is not there.
    #[error("the member '{member}' is missing, which every change event has")]
    Missing {
        /// The member.
        member: String,
    },
    /// The change is another table's.
    #[error("the record is a change of table '{found}', this stage delivers '{expected}'; give each table a stream of its own")]
    OtherTable {
        /// The record's table.
        found: String,
        /// The schema's table.
        expected: String,
    },
    /// A metadata member that does not hold what it should.
    #[error("the member '{member}' holds {found} that is not {expected}")]
    Metadata {
        /// The member.
        member: &'static str,
        /// The kind of JSON value.
        found: &'static str,
        /// What the member should hold.
        expected: &'static str,
    },
    /// A value that does not fit its column.
    #[error(
        "the member '{member}' holds {found} that is not {expected}, which the contract says; if another version of the contract wrote the \
         record, deploy this stage with it, then redrive the record"
    )]
    Column {
        /// The member: the column's name, with `old_` before it on the old side.
        member: String,
        /// The kind of JSON value.
        found: &'static str,
        /// What the column holds.
        expected: String,
    },
    /// A member of an image that the record cannot have.
    #[error("{what} does not have the image that the member '{member}' is of")]
    Image {
        /// What the record is.
        what: &'static str,
        /// The member.
        member: String,
    },
}

/// The kind of a JSON value, told by how it begins.
pub(super) fn kind_of(raw: &str) -> &'static str {
    match raw.as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        Some(b'-' | b'0'..=b'9') => "a number",
        Some(_) => "no JSON",
        None => "empty",
    }
}
