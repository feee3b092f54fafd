use super::*;

const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n";

fn file(name: &str, text: &str) -> File {
    read(&name.into(), text)
}

fn problems(text: &str) -> Vec<String> {
    file("f.yaml", text)
        .problems
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn a_list_gives_its_items() {
    let list = "apiVersion: v1\nkind: List\nitems:\n\
                - {apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: 80}]}}\n\
                - {apiVersion: v1, kind: ConfigMap, metadata: {name: c}}\n\
                - {apiVersion: v1, kind: Service, metadata: {name: b}, spec: {ports: [{port: 0}]}}\n";
    let File {
        entries,
        problems,
        others,
    } = file("f.yaml", list);
    assert_eq!(
        entries.keys().map(ToString::to_string).collect::<Vec<_>>(),
        ["Service default/a"]
    );
    assert_eq!(others, 1);
    let [problem] = &problems[..] else {
        panic!("{problems:?}")
    };
    let want = "f.yaml:6: Service default/b: spec.ports[0].port: 0 is not in the range 1-65535";
    assert_eq!(problem.to_string(), want);
}

#[test]
fn every_error_tells_file_line_object_field_and_what_to_do() {
    let route =
        "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {name: r, namespace: shop}\n";
    for (text, want) in [
        (
            format!("{route}spec:\n  routes:\n  - match: /\n    delegate:\n      name: yes\n"),
            "f.yaml:8: IngressRoute shop/r: spec.routes[0].delegate.name: invalid type: boolean `true`, expected a string: \
             put it in quotes",
        ),
        (
            format!("{route}spec:\n  routes:\n  - match: /\n    mirror: x\n"),
            "f.yaml:7: IngressRoute shop/r: spec.routes[0].mirror: unknown field: it has no effect",
        ),
        (
            format!("{SERVICE}---\n{SERVICE}"),
            "f.yaml:8: Service default/s: metadata.name: it stands in line 1 already, and that one counts: remove one \
             of the two",
        ),
        (
            "a: 1\n".to_owned(),
            "f.yaml:1: apiVersion: missing: every Kubernetes object has apiVersion and kind",
        ),
        (
            "apiVersion: contour.heptio.com/v1\nkind: IngressRoute\n".to_owned(),
            "f.yaml:1: IngressRoute: apiVersion: \"v1\" of IngressRoute is not read, \"v1beta1\" is",
        ),
    ] {
        assert_eq!(problems(&text), [want], "{text}");
    }
}

#[test]
fn a_warning_leaves_a_file_good_and_an_error_does_not() {
    let route = "apiVersion: contour.heptio.com/v1beta1\nkind: IngressRoute\nmetadata: {name: r}\n";
    assert!(file("f.yaml", &format!("{route}spec: {{strategy: Random}}\n")).is_good());
    assert!(!file("f.yaml", &format!("{route}spec: {{routes: 1}}\n")).is_good());
}

#[test]
fn an_empty_file_says_nothing() {
    for text in ["", "---\n", "# a comment\n", "---\n---\n"] {
        assert_eq!(file("f.yaml", text), File::default(), "{text:?}");
    }
}

#[test]
fn json_is_read_whatever_it_is_indented_with() {
    let text = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Service\",\n\t\"metadata\": {\"name\": \"s\"},\n\
                \t\"spec\": {\"ports\": [{\"port\": 0}]}\n}\n";
    let File { problems, .. } = file("f.json", text);
    let want = "f.json:5: Service default/s: spec.ports[0].port: 0 is not in the range 1-65535";
    assert_eq!(
        problems.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [want]
    );
}

#[test]
fn a_certificate_or_key_that_envoy_would_refuse_is_an_error_of_its_secret() {
    let pem = |what| format!("-----BEGIN {what}-----\\nAAAA\\n-----END {what}-----\\n");
    let (certificate, key) = (pem("CERTIFICATE"), pem("EC PRIVATE KEY"));
    let damaged = certificate.replace("AAAA", "A!AA");
    let secret = |kind, certificate: &str, key: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\ntype: {kind}\nstringData:\n  \
             tls.crt: \"{certificate}\"\n  tls.key: \"{key}\"\n"
        )
    };
    let tls = "kubernetes.io/tls";
    for (text, want) in [
        (secret(tls, &certificate, &key), None),
        (secret(tls, &[&*certificate, &certificate].concat(), &key), None),
        (secret("Opaque", "text", "text"), None),
        // What is empty is for the status of the root.
        (secret(tls, "", ""), None),
        (
            secret(tls, "text", &key),
            Some("6: Secret default/s: stringData.tls.crt: it holds no certificate in PEM"),
        ),
        (
            secret(tls, &key, &key),
            Some("6: Secret default/s: stringData.tls.crt: it holds no certificate in PEM"),
        ),
        (
            secret(tls, &[&*certificate, &damaged].concat(), &key),
            Some("6: Secret default/s: stringData.tls.crt: it holds no certificate in PEM"),
        ),
        (
            secret(tls, &certificate, &certificate),
            Some("7: Secret default/s: stringData.tls.key: it holds no private key in PEM"),
        ),
        (
            secret(tls, &certificate, &key)
                .replace(&format!("\"{key}\""), "")
                .replace("  tls.key: \n", "")
                + "data: {tls.key: eA==}\n",
            Some("7: Secret default/s: data.tls.key: it holds no private key in PEM"),
        ),
    ] {
        let problems = problems(&text);
        match want {
            None => assert_eq!(problems, [""; 0], "{text}"),
            Some(want) => assert!(
                problems.len() == 1 && problems[0].starts_with(&format!("f.yaml:{want}")),
                "{problems:?}"
            ),
        }
    }
}
