//! `estimate` for people, and `calibrate`: what a model achieves on a machine, and what own measurements change.

use crate::surroundings::Place;
use serde_json::Value;

fn json(place: &Place, args: &[&str]) -> Value {
    let mut all = vec!["estimate"];
    all.extend(args);
    all.extend(["--output", "json"]);
    let seen = place.run(&all).exits(0);
    serde_json::from_str(&seen.out).unwrap_or_else(|error| panic!("{error}\n{}", seen.told()))
}

#[test]
fn one_model_on_one_accelerator_is_told_in_full() {
    let place = Place::new();
    let seen = place.run(&["estimate", "llama-3.1-8b", "--on", "h100_sxm", "--price", "2.50 USD/h"]).exits(0);
    for said in [
        "tp 1: fits",
        "time to first token",
        "time per output token",
        "90 % interval",
        "per million output tokens",
        "bound by memory bandwidth",
        "It fits: each accelerator needs",
        "Where the time goes",
        "feed-forward",
        "Why the intervals are as wide as they are",
        "Assumed, since nothing else was said",
        "given by --price",
    ] {
        assert!(seen.out.contains(said), "{said} is missing\n{}", seen.told());
    }
}

#[test]
fn numbers_are_those_of_the_table_and_follow_from_each_other() {
    let place = Place::new();
    place.write(
        "row.csv",
        "model,accelerator,engine,engine_version,precision,gpus,tp,pp,input_tokens,output_tokens,concurrency,kv_dtype\n\
         llama-3.1-8b,h100_sxm,vllm,0.19.0,bf16,2,2,1,2000,300,32,auto\n",
    );
    let table = place.run(&["estimate", "--table", "serving_latency", "row.csv"]).exits(0).out;
    let mut reader = csv::Reader::from_reader(table.as_bytes());
    let header = reader.headers().unwrap().clone();
    let record = reader.records().next().unwrap().unwrap();
    let of = |name: &str| -> f64 {
        record[header.iter().position(|known| known == name).unwrap()].parse().unwrap()
    };
    let args = [
        "llama3_1_8b",
        "--on",
        "h100_sxm",
        "--tensor",
        "2",
        "--input",
        "2000",
        "--output",
        "300",
        "--concurrency",
        "32",
    ];
    let answer = json(&place, &args);
    let point = &answer["answers"][0]["points"][0];
    let near = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-9, "{a} against {b}\n{point:#}");
    let value = |name: &str| point[name]["value"].as_f64().unwrap();
    near(value("ttft_s"), of("predicted_ttft_ms") / 1e3);
    near(value("tpot_s"), of("predicted_tpot_ms") / 1e3);
    near(point["tpot_s"]["low"].as_f64().unwrap(), of("tpot_low_ms") / 1e3);
    near(value("e2e_s"), value("ttft_s") + 299.0 * value("tpot_s"));
    near(value("output_tokens_per_s"), 32.0 * 300.0 / value("e2e_s"));
    near(value("output_tokens_per_s_per_accelerator"), value("output_tokens_per_s") / 2.0);
    let hour: f64 = answer["answers"][0]["price"]["per_accelerator_hour"].as_f64().unwrap();
    near(
        value("cost_per_million_output"),
        hour / 3600.0 / value("output_tokens_per_s_per_accelerator") * 1e6,
    );
}

#[test]
fn the_schema_names_every_field_of_the_answer() {
    fn fields(value: &Value, schema: &str) {
        match value {
            Value::Object(map) => map.iter().for_each(|(name, field)| {
                assert!(schema.contains(&format!("\"{name}\"")), "{name} is not in the schema");
                fields(field, schema);
            }),
            Value::Array(rows) => rows.iter().for_each(|row| fields(row, schema)),
            _ => {}
        }
    }
    let schema =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema/estimate.schema.json"));
    let schema = schema.unwrap();
    let place = Place::new();
    fields(&json(&place, &["llama-3.1-70b", "--concurrency", "64"]), &schema);
    fields(&json(&place, &["llama-3.1-8b", "--on", "h100", "--rate", "2/s"]), &schema);
}

