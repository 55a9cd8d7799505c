//! What finance reads from any blueprint, simply: for tests of what is shown. The planner computes the real one.

use crate::blueprint::{Blueprint, CostKind};
use crate::finance::{Alternative, BreakEven, CashFlow, Category, Finance, LineFlow, Return, WrittenOff};
use crate::offering::PurchaseOption;
use rust_decimal::Decimal;
use std::collections::BTreeMap;

/// Returns payments by line, kind and month as the bill has them, and one alternative at half as much again.
pub fn finance(blueprint: &Blueprint) -> Finance {
    let frame = &blueprint.inputs.spec.frame;
    let months = frame.months as usize;
    let currency = frame.currency;
    let mut lines = Vec::new();
    let mut cash: BTreeMap<Category, Vec<Decimal>> = BTreeMap::new();
    for line in &blueprint.cost.lines {
        let period = &blueprint.periods[line.period as usize];
        let (category, first, count) = match line.kind {
            CostKind::Capex => (Category::Purchase, period.first_month, 1),
            CostKind::Residual => (Category::Residual, period.first_month + period.months - 1, 1),
            CostKind::Owed => (Category::Owed, period.first_month + period.months - 1, 1),
            CostKind::Opex if line.option.is_none() => (Category::Other, period.first_month, period.months),
            CostKind::Opex => (Category::OnDemand, period.first_month, period.months),
        };
        let each = currency.round(line.billed_cost / Decimal::from(count));
        let mut billed = vec![each; count as usize];
        if let Some(last) = billed.last_mut() {
            *last = line.billed_cost - each * Decimal::from(count - 1);
        }
        let row = cash.entry(category).or_insert_with(|| vec![Decimal::ZERO; months]);
        (first as usize..).zip(&billed).for_each(|(month, paid)| row[month] += *paid);
        lines.push(LineFlow { category, first_month: first, effective: billed.clone(), billed });
    }
    let by_month: Vec<Decimal> = (0..months).map(|month| cash.values().map(|row| row[month]).sum()).collect();
    let dearer: Vec<Decimal> =
        by_month.iter().map(|paid| currency.round(*paid * Decimal::new(15, 1))).collect();
    let factors = vec![Decimal::new(99, 2); months];
    let alternative = |name: &str, by_month: &[Decimal]| Alternative {
        name: name.to_owned(),
        basis: vec!["the fixture".to_owned()],
        total: Some(by_month.iter().copied().sum()),
        net_present: Some(currency.round(by_month.iter().map(|paid| *paid * Decimal::new(99, 2)).sum())),
        by_month: Some(by_month.to_vec()),
    };
    Finance {
        currency,
        start: frame.start,
        discount_per_year: frame.discount_per_year,
        factors,
        lines,
        cash: cash.into_iter().map(|(category, by_month)| CashFlow { category, by_month }).collect(),
        written_off: vec![written_off()],
        alternatives: vec![
            alternative("this plan", &by_month),
            alternative("all on demand", &dearer),
            unknown(),
        ],
        break_even: vec![BreakEven {
            site: "use1".to_owned(),
            shape: "aws.p5_48xlarge".to_owned(),
            option: PurchaseOption::Reserved { term_months: 36 },
            utilisation: 0.376,
            against: "on demand".to_owned(),
        }],
        earns: Some(Return {
            against: "all on demand".to_owned(),
            net_present: Decimal::from(1000),
            irr_per_year: Some(0.21),
            payback_months: Some(14),
        }),
    }
}

fn written_off() -> WrittenOff {
    WrittenOff {
        item: "10 × own.h100_sxm_8, owned".to_owned(),
        site: "hz1".to_owned(),
        cost: Decimal::from(3_170_000),
        from_month: 0,
        life_months: 60,
        residual: 0.1,
        per_month: Decimal::from(47_550),
        book_value: Decimal::from(1_458_200),
    }
}

fn unknown() -> Alternative {
    Alternative {
        name: "all owned".to_owned(),
        basis: vec!["nobody sells it".to_owned()],
        by_month: None,
        total: None,
        net_present: None,
    }
}
