//! Which bytes does a registry have under the name of an image? One question to its HTTP interface (the distribution
//! specification of the Open Container Initiative), with an anonymous token where it asks for one.
//!
//! Speaks TLS, but to this machine itself as container engines do. No credential is ever sent.

use capstan_types::images::is_digest;
use std::net::IpAddr;
use std::time::Duration;
use ureq::http::{Response, Uri, header};
use ureq::{Agent, Body};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Largest manifest that is read: the specification asks registries for 4 MiB.
const LARGEST: u64 = 4 << 20;

/// Kinds of manifests: lists for several platforms first.
const KINDS: &str = "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json, \
                     application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";

/// The registry of names without one, and where it is asked.
const DOCKER: &str = "docker.io";
const DOCKER_HOST: &str = "registry-1.docker.io";

/// Why a digest is not known.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The name says no tag.
    #[error("it has no tag")]
    NoTag,
    /// No answer.
    #[error("{host} does not answer: {why}")]
    Unreachable {
        /// Who was asked.
        host: String,
        /// What the connection said.
        why: String,
    },
    /// An answer that is none.
    #[error("{host} answers {status}")]
    Refused {
        /// Who was asked.
        host: String,
        /// Its status.
        status: u16,
    },
    /// It wants a token from somewhere that cannot be trusted, or says nothing about it.
    #[error("{host} asks for a token that cannot be had")]
    NoToken {
        /// Who was asked.
        host: String,
    },
    /// The bytes are not those of the digest that it tells.
    #[error("{host} tells the digest {told} for bytes with the digest {found}")]
    Differs {
        /// Who was asked.
        host: String,
        /// What it tells.
        told: String,
        /// What its bytes have.
        found: String,
    },
}

/// The parts of the name of an image.
#[derive(Debug, PartialEq, Eq)]
struct Name<'a> {
    registry: &'a str,
    repository: String,
    tag: &'a str,
}

/// Takes a name apart as container engines do: its first part is a registry where that looks like a host.
fn parsed(image: &str) -> Option<Name<'_>> {
    let (path, tag) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'))?;
    let first = path.split_once('/').filter(|(host, _)| host.contains(['.', ':']) || *host == "localhost");
    let (registry, rest) = first.unwrap_or((DOCKER, path));
    let official = registry == DOCKER && !rest.contains('/');
    let repository = if official { format!("library/{rest}") } else { rest.to_owned() };
    (!repository.is_empty() && !tag.is_empty()).then_some(Name { registry, repository, tag })
}

/// Whom to ask.
pub struct Registry {
    agent: Agent,
    /// A mirror or cache that is asked for everything.
    mirror: Option<String>,
}

