//! How fast does a model train on machines at hand? The answer of `capstan estimate --train`.
//!
//! Steps and memory are those of `sim::perf::training`, as a plan's jobs have them; this room says which configurations
//! are tried and puts what was found into words. It knows no deadline, no failures and no price; a plan does.

use capstan_sim::perf::Reason;
use capstan_sim::perf::training::{
    Cluster, Exchange, Job, Known, Link, Method, Offload, Overlap, Part, Recompute, Search, Sharding, Space,
    TrainingStep, search, usual_network,
};
use capstan_types::catalog::Catalog;
use capstan_types::hardware::{Accelerator, NodeShape, Precision};
use capstan_types::model::Model;
use capstan_types::outlook::{FitWord, Ranged, TimeSlice};
use capstan_types::spec::Parallelism;
use capstan_types::training::{
    TRAINING_FORMAT, TrainingAnswer, TrainingMemoryShare, TrainingOutlook, TrainingQuestion,
};
use capstan_types::units::{BytesPerSecond, Seconds, Tokens};

/// Accelerators of a machine that nobody names.
const PER_NODE: u32 = 8;

/// Configurations of one layout that may be equally fast.
const ALIKE: usize = 200;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Training<'a> {
    /// What is known.
    pub catalog: &'a Catalog,
    /// The model.
    pub model: &'a Model,
    /// What computes.
    pub accelerator: &'a Accelerator,
    /// The machine it stands in, where one is named.
    pub machine: Option<&'a NodeShape>,
    /// Accelerators, all together.
    pub accelerators: u32,
    /// Precision of the linear layers' math.
    pub precision: Precision,
    /// Sequences of a step.
    pub batch: u32,
    /// Tokens of a sequence.
    pub sequence: u32,
    /// Degrees that have no choice.
    pub fixed: Parallelism,
    /// Whether every choice is tried, and not only the usual ones.
    pub wide: bool,
    /// How many of the fastest are wanted.
    pub wanted: usize,
}

impl Training<'_> {
    /// Returns accelerators of a machine, and the network of one.
    fn machine(&self) -> (u32, BytesPerSecond) {
        let usual = usual_network(&self.accelerator.id);
        let Some(machine) = self.machine else {
            let per_node = PER_NODE.min(self.accelerators.max(1));
            return (per_node, BytesPerSecond(usual * f64::from(per_node)));
        };
        let per_node = machine.accelerators.max(1);
        (per_node, machine.scale_out.unwrap_or(BytesPerSecond(usual * f64::from(per_node))))
    }

    fn question(&self) -> TrainingQuestion {
        let (per_node, scale_out) = self.machine();
        TrainingQuestion {
            model: self.model.id.clone(),
            model_name: self.model.names.first().unwrap_or(&self.model.id).clone(),
            params_total_b: self.model.params_total_b,
            accelerator: self.accelerator.id.clone(),
            accelerators: self.accelerators,
            per_node,
            scale_out_bytes_per_s: scale_out.get(),
            precision: self.precision,
            batch_sequences: self.batch,
            sequence_tokens: self.sequence,
            wide: self.wide,
        }
    }

    /// Searches, and puts what was found into words.
    pub fn outlook(&self) -> TrainingOutlook {
        let (per_node, scale_out) = self.machine();
        let known = Known::of(self.catalog);
        let cluster = Cluster {
            known: &known,
            accelerator: self.accelerator,
            per_node,
            nodes: self.accelerators.div_ceil(per_node),
            scale_out: Some(scale_out),
        };
        let job = Job {
            model: self.model,
            batch: Tokens(f64::from(self.batch) * f64::from(self.sequence)),
            sequence: self.sequence,
            precision: self.precision,
        };
        let host = self.machine.and_then(|machine| machine.host_memory);
        let method = Method::default();
        let mut outlook = TrainingOutlook {
            format: TRAINING_FORMAT,
            question: self.question(),
            considered: 0,
            fitting: 0,
            best: Vec::new(),
            refused: None,
            assumptions: Vec::new(),
        };
        if let Err(reason) = Cluster::machines(self.accelerators, per_node) {
            outlook.refused = Some(reason.to_string());
            return outlook;
        }
        let space = if self.wide {
            Space::wide(&cluster, &job, &self.fixed, true)
        } else {
            Space::usual(&cluster, &job, &self.fixed, &method)
        };
        // Choices that change nothing of a layout's time fill places; one of each layout is told.
        let wanted = self.wanted * if self.wide { ALIKE } else { 1 };
        let wanted = Search { space: &space, method: &method, wanted, host };
        match search(&cluster, &job, &wanted) {
            Ok(found) => {
                (outlook.considered, outlook.fitting) = (found.priced + found.rejected, found.priced);
                let mut layouts = Vec::new();
                let mut told = |step: &&TrainingStep| {
                    let new = !layouts.contains(&step.layout);
                    layouts.push(step.layout);
                    new
                };
                let steps = std::iter::once(&found.best).chain(&found.others).filter(&mut told);
                let steps = steps.take(self.wanted);
                outlook.best = steps.map(|step| answer(self.accelerators, step)).collect();
            }
            Err(reason) => outlook.refused = Some(told(&reason)),
        }
        outlook
    }
}

