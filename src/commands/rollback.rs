//! `rollback`: brings a cluster back to a revision that it had.

use crate::cluster::{self, desired};
use crate::commands::apply::{How, apply};
use crate::exit::Exit;
use crate::session::Session;
use capstan_apply::Desired;

/// Bring a cluster back to a revision that it had
///
/// The last five revisions are kept in the cluster. Going back is an apply like any other, and a revision of its own.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A blueprint of the plan; it only says which plan is meant
    blueprint: String,
    /// The revision; else the one before the last
    #[arg(long, value_name = "NUMBER")]
    to: Option<u32>,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    cluster: cluster::Args,
}

/// Goes back.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let (_, now) = desired(&args.blueprint, args.cluster.images.as_deref(), session)?;
    let (plan, minor) = (now.plan, now.minor);
    let (number, objects) = args.cluster.with(async |cluster| cluster.revision(&plan, args.to).await)?;
    session.say(&format!("back to revision {number}\n"));
    let cost = "What it costs stands in the blueprint of that time.";
    apply(&Desired { plan, objects, minor }, &args.how, &args.cluster, cost, session)
}
