//! Steps as Perfetto and chrome://tracing read them: one process for each run, one thread for each replica.
//!
//! Format: Google's "Trace Event Format"; complete events (`X`) and counters (`C`), times in microseconds.

use anyhow::Context;
use capstan_planner::simulate::Simulated;
use capstan_sim::serving::StepSeen;
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    display_time_unit: &'static str,
    trace_events: Vec<Value>,
}

/// Returns the steps of the first replication of each run as JSON.
pub fn json(simulated: &Simulated) -> anyhow::Result<String> {
    let mut trace_events = Vec::new();
    for (index, (run, details)) in simulated.simulation.runs.iter().zip(&simulated.details).enumerate() {
        let process = index + 1;
        let name = format!("{} at {}, period {}, hour {}", run.workload, run.site, run.period, run.hour);
        trace_events.push(named("process_name", process, 0, &name));
        for replica in 0..run.replicas {
            trace_events.push(named("thread_name", process, replica, &format!("replica {replica}")));
        }
        for step in &details.steps {
            trace_events.extend(events(process, step));
        }
    }
    let trace = Trace { display_time_unit: "ms", trace_events };
    let mut text = serde_json::to_string(&trace).context("writing the trace")?;
    text.push('\n');
    Ok(text)
}

fn named(what: &str, process: usize, thread: u32, name: &str) -> Value {
    json!({ "ph": "M", "name": what, "pid": process, "tid": thread, "args": { "name": name } })
}

fn events(process: usize, step: &StepSeen) -> [Value; 2] {
    let micro = |ns: u64| ns as f64 / 1e3;
    let batch = &step.batch;
    let name = match (batch.prefills, batch.decodes) {
        (0, decodes) => format!("{decodes} decodes"),
        (prefills, 0) => format!("{prefills} prompts"),
        (prefills, decodes) => format!("{prefills} prompts, {decodes} decodes"),
    };
    let ran = json!({
        "ph": "X",
        "name": name,
        "cat": "step",
        "pid": process,
        "tid": step.replica,
        "ts": micro(step.start.ns()),
        "dur": micro(step.end.since(step.start)),
        "args": {
            "prompt_tokens": batch.prefill_tokens,
            "decodes": batch.decodes,
            "kv_tokens": batch.decode_kv,
            "kv_blocks": step.blocks_used,
        },
    });
    let waits = json!({
        "ph": "C",
        "name": format!("waiting at replica {}", step.replica),
        "pid": process,
        "ts": micro(step.end.ns()),
        "args": { "requests": step.waiting },
    });
    [ran, waits]
}
