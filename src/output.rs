//! Where does an answer go, and in which form? `--output FMT[:FILE]`, the same for every command.

use crate::failure::Failure;
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
    /// For code scanning.
    Sarif,
    /// For CI servers.
    Junit,
    /// For GitLab's code quality.
    Gitlab,
    /// Workflow commands, step summary and outputs of GitHub.
    Github,
    /// Line items, cash flow and FOCUS rows, in a folder.
    Csv,
    /// A workbook.
    Xlsx,
    /// A page.
    Html,
    /// The paper that is signed.
    Pdf,
}

/// The forms that every answer has.
pub const PROSE: &[Format] = &[Format::Terminal, Format::Markdown, Format::Json];

/// The forms of what holds or does not.
pub const CI: &[Format] = &[
    Format::Terminal,
    Format::Markdown,
    Format::Json,
    Format::Sarif,
    Format::Junit,
    Format::Gitlab,
    Format::Github,
];

/// The forms of a blueprint.
pub const ALL: &[Format] = &[
    Format::Terminal,
    Format::Markdown,
    Format::Json,
    Format::Sarif,
    Format::Junit,
    Format::Gitlab,
    Format::Github,
    Format::Csv,
    Format::Xlsx,
    Format::Html,
    Format::Pdf,
];

impl Format {
    /// Returns the word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Format::Terminal => "human",
            Format::Markdown => "markdown",
            Format::Json => "json",
            Format::Sarif => "sarif",
            Format::Junit => "junit",
            Format::Gitlab => "gitlab",
            Format::Github => "github",
            Format::Csv => "csv",
            Format::Xlsx => "xlsx",
            Format::Html => "html",
            Format::Pdf => "pdf",
        }
    }

    /// Needs it a name, since a terminal cannot show it?
    fn needs_name(self) -> bool {
        matches!(self, Format::Csv | Format::Xlsx | Format::Pdf)
    }
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
        let word = if format == "terminal" { "human" } else { format };
        let Some(&format) = ALL.iter().find(|known| known.word() == word) else {
            let known: Vec<&str> = ALL.iter().map(|format| format.word()).collect();
            return Err(format!("`{format}` is none of {}", known.join(", ")));
        };
        let file = file.filter(|file| file != "-");
        match file.as_deref() {
            Some("") => Err("a file name is missing after `:`".to_owned()),
            None if format.needs_name() => Err(format!("say where it goes: `{word}:NAME`")),
            _ => Ok(Output { format, file }),
        }
    }
}

/// Refuses forms that an answer does not have, before anything is computed.
pub fn only(asked: &[Output], known: &[Format]) -> Result<(), Failure> {
    let Some(other) = asked.iter().find(|output| !known.contains(&output.format)) else {
        if !cfg!(feature = "pdf") && asked.iter().any(|output| output.format == Format::Pdf) {
            return Err(without_pdf());
        }
        let files = asked.iter().filter(|output| output.format != Format::Csv);
        return files.filter_map(|output| output.file.as_deref()).try_for_each(room_for);
    };
    let words: Vec<&str> = known.iter().map(|format| format.word()).collect();
    Err(Failure::usage(format!("this answer has no form `{}`", other.format.word()))
        .hint(format!("it has {}", words.join(", "))))
}

/// What is said of a PDF where the program was built without its typesetter.
pub fn without_pdf() -> Failure {
    Failure::new(
        "this build of capstan sets no PDF: `cargo install --path .` builds one that does, with its feature `pdf`",
    )
}

/// Refuses a file that cannot be written, before anything is computed for it.
pub fn room_for(file: &str) -> Result<(), Failure> {
    files::room_for(file).map_err(|why| Failure::new(format!("cannot write `{file}`: {why}")))
}

/// Returns what was asked for, or the terminal where nothing was.
pub fn or_terminal(asked: &[Output]) -> Vec<Output> {
    if asked.is_empty() { vec![Output { format: Format::Terminal, file: None }] } else { asked.to_vec() }
}

/// An answer in one form.
pub enum Made {
    /// One file.
    Bytes(Vec<u8>),
    /// Files of a folder, by name.
    Files(Vec<(String, Vec<u8>)>),
}

