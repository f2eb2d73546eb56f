//! libFuzzer around the targets: `BANGGIA_FUZZ_TARGET` says which. One program for all of them, since linking the
//! service takes longer than a short run.

#![no_main]

#[path = "../it/bands.rs"]
mod bands;
mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use targets::Target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("BANGGIA_FUZZ_TARGET").unwrap_or_default();
    let names = || targets::all().into_iter().map(|target| target.name).collect::<Vec<_>>().join(" ");
    targets::all()
        .into_iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("BANGGIA_FUZZ_TARGET is \"{name}\" and none of {}", names()))
});

fuzz_target!(|bytes: &[u8]| TARGET.run(bytes));
