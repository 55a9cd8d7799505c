//! By which names are the pods of a workload known? Regular expressions for queries whose series tell a pod by its name alone.
//!
//! Each is exactly what a controller makes of a name, so that no other workload is meant whose name begins alike: a
//! Deployment adds two parts, a LeaderWorkerSet numbers. Prometheus matches whole names. It knows nothing of queries.

use super::server::{Group, Server};
use super::{Frame, apart, predictor};

/// Letters and digits of what Kubernetes makes up (`k8s.io/apimachinery/pkg/util/rand`): no vowels, nor digits like letters.
const MADE_UP: &str = "[bcdfghjklmnpqrstvwxz2456789]";

/// Letters of a name before what is drawn at random, at most (`MaxGeneratedNameLength` of its name generator).
const LONGEST_BEGINNING: usize = 58;

/// Letters of the digest of a template at most: the digits of 32 bits.
const LONGEST_DIGEST: usize = 10;

/// Returns the pattern of the pods of a service, over all its placements.
pub(super) fn of_service(frame: &Frame<'_>, group: &Group<'_>) -> String {
    let of_each: Vec<String> = match &group.part {
        Some(part) => vec![of_deployment(&apart::deployment(part))],
        None => group.servers.iter().map(|server| of(frame, server)).collect(),
    };
    of_each.join("|")
}

/// Returns the pattern of the pods of a placement.
pub(super) fn of(frame: &Frame<'_>, server: &Server<'_>) -> String {
    if predictor::runs(frame, server) {
        of_deployment(&predictor::deployment(&server.name))
    } else if server.pods_per_replica() > 1 {
        of_leader_worker_set(&server.name)
    } else {
        of_deployment(&server.name)
    }
}

/// A digest of the template and five letters; of a long name the digest is cut, with what stands behind it.
fn of_deployment(name: &str) -> String {
    let room = LONGEST_BEGINNING.saturating_sub(name.len() + 1);
    if room > LONGEST_DIGEST {
        return format!("{name}-{MADE_UP}{{1,{LONGEST_DIGEST}}}-{MADE_UP}{{5}}");
    }
    if room > 1 {
        return format!("{name}-({MADE_UP}{{1,{}}}-|{MADE_UP}{{{room}}}){MADE_UP}{{5}}", room - 1);
    }
    let beginning: String = format!("{name}-").chars().take(LONGEST_BEGINNING).collect();
    format!("{beginning}{MADE_UP}{{{}}}", room + 5)
}

/// The number of the group, and that of the pod in it unless it leads.
fn of_leader_worker_set(name: &str) -> String {
    format!("{name}-[0-9]+(-[0-9]+)?")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_followed_by_what_its_controller_adds_and_by_nothing_else() {
        let drawn = "[bcdfghjklmnpqrstvwxz2456789]";
        assert_eq!(of_deployment("chat"), format!("chat-{drawn}{{1,10}}-{drawn}{{5}}"));
        assert_eq!(of_leader_worker_set("chat-nodes"), "chat-nodes-[0-9]+(-[0-9]+)?");
    }

    /// `NAME-DIGEST-` is cut at 58 letters before five are drawn: of 47 letters and a digest of ten the last dash is lost.
    #[test]
    fn of_a_long_name_the_digest_is_cut() {
        let drawn = "[bcdfghjklmnpqrstvwxz2456789]";
        let (fits, long, longest) = ("a".repeat(46), "a".repeat(47), "a".repeat(52));
        assert_eq!(of_deployment(&fits), format!("{fits}-{drawn}{{1,10}}-{drawn}{{5}}"));
        assert_eq!(of_deployment(&long), format!("{long}-({drawn}{{1,9}}-|{drawn}{{10}}){drawn}{{5}}"));
        assert_eq!(of_deployment(&longest), format!("{longest}-({drawn}{{1,4}}-|{drawn}{{5}}){drawn}{{5}}"));
    }
}
