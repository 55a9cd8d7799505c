//! Offline inference as it is asked for.

use super::{Buy, Daily, Disaggregated, Limit, Load, OnFailure, Parallelism, Serve};
use crate::hardware::Precision;
use crate::place::Place;
use crate::traffic::Lengths;
use crate::units::RequestsPerSecond;
use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Offline inference of one model: requests that nobody waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Batch {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub place: Place,
    /// Identifier of the model in [`super::Spec::models`].
    pub model: String,
    /// The checkpoint that answers, where the plan names the model as the model hub does: `owner/model`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
    /// Requests to answer.
    pub requests: f64,
    /// Catalog row that the lengths come from, if any.
    pub traffic: Option<String>,
    /// Prompt lengths.
    pub prompt: Lengths,
    /// Output lengths.
    pub output: Lengths,
    /// First day on which it may run.
    #[schemars(with = "Option<(String, Place)>")]
    pub start: Option<Limit<Date>>,
    /// Last day on which it may run.
    #[schemars(with = "Option<(String, Place)>")]
    pub finish: Option<Limit<Date>>,
    /// May it run in a part of each day only?
    pub interruptible: bool,
    /// The engine.
    pub engine: String,
    /// Precisions that weights may have.
    pub precisions: Vec<Precision>,
    /// Accelerators that are allowed; `None` is any.
    pub accelerators: Option<Vec<String>>,
    /// Parallelism that is fixed.
    pub parallelism: Parallelism,
    /// How capacity may be bought.
    pub buy: Vec<Buy>,
    /// Sites it may run at; `None` is any.
    pub sites: Option<Vec<String>>,
}

impl Batch {
    /// Returns the tokens of all prompts and of all outputs.
    pub fn tokens(&self) -> (f64, f64) {
        (self.requests * self.prompt.mean, self.requests * self.output.mean)
    }

    /// Returns it as a workload that is served without service levels. The rate of its load means nothing: what one replica
    /// holds and does is asked of it, never how many there are.
    pub fn served(&self) -> Serve {
        let load = Load {
            traffic: self.traffic.clone(),
            prompt: self.prompt.clone(),
            output: self.output.clone(),
            burstiness: 1.0,
            peak: RequestsPerSecond(1.0),
            growth_per_month: 0.0,
            daily: Daily::Flat,
            weekend: 1.0,
            trace: None,
            place: self.place.clone(),
        };
        Serve {
            name: self.name.clone(),
            place: self.place.clone(),
            model: self.model.clone(),
            checkpoint: self.checkpoint.clone(),
            load,
            slos: Vec::new(),
            availability: None,
            engine: self.engine.clone(),
            precisions: self.precisions.clone(),
            kv_precision: None,
            accelerators: self.accelerators.clone(),
            parallelism: self.parallelism,
            max_sequences: None,
            step_tokens: None,
            queue_delay: None,
            buy: self.buy.clone(),
            sites: self.sites.clone(),
            headroom: 0.0,
            min_replicas: 1,
            autoscale: None,
            prefix_caching: None,
            speculative: None,
            queue: None,
            on_failure: OnFailure::Retry,
            adapters: None,
            background: None,
            disaggregated: Disaggregated::Never,
            zones: None,
            stage: None,
        }
    }
}
