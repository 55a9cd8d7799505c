//! Nothing is faster than physics: random models, shapes, precisions, engines and every accelerator of the fixture.
//!
//! The floors here are counted from the sizes of the model alone, not from the operators that are priced.

use capstan_sim::perf::training::{self, Cluster, Job, Known, Layout, flops};
use capstan_sim::perf::{Device, PreparedStep, Ranks, Reason, ServingMemory, Setup, StepShape};
use capstan_types::catalog::Catalog;
use capstan_types::degrees::Degrees;
use capstan_types::hardware::Precision;
use capstan_types::model::{Experts, Latent, Model, Window};
use capstan_types::spec::Parallelism;
use capstan_types::testing;
use capstan_types::units::{BytesPerSecond, Tokens};
use proptest::prelude::*;

prop_compose! {
    fn dense_models()(
        layers in 1u32..100, width in 1u32..32, kv in 0u32..4, group in 0u32..4, head in 0usize..3,
        ffn in 1u32..16, vocab in 1000u32..200_000, gated: bool, tied: bool, window in proptest::option::of(0u32..3)
    ) -> Model {
        let mut model = testing::models().remove(3);
        model.layers = layers;
        model.hidden = width * 512;
        model.head_dim = [64, 128, 256][head];
        model.kv_heads = 1 << kv;
        model.heads = model.kv_heads << group;
        model.ffn = ffn * 2048;
        model.vocab = vocab;
        model.gated = gated;
        model.tied = tied;
        model.window = window.map(|w| Window { tokens: 128 << (2 * w), layers: layers / 2 });
        model
    }
}

prop_compose! {
    fn models()(
        model in dense_models(), mixture in 0u32..3, latent: bool, routed in 0u32..6, shared in 0u32..2
    ) -> Model {
        let mut model = model;
        if mixture > 0 {
            let layers = model.layers.div_ceil(mixture);
            let active = 1 << (routed / 2);
            model.experts =
                Some(Experts { routed: 8 << routed, active, width: 1024, shared, shared_width: 1024, layers, latent: 0 });
        }
        if latent {
            model.window = None;
            model.latent = Some(Latent { query_rank: 768, kv_rank: 512, nope: 128, rope: 64, value: 128 });
        }
        model
    }
}

