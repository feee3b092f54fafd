//! TLS of Envoy's connection to control: the `UpstreamTlsContext` of the xDS cluster.
//!
//! Envoy reads a certificate in the bootstrap only once. One from a file by SDS it reads again when something is moved
//! into the watched folder: a volume of Kubernetes moves the link `..data`.

use crate::tls_files::TlsFiles;
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::path::Path;

/// Envoy's side of the connection.
#[derive(Clone, Debug)]
pub struct XdsTls {
    /// The files, with their paths for Envoy.
    files: TlsFiles,
    /// The name required in control's certificate.
    server_name: String,
}

/// The files beside the bootstrap, each with its secret: a file can have only one.
const CERTIFICATE: SecretFile = SecretFile {
    file: "sds-certificate.json",
    name: "switchyard-xds-certificate",
};
const VALIDATION: SecretFile = SecretFile {
    file: "sds-validation.json",
    name: "switchyard-xds-validation",
};

/// A secret of Envoy, in a file beside the bootstrap.
struct SecretFile {
    file: &'static str,
    name: &'static str,
}

const UPSTREAM_TLS_CONTEXT: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";
const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

// === impl XdsTls ===

impl XdsTls {
    /// # Errors
    ///
    /// If the certificate and its key are in different folders: Envoy watches one for both.
    pub fn new(files: TlsFiles, server_name: String) -> Result<Self> {
        ensure!(
            folder_of(&files.certificate) == folder_of(&files.key),
            "--xds-cert-file and --xds-key-file: must be in the same directory, so that Envoy detects changes"
        );
        Ok(Self { files, server_name })
    }

    /// The transport socket; `folder` contains the files of [`Self::secrets`].
    pub(super) fn transport_socket(&self, folder: &Path) -> Value {
        json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": UPSTREAM_TLS_CONTEXT,
                "sni": self.server_name,
                "common_tls_context": {
                    "alpn_protocols": ["h2"],
                    "tls_params": {
                        "tls_minimum_protocol_version": "TLSv1_3",
                        "tls_maximum_protocol_version": "TLSv1_3",
                    },
                    "tls_certificate_sds_secret_configs": [CERTIFICATE.sds_config(folder)],
                    "validation_context_sds_secret_config": VALIDATION.sds_config(folder),
                },
            },
        })
    }

    /// The files beside the bootstrap, by name.
    pub(super) fn secrets(&self) -> [(&'static str, Value); 2] {
        let TlsFiles { ca, certificate, key } = &self.files;
        let own = json!({
            "@type": SECRET,
            "name": CERTIFICATE.name,
            "tls_certificate": {
                "certificate_chain": {"filename": certificate},
                "private_key": {"filename": key},
                "watched_directory": {"path": folder_of(certificate)},
            },
        });
        let other = json!({
            "@type": SECRET,
            "name": VALIDATION.name,
            "validation_context": {
                "trusted_ca": {"filename": ca},
                "watched_directory": {"path": folder_of(ca)},
                "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": self.server_name}}],
            },
        });
        // As `DiscoveryResponse`s.
        [(CERTIFICATE.file, own), (VALIDATION.file, other)]
            .map(|(file, secret)| (file, json!({"resources": [secret]})))
    }
}

// === impl SecretFile ===

impl SecretFile {
    /// The `SdsSecretConfig`.
    fn sds_config(&self, folder: &Path) -> Value {
        let Self { file, name } = self;
        json!({
            "name": name,
            "sds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": folder.join(file), "watched_directory": {"path": folder}},
            },
        })
    }
}

fn folder_of(file: &Path) -> &Path {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_files(certificate: &str, key: &str) -> TlsFiles {
        TlsFiles {
            ca: "/ca/ca.crt".into(),
            certificate: certificate.into(),
            key: key.into(),
        }
    }

    #[test]
    fn envoy_verifies_server_name_and_watches_files() {
        let files = mk_files("/certs/tls.crt", "/certs/tls.key");
        let tls = XdsTls::new(files, "xds.example.com".to_owned()).unwrap();
        let [(certificate_file, certificate), (validation_file, validation)] = tls.secrets();
        let watched = |secret: &Value| secret["watched_directory"]["path"].clone();
        assert_eq!(watched(&certificate["resources"][0]["tls_certificate"]), "/certs");
        let context = &validation["resources"][0]["validation_context"];
        assert_eq!(watched(context), "/ca");
        let names = json!([{"san_type": "DNS", "matcher": {"exact": "xds.example.com"}}]);
        assert_eq!(context["match_typed_subject_alt_names"], names);

        let socket = tls.transport_socket(Path::new("/etc/envoy"));
        let config = &socket["typed_config"];
        assert_eq!(config["sni"], "xds.example.com");
        let common = &config["common_tls_context"];
        for version in ["tls_minimum_protocol_version", "tls_maximum_protocol_version"] {
            assert_eq!(common["tls_params"][version], "TLSv1_3");
        }
        for (config, file, secret) in [
            (
                &common["tls_certificate_sds_secret_configs"][0],
                certificate_file,
                &certificate,
            ),
            (
                &common["validation_context_sds_secret_config"],
                validation_file,
                &validation,
            ),
        ] {
            assert_eq!(config["name"], secret["resources"][0]["name"]);
            let source = &config["sds_config"]["path_config_source"];
            assert_eq!(source["path"], format!("/etc/envoy/{file}"));
            assert_eq!(source["watched_directory"]["path"], "/etc/envoy");
        }
    }

    #[test]
    fn certificate_and_key_must_share_a_folder() {
        for (certificate, key, good) in [
            ("/a/tls.crt", "/a/tls.key", true),
            ("tls.crt", "./tls.key", true),
            ("/a/tls.crt", "/b/tls.key", false),
        ] {
            let tls = XdsTls::new(mk_files(certificate, key), "switchyard".to_owned());
            assert_eq!(tls.is_ok(), good, "{certificate} {key}");
        }
    }
}
