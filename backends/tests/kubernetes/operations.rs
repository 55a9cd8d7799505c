//! What keeps a service at work and safe: who is told of alerts, who may ask, and by which certificates.

use crate::common::{
    alert, alerts, changed, constant, deploy, emitted, object, on_engine, operated, placement, says, tree,
    two_nodes, two_parts, two_sites, with,
};
use capstan_backends::kubernetes::{EmitError, Manifest, Wave, emit, lint};
use capstan_types::blueprint::Blueprint;
use capstan_types::images::{IMAGES_FORMAT, ImageLock};
use capstan_types::spec::Limit;
use capstan_types::testing::blueprint::chat_blueprint;
use capstan_types::units::RequestsPerSecond;
use serde_json::{Value, json};

/// The operator routes by the namespace of an alert, and addresses are chosen by severity: an alert without one of both would
/// reach nobody.
#[test]
fn every_alert_reaches_an_address_of_the_secret() {
    let manifests = emitted(&with(|deploy| deploy.alerts = Some("pager".to_owned()))).manifests;
    let config = object(&manifests, "AlertmanagerConfig", "chat-and-pretrain");
    let receivers = config["spec"]["receivers"].as_array().expect("receivers").clone();
    let addresses: Vec<Value> =
        receivers.iter().map(|one| one["webhookConfigs"][0]["urlSecret"].clone()).collect();
    assert_eq!(
        addresses,
        [json!({ "name": "pager", "key": "page" }), json!({ "name": "pager", "key": "ticket" })]
    );
    let all = alerts(&manifests);
    assert!(all.len() > 8, "{all:?}");
    for alert in all {
        let labels = &alert["labels"];
        assert_eq!(labels["namespace"], config["metadata"]["namespace"], "{alert}");
        assert!(receivers.iter().any(|one| one["name"] == labels["severity"]), "{alert}");
        assert!(labels["about"].is_string(), "{alert}");
    }
    assert!(!manifests.iter().any(|one| one.yaml.contains("http://") && one.kind == "AlertmanagerConfig"));
}

#[test]
fn a_page_silences_the_ticket_about_the_same_and_no_other() {
    let manifests = emitted(&with(|deploy| deploy.alerts = Some("pager".to_owned()))).manifests;
    let config = object(&manifests, "AlertmanagerConfig", "chat-and-pretrain");
    let rule = &config["spec"]["inhibitRules"][0];
    let is = |rows: &Value, severity: &str| {
        rows == &json!([{ "name": "severity", "value": severity, "matchType": "=" }])
    };
    assert!(is(&rule["sourceMatch"], "page") && is(&rule["targetMatch"], "ticket"));
    let equal: Vec<&str> =
        rule["equal"].as_array().expect("labels").iter().filter_map(Value::as_str).collect();
    let silences = |page: &str, ticket: &str| {
        let (page, ticket) = (alert(&manifests, page), alert(&manifests, ticket));
        assert_eq!(
            (&page["labels"]["severity"], &ticket["labels"]["severity"]),
            (&json!("page"), &json!("ticket"))
        );
        equal.iter().all(|label| page["labels"][label] == ticket["labels"][label])
    };
    assert!(silences("ChatErrorsFastBurn", "ChatErrorsSlowBurn"));
    assert!(!silences("ChatErrorsFastBurn", "ChatDemandAbovePlan"));
    assert!(!silences("ChatReplicasBelowPlan", "ContainersRestart"));
}

#[test]
fn requests_that_fail_burn_the_budget_of_the_availability_that_was_planned() {
    let burn = |blueprint| alert(&emitted(&blueprint).manifests, "ChatErrorsFastBurn");
    let planned = changed(|blueprint| {
        let serve = &mut blueprint.inputs.spec.serves[0];
        serve.availability = Some(Limit { value: 0.995, place: serve.place.clone() });
    });
    let expr = burn(planned)["expr"].as_str().expect("a query").to_owned();
    assert!(expr.contains("status=\"5xx\"}[1h]") && expr.contains("status=\"5xx\"}[5m]"), "{expr}");
    assert_eq!(expr.matches("> 0.072").count(), 2, "14.4 × 0.5 %: {expr}");
    let plain = changed(|blueprint| blueprint.inputs.spec.serves[0].availability = None);
    assert!(burn(plain)["expr"].as_str().expect("a query").contains("> 0.0144"));
    let other = emitted(&on_engine("tensorrt_llm")).manifests;
    assert!(!alerts(&other).iter().any(|alert| alert["labels"]["about"] == "errors"));
}

