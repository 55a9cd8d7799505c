//! Every way to train a model by its deadline: nodes, split and months, from step time and goodput.

use crate::batches::{self, span_at};
use crate::candidates::Tally;
use crate::columns::{TrainColumn, is_allowed};
use crate::frame::Frame;
use crate::market::Stand;
use crate::periods::within;
use crate::shortcuts;
use crate::spares;
use crate::storage;
use capstan_sim::perf::Reason;
use capstan_sim::perf::training::{
    Adapters, Cluster, Failures, Goodput, Job, Known, Method, Search, Space, TrainingStep, goodput, search,
};
use capstan_types::blueprint::{Band, Period, RejectionCount, StepInterval, TrainingCandidate, TrainingRun};
use capstan_types::catalog::Catalog;
use capstan_types::hardware::Precision;
use capstan_types::model::Model;
use capstan_types::origin::Origin;
use capstan_types::spec::{Limit, Spec, Train, TrainMethod};
use capstan_types::units::{Bytes, HOURS_PER_MONTH, Seconds, Tokens};
use jiff::ToSpan;
use jiff::civil::Date;
use rayon::prelude::*;
use std::ops::Range;

/// Counts of nodes that are tried: between powers of two every quarter, since batches divide by small factors.
const MOST_NODES: u32 = 4096;

/// Share by which a batch may be rounded so that it divides over the data-parallel ranks.
const BATCH_ROUNDING: f64 = 0.05;

/// Rate at which one node writes a checkpoint.
///
/// Origin: Assumed; the "good" level of the SuperPOD H100 storage guidance, 2 GB/s per node.
const CHECKPOINT_WRITE_PER_NODE: f64 = 2e9;

/// Copies of a machine's part of a checkpoint in its memory while it is written at once: the part as it comes from the
/// accelerators, and the same as it is written.
///
/// Origin: Assumed; a run of 744e9 parameters with parts of 650 GB died on machines with 780 GB free (Megatron-LM 61).
pub(crate) const HOST_COPIES: f64 = 2.0;

/// Ways of one place and start that are tried where a job waits.
const WAYS_TO_WAIT: usize = 3;

/// Share of time for which the nodes that compute must be complete at an own site.
const SPARE_TARGET: f64 = 0.99;

/// The columns of one training workload, and why other ways are none.
#[derive(Debug, Clone, Default)]
pub struct Jobs {
    /// Columns by place, then length.
    pub columns: Vec<TrainColumn>,
    /// Every way that ends in time, also those with more nodes for the same months.
    pub every: Vec<TrainColumn>,
    /// Ways that begin later than they might.
    pub later: Vec<TrainColumn>,
    /// What was turned down.
    pub rejections: Vec<RejectionCount>,
}

/// What is the same for every trial of one workload.
struct Ask<'a> {
    spec: &'a Spec,
    periods: &'a [Period],
    train: &'a Train,
    model: &'a Model,
    known: Known,
    /// All the time that there is, then what is left of it from each later period on, where jobs may take turns.
    windows: Vec<Window>,
    /// Hours of the day at which it may run; empty is all of them.
    patterns: Vec<Vec<bool>>,
}

/// One trial: a place, a count of nodes, a precision.
struct Trial {
    stand: usize,
    nodes: u32,
    precision: Precision,
}

/// How a trial trains while it runs.
struct Pace<'a> {
    step: &'a TrainingStep,
    batch: Tokens,
    good: &'a Goodput,
    checkpoint: Bytes,
}

