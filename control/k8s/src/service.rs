//! `v1` Service.

use crate::{FieldError, Reading, annotations::Annotations, annotations::Protocols, decode};
use k8s_openapi::api::core::v1::{self, ServiceSpec};
use serde_json::Value;
use switchyard_core::object;

pub(crate) fn service(document: Value) -> Result<Reading, FieldError> {
    let v1::Service {
        metadata,
        spec,
        status: _,
    } = decode::decode(document)?;
    let spec = spec.unwrap_or_default();
    let name = decode::name(&metadata)?;
    let values = metadata.annotations.unwrap_or_default();
    let mut annotations = Annotations::new(&values);
    let service = object::Service {
        name,
        external_name: external_name(&spec)?,
        ports: ports(spec.ports.unwrap_or_default(), &annotations.protocols())?,
        limits: annotations.limits(),
    };
    Ok(Reading {
        object: object::Object::Service(service),
        warnings: annotations.warnings,
    })
}

fn external_name(spec: &ServiceSpec) -> Result<Option<String>, FieldError> {
    if spec.type_.as_deref() != Some("ExternalName") {
        return Ok(None);
    }
    let missing = || {
        FieldError::new(
            "spec.externalName",
            "missing: required for a Service of type ExternalName",
        )
    };
    spec.external_name
        .clone()
        .filter(|name| !name.is_empty())
        .map(Some)
        .ok_or_else(missing)
}

fn ports(
    ports: Vec<v1::ServicePort>,
    protocols: &Protocols<'_>,
) -> Result<Vec<object::ServicePort>, FieldError> {
    let tcp = |port: &v1::ServicePort| is_tcp(port.protocol.as_deref());
    let numbered = ports.into_iter().enumerate().filter(|(_, port)| tcp(port));
    numbered
        .map(|(index, port)| {
            let number = port_number(port.port, || format!("spec.ports[{index}].port"))?;
            let name = port.name.unwrap_or_default();
            Ok(object::ServicePort {
                protocol: protocols.of(&name, number),
                name,
                port: number,
            })
        })
        .collect()
}

/// Returns true for a TCP port, which can carry HTTP. TCP is the default.
pub(crate) fn is_tcp(protocol: Option<&str>) -> bool {
    matches!(protocol, None | Some("" | "TCP"))
}

pub(crate) fn port_number(port: i32, field: impl FnOnce() -> String) -> Result<u16, FieldError> {
    let number = u16::try_from(port).ok().filter(|number| *number > 0);
    number.ok_or_else(|| FieldError::new(field(), format!("{port} is not in the range 1-65535")))
}
