//! Configurations of models: every published one of the reference data, and everything that can be wrong with one.

use std::collections::BTreeMap;

use capstan_lang::catalog::load;
use capstan_lang::codes;
use capstan_lang::import::{ConfigText, Imported, catalog_row, huggingface};
use capstan_types::hardware::Precision;
use capstan_types::model::{Model, Stored};
use capstan_types::place::FileId;
use capstan_types::testing::{self, data};

fn read(text: &str, beside: Option<&str>) -> Imported {
    let (file, other) = (FileId::new("config.json"), FileId::new("hf_quant_config.json"));
    let own = ConfigText { file: &file, text };
    let beside = beside.map(|text| ConfigText { file: &other, text });
    huggingface(own, beside, "m", testing::provenance())
}

/// Returns every configuration of the reference data by the name of its model.
fn published() -> Option<BTreeMap<String, Imported>> {
    let folder = data()?.join("hf-configs");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with("_config.json") && !name.ends_with("_hf_quant_config.json"))
        .collect();
    names.sort();
    let model = |name: &String| {
        let stem = name.trim_end_matches("_config.json");
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let beside = std::fs::read_to_string(folder.join(format!("{stem}_hf_quant_config.json"))).ok();
        (stem.replace("--", "/"), read(&text, beside.as_deref()))
    };
    Some(names.iter().map(model).collect())
}

fn model(imported: &Imported) -> &Model {
    imported.model.as_ref().unwrap_or_else(|| panic!("{:?}", imported.diagnostics))
}

/// Says whether two numbers agree within a share of the second.
fn close(found: f64, wanted: f64, share: f64) -> bool {
    (found / wanted - 1.0).abs() <= share
}

#[test]
fn every_published_configuration_is_read() {
    let Some(all) = published() else { return };
    assert!(all.len() >= 69, "{}", all.len());
    for (name, imported) in &all {
        assert_eq!(imported.diagnostics, [], "{name}");
        let model = model(imported);
        // Names say how large a model is: `235B-A22B`, `397B-A17B`, `405B`.
        let sizes = name.split(['-', '_']).filter_map(|part| part.strip_suffix('B')?.parse::<f64>().ok());
        for size in sizes {
            let all = model.params_total_b + model.tower_b;
            assert!(close(all, size, 0.11), "{name}: {all}");
        }
    }
}

#[test]
fn parameters_and_cache_agree_with_the_reference() {
    let Some(all) = published() else { return };
    let text = std::fs::read_to_string(data().unwrap().join("models.csv")).unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    let mut compared = 0;
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        let Some(imported) = all.get(cells[at("hf")]) else { continue };
        let (name, model) = (cells[at("id")], model(imported));
        let number = |column: &str| cells[at(column)].parse::<f64>().unwrap();
        assert!(close(model.params_total_b, number("pub_total_b"), 0.01), "{name}: {}", model.params_total_b);
        let [active, without] = [model.params_active_b, model.active_params_without_input_b()];
        assert!(close(active, number("params_active_b"), 0.001), "{name}: {active}");
        assert!(close(without, number("params_active_no_input_emb_b"), 0.001), "{name}: {without}");
        let cache = model.kv_bytes_per_token(Precision::Bf16).get();
        assert_eq!(cache, number("kv_bytes_per_token_bf16"), "{name}");
        let window = model.window.map_or(0.0, |window| f64::from(window.layers));
        assert_eq!(window, number("window_layers"), "{name}");
        compared += 1;
    }
    assert!(compared >= 14, "only {compared} models of the reference have a configuration here");
}

