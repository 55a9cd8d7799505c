//! `emit`: the manifests of a blueprint, in a folder that holds nothing else.

use crate::blueprint_file;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::images_file;
use crate::session::Session;
use anyhow::Context;
use capstan_backends::kubernetes::{self, EmitError};
use clap::ValueEnum;
use std::collections::BTreeMap;

/// Where manifests go.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// Namespace, workloads, services, scaling, policies and alerts for a Kubernetes cluster
    Kubernetes,
}

/// Write the manifests of a blueprint
///
/// The folder is written whole or not at all. It may be one that was written before and that nobody changed since.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The blueprint
    blueprint: String,
    /// What to write for
    #[arg(long)]
    target: Target,
    /// The folder; absent, empty, or written by this command before
    #[arg(short, long, value_name = "DIR")]
    output: String,
    /// Digests of images; else those of `images.lock` beside the blueprint, if there is one
    #[arg(long, value_name = "FILE")]
    images: Option<String>,
}

/// The file that lists what was written, so that the folder is known again; lines as `sha256sum` prints them.
const MARK: &str = ".capstan.sha256";

/// Writes the folder.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let blueprint = blueprint_file::read(&args.blueprint)?;
    let emitted = match args.target {
        Target::Kubernetes => kubernetes::emit(&blueprint).map_err(refusal)?,
    };
    let emitted = emitted.pinned(&images_file::of(args.images.as_deref(), &args.blueprint)?);
    let folder = &args.output;
    let before = files::folder(folder).with_context(|| format!("cannot read the folder `{folder}`"))?;
    ours(folder, &before)?;
    let mut written: Vec<(String, Vec<u8>)> =
        emitted.manifests.into_iter().map(|manifest| (manifest.path, manifest.yaml.into_bytes())).collect();
    let mark = written.iter().map(|(path, bytes)| format!("{}  {path}\n", files::sha256(bytes)));
    written.push((MARK.to_owned(), mark.collect::<String>().into_bytes()));
    if written.iter().map(|(path, bytes)| (path, bytes)).collect::<BTreeMap<_, _>>()
        != before.iter().map(|(path, bytes)| (path, bytes)).collect()
    {
        files::write_folder(folder, &written)
            .with_context(|| format!("cannot write the folder `{folder}`"))?;
    }
    for warning in &emitted.warnings {
        session.warn(&format!("{}: {}", warning.subject, warning.message));
    }
    session.say(&format!("{} files are in {folder}\n", written.len() - 1));
    Ok(Exit::Done)
}

/// Returns why there are no manifests, with a way out.
pub fn refusal(error: EmitError) -> Failure {
    let failure = Failure::new(error.to_string());
    match error {
        EmitError::NoDeploy => {
            failure.hint("add `deploy kubernetes { namespace = \"llm\" }` to the plan and plan it again")
        }
        EmitError::Infeasible => {
            failure.exit(Exit::Violated).hint("`capstan explain BLUEPRINT` says what conflicts, and ways out")
        }
        _ => failure,
    }
}

/// Refuses a folder that holds anything which this command did not write or which was changed since.
fn ours(folder: &str, before: &[(String, Vec<u8>)]) -> Result<(), Failure> {
    let mark = before
        .iter()
        .find(|(path, _)| path == MARK)
        .map_or("".into(), |(_, bytes)| String::from_utf8_lossy(bytes));
    let listed: BTreeMap<&str, &str> =
        mark.lines().filter_map(|line| line.split_once("  ")).map(|(digest, path)| (path, digest)).collect();
    for (path, bytes) in before.iter().filter(|(path, _)| path != MARK) {
        let why = match listed.get(path.as_str()) {
            None => "was not written by capstan",
            Some(digest) if *digest != files::sha256(bytes) => "was changed since capstan wrote it",
            Some(_) => continue,
        };
        let message = format!("`{path}` in the folder `{folder}` {why}");
        return Err(Failure::new(message).hint("name another folder, or move the file out of this one"));
    }
    Ok(())
}
