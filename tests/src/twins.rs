//! Additional listeners in control's Envoy with other filters in place of Switchyard's, for comparing it with Envoy's
//! own features.
//!
//! A twin is made from the Envoy's config dump. It has the settings, routes and upstreams of the original, except for
//! the changes specified here.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{collections::BTreeMap, fs, net::SocketAddr};

use crate::{control::loopback, envoy::Envoy};

/// The name of the HTTP listener and of its route configurations.
const HTTP: &str = "ingress_http";

/// A copy of the HTTP listener on its own port.
#[derive(Clone, Debug)]
pub struct Twin {
    pub address: SocketAddr,
    name: &'static str,
    /// The filters that replace all filters but the router, in Envoy's JSON format.
    filters: Vec<Value>,
    /// Additional fields for the route configuration, in Envoy's JSON format.
    on_routes: Value,
}

// === impl Twin ===

impl Twin {
    /// A twin with one filter, given by its name and configuration.
    pub fn with(name: &'static str, filter: &str, config: Value) -> Result<Self> {
        Ok(Self {
            filters: vec![Value::from_iter([
                ("name", filter.into()),
                ("typed_config", config),
            ])],
            ..Self::bare(name)?
        })
    }

    /// A twin with the router as its only filter.
    pub fn bare(name: &'static str) -> Result<Self> {
        Ok(Self {
            address: loopback()?,
            name,
            filters: Vec::new(),
            on_routes: Value::Null,
        })
    }

    /// Adds fields to the route configuration.
    #[must_use]
    pub fn on_routes(mut self, of_configuration: Value) -> Self {
        self.on_routes = of_configuration;
        self
    }

    fn listener(&self, dump: &Value) -> Result<Value> {
        let mut listener = original(dump)?.clone();
        let fields = listener.as_object_mut().context("a listener")?;
        // The field belongs to the `Any` that contained the message.
        fields.remove("@type");
        fields.insert("name".to_owned(), self.name.into());
        listener["address"]["socket_address"]["port_value"] = self.address.port().into();
        let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        let filters = manager["http_filters"].as_array_mut().context("HTTP filters")?;
        let router = filters.pop().context("a router")?;
        *filters = self.filters.iter().cloned().chain([router]).collect();
        if let Value::Object(more) = &self.on_routes {
            let mut routes = routes(dump)?;
            let fields = routes.as_object_mut().context("a route configuration")?;
            fields.remove("@type");
            fields.extend(more.clone());
            // Control's clusters are not known yet when this is loaded.
            fields.insert("validate_clusters".to_owned(), false.into());
            let manager = manager.as_object_mut().context("a connection manager")?;
            manager.remove("scoped_routes");
            manager.insert("route_config".to_owned(), routes);
        }
        Ok(listener)
    }
}

/// Restarts Envoy with these listeners in addition to control's. Envoy must have all of control's configuration before.
pub async fn add(envoy: &mut Envoy, twins: &[Twin]) -> Result<()> {
    let dump = envoy.config_dump().await?;
    let listeners = twins.iter().map(|twin| twin.listener(&dump));
    let listeners = listeners.collect::<Result<Vec<_>>>()?;
    let path = &envoy.options.bootstrap;
    let mut bootstrap: Value = serde_json::from_slice(&fs::read(path)?)?;
    bootstrap["static_resources"]["listeners"] = listeners.into();
    fs::write(path, bootstrap.to_string())?;
    envoy.restart().await
}

fn original(dump: &Value) -> Result<&Value> {
    let listeners = section(dump, ".ListenersConfigDump", "dynamic_listeners")?;
    let http = listeners.iter().find(|listener| listener["name"] == HTTP);
    let listener = &http.context("no plain listener")?["active_state"]["listener"];
    ensure!(listener.is_object(), "{listener}");
    Ok(listener)
}

/// The routes of all hosts of the HTTP listener.
fn routes(dump: &Value) -> Result<Value> {
    let configurations = section(dump, ".RoutesConfigDump", "dynamic_route_configs")?;
    let buckets = configurations.iter().map(|routes| &routes["route_config"]);
    let buckets = buckets.filter(|routes| {
        let name = routes["name"].as_str().unwrap_or_default();
        name.split('/').next() == Some(HTTP)
    });
    let mut all: Option<Value> = None;
    let mut hosts = BTreeMap::new();
    for bucket in buckets {
        let of_bucket = bucket["virtual_hosts"].as_array().into_iter().flatten();
        hosts.extend(of_bucket.map(|host| (host["name"].to_string(), host.clone())));
        all.get_or_insert_with(|| bucket.clone());
    }
    let mut all = all.context("no routes of the plain listener")?;
    all["virtual_hosts"] = hosts.into_values().collect();
    Ok(all)
}

/// A list in a config dump, by the suffix of its type and the field.
fn section<'d>(dump: &'d Value, kind: &str, field: &str) -> Result<&'d Vec<Value>> {
    let configs = dump["configs"].as_array().context("no dump")?;
    let is_it = |config: &&Value| config["@type"].as_str().is_some_and(|name| name.ends_with(kind));
    let config = configs.iter().find(is_it);
    let list = config.and_then(|config| config[field].as_array());
    list.with_context(|| format!("no {field} in the dump"))
}
