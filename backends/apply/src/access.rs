//! How is a cluster reached? What `kubectl` would do: files, contexts, certificates, tokens, programs that give tokens.
//!
//! All of it is read by the crate `kube`; here it is decided which files, which context and which proxy, and what is said
//! where one is missing. What is secret is in no message: parsers and failed programs quote what they met, so neither is
//! passed on.

use crate::trouble::Trouble;
use kube::Config;
use kube::client::AuthError;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig, KubeconfigError};
use std::net::IpAddr;
use std::path::Path;

/// Which cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// The files, the first that names a thing decides.
    pub files: Vec<String>,
    /// A context of them; else the current one.
    pub context: Option<String>,
    /// Whether this runs in a pod of a cluster, whose service account does where there is no file.
    pub in_pod: bool,
    /// Hosts that no proxy of the environment stands before (`NO_PROXY`).
    pub no_proxy: Vec<String>,
}

fn none(why: impl Into<String>) -> Trouble {
    Trouble::NoCluster(why.into())
}

/// Returns how the cluster is reached.
pub(crate) async fn config(access: &Access) -> Result<Config, Trouble> {
    let there: Vec<&String> = access.files.iter().filter(|path| Path::new(path).exists()).collect();
    if there.is_empty() {
        return if access.in_pod && access.context.is_none() {
            Config::incluster_env().map_err(|error| none(error.to_string()))
        } else {
            Err(none(format!("none of the files {} exists", access.files.join(", "))))
        };
    }
    let mut merged = Kubeconfig::default();
    for path in there {
        merged = merged.merge(read(path)?).map_err(|error| none(error.to_string()))?;
    }
    chosen(merged, access).await
}

fn read(path: &str) -> Result<Kubeconfig, Trouble> {
    Kubeconfig::read_from(path).map_err(|error| match error {
        KubeconfigError::ReadConfig(error, _) => none(format!("`{path}`: {error}")),
        // What the parser met may hold a token.
        _ => none(format!("`{path}` is no kubeconfig")),
    })
}

/// Returns what a context of the files says.
async fn chosen(files: Kubeconfig, access: &Access) -> Result<Config, Trouble> {
    let current = || files.current_context.clone().filter(|name| !name.is_empty());
    let name = access.context.clone().or_else(current).ok_or_else(|| none("no context is current"))?;
    let found = files.contexts.iter().find(|row| row.name == name).and_then(|row| row.context.as_ref());
    let context =
        found.ok_or_else(|| none(format!("there is no context `{name}`; there are {}", contexts(&files))))?;
    let cluster = files.clusters.iter().find(|row| row.name == context.cluster);
    let Some(cluster) = cluster.and_then(|row| row.cluster.as_ref()) else {
        let why = format!("context `{name}` names the cluster `{}`, which is not there", context.cluster);
        return Err(none(why));
    };
    let user = context.user.as_deref().unwrap_or_default();
    if !user.is_empty() && !files.auth_infos.iter().any(|row| row.name == user) {
        return Err(none(format!("context `{name}` names the user `{user}`, who is not there")));
    }
    let own_proxy = cluster.proxy_url.as_ref().is_some_and(|url| !url.is_empty());
    let options = KubeConfigOptions { context: Some(name), ..KubeConfigOptions::default() };
    let read = Config::from_custom_kubeconfig(files, &options).await;
    let mut config = read.map_err(|error| none(error.to_string()))?;
    if !own_proxy && is_direct(&config, &access.no_proxy) {
        config.proxy_url = None;
    }
    Ok(config)
}

fn contexts(files: &Kubeconfig) -> String {
    let names: Vec<&str> = files.contexts.iter().map(|context| context.name.as_str()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// Returns whether no proxy of the environment stands before a server, as `kubectl` has it: plain HTTP, this machine, and
/// what `NO_PROXY` lists.
fn is_direct(config: &Config, no_proxy: &[String]) -> bool {
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']);
    let address: Option<IpAddr> = host.parse().ok();
    config.cluster_url.scheme_str() == Some("http")
        || host == "localhost"
        || address.is_some_and(|address| address.is_loopback())
        || no_proxy.iter().any(|entry| excludes(entry.trim(), host, address))
}

/// Returns whether an entry of `NO_PROXY` speaks of a host: `*`, a name and what is under it, an address, or a network.
fn excludes(entry: &str, host: &str, address: Option<IpAddr>) -> bool {
    let name = entry.trim_start_matches('*').trim_start_matches('.');
    let under = || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'));
    match (entry.split_once('/'), address) {
        _ if entry == "*" => true,
        (Some((network, bits)), Some(address)) => {
            let (network, bits) = (network.parse(), bits.parse());
            matches!((network, bits), (Ok(network), Ok(bits)) if within(address, network, bits))
        }
        _ => !name.is_empty() && (host == name || under()),
    }
}

fn within(address: IpAddr, network: IpAddr, bits: u32) -> bool {
    match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(bits)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        (IpAddr::V6(address), IpAddr::V6(network)) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(bits)).unwrap_or(0);
            address.to_bits() & mask == network.to_bits() & mask
        }
        _ => false,
    }
}

