//! Each state of each resource.

use std::path::Path;

use super::*;
use crate::config::parse;
use crate::init::seen::{DeliveryStatus, KinesisStatus, SeenDelivery, SeenKinesis, SeenSource};

const KINESIS: &str = "[route]\nkind = \"kinesis\"\n[kinesis]\nstream = \"changes\"\n";
const FIREHOSE: &str = "[firehose]\ndelivery_stream = \"to-s3\"\nrole_arn = \"arn:aws:iam::1:role/r\"\n";
const S3: &str = "[lake]\nurl = \"s3://lake/raw\"\n";
const BOTH_IMAGES: SeenTable = SeenTable::Stream { view: View::NewAndOldImages, ready: true };

fn settings(rest: &str) -> Settings {
    parse(&format!("[table]\nname = \"orders\"\n{rest}"), Path::new(".")).unwrap()
}

fn planned(rest: &str, seen: &Seen) -> Plan {
    plan(&settings(rest), seen)
}

/// The states of one kind of resource.
fn states(rest: &str, resource: Resource, seen: &Seen) -> Vec<State> {
    planned(rest, seen).entries.into_iter().filter(|entry| entry.resource == resource).map(|entry| entry.state).collect()
}

/// The state of the only resource of a kind.
fn state(rest: &str, resource: Resource, seen: &Seen) -> State {
    let mut states = states(rest, resource, seen);
    assert_eq!(states.len(), 1, "{states:?}");
    states.remove(0)
}

fn missing(step: Step) -> State {
    State::Missing { step, note: None }
}

fn differs(state: &State) -> &str {
    let State::Differs { what, .. } = state else { panic!("{state:?}") };
    what
}

fn blocked(state: &State) -> (&str, &str) {
    let State::Blocked { what, advice } = state else { panic!("{state:?}") };
    (what, advice)
}

fn lease_table() -> SeenLeases {
    SeenLeases { keys: vec!["leaseKey".to_owned()], ready: true }
}

fn stream() -> SeenKinesis {
    SeenKinesis { status: KinesisStatus::Active, on_demand: true, open_shards: 4, record_kib: 1024, ignores_keys: false }
}

fn with_kinesis(stream: SeenKinesis) -> Seen {
    Seen { kinesis: Some(stream), ..Seen::default() }
}

fn with_delivery(status: DeliveryStatus, source: SeenSource) -> Seen {
    Seen { delivery: Some(SeenDelivery { status, source }), ..Seen::default() }
}

#[test]
fn everything_there_is_nothing_to_do() {
    let seen = Seen {
        table: Some(BOTH_IMAGES),
        leases: Some(lease_table()),
        deliver_leases: Some(lease_table()),
        kinesis: Some(stream()),
        bucket: true,
        delivery: Some(SeenDelivery { status: DeliveryStatus::Active, source: SeenSource::Kinesis("changes".to_owned()) }),
    };
    let plan = planned(&format!("{KINESIS}{FIREHOSE}{S3}[deliver]\ntarget = \"lake\"\n"), &seen);
    assert!(plan.is_done(), "{plan:?}");
    assert_eq!(plan.entries.len(), 6);
}

#[test]
fn what_is_not_configured_is_not_planned() {
    let kinds: Vec<Resource> = planned("", &Seen::default()).entries.iter().map(|entry| entry.resource).collect();
    assert_eq!(kinds, [Resource::TableStream, Resource::LeaseTable]);
}

#[test]
fn a_missing_table_blocks_everything() {
    let plan = planned("", &Seen::default());
    assert!(plan.is_blocked());
    let (what, advice) = blocked(&plan.entries[0].state);
    assert_eq!(what, "the table does not exist");
    assert!(advice.contains("headwater generate --table orders --create-table"), "{advice}");
}

#[test]
fn a_table_without_a_stream_gets_one() {
    let of = |table| state("", Resource::TableStream, &Seen { table: Some(table), ..Seen::default() });
    assert_eq!(of(SeenTable::NoStream), missing(Step::EnableStream));
    let State::Missing { step: Step::EnableStream, note: Some(note) } = of(SeenTable::Disabled) else { panic!("no stream, no note") };
    assert!(note.contains("24 hours"));
}

#[test]
fn a_stream_that_is_being_enabled_is_waited_for() {
    let seen = Seen { table: Some(SeenTable::Stream { view: View::NewAndOldImages, ready: false }), ..Seen::default() };
    assert_eq!(state("", Resource::TableStream, &seen), State::Unready);
}

#[test]
fn a_stream_with_another_view_type_is_told_and_left_alone() {
    for (view, name) in [(View::NewImage, "NEW_IMAGE"), (View::OldImage, "OLD_IMAGE"), (View::KeysOnly, "KEYS_ONLY")] {
        for ready in [true, false] {
            let seen = Seen { table: Some(SeenTable::Stream { view, ready }), ..Seen::default() };
            let state = state("", Resource::TableStream, &seen);
            assert!(differs(&state).contains(name), "{state:?}");
        }
    }
}

