//! What of a plan is settled before the world is known, and what it means in another world.
//!
//! Ways to run, the machines of jobs, and what is bought or reserved stay; replicas and what is paid by the hour follow.
//! In the program what was bought stands there already: its cost is added to the answer, and draws from limits on money,
//! power and quotas beforehand.

use crate::columns::ServeColumns;
use crate::formulate::Formulation;
use crate::frame::Frame;
use crate::market::{Market, Stand};
use crate::outside::Outside;
use crate::parts::Part;
use crate::program::{
    self, Bound, Committed, CostItem, CostLine, Limit, Nodes, OfferRef, Problem, Purchase, Rule, Solution,
};
use capstan_types::blueprint::{Period, TrainingRun};
use capstan_types::offering::PurchaseOption;

/// Relative room in comparisons of sums of node-hours.
const ROOM: f64 = 1e-6;

/// The way in which a workload runs, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The site.
    pub site: String,
    /// Key of the way.
    pub way: String,
}

/// Where a job runs, on what and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Job {
    site: String,
    shape: String,
    nodes: u32,
    precision: capstan_types::hardware::Precision,
    at_hours: Vec<bool>,
}

impl Job {
    fn of(run: &TrainingRun) -> Job {
        let candidate = &run.candidate;
        Job {
            site: run.site.clone(),
            shape: candidate.shape.clone(),
            nodes: candidate.nodes,
            precision: candidate.precision,
            at_hours: run.at_hours.clone(),
        }
    }
}

/// Nodes bought for a term.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bought {
    site: String,
    shape: String,
    option: PurchaseOption,
    first_month: u32,
    count: u32,
}

/// A plan as far as it is settled before the world is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The way of each service.
    pub serves: Vec<Pick>,
    jobs: Vec<Job>,
    /// Site and machine of each service and group of notebooks.
    apps: Vec<(String, String)>,
    /// The way of offline inference; how many replicas run when follows from the world.
    pub batches: Vec<Pick>,
    bought: Vec<Bought>,
    /// Is nothing bought by the hour of which a workload may only have a share?
    pub firm: bool,
}

