//! One configuration under closed loops: does it fit, what do clients see, where does the time go, what binds?
//!
//! Times come from the rows of `estimate --table serving_latency`; everything else follows from them by Little's law:
//! with no pause between requests, those in flight = requests per second × time from arrival to the last token.

use super::Ask;
use capstan_sim::calibrate::{self, Factor};
use capstan_sim::perf::memory::Verdict;
use capstan_sim::perf::operators::Part;
use capstan_sim::perf::{Device, Fit, PreparedStep, ServingMemory, Setup, StepShape, default_limits};
use capstan_sim::tables::{Interval, Kind, Names, RowError, ask, latency_intervals, stored_weights};
use capstan_types::catalog::Calibration;
use capstan_types::degrees::Degrees;
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::origin::Origin;
use capstan_types::outlook::{FitWord, HourPrice, Limit, MemoryShare, Point, Ranged, TimeSlice};
use rust_decimal::prelude::ToPrimitive;

/// A configuration, ready to be asked for loads.
pub(super) struct Run<'a> {
    ask: &'a Ask<'a>,
    accelerator: &'a Accelerator,
    degrees: Degrees,
    memory: ServingMemory,
    step: PreparedStep,
    /// The user's own measurements of it.
    own: Option<&'a Calibration>,
}

/// Both times of a load, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Times {
    pub(super) ttft: Ranged,
    pub(super) tpot: Ranged,
}

impl<'a> Run<'a> {
    /// Prepares a configuration; the error says why it is none.
    pub(super) fn new(
        ask: &'a Ask<'a>,
        accelerator: &'a Accelerator,
        degrees: Degrees,
    ) -> Result<Self, RowError> {
        let ranks = ask.spread().ranks(degrees)?;
        let setup = Setup {
            model: ask.model,
            accelerator,
            engine: ask.engine,
            ranks,
            precision: ask.precision,
            kv_precision: ask.kv_precision,
        };
        let weights = stored_weights(Some(ask.precision.word()), None, ask.model)?;
        let longest = ask.input.saturating_add(ask.output);
        let memory = ServingMemory::stored(&setup, weights, longest)?;
        let device = Device::resolve(ask.catalog, accelerator)?;
        let step = PreparedStep::stored(&device, &setup, weights)?;
        let key = (ask.model.known_as(), &*accelerator.id, &*ask.engine.id, ask.engine_version);
        let own = ask.catalog.calibration(key, ask.precision, degrees);
        Ok(Self { ask, accelerator, degrees, memory, step, own })
    }

    /// Returns the reason where it does not fit.
    pub(super) fn refusal(&self) -> Option<RowError> {
        self.memory.refusal().map(RowError::from)
    }

    /// Says whether what is needed and what is free differ by less than the memory model errs.
    pub(super) fn is_tight(&self) -> bool {
        self.memory.verdict() == Verdict::Tight
    }

    /// Returns the memory of one rank.
    pub(super) fn memory(&self) -> MemoryShare {
        let memory = &self.memory;
        let length = f64::from(self.ask.input.saturating_add(self.ask.output).max(1));
        let request = memory.sequence_bytes(length);
        let kv_tokens = memory.kv_tokens_at(length).max(0.0) * f64::from(self.degrees.data);
        MemoryShare {
            fit: match memory.fit {
                Fit::Fits { .. } => FitWord::Fits,
                Fit::Tight { .. } => FitWord::Tight,
                Fit::DoesNotFit { .. } => FitWord::No,
            },
            device_bytes: memory.device,
            budget_bytes: memory.budget,
            weights_bytes: memory.weights,
            activations_bytes: memory.held.activations,
            overhead_bytes: memory.reserve - memory.held.activations,
            cache_bytes: memory.cache,
            needed_bytes: memory.needed(),
            request_bytes: request,
            bytes_per_token: memory.bytes_per_token,
            state_bytes: memory.state,
            kv_tokens: kv_tokens as u64,
            requests_at_once: (kv_tokens / length) as u64,
            origin: memory.origin,
        }
    }

    /// Returns how the replica is spread.
    pub(super) fn degrees(&self) -> Degrees {
        self.degrees
    }