#[test]
fn what_happens_to_machines_is_told() {
    let manifests = emitted(&chat_blueprint()).manifests;
    let busy = alert(&manifests, "AcceleratorsBusy");
    assert_eq!(busy["for"], "5m");
    assert!(busy["expr"].as_str().expect("a query").ends_with("> 90"));
    let restarts = alert(&manifests, "ContainersRestart");
    assert!(restarts["expr"].as_str().is_some_and(|expr| expr.starts_with("increase(")));
    // A gauge of the last code: another code, and a first one on a series that begins with it. Nothing counts it up.
    let error = alert(&manifests, "AcceleratorError")["expr"].as_str().expect("a query").to_owned();
    assert!(!error.contains("increase(") && !error.contains("rate("), "{error}");
    for part in [
        "(DCGM_FI_DEV_XID_ERRORS > 0 != 13 != 31 != 43 != 45 and changes(DCGM_FI_DEV_XID_ERRORS[5m]) > 0)",
        "(DCGM_FI_DEV_XID_ERRORS > 0 != 13 != 31 != 43 != 45 unless DCGM_FI_DEV_XID_ERRORS offset 5m)",
    ] {
        assert!(error.contains(part), "{error}");
    }
}

/// All of it without a gateway.
fn inside() -> Blueprint {
    let mut blueprint = operated();
    let deploy = blueprint.inputs.spec.deploy.as_mut().expect("it deploys");
    (deploy.gateway, deploy.certificates) = (None, None);
    blueprint
}

fn kinds(blueprint: &Blueprint) -> Vec<String> {
    emitted(blueprint).manifests.into_iter().map(|one| one.kind).collect()
}

#[test]
fn limits_of_the_mesh_are_those_of_the_plan() {
    let mut blueprint = operated();
    let serve = &mut blueprint.inputs.spec.serves[0];
    serve.queue = Some(Limit { value: 12, place: serve.place.clone() });
    let (most, sequences, start) = {
        let placed = placement(&mut blueprint);
        (placed.peak_replicas(), placed.candidate.max_sequences, placed.start.get().ceil())
    };
    let manifests = emitted(&blueprint).manifests;
    let rule = object(&manifests, "DestinationRule", "chat")["spec"].clone();
    assert_eq!(rule["host"], "chat.llm.svc.cluster.local");
    let pool = &rule["trafficPolicy"]["connectionPool"];
    assert_eq!(pool["http"]["http1MaxPendingRequests"], json!(12 * most));
    assert_eq!(pool["http"]["http2MaxRequests"], json!((12 + sequences) * most));
    assert_eq!(pool["tcp"], json!({ "maxConnections": (12 + sequences) * most, "connectTimeout": "500ms" }));
    let outlier = &rule["trafficPolicy"]["outlierDetection"];
    assert_eq!(outlier["maxEjectionPercent"], 33, "one of three replicas");
    assert_eq!(outlier["baseEjectionTime"], json!(format!("{}s", start.max(30.0))));
    // None may wait, which is not the 0 that means no limit; and a number that no limit takes.
    for (queue, limit) in [(0, 1), (u32::MAX, i32::MAX)] {
        blueprint.inputs.spec.serves[0].queue.as_mut().expect("a queue").value = queue;
        let rule = object(&emitted(&blueprint).manifests, "DestinationRule", "chat");
        let pool = &rule["spec"]["trafficPolicy"]["connectionPool"];
        assert_eq!(pool["http"]["http1MaxPendingRequests"], json!(limit));
    }
    // Of the only replica there is no other to ask.
    let mut alone = constant(1);
    alone.inputs.spec.deploy = blueprint.inputs.spec.deploy;
    let rule = object(&emitted(&alone).manifests, "DestinationRule", "chat");
    assert_eq!(rule["spec"]["trafficPolicy"]["outlierDetection"], Value::Null);
}

