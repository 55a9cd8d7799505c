//! Reads a plan many times over and says how fast: `cargo run --release --example parse_speed`.

use std::time::Instant;

use capstan_lang::parse;
use capstan_types::place::FileId;

fn main() {
    let sample = include_str!("../tests/examples/chat_and_pretrain.plan");
    let text = sample.repeat(1_000_000 / sample.len());
    let file = FileId::new("sample.plan");
    let mut best = f64::MAX;
    for _ in 0..50 {
        let start = Instant::now();
        let parsed = parse(&file, &text);
        best = best.min(start.elapsed().as_secs_f64());
        assert!(parsed.is_clean());
    }
    println!("{:.1} ms for 1 MB, {:.0} MB/s", best * 1e3, 1.0 / best);
}
