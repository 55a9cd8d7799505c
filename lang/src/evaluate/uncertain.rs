//! Which value does `mid in low .. high @ 90%` have?
//!
//! Its median, unless the plan is looked at in a world that draws another quantile. Low and high are the quantiles at
//! both ends of the confidence; between and beyond them lies a two-piece log-normal where all is positive, a two-piece
//! normal otherwise. What is drawn keeps its unit, so that a rate keeps its period. Who draws is not known here.

use std::collections::BTreeMap;

use capstan_types::place::Span;
use capstan_types::quantity::{ArithmeticError, Dimension, Quantity};
use capstan_types::spec;

use super::{Evaluator, Value};
use crate::ast::{Block, Entry, Expr, ExprKind, File, Item, Uncertain};
use crate::codes;

/// The quantile of each uncertain value, by its name, between 0 and 1.
pub type Draws = BTreeMap<String, f64>;

/// How much of the distribution lies between low and high where nothing is said.
const CONFIDENCE: f64 = 0.9;

/// Returns what each uncertain value of a file is called, by where it begins: the name of a `param` or `let`, or the path
/// of a field. Of several in one value the later ones get a number. Those of a scenario count where it is made.
pub(crate) fn names(file: &File) -> BTreeMap<u32, String> {
    let mut named = BTreeMap::new();
    for entry in &file.entries {
        match entry {
            Entry::Param(binding) | Entry::Let(binding) => {
                name_all(&binding.value, &binding.name.text, &mut named);
            }
            Entry::Item(Item::Block(block)) if block.kind.text != "scenario" => {
                let label = block.label.as_ref().map_or(block.kind.text.as_str(), |label| label.text());
                name_fields(block, label, &mut named);
            }
            Entry::Item(_) | Entry::Use(_) => {}
        }
    }
    named
}

fn name_fields(block: &Block, path: &str, named: &mut BTreeMap<u32, String>) {
    for item in &block.body {
        match item {
            Item::Field(field) => name_all(&field.value, &format!("{path}.{}", field.path.dotted()), named),
            Item::Block(inner) => {
                let label = inner.label.as_ref().map_or(inner.kind.text.as_str(), |label| label.text());
                name_fields(inner, &format!("{path}.{label}"), named);
            }
            _ => {}
        }
    }
}

fn name_all(expr: &Expr, path: &str, named: &mut BTreeMap<u32, String>) {
    let mut found = Vec::new();
    uncertain(expr, path, &mut found);
    for (start, path) in found {
        let count =
            named.values().filter(|known| **known == path || known.starts_with(&format!("{path}#"))).count();
        named.insert(start, if count == 0 { path } else { format!("{path}#{}", count + 1) });
    }
}

/// Lists the uncertain values in an expression, with the paths of the fields of records.
fn uncertain(expr: &Expr, path: &str, found: &mut Vec<(u32, String)>) {
    match &expr.kind {
        ExprKind::Uncertain(_) => found.push((expr.span.start, path.to_owned())),
        ExprKind::Group(inner) | ExprKind::Not(inner) | ExprKind::Negative(inner) => {
            uncertain(inner, path, found)
        }
        ExprKind::Chain(first, links) => {
            uncertain(first, path, found);
            links.iter().for_each(|link| uncertain(&link.operand, path, found));
        }
        ExprKind::Compare(left, _, _, right) | ExprKind::Range(left, right) => {
            uncertain(left, path, found);
            uncertain(right, path, found);
        }
        ExprKind::List(list) => list.iter().for_each(|one| uncertain(one, path, found)),
        ExprKind::Call(call) => call.arguments.iter().for_each(|one| uncertain(&one.value, path, found)),
        ExprKind::Record(fields) => {
            for field in fields {
                uncertain(&field.value, &format!("{path}.{}", field.path.dotted()), found);
            }
        }
        ExprKind::Error
        | ExprKind::Date(_)
        | ExprKind::Time(_)
        | ExprKind::Quantity(_)
        | ExprKind::Text(_)
        | ExprKind::Bool(_)
        | ExprKind::Path(_) => {}
    }
}

