//! One line per point, and one per machine that does not run the model.

use capstan_types::outlook::{Answer, Outlook, Point, Ranged, Refused};

const HEADER: [&str; 36] = [
    "machine",
    "accelerator",
    "tensor",
    "pipeline",
    "data",
    "expert",
    "fit",
    "needed_gib",
    "free_gib",
    "concurrency",
    "replicas",
    "ttft_ms",
    "ttft_low_ms",
    "ttft_high_ms",
    "tpot_ms",
    "tpot_low_ms",
    "tpot_high_ms",
    "e2e_ms",
    "e2e_low_ms",
    "e2e_high_ms",
    "ttft_p99_ms",
    "tpot_p99_ms",
    "tokens_s_user",
    "output_tokens_s",
    "output_tokens_s_low",
    "output_tokens_s_high",
    "output_tokens_s_accelerator",
    "cost_per_million_output",
    "cost_per_million_output_low",
    "cost_per_million_output_high",
    "currency",
    "price_as_of",
    "limit",
    "on_front",
    "origin",
    "reason",
];

/// Returns the answer as CSV, times in milliseconds.
pub fn outlook_csv(outlook: &Outlook) -> String {
    let mut lines = HEADER.join(",") + "\n";
    let mut add = |cells: Vec<String>| {
        let quoted: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        lines.push_str(&(quoted.join(",") + "\n"));
    };
    for answer in &outlook.answers {
        answer.points.iter().for_each(|point| add(cells(answer, point)));
    }
    outlook.refused.iter().for_each(|refused| add(refusal(refused)));
    lines
}

/// Returns a cell as RFC 4180 wants it.
fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

fn number(value: f64) -> String {
    format!("{value:.4}")
}

fn optional<T>(value: Option<T>, shown: impl Fn(T) -> String) -> String {
    value.map(shown).unwrap_or_default()
}

fn ends(ranged: Ranged, factor: f64) -> [String; 3] {
    [ranged.value, ranged.low, ranged.high].map(|value| number(value * factor))
}

fn cells(answer: &Answer, point: &Point) -> Vec<String> {
    let memory = &answer.memory;
    let mut cells = vec![
        answer.machine.clone().unwrap_or_default(),
        answer.accelerator.clone(),
        answer.degrees.tensor.to_string(),
        answer.degrees.pipeline.to_string(),
        answer.degrees.data.to_string(),
        answer.degrees.expert.to_string(),
        memory.fit.word().to_owned(),
        number(memory.needed_bytes.gib()),
        number(memory.budget_bytes.gib()),
        optional(point.concurrency, |count| count.to_string()),
        point.replicas.to_string(),
    ];
    cells.extend([point.ttft_s, point.tpot_s, point.e2e_s].into_iter().flat_map(|time| ends(time, 1e3)));
    cells.extend(
        [point.ttft_p99_s, point.tpot_p99_s].map(|time| optional(time, |time| number(time.value * 1e3))),
    );
    cells.push(number(point.tokens_per_s_per_user.value));
    cells.extend(ends(point.output_tokens_per_s, 1.0));
    cells.push(number(point.output_tokens_per_s_per_accelerator.value));
    let cost = point.cost_per_million_output.map(|cost| ends(cost, 1.0));
    cells.extend(cost.unwrap_or_default());
    let price = answer.price.as_ref();
    cells.extend([
        optional(price, |price| price.currency.code().to_owned()),
        optional(price.and_then(|price| price.as_of), |date| date.to_string()),
        point.limit.words().to_owned(),
        point.on_front.to_string(),
        point.tpot_s.origin.word().to_owned(),
        String::new(),
    ]);
    cells
}

fn refusal(refused: &Refused) -> Vec<String> {
    let mut cells = vec![String::new(); HEADER.len()];
    cells[0] = refused.machine.clone().unwrap_or_default();
    cells[1].clone_from(&refused.accelerator);
    cells[4] = "no".to_owned();
    cells[HEADER.len() - 1].clone_from(&refused.reason);
    cells
}
