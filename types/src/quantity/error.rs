//! What is wrong with the text of a quantity, and what should stand there instead?

use std::fmt;
use std::ops::Range;

use super::unit;
use super::{Currency, nearest};

/// What kind of mistake it is; the language gives each its own code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// There is no number, or its digits are malformed.
    Number,
    /// The number leaves the range of what can be counted.
    TooLarge,
    /// An atom is no unit.
    UnknownUnit,
    /// `70B`, which means bytes and was meant as billions.
    Billions,
    /// `Gb`, `Gbps`: bits are spelled out.
    Bits,
    /// `m` alone: minute, month or metre.
    LoneM,
    /// A currency sign that says too little or too much.
    CurrencySign,
    /// Something stands after the quantity.
    Trailing,
}

/// A quantity that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError {
    /// The kind of mistake.
    pub mistake: Mistake,
    /// The bytes of the text that are wrong.
    pub range: Range<usize>,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for QuantityError {}

impl QuantityError {
    pub(super) fn new(mistake: Mistake, range: Range<usize>, message: impl Into<String>) -> Self {
        QuantityError { mistake, range, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// `70B` glued together: the letter that people use for billions.
    pub(super) fn billions(number: &str, range: Range<usize>) -> Self {
        let message = format!("`{number}B` means {number} bytes");
        QuantityError::new(Mistake::Billions, range, message).help(format!(
            "for {number} billion parameters write `{number} Gparam`, for tokens `{number} Gtok`, for bytes `{number} B`"
        ))
    }

    /// An atom that is in no table.
    pub(super) fn unknown_unit(word: &str, range: Range<usize>, joined: bool) -> Self {
        if word == "m" {
            return QuantityError::new(Mistake::LoneM, range, "`m` alone is no unit")
                .help("write `min` for minutes, `mo` for months, `meter` for metres");
        }
        if let Some(spelled) = spelled_bits(word) {
            return QuantityError::new(Mistake::Bits, range, format!("`{word}` could be bits or bytes"))
                .help(format!("bits are spelled out: `{spelled}`"));
        }
        let error = QuantityError::new(Mistake::UnknownUnit, range, format!("unknown unit `{word}`"));
        match suggestion(word) {
            Some(help) => error.help(help),
            None if joined => error.help("to divide or multiply, put blanks around `/` or `*`"),
            None => error,
        }
    }
}

/// Returns `Gbit/s` for `Gbps` and `Gbit` for `Gb`.
fn spelled_bits(word: &str) -> Option<String> {
    let (rest, per_second) = match word.strip_suffix("ps") {
        Some(rest) => (rest, "/s"),
        None => (word, ""),
    };
    let prefix = rest.strip_suffix('b')?;
    ["", "k", "M", "G", "T", "P"].contains(&prefix).then(|| format!("{prefix}bit{per_second}"))
}

/// Words that people use, and what the language calls them.
const ALIASES: [(&str, &[&str]); 24] = [
    ("tok", &["token", "tokens", "toks"]),
    ("req", &["request", "requests", "reqs"]),
    ("req/s", &["rps", "RPS", "qps", "QPS"]),
    ("s", &["sec", "secs", "second", "seconds"]),
    ("ms", &["msec", "millisecond", "milliseconds"]),
    ("us", &["µs", "μs", "usec", "microsecond", "microseconds"]),
    ("min", &["minute", "minutes", "mins"]),
    ("h", &["hr", "hrs", "hour", "hours"]),
    ("d", &["day", "days"]),
    ("mo", &["month", "months", "mon"]),
    ("y", &["yr", "yrs", "year", "years", "a"]),
    ("GPU", &["gpus", "GPUs", "accelerator", "accelerators"]),
    ("node", &["nodes", "host", "hosts"]),
    ("user", &["users"]),
    ("param", &["params", "parameter", "parameters"]),
    ("B", &["byte", "bytes"]),
    ("bit", &["bits"]),
    ("meter", &["metre", "metres", "meters"]),
    ("K", &["kelvin", "kelvins"]),
    ("U", &["RU", "ru"]),
    ("%", &["percent", "pct"]),
    ("USD", &["dollar", "dollars"]),
    ("EUR", &["euro", "euros"]),
    ("tok/s", &["tps", "TPS"]),
];

/// Returns the advice for a word that is no unit.
fn suggestion(word: &str) -> Option<String> {
    if let Some((unit, _)) = ALIASES.iter().find(|(_, words)| words.contains(&word)) {
        return Some(format!("write `{unit}`"));
    }
    if let Some(rate) = word.strip_suffix("FLOPS").or_else(|| word.strip_suffix("FLOPs")) {
        return Some(format!("write `{rate}FLOP/s` for a rate, `{rate}FLOP` for a count"));
    }
    if let Some(bytes) = word.strip_suffix("Bps").filter(|prefix| prefix.len() <= 2) {
        return Some(format!("write `{bytes}B/s`"));
    }
    match word {
        "C" | "F" | "degC" => {
            return Some("temperatures are in kelvin: 25 degrees Celsius are `298 K`".to_owned());
        }
        "km" | "cm" | "mm" => return Some("lengths are in metres: `0.5 meter`".to_owned()),
        "week" | "weeks" | "w" | "wk" => return Some("a week is written `7 d`".to_owned()),
        _ => {}
    }
    let exponent = word.strip_prefix(['e', 'E']).is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit()));
    if exponent {
        return Some("numbers have no exponent: use a prefix (`15 Ttok`) or digits with `_`".to_owned());
    }
    let codes = Currency::codes().filter(|_| word.len() == 3).map(str::to_owned);
    let known: Vec<String> = unit::atoms().chain(codes).collect();
    nearest(word, known.iter().map(String::as_str)).map(|unit| format!("did you mean `{unit}`?"))
}
