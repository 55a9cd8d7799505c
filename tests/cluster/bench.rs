//! A control plane of its own: built once, started on free ports with throw-away data, gone with the test program.

use capstan_planner::audit::audit;
use capstan_types::blueprint::Blueprint;
use capstan_types::testing::blueprint::chat_blueprint;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A control plane that runs.
pub struct Bench {
    /// Dies with its standard input: even a test program that is killed closes it.
    child: Child,
    _out: BufReader<ChildStdout>,
    _folder: tempfile::TempDir,
    control: String,
    pub admin: String,
    pub limited: String,
}

/// A door to the API server that counts what passes.
pub struct Door<'a> {
    bench: &'a Bench,
    number: u64,
    pub url: String,
}

/// What was asked and what came back.
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

/// Returns the binary, built if it must be; `None` where Go is missing and the test may be skipped. `assets` is a folder of
/// programs that are run in place of its own.
fn binary(assets: Option<&Path>) -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/control-plane");
    let mut build = Command::new(script);
    build.envs(assets.map(|folder| ("KUBEBUILDER_ASSETS", folder)));
    let done = build.stderr(Stdio::inherit()).output().expect("bash is there");
    if done.status.code() == Some(77) {
        let words = std::env::var_os("CAPSTAN_REQUIRE").unwrap_or_default();
        let required = words.to_string_lossy().contains("cluster");
        assert!(!required, "CAPSTAN_REQUIRE contains `cluster`, and Go is missing");
        return None;
    }
    assert!(done.status.success(), "scripts/control-plane fails");
    Some(PathBuf::from(String::from_utf8(done.stdout).expect("a path").trim()))
}

/// Returns the control plane that the tests share; `None` where they are skipped.
pub fn shared() -> Option<&'static Bench> {
    static SHARED: OnceLock<Option<Bench>> = OnceLock::new();
    let bench = SHARED.get_or_init(|| {
        let bench = Bench::start()?;
        let zone = |number: usize| ["us-east-1a", "us-east-1b"][number % 2];
        let nodes: Vec<Value> =
            (0..64).map(|number| node(&format!("machine-{number}"), zone(number))).collect();
        bench.machines(&Value::Array(nodes));
        Some(bench)
    });
    if bench.is_none() {
        println!("skipped: needs Go");
    }
    bench.as_ref()
}

/// A machine of the shared blueprint.
pub fn node(name: &str, zone: &str) -> Value {
    json!({
        "name": name,
        "labels": {
            "node.kubernetes.io/instance-type": "p5.48xlarge",
            "topology.kubernetes.io/region": "us-east-1",
            "topology.kubernetes.io/zone": zone,
        },
        "capacity": { "cpu": "192", "memory": "2Ti", "nvidia.com/gpu": "8" },
    })
}

/// The shared blueprint under a name and in a namespace of its own, without monitoring.
pub fn chat(name: &str) -> Blueprint {
    let mut blueprint = chat_blueprint();
    blueprint.inputs.spec.name = name.to_owned();
    let deploy = blueprint.inputs.spec.deploy.as_mut().expect("the shared plan deploys");
    deploy.namespace = name.to_owned();
    deploy.monitoring = false;
    audited(blueprint)
}

/// A changed blueprint with an audit of what it is now, or it would be refused as edited by hand.
pub fn audited(mut blueprint: Blueprint) -> Blueprint {
    blueprint.audit = audit(&blueprint);
    blueprint
}

/// The blueprint with other replicas at every hour.
pub fn with_replicas(blueprint: &Blueprint, hour: impl Fn(u32) -> u32) -> Blueprint {
    let mut changed = blueprint.clone();
    for replicas in changed.services[0].placements[0].replicas.iter_mut().flatten() {
        *replicas = hour(*replicas);
    }
    audited(changed)
}

impl Bench {
    /// Starts one; `None` where Go is missing.
    pub fn start() -> Option<Bench> {
        Self::start_with(None)
    }

