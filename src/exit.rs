//! What does the exit code say? One table, which the manual prints as well.

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// What was asked is done.
    Done,
    /// It could not be finished: files, syntax, types, units.
    Failed,
    /// It is done, and something changes.
    Changes,
    /// It is done, and a requirement is violated or nothing is feasible.
    Violated,
    /// It is done, with warnings that were to count.
    Warnings,
    /// Applying was refused.
    Refused,
    /// The command line is wrong.
    Usage,
    /// The user interrupted it.
    Interrupted,
    /// A bug of ours.
    Bug,
}

impl Exit {
    /// All of them with what they mean, in the order of precedence: where two hold, the first one is told.
    pub const ALL: [(Exit, &str); 9] = [
        (Exit::Bug, "a bug of ours"),
        (Exit::Usage, "bad command line"),
        (Exit::Interrupted, "interrupted"),
        (
            Exit::Failed,
            "could not finish: files, syntax, types, units, a blueprint that was cut off or edited",
        ),
        (Exit::Refused, "refused: stale, drifted or not approved"),
        (Exit::Violated, "done, and a requirement is violated or nothing is feasible"),
        (Exit::Warnings, "done, with warnings only, under `--fail-on warn`"),
        (Exit::Changes, "done, and something changes (`--detailed-exitcode`, `fmt --check`)"),
        (Exit::Done, "done"),
    ];

    /// Returns the number that the shell sees. 64 is `EX_USAGE` of sysexits, 130 is 128 + SIGINT, 101 is Rust's.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Changes => 2,
            Exit::Violated => 3,
            Exit::Warnings => 4,
            Exit::Refused => 5,
            Exit::Usage => 64,
            Exit::Interrupted => 130,
            Exit::Bug => 101,
        }
    }

    /// Returns the one of two that takes precedence.
    pub fn and(self, other: Exit) -> Exit {
        let rank = |exit| Exit::ALL.iter().position(|&(known, _)| known == exit);
        if rank(other) < rank(self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_is_as_documented() {
        let order = [101, 64, 1, 5, 3, 4, 2, 0];
        let ours: Vec<u8> =
            Exit::ALL.iter().map(|(exit, _)| exit.code()).filter(|&code| code != 130).collect();
        assert_eq!(ours, order);
        for (index, &(high, _)) in Exit::ALL.iter().enumerate() {
            for &(low, _) in &Exit::ALL[index..] {
                assert_eq!((high.and(low), low.and(high)), (high, high));
            }
        }
    }
}
