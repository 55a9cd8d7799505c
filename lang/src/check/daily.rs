//! How does demand move over a day?

use capstan_types::quantity::Dimension;
use capstan_types::spec::Daily;

use super::checker::Checker;
use super::table::{Bounds, FieldRow, FieldType};
use crate::ast::{Argument, Call, Expr, ExprKind};
use crate::codes;
use crate::evaluate::Value;

const HELP: &str = "write `diurnal(trough = 30%, peak_at = 14:00)`";

/// The lowest rate over the highest.
static TROUGH: FieldRow = FieldRow::new("trough", FieldType::Share, &[]).bounds(Bounds::Within(0.0, 1.0));

impl Checker<'_> {
    /// Reads `flat` or `diurnal(trough = 30%, peak_at = 14:00)`.
    pub(crate) fn daily(&self, expr: &Expr) -> Option<Daily> {
        match &expr.kind {
            ExprKind::Error => None,
            ExprKind::Path(path) => self.word(&path.dotted(), expr.span, &["flat"]).map(|_| Daily::Flat),
            ExprKind::Call(call) => self.diurnal(call),
            _ => self.wrong_kind("daily", expr.span, "`flat` or `diurnal(…)`", "something else"),
        }
    }

    fn diurnal(&self, call: &Call) -> Option<Daily> {
        let name = call.path.dotted();
        if name != "diurnal" {
            let message = format!("`{name}` is no shape of a day");
            let found = self.values.error(codes::UNKNOWN_FUNCTION, call.path.span, message);
            self.values.report(found.help(HELP));
            return None;
        }
        let mut trough: Option<Option<f64>> = None;
        let mut peak_at: Option<Option<f64>> = None;
        let mut wrong = false;
        for argument in &call.arguments {
            match argument.name.as_ref().map(|name| name.text.as_str()) {
                Some("trough") if trough.is_none() => trough = Some(self.trough(argument)),
                Some("peak_at") if peak_at.is_none() => peak_at = Some(self.peak_at(argument)),
                other => {
                    let message = match other {
                        Some(name @ ("trough" | "peak_at")) => format!("`{name}` stands twice"),
                        Some(name) => format!("`diurnal` has no argument `{name}`"),
                        None => "arguments of `diurnal` are named".to_owned(),
                    };
                    let span = argument.name.as_ref().map_or(argument.value.span, |name| name.span);
                    self.values.report(self.values.error(codes::BAD_ARGUMENT, span, message).help(HELP));
                    wrong = true;
                }
            }
        }
        for (name, given) in [("trough", trough.is_some()), ("peak_at", peak_at.is_some())] {
            if !given && !wrong {
                let message = format!("`diurnal` needs `{name}`");
                let found = self.values.error(codes::BAD_ARGUMENT, call.path.span, message);
                self.values.report(found.help(HELP));
            }
        }
        (!wrong).then_some(())?;
        Some(Daily::Diurnal { trough: trough??, peak_at_hour: peak_at?? })
    }

    fn trough(&self, argument: &Argument) -> Option<f64> {
        self.amount(&TROUGH, &argument.value, &[Dimension::NONE]).map(|share| share.value)
    }

    fn peak_at(&self, argument: &Argument) -> Option<f64> {
        match self.values.evaluate(&argument.value)? {
            Value::Time(time) => Some(f64::from(time.hour()) + f64::from(time.minute()) / 60.0),
            other => {
                self.wrong_kind("peak_at", argument.value.span, "a time of day such as `14:00`", other.noun())
            }
        }
    }
}
