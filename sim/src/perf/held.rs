//! What does an engine hold back of a device beside weights and cache?
//!
//! Four things, each with a reason and none fitted to a single model: the context and runtime; buffers of collectives
//! where several ranks work together; the peak of activations in the largest step that the engine profiles; and the
//! copies of the logits that its sampler makes of all sequences at once. SGLang leaves the last two to the share of the
//! device that it does not touch. Not known here: graphs that an engine captures after it has sized its cache, other
//! programs on the device, and fragmentation.
//!
//! Origin of the rules: start-up logs of vLLM 0.2.5 to 0.22 and SGLang (see the test on `kv_sizes`), and the profiling
//! code of vLLM: `determine_available_memory` runs a step of `max_num_batched_tokens` tokens, then samples
//! `max_num_seqs` sequences.

use super::memory::Limits;
use super::parameters::kv_heads_per_rank;
use super::rejection::Reason;
use super::split::Split;
use capstan_types::catalog::{Engine, EngineFamily};
use capstan_types::hardware::ScaleUpKind;
use capstan_types::model::Model;
use capstan_types::units::Bytes;

/// What is held back, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Held {
    /// Context, runtime and what an engine is fitted to hold back beside the rest.
    pub context: Bytes,
    /// Buffers of collectives.
    pub collectives: Bytes,
    /// Activations of the largest step.
    pub activations: Bytes,
    /// Copies of logits.
    pub sampler: Bytes,
}

impl Held {
    /// Returns the sum.
    pub fn sum(&self) -> Bytes {
        self.context + self.collectives + self.activations + self.sampler
    }

    /// Returns what one rank holds back where `ranks` accelerators with links of that kind work together.
    pub fn of(
        engine: &Engine,
        model: &Model,
        split: &Split,
        (ranks, links): (u32, ScaleUpKind),
        limits: Limits,
    ) -> Self {
        // Collectives of one kernel, with buffers on every peer, exist over direct links only.
        let collectives = match links {
            _ if ranks <= 1 => 0.0,
            ScaleUpKind::Pcie | ScaleUpKind::Bridge => HOST_BUS * engine.reserved_parallel_bytes,
            ScaleUpKind::Switched | ScaleUpKind::Mesh | ScaleUpKind::Torus => engine.reserved_parallel_bytes,
        };
        let tokens = f64::from(limits.step_tokens);
        let logits = f64::from(limits.max_sequences) * f64::from(model.vocab);
        Self {
            context: Bytes(engine.reserved_bytes),
            collectives: Bytes(collectives),
            activations: Bytes(engine.activation_factor * 2.0 * tokens * values_per_token(model, split)),
            sampler: Bytes(engine.sampler_bytes * logits),
        }
    }
}

/// What one worker of an engine holds of its host whatever the model: libraries, context, pinned buffers (by judgement).
const WORKER: Bytes = Bytes(3.0 * 1_073_741_824.0);
/// Files of published checkpoints are hardly larger; a worker reads one after another.
const FILE: Bytes = Bytes(5e9);
/// Share of a host's memory that its own programs leave.
const HOST_SAFE: f64 = 0.9;

/// Returns how many of at most `replicas` replicas a host has memory for, each with `workers` workers on it that load
/// `weights` each.
///
/// # Errors
/// [`Reason::HostTooSmall`] where there is none for one.
pub fn replicas_of_host(weights: Bytes, workers: u32, replicas: u32, host: Bytes) -> Result<u32, Reason> {
    let each = WORKER.get() + weights.get().clamp(0.0, FILE.get());
    let (needed, free) = (Bytes(each * f64::from(workers.max(1))), host * HOST_SAFE);
    let held = (free.get() / needed.get()).floor();
    if held < 1.0 {
        return Err(Reason::HostTooSmall { needed, free });
    }
    Ok(replicas.min(held.min(f64::from(u32::MAX)) as u32))
}

/// Share of the buffers of collectives that remains over the host bus. Origin: start-up logs of two RTX 4090, two T4 and
/// two RTX 3090.
const HOST_BUS: f64 = 0.5;

/// Returns the values in 16 bits that one token has in flight inside its largest layer on one rank: residual and norm,
/// projections of attention, and the wider of a dense feed-forward part and the visited experts with their outputs.
fn values_per_token(model: &Model, split: &Split) -> f64 {
    let t = f64::from(split.tensor.max(1));
    let hidden = f64::from(model.hidden);
    let heads = f64::from(model.heads) / t;
    let attention = match model.latent {
        Some(latent) => {
            let up = heads * f64::from(latent.nope + latent.value);
            f64::from(latent.query_rank) + latent.cached() + heads * f64::from(latent.nope + latent.rope) + up
        }
        None => (2.0 * heads + 2.0 * kv_heads_per_rank(model, split.tensor)) * f64::from(model.head_dim),
    };
    let matrices = model.matrices();
    let dense = if model.dense_layers() > 0 { matrices * f64::from(model.ffn) / t } else { 0.0 };
    let sparse = model.experts.map_or(0.0, |experts| {
        // A rank computes the visits to its own experts; outputs are kept for all.
        let width = f64::from(experts.width) / f64::from((split.expert_tensor * split.expert).max(1));
        let shared = f64::from(experts.shared) * f64::from(experts.shared_width) / t;
        f64::from(experts.active) * (matrices * width + model.expert_hidden()) + matrices * shared
    });
    2.0 * hidden + attention + dense.max(sparse)
}