#[test]
fn every_machine_is_ranked_and_what_does_not_run_says_why() {
    let place = Place::new();
    let answer = json(&place, &["llama-3.1-70b", "--precision", "bf16"]);
    let (answers, refused) = (answer["answers"].as_array().unwrap(), answer["refused"].as_array().unwrap());
    assert!(answers.len() > 20 && refused.len() > 10);
    let on_demand: Vec<f64> = answers
        .iter()
        .filter(|answer| answer["price"]["option"]["kind"] == "on_demand")
        .map(|answer| answer["points"][0]["cost_per_million_output"]["value"].as_f64().unwrap())
        .collect();
    assert!(on_demand.len() > 10 && on_demand.is_sorted(), "{on_demand:?}");
    for refusal in refused.iter().filter(|refusal| refusal["code"] == "does_not_fit") {
        let reason = refusal["reason"].as_str().unwrap();
        assert!(reason.contains("needs") && reason.contains("are free"), "{reason}");
    }
}

#[test]
fn a_sweep_has_a_front_a_table_and_a_picture() {
    let place = Place::new();
    let args = ["estimate", "llama-3.1-8b", "--on", "h100", "--sweep", "1..256"];
    let forms = [
        "--output",
        "human",
        "--output",
        "svg:front.svg",
        "--output",
        "csv:all.csv",
        "--output",
        "markdown:a.md",
    ];
    let seen = place.run(&[&args[..], &forms[..]].concat()).exits(0);
    assert!(seen.out.contains("tok/s for one user") && seen.out.contains('●'), "{}", seen.told());
    assert!(seen.out.lines().all(|line| line.chars().count() <= 100), "{}", seen.told());
    let svg = place.read("front.svg");
    assert!(
        svg.starts_with("<svg")
            && svg.contains("prefers-color-scheme: dark")
            && svg.trim_end().ends_with("</svg>")
    );
    assert!(
        !svg.contains("http://")
            || svg.matches("http://").count() == svg.matches("http://www.w3.org").count()
    );
    let csv = place.read("all.csv");
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let rows: Vec<_> =
        reader.deserialize::<std::collections::BTreeMap<String, String>>().map(Result::unwrap).collect();
    assert_eq!(rows.len() % 9, 0, "nine loads of each split");
    let front = rows.iter().filter(|row| row["on_front"] == "true");
    let mut front: Vec<(f64, f64)> = front
        .map(|row| {
            (row["tokens_s_user"].parse().unwrap(), row["output_tokens_s_accelerator"].parse().unwrap())
        })
        .collect();
    front.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(front.len() > 3 && front.windows(2).all(|pair| pair[0].1 >= pair[1].1), "{front:?}");
    assert!(place.read("a.md").contains("```text"));
}

#[test]
fn what_cannot_be_has_its_exit_code_and_a_way_out() {
    let place = Place::new();
    let none = place.run(&["estimate", "llama-3.1-405b", "--on", "l4"]).exits(3);
    assert!(none.out.contains("does not run") && none.out.contains("needs"), "{}", none.told());
    let unknown = place.run(&["estimate", "lama-3.1-8b"]).exits(1);
    assert!(unknown.err.contains("did you mean"), "{}", unknown.told());
    let unknown = place.run(&["estimate", "llama-3.1-8b", "--on", "h100_sxn"]).exits(1);
    assert!(unknown.err.contains("did you mean `h100_sxm`?"), "{}", unknown.told());
    let unknown = place.run(&["estimate", "llama-3.1-8b", "--engine", "vlm"]).exits(1);
    assert!(unknown.err.contains("did you mean `vllm`?"), "{}", unknown.told());
    for bad in [
        &["--sweep", "9..1"][..],
        &["--rate", "fast"],
        &["--price", "7"],
        &["--output", "pdf"],
        &["--precision", "fp9"],
        &["--concurrency", "0"],
        &["--concurrency", "4", "--rate", "2/s"],
    ] {
        place.run(&[&["estimate", "llama-3.1-8b"], bad].concat()).exits(64);
    }
    place.run(&["estimate", "measured.csv"]).exits(64);
    let heads = place.run(&["estimate", "llama-3.1-8b", "--on", "h100", "--tensor", "3"]).exits(3);
    assert!(heads.out.contains("do not divide"), "{}", heads.told());
    let long = place.run(&["estimate", "mixtral-8x7b", "--on", "h200", "--input", "60000"]).exits(3);
    assert!(long.out.contains("longer than the context"), "{}", long.told());
}

