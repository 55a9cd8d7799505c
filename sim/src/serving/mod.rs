//! What do requests see? Serving at the level of iterations: arrivals, a router, replicas with continuous batching and
//! a paged KV cache, and what their users wait for.
//!
//! It knows no accelerator: how long a step takes comes through [`StepTime`]. It knows no network between client and
//! replica, no tokenizer and no failure.
//!
//! ```
//! use capstan_sim::engine::Time;
//! use capstan_sim::serving::*;
//!
//! // A step costs 5 ms and 20 µs for each token; 8,000 blocks of 16 tokens; two replicas.
//! let step = StepTable { by_tokens: (0..=2_048).map(|m| 5e6 + 2e4 * f64::from(m)).collect(), ..StepTable::default() };
//! let config = ServingConfig { n_replicas: 2, ..ServingConfig::chunked(2_048, 256, KvCache::new(8_000)) };
//! let workload = Workload::Open(OpenLoop {
//!     name: "chat".into(),
//!     rate: Rate::constant(6.0),
//!     burstiness: 1.5,
//!     lengths: Lengths::Independent { prompt: Length::Fixed(1_000), output: Length::Exponential(200.0) },
//!     max_tokens: 8_192,
//!     until: Time::from_seconds(300.0),
//!     max_requests: u64::MAX,
//! });
//! let ttft = Objective { metric: Metric::Ttft, quantile: 0.99, limit_ns: 500e6, window_ns: None };
//! let window = Window { from: Time::from_seconds(30.0), until: Time::from_seconds(270.0) };
//! let replicated = replicate(&config, &step, &workload, 1, window, &[ttft])?;
//! assert_eq!(replicated.judged[0].verdict, Verdict::Met);
//! # Ok::<(), ConfigError>(())
//! ```

mod adapters;
mod arrivals;
mod autoscale;
mod background;
pub(crate) mod config;
mod decodes;
mod kv;
mod lengths;
mod operators;
mod pipeline;
mod prefix;
mod probe;
mod rate;
mod recording;
mod replica;
mod replicate;
mod request;
mod router;
mod run;
mod scheduler;
mod server;
mod stats;
mod step;
mod student;
mod tally;
mod tandem;
mod watch;
mod work;

pub use adapters::Adapters;
pub use arrivals::{ClosedLoop, MAX_REQUESTS, OpenLoop, Workload};
pub use autoscale::{AutoscaleError, Autoscaler, Behaviour, ColdStart, Pipe};
pub use background::Background;
pub use config::{ConfigError, DEFAULT_MAX_EVENTS, ServingConfig};
pub use kv::KvCache;
pub use lengths::{Length, Lengths};
pub use operators::{Layers, OperatorTables, TableError, TableTexts};
pub use prefix::{Beginnings, CacheTier, PrefixCache, Prefixes};
pub use probe::{Probe, StepSeen, Unwatched};
pub use rate::{Rate, RateError};
pub use recording::Recording;
pub use replicate::{
    BATCH, CONFIDENCE, Estimates, Interval, Judged, MAX_BATCHES, Replicated, Replications, Verdict,
    replicate, replicate_runs,
};
pub use request::{Outcome, Record, Reject, Request};
pub use router::Router;
pub use run::{
    Effect, Fault, Interrupted, RunResult, RunTotals, Scaled, Stop, Trial, simulate, simulate_into,
    simulate_watched,
};
pub use scheduler::{Admission, Scheduler};
pub use stats::{Attained, Distribution, Metric, Objective, Summary, Window, Yielded};
pub use step::{Batch, StepTable, StepTime};
pub use tally::Tally;
pub use tandem::{Tandem, TandemTotals, simulate_tandem};
pub use watch::{MOST_STEPS_KEPT, Slice, Timeline, Watch};
pub use work::Work;