/// Weights that every token multiplies on one rank, router and compressions aside: a lower bound on both math and reads.
fn weights_on_a_rank(model: &Model, tensor: f64) -> f64 {
    let h = f64::from(model.hidden);
    let matrices = if model.gated { 3.0 } else { 2.0 };
    let attention = match model.latent {
        Some(l) => f64::from(model.heads * l.value) * h,
        None => 2.0 * f64::from(model.heads * model.head_dim) * h,
    };
    let dense = f64::from(model.dense_layers()) * matrices * h * f64::from(model.ffn);
    let sparse = model.experts.map_or(0.0, |e| {
        f64::from(e.layers) * matrices * h * f64::from(e.active * e.width + e.shared * e.shared_width)
    });
    (f64::from(model.layers) * attention + dense + sparse) / tensor
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_serving_step_is_faster_than_peak_memory_or_link(
        model in models(), chip in 0usize..6, engine in 0usize..3, precision in 0usize..8, fp8_cache: bool,
        t in 0u32..4, p in 1u32..4, d in 0u32..3, dealt: bool, decodes in 0u32..2000, context in 1u32..100_000, chunk in 0u32..20_000, cached in 0u32..50_000
    ) {
        let catalog = testing::catalog();
        let (tensor, precision) = (1 << t, Precision::ALL[precision]);
        let data = if model.experts.is_some() { 1 << d } else { 1 };
        let expert = if dealt && model.experts.is_some() { tensor * data } else { 1 };
        let degrees = Degrees { tensor, pipeline: p, data, expert };
        let setup = Setup {
            model: &model,
            accelerator: &catalog.accelerators[chip],
            engine: &catalog.engines[engine],
            ranks: Ranks::with(degrees).unwrap(),
            precision,
            kv_precision: fp8_cache.then_some(Precision::Fp8),
        };
        let step = match PreparedStep::prepare(&catalog, &setup) {
            Ok(step) => step,
            Err(Reason::PrecisionUnsupported { .. } | Reason::HeadsNotDivisible { .. } | Reason::TooManyStages { .. } | Reason::ExpertsNotDivisible { .. }) => return Ok(()),
            Err(other) => panic!("{other}"),
        };
        let kv = f64::from(decodes) * f64::from(context);
        let mut shape = StepShape::decode(f64::from(decodes), kv);
        if chunk > 0 {
            shape = shape.with_chunk(f64::from(chunk), f64::from(cached), true);
        }
        let time = step.pass_ns(&shape) * 1e-9;
        if decodes + chunk == 0 {
            prop_assert_eq!(time, 0.0);
            return Ok(());
        }
        let accelerator = setup.accelerator;
        let fastest = accelerator.peaks.values().fold(0.0, |a: f64, peak| a.max(peak.get()));
        let tokens = f64::from(decodes + chunk);
        let rank = weights_on_a_rank(&model, f64::from(tensor * data));
        let math = 2.0 * tokens * rank / fastest;
        prop_assert!(time >= math, "{time} s, math {math} s");
        // Reads beyond the cache of the chip: weights at the smallest format, less what fits.
        let cache = accelerator.cache.map_or(0.0, |cache| cache.get());
        let held = if model.latent.is_some() || model.window.is_some() {
            0.0
        } else {
            let heads = (f64::from(model.kv_heads) / f64::from(tensor)).max(1.0);
            2.0 * f64::from(model.layers) * heads * f64::from(model.head_dim) * setup.cache_bytes() * kv
        };
        let bytes = rank * setup.precision.weight_bytes().min(2.0) / 1.25 + held - cache;
        let read = bytes / accelerator.memory_bandwidth.get();
        prop_assert!(time >= read, "{time} s, reads {read} s");
        let sent = 2.0 * f64::from(model.layers) * tokens * 2.0 * f64::from(model.hidden) * (f64::from(tensor) + 1.0) / f64::from(tensor);
        let wire = if tensor > 1 { sent / accelerator.scale_up.bandwidth.get() } else { 0.0 };
        prop_assert!(time >= wire, "{time} s, wire {wire} s");
        prop_assert!(step.floor_ns(&shape) <= step.pass_ns(&shape) * (1.0 + 1e-9));
    }

    #[test]
    fn more_work_never_takes_less_time(
        model in models(), chip in 0usize..6, decodes in 1u32..1000, more in 1u32..100, chunk in 1u32..8000
    ) {
        let catalog = testing::catalog();
        let setup = Setup {
            model: &model,
            accelerator: &catalog.accelerators[chip],
            engine: &catalog.engines[2],
            ranks: Ranks::ONE,
            precision: Precision::Bf16,
            kv_precision: None,
        };
        let step = PreparedStep::prepare(&catalog, &setup).unwrap();
        let few = step.decode_ns(decodes, f64::from(decodes) * 500.0);
        let many = step.decode_ns(decodes + more, f64::from(decodes + more) * 500.0);
        prop_assert!(many >= few);
        let shape = StepShape::decode(f64::from(decodes), f64::from(decodes) * 500.0);
        prop_assert!(step.pass_ns(&shape.with_chunk(f64::from(chunk), 0.0, true)) > few);
    }

    #[test]
    fn the_waterfall_sums_to_the_step(
        model in models(), t in 0u32..3, p in 1u32..3, d in 0u32..3, decodes in 1u32..500, chunk in 0u32..8000
    ) {
        let catalog = testing::catalog();
        let data = if model.experts.is_some() { 1 << d } else { 1 };
        let degrees = Degrees { tensor: 1 << t, pipeline: p, data, expert: data };
        let setup = Setup {
            model: &model,
            accelerator: &catalog.accelerators[2],
            engine: &catalog.engines[2],
            ranks: Ranks::with(degrees).unwrap(),
            precision: Precision::Bf16,
            kv_precision: None,
        };
        let Ok(step) = PreparedStep::prepare(&catalog, &setup) else { return Ok(()) };
        let mut shape = StepShape::decode(f64::from(decodes), f64::from(decodes) * 700.0);
        if chunk > 0 {
            shape = shape.with_chunk(f64::from(chunk), 0.0, true);
        }
        let sum: f64 = step.waterfall(&shape, step.groups()).iter().map(|(_, ns)| ns).sum();
        let whole = step.step_ns(&shape);
        prop_assert!((sum / whole - 1.0).abs() < 0.01, "{sum} against {whole}");
        // Groups that have nothing of their own take no longer than groups that do, and wait for the one that has.
        let own = shape.decodes + shape.prefill_tokens;
        let (alone, all) = (step.pass_among_ns(&shape, own), step.pass_ns(&shape));
        prop_assert!(alone <= all * (1.0 + 1e-9), "{alone} among idle groups, {all} among busy ones");
        prop_assert!(alone >= step.floor_ns(&shape) * (1.0 - 1e-9));
    }

    #[test]
    fn no_training_step_beats_the_peak(
        model in models(), chip in 0usize..6, nodes in 0u32..5, batch in 0u32..6, precision in 0usize..8
    ) {
        let catalog = testing::catalog();
        let accelerator = &catalog.accelerators[chip];
        let known = Known::default();
        let cluster = Cluster {
            known: &known,
            accelerator,
            per_node: 8,
            nodes: 1 << nodes,
            scale_out: Some(BytesPerSecond(400e9)),
        };
        let job = Job {
            model: &model,
            batch: Tokens(4096.0 * 64.0 * f64::from(1u32 << batch)),
            sequence: 4096,
            precision: Precision::ALL[precision],
        };
        let Ok(found) = training::best(&cluster, &job, &Parallelism { pipeline: Some(1), ..Parallelism::default() }) else { return Ok(()) };
        let fastest = accelerator.peaks.values().fold(0.0, |a: f64, peak| a.max(peak.get()));
        let all = fastest * cluster.accelerators() as f64;
        let floor = job.batch.get() * flops::training_per_token(&model, 4096) / all;
        prop_assert!(found.best.step.get() >= floor);
        prop_assert!(found.best.utilization <= 1.0 + 1e-9);
        prop_assert!(found.best.memory.needed() <= found.best.memory.free * (1.0 + 1e-9));
    }

    #[test]
    fn no_exchange_between_machines_is_faster_than_their_network(
        chip in 0usize..6, per_node in 0u32..4, nodes in 0u32..6, t in 0u32..6, rack: bool, gigabytes in 1u32..400
    ) {
        let catalog = testing::catalog();
        let mut accelerator = catalog.accelerators[chip].clone();
        // A rack is one machine that comes in parts.
        accelerator.scale_up.domain = if rack { 72 } else { 8 };
        let known = Known::default();
        let network = f64::from(gigabytes) * 1e9;
        let (per_node, nodes, tensor) = (1 << per_node, 1 << nodes, 1 << t);
        let cluster = Cluster {
            known: &known,
            accelerator: &accelerator,
            per_node,
            nodes,
            scale_out: Some(BytesPerSecond(network)),
        };
        let model = catalog.model("llama3_1_8b").unwrap();
        let (sequences, sequence) = (256.0, 4096);
        let job = Job { model, batch: Tokens(sequences * 4096.0), sequence, precision: Precision::Bf16 };
        let layout = Layout { tensor, pipeline: 1, interleave: 1, micro_batch: 1, expert: 1 };
        let Ok(step) = training::step(&cluster, &job, &layout) else { return Ok(()) };
        let apart = f64::from(if rack { 72 } else { per_node });
        // Four all-reduces a layer, of every machine at least twice what the others have not seen.
        let ranks = per_node * nodes / tensor;
        let machines = f64::from(tensor) / apart;
        let tokens = sequences * f64::from(sequence) / f64::from(ranks);
        let activations = 2.0 * tokens * f64::from(model.hidden);
        let sent = 8.0 * f64::from(model.layers) * activations * (1.0 - 1.0 / machines).max(0.0);
        prop_assert!(step.step.get() >= sent / network, "{} s, network {} s", step.step.get(), sent / network);
    }

    #[test]
    fn memory_never_says_fits_for_more_than_the_device_holds(
        model in models(), chip in 0usize..6, engine in 0usize..3, t in 0u32..4, context in 1u32..100_000
    ) {
        let catalog = testing::catalog();
        let setup = Setup {
            model: &model,
            accelerator: &catalog.accelerators[chip],
            engine: &catalog.engines[engine],
            ranks: Ranks::of(1 << t, 1),
            precision: Precision::Bf16,
            kv_precision: None,
        };
        let Ok(memory) = ServingMemory::of(&setup, context) else { return Ok(()) };
        if memory.refusal().is_none() {
            let held = memory.weights + memory.reserve + memory.bytes_per_token * memory.kv_tokens().min(1e12);
            let windows = model.window.is_some();
            prop_assert!(windows || held <= memory.device * (1.0 + 1e-9));
            prop_assert!(memory.kv_tokens_at(f64::from(context)) >= f64::from(context) * (1.0 - 1e-9));
        }
    }
}

