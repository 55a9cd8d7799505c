//! The one door to HiGHS: a linear or integer program in, an answer with its proof out.
//!
//! good_lp builds the model; the `highs` crate solves it, because good_lp shows neither bound nor gap and
//! drops options on the way. This module does not know what the variables mean.

use good_lp::{
    Expression, IntoAffineExpression, ProblemVariables, SolverModel, Variable, VariableDefinition,
    constraint, variable,
};
use highs::{HighsModelStatus, HighsSolutionStatus, Model, SolvedModel};

/// Seed of HiGHS' tie-breaking. Any constant does; another may find another of two equal answers.
const RANDOM_SEED: i32 = 1;

/// When the search ends. Never by seconds: the same input gives the same answer on every machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stops {
    pub rel_gap: f64,
    pub max_nodes: i32,
    /// Whether hours that need the same may be bought alike, which makes programs small and plans slightly dearer.
    pub merges_hours: bool,
    /// A purchase that costs more than this is not worth finding: it is given up where that is seen.
    pub worth: f64,
}

/// A variable of a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Var(usize);

/// An inequality of a [`Program`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row(usize);

/// A program being built; everything is minimised.
pub(super) struct Program {
    vars: ProblemVariables,
    handles: Vec<Variable>,
    rows: Vec<good_lp::Constraint>,
    objective: Expression,
    has_integers: bool,
}

/// What HiGHS said.
#[derive(Debug)]
pub(super) enum Answer {
    Found(Found),
    Infeasible,
    /// Ran out of nodes before finding anything.
    OutOfNodes,
    /// HiGHS' own words for what went wrong.
    Failed(String),
}

/// A feasible point with its proof so far.
#[derive(Debug)]
pub(super) struct Found {
    values: Vec<f64>,
    /// By row; of integer programs they mean nothing.
    duals: Vec<f64>,
    pub objective: f64,
    /// Nothing is cheaper than this.
    pub bound: f64,
    /// Whether the gap asked for was reached, rather than the node limit.
    pub is_within_gap: bool,
    pub n_nodes: u64,
}

impl Found {
    /// Returns the value of a variable.
    pub fn value(&self, var: Var) -> f64 {
        self.values[var.0]
    }

    /// Returns what the objective rises by per unit that a row is tightened; never negative.
    pub fn price(&self, row: Row) -> f64 {
        self.duals.get(row.0).map_or(0.0, |dual| dual.abs())
    }
}

impl Program {
    /// Starts an empty program.
    pub fn new() -> Self {
        Program {
            vars: ProblemVariables::new(),
            handles: Vec::new(),
            rows: Vec::new(),
            objective: Expression::default(),
            has_integers: false,
        }
    }

    /// Adds a variable that costs `cost` per unit and lies in `0..=most`.
    pub fn add(&mut self, cost: f64, most: f64, is_integer: bool) -> Var {
        let mut definition: VariableDefinition = variable().min(0.0).max(most);
        if is_integer {
            definition = definition.integer();
            self.has_integers = true;
        }
        let handle = self.vars.add(definition);
        self.handles.push(handle);
        if cost != 0.0 {
            self.objective.add_mul(cost, handle);
        }
        Var(self.handles.len() - 1)
    }

    /// Adds to what a variable costs per unit.
    pub fn raise_cost(&mut self, var: Var, cost: f64) {
        self.objective.add_mul(cost, self.handles[var.0]);
    }

    /// Demands Σ coefficient · variable ≤ `most`.
    pub fn at_most(&mut self, terms: &[(Var, f64)], most: f64) -> Row {
        let row = self.sum(terms);
        self.rows.push(constraint::leq(row, most));
        Row(self.rows.len() - 1)
    }

    /// Demands Σ coefficient · variable ≥ `least`.
    pub fn at_least(&mut self, terms: &[(Var, f64)], least: f64) -> Row {
        let row = self.sum(terms);
        self.rows.push(constraint::geq(row, least));
        Row(self.rows.len() - 1)
    }

    /// Demands Σ coefficient · variable = `value`.
    pub fn equal(&mut self, terms: &[(Var, f64)], value: f64) {
        let row = self.sum(terms);
        self.rows.push(constraint::eq(row, value));
    }

    fn sum(&self, terms: &[(Var, f64)]) -> Expression {
        let mut sum = Expression::with_capacity(terms.len());
        for &(var, coefficient) in terms {
            sum.add_mul(coefficient, self.handles[var.0]);
        }
        sum
    }

    /// Solves, on one thread.
    pub fn solve(self, stops: Stops) -> Answer {
        if self.handles.is_empty() {
            return self.solve_empty();
        }
        let has_integers = self.has_integers;
        let mut problem = self.vars.minimise(self.objective).using(good_lp::highs);
        for row in self.rows {
            problem.add_constraint(row);
        }
        let mut model = match problem.try_into_inner() {
            Ok(model) => model,
            Err(error) => return Answer::Failed(error.to_string()),
        };
        if let Err(option) = set_options(&mut model, stops) {
            return Answer::Failed(format!("option {option} refused"));
        }
        match model.try_solve() {
            Ok(solved) => read(&solved, has_integers),
            Err(status) => Answer::Failed(format!("{status:?}")),
        }
    }

