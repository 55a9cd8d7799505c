//! Manifests → the world: brings a Kubernetes cluster to a plan, and says where it is not there.
//!
//! The only crate besides the root that speaks to a network. It decides nothing of the plan: objects come in as they were
//! emitted, and go to the server by server-side apply under one manager, wave by wave. What it did is told by events; what
//! stood in the way is a [`Trouble`] with the next step.
//!
//! **Invariant:** nothing is written before everything was checked by the server as far as it can; every step can be done
//! again; what was not made by the plan is never deleted.

mod access;
mod api;
mod difference;
mod event;
mod lease;
mod look;
mod object;
mod order;
mod preflight;
mod readiness;
mod remove;
mod run;
mod schema;
mod served;
mod store;
mod trouble;
mod wait;

pub use access::Access;
pub use difference::Change;
pub use event::{Action, Event, Step};
pub use lease::Holder;
pub use look::{Desired, Looked};
pub use object::{Id, MANAGER, Object, PLAN_LABEL, objects};
pub use preflight::Check;
pub use run::Summary;
pub use store::HOME;
pub use trouble::{Conflict, Trouble};

use api::Api;
use served::Served;
use std::future::Future;
use std::rc::Rc;
use store::{Inventory, Store};

/// Runs something that speaks to a cluster, on this thread, until it is done; nothing where somebody interrupts it.
pub fn run<T>(work: impl Future<Output = T>) -> std::io::Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    Ok(local.block_on(&runtime, async {
        let interrupt = tokio::signal::ctrl_c();
        let (work, interrupt) = (std::pin::pin!(work), std::pin::pin!(interrupt));
        match futures_util::future::select(work, interrupt).await {
            futures_util::future::Either::Left((done, _)) => Some(done),
            futures_util::future::Either::Right(_) => None,
        }
    }))
}

/// How an apply is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Whether fields that others hold are taken from them.
    pub force: bool,
    /// Whether kinds whose deletion loses data are deleted too.
    pub protected: bool,
    /// How long to wait for each wave at most, in seconds.
    pub seconds: u64,
}

/// A cluster that is spoken to.
pub struct Cluster {
    api: Rc<Api>,
    served: Rc<Served>,
}

impl Cluster {
    /// Connects and asks what is served.
    pub async fn connect(access: &Access) -> Result<Self, Trouble> {
        let api = Rc::new(Api::new(access).await?);
        let served = Rc::new(Served::by(&api).await?);
        Ok(Self { api, served })
    }

    /// Returns the address of the server.
    pub fn server(&self) -> &str {
        self.api.server()
    }

    fn store<'a>(&'a self, plan: &'a str) -> Store<'a> {
        Store { api: &self.api, plan }
    }

    /// Says whether the cluster can take the plan.
    pub async fn preflight(&self, desired: &Desired) -> Result<Vec<Check>, Trouble> {
        preflight::preflight(&self.api, &self.served, desired).await
    }

    /// Says what would be done, and does nothing. With `force`, fields that others hold count as changes.
    pub async fn look(&self, desired: &Desired, force: bool) -> Result<Looked, Trouble> {
        let (inventory, _) = self.store(&desired.plan).read().await?;
        look::look(&self.api, &self.served, desired, &inventory, force).await
    }

    /// Brings the cluster to what is desired, if that is what was `shown`.
    pub async fn apply(
        &self,
        desired: &Desired,
        options: &Options,
        holder: &Holder,
        shown: Option<&Looked>,
        say: &dyn Fn(Event),
    ) -> Result<Summary, Trouble> {
        run::apply(self, desired, options, holder, shown, say).await
    }

    /// Deletes what the plan made; returns how many objects are gone or given up.
    pub async fn destroy(
        &self,
        plan: &str,
        options: &Options,
        holder: &Holder,
        say: &dyn Fn(Event),
    ) -> Result<usize, Trouble> {
        run::destroy(self, plan, options, holder, say).await
    }

    /// Returns what the plan has in the cluster, as far as it is remembered.
    pub async fn owned(&self, plan: &str) -> Result<Vec<Id>, Trouble> {
        let (inventory, _) = self.store(plan).read().await?;
        Ok(inventory.entries.into_iter().map(|entry| entry.id).collect())
    }

    /// Returns the objects of a kept revision: the one asked for, or the one before the last.
    pub async fn revision(&self, plan: &str, number: Option<u32>) -> Result<(u32, Vec<Object>), Trouble> {
        let store = self.store(plan);
        let (Inventory { revisions, .. }, _) = store.read().await?;
        let found = match number {
            Some(number) => revisions.iter().find(|revision| revision.number == number),
            None => revisions.len().checked_sub(2).and_then(|index| revisions.get(index)),
        };
        let kept = || revisions.iter().map(|revision| revision.number).collect();
        let wanted = || number.map_or_else(|| "before the last".to_owned(), |number| number.to_string());
        let found = found.ok_or_else(|| Trouble::NoRevision { wanted: wanted(), kept: kept() })?;
        Ok((found.number, store.objects(found).await?))
    }
}
