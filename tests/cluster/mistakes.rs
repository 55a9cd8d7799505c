//! What goes wrong in the world: each a sentence that names the object and the next step, and a cluster no worse than before.

use crate::apply::Ground;
use crate::bench::{audited, chat, shared};
use crate::surroundings::Place;
use serde_json::json;
use std::time::Instant;

/// A place with a blueprint only.
fn place(name: &str) -> Place {
    let place = Place::new();
    place.write_blueprint("b.json", &chat(name));
    place
}

#[test]
fn without_a_way_to_a_cluster_it_says_which_files_it_looked_for() {
    let place = place("nowhere");
    let seen = place.run(&["apply", "b.json", "--yes", "--kubeconfig", "absent"]).exits(1);
    assert!(seen.err.contains("no cluster is known: none of the files absent exists"), "{}", seen.told());
    assert!(seen.err.contains("KUBECONFIG"), "{}", seen.told());
    place.write("kubeconfig", "clusters: []\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n");
    let seen = place.run(&["drift", "b.json", "--kubeconfig", "kubeconfig", "--context", "b"]).exits(1);
    assert!(seen.err.contains("there is no context `b`; there are a"), "{}", seen.told());
    place.write("broken", "a: [planted-secret");
    let seen = place.run(&["drift", "b.json", "--kubeconfig", "broken"]).exits(1);
    assert!(
        seen.err.contains("`broken` is no kubeconfig") && !seen.err.contains("planted"),
        "{}",
        seen.told()
    );
}

#[test]
fn a_server_that_is_not_there_is_given_up_within_seconds() {
    let place = place("away");
    for server in ["https://127.0.0.1:9", "https://192.0.2.1:6443", "https://no-such-host.invalid"] {
        let config = format!(
            "current-context: a\nclusters: [{{name: c, cluster: {{server: '{server}'}}}}]\nusers: [{{name: u, user: {{token: planted}}}}]\ncontexts: [{{name: a, context: {{cluster: c, user: u}}}}]\n"
        );
        place.write("kubeconfig", config);
        let began = Instant::now();
        let seen = place.run(&["preflight", "b.json", "--kubeconfig", "kubeconfig"]).exits(1);
        assert!(seen.err.contains(&format!("the server {server} does not answer")), "{}", seen.told());
        assert!(!seen.told().contains("planted"));
        assert!(began.elapsed().as_secs() < 10, "{server}: {:?}", began.elapsed());
    }
}

#[test]
fn a_token_that_has_expired_is_told_from_one_that_is_not_allowed() {
    let Some(bench) = shared() else { return };
    let ground = Ground::without_role(bench, "token", &chat("token"));
    ground.place.write("kubeconfig", ground.door.kubeconfig("expired-and-planted"));
    let seen = ground.run("apply", &["--yes"]).exits(1);
    assert!(
        seen.err.contains("does not accept the credentials") && seen.err.contains("log in again"),
        "{}",
        seen.told()
    );
    assert!(!seen.told().contains("planted"), "{}", seen.told());
    assert!(ground.door.object("/api/v1/namespaces/token").is_none(), "nothing was written");
}

#[test]
fn kinds_that_are_not_served_are_named_before_anything_is_written() {
    let Some(bench) = shared() else { return };
    let mut blueprint = chat("kinds");
    blueprint.inputs.spec.deploy.as_mut().expect("it deploys").monitoring = true;
    let ground = Ground::without_role(bench, "kinds", &audited(blueprint));
    ground.place.write("kubeconfig", ground.door.kubeconfig(&bench.admin));
    // Definitions of the operator are absent unless another test has brought them.
    if ground.door.object("/apis/monitoring.coreos.com/v1").is_some() {
        return;
    }
    let seen = ground.run("apply", &["--yes"]).exits(5);
    assert!(
        seen.err.contains("monitoring.coreos.com/v1 PodMonitor, monitoring.coreos.com/v1 PrometheusRule"),
        "{}",
        seen.told()
    );
    let preflight = ground.run("preflight", &[]).exits(5);
    assert!(preflight.out.contains("missing  kinds"), "{}", preflight.told());
    assert!(ground.door.object("/api/v1/namespaces/kinds").is_none(), "nothing was written");
}

