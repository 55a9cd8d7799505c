//! Is what a plan stands on what the lock beside it pins? `plan.lock`: catalogs, prices and models by digest and date.
//!
//! The plan itself and its traces are not pinned: they lie in the same folder and change in the same review.

use crate::catalogs::start;
use crate::files::Folder;
use capstan_lang::{Diagnostic, codes};
use capstan_types::blueprint::InputFile;
use capstan_types::lock::{LOCK_FORMAT, Lock, Pin};

/// Name of the file, in the folder of the plans that it is for.
pub const NAME: &str = "plan.lock";

/// What is pinned of the inputs of a plan.
const PINNED: [&str; 3] = ["catalog", "model", "prices"];

/// Returns what is to be pinned of the inputs of a plan, without dates, with paths from the folder.
pub fn pins(inputs: &[InputFile], folder: &Folder) -> Vec<Pin> {
    let pinned = inputs.iter().filter(|input| PINNED.contains(&input.role.as_str()));
    let mut pins: Vec<Pin> = pinned
        .map(|input| Pin {
            role: input.role.clone(),
            path: folder.inside(&input.path),
            sha256: input.sha256.clone(),
            newest_price: None,
        })
        .collect();
    pins.sort();
    pins.dedup();
    pins
}

/// Reads a lock, or says why it is none.
pub fn read(bytes: &[u8]) -> Result<Lock, String> {
    let lock: Lock = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if lock.format != LOCK_FORMAT {
        return Err(format!("it has format {}, and this version reads format {LOCK_FORMAT}", lock.format));
    }
    Ok(lock)
}

/// Returns the text of a lock.
pub fn text(lock: &Lock) -> String {
    let mut text = serde_json::to_string_pretty(lock).expect("a lock is plain data");
    text.push('\n');
    text
}

/// Returns one mistake for each input that is not what the lock pins.
pub fn stale(plan: &str, bytes: &[u8], inputs: &[Pin]) -> Vec<Diagnostic> {
    let refresh = format!("`capstan lock --update {plan}` takes everything as it is now");
    let mistake =
        |message: String| Diagnostic::error(codes::STALE_LOCK, start(plan), message).help(refresh.clone());
    let lock = match read(bytes) {
        Ok(lock) => lock,
        Err(why) => return vec![mistake(format!("`{NAME}` beside the plan cannot be read: {why}"))],
    };
    let wrong = |input: &Pin| {
        let known = lock.pins.iter().find(|pin| pin.role == input.role && pin.path == input.path);
        let Pin { role, path, sha256, .. } = input;
        match known {
            None => Some(format!("the {role} `{path}` is not in `{NAME}`")),
            Some(pin) if pin.sha256 != *sha256 => {
                let short = |digest: &str| digest.chars().take(12).collect::<String>();
                let (was, is) = (short(&pin.sha256), short(sha256));
                Some(format!("the {role} `{path}` has changed: `{NAME}` pins {was}…, it is {is}…"))
            }
            Some(_) => None,
        }
    };
    inputs.iter().filter_map(wrong).map(mistake).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pin(path: &str, sha256: &str) -> Pin {
        let (role, path, sha256) = ("prices".to_owned(), path.to_owned(), sha256.to_owned());
        Pin { role, path, sha256, newest_price: None }
    }

    #[test]
    fn what_is_pinned_and_the_same_is_no_mistake() {
        let lock = text(&Lock { format: LOCK_FORMAT, pins: vec![pin("a.toml", "aa"), pin("b.toml", "bb")] });
        assert_eq!(stale("x.plan", lock.as_bytes(), &[pin("b.toml", "bb")]), []);
        let found = stale("x.plan", lock.as_bytes(), &[pin("b.toml", "bc"), pin("c.toml", "cc")]);
        assert_eq!(found.len(), 2);
        assert!(found[0].message.contains("has changed") && found[1].message.contains("is not in"));
        assert!(found[0].help.as_deref().is_some_and(|help| help.contains("capstan lock --update x.plan")));
    }

    #[test]
    fn a_lock_that_is_none_is_a_mistake() {
        for bytes in [&b""[..], b"{", b"[]", b"{\"format\":9,\"pins\":[]}", b"\xff"] {
            assert_eq!(stale("x.plan", bytes, &[]).len(), 1);
        }
    }
}
