//! Tables of any quality: what is wrong in one row is said in that row, and the others still come out.

use capstan_sim::tables::{Kind, TableError, price};
use capstan_types::hardware::{Accelerator, Precision};
use capstan_types::testing;

const HEADER: &str =
    "model,accelerator,engine,precision,gpus,tp,input_tokens,output_tokens,concurrency,length_spread";

fn priced(table: &str) -> Vec<csv::StringRecord> {
    let mut out = Vec::new();
    price(Kind::ServingLatency, table.as_bytes(), &testing::catalog(), &mut out).unwrap();
    csv::Reader::from_reader(out.as_slice()).records().map(Result::unwrap).collect()
}

fn rejection(row: &str) -> String {
    let records = priced(&format!("{HEADER}\n{row}\n"));
    assert_eq!(records.len(), 1);
    records[0].iter().next_back().unwrap().to_owned()
}

fn number(record: &csv::StringRecord, place: usize) -> f64 {
    record[HEADER.split(',').count() + place].parse().unwrap()
}

#[test]
fn a_good_row_has_both_times_inside_their_intervals() {
    let records = priced(&format!("{HEADER}\nllama3.1-70b,h100_sxm,vllm,bf16,4,4,1024,256,8,fixed\n"));
    let at = |place| number(&records[0], place);
    assert!(at(1) < at(0) && at(0) < at(2) && at(4) < at(3) && at(3) < at(5), "{records:?}");
    // Four cards read 141 GB of weights: 10.5 ms at the full bandwidth of 3.35 TB/s each.
    assert!(at(3) > 10.5 && at(3) < 25.0, "{}", at(3));
}

#[test]
fn every_kind_of_mistake_has_its_words() {
    for (row, words) in [
        ("llama-9,h100_sxm,vllm,bf16,1,1,100,10,1,fixed", "the catalog knows no model `llama-9`"),
        ("llama3.1-8b,abacus,vllm,bf16,1,1,100,10,1,fixed", "the catalog knows no accelerator `abacus`"),
        ("llama3.1-8b,h100_sxm,ollama,bf16,1,1,100,10,1,fixed", "the catalog knows no engine `ollama`"),
        ("llama3.1-8b,h100_sxm,vllm,fp7,1,1,100,10,1,fixed", "the catalog knows no precision `fp7`"),
        ("llama3.1-8b,h100_sxm,vllm,bf16,1,1,0,10,1,fixed", "input_tokens is `0`, which is no whole number"),
        ("llama3.1-8b,h100_sxm,vllm,bf16,1,1,100,-3,1,fixed", "output_tokens is `-3`"),
        ("llama3.1-8b,h100_sxm,vllm,bf16,1,1,100,10,,fixed", "concurrency is empty"),
        ("llama3.1-8b,h100_sxm,vllm,bf16,3,3,100,10,1,fixed", "32 heads do not divide into 3"),
        ("llama3.1-8b,h100_sxm,vllm,bf16,1,1,900000,10,1,fixed", "is longer than the context of"),
        ("llama3.1-70b,h100_sxm,vllm,bf16,1,1,100,10,1,fixed", "GiB per accelerator where"),
        ("llama3.1-8b,h100_sxm,vllm,bf16,32,32,100,10,1,fixed", "32 ranks are more than the 8 accelerators"),
        ("llama3.1-8b,h100_sxm,vllm,bf16,1,1,100,10,1e30,fixed", "concurrency is `1e30`"),
        ("llama3.1-8b,h100_sxm,vllm", "has 3 cells where the header has 10"),
        (",,,,,,,,,", "model is empty"),
    ] {
        let said = rejection(row);
        assert!(said.contains(words), "{row}: {said}");
    }
}

#[test]
fn a_bad_row_keeps_its_place_between_good_ones() {
    let good = "llama3.1-8b,h100_sxm,vllm,bf16,1,1,100,10,2,fixed";
    let records = priced(&format!("{HEADER}\n{good}\nllama-9,x,y,z,1,1,1,1,1,\n{good}\n"));
    assert_eq!(records.len(), 3);
    assert_eq!(records[0], records[2]);
    assert_eq!(&records[1][0], "llama-9");
}

#[test]
fn a_header_alone_gives_a_header_alone() {
    let mut out = Vec::new();
    let catalog = testing::catalog();
    let priced = price(Kind::ServingLatency, HEADER.as_bytes(), &catalog, &mut out).unwrap();
    assert_eq!((priced.rows, priced.rejected), (0, 0));
    let text = String::from_utf8(out).unwrap();
    assert!(text.starts_with(HEADER) && text.trim_end().ends_with("origin,rejection"), "{text}");
}

