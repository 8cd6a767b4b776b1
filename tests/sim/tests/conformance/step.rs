//! The steps of the script: a request, and what both services are to say to it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// One request of the script.
pub(super) struct Step {
    /// What it shows, as a statement.
    pub(super) name: String,
    /// The operation, as the protocol names it.
    pub(super) operation: &'static str,
    /// The request; `${name}` in its strings stands for what an earlier step kept.
    pub(super) body: Value,
    /// How AWS documents the answer: `None` for success, else the error's code.
    pub(super) refusal: Option<&'static str>,
    /// What to keep of the answer for later steps: the name, and a JSON pointer into the answer's body.
    pub(super) keeps: Vec<(&'static str, &'static str)>,
    /// Whether one request is all there is to it.
    pub(super) extent: Extent,
    /// Where the two services are known to differ.
    pub(super) differences: Vec<Difference>,
}

/// How many requests a step makes. Several are judged as one answer.
#[derive(Clone, Copy)]
pub(super) enum Extent {
    /// One.
    Once,
    /// As many as there are pages: each starts where the one before it ended.
    Pages,
    /// As many as all segments of a scan have pages. Which item is in which segment is up to the service.
    Segments(usize),
}

/// A part of an answer in which DynamoDB Local departs from what AWS documents.
pub(super) struct Difference {
    /// AWS's documented behaviour.
    pub(super) reason: &'static str,
    /// A JSON pointer into the normalised answer; empty for the whole answer.
    pub(super) at: &'static str,
    /// What DynamoDB Local has there; null stands for nothing.
    pub(super) local: Value,
    /// What the simulator has there; null stands for nothing.
    pub(super) simulator: Value,
}

/// A request that is to succeed.
pub(super) fn done(name: impl Into<String>, operation: &'static str, body: Value) -> Step {
    Step { name: name.into(), operation, body, refusal: None, keeps: Vec::new(), extent: Extent::Once, differences: Vec::new() }
}

/// A request that is to be refused with this error.
pub(super) fn refused(name: impl Into<String>, operation: &'static str, body: Value, code: &'static str) -> Step {
    Step { refusal: Some(code), ..done(name, operation, body) }
}

impl Step {
    /// Keeps what stands at the pointer for later steps.
    pub(super) fn keep(mut self, name: &'static str, pointer: &'static str) -> Self {
        self.keeps.push((name, pointer));
        self
    }

    /// Repeats the request to the last page.
    pub(super) fn through_all_pages(mut self) -> Self {
        self.extent = Extent::Pages;
        self
    }

    /// Repeats a scan for every one of so many segments, each to its last page.
    pub(super) fn in_segments(mut self, segments: usize) -> Self {
        self.extent = Extent::Segments(segments);
        self
    }

    /// States a difference in a part of the answer.
    pub(super) fn differs_at(mut self, at: &'static str, local: Value, simulator: Value, reason: &'static str) -> Self {
        self.differences.push(Difference { reason, at, local, simulator });
        self
    }

    /// States that DynamoDB Local gives another answer altogether. `simulator` is what AWS documents.
    pub(super) fn differs(self, local: Value, simulator: Value, reason: &'static str) -> Self {
        self.differs_at("", local, simulator, reason)
    }

    /// Adds members to the request.
    pub(super) fn with(mut self, members: Value) -> Self {
        let (Value::Object(body), Value::Object(members)) = (&mut self.body, members) else { panic!("requests are objects") };
        body.extend(members);
        self
    }
}

/// A normalised answer of success.
pub(super) fn success(body: &Value) -> Value {
    json!({ "status": 200, "body": body })
}

/// A normalised refusal that carries nothing but its code.
pub(super) fn refusal(code: &str) -> Value {
    json!({ "status": 400, "error": code, "message": "<text>", "body": {} })
}

/// DynamoDB Local's answer where it does not check a request before it fails on it.
pub(super) fn crash() -> Value {
    json!({ "status": 500, "error": "InternalFailure", "message": "<text>", "body": {} })
}

/// What earlier steps kept of one service's answers.
pub(super) type Kept = BTreeMap<&'static str, Value>;

/// The request with what was kept in place of its `${…}`.
pub(super) fn filled(body: &Value, kept: &Kept) -> Result<Value, String> {
    match body {
        Value::String(text) => filled_text(text, kept),
        Value::Array(values) => values.iter().map(|value| filled(value, kept)).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| Ok((name.clone(), filled(value, kept)?))).collect(),
        other => Ok(other.clone()),
    }
}

fn filled_text(text: &str, kept: &Kept) -> Result<Value, String> {
    let find = |name: &str| kept.get(name).ok_or_else(|| format!("no earlier step kept '{name}'"));
    // A placeholder alone stands for any JSON, in a longer text for text.
    if let Some(name) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
        return find(name).cloned();
    }
    let mut parts = text.split("${");
    let mut whole = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').unwrap();
        whole.push_str(find(name)?.as_str().unwrap());
        whole.push_str(rest);
    }
    Ok(whole.into())
}

/// Adds the values and names that an expression mentions, out of all that a theme knows: one that is not used is an error.
pub(super) fn with_used(mut body: Value, expressions: &[&str], values: &Value, names: &[(&str, &str)]) -> Value {
    let mentions = |placeholder: &str| {
        expressions.iter().any(|expression| {
            expression.match_indices(placeholder).any(|(at, _)| {
                let next = expression[at + placeholder.len()..].chars().next();
                next.is_none_or(|next| !next.is_ascii_alphanumeric() && next != '_')
            })
        })
    };
    let values: serde_json::Map<_, _> =
        values.as_object().unwrap().iter().filter(|(name, _)| mentions(name)).map(|(name, value)| (name.clone(), value.clone())).collect();
    let names: serde_json::Map<_, _> =
        names.iter().filter(|(name, _)| mentions(name)).map(|(name, stands_for)| ((*name).to_owned(), json!(stands_for))).collect();
    let members = body.as_object_mut().unwrap();
    for (member, map) in [("ExpressionAttributeValues", values), ("ExpressionAttributeNames", names)] {
        if !map.is_empty() {
            members.insert(member.to_owned(), map.into());
        }
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_stands_in_later_requests() {
        let kept = Kept::from([("arn", json!("arn:1")), ("key", json!({ "pk": { "S": "a" } }))]);
        let body = json!({ "StreamArn": "${arn}/none", "Key": ["${key}"] });
        assert_eq!(filled(&body, &kept), Ok(json!({ "StreamArn": "arn:1/none", "Key": [{ "pk": { "S": "a" } }] })));
        assert_eq!(filled(&json!("${nothing}"), &kept), Err("no earlier step kept 'nothing'".to_owned()));
    }

    #[test]
    fn only_placeholders_that_an_expression_mentions_are_sent() {
        let values = json!({ ":a": 1, ":ab": 2, ":c": 3 });
        let body = with_used(json!({}), &["x = :ab", "#n > :c"], &values, &[("#n", "name"), ("#m", "map")]);
        assert_eq!(body["ExpressionAttributeValues"], json!({ ":ab": 2, ":c": 3 }));
        assert_eq!(body["ExpressionAttributeNames"], json!({ "#n": "name" }));
    }
}