    /// Returns the row of a table that a closed loop of `clients` clients is.
    fn cells(&self, clients: u32) -> [(&'static str, String); 13] {
        let count = |count: u32| count.to_string();
        [
            ("model", self.ask.model.id.clone()),
            ("accelerator", self.accelerator.id.clone()),
            ("engine", self.ask.engine.id.clone()),
            ("engine_version", self.ask.engine_version.to_owned()),
            ("precision", self.ask.precision.word().to_owned()),
            ("degrees", self.degrees.product()),
            ("gpus", count(self.degrees.of_stage())),
            ("tp", count(self.degrees.tensor)),
            ("pp", count(self.degrees.pipeline)),
            ("input_tokens", count(self.ask.input)),
            ("output_tokens", count(self.ask.output)),
            ("concurrency", count(clients)),
            ("kv_dtype", if self.ask.kv_precision.is_some() { "fp8" } else { "auto" }.to_owned()),
        ]
    }

    /// Returns how far measurements lie around what is predicted of `clients` clients, as multiples of it, and why.
    pub(super) fn around(&self, clients: u32, names: &Names<'_>) -> Result<(Times, Vec<String>), RowError> {
        let (ttft, tpot) = latency_intervals(&self.cells(clients), names)?;
        let origin = self.step.origin().weaker(self.memory.origin);
        let ranged = |one: &Interval| Ranged { value: 1.0, low: one.low, high: one.high, origin };
        let times = Times { ttft: ranged(&ttft), tpot: ranged(&tpot) };
        let mut because = [ttft.because, tpot.because].concat();
        because.sort();
        because.dedup();
        Ok((self.calibrated(times, clients), because))
    }

    /// Returns what `clients` clients see, and what makes its intervals wider than usual.
    pub(super) fn times(&self, clients: u32, names: &Names<'_>) -> Result<(Times, Vec<String>), RowError> {
        let priced = ask(Kind::ServingLatency, &self.cells(clients), names)?;
        let origin = self.step.origin().weaker(self.memory.origin);
        let ranged = |value: &str, low: &str, high: &str| {
            // An answer of one token has no time per further token, and the row none in its cells.
            let none = (self.ask.output < 2).then_some(0.0);
            let seconds = |column: &str| priced.number(column).map(|ms| ms / 1e3).or(none);
            let (value, low, high) = (seconds(value)?, seconds(low)?, seconds(high)?);
            (value > 0.0 || self.ask.output < 2).then_some(Ranged { value, low, high, origin })
        };
        let ttft = ranged("predicted_ttft_ms", "ttft_low_ms", "ttft_high_ms");
        let tpot = ranged("predicted_tpot_ms", "tpot_low_ms", "tpot_high_ms");
        let (Some(ttft), Some(tpot)) = (ttft, tpot) else {
            return Err(RowError::NotPriced("nothing is predicted of this load".to_owned()));
        };
        Ok((self.possible(self.calibrated(Times { ttft, tpot }, clients)), priced.because))
    }

    /// Returns times whose intervals do not reach below what one request takes at the peak and the full bandwidth.
    fn possible(&self, times: Times) -> Times {
        let least = |shapes: &[StepShape]| -> f64 {
            let pass = |shape: &StepShape| {
                let floors = self.step.floors(shape);
                floors.compute_ns.max(floors.memory_ns).max(floors.link_ns)
            };
            shapes.iter().map(pass).sum::<f64>() * 1e-9
        };
        let above =
            |ranged: Ranged, least: f64| Ranged { low: ranged.low.max(least.min(ranged.value)), ..ranged };
        let tpot = if self.ask.output < 2 {
            times.tpot
        } else {
            above(times.tpot, least(&[self.decode_shape(1.0)]))
        };
        Times { ttft: above(times.ttft, least(&self.prompt_shapes())), tpot }
    }

    /// Returns what is predicted with the user's own measurements of the configuration.
    fn calibrated(&self, times: Times, clients: u32) -> Times {
        let Some(own) = self.own else { return times };
        let at = (f64::from(clients), f64::from(self.ask.input), f64::from(self.ask.output));
        let scaled = |ranged: Ranged, factor: Option<Factor>| {
            let Some(Factor { value, width, spread }) = factor else { return ranged };
            // Own measurements make less sure than none only where they contradict each other.
            let (low, high) = (ranged.value / ranged.low, ranged.high / ranged.value);
            let value = value * ranged.value;
            Ranged {
                value,
                low: value / width.min(low.max(spread)),
                high: value * width.min(high.max(spread)),
                origin: Origin::Measured,
            }
        };
        Times {
            ttft: scaled(times.ttft, calibrate::ttft(own, at)),
            tpot: scaled(times.tpot, calibrate::tpot(own, at)),
        }
    }

    /// Returns everything that follows from both times at a load.
    pub(super) fn point(&self, clients: u32, times: Times) -> Point {
        let output = f64::from(self.ask.output);
        let e2e = plus(times.ttft, times.tpot.times((output - 1.0).max(0.0)));
        let requests = e2e.under(f64::from(clients));
        let writing = f64::from(clients) * (1.0 - times.ttft.value / e2e.value);
        Point {
            concurrency: Some(clients),
            replicas: 1,
            replicas_between: (1, 1),
            ttft_s: times.ttft,
            ttft_p99_s: None,
            tpot_s: times.tpot,
            tpot_p99_s: None,
            e2e_s: e2e,
            tokens_per_s_per_user: if output > 1.0 { times.tpot.under(1.0) } else { e2e.under(1.0) },
            requests_per_s: requests,
            output_tokens_per_s: requests.times(output),
            output_tokens_per_s_per_accelerator: requests.times(output),
            cost_per_million_output: None,
            cost_per_million_tokens: None,
            writing,
            limit: self.limit(clients, writing),
            on_front: false,
        }
    }

    /// Tokens that a sequence which writes holds on average.
    fn held(&self) -> f64 {
        f64::from(self.ask.input) + f64::from(self.ask.output) / 2.0
    }

    /// What one group of ranks with its own sequences has when `writing` write in all.
    fn decode_shape(&self, writing: f64) -> StepShape {
        let most = (self.memory.kv_tokens_at(self.held()) / self.held()).max(1.0);
        let running = (writing / f64::from(self.degrees.data)).clamp(1.0, most);
        StepShape::decode(running, running * self.held())
    }

    /// The pieces in which a prompt that comes alone is read; with groups, by one of them.
    fn prompt_shapes(&self) -> Vec<StepShape> {
        let most = default_limits(self.ask.engine, self.accelerator).step_tokens.max(1);
        let (mut shapes, mut read) = (Vec::new(), 0);
        while read < self.ask.input {
            let piece = most.min(self.ask.input - read);
            let ends = read + piece == self.ask.input;
            shapes.push(StepShape::default().with_chunk(f64::from(piece), f64::from(read), ends));
            read += piece;
        }
        shapes
    }

    /// Returns where the time of reading one prompt goes.
    pub(super) fn prefill(&self) -> Vec<TimeSlice> {
        self.slices(&self.prompt_shapes(), 1)
    }

    /// Returns where the time of a step goes in which `writing` sequences write.
    pub(super) fn decode(&self, writing: f64) -> Vec<TimeSlice> {
        self.slices(&[self.decode_shape(writing)], self.degrees.data)
    }

    fn slices(&self, shapes: &[StepShape], groups: u32) -> Vec<TimeSlice> {
        let mut parts: Vec<(Part, f64)> = Vec::new();
        for (part, ns) in shapes.iter().flat_map(|shape| self.step.waterfall(shape, groups)) {
            match parts.iter_mut().find(|(known, _)| *known == part) {
                Some((_, sum)) => *sum += ns,
                None => parts.push((part, ns)),
            }
        }
        let all: f64 = parts.iter().map(|(_, ns)| ns).sum();
        parts.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let slice = |(part, ns): (Part, f64)| TimeSlice {
            part: part.words().to_owned(),
            seconds: ns * 1e-9,
            share: ns / all,
        };
        parts.into_iter().map(slice).collect()
    }

    /// Returns what binds: room in the cache where requests wait for it, else what takes longest over the life of a
    /// request: bytes at full memory bandwidth, FLOPs at the peak, bytes over the link, or work of the host.
    fn limit(&self, clients: u32, writing: f64) -> Limit {
        let most = self.memory.kv_tokens_at(self.held()) / self.held();
        if f64::from(clients) > most.max(1.0) * f64::from(self.degrees.data) {
            return Limit::KvCapacity;
        }
        let decode = self.decode_shape(writing);
        let groups = self.degrees.data;
        let steps = f64::from(self.ask.output) / (decode.decodes * f64::from(groups));
        let mut spent = [0.0; 4];
        let pieces = self.prompt_shapes().into_iter().map(|shape| (shape, 1, 1.0));
        for (shape, groups, times) in pieces.chain([(decode, groups, steps)]) {
            let floors = self.step.floors(&shape);
            let host = |part: Part| matches!(part, Part::Host | Part::Launch | Part::Pipeline);
            let hosted = self.step.waterfall(&shape, groups).into_iter().filter(|(part, _)| host(*part));
            let of_step =
                [floors.memory_ns, floors.compute_ns, floors.link_ns, hosted.map(|(_, ns)| ns).sum::<f64>()];
            spent.iter_mut().zip(of_step).for_each(|(sum, ns)| *sum += times * ns);
        }
        let limits = [Limit::MemoryBandwidth, Limit::Compute, Limit::Link, Limit::Host];
        let largest = limits.into_iter().zip(spent).max_by(|a, b| a.1.total_cmp(&b.1));
        largest.map_or(Limit::MemoryBandwidth, |(limit, _)| limit)
    }

    /// Returns why the intervals are as wide as they are.
    ///
    /// `causes` are those of the residuals, which a calibration replaces.
    pub(super) fn why(&self, causes: Vec<String>) -> Vec<String> {
        let mut why = if self.own.is_some() { Vec::new() } else { causes };
        if let Some(own) = self.own {
            why.push(format!(
                "calibrated with {} own measurement{} of this configuration ({}, {})",
                own.points.len(),
                if own.points.len() == 1 { "" } else { "s" },
                own.provenance.source,
                own.provenance.as_of
            ));
        }
        let name = &self.accelerator.id;
        let unmeasured = self.unmeasured();
        if !unmeasured.is_empty() {
            why.push(format!(
                "nobody measured {} on {name}: peak and bandwidth of the data sheet × usual efficiencies",
                unmeasured.join(", ")
            ));
        }
        let grade = self.accelerator.provenance.grade;
        if grade.origin() == Origin::Assumed {
            let word = format!("{grade:?}").to_lowercase();
            why.push(format!("the data sheet of {name} is {word}"));
        }
        if self.accelerator.programmable_memory().1 == Origin::Assumed {
            why.push(format!("the memory that programs can use on {name} is assumed"));
        }
        if self.ask.engine_version != self.ask.engine.version {
            why.push(format!(
                "coefficients hold for {} {}, not for {}",
                self.ask.engine.id, self.ask.engine.version, self.ask.engine_version
            ));
        }
        if self.degrees.pipeline > 1 {
            why.push("nobody published a closed loop with pipeline stages".to_owned());
        }
        if self.own.is_none() {
            why.push(
                "launch options (stream interval, batch cap, graphs, speculation) are defaults; one own \
                 measurement narrows the interval: `capstan calibrate`"
                    .to_owned(),
            );
        }
        why
    }

    /// Returns the kinds of operators of which the catalog has no measured curve on this accelerator.
    fn unmeasured(&self) -> Vec<String> {
        let (catalog, id) = (self.ask.catalog, &self.accelerator.id);
        let operators = self.step.operators();
        let mut precisions: Vec<Precision> = operators.gemms.iter().map(|gemm| gemm.precision).collect();
        precisions.sort_unstable();
        precisions.dedup();
        let mut missing = Vec::new();
        for precision in precisions {
            let curve = catalog.gemm.iter().find(|row| row.accelerator == *id && row.precision == precision);
            if curve.is_none_or(|row| row.origin == Origin::Assumed) {
                missing.push(format!("{} matrix products", precision.word()));
            }
        }
        if let Some(grouped) = operators.experts {
            let curve = catalog
                .experts
                .iter()
                .find(|row| row.accelerator == *id && row.precision == grouped.precision);
            if curve.is_none_or(|row| row.origin == Origin::Assumed) {
                missing.push(format!("{} experts", grouped.precision.word()));
            }
        }
        let attention = catalog.attention.iter().find(|row| row.accelerator == *id);
        if attention.is_none_or(|row| row.origin == Origin::Assumed) {
            missing.push("attention".to_owned());
        }
        let collective = catalog.collectives.iter().find(|row| row.accelerator == *id);
        if self.degrees.of_stage() > 1 && collective.is_none_or(|row| row.origin == Origin::Assumed) {
            missing.push("all-reduce".to_owned());
        }
        missing
    }
}

/// Fills in what an accelerator yields and what that costs; `accelerators` are those of one replica.
pub(super) fn set_price(
    point: &mut Point,
    accelerators: u32,
    (input, output): (u32, u32),
    price: Option<&HourPrice>,
) {
    let accelerators = f64::from(accelerators.max(1));
    let over = |tokens: f64, replicas: u32| tokens / (f64::from(replicas.max(1)) * accelerators);
    let all = point.output_tokens_per_s;
    let each = Ranged {
        value: over(all.value, point.replicas),
        low: over(all.low, point.replicas_between.1),
        high: over(all.high, point.replicas_between.0),
        origin: all.origin,
    };
    let (input, output) = (f64::from(input), f64::from(output));
    point.output_tokens_per_s_per_accelerator = each;
    let hour = price.and_then(|price| price.per_accelerator_hour.to_f64());
    point.cost_per_million_output = hour.map(|hour| each.under(hour / 3600.0 * 1e6));
    point.cost_per_million_tokens =
        point.cost_per_million_output.map(|cost| cost.times(output / (input + output)));
}

fn plus(a: Ranged, b: Ranged) -> Ranged {
    Ranged {
        value: a.value + b.value,
        low: a.low + b.low,
        high: a.high + b.high,
        origin: a.origin.weaker(b.origin),
    }
}