/// Returns every way to run `train` that ends in time; of ways that hold the same machines for the same months, the
/// one with the fewest nodes.
pub(crate) fn enumerate(frame: &Frame<'_>, train: &Train, model: &Model) -> Jobs {
    let Frame { spec, catalog, market, periods, .. } = frame;
    let window = Window::of(spec, periods, train.start.as_ref(), train.finish.as_ref());
    let quiet = train.interruptible.then(|| batches::quiet_hours(&frame.demand, window.periods.start));
    let starts = if may_wait(spec) { window.periods.clone().skip(1) } else { (0..0).skip(1) };
    let later: Vec<Window> = starts.map(|start| window.from(spec, periods, start)).collect();
    let windows = [window].into_iter().chain(later).collect();
    let ask = Ask {
        spec,
        periods,
        train,
        model,
        known: Known::of(catalog),
        windows,
        patterns: [Vec::new()].into_iter().chain(quiet.unwrap_or_default()).collect(),
    };
    let mut trials = Vec::new();
    for (index, stand) in market.stands.iter().enumerate() {
        if is_allowed(train.sites.as_ref(), stand.site) && accelerator_allowed(train, stand) {
            let precisions = train.precisions.iter();
            trials.extend(precisions.flat_map(|&precision| {
                node_counts().into_iter().map(move |nodes| Trial { stand: index, nodes, precision })
            }));
        }
    }
    let results: Vec<Result<NowAndLater, Reject>> =
        trials.par_iter().map(|trial| ask.attempt(catalog, &market.stands[trial.stand], trial)).collect();
    let mut tally = Tally::new(&train.name);
    let mut columns: Vec<TrainColumn> = Vec::new();
    let (mut every, mut later) = (Vec::new(), Vec::new());
    for (trial, result) in trials.iter().zip(results) {
        let shape = &market.stands[trial.stand].shape.id;
        let words = format!("{} nodes, {}", trial.nodes, trial.precision.word());
        match result {
            Ok((now, then)) => {
                every.extend(now.iter().cloned());
                now.into_iter().for_each(|column| keep_smaller(&mut columns, column));
                then.into_iter().for_each(|column| keep_smaller(&mut later, column));
            }
            Err(reject) => {
                tally.add(shape, reject.code(), reject.excess(), &format!("{words}: {}", reject.words()))
            }
        }
    }
    Jobs { columns, every, later: with_few_nodes(later), rejections: tally.counts() }
}

/// May a job gain by waiting? For machines that another needs first, or that do not stand there yet.
fn may_wait(spec: &Spec) -> bool {
    let jobs = spec.trains.len() + spec.batches.len();
    jobs > 1 || spec.sites.iter().any(|site| site.is_own() && site.lead_time_months > 0.0)
}

/// Returns the ways with the fewest nodes of each place and start: who waits for machines wants few.
fn with_few_nodes(mut columns: Vec<TrainColumn>) -> Vec<TrainColumn> {
    let place = |column: &TrainColumn| (column.stand, column.periods.start);
    columns.sort_by_key(|column| (place(column), column.nodes));
    let groups = columns.chunk_by(|a, b| place(a) == place(b));
    groups.flat_map(|group| group.iter().take(WAYS_TO_WAIT)).cloned().collect()
}

fn accelerator_allowed(train: &Train, stand: &Stand<'_>) -> bool {
    let Some(accelerator) = stand.shape.accelerator.as_ref() else { return false };
    train.accelerators.as_ref().is_none_or(|names| names.contains(accelerator))
}

fn node_counts() -> Vec<u32> {
    let mut counts: Vec<u32> = vec![1, 2, 3];
    let mut power = 4;
    while power < MOST_NODES {
        counts.extend((0..4).map(|quarter| power + quarter * power / 4));
        power *= 2;
    }
    counts
}

/// When a job may run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Window {
    /// The periods.
    pub periods: Range<usize>,
    /// Its first and its last day.
    pub begins: Date,
    ends: Date,
    /// Hours until the end of the last period, or of the last day if that is earlier.
    hours: f64,
}

impl Window {
    /// Returns the window between two days, each of which may be left open.
    pub(crate) fn of(
        spec: &Spec,
        periods: &[Period],
        start: Option<&Limit<Date>>,
        finish: Option<&Limit<Date>>,
    ) -> Window {
        let first = start.map_or(0, |start| spec.frame.month_of(start.value));
        // A month that the last day is in may be used up to that day, which the hours see to.
        let last = finish.map_or(spec.frame.months, |finish| spec.frame.month_with(finish.value));
        let held = within(periods, &(first..last));
        let first = periods.get(held.start).map_or(spec.frame.months, |period| period.first_month);
        let begins = day(spec.frame.start, f64::from(first) * HOURS_PER_MONTH);
        // Months are 730 h, so a boundary may lie a day before the date that it stands for.
        let begins = start.map_or(begins, |start| begins.max(start.value));
        let ends = finish.map_or(spec.frame.end, |finish| finish.value);
        Window { hours: hours_until(ends, begins, &periods[held.clone()]), periods: held, begins, ends }
    }

