//! The `status` of our own kinds.

pub mod queue;
pub mod request;
pub mod writer;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The maximum length of a condition's message in characters, as in Kubernetes' own kinds.
const LONGEST_MESSAGE: usize = 32768;

/// The observed state of an IngressRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRouteStatus {
    /// One of valid, invalid and orphaned; orphaned if no root delegates to it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_status: String,
    /// A summary in one line, with the errors and warnings if there are any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// All errors, each with the path of its field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The generation of the spec that this status describes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// The conditions, for programs and for kubectl wait.
    #[schemars(schema_with = "conditions")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The live branch of each delegating route.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host", "match"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub switches: Vec<SwitchStatus>,
    /// The live branches in short, for kubectl get.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub active_branch: String,
}

/// A delegating route, as the proxies have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SwitchStatus {
    /// The host name.
    pub host: String,
    /// The match of the route.
    #[serde(rename = "match")]
    pub match_: String,
    /// The active branch: namespace/name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub active: String,
    /// The branches that are ready to become active: namespace/name of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// The previously active branch, which switchyard switch --undo returns to: namespace/name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous: String,
    /// The proxies that have accepted this, out of all connected ones: 3/3.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proxies: String,
}

/// The observed state of a TLSCertificateDelegation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCertificateDelegationStatus {
    /// The conditions, for programs and for kubectl wait.
    #[schemars(schema_with = "conditions")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// The condition that is true if the spec of an IngressRoute is valid.
pub const VALID: &str = "Valid";
/// The condition that is true if all connected proxies have accepted the resources of the object, as in Gateway API.
pub const PROGRAMMED: &str = "Programmed";
/// The reason of a false `Programmed` condition if a proxy rejects a resource.
pub const REFUSED: &str = "Refused";

// === impl IngressRouteStatus ===

impl IngressRouteStatus {
    /// Keeps the previously active branches of `before` for switches that control has not seen move since it started.
    fn remember(&mut self, before: &Self) {
        for switch in self
            .switches
            .iter_mut()
            .filter(|switch| switch.previous.is_empty())
        {
            let old = before.switches.iter();
            let mut same = old.filter(|old| (&old.host, &old.match_) == (&switch.host, &switch.match_));
            let Some(old) = same.next() else { continue };
            let has_moved = old.active != switch.active;
            switch
                .previous
                .clone_from(if has_moved { &old.active } else { &old.previous });
        }
    }

    /// Reports that the spec of that generation cannot be parsed, and that the last valid spec stays in effect.
    fn be_unreadable(&mut self, generation: i64, wrong: &str) {
        "invalid".clone_into(&mut self.current_status);
        self.description = format!("cannot be parsed; the last valid version stays in effect: {wrong}");
        self.errors = vec![wrong.to_owned()];
        self.observed_generation = Some(generation);
        self.conditions.retain(|condition| condition.type_ != VALID);
        let valid = condition(VALID, false, "Unreadable", &self.description, generation);
        self.conditions.insert(0, valid);
    }
}

/// A condition; the writer of the status sets its transition time.
#[must_use]
pub fn condition(type_: &str, holds: bool, reason: &str, message: &str, generation: i64) -> Condition {
    Condition {
        type_: type_.to_owned(),
        status: if holds { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(LONGEST_MESSAGE).collect(),
        observed_generation: Some(generation),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
    }
}

/// The schema of conditions, with the limits of Kubernetes' own kinds.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "description": "One aspect of the current state.",
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "description": "The type of the condition.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "description": "The status of the condition.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "description": "The reason of the last transition in CamelCase, for programs.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {
                    "description": "The reason of the last transition, for people.",
                    "type": "string",
                    "maxLength": 32768,
                },
                "lastTransitionTime": {
                    "description": "The time of the last transition to another status.",
                    "type": "string",
                    "format": "date-time",
                },
                "observedGeneration": {
                    "description": "The generation of the spec that the condition describes.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
            },
        },
    })
}