/// Replicas share the rate that the plan lets in; tokens come whole, exactly as often as makes a share.
#[test]
fn each_replica_lets_in_its_share_of_the_rate_that_was_planned() {
    let mut blueprint = operated();
    let most = f64::from(placement(&mut blueprint).peak_replicas());
    let token = |manifests: &[Manifest], name: &str| {
        let patch = object(manifests, "EnvoyFilter", name)["spec"]["configPatches"][0]["patch"].clone();
        let bucket = patch["value"]["typed_config"]["value"]["token_bucket"].clone();
        let every: f64 = bucket["fill_interval"]
            .as_str()
            .and_then(|text| text.strip_suffix('s')?.parse().ok())
            .expect("seconds");
        assert!(every >= 1.0, "Envoy takes none below 50 ms: {bucket}");
        (bucket["tokens_per_fill"].as_f64().expect("tokens") / every, bucket["max_tokens"].as_u64())
    };
    for limit in [90.0, 0.01, 1e9] {
        deploy(&mut blueprint).rate_limit = Some(RequestsPerSecond(limit));
        let (rate, burst) = token(&emitted(&blueprint).manifests, "chat");
        assert!((rate * most / limit - 1.0).abs() < 1e-4, "{rate} × {most} of {limit}");
        assert!(burst >= Some(u64::from(placement(&mut blueprint).candidate.max_sequences)));
    }
    assert!(!says(&blueprint, "`rate_limit` lets in"));
    deploy(&mut blueprint).rate_limit = Some(RequestsPerSecond(0.01));
    assert!(says(&blueprint, "`rate_limit` lets in 0.01 requests/s, and"));
    // Of two kinds of replicas, each lets in by what it can serve.
    let mut two = two_sites();
    two.inputs.spec.deploy = operated().inputs.spec.deploy;
    two.services[0].placements[0].derating /= 2.0;
    let manifests = emitted(&two).manifests;
    let filters = manifests.iter().filter(|one| one.kind == "EnvoyFilter");
    let rates: Vec<f64> = filters.map(|one| token(&manifests, &one.name).0).collect();
    assert_eq!(rates.len(), 2);
    let (low, high) = (rates[0].min(rates[1]), rates[0].max(rates[1]));
    assert!((high / low - 2.0).abs() < 1e-3 && ((low + high) * most - 90.0).abs() < 1e-2, "{rates:?}");
    deploy(&mut blueprint).rate_limit = None;
    assert!(!kinds(&blueprint).iter().any(|kind| kind == "EnvoyFilter"));
}

#[test]
fn a_route_is_the_gateways_or_the_meshs_and_never_both() {
    let (outside, inside) = (kinds(&operated()), kinds(&inside()));
    let has = |kinds: &[String], kind: &str| kinds.iter().any(|one| one == kind);
    assert!(has(&outside, "HTTPRoute") && !has(&outside, "VirtualService"));
    assert!(!has(&inside, "HTTPRoute") && has(&inside, "VirtualService"));
    let route = object(&emitted(&self::inside()).manifests, "VirtualService", "chat");
    let http = &route["spec"]["http"][0];
    assert_eq!(http["retries"]["retryOn"], "connect-failure,refused-stream,reset-before-request");
    let gateway = object(&emitted(&operated()).manifests, "HTTPRoute", "chat");
    assert_eq!(http["timeout"], gateway["spec"]["rules"][0]["timeouts"]["request"]);
}

/// Sidecars: beside what answers and what asks, and only before the port at which it answers.
#[test]
fn members_of_the_mesh_are_who_answers_and_who_asks() {
    let manifests = emitted(&operated()).manifests;
    assert_eq!(object(&manifests, "PeerAuthentication", "default")["spec"]["mtls"]["mode"], "STRICT");
    let engine = object(&manifests, "Deployment", "chat")["spec"]["template"]["metadata"].clone();
    let test = object(&manifests, "Job", "chat-load-test")["spec"]["template"]["metadata"].clone();
    for pod in [&engine, &test] {
        assert_eq!(pod["labels"]["sidecar.istio.io/inject"], "true");
    }
    let told = &engine["annotations"];
    assert_eq!(told["traffic.sidecar.istio.io/includeInboundPorts"], "8000");
    assert_eq!(told["traffic.sidecar.istio.io/includeOutboundIPRanges"], "");
    let monitor = object(&manifests, "PodMonitor", "chat");
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!((&endpoint["portNumber"], &endpoint["path"]), (&json!(15020), &json!("/stats/prometheus")));
    let errors = alert(&manifests, "ChatErrorsFastBurn")["expr"].as_str().expect("a query").to_owned();
    assert!(
        errors.contains(
            "istio_requests_total{job=\"llm/chat\",reporter=\"destination\",response_code=~\"5..\"}"
        ),
        "{errors}"
    );
    let policy = object(&manifests, "NetworkPolicy", "allow-mesh")["spec"].clone();
    assert_eq!(policy["podSelector"]["matchLabels"], json!({ "sidecar.istio.io/inject": "true" }));
    let ports = (&policy["egress"][0]["ports"][0]["port"], &policy["ingress"][0]["ports"][0]["port"]);
    assert_eq!(ports, (&json!(15012), &json!(15020)));
    // Workers of a group are asked by nobody, and a plan without a mesh has none of it.
    let mut group = two_nodes();
    group.inputs.spec.deploy = operated().inputs.spec.deploy;
    let template =
        &object(&emitted(&group).manifests, "LeaderWorkerSet", "chat-nodes")["spec"]["leaderWorkerTemplate"];
    let is_member = |part: &str| template[part]["metadata"]["labels"]["sidecar.istio.io/inject"].is_string();
    assert!(is_member("leaderTemplate") && !is_member("workerTemplate"));
    let plain = crate::common::text(&emitted(&chat_blueprint()).manifests);
    assert!(!plain.contains("istio") && !plain.contains("15012"));
}

