//! Results of the benchmark clients of vLLM (`vllm bench serve --save-result`) and SGLang (`bench_serving`, JSON lines) as
//! rows of a table.
//!
//! Both print means over all requests, as the predictions are. Neither says on what it ran.

use capstan_sim::calibrate::Shown;
use serde_json::{Deserializer, Value};

const HEADER: &str = "model,engine,input_tokens,output_tokens,concurrency,ttft_ms,tpot_ms\n";

/// Returns the rows as a table, and the runs that cannot be rows, by their place in the file.
///
/// A name that no run has is no column, so that an option may stand in for it.
pub(super) fn table(text: &str) -> Result<(String, Vec<Shown>), String> {
    let mut runs = Vec::new();
    for value in Deserializer::from_str(&finite(text)).into_iter::<Value>() {
        match value.map_err(|error| format!("it is no JSON: {error}"))? {
            Value::Array(values) => runs.extend(values),
            value => runs.push(value),
        }
    }
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut unread = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        match row(run) {
            Ok(row) => rows.push(row),
            Err(reason) => unread.push(Shown { line: index as u64 + 1, reason }),
        }
    }
    let names: Vec<&str> = HEADER.trim_end().split(',').collect();
    let known: Vec<usize> =
        (0..names.len()).filter(|&column| rows.iter().any(|row| !row[column].is_empty())).collect();
    let line = |cell: &dyn Fn(usize) -> String| {
        known.iter().map(|&column| cell(column)).collect::<Vec<_>>().join(",") + "\n"
    };
    if rows.is_empty() {
        return Ok((HEADER.to_owned(), unread));
    }
    let mut table = line(&|column| names[column].to_owned());
    rows.iter().for_each(|row| table.push_str(&line(&|column| row[column].replace(',', " "))));
    Ok((table, unread))
}

/// Returns the text with `null` where a client in Python wrote a number that is none: SGLang's writes its default rate, no
/// limit, as `Infinity`, which no JSON knows.
fn finite(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let (mut quoted, mut escaped) = (false, false);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let word =
            ["-Infinity", "Infinity", "NaN"].into_iter().find(|word| !quoted && rest.starts_with(word));
        let read = word.map_or(next.len_utf8(), str::len);
        plain.push_str(if word.is_some() { "null" } else { &rest[..read] });
        quoted ^= next == '"' && !escaped;
        escaped = quoted && next == '\\' && !escaped;
        rest = &rest[read..];
    }
    plain
}

fn row(run: &Value) -> Result<Vec<String>, String> {
    let number = |name: &str| run.get(name).and_then(Value::as_f64).filter(|value| *value > 0.0);
    let word = |name: &str| run.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if !run.is_object() {
        return Err("it is no object".to_owned());
    }
    let (ttft, tpot) = (number("mean_ttft_ms"), number("mean_tpot_ms"));
    if ttft.is_none() && tpot.is_none() {
        return Err("it has neither mean_ttft_ms nor mean_tpot_ms".to_owned());
    }
    let Some(concurrency) = number("max_concurrency") else {
        return Err("requests in flight were not bounded; run it with --max-concurrency".to_owned());
    };
    let done = number("completed").ok_or("it has no `completed` requests")?;
    let tokens = |total: &str| number(total).map(|total| format!("{:.0}", (total / done).max(1.0)));
    let (input, output) = (tokens("total_input_tokens"), tokens("total_output_tokens"));
    let (Some(input), Some(output)) = (input, output) else {
        return Err("it lacks total_input_tokens or total_output_tokens".to_owned());
    };
    let backend = word("backend").to_ascii_lowercase();
    let engine = ["sglang", "trtllm", "tensorrt", "vllm"].into_iter().find(|name| backend.starts_with(name));
    let engine = engine.map_or("", |name| if name == "tensorrt" { "trtllm" } else { name });
    let shown = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
    Ok(vec![
        word("model_id"),
        engine.to_owned(),
        input,
        output,
        format!("{concurrency:.0}"),
        shown(ttft),
        shown(tpot),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const VLLM: &str = r#"{"date": "20261101-101500", "backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B-Instruct",
        "num_prompts": 160, "request_rate": "inf", "max_concurrency": 16, "duration": 25.1, "completed": 160,
        "total_input_tokens": 163840, "total_output_tokens": 40960, "mean_ttft_ms": 101.5, "mean_tpot_ms": 9.6}"#;

    #[test]
    fn a_run_of_vllm_is_a_row() {
        let (table, unread) = table(VLLM).unwrap();
        let row = "meta-llama/Llama-3.1-8B-Instruct,vllm,1024,256,16,101.5,9.6";
        assert_eq!(table, format!("{HEADER}{row}\n"));
        assert!(unread.is_empty());
    }

    #[test]
    fn lines_of_sglang_are_rows_and_what_is_none_says_why() {
        let run = |concurrency: &str| {
            format!(
                "{{\"backend\": \"sglang\", \"max_concurrency\": {concurrency}, \"completed\": 10, \
                 \"total_input_tokens\": 10240, \"total_output_tokens\": 2560, \"mean_ttft_ms\": 80.0, \
                 \"mean_tpot_ms\": 9.0}}\n"
            )
        };
        let text = format!("{}{}{{\"backend\": \"sglang\"}}\n", run("4"), run("null"));
        let (table, unread) = table(&text).unwrap();
        // Nobody named the model, so it is no column and may be given.
        assert_eq!(
            table,
            "engine,input_tokens,output_tokens,concurrency,ttft_ms,tpot_ms\nsglang,1024,256,4,80,9\n"
        );
        assert_eq!(unread.iter().map(|unread| unread.line).collect::<Vec<_>>(), [2, 3]);
        assert!(unread[0].reason.contains("--max-concurrency"));
        assert!(super::table("{\"a\": ").is_err());
    }

    #[test]
    fn the_default_rate_of_sglang_is_read_and_names_keep_their_letters() {
        let text = r#"{"backend": "sglang", "request_rate": Infinity, "model_id": "a\"Infinity/NaN", "max_concurrency": 4,
            "completed": 10, "total_input_tokens": 10240, "total_output_tokens": 2560, "mean_ttft_ms": 80.0,
            "mean_tpot_ms": NaN}"#;
        let (table, unread) = table(text).unwrap();
        assert_eq!(unread, []);
        assert!(table.ends_with("a\"Infinity/NaN,sglang,1024,256,4,80\n"), "{table}");
    }
}
