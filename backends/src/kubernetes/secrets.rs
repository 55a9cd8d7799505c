//! Where do secrets come from? From a store that is named; no value is ever written.

use super::container::TOKEN_SECRET;
use super::object::{Labels, Object};
use super::{EmitError, Files, Frame, Wave};
use serde_json::json;

const FOLDER: &str = "00-namespace";

/// Adds the reference to the token of the model hub, where the plan names a store.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let Some(store) = &frame.deploy.secret_store else { return Ok(()) };
    let object = Object {
        api_version: "external-secrets.io/v1",
        kind: "ExternalSecret",
        metadata: frame.meta(TOKEN_SECRET, Wave::Config, &Labels::new()),
        spec: json!({
            "refreshInterval": "1h",
            "secretStoreRef": { "kind": "ClusterSecretStore", "name": store },
            "target": { "name": TOKEN_SECRET, "creationPolicy": "Owner" },
            "data": [{ "secretKey": "token", "remoteRef": { "key": TOKEN_SECRET, "property": "token" } }],
        }),
    };
    let note = format!("the token of the model hub, from `{TOKEN_SECRET}` of the store `{store}`.");
    files.add(Wave::Config, FOLDER, ("ExternalSecret", TOKEN_SECRET), &note, &object)
}
