//! How is the server spoken to? One request at a time, with patience for what passes and none for what does not.
//!
//! The crate `kube` builds the requests and speaks; what it does not do is here: to know which failures pass, to bound every
//! wait, and to keep what the server warns of. It knows nothing of plans. Credentials stay in the client; no message holds
//! them.

use crate::access::{self, Access};
use crate::object::MANAGER;
use crate::trouble::Trouble;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER, WARNING};
use http::{Request, StatusCode};
use kube::api::{DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::client::{AuthError, Body};
use kube::core::Resource;
use kube::core::request::{self, Request as Requests};
use kube::{Client, Discovery};
use serde_json::{Value, json};
use std::cell::Cell;
use std::time::Duration;

/// A wait for a connection, after which a server counts as not there. Origin: Assumed.
const CONNECT: Duration = Duration::from_secs(4);

/// A wait for an answer; the server itself gives up after 60 s, webhooks after at most 30.
const ANSWER: Duration = Duration::from_secs(40);

/// Attempts at a request that meets an overloaded or broken server.
const ATTEMPTS: u32 = 7;

/// A server that is spoken to.
pub struct Api {
    client: Client,
    server: String,
    /// The program that gives the credentials, for messages.
    program: Option<String>,
    /// Whether it has answered before.
    reached: Cell<bool>,
}

/// Where objects of one kind lie.
#[derive(Debug, Clone)]
pub(crate) struct Shelf(Requests);

/// Where one object lies.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    shelf: Shelf,
    name: String,
}

impl Shelf {
    /// Returns the shelf of a kind.
    pub(crate) fn of<K: Resource>(kind: &K::DynamicType, namespace: Option<&str>) -> Self {
        Self(Requests::new(K::url_path(kind, namespace)))
    }

    /// Returns the place of an object.
    pub(crate) fn at(&self, name: &str) -> Place {
        Place { shelf: self.clone(), name: name.to_owned() }
    }
}

/// How an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applying {
    /// Whether fields that others hold are taken from them.
    pub(crate) force: bool,
    /// Whether it is only tried.
    pub(crate) dry: bool,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) body: Value,
    /// What it warned of.
    pub(crate) warnings: Vec<String>,
    retry_after: Option<u64>,
}

impl Reply {
    /// Returns an answer of which only this is known.
    fn of(status: StatusCode, message: &str) -> Self {
        Self { status, body: json!({ "message": message }), warnings: Vec::new(), retry_after: None }
    }

    /// Returns what the headers of an answer say besides.
    fn heard(headers: &HeaderMap) -> Self {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        Self {
            warnings: headers.get_all(WARNING).iter().filter_map(text).filter_map(warned).collect(),
            retry_after: headers.get(RETRY_AFTER).and_then(text).and_then(|text| text.parse().ok()),
            ..Self::of(StatusCode::default(), "")
        }
    }

    /// Returns what the server said of a failure.
    pub(crate) fn message(&self) -> String {
        match self.body["message"].as_str() {
            Some(message) if !message.is_empty() => message.to_owned(),
            _ => format!("the answer was {}", self.status),
        }
    }

    /// Returns whether the server found no fault.
    pub(crate) fn is_ok(&self) -> bool {
        self.status.is_success()
    }

    /// Returns whether it is worth asking again. A patch that no schema fits is answered with 500 as well.
    fn passes(&self) -> bool {
        let typed = self.message().contains("failed to create typed patch object");
        match self.status.as_u16() {
            429 | 502 | 503 | 504 => true,
            500 => !typed,
            _ => false,
        }
    }
}

/// What came of one attempt: what was asked for, or an answer that says why not.
type Attempt<T> = Result<T, Reply>;

impl Api {
    /// Prepares to speak; whether anybody is there shows with the first request.
    pub async fn new(access: &Access) -> Result<Self, Trouble> {
        let mut config = access::config(access).await?;
        config.connect_timeout = Some(CONNECT);
        // Which failures pass is for `patiently` to know.
        config.default_retry = false;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let program = access::program(&config.auth_info);
        let client = Client::try_from(config).map_err(|error| match error {
            kube::Error::Auth(error) => access::credentials(&error, program.as_deref()),
            other => Trouble::NoCluster(told(&other)),
        })?;
        Ok(Self { client, server, program, reached: Cell::new(false) })
    }

