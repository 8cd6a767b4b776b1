//! The form of quality rules and service levels: what the standard's field list cannot say.

use super::cursor::Cursor;
use super::error::{Problems, either};
use super::freshness::seconds_of;
use super::node::Value;
use super::standard::OPERATORS;

/// Service levels that are lengths of time.
const DURATIONS: [&str; 7] = ["freshness", "latency", "frequency", "retention", "timeToDetect", "timeToNotify", "timeToRepair"];

/// Checks the rules of an object of the schema and of all its properties.
pub(super) fn check_quality(object: &Cursor<'_>, problems: &mut Problems) {
    for rule in object.items_of("quality") {
        check_rule(&rule, object, true, problems);
    }
    for property in object.items_of("properties") {
        check_property(&property, problems);
    }
}

fn check_property(property: &Cursor<'_>, problems: &mut Problems) {
    for rule in property.items_of("quality") {
        check_rule(&rule, property, false, problems);
    }
    for nested in property.items_of("properties").into_iter().chain(property.get("items")) {
        check_property(&nested, problems);
    }
}

fn check_rule(rule: &Cursor<'_>, element: &Cursor<'_>, of_object: bool, problems: &mut Problems) {
    match rule.text_of("type").unwrap_or("library") {
        "text" if rule.text_of("description").is_none_or(str::is_empty) => {
            let help = "a rule of type 'text' says in its description what must hold";
            problems.add(rule.at(), rule.path_of("description"), "is missing", help);
        }
        "library" => {
            check_operator(rule, true, problems);
            check_metric(rule, element, of_object, problems);
        }
        "sql" => check_operator(rule, false, problems),
        _ => {}
    }
}

/// A rule that measures compares with exactly one operator; what the library measures are numbers.
fn check_operator(rule: &Cursor<'_>, numeric: bool, problems: &mut Problems) {
    let mut operators = rule.entries().filter(|(key, _)| OPERATORS.contains(&key.name.as_str()));
    match operators.next() {
        None => rule.problem(problems, "the rule compares with nothing", format!("one of {} is expected", either(&OPERATORS))),
        Some((_, value)) => {
            let between = matches!(value.node.value, Value::List(_));
            if numeric && !between && value.number().is_none() {
                value.problem(problems, value.node.value.describe(), "a number is expected: how many rows, or what percentage of them");
            }
        }
    }
    for (key, value) in operators {
        problems.add(key.at, value.path, "the rule compares twice", "keep one operator, and make another rule of the other");
    }
}

fn check_metric(rule: &Cursor<'_>, element: &Cursor<'_>, of_object: bool, problems: &mut Problems) {
    if let Some(unit) = rule.get("unit")
        && !unit.text().is_some_and(|text| ["rows", "percent"].contains(&text))
    {
        unit.problem(problems, unit.node.value.describe(), "rows or percent is expected");
    }
    let Some(metric) = rule.get("metric") else { return };
    let argument = |name: &str| rule.get("arguments").and_then(|arguments| arguments.get(name));
    let needs = |name: &str, problems: &mut Problems| {
        let path = rule.path_of(&format!("arguments.{name}"));
        problems.add(rule.at(), path, "is missing", format!("the metric {} needs it", metric.node.value.describe()));
    };
    match (metric.text(), of_object) {
        (Some("rowCount"), false) => {
            metric.problem(problems, "'rowCount' counts the rows of an object", "move the rule to the object's quality");
        }
        (Some("nullValues" | "missingValues" | "invalidValues"), true) => {
            let problem = format!("{} counts the values of a property", metric.node.value.describe());
            metric.problem(problems, problem, "move the rule to that property's quality");
        }
        (Some("missingValues"), false) => match argument("missingValues") {
            None => needs("missingValues", problems),
            Some(values) => check_values(&values, None, problems),
        },
        (Some("invalidValues"), false) => match (argument("validValues"), argument("pattern")) {
            (None, None) => needs("validValues", problems),
            (Some(values), _) => check_values(&values, element.text_of("logicalType"), problems),
            (None, Some(pattern)) if pattern.text().is_none() => {
                pattern.problem(problems, pattern.node.value.describe(), "a regular expression is expected");
            }
            (None, Some(_)) => {}
        },
        (Some("duplicateValues"), true) => match argument("properties") {
            None => needs("properties", problems),
            Some(list) => {
                for name in list.items() {
                    if !name.text().is_some_and(|text| has_property(element, text)) {
                        let problem = format!("the object has no property {}", name.node.value.describe());
                        name.problem(problems, problem, "name its properties, as their `name` says");
                    }
                }
            }
        },
        _ => {}
    }
}

