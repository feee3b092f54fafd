use super::*;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n";

fn file(name: &str, text: &str) -> File {
    read(&name.into(), text)
}

fn diagnostics(text: &str) -> Vec<String> {
    file("f.yaml", text)
        .diagnostics
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn list_yields_its_items() {
    let list = "apiVersion: v1\nkind: List\nitems:\n\
                - {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}\n\
                - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n\
                - {apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: [{port: 0}]}}\n";
    let File {
        entries,
        diagnostics,
        others,
    } = file("f.yaml", list);
    assert_eq!(
        entries.keys().map(ToString::to_string).collect::<Vec<_>>(),
        ["Service default/a"]
    );
    assert_eq!(others, 1);
    let [diagnostic] = &diagnostics[..] else {
        panic!("{diagnostics:?}")
    };
    let want = "f.yaml:6: Service default/b: spec.ports[0].port: 0 is not in the range 1-65535";
    assert_eq!(diagnostic.to_string(), want);
}

#[test]
fn errors_name_file_line_object_field_and_remedy() {
    let route =
        "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {name: r, namespace: shop}\n";
    for (text, want) in [
        (
            format!("{route}spec:\n  routes:\n  - match: /\n    delegate:\n      name: yes\n"),
            "f.yaml:8: IngressRoute shop/r: spec.routes[0].delegate.name: invalid type: boolean `true`, expected a string: \
             put it in quotes",
        ),
        (
            format!("{route}spec:\n  routes:\n  - match: /\n  virtualHost: {{}}\n"),
            "f.yaml:7: IngressRoute shop/r: spec.virtualHost: unknown field, ignored; did you mean \"virtualhost\"?",
        ),
        (
            format!("{SERVICE}---\n{SERVICE}"),
            "f.yaml:8: Service default/s: metadata.name: also defined in line 1, which takes precedence: remove one",
        ),
        (
            "a: 1\n".to_owned(),
            "f.yaml:1: apiVersion: missing: every Kubernetes object has apiVersion and kind",
        ),
        (
            "apiVersion: contour.heptio.com/v1\nkind: IngressRoute\n".to_owned(),
            "f.yaml:1: IngressRoute: apiVersion: version \"v1\" of IngressRoute is not supported; use \"v1beta1\"",
        ),
    ] {
        assert_eq!(diagnostics(&text), [want], "{text}");
    }
}

#[test]
fn warnings_keep_a_file_good_and_errors_do_not() {
    let route = "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {name: r}\n";
    assert!(file("f.yaml", &format!("{route}spec: {{strategy: Random}}\n")).is_good());
    assert!(!file("f.yaml", &format!("{route}spec: {{routes: 1}}\n")).is_good());
}

#[test]
fn empty_file_has_no_objects_and_no_diagnostics() {
    for text in ["", "---\n", "# a comment\n", "---\n---\n"] {
        assert_eq!(file("f.yaml", text), File::default(), "{text:?}");
    }
}

#[test]
fn tab_indented_json_is_read() {
    let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"s\"},\n\
                \t\"spec\": {\"ports\": [{\"port\": 0}]}\n}\n";
    let File { diagnostics, .. } = file("f.json", text);
    let want = "f.json:5: Service default/s: spec.ports[0].port: 0 is not in the range 1-65535";
    assert_eq!(
        diagnostics.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [want]
    );
}

#[test]
fn invalid_certificate_or_key_is_an_error_of_its_secret() {
    let [one, other] = [(); 2].map(|()| rcgen::generate_simple_self_signed(["a.com".to_owned()]).unwrap());
    let written = |pem: String| pem.replace('\r', "").replace('\n', "\\n");
    let (certificate, key) = (written(one.cert.pem()), written(one.signing_key.serialize_pem()));
    let other = written(other.signing_key.serialize_pem());
    let secret = |certificate: &str, key: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ntype: kubernetes.io/tls\nstringData:\n  \
             tls.crt: \"{certificate}\"\n{key}"
        )
    };
    let beside = |key: &str| format!("  tls.key: \"{key}\"\n");
    for (text, want) in [
        (secret(&certificate, &beside(&key)), None),
        // Empty values are reported by the status of the root.
        (secret("", &beside("")), None),
        (
            secret("text", &beside(&key)),
            Some(
                "6: Secret default/s: stringData.tls.crt: \"tls.crt\" holds no certificate in PEM, or one that is damaged",
            ),
        ),
        (
            secret(&certificate, &beside(&other)),
            Some(
                "7: Secret default/s: stringData.tls.key: \"tls.key\" does not belong to the certificate in \"tls.crt\"",
            ),
        ),
        (
            secret(&certificate, "") + "data: {tls.key: eA==, ca.crt: \"\"}\n",
            Some(
                "7: Secret default/s: data.tls.key: \"tls.key\" holds no private key in PEM that Envoy can use",
            ),
        ),
    ] {
        let File { entries, .. } = file("f.yaml", &text);
        assert_eq!(entries.len(), 1, "who names it is told, too");
        let want: Vec<_> = want.iter().map(|want| format!("f.yaml:{want}")).collect();
        assert_eq!(diagnostics(&text), want, "{text}");
    }
}
