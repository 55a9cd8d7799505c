//! The serving simulator on foreign operator tables.

use crate::surroundings::Place;
use capstan_types::testing::data;
use std::fmt::Write;
use std::path::PathBuf;

/// Tables of a machine that takes 1 ms per layer and operator, whatever it does.
fn tables(place: &Place) {
    let columns = "attn_pre_proj_ms,attn_post_proj_ms,attn_rope_ms,input_layernorm_ms,mlp_up_proj_ms,mlp_down_proj_ms,\
                   mlp_act_ms,post_attention_layernorm_ms,add_ms,attn_kv_cache_save_ms";
    let mut by_tokens = format!("num_tokens,{columns}\n");
    (1..=64).for_each(|tokens| by_tokens += &format!("{tokens},1,1,1,1,1,1,1,1,1,1\n"));
    let (mut decode, mut prefill) =
        (String::from("batch_size,kv_cache_size,ms\n"), String::from("kv_cache_size,chunk,ms\n"));
    for kv in [0, 64, 128] {
        (1..=4).for_each(|batch| writeln!(decode, "{batch},{kv},1").expect("a string"));
        (1..=64).for_each(|chunk| writeln!(prefill, "{kv},{chunk},1").expect("a string"));
    }
    place.write("tables/by_tokens.csv", by_tokens);
    place.write("tables/attn_decode.csv", decode);
    place.write("tables/attn_prefill.csv", prefill);
}

fn replay(place: &Place, further: &[&str]) -> crate::surroundings::Seen {
    let mut arguments = vec!["replay", "--op-tables", "tables", "--layers", "1", "--requests", "in.csv"];
    arguments.extend(["--kv-blocks", "100", "--max-batch", "4", "-o", "out.csv"]);
    arguments.extend(further);
    place.run(&arguments)
}

const REQUESTS: &str = "arrived_at_s,num_prefill_tokens,num_decode_tokens\n0.5,10,3\n0.75,20,1\n";

#[test]
fn each_request_is_followed_to_its_last_token() {
    let place = Place::new();
    tables(&place);
    place.write("in.csv", REQUESTS);
    for scheduler in ["sarathi:32", "vllm"] {
        let seen =
            replay(&place, &["--scheduler", scheduler, "--max-prefill-tokens", "64", "--stats", "s.json"]);
        assert_eq!(seen.exits(0).err, "");
        // A step takes 10 operators and attention, 1 ms each.
        let expect = "arrived_at_s,num_prefill_tokens,num_decode_tokens,scheduled_at_s,first_token_at_s,\
                      completed_at_s,num_restarts\n0.5,10,3,0.500000000,0.511000000,0.533000000,0\n\
                      0.75,20,1,0.750000000,0.761000000,0.761000000,0\n";
        assert_eq!(place.read("out.csv"), expect);
        let stats: serde_json::Value = serde_json::from_str(&place.read("s.json")).expect("JSON");
        assert_eq!((&stats["requests"], &stats["iterations"]), (&2.into(), &4.into()));
    }
}

#[test]
fn what_lies_beyond_the_tables_is_warned_of() {
    let place = Place::new();
    tables(&place);
    place.write("in.csv", REQUESTS.replace("10,3", "10,300"));
    let seen = replay(&place, &["--scheduler", "sarathi:32"]).exits(0);
    assert!(seen.err.starts_with("warning: the longest request, of 310 tokens,"), "{}", seen.told());
}

#[test]
fn requests_that_cannot_be_served_are_counted_and_the_others_are_served() {
    let place = Place::new();
    tables(&place);
    place.write("in.csv", format!("{REQUESTS}1,5000,5\n1,9000,9\n"));
    let seen = replay(&place, &["--scheduler", "sarathi:32", "--stats", "s.json"]).exits(0);
    let told = "warning: 2 of 4 requests cannot be served: prompt and output are more than the KV cache";
    assert!(seen.err.starts_with(told), "{}", seen.told());
    let stats: serde_json::Value = serde_json::from_str(&place.read("s.json")).expect("JSON");
    assert_eq!((&stats["requests"], &stats["rejected"]), (&4.into(), &2.into()));
    assert!(place.read("out.csv").ends_with("1,5000,5,,,,0\n1,9000,9,,,,0\n"));
}

