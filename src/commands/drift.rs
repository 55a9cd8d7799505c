//! `drift`: where a cluster is no longer as its blueprint, and who changed it.

use crate::cluster::{self, desired, fields, line};
use crate::exit::Exit;
use crate::session::Session;
use capstan_apply::{Action, Step};
use std::collections::BTreeMap;

/// Say where a cluster is no longer as its blueprint
///
/// Compares every object as it lives with what the blueprint would make of it, and groups the fields that differ by who
/// wrote them. Writes nothing. Ends with 2 where something differs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The blueprint
    blueprint: String,
    #[command(flatten)]
    cluster: cluster::Args,
}

/// Looks.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let (_, desired) = desired(&args.blueprint, args.cluster.images.as_deref(), session)?;
    let looked = args.cluster.with(async |cluster| cluster.look(&desired, true).await)?;
    let differs: Vec<&Step> = looked.steps.iter().filter(|step| step.action != Action::Keep).collect();
    if args.cluster.json {
        session.print(&differs.iter().map(line).collect::<String>())?;
    } else if differs.is_empty() {
        session.print("nothing differs\n")?;
    } else {
        session.print(&by_manager(&differs))?;
    }
    Ok(if differs.is_empty() { Exit::Done } else { Exit::Changes })
}

/// Returns what differs, grouped by who wrote it.
fn by_manager(steps: &[&Step]) -> String {
    let mut groups: BTreeMap<String, String> = BTreeMap::new();
    for step in steps {
        let mut by: BTreeMap<String, Step> = BTreeMap::new();
        for change in &step.changes {
            let managers =
                if change.managers.is_empty() { "the plan".to_owned() } else { change.managers.join(", ") };
            let part = by.entry(managers).or_insert_with(|| Step { changes: Vec::new(), ..(*step).clone() });
            part.changes.push(capstan_apply::Change { managers: Vec::new(), ..change.clone() });
        }
        for (managers, part) in by {
            let text = groups.entry(format!("changed by {managers}")).or_default();
            text.push_str(&format!("  {}\n{}", part.object, fields(&part)));
        }
        let whole = match step.action {
            Action::Create => "not there",
            Action::Prune => "no longer planned",
            _ => continue,
        };
        groups.entry(whole.to_owned()).or_default().push_str(&format!("  {}\n", step.object));
    }
    groups.into_iter().map(|(title, text)| format!("{title}\n{text}")).collect()
}
