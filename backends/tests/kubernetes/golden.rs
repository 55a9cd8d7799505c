//! What exactly is written, to be read in review.

use crate::common::{emitted, text, two_nodes, two_parts, two_sites};
use capstan_backends::kubernetes::Emitted;
use capstan_types::testing::blueprint::chat_blueprint;

#[test]
fn chat_becomes_these_files() {
    let emitted = emitted(&chat_blueprint());
    insta::assert_snapshot!("chat", text(&emitted.manifests));
    insta::assert_snapshot!("chat_warnings", said(&emitted));
}

#[test]
fn a_replica_over_two_nodes_becomes_a_group() {
    let mut emitted = emitted(&two_nodes());
    emitted.manifests.retain(|manifest| {
        ["LeaderWorkerSet", "NetworkPolicy", "HorizontalPodAutoscaler"].contains(&manifest.kind.as_str())
    });
    insta::assert_snapshot!("two_nodes", text(&emitted.manifests));
    insta::assert_snapshot!("two_nodes_warnings", said(&emitted));
}

#[test]
fn two_parts_become_one_object_of_kserve() {
    let mut emitted = emitted(&two_parts());
    emitted.manifests.retain(|manifest| {
        ["LLMInferenceService", "NetworkPolicy", "PodMonitor", "PodDisruptionBudget"]
            .contains(&manifest.kind.as_str())
    });
    insta::assert_snapshot!("two_parts", text(&emitted.manifests));
    insta::assert_snapshot!("two_parts_warnings", said(&emitted));
}

#[test]
fn two_sites_share_one_service() {
    let mut emitted = emitted(&two_sites());
    let paths: Vec<String> = emitted.manifests.iter().map(|manifest| manifest.path.clone()).collect();
    insta::assert_snapshot!("two_sites_paths", paths.join("\n"));
    emitted.manifests.retain(|manifest| manifest.kind == "Deployment" && manifest.name.ends_with("hz1"));
    insta::assert_snapshot!("two_sites", text(&emitted.manifests));
    insta::assert_snapshot!("two_sites_warnings", said(&emitted));
}

fn said(emitted: &Emitted) -> String {
    emitted.warnings.iter().map(|warning| format!("{}: {}\n", warning.subject, warning.message)).collect()
}
