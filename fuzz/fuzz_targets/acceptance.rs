//! Generates specs with edge-case values and sends the result to a real Envoy, which must accept everything that
//! control sends.
//!
//! One Envoy runs all specs in turn. Needs `$ENVOY`, which `scripts/fuzz.sh` sets; without it the target does nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::{
    env,
    sync::{LazyLock, Mutex, PoisonError},
};
use switchyard_tests::acceptance::Acceptance;
use tokio::runtime::Runtime;

struct Fixture {
    runtime: Runtime,
    acceptance: Acceptance,
}

static FIXTURE: LazyLock<Option<Mutex<Fixture>>> = LazyLock::new(|| {
    if env::var_os("ENVOY").is_none() {
        eprintln!("ENVOY is not set: nothing is tried");
        return None;
    }
    let runtime = Runtime::new().expect("a runtime");
    let acceptance = runtime
        .block_on(Acceptance::start("acceptance"))
        .expect("an Envoy that starts");
    Some(Mutex::new(Fixture { runtime, acceptance }))
});

fuzz_target!(|data: &[u8]| {
    let Some(fixture) = &*FIXTURE else { return };
    let mut fixture = fixture.lock().unwrap_or_else(PoisonError::into_inner);
    let Fixture { runtime, acceptance } = &mut *fixture;
    if let Err(error) = runtime.block_on(acceptance.try_specs(data)) {
        panic!("{error:?}");
    }
});