#[test]
fn precision_is_found_wherever_it_is_written() {
    let Some(all) = published() else { return };
    let stored = |name: &str| {
        let model = model(&all[name]);
        let parts = model.stored.unwrap_or(Stored::uniform(model.published));
        let words = [parts.attention, parts.output, parts.dense, parts.experts].map(Precision::word);
        (words, parts.cache.map(Precision::word), all[name].precision_from)
    };
    let everywhere = |word: &'static str| [word; 4];
    assert_eq!(stored("Qwen/Qwen3-32B"), (everywhere("bf16"), None, "torch_dtype"));
    assert_eq!(stored("deepseek-ai/DeepSeek-V3"), (everywhere("fp8_block"), None, "quantization_config"));
    let beside = "hf_quant_config.json";
    assert_eq!(stored("nvidia/Llama-3.1-70B-Instruct-FP8"), (everywhere("fp8"), Some("fp8"), beside));
    let only = |word: &'static str| ["bf16", "bf16", "bf16", word];
    // Attention stays in 16 bits but for its last projection; shared experts do not.
    let deepseek = ["bf16", "nvfp4", "nvfp4", "nvfp4"];
    assert_eq!(stored("nvidia/DeepSeek-V3.1-NVFP4"), (deepseek, Some("fp8"), beside));
    assert_eq!(stored("moonshotai/Kimi-K2.5"), (only("int4"), None, "quantization_config"));
    assert_eq!(stored("nvidia/GLM-5.1-NVFP4"), (only("nvfp4"), Some("fp8"), "quantization_config"));
    let four = ["bf16", "bf16", "mxfp4", "mxfp4"];
    assert_eq!(stored("openai/gpt-oss-120b"), (four, None, "quantization_config"));
    let mixed = |word: &'static str| ["fp8_block", "fp8_block", "fp8_block", word];
    assert_eq!(stored("deepseek-ai/DeepSeek-V4-Pro"), (mixed("mxfp4"), None, "quantization_config"));
    assert_eq!(stored("nvidia/DeepSeek-V4-Pro-NVFP4"), (mixed("nvfp4"), None, "quantization_config"));
    let super_fp8 = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-FP8";
    assert_eq!(stored(super_fp8), (everywhere("fp8"), Some("fp8"), beside));
}

#[test]
fn what_one_request_keeps_is_apart_from_what_a_token_adds() {
    let Some(all) = published() else { return };
    let of = |name: &str| model(&all[name]);
    // 16 of 64 layers have a cache: 16 · 4 · 256 · 2 · 2 bytes; 48 keep 48 · 128 · 128 values and three inputs.
    let qwen = of("Qwen/Qwen3.5-27B");
    assert_eq!(qwen.kv_bytes_per_token(Precision::Bf16).get(), 65_536.0);
    let conv = 2.0 * 3.0 * (2.0 * 16.0 * 128.0 + 48.0 * 128.0);
    assert_eq!(qwen.state_bytes().get(), 48.0 * (4.0 * 48.0 * 128.0 * 128.0 + conv));
    // Six of 52 layers have a cache.
    let nemotron = of("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16");
    assert_eq!(nemotron.kv_bytes_per_token(Precision::Bf16).get(), 6.0 * 2.0 * 2.0 * 128.0 * 2.0);
    assert!(nemotron.state_bytes().get() > 0.0);
    assert!(close(nemotron.params_active_b, 3.6, 0.05), "{}", nemotron.params_active_b);
    // A window of 128 tokens on all layers beside 21 vectors per 4 tokens and 20 per 128.
    let flash = of("deepseek-ai/DeepSeek-V4-Flash");
    assert_eq!(flash.kv_bytes_per_token(Precision::Fp8).get(), 512.0 * (21.0 / 4.0 + 20.0 / 128.0));
    assert_eq!(flash.window_bytes(Precision::Fp8).get(), 43.0 * 128.0 * 512.0);
    assert!(close(flash.params_total_b, 284.0, 0.01) && close(flash.params_active_b, 13.0, 0.07));
    // Three of four GLM-5.2 layers use the indexer of the layer before.
    assert_eq!(of("zai-org/GLM-5.2-FP8").indexer.unwrap().layers, 21);
    assert_eq!(of("nvidia/DeepSeek-V3.2-NVFP4").index_bytes_per_token().get(), 61.0 * 132.0);
    assert!(of("Qwen/Qwen3-VL-32B-Instruct").tower_b > 0.4);
    // The checkpoint of 685 billion holds, beside the model, one layer and its own copy of both tables.
    let deepseek = of("deepseek-ai/DeepSeek-V3");
    assert!(close(deepseek.params_total_b + deepseek.speculation_b + 1.85, 684.5, 0.002));
}

#[test]
fn a_row_reads_back_as_the_model_that_was_written() {
    let Some(all) = published() else { return };
    for (name, imported) in &all {
        let mut model = model(imported).clone();
        model.names = vec![name.clone()];
        let text = catalog_row(&model);
        let (catalog, mistakes) = load(&[("own.toml", &text)]);
        assert_eq!(mistakes, [], "{name}\n{text}");
        let back = &catalog.models[0];
        assert!((back.params_total_b - model.params_total_b).abs() < 1e-4, "{name}");
        let rounded = |model: &Model| {
            let mut model = model.clone();
            for value in [
                &mut model.params_total_b,
                &mut model.params_active_b,
                &mut model.tower_b,
                &mut model.speculation_b,
            ] {
                *value = (*value * 1e4).round();
            }
            model
        };
        assert_eq!(rounded(back), rounded(&model), "{name}");
    }
}

