//! What the values and the keys of drawn items bear, so that they are known wherever they turn up: in logs, where they do not belong.
//!
//! Short numbers, booleans and empty texts bear nothing: they are in every log.

/// In texts, the keys' among them. Its length is a multiple of three, so that its base64 is the same at the beginning of any binary.
pub const TEXT: &str = "payload-7f3a";
/// In binaries: [`TEXT`] in base64.
pub const BASE64: &str = "cGF5bG9hZC03ZjNh";
/// In numbers that are long enough, and in the keys' numbers.
pub const NUMBER: &str = "4815162342";

/// The marks as a log line may spell them: [`TEXT`] as it is, in base64 at any of the three places that it can have in a binary, and as a list of
/// bytes; [`NUMBER`] as it is.
pub const SPELLINGS: [&str; 6] = [TEXT, BASE64, "BheWxvYWQtN2YzY", "wYXlsb2FkLTdmM2", "112, 97, 121, 108, 111, 97, 100", NUMBER];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_one_of_the_marks() {
        let base64 = |text: &str| base64_simd::STANDARD.encode_to_string(text);
        assert_eq!(base64(TEXT), BASE64);
        assert!(base64(&format!("x{TEXT}x")).contains(SPELLINGS[2]));
        assert!(base64(&format!("xy{TEXT}x")).contains(SPELLINGS[3]));
        assert!(format!("{:?}", TEXT.as_bytes()).contains(SPELLINGS[4]));
    }
}
