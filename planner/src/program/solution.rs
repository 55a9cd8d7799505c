//! What the program answers, in indices of the problem.

use super::problem::{LimitId, OfferRef};

/// How to solve. The defaults are what plans use.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Forces a method; by default size decides.
    pub method: Option<Method>,
    /// Gap to the relaxation at which large problems are good enough.
    pub good_gap: f64,
    /// Gap at which the program with whole columns and continuous nodes stops.
    pub rel_gap: f64,
    /// Branch-and-bound nodes after which each integer program stops.
    pub max_nodes: i32,
    /// Whole variables up to which everything is solved as one integer program.
    pub integer_up_to: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { method: None, good_gap: 0.01, rel_gap: 0.003, max_nodes: 5000, integer_up_to: 300 }
    }
}

/// How a plan was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Workloads shared out over pools at prices of limits, choices bought in the order of their bounds.
    Partition,
    /// One integer program.
    Integer,
    /// Columns with continuous nodes, exact purchase, local search.
    Columns,
}

/// How good the plan is known to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Nothing is cheaper (gap 0).
    Optimal,
    /// Nothing is cheaper by more than the reported gap.
    WithinGap,
}

/// A feasible plan with its proof.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// How good it is.
    pub status: Status,
    /// How it was found.
    pub method: Method,
    /// Discounted cost of the whole-number plan: the sum of [`CostLine::discounted`] and what its columns pay.
    pub objective: f64,
    /// No plan with one column per workload costs less.
    pub best_bound: f64,
    /// No plan costs less even if workloads may mix columns and nodes be parts. Known for [`Method::Columns`].
    pub mixing_bound: Option<f64>,
    /// (objective − best bound) / objective.
    pub gap: f64,
    /// Columns that the bound was proven over.
    pub n_columns: usize,
    /// Branch-and-bound nodes.
    pub n_nodes: u64,
    /// The column that each workload runs.
    pub columns: Vec<usize>,
    /// What is bought, ascending by offer, then start.
    pub purchases: Vec<Purchase>,
    /// What nodes cost, ascending by offer, period, item.
    pub lines: Vec<CostLine>,
    /// What the chosen columns pay beside their nodes, discounted.
    pub paid: f64,
    /// How far each limit is used, offer limits first.
    pub limits: Vec<LimitUse>,
    /// Offers left out because their price is unknown.
    pub unpriced: Vec<OfferRef>,
}

/// Nodes bought of one offer.
#[derive(Debug, Clone, PartialEq)]
pub struct Purchase {
    /// The offer.
    pub offer: OfferRef,
    /// When they are there.
    pub nodes: Nodes,
}

/// When bought nodes are there.
#[derive(Debug, Clone, PartialEq)]
pub enum Nodes {
    /// From the start of period `from` to before period `until`.
    Committed {
        /// How many.
        count: u64,
        /// First period.
        from: usize,
        /// First period without them.
        until: usize,
    },
    /// By the hour: `[period][slot]`.
    Hourly {
        /// How many, in each slot of the problem.
        counts: Vec<Vec<u64>>,
    },
}

/// One line of the bill.
#[derive(Debug, Clone, PartialEq)]
pub struct CostLine {
    /// For what.
    pub offer: OfferRef,
    /// In which period; the last one for [`CostItem::Residual`].
    pub period: usize,
    /// Of which sort.
    pub item: CostItem,
    /// Money paid; negative for a credit.
    pub amount: f64,
    /// The same, discounted.
    pub discounted: f64,
}

/// Sort of a cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CostItem {
    /// Purchase of owned nodes.
    Capex,
    /// Hours, and monthly costs of owned nodes.
    Running,
    /// Worth of owned nodes at the end, or what contracts still bind then.
    Residual,
}

