//! Every configuration of a space, put together from parts that are computed once.
//!
//! Rows depend on (tensor ranks, micro-batch, expert ranks) and on how tensor ranks exchange; stages on (tensor ranks,
//! stages, chunks, expert ranks) and on what is sharded and where it lies; memory on both, but not on what overlaps. So
//! memory is tested before time, and what does not fit is turned down for all overlaps and links at once. The innermost
//! loop is some sixty floating-point operations, the same function that prices a single step.

use super::kernels::Kernels;
use super::memory::{ActivationRow, Activations, Room, States, TrainingMemory, layers_in_flight};
use super::rows::{Degrees, Row};
use super::search::Search;
use super::time::{Pace, Shape, Stage, step};
use super::{
    Cluster, Exchange, Job, Layout, Link, Links, Method, Overlap, Recompute, Sharding, micro_batches,
};
use crate::perf::rejection::Reason;

/// A configuration and its time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Timed {
    pub(super) seconds: f64,
    pub(super) layout: Layout,
    pub(super) method: Method,
}

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Swept {
    /// The fastest, in order; of equally fast ones those that came first.
    pub(super) fastest: Vec<Timed>,
    pub(super) priced: u64,
    pub(super) rejected: u64,
    pub(super) nearest: Option<Reason>,
}

/// A search under way.
pub(super) struct Sweep<'a> {
    cluster: &'a Cluster<'a>,
    job: &'a Job<'a>,
    kernels: &'a Kernels,
    search: &'a Search<'a>,
    pace: Pace,
    room: Room,
    pub(super) swept: Swept,
}

/// Choices that matter for some degrees: of those that do not, only the first is left.
struct Choices<'a> {
    sharding: &'a [Sharding],
    overlap: &'a [Overlap],
    data_overlap: &'a [bool],
    tensor_link: &'a [Link],
    pipeline_link: &'a [Link],
    data_link: &'a [Link],
}

/// A way to train as far as memory knows it, by place among the choices.
#[derive(Clone, Copy)]
struct Way {
    exchange: usize,
    sharding: usize,
    offload: usize,
    recompute: Recompute,
}

/// What is the same for every way to train in a layout.
struct Tables<'a> {
    layout: Layout,
    micro_batches: u64,
    choices: Choices<'a>,
    ways: &'a [Way],
    states: &'a [States],
    /// By sharding, then offload; each by overlap of data, link of stages, link of data.
    stages: &'a [Vec<Stage>],
    /// By exchange; each by link of tensor ranks.
    rows: Vec<Vec<Row>>,
    /// By exchange: activations, and bytes of a micro-batch.
    activations: Vec<(Activations, f64)>,
    /// Exposed share by overlap.
    shares: Vec<f64>,
}

fn first<T>(matters: bool, all: &[T]) -> &[T] {
    if matters { all } else { &all[..all.len().min(1)] }
}

impl<'a> Sweep<'a> {
    pub(super) fn new(
        cluster: &'a Cluster<'a>,
        job: &'a Job<'a>,
        kernels: &'a Kernels,
        search: &'a Search<'a>,
    ) -> Self {
        let pace = Pace::of(cluster, job, kernels, search.method);
        Self { cluster, job, kernels, search, pace, room: Room::of(cluster), swept: Swept::default() }
    }

    /// Tries everything.
    pub(super) fn run(&mut self) {
        let (space, context) = (self.search.space, u64::from(self.search.method.context));
        let n = self.cluster.accelerators();
        for &tensor in &space.tensor {
            for &pipeline in &space.pipeline {
                let group = u64::from(tensor) * u64::from(pipeline) * context;
                if group == 0 || !n.is_multiple_of(group) {
                    continue;
                }
                for interleave in space.interleaves(self.job.model.layers, pipeline) {
                    for expert in space.experts(tensor, n / u64::from(tensor) / u64::from(pipeline)) {
                        let layout = Layout { tensor, pipeline, interleave, micro_batch: 1, expert };
                        self.layout(&layout, n / group);
                    }
                }
            }
        }
    }

