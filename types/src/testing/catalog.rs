//! Shared fixtures: a small catalog with numbers of public data sheets and fits, so that tests of every room speak of the same machines.
//!
//! Not a source of facts for the product: that is `catalogs/*.toml`.

use crate::catalog::{
    AttentionEfficiency, Catalog, CollectiveEfficiency, Engine, EngineFamily, ExpertEfficiency,
    GemmEfficiency,
};
use crate::hardware::{Accelerator, NodeShape, Precision, ScaleUp, ScaleUpKind};
use crate::model::{Experts, Latent, Model};
use crate::origin::{Grade, Origin, Provenance};
use crate::units::{Bytes, BytesPerSecond, FlopPerSecond, Watts};
use jiff::civil::date;

/// Returns a source and date for a fixture.
pub fn provenance() -> Provenance {
    Provenance { source: "test fixture".to_owned(), as_of: date(2026, 9, 1), grade: Grade::DataSheet }
}

/// What tells one accelerator fixture from another: rates in TFLOP/s, GB, TB/s and GB/s.
struct Chip {
    id: &'static str,
    memory_gb: f64,
    driver_gb: Option<f64>,
    memory_tb_per_s: f64,
    cache_mb: f64,
    bf16: f64,
    fp8: Option<f64>,
    fp4: Option<f64>,
    achievable_bf16: Option<f64>,
    link: (ScaleUpKind, f64, u32),
}

fn accelerator(chip: &Chip) -> Accelerator {
    let tera = |rate: f64| FlopPerSecond(rate * 1e12);
    let mut peaks = std::collections::BTreeMap::from([(Precision::Bf16, tera(chip.bf16))]);
    peaks.extend(chip.fp8.map(|rate| (Precision::Fp8, tera(rate))));
    peaks.extend(chip.fp4.map(|rate| (Precision::Nvfp4, tera(rate))));
    Accelerator {
        id: chip.id.to_owned(),
        names: vec![],
        vendor: "nvidia".to_owned(),
        memory: Bytes(chip.memory_gb * 1e9),
        usable_memory: chip.driver_gb.map(|gb| Bytes(gb * 1e9)),
        memory_bandwidth: BytesPerSecond(chip.memory_tb_per_s * 1e12),
        cache: Some(Bytes(chip.cache_mb * 1e6)),
        peaks,
        achievable: chip.achievable_bf16.map(|rate| (Precision::Bf16, tera(rate))).into_iter().collect(),
        scale_up: ScaleUp {
            kind: chip.link.0,
            bandwidth: BytesPerSecond(chip.link.1 * 1e9),
            domain: chip.link.2,
        },
        power: Some(Watts(700.0)),
        slices: vec![],
        provenance: provenance(),
    }
}

/// Returns H100, H200, B200, A100 (all SXM) and L40S, with physics' peaks and the drivers' memory.
pub fn accelerators() -> Vec<Accelerator> {
    use ScaleUpKind::{Pcie, Switched};
    #[rustfmt::skip]
    let chips = [
        Chip { id: "a100_sxm_80gb", memory_gb: 80.0, driver_gb: Some(85.0), memory_tb_per_s: 2.04, cache_mb: 40.0, bf16: 312.0, fp8: None, fp4: None, achievable_bf16: Some(271.0), link: (Switched, 300.0, 8) },
        Chip { id: "b200_sxm", memory_gb: 180.0, driver_gb: Some(192.0), memory_tb_per_s: 8.0, cache_mb: 126.0, bf16: 2250.0, fp8: Some(4500.0), fp4: Some(9000.0), achievable_bf16: Some(1745.0), link: (Switched, 900.0, 8) },
        Chip { id: "h100_sxm", memory_gb: 80.0, driver_gb: Some(85.5), memory_tb_per_s: 3.35, cache_mb: 50.0, bf16: 989.0, fp8: Some(1979.0), fp4: None, achievable_bf16: Some(794.0), link: (Switched, 450.0, 8) },
        Chip { id: "h200_sxm", memory_gb: 141.0, driver_gb: Some(150.7), memory_tb_per_s: 4.8, cache_mb: 50.0, bf16: 989.0, fp8: Some(1979.0), fp4: None, achievable_bf16: None, link: (Switched, 450.0, 8) },
        Chip { id: "l40s", memory_gb: 48.0, driver_gb: None, memory_tb_per_s: 0.864, cache_mb: 96.0, bf16: 362.0, fp8: Some(733.0), fp4: None, achievable_bf16: None, link: (Pcie, 31.0, 8) },
        // A chip that nobody measured: everything falls back to the data sheet.
        Chip { id: "unmeasured", memory_gb: 96.0, driver_gb: None, memory_tb_per_s: 2.46, cache_mb: 48.0, bf16: 432.0, fp8: Some(865.0), fp4: None, achievable_bf16: Some(419.0), link: (ScaleUpKind::Mesh, 300.0, 8) },
    ];
    chips.iter().map(accelerator).collect()
}