#[test]
fn each_stage_has_a_lease_table() {
    let plan = planned(&format!("{KINESIS}[deliver]\ntarget = \"lake\"\n"), &Seen { leases: Some(lease_table()), ..Seen::default() });
    let leases: Vec<_> = plan.entries.iter().filter(|entry| entry.resource == Resource::LeaseTable).collect();
    assert_eq!((leases[0].name.as_str(), &leases[0].state), ("headwater-orders", &State::Exists));
    assert_eq!((leases[1].name.as_str(), &leases[1].state), ("headwater-orders-deliver", &missing(Step::CreateLeaseTable)));
}

#[test]
fn a_lease_table_that_is_being_made_is_waited_for_and_another_table_blocks() {
    let of = |leases| state("", Resource::LeaseTable, &Seen { leases: Some(leases), ..Seen::default() });
    assert_eq!(of(SeenLeases { ready: false, ..lease_table() }), State::Unready);
    let other = of(SeenLeases { keys: vec!["pk".to_owned(), "sk".to_owned()], ready: true });
    assert!(blocked(&other).0.contains("pk and sk"));
    assert!(blocked(&other).1.contains("lease.application"));
}

#[test]
fn a_kinesis_stream_is_created_as_configured() {
    let of = |rest: &str| state(&format!("{KINESIS}{rest}"), Resource::KinesisStream, &Seen::default());
    assert_eq!(of(""), missing(Step::CreateKinesis(KinesisSpec { shards: None, record_kib: None })));
    let raised = KinesisSpec { shards: Some(3), record_kib: Some(10_240) };
    assert_eq!(of("shards = 3\nlarge_records = \"raise\""), missing(Step::CreateKinesis(raised)));
}

#[test]
fn an_existing_kinesis_stream_of_any_capacity_will_do_unless_shards_are_configured() {
    let provisioned = SeenKinesis { on_demand: false, ..stream() };
    for seen in [stream(), provisioned.clone()] {
        assert_eq!(state(KINESIS, Resource::KinesisStream, &with_kinesis(seen)), State::Exists);
    }
    let of = |shards: u32, seen| state(&format!("{KINESIS}shards = {shards}"), Resource::KinesisStream, &with_kinesis(seen));
    assert_eq!(of(4, provisioned.clone()), State::Exists);
    assert_eq!(differs(&of(2, provisioned)), "has 4 open shards, and kinesis.shards is 2");
    assert_eq!(differs(&of(4, stream())), "is on-demand, and kinesis.shards is 4");
}

#[test]
fn a_kinesis_stream_that_ignores_keys_is_told() {
    let state = state(KINESIS, Resource::KinesisStream, &with_kinesis(SeenKinesis { ignores_keys: true, ..stream() }));
    assert!(differs(&state).contains("AUTO"));
}

#[test]
fn a_smaller_record_size_is_raised_and_every_other_finding_told_beside_it() {
    let rest = format!("{KINESIS}large_records = \"raise\"\nshards = 4");
    let of = |seen| states(&rest, Resource::KinesisStream, &with_kinesis(seen));
    let raise = State::Outdated { what: "takes records up to 1024 KiB".to_owned(), step: Step::RaiseRecordSize(10_240) };
    let provisioned = SeenKinesis { on_demand: false, ..stream() };
    assert_eq!(of(provisioned.clone()), [raise.clone()]);
    assert_eq!(of(SeenKinesis { record_kib: 10_240, ..provisioned }), [State::Exists]);
    let both = of(stream());
    assert!(differs(&both[0]).contains("on-demand"));
    assert_eq!(both[1], raise);
}

#[test]
fn a_kinesis_stream_that_changes_is_waited_for_and_one_that_goes_blocks() {
    let of = |status, open_shards| {
        let seen = with_kinesis(SeenKinesis { status, open_shards, on_demand: false, ..stream() });
        state(&format!("{KINESIS}shards = 4"), Resource::KinesisStream, &seen)
    };
    assert_eq!(of(KinesisStatus::Changing, 0), State::Unready);
    assert_eq!(blocked(&of(KinesisStatus::Deleting, 4)).0, "is being deleted");
}

#[test]
fn a_bucket_is_created_unless_it_is_there_or_needs_a_zone() {
    let of = |url: &str, bucket| {
        let rest = format!("[lake]\nurl = \"{url}\"");
        state(&rest, Resource::Bucket, &Seen { bucket, ..Seen::default() })
    };
    assert_eq!(of("s3://lake/raw", false), missing(Step::CreateBucket));
    assert_eq!(of("s3://lake/raw", true), State::Exists);
    assert!(blocked(&of("s3://lake--use1-az4--x-s3", false)).0.contains("directory bucket"));
    assert_eq!(of("s3://lake--use1-az4--x-s3", true), State::Exists);
}