impl Kept {
    /// Returns what an answer settles.
    pub fn of(
        frame: &Frame<'_>,
        serves: &[ServeColumns<'_>],
        formulation: &Formulation<'_>,
        solution: &Solution,
    ) -> Kept {
        let parts = &formulation.parts;
        let stands = &frame.market.stands;
        let picks = serves.iter().zip(&solution.columns).map(|(serve, &column)| {
            let column = &serve.columns[column];
            Pick { site: stands[column.stand].site.name.clone(), way: serve.ways[column.way].candidate.key() }
        });
        let jobs = frame.trains.iter().zip(&solution.columns[serves.len()..]);
        let jobs = jobs.map(|(train, &column)| Job::of(&train.columns[column].run));
        let others = &solution.columns[serves.len() + frame.trains.len()..];
        let batches = formulation.batches.iter().zip(&others[frame.apps.len()..]);
        let batches = batches.map(|(batch, &column)| {
            let column = &batch.columns[column];
            Pick { site: stands[column.stand].site.name.clone(), way: batch.ways[column.way].candidate.key() }
        });
        let apps = frame.apps.iter().zip(others);
        let apps = apps.map(|(app, &column)| {
            let stand = &stands[app.columns[column].stand];
            (stand.site.name.clone(), stand.shape.id.clone())
        });
        let bought = solution.purchases.iter().filter_map(|purchase| {
            let Nodes::Committed { count, from, .. } = purchase.nodes else { return None };
            let stand = &stands[purchase.offer.pool];
            Some(Bought {
                site: stand.site.name.clone(),
                shape: stand.shape.id.clone(),
                option: stand.quotes[purchase.offer.offer].option,
                first_month: frame.periods[parts[from].period].first_month,
                count: u32::try_from(count).unwrap_or(u32::MAX),
            })
        });
        Kept {
            serves: picks.collect(),
            jobs: jobs.collect(),
            apps: apps.collect(),
            batches: batches.collect(),
            bought: bought.collect(),
            firm: false,
        }
    }

    /// A plan that settles nothing.
    #[cfg(test)]
    pub fn nothing() -> Kept {
        Kept {
            serves: Vec::new(),
            jobs: Vec::new(),
            apps: Vec::new(),
            batches: Vec::new(),
            bought: Vec::new(),
            firm: false,
        }
    }

    /// Is this how the job of that number runs?
    pub fn is_job(&self, index: usize, run: &TrainingRun) -> bool {
        self.jobs.get(index).is_some_and(|job| *job == Job::of(run))
    }

    /// Is this where the service or group of that number runs?
    pub fn is_place_of(&self, index: usize, stand: &Stand<'_>) -> bool {
        let place = (stand.site.name.as_str(), stand.shape.id.as_str());
        self.apps.get(index).is_some_and(|(site, shape)| (site.as_str(), shape.as_str()) == place)
    }

    /// Returns the same plan with nothing by the hour of which a workload may only have a share.
    pub fn firmly(&self) -> Kept {
        Kept { firm: true, ..self.clone() }
    }

    /// Returns the machines of it in words, what is bought for a term with numbers.
    pub fn words(&self) -> String {
        let mut words: Vec<String> = Vec::new();
        for bought in &self.bought {
            let Bought { site, shape, option, count, .. } = bought;
            words.push(format!("{count} × {shape} at {site}, {}", option.words()));
        }
        if words.is_empty() {
            words.push("nothing for a term".to_owned());
        }
        let mut places: Vec<String> = self
            .serves
            .iter()
            .chain(&self.batches)
            .map(|pick| format!("{} at {}", pick.way, pick.site))
            .collect();
        places.extend(self.jobs.iter().map(|job| format!("{} × {} at {}", job.nodes, job.shape, job.site)));
        places.dedup();
        format!("{}; runs {}", words.join(" + "), places.join(" + "))
    }

    /// Returns where in a market it stands, and what it costs there.
    pub fn placed(
        &self,
        market: &Market<'_>,
        periods: &[Period],
        parts: &[Part],
        problem: &Problem,
    ) -> Placed {
        let mut placed = Placed {
            nodes: vec![vec![0; parts.len()]; market.stands.len()],
            outside: Outside {
                per_month: vec![0.0; periods.len()],
                capex: vec![0.0; periods.len()],
                ..Outside::default()
            },
            purchases: Vec::new(),
            lines: Vec::new(),
            is_whole: true,
        };
        for bought in &self.bought {
            placed.is_whole &= placed.add(bought, market, (periods, parts), problem).is_some();
        }
        placed
    }
}

/// What was bought before, in one market.
#[derive(Debug, Clone)]
pub(crate) struct Placed {
    /// Nodes by place and period.
    nodes: Vec<Vec<u32>>,
    /// Its cost.
    outside: Outside,
    purchases: Vec<Purchase>,
    lines: Vec<CostLine>,
    /// Could all of it be had here?
    is_whole: bool,
}

impl Placed {
    fn add(
        &mut self,
        bought: &Bought,
        market: &Market<'_>,
        (periods, parts): (&[Period], &[Part]),
        problem: &Problem,
    ) -> Option<()> {
        let mut stands = market.stands.iter();
        let pool =
            stands.position(|stand| stand.site.name == bought.site && stand.shape.id == bought.shape)?;
        let offer = market.stands[pool].quotes.iter().position(|quote| quote.option == bought.option)?;
        let from = parts.iter().position(|part| periods[part.period].first_month >= bought.first_month)?;
        let of = OfferRef { pool, offer };
        let terms = problem.pools[pool].offers.get(offer).filter(|offer| offer.first_period <= from)?;
        let one = Committed::of(problem, terms, from)?;
        let count = f64::from(bought.count);
        for nodes in &mut self.nodes[pool][from..one.until] {
            *nodes += bought.count;
        }
        let nodes = Nodes::Committed { count: u64::from(bought.count), from, until: one.until };
        self.purchases.push(Purchase { offer: of, nodes });
        let mut line = |period: usize, item: CostItem, each: f64, factor: f64| {
            let amount = each * count;
            self.lines.push(CostLine { offer: of, period, item, amount, discounted: amount * factor });
        };
        if one.capex != 0.0 {
            line(from, CostItem::Capex, one.capex, problem.periods[from].discount_at_start);
        }
        for &(period, cost) in &one.running {
            line(period, CostItem::Running, cost, problem.periods[period].discount);
            let of = parts[period].period;
            self.outside.per_month[of] += cost * count / f64::from(periods[of].months);
        }
        if one.residual != 0.0 {
            line(parts.len() - 1, CostItem::Residual, -one.residual, problem.discount_at_end);
        }
        self.outside.capex[parts[from].period] += one.capex * count;
        self.outside.left -= one.residual * count;
        Some(())
    }