/// Writes an answer in every form that was asked for. `json` is only called where it is.
pub fn write(
    asked: &[Output],
    session: &Session,
    document: &Document,
    json: impl Fn() -> String,
) -> anyhow::Result<()> {
    only(asked, PROSE)?;
    write_made(asked, session, |format, look| {
        Ok(Made::Bytes(match format {
            Format::Json => json().into_bytes(),
            _ => prose(document, format, look).into_bytes(),
        }))
    })
}

/// How an answer looks where it goes.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    width: usize,
    style: Style,
}

/// Returns a document as people read it.
pub fn prose(document: &Document, format: Format, shown: Shown) -> String {
    match format {
        Format::Markdown => markdown(document),
        _ => terminal(document, shown.width, shown.style),
    }
}

/// Makes an answer in every form that was asked for, and writes it. Nothing is written before all of them are made.
pub fn write_made(
    asked: &[Output],
    session: &Session,
    mut make: impl FnMut(Format, Shown) -> anyhow::Result<Made>,
) -> anyhow::Result<()> {
    each_its_own(None, asked.iter().filter_map(|output| output.file.as_deref()))?;
    let mut made = Vec::new();
    for output in or_terminal(asked) {
        let look = session.out;
        let to_file = output.file.is_some();
        let style = Style { colour: look.colour && !to_file, unicode: look.unicode || to_file };
        made.push((make(output.format, Shown { width: look.width, style })?, output.file));
    }
    for (made, file) in made {
        match (made, file) {
            (Made::Bytes(bytes), None) => session.print_bytes(&bytes)?,
            (Made::Bytes(bytes), Some(file)) => write_file(&file, &bytes)?,
            (Made::Files(files), folder) => write_files(folder.as_deref().unwrap_or("."), &files)?,
        }
    }
    Ok(())
}

/// No output may replace another, what this run read, or what it is about to read.
pub fn each_its_own<'a>(
    read: Option<&'a str>,
    written: impl IntoIterator<Item = &'a str>,
) -> Result<(), Failure> {
    let mut known: Vec<&str> = read.into_iter().collect();
    for file in written {
        if files::taken(file) || known.iter().any(|other| files::same(file, other)) {
            return Err(overwritten(file));
        }
        known.push(file);
    }
    Ok(())
}

/// What is said of an output that would replace something that is still wanted.
fn overwritten(file: &str) -> Failure {
    Failure::usage(format!("`{file}` would be overwritten")).hint("give every output a file of its own")
}

/// Writes files into a folder, all of them or none; what else is there stays.
fn write_files(folder: &str, made: &[(String, Vec<u8>)]) -> anyhow::Result<()> {
    files::make_folder(folder).with_context(|| format!("cannot write `{folder}`"))?;
    let all: Vec<(String, &[u8])> =
        made.iter().map(|(name, bytes)| (format!("{folder}/{name}"), &bytes[..])).collect();
    files::write_together(&all).map_err(|(file, error)| not_written(&file, error))
}

/// Writes a file whole, and says which one where it cannot.
pub fn write_file(file: &str, bytes: &[u8]) -> anyhow::Result<()> {
    files::write(file, bytes).map_err(|error| not_written(file, error))
}

fn not_written(file: &str, error: files::FileError) -> anyhow::Error {
    match error {
        files::FileError::Taken => overwritten(file).into(),
        error => anyhow::Error::new(error).context(format!("cannot write `{file}`")),
    }
}

/// The same of a file that was read in order to be written again.
pub fn rewrite_file(file: &str, bytes: &[u8]) -> anyhow::Result<()> {
    files::replace(file, bytes).with_context(|| format!("cannot write `{file}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_may_name_a_file() {
        let file = Some("out:1.md".to_owned());
        assert_eq!("markdown:out:1.md".parse(), Ok(Output { format: Format::Markdown, file }));
        assert_eq!("json:-".parse(), Ok(Output { format: Format::Json, file: None }));
        assert!("doc".parse::<Output>().is_err() && "json:".parse::<Output>().is_err());
        assert!("xlsx".parse::<Output>().is_err() && "csv:-".parse::<Output>().is_err());
        assert!("pdf".parse::<Output>().is_err() && "pdf:b.pdf".parse::<Output>().is_ok());
    }

    #[test]
    fn a_form_that_an_answer_does_not_have_is_refused() {
        let asked = [Output { format: Format::Sarif, file: None }];
        assert!(only(&asked, CI).is_ok() && only(&asked, PROSE).is_err());
    }
}