/// The version of an engine as logs print it: `0.2.5 (2023-12)`, `~0.10`, `0.9.x`; nothing where that is a date.
pub fn version(text: &str) -> Option<(u32, u32)> {
    let text = text.trim_start_matches(|c: char| !c.is_ascii_digit());
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    let (major, minor) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    (major < 2000).then_some((major, minor))
}

/// Returns an engine with the memory of an older version of it, and the limits that it starts with on a device where a
/// request holds up to `context` tokens.
///
/// vLLM before 0.8 computes without compiled graphs, whose planner shares buffers, and runs 256 sequences; before 0.6 a
/// prompt is one step, so that the longest decides. TensorRT-LLM before 0.20 builds an engine whose activations are
/// fixed and small, and has no sampler of its own to profile: one log (7B on an A100) leaves 0.8 GiB.
pub fn as_of_version(engine: &Engine, limits: Limits, printed: &str, context: u32) -> (Engine, Limits) {
    let (mut engine, mut limits) = (engine.clone(), limits);
    let Some(version) = version(printed) else { return (engine, limits) };
    match engine.family {
        EngineFamily::Vllm if version < (0, 8) => {
            engine.activation_factor *= 1.5;
            limits.max_sequences = limits.max_sequences.min(256);
            // From 0.6 on prompts of long-context models are cut into pieces.
            let whole = version < (0, 6) || context <= 32_768;
            limits.step_tokens = if whole { context.max(2048) } else { 2048 };
        }
        EngineFamily::TensorRtLlm if version < (0, 20) => {
            engine.reserved_bytes = engine.reserved_bytes.min(1e9);
            engine.reserved_parallel_bytes = engine.reserved_parallel_bytes.min(1e9);
        }
        _ => {}
    }
    (engine, limits)
}

/// Returns how much of its weights a rank of several still holds when an engine of that version sizes its cache.
///
/// vLLM before 0.6 asks the device what is free, so that blocks which loading and collectives left in the allocator
/// count as taken. Two logs say how much: a third of the weights with 0.2.5 on four A100 (70B), a tenth with 0.4.3 on two
/// T4 (6.7B). Each holds for its versions, which errs on the side of too small a cache.
pub fn left_by_loading(engine: &Engine, ranks: u32, printed: &str) -> f64 {
    match version(printed) {
        _ if engine.family != EngineFamily::Vllm || ranks <= 1 => 0.0,
        Some(version) if version < (0, 4) => 0.34,
        Some(version) if version < (0, 6) => 0.09,
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    #[test]
    fn versions_are_read_as_logs_print_them() {
        let known = [
            ("0.2.5 (2023-12)", (0, 2)),
            ("~0.10 (2025-07)", (0, 10)),
            ("0.9.x-0.10", (0, 9)),
            ("v1.2rc1", (1, 2)),
        ];
        for (text, wanted) in known {
            assert_eq!(version(text), Some(wanted), "{text}");
        }
        for date in ["2025-07", "2026-06", "", "nightly"] {
            assert_eq!(version(date), None, "{date}");
        }
    }

    #[test]
    fn loading_leaves_something_in_old_versions_of_several_ranks() {
        let engine = testing::engines().remove(2);
        let vllm = Engine { family: EngineFamily::Vllm, ..engine.clone() };
        assert_eq!(left_by_loading(&vllm, 4, "0.2.5 (2023-12)"), 0.34);
        assert_eq!(left_by_loading(&vllm, 2, "0.4.3"), 0.09);
        for (ranks, version) in [(1, "0.2.5"), (4, "0.6.0"), (4, "2025-07"), (4, "0.19.0")] {
            assert_eq!(left_by_loading(&vllm, ranks, version), 0.0, "{version}");
        }
        let other = Engine { family: EngineFamily::TensorRtLlm, ..engine };
        assert_eq!(left_by_loading(&other, 4, "0.2.5"), 0.0);
    }

    #[test]
    fn a_host_holds_as_many_replicas_as_it_has_memory_for() {
        let gib = |n: f64| Bytes(n * 1_073_741_824.0);
        let of = |workers, replicas, host| replicas_of_host(gib(40.0), workers, replicas, gib(host));
        assert_eq!(of(1, 8, 2048.0), Ok(8));
        // 3 GiB and a file of 5 GB each: seven of 64 GiB, less a tenth.
        assert_eq!(of(1, 8, 64.0), Ok(7));
        assert!(matches!(of(8, 1, 64.0), Err(Reason::HostTooSmall { .. })));
        assert_eq!(replicas_of_host(gib(1.0), 4, 2, gib(20.0)), Ok(1));
    }

    #[test]
    fn activations_grow_with_the_step_and_shrink_with_ranks() {
        let models = testing::models();
        let values = |t| values_per_token(&models[2], &Split::tensor(t));
        assert!(values(8) < values(1) && values(8) > 2.0 * 8192.0);
        let engine = Engine { activation_factor: 2.0, sampler_bytes: 31.0, ..testing::engines().remove(2) };
        let held = |step_tokens| {
            let limits = Limits { max_sequences: 256, step_tokens };
            Held::of(&engine, &models[2], &Split::tensor(4), (4, ScaleUpKind::Switched), limits)
        };
        assert_eq!(held(8192).activations, held(2048).activations * 4.0);
        assert_eq!(held(2048).sampler, Bytes(31.0 * 256.0 * 128_256.0));
        assert!(held(2048).collectives.get() > 0.0);
    }
}
