//! A container that holds no file is configured by the environment variable `HEADWATER_CONFIG`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::support::process::Headwater;

/// No command here needs more than its own start.
const SOON: Duration = Duration::from_secs(60);
const CONTRACT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/sales_orders.odcs.yaml");
const WRONG_CONFIGURATION: i32 = 2;

/// Runs the command in `folder` with the text as its configuration: its exit code and what it printed.
async fn outcome(folder: &Path, text: &str, args: &[&str]) -> (i32, String) {
    let environment = [("HEADWATER_CONFIG", text.to_owned()), ("AWS_EC2_METADATA_DISABLED", "true".to_owned())];
    let mut process = Headwater::start(folder, folder.join("log"), &environment, args);
    let status = process.exit(SOON).await;
    (status.code().unwrap(), process.log())
}

#[tokio::test]
async fn the_variable_s_text_is_the_configuration_where_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("schemas")).unwrap();
    fs::copy(CONTRACT, folder.path().join("schemas/orders.yaml")).unwrap();
    // Neither this file nor one that a command names may be mixed with the variable.
    fs::write(folder.path().join("headwater.toml"), "[table]\nname = \"of_the_file\"\n").unwrap();
    let text = "[table]\nname = \"of_the_variable\"\ncontract = \"schemas/orders.yaml\"\n[lake]\nurl = \"s3://lake/cdc\"\n";

    let (code, words) = outcome(folder.path(), text, &["config", "check"]).await;
    assert_eq!(code, 0, "{words}");
    assert!(words.starts_with("HEADWATER_CONFIG is valid\n  table     of_the_variable\n"), "{words}");
    assert!(words.contains("  contract  schemas/orders.yaml\n  lake      s3://lake/cdc (Parquet)\n"), "{words}");

    let (code, words) = outcome(folder.path(), text, &["config", "check", "--config", "headwater.toml"]).await;
    assert_eq!(code, 0, "{words}");
    assert!(words.starts_with("headwater.toml is valid\n  table     of_the_file\n"), "{words}");

    let (code, words) = outcome(folder.path(), "", &["config", "check"]).await;
    assert_eq!(code, 0, "an empty variable is none: {words}");
    assert!(words.starts_with("headwater.toml is valid\n"), "{words}");
}

/// Each command that works with a configuration takes it there, and names it when it is wrong.
#[tokio::test]
async fn every_command_reads_the_variable() {
    let folder = tempfile::tempdir().unwrap();
    let commands: &[&[&str]] = &[
        &["config", "check"],
        &["health", "--live"],
        &["init", "--dry-run"],
        &["redrive", "--list"],
        &["run"],
        &["snapshot", "list"],
        &["status"],
        #[cfg(feature = "sql")]
        &["query", "SELECT 1"],
        #[cfg(feature = "sql")]
        &["verify"],
    ];
    for command in commands {
        let (code, words) = outcome(folder.path(), "[table]\nname = \"o\"\n", command).await;
        assert_eq!(code, WRONG_CONFIGURATION, "{command:?}: {words}");
        assert!(words.contains("HEADWATER_CONFIG: table.name 'o' is not a table's name"), "{command:?}: {words}");
    }
}
