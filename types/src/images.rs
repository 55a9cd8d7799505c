//! Which bytes does the name of an image stand for? `images.lock`: digests as registries told them on a day.

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The format that this version writes.
pub const IMAGES_FORMAT: u32 = 1;

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PinnedImage {
    /// Its name with its tag, as manifests have it.
    pub name: String,
    /// `sha256:` and 64 hexadecimal digits: the digest of its manifest, or of the list of them for several platforms.
    pub digest: String,
    /// The registry that told it.
    pub registry: String,
    /// The day on which it did.
    #[schemars(with = "String")]
    pub as_of: Date,
}

/// Every image that is pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImageLock {
    /// Format of this document.
    pub format: u32,
    /// In order of their names, each once.
    pub images: Vec<PinnedImage>,
}

impl ImageLock {
    /// Returns a lock of images, the later of two with one name.
    pub fn of(images: impl IntoIterator<Item = PinnedImage>) -> ImageLock {
        let by_name: std::collections::BTreeMap<String, PinnedImage> =
            images.into_iter().map(|image| (image.name.clone(), image)).collect();
        ImageLock { format: IMAGES_FORMAT, images: by_name.into_values().collect() }
    }

    /// Returns the digest of an image, if it is pinned.
    pub fn digest(&self, name: &str) -> Option<&str> {
        self.images.iter().find(|image| image.name == name).map(|image| image.digest.as_str())
    }

    /// Says what is wrong with it, if anything is.
    pub fn flaw(&self) -> Option<String> {
        if self.format != IMAGES_FORMAT {
            return Some(format!(
                "it has format {}, and this version reads format {IMAGES_FORMAT}",
                self.format
            ));
        }
        if let Some(image) = self.images.iter().find(|image| !is_digest(&image.digest)) {
            return Some(format!(
                "the digest of `{}` is not `sha256:` and 64 hexadecimal digits",
                image.name
            ));
        }
        let twice = self.images.windows(2).find(|pair| pair[0].name >= pair[1].name);
        twice.map(|pair| format!("`{}` is there twice, or not in order", pair[1].name))
    }
}

/// Returns whether a text is the digest of an image.
pub fn is_digest(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}
