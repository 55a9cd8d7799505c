//! How is a candidate said to its engine?
//!
//! Command lines of vLLM, SGLang and TensorRT-LLM as their own documentation gives them (Triton's: `triton`). It knows nothing of pods, nor under
//! which names an engine reports (`metrics`).

use super::object::{count, decimal};
use super::server::Server;
use super::{EmitError, Warning, ranks, triton};
use capstan_types::catalog::{Engine, EngineFamily};
use capstan_types::hardware::Precision;
use capstan_types::spec::{Draft, Routing};

/// Port of the HTTP interface, metrics included.
pub(super) const HTTP_PORT: u16 = 8000;

/// Port at which Ray gathers the nodes of a vLLM replica (Ray's default).
const RAY_PORT: u16 = 6379;

/// Port at which SGLang gathers the nodes of a replica (as in its multi-node examples).
const SGLANG_PORT: u16 = 20_000;

/// Where the folder of options that have no flag is mounted.
pub(super) const OPTIONS_DIR: &str = "/etc/engine";

/// Name of the file of options that have no flag.
pub(super) const OPTIONS_FILE: &str = "options.yaml";

/// Engines whose command line is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Vllm,
    Sglang,
    TensorRtLlm,
    /// TensorRT-LLM, run by Triton.
    Triton,
}

/// How the processes of one replica are started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Launch {
    /// Program of the pod that answers.
    pub(super) command: Vec<String>,
    /// Its arguments.
    pub(super) args: Vec<String>,
    /// Program and arguments of the other pods of a replica, where it spans nodes.
    pub(super) worker: Option<(Vec<String>, Vec<String>)>,
    /// Options that have no flag, as YAML.
    pub(super) options: Option<String>,
}

impl Family {
    /// Returns the family of an engine row, where its command line is known; `triton` is whether Triton runs those that it can.
    pub(super) fn of(engine: &Engine, triton: bool) -> Option<Self> {
        match engine.family {
            EngineFamily::TensorRtLlm if triton => Some(Self::Triton),
            EngineFamily::Vllm => Some(Self::Vllm),
            EngineFamily::Sglang => Some(Self::Sglang),
            EngineFamily::TensorRtLlm => Some(Self::TensorRtLlm),
            EngineFamily::Other => None,
        }
    }

    /// Returns the name of the container.
    pub(super) fn container(self) -> &'static str {
        match self {
            Self::Vllm => "vllm",
            Self::Sglang => "sglang",
            Self::TensorRtLlm => "tensorrt-llm",
            Self::Triton => "triton",
        }
    }

    /// Returns whether TensorRT-LLM computes.
    fn is_tensorrt_llm(self) -> bool {
        matches!(self, Self::TensorRtLlm | Self::Triton)
    }

    /// Returns the paths by which it says that it can answer, and that it is alive.
    pub(super) fn health(self) -> (&'static str, &'static str) {
        match self {
            Self::Vllm | Self::Sglang | Self::TensorRtLlm => ("/health", "/health"),
            Self::Triton => triton::HEALTH,
        }
    }

    /// Returns the path below which it is asked.
    pub(super) fn asked_at(self) -> &'static str {
        match self {
            Self::Vllm | Self::Sglang | Self::TensorRtLlm => "/v1",
            Self::Triton => triton::ASKED_AT,
        }
    }

    /// Returns how the processes of a replica are started.
    pub(super) fn launch(
        self,
        server: &Server<'_>,
        warnings: &mut Vec<Warning>,
    ) -> Result<Launch, EmitError> {
        let settings = self.settings(server, warnings)?;
        match self {
            Self::Vllm => Ok(vllm(server, &settings)),
            Self::Sglang => Ok(sglang(server, &settings)),
            Self::TensorRtLlm => tensorrt_llm(server, &settings),
            Self::Triton => triton::launch(server, &settings),
        }
    }

    /// Returns how a replica answers the requests of a file into another; none where the engine has no command for that.
    pub(super) fn offline(
        self,
        server: &Server<'_>,
        (requests, answers): (&str, &str),
        warnings: &mut Vec<Warning>,
    ) -> Result<Option<Launch>, EmitError> {
        if self != Self::Vllm {
            return Ok(None);
        }
        let settings = self.settings(server, warnings)?;
        // `vllm run-batch` (docs.vllm.ai, offline inference with the OpenAI batch file format).
        let mut args = vec![flag("input-file", requests), flag("output-file", answers)];
        args.push(flag("model", &settings.model));
        args.extend(ranks::vllm(&server.placement.candidate));
        args.extend(vllm_arguments(server, &settings));
        Ok(Some(Launch { command: words(["vllm", "run-batch"]), args, worker: None, options: None }))
    }

    fn settings(self, server: &Server<'_>, warnings: &mut Vec<Warning>) -> Result<Settings, EmitError> {
        let weights = weights(server, self, warnings);
        warnings.extend(by_hand(server));
        Ok(Settings {
            model: model_name(server, warnings),
            context: context(server, warnings),
            cache: cache(server, self)?,
            weights,
        })
    }
}