#[test]
fn a_model_may_be_a_config_file() {
    let place = Place::new();
    place.write(
        "config.json",
        r#"{"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336,
           "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
           "max_position_embeddings": 131072, "tie_word_embeddings": false, "torch_dtype": "bfloat16"}"#,
    );
    let args = ["--on", "h100", "--tensor", "1"];
    let own = json(&place, &[&["config.json"], &args[..]].concat());
    let known = json(&place, &[&["llama-3.1-8b"], &args[..]].concat());
    // Intervals differ: of a model that nobody measured they are wider.
    for what in ["ttft_s", "tpot_s", "e2e_s", "output_tokens_per_s", "cost_per_million_tokens"] {
        let value = |answer: &Value| answer["answers"][0]["points"][0][what]["value"].clone();
        assert_eq!(value(&own), value(&known), "{what}");
        assert!(value(&own).is_number(), "{what}");
    }
    place.write("broken.json", "{\"model_type\": ");
    place.run(&["estimate", "broken.json"]).exits(1);
    place.run(&["estimate", "missing.json"]).exits(1);
}

#[test]
fn requests_at_a_rate_take_the_replicas_that_a_plan_would_place() {
    let place = Place::new();
    let few = json(&place, &["llama-3.1-8b", "--on", "h100", "--tensor", "1", "--rate", "2/s"]);
    let many = json(&place, &["llama-3.1-8b", "--on", "h100", "--tensor", "1", "--rate", "200/s"]);
    let point = |answer: &Value| answer["answers"][0]["points"][0].clone();
    let (few, many) = (point(&few), point(&many));
    assert_eq!(few["replicas"], 1);
    assert!(many["replicas"].as_u64().unwrap() > 3, "{many:#}");
    assert_eq!(few["output_tokens_per_s"]["value"].as_f64().unwrap(), 512.0);
    let value = |point: &Value, name: &str| point[name]["value"].as_f64().unwrap();
    assert!(value(&few, "ttft_p99_s") > value(&few, "ttft_s"));
    assert!(value(&many, "tpot_s") > value(&few, "tpot_s"));
}

const ROWS: &str = "model,accelerator,engine,engine_version,precision,tp,input_tokens,output_tokens,concurrency,ttft_ms,tpot_ms\n\
    llama-3.1-8b,h100_sxm,vllm,0.19.0,bf16,1,1024,256,16,120,11\n\
    llama-3.1-8b,h100_sxm,vllm,0.19.0,bf16,1,1024,256,64,260,19.5\n\
    llama-3.1-8b,h100_sxm,vllm,0.19.0,bf16,1,1024,256,4,80,8.8\n\
    llama-3.1-8b,h100_sxm,vllm,0.19.0,bf16,1,1024,256,8,0.09,0.0094\n";

#[test]
fn own_measurements_correct_estimates_and_plans() {
    let place = Place::new();
    place.write("own.csv", ROWS);
    let told =
        place.run(&["calibrate", "own.csv", "-o", "calibration.toml", "--as-of", "2026-11-01"]).exits(0);
    for said in ["3 of 4 measurements used", "are these seconds?", "line 5", "× 1."] {
        assert!(told.out.contains(said), "{said} is missing\n{}", told.told());
    }
    let args = ["llama-3.1-8b", "--on", "h100", "--tensor", "1"];
    let (before, after) =
        (json(&place, &args), json(&place, &[&args[..], &["--calibration", "calibration.toml"]].concat()));
    let tpot = |answer: &Value| {
        let tpot = &answer["answers"][0]["points"][0]["tpot_s"];
        let of = |name: &str| tpot[name].as_f64().unwrap();
        (of("value"), of("high") / of("low"), tpot["origin"].as_str().unwrap().to_owned())
    };
    let (before, after) = (tpot(&before), tpot(&after));
    assert!(
        (after.0 / 0.011 - 1.0).abs() < 0.04 && (before.0 / 0.011 - 1.0).abs() > 0.1,
        "{before:?} {after:?}"
    );
    assert!(after.1 < 0.75 * before.1, "the interval is narrower");
    assert_eq!(after.2, "measured");
    place.write(
        "a.plan",
        "use \"calibration.toml\"\nplan a { currency = USD }\nsite c { provider = aws, region = \"us-east-1\" }\n\
         serve s {\n  model = \"llama3_1_8b\"\n  accelerator = h100_sxm\n  parallelism = { tensor = 1 }\n  \
         load = { rate = 5 req/s, prompt = 1 ktok, output = 250 tok }\n  slo tpot { p50 <= 40 ms }\n}\n",
    );
    place.write("b.plan", place.read("a.plan").replace("use \"calibration.toml\"\n", ""));
    let planned = |file: &str| {
        let seen = place.run(&["plan", file, "--output", "json"]).exits(0);
        let blueprint: Value =
            serde_json::from_str(&seen.out).unwrap_or_else(|error| panic!("{error}\n{}", seen.told()));
        blueprint.to_string()
    };
    assert_ne!(planned("a.plan"), planned("b.plan"));
}

