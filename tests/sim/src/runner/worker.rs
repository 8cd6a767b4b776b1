//! The service's side of a history: its processes, which are killed, stopped, paused and started again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use headwater::aws::Failure;
use headwater::clock::WallClock;
use headwater::config::Settings;
use headwater::consumer::ConsumerError;
use headwater::pipeline::{Pipeline, StartError};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::LEASES;
use super::scenario::{Failing, Scenario};
use super::service::{sdk_config, settings};
use crate::cloud::Cloud;
use crate::faults::{Chance, Fault, Faults, Rule, Service};
use crate::journal::Event;

/// How long an orchestrator waits before it starts a process again that ended by itself.
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The service's processes. Each has a task on this runtime; killing it drops the task with everything that it had begun, while
/// requests that it has sent take effect all the same.
#[derive(Debug)]
pub(super) struct Fleet {
    cloud: Cloud,
    faults: Faults,
    address: SocketAddr,
    workers: Vec<Worker>,
    exits: Arc<AtomicU64>,
    /// Exits that no service's failure explains.
    unclean: Arc<Mutex<Vec<String>>>,
    counts: BTreeMap<&'static str, u64>,
}

/// The workers that run, by what they do.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) capturing: Vec<String>,
    pub(super) delivering: Vec<String>,
}

#[derive(Debug)]
struct Worker {
    settings: Settings,
    starts: u32,
    clock: Arc<AtomicI64>,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    /// Its access key, and its name in the lease table.
    name: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Fleet {
    pub(super) fn new(cloud: Cloud, faults: Faults, address: SocketAddr, scenario: &Scenario) -> anyhow::Result<Self> {
        let worker = |number| Ok(Worker { settings: settings(scenario, number)?, starts: 0, clock: Arc::default(), process: None });
        let workers = (0..scenario.service.workers).map(worker).collect::<anyhow::Result<_>>()?;
        Ok(Self { cloud, faults, address, workers, exits: Arc::default(), unclean: Arc::default(), counts: BTreeMap::new() })
    }

    /// What was done, by name.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        let mut counts = self.counts.clone();
        counts.insert("service exits", self.exits.load(Ordering::Relaxed));
        counts
    }

