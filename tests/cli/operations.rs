//! What keeps a service at work and safe, from a small plan to files: all of it, and what it refuses.

use crate::surroundings::Place;

const PLAN: &str = include_str!("../plans/operations.plan");

/// Plans and emits a plan, and returns the place and what `emit` said.
fn emitted(plan: &str) -> (Place, String) {
    let place = Place::new();
    place.planned(plan, 0);
    let seen = place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
    (place, seen.err)
}

#[test]
fn a_small_plan_becomes_all_that_keeps_it_safe() {
    let (place, said) = emitted(PLAN);
    let list = place.read("out/kubernetes/kustomization.yaml");
    for file in [
        "00-namespace/alertmanagerconfig-operations.yaml",
        "00-namespace/networkpolicy-allow-mesh.yaml",
        "00-namespace/peerauthentication-default.yaml",
        "06-etcd/cronjob-backup.yaml",
        "06-etcd/namespace.yaml",
        "10-chat/destinationrule.yaml",
        "20-gateway/authorizationpolicy-operations.yaml",
        "20-gateway/certificate-operations-tls.yaml",
        "20-gateway/httproute-operations-to-https.yaml",
        "20-gateway/requestauthentication-operations.yaml",
    ] {
        assert!(list.contains(file) && !place.read(&format!("out/kubernetes/{file}")).is_empty(), "{list}");
    }
    assert!(!list.contains("ci/") && place.read("out/ci/github.yml").starts_with("# Pipeline for github"));
    assert!(place.read("out/ci/gitlab.yml").contains("capstan check *.plan"));
    for told in [
        "addresses under `page` and `ticket`",
        "CNI plugin",
        "every secret of the cluster",
        "copy it to .gitlab-ci.yml",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    let rights = place.read("out/access/clusterrole.yaml");
    for resource in
        ["alertmanagerconfigs", "certificates", "cronjobs", "destinationrules", "peerauthentications"]
    {
        assert!(rights.contains(&format!("- {resource}\n")), "{rights}");
    }
}

/// A plan without these fields has none of it, and what does not go together is told at once.
#[test]
fn what_is_not_asked_for_is_not_written_and_what_stands_on_nothing_is_refused() {
    let (head, _) = PLAN.split_once("  alerts ").expect("the field");
    let (place, _) = emitted(&format!("{head}}}\n"));
    let list = place.read("out/kubernetes/kustomization.yaml");
    for kind in ["alertmanagerconfig", "peerauthentication", "cronjob", "certificate", "destinationrule"] {
        assert!(!list.contains(kind), "{list}");
    }
    assert!(!place.path("out/ci").exists());
    let place = Place::new();
    place.write("p.plan", PLAN.replace("  mesh         = istio\n", ""));
    let seen = place.run(&["check", "p.plan"]).exits(1);
    assert!(seen.err.contains("E0211") && seen.err.contains("add `mesh = istio`"), "{}", seen.told());
}

/// Names of objects come from the plan's: those that must be labels are cut, and a namespace is asked for where it would be.
#[test]
fn a_plan_with_a_long_name_becomes_manifests() {
    let named =
        |letters: usize| PLAN.replace("plan operations {", &format!("plan {} {{", "a".repeat(letters)));
    for letters in [56, 63] {
        let (place, _) = emitted(&named(letters));
        let role = place.read("out/access/clusterrole.yaml");
        assert!(role.contains(&format!("name: capstan-{}", "a".repeat(40))), "{role}");
    }
    let place = Place::new();
    let follows = named(64);
    let follows: Vec<&str> = follows.lines().filter(|line| !line.contains("namespace")).collect();
    place.write("p.plan", follows.join("\n") + "\n");
    let seen = place.run(&["check", "p.plan"]).exits(1);
    assert!(seen.err.contains("whose name has 64 letters: 63 at most"), "{}", seen.told());
}