#[test]
fn a_server_that_is_too_old_is_named_before_anything_is_written() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "old", &chat("old"));
    ground.door.rules(&json!({ "version": "v1.27.9" }));
    let preflight = ground.run("preflight", &[]).exits(5);
    assert!(preflight.out.contains("missing  version"), "{}", preflight.told());
    let seen = ground.run("apply", &["--yes"]).exits(5);
    let said = "the server runs Kubernetes v1.27.9; the manifests need 1.28 or newer";
    assert!(seen.err.contains(said) && seen.err.contains("upgrade the cluster"), "{}", seen.told());
    assert!(ground.door.object("/api/v1/namespaces/old").is_none(), "nothing was written");
}

#[test]
fn a_field_that_cannot_change_is_named() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "fixed", &chat("fixed"));
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "fixed" } });
    assert!(ground.door.change("/api/v1/namespaces/fixed", "others", &namespace).status < 300);
    let other = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "chat", "namespace": "fixed" },
        "spec": { "replicas": 0, "selector": { "matchLabels": { "old": "one" } }, "template": {
            "metadata": { "labels": { "old": "one" } }, "spec": { "containers": [{ "name": "c", "image": "x:1" }] } } },
    });
    assert!(ground.door.ask("POST", "/apis/apps/v1/namespaces/fixed/deployments", Some(&other)).status < 300);
    let seen = ground.run("apply", &["--yes", "--force-conflicts"]).exits(5);
    assert!(
        seen.err.contains("Deployment fixed/chat cannot be changed in place")
            && seen.err.contains("immutable"),
        "{}",
        seen.told()
    );
    assert_eq!(ground.door.object(&ground.deployment()).expect("it stays")["spec"]["replicas"], 0);
}

#[test]
fn a_namespace_that_is_going_away_and_one_of_another_plan_are_left_alone() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "going", &chat("going"));
    let held = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "going" } });
    assert!(ground.door.change("/api/v1/namespaces/going", "others", &held).status < 300);
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "held", "namespace": "going", "finalizers": ["example.com/held"] } });
    assert!(ground.door.change("/api/v1/namespaces/going/configmaps/held", "others", &map).status < 300);
    ground.door.ask("DELETE", "/api/v1/namespaces/going", None);
    let seen = ground.run("apply", &["--yes"]).exits(5);
    assert!(
        seen.err.contains("Namespace going is being deleted") && seen.err.contains("finalizers"),
        "{}",
        seen.told()
    );
    let free = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "held", "namespace": "going" } });
    ground.door.change("/api/v1/namespaces/going/configmaps/held", "others", &free);

    let mine = Ground::of(bench, "mine", &chat("mine"));
    mine.run("apply", &["--yes", "--timeout", "60"]).exits(0);
    let mut thief = chat("thief");
    thief.inputs.spec.deploy.as_mut().expect("it deploys").namespace = "mine".to_owned();
    let thief = Ground::of(bench, "mine", &audited(thief));
    let (seen, writes) = thief.counted("apply", &["--yes"]);
    let seen = seen.exits(5);
    assert!(seen.err.contains("belongs to the plan `mine`"), "{}", seen.told());
    assert_eq!(writes, [] as [&str; 0]);
}

