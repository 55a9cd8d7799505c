//! Was this plan answered before? Blueprints in a folder of the user's cache, by the digest of all that they follow from.
//!
//! The key covers this build of the program, every file with its digest, the checked plan with its overrides and the date; so
//! a wrong hit would need a collision of SHA-256. Where there is no home there is no cache.

use crate::blueprint_file;
use crate::files::{self, DATA_LIMIT, Files, Here};
use crate::session::variable;
use capstan_types::blueprint::{Blueprint, InputFile, Override};
use capstan_types::spec::Spec;

/// Most blueprints that are kept.
const KEPT: usize = 256;

/// A place for one answer.
#[derive(Debug)]
pub struct Slot {
    folder: String,
    path: String,
}

/// Returns where the answer to a plan is kept.
pub fn slot(spec: &Spec, inputs: &[InputFile], overrides: &[Override]) -> Option<Slot> {
    let home = || variable("HOME").map(|home| format!("{home}/.cache"));
    let cache = variable("XDG_CACHE_HOME").or_else(home)?;
    let stamp = files::own_stamp()?;
    let whole = serde_json::to_string(&(env!("CARGO_PKG_VERSION"), stamp, spec, inputs, overrides)).ok()?;
    let folder = format!("{cache}/capstan/blueprints");
    let path = format!("{folder}/{}.json", files::sha256(whole.as_bytes()));
    Some(Slot { folder, path })
}

impl Slot {
    /// Returns the answer, where it is kept and still agrees with itself.
    pub fn read(&self) -> Option<Blueprint> {
        blueprint_file::of(&self.path, Here.read(&self.path, DATA_LIMIT).ok()?).ok()
    }

    /// Keeps an answer. That it cannot be kept is no failure: it is only computed again.
    pub fn write(&self, blueprint: &Blueprint) {
        if files::make_folder(&self.folder).is_ok() {
            let _ = files::replace(&self.path, blueprint_file::text(blueprint).as_bytes());
            files::keep_newest(&self.folder, KEPT);
        }
    }
}
