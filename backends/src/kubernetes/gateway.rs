//! How do requests come in from outside? One gateway for the plan, and a route to each service.
//!
//! It does not know the gateway's controller: its class is named, and what the controller makes is found by the label that
//! the Gateway API gives it (GEP-1762).

use super::engine::HTTP_PORT;
use super::object::{Labels, Object, count, labels};
use super::server::{Group, shortened};
use super::{EmitError, Files, Frame, Wave};
use capstan_types::spec::GatewayWish;
use serde_json::{Value, json};

/// Folder of what belongs to no service.
pub(super) const FOLDER: &str = "20-gateway";

/// Listeners: with TLS, and without.
const TLS: &str = "https";
pub(super) const PLAIN: &str = "http";

/// Port of an endpoint picker, as the chart `inferencepool` of the inference extension has it.
pub(super) const PICKER_PORT: u16 = 9002;

/// Times the planned longest request after which a request is given up. Origin: Assumed.
const TIMEOUT_MARGIN: f64 = 3.0;

/// Returns the name of the endpoint picker of a service, and the labels of its pods (chart `inferencepool`, recalled).
pub(super) fn picker(group: &Group<'_>) -> (String, Labels) {
    let name = format!("{}-epp", group.name);
    let pods = labels([("inferencepool", name.as_str())]);
    (name, pods)
}

/// Returns the labels of the pods that a controller makes for the gateway of a plan.
pub(super) fn pods(frame: &Frame<'_>) -> Labels {
    labels([("gateway.networking.k8s.io/gateway-name", frame.plan.as_str())])
}

/// Returns the name under which a gateway is reached in the cluster: `GATEWAY-CLASS`, as GEP-1762 proposes.
pub(super) fn service(frame: &Frame<'_>, wish: &GatewayWish) -> String {
    format!("{}-{}.{}", frame.plan, wish.class, frame.deploy.namespace)
}

/// Returns the name of the secret that holds the gateway's certificate.
pub(super) fn certificate(frame: &Frame<'_>) -> String {
    shortened(&format!("{}-tls", frame.plan))
}

/// Says whether what comes without TLS is only sent on to TLS, or proves that the host is ours.
pub(super) fn only_redirects(frame: &Frame<'_>) -> bool {
    let host = frame.deploy.gateway.as_ref().is_some_and(|wish| wish.host.is_some());
    host && frame.deploy.certificates.is_some()
}

/// Adds the gateway and the routes.
pub(super) fn add(frame: &Frame<'_>, groups: &[Group<'_>], files: &mut Files) -> Result<(), EmitError> {
    let Some(wish) = &frame.deploy.gateway else { return Ok(()) };
    add_gateway(frame, wish, files)?;
    // KServe makes the route to a workload in two parts, and the pool of its replicas.
    let groups: Vec<&Group<'_>> = groups.iter().filter(|group| group.part.is_none()).collect();
    for &group in &groups {
        let folder = group.folder();
        if wish.picker {
            add_pool(frame, group, &folder, files)?;
        }
        add_route(frame, wish, (group, groups.len() > 1), &folder, files)?;
    }
    Ok(())
}

fn add_gateway(frame: &Frame<'_>, wish: &GatewayWish, files: &mut Files) -> Result<(), EmitError> {
    let plain = json!({
        "name": PLAIN, "protocol": "HTTP", "port": 80,
        "allowedRoutes": { "namespaces": { "from": "Same" } },
    });
    let mut listeners = Vec::new();
    if let Some(host) = &wish.host {
        let certificate = certificate(frame);
        listeners.push(json!({
            "name": TLS, "protocol": "HTTPS", "port": 443, "hostname": host,
            "tls": { "mode": "Terminate", "certificateRefs": [{ "name": certificate }] },
            "allowedRoutes": { "namespaces": { "from": "Same" } },
        }));
        if frame.deploy.certificates.is_none() {
            files.warn(
                &frame.plan,
                format!("the gateway needs a certificate of `{host}` in the secret `{certificate}`; nothing here makes one: `certificates = \"ISSUER\"` does"),
            );
        }
    } else {
        files.warn(&frame.plan, "the gateway has no host, so it speaks no TLS; give one".to_owned());
    }
    if wish.host.is_none() || frame.deploy.certificates.is_some() {
        listeners.push(plain);
    }
    let object = Object {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "Gateway",
        metadata: frame.meta(&frame.plan, Wave::Service, &Labels::new()),
        spec: json!({ "gatewayClassName": wish.class, "listeners": listeners }),
    };
    let note = "where requests come in.";
    files.add(Wave::Service, FOLDER, ("Gateway", &frame.plan), note, &object)
}

