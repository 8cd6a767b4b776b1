//! Runs the script against both services and judges the answers.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Value, json};

use super::normal::normalised;
use super::step::{Extent, Kept, Step, filled};
use super::wire::{Endpoint, Reply};

/// No script has more pages than this for one request.
const PAGES: usize = 50;

/// How many bytes of a request or an answer are shown.
const SHOWN: usize = 4_000;

/// How many steps are shown for one difference.
const EXAMPLES: usize = 3;

/// What came of a script.
#[derive(Default)]
pub(super) struct Report {
    /// How many steps were compared.
    pub(super) steps: usize,
    /// Everything that was asked and answered, for a reader.
    pub(super) transcript: String,
    /// Where the services differ and are said to: the reason, and the steps.
    differences: BTreeMap<&'static str, Vec<String>>,
    /// Where they differ though it is not said, or do not differ as it is said.
    pub(super) mismatches: Vec<String>,
}

impl Report {
    /// The stated differences by their reason, each with the first steps that have it.
    pub(super) fn differences(&self) -> String {
        let mut text = String::new();
        for (reason, steps) in &self.differences {
            writeln!(text, "- {reason}").unwrap();
            for step in steps.iter().take(EXAMPLES) {
                writeln!(text, "    {step}").unwrap();
            }
            if steps.len() > EXAMPLES {
                writeln!(text, "    and {} more", steps.len() - EXAMPLES).unwrap();
            }
        }
        text
    }
}

/// One of the two services, with what was kept of its answers.
struct Side<'a> {
    name: &'static str,
    endpoint: &'a Endpoint,
    kept: Kept,
}

/// Runs the steps in their order against both, and adds to the report.
pub(super) async fn compare(theme: &str, steps: Vec<Step>, local: &Endpoint, simulator: &Endpoint, report: &mut Report) {
    let mut local = Side { name: "DynamoDB Local", endpoint: local, kept: Kept::new() };
    let mut simulator = Side { name: "the simulator", endpoint: simulator, kept: Kept::new() };
    for step in steps {
        report.steps += 1;
        let answers = (local.ask(&step).await, simulator.ask(&step).await);
        let mut shown = format!("{theme}: {}\n    {} {}\n", step.name, step.operation, clipped(&step.body.to_string()));
        for (side, answer) in [(&local, &answers.0), (&simulator, &answers.1)] {
            let text = answer.as_ref().map_or_else(|wrong| format!("WRONG, {wrong}"), Value::to_string);
            writeln!(shown, "    {:<14} {}", side.name, clipped(&text)).unwrap();
        }
        report.transcript += &shown;
        let verdict = match answers {
            (Ok(local), Ok(simulator)) => judge(&step, local, simulator),
            (Err(wrong), _) | (_, Err(wrong)) => Err(wrong),
        };
        if let Err(why) = verdict {
            report.mismatches.push(format!("{shown}    {why}"));
        }
        for difference in &step.differences {
            let at = if difference.at.is_empty() { "the answer" } else { difference.at };
            let shown = format!("{theme}: {}: {at}: {} there, {} here", step.name, difference.local, difference.simulator);
            report.differences.entry(difference.reason).or_default().push(shown);
        }
    }
}

/// The beginning of what is too long for a reader.
fn clipped(text: &str) -> String {
    if text.len() <= SHOWN { text.to_owned() } else { format!("{}… ({} bytes)", &text[..text.floor_char_boundary(SHOWN)], text.len()) }
}

impl Side<'_> {
    /// The normalised answer to a step.
    async fn ask(&mut self, step: &Step) -> Result<Value, String> {
        let request = filled(&step.body, &self.kept)?;
        match step.extent {
            Extent::Once => {}
            Extent::Pages => {
                let (items, pages) = self.all_pages(step.operation, request).await?;
                return of_several(step.operation, json!({ "Items": items, "CountsOfPages": pages }));
            }
            Extent::Segments(segments) => {
                let mut all = Vec::new();
                for segment in 0..segments {
                    let mut request = request.clone();
                    request["Segment"] = segment.into();
                    request["TotalSegments"] = segments.into();
                    all.extend(self.all_pages(step.operation, request).await?.0);
                }
                return of_several(step.operation, json!({ "Items": all }));
            }
        }
        let reply = self.endpoint.post(step.operation, &request).await?;
        for (name, pointer) in &step.keeps {
            let value = reply.body.pointer(pointer).ok_or_else(|| format!("there is nothing at {pointer} of {}", reply.body))?;
            self.kept.insert(name, value.clone());
        }
        normalised(step.operation, reply)
    }

    /// The items of all pages of a Scan or a Query, and how many items came with each page, after and before the filter.
    async fn all_pages(&self, operation: &str, mut request: Value) -> Result<(Vec<Value>, Vec<Value>), String> {
        let mut items = Vec::new();
        let mut pages = Vec::new();
        while pages.len() < PAGES {
            let Reply { body, .. } = self.endpoint.post(operation, &request).await?;
            let Some(Value::Array(page)) = body.get("Items") else { return Err(format!("a page without items: {body}")) };
            items.extend(page.iter().cloned());
            pages.push(json!([body.get("Count"), body.get("ScannedCount")]));
            match body.get("LastEvaluatedKey") {
                None => return Ok((items, pages)),
                Some(last) => request["ExclusiveStartKey"] = last.clone(),
            }
        }
        Err(format!("there is no last page after {PAGES}"))
    }
}

