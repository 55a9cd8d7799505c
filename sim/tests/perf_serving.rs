//! One serving step and its memory against what engines printed and what was measured.

mod perf_data;

use capstan_sim::estimate::{self, Demand};
use capstan_sim::perf::{PreparedStep, Ranks, Reason, ServingMemory, Setup, StepShape};
use capstan_types::hardware::Precision;
use capstan_types::testing;
use capstan_types::traffic::Lengths;
use capstan_types::units::Bytes;
use perf_data::number;

/// Start-up logs of vLLM on dense full-attention models: tokens within 10 %.
///
/// Left out, with their reasons: KV11 (vLLM 0.2.5 right after a profiling fix holds back 13.7 GiB, four times any
/// later release) and KV35 (0.4.3 profiles 16,384 unchunked tokens on a 16 GB card: 4.9 GiB).
#[test]
fn kv_tokens_agree_with_start_up_logs() {
    let (Some(rows), Some(models)) = (perf_data::rows("truth/kv_sizes.csv"), perf_data::models()) else {
        return;
    };
    let mut catalog = testing::catalog();
    let mut card = catalog.accelerator("l40s").unwrap().clone();
    card.id = "rtx_4090".to_owned();
    card.usable_memory = Some(Bytes(23.55 * 1_073_741_824.0));
    catalog.accelerators.push(card);
    // The distilled 14B is Qwen2.5-14B with its own head.
    for (id, model, accelerator, utilization, context) in
        [("KV10", "llama2-7b", "a100_sxm_80gb", 0.9, 4096), ("KV17", "qwen2.5-14b", "rtx_4090", 0.98, 4096)]
    {
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        let tensor = number(row, "tp").unwrap() as u32;
        let mut engine = catalog.engine("vllm").unwrap().clone();
        engine.memory_utilization = utilization;
        let setup = Setup {
            model: &models[model],
            accelerator: catalog.accelerator(accelerator).unwrap(),
            engine: &engine,
            ranks: Ranks { tensor, pipeline: 1 },
            precision: Precision::Bf16,
            kv_precision: None,
        };
        let memory = ServingMemory::of(&setup, context).unwrap();
        let printed = number(row, "reported_kv_tokens").unwrap();
        let error = memory.kv_tokens() / printed - 1.0;
        println!("{id} {model}: {:.0} tokens against {printed}, {:+.1} %", memory.kv_tokens(), error * 100.0);
        assert!(error.abs() < 0.10, "{id}: {error:+.3}");
    }
}

/// The same card, model and flags: 131,072 tokens were refused; 81,536 fit.
#[test]
fn a_context_that_the_engine_refused_is_refused() {
    let Some(models) = perf_data::models() else { return };
    let mut catalog = testing::catalog();
    let position = catalog.accelerators.iter().position(|a| a.id == "l40s").unwrap();
    catalog.accelerators[position].usable_memory = Some(Bytes(23.55 * 1_073_741_824.0));
    let mut engine = catalog.engine("vllm").unwrap().clone();
    engine.memory_utilization = 0.98;
    let setup = Setup {
        model: &models["qwen2.5-14b"],
        accelerator: catalog.accelerator("l40s").unwrap(),
        engine: &engine,
        ranks: Ranks { tensor: 2, pipeline: 1 },
        precision: Precision::Bf16,
        kv_precision: None,
    };
    let refused = ServingMemory::of(&setup, 131_072).unwrap();
    assert!(matches!(refused.refusal(), Some(Reason::DoesNotFit { .. })), "{:?}", refused.fit);
    assert!(ServingMemory::of(&setup, 32_768).unwrap().refusal().is_none());
}

struct Measured {
    name: String,
    tpot: f64,
}

