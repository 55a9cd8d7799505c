//! What happens while a cluster is brought to a plan, told as it happens.

use crate::difference::Change;
use crate::object::Id;
use serde::Serialize;

/// What is, or would be, done with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is not there.
    Create,
    /// It is there with other values.
    Update,
    /// It is there, made by others, and carries the plan's label from now on.
    Adopt,
    /// It is as it should be.
    Keep,
    /// The plan no longer has it.
    Prune,
}

impl Action {
    /// Returns its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Adopt => "adopt",
            Self::Keep => "keep",
            Self::Prune => "prune",
        }
    }
}

/// One object and what changes in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Which.
    pub object: Id,
    /// What is done.
    pub action: Action,
    /// The wave, from 0; none for what is pruned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wave: Option<usize>,
    /// Every field that differs.
    pub changes: Vec<Change>,
    /// What the server warns of.
    pub warnings: Vec<String>,
    /// Whether the server could check it in its own namespace already.
    pub checked: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// Objects that are applied together.
    Wave {
        /// Which, from 1.
        number: usize,
        /// Of how many.
        of: usize,
        /// How many objects.
        objects: usize,
    },
    /// An object was written.
    Wrote {
        /// Which.
        object: Id,
        /// What was done.
        action: Action,
    },
    /// An object is not at work yet.
    Waiting {
        /// Which.
        object: Id,
        /// What it lacks.
        why: String,
    },
    /// An object is at work.
    Ready {
        /// Which.
        object: Id,
    },
    /// An object was deleted.
    Deleted {
        /// Which.
        object: Id,
    },
    /// An object was left although the plan has it no longer.
    Left {
        /// Which.
        object: Id,
        /// Why.
        why: String,
    },
    /// What was applied is kept as a revision.
    Revision {
        /// Its number.
        number: u32,
    },
    /// Something that was found on the way.
    Note {
        /// What.
        text: String,
    },
}
