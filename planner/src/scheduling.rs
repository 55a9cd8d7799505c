//! How does an engine form its steps? The engine of a plan in the simulator's words.

use capstan_sim::perf::memory::Limits;
use capstan_sim::serving::{KvCache, ServingConfig};
use capstan_types::blueprint::Candidate;
use capstan_types::catalog::{Engine, EngineFamily};
use capstan_types::spec::Serve;

/// Returns one replica as its engine runs it.
pub(crate) fn replica(
    serve: &Serve,
    engine: &Engine,
    candidate: &Candidate,
    cache: KvCache,
) -> ServingConfig {
    // Groups with their own sequences are one replica with the places and the steps of all.
    let of_all = |limit: u32| limit.saturating_mul(candidate.data);
    let (step_tokens, max_sequences) = (of_all(candidate.step_tokens), of_all(candidate.max_sequences));
    of(serve, engine, (step_tokens, max_sequences), cache).in_groups(candidate.data)
}

/// Returns how many steps an engine that is busy begins before it sees a request.
pub(crate) fn unseen_steps(serve: &Serve, engine: &Engine) -> f64 {
    f64::from(of(serve, engine, (1, 1), KvCache::new(1)).visibility_steps)
}

/// Returns a replica of so many tokens in a step and sequences.
fn of(serve: &Serve, engine: &Engine, (tokens, sequences): (u32, u32), cache: KvCache) -> ServingConfig {
    if let Some(delay) = serve.queue_delay {
        let delay_ns = (delay.get() * 1e9).round() as u64;
        return ServingConfig::static_batching(sequences, delay_ns, cache);
    }
    let of_engine = match family(serve, engine) {
        EngineFamily::Sglang => ServingConfig::sglang,
        EngineFamily::TensorRtLlm => ServingConfig::tensorrt_llm,
        EngineFamily::Vllm | EngineFamily::Other => ServingConfig::vllm,
    };
    of_engine(tokens, sequences, cache)
}

/// Returns the family whose scheduler is simulated: vLLM's where the engine's own does not know what the plan asks for.
fn family(serve: &Serve, engine: &Engine) -> EngineFamily {
    let simulated_with_vllm = serve.background.is_some() || serve.stage.is_some();
    if simulated_with_vllm { EngineFamily::Vllm } else { engine.family }
}

/// Returns the most tokens of a step: what the plan says, else the engine's own, and room for the longest prompt where it
/// does not cut prompts.
pub(crate) fn step_tokens(serve: &Serve, engine: &Engine, limits: Limits) -> u32 {
    let whole = family(serve, engine) == EngineFamily::TensorRtLlm;
    let longest = if whole { serve.load.prompt.quantile(1.0).ceil() as u32 } else { 0 };
    serve.step_tokens.unwrap_or_else(|| limits.step_tokens.max(longest))
}

/// Returns the most sequences at once: what the plan says, else the engine's own, each with a token in every step.
pub(crate) fn sequences(serve: &Serve, engine: &Engine, limits: Limits) -> u32 {
    serve.max_sequences.unwrap_or_else(|| limits.max_sequences.min(step_tokens(serve, engine, limits)))
}

/// Says where another scheduler than that of the engine is simulated.
pub(crate) fn assumption(serve: &Serve, engine: &Engine) -> Option<String> {
    let stands_in = family(serve, engine) != engine.family;
    stands_in.then(|| {
        format!(
            "`{}` is simulated with the scheduler of vLLM, since that of {} is not known with requests that yield, or in \
             two parts",
            serve.name, engine.id
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_sim::serving::Scheduler;
    use capstan_types::spec::{Adapters, Background};
    use capstan_types::testing;
    use capstan_types::units::{BytesPerSecond, Seconds};

    #[test]
    fn each_engine_is_simulated_as_it_forms_steps() {
        let blueprint = testing::blueprint::chat_blueprint();
        let (mut serve, candidate) =
            (blueprint.inputs.spec.serves[0].clone(), &blueprint.services[0].placements[0].candidate);
        let [sglang, tensorrt, vllm] = testing::engines().try_into().expect("three engines");
        let config = |serve: &Serve, engine: &Engine| replica(serve, engine, candidate, KvCache::new(100));
        assert!(matches!(config(&serve, &vllm).scheduler, Scheduler::Chunked { .. }));
        assert!(matches!(config(&serve, &sglang).scheduler, Scheduler::PrefillFirst { .. }));
        assert!(matches!(config(&serve, &tensorrt).scheduler, Scheduler::InFlight { .. }));
        assert_eq!(config(&serve, &tensorrt).reserved_output_per_mille, 1_000);
        assert!(assumption(&serve, &sglang).is_none());
        serve.queue_delay = Some(Seconds(0.02));
        assert_eq!(config(&serve, &vllm).scheduler, Scheduler::Static { queue_delay_ns: 20_000_000 });
        serve.queue_delay = None;
        // What only one scheduler knows is simulated with that one, and said.
        serve.adapters = Some(Adapters { count: 2, rank: 8, slots: 1, bandwidth: BytesPerSecond(1e9) });
        assert!(matches!(config(&serve, &sglang).scheduler, Scheduler::PrefillFirst { .. }));
        assert!(assumption(&serve, &sglang).is_none());
        serve.background = Some(Background { share: 0.2, queue: None });
        assert!(matches!(config(&serve, &sglang).scheduler, Scheduler::Chunked { .. }));
        assert!(assumption(&serve, &sglang).expect("said").contains("scheduler of vLLM"));
        assert!(assumption(&serve, &vllm).is_none());
    }

    #[test]
    fn an_engine_that_does_not_cut_prompts_has_room_for_the_longest() {
        let mut serve = testing::blueprint::chat_blueprint().inputs.spec.serves[0].clone();
        serve.load.prompt = capstan_types::traffic::Lengths::fixed(20_000.0);
        let limits = Limits { max_sequences: 256, step_tokens: 8_192 };
        let engines = testing::engines();
        let most = |serve: &Serve| {
            engines.iter().map(|engine| step_tokens(serve, engine, limits)).collect::<Vec<_>>()
        };
        assert_eq!(most(&serve), [8_192, 20_000, 8_192]);
        serve.step_tokens = Some(4_096);
        assert_eq!(most(&serve), [4_096; 3]);
        serve.step_tokens = Some(64);
        assert_eq!(sequences(&serve, &engines[2], limits), 64);
    }
}