    /// Returns what is left of it from a later period on.
    fn from(&self, spec: &Spec, periods: &[Period], start: usize) -> Window {
        let begins = day(spec.frame.start, f64::from(periods[start].first_month) * HOURS_PER_MONTH);
        let held = start..self.periods.end;
        let hours = hours_until(self.ends, begins, &periods[held.clone()]);
        Window { periods: held, begins, ends: self.ends, hours }
    }

    /// Returns the fewest periods from its start that are long enough, or how many hours there are.
    fn held(&self, periods: &[Period], hours: f64) -> Result<Range<usize>, f64> {
        if hours > self.hours { Err(self.hours) } else { held(periods, &self.periods, hours) }
    }

    /// Returns how long it is.
    pub(crate) fn hours(&self) -> f64 {
        self.hours
    }
}

/// Returns the hours of some periods up to the end of a day.
fn hours_until(ends: Date, begins: Date, periods: &[Period]) -> f64 {
    let months: u32 = periods.iter().map(|period| period.months).sum();
    let days = ends.since(begins).map_or(0, |span| span.get_days()) + 1;
    (f64::from(months) * HOURS_PER_MONTH).min(f64::from(days.max(0)) * 24.0)
}

/// Returns the fewest periods from the start of a window that are long enough, or how many hours there are.
pub(crate) fn held(periods: &[Period], window: &Range<usize>, hours: f64) -> Result<Range<usize>, f64> {
    let mut months = 0.0;
    for index in window.clone() {
        months += f64::from(periods[index].months);
        if months * HOURS_PER_MONTH >= hours {
            return Ok(window.start..index + 1);
        }
    }
    Err(months * HOURS_PER_MONTH)
}

/// Returns the share of each period in which machines are held: all of it, but of the last one only up to the end.
pub(crate) fn shares(periods: &[Period], held: &Range<usize>, hours: f64) -> Vec<f64> {
    let mut left = hours / HOURS_PER_MONTH;
    let share = |(index, period): (usize, &Period)| {
        if !held.contains(&index) {
            return 0.0;
        }
        let months = f64::from(period.months);
        let share = (left / months).clamp(0.0, 1.0);
        left -= months;
        share
    };
    periods.iter().enumerate().map(share).collect()
}

/// Of ways that hold machines at one place in the same periods, one with no more machines and no more hours of them is
/// as good as any other.
fn keep_smaller(columns: &mut Vec<TrainColumn>, column: TrainColumn) {
    let is_twin = |known: &TrainColumn| {
        let there = known.stand == column.stand && known.periods == column.periods;
        there && known.run.at_hours == column.run.at_hours
    };
    let node_hours = |column: &TrainColumn| f64::from(column.nodes) * column.run.hours;
    let no_worse = |one: &TrainColumn, other: &TrainColumn| {
        one.nodes <= other.nodes && node_hours(one) <= node_hours(other)
    };
    if columns.iter().any(|known| is_twin(known) && no_worse(known, &column)) {
        return;
    }
    columns.retain(|known| !(is_twin(known) && no_worse(&column, known)));
    columns.push(column);
}

/// Columns of one trial that begin as early as they may, and others.
type NowAndLater = (Vec<TrainColumn>, Vec<TrainColumn>);

/// Why a trial is no way.
enum Reject {
    Physics(Reason),
    TooLate { needed_months: f64, available_months: f64 },
    TooFrequentFailures,
}

impl Reject {
    fn code(&self) -> &'static str {
        match self {
            Self::Physics(reason) => reason.code(),
            Self::TooLate { .. } => "deadline_missed",
            Self::TooFrequentFailures => "failures_too_frequent",
        }
    }

    fn excess(&self) -> Option<f64> {
        match self {
            Self::Physics(reason) => reason.excess(),
            Self::TooLate { needed_months, available_months } => {
                Some(needed_months / available_months.max(1e-9))
            }
            Self::TooFrequentFailures => None,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Physics(reason) => reason.to_string(),
            Self::TooLate { needed_months, available_months } => {
                format!("needs {needed_months:.1} months where {available_months:.1} are left")
            }
            Self::TooFrequentFailures => "fails more often than it restarts".to_owned(),
        }
    }
}

