//! Remarks → GitHub's workflow commands, and `name=value` lines for later steps.
//!
//! GitHub shows ten errors and ten warnings of a step and drops the rest without a word; the worst come first here, and
//! what is left out is counted in a notice.

use super::{Remark, Told, at_length, worst_first};
use capstan_types::finding::Severity;

/// Most annotations of a kind that GitHub shows.
const SHOWN: usize = 10;

/// Returns annotations as workflow commands, in a group of their own.
pub fn github_commands(told: &Told) -> String {
    let remarks = worst_first(&told.remarks);
    let mut text = String::new();
    for (severity, word) in
        [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Note, "notice")]
    {
        let of_kind: Vec<_> = remarks.iter().filter(|remark| remark.severity == severity).collect();
        text.extend(of_kind.iter().take(SHOWN).map(|remark| command(word, remark)));
        if of_kind.len() > SHOWN {
            let more = of_kind.len() - SHOWN;
            text.push_str(&format!(
                "::notice title=capstan::{more} more of kind {word} are not shown here\n"
            ));
        }
    }
    text
}

fn command(word: &str, remark: &Remark) -> String {
    let spot = &remark.spot;
    format!(
        "::{word} file={},line={},endLine={},col={},endColumn={},title={}::{}\n",
        property(&spot.path),
        spot.line.max(1),
        spot.end_line.max(1),
        spot.column.max(1),
        spot.end_column.max(1),
        property(&remark.rule),
        data(&at_length(remark))
    )
}

/// Returns `name=value` lines for `$GITHUB_OUTPUT`; a value stays on its line.
pub fn github_outputs(told: &Told) -> String {
    let line = |(name, value): &(String, String)| format!("{name}={}\n", value.replace(['\n', '\r'], " "));
    told.outputs.iter().map(line).collect()
}

/// Escapes the message of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::tests::remark;
    use super::*;

    #[test]
    fn what_a_command_would_read_is_escaped() {
        let told = Told { remarks: vec![remark(Severity::Error, "a,b:c.plan", 7, "x")], ..Told::default() };
        assert_eq!(
            github_commands(&told),
            "::error file=a%2Cb%3Ac.plan,line=7,endLine=7,col=3,endColumn=9,title=E0307::ttft p99 is 612 ms, \
             500 ms are allowed%0Abecause of 3 %25 more\n"
        );
    }

    #[test]
    fn ten_of_a_kind_are_shown_and_the_rest_is_counted() {
        let remarks = (1..=12).map(|line| remark(Severity::Warning, "a.plan", line, "x")).collect();
        let text = github_commands(&Told { remarks, ..Told::default() });
        assert_eq!(
            (text.matches("::warning ").count(), text.matches("2 more of kind warning").count()),
            (10, 1)
        );
    }

    #[test]
    fn outputs_stay_on_their_line() {
        let outputs = vec![("status".to_owned(), "a\nb=c".to_owned())];
        assert_eq!(github_outputs(&Told { outputs, ..Told::default() }), "status=a b=c\n");
    }
}