/// What all engines are told, in their own words later.
pub(super) struct Settings {
    pub(super) model: String,
    pub(super) context: u32,
    /// Cache precision, where it differs from that of the activations.
    pub(super) cache: Option<Precision>,
    weights: Weights,
}

/// How weights come to the precision that was planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weights {
    /// As the checkpoint has them; the type of the activations is the engine's choice.
    Checkpoint,
    /// 16-bit floating point of this kind.
    Sixteen(Precision),
    /// Made 8-bit floating point while they are read.
    ToFp8,
}

fn is_sixteen_bit(precision: Precision) -> bool {
    matches!(precision, Precision::Fp16 | Precision::Bf16)
}

/// Returns how weights reach their precision; says so where another checkpoint is needed.
fn weights(server: &Server<'_>, family: Family, warnings: &mut Vec<Warning>) -> Weights {
    let (planned, published) = (server.placement.candidate.precision, server.model.published);
    if is_sixteen_bit(planned) && is_sixteen_bit(published) {
        return Weights::Sixteen(planned);
    }
    if planned == Precision::Fp8 && is_sixteen_bit(published) && !family.is_tensorrt_llm() {
        return Weights::ToFp8;
    }
    if planned != published {
        let message = format!(
            "planned with {} weights, published in {}: point the model argument at a checkpoint in {}",
            planned.word(),
            published.word(),
            planned.word()
        );
        warnings.push(Warning { subject: server.serve.name.clone(), message });
    }
    Weights::Checkpoint
}

/// Says what of the plan the engine is not told here, because it takes parts of its own: something that drafts, a cache
/// beside the accelerators, a router that knows prompts.
fn by_hand(server: &Server<'_>) -> Vec<Warning> {
    let mut messages = Vec::new();
    if let Some(speculative) = &server.serve.speculative {
        let drafts = match &speculative.draft {
            Draft::Model { model } => format!("the draft model {model}"),
            Draft::Cost { .. } => "its own heads or a look-up".to_owned(),
        };
        let tokens = speculative.tokens;
        messages.push(format!(
            "planned with {tokens} tokens drafted for each step by {drafts}: configure it in the engine"
        ));
    }
    if let Some(caching) = &server.serve.prefix_caching {
        if caching.host.is_some() || caching.disk.is_some() {
            messages
                .push("planned with a cache in host memory or on disk: connect the engine to one".to_owned());
        }
        if caching.routing != Routing::LeastOutstanding {
            let how = match server.part {
                Some(_) => "see that KServe's scheduler is one",
                None => "put one before the service",
            };
            messages.push(format!("planned with a router that knows prompts: {how}"));
        }
    }
    if let Some(delay) = server.serve.queue_delay {
        messages.push(format!(
            "planned with batches that are run to their end, of {} requests or after {:.0} ms: put a batcher such as Triton's before the engine",
            server.placement.candidate.max_sequences,
            delay.get() * 1e3
        ));
    }
    if let Some(background) = &server.serve.background {
        messages.push("planned with requests in the background: send them with `\"priority\": 1`".to_owned());
        if background.queue.is_some() {
            let limit =
                "planned with a limit on background requests that wait: turn them away before the service";
            messages.push(limit.to_owned());
        }
    }
    if let Some(adapters) = &server.serve.adapters {
        messages.push(format!(
            "planned with {} adapters of rank {}, {} at once: name them in the engine",
            adapters.count, adapters.rank, adapters.slots
        ));
    }
    let subject = &server.serve.name;
    messages.into_iter().map(|message| Warning { subject: subject.clone(), message }).collect()
}

