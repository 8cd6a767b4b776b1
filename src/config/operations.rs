//! The parts `[health]`, `[notify]` and `[quarantine]` of `headwater.toml`: what a service needs that is left alone.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use super::raw::duration;
use super::{HealthSettings, LaterRecords, Listen, NotifySettings};

/// The port of Prometheus exporters of OpenTelemetry, free on most hosts.
const PORT: u16 = 9464;
/// A shard that buffers for the lake confirms progress once in `lake.max_age`, a minute by default; three times that is no coincidence.
const STALLED_AFTER: Duration = Duration::from_mins(3);
/// A quarter of what a stream remembers: time enough for a person to look.
const TRIM_WARNING: Duration = Duration::from_hours(6);
/// A stream remembers for a day.
const LONGEST_TRIM_WARNING: Duration = Duration::from_hours(24);
/// CloudWatch takes names of up to 255 characters.
const LONGEST_NAMESPACE: usize = 255;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawHealth {
    listen: Option<String>,
    stalled_after: Option<String>,
    emf_namespace: Option<String>,
}

impl RawHealth {
    /// `max_age` is how long a shard of the lake may go without progress by design.
    pub(super) fn validate(self, max_age: Duration) -> Result<HealthSettings, String> {
        let listen = match self.listen.as_deref() {
            None => Listen::IfFree(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))),
            Some("off") => Listen::Off,
            Some(text) => {
                let at = text
                    .parse()
                    .map_err(|_| format!("health.listen '{text}' is neither \"off\" nor an address such as \"127.0.0.1:{PORT}\""))?;
                Listen::At(at)
            }
        };
        // Objects that close at their age must not make a shard look stalled.
        let stalled_after = duration("health.stalled_after", self.stalled_after, STALLED_AFTER.max(max_age * 3))?;
        if stalled_after <= max_age {
            return Err(format!(
                "health.stalled_after is {}, and a shard may go without progress for lake.max_age ({}): make it longer",
                humantime::format_duration(stalled_after),
                humantime::format_duration(max_age)
            ));
        }
        if let Some(name) = self.emf_namespace.as_deref().filter(|name| !is_namespace(name)) {
            return Err(format!(
                "health.emf_namespace '{name}' is not a CloudWatch namespace: 1 to {LONGEST_NAMESPACE} of a-z, A-Z, 0-9, '.', '-', '_', '/', '#' and ':' are expected, and no \"AWS/\" in front"
            ));
        }
        Ok(HealthSettings { listen, stalled_after, emf_namespace: self.emf_namespace })
    }
}

fn is_namespace(name: &str) -> bool {
    (1..=LONGEST_NAMESPACE).contains(&name.len())
        && !name.starts_with("AWS/")
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_/#:".contains(&b))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawNotify {
    sns_topic_arn: Option<String>,
    webhook: Option<String>,
    trim_warning: Option<String>,
}

impl RawNotify {
    pub(super) fn validate(self) -> Result<NotifySettings, String> {
        if let Some(arn) = self.sns_topic_arn.as_deref().filter(|arn| !(arn.starts_with("arn:") && arn.contains(":sns:"))) {
            return Err(format!(
                "notify.sns_topic_arn '{arn}' is not a topic's ARN such as \"arn:aws:sns:eu-central-1:111122223333:headwater\""
            ));
        }
        let webhook = self.webhook.map(|text| {
            let url = Url::parse(&text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
            // What is wrong with it is not repeated: such addresses often hold a secret.
            url.ok_or("notify.webhook is not an http:// or https:// URL")
        });
        let trim_warning = duration("notify.trim_warning", self.trim_warning, TRIM_WARNING)?;
        if trim_warning >= LONGEST_TRIM_WARNING {
            return Err(
                "notify.trim_warning is a day or more: a stream remembers no longer, so that the warning would never end".to_owned()
            );
        }
        Ok(NotifySettings { sns_topic_arn: self.sns_topic_arn, webhook: webhook.transpose()?, trim_warning })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawQuarantine {
    #[serde(default)]
    pub(super) later_records: LaterRecords,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(text: &str) -> Result<HealthSettings, String> {
        toml::from_str::<RawHealth>(text).unwrap().validate(Duration::from_mins(1))
    }

    fn notify(text: &str) -> Result<NotifySettings, String> {
        toml::from_str::<RawNotify>(text).unwrap().validate()
    }

    #[test]
    fn the_listener_is_on_the_loopback_unless_told_otherwise() {
        assert_eq!(health("").unwrap().listen, Listen::IfFree("127.0.0.1:9464".parse().unwrap()));
        assert_eq!(health("listen = \"0.0.0.0:8080\"").unwrap().listen, Listen::At("0.0.0.0:8080".parse().unwrap()));
        assert_eq!(health("listen = \"off\"").unwrap().listen, Listen::Off);
    }

    #[test]
    fn objects_that_close_at_their_age_do_not_look_stalled() {
        let long = toml::from_str::<RawHealth>("").unwrap().validate(Duration::from_mins(15)).unwrap();
        assert_eq!(long.stalled_after, Duration::from_mins(45));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, expected) in [
            ("listen = \"everywhere\"", "health.listen"),
            ("stalled_after = \"30s\"", "lake.max_age"),
            ("emf_namespace = \"AWS/DynamoDB\"", "health.emf_namespace"),
            ("emf_namespace = \"\"", "health.emf_namespace"),
        ] {
            let error = health(text).unwrap_err();
            assert!(error.contains(expected), "{text:?} gave {error:?}");
        }
        for (text, expected) in [
            ("sns_topic_arn = \"headwater\"", "notify.sns_topic_arn"),
            ("webhook = \"ftp://example.org\"", "notify.webhook"),
            ("trim_warning = \"2days\"", "notify.trim_warning"),
        ] {
            let error = notify(text).unwrap_err();
            assert!(error.contains(expected), "{text:?} gave {error:?}");
        }
    }

    #[test]
    fn an_address_that_may_hold_a_secret_is_not_repeated() {
        assert!(!notify("webhook = \"htps://hooks.example.org/T0/secret\"").unwrap_err().contains("secret"));
    }
}
