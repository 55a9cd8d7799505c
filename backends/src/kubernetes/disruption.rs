//! How many replicas may be taken away at once, such as when a node is drained?

use super::object::{Labels, Object, Selector};
use super::server::Server;
use super::{EmitError, Files, Frame, Wave};
use serde::Serialize;

/// `policy/v1.PodDisruptionBudgetSpec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct BudgetSpec {
    max_unavailable: u32,
    selector: Selector,
}

/// Adds the budget of a placement: one pod at a time.
///
/// A budget that forbids every eviction hangs node upgrades, so a single replica has none; that a drain stops it is
/// said instead.
pub(super) fn add(
    frame: &Frame<'_>,
    server: &Server<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    if server.most() < 2 {
        let message =
            format!("`{}` has one replica, so draining its node stops it; plan `replicas >= 2`", server.name);
        files.warn(&server.serve.name, message);
        return Ok(());
    }
    // KServe keeps the replicas of the busiest hour.
    if server.part.is_none() && server.fewest() < 2 {
        let message = format!(
            "`{}` has one replica at its quietest hour, when draining its node stops it; plan `replicas >= 2`",
            server.name
        );
        files.warn(&server.serve.name, message);
    }
    add_budget(frame, (&server.name, &server.labels(), &server.instance()), folder, files)
}

/// Adds the budget of the pods that carry `own`.
pub(super) fn add_budget(
    frame: &Frame<'_>,
    (name, all, own): (&str, &Labels, &Labels),
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let object = Object {
        api_version: "policy/v1",
        kind: "PodDisruptionBudget",
        metadata: frame.meta(name, Wave::Policy, all),
        spec: BudgetSpec { max_unavailable: 1, selector: Selector::of(own) },
    };
    let note = "a drain takes one pod at a time.";
    files.add(Wave::Policy, folder, ("PodDisruptionBudget", name), note, &object)
}
