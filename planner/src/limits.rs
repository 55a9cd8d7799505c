//! The plan's limits as rules of the program: what sites, budgets, rules and `buy` allow.

use crate::formulate::NamedLimit;
use crate::limit_unit::LimitUnit;
use crate::linear;
use crate::market::{Market, Stand};
use crate::outside::Outside;
use crate::parts::{self, Part};
use crate::periods;
use crate::pricing::Quote;
use crate::program::{self, Bound, OfferRef, Rule};
use crate::ways_out::Change;
use capstan_types::blueprint::Period;
use capstan_types::offering::PurchaseOption;
use capstan_types::place::Place;
use capstan_types::spec::{Buy, Spec};
use rust_decimal::prelude::ToPrimitive;

/// Rules of the program with their names.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    pub rules: Vec<program::Limit>,
    pub names: Vec<NamedLimit>,
}

impl Limits {
    /// The program knows no limit below zero: by how much one is passed already is kept with its name.
    fn add(&mut self, rule: Rule, bound: Bound, name: NamedLimit) {
        let (bound, short) = match bound {
            Bound::AtMost(most) => (Bound::AtMost(most.max(0.0)), (-most).max(0.0)),
            Bound::AtLeast(_) => (bound, 0.0),
        };
        self.rules.push(program::Limit { rule, bound });
        self.names.push(NamedLimit { short, ..name });
    }

