//! How is the server spoken to? One request at a time, with patience for what passes and none for what does not.
//!
//! It knows nothing of plans. Credentials stay in the client; no message holds them.

use crate::kubeconfig::{Access, Reach, Secret, reach};
use crate::served::AGGREGATED;
use crate::trouble::Trouble;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WARNING};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use serde_json::Value;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

/// Content type of server-side apply. JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";

/// A wait for a connection, after which a server counts as not there. Origin: Assumed.
const CONNECT: Duration = Duration::from_secs(4);

/// A wait for an answer; the server itself gives up after 60 s, webhooks after at most 30.
const ANSWER: Duration = Duration::from_secs(40);

/// Attempts at a request that meets an overloaded or broken server.
const ATTEMPTS: u32 = 7;

/// A server that is spoken to.
pub struct Api {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    server: String,
    authorization: Option<HeaderValue>,
    /// Whether it has answered before.
    reached: Cell<bool>,
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

impl Api {
    /// Prepares to speak; whether anybody is there shows with the first request.
    pub fn new(access: &Access) -> Result<Self, Trouble> {
        let reach = reach(access)?;
        let server = reach.server.clone();
        let authorization = reach.authorization.as_ref().map(header).transpose()?;
        let mut plain = HttpConnector::new();
        plain.set_connect_timeout(Some(CONNECT));
        plain.set_nodelay(true);
        plain.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(encryption(reach)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(plain);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, server, authorization, reached: Cell::new(false) })
    }

    /// Returns the address of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Asks for what lies at a path.
    pub(crate) async fn get(&self, path: &str) -> Result<Reply, Trouble> {
        self.send(Method::GET, path, "", None).await
    }

    /// Applies an object by the rules of server-side apply.
    pub(crate) async fn apply(&self, path: &str, object: &Value) -> Result<Reply, Trouble> {
        self.send(Method::PATCH, path, APPLY, Some(object)).await
    }

    /// Creates.
    pub(crate) async fn post(&self, path: &str, object: &Value) -> Result<Reply, Trouble> {
        self.send(Method::POST, path, "application/json", Some(object)).await
    }

    /// Replaces; the `resourceVersion` in the object says which state is known.
    pub(crate) async fn put(&self, path: &str, object: &Value) -> Result<Reply, Trouble> {
        self.send(Method::PUT, path, "application/json", Some(object)).await
    }

    /// Deletes.
    pub(crate) async fn delete(&self, path: &str, options: &Value) -> Result<Reply, Trouble> {
        self.send(Method::DELETE, path, "application/json", Some(options)).await
    }

    /// Sends a request until the server has an answer that will not pass.
    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Option<&Value>,
    ) -> Result<Reply, Trouble> {
        let text = body.map(Value::to_string).unwrap_or_default();
        let mut wait = Duration::from_millis(200);
        for attempt in 1.. {
            let last = attempt >= ATTEMPTS;
            match self.once(method.clone(), path, kind, &text).await {
                Ok(reply) if reply.passes() && !last => {
                    let asked = reply.retry_after.map(Duration::from_secs);
                    tokio::time::sleep(asked.unwrap_or(wait).min(Duration::from_secs(10))).await;
                }
                Ok(reply) => return self.judged(reply),
                // One that never answered has a wrong address, or no way leads to it; one that did may be restarting.
                Err(trouble) if last || !self.reached.get() => return Err(trouble),
                Err(_) => tokio::time::sleep(wait).await,
            }
            wait = (wait * 2).min(Duration::from_secs(5));
        }
        unreachable!("the loop ends with its last attempt")
    }

    /// Sends a request once.
    async fn once(&self, method: Method, path: &str, kind: &str, text: &str) -> Result<Reply, Trouble> {
        let aggregated = path == "/api" || path == "/apis";
        let accept = if aggregated { AGGREGATED } else { "application/json" };
        let mut request =
            Request::builder().method(method).uri(format!("{}{path}", self.server)).header(ACCEPT, accept);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let body = Full::new(Bytes::from(text.to_owned()));
        let request = request.body(body).map_err(|error| self.unreachable(&error))?;
        let answer = tokio::time::timeout(ANSWER, async {
            let answer = self.client.request(request).await.map_err(|error| self.unreachable(&error))?;
            let (head, body) = answer.into_parts();
            let bytes = body.collect().await.map_err(|error| self.unreachable(&error))?.to_bytes();
            Ok::<_, Trouble>((head, bytes))
        });
        let late = |_| self.unreachable(&std::io::Error::from(std::io::ErrorKind::TimedOut));
        let (head, bytes) = answer.await.map_err(late)??;
        self.reached.set(true);
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| serde_json::json!({ "message": String::from_utf8_lossy(&bytes).trim() }));
        let header = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        Ok(Reply {
            status: head.status,
            body,
            warnings: head.headers.get_all(WARNING).iter().filter_map(header).filter_map(warned).collect(),
            retry_after: head.headers.get(RETRY_AFTER).and_then(header).and_then(|text| text.parse().ok()),
        })
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> Trouble {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(deeper) = cause {
            let text = deeper.to_string();
            if !why.contains(&text) {
                why = format!("{why}: {text}");
            }
            cause = deeper.source();
        }
        Trouble::Unreachable { server: self.server.clone(), why }
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

/// Returns the header that says who asks.
fn header(secret: &Secret) -> Result<HeaderValue, Trouble> {
    let mut value = HeaderValue::from_str(&secret.0)
        .map_err(|_| Trouble::NoCluster("the token holds characters that no token has".to_owned()))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns how connections are encrypted, and whom they trust.
fn encryption(reach: Reach) -> Result<ClientConfig, Trouble> {
    let wrong = |error: &dyn std::error::Error| Trouble::NoCluster(format!("its certificates: {error}"));
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    if reach.authorities.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    for authority in reach.authorities {
        roots.add(authority).map_err(|error| wrong(&error))?;
    }
    let builder = if reach.insecure {
        builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
    } else {
        builder.with_root_certificates(roots)
    };
    match reach.certificate {
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).map_err(|error| wrong(&error)),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Trusts anybody, where the kubeconfig asks for that (`insecure-skip-tls-verify`).
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
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
        Reply {
            status: StatusCode::from_u16(status).expect("a status"),
            body: serde_json::json!({ "message": message }),
            warnings: Vec::new(),
            retry_after: None,
        }
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
