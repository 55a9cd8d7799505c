//! What changes between two blueprints, what it costs, and which inputs made it change.
//!
//! It compares answers, not ways to them: solver rounds, audits and tool versions do not count. It lists what changes and
//! which inputs differ; what each kind of input is worth is planned again, one kind at a time, by [`shares`].

mod answers;
mod guards;
mod inputs;
mod shares;

pub use guards::{Guards, Threshold};
pub use shares::{Stand, shares};

use capstan_types::blueprint::{Blueprint, CostKind, CostLine};
use capstan_types::diff::{Amounts, CostDelta, Counts, Diff, GroupDelta, Side};
use capstan_types::offering::PurchaseOption;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Compares `head` with `base`. The result is empty where nothing differs.
pub fn diff(base: &Blueprint, head: &Blueprint) -> Diff {
    Diff {
        base: side(base),
        head: side(head),
        changes: answers::changes(base, head),
        cost: cost(base, head),
        machines: answers::machines(base, head),
        levels: answers::levels(base, head),
        unpriced: counts(base.unpriced.len(), head.unpriced.len()),
        assumed: counts(base.assumptions.len(), head.assumptions.len()),
        causes: inputs::causes(base, head),
        shares: Vec::new(),
        guards: Vec::new(),
    }
}

fn counts(before: usize, after: usize) -> Counts {
    Counts { before: before as u64, after: after as u64 }
}

fn side(blueprint: &Blueprint) -> Side {
    Side {
        plan: blueprint.inputs.spec.name.clone(),
        path: blueprint
            .inputs
            .files
            .iter()
            .find(|file| file.role == "plan")
            .map_or_else(String::new, |file| file.path.clone()),
        status: blueprint.status,
        currency: blueprint.cost.currency,
        months: blueprint.inputs.spec.frame.months,
    }
}

/// What lines are added up by: site, item, option, kind.
type Group = (String, String, Option<PurchaseOption>, u8);

fn order(kind: CostKind) -> u8 {
    match kind {
        CostKind::Capex => 0,
        CostKind::Opex => 1,
        CostKind::Residual => 2,
        CostKind::Owed => 3,
    }
}

fn kind(order: u8) -> CostKind {
    match order {
        0 => CostKind::Capex,
        1 => CostKind::Opex,
        2 => CostKind::Residual,
        _ => CostKind::Owed,
    }
}

/// Returns what a line is about without its count: `10 × own.h100` and `12 × own.h100` are one group.
fn group(line: &CostLine) -> Group {
    let counted = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == ',');
    let item = match (&line.shape, line.item.split_once(" × ")) {
        (Some(shape), _) => shape.clone(),
        (None, Some((count, rest))) if counted(count) => rest.to_owned(),
        (None, Some((words, rest))) => match words.rsplit_once(' ') {
            Some((before, count)) if counted(count) => format!("{before} {rest}"),
            _ => line.item.clone(),
        },
        (None, None) => line.item.clone(),
    };
    (line.site.clone(), item, line.option, order(line.kind))
}

fn groups(base: &Blueprint, head: &Blueprint) -> Vec<GroupDelta> {
    let mut sums: BTreeMap<Group, Amounts> = BTreeMap::new();
    let zero = Amounts { before: Decimal::ZERO, after: Decimal::ZERO };
    for line in &base.cost.lines {
        sums.entry(group(line)).or_insert(zero).before += line.billed_cost;
    }
    for line in &head.cost.lines {
        sums.entry(group(line)).or_insert(zero).after += line.billed_cost;
    }
    sums.into_iter()
        .filter(|(_, sum)| sum.before != sum.after)
        .map(|((site, item, option, order), billed_cost)| GroupDelta {
            site,
            item,
            option,
            kind: kind(order),
            billed_cost,
        })
        .collect()
}

