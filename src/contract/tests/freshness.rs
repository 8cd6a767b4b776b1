//! How fresh a contract promises its tables to be.

use std::time::Duration;

use super::{SALES_ORDERS, document, parse};

/// What a contract with these service levels promises of its table `t`.
fn promised(levels: &str) -> Option<Duration> {
    let text = format!("{}{levels}", document(&[]));
    parse(&text).unwrap_or_else(|errors| panic!("{text}\n{errors}")).freshness("t")
}

#[test]
fn the_shipped_contract_promises_five_minutes() {
    let contract = parse(SALES_ORDERS).unwrap();
    assert_eq!(contract.freshness("sales_orders"), Some(Duration::from_mins(5)));
    assert_eq!(contract.freshness("invoices"), None, "it is not described");
}

#[test]
fn a_contract_without_such_a_level_promises_nothing() {
    assert_eq!(promised(""), None);
    assert_eq!(promised("slaProperties: [{property: retention, value: 3, unit: years}, {property: availability, value: '99.9'}]\n"), None);
}

#[test]
fn units_and_fractions_count() {
    let of = |value: &str, unit: &str| promised(&format!("slaProperties: [{{property: freshness, value: {value}, unit: {unit}}}]\n"));
    assert_eq!(of("90", "s"), Some(Duration::from_secs(90)));
    assert_eq!(of("1.5", "hours"), Some(Duration::from_mins(90)));
    assert_eq!(of("2", "d"), Some(Duration::from_hours(48)));
    assert_eq!(of("1", "week"), Some(Duration::from_hours(7 * 24)));
}

#[test]
fn the_strictest_of_freshness_and_latency_counts() {
    let both = "slaProperties: [{property: latency, value: 4, unit: min}, {property: freshness, value: 1, unit: h}]\n";
    assert_eq!(promised(both), Some(Duration::from_mins(4)));
}

#[test]
fn a_level_holds_of_the_objects_that_it_names() {
    let of = |rest: &str| promised(&format!("slaProperties: [{{property: freshness, value: 1, unit: h, element: {rest}}}]\n"));
    assert_eq!(of("t"), Some(Duration::from_hours(1)));
    assert_eq!(of("t.pk"), Some(Duration::from_hours(1)), "a column is as fresh as its table");
    let two = SALES_ORDERS.replace("  - name: sales_orders\n", "  - name: orders\n").replace("element: sales_orders", "element: orders");
    let other = "  - {name: other, properties: [{name: pk, logicalType: string, primaryKey: true}]}\n\nslaProperties:";
    let contract = parse(&two.replace("\nslaProperties:", other)).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!((contract.freshness("orders"), contract.freshness("other")), (Some(Duration::from_mins(5)), None));
}

#[test]
fn a_level_without_an_element_holds_of_the_default_or_of_all() {
    let level = "slaProperties: [{property: freshness, value: 1, unit: h}]\n";
    assert_eq!(promised(level), Some(Duration::from_hours(1)));
    assert_eq!(promised(&format!("slaDefaultElement: t.pk\n{level}")), Some(Duration::from_hours(1)));
}