/// Returns the cache precision where it is not that of the activations.
fn cache(server: &Server<'_>, family: Family) -> Result<Option<Precision>, EmitError> {
    match server.placement.candidate.kv_precision {
        Precision::Fp16 | Precision::Bf16 => Ok(None),
        Precision::Fp8 => Ok(Some(Precision::Fp8)),
        Precision::Int8 if family.is_tensorrt_llm() => Ok(Some(Precision::Int8)),
        other => Err(EmitError::UnsupportedCache {
            workload: server.serve.name.clone(),
            engine: server.engine.id.clone(),
            precision: other.word(),
        }),
    }
}

/// Returns the names under which a model hub knows a model.
fn hub_names<'a>(server: &Server<'a>) -> Vec<&'a String> {
    server.model.names.iter().filter(|name| name.contains('/')).collect()
}

/// Returns the name under which the model hub knows the model, where it does: the plan's own, else one that follows
/// instructions where there is one, since a base model has no chat template, else the first with an owner.
pub(super) fn hub_name<'a>(server: &Server<'a>) -> Option<&'a str> {
    if let Some(written) = &server.serve.checkpoint {
        return Some(written);
    }
    let hub = hub_names(server);
    let answers = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["instruct", "chat"].iter().any(|word| name.contains(word)) || name.ends_with("-it")
    };
    hub.iter().find(|name| answers(name)).or(hub.first()).map(|name| name.as_str())
}

/// Returns the name that the engine is given; says which others there are, or that a hub knows none.
fn model_name(server: &Server<'_>, warnings: &mut Vec<Warning>) -> String {
    if let Some(written) = &server.serve.checkpoint {
        return written.clone();
    }
    let (hub, chosen) = (hub_names(server), hub_name(server));
    let message = match chosen {
        Some(_) if hub.len() == 1 => None,
        Some(name) => {
            let others: Vec<&str> =
                hub.iter().filter(|other| **other != name).map(|other| other.as_str()).collect();
            Some(format!("serves {name}; checkpoints of the same size are {}", others.join(", ")))
        }
        None => Some(format!(
            "model `{}` has no name of the form owner/model, so the engine may not find its weights: add one to the catalog",
            server.model.id
        )),
    };
    warnings.extend(message.map(|message| Warning { subject: server.serve.name.clone(), message }));
    chosen.or(server.model.names.first().map(String::as_str)).unwrap_or(&server.model.id).to_owned()
}