/// Adds the pool that an endpoint picker chooses from.
fn add_pool(frame: &Frame<'_>, group: &Group<'_>, folder: &str, files: &mut Files) -> Result<(), EmitError> {
    let (picker, _) = picker(group);
    let spec = json!({
        "selector": { "matchLabels": group.answering() },
        "targetPorts": [{ "number": HTTP_PORT }],
        // Without its picker a pool is balanced by chance rather than closed.
        "endpointPickerRef": { "name": picker, "port": { "number": PICKER_PORT }, "failureMode": "FailOpen" },
    });
    let object = Object {
        api_version: "inference.networking.k8s.io/v1",
        kind: "InferencePool",
        metadata: frame.meta(&group.name, Wave::Service, &group.labels()),
        spec,
    };
    files.warn(
        &group.serve.name,
        format!("the endpoint picker `{picker}` is not written here: install the picker of the inference extension under that name in namespace `{}`", frame.deploy.namespace),
    );
    let note = "the replicas that an endpoint picker chooses from.";
    files.add(Wave::Service, folder, ("InferencePool", &group.name), note, &object)
}

/// Adds the route to a service: all of the host where there is one service, else what begins with its name.
fn add_route(
    frame: &Frame<'_>,
    wish: &GatewayWish,
    (group, several): (&Group<'_>, bool),
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let backend = if wish.picker {
        json!({ "group": "inference.networking.k8s.io", "kind": "InferencePool", "name": group.name })
    } else {
        json!({ "kind": "Service", "name": group.name, "port": 80 })
    };
    let prefix = if several { format!("/{}", group.name) } else { "/".to_owned() };
    let mut rule = json!({
        "matches": [{ "path": { "type": "PathPrefix", "value": prefix } }],
        "timeouts": { "request": format!("{}s", timeout(group)) },
        "backendRefs": [backend],
    });
    if several {
        rule["filters"] = json!([{
            "type": "URLRewrite",
            "urlRewrite": { "path": { "type": "ReplacePrefixMatch", "replacePrefixMatch": "/" } },
        }]);
    }
    let mut spec = json!({ "parentRefs": [{ "name": frame.plan }], "rules": [rule] });
    // What comes in the clear has a route of its own.
    if frame.deploy.certificates.is_some() {
        spec["parentRefs"][0]["sectionName"] = json!(TLS);
    }
    if let Some(host) = &wish.host {
        spec["hostnames"] = json!([host]);
    }
    let object = Object::<Value> {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: frame.meta(&group.name, Wave::Scaling, &group.labels()),
        spec,
    };
    let note = format!(
        "requests below {prefix} go to {}; given up after three times the longest that is planned.",
        group.name
    );
    files.add(Wave::Scaling, folder, ("HTTPRoute", &group.name), &note, &object)
}

/// Returns after how many seconds a request is given up: a multiple of the longest one that is planned for.
pub(super) fn timeout(group: &Group<'_>) -> u32 {
    let longest = group.servers.iter().map(|server| {
        let (_, output) = server.longest_request();
        let estimate = &server.placement.estimate;
        count(TIMEOUT_MARGIN * (estimate.ttft.get() + output * estimate.tpot.get()))
    });
    longest.max().unwrap_or(0).max(60)
}
