//! Where does an answer go, and in which form? `--output FMT[:FILE]`, the same for every command.

use crate::files;
use crate::session::Session;
use anyhow::Context;
use capstan_report::{Document, Style, markdown, terminal};
use std::str::FromStr;

/// A form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For people, in columns.
    Terminal,
    /// For people, in a review.
    Markdown,
    /// For programs.
    Json,
}

/// A form and where it goes; standard output where no file is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// The form.
    pub format: Format,
    /// The file.
    pub file: Option<String>,
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, file) = match text.split_once(':') {
            Some((format, file)) => (format, Some(file.to_owned())),
            None => (text, None),
        };
        let format = match format {
            "terminal" | "human" => Format::Terminal,
            "markdown" => Format::Markdown,
            "json" => Format::Json,
            other => return Err(format!("`{other}` is none of terminal, markdown, json")),
        };
        match file.as_deref() {
            Some("") => Err("a file name is missing after `:`".to_owned()),
            Some("-") => Ok(Output { format, file: None }),
            _ => Ok(Output { format, file }),
        }
    }
}

/// Returns what was asked for, or the terminal where nothing was.
pub fn or_terminal(asked: &[Output]) -> Vec<Output> {
    if asked.is_empty() { vec![Output { format: Format::Terminal, file: None }] } else { asked.to_vec() }
}

/// Writes an answer in every form that was asked for. `json` is only called where it is.
pub fn write(
    asked: &[Output],
    session: &Session,
    document: &Document,
    json: impl Fn() -> String,
) -> anyhow::Result<()> {
    for output in or_terminal(asked) {
        let look = session.out;
        let to_file = output.file.is_some();
        let style = Style { colour: look.colour && !to_file, unicode: look.unicode || to_file };
        let text = match output.format {
            Format::Terminal => terminal(document, look.width, style),
            Format::Markdown => markdown(document),
            Format::Json => json(),
        };
        match output.file {
            None => session.print(&text)?,
            Some(file) => write_file(&file, text.as_bytes())?,
        }
    }
    Ok(())
}

/// Writes a file whole, and says which one where it cannot.
pub fn write_file(file: &str, bytes: &[u8]) -> anyhow::Result<()> {
    files::write(file, bytes).with_context(|| format!("cannot write `{file}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_may_name_a_file() {
        let file = Some("out:1.md".to_owned());
        assert_eq!("markdown:out:1.md".parse(), Ok(Output { format: Format::Markdown, file }));
        assert_eq!("json:-".parse(), Ok(Output { format: Format::Json, file: None }));
        assert!("pdf".parse::<Output>().is_err() && "json:".parse::<Output>().is_err());
    }
}
