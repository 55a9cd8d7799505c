//! What can be turned: the fitted numbers of a catalog, each with its prior.
//!
//! Priors are stated here and beside [`coefficients`], never read from the catalog, so that fitting again
//! starts where the first fit started.

use crate::perf::coefficients::{self, Coefficients};
use crate::tables::{Identity, Kind};
use capstan_types::catalog::{Catalog, Coefficient, Engine};
use capstan_types::origin::Origin;

/// One number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Knob {
    /// Name; of an engine's field `engine.field`.
    pub name: &'static str,
    /// What is expected before any measurement.
    pub prior: f64,
    /// Standard deviation of its logarithm.
    pub spread: f64,
    target: Target,
}

/// Where the number stands.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Target {
    Coefficient,
    Engine(&'static str, &'static str),
}

/// Engine fields with prior and spread: of vLLM, SGLang and TensorRT-LLM.
///
/// Spreads are those of host work, which differs between machines; delays of delivery are options of a launch, so that
/// hardly anything is known about them beforehand.
const ENGINES: &[(&str, &str, &str, f64, f64)] = &[
    ("vllm.factor", "vllm", "factor", 1.0, 0.04),
    ("vllm.layer", "vllm", "layer", 9.7, 0.2),
    ("vllm.host_step", "vllm", "host_step", 660.0, 0.3),
    ("vllm.host_sequence", "vllm", "host_sequence", 9.6, 0.3),
    ("vllm.prefill_step", "vllm", "prefill_step", 3900.0, 0.4),
    ("vllm.request", "vllm", "request", 13_300.0, 0.4),
    ("vllm.prompt_token", "vllm", "prompt_token", 2.6, 0.4),
    ("vllm.delivery_steps", "vllm", "delivery_steps", 1.0, 1.0),
    ("sglang.factor", "sglang", "factor", 1.0, 0.04),
    ("sglang.layer", "sglang", "layer", 9.0, 0.2),
    ("sglang.host_step", "sglang", "host_step", 1130.0, 0.3),
    ("sglang.host_sequence", "sglang", "host_sequence", 10.1, 0.3),
    ("sglang.prefill_step", "sglang", "prefill_step", 1600.0, 0.4),
    ("sglang.request", "sglang", "request", 15_800.0, 0.4),
    ("sglang.prompt_token", "sglang", "prompt_token", 2.6, 0.4),
    ("sglang.delivery_steps", "sglang", "delivery_steps", 9.3, 1.0),
    ("trtllm.factor", "trtllm", "factor", 1.0, 0.04),
    ("trtllm.layer", "trtllm", "layer", 8.9, 0.2),
    ("trtllm.host_step", "trtllm", "host_step", 950.0, 0.3),
    ("trtllm.host_sequence", "trtllm", "host_sequence", 9.4, 0.3),
    ("trtllm.prefill_step", "trtllm", "prefill_step", 3700.0, 0.4),
    ("trtllm.request", "trtllm", "request", 15_700.0, 0.4),
    ("trtllm.prompt_token", "trtllm", "prompt_token", 2.6, 0.4),
    ("trtllm.delivery_steps", "trtllm", "delivery_steps", 1.1, 1.0),
];

/// Returns the numbers that a kind of table says something about. What serves at a fixed load determines steps; the
/// other tables determine only what is theirs.
pub fn knobs(kind: Kind) -> Vec<Knob> {
    let (throughput, mlperf) = (["throughput_", "release_"], "mlperf_");
    let others = |name: &str| {
        let own = |own: &&str| name.starts_with(*own);
        throughput.iter().any(own) || own(&mlperf) || own(&TRAINING)
    };
    let wanted = |name: &str| match kind {
        Kind::ServingLatency => !others(name),
        Kind::ServingThroughput => throughput.iter().any(|own| name.starts_with(own)),
        Kind::MlperfInference => name.starts_with(mlperf),
        _ => false,
    };
    let coefficients = coefficients::PRIORS.iter().filter(|(name, ..)| wanted(name));
    let mut all: Vec<Knob> = coefficients
        .map(|&(name, prior, spread)| Knob { name, prior, spread, target: Target::Coefficient })
        .collect();
    if kind == Kind::ServingLatency {
        all.extend(ENGINES.iter().map(|&(name, engine, field, prior, spread)| Knob {
            name,
            prior,
            spread,
            target: Target::Engine(engine, field),
        }));
    }
    all
}

