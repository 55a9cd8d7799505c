//! How is a cluster brought to a plan, and how does it go back?
//!
//! Every step can be done again: what was killed is run again, and ends at the same objects.

use crate::api::Applying;
use crate::event::{Action, Event};
use crate::lease::{Holder, Lease};
use crate::look::{AT_ONCE, Desired, Looked, look, refusal};
use crate::object::{Id, Object};
use crate::remove::Removal;
use crate::served::Served;
use crate::store::{Entry, Inventory, Store};
use crate::trouble::Trouble;
use crate::wait::Patience;
use crate::{Cluster, Options};
use futures_util::StreamExt;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How long kinds may take to be served after their definitions are; 168 definitions took 7 s.
const DISCOVERY: Duration = Duration::from_secs(60);

/// What an apply did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Objects that were written.
    pub written: usize,
    /// Objects that were as they should be.
    pub kept: usize,
    /// Objects that the plan no longer had.
    pub pruned: usize,
    /// The revision that runs now.
    pub revision: u32,
}

/// What everything under a lease needs.
struct Run<'a> {
    cluster: &'a Cluster,
    served: RefCell<Rc<Served>>,
    desired: &'a Desired,
    options: &'a Options,
    say: &'a dyn Fn(Event),
    lease: &'a Lease,
}

/// Brings the cluster to what is desired; `shown` is what somebody has agreed to.
pub(crate) async fn apply(
    cluster: &Cluster,
    desired: &Desired,
    options: &Options,
    holder: &Holder,
    shown: Option<&Looked>,
    say: &dyn Fn(Event),
) -> Result<Summary, Trouble> {
    let store = cluster.store(&desired.plan);
    store.settle().await?;
    let lease = Lease::take(&cluster.api, &desired.plan, holder).await?;
    let served = RefCell::new(Rc::clone(&cluster.served));
    let run = Run { cluster, served, desired, options, say, lease: &lease };
    let done = run.all(&store, shown).await;
    lease.give_back().await;
    done
}

/// Deletes everything that a plan has in the cluster.
pub(crate) async fn destroy(
    cluster: &Cluster,
    plan: &str,
    options: &Options,
    holder: &Holder,
    say: &dyn Fn(Event),
) -> Result<usize, Trouble> {
    let store = cluster.store(plan);
    let (mut inventory, version) = store.read().await?;
    if version.is_none() {
        return Ok(0);
    }
    let lease = Lease::take(&cluster.api, plan, holder).await?;
    let check = || lease.check();
    let removal = Removal {
        api: &cluster.api,
        served: &cluster.served,
        store: &store,
        protected: options.protected,
        seconds: options.seconds,
        say,
        check: &check,
    };
    let entries = inventory.entries.clone();
    let done = removal.remove(&entries, &mut inventory).await;
    let tidied = match done {
        Ok(()) if inventory.entries.is_empty() => store.tidy(&[], true).await,
        other => other,
    };
    lease.give_back().await;
    tidied.map(|()| entries.len() - inventory.entries.len())
}

