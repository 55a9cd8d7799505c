//! What became of each request: CSV, the columns of `replay` among others, which are the scheduler's; what a client sees
//! takes longer by tokenising and delivery.

use capstan_planner::simulate::Simulated;
use capstan_sim::engine::Time;
use capstan_sim::serving::{Outcome, Record, Reject};
use std::fmt::Write;

const HEADER: &str = "workload,site,period,hour,arrived_at_s,num_prefill_tokens,num_decode_tokens,scheduled_at_s,\
                      first_token_at_s,completed_at_s,num_restarts,replica,background,outcome,ttft_s,e2e_s\n";

/// Returns the requests of the first replication of each run; what did not happen is left empty.
pub fn csv(simulated: &Simulated) -> String {
    let mut text = HEADER.to_owned();
    for (run, details) in simulated.simulation.runs.iter().zip(&simulated.details) {
        for (record, outside) in &details.requests {
            let Record { prompt, output, restarts, replica, background, .. } = *record;
            let seen = |time: Time| match time {
                Time::NEVER => String::new(),
                time => format!("{:.9}", time.since(record.arrival) as f64 / 1e9 + outside.get()),
            };
            let (ttft, e2e) = (seen(record.first_token), seen(record.completed));
            let times = [record.arrival, record.scheduled, record.first_token, record.completed].map(at);
            let [arrived, scheduled, first, completed] = times;
            let _ = writeln!(
                text,
                "{},{},{},{},{arrived},{prompt},{output},{scheduled},{first},{completed},{restarts},{replica},{background},{},{ttft},{e2e}",
                run.workload,
                run.site,
                run.period,
                run.hour,
                word(record.outcome)
            );
        }
    }
    text
}

fn at(time: Time) -> String {
    if time == Time::NEVER {
        return String::new();
    }
    format!("{}.{:09}", time.ns() / 1_000_000_000, time.ns() % 1_000_000_000)
}

fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::InFlight => "in flight",
        Outcome::Lost => "lost",
        Outcome::Rejected(Reject::Empty) => "rejected: empty",
        Outcome::Rejected(Reject::Context) => "rejected: context",
        Outcome::Rejected(Reject::Cache) => "rejected: cache",
        Outcome::Rejected(Reject::Queue) => "turned away",
        Outcome::Rejected(Reject::Step) => "rejected: step",
    }
}