    fn choices(&self, layout: &Layout, ranks: u64) -> Choices<'a> {
        let space = self.search.space;
        let (tensor, pipeline, data) = (layout.tensor > 1, layout.pipeline > 1, ranks > 1);
        Choices {
            sharding: first(data, &space.sharding),
            overlap: first(tensor, &space.overlap),
            data_overlap: first(data, &space.data_overlap),
            tensor_link: first(tensor, &space.link),
            pipeline_link: first(pipeline, &space.link),
            data_link: first(data, &space.link),
        }
    }

    /// Returns the ways to train, without those that are another by another name: where all layers are computed again,
    /// nothing gathered is kept and nothing is moved.
    fn ways(&self, choices: &Choices<'_>) -> Vec<Way> {
        let space = self.search.space;
        let again = |way: &Way| {
            let kept = space.exchange.len() > 1 && space.exchange[way.exchange] == Exchange::SequenceKept;
            let moved = space.offload.len() > 1 && space.offload[way.offload].activations;
            way.recompute == Recompute::Full && (kept || moved)
        };
        let mut ways = Vec::new();
        for exchange in 0..space.exchange.len() {
            for sharding in 0..choices.sharding.len() {
                for offload in 0..space.offload.len() {
                    let of = |&recompute: &Recompute| Way { exchange, sharding, offload, recompute };
                    ways.extend(space.recompute.iter().map(of));
                }
            }
        }
        ways.retain(|way| !again(way));
        ways
    }

    /// Tries every micro-batch and every way to train of some degrees.
    fn layout(&mut self, layout: &Layout, ranks: u64) {
        let choices = self.choices(layout, ranks);
        let (ways, states) = (self.ways(&choices), self.states(layout, &choices));
        let stages = self.stages(layout, &choices);
        for &micro_batch in &self.search.space.micro_batch {
            let layout = Layout { micro_batch, ..*layout };
            match micro_batches(self.cluster, self.job, &layout, self.search.method) {
                Ok(m) => {
                    let tables =
                        self.tables(layout, m, (&ways, &states, &stages), self.choices(&layout, ranks));
                    self.micro_batch(&tables);
                }
                // What does not divide is no configuration, but may be all that there is to say.
                Err(reason) => self.turn_down(0, reason),
            }
        }
    }

    fn turn_down(&mut self, configurations: u64, reason: Reason) {
        self.swept.rejected += configurations;
        let nearer = match (&self.swept.nearest, &reason) {
            (Some(Reason::DoesNotFit { needed, .. }), Reason::DoesNotFit { needed: other, .. }) => {
                other < needed
            }
            (_, Reason::DoesNotFit { .. }) | (None, _) => true,
            _ => false,
        };
        if nearer {
            self.swept.nearest = Some(reason);
        }
    }

    /// Returns the states by sharding.
    fn states(&self, layout: &Layout, choices: &Choices<'_>) -> Vec<States> {
        let ranks =
            self.cluster.accelerators() as f64 / f64::from(layout.tensor) / f64::from(layout.pipeline);
        let of = |&sharding: &Sharding| {
            States::of(self.job, layout, &Method { sharding, ..*self.search.method }, ranks)
        };
        choices.sharding.iter().map(of).collect()
    }

    /// Returns the stages as [`Tables`] has them.
    fn stages(&self, layout: &Layout, choices: &Choices<'_>) -> Vec<Vec<Stage>> {
        let mut all = Vec::new();
        for &sharding in choices.sharding {
            for &offload in &self.search.space.offload {
                let methods = choices.data().map(|(data_overlap, pipeline, data)| {
                    let links = Links { pipeline, data, ..Links::NEAREST };
                    Method { sharding, offload, data_overlap, links, ..*self.search.method }
                });
                let stage = |method| Stage::of(self.cluster, self.job, self.kernels, layout, &method);
                all.push(methods.map(stage).collect());
            }
        }
        all
    }

    fn tables<'b>(
        &self,
        layout: Layout,
        micro_batches: u64,
        (ways, states, stages): (&'b [Way], &'b [States], &'b [Vec<Stage>]),
        choices: Choices<'b>,
    ) -> Tables<'b> {
        let degrees =
            Degrees { tensor: layout.tensor, micro_batch: layout.micro_batch, expert: layout.expert };
        let layers = layers_in_flight(self.job.model.layers, &layout, micro_batches);
        let share = |&overlap: &Overlap| self.pace.tensor_share(overlap, f64::from(layout.tensor));
        let methods = self.search.space.exchange.iter();
        let methods: Vec<Method> =
            methods.map(|&exchange| Method { exchange, ..*self.search.method }).collect();
        let rows = |method: &Method| {
            let of = |&tensor: &Link| {
                let method = Method { links: Links { tensor, ..Links::NEAREST }, ..*method };
                Row::of(self.cluster, self.job, self.kernels, &method, degrees)
            };
            choices.tensor_link.iter().map(of).collect()
        };
        let activations = |method: &Method| {
            let row = ActivationRow::of(self.job, method, layout.tensor, layout.micro_batch);
            let kept = row.each * f64::from(self.job.model.layers) / f64::from(layout.pipeline);
            (Activations::of(&row, layers, layout.pipeline == 1), kept)
        };
        Tables {
            layout,
            micro_batches,
            ways,
            states,
            stages,
            rows: methods.iter().map(rows).collect(),
            activations: methods.iter().map(activations).collect(),
            shares: choices.overlap.iter().map(share).collect(),
            choices,
        }
    }

    /// Tries every way to train of a layout: memory first, then time by all that memory does not know.
    fn micro_batch(&mut self, tables: &Tables<'_>) {
        let offloads = &self.search.space.offload;
        for way in tables.ways {
            let (activations, kept) = &tables.activations[way.exchange];
            let offload = offloads[way.offload];
            let rows = &tables.rows[way.exchange];
            let stages = &tables.stages[way.sharding * offloads.len() + way.offload];
            let memory = TrainingMemory::settle(
                &self.room,
                &tables.states[way.sharding],
                activations,
                offload,
                way.recompute,
            );
            let memory = memory.and_then(|memory| match self.search.host {
                Some(host) => memory.check_host(self.cluster.per_node, host).map(|()| memory),
                None => Ok(memory),
            });
            match memory {
                Err(reason) => {
                    self.turn_down((tables.shares.len() * rows.len() * stages.len()) as u64, reason);
                }
                Ok(memory) => {
                    let shape = Shape {
                        micro_batches: tables.micro_batches as f64,
                        recompute: memory.recompute,
                        attention_again: way.recompute == Recompute::Attention,
                        tensor_share: 0.0,
                        kept: *kept,
                    };
                    self.time(tables, way, (rows, stages), shape);
                }
            }
        }
    }

    fn time(&mut self, tables: &Tables<'_>, way: &Way, (rows, stages): (&[Row], &[Stage]), shape: Shape) {
        for (overlap, &tensor_share) in tables.shares.iter().enumerate() {
            let shape = Shape { tensor_share, ..shape };
            for (link, row) in rows.iter().enumerate() {
                for (place, stage) in stages.iter().enumerate() {
                    let seconds = step(&self.pace, row, stage, &shape).total;
                    let last = self.swept.fastest.last().map_or(f64::INFINITY, |timed| timed.seconds);
                    if seconds < last || self.swept.fastest.len() < self.search.wanted.max(1) {
                        let method = self.method(&tables.choices, way, (overlap, link, place));
                        self.keep(Timed { seconds, layout: tables.layout, method });
                    }
                }
                self.swept.priced += stages.len() as u64;
            }
        }
    }

    /// Returns the way to train that stands at some places.
    fn method(
        &self,
        choices: &Choices<'_>,
        way: &Way,
        (overlap, link, stage): (usize, usize, usize),
    ) -> Method {
        let space = self.search.space;
        let (data_overlap, pipeline, data) =
            choices.data().nth(stage).unwrap_or((true, Link::Nearest, Link::Nearest));
        Method {
            exchange: space.exchange[way.exchange],
            sharding: choices.sharding[way.sharding],
            offload: space.offload[way.offload],
            recompute: way.recompute,
            overlap: choices.overlap[overlap],
            data_overlap,
            links: Links { tensor: choices.tensor_link[link], pipeline, data },
            ..*self.search.method
        }
    }

    fn keep(&mut self, timed: Timed) {
        let fastest = &mut self.swept.fastest;
        let place = fastest.partition_point(|other| other.seconds <= timed.seconds);
        fastest.insert(place, timed);
        fastest.truncate(self.search.wanted.max(1));
    }
}