    /// Returns the address of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Asks for an object.
    pub(crate) async fn get(&self, place: &Place) -> Result<Reply, Trouble> {
        self.send(place.shelf.0.get(&place.name, &GetParams::default())).await
    }

    /// Asks for all objects of a shelf that are selected.
    pub(crate) async fn list(&self, shelf: &Shelf, which: &ListParams) -> Result<Reply, Trouble> {
        self.send(shelf.0.list(which)).await
    }

    /// Applies an object by the rules of server-side apply, strictly and as the one manager.
    pub(crate) async fn apply(&self, place: &Place, how: Applying, object: &Value) -> Result<Reply, Trouble> {
        let mut params = PatchParams::apply(MANAGER).validation_strict();
        (params.force, params.dry_run) = (how.force, how.dry);
        self.send(place.shelf.0.patch(&place.name, &params, &Patch::Apply(object))).await
    }

    /// Creates.
    pub(crate) async fn create(&self, shelf: &Shelf, object: &Value) -> Result<Reply, Trouble> {
        self.send(shelf.0.create(&PostParams::default(), object.to_string().into_bytes())).await
    }

    /// Tries to create, strictly, and creates nothing.
    pub(crate) async fn try_out(&self, shelf: &Shelf, object: &Value) -> Result<Reply, Trouble> {
        let request = Request::post(format!("{}?dryRun=All&fieldValidation=Strict", shelf.0.url_path))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(object.to_string().into_bytes());
        self.send(request.map_err(request::Error::BuildRequest)).await
    }

    /// Replaces; the `resourceVersion` in the object says which state is known.
    pub(crate) async fn replace(&self, place: &Place, object: &Value) -> Result<Reply, Trouble> {
        self.send(place.shelf.0.replace(&place.name, &PostParams::default(), object.to_string().into_bytes()))
            .await
    }

    /// Deletes.
    pub(crate) async fn delete(&self, place: &Place, how: &DeleteParams) -> Result<Reply, Trouble> {
        self.send(place.shelf.0.delete(&place.name, how)).await
    }

    /// Asks for what lies at a path that is no object's.
    pub(crate) async fn read(&self, path: &str) -> Result<Reply, Trouble> {
        self.send(Request::get(path).body(Vec::new()).map_err(request::Error::BuildRequest)).await
    }

    /// Asks which kinds are served, in two requests (aggregated discovery).
    pub(crate) async fn discover(&self) -> Result<Discovery, Trouble> {
        let found = self
            .patiently(async || {
                let asked =
                    tokio::time::timeout(ANSWER, Discovery::new(self.client.clone()).run_aggregated());
                match asked.await.map_err(|_| self.late())? {
                    Ok(found) => {
                        self.reached.set(true);
                        Ok(Ok(found))
                    }
                    Err(kube::Error::Api(status)) => {
                        self.reached.set(true);
                        Ok(Err(Reply::of(
                            StatusCode::from_u16(status.code).unwrap_or_default(),
                            &status.message,
                        )))
                    }
                    Err(error) => Err(self.unreachable(&error)),
                }
            })
            .await?;
        found.map_err(|reply| Trouble::Forbidden(format!("listing what is served: {}", reply.message())))
    }

    /// Sends a request until the server has an answer that will not pass.
    async fn send(&self, request: Result<Request<Vec<u8>>, request::Error>) -> Result<Reply, Trouble> {
        // No name of an object or plan can make a request invalid; the server would say the same.
        let request = request.map_err(|error| self.unreachable(&error))?;
        let answer = self
            .patiently(async || {
                let reply = self.once(request.clone()).await?;
                Ok(if reply.is_ok() { Ok(reply) } else { Err(reply) })
            })
            .await?;
        Ok(answer.unwrap_or_else(|reply| reply))
    }