fn cost(base: &Blueprint, head: &Blueprint) -> CostDelta {
    let (before, after) = (&base.cost, &head.cost);
    let amounts = |before, after| Amounts { before, after };
    CostDelta {
        total: amounts(before.total, after.total),
        per_month: amounts(before.per_month, after.per_month),
        net_present: amounts(before.net_present, after.net_present),
        capex: amounts(before.capex, after.capex),
        opex: amounts(before.opex, after.opex),
        groups: groups(base, head),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use capstan_types::diff::{Cause, ChangeKind, Value};
    use capstan_types::testing::blueprint::{chat_blueprint, infeasible_blueprint};
    use capstan_types::units::RequestsPerSecond;

    #[test]
    fn a_blueprint_does_not_differ_from_itself() {
        for blueprint in [chat_blueprint(), infeasible_blueprint()] {
            assert!(diff(&blueprint, &blueprint).is_empty());
        }
    }

    #[test]
    fn groups_sum_to_the_change_of_the_total() {
        let (base, mut head) = (chat_blueprint(), chat_blueprint());
        head.cost = infeasible_blueprint().cost;
        for (one, other) in [(&base, &head), (&head, &base)] {
            let cost = diff(one, other).cost;
            let sum: Decimal = cost.groups.iter().map(|group| group.billed_cost.change()).sum();
            assert_eq!(sum, cost.total.change());
        }
    }

    #[test]
    fn exchanging_the_sides_exchanges_before_and_after() {
        let (base, head) = (chat_blueprint(), infeasible_blueprint());
        let (there, back) = (diff(&base, &head), diff(&head, &base));
        assert_eq!(there.changes.len(), back.changes.len());
        for (one, other) in there.changes.iter().zip(&back.changes) {
            assert_eq!(
                (&one.address, &one.before, &one.after),
                (&other.address, &other.after, &other.before)
            );
        }
    }

    #[test]
    fn what_the_total_leaves_out_from_now_on_is_a_change() {
        let (mut base, mut head) = (chat_blueprint(), chat_blueprint());
        base.cost.not_included = vec!["3 nodes of weka at hz1".to_owned()];
        head.cost.not_included = vec!["4 nodes of weka at hz1".to_owned()];
        assert!(diff(&base, &head).is_empty(), "a node more of what has no price is nothing new without one");
        head.cost.not_included.push("staff (no `staff` in `plan`)".to_owned());
        let there = diff(&base, &head);
        assert_eq!(there.changes[0].kind, ChangeKind::LeftOut);
        assert_eq!(there.left_out_now().as_deref(), Some("staff"));
        assert_eq!(diff(&head, &base).left_out_now(), None, "a price that became known");
        head.cost.not_included.push("space and cooling at hz1: no colocation price is given".to_owned());
        assert_eq!(diff(&base, &head).left_out_now().as_deref(), Some("space and cooling at hz1 and staff"));
        for none in [diff(&base, &infeasible_blueprint()), diff(&infeasible_blueprint(), &base)] {
            assert!(none.changes.iter().all(|change| change.kind != ChangeKind::LeftOut));
        }
    }

    #[test]
    fn what_is_not_stated_is_as_what_is_null() {
        let null = serde_json::json!({ "beside": { "staff": null, "licences": null }, "seed": 1 });
        let absent = serde_json::json!({ "beside": { "staff": null }, "seed": 1 });
        assert_eq!(inputs::leaves(&null), inputs::leaves(&absent));
        assert_eq!(inputs::leaves(&null).into_keys().collect::<Vec<_>>(), ["seed"]);
    }

    #[test]
    fn a_node_more_is_said_with_both_numbers() {
        let (base, mut head) = (chat_blueprint(), chat_blueprint());
        head.pools[1].purchases[1].nodes = 4;
        let changes = diff(&base, &head).changes;
        assert_eq!(changes.len(), 1);
        assert_eq!(changes[0].kind, ChangeKind::Purchase);
        assert_eq!(changes[0].address, "use1/aws.p5_48xlarge, on demand");
        assert_eq!(
            (changes[0].before.clone(), changes[0].after.clone()),
            (Some(Value::Count(3)), Some(Value::Count(4)))
        );
    }

    #[test]
    fn a_price_that_moved_is_a_cause_with_both_prices() {
        let (base, mut head) = (chat_blueprint(), chat_blueprint());
        head.inputs.catalog.offerings[2].price = Some(Decimal::from(60));
        let causes = diff(&base, &head).causes;
        assert_eq!(causes.len(), 1);
        let Cause::Price { offering, before, after, .. } = &causes[0] else { panic!("{causes:?}") };
        assert_eq!(offering, "aws.p5_48xlarge at aws us-east-1, on demand");
        assert_eq!((*before, *after), (Some(Decimal::new(5504, 2)), Some(Decimal::from(60))));
    }

    #[test]
    fn a_price_that_became_unknown_is_not_zero() {
        let (base, mut head) = (chat_blueprint(), chat_blueprint());
        head.inputs.catalog.offerings[2].price = None;
        let causes = diff(&base, &head).causes;
        assert!(matches!(&causes[..], [Cause::Price { after: None, before: Some(_), .. }]), "{causes:?}");
        // What the other plan does not use has a price all the same.
        head.inputs.catalog.offerings.remove(2);
        let causes = diff(&base, &head).causes;
        assert!(!causes.is_empty() && !causes.iter().any(|cause| matches!(cause, Cause::Price { .. })));
    }

    #[test]
    fn fields_of_the_plan_are_named_by_their_path() {
        let (base, mut head) = (chat_blueprint(), chat_blueprint());
        let spec = &mut head.inputs.spec;
        spec.serves[0].load.peak = RequestsPerSecond(50.0);
        spec.frame.seed = 7;
        spec.serves[0].load.place.start += 4;
        let causes = diff(&base, &head).causes;
        let paths: Vec<_> = causes
            .iter()
            .map(|cause| match cause {
                Cause::Plan { path, before, after } => {
                    format!(
                        "{path}: {} to {}",
                        before.as_deref().unwrap_or("-"),
                        after.as_deref().unwrap_or("-")
                    )
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(paths, ["frame.seed: 1 to 7", "serves.chat.load.peak_requests_per_s: 40.0 to 50.0"]);
    }

    #[test]
    fn a_text_that_moved_without_changing_is_no_cause() {
        let (base, mut head) = (chat_blueprint(), chat_blueprint());
        head.inputs.spec.trains[0].place.start += 100;
        assert!(diff(&base, &head).is_empty());
    }
}