const LLAMA: &str = r#"{ "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 4096,
  "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8,
  "max_position_embeddings": 131072, "vocab_size": 128256, "tie_word_embeddings": false, "torch_dtype": "bfloat16" }"#;

/// Returns the code and message of the only mistake in a text.
fn mistake(text: &str) -> (String, String) {
    let imported = read(text, None);
    assert!(imported.model.is_none(), "{text}");
    let [one] = &imported.diagnostics[..] else { panic!("{:#?}", imported.diagnostics) };
    assert!(one.place.span().start as usize <= text.len());
    (one.code.to_string(), one.message.clone())
}

/// What is changed in the configuration, into what, and how the mistake is named.
const MISTAKES: &[(&str, &str, capstan_lang::Code, &str)] = &[
    ("\"llama\"", "\"llamoid\"", codes::CONFIG_UNKNOWN, "`model_type` is `llamoid`"),
    (
        "\"num_key_value_heads\": 8",
        "\"num_key_value_heads\": 64",
        codes::CONFIG_CONTRADICTION,
        "64 key-value heads",
    ),
    (
        "\"num_key_value_heads\": 8",
        "\"num_key_value_heads\": 5",
        codes::CONFIG_CONTRADICTION,
        "5 key-value heads",
    ),
    ("\"hidden_size\": 4096", "\"hidden_size\": 4097", codes::CONFIG_CONTRADICTION, "32 heads do not divide"),
    ("\"hidden_size\": 4096", "\"hidden_size\": -4096", codes::CONFIG_VALUE, "`hidden_size` cannot be -4096"),
    ("\"hidden_size\": 4096", "\"hidden_size\": \"4096\"", codes::CONFIG_VALUE, "`hidden_size` is a text"),
    ("\"hidden_size\": 4096", "\"hidden_size\": 1e300", codes::CONFIG_VALUE, "`hidden_size` cannot be"),
    ("\"hidden_size\": 4096", "\"hidden_size\": 40.5", codes::CONFIG_VALUE, "`hidden_size` cannot be 40.5"),
    ("\"hidden_size\": 4096", "\"hidden_size\": null", codes::CONFIG_MISSING, "`hidden_size` is missing"),
    (
        "\"num_hidden_layers\": 32",
        "\"num_hidden_layers\": 0",
        codes::CONFIG_VALUE,
        "`num_hidden_layers` cannot be 0",
    ),
    ("\"bfloat16\"", "\"bfloat17\"", codes::CONFIG_UNKNOWN, "`torch_dtype` holds `bfloat17`"),
    ("\"torch_dtype\"", "\"hyper_heads\": 3, \"torch_dtype\"", codes::CONFIG_UNKNOWN, "`hyper_heads`"),
    (
        "\"torch_dtype\"",
        "\"layer_types\": [\"full_attention\"], \"torch_dtype\"",
        codes::CONFIG_CONTRADICTION,
        "`layer_types` lists 1",
    ),
    (
        "\"torch_dtype\"",
        "\"quantization_config\": {\"quant_method\": \"magic\"}, \"torch_dtype\"",
        codes::CONFIG_UNKNOWN,
        "`magic`",
    ),
    ("\"vocab_size\"", "\"hidden_size\": 1, \"vocab_size\"", codes::CONFIG_NOT_JSON, "stands twice"),
    (
        "\"architectures\"",
        "\"peft_type\": \"LORA\", \"architectures\"",
        codes::CONFIG_ADAPTER,
        "of an adapter",
    ),
];

#[test]
fn a_mistake_is_named_with_its_field() {
    assert!(close(model(&read(LLAMA, None)).params_total_b, 8.0303, 1e-4));
    let with = |from: &str, to: &str| {
        assert!(LLAMA.contains(from), "{from}");
        mistake(&LLAMA.replace(from, to))
    };
    for &(from, to, code, named) in MISTAKES {
        let (found, message) = with(from, to);
        assert_eq!(found, code.to_string(), "{to}: {message}");
        assert!(message.contains(named), "{to}: {message}");
    }
}

