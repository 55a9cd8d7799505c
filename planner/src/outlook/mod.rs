//! What does a model achieve on machines at hand, before anybody plans? The answer of `capstan estimate` to people.
//!
//! Numbers come from the rooms that answer elsewhere: a fixed number of requests in flight from the closed loops of
//! `estimate --table`, requests at a rate from the ways and the simulation of `plan`. This room enumerates machines and
//! splits, prices them and ranks them. It knows no budget, no site and no growth; a plan does.

mod open;
mod price;
mod run;
mod training;

use crate::splits::Spread;
use capstan_sim::perf::Reason;
use capstan_sim::tables::{Names, RowError};
use capstan_types::catalog::{Catalog, Engine};
use capstan_types::degrees::Degrees;
use capstan_types::hardware::{Accelerator, NodeShape, Precision};
use capstan_types::model::Model;
use capstan_types::money::Currency;
use capstan_types::outlook::{
    Answer, Arrivals, FitWord, HourPrice, OUTLOOK_FORMAT, OtherSplit, Outlook, Point, Question, Ranged,
    Refused,
};
use capstan_types::spec::{Parallelism, Serve};
use rayon::prelude::*;
use run::Run;
use std::cmp::Ordering;
use std::collections::BTreeMap;
pub use training::Training;

/// Loads of a sweep at most.
const MOST_LOADS: usize = 64;

/// What a model is to run on.
#[derive(Debug, Clone, Copy)]
pub enum On<'a> {
    /// One chip, whoever sells it.
    Accelerator(&'a Accelerator),
    /// One machine.
    Machine(&'a NodeShape),
    /// Every machine of the catalog.
    All,
}

/// How requests come.
#[derive(Debug, Clone, Copy)]
pub enum Load<'a> {
    /// Requests in flight per replica: one number, or powers of two between two.
    Closed {
        /// Least.
        from: u32,
        /// Most.
        to: u32,
    },
    /// Poisson arrivals, as this workload of a plan states them.
    Open(&'a Serve),
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What is known.
    pub catalog: &'a Catalog,
    /// The model, a row of the catalog.
    pub model: &'a Model,
    /// The engine.
    pub engine: &'a Engine,
    /// Its version.
    pub engine_version: &'a str,
    /// On what.
    pub on: On<'a>,
    /// Degrees that are fixed; the stages always are.
    pub fixed: Parallelism,
    /// Precision of the weights.
    pub precision: Precision,
    /// Precision of the cache; `None` is 16 bits.
    pub kv_precision: Option<Precision>,
    /// Prompt tokens.
    pub input: u32,
    /// Output tokens.
    pub output: u32,
    /// How requests come.
    pub load: Load<'a>,
    /// The price of an hour of an accelerator, where it is given.
    pub price: Option<&'a HourPrice>,
    /// Seed of random arrivals.
    pub seed: u64,
}

/// A machine, or a chip without one, and how many stand together.
#[derive(Debug, Clone, Copy)]
struct Stand<'a> {
    machine: Option<&'a NodeShape>,
    accelerator: &'a Accelerator,
    most: u32,
}

/// What came of one split.
type Outcome = Result<Answer, Refusal>;

/// Why a split does not run.
#[derive(Debug, Clone, PartialEq)]
struct Refusal {
    code: &'static str,
    words: String,
    /// How far a "yes" is away; smaller is nearer.
    excess: f64,
}

impl From<RowError> for Refusal {
    fn from(error: RowError) -> Self {
        let (code, excess) = match &error {
            RowError::Impossible(reason) => (reason.code(), reason.excess().unwrap_or(f64::MAX)),
            _ => ("not_priced", f64::INFINITY),
        };
        Self { code, words: error.to_string(), excess }
    }
}

