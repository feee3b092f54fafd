mod accepted;

use super::*;
use envoy_types::pb::{
    envoy::{
        config::core::v3::{
            AsyncDataSource, TypedExtensionConfig, async_data_source, data_source::Specifier,
        },
        extensions::{
            filters::http::wasm::v3::Wasm,
            wasm::v3::{FailurePolicy, PluginConfig, VmConfig, plugin_config::Vm},
        },
    },
    google::protobuf::BytesValue,
};
use proptest::prelude::*;
use prost::Message;
use switchyard_policy::packed::Packed;

fn none(expose_branch: bool) -> Sections {
    Sections::new(Shard::of_host("bar.com"), expose_branch)
}

fn with(sections: &Sections, edits: &[(&str, Option<&str>)]) -> Sections {
    let edits = edits
        .iter()
        .map(|(key, json)| ((*key).into(), json.map(|json| json.to_owned().into())));
    sections.edit(edits.collect()).unwrap()
}

fn contents(sections: &Sections) -> BTreeMap<String, String> {
    let text = |json: &Bytes| String::from_utf8(json.to_vec()).unwrap();
    sections
        .iter()
        .map(|(key, json)| (key.to_string(), text(json)))
        .collect()
}

/// The packed configuration that the filter gets.
fn payload(sections: &Sections, code: &Code) -> (Vec<u8>, PluginConfig) {
    let extension = TypedExtensionConfig::decode(sections.encode(code)).unwrap();
    assert_eq!(extension.name, sections.shard.to_string());
    let wasm: Wasm = extension.typed_config.unwrap().to_msg_of();
    let mut plugin = wasm.config.unwrap();
    let value: BytesValue = plugin.configuration.take().unwrap().to_msg_of();
    (value.value, plugin)
}

trait Unpack {
    fn to_msg_of<M: Message + Default + prost::Name>(&self) -> M;
}

impl Unpack for envoy_types::pb::google::protobuf::Any {
    fn to_msg_of<M: Message + Default + prost::Name>(&self) -> M {
        assert_eq!(self.type_url, M::type_url());
        M::decode(self.value.as_slice()).unwrap()
    }
}

#[test]
fn what_is_sent_is_what_the_messages_say() {
    let sections = with(&none(true), &[("a", Some("{}")), ("b", Some("[]"))]);
    for (code, specifier) in [
        (
            Code::File {
                path: "/filter.wasm".to_owned(),
            },
            Specifier::Filename("/filter.wasm".to_owned()),
        ),
        (
            Code::Inline(Bytes::from_static(b"\0asm")),
            Specifier::InlineBytes(b"\0asm".to_vec()),
        ),
    ] {
        let (bytes, plugin) = payload(&sections, &code);
        let source = envoy_types::pb::envoy::config::core::v3::DataSource {
            specifier: Some(specifier),
            ..Default::default()
        };
        let vm = VmConfig {
            vm_id: "switchyard".to_owned(),
            runtime: "envoy.wasm.runtime.v8".to_owned(),
            code: Some(AsyncDataSource {
                specifier: Some(async_data_source::Specifier::Local(source)),
            }),
            ..Default::default()
        };
        let want = PluginConfig {
            name: sections.shard.to_string(),
            root_id: sections.shard.to_string(),
            failure_policy: FailurePolicy::FailReload.into(),
            vm: Some(Vm::VmConfig(vm)),
            ..Default::default()
        };
        assert_eq!(plugin, want);
        let packed = Packed::new(bytes).unwrap();
        assert!(packed.flags().expose_branch);
        for (key, json) in [("a", Some(&b"{}"[..])), ("b", Some(b"[]")), ("c", None)] {
            assert_eq!(packed.find(key).map(|section| section.json), json, "{key}");
        }
    }
}

#[test]
fn a_bridge_has_the_old_sections_and_the_new_keys() {
    let old = with(&none(false), &[("both", Some("old")), ("gone", Some("old"))]);
    let new = with(&none(false), &[("both", Some("new")), ("come", Some("new"))]);
    let want = [("both", "old"), ("come", "new"), ("gone", "old")];
    assert_eq!(
        contents(&old.overlap(&new)),
        want.map(|(key, json)| (key.to_owned(), json.to_owned())).into()
    );
}

#[test]
fn keys_are_lacked_and_not_content() {
    let one = with(&none(false), &[("a", Some("1"))]);
    let other = with(&one, &[("a", Some("2"))]);
    let more = with(&one, &[("b", Some("1"))]);
    for (from, to, want) in [
        (&one, &other, false),
        (&one, &one, false),
        (&one, &more, true),
        (&more, &one, false),
        (&none(false), &one, true),
    ] {
        assert_eq!(
            from.lacks_keys_of(to),
            want,
            "{:?} {:?}",
            contents(from),
            contents(to)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn edits_are_as_those_of_a_map(edits in prop::collection::vec(("[a-e][a-e][a-e]", prop::option::of("[xy]")), 0..100)) {
        let mut model = BTreeMap::new();
        let mut sections = none(false);
        for (key, json) in edits {
            sections = with(&sections, &[(&key, json.as_deref())]);
            match json {
                Some(json) => model.insert(key, json),
                None => model.remove(&key),
            };
        }
        prop_assert_eq!(contents(&sections), model.clone());
        let at_once: Vec<_> = model.iter().map(|(key, json)| (key.as_str(), Some(json.as_str()))).collect();
        let at_once = with(&none(false), &at_once);
        prop_assert_eq!(at_once.version(), sections.version());
        let code = Code::File { path: String::new() };
        prop_assert_eq!(at_once.encode(&code), sections.encode(&code));
    }
}
