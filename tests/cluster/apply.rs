//! Apply, again, drift, back, and away: with exactly the rights that the emitted role gives.

use crate::bench::{Bench, Door, chat, shared, until, with_replicas};
use crate::definitions::install;
use crate::surroundings::{Place, Seen};
use capstan_types::blueprint::Blueprint;
use serde_json::{Value, json};

/// A place with a blueprint, and a door that the program goes through with a role's rights.
pub struct Ground<'a> {
    pub place: Place,
    pub door: Door<'a>,
    pub name: String,
}

impl<'a> Ground<'a> {
    /// Emits a blueprint, gives its role, and writes a kubeconfig.
    pub fn of(bench: &'a Bench, name: &str, blueprint: &Blueprint) -> Self {
        let ground = Self::without_role(bench, name, blueprint);
        let role = ground.place.read("out/access/clusterrole.yaml");
        let role: Value = serde_saphyr::from_str(&role).expect("a role");
        let role_name = role["metadata"]["name"].as_str().expect("a name");
        let path = "/apis/rbac.authorization.k8s.io/v1";
        let made = ground.door.change(&format!("{path}/clusterroles/{role_name}"), "administrator", &role);
        assert!(made.status < 300, "{}", made.body);
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": role_name },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role_name },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "limited" }],
        });
        let made =
            ground.door.change(&format!("{path}/clusterrolebindings/{role_name}"), "administrator", &binding);
        assert!(made.status < 300, "{}", made.body);
        // Rights reach the server a moment later.
        until("the role is known", 10, || {
            let place = &ground.place;
            place.run(&["preflight", "b.json", "--kubeconfig", "kubeconfig"]).out.contains("ok       rights")
        });
        ground
    }

    /// The same without the role.
    pub fn without_role(bench: &'a Bench, name: &str, blueprint: &Blueprint) -> Self {
        let (place, door) = (Place::new(), bench.door());
        place.write("kubeconfig", door.kubeconfig(&bench.limited));
        place.write_blueprint("b.json", blueprint);
        place.run(&["emit", "b.json", "--target", "kubernetes", "-o", "out"]).exits(0);
        install(&door, &place.path("out"));
        Ground { place, door, name: name.to_owned() }
    }

    /// Runs a command on the blueprint.
    pub fn run(&self, command: &str, more: &[&str]) -> Seen {
        let all = [&[command, "b.json", "--kubeconfig", "kubeconfig"], more].concat();
        self.place.run(&all)
    }

    /// Runs a command and counts what it writes.
    pub fn counted(&self, command: &str, more: &[&str]) -> (Seen, Vec<String>) {
        self.door.rules(&json!({}));
        let seen = self.run(command, more);
        (seen, self.door.writes())
    }

    /// Returns the path of the one deployment.
    pub fn deployment(&self) -> String {
        format!("/apis/apps/v1/namespaces/{0}/deployments/chat", self.name)
    }
}

/// What runs in a namespace, without what the server counts on.
pub fn state(door: &Door<'_>, namespace: &str) -> Vec<Value> {
    let kinds = [
        "/api/v1",
        "services",
        "/api/v1",
        "configmaps",
        "/apis/apps/v1",
        "deployments",
        "/apis/policy/v1",
        "poddisruptionbudgets",
        "/apis/autoscaling/v2",
        "horizontalpodautoscalers",
        "/apis/networking.k8s.io/v1",
        "networkpolicies",
    ];
    let mut all = Vec::new();
    for pair in kinds.chunks(2) {
        let listed =
            door.object(&format!("{}/namespaces/{namespace}/{}", pair[0], pair[1])).unwrap_or_default();
        for item in listed["items"].as_array().into_iter().flatten() {
            let metadata = json!({ "name": item["metadata"]["name"], "labels": item["metadata"]["labels"] });
            let mut spec = item["spec"].clone();
            if let Some(map) = spec.as_object_mut() {
                map.remove("clusterIP");
                map.remove("clusterIPs");
            }
            all.push(json!({ "kind": pair[1], "metadata": metadata, "spec": spec }));
        }
    }
    all
}

#[test]
fn a_plan_comes_again_drifts_and_goes_with_the_rights_of_its_role() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "whole-way", &chat("whole-way"));
    // Looking writes nothing.
    let (looked, writes) = ground.counted("apply", &["--dry-run"]);
    let looked = looked.exits(2);
    assert!(looked.out.contains("create Deployment whole-way/chat"), "{}", looked.told());
    assert_eq!(writes, [] as [&str; 0]);
    // Nobody agreed.
    let (asked, writes) = ground.counted("apply", &[]);
    assert!(asked.exits(5).err.contains("--yes"), "nobody is there to agree");
    assert_eq!(writes, [] as [&str; 0]);
    // It comes.
    let first = ground.run("apply", &["--yes", "--json", "--timeout", "60"]).exits(0);
    let events: Vec<Value> =
        first.out.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
    let wrote = |kind: &str| {
        events
            .iter()
            .position(|event| event["event"] == "wrote" && event["object"]["kind"] == kind)
            .expect("it was written")
    };
    assert!(wrote("Namespace") < wrote("NetworkPolicy") && wrote("NetworkPolicy") < wrote("Deployment"));
    assert!(wrote("Deployment") < wrote("Service") && wrote("Service") < wrote("HorizontalPodAutoscaler"));
    let ready =
        events.iter().position(|event| event["event"] == "ready" && event["object"]["kind"] == "Deployment");
    assert!(ready.expect("it became ready") < wrote("Service"), "a wave waits for the one before");
    // Again: nothing is written.
    let (again, writes) = ground.counted("apply", &["--yes"]);
    let again = again.exits(0);
    assert!(again.err.contains("revision 1: 0 written"), "{}", again.told());
    assert_eq!(writes, [] as [&str; 0], "only the lease");
    ground.run("drift", &[]).exits(0);
    ground.run("apply", &["--dry-run"]).exits(0);
    drifts(&ground);
    // It goes, and the namespace stays until that is asked for.
    let gone = ground.run("destroy", &["--yes"]).exits(0);
    assert!(gone.err.contains("left Namespace whole-way"), "{}", gone.told());
    assert_eq!(state(&ground.door, "whole-way").iter().filter(|one| one["kind"] != "configmaps").count(), 0);
    assert!(ground.door.object("/api/v1/namespaces/whole-way").is_some());
    ground.run("destroy", &["--yes", "--protected"]).exits(0);
    assert!(ground.door.object("/api/v1/namespaces/whole-way").is_none());
    let left = ground
        .door
        .object("/api/v1/namespaces/capstan-system/configmaps?labelSelector=capstan.dev%2Fplan%3Dwhole-way");
    assert_eq!(left.expect("a list")["items"], json!([]), "nothing is remembered of it");
    ground.run("destroy", &["--yes"]).exits(0);
}

