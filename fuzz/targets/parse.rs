//! Any bytes, read as a plan: no panic, every place inside the text, and a canonical form that stays as it is.

#![no_main]

use capstan_lang::{format, parse_bytes, render_plain};
use capstan_types::place::FileId;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let parsed = parse_bytes(&FileId::new("fuzz.plan"), bytes);
    let Ok(text) = std::str::from_utf8(bytes) else {
        assert!(!parsed.is_clean(), "bytes that are no text pass");
        return;
    };
    for found in &parsed.diagnostics {
        assert!(text.get(found.place.start as usize..found.place.end as usize).is_some(), "{found:?}");
    }
    let shown = render_plain(&parsed.diagnostics, |_| Some(text));
    assert_eq!(shown.is_empty(), parsed.diagnostics.is_empty());
    if parsed.is_clean() {
        let once = format(text).expect("a text that reads has a form");
        let twice = format(&once).expect("the form of a text reads");
        assert_eq!(once, twice, "the form has another form");
    } else {
        assert!(format(text).is_err(), "a text with mistakes is formatted");
    }
});
