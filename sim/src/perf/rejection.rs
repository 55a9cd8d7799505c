//! Why a way to run a workload is not possible: each reason carries the numbers that a person can act on.

use capstan_types::figure;
use capstan_types::hardware::Precision;
use capstan_types::spec::SloMetric;
use capstan_types::units::{Bytes, Seconds};

/// A typed "no".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Reason {
    /// One rank cannot hold what it must.
    #[error("needs {:.1} GiB per accelerator where {:.1} GiB are free", needed.gib(), free.gib())]
    DoesNotFit {
        /// What one rank must hold.
        needed: Bytes,
        /// What one rank may use.
        free: Bytes,
    },
    /// The host cannot hold what the workers of its accelerators need.
    #[error("needs {:.0} GiB of host memory per replica where a machine has {:.0} GiB", needed.gib(), free.gib())]
    HostTooSmall {
        /// What the workers of one replica on one machine hold.
        needed: Bytes,
        /// What programs can use of the host.
        free: Bytes,
    },
    /// Tensor parallelism cannot split the heads.
    #[error("{heads} heads do not divide into {tensor} tensor-parallel ranks")]
    HeadsNotDivisible {
        /// Heads (query heads, or key-value heads where those are what does not divide).
        heads: u32,
        /// Ranks.
        tensor: u32,
    },
    /// Tensor parallelism cannot split a width.
    #[error("a width of {width} does not divide into {tensor} tensor-parallel ranks")]
    WidthNotDivisible {
        /// Feed-forward or expert width.
        width: u32,
        /// Ranks.
        tensor: u32,
    },
    /// Expert parallelism cannot deal out the experts.
    #[error("{experts} experts do not divide into {ranks} expert-parallel ranks")]
    ExpertsNotDivisible {
        /// Routed experts.
        experts: u32,
        /// Ranks.
        ranks: u32,
    },
    /// A dense model has no experts to deal out.
    #[error("the model has no experts to deal out to {ranks} expert-parallel ranks")]
    NoExperts {
        /// Ranks.
        ranks: u32,
    },
    /// More stages than layers.
    #[error("{layers} layers do not fill {pipeline} pipeline stages")]
    TooManyStages {
        /// Layers.
        layers: u32,
        /// Stages.
        pipeline: u32,
    },
    /// The accelerator has no units for the precision.
    #[error("{accelerator} does not compute in {}{}", precision.word(), instead.map_or(String::new(), way_out))]
    PrecisionUnsupported {
        /// The accelerator.
        accelerator: String,
        /// The precision.
        precision: Precision,
        /// One in which it computes and to which such weights are cast.
        instead: Option<Precision>,
    },
    /// The engine is not made for the accelerator.
    #[error(
        "{engine} runs on accelerators of NVIDIA only, not on {accelerator}; vLLM and SGLang run on others too"
    )]
    EngineNotMade {
        /// The engine.
        engine: String,
        /// The accelerator.
        accelerator: String,
    },
    /// No engine, or not the one that is asked for, divides the work so, or it cannot be simulated.
    #[error("not run: {why}")]
    SplitNotRun {
        /// Why not.
        why: &'static str,
    },
    /// A request is longer than the model reads.
    #[error("a request of {needed} tokens is longer than the context of {limit}")]
    ContextTooLong {
        /// Longest prompt and answer.
        needed: u32,
        /// What the model reads.
        limit: u32,
    },
    /// More ranks than the accelerators that reach each other.
    #[error("{needed} ranks are more than the {available} accelerators there")]
    TooFewAccelerators {
        /// Ranks.
        needed: u32,
        /// Accelerators.
        available: u32,
    },
    /// A job takes whole machines.
    #[error("{accelerators} accelerators are no whole number of machines with {per_node}")]
    NotWholeMachines {
        /// Accelerators.
        accelerators: u32,
        /// Accelerators of a machine.
        per_node: u32,
    },
    /// The batch does not divide into the data-parallel ranks and micro-batches.
    #[error("a batch of {sequences} sequences {}", unshared(*sequences, *ranks))]
    BatchTooSmall {
        /// Sequences in a global batch.
        sequences: u64,
        /// Data-parallel ranks.
        ranks: u64,
    },
    /// A service level is missed even when one request runs alone.
    #[error(
        "{} p{} is estimated at {} at best where {} are asked; an estimate must stay 5 % below",
        metric.word(),
        f64::from(*per_mille) / 10.0,
        figure::span(*best),
        figure::span(*target)
    )]
    SloUnreachable {
        /// What is measured.
        metric: SloMetric,
        /// Percentile in thousandths.
        per_mille: u32,
        /// Best that this configuration reaches, at a vanishing load.
        best: Seconds,
        /// The limit.
        target: Seconds,
    },
    /// An input that has to be positive is not.
    #[error("{what} must be above zero and finite")]
    NotPositive {
        /// Which.
        what: &'static str,
    },
}

fn unshared(sequences: u64, ranks: u64) -> String {
    if sequences < ranks {
        return format!("does not feed {ranks} data-parallel ranks");
    }
    let fewer = sequences - sequences % ranks.max(1);
    format!("cannot be shared out evenly among {ranks} data-parallel ranks; {fewer} can")
}

fn way_out(instead: Precision) -> String {
    let word = instead.word();
    format!("; weights are cast to {word} where the precision is `{word}`")
}

impl Reason {
    /// Returns why an accelerator does not compute in a precision; `sixteen` is the 16-bit format that it has. Weights in
    /// bf16 can be cast to that.
    pub fn unsupported(accelerator: &str, precision: Precision, sixteen: Option<Precision>) -> Self {
        let instead = sixteen.filter(|_| precision == Precision::Bf16).filter(|other| *other != precision);
        Self::PrecisionUnsupported { accelerator: accelerator.to_owned(), precision, instead }
    }

    /// Returns a stable name that reports count by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::DoesNotFit { .. } => "does_not_fit",
            Self::HostTooSmall { .. } => "host_too_small",
            Self::HeadsNotDivisible { .. } => "heads_not_divisible",
            Self::WidthNotDivisible { .. } => "width_not_divisible",
            Self::ExpertsNotDivisible { .. } => "experts_not_divisible",
            Self::NoExperts { .. } => "no_experts",
            Self::TooManyStages { .. } => "too_many_stages",
            Self::PrecisionUnsupported { .. } => "precision_unsupported",
            Self::EngineNotMade { .. } => "engine_not_made",
            Self::SplitNotRun { .. } => "split_not_run",
            Self::ContextTooLong { .. } => "context_too_long",
            Self::TooFewAccelerators { .. } => "too_few_accelerators",
            Self::NotWholeMachines { .. } => "not_whole_machines",
            Self::BatchTooSmall { .. } => "batch_too_small",
            Self::SloUnreachable { .. } => "slo_unreachable",
            Self::NotPositive { .. } => "not_positive",
        }
    }

    /// Returns how far away a "yes" is: the factor by which the offending number exceeds its limit, at least 1.
    /// Smaller is nearer; reasons without a distance return `None`.
    pub fn excess(&self) -> Option<f64> {
        let ratio = match self {
            Self::DoesNotFit { needed, free } | Self::HostTooSmall { needed, free } => {
                needed.get() / free.get().max(1.0)
            }
            Self::ContextTooLong { needed, limit } => f64::from(*needed) / f64::from((*limit).max(1)),
            Self::SloUnreachable { best, target, .. } => best.get() / target.get().max(1e-9),
            Self::TooFewAccelerators { needed, available } => {
                f64::from(*needed) / f64::from((*available).max(1))
            }
            _ => return None,
        };
        Some(ratio.max(1.0))
    }
}
