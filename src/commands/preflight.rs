//! `preflight`: whether a cluster can take a blueprint, and what it lacks.

use crate::cluster::{self, desired, line};
use crate::exit::Exit;
use crate::session::Session;

/// Say whether a cluster can take a blueprint
///
/// Looks at the version, the kinds and fields that are served, the rights of whoever asks, the namespaces and the machines.
/// Writes nothing. Ends with 5 where something is missing.
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
    let checks = args.cluster.with(async |cluster| cluster.preflight(&desired).await)?;
    let mut text = String::new();
    for check in &checks {
        if args.cluster.json {
            text.push_str(&line(check));
        } else {
            let word = if check.ok { "ok" } else { "missing" };
            text.push_str(&format!("{word:<8} {:<11} {}\n", check.name, check.found));
        }
    }
    session.print(&text)?;
    Ok(if checks.iter().all(|check| check.ok) { Exit::Done } else { Exit::Refused })
}