impl Run<'_> {
    async fn all(&self, store: &Store<'_>, shown: Option<&Looked>) -> Result<Summary, Trouble> {
        let (inventory, _) = store.read().await?;
        let served = self.served();
        let force = self.options.force;
        let looked = look(&self.cluster.api, &served, self.desired, &inventory, force).await?;
        self.as_shown(&looked, shown)?;
        for step in &looked.steps {
            for text in &step.warnings {
                (self.say)(Event::Note { text: format!("{}: {text}", step.object) });
            }
        }
        let revisions = store.keep(&self.desired.objects, &inventory.revisions).await?;
        let entries = inventory.with(&looked.entries);
        let mut now = Inventory { entries, revisions };
        store.write(&now).await?;
        let number = now.revisions.last().map_or(0, |last| last.number);
        if inventory.revisions.last().map(|last| last.number) != Some(number) {
            (self.say)(Event::Revision { number });
        }
        let written = self.waves(&looked, &mut now).await?;
        let (before, leaving) = (now.entries.len(), &looked.leaving);
        self.prune(store, leaving, &mut now).await?;
        let pruned = before - now.entries.len();
        store.write(&now).await?;
        store.tidy(&now.revisions, false).await?;
        let kept = self.desired.objects.len() - written;
        Ok(Summary { written, kept, pruned, revision: number })
    }

    fn served(&self) -> Rc<Served> {
        Rc::clone(&self.served.borrow())
    }

    /// Fails where other things would be done than were shown.
    fn as_shown(&self, looked: &Looked, shown: Option<&Looked>) -> Result<(), Trouble> {
        let Some(shown) = shown else { return Ok(()) };
        let moved = looked.steps.iter().find(|step| {
            let same = |other: &&crate::event::Step| {
                other.object == step.object && other.action == step.action && other.changes == step.changes
            };
            !shown.steps.iter().any(|other| same(&other))
        });
        moved.map_or(Ok(()), |step| Err(Trouble::Moved(step.object.to_string())))
    }

    /// Writes what is to be written wave by wave, and waits for all of each; returns how many were written.
    async fn waves(&self, looked: &Looked, inventory: &mut Inventory) -> Result<usize, Trouble> {
        let mut written = 0;
        for (index, wave) in looked.waves.iter().enumerate() {
            self.lease.check()?;
            let to_write: Vec<(&Object, Action)> =
                wave.iter().filter_map(|object| Some((object, self.action(looked, &object.id)?))).collect();
            if !to_write.is_empty() {
                (self.say)(Event::Wave { number: index + 1, of: looked.waves.len(), objects: wave.len() });
            }
            self.kinds_are_served(&to_write).await?;
            let served = self.served();
            let writes = to_write.iter().map(|(object, action)| self.write(&served, object, *action));
            let uids: Vec<Result<(Id, Option<String>), Trouble>> =
                futures_util::stream::iter(writes).buffered(AT_ONCE).collect().await;
            for uid in uids {
                let (id, uid) = uid?;
                written += 1;
                let known = |entry: &&mut Entry| entry.id.is_same(&id);
                if let Some(entry) = inventory.entries.iter_mut().find(known) {
                    entry.uid = uid;
                }
            }
            let check = || self.lease.check();
            let patience = Patience {
                api: &self.cluster.api,
                served: &served,
                seconds: self.options.seconds,
                say: self.say,
                check: &check,
            };
            patience.wait(wave).await?;
        }
        Ok(written)
    }

    /// Returns what is to be done with an object, if anything.
    fn action(&self, looked: &Looked, id: &Id) -> Option<Action> {
        let step = looked.steps.iter().find(|step| step.object == *id)?;
        (step.action != Action::Keep).then_some(step.action)
    }

    async fn write(
        &self,
        served: &Served,
        object: &Object,
        action: Action,
    ) -> Result<(Id, Option<String>), Trouble> {
        let id = &object.id;
        let place = served
            .place(id)
            .ok_or_else(|| Trouble::NotServed(vec![format!("{} {}", id.api_version, id.kind)]))?;
        let how = Applying { force: self.options.force, dry: false };
        let done = self.cluster.api.apply(&place, how, &object.value).await?;
        if !done.is_ok() {
            return Err(refusal(id, &done));
        }
        (self.say)(Event::Wrote { object: id.clone(), action });
        Ok((id.clone(), done.body["metadata"]["uid"].as_str().map(str::to_owned)))
    }

    /// Looks again at what is served until it holds every kind of a wave: definitions take a while to be served.
    async fn kinds_are_served(&self, wave: &[(&Object, Action)]) -> Result<(), Trouble> {
        let began = Instant::now();
        loop {
            let served = self.served();
            let missing: Vec<String> = wave
                .iter()
                .filter(|(object, _)| !served.has(&object.id))
                .map(|(object, _)| format!("{} {}", object.id.api_version, object.id.kind))
                .collect();
            if missing.is_empty() {
                return Ok(());
            }
            if began.elapsed() > DISCOVERY {
                return Err(Trouble::NotServed(missing));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            *self.served.borrow_mut() = Rc::new(Served::by(&self.cluster.api).await?);
        }
    }

    async fn prune(
        &self,
        store: &Store<'_>,
        leaving: &[Entry],
        inventory: &mut Inventory,
    ) -> Result<(), Trouble> {
        let check = || self.lease.check();
        let served = self.served();
        let removal = Removal {
            api: &self.cluster.api,
            served: &served,
            store,
            protected: self.options.protected,
            seconds: self.options.seconds,
            say: self.say,
            check: &check,
        };
        removal.remove(leaving, inventory).await
    }
}