#[test]
fn the_mesh_says_what_it_does_not_reach() {
    assert!(
        says(&operated(), "install Istio with its CNI plugin")
            && !says(&operated(), "perhaps not in the mesh")
    );
    let mut other = operated();
    let gateway = other.inputs.spec.deploy.as_mut().and_then(|deploy| deploy.gateway.as_mut());
    "eg".clone_into(&mut gateway.expect("a gateway").class);
    assert!(says(&other, "gateways of the class `eg` are perhaps not in the mesh"));
    let mut parts = two_parts();
    parts.inputs.spec.deploy = inside().inputs.spec.deploy;
    parts.inputs.spec.deploy.as_mut().expect("it deploys").load_test = false;
    assert!(says(&parts, "does not reach a workload in two parts"));
    assert!(says(&parts, "no token is asked for of a workload in two parts"));
    assert!(says(&parts, "its rate is not limited") && !says(&operated(), "its rate is not limited"));
    assert!(!kinds(&parts).iter().any(|kind| kind == "PeerAuthentication" || kind == "DestinationRule"));
    // At a gateway tokens are asked for all the same.
    parts.inputs.spec.deploy.as_mut().expect("it deploys").gateway =
        operated().inputs.spec.deploy.expect("it deploys").gateway;
    assert!(kinds(&parts).iter().any(|kind| kind == "AuthorizationPolicy"));
    assert!(!says(&parts, "no token is asked for"));
    let mut old = operated();
    old.inputs.spec.deploy.as_mut().expect("it deploys").minor = 30;
    assert!(matches!(emit(&old), Err(EmitError::NotServed { since: 31, minor: 30, .. })));
}

#[test]
fn tokens_are_asked_for_at_the_gateway_or_at_each_model() {
    let manifests = emitted(&operated()).manifests;
    let believed = object(&manifests, "RequestAuthentication", "chat-and-pretrain")["spec"].clone();
    assert_eq!(believed["targetRefs"][0]["kind"], "Gateway");
    assert_eq!(
        believed["jwtRules"],
        json!([{ "issuer": "https://id.example.com", "jwksUri": "https://id.example.com/keys" }])
    );
    let asked = object(&manifests, "AuthorizationPolicy", "chat-and-pretrain")["spec"].clone();
    let holder = json!({ "source": { "requestPrincipals": ["https://id.example.com/*"] } });
    assert_eq!(
        (&asked["targetRefs"], &asked["rules"]),
        // Without TLS there is only the way to it, and the proof that a certificate is asked for.
        (
            &believed["targetRefs"],
            &json!([{ "from": [holder] }, { "to": [{ "operation": { "ports": ["80"] } }] }])
        )
    );
    let manifests = emitted(&inside()).manifests;
    let asked = object(&manifests, "AuthorizationPolicy", "chat")["spec"].clone();
    let pods = object(&manifests, "Service", "chat")["spec"]["selector"].clone();
    assert_eq!(asked["selector"]["matchLabels"], pods);
    assert_eq!(asked["rules"], json!([{ "from": [holder, { "source": { "namespaces": ["llm"] } }] }]));
}