#[test]
fn a_table_without_a_needed_column_is_refused_as_a_whole() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_word(kind.word()), Some(kind));
        let refused = price(kind, "model,colour\na,b\n".as_bytes(), &testing::catalog(), Vec::new());
        let Err(TableError::MissingColumns { missing, .. }) = refused else {
            panic!("{kind:?}: {refused:?}")
        };
        assert!(!missing.is_empty() && missing.iter().all(|name| name != "model"));
    }
}

#[test]
fn the_bytes_do_not_depend_on_the_number_of_threads() {
    let rows: String = (1..40)
        .map(|clients| format!("llama3.1-8b,h100_sxm,vllm,bf16,1,1,200,20,{clients},uniform 0.8-1.0\n"))
        .collect();
    let table = format!("{HEADER}\n{rows}");
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| priced(&table))
    };
    assert_eq!(with(1), with(4));
}

fn said(kind: Kind, table: &str) -> Vec<String> {
    let mut out = Vec::new();
    price(kind, table.as_bytes(), &testing::catalog(), &mut out).unwrap();
    let records: Vec<_> = csv::Reader::from_reader(out.as_slice()).records().map(Result::unwrap).collect();
    records.iter().map(|record| record.iter().next_back().unwrap().to_owned()).collect()
}

#[test]
fn a_training_row_that_nothing_can_run_is_rejected_with_its_reason() {
    const HEADER: &str = "model,gpu,n_gpus,gbs,mbs,seq,precision,tp,pp,ep";
    for (row, words) in [
        ("llama3_1_8b,h100_sxm,8,128,1,4096,BF16,2,1,", ""),
        ("mixtral_8x7b,h100_sxm,64,256,1,4096,BF16,1,4,8", ""),
        (
            "llama3_1_8b,h100_sxm,9,144,1,4096,BF16,1,1,",
            "9 accelerators are no whole number of machines with 8",
        ),
        ("llama3_1_8b,h100_sxm,8,128,1,4096,BF16,2,1,4", "no experts to deal out to 4"),
        (
            "mixtral_8x7b,h100_sxm,64,256,1,4096,BF16,1,4,3",
            "8 experts do not divide into 3 expert-parallel ranks",
        ),
        (
            "mixtral_8x7b,h100_sxm,64,256,1,4096,BF16,1,4,16",
            "8 experts do not divide into 16 expert-parallel ranks",
        ),
        ("llama3_1_8b,h100_sxm,24,144,1,4096,BF16,3,1,", "32 heads do not divide into 3"),
        (
            "llama3_1_8b,h100_sxm,8,127,1,4096,BF16,2,1,",
            "127 sequences cannot be shared out evenly among 4 data-parallel ranks; 124 can",
        ),
        ("llama3_1_8b,h100_sxm,64,128,1,4096,BF16,1,64,", "32 layers do not fill 64 pipeline stages"),
    ] {
        let said = said(Kind::TrainingThroughput, &format!("{HEADER}\n{row}\n")).remove(0);
        assert!(said.contains(words) && words.is_empty() == said.is_empty(), "{row}: {said}");
    }
}

#[test]
fn a_row_of_training_memory_that_nothing_can_run_is_rejected_with_its_reason() {
    const HEADER: &str = "layers,hidden,ffn,heads,seq,tp,pp,vp,dp,gbs,mbs";
    for (row, words) in [
        ("96,12288,49152,96,2048,8,8,3,1,64,1", ""),
        ("96,12288,49152,96,2048,7,8,3,1,64,1", "96 heads do not divide into 7"),
        (
            "96,12288,49152,96,2048,8,8,3,3,64,1",
            "64 sequences cannot be shared out evenly among 3 data-parallel ranks; 63 can",
        ),
        ("96,12288,49152,96,2048,8,8,3,1,64,100", "64 sequences does not feed 100"),
        ("96,12288,49152,96,2048,8,97,3,1,64,1", "96 layers do not fill 97 pipeline stages"),
    ] {
        let said = said(Kind::TrainingMemory, &format!("{HEADER}\n{row}\n")).remove(0);
        assert!(said.contains(words) && words.is_empty() == said.is_empty(), "{row}: {said}");
    }
}

