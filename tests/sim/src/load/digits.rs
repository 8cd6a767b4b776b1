//! Numbers of a fixed width in text.

/// The number's last `N` digits, with zeros in front.
pub(super) fn digits<const N: usize>(mut number: usize) -> [u8; N] {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit = b"0123456789"[number % 10];
        number /= 10;
    }
    digits
}

/// The number that these digits spell; `None` for anything but digits, for no digits, and for more than 19.
pub(super) fn number(digits: &[u8]) -> Option<usize> {
    if digits.is_empty() || digits.len() > 19 {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + usize::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_keep_their_width_both_ways() {
        assert_eq!(&digits::<6>(1_234), b"001234");
        assert_eq!(number(b"001234"), Some(1_234));
        assert_eq!(number(b"9999999999999999999"), Some(9_999_999_999_999_999_999));
        for text in ["", "12a", "-1", "99999999999999999999"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }
}
