//! How do objects go? Those that stand on others first, only what is still ours, and nothing that loses data unasked.

use crate::api::Api;
use crate::event::Event;
use crate::object::{Id, PLAN_LABEL, PROTECTED};
use crate::served::Served;
use crate::store::{Entry, Inventory, Store};
use crate::trouble::Trouble;
use http::StatusCode;
use kube::api::{DeleteParams, Preconditions};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// What becomes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The server deletes its object.
    Going,
    /// There is no object of ours any more.
    Forgotten,
    /// It stays, and stays known.
    Stays,
}

/// Deletes what a plan no longer has.
pub(crate) struct Removal<'a> {
    pub(crate) api: &'a Api,
    pub(crate) served: &'a Served,
    pub(crate) store: &'a Store<'a>,
    /// Whether kinds whose deletion loses data go too.
    pub(crate) protected: bool,
    /// How long to wait for each wave at most.
    pub(crate) seconds: u64,
    pub(crate) say: &'a dyn Fn(Event),
    pub(crate) check: &'a dyn Fn() -> Result<(), Trouble>,
}

impl Removal<'_> {
    /// Deletes entries in reverse of their waves; each leaves the inventory once its object is gone.
    pub(crate) async fn remove(&self, entries: &[Entry], inventory: &mut Inventory) -> Result<(), Trouble> {
        let waves: BTreeSet<usize> = entries.iter().map(|entry| entry.wave).collect();
        for wave in waves.into_iter().rev() {
            let mut fates = Vec::new();
            for entry in entries.iter().filter(|entry| entry.wave == wave) {
                (self.check)()?;
                fates.push((entry, self.start(entry).await?));
            }
            for (entry, _) in fates.iter().filter(|(_, fate)| *fate == Fate::Going) {
                self.gone(&entry.id).await?;
            }
            let before = inventory.entries.len();
            let stays = |known: &Entry| {
                !fates.iter().any(|(entry, fate)| *fate != Fate::Stays && entry.id.is_same(&known.id))
            };
            inventory.entries.retain(stays);
            if inventory.entries.len() < before {
                self.store.write(inventory).await?;
            }
        }
        Ok(())
    }

    /// Begins to delete an object.
    async fn start(&self, entry: &Entry) -> Result<Fate, Trouble> {
        let id = &entry.id;
        let left = |why: &str| (self.say)(Event::Left { object: id.clone(), why: why.to_owned() });
        let Some(place) = self.served.place(id) else {
            return Ok(Fate::Forgotten);
        };
        let live = self.api.get(&place).await?;
        if live.status == StatusCode::NOT_FOUND {
            return Ok(Fate::Forgotten);
        }
        let metadata = &live.body["metadata"];
        let theirs = metadata["labels"][PLAN_LABEL] != self.store.plan
            || entry.uid.as_ref().is_some_and(|uid| metadata["uid"] != uid.as_str());
        if theirs {
            left("it is no longer the object that the plan made");
            return Ok(Fate::Forgotten);
        }
        if entry.adopted {
            left("it was there before the plan");
            return Ok(Fate::Forgotten);
        }
        if PROTECTED.contains(&id.kind.as_str()) && !self.protected {
            left("its deletion would lose data; `--protected` deletes it");
            return Ok(Fate::Stays);
        }
        let uid = metadata["uid"].as_str().map(str::to_owned);
        let same = Preconditions { uid, ..Preconditions::default() };
        let deleted = self.api.delete(&place, &DeleteParams::foreground().preconditions(same)).await?;
        if deleted.is_ok() || deleted.status == StatusCode::NOT_FOUND {
            return Ok(Fate::Going);
        }
        Err(crate::look::refusal(id, &deleted))
    }

    /// Waits until an object is gone.
    async fn gone(&self, id: &Id) -> Result<(), Trouble> {
        let Some(place) = self.served.place(id) else { return Ok(()) };
        let began = Instant::now();
        let mut pause = Duration::from_millis(50);
        loop {
            let live = self.api.get(&place).await?;
            let ours = live.is_ok() && live.body["metadata"]["deletionTimestamp"].is_string();
            if !ours {
                (self.say)(Event::Deleted { object: id.clone() });
                return Ok(());
            }
            (self.check)()?;
            if began.elapsed() > Duration::from_secs(self.seconds) {
                let held = &live.body["metadata"]["finalizers"];
                let waiting = vec![format!("{id} is not gone; its finalizers are {held}")];
                return Err(Trouble::TimedOut { seconds: self.seconds, waiting });
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
    }
}
