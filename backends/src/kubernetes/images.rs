//! Which images do pods run, and by which digest? A tag may be moved to other bytes; a digest may not.
//!
//! Images of operators are named in fields of their own, by parts, and are theirs.

use super::{Emitted, Manifest, Warning, Wave, pipeline};
use capstan_types::images::ImageLock;
use std::collections::BTreeSet;

/// The field of a container.
const FIELD: &str = "image: ";

/// Returns a line of a manifest up to the name of an image, and that name.
fn image_of(line: &str) -> Option<(&str, &str)> {
    let field = line.trim_start_matches(' ');
    let field = field.strip_prefix("- ").unwrap_or(field);
    let name = field.strip_prefix(FIELD)?;
    let is_name =
        !name.is_empty() && !name.contains(char::is_whitespace) && !name.starts_with(['|', '>', '{']);
    is_name.then(|| (&line[..line.len() - name.len()], name.trim_matches(['"', '\''])))
}

/// Texts in a ConfigMap are no fields, and what a chart makes of its values is not known.
fn has_pods(manifest: &Manifest) -> bool {
    manifest.kind != "ConfigMap" && manifest.wave != Wave::Values
}

/// Returns whether an image has a digest, or a tag other than `latest`.
pub(super) fn has_version(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.split('@').next().unwrap_or_default().split_once(':').map(|(_, tag)| tag);
    match tag {
        Some(tag) => !tag.is_empty() && tag != "latest",
        None => last.contains("@sha256:"),
    }
}

/// Returns the images that containers of manifests name, each once, in order.
pub(super) fn of(manifests: &[Manifest]) -> Vec<String> {
    let lines = manifests.iter().filter(|one| has_pods(one)).flat_map(|one| one.yaml.lines());
    let names: BTreeSet<&str> = lines.filter_map(image_of).map(|(_, name)| name).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// Returns a line of a pipeline up to the name of an image in a list, and that name.
fn scanned(line: &str) -> Option<(&str, &str)> {
    let name = line.trim_start_matches(' ').strip_prefix("- ")?;
    Some((&line[..line.len() - name.len()], name))
}

impl Emitted {
    /// Returns the images that containers name, with their tags, each once, in order.
    pub fn images(&self) -> Vec<String> {
        of(&self.manifests).into_iter().filter(|name| !name.contains('@')).collect()
    }

    /// Returns it with the digests of a lock; what the lock does not know keeps its tag, and that is said.
    pub fn pinned(mut self, lock: &ImageLock) -> Emitted {
        let unknown: Vec<String> =
            self.images().into_iter().filter(|name| lock.digest(name).is_none()).collect();
        for manifest in &mut self.manifests {
            let named = match manifest.kind == pipeline::KIND {
                true => scanned,
                false if has_pods(manifest) => image_of,
                false => continue,
            };
            let line = |line: &str| match named(line)
                .and_then(|(start, name)| Some((start, name, lock.digest(name)?)))
            {
                Some((start, name, digest)) => format!("{start}{name}@{digest}\n"),
                None => format!("{line}\n"),
            };
            manifest.yaml = manifest.yaml.lines().map(line).collect();
        }
        if !unknown.is_empty() {
            let message = format!(
                "no digest is known of {}, so whoever moves a tag changes what runs: `capstan import images` writes images.lock",
                unknown.join(", ")
            );
            self.warnings.push(Warning { subject: "images".to_owned(), message });
            self.warnings.sort();
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_containers_are_found_and_nothing_else() {
        assert_eq!(image_of("        - image: a/b:1").map(|found| found.1), Some("a/b:1"));
        assert_eq!(image_of("  image: \"a/b:1\""), Some(("  image: ", "a/b:1")));
        for line in ["imagePullPolicy: Always", "# image: a/b:1", "  image: |", "  theimage: x", "image: a b"]
        {
            assert_eq!(image_of(line), None, "{line}");
        }
    }
}