/// Returns the longest sequence that the engine must take: the longest request in whole cache blocks, at most what
/// the model and the cache of one replica hold.
fn context(server: &Server<'_>, warnings: &mut Vec<Warning>) -> u32 {
    let (prompt, output) = server.longest_request();
    // SGLang refuses a request that fills its context to the last token.
    let spare = u32::from(server.engine.family == EngineFamily::Sglang);
    let longest = count(prompt.ceil() + output.ceil()).max(1).saturating_add(spare);
    let block = server.engine.block_tokens.max(1);
    let wanted = longest.div_ceil(block).saturating_mul(block);
    // A sequence lies in the cache of one group.
    let groups = u64::from(server.placement.candidate.data.max(1));
    let cached = u32::try_from(server.placement.estimate.kv_tokens / groups).unwrap_or(u32::MAX);
    let most = server.model.context.min(cached).max(1);
    if longest > most {
        let message = format!(
            "the longest request has {longest} tokens, but the model takes {} and the cache of a replica {cached}: longer requests are refused",
            server.model.context
        );
        warnings.push(Warning { subject: server.serve.name.clone(), message });
    }
    wanted.min(most)
}

pub(super) fn flag(name: &str, value: impl std::fmt::Display) -> String {
    format!("--{name}={value}")
}

pub(super) fn words<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.into_iter().map(str::to_owned).collect()
}