#[test]
fn benchmarks_and_kernels_calibrate_too_and_nonsense_is_refused() {
    let place = Place::new();
    place.write(
        "vllm.json",
        r#"{"backend": "vllm", "model_id": "meta-llama/Llama-3.1-8B-Instruct", "max_concurrency": 16, "completed": 160,
           "total_input_tokens": 163840, "total_output_tokens": 40960, "mean_ttft_ms": 110.0, "mean_tpot_ms": 9.9}"#,
    );
    let missing = place.run(&["calibrate", "vllm.json"]).exits(1);
    assert!(missing.err.contains("accelerator") && missing.err.contains("--on"), "{}", missing.told());
    let done = place.run(&["calibrate", "vllm.json", "--on", "h100", "-o", "c.toml"]).exits(0);
    assert!(done.out.contains("1 of 1 measurements used"), "{}", done.told());
    place.run(&["estimate", "llama-3.1-8b", "--on", "h100", "--calibration", "c.toml"]).exits(0);
    place.write(
        "gemm.csv",
        "gemm_dtype,m,n,k,latency_us\nbfloat16,4096,8192,8192,900\nbfloat16,4096,8192,8192,90\n",
    );
    let done = place.run(&["calibrate", "gemm.csv", "--on", "h100", "-o", "g.toml"]).exits(0);
    assert!(done.out.contains("faster than physics") && done.out.contains("line 3"), "{}", done.told());
    place.run(&["estimate", "llama-3.1-8b", "--on", "h100", "--calibration", "g.toml"]).exits(0);
    for (name, text) in
        [("empty.csv", ""), ("other.csv", "a,b\n1,2\n"), ("header.csv", ROWS.lines().next().unwrap())]
    {
        place.write(name, text);
        place.run(&["calibrate", name, "-o", "x.toml"]).exits(1);
    }
    place.write(
        "fast.csv",
        format!(
            "{}\nllama-3.1-8b,h100_sxm,vllm,0.19.0,bf16,1,1024,256,16,120,2\n",
            ROWS.lines().next().unwrap()
        ),
    );
    let refused = place.run(&["calibrate", "fast.csv", "-o", "x.toml"]).exits(1);
    assert!(refused.out.contains("faster than physics"), "{}", refused.told());
    assert!(!place.path("x.toml").exists());
}

#[test]
fn training_is_told_in_full() {
    let place = Place::new();
    let args = ["estimate", "llama3_1_70b", "--train", "--on", "h100_sxm", "--accelerators", "64"];
    let seen = place.run(&args).exits(0);
    for said in [
        "trained on 64 × h100_sxm",
        "tokens per second",
        "90 % interval",
        "TFLOP/s per accelerator",
        "Tensor ",
        "It ",
        "optimizer states",
        "Where the time goes: one step",
        "The next ones",
        "128 sequences of a step (`--batch`)",
    ] {
        assert!(seen.out.contains(said), "{said} is missing\n{}", seen.told());
    }
}

/// Every choice of Calculon's search is looked at, and no usual configuration is faster than the best of all.
#[test]
fn every_configuration_is_a_superset_of_the_usual_ones() {
    let place = Place::new();
    let gpt = [
        "gpt3_175b",
        "--train",
        "--on",
        "a100_sxm_80gb",
        "--accelerators",
        "64",
        "--batch",
        "64",
        "--sequence",
        "2048",
    ];
    let usual = json(&place, &gpt);
    let every = json(&place, &[&gpt[..], &["--every", "--best", "3"]].concat());
    assert_eq!(every["considered"], 3_232_128);
    assert_eq!(every["best"].as_array().unwrap().len(), 3);
    let step = |answer: &Value| answer["best"][0]["step_s"]["value"].as_f64().unwrap();
    assert!(step(&every) <= step(&usual), "{} against {}", step(&every), step(&usual));
    let best = &usual["best"][0];
    let parts: f64 =
        best["parts"].as_array().unwrap().iter().map(|part| part["seconds"].as_f64().unwrap()).sum();
    assert!((parts / step(&usual) - 1.0).abs() < 1e-9);
    let share = |field: &str| best["memory"][field].as_f64().unwrap();
    assert!(share("needed_bytes") <= share("budget_bytes"));
    assert!(best["step_s"]["low"].as_f64() < best["step_s"]["value"].as_f64());
}

