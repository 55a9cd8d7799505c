//! What does the plan earn against paying for everything by the hour? Net present saving, internal rate of return, payback.

use super::float;
use capstan_types::finance::{Alternative, Return};
use capstan_types::money::Currency;
use rust_decimal::Decimal;

/// Halvings of the interval in which the rate lies: beyond the last bit of a double.
const HALVINGS: usize = 200;

/// Rates per month between which one is looked for: from losing nearly all to tenfold.
const RATES: (f64, f64) = (-0.99, 10.0);

/// Returns what the first alternative, this plan, saves against the second, all on demand.
pub(super) fn earns(alternatives: &[Alternative], factors: &[Decimal], currency: Currency) -> Option<Return> {
    let (this, other) = (alternatives.first()?, alternatives.get(1)?);
    let (ours, theirs) = (this.by_month.as_ref()?, other.by_month.as_ref()?);
    let saved: Vec<Decimal> = ours.iter().zip(theirs).map(|(ours, theirs)| *theirs - *ours).collect();
    let present: Decimal = saved.iter().zip(factors).map(|(saved, factor)| *saved * *factor).sum();
    Some(Return {
        against: other.name.clone(),
        net_present: currency.round(present),
        irr_per_year: irr(&saved).map(per_year),
        payback_months: payback(&saved),
    })
}

/// Returns the rate per month at which the flows are worth nothing; `None` where they never change their sign, or where
/// no rate within [`RATES`] does it.
fn irr(flows: &[Decimal]) -> Option<f64> {
    let rises = flows.iter().any(|flow| *flow > Decimal::ZERO);
    let falls = flows.iter().any(|flow| *flow < Decimal::ZERO);
    if !(rises && falls) {
        return None;
    }
    let flows: Vec<f64> = flows.iter().map(|flow| float(*flow)).collect();
    // Horner's rule in 1/(1 + rate); month ends, as everywhere.
    let worth = |rate: f64| flows.iter().rev().fold(0.0, |later, flow| (later + flow) / (1.0 + rate));
    let (mut low, mut high) = RATES;
    if (worth(low) > 0.0) == (worth(high) > 0.0) {
        return None;
    }
    let rising = worth(high) > 0.0;
    for _ in 0..HALVINGS {
        let middle = low + (high - low) / 2.0;
        if (worth(middle) > 0.0) == rising { high = middle } else { low = middle }
    }
    Some(low + (high - low) / 2.0)
}

/// Returns the yearly rate of a monthly one: (1 + r)^12 − 1.
fn per_year(monthly: f64) -> f64 {
    (0..12).fold(1.0, |all, _| all * (1.0 + monthly)) - 1.0
}

/// Returns the first month after which the sum of the flows stays at or above zero: 0 where it never is below; `None` where
/// it ends below, or where nothing is saved.
fn payback(flows: &[Decimal]) -> Option<u32> {
    let mut sum = Decimal::ZERO;
    let sums: Vec<Decimal> = flows
        .iter()
        .map(|flow| {
            sum += *flow;
            sum
        })
        .collect();
    let Some(last_below) = sums.iter().rposition(|sum| *sum < Decimal::ZERO) else {
        return sums.last().filter(|saved| **saved > Decimal::ZERO).map(|_| 0);
    };
    let month = last_below + 1;
    (month < sums.len()).then_some(month as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimals(amounts: &[i64]) -> Vec<Decimal> {
        amounts.iter().map(|amount| Decimal::from(*amount)).collect()
    }

    #[test]
    fn ten_per_cent_a_month_is_found() {
        // 100 paid, 110 received a month later: 10 %.
        let rate = irr(&decimals(&[-100, 110])).unwrap();
        assert!((rate - 0.1).abs() < 1e-12, "{rate}");
        assert!((per_year(0.01) - 0.126_825_030).abs() < 1e-9);
    }

    #[test]
    fn a_saving_without_a_payment_has_no_rate_and_is_paid_back_at_once() {
        assert_eq!((irr(&decimals(&[5, 5])), payback(&decimals(&[5, 5]))), (None, Some(0)));
        assert_eq!(payback(&decimals(&[5, -3, 0])), Some(0));
        assert_eq!((payback(&decimals(&[0, 0])), payback(&[])), (None, None));
        assert_eq!(payback(&decimals(&[-5, -5])), None);
        assert_eq!(irr(&decimals(&[-5, -5])), None);
    }

    #[test]
    fn payback_is_for_good() {
        assert_eq!(payback(&decimals(&[-10, 5, 5, 1])), Some(3));
        assert_eq!(payback(&decimals(&[-10, 12, -5, 9])), Some(4));
        assert_eq!(payback(&decimals(&[-10, 5])), None);
    }
}
