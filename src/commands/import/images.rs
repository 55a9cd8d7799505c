//! `import images`: which digests do the images of a plan have today?

use crate::blueprint_file;
use crate::commands::emit;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::images_file;
use crate::output::rewrite_file;
use crate::registry::{Registry, RegistryError};
use crate::session::Session;
use capstan_backends::kubernetes;
use capstan_types::figure::counted;
use capstan_types::images::{ImageLock, PinnedImage};
use std::collections::BTreeSet;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Blueprints whose manifests name images
    #[arg(required = true, value_name = "BLUEPRINT")]
    blueprints: Vec<String>,
    /// The lock to write; else `images.lock` beside the first blueprint
    #[arg(long, value_name = "FILE")]
    images: Option<String>,
    /// Ask this registry for every image, such as a mirror or a cache
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host)]
    mirror: Option<String>,
}

/// Reads the name of a host.
fn host(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    if !text.is_empty() && text.chars().all(is_part) {
        Ok(text.to_owned())
    } else {
        Err("a host, with a port if wanted, such as mirror.example.org:5000".to_owned())
    }
}

/// Asks registries, and writes what all of them answered, or nothing.
pub fn run(args: &Args, session: &Session) -> anyhow::Result<Exit> {
    let mut names = BTreeSet::new();
    for path in &args.blueprints {
        let blueprint = blueprint_file::read(path)?;
        names.extend(kubernetes::emit(&blueprint).map_err(emit::refusal)?.images());
    }
    let beside = || args.blueprints.first().map_or_else(String::new, |first| images_file::beside(first));
    let path = args.images.clone().unwrap_or_else(beside);
    let known = images_file::find(&path)?;
    let registry = Registry::new(args.mirror.clone());
    let mut found = Vec::new();
    let mut unknown = 0;
    for name in &names {
        match registry.digest(name) {
            Ok((registry, digest)) => {
                found.push(PinnedImage { name: name.clone(), digest, registry, as_of: session.today });
            }
            Err(error) => {
                unknown += 1;
                session.say(&format!("error: `{name}` has no digest: {error}\n{}", way_out(&error)));
            }
        }
    }
    if unknown > 0 {
        let text = format!(
            "{} of {} cannot be pinned; `{path}` is as it was",
            unknown,
            counted(names.len(), "image")
        );
        return Err(Failure::new(text).into());
    }
    write(&path, known, found, session)
}

/// Returns what to do about it, as a line.
fn way_out(error: &RegistryError) -> String {
    let help = match error {
        RegistryError::Unreachable { .. } => {
            "this command needs the network; `--mirror HOST` asks a registry within reach"
        }
        RegistryError::Refused { status: 401 | 403, .. } | RegistryError::NoToken { .. } => {
            "no credentials are sent; `--mirror HOST` asks a registry that everybody may read"
        }
        RegistryError::Refused { status: 404, .. } => {
            "no such tag; look it up at the registry, and name it in the plan or catalog"
        }
        RegistryError::Refused { .. } | RegistryError::Differs { .. } => {
            "ask again later, or another registry with `--mirror HOST`"
        }
        RegistryError::NoTag => "give the image a tag",
    };
    format!("  = help: {help}\n")
}

/// Writes the lock; what did not move keeps the day on which it was first seen.
fn write(
    path: &str,
    known: Option<ImageLock>,
    found: Vec<PinnedImage>,
    session: &Session,
) -> anyhow::Result<Exit> {
    let before: Vec<PinnedImage> = known.as_ref().map_or_else(Vec::new, |lock| lock.images.clone());
    let moved = |image: &PinnedImage| {
        before.iter().find(|known| known.name == image.name && known.digest != image.digest)
    };
    for image in &found {
        if let Some(was) = moved(image) {
            session.say(&format!(
                "`{}` was {} on {}, and is {}\n",
                image.name, was.digest, was.as_of, image.digest
            ));
        }
    }
    let same = |image: &PinnedImage| {
        before.iter().find(|known| known.name == image.name && known.digest == image.digest).cloned()
    };
    let found: Vec<PinnedImage> = found.into_iter().map(|image| same(&image).unwrap_or(image)).collect();
    let n_found = found.len();
    // Images of other plans stay.
    let lock = ImageLock::of(before.into_iter().chain(found));
    if known.as_ref() == Some(&lock) {
        session.say(&format!("{path} is as it should be\n"));
        return Ok(Exit::Done);
    }
    let mut text = serde_json::to_string_pretty(&lock)?;
    text.push('\n');
    rewrite_file(path, text.as_bytes())?;
    session.say(&format!("{path} is written: {} pinned\n", counted(n_found, "image")));
    Ok(Exit::Done)
}