    /// Tries again as long as what stands in the way passes by itself.
    async fn patiently<T>(
        &self,
        once: impl AsyncFn() -> Result<Attempt<T>, Trouble>,
    ) -> Result<Attempt<T>, Trouble> {
        let mut wait = Duration::from_millis(200);
        for attempt in 1.. {
            let last = attempt >= ATTEMPTS;
            match once().await {
                Ok(Err(reply)) if reply.passes() && !last => {
                    let asked = reply.retry_after.map(Duration::from_secs);
                    tokio::time::sleep(asked.unwrap_or(wait).min(Duration::from_secs(10))).await;
                }
                Ok(Err(reply)) => return self.judged(reply).map(Err),
                Ok(Ok(answer)) => return Ok(Ok(answer)),
                // One that never answered has a wrong address, or no way leads to it; one that did may be restarting.
                Err(trouble) if last || !self.reached.get() => return Err(trouble),
                Err(trouble @ Trouble::NoCluster(_)) => return Err(trouble),
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(Duration::from_secs(5));
        }
        unreachable!("the loop ends with its last attempt")
    }

    /// Sends a request once.
    async fn once(&self, request: Request<Vec<u8>>) -> Result<Reply, Trouble> {
        let answer = tokio::time::timeout(ANSWER, async {
            let answer = self.client.send(request.map(Body::from)).await;
            let (head, body) = answer.map_err(|error| self.unreachable(&error))?.into_parts();
            let bytes = body.collect_bytes().await.map_err(|error| self.unreachable(&error))?;
            Ok::<_, Trouble>((head, bytes))
        });
        let (head, bytes) = answer.await.map_err(|_| self.late())??;
        self.reached.set(true);
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| json!({ "message": String::from_utf8_lossy(&bytes).trim() }));
        Ok(Reply { status: head.status, body, ..Reply::heard(&head.headers) })
    }

    fn late(&self) -> Trouble {
        self.unreachable(&std::io::Error::from(std::io::ErrorKind::TimedOut))
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Trouble {
        let mut cause = Some(error);
        while let Some(deeper) = cause {
            // What a program said is not passed on.
            if let Some(error) = deeper.downcast_ref::<AuthError>() {
                return access::credentials(error, self.program.as_deref());
            }
            cause = deeper.source();
        }
        Trouble::Unreachable { server: self.server.clone(), why: told(error) }
    }

    /// Turns answers about who asks into trouble; all others are for the caller.
    fn judged(&self, reply: Reply) -> Result<Reply, Trouble> {
        match reply.status.as_u16() {
            401 => Err(Trouble::Unknown { server: self.server.clone(), why: reply.message() }),
            429 | 502..=504 => {
                Err(Trouble::Unreachable { server: self.server.clone(), why: reply.message() })
            }
            _ => Ok(reply),
        }
    }
}

/// Returns an error with what caused it, each once.
fn told(error: &dyn std::error::Error) -> String {
    let mut why = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        let text = deeper.to_string();
        if !why.contains(&text) {
            why = format!("{why}: {text}");
        }
        cause = deeper.source();
    }
    why
}

/// Returns the text of a `Warning` header, such as `299 - "would violate PodSecurity"`.
fn warned(header: String) -> Option<String> {
    let (_, rest) = header.split_once('"')?;
    let (text, _) = rest.rsplit_once('"')?;
    Some(text.replace("\\\"", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, message: &str) -> Reply {
        Reply::of(StatusCode::from_u16(status).expect("a status"), message)
    }

    #[test]
    fn only_what_passes_is_asked_again() {
        for status in [429, 500, 502, 503, 504] {
            assert!(reply(status, "etcdserver: leader changed").passes(), "{status}");
        }
        for status in [200, 400, 401, 403, 404, 409, 422] {
            assert!(!reply(status, "no").passes(), "{status}");
        }
        let schema = "failed to create typed patch object (a/b; v1): .spec.x: field not declared in schema";
        assert!(!reply(500, schema).passes());
    }

    #[test]
    fn a_warning_is_read_from_its_header() {
        let header = r#"299 - "would violate PodSecurity \"restricted\"""#.to_owned();
        assert_eq!(warned(header).as_deref(), Some(r#"would violate PodSecurity "restricted""#));
        assert_eq!(warned("299 -".to_owned()), None);
    }
}