    /// Starts one whose programs lie in a folder, where they are there.
    fn start_with(assets: Option<&Path>) -> Option<Bench> {
        let binary = binary(assets)?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new(binary)
            .arg("bench")
            .arg(folder.path())
            .envs(assets.map(|folder| ("KUBEBUILDER_ASSETS", folder)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the control plane starts");
        let mut out = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        out.read_line(&mut line).expect("it says how it is reached");
        let told: Value = serde_json::from_str(&line).expect("the control plane says how it is reached");
        let text = |name: &str| told[name].as_str().expect("told").to_owned();
        let (control, admin, limited) = (text("control"), text("admin"), text("limited"));
        Some(Bench { child, _out: out, _folder: folder, control, admin, limited })
    }

    /// Sets all machines.
    pub fn machines(&self, machines: &Value) {
        let answer = http("PUT", &format!("{}/machines", self.control), "", Some(machines));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Sets what becomes of the pods of a namespace: `ready`, `fail` or `never`.
    pub fn pods(&self, namespace: &str, fate: &str) {
        let wanted = json!({ "namespace": namespace, "fate": fate });
        assert_eq!(http("PUT", &format!("{}/pods", self.control), "", Some(&wanted)).status, 200);
    }

    /// Opens an admission webhook that refuses everything; returns where it is and its authority in base64.
    pub fn webhook(&self, message: &str) -> (String, String) {
        let url = format!("{}/webhooks", self.control);
        let answer = http("POST", &url, "", Some(&json!(message)));
        let text = |name: &str| answer.body[name].as_str().expect("told").to_owned();
        (text("url"), text("authority"))
    }

    /// Kills the store under the server and starts it again.
    pub fn restart_store(&self) {
        let answer = http("PUT", &format!("{}/store", self.control), "", Some(&json!({})));
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Opens a door.
    pub fn door(&self) -> Door<'_> {
        let answer = http("POST", &format!("{}/doors", self.control), "", Some(&json!({})));
        let number = answer.body["door"].as_u64().expect("a door has a number");
        Door {
            bench: self,
            number,
            url: answer.body["url"].as_str().expect("a door is somewhere").to_owned(),
        }
    }

    /// The process of the control plane.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Lets go of it as a test program does that is killed: its end of the pipe closes.
    pub fn let_go(mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Door<'_> {
    /// Sets what the door does, and counts anew.
    pub fn rules(&self, rules: &Value) {
        let url = format!("{}/doors/{}", self.bench.control, self.number);
        assert_eq!(http("PUT", &url, "", Some(rules)).status, 200);
    }

    /// Returns what passed since, as method, path and query.
    pub fn passed(&self) -> Vec<(String, String, String)> {
        let url = format!("{}/doors/{}", self.bench.control, self.number);
        let answer = http("GET", &url, "", None);
        let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let rows = answer.body.as_array().expect("a list");
        rows.iter().map(|row| (text(row, "method"), text(row, "path"), text(row, "query"))).collect()
    }

    /// Returns what passed and wrote something other than leases.
    pub fn writes(&self) -> Vec<String> {
        let writes = self.passed().into_iter().filter(|(method, path, query)| {
            method != "GET"
                && !query.contains("dryRun")
                && !path.contains("/leases")
                && !path.contains("accessreviews")
        });
        writes.map(|(method, path, _)| format!("{method} {path}")).collect()
    }

    /// Asks the server as its administrator.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        http(method, &format!("{}{path}", self.url), &self.bench.admin, body)
    }

    /// Returns an object, or nothing.
    pub fn object(&self, path: &str) -> Option<Value> {
        let answer = self.ask("GET", path, None);
        (answer.status == 200).then_some(answer.body)
    }

    /// Applies an object as somebody else, with force.
    pub fn change(&self, path: &str, manager: &str, object: &Value) -> Answer {
        self.ask(
            "PATCH",
            &format!("{path}?fieldManager={manager}&force=true&fieldValidation=Strict"),
            Some(object),
        )
    }

    /// Returns a kubeconfig that leads through this door.
    pub fn kubeconfig(&self, token: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: bench\nclusters: [{{name: bench, cluster: {{server: '{}'}}}}]\nusers: [{{name: who, user: {{token: '{token}'}}}}]\ncontexts: [{{name: bench, context: {{cluster: bench, user: who}}}}]\n",
            self.url
        )
    }
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(seconds), "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Asks over HTTP/1.0, so that the answer ends with the connection.
fn http(method: &str, url: &str, token: &str, body: Option<&Value>) -> Answer {
    let rest = url.strip_prefix("http://").expect("plain HTTP");
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let path = if path.is_empty() { "/" } else { path };
    let text = body.map(Value::to_string).unwrap_or_default();
    let kind = if method == "PATCH" { "application/apply-patch+yaml" } else { "application/json" };
    // In one piece: a server that answers before it has read everything may close the connection on the rest.
    let request = format!(
        "{method} {path} HTTP/1.0\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\nAccept: application/json\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{text}",
        text.len()
    );
    let mut stream = TcpStream::connect(host).expect("the bench listens");
    stream.write_all(request.as_bytes()).expect("the bench reads");
    let mut answer = Vec::new();
    if let Err(error) = stream.read_to_end(&mut answer) {
        assert!(!answer.is_empty(), "the bench does not answer: {error}");
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status");
    let body = serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned()));
    Answer { status, body }
}

#[test]
fn the_control_plane_runs_pods_and_dies_with_its_test() {
    let Some(bench) = Bench::start() else { return println!("skipped: needs Go") };
    bench.machines(&json!([node("one", "a")]));
    let door = bench.door();
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "namespace": "default" },
        "spec": { "containers": [{ "name": "c", "image": "x:1", "resources": { "limits": { "nvidia.com/gpu": "8" } } }] },
    });
    let path = "/api/v1/namespaces/default/pods";
    until("a pod can be created", 20, || door.ask("POST", path, Some(&pod)).status == 201);
    let phase = || door.object(&format!("{path}/p")).map(|pod| pod["status"]["phase"].clone());
    until("the pod runs", 20, || phase() == Some(json!("Running")));
    bench.pods("default", "fail");
    let reason = || {
        door.object(&format!("{path}/p"))
            .map(|pod| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone())
    };
    until("the pod fails", 20, || reason() == Some(json!("ImagePullBackOff")));
    door.ask("DELETE", &format!("{path}/p"), None);
    until("the pod is gone", 20, || door.object(&format!("{path}/p")).is_none());
    let process = bench.process();
    let children = || {
        let listed =
            Command::new("pgrep").args(["-P", &process.to_string()]).output().expect("pgrep is there");
        String::from_utf8_lossy(&listed.stdout).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let started = children();
    assert_eq!(started.len(), 4, "store, server, scheduler, controllers");
    bench.let_go();
    let runs = |process: &String| {
        let state = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z")
    };
    until("its processes are gone", 10, || !started.iter().any(runs));
}

#[test]
fn programs_of_a_folder_are_run_in_place_of_its_own() {
    if std::env::var_os("KUBEBUILDER_ASSETS").is_some() {
        return println!("all other tests run with such a folder already");
    }
    let Some(own) = binary(None) else { return println!("skipped: needs Go") };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let names = ["etcd", "kube-apiserver", "kube-scheduler", "kube-controller-manager"];
    for name in names {
        use std::os::unix::fs::PermissionsExt;
        let program = name.trim_start_matches("kube-");
        // Ours takes the configuration of etcd as its only argument.
        let arguments = if program == "etcd" { "\"${1#--config-file=}\"" } else { "\"$@\"" };
        let text = format!("#!/bin/sh\ntouch \"$0.ran\"\nexec '{}' {program} {arguments}\n", own.display());
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a program");
    }
    let bench = Bench::start_with(Some(folder.path())).expect("it starts with them");
    assert!(bench.door().object("/version").is_some());
    until("all four have run", 10, || {
        names.iter().all(|name| folder.path().join(format!("{name}.ran")).exists())
    });
}