#[test]
fn firehose_reads_the_kinesis_stream_unless_deliver_feeds_it() {
    let source = |rest: &str| match state(&format!("{FIREHOSE}{S3}{rest}"), Resource::DeliveryStream, &Seen::default()) {
        State::Missing { step: Step::CreateDelivery(spec), note: None } => spec.source,
        other => panic!("{other:?}"),
    };
    let kinesis = Source::Kinesis("changes".to_owned());
    assert_eq!(source(KINESIS), kinesis);
    assert_eq!(source(&format!("{KINESIS}[deliver]\ntarget = \"lake\"")), kinesis);
    assert_eq!(source(&format!("{KINESIS}[deliver]\ntarget = \"firehose\"")), Source::DirectPut);
    assert_eq!(source("[route]\nkind = \"firehose\""), Source::DirectPut);
    assert_eq!(source("[route]\nkind = \"firehose\"\n[kinesis]\nstream = \"changes\""), Source::DirectPut);
}

#[test]
fn firehose_begins_late_on_a_kinesis_stream_that_is_there_already() {
    let of = |rest: &str, seen| match state(&format!("{KINESIS}{FIREHOSE}{S3}{rest}"), Resource::DeliveryStream, &seen) {
        State::Missing { note, .. } => note,
        other => panic!("{other:?}"),
    };
    assert!(of("", with_kinesis(stream())).is_some_and(|note| note.contains("not delivered")));
    assert_eq!(of("", Seen::default()), None);
    assert_eq!(of("[deliver]\ntarget = \"firehose\"", with_kinesis(stream())), None);
}

#[test]
fn firehose_writes_below_the_table_s_folder() {
    let rest = format!("[route]\nkind = \"firehose\"\n{FIREHOSE}buffer_size = \"1500KiB\"\nbuffer_interval = \"90s\"\n{S3}");
    let State::Missing { step: Step::CreateDelivery(spec), .. } = state(&rest, Resource::DeliveryStream, &Seen::default()) else {
        panic!("not created")
    };
    assert_eq!(spec.bucket_arn(), "arn:aws:s3:::lake");
    assert_eq!(spec.prefix(), "raw/orders/firehose/dt=!{timestamp:yyyy-MM-dd}/hr=!{timestamp:HH}/");
    assert_eq!(spec.error_prefix(), "raw/orders/firehose-errors/!{firehose:error-output-type}/dt=!{timestamp:yyyy-MM-dd}/");
    assert_eq!((spec.buffer_mib, spec.buffer_seconds), (2, 90), "sizes are rounded up to whole MiB");
}

#[test]
fn firehose_needs_a_bucket_a_role_and_the_key_s_arn() {
    let of = |rest: &str| state(&format!("[route]\nkind = \"firehose\"\n{rest}"), Resource::DeliveryStream, &Seen::default());
    let without_role = "[firehose]\ndelivery_stream = \"to-s3\"\n";
    for (rest, expected) in [
        (FIREHOSE.to_owned(), "lake.url"),
        (format!("{without_role}{S3}"), "firehose.role_arn"),
        (format!("{FIREHOSE}{S3}kms_key = \"alias/lake\"\n"), "lake.kms_key"),
        (format!("{FIREHOSE}[lake]\nurl = \"s3://lake/!{{x}}\"\n"), "lake.url"),
    ] {
        let state = of(&rest);
        assert!(blocked(&state).1.contains(expected), "{rest} gave {state:?}");
    }
}

#[test]
fn an_existing_delivery_stream_needs_neither_role_nor_bucket() {
    let rest = "[route]\nkind = \"firehose\"\n[firehose]\ndelivery_stream = \"to-s3\"\n";
    let of = |status| state(rest, Resource::DeliveryStream, &with_delivery(status, SeenSource::DirectPut));
    assert_eq!(of(DeliveryStatus::Active), State::Exists);
    assert_eq!(of(DeliveryStatus::Creating), State::Unready);
    assert_eq!(blocked(&of(DeliveryStatus::Deleting)).0, "is being deleted");
    assert!(blocked(&of(DeliveryStatus::Failed("no such role".to_owned()))).0.contains("no such role"));
}

#[test]
fn a_delivery_stream_with_another_source_is_told() {
    let of = |route: &str, source| {
        let rest = format!("{FIREHOSE}{S3}{route}");
        state(&rest, Resource::DeliveryStream, &with_delivery(DeliveryStatus::Active, source))
    };
    let put = "[route]\nkind = \"firehose\"";
    let kinesis = |name: &str| SeenSource::Kinesis(name.to_owned());
    assert_eq!(of(KINESIS, kinesis("changes")), State::Exists);
    assert_eq!(differs(&of(KINESIS, kinesis("others"))), "reads Kinesis stream others, not changes");
    assert!(differs(&of(KINESIS, SeenSource::DirectPut)).starts_with("takes direct puts"));
    assert!(differs(&of(put, kinesis("changes"))).starts_with("reads Kinesis stream changes"));
    for route in [put, KINESIS] {
        assert!(differs(&of(route, SeenSource::Other("MSKAsSource".to_owned()))).contains("MSKAsSource"));
    }
}
