//! The shape that every Kubernetes object shares, and its YAML.
//!
//! Only the fields that Capstan fills are declared. It knows no kind in particular.

use super::EmitError;
use serde::Serialize;
use std::collections::BTreeMap;

/// Labels or annotations, in order of their keys.
pub(super) type Labels = BTreeMap<String, String>;

/// Metadata of a named object.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Meta {
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace: Option<String>,
    pub(super) labels: Labels,
    pub(super) annotations: Labels,
}

/// Metadata of a pod template.
///
/// It carries no digest of the plan: a template that changes with every plan would restart every replica.
#[derive(Debug, Clone, Serialize)]
pub(super) struct TemplateMeta {
    pub(super) labels: Labels,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: Labels,
}

/// An object with a `spec`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Object<S> {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Meta,
    pub(super) spec: S,
}

/// An object that is its metadata.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bare {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Meta,
}

/// A `ConfigMap`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConfigMap {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) metadata: Meta,
    pub(super) data: Labels,
}

/// A selector by equality.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Selector {
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) match_labels: Labels,
}

impl Selector {
    /// Returns the selector of everything that carries `labels`.
    pub(super) fn of(labels: &Labels) -> Self {
        Self { match_labels: labels.clone() }
    }
}

/// A port number or the name of one.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Port {
    Number(u16),
    Name(&'static str),
}

/// Returns labels from pairs.
pub(super) fn labels<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Returns the YAML of an object in block style under a header of comment lines.
///
/// Block style matters: decoders that look at the first byte take a document starting with `{` for JSON.
pub(super) fn to_yaml<T: Serialize>(header: &[String], object: &T) -> Result<String, EmitError> {
    let body = serde_saphyr::to_string(object).map_err(|error| EmitError::Yaml(error.to_string()))?;
    let mut text = String::new();
    for line in header.iter().flat_map(|paragraph| paragraph.lines()) {
        text.push_str("# ");
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&body);
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// Returns the longest name that all objects here may have (RFC 1123 label).
pub(super) const LONGEST_LABEL: usize = 63;

/// Returns whether a name is an RFC 1123 label: 1 to 63 of `a-z`, `0-9` and `-`, no `-` at either end.
pub(super) fn is_dns_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LONGEST_LABEL).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

/// Returns a text as a part of a label: lower case, runs of anything else as one `-`.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(LONGEST_LABEL);
    slug.trim_end_matches('-').to_owned()
}

/// Returns the digest FNV-1a over 32 bits (Fowler, Noll, Vo; draft-eastlake-fnv-17).
pub(super) fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Returns a number in decimals, without the noise of binary fractions.
pub(super) fn decimal(number: f64) -> String {
    let text = format!("{number:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns a number as a count: rounded up, never negative, the largest count where it is too large.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast saturates, not a number is 0"
)]
pub(super) fn count(number: f64) -> u32 {
    number.ceil() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_parts_of_labels() {
        assert_eq!(slug("aws/us-east-1"), "aws-us-east-1");
        assert_eq!(slug("__Chat 2__"), "chat-2");
        assert_eq!(slug("机房"), "");
    }

    #[test]
    fn labels_follow_rfc_1123() {
        assert!(is_dns_label("chat-2"));
        for wrong in ["", "-a", "a-", "A", "a_b", "a.b", &"a".repeat(64)] {
            assert!(!is_dns_label(wrong), "{wrong}");
        }
    }

    #[test]
    fn decimals_have_no_binary_noise() {
        assert_eq!(decimal(0.1 + 0.2), "0.3");
        assert_eq!(decimal(14.4 * 0.001), "0.0144");
        assert_eq!(decimal(100.0), "100");
    }

    #[test]
    fn counts_saturate() {
        assert_eq!(count(1.2), 2);
        assert_eq!(count(-1.0), 0);
        assert_eq!(count(f64::NAN), 0);
        assert_eq!(count(f64::INFINITY), u32::MAX);
    }

    #[test]
    fn yaml_is_block_style_and_quotes_what_looks_like_a_number() {
        let map = labels([("cpu", "24"), ("memory", "1e3"), ("on", "yes"), ("plain", "llm")]);
        let object = ConfigMap {
            api_version: "v1",
            kind: "ConfigMap",
            metadata: Meta {
                name: "a".to_owned(),
                namespace: None,
                labels: Labels::new(),
                annotations: Labels::new(),
            },
            data: map,
        };
        let yaml = to_yaml(&["one\ntwo".to_owned()], &object).expect("a map is YAML");
        assert!(
            yaml.starts_with("# one\n# two\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"),
            "{yaml}"
        );
        let read: serde_json::Value = serde_saphyr::from_str(&yaml).expect("what was written can be read");
        assert_eq!(read["data"]["cpu"], "24");
        assert_eq!(read["data"]["memory"], "1e3");
        assert_eq!(read["data"]["on"], "yes");
    }
}
