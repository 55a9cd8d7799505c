//! How many requests a second are let in? As many as the plan says of each workload, at the sidecars of its replicas.
//!
//! Each sidecar has its share in a bucket of tokens (`envoy.filters.http.local_ratelimit`), since they do not ask each other. It
//! stands last before the engine, so that who has no valid token takes none, and only before the engine's port: probes and
//! scrapes pass it by. It does not know which replicas are there at a moment: shares are those of the most that are planned.

use super::engine::HTTP_PORT;
use super::object::{Object, count, decimal};
use super::server::{Group, Server};
use super::{EmitError, Files, Frame, Wave, mesh};
use serde_json::{Value, json};

/// Envoy's filter, and the filters that it stands between.
const FILTER: &str = "envoy.filters.http.local_ratelimit";
const CONNECTIONS: &str = "envoy.filters.network.http_connection_manager";
const ROUTER: &str = "envoy.filters.http.router";

/// The type of its configuration, and that by which Istio takes it without knowing it.
const TYPE: &str = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";
const WRAPPED: &str = "type.googleapis.com/udpa.type.v1.TypedStruct";

/// Adds the limit of each placement of a service, where the plan has one.
pub(super) fn add(
    frame: &Frame<'_>,
    group: &Group<'_>,
    folder: &str,
    files: &mut Files,
) -> Result<(), EmitError> {
    let Some(limit) = frame.deploy.rate_limit else { return Ok(()) };
    warn_of_peak(frame, group, limit.get(), files);
    let all: f64 = group.servers.iter().map(|server| serves(server) * f64::from(server.most())).sum();
    for server in &group.servers {
        let share = limit.get() * serves(server) / all;
        let spec = json!({
            "workloadSelector": { "labels": server.answering() },
            "configPatches": [{
                "applyTo": "HTTP_FILTER",
                "match": {
                    "context": "SIDECAR_INBOUND",
                    "listener": { "filterChain": {
                        "destinationPort": HTTP_PORT,
                        "filter": { "name": CONNECTIONS, "subFilter": { "name": ROUTER } },
                    } },
                },
                "patch": {
                    "operation": "INSERT_BEFORE",
                    "value": {
                        "name": FILTER,
                        "typed_config": { "@type": WRAPPED, "type_url": TYPE, "value": bucket(server, share) },
                    },
                },
            }],
        });
        let object = Object {
            api_version: "networking.istio.io/v1alpha3",
            kind: "EnvoyFilter",
            metadata: frame.meta(&server.name, Wave::Service, &server.labels()),
            spec,
        };
        let note = format!(
            "each of at most {} replicas lets in {} of the {} requests/s of {}; the rest is turned away (429).",
            server.most(),
            decimal(share),
            decimal(limit.get()),
            group.serve.name
        );
        files.add(Wave::Service, folder, ("EnvoyFilter", &server.name), &note, &object)?;
    }
    Ok(())
}

/// Returns how many requests a second a replica can serve, by which placements share a limit.
fn serves(server: &Server<'_>) -> f64 {
    (server.placement.estimate.rate.get() * server.placement.derating).max(f64::MIN_POSITIVE)
}

/// Returns the bucket of a replica: whole tokens, as often as makes exactly its share, which is never more often than once a
/// second; full, it lets in at once what the replica runs and has waiting.
fn bucket(server: &Server<'_>, share: f64) -> Value {
    let tokens = count(share).max(1);
    let held = server.placement.candidate.sequences_at_once().saturating_add(mesh::waiting(server));
    let always = json!({ "default_value": { "numerator": 100, "denominator": "HUNDRED" } });
    json!({
        "stat_prefix": "capstan_rate_limit",
        "token_bucket": {
            "max_tokens": held.max(tokens),
            "tokens_per_fill": tokens,
            "fill_interval": format!("{}s", decimal(f64::from(tokens) / share)),
        },
        "filter_enabled": always,
        "filter_enforced": always,
    })
}

/// Says where a limit turns away what is planned.
fn warn_of_peak(frame: &Frame<'_>, group: &Group<'_>, limit: f64, files: &mut Files) {
    let peak = frame.peak(&group.serve.name).unwrap_or(0.0);
    if limit < peak {
        let message = format!(
            "`rate_limit` lets in {} requests/s, and {} are planned at the busiest hour: raise it, or plan less demand",
            decimal(limit),
            decimal(peak)
        );
        files.warn(&group.serve.name, message);
    }
}
