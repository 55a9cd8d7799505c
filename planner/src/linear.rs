//! Which rules of a budget limit what the plan costs, so that the program can keep them.
//!
//! A rule is linear here if it compares a multiple of the plan's cost with what is known before anything is bought:
//! numbers, tokens and requests. It does not know how a plan is found. Rules that are not linear, such as the cost of
//! one workload among several or of machines at once, are checked on the finished plan by [`crate::rules`].

use crate::demand;
use crate::pricing::decimal;
use crate::ways_out::three_digits_up;
use capstan_types::blueprint::Period;
use capstan_types::spec::{Batch, Budget, Metric, Rule, RuleExpr, RuleKind, RuleOperator, Serve, Spec};

/// Share below the value that a rule gives, so that rounding each line of the bill does not break it.
const FOR_ROUNDING: f64 = 1e-6;

/// A multiple of the plan's total cost, and a number.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Linear {
    cost: f64,
    number: f64,
}

/// Returns each rule that must hold and limits the total cost, with its budget and the most that it allows.
pub fn most_costs<'a>(spec: &'a Spec, periods: &[Period]) -> Vec<(&'a Budget, &'a Rule, f64)> {
    let rules = spec.budgets.iter().flat_map(|budget| budget.rules.iter().map(move |rule| (budget, rule)));
    let required = rules.filter(|(_, rule)| rule.kind == RuleKind::Require);
    required
        .filter_map(|(budget, rule)| {
            let most = most_cost(spec, periods, &rule.condition)?;
            Some((budget, rule, most * (1.0 - FOR_ROUNDING)))
        })
        .collect()
}

/// Returns the most that the plan may cost for a condition to hold; `None` if that is not what it asks.
fn most_cost(spec: &Spec, periods: &[Period], condition: &RuleExpr) -> Option<f64> {
    let RuleExpr::Binary { operator, left, right } = condition else { return None };
    let side = |expr: &RuleExpr| linear(spec, periods, expr);
    let (smaller, larger) = match operator {
        RuleOperator::And => {
            let (left, right) = (most_cost(spec, periods, left), most_cost(spec, periods, right));
            return left.into_iter().chain(right).reduce(f64::min);
        }
        RuleOperator::AtMost | RuleOperator::Less => (side(left)?, side(right)?),
        RuleOperator::AtLeast | RuleOperator::Greater => (side(right)?, side(left)?),
        _ => return None,
    };
    let (cost, room) = (smaller.cost - larger.cost, larger.number - smaller.number);
    (cost > 0.0 && room >= 0.0).then(|| room / cost)
}

/// Returns a rule's text and condition with the number that it compares with moved so that the plan may cost `most`: up,
/// to three digits. `None` where it compares with no number.
pub fn moved(spec: &Spec, periods: &[Period], rule: &Rule, most: f64) -> Option<(String, RuleExpr)> {
    let RuleExpr::Binary { operator, left, right } = &rule.condition else { return None };
    let (RuleOperator::AtMost | RuleOperator::Less, RuleExpr::Number { value }) = (operator, &**right) else {
        return None;
    };
    let side = linear(spec, periods, left).filter(|side| side.cost > 0.0 && *value > 0.0)?;
    let needed = (most * side.cost + side.number) / value / (1.0 - FOR_ROUNDING);
    let written = rule.text.rfind('<')? + 1;
    let written = written + usize::from(rule.text[written..].starts_with('='));
    let (head, tail) = rule.text.split_at(written);
    let number = tail.trim_start().split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let then = three_digits_up(number.parse::<f64>().ok()? * needed);
    let digits = decimal(then).round_dp(9).normalize();
    let moved = value * then / number.parse::<f64>().ok()?;
    let text = format!("{head} {digits}{}", &tail.trim_start()[number.len()..]);
    let right = Box::new(RuleExpr::Number { value: moved });
    Some((text, RuleExpr::Binary { operator: *operator, left: left.clone(), right }))
}

fn linear(spec: &Spec, periods: &[Period], expr: &RuleExpr) -> Option<Linear> {
    match expr {
        RuleExpr::Number { value } => Some(Linear { cost: 0.0, number: *value }),
        RuleExpr::Metric { subject, metric } => of_metric(spec, periods, subject, *metric),
        RuleExpr::Not { .. } => None,
        RuleExpr::Binary { operator, left, right } => {
            joined(*operator, linear(spec, periods, left)?, linear(spec, periods, right)?)
        }
    }
}

