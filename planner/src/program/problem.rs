//! What the program is asked: the plain numbers of one purchase decision.
//!
//! Everything is an index or a number with its unit in the field's name; no noun of the plan language
//! or of the catalogs appears here. Money is in one currency. This module does not know where a number
//! came from, and an unknown price is `None`, never 0.

use std::ops::Range;

/// One purchase decision: what must run, where it may run, and how nodes may be bought.
///
/// Invariant: every index is into the `Vec` it names. [`Problem::flaws`] checks this and all shapes;
/// [`super::solve`] refuses a problem with flaws.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The planning periods, in order. Training starts and ends at period borders.
    pub periods: Vec<Period>,
    /// The hours of a typical month that demand tells apart (two day types × 24 by [`day_type_slots`]).
    pub slots: Vec<Slot>,
    /// Discount factor of money received at the end of the horizon (residual values).
    pub discount_at_end: f64,
    /// Node shapes at sites.
    pub pools: Vec<Pool>,
    /// What must run.
    pub workloads: Vec<Workload>,
    /// What must hold. A limit's index is its id.
    pub limits: Vec<Limit>,
}

/// A stretch of the horizon in which demand is constant per slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Period {
    /// Length in months of 730 h; need not be whole.
    pub months: f64,
    /// Discount factor of what is paid when the period starts (capex).
    pub discount_at_start: f64,
    /// Discount factor of what is paid while it lasts (hours, monthly costs).
    pub discount: f64,
    /// Whether nodes may be bought or reserved at its start. One that does not open continues the one before it: terms end
    /// only where a period opens, and a cost per month is that of both together.
    pub opens: bool,
}

/// A part of a month.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// Hours per month that this slot stands for. All slots together are one month.
    pub hours_per_month: f64,
}

/// Returns the 48 slots of two day types: 24 hours of a weekday, then 24 of a weekend day.
///
/// Weekdays and weekend days stand 5 : 2 and a month has 730 h, so an hour of the weekday stands for
/// 730 / 24 · 5 / 7 h per month.
pub fn day_type_slots() -> Vec<Slot> {
    let days_per_month = 730.0 / 24.0;
    (0..48)
        .map(|hour| Slot { hours_per_month: days_per_month * if hour < 24 { 5.0 / 7.0 } else { 2.0 / 7.0 } })
        .collect()
}

/// One node shape at one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// The site; [`Rule::SitePower`] and [`Rule::SiteRacks`] name it.
    pub site: usize,
    /// Accelerators of a node. Replicas of several workloads may share a node.
    pub accelerators_per_node: u32,
    /// Power drawn from the site by one node, PUE included.
    pub power_kw_per_node: f64,
    /// Height of one node in a rack.
    pub rack_units_per_node: f64,
    /// Nodes that stand there already, per period. Free to use, and they count against power and racks.
    pub existing_nodes: Vec<u32>,
    /// The ways to get more. At most 32.
    pub offers: Vec<Offer>,
}

/// One way to get nodes of a pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// How it is paid.
    pub terms: Terms,
    /// The most nodes of this offer at any time.
    pub max_nodes: Option<u32>,
    /// First period in which nodes can be there (lead time).
    pub first_period: usize,
}

/// A purchase option with its price. A price of `None` is unknown: the offer is skipped and reported.
#[derive(Debug, Clone, PartialEq)]
pub enum Terms {
    /// Bought at the start of a period; stays until the end of the horizon.
    Owned {
        /// Paid per node at purchase.
        capex_per_node: Option<f64>,
        /// Paid per node and month from purchase on, used or not.
        opex_per_node_month: f64,
        /// Worth of a node at the end of the horizon, by the period of purchase; empty is no worth.
        residual_per_node: Vec<f64>,
    },
    /// Committed from the start of a period for a term, paid for all hours, used or not.
    ///
    /// The nodes serve the periods that the term covers whole; all months of the term are paid, those after the horizon at
    /// its end. A term shorter than its first period is renewed until that period has ended.
    Reserved {
        /// Length of the commitment.
        term_months: f64,
        /// Per node and hour of the term.
        price_per_node_hour: Option<f64>,
    },
    /// Paid per node and hour used.
    OnDemand {
        /// Per node and hour.
        price_per_node_hour: Option<f64>,
    },
    /// Paid per node and hour used; may be reclaimed, so a workload must allow it.
    Spot {
        /// Per node and hour.
        price_per_node_hour: Option<f64>,
    },
}

impl Terms {
    /// Returns the price that decides whether the offer can be used.
    pub fn price(&self) -> Option<f64> {
        match *self {
            Terms::Owned { capex_per_node, .. } => capex_per_node,
            Terms::Reserved { price_per_node_hour, .. }
            | Terms::OnDemand { price_per_node_hour }
            | Terms::Spot { price_per_node_hour } => price_per_node_hour,
        }
    }

    /// Whether nodes stay for several hours once bought.
    pub fn is_committed(&self) -> bool {
        matches!(self, Terms::Owned { .. } | Terms::Reserved { .. })
    }
}

