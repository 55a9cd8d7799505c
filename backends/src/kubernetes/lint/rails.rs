//! Do pods ask for the rails whose networks they name, and are these there?

use super::view::{View, number};
use crate::kubernetes::rails::NETWORKS;
use serde_json::Value;

/// Kinds that make a network known in the namespace of pods.
const KINDS: [&str; 3] = ["SriovIBNetwork", "SriovNetwork", "HostDeviceNetwork"];

/// Every network that a pod names is among the manifests, known in its namespace, and the pod asks for its resource; one
/// without the other leaves the pod waiting, or without the port.
pub(super) fn pods_ask_for_their_rails(view: &View<'_>, all: &[View<'_>]) -> Vec<String> {
    let networks = || {
        all.iter().filter(|other| {
            KINDS.contains(&other.kind()) && other.spec()["networkNamespace"] == view.namespace()
        })
    };
    let mut messages = Vec::new();
    for pods in view.pods() {
        let named = pods.annotations[NETWORKS].as_str().unwrap_or_default();
        let named: Vec<&str> = named.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        for name in &named {
            match networks().find(|network| network.name() == *name) {
                None => {
                    messages.push(format!("network `{name}` is not among the manifests of its namespace"))
                }
                Some(network) if !asks(pods.spec, network) => {
                    messages.push(format!("pods on network `{name}` must ask for {}", counted(network)));
                }
                Some(_) => {}
            }
        }
        for network in
            networks().filter(|network| !named.contains(&network.name()) && asks(pods.spec, network))
        {
            messages.push(format!(
                "pods that ask for {} must name network `{}`",
                counted(network),
                network.name()
            ));
        }
    }
    messages
}

fn counted<'a>(network: &'a View<'_>) -> &'a str {
    network.spec()["resourceName"].as_str().unwrap_or_default()
}

/// Returns whether a container of a pod asks for what a network is counted as, under any prefix.
fn asks(pod: &Value, network: &View<'_>) -> bool {
    let containers = pod["containers"].as_array().into_iter().flatten();
    let mut limits =
        containers.filter_map(|container| container["resources"]["limits"].as_object()).flatten();
    limits.any(|(name, limit)| {
        name.rsplit_once('/').is_some_and(|(_, name)| name == counted(network)) && number(limit) > Some(0)
    })
}
