//! A blueprint as it is written to a file, with a digest of all it says, so that nobody changes it unseen.

use capstan_types::blueprint::Blueprint;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// Returns the text of a blueprint, as it is written to a file: the same blueprint, the same bytes.
pub fn blueprint_text(blueprint: &Blueprint) -> String {
    let text = serde_json::to_string_pretty(blueprint).expect("a blueprint has only string keys");
    let digest = serde_json::to_value(blueprint).map(blueprint_digest).expect("what is text is a value");
    let body = text.trim_end_matches('}').trim_end();
    format!("{body},\n  \"digest\": \"{digest}\"\n}}\n")
}

/// Returns what changes with any value of a blueprint, and not with blanks or the order of fields.
pub fn blueprint_digest(mut blueprint: Value) -> String {
    if let Some(fields) = blueprint.as_object_mut() {
        fields.remove("digest");
    }
    sha256(blueprint.to_string().as_bytes())
}

/// Returns the SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