    /// HiGHS calls a program without variables an error; its rows are 0 against a number.
    fn solve_empty(self) -> Answer {
        let holds = self.rows.iter().all(|row| {
            let constant = row.expression().constant();
            if row.is_equality() { constant == 0.0 } else { constant <= 0.0 }
        });
        if !holds {
            return Answer::Infeasible;
        }
        let (objective, bound) = (0.0, 0.0);
        let (values, duals) = (Vec::new(), Vec::new());
        Answer::Found(Found { values, duals, objective, bound, is_within_gap: true, n_nodes: 0 })
    }
}

fn set_options(model: &mut Model, stops: Stops) -> Result<(), &'static str> {
    // `threads` must be the same in every solve of the process, or HiGHS refuses to run.
    model.try_set_option("threads", 1).map_err(|_| "threads")?;
    model.try_set_option("parallel", "off").map_err(|_| "parallel")?;
    model.try_set_option("output_flag", false).map_err(|_| "output_flag")?;
    model.try_set_option("random_seed", RANDOM_SEED).map_err(|_| "random_seed")?;
    model.try_set_option("mip_rel_gap", stops.rel_gap).map_err(|_| "mip_rel_gap")?;
    model.try_set_option("mip_abs_gap", 0.0).map_err(|_| "mip_abs_gap")?;
    model.try_set_option("mip_max_nodes", stops.max_nodes).map_err(|_| "mip_max_nodes")
}

fn read(solved: &SolvedModel, has_integers: bool) -> Answer {
    let status = solved.status();
    match status {
        // Nothing here is unbounded: costs are not negative, so the doubtful answer means infeasible.
        HighsModelStatus::Infeasible | HighsModelStatus::UnboundedOrInfeasible => return Answer::Infeasible,
        HighsModelStatus::Optimal | HighsModelStatus::ReachedSolutionLimit => {}
        other => return Answer::Failed(format!("{other:?}")),
    }
    if solved.primal_solution_status() != HighsSolutionStatus::Feasible {
        return Answer::OutOfNodes;
    }
    let objective = solved.objective_value();
    let mut bound = objective;
    let mut n_nodes = 0;
    if has_integers {
        bound = solved.double_info_value(c"mip_dual_bound").unwrap_or(f64::NEG_INFINITY).min(objective);
        n_nodes = solved.int_info_value(c"mip_node_count").map_or(0, |n| u64::try_from(n).unwrap_or(0));
    }
    let solution = solved.get_solution();
    Answer::Found(Found {
        values: solution.columns().to_vec(),
        duals: solution.dual_rows().to_vec(),
        objective,
        bound,
        is_within_gap: status == HighsModelStatus::Optimal,
        n_nodes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT: Stops = Stops { rel_gap: 0.0, max_nodes: 1000, merges_hours: false, worth: f64::INFINITY };

    #[test]
    fn an_integer_program_reports_objective_bound_and_no_gap() {
        let mut program = Program::new();
        let (x, y) = (program.add(2.0, 10.0, true), program.add(3.0, 10.0, true));
        program.at_least(&[(x, 2.0), (y, 4.0)], 7.0);
        let Answer::Found(found) = program.solve(EXACT) else { panic!("feasible") };
        assert!((found.objective - 6.0).abs() < 1e-9 && (found.bound - 6.0).abs() < 1e-6);
        assert!(found.is_within_gap);
    }

    #[test]
    fn contradictory_rows_are_infeasible_with_and_without_variables() {
        let mut program = Program::new();
        let x = program.add(1.0, 1.0, false);
        program.at_least(&[(x, 1.0)], 2.0);
        assert!(matches!(program.solve(EXACT), Answer::Infeasible));
        let mut empty = Program::new();
        empty.at_least(&[], 2.0);
        assert!(matches!(empty.solve(EXACT), Answer::Infeasible));
        let mut empty = Program::new();
        empty.at_most(&[], 2.0);
        assert!(matches!(empty.solve(EXACT), Answer::Found(_)));
    }

    #[test]
    fn a_relaxation_is_its_own_bound() {
        let mut program = Program::new();
        let x = program.add(2.0, 10.0, false);
        program.at_least(&[(x, 2.0)], 7.0);
        let Answer::Found(found) = program.solve(EXACT) else { panic!("feasible") };
        assert!((found.value(x) - 3.5).abs() < 1e-9 && found.bound == found.objective);
    }

    #[test]
    fn the_price_of_a_row_is_what_one_unit_of_it_costs_whichever_its_side() {
        let mut program = Program::new();
        let (x, y) = (program.add(2.0, 10.0, false), program.add(5.0, 10.0, false));
        let need = program.at_least(&[(x, 1.0), (y, 1.0)], 7.0);
        let most = program.at_most(&[(x, 1.0)], 4.0);
        let Answer::Found(found) = program.solve(EXACT) else { panic!("feasible") };
        assert!((found.price(need) - 5.0).abs() < 1e-9, "one more is a y");
        assert!((found.price(most) - 3.0).abs() < 1e-9, "one x more saves a y");
    }
}