/// Returns whether a host is this machine itself.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => name,
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost" || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl Registry {
    /// Returns the registries that names say, or a mirror of all.
    pub fn new(mirror: Option<String>) -> Registry {
        let config = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false);
        Registry { agent: config.build().into(), mirror }
    }

    /// Returns who is asked for an image, and the digest that it has there.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub fn digest(&self, image: &str) -> Result<(String, String), RegistryError> {
        let name = parsed(image).ok_or(RegistryError::NoTag)?;
        let own = if name.registry == DOCKER { DOCKER_HOST } else { name.registry };
        let host = self.mirror.clone().unwrap_or_else(|| own.to_owned());
        let scheme = if is_here(&host) { "http" } else { "https" };
        // A cache of several registries is told which one is meant, as containerd does.
        let meant = self.mirror.as_ref().map_or_else(String::new, |_| format!("?ns={}", name.registry));
        let url = format!("{scheme}://{host}/v2/{}/manifests/{}{meant}", name.repository, name.tag);
        let mut answer = self.get(&url, &host, None)?;
        if answer.status() == 401 {
            let token = self.token(&answer, &host)?;
            answer = self.get(&url, &host, Some(&token))?;
        }
        if answer.status() != 200 {
            return Err(RegistryError::Refused { host, status: answer.status().as_u16() });
        }
        let told = answer.headers().get("docker-content-digest").and_then(|told| told.to_str().ok());
        let told = told.map(str::to_owned);
        let bytes = answer.body_mut().with_config().limit(LARGEST).read_to_vec();
        let bytes = bytes
            .map_err(|error| RegistryError::Unreachable { host: host.clone(), why: error.to_string() })?;
        let found = format!("sha256:{}", crate::files::sha256(&bytes));
        match told {
            Some(told) if told != found && is_digest(&told) => {
                Err(RegistryError::Differs { host, told, found })
            }
            _ => Ok((host, found)),
        }
    }

    fn get(&self, url: &str, host: &str, token: Option<&str>) -> Result<Response<Body>, RegistryError> {
        let mut request = self.agent.get(url).header(header::ACCEPT, KINDS);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request
            .call()
            .map_err(|error| RegistryError::Unreachable { host: host.to_owned(), why: error.to_string() })
    }

    /// Returns the token that anybody gets who asks where the registry says.
    fn token(&self, answer: &Response<Body>, host: &str) -> Result<String, RegistryError> {
        let refused = || RegistryError::NoToken { host: host.to_owned() };
        let asked = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|asked| asked.to_str().ok());
        let asked = asked.and_then(|asked| asked.strip_prefix("Bearer ")).ok_or_else(refused)?;
        let realm = part(asked, "realm").ok_or_else(refused)?;
        let uri: Uri = realm.parse().map_err(|_| refused())?;
        let from = uri.authority().map(|authority| authority.as_str()).unwrap_or_default();
        if uri.scheme_str() != Some("https") && !is_here(from) {
            return Err(refused());
        }
        let mut request = self.agent.get(realm);
        for name in ["service", "scope"] {
            if let Some(value) = part(asked, name) {
                request = request.query(name, value);
            }
        }
        let mut answer = request
            .call()
            .map_err(|error| RegistryError::Unreachable { host: from.to_owned(), why: error.to_string() })?;
        let bytes = answer.body_mut().with_config().limit(LARGEST).read_to_vec().map_err(|_| refused())?;
        let told: serde_json::Value = serde_json::from_slice(&bytes).map_err(|_| refused())?;
        let token = told["token"].as_str().or_else(|| told["access_token"].as_str());
        // What a header cannot hold is no token.
        token
            .filter(|token| token.bytes().all(|byte| byte.is_ascii_graphic()))
            .map(str::to_owned)
            .ok_or_else(refused)
    }
}

/// Returns the value of a part of a challenge such as `realm="…",service="…"`.
fn part<'a>(challenge: &'a str, name: &str) -> Option<&'a str> {
    let start = challenge.find(&format!("{name}=\""))? + name.len() + 2;
    let rest = &challenge[start..];
    rest.find('"').map(|end| &rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart_as_container_engines_do() {
        let name = |image| {
            parsed(image).map(|name| (name.registry.to_owned(), name.repository, name.tag.to_owned()))
        };
        let parts = |registry: &str, repository: &str, tag: &str| {
            Some((registry.to_owned(), repository.to_owned(), tag.to_owned()))
        };
        assert_eq!(name("redis:7"), parts("docker.io", "library/redis", "7"));
        assert_eq!(name("vllm/vllm-openai:v0.19.0"), parts("docker.io", "vllm/vllm-openai", "v0.19.0"));
        assert_eq!(name("nvcr.io/nvidia/x:1"), parts("nvcr.io", "nvidia/x", "1"));
        assert_eq!(name("localhost:5000/x:1"), parts("localhost:5000", "x", "1"));
        assert_eq!(name("docker.io/grafana/k6:1.4.0"), parts("docker.io", "grafana/k6", "1.4.0"));
        assert_eq!(name("nvcr.io:443/x"), None);
        assert_eq!(name("redis"), None);
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        assert!(is_here("127.0.0.1:5000") && is_here("localhost") && is_here("[::1]:5000"));
        assert!(
            !is_here("localhost.example.org")
                && !is_here("registry.example.org:5000")
                && !is_here("127.example.org")
        );
    }

    #[test]
    fn a_challenge_has_parts() {
        let asked = "realm=\"https://auth.example/token\",service=\"r\",scope=\"repository:a/b:pull\"";
        assert_eq!(part(asked, "service"), Some("r"));
        assert_eq!(part(asked, "scope"), Some("repository:a/b:pull"));
        assert_eq!(part(asked, "nothing"), None);
    }
}
