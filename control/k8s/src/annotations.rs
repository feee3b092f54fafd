//! Annotations of a Service.
//!
//! Names are Contour's (`internal/annotation/annotations.go`): `projectcontour.io/` first, then the older
//! `contour.heptio.com/`. A value that does not parse is ignored with a warning, so that a bad annotation does not
//! remove the Service.

use crate::FieldError;
use std::collections::BTreeMap;
use switchyard_core::object::{Limits, Protocol};

const PREFIXES: [&str; 2] = ["projectcontour.io/", "contour.heptio.com/"];

/// Protocols by annotation; the last one that names a port wins.
const PROTOCOLS: [(&str, Protocol); 3] = [
    ("upstream-protocol.h2", Protocol::H2),
    ("upstream-protocol.h2c", Protocol::H2c),
    ("upstream-protocol.tls", Protocol::Tls),
];

/// The annotations of one Service, with warnings for invalid values.
pub(crate) struct Annotations<'a> {
    values: &'a BTreeMap<String, String>,
    pub(crate) warnings: Vec<FieldError>,
}

/// Upstream protocols, by port name or number.
pub(crate) struct Protocols<'a>(BTreeMap<&'a str, Protocol>);

// === impl Annotations ===

impl<'a> Annotations<'a> {
    pub(crate) fn new(values: &'a BTreeMap<String, String>) -> Self {
        Self {
            values,
            warnings: Vec::new(),
        }
    }

    pub(crate) fn limits(&mut self) -> Limits {
        Limits {
            max_connections: self.number("max-connections"),
            max_pending_requests: self.number("max-pending-requests"),
            max_requests: self.number("max-requests"),
            max_retries: self.number("max-retries"),
        }
    }

    pub(crate) fn protocols(&self) -> Protocols<'a> {
        let mut ports = BTreeMap::new();
        for (name, protocol) in PROTOCOLS {
            let list = self.get(name).map(|(_, value)| value).unwrap_or_default();
            let named = list.split(',').map(str::trim).filter(|port| !port.is_empty());
            ports.extend(named.map(|port| (port, protocol)));
        }
        Protocols(ports)
    }

    fn number(&mut self, name: &str) -> Option<u32> {
        let (key, value) = self.get(name)?;
        let number = value.parse().ok();
        if number.is_none() {
            let message = format!("{value:?} is not a number from 0 to {}; ignored", u32::MAX);
            self.warnings
                .push(FieldError::new(format!("metadata.annotations.{key}"), message));
        }
        number
    }

    fn get(&self, name: &str) -> Option<(String, &'a str)> {
        PREFIXES.iter().find_map(|prefix| {
            let key = format!("{prefix}{name}");
            let value = self.values.get(&key)?;
            Some((key, value.as_str()))
        })
    }
}

// === impl Protocols ===

impl Protocols<'_> {
    /// Returns the protocol of a port, looked up by name, then by number.
    pub(crate) fn of(&self, name: &str, port: u16) -> Protocol {
        let Self(ports) = self;
        let found = ports.get(name).or_else(|| ports.get(port.to_string().as_str()));
        found.copied().unwrap_or_default()
    }
}