fn gemm(id: &str, precision: Precision, t: [f64; 6]) -> GemmEfficiency {
    let [t0_us, compute, memory, p, half_m, half_nk_m] = t;
    let origin = Origin::Measured;
    let accelerator = id.to_owned();
    GemmEfficiency {
        accelerator,
        precision,
        t0_us,
        compute,
        memory,
        p,
        half_m,
        half_nk_m,
        origin,
        provenance: provenance(),
    }
}

/// Returns the fitted matrix-multiplication curves of the fixtures.
pub fn gemm_rows() -> Vec<GemmEfficiency> {
    use Precision::{Bf16, Fp8, Fp8Block, Nvfp4};
    vec![
        gemm("a100_sxm_80gb", Bf16, [5.1, 0.83, 0.78, 1.58, 0.1, 0.03]),
        gemm("h100_sxm", Bf16, [3.3, 0.78, 0.82, 3.32, 0.1, 0.0]),
        gemm("h100_sxm", Fp8, [13.0, 0.59, 0.85, 1.62, 0.1, 0.31]),
        gemm("h100_sxm", Fp8Block, [5.1, 0.58, 0.82, 1.09, 0.1, 0.62]),
        gemm("h200_sxm", Bf16, [3.6, 0.78, 0.81, 3.07, 0.1, 0.0]),
        gemm("h200_sxm", Fp8, [13.0, 0.60, 0.85, 1.52, 0.1, 0.52]),
        gemm("h200_sxm", Fp8Block, [5.1, 0.58, 0.78, 1.0, 0.1, 1.03]),
        gemm("b200_sxm", Bf16, [3.0, 0.68, 0.73, 3.10, 12.3, 0.0]),
        gemm("b200_sxm", Fp8, [15.2, 0.54, 0.79, 1.30, 0.1, 0.41]),
        gemm("b200_sxm", Fp8Block, [6.4, 0.64, 0.74, 1.20, 0.1, 0.60]),
        gemm("b200_sxm", Nvfp4, [9.8, 0.38, 0.54, 1.69, 0.1, 0.14]),
        gemm("l40s", Bf16, [2.0, 0.59, 1.0, 3.0, 61.0, 0.0]),
        gemm("l40s", Fp8, [11.4, 0.46, 0.93, 2.0, 0.1, 0.02]),
    ]
}

fn attention(id: &str, t0: f64, decode: (f64, Option<f64>), prefill: (f64, f64, f64)) -> AttentionEfficiency {
    AttentionEfficiency {
        accelerator: id.to_owned(),
        decode_t0_us: t0,
        decode_memory_16bit: decode.0,
        decode_memory_8bit: decode.1,
        decode_memory_8bit_single: None,
        prefill_compute: prefill.0,
        prefill_compute_small_head: prefill.1,
        prefill_half_context: prefill.2,
        origin: Origin::Measured,
        provenance: provenance(),
    }
}

fn experts(id: &str, precision: Precision, t: [f64; 8]) -> ExpertEfficiency {
    let [t0_us, per_expert_us, compute, memory, p, tile, activation, skew] = t;
    ExpertEfficiency {
        accelerator: id.to_owned(),
        precision,
        t0_us,
        per_expert_us,
        compute,
        memory,
        p,
        tile,
        activation,
        skew,
        origin: Origin::Measured,
        provenance: provenance(),
    }
}

