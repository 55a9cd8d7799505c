//! How is a cluster reached? The files that `kubectl` reads: addresses, certificates, tokens, programs that give tokens.
//!
//! What is secret is never shown: neither by `Debug` nor in a message. Not read: proxies, and the login plugins that
//! `kubectl` itself gave up (`auth-provider`).

use crate::trouble::Trouble;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The files, the first that names a thing decides.
    pub files: Vec<String>,
    /// A context of them; else the current one.
    pub context: Option<String>,
    /// Address of the server as a pod sees it, where this runs in one.
    pub in_cluster: Option<String>,
}

/// Text that is not shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// How a server is reached.
#[derive(Debug)]
pub(crate) struct Reach {
    pub(crate) server: String,
    pub(crate) authorities: Vec<CertificateDer<'static>>,
    pub(crate) insecure: bool,
    pub(crate) certificate: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    pub(crate) authorization: Option<Secret>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct File {
    current_context: Option<String>,
    clusters: Vec<Named>,
    users: Vec<Named>,
    contexts: Vec<Named>,
    #[serde(skip)]
    folder: PathBuf,
}

/// A row of any of the three lists.
#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    cluster: Option<Cluster>,
    #[serde(default)]
    user: Option<User>,
    #[serde(default)]
    context: Option<Context>,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<String>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<String>,
    client_certificate: Option<String>,
    client_certificate_data: Option<String>,
    client_key: Option<String>,
    client_key_data: Option<String>,
    username: Option<String>,
    password: Option<String>,
    exec: Option<Exec>,
}

/// A program that gives a token or a certificate (client.authentication.k8s.io).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Exec {
    command: String,
    #[serde(default)]
    args: Option<Vec<String>>,
    #[serde(default)]
    env: Option<Vec<Variable>>,
    api_version: String,
}

#[derive(Deserialize)]
struct Variable {
    name: String,
    value: String,
}