impl Choices<'_> {
    /// Returns what only data-parallel ranks and stages choose: overlap, link of stages, link of data.
    fn data(&self) -> impl Iterator<Item = (bool, Link, Link)> {
        self.data_overlap.iter().flat_map(move |&overlap| {
            self.pipeline_link
                .iter()
                .flat_map(move |&pipeline| self.data_link.iter().map(move |&data| (overlap, pipeline, data)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Known, Space, search::kernels, step_of};
    use super::*;
    use capstan_types::hardware::Precision;
    use capstan_types::model::Model;
    use capstan_types::spec::Parallelism;
    use capstan_types::testing;
    use capstan_types::units::{BytesPerSecond, Tokens};

    /// A small GPT: every choice of the wide space matters on eight accelerators, and some do not fit.
    fn model() -> Model {
        let mut model = testing::models().remove(3);
        (model.layers, model.hidden, model.heads, model.kv_heads, model.head_dim) = (8, 8192, 64, 64, 128);
        (model.ffn, model.gated, model.vocab, model.tied) = (32_768, false, 51_200, true);
        model
    }

    /// Returns every configuration of the wide space, one by one, by the ordinary way.
    fn one_by_one(cluster: &Cluster<'_>, job: &Job<'_>, space: &Space) -> Vec<(Layout, Method, f64)> {
        let mut all = Vec::new();
        let n = cluster.accelerators() as u32;
        for &tensor in &space.tensor {
            for pipeline in space.pipeline.iter().copied().filter(|p| n.is_multiple_of(tensor * p)) {
                for interleave in
                    (1..=8).filter(|v| (8 / pipeline).is_multiple_of(*v) && (pipeline > 1 || *v == 1))
                {
                    for &micro_batch in &space.micro_batch {
                        let layout = Layout { tensor, pipeline, interleave, micro_batch, expert: 1 };
                        all.extend(methods(space, &layout, n / tensor / pipeline).into_iter().filter_map(
                            |method| {
                                Some((
                                    layout,
                                    method,
                                    step_of(cluster, job, &layout, &method).ok()?.step.get(),
                                ))
                            },
                        ));
                    }
                }
            }
        }
        all
    }

    fn methods(space: &Space, layout: &Layout, ranks: u32) -> Vec<Method> {
        let mut all = vec![Method::default()];
        fn each<T: Copy>(all: &mut Vec<Method>, options: &[T], set: fn(&mut Method, T)) {
            let old = std::mem::take(all);
            for method in old {
                for &option in options {
                    let mut other = method;
                    set(&mut other, option);
                    all.push(other);
                }
            }
        }
        let (t, p, d) = (layout.tensor > 1, layout.pipeline > 1, ranks > 1);
        each(&mut all, &space.exchange, |method, exchange| method.exchange = exchange);
        each(&mut all, first(d, &space.sharding), |method, sharding| method.sharding = sharding);
        each(&mut all, &space.offload, |method, offload| method.offload = offload);
        each(&mut all, &space.recompute, |method, recompute| method.recompute = recompute);
        all.retain(|method| {
            method.recompute != Recompute::Full
                || (method.exchange != Exchange::SequenceKept && !method.offload.activations)
        });
        each(&mut all, first(t, &space.overlap), |method, overlap| method.overlap = overlap);
        each(&mut all, first(t, &space.link), |method, link| method.links.tensor = link);
        each(&mut all, first(d, &space.data_overlap), |method, overlap| method.data_overlap = overlap);
        each(&mut all, first(p, &space.link), |method, link| method.links.pipeline = link);
        each(&mut all, first(d, &space.link), |method, link| method.links.data = link);
        all
    }

    #[test]
    fn the_sweep_is_the_exhaustive_search_bit_by_bit() {
        let (catalog, known, model) = (testing::catalog(), Known::default(), model());
        let accelerator = catalog.accelerator("a100_sxm_80gb").unwrap();
        let scale_out = Some(BytesPerSecond(100e9));
        let cluster = Cluster { known: &known, accelerator, per_node: 4, nodes: 2, scale_out };
        let job =
            Job { model: &model, batch: Tokens(16.0 * 2048.0), sequence: 2048, precision: Precision::Bf16 };
        let space = Space::wide(&cluster, &job, &Parallelism::default(), true);
        let all = one_by_one(&cluster, &job, &space);
        let kernels = kernels(&cluster, &job).unwrap();
        let method = Method::default();
        let search = Search { space: &space, method: &method, wanted: 2000, host: None };
        let mut sweep = Sweep::new(&cluster, &job, &kernels, &search);
        sweep.run();
        assert_eq!(sweep.swept.priced, all.len() as u64);
        assert!(sweep.swept.rejected > 100, "{}", sweep.swept.rejected);
        let mut sorted = all.clone();
        sorted.sort_by(|a, b| a.2.total_cmp(&b.2));
        for (timed, (layout, method, seconds)) in sweep.swept.fastest.iter().zip(&sorted) {
            assert_eq!(timed.seconds.to_bits(), seconds.to_bits(), "{layout:?}");
            let again = step_of(&cluster, &job, &timed.layout, &timed.method).unwrap();
            assert_eq!(again.step.get().to_bits(), timed.seconds.to_bits(), "{method:?}");
        }
        let slow = sorted[sorted.len() - 1].2;
        assert!(slow > 1.5 * sorted[0].2, "choices matter: {slow} against {}", sorted[0].2);
    }

    /// Sizes that Calculon prints for GPT-3 175B (`-d`): 64 accelerators and a batch of 64, also without overlap and
    /// without the host's memory.
    #[test]
    fn the_wide_space_is_that_of_calculon() {
        let (catalog, known, mut model) = (testing::catalog(), Known::default(), model());
        (model.layers, model.hidden, model.heads, model.kv_heads, model.ffn) = (96, 12_288, 96, 96, 49_152);
        let accelerator = catalog.accelerator("a100_sxm_80gb").unwrap();
        let cluster = Cluster { known: &known, accelerator, per_node: 8, nodes: 8, scale_out: None };
        let job =
            Job { model: &model, batch: Tokens(64.0 * 2048.0), sequence: 2048, precision: Precision::Bf16 };
        for (hosted, overlaps, configurations) in
            [(true, true, 3_232_128), (true, false, 611_344), (false, true, 467_808), (false, false, 88_484)]
        {
            let mut space = Space::wide(&cluster, &job, &Parallelism::default(), hosted);
            if !overlaps {
                space.overlap.truncate(1);
                space.data_overlap.truncate(1);
            }
            let method = Method::default();
            let start = std::time::Instant::now();
            let search = Search { space: &space, method: &method, wanted: 1, host: None };
            let found = super::super::search(&cluster, &job, &search).unwrap();
            assert_eq!(found.priced + found.rejected, configurations);
            println!(
                "{configurations} in {:?}, {} priced: {:.2} s {:?}",
                start.elapsed(),
                found.priced,
                found.best.step.get(),
                found.best.layout
            );
        }
    }
}