    /// Returns what is spent beside the program, with this.
    pub fn beside(&self, outside: &Outside) -> Outside {
        let sums = |one: &[f64], other: &[f64]| one.iter().zip(other).map(|(a, b)| a + b).collect();
        Outside {
            per_month: sums(&outside.per_month, &self.outside.per_month),
            capex: sums(&outside.capex, &self.outside.capex),
            left: outside.left + self.outside.left,
            bought: self.nodes.iter().map(|nodes| nodes.iter().copied().fold(0, u32::max)).collect(),
            ..outside.clone()
        }
    }

    /// Lets what was bought stand there.
    pub fn stand_in(&self, pools: &mut [program::Pool]) {
        for (pool, nodes) in pools.iter_mut().zip(&self.nodes) {
            for (there, more) in pool.existing_nodes.iter_mut().zip(nodes) {
                *there += more;
            }
        }
    }

    /// Returns an answer with what was bought before; none where it could not be had, or a limit on shares is not kept.
    pub fn added_to(&self, mut solution: Solution, problem: &Problem, shares: &[Limit]) -> Option<Solution> {
        let cost: f64 = self.lines.iter().map(|line| line.discounted).sum();
        solution.purchases.extend(self.purchases.iter().cloned());
        solution.lines.extend(self.lines.iter().cloned());
        solution.objective += cost;
        solution.best_bound += cost;
        let kept = shares.iter().all(|limit| is_share_kept(problem, &solution, limit));
        (self.is_whole && kept).then_some(solution)
    }
}

/// Does an answer keep a limit on a share of node-hours?
fn is_share_kept(problem: &Problem, solution: &Solution, limit: &Limit) -> bool {
    let Rule::Share { part, whole, workload } = &limit.rule else { return true };
    let place = workload.map(|workload| problem.workloads[workload].columns[solution.columns[workload]].pool);
    let of = |offers: &[OfferRef]| -> f64 {
        let here = |offer: &OfferRef| place.is_none_or(|pool| pool == offer.pool) && offers.contains(offer);
        let bought = solution.purchases.iter().filter(|purchase| here(&purchase.offer));
        bought.map(|purchase| node_hours(problem, &purchase.nodes)).sum()
    };
    let (part, whole) = (of(part), of(whole));
    match limit.bound {
        Bound::AtMost(most) => part <= most * whole + ROOM * whole,
        Bound::AtLeast(least) => part >= least * whole - ROOM * whole,
    }
}

fn node_hours(problem: &Problem, nodes: &Nodes) -> f64 {
    let month: f64 = problem.slots.iter().map(|slot| slot.hours_per_month).sum();
    match nodes {
        Nodes::Committed { count, from, until } => {
            let months: f64 = problem.periods[*from..*until].iter().map(|period| period.months).sum();
            *count as f64 * months * month
        }
        Nodes::Hourly { counts } => {
            let each = counts.iter().zip(&problem.periods).flat_map(|(slots, period)| {
                slots
                    .iter()
                    .zip(&problem.slots)
                    .map(|(&n, slot)| n as f64 * slot.hours_per_month * period.months)
            });
            each.sum()
        }
    }
}