/// What a server takes without a word: tokens that nobody asks for, and a scraper that is refused.
#[test]
fn gaps_in_what_keeps_others_out_are_found() {
    let broken = |change: &dyn Fn(&mut Vec<Manifest>)| {
        let mut manifests = emitted(&operated()).manifests;
        change(&mut manifests);
        lint(&manifests).into_iter().map(|lint| lint.rule).collect::<Vec<_>>()
    };
    assert_eq!(broken(&|_| ()), [""; 0]);
    assert_eq!(broken(&|all| all.retain(|one| one.kind != "AuthorizationPolicy")), ["tokens-asked"]);
    let rewrite = |kind: &'static str, from: &'static str, to: &'static str| {
        move |all: &mut Vec<Manifest>| {
            let one = all.iter_mut().find(|one| one.kind == kind).expect("it is emitted");
            assert!(one.yaml.contains(from), "{}", one.yaml);
            one.yaml = one.yaml.replace(from, to);
        }
    };
    assert_eq!(broken(&rewrite("AuthorizationPolicy", "requestPrincipals", "principals")), ["tokens-asked"]);
    assert_eq!(broken(&rewrite("PodMonitor", "portNumber: 15020", "portNumber: 8000")), ["mesh-scrape"]);
    assert_eq!(broken(&|all| all.retain(|one| one.kind != "Certificate")), ["selector-matches"]);
    let other = "app.kubernetes.io/component: server";
    assert_eq!(broken(&rewrite("EnvoyFilter", other, "app.kubernetes.io/component: app")), ["mesh-rates"]);
}

#[test]
fn the_gateway_has_a_certificate_and_sends_who_speaks_in_the_clear_to_it() {
    let emitted = emitted(&operated());
    let certificate = object(&emitted.manifests, "Certificate", "chat-and-pretrain-tls");
    assert_eq!(certificate["spec"]["dnsNames"], json!(["llm.example.com"]));
    assert_eq!(certificate["spec"]["issuerRef"]["name"], "letsencrypt");
    let gateway = object(&emitted.manifests, "Gateway", "chat-and-pretrain");
    let listeners = gateway["spec"]["listeners"].as_array().expect("listeners").clone();
    let names: Vec<&str> = listeners.iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names, ["https", "http"]);
    assert_eq!(listeners[0]["tls"]["certificateRefs"][0]["name"], certificate["spec"]["secretName"]);
    let redirection = object(&emitted.manifests, "HTTPRoute", "chat-and-pretrain-to-https")["spec"].clone();
    assert_eq!(redirection["parentRefs"][0]["sectionName"], "http");
    assert_eq!(redirection["rules"][0]["filters"][0]["requestRedirect"]["scheme"], "https");
    let route = object(&emitted.manifests, "HTTPRoute", "chat");
    assert_eq!(route["spec"]["parentRefs"][0]["sectionName"], "https");
    assert!(!says(&operated(), "nothing here makes one"));
    // An issuer may prove the name through the gateway, so neither may wait for the other.
    let waves = emitted.manifests.iter().filter(|one| one.kind == "Certificate" || one.kind == "Gateway");
    assert!(waves.clone().count() == 2 && waves.clone().all(|one| one.wave == Wave::Service));
    let solver = object(&emitted.manifests, "NetworkPolicy", "certificate-solver");
    assert_eq!(solver["spec"]["ingress"][0]["ports"][0]["port"], 8089);
}

