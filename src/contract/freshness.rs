//! How fresh the contract promises its tables to be.
//!
//! Two service levels say it, `freshness` and `latency`: the longest time from the making of a change until it can be read. They hold of
//! the objects that their `element` names, or else those that `slaDefaultElement` names, or else of every object. Where several hold of
//! one, the strictest counts.

use std::time::Duration;

use super::cursor::Cursor;

/// The service levels that bound the age of what is read.
const LEVELS: [&str; 2] = ["freshness", "latency"];

const MINUTE: u32 = 60;
const HOUR: u32 = 60 * MINUTE;
const DAY: u32 = 24 * HOUR;

/// A unit of time in seconds; none of what is no unit. `m` is none: it could be minutes or months. A month counts as 30 days, a year as
/// 365.
pub(super) fn seconds_of(unit: &str) -> Option<u32> {
    Some(match unit {
        "s" | "second" | "seconds" => 1,
        "min" | "minute" | "minutes" => MINUTE,
        "h" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7 * DAY,
        "mo" | "month" | "months" => 30 * DAY,
        "y" | "yr" | "year" | "years" => 365 * DAY,
        _ => return None,
    })
}

/// What the contract promises of the object of that name.
pub(super) fn promised(contract: &Cursor<'_>, object: &str) -> Option<Duration> {
    let everywhere = contract.text_of("slaDefaultElement");
    let levels = contract.items_of("slaProperties").into_iter().filter(|level| {
        let element = level.text_of("element").or(everywhere);
        level.text_of("property").is_some_and(|name| LEVELS.contains(&name)) && element.is_none_or(|element| concerns(element, object))
    });
    levels.filter_map(|level| length(&level)).min()
}

/// Whether an element, or one of several with commas between them, is the object or one of its properties.
fn concerns(element: &str, object: &str) -> bool {
    element.split(',').map(|reference| reference.trim().split('.').next()).any(|name| name == Some(object))
}

/// The length of time that a level names. What is wrong with it was said where its form was checked.
fn length(level: &Cursor<'_>) -> Option<Duration> {
    let value = level.get("value").and_then(|value| value.number())?;
    let unit = level.text_of("unit").and_then(seconds_of)?;
    Duration::try_from_secs_f64(value * f64::from(unit)).ok()
}
