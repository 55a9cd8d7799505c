//! Why does the world not become what was planned? Each reason names its object and the next step.

use std::fmt;
use thiserror::Error;

/// A field that somebody else owns and holds at another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The object.
    pub object: String,
    /// The field, such as `.spec.replicas`.
    pub field: String,
    /// Who holds it, as the server says it.
    pub manager: String,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: `{}` is held by {}", self.object, self.field, self.manager)
    }
}

/// Why something could not be finished.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No way to a cluster is known.
    #[error("no cluster is known: {0}")]
    NoCluster(String),
    /// The server does not answer.
    #[error("the server {server} does not answer: {why}")]
    Unreachable {
        /// Its address.
        server: String,
        /// What the last attempt met.
        why: String,
    },
    /// The server does not know who asks.
    #[error("the server {server} does not accept the credentials: {why}")]
    Unknown {
        /// Its address.
        server: String,
        /// What it said.
        why: String,
    },
    /// The server does not allow it.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// The server is older than what is emitted.
    #[error("the server runs Kubernetes {found}; the manifests need {needed} or newer")]
    TooOld {
        /// What it runs.
        found: String,
        /// What is needed.
        needed: String,
    },
    /// The server does not serve kinds that the plan needs.
    #[error("the cluster does not serve {}", .0.join(", "))]
    NotServed(Vec<String>),
    /// The server refuses an object.
    #[error("the server refuses {object}: {why}")]
    Refused {
        /// The object.
        object: String,
        /// What it said.
        why: String,
    },
    /// A field that cannot be changed would change.
    #[error("{object} cannot be changed in place: {why}")]
    Immutable {
        /// The object.
        object: String,
        /// What the server said.
        why: String,
    },
    /// Others hold fields at other values.
    #[error("others hold fields that the plan sets: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Conflicts(Vec<Conflict>),
    /// An object belongs to another plan.
    #[error("{object} belongs to the plan `{owner}`")]
    Owned {
        /// The object.
        object: String,
        /// Whose it is.
        owner: String,
    },
    /// An object is being deleted.
    #[error("{0} is being deleted")]
    Terminating(String),
    /// Another run is at work.
    #[error("{holder} is applying this plan; its lease ends at {until} unless it is renewed")]
    Busy {
        /// Who.
        holder: String,
        /// Until when.
        until: String,
    },
    /// The lease was lost on the way.
    #[error("the lease was taken over by {0}; nothing more is written")]
    LeaseLost(String),
    /// An object failed for good.
    #[error("{object} failed: {why}")]
    Failed {
        /// The object.
        object: String,
        /// Its conditions, the reasons of its pods, and its last events.
        why: String,
    },
    /// Objects are not ready in time.
    #[error("not ready after {seconds} s: {}", .waiting.join("; "))]
    TimedOut {
        /// How long it was waited.
        seconds: u64,
        /// Objects with what they lack.
        waiting: Vec<String>,
    },
    /// There is no such revision.
    #[error("there is no revision {wanted} to go back to; kept are {}", listed(.kept))]
    NoRevision {
        /// What was asked for.
        wanted: String,
        /// What there is.
        kept: Vec<u32>,
    },
    /// What the cluster holds about the plan cannot be read.
    #[error("{object} cannot be read: {why}")]
    Damaged {
        /// The object.
        object: String,
        /// Why.
        why: String,
    },
    /// Objects that stand on each other in a circle; a bug of ours.
    #[error("{0} stands on what stands on it")]
    Cycle(String),
    /// What was shown is no longer what would happen.
    #[error("the cluster changed since the changes were shown: {0}")]
    Moved(String),
    /// A manifest that is no object; a bug of ours.
    #[error("{path} is no object: {why}")]
    NotAnObject {
        /// The file.
        path: String,
        /// Why.
        why: String,
    },
}

fn listed(kept: &[u32]) -> String {
    if kept.is_empty() {
        return "none".to_owned();
    }
    kept.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Trouble {
    /// Returns whether the cluster is as it was and the run was refused, rather than that it could not be finished.
    pub fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::TooOld { .. }
                | Self::NotServed(_)
                | Self::Immutable { .. }
                | Self::Conflicts(_)
                | Self::Owned { .. }
                | Self::Terminating(_)
                | Self::Busy { .. }
                | Self::Moved(_)
        )
    }

    /// Returns the next step, where there is one to name.
    pub fn way_out(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoCluster(_) => {
                "set KUBECONFIG or name a context with `--context`; `kubectl config get-contexts` lists them"
            }
            Self::Unreachable { .. } => {
                "check the address in the kubeconfig, and whether a VPN or tunnel is up"
            }
            Self::Unknown { .. } => {
                "log in again: the token or certificate of the context has expired or is wrong"
            }
            Self::Forbidden(_) => {
                "ask for the rights of access/clusterrole.yaml, which `capstan emit` writes"
            }
            Self::TooOld { .. } => "upgrade the cluster",
            Self::NotServed(_) => {
                "install the operators that serve these kinds; `capstan preflight` lists all that is missing"
            }
            Self::Refused { .. } => {
                "the message is the server's (an admission rule, a quota or the schema); change the plan or the rule"
            }
            Self::Immutable { .. } => {
                "delete the object yourself if it may stop for a while, then apply again"
            }
            Self::Conflicts(_) => {
                "give the field back (`kubectl edit` leaves a manager of its own), or take it with `--force-conflicts`"
            }
            Self::Owned { .. } => "give one of the plans another namespace, or destroy the other plan first",
            Self::Terminating(_) => "wait until it is gone; finalizers that hold it stand in its metadata",
            Self::Busy { .. } => {
                "wait for it, or for the end of its lease if it was killed on another machine"
            }
            Self::LeaseLost(_) | Self::TimedOut { .. } => "run it again; it goes on where it stopped",
            Self::Failed { .. } => {
                "mend the cause and run it again; `capstan rollback` goes back to what ran before"
            }
            Self::NoRevision { .. } => "name one of those that are kept with `--to`",
            Self::Damaged { .. } => "delete it; the next apply takes over what carries the plan's label",
            Self::Moved(_) => "look at the changes again",
            Self::NotAnObject { .. } | Self::Cycle(_) => return None,
        })
    }
}
