//! Constraints that Envoy's code has, beyond those that its protos state. Each was seen on Envoy 1.40.

use super::number::nanoseconds;
use prost_reflect::{DynamicMessage, Value};
use switchyard_core::duration;

type Check = fn(&DynamicMessage) -> Result<(), &'static str>;

/// By the name of the message.
const CHECKS: [(&str, Check); 3] = [
    ("google.protobuf.Duration", duration),
    ("envoy.config.route.v3.WeightedCluster", weights),
    (
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        server_name,
    ),
];

/// Checks one message, and not what is in it.
pub(super) fn check(name: &str, message: &DynamicMessage) -> Result<(), &'static str> {
    let mut checks = CHECKS.iter().filter(|(of, _)| *of == name);
    checks.try_for_each(|(_, check)| check(message))
}

/// Envoy counts nanoseconds in 63 bits, and nothing that is sent lasts less than no time.
fn duration(message: &DynamicMessage) -> Result<(), &'static str> {
    let whole = 0..=i128::try_from(duration::MAX.as_nanos()).unwrap_or(i128::MAX);
    if whole.contains(&nanoseconds(message)) {
        Ok(())
    } else {
        Err("must be a duration from 0s to 9223372035s")
    }
}

fn weights(message: &DynamicMessage) -> Result<(), &'static str> {
    let clusters = message.get_field_by_name("clusters");
    let clusters = clusters.as_ref().and_then(|clusters| clusters.as_list());
    let weights = clusters.into_iter().flatten().filter_map(Value::as_message);
    let total: u64 = weights
        .filter_map(|cluster| {
            cluster
                .get_field_by_name("weight")?
                .as_message()?
                .get_field_by_name("value")?
                .as_u32()
        })
        .map(u64::from)
        .sum();
    if (1..=u64::from(u32::MAX)).contains(&total) {
        Ok(())
    } else {
        Err("weights must add up to a number from 1 to 4294967295")
    }
}

fn server_name(message: &DynamicMessage) -> Result<(), &'static str> {
    let sni = message.get_field_by_name("sni");
    let sni = sni.as_ref().and_then(|sni| sni.as_str()).unwrap_or_default();
    if sni.contains('\0') {
        Err("sni must not contain NUL")
    } else {
        Ok(())
    }
}
