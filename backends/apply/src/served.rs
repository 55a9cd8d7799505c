//! Which kinds does the server serve, and where? As the discovery of the crate `kube` finds it.

use crate::api::{Api, Place, Shelf};
use crate::object::Id;
use crate::trouble::Trouble;
use kube::Discovery;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use kube::discovery::Scope;
use serde_json::Value;

/// All kinds that are served.
pub(crate) struct Served(Discovery);

impl Served {
    /// Asks the server.
    pub(crate) async fn by(api: &Api) -> Result<Self, Trouble> {
        Ok(Self(api.discover().await?))
    }

    /// Returns how a kind is served, and whether its objects lie in namespaces.
    pub(crate) fn resource(&self, id: &Id) -> Option<(ApiResource, bool)> {
        let (group, version) = id.api_version.rsplit_once('/').unwrap_or(("", &id.api_version));
        let (resource, capabilities) =
            self.0.resolve_gvk(&GroupVersionKind::gvk(group, version, &id.kind))?;
        Some((resource, capabilities.scope == Scope::Namespaced))
    }

    /// Returns whether a kind is served.
    pub(crate) fn has(&self, id: &Id) -> bool {
        self.resource(id).is_some()
    }

    /// Returns the place of an object; `None` where its kind is not served.
    pub(crate) fn place(&self, id: &Id) -> Option<Place> {
        let (resource, namespaced) = self.resource(id)?;
        let namespace = id.namespace.as_deref().filter(|_| namespaced);
        Some(Shelf::of::<DynamicObject>(&resource, namespace).at(&id.name))
    }
}

/// Returns the elements of a list in an object; none where it is no list.
pub(crate) fn items<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().map_or(&[], Vec::as_slice)
}
