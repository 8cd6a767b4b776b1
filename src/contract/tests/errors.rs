use super::{SALES_ORDERS, document, errors, parse};
use crate::event::AttributeType::{self, N, S};

/// One property on line 9, and the start of the error that it must give.
#[track_caller]
fn property_error(property: &str, expected: &str) {
    let found = errors(&document(&[property]));
    assert!(found.starts_with(expected) && found.lines().count() == 1, "{property}\n  gives: {found}\n  not:   {expected}");
}

#[track_caller]
fn document_error(replace: (&str, &str), expected: &str) {
    let text = document(&[]).replace(replace.0, replace.1);
    let found = errors(&text);
    assert!(found.starts_with(expected) && found.lines().count() == 1, "{text}\n  gives: {found}\n  not:   {expected}");
}

#[test]
fn the_probe_document_is_valid() {
    assert_eq!(errors(&document(&[])), "");
}
