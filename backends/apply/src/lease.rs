//! Who is at work on a plan? One run at a time, by a Lease that ends by itself if its holder dies.

use crate::api::{Api, Place, Shelf};
use crate::object::PLAN_LABEL;
use crate::store::HOME;
use crate::trouble::Trouble;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease as ClusterLease;
use kube::api::{DeleteParams, Preconditions};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// How long a lease holds without being renewed.
const SECONDS: i64 = 30;

/// How often it is renewed: three chances before it ends.
const RENEWAL: Duration = Duration::from_secs(10);

/// Who holds leases, and how to tell that a holder is no more.
#[derive(Debug, Clone)]
pub struct Holder {
    /// A name that people understand, and that is new with each run.
    pub name: String,
    /// Whether a holder of that name ran on this machine and has ended.
    pub has_ended: fn(&str) -> bool,
}

/// A lease that is held.
pub(crate) struct Lease {
    api: Rc<Api>,
    place: Place,
    holder: String,
    lost: Rc<RefCell<Option<String>>>,
    renewal: tokio::task::JoinHandle<()>,
}

impl Lease {
    /// Takes the lease of a plan, or says who has it.
    pub(crate) async fn take(api: &Rc<Api>, plan: &str, holder: &Holder) -> Result<Self, Trouble> {
        let leases = Shelf::of::<ClusterLease>(&(), Some(HOME));
        let place = leases.at(&format!("plan-{plan}"));
        // Another run may come between reading and writing; each round reads anew.
        for _ in 0..5 {
            let seen = api.get(&place).await?;
            let taken = if seen.status == http::StatusCode::NOT_FOUND {
                api.create(&leases, &lease(plan, &holder.name, None)).await?
            } else if seen.is_ok() {
                free(&seen.body, holder)?;
                api.replace(
                    &place,
                    &lease(plan, &holder.name, seen.body["metadata"]["resourceVersion"].as_str()),
                )
                .await?
            } else {
                return Err(Trouble::Forbidden(format!("reading the lease of the plan: {}", seen.message())));
            };
            if taken.is_ok() {
                return Ok(Self::held(api, place, &holder.name));
            }
            if taken.status != http::StatusCode::CONFLICT {
                return Err(Trouble::Forbidden(format!("taking the lease of the plan: {}", taken.message())));
            }
        }
        Err(Trouble::Busy { holder: "another run".to_owned(), until: "an unknown time".to_owned() })
    }

    fn held(api: &Rc<Api>, place: Place, holder: &str) -> Self {
        let lost = Rc::new(RefCell::new(None));
        let task = renew(Rc::clone(api), place.clone(), holder.to_owned(), Rc::clone(&lost));
        let renewal = tokio::task::spawn_local(task);
        Self { api: Rc::clone(api), place, holder: holder.to_owned(), lost, renewal }
    }

    /// Fails where another run has taken the lease.
    pub(crate) fn check(&self) -> Result<(), Trouble> {
        match self.lost.borrow().as_ref() {
            Some(holder) => Err(Trouble::LeaseLost(holder.clone())),
            None => Ok(()),
        }
    }

    /// Gives it back. That this fails is no failure of the run: the lease ends by itself.
    pub(crate) async fn give_back(self) {
        self.renewal.abort();
        let Ok(seen) = self.api.get(&self.place).await else { return };
        if seen.body["spec"]["holderIdentity"] == self.holder.as_str() {
            let resource_version = seen.body["metadata"]["resourceVersion"].as_str().map(str::to_owned);
            let same = Preconditions { resource_version, ..Preconditions::default() };
            let _ = self.api.delete(&self.place, &DeleteParams::default().preconditions(same)).await;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

/// Renews for ever, until the lease is another's.
async fn renew(api: Rc<Api>, place: Place, holder: String, lost: Rc<RefCell<Option<String>>>) {
    loop {
        tokio::time::sleep(RENEWAL).await;
        let Ok(seen) = api.get(&place).await else { continue };
        let now = seen.body["spec"]["holderIdentity"].as_str().unwrap_or("nobody").to_owned();
        if seen.is_ok() && now == holder {
            let mut wanted = seen.body.clone();
            wanted["spec"]["renewTime"] = json!(stamp(Timestamp::now()));
            let _ = api.replace(&place, &wanted).await;
        } else if seen.is_ok() || seen.status == http::StatusCode::NOT_FOUND {
            *lost.borrow_mut() = Some(now);
            return;
        }
    }
}

/// Returns a lease from now on.
fn lease(plan: &str, holder: &str, version: Option<&str>) -> Value {
    let now = stamp(Timestamp::now());
    let mut lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": format!("plan-{plan}"), "namespace": HOME,
            "labels": { "app.kubernetes.io/managed-by": "capstan", PLAN_LABEL: plan },
        },
        "spec": {
            "holderIdentity": holder, "leaseDurationSeconds": SECONDS, "acquireTime": now, "renewTime": now,
        },
    });
    if let Some(version) = version {
        lease["metadata"]["resourceVersion"] = json!(version);
    }
    lease
}

/// Times of leases have microseconds.
fn stamp(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// Says who holds a lease, unless it may be taken.
fn free(lease: &Value, holder: &Holder) -> Result<(), Trouble> {
    let spec = &lease["spec"];
    let Some(other) = spec["holderIdentity"].as_str().filter(|other| !other.is_empty()) else {
        return Ok(());
    };
    let renewed: Option<Timestamp> = spec["renewTime"].as_str().and_then(|text| text.parse().ok());
    let seconds = spec["leaseDurationSeconds"].as_i64().unwrap_or(SECONDS);
    let until = renewed.and_then(|time| time.checked_add(SignedDuration::from_secs(seconds)).ok());
    let ended = until.is_none_or(|until| until < Timestamp::now());
    if ended || other == holder.name || (holder.has_ended)(other) {
        return Ok(());
    }
    let until = until.map_or_else(String::new, |until| until.to_string());
    Err(Trouble::Busy { holder: other.to_owned(), until })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us() -> Holder {
        Holder { name: "us".to_owned(), has_ended: |name| name == "dead" }
    }

    fn held_by(holder: &str, seconds_ago: i64) -> Value {
        let mut lease = lease("p", holder, None);
        let then = Timestamp::now() - SignedDuration::from_secs(seconds_ago);
        lease["spec"]["renewTime"] = json!(stamp(then));
        lease
    }

    #[test]
    fn a_lease_is_free_when_it_ended_or_its_holder_did() {
        assert!(free(&held_by("other", 31), &us()).is_ok());
        assert!(free(&held_by("dead", 1), &us()).is_ok());
        assert!(free(&held_by("us", 1), &us()).is_ok());
        assert!(free(&held_by("", 1), &us()).is_ok());
        let busy = free(&held_by("other", 1), &us()).expect_err("it is held");
        assert!(busy.to_string().starts_with("other is applying this plan"), "{busy}");
    }

    #[test]
    fn times_have_microseconds() {
        assert_eq!(stamp(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
    }
}