#[test]
fn a_row_of_serving_throughput_that_nothing_can_run_is_rejected_with_its_reason() {
    const HEADER: &str = "model,accelerator,engine,precision,gpus,tp,input_tokens,output_tokens,batch,mode";
    for (row, words) in [
        ("llama3.1-8b,h100_sxm,trtllm,bf16,1,1,1000,1000,,inflight-max-throughput", ""),
        ("llama3.1-8b,h100_sxm,trtllm,bf16,1,1,1000,1000,64,static-batch", ""),
        ("llama3.1-8b,h100_sxm,trtllm,bf16,1,1,1000,1000,,", ""),
        (
            "llama3.1-8b,h100_sxm,trtllm,bf16,1,1,1000,1000,,xyz",
            "mode is `xyz`: write inflight-max-throughput",
        ),
        ("llama3.1-8b,h100_sxm,trtllm,bf16,1,1,1000,1000,,static-batch", "batch is empty"),
        // 2000 tokens of 128 KiB each: 98 GB.
        ("llama3.1-8b,h100_sxm,trtllm,bf16,1,1,1000,1000,400,static-batch", "GiB per accelerator where"),
        ("llama3.1-8b,h100_sxm,trtllm,bf16,1,4,1000,1000,,", "4 ranks are more than the 1 accelerators"),
    ] {
        let said = said(Kind::ServingThroughput, &format!("{HEADER}\n{row}\n")).remove(0);
        assert!(said.contains(words) && words.is_empty() == said.is_empty(), "{row}: {said}");
    }
}

#[test]
fn start_up_on_fewer_cards_than_ranks_is_rejected() {
    let table = "model,gpu,tp,pp,engine\nllama3.1-8b,h100_sxm x2,2,1,vllm\nllama3.1-8b,h100_sxm x2,4,1,vllm\n\
                 llama3.1-8b,h100_sxm x16 (2 nodes),8,2,vllm\n";
    let said = said(Kind::KvSizes, table);
    assert_eq!(said, ["", "4 ranks are more than the 2 accelerators there", ""]);
}

#[test]
fn a_cell_that_is_no_text_rejects_its_row_alone() {
    let good = "llama3.1-8b,h100_sxm,vllm,bf16,1,1,100,10,2,fixed";
    let mut table = format!("{HEADER}\n{good}\n").into_bytes();
    table.extend(b"caf\xe9,h100_sxm,vllm,bf16,1,1,100,10,2,fixed\n");
    table.extend(format!("{good}\n").into_bytes());
    let mut out = Vec::new();
    let priced = price(Kind::ServingLatency, table.as_slice(), &testing::catalog(), &mut out).unwrap();
    assert_eq!((priced.rows, priced.rejected), (3, 1));
    let rows: Vec<_> = csv::Reader::from_reader(out.as_slice()).byte_records().map(Result::unwrap).collect();
    assert_eq!(rows[0], rows[2]);
    assert_eq!(&rows[1][0], b"caf\xe9");
    assert_eq!(rows[1].iter().next_back().unwrap(), b"the cell in column 1 is no UTF-8");
}

#[test]
fn an_answer_of_one_token_has_no_time_per_further_token() {
    let records = priced(&format!("{HEADER}\nllama3.1-8b,h100_sxm,vllm,bf16,1,1,1024,1,8,fixed\n"));
    let at = |place: usize| &records[0][HEADER.split(',').count() + place];
    assert!(at(0).parse::<f64>().unwrap() > 0.0, "{records:?}");
    assert_eq!([at(3), at(4), at(5), at(7)], ["", "", "", ""]);
}

#[test]
fn an_engine_made_for_other_accelerators_and_a_format_that_a_chip_lacks_are_rejected() {
    let mut catalog = testing::catalog();
    let plain = catalog.accelerator("h100_sxm").unwrap().clone();
    let mut turing = plain.clone();
    (turing.id, turing.peaks) = ("t4".to_owned(), [(Precision::Fp16, plain.peaks[&Precision::Bf16])].into());
    let amd = Accelerator { id: "mi300x".to_owned(), vendor: "AMD".to_owned(), ..plain };
    catalog.accelerators.extend([turing, amd]);
    let said = |row: &str| {
        let mut out = Vec::new();
        price(Kind::ServingLatency, format!("{HEADER}\n{row}\n").as_bytes(), &catalog, &mut out).unwrap();
        let records: Vec<_> =
            csv::Reader::from_reader(out.as_slice()).records().map(Result::unwrap).collect();
        records[0].iter().next_back().unwrap().to_owned()
    };
    let amd = |engine: &str| said(&format!("llama3.1-8b,mi300x,{engine},bf16,1,1,100,10,1,fixed"));
    assert_eq!(amd("vllm"), "");
    assert!(amd("trtllm").starts_with("trtllm runs on accelerators of NVIDIA only, not on mi300x"));
    let turing = |precision: &str| said(&format!("llama3.1-8b,t4,vllm,{precision},1,1,100,10,1,fixed"));
    assert_eq!(turing("fp16"), "");
    assert_eq!(
        turing("bf16"),
        "t4 does not compute in bf16; weights are cast to fp16 where the precision is `fp16`"
    );
    assert_eq!(turing("fp8"), "t4 does not compute in fp8");
}
