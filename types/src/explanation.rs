//! A plan in sentences: what `explain` says, before anybody chooses a width or a colour.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sentences about one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// The question.
    pub title: String,
    /// The answer.
    pub sentences: Vec<String>,
    /// Numbers behind it: name and value.
    pub facts: Vec<(String, String)>,
}

/// A plan, or one part of it, in sentences.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// What is explained: a plan, a workload, a machine or a site.
    pub title: String,
    /// In reading order.
    pub sections: Vec<Section>,
}