    pub fn add_sites(&mut self, spec: &Spec, market: &Market<'_>, outside: &Outside) {
        for (index, site) in spec.sites.iter().enumerate() {
            let named = |what: &str, unit, place: &Place, (change, beside)| NamedLimit {
                what: format!("{what} at {}", site.name),
                unit,
                place: Some(place.clone()),
                change: Some(change),
                outside: beside,
                short: 0.0,
                said: None,
            };
            if let Some(limit) = &site.power {
                let beside = outside.power_kw[index];
                let bound = Bound::AtMost(limit.value.kw() - beside);
                self.add(
                    Rule::SitePower { site: index },
                    bound,
                    named("power", LimitUnit::Kilowatts, &limit.place, (Change::Power(index), beside)),
                );
            }
            if let Some(limit) = &site.racks {
                let beside = outside.racks[index];
                let bound = Bound::AtMost(f64::from(limit.value) - beside);
                self.add(
                    Rule::SiteRacks { site: index },
                    bound,
                    named("racks", LimitUnit::Racks, &limit.place, (Change::Racks(index), beside)),
                );
            }
            for (at, quota) in site.quotas.iter().enumerate() {
                let of_kind = |stand: &&Stand<'_>| {
                    stand.site_index == index && stand.shape.accelerator.as_ref() == Some(&quota.accelerator)
                };
                let weights =
                    offers_where(market, of_kind, |_| true, |stand| f64::from(stand.shape.accelerators));
                let each = market.stands.iter().zip(&outside.bought).filter(|(stand, _)| of_kind(stand));
                let beside = each.map(|(stand, &nodes)| f64::from(nodes * stand.shape.accelerators)).sum();
                let bound = Bound::AtMost(f64::from(quota.most.value) - beside);
                let what = format!("quota of {}", quota.accelerator);
                self.add(
                    Rule::Nodes { weights },
                    bound,
                    named(
                        &what,
                        LimitUnit::Accelerators,
                        &quota.most.place,
                        (Change::Quota(index, at), beside),
                    ),
                );
            }
        }
    }

    pub fn add_budgets(
        &mut self,
        spec: &Spec,
        periods: &[Period],
        parts: &[Part],
        market: &Market<'_>,
        outside: &Outside,
    ) {
        let money = |limit: &rust_decimal::Decimal| limit.to_f64().unwrap_or(f64::MAX);
        let total = outside.total(periods);
        for (index, budget) in spec.budgets.iter().enumerate() {
            let mine = periods::within(periods, &budget.months(&spec.frame));
            let held = parts::of_periods(parts, &mine);
            let (highest, capex) = (outside.highest_per_month(&mine), outside.bought_in(&mine));
            let named = |what: &str, unit, place: &Place, (change, beside)| NamedLimit {
                what: format!("{what} of budget {}", budget.words()),
                unit,
                place: Some(place.clone()),
                change: Some(change),
                outside: beside,
                short: 0.0,
                said: None,
            };
            if let Some(limit) = &budget.capex {
                let bound = Bound::AtMost(money(&limit.value) - capex);
                self.add(
                    Rule::Capex { periods: held.clone() },
                    bound,
                    named("capex", LimitUnit::Money, &limit.place, (Change::Capex(index), capex)),
                );
            }
            if let Some(limit) = &budget.opex_per_month {
                let bound = Bound::AtMost(money(&limit.value) - highest);
                let name = named(
                    "opex per month",
                    LimitUnit::MoneyPerMonth,
                    &limit.place,
                    (Change::Opex(index), highest),
                );
                self.add(Rule::OpexPerMonth { periods: held.clone() }, bound, name);
            }
            if let Some(limit) = &budget.total {
                let bound = Bound::AtMost(money(&limit.value) - total);
                let name = named("total", LimitUnit::Money, &limit.place, (Change::Total(index), total));
                self.add(whole_cost(market), bound, name);
            }
        }
    }

    /// Rules that limit what the whole costs; the others are checked afterwards.
    pub fn add_rules(&mut self, spec: &Spec, periods: &[Period], market: &Market<'_>, total: f64) {
        for (budget, rule, most) in linear::most_costs(spec, periods) {
            let told = rule.label.as_deref().unwrap_or(&rule.text);
            let at = spec.budgets.iter().position(|other| std::ptr::eq(other, budget));
            let of_budget = budget.rules.iter().position(|other| std::ptr::eq(other, rule));
            let can_move = linear::moved(spec, periods, rule, most).is_some();
            let name = NamedLimit {
                what: format!("cost that `{told}` of budget {} allows", budget.name),
                unit: LimitUnit::Money,
                place: Some(rule.place.clone()),
                change: at.zip(of_budget).filter(|_| can_move).map(|(at, rule)| Change::Rule(at, rule)),
                outside: total,
                short: 0.0,
                said: rule.said(),
            };
            self.add(whole_cost(market), Bound::AtMost(most - total), name);
        }
    }

    /// What budgets let be spot of all that is bought.
    pub fn add_spot(&mut self, spec: &Spec, market: &Market<'_>) {
        for (index, budget) in spec.budgets.iter().enumerate() {
            let Some(limit) = &budget.spot else { continue };
            let refs = |keep: &dyn Fn(&Quote) -> bool| -> Vec<OfferRef> {
                offers_where(market, |_| true, keep, |_| 1.0).into_iter().map(|(offer, _)| offer).collect()
            };
            let part = refs(&|quote: &Quote| quote.option == PurchaseOption::Spot);
            let name = NamedLimit {
                what: format!("share of spot of budget {}", budget.words()),
                unit: LimitUnit::NodeHours,
                place: Some(limit.place.clone()),
                change: Some(Change::Spot(index)),
                outside: 0.0,
                short: 0.0,
                said: None,
            };
            let rule = Rule::Share { part, whole: refs(&|_| true), workload: None };
            self.add(rule, Bound::AtMost(limit.value), name);
        }
    }

    /// What a workload may have of each way of buying: by its index in the program, and that in the plan.
    pub fn add_shares(
        &mut self,
        (index, of, workload): (usize, usize, &str),
        buy: &[Buy],
        market: &Market<'_>,
        stands: &[usize],
    ) {
        let mine = |stand: &&Stand<'_>| {
            market
                .stands
                .iter()
                .position(|other| std::ptr::eq(other, *stand))
                .is_some_and(|at| stands.contains(&at))
        };
        let allowed = |quote: &Quote| buy.iter().any(|buy| buy.option == quote.option);
        let refs = |keep: &dyn Fn(&Quote) -> bool| -> Vec<OfferRef> {
            offers_where(market, mine, keep, |_| 1.0).into_iter().map(|(offer, _)| offer).collect()
        };
        for (at, entry) in buy.iter().enumerate() {
            let part = refs(&|quote: &Quote| quote.option == entry.option);
            let whole = refs(&|quote: &Quote| allowed(quote));
            let named = |side: &str, place: &Place, is_most| NamedLimit {
                what: format!("{side} share of {} for {workload}", entry.option.words()),
                unit: LimitUnit::NodeHours,
                place: Some(place.clone()),
                change: Some(Change::Share { workload: of, entry: at, is_most }),
                outside: 0.0,
                short: 0.0,
                said: None,
            };
            let rule = || Rule::Share { part: part.clone(), whole: whole.clone(), workload: Some(index) };
            if let Some(limit) = &entry.at_most {
                self.add(rule(), Bound::AtMost(limit.value), named("largest", &limit.place, true));
            }
            if let Some(limit) = &entry.at_least {
                self.add(rule(), Bound::AtLeast(limit.value), named("smallest", &limit.place, false));
            }
        }
    }
}

/// What everything that is bought costs, not discounted.
fn whole_cost(market: &Market<'_>) -> Rule {
    let weights = (0..market.stands.len()).map(|pool| (pool, 1.0)).collect();
    Rule::Cost { weights, discounted: false }
}

/// Returns the offers of the pools that `stands` keeps and the quotes that `quotes` keeps, each with a weight.
fn offers_where(
    market: &Market<'_>,
    stands: impl Fn(&&Stand<'_>) -> bool,
    quotes: impl Fn(&Quote) -> bool,
    weight: impl Fn(&Stand<'_>) -> f64,
) -> Vec<(OfferRef, f64)> {
    let mut found = Vec::new();
    for (pool, stand) in market.stands.iter().enumerate().filter(|(_, stand)| stands(stand)) {
        for (offer, _) in stand.quotes.iter().enumerate().filter(|(_, kept)| quotes(kept)) {
            found.push((OfferRef { pool, offer }, weight(stand)));
        }
    }
    found
}