#[test]
fn prompts_with_hashes_are_read_once() {
    let place = Place::new();
    tables(&place);
    let header = "arrived_at_s,num_prefill_tokens,num_decode_tokens,block_hash_ids\n";
    place.write("in.csv", format!("{header}0,33,1,1 2\n1,33,1,1 2\n2,33,1,1 9\n"));
    let asked =
        ["--scheduler", "vllm-v1:32", "--prefix-block", "16", "--router", "prefix", "--stats", "s.json"];
    replay(&place, &asked).exits(0);
    // 33 tokens are two steps; where 32 or 16 of them are known, one.
    let first: Vec<String> = place
        .read("out.csv")
        .lines()
        .skip(1)
        .map(|row| row.split(',').nth(4).expect("a time").to_owned())
        .collect();
    assert_eq!(first, ["0.022000000", "1.011000000", "2.011000000"]);
    let stats: serde_json::Value = serde_json::from_str(&place.read("s.json")).expect("JSON");
    assert_eq!(stats["reused_tokens"], 48);
    let wrong = ["--scheduler", "sarathi:32", "--prefix-block", "16"];
    let seen = replay(&place, &wrong).exits(64);
    assert!(seen.err.contains("vLLM's scheduler"), "{}", seen.told());
    place.write("in.csv", format!("{header}0,33,1,1 x\n"));
    let seen = replay(&place, &asked).exits(1);
    assert!(seen.err.contains("`x` of `block_hash_ids` is no whole number"), "{}", seen.told());
}

#[test]
fn bad_tables_and_requests_are_named_and_leave_nothing() {
    let place = Place::new();
    tables(&place);
    place.write("in.csv", "a,b\n1,2\n");
    let seen = replay(&place, &["--scheduler", "vllm"]).exits(1);
    assert!(seen.err.contains("no column `arrived_at_s`"), "{}", seen.told());
    place.write("in.csv", REQUESTS);
    place.write("tables/attn_decode.csv", "batch_size,ms\n");
    let seen = replay(&place, &["--scheduler", "vllm"]).exits(1);
    assert!(seen.err.contains("the table `attn_decode` has no column `kv_cache_size`"), "{}", seen.told());
    std::fs::remove_file(place.path("tables/by_tokens.csv")).expect("removed");
    let seen = replay(&place, &["--scheduler", "vllm"]).exits(1);
    assert!(seen.err.contains("cannot read `tables/by_tokens.csv`"), "{}", seen.told());
    assert_eq!(place.names(), ["in.csv", "tables"]);
}

#[test]
fn what_cannot_be_is_refused_on_the_command_line() {
    let place = Place::new();
    for further in [
        &["--scheduler", "fifo"][..],
        &["--scheduler", "sarathi:0"],
        &["--scheduler", "vllm", "--replicas", "0"],
        &["--scheduler", "vllm", "--pipeline", "2"],
    ] {
        let mut all = further.to_vec();
        tables(&place);
        place.write("in.csv", REQUESTS);
        all.extend(["--router", "round-robin"]);
        replay(&place, &all).exits(64);
    }
}

/// Vidur's own runs, row by row. Rules: data/vidur-profiles/README.md.
#[test]
fn vidurs_runs_are_reproduced_through_the_command_line() {
    let Some(data) = data() else { return };
    let profiles = data.join("vidur-profiles");
    let runs =
        [("R2_cl34_a100_tp2_vllm_q2", "vllm", 18_044), ("R3_cl34_a100_tp2_sar512_q2", "sarathi:512", 19_678)];
    for (run, scheduler, iterations) in runs {
        let place = Place::new();
        let packed = profiles.join(format!("reference-runs/{run}.requests.csv.gz"));
        let tables = profiles.join("op-tables/codellama-34b_a100_tp2");
        let mut program = place.program();
        program.args(["replay", "--layers", "48", "--scheduler", scheduler, "--kv-blocks", "27904"]);
        program.arg("--op-tables").arg(&tables).arg("--requests").arg(&packed);
        program.args(["--block-size", "16", "--max-batch", "128", "-o", "out.csv", "--stats", "s.json"]);
        assert!(program.output().expect("it runs").status.success());
        let stats: serde_json::Value = serde_json::from_str(&place.read("s.json")).expect("JSON");
        assert_eq!(stats["iterations"], iterations);
        let (ours, theirs) = (rows(place.read("out.csv").as_bytes()), rows(&unpacked(&packed)));
        assert_eq!((ours.len(), theirs.len()), (2_048, 2_048));
        for (ours, theirs) in ours.iter().zip(&theirs) {
            for (ours, theirs) in ours.iter().zip(theirs) {
                // Ours are whole nanoseconds; theirs are sums of doubles.
                assert!((ours - theirs).abs() < 1e-6, "{run}: {ours} is not {theirs}");
            }
        }
    }
}

fn unpacked(path: &PathBuf) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).expect("the run is there");
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(file), &mut bytes).expect("gzip");
    bytes
}

fn rows(bytes: &[u8]) -> Vec<Vec<f64>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let numbers =
        |record: csv::StringRecord| record.iter().map(|cell| cell.parse().expect("a number")).collect();
    reader.records().map(|record| numbers(record.expect("a row"))).collect()
}
