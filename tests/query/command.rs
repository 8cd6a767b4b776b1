//! `headwater query` and `headwater verify` as commands.

use std::process::Output;

use assert_cmd::Command;

use super::handmade::{HandmadeLake, insert};

fn headwater(arguments: &[&str], input: &str) -> Output {
    Command::cargo_bin("headwater").unwrap().args(arguments).write_stdin(input).output().unwrap()
}

fn lake() -> HandmadeLake {
    let lake = HandmadeLake::new();
    lake.parquet(
        "dt=2026-11-21/hr=10",
        "a",
        &[
            insert("1", 1).with(r#""status":"placed","price":12.5"#),
            insert("22", 2).with(r#""price":99999999999999999999999999999999.999999"#),
        ],
    );
    lake
}

#[test]
fn rows_are_printed_as_a_table_csv_or_json() {
    let lake = lake();
    let folder = lake.folder().to_str().unwrap();
    let sql = "SELECT order_id, status, price, cdc_time FROM current ORDER BY order_id";
    let printed = |output: &str| {
        let run = headwater(&["query", sql, "--lake", folder, "--table", "orders", "--output", output], "");
        assert!(run.status.success(), "{run:?}");
        String::from_utf8(run.stdout).unwrap()
    };
    insta::assert_snapshot!(printed("text"), @r"
    order_id  status                                    price  cdc_time
    ────────  ──────  ───────────────────────────────────────  ───────────────────
    1         placed                                12.500000  2026-11-21 10:00:00
    22        NULL    99999999999999999999999999999999.999999  2026-11-21 10:00:00
    (2 rows)
    ");
    insta::assert_snapshot!(printed("csv"), @r"
    order_id,status,price,cdc_time
    1,placed,12.500000,2026-11-21T10:00:00Z
    22,,99999999999999999999999999999999.999999,2026-11-21T10:00:00Z
    ");
    insta::assert_snapshot!(printed("json"), @r#"
    [
     {"order_id":"1","status":"placed","price":12.500000,"cdc_time":"2026-11-21T10:00:00Z"},
     {"order_id":"22","status":null,"price":99999999999999999999999999999999.999999,"cdc_time":"2026-11-21T10:00:00Z"}
    ]
    "#);
}

#[test]
fn a_query_may_come_from_standard_input_or_a_file() {
    let lake = lake();
    let folder = lake.folder().to_str().unwrap();
    let file = lake.folder().join("query.sql");
    std::fs::write(&file, "SELECT count(*) AS n FROM changes").unwrap();
    for arguments in [["query", "-"].as_slice(), &["query", "--file", file.to_str().unwrap()]] {
        let place = ["--lake", folder, "--table", "orders", "--output", "csv"];
        let run = headwater(&[arguments, &place].concat(), "SELECT count(*) AS n FROM changes");
        assert_eq!(String::from_utf8(run.stdout).unwrap(), "n\n2\n");
    }
}

#[test]
fn files_define_views_for_the_query_behind_them() {
    let lake = lake();
    let folder = lake.folder().to_str().unwrap();
    let file = |name: &str, sql: &str| {
        let path = lake.folder().join(name);
        std::fs::write(&path, sql).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let views = file(
        "views.sql",
        "-- Two of them.\nCREATE OR REPLACE VIEW priced AS SELECT order_id, price FROM current WHERE price > 20;\n\nCREATE VIEW dear AS SELECT order_id FROM priced;",
    );
    let more = file("more.sql", "CREATE OR REPLACE VIEW current AS SELECT 'mine' AS order_id, 30.5 AS price;");
    let query = file("query.sql", "SELECT * FROM dear; -- the end");
    let printed = |arguments: &[&str], input: &str| {
        let run = headwater(&[&["query", "--lake", folder, "--table", "orders", "--output", "csv"], arguments].concat(), input);
        (run.status.code(), String::from_utf8(run.stdout).unwrap(), String::from_utf8(run.stderr).unwrap())
    };
    let rows = |rows: &str| (Some(0), rows.to_owned(), String::new());

    assert_eq!(printed(&["--file", &views, "SELECT * FROM dear"], ""), rows("order_id\n22\n"));
    assert_eq!(printed(&["--file", &views, "--file", &query], ""), rows("order_id\n22\n"));
    assert_eq!(printed(&["--file", &views, "-"], "SELECT * FROM dear"), rows("order_id\n22\n"));
    assert_eq!(
        printed(&["--file", &more, "--file", &views, "--file", &query], ""),
        rows("order_id\nmine\n"),
        "a view takes the place of another"
    );
    assert_eq!(
        printed(&["SELECT * FROM current WHERE order_id = 'mine'"], ""),
        rows("order_id,status,price,quantity,placed,cdc_extra,cdc_sequence,cdc_time,cdc_op\n"),
        "for that session alone"
    );

    let refused = |arguments: &[&str], words: &[&str]| {
        let (code, out, error) = printed(arguments, "");
        assert_eq!((code, out.as_str()), (Some(2), ""), "{arguments:?}: {error}");
        assert!(words.iter().all(|word| error.contains(word)), "{arguments:?}: {error}");
    };
    refused(&["--file", &views], &["there is no query behind statement 2 of", "views.sql"]);
    refused(&["--file", &query, "SELECT 1"], &["query.sql"]);
    refused(&["SELECT 1; SELECT 2"], &["statement 1 of the query defines no view"]);
    refused(&["DROP TABLE changes; SELECT 2"], &["statement 1 of the query defines no view", "CREATE OR REPLACE VIEW"]);
    refused(&["CREATE TABLE t AS SELECT 1; SELECT * FROM t"], &["statement 1 of the query defines no view"]);
    refused(&["--file", &views, "DROP VIEW dear"], &["DDL not supported"]);
    refused(&["SET datafusion.execution.time_zone = 'Asia/Tokyo'"], &["Statement not supported"]);
    refused(&["CREATE VIEW v AS SELECT nothing FROM current; SELECT 1"], &["plan statement 1 of the query", "nothing"]);
    refused(&["SELECT 1; SELEC 2"], &["plan the query", "SELEC"]);
    refused(&[""], &["there is no query: give one as an argument"]);
}

#[test]
fn mistakes_end_in_one_message_that_says_what_to_do() {
    let lake = lake();
    let folder = lake.folder().to_str().unwrap();
    let missing = lake.folder().join("missing");
    let failed = |arguments: &[&str]| {
        let run = headwater(arguments, "");
        (run.status.code(), String::from_utf8(run.stderr).unwrap())
    };

    let (code, text) = failed(&["query", "SELECT nothing FROM current", "--lake", folder, "--table", "orders"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the views are changes, snapshots and current") && text.contains("nothing"), "{text}");

    let (code, text) = failed(&["query", "SELECT 1", "--lake", folder, "--table", "customers"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("the lake has no table 'customers' (it has: orders)"), "{text}");

    let (code, text) = failed(&["query", "SELECT 1", "--lake", missing.to_str().unwrap(), "--table", "orders"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("there is no such folder"), "{text}");
    assert!(!missing.exists(), "a reader creates nothing");

    let (code, text) = failed(&["query", "SELECT 1", "--config", missing.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("give --lake and --table"), "{text}");
}

#[cfg(feature = "embedded")]
#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_of_verify_says_whether_the_lake_equals_the_table() {
    use aws_sdk_dynamodb::types::AttributeValue;
    use headwater::embedded::{ACCESS_KEY_ID, REGION, SECRET_ACCESS_KEY};

    let (serving, client) = super::verify::table().await;
    let lake = lake();
    let verified = |output: &'static str| {
        let folder = lake.folder().to_str().unwrap().to_owned();
        let mut command = Command::cargo_bin("headwater").unwrap();
        command
            .args(["verify", "--table", "orders", "--deadline", "0s", "--output", output, "--lake", &folder])
            .env("AWS_ENDPOINT_URL_DYNAMODB", serving.endpoint_url())
            .env("AWS_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY);
        async move { tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap() }
    };
    super::verify::put(&client, "1", &[("status", AttributeValue::S("placed".into())), ("price", AttributeValue::N("12.50".into()))]).await;

    let differs = verified("json").await;
    assert_eq!(differs.status.code(), Some(1), "{differs:?}");
    let mut report: serde_json::Value = serde_json::from_slice(&differs.stdout).unwrap();
    let mut time = |name: &str| report[name].take().as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert!(time("began") <= time("ended"));
    let expected = serde_json::json!({
        "table": "orders", "scope": {"since_snapshot": false, "sample": null}, "snapshot": null, "began": null, "ended": null,
        "matched": 1, "missing": 0, "extra": 1, "different": 0, "absent": 0, "rechecked": 1, "sample": null,
        "differing": [{"kind": "extra", "key": {"order_id": "22"}, "columns": []}], "unlisted": 0, "repair": null,
    });
    assert_eq!(report, expected);

    super::verify::put(&client, "22", &[("price", AttributeValue::N("99999999999999999999999999999999.999999".into()))]).await;
    let equal = verified("text").await;
    assert_eq!(equal.status.code(), Some(0), "{equal:?}");
    assert!(String::from_utf8(equal.stdout).unwrap().ends_with("\nlake equals table\n"));
}
