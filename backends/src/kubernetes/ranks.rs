//! How is an engine told over which accelerators a replica is spread?
//!
//! Groups of ranks with their own sequences (attention data parallelism) and experts that are dealt out to ranks have flags
//! of their own in each engine (docs.vllm.ai, "data parallel deployment" and "expert parallel deployment"; docs.sglang.ai,
//! server arguments; TensorRT-LLM, `attention_dp_config` of `torch/pyexecutor`).

use super::engine::flag;
use capstan_types::blueprint::Candidate;
use capstan_types::degrees::LONGEST_HOLD;
use serde_json::{Value, json};

/// Flags of vLLM; experts are dealt out to all ranks of a stage or to none.
pub(super) fn vllm(candidate: &Candidate) -> Vec<String> {
    let Candidate { tensor, pipeline, data, expert, .. } = *candidate;
    let mut args = vec![flag("tensor-parallel-size", tensor), flag("pipeline-parallel-size", pipeline)];
    if data > 1 {
        args.push(flag("data-parallel-size", data));
    }
    if expert > 1 {
        args.push("--enable-expert-parallel".to_owned());
    }
    args
}

/// Flags of SGLang, whose limits hold for all groups together: sequences at once and tokens of a step too.
pub(super) fn sglang(candidate: &Candidate) -> Vec<String> {
    let Candidate { pipeline, data, expert, max_sequences, step_tokens, .. } = *candidate;
    let of_all = |limit: u32| limit.saturating_mul(data);
    let mut args = vec![flag("tp-size", candidate.degrees().of_stage()), flag("pp-size", pipeline)];
    if data > 1 {
        args.extend([flag("dp-size", data), "--enable-dp-attention".to_owned()]);
    }
    if expert > 1 {
        args.push(flag("ep-size", expert));
    }
    args.push(flag("max-running-requests", of_all(max_sequences)));
    args.push(flag("chunked-prefill-size", of_all(step_tokens)));
    args
}

/// What Triton's file of options says of the ranks of TensorRT-LLM (arguments of its `LLM`).
pub(super) fn triton(candidate: &Candidate) -> String {
    let (_, of_ranks) = tensorrt_llm(candidate);
    let (tensor, pipeline) = (candidate.degrees().of_stage(), candidate.pipeline);
    let mut options = format!("tensor_parallel_size: {tensor}\npipeline_parallel_size: {pipeline}\n");
    if candidate.expert > 1 {
        options += &format!("moe_expert_parallel_size: {}\n", candidate.expert);
    }
    options + &of_ranks
}

/// Flags of TensorRT-LLM, and what of its ranks only its file of options says.
pub(super) fn tensorrt_llm(candidate: &Candidate) -> (Vec<String>, String) {
    let Candidate { pipeline, data, expert, .. } = *candidate;
    let mut args = vec![flag("tp_size", candidate.degrees().of_stage()), flag("pp_size", pipeline)];
    if expert > 1 {
        args.push(flag("ep_size", expert));
    }
    let options = if data > 1 {
        format!(
            "enable_attention_dp: true\nattention_dp_config:\n  enable_balance: true\n  timeout_iters: {LONGEST_HOLD}\n"
        )
    } else {
        String::new()
    };
    (args, options)
}

/// Returns the `parallelism` of a part of a workload of KServe.
pub(super) fn kserve(candidate: &Candidate) -> Value {
    let Candidate { tensor, pipeline, data, expert, .. } = *candidate;
    let mut parallelism = json!({ "tensor": tensor });
    if pipeline > 1 {
        parallelism["pipeline"] = json!(pipeline);
    }
    if data > 1 {
        // All groups stand in one pod.
        parallelism["data"] = json!(data);
        parallelism["dataLocal"] = json!(data);
    }
    if expert > 1 {
        parallelism["expert"] = json!(true);
    }
    parallelism
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(tensor: u32, data: u32, expert: u32) -> Candidate {
        let blueprint = capstan_types::testing::blueprint::chat_blueprint();
        let base = blueprint.services[0].placements[0].candidate.clone();
        Candidate { tensor, data, expert, pipeline: 1, max_sequences: 64, step_tokens: 2048, ..base }
    }

    #[test]
    fn what_is_divided_in_one_way_has_the_usual_flags_only() {
        let plain = candidate(4, 1, 1);
        assert_eq!(vllm(&plain), ["--tensor-parallel-size=4", "--pipeline-parallel-size=1"]);
        let sglang = sglang(&plain);
        assert_eq!(sglang[..2], ["--tp-size=4", "--pp-size=1"]);
        assert_eq!(sglang[2..], ["--max-running-requests=64", "--chunked-prefill-size=2048"]);
        assert_eq!(
            tensorrt_llm(&plain),
            (vec!["--tp_size=4".to_owned(), "--pp_size=1".to_owned()], String::new())
        );
        assert_eq!(kserve(&plain), json!({ "tensor": 4 }));
    }

    #[test]
    fn groups_and_experts_are_told_as_each_engine_counts_them() {
        let spread = candidate(2, 4, 8);
        let all = ["--tensor-parallel-size=2", "--pipeline-parallel-size=1", "--data-parallel-size=4"];
        assert_eq!(vllm(&spread)[..3], all);
        assert_eq!(vllm(&spread)[3], "--enable-expert-parallel");
        let all = ["--tp-size=8", "--pp-size=1", "--dp-size=4", "--enable-dp-attention", "--ep-size=8"];
        assert_eq!(sglang(&spread)[..5], all);
        assert_eq!(sglang(&spread)[5..], ["--max-running-requests=256", "--chunked-prefill-size=8192"]);
        let (args, options) = tensorrt_llm(&candidate(1, 8, 8));
        assert_eq!(args, ["--tp_size=8", "--pp_size=1", "--ep_size=8"]);
        assert!(options.starts_with("enable_attention_dp: true\nattention_dp_config:\n"), "{options}");
        let options = triton(&candidate(1, 8, 8));
        let ranks = "tensor_parallel_size: 8\npipeline_parallel_size: 1\nmoe_expert_parallel_size: 8\nenable_attention_dp: true\n";
        assert!(options.starts_with(ranks), "{options}");
        let parallelism = kserve(&candidate(1, 8, 8));
        assert_eq!(parallelism, json!({ "tensor": 1, "data": 8, "dataLocal": 8, "expert": true }));
    }
}