impl Evaluator<'_> {
    /// Is this a world in which uncertain values were drawn?
    pub(crate) fn is_drawn(&self) -> bool {
        !self.draws.is_empty()
    }

    /// Returns what was met, in the order of the text.
    pub(crate) fn met(&self) -> Vec<spec::Uncertain> {
        self.uncertain.borrow().values().cloned().collect()
    }

    /// Returns the value in this world, or none after a report.
    pub(super) fn drawn(&self, parts: &Uncertain, span: Span) -> Option<Quantity> {
        let mid = self.amount_of(&parts.mid);
        let (low, high) = (self.amount_of(&parts.low), self.amount_of(&parts.high));
        let confidence = self.confidence(parts)?;
        let (mid, low, high) = (mid?, low?, high?);
        for (other, expr) in [(&low, &parts.low), (&high, &parts.high)] {
            let wrong = if other.dimension != mid.dimension {
                ArithmeticError::Dimensions { left: mid.dimension, right: other.dimension }
            } else if let (Some(left), Some(right)) = (mid.currency, other.currency)
                && left != right
            {
                ArithmeticError::Currencies { left, right }
            } else {
                continue;
            };
            self.arithmetic(&wrong, expr.span);
            return None;
        }
        if !(low.value <= mid.value && mid.value <= high.value && low.value < high.value) {
            let message = format!("{mid} does not lie between {low} and {high}");
            let found = self.error(codes::OUT_OF_RANGE, span, message);
            self.report(found.help(
                "write the median, then the lower and the upper bound: `40 req/s in 25 req/s .. 80 req/s`",
            ));
            return None;
        }
        let Some(name) = self.named.get(&span.start) else { return Some(mid) };
        let scale = |quantity: &Quantity| mid.with_value(quantity.value).number();
        let met = spec::Uncertain {
            name: name.clone(),
            place: span.in_file(self.file),
            unit: mid.unit.clone(),
            mid: mid.number(),
            low: scale(&low),
            high: scale(&high),
            confidence,
            value: mid.number(),
        };
        let value = match self.draws.get(name) {
            Some(&quantile) => {
                let along = normal_quantile(quantile) / normal_quantile((1.0 + confidence) / 2.0);
                mid.with_value(two_piece([low.value, mid.value, high.value], along))
            }
            None => mid,
        };
        let met = spec::Uncertain { value: value.number(), ..met };
        self.uncertain.borrow_mut().insert(span.start, met);
        Some(value)
    }

    fn amount_of(&self, expr: &Expr) -> Option<Quantity> {
        match self.evaluate(expr)? {
            Value::Quantity(quantity) => Some(quantity),
            other => {
                let message = format!("only a quantity is uncertain, and this is {}", other.noun());
                let found = self.error(codes::WRONG_KIND_OF_VALUE, expr.span, message);
                self.report(
                    found.help("write the median and two bounds: `40 req/s in 25 req/s .. 80 req/s @ 90%`"),
                );
                None
            }
        }
    }

    fn confidence(&self, parts: &Uncertain) -> Option<f64> {
        let Some((given, span)) = &parts.confidence else { return Some(CONFIDENCE) };
        let is_share = given.dimension == Dimension::NONE;
        if is_share && given.value > 0.0 && given.value < 1.0 {
            return Some(given.value);
        }
        let message = format!("a confidence is a share between 0% and 100%, not {given}");
        let found = self.error(codes::OUT_OF_RANGE, *span, message);
        self.report(found.help("write how sure the bounds are: `@ 90%`"));
        None
    }
}

/// Returns the value at `along`, where -1 is low, 0 the median and 1 high.
fn two_piece([low, mid, high]: [f64; 3], along: f64) -> f64 {
    let (end, far) = if along < 0.0 { (low, -along) } else { (high, along) };
    if low > 0.0 { mid * libm::pow(end / mid, far) } else { mid + (end - mid) * far }
}