#[test]
fn the_context_of_yarn_is_the_factor_times_the_original() {
    let with = |context: &str, scaling: &str| {
        let text = format!("{{ \"max_position_embeddings\": {context}, \"rope_scaling\": {scaling},");
        let plain = LLAMA.replace("\"max_position_embeddings\"", "\"was\"").replacen('{', &text, 1);
        model(&read(&plain, None)).context
    };
    let yarn = r#"{ "rope_type": "yarn", "factor": 4.0 }"#;
    assert_eq!(with("32768", yarn), 131_072);
    let original = r#"{ "type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768 }"#;
    assert_eq!((with("40960", original), with("131072", original)), (131_072, 131_072));
    let llama = r#"{ "rope_type": "llama3", "factor": 8.0, "original_max_position_embeddings": 8192 }"#;
    assert_eq!((with("131072", llama), with("8192", "null")), (131_072, 8192));
}

#[test]
fn widths_that_nobody_can_tell_apart_or_place_are_refused() {
    let with = |quantization: &str| {
        let text = format!("{{ \"quantization_config\": {quantization},");
        LLAMA.replacen('{', &text, 1)
    };
    let (_, message) = mistake(&with(r#"{ "bits": 4, "group_size": 128 }"#));
    assert!(message.contains("`bits`: `without quant_method`"), "{message}");
    let groups = |second: u32| {
        with(&format!(
            r#"{{ "quant_method": "compressed-tensors", "config_groups": {{
            "group_0": {{ "targets": ["re:.*self_attn.*"], "weights": {{ "num_bits": 4, "type": "int" }} }},
            "group_1": {{ "targets": ["re:.*mlp.*"], "weights": {{ "num_bits": {second}, "type": "int" }} }} }} }}"#
        ))
    };
    assert_eq!(model(&read(&groups(4), None)).published, Precision::Int4);
    let (_, message) = mistake(&groups(8));
    assert!(message.contains("`config_groups`"), "{message}");
}

#[test]
fn a_text_that_is_cut_off_is_refused_and_nothing_panics() {
    for end in (0..LLAMA.len()).filter(|&end| LLAMA.is_char_boundary(end)) {
        let imported = read(&LLAMA[..end], None);
        assert!(imported.model.is_none());
        assert_eq!(imported.diagnostics[0].code, codes::CONFIG_NOT_JSON);
    }
    for text in ["[]", "3", "null", "{}", "{\"model_type\": 3}", "{\"model_type\": \"llama\"}"] {
        assert!(read(text, Some("{\"quantization\": 3}")).model.is_none(), "{text}");
    }
    let adapter = r#"{"base_model_name_or_path": "meta-llama/Llama-3.1-8B", "peft_type": "LORA", "r": 16}"#;
    assert_eq!(mistake(adapter).0, codes::CONFIG_ADAPTER.to_string());
}