/// A list of values, without doubles; of the property's type if that is given.
fn check_values(values: &Cursor<'_>, logical: Option<&str>, problems: &mut Problems) {
    let list: Vec<_> = values.items().collect();
    if list.is_empty() {
        values.problem(problems, values.node.value.describe(), "a list of at least one value is expected");
    }
    for (i, value) in list.iter().enumerate() {
        let (fits, expected) = match logical {
            Some("string" | "date" | "time" | "timestamp") => {
                (value.text().is_some(), "text is expected, as the property's (put it in quotes)")
            }
            Some("integer") => (value.integer().is_some(), "a whole number is expected, as the property's"),
            Some("number") => (value.number().is_some(), "a number is expected, as the property's"),
            Some("boolean") => (matches!(value.node.value, Value::Bool(_)), "true or false is expected, as the property's"),
            _ => (true, ""),
        };
        if !fits {
            value.problem(problems, value.node.value.describe(), expected);
        } else if list[..i].iter().any(|other| other.node.value == value.node.value) {
            value.problem(problems, format!("{} stands here twice", value.node.value.describe()), "remove one");
        }
    }
}

/// Checks the service levels of a contract.
pub(super) fn check_service_levels(contract: &Cursor<'_>, problems: &mut Problems) {
    if let Some(element) = contract.get("slaDefaultElement") {
        check_element(&element, contract, problems);
    }
    for level in contract.items_of("slaProperties") {
        if let Some(element) = level.get("element") {
            check_element(&element, contract, problems);
        }
        let Some(name) = level.text_of("property").filter(|name| DURATIONS.contains(name)) else { continue };
        if let Some(value) = level.get("value")
            && !value.number().is_some_and(|number| number > 0.0)
        {
            value.problem(problems, value.node.value.describe(), format!("{name} is a length of time: a number above 0 is expected"));
        }
        match level.get("unit") {
            None => {
                let help = format!("{name} is a length of time: a unit such as 'minutes' is expected");
                problems.add(level.at(), level.path_of("unit"), "is missing", help);
            }
            Some(unit) if unit.text().and_then(seconds_of).is_none() => {
                let help = "seconds, minutes, hours, days, weeks, months or years is expected (or s, min, h, d, w, mo, y)";
                unit.problem(problems, unit.node.value.describe(), help);
            }
            Some(_) => {}
        }
    }
}

/// An element names an object of the schema or one of its properties (`object.property`), or several, with commas.
fn check_element(element: &Cursor<'_>, contract: &Cursor<'_>, problems: &mut Problems) {
    let Some(text) = element.text() else { return };
    for reference in text.split(',').map(str::trim) {
        let (name, property) = reference.split_once('.').map_or((reference, None), |(name, property)| (name, Some(property)));
        let named = contract.items_of("schema").into_iter().find(|object| object.text_of("name") == Some(name));
        if !named.is_some_and(|object| property.is_none_or(|property| has_property(&object, property))) {
            element.problem(problems, format!("the schema has no '{reference}'"), "an object's name, or object.property, is expected");
        }
    }
}

/// Whether `element` has the property; a nested one as `outer.inner`.
fn has_property(element: &Cursor<'_>, name: &str) -> bool {
    let (first, rest) = name.split_once('.').map_or((name, None), |(first, rest)| (first, Some(rest)));
    element
        .items_of("properties")
        .iter()
        .any(|property| property.text_of("name") == Some(first) && rest.is_none_or(|rest| has_property(property, rest)))
}