/// Returns the quantile of the standard normal distribution (M. J. Wichura, algorithm AS 241, PPND16; its error is
/// below 1e-15).
fn normal_quantile(p: f64) -> f64 {
    let q = p - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return q * ratio(r, &MIDDLE);
    }
    let tail = if q < 0.0 { p } else { 1.0 - p };
    let r = (-libm::log(tail.max(f64::MIN_POSITIVE))).sqrt();
    let value = if r <= 5.0 { ratio(r - 1.6, &NEAR_TAIL) } else { ratio(r - 5.0, &FAR_TAIL) };
    if q < 0.0 { -value } else { value }
}

/// Coefficients of AS 241: the numerator, then the denominator, from the constant upwards.
type Coefficients = [[f64; 8]; 2];

const MIDDLE: Coefficients = [
    [
        3.387_132_872_796_366_5,
        1.331_416_678_917_843_8e2,
        1.971_590_950_306_551_3e3,
        1.373_169_376_550_946e4,
        4.592_195_393_154_987e4,
        6.726_577_092_700_87e4,
        3.343_057_558_358_813e4,
        2.509_080_928_730_122_7e3,
    ],
    [
        1.0,
        4.231_333_070_160_091e1,
        6.871_870_074_920_579e2,
        5.394_196_021_424_751e3,
        2.121_379_430_158_659_7e4,
        3.930_789_580_009_271e4,
        2.872_908_573_572_194_3e4,
        5.226_495_278_852_545e3,
    ],
];
const NEAR_TAIL: Coefficients = [
    [
        1.423_437_110_749_683_5,
        4.630_337_846_156_546,
        5.769_497_221_460_691,
        3.647_848_324_763_204_5,
        1.270_458_252_452_368_4,
        2.417_807_251_774_506e-1,
        2.272_384_498_926_918_4e-2,
        7.745_450_142_783_414e-4,
    ],
    [
        1.0,
        2.053_191_626_637_759,
        1.676_384_830_183_803_8,
        6.897_673_349_851e-1,
        1.481_039_764_274_800_8e-1,
        1.519_866_656_361_645_7e-2,
        5.475_938_084_995_345e-4,
        1.050_750_071_644_416_9e-9,
    ],
];
const FAR_TAIL: Coefficients = [
    [
        6.657_904_643_501_103,
        5.463_784_911_164_114,
        1.784_826_539_917_291_3,
        2.965_605_718_285_048_7e-1,
        2.653_218_952_657_612_4e-2,
        1.242_660_947_388_078_4e-3,
        2.711_555_568_743_487_6e-5,
        2.010_334_399_292_288_1e-7,
    ],
    [
        1.0,
        5.998_322_065_558_88e-1,
        1.369_298_809_227_358e-1,
        1.487_536_129_085_061_5e-2,
        7.868_691_311_456_133e-4,
        1.846_318_317_510_054_8e-5,
        1.421_511_758_316_446e-7,
        2.044_263_103_389_939_8e-15,
    ],
];

fn ratio(r: f64, [above, below]: &Coefficients) -> f64 {
    let value = |coefficients: &[f64; 8]| coefficients.iter().rev().fold(0.0, |sum, one| sum * r + one);
    value(above) / value(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Abramowitz and Stegun, table 26.5, and R's qnorm for the far tail.
        for (p, z) in [
            (0.5, 0.0),
            (0.95, 1.644_853_626_951_472_7),
            (0.995, 2.575_829_303_548_901),
            (1e-10, -6.361_340_902_404_056),
        ] {
            assert!((normal_quantile(p) - z).abs() < 1e-12, "{p}: {}", normal_quantile(p));
        }
        // 1 − 0.95 is not 0.05 in binary; of numbers that are exact both tails are the same.
        assert_eq!(normal_quantile(0.0625), -normal_quantile(0.9375));
        assert!((normal_quantile(0.05) + normal_quantile(0.95)).abs() < 1e-12);
    }

    #[test]
    fn both_ends_and_the_median_are_met() {
        for values in [[25.0, 40.0, 80.0], [-3.0, 1.0, 2.0]] {
            for (along, value) in [-1.0, 0.0, 1.0].into_iter().zip(values) {
                assert!((two_piece(values, along) - value).abs() < 1e-12);
            }
        }
        assert!(two_piece([25.0, 40.0, 80.0], -20.0) > 0.0);
    }
}