impl Ask<'_> {
    /// Returns the columns of a trial: around the clock, and at those hours of each day at which it ends in time.
    fn attempt(&self, catalog: &Catalog, stand: &Stand<'_>, trial: &Trial) -> Result<NowAndLater, Reject> {
        let accelerator = stand
            .shape
            .accelerator
            .as_deref()
            .and_then(|id| catalog.accelerator(id))
            .ok_or(Reject::Physics(Reason::TooFewAccelerators { needed: 1, available: 0 }))?;
        let cluster = Cluster {
            known: &self.known,
            accelerator,
            per_node: stand.shape.accelerators,
            nodes: trial.nodes,
            scale_out: stand.shape.scale_out,
        };
        let batch = rounded_batch(self.train, cluster.accelerators());
        let job = Job { model: self.model, batch, sequence: self.train.sequence, precision: trial.precision };
        let method = method(self.train.method);
        let space = Space::usual(&cluster, &job, &self.train.parallelism, &method);
        let wanted = Search { space: &space, method: &method, wanted: 1, host: None };
        let step = search(&cluster, &job, &wanted).map_err(Reject::Physics)?.best;
        let checkpoint = saved(self.model, self.train.method);
        let planned = storage::stall(self.spec, &stand.site.name);
        let stall = planned.unwrap_or_else(|| {
            Seconds(checkpoint.get() / (CHECKPOINT_WRITE_PER_NODE * f64::from(trial.nodes)))
        });
        let every = self.train.checkpoint.every.as_ref().map(|limit| limit.value);
        let good = Goodput::of(trial.nodes, Failures::default(), goodput::RESTART, stall, every);
        if good.effective <= 0.0 {
            return Err(Reject::TooFrequentFailures);
        }
        let work = self.train.tokens.get() / step.tokens_per_s / good.effective / 3600.0;
        let resume = Seconds(goodput::RESTART.get() + stall.get());
        let pace = Pace { step: &step, batch, good: &good, checkpoint };
        let mut columns = (Vec::new(), Vec::new());
        for at_hours in &self.patterns {
            let always = at_hours.is_empty();
            let hours = if always { Some(work) } else { span_at(at_hours, work, resume.get() / 3600.0) };
            let Some(hours) = hours else { continue };
            let resume = if always { Seconds(0.0) } else { resume };
            for (index, window) in self.windows.iter().enumerate() {
                match window.held(self.periods, hours) {
                    Ok(held) => {
                        let column = self.column(stand, trial, &pace, (at_hours, resume), (hours, held));
                        if index == 0 { columns.0.push(column) } else { columns.1.push(column) }
                    }
                    Err(available) if always && index == 0 => {
                        return Err(Reject::TooLate {
                            needed_months: hours / HOURS_PER_MONTH,
                            available_months: available / HOURS_PER_MONTH,
                        });
                    }
                    Err(_) => break,
                }
            }
        }
        Ok(columns)
    }

    fn column(
        &self,
        stand: &Stand<'_>,
        trial: &Trial,
        &Pace { step, batch, good, checkpoint }: &Pace<'_>,
        (at_hours, resume): (&[bool], Seconds),
        (hours, held): (f64, Range<usize>),
    ) -> TrainColumn {
        let own = stand.site.is_own();
        let spare_nodes = if own {
            spares::spares(trial.nodes, spares::node_availability(true), SPARE_TARGET).unwrap_or(trial.nodes)
        } else {
            0
        };
        let window = self.windows.iter().find(|window| window.periods.start == held.start);
        let begins = window.map_or(self.spec.frame.start, |window| window.begins);
        let group = step.layout.tensor * step.layout.pipeline;
        let run = TrainingRun {
            workload: self.train.name.clone(),
            model: self.model.id.clone(),
            site: stand.site.name.clone(),
            candidate: TrainingCandidate {
                shape: stand.shape.id.clone(),
                accelerator: stand.shape.accelerator.clone().unwrap_or_default(),
                nodes: trial.nodes,
                tensor: step.layout.tensor,
                pipeline: step.layout.pipeline,
                data: trial.nodes * stand.shape.accelerators / group.max(1),
                expert: step.layout.expert,
                interleave: step.layout.interleave,
                micro_batch: step.layout.micro_batch,
                precision: trial.precision,
                recompute: step.memory.recompute > 0.0,
            },
            spare_nodes,
            start: begins,
            end: day(begins, hours),
            hours,
            at_hours: at_hours.to_vec(),
            resume,
            shares: shares(self.periods, &held, hours),
            batch,
            step: step.step,
            tokens_per_s: step.tokens_per_s,
            goodput: good.effective,
            model_flops_utilization: step.utilization,
            needed: step.memory.needed(),
            memory: step.memory.free,
            checkpoint_interval: good.interval,
            checkpoint,
            checkpoint_host: Bytes(checkpoint.get() * HOST_COPIES / f64::from(trial.nodes.max(1))),
            host_memory: stand.shape.host_memory,
            failures: 0.0,
            interval: Some(StepInterval {
                step: Band { low: step.low.get() / step.step.get(), high: step.high.get() / step.step.get() },
                because: step.wide_because.clone(),
            }),
            origin: step.origin.weaker(good.origin).weaker(Origin::Analytic),
        };
        let failures = hours * run.share_of_week() * 3600.0 / good.mttf.get();
        let run = TrainingRun { failures, ..run };
        TrainColumn { stand: trial.stand, nodes: trial.nodes + spare_nodes, periods: held, run }
    }
}

