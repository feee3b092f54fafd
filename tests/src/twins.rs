//! Listeners beside the one that control makes, in the same Envoy, with other filters in place of ours: what Envoy can do by
//! itself, to be held beside what the filter does.
//!
//! A twin is made from what Envoy says that it was sent. So it has the settings, the routes and the upstreams of the original,
//! and differs in nothing but what is said here.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{fs, net::SocketAddr};

use crate::{control::loopback, envoy::Envoy};

/// The plain listener, and its routes.
const HTTP: &str = "ingress_http";

/// Another listener, on a port of its own.
#[derive(Clone, Debug)]
pub struct Twin {
    pub address: SocketAddr,
    name: &'static str,
    /// In the place of all filters but the router, as Envoy has them in JSON.
    filters: Vec<Value>,
    /// What holds for all routes beside what each says, as Envoy has it of a route configuration.
    on_routes: Value,
}

// === impl Twin ===

impl Twin {
    /// With this filter alone: its name, and its configuration.
    pub fn with(name: &'static str, filter: &str, config: Value) -> Result<Self> {
        Ok(Self {
            filters: vec![Value::from_iter([
                ("name", filter.into()),
                ("typed_config", config),
            ])],
            ..Self::bare(name)?
        })
    }

    /// Without any filter but the router.
    pub fn bare(name: &'static str) -> Result<Self> {
        Ok(Self {
            address: loopback()?,
            name,
            filters: Vec::new(),
            on_routes: Value::Null,
        })
    }

    /// And this on all routes.
    #[must_use]
    pub fn on_routes(mut self, of_configuration: Value) -> Self {
        self.on_routes = of_configuration;
        self
    }

    fn listener(&self, dump: &Value) -> Result<Value> {
        let mut listener = original(dump)?.clone();
        let fields = listener.as_object_mut().context("a listener")?;
        // Of the message that it was wrapped in.
        fields.remove("@type");
        fields.insert("name".to_owned(), self.name.into());
        listener["address"]["socket_address"]["port_value"] = self.address.port().into();
        let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
        let filters = manager["http_filters"].as_array_mut().context("HTTP filters")?;
        let router = filters.pop().context("a router")?;
        *filters = self.filters.iter().cloned().chain([router]).collect();
        if let Value::Object(more) = &self.on_routes {
            let mut routes = routes(dump)?.clone();
            let fields = routes.as_object_mut().context("a route configuration")?;
            fields.remove("@type");
            fields.extend(more.clone());
            // Control's clusters come later.
            fields.insert("validate_clusters".to_owned(), false.into());
            let manager = manager.as_object_mut().context("a connection manager")?;
            manager.remove("rds");
            manager.insert("route_config".to_owned(), routes);
        }
        Ok(listener)
    }
}

/// Starts Envoy anew with these listeners beside control's. To be called when Envoy has all that control sends.
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

fn routes(dump: &Value) -> Result<&Value> {
    let configurations = section(dump, ".RoutesConfigDump", "dynamic_route_configs")?;
    let mut configurations = configurations.iter().map(|routes| &routes["route_config"]);
    configurations
        .find(|routes| routes["name"] == HTTP)
        .context("no routes of the plain listener")
}

/// A part of a dump, by its type and field.
fn section<'d>(dump: &'d Value, kind: &str, field: &str) -> Result<&'d Vec<Value>> {
    let configs = dump["configs"].as_array().context("no dump")?;
    let is_it = |config: &&Value| config["@type"].as_str().is_some_and(|name| name.ends_with(kind));
    let config = configs.iter().find(is_it);
    let list = config.and_then(|config| config[field].as_array());
    list.with_context(|| format!("no {field} in the dump"))
}
