//! Models that others describe: a `config.json` on the command line and in a plan.

use crate::surroundings::Place;
use serde_json::Value;

const LLAMA: &str = r#"{ "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
  "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
  "max_position_embeddings": 131072, "vocab_size": 128256, "tie_word_embeddings": false, "torch_dtype": "bfloat16" }"#;

const QUANTISED: &str = r#"{ "quantization": { "quant_algo": "FP8", "kv_cache_quant_algo": "FP8", "exclude_modules": ["lm_head"] } }"#;

fn plan(model: &str) -> String {
    format!(
        "plan p {{ currency = USD }}\nsite cloud {{ provider = aws, region = \"us-east-1\" }}\nmodel m {{ {model} }}\n\
         serve chat {{\n  model = m\n  load  = {{ rate = 5 req/s, prompt = 1 ktok, output = 250 tok }}\n}}\n"
    )
}

#[test]
fn a_folder_of_models_is_read_and_what_is_wrong_does_not_hide_the_others() {
    let place = Place::new();
    place.write("a--b_config.json", LLAMA);
    place.write("a--b_hf_quant_config.json", QUANTISED);
    place.write("x/config.json", LLAMA.replace("\"llama\"", "\"llamoid\""));
    let seen = place.run(&["import", "huggingface", ".", "--output", "json"]).exits(1);
    let read: Value = serde_json::from_str(&seen.out).expect("JSON");
    let models = read["models"].as_array().expect("a list");
    assert_eq!(models.len(), 1);
    let numbers = &models[0]["numbers"];
    assert_eq!(models[0]["model"]["names"][0], "a/b");
    assert_eq!(models[0]["precision_from"], "hf_quant_config.json");
    assert_eq!(numbers["kv_bytes_per_token_bf16"], 131_072.0);
    assert_eq!(numbers["kv_bytes_per_token"], 65_536.0);
    assert!((numbers["params_active_no_input_emb_b"].as_f64().expect("a number") - 7.5049).abs() < 1e-4);
    assert!(seen.err.contains("E0521") && seen.err.contains("llamoid"), "{}", seen.told());
    assert!(seen.err.contains("1 of 2 files are refused"), "{}", seen.told());
}

#[test]
fn rows_that_are_written_are_a_catalog() {
    let place = Place::new();
    place.write("config.json", LLAMA);
    let import = ["import", "huggingface", "config.json", "--as-of", "2026-08-22", "-o", "own.toml"];
    place.run(&import).exits(0);
    assert!(place.read("own.toml").contains("as_of = \"2026-08-22\""));
    place.run(&["catalog", "check", "own.toml"]).exits(0);
    place.run(&["catalog", "show", "model", "--catalog", "own.toml"]).exits(0);
}

#[test]
fn files_that_are_no_configuration_of_a_model_end_with_1() {
    let place = Place::new();
    place.write("cut.json", &LLAMA[..200]);
    place.write(
        "adapter_config.json",
        r#"{ "peft_type": "LORA", "base_model_name_or_path": "meta-llama/Llama-3.1-8B", "r": 16 }"#,
    );
    place.write("binary.json", b"\xff\xfe\x00");
    place.write("large.json", format!("{{ \"a\": \"{}\" }}", "x".repeat(17 << 20)));
    for (file, code) in [
        ("cut.json", "E0520"),
        ("adapter_config.json", "E0525"),
        ("binary.json", "E0501"),
        ("large.json", "E0501"),
        ("none.json", "E0501"),
    ] {
        let seen = place.run(&["import", "huggingface", file]).exits(1);
        assert!(seen.err.contains(code), "{file}: {}", seen.told());
    }
    place.run(&["import", "huggingface", "nowhere/"]).exits(1);
    std::fs::create_dir(place.path("empty")).expect("a folder");
    place.run(&["import", "huggingface", "empty"]).exits(1);
}

#[test]
fn a_plan_names_a_configuration_or_a_model_of_the_catalog() {
    let place = Place::new();
    place.write("m/config.json", LLAMA);
    place.write("file.plan", plan("huggingface = \"m/config.json\""));
    place.write("hub.plan", plan("huggingface = \"meta-llama/Llama-3.1-8B-Instruct\""));
    place.run(&["check", "file.plan"]).exits(0);
    place.run(&["check", "hub.plan"]).exits(0);
    for (model, code) in [
        ("huggingface = \"meta-llama/Llama-9\"", "E0203"),
        ("huggingface = \"none/config.json\"", "E0501"),
        ("huggingface = \"../config.json\"", "E0502"),
        ("huggingface = \"m/config.json\", catalog = llama3_1_8b", "E0211"),
    ] {
        place.write("wrong.plan", plan(model));
        let seen = place.run(&["check", "wrong.plan"]).exits(1);
        assert_eq!(seen.err.matches("error[").count(), 1, "{model}: {}", seen.told());
        assert!(seen.err.contains(code), "{model}: {}", seen.told());
    }
    place.write("m/config.json", LLAMA.replace("4096", "-1"));
    let seen = place.run(&["check", "file.plan"]).exits(1);
    assert!(seen.err.contains("E0522") && seen.err.contains("m/config.json:1"), "{}", seen.told());
}
