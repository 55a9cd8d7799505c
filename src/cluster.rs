//! What do the commands that speak to a cluster share? Which cluster, what is wanted of it, and how it is told.

use crate::blueprint_file;
use crate::commands::emit;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::files;
use crate::images_file;
use crate::session::{Session, variable};
use capstan_apply::{Access, Action, Cluster, Desired, Event, Holder, Looked, PLAN_LABEL, Step, Trouble};
use capstan_backends::kubernetes;
use capstan_types::blueprint::Blueprint;
use capstan_types::spec::OLDEST_KUBERNETES;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// Which cluster, and how it is told.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// The context of the kubeconfig; else the current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// The kubeconfig; else KUBECONFIG, else ~/.kube/config, else the service account of a pod
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<String>,
    /// Digests of images; else those of `images.lock` beside the blueprint, if there is one
    #[arg(long, value_name = "FILE")]
    pub images: Option<String>,
    /// Print one JSON object per line and event
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// Returns how the cluster is reached.
    fn access(&self) -> Access {
        let listed = variable("KUBECONFIG").map(|text| text.split(':').map(str::to_owned).collect());
        let home = || variable("HOME").map(|home| vec![format!("{home}/.kube/config")]);
        let files =
            self.kubeconfig.clone().map(|file| vec![file]).or(listed).or_else(home).unwrap_or_default();
        let in_pod = variable("KUBERNETES_SERVICE_HOST").is_some();
        let no_proxy = variable("NO_PROXY").or_else(|| variable("no_proxy")).unwrap_or_default();
        let no_proxy = no_proxy.split(',').map(str::to_owned).collect();
        Access { files, context: self.context.clone(), in_pod, no_proxy }
    }

    /// Connects and does something with the cluster.
    pub fn with<T>(&self, work: impl AsyncFnOnce(&Cluster) -> Result<T, Trouble>) -> anyhow::Result<T> {
        let access = self.access();
        finish(async move {
            let cluster = Cluster::connect(&access).await?;
            work(&cluster).await
        })
    }
}

/// Runs something to its end, or to an interruption.
fn finish<T>(work: impl Future<Output = Result<T, Trouble>>) -> anyhow::Result<T> {
    match capstan_apply::run(work)? {
        Some(done) => Ok(done.map_err(failure)?),
        None => {
            let text = "interrupted; what is written is remembered, and the next run goes on from there";
            Err(Failure::new(text).exit(Exit::Interrupted).into())
        }
    }
}

/// Returns what a trouble says, and the code that it stands for.
fn failure(trouble: Trouble) -> Failure {
    let exit = if trouble.is_refusal() { Exit::Refused } else { Exit::Failed };
    let failure = Failure::new(trouble.to_string()).exit(exit);
    match trouble.way_out() {
        Some(way) => failure.hint(way),
        None => failure,
    }
}

/// Reads a blueprint and returns what it wants of a cluster.
pub fn desired(path: &str, images: Option<&str>, session: &Session) -> anyhow::Result<(Blueprint, Desired)> {
    let blueprint = blueprint_file::read(path)?;
    blueprint_file::current(&blueprint)?;
    let emitted = kubernetes::emit(&blueprint).map_err(emit::refusal)?;
    let emitted = emitted.pinned(&images_file::of(images, path)?);
    for warning in &emitted.warnings {
        session.warn(&format!("{}: {}", warning.subject, warning.message));
    }
    let objects = capstan_apply::objects(&emitted.manifests).map_err(failure)?;
    let label = objects.first().and_then(|object| object.value["metadata"]["labels"][PLAN_LABEL].as_str());
    let plan = label.unwrap_or_default().to_owned();
    let minor = blueprint.inputs.spec.deploy.as_ref().map_or(OLDEST_KUBERNETES, |deploy| deploy.minor);
    Ok((blueprint, Desired { plan, objects, minor }))
}

/// Returns who holds leases in this run. The name tells the machine, since when it runs, and the process, so that another
/// run on the same machine can tell that this one has ended.
pub fn holder() -> Holder {
    let who = variable("USER").or_else(|| variable("LOGNAME")).unwrap_or_else(|| "capstan".to_owned());
    let host = files::system("/proc/sys/kernel/hostname").unwrap_or_else(|| "this machine".to_owned());
    let process = std::process::id();
    Holder { name: format!("{who} on {host}, {}", name_of(process)), has_ended }
}