#[test]
fn nonsense_coefficients_are_refused_instead_of_priced() {
    let spoil: [fn(&mut Catalog); 6] = [
        |catalog| catalog.gemm[1].compute = 0.0,
        |catalog| catalog.gemm[1].p = f64::NAN,
        |catalog| catalog.attention[2].decode_memory_16bit = -1.0,
        |catalog| catalog.collectives[1].efficiency = 0.0,
        |catalog| catalog.accelerators[2].memory_bandwidth = BytesPerSecond(0.0),
        |catalog| catalog.engines[2].factor = f64::INFINITY,
    ];
    for spoil in spoil {
        let mut catalog = testing::catalog();
        spoil(&mut catalog);
        let setup = Setup {
            model: &catalog.models[3],
            accelerator: &catalog.accelerators[2],
            engine: &catalog.engines[2],
            ranks: Ranks::of(2, 1),
            precision: Precision::Bf16,
            kv_precision: None,
        };
        let refused = PreparedStep::prepare(&catalog, &setup).unwrap_err();
        assert!(matches!(refused, Reason::NotPositive { .. }), "{refused}");
    }
}

#[test]
fn a_model_with_more_expert_layers_than_layers_is_refused() {
    let mut model = testing::models().remove(4);
    model.layers = 8;
    let catalog = testing::catalog();
    let accelerator = &catalog.accelerators[2];
    let known = Known::default();
    let cluster = Cluster { known: &known, accelerator, per_node: 8, nodes: 1, scale_out: None };
    let job = Job { model: &model, batch: Tokens(1e6), sequence: 4096, precision: Precision::Bf16 };
    assert!(training::best(&cluster, &job, &Parallelism::default()).is_err());
}

