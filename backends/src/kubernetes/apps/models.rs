//! How is a program told which models it answers with? Triton and TensorFlow Serving, for models that are no language models.
//!
//! Flags, fields of configurations, paths and metrics are those of their documentation, recalled and not tried. It does not
//! know what lies on the volume of the models, which nobody makes here.

use super::super::engine::{flag, shell_word, words};
use super::super::metrics::TRITON_METRICS;
use super::super::object::{ConfigMap, Labels, Port, count, decimal, fnv, labels};
use super::super::pod::{ClaimRef, ConfigMapRef, EmptyDir, HttpGet, Mount, TcpSocket, Volume};
use super::super::{EmitError, Files, Frame, Wave};
use super::{APP_PORT, Runner};
use capstan_types::spec::{ModelServer, ServerKind, Slice};

/// Folder in which the program looks for models.
const MODELS: &str = "/models";

/// Folder of the volume, where what the program reads is put together from that and from the plan.
const VOLUME: &str = "/volume";

/// Folder of the configuration.
const CONFIG: &str = "/etc/models";

/// Where TensorFlow Serving shows its metrics, at the port at which it answers (the path of its own examples).
const TF_METRICS: &str = "/monitoring/prometheus/metrics";

/// Share of the memory of an accelerator that instances which share its time divide among themselves; the rest is for the
/// driver, which keeps something for each. Origin: Assumed.
const SHARED_MEMORY: f64 = 0.9;

/// How a container that answers with models is started.
pub(super) struct Program {
    pub(super) command: Vec<String>,
    pub(super) args: Vec<String>,
    pub(super) mounts: Vec<Mount>,
    pub(super) volumes: Vec<Volume>,
}

/// Where a program shows its metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Metrics {
    /// Name of the container's port.
    pub(in super::super) name: &'static str,
    pub(in super::super) port: u16,
    pub(in super::super) path: &'static str,
}

/// Returns where a program shows its metrics.
pub(super) fn metrics(models: &ModelServer) -> Metrics {
    match models.server {
        ServerKind::Triton => Metrics { name: "metrics", port: TRITON_METRICS, path: "/metrics" },
        ServerKind::TfServing => {
            Metrics { name: APP_PORT, port: models.server.http_port(), path: TF_METRICS }
        }
    }
}

/// What is asked to know whether an instance can answer, and whether it is alive.
pub(super) struct Health {
    pub(super) ready: HttpGet,
    /// Over HTTP or over TCP.
    pub(super) live: (Option<HttpGet>, Option<TcpSocket>),
}

/// Returns what tells whether a program can answer: when all its models are loaded.
pub(super) fn health(models: &ModelServer) -> Health {
    let get = |path: String| HttpGet { path: path.into(), port: Port::Name(APP_PORT) };
    match models.server {
        ServerKind::Triton => Health {
            ready: get("/v2/health/ready".to_owned()),
            live: (Some(get("/v2/health/live".to_owned())), None),
        },
        // It listens when the models that it was started with are loaded, and has no path for its health.
        ServerKind::TfServing => Health {
            ready: get(format!("/v1/models/{}", models.names.first().map_or("", String::as_str))),
            live: (None, Some(TcpSocket { port: Port::Name(APP_PORT) })),
        },
    }
}

/// Returns how the models of a service are answered with; adds the configuration that the program reads.
pub(super) fn add(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    models: &ModelServer,
    files: &mut Files,
) -> Result<Program, EmitError> {
    let message = format!(
        "it reads {} from the volume `{}`, which is not made here: put a folder for each there, and let all its machines mount it",
        models.names.join(", "),
        models.volume
    );
    files.warn(&runner.run.workload, message);
    match models.server {
        ServerKind::Triton => triton(frame, runner, models, files),
        ServerKind::TfServing => tf_serving(frame, runner, models, files),
    }
}

/// `tritonserver` (docs.nvidia.com, Triton user guide: model repository, model management, model configuration).
fn triton(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    models: &ModelServer,
    files: &mut Files,
) -> Result<Program, EmitError> {
    let mut args = vec![
        flag("model-repository", MODELS),
        flag("http-port", models.server.http_port()),
        flag("grpc-port", models.server.grpc_port()),
        flag("metrics-port", TRITON_METRICS),
        flag("model-control-mode", "explicit"),
    ];
    args.extend(models.names.iter().map(|name| flag("load-model", name)));
    let Some(most) = models.max_batch else {
        return Ok(Program {
            command: words(["tritonserver"]),
            args,
            mounts: vec![models_mount(MODELS)],
            volumes: vec![models_volume(models)],
        });
    };
    let delay = delay_us(models);
    let config =
        format!("max_batch_size: {most}\ndynamic_batching {{\n  max_queue_delay_microseconds: {delay}\n}}\n");
    let name = add_config(frame, runner, labels([("config.pbtxt", &config)]), files)?;
    // Triton reads limits from the folder of a model only, so each is put together: what lies on the volume, and what is
    // planned where that has no configuration of its own. Triton completes it by the model's own inputs and outputs.
    let names: Vec<String> = models.names.iter().map(|name| shell_word(name)).collect();
    let script = format!(
        "set -e
for model in {}; do
  mkdir -p \"{MODELS}/$model\"
  ln -sfn \"{VOLUME}/$model\"/* \"{MODELS}/$model\"
  test -e \"{MODELS}/$model/config.pbtxt\" || cp {CONFIG}/config.pbtxt \"{MODELS}/$model\"
done
exec \"$0\" \"$@\"
",
        names.join(" ")
    );
    let mut command = words(["sh", "-c"]);
    command.extend([script, "tritonserver".to_owned()]);
    let together = EmptyDir { medium: None, size_limit: "64Mi".to_owned() };
    Ok(Program {
        command,
        args,
        mounts: vec![
            models_mount(VOLUME),
            Mount { name: "together", mount_path: MODELS.into(), read_only: false },
            config_mount(),
        ],
        volumes: vec![
            models_volume(models),
            Volume { empty_dir: Some(together), ..Volume::named("together") },
            config_volume(name),
        ],
    })
}

