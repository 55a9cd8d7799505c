//! How does a command say that it could not finish? One place that turns errors into text and an exit code.
//!
//! What is wrong in the user's text is a diagnostic and is not here.

use crate::exit::Exit;
use std::fmt;
use std::io;

/// The end of a command before it is done, with ways out.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    hints: Vec<String>,
}

impl Failure {
    /// Could not finish.
    pub fn new(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Failed, message: message.into(), hints: Vec::new() }
    }

    /// The command line asks for something that cannot be.
    pub fn usage(message: impl Into<String>) -> Self {
        Failure { exit: Exit::Usage, ..Failure::new(message) }
    }

    /// Ends with another code.
    pub fn exit(self, exit: Exit) -> Self {
        Failure { exit, ..self }
    }

    /// Adds a way out.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Returns the exit code of an error and what is said about it; nothing where the reader of our output has gone.
pub fn told(error: &anyhow::Error) -> (Exit, Option<String>) {
    let gone = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    };
    if error.chain().any(gone) {
        return (Exit::Done, None);
    }
    let mut text = format!("error: {error}\n");
    for cause in error.chain().skip(1) {
        text.push_str(&format!("  caused by: {cause}\n"));
    }
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    for hint in failure.iter().flat_map(|failure| &failure.hints) {
        text.push_str(&format!("  = help: {hint}\n"));
    }
    (failure.map_or(Exit::Failed, |failure| failure.exit), Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("writing");
        assert_eq!(told(&error), (Exit::Done, None));
    }

    #[test]
    fn causes_and_hints_follow_the_message() {
        let failure = Failure::new("no such thing").hint("try another");
        let error = Err::<(), _>(failure).context("looking it up").unwrap_err();
        let (exit, text) = told(&error);
        assert_eq!(exit, Exit::Failed);
        let expect = "error: looking it up\n  caused by: no such thing\n  = help: try another\n";
        assert_eq!(text.as_deref(), Some(expect));
    }
}