/// Returns the hub's name of the model of one part of a workload, and its engine's arguments as one line for a shell: all but
/// the ranks, and the connector that sends caches from part to part (docs.vllm.ai, NixlConnector).
pub(super) fn one_part(
    server: &Server<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<(String, String), EmitError> {
    let settings = Family::Vllm.settings(server, warnings)?;
    let mut args = vllm_arguments(server, &settings);
    args.extend(words(["--kv-transfer-config", r#"{"kv_connector":"NixlConnector","kv_role":"kv_both"}"#]));
    let args: Vec<String> = args.iter().map(|word| shell_word(word)).collect();
    Ok((settings.model, args.join(" ")))
}

/// Arguments of the engine itself, whether it serves or reads a file; those of its ranks stand apart.
fn vllm_arguments(server: &Server<'_>, settings: &Settings) -> Vec<String> {
    let candidate = &server.placement.candidate;
    let mut args = vec![flag("max-model-len", settings.context)];
    args.push(flag("max-num-seqs", candidate.max_sequences));
    args.push(flag("max-num-batched-tokens", candidate.step_tokens));
    args.push(flag("gpu-memory-utilization", decimal(server.engine.memory_utilization)));
    args.push(flag("dtype", dtype(settings.weights)));
    if settings.weights == Weights::ToFp8 {
        args.push(flag("quantization", "fp8"));
    }
    args.push(flag("kv-cache-dtype", if settings.cache.is_some() { "fp8" } else { "auto" }));
    if server.serve.background.is_some() {
        args.push(flag("scheduling-policy", "priority"));
    }
    args
}

/// `vllm serve` (docs.vllm.ai, engine arguments); over several nodes with Ray, as in its multi-node example.
fn vllm(server: &Server<'_>, settings: &Settings) -> Launch {
    let mut args = vec![settings.model.clone(), flag("host", "0.0.0.0"), flag("port", HTTP_PORT)];
    args.extend(ranks::vllm(&server.placement.candidate));
    args.extend(vllm_arguments(server, settings));
    let command = words(["vllm", "serve"]);
    if server.pods_per_replica() == 1 {
        return Launch { command, args, worker: None, options: None };
    }
    args.push(flag("distributed-executor-backend", "ray"));
    let serve: Vec<String> = command.iter().chain(&args).map(|word| shell_word(word)).collect();
    let lead = format!("ray start --head --port={RAY_PORT} && exec {}", serve.join(" "));
    // A worker may start before the leader's Ray does; one that gave up would restart the whole group.
    let follow =
        format!("until ray start --block --address=\"$LWS_LEADER_ADDRESS:{RAY_PORT}\"; do sleep 5; done");
    let shell = words(["bash", "-c"]);
    Launch { command: shell.clone(), args: vec![lead], worker: Some((shell, vec![follow])), options: None }
}

fn dtype(weights: Weights) -> &'static str {
    match weights {
        Weights::Sixteen(Precision::Fp16) => "float16",
        Weights::Sixteen(_) | Weights::ToFp8 => "bfloat16",
        Weights::Checkpoint => "auto",
    }
}

/// `python3 -m sglang.launch_server` (docs.sglang.ai, server arguments).
fn sglang(server: &Server<'_>, settings: &Settings) -> Launch {
    let candidate = &server.placement.candidate;
    let mut args =
        vec![flag("model-path", &settings.model), flag("host", "0.0.0.0"), flag("port", HTTP_PORT)];
    args.extend(ranks::sglang(candidate));
    args.push(flag("context-length", settings.context));
    // As planned: each token goes to the client as it comes.
    args.push(flag("stream-interval", 1));
    args.push(flag("mem-fraction-static", decimal(server.engine.memory_utilization)));
    args.push(flag("dtype", dtype(settings.weights)));
    if settings.weights == Weights::ToFp8 {
        args.push(flag("quantization", "fp8"));
    }
    args.push(flag("kv-cache-dtype", if settings.cache.is_some() { "fp8_e4m3" } else { "auto" }));
    args.push("--enable-metrics".to_owned());
    let command = words(["python3", "-m", "sglang.launch_server"]);
    if server.pods_per_replica() == 1 {
        return Launch { command, args, worker: None, options: None };
    }
    // One command for every rank; LeaderWorkerSet sets these variables, which the shell reads.
    let serve: Vec<String> = command.iter().chain(&args).map(|word| shell_word(word)).collect();
    let script = format!(
        "exec {} --nnodes=\"$LWS_GROUP_SIZE\" --node-rank=\"$LWS_WORKER_INDEX\" --dist-init-addr=\"$LWS_LEADER_ADDRESS:{SGLANG_PORT}\"",
        serve.join(" ")
    );
    let shell = words(["bash", "-c"]);
    Launch {
        command: shell.clone(),
        args: vec![script.clone()],
        worker: Some((shell, vec![script])),
        options: None,
    }
}

/// Refuses a replica over several nodes, which is not written for TensorRT-LLM.
pub(super) fn on_one_node(server: &Server<'_>) -> Result<(), EmitError> {
    if server.pods_per_replica() == 1 {
        return Ok(());
    }
    Err(EmitError::SpansNodes {
        workload: server.serve.name.clone(),
        engine: server.engine.id.clone(),
        nodes: server.pods_per_replica(),
    })
}

/// `trtllm-serve` (nvidia.github.io/TensorRT-LLM, commands); the cache type has no flag, so it goes to a file.
fn tensorrt_llm(server: &Server<'_>, settings: &Settings) -> Result<Launch, EmitError> {
    let candidate = &server.placement.candidate;
    on_one_node(server)?;
    let (ranks, of_ranks) = ranks::tensorrt_llm(candidate);
    let mut args = vec![settings.model.clone(), flag("host", "0.0.0.0"), flag("port", HTTP_PORT)];
    args.extend(ranks);
    args.extend([
        flag("max_seq_len", settings.context),
        flag("max_batch_size", candidate.max_sequences),
        flag("max_num_tokens", candidate.step_tokens),
        flag("kv_cache_free_gpu_memory_fraction", decimal(server.engine.memory_utilization)),
        flag("extra_llm_api_options", format!("{OPTIONS_DIR}/{OPTIONS_FILE}")),
    ]);
    let cache = settings.cache.map_or("auto", Precision::word);
    let options = format!("return_perf_metrics: true\n{of_ranks}kv_cache_config:\n  dtype: {cache}\n");
    Ok(Launch { command: words(["trtllm-serve"]), args, worker: None, options: Some(options) })
}

/// Returns a word that the shell takes as it is, quoted where it holds anything but plain characters.
pub(super) fn shell_word(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:,@".contains(character);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_cannot_be_tricked_by_a_model_name() {
        assert_eq!(shell_word("meta-llama/Llama-3.1-70B"), "meta-llama/Llama-3.1-70B");
        assert_eq!(shell_word("a; rm -rf /"), "'a; rm -rf /'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