/// `tensorflow_model_server` (tensorflow.org, Serving configuration; its batching guide).
fn tf_serving(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    models: &ModelServer,
    files: &mut Files,
) -> Result<Program, EmitError> {
    let mut data = Labels::new();
    let rows: String = models
        .names
        .iter()
        .map(|name| {
            let folder = format!("{MODELS}/{name}");
            format!(
                "  config {{\n    name: {name:?}\n    base_path: {folder:?}\n    model_platform: \"tensorflow\"\n  }}\n"
            )
        })
        .collect();
    data.insert("models.config".to_owned(), format!("model_config_list {{\n{rows}}}\n"));
    data.insert(
        "monitoring.config".to_owned(),
        format!("prometheus_config {{\n  enable: true\n  path: {TF_METRICS:?}\n}}\n"),
    );
    let mut args = vec![
        flag("port", models.server.grpc_port()),
        flag("rest_api_port", models.server.http_port()),
        flag("model_config_file", format!("{CONFIG}/models.config")),
        flag("monitoring_config_file", format!("{CONFIG}/monitoring.config")),
    ];
    if let Some(most) = models.max_batch {
        let delay = delay_us(models);
        // Without a number it takes all threads of the machine, of which others have theirs.
        let threads = count(runner.app.threads).max(1);
        data.insert(
            "batching.config".to_owned(),
            format!(
                "max_batch_size {{ value: {most} }}\nbatch_timeout_micros {{ value: {delay} }}\nnum_batch_threads {{ value: {threads} }}\n"
            ),
        );
        args.extend([
            flag("enable_batching", true),
            flag("batching_parameters_file", format!("{CONFIG}/batching.config")),
        ]);
    }
    if matches!(runner.run.part, Some(Slice::Share { .. })) {
        // It takes the memory of the whole accelerator, unless it is told otherwise.
        let share = SHARED_MEMORY / f64::from(runner.run.per_accelerator.max(1));
        args.push(flag("per_process_gpu_memory_fraction", decimal(share)));
    }
    let name = add_config(frame, runner, data, files)?;
    Ok(Program {
        command: words(["tensorflow_model_server"]),
        args,
        mounts: vec![models_mount(MODELS), config_mount()],
        volumes: vec![models_volume(models), config_volume(name)],
    })
}

/// Returns the microseconds that a request waits for others.
fn delay_us(models: &ModelServer) -> u32 {
    models.queue_delay.map_or(0, |delay| count(delay.get() * 1e6))
}

/// Adds the configuration; its name follows from what it holds, so that pods start again when that changes.
fn add_config(
    frame: &Frame<'_>,
    runner: &Runner<'_>,
    data: Labels,
    files: &mut Files,
) -> Result<String, EmitError> {
    let text: String = data.iter().flat_map(|(file, text)| [file.as_str(), "\n", text]).collect();
    let name = format!("{}-models-{:08x}", runner.name, fnv(&text));
    let metadata = frame.meta(&name, Wave::Config, &runner.labels());
    let object = ConfigMap { api_version: "v1", kind: "ConfigMap", metadata, data };
    let note = "which models are served, and how many requests at once.";
    files.add(Wave::Config, &runner.folder(), ("ConfigMap", &name), note, &object)?;
    Ok(name)
}

fn models_mount(folder: &'static str) -> Mount {
    Mount { name: "models", mount_path: folder.into(), read_only: true }
}

fn models_volume(models: &ModelServer) -> Volume {
    let claim = ClaimRef { claim_name: models.volume.clone() };
    Volume { persistent_volume_claim: Some(claim), ..Volume::named("models") }
}

fn config_mount() -> Mount {
    Mount { name: "config", mount_path: CONFIG.into(), read_only: true }
}

fn config_volume(name: String) -> Volume {
    Volume { config_map: Some(ConfigMapRef { name }), ..Volume::named("config") }
}
