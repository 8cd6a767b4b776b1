//! Names that look random and are the same each time.

use md5::{Digest, Md5};

/// 32 hexadecimal digits that depend on a text.
pub(super) fn digest(text: &str) -> String {
    format!("{:032x}", u128::from_be_bytes(Md5::digest(text).into()))
}

/// A name with the looks of a UUID that depends on a text.
pub(super) fn unique(text: &str) -> String {
    let digits = digest(text);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_looks_of_a_uuid() {
        assert_eq!(unique(""), "d41d8cd9-8f00-b204-e980-0998ecf8427e");
    }
}
