//! Containers of the run image between stand-ins that speak TLS: from `init` to the end of `run`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use super::contained::{Image, Inside, healthy};
use super::front::Front;
use super::root;
use crate::support::dynamodb_local::free_port;
use crate::support::lake::{assert_every_change_once, not_landed};
use crate::support::stand_ins::StandIns;
use crate::support::{aws, duckdb, stream, table};

/// The table and its key, which the generator knows.
const TABLE: &str = "sales_orders";
const KEY: &str = "order_id";
const BUCKET: &str = "image-lake";
/// Where a Linux program looks for authorities on Debian.
const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
/// For what takes seconds on an idle machine.
const PATIENCE: Duration = Duration::from_mins(5);
/// What an engine gives by the README: longer than `shutdown.deadline`.
const STOP: Duration = Duration::from_secs(30);
const FAILED: i32 = 3;

/// The configuration as its text, for a container has no file.
fn configuration(lake: &str, port: u16) -> String {
    format!(
        r#"
        [table]
        name = "{TABLE}"
        contract = "schemas/sales_orders.odcs.yaml"
        [stream]
        start = "trim-horizon"
        [lake]
        url = "{lake}"
        max_age = "2s"
        [health]
        listen = "127.0.0.1:{port}"
        "#
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "heavy: fetches packages of Debian"]
async fn orders_land_through_a_container_that_can_write_nowhere() {
    let stack = StandIns::start().await;
    let image = tokio::task::block_in_place(|| Image::new(stack.folder()));
    table::create(&aws_sdk_dynamodb::Client::new(&stack.dynamodb()), TABLE, KEY).await;
    let behind = [stack.services(), stack.dynamodb()].map(|config| config.endpoint_url().unwrap().to_owned());
    let front = Front::start(stack.folder(), &[&behind[0], &behind[1]]).await;
    let environment = |lake: &str, port| {
        let mut all = aws::environment(&front.urls[0]);
        all.extend(["AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"].map(|name| (name, front.urls[1].clone())));
        all.push(("HEADWATER_CONFIG", configuration(lake, port)));
        all
    };
    let usual = environment(&format!("s3://{BUCKET}"), free_port());

    let checked = image.start(&usual, None, &["config", "check"]).succeeds(PATIENCE).await;
    assert!(checked.contains("schemas/sales_orders.odcs.yaml"), "{checked}");
    an_unknown_authority_is_refused(&image, &usual).await;

    // The bundle of the root with one more authority, at the place of the bundle.
    let bundle = stack.folder().join("bundle.crt");
    let all = [root::root().join(&BUNDLE[1..]), front.authority.clone()].map(|path| fs::read_to_string(path).unwrap());
    fs::write(&bundle, all.concat()).unwrap();
    let trusting = Some((bundle.as_path(), BUNDLE));
    image.start(&usual, trusting, &["init"]).succeeds(PATIENCE).await;
    a_lake_in_the_root_cannot_be_written(&image, &environment("./lake", free_port()), trusting).await;

    let arguments: Vec<_> = image.declared.arguments.iter().map(String::as_str).collect();
    let mut run = image.start(&usual, trusting, &arguments);
    let inside = Inside::of(&mut run).await;
    it_has_no_rights(&image, &inside);
    it_cannot_write(&inside);
    healthy(&image, &usual, &["--live"], PATIENCE).await;

    stack.headwater(&["generate", "--table", TABLE, "--count", "300", "--rate", "300"]).succeeds(PATIENCE).await;
    let changes = stream::read_all(&stack.dynamodb(), TABLE).await;
    assert!(changes.len() >= 300, "{} changes", changes.len());
    let (bucket, copy) = (stack.bucket(BUCKET), stack.folder().join("landed"));
    let landed = async || {
        bucket.copy(TABLE, &copy).await;
        duckdb::changes(&copy, TABLE).await
    };
    run.wait_until(PATIENCE, "every change has landed", async || not_landed(&landed().await, &changes).is_empty()).await;
    healthy(&image, &usual, &[], PATIENCE).await;

    inside.signal("TERM");
    let status = run.exit(STOP).await;
    assert_eq!(status.code(), Some(0), "{}", run.log());
    assert_every_change_once(&landed().await, &changes);
    stack.stop().await;
}

/// The certificate of the stand-ins is of no authority in the root's own bundle.
async fn an_unknown_authority_is_refused(image: &Image, environment: &[(&str, String)]) {
    let mut init = image.start(environment, None, &["init"]);
    let status = init.exit(PATIENCE).await;
    assert_eq!(status.code(), Some(FAILED), "{}", init.log());
    assert!(init.log().contains("UnknownIssuer"), "{}", init.log());
}

/// Only what is configured to write into the root finds out that it cannot.
async fn a_lake_in_the_root_cannot_be_written(image: &Image, environment: &[(&str, String)], trusting: Option<(&Path, &str)>) {
    let mut run = image.start(environment, trusting, &["run"]);
    let status = run.exit(PATIENCE).await;
    assert_eq!(status.code(), Some(FAILED), "{}", run.log());
    assert!(run.log().contains("Read-only file system"), "{}", run.log());
}

fn it_has_no_rights(image: &Image, inside: &Inside) {
    let user = image.declared.user.to_string();
    // Who may not mount lends its own number, which is this one inside alone.
    if may_mount() {
        assert_eq!(inside.status("Uid"), [&*user; 4]);
        assert_eq!(inside.status("Gid"), [&*user; 4]);
        assert_eq!(inside.status("Groups"), [&*user]);
    }
    assert_eq!(inside.status("NSpid").last().unwrap(), "1", "the service is the container's first process");
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(inside.status(set), ["0000000000000000"], "{set}");
    }
    assert_eq!(inside.status("NoNewPrivs"), ["1"]);
}

/// Whether this process has CAP_SYS_ADMIN, by which the script chooses its way.
fn may_mount() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:\t")).unwrap();
    u64::from_str_radix(effective, 16).unwrap() >> 21 & 1 == 1
}

/// Not even who may write everywhere else.
fn it_cannot_write(inside: &Inside) {
    let mounts = inside.mounts();
    let (places, options): (Vec<_>, Vec<_>) = mounts.into_iter().unzip();
    assert_eq!(places, ["/", "/proc", BUNDLE]);
    for (place, options) in places.iter().zip(&options).filter(|(place, _)| *place != "/proc") {
        assert!(["ro", "nosuid", "nodev"].iter().all(|option| options.iter().any(|one| one == option)), "{place}: {options:?}");
    }
    for place in ["/written", "/etc/headwater/written", "/etc/passwd"] {
        let error = fs::OpenOptions::new().create(true).append(true).open(inside.path(place)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem, "{place}: {error}");
    }
}