impl Ask<'_> {
    /// Returns the loads, rising: powers of two from the least on, and the most.
    fn loads(&self) -> Vec<u32> {
        let Load::Closed { from, to } = self.load else { return Vec::new() };
        let powers = std::iter::successors(Some(from.max(1)), |load| load.checked_mul(2));
        powers.take_while(|&load| load < to).take(MOST_LOADS).chain([to.max(1)]).collect()
    }

    fn is_sweep(&self) -> bool {
        matches!(self.load, Load::Closed { from, to } if from < to)
    }

    fn stands(&self) -> Vec<Stand<'_>> {
        let of = |shape| {
            let NodeShape { accelerator, accelerators, .. }: &NodeShape = shape;
            let accelerator = self.catalog.accelerator(accelerator.as_deref()?)?;
            (*accelerators > 0).then_some(Stand { machine: Some(shape), accelerator, most: *accelerators })
        };
        match self.on {
            On::Accelerator(accelerator) => {
                vec![Stand { machine: None, accelerator, most: accelerator.scale_up.domain.max(1) }]
            }
            On::Machine(shape) => of(shape).into_iter().collect(),
            On::All => self.catalog.shapes.iter().filter_map(of).collect(),
        }
    }

    fn spread(&self) -> Spread<'_> {
        Spread { model: self.model, engine: self.engine, fixed: &self.fixed, serve: None }
    }

    /// Returns the degrees to compare on up to `most` accelerators: what was asked, or what is usual there.
    fn splits(&self, most: u32) -> Vec<Degrees> {
        let mut all = self.spread().within(most);
        let fits = |degrees: &Degrees| degrees.accelerators() <= most;
        // Where nothing finds room, that is what the answer says, of the smallest.
        match all.iter().any(fits) {
            true => all.retain(|degrees| self.fixed.tensor.is_some() || fits(degrees)),
            false => all.truncate(1),
        }
        all
    }
}

/// Returns how far measurements of times to first token and per output token lie around what is predicted of `clients`
/// clients of one configuration, as multiples of it, and why.
pub(crate) fn around(
    ask: &Ask<'_>,
    accelerator: &Accelerator,
    degrees: Degrees,
    clients: u32,
    names: &Names<'_>,
) -> Result<(Ranged, Ranged, Vec<String>), RowError> {
    let run = Run::new(ask, accelerator, degrees)?;
    let (times, causes) = run.around(clients, names)?;
    Ok((times.ttft, times.tpot, run.why(causes)))
}

