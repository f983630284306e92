//! The gVisor tier through its trait, on a real `runsc`.

#[path = "../../host/tests/conformance/lib.rs"]
mod conformance;

use soulbox_gvisor::{Gvisor, GvisorOptions};

fn main() {
    conformance::be_guest_when_asked();
    conformance::tell(&conformance::stories::all(), |dir, node| {
        Box::new(Gvisor::new(GvisorOptions {
            runsc: None,
            // LAB_PLATFORM tells the stories on another platform than the chosen one.
            platform: std::env::var("LAB_PLATFORM")
                .ok()
                .map(|name| name.parse().expect("a platform")),
            state_dir: dir.to_owned(),
            node: node.clone(),
        }))
    });
}
