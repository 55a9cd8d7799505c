//! What may come otherwise than planned: things that fail, and more requests.

use crate::place::Place;
use crate::units::Seconds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of requests in flight whose replica fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// They are sent again at once, from the beginning.
    #[default]
    Retry,
    /// They are lost.
    Lose,
}

/// What can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failing {
    /// One accelerator, and with it the replica that runs on it.
    Gpu,
    /// One node, and with it every replica that has a part on it.
    Node,
    /// One rack of an own site, with its nodes.
    Rack,
    /// One zone: replicas are spread evenly over the zones of a site; a site without zones is one.
    Zone,
    /// The program of one replica, which starts again on the machine where it is: its weights are read, not its image.
    Crash,
    /// One replica is slow and keeps its requests.
    Slow,
    /// The market takes all spot machines of the region back at once.
    Spot,
}

impl Failing {
    /// All of them with their words in the plan language and in answers.
    pub const ALL: [(Failing, &str, &str); 7] = [
        (Failing::Gpu, "gpu", "gpu fails"),
        (Failing::Node, "node", "node fails"),
        (Failing::Rack, "rack", "rack fails"),
        (Failing::Zone, "zone", "zone fails"),
        (Failing::Crash, "crash", "replica crashes and starts again"),
        (Failing::Slow, "slow", "replica is slow"),
        (Failing::Spot, "spot", "spot market takes its machines back"),
    ];

    /// Returns the words of an answer.
    pub fn words(self) -> &'static str {
        Failing::ALL.iter().find(|(known, ..)| *known == self).map_or("", |(.., words)| words)
    }

    /// Returns what the plan language calls so.
    pub fn from_word(word: &str) -> Option<Failing> {
        Failing::ALL.iter().find(|(_, known, _)| *known == word).map(|(failing, ..)| *failing)
    }
}

/// Something that fails in the hour that is simulated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioFailure {
    /// What.
    pub what: Failing,
    /// How many at once; of spot machines `None` is all.
    pub count: Option<u32>,
    /// For how long; `None` is as long as a replica takes to start elsewhere.
    #[serde(rename = "lasts_s")]
    pub lasts: Option<Seconds>,
    /// How long before it takes machines back the spot market says so.
    #[serde(rename = "notice_s")]
    pub notice: Option<Seconds>,
    /// How many times as long the steps of a slow replica take.
    pub slower: Option<f64>,
}

/// More requests than planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Surge {
    /// Times the planned requests.
    pub factor: f64,
    /// For how long; `None` is the whole hour.
    #[serde(rename = "lasts_s")]
    pub lasts: Option<Seconds>,
}

/// What a scenario lets happen to the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WhatIf {
    /// Name of the scenario.
    pub scenario: String,
    /// What fails, if anything does.
    pub failure: Option<ScenarioFailure>,
    /// How many more requests come, if more do.
    pub surge: Option<Surge>,
    /// Whether it happens at every hour at which the plan was verified, and not in the busiest alone.
    pub at_all_hours: bool,
    /// Where it is declared.
    pub place: Place,
}
