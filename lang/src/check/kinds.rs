//! Which kinds of block are there?

use super::table::Table;
use super::{app, batch, budget, deploy, fabric, fleet, model, plan, scenario, serve, site, storage, train};

/// Every kind that may stand in a file, in the order of the reference.
pub static KINDS: &[&Table] = &[
    &plan::PLAN,
    &site::SITE,
    &fleet::FLEET,
    &model::MODEL,
    &serve::SERVE,
    &train::TRAIN,
    &train::TUNE,
    &batch::BATCH,
    &app::SERVICE,
    &app::WORKSPACE,
    &storage::DATASET,
    &storage::STORAGE,
    &fabric::FABRIC,
    &budget::BUDGET,
    &scenario::SCENARIO,
    &deploy::DEPLOY,
];