fn joined(operator: RuleOperator, a: Linear, b: Linear) -> Option<Linear> {
    let scaled = |a: Linear, by: f64| Linear { cost: a.cost * by, number: a.number * by };
    match operator {
        RuleOperator::Add => Some(Linear { cost: a.cost + b.cost, number: a.number + b.number }),
        RuleOperator::Subtract => Some(Linear { cost: a.cost - b.cost, number: a.number - b.number }),
        RuleOperator::Multiply if b.cost == 0.0 => Some(scaled(a, b.number)),
        RuleOperator::Multiply if a.cost == 0.0 => Some(scaled(b, a.number)),
        RuleOperator::Divide if b.cost == 0.0 && b.number != 0.0 => Some(scaled(a, 1.0 / b.number)),
        _ => None,
    }
}

/// A workload that is alone in the plan bears all of its cost; of several, each bears what it turns out to use.
fn of_metric(spec: &Spec, periods: &[Period], subject: &str, metric: Metric) -> Option<Linear> {
    let is_meant = |name: &str| subject.is_empty() || subject == name;
    let number = |number: f64| Some(Linear { cost: 0.0, number });
    let over_requests = |each: &dyn Fn(&Serve) -> f64| -> f64 {
        let serves = spec.serves.iter().filter(|serve| is_meant(&serve.name));
        let requests = |serve: &Serve| periods.iter().map(|p| demand::requests(&serve.load, p)).sum::<f64>();
        serves.map(|serve| requests(serve) * each(serve)).sum()
    };
    let trained: f64 =
        spec.trains.iter().filter(|train| is_meant(&train.name)).map(|train| train.tokens.get()).sum();
    let offline = |each: &dyn Fn(&Batch) -> f64| -> f64 {
        spec.batches.iter().filter(|batch| is_meant(&batch.name)).map(each).sum()
    };
    let (read, written) = (offline(&|batch| batch.tokens().0), offline(&|batch| batch.tokens().1));
    let workloads = spec.serves.len() + spec.trains.len() + spec.apps.len() + spec.batches.len();
    let prompt = |serve: &Serve| serve.counts().1;
    let output = |serve: &Serve| serve.counts().2;
    match metric {
        Metric::Cost if subject.is_empty() || workloads == 1 => Some(Linear { cost: 1.0, number: 0.0 }),
        Metric::Requests => {
            number(over_requests(&|serve| serve.counts().0) + offline(&|batch| batch.requests))
        }
        Metric::PromptTokens => number(over_requests(&prompt) + trained + read),
        Metric::OutputTokens => number(over_requests(&output) + written),
        Metric::Tokens => {
            number(over_requests(&|serve| prompt(serve) + output(serve)) + trained + read + written)
        }
        Metric::Cost | Metric::Nodes | Metric::Accelerators | Metric::Power => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::testing::blueprint::chat_blueprint;

    fn metric(metric: Metric) -> RuleExpr {
        RuleExpr::Metric { subject: String::new(), metric }
    }

    fn binary(operator: RuleOperator, left: RuleExpr, right: RuleExpr) -> RuleExpr {
        RuleExpr::Binary { operator, left: Box::new(left), right: Box::new(right) }
    }

    fn number(value: f64) -> RuleExpr {
        RuleExpr::Number { value }
    }

    #[test]
    fn cost_per_token_limits_the_cost_by_the_tokens_that_are_known_beforehand() {
        let blueprint = chat_blueprint();
        let (spec, periods) = (&blueprint.inputs.spec, &blueprint.periods);
        let tokens = linear(spec, periods, &metric(Metric::Tokens)).expect("known").number;
        let unit = binary(RuleOperator::Divide, metric(Metric::Cost), metric(Metric::Tokens));
        let rule = binary(RuleOperator::AtMost, unit.clone(), number(5e-6));
        let most = most_cost(spec, periods, &rule).expect("linear");
        assert!((most - tokens * 5e-6).abs() < 1e-6 * most, "{most}");
        let turned = binary(RuleOperator::AtLeast, number(5e-6), unit);
        assert_eq!(most_cost(spec, periods, &turned), Some(most));
    }

    #[test]
    fn what_is_not_linear_or_no_limit_from_above_is_left_to_the_check() {
        let blueprint = chat_blueprint();
        let most = |rule: &RuleExpr| most_cost(&blueprint.inputs.spec, &blueprint.periods, rule);
        let cost = || metric(Metric::Cost);
        assert_eq!(most(&binary(RuleOperator::AtLeast, cost(), number(5.0))), None);
        assert_eq!(most(&binary(RuleOperator::AtMost, metric(Metric::Nodes), number(5.0))), None);
        let square = binary(RuleOperator::Multiply, cost(), cost());
        assert_eq!(most(&binary(RuleOperator::AtMost, square, number(5.0))), None);
        let both = binary(
            RuleOperator::And,
            binary(RuleOperator::AtMost, cost(), number(9.0)),
            binary(RuleOperator::Less, cost(), number(7.0)),
        );
        assert_eq!(most(&both), Some(7.0));
    }
}