/// Configurations of architectures that the reference data has sizes of but no file: (fields, id in `models.csv`).
const WRITTEN: &[(&str, &str)] = &[
    (
        r#""model_type": "qwen2", "hidden_size": 3584, "intermediate_size": 18944, "num_attention_heads": 28, "num_hidden_layers": 28,
        "num_key_value_heads": 4, "max_position_embeddings": 131072, "max_window_layers": 28, "sliding_window": 131072,
        "use_sliding_window": false, "vocab_size": 152064, "tie_word_embeddings": false"#,
        "qwen2.5-7b",
    ),
    (
        r#""model_type": "mistral", "hidden_size": 4096, "intermediate_size": 14336, "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "max_position_embeddings": 4096, "sliding_window": 4096, "vocab_size": 32000"#,
        "mistral-7b-v0.1",
    ),
    (
        r#""model_type": "gemma2", "hidden_size": 4608, "intermediate_size": 36864, "num_attention_heads": 32, "num_hidden_layers": 46,
        "num_key_value_heads": 16, "head_dim": 128, "query_pre_attn_scalar": 144, "sliding_window": 4096,
        "max_position_embeddings": 8192, "vocab_size": 256000"#,
        "gemma2-27b",
    ),
    (
        r#""model_type": "gemma3", "text_config": { "model_type": "gemma3_text", "hidden_size": 3840, "intermediate_size": 15360,
        "num_attention_heads": 16, "num_hidden_layers": 48, "num_key_value_heads": 8, "sliding_window": 1024 }"#,
        "gemma3-12b",
    ),
    (
        r#""model_type": "phi3", "hidden_size": 5120, "intermediate_size": 17920, "num_attention_heads": 40, "num_hidden_layers": 40,
        "num_key_value_heads": 10, "max_position_embeddings": 16384, "sliding_window": null, "vocab_size": 100352"#,
        "phi4",
    ),
    (
        r#""model_type": "falcon", "hidden_size": 8192, "num_attention_heads": 128, "num_hidden_layers": 60, "num_kv_heads": 8,
        "new_decoder_architecture": true, "multi_query": true, "parallel_attn": true, "bias": false, "alibi": false,
        "vocab_size": 65024, "ffn_hidden_size": 32768"#,
        "falcon-40b",
    ),
    (
        r#""model_type": "opt", "hidden_size": 7168, "ffn_dim": 28672, "num_attention_heads": 56, "num_hidden_layers": 48,
        "max_position_embeddings": 2048, "vocab_size": 50272, "word_embed_proj_dim": 7168"#,
        "opt-30b",
    ),
    (
        r#""model_type": "bloom", "n_embed": 14336, "n_layer": 70, "num_attention_heads": 112, "seq_length": 2048,
        "vocab_size": 250880"#,
        "bloom-176b",
    ),
    (
        r#""model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_inner": null, "n_layer": 28, "n_positions": 2048, "rotary_dim": 64,
        "vocab_size": 50400, "tie_word_embeddings": false"#,
        "gpt-j-6b",
    ),
    (
        r#""model_type": "chatglm", "hidden_size": 4096, "ffn_hidden_size": 13696, "num_attention_heads": 32, "num_layers": 40,
        "multi_query_attention": true, "multi_query_group_num": 2, "kv_channels": 128, "add_qkv_bias": true,
        "add_bias_linear": false, "seq_length": 131072, "padded_vocab_size": 151552, "vocab_size": 151552"#,
        "glm-4-9b",
    ),
    (
        r#""model_type": "llama4", "text_config": { "model_type": "llama4_text", "attention_chunk_size": 8192, "head_dim": 128,
        "hidden_size": 5120, "interleave_moe_layer_step": 2, "intermediate_size": 8192, "intermediate_size_mlp": 16384,
        "num_attention_heads": 40, "num_experts_per_tok": 1, "num_hidden_layers": 48, "num_key_value_heads": 8,
        "num_local_experts": 128, "max_position_embeddings": 1048576, "use_qk_norm": false, "vocab_size": 202048 }"#,
        "llama4-maverick",
    ),
    (
        r#""model_type": "deepseek_v2", "hidden_size": 2048, "intermediate_size": 10944, "kv_lora_rank": 512, "q_lora_rank": null,
        "moe_intermediate_size": 1408, "moe_layer_freq": 1, "first_k_dense_replace": 1, "n_routed_experts": 64, "n_shared_experts": 2,
        "num_attention_heads": 16, "num_experts_per_tok": 6, "num_hidden_layers": 27, "num_key_value_heads": 16,
        "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "max_position_embeddings": 163840,
        "vocab_size": 102400"#,
        "deepseek-v2-lite",
    ),
    (
        r#""model_type": "glm4_moe", "attention_bias": true, "first_k_dense_replace": 3, "head_dim": 128, "hidden_size": 5120,
        "intermediate_size": 12288, "moe_intermediate_size": 1536, "n_routed_experts": 160, "n_shared_experts": 1,
        "num_attention_heads": 96, "num_experts_per_tok": 8, "num_hidden_layers": 92, "num_key_value_heads": 8,
        "max_position_embeddings": 131072, "use_qk_norm": true, "vocab_size": 151552, "num_nextn_predict_layers": 1"#,
        "glm-4.5",
    ),
];

#[test]
fn architectures_without_a_file_agree_with_the_reference() {
    let Some(folder) = data() else { return };
    let text = std::fs::read_to_string(folder.join("models.csv")).unwrap();
    let columns: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let at = |name: &str| columns.iter().position(|column| *column == name).unwrap();
    for (fields, id) in WRITTEN {
        let imported = read(&format!("{{ {fields} }}"), None);
        let (model, row) =
            (model(&imported), text.lines().find(|line| line.starts_with(&format!("{id},"))).unwrap());
        let cells: Vec<&str> = row.split(',').collect();
        let number = |column: &str| cells[at(column)].parse::<f64>().unwrap();
        assert!(
            close(model.params_total_b, number("params_total_b"), 1e-3),
            "{id}: {}",
            model.params_total_b
        );
        assert!(
            close(model.params_active_b, number("params_active_b"), 1e-3),
            "{id}: {}",
            model.params_active_b
        );
        assert_eq!(
            model.kv_bytes_per_token(Precision::Bf16).get(),
            number("kv_bytes_per_token_bf16"),
            "{id}"
        );
        let window = model.window.map_or(0.0, |window| f64::from(window.layers));
        assert_eq!(window, number("window_layers"), "{id}");
    }
}