/// Something that must run. Exactly one of its columns is chosen.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Units of demand, `[period][slot]`, headroom included; a period in which it does not run is empty. Jobs leave all of
    /// it empty.
    pub demand: Vec<Vec<f64>>,
    /// The ways to run it.
    pub columns: Vec<Column>,
}

/// One way to run a workload on one pool.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Where.
    pub pool: usize,
    /// Indices of the pool's offers whose nodes it may use. Existing nodes may always be used.
    pub offers: Vec<usize>,
    /// What it occupies.
    pub runs: Runs,
    /// Paid beside its nodes wherever it is chosen, by period, not discounted; empty is nothing.
    pub paid: Vec<f64>,
}

impl Column {
    /// Returns what is paid beside its nodes in a period.
    pub fn paid_in(&self, period: usize) -> f64 {
        self.paid.get(period).copied().unwrap_or(0.0)
    }
}

/// What a column occupies, in accelerators of its pool.
///
/// Nodes needed in an hour are ⌈Σ accelerators / accelerators per node⌉ over all workloads of the pool, so
/// a replica that leaves part of a node unusable must be charged for it: see [`charged_accelerators`].
#[derive(Debug, Clone, PartialEq)]
pub enum Runs {
    /// max(⌈demand / units_per_replica⌉, min_replicas) + spare_replicas replicas in every slot.
    Replicas {
        /// Demand that one replica serves.
        units_per_replica: f64,
        /// Accelerators charged per replica.
        accelerators: u32,
        /// Never fewer replicas than this.
        min_replicas: u32,
        /// Added on top of what demand needs (N + k).
        spare_replicas: u32,
    },
    /// A fixed number of accelerators in some periods, of all hours or by slot: training, batch.
    Job {
        /// Accelerators charged: one number for all hours, or one for each slot.
        accelerators: Vec<u64>,
        /// Periods in which it runs.
        periods: Range<usize>,
    },
}

/// Returns what a replica of `needed` accelerators must be charged on nodes of `per_node`.
///
/// Whole nodes if it spans nodes; else the smallest divisor of `per_node` that holds it, since sizes that
/// divide the node pack without loss (3 of 8 is charged 4, because only two such replicas fit).
pub fn charged_accelerators(needed: u32, per_node: u32) -> u32 {
    if per_node == 0 {
        return needed;
    }
    if needed >= per_node {
        return needed.div_ceil(per_node).saturating_mul(per_node);
    }
    (needed.max(1)..=per_node).find(|size| per_node.is_multiple_of(*size)).unwrap_or(per_node)
}

/// An offer of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfferRef {
    /// Index into [`Problem::pools`].
    pub pool: usize,
    /// Index into [`Pool::offers`].
    pub offer: usize,
}

/// A rule and the value it must keep.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// What is limited.
    pub rule: Rule,
    /// How far. `AtLeast` is for [`Rule::Share`] only.
    pub bound: Bound,
}

/// Which side a limit is on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// `<=`
    AtMost(f64),
    /// `>=`
    AtLeast(f64),
}

impl Bound {
    /// Returns the number without its side.
    pub fn value(self) -> f64 {
        match self {
            Bound::AtMost(value) | Bound::AtLeast(value) => value,
        }
    }

    /// Returns the same side with another number.
    pub fn with_value(self, value: f64) -> Bound {
        match self {
            Bound::AtMost(_) => Bound::AtMost(value),
            Bound::AtLeast(_) => Bound::AtLeast(value),
        }
    }
}

/// What a limit is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// kW of all nodes at a site, in every hour.
    SitePower {
        /// The site.
        site: usize,
    },
    /// Rack units of all nodes at a site, in every hour.
    SiteRacks {
        /// The site.
        site: usize,
    },
    /// Weighted count of bought nodes, in every hour (a quota: weight 1 for nodes, or vCPUs, or GPUs).
    Nodes {
        /// Offers that count, with the weight of one node.
        weights: Vec<(OfferRef, f64)>,
    },
    /// Money paid for owned nodes in some periods, not discounted.
    Capex {
        /// The periods.
        periods: Range<usize>,
    },
    /// Running cost per month in each of some periods, what columns pay included, not discounted.
    OpexPerMonth {
        /// The periods.
        periods: Range<usize>,
    },
    /// Weighted cost over the horizon, residual credit, what is owed after it and what columns pay included.
    Cost {
        /// Pools that count, with their weight (1 for money; 1 / tokens for money per token).
        weights: Vec<(usize, f64)>,
        /// Whether the discounted cost is meant.
        discounted: bool,
    },
    /// Share of node-hours bought over the horizon; existing nodes are not bought.
    Share {
        /// The offers whose share it is.
        part: Vec<OfferRef>,
        /// The offers that are the whole; `part` is within it.
        whole: Vec<OfferRef>,
        /// The workload whose share it is: it must hold on the pool that the workload runs on, and elsewhere nothing
        /// is asked. `None`: over all pools together.
        workload: Option<usize>,
    },
}

/// The name of a limit in answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LimitId {
    /// The node limit of an offer.
    Offer(OfferRef),
    /// Index into [`Problem::limits`].
    Stated(usize),
}