/// Several answers as one.
fn of_several(operation: &str, body: Value) -> Result<Value, String> {
    normalised(operation, Reply { status: 200, body })
}

/// Compares two answers but for the stated differences, which have to be there.
fn judge(step: &Step, mut local: Value, mut simulator: Value) -> Result<(), String> {
    let differs_in_all = step.differences.iter().any(|difference| difference.at.is_empty());
    for difference in &step.differences {
        let found = (taken(&mut local, difference.at), taken(&mut simulator, difference.at));
        if difference.local == difference.simulator {
            return Err(format!("the difference at '{}' is none", difference.at));
        }
        if found.0 != difference.local {
            return Err(format!("DynamoDB Local was said to have {} at '{}', it has {}", difference.local, difference.at, found.0));
        }
        if found.1 != difference.simulator {
            return Err(format!("the simulator was said to have {} at '{}', it has {}", difference.simulator, difference.at, found.1));
        }
    }
    if differs_in_all {
        return Ok(());
    }
    let error = simulator.get("error").and_then(Value::as_str);
    if error != step.refusal {
        return Err(match step.refusal {
            Some(code) => format!("it should be refused with {code}"),
            None => "it should succeed".to_owned(),
        });
    }
    match first_difference("", &local, &simulator) {
        None => Ok(()),
        Some(at) => Err(format!("the answers differ at '{at}'")),
    }
}

/// Takes what stands at a pointer out of an answer; null when there is nothing.
fn taken(answer: &mut Value, pointer: &str) -> Value {
    if pointer.is_empty() {
        return answer.clone();
    }
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match answer.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(name).unwrap_or_default(),
        Some(Value::Array(values)) => name.parse().ok().and_then(|index: usize| values.get_mut(index)).map(Value::take).unwrap_or_default(),
        _ => Value::Null,
    }
}

/// The pointer to the first place where two documents differ.
fn first_difference(at: &str, a: &Value, b: &Value) -> Option<String> {
    match (a, b) {
        _ if a == b => None,
        (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|name| match (a.get(name), b.get(name)) {
            (Some(a), Some(b)) => first_difference(&format!("{at}/{name}"), a, b),
            _ => Some(format!("{at}/{name}")),
        }),
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(index, (a, b))| first_difference(&format!("{at}/{index}"), a, b))
        }
        _ => Some(at.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::step::{done, refusal, refused, success};
    use super::*;

    fn answer(status: &str) -> Value {
        success(&json!({ "Table": { "Name": "t", "Status": status } }))
    }

    #[test]
    fn equal_answers_agree_if_they_are_of_the_expected_outcome() {
        let step = || done("a step", "DescribeTable", json!({}));
        assert_eq!(judge(&step(), answer("x"), answer("x")), Ok(()));
        assert_eq!(judge(&step(), answer("x"), answer("y")), Err("the answers differ at '/body/Table/Status'".to_owned()));
        assert!(judge(&step(), refusal("Both"), refusal("Both")).is_err());
        let step = refused("a step", "DescribeTable", json!({}), "Both");
        assert_eq!(judge(&step, refusal("Both"), refusal("Both")), Ok(()));
    }

    #[test]
    fn a_stated_difference_has_to_be_there_on_both_sides() {
        let step = || done("a step", "DescribeTable", json!({})).differs_at("/body/Table/Status", json!("x"), json!("y"), "a reason");
        assert_eq!(judge(&step(), answer("x"), answer("y")), Ok(()));
        assert!(judge(&step(), answer("y"), answer("y")).is_err());
        assert!(judge(&step(), answer("x"), answer("x")).is_err());
        let whole = done("a step", "DescribeTable", json!({})).differs(answer("x"), refusal("No"), "a reason");
        assert_eq!(judge(&whole, answer("x"), refusal("No")), Ok(()));
        assert!(judge(&whole, answer("x"), answer("x")).is_err());
    }

    #[test]
    fn a_stated_difference_excuses_nothing_else() {
        let step = done("a step", "DescribeTable", json!({})).differs_at("/body/Table/Status", json!("x"), json!("y"), "a reason");
        let other = success(&json!({ "Table": { "Name": "other", "Status": "y" } }));
        assert_eq!(judge(&step, answer("x"), other), Err("the answers differ at '/body/Table/Name'".to_owned()));
    }
}
