//! What the rules of the budgets say about a finished plan.

use capstan_types::blueprint::{Blueprint, RuleOutcome};
use capstan_types::figure;
use capstan_types::spec::{Metric, Rule, RuleExpr, RuleOperator};
use rust_decimal::prelude::ToPrimitive;

/// Numbers below this are told per million.
const TINY: f64 = 1e-3;

/// A value of a rule: a number in base units, or a truth.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Value {
    Number(f64),
    Truth(bool),
}

/// Returns the outcome of every rule, in the order of the plan.
pub fn outcomes(blueprint: &Blueprint) -> Vec<RuleOutcome> {
    let budgets = &blueprint.inputs.spec.budgets;
    let each = budgets.iter().flat_map(|budget| budget.rules.iter().map(move |rule| (&budget.name, rule)));
    each.map(|(budget, rule)| outcome(blueprint, budget, rule)).collect()
}

fn outcome(blueprint: &Blueprint, budget: &str, rule: &Rule) -> RuleOutcome {
    let holds = match evaluate(blueprint, &rule.condition) {
        Some(Value::Truth(truth)) => Some(truth),
        _ => None,
    };
    RuleOutcome {
        budget: budget.to_owned(),
        label: rule.label.clone(),
        kind: rule.kind,
        text: rule.text.clone(),
        holds,
        numbers: numbers(blueprint, &rule.condition),
        message: rule.said(),
        place: rule.place.clone(),
    }
}

/// Returns both sides of a comparison in numbers, for people.
fn numbers(blueprint: &Blueprint, condition: &RuleExpr) -> String {
    let RuleExpr::Binary { left, right, .. } = condition else { return String::new() };
    let sides = [evaluate(blueprint, left), evaluate(blueprint, right)];
    let number = |side: &Option<Value>| match side {
        Some(Value::Number(number)) => Some(number.abs()),
        _ => None,
    };
    // Money per token is told as people quote it.
    let tiny = sides.iter().filter_map(number).fold(0.0, f64::max) < TINY;
    let (scale, unit) = if tiny { (1e6, " per million") } else { (1.0, "") };
    // Three digits would tell two sides as equal that are not.
    let close = match &sides {
        [Some(Value::Number(left)), Some(Value::Number(right))] => {
            left != right && figure::short(left * scale) == figure::short(right * scale)
        }
        _ => false,
    };
    let side = |value: &Option<Value>| match value {
        Some(Value::Number(number)) if close => format!("{:.6}", number * scale),
        Some(Value::Number(number)) => figure::short(number * scale),
        Some(Value::Truth(truth)) => truth.to_string(),
        None => "unknown".to_owned(),
    };
    format!("{} against {}{unit}", side(&sides[0]), side(&sides[1]))
}

/// Returns the value of an expression, `None` where a number in it is unknown.
fn evaluate(blueprint: &Blueprint, expr: &RuleExpr) -> Option<Value> {
    match expr {
        RuleExpr::Number { value } => Some(Value::Number(*value)),
        RuleExpr::Metric { subject, metric } => metric_value(blueprint, subject, *metric).map(Value::Number),
        RuleExpr::Not { inner } => match evaluate(blueprint, inner)? {
            Value::Truth(truth) => Some(Value::Truth(!truth)),
            Value::Number(_) => None,
        },
        RuleExpr::Binary { operator, left, right } => {
            join(*operator, evaluate(blueprint, left)?, evaluate(blueprint, right)?)
        }
    }
}

fn join(operator: RuleOperator, left: Value, right: Value) -> Option<Value> {
    use RuleOperator as Op;
    let (a, b) = match (left, right) {
        (Value::Number(a), Value::Number(b)) => (a, b),
        (Value::Truth(a), Value::Truth(b)) => {
            return match operator {
                Op::And => Some(Value::Truth(a && b)),
                Op::Or => Some(Value::Truth(a || b)),
                _ => None,
            };
        }
        _ => return None,
    };
    Some(match operator {
        Op::Add => Value::Number(a + b),
        Op::Subtract => Value::Number(a - b),
        Op::Multiply => Value::Number(a * b),
        Op::Divide if b == 0.0 => return None,
        Op::Divide => Value::Number(a / b),
        Op::AtMost => Value::Truth(a <= b),
        Op::AtLeast => Value::Truth(a >= b),
        Op::Less => Value::Truth(a < b),
        Op::Greater => Value::Truth(a > b),
        Op::Equal => Value::Truth(a == b),
        Op::NotEqual => Value::Truth(a != b),
        Op::And | Op::Or => return None,
    })
}

/// Returns a metric of a workload or a site, or of the whole plan where the subject is empty.
fn metric_value(blueprint: &Blueprint, subject: &str, metric: Metric) -> Option<f64> {
    let workloads =
        || blueprint.cost.workloads.iter().filter(|row| subject.is_empty() || row.workload == subject);
    let sites = || blueprint.sites.iter().filter(|row| subject.is_empty() || row.site == subject);
    let mut known = workloads().next().is_some();
    let value = match metric {
        Metric::Cost if subject.is_empty() => blueprint.cost.total.to_f64()?,
        Metric::Cost => workloads().map(|row| row.cost.to_f64().unwrap_or(f64::NAN)).sum(),
        Metric::Tokens => workloads().map(|row| row.prompt_tokens + row.output_tokens).sum(),
        Metric::PromptTokens => workloads().map(|row| row.prompt_tokens).sum(),
        Metric::OutputTokens => workloads().map(|row| row.output_tokens).sum(),
        Metric::Requests => workloads().map(|row| row.requests).sum(),
        Metric::Nodes | Metric::Accelerators | Metric::Power => {
            known = sites().next().is_some();
            match metric {
                Metric::Nodes => sites().map(|row| f64::from(row.nodes)).sum(),
                Metric::Accelerators => sites().map(|row| f64::from(row.accelerators)).sum(),
                _ => sites().map(|row| row.facility_power.map(|power| power.get())).sum::<Option<f64>>()?,
            }
        }
    };
    (known && value.is_finite()).then_some(value)
}
