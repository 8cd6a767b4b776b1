//! What the service tells of itself over HTTP, and `headwater health`.

mod answers;
mod command;

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::StatusCode;

/// What a test may wait for.
const DEADLINE: Duration = Duration::from_mins(1);

/// The listener's answer: its status, its media type and its body.
async fn ask(address: SocketAddr, path: &str) -> Result<(StatusCode, String, String), reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().timeout(DEADLINE).build().unwrap();
    let answer = client.get(format!("http://{address}{path}")).send().await?;
    let media_type = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    Ok((answer.status(), media_type.unwrap_or_default(), answer.text().await?))
}

/// One series of Prometheus's text format.
#[derive(Debug, PartialEq)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: f64,
}

/// Reads Prometheus's text format (OpenMetrics 1.0) as strictly as a scraper does: every line is a declaration or a number of the metric that was
/// declared last, and the text ends with its mark. No label of these metrics needs an escape.
fn parse(text: &str) -> Vec<Series> {
    let body = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("the text has no end:\n{text}"));
    let (mut series, mut declared) = (Vec::new(), ("", ""));
    for line in body.lines() {
        if let Some(declaration) = line.strip_prefix("# ") {
            let (keyword, rest) = declaration.split_once(' ').unwrap();
            let (name, words) = rest.split_once(' ').unwrap();
            match keyword {
                "HELP" => declared = (name, ""),
                "TYPE" => declared.1 = words,
                "UNIT" => assert!(name.ends_with(&format!("_{words}")), "{line}"),
                other => panic!("'{other}' declares nothing: {line}"),
            }
            assert_eq!(declared.0, name, "{line}");
            continue;
        }
        let (name, rest) = line.split_once('{').unwrap_or_else(|| panic!("no labels: {line}"));
        let (labels, value) = rest.split_once("} ").unwrap_or_else(|| panic!("no value: {line}"));
        let labels = labels.split(',').map(|label| {
            let (label, value) = label.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
            (label.to_owned(), value.strip_suffix('"').unwrap_or_else(|| panic!("no label: {line}")).to_owned())
        });
        let suffix = name.strip_prefix(declared.0).unwrap_or_else(|| panic!("it belongs to no metric: {line}"));
        let suffixes: &[&str] = match declared.1 {
            "counter" => &["_total"],
            "gauge" => &[""],
            "histogram" => &["_sum", "_count", "_bucket"],
            other => panic!("'{other}' is no kind of metric: {line}"),
        };
        assert!(suffixes.contains(&suffix), "{line}");
        let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
        series.push(Series { name: name.to_owned(), labels: labels.collect(), value });
    }
    series
}

/// The number of a series, by its name and the value of one of its labels.
fn value(series: &[Series], name: &str, label: &str) -> Option<f64> {
    series.iter().find(|series| series.name == name && series.labels.iter().any(|(_, value)| value == label)).map(|series| series.value)
}