#[derive(Deserialize)]
struct Credential {
    status: CredentialStatus,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CredentialStatus {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

fn none(why: impl Into<String>) -> Trouble {
    Trouble::NoCluster(why.into())
}

/// Where a pod finds its own credentials (kubernetes.io, accessing the API from a pod).
const POD: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Returns how the cluster is reached.
pub(crate) fn reach(access: &Access) -> Result<Reach, Trouble> {
    let files: Vec<File> = access
        .files
        .iter()
        .filter(|path| Path::new(path).exists())
        .map(|path| read(path))
        .collect::<Result<_, _>>()?;
    if files.is_empty() {
        return match &access.in_cluster {
            Some(server) if access.context.is_none() => in_pod(server),
            _ => Err(none(format!("none of the files {} exists", access.files.join(", ")))),
        };
    }
    let current =
        || files.iter().find_map(|file| file.current_context.clone().filter(|name| !name.is_empty()));
    let name = access.context.clone().or_else(current).ok_or_else(|| none("no context is current"))?;
    let (_, context) = find(&files, |file| &file.contexts, &name, |row| row.context.as_ref())
        .ok_or_else(|| none(format!("there is no context `{name}`; there are {}", contexts(&files))))?;
    let (folder, cluster) = find(&files, |file| &file.clusters, &context.cluster, |row| row.cluster.as_ref())
        .ok_or_else(|| {
            none(format!("context `{name}` names the cluster `{}`, which is not there", context.cluster))
        })?;
    let user = find(&files, |file| &file.users, &context.user, |row| row.user.as_ref());
    if user.is_none() && !context.user.is_empty() {
        return Err(none(format!("context `{name}` names the user `{}`, who is not there", context.user)));
    }
    let authorities = match (&cluster.certificate_authority_data, &cluster.certificate_authority) {
        (Some(data), _) => certificates(&decoded(data, "the certificate authority")?)?,
        (None, Some(path)) => certificates(&bytes(&folder.join(path))?)?,
        (None, None) => Vec::new(),
    };
    let mut reach = Reach {
        server: cluster.server.trim_end_matches('/').to_owned(),
        authorities,
        insecure: cluster.insecure_skip_tls_verify,
        certificate: None,
        authorization: None,
    };
    if let Some((folder, user)) = user {
        identify(&mut reach, &folder, user)?;
    }
    Ok(reach)
}

fn contexts(files: &[File]) -> String {
    let names: Vec<&str> =
        files.iter().flat_map(|file| &file.contexts).map(|context| context.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn find<'a, T>(
    files: &'a [File],
    list: impl Fn(&'a File) -> &'a Vec<Named>,
    name: &str,
    of: impl Fn(&'a Named) -> Option<&'a T>,
) -> Option<(PathBuf, &'a T)> {
    files.iter().find_map(|file| {
        let row = list(file).iter().find(|row| row.name == name)?;
        Some((file.folder.clone(), of(row)?))
    })
}

fn read(path: &str) -> Result<File, Trouble> {
    let text = fs::read_to_string(path).map_err(|error| none(format!("`{path}`: {error}")))?;
    // The place of a mistake is told, not the line: it may hold a token.
    let mut file: File =
        serde_saphyr::from_str(&text).map_err(|_| none(format!("`{path}` is no kubeconfig")))?;
    file.folder = Path::new(path).parent().map(Path::to_owned).unwrap_or_default();
    Ok(file)
}

fn in_pod(server: &str) -> Result<Reach, Trouble> {
    let folder = Path::new(POD);
    Ok(Reach {
        server: server.to_owned(),
        authorities: certificates(&bytes(&folder.join("ca.crt"))?)?,
        insecure: false,
        certificate: None,
        authorization: Some(bearer(&text(&folder.join("token"))?)),
    })
}

/// Adds who asks.
fn identify(reach: &mut Reach, folder: &Path, user: &User) -> Result<(), Trouble> {
    let part = |data: &Option<String>, path: &Option<String>, what: &str| match (data, path) {
        (Some(data), _) => decoded(data, what).map(Some),
        (None, Some(path)) => bytes(&folder.join(path)).map(Some),
        (None, None) => Ok(None),
    };
    let certificate =
        part(&user.client_certificate_data, &user.client_certificate, "the client certificate")?;
    let key = part(&user.client_key_data, &user.client_key, "the client key")?;
    if let (Some(certificate), Some(key)) = (certificate, key) {
        reach.certificate = Some((certificates(&certificate)?, private(&key)?));
    }
    let token = match (&user.token_file, &user.token) {
        (Some(path), _) => Some(text(&folder.join(path))?),
        (None, token) => token.clone(),
    };
    if let Some(token) = token.filter(|token| !token.is_empty()) {
        reach.authorization = Some(bearer(&token));
    } else if let (Some(name), Some(password)) = (&user.username, &user.password) {
        reach.authorization =
            Some(Secret(format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))));
    } else if let Some(exec) = &user.exec {
        let given = ask(exec)?;
        reach.authorization = given.token.as_deref().map(bearer).or(reach.authorization.take());
        if let (Some(certificate), Some(key)) = (given.client_certificate_data, given.client_key_data) {
            reach.certificate = Some((certificates(certificate.as_bytes())?, private(key.as_bytes())?));
        }
    }
    Ok(())
}

fn bearer(token: &str) -> Secret {
    Secret(format!("Bearer {}", token.trim()))
}

/// Runs the program that gives credentials.
fn ask(exec: &Exec) -> Result<CredentialStatus, Trouble> {
    let info = format!(
        r#"{{"apiVersion":"{}","kind":"ExecCredential","spec":{{"interactive":false}}}}"#,
        exec.api_version
    );
    let mut command = Command::new(&exec.command);
    command.args(exec.args.iter().flatten()).env("KUBERNETES_EXEC_INFO", info).stdin(Stdio::null());
    for variable in exec.env.iter().flatten() {
        command.env(&variable.name, &variable.value);
    }
    let done = command.stderr(Stdio::inherit()).output().map_err(|error| {
        none(format!("`{}`, which gives the credentials, does not start: {error}", exec.command))
    })?;
    if !done.status.success() {
        return Err(none(format!(
            "`{}`, which gives the credentials, ended with {}",
            exec.command, done.status
        )));
    }
    let credential: Credential = serde_json::from_slice(&done.stdout)
        .map_err(|_| none(format!("`{}` gave no credentials", exec.command)))?;
    Ok(credential.status)
}

fn bytes(path: &Path) -> Result<Vec<u8>, Trouble> {
    fs::read(path).map_err(|error| none(format!("`{}`: {error}", path.display())))
}

fn text(path: &Path) -> Result<String, Trouble> {
    fs::read_to_string(path).map_err(|error| none(format!("`{}`: {error}", path.display())))
}

fn decoded(data: &str, what: &str) -> Result<Vec<u8>, Trouble> {
    let compact: String = data.split_whitespace().collect();
    STANDARD.decode(compact).map_err(|_| none(format!("{what} is not base64")))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Trouble> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    read.map_err(|_| none("a certificate is not PEM"))
}

fn private(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Trouble> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| none("the client key is not PEM"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<File> {
        vec![serde_saphyr::from_str(text).expect("a kubeconfig")]
    }

    #[test]
    fn a_context_leads_to_a_server_and_secrets_are_not_shown() {
        let files = parsed(
            "current-context: a\nclusters: [{name: c, cluster: {server: 'https://x:1/'}}]\nusers: [{name: u, user: {token: planted}}]\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n",
        );
        let (_, user) = find(&files, |file| &file.users, "u", |row| row.user.as_ref()).expect("a user");
        let mut reach = Reach {
            server: "https://x:1".into(),
            authorities: vec![],
            insecure: false,
            certificate: None,
            authorization: None,
        };
        identify(&mut reach, Path::new(""), user).expect("known");
        assert_eq!(reach.authorization.as_ref().map(|secret| secret.0.as_str()), Some("Bearer planted"));
        assert!(!format!("{reach:?}").contains("planted"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let absent = Access { files: vec!["/nowhere/config".into()], ..Access::default() };
        let why = reach(&absent).expect_err("no file").to_string();
        assert!(why.contains("/nowhere/config"), "{why}");
    }
}