fn predictions(engine: &str) -> Option<Vec<Measured>> {
    let (rows, models) = (perf_data::rows("truth/serving_latency.csv")?, perf_data::models()?);
    let catalog = testing::catalog();
    let mut errors = Vec::new();
    for row in rows.iter().filter(|row| row["engine"] == engine) {
        // The tables spell one model in two ways.
        let name = row["model"].replace("llama-3", "llama3");
        let Some(model) = models.get(&name).filter(|model| model.experts.is_none()) else { continue };
        let Some(accelerator) = catalog.accelerator(&row["accelerator"]) else { continue };
        let cell = |column: &str| number(row, column).unwrap_or(0.0);
        if !["h100_sxm", "h200_sxm", "a100_sxm_80gb"].contains(&&*accelerator.id)
            || cell("attention_dp") > 1.0
        {
            continue;
        }
        let precision = match &*row["gemm_dtype"] {
            "fp8" => Precision::Fp8,
            "fp8_block" => Precision::Fp8Block,
            _ => Precision::Bf16,
        };
        let setup = Setup {
            model,
            accelerator,
            engine: catalog.engine(if engine == "trtllm" { "tensorrt_llm" } else { engine }).unwrap(),
            ranks: Ranks { tensor: cell("tp") as u32, pipeline: cell("pp").max(1.0) as u32 },
            precision,
            kv_precision: None,
        };
        let spread = if row["length_spread"].starts_with("uniform") { 0.9 } else { 1.0 };
        let (input, output) = (spread * cell("input_tokens"), cell("output_tokens_mean"));
        let (prompt, output) = (Lengths::fixed(input), Lengths::fixed(output));
        let demand = Demand {
            prompt: &prompt,
            output: &output,
            burstiness: 1.0,
            slos: &[],
            max_sequences: None,
            step_tokens: None,
        };
        let step = PreparedStep::prepare(&catalog, &setup).unwrap();
        let memory = ServingMemory::of(&setup, demand.longest()).unwrap();
        let state =
            estimate::closed_loop(&step, &memory, &setup, &demand, cell("concurrency") as u32).unwrap();
        // A scheduler that reads prompts first and lengths that are all the same stay in lockstep: prompts are read in
        // a row, and a request whose prompt was early waits for those behind it. On average it waits for half of them.
        let lockstep = engine == "sglang" && spread == 1.0;
        let held = state.batch * (demand.prompt.mean + demand.output.mean / 2.0);
        let alone = step.step_ns(&StepShape::decode(state.batch, held)) / 1e6;
        let tpot_ms = if lockstep { f64::midpoint(alone, state.tpot.millis()) } else { state.tpot.millis() };
        errors.push(Measured {
            name: format!("{} {} tp{} {}", row["model"], row["accelerator"], row["tp"], row["gemm_dtype"]),
            tpot: tpot_ms / cell("tpot_ms") - 1.0,
        });
    }
    Some(errors)
}

fn check_tpot(engine: &str, at_most: f64) {
    let Some(errors) = predictions(engine) else { return };
    let mut by_name = std::collections::BTreeMap::<&str, Vec<f64>>::new();
    for error in &errors {
        by_name.entry(&error.name).or_default().push(error.tpot);
    }
    for (name, signed) in &by_name {
        let size = perf_data::median(signed.iter().map(|e| e.abs()).collect());
        let bias = perf_data::median(signed.clone());
        println!(
            "{engine} {name}: n {}, median |error| {:.1} %, bias {:+.1} %",
            signed.len(),
            size * 100.0,
            bias * 100.0
        );
    }
    let all = perf_data::median(errors.iter().map(|error| error.tpot.abs()).collect());
    println!("{engine}: {} rows, median |TPOT error| {:.1} %", errors.len(), all * 100.0);
    assert!(all <= at_most, "{engine}: {all}");
}

#[test]
fn steady_state_tpot_of_dense_models_follows_measurements_of_vllm() {
    check_tpot("vllm", 0.25);
}

#[test]
fn steady_state_tpot_of_dense_models_follows_measurements_of_sglang() {
    check_tpot("sglang", 0.25);
}

#[test]
fn steady_state_tpot_of_dense_models_follows_measurements_of_tensorrt_llm() {
    check_tpot("trtllm", 0.25);
}
