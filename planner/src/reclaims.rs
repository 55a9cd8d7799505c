//! How often are machines of a training taken away that were bought on the spot market?

use crate::frame::Frame;
use capstan_types::blueprint::{Pool, TrainingRun};
use capstan_types::figure;
use capstan_types::finding::{Finding, Severity};
use capstan_types::offering::PurchaseOption;
use capstan_types::units::HOURS_PER_MONTH;

/// A training on machines that may be taken away.
const RECLAIMED: &str = "W0365";

/// Returns a warning for each training that runs on spot machines: its time counts failures of machines, not reclaims.
pub(crate) fn findings(frame: &Frame<'_>, runs: &[TrainingRun], pools: &[&Pool]) -> Vec<Finding> {
    runs.iter().filter_map(|run| reclaimed(frame, run, pools)).collect()
}

fn reclaimed(frame: &Frame<'_>, run: &TrainingRun, pools: &[&Pool]) -> Option<Finding> {
    let pool = pools.iter().find(|pool| pool.site == run.site && pool.shape == run.candidate.shape)?;
    let spot = pool.purchases.iter().find(|purchase| purchase.option == PurchaseOption::Spot)?;
    let runs_in = |period: usize| run.shares.get(period).is_some_and(|&share| share > 0.0);
    let bought = spot.nodes_by_period.iter().enumerate().filter(|(period, _)| runs_in(*period));
    let nodes = bought.map(|(_, &nodes)| nodes).max()?.min(run.candidate.nodes);
    let train = frame.spec.trains.iter().find(|train| train.name == run.workload)?;
    let may_have_them = train.buy.iter().any(|buy| buy.option == PurchaseOption::Spot);
    if nodes == 0 || !may_have_them {
        return None;
    }
    let site = frame.spec.sites.iter().find(|site| site.name == run.site)?;
    let rate = frame.catalog.offerings.iter().find_map(|row| {
        let is_it =
            row.option == PurchaseOption::Spot && row.shape == pool.shape && row.provider == site.provider;
        row.reclaimed_per_month
            .filter(|_| is_it && site.region.as_ref().is_none_or(|region| *region == row.region))
    });
    let months = run.hours * run.share_of_week() / HOURS_PER_MONTH;
    let because = match rate {
        Some(rate) => format!(
            "{} of them are expected to be taken away while it runs, at {} of such machines a month",
            figure::short(f64::from(nodes) * months * rate),
            figure::percent(rate)
        ),
        None => "nobody knows how often such machines are taken away".to_owned(),
    };
    Some(Finding {
        code: RECLAIMED.to_owned(),
        severity: Severity::Warning,
        message: format!(
            "`{}` runs on up to {nodes} spot machines, and its time and its end do not count those that are taken away",
            run.workload
        ),
        places: vec![(train.place.clone(), format!("it ends on {} if none is", run.end))],
        because: vec![because],
        ways_out: vec![format!(
            "leave `spot` out of its `buy`, or keep time in hand: each costs a restart and up to {} of work",
            figure::span(run.checkpoint_interval)
        )],
    })
}