/// Returns the program that gives credentials, if one does.
pub(crate) fn program(user: &AuthInfo) -> Option<String> {
    user.exec.as_ref().and_then(|exec| exec.command.clone())
}

/// Says why there are no credentials.
pub(crate) fn credentials(error: &AuthError, program: Option<&str>) -> Trouble {
    let program = program.unwrap_or("the program");
    none(match error {
        AuthError::AuthExecStart(error) => {
            format!("`{program}`, which gives the credentials, does not start: {error}")
        }
        AuthError::AuthExecRun { out, .. } => {
            format!("`{program}`, which gives the credentials, ended with {}", out.status)
        }
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            format!("`{program}` gave no credentials")
        }
        AuthError::InvalidBearerToken(_) => "the token holds characters that no token has".to_owned(),
        AuthError::ReadTokenFile(error, path) => format!("`{}`: {error}", path.display()),
        AuthError::AuthExec(why) => why.clone(),
        _ => "its credentials are not understood".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "current-context: a\nclusters: [{name: c, cluster: {server: 'https://10.1.2.3:6443'}}]\nusers: [{name: u, user: {token: planted}}]\ncontexts: [{name: a, context: {cluster: c, user: u}}]\n";

    fn of(text: &str, access: &Access) -> Result<Config, Trouble> {
        let files = Kubeconfig::from_yaml(text).expect("a kubeconfig");
        crate::run(chosen(files, access)).expect("a runtime").expect("nobody interrupts it")
    }

    #[test]
    fn a_context_leads_to_a_server_and_secrets_are_not_shown() {
        let config = of(ONE, &Access::default()).expect("a way");
        assert_eq!(config.cluster_url.to_string(), "https://10.1.2.3:6443/");
        assert!(config.auth_info.token.is_some());
        assert!(!format!("{config:?}").contains("planted"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let absent = Access { files: vec!["/nowhere/config".into()], ..Access::default() };
        let why = crate::run(config(&absent)).expect("a runtime").expect("an answer").expect_err("no file");
        assert!(why.to_string().contains("/nowhere/config"), "{why}");
        let said = |text: &str| of(text, &Access::default()).expect_err("something is missing").to_string();
        assert!(said(&ONE.replace("name: u,", "name: v,")).contains("the user `u`, who is not there"));
        assert!(said(&ONE.replace("name: c,", "name: d,")).contains("the cluster `c`, which is not there"));
        assert!(said(&ONE.replace("current-context: a", "")).contains("no context is current"));
    }

    #[test]
    fn a_proxy_of_the_environment_is_for_what_lies_outside() {
        let direct = |server: &str, list: &[&str]| {
            let config = Config::new(server.parse().expect("an address"));
            is_direct(&config, &list.iter().map(|&entry| entry.to_owned()).collect::<Vec<_>>())
        };
        assert!(!direct("https://10.1.2.3:6443", &[]));
        assert!(direct("http://10.1.2.3:6443", &[]));
        assert!(direct("https://127.0.0.1:6443", &[]) && direct("https://[::1]:6443", &[]));
        assert!(direct("https://10.1.2.3", &["10.0.0.0/8"]) && !direct("https://11.1.2.3", &["10.0.0.0/8"]));
        assert!(direct("https://[fd00::1]", &["fd00::/8"]) && direct("https://x", &["*"]));
        assert!(direct("https://a.b.c", &["b.c"]) && direct("https://a.b.c", &[".c"]));
        assert!(!direct("https://ab.c", &["b.c"]) && !direct("https://a.b.c", &["", "a.b"]));
    }
}
