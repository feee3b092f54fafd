use super::*;
use crate::config::policy::{Concurrency, Headers, Mirror, Retry};
use wasm_bindgen_test::wasm_bindgen_test;

fn mirroring(percents: &[u8]) -> Policy {
    let mirror = |percent: &u8| Mirror {
        cluster: "copy".to_owned(),
        percent: *percent,
        when: None,
    };
    Policy {
        mirror: percents.iter().map(mirror).collect(),
        ..Policy::default()
    }
}

fn per_million(policies: &[Policy]) -> u32 {
    Sample::of(policies).per_million()
}

#[wasm_bindgen_test(unsupported = test)]
fn sample_size_keeps_copies_within_one_percent() {
    for percent in 0..=100 {
        let sample = f64::from(Sample::of_percent(percent).per_million()) / 1e6;
        let share = f64::from(percent) / 100.0;
        assert!(sample >= share, "{percent}");
        let variance = 10_000.0 * share.powi(2) * (1.0 - sample) / sample;
        assert!(4.0 * variance.sqrt() <= 100.0, "{percent}: {sample} {variance}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn sample_size_grows_with_percentage() {
    for (percents, want) in [
        (&[10][..], 137_932),
        (&[1], 10_000),
        (&[6], 60_000),
        (&[7], 72_701),
        (&[25], 500_000),
        (&[26], 1_000_000),
        (&[100], 1_000_000),
        (&[1, 10, 6], 137_932),
        (&[1, 100], 1_000_000),
        (&[0], 1),
    ] {
        assert_eq!(per_million(&[mirroring(percents)]), want, "{percents:?}");
    }
    assert_eq!(per_million(&[mirroring(&[1]), mirroring(&[10])]), 137_932);
}

#[wasm_bindgen_test(unsupported = test)]
fn policies_for_every_request_need_all_requests() {
    let concurrency = Concurrency {
        max: 1,
        key: Vec::new(),
    };
    let limited = Policy {
        concurrency: Some(concurrency),
        ..mirroring(&[1])
    };
    let told = Policy {
        headers: Some(Headers::default()),
        ..mirroring(&[1])
    };
    for policies in [
        vec![],
        vec![Policy::default()],
        vec![limited.clone()],
        vec![mirroring(&[1]), limited],
        vec![told],
    ] {
        assert_eq!(Sample::of(&policies), Sample::ALL, "{policies:?}");
    }
    // The timeout and the retries that it hands down are in the route.
    let patient = Policy {
        timeout_ms: Some(1),
        retry: Some(Retry {
            count: 1,
            per_try_timeout_ms: None,
        }),
        ..mirroring(&[1])
    };
    assert_eq!(per_million(&[patient]), 10_000);
}

#[wasm_bindgen_test(unsupported = test)]
fn route_name_contains_sample() {
    for name in ["", "bar.com/", "http://bar.com/#x", "bar.com/#sample-7"] {
        for sample in [Sample(1), Sample(137_932)] {
            let mut told = sample.route_name(name);
            assert_eq!(Sample::take_from(&mut told), sample);
            assert_eq!(told, name);
        }
    }
    assert_eq!(Sample::ALL.route_name("bar.com/"), "bar.com/");
}

#[wasm_bindgen_test(unsupported = test)]
fn malformed_sample_is_part_of_the_name() {
    for name in [
        "bar.com/",
        "bar.com/#sample-",
        "bar.com/#sample-0",
        "bar.com/#sample-1000001",
        "bar.com/#sample-99999999999",
        "bar.com/#sample--1",
        "bar.com/#sample-1x",
        "bar.com/sample-1",
    ] {
        assert_eq!(Sample::split(name), (name, Sample::ALL));
    }
}
