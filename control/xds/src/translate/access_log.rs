//! One line of JSON for each request, and for each TCP connection.

use crate::pack;
use envoy_types::pb::{
    envoy::{
        config::{
            accesslog::v3::{AccessLog, access_log::ConfigType},
            core::v3::{SubstitutionFormatString, substitution_format_string::Format},
        },
        extensions::access_loggers::file::v3::{FileAccessLog, file_access_log::AccessLogFormat},
    },
    google::protobuf::{Struct, Value, value::Kind},
};

/// Of every connection.
const COMMON: &[(&str, &str)] = &[
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("duration", "%DURATION%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("start_time", "%START_TIME%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
];

/// Of requests. `branch`, `leaf`, `policy` and `reason` are the filter's, and null where it was not asked or had nothing to
/// say. Queries are not logged: one may have an API key, and Envoy answers requests that the filter, which knows them, never
/// sees.
const HTTP: &[(&str, &str)] = &[
    ("authority", "%REQ(:AUTHORITY)%"),
    ("branch", "%FILTER_STATE(wasm.switchyard_branch:PLAIN)%"),
    ("leaf", "%FILTER_STATE(wasm.switchyard_leaf:PLAIN)%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%PATH(NQ:ORIG_OR_PATH)%"),
    ("policy", "%FILTER_STATE(wasm.switchyard_policy:PLAIN)%"),
    ("protocol", "%PROTOCOL%"),
    ("reason", "%FILTER_STATE(wasm.switchyard_reason:PLAIN)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("root", "%METADATA(VIRTUAL_HOST:switchyard:root)%"),
    ("route", ROUTE),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
];

/// The route of the host that the request came to. A switch's is the filter's to tell: when the request is logged, it
/// is on the route that the filter sent it to.
const ROUTE: &str = concat!(
    r#"%COALESCE({"operators": [{"command": "FILTER_STATE", "param": "wasm.switchyard_route:PLAIN"}, "#,
    r#""ROUTE_NAME"]})%"#
);

/// To a file, of requests.
pub(super) fn http(path: &str) -> AccessLog {
    file(path, COMMON.iter().chain(HTTP))
}

/// To a file, of TCP connections.
pub(super) fn tcp(path: &str) -> AccessLog {
    file(path, COMMON)
}

fn file<'a>(path: &str, fields: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> AccessLog {
    let fields = fields
        .into_iter()
        .map(|(name, operator)| ((*name).to_owned(), string(operator)));
    let format = SubstitutionFormatString {
        format: Some(Format::JsonFormat(Struct {
            fields: fields.collect(),
        })),
        ..Default::default()
    };
    let log = FileAccessLog {
        path: path.to_owned(),
        access_log_format: Some(AccessLogFormat::LogFormat(format)),
    };
    AccessLog {
        name: "envoy.access_loggers.file".to_owned(),
        config_type: Some(ConfigType::TypedConfig(pack::any(&log))),
        ..Default::default()
    }
}

fn string(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.to_owned())),
    }
}
