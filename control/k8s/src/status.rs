//! `status` of the kinds that are ours to define.

pub mod ledger;
pub mod writer;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// In characters, of a condition: as many as Kubernetes' own kinds take.
const LONGEST_MESSAGE: usize = 32768;

/// What has become of an IngressRoute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressRouteStatus {
    /// Whether it is valid, invalid or orphaned, for which no root delegates to it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub current_status: String,
    /// What is wrong, in one line.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Everything that is wrong, each with the field where it stands.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// The generation of the spec that this was found out about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "i64")]
    pub observed_generation: Option<i64>,
    /// What holds of it, for programs and for kubectl wait.
    #[schemars(schema_with = "conditions")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Which branch is live, for each of its routes that delegate.
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["host", "match"]))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub switches: Vec<SwitchStatus>,
    /// The branches that are live, in short.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub active_branch: String,
}

/// A route that delegates, as the proxies have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct SwitchStatus {
    /// The host name.
    pub host: String,
    /// The match of the route.
    #[serde(rename = "match")]
    pub match_: String,
    /// The branch that is active: namespace/name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub active: String,
    /// The branches that are ready to become the active one: namespace/name of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub standby: Vec<String>,
    /// The branch that was active before, which switchyard switch --undo goes back to: namespace/name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub previous: String,
    /// How many of the connected proxies have it so: 3/3.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub proxies: String,
}

/// What has become of a TLSCertificateDelegation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TlsCertificateDelegationStatus {
    /// What holds of it, for programs and for kubectl wait.
    #[schemars(schema_with = "conditions")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Whether what an IngressRoute says is right: the condition of that name.
pub const VALID: &str = "Valid";
/// Whether the connected proxies have what it comes to: the condition of that name, as Gateway API has it.
pub const PROGRAMMED: &str = "Programmed";
/// Why it does not hold, where a proxy refuses what it comes to.
pub const REFUSED: &str = "Refused";

// === impl IngressRouteStatus ===

impl IngressRouteStatus {
    /// Keeps what was active before, where nobody has seen that since control started.
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

    /// Says that the spec of that generation cannot be read, and that what was read before goes on.
    fn be_unreadable(&mut self, generation: i64, wrong: &str) {
        "invalid".clone_into(&mut self.current_status);
        self.description = format!("cannot be read, and goes on as it was: {wrong}");
        self.errors = vec![wrong.to_owned()];
        self.observed_generation = Some(generation);
        self.conditions.retain(|condition| condition.type_ != VALID);
        let valid = condition(VALID, false, "Unreadable", &self.description, generation);
        self.conditions.insert(0, valid);
    }
}

/// A condition; since when it is so, the one who writes it knows.
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

/// Of Kubernetes' conditions, with the limits that its own kinds have.
fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "description": "Something that holds, does not hold, or is not known.",
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {
                    "description": "What it is about.",
                    "type": "string",
                    "maxLength": 316,
                    "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
                "status": {
                    "description": "Whether it holds.",
                    "type": "string",
                    "enum": ["True", "False", "Unknown"],
                },
                "reason": {
                    "description": "Why, in one word for programs.",
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "message": {"description": "Why, for people.", "type": "string", "maxLength": 32768},
                "lastTransitionTime": {
                    "description": "Since when.",
                    "type": "string",
                    "format": "date-time",
                },
                "observedGeneration": {
                    "description": "The generation of the spec that it was found out about.",
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                },
            },
        },
    })
}