/// Steps that took longer than predicted make predictions of the same job longer, and of no other.
#[test]
fn own_steps_correct_the_job_that_they_measured() {
    let place = Place::new();
    let ask = |precision: &str, more: &[&str]| {
        let args =
            ["llama3_1_70b", "--train", "--on", "h100_sxm", "--accelerators", "64", "--precision", precision];
        json(&place, &[&args[..], more].concat())["best"][0]["step_s"].clone()
    };
    let value = |step: &Value| step["value"].as_f64().unwrap();
    let width = |step: &Value| step["high"].as_f64().unwrap() / step["low"].as_f64().unwrap();
    let (plain, other) = (ask("fp8", &[]), ask("bf16", &[]));
    let row = "Llama-3.1-70B,H100,64,128,1,8192,FP8,4,4,1250\n".repeat(8);
    let table = format!("model,gpu,n_gpus,gbs,mbs,seq,precision,tp,pp,tokens_s_gpu\n{row}");
    place.write("runs.csv", format!("{table}Llama-3.1-70B,H100,64,128,1,8192,FP8,4,4,99999\n"));
    let seen = place.run(&["calibrate", "runs.csv", "-o", "calibration.toml"]).exits(0);
    for said in
        ["8 of 9 measurements used, 1 job", "dense llama3_1_70b h100_sxm fp8", "TFLOP/s are more than"]
    {
        assert!(seen.out.contains(said), "{said} is missing\n{}", seen.told());
    }
    let own = ["--calibration", "calibration.toml"];
    let (corrected, same) = (ask("fp8", &own), ask("bf16", &own));
    assert!(value(&corrected) > 1.05 * value(&plain), "{plain} {corrected}");
    assert!(width(&corrected) < width(&plain), "{plain} {corrected}");
    assert_eq!(same, other);
}

#[test]
fn what_does_not_train_says_why() {
    let place = Place::new();
    let seen = place.run(&["estimate", "llama3_1_405b", "--train", "--on", "h100_sxm"]).exits(3);
    assert!(seen.out.contains("does not run") && seen.out.contains("GiB"), "{}", seen.told());
    let seen = place
        .run(&["estimate", "llama3_1_8b", "--train", "--on", "h100_sxm", "--accelerators", "12"])
        .exits(3);
    assert!(seen.out.contains("no whole number of machines"), "{}", seen.told());
    for args in [
        &["estimate", "llama3_1_8b", "--train"][..],
        &["estimate", "llama3_1_8b", "--batch", "4", "--on", "h100_sxm"],
        &["estimate", "llama3_1_8b", "--train", "--on", "h100_sxm", "--output", "256"],
        &["estimate", "llama3_1_8b", "--train", "--on", "h100_sxm", "--output", "svg"],
    ] {
        place.run(args).exits(64);
    }
}

/// 61 layers are divided by no usual number of stages, and only many stages fit.
#[test]
fn stages_need_not_divide_the_layers() {
    let place = Place::new();
    let asked = ["deepseek_v3", "--train", "--on", "h100_sxm", "--accelerators", "2048", "--batch", "15360"];
    let chosen = json(&place, &asked);
    let step = |answer: &Value| answer["best"][0]["step_s"]["value"].as_f64().expect("it runs");
    let fixed = json(&place, &[&asked[..], &["--pipeline", "16"]].concat());
    assert!(step(&chosen) <= step(&fixed), "{} {}", step(&chosen), step(&fixed));
}

/// An interval is of what may be measured, and nobody measures what the memory cannot read.
#[test]
fn an_interval_does_not_reach_below_what_physics_allows() {
    let place = Place::new();
    for (model, weights) in [("llama2_13b", 12.9e9 * 2.0), ("llama3_1_8b", 7.5e9 * 2.0)] {
        let args = [model, "--on", "h100_sxm", "--tensor", "1", "--concurrency", "1"];
        let low = json(&place, &args)["answers"][0]["points"][0]["tpot_s"]["low"].as_f64().expect("a number");
        assert!(low >= weights / 3.36e12, "{model}: {low}");
    }
}
