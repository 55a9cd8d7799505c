//! What does the checker get beside the tree and the catalog?

use std::collections::{BTreeMap, BTreeSet};

use capstan_types::model::Model;
use capstan_types::spec::BlockHashes;
use capstan_types::traffic::Lengths;

use crate::ast::File;
use crate::evaluate::Draws;
use crate::references::stays_inside;

/// A plan file as it was read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its tree, with overrides applied.
    pub file: &'a File,
    /// Its text, for the rules, which are shown as they were written.
    pub text: &'a str,
}

/// What was found in files that a plan names, and read by whoever may read files.
#[derive(Clone, Debug, Default)]
pub struct CheckContext {
    /// Traces by their path in the plan. A trace that is named and not here could not be read.
    pub traces: BTreeMap<String, TraceFacts>,
    /// Models of each `config.json` by its path in the plan.
    pub models: BTreeMap<String, Model>,
    /// Paths of files that are wrong or cannot be read, as whoever read them has told already.
    pub told: BTreeSet<String>,
    /// Where in its distribution each uncertain value lies; at its median where it is not said.
    pub draws: Draws,
}

impl CheckContext {
    /// Says whether somebody has told what is wrong with the file of this path, or that it leads outside.
    pub(super) fn is_told(&self, path: &str) -> bool {
        self.told.contains(path) || !stays_inside(path)
    }
}

/// What a plan needs to know of a request trace.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceFacts {
    /// SHA-256 of the file.
    pub digest: String,
    /// Requests.
    pub requests: u64,
    /// Seconds from the first to the last arrival.
    pub span_s: f64,
    /// Mean rate of the busiest ten minutes, of the whole span where that is shorter.
    pub busiest_requests_per_s: f64,
    /// Prompt lengths.
    pub prompt: Lengths,
    /// Output lengths.
    pub output: Lengths,
    /// Coefficient of variation of the time between arrivals.
    pub burstiness: f64,
    /// What its block hashes say, where it has a column of them.
    pub hashes: Option<BlockHashes>,
}