fn collective(id: &str, t: [f64; 6]) -> CollectiveEfficiency {
    let [latency_us, exponent, efficiency, efficiency_exponent, root, root_exponent] = t;
    let accelerator = id.to_owned();
    CollectiveEfficiency {
        accelerator,
        latency_us,
        exponent,
        efficiency,
        efficiency_exponent,
        root,
        root_exponent,
        origin: Origin::Measured,
        provenance: provenance(),
    }
}

/// Returns an engine fixture: memory share, reserve and reserve of parallel replicas in GB, host times in microseconds.
fn engine(id: &str, memory: [f64; 3], host: [f64; 7], factor: f64, delivery_steps: f64) -> Engine {
    let [memory_utilization, reserved, parallel] = memory;
    let [host_step_us, host_sequence_us, layer_us, prefill_step_us, request_us, prompt_token_us, step_tokens] =
        host;
    Engine {
        id: id.to_owned(),
        names: vec![],
        family: match id {
            "sglang" => EngineFamily::Sglang,
            "trtllm" => EngineFamily::TensorRtLlm,
            _ => EngineFamily::Vllm,
        },
        version: "0.12.0".to_owned(),
        image: format!("{id}/server"),
        tag: "v0.12.0".to_owned(),
        memory_utilization,
        reserved_bytes: reserved * 1e9,
        reserved_parallel_bytes: parallel * 1e9,
        activation_factor: 0.0,
        sampler_bytes: 0.0,
        block_tokens: 16,
        max_sequences: 1024,
        step_tokens: step_tokens as u32,
        host_step_us,
        host_sequence_us,
        layer_us,
        prefill_step_us,
        request_us,
        prompt_token_us,
        factor,
        delivery_steps,
        origin: Origin::Measured,
        provenance: provenance(),
    }
}

/// Returns vLLM, SGLang and TensorRT-LLM.
pub fn engines() -> Vec<Engine> {
    vec![
        engine("sglang", [0.85, 0.0, 0.0], [1130.0, 10.1, 9.0, 1600.0, 15_800.0, 2.6, 8192.0], 0.99, 9.3),
        engine("trtllm", [0.9, 8.0, 2.0], [950.0, 9.4, 8.9, 3700.0, 15_700.0, 2.6, 8192.0], 1.03, 1.1),
        engine("vllm", [0.9, 3.0, 2.0], [660.0, 9.6, 9.7, 3900.0, 13_300.0, 2.6, 8192.0], 1.02, 1.0),
    ]
}

/// Sizes of a model fixture: layers, hidden, heads, KV heads, head size, feed-forward width, vocabulary, context.
fn model(id: &str, sizes: [u32; 8], total_b: f64, active_b: f64) -> Model {
    let [layers, hidden, heads, kv_heads, head_dim, ffn, vocab, context] = sizes;
    Model {
        id: id.to_owned(),
        layers,
        hidden,
        heads,
        kv_heads,
        head_dim,
        ffn,
        vocab,
        context,
        params_total_b: total_b,
        params_active_b: active_b,
        ..Model::blank(provenance())
    }
}

/// Returns Llama 3.1 8B, 70B and 405B, Mixtral 8x7B and DeepSeek-V3.
pub fn models() -> Vec<Model> {
    let mut mixtral = model("mixtral_8x7b", [32, 4096, 32, 8, 128, 14_336, 32_000, 32_768], 46.7028, 12.8799);
    mixtral.ffn = 0;
    mixtral.experts = Some(Experts {
        routed: 8,
        active: 2,
        width: 14_336,
        shared: 0,
        shared_width: 0,
        layers: 32,
        latent: 0,
    });
    let mut deepseek =
        model("deepseek_v3", [61, 7168, 128, 128, 192, 18_432, 129_280, 163_840], 671.0264, 37.5523);
    deepseek.experts = Some(Experts {
        routed: 256,
        active: 8,
        width: 2048,
        shared: 1,
        shared_width: 2048,
        layers: 58,
        latent: 0,
    });
    deepseek.latent = Some(Latent { query_rank: 1536, kv_rank: 512, nope: 128, rope: 64, value: 128 });
    deepseek.published = Precision::Fp8Block;
    vec![
        deepseek,
        model("llama3_1_405b", [126, 16_384, 128, 8, 128, 53_248, 128_256, 131_072], 405.8533, 405.8533),
        model("llama3_1_70b", [80, 8192, 64, 8, 128, 28_672, 128_256, 131_072], 70.5537, 70.5537),
        model("llama3_1_8b", [32, 4096, 32, 8, 128, 14_336, 128_256, 131_072], 8.0303, 8.0303),
        mixtral,
    ]
}