/// How names of training begin, and those of them that only mixtures say something about.
const TRAINING: &str = "training_";
const MIXTURES: &str = "training_experts";

/// Returns the numbers of training: those of mixtures, or all others.
pub fn training_knobs(mixtures: bool) -> Vec<Knob> {
    let wanted = |name: &str| name.starts_with(TRAINING) && name.starts_with(MIXTURES) == mixtures;
    let priors = coefficients::PRIORS.iter().filter(|(name, ..)| wanted(name));
    priors.map(|&(name, prior, spread)| Knob { name, prior, spread, target: Target::Coefficient }).collect()
}

fn field<'a>(engine: &'a mut Engine, name: &str) -> Option<&'a mut f64> {
    Some(match name {
        "factor" => &mut engine.factor,
        "layer" => &mut engine.layer_us,
        "host_step" => &mut engine.host_step_us,
        "host_sequence" => &mut engine.host_sequence_us,
        "prefill_step" => &mut engine.prefill_step_us,
        "request" => &mut engine.request_us,
        "prompt_token" => &mut engine.prompt_token_us,
        "delivery_steps" => &mut engine.delivery_steps,
        _ => return None,
    })
}

impl Knob {
    /// Returns what `catalog` says.
    pub fn value(&self, catalog: &Catalog) -> f64 {
        match self.target {
            Target::Coefficient => Coefficients::of(catalog).value(self.name).unwrap_or(self.prior),
            Target::Engine(id, name) => {
                let mut engine = catalog.engines.iter().find(|engine| engine.id == id).cloned();
                engine.as_mut().and_then(|engine| field(engine, name)).map_or(self.prior, |value| *value)
            }
        }
    }

    /// Writes a value into `catalog`, which has an engine.
    pub fn set(&self, catalog: &mut Catalog, value: f64) {
        match self.target {
            Target::Coefficient => match catalog.coefficients.iter_mut().find(|row| row.name == self.name) {
                Some(row) => row.value = value,
                None => {
                    let known = catalog.engines.first().map(|engine| engine.provenance.clone());
                    catalog.coefficients.extend(known.map(|provenance| Coefficient {
                        name: self.name.to_owned(),
                        value,
                        cells: 0,
                        origin: Origin::Measured,
                        provenance,
                    }));
                }
            },
            Target::Engine(id, name) => {
                let engine = catalog.engines.iter_mut().find(|engine| engine.id == id);
                if let Some(place) = engine.and_then(|engine| field(engine, name)) {
                    *place = value;
                }
            }
        }
    }

    /// Returns the engine and the field, where it is one of an engine.
    pub fn engine(&self) -> Option<(&'static str, &'static str)> {
        match self.target {
            Target::Engine(id, name) => Some((id, name)),
            Target::Coefficient => None,
        }
    }

    /// Says whether it can matter for a row: what cannot is not tried.
    pub fn matters(&self, row: &Identity) -> bool {
        if let Target::Engine(id, _) = self.target {
            return row.engine == id;
        }
        let mixture = row.mixture != Some(false);
        match self.name {
            "device_blackwell" => row.blackwell,
            "device_h200" => row.accelerator.starts_with("h200"),
            "expert_layer_us" | "trtllm_delivery_mixture" => mixture,
            name if name.starts_with("experts_") => mixture,
            name => match name.strip_suffix("_delivery_blackwell") {
                Some(engine) => row.blackwell && row.engine == engine,
                None => true,
            },
        }
    }
}
