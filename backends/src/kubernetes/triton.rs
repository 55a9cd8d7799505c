//! How does Triton run TensorRT-LLM?
//!
//! By the model of its image that hands requests on to TensorRT-LLM's own scheduler (the LLM API, `all_models/llmapi`): it
//! reads a checkpoint as `trtllm-serve` does, and no engine is built before. What was planned goes into the file that this
//! model reads. Paths in the image, fields of that file, flags and the name of the model are recalled from the documentation of
//! Triton's TensorRT-LLM backend, and were not tried.

use super::EmitError;
use super::engine::{HTTP_PORT, Launch, OPTIONS_DIR, OPTIONS_FILE, Settings, flag, on_one_node, words};
use super::metrics::TRITON_METRICS;
use super::object::decimal;
use super::ranks;
use super::server::Server;
use capstan_types::hardware::Precision;

/// Where it says that its model is loaded, and that it is alive.
pub(super) const HEALTH: (&str, &str) = ("/v2/health/ready", "/v2/health/live");

/// Where it is asked: `/generate` below, or `/generate_stream`.
pub(super) const ASKED_AT: &str = "/v2/models/tensorrt_llm";

/// What a container runs before Triton: the model of the image, in a folder of its own, with what was planned. It stands
/// there again after a container has ended, so it is made anew.
const PREPARE: &str = r#"set -e
rm -rf /tmp/models
cp -R /app/all_models/llmapi /tmp/models
cp "$1" /tmp/models/tensorrt_llm/1/model.yaml
shift
exec "$0" "$@"
"#;

/// Returns how the process of a replica is started. It is asked over HTTP only, since all that stands before it, limits of a
/// mesh among them, is of that port.
pub(super) fn launch(server: &Server<'_>, settings: &Settings) -> Result<Launch, EmitError> {
    on_one_node(server)?;
    let mut command = words(["sh", "-c"]);
    command.extend([PREPARE.to_owned(), "tritonserver".to_owned()]);
    let args = vec![
        format!("{OPTIONS_DIR}/{OPTIONS_FILE}"),
        flag("model-repository", "/tmp/models"),
        flag("http-port", HTTP_PORT),
        flag("allow-grpc", false),
        flag("metrics-port", TRITON_METRICS),
    ];
    Ok(Launch { command, args, worker: None, options: Some(options(server, settings)) })
}

/// Returns the file of the model: the limits that were planned are those of TensorRT-LLM, which forms the batches, and Triton
/// forms none.
fn options(server: &Server<'_>, settings: &Settings) -> String {
    let candidate = &server.placement.candidate;
    let cache = settings.cache.map_or("auto", Precision::word);
    format!(
        "model: {:?}
backend: pytorch
{}max_seq_len: {}
max_batch_size: {}
max_num_tokens: {}
kv_cache_config:
  free_gpu_memory_fraction: {}
  dtype: {cache}
triton_config:
  max_batch_size: 0
  decoupled: true
",
        settings.model,
        ranks::triton(candidate),
        settings.context,
        candidate.max_sequences,
        candidate.step_tokens,
        decimal(server.engine.memory_utilization),
    )
}
