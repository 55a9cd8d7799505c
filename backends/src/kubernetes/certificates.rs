//! Where does the certificate of the gateway come from? From cert-manager, by the issuer that the plan names.
//!
//! Only the wish is written: key and certificate are made in the cluster. Who asks over plain HTTP is sent to HTTPS.

use super::object::{Labels, Object};
use super::server::shortened;
use super::{EmitError, Files, Frame, Wave, gateway, network};
use serde_json::json;

/// Adds the certificate and the redirection, where the plan names an issuer.
///
/// The certificate is of the same wave as the gateway: an issuer may prove the name through it, so neither waits for the other.
pub(super) fn add(frame: &Frame<'_>, files: &mut Files) -> Result<(), EmitError> {
    let host = frame.deploy.gateway.as_ref().and_then(|wish| wish.host.as_ref());
    let Some((issuer, host)) = frame.deploy.certificates.as_ref().zip(host) else { return Ok(()) };
    let name = gateway::certificate(frame);
    let object = Object {
        api_version: "cert-manager.io/v1",
        kind: "Certificate",
        metadata: frame.meta(&name, Wave::Service, &Labels::new()),
        spec: json!({
            "secretName": name,
            "dnsNames": [host],
            "issuerRef": { "group": "cert-manager.io", "kind": "ClusterIssuer", "name": issuer },
            "privateKey": { "rotationPolicy": "Always" },
        }),
    };
    let note = format!("the certificate of {host}, from the issuer `{issuer}` of the cluster.");
    files.add(Wave::Service, gateway::FOLDER, (object.kind, &name), &note, &object)?;
    network::add_solver(frame, files)?;
    let name = shortened(&format!("{}-to-https", frame.plan));
    let object = Object {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: frame.meta(&name, Wave::Scaling, &Labels::new()),
        spec: json!({
            "parentRefs": [{ "name": frame.plan, "sectionName": gateway::PLAIN }],
            "hostnames": [host],
            "rules": [{ "filters": [{
                "type": "RequestRedirect",
                "requestRedirect": { "scheme": "https", "statusCode": 301 },
            }] }],
        }),
    };
    let note = "who asks in the clear is sent to HTTPS.";
    files.add(Wave::Scaling, gateway::FOLDER, (object.kind, &name), note, &object)
}