#[test]
fn a_quota_that_is_too_small_and_pods_that_cannot_start_end_it_with_their_reasons() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "narrow", &chat("narrow"));
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "narrow" } });
    assert!(ground.door.change("/api/v1/namespaces/narrow", "others", &namespace).status < 300);
    let quota = json!({ "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "small", "namespace": "narrow" }, "spec": { "hard": { "requests.nvidia.com/gpu": "1" } } });
    assert!(
        ground.door.change("/api/v1/namespaces/narrow/resourcequotas/small", "others", &quota).status < 300
    );
    let path = "/api/v1/namespaces/narrow/resourcequotas/small";
    crate::bench::until("the quota is in force", 20, || {
        ground.door.object(path).is_some_and(|quota| quota["status"]["hard"].is_object())
    });
    let (seen, writes) = ground.counted("apply", &["--yes"]);
    let seen = seen.exits(1);
    assert!(
        seen.err.contains("Deployment narrow/chat") && seen.err.contains("exceeded quota: small"),
        "{}",
        seen.told()
    );
    assert_eq!(writes, [] as [&str; 0]);

    let ground = Ground::of(bench, "image", &chat("image"));
    bench.pods("image", "fail");
    let began = Instant::now();
    let seen = ground.run("apply", &["--yes", "--timeout", "120"]).exits(1);
    assert!(
        seen.err.contains("Deployment image/chat failed") && seen.err.contains("ImagePullBackOff"),
        "{}",
        seen.told()
    );
    assert!(seen.err.contains("event ScalingReplicaSet"), "{}", seen.told());
    assert!(began.elapsed().as_secs() < 60, "it does not wait for the deadline");
    // Mended, it goes on.
    bench.pods("image", "ready");
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
}

#[test]
fn a_plan_that_moved_and_a_blueprint_that_was_edited_are_refused() {
    let place = Place::new();
    let blueprint = chat("moved");
    let plan = blueprint.inputs.files.iter().find(|file| file.role == "plan").expect("a plan").path.clone();
    place.write_blueprint("b.json", &blueprint);
    place.write(&plan, "plan moved {}\n");
    let seen = place.run(&["apply", "b.json", "--yes", "--kubeconfig", "absent"]).exits(5);
    assert!(seen.err.contains(&format!("`{plan}` changed since")), "{}", seen.told());
    let mut edited = chat("moved");
    edited.cost.lines[0].billed_cost = edited.cost.total;
    place.write_blueprint("b.json", &edited);
    let seen = place.run(&["apply", "b.json", "--yes", "--kubeconfig", "absent"]).exits(1);
    assert!(seen.err.contains("contradicts itself"), "{}", seen.told());
}

#[test]
fn an_admission_webhook_that_refuses_is_quoted_and_nothing_is_written() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "hooked", &chat("hooked"));
    let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "hooked" } });
    assert!(ground.door.change("/api/v1/namespaces/hooked", "others", &namespace).status < 300);
    let (url, authority) = bench.webhook("no releases on Fridays");
    let hook = json!({
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "fridays" },
        "webhooks": [{
            "name": "fridays.example.com", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": { "url": url, "caBundle": authority },
            "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": "hooked" } },
            "rules": [{ "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"] }],
        }],
    });
    let path = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/fridays";
    assert!(ground.door.change(path, "others", &hook).status < 300);
    // Hooks reach the server a moment later.
    let mut seen = ground.run("apply", &["--dry-run"]);
    crate::bench::until("the hook is known", 20, || {
        seen = ground.run("apply", &["--dry-run"]);
        seen.code == 1
    });
    let (seen, writes) = ground.counted("apply", &["--yes"]);
    let seen = seen.exits(1);
    assert!(
        seen.err.contains("the server refuses Deployment hooked/chat")
            && seen.err.contains("\"fridays.example.com\" denied the request: \"no releases on Fridays\""),
        "{}",
        seen.told()
    );
    assert_eq!(writes, [] as [&str; 0]);
    // Without it, it comes.
    assert_eq!(ground.door.ask("DELETE", path, None).status, 200);
    crate::bench::until("the hook is gone", 20, || ground.run("apply", &["--dry-run"]).code == 2);
    ground.run("apply", &["--yes", "--timeout", "60"]).exits(0);
}

#[test]
fn a_program_gives_the_credentials_and_one_that_fails_is_named_without_what_it_said() {
    let Some(bench) = shared() else { return };
    let ground = Ground::of(bench, "program", &chat("program"));
    let config = ground.door.kubeconfig("unused");
    let with = |script: &str| {
        let exec = format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: /bin/sh, args: ['-c', '{script}'], interactiveMode: Never}}}}"
        );
        ground.place.write("kubeconfig", config.replace("{token: 'unused'}", &exec));
        ground.run("preflight", &[])
    };
    let given = format!(
        r#"echo "{{\"kind\": \"ExecCredential\", \"apiVersion\": \"client.authentication.k8s.io/v1\", \"status\": {{\"token\": \"{}\"}}}}""#,
        bench.limited
    );
    let seen = with(&given);
    assert!(seen.out.contains("ok       rights"), "{}", seen.told());
    let failed = with("echo planted; echo planted >&2; exit 3").exits(1);
    assert!(
        failed.err.contains("`/bin/sh`, which gives the credentials, ended with exit status: 3"),
        "{}",
        failed.told()
    );
    let silent = with("echo planted").exits(1);
    assert!(silent.err.contains("`/bin/sh` gave no credentials"), "{}", silent.told());
    assert!(!failed.told().contains("planted") && !silent.told().contains("planted"));
}
