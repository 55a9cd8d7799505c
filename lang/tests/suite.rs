//! The suite: mistakes beside the text that causes them.
//!
//! A file of `suite/` holds cases. `--- title` begins one; `# error: 17-26 E0102 message` and
//! `# hint: …` stand above the line they are about (columns from 1, in characters, both included). A
//! case without annotations must have no mistake. Where a file differs, the corrected one is written
//! beside the build, to be read and copied.

mod annotate;

use std::collections::BTreeSet;

use annotate::{compare, suites};
use capstan_lang::{Code, codes, format, parse, parse_bytes};
use capstan_types::place::FileId;
use proptest::prelude::*;

#[test]
fn every_mistake_is_found_where_the_suite_says() {
    let paths = suites("suite");
    let find = |text: &str| parse(&FileId::new("suite.plan"), text).diagnostics;
    let mut seen = BTreeSet::new();
    let wrong: Vec<String> = paths.iter().filter_map(|path| compare(path, &find, &mut seen)).collect();
    assert_eq!(wrong, [""; 0]);
    // These need more than the lines of a suite file, and have tests of their own below or elsewhere.
    let elsewhere =
        [codes::BYTE_ORDER_MARK, codes::NOT_UTF8, codes::TOO_LONG, codes::TOO_DEEP, codes::TOO_MANY];
    let by_checker = [codes::UNIT_MISSING, codes::WRONG_DIMENSION, codes::CURRENCIES];
    let textual = codes::all().map(|entry| entry.code).filter(|code| *code < codes::UNKNOWN_KIND);
    let unseen: Vec<Code> = textual
        .filter(|code| !seen.contains(code) && !elsewhere.contains(code) && !by_checker.contains(code))
        .collect();
    assert_eq!(unseen, [], "codes without a case");
}

fn found(bytes: &[u8]) -> Vec<Code> {
    parse_bytes(&FileId::new("x.plan"), bytes).diagnostics.iter().map(|one| one.code).collect()
}

#[test]
fn only_utf8_without_a_byte_order_mark_is_read() {
    assert_eq!(found(b"\xef\xbb\xbfa = 1"), [codes::BYTE_ORDER_MARK]);
    let parsed = parse_bytes(&FileId::new("x.plan"), b"a = \xff\xfe");
    assert_eq!(parsed.diagnostics[0].code, codes::NOT_UTF8);
    assert_eq!(parsed.diagnostics[0].place.start, 4);
    assert_eq!(found(b"a = 1\r\nb = 2\r\n"), []);
    assert_eq!(found(b"a = 1\rb = 2"), [codes::BAD_CHARACTER]);
    assert_eq!(found(b"# a comment\rb = 2\rc = 3\r"), [codes::BAD_CHARACTER]);
}

#[test]
fn limits_hold() {
    assert_eq!(found(&vec![b'\n'; 16 * 1024 * 1024]), []);
    assert_eq!(found(&vec![b'\n'; 16 * 1024 * 1024 + 1]), [codes::TOO_LONG]);
    let nested = |n: usize| format!("x = {}1{}", "[".repeat(n), "]".repeat(n));
    assert_eq!(found(nested(64).as_bytes()), []);
    assert!(found(nested(65).as_bytes()).contains(&codes::TOO_DEEP));
    assert!(found(nested(1_000_000).as_bytes()).contains(&codes::TOO_DEEP));
    for (open, close) in [("(", ")"), ("f(", ")"), ("{ a = ", "}"), ("- (", ")"), ("not (1 + 2 * (", "))")] {
        let n = 64 / open.matches(['(', '{']).count();
        let text = format!("x = {}1{}", open.repeat(n), close.repeat(n));
        assert_eq!(found(text.as_bytes()), [], "{open}");
        assert!(format(&text).is_ok());
    }
    let blocks = format!("{}{}", "a { ".repeat(64), "}".repeat(64));
    assert_eq!(found(blocks.as_bytes()), []);
    assert!(format(&blocks).is_ok());
    let many = "? = 1\n".repeat(2_000);
    assert_eq!(found(many.as_bytes()).len(), 1_001);
    assert!(found(many.as_bytes()).contains(&codes::TOO_MANY));
}

#[test]
fn ten_mistakes_give_ten_messages_and_the_rest_is_kept() {
    let line = "field = \nserve s { a < 1\n b = 3 quux\n }\n";
    let text = "good = 1\n".to_owned() + &line.repeat(3) + "site x { y = 70B, z = 2 }\nlast = 3\n";
    let parsed = parse(&FileId::new("x.plan"), &text);
    assert_eq!(parsed.diagnostics.len(), 10, "{:#?}", parsed.diagnostics);
    // Even an entry with a wrong value is kept, so that nothing is reported as missing.
    assert_eq!(parsed.file.entries.len(), 1 + 2 * 3 + 2);
}

/// A hostile file must not take time that grows with the square of its length. The bound is far above
/// what these take (tens of milliseconds), so that a busy machine does not matter.
#[test]
fn hostile_files_are_read_in_linear_time() {
    let n = 500_000;
    let wholes = [
        "(", ")", "{", "}", "[,", "a+", "a.", "-", "not ", "\"", "\\", "1 ", "a{", "a\n", "x=\n", "1/", "¥",
        "a=[\n", "é", "((a\n", ". ", "#\n",
    ];
    for piece in wholes {
        let text = format!("x = {}", piece.repeat(n / piece.len()));
        let start = std::time::Instant::now();
        let _ = parse(&FileId::new("x.plan"), &text);
        let took = start.elapsed();
        assert!(took.as_secs() < 10, "{piece:?} takes {took:?}");
    }
}

const SAMPLE: &str = include_str!("examples/chat_and_pretrain.plan");

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_bytes(&FileId::new("x.plan"), &bytes);
    }

    #[test]
    fn arbitrary_signs_never_panic(text in "[a-c0-9 \n\"{}()\\[\\]=<>!.,;:@*/+#%$¥-]{0,120}") {
        let parsed = parse(&FileId::new("x.plan"), &text);
        for one in &parsed.diagnostics {
            prop_assert!(text.get(one.place.start as usize..one.place.end as usize).is_some());
        }
        if let Ok(once) = format(&text) {
            prop_assert_eq!(format(&once), Ok(once.clone()));
        }
    }

    /// A change in one place is no reason to lose the rest.
    #[test]
    fn a_spoiled_example_is_still_read(at in 0..SAMPLE.len(), len in 0..30_usize, new in "[a-z0-9 \n\"{}()=<,.]{0,6}") {
        let end = (at + len).min(SAMPLE.len());
        prop_assume!(SAMPLE.is_char_boundary(at) && SAMPLE.is_char_boundary(end));
        let text = format!("{}{new}{}", &SAMPLE[..at], &SAMPLE[end..]);
        let _ = parse(&FileId::new("x.plan"), &text);
        if let Ok(once) = format(&text) {
            prop_assert_eq!(format(&once), Ok(once.clone()));
        }
    }
}
