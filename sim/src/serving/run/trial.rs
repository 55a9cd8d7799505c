//! What is simulated once? A configuration, its requests, and what happens to it from outside.

use super::Fault;
use crate::serving::arrivals::Workload;
use crate::serving::autoscale::Autoscaler;
use crate::serving::config::ServingConfig;
use crate::serving::prefix::Beginnings;

/// One replication of what is to be simulated.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// What serves.
    pub config: &'a ServingConfig,
    /// What arrives.
    pub workload: &'a Workload,
    /// Seed of every random stream.
    pub seed: u64,
    /// Which replication.
    pub replication: u32,
    /// Replicas that fail.
    pub faults: &'a [Fault],
    /// What changes the number of replicas; those of `config` are the most then.
    pub autoscaler: Option<&'a Autoscaler>,
    /// How prompts begin alike, where the workload does not say it with hashes.
    pub beginnings: Option<Beginnings>,
}

impl<'a> Trial<'a> {
    /// Returns a replication in which nothing fails, nothing scales and no prompt is like another.
    pub fn of(config: &'a ServingConfig, workload: &'a Workload, seed: u64, replication: u32) -> Trial<'a> {
        Trial { config, workload, seed, replication, faults: &[], autoscaler: None, beginnings: None }
    }
}