/// Returns a name of a process that no other has, also after a restart of the machine.
fn name_of(process: u32) -> String {
    let boot = files::system("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let space = files::link("/proc/self/ns/pid").unwrap_or_default();
    let started = started(process).unwrap_or_default();
    format!("process {process} ({} {space} {started})", boot.get(..8).unwrap_or_default())
}

/// Returns when a process started, in ticks since the machine did (proc(5), field 22 of stat).
fn started(process: u32) -> Option<String> {
    let text = files::system(&format!("/proc/{process}/stat"))?;
    // The name of the program, in brackets, may hold spaces.
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    // Of a killed process that nobody has waited for, only its entry is left.
    let dead = matches!(fields.next()?, "Z" | "X");
    (!dead).then(|| fields.nth(18).map(str::to_owned)).flatten()
}

/// Returns whether a holder ran on this machine and has ended.
fn has_ended(name: &str) -> bool {
    let Some((_, rest)) = name.rsplit_once("process ") else { return false };
    let Some(process) = rest.split(' ').next().and_then(|text| text.parse().ok()) else { return false };
    let identity = |text: &str| {
        let inner = text.split_once('(').map(|(_, inner)| inner.to_owned()).unwrap_or_default();
        inner.rsplit_once(' ').map(|(machine, started)| (machine.to_owned(), started.to_owned()))
    };
    let (theirs, ours) = (identity(rest), identity(&name_of(std::process::id())));
    let (Some((machine, since)), Some((here, _))) = (theirs, ours) else { return false };
    machine == here
        && !machine.trim().is_empty()
        && started(process).as_deref() != Some(since.trim_end_matches(')'))
}

/// Tells events as they happen: as JSON on standard output, or to whoever watches.
pub struct Teller<'a> {
    session: &'a Session,
    json: bool,
    bars: MultiProgress,
    lines: RefCell<BTreeMap<String, ProgressBar>>,
}

impl<'a> Teller<'a> {
    /// One that nobody has heard yet.
    pub fn new(session: &'a Session, json: bool) -> Self {
        Teller { session, json, bars: MultiProgress::new(), lines: RefCell::new(BTreeMap::new()) }
    }

    /// Tells one event. That nobody listens stops nothing: the cluster is what counts.
    pub fn tell(&self, event: Event) {
        if self.json {
            let _ = self.session.print(&line(&event));
            return;
        }
        match event {
            Event::Waiting { object, why } if self.session.err.terminal => {
                self.live(&object.to_string(), &why);
            }
            Event::Ready { object } => {
                if let Some(bar) = self.lines.borrow_mut().remove(&object.to_string()) {
                    bar.finish_and_clear();
                }
            }
            other => self.say(&sentence(&other)),
        }
    }

    /// Shows one line per object that is not at work, as long as it is not.
    fn live(&self, object: &str, why: &str) {
        let mut lines = self.lines.borrow_mut();
        let bar = lines.entry(object.to_owned()).or_insert_with(|| {
            let bar = self.bars.add(ProgressBar::new_spinner());
            bar.set_style(
                ProgressStyle::with_template("{spinner} {elapsed:>4} {msg}")
                    .unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        bar.set_message(format!("{object}: {why}"));
    }

    fn say(&self, text: &str) {
        self.bars.suspend(|| self.session.say(text));
    }
}

/// Returns one line of JSON.
pub fn line<T: Serialize>(value: &T) -> String {
    format!("{}\n", serde_json::to_string(value).expect("events have only string keys"))
}

fn sentence(event: &Event) -> String {
    match event {
        Event::Wave { number, of, objects } => format!("wave {number} of {of}: {objects} objects\n"),
        Event::Wrote { object, action } => format!("  {} {object}\n", action.word()),
        Event::Waiting { object, why } => format!("  waiting for {object}: {why}\n"),
        Event::Ready { object } => format!("  ready: {object}\n"),
        Event::Deleted { object } => format!("  deleted {object}\n"),
        Event::Left { object, why } => format!("  left {object}: {why}\n"),
        Event::Revision { number } => format!("revision {number}\n"),
        Event::Note { text } => format!("warning: {text}\n"),
    }
}

/// Returns what would be done, for people.
pub fn shown(looked: &Looked) -> String {
    let mut text = String::new();
    for step in looked.steps.iter().filter(|step| step.action != Action::Keep) {
        text.push_str(&format!("  {} {}{}\n", step.action.word(), step.object, unchecked(step)));
        text.push_str(&fields(step));
    }
    text
}

fn unchecked(step: &Step) -> &'static str {
    if step.checked { "" } else { " (its namespace or kind comes with an earlier wave)" }
}

/// Returns the fields that differ in an object, one a line.
pub fn fields(step: &Step) -> String {
    let value = |value: &Option<serde_json::Value>| value.as_ref().map_or("none".to_owned(), short);
    let mut text = String::new();
    for change in &step.changes {
        let by = match change.managers.as_slice() {
            [] => String::new(),
            managers => format!(" (by {})", managers.join(", ")),
        };
        text.push_str(&format!(
            "      {}: {} -> {}{by}\n",
            change.field,
            value(&change.live),
            value(&change.wanted)
        ));
    }
    text
}

/// Returns a value that fits on a line.
fn short(value: &serde_json::Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_that_runs_has_not_ended_and_one_elsewhere_is_unknown() {
        let ours = holder().name;
        assert!(!has_ended(&ours), "{ours}");
        let dead = ours.replace(&format!("process {} ", std::process::id()), "process 4194305 ");
        assert!(has_ended(&dead), "{dead}");
        let elsewhere = dead.replace(" (", " (x");
        assert!(!has_ended(&elsewhere), "{elsewhere}");
        assert!(!has_ended("someone else"));
    }
}
