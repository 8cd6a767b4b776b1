//! What receivers are sent.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::clock::rfc3339;
use crate::lease::notice::{Notice, NoticeKind};

/// SNS takes subjects of up to 100 ASCII characters (Amazon SNS API Reference, Publish).
const LONGEST_SUBJECT: usize = 100;

/// A message, as JSON. `kind`, `table`, `stage` and `subject` together name the matter: the message that it is over carries the same ones,
/// and the same `since`.
///
/// ```json
/// {
///   "app": "headwater",
///   "state": "raised",
///   "kind": "quarantine",
///   "subject": "orders",
///   "table": "orders",
///   "stage": "capture",
///   "since": "2026-11-21T03:00:00Z",
///   "summary": "3 records of table orders are in quarantine",
///   "action": "read the reasons in the objects under …",
///   "details": { "records": 3, "place": "s3://lake/orders/quarantine" }
/// }
/// ```
///
/// `state` is `raised` or `cleared`. `kind` is `gap`, `stream-replaced`, `quarantine`, `time-to-trim` or `freshness`; others may be added,
/// as may fields of `details`, which depend on the kind and are those of the moment when it was raised. No field holds a value of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message<'n> {
    app: &'static str,
    state: &'static str,
    kind: &'static str,
    subject: &'n str,
    table: &'n str,
    stage: &'n str,
    since: String,
    summary: &'n str,
    action: &'n str,
    details: &'n Map<String, Value>,
}

impl<'n> Message<'n> {
    /// What is to be told of a notice of this table.
    pub fn new(notice: &'n Notice, table: &'n str) -> Self {
        let (state, summary, action) = if notice.open {
            ("raised", notice.summary.as_str(), notice.action.as_str())
        } else {
            ("cleared", over(notice.kind), "nothing is left to do")
        };
        Self {
            app: "headwater",
            state,
            kind: notice.kind.as_str(),
            subject: &notice.subject,
            table,
            stage: &notice.stage,
            since: rfc3339(notice.since),
            summary,
            action,
            details: &notice.details,
        }
    }

    /// As a structured log event.
    pub(super) fn log(&self) {
        let Self { kind, subject, table, stage, since, summary, action, .. } = self;
        if self.state == "raised" {
            tracing::warn!(target: "headwater::notify", state = self.state, kind, subject, table, stage, since, action, "{summary}");
        } else {
            tracing::info!(target: "headwater::notify", state = self.state, kind, subject, table, stage, since, "{summary}");
        }
    }

    /// `raised` or `cleared`.
    pub(super) const fn state(&self) -> &'static str {
        self.state
    }

    /// The kind, as it is spelled in the message.
    pub(super) const fn kind(&self) -> &'static str {
        self.kind
    }

    /// The message as JSON, in lines that a person can read in an e-mail.
    pub(super) fn json(&self) -> String {
        // Text and maps with text keys always have a JSON form.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The subject line of an e-mail.
    pub(super) fn headline(&self) -> String {
        let headline = format!("headwater {}: {} of {}", self.state, self.kind, self.table);
        headline.chars().filter(|c| matches!(c, ' '..='~')).take(LONGEST_SUBJECT).collect()
    }
}

/// What is said when it is over.
const fn over(kind: NoticeKind) -> &'static str {
    match kind {
        NoticeKind::Gap => "the gap is closed",
        NoticeKind::StreamReplaced => "the gap between the stream and the one that replaced it is closed",
        NoticeKind::Quarantine => "the quarantine is empty",
        NoticeKind::TimeToTrim => "the stream keeps what is not durable for long enough again",
        NoticeKind::Freshness => "the stage is as fresh as the contract promises again",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn notice() -> Notice {
        Notice {
            version: 1,
            kind: NoticeKind::Quarantine,
            subject: "orders".to_owned(),
            stage: "capture".to_owned(),
            since: 1_795_230_000,
            open: true,
            beliefs: [].into(),
            teller: Some("worker".to_owned()),
            summary: "3 records of table orders are in quarantine".to_owned(),
            action: "read the reasons".to_owned(),
            details: json!({ "records": 3 }).as_object().unwrap().clone(),
        }
    }

    #[test]
    fn the_form_of_a_message_is_stable() {
        insta::assert_snapshot!(Message::new(&notice(), "orders").json(), @r#"
        {
          "app": "headwater",
          "state": "raised",
          "kind": "quarantine",
          "subject": "orders",
          "table": "orders",
          "stage": "capture",
          "since": "2026-11-21T03:00:00Z",
          "summary": "3 records of table orders are in quarantine",
          "action": "read the reasons",
          "details": {
            "records": 3
          }
        }
        "#);
    }

    #[test]
    fn that_it_is_over_is_told_under_the_same_name() {
        let (raised, over) = (notice(), Notice { open: false, ..notice() });
        let (raised, over) = (Message::new(&raised, "orders"), Message::new(&over, "orders"));
        assert_eq!((over.state, over.summary), ("cleared", "the quarantine is empty"));
        assert_eq!((over.kind, over.subject, over.stage, &over.since), (raised.kind, raised.subject, raised.stage, &raised.since));
    }

    #[test]
    fn a_subject_line_is_short_and_ascii() {
        assert_eq!(Message::new(&notice(), "orders").headline(), "headwater raised: quarantine of orders");
        assert_eq!(Message::new(&notice(), &"t".repeat(255)).headline().len(), LONGEST_SUBJECT);
        assert_eq!(Message::new(&notice(), "a\nb\u{fc}").headline(), "headwater raised: quarantine of ab");
    }
}
