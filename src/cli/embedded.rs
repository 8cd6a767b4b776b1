//! `headwater embedded`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use serde_json::json;

use crate::embedded::{ACCESS_KEY_ID, Embedded, Options, REGION, SECRET_ACCESS_KEY};
use crate::shutdown;

/// Arguments of `headwater embedded`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The address to listen on. Port 0 takes any free port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// Keep the tables in this file. Without it they are forgotten at the end.
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,
}

/// Serves until ctrl-c or SIGTERM.
pub async fn run(args: Args, globals: &super::Globals) -> anyhow::Result<super::Exit> {
    // Before the first output: whoever reads it may signal at once.
    let stop = shutdown::on_signals().context("listen for signals")?;
    let embedded = Embedded::start(Options { listen: args.listen, data: args.data, ..Options::default() }).await?;
    print(&environment(&embedded.endpoint_url()), globals.output);
    stop.cancelled().await;
    embedded.shutdown().await?;
    Ok(super::Exit::Success)
}

/// What leads the AWS SDKs and the AWS CLI here.
fn environment(endpoint: &str) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL_DYNAMODB", endpoint.to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB_STREAMS", endpoint.to_owned()),
        ("AWS_REGION", REGION.to_owned()),
        ("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY.to_owned()),
    ]
}

fn print(environment: &[(&str, String)], output: super::Output) {
    match output {
        super::Output::Json => {
            let variables: serde_json::Map<_, _> = environment.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            println!("{}", json!({ "environment": variables }));
        }
        super::Output::Csv => {
            println!("name,value");
            for (name, value) in environment {
                println!("{name},{value}");
            }
        }
        super::Output::Text => {
            println!("DynamoDB and DynamoDB Streams serve until ctrl-c. In another terminal:\n");
            for (name, value) in environment {
                println!("export {name}={value}");
            }
        }
    }
}