/// Answers.
pub fn outlook(ask: &Ask<'_>) -> Outlook {
    let names = Names::new(ask.catalog);
    let stands = ask.stands();
    // Physics depends on the chip and how many stand together, not on who sells the machine around them.
    let mut kinds: BTreeMap<(&str, u32), Stand<'_>> = BTreeMap::new();
    for stand in &stands {
        kinds.entry((&stand.accelerator.id, stand.most)).or_insert(*stand);
    }
    let kinds: Vec<((&str, u32), Stand<'_>)> = kinds.into_iter().collect();
    let tried: Vec<Vec<(Degrees, Outcome)>> =
        kinds.par_iter().map(|(_, stand)| try_all(ask, stand, &names)).collect();
    let tried: BTreeMap<(&str, u32), Vec<(Degrees, Outcome)>> =
        kinds.iter().map(|(kind, _)| *kind).zip(tried).collect();
    let (mut answers, mut refused) = (Vec::new(), Vec::new());
    for stand in &stands {
        let outcomes = &tried[&(stand.accelerator.id.as_str(), stand.most)];
        match choose(ask, outcomes) {
            Ok(chosen) => answers.extend(chosen.into_iter().map(|answer| at(ask, stand, answer))),
            Err((code, reason)) => refused.push(Refused {
                machine: stand.machine.map(|shape| shape.id.clone()),
                accelerator: stand.accelerator.id.clone(),
                code,
                reason,
            }),
        }
    }
    answers.sort_by(by_cost);
    mark_front(&mut answers);
    Outlook { format: OUTLOOK_FORMAT, question: question(ask), answers, refused, assumptions: Vec::new() }
}

fn question(ask: &Ask<'_>) -> Question {
    let on = match ask.on {
        On::Accelerator(accelerator) => accelerator.id.clone(),
        On::Machine(shape) => shape.id.clone(),
        On::All => "all".to_owned(),
    };
    Question {
        model: ask.model.id.clone(),
        model_name: ask.model.names.first().unwrap_or(&ask.model.id).clone(),
        params_total_b: ask.model.params_total_b,
        on,
        engine: ask.engine.id.clone(),
        engine_version: ask.engine_version.to_owned(),
        precision: ask.precision,
        kv_precision: ask.kv_precision.unwrap_or(Precision::Bf16),
        input_tokens: ask.input,
        output_tokens: ask.output,
        arrivals: match ask.load {
            Load::Closed { from, to } => Arrivals::Closed { from, to },
            Load::Open(serve) => Arrivals::Open { rate: serve.load.peak.get() },
        },
    }
}

/// Tries every split on one kind of stand, before any price.
fn try_all(ask: &Ask<'_>, stand: &Stand<'_>, names: &Names<'_>) -> Vec<(Degrees, Outcome)> {
    let splits = ask.splits(stand.most);
    splits.into_par_iter().map(|degrees| (degrees, try_one(ask, stand, degrees, names))).collect()
}

fn try_one(ask: &Ask<'_>, stand: &Stand<'_>, degrees: Degrees, names: &Names<'_>) -> Outcome {
    let (needed, available) = (degrees.accelerators(), stand.most);
    if needed > available {
        return Err(RowError::from(Reason::TooFewAccelerators { needed, available }).into());
    }
    let run = Run::new(ask, stand.accelerator, degrees)?;
    if let Some(refusal) = run.refusal() {
        let refusal = Refusal::from(refusal);
        // Nothing is predicted of an engine that holds no request, but it may well start.
        let words = format!("tight: {}, which is within the error of the memory model", refusal.words);
        return Err(if run.is_tight() { Refusal { code: "tight", words, ..refusal } } else { refusal });
    }
    let (mut points, causes): (Vec<Point>, Vec<Vec<String>>) = match ask.load {
        Load::Closed { .. } => {
            let point = |load| {
                let (times, causes) = run.times(load, names)?;
                Ok((run.point(load, times), causes))
            };
            ask.loads().into_par_iter().map(point).collect::<Result<Vec<_>, RowError>>()?.into_iter().unzip()
        }
        Load::Open(serve) => {
            (vec![open::point(ask, serve, stand.accelerator, stand.most, &run, names)?], Vec::new())
        }
    };
    let mut causes = causes.concat();
    causes.sort();
    causes.dedup();
    for point in &mut points {
        run::set_price(point, degrees.accelerators(), (ask.input, ask.output), None);
    }
    let writing = points.last().map_or(1.0, |point| point.writing);
    let accelerator = stand.accelerator;
    Ok(Answer {
        machine: None,
        accelerator: accelerator.id.clone(),
        accelerator_name: accelerator.names.first().unwrap_or(&accelerator.id).clone(),
        degrees,
        memory: run.memory(),
        prefill: run.prefill(),
        decode: run.decode(writing),
        points,
        price: None,
        others: Vec::new(),
        why: run.why(causes),
    })
}

/// Output tokens per second and accelerator at the highest load.
fn yielded(answer: &Answer) -> f64 {
    answer.points.last().map_or(0.0, |point| point.output_tokens_per_s_per_accelerator.value)
}

/// Returns the answers to show of one stand: in a sweep on one machine every split that runs, else the one that yields
/// most per accelerator, a split that fits before one that is tight. The error is the nearest miss.
fn choose(ask: &Ask<'_>, outcomes: &[(Degrees, Outcome)]) -> Result<Vec<Answer>, (String, String)> {
    let mut running: Vec<&Answer> = outcomes.iter().filter_map(|(_, one)| one.as_ref().ok()).collect();
    running.sort_by(|a, b| {
        a.memory
            .fit
            .cmp(&b.memory.fit)
            .then(yielded(b).total_cmp(&yielded(a)))
            .then(a.degrees.cmp(&b.degrees))
    });
    let Some(best) = running.first() else { return Err(nearest_miss(outcomes)) };
    if ask.is_sweep() && !matches!(ask.on, On::All) {
        let loose = running.iter().filter(|answer| answer.memory.fit == best.memory.fit);
        return Ok(loose.map(|answer| (*answer).clone()).collect());
    }
    let mut best = (*best).clone();
    let others = outcomes.iter().filter(|(degrees, _)| *degrees != best.degrees);
    best.others = others.map(other).collect();
    Ok(vec![best])
}

fn other((degrees, outcome): &(Degrees, Outcome)) -> OtherSplit {
    let done = outcome.as_ref().ok();
    OtherSplit {
        degrees: *degrees,
        fit: done.map_or(FitWord::No, |answer| answer.memory.fit),
        output_tokens_per_s_per_accelerator: done.map(yielded),
        tpot_s: done.and_then(|answer| answer.points.last()).map(|point| point.tpot_s.value),
        reason: outcome.as_ref().err().map(|refusal| refusal.words.clone()),
    }
}

/// Returns the reason of the split that comes nearest: one that does not fit, by the least excess, before any other.
fn nearest_miss(outcomes: &[(Degrees, Outcome)]) -> (String, String) {
    let refused = outcomes.iter().filter_map(|(degrees, outcome)| Some((degrees, outcome.as_ref().err()?)));
    let Some((degrees, refusal)) = refused.min_by(|a, b| a.1.excess.total_cmp(&b.1.excess)) else {
        return ("no_split".to_owned(), "no split of the model was tried".to_owned());
    };
    (refusal.code.to_owned(), format!("{}: {}", degrees.words(), refusal.words))
}

/// Puts an answer on its machine, at its price.
fn at(ask: &Ask<'_>, stand: &Stand<'_>, mut answer: Answer) -> Answer {
    answer.machine = stand.machine.map(|shape| shape.id.clone());
    answer.price = match (ask.price, stand.machine) {
        (Some(given), _) => Some(given.clone()),
        (None, Some(shape)) => price::of_machine(ask.catalog, shape, Currency::USD),
        (None, None) => {
            let ranks = answer.degrees.accelerators();
            let with = |shape: &&NodeShape| {
                shape.accelerator.as_deref() == Some(&stand.accelerator.id) && shape.accelerators >= ranks
            };
            price::cheapest(ask.catalog, ask.catalog.shapes.iter().filter(with), Currency::USD)
        }
    };
    let accelerators = answer.degrees.accelerators();
    for point in &mut answer.points {
        run::set_price(point, accelerators, (ask.input, ask.output), answer.price.as_ref());
    }
    answer
}

/// On demand before terms and spot, then what has no price; within each the cheapest first, then the highest yield; names
/// decide between equals.
fn by_cost(a: &Answer, b: &Answer) -> Ordering {
    let rank = |answer: &Answer| answer.price.as_ref().map_or(u32::MAX, |price| price::rank(price.option));
    let cost = |answer: &Answer| {
        let cost = answer.points.last().and_then(|point| point.cost_per_million_output);
        cost.map_or(f64::INFINITY, |cost| cost.value)
    };
    rank(a)
        .cmp(&rank(b))
        .then(cost(a).total_cmp(&cost(b)))
        .then(yielded(b).total_cmp(&yielded(a)))
        .then(a.machine.cmp(&b.machine))
        .then(a.degrees.cmp(&b.degrees))
}

/// Marks the points that no other beats in speed for a user and yield per accelerator at once; of equal points the first,
/// which is the cheaper one.
fn mark_front(answers: &mut [Answer]) {
    let value =
        |point: &Point| (point.tokens_per_s_per_user.value, point.output_tokens_per_s_per_accelerator.value);
    let all: Vec<(f64, f64)> = answers.iter().flat_map(|answer| &answer.points).map(value).collect();
    for (place, point) in answers.iter_mut().flat_map(|answer| &mut answer.points).enumerate() {
        let (speed, each) = all[place];
        let beats = |(other, &(s, y)): (usize, &(f64, f64))| {
            s >= speed && y >= each && (s > speed || y > each || other < place)
        };
        point.on_front = !all.iter().enumerate().any(beats);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::outlook::Limit;
    use capstan_types::testing;

    fn fixed(tensor: u32) -> Parallelism {
        Parallelism { tensor: Some(tensor), pipeline: Some(1), ..Parallelism::default() }
    }

    fn ask<'a>(catalog: &'a Catalog, model: &str, on: On<'a>, from: u32, to: u32) -> Ask<'a> {
        let model = catalog.model(model).unwrap();
        let engine = catalog.engine("vllm").unwrap();
        Ask {
            catalog,
            model,
            engine,
            engine_version: &engine.version,
            on,
            fixed: Parallelism { pipeline: Some(1), ..Parallelism::default() },
            precision: Precision::Bf16,
            kv_precision: None,
            input: 1024,
            output: 256,
            load: Load::Closed { from, to },
            price: None,
            seed: 1,
        }
    }

    #[test]
    fn a_sweep_rises_in_yield_and_falls_in_speed() {
        let catalog = testing::catalog();
        let on = On::Accelerator(catalog.accelerator("h100_sxm").unwrap());
        let outlook = outlook(&ask(&catalog, "llama3_1_8b", on, 1, 100));
        assert!(outlook.answers.len() > 1 && outlook.refused.is_empty());
        for answer in &outlook.answers {
            let loads: Vec<_> = answer.points.iter().filter_map(|point| point.concurrency).collect();
            assert_eq!(loads, [1, 2, 4, 8, 16, 32, 64, 100]);
            for pair in answer.points.windows(2) {
                let each = |point: &Point| point.output_tokens_per_s_per_accelerator.value;
                assert!(each(&pair[1]) > each(&pair[0]));
                assert!(pair[1].tokens_per_s_per_user.value < pair[0].tokens_per_s_per_user.value);
            }
            let all: f64 = answer.decode.iter().map(|slice| slice.share).sum();
            assert!((all - 1.0).abs() < 1e-9);
        }
        let front = outlook.answers.iter().flat_map(|answer| &answer.points).filter(|point| point.on_front);
        assert!(front.count() > 3);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_both_numbers_and_more_requests_wait_for_room() {
        let catalog = testing::catalog();
        let on = On::Accelerator(catalog.accelerator("h100_sxm").unwrap());
        let asked = Ask { fixed: fixed(1), ..ask(&catalog, "llama3_1_70b", on, 4, 4) };
        let refused = outlook(&asked).refused;
        assert_eq!(refused[0].code, "does_not_fit");
        assert!(refused[0].reason.contains("GiB are free"), "{}", refused[0].reason);
        let asked = Ask { fixed: fixed(2), ..ask(&catalog, "llama3_1_70b", on, 512, 512) };
        let answer = &outlook(&asked).answers[0];
        assert_eq!(answer.points[0].limit, Limit::KvCapacity);
        assert!(answer.points[0].writing < 512.0);
    }

    #[test]
    fn every_accelerator_answers_to_its_own_identifier() {
        let catalog = testing::catalog();
        let names = Names::new(&catalog);
        for accelerator in &catalog.accelerators {
            assert_eq!(names.accelerator(&accelerator.id).unwrap().id, accelerator.id);
        }
        for model in &catalog.models {
            assert_eq!(names.model(&model.id).unwrap().id, model.id);
        }
    }

    #[test]
    fn own_measurements_of_a_configuration_correct_it_and_no_other() {
        use capstan_types::catalog::{Calibration, CalibrationPoint};
        let mut catalog = testing::catalog();
        let answer = |catalog: &Catalog, tensor: u32| {
            let on = On::Accelerator(catalog.accelerator("h100_sxm").unwrap());
            let asked = Ask { fixed: fixed(tensor), ..ask(catalog, "llama3_1_8b", on, 16, 16) };
            outlook(&asked).answers[0].points[0].tpot_s
        };
        let (one, two) = (answer(&catalog, 1), answer(&catalog, 2));
        let point = CalibrationPoint {
            concurrency: 16,
            input_tokens: 1024,
            output_tokens: 256,
            tpot_ratio: Some(1.3),
            ttft_ratio: None,
        };
        catalog.calibrations = vec![Calibration {
            model: "llama3_1_8b".to_owned(),
            accelerator: "h100_sxm".to_owned(),
            engine: "vllm".to_owned(),
            engine_version: "any".to_owned(),
            precision: Precision::Bf16,
            degrees: Degrees::plain(1, 1),
            points: vec![point],
            provenance: catalog.models[0].provenance.clone(),
        }];
        let corrected = answer(&catalog, 1);
        assert!((1.2..1.3).contains(&(corrected.value / one.value)), "{corrected:?} {one:?}");
        assert!(corrected.high / corrected.low <= one.high / one.low);
        assert_eq!(answer(&catalog, 2), two);
    }
}
