//! `apply`: brings a cluster to a blueprint, wave by wave.

use crate::cluster::{self, Teller, desired, holder, line, shown};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use capstan_apply::{Cluster, Desired, Looked, Options, Summary, Trouble};
use capstan_types::blueprint::Blueprint;
use std::io::{IsTerminal, stdin};

/// Bring a cluster to a blueprint
///
/// Shows what changes and what the plan costs, and asks; then writes wave by wave and waits for each. What was killed goes
/// on when it is run again. Objects that the plan no longer has are deleted. Ends with 5 where it was refused.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The blueprint
    blueprint: String,
    /// Show what would change and write nothing; with changes, ends with 2
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    cluster: cluster::Args,
}

/// How something is applied.
#[derive(Debug, clap::Args)]
pub struct How {
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Take fields that others hold at other values
    #[arg(long)]
    force_conflicts: bool,
    /// Delete namespaces, volumes and definitions too, where the plan no longer has them
    #[arg(long)]
    protected: bool,
    /// Wait so many seconds for each wave
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    timeout: u64,
}

impl How {
    /// Returns it as the crate that applies takes it.
    pub fn options(&self) -> Options {
        Options { force: self.force_conflicts, protected: self.protected, seconds: self.timeout }
    }

    /// Fails unless somebody agrees.
    pub fn agreed(&self, question: &str, session: &Session) -> anyhow::Result<()> {
        if self.yes {
            return Ok(());
        }
        let refused = |why: &str| Failure::new(why).exit(Exit::Refused);
        if !stdin().is_terminal() {
            return Err(refused("nobody is there to agree")
                .hint("`--yes` agrees; `--dry-run` only looks")
                .into());
        }
        session.say(&format!("{question} Only `yes` goes on: "));
        let mut answer = String::new();
        stdin().read_line(&mut answer)?;
        if answer.trim() == "yes" { Ok(()) } else { Err(refused("not agreed; nothing was written").into()) }
    }
}

/// Applies.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let (blueprint, desired) = desired(&args.blueprint, args.cluster.images.as_deref(), session)?;
    if args.dry_run {
        return look(args, &desired, session);
    }
    apply(&desired, &args.how, &args.cluster, &cost(&blueprint), session)
}

/// Says what would change.
fn look(args: &Args, desired: &Desired, session: &Session) -> anyhow::Result<Exit> {
    let looked = args.cluster.with(async |cluster| cluster.look(desired, args.how.force_conflicts).await)?;
    if args.cluster.json {
        session.print(&looked.steps.iter().map(line).collect::<String>())?;
    } else if looked.is_quiet() {
        session.print("nothing changes\n")?;
    } else {
        session.print(&shown(&looked))?;
    }
    Ok(if looked.is_quiet() { Exit::Done } else { Exit::Changes })
}

/// Brings a cluster to what is desired, after somebody has agreed.
pub fn apply(
    desired: &Desired,
    how: &How,
    access: &cluster::Args,
    cost: &str,
    session: &Session,
) -> anyhow::Result<Exit> {
    let looked = if how.yes {
        None
    } else {
        let looked = access.with(async |cluster| cluster.look(desired, how.force_conflicts).await)?;
        session.say(&shown(&looked));
        if !looked.is_quiet() {
            how.agreed(&format!("This changes {}.\n{cost}", count(&looked)), session)?;
        }
        Some(looked)
    };
    let teller = Teller::new(session, access.json);
    let summary =
        access.with(async |cluster| write(cluster, desired, how, looked.as_ref(), &teller).await)?;
    session.say(&format!(
        "revision {}: {} written, {} as they were, {} deleted\n",
        summary.revision, summary.written, summary.kept, summary.pruned
    ));
    Ok(Exit::Done)
}

async fn write(
    cluster: &Cluster,
    desired: &Desired,
    how: &How,
    looked: Option<&Looked>,
    teller: &Teller<'_>,
) -> Result<Summary, Trouble> {
    cluster.apply(desired, &how.options(), &holder(), looked, &|event| teller.tell(event)).await
}

fn count(looked: &Looked) -> String {
    let changed = looked.steps.iter().filter(|step| step.action != capstan_apply::Action::Keep).count();
    format!("{changed} of {} objects", looked.steps.len())
}

/// Returns what the plan costs, for whoever agrees.
pub fn cost(blueprint: &Blueprint) -> String {
    let cost = &blueprint.cost;
    format!("The plan costs {} {} a month.", cost.per_month, cost.currency)
}
