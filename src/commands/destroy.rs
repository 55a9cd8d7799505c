//! `destroy`: deletes what a blueprint made in a cluster, in reverse.

use crate::cluster::{self, Teller, desired, holder};
use crate::commands::apply::How;
use crate::exit::Exit;
use crate::session::Session;

/// Delete what a blueprint made in a cluster
///
/// In reverse of the order in which it was made, and only what the plan made. Namespaces, volumes and definitions stay
/// unless `--protected` is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A blueprint of the plan; it only says which plan is meant
    blueprint: String,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    cluster: cluster::Args,
}

/// Deletes.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let (_, desired) = desired(&args.blueprint, args.cluster.images.as_deref(), session)?;
    let plan = &desired.plan;
    let owned = args.cluster.with(async |cluster| cluster.owned(plan).await)?;
    if owned.is_empty() {
        session.say(&format!("the cluster holds nothing of the plan `{plan}`\n"));
        return Ok(Exit::Done);
    }
    session.say(&owned.iter().map(|id| format!("  {id}\n")).collect::<String>());
    args.how.agreed(&format!("This deletes {} objects.", owned.len()), session)?;
    let teller = Teller::new(session, args.cluster.json);
    let options = args.how.options();
    let gone = args.cluster.with(async |cluster| {
        cluster.destroy(plan, &options, &holder(), &|event| teller.tell(event)).await
    })?;
    session.say(&format!("{gone} of {} objects are gone\n", owned.len()));
    Ok(Exit::Done)
}
