//! Which digests of images are known? `images.lock`, beside the blueprint unless it is named.

use crate::failure::Failure;
use crate::files::{FileError, Files, Here, TEXT_LIMIT};
use capstan_types::images::ImageLock;
use std::path::Path;

/// Name of the file.
const NAME: &str = "images.lock";

/// Returns where the lock of a blueprint lies if none is named.
pub fn beside(blueprint: &str) -> String {
    let folder = Path::new(blueprint).parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or_else(|| NAME.to_owned(), |folder| folder.join(NAME).to_string_lossy().into_owned())
}

/// Reads a lock; none where there is no such file.
pub fn find(path: &str) -> anyhow::Result<Option<ImageLock>> {
    let bytes = match Here.read(path, TEXT_LIMIT) {
        Ok(bytes) => bytes,
        Err(FileError::Missing) => return Ok(None),
        Err(error) => return Err(Failure::new(format!("cannot read `{path}`: {error}")).into()),
    };
    let broken = |why: String| {
        Failure::new(format!("`{path}` cannot be used: {why}"))
            .hint("take it away, and `capstan import images BLUEPRINT` writes it anew")
    };
    let lock: ImageLock = serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))?;
    match lock.flaw() {
        Some(flaw) => Err(broken(flaw).into()),
        None => Ok(Some(lock)),
    }
}

/// Returns the lock that is named, which must be there, or the one beside the blueprint, which may be missing.
pub fn of(named: Option<&str>, blueprint: &str) -> anyhow::Result<ImageLock> {
    let path = named.map_or_else(|| beside(blueprint), str::to_owned);
    let found = find(&path)?;
    if found.is_none() && named.is_some() {
        let failure = Failure::new(format!("there is no `{path}`"));
        return Err(failure.hint("`capstan import images BLUEPRINT` writes it").into());
    }
    Ok(found.unwrap_or_else(|| ImageLock::of([])))
}
