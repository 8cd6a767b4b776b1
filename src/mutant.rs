//! Wrong decisions, on purpose: the proof that the checks of the invariants can fail.
//!
//! Each [`Mutant`] is one decision of the service taken wrongly, once a process has armed it, which only the simulator does. They exist only in
//! builds with the feature `mutants`, which only the simulator asks for; in every other build `armed` is the constant `false` and the compiler
//! removes them.

/// A decision that can be taken wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// A checkpoint follows what was read instead of what is durable.
    CheckpointOnRead,
    /// A shard is read before its parents are done.
    ChildBeforeParent,
    /// Reading resumes at the checkpoint's record instead of after it.
    ResumeAt,
    /// A shard that continues another one begins with what comes next, not with what it holds.
    LatestForChildren,
    /// A worker whose lease was taken goes on.
    IgnoreLostLease,
    /// A worker goes on although it could not renew its lease for the fail-over time.
    IgnoreFence,
    /// A lease is taken from a worker that lives without waiting for it to be handed over.
    StealWithoutAsking,
    /// A lake object is written without the condition that it is absent.
    CommitOverExisting,
    /// Reading a Kinesis shard resumes behind an aggregated record of which only a part is durable.
    ForgetSubsequence,
    /// While a failed record waits to be sent again, later ones of its lane go before it.
    ResendBehind,
    /// The records that were refused in an answered call count as acknowledged.
    AcknowledgeFailed,
    /// An aggregated record counts as delivered on whatever shard it landed.
    TrustStaleMap,
    /// The marker of a snapshot is written when its segments are read, wherever the rows are.
    MarkerBeforeRows,
    /// A snapshot's start is later than its reading, as though its rows showed the table of its end.
    StartTooLate,
    /// A page of a segment is passed over.
    SegmentSkipsPage,
    /// A segment whose rows another worker has landed already is read on from its checkpoint, as though they had not.
    RewindToCheckpoint,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::CheckpointOnRead,
        Self::ChildBeforeParent,
        Self::ResumeAt,
        Self::LatestForChildren,
        Self::IgnoreLostLease,
        Self::IgnoreFence,
        Self::StealWithoutAsking,
        Self::CommitOverExisting,
        Self::ForgetSubsequence,
        Self::ResendBehind,
        Self::AcknowledgeFailed,
        Self::TrustStaleMap,
        Self::MarkerBeforeRows,
        Self::StartTooLate,
        Self::SegmentSkipsPage,
        Self::RewindToCheckpoint,
    ];

    /// The name on the simulator's command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckpointOnRead => "checkpoint-on-read",
            Self::ChildBeforeParent => "child-before-parent",
            Self::ResumeAt => "resume-at",
            Self::LatestForChildren => "latest-for-children",
            Self::IgnoreLostLease => "ignore-lost-lease",
            Self::IgnoreFence => "ignore-fence",
            Self::StealWithoutAsking => "steal-without-asking",
            Self::CommitOverExisting => "commit-over-existing",
            Self::ForgetSubsequence => "forget-subsequence",
            Self::ResendBehind => "resend-behind",
            Self::AcknowledgeFailed => "acknowledge-failed",
            Self::TrustStaleMap => "trust-stale-map",
            Self::MarkerBeforeRows => "marker-before-rows",
            Self::StartTooLate => "start-too-late",
            Self::SegmentSkipsPage => "segment-skips-page",
            Self::RewindToCheckpoint => "rewind-to-checkpoint",
        }
    }
}

impl std::str::FromStr for Mutant {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let names = || Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|mutant| mutant.name() == name).ok_or_else(|| format!("no mutant '{name}'; there are {}", names()))
    }
}

#[cfg(feature = "mutants")]
static ARMED: std::sync::OnceLock<Mutant> = std::sync::OnceLock::new();

/// Makes this process take that decision wrongly from now on. A process can have one mutant only: false when it has another.
#[cfg(feature = "mutants")]
pub fn arm(mutant: Mutant) -> bool {
    *ARMED.get_or_init(|| mutant) == mutant
}

/// Whether that decision is to be taken wrongly.
#[cfg(feature = "mutants")]
pub(crate) fn armed(mutant: Mutant) -> bool {
    ARMED.get() == Some(&mutant)
}

/// Whether that decision is to be taken wrongly: never, in this build.
#[cfg(not(feature = "mutants"))]
pub(crate) const fn armed(_: Mutant) -> bool {
    false
}
