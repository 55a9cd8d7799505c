//! What does somebody see who watches? Each step of each replica as it ends, for whoever draws or counts it.
//!
//! A run that nobody watches leaps over steps; one that is watched runs each of them, and gives the same times.

use super::step::Batch;
use crate::engine::Time;

/// A step that has ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSeen {
    /// Where.
    pub replica: u32,
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
    /// What ran in it.
    pub batch: Batch,
    /// Blocks of the cache in use while it ran.
    pub blocks_used: u32,
    /// Requests not yet scheduled when it ended.
    pub waiting: u32,
}

/// Somebody who may watch a run. Replicas with pipeline stages run several steps at once and are not shown.
pub trait Probe {
    /// Whether anybody watches.
    const WATCHES: bool;

    /// Sees a step that has ended.
    fn step(&mut self, seen: &StepSeen);

    /// Says whether the run is to end here.
    fn stops(&self) -> bool {
        false
    }
}

/// Nobody watches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Probe for Unwatched {
    const WATCHES: bool = false;

    fn step(&mut self, _seen: &StepSeen) {}
}