#[test]
fn a_prepared_step_is_fast() {
    let catalog = testing::catalog();
    let model = catalog.model("deepseek_v3").unwrap();
    let setup = Setup {
        model,
        accelerator: catalog.accelerator("h200_sxm").unwrap(),
        engine: catalog.engine("sglang").unwrap(),
        ranks: Ranks::of(8, 1),
        precision: Precision::Fp8,
        kv_precision: None,
    };
    let device = Device::resolve(&catalog, setup.accelerator).unwrap();
    // Best of several, because the machine is shared: 5 ms to prepare and 100 ns to evaluate are the limits.
    let prepare = (0..20).map(|_| {
        let start = std::time::Instant::now();
        std::hint::black_box(PreparedStep::with_device(&device, &setup).unwrap());
        start.elapsed()
    });
    let prepare = prepare.min().unwrap();
    let step = PreparedStep::with_device(&device, &setup).unwrap();
    let evaluate = (0..20).map(|round| {
        let start = std::time::Instant::now();
        let mut sum = 0.0;
        for i in 0..10_000u32 {
            sum += step.decode_ns(1 + (i + round) % 512, f64::from(i) * 100.0);
        }
        std::hint::black_box(sum);
        start.elapsed() / 10_000
    });
    let evaluate = evaluate.min().unwrap();
    println!("prepare {prepare:?}, evaluate {evaluate:?}");
    assert!(prepare.as_micros() < 5_000, "{prepare:?}");
    // Debug builds check the physical floor of every step, which takes longer than the step.
    let limit = if cfg!(debug_assertions) { 1_000 } else { 100 };
    assert!(evaluate.as_nanos() < limit, "{evaluate:?}");
}