    /// Exits that no service's failure explains.
    pub(super) fn unclean(&self) -> Vec<String> {
        self.unclean.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn start_all(&mut self) {
        for number in 0..self.workers.len() {
            self.start(number);
        }
    }

    pub(super) fn start(&mut self, number: usize) {
        let worker = &mut self.workers[number];
        if worker.process.as_ref().is_some_and(|process| !process.task.is_finished()) {
            return;
        }
        worker.starts += 1;
        let name = format!("W{number}R{}", worker.starts);
        let stop = CancellationToken::new();
        let mut settings = worker.settings.clone();
        settings.lease.worker = Some(name.clone());
        let sdk = sdk_config(self.address, &name);
        let (services, shift) = (self.cloud.clock.clone(), Arc::clone(&worker.clock));
        let clock = WallClock::reading(move || services.now().div_euclid(1000) + shift.load(Ordering::Relaxed));
        let orchestrator = Orchestrator {
            cloud: self.cloud.clone(),
            name: name.clone(),
            settings,
            sdk,
            clock,
            stop: stop.clone(),
            exits: Arc::clone(&self.exits),
            unclean: Arc::clone(&self.unclean),
        };
        worker.process = Some(Process { name, stop, task: tokio::spawn(orchestrator.run()) });
    }

    pub(super) fn crash(&mut self, number: usize) {
        if let Some(process) = self.workers[number].process.take() {
            process.task.abort();
            *self.counts.entry("crashes").or_default() += 1;
        }
    }

    pub(super) fn crash_all(&mut self) {
        for number in 0..self.workers.len() {
            self.crash(number);
        }
    }

    /// Asks a worker to stop; it may take its time.
    pub(super) fn stop(&mut self, number: usize) {
        if let Some(process) = &self.workers[number].process {
            process.stop.cancel();
            *self.counts.entry("stops").or_default() += 1;
        }
    }

    pub(super) fn pause(&mut self, number: usize, length: Duration) {
        if let Some(process) = &self.workers[number].process {
            let until = self.cloud.clock.now() + i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
            self.faults.pause(&process.name, until);
            *self.counts.entry("pauses").or_default() += 1;
        }
    }

    /// The lease table cannot be used for a while: by anybody, or by one worker.
    pub(super) fn cut_off_leases(&mut self, number: Option<usize>, length: Duration, how: Failing) {
        let name = |number: usize| self.workers[number].process.as_ref().map(|process| process.name.clone());
        let worker = number.map(|number| name(number).unwrap_or_default());
        *self.counts.entry(if worker.is_some() { "split brains" } else { "lease table outages" }).or_default() += 1;
        // What the name of the other stage's table begins with, too.
        let resource = Some(LEASES.to_owned());
        self.break_for(length, how, Rule { service: Some(Service::DynamoDb), resource, worker, ..all("*") });
    }

    /// What changes are sent to takes nothing for a while.
    pub(super) fn cut_off_target(&mut self, target: Service, length: Duration, how: Failing) {
        *self.counts.entry("target outages").or_default() += 1;
        let operation = if target == Service::Kinesis { "PutRecords" } else { "*" };
        self.break_for(length, how, Rule { service: Some(target), ..all(operation) });
    }

    fn break_for(&self, length: Duration, how: Failing, rule: Rule) {
        let until = self.cloud.clock.now() + i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
        self.faults.add(Rule { fault: how.fault(), until: Some(until), ..rule });
    }

    /// The workers that run, and of these the ones that capture, and that deliver.
    pub(super) fn running(&self) -> Running {
        let named = |does: fn(&Settings) -> bool| {
            let workers = self.workers.iter().filter(|worker| does(&worker.settings));
            workers.filter_map(|worker| worker.process.as_ref()).map(|process| process.name.clone()).collect()
        };
        Running {
            capturing: named(|settings| settings.stages.capture),
            delivering: named(|settings| settings.stages.deliver && settings.deliver.is_some()),
        }
    }

    pub(super) fn set_clock(&mut self, number: usize, by_seconds: i64) {
        self.workers[number].clock.store(by_seconds, Ordering::Relaxed);
        *self.counts.entry("wrong clocks").or_default() += 1;
    }

    pub(super) async fn stop_all(&mut self) {
        for worker in &mut self.workers {
            let Some(process) = worker.process.take() else { continue };
            process.stop.cancel();
            if let Err(error) = process.task.await
                && error.is_panic()
            {
                note_unclean(&self.unclean, format!("{} panicked", process.name));
            }
        }
    }
}

/// Runs the service, and again when it ends by itself, until it is asked to stop.
struct Orchestrator {
    cloud: Cloud,
    name: String,
    settings: Settings,
    sdk: SdkConfig,
    clock: WallClock,
    stop: CancellationToken,
    exits: Arc<AtomicU64>,
    unclean: Arc<Mutex<Vec<String>>>,
}

impl Orchestrator {
    async fn run(self) {
        while !self.stop.is_cancelled() {
            let built = tokio::select! {
                built = Pipeline::build(&self.settings, &self.sdk, self.clock.clone()) => built,
                () = self.stop.cancelled() => return,
            };
            let (clean, ended) = match built {
                Ok(pipeline) => match pipeline.run(self.stop.clone()).await {
                    Ok(ended) => (true, format!("ended: {ended:?}")),
                    Err(error) => (may_end(&error), format!("ended: {:#}", anyhow::Error::from(error))),
                },
                Err(error) => (may_not_start(&error), format!("could not start: {:#}", anyhow::Error::from(error))),
            };
            if !clean {
                note_unclean(&self.unclean, format!("{} {ended}", self.name));
            }
            self.cloud.journal.record(self.cloud.clock.now(), &self.name, Event::Note(ended));
            if !self.stop.is_cancelled() {
                self.exits.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(RESTART_PAUSE).await;
            }
        }
    }
}

/// A rule for every call of an operation.
fn all(operation: &str) -> Rule {
    Rule::new(operation, Fault::Reset, Chance::Probability(1.0))
}

fn note_unclean(unclean: &Mutex<Vec<String>>, what: String) {
    unclean.lock().unwrap_or_else(PoisonError::into_inner).push(what);
}

/// Whether the service may end so: a service stayed away, or a person is needed. A request that was wrong in itself is the service's own fault.
fn may_end(error: &ConsumerError) -> bool {
    match error {
        ConsumerError::Aws(error) => !matches!(error.failure, Failure::Invalid | Failure::Denied),
        ConsumerError::Route(_) | ConsumerError::Quarantine { .. } => true,
        ConsumerError::Gap(_) | ConsumerError::Task(_) => false,
    }
}

/// Whether the service may refuse to start so.
fn may_not_start(error: &StartError) -> bool {
    match error {
        StartError::Aws { source, .. } | StartError::Kinesis { source, .. } => {
            !matches!(source.failure, Failure::Invalid | Failure::Denied)
        }
        StartError::Lake(_) | StartError::StreamDisabled(_) | StartError::Route(_) => true,
        StartError::MissingTable(_)
        | StartError::OtherStream { .. }
        | StartError::NoStream(_)
        | StartError::WrongView { .. }
        | StartError::ContractFile { .. }
        | StartError::Contract(_)
        | StartError::Webhook(_) => false,
    }
}
