//! Configurations of models: every published one of the reference data, and everything that can be wrong with one.

use std::collections::BTreeMap;
use std::path::PathBuf;

use capstan_lang::catalog::load;
use capstan_lang::codes;
use capstan_lang::import::{ConfigText, Imported, catalog_row, huggingface};
use capstan_types::hardware::Precision;
use capstan_types::model::Model;
use capstan_types::place::FileId;
use capstan_types::testing;

/// Returns the folder of reference data, or `None` (saying so) where the test may be skipped.
fn data() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find the data through the environment")]
    let (data, required) = (std::env::var("CAPSTAN_DATA"), std::env::var("CAPSTAN_REQUIRE"));
    if let Ok(path) = data {
        return Some(PathBuf::from(path));
    }
    assert!(!required.unwrap_or_default().contains("data"), "CAPSTAN_DATA is required here");
    println!("skipped: needs CAPSTAN_DATA");
    None
}

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

#[test]
fn show() {
    let Some(all) = published() else { return };
    for (name, one) in &all {
        match &one.model {
            Some(m) => println!("{name}: {:.4} {:.4} kv {} idx {} state {} tower {:.3} mtp {:.3} ctx {} {:?} {:?}", m.params_total_b, m.params_active_b,
                m.kv_bytes_per_token(Precision::Bf16).get(), m.index_bytes_per_token().get(), m.state_bytes().get(), m.tower_b, m.speculation_b, m.context, m.published, m.stored),
            None => println!("{name}: NONE"),
        }
        for d in &one.diagnostics { println!("     {} {}", d.code, d.message); }
    }
}