fn shape(id: &str, accelerator: &str, accelerators: u32, scale_out_gb_per_s: Option<f64>) -> NodeShape {
    NodeShape {
        id: id.to_owned(),
        names: vec![],
        provider: "own".to_owned(),
        accelerator: Some(accelerator.to_owned()),
        accelerators,
        vcpus: Some(192),
        host_memory: Some(Bytes(2e12)),
        nvme: None,
        scale_out: scale_out_gb_per_s.map(|rate| BytesPerSecond(rate * 1e9)),
        power: Some(Watts(10_200.0)),
        height_u: Some(8.0),
        cooling: None,
        provenance: provenance(),
    }
}

/// Returns one eight-way node of each fixture accelerator.
pub fn shapes() -> Vec<NodeShape> {
    vec![
        shape("own.a100x8", "a100_sxm_80gb", 8, Some(200.0)),
        shape("own.b200x8", "b200_sxm", 8, Some(400.0)),
        shape("own.h100x8", "h100_sxm", 8, Some(400.0)),
        shape("own.h200x8", "h200_sxm", 8, Some(400.0)),
        shape("own.l40sx8", "l40s", 8, None),
        shape("own.unmeasuredx8", "unmeasured", 8, None),
    ]
}

/// Returns the whole fixture catalog, without prices.
pub fn catalog() -> Catalog {
    use Precision::{Bf16, Fp8Block, Nvfp4};
    Catalog {
        accelerators: accelerators(),
        shapes: shapes(),
        models: models(),
        engines: engines(),
        gemm: gemm_rows(),
        attention: vec![
            attention("a100_sxm_80gb", 6.8, (0.47, None), (0.56, 0.48, 440.0)),
            attention("b200_sxm", 8.8, (0.90, Some(0.85)), (0.55, 0.34, 780.0)),
            attention("h100_sxm", 6.8, (0.83, Some(0.69)), (0.56, 0.48, 440.0)),
            attention("h200_sxm", 6.8, (0.75, Some(0.54)), (0.56, 0.48, 520.0)),
        ],
        experts: vec![
            experts("b200_sxm", Bf16, [29.9, 0.08, 0.91, 1.22, 1.76, 148.0, 0.39, 0.22]),
            experts("b200_sxm", Fp8Block, [37.0, 0.33, 0.56, 0.86, 2.33, 0.05, 0.31, 0.10]),
            experts("b200_sxm", Nvfp4, [16.2, 0.18, 0.47, 1.12, 8.4, 130.0, 0.42, 0.22]),
            experts("h100_sxm", Bf16, [28.6, 0.06, 0.79, 1.22, 2.08, 148.0, 0.60, 0.24]),
            experts("h100_sxm", Fp8Block, [30.6, 0.08, 0.53, 1.02, 5.5, 117.0, 0.20, 0.21]),
            experts("h200_sxm", Fp8Block, [30.1, 0.22, 0.62, 1.06, 4.4, 93.0, 0.15, 0.31]),
        ],
        collectives: vec![
            collective("b200_sxm", [4.4, 0.0, 0.62, 0.19, 1.4, 1.0]),
            collective("h100_sxm", [3.8, 0.1, 0.67, 0.28, 0.96, 0.82]),
            collective("h200_sxm", [3.8, 0.1, 0.67, 0.28, 0.96, 0.82]),
            collective("pcie", [9.0, 0.5, 0.65, 0.0, 0.0, 0.0]),
        ],
        ..Catalog::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_names_an_accelerator_of_the_fixture() {
        let catalog = catalog();
        for shape in &catalog.shapes {
            let name = shape.accelerator.as_deref().unwrap();
            assert!(catalog.accelerator(name).is_some(), "{name}");
        }
    }
}