/// Somebody changes a field, and somebody deletes an object.
fn drifts(ground: &Ground<'_>) {
    let hand = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "chat", "namespace": ground.name },
        "spec": { "progressDeadlineSeconds": 42 },
    });
    assert_eq!(ground.door.change(&ground.deployment(), "a-hand", &hand).status, 200);
    let budget = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets/chat", ground.name);
    assert_eq!(ground.door.ask("DELETE", &budget, None).status, 200);
    let drift = ground.run("drift", &[]).exits(2);
    assert!(
        drift.out.contains(
            "changed by a-hand\n  Deployment whole-way/chat\n      .spec.progressDeadlineSeconds: 42 -> "
        ),
        "{}",
        drift.told()
    );
    assert!(drift.out.contains("not there\n  PodDisruptionBudget whole-way/chat"), "{}", drift.told());
    // Not by force: who holds which field is said, and nothing is written.
    let (refused, writes) = ground.counted("apply", &["--yes"]);
    let refused = refused.exits(5);
    assert!(
        refused
            .err
            .contains("Deployment whole-way/chat: `.spec.progressDeadlineSeconds` is held by `a-hand`"),
        "{}",
        refused.told()
    );
    assert_eq!(writes, [] as [&str; 0]);
    ground.run("apply", &["--yes", "--force-conflicts", "--timeout", "60"]).exits(0);
    ground.run("drift", &[]).exits(0);
}

#[test]
fn revisions_are_kept_and_gone_back_to() {
    let Some(bench) = shared() else { return };
    let mut blueprint = chat("back");
    let ground = Ground::of(bench, "back", &blueprint);
    let policies = format!("/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers/chat", ground.name);
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
    let most = |ground: &Ground<'_>| {
        ground.door.object(&policies).map(|scaler| scaler["spec"]["maxReplicas"].clone())
    };
    let before = most(&ground).expect("an autoscaler");
    // Seven more revisions, of which five are kept.
    for number in 0..7 {
        blueprint = with_replicas(&blueprint, |hour| hour + 1);
        ground.place.write_blueprint("b.json", &blueprint);
        let seen = ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
        assert!(seen.err.contains(&format!("revision {}", number + 2)), "{}", seen.told());
    }
    let after = most(&ground).expect("an autoscaler");
    assert_eq!(after.as_u64(), before.as_u64().map(|before| before + 7));
    let lost = ground.run("rollback", &["--yes", "--to", "2"]).exits(1);
    assert!(
        lost.err.contains("there is no revision 2 to go back to; kept are 4, 5, 6, 7, 8"),
        "{}",
        lost.told()
    );
    ground.run("rollback", &["--yes", "--timeout", "60"]).exits(0);
    assert_eq!(most(&ground).and_then(|most| most.as_u64()), after.as_u64().map(|after| after - 1));
    ground.run("rollback", &["--yes", "--to", "5", "--timeout", "60"]).exits(0);
    assert_eq!(most(&ground).and_then(|most| most.as_u64()), after.as_u64().map(|after| after - 3));
    let listed = ground
        .door
        .object("/api/v1/namespaces/capstan-system/configmaps?labelSelector=capstan.dev%2Fplan%3Dback")
        .expect("a list");
    // Two of the five kept revisions are the same objects twice.
    assert!(listed["items"].as_array().expect("a list").len() <= 6, "old revisions are tidied away");
}

#[test]
fn what_the_plan_no_longer_has_is_deleted_and_what_others_made_stays() {
    let Some(bench) = shared() else { return };
    let blueprint = chat("prune");
    let ground = Ground::of(bench, "prune", &blueprint);
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
    let theirs = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "theirs", "namespace": "prune" } });
    assert!(ground.door.change("/api/v1/namespaces/prune/configmaps/theirs", "others", &theirs).status < 300);
    // Without hours that differ there is no autoscaler.
    ground.place.write_blueprint("b.json", &with_replicas(&blueprint, |_| 2));
    let looked = ground.run("apply", &["--dry-run"]).exits(2);
    assert!(looked.out.contains("prune HorizontalPodAutoscaler prune/chat"), "{}", looked.told());
    let done = ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
    assert!(done.err.contains("deleted HorizontalPodAutoscaler prune/chat"), "{}", done.told());
    assert!(
        ground.door.object("/apis/autoscaling/v2/namespaces/prune/horizontalpodautoscalers/chat").is_none()
    );
    assert!(ground.door.object("/api/v1/namespaces/prune/configmaps/theirs").is_some());
}