/// Files and network of a machine are reached from a namespace of its own, and from no other.
#[test]
fn snapshots_of_etcd_are_taken_on_the_control_plane_and_nowhere_else() {
    let manifests = emitted(&operated()).manifests;
    let job = object(&manifests, "CronJob", "etcd-backup");
    let (namespace, spec) = (&job["metadata"]["namespace"], &job["spec"]);
    assert_eq!(namespace, "llm-etcd-backup");
    let open = object(&manifests, "Namespace", "llm-etcd-backup");
    assert_eq!(open["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "privileged");
    assert_eq!(
        (&spec["concurrencyPolicy"], &spec["successfulJobsHistoryLimit"], &spec["failedJobsHistoryLimit"]),
        (&json!("Forbid"), &json!(3), &json!(3))
    );
    let pod = &spec["jobTemplate"]["spec"]["template"]["spec"];
    assert_eq!(pod["nodeSelector"], json!({ "node-role.kubernetes.io/control-plane": "" }));
    assert_eq!(pod["tolerations"][0]["key"], "node-role.kubernetes.io/control-plane");
    let snapshot = &pod["initContainers"][0];
    let mounts = snapshot["volumeMounts"].as_array().expect("mounts");
    let certificates = mounts.iter().find(|mount| mount["name"] == "certificates").expect("certificates");
    assert_eq!(certificates["readOnly"], true);
    assert!(!pod["containers"][0]["volumeMounts"].to_string().contains("certificates"));
    let volumes = pod["volumes"].as_array().expect("volumes");
    let claim = volumes.iter().find(|volume| volume["name"] == "backup").expect("a volume");
    assert_eq!(claim["persistentVolumeClaim"]["claimName"], "snapshots");
    assert!(says(&operated(), "they hold every secret of the cluster"));
    assert!(says(&operated(), "a cloud that runs it shows no such machine"));
    let images = emitted(&operated()).images();
    assert!(images.contains(&snapshot["image"].as_str().expect("an image").to_owned()), "{images:?}");

    let mut closed = manifests;
    let open = closed.iter_mut().find(|one| one.name == "llm-etcd-backup").expect("it is emitted");
    open.yaml = open.yaml.replace("enforce: privileged", "enforce: baseline");
    let broken: Vec<&str> = lint(&closed).into_iter().map(|lint| lint.rule).collect();
    assert_eq!(broken, ["host-access"]);
}

/// A pipeline is no object: it is in no list, and the rules of objects do not look at it.
#[test]
fn pipelines_are_the_recipes_of_the_page_with_the_path_and_the_images_of_the_plan() {
    let mut blueprint = operated();
    let plan = blueprint.inputs.files.iter_mut().find(|file| file.role == "plan").expect("a plan");
    "./infra/llm.plan".clone_into(&mut plan.path);
    let emitted = emitted(&blueprint);
    let pipelines: Vec<&Manifest> = emitted.manifests.iter().filter(|one| one.kind == "Pipeline").collect();
    let paths: Vec<&str> = pipelines.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["ci/github.yml", "ci/gitlab.yml"]);
    let index = emitted.manifests.iter().find(|one| one.wave == Wave::Index).expect("a list");
    assert!(!index.yaml.contains("ci/"));
    for (pipeline, job) in pipelines.iter().zip(["jobs", "plans"]) {
        assert!(pipeline.wave == Wave::Values && tree(pipeline)[job].is_object());
        assert!(pipeline.yaml.contains("capstan check infra/*.plan"), "{}", pipeline.yaml);
        assert!(pipeline.yaml.contains(" infra/llm.plan --max-increase 5%"), "{}", pipeline.yaml);
        for image in emitted.images() {
            let line = format!("- {image}");
            assert!(pipeline.yaml.lines().any(|one| one.trim() == line), "{image}: {}", pipeline.yaml);
        }
    }
    for path in ["/srv/llm.plan", "../llm.plan", "my plans/llm.plan"] {
        let plan = blueprint.inputs.files.iter_mut().find(|file| file.role == "plan").expect("a plan");
        path.clone_into(&mut plan.path);
        assert!(!kinds(&blueprint).iter().any(|kind| kind == "Pipeline"));
        assert!(says(&blueprint, "names the plan by its path in the repository"));
    }
}

/// Whoever moves a tag must not change what was scanned either.
#[test]
fn what_is_scanned_is_what_runs_by_digest() {
    let image = "registry.k8s.io/etcd:3.6.4-0";
    let digest = format!("sha256:{}", "a".repeat(64));
    let known =
        json!({ "name": image, "digest": digest, "registry": "registry.k8s.io", "as_of": "2026-11-01" });
    let lock: ImageLock =
        serde_json::from_value(json!({ "format": IMAGES_FORMAT, "images": [known] })).expect("a lock");
    let pinned = emitted(&operated()).pinned(&lock);
    let both = format!("{image}@{digest}");
    for kind in ["CronJob", "Pipeline"] {
        let one = pinned.manifests.iter().find(|one| one.kind == kind).expect("it is emitted");
        assert!(one.yaml.contains(&both), "{}", one.yaml);
    }
}

/// Engines are not told how many requests may wait, so without a sidecar before them nothing holds what was simulated.
#[test]
fn a_limit_on_requests_that_wait_is_told_where_nothing_holds_it() {
    let said = "planned with at most 7 requests that wait at a replica";
    let limited = |mesh: bool| {
        let mut blueprint = with(|deploy| (deploy.mesh, deploy.minor) = (mesh, 36));
        let serve = &mut blueprint.inputs.spec.serves[0];
        serve.queue = Some(Limit { value: 7, place: serve.place.clone() });
        blueprint
    };
    let warnings = emitted(&limited(false)).warnings;
    let told = warnings.iter().find(|one| one.message.contains(said)).expect("it is told");
    assert!(told.subject == "chat" && told.message.contains("`mesh = istio`"), "{told:?}");
    assert!(!says(&limited(true), said) && !says(&chat_blueprint(), "requests that wait at a replica"));
}
