//! Which kinds does the server serve, and where? Asked in two requests (aggregated discovery).

use crate::api::Api;
use crate::object::Id;
use crate::trouble::Trouble;
use serde_json::Value;
use std::collections::BTreeMap;

/// What the server is asked for: all kinds of all groups in one answer; servers before 1.30 have the beta of it.
pub(crate) const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// A kind that is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) plural: String,
    pub(crate) namespaced: bool,
}

/// All kinds that are served, by API version and kind.
#[derive(Debug, Clone, Default)]
pub(crate) struct Served {
    kinds: BTreeMap<(String, String), Resource>,
}

impl Served {
    /// Asks the server.
    pub(crate) async fn by(api: &Api) -> Result<Self, Trouble> {
        let mut served = Self::default();
        for path in ["/api", "/apis"] {
            let reply = api.get(path).await?;
            if !reply.is_ok() {
                return Err(Trouble::Forbidden(format!("listing what is served: {}", reply.message())));
            }
            served.read(&reply.body);
        }
        Ok(served)
    }

    fn read(&mut self, list: &Value) {
        for group in items(list, "items") {
            let name = group["metadata"]["name"].as_str().unwrap_or_default();
            for version in items(group, "versions") {
                let word = version["version"].as_str().unwrap_or_default();
                let api_version = if name.is_empty() { word.to_owned() } else { format!("{name}/{word}") };
                for resource in items(version, "resources") {
                    let kind = resource["responseKind"]["kind"].as_str().unwrap_or_default();
                    let Some(plural) = resource["resource"].as_str() else { continue };
                    let namespaced = resource["scope"] == "Namespaced";
                    let row = Resource { plural: plural.to_owned(), namespaced };
                    self.kinds.entry((api_version.clone(), kind.to_owned())).or_insert(row);
                }
            }
        }
    }

    /// Returns where a kind is served.
    pub(crate) fn resource(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.kinds.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// Returns the path of an object; `None` where its kind is not served.
    pub(crate) fn path(&self, id: &Id) -> Option<String> {
        Some(format!("{}/{}", self.collection(id, id.namespace.as_deref())?, id.name))
    }

    /// Returns the path of the collection that an object is created in, in a namespace.
    pub(crate) fn collection(&self, id: &Id, namespace: Option<&str>) -> Option<String> {
        let resource = self.resource(&id.api_version, &id.kind)?;
        let root = if id.api_version.contains('/') { "/apis" } else { "/api" };
        let place = match namespace {
            Some(namespace) if resource.namespaced => format!("/namespaces/{namespace}"),
            _ => String::new(),
        };
        Some(format!("{root}/{}{place}/{}", id.api_version, resource.plural))
    }
}

/// Returns the elements of a list in an object; none where it is no list.
pub(crate) fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
