//! Rules of what keeps others out: each is a gap that a server takes without a word.

use super::view::{View, selects};
use crate::kubernetes::mesh::{INJECT, MERGED};
use serde_json::Value;

/// Tokens that are checked and not asked for: a RequestAuthentication refuses wrong ones only, so that a request without any
/// passes where no AuthorizationPolicy of the same target asks for one.
pub(super) fn tokens_are_asked_for(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    if view.kind() != "RequestAuthentication" {
        return Vec::new();
    }
    let target = |view: &View<'_>| (view.spec()["selector"].clone(), view.spec()["targetRefs"].clone());
    let asks = |other: &&View<'_>| {
        let rules = other.spec()["rules"].as_array();
        let mut sources = rules.into_iter().flatten().filter_map(|rule| rule["from"].as_array()).flatten();
        let asked = sources.any(|from| from["source"]["requestPrincipals"].is_array());
        other.kind() == "AuthorizationPolicy" && other.spec()["action"] == "ALLOW" && asked
    };
    let mut others = all.iter().filter(|other| other.namespace() == view.namespace());
    if others.any(|other| asks(&other) && target(other) == target(view)) {
        return Vec::new();
    }
    vec!["requests without a token pass: no AuthorizationPolicy of the same target asks for one".to_owned()]
}

/// Pods in a mesh that wants certificates are scraped through their sidecar, since a scraper outside has none.
pub(super) fn members_are_scraped_through_the_mesh(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let strict = |other: &View<'_>| {
        other.kind() == "PeerAuthentication"
            && other.namespace() == view.namespace()
            && other.spec()["mtls"]["mode"] == "STRICT"
    };
    if view.kind() != "PodMonitor" || !all.iter().any(strict) {
        return Vec::new();
    }
    let is_member = |labels: &Value| labels[INJECT] == "true" && selects(&view.spec()["selector"], labels);
    let members = all.iter().filter(|other| other.namespace() == view.namespace());
    let meshed = members.flat_map(View::pods).any(|pods| is_member(pods.labels));
    let endpoints = view.spec()["podMetricsEndpoints"].as_array();
    let mut endpoints = endpoints.into_iter().flatten();
    if meshed && endpoints.any(|endpoint| endpoint["portNumber"] != MERGED.0) {
        return vec![format!(
            "its pods refuse who asks in the clear: scrape port {} of the sidecar",
            MERGED.0
        )];
    }
    Vec::new()
}

/// What limits a rate is told to a sidecar: where it selects no pod with one, nothing is limited.
pub(super) fn rates_are_limited_where_there_is_a_sidecar(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    if view.kind() != "EnvoyFilter" {
        return Vec::new();
    }
    let selector = serde_json::json!({ "matchLabels": view.spec()["workloadSelector"]["labels"] });
    let mut members = all.iter().filter(|other| other.namespace() == view.namespace()).flat_map(View::pods);
    if members.any(|pods| pods.labels[INJECT] == "true" && selects(&selector, pods.labels)) {
        return Vec::new();
    }
    vec![format!(
        "it selects no pod with a sidecar, so it limits nothing: give its pods the label {INJECT}=true"
    )]
}

/// Pods that use files or the network of their machine stand where Pod Security allows it.
pub(super) fn machines_are_reached_where_it_is_allowed(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let reaches = |spec: &Value| {
        let mut volumes = spec["volumes"].as_array().into_iter().flatten();
        spec["hostNetwork"] == true || volumes.any(|volume| volume["hostPath"].is_object())
    };
    let allows = |other: &View<'_>| {
        other.kind() == "Namespace"
            && other.name() == view.namespace()
            && other.tree["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "privileged"
    };
    if !view.pods().iter().any(|pods| reaches(pods.spec)) || all.iter().any(allows) {
        return Vec::new();
    }
    let message = format!(
        "its pods use files or the network of their machine, which Pod Security of `{}` refuses: give them a namespace with `privileged`",
        view.namespace()
    );
    vec![message]
}