fn told(reason: &Reason) -> String {
    match reason {
        Reason::DoesNotFit { .. } => format!("the nearest configuration {reason}"),
        other => other.to_string(),
    }
}

fn answer(accelerators: u32, step: &TrainingStep) -> TrainingAnswer {
    let (layout, method) = (&step.layout, &step.method);
    let ranged = |value: f64| Ranged {
        value,
        low: value * step.low.get() / step.step.get(),
        high: value * step.high.get() / step.step.get(),
        origin: step.origin,
    };
    let step_s = ranged(step.step.get());
    let tokens = step.tokens_per_s * step.step.get();
    let flops = tokens * step.model_flops_per_token / 1e12 / f64::from(accelerators.max(1));
    let slice = |&(part, seconds): &(Part, Seconds)| TimeSlice {
        part: part.words().to_owned(),
        seconds: seconds.get(),
        share: seconds.get() / step.step.get(),
    };
    let longest = step.parts.iter().max_by(|a, b| a.1.get().total_cmp(&b.1.get()));
    TrainingAnswer {
        tensor: layout.tensor,
        pipeline: layout.pipeline,
        interleave: layout.interleave,
        expert: layout.expert,
        data: accelerators / (layout.tensor * layout.pipeline).max(1),
        micro_batch: layout.micro_batch,
        micro_batches: step.micro_batches,
        recompute: recompute(method, step.memory.recompute).to_owned(),
        recomputed_share: step.memory.recompute,
        sharding: sharding(method.sharding).to_owned(),
        exchange: exchange(method.exchange).to_owned(),
        offload: offload(method.offload),
        communication: communication(method),
        step_s,
        tokens_per_s: step_s.under(tokens),
        tflops_per_accelerator: step_s.under(flops),
        model_flops_utilization: step.utilization,
        bound_by: longest.map_or("", |(part, _)| part.words()).to_owned(),
        memory: memory(step),
        parts: step.parts.iter().map(slice).collect(),
        why: step.wide_because.clone(),
        notes: step.notes.clone(),
    }
}

fn memory(step: &TrainingStep) -> TrainingMemoryShare {
    let memory = &step.memory;
    TrainingMemoryShare {
        fit: if memory.tight { FitWord::Tight } else { FitWord::Fits },
        budget_bytes: memory.free,
        needed_bytes: memory.needed(),
        weights_bytes: memory.weights,
        gradients_bytes: memory.gradients,
        optimizer_bytes: memory.optimizer,
        activations_bytes: memory.activations,
        context_bytes: memory.context,
        host_bytes: memory.host,
    }
}

fn recompute(method: &Method, share: f64) -> &'static str {
    match method.recompute {
        Recompute::Attention => "attention",
        Recompute::Full => "every layer",
        _ if share > 0.0 => "as many layers as it takes to fit",
        _ => "nothing",
    }
}

fn sharding(sharding: Sharding) -> &'static str {
    match sharding {
        Sharding::Nothing => "nothing",
        Sharding::Optimizer => "optimizer states",
        Sharding::Gradients => "optimizer states and gradients",
        Sharding::Everything | Sharding::EverythingOf2021 => "weights, gradients and optimizer states",
    }
}

fn exchange(exchange: Exchange) -> &'static str {
    match exchange {
        Exchange::AllReduce => "all-reduce, whole hand-over",
        Exchange::Scattered => "all-reduce, hand-over in parts",
        Exchange::Sequence => "reduce-scatter and all-gather",
        Exchange::SequenceKept => "reduce-scatter and all-gather, gathered activations kept",
    }
}

fn offload(offload: Offload) -> String {
    let parts = [
        (offload.weights, "weights"),
        (offload.activations, "activations"),
        (offload.optimizer, "optimizer states"),
    ];
    let names: Vec<&str> = parts.into_iter().filter_map(|(there, name)| there.then_some(name)).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn communication(method: &Method) -> String {
    let overlap = match method.overlap {
        Overlap::Nothing => "tensor ranks wait",
        Overlap::Ring => "tensor ranks overlap around a ring",
        Overlap::Pipelined => "tensor ranks overlap in four parts",
    };
    let data = if method.data_overlap { "data ranks overlap" } else { "data ranks wait" };
    let links =
        [(method.links.tensor, "tensor"), (method.links.pipeline, "stages"), (method.links.data, "data")];
    let far: Vec<&str> =
        links.into_iter().filter_map(|(link, name)| (link == Link::Network).then_some(name)).collect();
    let far = if far.is_empty() { String::new() } else { format!("; over the network: {}", far.join(", ")) };
    format!("{overlap}, {data}{far}")
}