/// How far a limit is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitUse {
    /// Which.
    pub limit: LimitId,
    /// The value in the row that comes closest to the limit.
    pub used: f64,
    /// The limit.
    pub value: f64,
}

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NoPlan {
    /// The problem contradicts its own shape; nothing was solved.
    #[error("the problem has {} flaws", .0.len())]
    Flawed(Vec<Flaw>),
    /// Nothing satisfies everything. Empty reasons mean that limits conflict: ask [`super::conflict`].
    #[error("no plan satisfies every demand and limit")]
    Infeasible(Vec<Unservable>),
    /// Neither a plan nor a proof that there is none was found within the node limit.
    #[error("no plan was found within the node limit, and none was ruled out")]
    Undecided,
    /// The solver failed numerically.
    #[error("the solver failed: {0}")]
    Solver(String),
}

/// A workload that cannot run whatever the limits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unservable {
    /// It has no columns.
    NoColumns {
        /// Which.
        workload: usize,
    },
    /// None of its columns has a usable offer or an existing node.
    NoOffers {
        /// Which.
        workload: usize,
        /// Whether an offer was left out because its price is unknown.
        has_unpriced: bool,
    },
    /// Its columns have offers, but not in every period in which it needs them.
    NotInTime {
        /// Which.
        workload: usize,
        /// First period that no column can serve.
        period: usize,
    },
}

/// A contradiction in the shape of a problem: a mistake of its maker, not of the plan's author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// No period or no slot.
    Empty,
    /// A length, factor, hour count or discount that is not finite and positive.
    Time,
    /// A pool with wrong shape: no accelerators, existing nodes not per period, over 32 offers, bad numbers.
    Pool {
        /// Which.
        pool: usize,
    },
    /// An offer with a negative or infinite number.
    Offer(OfferRef),
    /// Owning a node earns money, so the cheapest plan is to buy without end.
    OwningPays(OfferRef),
    /// A workload whose demand is not per period and slot, negative or infinite.
    Demand {
        /// Which.
        workload: usize,
    },
    /// A column that names no pool or offer, has no rate, pays what is no amount, or loads a pool beyond counting.
    Column {
        /// Which workload.
        workload: usize,
        /// Which column.
        column: usize,
    },
    /// A limit with a negative or infinite number, a wrong index, or a side that its rule has not.
    Limit {
        /// Which.
        limit: usize,
    },
}

/// Limits that cannot hold together.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Without any one of them the rest could hold (if `is_proven_minimal`), ascending. Where other limits contradict each
    /// other beside them, those follow: without all of them the rest holds.
    pub members: Vec<Member>,
    /// False if a bounded solve ended undecided: some members may not be needed for the conflict.
    pub is_proven_minimal: bool,
}

/// A limit in a conflict.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Which.
    pub limit: LimitId,
    /// What it says now.
    pub value: f64,
    /// The nearest value that makes everything feasible with all other limits kept; `None` if none does.
    pub way_out: Option<WayOut>,
    /// What it is in the cheapest plan without the limits named, where no one of them alone is enough; `None` where
    /// it is kept.
    pub together: Option<f64>,
}

/// A limit's nearest feasible value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WayOut {
    /// The value.
    pub value: f64,
    /// Discounted cost of the plan with it: solved, not estimated.
    pub cost: f64,
    /// Whether no nearer value is feasible.
    pub is_proven_nearest: bool,
}

/// What relaxing a limit saves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LimitPrice {
    /// Which.
    pub limit: LimitId,
    /// What it says now.
    pub value: f64,
    /// What was tried.
    pub relaxed_to: f64,
    /// Discounted cost now less discounted cost then; never negative.
    pub saving: f64,
    /// Saving per unit of the limit.
    pub saving_per_unit: f64,
}

/// The best plan without a chosen column.
#[derive(Debug, Clone, PartialEq)]
pub struct RunnerUp {
    /// The workload that may not run its chosen column.
    pub workload: usize,
    /// What every workload runs then.
    pub columns: Vec<usize>,
    /// Discounted cost.
    pub cost: f64,
    /// Whether the other workloads kept their columns because the problem is too large to solve again.
    pub others_kept: bool,
}
