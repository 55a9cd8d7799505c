//! One serving step and its memory against what engines printed and what was measured.

use crate::data::{Row, number};
use capstan_sim::estimate::{self, Demand, Shortcuts};
use capstan_sim::perf::{PreparedStep, Ranks, Reason, ServingMemory, Setup, StepShape};
use capstan_types::catalog::Catalog;
use capstan_types::hardware::Precision;
use capstan_types::model::Model;
use capstan_types::testing;
use capstan_types::traffic::Lengths;
use capstan_types::units::Bytes;
use std::collections::BTreeMap;

/// Two cards of 24 GB and a 14B model in 16 bits: 131,072 tokens were refused; 81,536 fit. Other start-up logs are compared
/// with the built-in catalog in `tests/tables.rs`.
#[test]
fn a_context_that_the_engine_refused_is_refused() {
    let Some(models) = crate::data::models() else { return };
    let mut catalog = testing::catalog();
    let position = catalog.accelerators.iter().position(|a| a.id == "l40s").unwrap();
    catalog.accelerators[position].usable_memory = Some(Bytes(23.55 * 1_073_741_824.0));
    let mut engine = catalog.engine("vllm").unwrap().clone();
    engine.memory_utilization = 0.98;
    let setup = Setup {
        model: &models["qwen2.5-14b"],
        accelerator: catalog.accelerator("l40s").unwrap(),
        engine: &engine,
        ranks: Ranks::of(2, 1),
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

/// Which rows of the table a test asks for.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Dense,
    Mixture,
}

/// Returns the model of a row, if it is of the kind. The tables spell some models in two ways.
///
/// Left out: rows that split experts over ranks or attention over data, which the step does not, and
/// Qwen3-235B on vLLM 0.12, which follows no operator model.
fn model_of<'a>(models: &'a BTreeMap<String, Model>, row: &Row, kind: Kind) -> Option<&'a Model> {
    let model = models.get(&row["model"].replace("llama-3", "llama3"))?;
    let cell = |column: &str| number(row, column).unwrap_or(1.0);
    let plain = cell("attention_dp") <= 1.0 && (kind == Kind::Dense || cell("moe_ep") <= 1.0);
    (plain && model.experts.is_some() == (kind == Kind::Mixture)).then_some(model)
}

/// Returns the precision that runs: "fp8" mixtures are block-scaled, "nvfp4" of gpt-oss is mxfp4.
fn precision_of(row: &Row, kind: Kind) -> Precision {
    match (&*row["gemm_dtype"], kind) {
        ("fp8", Kind::Dense) => Precision::Fp8,
        ("fp8_block", _) | ("fp8", Kind::Mixture) => Precision::Fp8Block,
        ("nvfp4", Kind::Mixture) => Precision::Mxfp4,
        _ => Precision::Bf16,
    }
}

/// Returns the steady-state time per output token of a row in milliseconds.
fn tpot_ms(catalog: &Catalog, setup: &Setup<'_>, row: &Row) -> f64 {
    let cell = |column: &str| number(row, column).unwrap();
    let spread = if row["length_spread"].starts_with("uniform") { 0.9 } else { 1.0 };
    let (prompt, output) =
        (Lengths::fixed(spread * cell("input_tokens")), Lengths::fixed(cell("output_tokens_mean")));
    let demand = Demand {
        prompt: &prompt,
        output: &output,
        burstiness: 1.0,
        slos: &[],
        max_sequences: None,
        in_flight: None,
        step_tokens: None,
        shortcuts: Shortcuts::default(),
        background: 0.0,
        unseen_steps: 0.0,
    };
    let step = PreparedStep::prepare(catalog, setup).unwrap();
    let memory = ServingMemory::of(setup, demand.longest()).unwrap();
    let state = estimate::closed_loop(&step, &memory, setup, &demand, cell("concurrency") as u32).unwrap();
    // A scheduler that reads prompts first and lengths that are all the same stay in lockstep: prompts are read in
    // a row, and a request whose prompt was early waits for those behind it. On average it waits for half of them.
    let lockstep = setup.engine.id == "sglang" && spread == 1.0;
    let held = state.batch * (prompt.mean + output.mean / 2.0);
    let alone = step.step_ns(&StepShape::decode(state.batch, held)) / 1e6;
    if lockstep { f64::midpoint(alone, state.tpot.millis()) } else { state.tpot.millis() }
}

fn predictions(engine: &str, kind: Kind) -> Option<Vec<Measured>> {
    let (rows, models) = (crate::data::rows("truth/serving_latency.csv")?, crate::data::models()?);
    let catalog = testing::catalog();
    let mut errors = Vec::new();
    for row in rows.iter().filter(|row| row["engine"] == engine) {
        let Some(model) = model_of(&models, row, kind) else { continue };
        let known = ["h100_sxm", "h200_sxm", "a100_sxm_80gb"].contains(&&*row["accelerator"]);
        let Some(accelerator) = catalog.accelerator(&row["accelerator"]).filter(|_| known) else { continue };
        let setup = Setup {
            model,
            accelerator,
            engine: catalog.engine(engine).unwrap(),
            ranks: Ranks::of(number(row, "tp").unwrap() as u32, 1),
            precision: precision_of(row, kind),
            kv_precision: None,
        };
        errors.push(Measured {
            name: format!("{} {} tp{} {}", row["model"], row["accelerator"], row["tp"], row["gemm_dtype"]),
            tpot: tpot_ms(&catalog, &setup, row) / number(row, "tpot_ms").unwrap() - 1.0,
        });
    }
    Some(errors)
}

fn check_tpot(engine: &str, kind: Kind, at_most: f64) {
    let Some(errors) = predictions(engine, kind) else { return };
    let mut by_name = BTreeMap::<&str, Vec<f64>>::new();
    for error in &errors {
        by_name.entry(&error.name).or_default().push(error.tpot);
    }
    for (name, signed) in &by_name {
        let size = crate::data::median(signed.iter().map(|e| e.abs()).collect());
        let bias = crate::data::median(signed.clone());
        println!(
            "{engine} {name}: n {}, median |error| {:.1} %, bias {:+.1} %",
            signed.len(),
            size * 100.0,
            bias * 100.0
        );
    }
    let all = crate::data::median(errors.iter().map(|error| error.tpot.abs()).collect());
    println!("{engine}: {} rows, median |TPOT error| {:.1} %", errors.len(), all * 100.0);
    assert!(all <= at_most, "{engine}: {all}");
}

#[test]
fn steady_state_tpot_of_dense_models_follows_measurements_of_vllm() {
    check_tpot("vllm", Kind::Dense, 0.25);
}

#[test]
fn steady_state_tpot_of_dense_models_follows_measurements_of_sglang() {
    check_tpot("sglang", Kind::Dense, 0.10);
}

#[test]
fn steady_state_tpot_of_dense_models_follows_measurements_of_tensorrt_llm() {
    check_tpot("trtllm", Kind::Dense, 0.25);
}

#[test]
fn steady_state_tpot_of_mixtures_follows_measurements_of_vllm() {
    check_tpot("vllm", Kind::Mixture, 0.25);
}