/// Returns how the simulator trains by a method of the plan.
fn method(method: TrainMethod) -> Method {
    match method {
        TrainMethod::Full => Method::default(),
        TrainMethod::Lora { rank, quantised } => {
            let frozen = if quantised { Precision::Int4 } else { Precision::Bf16 };
            Method { adapters: true, low_rank: Some(Adapters { rank, frozen }), ..Method::default() }
        }
    }
}

/// Returns what a checkpoint holds: everything that is trained.
pub(crate) fn saved(model: &Model, method: TrainMethod) -> Bytes {
    let all = goodput::checkpoint_bytes(model);
    match method {
        TrainMethod::Full => all,
        TrainMethod::Lora { rank, .. } => {
            // Two bytes of each of its parameters are what a server loads.
            let parameters = shortcuts::adapter_bytes(model, rank).get() / 2.0;
            all * (parameters / (model.params_total_b * 1e9)).min(1.0)
        }
    }
}

/// Returns the batch, rounded by at most five percent so that it divides over as many ranks as possible.
fn rounded_batch(train: &Train, accelerators: u64) -> Tokens {
    let sequences = train.batch.get() / f64::from(train.sequence.max(1));
    for group in [1_u64, 2, 4, 8, 16, 32, 64, 128] {
        let ranks = (accelerators / group) as f64;
        if ranks < 1.0 || !accelerators.is_multiple_of(group) {
            continue;
        }
        let rounded = (sequences / ranks).round().max(1.0) * ranks;
        if (rounded - sequences).abs() <= BATCH_ROUNDING * sequences {
            return Tokens(rounded * f64::from(train.sequence));
        }
    }
    train.batch
}

fn day(start: Date, hours: f64) -> Date {
    start.saturating_add(((hours / 24.0).floor() as i64).days())
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing;

    #[test]
    fn a_checkpoint_of_adapters_holds_their_parameters_and_no_more() {
        let model = &testing::models()[3];
        // Rows and columns of four matrices of attention and three of feed-forward, in 32 layers.
        let sides = 2.0 * (4096.0 + 4096.0) + 2.0 * (4096.0 + 1024.0) + 3.0 * (4096.0 + 14_336.0);
        let each = goodput::checkpoint_bytes(model).get() / (model.params_total_b * 1e9);
        let held = saved(model, TrainMethod::Lora { rank: 64, quantised: false }).get();
        assert!((held / (each * 64.0 * 32.0 * sides) - 1.0).abs() < 1e-12, "{held}");
    }
}
