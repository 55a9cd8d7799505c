//! What do requests see? Serving at the level of iterations: arrivals, a router, replicas with continuous batching and
//! a paged KV cache, and what their users wait for.
//!
//! It knows no accelerator: how long a step takes comes through [`StepTime`]. It knows no network between client and
//! replica, no tokenizer and no failure.

mod arrivals;
mod config;
mod decodes;
mod kv;
mod lengths;
mod operators;
mod pipeline;
mod rate;
mod replica;
mod replicate;
mod request;
mod router;
mod run;
mod scheduler;
mod stats;
mod step;
mod student;

pub use arrivals::{ClosedLoop, MAX_REQUESTS, OpenLoop, Workload};
pub use config::{ConfigError, DEFAULT_MAX_EVENTS, ServingConfig};
pub use kv::KvCache;
pub use lengths::{Length, Lengths};
pub use operators::{Layers, OperatorTables, TableError, TableTexts};
pub use rate::{Rate, RateError};
pub use replica::Work;
pub use replicate::{
    BATCH, CONFIDENCE, Estimates, Interval, Judged, MAX_BATCHES, Replicated, Verdict, replicate,
};
pub use request::{Outcome, Record, Reject, Request};
pub use router::Router;
pub use run::{RunResult, Stop, simulate};
pub use scheduler::{Admission, Scheduler};
pub use stats::{Attained, Distribution, Metric, Objective, Summary, Window};
pub use step::{Batch, StepTable, StepTime};
